//! Link-layer types: what the first bytes of a frame are.

use std::fmt::{Display, Formatter, Result};

/// A LINKTYPE_ number as capture files store it (draft-ietf-opsawg-pcaplinktype); a DLT_ number of a live capture is
/// the same but for [`Self::RAW`], which some systems call 12 or 14.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: four bytes of address family in the byte order of the machine that captured.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const EN10MB: Self = Self(1);
    /// Token Ring.
    pub const IEEE802_5: Self = Self(6);
    /// SLIP with a header of 16 bytes.
    pub const SLIP: Self = Self(8);
    /// PPP, with or without the address and control bytes.
    pub const PPP: Self = Self(9);
    /// FDDI.
    pub const FDDI: Self = Self(10);
    /// IPv4 or IPv6 from the first byte on; the number of most systems' DLT_RAW.
    pub const RAW_12: Self = Self(12);
    /// IPv4 or IPv6 from the first byte on; OpenBSD's DLT_RAW.
    pub const RAW_14: Self = Self(14);
    /// PPP in HDLC-like framing.
    pub const PPP_HDLC: Self = Self(50);
    /// PPPoE: session header, then PPP.
    pub const PPP_ETHER: Self = Self(51);
    /// IPv4 or IPv6 from the first byte on.
    pub const RAW: Self = Self(101);
    /// Cisco HDLC.
    pub const C_HDLC: Self = Self(104);
    /// 802.11 without a pseudo-header.
    pub const IEEE802_11: Self = Self(105);
    /// OpenBSD loopback: four bytes of address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture, as `any` gave before libpcap 1.10.
    pub const LINUX_SLL: Self = Self(113);
    /// 802.11 behind a Prism header.
    pub const IEEE802_11_PRISM: Self = Self(119);
    /// 802.11 behind a radiotap header.
    pub const IEEE802_11_RADIOTAP: Self = Self(127);
    /// 802.11 behind an AVS header.
    pub const IEEE802_11_AVS: Self = Self(163);
    /// PPP behind a direction byte.
    pub const PPP_WITH_DIR: Self = Self(166);
    /// 802.11 behind a PPI header.
    pub const PPI: Self = Self(192);
    /// IPv4 from the first byte on.
    pub const IPV4: Self = Self(228);
    /// IPv6 from the first byte on.
    pub const IPV6: Self = Self(229);
    /// Linux netfilter log: a header and TLVs, one of them the packet.
    pub const NFLOG: Self = Self(239);
    /// Apple's PKTAP: a header that names the link type of what follows.
    pub const PKTAP: Self = Self(258);
    /// Linux cooked capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);
}

impl Display for LinkType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let name = match *self {
            Self::NULL => "NULL",
            Self::EN10MB => "EN10MB",
            Self::IEEE802_5 => "IEEE802_5",
            Self::SLIP => "SLIP",
            Self::PPP => "PPP",
            Self::FDDI => "FDDI",
            Self::RAW_12 | Self::RAW_14 | Self::RAW => "RAW",
            Self::PPP_HDLC => "PPP_HDLC",
            Self::PPP_ETHER => "PPP_ETHER",
            Self::C_HDLC => "C_HDLC",
            Self::IEEE802_11 => "IEEE802_11",
            Self::LOOP => "LOOP",
            Self::LINUX_SLL => "LINUX_SLL",
            Self::IEEE802_11_PRISM => "IEEE802_11_PRISM",
            Self::IEEE802_11_RADIOTAP => "IEEE802_11_RADIOTAP",
            Self::IEEE802_11_AVS => "IEEE802_11_AVS",
            Self::PPP_WITH_DIR => "PPP_WITH_DIR",
            Self::PPI => "PPI",
            Self::IPV4 => "IPV4",
            Self::IPV6 => "IPV6",
            Self::NFLOG => "NFLOG",
            Self::PKTAP => "PKTAP",
            Self::LINUX_SLL2 => "LINUX_SLL2",
            Self(number) => return write!(f, "link type {number}"),
        };
        f.write_str(name)
    }
}
