//! Streams of frames in pieces, and what is refused.

use super::*;
use proptest::prelude::*;

const LIMITS: Limits = Limits { window: 1000, event: 64, pairs: 4, unpacked: 1 << 20 };

fn json(seq: u32, text: &[u8], out: &mut Vec<u8>) {
    let start = begin_json(out);
    out.extend_from_slice(text);
    end_json(start, out);
    set_seq(&mut out[start..], seq);
}

fn pairs(seq: u32, pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = b"1D".to_vec();
    out.extend(seq.to_be_bytes());
    out.extend((pairs.len() as u32).to_be_bytes());
    for text in pairs.iter().flat_map(|(k, v)| [k, v]) {
        out.extend((text.len() as u32).to_be_bytes());
        out.extend(text.as_bytes());
    }
    out
}

/// What a decoder makes of a stream that comes in pieces of `piece` bytes, in words.
fn read_with(limits: Limits, stream: &[u8], piece: usize) -> Vec<String> {
    let mut decoder = Decoder::new(limits);
    let mut told = Vec::new();
    for part in stream.chunks(piece.max(1)) {
        decoder.room(part.len()).copy_from_slice(part);
        decoder.filled(part.len());
        loop {
            match decoder.next_frame() {
                Ok(Some(Frame::Window(version, n))) => told.push(format!("{version:?} {n}")),
                Ok(Some(Frame::Event { seq, event, last })) => {
                    let end = if last { "." } else { "" };
                    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
                    told.push(match event {
                        Event::Json(t) => format!("{seq} {}{end}", text(t)),
                        Event::Cut(t) => format!("{seq} cut {}{end}", text(t)),
                        Event::Pairs(p) => {
                            let all: Vec<_> = p.map(|(k, v)| format!("{}={}", text(k), text(v))).collect();
                            format!("{seq} {}{end}", all.join(" "))
                        }
                    });
                }
                Ok(None) => break,
                Err(wrong) => {
                    told.push(wrong.to_string());
                    return told;
                }
            }
        }
        decoder.rest();
    }
    told
}

fn read(stream: &[u8]) -> Vec<String> {
    let whole = read_with(LIMITS, stream, stream.len());
    for piece in [1, 2, 7] {
        assert_eq!(read_with(LIMITS, stream, piece), whole, "in pieces of {piece}");
    }
    whole
}

#[test]
fn both_versions_plain_and_packed() {
    let mut inner = Vec::new();
    json(2, b"{\"b\":2}", &mut inner);
    json(3, b"{}", &mut inner);
    let mut stream = window(3).to_vec();
    json(1, b"{\"a\":1}", &mut stream);
    pack(&inner, 3, &mut stream);
    stream.extend(b"1W\0\0\0\x02");
    stream.extend(pairs(7, &[("line", "hi"), ("", "x")]));
    pack(&pairs(8, &[]), 1, &mut stream);
    stream.extend(window(0));
    assert_eq!(read(&stream), ["V2 3", "1 {\"a\":1}", "2 {\"b\":2}", "3 {}.", "V1 2", "7 line=hi =x", "8 .", "V2 0"]);
}

#[test]
fn acknowledgements() {
    assert_eq!(ack(Version::V2, 258), *b"2A\0\0\x01\x02");
    assert_eq!(read_ack(&ack(Version::V1, u32::MAX)), Some(u32::MAX));
    assert_eq!(read_ack(b"2W\0\0\0\0"), None);
    assert_eq!(read_ack(b"3A\0\0\0\0"), None);
}

#[test]
fn a_long_event_is_cut_and_the_next_one_is_whole() {
    let mut frames = Vec::new();
    json(1, &[b'x'; 100], &mut frames);
    json(2, b"{}", &mut frames);
    let cut = format!("1 cut {}", "x".repeat(64));
    let plain = [&window(2)[..], &frames].concat();
    assert_eq!(read(&plain), ["V2 2", &cut, "2 {}."]);
    let mut packed = window(2).to_vec();
    pack(&frames, 9, &mut packed);
    assert_eq!(read(&packed), ["V2 2", &cut, "2 {}."]);
}

#[test]
fn what_is_refused() {
    let in_window = |frame: &[u8]| [&window(9)[..], frame].concat();
    let packed = |frames: &[u8]| {
        let mut out = Vec::new();
        pack(frames, 1, &mut out);
        out
    };
    let mut event = Vec::new();
    json(1, b"{}", &mut event);
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() - 1].to_vec();
    let table: &[(Vec<u8>, &str)] = &[
        (b"GET / HTTP/1.1\r\n".to_vec(), "a frame begins with 'G', not with version 1 or 2"),
        (b"2X".repeat(3), "a frame 'X' does not belong here"),
        (b"2A\0\0\0\x01".to_vec(), "a frame 'A' does not belong here"),
        (b"2W\xff\xff\xff\xff".to_vec(), "a window of 4294967295 events is more than is allowed"),
        (event.clone(), "an event that no window announced"),
        ([&window(1)[..], &event, &event].concat(), "an event that no window announced"),
        (b"2C\0\0\0\x09".to_vec(), "an event that no window announced"),
        (in_window(&packed(&packed(&event))), "a packed frame in a packed frame"),
        (in_window(&packed(&window(1))), "a frame 'W' does not belong here"),
        (in_window(&packed(&cut(event.clone()))), "a packed frame that ends within an event"),
        (in_window(b"2C\0\0\0\x04abcd"), "a packed frame that cannot be unpacked"),
        (in_window(b"2C\0\0\0\0"), "a packed frame that cannot be unpacked"),
        (in_window(&packed(&[0; 1 << 20])), "a frame begins with '\\u{0}', not with version 1 or 2"),
        (in_window(b"1D\0\0\0\x01\0\0\0\x05"), "an event of version 1 with too many pairs, or too long"),
        (
            in_window(b"1D\0\0\0\x01\0\0\0\x01\xff\xff\xff\xff"),
            "an event of version 1 with too many pairs, or too long",
        ),
    ];
    for (stream, why) in table {
        assert_eq!(read(stream).last().unwrap(), why, "{:?}", String::from_utf8_lossy(stream));
    }
}

#[test]
fn a_bomb_ends_at_the_limit_and_holds_no_memory() {
    let mut frames = Vec::new();
    (1..=20_000).for_each(|n| json(n, &[b' '; 60], &mut frames));
    let mut stream = window(1000).to_vec();
    pack(&frames, 9, &mut stream);
    assert!(stream.len() < frames.len() / 10);
    assert_eq!(read(&stream).last().unwrap(), "an event that no window announced");
    let limits = Limits { window: 1 << 20, unpacked: 500_000, ..LIMITS };
    let mut stream = window(20_000).to_vec();
    pack(&frames, 9, &mut stream);
    assert_eq!(read_with(limits, &stream, 999).last().unwrap(), "a packed frame that unpacks to more than is allowed");
    let mut decoder = Decoder::new(Limits { unpacked: u64::MAX, ..limits });
    decoder.room(stream.len()).copy_from_slice(&stream);
    decoder.filled(stream.len());
    let mut events = 0;
    while let Some(frame) = decoder.next_frame().unwrap() {
        events += usize::from(matches!(frame, Frame::Event { .. }));
    }
    assert_eq!(events, 20_000);
    assert!(decoder.is_between() && decoder.memory() <= 128 << 10, "{}", decoder.memory());
}

#[test]
fn a_huge_length_takes_no_memory() {
    let mut decoder = Decoder::new(Limits { event: 4 << 30, ..LIMITS });
    let stream = [&window(1)[..], b"2J\0\0\0\x01\xff\xff\xff\xff{"].concat();
    decoder.room(stream.len()).copy_from_slice(&stream);
    decoder.filled(stream.len());
    while decoder.next_frame().unwrap().is_some() {}
    assert!(decoder.memory() < 1024 && !decoder.is_between());
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces(bytes in proptest::collection::vec(any::<u8>(), 0..300), piece in 1..40usize, packed: bool) {
        let mut stream = window(5).to_vec();
        if packed { pack(&bytes, 1, &mut stream) } else { stream.extend(&bytes) }
        prop_assert_eq!(read_with(LIMITS, &stream, piece), read_with(LIMITS, &stream, stream.len()));
    }

    #[test]
    fn there_and_back(texts in proptest::collection::vec("[ -~]{0,60}", 1..9), level in 0..10u32, piece in 1..80usize) {
        let mut frames = Vec::new();
        texts.iter().zip(1..).for_each(|(text, seq)| json(seq, text.as_bytes(), &mut frames));
        let mut stream = window(texts.len() as u32).to_vec();
        if level > 0 { pack(&frames, level, &mut stream) } else { stream.extend(&frames) }
        let mut want = vec![format!("V2 {}", texts.len())];
        want.extend(texts.iter().zip(1..).map(|(text, seq)| format!("{seq} {text}")));
        want.last_mut().unwrap().push('.');
        prop_assert_eq!(read_with(LIMITS, &stream, piece), want);
    }
}
