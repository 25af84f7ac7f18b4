//! Packets there and back, in pieces, damaged, too long.

use super::*;
use proptest::prelude::*;

/// The packets of a stream that comes in pieces of so many bytes, shown; then what is wrong with it.
fn read(stream: &[u8], piece: usize, payload: usize) -> Vec<String> {
    let (mut decoder, mut told) = (Decoder::new(payload), Vec::new());
    for part in stream.chunks(piece.max(1)) {
        decoder.room(part.len()).copy_from_slice(part);
        decoder.filled(part.len());
        loop {
            match decoder.next_packet() {
                Ok(None) => break,
                Ok(Some(packet)) => told.push(format!("{packet:?}")),
                Err(wrong) => {
                    told.push(wrong.to_string());
                    return told;
                }
            }
        }
        decoder.rest();
    }
    if !decoder.is_between() {
        told.push("more".into());
    }
    told
}

fn one(stream: &[u8]) -> String {
    let told = read(stream, stream.len(), 100);
    assert_eq!(told.len(), 1, "{told:?}");
    told.into_iter().next().unwrap()
}

fn shown(packet: Packet<'_>) -> String {
    format!("{packet:?}")
}

#[test]
fn the_standard_s_own_examples() {
    // 3.1.2 and 3.1.3: figure 3.6
    let connect = b"\x10\x1a\0\x04MQTT\x04\xc2\0\x0a\0\x02me\0\x03joe\0\x05\0\xff\x01\x02\x03";
    let want = Connect {
        level: 4,
        clean: true,
        keep_alive: 10,
        client_id: "me",
        will: None,
        user: Some("joe"),
        password: Some(b"\0\xff\x01\x02\x03"),
    };
    assert_eq!(one(connect), shown(Packet::Connect(want)));
    // 3.3.2, figure 3.11
    let publish = b"\x32\x09\0\x03a/b\0\x0ahi";
    let message = Publish { topic: "a/b", payload: b"hi", qos: 1, id: 10, ..Publish::default() };
    assert_eq!(one(publish), shown(Packet::Publish(message)));
    // 3.8.3, figure 3.23, and 3.10.3
    let Ok(Some(Packet::Subscribe { id: 10, topics })) =
        Packet::read(0x82, b"\0\x0a\0\x03a/b\x01\0\x03c/d\x02").map(Some)
    else {
        panic!("no SUBSCRIBE");
    };
    assert_eq!(topics.collect::<Vec<_>>(), [("a/b", 1), ("c/d", 2)]);
    let Ok(Packet::Unsubscribe { id: 10, topics }) = Packet::read(0xa2, b"\0\x0a\0\x03a/b\0\x03c/d") else {
        panic!("no UNSUBSCRIBE");
    };
    assert_eq!(topics.collect::<Vec<_>>(), [("a/b", 0), ("c/d", 0)]);
    for (bytes, packet) in [
        (&b"\x20\x02\x01\0"[..], Packet::ConnAck { session: true, code: 0 }),
        (b"\x20\x02\0\x05", Packet::ConnAck { session: false, code: 5 }),
        (b"\x90\x05\0\x0a\0\x02\x80", Packet::SubAck { id: 10, codes: &[0, 2, REFUSED] }),
        (b"\x40\x02\x01\x02", Packet::Reply(Reply::PubAck, 258)),
        (b"\x62\x02\0\x07", Packet::Reply(Reply::PubRel, 7)),
        (b"\xc0\0", Packet::PingReq),
        (b"\xd0\0", Packet::PingResp),
        (b"\xe0\0", Packet::Disconnect),
    ] {
        assert_eq!(one(bytes), shown(packet));
    }
    let of_31 = b"\x10\x10\0\x06MQIsdp\x03\x02\0\x3c\0\x02me";
    assert_eq!(
        one(of_31),
        shown(Packet::Connect(Connect {
            level: 3,
            clean: true,
            keep_alive: 60,
            client_id: "me",
            ..Connect::default()
        }))
    );
    // Of a version that is not known only its number is read.
    let of_5 = b"\x10\x0f\0\x04MQTT\x05\x02\0\x3c\0\0\x02me";
    assert_eq!(one(of_5), shown(Packet::Connect(Connect { level: 5, ..Connect::default() })));
}

#[test]
fn what_breaks_the_protocol_is_named() {
    for (bytes, wrong) in [
        (&b"\0\0"[..], Wrong::Kind(0)),
        (b"\xf0\0", Wrong::Kind(0xf0)),
        (b"\x82\x05\0\x01\0\x01a", Wrong::Malformed),
        (b"\x80\x06\0\x01\0\x01a\0", Wrong::Kind(0x80)),
        (b"\x60\x02\0\x01", Wrong::Kind(0x60)),
        (b"\x30\xff\xff\xff\xff\x01", Wrong::Length),
        (b"\x10\xff\xff\xff\x7f", Wrong::Long(MAX_REST)),
        (b"\x30\x01a", Wrong::Malformed),
        (b"\x30\x02\0\x01", Wrong::Malformed),
        (b"\x32\x04\0\x01ax", Wrong::Malformed),
        (b"\x32\x05\0\x01a\0\0", Wrong::Id),
        (b"\x36\x05\0\x01a\0\x01", Wrong::Qos),
        (b"\x30\x02\0\0", Wrong::Topic),
        (b"\x30\x05\0\x03a/+", Wrong::Topic),
        (b"\x30\x03\0\x01\xff", Wrong::Text),
        (b"\x30\x03\0\x01\0", Wrong::Text),
        (b"\x30\x05\0\x03\xed\xa0\x80", Wrong::Text),
        (b"\x82\x02\0\x01", Wrong::Malformed),
        (b"\x82\x06\0\x01\0\x01a\x03", Wrong::Malformed),
        (b"\x82\x08\0\x01\0\x03a#b\0", Wrong::Topic),
        (b"\xc0\x01a", Wrong::Malformed),
        (b"\x20\x02\x01\x01", Wrong::Malformed),
        (b"\x20\x02\x02\0", Wrong::Malformed),
        (b"\x90\x02\0\x01", Wrong::Malformed),
        (b"\x90\x03\0\x01\x03", Wrong::Malformed),
        (b"\x10\x08\0\x04HTTP\x04\x02", Wrong::Protocol),
        // A reserved flag, a will of QoS 3, a password without a user, bytes behind the end.
        (b"\x10\x0c\0\x04MQTT\x04\x03\0\0\0\0", Wrong::Malformed),
        (b"\x10\x10\0\x04MQTT\x04\x1e\0\0\0\0\0\0\0\0", Wrong::Malformed),
        (b"\x10\x0e\0\x04MQTT\x04\x42\0\0\0\0\0\0", Wrong::Malformed),
        (b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\0x", Wrong::Malformed),
    ] {
        assert_eq!(one(bytes), wrong.to_string(), "{}", bytes.escape_ascii());
    }
    assert_eq!(read(b"GET / HTTP/1.1\r\n\r\n", 5, 100), [Wrong::Kind(b'G').to_string()]);
}

#[test]
fn of_a_payload_that_is_too_long_the_beginning_is_told() {
    let mut stream = Vec::new();
    let payload: Vec<u8> = (0..3000).map(|n| b'a' + (n % 26) as u8).collect();
    let long = Publish { topic: "t", payload: &payload, qos: 1, id: 3, ..Publish::default() };
    assert!(publish(&long, &mut stream));
    assert!(publish(&Publish { payload: &payload[..1000], id: 4, ..long }, &mut stream));
    let want = [
        shown(Packet::Publish(Publish { payload: &payload[..1000], lost: 2000, ..long })),
        shown(Packet::Publish(Publish { payload: &payload[..1000], id: 4, ..long })),
    ];
    for piece in [1, 7, 1005, 4096] {
        assert_eq!(read(&stream, piece, 1000), want, "in pieces of {piece}");
    }
    // However long it says that it is, only so much is held.
    let mut decoder = Decoder::new(1000);
    for part in [&b"\x30\xff\xff\xff\x7f\0\x01t"[..]].into_iter().chain([&[b'x'; 4096][..]; 1000]) {
        decoder.room(part.len()).copy_from_slice(part);
        decoder.filled(part.len());
        assert_eq!(decoder.next_packet(), Ok(None));
    }
    assert!(decoder.memory() < 16 << 10, "{}", decoder.memory());
}

#[test]
fn topics_and_filters() {
    for (text, topic, filter) in [
        ("a", true, true),
        ("/", true, true),
        ("$SYS/x y/ü", true, true),
        ("", false, false),
        ("a\0b", false, false),
        ("#", false, true),
        ("a/#", false, true),
        ("+/+/#", false, true),
        ("a/+/b", false, true),
        ("a#", false, false),
        ("#/a", false, false),
        ("a+/b", false, false),
        ("a/b+", false, false),
    ] {
        assert_eq!((is_topic(text), is_filter(text)), (topic, filter), "{text:?}");
    }
    assert!(!is_topic(&"x".repeat(MAX_TEXT + 1)) && !is_filter(&"x".repeat(MAX_TEXT + 1)));
}

#[test]
fn what_cannot_be_a_message_is_not_written() {
    let mut out = Vec::new();
    assert!(!publish(&Publish { topic: "a/+", ..Publish::default() }, &mut out) && out.is_empty());
    let text = "x".repeat(MAX_TEXT + 1);
    assert!(!publish(&Publish { topic: &text, ..Publish::default() }, &mut out) && out.is_empty());
}

fn name() -> impl Strategy<Value = String> {
    "[^\0+#]{1,40}"
}

proptest! {
    #[test]
    fn messages_come_back(
        topic in name(), payload in prop::collection::vec(any::<u8>(), 0..300),
        qos in 0u8..3, flags: [bool; 2], id in 1u16.., piece in 1usize..60
    ) {
        let id = if qos == 0 { 0 } else { id };
        let [dup, retain] = flags;
        let message = Publish { topic: &topic, payload: &payload, qos, dup, retain, id, lost: 0 };
        let mut out = Vec::new();
        prop_assert!(publish(&message, &mut out));
        prop_assert_eq!(read(&out, piece, 1000), [shown(Packet::Publish(message))]);
        prop_assert_eq!(read(&out[..out.len() - 1], piece, 1000), ["more"]);
    }

    #[test]
    fn introductions_come_back(
        client_id in "[^\0]{0,30}", clean: bool, keep_alive: u16, will: Option<(String, Vec<u8>)>,
        user in prop::option::of("[^\0]{0,9}"), password: Option<Vec<u8>>
    ) {
        let will = will.as_ref().map(|(topic, message)| (topic.replace('\0', ""), message));
        let password = password.as_deref().filter(|_| user.is_some());
        let c = Connect {
            level: 4, clean, keep_alive, client_id: &client_id, user: user.as_deref(), password,
            will: will.as_ref().map(|(topic, message)| (topic.as_str(), message.as_slice())),
        };
        let mut out = Vec::new();
        connect(&c, &mut out);
        prop_assert_eq!(read(&out, out.len(), 0), [shown(Packet::Connect(c))]);
    }

    #[test]
    fn subscriptions_come_back(id in 1u16.., topics in prop::collection::vec((name(), 0u8..3), 1..9)) {
        let mut out = Vec::new();
        subscribe(id, topics.iter().map(|(filter, qos)| (filter.as_str(), *qos)), &mut out);
        let codes: Vec<u8> = topics.iter().map(|(_, qos)| *qos).collect();
        suback(id, &codes, &mut out);
        connack(false, 3, &mut out);
        let all = [Reply::PubAck, Reply::PubRec, Reply::PubRel, Reply::PubComp, Reply::UnsubAck];
        all.iter().for_each(|what| reply(*what, id, &mut out));
        out.extend([PINGREQ, PINGRESP, DISCONNECT].concat());
        let mut decoder = Decoder::new(0);
        decoder.room(out.len()).copy_from_slice(&out);
        decoder.filled(out.len());
        match decoder.next_packet() {
            Ok(Some(Packet::Subscribe { id: got, topics: mut filters })) => {
                prop_assert_eq!(got, id);
                prop_assert!(filters.by_ref().eq(topics.iter().map(|(filter, qos)| (filter.as_str(), *qos))));
            }
            other => prop_assert!(false, "{:?}", other),
        }
        prop_assert_eq!(decoder.next_packet(), Ok(Some(Packet::SubAck { id, codes: &codes })));
        prop_assert_eq!(decoder.next_packet(), Ok(Some(Packet::ConnAck { session: false, code: 3 })));
        for what in all {
            prop_assert_eq!(decoder.next_packet(), Ok(Some(Packet::Reply(what, id))));
        }
        for packet in [Packet::PingReq, Packet::PingResp, Packet::Disconnect] {
            prop_assert_eq!(decoder.next_packet(), Ok(Some(packet)));
        }
        prop_assert_eq!(decoder.next_packet(), Ok(None));
    }

    #[test]
    fn any_bytes_are_the_same_in_pieces(stream in prop::collection::vec(any::<u8>(), 0..200), piece in 1usize..40) {
        prop_assert_eq!(read(&stream, piece, 20), read(&stream, stream.len(), 20));
    }
}
