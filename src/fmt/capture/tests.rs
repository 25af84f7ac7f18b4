//! Hand-made files, whole, cut and damaged.

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::io::Write;

/// A packet with its own bytes.
type Owned = (Time, LinkType, u32, Vec<u8>);

/// Reads a file that comes in pieces of these sizes, over and over; the packets, and how it ended.
fn read(file: &[u8], pieces: &[usize]) -> (Vec<Owned>, Option<Damage>) {
    let (mut reader, mut rest, mut pieces) = (CaptureReader::new(), file, pieces.iter().cycle());
    let mut found = Vec::new();
    loop {
        match reader.packet() {
            Ok(Some(p)) => found.push((p.time, p.link, p.wire_len, p.data.to_vec())),
            Ok(None) if rest.is_empty() => break,
            Ok(None) => {
                let space = reader.space();
                assert!(!space.is_empty());
                let n = space.len().min(*pieces.next().unwrap()).min(rest.len());
                space[..n].copy_from_slice(&rest[..n]);
                reader.filled(n);
                rest = &rest[n..];
                if rest.is_empty() {
                    reader.end();
                }
            }
            Err(damage) => {
                assert_eq!(reader.packet().unwrap_err(), damage, "it is said again");
                return (found, Some(damage));
            }
        }
    }
    if file.is_empty() {
        reader.end();
        return (found, reader.packet().err());
    }
    assert_eq!(reader.packet(), Ok(None));
    (found, None)
}

fn whole(file: &[u8]) -> Vec<Owned> {
    let (found, damage) = read(file, &[usize::MAX]);
    assert_eq!(damage, None);
    found
}

/// Writes numbers in one byte order.
#[derive(Clone, Default)]
struct Bytes {
    big: bool,
    out: Vec<u8>,
}

impl Bytes {
    fn new(big: bool) -> Self {
        Self { big, out: Vec::new() }
    }
    fn u16(mut self, v: u16) -> Self {
        self.out.extend(if self.big { v.to_be_bytes() } else { v.to_le_bytes() });
        self
    }
    fn u32(mut self, v: u32) -> Self {
        self.out.extend(if self.big { v.to_be_bytes() } else { v.to_le_bytes() });
        self
    }
    fn raw(mut self, v: &[u8]) -> Self {
        self.out.extend(v);
        self
    }
    fn option(self, code: u16, value: &[u8]) -> Self {
        let mut new = self.u16(code).u16(value.len() as u16).raw(value);
        new.out.resize(new.out.len().next_multiple_of(4), 0);
        new
    }
    /// A block of pcapng with this body, padded.
    fn block(self, kind: u32, body: Self) -> Self {
        let mut body = body.out;
        body.resize(body.len().next_multiple_of(4), 0);
        let len = body.len() as u32 + 12;
        self.u32(kind).u32(len).raw(&body).u32(len)
    }
    fn section(self) -> Self {
        let body = Self::new(self.big).u32(0x1a2b_3c4d).u16(1).u16(0).raw(&[0xff; 8]);
        self.block(0x0a0d_0d0a, body)
    }
    fn interface(self, link: u16, snaplen: u32, options: Self) -> Self {
        let body = Self::new(self.big).u16(link).u16(0).u32(snaplen).raw(&options.out);
        self.block(1, body)
    }
    fn enhanced(self, interface: u32, ticks: u64, wire_len: u32, data: &[u8]) -> Self {
        let body = Self::new(self.big).u32(interface).u32((ticks >> 32) as u32).u32(ticks as u32);
        let body = body.u32(data.len() as u32).u32(wire_len).raw(data);
        self.block(6, body)
    }
}

fn pcap_header(big: bool, magic: u32, minor: u16, link: u32) -> Bytes {
    Bytes::new(big).u32(magic).u16(2).u16(minor).u32(0).u32(0).u32(65535).u32(link)
}

/// Three packets of 5, 0 and 300,000 bytes, the last one cut to 3.
fn pcap(big: bool, magic: u32) -> Vec<u8> {
    let file = pcap_header(big, magic, 4, 1).u32(1_700_000_000).u32(123_456).u32(5).u32(5).raw(b"hello");
    let file = file.u32(u32::MAX).u32(999_999).u32(0).u32(0);
    file.u32(0).u32(1).u32(3).u32(300_000).raw(b"cut").out
}

fn pcapng(big: bool) -> Vec<u8> {
    let new = || Bytes::new(big);
    let nanos = new().option(2, b"eth0").option(9, &[9]).option(0, b"");
    let offset = new().option(9, &[0x80 | 10]).option(14, &new().u32(0).u32(0).out);
    let file = new().section().interface(1, 65535, nanos).interface(276, 0, offset);
    let file = file.enhanced(0, 1_700_000_000_000_000_001, 5, b"hello").enhanced(1, 1536, 9, b"cooked");
    // Names, a custom block, secrets: passed over.
    let file = file.block(4, new().raw(&[0; 40])).block(0xbad, new().raw(b"12345678")).block(10, new().raw(&[7; 300]));
    let simple = new().u32(70_000).raw(&[9; 60]);
    let old = new().u16(1).u16(3).u32(0).u32(1024).u32(4).u32(4).raw(b"old!");
    let drops = new().u32(0).u32(0).u32(0).option(5, &new().u32(0).u32(0).out).option(0, b"");
    file.block(3, simple).block(2, old).block(5, drops).out
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn pcap_of_both_byte_orders_and_units() {
    for big in [false, true] {
        for (magic, nanos) in [(0xa1b2_c3d4, 1000), (0xa1b2_3c4d, 1)] {
            let expected = [
                (Time(1_700_000_000_000_000_000 + 123_456 * nanos), LinkType::EN10MB, 5, b"hello".to_vec()),
                (Time(4_294_967_295_000_000_000 + 999_999 * nanos), LinkType::EN10MB, 0, Vec::new()),
                (Time(nanos), LinkType::EN10MB, 300_000, b"cut".to_vec()),
            ];
            assert_eq!(whole(&pcap(big, magic)), expected);
        }
    }
}

#[test]
fn other_pcap_headers() {
    // The patched one has eight bytes more; those of the frame check sequence are masked.
    let file = pcap_header(false, 0xa1b2_cd34, 4, 0x4400_0001).u32(1).u32(0).u32(2).u32(2).raw(&[0; 8]).raw(b"ab").out;
    assert_eq!(whole(&file), [(Time(1_000_000_000), LinkType::EN10MB, 2, b"ab".to_vec())]);
    // Old versions write the length on the wire first.
    let file = pcap_header(true, 0xa1b2_c3d4, 2, 1).u32(0).u32(0).u32(9).u32(2).raw(b"ab").out;
    assert_eq!(whole(&file), [(Time(0), LinkType::EN10MB, 9, b"ab".to_vec())]);
    let file = pcap_header(true, 0xa1b2_c3d4, 3, 1).u32(0).u32(0).u32(9).u32(2).raw(b"ab").out;
    let file = [&file[..], &Bytes::new(true).u32(0).u32(0).u32(2).u32(9).raw(b"cd").out].concat();
    assert_eq!(whole(&file).iter().map(|p| (p.2, &p.3[..])).collect::<Vec<_>>(), [(9, &b"ab"[..]), (9, b"cd")]);
}

#[test]
fn pcapng_of_both_byte_orders() {
    for big in [false, true] {
        let expected = [
            (Time(1_700_000_000_000_000_001), LinkType::EN10MB, 5, b"hello".to_vec()),
            (Time(1_500_000_000), LinkType::LINUX_SLL2, 9, b"cooked".to_vec()),
            (Time(1_500_000_000), LinkType::EN10MB, 70_000, vec![9; 60]),
            (Time(1_000_000_000), LinkType::LINUX_SLL2, 4, b"old!".to_vec()),
        ];
        assert_eq!(whole(&pcapng(big)), expected);
    }
}

#[test]
fn sections_have_their_own_order_and_interfaces() {
    let file = [pcapng(true), pcapng(false), pcapng(true)].concat();
    assert_eq!(whole(&file).len(), 12);
    let stray = Bytes::new(false).enhanced(0, 0, 1, b"a").out;
    let mut file = pcapng(false);
    file.extend(Bytes::new(false).section().out);
    let at = file.len() as u64;
    file.extend(stray);
    let (found, damage) = read(&file, &[usize::MAX]);
    assert_eq!(found.len(), 4);
    assert_eq!(damage, Some(Damage { offset: at, unpacked: false, fault: Fault::Interface(0, 0) }));
}

#[test]
fn a_simple_packet_ends_at_the_snap_length() {
    let file = Bytes::new(false).section().interface(1, 4, Bytes::default());
    let file = file.block(3, Bytes::new(false).u32(9).raw(b"four")).block(3, Bytes::new(false).u32(2).raw(b"ab")).out;
    let expected = [(Time(0), LinkType::EN10MB, 9, b"four".to_vec()), (Time(0), LinkType::EN10MB, 2, b"ab".to_vec())];
    assert_eq!(whole(&file), expected);
}

#[test]
fn drops_are_summed() {
    let new = || Bytes::new(false);
    let count = |n: u32| new().u32(n).u32(0).out;
    let statistics = |number, a, b| {
        let options = new().u32(number).u32(0).u32(0).option(4, &count(1000));
        options.option(5, &count(a)).option(7, &count(b)).option(0, b"")
    };
    let file = new().section().interface(1, 0, Bytes::default()).interface(1, 0, Bytes::default());
    let file = file.block(5, statistics(0, 100, 7)).block(5, statistics(0, 3, 4)).block(5, statistics(1, 10, 0));
    let file = file.block(5, statistics(2, 9, 9)).section().interface(1, 0, Bytes::default());
    let file = file.block(5, statistics(0, 200, 0)).out;
    let mut reader = CaptureReader::new();
    reader.space()[..file.len()].copy_from_slice(&file);
    reader.filled(file.len());
    reader.end();
    assert_eq!(reader.packet(), Ok(None));
    assert_eq!(reader.drops(), 217);
}

#[test]
fn lengths_without_padding_are_taken() {
    let body = Bytes::new(false).u32(0).u32(0).u32(1).u32(5).u32(5).raw(b"hello\0\0\0").out;
    let block = Bytes::new(false).u32(6).u32(37).raw(&body).u32(37).out;
    let file = [Bytes::new(false).section().interface(1, 0, Bytes::default()).out, block].concat();
    assert_eq!(whole(&file), [(Time(1000), LinkType::EN10MB, 5, b"hello".to_vec())]);
}

#[test]
fn gzip_of_one_and_several_members() {
    let file = pcap(false, 0xa1b2_c3d4);
    let expected = whole(&file);
    let two = [gzip(&file[..30]), gzip(b""), gzip(&file[30..])].concat();
    let named = {
        let mut encoder = flate2::GzBuilder::new()
            .filename("a.pcap")
            .comment("c")
            .extra("xyz")
            .write(Vec::new(), Compression::none());
        encoder.write_all(&file).unwrap();
        encoder.finish().unwrap()
    };
    for packed in [gzip(&file), two.clone(), [&two[..], &[0; 700]].concat(), named] {
        for pieces in [&[usize::MAX][..], &[1], &[7, 3]] {
            assert_eq!(read(&packed, pieces), (expected.clone(), None));
        }
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let file = pcap(false, 0xa1b2_c3d4);
    let ng = |block: Bytes| Bytes::new(false).section().interface(1, 0, Bytes::default()).raw(&block.out).out;
    let new = || Bytes::new(false);
    let with = |at: usize, byte: u8| {
        let mut file = file.clone();
        file[at] = byte;
        file
    };
    let table: &[(Vec<u8>, usize, &str)] = &[
        (vec![], 0, "the file is empty"),
        (b"ab".to_vec(), 0, "this is no capture file: it begins with 61 62"),
        (b"date time packet".to_vec(), 0, "this is no capture file: it begins with 64 61 74 65 20 74 69 6d"),
        (
            b"snoop\0\0\0\0\0\0\x02\0\0\0\x04".to_vec(),
            0,
            "this is a snoop capture, which is not served (pcap, pcapng and gzip are)",
        ),
        (b"\x28\xb5\x2f\xfd".to_vec(), 0, "this is zstd data, which is not served (pcap, pcapng and gzip are)"),
        (gzip(&gzip(&file)), 0, "this is gzip data within gzip data, which is not served (pcap, pcapng and gzip are)"),
        (gzip(b""), 0, "the file is empty"),
        (
            file[..9].to_vec(),
            0,
            "at byte 0: the file ends in the middle of the file header: 24 bytes expected, 9 there",
        ),
        (
            file[..50].to_vec(),
            1,
            "at byte 45: the file ends in the middle of a packet's header: 16 bytes expected, 5 there",
        ),
        (
            file[..file.len() - 1].to_vec(),
            2,
            "at byte 61: the file ends in the middle of a packet: 19 bytes expected, 18 there",
        ),
        (with(4, 1), 0, "at byte 0: unknown version 1.4 of pcap"),
        (with(34, 5), 0, "at byte 24: a packet of 327685 captured bytes, more than the 262144 there can be"),
        (with(54, 5), 1, "at byte 45: the file ends in the middle of a packet: 1296 bytes expected, 35 there"),
        (ng(new().u32(9)), 0, "at byte 48: the file ends in the middle of a block: 12 bytes expected, 4 there"),
        (
            ng(new().u32(9).u32(64).u32(0).u32(0)),
            0,
            "at byte 48: the file ends in the middle of a block: 60 bytes expected, 16 there",
        ),
        (
            ng(new().u32(9).u32(16).u32(0)),
            0,
            "at byte 60: the file ends in the middle of a block: 4 bytes expected, 0 there",
        ),
        (ng(new().u32(9).u32(16).u32(0).u32(20)), 0, "at byte 60: a block of 16 bytes whose end says that it has 20"),
        (ng(new().u32(9).u32(8).u32(8)), 0, "at byte 48: a block of type 0x9 with a length of 8 bytes"),
        (ng(new().u32(6).u32(u32::MAX).u32(8)), 0, "at byte 48: a block of type 0x6 with a length of 4294967295 bytes"),
        (ng(new().u32(6).u32(2 << 20).u32(8)), 0, "at byte 48: a block of type 0x6 with a length of 2097152 bytes"),
        (ng(new().block(6, new().u32(0))), 0, "at byte 48: a block of type 0x6 with a length of 16 bytes"),
        (
            ng(new().enhanced(0, 0, 1, b"a").enhanced(3, 0, 1, b"a")),
            1,
            "at byte 84: a packet of interface 3, but only 1 were described",
        ),
        (
            ng(new().block(6, new().raw(&[0; 12]).u32(5).u32(5).raw(b"abcd"))),
            0,
            "at byte 48: a packet of 5 captured bytes in a block with room for 4",
        ),
        (ng(new().u32(6).u32(16).u32(0).u32(12)), 0, "at byte 48: a block of 16 bytes whose end says that it has 12"),
        (
            ng(new().block(0x0a0d_0d0a, new().raw(&[1; 16]))),
            0,
            "at byte 48: a section without a byte order mark: 01 01 01 01",
        ),
        (
            ng(new().block(0x0a0d_0d0a, new().u32(0x1a2b_3c4d).u16(1).u16(1).u32(0).u32(0))),
            0,
            "at byte 48: unknown version 1.1 of pcapng",
        ),
        (
            gzip(&file[..50]),
            1,
            "at byte 45 of what gzip holds: the file ends in the middle of a packet's header: 16 bytes expected, 5 there",
        ),
    ];
    for (file, packets, text) in table {
        for pieces in [&[usize::MAX][..], &[1], &[13]] {
            let (found, damage) = read(file, pieces);
            assert_eq!((found.len(), damage.map(|d| d.to_string()).as_deref()), (*packets, Some(*text)));
        }
    }
}

#[test]
fn damaged_gzip_data() {
    let file = pcap(false, 0xa1b2_c3d4);
    let packed = gzip(&file);
    let (body, all) = (packed.len() - 8, packed.len());
    let mut wrong_sum = packed.clone();
    wrong_sum[all - 3] ^= 1;
    let mut no_deflate = packed.clone();
    no_deflate[10] |= 6;
    let table = [
        (wrong_sum, 3, body, "its check sum is wrong"),
        (no_deflate, 0, 10, "it is no deflate data"),
        ([&packed[..], b"xyz"].concat(), 3, all, "what follows is no gzip data"),
        ([&packed[..], &[0, 0, 9]].concat(), 3, all + 2, "what follows is no gzip data"),
        ([&packed[..], &packed[..5]].concat(), 3, all, "it ends too early"),
        (packed[..all - 1].to_vec(), 3, body, "it ends too early"),
        (packed[..9].to_vec(), 0, 0, "it ends too early"),
        (b"\x1f\x8b\x07\0\0\0\0\0\0\0".to_vec(), 0, 0, "its header asks for what is not known"),
    ];
    for (packed, packets, at, why) in table {
        for pieces in [&[usize::MAX][..], &[1], &[13]] {
            let (found, damage) = read(&packed, pieces);
            let expected = Damage { offset: at as u64, unpacked: false, fault: Fault::Gzip(why) };
            assert_eq!((found.len(), damage), (packets, Some(expected)));
        }
    }
}

/// Longer than the first buffer: the reader makes room, and not more than for a block.
#[test]
fn long_packets_and_blocks() {
    let data = vec![3; MAX_PACKET as usize];
    let one = Bytes::new(false).u32(0).u32(0).u32(MAX_PACKET).u32(MAX_PACKET).raw(&data).out;
    let file = [pcap_header(false, 0xa1b2_c3d4, 4, 1).out, one.clone(), one].concat();
    assert_eq!(read(&file, &[4096]).0.iter().map(|p| p.3.len()).collect::<Vec<_>>(), [data.len(); 2]);
    let file =
        Bytes::new(true).section().interface(1, 0, Bytes::default()).block(11, Bytes::new(true).raw(&vec![0; 5 << 20]));
    let file = file.enhanced(0, 0, 7, &data).enhanced(0, 0, 1, b"a").out;
    assert_eq!(read(&file, &[100_000]).0.iter().map(|p| p.3.len()).collect::<Vec<_>>(), [data.len(), 1]);
    assert_eq!(read(&gzip(&file), &[100_000]).0.len(), 2);
}

fn samples() -> Vec<Vec<u8>> {
    let plain = [
        pcap(false, 0xa1b2_c3d4),
        pcap(true, 0xa1b2_3c4d),
        pcapng(false),
        pcapng(true),
        [pcapng(true), pcapng(false)].concat(),
    ];
    plain.iter().cloned().chain(plain.iter().map(|f| gzip(f))).collect()
}

#[test]
fn every_truncation_gives_the_packets_before_it() {
    for file in samples() {
        let all = whole(&file);
        for n in 0..file.len() {
            let (found, damage) = read(&file[..n], &[usize::MAX]);
            assert!(all.starts_with(&found), "{n}");
            // Cut between two packets nothing is missed.
            assert!(damage.is_some() || found.len() < all.len() || n >= 24, "{n}");
        }
    }
}

proptest! {
    #[test]
    fn pieces_make_no_difference(which in 0..10usize, pieces in prop::collection::vec(1..200usize, 1..20)) {
        let file = &samples()[which];
        prop_assert_eq!(read(file, &pieces), read(file, &[usize::MAX]));
    }

    #[test]
    fn flipped_bits_are_harmless(which in 0..10usize, flips in prop::collection::vec((0..100_000usize, 0..8u32), 1..5), pieces in prop::collection::vec(1..500usize, 1..4)) {
        let mut file = samples()[which].clone();
        for (at, bit) in flips {
            let at = at % file.len();
            file[at] ^= 1 << bit;
        }
        let all = read(&file, &[usize::MAX]);
        // What gzip gave before its damage depends on how it came.
        if which < 5 {
            prop_assert_eq!(read(&file, &pieces), all);
        } else {
            read(&file, &pieces);
        }
    }

    #[test]
    fn noise_is_harmless(which in 0..10usize, noise in prop::collection::vec(any::<u8>(), 0..2000), keep in 0..100usize) {
        let sample = &samples()[which];
        let file = [&sample[..keep.min(sample.len())], &noise].concat();
        read(&file, &[usize::MAX]);
    }
}
