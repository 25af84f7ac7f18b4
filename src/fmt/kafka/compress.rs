//! Compression of the records of a batch, framed as Kafka's Java clients frame it.
//!
//! gzip and zstd are the usual formats. LZ4 is the frame format with independent blocks. Snappy stands in the frame of
//! the snappy-java library: a header of 16 bytes, then blocks of 32 KiB, each behind its packed length.

use crate::fmt::codec::{Codec, Unpack};
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use std::io::Write;

/// How the records of a batch are packed; the number stands in the batch's attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None = 0,
    /// gzip.
    Gzip = 1,
    /// Snappy.
    Snappy = 2,
    /// LZ4.
    Lz4 = 3,
    /// Zstandard; brokers know it since 2.1 (Produce 7).
    Zstd = 4,
}

/// The header of a snappy-java stream: its mark, its version, and the oldest version that can read it.
const SNAPPY: &[u8; 16] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const BLOCK: usize = 32 << 10;

impl Compression {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The one of these attributes.
    pub fn of_attributes(attributes: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|c| *c as i16 == attributes & 7)
    }

    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Appends the packed bytes to `out`. gzip alone has levels: 1 to 9, 1 when not given.
    pub fn pack(self, level: Option<u32>, plain: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::None => out.extend_from_slice(plain),
            Self::Gzip => {
                let mut to = GzEncoder::new(out, level.map_or(Level::fast(), |l| Level::new(l.clamp(1, 9))));
                // Writing into memory does not fail.
                let done = to.write_all(plain).and_then(|()| to.finish().map(drop));
                debug_assert!(done.is_ok());
            }
            Self::Snappy => {
                out.extend_from_slice(SNAPPY);
                for block in plain.chunks(BLOCK) {
                    let at = out.len();
                    out.extend_from_slice(&[0; 4]);
                    Codec::Snappy.pack(block, out);
                    let len = (out.len() - at - 4) as u32;
                    if let Some(head) = out.get_mut(at..at + 4) {
                        head.copy_from_slice(&len.to_be_bytes());
                    }
                }
            }
            Self::Lz4 => Codec::Lz4.pack(plain, out),
            Self::Zstd => Codec::Zstd.pack(plain, out),
        }
    }

    /// Appends the unpacked bytes to `out`, at most `limit` of them.
    ///
    /// # Errors
    /// `out` may then hold a part.
    pub fn unpack(self, packed: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Unpack> {
        match self {
            Self::None if packed.len() > limit => Err(Unpack::TooLong),
            Self::None => {
                out.extend_from_slice(packed);
                Ok(())
            }
            Self::Gzip => Codec::Gzip.unpack(packed, limit, out),
            Self::Snappy => match packed.strip_prefix(SNAPPY) {
                Some(blocks) => unpack_snappy(blocks, limit, out),
                // Clients other than the Java one write one block without a frame.
                None => Codec::Snappy.unpack(packed, limit, out),
            },
            Self::Lz4 => Codec::Lz4.unpack(packed, limit, out),
            Self::Zstd => Codec::Zstd.unpack(packed, limit, out),
        }
    }
}

fn unpack_snappy(mut blocks: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Unpack> {
    let end = out.len().saturating_add(limit);
    while let Some((len, rest)) = blocks.split_first_chunk() {
        let cut = || Unpack::Damaged("a block is cut short".into());
        let (block, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize).ok_or_else(cut)?;
        Codec::Snappy.unpack(block, end.saturating_sub(out.len()), out)?;
        blocks = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let text = b"one line of a log\n".repeat(8000);
        for c in Compression::ALL {
            for level in [None, Some(9)] {
                let (mut packed, mut got) = (Vec::new(), Vec::new());
                c.pack(level, &text, &mut packed);
                c.unpack(&packed, text.len(), &mut got).unwrap();
                assert!(got == text, "{c:?}");
                assert_eq!(c.unpack(&packed, text.len() - 1, &mut Vec::new()), Err(Unpack::TooLong), "{c:?}");
            }
            assert_eq!(Compression::of_attributes(c as i16 | 16), Some(c));
        }
        assert_eq!(Compression::of_attributes(5), None);
    }

    #[test]
    fn snappy_without_a_frame_and_cut_short() {
        let mut packed = Vec::new();
        Codec::Snappy.pack(b"abc", &mut packed);
        let mut got = Vec::new();
        Compression::Snappy.unpack(&packed, 10, &mut got).unwrap();
        assert_eq!(got, b"abc");
        let cut = [SNAPPY, &b"\0\0\0\x09abc"[..]].concat();
        assert!(matches!(Compression::Snappy.unpack(&cut, 10, &mut got), Err(Unpack::Damaged(_))));
    }
}
