//! IP addresses of both versions in sixteen bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address; IPv4 stands as `::ffff:a.b.c.d` (RFC 4291 §2.5.5.2). Which version a packet had stands beside it: an IPv6
/// packet may hold such an address, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Addr(pub [u8; 16]);

/// The longest text of an address.
pub const TEXT_MAX: usize = 45;

impl Addr {
    /// An IPv4 address.
    #[inline]
    pub fn v4(octets: [u8; 4]) -> Self {
        let [a, b, c, d] = octets;
        Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d])
    }

    /// The IPv4 address in it, looked at or not.
    #[inline]
    pub fn last4(self) -> [u8; 4] {
        let [.., a, b, c, d] = self.0;
        [a, b, c, d]
    }

    /// As an address of the standard library; `v6` says which version the packet had.
    pub fn to_ip(self, v6: bool) -> IpAddr {
        if v6 { IpAddr::V6(Ipv6Addr::from(self.0)) } else { IpAddr::V4(Ipv4Addr::from(self.last4())) }
    }

    /// Writes the text (RFC 5952 for IPv6) into `buf` and returns it.
    pub fn text(self, v6: bool, buf: &mut [u8; TEXT_MAX]) -> &[u8] {
        let mut out = Text { buf, len: 0 };
        if !v6 {
            out.quad(self.last4());
        } else if self.0.starts_with(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]) {
            out.bytes(b"::ffff:");
            out.quad(self.last4());
        } else {
            out.groups(self.groups());
        }
        let Text { buf, len } = out;
        buf.get(..len).unwrap_or_default()
    }

    /// The eight numbers of an IPv6 address.
    fn groups(self) -> [u16; 8] {
        let mut groups = [0; 8];
        for (group, pair) in groups.iter_mut().zip(self.0.chunks_exact(2)) {
            *group = u16::from_be_bytes([pair[0], pair[1]]);
        }
        groups
    }
}

/// Text that is being written.
struct Text<'a> {
    buf: &'a mut [u8; TEXT_MAX],
    len: usize,
}

impl Text<'_> {
    fn byte(&mut self, byte: u8) {
        if let Some(place) = self.buf.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.byte(*b));
    }

    fn quad(&mut self, octets: [u8; 4]) {
        for (i, octet) in octets.into_iter().enumerate() {
            if i > 0 {
                self.byte(b'.');
            }
            if octet >= 100 {
                self.byte(b'0' + octet / 100);
            }
            if octet >= 10 {
                self.byte(b'0' + octet / 10 % 10);
            }
            self.byte(b'0' + octet % 10);
        }
    }

    /// RFC 5952 §4: no leading zeros, lower case, the first of the longest runs of two zeros or more becomes `::`.
    fn groups(&mut self, groups: [u16; 8]) {
        let run = |from: usize| groups[from..].iter().take_while(|g| **g == 0).count();
        let (mut at, mut len) = (0, 1);
        for from in 0..8 {
            if run(from) > len {
                (at, len) = (from, run(from));
            }
        }
        let mut i = 0;
        while i < 8 {
            if len > 1 && i == at {
                self.bytes(b"::");
                i += len;
                continue;
            }
            if i > 0 && !(len > 1 && i == at + len) {
                self.byte(b':');
            }
            let digits = (u16::BITS - groups[i].leading_zeros()).div_ceil(4).max(1);
            for digit in (0..digits).rev() {
                self.byte(b"0123456789abcdef"[usize::from(groups[i] >> (digit * 4) & 15)]);
            }
            i += 1;
        }
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self(v6.octets()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let mut buf = [0; TEXT_MAX];
        for ip in ["0.0.0.0", "10.200.3.255", "127.0.0.1", "192.168.100.99"] {
            let addr = Addr::from(ip.parse::<IpAddr>().unwrap());
            assert_eq!(addr.text(false, &mut buf), ip.as_bytes());
            assert_eq!(addr.to_ip(false).to_string(), ip);
        }
        for ip in ["::", "::1", "fe80::1:0:0:2", "2001:db8:1:2:3:4:5:6", "::ffff:1.2.3.4"] {
            let addr = Addr::from(ip.parse::<IpAddr>().unwrap());
            assert_eq!(addr.text(true, &mut buf), ip.as_bytes());
        }
        // As the standard library does, but for addresses that it writes in the deprecated compatible form.
        let mut seed = 1u64;
        for _ in 0..20_000 {
            let mut octets = [0; 16];
            for pair in octets.chunks_mut(2) {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let group = (seed >> 40) as u16;
                pair.copy_from_slice(&(if seed >> 62 == 0 { 0 } else { group >> (seed >> 58 & 15) }).to_be_bytes());
            }
            let addr = Addr(octets);
            assert_eq!(String::from_utf8_lossy(addr.text(true, &mut buf)), addr.to_ip(true).to_string());
        }
        let longest = Addr([0xff; 16]);
        assert_eq!(longest.text(true, &mut buf).len(), 39);
    }
}
