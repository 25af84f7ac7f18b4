//! The kafka output at brokers: a scripted one with moods, and a real one.

mod fake;
mod real;

use crate::lab::{Lab, Peer, free_port, refused_port, until};
use fake::{Fake, Mood, Rules, Seen};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

fn conf(port: u16, keys: &str) -> String {
    let service = "[SERVICE]\n    Flush 0.05\n    Grace 5\n    scheduler.base 1\n    scheduler.cap 2\n[INPUT]\n    Name stdin\n    Tag t\n";
    format!(
        "{service}[OUTPUT]\n    Name kafka\n    Match *\n    Brokers 127.0.0.1:{port}\n    Topics logs\n    Format raw\n    \
         Raw_Log_Key m\n{keys}"
    )
}

fn lines(from: usize, to: usize) -> (String, Vec<String>) {
    let values: Vec<String> = (from..to).map(|n| format!("line {n}")).collect();
    (values.iter().map(|v| format!("{{\"m\":\"{v}\"}}\n")).collect(), values)
}

/// Sends lines to a broker that behaves so; each must be there once, in order.
fn arrives(name: &str, mood: fn(&Seen) -> Mood, keys: &str) -> (Fake, crate::lab::Done) {
    let fake = Fake::new(Rules { mood, ..Rules::default() });
    let lab = Lab::new(name);
    lab.write("collector.conf", conf(fake.port(), keys));
    let (input, values) = lines(0, 500);
    let done = lab.command(&["-c", "collector.conf"]).stdin(input).start().wait().code(0);
    assert_eq!(fake.values("logs"), values, "{}", done.report());
    (fake, done.says(&["output kafka.0: 500 records"]))
}

#[test]
fn one_connection_and_one_batch() {
    let (fake, _) = arrives("kafka-plain", |_| Mood::Store, "");
    assert_eq!(fake.counts(), (1, 1));
}

#[test]
fn an_answer_that_is_lost_stores_nothing_twice() {
    let (fake, _) = arrives(
        "kafka-lost",
        |seen| match seen.n {
            0 => Mood::StoreAndLeave,
            1 => Mood::Leave,
            2 => Mood::StoreAndLeave,
            _ => Mood::Store,
        },
        "",
    );
    assert!(fake.counts().0 >= 4);
}

#[test]
fn passing_errors_pass() {
    // Not the leader, a timeout among the replicas, not enough of them, storage trouble.
    let mood = |seen: &Seen| match seen.n {
        n @ 0..4 => Mood::Error([6, 7, 19, 56][n], Vec::new()),
        _ => Mood::Store,
    };
    arrives("kafka-passing", mood, "").1.silent_about(&["retry in", "[error]"]);
}

#[test]
fn a_broker_that_forgot_the_producer_gets_a_new_one() {
    for code in ["45", "59", "47"] {
        let mood: fn(&Seen) -> Mood = match code {
            "45" => |seen| if seen.n == 0 { Mood::Error(45, Vec::new()) } else { Mood::Store },
            "59" => |seen| if seen.n == 0 { Mood::Error(59, Vec::new()) } else { Mood::Store },
            _ => |seen| if seen.n == 0 { Mood::Error(47, Vec::new()) } else { Mood::Store },
        };
        arrives(&format!("kafka-forgot-{code}"), mood, "").1.says(&["going on as a new producer"]);
    }
}

#[test]
fn a_message_that_is_too_large_is_refused_and_the_others_go_on() {
    // The broker takes batches of at most 100 messages, and never line 77.
    let mood = |seen: &Seen| match seen.values.len() > 100 || seen.values.iter().any(|v| v == "line 77") {
        true => Mood::Error(10, Vec::new()),
        false => Mood::Store,
    };
    let fake = Fake::new(Rules { mood, ..Rules::default() });
    let lab = Lab::new("kafka-large");
    lab.write("collector.conf", conf(fake.port(), "    rdkafka.compression.codec lz4\n"));
    let (input, mut values) = lines(0, 500);
    let done = lab.command(&["-c", "collector.conf"]).stdin(input).start().wait().code(0);
    values.remove(77);
    assert_eq!(fake.values("logs"), values, "{}", done.report());
    done.says(&["1 record(s)", "MESSAGE_TOO_LARGE", "output kafka.0: 499 records", "1 rejected, 0 dropped"]);
}

#[test]
fn records_at_fault_are_told_apart() {
    let mood = |seen: &Seen| if seen.values.len() == 500 { Mood::Error(87, vec![3, 400]) } else { Mood::Store };
    let fake = Fake::new(Rules { mood, ..Rules::default() });
    let lab = Lab::new("kafka-fault");
    lab.write("collector.conf", conf(fake.port(), ""));
    let (input, mut values) = lines(0, 500);
    let done = lab.command(&["-c", "collector.conf"]).stdin(input).start().wait().code(0);
    values.remove(400);
    values.remove(3);
    assert_eq!(fake.values("logs"), values, "{}", done.report());
    done.says(&["INVALID_RECORD: not this one", "2 rejected, 0 dropped"]);
}

#[test]
fn a_message_without_its_field_is_refused() {
    let fake = Fake::new(Rules::default());
    let lab = Lab::new("kafka-missing");
    lab.write("collector.conf", conf(fake.port(), ""));
    let done = lab.command(&["-c", "collector.conf"]).stdin(r#"{"m":"a"}{"n":1}{"m":"b"}"#).start().wait().code(0);
    assert_eq!(fake.values("logs"), ["a", "b"]);
    done.says(&["it has no 'm' (Raw_Log_Key)", "1 rejected"]);
}

#[test]
fn topics_of_records() {
    let fake = Fake::new(Rules { partitions: |topic| usize::from(topic != "none") * 4, ..Rules::default() });
    let lab = Lab::new("kafka-topics");
    let keys = "    Topic_Key t\n    Dynamic_Topic on\n    Message_Key_Field k\n    Retry_Limit no_retries\n";
    lab.write("collector.conf", conf(fake.port(), keys));
    let input =
        r#"{"m":"a","k":"21"}{"m":"b","t":"other","k":"foobar"}{"m":"c","t":"none"}{"m":"d","t":"o/o","k":"21"}"#;
    let done = lab.command(&["-c", "collector.conf"]).stdin(input).start().wait().code(0);
    let key = |k: &str, v: &str| (Some(k.to_owned()), v.to_owned());
    // Java's hashes of these keys, without their sign, modulo four.
    let of = |hash: i32| (hash & i32::MAX) % 4;
    assert_eq!(fake.stored("logs", of(-973_932_308)), [key("21", "a"), key("21", "d")], "{}", done.report());
    assert_eq!(fake.stored("other", of(-790_332_482)), [key("foobar", "b")]);
    done.says(&["topic 'none' does not exist", "kafka-topics.sh --create --topic none", "1 record(s)"]);
}

#[test]
fn a_topic_that_is_not_there_holds_everything_up_aloud() {
    let fake = Fake::new(Rules { partitions: |_| 0, ..Rules::default() });
    let lab = Lab::new("kafka-no-topic");
    lab.write("collector.conf", conf(fake.port(), ""));
    let done = lab.command(&["-c", "collector.conf"]).stdin(r#"{"m":"a"}"#).start().wait();
    done.says(&["topic 'logs' does not exist, and the brokers do not create it by themselves"]);
}

/// The broker dies with a batch in doubt, is away, and comes back without having lost anything.
#[test]
fn a_broker_that_is_away_is_waited_for() {
    let (held, port) = refused_port();
    drop(held);
    let lab = Lab::new("kafka-away");
    lab.write("collector.conf", conf(port, "").replace("Grace 5", "Grace 20"));
    let (input, values) = lines(0, 500);
    let mut run = lab.command(&["-c", "collector.conf"]).stdin(input).start();
    run.wait_stderr("connection refused");
    let fake = Fake::on(
        TcpListener::bind(("127.0.0.1", port)).unwrap(),
        Rules { mood: |seen| if seen.n == 0 { Mood::StoreAndLeave } else { Mood::Store }, ..Rules::default() },
    );
    let done = run.wait().code(0);
    assert_eq!(fake.values("logs"), values, "{}", done.report());
}

#[test]
fn what_is_no_broker_is_said() {
    let web = Peer::new(|mut stream| {
        let _ = stream.read(&mut [0; 1000]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let silent = Peer::never_reads();
    let leaves = Peer::hangs_up();
    for (port, words) in [
        (web.port(), "it does not speak Kafka's protocol"),
        (silent.port(), "no answer within 1s"),
        (leaves.port(), "is it a Kafka broker, and does this port want TLS or SASL?"),
        (free_port(), "connection refused"),
    ] {
        let lab = Lab::new("kafka-no-broker");
        let keys = "    rdkafka.socket.timeout.ms 1000\n    rdkafka.request.timeout.ms 1000\n";
        let mut run = lab.start(
            &conf(port, keys)
                .replace("Log_Key m", "Log_Key message")
                .replace("stdin", "dummy")
                .replace("Grace 5", "Grace 1"),
        );
        run.wait_stderr(words);
        run.term();
    }
}

/// A broker that says nothing holds up neither memory nor the rest for ever.
#[test]
fn a_slow_broker_is_waited_for() {
    let mood = |seen: &Seen| if seen.n == 0 { Mood::Wait(Duration::from_millis(1500)) } else { Mood::Store };
    let keys = "    rdkafka.socket.timeout.ms 1000\n    rdkafka.request.timeout.ms 1000\n";
    let (fake, _) = arrives("kafka-slow", mood, keys);
    assert!(until(|| fake.counts().0 >= 2));
}
