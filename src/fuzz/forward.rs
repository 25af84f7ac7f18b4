//! A connection that speaks the forward protocol.

use crate::event::{Batch, Tag, View};
use crate::fmt::codec::Codec;
use crate::fmt::forward::{Decoder, Entries, Envelope, Frame, Helo, Message, Ping, Pong, read_ack};
use crate::fmt::msgpack_write::write_event;

/// No message is longer.
const LIMIT: usize = 1 << 20;

/// What a peer sends: messages end in the same places however the bytes are cut, records are the same in portions of any size,
/// and what is written of them is read as the same again.
pub fn forward(data: &[u8]) {
    let (mut whole, mut pieces) = (Frame::default(), Frame::default());
    let (mut rest, mut seen) = (data, 0);
    while let Ok(Some(n)) = whole.next(rest, LIMIT) {
        let Some(bytes) = rest.get(..n) else { unreachable!("{n} of {}", rest.len()) };
        let mut found = Ok(None);
        for end in (0..=n).step_by(1 + seen % 7).chain([n]) {
            found = pieces.next(rest.get(..end).unwrap_or_default(), LIMIT);
            if found != Ok(None) {
                break;
            }
        }
        assert_eq!(found, Ok(Some(n)));
        let _ = (Helo::read(bytes), Ping::read(bytes), Pong::read(bytes), read_ack(bytes));
        if let Ok(Some(m)) = Message::read(bytes) {
            message(bytes, &m);
        }
        rest = rest.get(n..).unwrap_or_default();
        seen += 1;
    }
}

fn message(bytes: &[u8], m: &Message) {
    let part = |range: &std::ops::Range<usize>| bytes.get(range.clone()).unwrap_or_default();
    let mut batch = Batch::new(Tag::new("fuzz"));
    match &m.entries {
        Entries::One(time, record) => {
            let meta = m.options.metadata.as_ref().map(part);
            let _ = Decoder::default().one(&mut batch, time.unwrap_or_default(), part(record), meta);
        }
        Entries::Many(range) => same(part(range), &mut batch),
        Entries::Packed(range) => {
            let mut events = Vec::new();
            match m.options.compressed.as_ref().and_then(|w| Codec::named(std::str::from_utf8(part(w)).ok()?)) {
                Some(codec) => _ = codec.unpack(part(range), LIMIT, &mut events),
                None => events.extend_from_slice(part(range)),
            }
            same(&events, &mut batch);
        }
    }
    let envelope = Envelope { metadata: true, options: true, ack: true, ..Envelope::default() };
    let (mut out, mut again) = (Vec::new(), Batch::new(Tag::new("fuzz")));
    envelope.write_all(b"t", &View::all(&batch), &mut Vec::new(), &mut out);
    let Ok(Some(Message { entries: Entries::Many(range), .. })) = Message::read(&out) else { unreachable!("{out:x?}") };
    let part = Decoder::default().events(&mut again, out.get(range).unwrap_or_default(), usize::MAX);
    // Marks of groups have the time of the last second that can be written.
    assert_eq!((part.refused, again.len()), (0, batch.len()));
    if part.markers == 0 {
        assert_eq!(shown(&again), shown(&batch));
    }
}

/// All events at once, and in small portions.
fn same(events: &[u8], batch: &mut Batch) {
    let mut small = Batch::new(Tag::new("fuzz"));
    let refused = [(usize::MAX, &mut *batch), (7, &mut small)].map(|(budget, batch)| {
        let (mut decoder, mut at, mut refused) = (Decoder::default(), 0, 0);
        while let Some(rest) = events.get(at..).filter(|rest| !rest.is_empty()) {
            let part = decoder.events(batch, rest, budget);
            assert!(part.used > 0 && part.used <= rest.len(), "{part:?}");
            at += part.used;
            refused += part.refused;
        }
        batch.settle();
        refused
    });
    assert_eq!(refused[0], refused[1]);
    assert_eq!(shown(batch), shown(&small));
}

fn shown(batch: &Batch) -> Vec<u8> {
    let mut out = Vec::new();
    batch.records().for_each(|record| write_event(&record, &mut out));
    out
}
