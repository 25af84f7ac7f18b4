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
mod quoted;
mod skip;
mod transport;
mod tunnel;
mod view;

pub use addr::Addr;
pub use fragments::FragmentCounters;
pub use quoted::{Quoted, quoted};
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
        let walk = Walk { packet: *packet, tunnels: *tunnels, fragments, whole: whole.iter_mut(), counters };
        match walk.run(&mut trail) {
            Ok(found) => {
                counters.seen += 1;
                counters.tunnels += u64::from(found.tunnels);
                *vlans = trail.vlans;
                Ok(found)
            }
            Err(why) => {
                counters.skipped(why);
                *vlans = trail.vlans;
                Err(why)
            }
        }
    }
}

/// One frame's way from the outside to the inside.
struct Walk<'a, 'c> {
    packet: Packet<'a>,
    tunnels: bool,
    fragments: &'c mut Fragments,
    whole: std::slice::IterMut<'a, Vec<u8>>,
    counters: &'c mut Counters,
}

impl<'a> Walk<'a, '_> {
    #[inline]
    fn run(mut self, trail: &mut Trail) -> Result<Layers<'a>, Skip> {
        let net = link::open(&self.packet, trail)?;
        let found = self.layers(net, trail, 0, Earlier::default())?;
        match self.inside(&found, trail) {
            None => Ok(found.layers),
            Some(net) => self.tunnel(found.layers, net, trail),
        }
    }

    /// Opens tunnels, one after the other; where the inside is no IP, the outside stands.
    #[cold]
    fn tunnel(mut self, mut outer: Layers<'a>, mut net: Net<'a>, trail: &mut Trail) -> Result<Layers<'a>, Skip> {
        for depth in 1..=MAX_TUNNELS {
            let found = match self.layers(net, trail, depth, outer.earlier) {
                Ok(found) => found,
                Err(Skip::Malformed(Layer::Ipv4 | Layer::Ipv6) | Skip::Truncated(Layer::Ipv4 | Layer::Ipv6)) => {
                    return Ok(outer);
                }
                Err(why) => return Err(why),
            };
            outer = found.layers;
            match self.inside(&found, trail) {
                None => return Ok(outer),
                Some(inner) => net = inner,
            }
        }
        self.counters.too_deep += 1;
        Ok(outer)
    }

    #[inline]
    fn inside(&self, found: &Found<'a>, trail: &mut Trail) -> Option<Net<'a>> {
        if self.tunnels { tunnel::inside(&found.datagram, &found.layers.body, trail) } else { None }
    }

    /// IP and transport headers.
    #[inline]
    fn layers(&mut self, net: Net<'a>, trail: &Trail, tunnels: u8, earlier: Earlier) -> Result<Found<'a>, Skip> {
        let (datagram, earlier) = match ip::read(net)? {
            part if part.fragment.is_some() => self.reassemble(part, trail, tunnels, earlier)?,
            datagram => (datagram, earlier),
        };
        let layers = Layers {
            v6: datagram.v6,
            src: datagram.src,
            dst: datagram.dst,
            body: transport::read(&datagram)?,
            vlans: trail.vlans,
            macs: trail.macs,
            frame_len: self.packet.wire_len,
            tunnels,
            earlier,
        };
        Ok(Found { datagram, layers })
    }

    /// Adds a part to its datagram, and answers with that when it is whole.
    #[cold]
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
        let key = Key {
            src: part.src,
            dst: part.dst,
            ident: fragment.ident,
            protocol: if part.v6 { 0 } else { part.protocol },
            v6: part.v6,
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

/// A datagram, and how it is shown.
struct Found<'a> {
    datagram: Datagram<'a>,
    layers: Layers<'a>,
}

#[cfg(test)]
mod fragment_tests;
#[cfg(test)]
mod tests;
