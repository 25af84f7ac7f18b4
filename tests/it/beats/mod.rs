//! The beats input beside clients: scripted ones, hostile ones, those of go-lumber, a real Filebeat and a real Packetbeat.

pub mod client;
mod hostile;
pub mod real;

use crate::lab::{Lab, Proc, TcpSink, free_port, refused_port};
use client::{Client, Packing};
use collector::fmt::lumberjack::Version;
use std::time::{Duration, Instant};

const JSON: &str = "[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n    Json_Date_Key date\n    Json_Date_Format epoch_ms\n";

fn conf(port: u16, keys: &str, outputs: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.05\n    Grace 3\n[INPUT]\n    Name beats\n    Tag in\n    Listen 127.0.0.1\n    Port {port}\n{keys}{outputs}"
    )
}

fn start(lab: &Lab, keys: &str, outputs: &str) -> (Proc, u16) {
    let port = free_port();
    let mut run = lab.start(&conf(port, keys, outputs));
    run.wait_stderr("listening on");
    (run, port)
}

#[test]
fn both_versions_and_every_packing() {
    let lab = Lab::new("beats-versions");
    let (mut run, port) = start(&lab, "    Source_Address_Key from\n", JSON);
    let mut client = Client::connect(port);
    let from = client.address();
    let time = r#""@timestamp":"2026-01-02T03:04:05.678Z""#;
    let one = format!(r#"{{{time},"@metadata":{{"beat":"filebeat","type":"_doc"}},"message":"grün\n"}}"#);
    client.window(&[one.as_bytes(), b"{}"], Packing::None);
    assert_eq!(client.ack(), (Version::V2, 2));
    client.window(&[b"{\"n\":1}", b"{\"n\":2}", b"no json"], Packing::Zlib(9));
    assert_eq!(client.ack(), (Version::V2, 3));
    // Two windows at once, then one in pieces of a byte each.
    client.window(&[b"{\"n\":3}"], Packing::None);
    client.window(&[b"{\"n\":4}"], Packing::Zlib(1));
    assert_eq!([client.ack(), client.ack()], [(Version::V2, 1); 2]);
    client.slowly(true);
    client.window(&[b"{\"n\":5}"], Packing::Zlib(1));
    client.slowly(false);
    assert_eq!(client.ack(), (Version::V2, 1));
    // Clients of version 1 count on from window to window.
    client.window_v1(71, &[&[("line", "old"), ("host", "h")]]);
    assert_eq!(client.ack(), (Version::V1, 71));
    for text in [
        &format!(
            r#"{{"date":1767323045678,{time},"@metadata":{{"beat":"filebeat","type":"_doc"}},"message":"gr\u00fcn\n","from":"{from}"}}"#
        ),
        r#""n":1,"#,
        r#""n":5,"#,
        r#""message":"no json","parse_error":"no JSON object: expected an object at byte 0","#,
        r#""message":"old","host":"h","#,
    ] {
        run.wait_stdout(text);
    }
    run.term().code(0).says(&["input beats.0: 9 records"]);
}

#[test]
fn tags_and_metadata_as_asked_for() {
    let lab = Lab::new("beats-tags");
    let keys = "    Tag_Key $@metadata['beat']\n    Metadata drop\n";
    let outputs = "[OUTPUT]\n    Name file\n    Match filebeat\n    File filebeat\n    Format plain\n[OUTPUT]\n    Name file\n    Match in\n    File in\n    Format plain\n";
    let (run, port) = start(&lab, keys, outputs);
    let mut client = Client::connect(port);
    client.window(&[br#"{"@metadata":{"beat":"filebeat"},"n":1}"#, br#"{"n":2}"#], Packing::Zlib(3));
    assert_eq!(client.ack().1, 2);
    run.term().code(0);
    assert_eq!(lab.read("filebeat"), "{\"n\":1}\n");
    assert_eq!(lab.read("in"), "{\"n\":2}\n");
}

#[test]
fn what_cannot_be_delivered_is_not_acknowledged_and_the_peer_hears_that_work_goes_on() {
    let lab = Lab::new("beats-waits");
    let (held, down) = refused_port();
    let output =
        format!("[OUTPUT]\n    Name tcp\n    Match *\n    Host 127.0.0.1\n    Port {down}\n    Format json_lines\n");
    let (run, port) = start(&lab, "", &output);
    let mut client = Client::connect(port);
    client.window(&[b"{\"n\":1}"], Packing::None);
    let mut old = Client::connect(port);
    old.window_v1(1, &[&[("line", "x")]]);
    let began = Instant::now();
    assert_eq!((client.frame(), client.frame()), (0, 0), "twice that work goes on");
    assert!(began.elapsed() > Duration::from_secs(4));
    assert!(old.is_silent(), "a client of version 1 would take it for the last answer");
    drop(held);
    let sink = TcpSink::at(down);
    assert_eq!((client.ack().1, old.ack().1), (1, 1));
    lab.wait("the record", || sink.text().contains("\"n\":1"));
    run.term().code(0);
}

#[test]
fn records_in_chunk_files_are_acknowledged() {
    let lab = Lab::new("beats-stored");
    let (_held, down) = refused_port();
    let port = free_port();
    let output = format!("[OUTPUT]\n    Name tcp\n    Match *\n    Host 127.0.0.1\n    Port {down}\n");
    let text =
        conf(port, "    storage.type filesystem\n", &output).replace("Grace 3", "Grace 1\n    storage.path chunks");
    let mut run = lab.start(&text);
    run.wait_stderr("listening on");
    let mut client = Client::connect(port);
    client.window(&[b"{\"n\":1}"], Packing::None);
    assert_eq!(client.ack().1, 1);
    run.kill();
    let sink = TcpSink::at(down);
    let run = lab.start(&text);
    lab.wait("what the killed program had acknowledged", || sink.bytes().windows(2).any(|w| w == b"n\x01"));
    run.term().code(0);
}

#[test]
fn without_waiting_for_delivery() {
    let lab = Lab::new("beats-received");
    let (_held, down) = refused_port();
    let output = format!("[OUTPUT]\n    Name tcp\n    Match *\n    Host 127.0.0.1\n    Port {down}\n");
    let (run, port) = start(&lab, "    Ack received\n", &output);
    let mut client = Client::connect(port);
    client.window(&[b"{}"], Packing::None);
    assert_eq!(client.ack().1, 1);
    run.kill();
}

/// What is on its way at the end is delivered and acknowledged; the peer that still sends is not heard.
#[test]
fn the_last_acknowledgements_come_with_the_end() {
    let lab = Lab::new("beats-end");
    let (held, down) = refused_port();
    let output = format!("[OUTPUT]\n    Name tcp\n    Match *\n    Host 127.0.0.1\n    Port {down}\n");
    let (run, port) = start(&lab, "", &output);
    let mut client = Client::connect(port);
    client.window(&[b"{\"n\":1}"], Packing::None);
    lab.wait("the window to be read", || run.stderr().contains("connection refused"));
    run.signal(rustix::process::Signal::TERM);
    drop(held);
    let _sink = TcpSink::at(down);
    assert_eq!(client.ack().1, 1);
    assert!(client.is_closed());
    run.wait().code(0);
}

/// A peer that has said everything still hears its acknowledgement.
#[test]
fn half_a_connection_is_enough() {
    let lab = Lab::new("beats-half");
    let (run, port) = start(&lab, "", JSON);
    let mut client = Client::connect(port);
    client.window(&[b"{\"n\":1}"], Packing::None);
    client.shut();
    assert_eq!(client.ack().1, 1);
    run.term().code(0);
}

#[cfg(feature = "tls")]
#[test]
fn clients_with_certificates() {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let lab = Lab::new("beats-tls");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    lab.write("ca.pem", ca.pem());
    let issue = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
        lab.write(&format!("{name}.crt"), cert.pem());
        lab.write(&format!("{name}.key"), key.serialize_pem());
    };
    issue("localhost");
    issue("client");
    let keys = "    tls on\n    tls.crt_file localhost.crt\n    tls.key_file localhost.key\n    tls.verify_client_cert on\n    tls.ca_file ca.pem\n";
    let (mut run, port) = start(&lab, keys, JSON);
    let mut trusted = client::Tls::connect(port, &lab, Some("client"));
    trusted.send_window(&[b"{\"n\":1}"]);
    assert_eq!(trusted.ack(), Some(1));
    let mut stranger = client::Tls::connect(port, &lab, None);
    stranger.send_window(&[b"{\"n\":2}"]);
    assert_eq!(stranger.ack(), None);
    run.wait_stderr("TLS handshake");
    trusted.send_window(&[b"{\"n\":3}"]);
    assert_eq!(trusted.ack(), Some(1));
    run.term().code(0).says(&["input beats.0: 2 records"]);
}

/// A client that sends again what was not acknowledged, and a collector that is killed again and again while its records wait
/// for a slow destination.
#[cfg(feature = "es")]
#[test]
fn kills_lose_nothing() {
    use crate::lab::{Answer, HttpSink};
    use client::{event, numbers};
    use std::thread;
    const WINDOWS: u32 = 200;
    const EACH: u32 = 100;
    let lab = Lab::new("beats-kills");
    let port = free_port();
    let sink = HttpSink::new(|request, _| {
        thread::sleep(Duration::from_millis(15));
        Answer::bulk(&vec![201; request.documents().len()])
    });
    let output = format!("[OUTPUT]\n    Name es\n    Match *\n    Host 127.0.0.1\n    Port {}\n", sink.port());
    lab.write("collector.conf", conf(port, "", &output));
    let sender = thread::spawn(move || {
        for window in 0..WINDOWS {
            let events: Vec<Vec<u8>> = (0..EACH).map(|n| event(window * EACH + n)).collect();
            let packing = if window % 2 == 0 { Packing::None } else { Packing::Zlib(3) };
            // Until it is acknowledged.
            while !Client::try_connect(port).is_some_and(|mut c| c.try_window(&events, packing)) {
                thread::sleep(Duration::from_millis(5));
            }
        }
    });
    let mut kills = 0;
    while !sender.is_finished() {
        let mut run = lab.spawn(&["-c", "collector.conf"]);
        run.wait_stderr("listening on");
        let end = Instant::now() + Duration::from_millis(300 + 40 * (kills % 5));
        while Instant::now() < end && !sender.is_finished() {
            thread::sleep(Duration::from_millis(2));
        }
        run.kill();
        kills += 1;
    }
    sender.join().unwrap();
    let got = numbers(sink.documents().join("\n").as_bytes());
    assert_eq!(got.len() as u32, WINDOWS * EACH, "after {kills} kills");
    assert!(kills > 3, "{kills}");
}
