//! The filter that is made where the user gives none and only some packets can be of use.

use crate::decode::Transport;
use std::fmt::Write;

/// What is looked for: a transport, with the ports that carry it; ICMP has none.
pub type Wanted = (Transport, Vec<u16>);

/// A filter for packets of these ports, whatever carries them: later fragments, packets with IPv6 extension headers and
/// (`tunnels`) tunnels pass whole, since a filter cannot look for ports there. The first text is for links with VLAN
/// tags in the frame, the second for those that know none.
pub fn filter(wanted: &[Wanted], tunnels: bool) -> [String; 2] {
    let mut parts = Vec::new();
    let mut icmp = false;
    for (transport, word) in [(Transport::Tcp, "tcp"), (Transport::Udp, "udp")] {
        let mut ports: Vec<u16> =
            wanted.iter().filter(|(t, _)| *t == transport).flat_map(|(_, p)| p).copied().collect();
        ports.sort_unstable();
        ports.dedup();
        parts.extend(ports.iter().map(|port| format!("{word} port {port}")));
    }
    icmp |= wanted.iter().any(|(t, _)| *t == Transport::Icmp);
    if icmp {
        parts.push("icmp or icmp6".to_owned());
    }
    // Fragments but the first (RFC 791); hop-by-hop, routing, fragment, authentication and destination headers.
    parts.push("ip[6:2] & 0x1fff != 0".to_owned());
    parts.extend([0, 43, 44, 51, 60].map(|next| format!("ip6[6] == {next}")));
    if tunnels {
        // VXLAN, Linux's own port for it, GENEVE; IP in IP, IPv6 in IP, GRE.
        parts.extend([4789, 8472, 6081].map(|port| format!("udp port {port}")));
        parts.extend([4, 41, 47].map(|proto| format!("ip proto {proto} or ip6 proto {proto}")));
    }
    let plain = parts.join(" or ");
    let mut tagged = format!("({plain})");
    // `vlan` moves what follows by one tag: once for 802.1Q, twice for QinQ.
    let _ = write!(tagged, " or (vlan and (({plain}) or (vlan and ({plain}))))");
    [tagged, plain]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_all_protocols_once_each() {
        let wanted = [
            (Transport::Tcp, vec![80, 443]),
            (Transport::Tcp, vec![443, 53]),
            (Transport::Udp, vec![53]),
            (Transport::Icmp, vec![]),
        ];
        let [tagged, plain] = filter(&wanted, false);
        assert!(plain.starts_with("tcp port 53 or tcp port 80 or tcp port 443 or udp port 53 or icmp or icmp6 or "));
        assert_eq!(tagged, format!("({plain}) or (vlan and (({plain}) or (vlan and ({plain}))))"));
        assert!(!plain.contains("4789"));
    }
}
