//! Peers of the syslog input that mean harm, or are broken: memory is bounded, it is said, others are served.

use crate::lab::{Lab, Proc, free_port, is_native};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

fn start(lab: &Lab, keys: &str) -> (Proc, u16) {
    let port = free_port();
    let mut run = lab.start(&format!(
        "[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name syslog\n    Mode tcp\n    Listen 127.0.0.1\n    Port {port}\n{keys}[OUTPUT]\n    \
         Name file\n    Match *\n    File out\n    Format plain\n"
    ));
    run.wait_stderr("listening on");
    (run, port)
}

fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).unwrap()
}

/// The program's memory now, in bytes.
fn memory(run: &Proc) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", run.pid())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// A message on a connection of its own arrives.
fn is_served(lab: &Lab, port: u16, text: &str) {
    connect(port).write_all(format!("<6>{text}\n").as_bytes()).unwrap();
    lab.wait(text, || std::fs::read_to_string(lab.path("out")).unwrap_or_default().contains(text));
}

/// Unfinished messages of all connections share 64 MiB: beyond it they are cut short instead of kept.
#[test]
fn unfinished_messages_have_a_budget() {
    if !is_native() {
        return;
    }
    const PEERS: usize = 120;
    const EACH: usize = 1_000_000;
    let lab = Lab::new("syslog-budget");
    let (run, port) = start(&lab, "    Buffer_Max_Size 1M\n");
    let mut peers: Vec<TcpStream> = (0..PEERS).map(|_| connect(port)).collect();
    let piece = vec![b'q'; EACH / 10];
    for round in 0..10 {
        for peer in &mut peers {
            // Half of them count: a message of a gigabyte is announced, and does not come.
            if round == 0 && peer.local_addr().unwrap().port() % 2 == 0 {
                peer.write_all(b"1000000000 <1>").unwrap();
            }
            peer.write_all(&piece).unwrap();
        }
    }
    is_served(&lab, port, "in between");
    // The budget, a read for each connection, and the program; 120 MB were sent.
    let used = memory(&run);
    assert!(used < 112 << 20, "{} MiB", used >> 20);
    // Every byte is kept: in pieces, where the budget was used up.
    drop(peers);
    let count = || std::fs::read(lab.path("out")).map_or(0, |all| all.iter().filter(|b| **b == b'q').count());
    lab.wait("every byte", || count() == PEERS * EACH);
    run.term().code(0).says(&["cut into pieces"]);
}

/// Hundreds of peers that send a byte at a time, or nothing, cost little; the silent ones go after net.io_timeout.
#[test]
fn slow_and_silent_peers() {
    if !is_native() {
        return;
    }
    let lab = Lab::new("syslog-slow");
    let (run, port) = start(&lab, "    net.io_timeout 8s\n");
    let before = memory(&run);
    let mut peers: Vec<TcpStream> = (0..400).map(|_| connect(port)).collect();
    for byte in b"<13>slow" {
        for peer in peers.iter_mut().step_by(2) {
            peer.write_all(&[*byte]).unwrap();
        }
    }
    is_served(&lab, port, "in between");
    let used = memory(&run).saturating_sub(before);
    assert!(used < 16 << 20, "{} KiB", used >> 10);
    // The server hangs up, and what the slow ones had said is a message.
    let last = peers.last_mut().unwrap();
    last.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(last.read(&mut [0; 1]).unwrap(), 0, "closed");
    let slow = || std::fs::read_to_string(lab.path("out")).unwrap_or_default().matches("\"message\":\"slow\"").count();
    lab.wait("the slow messages", || slow() == 200);
    run.term().code(0);
}

#[cfg(feature = "tls")]
#[test]
fn bad_tls_disturbs_nobody() {
    let lab = Lab::new("syslog-bad-tls");
    let key = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    lab.write("s.crt", key.cert.pem());
    lab.write("s.key", key.signing_key.serialize_pem());
    let keys = "    tls on\n    tls.crt_file s.crt\n    tls.key_file s.key\n    net.accept_timeout 1s\n";
    let (run, port) = start(&lab, keys);
    // Garbage, a record that announces 64 KiB, half a hello, and nothing at all.
    let hello: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let mut open: Vec<TcpStream> = Vec::new();
    for bytes in [b"<13>plain\n".as_slice(), b"\x16\x03\x01\xff\xff", hello, b""] {
        for _ in 0..20 {
            let mut peer = connect(port);
            peer.write_all(bytes).unwrap();
            open.push(peer);
        }
    }
    lab.write(
        "good.conf",
        format!(
            "[INPUT]\n    Name stdin\n[OUTPUT]\n    Name syslog\n    Match *\n    Mode tls\n    Host localhost\n    Port {port}\n    \
             net.dns.prefer_ipv4 on\n    tls.ca_file s.crt\n    Syslog_Message_Key m\n"
        ),
    );
    lab.command(&["-c", "good.conf"]).stdin("{\"m\":\"over tls\"}").start().wait().code(0);
    lab.wait("the good message", || std::fs::read_to_string(lab.path("out")).unwrap_or_default().contains("over tls"));
    // Those who say nothing are let go after net.accept_timeout.
    for peer in &mut open {
        peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut rest = Vec::new();
        let _ = peer.read_to_end(&mut rest);
    }
    run.term().code(0).says(&["TLS handshake with", "80 failed handshakes"]);
}
