//! Tail as an operator meets it: restarts with a database, rotation, files that come and go.

use crate::lab::{Lab, Peer, Proc, has};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs;

fn conf(keys: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.05\n    Grace 1\n[INPUT]\n    Name tail\n    Tag t\n    Read_from_Head on\n    Refresh_Interval 1\n{keys}\
         [OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n    Json_Date_Key false\n"
    )
}

/// What was printed, without the frame of JSON.
fn printed(out: &str) -> Vec<String> {
    let log = |l: &str| serde_json::from_str::<serde_json::Value>(l).unwrap()["log"].as_str().unwrap().to_owned();
    out.lines().map(log).collect()
}

fn numbers(from: usize, to: usize) -> String {
    (from..to).map(|n| format!("{n}\n")).collect()
}

fn strings(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| n.to_string()).collect()
}

#[test]
fn a_restart_goes_on_where_it_stood() {
    if !has!("sqlite") {
        return;
    }
    let lab = Lab::new("restart");
    let conf = conf("    Path a.log\n    DB t.db\n");
    lab.write("a.log", numbers(0, 100) + "unfin");
    let mut run = lab.start(&conf);
    run.wait_stdout("{\"log\":\"99\"}\n");
    let done = run.term().code(0);
    assert_eq!(printed(&done.stdout), strings(0, 100), "{}", done.report());
    // Written while nobody looked; the unfinished line is completed.
    lab.append("a.log", "ished\n".to_owned() + &numbers(100, 150));
    let mut run = lab.start(&conf);
    run.wait_stdout("{\"log\":\"149\"}\n");
    let done = run.term().code(0);
    let want: Vec<_> = ["unfinished".to_owned()].into_iter().chain(strings(100, 150)).collect();
    assert_eq!(printed(&done.stdout), want, "{}", done.report());
    // Rotated away and a new file begun while nobody looked.
    lab.append("a.log", numbers(150, 160));
    fs::rename(lab.path("a.log"), lab.path("a.log.1")).unwrap();
    lab.write("a.log", numbers(160, 170));
    let mut run = lab.start(&conf.replace("Path a.log", "Path a.log,a.log.1"));
    run.wait_for("both files", |p| p.stdout().contains("\"169\"") && p.stdout().contains("\"159\""));
    let mut got = printed(&run.term().code(0).stdout);
    got.sort();
    assert_eq!(got, strings(150, 170));
}

/// Killed at any moment, nothing is missing in the end; what was not yet written down comes again.
#[test]
fn a_kill_loses_nothing() {
    if !has!("sqlite") {
        return;
    }
    let lab = Lab::new("kill");
    let conf = conf("    Path a.log\n    DB t.db\n");
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut from = 0;
    for round in 0..4 {
        lab.append("a.log", numbers(from, from + 500));
        from += 500;
        let mut run = lab.start(&conf);
        let part = format!("\"{}\"", from - 500 + 120 * round);
        run.wait_stdout(&part);
        for line in printed(&whole_lines(&run.kill().stdout)) {
            *seen.entry(line).or_default() += 1;
        }
    }
    let mut run = lab.start(&conf);
    lab.append("a.log", "last\n");
    run.wait_stdout("\"last\"");
    for line in printed(&run.term().code(0).stdout) {
        *seen.entry(line).or_default() += 1;
    }
    let missing: Vec<_> = strings(0, from).into_iter().filter(|n| !seen.contains_key(n)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// A killed program may leave the beginning of a line.
fn whole_lines(out: &str) -> String {
    out.rfind('\n').map_or(String::new(), |end| out[..=end].to_owned())
}

fn rotate(lab: &Lab, scheme: &str, n: usize) {
    match scheme {
        "rename" => fs::rename(lab.path("a.log"), lab.path(&format!("a.log.{n}"))).unwrap(),
        // One old file is kept: the one before is gone for good.
        "over" => fs::rename(lab.path("a.log"), lab.path("a.log.1")).unwrap(),
        _ => {
            fs::copy(lab.path("a.log"), lab.path(&format!("a.log.{n}"))).unwrap();
            fs::File::options().write(true).open(lab.path("a.log")).unwrap().set_len(0).unwrap();
        }
    }
}

/// A file that is rotated again and again while it is read; only its live name is followed.
#[test]
fn rotation_by_rename_loses_nothing() {
    for scheme in ["rename", "over"] {
        let lab = Lab::new(scheme);
        lab.write("a.log", "");
        let mut run = lab.start(&conf("    Path a.log\n"));
        lab.append("a.log", "begin\n");
        run.wait_stdout("begin");
        for n in 0..5 {
            lab.append("a.log", numbers(n * 2000, (n + 1) * 2000));
            rotate(&lab, scheme, n);
            lab.write("a.log", "");
            if scheme == "over" {
                // What is replaced before it was opened is gone for everybody.
                run.wait_stdout(&format!("\"{}\"", (n + 1) * 2000 - 1));
            }
        }
        lab.append("a.log", "end\n");
        run.wait_for("the end, and all before it", |p| p.stdout().lines().count() >= 10_002);
        let done = run.term().code(0);
        let mut got = printed(&done.stdout);
        got.retain(|l| l != "begin" && l != "end");
        got.sort_by_key(|l| l.parse::<usize>().unwrap());
        assert_eq!(got, strings(0, 10_000), "{scheme}");
    }
}

#[test]
fn rotation_by_copy_and_truncate_is_noticed() {
    let lab = Lab::new("copytruncate");
    lab.write("a.log", "");
    let mut run = lab.start(&conf("    Path a.log\n"));
    let rounds = |run: &mut Proc| {
        for n in 0..5 {
            lab.append("a.log", numbers(n * 100, (n + 1) * 100));
            // What is cut away unread is gone for everybody.
            run.wait_stdout(&format!("\"{}\"", (n + 1) * 100 - 1));
            rotate(&lab, "copytruncate", n);
        }
    };
    rounds(&mut run);
    lab.append("a.log", "end\n");
    run.wait_stdout("\"end\"");
    let done = run.term().code(0);
    let mut want = strings(0, 500);
    want.push("end".into());
    assert_eq!(printed(&done.stdout), want, "{}", done.report());
}

#[test]
fn files_come_and_go() {
    let lab = Lab::new("come-and-go");
    lab.write("d/first.log", "one\n");
    let mut run = lab.start(&conf("    Path d/*.log\n    Path_Key path\n"));
    run.wait_stdout("\"one\"");
    lab.write("d/second.log", "two\n");
    run.wait_stdout("\"two\"");
    fs::remove_file(lab.path("d/first.log")).unwrap();
    lab.write("d/first.log", "three\n");
    run.wait_stdout("\"three\"");
    fs::remove_dir_all(lab.path("d")).unwrap();
    lab.write("d/first.log", "four\n");
    run.wait_stdout("\"four\"");
    let done = run.term().code(0);
    assert_eq!(printed(&done.stdout), ["one", "two", "three", "four"], "{}", done.report());
}

#[test]
fn without_inotify_it_works_too() {
    let lab = Lab::new("no-inotify");
    lab.write("a.log", "one\n");
    let mut run = lab.start(&conf("    Path *.log\n    Inotify_Watcher off\n"));
    run.wait_stdout("\"one\"");
    lab.append("a.log", "two\n");
    run.wait_stdout("\"two\"");
    lab.write("b.log", "three\n");
    run.wait_stdout("\"three\"");
    run.term().code(0);
}

/// What cannot be delivered before the end is read again after it: the database did not move on.
#[test]
fn the_database_does_not_run_ahead_of_delivery() {
    if !has!("sqlite") {
        return;
    }
    let lab = Lab::new("ahead");
    let peer = Peer::never_reads();
    let conf = conf("    Path a.log\n    DB t.db\n");
    lab.write("a.log", (0..100_000).map(|n| format!("{n} {}\n", "x".repeat(60))).collect::<String>());
    let (head, _) = conf.split_once("[OUTPUT]").unwrap();
    let stuck = format!(
        "{head}[OUTPUT]\n    Name tcp\n    Match *\n    Host 127.0.0.1\n    Port {}\n    Format json_lines\n",
        peer.port()
    );
    let run = lab.start(&stuck);
    lab.wait("a connection", || peer.connections() > 0);
    run.term().code(0).says(&["were not delivered within the grace period"]);
    let mut run = lab.start(&conf);
    run.wait_stdout("\"99999 x");
    let done = run.term().code(0);
    // A peer's kernel takes some without its program ever reading it; beyond that everything comes again.
    let got = printed(&done.stdout).len();
    assert!(got > 40_000, "{got} of 100000\n{}", done.stderr);
}

/// What a program says last is often why it ended: a line that was written just before the shutdown is still read.
#[test]
fn the_last_line_before_a_shutdown_is_read() {
    for _ in 0..5 {
        let lab = Lab::new("tail-last");
        lab.write("in.log", "first\n");
        let mut run = lab.start(
            "[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name tail\n    Tag t\n    Path in.log\n    Read_from_Head on\n    Inotify_Watcher off\n\
             [OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n",
        );
        run.wait_stdout("first");
        lab.append("in.log", "why it ended\nno line en");
        run.term().code(0).shows(&["why it ended"]);
    }
}

/// What a rotated file is called now is learnt also when all of the rotation is seen at once, so that it is not read again when
/// the next one comes.
#[test]
fn a_rotation_that_is_seen_at_once_is_read_once() {
    let lab = Lab::new("tail-at-once");
    lab.write("a.log", "one\n");
    let mut run = lab.start(
        "[SERVICE]\n    Flush 0.02\n    Log_Level debug\n[INPUT]\n    Name tail\n    Path a.log\n    Read_from_Head on\n    Rotate_Wait 1\n    \
         Refresh_Interval 60\n[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n",
    );
    run.wait_stdout("\"one\"");
    for (n, line) in [(1, "two"), (2, "three"), (3, "four")] {
        run.signal(Signal::STOP);
        fs::rename(lab.path("a.log"), lab.path(&format!("a.log.{n}"))).unwrap();
        lab.write("a.log", format!("{line}\n"));
        run.signal(Signal::CONT);
        run.wait_stdout(&format!("\"{line}\""));
        run.wait_stderr(&format!("closed 'a.log.{n}'"));
    }
    let done = run.term().code(0).silent_about(&["before it was seen"]);
    for line in ["one", "two", "three", "four"] {
        assert_eq!(done.stdout.matches(&format!("\"{line}\"")).count(), 1, "{line}");
    }
}
