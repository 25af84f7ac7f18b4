//! IP addresses of both versions in sixteen bytes.

use std::io::Write;
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
        let len = if v6 {
            let mut rest = &mut buf[..];
            // An address fits.
            let _ = write!(rest, "{}", Ipv6Addr::from(self.0));
            TEXT_MAX - rest.len()
        } else {
            let mut len = 0;
            for (i, octet) in self.last4().into_iter().enumerate() {
                if i > 0 {
                    buf[len] = b'.';
                    len += 1;
                }
                for (power, digit) in [(100, octet / 100), (10, octet / 10 % 10), (1, octet % 10)] {
                    if octet >= power || power == 1 {
                        buf[len] = b'0' + digit;
                        len += 1;
                    }
                }
            }
            len
        };
        &buf[..len]
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
        let longest = Addr([0xff; 16]);
        assert_eq!(longest.text(true, &mut buf).len(), 39);
    }
}
