//! Why a frame has no IP payload to show, and how often.

use super::fragments::FragmentCounters;

/// Why a frame has nothing to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Skip {
    /// It carries something else: its Ethertype (its PPP protocol, its address family), or 0.
    NotIp(u16),
    /// The capture ends before the header does.
    Truncated(Layer),
    /// A header contradicts itself.
    Malformed(Layer),
    /// A fragment that waits for the others.
    Fragment,
    /// A fragment that is of no use: it overlaps others, or its datagram is given up.
    BadFragment,
    /// IEEE 802.11, which is not taken apart.
    Wireless,
    /// A link type that is not known.
    UnknownLink(u16),
}

/// The header that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    /// Of the link, with tags and labels.
    Link,
    /// IPv4 (RFC 791).
    Ipv4,
    /// IPv6 (RFC 8200).
    Ipv6,
    /// An extension header, or a fragment.
    Extension,
    /// TCP, UDP or ICMP, so short that not even its ports are there.
    Transport,
}

/// What became of the frames. Every frame is counted once: as `seen`, or under one of the reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Frames with an IP payload.
    pub seen: u64,
    /// [`Skip::NotIp`].
    pub not_ip: u64,
    /// [`Skip::Truncated`].
    pub truncated: u64,
    /// [`Skip::Malformed`].
    pub malformed: u64,
    /// [`Skip::Fragment`].
    pub fragment: u64,
    /// [`Skip::BadFragment`].
    pub bad_fragment: u64,
    /// [`Skip::Wireless`].
    pub wireless: u64,
    /// [`Skip::UnknownLink`].
    pub unknown_link: u64,
    /// Tunnels that were opened.
    pub tunnels: u64,
    /// Frames whose tunnels lie deeper than [`super::MAX_TUNNELS`]: the one there stands.
    pub too_deep: u64,
    /// Of reassembly.
    pub fragments: FragmentCounters,
}

impl Counters {
    /// All frames.
    pub fn frames(&self) -> u64 {
        let skipped = [
            self.not_ip,
            self.truncated,
            self.malformed,
            self.fragment,
            self.bad_fragment,
            self.wireless,
            self.unknown_link,
        ];
        self.seen + skipped.iter().sum::<u64>()
    }

    pub(super) fn skipped(&mut self, why: Skip) {
        let counter = match why {
            Skip::NotIp(_) => &mut self.not_ip,
            Skip::Truncated(_) => &mut self.truncated,
            Skip::Malformed(_) => &mut self.malformed,
            Skip::Fragment => &mut self.fragment,
            Skip::BadFragment => &mut self.bad_fragment,
            Skip::Wireless => &mut self.wireless,
            Skip::UnknownLink(_) => &mut self.unknown_link,
        };
        *counter += 1;
    }
}

/// The first `N` bytes and what follows them.
#[inline(always)]
pub(super) fn split<const N: usize>(data: &[u8], layer: Layer) -> Result<(&[u8; N], &[u8]), Skip> {
    data.split_first_chunk().ok_or(Skip::Truncated(layer))
}

/// What follows the first `n` bytes.
#[inline]
pub(super) fn after(data: &[u8], n: usize, layer: Layer) -> Result<&[u8], Skip> {
    data.get(n..).ok_or(Skip::Truncated(layer))
}
