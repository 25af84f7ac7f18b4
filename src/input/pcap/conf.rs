//! The keys of the pcap input.

use crate::conf::{CList, FromConf, Many, Size};
use crate::decode::flow::Networks;
use std::time::Duration;

crate::config! {
    /// Options of `pcap`.
    pub struct PcapConf {
        /// Comma list of network interfaces to capture from; `any` is all of them. May be repeated. Either this or
        /// `File` is given.
        interface: Many<CList> => "Interface",
        /// A file of captured packets (pcap, pcapng, either of them in gzip), a pattern as in glob(7), or `-` for the
        /// standard input. May be repeated: all files are read one after the other as one capture, those of a pattern in
        /// the order of their names. A damaged file is read as far as it is whole.
        file: Many<String> => "File",
        /// End the program when all files are read; its exit code is 1 when one of them was damaged or missing.
        exit_on_eof: bool => "Exit_On_Eof" = "on",
        /// Read files at the pace at which they were captured, not as fast as possible. Pauses of more than an hour are
        /// left out.
        realtime: bool => "Realtime" = "off",
        /// How often the files are read; 0 is for ever. Each round is a capture of its own, its times follow those of the
        /// round before. The standard input is read once.
        rounds: u32 => "Loop" = "1",
        /// Only packets that this filter takes are looked at; as for tcpdump (pcap-filter(7)).
        bpf_filter: Option<String> => "BPF_Filter",
        /// The most that is captured of a packet, in bytes. The default takes packets whole that were put together by
        /// the network card.
        snaplen: u32 => "Snaplen" = "262144",
        /// Capture what is not addressed to this machine, too.
        promisc: bool => "Promisc" = "off",
        /// The ring that the kernel fills for each interface, in bytes of locked memory. A larger one bridges longer
        /// peaks.
        buffer_size: Size => "Buffer_Size" = "8M",
        /// Make records of flows: packets and bytes of each pair of addresses and ports.
        flows: bool => "Flows" = "on",
        /// A flow without a packet for so long is over.
        flow_timeout: Duration => "Flow_Timeout" = "30s",
        /// How often a flow that goes on makes a record; `-1` or `off`: only its end does.
        flow_period: Period => "Flow_Period" = "10s",
        /// How long a request waits for its response.
        transaction_timeout: Duration => "Transaction_Timeout" = "10s",
        /// Comma list of the protocols to decode; all when not given.
        protocols: Option<CList> => "Protocols",
        /// Recognise protocols by what is said on any port; when off, by the port alone.
        detect: bool => "Detect" = "on",
        /// Look into tunnels: VXLAN, GRE, GENEVE, IP in IP. When off, the tunnel is what is seen.
        tunnels: bool => "Tunnels" = "on",
        /// Memory for flows, streams and requests that wait; over it the oldest go, counted.
        max_memory: Size => "Max_Memory" = "64M",
        /// Comma list of networks that count as internal for `network.direction`: CIDR blocks, or `private`, `loopback`,
        /// `link_local`, `multicast`.
        internal_networks: Networks => "Internal_Networks" = "private, loopback, link_local",
    }
}

/// How often something happens; `None` is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(pub Option<Duration>);

impl FromConf for Period {
    const KIND: &'static str = "time or off";
    const EXAMPLE: &'static str = "10s";
    fn from_conf(text: &str) -> Result<Self, String> {
        if text == "-1" || text.eq_ignore_ascii_case("off") {
            return Ok(Self(None));
        }
        match Duration::from_conf(text)? {
            Duration::ZERO => Err("0 is no period; write off for never".into()),
            period => Ok(Self(Some(period))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods() {
        let table: &[(&str, Option<Period>)] = &[
            ("10s", Some(Period(Some(Duration::from_secs(10))))),
            ("0.5", Some(Period(Some(Duration::from_millis(500))))),
            ("-1", Some(Period(None))),
            ("OFF", Some(Period(None))),
            ("0", None),
            ("-2", None),
            ("never", None),
        ];
        for (text, want) in table {
            assert_eq!(Period::from_conf(text).ok(), *want, "{text}");
        }
    }
}
