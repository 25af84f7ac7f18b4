//! One server: commands are written in one go, and their replies read one by one.

use super::Why;
use super::judge::{Verdict, judge, words};
use crate::fmt::resp::{self, Reply};
use crate::net::{Conn, Upstream, connect};
use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

/// How long a server that failed is passed over while others work, at first and at most.
const REST: Duration = Duration::from_secs(1);
const REST_MOST: Duration = Duration::from_secs(60);
/// Bytes of replies that are read at once.
const PIECE: usize = 16 << 10;

/// A server and what is known of its health.
#[derive(Debug)]
pub(super) struct Server {
    upstream: Upstream,
    hello: Vec<u8>,
    greetings: usize,
    /// Deliveries under way.
    pub(super) busy: Cell<usize>,
    failures: Cell<u32>,
    rests_until: Cell<Option<Instant>>,
}

/// One command of a payload: its bytes, and its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) first: usize,
    pub(super) end: usize,
}

/// What came of sending commands.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Verdicts on the first commands, in order.
    pub(super) verdicts: Vec<Verdict>,
    /// Why there are no more of them.
    pub(super) broken: Option<Why>,
}

impl Server {
    pub(super) fn new(upstream: Upstream, hello: Vec<u8>, greetings: usize) -> Self {
        Self { upstream, hello, greetings, busy: Cell::new(0), failures: Cell::new(0), rests_until: Cell::new(None) }
    }

    /// Whether it failed a short while ago.
    pub(super) fn rests(&self, now: Instant) -> bool {
        self.rests_until.get().is_some_and(|until| now < until)
    }

    /// It did what it was asked to.
    pub(super) fn works(&self) {
        self.failures.set(0);
        self.rests_until.set(None);
    }

    /// It did not.
    pub(super) fn failed(&self, now: Instant) {
        let times = self.failures.get();
        self.failures.set(times.saturating_add(1));
        self.rests_until.set(Some(now + (REST * 2u32.pow(times.min(6))).min(REST_MOST)));
    }

    pub(super) fn close(&self) {
        self.upstream.close();
    }

    /// Sends `commands` of `bytes`. When a kept connection turns out to be dead, once more over a new one.
    pub(super) async fn send(&self, bytes: &[u8], commands: &[&Command], is_fixed: bool) -> Told {
        let conn = match self.upstream.get().await {
            Ok(conn) => conn,
            Err(why) => return Told { broken: Some(why.into()), ..Told::default() },
        };
        if conn.is_reused() {
            let told = self.exchange(conn, bytes, commands, is_fixed).await;
            match &told.broken {
                Some(why) if told.verdicts.is_empty() => {
                    log::debug!("[net] {}: {why}; connecting anew", self.upstream.target())
                }
                _ => return told,
            }
        } else {
            return self.greet(conn, bytes, commands, is_fixed).await;
        }
        match self.upstream.fresh().await {
            Ok(conn) => self.greet(conn, bytes, commands, is_fixed).await,
            Err(why) => Told { broken: Some(why.into()), ..Told::default() },
        }
    }

    /// Logs in on a new connection, then sends.
    async fn greet(&self, mut conn: Conn, bytes: &[u8], commands: &[&Command], is_fixed: bool) -> Told {
        if self.greetings > 0
            && let Err(why) = self.log_in(&mut conn).await
        {
            return Told { broken: Some(format!("{}: {why}", self.upstream.target()).into()), ..Told::default() };
        }
        self.exchange(conn, bytes, commands, is_fixed).await
    }

    async fn log_in(&self, conn: &mut Conn) -> Result<(), Why> {
        let sent = conn.write_all(&self.hello).await;
        let (mut replies, mut refused) = (Replies::default(), None);
        for _ in 0..self.greetings {
            let check = |reply: Reply<'_>| match reply {
                Reply::Error(text) => Some(words(text).0),
                _ => None,
            };
            // The first refusal says why; what follows from it need not be said.
            refused = refused.or(replies.next(conn, check).await.map_err(|e| first(&sent, e))?);
        }
        refused.map_or(Ok(()), Err)
    }

    async fn exchange(&self, mut conn: Conn, bytes: &[u8], commands: &[&Command], is_fixed: bool) -> Told {
        let mut told = Told::default();
        let sent = write(&mut conn, bytes, commands).await;
        let mut replies = Replies::default();
        while told.verdicts.len() < commands.len() {
            match replies.next(&mut conn, |reply| judge(reply, is_fixed)).await {
                Ok(verdict) => told.verdicts.push(verdict),
                Err(e) => {
                    let why = first(&sent, e);
                    // Who speaks no TLS, or nothing else, mostly just hangs up.
                    let is_new = told.verdicts.is_empty() && self.greetings == 0 && !conn.is_reused();
                    let hint = if is_new { " before the first answer (is tls as the server asks?)" } else { "" };
                    told.broken = Some(format!("{}: {why}{hint}", self.upstream.target()).into());
                    return told;
                }
            }
        }
        // Bytes nobody asked for would be taken for the next replies.
        if sent.is_ok() && replies.is_empty() {
            conn.keep();
        }
        told
    }
}

/// The error of writing tells more than that of reading after it.
fn first(sent: &io::Result<()>, then: Why) -> Why {
    match sent {
        Err(e) => connect::words(e).into(),
        Ok(()) => then,
    }
}

/// Writes the commands; neighbours at once.
async fn write(conn: &mut Conn, bytes: &[u8], commands: &[&Command]) -> io::Result<()> {
    let mut rest = commands.iter();
    let Some(head) = rest.next() else { return Ok(()) };
    let (mut from, mut to) = (head.from, head.to);
    for command in rest {
        if command.from != to {
            conn.write_all(bytes.get(from..to).unwrap_or_default()).await?;
            from = command.from;
        }
        to = command.to;
    }
    conn.write_all(bytes.get(from..to).unwrap_or_default()).await
}

/// Replies as they arrive.
#[derive(Default)]
struct Replies {
    bytes: Vec<u8>,
    used: usize,
}

impl Replies {
    /// Whether nothing is left over.
    fn is_empty(&self) -> bool {
        self.used == self.bytes.len()
    }

    /// What `look` makes of the next reply.
    async fn next<T>(&mut self, conn: &mut Conn, look: impl Fn(Reply<'_>) -> T) -> Result<T, Why> {
        loop {
            match resp::read(self.bytes.get(self.used..).unwrap_or_default()) {
                Ok(Some((reply, len))) => {
                    self.used += len;
                    if reply != Reply::Push {
                        return Ok(look(reply));
                    }
                }
                Ok(None) => self.fill(conn).await?,
                Err(e) => return Err(format!("{e}: is this a Redis server?").into()),
            }
        }
    }

    async fn fill(&mut self, conn: &mut Conn) -> Result<(), Why> {
        self.bytes.drain(..self.used);
        self.used = 0;
        let len = self.bytes.len();
        self.bytes.resize(len + PIECE, 0);
        let got = conn.read(self.bytes.get_mut(len..).unwrap_or_default()).await;
        self.bytes.truncate(len + got.as_ref().copied().unwrap_or(0));
        match got {
            Ok(0) => Err("the peer closed the connection".into()),
            Ok(_) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::TimedOut => Err("no answer in time (Timeout)".into()),
            Err(e) => Err(connect::words(&e).into()),
        }
    }
}
