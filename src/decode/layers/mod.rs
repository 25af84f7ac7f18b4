//! From a captured frame to the payload of its innermost IP, without allocation and without copying.
//!
//! [`Unwrapper::unwrap`] passes over the link header, tags, labels and tunnels, reads the IP and transport headers and answers
//! with slices of the frame. Only fragments are copied: they wait in a table of bounded size until the last one arrives.
//!
//! Lengths are those of the IP headers: padding and trailers of the link are cut off, and where the capture cut the frame the
//! length on the wire stands beside what is there. Checksums are not looked at.

pub mod addr;
mod ether;
mod fragments;
mod ip;
mod link;
mod ppp;
mod skip;
mod transport;
mod tunnel;
mod view;

pub use addr::Addr;
pub use fragments::FragmentCounters;
pub use skip::{Counters, Layer, Skip};
pub use view::{Body, Earlier, Layers, Macs, SynOptions, TcpSegment, UdpDatagram, Vlans};

use crate::fmt::capture::Packet;
use ether::{Net, Trail};
use fragments::{Added, Fragments, Key};
use ip::Datagram;
use std::time::Duration;

/// Tunnels within tunnels that are opened; beyond, the one there stands.
pub const MAX_TUNNELS: u8 = 8;

/// Datagrams that one frame may complete, each within the other; beyond, the frame is of no use.
const MAX_NESTED: usize = 2;

/// How frames are unwrapped.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Whether tunnels are opened.
    pub tunnels: bool,
    /// Bytes that fragments may hold. The datagrams that were completed last come on top: two buffers of at most 128 KiB.
    pub fragment_bytes: usize,
    /// How long a datagram may miss fragments, by the packets' times.
    pub fragment_timeout: Duration,
}

impl Default for Settings {
    /// 4 MiB, as Linux for each IP version, and the minute of RFC 8200 §4.5 and RFC 1122 §3.3.2.
    fn default() -> Self {
        Self { tunnels: true, fragment_bytes: 4 << 20, fragment_timeout: Duration::from_secs(60) }
    }
}

/// Unwraps frames; remembers fragments.
#[derive(Debug)]
pub struct Unwrapper {
    tunnels: bool,
    fragments: Fragments,
    /// The datagrams that the last frame completed.
    whole: [Vec<u8>; MAX_NESTED],
    counters: Counters,
    vlans: Vlans,
}

impl Unwrapper {
    /// Nothing is remembered yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            tunnels: settings.tunnels,
            fragments: Fragments::new(settings.fragment_bytes, settings.fragment_timeout),
            whole: Default::default(),
            counters: Counters::default(),
            vlans: Vlans::default(),
        }
    }

    /// What became of all frames up to now.
    pub fn counters(&self) -> Counters {
        Counters { fragments: self.fragments.counters, ..self.counters }
    }

    /// Tags of the last frame, whatever became of it.
    pub fn vlans(&self) -> Vlans {
        self.vlans
    }

    /// Heap bytes held.
    pub fn memory(&self) -> usize {
        self.fragments.memory() + self.whole.iter().map(Vec::capacity).sum::<usize>()
    }

    /// The innermost IP datagram of a frame, or why there is none. Frames come in the order of their capture.
    #[inline]
    pub fn unwrap<'a>(&'a mut self, packet: &Packet<'a>) -> Result<Layers<'a>, Skip> {
        let mut trail = Trail::default();
        let Self { tunnels, fragments, whole, counters, vlans } = self;
        let walk = Walk { packet, tunnels: *tunnels, fragments, whole: whole.iter_mut(), counters };
        let found = walk.run(&mut trail);
        *vlans = trail.vlans;
        match &found {
            Ok(found) => {
                counters.seen += 1;
                counters.tunnels += u64::from(found.tunnels);
            }
            Err(why) => counters.skipped(*why),
        }
        found
    }
}

/// One frame's way from the outside to the inside.
struct Walk<'a, 'c> {
    packet: &'c Packet<'a>,
    tunnels: bool,
    fragments: &'c mut Fragments,
    whole: std::slice::IterMut<'a, Vec<u8>>,
    counters: &'c mut Counters,
}

impl<'a> Walk<'a, '_> {
    /// Most frames take the short way; what is not to be seen there goes the long one from IP on.
    #[inline(always)]
    fn run(self, trail: &mut Trail) -> Result<Layers<'a>, Skip> {
        let net = match link::plain(self.packet, trail) {
            Some(net) => match self.short_way(net, trail) {
                Some(found) => return found,
                None => net,
            },
            None => {
                let net = link::open(self.packet, trail)?;
                match self.short_way(net, trail) {
                    Some(found) => return found,
                    None => net,
                }
            }
        };
        self.long_way(net, trail)
    }

    /// One IP header and what it carries, if that is no tunnel. All of it is inlined at both places: what goes through memory on
    /// its way, as a [`Datagram`] that a function returns, costs as much as reading a header.
    #[inline(always)]
    fn short_way(&self, net: Net<'a>, trail: &Trail) -> Option<Result<Layers<'a>, Skip>> {
        let datagram = match ip::first(net) {
            Ok(datagram) => datagram,
            Err(why) => return Some(Err(why)),
        };
        if !datagram.is_plain() {
            return None;
        }
        match transport::read(&datagram) {
            Ok(body) if self.tunnels && tunnel::is_likely(&body) => None,
            Ok(body) => Some(Ok(self.show(&datagram, body, trail, 0, Earlier::default()))),
            Err(why) => Some(Err(why)),
        }
    }

    /// Extension headers, fragments, and tunnels one after the other; where the inside is no IP, the outside stands.
    #[inline(never)]
    fn long_way(mut self, net: Net<'a>, trail: &mut Trail) -> Result<Layers<'a>, Skip> {
        let (mut datagram, mut earlier) = self.datagram(net, trail, 0, Earlier::default())?;
        let mut depth = 0;
        loop {
            let body = transport::read(&datagram)?;
            let here = *trail;
            let inside = if self.tunnels { tunnel::inside(&datagram, &body, trail) } else { None };
            let inner = match inside {
                Some(net) if depth < MAX_TUNNELS => self.datagram(net, trail, depth + 1, earlier),
                _ => {
                    self.counters.too_deep += u64::from(inside.is_some());
                    return Ok(self.show(&datagram, body, &here, depth, earlier));
                }
            };
            (datagram, earlier) = match inner {
                Ok(inner) => inner,
                Err(Skip::Malformed(Layer::Ipv4 | Layer::Ipv6) | Skip::Truncated(Layer::Ipv4 | Layer::Ipv6)) => {
                    return Ok(self.show(&datagram, body, &here, depth, earlier));
                }
                Err(why) => return Err(why),
            };
            depth += 1;
        }
    }

    /// Reads IP headers; of a fragment comes the datagram that it completes.
    fn datagram(
        &mut self,
        net: Net<'a>,
        trail: &Trail,
        tunnels: u8,
        earlier: Earlier,
    ) -> Result<(Datagram<'a>, Earlier), Skip> {
        match ip::read(net)? {
            part if part.fragment.is_some() => self.reassemble(part, trail, tunnels, earlier),
            datagram => Ok((datagram, earlier)),
        }
    }

    #[inline(always)]
    fn show(
        &self,
        datagram: &Datagram<'a>,
        body: Body<'a>,
        trail: &Trail,
        tunnels: u8,
        earlier: Earlier,
    ) -> Layers<'a> {
        let (src, dst) = datagram.ends.addrs();
        Layers {
            v6: datagram.is_v6(),
            src,
            dst,
            body,
            vlans: trail.vlans,
            macs: trail.macs,
            frame_len: self.packet.wire_len,
            tunnels,
            earlier,
        }
    }

    /// Adds a part to its datagram, and answers with that when it is whole.
    fn reassemble(
        &mut self,
        mut part: Datagram<'a>,
        trail: &Trail,
        tunnels: u8,
        earlier: Earlier,
    ) -> Result<(Datagram<'a>, Earlier), Skip> {
        let Some(fragment) = part.fragment.take() else { return Ok((part, earlier)) };
        if ip::bytes(part.data.len()) < part.wire_len {
            // The capture cut it. The first shows at least its ports.
            if fragment.offset != 0 {
                return Err(Skip::Truncated(Layer::Extension));
            }
            let mut first = ip::extensions(part)?;
            if first.protocol == ip::UDP {
                // Its header tells the length of the whole.
                first.wire_len = u32::from(u16::MAX);
            }
            return Ok((first, earlier));
        }
        let Some(whole) = self.whole.next() else { return Err(Skip::BadFragment) };
        let (src, dst) = part.ends.addrs();
        let key = Key {
            src,
            dst,
            ident: fragment.ident,
            protocol: if part.is_v6() { 0 } else { part.protocol },
            v6: part.is_v6(),
            vlans: trail.vlans,
            tunnels,
        };
        let frames = Earlier {
            frames: earlier.frames.saturating_add(1),
            bytes: earlier.bytes.saturating_add(u64::from(self.packet.wire_len)),
        };
        let what = (fragment, part.protocol, part.data);
        match self.fragments.add(key, what, frames, self.packet.time, whole) {
            Added::Stored => Err(Skip::Fragment),
            Added::Refused => Err(Skip::BadFragment),
            Added::Whole { protocol, earlier: before } => {
                part.data = whole;
                part.wire_len = ip::bytes(whole.len());
                part.protocol = protocol;
                let part = ip::extensions(part)?;
                if part.fragment.is_some() {
                    return Err(Skip::Malformed(Layer::Extension));
                }
                let earlier = Earlier {
                    frames: earlier.frames.saturating_add(before.frames),
                    bytes: earlier.bytes.saturating_add(before.bytes),
                };
                Ok((part, earlier))
            }
        }
    }
}

#[cfg(test)]
mod fragment_tests;
#[cfg(test)]
mod tests;
