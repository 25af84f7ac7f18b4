//! Bytes that were not captured, and connections that were joined late.

use super::*;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";
const LOST: &str = "Packet loss while capturing the response";

#[test]
fn in_a_body_with_a_length() {
    let mut t = talk();
    t.send(C, get("/1").as_bytes());
    t.send(S, &OK.as_bytes()[..OK.len() - 8]);
    t.lose(S, 5);
    t.send(S, b"789");
    t.send(C, get("/2").as_bytes());
    t.send(S, OK.as_bytes());
    let all = t.finish();
    assert_eq!(told(&all), [format!("GET /1 200 OK {LOST}"), "GET /2 200 OK".to_owned()]);
    assert_eq!(all[0]["http"]["response"]["body"]["bytes"], 10);
    assert_eq!(all[0]["http"]["response"]["bytes"], OK.len() - 5);
}

#[test]
fn at_the_end_of_a_body() {
    // Exactly to its end: the next response is whole.
    let mut t = talk();
    t.send(C, get("/1").as_bytes());
    t.send(S, &OK.as_bytes()[..OK.len() - 8]);
    t.lose(S, 8);
    assert_eq!(told(&t.docs.0), [format!("GET /1 200 OK {LOST}")]);
    t.send(C, get("/2").as_bytes());
    t.send(S, OK.as_bytes());
    assert_eq!(told(&t.finish())[1..], ["GET /2 200 OK"]);
    // Beyond: the next response is gone, too.
    let mut t = talk();
    t.send(C, get("/1").as_bytes());
    t.send(S, &OK.as_bytes()[..OK.len() - 8]);
    t.send(C, get("/2").as_bytes());
    t.lose(S, 8 + OK.len() as u64);
    t.send(C, get("/3").as_bytes());
    t.send(S, OK.as_bytes());
    assert_eq!(
        told(&t.finish()),
        [
            format!("GET /1 200 OK {LOST}"),
            format!("GET /2 - Error [\"{LOST}\",\"Unmatched request\"]"),
            "GET /3 200 OK".to_owned()
        ]
    );
}

#[test]
fn of_a_whole_response() {
    // The loss is told when the next response comes, or before.
    for early in [true, false] {
        let mut t = talk();
        t.send(C, get("/0").as_bytes());
        t.send(S, OK.as_bytes());
        t.send(C, get("/1").as_bytes());
        if early {
            t.lose(S, OK.len() as u64);
        }
        t.send(C, get("/2").as_bytes());
        if !early {
            t.lose(S, OK.len() as u64);
        }
        t.send(S, OK.as_bytes());
        t.send(C, get("/3").as_bytes());
        t.send(S, OK.as_bytes());
        let unmatched = format!("GET /1 - Error [\"{LOST}\",\"Unmatched request\"]");
        assert_eq!(told(&t.finish()), ["GET /0 200 OK", &unmatched, "GET /2 200 OK", "GET /3 200 OK"]);
    }
}

#[test]
fn of_a_client_that_pipelines() {
    let mut t = talk();
    t.send(C, [get("/1"), get("/2")].concat().as_bytes());
    t.send(S, OK.as_bytes());
    t.send(S, OK.as_bytes());
    t.send(C, [get("/3"), get("/4")].concat().as_bytes());
    t.lose(S, OK.len() as u64);
    t.send(S, OK.as_bytes());
    assert_eq!(
        told(&t.finish())[2..],
        [format!("GET /3 - Error [\"{LOST}\",\"Unmatched request\"]"), "GET /4 200 OK".to_owned()]
    );
}

#[test]
fn of_a_request() {
    let mut t = talk();
    t.send(C, get("/1").as_bytes());
    t.send(S, OK.as_bytes());
    t.lose(C, get("/2").len() as u64);
    t.send(S, OK.as_bytes());
    t.send(C, get("/3").as_bytes());
    t.send(S, OK.as_bytes());
    assert_eq!(told(&t.finish()), ["GET /1 200 OK", "- 200 Error Unmatched response", "GET /3 200 OK"]);
    // In its body.
    let mut t = talk();
    t.send(C, b"POST /1 HTTP/1.1\r\nContent-Length: 10\r\n\r\n01");
    t.lose(C, 5);
    t.send(C, b"789");
    t.send(S, OK.as_bytes());
    assert_eq!(told(&t.finish()), ["POST /1 200 OK Packet loss while capturing the request"]);
}

#[test]
fn in_heads_and_chunks() {
    let mut t = talk();
    t.send(C, get("/1").as_bytes());
    t.send(S, b"HTTP/1.1 200 OK\r\nContent-Le");
    t.lose(S, 100);
    t.send(S, b"rest of something\r\n");
    t.send(C, get("/2").as_bytes());
    t.send(S, OK.as_bytes());
    // What was captured of the head is told.
    assert_eq!(told(&t.finish()), [format!("GET /1 200 OK {LOST}"), "GET /2 200 OK".to_owned()]);
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n01";
    // Inside a chunk nothing is lost of the framing.
    let mut t = talk();
    t.send(C, get("/1").as_bytes());
    t.send(S, chunked.as_bytes());
    t.lose(S, 13);
    t.send(S, b"F\r\n0\r\n\r\n");
    assert_eq!(told(&t.docs.0), [format!("GET /1 200 OK {LOST}")]);
    assert_eq!(t.docs.0[0]["http"]["response"]["body"]["bytes"], 16);
    // Beyond it the next head ends the body.
    let mut t = talk();
    t.send(C, get("/1").as_bytes());
    t.send(S, chunked.as_bytes());
    t.lose(S, 300);
    t.send(S, b"more data\r\n0\r\n\r\n");
    t.send(C, get("/2").as_bytes());
    t.send(S, OK.as_bytes());
    assert_eq!(told(&t.finish()), [format!("GET /1 200 OK {LOST}"), "GET /2 200 OK".to_owned()]);
}

/// A capture that keeps the first bytes of each packet only.
#[test]
fn heads_that_were_cut_by_the_capture() {
    for (request, method) in [("GET /one?q HTTP/1.1\r\nHo", "GET"), ("PUT /one?q HTT", "PUT"), ("GET /one?q ", "GET")] {
        for response in ["HTTP/1.1 404 Not Found\r\nServ", "HTTP/1.1 404 Not", "HTTP/1.1 404 "] {
            let mut t = talk();
            for _ in 0..2 {
                t.send(C, request.as_bytes());
                t.lose(C, 300);
                t.send(S, response.as_bytes());
                t.lose(S, 1300);
            }
            let docs = t.finish();
            assert_eq!(docs.len(), 2, "{docs:?}");
            for doc in &docs {
                assert_eq!(doc["http"]["request"]["method"], method.to_lowercase());
                assert_eq!((&doc["url"]["path"], &doc["url"]["query"]), (&"/one".into(), &"q".into()));
                assert_eq!(doc["http"]["response"]["status_code"], 404);
                assert!(doc["error"]["message"].to_string().contains("Packet loss while capturing the request"));
            }
        }
    }
    // Not even the target is whole, or it is no head at all.
    for request in ["GET /one", "GET", "hello there world", "HTTP/1.1 20"] {
        let mut t = talk();
        t.send(C, request.as_bytes());
        t.lose(C, 300);
        assert_eq!(t.finish().len(), 0, "{request}");
    }
}

#[test]
fn a_connection_that_was_joined_late() {
    let mut t = talk();
    t.is_from_start(false);
    t.send(S, b"the end of a body that began before\r\nwith lines\r\n");
    t.send(C, b"and of a request");
    t.send(C, get("/1").as_bytes());
    t.send(S, OK.as_bytes());
    assert_eq!(told(&t.finish()), ["GET /1 200 OK"]);
}

#[test]
fn bytes_that_are_not_http() {
    let mut t = talk();
    t.send(C, get("/1").as_bytes());
    t.send(S, OK.as_bytes());
    t.send(C, b"\x00\x01 cruft\r\nmore cruft");
    t.send(C, get("/2").as_bytes());
    t.send(S, OK.as_bytes());
    assert_eq!(told(&t.finish()), ["GET /1 200 OK", "GET /2 200 OK Bytes that are not HTTP stood before it"]);
}

#[test]
fn a_connection_whose_first_packet_was_the_server_s() {
    let mut t = talk();
    t.is_from_start(false);
    t.send(S, get("/1").as_bytes());
    t.send(C, OK.as_bytes());
    let d = one(t.finish());
    assert_eq!((&d["client"]["ip"], &d["server"]["ip"]), (&"10.0.0.2".into(), &"10.0.0.1".into()));
}
