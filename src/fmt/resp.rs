//! RESP, the protocol of Redis: commands are written, replies of its versions 2 and 3 are read.
//!
//! Source: the protocol specification at redis.io, "Redis serialization protocol specification".

use super::num::write_u64;
use std::fmt;

/// The longest reply that is read, in bytes. What pushing and adding is answered with is far shorter.
pub const MAX_REPLY: usize = 1 << 20;
/// The longest line: a status, an error, a number or a length, in bytes.
const MAX_LINE: usize = 64 << 10;

/// One reply; of those with several values only that there are some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply<'a> {
    /// `+OK`
    Status(&'a [u8]),
    /// `-ERR …`, without its first byte; also an error of version 3 with a length.
    Error(&'a [u8]),
    /// `:5`
    Integer(i64),
    /// A string with a length.
    Text(&'a [u8]),
    /// The null of either version.
    Null,
    /// A double, a big number or a boolean, as it stands.
    Plain(&'a [u8]),
    /// An array, a set or a map.
    Many,
    /// Something nobody asked for: it answers no command.
    Push,
}

/// Why bytes are no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RespError {
    /// No type begins with this byte.
    Kind(u8),
    /// A length or an integer is none, or a line does not end as it must.
    Malformed,
    /// Longer than [`MAX_REPLY`].
    Long,
}

impl fmt::Display for RespError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(b) => write!(f, "no reply begins with '{}'", b.escape_ascii()),
            Self::Malformed => f.write_str("malformed reply"),
            Self::Long => write!(f, "a reply longer than {MAX_REPLY} bytes"),
        }
    }
}

/// Begins a command of so many words, each to be written with [`word`].
pub fn begin(words: usize, out: &mut Vec<u8>) {
    out.push(b'*');
    write_u64(words as u64, out);
    out.extend_from_slice(b"\r\n");
}

/// One word of a command.
pub fn word(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'$');
    write_u64(text.len() as u64, out);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// A whole command.
pub fn command(words: &[&[u8]], out: &mut Vec<u8>) {
    begin(words.len(), out);
    words.iter().for_each(|text| word(text, out));
}

/// The reply at the beginning of `bytes` and its length; `None` when it is not complete yet.
///
/// # Errors
/// When these bytes cannot become a reply, or only one that is too long.
pub fn read(bytes: &[u8]) -> Result<Option<(Reply<'_>, usize)>, RespError> {
    let mut at = 0;
    let found = loop {
        let Some((head, next)) = head(bytes, at)? else { break None };
        let (reply, values) = match head {
            Head::One(reply) => break Some((reply, next)),
            // What is said about the reply stands before it.
            Head::Attributes(values) => (None, values),
            Head::Values(values) => (Some(Reply::Many), values),
            Head::Push(values) => (Some(Reply::Push), values),
        };
        let Some(next) = skip(bytes, next, values)? else { break None };
        match reply {
            Some(reply) => break Some((reply, next)),
            None => at = next,
        }
    };
    match found {
        None if bytes.len() >= MAX_REPLY => Err(RespError::Long),
        Some((_, used)) if used > MAX_REPLY => Err(RespError::Long),
        found => Ok(found),
    }
}

/// How a value begins.
enum Head<'a> {
    /// This is all of it.
    One(Reply<'a>),
    /// So many values follow.
    Values(usize),
    Push(usize),
    /// So many values follow, and then the value they are about.
    Attributes(usize),
}

/// The position behind `left` whole values, nested ones included.
fn skip(bytes: &[u8], mut at: usize, mut left: usize) -> Result<Option<usize>, RespError> {
    while left > 0 {
        let Some((head, next)) = head(bytes, at)? else { return Ok(None) };
        at = next;
        left = match head {
            Head::One(_) => left - 1,
            Head::Values(more) | Head::Push(more) => left - 1 + more,
            Head::Attributes(more) => left + more,
        };
        if left > MAX_REPLY {
            return Err(RespError::Long);
        }
    }
    Ok(Some(at))
}

fn head(bytes: &[u8], at: usize) -> Result<Option<(Head<'_>, usize)>, RespError> {
    let Some(&kind) = bytes.get(at) else { return Ok(None) };
    if !b"+-:$*_#,(!=%~>|".contains(&kind) {
        return Err(RespError::Kind(kind));
    }
    let rest = bytes.get(at + 1..).unwrap_or_default();
    let Some(line) = line(rest)? else { return Ok(None) };
    let next = at + 1 + line.len() + 2;
    let one = |reply| Ok(Some((Head::One(reply), next)));
    match kind {
        b'+' => one(Reply::Status(line)),
        b'-' => one(Reply::Error(line)),
        b':' => one(Reply::Integer(integer(line)?)),
        b'_' => one(Reply::Null),
        b'#' | b',' | b'(' => one(Reply::Plain(line)),
        b'$' | b'!' | b'=' => {
            let Some(len) = length(line)? else { return one(Reply::Null) };
            let Some(text) = bytes.get(next..next + len) else { return Ok(None) };
            let Some(end) = bytes.get(next + len..next + len + 2) else { return Ok(None) };
            if end != b"\r\n" {
                return Err(RespError::Malformed);
            }
            let reply = if kind == b'!' { Reply::Error(text) } else { Reply::Text(text) };
            Ok(Some((Head::One(reply), next + len + 2)))
        }
        _ => {
            let Some(count) = length(line)? else { return one(Reply::Null) };
            let head = match kind {
                b'%' => Head::Values(count * 2),
                b'|' => Head::Attributes(count * 2),
                b'>' => Head::Push(count),
                _ => Head::Values(count),
            };
            Ok(Some((head, next)))
        }
    }
}

/// The text before the next line end.
fn line(rest: &[u8]) -> Result<Option<&[u8]>, RespError> {
    match memchr::memchr(b'\r', rest.get(..MAX_LINE).unwrap_or(rest)) {
        Some(at) => match rest.get(at + 1) {
            Some(b'\n') => Ok(rest.get(..at)),
            Some(_) => Err(RespError::Malformed),
            None => Ok(None),
        },
        None if rest.len() >= MAX_LINE => Err(RespError::Long),
        None => Ok(None),
    }
}

fn integer(line: &[u8]) -> Result<i64, RespError> {
    std::str::from_utf8(line).ok().and_then(|text| text.parse().ok()).ok_or(RespError::Malformed)
}

/// A length or a count; -1 is the null of version 2.
fn length(line: &[u8]) -> Result<Option<usize>, RespError> {
    match integer(line)? {
        -1 => Ok(None),
        n => match usize::try_from(n) {
            Ok(n) if n <= MAX_REPLY => Ok(Some(n)),
            Ok(_) => Err(RespError::Long),
            Err(_) => Err(RespError::Malformed),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commands() {
        let mut out = Vec::new();
        command(&[b"RPUSH", b"k", b"a\r\nb", b""], &mut out);
        assert_eq!(out.escape_ascii().to_string(), r"*4\r\n$5\r\nRPUSH\r\n$1\r\nk\r\n$4\r\na\r\nb\r\n$0\r\n\r\n");
    }

    #[test]
    fn replies() {
        let table: &[(&[u8], Reply<'_>)] = &[
            (b"+OK\r\n", Reply::Status(b"OK")),
            (b"-OOM command not allowed\r\n", Reply::Error(b"OOM command not allowed")),
            (b"!6\r\nER\r\nRR\r\n", Reply::Error(b"ER\r\nRR")),
            (b":-7\r\n", Reply::Integer(-7)),
            (b"$3\r\na\nb\r\n", Reply::Text(b"a\nb")),
            (b"=5\r\ntxt:x\r\n", Reply::Text(b"txt:x")),
            (b"$-1\r\n", Reply::Null),
            (b"*-1\r\n", Reply::Null),
            (b"_\r\n", Reply::Null),
            (b"#t\r\n", Reply::Plain(b"t")),
            (b",1.5\r\n", Reply::Plain(b"1.5")),
            (b"*2\r\n*1\r\n:1\r\n$1\r\nx\r\n", Reply::Many),
            (b"*0\r\n", Reply::Many),
            (b"%1\r\n+a\r\n:1\r\n", Reply::Many),
            (b">2\r\n+message\r\n|1\r\n+a\r\n:1\r\n:2\r\n", Reply::Push),
            (b"|1\r\n+ttl\r\n:9\r\n:5\r\n", Reply::Integer(5)),
        ];
        for (bytes, reply) in table {
            let shown = bytes.escape_ascii();
            assert_eq!(read(bytes), Ok(Some((*reply, bytes.len()))), "{shown}");
            assert_eq!(read(&[bytes, &b"+more"[..]].concat()), Ok(Some((*reply, bytes.len()))), "{shown}");
            for cut in 0..bytes.len() {
                assert_eq!(read(&bytes[..cut]), Ok(None), "{shown} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_is_no_reply() {
        let long = [&b"+"[..], &vec![b'x'; MAX_LINE]].concat();
        let table: &[(&[u8], RespError)] = &[
            (b"HTTP/1.1 400 Bad Request\r\n", RespError::Kind(b'H')),
            (b"\x15\x03\x01\0\x02", RespError::Kind(0x15)),
            (b":x\r\n", RespError::Malformed),
            (b":1\rx", RespError::Malformed),
            (b"$-2\r\n", RespError::Malformed),
            (b"$1\r\nabc", RespError::Malformed),
            (b"$999999999999\r\n", RespError::Long),
            (b"*1048577\r\n", RespError::Long),
            (b"*2\r\n*1048576\r\n", RespError::Long),
            (&long, RespError::Long),
        ];
        for (bytes, error) in table {
            assert_eq!(read(bytes), Err(*error), "{}", bytes.escape_ascii());
        }
        // A reply that never ends is given up when it is as long as any may be.
        let endless = b"*1000000\r\n".iter().chain(b":1\r\n".iter().cycle().take(MAX_REPLY)).copied();
        assert_eq!(read(&endless.collect::<Vec<_>>()), Err(RespError::Long));
        assert_eq!(RespError::Kind(b'\x15').to_string(), r"no reply begins with '\x15'");
    }

    /// A value of any type, written.
    fn value() -> impl Strategy<Value = Vec<u8>> {
        let line = |kind: char| move |t: String| format!("{kind}{t}\r\n").into_bytes();
        let leaf = prop_oneof![
            "[ -~]{0,20}".prop_map(line('+')),
            "[ -~]{0,20}".prop_map(line('-')),
            any::<i64>().prop_map(|n| format!(":{n}\r\n").into_bytes()),
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(|t| {
                let mut out = Vec::new();
                word(&t, &mut out);
                out
            }),
            Just(b"_\r\n".to_vec()),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            (proptest::collection::vec(inner, 0..6), prop_oneof![Just('*'), Just('~'), Just('>')]).prop_map(
                |(values, kind)| {
                    let mut out = format!("{kind}{}\r\n", values.len()).into_bytes();
                    values.iter().for_each(|v| out.extend_from_slice(v));
                    out
                },
            )
        })
    }

    proptest! {
        #[test]
        fn a_value_is_read_whole_and_not_before(bytes in value(), more in proptest::collection::vec(any::<u8>(), 0..20)) {
            let got = read(&bytes).unwrap().map(|(_, used)| used);
            prop_assert_eq!(got, Some(bytes.len()));
            for cut in 0..bytes.len() {
                prop_assert_eq!(read(&bytes[..cut]), Ok(None));
            }
            let len = bytes.len();
            let all = [bytes, more].concat();
            prop_assert_eq!(read(&all).unwrap().map(|(_, used)| used), Some(len));
        }

        #[test]
        fn any_bytes(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(&b"+-:$*_#,(!=%~>|0123456789\r\n"[..])], 0..200)) {
            crate::fuzz::resp(&bytes);
        }
    }
}
