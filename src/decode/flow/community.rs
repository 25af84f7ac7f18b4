//! Community ID, version 1, seed 0: the same short text for a flow in every tool (the Community ID specification).

use super::FlowInfo;
use crate::decode::{Dir, Transport};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// Length of `1:` and the base64 form of twenty bytes.
pub const LEN: usize = 30;

/// The text, for example `1:YcMyyWJfhc95EW1GfXt6jlZ3DiQ=`.
pub fn text(flow: &FlowInfo) -> [u8; LEN] {
    let hash = flow.community.get_or_init(|| hash(flow));
    let mut out = *b"1:............................";
    // Twenty bytes fill 28 characters, always.
    let _ = STANDARD.encode_slice(hash, &mut out[2..]);
    out
}

fn hash(flow: &FlowInfo) -> [u8; 20] {
    let ports = [flow.port(Dir::Forward), flow.port(Dir::Back)];
    let (protocol, ports, one_way) = match flow.over() {
        Transport::Tcp => (6, ports, false),
        Transport::Udp => (17, ports, false),
        Transport::Icmp => icmp_ports(flow),
    };
    let ends = [(flow.addr(Dir::Forward), ports[0]), (flow.addr(Dir::Back), ports[1])];
    let [low, high] = if one_way || ends[0] <= ends[1] { ends } else { [ends[1], ends[0]] };
    let mut sha = Sha1::new();
    sha.update([0, 0]);
    for (addr, _) in [low, high] {
        if flow.is_v6() { sha.update(addr.0) } else { sha.update(addr.last4()) }
    }
    sha.update([protocol, 0]);
    sha.update(low.1.to_be_bytes());
    sha.update(high.1.to_be_bytes());
    sha.finalize().into()
}

/// For ICMP the type stands for the one port and the type of its answer for the other; messages that have no answer have type
/// and code there, and keep their direction.
fn icmp_ports(flow: &FlowInfo) -> (u8, [u16; 2], bool) {
    const V4: [(u8, u8); 5] = [(8, 0), (13, 14), (15, 16), (10, 9), (17, 18)];
    const V6: [(u8, u8); 5] = [(128, 129), (133, 134), (135, 136), (130, 131), (144, 145)];
    let (kind, code) = flow.icmp;
    let (pairs, protocol) = if flow.is_v6() { (V6, 58) } else { (V4, 1) };
    let answer = pairs.iter().find_map(|&(a, b)| match kind {
        k if k == a => Some(b),
        k if k == b => Some(a),
        _ => None,
    });
    match answer {
        Some(answer) => (protocol, [kind.into(), answer.into()], false),
        None => (protocol, [kind.into(), code.into()], true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::flow::FlowKey;
    use crate::decode::layers::Addr;
    use crate::time::Time;
    use std::net::IpAddr;

    fn flow(from: (&str, u16), to: (&str, u16), over: Transport, icmp: (u8, u8)) -> FlowInfo {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let end = |(a, p): (&str, u16)| (Addr::from(ip(a)), p);
        let (key, swapped) = FlowKey::of(end(from), end(to), [0; 2], over, ip(from.0).is_ipv6());
        FlowInfo::new(key, swapped, Time(0), icmp)
    }

    /// The examples of the specification's reference and of captures.
    #[test]
    fn known_flows() {
        use Transport::{Icmp, Tcp, Udp};
        let table = [
            (("192.168.238.68", 52602), ("192.168.238.1", 53), Udp, (0, 0), "1:T3jwZF/3t/vvdgrVwdxagCf5Azo="),
            (("127.0.0.1", 54689), ("127.0.0.1", 5000), Tcp, (0, 0), "1:uoC6427xihP9Tm3UWqQMPr6gayQ="),
            (("192.168.1.35", 59455), ("93.184.216.34", 443), Tcp, (0, 0), "1:fx1jENdlg6r3LIvBRG3wEboWbPY="),
            (("10.0.0.1", 7), ("10.0.0.2", 7), Icmp, (8, 0), "1:YcMyyWJfhc95EW1GfXt6jlZ3DiQ="),
            (("10.0.0.2", 7), ("10.0.0.1", 7), Icmp, (0, 0), "1:YcMyyWJfhc95EW1GfXt6jlZ3DiQ="),
        ];
        for (from, to, over, icmp, want) in table {
            assert_eq!(String::from_utf8_lossy(&text(&flow(from, to, over, icmp))), want);
            if over != Icmp {
                assert_eq!(String::from_utf8_lossy(&text(&flow(to, from, over, icmp))), want);
            }
        }
    }
}
