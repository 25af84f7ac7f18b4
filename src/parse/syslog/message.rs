//! A syslog message taken apart: RFC 5424, RFC 3164 and what vendors send instead.

use super::cursor::{Cursor, Part};
use super::stamp::{self, Stamp};
use crate::time::Time;
use crate::time::zone::Zone;

/// The parts of a message; those it does not have are empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Message {
    /// The number between `<` and `>`.
    pub pri: Part,
    /// The text of the time.
    pub stamp: Part,
    /// The point in time, when the text is one.
    pub time: Option<Time>,
    /// Cisco's counter before the time, and the device's own when there are two.
    pub seq: [Part; 2],
    /// The task that a Cisco wireless controller names before the time.
    pub task: Part,
    /// HOSTNAME.
    pub host: Part,
    /// TAG or APP-NAME.
    pub ident: Part,
    /// PROCID.
    pub pid: Part,
    /// MSGID (RFC 5424).
    pub msgid: Part,
    /// STRUCTURED-DATA as it is written (RFC 5424).
    pub extradata: Part,
    /// What is left.
    pub message: Part,
}

/// Why a text is not taken for a syslog message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It begins neither with `<number>` nor with a time.
    NoHeader,
    /// The priority is above 191 (RFC 5424 section 6.2.1).
    Priority,
}

impl Reason {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Self::NoHeader => "neither a priority nor a time at the beginning",
            Self::Priority => "a priority above 191",
        }
    }
}

/// Facility 23, severity 7.
const MAX_PRI: u32 = 191;
/// Counters, hosts and tasks that may stand before the time.
const PREFIXES: usize = 4;
/// Longer words are no host, tag or process id.
const MAX_WORD: usize = 255;
/// Words of a program's name.
const WORDS: usize = 3;
/// UTF-8's byte order mark: RFC 5424 puts it before a message in UTF-8.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// The clock, for times without a year, and the zone of times that name none.
type Clock<'a> = (Time, &'a Zone);

/// Takes a message apart. `now` serves times without a year, `zone` those without a zone.
///
/// # Errors
/// When it begins with nothing that a syslog message begins with.
pub fn read(text: &[u8], now: Time, zone: &Zone) -> Result<Message, Reason> {
    let mut m = Message::default();
    let mut c = Cursor::new(text, 0);
    let has_pri = priority(&mut c, &mut m)?;
    if is_version(c) {
        c.word();
        if c.rest().starts_with(b"-") || c.rest().get(4) == Some(&b'-') {
            rfc5424(c, &mut m, zone);
            return Ok(m);
        }
        // Meraki: a version, then seconds since the epoch.
    }
    if rfc3164(c, &mut m, (now, zone)) || has_pri { Ok(m) } else { Err(Reason::NoHeader) }
}

/// `<34>`.
fn priority(c: &mut Cursor<'_>, m: &mut Message) -> Result<bool, Reason> {
    let mut ahead = *c;
    if !ahead.eat(b'<') {
        return Ok(false);
    }
    let from = ahead.at;
    let Some(number) = ahead.number(1, 9) else { return Ok(false) };
    let part = Part { from, to: ahead.at };
    if !ahead.eat(b'>') {
        return Ok(false);
    }
    if number > MAX_PRI {
        return Err(Reason::Priority);
    }
    m.pri = part;
    *c = ahead;
    Ok(true)
}

/// Whether a version of RFC 5424 is next, and behind it a time or the sign for none.
fn is_version(mut c: Cursor<'_>) -> bool {
    if c.peek() == b'0' || c.number(1, 3).is_none() || !c.eat(b' ') {
        return false;
    }
    let rest = c.rest();
    let begins = |n: usize, mark: u8| {
        rest.get(..n).is_some_and(|d| d.iter().all(u8::is_ascii_digit)) && rest.get(n) == Some(&mark)
    };
    rest == b"-" || rest.starts_with(b"- ") || begins(4, b'-') || begins(10, b'.')
}

/// RFC 5424 section 6, from the time on. What ends early has the fields it has; where the structured data is none the
/// rest is the message.
fn rfc5424(mut c: Cursor<'_>, m: &mut Message, zone: &Zone) {
    let stamp = c.word();
    m.time = stamp::rfc3339(c.get(stamp), zone);
    m.stamp = given(c, stamp);
    for field in [&mut m.host, &mut m.ident, &mut m.pid, &mut m.msgid] {
        let word = c.word();
        *field = given(c, word);
    }
    if c.peek() == b'[' {
        if let Some(to) = structured_data(c) {
            m.extradata = Part { from: c.at, to };
            c.at = to;
            c.eat(b' ');
        }
    } else if c.rest() == b"-" || c.rest().starts_with(b"- ") {
        c.at += 1;
        c.eat(b' ');
    }
    if c.rest().starts_with(BOM) {
        c.at += BOM.len();
    }
    m.message = rest(c);
}

/// Nothing for the NILVALUE.
fn given(c: Cursor<'_>, word: Part) -> Part {
    if c.get(word) == b"-" { Part::default() } else { word }
}

fn rest(c: Cursor<'_>) -> Part {
    Part { from: c.at, to: c.text().len() }
}

/// Where the elements `[id name="value" …]` that begin at the cursor end; `None` when the last one does not.
fn structured_data(mut c: Cursor<'_>) -> Option<usize> {
    while c.eat(b'[') {
        loop {
            let at = memchr::memchr2(b'"', b']', c.rest())?;
            c.at += at;
            if c.eat(b']') {
                break;
            }
            c.at += 1;
            loop {
                let at = memchr::memchr2(b'"', b'\\', c.rest())?;
                c.at += at;
                if c.eat(b'"') {
                    break;
                }
                // A backslash and what it stands before.
                c = Cursor::new(c.text(), c.at + 2);
            }
        }
    }
    Some(c.at)
}

/// RFC 3164 section 4.1 and its relatives, from behind the priority; whether there was a header.
fn rfc3164(start: Cursor<'_>, m: &mut Message, clock: Clock<'_>) -> bool {
    let mut c = start;
    let mut found = *m;
    let has_header = prefixes(&mut c, &mut found, clock);
    if has_header {
        *m = found;
    } else {
        c = start;
        c.spaces();
    }
    c.spaces();
    const FORWARDED: &[u8] = b"Message forwarded from ";
    if c.rest().starts_with(FORWARDED) {
        c.at += FORWARDED.len();
        let word = c.word();
        m.host = if c.get(word).ends_with(b":") { Part { to: word.to - 1, ..word } } else { word };
    } else if has_header && m.host.is_empty() && !tag(c, &mut Message::default(), 1).0 {
        let mut ahead = c;
        let word = ahead.word();
        if ahead.at > word.to && is_host(c.get(word)) {
            m.host = word;
            c = ahead;
        }
    }
    c.spaces();
    // `host : %ASA-3-…`
    if c.rest().starts_with(b": ") {
        c.at += 2;
    }
    // A Mac's programs have names like `Google Chrome`: believed behind a host alone.
    let words = if m.host.is_empty() { 1 } else { WORDS };
    let (found, to) = tag(c, m, words);
    let to = if found || words == 1 { to } else { tag(c, m, 1).1 };
    c.at = to;
    c.spaces();
    m.message = rest(c);
    has_header
}

/// What may stand before the host: counters, a host, a task, and at last the time. Whether they led to a time, or to what
/// only Cisco puts behind them.
fn prefixes(c: &mut Cursor<'_>, m: &mut Message, clock: Clock<'_>) -> bool {
    for _ in 0..=PREFIXES {
        while matches!(c.peek(), b' ' | b':') {
            c.at += 1;
        }
        // The clock was never set, or is not in step: Cisco's marks.
        let mut ahead = *c;
        if matches!(ahead.peek(), b'*' | b'.') {
            ahead.at += 1;
        }
        if let Some(Stamp { text, time }) = stamp::read(&mut ahead, clock.0, clock.1) {
            if !m.stamp.is_empty() {
                return false;
            }
            (m.stamp, m.time, *c) = (text, time, ahead);
            return true;
        }
        if c.peek() == b'%' {
            return !m.seq[0].is_empty() || !m.stamp.is_empty();
        }
        let mut ahead = *c;
        let word = ahead.word();
        let part = Part { from: word.from, to: word.to.saturating_sub(1) };
        let text = c.get(part);
        if text.is_empty() || text.len() > MAX_WORD || !c.get(word).ends_with(b":") {
            return false;
        }
        let field = if text.iter().all(u8::is_ascii_digit) {
            match m.seq {
                [first, _] if first.is_empty() => &mut m.seq[0],
                _ => &mut m.seq[1],
            }
        } else if is_uptime(text) {
            &mut m.stamp
        } else if text.first() == Some(&b'*') {
            &mut m.task
        } else if is_host(text) {
            &mut m.host
        } else {
            return false;
        };
        if !field.is_empty() {
            return false;
        }
        *field = part;
        *c = ahead;
    }
    false
}

/// `00:01:01` or `1w2d`: how long a device has run.
fn is_uptime(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_digit)
        && text.iter().all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'y' | b'w' | b'd' | b'h' | b'm' | b's'))
}

/// Names, addresses, and the chains `source/relay` and `source@relay` of syslog-ng.
fn is_host(word: &[u8]) -> bool {
    let first =
        word.first().is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'[') || *b >= 0x80);
    let all = |b: &u8| b.is_ascii_alphanumeric() || b"._-:/@[]%".contains(b) || *b >= 0x80;
    first && word.len() <= MAX_WORD && word.iter().all(all)
}

/// `su:`, `sshd[123]:`, `%ASA-6-302013:` at the cursor: fills `ident` and `pid`. Whether there was one, and where it ends.
/// A name of several words counts when a number in brackets and a colon follow.
fn tag(mut c: Cursor<'_>, m: &mut Message, words: usize) -> (bool, usize) {
    let start = c.at;
    let inside = |b: &u8| b.is_ascii_alphanumeric() || b"_./-%()@+#~$\\".contains(b) || *b >= 0x80;
    let mut len = 0;
    let mut spaces = 0;
    for b in c.rest().iter().take(MAX_WORD) {
        spaces += usize::from(*b == b' ');
        if spaces >= words || !(inside(b) || *b == b' ') {
            break;
        }
        len += 1;
    }
    let first = c.peek();
    if len == 0 || !(first.is_ascii_alphanumeric() || b"_./%(".contains(&first) || first >= 0x80) {
        return (false, start);
    }
    let ident = Part { from: start, to: start + len };
    c.at += len;
    let mut pid = Part::default();
    if c.eat(b'[') {
        let len = c.rest().iter().take(MAX_WORD).take_while(|b| !matches!(b, b']' | b' ' | b'[')).count();
        pid = Part { from: c.at, to: c.at + len };
        c.at += len;
        if !c.eat(b']') {
            return (false, start);
        }
        if !c.eat(b':') && (spaces > 0 || !c.is_at_break()) {
            return (false, start);
        }
        if spaces > 0 && !c.get(pid).iter().all(u8::is_ascii_digit) {
            return (false, start);
        }
    } else if spaces > 0 || !c.eat(b':') || !(c.is_at_break() || first == b'%') {
        // `CEF:0|` is a message.
        return (false, start);
    }
    (m.ident, m.pid) = (ident, pid);
    (true, c.at)
}
