//! What is known of one flow.

use super::FlowInfo;
use crate::decode::side::Side;
use crate::decode::tcp::{Got, Half};
use crate::decode::{Conversation, Dir};
use crate::time::Time;
use std::collections::VecDeque;

/// No time.
pub const NEVER: Time = Time(i64::MAX);

/// Packets and bytes of one direction. Bytes are those of whole frames, as on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Frames that ended a datagram, or were one.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A flow in its table.
#[derive(Debug)]
pub struct Flow {
    /// Who talks to whom.
    pub info: FlowInfo,
    /// Of each direction, since `begun`.
    pub count: [Count; 2],
    /// The first packet that is counted.
    pub begun: Time,
    /// The last packet.
    pub last: Time,
    /// When the next record of a flow that goes on is due.
    pub report: Time,
    /// The last packet that a record told of.
    pub told: Time,
    /// When it is to be looked at: a copy of what the wheel knows.
    pub due: Time,
    /// When the conversation wants to be woken; the end of time when it does not.
    pub wake: Time,
    /// What is said.
    pub app: App,
    /// The stream, while somebody listens.
    pub tcp: Option<Box<Tcp>>,
    /// Ethernet addresses of the first packet: sender, receiver.
    pub macs: Option<[[u8; 6]; 2]>,
    /// Heap bytes that are accounted for.
    pub memory: u32,
    /// Those of the conversation, as it said when it was last called.
    pub app_memory: u32,
    /// FIN of each direction, RST.
    pub ended: Ended,
    /// Whether the slot is in use.
    pub is_live: bool,
}

/// What was seen of the end of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    /// FIN from each side.
    pub fin: [bool; 2],
    /// RST.
    pub reset: bool,
}

impl Ended {
    /// Whether nothing is expected any more.
    pub fn is_over(self) -> bool {
        self.reset || self.fin == [true; 2]
    }
}

/// The streams of a connection.
#[derive(Default)]
pub struct Tcp {
    /// Reassembly of each direction.
    pub halves: [Half; 2],
    /// Bytes on their way to the conversation.
    pub sides: [Side; 2],
    /// What was said in answer to bytes that were not captured, or not yet, and has to wait for them.
    pub waiting: Option<Box<Waiting>>,
}

/// What each side said, in order, and what must come before it.
#[derive(Debug, Default)]
pub struct Waiting {
    /// Of each side.
    pub said: [VecDeque<Got<'static>>; 2],
    /// Bytes of data in it.
    pub bytes: usize,
}

impl Waiting {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of things said.
    pub fn len(&self) -> usize {
        self.said.iter().map(VecDeque::len).sum()
    }

    /// Number of the first byte of a side that waits.
    pub fn begins_at(&self, side: usize) -> Option<u32> {
        self.said.get(side)?.iter().find_map(|got| if let Got::Data { seq, .. } = got { Some(*seq) } else { None })
    }

    fn memory(&self) -> usize {
        let places = self.said.iter().map(VecDeque::capacity).sum::<usize>();
        size_of::<Self>() + places * size_of::<Got<'static>>() + self.bytes
    }
}

/// Who listens to a flow.
#[derive(Default)]
pub enum App {
    /// Nobody yet: so many looks were in vain.
    Unknown(u8),
    /// Nobody.
    #[default]
    Off,
    /// A protocol, by its number among those configured.
    On(u8, Box<dyn Conversation>),
}

impl Flow {
    /// A flow whose first packet came at `now`.
    pub fn new(info: FlowInfo, now: Time) -> Self {
        Self {
            info,
            count: Default::default(),
            begun: now,
            last: now,
            report: NEVER,
            told: Time(i64::MIN),
            due: NEVER,
            wake: NEVER,
            app: App::Unknown(0),
            tcp: None,
            macs: None,
            memory: 0,
            app_memory: 0,
            ended: Ended::default(),
            is_live: true,
        }
    }

    /// Counts a packet.
    #[inline]
    pub fn count(&mut self, dir: Dir, bytes: u64) {
        let count = &mut self.count[dir.index()];
        count.packets += 1;
        count.bytes += bytes;
    }

    /// Packets of both directions since `begun`.
    pub fn packets(&self) -> u64 {
        self.count[0].packets + self.count[1].packets
    }

    /// Heap bytes held.
    #[inline]
    pub fn heap(&self) -> usize {
        let app = match &self.app {
            App::On(..) => self.app_memory as usize,
            _ => 0,
        };
        app + self.tcp.as_ref().map_or(0, |t| {
            let held = t.halves.iter().map(Half::held).sum::<usize>();
            let waiting = t.waiting.as_ref().map_or(0, |w| w.memory());
            size_of::<Tcp>() + held + waiting + t.sides.iter().map(Side::memory).sum::<usize>()
        })
    }
}

impl std::fmt::Debug for Tcp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tcp").field("sides", &self.sides).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(tries) => f.debug_tuple("Unknown").field(tries).finish(),
            Self::Off => f.write_str("Off"),
            Self::On(protocol, _) => f.debug_tuple("On").field(protocol).finish_non_exhaustive(),
        }
    }
}
