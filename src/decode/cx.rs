//! What a conversation may do: look at the clock and the flow, ask to be woken, write documents.

use super::analyzer::Stats;
use super::common::{Common, write_common};
use super::flow::{FlowInfo, Networks};
use super::{Dir, Doc};
use crate::event::Batch;
use crate::time::Time;
use std::net::IpAddr;

/// Where documents go: into the batch of their dataset.
pub trait Sink {
    /// Calls `write` with the batch that holds the documents of `dataset`.
    fn write(&mut self, dataset: &'static str, write: &mut dyn FnMut(&mut Batch));
}

/// Writes documents: the keys they share, and where they go.
pub struct Out<'a> {
    pub(super) common: &'a Common,
    pub(super) networks: &'a Networks,
    pub(super) sink: &'a mut dyn Sink,
    pub(super) stats: &'a mut Stats,
}

impl Out<'_> {
    /// The same for a shorter time.
    pub(super) fn lend(&mut self) -> Out<'_> {
        let Self { common, networks, sink, stats } = self;
        Out { common, networks, sink: &mut **sink, stats }
    }
}

/// A conversation's view of the world while it is called.
pub struct Cx<'a> {
    pub(super) time: Time,
    pub(super) since: Time,
    pub(super) skipped: bool,
    pub(super) cut: u32,
    pub(super) flow: &'a FlowInfo,
    pub(super) wake: &'a mut Time,
    pub(super) out: Out<'a>,
}

/// What all documents have. Make it with [`Head::new`] and set what applies.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// `event.dataset` and `type`; `network.protocol` but for ICMP.
    pub dataset: &'static str,
    /// In which direction the request went: its sender is source and client.
    pub requester: Dir,
    /// First packet of the request.
    pub start: Option<Time>,
    /// Last packet of the response.
    pub end: Option<Time>,
    /// Application bytes of the request and of the response.
    pub bytes: [Option<u64>; 2],
    /// `OK` or `Error`.
    pub status: &'static str,
    /// `error.message`: a note, or a list of them.
    pub notes: &'a [&'a str],
    /// `event.action`.
    pub action: Option<&'a [u8]>,
    /// `destination.domain` and `server.domain`.
    pub server_domain: Option<&'a [u8]>,
    /// `related.hosts`.
    pub hosts: &'a [&'a [u8]],
    /// `related.user`.
    pub users: &'a [&'a [u8]],
    /// Further addresses among `related.ip`.
    pub ips: &'a [IpAddr],
    /// `network.forwarded_ip`, also among `related.ip`.
    pub forwarded_ip: Option<&'a [u8]>,
}

impl Head<'_> {
    /// A head with status `OK` and nothing else.
    pub fn new(dataset: &'static str, requester: Dir) -> Self {
        Self {
            dataset,
            requester,
            start: None,
            end: None,
            bytes: [None; 2],
            status: "OK",
            notes: &[],
            action: None,
            server_domain: None,
            hosts: &[],
            users: &[],
            ips: &[],
            forwarded_ip: None,
        }
    }
}

impl Cx<'_> {
    /// The time of the packet at hand; in `expire` and `finish` the clock of the packets.
    #[inline]
    pub fn time(&self) -> Time {
        self.time
    }

    /// When the first byte of the bytes at hand arrived.
    #[inline]
    pub fn since(&self) -> Time {
        self.since
    }

    /// In `gap`: whether all lost bytes are among those that need not be shown ([`super::Next::Skip`]), so that the next bytes
    /// shown stand where they were expected.
    #[inline]
    pub fn is_gap_skipped(&self) -> bool {
        self.skipped
    }

    /// In `datagram`: bytes at its end that were not captured, since the capture cuts packets.
    #[inline]
    pub fn cut(&self) -> u32 {
        self.cut
    }

    /// The flow.
    #[inline]
    pub fn flow(&self) -> &FlowInfo {
        self.flow
    }

    /// Asks for [`super::Conversation::expire`] at a time, to within a quarter of a second. There is one such time in a
    /// conversation: the earliest asked for. It is forgotten when it comes.
    pub fn wake_at(&mut self, at: Time) {
        *self.wake = at.min(*self.wake);
    }

    /// Writes a document: what `head` says, then `fields`. The record's time is the start, or the end where there is none.
    pub fn emit(&mut self, head: &Head<'_>, fields: impl FnOnce(&mut Doc<'_>)) {
        let mut fields = Some(fields);
        let Out { common, networks, sink, stats } = &mut self.out;
        stats.documents += 1;
        let (flow, now) = (self.flow, self.time);
        sink.write(head.dataset, &mut |batch| {
            let Some(fields) = fields.take() else { return };
            let mark = batch.begin();
            let mut doc = Doc::new(batch);
            write_common(&mut doc, common, networks, flow, head);
            fields(&mut doc);
            batch.finish(mark, head.start.or(head.end).unwrap_or(now));
        });
    }
}
