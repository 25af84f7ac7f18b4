//! Files of captured packets: what stands in them, and readers that take their bytes piece by piece.

mod bytes;
mod damage;
mod gzip;
mod link;
mod magic;
mod pcap;
mod pcapng;
mod reader;
#[cfg(test)]
mod tests;
mod time;

pub use damage::{Damage, Fault};
pub use link::LinkType;
pub use reader::CaptureReader;

use crate::time::Time;

/// One captured frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// When it was captured; a time out of [`Time`]'s range is the nearest end of it.
    pub time: Time,
    /// What the first bytes of [`Self::data`] are.
    pub link: LinkType,
    /// Bytes the frame had on the wire; more than [`Self::data`] where the capture cut it.
    pub wire_len: u32,
    /// The bytes that were captured.
    pub data: &'a [u8],
}

/// The most bytes a packet can have captured: more is damage. As in libpcap (MAXIMUM_SNAPLEN).
pub const MAX_PACKET: u32 = 262_144;

/// The longest block of a pcapng file that is looked into; others are passed over without a limit.
const MAX_BLOCK: u32 = 1 << 20;

/// What a format finds at the head of the bytes that are there.
enum Step {
    /// A packet.
    Packet(Found),
    /// So many bytes hold no packet; they need not be there yet.
    Skip(u64),
    /// What begins here needs so many bytes: its name.
    Need(usize, &'static str),
    /// Damage.
    Fail(Fault),
}

/// A packet among the bytes.
struct Found {
    time: Time,
    link: LinkType,
    wire_len: u32,
    /// Where its data begins and how long it is.
    start: usize,
    len: usize,
    /// Bytes of the whole record.
    used: usize,
}
