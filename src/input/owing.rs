//! Connections that owe their peers acknowledgements: what they wait for, how they end, what all of them may hold.

use super::InputCx;
use super::serve::Peer;
use crate::rt::{Notify, now, or, sleep_until};
use crate::util::ratelimit::{RateLimit, held_back};
use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::time::Instant;

/// Commits of a connection that may wait to be safe: beyond it nothing more is read.
pub const OWED: usize = 1024;
/// Memory that unfinished messages of all connections may take, in bytes; beyond it those that hold more than [`LONG`] are closed.
const HELD: usize = 64 << 20;
const LONG: usize = 256 << 10;
/// Bytes that count as a sign of life; fewer do not, unless a message ends with them.
pub const ALIVE: usize = 4096;

/// Why a connection ends.
#[derive(Debug)]
pub enum End {
    /// Nobody is to blame.
    Quiet(String),
    /// The peer is: the counter, and in words.
    Refused(&'static str, String),
}

impl End {
    /// Counts it and says it, where the peer is to blame.
    pub fn tell(self, cx: &InputCx, peer: &Peer, said: &RefCell<RateLimit>) {
        match self {
            Self::Quiet(why) => log::debug!("[{}] connection of {peer}: {why}", cx.label()),
            Self::Refused(what, why) => {
                cx.count(what, 1);
                if let Some(held) = said.borrow_mut().allow(why.as_bytes(), now()) {
                    let more = held_back(held);
                    log::warn!("[{}] {peer}: {why}; the connection is closed{more}", cx.label());
                }
            }
        }
    }
}

/// What a connection does next.
#[derive(Debug)]
pub enum Next {
    /// So many bytes were read; 0 is the end.
    Read(usize),
    /// Something is to be said, or there is room again.
    Look,
    /// The time has come that was waited for.
    Tick,
    /// The shutdown has begun: nothing more is read.
    Leave,
    /// The shutdown is over.
    Over,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// Bytes of its peer; else room.
    pub reads: bool,
    /// Nothing but its last acknowledgements.
    pub leaving: bool,
    /// A time.
    pub until: Option<Instant>,
}

impl Waits {
    /// Waits. `read` reads what there is, `changed` is notified when something can be acknowledged.
    ///
    /// # Errors
    /// Those of `read`.
    pub async fn next<E>(
        self,
        cx: &InputCx,
        changed: &Notify,
        read: impl Future<Output = Result<usize, E>>,
    ) -> Result<Next, E> {
        let read = async {
            if self.reads {
                return read.await.map(Next::Read);
            }
            if self.leaving || cx.has_room() {
                return pending().await;
            }
            cx.wait_for_room().await;
            Ok(Next::Look)
        };
        let acks = async {
            changed.wait().await;
            Ok(Next::Look)
        };
        let end = async {
            if self.leaving {
                cx.drained().await;
                return Ok(Next::Over);
            }
            cx.stopping().await;
            Ok(Next::Leave)
        };
        let time = async {
            match self.until {
                Some(at) => sleep_until(at).await,
                None => pending().await,
            }
            Ok(Next::Tick)
        };
        // The end comes first: once it has begun nothing waits for room any more.
        or(end, or(acks, or(read, time))).await
    }
}

/// What all connections of an instance hold of unfinished messages, in bytes.
#[derive(Debug, Default)]
pub struct Held(Cell<usize>);

impl Held {
    /// A connection that held `own` holds `memory` now; whether that is too much with all others.
    pub fn change(&self, own: &mut usize, memory: usize) -> bool {
        let all = (self.0.get() + memory).saturating_sub(*own);
        self.0.set(all);
        *own = memory;
        all > HELD && memory > LONG
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_much_goes_when_all_hold_too_much() {
        let held = Held::default();
        let (mut small, mut large, mut last) = (0, 0, 0);
        assert!(!held.change(&mut large, HELD));
        assert!(!held.change(&mut small, LONG), "it is not the one");
        assert!(held.change(&mut last, LONG + 1));
        assert!(!held.change(&mut last, 0));
        assert!(held.change(&mut large, HELD));
        assert!(!held.change(&mut large, 0));
        assert!(!held.change(&mut last, HELD - LONG), "all that was held before is given back");
    }
}
