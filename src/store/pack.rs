//! Records as bytes: compact, complete in themselves, quick to write and to read.
//!
//! ```text
//! payload = number of records (varint), records
//! record  = flags (1 byte: 1 metadata follows the body, 2 a source is named)
//!           [source: its number (varint); when that is the next new one: device, inode (varints),
//!            print (8 bytes), base (varint)]
//!           time (zigzag: nanoseconds since the record before), place (zigzag: bytes since the record before),
//!           run (the body), [run (the metadata)]
//! run     = number of cells (varint), cells
//! cell    = key: 0 none; 1 a name follows; else its number + 2 (varint), a name follows when that is the next new one
//!           head: kind in the low four bits; in the others n, or 15 and then n as a varint
//!           value: integers n bytes of a zigzag number, floats 8 bytes, text and opaque bytes n bytes, maps and
//!           arrays the n cells within them; a truth value is n
//! name    = length (4 bytes), bytes
//! ```
//!
//! A name looks as the arena of a batch holds local ones, and text stands in one piece: whoever reads copies the payload
//! into the arena at once, and cells point into it.

use super::Damage;
use super::pen::Pen;
use super::wire::{Wire, unzigzag, zigzag};
use crate::event::cell::{CLEAN, ESCAPED};
use crate::event::{Arena, Batch, Cell, Key, Kind, Source, Span};
use crate::time::Time;
use rustc_hash::FxHashMap;
use std::ops::Range;

/// Maps and arrays that may stand in each other.
pub const MAX_DEPTH: usize = 256;

const META: u8 = 1;
const SOURCE: u8 = 2;

/// The kinds of cells. Text has four, by its flags [`CLEAN`] and [`ESCAPED`].
const NULL: u8 = 0;
const BOOL: u8 = 1;
const INT: u8 = 2;
const UINT: u8 = 3;
const FLOAT: u8 = 4;
const BIN: u8 = 5;
const MAP: u8 = 6;
const ARRAY: u8 = 7;
const STR: u8 = 8;

const NO_KEY: u32 = 0;
const NAME: u32 = 1;
const FIRST: u32 = 2;

/// Appends the records of `range` as one payload and returns how many they are: dropped ones that are not yet swept
/// are left out.
pub fn write(batch: &Batch, range: Range<usize>, out: &mut Vec<u8>) -> usize {
    let range = range.start.min(batch.len())..range.end.min(batch.len());
    let count = range.clone().filter(|&i| !batch.is_dropped(i)).count();
    let mut writer = Writer { batch, pen: Pen::new(out), keys: Numbers::default(), sources: Vec::new(), known: 0 };
    writer.pen.varint(count as u64);
    let (mut time, mut source, mut at) = (0i64, u32::MAX, 0u32);
    for record in range.filter_map(|i| batch.raw(i)) {
        let named = record.source != source;
        let has_meta = !record.meta.is_empty();
        writer.pen.byte((u8::from(has_meta) * META) | (u8::from(named) * SOURCE));
        if named {
            source = record.source;
            writer.source(source);
        }
        writer.pen.varint(zigzag(record.time.0.wrapping_sub(time)));
        writer.pen.varint(zigzag((record.at.wrapping_sub(at) as i32).into()));
        (time, at) = (record.time.0, record.at);
        writer.run(record.body);
        if has_meta {
            writer.run(record.meta);
        }
    }
    count
}

struct Writer<'a> {
    batch: &'a Batch,
    pen: Pen<'a>,
    keys: Numbers,
    /// The numbers of the batch's sources here, 0 for those not yet named, else one more.
    sources: Vec<u32>,
    known: u32,
}

impl Writer<'_> {
    fn source(&mut self, source: u32) {
        let i = source as usize;
        let place = self.batch.sources().get(i).copied().unwrap_or_default();
        if self.sources.len() <= i {
            self.sources.resize(i + 1, 0);
        }
        let number = self.sources.get(i).copied().unwrap_or_default();
        if number > 0 {
            return self.pen.varint(u64::from(number - 1));
        }
        self.pen.varint(self.known.into());
        self.known += 1;
        if let Some(number) = self.sources.get_mut(i) {
            *number = self.known;
        }
        self.pen.varint(place.dev);
        self.pen.varint(place.ino);
        self.pen.bytes(&place.print.to_le_bytes());
        self.pen.varint(place.base);
    }

    fn run(&mut self, run: &[Cell]) {
        self.pen.varint(run.len() as u64);
        self.cells(run, 0);
    }

    fn cells(&mut self, mut run: &[Cell], depth: usize) {
        while let Some((cell, rest)) = run.split_first() {
            run = rest;
            if cell.kind == Kind::Str && self.short_text(cell) {
                continue;
            }
            self.key(cell.key);
            match cell.kind {
                Kind::Str => self.bytes(STR | cell.flags & (CLEAN | ESCAPED), cell.span()),
                Kind::Int => self.number(INT, zigzag(cell.bits() as i64)),
                Kind::Null => self.pen.byte(NULL),
                Kind::Bool => self.pen.byte(BOOL | u8::from(cell.a != 0) << 4),
                Kind::Uint => self.number(UINT, cell.bits()),
                Kind::Float => {
                    self.pen.byte(FLOAT);
                    self.pen.first(&cell.bits().to_le_bytes(), 8);
                }
                Kind::Bin => self.bytes(BIN, cell.span()),
                // Too deep to be read back, which no input makes: a null, and what was in it beside it.
                Kind::Map | Kind::Array if depth == MAX_DEPTH => self.pen.byte(NULL),
                Kind::Map | Kind::Array => {
                    let (inner, rest) = run.split_at(run.len().min(cell.b as usize));
                    run = rest;
                    self.head(if cell.kind == Kind::Map { MAP } else { ARRAY }, inner.len());
                    self.cells(inner, depth + 1);
                }
            }
        }
    }

    #[inline]
    fn key(&mut self, key: Key) {
        match self.keys.near(key) {
            Some(number) if number < 0x80 => self.pen.byte(number as u8),
            _ => self.other_key(key),
        }
    }

    #[cold]
    fn other_key(&mut self, key: Key) {
        if key == Key::NONE {
            return self.pen.varint(NO_KEY.into());
        }
        let (number, is_new) = if key.is_local() { (NAME, true) } else { self.keys.far(key) };
        self.pen.varint(number.into());
        if is_new {
            let name = self.batch.key_name(key);
            self.pen.bytes(&(name.len() as u32).to_le_bytes());
            self.pen.bytes(name);
        }
    }

    #[inline]
    fn head(&mut self, kind: u8, n: usize) {
        if n < 15 {
            return self.pen.byte(kind | (n as u8) << 4);
        }
        if n < 0x80 {
            return self.pen.two(kind | 0xf0, n as u8);
        }
        self.pen.byte(kind | 0xf0);
        self.pen.varint(n as u64);
    }

    #[inline]
    fn bytes(&mut self, kind: u8, span: Span) {
        let arena = self.batch.arena();
        let bytes = arena.get(span);
        self.head(kind, bytes.len());
        self.pen.bytes(bytes);
    }

    /// Most cells are a short text under one of the first keys: those are written at once, in steps of fixed length.
    #[inline]
    fn short_text(&mut self, cell: &Cell) -> bool {
        let (arena, span, n) = (self.batch.arena(), cell.span(), cell.b as usize);
        let Some(key) = self.keys.near(cell.key).filter(|&number| number < 0x80) else { return false };
        let (key, kind) = (key as u8, STR | cell.flags & (CLEAN | ESCAPED));
        if n < 15
            && let Some(text) = arena.get(Span { len: 15, ..span }).first_chunk::<15>()
        {
            self.pen.labelled([key, kind | (n as u8) << 4], text, n);
            return true;
        }
        if n <= 48
            && let Some(text) = arena.get(Span { len: 48, ..span }).first_chunk::<48>()
        {
            self.pen.labelled([key, kind | 0xf0, n as u8], text, n);
            return true;
        }
        false
    }

    #[inline]
    fn number(&mut self, kind: u8, v: u64) {
        let n = 8 - v.leading_zeros() as usize / 8;
        self.pen.byte(kind | (n as u8) << 4);
        self.pen.first(&v.to_le_bytes(), n);
    }
}

/// Which key has which number in a payload.
struct Numbers {
    /// By the low byte of the key: interned keys are counted up, so that they seldom displace each other.
    near: [(u32, u32); 256],
    far: FxHashMap<u32, u32>,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { near: [(Key::NONE.number(), NO_KEY); 256], far: FxHashMap::default() }
    }
}

impl Numbers {
    #[inline]
    fn near(&self, key: Key) -> Option<u32> {
        let (k, number) = self.near[key.number() as usize % 256];
        (k == key.number()).then_some(number)
    }

    /// The number of an interned key, and whether it is new.
    fn far(&mut self, key: Key) -> (u32, bool) {
        let next = FIRST + self.far.len() as u32;
        let number = *self.far.entry(key.number()).or_insert(next);
        self.near[key.number() as usize % 256] = (key.number(), number);
        (number, number == next)
    }
}

/// Appends the records of a payload to `batch` and returns how many there were. They are fresh to it.
///
/// # Errors
/// When the bytes are no payload; then the batch is as it was.
pub fn read(payload: &[u8], batch: &mut Batch) -> Result<usize, Damage> {
    if batch.arena().len() + payload.len() > Arena::MAX {
        return Err(Damage { at: 0, why: "more than a batch can hold" });
    }
    let extent = batch.extent();
    let base = batch.arena_mut().push(payload).at;
    let mut reader = Reader { wire: Wire::new(payload), base, batch, keys: Vec::new(), sources: Vec::new() };
    let read = reader.records();
    if read.is_err() {
        batch.shorten(extent);
    }
    read
}

struct Reader<'a> {
    wire: Wire<'a>,
    /// Where the payload stands in the arena.
    base: u32,
    batch: &'a mut Batch,
    keys: Vec<Key>,
    /// The numbers of the payload's sources in the batch.
    sources: Vec<u32>,
}

impl Reader<'_> {
    fn records(&mut self) -> Result<usize, Damage> {
        // Flags, time, place and a number of cells.
        let count = self.wire.count(4)?;
        self.batch.reserve(count);
        let (mut time, mut source, mut at) = (0i64, None, 0u32);
        for _ in 0..count {
            let flags = self.wire.byte()?;
            if flags & !(META | SOURCE) != 0 {
                return self.wire.wrong("unknown flags");
            }
            if flags & SOURCE != 0 {
                source = Some(self.source()?);
            }
            let Some(source) = source else { return self.wire.wrong("a record without a source") };
            time = time.wrapping_add(self.wire.zigzag()?);
            at = at.wrapping_add(self.wire.zigzag()? as u32);
            let mark = self.batch.begin();
            let body = self.run()?;
            if flags & META != 0 {
                self.run()?;
            }
            self.batch.finish_raw(mark, body, Time(time), source, at);
        }
        self.wire.end()?;
        Ok(count)
    }

    fn source(&mut self) -> Result<u32, Damage> {
        let number = self.wire.varint()?;
        if let Some(&source) = usize::try_from(number).ok().and_then(|n| self.sources.get(n)) {
            return Ok(source);
        }
        if number != self.sources.len() as u64 {
            return self.wire.wrong("an unknown source");
        }
        let (dev, ino) = (self.wire.varint()?, self.wire.varint()?);
        let (print, base) = (self.wire.u64()?, self.wire.varint()?);
        let source = self.batch.add_source(Source { dev, ino, print, base });
        self.sources.push(source);
        Ok(source)
    }

    fn run(&mut self) -> Result<usize, Damage> {
        // A key and a head.
        let cells = self.wire.count(2)?;
        self.cells(cells, 0)?;
        Ok(cells)
    }

    /// Reads that many cells and returns how many of them are not nested.
    fn cells(&mut self, mut left: usize, depth: usize) -> Result<u32, Damage> {
        let mut entries = 0;
        while left > 0 {
            left -= 1;
            entries += 1;
            let key = self.key()?;
            let head = self.wire.byte()?;
            let (kind, n) = (head & 15, head >> 4);
            let cell = match kind {
                STR..=15 if kind <= STR | CLEAN | ESCAPED => Cell::str(key, self.bytes(n)?, kind & (CLEAN | ESCAPED)),
                INT => Cell::int(key, unzigzag(self.number(n)?)),
                NULL if n == 0 => Cell::null(key),
                BOOL if n < 2 => Cell::bool(key, n > 0),
                UINT => Cell::uint(key, self.number(n)?),
                FLOAT if n == 0 => Cell::float(key, f64::from_bits(self.wire.u64()?)),
                BIN => Cell::bin(key, self.bytes(n)?),
                MAP | ARRAY => {
                    let inner = self.length(n)?;
                    if inner > left || depth == MAX_DEPTH {
                        return self.wire.wrong("a map or an array that does not fit");
                    }
                    let opened = self.batch.open(key, if kind == MAP { Kind::Map } else { Kind::Array });
                    let within = self.cells(inner, depth + 1)?;
                    self.batch.close(opened, within);
                    left -= inner;
                    continue;
                }
                _ => return self.wire.wrong("an unknown kind of value"),
            };
            self.batch.push(cell);
        }
        Ok(entries)
    }

    #[inline]
    fn key(&mut self) -> Result<Key, Damage> {
        let number = self.wire.varint()?;
        if number == u64::from(NO_KEY) {
            return Ok(Key::NONE);
        }
        if number == u64::from(NAME) {
            return self.name();
        }
        let at = usize::try_from(number - u64::from(FIRST)).unwrap_or(usize::MAX);
        if let Some(&key) = self.keys.get(at) {
            return Ok(key);
        }
        if at != self.keys.len() {
            return self.wire.wrong("an unknown key");
        }
        let key = self.name()?;
        self.keys.push(key);
        Ok(key)
    }

    fn name(&mut self) -> Result<Key, Damage> {
        let at = self.base + self.wire.at() as u32;
        let len = self.wire.u32()? as usize;
        let name = self.wire.take(len)?;
        Ok(Key::intern(name).unwrap_or_else(|| Key::local(at)))
    }

    /// The number that goes with a head.
    #[inline]
    fn length(&mut self, n: u8) -> Result<usize, Damage> {
        if n < 15 { Ok(n.into()) } else { self.wire.count(1) }
    }

    #[inline]
    fn bytes(&mut self, n: u8) -> Result<Span, Damage> {
        let len = self.length(n)?;
        let at = self.base + self.wire.at() as u32;
        self.wire.take(len)?;
        Ok(Span { at, len: len as u32 })
    }

    fn number(&mut self, n: u8) -> Result<u64, Damage> {
        if n > 8 {
            return self.wire.wrong("a number that is too large");
        }
        Ok(self.wire.take(n.into())?.iter().rev().fold(0, |v, &b| v << 8 | u64::from(b)))
    }
}

#[cfg(test)]
#[path = "pack_tests.rs"]
mod tests;
