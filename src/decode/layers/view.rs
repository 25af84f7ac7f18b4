//! What is seen in a frame: addresses, tags, and the transport header of its innermost IP datagram.

use super::Addr;

/// Tags that are remembered of a frame; the others are passed over.
const TAGS: usize = 4;

/// A frame's innermost IP datagram and what was met on the way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layers<'a> {
    /// Whether the innermost IP is version 6.
    pub v6: bool,
    /// Its sender.
    pub src: Addr,
    /// Its receiver.
    pub dst: Addr,
    /// Its payload.
    pub body: Body<'a>,
    /// The VLANs, outermost first, those inside of tunnels last.
    pub vlans: Vlans,
    /// The addresses of the outermost Ethernet header.
    pub macs: Option<Macs>,
    /// Bytes the frame had on the wire, its link header included.
    pub frame_len: u32,
    /// Tunnels that were opened.
    pub tunnels: u8,
    /// The frames before this one that the datagram is made of, too.
    pub earlier: Earlier,
}

/// The frames of a fragmented datagram but for the last to arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Earlier {
    /// How many.
    pub frames: u32,
    /// Their bytes on the wire, link headers included.
    pub bytes: u64,
}

/// Ethernet addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Macs {
    /// The sender's.
    pub src: [u8; 6],
    /// The receiver's.
    pub dst: [u8; 6],
}

/// What an IP datagram carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// RFC 9293.
    Tcp(TcpSegment<'a>),
    /// RFC 768.
    Udp(UdpDatagram<'a>),
    /// RFC 792 in IPv4, RFC 4443 in IPv6.
    Icmp {
        /// The message from its type on, as far as it was captured.
        data: &'a [u8],
        /// Bytes it had on the wire.
        wire_len: u32,
    },
    /// TCP or UDP of which only the ports are to be had: the capture cut the header, or its lengths contradict each other.
    Ports {
        /// TCP, or else UDP.
        tcp: bool,
        /// The sender's.
        src_port: u16,
        /// The receiver's.
        dst_port: u16,
    },
    /// Another protocol, by its IP protocol number; also a tunnel that was not opened.
    Other(u8),
}

/// A TCP segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpSegment<'a> {
    /// The sender's port.
    pub src_port: u16,
    /// The receiver's port.
    pub dst_port: u16,
    /// Of the first payload byte, or of the SYN.
    pub seq: u32,
    /// Meaningful with [`flag::ACK`](crate::decode::tcp::flag::ACK).
    pub ack: u32,
    /// The flag byte: [`crate::decode::tcp::flag`].
    pub flags: u8,
    /// As it stands in the header, not scaled.
    pub window: u16,
    /// Of a SYN alone.
    pub options: SynOptions,
    /// As far as it was captured.
    pub payload: &'a [u8],
    /// Payload bytes that were sent, after the IP header: more than [`Self::payload`] has where the capture cut the frame.
    pub wire_payload_len: u32,
}

impl TcpSegment<'_> {
    /// Whether any of these flags is set.
    #[inline]
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }
}

/// The options that only a SYN has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SynOptions {
    /// The largest segment it takes (RFC 9293 §3.7.1).
    pub mss: Option<u16>,
    /// The shift of its windows (RFC 7323 §2), at most 14.
    pub window_scale: Option<u8>,
    /// RFC 2018.
    pub sack_permitted: bool,
}

/// A UDP datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpDatagram<'a> {
    /// The sender's port.
    pub src_port: u16,
    /// The receiver's port.
    pub dst_port: u16,
    /// As far as it was captured.
    pub payload: &'a [u8],
    /// Payload bytes that were sent.
    pub wire_len: u32,
}

/// The VLAN numbers of a frame; 0 is a tag that only says a priority (IEEE 802.1Q §9.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Vlans {
    ids: [u16; TAGS],
    len: u8,
}

impl Vlans {
    /// The numbers, outermost first.
    #[inline]
    pub fn as_slice(&self) -> &[u16] {
        self.ids.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Adds the number of an inner tag; past the fourth it is passed over.
    #[inline]
    pub fn push(&mut self, id: u16) {
        if let Some(place) = self.ids.get_mut(usize::from(self.len)) {
            *place = id;
            self.len += 1;
        }
    }
}
