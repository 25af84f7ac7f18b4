//! From reassembled streams and datagrams to conversations: who listens, and what he is told.

use super::Settings;
use super::protocols::{Found, Protocols};
use crate::decode::cx::{Cx, Out};
use crate::decode::flow::{App, Flow, FlowInfo, NEVER, Tcp};
use crate::decode::layers::TcpSegment;
use crate::decode::side::{Fed, Side};
use crate::decode::tcp::{Got, HalfCx, Segment, flag, is_before};
use crate::decode::{Dir, Transport};
use crate::time::Time;
use std::borrow::Cow;

/// Segments of a direction that are looked at for a protocol: a capture may begin within a message.
const LOOKS: u8 = 10;

/// What is needed beside the flow.
pub(super) struct Env<'a, 'b> {
    pub(super) settings: &'a Settings,
    pub(super) protocols: &'a Protocols,
    pub(super) out: &'a mut Out<'b>,
    pub(super) now: Time,
}

/// What became of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// The flow goes on.
    On,
    /// It belongs to a new connection on the same ports; nothing of it was used.
    Restart,
}

/// A TCP segment: puts the stream in order and tells it.
pub(super) fn segment(env: &mut Env<'_, '_>, flow: &mut Flow, dir: Dir, seg: &TcpSegment<'_>) -> After {
    if matches!(flow.app, App::Off) {
        let ended = &mut flow.ended;
        ended.fin[dir.index()] |= seg.flags & flag::FIN != 0;
        ended.reset |= seg.flags & flag::RST != 0;
        return After::On;
    }
    let mut tcp = flow.tcp.take().unwrap_or_default();
    let after = offer(env, flow, &mut tcp, dir, seg);
    put_back(flow, tcp);
    after
}

fn offer(env: &mut Env<'_, '_>, flow: &mut Flow, tcp: &mut Tcp, dir: Dir, seg: &TcpSegment<'_>) -> After {
    let segment = Segment {
        seq: seg.seq,
        ack: seg.ack,
        flags: seg.flags,
        window: seg.window,
        data: seg.payload,
        wire_len: seg.wire_payload_len,
    };
    let (here, there) = (dir.index(), dir.other().index());
    if seg.flags & (flag::ACK | flag::RST) == flag::ACK {
        let now = env.now;
        let cx = &mut HalfCx { now, limits: &env.settings.tcp, stats: &mut env.out.stats.tcp };
        tcp.halves[there].acked(cx, seg.ack);
        if let Some(got) = tcp.halves[there].take(cx)
            && drain(env, flow, tcp, dir.other(), got) == After::Restart
        {
            return After::Restart;
        }
    }
    let cx = &mut HalfCx { now: env.now, limits: &env.settings.tcp, stats: &mut env.out.stats.tcp };
    match tcp.halves[here].offer(cx, &segment) {
        Some(got) => drain(env, flow, tcp, dir, got),
        None => After::On,
    }
}

/// Time passed: holes may have become gaps.
pub(super) fn overdue(env: &mut Env<'_, '_>, flow: &mut Flow) {
    take_all(env, flow, false);
}

fn take_all(env: &mut Env<'_, '_>, flow: &mut Flow, last: bool) {
    let Some(mut tcp) = flow.tcp.take() else { return };
    for dir in Dir::BOTH {
        let cx = &mut HalfCx { now: env.now, limits: &env.settings.tcp, stats: &mut env.out.stats.tcp };
        if let Some(got) = tcp.halves[dir.index()].take(cx) {
            drain(env, flow, &mut tcp, dir, got);
        }
    }
    if let Some(waiting) = tcp.waiting.take_if(|_| last) {
        for (dir, said) in Dir::BOTH.into_iter().zip(waiting.said) {
            said.into_iter().for_each(|got| tell(env, flow, &mut tcp, dir, got));
        }
    }
    put_back(flow, tcp);
}

/// The flow ends: what is held is told, then the conversation says its last words.
pub(super) fn finish(env: &mut Env<'_, '_>, flow: &mut Flow) {
    if let Some(tcp) = &mut flow.tcp {
        tcp.halves.iter_mut().for_each(|h| h.flush());
        take_all(env, flow, true);
    }
    say_goodbye(env, flow);
    flow.tcp = None;
}

/// A datagram or an ICMP message, of `wire_len` bytes before the capture cut it.
pub(super) fn datagram(env: &mut Env<'_, '_>, flow: &mut Flow, dir: Dir, data: &[u8], wire_len: u32) {
    let over = flow.info.over();
    if let App::Unknown(tries) = flow.app {
        let found = match over {
            Transport::Icmp => env.protocols.over_icmp().map_or(Found::Nothing, Found::Protocol),
            _ => env.protocols.find(over, ports(&flow.info, dir), data, true),
        };
        match found {
            Found::Protocol(number) => open(env, flow, number),
            _ if tries + 1 >= LOOKS => flow.app = App::Off,
            _ => flow.app = App::Unknown(tries + 1),
        }
    }
    with(env, flow, |conv, cx| {
        cx.cut = wire_len.saturating_sub(u32::try_from(data.len()).unwrap_or(u32::MAX));
        conv.datagram(cx, dir, data);
    });
}

/// The conversation wanted to be woken now.
pub(super) fn wake(env: &mut Env<'_, '_>, flow: &mut Flow) {
    with(env, flow, |conv, cx| conv.expire(cx));
}

/// Tells everything that a half has to say, then what waited for that.
fn drain(env: &mut Env<'_, '_>, flow: &mut Flow, tcp: &mut Tcp, dir: Dir, first: Got<'_>) -> After {
    let mut got = Some(first);
    while let Some(what) = got {
        let waits = tcp.waiting.as_ref().is_some_and(|w| !w.said[dir.index()].is_empty());
        match what {
            Got::Restart => return After::Restart,
            _ if waits || !may_be_told(tcp, dir, &what) => put_off(tcp, dir, what),
            _ => tell(env, flow, tcp, dir, what),
        }
        let cx = &mut HalfCx { now: env.now, limits: &env.settings.tcp, stats: &mut env.out.stats.tcp };
        got = tcp.halves[dir.index()].take(cx);
    }
    if tcp.waiting.is_some() {
        release(env, flow, tcp);
    }
    After::On
}

/// Whether all that its sender had when he said it was told: a response is told after its request, also when a segment of
/// that was overtaken, or is missing.
fn may_be_told(tcp: &Tcp, dir: Dir, got: &Got<'_>) -> bool {
    let Got::Data { ack, .. } = got else { return true };
    let other = dir.other().index();
    !tcp.halves[other].misses(*ack)
        && tcp.waiting.as_ref().is_none_or(|w| w.begins_at(other).is_none_or(|seq| !is_before(seq, *ack)))
}

fn put_off(tcp: &mut Tcp, dir: Dir, got: Got<'_>) {
    let waiting = tcp.waiting.get_or_insert_default();
    let got = match got {
        Got::Data { bytes, at, seq, ack } => {
            waiting.bytes += bytes.len();
            Got::Data { bytes: Cow::Owned(bytes.into_owned()), at, seq, ack }
        }
        Got::Gap(lost) => Got::Gap(lost),
        Got::Fin => Got::Fin,
        Got::Reset => Got::Reset,
        Got::Resync => Got::Resync,
        Got::Restart => Got::Restart,
    };
    waiting.said[dir.index()].push_back(got);
}

/// Tells what waited and need not any more. When too much waits, what it waits for counts as lost.
fn release(env: &mut Env<'_, '_>, flow: &mut Flow, tcp: &mut Tcp) {
    while let Some(next) = next_waiting(tcp) {
        let Some(waiting) = &mut tcp.waiting else { return };
        let Some(got) = waiting.said[next.index()].pop_front() else { return };
        if let Got::Data { bytes, .. } = &got {
            waiting.bytes = waiting.bytes.saturating_sub(bytes.len());
        }
        tell(env, flow, tcp, next, got);
    }
    let Some(waiting) = &tcp.waiting else { return };
    let limits = &env.settings.tcp;
    if waiting.is_empty() {
        tcp.waiting = None;
    } else if waiting.bytes > limits.bytes || waiting.len() > limits.segments {
        for dir in Dir::BOTH {
            let half = &mut tcp.halves[dir.index()];
            half.flush();
            let cx = &mut HalfCx { now: env.now, limits: &env.settings.tcp, stats: &mut env.out.stats.tcp };
            if let Some(got) = half.take(cx) {
                drain(env, flow, tcp, dir, got);
            }
        }
    }
}

/// The side whose next words may be told.
fn next_waiting(tcp: &Tcp) -> Option<Dir> {
    let said = &tcp.waiting.as_ref()?.said;
    Dir::BOTH.into_iter().find(|dir| said[dir.index()].front().is_some_and(|got| may_be_told(tcp, *dir, got)))
}

fn tell(env: &mut Env<'_, '_>, flow: &mut Flow, tcp: &mut Tcp, dir: Dir, got: Got<'_>) {
    match got {
        Got::Data { bytes, at, .. } => {
            // What was held belongs to when it came.
            let now = std::mem::replace(&mut env.now, at);
            data(env, flow, &mut tcp.sides, dir, &bytes);
            env.now = now;
        }
        Got::Gap(lost) => gap(env, flow, &mut tcp.sides, dir, lost),
        Got::Resync => gap(env, flow, &mut tcp.sides, dir, 1),
        Got::Fin => {
            flow.ended.fin[dir.index()] = true;
            close(env, flow, &mut tcp.sides, Some(dir));
        }
        Got::Reset => {
            flow.ended.reset = true;
            close(env, flow, &mut tcp.sides, None);
        }
        Got::Restart => {}
    }
}

fn data(env: &mut Env<'_, '_>, flow: &mut Flow, sides: &mut [Side; 2], dir: Dir, bytes: &[u8]) {
    match flow.app {
        App::On(..) => feed(env, flow, sides, dir, bytes),
        App::Off => {}
        App::Unknown(_) => detect(env, flow, sides, dir, bytes, false),
    }
}

fn feed(env: &mut Env<'_, '_>, flow: &mut Flow, sides: &mut [Side; 2], dir: Dir, bytes: &[u8]) {
    let side = &mut sides[dir.index()];
    if side.passes(bytes) {
        return;
    }
    match with(env, flow, |conv, cx| side.feed(conv, cx, dir, bytes)) {
        Some(Fed::Done) => {
            say_goodbye(env, flow);
            *sides = Default::default();
        }
        Some(Fed::Redetect) => {
            say_goodbye(env, flow);
            flow.app = App::Unknown(0);
            for dir in [dir.other(), dir] {
                let rest = sides[dir.index()].take();
                data(env, flow, sides, dir, &rest);
            }
        }
        Some(Fed::Oversized(lost)) => {
            env.out.stats.oversized += 1;
            env.out.stats.oversized_bytes += lost;
        }
        Some(Fed::On) | None => {}
    }
}

/// Looks for a protocol in the first bytes of a direction.
fn detect(env: &mut Env<'_, '_>, flow: &mut Flow, sides: &mut [Side; 2], dir: Dir, bytes: &[u8], last: bool) {
    let fresh = bytes;
    let mut held = sides[dir.index()].take();
    let mut bytes = if held.is_empty() {
        bytes
    } else {
        held.extend_from_slice(bytes);
        &held
    };
    if bytes.is_empty() {
        return;
    }
    let App::Unknown(tries) = flow.app else { return };
    let mut found = env.protocols.find(Transport::Tcp, ports(&flow.info, dir), bytes, last);
    if found == Found::Nothing && fresh.len() < bytes.len() {
        // What was held may have been the end of something else, such as the words before STARTTLS.
        bytes = fresh;
        found = env.protocols.find(Transport::Tcp, ports(&flow.info, dir), bytes, last);
    }
    match found {
        Found::Protocol(number) => {
            open(env, flow, number);
            let other = sides[dir.other().index()].take();
            if env.protocols.may_be(number, Transport::Tcp, &other) {
                feed(env, flow, sides, dir.other(), &other);
            }
            data(env, flow, sides, dir, bytes);
        }
        Found::Wait => sides[dir.index()].keep(bytes, env.now),
        Found::Nothing if tries + 1 >= LOOKS => flow.app = App::Off,
        Found::Nothing => flow.app = App::Unknown(tries + 1),
    }
}

fn gap(env: &mut Env<'_, '_>, flow: &mut Flow, sides: &mut [Side; 2], dir: Dir, lost: u64) {
    let side = &mut sides[dir.index()];
    if with(env, flow, |conv, cx| side.gap(conv, cx, dir, lost)).is_none() {
        side.take();
    }
}

fn close(env: &mut Env<'_, '_>, flow: &mut Flow, sides: &mut [Side; 2], dir: Option<Dir>) {
    if matches!(flow.app, App::Unknown(_)) {
        for dir in dir.map_or(&Dir::BOTH[..], |d| if d == Dir::Forward { &Dir::BOTH[..1] } else { &Dir::BOTH[1..] }) {
            detect(env, flow, sides, *dir, &[], true);
        }
    }
    with(env, flow, |conv, cx| conv.close(cx, dir));
    if flow.ended.is_over() {
        say_goodbye(env, flow);
    }
}

fn open(env: &Env<'_, '_>, flow: &mut Flow, number: u8) {
    flow.app = match env.protocols.open(number, flow.info.over()) {
        Some(conv) => {
            flow.app_memory = u32::try_from(conv.memory()).unwrap_or(u32::MAX);
            App::On(number, conv)
        }
        None => App::Off,
    };
}

/// Nobody listens any more.
fn say_goodbye(env: &mut Env<'_, '_>, flow: &mut Flow) {
    with(env, flow, |conv, cx| conv.finish(cx));
    flow.app = App::Off;
    flow.wake = NEVER;
}

/// Streams are kept while somebody listens.
fn put_back(flow: &mut Flow, tcp: Box<Tcp>) {
    flow.tcp = if matches!(flow.app, App::Off) { None } else { Some(tcp) };
}

/// Calls the conversation, if there is one.
fn with<T>(
    env: &mut Env<'_, '_>,
    flow: &mut Flow,
    call: impl FnOnce(&mut dyn crate::decode::Conversation, &mut Cx<'_>) -> T,
) -> Option<T> {
    let App::On(_, conv) = &mut flow.app else { return None };
    let now = env.now;
    let mut cx = Cx {
        time: now,
        since: now,
        skipped: false,
        cut: 0,
        flow: &flow.info,
        wake: &mut flow.wake,
        out: env.out.lend(),
    };
    let result = call(&mut **conv, &mut cx);
    flow.app_memory = u32::try_from(conv.memory()).unwrap_or(u32::MAX);
    Some(result)
}

/// The ports of a flow, the receiver's first: a service listens there more often.
fn ports(flow: &FlowInfo, dir: Dir) -> [u16; 2] {
    [flow.port(dir.other()), flow.port(dir)]
}
