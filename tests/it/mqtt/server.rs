//! The input as a server, beside clients: scripted ones, hostile ones, those of mosquitto.

use super::client::{Client, USUAL};
use super::mosquitto::{Mosquitto, publish};
use crate::lab::{Lab, Proc, TcpSink, free_port, refused_port};
use collector::fmt::mqtt::{Connect, PINGREQ, Publish, Reply, subscribe};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const JSON: &str = "[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n    Json_Date_Key false\n";

fn conf(port: u16, keys: &str, outputs: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.05\n    Grace 3\n    scheduler.base 1\n    scheduler.cap 1\n[INPUT]\n    Name mqtt\n    Tag in\n    \
         Listen 127.0.0.1\n    Port {port}\n{keys}{outputs}"
    )
}

fn start(lab: &Lab, keys: &str, outputs: &str) -> (Proc, u16) {
    let port = free_port();
    let mut run = lab.start(&conf(port, keys, outputs));
    run.wait_stderr("listening on");
    (run, port)
}

fn tcp(port: u16) -> String {
    format!(
        "[OUTPUT]\n    Name tcp\n    Match *\n    Host 127.0.0.1\n    Port {port}\n    Format json_lines\n    Json_Date_Key false\n"
    )
}

/// The numbers of `"n":1,` and so on.
fn numbers(text: &str) -> Vec<u32> {
    text.split("\"n\":").skip(1).filter_map(|t| t.split([',', '}']).next()?.parse().ok()).collect()
}

#[test]
fn messages_of_each_quality_become_records() {
    let lab = Lab::new("mqtt-in");
    let (mut run, port) = start(&lab, "", JSON);
    let mut client = Client::connect(port);
    client.publish(0, 0, "home/a", br#"{"key1":123,"key2":"x"}"#);
    client.slowly(true);
    client.publish(1, 7, "home/b", b"23.5");
    client.publish(2, 7, "home/c", b"on");
    // Twice the same: it is not new before its number is released.
    client.publish(2, 7, "home/c", b"on");
    client.slowly(false);
    for want in ["PubAck 7", "PubRec 7", "PubRec 7"] {
        assert_eq!(client.answer().as_deref(), Some(want));
    }
    client.reply(Reply::PubRel, 7);
    assert_eq!(client.answer().as_deref(), Some("PubComp 7"));
    client.publish(2, 7, "home/c", b"off");
    assert_eq!(client.answer().as_deref(), Some("PubRec 7"));
    client.send(&PINGREQ);
    assert_eq!(client.answer().as_deref(), Some("PingResp"));
    let mut out = Vec::new();
    subscribe(9, [("a/#", 1), ("b", 0)].into_iter(), &mut out);
    client.send(&out);
    assert_eq!(client.answer().as_deref(), Some("SubAck { id: 9, codes: [128, 128] }"));
    client.send(b"\xa2\x05\0\x0a\0\x01a");
    assert_eq!(client.answer().as_deref(), Some("UnsubAck 10"));
    client.send(b"\xe0\0");
    assert!(client.is_closed());
    run.wait_stderr("a client wants to subscribe");
    let done = run.term().code(0).says(&["input mqtt.0: 4 records"]);
    let want = [
        r#"{"topic":"home/a","key1":123,"key2":"x"}"#,
        r#"{"topic":"home/b","payload":23.5}"#,
        r#"{"topic":"home/c","payload":"on"}"#,
        r#"{"topic":"home/c","payload":"off"}"#,
    ];
    assert_eq!(done.stdout.lines().collect::<Vec<_>>(), want);
}

#[test]
fn what_cannot_be_delivered_is_not_acknowledged() {
    let lab = Lab::new("mqtt-in-waits");
    let (held, down) = refused_port();
    let (run, port) = start(&lab, "    Payload_Key p\n", &tcp(down));
    let mut client = Client::connect(port);
    client.publish(1, 1, "t", br#"{"n":1}"#);
    client.send(&PINGREQ);
    assert_eq!(client.answer().as_deref(), Some("PingResp"), "the connection is alive");
    lab.wait("an attempt", || run.stderr().contains("connection refused"));
    assert!(client.is_silent());
    drop(held);
    let sink = TcpSink::at(down);
    assert_eq!(client.answer().as_deref(), Some("PubAck 1"));
    lab.wait("the record", || sink.text() == "{\"topic\":\"t\",\"p\":{\"n\":1}}\n");
    run.term().code(0);
}

#[test]
fn records_in_chunk_files_are_acknowledged() {
    let lab = Lab::new("mqtt-in-stored");
    let (_held, down) = refused_port();
    let port = free_port();
    let text =
        conf(port, "    storage.type filesystem\n", &tcp(down)).replace("Grace 3", "Grace 1\n    storage.path chunks");
    let mut run = lab.start(&text);
    run.wait_stderr("listening on");
    let mut client = Client::connect(port);
    client.publish(1, 1, "t", br#"{"n":1}"#);
    assert_eq!(client.answer().as_deref(), Some("PubAck 1"));
    run.kill();
    let sink = TcpSink::at(down);
    let run = lab.start(&text);
    lab.wait("what the killed program had acknowledged", || sink.text().contains("\"n\":1"));
    run.term().code(0);
}

#[test]
fn without_waiting_for_delivery() {
    let lab = Lab::new("mqtt-in-received");
    let (_held, down) = refused_port();
    let (run, port) = start(&lab, "    Ack received\n", &tcp(down));
    let mut client = Client::connect(port);
    client.publish(1, 1, "t", b"x");
    assert_eq!(client.answer().as_deref(), Some("PubAck 1"));
    run.kill();
}

/// What is on its way at the end is delivered and acknowledged; a client that has said everything hears it, too.
#[test]
fn the_last_acknowledgements_come_with_the_end() {
    let lab = Lab::new("mqtt-in-end");
    let (held, down) = refused_port();
    let (run, port) = start(&lab, "", &tcp(down));
    let (mut open, mut half) = (Client::connect(port), Client::connect(port));
    open.publish(1, 1, "t", b"x");
    half.publish(1, 2, "t", b"y");
    half.shut();
    lab.wait("an attempt", || run.stderr().contains("connection refused"));
    run.signal(rustix::process::Signal::TERM);
    drop(held);
    let _sink = TcpSink::at(down);
    assert_eq!(open.answer().as_deref(), Some("PubAck 1"));
    assert_eq!(half.answer().as_deref(), Some("PubAck 2"));
    assert!(open.is_closed() && half.is_closed());
    run.wait().code(0);
}

#[test]
fn who_is_let_in() {
    let lab = Lab::new("mqtt-in-login");
    let (mut run, port) = start(&lab, "    User me\n    Password s3cret\n", JSON);
    let with = |user: Option<&'static str>, password: Option<&'static [u8]>| Connect { user, password, ..USUAL };
    for (how, code) in [
        (with(None, None), 4),
        (with(Some("me"), None), 4),
        (with(Some("me"), Some(b"s3cre")), 4),
        (with(Some("you"), Some(b"s3cret")), 4),
        (Connect { clean: false, ..with(Some("me"), Some(b"s3cret")) }, 2),
    ] {
        let mut client = Client::silent(port).unwrap();
        client.introduce(&how);
        assert_eq!(client.answer(), Some(format!("ConnAck {{ session: false, code: {code} }}")), "{how:?}");
        assert!(client.is_closed());
    }
    let mut newer = Client::silent(port).unwrap();
    newer.send(b"\x10\x10\0\x04MQTT\x05\x02\0\x3c\0\0\x03new");
    assert_eq!(newer.answer().as_deref(), Some("ConnAck { session: false, code: 1 }"));
    assert!(newer.is_closed());
    run.wait_stderr("it does not speak MQTT 3.1.1 (level 5)");
    run.wait_stderr("its user and password are not those of User and Password");
    let mut client = Client::introduced(port, &with(Some("me"), Some(b"s3cret"))).unwrap();
    client.publish(1, 1, "t", b"x");
    assert_eq!(client.answer().as_deref(), Some("PubAck 1"));
    run.term().code(0).says(&["6 refused clients"]);
}

/// Clients that break the protocol are closed and named; another one is served meanwhile, and memory stays bounded.
#[test]
fn nonsense_is_refused_and_others_served() {
    let lab = Lab::new("mqtt-in-hostile");
    let (mut run, port) = start(&lab, "    Buffer_Size 64K\n", JSON);
    let mut good = Client::connect(port);
    let hello = || {
        let mut out = Vec::new();
        collector::fmt::mqtt::connect(&USUAL, &mut out);
        out
    };
    let after = |bytes: &[u8]| [&hello()[..], bytes].concat();
    let table: &[(&str, Vec<u8>)] = &[
        ("no packet of MQTT begins with the byte 0x47", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("its first packet is not CONNECT", b"\x30\x03\0\x01t".to_vec()),
        ("its first packet is of another protocol", b"\x10\x08\0\x04HTTP\x04\x02".to_vec()),
        ("the length of a packet has more than four bytes", after(b"\x30\xff\xff\xff\xff\x01")),
        ("a packet of 268435455 bytes that is no message", after(b"\x82\xff\xff\xff\x7f")),
        ("a second CONNECT from a client", [hello(), hello()].concat()),
        ("a server's packet from a client", after(b"\xd0\0")),
        ("a packet whose length does not fit", after(b"\x32\x03\0\x09t")),
        ("a packet with the number 0", after(b"\x32\x05\0\x01t\0\0")),
        ("a message of QoS 3", after(b"\x36\x05\0\x01t\0\x01")),
        ("a topic that cannot be one", after(b"\x30\x03\0\x01#")),
    ];
    for (why, bytes) in table {
        let mut bad = Client::silent(port).unwrap();
        bad.send(bytes);
        assert!(bad.is_closed(), "{why}");
        run.wait_stderr(why);
    }
    // Cut in the middle of a packet: nothing of it is taken.
    let mut cut = Client::connect(port);
    cut.send(b"\x32\x20\0\x01t\0\x01{\"lost\":");
    drop(cut);
    // Of 100 MB that say they were one message the beginning is kept.
    let before = peak_mib(&run);
    let mut endless = Client::connect(port);
    let len = (100 << 20) + 5;
    let mut head = vec![0x32];
    head.extend([0, 7, 14].map(|shift| (len >> shift) as u8 & 0x7f | 0x80));
    head.push((len >> 21) as u8);
    endless.send(&[&head[..], b"\0\x01e\0\x05"].concat());
    for _ in 0..100 {
        assert!(endless.send(&vec![b'x'; 1 << 20]));
    }
    assert_eq!(endless.answer().as_deref(), Some("PubAck 5"), "what is kept of it is safe");
    run.wait_stderr("payloads longer than Buffer_Size were cut");
    // Many that begin a long message and never end it.
    let half: Vec<Client> = (0..200)
        .map(|_| {
            let mut client = Client::connect(port);
            client.send(&[b"\x30\xff\xff\x03\0\x01h".as_slice(), &[b'h'; 40_000]].concat());
            client
        })
        .collect();
    good.publish(1, 1, "good", b"1");
    assert_eq!(good.answer().as_deref(), Some("PubAck 1"));
    let grown = peak_mib(&run) - before;
    assert!(grown < 48, "{grown} MiB");
    drop(half);
    let done = run.term().code(0).says(&["cut messages", "protocol errors"]);
    let lines: Vec<_> = done.stdout.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("{\"topic\":\"e\",\"payload\":\"xxx"), "{}", lines.len());
    assert!(!done.stdout.contains("lost"));
}

fn peak_mib(run: &Proc) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", run.pid())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn who_dawdles_is_closed_and_who_comes_again_is_served() {
    let lab = Lab::new("mqtt-in-silent");
    let (run, port) = start(&lab, "    net.accept_timeout 1\n    net.max_connections 5\n", JSON);
    let mut nobody = Client::silent(port).unwrap();
    let with = |client_id, keep_alive| Client::introduced(port, &Connect { client_id, keep_alive, ..USUAL });
    let mut silent = with("silent", 1).unwrap();
    let mut loris = with("loris", 1).unwrap();
    let mut lively = with("lively", 1).unwrap();
    let began = Instant::now();
    // A byte now and then is no packet.
    let mut slow = b"\x30\x7f\0\x01t".iter().chain(std::iter::repeat(&b'x'));
    while began.elapsed() < Duration::from_secs(3) {
        lively.send(&PINGREQ);
        assert_eq!(lively.answer().as_deref(), Some("PingResp"));
        loris.send(&[*slow.next().unwrap()]);
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(nobody.is_closed() && silent.is_closed() && loris.is_closed());
    // The same name again: the older connection is closed, as if it hung half-open.
    let mut again = with("lively", 0).unwrap();
    assert!(lively.is_closed());
    again.publish(1, 1, "t", b"x");
    assert_eq!(again.answer().as_deref(), Some("PubAck 1"));
    // A flood: no more are let in than allowed, and when they go others are.
    let flood: Vec<_> = (0..50).map(|_| Client::silent(port)).collect();
    again.send(&PINGREQ);
    assert_eq!(again.answer().as_deref(), Some("PingResp"));
    drop(flood);
    assert!(with("late", 0).is_some());
    run.term().code(0).says(&["2 silent clients"]);
}

/// A client that sends again what was not acknowledged, its connection cut anywhere, and a collector that is killed again and again.
#[test]
fn kills_and_cut_connections_lose_nothing() {
    const ALL: u32 = 20_000;
    let lab = Lab::new("mqtt-in-kills");
    let (sink, port) = (TcpSink::new(), free_port());
    lab.write("collector.conf", conf(port, "", &tcp(sink.port())));
    let sender = std::thread::spawn(move || {
        let (mut open, mut next, mut rounds): (BTreeSet<u32>, u32, u32) = (BTreeSet::new(), 0, 0);
        while next < ALL || !open.is_empty() {
            rounds += 1;
            let Some(mut client) = Client::introduced(port, &Connect { client_id: "sender", ..USUAL }) else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            // A window of them, those that are left first.
            while open.len() < 500 && next < ALL {
                open.insert(next);
                next += 1;
            }
            let mut out = Vec::new();
            for (n, id) in open.iter().zip(1..) {
                let payload = format!("{{\"n\":{n}}}").into_bytes();
                let message = Publish { topic: "t", payload: &payload, qos: 1, id, ..Publish::default() };
                assert!(collector::fmt::mqtt::publish(&message, &mut out));
            }
            let cut = if rounds % 7 == 0 { out.len() / 3 + 5 } else { out.len() };
            client.send(&out[..cut]);
            let sent: Vec<u32> = open.iter().copied().collect();
            while !open.is_empty() {
                if cut < out.len() && open.len() <= 340 {
                    break;
                }
                let Some(answer) = client.answer() else { break };
                let id: usize = answer.strip_prefix("PubAck ").unwrap().parse().unwrap();
                open.remove(&sent[id - 1]);
            }
        }
    });
    let mut run = lab.spawn(&["-c", "collector.conf"]);
    for _ in 0..5 {
        let before = sink.bytes().len();
        lab.wait("some of it", || sender.is_finished() || sink.bytes().len() > before + 30_000);
        run.kill();
        run = lab.spawn(&["-c", "collector.conf"]);
    }
    sender.join().unwrap();
    lab.wait("all of it", || numbers(&sink.text()).into_iter().collect::<BTreeSet<_>>().len() == ALL as usize);
    run.term().code(0);
}

#[test]
fn clients_of_mosquitto() {
    let lab = Lab::new("mqtt-in-pub");
    if Mosquitto::start(&lab, "broker", "").is_none() {
        return;
    }
    let (run, port) = start(&lab, "", JSON);
    let lines: Vec<String> = (0..20_000).map(|n| format!("{{\"n\":{n},\"text\":\"{n:0>100}\"}}")).collect();
    assert!(publish(port, "s/x", &lines, &[]));
    for more in [&["-q", "2"][..], &["-V", "mqttv31"], &["-k", "5", "-i", "me"]] {
        assert!(publish(port, "s/y", &["{\"n\":1}".into()], more), "{more:?}");
    }
    let done = run.term().code(0).says(&["input mqtt.0: 20003 records"]);
    assert_eq!(numbers(&done.stdout)[..20_000], (0..20_000).collect::<Vec<_>>());
}

#[cfg(feature = "tls")]
#[test]
fn clients_of_mosquitto_over_tls() {
    let lab = Lab::new("mqtt-in-tls");
    if Mosquitto::start(&lab, "broker", "").is_none() {
        return;
    }
    let key = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let crt = lab.write("s.crt", key.cert.pem()).display().to_string();
    lab.write("s.key", key.signing_key.serialize_pem());
    let tls = "    tls on\n    tls.crt_file s.crt\n    tls.key_file s.key\n    User me\n    Password s3cret\n";
    let (mut run, port) = start(&lab, tls, JSON);
    let lines: Vec<String> = (0..1000).map(|n| format!("{{\"n\":{n}}}")).collect();
    assert!(publish(port, "s", &lines, &["--cafile", &crt, "-u", "me", "-P", "s3cret"]));
    assert!(!publish(port, "s", &lines, &["--cafile", &crt, "-u", "me", "-P", "wrong"]));
    run.wait_stderr("its user and password");
    run.term().code(0).says(&["input mqtt.0: 1000 records"]);
}

/// A broker that passes its messages on to us, and we are killed again and again: it sends again what we did not acknowledge.
#[test]
fn a_bridge_of_mosquitto_loses_nothing() {
    const ALL: u32 = 20_000;
    let lab = Lab::new("mqtt-in-bridge");
    let (sink, port) = (TcpSink::new(), free_port());
    let bridge = format!(
        "connection us\naddress 127.0.0.1:{port}\ntopic # out 1\ncleansession false\nnotifications false\ntry_private false\n\
         restart_timeout 1\nbridge_attempt_unsubscribe false\n"
    );
    let Some(broker) = Mosquitto::start(&lab, "broker", &bridge) else { return };
    lab.write("collector.conf", conf(port, "", &tcp(sink.port())));
    let mut run = lab.spawn(&["-c", "collector.conf"]);
    for round in 0..4 {
        let lines: Vec<String> = (round * ALL / 4..(round + 1) * ALL / 4).map(|n| format!("{{\"n\":{n}}}")).collect();
        let before = sink.bytes().len();
        assert!(publish(broker.port, "s/x", &lines, &[]));
        lab.wait("some of it", || sink.bytes().len() > before);
        if round < 3 {
            run.kill();
            run = lab.spawn(&["-c", "collector.conf"]);
        }
    }
    let seen = || numbers(&sink.text()).into_iter().collect::<BTreeSet<_>>().len();
    lab.wait("all of it", || seen() == ALL as usize);
    println!("{} records for {ALL} messages", numbers(&sink.text()).len());
    run.term().code(0);
}
