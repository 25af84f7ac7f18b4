//! One direction of a connection: where its stream stands, and what to make of the next segment.

mod out;

use super::held::{Held, Inserted, Part, ahead, before};
use super::{Got, HalfCx, Limits, MAX_AHEAD, NEAR, REUSE_IDLE, Segment, flag};
use crate::time::Time;
use std::borrow::Cow;
use std::time::Duration;

/// So many segments of a stream without a known beginning are awaited before its lowest is taken for the first.
const GUESS_SEGMENTS: u8 = 3;

/// The first segments of a stream without a known beginning lie this near to each other, or are not of one stream.
const GUESS_NEAR: u32 = 1 << 20;

/// Segments that follow each other at a place beyond any window make it believed.
const FAR_RUN: u16 = 3;

/// Why the fast path may not be taken.
mod mark {
    /// `held` is there.
    pub const HELD: u16 = 1;
    /// `ack` lies behind `next`.
    pub const ACKED: u16 = 1 << 1;
    /// `cut` bytes at `next` were not captured.
    pub const CUT: u16 = 1 << 2;
    /// `fin` is known.
    pub const FIN: u16 = 1 << 3;
    /// A RST was accepted, and is to be told when all else has been.
    pub const RESET: u16 = 1 << 4;
    /// Holes are gaps now.
    pub const FLUSH: u16 = 1 << 5;
    /// A new connection was seen.
    pub const RESTART: u16 = 1 << 6;
    /// There is a hole at `next`, `since` and `after` count.
    pub const WAIT: u16 = 1 << 7;
    /// Nothing was delivered and the SYN not seen: what is missing in front is no gap.
    pub const LEAD: u16 = 1 << 8;
    /// A strange SYN came, whose stream would begin at `other`.
    pub const ODD_SYN: u16 = 1 << 9;
    /// Segments came from beyond any window, the last ending at `other`: how many follow each other, up to three.
    pub const FAR: u16 = 3 << FAR_SHIFT;
    pub const FAR_SHIFT: u32 = 10;

    /// The other side acknowledged the SYN.
    pub const SURE: u16 = 1 << 12;

    /// There may be something to take.
    pub const PENDING: u16 = HELD | ACKED | CUT | FIN | RESET | FLUSH | RESTART;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// Nothing was seen.
    #[default]
    New,
    /// Data is held, but where the stream begins is a guess: `next` is the lowest number seen.
    Guess,
    /// `next` is the number of the next byte.
    Open,
    /// FIN was delivered.
    Finished,
    /// RST was delivered.
    Reset,
}

/// One direction of a TCP connection. 40 bytes, and nothing on the heap unless segments wait for others.
#[derive(Default)]
pub struct Half {
    held: Option<Box<Held>>,
    /// When the hole at `next` was noticed.
    since: Time,
    next: u32,
    /// Number of the stream's first byte.
    start: u32,
    ack: u32,
    fin: u32,
    /// What the marks say; the bytes of [`mark::CUT`] are taken at once, before there is another.
    other: u32,
    marks: u16,
    state: State,
    /// Segments since the hole was noticed; in [`State::Guess`], those that were seen.
    after: u8,
}

impl Half {
    /// Takes a segment in. Returns what is deliverable first; [`Half::take`] has the rest and must be called until it
    /// returns `None`, before anything else.
    #[inline]
    pub fn offer<'a>(&mut self, cx: &mut HalfCx<'_>, segment: &Segment<'a>) -> Option<Got<'a>> {
        let plain = segment.flags & (flag::SYN | flag::FIN | flag::RST) == 0
            && segment.window != 0
            && segment.data.len() == segment.wire_len as usize;
        if plain && segment.seq == self.next && self.marks & !mark::SURE == 0 && self.state == State::Open {
            if segment.data.is_empty() {
                return None;
            }
            self.next = self.next.wrapping_add(segment.wire_len);
            return Some(Got::Data {
                bytes: Cow::Borrowed(segment.data),
                at: cx.now,
                seq: segment.seq,
                ack: segment.ack,
            });
        }
        self.consider(cx, segment)
    }

    /// The other side has everything before `ack`: what is missing below was not captured. To be followed by
    /// [`Half::take`]. Not for a RST's acknowledgement, which anybody may have made up.
    #[inline]
    pub fn acked(&mut self, cx: &mut HalfCx<'_>, ack: u32) {
        if self.state == State::Open && ahead(ack, self.next) <= 0 && self.marks & mark::ODD_SYN == 0 {
            if ack == self.start {
                self.marks |= mark::SURE;
            }
            return;
        }
        self.consider_ack(cx, ack);
    }

    /// What is deliverable now: after [`Half::offer`], [`Half::acked`], [`Half::flush`], or as time passes.
    #[inline]
    pub fn take(&mut self, cx: &mut HalfCx<'_>) -> Option<Got<'static>> {
        if self.marks & mark::PENDING == 0 { None } else { self.take_held(cx) }
    }

    /// The flow ends or memory is short: holes are gaps, and [`Half::take`] hands out all that is held.
    pub fn flush(&mut self) {
        self.marks = self.marks & !mark::RESTART | mark::FLUSH;
    }

    /// Heap bytes. At most [`Limits::bytes`] whenever [`Half::take`] has returned `None`.
    pub fn held(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.memory())
    }

    /// When the hole that waits now becomes a gap, unless it is filled: [`Half::take`] should be called then.
    pub fn deadline(&self, limits: &Limits) -> Option<Time> {
        if self.marks & mark::WAIT == 0 {
            return None;
        }
        let soon = self.state == State::Guess || self.hole().is_some_and(|end| self.is_acked(end));
        Some(self.since.after(if soon { limits.reorder } else { limits.patience }))
    }

    /// Whether bytes before `ack`, of which [`Half::acked`] was told, were not captured, or not yet: what the other side
    /// says from there on may be an answer to them.
    #[inline]
    pub fn misses(&self, ack: u32) -> bool {
        self.marks & mark::ACKED != 0 && ahead(ack, self.next) > 0
    }

    /// FIN or RST was delivered.
    pub fn is_finished(&self) -> bool {
        matches!(self.state, State::Finished | State::Reset)
    }

    /// Whether a SYN with this number, after `idle` of silence of the flow, begins another connection on the same
    /// ports: not if it is the known one again, nor if this one is alive. [`Half::offer`] asks this by itself but knows
    /// nothing of the silence: callers who know it ask before they offer a SYN.
    pub fn begins_anew(&self, seq: u32, idle: Duration) -> bool {
        let first = seq.wrapping_add(1);
        match self.state {
            State::New => false,
            State::Guess => !(0..GUESS_NEAR.cast_signed()).contains(&ahead(self.next, first)),
            State::Open => first != self.start && self.next != self.start && idle >= REUSE_IDLE,
            State::Finished | State::Reset => first != self.start,
        }
    }

    #[inline(never)]
    fn consider<'a>(&mut self, cx: &mut HalfCx<'_>, segment: &Segment<'a>) -> Option<Got<'a>> {
        let wire = segment.wire_len.min(MAX_AHEAD);
        let data = segment.data.get(..wire as usize).unwrap_or(segment.data);
        let mut part = Part { seq: segment.seq, data, wire, ack: segment.ack };
        // Of a caller who did not take it: a hole like others.
        self.marks &= !mark::CUT;
        cx.stats.snap_cut += u64::from(data.len() < wire as usize);
        cx.stats.zero_window += u64::from(segment.window == 0 && segment.flags & (flag::SYN | flag::RST) == 0);
        if self.marks & mark::WAIT != 0 {
            self.after = self.after.saturating_add(1);
            // A clock that was set back must not make holes wait forever.
            self.since = self.since.min(cx.now);
        }
        if segment.flags & flag::RST != 0 {
            return self.reset(cx, segment.seq);
        }
        if segment.flags & flag::SYN != 0 {
            if self.begins_anew(segment.seq, Duration::ZERO) {
                return Some(Got::Restart);
            }
            part.seq = segment.seq.wrapping_add(1);
            if !self.begin(cx, part.seq) {
                return self.take(cx);
            }
        }
        let fin = segment.flags & flag::FIN != 0;
        match self.state {
            State::New if wire == 0 => self.open_at(part.seq, mark::LEAD),
            State::New => {
                (self.state, self.next, self.since, self.after) = (State::Guess, part.seq, cx.now, 1);
                self.marks |= mark::WAIT;
                return self.guess(cx, part, fin);
            }
            State::Guess => return self.guess(cx, part, fin),
            State::Open => {}
            State::Finished | State::Reset => {
                let old = ahead(part.seq.wrapping_add(wire), self.next) <= 0;
                cx.stats.retransmitted += u64::from(old && (wire > 0 || fin));
                cx.stats.after_end += u64::from(!old && wire > 0);
                return None;
            }
        }
        self.place(cx, part, fin)
    }

    fn open_at(&mut self, seq: u32, marks: u16) {
        (self.state, self.next, self.start) = (State::Open, seq, seq);
        self.marks = self.marks & !(mark::LEAD | mark::SURE) | marks;
    }

    /// A SYN came, the stream beginning at `first`. Whether the segment's data belongs to this stream.
    fn begin(&mut self, cx: &mut HalfCx<'_>, first: u32) -> bool {
        let known = match self.state {
            // What is held is near, or the SYN began anew.
            State::New | State::Guess => true,
            // In front of all that was seen, or tried again with another number before anything followed.
            State::Open if self.next == self.start => {
                self.held.is_none() && self.marks & mark::SURE == 0
                    || self.marks & mark::LEAD != 0 && ahead(self.next, first) >= 0
            }
            _ => false,
        };
        if first == self.start && !matches!(self.state, State::New | State::Guess) {
            cx.stats.retransmitted += u64::from(self.marks & mark::LEAD == 0);
            self.marks &= !mark::LEAD;
        } else if known {
            self.open_at(first, 0);
            self.settle(cx.now);
        } else {
            cx.stats.odd_syns += 1;
            self.other = first;
            self.marks = self.marks & !mark::FAR | mark::ODD_SYN;
            return false;
        }
        true
    }

    fn reset(&mut self, cx: &mut HalfCx<'_>, seq: u32) -> Option<Got<'static>> {
        let known = matches!(self.state, State::Open | State::Finished);
        if self.state == State::Reset || known && ahead(seq, self.next).unsigned_abs() > NEAR {
            cx.stats.outside += u64::from(known);
            return self.take(cx);
        }
        self.marks |= mark::RESET;
        self.take(cx)
    }

    /// A segment of a stream whose beginning is not known yet.
    fn guess<'a>(&mut self, cx: &mut HalfCx<'_>, part: Part<'a>, fin: bool) -> Option<Got<'a>> {
        if part.wire == 0 && !fin {
            return self.take(cx);
        }
        if ahead(part.seq, self.next).unsigned_abs() > GUESS_NEAR {
            self.decide(cx.now);
            return self.place(cx, part, fin);
        }
        if fin && self.marks & mark::FIN == 0 {
            self.fin = part.seq.wrapping_add(part.wire);
            self.marks |= mark::FIN;
        }
        if part.wire > 0 {
            if before(part.seq, self.next) {
                self.next = part.seq;
            }
            let done = self.hold(cx.now, part);
            cx.stats.retransmitted += u64::from(!done.new);
        }
        self.take(cx)
    }

    /// The lowest that is held begins the stream.
    fn decide(&mut self, now: Time) {
        let first = self.held.as_ref().and_then(|held| held.front()).map_or(self.next, |piece| piece.seq);
        self.open_at(first, 0);
        self.settle(now);
    }

    /// A segment of an open stream.
    fn place<'a>(&mut self, cx: &mut HalfCx<'_>, mut part: Part<'a>, fin: bool) -> Option<Got<'a>> {
        let distance = ahead(part.seq, self.next);
        if distance > MAX_AHEAD.cast_signed() || distance < -NEAR.cast_signed() {
            return self.far(cx, part);
        }
        if self.marks & mark::ODD_SYN != 0 && part.wire > 0 && part.seq == self.other && distance != 0 {
            return Some(Got::Restart);
        }
        self.note_fin(cx, &mut part, fin);
        if distance < 0 {
            let old = distance.unsigned_abs();
            if part.wire <= old {
                let probe = distance == -1 && !fin;
                cx.stats.keep_alives += u64::from(probe);
                cx.stats.retransmitted += u64::from(!probe && (part.wire > 0 || fin));
                return self.take(cx);
            }
            cx.stats.overlaps += 1;
            part.split(old);
        }
        if part.wire == 0 {
            return self.take(cx);
        }
        if distance > 0 {
            self.hold_early(cx, part);
            self.wait(cx.now);
            return self.take(cx);
        }
        self.in_order(cx, part)
    }

    /// Bytes at `next`: up to the first that are held they go out as they are.
    fn in_order<'a>(&mut self, cx: &mut HalfCx<'_>, mut part: Part<'a>) -> Option<Got<'a>> {
        let front = self.held.as_ref().and_then(|held| held.front());
        let room = front.map_or(u32::MAX, |piece| piece.seq.wrapping_sub(self.next));
        let own = part.split(room);
        self.marks &= !(mark::LEAD | mark::ODD_SYN | mark::FAR);
        self.next = self.next.wrapping_add(own.data.len() as u32);
        self.note_cut(own.wire - own.data.len() as u32);
        if part.wire > 0 {
            self.hold(cx.now, part);
            cx.stats.overlaps += 1;
        }
        self.settle(cx.now);
        if own.data.is_empty() {
            return self.take(cx);
        }
        Some(Got::Data { bytes: Cow::Borrowed(own.data), at: cx.now, seq: own.seq, ack: own.ack })
    }

    /// Remembers where the stream ends, and cuts off what lies behind.
    fn note_fin(&mut self, cx: &mut HalfCx<'_>, part: &mut Part<'_>, fin: bool) {
        let end = part.seq.wrapping_add(part.wire);
        if fin && self.marks & mark::FIN == 0 && !before(end, self.next) {
            self.fin = end;
            self.marks |= mark::FIN;
            if end != self.next {
                self.wait(cx.now);
            }
        }
        if self.marks & mark::FIN != 0 && before(self.fin, end) {
            cx.stats.after_end += 1;
            *part = part.split(u32::try_from(ahead(self.fin, part.seq)).unwrap_or(0));
        }
    }

    /// A segment from beyond any window.
    fn far(&mut self, cx: &mut HalfCx<'_>, part: Part<'_>) -> Option<Got<'static>> {
        if part.wire == 0 {
            return self.take(cx);
        }
        cx.stats.outside += 1;
        let follows = self.marks & mark::FAR != 0 && part.seq == self.other;
        let run = if follows { ((self.marks & mark::FAR) >> mark::FAR_SHIFT) + 1 } else { 1 }.min(FAR_RUN);
        self.other = part.seq.wrapping_add(part.wire);
        self.marks = self.marks & !(mark::ODD_SYN | mark::FAR) | run << mark::FAR_SHIFT;
        if run < FAR_RUN {
            return self.take(cx);
        }
        // What is held comes first; the next segment of the run will find nothing.
        if self.marks & (mark::HELD | mark::FIN) != 0 {
            self.flush();
            return self.take(cx);
        }
        cx.stats.resyncs += 1;
        self.marks = 0;
        self.open_at(part.seq, 0);
        self.hold(cx.now, part);
        Some(Got::Resync)
    }

    fn hold(&mut self, now: Time, part: Part<'_>) -> Inserted {
        self.marks |= mark::HELD;
        self.held.get_or_insert_default().insert(part, now)
    }

    fn hold_early(&mut self, cx: &mut HalfCx<'_>, part: Part<'_>) {
        let done = self.hold(cx.now, part);
        cx.stats.out_of_order += u64::from(done.new);
        cx.stats.overlaps += u64::from(done.known && done.new);
        cx.stats.retransmitted += u64::from(!done.new);
    }

    #[inline(never)]
    fn consider_ack(&mut self, cx: &mut HalfCx<'_>, ack: u32) {
        let distance = ahead(ack, self.next);
        match self.state {
            State::New => self.open_at(ack, mark::LEAD),
            State::Open if self.marks & mark::ODD_SYN != 0 && ack == self.other => self.marks |= mark::RESTART,
            State::Open | State::Guess if distance > 0 => {
                // With nothing held only the acknowledgement says that there is a hole.
                let most = if self.held.is_some() { MAX_AHEAD } else { NEAR };
                if distance.cast_unsigned() > most {
                    cx.stats.outside += 1;
                } else if self.marks & mark::LEAD != 0 && self.marks & (mark::HELD | mark::CUT | mark::FIN) == 0 {
                    self.open_at(ack, mark::LEAD);
                } else {
                    if self.marks & mark::ACKED == 0 || before(self.ack, ack) {
                        self.ack = ack;
                    }
                    self.marks |= mark::ACKED;
                    self.wait(cx.now);
                }
            }
            _ => {}
        }
    }
}
