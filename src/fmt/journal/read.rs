//! A journal file: its entries by their index, and where to begin.

use super::object::{self, Entry};
use super::{Damage, Header, ReadAt};

/// Arrays of one file. They double in size: a file cannot have many.
const MAX_ARRAYS: u32 = 1 << 16;

/// A journal file, without its bytes: each call is given those.
#[derive(Debug, Clone)]
pub struct Journal {
    header: Header,
    place: Place,
}

/// The array that was used last.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Its offset; 0 before the first.
    at: u64,
    /// The index of its first entry.
    first: u64,
    /// How many it has room for.
    room: u64,
    /// How many arrays stand before it.
    before: u32,
}

impl Journal {
    /// Reads the header.
    ///
    /// # Errors
    /// When this is no journal, or one of a version that is not known.
    pub fn open(source: &mut dyn ReadAt) -> Result<Self, Damage> {
        Ok(Self { header: Header::read(source)?, place: Place::default() })
    }

    /// What the header said when it was read last.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Reads the header again. Answers how many entries there are now.
    ///
    /// # Errors
    /// As [`Self::open`], and when it is another file by now.
    pub fn refresh(&mut self, source: &mut dyn ReadAt) -> Result<u64, Damage> {
        let header = Header::read(source)?;
        if header.file_id != self.header.file_id || header.compact != self.header.compact {
            return Err(Damage::Header);
        }
        if header.entry_array != self.header.entry_array {
            self.place = Place::default();
        }
        self.header = header;
        Ok(header.entries)
    }

    /// Reads entry `n`; `false` when it is not there yet.
    ///
    /// # Errors
    /// What is damaged: the entry alone ([`Self::can_go_on`]), or the way to it and to all behind it.
    pub fn entry(&mut self, source: &mut dyn ReadAt, n: u64, entry: &mut Entry) -> Result<bool, Damage> {
        match self.offset(source, n)? {
            0 => Ok(false),
            at => entry.read(source, &self.header, at).map(|()| true),
        }
    }

    /// Whether the entry behind `n` can be found, whatever `n` itself is.
    pub fn can_go_on(&mut self, source: &mut dyn ReadAt, n: u64) -> bool {
        self.offset(source, n).is_ok_and(|at| at != 0)
    }

    /// Appends the field at an offset that an entry names: `NAME=value`.
    ///
    /// # Errors
    /// Of this field; others may be sound.
    pub fn data(&self, source: &mut dyn ReadAt, at: u64, out: &mut Vec<u8>) -> Result<(), Damage> {
        object::data(source, &self.header, at, out)
    }

    /// The index of the first entry for which `is_before` does not hold, when it holds for all before that one. Of entries only
    /// the heads are read.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn partition(&mut self, source: &mut dyn ReadAt, is_before: impl Fn(&Entry) -> bool) -> Result<u64, Damage> {
        let (mut low, mut high) = (0, self.header.entries);
        let mut entry = Entry::default();
        while low < high {
            let middle = low + (high - low) / 2;
            let at = match self.offset(source, middle) {
                Ok(at) => at,
                // The header may count more than there is.
                Err(Damage::Outside(_)) => 0,
                Err(e) => return Err(e),
            };
            if at == 0 {
                high = middle;
                continue;
            }
            entry.read_head(source, &self.header, at)?;
            if is_before(&entry) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The offset of entry `n`; 0 when there is none.
    fn offset(&mut self, source: &mut dyn ReadAt, n: u64) -> Result<u64, Damage> {
        if n < self.place.first || self.place.at == 0 {
            self.place = Place::default();
            let at = self.header.entry_array;
            if at == 0 {
                return Ok(0);
            }
            self.place = Place { at, first: 0, room: object::array(source, &self.header, at)?.1, before: 0 };
        }
        while n >= self.place.first.saturating_add(self.place.room) {
            let Place { at, first, room, before } = self.place;
            let (next, _) = object::array(source, &self.header, at)?;
            if next == 0 {
                return Ok(0);
            }
            // Objects are only ever appended.
            if next <= at || before >= MAX_ARRAYS {
                return Err(Damage::Loop(next));
            }
            let (_, more) = object::array(source, &self.header, next)?;
            self.place = Place { at: next, first: first.saturating_add(room), room: more, before: before + 1 };
        }
        object::array_item(source, &self.header, self.place.at, n - self.place.first)
    }
}
