//! Connections that owe their peers acknowledgements: how they are served, what they wait for, how they end, what all of them may
//! hold.

use super::InputCx;
use super::serve::Peer;
use crate::rt::{Notify, now, or, sleep_until, yield_now};
use crate::util::ratelimit::{RateLimit, held_back};
use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::time::Instant;

/// Commits of a connection that may wait to be safe: beyond it nothing more is read.
const OWED: usize = 1024;
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

/// A connection that commits what it reads, and acknowledges what is safe.
pub trait Owes {
    /// Its input.
    fn cx(&self) -> &InputCx;
    /// Commits that are not acknowledged.
    fn owed(&self) -> usize;
    /// Commits a piece of what was read; whether there may be more.
    fn take(&mut self) -> Result<bool, End>;
    /// Says what is due.
    async fn speak(&mut self) -> Result<(), End>;
    /// When [`Self::tick`] is to be called, while its peer is listened to (`reads`) or is not.
    fn due(&mut self, reads: bool) -> Option<Instant>;
    /// Waits for what happens next, by [`Waits::next`].
    async fn next(&mut self, waits: Waits) -> Result<Next, End>;
    /// That time has come.
    async fn tick(&mut self) -> Result<(), End>;
    /// So many bytes were read.
    fn came(&mut self, bytes: usize) -> Result<(), End>;
    /// The peer has said everything: whether it may still listen.
    fn ended(&mut self) -> Result<(), End>;
}

/// Serves a connection until its peer has said everything, or the shutdown, and all that can be acknowledged is.
///
/// # Errors
/// Why the connection is to be closed at once.
pub async fn serve(connection: &mut impl Owes) -> Result<(), End> {
    // What introduced it may have come with more.
    let (mut more, mut leaving) = (true, false);
    loop {
        if more && !leaving && may_take(connection) {
            more = connection.take()?;
            // A peer that never runs dry must not keep the others from their turn.
            yield_now().await;
        }
        connection.speak().await?;
        if leaving && connection.owed() == 0 {
            return Ok(());
        }
        let may_take = !leaving && may_take(connection);
        if more && may_take {
            continue;
        }
        let reads = !more && may_take;
        let until = connection.due(reads);
        match connection.next(Waits { reads, leaving, until }).await? {
            Next::Read(0) => {
                connection.ended()?;
                leaving = true;
            }
            Next::Read(n) => {
                connection.came(n)?;
                more = true;
            }
            Next::Look => {}
            Next::Tick => connection.tick().await?,
            Next::Leave => leaving = true,
            Next::Over => return connection.speak().await,
        }
    }
}

fn may_take(connection: &impl Owes) -> bool {
    connection.cx().has_room() && connection.owed() < OWED
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
    reads: bool,
    /// Nothing but its last acknowledgements.
    leaving: bool,
    /// A time.
    until: Option<Instant>,
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
#[derive(Debug)]
pub struct Held {
    all: Cell<usize>,
    refused: &'static str,
}

impl Held {
    /// Nothing yet. Messages that take too much are counted as `refused`.
    pub fn new(refused: &'static str) -> Self {
        Self { all: Cell::new(0), refused }
    }

    /// A connection that held `own` holds `memory` now.
    ///
    /// # Errors
    /// That is too much with all others.
    pub fn change(&self, own: &mut usize, memory: usize) -> Result<(), End> {
        let all = (self.all.get() + memory).saturating_sub(*own);
        self.all.set(all);
        *own = memory;
        if all > HELD && memory > LONG {
            let what = self.refused.trim_start_matches("refused ");
            let why = format!("unfinished {what} of all connections take more than 64 MiB: the peer may send it again");
            return Err(End::Refused(self.refused, why));
        }
        Ok(())
    }

    /// A connection that held `own` ends.
    pub fn free(&self, own: usize) {
        self.all.set(self.all.get().saturating_sub(own));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_much_goes_when_all_hold_too_much() {
        let held = Held::new("refused long messages");
        let (mut small, mut large, mut last) = (0, 0, 0);
        assert!(held.change(&mut large, HELD).is_ok());
        assert!(held.change(&mut small, LONG).is_ok(), "it is not the one");
        let Err(End::Refused(counter, why)) = held.change(&mut last, LONG + 1) else { panic!("too much") };
        assert_eq!(counter, "refused long messages");
        assert!(why.starts_with("unfinished long messages of all connections"), "{why}");
        assert!(held.change(&mut last, 0).is_ok());
        assert!(held.change(&mut large, HELD).is_err());
        held.free(large);
        assert!(held.change(&mut last, HELD - LONG).is_ok(), "all that was held before is given back");
    }
}
