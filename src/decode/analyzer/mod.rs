//! The whole way: packet → layers → flow → reassembly → conversation → documents.
//!
//! One analyzer serves one capture. Its clock is that of the packets, so that the same packets give the same documents;
//! [`Analyzer::tick`] moves it on while a live line is silent.

mod protocols;
mod talk;
#[cfg(test)]
mod tests;

pub use protocols::{Found, Protocols};

use super::common::Common;
use super::cx::{Out, Sink};
use super::flow::report::{self, Why};
use super::flow::{Flow, FlowInfo, FlowKey, NEVER, Networks, Table, Wheel};
use super::layers::{self, Body, Layers, Unwrapper};
use super::tcp::{Limits, TcpStats, flag};
use super::{Dir, Transport};
use crate::fmt::capture::Packet;
use crate::time::Time;
use std::time::Duration;
use talk::{After, Env};

/// How long a closed connection is remembered for its last packets.
const LINGER: Duration = Duration::from_secs(3);
/// How long a silent connection that did not end keeps what was learnt of it, memory allowing.
const CONNECTION_IDLE: Duration = Duration::from_secs(3600);

/// Packets that are late by no more than this are only out of order; beyond it the clock was set back.
const BACK: Duration = Duration::from_secs(300);
/// How long a short exchange takes at most.
const SHORT: Duration = Duration::from_secs(1);

/// What an analyzer is to do.
#[derive(Debug)]
pub struct Settings {
    /// Records of flows, and how often while they go on (`None`: at the end only).
    pub flows: Option<Option<Duration>>,
    /// Silence that ends a flow.
    pub flow_timeout: Duration,
    /// Tunnels and fragments.
    pub layers: layers::Settings,
    /// Bytes for everything that is remembered of flows.
    pub max_memory: usize,
    /// Bounds of reassembly.
    pub tcp: Limits,
    /// Which networks are one's own.
    pub networks: Networks,
    /// For the table of flows: nothing that senders of packets know.
    pub seed: u64,
}

/// What was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Flows begun.
    pub flows: u64,
    /// Flows given up for want of memory.
    pub evicted: u64,
    /// How often the clock went back by more than packets can be late.
    pub turned_back: u64,
    /// Documents written.
    pub documents: u64,
    /// Messages that were larger than what is held of one.
    pub oversized: u64,
    /// Their bytes.
    pub oversized_bytes: u64,
    /// Of all TCP streams that somebody listened to.
    pub tcp: TcpStats,
}

/// Turns packets into documents.
#[derive(Debug)]
pub struct Analyzer {
    settings: Settings,
    protocols: Protocols,
    unwrapper: Unwrapper,
    table: Table,
    common: Common,
    stats: Stats,
    clock: Time,
    /// Heap bytes of all flows.
    heap: usize,
    /// Flows whose deadlines have come, and how many of them were looked at.
    due: Vec<u32>,
    looked: usize,
    /// Where [`Self::finish_some`] goes on.
    ended: u32,
}

impl Analyzer {
    /// An analyzer that has seen nothing.
    pub fn new(settings: Settings, protocols: Protocols) -> Self {
        Self {
            unwrapper: Unwrapper::new(settings.layers),
            table: Table::new(settings.seed),
            settings,
            protocols,
            common: Common::new(),
            stats: Stats::default(),
            clock: Time(i64::MIN),
            heap: 0,
            due: Vec::new(),
            looked: 0,
            ended: 0,
        }
    }

    /// What was seen so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// What the layers below the flows have counted.
    pub fn unwrapper(&self) -> &Unwrapper {
        &self.unwrapper
    }

    /// Flows that are open.
    pub fn flows(&self) -> usize {
        self.table.len()
    }

    /// Whether something waits for time to pass.
    pub fn is_waiting(&self) -> bool {
        !self.table.is_empty()
    }

    /// Takes a packet in.
    pub fn packet(&mut self, packet: &Packet<'_>, sink: &mut dyn Sink) {
        self.stats.packets += 1;
        self.stats.bytes += u64::from(packet.wire_len);
        self.tick(packet.time, sink);
        // What has no place above is counted below.
        let Ok(layers) = self.unwrapper.unwrap(packet) else { return };
        let Some(Place { key, swap, icmp }) = place(&layers) else { return };
        let Self { settings, protocols, table, common, stats, heap, .. } = self;
        let out = &mut Out { common, networks: &settings.networks, sink, stats };
        let mut env = Env { settings, protocols, out, now: packet.time };
        let known = table.find(&key);
        let begin = |table: &mut Table, env: &mut Env<'_, '_>| {
            let info = FlowInfo::new(key, swap, packet.time, icmp);
            begin(table, env, info, &layers)
        };
        let mut slot = known.unwrap_or_else(|| begin(table, &mut env));
        let dir = |flow: &Flow| if flow.info.swapped == swap { Dir::Forward } else { Dir::Back };
        let Some(mut flow) = table.get_mut(slot) else { return };
        if let Body::Tcp(seg) = &layers.body {
            let reused = seg.flags & (flag::SYN | flag::ACK) == flag::SYN && begins_anew(flow, dir(flow), seg, env.now);
            if reused || talk::segment(&mut env, flow, dir(flow), seg) == After::Restart {
                end(&mut env, table, heap, slot, Why::Reused);
                slot = begin(table, &mut env);
                let Some(new) = table.get_mut(slot) else { return };
                flow = new;
                talk::segment(&mut env, flow, Dir::Forward, seg);
            }
        }
        let dir = dir(flow);
        if flow.packets() == 0 {
            restart(flow, packet.time, settings);
        } else if flow.report == NEVER {
            flow.report = next_report(packet.time, settings);
        }
        flow.last = flow.last.max(packet.time);
        flow.count(dir, u64::from(layers.frame_len));
        match &layers.body {
            Body::Udp(udp) => talk::datagram(&mut env, flow, dir, udp.payload, udp.wire_len),
            Body::Icmp { data, wire_len } => talk::datagram(&mut env, flow, dir, data, *wire_len),
            _ => {}
        }
        settle(&env, table, heap, slot);
        while self.heap + self.table.len() * Table::PER_FLOW > self.settings.max_memory {
            let Some(oldest) = self.table.oldest() else { break };
            self.stats.evicted += 1;
            self.end(oldest, Why::Evicted, sink);
        }
    }

    /// Moves the clock on: what waited too long is told.
    #[inline]
    pub fn tick(&mut self, now: Time, sink: &mut dyn Sink) {
        while self.tick_some(now, usize::MAX, sink) {}
    }

    /// As [`Self::tick`], but looks at `max` flows at most: after a silence very many may be due. Whether there are more.
    #[inline]
    pub fn tick_some(&mut self, now: Time, max: usize, sink: &mut dyn Sink) -> bool {
        if now.after(BACK) < self.clock {
            self.turn_back(now, sink);
        }
        self.clock = self.clock.max(now);
        let is_due = self.looked < self.due.len() || self.table.wheel.is_behind(self.clock);
        is_due && self.look(max, sink)
    }

    /// The clock was set back, or another capture begins: what was before belongs to another time.
    #[cold]
    fn turn_back(&mut self, now: Time, sink: &mut dyn Sink) {
        self.stats.turned_back += 1;
        self.ended = 0;
        self.finish(sink);
        self.due.clear();
        self.looked = 0;
        self.table.wheel = Wheel::default();
        self.clock = now;
    }

    #[cold]
    fn look(&mut self, max: usize, sink: &mut dyn Sink) -> bool {
        if self.looked >= self.due.len() {
            self.due.clear();
            self.looked = 0;
            self.table.wheel.advance(self.clock, &mut self.due);
        }
        let end = self.due.len().min(self.looked.saturating_add(max));
        while self.looked < end {
            let slot = self.due.get(self.looked).copied();
            self.looked += 1;
            slot.into_iter().for_each(|slot| self.due(slot, sink));
        }
        end < self.due.len()
    }

    /// The capture ends: everything is told.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        while self.finish_some(usize::MAX, sink) {}
    }

    /// As [`Self::finish`], but ends `max` flows at most: all at once may be more documents than there is room for.
    /// Whether there are more. No packet may come before all are ended.
    pub fn finish_some(&mut self, max: usize, sink: &mut dyn Sink) -> bool {
        let some: Vec<u32> = self.table.live(self.ended).take(max).collect();
        self.ended = some.last().map_or(0, |slot| slot + 1);
        some.into_iter().for_each(|slot| self.end(slot, Why::End, sink));
        if self.table.is_empty() {
            self.ended = 0;
        }
        !self.table.is_empty()
    }

    /// The deadline of a flow has come.
    fn due(&mut self, slot: u32, sink: &mut dyn Sink) {
        let Self { settings, protocols, table, common, stats, heap, clock, .. } = self;
        let out = &mut Out { common, networks: &settings.networks, sink, stats };
        let mut env = Env { settings, protocols, out, now: *clock };
        let Some(flow) = table.get_mut(slot) else { return };
        flow.due = NEVER;
        if flow.wake <= env.now {
            flow.wake = NEVER;
            talk::wake(&mut env, flow);
        }
        talk::overdue(&mut env, flow);
        let silent = idle(flow, settings);
        if env.now >= flow.last.after(silent) && flow.wake == NEVER {
            let why = match flow.ended {
                ended if ended.reset => Why::Reset,
                ended if ended.is_over() => Why::Fin,
                _ => Why::Timeout,
            };
            end(&mut env, table, heap, slot, why);
        } else {
            if flow.packets() > 0 && env.now >= flow.last.after(settings.flow_timeout) {
                report(&mut env, flow, Why::Timeout);
            } else if env.now >= flow.report {
                let period = settings.flows.flatten().unwrap_or_default();
                // What has not changed is not told again. A short exchange that has been silent since is over, most
                // likely: then its end tells all of it.
                let is_new = flow.last > flow.told;
                let is_short = flow.last <= flow.told.max(flow.begun).after(SHORT);
                if is_new && !(is_short && env.now >= flow.last.after(period / 2)) {
                    report(&mut env, flow, Why::Period);
                    flow.report = env.now.after(period);
                } else {
                    // Nothing to tell before the next packet.
                    flow.report = NEVER;
                }
            }
            settle(&env, table, heap, slot);
        }
    }

    fn end(&mut self, slot: u32, why: Why, sink: &mut dyn Sink) {
        let Self { settings, protocols, table, common, stats, heap, clock, .. } = self;
        let out = &mut Out { common, networks: &settings.networks, sink, stats };
        let mut env = Env { settings, protocols, out, now: *clock };
        end(&mut env, table, heap, slot, why);
    }
}

/// Where a packet belongs.
struct Place {
    key: FlowKey,
    /// Whether its sender is the higher end.
    swap: bool,
    /// Type and code.
    icmp: (u8, u8),
}

fn place(layers: &Layers<'_>) -> Option<Place> {
    let (over, from, to, icmp) = match &layers.body {
        Body::Tcp(seg) => (Transport::Tcp, seg.src_port, seg.dst_port, (0, 0)),
        Body::Udp(udp) => (Transport::Udp, udp.src_port, udp.dst_port, (0, 0)),
        Body::Ports { tcp, src_port, dst_port } => {
            (if *tcp { Transport::Tcp } else { Transport::Udp }, *src_port, *dst_port, (0, 0))
        }
        Body::Icmp { data, .. } => {
            let byte = |at: usize| data.get(at).copied().unwrap_or(0);
            let has_id = if layers.v6 { matches!(byte(0), 128 | 129) } else { matches!(byte(0), 0 | 8 | 13..=18) };
            let id = if has_id { u16::from_be_bytes([byte(4), byte(5)]) } else { 0 };
            (Transport::Icmp, id, id, (byte(0), byte(1)))
        }
        Body::Other(_) => return None,
    };
    let vlan = match layers.vlans.as_slice() {
        [] => [0, 0],
        [one] => [*one, 0],
        [one, two, ..] => [*one, *two],
    };
    let (key, mut swap) = FlowKey::of((layers.src, from), (layers.dst, to), vlan, over, layers.v6);
    if over == Transport::Icmp && layers.src == layers.dst {
        // Who talks to himself answers with other types.
        swap = if layers.v6 { icmp.0 == 129 } else { matches!(icmp.0, 0 | 14 | 16 | 18) };
    }
    Some(Place { key, swap, icmp })
}

/// A flow's first packet came.
fn begin(table: &mut Table, env: &mut Env<'_, '_>, info: FlowInfo, layers: &Layers<'_>) -> u32 {
    env.out.stats.flows += 1;
    let mut flow = Flow::new(info, env.now);
    flow.macs = layers.macs.map(|m| [m.src, m.dst]);
    if let Body::Tcp(seg) = &layers.body {
        flow.info.from_start = seg.flags & flag::SYN != 0;
    }
    table.insert(flow)
}

/// Counts begin anew at `now`.
fn restart(flow: &mut Flow, now: Time, settings: &Settings) {
    flow.count = Default::default();
    flow.begun = now;
    flow.report = next_report(now, settings);
}

fn next_report(now: Time, settings: &Settings) -> Time {
    match settings.flows {
        Some(Some(period)) => now.after(period),
        _ => NEVER,
    }
}

fn report(env: &mut Env<'_, '_>, flow: &mut Flow, why: Why) {
    if env.settings.flows.is_some() && flow.packets() > 0 {
        report::write(env.out, flow, why);
        flow.told = flow.last;
    }
    if why != Why::Period {
        flow.count = Default::default();
        flow.report = NEVER;
    }
}

/// The flow ends: its conversation says its last words, its record is written, its slot is free.
fn end(env: &mut Env<'_, '_>, table: &mut Table, heap: &mut usize, slot: u32, why: Why) {
    let Some(flow) = table.get_mut(slot) else { return };
    talk::finish(env, flow);
    report(env, flow, why);
    *heap = heap.saturating_sub(flow.memory as usize);
    table.remove(slot);
}

/// Accounts for the memory of a flow, and sets its deadline.
#[inline]
fn settle(env: &Env<'_, '_>, table: &mut Table, heap: &mut usize, slot: u32) {
    let Some(flow) = table.get_mut(slot) else { return };
    let memory = u32::try_from(flow.heap()).unwrap_or(u32::MAX);
    *heap = (*heap + memory as usize).saturating_sub(flow.memory as usize);
    flow.memory = memory;
    let mut soonest = flow.wake.min(flow.report);
    if let Some(tcp) = &flow.tcp {
        for half in &tcp.halves {
            if let Some(at) = half.deadline(&env.settings.tcp) {
                soonest = soonest.min(at);
            }
        }
    }
    if flow.due == NEVER {
        // New, or looked at just now. Silence is not measured at each packet: when its time comes, it is looked whether
        // there was some since.
        soonest =
            soonest.min(flow.report).min(flow.last.after(env.settings.flow_timeout.min(idle(flow, env.settings))));
    } else if flow.ended.is_over() {
        soonest = soonest.min(flow.last.after(idle(flow, env.settings)));
    }
    if soonest < flow.due {
        flow.due = soonest;
        table.wheel.arm(slot, soonest);
    }
}

/// Silence that ends a flow.
fn idle(flow: &Flow, settings: &Settings) -> Duration {
    if flow.ended.is_over() {
        LINGER.min(settings.flow_timeout)
    } else if flow.tcp.is_some() {
        CONNECTION_IDLE.max(settings.flow_timeout)
    } else {
        settings.flow_timeout
    }
}

/// Whether a SYN begins another connection.
fn begins_anew(flow: &Flow, dir: Dir, seg: &super::layers::TcpSegment<'_>, now: Time) -> bool {
    let silence = Duration::from_nanos(u64::try_from(now.0.saturating_sub(flow.last.0)).unwrap_or(0));
    match &flow.tcp {
        Some(tcp) => tcp.halves[dir.index()].begins_anew(seg.seq, silence),
        None => flow.packets() > 0 && (flow.ended.is_over() || silence >= super::tcp::REUSE_IDLE),
    }
}
