//! The lines of ident: `6193, 23` asks, `6193, 23 : USERID : UNIX : stjohns` answers (RFC 1413 §4).

use nom::IResult;
use nom::Parser;
use nom::bytes::complete::{tag, take_while};
use nom::character::complete::{space0, u16};
use nom::combinator::{all_consuming, rest};
use nom::sequence::delimited;

/// The longest line that is waited for: RFC 1413 §5 allows 512 bytes of user name and 64 of system name.
pub const LINE_MAX: usize = 1000;

/// A line without its end, and the bytes it took with it; `None`: it is not there yet.
pub fn line(buf: &[u8]) -> Option<(&[u8], usize)> {
    let end = memchr::memchr(b'\n', buf)?;
    let line = buf.get(..end)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), end + 1))
}

/// The two ports of a question: of the asked machine, of the asking one.
pub fn question(line: &[u8]) -> Option<[u16; 2]> {
    all_consuming(ports).parse(line).ok().map(|(_, ports)| ports)
}

/// The ports, the kind of answer (`USERID` or `ERROR`), and what it says.
pub fn answer(line: &[u8]) -> Option<([u16; 2], &[u8], &[u8])> {
    let (rest, (ports, _, kind, _, text)) =
        (ports, tag(&b":"[..]), take_while(|b| b != b':'), tag(&b":"[..]), rest).parse(line).ok()?;
    rest.is_empty().then(|| (ports, kind.trim_ascii(), text.trim_ascii()))
}

fn ports(line: &[u8]) -> IResult<&[u8], [u16; 2], ()> {
    let comma = tag(&b","[..]);
    let (rest, (here, _, there)) =
        (delimited(space0, u16, space0), comma, delimited(space0, u16, space0)).parse(line)?;
    Ok((rest, [here, there]))
}
