//! A stream of bytes in, records out: lines, or JSON values that follow each other. For stdin, exec and sockets.

use crate::event::{Batch, Key, Mark, Span, Value};
use crate::fmt::json_frame::JsonFrame;
use crate::fmt::json_read::JsonReader;
use crate::parse::{Parsed, Parser};
use crate::time::Time;

/// How a stream is cut into records.
pub enum Framing {
    /// At each separator; the text goes through the parser, else under the key.
    Lines {
        /// What stands between records; not empty.
        separator: Vec<u8>,
        /// The key of a text that no parser took.
        key: Key,
        /// The parser.
        parser: Option<Box<dyn Parser>>,
    },
    /// Objects, and arrays `[time, object]` or `[[time, metadata], object]`, with white space or nothing between them.
    Json {
        /// The key of a line that is not JSON.
        key: Key,
    },
}

/// What one call made of the stream.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Framed {
    /// Records made.
    pub records: usize,
    /// Of them: text kept as it was because it did not parse.
    pub raw: usize,
    /// Records cut into pieces at the size limit.
    pub cut: usize,
    /// What is left over is the beginning of a line that is not JSON.
    garbage: bool,
}

/// Keeps the unfinished end of a stream between reads, at most `max` bytes of it.
pub struct Framer {
    framing: Framing,
    carry: Vec<u8>,
    max: usize,
    json: JsonReader,
    /// What is known of the bytes in `carry`, so that each is looked at once however small the pieces are.
    searched: usize,
    frame: JsonFrame,
    garbage: bool,
}

impl Framer {
    /// A record longer than `max` bytes is cut into pieces.
    pub fn new(framing: Framing, max: usize) -> Self {
        Self {
            framing,
            carry: Vec::new(),
            max: max.max(16),
            json: JsonReader::default(),
            searched: 0,
            frame: JsonFrame::default(),
            garbage: false,
        }
    }

    /// Takes `data` and appends the records that are complete.
    pub fn feed(&mut self, data: &[u8], batch: &mut Batch, now: Time) -> Framed {
        self.run(data, batch, now, false)
    }

    /// The stream has ended: what is left is a record too.
    pub fn finish(&mut self, batch: &mut Batch, now: Time) -> Framed {
        self.run(b"", batch, now, true)
    }

    /// Makes records of all that stands at `all` in the arena, as of a stream of its own that ends there: for datagrams.
    pub fn whole(&mut self, all: Span, batch: &mut Batch, now: Time) -> Framed {
        let mut pass = Pass { all, batch, now, end: true, max: self.max, framed: Framed::default() };
        match &mut self.framing {
            Framing::Lines { separator, key, parser } => pass.lines(separator, *key, parser),
            Framing::Json { key } => pass.json(*key, &mut self.json),
        };
        pass.framed
    }

    fn run(&mut self, data: &[u8], batch: &mut Batch, now: Time, end: bool) -> Framed {
        self.carry.extend_from_slice(data);
        if !end && self.carry.len() <= self.max && !self.may_hold_one() {
            return Framed::default();
        }
        let start = batch.arena().len();
        let all = batch.arena_mut().push(&self.carry);
        let mut pass = Pass { all, batch, now, end, max: self.max, framed: Framed::default() };
        let used = match &mut self.framing {
            Framing::Lines { separator, key, parser } => pass.lines(separator, *key, parser),
            Framing::Json { key } => pass.json(*key, &mut self.json),
        };
        let framed = pass.framed;
        let rest = all.sub(used.min(all.len as usize), all.len as usize);
        let rest = batch.arena().get(rest);
        // A frame begins where its value does.
        let blank = match self.framing {
            Framing::Json { .. } => rest.iter().take_while(|b| b.is_ascii_whitespace()).count(),
            Framing::Lines { .. } => 0,
        };
        self.carry.clear();
        self.carry.extend_from_slice(rest.get(blank..).unwrap_or_default());
        (self.searched, self.frame, self.garbage) = (0, JsonFrame::default(), framed.garbage);
        // Nothing refers to the rest; when nothing at all was made the arena is as before.
        if framed.records == 0 {
            batch.arena_mut().truncate(start);
        }
        framed
    }

    /// Whether a record may be complete now.
    fn may_hold_one(&mut self) -> bool {
        match &self.framing {
            Framing::Lines { separator, .. } => {
                let from = self.searched.saturating_sub(separator.len() - 1);
                self.searched = self.carry.len();
                memchr::memmem::find(self.carry.get(from..).unwrap_or_default(), separator).is_some()
            }
            // Text that is no JSON is taken line by line.
            Framing::Json { .. } if self.garbage => {
                let from = std::mem::replace(&mut self.searched, self.carry.len());
                self.carry.get(from..).is_some_and(|new| new.contains(&b'\n'))
            }
            Framing::Json { .. } => self.frame.may_be_whole(&self.carry),
        }
    }
}

/// One look at all bytes of a stream that are not yet records.
struct Pass<'a> {
    all: Span,
    batch: &'a mut Batch,
    now: Time,
    /// Nothing follows.
    end: bool,
    max: usize,
    framed: Framed,
}

impl Pass<'_> {
    /// Makes records of what stands between separators; answers how many bytes are done with.
    fn lines(&mut self, separator: &[u8], key: Key, parser: &mut Option<Box<dyn Parser>>) -> usize {
        let (total, max) = (self.all.len as usize, self.max);
        let mut used = 0;
        while used < total {
            let rest = self.all.sub(used, total);
            let text = self.batch.arena().get(rest);
            let (len, next) = match memchr::memmem::find(text, separator) {
                Some(at) if at <= max => (at, at + separator.len()),
                None if text.len() <= max && !self.end => return used,
                None if text.len() <= max => (text.len(), text.len()),
                _ => {
                    self.framed.cut += 1;
                    (max, max)
                }
            };
            let cr = usize::from(separator == b"\n" && len > 0 && text.get(len - 1) == Some(&b'\r'));
            let line = rest.sub(0, len - cr);
            used += next;
            // Between two separators there is nothing to keep.
            if line.len > 0 {
                self.line(line, key, parser);
            }
        }
        used
    }

    fn line(&mut self, line: Span, key: Key, parser: &mut Option<Box<dyn Parser>>) {
        let mark = self.batch.begin();
        match parser.as_mut().map(|p| p.parse(self.batch, line, self.now)) {
            Some(Parsed::Hit(time)) => {
                self.batch.finish(mark, time.unwrap_or(self.now));
                self.framed.records += 1;
            }
            Some(Parsed::Miss) => self.raw(line, key),
            None => {
                self.raw(line, key);
                self.framed.raw -= 1;
            }
        }
    }

    /// Keeps text as it is.
    fn raw(&mut self, text: Span, key: Key) {
        let mark = self.batch.begin();
        self.batch.push_span(key, text);
        self.batch.finish(mark, self.now);
        self.framed.records += 1;
        self.framed.raw += 1;
    }

    /// Makes records of the values; answers how many bytes are done with.
    fn json(&mut self, key: Key, reader: &mut JsonReader) -> usize {
        let (total, max) = (self.all.len as usize, self.max);
        let mut used = 0;
        while used < total {
            let rest = self.all.sub(used, total);
            let mark = self.batch.begin();
            match reader.next_value(self.batch, rest) {
                Ok(Some(n)) => {
                    if event(mark, self.batch, self.now) {
                        self.framed.records += 1;
                    } else {
                        self.batch.abandon(mark);
                        self.raw(rest.sub(self.blank(rest), n), key);
                    }
                    used += n;
                }
                Ok(None) if !self.end && rest.len as usize <= max => return used,
                Ok(None) if self.blank(rest) == rest.len as usize => return total,
                // Not JSON, or unfinished at the end, or too long: a line of it is kept as text.
                _ => {
                    let skip = self.blank(rest);
                    let text = self.batch.arena().get(rest);
                    let line = memchr::memchr(b'\n', &text[skip..]).map_or(text.len(), |n| skip + n);
                    if line == text.len() && !self.end && line <= max {
                        self.framed.garbage = true;
                        return used;
                    }
                    let take = line.min(skip + max);
                    self.framed.cut += usize::from(take < line);
                    self.raw(rest.sub(skip, take), key);
                    used += take;
                }
            }
        }
        used
    }

    /// Bytes of white space at the start.
    fn blank(&self, text: Span) -> usize {
        self.batch.arena().get(text).iter().take_while(|b| b.is_ascii_whitespace()).count()
    }
}

/// Makes the value pushed since `mark` a record: an object, `[time, object]`, or `[[time, metadata], object]`.
fn event(mark: Mark, batch: &mut Batch, now: Time) -> bool {
    let mut items = match batch.since(mark).next() {
        Some((_, Value::Map(_))) => return batch.finish_map(mark, 0, now),
        Some((_, Value::Array(items))) => items,
        _ => return false,
    };
    let first = items.next().map(|(_, v)| v);
    let is_map = matches!(items.next(), Some((_, Value::Map(_)))) && items.next().is_none();
    let (time, meta) = match first {
        Some(Value::Array(mut parts)) => {
            let time = parts.next().and_then(|(_, v)| seconds(&v));
            let meta = matches!(parts.next(), Some((_, Value::Map(_)))) && parts.next().is_none();
            (time.filter(|_| meta), meta)
        }
        Some(value) => (seconds(&value), false),
        None => (None, false),
    };
    let Some(time) = time.filter(|_| is_map) else { return false };
    // The array's head, then what holds the time, then the map.
    if !batch.finish_map(mark, 1 + batch.width(mark, 1), time) {
        return false;
    }
    if meta {
        // Two heads and the time come before it.
        batch.meta_map(batch.len() - 1, mark, 3);
    }
    true
}

/// A time as a number of seconds.
fn seconds(value: &Value<'_>) -> Option<Time> {
    match value {
        Value::Int(s) => Time::from_secs_nanos(*s, 0),
        Value::Float(s) => Time::from_secs_f64(*s),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Tag;
    use crate::fmt::json_write::{JsonOpts, write_map};

    fn check(mut framer: Framer, chunks: &[&str], end: bool, expected: &[&str]) {
        let mut batch = Batch::new(Tag::new("t"));
        for c in chunks {
            framer.feed(c.as_bytes(), &mut batch, Time(7));
        }
        if end {
            framer.finish(&mut batch, Time(7));
        }
        let got: Vec<String> = batch
            .records()
            .map(|r| {
                let mut out = Vec::new();
                write_map(r.body(), JsonOpts::default(), &mut out);
                format!("{} {}", r.time().0, String::from_utf8(out).unwrap())
            })
            .collect();
        assert_eq!(got, expected, "{chunks:?}");
    }

    fn text(separator: &str) -> Framer {
        let separator = separator.as_bytes().to_vec();
        Framer::new(Framing::Lines { separator, key: Key::of("log"), parser: None }, 16)
    }

    fn values() -> Framer {
        Framer::new(Framing::Json { key: Key::of("log") }, 64)
    }

    #[test]
    fn lines_survive_any_cut() {
        check(text("\n"), &["a\nb", "c\r", "\n\nd"], false, &[r#"7 {"log":"a"}"#, r#"7 {"log":"bc"}"#]);
        check(text("\n"), &["a\nb"], true, &[r#"7 {"log":"a"}"#, r#"7 {"log":"b"}"#]);
        check(text("||"), &["a|", "|b||"], false, &[r#"7 {"log":"a"}"#, r#"7 {"log":"b"}"#]);
    }

    #[test]
    fn long_lines_are_cut_not_lost() {
        check(
            text("\n"),
            &["0123456789abcdefXY\nz\n"],
            false,
            &[r#"7 {"log":"0123456789abcdef"}"#, r#"7 {"log":"XY"}"#, r#"7 {"log":"z"}"#],
        );
    }

    #[test]
    fn json_values_survive_any_cut() {
        let all = r#"{"a":1}{"b":[1,2]} [5,{"c":2}] [1.5,{"d":"x"}]"#;
        let expected = [r#"7 {"a":1}"#, r#"7 {"b":[1,2]}"#, r#"5000000000 {"c":2}"#, r#"1500000000 {"d":"x"}"#];
        for cut in 0..all.len() {
            check(values(), &[&all[..cut], &all[cut..]], false, &expected);
        }
    }

    #[test]
    fn metadata() {
        let mut batch = Batch::new(Tag::new("t"));
        let text = r#"[[1.5, {"m":[1]}], {"a":{"b":2}}] [[2, {}], {}] [[1.5], {}] [[1, {}, 2], {}] [[1, {}]]"#;
        values().feed(text.as_bytes(), &mut batch, Time(7));
        let maps = |i: usize| {
            let (mut body, mut meta) = (Vec::new(), Vec::new());
            write_map(batch.body(i), JsonOpts::default(), &mut body);
            write_map(batch.meta(i), JsonOpts::default(), &mut meta);
            (batch.record(i).time().0, String::from_utf8(meta).unwrap(), String::from_utf8(body).unwrap())
        };
        assert_eq!(maps(0), (1_500_000_000, r#"{"m":[1]}"#.into(), r#"{"a":{"b":2}}"#.into()));
        assert_eq!(maps(1), (2_000_000_000, "{}".into(), "{}".into()));
        assert_eq!(maps(2), (7, "{}".into(), r#"{"log":"[[1.5], {}]"}"#.into()));
        assert_eq!(batch.len(), 5);
    }

    #[test]
    fn single_bytes_are_enough() {
        let all = "{\"a\": [1]}\nhello you\n[2,{\"b\":1}]";
        let pieces: Vec<&str> = all.split_inclusive(|_| true).collect();
        check(values(), &pieces, true, &[r#"7 {"a":[1]}"#, r#"7 {"log":"hello you"}"#, r#"2000000000 {"b":1}"#]);
        let pieces: Vec<&str> = "one\r\ntwo\n".split_inclusive(|_| true).collect();
        check(text("\n"), &pieces, true, &[r#"7 {"log":"one"}"#, r#"7 {"log":"two"}"#]);
    }

    #[test]
    fn what_is_not_json_is_kept_as_text() {
        check(values(), &["hello world\n{\"a\":1}\n"], false, &[r#"7 {"log":"hello world"}"#, r#"7 {"a":1}"#]);
        check(values(), &["[1,2]{\"a\":1}"], false, &[r#"7 {"log":"[1,2]"}"#, r#"7 {"a":1}"#]);
        check(values(), &["{\"a\":"], true, &[r#"7 {"log":"{\"a\":"}"#]);
        check(values(), &[" \n "], true, &[]);
    }
}
