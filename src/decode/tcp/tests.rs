//! Each rule of reassembly, by itself.

use super::*;
use std::fmt::Write as _;

/// A half with its surroundings, and a diary of what came out: bytes as text, the rest in brackets.
#[derive(Default)]
struct Lab {
    half: Half,
    limits: Limits,
    stats: TcpStats,
    millis: i64,
    said: String,
}

const START: u32 = u32::MAX - 4;

impl Lab {
    fn new() -> Self {
        Self::default()
    }

    /// The SYN was seen; the stream begins at [`START`], so that numbers wrap after five bytes.
    fn open() -> Self {
        let mut lab = Self::new();
        lab.send(flag::SYN, START.wrapping_sub(1), b"");
        lab
    }

    fn cx<T>(&mut self, f: impl FnOnce(&mut Half, &mut HalfCx<'_>) -> T) -> T {
        let now = Time(self.millis * 1_000_000);
        f(&mut self.half, &mut HalfCx { now, limits: &self.limits, stats: &mut self.stats })
    }

    fn note(&mut self, got: &Got<'_>) {
        match got {
            Got::Data { bytes, .. } => self.said.push_str(std::str::from_utf8(bytes).unwrap()),
            Got::Gap(n) => write!(self.said, "[{n}]").unwrap(),
            other => write!(self.said, "[{other:?}]").unwrap(),
        }
    }

    fn drain(&mut self) -> &mut Self {
        while let Some(got) = self.cx(|half, cx| half.take(cx)) {
            self.note(&got);
        }
        self
    }

    fn cut(&mut self, flags: u8, seq: u32, data: &[u8], wire_len: u32) -> &mut Self {
        let segment = Segment { seq, ack: 0, flags, window: 100, data, wire_len };
        if let Some(got) = self.cx(|half, cx| half.offer(cx, &segment)) {
            self.note(&got);
        }
        self.drain()
    }

    fn send(&mut self, flags: u8, seq: u32, data: &[u8]) -> &mut Self {
        self.cut(flags, seq, data, data.len() as u32)
    }

    /// Data at a place of the stream that began at [`START`].
    fn data(&mut self, at: u32, data: &str) -> &mut Self {
        self.send(flag::ACK, START.wrapping_add(at), data.as_bytes())
    }

    fn fin(&mut self, at: u32) -> &mut Self {
        self.send(flag::FIN, START.wrapping_add(at), b"")
    }

    fn ack(&mut self, at: u32) -> &mut Self {
        self.cx(|half, cx| half.acked(cx, START.wrapping_add(at)));
        self.drain()
    }

    fn wait(&mut self, millis: i64) -> &mut Self {
        self.millis += millis;
        self.drain()
    }

    fn flush(&mut self) -> &mut Self {
        self.half.flush();
        self.drain()
    }

    #[track_caller]
    fn says(&mut self, want: &str) -> &mut Self {
        assert_eq!(std::mem::take(&mut self.said), want);
        self
    }
}

#[test]
fn a_half_is_small() {
    assert!(size_of::<Half>() <= 40, "{}", size_of::<Half>());
    let mut lab = Lab::open();
    lab.data(0, "hello world").data(20, "x");
    assert!(lab.half.held() > 0);
    lab.data(11, ", this is").says("hello world, this isx");
    assert_eq!((lab.half.held(), lab.stats.out_of_order), (0, 1));
}

#[test]
fn in_order_hands_out_the_segment_itself() {
    let mut lab = Lab::open();
    let data = b"abc";
    let segment = Segment { seq: START, ack: 0, flags: flag::ACK, window: 1, data, wire_len: 3 };
    lab.millis = 7;
    let got = lab.cx(|half, cx| half.offer(cx, &segment));
    let Some(Got::Data { bytes: Cow::Borrowed(bytes), at: Time(7_000_000), .. }) = got else { panic!("{got:?}") };
    assert_eq!(bytes.as_ptr(), data.as_ptr());
}

#[test]
fn held_bytes_keep_their_time() {
    let mut lab = Lab::open();
    lab.millis = 5;
    lab.data(2, "c");
    lab.millis = 9;
    let segment = Segment { seq: START, ack: 0, flags: flag::ACK, window: 1, data: b"ab", wire_len: 2 };
    let first = lab.cx(|half, cx| half.offer(cx, &segment));
    assert!(matches!(first, Some(Got::Data { at: Time(9_000_000), .. })), "{first:?}");
    let second = lab.cx(|half, cx| half.take(cx));
    assert!(matches!(second, Some(Got::Data { at: Time(5_000_000), .. })), "{second:?}");
}

#[test]
fn retransmissions() {
    let mut lab = Lab::open();
    lab.data(0, "abcdef").says("abcdef");
    lab.data(0, "abcdef").data(0, "abc").data(3, "def").says("");
    assert_eq!(lab.stats, TcpStats { retransmitted: 3, ..TcpStats::default() });
    lab.data(3, "defghi").says("ghi");
    assert_eq!(lab.stats.overlaps, 1);
    // The SYN again, and once more with its data (RFC 7413).
    lab.send(flag::SYN, START.wrapping_sub(1), b"").send(flag::SYN, START.wrapping_sub(1), b"ab").says("");
    lab.data(9, "j").says("j");
}

#[test]
fn data_in_a_syn() {
    let mut lab = Lab::new();
    lab.send(flag::SYN, START.wrapping_sub(1), b"abc").data(3, "def").says("abcdef");
}

#[test]
fn the_first_copy_wins() {
    let mut lab = Lab::open();
    lab.data(2, "CD").data(6, "GH").data(1, "bcdefghi").says("");
    lab.data(0, "abc").says("abCDefGHi");
    assert_eq!(lab.stats.out_of_order, 3);
    assert_eq!(lab.stats.overlaps, 2);
    // The same where the packet at hand fills the hole and runs over what is held.
    lab.data(11, "LM").data(9, "jklmno").says("jkLMno");
}

#[test]
fn keep_alives_and_window_probes() {
    let mut lab = Lab::open();
    lab.data(0, "ab").data(1, "").data(1, "\0").says("ab");
    assert_eq!(lab.stats.keep_alives, 2);
    // A probe of a closed window is the next byte, sent again and again.
    lab.data(2, "c").data(2, "c").data(2, "cd").says("cd");
    let zero = Segment { seq: START.wrapping_add(4), ack: 0, flags: flag::ACK, window: 0, data: b"e", wire_len: 1 };
    let got = lab.cx(|half, cx| half.offer(cx, &zero));
    assert!(matches!(got, Some(Got::Data { .. })));
    assert_eq!(lab.stats.zero_window, 1);
}

#[test]
fn fin_comes_in_its_place() {
    let mut lab = Lab::open();
    lab.fin(6).data(3, "def").says("").data(0, "abc").says("abcdef[Fin]");
    assert!(lab.half.is_finished());
    lab.data(0, "abc").fin(6).data(9, "late").says("");
    assert_eq!((lab.stats.retransmitted, lab.stats.after_end), (2, 1));

    let mut lab = Lab::open();
    lab.send(flag::FIN, START, b"abc").says("abc[Fin]");
    // What runs past the end of the stream is cut.
    let mut lab = Lab::open();
    lab.fin(3).data(0, "abcdef").says("abc[Fin]");
    assert_eq!(lab.stats.after_end, 1);
}

#[test]
fn a_fin_behind_a_hole_waits_for_it() {
    let mut lab = Lab::open();
    lab.data(0, "abc").fin(5).ack(6).wait(99).says("abc");
    assert_eq!(lab.half.deadline(&lab.limits), Some(Time(100_000_000)));
    lab.wait(1).says("[2][Fin]");
}

#[test]
fn reordering_makes_no_gap() {
    let mut lab = Lab::open();
    lab.data(0, "a");
    for at in 2..200 {
        lab.data(at, "b").wait(5);
    }
    lab.says("a").ack(1).says("").data(1, "B");
    assert_eq!(lab.said.len(), 199);
    assert_eq!(lab.stats.gaps, 0);
}

#[test]
fn an_acknowledged_hole_becomes_a_gap_when_reordering_is_over() {
    // By time,
    let mut lab = Lab::open();
    lab.data(0, "ab").data(5, "f").ack(6).wait(99).says("ab").wait(1).says("[3]f");
    // by segments,
    let mut lab = Lab::open();
    lab.data(0, "ab").data(5, "f").ack(6);
    for _ in 0..15 {
        lab.data(5, "f");
    }
    lab.says("ab").data(5, "f").says("[3]f");
    assert_eq!((lab.stats.gaps, lab.stats.gap_bytes), (1, 3));
    // an acknowledgement of a part is none of the hole,
    let mut lab = Lab::open();
    lab.data(0, "ab").data(5, "f").ack(4).wait(500).says("ab");
    // and one with nothing behind it tells of a hole, too.
    let mut lab = Lab::open();
    lab.data(0, "ab").ack(9).wait(99).says("ab").wait(1).says("[7]").data(9, "j").says("j");
}

#[test]
fn an_acknowledgement_captured_early_makes_no_gap() {
    let mut lab = Lab::open();
    for at in 0..100 {
        lab.ack(at + 1).wait(10).data(at, "x");
    }
    assert_eq!((lab.said.len(), lab.stats), (100, TcpStats::default()));
}

#[test]
fn patience_ends() {
    let mut lab = Lab::open();
    lab.data(3, "d").wait(1000).data(0, "a");
    // What shrinks does not age.
    assert_eq!(lab.half.deadline(&lab.limits), Some(Time(3_000_000_000)));
    lab.wait(1999).says("a").wait(1).says("[2]d").data(4, "e").says("e");
    assert_eq!(lab.half.deadline(&lab.limits), None);
}

#[test]
fn too_much_ends_patience() {
    let mut lab = Lab::open();
    lab.limits.segments = 4;
    lab.data(1, "b").data(3, "d").data(5, "f").data(7, "h").says("").data(9, "j").says("[1]b");
    lab.data(2, "c").says("cd");
    assert_eq!(lab.stats.over_limit, 1);

    let mut lab = Lab::open();
    lab.limits.bytes = 4096;
    for at in 0..10 {
        lab.data(1 + at * 1000, &"x".repeat(1000));
        assert!(lab.half.held() <= 4096);
    }
    assert!(lab.said.starts_with("[1]x"));
    assert_eq!(lab.said.len(), 3 + 10_000);
}

#[test]
fn what_was_cut_is_a_gap() {
    let mut lab = Lab::open();
    lab.cut(flag::ACK, START, b"abc", 10).says("abc[7]").data(10, "k").says("k");
    lab.cut(flag::ACK, START.wrapping_add(11), b"", 5).says("[5]");
    // Held ones, too; a full copy that comes in time is better.
    lab.cut(flag::ACK, START.wrapping_add(17), b"r", 4).data(19, "tu").cut(flag::ACK, START.wrapping_add(21), b"", 4);
    lab.says("").data(16, "q").says("qr[1]tu[4]");
    assert_eq!((lab.stats.snap_cut, lab.stats.gaps, lab.stats.gap_bytes), (4, 4, 17));
    assert_eq!(lab.half.held(), 0);
}

#[test]
fn reset() {
    let mut lab = Lab::open();
    lab.data(0, "a").data(3, "d").send(flag::RST, START.wrapping_add(4), b"").says("a[2]d[Reset]");
    lab.data(4, "e").says("");
    assert!(lab.half.is_finished());
    // From far off it is not believed.
    let mut lab = Lab::open();
    lab.data(0, "a").send(flag::RST, START.wrapping_add(NEAR + 2), b"").data(1, "b").says("ab");
    assert_eq!(lab.stats.outside, 1);
    // A connection that is refused: nothing else is known of this side.
    Lab::new().send(flag::RST, 0, b"").says("[Reset]");
    let mut lab = Lab::open();
    lab.fin(0).send(flag::RST, START.wrapping_add(1), b"").says("[Fin][Reset]");
}

#[test]
fn flush_gives_all() {
    let mut lab = Lab::open();
    lab.data(2, "c").data(5, "f").flush().says("[2]c[2]f");
    lab.data(6, "g").data(8, "i").says("g");
    assert_eq!(Lab::new().flush().said, "");
}

#[test]
fn mid_stream() {
    // The other side's acknowledgement tells the beginning; what is older is known.
    let mut lab = Lab::new();
    lab.ack(0).data(0, "abc").says("abc");
    let mut lab = Lab::new();
    lab.ack(3).send(flag::ACK, START.wrapping_add(2), b"\0").data(0, "abcd").says("d");
    // So does a segment without data; what was missed before the first byte is no gap.
    let mut lab = Lab::new();
    lab.data(0, "").ack(5).data(7, "hi").ack(9).wait(100).says("hi").data(10, "k").data(9, "j").says("jk");
    assert_eq!(lab.stats.gaps, 0);
    // A SYN that was late, too.
    let mut lab = Lab::new();
    lab.data(0, "abc").send(flag::SYN, START.wrapping_sub(1), b"").says("abc");
}

#[test]
fn mid_stream_without_a_hint_waits_for_what_was_overtaken() {
    let mut lab = Lab::new();
    lab.data(3, "def").data(0, "abc").says("").data(6, "g").says("abcdefg").data(7, "h").says("h");
    // by acknowledgement,
    Lab::new().data(0, "abc").says("").ack(3).says("abc");
    // by time,
    let mut lab = Lab::new();
    lab.data(0, "abc").wait(99).says("");
    assert_eq!(lab.half.deadline(&lab.limits), Some(Time(100_000_000)));
    lab.wait(1).says("abc").data(3, "d").says("d");
    // by the end.
    Lab::new().data(0, "abc").flush().says("abc");
    Lab::new().data(0, "abc").send(flag::FIN, START.wrapping_add(3), b"").says("").ack(4).says("abc[Fin]");
    Lab::new().data(0, "abc").send(flag::RST, START.wrapping_add(3), b"").says("abc[Reset]");
    // A FIN from elsewhere does not end the stream before its beginning.
    let mut lab = Lab::new();
    lab.data(9, "jkl").fin(2).data(12, "m").data(13, "n").says("jklmn").data(14, "o").says("o");
}

#[test]
fn ports_are_used_again() {
    let idle = Duration::ZERO;
    let mut lab = Lab::open();
    lab.data(0, "abc");
    assert!(!lab.half.begins_anew(START.wrapping_sub(1), REUSE_IDLE), "the same SYN again");
    assert!(!lab.half.begins_anew(777, idle), "alive");
    assert!(lab.half.begins_anew(777, REUSE_IDLE));
    lab.fin(3);
    assert!(!lab.half.begins_anew(START.wrapping_sub(1), REUSE_IDLE));
    assert!(lab.half.begins_anew(777, idle));
    lab.said.clear();
    lab.send(flag::SYN, 777, b"").says("[Restart]");
}

#[test]
fn a_syn_within_a_connection_counts_when_it_is_answered_or_followed() {
    let odd = START.wrapping_add(1_000_000);
    let mut lab = Lab::open();
    lab.data(0, "abc").send(flag::SYN, odd, b"").data(3, "d").says("abcd");
    assert_eq!(lab.stats.odd_syns, 1);
    // Answered,
    lab.send(flag::SYN, odd, b"").ack(1_000_001).says("[Restart]");
    // followed.
    let mut lab = Lab::open();
    lab.data(0, "abc").send(flag::SYN, odd, b"").data(1_000_001, "new").says("abc[Restart]");
    lab.flush().says("");
    // Before anything came, the last SYN is right.
    let mut lab = Lab::open();
    lab.send(flag::SYN, 776, b"").send(flag::ACK, 777, b"abc").says("abc");
    // But for one that the other side has acknowledged: then a late one is not.
    let mut lab = Lab::open();
    lab.send(flag::SYN, 776, b"").ack(777u32.wrapping_sub(START)).send(flag::SYN, 99, b"");
    lab.send(flag::ACK, 777, b"abc").says("abc");
}

#[test]
fn jumps_are_followed_when_three_segments_agree() {
    let mut lab = Lab::open();
    let far = MAX_AHEAD + 100;
    lab.data(0, "a").data(far, "x").data(1, "b").data(far + 1, "y").data(far + 9, "z").says("ab");
    lab.data(far + 10, "A").data(far + 11, "B").says("[Resync]B").data(far + 12, "C").says("C");
    assert_eq!((lab.stats.outside, lab.stats.resyncs), (5, 1));
    // What waited comes first, then the next of the run is followed.
    let mut lab = Lab::open();
    lab.data(2, "c").data(far, "x").data(far + 1, "y").data(far + 2, "z").says("[2]c");
    lab.data(far + 3, "A").says("[Resync]A");
    // Far back is as far off.
    let mut lab = Lab::open();
    lab.data(0, "a");
    for n in 0..3 {
        lab.send(flag::ACK, START.wrapping_sub(NEAR + 9).wrapping_add(n), b"x");
    }
    lab.says("a[Resync]x");
}

#[test]
fn absurd_acknowledgements_are_ignored() {
    let mut lab = Lab::open();
    lab.data(0, "a").ack(NEAR + 2).wait(9999).data(1, "b").says("ab");
    assert_eq!(lab.stats.outside, 1);
}

#[test]
fn a_clock_set_back_keeps_nobody_waiting() {
    let mut lab = Lab::open();
    lab.millis = 3_600_000;
    lab.data(1, "b");
    lab.millis = 0;
    lab.data(2, "c").wait(2000).says("[1]bc");
}
