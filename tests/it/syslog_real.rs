//! The syslog input and output beside rsyslog and syslog-ng themselves. Skipped, with a line, where they cannot be had.

use crate::lab::{Lab, free_port, is_native, skip};
use serde_json::Value;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The folder with both programs.
fn real() -> Option<&'static Path> {
    static REAL: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = REAL.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let dir = target.join("real/syslog");
        let out = Command::new(root.join("tests/real/syslog.sh")).arg(&dir).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).trim().to_owned();
        if said == "READY" {
            return is_native().then_some(dir);
        }
        skip(said.trim_start_matches("skipped: "));
        None
    });
    found.as_deref()
}

/// A running program, killed at the end.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Daemon {
    fn start(lab: &Lab, program: &Path, args: &[&str]) -> Self {
        let log = fs::File::create(lab.path("daemon.log")).unwrap();
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self(command.spawn().unwrap())
    }
}

fn rsyslog(lab: &Lab, real: &Path, conf: &str) -> Daemon {
    let conf = lab.write("rsyslog.conf", conf);
    let pid = lab.path("rsyslog.pid");
    Daemon::start(lab, &real.join("rsyslogd"), &["-n", "-f", conf.to_str().unwrap(), "-i", pid.to_str().unwrap()])
}

fn syslog_ng(lab: &Lab, real: &Path, conf: &str) -> Daemon {
    let conf = lab.write("syslog-ng.conf", conf);
    let path = |name: &str| lab.path(name).display().to_string();
    Daemon::start(
        lab,
        &real.join("syslog-ng"),
        &[
            "-F",
            "--no-caps",
            "-f",
            conf.to_str().unwrap(),
            "-R",
            &path("ng.persist"),
            "-p",
            &path("ng.pid"),
            "-c",
            &path("ng.ctl"),
        ],
    )
}

/// Program, process id and text of what is logged.
const MESSAGES: &[(&str, &str, &str)] = &[
    ("app", "7", "plain text"),
    ("app", "", "quotes \"and\" back\\slash"),
    ("other", "12345", "gr\u{fc}\u{df}e \u{2713} ]] [x]"),
    ("cron", "1", "(root) CMD (x: y)"),
];

/// Logs the messages, and a long one, to a program's socket.
fn log_to(lab: &Lab, socket: &Path) {
    let out = UnixDatagram::unbound().unwrap();
    lab.wait("the program's socket", || out.connect(socket).is_ok());
    let long = "long ".repeat(300);
    for (app, pid, text) in MESSAGES.iter().chain([&("app", "8", long.trim_end())]) {
        let pid = if pid.is_empty() { String::new() } else { format!("[{pid}]") };
        out.send(format!("<165>Nov 14 22:13:20 {app}{pid}: {text}").as_bytes()).unwrap();
    }
}

/// What each transport brought: the records of a tag, in order.
fn check(lab: &Lab, tag: &str) {
    let lines = || fs::read_to_string(lab.path("out").join(tag)).unwrap_or_default();
    // TLS and its handshake take their time.
    let has_all = crate::lab::until(|| lines().lines().count() > MESSAGES.len());
    let log = fs::read_to_string(lab.path("daemon.log")).unwrap_or_default();
    assert!(has_all, "{tag}: not all messages came\n{}\n{log}", lines());
    let records: Vec<Value> = lines().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(records.len(), MESSAGES.len() + 1, "{tag}: {records:?}");
    for ((app, pid, text), record) in MESSAGES.iter().zip(&records) {
        // rsyslog's messages begin with the space behind the tag: its RFC 5424 template sends it, and it is kept.
        assert_eq!(message(record), *text, "{tag}: {record}");
        assert_eq!(record["ident"], *app, "{tag}: {record}");
        assert_eq!(record["pri"], "165", "{tag}: {record}");
        let got = record.get("pid").and_then(Value::as_str).unwrap_or_default();
        assert_eq!(got, *pid, "{tag}: {record}");
        assert!(record["host"].is_string() && record["time"].is_string(), "{tag}: {record}");
        assert!(record.get("parse_error").is_none(), "{tag}: {record}");
    }
    assert_eq!(message(&records[MESSAGES.len()]), "long ".repeat(300).trim_end(), "{tag}");
}

fn message(record: &Value) -> &str {
    record["message"].as_str().unwrap_or_default().trim_start()
}

/// A certificate for localhost, in the lab's folder.
fn certificate(lab: &Lab) {
    let key = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
    lab.write("s.crt", key.cert.pem());
    lab.write("s.key", key.signing_key.serialize_pem());
}

/// Our program with an input for each tag; the ports in order.
fn inputs<const N: usize>(lab: &Lab, of: [(&str, &str); N]) -> (crate::lab::Proc, [u16; N]) {
    certificate(lab);
    fs::create_dir(lab.path("out")).unwrap();
    let ports = of.map(|_| free_port());
    let mut conf = "[SERVICE]\n    Flush 0.05\n".to_owned();
    for ((tag, keys), port) in of.iter().zip(ports) {
        let tls = if tag.contains("tls") { "    tls on\n    tls.crt_file s.crt\n    tls.key_file s.key\n" } else { "" };
        conf += &format!(
            "[INPUT]\n    Name syslog\n    Tag {tag}\n    Listen 127.0.0.1\n    Port {port}\n    Mode {keys}\n    Buffer_Max_Size 64K\n{tls}"
        );
    }
    conf += "[OUTPUT]\n    Name file\n    Match *\n    Path out\n    Format plain\n";
    let mut run = lab.start(&conf);
    run.wait_for("the inputs", |p| p.stderr().matches("listening on").count() == N);
    (run, ports)
}

#[test]
fn rsyslog_sends() {
    let Some(real) = real() else { return };
    let lab = Lab::new("rsyslog-in");
    let tags = [
        ("udp-new", "udp"),
        ("udp-old", "udp"),
        ("tcp-lines", "tcp"),
        ("tcp-counted", "tcp"),
        ("tls-gnutls", "tcp"),
        ("tls-openssl", "tcp"),
    ];
    let (run, ports) = inputs(&lab, tags);
    let socket = lab.path("in.sock");
    let forward =
        |n: usize, keys: &str| format!("action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{}\" {keys})\n", ports[n]);
    let tls = "protocol=\"tcp\" TCP_Framing=\"octet-counted\" template=\"RSYSLOG_SyslogProtocol23Format\" StreamDriverMode=\"1\" \
               StreamDriverAuthMode=\"x509/name\" StreamDriverPermittedPeers=\"localhost\"";
    let conf = [
        format!(
            "global(workDirectory=\"{0}\" maxMessageSize=\"64k\" defaultNetstreamDriverCAFile=\"{0}/s.crt\")\n\
             module(load=\"imuxsock\" SysSock.Use=\"off\")\n\
             input(type=\"imuxsock\" Socket=\"{1}\" RateLimit.Interval=\"0\")\n",
            lab.path("").display(),
            socket.display()
        ),
        forward(0, "protocol=\"udp\" template=\"RSYSLOG_SyslogProtocol23Format\""),
        forward(1, "protocol=\"udp\" template=\"RSYSLOG_TraditionalForwardFormat\""),
        forward(2, "protocol=\"tcp\" template=\"RSYSLOG_ForwardFormat\""),
        forward(3, "protocol=\"tcp\" TCP_Framing=\"octet-counted\" template=\"RSYSLOG_SyslogProtocol23Format\""),
        forward(4, &format!("{tls} StreamDriver=\"gtls\"")),
        forward(5, &format!("{tls} StreamDriver=\"ossl\"")),
    ];
    let daemon = rsyslog(&lab, real, &conf.concat());
    log_to(&lab, &socket);
    tags.iter().for_each(|(tag, _)| check(&lab, tag));
    drop(daemon);
    run.term().code(0);
}

#[test]
fn syslog_ng_sends() {
    let Some(real) = real() else { return };
    let lab = Lab::new("syslog-ng-in");
    let tags =
        [("udp", "udp"), ("tcp", "tcp"), ("tls", "tcp"), ("udp-new", "udp"), ("tcp-new", "tcp"), ("tls-new", "tcp")];
    let (run, ports) = inputs(&lab, tags);
    let socket = lab.path("in.sock");
    let mut conf = format!(
        "@version: 3.38\noptions {{ keep-hostname(yes); stats-freq(0); flush-lines(1); }};\n\
         source s {{ unix-dgram(\"{}\"); }};\n",
        socket.display()
    );
    for (n, (tag, _)) in tags.iter().enumerate() {
        let driver = if tag.ends_with("new") { "syslog" } else { "network" };
        let transport = match &tag[..3] {
            "tls" => format!("transport(\"tls\") tls(ca-file(\"{}\") peer-verify(yes))", lab.path("s.crt").display()),
            other => format!("transport(\"{other}\")"),
        };
        conf += &format!(
            "log {{ source(s); destination {{ {driver}(\"127.0.0.1\" port({}) {transport}); }}; }};\n",
            ports[n]
        );
    }
    let daemon = syslog_ng(&lab, real, &conf);
    log_to(&lab, &socket);
    tags.iter().for_each(|(tag, _)| check(&lab, tag));
    drop(daemon);
    run.term().code(0);
}

/// Records that are sent to the programs.
const RECORDS: usize = 200;

fn record(n: usize) -> String {
    let text = match n % 4 {
        0 => "plain".to_owned(),
        1 => "quotes \\\"and\\\" back\\\\slash".to_owned(),
        2 => "gr\\u00fc\\u00dfe".to_owned(),
        _ => "x".repeat(500),
    };
    format!(
        "[{}, {{\"m\":\"{n} {text}\",\"h\":\"web1\",\"a\":\"app\",\"p\":{n},\"i\":\"ID{n}\",\"s\":{},\"sd@1\":{{\"k\":\"v{n}\"}}}}]",
        1_700_000_000 + n,
        n % 8
    )
}

/// Our outputs of these modes and formats, run to their end over all records.
fn send_all(lab: &Lab, outputs: &[(&str, u16)]) {
    let mut conf = "[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name stdin\n    Tag t\n".to_owned();
    for (keys, port) in outputs {
        conf += &format!(
            "[OUTPUT]\n    Name syslog\n    Match *\n    Host localhost\n    Port {port}\n    net.dns.prefer_ipv4 on\n    \
             Syslog_Message_Key m\n    Syslog_Hostname_Key h\n    Syslog_Appname_Key a\n    Syslog_Procid_Key p\n    \
             Syslog_Msgid_Key i\n    Syslog_Severity_Key s\n    Syslog_Sd_Key sd@1\n{keys}"
        );
    }
    lab.write("out.conf", conf);
    let events: String = (0..RECORDS).map(record).collect();
    lab.command(&["-c", "out.conf"]).stdin(events).start().wait().code(0);
}

/// What the program wrote of one transport, line by line.
fn written(lab: &Lab, name: &str, is_new: bool) {
    let lines = || fs::read_to_string(lab.path(name)).unwrap_or_default();
    let has_all = crate::lab::until(|| lines().lines().count() >= RECORDS);
    let log = fs::read_to_string(lab.path("daemon.log")).unwrap_or_default();
    assert!(has_all, "{name}: {} of {RECORDS} lines\n{log}", lines().lines().count());
    let mut lines: Vec<String> = lines().lines().map(str::to_owned).collect();
    // Datagrams may be taken by several threads.
    lines.sort_by_key(|l| l.split('|').nth(4).and_then(|p| p.parse::<usize>().ok()));
    for (n, line) in lines.iter().enumerate() {
        let event: Value = serde_json::from_str(&record(n)).unwrap();
        let text = event[1]["m"].as_str().unwrap();
        let rest = if is_new { format!("ID{n}|[sd@1 k=\"v{n}\"]") } else { "-|-".to_owned() };
        let time = if is_new { &event[0] } else { &Value::Null };
        let want = format!("{}|web1|app|{n}|{rest}|{text}", 8 + n % 8);
        let (pri, behind) = line.split_once('|').unwrap();
        let (stamp, behind) = behind.split_once('|').unwrap();
        let got = format!("{pri}|{}", behind.replace('\u{feff}', "").replace("| ", "|"));
        assert_eq!(got, want, "{name}");
        if let Some(secs) = time.as_i64() {
            assert_eq!(stamp, secs.to_string(), "{name}: {line}");
        }
    }
}

#[test]
fn rsyslog_receives() {
    let Some(real) = real() else { return };
    let lab = Lab::new("rsyslog-out");
    certificate(&lab);
    let dir = lab.path("").display().to_string();
    let ports: [u16; 4] = std::array::from_fn(|_| free_port());
    let mut conf = format!(
        "global(workDirectory=\"{dir}\" maxMessageSize=\"64k\" defaultNetstreamDriver=\"gtls\" defaultNetstreamDriverCAFile=\"{dir}/s.crt\" \
         defaultNetstreamDriverCertFile=\"{dir}/s.crt\" defaultNetstreamDriverKeyFile=\"{dir}/s.key\")\n\
         module(load=\"imudp\") module(load=\"imptcp\")\n\
         module(load=\"imtcp\" StreamDriver.Name=\"gtls\" StreamDriver.Mode=\"1\" StreamDriver.AuthMode=\"anon\")\n\
         template(name=\"all\" type=\"string\" string=\"%pri%|%timestamp:::date-unixtimestamp%|%hostname%|%app-name%|%procid%|%msgid%|%structured-data%|%msg%\\n\")\n"
    );
    let kinds = ["imudp", "imptcp", "imptcp", "imtcp"];
    let names = ["udp", "tcp-lines", "tcp-counted", "tls"];
    for ((kind, name), port) in kinds.iter().zip(names).zip(ports) {
        let buffer = if *kind == "imudp" { "rcvbufSize=\"4m\"" } else { "" };
        conf += &format!(
            "ruleset(name=\"{name}\") {{ action(type=\"omfile\" file=\"{dir}/{name}\" template=\"all\") }}\n\
             input(type=\"{kind}\" address=\"127.0.0.1\" port=\"{port}\" ruleset=\"{name}\" {buffer})\n"
        );
    }
    let _daemon = rsyslog(&lab, real, &conf);
    lab.wait("rsyslog", || ports[1..].iter().all(|p| std::net::TcpStream::connect(("127.0.0.1", *p)).is_ok()));
    send_all(
        &lab,
        &[
            ("    Mode udp\n", ports[0]),
            ("    Mode tcp\n    Syslog_Format rfc3164\n", ports[1]),
            ("    Mode tcp\n    Syslog_Framing octet_counting\n", ports[2]),
            ("    Mode tls\n    tls.ca_file s.crt\n    Syslog_Framing octet_counting\n", ports[3]),
        ],
    );
    names.iter().for_each(|name| written(&lab, name, *name != "tcp-lines"));
}

#[test]
fn syslog_ng_receives() {
    let Some(real) = real() else { return };
    let lab = Lab::new("syslog-ng-out");
    certificate(&lab);
    let ports: [u16; 4] = std::array::from_fn(|_| free_port());
    let names = ["udp", "tcp-lines", "tcp-counted", "tls"];
    let mut conf = "@version: 3.38\noptions { keep-hostname(yes); stats-freq(0); flush-lines(1); };\n\
                    template t { template(\"${PRI}|${UNIXTIME}|${HOST}|${PROGRAM}|${PID}|${MSGID:--}|${SDATA:--}|${MESSAGE}\\n\"); };\n"
        .to_owned();
    for (name, port) in names.iter().zip(ports) {
        let source = match *name {
            "udp" => "network(ip(127.0.0.1) transport(\"udp\") flags(syslog-protocol) so-rcvbuf(4194304)".to_owned(),
            "tcp-lines" => "network(ip(127.0.0.1) transport(\"tcp\")".to_owned(),
            "tcp-counted" => "syslog(ip(127.0.0.1) transport(\"tcp\")".to_owned(),
            _ => format!(
                "syslog(ip(127.0.0.1) transport(\"tls\") tls(key-file(\"{0}s.key\") cert-file(\"{0}s.crt\") peer-verify(optional-untrusted))",
                lab.path("").display()
            ),
        };
        conf += &format!(
            "log {{ source {{ {source} port({port})); }}; destination {{ file(\"{}\" template(t)); }}; }};\n",
            lab.path(name).display()
        );
    }
    let _daemon = syslog_ng(&lab, real, &conf);
    lab.wait("syslog-ng", || ports[1..].iter().all(|p| std::net::TcpStream::connect(("127.0.0.1", *p)).is_ok()));
    send_all(
        &lab,
        &[
            ("    Mode udp\n", ports[0]),
            ("    Mode tcp\n    Syslog_Format rfc3164\n", ports[1]),
            ("    Mode tcp\n    Syslog_Framing octet_counting\n", ports[2]),
            ("    Mode tls\n    tls.ca_file s.crt\n    Syslog_Framing octet_counting\n", ports[3]),
        ],
    );
    names.iter().for_each(|name| written(&lab, name, *name != "tcp-lines"));
}
