//! Reassembly of one direction, in nanoseconds a segment: `cargo bench --profile quick --bench tcp`.

use collector::decode::tcp::{Got, Half, HalfCx, Limits, Segment, TcpStats, flag};
use collector::time::Time;
use std::hint::black_box;
use std::time::Instant;

const SEGMENTS: u32 = 4096;
const BYTES: u32 = 1448;

fn main() {
    // Without `--bench` this runs as a test: does everything work?
    let rounds = if std::env::args().any(|word| word == "--bench") { 200 } else { 1 };
    let swapped = |n: u32| n ^ 1;
    println!("{:32} {:>8}", "case", "ns");
    measure("in order", rounds, |n| (n * BYTES, 1), 1);
    measure("in order, 1000 flows in turn", rounds, |n| (n / 1000 * BYTES, 1), 1000);
    measure("every two swapped", rounds, |n| (swapped(n) * BYTES, 1), 1);
    measure("every segment twice", rounds, |n| (n / 2 * BYTES, 1), 1);
    measure("acknowledgements without data", rounds, |_| (0, 0), 1);
}

/// The best of several rounds. `place` gives a segment's place in its stream, and whether it carries data.
fn measure(name: &str, rounds: usize, place: impl Fn(u32) -> (u32, u32), flows: usize) {
    let data = vec![b'x'; BYTES as usize];
    let limits = Limits::default();
    let mut best = f64::MAX;
    for _ in 0..rounds {
        let mut stats = TcpStats::default();
        let mut halves: Vec<Half> = (0..flows).map(|_| Half::default()).collect();
        let mut cx = HalfCx { now: Time(0), limits: &limits, stats: &mut stats };
        for half in &mut halves {
            half.acked(&mut cx, 0);
            offer(half, &mut cx, 0, &[]);
        }
        let mut bytes = 0;
        let begin = Instant::now();
        for n in 0..SEGMENTS {
            let (seq, full) = place(n);
            let half = &mut halves[n as usize % flows];
            half.acked(&mut cx, black_box(seq));
            bytes += offer(half, &mut cx, black_box(seq), &data[..(full * BYTES) as usize]);
        }
        best = best.min(begin.elapsed().as_nanos() as f64 / f64::from(SEGMENTS));
        black_box(bytes);
    }
    println!("{name:32} {best:8.1}");
}

fn offer(half: &mut Half, cx: &mut HalfCx<'_>, seq: u32, data: &[u8]) -> usize {
    let segment = Segment { seq, ack: 0, flags: flag::ACK, window: 500, data, wire_len: data.len() as u32 };
    let (mut got, mut bytes) = (half.offer(cx, &segment), 0);
    while let Some(what) = got {
        if let Got::Data { bytes: part, .. } = &what {
            bytes += black_box(part).len();
        }
        got = half.take(cx);
    }
    bytes
}
