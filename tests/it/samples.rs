//! Real logs through tail: every line accounted for, whatever bytes it holds.

use crate::lab::{Lab, samples};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every file below a folder.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for path in fs::read_dir(dir).unwrap().flatten().map(|e| e.path()) {
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// The lines of a file as tail is to deliver them: at LF, one CR before it taken away, what follows the last LF too.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
    if lines.last().is_some_and(|l| l.is_empty()) {
        lines.pop();
    }
    let last = lines.len().wrapping_sub(1);
    let ended = bytes.ends_with(b"\n");
    lines
        .iter()
        .enumerate()
        .map(|(i, l)| if i == last && !ended { *l } else { l.strip_suffix(b"\r").unwrap_or(l) })
        .collect()
}

/// A line without the hole it begins with: a run of NULs that a truncation or a crash left, which no program wrote.
fn without_hole(line: &[u8], is_first: bool) -> &[u8] {
    let nuls = line.iter().take_while(|b| **b == 0).count();
    if nuls >= 1024 || is_first && nuls > 3 { &line[nuls..] } else { line }
}

/// Bytes as text: each byte that is no part of a UTF-8 character becomes U+E000 plus the byte.
fn text(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|b| char::from_u32(0xE000 + u32::from(*b)).unwrap()));
    }
    out
}

/// Compares what came out with the files, line by line.
fn compare(out: &str, files: &[PathBuf]) {
    let mut got: BTreeMap<String, Vec<(u64, String)>> = BTreeMap::new();
    for line in out.lines() {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let entry = (record["at"].as_u64().unwrap(), record["log"].as_str().unwrap().to_owned());
        got.entry(record["file"].as_str().unwrap().to_owned()).or_default().push(entry);
    }
    let mut total = 0;
    for path in files {
        let bytes = fs::read(path).unwrap();
        let want = lines(&bytes);
        let have = got.remove(&path.display().to_string()).unwrap_or_default();
        assert_eq!(have.len(), want.len(), "lines of {}", path.display());
        for (n, (want, (at, have))) in want.iter().zip(&have).enumerate() {
            let want = without_hole(want, n == 0);
            assert_eq!(have, &text(want), "{} line {}", path.display(), n + 1);
            let at = *at as usize;
            assert_eq!(bytes.get(at..at + want.len()), Some(want), "{} line {}: offset {at}", path.display(), n + 1);
        }
        total += want.len();
    }
    assert!(got.is_empty(), "records of other files: {:?}", got.keys());
    println!("{} lines of {} files", total, files.len());
}

const CONF: &str = "[SERVICE]\n    Flush 0.2\n    json.escape_unicode ESCAPE\n[INPUT]\n    Name tail\n    Tag t\n    Path DIR/*/*\n    Path_Key file\n    Offset_Key at\n    \
    Read_from_Head on\n    Exit_On_Eof on\n    Buffer_Max_Size 16M\n    Refresh_Interval 1\n";

#[test]
fn every_line_of_every_sample_arrives() {
    let Some(dir) = samples("data/logs") else { return };
    let lab = Lab::new("samples");
    let files = files(&dir);
    let conf = CONF.replace("DIR", &dir.display().to_string());
    let stdout = "[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n    Json_Date_Key false\n";
    let file = "[OUTPUT]\n    Name file\n    Match *\n    File out.jsonl\n    Format plain\n";
    let done = lab.run(&(conf.replace("ESCAPE", "on") + stdout + file)).code(0).silent_about(&["[error]"]);
    compare(&done.stdout, &files);
    compare(&lab.read("out.jsonl"), &files);
}

/// The same with characters as they are: the output must be UTF-8 whatever came in.
#[test]
fn the_output_is_utf_8_without_escapes_too() {
    let Some(dir) = samples("data/logs/encoding") else { return };
    let lab = Lab::new("samples-raw");
    let files = files(&dir);
    let conf = CONF.replace("DIR/*/*", &format!("{}/*", dir.display())).replace("ESCAPE", "off");
    lab.run(&(conf + "[OUTPUT]\n    Name file\n    Match *\n    File out.jsonl\n    Format plain\n")).code(0);
    compare(&String::from_utf8(lab.bytes("out.jsonl")).unwrap(), &files);
}

/// Bytes that real logs seldom hold, in every place of a line.
#[test]
fn every_pair_of_bytes_survives() {
    let lab = Lab::new("bytes");
    let mut bytes = Vec::new();
    for a in 0..=255u8 {
        for b in [0, 9, 10, 13, 32, 34, 92, 127, 128, 191, 192, 224, 237, 240, 244, 255, a] {
            bytes.extend_from_slice(&[b'<', a, b, b'>', b'\n']);
        }
    }
    bytes.extend_from_slice(&[vec![b'x'; 3_000_000], b"\r\n\xff".to_vec()].concat());
    let path = lab.write("in/d/a.log", &bytes);
    let conf = CONF.replace("DIR", &lab.path("in").display().to_string()).replace("ESCAPE", "on");
    lab.run(&(conf + "[OUTPUT]\n    Name file\n    Match *\n    File out.jsonl\n    Format plain\n")).code(0);
    compare(&lab.read("out.jsonl"), &[path]);
}
