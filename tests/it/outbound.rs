//! Connections that outputs make: names, addresses that are dead, and TLS servers of others.

use crate::lab::{Lab, Peer, Proc, TcpSink, free_port, refused_port, skip};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

fn conf(host: &str, port: u16, keys: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name stdin\n[OUTPUT]\n    Name tcp\n    Match *\n    Host {host}\n    Port {port}\n    \
         Format json_lines\n    Json_Date_Key false\n    Retry_Limit no_retries\n{keys}"
    )
}

fn send(lab: &Lab, conf: &str) -> crate::lab::Done {
    lab.write("collector.conf", conf);
    lab.command(&["-c", "collector.conf"]).stdin("{\"a\":1}").start().wait()
}

#[test]
fn ports_that_are_none_are_refused() {
    let lab = Lab::new("out-port");
    for (port, say) in [
        ("0", "nothing can be reached at port 0"),
        ("99999", "not an integer between 0 and 65535"),
        ("-1", "not an integer"),
    ] {
        let conf = conf("127.0.0.1", 1, "").replace("Port 1\n", &format!("Port {port}\n"));
        send(&lab, &conf).code(1).says(&["collector.conf:9:10: ", "tcp.0", say]);
    }
}

#[test]
fn timeouts_are_logged_unless_they_need_not_be() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&silent, 0).unwrap();
    let addr = silent.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&addr, Duration::from_millis(100)) {
        held.push(stream);
        if held.len() > 9 {
            return skip("this system's queues have no limit");
        }
    }
    for (keys, told) in [("", true), ("    net.connect_timeout_log_error off\n", false)] {
        let lab = Lab::new("out-timeout");
        let keys = format!("    net.connect_timeout 0.2\n{keys}");
        let conf = conf("127.0.0.1", addr.port(), &keys).replace("no_retries", "no_limits");
        lab.write("collector.conf", conf.replace("Name stdin", "Name dummy"));
        let run = lab.spawn(&["-c", "collector.conf"]);
        thread::sleep(Duration::from_secs(2));
        let said = run.stderr().contains("(net.connect_timeout)");
        assert_eq!(said, told, "{}", run.stderr());
        run.kill();
    }
}

/// A destination that accepts and never reads holds its chunk, and nobody else.
#[test]
fn a_destination_that_never_reads_is_given_up_in_time() {
    let lab = Lab::new("out-never-reads");
    let (peer, sink) = (Peer::never_reads(), TcpSink::new());
    let other = conf("127.0.0.1", sink.port(), "").split("[OUTPUT]").nth(1).unwrap().to_owned();
    let conf = conf("127.0.0.1", peer.port(), "    net.io_timeout 1\n") + "[OUTPUT]" + &other;
    lab.write("collector.conf", conf);
    let line = format!("{{\"a\":\"{}\"}}\n", "x".repeat(1000));
    let run = lab.command(&["-c", "collector.conf"]).stdin(line.repeat(6_000)).start();
    lab.wait("the other output's records", || sink.bytes().len() == 6_000 * line.len());
    let mut run = run;
    run.wait_stderr(&format!("cannot send to 127.0.0.1:{}: timed out", peer.port()));
    run.kill();
}

/// Runs the program with other files in the place of /etc/hosts and /etc/resolv.conf; `None` where that is not allowed.
fn with_names(lab: &Lab, hosts: &str, resolv: &str, stdin: &str) -> Option<Proc> {
    let words = format!(
        "mount --bind {} /etc/hosts && mount --bind {} /etc/resolv.conf && exec \"$0\" \"$@\"",
        lab.write("hosts", hosts).display(),
        lab.write("resolv", resolv).display()
    );
    let allowed = Command::new("unshare").args(["-m", "sh", "-c", &words, "true"]).output();
    if !allowed.is_ok_and(|o| o.status.success()) {
        skip("no mounts of our own here (unshare -m)");
        return None;
    }
    Some(lab.command(&["-c", "collector.conf"]).through(&["unshare", "-m", "sh", "-c", &words]).stdin(stdin).start())
}

#[test]
fn a_name_with_dead_addresses_leads_to_the_living_one() {
    let lab = Lab::new("out-addresses");
    let sink = TcpSink::new();
    // Nobody listens at the first ones, on that port.
    let hosts = "127.0.0.5 many.example\n127.0.0.6 many.example\n::1 many.example\n127.0.0.1 many.example\n";
    for resolver in ["ASYNC", "LEGACY"] {
        let before = sink.bytes().len();
        lab.write("collector.conf", conf("many.example", sink.port(), &format!("    net.dns.resolver {resolver}\n")));
        let Some(run) = with_names(&lab, hosts, "", "{\"a\":1}") else { return };
        run.wait().code(0);
        assert_eq!(sink.bytes().len(), before + 8, "{resolver}");
    }
    let (_held, port) = refused_port();
    lab.write("collector.conf", conf("many.example", port, "    net.dns.resolver ASYNC\n    net.dns.prefer_ipv4 on\n"));
    let Some(run) = with_names(&lab, hosts, "", "{\"a\":1}") else { return };
    run.wait()
        .says(&[&format!("cannot connect to many.example:{port}: 127.0.0.5:{port}: connection refused"), "and 1 more"]);
}

/// A name server at 127.0.53.53 that knows no name, or one; it counts questions.
struct NameServer {
    asked: Arc<AtomicUsize>,
    thread: Option<thread::JoinHandle<()>>,
}

impl NameServer {
    fn new(known: bool) -> Option<Self> {
        let Ok(socket) = UdpSocket::bind("127.0.53.53:53") else {
            skip("port 53 is not for us");
            return None;
        };
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let thread = thread::spawn(move || {
            let mut buf = [0; 600];
            while let Ok((n @ 12.., from)) = socket.recv_from(&mut buf) {
                count.fetch_add(1, Ordering::SeqCst);
                let mut answer = buf[..n].to_vec();
                let is_a = answer[n - 3] == 1;
                (answer[2], answer[3]) = (0x81, if known { 0x80 } else { 0x83 });
                if known && is_a {
                    answer[7] = 1;
                    answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
                }
                let _ = socket.send_to(&answer, from);
            }
        });
        Some(Self { asked, thread: Some(thread) })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        // What is too short for a question ends it.
        let _ = UdpSocket::bind("127.0.0.1:0").and_then(|s| s.send_to(b"end", "127.0.53.53:53"));
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

/// One after the other: there is one port 53.
static PORT_53: Mutex<()> = Mutex::new(());

#[test]
fn ten_thousand_chunks_for_a_name_that_is_not_there_ask_seldom() {
    let _one = PORT_53.lock().unwrap_or_else(|e| e.into_inner());
    let lab = Lab::new("out-no-name");
    let Some(server) = NameServer::new(false) else { return };
    let text: String = (0..10_000).map(|n| format!("{{\"a\":\"t{n}\"}}\n")).collect();
    let keys = "    net.dns.resolver ASYNC\n[FILTER]\n    Name rewrite_tag\n    Match stdin.0\n    Rule $a ^(.*)$ new.$0 false\n    \
                Emitter_Mem_Buf_Limit 100M\n";
    let conf = conf("no.such.example", 5170, keys).replace("no_retries", "no_limits").replace("Match *", "Match new.*");
    lab.write("collector.conf", conf.replace("Flush 0.05", "Flush 0.05\n    Grace 8"));
    let begun = Instant::now();
    let Some(mut run) = with_names(&lab, "", "nameserver 127.0.53.53\n", &text) else { return };
    run.wait_stderr("cannot resolve 'no.such.example': there is no such name");
    thread::sleep(Duration::from_secs(8));
    let (queries, seconds) = (server.asked(), begun.elapsed().as_secs_f64());
    println!("{queries} queries in {seconds:.1} s");
    assert!(queries > 0 && (queries as f64) < seconds, "{queries} queries in {seconds:.1} s");
    run.kill();
}

#[test]
fn names_of_a_name_server_are_found_and_kept() {
    let _one = PORT_53.lock().unwrap_or_else(|e| e.into_inner());
    let lab = Lab::new("out-name");
    let Some(server) = NameServer::new(true) else { return };
    let sink = TcpSink::new();
    let keys = "    net.dns.resolver ASYNC\n    net.keepalive off\n";
    let conf = conf("web.example", sink.port(), keys);
    lab.write("collector.conf", conf.replace("Name stdin", "Name dummy\n    Rate 20"));
    let Some(mut run) = with_names(&lab, "", "nameserver 127.0.53.53\n", "") else { return };
    run.wait_for("several connections", |_| sink.connections() > 5);
    assert_eq!(server.asked(), 2, "one question for each family");
    run.kill();
}

/// Certificates of two authorities, good and bad.
fn certificates(lab: &Lab) {
    for (ca_name, names) in [("ca", &["good", "old", "young", "other"][..]), ("strange", &["stranger"])] {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, ca_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        lab.write(&format!("{ca_name}.pem"), ca.pem());
        for name in names {
            let host = if *name == "other" { "elsewhere.example" } else { "localhost" };
            let mut params = CertificateParams::new([host.to_owned()]).unwrap();
            match *name {
                "old" => params.not_after = date_time_ymd(2001, 2, 3),
                "young" => params.not_before = date_time_ymd(2400, 5, 6),
                _ => {}
            }
            let key = KeyPair::generate().unwrap();
            lab.write(&format!("{name}.crt"), params.signed_by(&key, &ca).unwrap().pem());
            lab.write(&format!("{name}.key"), key.serialize_pem());
        }
    }
}

/// `openssl s_server`, until it goes.
struct Server(Child, u16);

impl Server {
    fn new(lab: &Lab, name: &str, args: &[&str]) -> Self {
        let port = free_port();
        let (crt, key) = (format!("{name}.crt"), format!("{name}.key"));
        let child = Command::new("openssl")
            .args(["s_server", "-accept", &format!("127.0.0.1:{port}"), "-cert", &crt, "-key", &key, "-quiet"])
            .args(args)
            .current_dir(lab.path(""))
            // At the end of its input it would hang up.
            .stdin(Stdio::piped())
            .stdout(fs::File::create(lab.path("server.out")).unwrap())
            .stderr(fs::File::create(lab.path("server.err")).unwrap())
            .spawn()
            .unwrap();
        let held = format!(":{port:04X}");
        lab.wait("the server's port", || {
            fs::read_to_string("/proc/net/tcp")
                .unwrap_or_default()
                .lines()
                .any(|l| l.contains(&held) && l.contains(" 0A "))
        });
        Self(child, port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Real servers that are wrong in one thing each.
#[test]
fn openssl_serves() {
    if !Command::new("openssl").arg("version").output().is_ok_and(|o| o.status.success()) {
        return skip("openssl is not here");
    }
    let lab = Lab::new("out-openssl");
    certificates(&lab);
    let mut lines = BTreeSet::new();
    let table: [(&str, &[&str], &str, &str); 9] = [
        ("old", &[], "", "it expired on 2001-02-03 00:00 UTC; the clock here says 20"),
        ("young", &[], "", "it becomes valid on 2400-05-06 00:00 UTC, and the clock here says 20"),
        ("other", &[], "", "it is not made out to 'localhost' but to elsewhere.example (tls.vhost"),
        ("stranger", &[], "", "its issuer is not trusted (tls.ca_file"),
        ("good", &["-tls1_1", "-cipher", "ALL@SECLEVEL=0"], "", "TLS version"),
        (
            "good",
            &["-Verify", "1", "-verify_return_error", "-CAfile", "ca.pem"],
            "",
            "it wants a certificate of ours (tls.crt_file",
        ),
        (
            "good",
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"],
            "    tls.ciphers CHACHA20\n",
            "no common way to encrypt",
        ),
        ("good", &[], "    tls.min_version TLSv1.3\n    tls.max_version TLSv1.3\n", ""),
        (
            "good",
            &["-Verify", "1", "-verify_return_error", "-CAfile", "ca.pem"],
            "    tls.crt_file good.crt\n    tls.key_file good.key\n",
            "",
        ),
    ];
    for (name, args, keys, want) in table {
        let server = Server::new(&lab, name, args);
        let keys = format!("    tls on\n    tls.ca_file ca.pem\n    net.dns.prefer_ipv4 on\n{keys}");
        let done = send(&lab, &conf("localhost", server.1, &keys));
        if want.is_empty() {
            lab.wait("the record", || lab.read("server.out").contains("{\"a\":1}"));
            done.says(&["output tcp.0: 1 records"]);
        } else {
            done.says(&[want, "1 rejected, 0 dropped"]);
            assert!(!lab.read("server.out").contains("{\"a\":1}"), "{name}: it was sent all the same");
            lines.insert(want);
        }
    }
    assert_eq!(lines.len(), 7);
}
