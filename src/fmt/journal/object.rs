//! Objects behind the header: entries, the arrays that list them, and the data they point to.

use super::{Damage, Header, Id, ReadAt, fill, u32_at, u64_at};
use crate::fmt::codec::Codec;

/// The longest field that is read, in bytes, name and value.
pub const MAX_DATA: usize = 4 << 20;
/// Fields of one entry; writers stop at 1024.
const MAX_ITEMS: u64 = 16 << 10;

const DATA: u8 = 1;
const ENTRY: u8 = 3;
const ENTRY_ARRAY: u8 = 6;

/// Flags of a data object.
const XZ: u8 = 1;
const LZ4: u8 = 2;
const ZSTD: u8 = 4;

/// Bytes before an entry's items, an array's offsets, and a field's bytes.
const ENTRY_HEAD: usize = 64;
const ARRAY_HEAD: usize = 24;
const DATA_HEAD: usize = 64;
/// What a field has in front of it in a compact file, beside [`DATA_HEAD`].
const COMPACT_TAIL: usize = 8;

/// One entry: when it was written, and where its fields are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its number among all entries of its run of sequence numbers.
    pub seqnum: u64,
    /// Microseconds since 1970.
    pub realtime: u64,
    /// Microseconds of the boot's own clock.
    pub monotonic: u64,
    /// Which boot.
    pub boot_id: Id,
    /// The exclusive or of the hashes of its fields.
    pub xor_hash: u64,
    /// The offsets of its fields.
    pub items: Vec<u64>,
}

/// Reads the first bytes of an object, which is at least so long, and of this kind. Answers its flags and its size.
fn head(source: &mut dyn ReadAt, header: &Header, at: u64, kind: u8, room: &mut [u8]) -> Result<(u8, u64), Damage> {
    if at < header.size || !at.is_multiple_of(8) {
        return Err(Damage::Object(at));
    }
    fill(source, at, room)?;
    let size = u64_at(room, 8);
    if room.first() != Some(&kind) || size < room.len() as u64 || at.checked_add(size).is_none() {
        return Err(Damage::Object(at));
    }
    Ok((room.get(1).copied().unwrap_or(0), size))
}

/// The array at an offset: that of the next one (0 is none), and how many entries it has room for.
pub(super) fn array(source: &mut dyn ReadAt, header: &Header, at: u64) -> Result<(u64, u64), Damage> {
    let mut room = [0; ARRAY_HEAD];
    let (_, size) = head(source, header, at, ENTRY_ARRAY, &mut room)?;
    let width = if header.compact { 4 } else { 8 };
    Ok((u64_at(&room, 16), (size - ARRAY_HEAD as u64) / width))
}

/// The `n`-th offset of an array; 0 where there is none yet.
pub(super) fn array_item(source: &mut dyn ReadAt, header: &Header, at: u64, n: u64) -> Result<u64, Damage> {
    let width = if header.compact { 4 } else { 8 };
    let place = n.checked_mul(width).and_then(|far| at.checked_add(ARRAY_HEAD as u64 + far));
    let place = place.ok_or(Damage::Outside(at))?;
    let mut room = [0; 8];
    let room = room.get_mut(..width as usize).unwrap_or_default();
    fill(source, place, room)?;
    Ok(if header.compact { u64::from(u32_at(room, 0)) } else { u64_at(room, 0) })
}

impl Entry {
    /// Reads all but its items; answers their number.
    pub(super) fn read_head(&mut self, source: &mut dyn ReadAt, header: &Header, at: u64) -> Result<u64, Damage> {
        let mut room = [0; ENTRY_HEAD];
        let (_, size) = head(source, header, at, ENTRY, &mut room)?;
        self.seqnum = u64_at(&room, 16);
        self.realtime = u64_at(&room, 24);
        self.monotonic = u64_at(&room, 32);
        self.boot_id = Id::at(&room, 40);
        self.xor_hash = u64_at(&room, 56);
        self.items.clear();
        let width = if header.compact { 4 } else { 16 };
        let items = (size - ENTRY_HEAD as u64) / width;
        if items > MAX_ITEMS || self.seqnum == 0 {
            return Err(Damage::Object(at));
        }
        Ok(items)
    }

    /// Reads the entry at an offset.
    pub(super) fn read(&mut self, source: &mut dyn ReadAt, header: &Header, at: u64) -> Result<(), Damage> {
        let items = self.read_head(source, header, at)?;
        let width = if header.compact { 4 } else { 16 };
        let mut room = [0; 1024];
        let (mut left, mut from) = (items as usize * width, at + ENTRY_HEAD as u64);
        while left > 0 {
            let piece = room.get_mut(..left.min(1024)).unwrap_or_default();
            fill(source, from, piece)?;
            from += piece.len() as u64;
            left -= piece.len();
            let offset = |item: &[u8]| if header.compact { u64::from(u32_at(item, 0)) } else { u64_at(item, 0) };
            self.items.extend(piece.chunks(width).map(offset));
        }
        Ok(())
    }
}

/// Appends the field at an offset, `NAME=value`.
pub(super) fn data(source: &mut dyn ReadAt, header: &Header, at: u64, out: &mut Vec<u8>) -> Result<(), Damage> {
    let mut room = [0; DATA_HEAD + COMPACT_TAIL];
    let len = if header.compact { DATA_HEAD + COMPACT_TAIL } else { DATA_HEAD };
    let room = room.get_mut(..len).unwrap_or_default();
    let (flags, size) = head(source, header, at, DATA, room)?;
    let stored = size - len as u64;
    if stored > MAX_DATA as u64 {
        return Err(Damage::Long(stored));
    }
    let begin = out.len();
    // A size that is a lie must not cost memory: what is there is read piece by piece.
    let mut left = stored as usize;
    let mut from = at + len as u64;
    while left > 0 {
        let piece = left.min(64 << 10);
        let old = out.len();
        out.resize(old + piece, 0);
        if let Err(e) = fill(source, from, out.get_mut(old..).unwrap_or_default()) {
            out.truncate(begin);
            return Err(e);
        }
        from += piece as u64;
        left -= piece;
    }
    if flags & (XZ | LZ4 | ZSTD) == 0 {
        return Ok(());
    }
    let packed = out.split_off(begin);
    let unpacked = unpack(flags, &packed, at, out);
    if unpacked.is_err() {
        out.truncate(begin);
    }
    unpacked
}

fn unpack(flags: u8, packed: &[u8], at: u64, out: &mut Vec<u8>) -> Result<(), Damage> {
    match flags & (XZ | LZ4 | ZSTD) {
        XZ => Err(Damage::Xz),
        ZSTD => Codec::Zstd.unpack(packed, MAX_DATA, out).map_err(|_| Damage::Packed(at)),
        // The length in eight bytes, then one block.
        LZ4 => {
            let len = u64_at(packed, 0);
            let room = usize::try_from(len).ok().filter(|n| *n <= MAX_DATA).ok_or(Damage::Long(len))?;
            let block = packed.get(8..).unwrap_or_default();
            // No block unpacks to more than 255 times its length.
            if room / 255 > block.len() {
                return Err(Damage::Packed(at));
            }
            let text = lz4_flex::block::decompress(block, room).map_err(|_| Damage::Packed(at))?;
            if text.len() != room {
                return Err(Damage::Packed(at));
            }
            out.extend_from_slice(&text);
            Ok(())
        }
        _ => Err(Damage::Object(at)),
    }
}
