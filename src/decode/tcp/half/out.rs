//! What comes out of a half: bytes in order, holes that are gaps by now, the end.

use super::{GUESS_SEGMENTS, Half, State, mark};
use crate::decode::tcp::held::{ahead, before};
use crate::decode::tcp::{Got, HalfCx, Limits, REORDER_SEGMENTS};
use crate::time::Time;
use std::borrow::Cow;

impl Half {
    pub(super) fn wait(&mut self, now: Time) {
        if self.marks & mark::WAIT == 0 {
            self.marks |= mark::WAIT;
            (self.since, self.after) = (now, 0);
        }
    }

    /// `next` moved: what waits behind it, waits since `now`, or since it came.
    pub(super) fn settle(&mut self, now: Time) {
        if self.marks & mark::FIN != 0 && before(self.fin, self.next) {
            self.marks &= !mark::FIN;
        }
        if self.marks & mark::ACKED != 0 && ahead(self.ack, self.next) <= 0 {
            self.marks &= !mark::ACKED;
        }
        self.marks &= !mark::WAIT;
        if self.hole().is_some() {
            self.wait(now);
        }
    }

    /// When the first of what is held came, but not after `now`.
    fn front_at(&self, now: Time) -> Time {
        self.held.as_ref().and_then(|held| held.front()).map_or(now, |piece| piece.at.min(now))
    }

    /// Where the hole at `next` ends.
    pub(super) fn hole(&self) -> Option<u32> {
        let end = match self.held.as_ref().and_then(|held| held.front()) {
            Some(piece) => piece.seq,
            None if self.marks & mark::FIN != 0 => self.fin,
            None if self.marks & mark::ACKED != 0 => self.ack,
            None => return None,
        };
        before(self.next, end).then_some(end)
    }

    pub(super) fn is_acked(&self, end: u32) -> bool {
        self.marks & mark::ACKED != 0 && !before(self.ack, end)
    }

    fn is_due(&self, cx: &HalfCx<'_>, end: u32) -> bool {
        let sure =
            self.is_acked(end) && (self.after >= REORDER_SEGMENTS || cx.now >= self.since.after(cx.limits.reorder));
        sure || cx.now >= self.since.after(cx.limits.patience)
    }

    fn is_over(&self, limits: &Limits) -> bool {
        self.held.as_ref().is_some_and(|held| held.memory() > limits.bytes || held.len() > limits.segments)
    }

    #[inline(never)]
    pub(super) fn take_held(&mut self, cx: &mut HalfCx<'_>) -> Option<Got<'static>> {
        if self.marks & mark::RESTART != 0 {
            self.marks &= !mark::RESTART;
            return Some(Got::Restart);
        }
        let all = self.marks & (mark::FLUSH | mark::RESET) != 0;
        let over = self.is_over(cx.limits);
        if self.state == State::Guess {
            let acked = self.marks & mark::ACKED != 0;
            let late = cx.now >= self.since.after(cx.limits.reorder);
            if !(all || over || acked || late || self.after >= GUESS_SEGMENTS) {
                return None;
            }
            self.decide(cx.now);
        }
        while self.state == State::Open {
            if self.marks & mark::CUT != 0 {
                self.marks &= !mark::CUT;
                return self.gap(cx, self.next.wrapping_add(self.other));
            }
            if let Some(got) = self.front(cx) {
                return Some(got);
            }
            if self.marks & mark::CUT != 0 {
                continue;
            }
            if self.marks & mark::FIN != 0 && self.fin == self.next {
                self.end(cx, State::Finished);
                self.next = self.next.wrapping_add(1);
                return Some(Got::Fin);
            }
            let Some(end) = self.hole() else { break };
            if !(all || over || self.is_due(cx, end)) {
                return None;
            }
            cx.stats.over_limit += u64::from(over && !all);
            if self.marks & mark::LEAD == 0 {
                return self.gap(cx, end);
            }
            self.open_at(end, 0);
            self.settle(cx.now);
        }
        if self.marks & mark::RESET != 0 {
            self.end(cx, State::Reset);
            return Some(Got::Reset);
        }
        self.marks &= !mark::FLUSH;
        None
    }

    /// So many bytes at `next` were not captured. Whatever else was to be remembered is forgotten: the stream goes on.
    pub(super) fn note_cut(&mut self, bytes: u32) {
        if bytes > 0 {
            self.other = bytes;
            self.marks = self.marks & !(mark::ODD_SYN | mark::FAR) | mark::CUT;
        }
    }

    /// What is held and stands at `next`.
    fn front(&mut self, cx: &HalfCx<'_>) -> Option<Got<'static>> {
        while let Some(held) = &mut self.held {
            let piece = match held.front() {
                Some(front) if before(self.next, front.seq) => return None,
                _ => held.pop(),
            };
            if held.front().is_none() {
                self.held = None;
                self.marks &= !mark::HELD;
            }
            let Some(piece) = piece else { continue };
            // Nothing that is held lies before `next`; should it, it is known.
            let known = ahead(self.next, piece.seq).unsigned_abs();
            let Some(wire) = piece.wire.checked_sub(known).filter(|wire| *wire > 0) else { continue };
            let mut data = Vec::from(piece.data);
            data.drain(..data.len().min(known as usize));
            self.next = self.next.wrapping_add(data.len() as u32);
            self.marks &= !mark::LEAD;
            self.note_cut(wire.saturating_sub(data.len() as u32));
            self.settle(self.front_at(cx.now));
            if data.is_empty() {
                return None;
            }
            return Some(Got::Data {
                bytes: Cow::Owned(data),
                at: piece.at,
                seq: piece.seq.wrapping_add(known),
                ack: piece.ack,
            });
        }
        None
    }

    fn gap(&mut self, cx: &mut HalfCx<'_>, end: u32) -> Option<Got<'static>> {
        let lost = u64::from(end.wrapping_sub(self.next));
        self.next = end;
        self.settle(self.front_at(cx.now));
        cx.stats.gaps += 1;
        cx.stats.gap_bytes += lost;
        Some(Got::Gap(lost))
    }

    /// The stream is over; what is held behind its end contradicts it.
    fn end(&mut self, cx: &mut HalfCx<'_>, state: State) {
        cx.stats.after_end += self.held.take().map_or(0, |held| held.len() as u64);
        self.marks &= mark::RESET;
        self.state = state;
        if state == State::Reset {
            self.marks = 0;
        }
    }
}
