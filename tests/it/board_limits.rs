//! What a small board has little of: memory, a card that is quick, and pages of 4 KiB.

use crate::lab::{Elf, Group, Lab, Peer, TcpSink, free_port, is_native, program, refused_port, skip, until};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Kernels for aarch64 have pages of 4, 16 or 64 KiB, and load a program whose parts are aligned to theirs.
#[test]
fn large_pages_can_hold_the_program() {
    const AARCH64: u64 = 183;
    let elf = Elf::read(&program());
    let least = if elf.machine == AARCH64 { 64 << 10 } else { 4 << 10 };
    assert!(elf.align >= least, "{elf:?}");
    let named = program().to_string_lossy().contains("musl");
    assert!(!named || elf.is_static, "{elf:?}");
}

/// Takes lines, each with a number between `#`s: which have come, and how many.
fn numbers(listener: TcpListener, most: usize) -> (Peer, Arc<Mutex<Vec<bool>>>, Arc<AtomicUsize>) {
    let (seen, count) = (Arc::new(Mutex::new(vec![false; most])), Arc::new(AtomicUsize::new(0)));
    let (mark, add) = (seen.clone(), count.clone());
    let peer = Peer::on(listener, move |stream| {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let number: usize = line.split('#').nth(1).and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{line}"));
            if !std::mem::replace(&mut mark.lock().unwrap()[number], true) {
                add.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    (peer, seen, count)
}

/// 64 MiB for the program and the pages of its files, and more than that waits on the disk for a destination that is away.
#[test]
#[ignore = "writes a few hundred MB: make boards"]
fn memory_of_64_mib() {
    const LIMIT: u64 = 64 << 20;
    const LINES: usize = 1_200_000;
    if !is_native() {
        return;
    }
    let Some(group) = Group::memory(LIMIT) else { return };
    let (lab, (hold, port)) = (Lab::new("memory-64"), refused_port());
    let request = r#"192.0.2.7 - - [22/Nov/2026:05:00:00 +0000] "GET /shop/basket HTTP/1.1" 200 5120 "-" "Mozilla/5.0 (X11; Linux aarch64)""#;
    let mut text = String::new();
    for number in 0..LINES {
        let path = if number % 10 == 9 { "/health" } else { "/shop" };
        text.push_str(&request.replace("/shop", path).replace("(X11;", &format!("(X11; #{number}#")));
        text.push('\n');
    }
    lab.write("a.log", text);
    lab.write(
        "collector.conf",
        format!(
            "[SERVICE]\n    Flush 1\n    storage.path chunks\n    scheduler.base 1\n    scheduler.cap 2\n[INPUT]\n    Name tail\n    Path a.log\n    Read_From_Head on\n    DB a.db\n    Parser nginx\n    \
             storage.type filesystem\n[FILTER]\n    Name grep\n    Match *\n    Exclude path ^/health\n[FILTER]\n    Name modify\n    Match *\n    Add board pi\n\
             [OUTPUT]\n    Name tcp\n    Match *\n    Host 127.0.0.1\n    Port {port}\n    Format json_lines\n"
        ),
    );
    let words = group.enter();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut run = lab.command(&["-c", "collector.conf"]).through(&words).start();
    let waiting = || {
        let folders = fs::read_dir(lab.path("chunks")).into_iter().flatten().flatten();
        let files = folders.flat_map(|f| fs::read_dir(f.path()).into_iter().flatten().flatten());
        files.filter_map(|f| f.metadata().ok()).map(|m| m.len()).sum::<u64>()
    };
    run.wait_for("more than the memory on the disk", |_| waiting() > LIMIT);
    let on_disk = waiting();
    drop(hold);
    let (_peer, seen, count) = numbers(TcpListener::bind(("127.0.0.1", port)).unwrap(), LINES);
    run.wait_for("all lines", |_| count.load(Ordering::Relaxed) == LINES / 10 * 9);
    assert!(seen.lock().unwrap().iter().enumerate().all(|(n, seen)| *seen == (n % 10 != 9)));
    let most = group.number("memory.max_usage_in_bytes", "").or_else(|| group.number("memory.peak", "")).unwrap_or(0);
    let killed = group.number("memory.oom_control", "oom_kill ").or_else(|| group.number("memory.events", "oom_kill "));
    let own = fs::read_to_string(format!("/proc/{}/status", run.pid())).unwrap();
    let own = own.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or_default().trim().to_owned();
    println!("{LINES} lines, {} MiB of chunks: at most {} MiB in the group, {own} resident", on_disk >> 20, most >> 20);
    assert_eq!(killed, Some(0), "{}", run.show(None));
    run.term().code(0).says(&["0 lost"]);
}

/// A file system on a device of its own.
struct Card<'a>(&'a Lab);

impl<'a> Card<'a> {
    /// The folder is `card`; with it comes the number of the device. `None`, said in a line, where that is not allowed.
    fn new(lab: &'a Lab) -> Option<(Self, String)> {
        let image = lab.write("card.img", "");
        fs::File::options().write(true).open(&image).unwrap().set_len(64 << 20).unwrap();
        fs::create_dir(lab.path("card")).unwrap();
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let ran = |name: &str, args: &[&str]| {
            Command::new(name)
                .args(args)
                .env("PATH", &path)
                .current_dir(lab.path(""))
                .output()
                .is_ok_and(|o| o.status.success())
        };
        if !ran("mkfs.ext4", &["-q", "-F", "card.img"]) || !ran("mount", &["-o", "loop", "card.img", "card"]) {
            skip("no file system of one's own: that needs root, mkfs.ext4 and loop devices");
            return None;
        }
        let card = Self(lab);
        let folder = lab.path("card").display().to_string();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let device = mounts.lines().find(|l| l.split(' ').nth(4) == Some(&folder))?.split(' ').nth(2)?.to_owned();
        Some((card, device))
    }
}

impl Drop for Card<'_> {
    fn drop(&mut self) {
        until(|| Command::new("umount").arg(self.0.path("card")).status().is_ok_and(|s| s.success()));
    }
}

/// Chunks go to a card that takes seconds for each of them and is waited for; looks at the system keep their pace meanwhile.
/// Without a `DB` all that is read is written at once.
#[test]
#[ignore = "mounts a disk and waits for it: make boards"]
fn a_card_that_is_slow() {
    const RATE: u64 = 64 << 10;
    if !is_native() {
        return;
    }
    let lab = Lab::new("slow-card");
    let Some((_card, device)) = Card::new(&lab) else { return };
    let Some(group) = Group::slow_writes(&device, RATE) else { return };
    let (sink, away) = (TcpSink::new(), free_port());
    let words = group.enter();
    let begin = Instant::now();
    let write = ["dd", "if=/dev/zero", "of=card/zeros", "bs=64k", "count=2", "conv=fsync"];
    let done = Command::new(&words[0]).args(&words[1..]).args(write).current_dir(lab.path("")).output().unwrap();
    let alone = begin.elapsed();
    assert!(done.status.success() && alone > Duration::from_secs(1), "the card is quick: {alone:?}, {done:?}");
    lab.write("in.log", "");
    lab.write(
        "collector.conf",
        format!(
            "[SERVICE]\n    Flush 0.2\n    Grace 1\n    storage.path card/chunks\n    storage.sync full\n[INPUT]\n    Name tail\n    Tag log\n    Path in.log\n    \
             storage.type filesystem\n[INPUT]\n    Name uptime\n    Tag beat\n    Interval_Sec 0\n    Interval_NSec 50000000\n\
             [OUTPUT]\n    Name tcp\n    Match beat\n    Host 127.0.0.1\n    Port {}\n    Format json_lines\n    Json_Date_Format double\n\
             [OUTPUT]\n    Name tcp\n    Match log\n    Host 127.0.0.1\n    Port {away}\n",
            sink.port()
        ),
    );
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut run = lab.command(&["-c", "collector.conf"]).through(&words).start();
    run.wait_for("beats", |_| sink.text().lines().count() > 5);
    let bytes = 512 << 10;
    for _ in 0..8 {
        lab.append("in.log", format!("{}\n", "x".repeat(1023)).repeat(bytes / 8 / 1024));
        run.stays(Duration::from_millis(100));
    }
    let chunks = || {
        let folders = fs::read_dir(lab.path("card/chunks")).into_iter().flatten().flatten();
        let files = folders.flat_map(|f| fs::read_dir(f.path()).into_iter().flatten().flatten());
        files.filter_map(|f| f.metadata().ok()).map(|m| m.len()).sum::<u64>()
    };
    run.wait_for("the lines on the card", |_| chunks() as usize >= bytes);
    run.stays(Duration::from_secs(5));
    run.term().code(0);
    let text = sink.text();
    let times: Vec<f64> = text
        .split_inclusive('\n')
        .filter(|l| l.ends_with('\n'))
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["date"].as_f64().unwrap())
        .collect();
    let late = times.windows(2).map(|w| w[1] - w[0] - 0.05).fold(0.0, f64::max);
    println!(
        "128 KiB take {alone:?}, {} KiB were written; of {} looks, 50 ms apart, the latest was {:.0} ms late",
        chunks() >> 10,
        times.len(),
        late * 1000.0
    );
    assert!(late < 1.5, "the event thread waited {late} s");
}
