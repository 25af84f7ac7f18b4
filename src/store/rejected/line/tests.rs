//! Lines written and read back; lines that somebody damaged.

use super::*;
use crate::event::{Cell, Kind};
use proptest::prelude::*;

const NOTE: Note<'_> = Note {
    rejected_at: Time(1_700_000_000_000_000_001),
    output: "es.0",
    input: "tail.0",
    reason: "400 mapper_parsing_exception: failed to parse field [n]: \"x\"",
    attempts: 2,
};

fn file(offset: u64) -> Position {
    Position { source: Source { dev: 2049, ino: 77, print: u64::MAX, base: 0 }, offset }
}

/// A batch with one record of one text.
fn batch(tag: &str, log: &[u8], time: i64, position: Position) -> Batch {
    let mut b = Batch::new(Tag::new(tag));
    let mark = b.begin();
    b.push_text(Key::of("log"), log);
    b.finish(mark, Time(time));
    b.set_position(position);
    b
}

fn line(b: &Batch) -> Vec<u8> {
    let mut out = Vec::new();
    write_line(&b.record(0), &NOTE, &mut out);
    out
}

fn read(text: &[u8]) -> Result<Entry, String> {
    read_line(text.trim_ascii_end(), &mut JsonReader::deep(json_exact::MAX_DEPTH))
}

#[test]
fn a_line() {
    let mut b = batch("kube.x", b"caf\xc3\xa9 \xff", 1_700_000_000_123_456_789, file(4096));
    let mark = b.begin();
    b.push(Cell::bool(Key::of("mk"), true));
    b.replace_meta(0, mark);
    let text = line(&b);
    let expected = concat!(
        r#"{"rejected_at":"2023-11-14T22:13:20.000000001Z","output":"es.0","input":"tail.0","tag":"kube.x","#,
        r#""reason":"400 mapper_parsing_exception: failed to parse field [n]: \"x\"","attempts":2,"#,
        r#""source":{"dev":2049,"inode":77,"print":"ffffffffffffffff","offset":4096},"#,
        r#""time":"2023-11-14T22:13:20.123456789Z","metadata":{"mk":true},"record":{"log":"café \ue0ff"}}"#,
        "\n"
    );
    assert_eq!(String::from_utf8_lossy(&text), expected);
    let entry = read(&text).unwrap();
    assert_eq!((entry.output.as_str(), entry.input.as_str()), ("es.0", "tail.0"));
    assert_eq!(line(&entry.batch), text, "the same record, with all that belongs to it");
}

#[test]
fn records_without_a_file_keep_their_number() {
    let own = Position { source: Source { print: 5, ..Source::default() }, offset: 3 };
    let text = String::from_utf8(line(&batch("t", b"x", 0, own))).unwrap();
    assert!(text.contains(r#""source":{"print":"0000000000000005","offset":3}"#), "{text}");
    let entry = read(text.as_bytes()).unwrap();
    let at = entry.batch.position(0);
    assert_eq!((at.source.is_file(), at.source.print, at.offset), (false, 5, 3));
}

#[test]
fn deep_records_are_read() {
    let mut b = Batch::new(Tag::new("t"));
    let mark = b.begin();
    let opened: Vec<_> = (0..200).map(|_| b.open(Key::of("m"), Kind::Map)).collect();
    opened.into_iter().rev().for_each(|m| b.close(m, 1));
    b.finish(mark, Time(0));
    let text = line(&b);
    let entry = read(&text).unwrap();
    assert_eq!(line(&entry.batch), text);
}

#[test]
fn damaged_lines_are_refused_with_a_reason() {
    let text = String::from_utf8(line(&batch("t", b"good", 0, file(0)))).unwrap();
    let table: &[(String, &str)] = &[
        (text[..40].into(), "not a JSON object: the text ends too early at byte 40"),
        ("{}".into(), "\"time\" is no text"),
        (text.replace("1970-", "x"), "\"time\" is no time"),
        (text.replace("\"t\"", "5"), "\"tag\" is no text"),
        (text.replace("\"es.0\"", "null"), "\"output\" is no text"),
        (text.replace("es.0", &"x".repeat(5000)), "\"output\" is no name"),
        (text.replace("\"tail.0\"", "null"), "\"input\" is no text"),
        (text.replace(",\"record\":", ",\"x\":"), "there is no \"record\""),
        (text.replace("{\"log\":\"good\"}", "[]"), "\"record\" is no object"),
        (text.replace("\"good\"", "{\"$bytes\":1}"), "$bytes without a text"),
        (text.replace("ffffffffffffffff", "fg"), "\"source\" is no position"),
        (text.replace("2049", "-1"), "\"source\" is no position"),
        ("[1]".into(), "not a JSON object: expected an object at byte 0"),
    ];
    for (bad, why) in table {
        assert_eq!(read(bad.as_bytes()).unwrap_err(), *why, "{bad}");
    }
}

#[test]
fn a_line_without_its_source_has_a_position_of_its_own() {
    let text = String::from_utf8(line(&batch("t", b"x", 0, file(0)))).unwrap();
    let from = text.find("\"source\"").unwrap();
    let to = text.find("\"time\"").unwrap();
    let entry = read(format!("{}{}", &text[..from], &text[to..]).as_bytes()).unwrap();
    assert!(!entry.batch.position(0).source.is_file());
}

proptest! {
    #[test]
    fn every_line_reads_back(
        tag: String,
        log in proptest::collection::vec(any::<u8>(), 0..40),
        time: i64,
        ino: u64,
        dev: u64,
        print: u64,
        offset: u64,
        output: String,
        reason: String,
    ) {
        let b = batch(&tag, &log, time, Position { source: Source { dev, ino, print, base: 0 }, offset });
        let note = Note { output: &output, reason: &reason, ..NOTE };
        let mut text = Vec::new();
        write_line(&b.record(0), &note, &mut text);
        prop_assert_eq!(text.iter().filter(|b| **b == b'\n').count(), 1);
        let entry = read(&text).unwrap();
        prop_assert_eq!(&entry.output, &output);
        let mut again = Vec::new();
        write_line(&entry.batch.record(0), &note, &mut again);
        if ino != 0 {
            prop_assert_eq!(text, again);
        }
    }

    #[test]
    fn cut_and_changed_lines_are_safe(at in 0usize..400, with: u8, cut: bool) {
        let mut text = line(&batch("t", b"good", 0, file(0)));
        let at = at.min(text.len() - 1);
        if cut { text.truncate(at) } else { text[at] = with }
        let _ = read(&text);
    }
}
