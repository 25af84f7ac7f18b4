//! Writes small journals, for the tests of those who read them.

use crate::fmt::codec::Codec;

/// How fields are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pack {
    Plain,
    Lz4,
    Zstd,
    Xz,
}

/// A journal in memory. Fields are stored once, entries and arrays as the format has them; there are no hash tables.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
    compact: bool,
    pack: Pack,
    fields: Vec<(Vec<u8>, u64)>,
    /// The last array, its room, and how much of it is used.
    array: (u64, u64, u64),
}

const HEADER: usize = 256;

impl Writer {
    pub(crate) fn new(compact: bool, pack: Pack, file: u8) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[..8].copy_from_slice(b"LPKSHHRH");
        let flags = 4 | u32::from(compact) << 4 | [0, 2, 8, 1][pack as usize];
        bytes[12..16].copy_from_slice(&flags.to_le_bytes());
        bytes[16] = 1;
        bytes[24..40].fill(file);
        bytes[72..88].fill(0xA5);
        bytes[88..96].copy_from_slice(&(HEADER as u64).to_le_bytes());
        Self { bytes, compact, pack, fields: Vec::new(), array: (0, 0, 0) }
    }

    fn put(&mut self, at: u64, n: u64) {
        self.bytes[at as usize..][..8].copy_from_slice(&n.to_le_bytes());
    }

    fn number(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes[at..at + 8].try_into().unwrap())
    }

    /// An object of a kind with this behind its head; answers its offset.
    fn object(&mut self, kind: u8, flags: u8, rest: &[u8]) -> u64 {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[kind, flags, 0, 0, 0, 0, 0, 0]);
        self.bytes.extend_from_slice(&(16 + rest.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(rest);
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        at as u64
    }

    fn field(&mut self, text: &[u8]) -> u64 {
        if let Some((_, at)) = self.fields.iter().find(|(known, _)| known == text) {
            return *at;
        }
        let mut rest = vec![0; if self.compact { 56 } else { 48 }];
        let packs = text.len() > 30;
        match self.pack {
            Pack::Lz4 if packs => {
                rest.extend_from_slice(&(text.len() as u64).to_le_bytes());
                rest.extend_from_slice(&lz4_flex::block::compress(text));
            }
            Pack::Zstd if packs => Codec::Zstd.pack(text, &mut rest),
            _ => rest.extend_from_slice(text),
        }
        let flags = if packs { [0, 2, 4, 1][self.pack as usize] } else { 0 };
        let at = self.object(1, flags, &rest);
        self.fields.push((text.to_vec(), at));
        at
    }

    /// An entry that nothing leads to yet; answers its offset.
    pub(crate) fn entry(&mut self, seqnum: u64, realtime: u64, fields: &[&[u8]]) -> u64 {
        let items: Vec<u64> = fields.iter().map(|f| self.field(f)).collect();
        let mut rest = Vec::new();
        for n in [seqnum, realtime, realtime / 2] {
            rest.extend_from_slice(&n.to_le_bytes());
        }
        rest.extend_from_slice(&[0xB0; 16]);
        rest.extend_from_slice(&(seqnum * 31).to_le_bytes());
        for item in items {
            match self.compact {
                true => rest.extend_from_slice(&(item as u32).to_le_bytes()),
                false => rest.extend_from_slice(&[item.to_le_bytes(), [0; 8]].concat()),
            }
        }
        self.object(3, 0, &rest)
    }

    /// Links an entry up, in an array twice as large as the last one when that is full.
    pub(crate) fn link(&mut self, entry: u64) {
        let width = if self.compact { 4 } else { 8 };
        let (at, room, used) = self.array;
        if used == room {
            let more = (room * 2).max(2);
            let new = self.object(6, 0, &vec![0; 8 + (more * width) as usize]);
            match at {
                0 => self.put(176, new),
                at => self.put(at + 16, new),
            }
            self.array = (new, more, 0);
        }
        let (at, room, used) = self.array;
        let place = (at + 24 + used * width) as usize;
        match self.compact {
            true => self.bytes[place..place + 4].copy_from_slice(&(entry as u32).to_le_bytes()),
            false => self.bytes[place..place + 8].copy_from_slice(&entry.to_le_bytes()),
        }
        self.array = (at, room, used + 1);
        let entries = self.number(152) + 1;
        self.put(152, entries);
    }

    /// An entry of one field.
    pub(crate) fn add(&mut self, seqnum: u64, realtime: u64, fields: &[&[u8]]) {
        let at = self.entry(seqnum, realtime, fields);
        self.link(at);
    }
}
