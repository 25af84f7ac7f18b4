//! Packets at a rate: DNS transactions written straight to an interface.

use super::servers::query;
use std::time::{Duration, Instant};

/// Clients, each with a flow of its own.
const CLIENTS: u32 = 1000;
/// How often the rate is looked at.
const STEP: Duration = Duration::from_millis(1);

/// Sends for so long; `rate` packets a second, or as many as go without one. Answers how many went out.
pub fn send(interface: &str, rate: Option<u64>, time: Duration) -> u64 {
    let mut out = pcap::Capture::from_device(interface).unwrap().buffer_size(1 << 19).open().unwrap();
    // What is sent is not wanted back.
    out.direction(pcap::Direction::In).unwrap();
    let mut frames: Vec<_> = (0..CLIENTS).map(|client| [frame(client, false), frame(client, true)]).collect();
    let (begin, mut sent, mut number) = (Instant::now(), 0u64, 0u32);
    while begin.elapsed() < time {
        let due = match rate {
            Some(rate) => (begin.elapsed().as_nanos() * u128::from(rate) / 1_000_000_000) as u64,
            None => sent + 64,
        };
        while sent < due {
            let pair = &mut frames[(number % CLIENTS) as usize];
            for frame in pair {
                // The transaction's id, behind Ethernet, IP and UDP.
                frame[42..44].copy_from_slice(&((number / CLIENTS) as u16).to_be_bytes());
                sent += u64::from(out.sendpacket(&frame[..]).is_ok());
            }
            number += 1;
        }
        if rate.is_some() {
            std::thread::sleep(STEP);
        }
    }
    sent
}

/// A query of a client, or the answer: Ethernet, IPv4, UDP, DNS. Addressed to nobody here.
fn frame(client: u32, is_answer: bool) -> Vec<u8> {
    let mut dns = query(0, &format!("host{client}.example"));
    if is_answer {
        (dns[2], dns[3], dns[7]) = (0x85, 0x80, 1);
        dns.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
    }
    let client_ip = [10, 1, (client >> 8) as u8, client as u8];
    let (ends, ports) = match is_answer {
        false => ([client_ip, [10, 2, 0, 1]], [40_000 + client as u16, 53]),
        true => ([[10, 2, 0, 1], client_ip], [53, 40_000 + client as u16]),
    };
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    let total = (20 + 8 + dns.len()) as u16;
    let mut ip = vec![0x45, 0];
    ip.extend(total.to_be_bytes());
    ip.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    ip.extend(ends.concat());
    let sum: u32 = ip.chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    frame.extend(ip);
    frame.extend(ports.map(u16::to_be_bytes).concat());
    frame.extend((8 + dns.len() as u16).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(dns);
    frame
}
