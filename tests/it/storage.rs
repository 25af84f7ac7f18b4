//! Chunks on the disk: killed, stopped, damaged, full, and taken up again.

use crate::lab::{HttpSink, Lab, Proc, TcpSink, free_port, has, refused_port};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;

/// A tcp input (which cannot read again) into a tcp output.
fn conf(service: &str, input: &str, inlet: u16, outlet: u16) -> String {
    format!(
        "[SERVICE]\n    Flush 0.02\n    Grace 2\n    scheduler.base 1\n    scheduler.cap 1\n    storage.path chunks\n{service}\
         [INPUT]\n    Name tcp\n    Tag t\n    Listen 127.0.0.1\n    Port {inlet}\n    Format none\n{input}\
         [OUTPUT]\n    Name tcp\n    Match *\n    Host 127.0.0.1\n    Port {outlet}\n    Format json_lines\n    json_date_key false\n"
    )
}

const DISK: &str = "    storage.type filesystem\n";

/// Sends lines and closes.
fn send(run: &mut Proc, port: u16, lines: std::ops::Range<usize>) {
    let mut stream = None;
    run.wait_for("the input listens", |_| {
        stream = TcpStream::connect(("127.0.0.1", port)).ok();
        stream.is_some()
    });
    let text: String = lines.map(|n| format!("line {n}\n")).collect();
    stream.unwrap().write_all(text.as_bytes()).unwrap();
}

/// Waits until the input has taken so many records.
fn all_read(run: &mut Proc, n: usize) {
    let (mut asked, wanted) = (0, format!("read          : {n}\n"));
    run.wait_for("the records to be read", |p| {
        asked += 1;
        if asked % 20 == 1 {
            p.signal(Signal::CONT);
        }
        p.stderr().contains(&wanted)
    });
}

/// The chunk files of the folder, and their sizes.
fn chunks(lab: &Lab) -> Vec<(PathBuf, u64)> {
    let inputs = fs::read_dir(lab.path("chunks")).into_iter().flatten().flatten().map(|e| e.path());
    let inputs = inputs.filter(|p| p.is_dir() && !p.ends_with("quarantine"));
    let files = inputs.flat_map(|d| fs::read_dir(d).into_iter().flatten().flatten());
    files.map(|f| (f.path(), f.metadata().map_or(0, |m| m.len()))).collect()
}

fn on_disk(lab: &Lab) -> u64 {
    chunks(lab).iter().map(|(_, size)| size).sum()
}

/// How often each line arrived.
fn counts(text: &str) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        let n = line.split("line ").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("{line}"));
        *counts.entry(n.parse().unwrap()).or_default() += 1;
    }
    counts
}

fn all_once(text: &str, n: usize) {
    let counts = counts(text);
    let lost: Vec<_> = (0..n).filter(|i| !counts.contains_key(i)).collect();
    let twice: Vec<_> = counts.iter().filter(|(_, c)| **c > 1).collect();
    assert!(lost.is_empty() && twice.is_empty(), "lost {lost:?}, twice {twice:?}");
}

/// Waits until the sink has so many lines.
fn arrives(lab: &Lab, sink: &TcpSink, n: usize) {
    lab.wait("the lines at the sink", || sink.text().lines().count() >= n);
}

#[test]
fn a_kill_loses_nothing_that_is_on_the_disk() {
    let lab = Lab::new("storage-kill");
    let (_held, outlet) = refused_port();
    let inlet = free_port();
    let text = conf("", DISK, inlet, outlet);
    let mut run = lab.start(&text);
    send(&mut run, inlet, 0..1000);
    run.wait_for("the chunk on the disk", |_| on_disk(&lab) > 9_000);
    run.kill();
    let sink = TcpSink::at(outlet);
    let mut run = lab.start(&text);
    arrives(&lab, &sink, 1000);
    run.wait_stderr("of an earlier run wait in");
    lab.wait("the chunk files to go", || chunks(&lab).is_empty());
    run.term().code(0);
    all_once(&sink.text(), 1000);
}

#[test]
fn a_shutdown_leaves_what_it_cannot_deliver_on_the_disk_and_says_where() {
    for kind in [DISK, "    storage.type memory\n"] {
        let lab = Lab::new("storage-term");
        let (_held, outlet) = refused_port();
        let inlet = free_port();
        let text = conf("", kind, inlet, outlet);
        let mut run = lab.start(&text);
        send(&mut run, inlet, 0..100);
        run.wait_stderr("retry in");
        run.term()
            .code(0)
            .says(&["were not delivered: the destination is down", "stay in 'chunks' and are sent at the next start"]);
        let sink = TcpSink::at(outlet);
        let run = lab.start(&text);
        arrives(&lab, &sink, 100);
        run.term().code(0);
        all_once(&sink.text(), 100);
        assert_eq!(chunks(&lab), []);
    }
}

#[test]
fn an_output_that_had_its_part_does_not_get_it_again() {
    let lab = Lab::new("storage-two");
    let (_held, outlet) = refused_port();
    let inlet = free_port();
    let healthy = TcpSink::new();
    let more = format!(
        "[OUTPUT]\n    Name tcp\n    Match *\n    Host 127.0.0.1\n    Port {}\n    Format json_lines\n    json_date_key false\n",
        healthy.port()
    );
    let text = conf("", DISK, inlet, outlet) + &more;
    let mut run = lab.start(&text);
    send(&mut run, inlet, 0..500);
    arrives(&lab, &healthy, 500);
    run.wait_stderr("retry in");
    run.term().code(0);
    let sink = TcpSink::at(outlet);
    let run = lab.start(&text);
    arrives(&lab, &sink, 500);
    run.term().code(0);
    all_once(&sink.text(), 500);
    all_once(&healthy.text(), 500);
}

#[test]
fn a_torn_file_is_whole_again_when_an_output_had_its_part() {
    let lab = Lab::new("storage-torn");
    let (_held, outlet) = refused_port();
    let (_held, second) = refused_port();
    let inlet = free_port();
    let more = format!(
        "[OUTPUT]\n    Name tcp\n    Match *\n    Host 127.0.0.1\n    Port {second}\n    Format json_lines\n    json_date_key false\n"
    );
    let text = conf("", DISK, inlet, outlet) + &more;
    let mut run = lab.start(&text);
    send(&mut run, inlet, 0..500);
    run.wait_for("the chunk on the disk", |_| on_disk(&lab) > 5_000);
    run.kill();
    // The beginning of a frame, as a crash leaves it.
    let [(path, size)] = &chunks(&lab)[..] else { panic!("one chunk is on the disk") };
    let whole = fs::read(path).unwrap();
    fs::write(path, [&whole[..], b"\xc5ckR\0\0"].concat()).unwrap();
    let healthy = TcpSink::at(second);
    let mut run = lab.start(&text);
    arrives(&lab, &healthy, 500);
    run.wait_for("the note on the disk", |_| fs::read(path).is_ok_and(|now| now.len() as u64 > size + 20));
    run.kill();
    assert_eq!(fs::read(path).unwrap()[..whole.len()], whole, "what was whole stays");
    let sink = TcpSink::at(outlet);
    let run = lab.start(&text);
    arrives(&lab, &sink, 500);
    run.term().code(0);
    all_once(&sink.text(), 500);
    all_once(&healthy.text(), 500);
    assert!(!lab.path("chunks/quarantine").exists(), "nothing is damaged");
}

#[test]
fn a_backlog_of_fluent_bit_is_sent() {
    let lab = Lab::new("storage-fluent-bit");
    let sink = TcpSink::new();
    // With the name that it gives to a file of a small number of nanoseconds.
    lab.write("chunks/tail.7/123-1700000000.  12.flb", include_bytes!("../../fuzz/seeds/chunk/fluent-bit"));
    let text = conf("", DISK, free_port(), sink.port());
    let run = lab.start(&text);
    arrives(&lab, &sink, 3);
    lab.wait("the chunk file to go", || chunks(&lab).is_empty());
    run.term().code(0);
    assert_eq!(sink.text(), "{\"log\":\"abc\",\"n\":1}\n{\"log\":\"abc\",\"n\":1}\n{\"log\":\"old\"}\n");
}

#[test]
fn what_a_bulk_server_has_is_not_sent_again_after_a_restart() {
    if !has!("es") {
        return;
    }
    let lab = Lab::new("storage-part");
    let inlet = free_port();
    // Every second document is refused for now.
    let server = HttpSink::new(|request, n| {
        let statuses: Vec<u16> =
            request.documents().iter().enumerate().map(|(i, _)| if n == 0 && i % 2 == 1 { 429 } else { 201 }).collect();
        crate::lab::Answer::bulk(&statuses)
    });
    let es = |base: u32| {
        format!(
            "[SERVICE]\n    Flush 0.02\n    Grace 1\n    scheduler.base {base}\n    storage.path chunks\n[INPUT]\n    Name tcp\n    Tag t\n    \
             Listen 127.0.0.1\n    Port {inlet}\n    Format none\n{DISK}[OUTPUT]\n    Name es\n    Match *\n    Host 127.0.0.1\n    Port {}\n",
            server.port()
        )
    };
    let mut run = lab.start(&es(600));
    send(&mut run, inlet, 0..10);
    run.wait_stderr("retry in");
    lab.wait("the note on the disk", || on_disk(&lab) > 0);
    std::thread::sleep(std::time::Duration::from_millis(100));
    run.kill();
    let run = lab.start(&es(1));
    lab.wait("the second request", || server.requests().len() > 1);
    run.term().code(0);
    let sent: Vec<_> = server.requests().iter().map(|r| r.documents().len()).collect();
    assert_eq!(sent, [10, 5]);
}

#[test]
fn the_oldest_go_when_the_disk_may_hold_no_more() {
    let lab = Lab::new("storage-limit");
    let (_held, outlet) = refused_port();
    let inlet = free_port();
    let limited = conf("", DISK, inlet, outlet) + "    storage.total_limit_size 2M\n";
    let mut run = lab.start(&limited);
    send(&mut run, inlet, 0..400_000);
    all_read(&mut run, 400_000);
    run.wait_stderr("storage.total_limit_size");
    run.wait_stderr("record(s) dropped");
    lab.wait("the limit to hold", || on_disk(&lab) < 3_500_000);
    run.term().code(0).says(&["stay in 'chunks'"]);
    let sink = TcpSink::at(outlet);
    let run = lab.start(&limited);
    lab.wait("the chunk files to go", || chunks(&lab).is_empty());
    run.term().code(0);
    let counts = counts(&sink.text());
    assert!(counts.values().all(|c| *c == 1));
    assert!(counts.contains_key(&399_999) && !counts.contains_key(&0), "the newest stay");
}

#[test]
fn a_ring_drops_the_oldest_and_says_so() {
    let lab = Lab::new("storage-ring");
    let (_held, outlet) = refused_port();
    let inlet = free_port();
    let mut run = lab.start(&conf("", "    storage.type memrb\n    Mem_Buf_Limit 3M\n", inlet, outlet));
    send(&mut run, inlet, 0..200_000);
    all_read(&mut run, 200_000);
    run.wait_stderr("the ring of storage.type memrb is full");
    let sink = TcpSink::at(outlet);
    lab.wait("the newest line", || sink.text().contains("line 199999\""));
    run.term().code(0);
    let counts = counts(&sink.text());
    assert!(counts.values().all(|c| *c == 1) && !counts.contains_key(&100_000), "{}", counts.len());
}

#[test]
fn one_folder_belongs_to_one_program() {
    let lab = Lab::new("storage-lock");
    let sink = TcpSink::new();
    let mut run = lab.start(&conf("", DISK, free_port(), sink.port()));
    run.wait_stderr("listening on");
    let pid = run.pid().to_string();
    lab.write("other.conf", conf("", DISK, free_port(), sink.port()));
    lab.exec(&["-c", "other.conf"]).code(1).says(&["storage", "chunks", &pid]);
    run.term().code(0);
}

#[test]
fn a_disk_without_a_folder_is_refused() {
    let lab = Lab::new("storage-nowhere");
    lab.run("[INPUT]\n    Name dummy\n    storage.type filesystem\n[OUTPUT]\n    Name null\n    Match *\n")
        .code(1)
        .says(&["storage.type filesystem needs a folder", "storage.path"]);
    let bad = "[SERVICE]\n    storage.path /proc/nowhere\n[INPUT]\n    Name dummy\n    storage.type filesystem\n[OUTPUT]\n    Name null\n    Match *\n";
    lab.run(bad).code(1).says(&["cannot start", "/proc/nowhere"]);
}

/// A tail with a DB into a tcp output.
fn tail_conf(outlet: u16) -> String {
    format!(
        "[SERVICE]\n    Flush 0.02\n    Grace 2\n    scheduler.base 1\n    scheduler.cap 1\n    storage.path chunks\n[INPUT]\n    Name tail\n    Tag t\n    \
         Path in.log\n    Read_from_Head on\n    DB t.db\n{DISK}[OUTPUT]\n    Name tcp\n    Match *\n    Host 127.0.0.1\n    Port {outlet}\n    \
         Format json_lines\n    json_date_key false\n"
    )
}

#[test]
fn what_can_be_read_again_is_written_only_when_it_waits() {
    if !has!("sqlite") {
        return;
    }
    let lab = Lab::new("storage-lazy");
    let sink = TcpSink::new();
    lab.write("in.log", (0..1000).map(|n| format!("line {n}\n")).collect::<String>());
    let run = lab.start(&tail_conf(sink.port()));
    arrives(&lab, &sink, 1000);
    run.term().code(0);
    assert!(!lab.path("chunks/tail.0").exists(), "nothing was written while the output took everything");
    all_once(&sink.text(), 1000);

    let (_held, outlet) = refused_port();
    let mut run = lab.start(&tail_conf(outlet));
    lab.append("in.log", (1000..2000).map(|n| format!("line {n}\n")).collect::<String>());
    run.wait_stderr("retry in");
    run.wait_for("the chunk on the disk", |_| on_disk(&lab) > 9_000);
    // The offset has moved: the file is not needed any more.
    std::thread::sleep(std::time::Duration::from_millis(400));
    run.kill();
    fs::remove_file(lab.path("in.log")).unwrap();
    let sink = TcpSink::at(outlet);
    let run = lab.start(&tail_conf(outlet));
    arrives(&lab, &sink, 1000);
    run.term().code(0);
    let counts = counts(&sink.text());
    assert!((1000..2000).all(|n| counts.get(&n) == Some(&1)), "{}", counts.len());
}

#[test]
fn small_chunks_of_a_dead_destination_grow_together_on_the_disk() {
    let lab = Lab::new("storage-grow");
    let (_held, outlet) = refused_port();
    let inlet = free_port();
    let healthy = TcpSink::new();
    let more = format!(
        "[OUTPUT]\n    Name tcp\n    Match *\n    Host 127.0.0.1\n    Port {}\n    Format json_lines\n    json_date_key false\n",
        healthy.port()
    );
    let text = conf("", DISK, inlet, outlet).replace("Flush 0.02", "Flush 0.002") + &more;
    let mut run = lab.start(&text);
    for n in 0..100 {
        send(&mut run, inlet, n..n + 1);
        lab.wait("the line at the healthy sink", || healthy.text().lines().count() > n);
    }
    let files = || chunks(&lab).iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "flb")).count();
    run.wait_for("the files to become few", |_| files() < 5);
    run.kill();
    let sink = TcpSink::at(outlet);
    let run = lab.start(&text);
    arrives(&lab, &sink, 100);
    run.term().code(0);
    // The kill may come before what was just sent is noted as done.
    for text in [sink.text(), healthy.text()] {
        let counts = counts(&text);
        assert!(
            (0..100).all(|n| counts.contains_key(&n)) && counts.values().filter(|c| **c > 1).count() <= 2,
            "{counts:?}"
        );
    }
}
