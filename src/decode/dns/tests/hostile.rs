//! Bytes that want to do harm.

use super::super::pending::HELD_MAX;
use super::build::{Built, name, query, reply};
use super::decoder;
use crate::decode::talk::Talk;
use crate::decode::{Decoder, Dir, Transport};

/// A response with records of many kinds.
fn rich() -> Built {
    let soa = [name("ns.example"), name("root.example"), vec![0; 20]].concat();
    reply(1, "a.example")
        .answer(1, &[1, 2, 3, 4])
        .answer(5, b"\x01b\xc0\x0e")
        .answer(16, b"\x05hello\x05world")
        .answer(33, b"\0\x01\0\x02\x01\xbb\x01c\xc0\x0e")
        .answer(65, b"\0\x01\0\0\x01\0\x06\x02h2\x02h3\0\x03\0\x02\x01\xbb")
        .answer(47, b"\x01b\xc0\x0e\0\x06\x40\x01\x00\x08\x00\x03")
        .record(2, b"\xc0\x0e", 6, 1, 60, &soa)
        .opt(1232, 0x8000, b"\0\x03\0\x03ns1\0\x0f\0\x05\0\x0fads")
}

const ALL: [(&str, &str); 4] = [
    ("dns.include_authorities", "on"),
    ("dns.include_additionals", "on"),
    ("dns.send_request", "on"),
    ("dns.send_response", "on"),
];

/// Sends a message both ways over UDP, and over TCP between two good ones.
fn survive(decoder: &dyn Decoder, message: &[u8]) {
    let mut talk = Talk::new(decoder, Transport::Udp, 53);
    talk.datagram(Dir::Forward, &query(1, "a.example").0);
    talk.datagram(Dir::Back, message);
    talk.datagram(Dir::Forward, message);
    assert!(talk.memory() < HELD_MAX);
    let docs = talk.finish();
    assert!((1..=3).contains(&docs.len()), "{docs:?}");
    let mut talk = Talk::new(decoder, Transport::Tcp, 53);
    talk.send(Dir::Forward, &query(1, "a.example").framed());
    talk.send(Dir::Back, &Built(message.to_vec()).framed());
    talk.send(Dir::Back, message);
    talk.finish();
    for over in [Transport::Udp, Transport::Tcp] {
        super::super::probe::probe(over, message);
    }
}

#[test]
fn any_bit_may_be_flipped() {
    let (good, decoder) = (rich().0, decoder(&ALL));
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            survive(&*decoder, &bad);
        }
    }
}

#[test]
fn any_length_may_be_cut() {
    let (good, decoder) = (rich().0, decoder(&ALL));
    for len in 0..good.len() {
        survive(&*decoder, &good[..len]);
    }
}

#[test]
fn any_byte_may_become_a_pointer() {
    let (good, decoder) = (rich().0, decoder(&ALL));
    for at in 12..good.len() - 1 {
        for to in (0..good.len()).step_by(7) {
            let mut bad = good.clone();
            bad[at] = 0xc0;
            bad[at + 1] = to as u8;
            survive(&*decoder, &bad);
        }
    }
}

#[test]
fn counts_that_lie() {
    let decoder = decoder(&ALL);
    for counts in [[0xff; 8], [0, 0, 0xff, 0xff, 0, 0, 0, 0], [0, 1, 0, 0, 0xff, 0xff, 0xff, 0xff]] {
        let mut bad = rich().0;
        bad[4..12].copy_from_slice(&counts);
        survive(&*decoder, &bad);
    }
}

#[test]
fn the_most_entries_take_little_time() {
    // Questions of five bytes whose names are one long one.
    let mut message = Built::new(1, 0x8180).ask(&"a.".repeat(126), 1).0;
    message[4..6].copy_from_slice(&[0xff, 0xff]);
    while message.len() < 65_530 {
        message.extend_from_slice(b"\xc0\x0c\0\x01\0\x01");
    }
    let decoder = decoder(&ALL);
    let begun = std::time::Instant::now();
    survive(&*decoder, &message);
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
}

proptest::proptest! {
    #[test]
    fn random_bytes(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        survive(&*decoder(&ALL), &bytes);
    }

    #[test]
    fn random_bodies(bytes in proptest::collection::vec(0u8..80, 0..300), response in proptest::bool::ANY) {
        let mut message = Built::new(1, if response { 0x8180 } else { 0x0100 }).0;
        message[5] = 1;
        message[7] = 5;
        message[11] = 5;
        message.extend(bytes);
        survive(&*decoder(&ALL), &message);
    }
}
