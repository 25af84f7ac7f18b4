//! One cell of the tape: a key with a scalar, or the head of a map or an array.

use super::{Key, Span};

/// What a cell holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// No value.
    Null,
    /// `a` is 0 or 1.
    Bool,
    /// A signed 64-bit integer in `a` (low) and `b` (high).
    Int,
    /// An unsigned 64-bit integer above `i64::MAX`.
    Uint,
    /// The bits of an `f64`.
    Float,
    /// Text: a span.
    Str,
    /// Opaque bytes: a span.
    Bin,
    /// A map: `a` entries in the `b` cells that follow.
    Map,
    /// An array: `a` elements in the `b` cells that follow; their keys mean nothing.
    Array,
}

/// Checked: the stored bytes are printable ASCII and go into JSON as they are. Together with [`ESCAPED`] they are JSON
/// source text, else plain text with nothing to escape.
pub const CLEAN: u8 = 1;
/// JSON source text whose escapes are all in canonical short form (`\n \t \r \b \f \" \\`): copied verbatim into JSON.
pub const ESCAPED: u8 = 2;

/// Sixteen bytes of tape.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Cell {
    /// The key under which the value stands; [`Key::NONE`] inside arrays.
    pub key: Key,
    /// What `a` and `b` mean.
    pub kind: Kind,
    /// [`CLEAN`] and [`ESCAPED`], for `Kind::Str`.
    pub flags: u8,
    /// Offset, low word, or number of entries.
    pub a: u32,
    /// Length, high word, or number of cells to skip.
    pub b: u32,
}

impl Cell {
    /// A null.
    #[inline]
    pub fn null(key: Key) -> Self {
        Self { key, kind: Kind::Null, flags: 0, a: 0, b: 0 }
    }

    /// A boolean.
    #[inline]
    pub fn bool(key: Key, v: bool) -> Self {
        Self { key, kind: Kind::Bool, flags: 0, a: u32::from(v), b: 0 }
    }

    /// A signed integer.
    #[inline]
    pub fn int(key: Key, v: i64) -> Self {
        Self::wide(key, Kind::Int, v as u64)
    }

    /// An unsigned integer; becomes `Kind::Int` where it fits.
    #[inline]
    pub fn uint(key: Key, v: u64) -> Self {
        Self::wide(key, if v > i64::MAX as u64 { Kind::Uint } else { Kind::Int }, v)
    }

    /// A double.
    #[inline]
    pub fn float(key: Key, v: f64) -> Self {
        Self::wide(key, Kind::Float, v.to_bits())
    }

    /// Text with flags.
    #[inline]
    pub fn str(key: Key, s: Span, flags: u8) -> Self {
        Self { key, kind: Kind::Str, flags, a: s.at, b: s.len }
    }

    /// Opaque bytes.
    pub fn bin(key: Key, s: Span) -> Self {
        Self { key, kind: Kind::Bin, flags: 0, a: s.at, b: s.len }
    }

    /// A map or array head.
    #[inline]
    pub fn nested(key: Key, kind: Kind, entries: u32, cells: u32) -> Self {
        Self { key, kind, flags: 0, a: entries, b: cells }
    }

    /// The span of text or bytes.
    #[inline]
    pub fn span(&self) -> Span {
        Span { at: self.a, len: self.b }
    }

    /// The 64-bit payload.
    #[inline]
    pub fn bits(&self) -> u64 {
        u64::from(self.a) | u64::from(self.b) << 32
    }

    /// Cells this value takes, its own included.
    #[inline]
    pub fn width(&self) -> usize {
        match self.kind {
            Kind::Map | Kind::Array => 1 + self.b as usize,
            _ => 1,
        }
    }

    /// Whether it is the head of a map or an array.
    #[inline]
    pub fn is_nested(&self) -> bool {
        matches!(self.kind, Kind::Map | Kind::Array)
    }

    #[inline]
    fn wide(key: Key, kind: Kind, v: u64) -> Self {
        Self { key, kind, flags: 0, a: v as u32, b: (v >> 32) as u32 }
    }
}

/// The place of the first entry under `key`, nested ones apart.
///
/// Walking from head to head waits for each width in turn. Most maps hold no others before the entry that is looked
/// for: then comparing every cell is right, and several times faster.
#[inline]
pub fn first_under(run: &[Cell], key: Key) -> Option<usize> {
    let at = run.iter().position(|c| c.key == key)?;
    if is_flat(run.get(..at)?) { Some(at) } else { heads(run).find(|h| h.1 == key).map(|h| h.0) }
}

/// The place of the last entry under `key`, nested ones apart.
#[inline]
pub fn last_under(run: &[Cell], key: Key) -> Option<usize> {
    let at = run.iter().rposition(|c| c.key == key)?;
    if is_flat(run.get(..at)?) { Some(at) } else { heads(run).filter(|h| h.1 == key).last().map(|h| h.0) }
}

/// Whether no cell is the head of a map or an array.
#[inline]
pub fn is_flat(run: &[Cell]) -> bool {
    !run.iter().any(Cell::is_nested)
}

/// The places and keys of the entries of a run, nested ones apart.
pub fn heads(run: &[Cell]) -> impl Iterator<Item = (usize, Key)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let cell = run.get(at)?;
        let head = (at, cell.key);
        at += cell.width();
        Some(head)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_sixteen_bytes() {
        assert_eq!(size_of::<Cell>(), 16);
    }

    #[test]
    fn wide_values_round_trip() {
        for v in [0i64, 1, -1, i64::MIN, i64::MAX] {
            assert_eq!(Cell::int(Key::NONE, v).bits() as i64, v);
        }
        assert_eq!(Cell::uint(Key::NONE, u64::MAX).kind, Kind::Uint);
        assert_eq!(Cell::uint(Key::NONE, 7).kind, Kind::Int);
        assert_eq!(f64::from_bits(Cell::float(Key::NONE, -0.5).bits()), -0.5);
    }

    #[test]
    fn entries_are_found_among_nested_ones() {
        let (a, b, m) = (Key::of("a"), Key::of("b"), Key::of("m"));
        let map = |cells| Cell::nested(m, Kind::Map, cells, cells);
        let list = |cells| Cell::nested(b, Kind::Array, cells, cells);
        let (x, y, element) = (Cell::null(a), Cell::null(b), Cell::null(Key::NONE));
        let table: &[(&[Cell], Option<usize>, Option<usize>)] = &[
            (&[], None, None),
            (&[x], Some(0), Some(0)),
            (&[y, x, y, x], Some(1), Some(3)),
            (&[map(1), x], None, None),
            (&[map(2), x, y, x], Some(3), Some(3)),
            (&[x, map(2), y, x], Some(0), Some(0)),
            (&[x, list(2), element, element, x, map(1), x], Some(0), Some(4)),
            (&[y, y], None, None),
        ];
        for (run, first, last) in table {
            assert_eq!((first_under(run, a), last_under(run, a)), (*first, *last), "{run:?}");
        }
    }
}
