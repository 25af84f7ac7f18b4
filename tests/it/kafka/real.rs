//! A real Kafka 3.9.1 (KRaft). Skipped, with a line, where it cannot be had.

use super::fake::Message;
use crate::lab::{Lab, free_port, skip, until};
use collector::fmt::kafka::Compression;
use collector::fmt::kafka::record::read_batch;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The broker; it ends when its standard input closes, at the latest with the test program.
struct Kafka {
    home: PathBuf,
    /// Without anything, with SASL, with TLS, with both.
    ports: [u16; 4],
    script: Child,
    said: BufReader<ChildStdout>,
}

fn start() -> Option<Kafka> {
    let ports = [(); 4].map(|()| free_port());
    let controller = free_port();
    let home = std::env::temp_dir().join(format!("collector-kafka-{}-{}", std::process::id(), ports[0]));
    fs::create_dir_all(&home).unwrap();
    let cert = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
    fs::write(home.join("ca.pem"), cert.cert.pem()).unwrap();
    fs::write(home.join("key.pem"), format!("{}{}", cert.signing_key.serialize_pem(), cert.cert.pem())).unwrap();
    let [plain, sasl, tls, both] = ports;
    let listeners = format!(
        "PLAINTEXT://127.0.0.1:{plain},SASL_PLAINTEXT://127.0.0.1:{sasl},SSL://127.0.0.1:{tls},SASL_SSL://127.0.0.1:{both}"
    );
    let module = "org.apache.kafka.common.security";
    let jaas = |listener: &str| {
        format!(
            "listener.name.{listener}.plain.sasl.jaas.config={module}.plain.PlainLoginModule required user_bob=\"builder, ü\";\n\
             listener.name.{listener}.scram-sha-256.sasl.jaas.config={module}.scram.ScramLoginModule required;\n\
             listener.name.{listener}.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;\n"
        )
    };
    let extra = format!(
        "listeners={listeners},CONTROLLER://127.0.0.1:{controller}\ncontroller.quorum.voters=1@127.0.0.1:{controller}\nadvertised.listeners={listeners}\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL\n\
         sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n{}{}\
         ssl.keystore.type=PEM\nssl.keystore.location={}\nmessage.max.bytes=200000\n",
        jaas("sasl_plaintext"),
        jaas("sasl_ssl"),
        home.join("key.pem").display()
    );
    fs::write(home.join("extra.properties"), extra.replace('ü', "\\u00fc")).unwrap();
    let scram = "--add-scram\nSCRAM-SHA-256=[name=alice,password=wonder]\n--add-scram\nSCRAM-SHA-512=[name=alice,password=land]\n";
    fs::write(home.join("scram"), scram).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/kafka.sh");
    let mut script = Command::new(script)
        .args([home.as_os_str(), plain.to_string().as_ref()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(script.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    if let Some(why) = line.strip_prefix("skipped: ") {
        skip(why.trim_end());
        let _ = script.wait();
        return None;
    }
    assert_eq!(line, "READY\n");
    Some(Kafka { home, ports, script, said })
}

impl Kafka {
    fn order(&mut self, words: &str, answer: &str) {
        writeln!(self.script.stdin.as_mut().unwrap(), "{words}").unwrap();
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), answer, "{words}: {}", self.read("tool.err"));
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.home.join(name)).unwrap_or_default()).into_owned()
    }

    /// Runs one of Kafka's own tools; what it prints.
    fn tool(&mut self, words: &str) -> String {
        self.order(&format!("tool {words}"), "DONE");
        self.read("tool.out")
    }

    fn create(&mut self, topic: &str, partitions: usize) {
        let server = format!("127.0.0.1:{}", self.ports[0]);
        self.tool(&format!(
            "org.apache.kafka.tools.TopicCommand --bootstrap-server {server} --create --topic {topic} --partitions {partitions}"
        ));
    }

    /// What the broker has of a partition in its files: compression and messages of each batch.
    fn stored(&self, topic: &str, partition: usize) -> Vec<(Compression, Vec<Message>)> {
        let file = self.home.join(format!("log/{topic}-{partition}/00000000000000000000.log"));
        let bytes = fs::read(file).unwrap_or_default();
        let (mut at, mut all) = (0, Vec::new());
        let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
        // The last batch may still be growing.
        while let Some(Ok(batch)) = bytes.get(at..).filter(|b| !b.is_empty()).map(|b| read_batch(b, 64 << 20)) {
            at += batch.size;
            let messages = batch.records().map(|r| r.unwrap());
            let messages = messages.map(|r| {
                assert_eq!(r.headers, 0);
                (r.key.map(text), text(r.value.unwrap()))
            });
            all.push((batch.head.compression, messages.collect()));
        }
        all
    }

    /// The size of the first partition's file, in bytes.
    fn size(&self, topic: &str) -> u64 {
        let file = self.home.join(format!("log/{topic}-0/00000000000000000000.log"));
        fs::metadata(file).map_or(0, |m| m.len())
    }

    fn values(&self, topic: &str) -> Vec<String> {
        self.stored(topic, 0).into_iter().flat_map(|(_, m)| m).map(|(_, v)| v).collect()
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}

fn conf(port: u16, topic: &str, input: &str, keys: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.05\n    Grace 20\n    scheduler.base 1\n    scheduler.cap 2\n[INPUT]\n    Name {input}\n    Tag t\n[OUTPUT]\n    Name kafka\n    Match *\n    \
         Brokers 127.0.0.1:{port}\n    Topics {topic}\n    Timestamp_Format iso8601\n{keys}"
    )
}

/// Runs the program over some events; what it says.
fn send(kafka: &Kafka, port: usize, topic: &str, events: &str, keys: &str) -> crate::lab::Done {
    let lab = Lab::new(&format!("kafka-real-{topic}"));
    lab.write("collector.conf", conf(kafka.ports[port], topic, "stdin", keys));
    lab.command(&["-c", "collector.conf"]).stdin(events).start().wait()
}

/// One broker for all of it: starting one takes longer than the rest.
#[test]
fn everything_arrives_at_a_real_broker() {
    let Some(mut kafka) = start() else { return };
    compressions(&mut kafka);
    keys(&mut kafka);
    too_large(&kafka);
    identities(&kafka);
    killed(&mut kafka);
}

fn events(name: &str, count: usize) -> (String, Vec<String>) {
    let body = |n: usize| format!("\"from\":\"{name}\",\"n\":{n},\"text\":\"grün \\\"{}\\\"\"", "x".repeat(n % 90));
    let sent = (0..count).map(|n| format!("[{}, {{{}}}]\n", 1_700_000_000 + n, body(n))).collect();
    let want = (0..count).map(|n| {
        let time = format!(
            "2023-11-14T{:02}:{:02}:{:02}.000000Z",
            22 + (13 * 60 + 20 + n) / 3600,
            (13 + (20 + n) / 60) % 60,
            (20 + n) % 60
        );
        format!("{{\"@timestamp\":\"{time}\",{}}}", body(n).replace('ü', "\\u00fc"))
    });
    (sent, want.collect())
}

fn compressions(kafka: &mut Kafka) {
    let mut all = Vec::new();
    for compression in Compression::ALL {
        let topic = format!("codec-{}", compression.name());
        let (sent, want) = events(&topic, 2000);
        let keys = format!("    rdkafka.compression.codec {}\n", compression.name());
        send(kafka, 0, &topic, &sent, &keys)
            .code(0)
            .says(&["output kafka.0: 2000 records"])
            .silent_about(&["retry in", "[error]"]);
        assert!(kafka.stored(&topic, 0).iter().all(|(c, _)| *c == compression), "{topic}");
        assert_eq!(kafka.values(&topic), want, "{topic}");
        all.extend(want);
    }
    // What Kafka's own consumer makes of the same.
    let server = format!("127.0.0.1:{}", kafka.ports[0]);
    let got = kafka.tool(&format!(
        "org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server {server} --include codec-.* --from-beginning --max-messages {} --timeout-ms 80000",
        all.len()
    ));
    let mut got: Vec<&str> = got.lines().collect();
    got.sort_unstable();
    all.sort_unstable();
    assert_eq!(got, all);
}

fn keys(kafka: &mut Kafka) {
    kafka.create("keyed", 5);
    let events: String = (0..300).map(|n| format!("{{\"k\":\"key {}\",\"m\":\"{n}\"}}\n", n % 20)).collect();
    let more = "    Message_Key_Field $k\n    Format raw\n    Raw_Log_Key m\n";
    send(kafka, 0, "keyed", &events, more).code(0).says(&["output kafka.0: 300 records"]);
    let mut seen = BTreeMap::new();
    for partition in 0..5 {
        for (key, value) in kafka.stored("keyed", partition).into_iter().flat_map(|(_, m)| m) {
            let key = key.unwrap();
            let hash = collector::fmt::kafka::murmur::murmur2(key.as_bytes()) & 0x7fff_ffff;
            assert_eq!(hash as usize % 5, partition, "{key}");
            let n: usize = value.parse().unwrap();
            assert_eq!(key, format!("key {}", n % 20));
            seen.insert(n, ());
        }
    }
    assert_eq!(seen.len(), 300);
}

/// The broker takes batches of 200,000 bytes.
fn too_large(kafka: &Kafka) {
    let line = |n: usize, size: usize| format!("{{\"m\":\"{n} {}\"}}\n", "x".repeat(size));
    let sent: String = (0..100).map(|n| line(n, if n == 50 { 250_000 } else { 5000 })).collect();
    let done = send(kafka, 0, "large", &sent, "    Format raw\n    Raw_Log_Key m\n").code(0);
    done.says(&["output kafka.0: 99 records", "1 rejected", "the broker takes no message of"]);
    let got: Vec<usize> = kafka.values("large").iter().map(|v| v.split(' ').next().unwrap().parse().unwrap()).collect();
    assert_eq!(got, (0..100).filter(|n| *n != 50).collect::<Vec<_>>());
}

/// SASL and TLS, right and wrong.
fn identities(kafka: &Kafka) {
    let ca = kafka.home.join("ca.pem").display().to_string();
    let sasl = |protocol: &str, mechanism: &str, user: &str, password: &str| {
        format!(
            "    rdkafka.security.protocol {protocol}\n    rdkafka.sasl.mechanism {mechanism}\n    rdkafka.sasl.username {user}\n    \
             rdkafka.sasl.password {password}\n"
        )
    };
    let trust = format!("    rdkafka.ssl.ca.location {ca}\n");
    let ours = format!("    tls on\n    tls.ca_file {ca}\n");
    let good = [
        (1, sasl("sasl_plaintext", "PLAIN", "bob", "builder, ü")),
        (1, sasl("sasl_plaintext", "SCRAM-SHA-256", "alice", "wonder")),
        (1, sasl("sasl_plaintext", "SCRAM-SHA-512", "alice", "land")),
        (2, ours),
        (2, format!("    rdkafka.security.protocol ssl\n{trust}")),
        (3, format!("{}{trust}", sasl("sasl_ssl", "SCRAM-SHA-512", "alice", "land"))),
    ];
    for (n, (port, keys)) in good.iter().enumerate() {
        let topic = format!("who-{n}");
        send(kafka, *port, &topic, "{\"a\":1}", keys).code(0).says(&["output kafka.0: 1 records"]);
        assert_eq!(kafka.values(&topic).len(), 1, "{keys}");
    }
    let bad = [
        (
            1,
            sasl("sasl_plaintext", "PLAIN", "bob", "x"),
            "SASL_AUTHENTICATION_FAILED: Authentication failed: Invalid username or password",
        ),
        (1, sasl("sasl_plaintext", "SCRAM-SHA-256", "alice", "land"), "SASL_AUTHENTICATION_FAILED"),
        (1, String::new(), "127.0.0.1"),
        (0, sasl("sasl_plaintext", "PLAIN", "bob", "x"), "does not take PLAIN"),
        (0, "    tls on\n".to_owned(), "TLS"),
        (2, String::new(), "does this port want TLS or SASL?"),
        (2, "    tls on\n".to_owned(), "certificate"),
    ];
    for (port, keys, words) in bad {
        let lab = Lab::new("kafka-real-who");
        let text = conf(kafka.ports[port], "who", "dummy", &keys).replace("Grace 20", "Grace 1");
        let mut run = lab.start(&text);
        run.wait_stderr("failed to flush chunk");
        run.wait_stderr(words);
        run.term();
    }
}

/// The broker is killed twice in the middle of a load: nothing is lost, and nothing is there twice.
fn killed(kafka: &mut Kafka) {
    const PART: usize = 2000;
    let lab = Lab::new("kafka-real-killed");
    let line = |n: usize| format!("line {n} {}", "x".repeat(60));
    let file = lab.write("in.log", "");
    let is_over = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let is_over = is_over.clone();
        move || {
            let mut file = fs::File::options().append(true).open(file).unwrap();
            // Until the broker was killed twice, however long that takes, and a while longer.
            let (mut lines, mut left) = (0, 20);
            while left > 0 {
                let part: String = (lines..lines + PART).map(|n| line(n) + "\n").collect();
                file.write_all(part.as_bytes()).unwrap();
                lines += PART;
                left -= usize::from(is_over.load(Ordering::Relaxed));
                std::thread::sleep(Duration::from_millis(100));
            }
            lines
        }
    });
    let input = "tail\n    Path in.log\n    Read_from_Head on";
    let keys = "    Format raw\n    Raw_Log_Key log\n    rdkafka.request.timeout.ms 5000\n";
    let run = lab.start(&conf(kafka.ports[0], "load", input, keys));
    for _ in 0..2 {
        let (before, some) = (kafka.size("load"), (8 * PART * line(0).len()) as u64);
        assert!(until(|| kafka.size("load") > before + some), "{}", run.stderr());
        kafka.order("kill", "DEAD");
        std::thread::sleep(Duration::from_millis(500));
        kafka.order("start", "READY");
    }
    is_over.store(true, Ordering::Relaxed);
    let lines = writer.join().unwrap();
    let arrived = |kafka: &Kafka| {
        // Reading all of it is work that the broker's machine has to do, too.
        std::thread::sleep(Duration::from_millis(200));
        kafka.values("load").len()
    };
    assert!(until(|| arrived(kafka) >= lines), "{} of {lines}\n{}", arrived(kafka), run.stderr());
    run.term().code(0);
    let got = kafka.values("load");
    let mut counts = BTreeMap::<&str, usize>::new();
    got.iter().for_each(|v| *counts.entry(v).or_default() += 1);
    let lost = (0..lines).filter(|n| !counts.contains_key(line(*n).as_str())).count();
    let twice = counts.values().filter(|n| **n > 1).count();
    assert_eq!((lost, twice), (0, 0), "lost and doubled of {lines}");
}
