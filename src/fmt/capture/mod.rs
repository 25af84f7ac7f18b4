//! Files of captured packets: what stands in them, and readers that take their bytes piece by piece.

mod link;

pub use link::LinkType;

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
