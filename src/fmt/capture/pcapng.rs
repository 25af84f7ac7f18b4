//! The blocks of a pcapng file (draft-ietf-opsawg-pcapng).

use super::bytes::Endian;
use super::damage::Fault;
use super::time::Clock;
use super::{Found, LinkType, MAX_BLOCK, MAX_PACKET, Step};
use crate::time::Time;

/// Interfaces of one section: more are damage. Each takes 48 bytes.
const MAX_INTERFACES: usize = 65_536;
/// Bytes of a block around its body: type and length before it, length behind it.
const FRAME: u32 = 12;
/// Bytes of a section header without options.
const SECTION: u32 = 28;

/// Types of blocks.
mod kind {
    pub(super) const SECTION: u32 = 0x0a0d_0d0a;
    pub(super) const INTERFACE: u32 = 1;
    /// Obsolete.
    pub(super) const PACKET: u32 = 2;
    pub(super) const SIMPLE_PACKET: u32 = 3;
    pub(super) const STATISTICS: u32 = 5;
    pub(super) const ENHANCED_PACKET: u32 = 6;
}

/// The section at hand.
#[derive(Debug)]
pub(super) struct Pcapng {
    endian: Endian,
    interfaces: Vec<Interface>,
    /// Packets dropped while capturing, of the sections that are behind us.
    drops: u64,
    /// The time of the last packet: that of one without its own.
    last: Time,
    /// A block was passed over: the length it declared and the length it has; its end comes next.
    passed: Option<(u32, u32)>,
}

/// An interface of the section.
#[derive(Debug, Clone, Copy)]
struct Interface {
    link: LinkType,
    /// The most that was captured of a packet; 0 is no limit.
    snaplen: u32,
    clock: Clock,
    /// As of its last statistics.
    drops: u64,
}

impl Pcapng {
    pub(super) fn new() -> Self {
        Self { endian: Endian::Little, interfaces: Vec::new(), drops: 0, last: Time(0), passed: None }
    }

    /// Packets dropped by the interfaces and the system while capturing, as far as the file says.
    pub(super) fn drops(&self) -> u64 {
        self.interfaces.iter().fold(self.drops, |sum, i| sum.saturating_add(i.drops))
    }

    /// Whether the end of a block is still to come.
    pub(super) fn is_inside(&self) -> bool {
        self.passed.is_some()
    }

    /// What stands at the head of `bytes`.
    #[inline]
    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        if let Some((declared, length)) = self.passed {
            return self.tail(bytes, declared, length);
        }
        let Some(head) = bytes.get(..FRAME as usize) else { return Step::Need(FRAME as usize, "a block") };
        let block = self.endian.u32(head, 0);
        // The same in both byte orders.
        if block == kind::SECTION {
            return self.section(bytes);
        }
        let declared = self.endian.u32(head, 4);
        // Some writers leave the padding out of the length.
        let Some(length) = declared.checked_next_multiple_of(4).filter(|n| *n >= FRAME) else {
            return Step::Fail(Fault::BlockLength(block, declared));
        };
        match block {
            kind::INTERFACE..=kind::SIMPLE_PACKET | kind::STATISTICS | kind::ENHANCED_PACKET => {}
            _ => {
                self.passed = Some((declared, length));
                return Step::Skip(u64::from(length - 4));
            }
        }
        if length > MAX_BLOCK {
            return Step::Fail(Fault::BlockLength(block, declared));
        }
        let Some(whole) = bytes.get(..length as usize) else { return Step::Need(length as usize, "a block") };
        let tail = self.endian.u32(whole, whole.len() - 4);
        if tail != declared && tail != length {
            return Step::Fail(Fault::Trailer(declared, tail));
        }
        let body = whole.get(8..whole.len() - 4).unwrap_or_default();
        let done = match block {
            kind::ENHANCED_PACKET => self.packet(body, self.endian.u32(body, 0)),
            kind::PACKET => self.packet(body, self.endian.u16(body, 0).into()),
            kind::SIMPLE_PACKET => self.simple_packet(body),
            kind::INTERFACE => self.interface(body),
            _ => self.statistics(body),
        };
        match done {
            Ok(Some(found)) => Step::Packet(Found { used: whole.len(), ..found }),
            Ok(None) => Step::Skip(u64::from(length)),
            Err(Fault::BlockLength(..)) => Step::Fail(Fault::BlockLength(block, declared)),
            Err(fault) => Step::Fail(fault),
        }
    }

    /// The end of a block that was passed over.
    #[cold]
    fn tail(&mut self, bytes: &[u8], declared: u32, length: u32) -> Step {
        if bytes.len() < 4 {
            return Step::Need(4, "a block");
        }
        self.passed = None;
        match self.endian.u32(bytes, 0) {
            tail if tail == declared || tail == length => Step::Skip(4),
            tail => Step::Fail(Fault::Trailer(declared, tail)),
        }
    }

    /// Begins a section: its byte order is told by its mark.
    fn section(&mut self, bytes: &[u8]) -> Step {
        let Some(head) = bytes.get(..SECTION as usize) else { return Step::Need(SECTION as usize, "a section header") };
        let endian = match Endian::Little.u32(head, 8) {
            0x1a2b_3c4d => Endian::Little,
            0x4d3c_2b1a => Endian::Big,
            mark => return Step::Fail(Fault::ByteOrder(mark.to_le_bytes())),
        };
        let declared = endian.u32(head, 4);
        let Some(length) = declared.checked_next_multiple_of(4).filter(|n| (SECTION..=MAX_BLOCK).contains(n)) else {
            return Step::Fail(Fault::BlockLength(kind::SECTION, declared));
        };
        let Some(whole) = bytes.get(..length as usize) else { return Step::Need(length as usize, "a section header") };
        let tail = endian.u32(whole, whole.len() - 4);
        if tail != declared && tail != length {
            return Step::Fail(Fault::Trailer(declared, tail));
        }
        match (endian.u16(head, 12), endian.u16(head, 14)) {
            // Readers must take 1.2 for 1.0.
            (1, 0 | 2) => {}
            (major, minor) => return Step::Fail(Fault::Version("pcapng", major, minor)),
        }
        self.endian = endian;
        self.drops = self.drops();
        self.interfaces.clear();
        Step::Skip(u64::from(length))
    }

    fn interface(&mut self, body: &[u8]) -> Result<Option<Found>, Fault> {
        if body.len() < 8 {
            return Err(SHORT);
        }
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(Fault::Interfaces(MAX_INTERFACES));
        }
        let mut clock = Clock::default();
        for (code, value) in self.options(body, 8) {
            match (code, value) {
                (9, [resolution, ..]) => clock.set_resolution(*resolution),
                (14, [_, _, _, _, _, _, _, _, ..]) => clock.set_offset(self.endian.u64(value, 0).cast_signed()),
                _ => {}
            }
        }
        let link = LinkType(self.endian.u16(body, 0));
        self.interfaces.push(Interface { link, snaplen: self.endian.u32(body, 4), clock, drops: 0 });
        Ok(None)
    }

    /// An Enhanced Packet Block, or the obsolete Packet Block: they differ in the first four bytes alone.
    #[inline]
    fn packet(&mut self, body: &[u8], number: u32) -> Result<Option<Found>, Fault> {
        const HEADER: usize = 20;
        if body.len() < HEADER {
            return Err(SHORT);
        }
        let interface = self.known(number)?;
        let ticks = u64::from(self.endian.u32(body, 4)) << 32 | u64::from(self.endian.u32(body, 8));
        let (len, wire_len) = (self.endian.u32(body, 12), self.endian.u32(body, 16));
        let room = body.len() - HEADER;
        if len > MAX_PACKET {
            return Err(Fault::PacketTooLong(len));
        }
        if len as usize > room {
            return Err(Fault::PacketBeyondBlock(len, room as u32));
        }
        let time = interface.clock.time(ticks);
        self.last = time;
        Ok(Some(Found { time, link: interface.link, wire_len, start: 8 + HEADER, len: len as usize, used: 0 }))
    }

    /// A Simple Packet Block: of interface 0, without a time; that of the packet before it is taken.
    fn simple_packet(&self, body: &[u8]) -> Result<Option<Found>, Fault> {
        if body.len() < 4 {
            return Err(SHORT);
        }
        let interface = self.known(0)?;
        let wire_len = self.endian.u32(body, 0);
        let cut = if interface.snaplen == 0 { wire_len } else { wire_len.min(interface.snaplen) };
        let room = body.len() - 4;
        // What it says of its length without a captured one: a block shorter than both was cut by somebody else.
        let len = (cut as usize).min(room);
        if len > MAX_PACKET as usize {
            return Err(Fault::PacketTooLong(len as u32));
        }
        Ok(Some(Found { time: self.last, link: interface.link, wire_len, start: 12, len, used: 0 }))
    }

    fn statistics(&mut self, body: &[u8]) -> Result<Option<Found>, Fault> {
        if body.len() < 12 {
            return Err(SHORT);
        }
        let number = self.endian.u32(body, 0);
        let drops = self.options(body, 12).filter(|(code, value)| matches!(code, 5 | 7) && value.len() >= 8);
        // isb_ifdrop and isb_osdrop.
        let sum = drops.fold(0u64, |sum, (_, value)| sum.saturating_add(self.endian.u64(value, 0)));
        // Statistics of an interface that nobody described harm nothing.
        if let Some(interface) = self.interfaces.get_mut(number as usize) {
            interface.drops = sum;
        }
        Ok(None)
    }

    fn known(&self, number: u32) -> Result<Interface, Fault> {
        let found = self.interfaces.get(number as usize).copied();
        found.ok_or(Fault::Interface(number, self.interfaces.len()))
    }

    /// The options from `at` on, as code and value. What is no option ends them: options are not worth a packet.
    fn options<'a>(&self, body: &'a [u8], at: usize) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let endian = self.endian;
        let mut rest = body.get(at..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (head, after) = rest.split_at_checked(4)?;
            let (code, len) = (endian.u16(head, 0), usize::from(endian.u16(head, 2)));
            let value = after.get(..len).filter(|_| code != 0)?;
            rest = after.get(len.next_multiple_of(4)..).unwrap_or_default();
            Some((code, value))
        })
    }
}

/// A body too short for its block; the caller fills in which.
const SHORT: Fault = Fault::BlockLength(0, 0);
