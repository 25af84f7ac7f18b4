//! Streams of lumberjack frames in pieces.

use crate::fmt::lumberjack::{Decoder, Event, Frame, Limits, Version, Wrong};

/// The first byte says in pieces of how many bytes the rest comes: what is read is the same as in one piece, no window
/// has more events than it announced, and memory stays bounded. Of damaged zlib more may be seen when it comes in pieces.
pub fn lumberjack(data: &[u8]) {
    let Some((&size, stream)) = data.split_first() else { return };
    let (whole, pieces) = (read(stream, stream.len()), read(stream, usize::from(size)));
    match whole.split_last() {
        Some((last, events)) if *last == Wrong::Damaged.to_string() => assert!(pieces.starts_with(events)),
        _ => assert_eq!(pieces, whole),
    }
}

/// Frames, and why the stream could not be read on.
fn read(stream: &[u8], piece: usize) -> Vec<String> {
    const EVENT: usize = 4 << 10;
    let limits = Limits { window: 1 << 16, event: EVENT, pairs: 100, unpacked: 1 << 20 };
    let mut decoder = Decoder::new(limits);
    let (mut told, mut left) = (Vec::new(), 0);
    for part in stream.chunks(piece.max(1)) {
        decoder.room(part.len()).copy_from_slice(part);
        decoder.filled(part.len());
        loop {
            match decoder.next_frame() {
                Ok(None) => break,
                Ok(Some(Frame::Window(version, events))) => {
                    assert!(matches!(version, Version::V1 | Version::V2) && events <= limits.window);
                    left = events;
                }
                Ok(Some(Frame::Event { seq, event, last })) => {
                    assert!(left > 0);
                    left -= 1;
                    assert_eq!(last, left == 0);
                    told.push(match event {
                        Event::Json(text) | Event::Cut(text) => {
                            assert!(text.len() <= EVENT);
                            format!("{seq} {text:?}")
                        }
                        Event::Pairs(pairs) => {
                            assert!(pairs.clone().count() <= 100);
                            format!("{seq} {:?}", pairs.collect::<Vec<_>>())
                        }
                    });
                }
                Err(wrong) => {
                    told.push(wrong.to_string());
                    return told;
                }
            }
        }
        decoder.rest();
        // An event, what was read beyond it, a step of what was unpacked, and zlib's own.
        assert!(decoder.memory() <= 4 * (EVENT + (48 << 10) + stream.len()), "{}", decoder.memory());
    }
    told
}
