//! The fields of documents, and the keys that choose them.

use super::*;
use serde_json::json;

const GET: &str = "GET /a/b.html?user=me&pass=secret HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: curl/7\r\n\
                   Referer: http://u:pw@other.example/x?pass=secret\r\nAuthorization: Basic YTpi\r\n\
                   Cookie: sid=\"123\"; Theme=dark\r\nX-Forwarded-For: 192.0.2.7, 10.1.1.1\r\nAccept: a/b\r\nACCEPT: c/d\r\n\
                   X-Request-ID: r-1\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nSet-Cookie: a=1; Path=/\r\n\
                  Set-Cookie: b=2; Path=/x\r\n\r\nhello";

#[test]
fn a_transaction_with_default_keys() {
    let d = one(docs(&[], &[(C, GET), (S, OK)]));
    assert_eq!(
        d["http"],
        json!({
            "request": {
                "method": "get", "bytes": GET.len(), "headers": {"content-length": 0},
                "referrer": "http://u:xxxxx@other.example/x?pass=secret", "id": "r-1",
            },
            "response": {
                "status_code": 200, "status_phrase": "ok", "bytes": OK.len(), "body": {"bytes": 5},
                "headers": {"content-length": 5, "content-type": "text/plain"},
            },
            "version": "1.1",
        })
    );
    assert_eq!(
        d["url"],
        json!({
            "scheme": "http", "domain": "www.example.org", "path": "/a/b.html", "extension": "html",
            "query": "user=me&pass=secret", "full": "http://www.example.org/a/b.html?user=me&pass=secret",
        })
    );
    assert_eq!((&d["method"], &d["query"], &d["status"]), (&json!("get"), &json!("GET /a/b.html"), &json!("OK")));
    assert_eq!(
        (&d["type"], &d["event"]["dataset"], &d["network"]["protocol"]),
        (&json!("http"), &json!("http"), &json!("http"))
    );
    assert_eq!(d["user_agent"], json!({"original": "curl/7"}));
    assert_eq!(d["related"]["hosts"], json!(["www.example.org", "other.example"]));
    assert_eq!(
        (&d["destination"]["domain"], &d["server"]["domain"]),
        (&json!("www.example.org"), &json!("www.example.org"))
    );
    assert_eq!((&d["source"]["bytes"], &d["server"]["bytes"]), (&json!(GET.len()), &json!(OK.len())));
    assert_eq!(d["network"]["bytes"], json!(GET.len() + OK.len()));
    assert_eq!(d["event"]["duration"], json!(10_000_000));
    for absent in ["request", "response", "error"] {
        assert_eq!(d[absent], Value::Null, "{absent}");
    }
    assert_eq!(d["network"]["forwarded_ip"], Value::Null);
}

#[test]
fn headers_that_are_asked_for() {
    let d = one(docs(&[("http.send_all_headers", "on"), ("http.hide_keywords", "pass")], &[(C, GET), (S, OK)]));
    assert_eq!(
        d["http"]["request"]["headers"],
        json!({
            "content-length": 0, "host": "www.example.org", "user-agent": "curl/7",
            "referer": "http://u:xxxxx@other.example/x?pass=xxxxx", "authorization": "*", "cookie": "REDACTED",
            "x-forwarded-for": "192.0.2.7, 10.1.1.1", "accept": "a/b, c/d", "x-request-id": "r-1",
        })
    );
    assert_eq!(
        d["http"]["response"]["headers"],
        json!({"content-length": 5, "content-type": "text/plain", "set-cookie": "REDACTED"})
    );
    let d = one(docs(&[("http.send_headers", "Accept, cookie")], &[(C, GET), (S, OK)]));
    assert_eq!(
        d["http"]["request"]["headers"],
        json!({"content-length": 0, "accept": "a/b, c/d", "cookie": "sid=\"123\"; Theme=dark"})
    );
    let keys = [
        ("http.send_headers", "on"),
        ("http.split_cookie", "on"),
        ("http.redact_authorization", "off"),
        ("http.redact_headers", "X-Request-ID, accept"),
    ];
    let d = one(docs(&keys, &[(C, GET), (S, OK)]));
    let h = &d["http"]["request"]["headers"];
    assert_eq!(h["cookie"], json!({"sid": "123", "theme": "dark"}));
    assert_eq!(
        (&h["authorization"], &h["accept"], &h["x-request-id"]),
        (&json!("Basic YTpi"), &json!("REDACTED"), &json!("REDACTED"))
    );
    assert_eq!(d["http"]["response"]["headers"]["set-cookie"], json!({"a": "1", "path": "/x", "b": "2"}));
}

#[test]
fn secrets_are_hidden_everywhere() {
    let post = "POST /login?Pass=secret HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer secret\r\nCookie: secret\r\n\
                Referer: /?pass=secret\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 23\r\n\r\n\
                user=monica&pass=secret";
    let answer = "HTTP/1.1 302 Found\r\nLocation: /in?pass=secret\r\nSet-Cookie: secret\r\nContent-Type: application/json\r\n\
                  Content-Length: 17\r\n\r\n{\"pass\":\"secret\"}";
    let keys = [
        ("http.hide_keywords", "pass"),
        ("http.send_request", "on"),
        ("http.send_response", "on"),
        ("http.send_all_headers", "on"),
        ("http.include_body_for", "form-urlencoded, JSON"),
    ];
    let d = one(docs(&keys, &[(C, post), (S, answer)]));
    assert!(!d.to_string().contains("secret"), "{d:#}");
    assert_eq!(d["http"]["request"]["body"], json!({"bytes": 23, "content": "user=monica&pass=xxxxx"}));
    assert_eq!(d["http"]["response"]["body"], json!({"bytes": 17, "content": "{\"pass\":\"xxxxx\"}"}));
    assert_eq!(d["url"]["full"], "http://h/login?Pass=xxxxx");
    let request = d["request"].as_str().unwrap();
    assert!(request.starts_with(
        "POST /login?Pass=xxxxx HTTP/1.1\r\nHost: h\r\nAuthorization: *************\r\nCookie: ******\r\n"
    ));
    assert!(request.ends_with("\r\n\r\nuser=monica&pass=xxxxx"), "{request}");
    assert!(d["response"].as_str().unwrap().starts_with("HTTP/1.1 302 Found\r\nLocation: /in?pass=xxxxx\r\n"));
}

#[test]
fn the_real_client() {
    let keys = [("http.real_ip_header", "X-Forwarded-For")];
    let d = one(docs(&keys, &[(C, GET), (S, OK)]));
    assert_eq!(d["network"]["forwarded_ip"], "192.0.2.7");
    assert_eq!(d["related"]["ip"], json!(["10.0.0.1", "10.0.0.2", "192.0.2.7"]));
    for (value, ip) in
        [("[2001:db8::1]:80", json!("2001:db8::1")), ("1.2.3.4:5", json!("1.2.3.4")), ("unknown", Value::Null)]
    {
        let get = format!("GET / HTTP/1.1\r\nHost: 192.0.2.9\r\nX-Forwarded-For: {value}\r\n\r\n");
        let d = one(docs(&keys, &[(C, &get), (S, OK)]));
        assert_eq!(d["network"]["forwarded_ip"], ip);
        assert!(d["related"]["ip"].as_array().unwrap().contains(&json!("192.0.2.9")));
    }
}

#[test]
fn forms_of_targets() {
    let ok = "HTTP/1.1 204 No Content\r\n\r\n";
    let of = |head: &str| one(docs(&[], &[(C, &format!("{head}\r\n\r\n")), (S, ok)]));
    let d = of("GET http://joe:pw@x.org:81/p?q HTTP/1.1\r\nHost: ignored");
    assert_eq!(
        d["url"],
        json!({"scheme": "http", "domain": "x.org", "port": 81, "path": "/p", "username": "joe", "query": "q",
               "full": "http://x.org:81/p?q"})
    );
    assert_eq!((&d["related"]["user"], &d["error"]), (&json!(["joe"]), &Value::Null));
    assert!(!d.to_string().contains("pw"));
    let d = of("OPTIONS * HTTP/1.1\r\nHost: x");
    assert_eq!((&d["query"], &d["url"]["path"]), (&json!("OPTIONS *"), &json!("*")));
    let d = of("FROBNICATE /x HTTP/1.0");
    assert_eq!(
        (&d["method"], &d["http"]["version"], &d["url"]),
        (&json!("frobnicate"), &json!("1.0"), &json!({"scheme": "http", "path": "/x"}))
    );
    let d = of("GET / HTTP/1.1\r\nHost: 10.0.0.2");
    assert_eq!((&d["url"]["domain"], &d["destination"]["domain"]), (&json!("10.0.0.2"), &Value::Null));
    let d = of("GET / HTTP/1.1\r\nHost: x:8080");
    assert_eq!((&d["url"]["port"], &d["error"]["message"]), (&json!(8080), &json!("Host header port number mismatch")));
}

#[test]
fn bad_keys_are_refused() {
    for (key, value, said) in [
        ("http.ports", "80, x", "'x' is not a port"),
        ("http.ports", "0", "'0' is not a port"),
        ("http.max_message_size", "big", "big"),
        ("http.decode_body", "perhaps", "not a boolean"),
    ] {
        let mut diags = Diags::new();
        let section = Section::of("INPUT", &[(key, value)]);
        let mut cx = MakeProtocol { section: &section, diags: &mut diags, timeout: Duration::from_secs(10) };
        assert!((PROTOCOL.make)(&mut cx).is_none());
        assert!(diags.to_string().contains(said), "{diags}");
    }
    assert_eq!(decoder(&[]).ports(), [80, 8080, 8000, 5000, 8002]);
    assert_eq!(decoder(&[("http.ports", "81 82")]).ports(), [81, 82]);
}
