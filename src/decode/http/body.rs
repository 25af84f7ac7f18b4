//! Undoing the codings of a body that is kept, with a bound on what may come out.

use super::frame::{Coding, Codings};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use std::io::Read;

/// Why a body could not be decoded as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A coding that is not undone here.
    Unsupported,
    /// Not what the header says, or cut off.
    Damaged,
    /// More than may be kept came out.
    TooLong,
}

/// Undoes `codings` in `body`; at most `max` bytes come out. What was decoded before trouble arose is kept, unless codings
/// remain to be undone: then nothing is left of the body.
pub(super) fn decode(body: &mut Vec<u8>, codings: &Codings, max: usize) -> Option<Trouble> {
    let mut left = codings.undo().count();
    for coding in codings.undo() {
        left -= 1;
        let mut out = Vec::new();
        let trouble = match coding {
            Coding::Gzip => drain(MultiGzDecoder::new(body.as_slice()), &mut out, max),
            Coding::Deflate => inflate(body, &mut out, max),
            Coding::Other => Some(Trouble::Unsupported),
        };
        if trouble.is_some() && left > 0 {
            out.clear();
        }
        *body = out;
        if trouble.is_some() {
            return trouble;
        }
    }
    None
}

/// zlib's format (RFC 1950), which the name means, or the raw stream (RFC 1951), which some servers send.
fn inflate(body: &[u8], out: &mut Vec<u8>, max: usize) -> Option<Trouble> {
    let zlib = matches!(body, [a, b, ..] if a & 0x0f == 8 && (u16::from(*a) << 8 | u16::from(*b)) % 31 == 0);
    if zlib {
        let trouble = drain(ZlibDecoder::new(body), out, max);
        if trouble != Some(Trouble::Damaged) || !out.is_empty() {
            return trouble;
        }
    }
    drain(DeflateDecoder::new(body), out, max)
}

fn drain(mut from: impl Read, out: &mut Vec<u8>, max: usize) -> Option<Trouble> {
    let mut buf = [0; 8192];
    loop {
        match from.read(&mut buf) {
            Ok(0) => return None,
            Ok(n) => {
                let fits = n.min(max - out.len());
                out.extend_from_slice(buf.get(..fits).unwrap_or_default());
                if fits < n {
                    return Some(Trouble::TooLong);
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Some(Trouble::Damaged),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use std::io::Write;

    fn codings(value: &str) -> Codings {
        let mut c = Codings::default();
        c.add(value.as_bytes());
        c
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut e = GzEncoder::new(Vec::new(), Compression::default());
        e.write_all(text).unwrap();
        e.finish().unwrap()
    }

    fn zlib(text: &[u8]) -> Vec<u8> {
        let mut e = ZlibEncoder::new(Vec::new(), Compression::default());
        e.write_all(text).unwrap();
        e.finish().unwrap()
    }

    fn raw(text: &[u8]) -> Vec<u8> {
        let mut e = DeflateEncoder::new(Vec::new(), Compression::default());
        e.write_all(text).unwrap();
        e.finish().unwrap()
    }

    fn decoded(mut body: Vec<u8>, of: &str, max: usize) -> (Vec<u8>, Option<Trouble>) {
        let trouble = decode(&mut body, &codings(of), max);
        (body, trouble)
    }

    #[test]
    fn codings_are_undone() {
        let text = b"hello hello hello".to_vec();
        assert_eq!(decoded(gzip(&text), "gzip", 100), (text.clone(), None));
        assert_eq!(decoded(zlib(&text), "deflate", 100), (text.clone(), None));
        assert_eq!(decoded(raw(&text), "deflate", 100), (text.clone(), None));
        assert_eq!(decoded(gzip(&zlib(&text)), "deflate, gzip", 100), (text.clone(), None));
        assert_eq!(decoded([gzip(b"a"), gzip(b"b")].concat(), "x-gzip", 100), (b"ab".to_vec(), None));
        assert_eq!(decoded(text.clone(), "", 100), (text, None));
    }

    #[test]
    fn trouble_is_told() {
        let zeros = vec![b'0'; 100_000];
        assert_eq!(decoded(gzip(&zeros), "gzip", 1000), (zeros[..1000].to_vec(), Some(Trouble::TooLong)));
        assert_eq!(decoded(gzip(&zeros), "gzip", 100_000), (zeros.clone(), None));
        let (part, trouble) = decoded(gzip(&zeros)[..40].to_vec(), "gzip", 1 << 20);
        assert_eq!(trouble, Some(Trouble::Damaged));
        assert!(zeros.starts_with(&part));
        assert_eq!(decoded(b"x".to_vec(), "br", 100), (vec![], Some(Trouble::Unsupported)));
        assert_eq!(decoded(b"xx".to_vec(), "br, gzip", 100), (vec![], Some(Trouble::Damaged)));
    }
}
