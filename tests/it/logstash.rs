//! The logstash output beside servers: that of go-lumber, and our own beats input.

use crate::beats::client::{event, numbers};
use crate::beats::real::program;
use crate::lab::{Lab, Proc, free_port, until};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

const LINES: u32 = 20_000;

fn lines() -> Vec<u8> {
    (0..LINES).flat_map(|n| [event(n), b"\n".to_vec()].concat()).collect()
}

/// A tail on `in.log` and the output.
fn start(lab: &Lab, keys: &str) -> Proc {
    lab.write(
        "tail.conf",
        format!(
            "[SERVICE]\n    Flush 0.05\n    Grace 5\n[INPUT]\n    Name tail\n    Path in.log\n    Read_from_Head on\n    DB t.db\n    Tag t\n\
             [OUTPUT]\n    Name logstash\n    Match *\n{keys}"
        ),
    );
    lab.spawn(&["-c", "tail.conf"])
}

/// The server of go-lumber; killed when let go.
struct Server(Child);

impl Server {
    fn start(program: &Path, port: u16, file: &Path) -> Self {
        let mut child = Command::new(program)
            .args(["serve", &format!("127.0.0.1:{port}"), file.to_str().unwrap()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "READY\n");
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Killed, absent and started again in the middle of a load.
#[test]
fn a_server_of_go_lumber_that_is_killed_loses_nothing() {
    let Some(program) = program("lumberjack") else { return };
    let lab = Lab::new("logstash-kills");
    let (port, file) = (free_port(), lab.path("got"));
    lab.write("in.log", b"");
    let run = start(&lab, &format!("    Port {port}\n    Bulk_Max_Size 50\n    Tag_Key tag\n"));
    let all = lines();
    for part in all.chunks(all.len() / 5 + 1) {
        let server = Server::start(&program, port, &file);
        lab.append("in.log", part);
        sleep(Duration::from_millis(250));
        drop(server);
        sleep(Duration::from_millis(100));
    }
    let _server = Server::start(&program, port, &file);
    lab.wait("every line", || numbers(&lab.bytes("got")).len() as u32 == LINES);
    run.term().code(0).says(&["output logstash.0: 20000 records"]);
    let text = lab.read("got");
    let twice = text.lines().count() as u32 - LINES;
    assert!(twice < LINES / 2, "{twice} came twice");
    for part in ["@metadata:map[beat:collector type:_doc version:", "tag:t", "@timestamp:2"] {
        assert!(text.contains(part), "{part}");
    }
}

/// Two servers share the load; one is killed in the middle, the other takes what is left.
#[test]
fn one_of_two_servers_is_enough() {
    let Some(program) = program("lumberjack") else { return };
    let lab = Lab::new("logstash-two");
    let ports = [free_port(), free_port()];
    let servers = [0, 1].map(|i| Server::start(&program, ports[i], &lab.path(&format!("got{i}"))));
    lab.write("in.log", b"");
    let keys =
        format!("    Hosts 127.0.0.1:{}, 127.0.0.1:{}\n    Loadbalance on\n    Slow_Start on\n", ports[0], ports[1]);
    let run = start(&lab, &keys);
    let all = lines();
    let (first, second) = all.split_at(all.len() / 2);
    lab.append("in.log", first);
    lab.wait("both to have something", || [0, 1].iter().all(|i| !lab.bytes(&format!("got{i}")).is_empty()));
    let [one, _other] = servers;
    drop(one);
    lab.append("in.log", second);
    let count = || {
        [0, 1]
            .iter()
            .flat_map(|i| numbers(&lab.bytes(&format!("got{i}"))))
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    };
    assert!(until(|| count() as u32 == LINES), "{}", count());
    run.term().code(0);
}

/// Our output to our input over TLS, while the receiver is killed and started again.
#[cfg(feature = "tls")]
#[test]
fn from_collector_to_collector() {
    let lab = Lab::new("logstash-relay");
    let key = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    lab.write("s.crt", key.cert.pem());
    lab.write("s.key", key.signing_key.serialize_pem());
    let port = free_port();
    lab.write(
        "receiver.conf",
        format!(
            "[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name beats\n    Listen 127.0.0.1\n    Port {port}\n    Metadata drop\n    tls on\n    \
             tls.crt_file s.crt\n    tls.key_file s.key\n[OUTPUT]\n    Name file\n    Match *\n    File got\n    Format plain\n"
        ),
    );
    lab.write("in.log", b"");
    let tls = "    tls on\n    tls.ca_file s.crt\n    net.dns.prefer_ipv4 on\n";
    let run = start(&lab, &format!("    Host localhost\n    Port {port}\n    Bulk_Max_Size 100\n{tls}"));
    let all = lines();
    for part in all.chunks(all.len() / 4 + 1) {
        let mut receiver = lab.spawn(&["-c", "receiver.conf"]);
        receiver.wait_stderr("listening on");
        lab.append("in.log", part);
        sleep(Duration::from_millis(150));
        receiver.kill();
    }
    let receiver = lab.spawn(&["-c", "receiver.conf"]);
    lab.wait("every line", || numbers(&lab.bytes("got")).len() as u32 == LINES);
    run.term().code(0);
    receiver.term().code(0);
    let text = lab.read("got");
    assert!(text.starts_with("{\"@timestamp\":\"") && !text.contains("@metadata"), "{}", &text[..200]);
}
