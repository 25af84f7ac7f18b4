//! TCP: one direction's segments put back into order, passively, with holes told instead of guessed (RFC 9293).
//!
//! A [`Half`] takes segments as they were captured and hands out, in order, what became deliverable. Segments that come
//! in order are handed out as they are, neither copied nor allocated; what runs ahead is copied and held within
//! [`Limits`]. Bytes that will never come are told as [`Got::Gap`], with their exact number.
//!
//! The caller pulls, so that decoders run without a borrow of the half:
//!
//! ```
//! # use collector::decode::tcp::*; use collector::time::Time;
//! # let (mut half, mut other) = (Half::default(), Half::default());
//! # let (limits, mut stats) = (Limits::default(), TcpStats::default());
//! # let segment = Segment { seq: 7, ack: 1, flags: flag::ACK, window: 9, data: b"hello", wire_len: 5 };
//! let mut cx = HalfCx { now: Time(0), limits: &limits, stats: &mut stats };
//! // 1. A SYN that begins another connection on the same ports: end this flow first, offer to fresh halves.
//! // 2. What the other side is missing, before this side's answer to it.
//! if segment.flags & (flag::ACK | flag::RST) == flag::ACK {
//!     other.acked(&mut cx, segment.ack);
//!     while let Some(got) = other.take(&mut cx) { /* … */ }
//! }
//! // 3. The segment itself.
//! let mut got = half.offer(&mut cx, &segment);
//! while let Some(what) = got {
//!     match what {
//!         Got::Data { bytes, .. } => { /* … */ }
//!         Got::Gap(lost) => { /* … */ }
//!         Got::Fin | Got::Reset | Got::Resync | Got::Restart => { /* … */ }
//!     }
//!     got = half.take(&mut cx);
//! }
//! ```
//!
//! [`Half::take`] is also what the clock calls (at [`Half::deadline`]) and what drains a half after [`Half::flush`].
//!
//! Rules worth knowing:
//! - Sequence numbers are compared modulo 2³² by the sign of their difference; no window scale is needed.
//! - Overlaps: the first copy of a byte wins, whether it was delivered or is held.
//! - A hole becomes a gap when the other side acknowledged beyond it and [`Limits::reorder`] passed or
//!   [`REORDER_SEGMENTS`] segments followed; when it is older than [`Limits::patience`]; when [`Limits`] are exceeded;
//!   at RST and [`Half::flush`]. Plain reordering never makes one. While a hole shrinks from its left it does not age.
//! - A segment the capture cut short leaves a gap at once: its tail cannot come.
//! - Without a SYN the stream begins where the other side's acknowledgement or a segment without data says. Failing
//!   both, the first data waits until it is acknowledged, two more segments came, or [`Limits::reorder`] passed:
//!   segments just before it may be late. What was missed before a stream's first byte is no gap.
//! - After a jump beyond any window, three segments that follow each other make the new place believed: [`Got::Resync`].

mod half;
mod held;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub use half::Half;
pub use held::before as is_before;

use crate::time::Time;
use std::borrow::Cow;
use std::time::Duration;

/// Bits of the header's flag byte (RFC 9293 section 3.1).
pub mod flag {
    /// The sender has no more data.
    pub const FIN: u8 = 0x01;
    /// The sequence number is the initial one.
    pub const SYN: u8 = 0x02;
    /// The connection is reset.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer counts. Urgent bytes stay in the stream, as RFC 6093 wants it.
    pub const URG: u8 = 0x20;
}

/// The farthest a segment may lie ahead: the largest window of RFC 7323, 1 GiB. No gap is larger.
pub const MAX_AHEAD: u32 = 1 << 30;

/// How far back a segment is a retransmission, how far off a RST is believed, and how far an acknowledgement without any
/// data behind it: 16 MiB, more than the largest buffers that systems are set up with.
pub const NEAR: u32 = 16 << 20;

/// So many segments of the direction after a hole which the other side acknowledged rule out plain reordering.
pub const REORDER_SEGMENTS: u8 = 16;

/// A connection that was silent for so long may be taken over by a SYN with another number, its end not having been seen.
pub const REUSE_IDLE: Duration = Duration::from_secs(3);

/// What a [`Half`] needs of a segment.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// Sequence number of the first byte (of the SYN, where there is one).
    pub seq: u32,
    /// Acknowledgement number; 0 without [`flag::ACK`].
    pub ack: u32,
    /// The flag byte, see [`flag`].
    pub flags: u8,
    /// The window field, not scaled.
    pub window: u16,
    /// Payload as captured.
    pub data: &'a [u8],
    /// Payload bytes on the wire, from the IP length; more than `data` where the capture cut the packet.
    pub wire_len: u32,
}

/// What a half may hold and how long holes may stay open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Heap bytes of one half.
    pub bytes: usize,
    /// Held segments of one half.
    pub segments: usize,
    /// Packet time after which reordering is ruled out.
    pub reorder: Duration,
    /// Packet time after which a hole is a gap though the other side did not acknowledge it.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 256 << 10, segments: 512, reorder: Duration::from_millis(100), patience: Duration::from_secs(2) }
    }
}

/// What went wrong or was strange. All count segments but for the bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TcpStats {
    /// Nothing in it was new.
    pub retransmitted: u64,
    /// Came before a segment of a lower number did.
    pub out_of_order: u64,
    /// Partly known, partly new: the first copy of each byte counted.
    pub overlaps: u64,
    /// Keep-alive probes.
    pub keep_alives: u64,
    /// Announced a window of zero.
    pub zero_window: u64,
    /// Cut by the capture.
    pub snap_cut: u64,
    /// Holes that became gaps.
    pub gaps: u64,
    /// Bytes in them.
    pub gap_bytes: u64,
    /// Gaps that were declared because a half held too much.
    pub over_limit: u64,
    /// Numbers beyond any window, RST and acknowledgements included; ignored.
    pub outside: u64,
    /// Jumps that were followed.
    pub resyncs: u64,
    /// A SYN with another number within a live connection; ignored until it is answered or followed.
    pub odd_syns: u64,
    /// Data after FIN or RST; ignored.
    pub after_end: u64,
}

/// What every call of a [`Half`] needs from outside.
#[derive(Debug)]
pub struct HalfCx<'a> {
    /// The packet clock.
    pub now: Time,
    /// Shared by all halves.
    pub limits: &'a Limits,
    /// Counted here.
    pub stats: &'a mut TcpStats,
}

/// What became deliverable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Got<'a> {
    /// The next bytes of the stream, never empty.
    Data {
        /// Borrowed from the segment at hand, or owned if they were held.
        bytes: Cow<'a, [u8]>,
        /// When they were captured.
        at: Time,
        /// Number of the first of them.
        seq: u32,
        /// What the sender had of the other side by then.
        ack: u32,
    },
    /// So many bytes will never come; from 1 to [`MAX_AHEAD`].
    Gap(u64),
    /// The sender closed its direction; nothing follows but perhaps `Reset`.
    Fin,
    /// The sender reset the connection; nothing follows.
    Reset,
    /// The numbers jumped: a gap of unknown length.
    Resync,
    /// Another connection begins here. Nothing of the segment at hand was taken: end the flow and begin a new one with it.
    Restart,
}
