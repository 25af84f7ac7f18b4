//! Life on a board: a clock that begins in 1970 and jumps, a root that nobody may write to, no threads, a card that wears out.

use crate::lab::{Lab, Proc, TcpSink, free_port, is_native, skip, to_1970};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};

fn records(stdout: &str) -> Vec<Value> {
    let lines = stdout.split_inclusive('\n').filter(|l| l.ends_with('\n'));
    lines.map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

/// The wall clock begins in 1970, is set, and set back; looks go on at their pace, none is made up for, and each has the
/// time that the clock shows.
#[test]
fn a_clock_that_jumps() {
    let mut lab = Lab::new("clock");
    if let Err(why) = lab.fake_clock() {
        return skip(why);
    }
    lab.set_clock(&to_1970());
    let mut run = lab.start(
        "[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name uptime\n    Interval_Sec 0\n    Interval_NSec 100000000\n\
         [OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n    Json_Date_Format iso8601\n",
    );
    let year = |p: &Proc| records(&p.stdout()).last().map(|r| r["date"].as_str().unwrap()[..4].parse::<i32>().unwrap());
    let mut told = 0;
    for (shift, years) in
        [(to_1970(), 1970..1971), ("+0".into(), 2026..2200), (to_1970(), 1970..1971), ("+31536000".into(), 2027..2201)]
    {
        lab.set_clock(&shift);
        run.wait_for("records of another time", |p| year(p).is_some_and(|y| years.contains(&y)));
        told = records(&run.stdout()).len();
        run.wait_for("more of them", |p| records(&p.stdout()).len() >= told + 5);
    }
    let done = run.term().code(0);
    let all = records(&done.stdout);
    assert!(all.len() > told, "{}", done.report());
    // Their own times cannot tell: the system's uptime does. Looks may be late, and so nearer to the next one.
    let up = |i: usize| all[i]["uptime"].as_f64().unwrap();
    let most = (up(all.len() - 1) - up(0)) / 0.1 + 5.0;
    assert!(all.len() as f64 <= most, "{} looks where {most} fit", all.len());
}

/// What waits on the disk goes out, whatever the clock said when it was put there and says now.
#[test]
fn chunks_of_another_time() {
    let mut lab = Lab::new("clock-chunks");
    if let Err(why) = lab.fake_clock() {
        return skip(why);
    }
    let port = free_port();
    let conf = |samples: &str| {
        format!(
            "[SERVICE]\n    Flush 0.05\n    Grace 1\n    storage.path chunks\n[INPUT]\n    Name dummy\n    Dummy {samples}\n    \
             Samples 1\n    Flush_On_Startup on\n    storage.type filesystem\n[OUTPUT]\n    Name tcp\n    Match *\n    Host 127.0.0.1\n    Port {port}\n    \
             Format json_lines\n    Json_Date_Key false\n"
        )
    };
    for (shift, record) in [("+0".to_owned(), "{\"n\":1}"), (to_1970(), "{\"n\":2}"), ("+3600".into(), "{\"n\":3}")] {
        lab.set_clock(&shift);
        let mut run = lab.start(&conf(record));
        run.wait_stderr("retry in");
        run.stays(Duration::from_millis(200));
        run.term().code(0).says(&["input dummy.0: 1 records"]);
    }
    lab.set_clock(&to_1970());
    let sink = TcpSink::at(port);
    let mut run = lab.start(&conf("{\"n\":4}"));
    run.wait_for("four records", |_| sink.text().lines().count() >= 4);
    run.term().code(0);
    let text = sink.text();
    let mut got: Vec<_> = text.lines().collect();
    got.sort();
    assert_eq!(got, ["{\"n\":1}", "{\"n\":2}", "{\"n\":3}", "{\"n\":4}"]);
}

/// Runs the program where these shell commands have changed what is mounted.
fn among_mounts(lab: &Lab, conf: &str, commands: &str) -> Option<Proc> {
    let apart = |words: &[&str]| std::process::Command::new("unshare").arg("-m").args(words).output();
    if !apart(&["true"]).is_ok_and(|done| done.status.success()) {
        skip("mounting needs root");
        return None;
    }
    if !is_native() {
        return None;
    }
    let conf = lab.write("c.conf", conf).display().to_string();
    let script = format!("{commands} && exec \"$0\" \"$@\"");
    Some(lab.command(&["-c", &conf]).through(&["unshare", "-m", "sh", "-c", &script]).start())
}

fn tail(lab: &Lab, service: &str, input: &str) -> String {
    let path = lab.path("in.log").display().to_string();
    format!(
        "[SERVICE]\n    Flush 0.05\n{service}[INPUT]\n    Name tail\n    Path {path}\n    Read_From_Head on\n{input}[OUTPUT]\n    \
         Name stdout\n    Match *\n    Format json_lines\n    Json_Date_Key false\n"
    )
}

/// A state folder that cannot be written to ends the start, with what is to be done.
#[test]
fn a_state_folder_that_is_read_only() {
    let lab = Lab::new("read-only");
    lab.write("in.log", "one\n");
    lab.write("state/there", "");
    let state = lab.path("state").display().to_string();
    let mount = format!("mount --bind {state} {state} && mount -o remount,bind,ro {state}");
    let db = tail(&lab, "", &format!("    DB {state}/t.db\n"));
    let Some(run) = among_mounts(&lab, &db, &mount) else { return };
    let help = "a folder that this user may write to";
    run.wait().code(1).says(&[
        "cannot use the database",
        "Read-only file system",
        &format!("DB must name a file in {help}"),
    ]);
    let chunks = tail(&lab, &format!("    storage.path {state}/chunks\n"), "    storage.type filesystem\n");
    let run = among_mounts(&lab, &chunks, &mount).unwrap();
    let fix = format!("storage.path must name {help}");
    run.wait().code(1).says(&["cannot make the folder", "Read-only file system", &fix]);
    // A database that is there already cannot go on either.
    let run = lab.start(&db);
    finish(run, "one");
    let run = among_mounts(&lab, &db, &mount).unwrap();
    run.wait().code(1).says(&["Read-only file system", "DB must name"]).prints("");
}

fn finish(mut run: Proc, text: &str) {
    run.wait_stdout(text);
    run.term().code(0);
}

/// With all of the root read-only, one writable folder is enough.
#[test]
fn a_root_that_is_read_only() {
    let lab = Lab::new("read-only-root");
    lab.write("in.log", "one\n");
    lab.write("state/there", "");
    let state = lab.path("state").display().to_string();
    let mount = format!("mount -o remount,bind,ro / && mount -t tmpfs none {state} && ! touch {state}/../x 2>&-");
    let conf = tail(
        &lab,
        &format!("    storage.path {state}/chunks\n"),
        &format!("    DB {state}/t.db\n    storage.type filesystem\n"),
    );
    let Some(run) = among_mounts(&lab, &conf, &mount) else { return };
    finish(run, "{\"log\":\"one\"}\n");
}

/// Without workers and without what blocks there is one thread.
#[test]
fn no_workers() {
    let lab = Lab::new("no-workers");
    let sink = TcpSink::new();
    lab.write("in.log", "one\n");
    let mut run = lab.start(&format!(
        "[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name tail\n    Path in.log\n    Read_From_Head on\n[OUTPUT]\n    Name tcp\n    Match *\n    \
         Host 127.0.0.1\n    Port {}\n    Format json_lines\n    Json_Date_Key false\n    Workers 0\n",
        sink.port()
    ));
    run.wait_for("the first line", |_| sink.text() == "{\"log\":\"one\"}\n");
    lab.append("in.log", "two\n");
    run.wait_for("the second line", |_| sink.text() == "{\"log\":\"one\"}\n{\"log\":\"two\"}\n");
    if is_native() {
        assert_eq!(figure(&run, "status", "Threads"), 1, "{}", run.show(None));
    }
    run.term().code(0);
}

/// A number of a file of /proc/PID.
fn figure(run: &Proc, file: &str, word: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/{file}", run.pid())).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix(word)?.strip_prefix(':')).unwrap();
    line.trim().parse().unwrap()
}

/// What the program writes to files while lines go through, in bytes: all of it, and what a disk would get of it were it
/// written at once (a page that waits to be written and changes again counts once).
struct Written {
    all: u64,
    pages: u64,
    /// Until the last line was where it goes.
    time: Duration,
}

/// A line of the trials, with its end.
const LINE: usize = 101;

/// Sends this many lines, `pause` apart, or all at once, through tail with a DB and chunk files to a sink that is there or not.
fn written(name: &str, keys: &str, lines: usize, pause: Option<Duration>, up: bool) -> Written {
    let lab = Lab::new(name);
    let port = free_port();
    let sink = up.then(|| TcpSink::at(port));
    lab.write("in.log", "");
    let mut run = lab.start(&format!(
        "[SERVICE]\n    Flush 1\n    Grace 1\n    storage.path chunks\n[INPUT]\n    Name tail\n    Path in.log\n    Read_From_Head on\n    DB t.db\n{keys}    \
         storage.type filesystem\n[OUTPUT]\n    Name tcp\n    Match *\n    Host 127.0.0.1\n    Port {port}\n    Format json_lines\n    \
         Json_Date_Key false\n    Retry_Limit no_limits\n"
    ));
    run.wait_for("the database", |_| lab.path("t.db").exists());
    run.stays(Duration::from_millis(500));
    let start = Instant::now();
    let look = |run: &Proc| (figure(run, "io", "wchar"), figure(run, "io", "write_bytes"));
    let before = look(&run);
    let line = format!("{}\n", "x".repeat(LINE - 1));
    match pause {
        None => lab.append("in.log", line.repeat(lines)),
        Some(pause) => (0..lines).for_each(|_| {
            lab.append("in.log", &line);
            std::thread::sleep(pause);
        }),
    }
    match &sink {
        Some(sink) => run.wait_for("the lines", |_| sink.text().lines().count() == lines),
        None => run.wait_for("all of them on the disk", |_| chunk_bytes(&lab) as usize >= lines * LINE),
    }
    let time = start.elapsed();
    // The position follows.
    run.stays(Duration::from_millis(1500));
    let after = look(&run);
    run.signal(Signal::TERM);
    run.wait().code(0);
    Written { all: after.0 - before.0, pages: after.1 - before.1, time }
}

/// Bytes in chunk files.
fn chunk_bytes(lab: &Lab) -> u64 {
    let folders = fs::read_dir(lab.path("chunks")).into_iter().flatten().flatten();
    let files = folders.flat_map(|f| fs::read_dir(f.path()).into_iter().flatten().flatten());
    files.filter_map(|f| f.metadata().ok()).map(|m| m.len()).sum()
}

/// A position is a page of the database and its head in the write-ahead log.
const POSITION: u64 = 4096 + 24;

/// A card is written to once for each flush, not for each line, while the destination takes what comes.
#[test]
fn bytes_written_while_all_is_well() {
    if !is_native() {
        return;
    }
    let n = 20_000;
    let burst = written("bytes-burst", "", n, None, true);
    let data = (n * LINE) as u64;
    // What has waited for a second is written; within one no more than fifty positions are.
    let most = if burst.time < Duration::from_secs(1) { data / 8 } else { data + data / 5 };
    assert!(burst.all < most, "{} bytes for {data} in {:?}", burst.all, burst.time);
    let n = 60;
    let trickle = written("bytes-trickle", "", n, Some(Duration::from_millis(50)), true);
    // One more for the first, one for the last, two for what comes behind it, one for the head of the log; and lines that
    // waited for a second.
    let most = (trickle.time.as_secs() + 5) * (POSITION + 64) + (2 * n * LINE) as u64;
    assert!(trickle.all < most, "{} bytes in {:?}, {most} at most", trickle.all, trickle.time);
}

/// While it is away each line is written once; those of a second share a position, and so do many at a time.
#[test]
fn bytes_written_while_the_destination_is_away() {
    if !is_native() {
        return;
    }
    let n = 20_000;
    let burst = written("bytes-away", "", n, None, false);
    let data = (n * LINE) as u64;
    assert!(burst.all < data + data / 5, "{} bytes for {data}", burst.all);
    let n = 80;
    let trickle = written("bytes-away-trickle", "", n, Some(Duration::from_millis(50)), false);
    let most = (trickle.time.as_secs() + 4) * (POSITION + 200) + (2 * n * LINE) as u64;
    assert!(trickle.all < most, "{} bytes for {n} lines in {:?}, {most} at most", trickle.all, trickle.time);
    // A database that is written in place and not waited for changes two pages again and again.
    let keys = "    DB.Sync off\n    DB.Journal_Mode memory\n";
    let gentle = written("bytes-away-gentle", keys, 40, Some(Duration::from_millis(50)), false);
    assert!(gentle.pages < 64 << 10, "{} bytes of pages for 40 lines", gentle.pages);
}

/// The settings that spare a card most lose nothing to a kill at any moment, and the database stays sound.
#[test]
fn kills_while_the_card_is_spared() {
    let lab = Lab::new("spared");
    let sink = TcpSink::new();
    lab.write("in.log", "");
    let conf = format!(
        "[SERVICE]\n    Flush 0.02\n    storage.path chunks\n[INPUT]\n    Name tail\n    Path in.log\n    Read_From_Head on\n    DB t.db\n    \
         DB.Sync off\n    DB.Journal_Mode memory\n    storage.type filesystem\n[OUTPUT]\n    Name tcp\n    Match *\n    Host 127.0.0.1\n    \
         Port {}\n    Format json_lines\n    Json_Date_Key false\n    Retry_Limit no_limits\n",
        sink.port()
    );
    let mut lines = 0;
    for round in 0..12u64 {
        let mut run = lab.start(&conf);
        let had = sink.text().len();
        for _ in 0..8 {
            let text = (0..20).map(|n| format!("line {}.\n", lines + n)).collect::<String>();
            lab.append("in.log", text);
            lines += 20;
            std::thread::sleep(Duration::from_millis(3 + round));
        }
        if round % 3 == 0 {
            run.wait_for("something new", |_| sink.text().len() > had);
        }
        run.kill().silent_about(&["begins anew"]);
    }
    let mut run = lab.start(&conf);
    run.wait_for("every line", |_| {
        let text = sink.text();
        (0..lines).all(|n| text.contains(&format!("line {n}.")))
    });
    run.term().code(0).silent_about(&["begins anew"]);
}

/// conf/iot-pi.conf as it is, but for its port, its path, its patience, and TLS.
#[test]
fn the_pipeline_of_a_pi() {
    let mut lab = Lab::new("pi");
    let sink = TcpSink::new();
    let shipped = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/conf/iot-pi.conf")).unwrap();
    let syslog = lab.write("syslog", "").display().to_string();
    let mut conf = shipped.clone();
    for (from, to) in [
        ("Interval_Sec  30", "Interval_Sec  1"),
        ("Flush              5", "Flush              0.1"),
        ("/var/log/syslog", syslog.as_str()),
        ("5170", &sink.port().to_string()),
        ("tls                       On", "tls                       Off"),
    ] {
        assert!(conf.contains(from), "{from}");
        conf = conf.replace(from, to);
    }
    let state = lab.path("state");
    fs::create_dir(&state).unwrap();
    lab.env("STATE", &state.display().to_string()).env("INTERFACE", "lo").env("HOSTNAME", "pi4");
    let mut run = lab.start(&conf);
    run.wait_for("the first second", |_| sink.text().contains("Mem.total"));
    assert!(state.join("syslog.db").exists() && state.join("chunks").is_dir());
    lab.append("syslog", "Nov 22 05:00:00 pi4 kernel: hello\n");
    let said = ["\"cpu_p\":", "\"Mem.total\":", "\"load1\":", "\"lo.rx.bytes\":", "kernel: hello"];
    run.wait_for("all kinds of records", |_| {
        let text = sink.text();
        said.iter().all(|part| text.contains(part))
    });
    run.term().code(0);
    assert!(sink.text().lines().all(|line| line.ends_with(",\"board\":\"pi4\"}")), "{}", sink.text());
}
