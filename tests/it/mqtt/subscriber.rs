//! The input as a subscriber, beside scripted brokers and a real one.

use super::client::Client;
use super::mosquitto::{Mosquitto, publish};
use crate::lab::{Lab, PATIENCE, Peer, Proc, TcpSink, refused_port};
use collector::fmt::mqtt::{PINGRESP, connack, suback};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

fn conf(port: u16, keys: &str, output: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.05\n    Grace 3\n    scheduler.base 1\n    scheduler.cap 1\n[INPUT]\n    Name mqtt\n    Tag in\n    \
         Broker localhost:{port}\n    net.dns.prefer_ipv4 on\n    Client_ID me\n{keys}[OUTPUT]\n    Match *\n    \
         Format json_lines\n    Json_Date_Key false\n{output}"
    )
}

const STDOUT: &str = "    Name stdout\n";

fn tcp(port: u16) -> String {
    format!("    Name tcp\n    Host 127.0.0.1\n    Port {port}\n")
}

fn numbers(text: &str) -> Vec<u32> {
    text.split("\"n\":").skip(1).filter_map(|t| t.split([',', '}']).next()?.parse().ok()).collect()
}

/// A broker that does as the test says with each connection.
struct Broker {
    peer: Peer,
    connections: Receiver<Client>,
}

impl Broker {
    fn new() -> Self {
        let (tx, connections) = channel();
        let tx = Mutex::new(tx);
        let peer = Peer::new(move |stream| _ = tx.lock().unwrap().send(Client::over(stream)));
        Self { peer, connections }
    }

    /// The next connection, and how it introduced itself.
    fn next(&self) -> (Client, String) {
        let mut client = self.connections.recv_timeout(PATIENCE).unwrap();
        let hello = client.answer().unwrap();
        (client, hello)
    }

    /// The next connection, let in.
    fn accept(&self, session: bool) -> Client {
        let (mut client, _) = self.next();
        let mut out = Vec::new();
        connack(session, 0, &mut out);
        client.send(&out);
        client
    }

    /// The next connection, let in, its subscription made.
    fn subscribed(&self) -> Client {
        let mut client = self.accept(false);
        assert!(client.answer().unwrap().starts_with("Subscribe { id: 1,"));
        let mut out = Vec::new();
        suback(1, &[1], &mut out);
        client.send(&out);
        client
    }
}

fn start(lab: &Lab, broker: &Broker, keys: &str, output: &str) -> Proc {
    lab.start(&conf(broker.peer.port(), keys, output))
}

#[test]
fn a_session_from_its_beginning_to_its_end() {
    let lab = Lab::new("mqtt-sub");
    let broker = Broker::new();
    let keys = "    Topic a/+\n    Topic b/#\n    User u\n    Password p\n    Keep_Alive 77\n";
    let run = start(&lab, &broker, keys, STDOUT);
    let (mut client, hello) = broker.next();
    for part in ["clean: false", "keep_alive: 77", "client_id: \"me\"", "will: None", "user: Some(\"u\")", "[112]"] {
        assert!(hello.contains(part), "{part} is not in {hello}");
    }
    let mut out = Vec::new();
    connack(false, 0, &mut out);
    // A broker may send messages before it says that it will.
    client.send(&out);
    client.publish(1, 9, "a/x", b"23.5");
    let (mut seen, mut all) = (BTreeSet::new(), Vec::new());
    while seen.len() < 2 {
        let answer = client.answer().unwrap();
        seen.insert(answer.split(' ').next().unwrap().to_owned());
        all.push(answer);
    }
    assert!(seen.contains("Subscribe") && all.contains(&"PubAck 9".into()), "{all:?}");
    out.clear();
    suback(1, &[1, 1], &mut out);
    client.send(&out);
    client.publish(0, 0, "b/y", b"not JSON \xff");
    client.publish(1, 10, "b/z", br#"{"k":[1]}"#);
    assert_eq!(client.answer().as_deref(), Some("PubAck 10"));
    run.signal(rustix::process::Signal::TERM);
    assert_eq!(client.answer().as_deref(), Some("Disconnect"));
    drop(client);
    let done = run.wait().code(0).says(&["input mqtt.0: 3 records"]);
    let want = [
        r#"{"topic":"a/x","payload":23.5}"#,
        "{\"topic\":\"b/y\",\"payload\":\"not JSON \\ue0ff\"}",
        r#"{"topic":"b/z","k":[1]}"#,
    ];
    assert_eq!(done.stdout.lines().collect::<Vec<_>>(), want);
}

/// What is not delivered is not acknowledged, so the broker sends it again after a kill.
#[test]
fn what_a_killed_program_had_not_delivered_comes_again() {
    let lab = Lab::new("mqtt-sub-waits");
    let (held, down) = refused_port();
    let broker = Broker::new();
    let run = start(&lab, &broker, "    Topic t\n", &tcp(down));
    let mut client = broker.subscribed();
    client.publish(1, 1, "t", br#"{"n":1}"#);
    lab.wait("an attempt", || run.stderr().contains("connection refused"));
    assert!(client.is_silent());
    run.kill();
    drop(held);
    let sink = TcpSink::at(down);
    let run = lab.spawn(&["-c", "collector.conf"]);
    // It has a session, and the subscriptions may be other ones.
    let mut client = broker.accept(true);
    assert!(client.answer().unwrap().starts_with("Subscribe"));
    client.publish(1, 1, "t", br#"{"n":1}"#);
    let mut out = Vec::new();
    suback(1, &[1], &mut out);
    client.send(&out);
    assert_eq!(client.answer().as_deref(), Some("PubAck 1"));
    // The system on the other side has it; the test's thread may not have read it yet.
    lab.wait("the record", || numbers(&sink.text()) == [1]);
    run.term().code(0);
}

#[test]
fn a_broker_that_is_silent_or_hangs_up_is_connected_to_again() {
    let lab = Lab::new("mqtt-sub-silent");
    let broker = Broker::new();
    let mut run = start(&lab, &broker, "    Topic t\n    Keep_Alive 1\n    Timeout 1\n", STDOUT);
    // Never answers CONNECT.
    let (mut mute, _) = broker.next();
    assert!(mute.is_closed());
    run.wait_stderr("no answer within 1s (Timeout)");
    // Never answers SUBSCRIBE.
    let mut half = broker.accept(false);
    assert!(half.answer().unwrap().starts_with("Subscribe") && half.is_closed());
    // It has a session, but nothing that we know of was ever subscribed to.
    let mut half = broker.accept(true);
    assert!(half.answer().unwrap().starts_with("Subscribe"));
    drop(half);
    // Answers one ping, and then no more: as a connection does that is open on one side alone.
    let mut client = broker.subscribed();
    let begun = Instant::now();
    assert_eq!(client.answer().as_deref(), Some("PingReq"));
    client.send(&PINGRESP);
    assert_eq!(client.answer().as_deref(), Some("PingReq"));
    assert!(client.is_closed() && begun.elapsed() > Duration::from_millis(1200), "{:?}", begun.elapsed());
    drop(client);
    // It still has the session: nothing is to be asked for. In the middle of a message it hangs up.
    let mut cut = broker.accept(true);
    cut.send(b"\x32\x20\0\x01t\0\x01{\"n\":");
    drop(cut);
    run.wait_stderr("it closed the connection");
    let mut good = broker.accept(true);
    good.publish(1, 3, "t", br#"{"n":3}"#);
    assert_eq!(good.answer().as_deref(), Some("PubAck 3"));
    let done = run.term().code(0);
    assert_eq!(numbers(&done.stdout), [3]);
}

#[test]
fn brokers_that_do_not_want_us_are_named() {
    let lab = Lab::new("mqtt-sub-refused");
    let broker = Broker::new();
    let mut run = start(&lab, &broker, "    Topic t\n", STDOUT);
    let (mut client, _) = broker.next();
    client.send(b"\x20\x02\0\x05");
    run.wait_stderr("lets us not in: this User, or this Client_ID, may not connect; connecting again in");
    let mut client = broker.accept(false);
    client.answer();
    let mut out = Vec::new();
    suback(1, &[0x80], &mut out);
    client.send(&out);
    run.wait_stderr("the broker refuses the subscription to 't'");
    run.wait_stderr("it refuses all subscriptions; connecting again in");
    let mut client = broker.subscribed();
    client.send(b"\x30\x02\0\0");
    run.wait_stderr("a topic that cannot be one; connecting again in");
    let mut client = broker.subscribed();
    client.send(b"\xc0\0");
    run.wait_stderr("it sends a packet that answers nothing");
    run.term().code(0).says(&["2 protocol errors"]);
}

/// The broker goes and comes, and we are killed: nothing is lost.
#[test]
fn restarts_and_kills_lose_nothing() {
    const ALL: u32 = 20_000;
    let lab = Lab::new("mqtt-sub-kills");
    let Some(mut broker) = Mosquitto::start(&lab, "broker", "") else { return };
    let sink = TcpSink::new();
    let mut run = lab.start(&conf(broker.port, "    Topic s/#\n", &tcp(sink.port())));
    run.wait_stderr("begins a session");
    lab.wait("the subscription", || {
        publish(broker.port, "s/x", &["{\"hello\":1}".into()], &[]);
        sink.text().contains("hello")
    });
    let seen = || numbers(&sink.text()).into_iter().collect::<BTreeSet<_>>().len();
    for round in 0..4 {
        let lines: Vec<String> = (round * ALL / 4..(round + 1) * ALL / 4).map(|n| format!("{{\"n\":{n}}}")).collect();
        assert!(publish(broker.port, "s/x", &lines, &[]));
        if round % 2 == 0 {
            // What we had not acknowledged is in its file.
            broker.stop();
            broker.start_again();
        } else {
            run.kill();
            run = lab.spawn(&["-c", "collector.conf"]);
        }
    }
    lab.wait("all of it", || seen() == ALL as usize);
    println!("{} records for {ALL} messages", numbers(&sink.text()).len());
    run.term().code(0);
}

/// A board that is off for a while misses nothing: the broker keeps what comes for its session.
#[cfg(feature = "tls")]
#[test]
fn over_tls_and_after_a_pause() {
    let lab = Lab::new("mqtt-sub-tls");
    let key = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let crt = lab.write("s.crt", key.cert.pem()).display().to_string();
    let private = lab.write("s.key", key.signing_key.serialize_pem()).display().to_string();
    let Some(broker) = Mosquitto::start(&lab, "broker", &format!("certfile {crt}\nkeyfile {private}\n")) else {
        return;
    };
    let keys = "    Topic s/#\n    tls on\n    tls.ca_file s.crt\n    Payload_Key p\n";
    let mut run = lab.start(&conf(broker.port, keys, STDOUT));
    run.wait_stderr("begins a session");
    let tls = ["--cafile", &crt];
    run.wait_for("the subscription", |run| {
        publish(broker.port, "s/x", &["{\"hello\":1}".into()], &tls);
        run.stdout().contains("hello")
    });
    run.term().code(0);
    let lines: Vec<String> = (0..1000).map(|n| format!("{{\"n\":{n}}}")).collect();
    assert!(publish(broker.port, "s/x", &lines, &tls));
    let mut run = lab.spawn(&["-c", "collector.conf"]);
    run.wait_stderr("goes on with a session");
    run.wait_for("all of it", |run| numbers(&run.stdout()).len() >= 1000);
    let done = run.term().code(0);
    assert_eq!(numbers(&done.stdout), (0..1000).collect::<Vec<_>>());
    assert!(done.stdout.contains("{\"topic\":\"s/x\",\"p\":{\"n\":999}}"));
}
