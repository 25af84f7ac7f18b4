//! Fragments: whatever their order, the datagram comes out as it went in, and memory stays within its limit.

use super::fragments::{Added, Fragments, Key};
use super::ip::Fragment;
use super::*;
use crate::decode::test_frames::{ip as packet, udp_header};
use crate::fmt::capture::LinkType;
use crate::time::Time;
use proptest::prelude::*;

const SECOND: i64 = 1_000_000_000;

/// A datagram of `len` bytes that differ from each other.
fn datagram(len: usize) -> Vec<u8> {
    let payload: Vec<u8> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
    [udp_header(1, 2, len), payload].concat()
}

/// A packet around bytes `from` to `to` of a body.
fn part(v6: bool, ident: u16, body: &[u8], from: usize, to: usize) -> Vec<u8> {
    let (more, place) = (to < body.len(), from as u16);
    let piece = &body[from..to];
    if v6 {
        let head = [&[17, 0][..], &(place | u16::from(more)).to_be_bytes(), &u32::from(ident).to_be_bytes()].concat();
        packet("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap(), 44, 0, &[&head, piece].concat())
    } else {
        let mut whole = packet("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap(), 17, ident, piece);
        whole[6..8].copy_from_slice(&((place / 8) | (u16::from(more) << 13)).to_be_bytes());
        whole
    }
}

/// What an unwrapper says of a packet at a second.
fn at<'a>(unwrapper: &'a mut Unwrapper, second: i64, data: &'a [u8]) -> Result<Layers<'a>, Skip> {
    let time = Time(second * SECOND);
    unwrapper.unwrap(&Packet { time, link: LinkType::RAW, wire_len: data.len() as u32, data })
}

fn payload<'a>(found: &Layers<'a>) -> &'a [u8] {
    match found.body {
        Body::Udp(udp) => udp.payload,
        _ => panic!("{found:?}"),
    }
}

#[test]
fn the_last_to_arrive_shows_the_datagram() {
    for v6 in [false, true] {
        let body = datagram(2990);
        let parts = [(1480, 2960), (2960, 2998), (0, 1480)].map(|(from, to)| part(v6, 9, &body, from, to));
        let mut unwrapper = Unwrapper::new(Settings::default());
        assert_eq!(at(&mut unwrapper, 1, &parts[0]), Err(Skip::Fragment));
        assert_eq!(at(&mut unwrapper, 1, &parts[1]), Err(Skip::Fragment));
        assert!(unwrapper.memory() > 1500);
        let found = at(&mut unwrapper, 1, &parts[2]).unwrap();
        assert_eq!(payload(&found), &body[8..]);
        let bytes = (parts[0].len() + parts[1].len()) as u64;
        assert_eq!(found.earlier, Earlier { frames: 2, bytes });
        assert_eq!(found.frame_len as usize, parts[2].len());
        assert_eq!(unwrapper.counters().fragments.reassembled, 1);
        assert_eq!((unwrapper.counters().fragment, unwrapper.counters().seen), (2, 1));
    }
}

#[test]
fn in_ipv4_what_came_first_stays() {
    let (body, other) = (datagram(40), vec![0xee; 48]);
    let mut unwrapper = Unwrapper::new(Settings::default());
    assert_eq!(at(&mut unwrapper, 1, &part(false, 1, &body, 0, 16)), Err(Skip::Fragment));
    assert_eq!(at(&mut unwrapper, 1, &part(false, 1, &body, 24, 32)), Err(Skip::Fragment));
    assert_eq!(at(&mut unwrapper, 1, &part(false, 1, &other, 0, 16)), Err(Skip::BadFragment), "nothing new");
    // Fills the hole alone.
    assert_eq!(at(&mut unwrapper, 1, &part(false, 1, &other, 8, 40)), Err(Skip::Fragment));
    let last = part(false, 1, &body, 40, 48);
    let found = at(&mut unwrapper, 1, &last).unwrap();
    let expected = [&body[8..16], &other[16..24], &body[24..32], &other[32..40], &body[40..48]].concat();
    assert_eq!(payload(&found), expected);
    assert_eq!(found.earlier.frames, 3);
}

#[test]
fn in_ipv6_overlaps_end_the_datagram() {
    let body = datagram(40);
    let mut unwrapper = Unwrapper::new(Settings::default());
    let mut say = |from, to| at(&mut unwrapper, 1, &part(true, 1, &body, from, to)).err();
    assert_eq!(say(0, 16), Some(Skip::Fragment));
    assert_eq!(say(0, 16), Some(Skip::BadFragment), "a copy does no harm");
    assert_eq!(say(24, 32), Some(Skip::Fragment));
    assert_eq!(say(8, 24), Some(Skip::BadFragment));
    assert_eq!(say(16, 24), Some(Skip::BadFragment), "what comes later, too");
    assert_eq!(say(32, 48), Some(Skip::BadFragment));
    assert_eq!(unwrapper.counters().fragments.contradictory, 1);
}

#[test]
fn fragments_that_disagree_about_the_end() {
    for v6 in [false, true] {
        let (long, short) = (datagram(56), datagram(24));
        let mut unwrapper = Unwrapper::new(Settings::default());
        assert_eq!(at(&mut unwrapper, 1, &part(v6, 1, &short, 24, 32)), Err(Skip::Fragment));
        assert_eq!(at(&mut unwrapper, 1, &part(v6, 1, &long, 32, 40)), Err(Skip::BadFragment));
        assert_eq!(at(&mut unwrapper, 1, &part(v6, 2, &long, 32, 40)), Err(Skip::Fragment));
        assert_eq!(at(&mut unwrapper, 1, &part(v6, 2, &short, 24, 32)), Err(Skip::BadFragment));
        assert_eq!(unwrapper.counters().fragments.contradictory, 2);
        assert_eq!(at(&mut unwrapper, 1, &part(v6, 1, &short, 0, 24)), Err(Skip::BadFragment));
    }
}

#[test]
fn no_datagram_is_longer_than_64_kib() {
    let mut unwrapper = Unwrapper::new(Settings::default());
    let mut packet = part(false, 1, &datagram(64), 0, 64);
    packet[6..8].copy_from_slice(&0x1fff_u16.to_be_bytes());
    assert_eq!(at(&mut unwrapper, 1, &packet), Err(Skip::BadFragment));
    // The longest: 65,535 bytes.
    let body = datagram(65_527);
    for from in (0..65_000).step_by(1000) {
        assert_eq!(at(&mut unwrapper, 1, &part(false, 2, &body, from, from + 1000)), Err(Skip::Fragment));
    }
    let last = part(false, 2, &body, 65_000, 65_535);
    assert_eq!(payload(&at(&mut unwrapper, 1, &last).unwrap()), &body[8..]);
}

#[test]
fn what_waits_too_long_is_given_up() {
    let body = datagram(100);
    let mut unwrapper = Unwrapper::new(Settings::default());
    let (first, second) = (part(false, 1, &body, 0, 48), part(false, 1, &body, 48, 108));
    assert_eq!(at(&mut unwrapper, 100, &first), Err(Skip::Fragment));
    assert!(at(&mut unwrapper, 160, &second).is_ok(), "within a minute");
    assert_eq!(at(&mut unwrapper, 200, &first), Err(Skip::Fragment));
    assert_eq!(at(&mut unwrapper, 261, &second), Err(Skip::Fragment), "begins another");
    assert_eq!(unwrapper.counters().fragments.timed_out, 1);
    assert!(at(&mut unwrapper, 10, &first).is_ok(), "a clock that was set back ends nothing");
}

#[test]
fn other_datagrams_are_others() {
    let body = datagram(40);
    let mut unwrapper = Unwrapper::new(Settings::default());
    for (ident, v6) in [(1, false), (2, false), (1, true)] {
        assert_eq!(at(&mut unwrapper, 1, &part(v6, ident, &body, 0, 16)), Err(Skip::Fragment));
    }
    let tagged =
        [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 7, 8, 0][..], &part(false, 1, &body, 16, 48)].concat();
    let frame = Packet { time: Time(SECOND), link: LinkType::EN10MB, wire_len: 1, data: &tagged };
    assert_eq!(unwrapper.unwrap(&frame), Err(Skip::Fragment), "in another VLAN");
    assert!(at(&mut unwrapper, 1, &part(true, 1, &body, 16, 48)).is_ok());
    assert!(at(&mut unwrapper, 1, &part(false, 2, &body, 16, 48)).is_ok());
    assert!(at(&mut unwrapper, 1, &part(false, 1, &body, 16, 48)).is_ok());
}

#[test]
fn fragments_that_the_capture_cut() {
    let body = datagram(2000);
    let mut unwrapper = Unwrapper::new(Settings::default());
    let found = |unwrapper: &mut Unwrapper, data: &[u8]| {
        let packet = Packet { time: Time(0), link: LinkType::RAW, wire_len: 1500, data: &data[..96] };
        unwrapper.unwrap(&packet).map(|l| (payload(&l).len(), l.earlier.frames))
    };
    assert_eq!(found(&mut unwrapper, &part(false, 1, &body, 0, 1480)), Ok((68, 0)), "shows what is there");
    assert_eq!(found(&mut unwrapper, &part(false, 1, &body, 1480, 2008)), Err(Skip::Truncated(Layer::Extension)));
}

#[test]
fn fragments_within_fragments() {
    // The inner datagram in two parts; the tunnel's packet around the first in two again.
    let body = datagram(2000);
    let wrap = |inner: &[u8]| [&[0, 0, 8, 0][..], inner].concat();
    let (first, second) = (wrap(&part(false, 1, &body, 0, 1480)), wrap(&part(false, 1, &body, 1480, 2008)));
    let outside = |body: &[u8], from: usize, to: usize| {
        let mut packet = part(false, 5, body, from, to);
        packet[9] = 47;
        packet
    };
    let mut unwrapper = Unwrapper::new(Settings::default());
    let frames = [outside(&first, 0, 800), outside(&first, 800, first.len()), outside(&second, 0, second.len())];
    assert_eq!(at(&mut unwrapper, 1, &frames[0]), Err(Skip::Fragment));
    assert_eq!(at(&mut unwrapper, 1, &frames[1]), Err(Skip::Fragment));
    let found = at(&mut unwrapper, 1, &frames[2]).unwrap();
    assert_eq!((payload(&found), found.tunnels), (&body[8..], 1));
    let bytes = (frames[0].len() + frames[1].len()) as u64;
    assert_eq!(found.earlier, Earlier { frames: 2, bytes });
}

#[test]
fn memory_is_bounded() {
    const LIMIT: usize = 64 << 10;
    let mut unwrapper = Unwrapper::new(Settings { fragment_bytes: LIMIT, ..Settings::default() });
    let (large, small) = (datagram(60_000), datagram(16));
    for n in 0..20_000_u32 {
        let source = n.to_be_bytes();
        let body = if n % 3 == 0 { &large } else { &small };
        let to = if n % 3 == 0 { 1480 } else { 8 };
        let mut packet = part(false, n as u16, body, 0, to);
        packet[12..16].copy_from_slice(&source);
        let _ = at(&mut unwrapper, 1, &packet);
        assert!(unwrapper.memory() <= LIMIT, "{} after {n}", unwrapper.memory());
    }
    assert!(unwrapper.counters().fragments.evicted > 19_000);
    // One that grows without end goes, too.
    for from in (0..60_000).step_by(16) {
        let _ = at(&mut unwrapper, 1, &part(false, 77, &large, from, from + 8));
        assert!(unwrapper.memory() <= LIMIT);
    }
}

/// Cuts of a body at multiples of eight, in any order, some of them twice.
fn cuts() -> impl Strategy<Value = (usize, Vec<usize>, Vec<prop::sample::Index>)> {
    (1usize..3000).prop_flat_map(|len| {
        let places = prop::collection::btree_set(1..(len + 8).div_ceil(8), 0..12);
        let order = prop::collection::vec(any::<prop::sample::Index>(), 0..40);
        (Just(len), places.prop_map(|set| set.into_iter().map(|p| p * 8).collect()), order)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Any fragmentation, in any order, with copies, gives the datagram once: with the first frame that makes it whole.
    #[test]
    fn any_order_gives_the_datagram((len, places, order) in cuts(), v6 in any::<bool>()) {
        let body = datagram(len);
        let ends: Vec<usize> = places.into_iter().filter(|p| *p < body.len()).chain([body.len()]).collect();
        let starts = [0].into_iter().chain(ends.iter().copied());
        let parts: Vec<Vec<u8>> = starts.zip(&ends).map(|(from, to)| part(v6, 3, &body, from, *to)).collect();
        // Copies in between, then what was not drawn.
        let mut turns: Vec<usize> = order.iter().map(|i| i.index(parts.len())).collect();
        turns.extend((0..parts.len()).rev());
        let mut unwrapper = Unwrapper::new(Settings::default());
        let mut missing: std::collections::BTreeSet<usize> = (0..parts.len()).collect();
        let mut distinct = 0;
        for turn in turns {
            distinct += u32::from(missing.remove(&turn));
            let found = at(&mut unwrapper, 1, &parts[turn]);
            if missing.is_empty() {
                let found = found.unwrap();
                prop_assert_eq!(payload(&found), &body[8..]);
                prop_assert_eq!(found.earlier.frames + 1, distinct);
                break;
            }
            prop_assert!(matches!(found, Err(Skip::Fragment | Skip::BadFragment)));
        }
        prop_assert_eq!(unwrapper.fragments.memory(), 0);
    }

    /// Fragments of any kind: the table's account holds, and what becomes whole has the length that was said.
    #[test]
    fn the_account_holds(parts in prop::collection::vec((0u32..3, 0u32..20, 0usize..80, any::<bool>(), any::<bool>(), 0i64..50), 1..200)) {
        let mut table = Fragments::new(4 << 10, Duration::from_secs(30));
        let (mut whole, mut now) = (Vec::new(), 0);
        for (ident, place, len, more, v6, pause) in parts {
            now += pause / 10;
            let key = Key { src: Addr::default(), dst: Addr::default(), ident, protocol: 17, v6, vlans: Vlans::default(), tunnels: 0 };
            let fragment = Fragment { ident, offset: place * 8, more };
            let data = vec![place as u8; len];
            let added = table.add(key, (fragment, 17, &data), Earlier { frames: 1, bytes: 1 }, Time(now * SECOND), &mut whole);
            if let Added::Whole { .. } = added {
                prop_assert!(whole.len() <= 19 * 8 + 80);
                prop_assert_eq!(whole[0], 0);
            }
            prop_assert!(table.memory() <= 4 << 10);
        }
        // All is given up in the end.
        let key = Key { src: Addr::default(), dst: Addr::default(), ident: 99, protocol: 17, v6: false, vlans: Vlans::default(), tunnels: 0 };
        let alone = (Fragment { ident: 99, offset: 0, more: false }, 17, &b"12345678"[..]);
        table.add(key, alone, Earlier::default(), Time((now + 40) * SECOND), &mut whole);
        prop_assert_eq!(table.memory(), 0);
    }
}
