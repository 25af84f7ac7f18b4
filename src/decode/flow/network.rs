//! Which addresses are one's own, and so which way a flow crosses the border: `network.direction`.

use crate::conf::FromConf;
use crate::decode::layers::Addr;

/// Networks in CIDR form, or by name.
#[derive(Debug, Clone)]
pub struct Networks(Vec<(Addr, u32)>);

/// The address ranges that a name stands for (RFC 1918, RFC 4193, RFC 1122, RFC 4291, RFC 3927, RFC 1112).
const NAMED: [(&str, &[&str]); 4] = [
    ("private", &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8"]),
    ("loopback", &["127.0.0.0/8", "::1/128"]),
    ("link_local", &["169.254.0.0/16", "fe80::/10"]),
    ("multicast", &["224.0.0.0/4", "ff00::/8"]),
];

impl Networks {
    /// Whether an address lies in one of them.
    pub fn holds(&self, addr: Addr) -> bool {
        let bits = u128::from_be_bytes(addr.0);
        self.0.iter().any(|(net, len)| {
            let mask = u128::MAX.checked_shl(128 - len).unwrap_or(0);
            bits & mask == u128::from_be_bytes(net.0) & mask
        })
    }

    /// `internal`, `outbound`, `inbound` or `external`, for a flow from one address to another.
    pub fn direction(&self, from: Addr, to: Addr) -> &'static str {
        match (self.holds(from), self.holds(to)) {
            (true, true) => "internal",
            (true, false) => "outbound",
            (false, true) => "inbound",
            (false, false) => "external",
        }
    }

    fn add(&mut self, text: &str) -> Result<(), String> {
        if let Some((_, ranges)) = NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return ranges.iter().try_for_each(|range| self.add(range));
        }
        let wrong = || {
            let names = NAMED.map(|(name, _)| name).join(", ");
            format!("'{text}' is no network (write 10.0.0.0/8, an address, or one of {names})")
        };
        let (ip, len) = text.split_once('/').map_or((text, None), |(ip, len)| (ip, Some(len)));
        let ip: std::net::IpAddr = ip.trim().parse().map_err(|_| wrong())?;
        let full = if ip.is_ipv4() { 32 } else { 128 };
        let len = len.map_or(Ok(full), |l| l.trim().parse::<u32>()).map_err(|_| wrong())?;
        if len > full {
            return Err(wrong());
        }
        self.0.push((ip.into(), 128 - full + len));
        Ok(())
    }
}

impl FromConf for Networks {
    const KIND: &'static str = "networks";
    const EXAMPLE: &'static str = "private, 2001:db8::/32";

    fn from_conf(text: &str) -> Result<Self, String> {
        let mut nets = Self(Vec::new());
        text.split([',', ' ']).map(str::trim).filter(|t| !t.is_empty()).try_for_each(|t| nets.add(t))?;
        Ok(nets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions() {
        let nets = Networks::from_conf("private,loopback, 2001:db8::/32 8.8.8.8").unwrap();
        let addr = |ip: &str| Addr::from(ip.parse::<std::net::IpAddr>().unwrap());
        let table = [
            ("10.1.2.3", "192.168.1.1", "internal"),
            ("172.31.0.1", "1.1.1.1", "outbound"),
            ("172.32.0.1", "8.8.8.8", "inbound"),
            ("9.9.9.9", "8.8.8.9", "external"),
            ("2001:db8:ffff::1", "::1", "internal"),
            ("2001:db9::1", "fd12::1", "inbound"),
        ];
        for (from, to, want) in table {
            assert_eq!(nets.direction(addr(from), addr(to)), want, "{from} {to}");
        }
        assert!(Networks::from_conf("0.0.0.0/0").unwrap().holds(addr("1.2.3.4")));
        assert!(!Networks::from_conf("0.0.0.0/0").unwrap().holds(addr("2001::1")));
        assert!(Networks::from_conf("").unwrap().0.is_empty());
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["10.0.0.0/33", "::1/129", "home", "10.0.0", "1.2.3.4/-1"] {
            assert!(Networks::from_conf(text).unwrap_err().contains(text), "{text}");
        }
    }
}
