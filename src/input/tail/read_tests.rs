//! What one file's bytes become, turn by turn.

use super::super::file::{FileId, open};
use super::super::testing::TempDir;
use super::*;
use crate::event::{Key, Tag, Value};
use crate::parse::{Parsed, Parser};
use proptest::prelude::*;
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

#[cfg(all(test, feature = "encodings"))]
#[path = "transcode_tests.rs"]
mod encoded;

struct Lab {
    dir: TempDir,
    reader: Reader,
    file: File,
    batch: Batch,
    made: Yield,
    truncated: bool,
}

impl Lab {
    fn new(max: usize, long: Long) -> Self {
        let dir = TempDir::new();
        dir.write("f", "");
        let path: Rc<Path> = dir.path("f").into();
        let fd = open(&path).unwrap();
        let file = File {
            id: FileId::of(&rustix::fs::fstat(&fd).unwrap()),
            path: Path::new("/p").into(),
            name: path,
            tag: Tag::new("t"),
            fd: Some(fd),
            watch: None,
            offset: 0,
            place: Place::Start,
            last: Default::default(),
            print: None,
            birth: 0,
            copy_of: None,
            undecided: false,
            copies: None,
            size: 0,
            seen: 0,
            unfinished: 0,
            replaced: 0,
            grown: Instant::now(),
            away: None,
            queued: false,
            last_call: false,
            awaited: false,
            round: 0,
            open: Default::default(),
            due: None,
            before: None,
            former_of: None,
            owed: 0,
            unreadable: false,
            ledger: None,
        };
        let lines = Lines {
            key: Key::of("log"),
            path_key: None,
            offset_key: None,
            parser: None,
            max,
            long,
            skip_empty: false,
            join: None,
        };
        let reader =
            Reader { lines, chunk: 1, static_batch: 1 << 20, event_batch: 1 << 20, charset: None, buffer: Vec::new() };
        let batch = Batch::new(Tag::new("t"));
        Self { dir, reader, file, batch, made: Yield::default(), truncated: false }
    }

    fn append(&mut self, text: impl AsRef<[u8]>) {
        self.dir.append("f", text);
        self.read();
    }

    fn read(&mut self) {
        for _ in 0..1_000_000 {
            let batch = RefCell::new(std::mem::replace(&mut self.batch, Batch::new(Tag::new("t"))));
            let turn = self.reader.turn(&mut self.file, || batch.borrow_mut(), Time(7)).unwrap();
            self.batch = batch.into_inner();
            self.made.records += turn.made.records;
            self.made.long += turn.made.long;
            self.made.replaced += turn.made.replaced;
            self.truncated |= turn.cut.is_some();
            if !turn.more {
                return;
            }
        }
        panic!("no end: {:?}", self.file);
    }

    /// Each record as `key=value` words.
    fn records(&self) -> Vec<String> {
        let show = |v: Value<'_>| match v {
            Value::Str(t) => String::from_utf8_lossy(&t.bytes()).into_owned(),
            Value::Int(n) => n.to_string(),
            other => format!("{other:?}"),
        };
        let entry = |(k, v): (Key, Value<'_>)| match self.batch.key_name(k) {
            b"log" => show(v),
            name => format!("{}={}", String::from_utf8_lossy(name), show(v)),
        };
        self.batch.records().map(|r| r.body().map(entry).collect::<Vec<_>>().join(" ")).collect()
    }

    fn raw(&self) -> Vec<Vec<u8>> {
        let text = |v: Value<'_>| v.as_text().map(|t| t.bytes().into_owned()).unwrap_or_default();
        self.batch.records().map(|r| r.body().next().map(|(_, v)| text(v)).unwrap_or_default()).collect()
    }
}

#[test]
fn whole_lines_only() {
    let mut lab = Lab::new(100, Long::Pieces);
    lab.append("one\ntw");
    assert_eq!(lab.records(), ["one"]);
    assert_eq!((lab.file.offset, lab.file.unfinished), (4, 2));
    assert_eq!(lab.batch.arena().as_slice(), b"one\n", "the unfinished line is not kept");
    lab.append("o");
    assert_eq!(lab.records(), ["one"]);
    lab.append("\n\nfour\r\n\r\n\r");
    assert_eq!(lab.records(), ["one", "two", "", "four", ""]);
    lab.file.last_call = true;
    lab.read();
    assert_eq!(lab.records(), ["one", "two", "", "four", "", ""]);
    assert_eq!(lab.file.offset, 18);
}

#[test]
fn empty_lines_can_be_left_out() {
    let mut lab = Lab::new(100, Long::Pieces);
    lab.reader.lines.skip_empty = true;
    lab.append("\na\n\r\n\nb\n");
    assert_eq!(lab.records(), ["a", "b"]);
    assert_eq!(lab.file.offset, 8);
    lab.append("\n\n");
    assert_eq!(lab.batch.arena().as_slice().len(), 8, "nothing stays of a read without records");
}

#[test]
fn bytes_stay_what_they_are() {
    let mut lab = Lab::new(100, Long::Pieces);
    lab.append(b"a\0b\n\0\0c\n\xff\xfe bad\n\xe3\x81\nd\0\n");
    assert_eq!(lab.raw(), [&b"a\0b"[..], b"\0\0c", b"\xff\xfe bad", b"\xe3\x81", b"d\0"]);
}

#[test]
fn holes_are_passed_over() {
    // A writer that goes on at its old offset after the file was cut to nothing.
    let mut lab = Lab::new(100, Long::Pieces);
    lab.append([&[0; 50][..], b"new\nx\n"].concat());
    assert_eq!(lab.records(), ["new", "x"]);
    // Text in UTF-16 is no hole.
    let mut lab = Lab::new(100, Long::Pieces);
    lab.append(b"\0U\0T\n");
    assert_eq!(lab.raw(), [b"\0U\0T"]);
    // The same, longer than any line, and the data comes later; in three reads.
    let mut lab = Lab::new(100, Long::Skip);
    lab.append([0; 60]);
    lab.append(vec![0; 300_000]);
    lab.append("new");
    lab.append("est\n");
    assert_eq!(lab.records(), ["newest"]);
    assert_eq!(lab.made.long, 0);
    // Room that is not written to yet is not passed over.
    let mut lab = Lab::new(100, Long::Pieces);
    lab.append([b"a\n", &[0; 2000][..]].concat());
    assert_eq!(lab.file.offset, 2);
    // Blocks that a crash left empty inside a file.
    let mut lab = Lab::new(5000, Long::Skip);
    lab.append([b"a\n", &[0; HOLE][..], b"b\n", &[0; 10], b"c\n"].concat());
    assert_eq!(lab.raw(), [&b"a"[..], b"b", b"\0\0\0\0\0\0\0\0\0\0c"]);
    // A hole on disk without blocks.
    let mut lab = Lab::new(100, Long::Skip);
    let file = std::fs::OpenOptions::new().write(true).open(&lab.file.name).unwrap();
    file.set_len(1 << 40).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"far\n", (1 << 40) + 5).unwrap();
    lab.read();
    assert_eq!(lab.records(), ["far"]);
}

#[test]
fn path_and_offset_stand_before_the_line() {
    let mut lab = Lab::new(100, Long::Pieces);
    lab.reader.lines.path_key = Some(Key::of("path"));
    lab.reader.lines.offset_key = Some(Key::of("at"));
    lab.append("ab\n\ncd\nrest");
    assert_eq!(lab.records(), ["path=/p at=0 ab", "path=/p at=3 ", "path=/p at=4 cd"]);
    lab.append("\n");
    assert_eq!(lab.records().last().unwrap(), "path=/p at=7 rest");
}

/// Takes `k=v`; copies into the arena as real ones may.
struct Pair;

impl Parser for Pair {
    fn parse(&mut self, batch: &mut Batch, text: Span, _: Time) -> Parsed {
        let line = batch.arena().get(text).to_vec();
        let Some(at) = memchr::memchr(b'=', &line) else { return Parsed::Miss };
        let key = batch.key(&line[..at]);
        batch.push_text(key, &line[at + 1..]);
        Parsed::Hit((at > 1).then_some(Time(9)))
    }
}

#[test]
fn parsed_lines_have_their_own_keys_first() {
    let mut lab = Lab::new(100, Long::Pieces);
    lab.reader.lines.path_key = Some(Key::of("path"));
    lab.reader.lines.offset_key = Some(Key::of("at"));
    lab.reader.lines.parser = Some(Box::new(Pair));
    lab.append("a=1\r\nraw\r\nbc=2\nunfinis");
    lab.append("hed=3\n");
    assert_eq!(
        lab.records(),
        ["a=1 path=/p at=0", "path=/p at=5 raw", "bc=2 path=/p at=10", "unfinished=3 path=/p at=15"]
    );
    let times: Vec<_> = lab.batch.records().map(|r| r.time().0).collect();
    assert_eq!(times, [7, 7, 9, 9]);
}

fn long_lines(long: Long, expected: &[&str], count: u64) {
    let text = "ab\n0123456789abc\nééééé!\n12345678\n123456789\r\n12345678\r\nend\n";
    let mut at_once = Lab::new(8, long);
    at_once.append(text);
    assert_eq!(at_once.records(), expected, "{long:?} at once");
    assert_eq!(at_once.made, Yield { records: expected.len() as u64, long: count, replaced: 0 });
    let mut bytewise = Lab::new(8, long);
    for byte in text.as_bytes() {
        bytewise.append([*byte]);
    }
    assert_eq!(bytewise.records(), expected, "{long:?} byte by byte");
    assert_eq!((bytewise.made, bytewise.file.offset), (at_once.made, text.len() as u64));
}

#[test]
fn long_lines_in_three_ways() {
    long_lines(
        Long::Pieces,
        &["ab", "01234567", "89abc", "éééé", "é!", "12345678", "12345678", "9", "12345678", "end"],
        3,
    );
    long_lines(Long::Truncate, &["ab", "01234567", "éééé", "12345678", "12345678", "12345678", "end"], 3);
    long_lines(Long::Skip, &["ab", "12345678", "12345678", "end"], 3);
}

#[test]
fn a_long_line_larger_than_any_read() {
    for (long, records) in [(Long::Pieces, 11), (Long::Truncate, 3), (Long::Skip, 2)] {
        let mut lab = Lab::new(100_000, long);
        lab.append(format!("a\n{}\nb\n", "x".repeat(900_000)));
        assert_eq!((lab.batch.len(), lab.made.long), (records, 1), "{long:?}");
    }
    // Not too long, but longer than a step; written in parts that are looked at each time.
    let mut lab = Lab::new(1_000_000, Long::Skip);
    for _ in 0..90 {
        lab.append("x".repeat(10_000));
    }
    lab.append("\nb\n");
    assert_eq!(lab.raw().iter().map(Vec::len).collect::<Vec<_>>(), [900_000, 1]);
}

#[test]
fn a_file_cut_and_written_beyond_its_offset_is_noticed() {
    let mut lab = Lab::new(100, Long::Pieces);
    lab.append("one\ntwo\n");
    lab.dir.write("f", "another line\nand one\n");
    lab.read();
    assert!(lab.truncated);
    assert_eq!(lab.records(), ["one", "two", "another line", "and one"]);
    // Even where lines end at the same place.
    let mut lab = Lab::new(100, Long::Pieces);
    lab.append("a\nthe line\n");
    lab.dir.write("f", "b\nnew line\nmore\n");
    lab.read();
    assert_eq!(lab.records(), ["a", "the line", "b", "new line", "more"]);
    // Or grown to the same length.
    let mut lab = Lab::new(100, Long::Pieces);
    lab.append("100\n101\n");
    lab.dir.write("f", "200\n201\n");
    lab.read();
    assert!(lab.truncated);
    assert_eq!(lab.records(), ["100", "101", "200", "201"]);
    // Or of lines of one length that end alike.
    let lines = |from: u32, to: u32| (from..to).map(|n| format!("{n:03} {:x<90}\n", "")).collect::<String>();
    let mut lab = Lab::new(100, Long::Pieces);
    lab.append(lines(100, 120));
    lab.dir.write("f", lines(200, 230));
    lab.read();
    assert!(lab.truncated);
    assert_eq!(lab.records().len(), 50);
    // A last line that had no line end does not count as one that changed.
    let mut lab = Lab::new(100, Long::Pieces);
    lab.file.last_call = true;
    lab.append("one\nend");
    lab.append("and on\n");
    assert!(!lab.truncated);
    assert_eq!(lab.records(), ["one", "end", "and on"]);
}

#[test]
fn a_file_written_anew_while_it_is_read_is_noticed() {
    let mut lab = Lab::new(100, Long::Pieces);
    lab.append("a line\n");
    let read = |lab: &Lab, from: usize| std::fs::read(&lab.file.name).unwrap()[from..].to_vec();
    let before = read(&lab, 0);
    lab.dir.append("f", "more\n".repeat(500));
    let text = read(&lab, 7);
    assert!(lab.file.still_holds(&before, &text) && lab.file.still_holds(&before, &text[..5]));
    lab.dir.write("f", "b line\n".to_owned() + &"more\n".repeat(500));
    assert!(!lab.file.still_holds(&before, &text));
    lab.dir.write("f", "a line\nmor");
    assert!(!lab.file.still_holds(&before, &text), "cut");
    lab.file.rewind();
    assert!(!lab.file.still_holds(&[], &text), "at the head the text itself is compared");
    assert!(lab.file.still_holds(&[], b"a line\n"));
}

#[test]
fn an_end_that_is_written_over_is_no_new_file() {
    let mut lab = Lab::new(100, Long::Pieces);
    lab.append("[\n{\"an entry\":1,\"of some\":\"length\"},\n{\"and another\":2,\"that follows\":\"it\"}\n]\n");
    let before = lab.records();
    let text = std::fs::read_to_string(&lab.file.name).unwrap();
    lab.dir.write("f", format!("{},\n{{\"next\":3}}\n]\n", &text[..text.len() - 3]));
    lab.read();
    assert!(!lab.truncated);
    assert_eq!(lab.records()[..before.len()], before);
    assert!(lab.records().len() > before.len() && lab.records().last().unwrap() == "]", "{:?}", lab.records());
}

#[test]
fn a_restart_inside_a_dropped_line_begins_at_the_line() {
    let mut lab = Lab::new(8, Long::Skip);
    lab.append("ab\n0123456789abcdef");
    assert_eq!((lab.file.offset, lab.file.resume_at()), (19, 3));
    lab.append("g\nh\n");
    assert_eq!((lab.file.resume_at(), lab.records()), (23, vec!["ab".into(), "h".into()]));
}

#[test]
fn a_shorter_file_is_read_from_its_head() {
    let mut lab = Lab::new(100, Long::Pieces);
    lab.append("one\ntwo\nthr");
    lab.dir.write("f", "new\n");
    lab.read();
    assert!(lab.truncated);
    assert_eq!(lab.records(), ["one", "two", "new"]);
    lab.append("unfinished");
    lab.dir.write("f", "new\nfin\n");
    lab.read();
    assert_eq!(lab.records(), ["one", "two", "new", "fin"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn any_writes_give_the_lines_of_the_text(
        writes in prop::collection::vec(prop::collection::vec(prop::sample::select(b"ab\n\r\xc3\xa9".as_slice()), 0..40), 1..12),
        step in 1usize..50,
    ) {
        let mut lab = Lab::new(1000, Long::Skip);
        lab.reader.event_batch = step;
        for write in &writes {
            lab.append(write);
        }
        let text = writes.concat();
        let mut want: Vec<Vec<u8>> = text.split(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
        want.pop();
        for line in &mut want {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
        prop_assert_eq!(lab.raw(), want);
    }
}
