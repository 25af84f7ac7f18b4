//! Frames made by hand, and what is seen in them.

use super::*;
use crate::decode::tcp::flag;
use crate::decode::test_frames::{Frames, SYN, ethernet, ip as packet, udp_header};
use crate::fmt::capture::LinkType;
use crate::time::Time;
use std::net::IpAddr;

const A: &str = "10.0.0.1";
const B: &str = "10.0.0.2";
const A6: &str = "2001:db8::a";
const B6: &str = "2001:db8::b";

fn addr(text: &str) -> Addr {
    Addr::from(text.parse::<IpAddr>().unwrap())
}

/// A packet of one of the protocols between A and B.
fn v4(protocol: u8, body: &[u8]) -> Vec<u8> {
    packet(A.parse().unwrap(), B.parse().unwrap(), protocol, 7, body)
}

fn v6(protocol: u8, body: &[u8]) -> Vec<u8> {
    packet(A6.parse().unwrap(), B6.parse().unwrap(), protocol, 7, body)
}

fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    [udp_header(from, to, payload.len()), payload.to_vec()].concat()
}

fn frame<'a>(link: LinkType, data: &'a [u8]) -> Packet<'a> {
    Packet { time: Time(0), link, wire_len: data.len() as u32, data }
}

/// What a frame shows; of its lifetime the test's.
fn see(link: LinkType, data: &[u8]) -> Result<Layers<'static>, Skip> {
    let unwrapper = Box::leak(Box::new(Unwrapper::new(Settings::default())));
    unwrapper.unwrap(&frame(link, data.to_vec().leak()))
}

/// "A:1 > B:2 payload" of what is seen in a frame, or why not.
fn say(link: LinkType, data: &[u8]) -> String {
    match see(link, data) {
        Ok(found) => show(&found),
        Err(why) => format!("{why:?}"),
    }
}

fn show(found: &Layers<'_>) -> String {
    let (src, dst) = (found.src.to_ip(found.v6), found.dst.to_ip(found.v6));
    match found.body {
        Body::Udp(u) => {
            format!("{src}:{} > {dst}:{} {}", u.src_port, u.dst_port, String::from_utf8_lossy(u.payload))
        }
        Body::Tcp(t) => {
            format!("{src}:{} > {dst}:{} {}", t.src_port, t.dst_port, String::from_utf8_lossy(t.payload))
        }
        body => format!("{src} > {dst} {body:?}"),
    }
}

const HELLO: &str = "10.0.0.1:1 > 10.0.0.2:2 hello";
const HELLO6: &str = "2001:db8::a:1 > 2001:db8::b:2 hello";

fn hello() -> Vec<u8> {
    v4(17, &udp(1, 2, b"hello"))
}

fn hello6() -> Vec<u8> {
    v6(17, &udp(1, 2, b"hello"))
}

/// `head` (hex), then `rest`.
fn behind(head: &str, rest: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = head.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let mut out: Vec<u8> =
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect();
    out.extend_from_slice(rest);
    out
}

const MACS: &str = "020000000002 020000000001";

/// An Ethernet frame with a head of tags.
fn tagged(head: &str, rest: &[u8]) -> Vec<u8> {
    behind(&format!("{MACS}{head}"), rest)
}

#[test]
fn a_tcp_segment() {
    let frames = Frames::tcp("10.0.0.1:40000", "10.0.0.2:80").vlans(&[7]).handshake().client(b"GET").take();
    let syn = see(LinkType::EN10MB, &frames[0].1).unwrap();
    assert_eq!((syn.src, syn.dst, syn.v6), (addr(A), addr(B), false));
    assert_eq!(syn.vlans.as_slice(), [7]);
    assert_eq!(syn.macs, Some(Macs { src: [2, 0, 0, 0, 0, 1], dst: [2, 0, 0, 0, 0, 2] }));
    assert_eq!(syn.frame_len as usize, frames[0].1.len());
    let options = SynOptions { mss: Some(1460), window_scale: Some(7), sack_permitted: true };
    let first = TcpSegment {
        src_port: 40000,
        dst_port: 80,
        seq: 1000,
        ack: 0,
        flags: SYN,
        window: 0xffff,
        options,
        payload: b"",
        wire_payload_len: 0,
    };
    assert_eq!(syn.body, Body::Tcp(first));
    let Body::Tcp(data) = see(LinkType::EN10MB, &frames[3].1).unwrap().body else { panic!() };
    assert_eq!((data.seq, data.ack, data.payload), (1001, 5001, &b"GET"[..]));
    assert!(data.has(flag::ACK) && !data.has(flag::SYN | flag::FIN | flag::RST));
    assert_eq!(data.options, SynOptions::default());
}

#[test]
fn a_segment_that_the_capture_cut() {
    let whole = &Frames::tcp("[2001:db8::a]:1", "[2001:db8::b]:2").client(&[b'x'; 100]).take()[0].1;
    for captured in 0..=whole.len() {
        let data = whole[..captured].to_vec().leak();
        let unwrapper = Box::leak(Box::new(Unwrapper::new(Settings::default())));
        let found = unwrapper.unwrap(&Packet { wire_len: whole.len() as u32, ..frame(LinkType::EN10MB, data) });
        match captured {
            0..14 => assert_eq!(found, Err(Skip::Truncated(Layer::Link))),
            14..54 => assert_eq!(found, Err(Skip::Truncated(Layer::Ipv6))),
            54..58 => assert_eq!(found, Err(Skip::Truncated(Layer::Transport))),
            58..74 => assert_eq!(found.unwrap().body, Body::Ports { tcp: true, src_port: 1, dst_port: 2 }),
            _ => {
                let found = found.unwrap();
                let Body::Tcp(tcp) = found.body else { panic!("{found:?}") };
                assert_eq!((tcp.payload.len(), tcp.wire_payload_len), (captured - 74, 100));
                assert_eq!(found.frame_len, 174);
            }
        }
    }
}

#[test]
fn padding_and_trailers_are_not_payload() {
    let mut data = ethernet(&[], &hello());
    data.resize(64, 0x55);
    assert_eq!(say(LinkType::EN10MB, &data), HELLO);
    let mut data = ethernet(&[], &hello6());
    data.extend_from_slice(&[0x55; 9]);
    assert_eq!(say(LinkType::EN10MB, &data), HELLO6);
    // Behind the length of UDP, too.
    let mut body = udp(1, 2, b"hello");
    body.extend_from_slice(b"more");
    assert_eq!(say(LinkType::RAW, &v4(17, &body)), HELLO);
}

#[test]
fn segments_that_the_network_card_will_cut() {
    let frames = Frames::tcp("10.0.0.1:1", "10.0.0.2:2").mss(60_000).client(&[1; 60_000]).take();
    let mut data = frames[0].1.clone();
    data[16..18].fill(0);
    let Body::Tcp(tcp) = see(LinkType::EN10MB, &data).unwrap().body else { panic!() };
    assert_eq!((tcp.payload.len(), tcp.wire_payload_len), (60_000, 60_000));
    let frames = Frames::tcp("[::1]:1", "[::2]:2").mss(60_000).client(&[1; 60_000]).take();
    let mut data = frames[0].1.clone();
    data[18..20].fill(0);
    let Body::Tcp(tcp) = see(LinkType::EN10MB, &data).unwrap().body else { panic!() };
    assert_eq!((tcp.payload.len(), tcp.wire_payload_len), (60_000, 60_000));
    // "BIG TCP": a jumbogram of 100,000 bytes.
    let mut body = behind("0600 c204 00018748", &frames[0].1[54..74]);
    body.resize(100_168, b'x');
    let mut big = v6(0, &body);
    big[4..6].fill(0);
    let Body::Tcp(tcp) = see(LinkType::RAW, &big).unwrap().body else { panic!() };
    assert_eq!((tcp.payload.len(), tcp.wire_payload_len), (100_140, 100_140));
}

#[test]
fn links() {
    for (link, head) in [
        (LinkType::EN10MB, "020000000002 020000000001 0800"),
        (LinkType::EN10MB, "020000000002 020000000001 0029 aaaa03 000000 0800"),
        (LinkType::EN10MB, "020000000002 020000000001 0029 aaaa03 0000f8 0800"),
        (LinkType::EN10MB, "020000000002 020000000001 8870 aaaa03 000000 0800"),
        (LinkType::EN10MB, "020000000002 020000000001 0024 060603"),
        (LinkType::EN10MB, "020000000002 020000000001 8864 1100 0001 0023 0021"),
        (LinkType::EN10MB, "020000000002 020000000001 8864 1100 0001 0022 21"),
        (LinkType::EN10MB, "020000000002 020000000001 8847 00010040 00011140"),
        (LinkType::EN10MB, "020000000002 020000000001 8848 00011140 00000000 020000000002 020000000001 0800"),
        (LinkType::EN10MB, "020000000002 020000000001 8847 00011140 020000000002 020000000001 8100 0005 0800"),
        (LinkType::EN10MB, "020000000002 020000000001 894f 0fc60101 00000001 00000000 00000000 00000000 00000000"),
        (LinkType::EN10MB, "020000000002 020000000001 8926 80000001 0800"),
        (LinkType::EN10MB, "020000000002 020000000001 892f 00290001 0800"),
        (LinkType::EN10MB, "020000000002 020000000001 893f 000000000000 0800"),
        (LinkType::EN10MB, "020000000002 020000000001 8909 0101 00010002 0800"),
        (LinkType::EN10MB, "020000000002 020000000001 88e7 00000001 020000000002 020000000001 0800"),
        (LinkType::NULL, "02000000"),
        (LinkType::NULL, "00000002"),
        (LinkType::LOOP, "00000002"),
        (LinkType::RAW, ""),
        (LinkType::RAW_12, ""),
        (LinkType::RAW_14, ""),
        (LinkType::IPV4, ""),
        (LinkType::PPP, "ff03 0021"),
        (LinkType::PPP, "ff03 21"),
        (LinkType::PPP, "0021"),
        (LinkType::PPP, "21"),
        (LinkType::PPP_HDLC, "ff03 0021"),
        (LinkType::PPP_HDLC, "0f00 0800"),
        (LinkType::C_HDLC, "0f00 0800"),
        (LinkType::C_HDLC, "8f00 0800"),
        (LinkType::PPP_WITH_DIR, "0003 0021"),
        (LinkType::PPP_WITH_DIR, "01 0021"),
        (LinkType::PPP_ETHER, "1100 0001 0023 0021"),
        (LinkType::LINUX_SLL, "0004 0001 0006 0200000000010000 0800"),
        (LinkType::LINUX_SLL, "0004 0001 0006 0200000000010000 8100 0005 0800"),
        (LinkType::LINUX_SLL, "0004 0001 0006 0200000000010000 0004 aaaa03 000000 0800"),
        (LinkType::LINUX_SLL, "0004 030a 0004 0a00000100000000 0800"),
        (LinkType::LINUX_SLL2, "0800 0000 00000002 0001 04 06 0200000000010000"),
        (LinkType::FDDI, "50 020000000002 020000000001 aaaa03 000000 0800"),
        (LinkType::NFLOG, "02000000 0800 0100 08000201 0500 0a00 66000000 2500 0900"),
        (LinkType::NFLOG, "02000000 0008 0001 08000201 0025 0009"),
        (LinkType::PKTAP, "0c000000 01000000 65000000"),
        (LinkType(129), "be50a8e7 d4 00 0001"),
    ] {
        assert_eq!(say(link, &behind(head, &hello())), HELLO, "{link} {head}");
    }
    for (link, head) in [
        (LinkType::EN10MB, "020000000002 020000000001 86dd"),
        (LinkType::EN10MB, "020000000002 020000000001 8100 6005 86dd"),
        (LinkType::EN10MB, "020000000002 020000000001 8847 00011140"),
        (LinkType::EN10MB, "020000000002 020000000001 8864 1100 0001 0037 0057"),
        (LinkType::NULL, "0a000000"),
        (LinkType::NULL, "17000000"),
        (LinkType::NULL, "18000000"),
        (LinkType::NULL, "1c000000"),
        (LinkType::NULL, "1e000000"),
        (LinkType::NULL, "0000001e"),
        (LinkType::LOOP, "00000018"),
        (LinkType::RAW, ""),
        (LinkType::IPV6, ""),
        (LinkType::PPP, "57"),
        (LinkType::LINUX_SLL, "0000 0304 0006 0000000000000000 86dd"),
        (LinkType::LINUX_SLL2, "86dd 0000 00000001 0304 00 06 0000000000000000"),
    ] {
        assert_eq!(say(link, &behind(head, &hello6())), HELLO6, "{link} {head}");
    }
}

#[test]
fn frames_that_are_not_ip() {
    for (link, head, why) in [
        (LinkType::EN10MB, "ffffffffffff 020000000001 0806 0001", Skip::NotIp(0x0806)),
        (LinkType::EN10MB, "ffffffffffff 020000000001 8100 0005 0806", Skip::NotIp(0x0806)),
        (LinkType::EN10MB, "0180c2000000 020000000001 0026 424203 0000", Skip::NotIp(0)),
        (LinkType::EN10MB, "01000ccccccc 020000000001 0026 aaaa03 00000c 2000", Skip::NotIp(0x2000)),
        (LinkType::EN10MB, "ffffffffffff 020000000001 8863 1109 0000 0000", Skip::NotIp(0x8863)),
        (LinkType::EN10MB, "ffffffffffff 020000000001 8864 1100 0001 0004 c021 01", Skip::NotIp(0xc021)),
        (LinkType::EN10MB, "ffffffffffff 020000000001 8847 00011140 5000", Skip::NotIp(0x8847)),
        (LinkType::EN10MB, "ffffffffffff 020000000001 81", Skip::Truncated(Layer::Link)),
        (LinkType::EN10MB, "ffffffffffff 020000000001 8100 00", Skip::Truncated(Layer::Link)),
        (LinkType::EN10MB, "ffffffffffff 020000000001 0800 55", Skip::Truncated(Layer::Ipv4)),
        (LinkType::NULL, "07000000", Skip::NotIp(7)),
        (LinkType::LINUX_SLL, "0004 0338 0000 0000000000000000 0000", Skip::NotIp(0)),
        (LinkType::LINUX_SLL, "0004 0323 0006 0200000000010000 0019", Skip::Wireless),
        (LinkType::IEEE802_11_RADIOTAP, "00", Skip::Wireless),
        (LinkType::IEEE802_11, "", Skip::Wireless),
        (LinkType(147), "", Skip::UnknownLink(147)),
        (LinkType::PKTAP, "0c000000 01000000 02010000", Skip::Malformed(Layer::Link)),
        (LinkType::RAW, "", Skip::Truncated(Layer::Link)),
        (LinkType::RAW, "70", Skip::NotIp(0)),
    ] {
        assert_eq!(see(link, &behind(head, b"")), Err(why), "{link} {head}");
    }
    let many = [&tagged("", b"")[..], &[0x81, 0, 0, 1].repeat(17)].concat();
    assert_eq!(see(LinkType::EN10MB, &many), Err(Skip::Malformed(Layer::Link)));
}

#[test]
fn tags() {
    let found = see(LinkType::EN10MB, &tagged("88a8 0064 8100 e005 9100 2fff 0800", &hello())).unwrap();
    assert_eq!(found.vlans.as_slice(), [100, 5, 4095]);
    let found = see(LinkType::EN10MB, &tagged(&format!("{} 0800", "8100 0001".repeat(6)), &hello())).unwrap();
    assert_eq!(found.vlans.as_slice(), [1; 4], "no more are remembered");
    assert_eq!(show(&found), HELLO);
    let found = see(LinkType::EN10MB, &tagged("8100 e000 0800", &hello())).unwrap();
    assert_eq!(found.vlans.as_slice(), [0], "a priority");
}

#[test]
fn headers_that_contradict_themselves() {
    let broken = |at: usize, byte: u8| {
        let mut data = hello();
        data[at] = byte;
        say(LinkType::IPV4, &data)
    };
    let wrong = format!("{:?}", Skip::Malformed(Layer::Ipv4));
    assert_eq!(broken(0, 0x44), wrong, "four words of header");
    assert_eq!(broken(0, 0x65), wrong, "another version");
    assert_eq!(broken(3, 19), wrong, "less than the header");
    assert_eq!(broken(3, 20), format!("{:?}", Skip::Malformed(Layer::Transport)));
    assert_eq!(broken(0, 0x4f), wrong, "options past the end");
    let ports = "10.0.0.1 > 10.0.0.2 Ports { tcp: false, src_port: 1, dst_port: 2 }";
    assert_eq!(broken(25, 7), ports, "UDP shorter than its header");
    assert_eq!(broken(25, 14), ports, "UDP longer than its datagram");
    let mut tcp = Frames::tcp("10.0.0.1:1", "10.0.0.2:2").client(b"x").take().remove(0).1.split_off(14);
    tcp[32] = 0x40;
    assert_eq!(say(LinkType::IPV4, &tcp), "10.0.0.1 > 10.0.0.2 Ports { tcp: true, src_port: 1, dst_port: 2 }");
    tcp[32] = 0x60;
    assert_eq!(say(LinkType::IPV4, &tcp), "10.0.0.1 > 10.0.0.2 Ports { tcp: true, src_port: 1, dst_port: 2 }");
}

#[test]
fn options_of_a_syn() {
    let with = |options: &[u8]| {
        let frames = Frames::tcp("10.0.0.1:1", "10.0.0.2:2").segment(0, SYN, options, b"").take();
        let Body::Tcp(tcp) = see(LinkType::EN10MB, &frames[0].1).unwrap().body else { panic!() };
        (tcp.options.mss, tcp.options.window_scale, tcp.options.sack_permitted)
    };
    assert_eq!(with(&[]), (None, None, false));
    assert_eq!(with(&[1, 1, 3, 3, 200, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 2, 4, 1, 2]), (Some(258), Some(14), true));
    assert_eq!(with(&[0, 4, 2]), (None, None, false), "the end");
    assert_eq!(with(&[4, 2, 9, 0, 3, 3, 1]), (None, None, true), "a length of nothing");
    assert_eq!(with(&[4, 2, 3, 200, 1]), (None, None, true), "a length past the end");
    assert_eq!(with(&[4, 2, 1, 3]), (None, None, true), "no length");
}

#[test]
fn icmp_and_others() {
    let frames = Frames::icmp("10.0.0.1:0", "10.0.0.2:0").client(b"\x08\0\0\0abcd").take();
    let Body::Icmp { data, wire_len } = see(LinkType::EN10MB, &frames[0].1).unwrap().body else { panic!() };
    assert_eq!((data[0], wire_len), (8, 8));
    let frames = Frames::icmp("[::1]:0", "[::2]:0").client(b"\x80\0\0\0abcd").take();
    assert!(matches!(see(LinkType::EN10MB, &frames[0].1).unwrap().body, Body::Icmp { wire_len: 8, .. }));
    assert_eq!(see(LinkType::RAW, &v4(132, b"12345678")).unwrap().body, Body::Other(132));
    assert_eq!(see(LinkType::RAW, &v6(1, b"12345678")).unwrap().body, Body::Other(1), "ICMP is not for IPv6");
}

#[test]
fn extension_headers() {
    for (next, head) in [
        (0, "1100 010400000000"),
        (43, "1102 0000 00000000 20010db8000000000000000000000001"),
        (60, "1100 010400000000"),
        (0, "2b00 010400000000 3c00 0000 00000000 1100 010400000000"),
        (51, "1104 0000 00000001 00000001 000000000000000000000000"),
        (44, "1100 0000 00000007"),
        (135, "1100 010400000000"),
        (139, "1100 010400000000"),
        (140, "1100 010400000000"),
    ] {
        let body = behind(head, &udp(1, 2, b"hello"));
        assert_eq!(say(LinkType::RAW, &v6(next, &body)), HELLO6, "{next} {head}");
    }
    let body = behind("1104 0000 00000001 00000001 000000000000000000000000", &udp(1, 2, b"hello"));
    assert_eq!(say(LinkType::RAW, &v4(51, &body)), HELLO);
    assert_eq!(see(LinkType::RAW, &v6(59, b"anything")).unwrap().body, Body::Other(59));
    let chain = [&[60, 0, 1, 4, 0, 0, 0, 0].repeat(17)[..], &udp(1, 2, b"hello")].concat();
    assert_eq!(see(LinkType::RAW, &v6(60, &chain)), Err(Skip::Malformed(Layer::Extension)));
    assert_eq!(see(LinkType::RAW, &v6(60, &[17, 9, 1, 4, 0, 0, 0, 0])), Err(Skip::Malformed(Layer::Extension)));
    assert_eq!(see(LinkType::RAW, &v6(60, &[17, 0])), Err(Skip::Malformed(Layer::Extension)));
    assert_eq!(see(LinkType::RAW, &v6(60, &[17, 0, 0, 0, 0, 0, 0, 0])[..44]), Err(Skip::Truncated(Layer::Extension)));
}

/// Wraps a datagram into each tunnel.
fn tunnels() -> Vec<(&'static str, Vec<u8>)> {
    let bridged = ethernet(&[9], &hello());
    let in_udp = |port, head: &str, inner: &[u8]| v4(17, &udp(50_000, port, &behind(head, inner)));
    vec![
        ("IP in IP", v4(4, &hello())),
        ("IP in IPv6", v6(4, &hello())),
        ("GRE", v4(47, &behind("0000 0800", &hello()))),
        ("GRE with all", v4(47, &behind("b000 0800 12340000 00000001 00000002", &hello()))),
        ("GRE of frames", v4(47, &behind("2000 6558 00000001", &bridged))),
        ("GRE with labels", v4(47, &behind("0000 8847 00011140", &hello()))),
        ("PPTP", v4(47, &behind("3081 880b 0023 0001 00000001 00000002 0021", &hello()))),
        ("ERSPAN", v4(47, &behind("0000 88be", &bridged))),
        ("ERSPAN II", v4(47, &behind("1000 88be 00000001 1000000000000000", &bridged))),
        ("ERSPAN III", v4(47, &behind("1000 22eb 00000001 200000000000000000000000", &bridged))),
        ("ERSPAN III, long", v4(47, &behind("1000 22eb 00000001 200000000000000000000001 0000000000000000", &bridged))),
        ("WCCP", v4(47, &behind("0000 883e 00000000", &hello()))),
        ("EtherIP", v4(97, &behind("3000", &bridged))),
        ("MPLS in IP", v4(137, &behind("00011140", &hello()))),
        ("VXLAN", in_udp(4789, "08000000 00007b00", &bridged)),
        ("VXLAN of old", in_udp(8472, "08000000 00007b00", &bridged)),
        ("VXLAN-GPE", in_udp(4790, "0c000001 00007b00", &hello())),
        ("VXLAN-GPE with NSH", in_udp(4790, "0c000004 00007b00 0fc20203 00000101", &bridged)),
        ("GENEVE", in_udp(6081, "0000 6558 00000500", &bridged)),
        ("GENEVE with options", in_udp(6081, "0240 6558 00000500 01020304 01000000", &bridged)),
        ("GENEVE of IP", in_udp(6081, "0000 0800 00000500", &hello())),
        ("GTP-U", in_udp(2152, "30ff 0021 00000001", &hello())),
        ("GTP-U with more", in_udp(2152, "34ff 0029 00000001 00000085 01000000", &hello())),
        ("L2TP", in_udp(1701, "0002 0001 0002 ff03 0021", &hello())),
        ("L2TP with all", in_udp(1701, "4a02 0035 0001 0002 0003 0004 0002 0000 0021", &hello())),
        ("LISP", in_udp(4341, "80000001 00000001", &hello())),
        ("LISP's control", in_udp(4342, "80000000", &hello())),
        ("GRE, version 1", v4(47, &behind("3001 0800 00010285 00000001", &hello()))),
        ("GRE in UDP", in_udp(4754, "0000 0800", &hello())),
        ("MPLS in UDP", in_udp(6635, "00011140", &hello())),
    ]
}

#[test]
fn tunnels_are_opened() {
    for (name, data) in tunnels() {
        let found = see(LinkType::RAW, &data).unwrap();
        assert_eq!((show(&found), found.tunnels), (HELLO.into(), 1), "{name}");
        let tagged = ["GRE of", "ERSPAN", "EtherIP", "VXLAN of old", "GENEVE with"].iter().any(|n| name.starts_with(n));
        assert!(!tagged || found.vlans.as_slice() == [9], "{name}");
        let mut closed = Unwrapper::new(Settings { tunnels: false, ..Settings::default() });
        let found = closed.unwrap(&frame(LinkType::RAW, &data)).unwrap();
        assert_eq!((found.tunnels, matches!(found.body, Body::Udp(_) | Body::Other(_))), (0, true), "{name}");
    }
    assert_eq!(say(LinkType::RAW, &v4(41, &hello6())), HELLO6);
    assert_eq!(say(LinkType::RAW, &v4(17, &udp(3544, 40_000, &hello6()))), HELLO6);
    let auth = behind("0001 0000 0000000000000001 00 0000 fffe f5fffffe", &hello6());
    assert_eq!(say(LinkType::RAW, &v4(17, &udp(40_000, 3544, &auth))), HELLO6);
}

#[test]
fn what_only_looks_like_a_tunnel_stands() {
    for (name, port, head) in [
        ("VXLAN without its flag", 4789, "00000000 00007b00 020000000002 020000000001 0800"),
        ("GENEVE, version 1", 6081, "4000 0800 00000500"),
        ("GTP-U, an echo", 2152, "3001 0021 00000001"),
        ("ordinary bytes", 4789, "08"),
        ("ordinary bytes", 6635, "ffff"),
        ("ordinary bytes", 2152, "34ff 0029 00000001 00000085 00"),
    ] {
        let found = see(LinkType::RAW, &v4(17, &udp(50_000, port, &behind(head, &hello())))).unwrap();
        assert!(matches!(found.body, Body::Udp(u) if u.dst_port == port), "{name}");
    }
    let arp = behind("08000000 00007b00 ffffffffffff 020000000001 0806", &[0; 28]);
    let found = see(LinkType::RAW, &v4(17, &udp(50_000, 4789, &arp))).unwrap();
    assert_eq!((found.tunnels, found.vlans.as_slice()), (0, &[][..]), "the outside stands");
    let mut lies = hello();
    lies[2] = 1;
    let found = see(LinkType::RAW, &v4(17, &udp(50_000, 6081, &behind("0000 0800 00000500", &lies)))).unwrap();
    assert_eq!(found.tunnels, 0, "longer than what it stands in");
    assert_eq!(see(LinkType::RAW, &v4(4, b"nothing like IP")).unwrap().body, Body::Other(4));
    assert_eq!(see(LinkType::RAW, &v4(47, &behind("4000 0800 00000000", &hello()))).unwrap().body, Body::Other(47));
}

#[test]
fn tunnels_within_tunnels() {
    let mut data = hello();
    for depth in 1..=10_u8 {
        data = v4(4, &data);
        let found = see(LinkType::RAW, &data).unwrap();
        assert_eq!(found.tunnels, depth.min(MAX_TUNNELS));
        assert_eq!(matches!(found.body, Body::Udp(_)), depth <= MAX_TUNNELS);
    }
}

#[test]
fn every_frame_is_counted_once() {
    let mut unwrapper = Unwrapper::new(Settings::default());
    let arp = tagged("8100 0007 0806", b"");
    for (link, data) in [
        (LinkType::RAW, &hello()[..]),
        (LinkType::RAW, &hello()[..10]),
        (LinkType::EN10MB, &arp[..]),
        (LinkType::IEEE802_11, &b"x"[..]),
        (LinkType(147), &b"x"[..]),
        (LinkType::IPV4, &hello6()[..]),
        (LinkType::RAW, &v4(4, &hello())[..]),
    ] {
        let _ = unwrapper.unwrap(&frame(link, data));
        assert!(link != LinkType::EN10MB || unwrapper.vlans().as_slice() == [7]);
    }
    let expected = Counters {
        seen: 2,
        truncated: 1,
        not_ip: 1,
        wireless: 1,
        unknown_link: 1,
        malformed: 1,
        tunnels: 1,
        ..Counters::default()
    };
    assert_eq!(unwrapper.counters(), expected);
    assert_eq!(unwrapper.counters().frames(), 7);
}
