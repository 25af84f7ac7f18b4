//! Between reassembly and a conversation: keeps what was not used, skips what need not be shown.

use super::{Conversation, Cx, Dir, Next};
use crate::time::Time;

/// What a conversation may leave unused, in bytes, before the bytes count as lost: more than any message head, small
/// beside the memory of the input.
pub const HELD_MAX: usize = 1 << 20;

/// Bytes of one direction that wait for more.
#[derive(Debug, Default)]
pub struct Side {
    held: Option<Box<Held>>,
    skip: u64,
    want: u32,
    ignored: bool,
}

#[derive(Debug)]
struct Held {
    bytes: Vec<u8>,
    since: Time,
}

/// What became of bytes that were fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fed {
    /// The conversation goes on.
    On,
    /// So many bytes were held for a message that never became complete: they count as lost.
    Oversized(u64),
    /// The conversation wants nothing more.
    Done,
    /// Another protocol begins; what is left of this direction is held.
    Redetect,
}

impl Side {
    /// Gives a conversation the next bytes of its direction.
    pub fn feed(&mut self, conv: &mut dyn Conversation, cx: &mut Cx<'_>, dir: Dir, bytes: &[u8]) -> Fed {
        let skipped = self.skip.min(bytes.len() as u64);
        self.skip -= skipped;
        let bytes = bytes.get(skipped as usize..).unwrap_or_default();
        if self.ignored || bytes.is_empty() {
            return Fed::On;
        }
        match self.held.take() {
            None if bytes.len() < self.want as usize => {
                self.hold(bytes, cx.time);
                self.bounded(conv, cx, dir)
            }
            None => {
                cx.since = cx.time;
                let (used, fed) = self.drive(conv, cx, dir, bytes, 0);
                if let Some(rest @ [_, ..]) = bytes.get(used..) {
                    self.hold(rest, cx.time);
                }
                self.after(fed, conv, cx, dir)
            }
            Some(mut held) => {
                let old = held.bytes.len();
                held.bytes.extend_from_slice(bytes);
                if held.bytes.len() < self.want as usize {
                    self.held = Some(held);
                    return self.bounded(conv, cx, dir);
                }
                cx.since = held.since;
                let (used, fed) = self.drive(conv, cx, dir, &held.bytes, old);
                if used < held.bytes.len() {
                    if used >= old {
                        held.since = cx.time;
                    }
                    held.bytes.drain(..used);
                    self.held = Some(held);
                }
                self.after(fed, conv, cx, dir)
            }
        }
    }

    /// Tells a conversation of bytes that were not captured.
    pub fn gap(&mut self, conv: &mut dyn Conversation, cx: &mut Cx<'_>, dir: Dir, lost: u64) {
        let skipped = self.skip.min(lost);
        self.skip -= skipped;
        if self.ignored {
            return;
        }
        cx.skipped = skipped == lost;
        cx.since = cx.time;
        let held = self.held.take().map_or(0, |h| h.bytes.len() as u64);
        self.want = 0;
        conv.gap(cx, dir, lost.saturating_add(held));
    }

    /// Holds bytes that nobody was shown yet.
    pub fn keep(&mut self, bytes: &[u8], since: Time) {
        match &mut self.held {
            Some(held) => held.bytes.extend_from_slice(bytes),
            None => self.hold(bytes, since),
        }
    }

    /// Takes what is held, for another protocol.
    pub fn take(&mut self) -> Vec<u8> {
        *self = Self { held: self.held.take(), ..Self::default() };
        self.held.take().map_or_else(Vec::new, |h| h.bytes)
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        self.held.as_ref().map_or(0, |h| size_of::<Held>() + h.bytes.capacity())
    }

    fn hold(&mut self, bytes: &[u8], since: Time) {
        self.held = Some(Box::new(Held { bytes: bytes.to_vec(), since }));
    }

    /// Calls the conversation until it wants more than there is. `old` bytes at the beginning arrived earlier.
    fn drive(
        &mut self,
        conv: &mut dyn Conversation,
        cx: &mut Cx<'_>,
        dir: Dir,
        bytes: &[u8],
        old: usize,
    ) -> (usize, Fed) {
        let mut at = 0;
        while let Some(rest @ [_, ..]) = bytes.get(at..) {
            if old > 0 && at >= old {
                cx.since = cx.time;
            }
            let step = conv.stream(cx, dir, rest);
            let used = step.used.min(rest.len());
            at += used;
            let left = rest.len() - used;
            match step.next {
                Next::More(want) => {
                    self.want = u32::try_from(want).unwrap_or(u32::MAX).max(1);
                    if used == 0 || left < want {
                        if want <= left {
                            // It was shown as much as it asks for: it is asked again with more.
                            self.want = u32::try_from(left + 1).unwrap_or(u32::MAX);
                        }
                        break;
                    }
                }
                Next::Skip(n) => {
                    let here = n.min(left as u64);
                    self.skip = n - here;
                    self.want = 0;
                    at += here as usize;
                }
                Next::Ignore => {
                    self.ignored = true;
                    return (bytes.len(), Fed::On);
                }
                Next::Done => return (bytes.len(), Fed::Done),
                Next::Redetect => return (at, Fed::Redetect),
            }
        }
        (at, Fed::On)
    }

    fn after(&mut self, fed: Fed, conv: &mut dyn Conversation, cx: &mut Cx<'_>, dir: Dir) -> Fed {
        if fed == Fed::On { self.bounded(conv, cx, dir) } else { fed }
    }

    /// Gives up what can never be shown.
    fn bounded(&mut self, conv: &mut dyn Conversation, cx: &mut Cx<'_>, dir: Dir) -> Fed {
        let held = self.held.as_ref().map_or(0, |h| h.bytes.len());
        if held <= HELD_MAX && (held == 0 || self.want as usize <= HELD_MAX) {
            return Fed::On;
        }
        self.gap(conv, cx, dir, 0);
        Fed::Oversized(held as u64)
    }
}
