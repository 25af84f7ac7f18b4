//! The input beside scripted peers.

use super::{STDOUT, ack, chunk, connect, expect, knock, listen};
use crate::lab::{Lab, free_port, is_native, refused_port, until};
use collector::fmt::codec::Codec;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::time::Duration;

#[test]
fn every_mode_and_its_acknowledgement() {
    let lab = Lab::new("forward-modes");
    let port = free_port();
    let out = "[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n    Json_Date_Format epoch_ms\n";
    let mut run = listen(&lab, port, "    Tag_Prefix in.\n", out);
    let mut peer = connect(port);
    peer.write_all(b"\x93\xa1t\x05\x81\xa1a\xa3one").unwrap();
    peer.write_all(
        b"\x94\xa1t\xd7\x00\x00\x00\x00\x06\x00\x0f\x42\x40\x81\xa1a\xa3two\x82\xa5chunk\xa1x\xa8metadata\x81\xa1m\x01",
    )
    .unwrap();
    expect(&mut peer, &ack("x"));
    let events =
        b"\x92\x07\x81\xa1a\xa5three\x92\x92\xc7\x08\x00\x00\x00\x00\x08\x00\x00\x00\x00\x81\xa1m\x02\x81\xa1a\xa4four";
    let packed = |bytes: &[u8], option: &[u8]| {
        [&b"\x93\xa1t\xc6"[..], &(bytes.len() as u32).to_be_bytes(), bytes, option].concat()
    };
    peer.write_all(&[b"\x93\xa1t\x92", &events[..], b"\x81\xa5chunk\xa1y"].concat()).unwrap();
    expect(&mut peer, &ack("y"));
    peer.write_all(&packed(events, b"\x81\xa5chunk\xa1z")).unwrap();
    expect(&mut peer, &ack("z"));
    for (codec, word) in [(Codec::Gzip, b"gzip"), (Codec::Zstd, b"zstd")] {
        // Two members behind each other, as Fluentd's buffers have them.
        let mut bytes = Vec::new();
        codec.pack(events, &mut bytes);
        codec.pack(events, &mut bytes);
        peer.write_all(&packed(&bytes, &[&b"\x82\xaacompressed\xa4"[..], word, b"\xa5chunk\xa1c"].concat())).unwrap();
        expect(&mut peer, &ack("c"));
    }
    run.wait_stdout(r#"{"date":5000,"a":"one"}"#);
    run.wait_stdout(r#"{"date":6001,"__internal__":{"log_metadata":{"m":1}},"a":"two"}"#);
    let four = r#"{"date":8000,"__internal__":{"log_metadata":{"m":2}},"a":"four"}"#;
    run.wait_for("all of them", |run| run.stdout().matches(four).count() == 6);
    run.term().code(0).says(&["input forward.0: 14 records", "5 acknowledged"]);
}

#[test]
fn messages_in_single_bytes_and_many_at_once() {
    let lab = Lab::new("forward-pieces");
    let port = free_port();
    let mut run = listen(&lab, port, "", STDOUT);
    let all: Vec<u8> = (0..50).flat_map(|n| chunk("t", n..n + 1, &format!("{n:02}"))).collect();
    let (mut slow, mut fast) = (connect(port), connect(port));
    for byte in &all[..all.len() / 5] {
        slow.write_all(&[*byte]).unwrap();
    }
    slow.write_all(&all[all.len() / 5..]).unwrap();
    fast.write_all(&all).unwrap();
    for stream in [&mut slow, &mut fast] {
        let mut got = vec![0; 50 * ack("00").len()];
        stream.read_exact(&mut got).unwrap();
        for n in 0..50 {
            let wanted = ack(&format!("{n:02}"));
            assert!(got.windows(wanted.len()).any(|w| w == wanted), "{n}");
        }
    }
    run.wait_for("all", |run| run.stdout().lines().count() == 100);
    run.term().code(0);
}

#[test]
fn the_handshake() {
    let lab = Lab::new("forward-key");
    let port = free_port();
    let keys = "    Shared_Key k\n    Self_Hostname srv\n    Security.Users bob pw\n    Security.Users eve pw2\n";
    let mut run = listen(&lab, port, keys, STDOUT);
    for (key, user, password, verdict) in [
        ("k", "bob", "pw", Ok(())),
        ("no", "bob", "pw", Err("shared_key mismatch".to_owned())),
        ("k", "bob", "pw2", Err("username/password mismatch".to_owned())),
        ("k", "eve", "pw2", Ok(())),
    ] {
        let mut peer = connect(port);
        assert_eq!(knock(&mut peer, key, user, password), verdict, "{key} {user}");
        peer.write_all(&chunk("t", 1..2, "id")).unwrap();
        if verdict.is_ok() {
            expect(&mut peer, &ack("id"));
        } else {
            let _ = peer.read(&mut [0; 9]);
        }
    }
    // Without a handshake, and one who says nothing.
    let mut rude = connect(port);
    rude.write_all(&chunk("t", 7..8, "id")).unwrap();
    let _silent = connect(port);
    run.wait_stderr("127.0.0.1: refused: its Shared_Key is another one");
    run.wait_stderr("refused: its user name and password are none of security.users");
    run.wait_stderr("refused: it began without the handshake of a Shared_Key");
    run.wait_for("both", |run| run.stdout().matches("{\"n\":1}").count() == 2);
    assert!(!run.stdout().contains("{\"n\":7}"));
    run.term().code(0).says(&["3 refused peers"]);
}

#[test]
fn unix_sockets_heartbeats_and_fixed_tags() {
    let lab = Lab::new("forward-unix");
    let path = lab.path("s");
    let keys = format!("    Unix_Path {}\n    Unix_Perm 0600\n    Tag own\n", path.display());
    let outs = "[OUTPUT]\n    Name stdout\n    Match own\n    Format json_lines\n    Json_Date_Key false\n";
    let mut run = listen(&lab, free_port(), &keys, outs);
    UnixStream::connect(&path).unwrap().write_all(b"\x93\xa1t\x05\x81\xa1a\xa3one").unwrap();
    run.wait_stdout("{\"a\":\"one\"}");
    run.term().code(0);
    assert!(!path.exists());

    let port = free_port();
    let run = listen(&lab, port, "", STDOUT);
    let beat = UdpSocket::bind("127.0.0.1:0").unwrap();
    beat.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    beat.send_to(b"\0", ("127.0.0.1", port)).unwrap();
    let mut buf = [9; 8];
    assert_eq!((beat.recv(&mut buf).unwrap(), buf[0]), (1, 0));
    run.term().code(0);
}

#[test]
fn acknowledged_when_delivered_or_stored_and_not_before() {
    let (_held, dead) = refused_port();
    let down = format!("[OUTPUT]\n    Name tcp\n    Match *\n    Host 127.0.0.1\n    Port {dead}\n");
    let lab = Lab::new("forward-durable");
    let port = free_port();
    let run = listen(&lab, port, "", &down);
    let mut peer = connect(port);
    peer.set_read_timeout(Some(Duration::from_millis(800))).unwrap();
    peer.write_all(&chunk("t", 0..3, "id")).unwrap();
    assert!(peer.read(&mut [0; 9]).is_err(), "the destination is down: nothing is acknowledged");
    run.kill();

    let port = free_port();
    let run = listen(&lab, port, "    Ack received\n", &down);
    let mut peer = connect(port);
    peer.write_all(&chunk("t", 0..3, "id")).unwrap();
    expect(&mut peer, &ack("id"));
    run.kill();

    let lab = Lab::new("forward-stored");
    let port = free_port();
    let conf = |out: &str| {
        format!(
            "[SERVICE]\n    Flush 0.05\n    storage.path chunks\n[INPUT]\n    Name forward\n    Listen 127.0.0.1\n    Port {port}\n    \
             storage.type filesystem\n{out}"
        )
    };
    let mut run = lab.start(&conf(&down));
    run.wait_stderr("listening on");
    let mut peer = connect(port);
    peer.write_all(&chunk("t", 0..1000, "id")).unwrap();
    expect(&mut peer, &ack("id"));
    run.kill();
    let mut run = lab.start(&conf(STDOUT));
    run.wait_for("what was acknowledged", |run| run.stdout().lines().count() == 1000);
    run.term().code(0);
}

#[test]
fn the_last_acknowledgements_are_sent_at_the_end() {
    let lab = Lab::new("forward-end");
    let port = free_port();
    let run = lab.start(&format!(
        "[SERVICE]\n    Flush 30\n[INPUT]\n    Name forward\n    Listen 127.0.0.1\n    Port {port}\n{STDOUT}"
    ));
    assert!(until(|| run.stderr().contains("listening on")));
    let mut peer = connect(port);
    // Of these only the last one is waited for: nothing hurries the others.
    peer.write_all(&chunk("t", 0..10, "aa")).unwrap();
    peer.write_all(&chunk("u", 0..10, "bb")).unwrap();
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        peer.read_to_end(&mut got).unwrap();
        got
    });
    std::thread::sleep(Duration::from_millis(300));
    let done = run.term().code(0);
    assert_eq!(reader.join().unwrap().len(), 2 * ack("aa").len());
    done.says(&["2 acknowledged"]);
}

#[test]
fn hostile_peers_cost_little_and_disturb_nobody() {
    let lab = Lab::new("forward-hostile");
    let port = free_port();
    let mut run = listen(&lab, port, "    Buffer_Max_Size 2M\n", STDOUT);
    let mut idle: Vec<_> = (0..200).map(|_| connect(port)).collect();
    for stream in &mut idle {
        // Never finished: declares little, sends less.
        stream.write_all(b"\x93\xa1t\xdc\x00\x09\x92\x01").unwrap();
    }
    let mut bomb = Vec::new();
    Codec::Gzip.pack(&vec![0x80; 100 << 20], &mut bomb);
    let bomb =
        [&b"\x93\xa1t\xc6"[..], &(bomb.len() as u32).to_be_bytes(), &bomb, b"\x81\xaacompressed\xa4gzip"].concat();
    let deep = [&b"\x93\xa1t\x05"[..], &[0x81, 0xa1, b'a'].repeat(3000), b"\x01"].concat();
    let hostile: [(&[u8], &str); 9] = [
        (b"\x93\xa1t\xdd\xff\xff\xff\xff", "longer than the limit: 2000000 bytes; raise Buffer_Max_Size"),
        (b"\x93\xa1t\xc6\xff\xff\xff\xff", "longer than the limit"),
        (b"GET / HTTP/1.1\r\n\r\n", "another protocol in text"),
        (b"\x16\x03\x01\x02\x00", "it speaks TLS"),
        (b"[\"t\",1,{}]", "it speaks JSON"),
        (b"\x92\xc1", "no msgpack"),
        (&bomb, "packed events: unpacked it would be longer"),
        (&deep, "more than 64 levels"),
        (b"\x93\xa1t\x91\x93\x01\x02\x03\x80", "events are left out: not an event"),
    ];
    for (bytes, said) in hostile {
        let mut peer = connect(port);
        peer.write_all(bytes).unwrap();
        run.wait_stderr(said);
    }
    // Packed, but not as it says.
    let mut peer = connect(port);
    peer.write_all(b"\x93\xa1t\xc4\x02\x1f\x8b\x83\xaacompressed\xa4gzip\xa4size\x05\xa5chunk\xa1q").unwrap();
    expect(&mut peer, &ack("q"));
    run.wait_stderr("5 record(s) lost: 127.0.0.1: packed events are left out");
    peer.write_all(b"\x93\xa1t\xc4\x03abc\x82\xadfluent_signal\x01\xa5chunk\xa1r").unwrap();
    expect(&mut peer, &ack("r"));
    run.wait_stderr("metrics and traces are not served");
    // Many tags.
    let mut tags = connect(port);
    let many: Vec<u8> =
        (0..1000u32).flat_map(|n| [&b"\x93\xa8"[..], format!("{n:08}").as_bytes(), b"\x05\x80"].concat()).collect();
    tags.write_all(&many).unwrap();
    let mut good = connect(port);
    good.write_all(&chunk("t", 41..42, "ok")).unwrap();
    expect(&mut good, &ack("ok"));
    run.wait_stdout("{\"n\":41}");
    run.wait_for("all tags", |run| run.stdout().matches("{}\n").count() == 1000);
    let peak = peak(run.pid());
    if is_native() {
        assert!(peak < 60 << 10, "{peak} KiB");
    }
    eprintln!("hostile peers: {peak} KiB at most");
    run.term().code(0).says(&["broken connections"]);
}

/// The most memory that a process had, in KiB.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}
