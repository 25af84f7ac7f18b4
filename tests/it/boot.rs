//! A board of its own, from its first instruction: Debian's kernel and systemd for arm64 under an emulator of the whole machine, which
//! installs the package at its first start, and power cuts.
//!
//! The disk of the emulator has a cache that it loses: all writes go to a log, in order, with the flushes between them. After a cut the disk
//! is what it was at the start, with the writes up to the last flush that ended, and some of those behind it, piece by piece.

use crate::lab::{Lab, Proc, free_port, skip};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long an emulated board may take for anything.
const PATIENCE: Duration = Duration::from_secs(400);

fn until(what: &str, board: &Board, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "gave up waiting for {what}\n{}", board.console());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The emulator; its end is a power cut.
struct Board {
    emulator: Child,
    console: PathBuf,
}

impl Board {
    fn start(dir: &Path, boot: usize) -> Self {
        let console = dir.join(format!("console.{boot}"));
        // Neither what another board said nor what it wrote.
        fs::write(&console, "").unwrap();
        fs::write(dir.join("writes"), "").unwrap();
        let file =
            |node: &str, name: &str| format!("driver=file,node-name={node},filename={}", dir.join(name).display());
        let emulator = Command::new("qemu-system-aarch64")
            .args(["-M", "virt", "-cpu", "max,pauth-impdef=on", "-m", "512", "-display", "none", "-nodefaults"])
            .arg("-kernel")
            .arg(dir.join("vmlinuz"))
            .arg("-initrd")
            .arg(dir.join("initrd.gz"))
            .args(["-append", "console=ttyAMA0 net.ifnames=0 systemd.show_status=0 systemd.getty_auto=0"])
            .args(["-serial", &format!("file:{}", console.display())])
            .args(["-blockdev", &file("disk", "running.img"), "-blockdev", &file("writes", "writes")])
            .args(["-blockdev", "driver=blklogwrites,node-name=card,file=disk,log=writes"])
            .args(["-device", "virtio-blk-device,drive=card"])
            .args(["-netdev", "user,id=net", "-device", "virtio-net-device,netdev=net"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { emulator, console }
    }

    fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.console).unwrap_or_default()).into_owned()
    }

    /// For each start of the system how many lines its writer knows to be on the disk.
    fn synced(&self) -> BTreeMap<String, usize> {
        let mut all = BTreeMap::new();
        let console = self.console();
        let whole = console.split_inclusive('\n').filter(|l| l.ends_with('\n'));
        for line in whole.filter_map(|l| l.trim_end().strip_prefix("synced ")) {
            if let Some((boot, number)) = line.split_once(' ').and_then(|(b, n)| Some((b, n.parse().ok()?))) {
                all.insert(boot.to_owned(), number);
            }
        }
        all
    }

    /// What the writer found of the service: its user and capabilities, whose its state is and with which rights; the size of a page.
    fn service(&self) -> String {
        let console = self.console();
        console.lines().find_map(|l| l.trim_end().strip_prefix("service ")).unwrap_or_default().to_owned()
    }

    fn lines(&self) -> usize {
        self.synced().values().sum()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
    }
}

/// What a card made of the writes of a run.
#[derive(Debug, Default)]
struct Cut {
    flushes: usize,
    writes: usize,
    /// Pieces of 4 KiB behind the last flush.
    open: usize,
    lost: usize,
}

const SECTOR: u64 = 512;

/// One of the log's: a write, a flush, or both.
struct Entry {
    sector: u64,
    flush: bool,
    /// Where its data begin in the log.
    from: u64,
    bytes: u64,
}

fn entries(log: &File) -> Vec<Entry> {
    const FLUSH: u64 = 1;
    const DISCARD: u64 = 4;
    let size = log.metadata().unwrap().len();
    let head = |at: u64| {
        let mut words = [0; 32];
        log.read_exact_at(&mut words, at).ok()?;
        let word = |i: usize| u64::from_le_bytes(words[i * 8..][..8].try_into().unwrap());
        let (sector, sectors, flags) = (word(0), word(1), word(2));
        let bytes = if flags & DISCARD == 0 { sectors * SECTOR } else { 0 };
        // The log may end in the middle of an entry.
        (sectors + flags > 0 && at + SECTOR + bytes <= size).then_some((sector, flags, bytes))
    };
    let mut entries = Vec::new();
    // Behind the log's own head.
    let mut at = SECTOR;
    while let Some((sector, flags, bytes)) = head(at) {
        entries.push(Entry { sector, flush: flags & FLUSH != 0, from: at + SECTOR, bytes });
        at += SECTOR + bytes;
    }
    entries
}

/// Brings a disk to what a power cut leaves of these writes. `dice` says which pieces behind the last flush are kept.
fn cut(disk: &Path, writes: &Path, mut dice: u64) -> Cut {
    const PIECE: usize = 4096;
    let (log, disk) = (File::open(writes).unwrap(), File::options().write(true).open(disk).unwrap());
    let entries = entries(&log);
    let last = entries.iter().rposition(|e| e.flush).expect("a system that never flushes its disk");
    let mut cut = Cut { flushes: entries.iter().filter(|e| e.flush).count(), ..Cut::default() };
    for (i, Entry { sector, from, bytes, .. }) in entries.into_iter().enumerate() {
        let mut data = vec![0; bytes as usize];
        log.read_exact_at(&mut data, from).unwrap();
        cut.writes += usize::from(bytes > 0);
        for (piece, bytes) in data.chunks(PIECE).enumerate() {
            if i > last {
                cut.open += 1;
                dice ^= dice << 13;
                dice ^= dice >> 7;
                dice ^= dice << 17;
                if dice & 1 == 0 {
                    cut.lost += 1;
                    continue;
                }
            }
            disk.write_all_at(bytes, sector * SECTOR + (piece * PIECE) as u64).unwrap();
        }
    }
    cut
}

/// What reached the collector on this machine, in all its runs.
struct Arrived {
    /// How often each line came.
    lines: HashMap<String, usize>,
    messages: usize,
    packets: usize,
}

impl Arrived {
    fn read(lab: &Lab) -> Self {
        let mut all = Self { lines: HashMap::new(), messages: 0, packets: 0 };
        for run in 0.. {
            let name = format!("stdout.{run}");
            if !lab.path(&name).exists() {
                return all;
            }
            for line in lab.read(&name).split_inclusive('\n').filter(|l| l.ends_with('\n')) {
                let record: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
                if let Some(line) = record["log"].as_str().and_then(|l| l.strip_prefix("line ")) {
                    let key = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
                    *all.lines.entry(key).or_default() += 1;
                }
                all.messages += usize::from(record["message"].as_str().is_some_and(|m| m.starts_with("message ")));
                all.packets += usize::from(record["type"] == "icmp");
            }
        }
        all
    }

    /// Lines that were on the disk and are not here.
    fn missing(&self, synced: &BTreeMap<String, usize>) -> Vec<String> {
        let keys = synced.iter().flat_map(|(boot, last)| (1..=*last).map(move |n| format!("{boot} {n}")));
        keys.filter(|key| !self.lines.contains_key(key)).collect()
    }
}

fn receiver(lab: &Lab, port: u16) -> Proc {
    lab.start(&format!(
        "[SERVICE]\n    Flush 0.2\n    Log_Level warn\n[INPUT]\n    Name forward\n    Listen 127.0.0.1\n    Port {port}\n\
         [OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n"
    ))
}

/// The board is cut off while its destination is away, and once more while it takes what comes. Lines that their writer knows to be on
/// the disk arrive. `COLLECTOR_BOARD` names the package for it.
#[test]
#[ignore = "boots a system under an emulator, several minutes: make boards"]
fn nothing_is_lost_to_power_cuts() {
    let Some(package) = std::env::var_os("COLLECTOR_BOARD") else {
        return skip("COLLECTOR_BOARD names no package: make boards");
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let (lab, dir, port) = (Lab::new("boot"), target.join("boards/boot"), free_port());
    let made = Command::new(root.join("cross/boot.sh"))
        .args([&dir, Path::new(&package)])
        .arg(port.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    if said != "READY" {
        assert!(made.status.success(), "{said}\n{}", String::from_utf8_lossy(&made.stderr));
        return skip(said.trim_start_matches("skipped: "));
    }
    let power = |boot: usize| {
        fs::copy(dir.join("disk.img"), dir.join("running.img")).unwrap();
        Board::start(&dir, boot)
    };
    // By the package's unit: CAP_DAC_READ_SEARCH, CAP_NET_RAW, and no other.
    let served = |board: &Board| {
        let service = board.service();
        assert!(service.starts_with("collector 0000000000002004 collector 750 "), "{service}\n{}", board.console());
        println!("service: {service}");
    };
    let off = |board: Board, seed: u64| {
        let synced = board.synced();
        served(&board);
        let log = File::open(dir.join("writes")).unwrap();
        until("writes that are not flushed yet", &board, || entries(&log).last().is_some_and(|e| !e.flush));
        drop(board);
        let cut = cut(&dir.join("disk.img"), &dir.join("writes"), seed);
        println!("cut: {cut:?}, on the disk for certain: {synced:?}");
        synced
    };
    let (mut all, mut away) = (BTreeMap::new(), 0);
    let begin = Instant::now();
    let run = receiver(&lab, port);
    let board = power(1);
    until("lines, messages and packets of the first start", &board, || {
        let got = Arrived::read(&lab);
        got.lines.len() > 100 && got.messages > 5 && got.packets > 5
    });
    println!("first start: {} lines after {:?}", Arrived::read(&lab).lines.len(), begin.elapsed());
    run.term().code(0);
    let before = board.lines();
    until("lines while nobody takes them", &board, || board.lines() > before + 300);
    away += board.lines() - before;
    all.extend(off(board, 0x9e37_79b9_7f4a_7c15));
    let packets = Arrived::read(&lab).packets;

    let run = receiver(&lab, port);
    let board = power(2);
    until("lines of the second start", &board, || board.lines() > 200);
    until("all of the first one", &board, || Arrived::read(&lab).missing(&all).is_empty());
    // In the middle of what is under way.
    let lines = board.lines();
    until("some more", &board, || board.lines() > lines + 50);
    all.extend(off(board, 0x3c6e_f372_fe94_f82a));

    let board = power(3);
    until("lines of the third start", &board, || board.lines() > 20);
    all.extend(board.synced());
    until("all of all of them", &board, || Arrived::read(&lab).missing(&all).is_empty());
    let console = board.console();
    assert!(!console.contains("quarantine"), "{console}");
    served(&board);
    drop(board);
    run.term().code(0);
    let got = Arrived::read(&lab);
    assert!(got.packets > packets, "no packets after the first cut");
    let twice: usize = got.lines.values().map(|n| n - 1).sum();
    println!(
        "{} lines on the disk for certain in {} starts, {away} of them while the destination was away: all arrived; {twice} came again; {} messages, {} packets",
        all.values().sum::<usize>(),
        all.len(),
        got.messages,
        got.packets
    );
}

/// Pieces up to the last flush are kept, others perhaps.
#[test]
fn what_a_power_cut_leaves() {
    let lab = Lab::new("boot-cut");
    let disk = lab.write("disk", vec![b'.'; 64 << 10]);
    let mut log = vec![0; 512];
    let mut entry = |sector: u64, data: &[u8], flags: u64| {
        let words = [sector, data.len() as u64 / 512, flags, data.len() as u64];
        let mut head: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        head.resize(512, 0);
        log.extend([&head, data].concat());
    };
    entry(0, &[b'a'; 4096], 0);
    entry(0, &[], 1);
    entry(8, &[b'b'; 40960], 0);
    entry(120, &[b'c'; 512], 0);
    // The last one is torn.
    log.truncate(log.len() - 100);
    let writes = lab.write("writes", log);
    let cut = cut(&disk, &writes, 7);
    let left = fs::read(disk).unwrap();
    assert_eq!((cut.flushes, cut.writes, cut.open), (1, 2, 10), "{cut:?}");
    assert!(cut.lost > 0 && cut.lost < 10, "{cut:?}");
    assert!(left[..4096].iter().all(|b| *b == b'a'));
    assert_eq!(left.iter().filter(|b| **b == b'b').count(), (10 - cut.lost) * 4096);
    assert!(!left.contains(&b'c'));
}
