//! What this program uses of libpcap, and what stands in for it in a build without.

#[cfg(not(feature = "pcap"))]
mod off;
#[cfg(feature = "pcap")]
mod on;

#[cfg(not(feature = "pcap"))]
pub use off::{Filter, Handle, interfaces, link_type};
#[cfg(feature = "pcap")]
pub use on::{Filter, Handle, interfaces, link_type};

use std::fmt;
use std::time::Duration;

/// The kernel hands over a block of packets when it is full (256 KiB) or this old.
///
/// Immediate mode would show each packet at once, but its ring has slots of the largest packet (64 KiB with segmentation
/// offload: 8 MiB hold 127 packets), and it wakes the program for nearly every one. Measured at 50,000 packets a second for
/// five seconds on two busy cores, without analysis: 31,000 wake-ups a second, 9 % of a CPU and 47,000 packets dropped,
/// against 19 wake-ups, under 1 % and none. With blocks, the analysis of DNS and its records included, it is 36 wake-ups a
/// second and 5 %. Idle there are none in either mode.
pub const BLOCK_AGE: Duration = Duration::from_millis(100);

/// How to capture.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Bytes kept of a packet.
    pub snaplen: u32,
    /// Also what is addressed to others.
    pub promisc: bool,
    /// Bytes of the kernel's ring.
    pub buffer: u32,
    /// Texts of filters: the first one that the link allows is taken. An empty text takes everything.
    pub filters: Vec<String>,
}

/// Why an interface cannot be captured from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It does not exist.
    Missing,
    /// The program lacks the privilege.
    Denied,
    /// It exists, but was not brought up.
    Down,
    /// The filter is wrong, or cannot be used on this link.
    Filter(String),
    /// Anything else, in libpcap's words.
    Other(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "it does not exist",
            Self::Denied => "the privilege CAP_NET_RAW is missing",
            Self::Down => "it is down",
            Self::Filter(why) | Self::Other(why) => why,
        })
    }
}

/// What the kernel has counted, modulo 2³².
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Packets that passed the filter, dropped ones included.
    pub received: u32,
    /// Packets that found no room in the ring.
    pub dropped: u32,
    /// Packets that the interface or its driver dropped.
    pub if_dropped: u32,
}

/// What a turn of reading brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Packets; there may be more.
    Packets(usize),
    /// The descriptor became readable, but there was nothing: perhaps the interface went down.
    Nothing,
}
