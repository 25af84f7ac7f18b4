//! Lumberjack, the protocol between Beats and Logstash: its frames as bytes, apart from any connection.
//!
//! A client announces a *window* of so many events, sends them, and waits until the server has acknowledged the last of
//! them. A frame is a version (`1` or `2`), a letter and what the letter stands for, numbers high byte first:
//!
//! | Frame | behind the letter |
//! |---|---|
//! | `W` window | number of events |
//! | `D` event (version 1) | sequence number, number of pairs; then each key and value behind its length |
//! | `J` event (version 2) | sequence number, length, JSON |
//! | `C` packed | length, a zlib stream of further frames |
//! | `A` acknowledgement | sequence number of the last event that is safe; 0 says that the server is at work |
//!
//! Sources: the protocol notes of lumberjack for version 1; go-lumber 0.1 and Logstash's beats input for version 2.

mod decode;
mod inflate;
#[cfg(test)]
mod tests;

pub use decode::{Decoder, Event, Frame, Limits, Pairs, Version, Wrong};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::io::Write;

/// Length of a frame that acknowledges, in bytes.
pub const ACK_LEN: usize = 6;
/// Length of what stands before the JSON of an event, in bytes.
pub const JSON_HEAD: usize = 10;

/// An acknowledgement up to event `seq`.
pub fn ack(version: Version, seq: u32) -> [u8; ACK_LEN] {
    let [a, b, c, d] = seq.to_be_bytes();
    [version.byte(), b'A', a, b, c, d]
}

/// The sequence number that a frame acknowledges; `None` when it is another frame.
pub fn read_ack(frame: &[u8; ACK_LEN]) -> Option<u32> {
    match *frame {
        [b'1' | b'2', b'A', a, b, c, d] => Some(u32::from_be_bytes([a, b, c, d])),
        _ => None,
    }
}

/// A window of `events` events of version 2.
pub fn window(events: u32) -> [u8; 6] {
    let [a, b, c, d] = events.to_be_bytes();
    [b'2', b'W', a, b, c, d]
}

/// Appends the head of an event whose JSON the caller appends next; then comes [`end_json`] with what this returned.
pub fn begin_json(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(b"2J\0\0\0\0\0\0\0\0");
    start
}

/// Writes the length of the event that was begun at `start`.
pub fn end_json(start: usize, out: &mut [u8]) {
    let len = out.len().saturating_sub(start + JSON_HEAD);
    // What a batch holds is shorter than 4 GiB.
    if let Some(place) = out.get_mut(start + 6..start + JSON_HEAD) {
        place.copy_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
    }
}

/// Numbers the event that `frame` begins with: in each window they count from 1.
pub fn set_seq(frame: &mut [u8], seq: u32) {
    if let Some(place) = frame.get_mut(2..6) {
        place.copy_from_slice(&seq.to_be_bytes());
    }
}

/// Appends `frames` as a packed frame, at a level from 1 (fast) to 9 (small).
pub fn pack(frames: &[u8], level: u32, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(b"2C\0\0\0\0");
    let mut encoder = ZlibEncoder::new(&mut *out, Compression::new(level.clamp(1, 9)));
    // Writing into memory does not fail.
    let written = encoder.write_all(frames).and_then(|()| encoder.finish().map(drop));
    debug_assert!(written.is_ok());
    let len = out.len().saturating_sub(start + 6);
    if let Some(place) = out.get_mut(start + 2..start + 6) {
        place.copy_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
    }
}
