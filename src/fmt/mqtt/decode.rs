//! Packets from a stream in pieces of any size.

use super::packet::{Packet, Wrong, is_first, kind};
use crate::util::unused::Unused;

/// The longest packet that is no message, in bytes.
const OTHER: usize = 128 << 10;

/// Reads a peer's stream. It holds one packet at most, and what was read beyond it. Of a message whose payload is longer than
/// allowed the beginning is kept and the rest passed over.
#[derive(Debug)]
pub struct Decoder {
    stream: Unused,
    payload: usize,
    cut: Option<Cut>,
}

/// A message that is too long.
#[derive(Debug)]
struct Cut {
    first: u8,
    kept: Vec<u8>,
    lost: usize,
    /// Of the lost bytes, those that are still to come.
    left: usize,
}

impl Decoder {
    /// At the beginning of a stream; payloads may have so many bytes.
    pub fn new(payload: usize) -> Self {
        Self { stream: Unused::default(), payload, cut: None }
    }

    /// Room for `n` bytes of the stream; [`Self::filled`] says how many came.
    pub fn room(&mut self, n: usize) -> &mut [u8] {
        self.stream.room(n)
    }

    /// Takes `n` bytes that were put into [`Self::room`].
    pub fn filled(&mut self, n: usize) {
        self.stream.filled(n);
    }

    /// Memory held, in bytes.
    pub fn memory(&self) -> usize {
        self.stream.capacity() + self.cut.as_ref().map_or(0, |cut| cut.kept.capacity())
    }

    /// Whether the stream is between two packets.
    pub fn is_between(&self) -> bool {
        self.stream.is_empty() && self.cut.as_ref().is_none_or(|cut| cut.left == 0)
    }

    /// Gives memory back that only a stream with something in it needs.
    pub fn rest(&mut self) {
        if self.is_between() {
            self.cut = None;
        }
        self.stream.shrink(true);
    }

    /// The next packet; `None` when it is not complete yet.
    ///
    /// # Errors
    /// What the peer did wrong; nothing sensible can follow.
    pub fn next_packet(&mut self) -> Result<Option<Packet<'_>>, Wrong> {
        // One that was told already.
        self.cut.take_if(|cut| cut.left == 0);
        if self.cut.is_none() {
            let Some((first, head, len)) = head(self.stream.get())? else { return Ok(None) };
            if first >> 4 != kind::PUBLISH {
                if len > OTHER {
                    return Err(Wrong::Long(len));
                }
                return self.whole(first, head, len);
            }
            let body = self.stream.get().get(head..).unwrap_or_default();
            let Some(name) = body.first_chunk().filter(|_| len >= 2) else {
                // Not even that fits.
                return if len < 2 { Err(Wrong::Malformed) } else { Ok(None) };
            };
            let before = 2 + usize::from(u16::from_be_bytes(*name)) + if first >> 1 & 3 == 0 { 0 } else { 2 };
            let keep = len.min(before + self.payload);
            if keep == len {
                return self.whole(first, head, len);
            }
            let Some(kept) = body.get(..keep) else { return Ok(None) };
            self.cut = Some(Cut { first, kept: kept.to_vec(), lost: len - keep, left: len - keep });
            self.stream.used(head + keep);
        }
        let Some(cut) = &mut self.cut else { return Ok(None) };
        let came = cut.left.min(self.stream.len());
        self.stream.used(came);
        cut.left -= came;
        if cut.left > 0 {
            return Ok(None);
        }
        let mut packet = Packet::read(cut.first, &cut.kept)?;
        if let Packet::Publish(message) = &mut packet {
            message.lost = cut.lost;
        }
        Ok(Some(packet))
    }

    fn whole(&mut self, first: u8, head: usize, len: usize) -> Result<Option<Packet<'_>>, Wrong> {
        if self.stream.len() < head + len {
            return Ok(None);
        }
        Packet::read(first, self.stream.take(head, head + len)).map(Some)
    }
}

/// The fixed header (2.2): first byte, its own length, and that of what follows.
fn head(bytes: &[u8]) -> Result<Option<(u8, usize, usize)>, Wrong> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    if !is_first(first) {
        return Err(Wrong::Kind(first));
    }
    let mut len = 0;
    for (n, byte) in rest.iter().take(4).enumerate() {
        len |= usize::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            return Ok(Some((first, n + 2, len)));
        }
    }
    if rest.len() < 4 { Ok(None) } else { Err(Wrong::Length) }
}
