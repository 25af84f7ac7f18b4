//! Inputs and outputs of bytes: tcp in both directions, random, counter.

use crate::lab::{Lab, TcpSink, free_port};
use std::io::Write;
use std::net::TcpStream;

const JSON: &str = "[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n    Json_Date_Key false\n";

/// Starts a tcp input and connects to it.
fn connected(lab: &Lab, keys: &str) -> (crate::lab::Proc, TcpStream) {
    let port = free_port();
    let run = lab.start(&format!(
        "[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name tcp\n    Listen 127.0.0.1\n    Port {port}\n{keys}{JSON}"
    ));
    let mut stream = None;
    lab.wait("the port", || {
        stream = TcpStream::connect(("127.0.0.1", port)).ok();
        stream.is_some()
    });
    (run, stream.unwrap())
}

#[test]
fn tcp_takes_json() {
    let lab = Lab::new("tcp-json");
    let (mut run, mut stream) = connected(&lab, "    Source_Address_Key from\n");
    for piece in ["{\"a\":1}{\"b\"", ":[2]}\n \n{\"c\":\"x\\n", "\"}"] {
        stream.write_all(piece.as_bytes()).unwrap();
    }
    for text in ["{\"a\":1,\"from\":\"", "{\"b\":[2],\"from\":\"", "{\"c\":\"x\\n\",\"from\":\""] {
        run.wait_stdout(text);
    }
    run.term().code(0).says(&["input tcp.0: 3 records"]);
}

#[test]
fn tcp_takes_lines() {
    let lab = Lab::new("tcp-lines");
    let (mut run, mut stream) = connected(&lab, "    Format none\n    Separator ;\n");
    stream.write_all(b"one;two\n;;thr").unwrap();
    stream.write_all(b"ee").unwrap();
    drop(stream);
    run.wait_stdout("{\"log\":\"one\"}\n{\"log\":\"two\\n\"}\n");
    run.wait_stdout("{\"log\":\"three\"}\n");
    run.term().code(0);
}

#[test]
fn a_port_in_use_is_said_at_the_start() {
    let lab = Lab::new("port-in-use");
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let conf = format!("[INPUT]\n    Name tcp\n    Listen 127.0.0.1\n    Port {port}\n{JSON}");
    let done = lab.run(&conf);
    assert_ne!(done.status.code(), Some(0), "{}", done.report());
    done.says(&["tcp.0", &format!("127.0.0.1:{port}"), "another program has this port"]);
}

#[test]
fn a_port_that_is_none_is_refused() {
    let lab = Lab::new("no-port");
    let conf = format!("[INPUT]\n    Name tcp\n    Port 99999\n{JSON}");
    lab.run(&conf).code(1).says(&["collector.conf:3:10: ", "99999"]);
}

/// Each format of the tcp output, byte for byte.
#[test]
fn tcp_sends_every_format() {
    let events = "[[1700000000.5, {\"m\":1}], {\"a\":\"x\"}] [1, {\"b\":[1,null]}]";
    let json =
        [r#"{"date":1700000000.5,"__internal__":{"log_metadata":{"m":1}},"a":"x"}"#, r#"{"date":1.0,"b":[1,null]}"#];
    let msgpack = b"\x92\x92\xd7\x00\x65\x53\xf1\x00\x1d\xcd\x65\x00\x81\xa1m\x01\x81\xa1a\xa1x\x92\x92\xd7\x00\x00\x00\x00\x01\x00\x00\x00\x00\x80\x81\xa1b\x92\x01\xc0";
    let table: [(&str, Vec<u8>); 5] = [
        ("", msgpack.to_vec()),
        ("    Format json\n", format!("[{},{}]", json[0], json[1]).into_bytes()),
        ("    Format json_lines\n", format!("{}\n{}\n", json[0], json[1]).into_bytes()),
        ("    Format json_stream\n", format!("{}{}", json[0], json[1]).into_bytes()),
        ("    Raw_Message_Key a\n", b"x\n".to_vec()),
    ];
    for (keys, want) in table {
        let lab = Lab::new("tcp-formats");
        let sink = TcpSink::new();
        lab.write(
            "c.conf",
            format!(
                "[INPUT]\n    Name stdin\n[OUTPUT]\n    Name tcp\n    Match *\n    Host 127.0.0.1\n    Port {}\n{keys}",
                sink.port()
            ),
        );
        let done = lab.command(&["-c", "c.conf"]).stdin(events).start().wait().code(0);
        lab.wait("the bytes", || sink.bytes().len() >= want.len());
        assert_eq!(sink.text(), String::from_utf8_lossy(&want), "{keys}\n{}", done.report());
        assert_eq!(sink.bytes(), want, "{keys}");
    }
}

#[test]
#[cfg(feature = "tools")]
fn random_makes_numbers() {
    let lab = Lab::new("random");
    let mut run = lab.start(&format!("[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name random\n    Samples 2\n    Interval_Sec 0\n    Interval_NSec 10000000\n{JSON}"));
    run.wait_for("two numbers", |p| p.stdout().lines().count() >= 2);
    let done = run.term().code(0);
    let numbers: Vec<u64> = done
        .stdout
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["rand_value"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers.len(), 2, "{}", done.report());
    assert_ne!(numbers[0], numbers[1]);
}

#[test]
#[cfg(feature = "tools")]
fn counter_counts() {
    let lab = Lab::new("counter");
    let done = lab.command(&["-i", "stdin", "-o", "counter", "-m", "*"]).stdin("{}{}{}").start().wait().code(0);
    let count: serde_json::Value = serde_json::from_str(done.stdout.lines().next().unwrap()).unwrap();
    assert_eq!((count["log_records"].as_u64(), count["total"].as_u64()), (Some(3), Some(3)), "{}", done.report());
    assert!(count["ts"].is_f64());
}
