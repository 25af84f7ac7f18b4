//! The records of a pcap file (draft-ietf-opsawg-pcap).

use super::bytes::Endian;
use super::damage::Fault;
use super::magic::Variant;
use super::{Found, LinkType, MAX_PACKET, Step};
use crate::time::Time;

/// Bytes of the file header.
const FILE_HEADER: usize = 24;

/// What the file header says.
#[derive(Debug)]
pub(super) struct Pcap {
    endian: Endian,
    variant: Variant,
    link: LinkType,
    lengths: Lengths,
    /// The file header is behind us.
    begun: bool,
}

/// The order of a record's two lengths: it changed with version 2.3, and old programs are at odds about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lengths {
    CapturedFirst,
    WireFirst,
    /// The smaller one is the captured one.
    Unsure,
}

impl Pcap {
    pub(super) fn new(endian: Endian, variant: Variant) -> Self {
        Self { endian, variant, link: LinkType::NULL, lengths: Lengths::CapturedFirst, begun: false }
    }

    /// What stands at the head of `bytes`.
    #[inline]
    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        if !self.begun {
            return self.begin(bytes);
        }
        let header = match self.variant {
            Variant::Micros | Variant::Nanos => 16,
            Variant::Patched => 24,
        };
        let Some(head) = bytes.get(..header) else { return Step::Need(header, "a packet's header") };
        let (secs, fraction) = (self.endian.u32(head, 0), self.endian.u32(head, 4));
        let (mut len, mut wire_len) = (self.endian.u32(head, 8), self.endian.u32(head, 12));
        let swapped = match self.lengths {
            Lengths::CapturedFirst => false,
            Lengths::WireFirst => true,
            Lengths::Unsure => len > wire_len,
        };
        if swapped {
            (len, wire_len) = (wire_len, len);
        }
        if len > MAX_PACKET {
            return Step::Fail(Fault::PacketTooLong(len));
        }
        let used = header + len as usize;
        if bytes.len() < used {
            return Step::Need(used, "a packet");
        }
        let nanos = if self.variant == Variant::Nanos { 1 } else { 1000 };
        // Below 2^62 + 2^42: no overflow.
        let time = Time(i64::from(secs) * 1_000_000_000 + i64::from(fraction) * nanos);
        Step::Packet(Found { time, link: self.link, wire_len, start: header, len: len as usize, used })
    }

    fn begin(&mut self, bytes: &[u8]) -> Step {
        let Some(head) = bytes.get(..FILE_HEADER) else { return Step::Need(FILE_HEADER, "the file header") };
        let (major, minor) = (self.endian.u16(head, 4), self.endian.u16(head, 6));
        self.lengths = match (major, minor) {
            // The second is DG/UX.
            (2, 0..=2) | (543, 0) => Lengths::WireFirst,
            (2, 3) => Lengths::Unsure,
            (2, _) => Lengths::CapturedFirst,
            _ => return Step::Fail(Fault::Version("pcap", major, minor)),
        };
        // Above the lower half stand the length of the frame check sequence and reserved bits. The sequence stays at
        // the end of a packet's data.
        self.link = LinkType(self.endian.u32(head, 20) as u16);
        self.begun = true;
        Step::Skip(FILE_HEADER as u64)
    }
}
