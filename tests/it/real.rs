//! A real Elasticsearch 7.10.2 at the end of the pipeline. Skipped, with a line, where it cannot be had.

use crate::lab::{Answer, HttpSink, Lab, Peer, free_port, has, is_native, samples, skip, until, write};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The server; it ends when its standard input closes, at the latest with the test program.
pub struct Server {
    /// Its port.
    pub port: u16,
    script: Child,
    said: BufReader<ChildStdout>,
}

/// The one server of all tests.
pub fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(start).as_ref()
}

/// Starts another one.
pub fn start() -> Option<Server> {
    let port = free_port();
    let home = std::env::temp_dir().join(format!("collector-elasticsearch-{}-{port}", std::process::id()));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/elasticsearch.sh");
    let mut script = Command::new(script)
        .args([home.as_os_str(), port.to_string().as_ref()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(script.stdout.take().unwrap());
    let mut server = Server { port, script, said };
    let line = server.line();
    if let Some(why) = line.strip_prefix("skipped: ") {
        skip(why.trim_end());
        return None;
    }
    assert_eq!(line, "READY\n");
    server.wait();
    Some(server)
}

/// A document of the server's API.
pub fn get(port: u16, path: &str) -> Option<Value> {
    let text = ureq::get(format!("http://127.0.0.1:{port}{path}")).call().ok()?.body_mut().read_to_string().ok()?;
    serde_json::from_str(&text).ok()
}

impl Server {
    /// Until it serves.
    fn wait(&self) {
        let health = "/_cluster/health?wait_for_status=yellow&timeout=1s";
        let up = until(|| get(self.port, health).is_some_and(|v| v["timed_out"] == false));
        assert!(up, "the cluster is not in order");
    }

    /// The next line that its script says.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line
    }

    /// A configuration that names no port finds it at 9200: what listens there, at this address, leads to the server.
    pub fn way(&self, address: &str) -> Peer {
        let (port, mut listener) = (self.port, None);
        // The one before may be closing.
        until(|| {
            listener = TcpListener::bind((address, 9200)).ok();
            listener.is_some()
        });
        Peer::on(listener.expect("port 9200"), move |client| forward(client, port))
    }

    /// The index `test`, which the configuration of a cluster names, for one test at a time and empty.
    pub fn index_test(&self) -> MutexGuard<'static, ()> {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = ureq::delete(format!("http://127.0.0.1:{}/test", self.port)).call();
        turn
    }

    /// Everything stored in an index.
    fn documents(&self, index: &str) -> Vec<Value> {
        // What was stored is seen after a refresh.
        let _ = get(self.port, &format!("/{index}/_refresh"));
        let found = get(self.port, &format!("/{index}/_search?size=10000")).unwrap_or_default();
        found["hits"]["hits"].as_array().into_iter().flatten().map(|hit| hit["_source"].clone()).collect()
    }
}

/// What `faults` does to it.
#[cfg(all(feature = "forward", feature = "http", feature = "sqlite"))]
impl Server {
    /// kill -9.
    pub fn kill(&mut self) {
        self.order("kill", "DEAD");
    }

    /// Starts it again on the same data.
    pub fn start_again(&mut self) {
        self.order("start", "READY");
        self.wait();
    }

    fn order(&mut self, word: &str, answer: &str) {
        use std::io::Write;
        writeln!(self.script.stdin.as_mut().unwrap(), "{word}").unwrap();
        assert_eq!(self.line().trim_end(), answer);
    }
}

/// An address of the loopback network for this program alone; `n` below 3.
pub fn own_address(n: u32) -> String {
    let pid = std::process::id();
    format!("127.{}.{}.{}", 64 + pid % 128, pid / 128 % 250, 2 + pid / 32_000 % 80 * 3 + n)
}

fn conf(server: &Server, index: &str, keys: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name stdin\n    Tag t\n[OUTPUT]\n    Name es\n    Match *\n    Host 127.0.0.1\n    Port {}\n    \
         Index {index}\n{keys}",
        server.port
    )
}

#[test]
fn documents_arrive_as_they_are() {
    let Some(server) = server() else { return };
    let lab = Lab::new("real-documents");
    lab.write(
        "collector.conf",
        conf(server, "plain", "    Logstash_Format On\n    Logstash_Prefix plain\n    Compress gzip\n"),
    );
    let events = r#"[1700000000.125, {"s":"grün \"q\" \u0001 😀","n":-7,"f":1.5,"b":true,"z":null,"m":{"k":[1,2],"x":{"y":"z"}}}]
                    [1700086400, {"s":"next day"}]"#;
    lab.command(&["-c", "collector.conf"]).stdin(events).start().wait().code(0).says(&["output es.0: 2 records"]);
    let stored = server.documents("plain-2023.11.14");
    let want = r#"{"@timestamp":"2023-11-14T22:13:20.125Z","s":"grün \"q\" \u0001 😀","n":-7,"f":1.5,"b":true,"z":null,"m":{"k":[1,2],"x":{"y":"z"}}}"#;
    assert_eq!(stored, [serde_json::from_str::<Value>(want).unwrap()]);
    assert_eq!(server.documents("plain-2023.11.15").len(), 1);
}

#[test]
fn a_document_that_does_not_fit_is_reported_and_counted() {
    let Some(server) = server() else { return };
    let lab = Lab::new("real-conflict");
    lab.write("collector.conf", conf(server, "conflict", ""));
    let events = r#"{"n":1}{"n":"not a number"}{"n":{"m":2}}{"n":3}"#;
    lab.command(&["-c", "collector.conf"]).stdin(events).start().wait().code(0).says(&[
        "2 record(s) rejected: 400 mapper_parsing_exception: failed to parse field [n] of type [long]",
        "output es.0: 2 records",
        "2 rejected, 0 dropped",
    ]);
    let mut numbers: Vec<_> = server.documents("conflict").iter().filter_map(|d| d["n"].as_i64()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 3]);
}

#[test]
fn what_is_sent_twice_is_stored_once() {
    let Some(server) = server() else { return };
    let lab = Lab::new("real-twice");
    lab.write("collector.conf", conf(server, "twice", "    Generate_ID content\n"));
    let events: String = (0..50).map(|n| format!("[1700000000, {{\"n\":{n}}}]\n")).collect();
    for _ in 0..2 {
        let done = lab.command(&["-c", "collector.conf"]).stdin(events.clone()).start().wait().code(0);
        done.says(&["output es.0: 50 records"]).silent_about(&["rejected:", "dropped:", "retry in"]);
    }
    assert_eq!(server.documents("twice").len(), 50);
}

/// The server has stored everything, its answer never arrives, and then the program is killed.
#[test]
fn a_kill_between_storing_and_knowing_doubles_nothing() {
    if !has!("sqlite") {
        return;
    }
    let Some(server) = server() else { return };
    let lab = Lab::new("real-kill");
    let (port, stored) = (server.port, Arc::new(AtomicUsize::new(0)));
    let seen = stored.clone();
    // Before the server: hands the requests on, keeps the first two answers back.
    let between = HttpSink::raw(move |request, before, stream| {
        let mut again = ureq::post(format!("http://127.0.0.1:{port}{}", request.path));
        for (name, value) in request.headers.iter().filter(|(n, _)| n.to_ascii_lowercase().starts_with("content-t")) {
            again = again.header(name, value);
        }
        let answer = again.send(&request.body[..]).unwrap().body_mut().read_to_string().unwrap();
        seen.fetch_add(1, Ordering::Relaxed);
        if before < 2 {
            return std::io::Read::read(&mut &*stream, &mut [0]).is_err();
        }
        write(stream, &Answer::new(200, answer)).is_ok()
    });
    let input = "Name tail\n    Path in.log\n    Read_from_Head on\n    DB t.db";
    let conf = conf(server, "kill", "    Generate_ID On\n").replace("Name stdin", input);
    let conf = conf.replace(&format!("Port {port}"), &format!("Port {}", between.port()));
    let mut lines = String::new();
    for n in 0..100 {
        lines.push_str(&format!("line {}\n", n / 2));
    }
    lab.write("in.log", &lines);
    for round in 1..=2 {
        let run = lab.start(&conf);
        lab.wait("the server to store", || stored.load(Ordering::Relaxed) == round);
        run.kill();
        assert_eq!(server.documents("kill").len(), 100, "round {round}");
    }
    lab.append("in.log", "line 49\n");
    let run = lab.start(&conf);
    lab.wait("the last line", || server.documents("kill").len() == 101);
    let done = run.term().code(0).says(&["output es.0: 101 records"]);
    let mut found: Vec<_> = server.documents("kill").iter().map(|d| d["log"].as_str().unwrap().to_owned()).collect();
    let mut sent: Vec<_> = format!("{lines}line 49\n").lines().map(str::to_owned).collect();
    found.sort_unstable();
    sent.sort_unstable();
    assert_eq!(found, sent, "{}", done.report());
}

/// The server refuses the whole request for the sake of one item.
#[test]
fn an_id_that_cannot_be_costs_its_own_record_alone() {
    let Some(server) = server() else { return };
    let lab = Lab::new("real-long-id");
    lab.write("collector.conf", conf(server, "ids", "    Id_Key id\n"));
    let long = "x".repeat(600);
    let events: String = ["a", "b", &long, "c", "", "d"].iter().map(|id| format!("{{\"id\":\"{id}\"}}")).collect();
    let done = lab.command(&["-c", "collector.conf"]).stdin(events).start().wait().code(0);
    done.says(&[
        "output es.0: 4 records",
        "2 rejected, 0 dropped",
        "HTTP status 400: ",
        "must be no longer than 512 bytes",
    ]);
    assert_eq!(server.documents("ids").len(), 4);
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}

/// A name that a pod may have.
fn pod(path: &Path) -> String {
    let name = path.file_stem().unwrap().to_string_lossy().to_lowercase();
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// The configuration of a Kubernetes cluster, unmodified: its folder, host names and the logs of containers are where it
/// expects them, in a mount namespace of its own.
#[test]
fn a_cluster_s_configuration_runs() {
    if !(has!("kubernetes") && has!("sqlite")) {
        return;
    }
    let (Some(efk), Some(logs)) = (samples("configs/efk"), samples("data/logs/container")) else { return };
    if !rustix::process::geteuid().is_root() {
        return skip("only root can have a mount namespace");
    }
    if !is_native() {
        return;
    }
    let Some(server) = server() else { return };
    let lab = Lab::new("real-efk");
    for file in fs::read_dir(efk).unwrap().flatten() {
        lab.write(&format!("efk/{}", file.file_name().display()), fs::read(file.path()).unwrap());
    }
    // There is no API server here: `kube::real` has one.
    lab.append("efk/filter.conf", "\n    Kube_Meta_Wait_Down 1s\n");
    let _turn = server.index_test();
    let address = own_address(0);
    let _way = server.way(&address);
    lab.write("hosts", format!("{address} elasticsearch\n127.0.0.1 localhost\n"));
    let first = format!("containers/web-0_nginx-test_first-{:064x}.log", 0);
    lab.write(&first, "before the start\n");
    let script = "mount --bind hosts /etc/hosts && mount -t tmpfs none /var/log && mkdir /var/log/containers && \
                  mount --bind containers /var/log/containers && exec \"$0\" \"$@\"";
    let mut run = lab.command(&["-c", "efk/fluent-bit.conf"]).through(&["unshare", "-m", "sh", "-c", script]).start();
    // A file that is there at the start is read from its end: once something added is seen, the start is over.
    run.wait_for("the start", |p| {
        lab.append(&first, "started\n");
        std::thread::sleep(std::time::Duration::from_millis(50));
        p.stdout().contains("started")
    });
    let mut sent: BTreeMap<String, usize> = BTreeMap::new();
    let mut lines = 0;
    for (n, path) in fs::read_dir(logs).unwrap().flatten().map(|e| e.path()).enumerate() {
        let bytes = fs::read(&path).unwrap();
        let name = format!("{}_nginx-test_app-{:064x}.log", pod(&path), n + 1);
        lab.write(&format!("new/{name}"), &bytes);
        fs::rename(lab.path(&format!("new/{name}")), lab.path(&format!("containers/{name}"))).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        for line in text.split_inclusive('\n').filter_map(|l| l.strip_suffix('\n')) {
            // An object is taken apart; anything else is kept under `log`.
            let parsed = serde_json::from_str::<Value>(line).ok().filter(Value::is_object);
            let log = match parsed {
                Some(object) => object["log"].to_string(),
                None => Value::from(line).to_string(),
            };
            *sent.entry(log).or_default() += 1;
            lines += 1;
        }
    }
    let other = format!("containers/web-0_other_app-{:064x}.log", 4096);
    lab.write(&other, "{\"log\":\"not for this output\",\"stream\":\"stdout\",\"time\":\"2025-03-12T08:14:03.5Z\"}\n");

    let shown = |stdout: &str| stdout.lines().filter(|l| !l.contains("\"log\":\"started\"")).count();
    run.wait_for("every line on the screen", |p| shown(&p.stdout()) >= lines);
    let done = run.term().code(0).silent_about(&["panicked", "cannot be retried", "not for this output"]);
    assert_eq!(shown(&done.stdout), lines, "{}", done.report());
    for text in ["not for this output", "before the start"] {
        assert!(!done.stdout.contains(text), "{text}: {}", done.report());
    }
    // Stored, or refused by the server and said so.
    let mut stored = server.documents("test");
    stored.retain(|d| d["log"] != "started");
    let refused: usize = done.stderr.lines().filter_map(rejected).sum();
    let all = stored.len() + refused;
    assert_eq!(all, lines, "documents of so many lines\n{}", done.report());
    for document in &stored {
        let log = document["log"].to_string();
        let left = sent.get_mut(&log).filter(|n| **n > 0).unwrap_or_else(|| panic!("stored, but not sent: {document}"));
        *left -= 1;
        assert!(document["@timestamp"].is_string(), "{document}");
    }
    println!("{} documents stored and {refused} refused of {lines} lines", stored.len());
    if refused > 0 {
        assert!(done.stderr.contains(" rejected: 400 "), "{}", done.report());
    }
}

/// How many records a line of the log says were rejected.
fn rejected(line: &str) -> Option<usize> {
    line.split(" record(s) rejected: ").next().filter(|head| *head != line)?.rsplit(' ').next()?.parse().ok()
}

/// Carries bytes both ways.
fn forward(client: TcpStream, port: u16) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { return };
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let up = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(std::net::Shutdown::Write);
    });
    let _ = std::io::copy(&mut &server, &mut &client);
    let _ = client.shutdown(std::net::Shutdown::Write);
    let _ = up.join();
}
