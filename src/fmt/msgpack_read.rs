//! The msgpack reader: bytes in a batch's arena become cells, text and opaque bytes staying where they are.
//!
//! Old writers' raw type reads as text. Extension values become opaque bytes, but for the time of an event. Keys that
//! are no text are named as they would print.

use super::json_keys::KeyCache;
use crate::event::{Batch, Cell, Key, Kind, Span};
use crate::time::Time;
use std::fmt;

/// Maps and arrays that may stand in each other.
pub const MAX_DEPTH: usize = 64;

/// Why bytes are no msgpack, or no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MsgpackError {
    /// Offset of the value that cannot be, counted from the start of the bytes.
    pub at: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

impl fmt::Display for MsgpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.why, self.at)
    }
}

impl std::error::Error for MsgpackError {}

/// The first bytes of a value: a scalar, or what follows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Head {
    /// No value.
    Nil,
    /// A truth value.
    Bool(bool),
    /// A negative integer.
    Int(i64),
    /// An integer that is not negative.
    Uint(u64),
    /// A float of 32 or 64 bits.
    Float(f64),
    /// Text: that many bytes follow.
    Str(usize),
    /// Opaque bytes: that many follow.
    Bin(usize),
    /// That many values follow.
    Array(usize),
    /// That many keys, each with its value, follow.
    Map(usize),
    /// An extension of this type: that many bytes follow.
    Ext(i8, usize),
}

/// The head of the value at `at` and the offset behind it; `None` when the bytes end before the head does.
///
/// # Errors
/// The one byte that begins no value, 0xC1.
pub fn head(bytes: &[u8], at: usize) -> Result<Option<(Head, usize)>, MsgpackError> {
    // The big-endian number of `N` bytes behind the first one.
    fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
        let part: &[u8; N] = bytes.get(at + 1..)?.first_chunk()?;
        Some(part.iter().fold(0, |n, &b| n << 8 | u64::from(b)))
    }
    let Some(&first) = bytes.get(at) else { return Ok(None) };
    let sized = |n: Option<u64>, width: usize, make: fn(usize) -> Head| n.map(|n| (make(n as usize), at + 1 + width));
    let ext = |n: Option<u64>, width: usize| {
        let kind = bytes.get(at + 1 + width).map(|&b| b as i8);
        n.zip(kind).map(|(n, kind)| (Head::Ext(kind, n as usize), at + 2 + width))
    };
    let uint = |n: Option<u64>, width: usize| n.map(|n| (Head::Uint(n), at + 1 + width));
    let int =
        |n: Option<i64>, width: usize| n.map(|n| (u64::try_from(n).map_or(Head::Int(n), Head::Uint), at + 1 + width));
    let one = |bytes| number::<1>(bytes, at);
    let two = |bytes| number::<2>(bytes, at);
    let four = |bytes| number::<4>(bytes, at);
    let eight = |bytes| number::<8>(bytes, at);
    Ok(match first {
        0x00..=0x7f => Some((Head::Uint(u64::from(first)), at + 1)),
        0x80..=0x8f => Some((Head::Map(usize::from(first & 0xf)), at + 1)),
        0x90..=0x9f => Some((Head::Array(usize::from(first & 0xf)), at + 1)),
        0xa0..=0xbf => Some((Head::Str(usize::from(first & 0x1f)), at + 1)),
        0xc0 => Some((Head::Nil, at + 1)),
        0xc1 => return Err(MsgpackError { at, why: "a byte that begins no value" }),
        0xc2 | 0xc3 => Some((Head::Bool(first == 0xc3), at + 1)),
        0xc4 => sized(one(bytes), 1, Head::Bin),
        0xc5 => sized(two(bytes), 2, Head::Bin),
        0xc6 => sized(four(bytes), 4, Head::Bin),
        0xc7 => ext(one(bytes), 1),
        0xc8 => ext(two(bytes), 2),
        0xc9 => ext(four(bytes), 4),
        0xca => four(bytes).map(|n| (Head::Float(f64::from(f32::from_bits(n as u32))), at + 5)),
        0xcb => eight(bytes).map(|n| (Head::Float(f64::from_bits(n)), at + 9)),
        0xcc => uint(one(bytes), 1),
        0xcd => uint(two(bytes), 2),
        0xce => uint(four(bytes), 4),
        0xcf => uint(eight(bytes), 8),
        0xd0 => int(one(bytes).map(|n| i64::from(n as i8)), 1),
        0xd1 => int(two(bytes).map(|n| i64::from(n as i16)), 2),
        0xd2 => int(four(bytes).map(|n| i64::from(n as i32)), 4),
        0xd3 => int(eight(bytes).map(|n| n as i64), 8),
        0xd4..=0xd8 => ext(Some(1 << (first - 0xd4)), 0),
        0xd9 => sized(one(bytes), 1, Head::Str),
        0xda => sized(two(bytes), 2, Head::Str),
        0xdb => sized(four(bytes), 4, Head::Str),
        0xdc => sized(two(bytes), 2, Head::Array),
        0xdd => sized(four(bytes), 4, Head::Array),
        0xde => sized(two(bytes), 2, Head::Map),
        0xdf => sized(four(bytes), 4, Head::Map),
        0xe0..=0xff => Some((Head::Int(i64::from(first as i8)), at + 1)),
    })
}

/// The offset behind the whole value at `at`; `None` when the bytes end before it does.
///
/// # Errors
/// When it is no msgpack.
pub fn skip(bytes: &[u8], mut at: usize) -> Result<Option<usize>, MsgpackError> {
    let mut left = 1u64;
    while left > 0 {
        let Some((head, next)) = head(bytes, at)? else { return Ok(None) };
        at = next;
        left -= 1;
        match head {
            Head::Str(n) | Head::Bin(n) | Head::Ext(_, n) => at = at.saturating_add(n),
            Head::Array(n) => left = left.saturating_add(n as u64),
            Head::Map(n) => left = left.saturating_add(2 * n as u64),
            _ => {}
        }
        if at > bytes.len() {
            return Ok(None);
        }
    }
    Ok(Some(at))
}

/// The time in an event's first place: an EventTime, or seconds as a number. Returns the offset behind it.
///
/// # Errors
/// When it is no time.
pub fn time(bytes: &[u8], at: usize) -> Result<Option<(Time, usize)>, MsgpackError> {
    let Some((head, next)) = head(bytes, at)? else { return Ok(None) };
    let wrong = Err(MsgpackError { at, why: "not the time of an event" });
    let time = match head {
        Head::Ext(0, 8) => {
            let Some(parts) = bytes.get(next..next + 8) else { return Ok(None) };
            let (secs, nanos) = parts.split_at(4);
            let number = |part: &[u8]| part.iter().fold(0u32, |n, &b| n << 8 | u32::from(b));
            // More nanoseconds than a second has carry over.
            Time::from_secs_nanos(number(secs).into(), 0).map(|t| (Time(t.0 + i64::from(number(nanos))), next + 8))
        }
        Head::Uint(secs) => i64::try_from(secs).ok().and_then(|s| Time::from_secs_nanos(s, 0)).map(|t| (t, next)),
        Head::Int(secs) => Time::from_secs_nanos(secs, 0).map(|t| (t, next)),
        Head::Float(secs) => Time::from_secs_f64(secs).map(|t| (t, next)),
        _ => None,
    };
    time.map_or(wrong, |t| Ok(Some(t)))
}

/// Reads msgpack into batches; each source keeps its own.
#[derive(Debug, Default)]
pub struct MsgpackReader {
    keys: KeyCache,
    /// Names of local keys, which go to the arena's end once the value is complete.
    names: Vec<u8>,
}

impl MsgpackReader {
    /// Reads the first value in `bytes` and pushes it as one value without a key. Returns how many bytes it took;
    /// `None` when `bytes` end before the value does. Unless it was read whole, nothing was pushed.
    ///
    /// # Errors
    /// When it is no msgpack, or nested too deeply.
    pub fn next_value(&mut self, batch: &mut Batch, bytes: Span) -> Result<Option<usize>, MsgpackError> {
        self.run(batch, bytes, |p| p.value(0, Key::NONE, 0))
    }

    /// Reads the first event in `bytes`, `[time, body]` or `[[time, metadata], body]`, and appends it as a record.
    /// Returns how many bytes it took; `None` when `bytes` end before the event does.
    ///
    /// # Errors
    /// When it is no event; then nothing was appended.
    pub fn next_event(&mut self, batch: &mut Batch, bytes: Span) -> Result<Option<usize>, MsgpackError> {
        let mark = batch.begin();
        let read = self.run(batch, bytes, |p| {
            let start = p.tape.len();
            let mut at = p.array_of_two(0)?;
            let with_meta = matches!(head(p.bytes, at).map_err(Stop::Wrong)?, Some((Head::Array(_), _)));
            if with_meta {
                at = p.array_of_two(at)?;
            }
            let (time, mut at) = time(p.bytes, at).map_err(Stop::Wrong)?.ok_or(Stop::End)?;
            if with_meta {
                at = p.map(at)?;
                if p.tape.len() == start + 1 {
                    // Most metadata is empty: not worth a cell.
                    p.tape.truncate(start);
                }
            }
            let body = p.tape.len() - start;
            Ok((time, body, p.map(at)?))
        })?;
        let Some((time, body, used)) = read else { return Ok(None) };
        if batch.finish_map(mark, body, time) && body > 0 {
            batch.meta_map(batch.len() - 1, mark, 0);
        }
        Ok(Some(used))
    }

    fn run<T>(
        &mut self,
        batch: &mut Batch,
        bytes: Span,
        read: impl FnOnce(&mut Pass<'_>) -> Result<T, Stop>,
    ) -> Result<Option<T>, MsgpackError> {
        let (arena, tape) = batch.parts_mut();
        let before = tape.len();
        self.keys.restart();
        self.names.clear();
        let mut pass = Pass {
            bytes: arena.get(bytes),
            origin: bytes.at,
            end: arena.len() as u32,
            tape,
            keys: &mut self.keys,
            names: &mut self.names,
        };
        match read(&mut pass) {
            Ok(done) => {
                if !self.names.is_empty() {
                    arena.push(&self.names);
                }
                Ok(Some(done))
            }
            Err(stop) => {
                tape.truncate(before);
                match stop {
                    Stop::End => Ok(None),
                    Stop::Wrong(e) => Err(e),
                }
            }
        }
    }
}

/// Why reading stopped.
enum Stop {
    /// The bytes end.
    End,
    Wrong(MsgpackError),
}

/// One pass over some bytes. Functions take the offset to go on at and return the one behind what they read.
struct Pass<'a> {
    bytes: &'a [u8],
    /// Where `bytes` stand in the arena.
    origin: u32,
    /// The arena's end: where `names` will stand.
    end: u32,
    tape: &'a mut Vec<Cell>,
    keys: &'a mut KeyCache,
    names: &'a mut Vec<u8>,
}

impl Pass<'_> {
    #[inline]
    fn head(&self, at: usize) -> Result<(Head, usize), Stop> {
        head(self.bytes, at).map_err(Stop::Wrong)?.ok_or(Stop::End)
    }

    fn array_of_two(&self, at: usize) -> Result<usize, Stop> {
        match self.head(at)? {
            (Head::Array(2), next) => Ok(next),
            _ => Err(Stop::Wrong(MsgpackError { at, why: "not an event" })),
        }
    }

    /// A map, as one value without a key.
    fn map(&mut self, at: usize) -> Result<usize, Stop> {
        match self.head(at)? {
            (Head::Map(_), _) => self.value(at, Key::NONE, 0),
            _ => Err(Stop::Wrong(MsgpackError { at, why: "not a map" })),
        }
    }

    /// The `n` bytes at `at` as a span, and the offset behind them.
    fn span(&self, at: usize, n: usize) -> Result<(Span, usize), Stop> {
        let end = at.checked_add(n).filter(|&end| end <= self.bytes.len()).ok_or(Stop::End)?;
        Ok((Span { at: self.origin + at as u32, len: n as u32 }, end))
    }

    fn value(&mut self, at: usize, key: Key, depth: usize) -> Result<usize, Stop> {
        let (head, next) = self.head(at)?;
        let cell = match head {
            Head::Nil => Cell::null(key),
            Head::Bool(v) => Cell::bool(key, v),
            Head::Int(v) => Cell::int(key, v),
            Head::Uint(v) => Cell::uint(key, v),
            Head::Float(v) => Cell::float(key, v),
            Head::Str(n) => {
                let (span, end) = self.span(next, n)?;
                self.tape.push(Cell::str(key, span, 0));
                return Ok(end);
            }
            Head::Bin(n) | Head::Ext(_, n) => {
                let (span, end) = self.span(next, n)?;
                self.tape.push(Cell::bin(key, span));
                return Ok(end);
            }
            Head::Array(n) => return self.nested(Kind::Array, n, at, next, key, depth),
            Head::Map(n) => return self.nested(Kind::Map, n, at, next, key, depth),
        };
        self.tape.push(cell);
        Ok(next)
    }

    fn nested(
        &mut self,
        kind: Kind,
        n: usize,
        at: usize,
        mut next: usize,
        key: Key,
        depth: usize,
    ) -> Result<usize, Stop> {
        if depth == MAX_DEPTH {
            return Err(Stop::Wrong(MsgpackError { at, why: "more than 64 levels" }));
        }
        let place = self.tape.len();
        self.tape.push(Cell::nested(key, kind, n as u32, 0));
        for _ in 0..n {
            let mut key = Key::NONE;
            if kind == Kind::Map {
                (key, next) = self.key(next)?;
            }
            next = self.value(next, key, depth + 1)?;
        }
        let inner = (self.tape.len() - place - 1) as u32;
        if let Some(cell) = self.tape.get_mut(place) {
            cell.b = inner;
        }
        Ok(next)
    }

    fn key(&mut self, at: usize) -> Result<(Key, usize), Stop> {
        let (head, next) = self.head(at)?;
        let printed = match head {
            Head::Str(n) | Head::Bin(n) => {
                let (_, end) = self.span(next, n)?;
                let name = self.bytes.get(next..end).unwrap_or_default();
                return Ok((self.named(name), end));
            }
            Head::Nil => "nil".to_owned(),
            Head::Bool(v) => v.to_string(),
            Head::Int(v) => v.to_string(),
            Head::Uint(v) => v.to_string(),
            Head::Float(v) => v.to_string(),
            Head::Array(_) | Head::Map(_) | Head::Ext(..) => {
                return Err(Stop::Wrong(MsgpackError { at, why: "a key that has no name" }));
            }
        };
        Ok((self.named(printed.as_bytes()), next))
    }

    fn named(&mut self, name: &[u8]) -> Key {
        self.keys.name(name).unwrap_or_else(|| {
            let at = self.end + self.names.len() as u32;
            self.names.extend_from_slice(&(name.len() as u32).to_le_bytes());
            self.names.extend_from_slice(name);
            Key::local(at)
        })
    }
}

#[cfg(test)]
mod tests;
