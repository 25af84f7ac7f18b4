//! Live capture: real interfaces, real servers, and packets at a rate. As root, in network namespaces of their own.

mod flood;
mod net;
mod rates;
mod servers;

use crate::lab::{Done, Lab, Proc, has, is_offered, skip};
use net::Net;
use serde_json::Value;
use servers::Server;
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

/// A pipeline that prints what it captures.
fn conf(keys: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.2\n    Log_Level debug\n[INPUT]\n    Name pcap\n{keys}\
         [OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n"
    )
}

/// Starts it in a namespace and waits until it captures.
fn start(lab: &Lab, net: &Net, keys: &str) -> Proc {
    lab.write("collector.conf", conf(keys));
    let mut run = lab.command(&["-c", "collector.conf"]).through(&net.enter()).start();
    run.wait_stderr("] capturing from ");
    run
}

fn documents(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

/// The documents of a dataset in which each of these fields (`a.b`) has this value.
fn find<'a>(all: &'a [Value], dataset: &str, fields: &[(&str, Value)]) -> Vec<&'a Value> {
    let at = |doc: &Value, path: &str| doc.pointer(&format!("/{}", path.replace('.', "/"))).cloned();
    let fits = |doc: &&Value| {
        at(doc, "event.dataset").as_ref() == Some(&dataset.into())
            && fields.iter().all(|(path, want)| at(doc, path).as_ref() == Some(want))
    };
    all.iter().filter(fits).collect()
}

#[track_caller]
fn assert_one(done: &Done, dataset: &str, fields: &[(&str, Value)]) {
    let all = documents(&done.stdout);
    let found = find(&all, dataset, fields).len();
    assert!(found == 1, "{found} documents of {dataset} with {fields:?}\n{}", done.shown);
}

/// A number of the input's account at the end: `packets`, `dropped by the kernel`.
#[track_caller]
fn account(done: &Done, what: &str) -> u64 {
    let line = done.stderr.lines().find(|l| l.contains("[engine] input pcap.0:")).unwrap_or_default();
    let count = line.split(", ").find_map(|part| part.strip_suffix(what)?.trim().parse().ok());
    count.unwrap_or_else(|| panic!("no '{what}' in: {line}\n{}", done.shown))
}

/// What a visitor does: HTTP, DNS, TLS of two versions, pings.
fn visit(net: &Net, address: &'static str) {
    net.inside(|| {
        servers::http(address);
        assert_eq!(servers::dns(address, "host.example", 0x1111), 0);
        assert_eq!(servers::dns(address, "missing.example", 0x2222), 3);
    });
    let at = format!("{address}:443");
    for version in ["-tls1_2", "-tls1_3"] {
        net.run(&["openssl", "s_client", "-connect", &at, "-servername", "www.example", version]);
    }
    assert!(net.run(&["ping", "-n", "-c", "2", "-i", "0.2", address]), "ping {address}");
}

/// What must be seen of a visit.
fn assert_visit(done: &Done) {
    let http = |path: &str, query: Option<&str>, status: u32| {
        let mut fields = vec![
            ("http.request.method", "get".into()),
            ("url.path", path.into()),
            ("http.response.status_code", status.into()),
            ("destination.port", 80.into()),
        ];
        fields.extend(query.map(|q| ("url.query", q.into())));
        assert_one(done, "http", &fields);
    };
    http("/found", None, 200);
    http("/lost", Some("x=1"), 404);
    for (name, code) in [("host.example", "NOERROR"), ("missing.example", "NXDOMAIN")] {
        assert_one(done, "dns", &[("dns.question.name", name.into()), ("dns.response_code", code.into())]);
    }
    let versions = if has!("packets") { &["1.2", "1.3"][..] } else { &[] };
    for version in versions {
        let fields = [
            ("tls.client.server_name", "www.example".into()),
            ("tls.version", (*version).into()),
            ("tls.established", true.into()),
        ];
        assert_one(done, "tls", &fields);
    }
    let all = documents(&done.stdout);
    let pings = find(&all, "icmp", &[("icmp.request.type", 8.into()), ("icmp.response.type", 0.into())]);
    assert_eq!(pings.len(), 2, "{}", done.shown);
    assert!(!find(&all, "flow", &[("destination.port", 443.into())]).is_empty(), "{}", done.shown);
    assert!(account(done, "packets") > 40, "{}", done.shown);
    assert_eq!((account(done, "dropped by the kernel"), account(done, "lost")), (0, 0));
}

/// The namespace and its servers, where they can be had.
fn site(lab: &Lab) -> Option<(Net, Vec<Server>)> {
    let net = Net::new()?;
    let servers = vec![Server::nginx(&net, lab)?, Server::dns(&net)?];
    let has = |program: &str| Command::new(program).arg("-V").output().is_ok();
    for program in ["openssl", "ping"] {
        if !has(program) {
            skip(&format!("live capture: {program} is not installed (scripts/setup.sh test)"));
            return None;
        }
    }
    Some((net, servers))
}

#[test]
fn real_servers_on_lo() {
    let lab = Lab::new("live-lo");
    let Some((net, _servers)) = site(&lab) else { return };
    let run = start(&lab, &net, "    Interface lo\n    Tag packet.<protocol>\n");
    visit(&net, "127.0.0.1");
    // What is still in the kernel's ring is read at the end.
    assert_visit(&run.term());
}

#[test]
fn real_servers_across_namespaces_on_any() {
    let lab = Lab::new("live-any");
    let Some((net, _servers)) = site(&lab) else { return };
    let Some(visitor) = Net::new() else { return };
    if !visitor.join(&net) {
        return;
    }
    let run = start(&lab, &net, "    Interface any\n");
    visit(&visitor, "10.9.0.2");
    assert_visit(&run.term());
}

#[test]
fn a_quiet_line_keeps_time_and_then_sleeps() {
    let lab = Lab::new("live-quiet");
    let Some(net) = Net::new() else { return };
    let keys = "    Interface lo\n    Transaction_Timeout 1s\n    Flow_Timeout 1s\n";
    let mut run = start(&lab, &net, keys);
    let switches = |run: &Proc| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", run.pid())).unwrap();
        let count = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:")?.trim().parse().ok());
        let count: u64 = count.unwrap();
        count
    };
    std::thread::sleep(Duration::from_millis(500));
    let before = switches(&run);
    std::thread::sleep(Duration::from_secs(2));
    let idle = switches(&run) - before;
    assert!(idle <= 1, "{idle} wake-ups in two seconds without a packet");
    // A question without an answer is told when its time is over, although no packet comes.
    net.inside(|| {
        let mute = UdpSocket::bind("127.0.0.1:53").unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(&servers::query(7, "nobody.example"), "127.0.0.1:53").unwrap();
        drop(mute);
    });
    run.wait_stdout("nobody.example");
    let done = run.term();
    assert_one(&done, "dns", &[("dns.question.name", "nobody.example".into()), ("status", "Error".into())]);
}

#[test]
fn an_interface_that_goes_down_or_is_deleted_is_waited_for() {
    let lab = Lab::new("live-gone");
    let (Some(net), Some(peer)) = (Net::new(), Net::new()) else { return };
    if !net.join(&peer) {
        return;
    }
    let mut run = start(&lab, &net, "    Interface v0\n");
    let ping = || peer.run(&["ping", "-n", "-c", "1", "-W", "5", "10.9.0.1"]);
    assert!(ping());
    net.ip(&["link", "set", "v0", "down"]);
    run.wait_stderr("'v0' went down: waiting until it is up again");
    net.ip(&["link", "set", "v0", "up"]);
    run.wait_stderr("'v0' is up again");
    assert!(ping());
    net.ip(&["link", "delete", "v0"]);
    run.wait_stderr("'v0' is gone (");
    assert!(net.join(&peer));
    run.wait_for("a second capture", |p| p.stderr().matches("] capturing from 'v0'").count() == 2);
    assert!(ping());
    let done = run.term();
    let all = documents(&done.stdout);
    // What neighbours say to each other is not counted.
    let pings = find(&all, "icmp", &[("icmp.request.type", 8.into()), ("icmp.response.type", 0.into())]);
    assert_eq!(pings.len(), 3, "{}", done.shown);
    assert_eq!(account(&done, "interfaces lost"), 2, "{}", done.shown);
}

#[test]
fn an_interface_that_is_down_at_the_start_is_waited_for() {
    let lab = Lab::new("live-down");
    let (Some(net), Some(peer)) = (Net::new(), Net::new()) else { return };
    if !net.join(&peer) {
        return;
    }
    net.ip(&["link", "set", "v0", "down"]);
    lab.write("collector.conf", conf("    Interface v0\n"));
    let mut run = lab.command(&["-c", "collector.conf"]).through(&net.enter()).start();
    run.wait_stderr("'v0' is down: waiting until it is up (ip link set v0 up)");
    net.ip(&["link", "set", "v0", "up"]);
    run.wait_stderr("] capturing from 'v0'");
    assert!(run.term().status.success());
}

#[test]
fn what_cannot_be_captured_is_refused_with_a_remedy() {
    let lab = Lab::new("live-refused");
    let refused = |done: Done, words: &[&str]| {
        assert_eq!(done.status.code(), Some(1), "{}", done.shown);
        for word in words {
            assert!(done.stderr.contains(word), "{word}\n{}", done.shown);
        }
    };
    let place = "collector.conf:6:15: [input:pcap:pcap.0] ";
    let filter = "    BPF_Filter tcp prt 80\n    Interface lo\n";
    let words =
        ["collector.conf:6:16: [input:pcap:pcap.0] BPF_Filter: ", "syntax error", "pcap-filter(7): tcp port 80"];
    refused(lab.run(&conf(filter)), &words);
    if !is_offered("what libpcap asks of interfaces (SIOCETHTOOL)") {
        return;
    }
    refused(lab.run(&conf("    Interface any, lo\n")), &[place, "'any' stands beside others"]);
    let Some(net) = Net::new() else { return };
    let run = |keys: &str, through: &[&str]| {
        lab.write("collector.conf", conf(keys));
        lab.command(&["-c", "collector.conf"]).through(through).start().wait()
    };
    let words = [place, "there is no interface 'lo0'", "Did you mean 'lo'? There are: "];
    refused(run("    Interface lo0\n", &net.enter()), &words);
    // Tagged packets have no place in the frames of `any`: libpcap says so when it is opened.
    let filter = "    BPF_Filter vlan 3\n    Interface any\n";
    refused(run(filter, &net.enter()), &["collector.conf:6:16: ", "BPF_Filter: ", "VLAN"]);
    let bare = [&net.enter()[..], &["setpriv", "--bounding-set=-net_raw"]].concat();
    if !net.run(&["setpriv", "--bounding-set=-net_raw", "true"]) {
        return skip("live capture without its privilege: there is no setpriv");
    }
    let words = [place, "needs the privilege CAP_NET_RAW", "setcap cap_net_raw+ep /", "as root"];
    refused(run("    Interface lo\n", &bare), &words);
    let done = lab.command(&["--list-interfaces"]).through(&bare).start().wait();
    assert!(done.status.success() && done.stdout.contains("\nLink types are known to those"), "{}", done.shown);
}

#[test]
fn interfaces_are_listed() {
    let lab = Lab::new("live-list");
    let Some(net) = Net::new() else { return };
    let done = lab.command(&["--list-interfaces"]).through(&net.enter()).start().wait();
    assert!(done.status.success(), "{}", done.shown);
    let lo = done.stdout.lines().find(|l| l.starts_with("lo ")).unwrap_or_default();
    let words: Vec<_> = lo.split_whitespace().collect();
    assert_eq!(words, ["lo", "up,running,loopback", "EN10MB", "127.0.0.1,::1", "-"], "{}", done.shown);
    assert!(done.stdout.starts_with("NAME "), "{}", done.shown);
}
