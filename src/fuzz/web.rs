//! HTTP from both sides: requests that a client sends to our server, an answer that a server gives to ours.

use crate::event::Arena;
use crate::fmt::{otlp, proto};
use crate::net::web::{Body, Framing, Head, Inlet, MAX_FIELDS, MAX_HEAD};

/// The longest body, in bytes.
const LIMIT: usize = 4096;

/// Requests of a stream: the first byte says in pieces of what length it comes, which must make no difference.
pub fn http_server(data: &[u8]) {
    let (&size, stream) = data.split_first().unwrap_or((&0, data));
    let whole = requests(stream, stream.len().max(1));
    assert_eq!(requests(stream, usize::from(size) + 1), whole);
}

/// An answer to OpenTelemetry logs: whatever it is, what it says is no longer than it is.
pub fn otlp_answer(data: &[u8]) {
    assert!(proto::fields(data).count() <= data.len());
    if let Some((_, why)) = otlp::left_out(data) {
        // U+FFFD stands for a byte that is no text.
        assert!(why.len() <= 3 * data.len());
    }
}

type Requests = (Vec<(Head, Vec<u8>)>, Option<u16>);

/// All requests with their bodies, and the status of the one that was refused.
fn requests(stream: &[u8], size: usize) -> Requests {
    let (mut inlet, mut out, mut open, mut found) = (Inlet::default(), Arena::default(), None, Vec::new());
    for piece in stream.chunks(size) {
        let mut rest = piece;
        while !rest.is_empty() {
            let room = inlet.room(open.is_some());
            let (now, later) = rest.split_at(room.len().min(rest.len()));
            if let Some(room) = room.get_mut(..now.len()) {
                room.copy_from_slice(now);
            }
            inlet.filled(now.len());
            rest = later;
            if let Err(status) = turn(&mut inlet, &mut open, &mut out, &mut found) {
                return (found, Some(status));
            }
        }
    }
    (found, None)
}

/// Takes every request that is complete.
fn turn(
    inlet: &mut Inlet,
    open: &mut Option<(Head, Body)>,
    out: &mut Arena,
    found: &mut Vec<(Head, Vec<u8>)>,
) -> Result<(), u16> {
    loop {
        if open.is_none() {
            let Some(head) = inlet.head().map_err(|e| e.status)? else { return Ok(()) };
            check(&head);
            let body = Body::new(head.framing);
            *open = Some((head, body));
        }
        let Some((head, mut body)) = open.take() else { return Ok(()) };
        if !inlet.body(&mut body, out, LIMIT).map_err(|e| e.status)? {
            assert!(out.len() <= LIMIT);
            *open = Some((head, body));
            return Ok(());
        }
        if let Framing::Length(n) = head.framing {
            assert_eq!(out.len() as u64, n);
        }
        found.push((head, out.as_slice().to_vec()));
        out.truncate(0);
    }
}

/// What must hold of every head that is served.
fn check(head: &Head) {
    assert!(!head.method().is_empty() && (head.path().starts_with('/') || head.path() == "*"), "{head:?}");
    let fields: Vec<_> = head.fields().collect();
    let all: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(fields.len() <= MAX_FIELDS && all <= MAX_HEAD, "{head:?}");
    let count = |name: &str| fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).count();
    let (lengths, codings) = (count("content-length"), count("transfer-encoding"));
    assert!(lengths + codings <= 1 && count("host") <= 1, "{head:?}");
    assert_eq!(head.framing == Framing::Chunked, codings == 1, "{head:?}");
    let odd = |b: &u8| matches!(b, b'\r' | b'\n' | 0);
    assert!(!fields.iter().any(|(name, value)| name.bytes().any(|b| odd(&b)) || value.iter().any(odd)), "{head:?}");
}
