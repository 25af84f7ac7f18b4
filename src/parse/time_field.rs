//! The field that holds a record's time: `Time_Key`, `Time_Format`, `Time_Keep`, `Time_Strict` and the zone.

use super::pace::{Pace, excerpt};
use crate::event::Key;
use crate::time::Time;
use crate::time::strptime::{TimeFormat, TimeParser};
use std::rc::Rc;

/// What a parser's definition says about the time; shared by all parsers made from it.
#[derive(Debug)]
pub struct TimeRule {
    /// The parser's name, for messages.
    pub parser: String,
    /// The field.
    pub key: Key,
    /// The field stays in the record.
    pub keep: bool,
    /// Text that is not a time is reported; else what of it could be read counts.
    pub strict: bool,
    /// The format as it was written, for messages.
    pub format_text: String,
    /// The format.
    pub format: TimeFormat,
}

/// The time field in use by one parser.
#[derive(Debug)]
pub struct TimeField {
    rule: Rc<TimeRule>,
    parser: TimeParser,
    pace: Pace,
}

impl TimeField {
    /// A field read by `rule`.
    pub fn new(rule: Rc<TimeRule>) -> Self {
        Self { parser: TimeParser::new(rule.format.clone()), rule, pace: Pace::default() }
    }

    /// Its key.
    #[inline]
    pub fn key(&self) -> Key {
        self.rule.key
    }

    /// Whether the field stays in the record. Fluent Bit removes it even then when its text is not a time; here it
    /// stays, since nothing else holds that text.
    #[inline]
    pub fn keep(&self) -> bool {
        self.rule.keep
    }

    /// The time in `text`. When there is none the record is to have the current time, and a warning says so.
    #[inline]
    pub fn read(&mut self, text: &[u8], now: Time) -> Option<Time> {
        match self.parser.parse(text, now) {
            Ok(time) => Some(time),
            Err(_) => self.not_a_time(text, now),
        }
    }

    #[cold]
    fn not_a_time(&mut self, text: &[u8], now: Time) -> Option<Time> {
        if !self.rule.strict {
            log::debug!("[parser] non-exact match '{}'", excerpt(text));
            return self.parser.format().parse_partial(text, now);
        }
        if let Some(held) = self.pace.allow(now) {
            let (parser, format, text) = (&self.rule.parser, &self.rule.format_text, excerpt(text));
            log::error!("[parser] cannot parse '{text}'");
            log::warn!("[parser:{parser}] invalid time format {format} for '{text}'{held}");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::parse::tests::check;

    const LTSV: [(&str, &str); 2] = [("Format", "ltsv"), ("Time_Format", "%Y-%m-%d %H:%M:%S")];

    fn time(keys: &[(&str, &str)], text: &str, expected: &str) {
        check(&[&LTSV[..], keys].concat(), &format!("time:{text}\ta:1"), &format!("{expected} {{\"a\":\"1\"}}"));
    }

    #[test]
    fn zones() {
        time(&[], "2024-05-01 10:00:00", "1714557600.0");
        time(&[("Time_Offset", "+0200")], "2024-05-01 10:00:00", "1714550400.0");
        time(&[("Time_Offset", "-05:30")], "2024-05-01 10:00:00", "1714577400.0");
    }

    #[test]
    fn without_strictness_what_could_be_read_counts() {
        time(&[], "2024-05-01 soon", "-");
        time(&[("Time_Strict", "off")], "2024-05-01 soon", "1714521600.0");
        time(&[("Time_Strict", "off")], "soon", "-");
    }

    #[test]
    fn another_key() {
        let keys = [&LTSV[..], &[("Time_Key", "at")]].concat();
        check(&keys, "time:x\tat:2024-05-01 10:00:00", r#"1714557600.0 {"time":"x"}"#);
    }
}
