//! Syslog messages made from the fields of records: RFC 5424 and RFC 3164, in the three framings.
//!
//! The bytes are Fluent Bit's, but for what would not come out whole at the other end: a word of the header holds no space
//! and no control character (each becomes `_`), an empty one is `-`, a line break in a message that ends with one is
//! written as `#012`, and a message that is too long is cut between characters.

use super::date_format::write_date;
use super::num::{write_f64_fixed6, write_i64, write_u64};
use crate::event::access::Accessor;
use crate::event::{Cells, Record, Value};
use crate::time::Time;
use crate::time::civil::Civil;
use crate::util::decimal::{pair, push_padded};

/// Which standard a message follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// The older one: month, day and time of day, host, program.
    Rfc3164,
    /// The newer one, with structured data.
    Rfc5424,
}

impl Protocol {
    /// Bytes that a message may have when nothing else is said: what Fluent Bit sends at most.
    pub fn default_size(self) -> usize {
        match self {
            Self::Rfc3164 => 1024,
            Self::Rfc5424 => 2048,
        }
    }
}

/// How the end of a message is told (RFC 6587).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// It has a datagram of its own.
    Datagram,
    /// A line feed follows.
    Newline,
    /// Its length stands before it.
    Octets,
}

/// Where a value of the header comes from.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// A field of the record.
    pub path: Option<Accessor>,
    /// What is taken where the record has none.
    pub preset: Vec<u8>,
}

/// How the records of an output become messages.
#[derive(Debug, Clone)]
pub struct SyslogFormat {
    /// The standard.
    pub protocol: Protocol,
    /// The framing.
    pub framing: Framing,
    /// Bytes of the longest message, without its framing.
    pub max: usize,
    /// The field with a severity by number or name, and the one for records without it: 0 to 7.
    pub severity: (Option<Accessor>, u8),
    /// The field with a facility by number or name, and the one for records without it: 0 to 23.
    pub facility: (Option<Accessor>, u8),
    /// HOSTNAME.
    pub host: Source,
    /// APP-NAME, or the tag of RFC 3164.
    pub app: Source,
    /// PROCID.
    pub pid: Source,
    /// MSGID.
    pub msgid: Source,
    /// Maps that become elements of structured data, with the names of these.
    pub sd: Vec<(String, Accessor)>,
    /// Structured data for records that have none of these maps; see [`is_structured_data`].
    pub sd_preset: Vec<u8>,
    /// Names of elements may be longer than RFC 5424 allows.
    pub longer_ids: bool,
    /// The message's text.
    pub message: Option<Accessor>,
}

/// What was not as it should be, in records.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Remarks {
    /// Cut at the longest allowed size.
    pub cut: u64,
    /// A severity that is none.
    pub severity: u64,
    /// A facility that is none.
    pub facility: u64,
    /// No text under the message's key.
    pub empty: u64,
}

/// RFC 5424 section 6: the longest HOSTNAME, APP-NAME, PROCID, MSGID and SD-NAME.
const HOST: usize = 255;
const APP: usize = 48;
const PID: usize = 128;
const MSGID: usize = 32;
const NAME: usize = 32;

const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
const FACILITIES: [&str; 24] = [
    "kern",
    "user",
    "mail",
    "daemon",
    "auth",
    "syslog",
    "lpr",
    "news",
    "uucp",
    "cron",
    "authpriv",
    "ftp",
    "ntp",
    "security",
    "console",
    "solaris-cron",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl SyslogFormat {
    /// Appends the record's message in its framing.
    pub fn write(&self, record: &Record<'_>, out: &mut Vec<u8>, remarks: &mut Remarks) {
        let (start, body) = (out.len(), record.body());
        let severity = level(&self.severity, body, &SEVERITIES, &mut remarks.severity);
        let facility = level(&self.facility, body, &FACILITIES, &mut remarks.facility);
        out.push(b'<');
        write_u64(u64::from(facility) * 8 + u64::from(severity), out);
        out.push(b'>');
        let text = match self.protocol {
            Protocol::Rfc5424 => self.rfc5424(record.time(), body, out),
            Protocol::Rfc3164 => self.rfc3164(record.time(), body, out),
        };
        match text {
            Some(text) if self.framing == Framing::Newline => escape_breaks(text, out),
            Some(_) => {}
            None => remarks.empty += 1,
        }
        if out.len() - start > self.max {
            remarks.cut += 1;
            cut(out, start, self.max);
        }
        match self.framing {
            Framing::Datagram => {}
            Framing::Newline => out.push(b'\n'),
            Framing::Octets => {
                let (end, len) = (out.len(), out.len() - start);
                write_u64(len as u64, out);
                out.push(b' ');
                let count = out.len() - end;
                if let Some(message) = out.get_mut(start..) {
                    message.rotate_right(count);
                }
            }
        }
    }

    /// What follows the priority; answers where the message's text begins.
    fn rfc5424(&self, time: Time, body: Cells<'_>, out: &mut Vec<u8>) -> Option<usize> {
        out.extend_from_slice(b"1 ");
        write_date(time, b'T', out);
        out.push(b'Z');
        for (source, limit) in [(&self.host, HOST), (&self.app, APP), (&self.pid, PID), (&self.msgid, MSGID)] {
            out.push(b' ');
            let from = out.len();
            word(source, body, out);
            out.truncate(out.len().min(from + limit));
            replace(out, from, |b| !b.is_ascii_graphic());
            if out.len() == from {
                out.push(b'-');
            }
        }
        out.push(b' ');
        let from = out.len();
        for (name, path) in &self.sd {
            if let Some(Value::Map(map)) = path.get(body) {
                element(name, map, self.longer_ids, out);
            }
        }
        if out.len() == from {
            out.extend_from_slice(if self.sd_preset.is_empty() { b"-" } else { &self.sd_preset });
        }
        let end = out.len();
        out.extend_from_slice(" \u{feff}".as_bytes());
        let from = out.len();
        let has_text = self.message.as_ref().and_then(|path| path.get(body)).is_some_and(|v| plain(&v, out));
        if !has_text {
            out.truncate(end);
        }
        has_text.then_some(from)
    }

    fn rfc3164(&self, time: Time, body: Cells<'_>, out: &mut Vec<u8>) -> Option<usize> {
        let Civil { month, day, hour, minute, second, .. } = Civil::from_secs(time.secs());
        let month = MONTHS.get(usize::from(month).saturating_sub(1)).unwrap_or(&"Jan");
        out.extend_from_slice(month.as_bytes());
        out.push(b' ');
        push_padded(out, day.into(), 2, b' ');
        for (mark, n) in [(b' ', hour), (b':', minute), (b':', second)] {
            out.push(mark);
            out.extend_from_slice(&pair(n.into()));
        }
        out.push(b' ');
        let from = out.len();
        word(&self.host, body, out);
        if out.len() > from {
            out.push(b' ');
        }
        let app = out.len();
        word(&self.app, body, out);
        if out.len() > app {
            let pid = out.len();
            out.push(b'[');
            word(&self.pid, body, out);
            if out.len() == pid + 1 {
                out.truncate(pid);
            } else {
                out.push(b']');
            }
            out.extend_from_slice(b": ");
        }
        let from = out.len();
        let has_text = self.message.as_ref().and_then(|path| path.get(body)).is_some_and(|v| plain(&v, out));
        has_text.then_some(from)
    }
}

/// Appends a word of the header, without what would end it.
fn word(source: &Source, body: Cells<'_>, out: &mut Vec<u8>) {
    let from = out.len();
    if !source.path.as_ref().and_then(|path| path.get(body)).is_some_and(|value| plain(&value, out)) {
        out.extend_from_slice(&source.preset);
    }
    replace(out, from, |b| b <= b' ' || b == 0x7f);
}

/// Puts `_` for the bytes from `from` on that are bad.
fn replace(out: &mut [u8], from: usize, is_bad: impl Fn(u8) -> bool) {
    for b in out.get_mut(from..).unwrap_or_default() {
        if is_bad(*b) {
            *b = b'_';
        }
    }
}

/// Appends what a value is in plain text. Maps, arrays and null have none.
fn plain(value: &Value<'_>, out: &mut Vec<u8>) -> bool {
    match value {
        Value::Bool(v) => out.extend_from_slice(if *v { b"true" } else { b"false" }),
        Value::Int(v) => write_i64(*v, out),
        Value::Uint(v) => write_u64(*v, out),
        Value::Float(v) => write_f64_fixed6(*v, out),
        Value::Str(text) => text.decode(out),
        Value::Bin(bytes) => out.extend_from_slice(bytes),
        Value::Null | Value::Map(_) | Value::Array(_) => return false,
    }
    true
}

/// A severity or facility: by number, by name, or the preset one.
fn level((path, preset): &(Option<Accessor>, u8), body: Cells<'_>, names: &[&str], wrong: &mut u64) -> u8 {
    let Some(value) = path.as_ref().and_then(|path| path.get(body)) else { return *preset };
    let mut scratch = Vec::new();
    let found = match value {
        Value::Int(n) => usize::try_from(n).ok(),
        Value::Uint(n) => usize::try_from(n).ok(),
        Value::Str(text) => by_name(text.meant(&mut scratch), names),
        _ => None,
    };
    match found.filter(|n| *n < names.len()) {
        Some(n) => n as u8,
        None => {
            *wrong += 1;
            *preset
        }
    }
}

fn by_name(text: &[u8], names: &[&str]) -> Option<usize> {
    if let [b'0'..=b'9'] | [b'0'..=b'9', b'0'..=b'9'] = text {
        return Some(text.iter().fold(0, |n, b| n * 10 + usize::from(b - b'0')));
    }
    // The other names of syslog.h, and those that programs use.
    let other: &[u8] = match text.to_ascii_lowercase().as_slice() {
        b"panic" | b"emergency" => b"emerg",
        b"critical" | b"fatal" => b"crit",
        b"error" => b"err",
        b"warn" => b"warning",
        b"information" | b"informational" => b"info",
        _ => text,
    };
    names.iter().position(|name| name.as_bytes().eq_ignore_ascii_case(other))
}

/// Appends `[name key="value" …]` (RFC 5424 section 6.3).
fn element(name: &str, map: Cells<'_>, longer: bool, out: &mut Vec<u8>) {
    out.push(b'[');
    sd_name(name.as_bytes(), if longer { usize::MAX } else { NAME }, out);
    let mut scratch = Vec::new();
    for (key, value) in map {
        scratch.clear();
        if !plain(&value, &mut scratch) {
            continue;
        }
        out.push(b' ');
        sd_name(map.name(key), NAME, out);
        out.extend_from_slice(b"=\"");
        for b in &scratch {
            if matches!(b, b'"' | b'\\' | b']') {
                out.push(b'\\');
            }
            out.push(*b);
        }
        out.push(b'"');
    }
    out.push(b']');
}

fn sd_name(name: &[u8], limit: usize, out: &mut Vec<u8>) {
    let from = out.len();
    out.extend_from_slice(name.get(..limit).unwrap_or(name));
    replace(out, from, |b| !is_name(b));
}

/// Whether a byte may be in an SD-NAME.
fn is_name(b: u8) -> bool {
    b.is_ascii_graphic() && !matches!(b, b'=' | b']' | b'"')
}

/// Whether `text` is structured data as RFC 5424 section 6.3 has it: `-`, or elements one behind the other.
pub fn is_structured_data(text: &[u8], longer: bool) -> bool {
    if text == b"-" {
        return true;
    }
    let mut rest = text;
    while let Some(behind) = rest.strip_prefix(b"[") {
        let Some(next) = name_at(behind, if longer { usize::MAX } else { NAME }) else { return false };
        rest = next;
        loop {
            if let Some(next) = rest.strip_prefix(b"]") {
                rest = next;
                break;
            }
            let value = rest.strip_prefix(b" ").and_then(|r| name_at(r, NAME)).and_then(|r| r.strip_prefix(b"=\""));
            let Some(next) = value.and_then(value_at) else { return false };
            rest = next;
        }
    }
    rest.is_empty() && !text.is_empty()
}

/// What follows the name at the beginning.
fn name_at(text: &[u8], limit: usize) -> Option<&[u8]> {
    let len = text.iter().take_while(|b| is_name(**b)).count();
    if (1..=limit).contains(&len) { text.get(len..) } else { None }
}

/// What follows the value at the beginning and its quote.
fn value_at(text: &[u8]) -> Option<&[u8]> {
    let mut bytes = text.iter().enumerate();
    while let Some((at, b)) = bytes.next() {
        match b {
            b'"' => return text.get(at + 1..),
            b'\\' => drop(bytes.next()),
            b']' | b'\n' => return None,
            _ => {}
        }
    }
    None
}

/// LF and NUL end a message where its end is a line feed: from `from` on they become `#012` and `#000`, as rsyslog writes them.
fn escape_breaks(from: usize, out: &mut Vec<u8>) {
    let tail = out.get(from..).unwrap_or_default();
    if memchr::memchr2(b'\n', 0, tail).is_none() {
        return;
    }
    let tail = tail.to_vec();
    out.truncate(from);
    for b in tail {
        match b {
            b'\n' => out.extend_from_slice(b"#012"),
            0 => out.extend_from_slice(b"#000"),
            _ => out.push(b),
        }
    }
}

/// Keeps `max` bytes behind `start`, or a few fewer rather than half a character of UTF-8.
fn cut(out: &mut Vec<u8>, start: usize, max: usize) {
    let is_inside = |at: &usize| out.get(start + at).is_some_and(|b| b & 0xc0 == 0x80);
    let to = (max.saturating_sub(3)..=max).rev().find(|at| !is_inside(at)).unwrap_or(max);
    out.truncate(start + to);
}

#[cfg(test)]
mod tests;
