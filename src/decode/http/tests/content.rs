//! Where bodies end, and what is kept of them.

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use std::io::Write;

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// The documents of `response` to `request`, then of another exchange that shows where the response ended.
fn framed(request: &str, response: &str) -> Value {
    let next = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let docs = docs(&[], &[(C, request), (S, &[response, next].concat()), (C, GET)]);
    assert_eq!(docs.len(), 2, "{docs:#?}");
    assert_eq!(docs[1]["http"]["response"]["status_code"], 404);
    docs.into_iter().next().unwrap()
}

#[test]
fn responses_without_a_body() {
    for (request, response) in [
        ("HEAD / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        (GET, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
        (GET, "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (GET, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (
            GET,
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ),
    ] {
        let d = framed(request, response);
        assert_eq!((&d["http"]["response"]["body"], &d["error"]), (&Value::Null, &Value::Null), "{response}");
    }
    let d = framed("HEAD / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(d["http"]["response"]["headers"]["content-length"], 5);
}

#[test]
fn lengths_and_chunks() {
    for (response, bytes, note) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 5, Value::Null),
        ("HTTP/1.1 200 OK\nContent-Length: 5\ncontent-length: 5\n\nhello", 5, Value::Null),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            5,
            json!("Several Content-Length values that differ"),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: x\r\n\r\n",
            13,
            Value::Null,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n0\r\n\r\n",
            0,
            json!("Both Content-Length and Transfer-Encoding"),
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 1, Value::Null),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
            3,
            json!("The chunked body is damaged"),
        ),
    ] {
        let d = framed(GET, response);
        assert_eq!(d["http"]["response"]["body"]["bytes"].as_u64().unwrap_or(0), bytes, "{response}");
        assert_eq!(d["http"]["response"]["bytes"], response.len(), "{response}");
        assert_eq!(d["error"]["message"], note, "{response}");
    }
}

#[test]
fn bodies_that_end_with_the_connection() {
    for head in [
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    ] {
        let mut t = talk();
        t.send(C, GET.as_bytes());
        t.send(S, head.as_bytes());
        t.wait(5);
        t.send(S, b"HTTP is not always HTTP");
        t.wait(5);
        assert!(t.docs.0.is_empty());
        t.close(Some(S));
        assert_eq!(t.docs.0.len(), 1);
        let d = one(t.finish());
        assert_eq!(d["http"]["response"]["body"]["bytes"], 23);
        assert_eq!(d["http"]["response"]["bytes"], head.len() + 23);
        assert_eq!(d["event"]["duration"], 5_000_000);
    }
}

#[test]
fn requests_with_bodies() {
    let chunked = "PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let sent = [chunked, "POST /b HTTP/1.1\r\nContent-Length: 2\r\n\r\nab", "\r\nGET /c HTTP/1.1\r\n\r\n"].concat();
    let docs_ = docs(&[], &[(C, &sent), (S, &[ok, ok, ok].concat())]);
    assert_eq!(told(&docs_), ["PUT /a 200 OK", "POST /b 200 OK", "GET /c 200 OK"]);
    assert_eq!(docs_[0]["http"]["request"]["body"], json!({"bytes": 3}));
    assert_eq!(docs_[0]["http"]["request"]["bytes"], chunked.len());
    assert_eq!(docs_[1]["http"]["request"]["headers"]["content-length"], 2);
    // What cannot be framed does not hide what follows.
    let sent = "POST /a HTTP/1.1\r\nContent-Length: -1\r\n\r\nGET /b HTTP/1.1\r\n\r\n";
    assert_eq!(
        told(&docs(&[], &[(C, sent), (S, ok), (S, ok)])),
        ["POST /a 200 OK [\"Content-Length is not a number\",\"The end of the body cannot be told\"]", "GET /b 200 OK"]
    );
}

#[test]
fn an_answer_before_the_request_s_end() {
    let mut t = talk();
    t.send(C, b"POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n01234");
    t.send(S, b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
    assert!(t.docs.0.is_empty());
    t.send(C, b"56789");
    let d = one(t.finish());
    assert_eq!((&d["http"]["request"]["bytes"], &d["status"]), (&json!(62 + 10), &json!("Error")));
}

#[test]
fn kept_bodies_are_decoded() {
    let mut gz = GzEncoder::new(Vec::new(), Compression::default());
    gz.write_all("hällo ".repeat(100).as_bytes()).unwrap();
    let gz = gz.finish().unwrap();
    let answer = |coding: &str, body: &[u8]| {
        let half = body.len() / 2;
        let mut all =
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{coding}\r\nTransfer-Encoding: chunked\r\n\r\n")
                .into_bytes();
        for part in [&body[..half], &body[half..]] {
            all.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
            all.extend_from_slice(part);
            all.extend_from_slice(b"\r\n");
        }
        all.extend_from_slice(b"0\r\n\r\n");
        all
    };
    let run = |more: &[(&str, &str)], answer: &[u8]| {
        let text = &[("http.include_response_body_for", "text")][..];
        let named = more.iter().any(|k| k.0 == text[0].0);
        let mut t = talk_with(&[if named { &[][..] } else { text }, more].concat());
        t.send(C, GET.as_bytes());
        t.send(S, answer);
        let d = one(t.finish());
        (d["http"]["response"]["body"].clone(), d["error"]["message"].clone())
    };
    let full = "hällo ".repeat(100);
    let coded = answer("Content-Encoding: gzip", &gz);
    assert_eq!(run(&[], &coded), (json!({"bytes": gz.len(), "content": full}), Value::Null));
    let short: String = String::from_utf8_lossy(&full.as_bytes()[..105]).into_owned();
    let (body, note) = run(&[("http.max_message_size", "105")], &coded);
    assert_eq!((&body["content"], note), (&json!(short), json!("The body was cut at http.max_message_size")));
    let (body, note) = run(&[], &answer("Content-Encoding: br", b"xyz"));
    assert_eq!(
        (body, note),
        (json!({"bytes": 3}), json!("The body was left out: its content coding is not supported"))
    );
    let (body, _) = run(&[("http.decode_body", "off")], &answer("Content-Encoding: br", b"xyz"));
    assert_eq!(body["content"], "xyz");
    // Of other types, and of requests, nothing is kept.
    let (body, _) = run(&[("http.include_response_body_for", "image")], &answer("A: b", b"xyz"));
    assert_eq!(body, json!({"bytes": 3}));
}
