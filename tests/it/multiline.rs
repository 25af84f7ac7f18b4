//! Lines that belong together, through the real program: rotation in the middle of a record, kills, ends.

use crate::lab::{Lab, samples};
use std::collections::BTreeMap;
use std::fs;

fn conf(keys: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.05\n    Grace 1\n[INPUT]\n    Name tail\n    Tag t\n    Read_from_Head on\n    Refresh_Interval 1\n{keys}\
         [OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n    Json_Date_Key false\n"
    )
}

/// What was printed under `log`, without a last line that a kill cut.
fn printed(out: &str) -> Vec<String> {
    let whole = out.rfind('\n').map_or("", |end| &out[..end]);
    let log = |l: &str| serde_json::from_str::<serde_json::Value>(l).unwrap()["log"].as_str().unwrap().to_owned();
    whole.lines().map(log).collect()
}

/// Record `n` in three pieces, as a container runtime writes it, with a line of the other stream between them.
fn pieces(n: usize) -> [String; 4] {
    let line = |stream: &str, mark: &str, text: String| format!("2024-05-01T10:00:00.1Z {stream} {mark} {text}\n");
    [
        line("stdout", "P", format!("<{n}:")),
        line("stderr", "F", format!("e{n}")),
        line("stdout", "P", "x".repeat(n % 50)),
        line("stdout", "F", format!(":{n}>")),
    ]
}

fn whole(n: usize) -> [String; 2] {
    [format!("<{n}:{}:{n}>", "x".repeat(n % 50)), format!("e{n}")]
}

#[test]
fn records_survive_rotation_in_their_middle() {
    let lab = Lab::new("multiline-rotation");
    lab.write("a.log", "");
    let mut run = lab.start(&conf("    Path a.log\n    DB t.db\n    Multiline.Parser docker, cri\n"));
    run.wait_for("the database", |_| lab.path("t.db").exists());
    for n in 0..200 {
        for (i, piece) in pieces(n).into_iter().enumerate() {
            if n % 10 == 5 && i == n / 10 % 4 {
                // The runtime is told of a rotation in the middle of a record.
                fs::rename(lab.path("a.log"), lab.path(&format!("a.log.{n}"))).unwrap();
            }
            lab.append("a.log", piece);
        }
        if n % 10 == 4 {
            run.wait_stdout(&format!("e{n}\""));
        }
    }
    run.wait_stdout(":199>");
    let mut got = printed(&run.term().code(0).stdout);
    let mut want: Vec<_> = (0..200).flat_map(whole).collect();
    got.sort();
    want.sort();
    assert_eq!(got, want);
}

#[test]
fn kills_neither_lose_nor_cut_a_record() {
    let lab = Lab::new("multiline-kill");
    let conf = conf("    Path a.log\n    DB t.db\n    Multiline.Parser cri\n");
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut n = 0;
    for round in 0..5 {
        let mut text: String = (n..n + 300).flat_map(pieces).collect();
        n += 300;
        // It ends in the middle of a record.
        text.extend(pieces(n).into_iter().take(round % 4));
        lab.append("a.log", text);
        let mut run = lab.start(&conf);
        run.wait_stdout(&format!("e{}\"", n - 300 + 60 * round));
        for line in printed(&run.kill().stdout) {
            *seen.entry(line).or_default() += 1;
        }
        lab.append("a.log", pieces(n).into_iter().skip(round % 4).collect::<String>());
        n += 1;
    }
    let mut run = lab.start(&conf);
    run.wait_stdout(&format!(":{}>", n - 1));
    for line in printed(&run.term().code(0).stdout) {
        *seen.entry(line).or_default() += 1;
    }
    let want: Vec<_> = (0..n).flat_map(whole).collect();
    let missing: Vec<_> = want.iter().filter(|w| !seen.contains_key(*w)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let cut: Vec<_> = seen.keys().filter(|k| !want.contains(k)).collect();
    assert!(cut.is_empty(), "{cut:?}");
}

/// How a file is rotated.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rotation {
    Renamed,
    /// Renamed to a name that the pattern takes, too.
    RenamedWithin,
    /// Copied and cut.
    Copied,
}

/// A kill between a rotation and the next read: a record that began before goes on in the successor, and in its successor.
#[test]
fn kills_around_a_rotation_do_not_cut_a_record() {
    for how in [Rotation::Renamed, Rotation::RenamedWithin, Rotation::Copied] {
        for is_killed_first in [true, false] {
            let lab = Lab::new("multiline-kill-rotation");
            let path = if how == Rotation::RenamedWithin { "a.log*" } else { "a.log" };
            let conf = conf(&format!("    Path {path}\n    DB t.db\n    Multiline.Parser cri\n"))
                .replace("    Read_from_Head on\n", "");
            let rotate = |n: usize| {
                let (live, other) = (lab.path("a.log"), lab.path(&format!("a.log.{n}")));
                if how == Rotation::Copied {
                    fs::copy(&live, other).unwrap();
                    fs::OpenOptions::new().write(true).open(live).unwrap().set_len(0).unwrap();
                } else {
                    fs::rename(live, other).unwrap();
                }
            };
            let line =
                |stream: &str, mark: &str, text: &str| format!("2024-05-01T10:00:00.1Z {stream} {mark} {text}\n");
            let mut seen: Vec<String> = Vec::new();
            // An empty file, so that it is read from its head.
            lab.write("a.log", "");
            let mut run = lab.start(&conf);
            run.wait_for("the database", |_| lab.path("t.db").exists());
            run.wait_for("the file in it", |_| has_rows(&lab.path("t.db")));
            lab.append("a.log", line("stdout", "F", "whole") + &line("stdout", "P", "<one,"));
            lab.append("a.log", line("stderr", "F", "e1"));
            run.wait_stdout("\"e1\"");
            for n in 1..=2 {
                // The rotation comes when nobody reads.
                if is_killed_first {
                    seen.extend(printed(&run.kill().stdout));
                    rotate(n);
                    lab.append("a.log", line("stdout", "P", &format!("more{n},")));
                } else {
                    run.signal(rustix::process::Signal::STOP);
                    rotate(n);
                    lab.append("a.log", line("stdout", "P", &format!("more{n},")));
                    seen.extend(printed(&run.kill().stdout));
                }
                lab.append("a.log", line("stderr", "F", &format!("after{n}")));
                run = lab.start(&conf);
                run.wait_stdout(&format!("\"after{n}\""));
            }
            seen.extend(printed(&run.kill().stdout));
            lab.append("a.log", line("stdout", "F", "end>"));
            run = lab.start(&conf);
            run.wait_stdout("end>");
            seen.extend(printed(&run.term().code(0).stdout));
            seen.sort();
            seen.dedup();
            assert_eq!(seen, ["<one,more1,more2,end>", "after1", "after2", "e1", "whole"], "{how:?} {is_killed_first}");
        }
    }
}

/// Whether a database of `tail` knows a file.
fn has_rows(path: &std::path::Path) -> bool {
    let known = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY);
    known
        .and_then(|c| c.query_row("SELECT count(*) FROM in_tail_files", [], |r| r.get::<_, i64>(0)))
        .is_ok_and(|n| n > 0)
}

/// The same without kills, while the copies are still being made and read.
#[test]
fn records_survive_being_copied_and_cut_in_their_middle() {
    let lab = Lab::new("multiline-copies");
    lab.write("a.log", "");
    let mut run = lab.start(&conf("    Path a.log\n    DB t.db\n    Multiline.Parser docker, cri\n"));
    run.wait_for("the database", |_| lab.path("t.db").exists());
    for n in 0..60 {
        for (i, piece) in pieces(n).into_iter().enumerate() {
            if n % 10 == 5 && i == n / 10 % 4 {
                let live = lab.path("a.log");
                fs::copy(&live, lab.path(&format!("a.log.{n}"))).unwrap();
                fs::OpenOptions::new().write(true).open(live).unwrap().set_len(0).unwrap();
            }
            lab.append("a.log", piece);
        }
        if n % 10 == 4 || n % 10 == 8 {
            run.wait_stdout(&format!("e{n}\""));
        }
    }
    run.wait_stdout(":59>");
    let mut got = printed(&run.term().code(0).stdout);
    let mut want: Vec<_> = (0..60).flat_map(whole).collect();
    got.sort();
    want.sort();
    assert_eq!(got, want);
}

/// Real traces are one record each; what belongs to no trace is left alone.
#[test]
fn real_traces() {
    let Some(dir) = samples("data/logs/app_multiline") else { return };
    for (file, parser) in
        [("dx-go_http.log", "go"), ("dx-csharp_nested_exc.log", "java"), ("dx-node_js_exc.log", "java")]
    {
        let trace = fs::read_to_string(dir.join(file)).unwrap();
        let lab = Lab::new("multiline-traces");
        lab.write("a.log", format!("before\n{}\nafter\n", trace.trim_end()));
        let keys = format!("    Path a.log\n    Exit_On_Eof on\n    Multiline.Parser java, {parser}, python\n");
        let out = lab.run(&conf(&keys));
        let got = printed(&out.code(0).stdout);
        assert_eq!(got, ["before\n".to_owned(), trace.trim_end().to_owned() + "\n", "after\n".into()], "{file}");
    }
}
