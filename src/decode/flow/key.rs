//! What makes packets one flow: addresses, ports, transport, and the outermost VLANs.

use crate::decode::layers::Addr;
use crate::decode::{Dir, Transport};
use crate::time::Time;
use std::cell::OnceCell;
use std::hash::{Hash, Hasher};

/// The identity of a flow, the same for both directions: the lower end stands first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowKey {
    /// Address of the lower and of the higher end.
    pub addr: [Addr; 2],
    /// Their ports; for ICMP the identifier of a request and its reply stands in both, or 0.
    pub port: [u16; 2],
    /// VLAN numbers, the outer one first; 0 is none.
    pub vlan: [u16; 2],
    /// What stands above IP.
    pub over: Transport,
    /// Whether the addresses are IPv6.
    pub v6: bool,
}

impl FlowKey {
    /// The key of a packet, and whether its sender is the higher end.
    #[inline]
    pub fn of(from: (Addr, u16), to: (Addr, u16), vlan: [u16; 2], over: Transport, v6: bool) -> (Self, bool) {
        let swap = (from.0, from.1) > (to.0, to.1);
        let (low, high) = if swap { (to, from) } else { (from, to) };
        (Self { addr: [low.0, high.0], port: [low.1, high.1], vlan, over, v6 }, swap)
    }
}

impl Hash for FlowKey {
    /// In few large pieces: it is done for every packet.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [low, high] = self.addr.map(|a| u128::from_ne_bytes(a.0));
        let [a, b] = self.port.map(u64::from);
        let [c, d] = self.vlan.map(u64::from);
        state.write_u128(low);
        state.write_u128(high);
        state.write_u64(a | b << 16 | c << 32 | d << 48);
        state.write_u8(self.over as u8 | u8::from(self.v6) << 7);
    }
}

/// A flow as its conversations see it.
#[derive(Debug, Clone)]
pub struct FlowInfo {
    pub(in crate::decode) key: FlowKey,
    /// Whether the first packet came from the higher end.
    pub(in crate::decode) swapped: bool,
    /// Whether the beginning was seen: a SYN.
    pub(in crate::decode) from_start: bool,
    /// Type and code of the first ICMP message.
    pub(in crate::decode) icmp: (u8, u8),
    /// Time of the first packet.
    pub(in crate::decode) first: Time,
    /// SHA-1 of the community id, once it was asked for.
    pub(in crate::decode) community: OnceCell<[u8; 20]>,
}

impl FlowInfo {
    /// A new flow whose first packet came at `first`.
    pub fn new(key: FlowKey, swapped: bool, first: Time, icmp: (u8, u8)) -> Self {
        Self { key, swapped, from_start: false, icmp, first, community: OnceCell::new() }
    }

    /// The address of who sends in this direction.
    #[inline]
    pub fn addr(&self, dir: Dir) -> Addr {
        self.key.addr[self.end(dir)]
    }

    /// The port of who sends in this direction; 0 for ICMP.
    #[inline]
    pub fn port(&self, dir: Dir) -> u16 {
        match self.key.over {
            Transport::Icmp => 0,
            _ => self.key.port[self.end(dir)],
        }
    }

    /// What stands above IP.
    pub fn over(&self) -> Transport {
        self.key.over
    }

    /// Whether the addresses are IPv6.
    pub fn is_v6(&self) -> bool {
        self.key.v6
    }

    /// Whether a TCP connection was seen from its first packet on.
    pub fn is_from_start(&self) -> bool {
        self.from_start
    }

    #[inline]
    fn end(&self, dir: Dir) -> usize {
        dir.index() ^ usize::from(self.swapped)
    }
}
