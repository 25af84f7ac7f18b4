//! Random streams, cut and shuffled, against what is to come out of them.

use super::*;
use crate::util::rng::Rng;
use proptest::prelude::*;

/// What came out: bytes by their place in the stream, and how it ended.
struct Sink {
    at: usize,
    stream: Vec<Option<u8>>,
    gaps: u64,
    ends: u32,
}

impl Sink {
    fn new(len: usize) -> Self {
        Self { at: 0, stream: vec![None; len], gaps: 0, ends: 0 }
    }

    fn note(&mut self, got: &Got<'_>) {
        assert_eq!(self.ends, 0, "{got:?} after the end");
        match got {
            Got::Data { bytes, .. } => {
                assert!(!bytes.is_empty());
                for byte in bytes.iter() {
                    self.stream[self.at] = Some(*byte);
                    self.at += 1;
                }
            }
            Got::Gap(lost) => {
                assert!(*lost > 0);
                self.gaps += 1;
                self.at += *lost as usize;
            }
            Got::Fin => self.ends += 1,
            other => panic!("{other:?}"),
        }
    }
}

struct Lab {
    half: Half,
    limits: Limits,
    stats: TcpStats,
    now: Time,
}

impl Lab {
    fn new() -> Self {
        Self { half: Half::default(), limits: Limits::default(), stats: TcpStats::default(), now: Time(0) }
    }

    fn feed(&mut self, ack: Option<u32>, segment: Option<&Segment<'_>>, note: &mut impl FnMut(&Got<'_>)) {
        let mut cx = HalfCx { now: self.now, limits: &self.limits, stats: &mut self.stats };
        if let Some(ack) = ack {
            self.half.acked(&mut cx, ack);
        }
        while let Some(got) = self.half.take(&mut cx) {
            note(&got);
        }
        let mut got = segment.and_then(|segment| self.half.offer(&mut cx, segment));
        while let Some(what) = got {
            note(&what);
            got = self.half.take(&mut cx);
        }
        assert!(self.half.held() <= self.limits.bytes);
    }
}

/// A stretch of the stream as one packet.
#[derive(Clone, Debug)]
struct Cut {
    from: usize,
    to: usize,
    /// The packet's place in the capture before it is shuffled by some packets.
    order: u64,
}

/// The stream's bytes in segments, some twice, some longer, each at most `window` packets from its place.
fn cuts(rng: &mut Rng, len: usize, window: u64) -> Vec<Cut> {
    let (mut all, mut from, mut order) = (Vec::new(), 0, 0);
    while from < len {
        let to = len.min(from + rng.between(1, 40) as usize);
        all.push(Cut { from, to, order: order + rng.between(0, window) });
        match rng.between(0, 5) {
            0 => all.push(Cut { from, to, order: order + rng.between(0, window) }),
            1 => {
                let back = from.saturating_sub(rng.between(0, 60) as usize);
                all.push(Cut { from: back, to: len.min(to + rng.between(0, 60) as usize), order });
            }
            _ => {}
        }
        from = to;
        order += 1;
    }
    all.sort_by_key(|cut| cut.order);
    all
}

fn segment(stream: &[u8], start: u32, cut: &Cut, snap: usize) -> (u32, Vec<u8>, u32) {
    let data = &stream[cut.from..cut.to];
    (start.wrapping_add(cut.from as u32), data[..data.len().min(snap)].to_vec(), data.len() as u32)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_order_gives_the_stream(
        seed: u64, len in 1usize..3000, back in 0u32..4000, window in 0u64..12, syn: bool, fin_early: bool,
    ) {
        let mut rng = Rng::new(seed);
        let start = 0u32.wrapping_sub(back);
        let stream: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
        let (mut lab, mut sink) = (Lab::new(), Sink::new(len));
        let ask = |seq, flags, data| Segment { seq, ack: 0, flags, window: 9, data, wire_len: 0 };
        if syn {
            lab.feed(None, Some(&ask(start.wrapping_sub(1), flag::SYN, &[])), &mut |got| sink.note(got));
        } else {
            lab.feed(Some(start), None, &mut |got| sink.note(got));
        }
        let fin = ask(start.wrapping_add(len as u32), flag::FIN, &[]);
        let all = cuts(&mut rng, len, window);
        let early = if fin_early { all.len().saturating_sub(3) } else { all.len() };
        for (n, cut) in all.iter().enumerate() {
            if n == early {
                lab.feed(None, Some(&fin), &mut |got| sink.note(got));
            }
            let (seq, data, wire_len) = segment(&stream, start, cut, usize::MAX);
            lab.now.0 += 10_000_000;
            let part = Segment { seq, ack: 0, flags: flag::ACK, window: 9, data: &data, wire_len };
            lab.feed(None, Some(&part), &mut |got| sink.note(got));
        }
        if early == all.len() {
            lab.feed(None, Some(&fin), &mut |got| sink.note(got));
        }
        prop_assert_eq!(sink.stream, stream.into_iter().map(Some).collect::<Vec<_>>());
        prop_assert_eq!((sink.gaps, sink.ends, lab.stats.gaps, lab.half.held()), (0, 1, 0, 0));
    }

    #[test]
    fn what_is_lost_is_told_exactly(
        seed: u64, len in 1usize..3000, back in 0u32..4000, window in 0u64..6, lossy in 1u64..5, snap in 5usize..60,
    ) {
        let mut rng = Rng::new(seed);
        let start = 0u32.wrapping_sub(back);
        let stream: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
        let (mut lab, mut sink) = (Lab::new(), Sink::new(len));
        let syn = Segment { seq: start.wrapping_sub(1), ack: 0, flags: flag::SYN, window: 9, data: &[], wire_len: 0 };
        lab.feed(None, Some(&syn), &mut |got| sink.note(got));
        let mut captured = vec![false; len];
        let mut highest = 0;
        for cut in cuts(&mut rng, len, window) {
            // The other side received everything; the capture did not. It acknowledges with some delay.
            highest = highest.max(cut.from);
            lab.now.0 += rng.between(0, 3_000_000) as i64;
            let ack = start.wrapping_add(highest as u32);
            if rng.between(0, 9) < lossy {
                lab.feed(Some(ack), None, &mut |got| sink.note(got));
                continue;
            }
            let (seq, data, wire_len) = segment(&stream, start, &cut, snap);
            captured[cut.from..cut.from + data.len()].fill(true);
            let part = Segment { seq, ack: 0, flags: flag::ACK, window: 9, data: &data, wire_len };
            lab.feed(Some(ack), Some(&part), &mut |got| sink.note(got));
        }
        lab.now.0 += 200_000_000;
        lab.feed(Some(start.wrapping_add(len as u32)), None, &mut |got| sink.note(got));
        lab.now.0 += 200_000_000;
        lab.feed(None, None, &mut |got| sink.note(got));
        prop_assert_eq!(sink.at, len);
        let mut lost = 0;
        for (n, byte) in sink.stream.iter().enumerate() {
            match byte {
                Some(byte) => prop_assert_eq!(*byte, stream[n], "at {}", n),
                None => lost += 1,
            }
            // A byte that was captured may still be lost: a copy behind a gap that reordering could not explain any
            // more. One that was not captured never comes.
            prop_assert!(byte.is_none() || captured[n]);
        }
        prop_assert_eq!((lab.stats.gap_bytes, lab.stats.gaps, lab.half.held()), (lost, sink.gaps, 0));
    }

    #[test]
    fn lost_segments_in_order_are_the_only_gaps(seed: u64, len in 1usize..3000, back in 0u32..4000) {
        let mut rng = Rng::new(seed);
        let start = 0u32.wrapping_sub(back);
        let stream: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
        let (mut lab, mut sink) = (Lab::new(), Sink::new(len));
        let syn = Segment { seq: start.wrapping_sub(1), ack: 0, flags: flag::SYN, window: 9, data: &[], wire_len: 0 };
        lab.feed(None, Some(&syn), &mut |got| sink.note(got));
        let (mut from, mut want) = (0, Vec::new());
        while from < len {
            let to = len.min(from + rng.between(1, 40) as usize);
            let lose = rng.between(0, 3) == 0;
            want.extend(stream[from..to].iter().map(|byte| (!lose).then_some(*byte)));
            let cut = Cut { from, to, order: 0 };
            let (seq, data, wire_len) = segment(&stream, start, &cut, usize::MAX);
            let part = Segment { seq, ack: 0, flags: flag::ACK, window: 9, data: &data, wire_len };
            lab.now.0 += 1_000_000;
            lab.feed(None, (!lose).then_some(&part), &mut |got| sink.note(got));
            lab.feed(Some(start.wrapping_add(to as u32)), None, &mut |got| sink.note(got));
            from = to;
        }
        // What was held, then what was only acknowledged.
        for _ in 0..2 {
            lab.now.0 += 100_000_000;
            lab.feed(None, None, &mut |got| sink.note(got));
        }
        prop_assert_eq!(sink.at, len);
        prop_assert_eq!(sink.stream, want);
    }

    #[test]
    fn garbage_is_harmless(seed: u64, near in prop::bool::ANY, bytes in 0usize..20_000, segments in 0usize..40) {
        let mut rng = Rng::new(seed);
        let mut lab = Lab::new();
        lab.limits = Limits { bytes, segments, ..Limits::default() };
        let base = rng.next_u64() as u32;
        let payload = [7u8; 3000];
        for _ in 0..300 {
            let number = |rng: &mut Rng| {
                let wild = !near || rng.between(0, 20) == 0;
                if wild { rng.next_u64() as u32 } else { base.wrapping_add(rng.between(0, 20_000) as u32) }
            };
            let (seq, ack) = (number(&mut rng), number(&mut rng));
            let data = &payload[..rng.between(0, 3000) as usize];
            let wire_len = match rng.between(0, 9) {
                0 => rng.next_u64() as u32,
                _ => data.len() as u32,
            };
            let flags = match rng.between(0, 30) {
                0..10 => rng.next_u64() as u8 & (flag::SYN | flag::FIN),
                10 => rng.next_u64() as u8,
                _ => flag::ACK,
            };
            let part = Segment { seq, ack, flags, window: rng.next_u64() as u16 & 3, data, wire_len };
            lab.now.0 = lab.now.0.saturating_add(rng.between(0, 300_000_000) as i64);
            if rng.between(0, 50) == 0 {
                lab.now.0 = rng.next_u64().cast_signed();
            }
            // Drained when there is nothing more: a half that never ends fails the count.
            let mut count = 0;
            let mut note = |_: &Got<'_>| count += 1;
            let mut cx = HalfCx { now: lab.now, limits: &lab.limits, stats: &mut lab.stats };
            lab.half.acked(&mut cx, ack);
            let mut got = lab.half.take(&mut cx);
            while let Some(what) = got {
                note(&what);
                got = lab.half.take(&mut cx);
            }
            let mut got = lab.half.offer(&mut cx, &part);
            while let Some(what) = got {
                note(&what);
                got = lab.half.take(&mut cx);
            }
            prop_assert!(lab.half.held() <= bytes && count < 1000, "{} {count}", lab.half.held());
            if rng.between(0, 40) == 0 {
                lab.half.flush();
                while lab.half.take(&mut cx).is_some() {}
                prop_assert_eq!(lab.half.held(), 0);
            }
        }
    }
}
