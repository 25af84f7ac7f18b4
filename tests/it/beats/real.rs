//! Real clients: those of go-lumber always, where Go is; Filebeat and Packetbeat when asked for (`make beats`).

use super::client::{event, numbers};
use super::{JSON, conf, start};
use crate::lab::{Lab, Proc, free_port, samples, skip, until};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The program of tests/real/NAME.sh, built when it is not there; `None`, said in a line, where it cannot be.
pub fn program(name: &str) -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real").join(format!("{name}.sh"));
    let done = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).trim().to_owned();
    if let Some(why) = said.strip_prefix("skipped: ") {
        skip(why);
        return None;
    }
    assert!(done.status.success(), "{said}");
    Some(said.into())
}

/// The client of go-lumber sends windows of 100 of `events` events, and its exit code says whether all were acknowledged.
pub fn send(program: &Path, port: u16, events: u32, mode: &str) -> Child {
    Command::new(program)
        .args(["send", &format!("127.0.0.1:{port}"), &events.to_string(), mode])
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn clients_of_go_lumber() {
    let Some(program) = program("lumberjack") else { return };
    let lab = Lab::new("beats-go");
    let (run, port) = start(&lab, "", "[OUTPUT]\n    Name file\n    Match *\n    File out\n    Format plain\n");
    for mode in ["sync-0", "sync-9", "async-3"] {
        assert!(send(&program, port, 5000, mode).wait().unwrap().success(), "{mode}");
    }
    run.term().code(0).says(&["input beats.0: 15000 records"]);
    assert_eq!(numbers(&lab.bytes("out")).len(), 5000);
}

/// A Beat as a child process.
struct Beat(Child);

impl Beat {
    fn start(lab: &Lab, program: &Path, args: &[&str]) -> Self {
        let log = fs::File::create(lab.path("beat.log")).unwrap();
        let child = Command::new(program)
            .arg("-c")
            .arg(lab.path("beat.yml"))
            .arg("--path.home")
            .arg(lab.path("beat"))
            .args(["-e", "--strict.perms=false"])
            .args(args)
            .current_dir(lab.path("."))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn killed_again_and_again(lab: &Lab, mut done: impl FnMut() -> bool) -> (u32, Proc) {
    let mut kills = 0;
    loop {
        let mut run = lab.spawn(&["-c", "collector.conf"]);
        run.wait_stderr("listening on");
        let end = Instant::now() + Duration::from_millis(700 + 300 * u64::from(kills % 4));
        while Instant::now() < end {
            if done() {
                return (kills, run);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        if kills >= 12 {
            assert!(until(&mut done), "not everything arrived");
            return (kills, run);
        }
        run.kill();
        kills += 1;
    }
}

/// A real Filebeat reads a file of 200,000 lines while the collector is killed and started again.
#[test]
#[ignore = "builds Filebeat: make beats"]
fn filebeat_loses_nothing_while_we_are_killed() {
    const LINES: u32 = 200_000;
    let Some(program) = program("filebeat") else { return };
    let lab = Lab::new("beats-filebeat");
    let lines: Vec<u8> = (0..LINES).flat_map(|n| [event(n), b"\n".to_vec()].concat()).collect();
    lab.write("in.log", lines);
    let port = free_port();
    lab.write(
        "collector.conf",
        conf(port, "", "[OUTPUT]\n    Name file\n    Match *\n    File out\n    Format plain\n"),
    );
    lab.write(
        "beat.yml",
        format!(
            "filebeat.inputs:\n- type: log\n  paths: [{}]\noutput.logstash:\n  hosts: ['127.0.0.1:{port}']\n  backoff.init: 100ms\n  backoff.max: 500ms\nlogging.level: info\n",
            lab.path("in.log").display()
        ),
    );
    let beat = Beat::start(&lab, &program, &[]);
    let mut size = 0;
    let (kills, run) = killed_again_and_again(&lab, || {
        let now = fs::metadata(lab.path("out")).map_or(0, |m| m.len());
        // Counted only when nothing more comes.
        let still = now == std::mem::replace(&mut size, now);
        still && now > 0 && numbers(&lab.bytes("out")).len() as u32 == LINES
    });
    drop(beat);
    run.term().code(0);
    let text = lab.read("out");
    let came = text.lines().count() as u32;
    eprintln!("Filebeat: {LINES} lines, {kills} kills, 0 lost, {} twice", came - LINES);
    assert!(kills > 2, "{kills}");
    for part in ["\"@metadata\":{\"beat\":\"filebeat\"", "\"version\":\"7.17.29\"", "\"log\":{\"offset\":"] {
        assert!(text.contains(part), "{part}");
    }
}

/// A real Packetbeat reads a capture and ships its transactions.
#[test]
#[ignore = "builds Packetbeat: make beats"]
fn packetbeat_ships_transactions() {
    let Some(program) = program("packetbeat") else { return };
    let Some(dir) = samples("data/pcap") else { return };
    let Some(capture) = find(&dir, "dns-mx") else { return skip("no DNS capture among the samples") };
    let lab = Lab::new("beats-packetbeat");
    let (mut run, port) = start(&lab, "", JSON);
    lab.write(
        "beat.yml",
        format!(
            "packetbeat.interfaces.file: {}\npacketbeat.shutdown_timeout: 10s\npacketbeat.protocols:\n- type: dns\n  ports: [53]\n  include_authorities: true\noutput.logstash:\n  hosts: ['127.0.0.1:{port}']\n",
            capture.display()
        ),
    );
    let beat = Beat::start(&lab, &program, &["-I", capture.to_str().unwrap(), "-t"]);
    run.wait_stdout("\"beat\":\"packetbeat\"");
    run.wait_stdout("\"type\":\"dns\"");
    drop(beat);
    run.term().code(0);
}

/// A capture whose name holds this word.
fn find(dir: &Path, word: &str) -> Option<PathBuf> {
    let mut open = vec![dir.to_owned()];
    let mut found = Vec::new();
    while let Some(dir) = open.pop() {
        for path in fs::read_dir(dir).ok()?.flatten().map(|e| e.path()) {
            let name = path.file_name()?.to_string_lossy().into_owned();
            if path.is_dir() {
                open.push(path);
            } else if name.contains(word) && name.ends_with(".pcap") {
                found.push(path);
            }
        }
    }
    found.sort();
    found.into_iter().next()
}
