//! Every line of the collected syslog files and vendors' templates through the real input: parsed, or kept whole with the reason.

use crate::lab::{Lab, free_port, samples};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

/// File, messages, how many are parsed, how many have a time, and why the others are not parsed.
const TABLE: &str = "tests/it/syslog_corpora.tsv";

/// What stands for the templates' variables; the priority with its version comes from the file itself.
const FILL: &[(&str, &str)] = &[
    ("bsd", "Dec 13 11:35:28"),
    ("timestamp_bsd", "Dec 13 11:35:28"),
    ("host", "sc4s-host"),
    ("orig_host", "sc4s-host"),
    ("seq", "12"),
    ("year", "2016"),
    ("millisec", "123"),
    ("microsec", "123456"),
    ("tzname", "UTC"),
    ("iso", "2016-12-13T11:35:28.123456+00:00"),
    ("iso_header", "2016-12-13T11:35:28.123"),
    ("timestamp", "2016-12-13T11:35:28.123Z"),
    ("date", "2016-12-13"),
    ("time", "11:35:28"),
    ("epoch", "1481628928"),
    ("pid", "77"),
    ("key", "k"),
    ("program", "Rib"),
    ("node_id", "12"),
    ("log_type", "WF"),
];

/// The messages of a file.
fn messages(path: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).unwrap();
    if path.extension().is_none_or(|e| e != "jsonl") {
        return bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    }
    let text = String::from_utf8(bytes).unwrap();
    let values: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    if let Some(Value::Object(_)) = values.first() {
        return values.iter().map(|v| v["text"].as_str().unwrap().as_bytes().to_vec()).collect();
    }
    // Strings that are a priority, perhaps with a version, are what the templates begin with.
    let is_mark = |t: &&str| t.starts_with('<') && t.len() < 8 && (t.ends_with('>') || t.ends_with(">1"));
    let texts: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
    let mark = texts.iter().copied().find(|t| is_mark(t)).unwrap_or("<165>");
    let fill = |template: &str| {
        let mut text = template.to_owned();
        for (name, value) in FILL.iter().chain(&[("mark", mark)]) {
            text = text.replace(&format!("{{{{ {name} }}}}"), value).replace(&format!("{{{{{name}}}}}"), value);
        }
        text.into_bytes()
    };
    texts.iter().filter(|t| !is_mark(t)).map(|t| fill(t)).collect()
}

/// What a receiver takes off a message's end.
fn trimmed(mut message: &[u8]) -> &[u8] {
    while let Some((b'\n' | b'\r' | 0, rest)) = message.split_last() {
        message = rest;
    }
    message
}

/// A field's bytes: what is not UTF-8 comes as U+E000 plus its value.
fn bytes_of(record: &Value, key: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for c in record[key].as_str().unwrap_or_default().chars() {
        match u32::from(c) {
            code @ 0xe000..=0xe0ff => bytes.push((code - 0xe000) as u8),
            _ => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

#[test]
fn every_line_is_parsed_or_kept_whole_with_the_reason() {
    let Some(dir) = samples("data/logs") else { return };
    let lab = Lab::new("syslog-corpora");
    let port = free_port();
    let mut run = lab.start(&format!(
        "[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name syslog\n    Mode tcp\n    Listen 127.0.0.1\n    Port {port}\n    Format octet_counting\n    \
         Buffer_Max_Size 1M\n    Raw_Message_Key raw\n[OUTPUT]\n    Name file\n    Match *\n    File json\n    Format plain\n"
    ));
    run.wait_stderr("listening on");
    let mut sent: Vec<(String, Vec<u8>)> = Vec::new();
    for folder in ["syslog", "vendor_syslog", "syslog_wire"] {
        let mut paths: Vec<_> = fs::read_dir(dir.join(folder)).unwrap().flatten().map(|e| e.path()).collect();
        paths.sort();
        for path in paths {
            let name = format!("{folder}/{}", path.file_name().unwrap().to_str().unwrap());
            let all = messages(&path).into_iter().filter(|m| !trimmed(m).is_empty());
            sent.extend(all.map(|m| (name.clone(), m)));
        }
    }
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    for (_, message) in &sent {
        stream.write_all(format!("{} ", message.len()).as_bytes()).unwrap();
        stream.write_all(message).unwrap();
    }
    drop(stream);
    let lines = |name: &str| fs::read_to_string(lab.path(name)).unwrap_or_default();
    run.wait_for("every message", |_| lines("json").lines().count() >= sent.len());
    run.term().code(0);
    let mut table: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
    for ((name, message), line) in sent.iter().zip(lines("json").lines()) {
        let record: Value = serde_json::from_str(line).unwrap();
        let whole = trimmed(message);
        assert!(bytes_of(&record, "raw") == whole, "{name}: {line}");
        let row = table.entry(name).or_default();
        row.0 += 1;
        if record.get("parse_error").is_none() {
            row.1 += 1;
            row.2 += usize::from(record.get("time").is_some());
            assert!(record.get("log").is_none(), "{name}: {line}");
        } else {
            assert!(bytes_of(&record, "log") == whole, "{name}: {line}");
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE);
    let known = fs::read_to_string(&path).unwrap_or_default();
    let reason = |name: &str| {
        let row = known.lines().find(|l| l.split('\t').next() == Some(name));
        row.and_then(|r| r.split('\t').nth(4)).unwrap_or("?").to_owned()
    };
    let mut got = "file\tmessages\tparsed\twith a time\twhat the others are\n".to_owned();
    for (name, (all, parsed, timed)) in &table {
        let why = if all == parsed { String::new() } else { reason(name) };
        writeln!(got, "{name}\t{all}\t{parsed}\t{timed}\t{why}").unwrap();
    }
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &got).unwrap();
    }
    let known = fs::read_to_string(&path).unwrap_or_default();
    for (want, got) in known.lines().zip(got.lines()) {
        assert_eq!(got, want, "{TABLE}");
    }
    assert_eq!(known.lines().count(), got.lines().count(), "{TABLE}");
    let unexplained: Vec<&str> = got.lines().filter(|l| l.ends_with("\t?")).collect();
    assert!(unexplained.is_empty(), "{TABLE} says '?' of\n{}", unexplained.join("\n"));
}
