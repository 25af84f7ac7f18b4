//! What is left of SSL 2.0 (draft-hickman-netscape-ssl): its ClientHello, with which old clients of later versions begin, too
//! (RFC 5246, appendix E.2), and the first messages of the real thing.

use super::names::Version;
use nom::bytes::complete::take;
use nom::number::complete::be_u16;

/// Longest message that is looked at: a server's hello holds a certificate.
pub const MESSAGE_MAX: usize = 1 << 14;

/// Bytes that tell a ClientHello from anything else.
pub const HEAD: usize = 11;

/// The length of a record's head, and of what follows.
pub fn record(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes {
        [high, low, ..] if high & 0x80 != 0 => Some((2, usize::from(high & 0x7f) << 8 | usize::from(low))),
        [high, low, _padding, ..] => Some((3, usize::from(high & 0x3f) << 8 | usize::from(low))),
        _ => None,
    }
}

/// What a client offers.
#[derive(Debug, Clone, Copy)]
pub struct ClientHello<'a> {
    /// The highest version.
    pub version: Version,
    /// Three bytes each; those of later versions begin with a zero.
    pub suites: &'a [u8],
    /// Empty but for a session that is taken up again.
    pub session_id: &'a [u8],
}

/// What a server answers.
#[derive(Debug, Clone, Copy)]
pub struct ServerHello<'a> {
    /// The version spoken.
    pub version: Version,
    /// A session is taken up again.
    pub is_hit: bool,
    /// An X.509 certificate in DER.
    pub certificate: &'a [u8],
}

/// Whether the first [`HEAD`] bytes of a direction are a ClientHello: `None` when there are fewer and none of them speaks
/// against it.
pub fn is_client_hello(bytes: &[u8]) -> Option<bool> {
    let is = |at: usize, test: &dyn Fn(u8) -> bool| bytes.get(at).is_none_or(|b| test(*b));
    let plausible = is(0, &|b| b & 0x80 != 0) && is(2, &|b| b == 1) && is(3, &|b| b == 0 || b == 3);
    if !plausible {
        return Some(false);
    }
    let &[high, low, _, major, minor, a, b, c, d, e, f] = bytes.first_chunk::<HEAD>()?;
    let len = usize::from(u16::from_be_bytes([high & 0x7f, low]));
    let [suites, id, challenge] = [[a, b], [c, d], [e, f]].map(|n| usize::from(u16::from_be_bytes(n)));
    let version = (major, minor) == (0, 2) || (major == 3 && minor <= 4);
    let lengths = suites > 0 && suites.is_multiple_of(3) && id <= 32 && (16..=32).contains(&challenge);
    Some(version && lengths && len == HEAD - 2 + suites + id + challenge && len <= MESSAGE_MAX)
}

impl<'a> ClientHello<'a> {
    /// Reads a message from its type on.
    pub fn parse(message: &'a [u8]) -> Option<Self> {
        let rest = message.strip_prefix(&[1])?;
        let (rest, version) = be_u16::<_, ()>(rest).ok()?;
        let (rest, suites) = be_u16::<_, ()>(rest).ok()?;
        let (rest, id) = be_u16::<_, ()>(rest).ok()?;
        let (rest, _challenge) = be_u16::<_, ()>(rest).ok()?;
        let (rest, suites) = take::<_, _, ()>(suites)(rest).ok()?;
        let (_, session_id) = take::<_, _, ()>(id)(rest).ok()?;
        Some(Self { version: Version(version), suites, session_id })
    }

    /// The cipher kinds.
    pub fn suites(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.suites.chunks_exact(3).map(number)
    }
}

impl<'a> ServerHello<'a> {
    /// Reads a message from its type on.
    pub fn parse(message: &'a [u8]) -> Option<Self> {
        let &[4, hit, _certificate_type, major, minor, a, b, _, _, _, _] = message.first_chunk::<HEAD>()? else {
            return None;
        };
        let len = usize::from(u16::from_be_bytes([a, b]));
        let certificate = message.get(HEAD..HEAD + len)?;
        Some(Self { version: Version(u16::from_be_bytes([major, minor])), is_hit: hit != 0, certificate })
    }
}

/// The cipher kind of a CLIENT-MASTER-KEY message.
pub fn master_key(message: &[u8]) -> Option<u32> {
    message.strip_prefix(&[2])?.get(..3).map(number)
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |n, b| n << 8 | u32::from(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_is_told_by_its_lengths() {
        let mut bytes = vec![0x80, 0x2b, 1, 0, 2, 0, 0x12, 0, 0, 0, 0x10];
        bytes.extend([1, 0, 0x80, 7, 0, 0xc0, 0, 0, 0x2f, 2, 0, 0x80, 3, 0, 0x80, 4, 0, 0x80]);
        bytes.extend([9; 16]);
        assert_eq!(record(&bytes), Some((2, 43)));
        for cut in 0..HEAD {
            assert_eq!(is_client_hello(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(is_client_hello(&bytes), Some(true));
        let hello = ClientHello::parse(&bytes[2..]).unwrap();
        assert_eq!(hello.suites().nth(2), Some(0x2f));
        assert_eq!(hello.version, Version::SSL2);
        bytes[1] ^= 1;
        assert_eq!(is_client_hello(&bytes), Some(false));
        assert_eq!(is_client_hello(&[0x80, 0x2b, 4]), Some(false));
    }
}
