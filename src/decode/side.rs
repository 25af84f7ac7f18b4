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
    /// Bytes that need not be shown; all there will be is [`ALL`].
    skip: u64,
}

/// Nothing more is wanted.
const ALL: u64 = u64::MAX;

#[derive(Debug)]
struct Held {
    bytes: Vec<u8>,
    since: Time,
    /// How many there must be before they are shown.
    want: usize,
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
    /// Passes over bytes none of which need be shown; whether they are such. Most of a body's are.
    #[inline]
    pub fn passes(&mut self, bytes: &[u8]) -> bool {
        let n = bytes.len() as u64;
        let all = self.skip >= n;
        if all && self.skip != ALL {
            self.skip -= n;
        }
        all
    }

    /// Gives a conversation the next bytes of its direction.
    pub fn feed(&mut self, conv: &mut dyn Conversation, cx: &mut Cx<'_>, dir: Dir, bytes: &[u8]) -> Fed {
        let skipped = self.skip(bytes.len() as u64) as usize;
        let Some(bytes @ [_, ..]) = bytes.get(skipped..) else { return Fed::On };
        match self.held.take() {
            None => {
                cx.since = cx.time;
                let Driven { used, want, fed } = self.drive(conv, cx, dir, bytes, 0);
                if let Some(rest @ [_, ..]) = bytes.get(used..) {
                    self.held = Some(Box::new(Held { bytes: rest.to_vec(), since: cx.time, want }));
                }
                self.after(fed, conv, cx, dir)
            }
            Some(mut held) => {
                let old = held.bytes.len();
                held.bytes.extend_from_slice(bytes);
                if held.bytes.len() < held.want {
                    self.held = Some(held);
                    return self.after(Fed::On, conv, cx, dir);
                }
                cx.since = held.since;
                let Driven { used, want, fed } = self.drive(conv, cx, dir, &held.bytes, old);
                if used < held.bytes.len() {
                    if used >= old {
                        held.since = cx.time;
                    }
                    held.bytes.drain(..used);
                    held.want = want;
                    self.held = Some(held);
                }
                self.after(fed, conv, cx, dir)
            }
        }
    }

    /// Tells a conversation of bytes that were not captured.
    pub fn gap(&mut self, conv: &mut dyn Conversation, cx: &mut Cx<'_>, dir: Dir, lost: u64) {
        let is_ignored = self.skip == ALL;
        let skipped = self.skip(lost);
        if is_ignored {
            return;
        }
        cx.skipped = skipped == lost;
        cx.since = cx.time;
        let held = self.held.take();
        if let Some(held) = held.as_ref().filter(|_| lost > 0) {
            cx.since = held.since;
            conv.cut(cx, dir, &held.bytes);
            cx.since = cx.time;
        }
        conv.gap(cx, dir, lost.saturating_add(held.map_or(0, |h| h.bytes.len() as u64)));
    }

    /// Holds bytes that nobody was shown yet.
    pub fn keep(&mut self, bytes: &[u8], since: Time) {
        match &mut self.held {
            Some(held) => held.bytes.extend_from_slice(bytes),
            None => self.held = Some(Box::new(Held { bytes: bytes.to_vec(), since, want: 1 })),
        }
    }

    /// Takes what is held, for another protocol.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(self).held.map_or_else(Vec::new, |h| h.bytes)
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        self.held.as_ref().map_or(0, |h| size_of::<Held>() + h.bytes.capacity())
    }

    /// Passes over what need not be shown of the next `n` bytes; how many they were.
    fn skip(&mut self, n: u64) -> u64 {
        let skipped = self.skip.min(n);
        if self.skip != ALL {
            self.skip -= skipped;
        }
        skipped
    }

    /// Calls the conversation until it wants more than there is. `old` bytes at the beginning arrived earlier.
    fn drive(&mut self, conv: &mut dyn Conversation, cx: &mut Cx<'_>, dir: Dir, bytes: &[u8], old: usize) -> Driven {
        let mut used = 0;
        while let Some(rest @ [_, ..]) = bytes.get(used..) {
            if old > 0 && used >= old {
                cx.since = cx.time;
            }
            let step = conv.stream(cx, dir, rest);
            let taken = step.used.min(rest.len());
            used += taken;
            let left = rest.len() - taken;
            match step.next {
                // Shown as much as it asks for, it asks for no more: then it is asked again when there is more.
                Next::More(want) if taken == 0 || left < want => {
                    return Driven { used, want: want.max(left + 1), fed: Fed::On };
                }
                Next::More(_) => {}
                Next::Skip(n) => {
                    let here = n.min(left as u64);
                    self.skip = (n - here).min(ALL - 1);
                    used += here as usize;
                }
                Next::Ignore => {
                    self.skip = ALL;
                    return Driven { used: bytes.len(), want: 1, fed: Fed::On };
                }
                Next::Done => return Driven { used: bytes.len(), want: 1, fed: Fed::Done },
                Next::Redetect => return Driven { used, want: 1, fed: Fed::Redetect },
            }
        }
        Driven { used, want: 1, fed: Fed::On }
    }

    /// Gives up what can never be shown.
    fn after(&mut self, fed: Fed, conv: &mut dyn Conversation, cx: &mut Cx<'_>, dir: Dir) -> Fed {
        match &self.held {
            Some(held) if fed == Fed::On && (held.bytes.len() > HELD_MAX || held.want > HELD_MAX) => {
                let lost = held.bytes.len() as u64;
                self.gap(conv, cx, dir, 0);
                Fed::Oversized(lost)
            }
            _ => fed,
        }
    }
}

/// How far a conversation came.
struct Driven {
    used: usize,
    /// Bytes it wants to be shown next.
    want: usize,
    fed: Fed,
}
