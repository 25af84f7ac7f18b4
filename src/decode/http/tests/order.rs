//! Which response answers which request, and what is told of those that stand alone.

use super::*;
use crate::decode::Conversation;
use crate::time::Time;
use serde_json::json;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

fn ok(code: u16) -> String {
    format!("HTTP/1.1 {code} Fine\r\nContent-Length: 2\r\n\r\nab")
}

#[test]
fn pipelined_requests() {
    let requests = [get("/1"), get("/2"), get("/3")].concat();
    let responses = [ok(201), ok(404), ok(203)].concat();
    let all = docs(&[], &[(C, &requests), (S, &responses)]);
    assert_eq!(told(&all), ["GET /1 201 OK", "GET /2 404 Error", "GET /3 203 OK"]);
}

#[test]
fn a_response_that_was_captured_first() {
    let all = docs(&[], &[(S, &ok(200)), (C, &get("/1")), (C, &get("/2")), (S, &ok(201))]);
    assert_eq!(told(&all), ["GET /1 200 OK", "GET /2 201 OK"]);
    assert_eq!(all[0]["client"]["ip"], "10.0.0.1");
}

#[test]
fn unmatched_requests_are_told_after_the_timeout() {
    let mut t = talk();
    t.send(C, get("/1").as_bytes());
    t.wait(9_900);
    assert!(t.docs.0.is_empty());
    t.wait(200);
    assert_eq!(told(&t.docs.0), ["GET /1 - Error Unmatched request"]);
    assert_eq!(t.docs.0[0]["event"]["end"], Value::Null);
    // Its response comes late: it does not answer the next request.
    t.send(C, get("/2").as_bytes());
    t.send(S, ok(201).as_bytes());
    t.send(S, ok(202).as_bytes());
    assert_eq!(told(&t.finish())[1..], ["- 201 Error Unmatched response", "GET /2 202 OK"]);
    let mut t = talk_with(&[("http.transaction_timeout", "2s")]);
    t.send(C, get("/1").as_bytes());
    t.wait(2_100);
    assert_eq!(t.docs.0.len(), 1);
}

#[test]
fn an_unmatched_response_has_the_server_on_the_right_side() {
    let mut t = talk();
    t.is_from_start(false);
    t.send(S, ok(200).as_bytes());
    let d = &t.docs.0[0];
    assert_eq!(told(&t.docs.0), ["- 200 Error Unmatched response"]);
    assert_eq!((&d["server"]["ip"], &d["destination"]["ip"]), (&json!("10.0.0.2"), &json!("10.0.0.2")));
    assert_eq!((&d["server"]["bytes"], &d["source"]["bytes"]), (&json!(ok(200).len()), &Value::Null));
    assert_eq!((&d["event"]["start"], &d["http"]["request"]), (&Value::Null, &Value::Null));
    // In a connection that was seen from its beginning, the request has a moment to turn up.
    let mut t = talk();
    t.send(S, ok(200).as_bytes());
    assert!(t.docs.0.is_empty());
    t.wait(110);
    assert_eq!(told(&t.docs.0), ["- 200 Error Unmatched response"]);
    // One that comes later is another one, also when nobody looked at the clock in between.
    let mut t = talk();
    t.send(S, ok(200).as_bytes());
    t.wake = Time(i64::MAX);
    t.wait(500);
    t.send(C, get("/1").as_bytes());
    t.send(S, ok(201).as_bytes());
    assert_eq!(told(&t.finish()), ["- 200 Error Unmatched response", "GET /1 201 OK"]);
}

#[test]
fn the_end_of_a_connection() {
    // The server goes without an answer.
    let mut t = talk();
    t.send(C, get("/1").as_bytes());
    t.close(Some(C));
    assert!(t.docs.0.is_empty());
    t.close(Some(S));
    assert_eq!(told(&t.docs.0), ["GET /1 - Error Unmatched request"]);
    // A reset in a body.
    let mut t = talk();
    t.send(C, get("/1").as_bytes());
    t.send(S, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    t.close(None);
    let d = one(t.finish());
    assert_eq!(told(std::slice::from_ref(&d)), ["GET /1 200 OK The response was cut off"]);
    assert_eq!(d["http"]["response"]["body"]["bytes"], 3);
    let mut t = talk();
    t.send(C, get("/1").as_bytes());
    t.close(None);
    assert_eq!(told(&t.finish()), ["GET /1 - Error [\"The connection was reset\",\"Unmatched request\"]"]);
    // The end of the capture.
    let all = docs(&[], &[(C, "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc")]);
    assert_eq!(told(&all), ["POST / - Error [\"The request was cut off\",\"Unmatched request\"]"]);
}

#[test]
fn other_protocols_after_the_answer() {
    let connect = "CONNECT x.org:443 HTTP/1.1\r\nHost: x.org:443\r\n\r\n";
    let mut t = talk();
    t.send(C, connect.as_bytes());
    t.send(S, b"HTTP/1.1 200 Connection established\r\n\r\n\x16\x03\x01");
    assert!(t.conv.is_none());
    assert_eq!(told(&t.docs.0), ["CONNECT x.org:443 200 OK"]);
    assert_eq!(t.docs.0[0]["url"], json!({"domain": "x.org", "port": 443}));
    let mut t = talk();
    t.send(C, connect.as_bytes());
    t.send(S, b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nab");
    assert!(t.conv.is_some());
    for upgrade in ["websocket", "h2c", "TLS/1.0"] {
        let mut t = talk();
        t.send(C, format!("GET /up HTTP/1.1\r\nUpgrade: {upgrade}\r\n\r\n").as_bytes());
        t.send(S, format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: {upgrade}\r\n\r\n\x01\x02").as_bytes());
        assert!(t.conv.is_none());
        assert_eq!(told(&t.docs.0), ["GET /up 101 OK"]);
    }
    let mut t = talk();
    t.send(C, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04");
    assert!(t.conv.is_none());
    assert_eq!(told(&t.docs.0), ["- - OK HTTP/2 is recognised, but not decoded"]);
    assert_eq!(t.docs.0[0]["http"], json!({"version": "2"}));
}

#[test]
fn too_many_requests_wait() {
    let mut t = talk();
    for n in 0..130 {
        t.send(C, get(&format!("/{n}")).as_bytes());
    }
    assert_eq!(t.docs.0.len(), 2);
    assert_eq!(
        told(&t.docs.0)[0],
        "GET /0 - Error [\"Too many requests are waiting for responses\",\"Unmatched request\"]"
    );
    for n in 0..130 {
        t.send(S, ok(200 + n).as_bytes());
    }
    let all = told(&t.finish());
    assert_eq!(all.len(), 132);
    assert_eq!(all[2..5], ["- 200 Error Unmatched response", "- 201 Error Unmatched response", "GET /2 202 OK"]);
}

#[test]
fn responses_without_requests_are_not_held_in_number() {
    let mut t = talk();
    for _ in 0..100 {
        t.send(S, ok(200).as_bytes());
    }
    assert_eq!(t.docs.0.len(), 84);
    t.wait(110);
    assert_eq!(t.docs.0.len(), 100);
}

#[test]
fn an_idle_connection_is_small() {
    let mut t = talk();
    for n in 0..3 {
        t.send(C, get(&format!("/{n}")).as_bytes());
        t.send(S, ok(200).as_bytes());
    }
    assert!(t.memory() <= 256, "{}", t.memory());
    let burst: String = (0..100).map(|n| get(&format!("/{n}"))).collect();
    t.send(C, burst.as_bytes());
    t.send(S, ok(200).repeat(100).as_bytes());
    let conv: &dyn Conversation = t.conv.as_deref().unwrap();
    assert!(conv.memory() <= 256, "{}", conv.memory());
    assert_eq!(t.docs.0.len(), 103);
}

#[test]
fn datagrams_stand_for_themselves() {
    let mut t = Talk::new(&*decoder(&[]), Transport::Udp, 1900);
    t.datagram(C, b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nNT: upnp:rootdevice\r\n\r\n");
    t.datagram(S, b"HTTP/1.1 200 OK\r\nST: x\r\n\r\nbody");
    t.datagram(S, b"\x00\x01");
    let all = t.finish();
    assert_eq!(told(&all), ["NOTIFY * - OK", "- 200 OK"]);
    assert_eq!((&all[0]["error"], &all[1]["http"]["response"]["body"]["bytes"]), (&Value::Null, &json!(4)));
    assert_eq!(all[1]["server"]["ip"], "10.0.0.2");
}
