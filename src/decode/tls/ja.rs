//! Fingerprints of hellos: JA3 and JA3S (salesforce/ja3), JA4 (FoxIO, BSD licence part).

use super::hello::{ClientHello, ServerHello, ext};
use super::names::is_grease;
use crate::util::hex;
use md5::{Digest, Md5};
use sha2::Sha256;

/// An MD5 in lower-case hexadecimal digits.
pub type Md5Hex = [u8; 32];

/// JA3: version, suites, extensions, groups and point formats as decimal numbers, without those for greasing.
pub fn ja3(hello: &ClientHello<'_>) -> Md5Hex {
    let mut text = List::new(b'-');
    text.number(hello.version.0);
    text.part(b',');
    hello.suites().filter(|c| !is_grease(*c)).for_each(|c| text.number(c));
    text.part(b',');
    hello.extensions.iter().filter(|(c, _)| !is_grease(*c)).for_each(|(c, _)| text.number(c));
    text.part(b',');
    hello.extensions.numbers(ext::SUPPORTED_GROUPS).filter(|c| !is_grease(*c)).for_each(|c| text.number(c));
    text.part(b',');
    if let Some([_, formats @ ..]) = hello.extensions.get(ext::POINT_FORMATS) {
        formats.iter().for_each(|f| text.number((*f).into()));
    }
    md5(&text.out)
}

/// JA3S: version, suite and extensions.
pub fn ja3s(hello: &ServerHello<'_>) -> Md5Hex {
    let mut text = List::new(b'-');
    text.number(hello.version.0);
    text.part(b',');
    text.number(hello.suite);
    text.part(b',');
    hello.extensions.iter().for_each(|(c, _)| text.number(c));
    md5(&text.out)
}

/// JA4 of a client over TCP: `t13d1516h2_8daaf6152771_e5627efa2ab1`.
pub fn ja4(hello: &ClientHello<'_>) -> Vec<u8> {
    let mut suites: Vec<u16> = hello.suites().filter(|c| !is_grease(*c)).collect();
    let mut kinds: Vec<u16> = hello.extensions.iter().map(|(c, _)| c).filter(|c| !is_grease(*c)).collect();
    let mut out = Vec::with_capacity(36);
    out.push(b't');
    out.extend_from_slice(version(hello));
    out.push(if hello.extensions.get(ext::SERVER_NAME).is_some() { b'd' } else { b'i' });
    for count in [suites.len(), kinds.len()] {
        let count = count.min(99) as u8;
        out.extend_from_slice(&[b'0' + count / 10, b'0' + count % 10]);
    }
    out.extend_from_slice(&protocol(hello.extensions.protocols().next()));
    out.push(b'_');

    suites.sort_unstable();
    let mut text = List::new(b',');
    suites.iter().for_each(|c| text.hex(*c));
    push_hash(&mut out, &text.out);
    out.push(b'_');

    kinds.retain(|c| ![ext::SERVER_NAME, ext::ALPN].contains(c));
    kinds.sort_unstable();
    let mut text = List::new(b',');
    kinds.iter().for_each(|c| text.hex(*c));
    let mut schemes = hello.extensions.numbers(ext::SIGNATURE_ALGORITHMS).filter(|c| !is_grease(*c)).peekable();
    if schemes.peek().is_some() {
        text.part(b'_');
        schemes.for_each(|c| text.hex(c));
    }
    push_hash(&mut out, &text.out);
    out
}

/// The highest version offered.
fn version(hello: &ClientHello<'_>) -> &'static [u8] {
    let listed = hello.extensions.get(ext::SUPPORTED_VERSIONS).unwrap_or_default();
    let listed = super::hello::block8(listed).map_or(&[][..], |(_, list)| list);
    let offered = super::hello::pairs(listed).filter(|v| !is_grease(*v)).max();
    match offered.unwrap_or(hello.version.0) {
        0x0304 => b"13",
        0x0303 => b"12",
        0x0302 => b"11",
        0x0301 => b"10",
        0x0300 => b"s3",
        0x0002 => b"s2",
        _ => b"00",
    }
}

/// The first and the last character of the first application protocol; of its hexadecimal digits when these are no letters.
fn protocol(name: Option<&[u8]>) -> [u8; 2] {
    let Some((&first, &last)) = name.and_then(|n| n.first().zip(n.last())) else { return *b"00" };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [first, last];
    }
    [hex::digits(first)[0], hex::digits(last)[1]]
}

/// The first twelve digits of the SHA-256; zeros for nothing.
fn push_hash(out: &mut Vec<u8>, text: &[u8]) {
    if text.is_empty() {
        out.extend_from_slice(b"000000000000");
        return;
    }
    Sha256::digest(text).iter().take(6).for_each(|b| out.extend_from_slice(&hex::digits(*b)));
}

fn md5(text: &[u8]) -> Md5Hex {
    let mut out = [b'0'; 32];
    for (to, byte) in out.chunks_exact_mut(2).zip(Md5::digest(text)) {
        to.copy_from_slice(&hex::digits(byte));
    }
    out
}

/// Numbers with a separator between them.
struct List {
    out: Vec<u8>,
    separator: u8,
    is_first: bool,
}

impl List {
    fn new(separator: u8) -> Self {
        Self { out: Vec::with_capacity(256), separator, is_first: true }
    }

    /// Ends a part of the text.
    fn part(&mut self, mark: u8) {
        self.out.push(mark);
        self.is_first = true;
    }

    fn next(&mut self) {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(self.separator);
        }
    }

    fn number(&mut self, n: u16) {
        self.next();
        self.out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    }

    fn hex(&mut self, n: u16) {
        self.next();
        n.to_be_bytes().iter().for_each(|b| self.out.extend_from_slice(&hex::digits(*b)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{alpn, block, client_hello, extension, numbers, server_hello, sni};
    use super::*;

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    /// 771,4866-4867-4865-255,11-10-35-22-23-13-43-45-51,21-23-24,0-1-2 as Wireshark has it.
    #[test]
    fn ja3_of_openssl() {
        let groups = extension(10, &block::<2>(&numbers(&[21, 23, 24])));
        let others = [35, 22, 23, 13, 43, 45, 51].map(|c| extension(c, &[]));
        let extensions = [&[extension(11, &[3, 0, 1, 2]), groups][..], &others].concat();
        let body = client_hello(0x0303, &[], &[4866, 4867, 4865, 255], &extensions);
        assert_eq!(text(&ja3(&ClientHello::parse(&body).unwrap())), "0f14b679807628ec7f9c02cada3ee941");
        let greased = [&[extension(0x1a1a, &[])][..], &extensions, &[extension(0xfafa, &[0])]].concat();
        let body = client_hello(0x0303, &[], &[0x2a2a, 4866, 4867, 4865, 255], &greased);
        assert_eq!(text(&ja3(&ClientHello::parse(&body).unwrap())), "0f14b679807628ec7f9c02cada3ee941");
    }

    #[test]
    fn ja3_of_a_hello_without_extensions() {
        let body = client_hello(0x0301, &[], &[4, 5, 10], &[]);
        // 769,4-5-10,,, and 769,4,
        assert_eq!(text(&ja3(&ClientHello::parse(&body).unwrap())), text(&md5(b"769,4-5-10,,,")));
        let body = server_hello(0x0301, &[], 4, &[]);
        assert_eq!(text(&ja3s(&ServerHello::parse(&body).unwrap())), text(&md5(b"769,4,")));
    }

    /// The example of the specification: Chrome.
    #[test]
    fn ja4_of_the_specification() {
        let suites = [
            0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c,
            0x009d, 0x002f, 0x0035,
        ];
        let schemes = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];
        let empty = |c| extension(c, &[]);
        let extensions = [
            empty(0x5a5a),
            empty(0x001b),
            sni("example.org"),
            empty(0x0033),
            alpn(&["h2", "http/1.1"]),
            empty(0x4469),
            empty(0x0017),
            empty(0x002d),
            extension(13, &block::<2>(&numbers(&schemes))),
            empty(0x0005),
            empty(0x0023),
            empty(0x0012),
            extension(43, &block::<1>(&numbers(&[0x6a6a, 0x0304, 0x0303]))),
            empty(0xff01),
            empty(0x000b),
            empty(0x000a),
            empty(0x0015),
        ];
        let body = client_hello(0x0303, &[1; 32], &suites, &extensions);
        let hello = ClientHello::parse(&body).unwrap();
        assert_eq!(text(&ja4(&hello)), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    }

    #[test]
    fn ja4_of_little() {
        let body = client_hello(0x0301, &[], &[], &[]);
        assert_eq!(text(&ja4(&ClientHello::parse(&body).unwrap())), "t10i000000_000000000000_000000000000");
        let body = client_hello(0x0303, &[], &[], &[alpn(&["\u{1}x-"])]);
        assert!(text(&ja4(&ClientHello::parse(&body).unwrap())).starts_with("t12i00010d_"));
        let body = client_hello(0x0303, &[], &[], &[alpn(&["h"])]);
        assert!(text(&ja4(&ClientHello::parse(&body).unwrap())).starts_with("t12i0001hh_"));
    }
}
