//! The frames of a client, read from a stream in pieces of any size.

use super::JSON_HEAD;
use super::inflate::{More, Packed};
use crate::util::unused::Unused;
use std::fmt;

/// Versions of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Events are pairs of texts.
    V1,
    /// Events are JSON.
    V2,
}

impl Version {
    /// As frames begin.
    pub fn byte(self) -> u8 {
        match self {
            Self::V1 => b'1',
            Self::V2 => b'2',
        }
    }
}

/// What a peer may send.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Events in a window.
    pub window: u32,
    /// The longest event in bytes; of a longer one of version 2 the beginning is told.
    pub event: usize,
    /// Pairs in an event of version 1.
    pub pairs: u32,
    /// Bytes that a packed frame may unpack to. Whatever it is, no more than one event of it is held.
    pub unpacked: u64,
}

/// What a peer sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// So many events follow. What was left of the window before does not come.
    Window(Version, u32),
    /// An event of the window.
    Event {
        /// The number to acknowledge it by, as the peer gave it.
        seq: u32,
        /// What it holds.
        event: Event<'a>,
        /// Whether it is the last of its window.
        last: bool,
    },
}

/// What an event holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A JSON document, not looked at.
    Json(&'a [u8]),
    /// The beginning of a JSON document that is longer than the limit; the rest is passed over.
    Cut(&'a [u8]),
    /// Keys and values.
    Pairs(Pairs<'a>),
}

/// The pairs of an event of version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs<'a>(&'a [u8]);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, rest) = text(self.0)?;
        let (value, rest) = text(rest)?;
        self.0 = rest;
        Some((key, value))
    }
}

/// A text behind its length.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_be_bytes(*len) as usize)
}

/// Why the stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// A frame begins with this byte.
    Version(u8),
    /// A frame of this letter where it cannot stand.
    Letter(u8),
    /// A window of so many events.
    Window(u32),
    /// An event that no window announced.
    NoWindow,
    /// An event of version 1 with more pairs, or more bytes, than allowed.
    Pairs,
    /// A packed frame in a packed frame.
    Nested,
    /// A packed frame that is no zlib stream, or is cut short.
    Damaged,
    /// A packed frame that ends within an event.
    PackedEnds,
    /// A packed frame that unpacks to more than allowed.
    Bomb,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |b: &u8| char::from(*b).escape_default();
        match self {
            Self::Version(b) => write!(f, "a frame begins with '{}', not with version 1 or 2", letter(b)),
            Self::Letter(b) => write!(f, "a frame '{}' does not belong here", letter(b)),
            Self::Window(n) => write!(f, "a window of {n} events is more than is allowed"),
            Self::NoWindow => f.write_str("an event that no window announced"),
            Self::Pairs => f.write_str("an event of version 1 with too many pairs, or too long"),
            Self::Nested => f.write_str("a packed frame in a packed frame"),
            Self::Damaged => f.write_str("a packed frame that cannot be unpacked"),
            Self::PackedEnds => f.write_str("a packed frame that ends within an event"),
            Self::Bomb => f.write_str("a packed frame that unpacks to more than is allowed"),
        }
    }
}

/// Reads a peer's stream. It holds what came of one event, at most a limit, and what was read beyond it.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    stream: Unused,
    packed: Option<Box<Packed>>,
    /// Events of the window that are still to come.
    left: u32,
    /// Bytes of a cut event to pass over.
    skip: usize,
    progress: Progress,
}

impl Decoder {
    /// At the beginning of a stream.
    pub fn new(limits: Limits) -> Self {
        let progress = Progress::default();
        Self { limits, stream: Unused::default(), packed: None, left: 0, skip: 0, progress }
    }

    /// Room for `n` bytes of the stream; [`Self::filled`] says how many came.
    pub fn room(&mut self, n: usize) -> &mut [u8] {
        self.stream.room(n)
    }

    /// Takes `n` bytes that were put into [`Self::room`].
    pub fn filled(&mut self, n: usize) {
        self.stream.filled(n);
    }

    /// Memory held, in bytes.
    pub fn memory(&self) -> usize {
        self.stream.capacity() + self.packed.as_ref().map_or(0, |p| p.memory())
    }

    /// Whether the stream is between two windows.
    pub fn is_between(&self) -> bool {
        self.left == 0 && self.stream.is_empty() && self.packed.is_none()
    }

    /// Gives memory back that only a stream with something in it needs.
    pub fn rest(&mut self) {
        self.stream.shrink(true);
    }

    /// The next frame; `None` when more of the stream is needed.
    ///
    /// # Errors
    /// The stream cannot be read on.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, Wrong> {
        let Self { limits, stream, packed, left, skip, progress } = self;
        let (found, used) = loop {
            let is_packed = packed.is_some();
            let from = packed.as_mut().map_or(&mut *stream, |p| &mut p.unused);
            let passed = from.len().min(*skip);
            from.used(passed);
            *skip -= passed;
            let found = match *skip {
                0 => look(from.get(), *limits, (is_packed, *left), progress)?,
                _ => None,
            };
            match found {
                Some((Found::Packed(len), used)) => {
                    stream.used(used);
                    *packed = Some(Box::new(Packed::new(len, limits.unpacked)));
                }
                Some(found) => break found,
                None => {
                    let Some(inner) = packed else {
                        stream.shrink(false);
                        return Ok(None);
                    };
                    match inner.more(stream)? {
                        More::Some => {}
                        More::Waits => return Ok(None),
                        More::End if *skip > 0 => return Err(Wrong::PackedEnds),
                        More::End => *packed = None,
                    }
                }
            }
        };
        *progress = Progress::default();
        let from = packed.as_mut().map_or(stream, |p| &mut p.unused);
        let (seq, event) = match found {
            Found::Window(version, events) => {
                from.used(used);
                *left = events;
                return Ok(Some(Frame::Window(version, events)));
            }
            Found::Json(seq) => (seq, Event::Json(from.take(JSON_HEAD, used))),
            Found::Cut(seq, more) => {
                *skip = more;
                (seq, Event::Cut(from.take(JSON_HEAD, used)))
            }
            Found::Pairs(seq) => (seq, Event::Pairs(Pairs(from.take(JSON_HEAD, used)))),
            // Dealt with above.
            Found::Packed(_) => return Ok(None),
        };
        *left = left.saturating_sub(1);
        Ok(Some(Frame::Event { seq, event, last: *left == 0 }))
    }
}

/// How far an unfinished event of version 1 was looked at: it is not done again with each piece of it.
#[derive(Debug, Default, Clone, Copy)]
struct Progress {
    texts: u64,
    at: usize,
}

/// A frame that is complete, but for the payload of a packed one and the rest of a cut one, whose length is told.
enum Found {
    Window(Version, u32),
    Json(u32),
    Cut(u32, usize),
    Pairs(u32),
    Packed(u32),
}

/// The frame that `bytes` begin with, and its length; `None` when it is not complete. `place` says whether it stands in a
/// packed frame, and how many events its window still has.
fn look(
    bytes: &[u8],
    limits: Limits,
    place: (bool, u32),
    progress: &mut Progress,
) -> Result<Option<(Found, usize)>, Wrong> {
    let (is_packed, left) = place;
    let number = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let version = match bytes.first() {
        None => return Ok(None),
        Some(b'1') => Version::V1,
        Some(b'2') => Version::V2,
        Some(other) => return Err(Wrong::Version(*other)),
    };
    let letter = match bytes.get(1) {
        None => return Ok(None),
        Some(letter @ (b'W' | b'C')) if is_packed => {
            return Err(if *letter == b'C' { Wrong::Nested } else { Wrong::Letter(*letter) });
        }
        Some(b'D' | b'J' | b'C') if left == 0 => return Err(Wrong::NoWindow),
        Some(letter) => *letter,
    };
    let Some(first) = number(2) else { return known(letter) };
    match letter {
        b'W' if first > limits.window => Err(Wrong::Window(first)),
        b'W' => Ok(Some((Found::Window(version, first), 6))),
        b'C' => Ok(Some((Found::Packed(first), 6))),
        b'J' => {
            let Some(len) = number(6) else { return Ok(None) };
            let here = limits.event.min(len as usize);
            if bytes.len() < JSON_HEAD + here {
                return Ok(None);
            }
            let more = len as usize - here;
            let found = if more == 0 { Found::Json(first) } else { Found::Cut(first, more) };
            Ok(Some((found, JSON_HEAD + here)))
        }
        b'D' => {
            let Some(pairs) = number(6) else { return Ok(None) };
            if pairs > limits.pairs {
                return Err(Wrong::Pairs);
            }
            progress.at = progress.at.max(JSON_HEAD);
            while progress.texts < 2 * u64::from(pairs) {
                let Some(len) = number(progress.at) else { return Ok(None) };
                let end = progress.at.saturating_add(4).saturating_add(len as usize);
                if end > limits.event {
                    return Err(Wrong::Pairs);
                }
                if bytes.len() < end {
                    return Ok(None);
                }
                (progress.texts, progress.at) = (progress.texts + 1, end);
            }
            Ok(Some((Found::Pairs(first), progress.at)))
        }
        _ => known(letter).map(|_| None),
    }
}

/// Nothing yet, if a frame of this letter may come from a client.
fn known(letter: u8) -> Result<Option<(Found, usize)>, Wrong> {
    match letter {
        b'W' | b'C' | b'J' | b'D' => Ok(None),
        other => Err(Wrong::Letter(other)),
    }
}
