//! Peers that mean no good, and others that are served meanwhile.

use super::client::{Client, Packing, frames};
use super::{JSON, start};
use crate::lab::{Lab, Proc};
use collector::fmt::lumberjack::{pack, window};
use std::fs;
use std::time::{Duration, Instant};

fn peak_mib(run: &Proc) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", run.pid())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn bombs_and_nonsense_are_refused_and_others_served() {
    let lab = Lab::new("beats-hostile");
    let null = "[OUTPUT]\n    Name null\n    Match *\n";
    let (mut run, port) = start(&lab, "    Buffer_Max_Size 1M\n", null);
    let mut good = Client::connect(port);
    good.window(&[b"{\"n\":1}"], Packing::Zlib(3));
    assert_eq!(good.ack().1, 1);
    let before = peak_mib(&run);
    let packed = |plain: &[u8]| {
        let mut out = window(100_000).to_vec();
        pack(plain, 9, &mut out);
        out
    };
    let nested = {
        let mut inner = Vec::new();
        pack(b"2J\0\0\0\x01\0\0\0\x02{}", 1, &mut inner);
        packed(&inner)
    };
    let table: &[(&str, Vec<u8>)] = &[
        ("a window of 4294967295 events is more than is allowed", b"2W\xff\xff\xff\xff".to_vec()),
        ("a frame begins with 'G', not with version 1 or 2", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("a packed frame in a packed frame", nested),
        ("a frame begins with '\\u{0}', not with version 1 or 2", packed(&vec![0; 64 << 20])),
        ("an event that no window announced", frames(&[b"{}"], Packing::None)[6..].to_vec()),
        ("an event of version 1 with too many pairs", b"1W\0\0\0\x011D\0\0\0\x01\xff\xff\xff\xff".to_vec()),
        ("a packed frame that cannot be unpacked", [&window(1)[..], b"2C\0\0\0\x09not zlib!"].concat()),
    ];
    for (why, bytes) in table {
        let mut bad = Client::connect(port);
        bad.send(bytes);
        assert!(bad.is_closed(), "{why}");
        run.wait_stderr(why);
    }
    // Endless: an event of 4 GiB, of which the beginning is kept; it goes on for 100 MB.
    let mut endless = Client::connect(port);
    endless.send(&[&window(1)[..], b"2J\0\0\0\x01\xff\xff\xff\xff"].concat());
    for _ in 0..100 {
        assert!(endless.send(&vec![b'x'; 1 << 20]));
    }
    assert_eq!(endless.ack().1, 1, "what is kept of it is safe");
    run.wait_stderr("events longer than Buffer_Max_Size were cut");
    // A bomb of sound events is 100,000 records: 100 MB from 100 KB.
    let mut bomb = Client::connect(port);
    let event = [b"2J\0\0\0\x01\0\0\x03\xe8{\"x\":\"".as_slice(), &[b'y'; 992], b"\"}"].concat();
    bomb.send(&packed(&event.repeat(100_000)));
    good.window(&[b"{\"n\":2}"], Packing::None);
    assert_eq!(good.ack().1, 1);
    assert_eq!(bomb.ack().1, 1);
    let grown = peak_mib(&run) - before;
    assert!(grown < 48, "{grown} MiB");
    run.term().code(0).says(&["100003 records", "protocol errors"]);
}

#[test]
fn who_dawdles_is_closed() {
    let lab = Lab::new("beats-loris");
    let (mut run, port) = start(&lab, "    Idle_Timeout 1s\n    net.max_connections 4\n", JSON);
    let mut silent = Client::connect(port);
    let mut half_open = Client::connect(port);
    half_open.send(&window(5));
    let mut loris = Client::connect(port);
    loris.patience(Duration::from_millis(50));
    let frames = frames(&[&[b'x'; 4000]], Packing::None);
    let began = Instant::now();
    let cut =
        frames.iter().position(|b| !loris.send(&[*b]) || { loris.is_closed() && began.elapsed().as_millis() > 900 });
    assert!(cut.is_some_and(|at| at < 100), "{cut:?}");
    assert!(silent.is_closed() && half_open.is_closed());
    let mut good = Client::connect(port);
    good.window(&[b"{\"n\":1}"], Packing::None);
    assert_eq!(good.ack().1, 1);
    run.wait_stdout("\"n\":1");
    run.term().code(0).says(&["3 idle connections"]);
}
