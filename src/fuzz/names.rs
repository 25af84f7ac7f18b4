//! Answers of name servers.

use crate::fmt::dns_query::{A, AAAA, Reply, query, reply};

/// An answer to the question for `a.example`: bounded, and never to another question.
pub fn dns_reply(data: &[u8]) {
    let id = data.first_chunk::<2>().map_or(0, |b| u16::from_be_bytes(*b));
    for kind in [A, AAAA] {
        if let Some(Reply::Found(addrs, _)) = reply(data, id, "a.example", kind) {
            assert!((1..=32).contains(&addrs.len()));
        }
        assert_eq!(reply(data, id.wrapping_add(1), "a.example", kind), None);
    }
    let text = String::from_utf8_lossy(data);
    if let Some(question) = query(id, &text, A) {
        assert!(question.len() <= 16 + 255 && reply(&question, id, &text, A).is_none());
    }
}
