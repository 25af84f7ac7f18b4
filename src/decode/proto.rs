//! What a protocol is made of: an entry in the table, a configured decoder, and its state for each flow.

use super::Cx;
use crate::conf::{Section, Table};
use crate::error::Diags;
use std::fmt::Display;
use std::time::Duration;

/// Which way bytes flow: `Forward` as the first packet of the flow went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dir {
    /// As the first packet.
    Forward,
    /// Against it.
    Back,
}

impl Dir {
    /// Both, the forward one first.
    pub const BOTH: [Self; 2] = [Self::Forward, Self::Back];

    /// 0 or 1, for tables about directions.
    #[inline]
    pub fn index(self) -> usize {
        self as usize
    }

    /// The opposite one.
    #[inline]
    pub fn other(self) -> Self {
        match self {
            Self::Forward => Self::Back,
            Self::Back => Self::Forward,
        }
    }
}

/// What stands above IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
    /// RFC 792 and RFC 4443.
    Icmp,
}

/// Whether bytes look like a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Certainly not.
    No,
    /// Not enough bytes to tell.
    Maybe,
    /// Hardly anything else looks like this.
    Yes,
}

/// A protocol of the table: [`super::PROTOCOLS`].
#[derive(Debug)]
pub struct Protocol {
    /// `dns`: the dataset of its documents, what `<protocol>` in a tag becomes, and its word in `Protocols`.
    pub name: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// Its keys; their names begin with the protocol's: `dns.ports`.
    pub keys: Table,
    /// What carries it.
    pub over: &'static [Transport],
    /// Looks at the first bytes of a direction, or at a datagram.
    pub probe: fn(Transport, &[u8]) -> Probe,
    /// Reads its keys; what is wrong goes to the findings.
    pub make: fn(&mut MakeProtocol<'_>) -> Option<Box<dyn Decoder>>,
}

/// What a protocol is configured with.
#[derive(Debug)]
pub struct MakeProtocol<'a> {
    /// The input's section, with the protocol's keys among the others.
    pub section: &'a Section,
    /// Where findings go.
    pub diags: &'a mut Diags,
    /// The input's `Transaction_Timeout`: the default of the protocol's own.
    pub timeout: Duration,
}

impl MakeProtocol<'_> {
    /// Reports an error at `key`'s value; answers `None` for `return`.
    pub fn refuse<T>(&mut self, key: &str, msg: impl Display, help: &str) -> Option<T> {
        let place = self.section.get(key).map_or(&self.section.place, |e| &e.value_place);
        self.diags.error_help(place, format!("{} {msg}", self.section.who()), help);
        None
    }
}

/// A configured protocol; its conversations share its settings.
pub trait Decoder {
    /// The ports on which it is looked for first.
    fn ports(&self) -> &[u16];
    /// The state of a new flow.
    fn open(&self, over: Transport) -> Box<dyn Conversation>;
}

/// What a protocol knows of one flow. It is called in the order in which packets were captured, and never twice at once.
pub trait Conversation {
    /// TCP: `buf` are the bytes of direction `dir` that were not used yet, in order and contiguous. The caller keeps what
    /// is left, and shows it again with more behind it. While something was used and something is left it is called again.
    fn stream(&mut self, cx: &mut Cx<'_>, dir: Dir, buf: &[u8]) -> Step;

    /// A UDP payload, or an ICMP message from its type on.
    fn datagram(&mut self, cx: &mut Cx<'_>, dir: Dir, data: &[u8]);

    /// `lost` bytes of this direction will never come: they were not captured. Bytes before them that were not used are
    /// forgotten and counted in. `stream` goes on behind them; [`Cx::is_gap_skipped`] tells whether that is where it would
    /// have gone on anyway. 0 with bytes forgotten: the message was larger than what is held ([`super::side::HELD_MAX`]).
    fn gap(&mut self, cx: &mut Cx<'_>, dir: Dir, lost: u64);

    /// Bytes that were shown and not used, and what follows them was not captured: all that will ever be had of a message.
    /// [`Conversation::gap`] comes next.
    fn cut(&mut self, _cx: &mut Cx<'_>, _dir: Dir, _rest: &[u8]) {}

    /// The direction ended (FIN), or the connection was reset (`None`).
    fn close(&mut self, cx: &mut Cx<'_>, dir: Option<Dir>);

    /// The time that [`Cx::wake_at`] asked for has come.
    fn expire(&mut self, cx: &mut Cx<'_>);

    /// The flow ends: by silence, for want of memory, or with the capture. What waits is written now.
    fn finish(&mut self, cx: &mut Cx<'_>);

    /// Bytes held on the heap, itself included.
    fn memory(&self) -> usize;
}

/// What a conversation did with the bytes it was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Bytes that need not be shown again.
    pub used: usize,
    /// What it wants next.
    pub next: Next,
}

/// What a conversation wants next of a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// To be called when at least this many bytes stand behind the used ones; 0 and 1 are any. When no byte is left, it is
    /// called with whatever comes.
    More(usize),
    /// The next `n` bytes need not be shown. A gap among them is told all the same; then the rest is skipped.
    Skip(u64),
    /// Nothing more of this direction.
    Ignore,
    /// Nothing more of this connection.
    Done,
    /// What follows, in both directions, is another protocol: it is looked for as in a new connection.
    Redetect,
}

impl Step {
    /// All of `buf` was used, and anything may follow.
    pub fn all(buf: &[u8]) -> Self {
        Self { used: buf.len(), next: Next::More(1) }
    }

    /// Nothing was used: `n` bytes are needed.
    pub fn need(n: usize) -> Self {
        Self { used: 0, next: Next::More(n) }
    }

    /// `used` bytes were used, and anything may follow.
    pub fn used(used: usize) -> Self {
        Self { used, next: Next::More(1) }
    }
}
