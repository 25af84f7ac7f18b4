//! One deadline per flow, in a timer wheel: setting and moving one costs the same however many there are.

use super::NEVER;
use crate::time::Time;

/// Nanoseconds of a tick as a power of two: 134 ms. Deadlines are met to within a tick.
const TICK: u32 = 27;
/// Ticks of a turn (34 s). What is due later is looked at once a turn.
const TURN: usize = 256;

/// Deadlines of slots numbered from 0.
///
/// Each tick of a turn has a list, circular and doubly linked through a node that belongs to the tick; those nodes come
/// first, then one for each slot.
#[derive(Debug)]
pub struct Wheel {
    nodes: Vec<Node>,
    /// The tick up to which all is done.
    tick: i64,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    prev: u32,
    next: u32,
    due: Time,
}

impl Default for Wheel {
    fn default() -> Self {
        Self { nodes: (0..TURN as u32).map(Node::alone).collect(), tick: i64::MIN }
    }
}

impl Node {
    fn alone(at: u32) -> Self {
        Self { prev: at, next: at, due: NEVER }
    }
}

impl Wheel {
    /// The deadline of a slot; the end of time when it has none.
    #[cfg(test)]
    fn due(&self, slot: u32) -> Time {
        self.nodes.get(slot as usize + TURN).map_or(NEVER, |n| n.due)
    }

    /// Sets the deadline of a slot.
    pub fn arm(&mut self, slot: u32, due: Time) {
        let at = slot as usize + TURN;
        while self.nodes.len() <= at {
            self.nodes.push(Node::alone(self.nodes.len() as u32));
        }
        self.disarm(slot);
        let list = self.place(due);
        let last = self.nodes[list].prev;
        // The end of time is no deadline.
        self.nodes[at] = Node { prev: last, next: list as u32, due: Time(due.0.min(NEVER.0 - 1)) };
        self.nodes[last as usize].next = at as u32;
        self.nodes[list].prev = at as u32;
    }

    /// Takes the deadline of a slot away.
    pub fn disarm(&mut self, slot: u32) {
        let at = slot as usize + TURN;
        if let Some(&Node { prev, next, .. }) = self.nodes.get(at) {
            self.nodes[prev as usize].next = next;
            self.nodes[next as usize].prev = prev;
            self.nodes[at] = Node::alone(at as u32);
        }
    }

    /// Whether [`Wheel::advance`] would look at anything.
    #[inline]
    pub fn is_behind(&self, now: Time) -> bool {
        now.0 >> TICK > self.tick
    }

    /// Moves on to `now`. Slots whose time has come lose their deadline and go to `due`, those of earlier ticks first.
    pub fn advance(&mut self, now: Time, due: &mut Vec<u32>) {
        let to = now.0 >> TICK;
        let ticks = to.saturating_sub(self.tick).clamp(0, TURN as i64);
        self.tick = self.tick.max(to);
        let mut later = Vec::new();
        for tick in to - ticks + 1..=to {
            let list = tick.rem_euclid(TURN as i64) as usize;
            let mut at = self.nodes[list].next as usize;
            self.nodes[list] = Node::alone(list as u32);
            while at != list {
                let Node { next, due: at_time, .. } = self.nodes[at];
                self.nodes[at] = Node::alone(at as u32);
                let slot = (at - TURN) as u32;
                if at_time.0 >> TICK <= to {
                    due.push(slot)
                } else {
                    later.push((at_time, slot))
                }
                at = next as usize;
            }
        }
        later.into_iter().for_each(|(due, slot)| self.arm(slot, due));
    }

    /// Bytes of memory for each slot.
    pub const PER_SLOT: usize = size_of::<Node>();

    /// The list for a deadline: its tick's, the next one's for what is late, the last one's for what is far.
    fn place(&self, due: Time) -> usize {
        let (first, last) = (self.tick.saturating_add(1), self.tick.saturating_add(TURN as i64 - 1));
        let tick = if self.tick == i64::MIN { due.0 >> TICK } else { (due.0 >> TICK).clamp(first, last) };
        tick.rem_euclid(TURN as i64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: i64 = 1_700_000_000_000_000_000;
    const TICK_NANOS: i64 = 1 << TICK;

    proptest! {
        /// Every deadline is met once, not before its time and not a tick after it was passed.
        #[test]
        fn deadlines_are_met(
            first_armed in any::<bool>(),
            steps in prop::collection::vec((0u32..40, 0i64..100_000_000_000, 0i64..20_000_000_000, any::<bool>()), 1..200),
        ) {
            let mut wheel = Wheel::default();
            let mut now = START;
            let mut model = std::collections::BTreeMap::new();
            if !first_armed {
                wheel.advance(Time(now), &mut Vec::new());
            }
            for (slot, ahead, pass, disarm) in steps {
                if disarm {
                    wheel.disarm(slot);
                    model.remove(&slot);
                } else {
                    wheel.arm(slot, Time(now + ahead));
                    model.insert(slot, now + ahead);
                }
                now += pass;
                let mut due = Vec::new();
                if wheel.is_behind(Time(now)) {
                    wheel.advance(Time(now), &mut due);
                }
                for slot in due {
                    let at = model.remove(&slot);
                    prop_assert!(at.is_some_and(|at| at <= now + TICK_NANOS), "{slot} {at:?} {now}");
                }
                for (slot, at) in &model {
                    prop_assert!(at + 2 * TICK_NANOS > now, "{slot} was due at {at}, it is {now}");
                    prop_assert_eq!(wheel.due(*slot), Time(*at));
                }
            }
        }
    }

    #[test]
    fn earlier_ticks_come_first_and_the_ends_of_time_are_harmless() {
        let mut wheel = Wheel::default();
        wheel.advance(Time(START), &mut Vec::new());
        for (slot, at) in
            [(0, 3 * TICK_NANOS), (1, TICK_NANOS), (2, 2 * TICK_NANOS), (3, i64::MAX - START), (4, -START)]
        {
            wheel.arm(slot, Time(START + at));
        }
        let mut due = Vec::new();
        wheel.advance(Time(START + 4 * TICK_NANOS), &mut due);
        assert_eq!(due, [1, 4, 2, 0]);
        wheel.advance(Time(i64::MIN), &mut due);
        wheel.advance(Time(i64::MAX), &mut due);
        assert_eq!(due, [1, 4, 2, 0, 3]);
    }
}
