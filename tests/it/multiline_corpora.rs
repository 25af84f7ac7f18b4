//! Collected logs and traces through the multiline parsers that one would choose for them: which lines became one record.

use crate::lab::{Lab, samples};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The parsers for files whose name begins so; the first one counts.
const PARSERS: &[(&str, &str)] = &[
    ("container/", "docker, cri"),
    ("app_multiline/beats-mysql-slowlog", "mysql_slow"),
    ("app_multiline/lnav-logfile_mysql_slow", "mysql_slow"),
    ("app_multiline/beats-icinga", "bracketed"),
    ("app_multiline/beats-logstash-log", "bracketed"),
    ("app_multiline/lnav-logfile_laravel", "bracketed"),
    ("app_multiline/lnav-logfile_xml", "bracketed"),
    ("app_multiline/dx-dart", "dart"),
    ("app_multiline/dx-go", "go"),
    ("app_multiline/dx-", "java"),
    ("app_multiline/examples-server", "java"),
    ("app_multiline/lnav-logfile_cxx", "indented"),
    ("app_multiline/", "dated"),
];
/// What the collected logs came to.
const TABLE: &str = "tests/it/multiline_corpora.tsv";
/// What the traces came to.
const TRACES: &str = "tests/traces/table.tsv";
/// Expected results hold no more records than this.
const CAP: usize = 100;

/// One file: its name in the table, and where it is.
type Entry = (String, PathBuf);
/// What one file gave: where records begin, and their texts.
type Records = Vec<(usize, String)>;

/// Every file of a folder, under `prefix`.
fn entries(dir: &Path, prefix: &str) -> Vec<Entry> {
    let named = |p: PathBuf| (format!("{prefix}/{}", p.file_name().unwrap().to_str().unwrap()), p);
    let mut all: Vec<Entry> = fs::read_dir(dir).unwrap().flatten().map(|e| named(e.path())).collect();
    all.sort();
    all
}

/// Runs files through a tail with this `Multiline.Parser`; what each gave.
fn run(parser: &str, files: &[Entry]) -> BTreeMap<String, Records> {
    let lab = Lab::new("multiline-corpora");
    lab.write("own.conf", include_str!("multiline_corpora.conf"));
    for (n, (_, path)) in files.iter().enumerate() {
        lab.write(&format!("in/{n:03}.log"), fs::read(path).unwrap());
    }
    let conf = format!(
        "[SERVICE]\n    Flush 0.05\n    Parsers_File own.conf\n[INPUT]\n    Name tail\n    Path in/*.log\n    Path_Key file\n    Offset_Key at\n    \
         Read_from_Head on\n    Exit_On_Eof on\n    Buffer_Max_Size 1M\n    Multiline.Parser {parser}\n[OUTPUT]\n    Name file\n    Match *\n    File out\n    \
         Format plain\n"
    );
    lab.run(&conf).code(0).silent_about(&["[error]"]);
    let mut found: BTreeMap<String, Records> = BTreeMap::new();
    for line in fs::read_to_string(lab.path("out")).unwrap_or_default().lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let n: usize =
            Path::new(record["file"].as_str().unwrap()).file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let text = record["log"].as_str().map_or_else(|| record.to_string(), str::to_owned);
        found.entry(files[n].0.clone()).or_default().push((record["at"].as_u64().unwrap() as usize, text));
    }
    found
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

/// The lines of a stretch of a file, each with a line end.
fn lines(bytes: &[u8]) -> String {
    let mut lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
    if lines.last().is_some_and(|l| l.is_empty()) {
        lines.pop();
    }
    lines.iter().map(|l| text(l.strip_suffix(b"\r").unwrap_or(l)) + "\n").collect()
}

/// Every record is what stands in the file from its first line to the next record; nothing is left out.
fn compare(name: &str, bytes: &[u8], records: &Records) {
    let ends = records.iter().skip(1).map(|(at, _)| *at).chain([bytes.len()]);
    assert!(records.first().is_none_or(|(at, _)| *at == 0), "{name}");
    for ((at, got), end) in records.iter().zip(ends) {
        assert_eq!(got.trim_end_matches('\n'), lines(&bytes[*at..end]).trim_end_matches('\n'), "{name} at {at}");
    }
}

/// What a container's file holds, worked out another way: texts of a stream up to a line end (JSON), or up to F (CRI).
fn container(bytes: &[u8]) -> Vec<String> {
    let mut open: BTreeMap<String, String> = BTreeMap::new();
    let mut out = Vec::new();
    for line in String::from_utf8(bytes.to_vec()).unwrap().lines() {
        let value: Option<Value> = serde_json::from_str(line).ok().filter(Value::is_object);
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let (stream, piece, is_last) = match (&value, &words[..]) {
            (Some(v), _) if v["log"].is_string() => {
                let text = v["log"].as_str().unwrap().to_owned();
                let is_last = text.ends_with('\n');
                (v["stream"].to_string(), text, is_last)
            }
            (None, [_, stream @ ("stdout" | "stderr"), mark @ ("P" | "F"), text]) => {
                ((*stream).to_owned(), (*text).to_owned(), *mark == "F")
            }
            (Some(_), _) => {
                out.push("{}".into());
                continue;
            }
            _ => {
                out.extend(std::mem::take(&mut open).into_values());
                out.push(line.to_owned());
                continue;
            }
        };
        let text = open.entry(stream.clone()).or_default();
        text.push_str(&piece);
        if is_last {
            out.extend(open.remove(&stream));
        }
    }
    out.extend(open.into_values());
    out
}

/// Where the records of a file begin, as its origin has it.
fn known(name: &str) -> Option<Vec<usize>> {
    let path = samples("data/truth/logs")?.join(format!("{name}.expected.json"));
    let all: Vec<Value> = serde_json::from_str(&fs::read_to_string(path).ok()?).unwrap();
    let mut starts: Vec<usize> = all.iter().map(|r| r["log.offset"].as_u64().unwrap() as usize).collect();
    starts.sort_unstable();
    Some(starts)
}

/// Compares a table with what came out; `BLESS=1` writes it, with the reasons that it had.
fn judge(table: &str, rows: &[(String, bool)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(table);
    let old = fs::read_to_string(&path).unwrap_or_default();
    let reason = |row: &str| {
        let mut columns = row.split('\t');
        let key = (columns.next(), columns.next());
        let old = old.lines().find(|l| (l.split('\t').next(), l.split('\t').nth(1)) == key);
        old.and_then(|l| l.rsplit('\t').next()).filter(|r| !r.is_empty()).unwrap_or("?").to_owned()
    };
    let mut new = "file\tparsers\tlines\trecords\tof several lines\texpected\tdifferent\twhy\n".to_owned();
    for (row, needs_reason) in rows {
        let why = if *needs_reason { reason(row) } else { String::new() };
        writeln!(new, "{row}\t{why}").unwrap();
    }
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &new).unwrap();
    }
    let old = fs::read_to_string(&path).unwrap_or_default();
    for (want, got) in old.lines().zip(new.lines()) {
        assert_eq!(got, want, "{table}");
    }
    assert_eq!(old.lines().count(), new.lines().count(), "{table}");
    let open: Vec<&str> = new.lines().filter(|l| l.ends_with("\t?")).collect();
    assert!(open.is_empty(), "{table} says '?' of\n{}", open.join("\n"));
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.split(|b| *b == b'\n').count() - usize::from(bytes.ends_with(b"\n"))
}

#[test]
fn collected_logs_become_the_records_that_they_are() {
    let Some(dir) = samples("data/logs") else { return };
    let mut by_parser: BTreeMap<&str, Vec<Entry>> = BTreeMap::new();
    for folder in ["container", "app_multiline"] {
        for entry in entries(&dir.join(folder), folder) {
            let parser = PARSERS.iter().find(|(prefix, _)| entry.0.starts_with(prefix)).unwrap().1;
            by_parser.entry(parser).or_default().push(entry);
        }
    }
    let mut rows = Vec::new();
    for (parser, files) in by_parser {
        let found = run(parser, &files);
        for (name, path) in &files {
            let bytes = fs::read(path).unwrap();
            let records = found.get(name).cloned().unwrap_or_default();
            let total = count_lines(&bytes);
            if name.starts_with("container/") {
                let texts: Vec<String> = records.iter().map(|(_, t)| t.trim_end_matches('\n').to_owned()).collect();
                let texts = texts.iter().map(|t| if t.starts_with("{\"") && t.contains("\"file\"") { "{}" } else { t });
                let want = container(&bytes);
                assert_eq!(
                    texts.collect::<Vec<_>>(),
                    want.iter().map(|t| t.trim_end_matches('\n')).collect::<Vec<_>>(),
                    "{name}"
                );
                let several = total - records.len();
                rows.push((
                    format!("{name}\t{parser}\t{total}\t{}\t{several}\t{}\t0", records.len(), want.len()),
                    false,
                ));
                continue;
            }
            compare(name, &bytes, &records);
            let several = records.iter().filter(|(_, t)| t.trim_end_matches('\n').contains('\n')).count();
            let starts: Vec<usize> = records.iter().map(|(at, _)| *at).collect();
            let (mut expected, mut different) = ("-".to_owned(), 0);
            if let Some(known) = known(name) {
                let last = if known.len() >= CAP { known[known.len() - 1] } else { usize::MAX };
                different = known.iter().filter(|k| !starts.contains(k)).count()
                    + starts.iter().filter(|s| **s <= last && !known.contains(s)).count();
                expected = known.len().to_string();
            }
            let row = format!("{name}\t{parser}\t{total}\t{}\t{several}\t{expected}\t{different}", records.len());
            rows.push((row, different > 0));
        }
    }
    judge(TABLE, &rows);
}

#[test]
fn traces_of_runtimes_are_one_record_each() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let mut rows = Vec::new();
    for parser in ["go", "java", "python", "ruby"] {
        let files = entries(&root.join(parser), parser);
        // With the others beside it, as for containers of unknown content; what belongs to no trace stays alone.
        for parsers in [parser, "java, python, go, ruby"] {
            let found = run(parsers, &files);
            for (name, path) in &files {
                let bytes = fs::read(path).unwrap();
                let records = &found[name];
                compare(name, &bytes, records);
                let several = records.iter().filter(|(_, t)| t.trim_end_matches('\n').contains('\n')).count();
                let different = records.len() - 1;
                let row =
                    format!("{name}\t{parsers}\t{}\t{}\t{several}\t1\t{different}", count_lines(&bytes), records.len());
                rows.push((row, different > 0));
            }
        }
    }
    judge(TRACES, &rows);
}

/// The traces again, as a container runtime keeps them: long lines in pieces, joined by the input, traces by the filter.
#[test]
fn traces_inside_of_containers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let table = fs::read_to_string(root.join("table.tsv")).unwrap();
    let is_whole =
        |name: &str| table.lines().any(|l| l.starts_with(&format!("{name}\t")) && l.split('\t').nth(3) == Some("1"));
    let all: Vec<Entry> = ["go", "java", "python", "ruby"].iter().flat_map(|p| entries(&root.join(p), p)).collect();
    let all: Vec<&Entry> = all.iter().filter(|(name, _)| is_whole(name)).collect();
    assert!(all.len() > 40, "{}", all.len());
    for form in ["cri", "docker"] {
        let lab = Lab::new("multiline-containers");
        for (n, (_, path)) in all.iter().enumerate() {
            let trace = fs::read_to_string(path).unwrap();
            let mut file = String::new();
            for line in ["before"].into_iter().chain(trace.lines()).chain(["the end"]) {
                let at = line.char_indices().map(|(at, _)| at).nth(12).unwrap_or(line.len());
                let pieces = if at < line.len() { vec![&line[..at], &line[at..]] } else { vec![line] };
                for (i, piece) in pieces.iter().enumerate() {
                    let is_last = i + 1 == pieces.len();
                    if form == "cri" {
                        writeln!(file, "2024-05-01T10:00:00.1Z stderr {} {piece}", if is_last { 'F' } else { 'P' })
                            .unwrap();
                    } else {
                        let log = format!("{piece}{}", if is_last { "\n" } else { "" });
                        let log = serde_json::to_string(&log).unwrap();
                        writeln!(file, r#"{{"log":{log},"stream":"stderr","time":"2024-05-01T10:00:00.1Z"}}"#).unwrap();
                    }
                }
            }
            lab.write(&format!("in/{n:03}.log"), file);
        }
        let conf = "[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name tail\n    Tag t.*\n    Path in/*.log\n    Path_Key file\n    Read_from_Head on\n    \
            Exit_On_Eof on\n    Multiline.Parser docker, cri\n[FILTER]\n    Name multiline\n    Match t.*\n    Multiline.Key_Content log\n    \
            Multiline.Parser java, python, go, ruby\n[OUTPUT]\n    Name file\n    Match *\n    File out\n    Format plain\n";
        lab.run(conf).code(0);
        let mut found: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for line in lab.read("out").lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let file = record["file"].as_str().unwrap();
            let n = Path::new(file).file_stem().unwrap().to_str().unwrap().parse().unwrap();
            found.entry(n).or_default().push(record["log"].as_str().unwrap().trim_end_matches('\n').to_owned());
        }
        for (n, (name, path)) in all.iter().enumerate() {
            let trace = fs::read_to_string(path).unwrap();
            assert_eq!(found[&n], ["before", trace.trim_end_matches('\n'), "the end"], "{form} {name}");
        }
    }
}
