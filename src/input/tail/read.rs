//! One turn of a file: a bounded read straight into the batch's arena, its whole lines made records.

use super::file::{File, Place, size_of};
use super::lines::{HOLE, Lines, Origin, Yield};
use super::long::{Long, cut_at};
use crate::event::{Batch, Span};
use crate::time::Time;
use rustix::fs::SeekFrom;
use std::io;
use std::ops::DerefMut;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

/// What one read asks for while a file is behind, in bytes: the batch stays in the second-level cache.
const STEP: usize = 128 * 1024;
/// An unfinished line longer than this is not read again before its end is there, in bytes.
const PEEK: u64 = 32 * 1024;

/// Reads files; it holds what all files of an input have in common.
#[derive(Debug)]
pub struct Reader {
    /// How lines become records.
    pub lines: Lines,
    /// The least that one read asks for, in bytes.
    pub chunk: usize,
    /// The most that one turn reads of a file that is far behind, in bytes.
    pub static_batch: usize,
    /// The most that one turn reads of a file that is followed, in bytes.
    pub event_batch: usize,
}

/// What a turn did.
#[derive(Debug, Default)]
pub struct Turn {
    /// Records made and lines that were too long.
    pub made: Yield,
    /// The offset that the file had become shorter than; it is read from its head again.
    pub truncated_at: Option<u64>,
    /// There is more to read.
    pub more: bool,
}

/// Text read at the end of the arena.
#[derive(Debug, Clone, Copy)]
struct Read {
    /// Where it begins in the arena.
    base: usize,
    /// Its length.
    got: usize,
    /// Nothing follows it, nor ever will.
    last: bool,
}

impl Reader {
    /// Reads on in `file`; its records go to the batch that `open` gives, when there is something to read.
    ///
    /// # Errors
    /// What the system answers; the file's offset is where it was.
    pub fn turn<B>(&mut self, file: &mut File, open: impl FnOnce() -> B, now: Time) -> io::Result<Turn>
    where
        B: DerefMut<Target = Batch>,
    {
        let mut turn = Turn::default();
        let Some(fd) = &file.fd else { return Ok(turn) };
        let size = size_of(&rustix::fs::fstat(fd)?);
        if size < file.offset {
            turn.truncated_at = Some(file.offset);
            file.rewind();
        }
        let available = size - file.offset;
        if available < file.unfinished {
            // Shorter than what was seen of the unfinished line: that was written anew.
            file.unfinished = 0;
        }
        if available > file.unfinished || (file.last_call && available > 0) {
            file.grown = Instant::now();
            let mut batch = open();
            let base = batch.arena().len();
            let done = self.advance(file, &mut batch, available, now, &mut turn.made);
            if turn.made.records == 0 || done.is_err() {
                batch.arena_mut().truncate(base);
            }
            done?;
        }
        turn.more = size > file.offset + file.unfinished;
        Ok(turn)
    }

    /// Reads at most `available` bytes at the file's offset; takes whole lines and leaves the rest for later.
    fn advance(
        &mut self,
        f: &mut File,
        batch: &mut Batch,
        available: u64,
        now: Time,
        made: &mut Yield,
    ) -> io::Result<()> {
        let Some(fd) = f.fd.as_ref().map(AsFd::as_fd) else { return Ok(()) };
        let bound = if available > STEP as u64 { self.static_batch } else { self.event_batch };
        let step = self.chunk.max(STEP).min(bound.max(1));
        if f.unfinished >= PEEK && !f.last_call {
            let base = batch.arena().len();
            let got = fill(fd, batch, at_most(available - f.unfinished, step), f.offset + f.unfinished)?;
            let fresh = batch.arena().as_slice().get(base..).unwrap_or_default();
            let found = memchr::memchr(b'\n', fresh).is_some();
            batch.arena_mut().truncate(base);
            if !found && f.unfinished + got as u64 <= self.lines.max as u64 {
                f.unfinished += got as u64;
                return Ok(());
            }
        }
        // As long as one line may be, with its line end.
        let longest = self.lines.max.saturating_add(2);
        let mut want = at_most(available, step);
        let mut read = Read { base: batch.arena().len(), got: 0, last: false };
        let end = loop {
            let n = fill(fd, batch, want - read.got, f.offset + read.got as u64)?;
            let fresh = batch.arena().as_slice().get(read.base + read.got..).unwrap_or_default();
            let last = memchr::memrchr(b'\n', fresh).map(|at| read.got + at + 1);
            read.got += n;
            if last.is_some() {
                break last;
            }
            // No line end: more of the line is needed, up to what is allowed.
            let dropping = matches!(f.place, Place::Dropping(_));
            if n == 0 || read.got >= longest || dropping || read.got as u64 >= available {
                break None;
            }
            want = at_most(available, want.saturating_mul(2).min(longest).max(read.got + 1));
        };
        read.last = f.last_call && read.got as u64 >= available;
        match end {
            Some(end) => *made = self.whole_lines(f, batch, read, end, now),
            None => *made = self.no_line_end(f, batch, read, available, now),
        }
        Ok(())
    }

    /// The text holds line ends, the last one before `end`.
    fn whole_lines(&mut self, f: &mut File, batch: &mut Batch, read: Read, end: usize, now: Time) -> Yield {
        let Read { base, got, .. } = read;
        batch.arena_mut().truncate(base + end);
        let text = batch.arena().as_slice().get(base..).unwrap_or_default();
        let skip = match f.place {
            Place::Dropping(_) => memchr::memchr(b'\n', text).map_or(end, |at| at + 1),
            Place::Hole => nuls(text),
            _ if f.offset == 0 => nuls(text),
            _ => 0,
        };
        let path = f.path.clone();
        let origin = Origin { offset: f.offset + skip as u64, path: path.as_os_str().as_bytes(), now };
        let made = self.lines.take(batch, base + skip, base + end, &origin);
        f.place = Place::Start;
        f.offset += end as u64;
        f.unfinished = (got - end) as u64;
        if read.last || f.unfinished > self.lines.max as u64 {
            // The next turn deals with it.
            f.unfinished = 0;
        }
        made
    }

    /// The text holds no line end: an unfinished line, a part of a long one, or a hole.
    fn no_line_end(&mut self, f: &mut File, batch: &mut Batch, read: Read, available: u64, now: Time) -> Yield {
        let Read { base, got, last } = read;
        let max = self.lines.max;
        let text = batch.arena().as_slice().get(base..).unwrap_or_default();
        f.unfinished = 0;
        if let Place::Dropping(_) = f.place {
            f.offset += got as u64;
            if last {
                f.place = Place::Start;
            }
            return Yield::default();
        }
        let hole = nuls(text);
        if hole > 0 && (f.offset == 0 || f.place == Place::Hole || hole >= HOLE) {
            f.place = Place::Hole;
            f.offset = if hole == got { behind_hole(f, got as u64, available) } else { f.offset + hole as u64 };
            return Yield::default();
        }
        let too_long = got >= max.saturating_add(2);
        if !too_long && !last {
            f.unfinished = got as u64;
            return Yield::default();
        }
        let taken = match self.lines.long {
            _ if !too_long => got,
            Long::Skip => 0,
            _ => cut_at(text, max),
        };
        let path = f.path.clone();
        let origin = Origin { offset: f.offset, path: path.as_os_str().as_bytes(), now };
        // What is not taken must not stay in the arena before what a parser adds there.
        batch.arena_mut().truncate(base + taken);
        let text = Span::between(base, base + taken);
        if !too_long {
            f.place = Place::Start;
            f.offset += got as u64;
            return self.lines.take_last(batch, text, &origin);
        }
        let mut made = Yield::default();
        if taken > 0 {
            made = self.lines.take_piece(batch, text, &origin);
        }
        made.long = 1;
        if self.lines.long == Long::Pieces {
            // A line counts once, however many pieces it gives.
            made.long = u64::from(f.place != Place::Piece);
            f.place = Place::Piece;
            f.offset += taken as u64;
        } else {
            f.place = if last { Place::Start } else { Place::Dropping(f.offset) };
            f.offset += got as u64;
        }
        made
    }
}

/// Reads `n` bytes at `offset` to the end of the arena; answers how many there were.
fn fill(fd: BorrowedFd<'_>, batch: &mut Batch, n: usize, offset: u64) -> io::Result<usize> {
    let got = loop {
        match rustix::io::pread(fd, &mut *batch.arena_mut().spare(n), offset) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    batch.arena_mut().advance(got);
    Ok(got)
}

/// Where the data behind a hole begins, or at least a place further on.
fn behind_hole(f: &File, read: u64, available: u64) -> u64 {
    let known = f.offset + read;
    let data = f.fd.as_ref().and_then(|fd| rustix::fs::seek(fd, SeekFrom::Data(known)).ok());
    data.unwrap_or(known).clamp(known, f.offset + available)
}

fn nuls(text: &[u8]) -> usize {
    text.iter().position(|&b| b != 0).unwrap_or(text.len())
}

fn at_most(available: u64, n: usize) -> usize {
    usize::try_from(available).map_or(n, |a| a.min(n))
}

#[cfg(test)]
mod tests {
    use super::super::file::{FileId, open};
    use super::super::testing::TempDir;
    use super::*;
    use crate::event::{Key, Tag, Value};
    use crate::parse::{Parsed, Parser};
    use proptest::prelude::*;
    use std::path::Path;
    use std::rc::Rc;

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
                unfinished: 0,
                grown: Instant::now(),
                away: None,
                queued: false,
                last_call: false,
                awaited: false,
                round: 0,
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
            };
            let reader = Reader { lines, chunk: 1, static_batch: 1 << 20, event_batch: 1 << 20 };
            let batch = Batch::new(Tag::new("t"));
            Self { dir, reader, file, batch, made: Yield::default(), truncated: false }
        }

        fn append(&mut self, text: impl AsRef<[u8]>) {
            self.dir.append("f", text);
            self.read();
        }

        fn read(&mut self) {
            for _ in 0..1_000_000 {
                let turn = self.reader.turn(&mut self.file, || &mut self.batch, Time(7)).unwrap();
                self.made.records += turn.made.records;
                self.made.long += turn.made.long;
                self.truncated |= turn.truncated_at.is_some();
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
        // The same, longer than any line, and the data comes later; in three reads.
        let mut lab = Lab::new(100, Long::Skip);
        lab.append([0; 60]);
        lab.append(vec![0; 300_000]);
        lab.append("new");
        lab.append("est\n");
        assert_eq!(lab.records(), ["newest"]);
        assert_eq!(lab.made.long, 0);
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
        assert_eq!(at_once.made, Yield { records: expected.len() as u64, long: count });
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
}
