//! The redis output and a real Redis. Skipped, with a line, where there is none.

use crate::lab::{Lab, Proc, free_port, skip, until};
use collector::fmt::resp;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server of its own for one test; killed at the end.
struct Server {
    port: u16,
    args: Vec<String>,
    dir: std::path::PathBuf,
    child: Child,
}

impl Server {
    /// Starts one that keeps its data in the lab, with these settings; `None` where it is not installed.
    fn start(lab: &Lab, settings: &[&str]) -> Option<Self> {
        let found = Command::new("redis-server").arg("--version").output();
        if !found.is_ok_and(|o| o.status.success()) {
            skip("redis-server is not here (scripts/setup.sh test installs it)");
            return None;
        }
        let dir = lab.path("redis");
        std::fs::create_dir_all(&dir).unwrap();
        Self::start_in(dir, free_port(), settings)
    }

    fn start_in(dir: std::path::PathBuf, port: u16, settings: &[&str]) -> Option<Self> {
        std::fs::create_dir_all(&dir).unwrap();
        let port_text = port.to_string();
        let own = ["--port", &port_text, "--bind", "127.0.0.1", "--save", "", "--dir", dir.to_str().unwrap()];
        let args: Vec<String> = own.iter().chain(settings).map(|s| (*s).to_owned()).collect();
        let child = Self::spawn(&args, &dir);
        let server = Self { port, args, dir, child };
        server.wait();
        Some(server)
    }

    fn spawn(args: &[String], dir: &std::path::Path) -> Child {
        let log = File::options().create(true).append(true).open(dir.join("log")).unwrap();
        Command::new("redis-server").args(args).stdin(Stdio::null()).stdout(log).stderr(Stdio::null()).spawn().unwrap()
    }

    fn wait(&self) {
        let up = until(|| {
            TcpStream::connect(("127.0.0.1", self.port)).is_ok_and(|mut s| {
                let _ = s.write_all(b"PING\r\n");
                let mut answer = [0; 16];
                // A password is asked for, or the data set is there.
                matches!(s.read(&mut answer), Ok(n) if n > 0 && !answer.starts_with(b"-LOADING"))
            })
        });
        assert!(up, "redis does not come up: {}", std::fs::read_to_string(self.dir.join("log")).unwrap_or_default());
    }

    /// kill -9.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.child = Self::spawn(&self.args, &self.dir);
        self.wait();
    }

    fn client(&self) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Client(BufReader::new(stream))
    }

    fn len(&self, key: &str) -> usize {
        self.client().ask(&["LLEN", key])[0].parse().unwrap()
    }

    /// The numbers `n` of all records of a list, each once.
    fn numbers(&self, key: &str) -> BTreeSet<u32> {
        let texts = self.client().ask(&["LRANGE", key, "0", "-1"]);
        texts
            .iter()
            .map(|t| serde_json::from_str::<serde_json::Value>(t).unwrap()["n"].as_u64().unwrap() as u32)
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that asks one thing at a time.
struct Client(BufReader<TcpStream>);

impl Client {
    /// The strings and numbers of the answer, nested ones too.
    fn ask(&mut self, words: &[&str]) -> Vec<String> {
        let mut out = Vec::new();
        resp::command(&words.iter().map(|w| w.as_bytes()).collect::<Vec<_>>(), &mut out);
        self.0.get_mut().write_all(&out).unwrap();
        self.answer()
    }

    fn answer(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        self.value(&mut found);
        found
    }

    fn value(&mut self, found: &mut Vec<String>) {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let text = line.trim_end();
        let (kind, rest) = text.split_at(1);
        match kind {
            "*" => (0..rest.parse::<i64>().unwrap()).for_each(|_| self.value(found)),
            "$" if rest != "-1" => {
                let mut bytes = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.0.read_exact(&mut bytes).unwrap();
                bytes.truncate(bytes.len() - 2);
                found.push(String::from_utf8(bytes).unwrap());
            }
            _ => found.push(if kind == "-" { text.to_owned() } else { rest.to_owned() }),
        }
    }
}

fn conf(port: u16, keys: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.05\n    Grace 3\n    scheduler.base 1\n    scheduler.cap 1\n[INPUT]\n    Name tail\n    Path in.log\n    \
         Read_from_Head On\n    Parser json\n    Tag app.x\n[OUTPUT]\n    Name redis\n    Match *\n    Port {port}\n{keys}"
    )
}

/// Starts the program; a parser for JSON stands beside it.
fn start(lab: &Lab, port: u16, keys: &str) -> Proc {
    lab.write("parsers.conf", "[PARSER]\n    Name json\n    Format json\n");
    lab.start(&conf(port, keys).replace("[SERVICE]\n", "[SERVICE]\n    Parsers_File parsers.conf\n"))
}

/// So many lines, numbered.
fn lines(lab: &Lab, from: u32, to: u32) {
    let text: String =
        (from..to).map(|n| format!("{{\"n\":{n},\"k\":\"k{}\",\"text\":\"{:0>120}\"}}\n", n % 3, n)).collect();
    lab.append("in.log", text);
}

#[test]
fn lists() {
    let lab = Lab::new("redis-list");
    let Some(server) = Server::start(&lab, &[]) else { return };
    lab.write("in.log", "{\"a\":\"grün \\\"q\\\"\\r\\n\",\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    let keys = "    Key logs:$TAG[1]\n    DB 2\n    Logstash_Format On\n    Json_Date_Key false\n";
    let run = start(&lab, server.port, keys);
    let list = |client: &mut Client| client.ask(&["LRANGE", "logs:x", "0", "-1"]);
    let mut client = server.client();
    client.ask(&["SELECT", "2"]);
    lab.wait("three records", || list(&mut client).len() == 3);
    run.term().code(0).says(&["output redis.0: 3 records"]);
    let records: Vec<serde_json::Value> = list(&mut client).iter().map(|t| serde_json::from_str(t).unwrap()).collect();
    assert_eq!((&records[0]["a"], &records[0]["n"]), (&"grün \"q\"\r\n".into(), &1.into()));
    assert_eq!([&records[1]["n"], &records[2]["n"]], [2, 3]);
    assert!(records[0]["@timestamp"].as_str().is_some_and(|t| t.ends_with('Z') && t.len() == 27), "{records:?}");

    // The same to the head of lists by a value of the record.
    let run = start(&lab, server.port, "    Key k$n\n    Push lpush\n    Alias again\n");
    lab.wait("a list each", || (1..=3).all(|n| server.len(&format!("k{n}")) == 1));
    run.term().code(0);
}

#[test]
fn channels_and_streams() {
    let lab = Lab::new("redis-channel");
    let Some(server) = Server::start(&lab, &[]) else { return };
    let mut subscriber = server.client();
    assert_eq!(subscriber.ask(&["SUBSCRIBE", "ch"]), ["subscribe", "ch", "1"]);
    lines(&lab, 0, 500);
    let mut run = start(&lab, server.port, "    Key ch\n    Data_Type channel\n    Json_Date_Key false\n");
    for n in 0..500 {
        let [kind, channel, text] = &subscriber.answer()[..] else { panic!("three values") };
        assert!(kind == "message" && channel == "ch" && text.starts_with(&format!("{{\"n\":{n},")), "{text}");
    }
    drop(subscriber);
    lab.wait("nobody listens", || server.client().ask(&["PUBSUB", "NUMSUB", "ch"])[1] == "0");
    lines(&lab, 500, 501);
    run.wait_stderr("1 message(s) had no subscriber");
    run.term().code(0);

    let keys =
        "    Key st\n    Data_Type stream\n    Stream_Field event\n    Max_Length 200\n    Json_Date_Key false\n";
    let run = start(&lab, server.port, keys);
    let last = || server.client().ask(&["XREVRANGE", "st", "+", "-", "COUNT", "1"]);
    lab.wait("the last entry", || last().get(2).is_some_and(|text| text.starts_with("{\"n\":500,")));
    assert_eq!(last()[1], "event");
    let len: usize = server.client().ask(&["XLEN", "st"])[0].parse().unwrap();
    assert!((200..500).contains(&len), "{len} entries: trimmed, but not exactly");
    run.term().code(0);
}

#[test]
fn passwords_and_rights() {
    let lab = Lab::new("redis-auth");
    let Some(server) = Server::start(&lab, &["--requirepass", "s3cret"]) else { return };
    let mut client = server.client();
    client.ask(&["AUTH", "s3cret"]);
    client.ask(&["ACL", "SETUSER", "writer", "on", ">pw", "~logs:*", "+rpush", "+select"]);
    lines(&lab, 0, 10);
    let mut run = start(&lab, server.port, "    Key logs:a\n");
    run.wait_stderr("it asks for a password: set Password (and Username)");
    run.term();
    let mut run = start(&lab, server.port, "    Key logs:a\n    Username writer\n    Password wrong\n");
    run.wait_stderr("Username or Password is wrong");
    run.term();
    let mut run = start(&lab, server.port, "    Key other\n    Username writer\n    Password pw\n");
    run.wait_stderr("this user may not do that");
    run.term();
    let run = start(&lab, server.port, "    Key logs:a\n    Username writer\n    Password pw\n");
    lab.wait("ten records", || client.ask(&["LLEN", "logs:a"]) == ["10"]);
    run.term().code(0);
    let run = start(&lab, server.port, "    Key logs:b\n    Password s3cret\n");
    lab.wait("ten more", || client.ask(&["LLEN", "logs:b"]) == ["10"]);
    run.term().code(0);
}

#[cfg(feature = "tls")]
#[test]
fn tls() {
    let lab = Lab::new("redis-tls");
    let key = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let crt = lab.write("s.crt", key.cert.pem());
    let private = lab.write("s.key", key.signing_key.serialize_pem());
    let tls_port = free_port();
    let [port, crt, private] = [tls_port.to_string(), crt.display().to_string(), private.display().to_string()];
    let settings =
        ["--tls-port", &port, "--tls-cert-file", &crt, "--tls-key-file", &private, "--tls-auth-clients", "no"];
    let settings = [&settings[..], &["--tls-ca-cert-file", &crt]].concat();
    let Some(server) = Server::start(&lab, &settings) else { return };
    lines(&lab, 0, 1000);
    let run = start(&lab, tls_port, "    Host localhost\n    tls On\n    tls.ca_file s.crt\n");
    lab.wait("all of it", || server.len("logstash") == 1000);
    run.term().code(0);
    assert_eq!(server.numbers("logstash").len(), 1000);
    // The Go plugin's words for it.
    let run = start(&lab, tls_port, "    UseTLS true\n    TLSSkipVerify true\n    Key unverified\n");
    lab.wait("all of it again", || server.len("unverified") == 1000);
    run.term().code(0);
    let mut run = start(&lab, tls_port, "    Key plain\n    Timeout 2\n");
    run.wait_stderr("before the first answer (is tls as the server asks?)");
    run.term();
}

/// A full server takes nothing until there is room again; what it took before is not sent twice.
#[test]
fn a_full_server_is_waited_for() {
    let lab = Lab::new("redis-oom");
    let Some(server) = Server::start(&lab, &["--maxmemory", "4mb", "--maxmemory-policy", "noeviction"]) else { return };
    lines(&lab, 0, 40_000);
    let mut run = start(&lab, server.port, "");
    run.wait_stderr("its memory is full (maxmemory)");
    let some = server.len("logstash");
    assert!((1..40_000).contains(&some), "{some}");
    server.client().ask(&["CONFIG", "SET", "maxmemory", "0"]);
    lab.wait("all of it", || server.len("logstash") >= 40_000);
    run.term().code(0);
    assert_eq!((server.len("logstash"), server.numbers("logstash").len()), (40_000, 40_000));
}

/// kill -9 in the middle of a load, three times, with an append-only file: nothing is lost. (With `everysec` the server itself
/// may answer up to two seconds before it writes.)
#[test]
fn a_killed_server_loses_nothing() {
    let lab = Lab::new("redis-kill");
    let Some(mut server) = Server::start(&lab, &["--appendonly", "yes", "--appendfsync", "always"]) else { return };
    lines(&lab, 0, 1000);
    let mut run = start(&lab, server.port, "    Bulk_Max_Size 16\n");
    let mut sent = 1000;
    for round in 0..3 {
        let before = server.len("logstash");
        lines(&lab, sent, sent + 20_000);
        sent += 20_000;
        lab.wait("some of it", || server.len("logstash") > before);
        server.kill();
        lines(&lab, sent, sent + 10);
        sent += 10;
        let said = run.stderr().matches("cannot connect to 127.0.0.1").count();
        run.wait_for("the outage to be seen", |run| round > 0 || run.stderr().matches("cannot").count() > said);
        server.start_again();
    }
    lab.wait("all of it", || server.numbers("logstash").len() == sent as usize);
    run.term().code(0);
    let stored = server.len("logstash");
    assert!(stored < sent as usize + 30_000, "{stored} of {sent}: far too much was sent twice");
}

#[test]
fn keys_that_hold_something_else() {
    let lab = Lab::new("redis-wrongtype");
    let Some(server) = Server::start(&lab, &[]) else { return };
    let mut client = server.client();
    client.ask(&["SET", "k1", "x"]);
    lines(&lab, 0, 300);
    // Of many keys one: its records are refused, the others stored.
    let mut run = start(&lab, server.port, "    Key $k\n");
    run.wait_stderr("WRONGTYPE");
    lab.wait("the others", || server.len("k0") == 100 && server.len("k2") == 100);
    run.term().code(0).says(&["100"]);
    // The only key: nothing is given up.
    let mut run = start(&lab, server.port, "    Key k1\n");
    run.wait_stderr("the key holds something else: delete it there, or set another Key or Data_Type");
    client.ask(&["DEL", "k1"]);
    lab.wait("all of it", || server.len("k1") == 300);
    run.term().code(0);
}

#[test]
fn a_replica_and_a_dead_server_are_passed_over() {
    let lab = Lab::new("redis-hosts");
    let Some(server) = Server::start(&lab, &[]) else { return };
    let of = ["--replicaof", "127.0.0.1", &server.port.to_string()].map(str::to_owned);
    let of: Vec<&str> = of.iter().map(String::as_str).collect();
    let Some(replica) = Server::start_in(lab.path("replica"), free_port(), &of) else { return };
    let dead = free_port();
    lines(&lab, 0, 5000);
    let hosts = format!("    Hosts 127.0.0.1:{dead} 127.0.0.1:{} 127.0.0.1:{}\n", replica.port, server.port);
    let run = start(&lab, server.port, &hosts);
    lab.wait("all of it", || server.numbers("logstash").len() == 5000);
    assert_eq!(server.len("logstash"), 5000);
    run.term().code(0);
}
