//! Hello messages (RFC 8446, 4.1; RFC 5246, 7.4.1), borrowed from the bytes of the message.

use super::names::Version;
use nom::IResult;
use nom::Parser;
use nom::bytes::complete::take;
use nom::combinator::verify;
use nom::multi::{length_data, many0};
use nom::number::complete::{be_u8, be_u16};

/// What a client offers.
#[derive(Debug, Clone, Copy)]
pub struct ClientHello<'a> {
    /// The highest version before TLS 1.3; that one stands in an extension.
    pub version: Version,
    /// At most 32 bytes.
    pub session_id: &'a [u8],
    /// Two bytes each.
    pub suites: &'a [u8],
    /// One byte each.
    pub compression: &'a [u8],
    /// In their order.
    pub extensions: Extensions<'a>,
}

/// What a server chose.
#[derive(Debug, Clone, Copy)]
pub struct ServerHello<'a> {
    /// As in [`ClientHello`].
    pub version: Version,
    /// The message asks for another ClientHello.
    pub is_retry: bool,
    /// At most 32 bytes.
    pub session_id: &'a [u8],
    /// The suite.
    pub suite: u16,
    /// The method; drafts of TLS 1.3 had none.
    pub compression: Option<u8>,
    /// In their order.
    pub extensions: Extensions<'a>,
}

/// The SHA-256 of "HelloRetryRequest", in place of a random number (RFC 8446, 4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// The first draft of TLS 1.3 whose ServerHello has TLS 1.2's fields.
const FIRST_DRAFT_WITH_ALL_FIELDS: u8 = 22;

impl<'a> ClientHello<'a> {
    /// Reads the body of a message; `None` when it is not one.
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let (rest, (version, _, session_id)) = opening(body).ok()?;
        let (rest, suites) = block16(rest).ok()?;
        let (rest, compression) = block8(rest).ok()?;
        let extensions = Extensions::parse(rest);
        Some(Self { version, session_id, suites, compression, extensions })
    }

    /// The suites, those for greasing included.
    pub fn suites(&self) -> impl Iterator<Item = u16> + use<'a> {
        pairs(self.suites)
    }
}

impl<'a> ServerHello<'a> {
    /// Reads the body of a message; `None` when it is not one.
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let (_, version) = be_u16::<_, ()>(body).ok()?;
        let version = Version(version);
        // Some early drafts were spoken under the number of the final version, which no ServerHello has in this place.
        if version == Version::TLS13 || version.draft().is_some_and(|d| d < FIRST_DRAFT_WITH_ALL_FIELDS) {
            let (rest, suite) = be_u16::<_, ()>(body.get(34..)?).ok()?;
            let extensions = Extensions::parse(rest);
            return Some(Self { version, is_retry: false, session_id: &[], suite, compression: None, extensions });
        }
        let (rest, (version, random, session_id)) = opening(body).ok()?;
        let (rest, (suite, compression)) = (be_u16::<_, ()>, be_u8).parse(rest).ok()?;
        let extensions = Extensions::parse(rest);
        let (is_retry, compression) = (random == RETRY, Some(compression));
        Some(Self { version, is_retry, session_id, suite, compression, extensions })
    }

    /// The version that was chosen.
    pub fn chosen(&self) -> Version {
        match self.extensions.get(ext::SUPPORTED_VERSIONS) {
            Some(&[major, minor]) => Version(u16::from_be_bytes([major, minor])),
            _ => self.version,
        }
    }
}

/// What is left, and what was read; why not is nobody's concern.
type Parsed<'a, T> = IResult<&'a [u8], T, ()>;

/// Version, random number and session id of both hellos.
fn opening(body: &[u8]) -> Parsed<'_, (Version, &[u8], &[u8])> {
    let (rest, version) = verify(be_u16, |v| v >> 8 == 3).parse(body)?;
    let (rest, random) = take(32_usize)(rest)?;
    let (rest, session_id) = verify(block8, |id: &[u8]| id.len() <= 32).parse(rest)?;
    Ok((rest, (Version(version), random, session_id)))
}

/// A vector whose length stands in a byte.
pub fn block8(input: &[u8]) -> Parsed<'_, &[u8]> {
    length_data(be_u8).parse(input)
}

/// A vector whose length stands in two bytes.
pub fn block16(input: &[u8]) -> Parsed<'_, &[u8]> {
    length_data(be_u16).parse(input)
}

/// The 16-bit numbers of a list; an odd byte at its end is left out.
pub fn pairs(list: &[u8]) -> impl Iterator<Item = u16> + use<'_> {
    list.chunks_exact(2).map(|pair| pair.iter().fold(0, |n, b| n << 8 | u16::from(*b)))
}

/// Numbers of extensions.
pub mod ext {
    /// RFC 6066.
    pub const SERVER_NAME: u16 = 0;
    /// RFC 6066.
    pub const MAX_FRAGMENT_LENGTH: u16 = 1;
    /// RFC 8446: groups, before that curves.
    pub const SUPPORTED_GROUPS: u16 = 10;
    /// RFC 8422.
    pub const POINT_FORMATS: u16 = 11;
    /// RFC 5054.
    pub const SRP: u16 = 12;
    /// RFC 8446.
    pub const SIGNATURE_ALGORITHMS: u16 = 13;
    /// RFC 7301.
    pub const ALPN: u16 = 16;
    /// RFC 5077.
    pub const SESSION_TICKET: u16 = 35;
    /// RFC 8446.
    pub const PRE_SHARED_KEY: u16 = 41;
    /// RFC 8446.
    pub const EARLY_DATA: u16 = 42;
    /// RFC 8446.
    pub const SUPPORTED_VERSIONS: u16 = 43;
    /// RFC 8446.
    pub const KEY_SHARE: u16 = 51;
}

/// The extensions of a hello.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extensions<'a> {
    list: &'a [u8],
    /// The list is shorter than it says, or its parts do not fill it.
    pub is_broken: bool,
}

impl<'a> Extensions<'a> {
    /// What stands behind the other fields of a hello: nothing, or a vector of extensions.
    fn parse(rest: &'a [u8]) -> Self {
        let (list, whole) = match (rest, block16(rest)) {
            ([], _) => (rest, true),
            (_, Ok((_, list))) => (list, true),
            (_, Err(_)) => (rest.get(2..).unwrap_or_default(), false),
        };
        let complete = many0((be_u16::<_, ()>, block16)).parse_complete(list).is_ok_and(|(left, _)| left.is_empty());
        Self { list, is_broken: !(whole && complete) }
    }

    /// Numbers and contents, in the order of the message, as far as they can be read.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut rest = self.list;
        std::iter::from_fn(move || {
            let (left, found) = (be_u16::<_, ()>, block16).parse(rest).ok()?;
            rest = left;
            Some(found)
        })
    }

    /// The content of the first extension with this number.
    pub fn get(&self, code: u16) -> Option<&'a [u8]> {
        self.iter().find(|(c, _)| *c == code).map(|(_, content)| content)
    }

    /// The host names asked for (RFC 6066, 3), at most [`Self::NAMES_MAX`].
    pub fn server_names(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        // One list with a length before it, each entry with a type and a length.
        let content = self.get(ext::SERVER_NAME).unwrap_or_default();
        let mut rest = block16(content).map_or_else(|_| content.get(2..).unwrap_or_default(), |(_, list)| list);
        let all = std::iter::from_fn(move || {
            let (left, entry) = (be_u8::<_, ()>, block16).parse(rest).ok()?;
            rest = left;
            Some(entry)
        });
        all.filter(|(kind, _)| *kind == 0).map(|(_, name)| name).take(Self::NAMES_MAX)
    }

    /// More names than that are no use to anybody: RFC 6066 allows one.
    pub const NAMES_MAX: usize = 16;

    /// The application protocols offered, or the one chosen (RFC 7301).
    pub fn protocols(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let content = self.get(ext::ALPN).unwrap_or_default();
        let mut rest = block16(content).map_or(&[][..], |(_, list)| list);
        std::iter::from_fn(move || {
            let (left, name) = block8(rest).ok()?;
            rest = left;
            Some(name)
        })
    }

    /// A list of 16-bit numbers with its length before it in two bytes: groups, signature schemes.
    pub fn numbers(&self, code: u16) -> impl Iterator<Item = u16> + use<'a> {
        pairs(self.get(code).and_then(|c| block16(c).ok()).map_or(&[][..], |(_, list)| list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_without_extensions_is_whole() {
        let mut body = vec![3, 1];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0, 10, 1, 0]);
        let hello = ClientHello::parse(&body).unwrap();
        assert_eq!((hello.version.0, hello.session_id.len(), hello.suites().collect()), (0x0301, 0, vec![10]));
        assert!(!hello.extensions.is_broken && hello.extensions.iter().next().is_none());
        body.extend([0, 0]);
        assert!(!ClientHello::parse(&body).unwrap().extensions.is_broken);
        body.push(0);
        *body.last_mut().unwrap() = 1;
        let len = body.len();
        body[len - 2] = 9;
        assert!(ClientHello::parse(&body).unwrap().extensions.is_broken);
        for cut in 0..41 {
            assert!(ClientHello::parse(&body[..cut]).is_none(), "{cut}");
        }
    }

    #[test]
    fn a_server_s_choice_of_an_old_draft_has_neither_session_nor_compression() {
        for version in [[0x7f, 18], [3, 4]] {
            let mut body = version.to_vec();
            body.extend([7; 32]);
            body.extend([0x13, 1, 0, 0]);
            let hello = ServerHello::parse(&body).unwrap();
            assert_eq!((hello.suite, hello.compression, hello.chosen().is_13()), (0x1301, None, true));
        }
    }

    #[test]
    fn a_retry_is_known_by_its_random_number() {
        let mut body = vec![3, 3];
        body.extend(RETRY);
        body.extend([0, 0x13, 2, 0, 0, 6, 0, 43, 0, 2, 3, 4]);
        let hello = ServerHello::parse(&body).unwrap();
        assert!(hello.is_retry);
        assert_eq!(hello.chosen(), Version::TLS13);
        body[2] ^= 1;
        assert!(!ServerHello::parse(&body).unwrap().is_retry);
    }
}
