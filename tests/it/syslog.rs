//! The syslog input beside programs that send to it.

use crate::lab::{Lab, Proc, free_port, has, samples, skip};
use collector::event::{Batch, Tag, Value};
use collector::parse::syslog::SyslogParser;
use collector::parse::{Parsed, Parser};
use collector::time::Time;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Command;
use std::time::{Duration, Instant};

const JSON: &str = "[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n    Json_Date_Key false\n";

fn start(lab: &Lab, keys: &str) -> Proc {
    let mut run = lab.start(&format!("[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name syslog\n{keys}{JSON}"));
    run.wait_stderr("listening on");
    run
}

fn on_port(lab: &Lab, mode: &str, keys: &str) -> (Proc, u16) {
    let port = free_port();
    let run = start(lab, &format!("    Mode {mode}\n    Listen 127.0.0.1\n    Port {port}\n{keys}"));
    (run, port)
}

const HELLO: &[u8] = b"<34>1 2003-10-11T22:14:15.003Z h su - ID47 - hello";
const FIELDS: &str =
    r#"{"pri":"34","time":"2003-10-11T22:14:15.003Z","host":"h","ident":"su","msgid":"ID47","message":"hello"}"#;

#[test]
fn udp() {
    let lab = Lab::new("syslog-udp");
    let (mut run, port) = on_port(&lab, "udp", "    Raw_Message_Key raw\n    Source_Address_Key from\n");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let from = socket.local_addr().unwrap();
    for message in [b"<13>Oct 11 22:14:15 h a[1]: x\n".as_slice(), b"", b"\n", b"<13>two\nlines", &[b'x'; 60_000]] {
        socket.send_to(message, ("127.0.0.1", port)).unwrap();
    }
    run.wait_stdout(&format!(
        r#""host":"h","ident":"a","pid":"1","message":"x","raw":"<13>Oct 11 22:14:15 h a[1]: x","from":"udp://{from}"}}"#
    ));
    run.wait_stdout(r#"{"pri":"13","message":"two\nlines","raw":"<13>two\nlines""#);
    run.wait_stdout(&format!(
        r#""{}","parse_error":"neither a priority nor a time at the beginning""#,
        "x".repeat(60_000)
    ));
    run.term().code(0).says(&["input syslog.0: 3 records"]);
}

#[test]
fn tcp_in_both_framings() {
    let lab = Lab::new("syslog-tcp");
    let (mut run, port) = on_port(&lab, "tcp", "    Buffer_Max_Size 1K\n");
    let connect = || TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut lines = connect();
    lines.write_all(b"<1>line one\n<2>line t").unwrap();
    let mut counted = connect();
    counted.write_all(b"14 <3>counted\none9 <4>coun").unwrap();
    run.wait_stdout("{\"pri\":\"1\",\"message\":\"line one\"}\n");
    run.wait_stdout("{\"pri\":\"3\",\"message\":\"counted\\none\"}\n");
    lines.write_all(b"wo").unwrap();
    drop(lines);
    counted.write_all(b"ted").unwrap();
    run.wait_stdout("{\"pri\":\"2\",\"message\":\"line two\"}\n");
    run.wait_stdout("{\"pri\":\"4\",\"message\":\"counte\"}\n");
    // Hostile: an endless line, and a count of ten gigabytes; others are served, memory is bounded.
    let (mut endless, mut huge) = (connect(), connect());
    huge.write_all(b"9999999999 <5>").unwrap();
    for _ in 0..100 {
        endless.write_all(&[b'x'; 4096]).unwrap();
        huge.write_all(&[b'y'; 4096]).unwrap();
    }
    run.wait_stdout("\"parse_error\":\"the rest of a message longer than Buffer_Max_Size\"");
    connect().write_all(b"<6>served\n").unwrap();
    run.wait_stdout("{\"pri\":\"6\",\"message\":\"served\"}\n");
    // What is unfinished at the end is a message too.
    let mut open = connect();
    open.write_all(b"<7>last\n<7>unfinished").unwrap();
    run.wait_stdout("{\"pri\":\"7\",\"message\":\"last\"}\n");
    let done = run.term().code(0);
    done.shows(&["{\"pri\":\"7\",\"message\":\"unfinished\"}"]).says(&["cut into pieces"]);
}

/// What a peer sent before the shutdown is delivered, also when it was not read yet.
#[test]
fn what_has_come_in_at_the_end_is_read() {
    if !crate::lab::is_native() {
        return;
    }
    let lab = Lab::new("syslog-end");
    let (mut run, port) = on_port(&lab, "tcp", "");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"<6>first\n").unwrap();
    run.wait_stdout("first");
    run.signal(rustix::process::Signal::STOP);
    for n in 0..5000 {
        stream.write_all(format!("<6>line {n}\n").as_bytes()).unwrap();
    }
    run.signal(rustix::process::Signal::TERM);
    run.signal(rustix::process::Signal::CONT);
    run.wait().code(0).says(&["input syslog.0: 5001 records"]);
}

#[test]
fn a_parser_and_what_it_does_not_take() {
    let lab = Lab::new("syslog-parser");
    let (mut run, port) = on_port(&lab, "tcp", "    Parser syslog-rfc5424\n");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(&[HELLO, b"\n<13>no\n"].concat()).unwrap();
    run.wait_stdout("\"pid\":\"-\",\"msgid\":\"ID47\",\"extradata\":\"-\",\"message\":\"hello\"}\n");
    run.wait_stdout("{\"log\":\"<13>no\",\"parse_error\":\"the parser 'syslog-rfc5424' does not match\"}\n");
    run.term().code(0);
}

#[test]
fn unix_sockets() {
    let lab = Lab::new("syslog-unix");
    let path = lab.path("log");
    // A socket that a killed program left.
    drop(UnixDatagram::bind(&path).unwrap());
    let keys = format!("    Path {}\n    Unix_Perm 0622\n", path.display());
    let mut run = start(&lab, &keys);
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o622);
    UnixDatagram::unbound().unwrap().send_to(HELLO, &path).unwrap();
    run.wait_stdout(FIELDS);
    run.term().code(0);
    assert!(!path.exists(), "the socket is taken away");

    let mut run = start(&lab, &format!("{keys}    Mode unix_tcp\n    Source_Address_Key from\n"));
    UnixStream::connect(&path).unwrap().write_all(b"<1>a\n").unwrap();
    run.wait_stdout(&format!("{{\"pri\":\"1\",\"message\":\"a\",\"from\":\"unix://{}\"}}\n", path.display()));
    run.term().code(0);
}

#[test]
fn tls() {
    if !has!("tls") {
        return;
    }
    let lab = Lab::new("syslog-tls");
    let key = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let crt = lab.write("s.crt", key.cert.pem());
    let private = lab.write("s.key", key.signing_key.serialize_pem());
    let keys = format!("    tls on\n    tls.crt_file {}\n    tls.key_file {}\n", crt.display(), private.display());
    let (mut run, port) = on_port(&lab, "tcp", &keys);
    lab.write(
        "out.conf",
        format!(
            "[INPUT]\n    Name stdin\n[OUTPUT]\n    Name tcp\n    Match *\n    Host localhost\n    Port {port}\n    tls on\n    \
             tls.ca_file s.crt\n    Raw_Message_Key m\n"
        ),
    );
    let sent = lab.command(&["-c", "out.conf"]).stdin("{\"m\":\"<1>over tls\"}").start().wait().code(0);
    run.wait_stdout("{\"pri\":\"1\",\"message\":\"over tls\"}\n");
    drop(sent);
    // Who speaks no TLS disturbs nobody.
    TcpStream::connect(("127.0.0.1", port)).unwrap().write_all(b"<1>plain\n").unwrap();
    run.wait_stderr("TLS handshake");
    run.term().code(0);
}

#[test]
fn logger_sends() {
    if Command::new("logger").arg("--version").output().is_err() {
        return skip("logger (util-linux) is not here");
    }
    let logger = |args: &[&str]| assert!(Command::new("logger").args(args).status().unwrap().success(), "{args:?}");
    let lab = Lab::new("syslog-logger");
    let (mut run, port) = on_port(&lab, "udp", "");
    let port = port.to_string();
    let net = ["-n", "127.0.0.1", "-P", &port, "-t", "app", "-p", "user.err", "-i"];
    logger(&[&net[..], &["-d", "--rfc3164", "old"]].concat());
    logger(
        &[&net[..], &["-d", "--rfc5424", "--msgid", "M1", "--sd-id", "a@1", "--sd-param", "b=\"c d\"", "new"]].concat(),
    );
    run.wait_stdout("\"message\":\"new\"");
    for part in [
        "\"pri\":\"11\"",
        "\"ident\":\"app\"",
        "\"message\":\"old\"",
        "\"msgid\":\"M1\"",
        "[a@1 b=\\\"c d\\\"]",
        "\"host\":",
    ] {
        run.wait_stdout(part);
    }
    run.term().code(0);
    let (mut run, port) = on_port(&lab, "tcp", "");
    let port = port.to_string();
    let net = ["-n", "127.0.0.1", "-P", &port, "-t", "app", "-T"];
    logger(&[&net[..], &["--octet-count", "--rfc5424", "counted"]].concat());
    logger(&[&net[..], &["--rfc3164", "line"]].concat());
    run.wait_stdout("\"message\":\"counted\"");
    run.wait_stdout("\"message\":\"line\"");
    run.term().code(0);
    let path = lab.path("dev-log");
    let mut run = start(&lab, &format!("    Path {}\n", path.display()));
    logger(&["-u", path.to_str().unwrap(), "-t", "app", "local"]);
    run.wait_stdout("\"ident\":\"app\",\"message\":\"local\"");
    run.term().code(0);
}

#[test]
fn python_sends() {
    const SCRIPT: &str = "import logging, logging.handlers, socket, sys\nfor i, kind in enumerate((socket.SOCK_DGRAM, socket.SOCK_STREAM)):\n    h = logging.handlers.SysLogHandler(('127.0.0.1', int(sys.argv[1 + i])), socktype=kind)\n    h.ident = 'py[7]: '\n    log = logging.Logger('x')\n    log.addHandler(h)\n    log.error('caf\\u00e9 %d', i)\n    h.close()\n";
    if Command::new("python3").args(["-c", "import logging.handlers"]).output().is_ok_and(|o| o.status.success()) {
        let lab = Lab::new("syslog-python");
        let (mut udp, udp_port) = on_port(&lab, "udp", "");
        let (mut tcp, tcp_port) = on_port(&lab, "tcp", "");
        let ports = [udp_port.to_string(), tcp_port.to_string()];
        assert!(Command::new("python3").args(["-c", SCRIPT]).args(&ports).status().unwrap().success());
        udp.wait_stdout("{\"pri\":\"11\",\"ident\":\"py\",\"pid\":\"7\",\"message\":\"caf\\u00e9 0\"}\n");
        tcp.wait_stdout("{\"pri\":\"11\",\"ident\":\"py\",\"pid\":\"7\",\"message\":\"caf\\u00e9 1\"}\n");
        udp.term().code(0);
        tcp.term().code(0);
    } else {
        skip("python3 with logging.handlers is not here");
    }
}

/// Messages in a second that are sent in this short form; the bench's are 120,000 for ten seconds. The buffer holds all of them,
/// however slow the machine is just now; the system's own would hold some hundreds.
const RATE: u64 = 8_000;

#[test]
fn udp_at_a_rate_loses_nothing() {
    if !crate::lab::is_native() {
        return;
    }
    let lab = Lab::new("syslog-rate");
    let port = free_port();
    let mut run = lab.start(&format!(
        "[SERVICE]\n    Flush 0.2\n[INPUT]\n    Name syslog\n    Mode udp\n    Listen 127.0.0.1\n    Port {port}\n    Receive_Buffer_Size 4M\n[OUTPUT]\n    Name null\n    Match *\n"
    ));
    run.wait_stderr("listening on");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    let mut message = b"<34>1 2003-10-11T22:14:15.003Z host app 1 ID47 [a@1 b=\"c\"] ".to_vec();
    message.resize(200, b'x');
    let begin = Instant::now();
    for n in 0..RATE {
        socket.send(&message).unwrap();
        if n % 100 == 99 {
            let due = Duration::from_micros((n + 1) * 1_000_000 / RATE);
            std::thread::sleep(due.saturating_sub(begin.elapsed()));
        }
    }
    run.term().code(0).says(&[&format!("input syslog.0: {RATE} records")]).silent_about(&["had no room"]);
}

#[test]
fn what_the_kernel_drops_is_counted() {
    let lab = Lab::new("syslog-drops");
    let port = free_port();
    let keys = format!("    Mode udp\n    Listen 127.0.0.1\n    Port {port}\n    Receive_Buffer_Size 4K\n");
    let run = start(&lab, &keys);
    let pid = i32::try_from(run.pid()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    for _ in 0..500 {
        socket.send_to(HELLO, ("127.0.0.1", port)).unwrap();
    }
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    let done = run.term().code(0);
    done.says(&["the kernel had no room for datagrams"]);
}

/// A message's fields; those of one that is no syslog message are empty.
fn fields(text: &[u8]) -> BTreeMap<String, String> {
    let mut batch = Batch::new(Tag::new("t"));
    let span = batch.arena_mut().push(text);
    let mark = batch.begin();
    if SyslogParser::default().parse(&mut batch, span, Time(1_481_000_000_000_000_000)) == Parsed::Miss {
        return BTreeMap::new();
    }
    batch.finish(mark, Time(0));
    let text = |v| if let Value::Str(t) = v { String::from_utf8_lossy(&t.bytes()).into_owned() } else { String::new() };
    batch.body(0).map(|(k, v)| (String::from_utf8_lossy(k.name()).into_owned(), text(v))).collect()
}

/// Lines that Filebeat's pipeline reads otherwise, by how they begin, and why ours is as it is.
const DIFFERENT: &[(&str, &str)] = &[(
    "com.apple.xpc.launchd[1] (",
    "the service in parentheses stays with the message; Filebeat takes all of it for the name and has no process id",
)];

/// The system logs of a Mac as Filebeat's pipeline reads them.
#[test]
fn hosts_programs_and_messages_are_those_of_filebeat() {
    let Some(dir) = samples("data") else { return };
    let mut compared = 0;
    let mut differences = Vec::new();
    for name in ["beats-system-syslog-darwin-syslog.log", "beats-system-syslog-darwin-syslog-sample.log"] {
        let log = fs::read(dir.join("logs/syslog").join(name)).unwrap();
        let truth = fs::read(dir.join("truth/logs/syslog").join(format!("{name}.expected.json"))).unwrap();
        let truth: Vec<serde_json::Value> = serde_json::from_slice(&truth).unwrap();
        for event in truth.iter().filter(|e| e.get("log.flags").is_none()) {
            let at = event["log.offset"].as_u64().unwrap() as usize;
            let line = log[at..].split(|b| *b == b'\n').next().unwrap();
            let text = |key: &str| event.get(key).map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
            let want = [text("host.hostname"), text("process.name"), text("process.pid"), text("message")];
            let got = fields(line);
            let got = ["host", "ident", "pid", "message"].map(|key| got.get(key).cloned());
            compared += 1;
            let line = String::from_utf8_lossy(line);
            if got != want && !DIFFERENT.iter().any(|(begin, _)| line.contains(begin)) {
                differences.push(format!("{line}\n  ours {got:?}\n  want {want:?}"));
            }
        }
    }
    assert!(compared > 90, "{compared}");
    assert!(differences.is_empty(), "{} of {compared}\n{}", differences.len(), differences.join("\n"));
}

/// Templates of vendors' messages whose host we do not find where the template has it, by a part of them, and why.
const HOSTLESS: &[(&str, &str)] = &[(
    "wrong_host",
    "a relay put its own header before the device's: its host is told, the device's header is the message",
)];

/// Messages of many vendors: all of them have their priority, and the host where it stands behind the time.
#[test]
fn vendors_messages() {
    let Some(dir) = samples("data/logs/vendor_syslog") else { return };
    let fill = [
        ("mark", "<165>"),
        ("bsd", "Dec 13 11:35:28"),
        ("host", "sc4s-host"),
        ("seq", "12"),
        ("year", "2016"),
        ("millisec", "123"),
        ("microsec", "123456"),
        ("tzname", "UTC"),
        ("iso", "2016-12-13T11:35:28.123456+00:00"),
        ("date", "2016-12-13"),
        ("time", "11:35:28"),
        ("epoch", "1481628928"),
        ("pid", "77"),
    ];
    let (mut total, mut hosts, mut wrong) = (0, 0, Vec::new());
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().flatten().map(|e| e.path()).collect();
    paths.sort();
    for path in paths {
        for template in fs::read_to_string(&path).unwrap().lines() {
            let template: String = serde_json::from_str(template).unwrap();
            let mut text = template.clone();
            for (name, value) in fill {
                text = text.replace(&format!("{{{{ {name} }}}}"), value).replace(&format!("{{{{{name}}}}}"), value);
            }
            let got = fields(text.trim_end().as_bytes());
            total += 1;
            if text.starts_with('<') {
                assert!(got.contains_key("pri"), "{text}");
            }
            let behind = ["{{ bsd }} {{ host }} ", "{{ iso }} {{ host }} ", "{{ bsd }} {{host}} "];
            if template.starts_with("{{ mark }}")
                && behind.iter().any(|b| template.get(..60.min(template.len())).is_some_and(|t| t.contains(b)))
            {
                hosts += 1;
                if got.get("host").map(String::as_str) != Some("sc4s-host")
                    && !HOSTLESS.iter().any(|(part, _)| template.contains(part))
                {
                    wrong.push(format!("{text}\n  {got:?}"));
                }
            }
        }
    }
    assert!(total > 300 && hosts > 100, "{hosts} of {total}");
    assert!(wrong.is_empty(), "{} of {hosts}\n{}", wrong.len(), wrong.join("\n"));
}
