//! Datagrams and Unix sockets, in and out: udp, unix_socket, and the outputs syslog and udp beside our inputs.

use crate::lab::{Lab, Proc, TcpSink, free_port};
use std::io::Write;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

const JSON: &str = "[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n    Json_Date_Key false\n";

fn start(lab: &Lab, input: &str) -> Proc {
    let mut run = lab.start(&format!("[SERVICE]\n    Flush 0.05\n[INPUT]\n{input}{JSON}"));
    run.wait_stderr("listening on");
    run
}

#[test]
fn udp_takes_json_and_lines() {
    let lab = Lab::new("udp-in");
    let port = free_port();
    let keys = format!("    Name udp\n    Listen 127.0.0.1\n    Port {port}\n    Source_Address_Key from\n");
    let mut run = start(&lab, &keys);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let from = socket.local_addr().unwrap();
    let send = |text: &[u8]| assert_eq!(socket.send_to(text, ("127.0.0.1", port)).unwrap(), text.len());
    for text in ["{\"a\":1}{\"b\":[2]}\n", "", " \r\n", "{\"c\":", "no json", "{\"d\":4}"] {
        send(text.as_bytes());
    }
    send(format!("{{\"long\":\"{}\"}}", "x".repeat(60_000)).as_bytes());
    for text in ["{\"a\":1,", "{\"b\":[2],", "{\"log\":\"{\\\"c\\\":\",", "{\"log\":\"no json\",", "{\"d\":4,"] {
        run.wait_stdout(&format!("{text}\"from\":\"udp://{from}\"}}\n"));
    }
    run.wait_stdout(&format!("{}\",\"from\"", "x".repeat(60_000)));
    run.term().code(0).says(&["input udp.0: 6 records"]);

    let keys = format!("    Name udp\n    Listen 127.0.0.1\n    Port {port}\n    Format none\n    Separator |\n");
    let mut run = start(&lab, &keys);
    send(b"one|two||three");
    run.wait_stdout("{\"log\":\"one\"}\n{\"log\":\"two\"}\n{\"log\":\"three\"}\n");
    run.term().code(0);
}

/// What the kernel had no room for is a number in the account.
#[test]
fn udp_counts_what_the_kernel_drops() {
    let lab = Lab::new("udp-drops");
    let port = free_port();
    let keys = format!("    Name udp\n    Listen 127.0.0.1\n    Port {port}\n    Receive_Buffer_Size 4K\n");
    let run = start(&lab, &keys);
    let pid = rustix::process::Pid::from_raw(run.pid().cast_signed()).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    for _ in 0..500 {
        socket.send_to(b"{\"n\":1}", ("127.0.0.1", port)).unwrap();
    }
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    let done = run.term().code(0);
    let number = |text: &str, behind: &str| -> u64 {
        let at = text.find(behind).unwrap_or_else(|| panic!("no {behind:?}\n{text}"));
        let digits: Vec<char> = text[..at].trim_end().chars().rev().take_while(char::is_ascii_digit).collect();
        digits.iter().rev().collect::<String>().parse().unwrap()
    };
    let account = done.stderr.lines().find(|l| l.contains("input udp.0:")).unwrap();
    assert_eq!(number(account, " records") + number(account, " dropped by the kernel"), 500, "{account}");
}

#[test]
fn unix_sockets_of_both_kinds() {
    let lab = Lab::new("unix-socket");
    let path = lab.path("s");
    let keys = format!("    Name unix_socket\n    Socket_Path {}\n    Socket_Permissions 0600\n", path.display());
    let mut run = start(&lab, &keys);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"{\"a\":1}{\"b\"").unwrap();
    run.wait_stdout("{\"a\":1}\n");
    stream.write_all(b":2}").unwrap();
    run.wait_stdout("{\"b\":2}\n");
    run.term().code(0);
    assert!(!path.exists(), "the socket is taken away");

    let more = "    Socket_Mode DGRAM\n    Format none\n    Source_Address_Key from\n";
    let mut run = start(&lab, &format!("{keys}{more}"));
    let socket = UnixDatagram::unbound().unwrap();
    socket.send_to(b"one\ntwo", &path).unwrap();
    for line in ["one", "two"] {
        run.wait_stdout(&format!("{{\"log\":\"{line}\",\"from\":\"unix://{}\"}}\n", path.display()));
    }
    // Senders wait where the queue is full: nothing is lost.
    for n in 0..5000 {
        socket.send_to(format!("line {n}").as_bytes(), &path).unwrap();
    }
    run.wait_stdout("line 4999");
    run.term().code(0).says(&["input unix_socket.0: 5002 records"]);
}

/// What the kernel has taken of a sender's bytes is delivered at the end: the sender takes it for sent.
#[test]
fn what_came_in_before_the_end_is_read() {
    let lab = Lab::new("sockets-end");
    let (port, path) = (free_port(), lab.path("s"));
    let inputs = [
        format!("    Name tcp\n    Listen 127.0.0.1\n    Port {port}\n"),
        format!("    Name unix_socket\n    Socket_Path {}\n", path.display()),
    ];
    for (n, input) in inputs.iter().enumerate() {
        let mut run = start(&lab, input);
        let mut stream: Box<dyn Write> = match n {
            0 => Box::new(std::net::TcpStream::connect(("127.0.0.1", port)).unwrap()),
            _ => Box::new(UnixStream::connect(&path).unwrap()),
        };
        stream.write_all(b"{\"first\":1}").unwrap();
        run.wait_stdout("first");
        run.signal(rustix::process::Signal::STOP);
        let text: String = (0..1000).map(|n| format!("{{\"n\":{n}}}")).collect();
        stream.write_all(text.as_bytes()).unwrap();
        stream.write_all(b"{\"cut\":").unwrap();
        run.signal(rustix::process::Signal::TERM);
        run.signal(rustix::process::Signal::CONT);
        let out = run.wait().code(0).stdout;
        let missing: Vec<usize> = (0..1000).filter(|n| !out.contains(&format!("{{\"n\":{n}}}\n"))).collect();
        assert_eq!(missing, [0; 0], "{input}");
        assert!(out.ends_with("{\"log\":\"{\\\"cut\\\":\"}\n"), "{input}: {}", &out[out.len() - 60..]);
    }
}

/// Runs an output over a few records to its end.
fn send(lab: &Lab, output: &str, events: &str) -> crate::lab::Done {
    lab.write("out.conf", format!("[INPUT]\n    Name stdin\n    Tag t\n[OUTPUT]\n    Match *\n{output}"));
    lab.command(&["-c", "out.conf"]).stdin(events).start().wait()
}

const EVENTS: &str = r#"[1700000000.5, {"m":"hi \"x\" é","h":"web 1","a":"app","p":7,"sev":"err","sd@1":{"k":"v]"}}] [1700000001, {"m":"two\nlines","sev":9}]"#;

#[test]
fn syslog_goes_out_and_comes_in() {
    let keys = "    Syslog_Message_Key m\n    Syslog_Hostname_Key h\n    Syslog_Appname_Key a\n    Syslog_Procid_Key p\n    \
                Syslog_Severity_Key sev\n    Syslog_Sd_Key sd@1\n";
    let new = [
        "{\"pri\":\"11\",\"time\":\"2023-11-14T22:13:20.500000Z\",\"host\":\"web_1\",\"ident\":\"app\",\"pid\":\"7\",\
         \"extradata\":\"[sd@1 k=\\\"v\\\\]\\\"]\",\"message\":\"hi \\\"x\\\" \\u00e9\"}\n",
        "{\"pri\":\"14\",\"time\":\"2023-11-14T22:13:21.000000Z\",\"message\":\"two",
    ];
    let old = [
        "{\"pri\":\"11\",\"time\":\"Nov 14 22:13:20\",\"host\":\"web_1\",\"ident\":\"app\",\"pid\":\"7\",\
         \"message\":\"hi \\\"x\\\" \\u00e9\"}\n",
        "{\"pri\":\"14\",\"time\":\"Nov 14 22:13:21\",\"message\":\"two",
    ];
    let table = [
        ("udp", "", "\\nlines\"}\n"),
        ("tcp", "", "#012lines\"}\n"),
        ("tcp", "    Syslog_Framing octet_counting\n", "\\nlines\"}\n"),
    ];
    for (mode, more, end) in table {
        for (format, want) in [("rfc5424", &new), ("rfc3164", &old)] {
            let lab = Lab::new("syslog-out");
            let port = free_port();
            let mut run =
                start(&lab, &format!("    Name syslog\n    Mode {mode}\n    Listen 127.0.0.1\n    Port {port}\n"));
            let output = format!(
                "    Name syslog\n    Host 127.0.0.1\n    Port {port}\n    Mode {mode}\n    Syslog_Format {format}\n{keys}{more}"
            );
            send(&lab, &output, EVENTS).code(0).says(&["1 record(s) of 't' have a severity that is none"]);
            run.wait_stdout(want[0]);
            run.wait_stdout(&format!("{}{end}", want[1]));
            run.term().code(0).says(&["input syslog.0: 2 records"]);
        }
    }
}

#[test]
fn syslog_and_udp_reach_unix_sockets() {
    let lab = Lab::new("syslog-unix-out");
    let path = lab.path("log");
    for mode in ["udp", "tcp"] {
        let mut run = start(&lab, &format!("    Name syslog\n    Mode unix_{mode}\n    Path {}\n", path.display()));
        let output =
            format!("    Name syslog\n    Mode {mode}\n    Host {}\n    Syslog_Message_Key m\n", path.display());
        send(&lab, &output, "{\"m\":\"hello\"}").code(0);
        run.wait_stdout("\"message\":\"hello\"}\n");
        run.term().code(0);
    }
    let mut run =
        start(&lab, &format!("    Name unix_socket\n    Socket_Mode DGRAM\n    Socket_Path {}\n", path.display()));
    send(
        &lab,
        &format!("    Name udp\n    Host {}\n    Format json_lines\n    Json_Date_Key false\n", path.display()),
        "{\"m\":1}{\"m\":2}",
    )
    .code(0);
    run.wait_stdout("{\"m\":1}\n{\"m\":2}\n");
    run.term().code(0);
}

/// Datagrams towards a port that nobody listens on wait, and are there when somebody does; what no datagram holds is kept.
#[test]
fn udp_waits_for_a_receiver_and_refuses_what_is_too_long() {
    let lab = Lab::new("udp-out");
    let port = free_port();
    lab.write(
        "out.conf",
        format!(
            "[SERVICE]\n    Flush 0.05\n    scheduler.base 1\n    scheduler.cap 1\n[INPUT]\n    Name stdin\n    Tag t\n[OUTPUT]\n    \
             Name udp\n    Match *\n    Host 127.0.0.1\n    Port {port}\n    Raw_Message_Key m\n"
        ),
    );
    let events = format!("{{\"m\":\"one\"}}{{\"m\":\"{}\"}}{{\"m\":\"three\"}}", "x".repeat(70_000));
    let mut sender = lab.command(&["-c", "out.conf"]).stdin(events).start();
    sender.wait_stderr("nobody listens there");
    let peer = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut buf = [0; 64];
    let mut got = Vec::new();
    while !got.iter().any(|m| m == "three\n") {
        let n = peer.recv(&mut buf).expect("the records that waited");
        got.push(String::from_utf8_lossy(&buf[..n]).into_owned());
    }
    assert_eq!(got, ["one\n", "three\n"]);
    sender.wait().code(0).says(&["70001 bytes are too long for a datagram"]);
}

/// A receiver that resets connections in the middle of a load gets every line in the end.
#[test]
fn syslog_over_tcp_survives_its_receiver() {
    const LINES: usize = 20_000;
    let lab = Lab::new("syslog-outage");
    let port = free_port();
    let mut events = String::new();
    for n in 0..LINES {
        events.push_str(&format!("{{\"m\":\"line {n:05} {}\"}}", "x".repeat(100)));
    }
    lab.write(
        "out.conf",
        format!(
            "[SERVICE]\n    Flush 0.05\n    scheduler.base 1\n    scheduler.cap 1\n    Grace 30\n[INPUT]\n    Name stdin\n    Tag t\n[OUTPUT]\n    \
             Name syslog\n    Mode tcp\n    Match *\n    Host 127.0.0.1\n    Port {port}\n    Syslog_Message_Key m\n"
        ),
    );
    // The first receiver takes one connection, reads a little and is gone.
    let first = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let sender = lab.command(&["-c", "out.conf"]).stdin(events).start();
    let (mut stream, _) = first.accept().unwrap();
    let mut begun = vec![0; 100_000];
    std::io::Read::read_exact(&mut stream, &mut begun).unwrap();
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
    drop(first);
    let sink = TcpSink::at(port);
    sender.wait().code(0);
    let mut text = String::from_utf8_lossy(&begun).into_owned();
    lab.wait("the last line", || sink.text().contains(&format!("line {:05}", LINES - 1)));
    text.push_str(&sink.text());
    let numbers = text.split("line ").filter_map(|part| part.get(..5)?.parse().ok());
    let found: std::collections::BTreeSet<usize> = numbers.collect();
    let missing: Vec<usize> = (0..LINES).filter(|n| !found.contains(n)).collect();
    assert!(missing.is_empty(), "{} lines are lost, the first of them {}", missing.len(), missing[0]);
}
