//! A warning that may come up with every record: said at most once in ten seconds, with a count.

use crate::time::Time;
use std::fmt;

const PERIOD_NANOS: u64 = 10_000_000_000;

/// When a warning was last said, by the clock that comes with the records.
#[derive(Debug, Default)]
pub struct Pace {
    last: Option<Time>,
    held: u64,
}

impl Pace {
    /// Whether to say it now; then with how often it was held back since it was last said.
    pub fn allow(&mut self, now: Time) -> Option<Held> {
        if self.last.is_some_and(|last| last.0.abs_diff(now.0) < PERIOD_NANOS) {
            self.held += 1;
            return None;
        }
        self.last = Some(now);
        Some(Held(std::mem::take(&mut self.held)))
    }
}

/// How often a warning was held back; shows as nothing or as ` (and 7 more since the last such line)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held(pub u64);

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 0 { write!(f, " (and {} more since the last such line)", self.0) } else { Ok(()) }
    }
}

/// The start of a text for a message: at most 254 bytes, unreadable ones replaced.
pub fn excerpt(text: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(text.get(..254).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_in_ten_seconds() {
        let mut p = Pace::default();
        let at = |s: i64| Time(s * 1_000_000_000);
        assert_eq!(p.allow(at(0)), Some(Held(0)));
        assert_eq!(p.allow(at(1)), None);
        assert_eq!(p.allow(at(9)), None);
        assert_eq!(p.allow(at(10)), Some(Held(2)));
        assert_eq!(p.allow(at(3)), None);
        assert_eq!(p.allow(at(-1)), Some(Held(1)), "a clock set back does not silence it");
        assert_eq!(Held(2).to_string(), " (and 2 more since the last such line)");
        assert_eq!(Held(0).to_string(), "");
    }
}
