//! For the tests of protocols: a flow, a conversation, and the documents that it writes.

use super::analyzer::Stats;
use super::common::Common;
use super::flow::{FlowInfo, FlowKey, NEVER, Networks};
use super::layers::Addr;
use super::side::{Fed, Side};
use super::{Conversation, Cx, Decoder, Dir, Out, Sink, Transport};
use crate::conf::FromConf;
use crate::event::{Batch, Tag};
use crate::fmt::json_write::{JsonOpts, write_map};
use crate::time::Time;
use serde_json::Value;

/// Documents in the order in which they were written.
#[derive(Default)]
pub struct Docs(pub Vec<Value>);

impl Sink for Docs {
    fn write(&mut self, dataset: &'static str, write: &mut dyn FnMut(&mut Batch)) {
        let mut batch = Batch::new(Tag::new(dataset));
        write(&mut batch);
        for i in 0..batch.len() {
            let mut json = Vec::new();
            write_map(batch.body(i), JsonOpts::default(), &mut json);
            self.0.push(serde_json::from_slice(&json).unwrap());
        }
    }
}

/// A client at 10.0.0.1:40000 and a server at 10.0.0.2; `Forward` is from the client.
pub struct Talk {
    pub conv: Option<Box<dyn Conversation>>,
    pub docs: Docs,
    pub now: Time,
    pub wake: Time,
    flow: FlowInfo,
    sides: [Side; 2],
    common: Common,
    networks: Networks,
    stats: Stats,
}

impl Talk {
    /// A new flow to `port`.
    pub fn new(decoder: &dyn Decoder, over: Transport, port: u16) -> Self {
        Self::between([10, 0, 0, 2], 40000, port, decoder, over)
    }

    /// A new flow from a port of the client to a server's, or a group's, address and port.
    pub fn between(server: [u8; 4], from: u16, to: u16, decoder: &dyn Decoder, over: Transport) -> Self {
        let (client, server) = (Addr::v4([10, 0, 0, 1]), Addr::v4(server));
        let (key, swapped) = FlowKey::of((client, from), (server, to), [0; 2], over, false);
        let now = Time(1_700_000_000_000_000_000);
        let mut flow = FlowInfo::new(key, swapped, now, (8, 0));
        flow.from_start = true;
        Self {
            conv: Some(decoder.open(over)),
            docs: Docs::default(),
            now,
            wake: NEVER,
            flow,
            sides: Default::default(),
            common: Common::new(),
            networks: Networks::from_conf("private").unwrap(),
            stats: Stats::default(),
        }
    }

    /// Whether the connection was seen from its first packet on; it was, unless told otherwise.
    pub fn is_from_start(&mut self, yes: bool) {
        self.flow.from_start = yes;
    }

    /// Lets the clock run, a millisecond; the conversation is woken when it asked for that.
    pub fn wait(&mut self, millis: i64) {
        self.now = Time(self.now.0 + millis * 1_000_000);
        if self.wake <= self.now {
            self.wake = NEVER;
            self.with(|_, conv, cx| conv.expire(cx));
        }
    }

    /// Bytes of a TCP stream.
    pub fn send(&mut self, dir: Dir, bytes: &[u8]) {
        let done = self.with(|sides, conv, cx| {
            !matches!(sides[dir.index()].feed(conv, cx, dir, bytes), Fed::On | Fed::Oversized(_))
        });
        if done == Some(true) {
            self.conv = None;
        }
    }

    /// Bytes that were not captured.
    pub fn lose(&mut self, dir: Dir, lost: u64) {
        self.with(|sides, conv, cx| sides[dir.index()].gap(conv, cx, dir, lost));
    }

    /// A datagram.
    pub fn datagram(&mut self, dir: Dir, data: &[u8]) {
        self.with(|_, conv, cx| conv.datagram(cx, dir, data));
    }

    /// FIN of a direction, or RST.
    pub fn close(&mut self, dir: Option<Dir>) {
        self.with(|_, conv, cx| conv.close(cx, dir));
    }

    /// The end of the flow; returns all documents.
    pub fn finish(mut self) -> Vec<Value> {
        self.with(|_, conv, cx| conv.finish(cx));
        self.docs.0
    }

    /// Bytes of memory of the conversation and of what is held for it.
    pub fn memory(&self) -> usize {
        let sides = self.sides.iter().map(Side::memory).sum::<usize>();
        sides + self.conv.as_ref().map_or(0, |c| c.memory())
    }

    fn with<T>(&mut self, f: impl FnOnce(&mut [Side; 2], &mut dyn Conversation, &mut Cx<'_>) -> T) -> Option<T> {
        let conv = self.conv.as_deref_mut()?;
        let out = Out { common: &self.common, networks: &self.networks, sink: &mut self.docs, stats: &mut self.stats };
        let mut cx =
            Cx { time: self.now, since: self.now, skipped: false, cut: 0, flow: &self.flow, wake: &mut self.wake, out };
        Some(f(&mut self.sides, conv, &mut cx))
    }
}
