//! Any segmentation gives the same documents; damage and floods do no harm.

use super::*;
use proptest::prelude::*;

/// One exchange: what is sent each way.
fn exchange() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let body = prop::collection::vec(any::<u8>(), 0..40);
    let chunks = prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..4);
    let request = prop_oneof![Just(("GET", None)), Just(("HEAD", None)), body.clone().prop_map(|b| ("POST", Some(b))),];
    (request, 0u8..6, body, chunks, 0u32..1000).prop_map(|((method, sent), kind, body, chunks, n)| {
        let mut request =
            format!("{method} /p{n}.x?q={n} HTTP/1.1\r\nHost: h{n}\r\nUser-Agent: a\r\n b\r\n").into_bytes();
        if let Some(b) = sent {
            request.extend_from_slice(format!("Content-Length: {}\r\n\r\n", b.len()).as_bytes());
            request.extend_from_slice(&b);
        } else {
            request.extend_from_slice(b"\r\n");
        }
        let mut response = Vec::new();
        let mut add = |b: &[u8]| response.extend_from_slice(b);
        match kind {
            0 => add(b"HTTP/1.1 204 No Content\r\n\r\n"),
            1 => add(b"HTTP/1.1 304 Not Modified\nETag: x\n\n"),
            2 => add(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 Bad\r\nContent-Length: 0\r\n\r\n"),
            3 => {
                add(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n");
                if method != "HEAD" {
                    for c in &chunks {
                        add(format!("{:X};x=y\r\n", c.len()).as_bytes());
                        add(c);
                        add(b"\r\n");
                    }
                    add(b"0\r\nTrailer: 1\r\n\r\n");
                }
            }
            _ => {
                add(format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len())
                    .as_bytes());
                if method != "HEAD" {
                    add(&body);
                }
            }
        }
        (request, response)
    })
}

const KEYS: &[(&str, &str)] =
    &[("http.include_body_for", "text"), ("http.send_all_headers", "on"), ("http.send_response", "on")];

/// Documents of a conversation whose directions are cut at these places, first all requests, then all responses.
fn cut(requests: &[u8], responses: &[u8], cuts: &[usize]) -> Vec<Value> {
    let mut t = talk_with(KEYS);
    for (dir, bytes) in [(C, requests), (S, responses)] {
        let mut at: Vec<usize> = cuts.iter().map(|c| c % (bytes.len() + 1)).chain([0, bytes.len()]).collect();
        at.sort_unstable();
        for w in at.windows(2) {
            t.send(dir, &bytes[w[0]..w[1]]);
        }
    }
    t.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_segmentation_gives_the_same(
        all in prop::collection::vec(exchange(), 1..5), cuts in prop::collection::vec(any::<usize>(), 0..12)
    ) {
        let requests = all.iter().flat_map(|e| e.0.clone()).collect::<Vec<_>>();
        let responses = all.iter().flat_map(|e| e.1.clone()).collect::<Vec<_>>();
        let whole = cut(&requests, &responses, &[]);
        prop_assert_eq!(whole.len(), all.len());
        prop_assert!(whole.iter().all(|d| d["error"].is_null()), "{:?}", told(&whole));
        prop_assert_eq!(&cut(&requests, &responses, &cuts), &whole);
        let every: Vec<usize> = (0..requests.len().max(responses.len())).collect();
        prop_assert_eq!(&cut(&requests, &responses, &every), &whole);
    }

    #[test]
    fn damage_does_no_harm(
        all in prop::collection::vec(exchange(), 1..4),
        flips in prop::collection::vec((any::<bool>(), any::<usize>(), any::<u8>()), 0..6),
        cuts in prop::collection::vec(any::<usize>(), 0..6),
        lost in prop::collection::vec((any::<bool>(), any::<usize>(), 0u64..200), 0..3),
        end in 0u8..4,
    ) {
        let mut sent = [all.iter().flat_map(|e| e.0.clone()).collect::<Vec<_>>(), all.iter().flat_map(|e| e.1.clone()).collect()];
        for (back, at, with) in flips {
            let bytes = &mut sent[usize::from(back)];
            let at = at % bytes.len();
            bytes[at] ^= with;
        }
        let mut t = talk_with(KEYS);
        t.is_from_start(end & 1 == 0);
        for (i, dir) in [(0, C), (1, S)] {
            let bytes = &sent[i];
            let mut at: Vec<usize> = cuts.iter().map(|c| c % (bytes.len() + 1)).chain([0, bytes.len()]).collect();
            at.sort_unstable();
            for w in at.windows(2) {
                t.send(dir, &bytes[w[0]..w[1]]);
                for (back, at, n) in &lost {
                    if usize::from(*back) == i && w[0] <= at % (bytes.len() + 1) && at % (bytes.len() + 1) < w[1] {
                        t.lose(dir, *n);
                    }
                }
                t.wait(3000);
            }
        }
        match end {
            0 => t.close(None),
            1 => t.close(Some(C)),
            2 => t.close(Some(S)),
            _ => {}
        }
        prop_assert!(t.memory() < 64 * 1024, "{}", t.memory());
        let docs = t.finish();
        prop_assert!(docs.len() <= 64);
    }
}

#[test]
fn every_truncation_and_flip_of_one_conversation() {
    let request = b"POST /a?b HTTP/1.1\r\nHost: x:80\r\nContent-Type: text/x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let response =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08";
    for n in 0..request.len() {
        let mut t = talk_with(KEYS);
        t.send(C, &request[..n]);
        t.send(S, response);
        t.close(Some(C));
        assert!(t.finish().len() <= 2);
        for bit in 0..8 {
            let mut flipped = request.to_vec();
            flipped[n] ^= 1 << bit;
            let mut t = talk_with(KEYS);
            t.send(C, &flipped);
            t.send(S, response);
            assert!(t.finish().len() <= 4);
        }
    }
    for n in 0..response.len() {
        for bit in 0..8 {
            let mut flipped = response.to_vec();
            flipped[n] ^= 1 << bit;
            let mut t = talk_with(KEYS);
            t.send(C, request);
            t.send(S, &flipped[..]);
            t.send(S, &response[..n]);
            assert!(t.finish().len() <= 4);
        }
    }
}

#[test]
fn floods_are_bounded() {
    // A head without an end.
    let mut t = talk();
    t.send(C, b"GET / HTTP/1.1\r\n");
    for _ in 0..20_000 {
        t.send(C, b"X-Header: 0123456789\r\n");
        assert!(t.memory() < 400_000);
    }
    t.send(C, b"\r\nGET /2 HTTP/1.1\r\n\r\n");
    assert_eq!(
        told(&t.finish()),
        [
            "GET / - Error [\"The head is longer than 64 KiB\",\"More than 256 header lines\",\"Unmatched request\"]",
            "GET /2 - Error Unmatched request"
        ]
    );
    // A line without an end, garbage, headers without number.
    let mut t = talk();
    t.send(C, b"GET /");
    for _ in 0..500 {
        t.send(C, &[b'x'; 1000]);
        assert!(t.memory() < 400_000);
    }
    let mut t = talk();
    let many = "A: b\r\n".repeat(5000);
    t.send(C, format!("GET / HTTP/1.1\r\n{many}Content-Length: 1\r\n\r\nxGET /2 HTTP/1.1\r\n\r\n").as_bytes());
    assert_eq!(told(&t.finish())[0], "GET / - Error [\"More than 256 header lines\",\"Unmatched request\"]");
    // Bodies that are kept.
    let mut t = talk_with(&[("http.include_body_for", "text"), ("http.max_message_size", "10K")]);
    t.send(C, b"POST / HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 18446744073709551615\r\n\r\n");
    for _ in 0..1000 {
        t.send(C, &[b'x'; 1000]);
    }
    assert!(t.memory() < 64_000, "{}", t.memory());
    let d = one(t.finish());
    assert_eq!(d["http"]["request"]["body"]["bytes"], 1_000_000);
    assert_eq!(d["http"]["request"]["body"]["content"].as_str().unwrap().len(), 10_240);
}
