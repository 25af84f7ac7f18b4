//! The checker: which lines arrived, how often, in which order, and what a server that keys by `_id` would hold.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::time::Instant;

/// Length of a log line with its line end, in bytes.
pub const LINE: usize = 88;

/// A line that is written again and again: only ids tell one from another.
pub const SAME: &[u8] = b"the same line every time";

const LETTERS: &[u8; 26] = b"abcdefghijklmnopqrstuvwxyz";

/// A line of a log: the file it is written to (its generation), its number among all lines of the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Each file that the writer begins has the next generation.
    pub generation: u32,
    /// From 0, over all files.
    pub number: u32,
}

impl Line {
    /// Appends `GGGGG NNNNNNNN abc…` and a line end; every byte follows from the two numbers.
    pub fn write(self, out: &mut Vec<u8>) {
        let start = out.len();
        let Self { generation, number } = self;
        out.extend_from_slice(format!("{generation:05} {number:08} ").as_bytes());
        let filler = LETTERS.iter().cycle().skip(number as usize % LETTERS.len());
        out.extend(filler.take(start + LINE - 1 - out.len()));
        out.push(b'\n');
    }

    /// Reads a line without its end; `None` when a single byte is not what was written.
    pub fn read(text: &[u8]) -> Option<Self> {
        let digits = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
        if text.len() != LINE - 1 || text[5] != b' ' || text[14] != b' ' {
            return None;
        }
        let line = Self { generation: digits(&text[..5])?, number: digits(&text[6..14])? };
        let first = line.number as usize % LETTERS.len();
        let fits = |(at, byte): (usize, &u8)| *byte == LETTERS[(first + at) % LETTERS.len()];
        text[15..].iter().enumerate().all(fits).then_some(line)
    }
}

/// What has arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Different lines.
    pub lines: usize,
    /// Lines that came again.
    pub again: usize,
    /// Lines that came again although their delivery was already written down as done.
    pub settled_again: usize,
    /// Lines that a server keying by `_id` holds more than once; without ids every arrival is a document.
    pub twice: usize,
    /// First arrivals behind a later line of the same file.
    pub disorder: usize,
    /// Documents that are no line of the writer, or overwrite another line's document.
    pub broken: usize,
}

/// The record of all arrivals.
#[derive(Debug, Default)]
pub struct Tally {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    count: Count,
    /// Per line: arrivals, up to 255.
    arrivals: Vec<u8>,
    /// Per line: documents stored, up to 255.
    stored: Vec<u8>,
    /// Per generation: one more than the highest number so far.
    reached: Vec<u32>,
    /// Per generation: numbers below this one were acknowledged.
    settled: Vec<u32>,
    /// Hash of each id, and the line it was given to.
    ids: HashMap<u64, Option<u32>>,
    first_broken: Option<String>,
    last: Option<Instant>,
}

/// The counter at a place that may be new.
fn at<T: Default + Clone>(all: &mut Vec<T>, place: u32) -> &mut T {
    let place = place as usize;
    if all.len() <= place {
        all.resize(place + 1, T::default());
    }
    &mut all[place]
}

impl Tally {
    /// Enters a document; `false` when its id was stored before.
    pub fn arrive(&self, text: &[u8], id: Option<&[u8]>) -> bool {
        let line = Line::read(text);
        let mut inner = self.inner.lock().unwrap();
        inner.last = Some(Instant::now());
        if let (SAME, Some(id)) = (text, id) {
            return inner.key(id, None);
        }
        let Some(line) = line else {
            inner.count.broken += 1;
            inner.first_broken.get_or_insert_with(|| String::from_utf8_lossy(text).into_owned());
            return true;
        };
        inner.enter(line);
        let new = match id {
            None => true,
            Some(id) => inner.key(id, Some(line.number)),
        };
        if new {
            let stored = at(&mut inner.stored, line.number);
            *stored = stored.saturating_add(1);
            inner.count.twice += usize::from(*stored == 2);
        }
        new
    }

    /// Lines of a generation below this number were acknowledged: none of them may come again.
    pub fn settle(&self, generation: u32, number: u32) {
        let mut inner = self.inner.lock().unwrap();
        let settled = at(&mut inner.settled, generation);
        *settled = number.max(*settled);
    }

    /// What has arrived so far.
    pub fn count(&self) -> Count {
        self.inner.lock().unwrap().count
    }

    /// Documents with an id of their own.
    pub fn ids(&self) -> usize {
        self.inner.lock().unwrap().ids.len()
    }

    /// When the last document came.
    pub fn last(&self) -> Option<Instant> {
        self.inner.lock().unwrap().last
    }

    /// Which of the first `written` lines have not arrived.
    pub fn missing(&self, written: u32) -> Vec<u32> {
        let inner = self.inner.lock().unwrap();
        (0..written).filter(|n| inner.arrivals.get(*n as usize).is_none_or(|a| *a == 0)).collect()
    }

    /// The first document that was no line.
    pub fn first_broken(&self) -> Option<String> {
        self.inner.lock().unwrap().first_broken.clone()
    }
}

impl Inner {
    fn enter(&mut self, Line { generation, number }: Line) {
        let arrivals = at(&mut self.arrivals, number);
        let known = *arrivals > 0;
        *arrivals = arrivals.saturating_add(1);
        if known {
            self.count.again += 1;
            self.count.settled_again += usize::from(number < *at(&mut self.settled, generation));
            return;
        }
        self.count.lines += 1;
        let reached = at(&mut self.reached, generation);
        self.count.disorder += usize::from(number < *reached);
        *reached = (number + 1).max(*reached);
    }

    fn key(&mut self, id: &[u8], line: Option<u32>) -> bool {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        match self.ids.entry(hasher.finish()) {
            Entry::Vacant(free) => {
                free.insert(line);
                true
            }
            Entry::Occupied(old) => {
                // Two lines that share an id: one of them is lost in the server.
                self.count.broken += usize::from(*old.get() != line);
                false
            }
        }
    }
}

/// "3 lines, 5..7" for a report.
pub fn ranges(numbers: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for &n in numbers {
        match runs.last_mut() {
            Some((_, end)) if *end + 1 == n => *end = n,
            _ => runs.push((n, n)),
        }
    }
    let shown: Vec<String> = runs.iter().take(6).map(|(a, b)| format!("{a}..{b}")).collect();
    let more = if runs.len() > 6 { format!(" and {} more ranges", runs.len() - 6) } else { String::new() };
    format!("{} lines: {}{more}", numbers.len(), shown.join(", "))
}

fn text(generation: u32, number: u32) -> Vec<u8> {
    let mut out = Vec::new();
    Line { generation, number }.write(&mut out);
    out.pop();
    out
}

#[test]
fn a_line_is_read_as_it_was_written_and_no_other() {
    let line = text(12, 345_678);
    assert_eq!(line.len(), LINE - 1);
    assert_eq!(Line::read(&line), Some(Line { generation: 12, number: 345_678 }));
    for at in 0..line.len() {
        let mut wrong = line.clone();
        wrong[at] ^= 1;
        assert_ne!(Line::read(&wrong), Line::read(&line), "byte {at}");
    }
    assert_eq!(Line::read(&line[1..]), None);
}

#[test]
fn what_went_wrong_is_seen() {
    let tally = Tally::default();
    for number in [0, 1, 3, 2, 3, 5] {
        assert!(tally.arrive(&text(0, number), None));
    }
    let want = Count { lines: 5, again: 1, twice: 1, disorder: 1, ..Count::default() };
    assert_eq!(tally.count(), want);
    assert_eq!(tally.missing(7), [4, 6]);
    assert_eq!(ranges(&tally.missing(7)), "2 lines: 4..4, 6..6");
    tally.settle(0, 4);
    tally.arrive(&text(0, 3), None);
    tally.arrive(&text(0, 5), None);
    tally.arrive(b"half a line", None);
    let want = Count { again: 3, settled_again: 1, twice: 2, broken: 1, ..want };
    assert_eq!(tally.count(), want);
    assert_eq!(tally.first_broken().unwrap(), "half a line");
}

#[test]
fn ids_are_what_a_server_goes_by() {
    let tally = Tally::default();
    assert!(tally.arrive(&text(0, 0), Some(b"a")));
    assert!(!tally.arrive(&text(0, 0), Some(b"a")));
    assert_eq!(tally.count(), Count { lines: 1, again: 1, ..Count::default() });
    assert!(tally.arrive(&text(0, 0), Some(b"b")));
    assert_eq!(tally.count().twice, 1);
    // Another line under an id that is taken.
    assert!(!tally.arrive(&text(0, 1), Some(b"b")));
    assert_eq!(tally.count().broken, 1);
    assert_eq!(tally.ids(), 2);
}
