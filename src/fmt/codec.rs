//! Compression of bodies and messages. Unpacking has a limit, whatever the packed bytes declare.

use flate2::Compression;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use ruzstd::encoding::CompressionLevel;
use std::fmt;
use std::io::{self, Read, Write};

/// The most that a zstd frame may ask to be kept of what came before, in bytes: 8 MiB, what RFC 8878 §3.1.1.1.2 has every
/// decoder support.
const WINDOW: u64 = 8 << 20;

/// How bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// RFC 1952, several members after each other.
    Gzip,
    /// RFC 1950; what HTTP calls deflate. RFC 1951 without its frame is taken, too.
    Zlib,
    /// RFC 8878, one or several frames.
    Zstd,
    /// A block of Snappy; unpacked are also streams in its framing format.
    Snappy,
    /// The frame format of LZ4.
    Lz4,
}

/// Why bytes could not be unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unpack {
    /// They would be longer than the limit.
    TooLong,
    /// They are damaged, or packed in another way.
    Damaged(String),
}

impl fmt::Display for Unpack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("unpacked it would be longer than the limit"),
            Self::Damaged(why) => write!(f, "it cannot be unpacked: {why}"),
        }
    }
}

impl Codec {
    /// The name that configurations and HTTP's Content-Encoding use.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" | "zlib" => Self::Zlib,
            "zstd" => Self::Zstd,
            "snappy" => Self::Snappy,
            "lz4" => Self::Lz4,
            _ => return None,
        })
    }

    /// Appends the unpacked bytes to `out`, at most `limit` of them.
    ///
    /// # Errors
    /// `out` may then hold a part.
    pub fn unpack(self, packed: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Unpack> {
        match self {
            Self::Gzip => drain(MultiGzDecoder::new(packed), limit, out),
            Self::Zlib if is_zlib(packed) => drain(ZlibDecoder::new(packed), limit, out),
            Self::Zlib => drain(DeflateDecoder::new(packed), limit, out),
            Self::Zstd => unpack_zstd(packed, limit, out),
            Self::Snappy => unpack_snappy(packed, limit, out),
            Self::Lz4 => drain(lz4_flex::frame::FrameDecoder::new(packed), limit, out),
        }
    }

    /// Appends the packed bytes to `out`.
    pub fn pack(self, plain: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Gzip => finish(GzEncoder::new(out, Compression::fast()), plain, GzEncoder::finish),
            Self::Zlib => finish(ZlibEncoder::new(out, Compression::fast()), plain, ZlibEncoder::finish),
            Self::Zstd => ruzstd::encoding::compress(plain, out, CompressionLevel::Fastest),
            Self::Snappy => pack_snappy(plain, out),
            Self::Lz4 => {
                let done = |e: lz4_flex::frame::FrameEncoder<_>| e.finish().map_err(io::Error::other);
                finish(lz4_flex::frame::FrameEncoder::new(out), plain, done);
            }
        }
    }
}

/// A header as RFC 1950 §2.2 has it: method 8, and a multiple of 31.
fn is_zlib(packed: &[u8]) -> bool {
    matches!(packed, [a, b, ..] if a & 0x0F == 8 && (u16::from(*a) << 8 | u16::from(*b)) % 31 == 0)
}

fn damaged(e: impl fmt::Display) -> Unpack {
    Unpack::Damaged(e.to_string())
}

/// Writing into memory does not fail.
fn finish<W: Write, T>(mut encoder: W, plain: &[u8], done: impl FnOnce(W) -> io::Result<T>) {
    let written = encoder.write_all(plain).and_then(|()| done(encoder));
    debug_assert!(written.is_ok());
}

/// Reads to the end, or one byte beyond the limit.
fn drain(from: impl Read, limit: usize, out: &mut Vec<u8>) -> Result<(), Unpack> {
    let before = out.len();
    from.take((limit as u64).saturating_add(1)).read_to_end(out).map_err(damaged)?;
    if out.len() - before > limit { Err(Unpack::TooLong) } else { Ok(()) }
}

fn unpack_zstd(mut packed: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Unpack> {
    let end = out.len().saturating_add(limit);
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(WINDOW);
    while !packed.is_empty() {
        if let Some(rest) = skippable(packed) {
            packed = rest;
            continue;
        }
        let frame = StreamingDecoder::new_with_decoder(&mut packed, &mut decoder).map_err(damaged)?;
        drain(frame, end.saturating_sub(out.len()), out)?;
        // Without the decoder's feature `hash` nobody checks the sum; what carries it has one of its own (TLS, TCP).
    }
    Ok(())
}

/// What follows a skippable frame (RFC 8878 §3.1.2).
fn skippable(packed: &[u8]) -> Option<&[u8]> {
    let (head, rest) = packed.split_first_chunk::<8>()?;
    let [a, b, c, d, sizes @ ..] = *head;
    if u32::from_le_bytes([a, b, c, d]) & !0xF != 0x184D_2A50 {
        return None;
    }
    Some(rest.get(u32::from_le_bytes(sizes) as usize..).unwrap_or_default())
}

fn unpack_snappy(packed: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Unpack> {
    // As a block these bytes would be damaged: they copy from before the beginning.
    if packed.starts_with(b"\xff\x06\x00\x00sNaPpY") {
        return drain(snap::read::FrameDecoder::new(packed), limit, out);
    }
    let size = snap::raw::decompress_len(packed).map_err(damaged)?;
    if size > limit {
        return Err(Unpack::TooLong);
    }
    let start = out.len();
    out.resize(start + size, 0);
    let Some(room) = out.get_mut(start..) else { return Ok(()) };
    let got = snap::raw::Decoder::new().decompress(packed, room).map_err(damaged)?;
    out.truncate(start + got);
    Ok(())
}

fn pack_snappy(plain: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + snap::raw::max_compress_len(plain.len()), 0);
    let room = out.get_mut(start..).unwrap_or_default();
    // The room is what it asked for; only plain text of 4 GiB has none.
    let made = snap::raw::Encoder::new().compress(plain, room).unwrap_or(0);
    out.truncate(start + made);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Codec; 5] = [Codec::Gzip, Codec::Zlib, Codec::Zstd, Codec::Snappy, Codec::Lz4];

    #[test]
    fn there_and_back() {
        let text = b"collector ".repeat(5000);
        for codec in ALL {
            for plain in [&b""[..], b"x", &text] {
                let (mut packed, mut got) = (b"<".to_vec(), b"<".to_vec());
                codec.pack(plain, &mut packed);
                codec.unpack(&packed[1..], plain.len(), &mut got).unwrap_or_else(|e| panic!("{codec:?}: {e}"));
                assert!(&got[1..] == plain, "{codec:?} {}", plain.len());
                assert!(plain.len() < 100 || packed.len() < plain.len() / 5, "{codec:?}: {}", packed.len());
            }
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        for codec in ALL {
            let (mut packed, mut got) = (Vec::new(), Vec::new());
            codec.pack(&vec![0; 20 << 20], &mut packed);
            assert_eq!(codec.unpack(&packed, 1 << 20, &mut got), Err(Unpack::TooLong), "{codec:?}");
            assert!(got.capacity() < 4 << 20, "{codec:?}: {}", got.capacity());
        }
    }

    #[test]
    fn several_frames_and_deflate_without_a_frame() {
        for codec in [Codec::Gzip, Codec::Zstd] {
            let (mut packed, mut got) = (Vec::new(), Vec::new());
            codec.pack(b"one ", &mut packed);
            if codec == Codec::Zstd {
                packed.extend(b"\x5A\x2A\x4D\x18\x03\0\0\0abc");
            }
            codec.pack(b"two", &mut packed);
            codec.unpack(&packed, 7, &mut got).unwrap();
            assert_eq!(got, b"one two", "{codec:?}");
        }
        let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), Compression::fast());
        raw.write_all(b"bare").unwrap();
        let mut got = Vec::new();
        Codec::Zlib.unpack(&raw.finish().unwrap(), 10, &mut got).unwrap();
        assert_eq!(got, b"bare");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400), flip in 0..400usize, bit in 0..8u8) {
            for codec in ALL {
                let mut got = Vec::new();
                let _ = codec.unpack(&bytes, 1000, &mut got);
                prop_assert!(got.len() <= 1001);
                let mut packed = Vec::new();
                codec.pack(&bytes, &mut packed);
                if let Some(b) = packed.get_mut(flip) {
                    *b ^= 1 << bit;
                }
                let _ = codec.unpack(&packed, 1000, &mut Vec::new());
            }
        }
    }
}
