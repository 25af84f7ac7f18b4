//! Connections that inputs accept: limits, floods, silent and broken peers, TLS with all kinds of clients.

use crate::lab::{Lab, Proc, free_port, is_native, skip};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

const JSON: &str = "[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n    Json_Date_Key false\n";

/// A tcp input for lines.
fn start(lab: &Lab, keys: &str) -> (Proc, u16) {
    let port = free_port();
    let mut run = lab.start(&format!(
        "[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name tcp\n    Listen 127.0.0.1\n    Port {port}\n    Format none\n{keys}{JSON}"
    ));
    run.wait_for("the port", |_| TcpStream::connect(("127.0.0.1", port)).is_ok());
    (run, port)
}

fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).unwrap()
}

fn said(run: &Proc, text: &str) -> usize {
    run.stderr().lines().filter(|l| l.contains(text)).count()
}

/// Descriptors that the program opens for itself when it has something to do.
const SLACK: usize = 8;

fn descriptors(run: &Proc) -> usize {
    fs::read_dir(format!("/proc/{}/fd", run.pid())).map_or(0, Iterator::count)
}

/// Resident memory in KiB that is no file's: pages of the program come and go.
fn resident(run: &Proc) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", run.pid())).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("RssAnon:"));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

#[test]
fn further_peers_wait_until_one_goes() {
    let lab = Lab::new("in-limit");
    let (mut run, port) = start(&lab, "    net.max_connections 2\n");
    let (mut first, mut second, mut third) = (connect(port), connect(port), connect(port));
    first.write_all(b"one\n").unwrap();
    second.write_all(b"two\n").unwrap();
    third.write_all(b"three\n").unwrap();
    run.wait_stdout("\"one\"");
    run.wait_stdout("\"two\"");
    run.wait_stderr("all connections are in use (net.max_connections)");
    thread::sleep(Duration::from_millis(200));
    assert!(!run.stdout().contains("three"));
    drop(first);
    run.wait_stdout("\"three\"");
    drop((second, third));
    connect(port).write_all(b"four\n").unwrap();
    run.wait_stdout("\"four\"");
    run.term().code(0);
}

#[test]
fn silent_peers_are_let_go_and_slow_ones_are_not() {
    let lab = Lab::new("in-silent");
    let (mut run, port) = start(&lab, "    net.io_timeout 1\n");
    let (mut silent, mut slow) = (connect(port), connect(port));
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let begun = Instant::now();
    let letters = thread::spawn(move || {
        for letter in b"slowly\n" {
            slow.write_all(&[*letter]).unwrap();
            thread::sleep(Duration::from_millis(400));
        }
    });
    let end = silent.read(&mut [0; 1]);
    assert!(matches!(&end, Ok(0)) || end.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset), "it was let go");
    assert!(begun.elapsed() >= Duration::from_millis(900));
    letters.join().unwrap();
    run.wait_stdout("\"slowly\"");
    run.term().code(0);
}

/// Ten thousand connections, each with a line: neither descriptors nor memory stay behind.
#[test]
fn connections_leave_nothing_behind() {
    let lab = Lab::new("in-many");
    let (mut run, port) = start(&lab, "");
    let before = descriptors(&run);
    let mut memory = 0;
    for round in 0..20 {
        // Half of them are broken off in the middle of a line.
        let open: Vec<_> = (0..500)
            .map(|n| {
                let mut s = connect(port);
                s.write_all(if n % 2 == 0 { b"whole\n" } else { b"half" }).unwrap();
                s
            })
            .collect();
        // All at once, so that each round needs as much.
        run.wait_for("the connections to come", |r| descriptors(r) >= before + open.len());
        for s in open.iter().step_by(2) {
            rustix::net::sockopt::set_socket_linger(s, Some(Duration::ZERO)).unwrap();
        }
        drop(open);
        run.wait_for("the connections to go", |r| descriptors(r) <= before + SLACK);
        if round == 3 {
            memory = resident(&run);
        }
    }
    if is_native() {
        let now = resident(&run);
        println!("memory after 2,000 connections {memory} KiB, after 10,000 {now} KiB");
        assert!(now < memory + 2 * 1024, "it grew from {memory} to {now} KiB");
    }
    run.term().code(0).says(&["connections"]);
}

/// A certificate for localhost, of an authority of its own.
struct Pki {
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    fn new(lab: &Lab, name: &str) -> Self {
        let mut params = CertificateParams::default();
        // Authorities of one name are told apart by their signatures only.
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        lab.write(&format!("{name}.pem"), ca.pem());
        Self { ca }
    }

    /// Writes `NAME.crt` and `NAME.key`, as if they had been there for a while.
    fn issue(&self, lab: &Lab, name: &str, host: &str) {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new([host.to_owned()]).unwrap().signed_by(&key, &self.ca).unwrap();
        let then = SystemTime::now() - Duration::from_secs(60);
        for (ending, text) in [("crt", cert.pem()), ("key", key.serialize_pem())] {
            let path = lab.write(&format!("{name}.{ending}"), text);
            fs::File::options().append(true).open(path).unwrap().set_modified(then).unwrap();
        }
    }
}

const TLS: &str = "    tls on\n    tls.crt_file server.crt\n    tls.key_file server.key\n";

/// A client that trusts `ca.pem`.
fn client(lab: &Lab) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&lab.bytes("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

type TlsStream = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

/// A connection on which a line was sent.
fn say(config: &Arc<rustls::ClientConfig>, port: u16, host: &str, line: &str) -> std::io::Result<TlsStream> {
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut stream =
        rustls::StreamOwned::new(rustls::ClientConnection::new(config.clone(), name).unwrap(), connect(port));
    stream.write_all(line.as_bytes())?;
    stream.flush()?;
    Ok(stream)
}

#[test]
fn handshakes_that_do_not_end_disturb_nobody() {
    for quiet in [false, true] {
        let lab = Lab::new("in-half-open");
        Pki::new(&lab, "ca").issue(&lab, "server", "localhost");
        let mut keys = format!("{TLS}    net.accept_timeout 1\n");
        if quiet {
            keys += "    net.accept_timeout_log_error off\n";
        }
        let (mut run, port) = start(&lab, &keys);
        let before = descriptors(&run);
        let open: Vec<_> = (0..200).map(|_| connect(port)).collect();
        // The beginning of a hello, and the rest never.
        open.iter().step_by(2).for_each(|mut s| s.write_all(&[22, 3, 1, 2, 0, 1, 0]).unwrap());
        let good = say(&client(&lab), port, "localhost", "served\n").unwrap();
        run.wait_stdout("\"served\"");
        run.wait_for("the others to be let go", |r| descriptors(r) <= before + SLACK);
        let lines = said(&run, "not completed within 1s (net.accept_timeout)");
        assert_eq!(lines, usize::from(!quiet), "{}", run.stderr());
        drop(good);
        let done = run.term().code(0);
        // The connection that asked whether the port is open is one more.
        assert!(
            ["200 failed handshakes", "201 failed handshakes"].iter().any(|t| done.stderr.contains(t)),
            "{}",
            done.report()
        );
    }
}

#[test]
fn a_thousand_tls_connections_fit_into_little_memory() {
    let lab = Lab::new("in-tls-thousand");
    Pki::new(&lab, "ca").issue(&lab, "server", "localhost");
    let (mut run, port) = start(&lab, TLS);
    let config = client(&lab);
    let (before, before_fds) = (resident(&run), descriptors(&run));
    let open: Vec<_> = (0..1000).map(|n| say(&config, port, "localhost", &format!("line {n}\n")).unwrap()).collect();
    run.wait_stdout("\"line 999\"");
    let full = resident(&run);
    println!("memory without connections {before} KiB, with 1,000 over TLS {full} KiB");
    drop(open);
    if is_native() {
        assert!(full - before < 100 * 1024, "{} KiB for 1,000 connections", full - before);
    }
    run.wait_for("the connections to go", |r| descriptors(r) <= before_fds + SLACK);
    run.term().code(0);
}

#[test]
fn a_new_certificate_is_shown_without_a_restart() {
    let lab = Lab::new("in-renewed");
    let ca = Pki::new(&lab, "ca");
    ca.issue(&lab, "server", "first.example");
    let (mut run, port) = start(&lab, TLS);
    let config = client(&lab);
    say(&config, port, "first.example", "one\n").unwrap();
    run.wait_stdout("\"one\"");
    ca.issue(&lab, "server", "second.example");
    // Looked at again two seconds after the last look.
    run.wait_for("the new certificate", |_| say(&config, port, "second.example", "two\n").is_ok());
    run.wait_stdout("\"two\"");
    run.wait_stderr(
        "tls.crt_file server.crt, tls.key_file server.key changed: new connections use them as they are now",
    );
    let key = lab.write("server.key", "rubbish");
    fs::File::options()
        .append(true)
        .open(key)
        .unwrap()
        .set_modified(SystemTime::now() - Duration::from_secs(9))
        .unwrap();
    run.wait_for("a word about the broken key", |r| {
        say(&config, port, "second.example", "three\n").unwrap();
        said(r, "changed, but tls.key_file 'server.key' holds no private key: connections go on") > 0
    });
    run.wait_stdout("\"three\"");
    run.term().code(0);
}

/// `openssl s_client` with these words; what it is to send goes in on standard input.
fn s_client(lab: &Lab, port: u16, args: &[&str], text: &str) -> String {
    let at = format!("127.0.0.1:{port}");
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &at, "-no_ign_eof", "-servername", "localhost"])
        .args(args)
        .current_dir(lab.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that fails ends before it reads.
    let _ = child.stdin.as_mut().unwrap().write_all(text.as_bytes());
    thread::sleep(Duration::from_millis(300));
    drop(child.stdin.take());
    let out = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned()
}

fn has(program: &str, arg: &str) -> bool {
    let there = Command::new(program).arg(arg).output().is_ok_and(|o| o.status.success());
    if !there {
        skip(&format!("{program} is not here"));
    }
    there
}

/// Real clients that are wrong in one thing each: one clear line, and those that are right are served.
#[test]
fn openssl_connects() {
    if !has("openssl", "version") {
        return;
    }
    let lab = Lab::new("in-openssl");
    let ca = Pki::new(&lab, "ca");
    ca.issue(&lab, "server", "localhost");
    ca.issue(&lab, "client", "some.client");
    Pki::new(&lab, "other").issue(&lab, "stranger", "some.client");
    fs::create_dir(lab.path("trusted")).unwrap();
    fs::copy(lab.path("ca.pem"), lab.path("trusted/ca.pem")).unwrap();
    let keys = format!(
        "{TLS}    tls.verify_client_cert on\n    tls.ca_path trusted\n    tls.debug 2\n    \
         tls.ciphers ECDHE-ECDSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256\n"
    );
    let (mut run, port) = start(&lab, &keys);
    let known = ["-cert", "client.crt", "-key", "client.key", "-CAfile", "ca.pem"];
    let table: [(&[&str], &str); 5] = [
        (&[], "the client showed no certificate, and tls.verify_client_cert wants one"),
        (&["-cert", "stranger.crt", "-key", "stranger.key"], "its issuer is not trusted (tls.ca_file"),
        (&["-tls1_1", "-cipher", "ALL@SECLEVEL=0"], "there is no TLS version that both sides speak"),
        (
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"],
            "no cipher suite that both sides serve (tls.ciphers",
        ),
        (&["-tls1_3", "-groups", "X448"], "no key exchange or signature that both sides serve"),
    ];
    for (n, (args, want)) in table.iter().enumerate() {
        let before = said(&run, want);
        let shown = s_client(&lab, port, args, "wrong\n");
        let end = Instant::now() + Duration::from_secs(10);
        while said(&run, want) == 0 && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
        assert!(said(&run, want) <= before + 1, "one line each: {}", run.stderr());
        assert!(said(&run, want) > 0, "{args:?}: no '{want}' in\n{}\n{shown}", run.stderr());
        let line = format!("right {n}\n");
        let version = if n % 2 == 0 { "-tls1_2" } else { "-tls1_3" };
        let shown = s_client(&lab, port, &[&known[..], &[version]].concat(), &line);
        run.wait_for(&format!("'right {n}'\n{shown}"), |r| r.stdout().contains(line.trim()));
    }
    connect(port).write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    run.wait_stderr("the client does not speak TLS, which this port wants");
    run.wait_stderr("TLS 1.2 with ECDHE-ECDSA-AES128-GCM-SHA256, asked for 'localhost', the peer showed");
    run.wait_stderr("TLS 1.3 with TLS_AES_128_GCM_SHA256, asked for 'localhost'");
    let done = run.term().code(0).says(&["failed handshakes"]);
    assert!(!done.stdout.contains("wrong"), "{}", done.report());
}

#[test]
fn python_and_gnutls_connect() {
    const SCRIPT: &str = "import ssl, socket, sys\nc = ssl.create_default_context(cafile='ca.pem')\n\
                          s = c.wrap_socket(socket.create_connection(('127.0.0.1', int(sys.argv[1]))), server_hostname='localhost')\n\
                          s.sendall(b'from python\\n')\ns.unwrap()\n";
    let lab = Lab::new("in-python");
    Pki::new(&lab, "ca").issue(&lab, "server", "localhost");
    let (mut run, port) = start(&lab, TLS);
    if has("python3", "--version") {
        let sent =
            Command::new("python3").args(["-c", SCRIPT, &port.to_string()]).current_dir(lab.path("")).output().unwrap();
        run.wait_for(&format!("python's line\n{}", String::from_utf8_lossy(&sent.stderr)), |r| {
            r.stdout().contains("from python")
        });
        // It says goodbye and hears ours.
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    }
    if has("gnutls-cli", "--version") {
        let mut child = Command::new("gnutls-cli")
            .args(["--x509cafile", "ca.pem", "--port", &port.to_string(), "localhost"])
            .current_dir(lab.path(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.as_mut().unwrap().write_all(b"from gnutls\n").unwrap();
        run.wait_stdout("from gnutls");
        drop(child.stdin.take());
        child.wait().unwrap();
    }
    assert_eq!(
        said(&run, "TLS handshake"),
        usize::from(said(&run, "during the TLS handshake") > 0),
        "{}",
        run.stderr()
    );
    run.term().code(0);
}
