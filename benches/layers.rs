//! From a frame to its innermost payload, in nanoseconds a frame: `cargo bench --profile quick --bench layers`.

use collector::decode::layers::{Body, Settings, Unwrapper};
use collector::fmt::capture::{LinkType, Packet};
use collector::time::Time;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Frames of a run: about 1.3 MB, as in a reader's buffer.
const FRAMES: usize = 4096;

fn main() {
    let inner = |n: usize| ethernet(&[], &v4(6, n, &tcp(n, 0x10)));
    let vxlan = |n: usize| [&[8, 0, 0, 0, 0, 0, 7, 0][..], &inner(n)].concat();
    let gre = |n: usize| [&[0, 0, 8, 0][..], &v4(6, n, &tcp(n, 0x10))].concat();
    measure("tcp", |n| ethernet(&[], &v4(6, n, &tcp(n, 0x10))));
    measure("tcp syn", |n| ethernet(&[], &v4(6, n, &tcp(0, 0x02))));
    measure("udp", |n| ethernet(&[], &v4(17, n, &udp(53, &[7; 60]))));
    measure("tcp, two tags", |n| ethernet(&[5, 6], &v4(6, n, &tcp(n, 0x10))));
    measure("tcp, ipv6", |n| ethernet(&[], &v6(6, n, &tcp(n, 0x10))));
    measure("ipv6, hop by hop", |n| ethernet(&[], &v6(0, n, &[&[6, 0, 1, 4, 0, 0, 0, 0][..], &tcp(n, 0x10)].concat())));
    measure("tcp in vxlan", |n| ethernet(&[], &v4(17, n, &udp(4789, &vxlan(n)))));
    measure("tcp in gre", |n| ethernet(&[], &v4(47, n, &gre(n))));
    measure("udp in fragments", |n| {
        let mut packet = v4(17, n / 2, &udp(2049, &[7; 1472]));
        let (place, at): (u16, _) = if n.is_multiple_of(2) { (0x2000, 0) } else { (185, 1480) };
        if at > 0 {
            packet.truncate(20 + 512);
            packet[2..4].copy_from_slice(&532u16.to_be_bytes());
        }
        packet[4..6].copy_from_slice(&(n as u16 / 2).to_be_bytes());
        packet[6..8].copy_from_slice(&place.to_be_bytes());
        ethernet(&[], &packet)
    });
    measure("arp", |_| [&[0xff; 12][..], &[8, 6], &[0; 46]].concat());
}

fn measure(name: &str, make: impl Fn(usize) -> Vec<u8>) {
    let runs = if std::env::args().any(|a| a == "--bench") { 300 } else { 1 };
    let frames: Vec<Vec<u8>> = (0..FRAMES).map(make).collect();
    let mut unwrapper = Unwrapper::new(Settings::default());
    let (mut best, mut payload) = (Duration::MAX, 0);
    for _ in 0..runs {
        payload = 0;
        let start = Instant::now();
        for data in &frames {
            let packet = Packet { time: Time(0), link: LinkType::EN10MB, wire_len: data.len() as u32, data };
            if let Ok(found) = unwrapper.unwrap(black_box(&packet)) {
                payload += match black_box(found).body {
                    Body::Tcp(tcp) => tcp.payload.len(),
                    Body::Udp(udp) => udp.payload.len(),
                    _ => 0,
                };
            }
        }
        best = best.min(start.elapsed());
    }
    let ns = best.as_nanos() as f64 / FRAMES as f64;
    println!("{name:<18} {ns:>7.1} ns/frame {:>6} bytes/frame", payload / FRAMES);
}

fn ethernet(vlans: &[u16], packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    for id in vlans {
        frame.extend_from_slice(&[&[0x81, 0][..], &id.to_be_bytes()].concat());
    }
    frame.extend_from_slice(if packet[0] >> 4 == 6 { &[0x86, 0xdd] } else { &[8, 0] });
    frame.extend_from_slice(packet);
    frame
}

fn v4(protocol: u8, n: usize, body: &[u8]) -> Vec<u8> {
    let [a, b] = (20 + body.len() as u16).to_be_bytes();
    let [c, d] = (n as u16).to_be_bytes();
    [&[0x45, 0, a, b, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, c, d, 10, 1, d, c][..], body].concat()
}

fn v6(next: u8, n: usize, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend_from_slice(&(body.len() as u16).to_be_bytes());
    packet.extend_from_slice(&[next, 64]);
    packet.extend_from_slice(&[0x20; 14]);
    packet.extend_from_slice(&(n as u16).to_be_bytes());
    packet.extend_from_slice(&[0x21; 16]);
    packet.extend_from_slice(body);
    packet
}

/// A segment of up to 600 bytes; a SYN with the options that Linux writes.
fn tcp(n: usize, flags: u8) -> Vec<u8> {
    let options: &[u8] = match flags {
        0x02 => &[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7],
        _ => &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
    };
    let words = (20 + options.len()) as u8 / 4;
    let head = [0x9c, 0x40, 0, 80, 0, 0, 0, n as u8, 0, 0, 0, 0, words << 4, flags, 1, 0, 0, 0, 0, 0];
    [&head, options, &vec![b'x'; n % 600]].concat()
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let words = [40_000, port, 8 + payload.len() as u16, 0].map(u16::to_be_bytes);
    [words.as_flattened(), payload].concat()
}
