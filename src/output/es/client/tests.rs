//! Bulk requests against scripted servers.

use super::*;
use crate::conf::Section;
use crate::conf::common::NetOut;
use crate::error::Diags;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

/// What a server does with one request.
#[derive(Clone, Copy)]
enum Act {
    /// Answers so.
    Say(u16, &'static str),
    /// Writes these bytes and closes the connection.
    Raw(&'static str),
    /// Writes these bytes and nothing more.
    Stall(&'static str),
    /// Says so before the request's body is read, then closes the connection.
    Early(&'static str),
    /// Resets the connection in the middle of the request.
    Reset,
}

/// One request; its body, or `None` when the connection is gone.
fn request(stream: &mut BufReader<TcpStream>, act: Act) -> Option<String> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = n.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    if matches!(act, Act::Early(_) | Act::Reset) {
        return Some(String::new());
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(String::from_utf8(body).unwrap())
}

/// Plays a script, one act a request; gives the bodies back.
fn server(script: Vec<Act>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/_bulk", listener.local_addr().unwrap());
    let serve = move || {
        let mut bodies = Vec::new();
        let mut script = script.into_iter().peekable();
        while script.peek().is_some() {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            while let Some(&act) = script.peek() {
                let Some(body) = request(&mut stream, act) else { break };
                bodies.push(body);
                script.next();
                match act {
                    Act::Say(status, text) => {
                        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", text.len());
                        stream.get_mut().write_all((head + text).as_bytes()).unwrap();
                        continue;
                    }
                    Act::Raw(text) | Act::Early(text) => stream.get_mut().write_all(text.as_bytes()).unwrap(),
                    Act::Stall(text) => {
                        stream.get_mut().write_all(text.as_bytes()).unwrap();
                        // Until the other side gives up.
                        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
                    }
                    Act::Reset => {
                        rustix::net::sockopt::set_socket_linger(stream.get_ref(), Some(std::time::Duration::ZERO))
                            .unwrap();
                    }
                }
                break;
            }
        }
        bodies
    };
    (url, thread::spawn(serve))
}

fn client(url: String) -> Client {
    let net = NetOut::load(&Section::of("OUTPUT", &[("net.io_timeout", "0.3")]), &mut Diags::new()).unwrap();
    let http = HttpClient::new(&net, 1, None).unwrap();
    Client { http, url, authorization: None, gzip: false, trace_error: false, label: "output:es:es.0".into() }
}

const ALL: &str = "a\nb\nc\nd\n";
const ITEMS: &[(u32, u32)] = &[(2, 10), (4, 11), (6, 12), (8, 13)];

#[track_caller]
fn check(script: Vec<Act>, expected: &str, bodies: &[&str]) {
    let (url, handle) = server(script);
    let client = client(url);
    let outcome = format!("{:?}", client.send(Body { bytes: ALL.as_bytes(), items: ITEMS }));
    drop(client);
    assert!(outcome.starts_with(expected), "{outcome}");
    assert_eq!(handle.join().unwrap(), bodies);
}

use Act::{Early, Raw, Reset, Say, Stall};

const MIXED: &str = r#"{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":429,"error":{"type":"t","reason":"busy"}}},{"create":{"status":400,"error":{"type":"m","reason":"bad"}}},{"create":{"status":409}}]}"#;

#[test]
fn items_are_judged_one_by_one() {
    let part = r#"Part { retry: [11], why: "429 t: busy", refused: [(12, "400 m: bad")] }"#;
    check(vec![Say(200, MIXED)], part, &[ALL]);
    check(vec![Say(200, r#"{"errors":false,"items":[]}"#)], "Done", &[ALL]);
}

#[test]
fn a_failed_request_is_tried_again_whole() {
    check(vec![Say(503, "later")], r#"Down("HTTP status 503: later")"#, &[ALL]);
    check(vec![Say(401, "who?")], r#"Down("HTTP status 401 (check HTTP_User"#, &[ALL]);
    check(vec![Say(302, "")], r#"Down("HTTP status 302 (it sends us elsewhere"#, &[ALL]);
    let typed = r#"{"error":"Action/metadata line [1] contains an unknown parameter [_type]"}"#;
    check(vec![Say(400, typed)], r#"Down("HTTP status 400 (set Suppress_Type_Name On"#, &[ALL]);
    check(vec![Say(500, "oops\n\u{7}")], r#"Retry("HTTP status 500: oops  ")"#, &[ALL]);
    check(vec![Say(400, "hm")], r#"Retry("HTTP status 400: hm")"#, &[ALL]);
    check(vec![Say(200, "<html>")], "Retry(\"the answer is not JSON", &[ALL]);
    check(vec![Say(200, r#"{"errors":true,"items":[]}"#)], "Retry(\"the answer has no items", &[ALL]);
}

/// The statuses of a part of the items only say which are stored: of the others nothing is believed.
#[test]
fn an_answer_that_is_not_about_these_items_refuses_nothing() {
    let fewer = r#"{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":400}}]}"#;
    let part = r#"Part { retry: [11, 12, 13], why: "2 items in the answer for 4 in the request", refused: [] }"#;
    check(vec![Say(200, fewer)], part, &[ALL]);
    let item = r#"{"create":{"status":400}},"#;
    let more =
        format!(r#"{{"items":[{{"create":{{"status":201}}}},{}{{"create":{{"status":400}}}}]}}"#, item.repeat(3));
    let part = r#"Part { retry: [11, 12, 13], why: "5 items in the answer for 4 in the request", refused: [] }"#;
    check(vec![Say(200, more.leak())], part, &[ALL]);
}

#[test]
fn an_answer_that_breaks_off_counts_for_what_it_says_is_stored() {
    let end = MIXED.find(",{\"create\":{\"status\":409").unwrap();
    let head = "HTTP/1.1 200 X\r\nContent-Length: 500\r\n\r\n";
    let cut: &str = format!("{head}{}", &MIXED[..end]).leak();
    // The first reason is the item's own.
    check(vec![Raw(cut)], r#"Part { retry: [11, 12, 13], why: "429 t: busy", refused: [] }"#, &[ALL]);
    let first = MIXED.find("429").unwrap();
    let cut: &str = format!("{head}{}", &MIXED[..first]).leak();
    let why = "the answer broke off after 1 of 4 items: the server closed the connection";
    check(vec![Raw(cut)], &format!("Part {{ retry: [11, 12, 13], why: {why:?}, refused: [] }}"), &[ALL]);
    let why = "the answer broke off after 1 of 4 items: the server said nothing for 300ms (net.io_timeout)";
    check(vec![Stall(cut)], &format!("Part {{ retry: [11, 12, 13], why: {why:?}, refused: [] }}"), &[ALL]);
    let none = "HTTP/1.1 200 X\r\nContent-Length: 500\r\n\r\n{\"items\":[";
    check(vec![Stall(none)], "Down(\"the answer broke off after 0 of 4 items: the server said nothing", &[ALL]);
    check(vec![Raw(none)], "Retry(\"the answer broke off after 0 of 4 items: the server closed", &[ALL]);
    let chunked =
        "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n1a\r\n{\"items\":[{\"create\":{\"stat\r\n5\r\nus\":2\r\n";
    check(vec![Raw(chunked)], "Retry(\"the answer broke off after 0 of 4 items", &[ALL]);
}

#[test]
fn a_server_out_of_reach_is_down() {
    check(vec![Raw("")], "Down(\"the server closed the connection\")", &[ALL]);
    check(vec![Raw("HTTP/1.1 200 OK\r\nConte")], "Down(\"the server closed the connection\")", &[ALL]);
    check(vec![Raw("HTTP/1.1 OK\r\n\r\n")], "Down(\"this is no HTTP: ", &[ALL]);
    let silent = "Down(\"the server said nothing for 300ms (net.io_timeout)\")";
    check(vec![Stall("")], silent, &[ALL]);
    check(vec![Stall("HTTP/1.1 200 OK\r\nContent-Le")], silent, &[ALL]);
    check(vec![Reset], "Down(\"", &[""]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/_bulk", listener.local_addr().unwrap());
    drop(listener);
    let outcome = format!("{:?}", client(url).send(Body { bytes: b"a\n", items: &[(2, 0)] }));
    assert!(outcome.starts_with("Down(\"connection refused: is the server running"), "{outcome}");
}

#[test]
fn what_is_too_large_is_cut_in_halves() {
    let ok = Say(200, r#"{"errors":false}"#);
    let script = vec![Say(413, ""), ok, Say(413, ""), Say(413, ""), ok];
    let part = r#"Part { retry: [], why: "", refused: [(12, "413: the server takes no document of 2 bytes")] }"#;
    check(script, part, &[ALL, "a\nb\n", "c\nd\n", "c\n", "d\n"]);
    // One id that cannot be fails the request of all.
    let bad = Say(400, "Validation Failed: 1: id is missing;");
    let part =
        r#"Part { retry: [], why: "", refused: [(10, "HTTP status 400: Validation Failed: 1: id is missing;")] }"#;
    check(vec![bad, bad, bad, ok, ok], part, &[ALL, "a\nb\n", "a\n", "b\n", "c\nd\n"]);
}

#[test]
fn a_half_that_fails_leaves_the_stored_half_stored() {
    let ok = Say(200, r#"{"errors":false}"#);
    let part = r#"Part { retry: [12, 13], why: "HTTP status 503: ", refused: [] }"#;
    check(vec![Say(413, ""), ok, Say(503, "")], part, &[ALL, "a\nb\n", "c\nd\n"]);
    let part = r#"Part { retry: [12, 13], why: "the server closed the connection", refused: [] }"#;
    check(vec![Say(413, ""), ok, Raw(""), Raw("")], part, &[ALL, "a\nb\n", "c\nd\n", "c\nd\n"]);
    // After a failure the rest is not tried.
    check(vec![Say(413, ""), Say(503, "")], r#"Down("HTTP status 503: ")"#, &[ALL, "a\nb\n"]);
}

/// The server says why it does not read on, and hangs up.
#[test]
fn what_a_server_says_in_the_middle_of_a_request_is_heard() {
    let text = "x".repeat(8 << 20) + "\n";
    let (url, handle) = server(vec![Early("HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n")]);
    let outcome = format!("{:?}", client(url).send(Body { bytes: text.as_bytes(), items: &[(text.len() as u32, 5)] }));
    assert!(outcome.starts_with("Part { retry: [], why: \"\", refused: [(5, \"413: the server takes no"), "{outcome}");
    handle.join().unwrap();
}

/// A kept connection that the server closed just when the next request went out says nothing about the server.
#[test]
fn a_kept_connection_that_died_is_replaced_at_once() {
    let ok = Say(200, r#"{"errors":false}"#);
    let (url, handle) = server(vec![ok, Raw(""), ok]);
    let client = client(url);
    for _ in 0..2 {
        assert!(matches!(client.send(Body { bytes: ALL.as_bytes(), items: ITEMS }), Outcome::Done));
    }
    drop(client);
    assert_eq!(handle.join().unwrap().len(), 3);
}

#[test]
fn reasons_have_a_bound_of_their_own_and_one_together() {
    let many = 4000;
    let reason = "r".repeat(3000);
    let item = format!(r#"{{"create":{{"status":400,"error":{{"type":"t","reason":"{reason}"}}}}}}"#);
    let answer: &str = format!(r#"{{"errors":true,"items":[{}]}}"#, vec![item; many].join(",")).leak();
    let (url, handle) = server(vec![Say(200, answer)]);
    let bytes = "a\n".repeat(many);
    let items: Vec<_> = (0..many as u32).map(|n| (2 * n + 2, n)).collect();
    let Outcome::Part { retry, refused, .. } = client(url).send(Body { bytes: bytes.as_bytes(), items: &items }) else {
        panic!("no part");
    };
    handle.join().unwrap();
    assert_eq!((retry.len(), refused.len()), (0, many));
    let lengths: Vec<_> = refused.iter().map(|(_, why)| why.len()).collect();
    assert!(lengths[0] > 1000 && lengths[0] <= 1024 && lengths[many - 1] <= SHORT, "{lengths:?}");
    assert!(lengths.iter().sum::<usize>() < REASONS + 1024 + many * SHORT);
    assert!(refused.iter().all(|(_, why)| why.starts_with("400 t: rrr") && why.ends_with('…')));
}

#[test]
fn parts_of_a_body() {
    let body = Body { bytes: b"aabbbc", items: &[(2, 7), (5, 8), (6, 9)] };
    assert_eq!(body.part(0, 3), (&b"aabbbc"[..], &[(2, 7), (5, 8), (6, 9)][..]));
    assert_eq!(body.part(1, 2), (&b"bbb"[..], &[(5, 8)][..]));
    assert_eq!(body.part(2, 3), (&b"c"[..], &[(6, 9)][..]));
}
