//! Reading a capture file that is in memory, in nanoseconds a packet: `cargo bench --profile quick --bench capture`.

use collector::fmt::capture::CaptureReader;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Bytes of a file.
const SIZE: usize = 32 << 20;

fn main() {
    for len in [66, 760, 1514] {
        measure(
            &format!("pcap, {len} bytes"),
            &file(&[&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0][..], &[0; 12], &[1, 0, 0, 0]], |file| {
                file.extend([0, 0, 0, 1, 0, 0, 0, 1]);
                file.extend([(len as u32).to_le_bytes(), (len as u32).to_le_bytes()].concat());
                file.resize(file.len() + len, 7);
            }),
        );
    }
    let section =
        [&[10, 13, 13, 10, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0][..], &[0xff; 8], &[28, 0, 0, 0]].concat();
    let interface = [1, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0];
    measure(
        "pcapng, 760 bytes",
        &file(&[&section, &interface], |file| {
            let words = [6u32, 792, 0, 395_812, 5, 760, 760];
            words.iter().for_each(|w| file.extend(w.to_le_bytes()));
            file.resize(file.len() + 760, 7);
            file.extend(792u32.to_le_bytes());
        }),
    );
}

fn file(head: &[&[u8]], packet: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut file = head.concat();
    while file.len() < SIZE {
        packet(&mut file);
    }
    file
}

/// Pieces are copied as read(2) copies them from the page cache; that is in the figure.
fn measure(name: &str, file: &[u8]) {
    let runs = if std::env::args().any(|a| a == "--bench") { 20 } else { 1 };
    let (mut best, mut copy, mut packets) = (Duration::MAX, Duration::MAX, 0);
    for _ in 0..runs {
        let (mut reader, mut rest) = (CaptureReader::new(), file);
        let mut copying = Duration::ZERO;
        packets = 0;
        let start = Instant::now();
        loop {
            while let Ok(Some(packet)) = reader.packet() {
                black_box(packet);
                packets += 1;
            }
            if rest.is_empty() {
                break;
            }
            let begin = Instant::now();
            let space = reader.space();
            let (now, later) = rest.split_at(rest.len().min(space.len()));
            space[..now.len()].copy_from_slice(now);
            reader.filled(now.len());
            rest = later;
            copying += begin.elapsed();
        }
        best = best.min(start.elapsed());
        copy = copy.min(copying);
    }
    let ns = |time: Duration| time.as_nanos() as f64 / f64::from(packets);
    println!("{name:<18} {:>6.1} ns/packet, {:>6.1} of them copying", ns(best), ns(copy));
}
