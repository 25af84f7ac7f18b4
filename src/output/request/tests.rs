//! Requests against scripted servers, by way of the output `http`.

use super::testing::{Got, Say, server};
use super::*;
use crate::output::http::PLUGIN;
use crate::output::testing::{batch, instance, payload, refused, retry, send};
use crate::rt::run;
use std::fmt::Write;

const LINES: [(i64, &str); 3] = [(1_000_000_000, r#"{"a":1}"#), (2_000_000_000, r#"{"a":2}"#), (3_000_000_000, "{}")];
const OK: Say = (200, "", "");

/// Delivers the lines as often as the script has answers; outcomes and requests.
fn play(script: Vec<Say>, keys: &[(&str, &str)]) -> (Vec<Outcome>, Vec<Got>) {
    let times = script.len();
    let (port, got) = server(script);
    let keys = [&[("port", port.as_str()), ("workers", "1")], keys].concat();
    let output = instance(&PLUGIN, &keys);
    let outcomes = run(async {
        let mut all = Vec::new();
        while all.len() < times {
            all.push(send(&*output, &batch("t.x", &LINES)).await);
        }
        all
    });
    (outcomes.unwrap(), got.join().unwrap())
}

fn outcome(say: Say, keys: &[(&str, &str)]) -> Outcome {
    play(vec![say], keys).0.remove(0)
}

#[test]
fn what_a_request_looks_like() {
    let keys = [("uri", "in?x=1"), ("http_user", "me"), ("http_passwd", "secret"), ("header_tag", "X-Tag")];
    let (outcomes, got) = play(vec![OK, (204, "", "")], &keys);
    assert!(outcomes.iter().all(|o| matches!(o, Outcome::Done)), "{outcomes:?}");
    let [one, two] = &got[..] else { panic!("{got:?}") };
    assert_eq!(one.head[0], "POST /in?x=1 HTTP/1.1");
    assert_eq!(one.all("authorization"), ["Basic bWU6c2VjcmV0"]);
    assert_eq!((one.all("content-type"), one.all("x-tag")), (vec!["application/json"], vec!["t.x"]));
    assert!(one.all("host")[0].starts_with("127.0.0.1:") && one.all("user-agent")[0].starts_with("collector/"));
    assert_eq!(one.text(), r#"[{"date":1.0,"a":1},{"date":2.0,"a":2},{"date":3.0}]"#);
    assert_eq!(two.text(), one.text());
}

#[test]
fn headers_of_the_configuration_replace_ours() {
    let same = [("header", "X-A 1"), ("header", "content-type text/x y"), ("header", "x-a 2"), ("http_method", "put")];
    let got = play(vec![OK], &same).1.remove(0);
    assert_eq!((got.all("content-type"), got.all("x-a")), (vec!["text/x y"], vec!["1", "2"]));
    assert!(got.head[0].starts_with("PUT /"));
    let once = [&same[..], &[("allow_duplicated_headers", "off")]].concat();
    assert_eq!(play(vec![OK], &once).1[0].all("x-a"), ["2"]);
}

#[test]
fn compression() {
    for (name, codec) in [("gzip", Codec::Gzip), ("zstd", Codec::Zstd), ("snappy", Codec::Snappy)] {
        let got = play(vec![OK], &[("compress", name), ("format", "json_stream")]).1.remove(0);
        assert_eq!(got.all("content-encoding"), [name]);
        let mut plain = Vec::new();
        codec.unpack(&got.body, 1000, &mut plain).unwrap();
        assert_eq!(String::from_utf8(plain).unwrap(), r#"{"date":1.0,"a":1}{"date":2.0,"a":2}{"date":3.0}"#);
    }
}

#[test]
fn what_becomes_of_records_by_status() {
    match outcome((400, "", "not\nthis"), &[]) {
        Outcome::Drop(why) => assert_eq!(why, "HTTP status 400: not this"),
        other => panic!("{other:?}"),
    }
    match outcome((422, "", "secret"), &[("log_response_payload", "off")]) {
        Outcome::Drop(why) => assert_eq!(why, "HTTP status 422"),
        other => panic!("{other:?}"),
    }
    let busy = outcome((429, "", "later"), &[]);
    assert!(matches!(&busy, Outcome::Down(why) if why == "HTTP status 429 (the server is busy): later"), "{busy:?}");
    assert!(matches!(outcome((500, "", ""), &[]), Outcome::Retry(_)));
    let gone = instance(&PLUGIN, &[("port", &crate::net::testing::refusing().1.to_string())]);
    let why = retry(run(async { send(&*gone, &batch("t", &LINES)).await }).unwrap());
    assert!(why.contains("connection refused: is the server running"), "{why}");
}

#[test]
fn a_server_that_asks_for_time_gets_it() {
    let begun = Instant::now();
    let (outcomes, _) = play(vec![(503, "Retry-After: 1\r\n", ""), OK, OK], &[]);
    assert!(matches!(outcomes[..], [Outcome::Down(_), Outcome::Done, Outcome::Done]), "{outcomes:?}");
    let took = begun.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(20)).contains(&took), "{took:?}");
}

#[test]
fn a_body_that_is_too_large_is_cut() {
    let large = (413, "", "");
    // The whole; then, in halves of halves, each record for itself.
    let (port, got) = server(vec![large, OK, large, OK, OK, OK, OK]);
    let output = instance(&PLUGIN, &[("port", &port), ("format", "json_lines"), ("workers", "1")]);
    let lines = batch("t", &LINES);
    run(async {
        let why = retry(send(&*output, &lines).await);
        assert_eq!(why, "the server takes no body of this size (413)");
        match send(&*output, &lines).await {
            Outcome::Part { retry, refused, .. } => {
                assert_eq!((retry, refused.len()), (vec![], 1));
                assert!(refused[0].1.contains("takes no record of 19 bytes"), "{}", refused[0].1);
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(send(&*output, &lines).await, Outcome::Done));
    })
    .unwrap();
    let sizes: Vec<usize> = got.join().unwrap().iter().map(|g| g.body.len()).collect();
    assert_eq!(sizes, [51, 19, 19, 13, 19, 19, 13]);
}

#[test]
fn requests_of_records() {
    let keys = [("body_key", "$b"), ("headers_key", "h")];
    let (port, got) = server(vec![OK, (400, "", "bad"), (503, "", "")]);
    let output = instance(&PLUGIN, &[&keys[..], &[("port", &port), ("workers", "1"), ("header", "X-A mine")]].concat());
    let lines = [
        r#"{"b":"one\n","h":{"Content-Type":"text/x","n":1,"x-a":"own"}}"#,
        r#"{"b":"two","h":{}}"#,
        r#"{"b":2,"h":{}}"#,
        r#"{"b":"no map","h":"x"}"#,
        r#"{"b":"bad","h":{"a b":"x"}}"#,
        r#"{"b":"bad","h":{"a":"x\r\nInjected: y"}}"#,
        r#"{"b":"","h":{}}"#,
        r#"{"b":"never sent","h":{}}"#,
    ];
    let lines: Vec<_> = lines.iter().map(|l| (0, *l)).collect();
    match run(async { send(&*output, &batch("t", &lines)).await }).unwrap() {
        Outcome::Part { retry, why, refused } => {
            assert_eq!((retry, why), (vec![6, 7], "HTTP status 503".into()));
            let mut said = String::new();
            refused.iter().for_each(|(n, why)| write!(said, "{n} {}; ", why.get(..15).unwrap_or(why)).unwrap());
            assert_eq!(
                said,
                "1 HTTP status 400; 2 it has no text ; 3 it has no text ; 4 it has no text ; 5 it has no text ; "
            );
        }
        other => panic!("{other:?}"),
    }
    let got = got.join().unwrap();
    assert_eq!(got.iter().map(Got::text).collect::<Vec<_>>(), ["one\n", "two", ""]);
    assert_eq!((got[0].all("content-type"), got[0].all("x-a")), (vec!["text/x"], vec!["own"]));
    assert_eq!((got[1].all("content-type"), got[1].all("x-a")), (vec![], vec!["mine"]));
    let nothing = instance(&PLUGIN, &keys);
    let p = payload(&*nothing, &batch("t", &LINES));
    assert!(p.bytes.is_empty() && p.items.iter().all(|i| i.0 == REFUSED));
    assert!(matches!(run(async { send(&*nothing, &batch("t", &LINES)).await }).unwrap(), Outcome::Drop(_)));
}

#[test]
fn a_proxy_is_gone_through() {
    // It sees CONNECT; behind it stands the server.
    let (port, got) = server(vec![OK, OK]);
    let proxy = format!("http://u:p@127.0.0.1:{port}");
    let output = instance(&PLUGIN, &[("host", "far.invalid"), ("port", "81"), ("proxy", &proxy), ("workers", "1")]);
    assert!(matches!(run(async { send(&*output, &batch("t", &LINES)).await }).unwrap(), Outcome::Done));
    let got = got.join().unwrap();
    assert!(got[0].head[0].starts_with("CONNECT far.invalid:81"), "{got:?}");
    assert_eq!(got[0].all("proxy-authorization"), ["Basic dTpw"]);
    assert!(got[1].head[0].starts_with("POST / ") && got[1].all("host") == ["far.invalid:81"], "{got:?}");
}

#[test]
fn what_is_refused() {
    for (pair, part) in [
        (("header", "X-Only"), "header: 'X-Only' is not a header's name and"),
        (("header_tag", "a b"), "Header_Tag: 'a b' is not the name of a header"),
        (("http_method", "GET"), "'GET' is not one of: POST PUT"),
        (("compress", "lzma"), "'lzma' is not one of: off gzip snappy zstd"),
        (("format", "xml"), "'xml' is not one of: json json_lines json_stream msgpack gelf"),
        (("body_key", "$a"), "Body_Key needs Headers_Key, too"),
        (("headers_key", "$a"), "Headers_Key needs Body_Key, too"),
        (("proxy", "socks5://x"), "proxy: socks5://x"),
        (("uri", "/a b"), "is no address"),
        (("workers", "x"), "not an integer"),
        (("net.source_address", "eth0"), "net.source_address: 'eth0' is not an IP address"),
        (("oauth2.enabled", "on"), "Did you mean 'oauth2.enable'?"),
    ] {
        let said = refused(&PLUGIN, &[pair]);
        assert!(said.contains(part), "{part:?} is not in {said:?}");
    }
}

#[test]
fn addresses() {
    assert_eq!(origin("::1", 80, false), "http://[::1]:80");
    assert_eq!(origin("h", 443, true), "https://h:443");
    assert_eq!(percent_encoded("a b/c-1"), "a%20b%2Fc-1");
    assert_eq!((basic(None, Some("x")), basic(Some("u"), None)), (None, Some("Basic dTo=".into())));
}
