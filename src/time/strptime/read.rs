//! Reading a text by the steps of a format.

use super::compile::{Op, is_blank};
use super::names;
use super::usual::try_usual;

/// What was read. Only the fields that the steps name are set.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fields {
    pub year: i32,
    pub century: i32,
    pub short_year: i32,
    /// 1 to 12
    pub month: u8,
    pub day: u8,
    /// 1 to 366
    pub year_day: u16,
    pub hour: u8,
    pub minute: u8,
    /// 60 is a leap second.
    pub second: u8,
    pub afternoon: Option<bool>,
    pub nanos: u32,
    pub epoch: i64,
    /// Seconds east of UTC.
    pub offset: i32,
    /// Where the digits of the fraction stood.
    pub fraction: (usize, usize),
    /// Where the two digits of the second stood, when they are known to be two.
    pub second_at: Option<usize>,
}

/// Where reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Steps that succeeded; all of them when the text matches.
    pub steps: usize,
    /// Bytes of the text that were read.
    pub bytes: usize,
}

/// Reads `text` by `ops` as far as it goes.
#[inline]
pub(super) fn read(ops: &[Op], text: &[u8], fields: &mut Fields) -> End {
    let mut rest = text;
    let mut left = ops;
    while let Some((&op, next)) = left.split_first() {
        if let Op::Try(usual) = op {
            (rest, left) = match try_usual(usual, rest, fields) {
                Some(after) => {
                    // Every shape ends with the second.
                    fields.second_at = (text.len() - after.len()).checked_sub(2);
                    (after, next.get(usual.steps()..).unwrap_or_default())
                }
                None => (rest, next),
            };
            continue;
        }
        let Some(after) = step(op, rest, text.len(), fields) else { break };
        rest = after;
        left = next;
    }
    End { steps: ops.len() - left.len(), bytes: text.len() - rest.len() }
}

/// Does one step at the start of `rest` and returns what follows.
#[inline(always)]
fn step<'a>(op: Op, rest: &'a [u8], total: usize, fields: &mut Fields) -> Option<&'a [u8]> {
    match op {
        Op::Blank => Some(skip_blanks(rest)),
        Op::Literal(byte) => rest.split_first().filter(|(b, _)| **b == byte).map(|(_, after)| after),
        Op::Zulu => {
            fields.offset = 0;
            rest.strip_prefix(b"Z")
        }
        Op::Year => {
            let (year, after) = number(rest, 0, 9999)?;
            fields.year = year as i32;
            Some(after)
        }
        Op::ShortYear => {
            let (year, after) = number(rest, 0, 99)?;
            fields.short_year = year as i32;
            Some(after)
        }
        Op::Century => {
            let (century, after) = number(rest, 0, 99)?;
            fields.century = century as i32;
            Some(after)
        }
        Op::Month => small(rest, 1, 12, &mut fields.month),
        Op::MonthName => {
            let (month, len) = names::month(rest)?;
            fields.month = month;
            rest.get(len..)
        }
        Op::Day => small(rest, 1, 31, &mut fields.day),
        Op::BlankDay => small(skip_one_blank(rest), 1, 31, &mut fields.day),
        Op::YearDay => {
            let (day, after) = number(rest, 1, 366)?;
            fields.year_day = day as u16;
            Some(after)
        }
        Op::Hour => small(rest, 0, 23, &mut fields.hour),
        Op::BlankHour => small(skip_one_blank(rest), 0, 23, &mut fields.hour),
        Op::Hour12 => small(rest, 1, 12, &mut fields.hour),
        Op::BlankHour12 => small(skip_one_blank(rest), 1, 12, &mut fields.hour),
        Op::AmPm => {
            let (word, after) = rest.split_at_checked(2)?;
            let afternoon = word.eq_ignore_ascii_case(b"pm");
            fields.afternoon = Some(afternoon);
            (afternoon || word.eq_ignore_ascii_case(b"am")).then_some(after)
        }
        Op::Minute => small(rest, 0, 59, &mut fields.minute),
        Op::Second => {
            fields.second_at = None;
            small(rest, 0, 60, &mut fields.second)
        }
        Op::Fraction => {
            let (nanos, after) = fraction(rest)?;
            fields.nanos = nanos;
            fields.fraction = (total - rest.len(), total - after.len());
            Some(after)
        }
        Op::Epoch => {
            let (secs, after) = epoch(rest)?;
            fields.epoch = secs;
            Some(after)
        }
        Op::Offset => {
            let (offset, after) = offset(skip_blanks(rest))?;
            fields.offset = offset;
            Some(after)
        }
        Op::ZoneName => {
            let (offset, len) = names::zone(rest)?;
            fields.offset = offset;
            rest.get(len..)
        }
        Op::DayName => rest.get(names::weekday(rest)?..),
        Op::Unused { low, high } => number(rest, low.into(), high.into()).map(|(_, after)| after),
        Op::UnusedDigits => {
            let len = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            if len == 0 { None } else { rest.get(len..) }
        }
        Op::Try(usual) => try_usual(usual, rest, fields),
    }
}

/// The digits at the start of a fraction as nanoseconds. There must be one; beyond nine they are read and forgotten.
#[inline]
pub(super) fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let Some(chunk) = text.first_chunk::<8>() else { return short_fraction(text) };
    // Eight digits at once.
    let value = u64::from_le_bytes(*chunk) ^ 0x3030_3030_3030_3030;
    let others = (value | value.wrapping_add(0x7676_7676_7676_7676)) & 0x8080_8080_8080_8080;
    if others != 0 {
        // A byte that is no digit may set the mark of the next one too, but not of one before it.
        let digits = others.trailing_zeros() / 8;
        if digits == 0 {
            return None;
        }
        // Zeros in place of what follows give the fraction its full width.
        let value = value & ((1 << (digits * 8)) - 1);
        return Some((eight_digits(value) * 10, text.get(digits as usize..)?));
    }
    let after = text.get(8..)?;
    let nanos = eight_digits(value) * 10;
    let [ninth @ b'0'..=b'9', after @ ..] = after else { return Some((nanos, after)) };
    let nanos = nanos + u32::from(ninth - b'0');
    let more = after.iter().take_while(|b| b.is_ascii_digit()).count();
    Some((nanos, after.get(more..)?))
}

/// [`fraction`] in a text of less than eight bytes.
fn short_fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let mut nanos = 0;
    let mut place = 1_000_000_000;
    let mut rest = text;
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        place /= 10;
        nanos += u32::from(digit - b'0') * place;
        rest = after;
    }
    (rest.len() < text.len()).then_some((nanos, rest))
}

/// The number whose eight digits (0 to 9) are the bytes of `value`, the first in the lowest byte.
#[inline]
const fn eight_digits(value: u64) -> u32 {
    // Pairs, then fours, then all eight: each step adds neighbours, the left one weighing more.
    let pairs = (value * 10 + (value >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    (fours * 10_000 + (fours >> 32)) as u32
}

/// A number from `low` to `high`. It ends before a digit that would take it beyond `high`, so that fields may stand side
/// by side; zeros in front count as digits.
fn number(text: &[u8], low: u32, high: u32) -> Option<(u32, &[u8])> {
    let mut value = 0;
    let mut room = high;
    let mut rest = text;
    while let Some((&b, after)) = rest.split_first() {
        if !b.is_ascii_digit() {
            break;
        }
        value = value * 10 + u32::from(b - b'0');
        rest = after;
        room /= 10;
        if value * 10 > high || room == 0 {
            break;
        }
    }
    (rest.len() < text.len() && (low..=high).contains(&value)).then_some((value, rest))
}

/// [`number`] for fields of at most two digits, which are nearly always two.
#[inline]
fn small<'a>(text: &'a [u8], low: u8, high: u8, field: &mut u8) -> Option<&'a [u8]> {
    if let [a, b, after @ ..] = text
        && a.is_ascii_digit()
        && b.is_ascii_digit()
        && (a - b'0') * 10 <= high
    {
        *field = (a - b'0') * 10 + (b - b'0');
        return (low..=high).contains(field).then_some(after);
    }
    let (value, after) = number(text, low.into(), high.into())?;
    *field = value as u8;
    Some(after)
}

/// All digits at the start as one number, if they are not far too many.
fn epoch(text: &[u8]) -> Option<(i64, &[u8])> {
    let mut secs = 0;
    let mut rest = text;
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        secs = secs * 10 + i64::from(digit - b'0');
        rest = after;
        if secs > i64::MAX / 100 {
            return None;
        }
    }
    (rest.len() < text.len()).then_some((secs, rest))
}

/// `Z`, `UTC`, `UT`, `GMT`, `+hh`, `+hhmm`, `+hh:mm`, and the zones of North America that mail headers use.
#[inline]
fn offset(text: &[u8]) -> Option<(i32, &[u8])> {
    let negative = match text.first()? {
        b'+' => false,
        b'-' => true,
        b'Z' => return Some((0, text.get(1..)?)),
        _ => return named_offset(text),
    };
    let [_, h1 @ b'0'..=b'9', h2 @ b'0'..=b'9', after @ ..] = text else { return None };
    let hours = i32::from(h1 - b'0') * 10 + i32::from(h2 - b'0');
    let minutes_at = after.strip_prefix(b":").unwrap_or(after);
    let (minutes, after) = match minutes_at {
        [m1 @ b'0'..=b'9', m2 @ b'0'..=b'9', after @ ..] => (i32::from(m1 - b'0') * 10 + i32::from(m2 - b'0'), after),
        [b'0'..=b'9', ..] => return None,
        _ => (0, minutes_at),
    };
    let secs = hours * 3600 + minutes * 60;
    Some((if negative { -secs } else { secs }, after))
}

#[cold]
fn named_offset(text: &[u8]) -> Option<(i32, &[u8])> {
    const NAMES: [(&[u8], i32); 12] = [
        (b"GMT", 0),
        (b"UTC", 0),
        (b"UT", 0),
        (b"Z", 0),
        (b"EST", -5),
        (b"EDT", -4),
        (b"CST", -6),
        (b"CDT", -5),
        (b"MST", -7),
        (b"MDT", -6),
        (b"PST", -8),
        (b"PDT", -7),
    ];
    NAMES.iter().find_map(|(name, hours)| {
        let (word, after) = text.split_at_checked(name.len())?;
        word.eq_ignore_ascii_case(name).then_some((hours * 3600, after))
    })
}

fn skip_blanks(mut text: &[u8]) -> &[u8] {
    while let [b, after @ ..] = text
        && is_blank(*b)
    {
        text = after;
    }
    text
}

fn skip_one_blank(text: &[u8]) -> &[u8] {
    match text {
        [b, after @ ..] if is_blank(*b) => after,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_the_next_field_begins() {
        let table = [
            ("45", 1, 31, Some((4, "5"))),
            ("31", 1, 31, Some((31, ""))),
            ("032", 1, 31, Some((3, "2"))),
            ("7:", 0, 23, Some((7, ":"))),
            ("24", 0, 23, None),
            ("0", 1, 31, None),
            ("20231114", 0, 9999, Some((2023, "1114"))),
            ("00011", 0, 9999, Some((1, "1"))),
            ("366x", 1, 366, Some((366, "x"))),
            ("367", 1, 366, None),
            ("4", 1, 366, Some((4, ""))),
            ("", 0, 9, None),
            ("x", 0, 9, None),
        ];
        for (text, low, high, expected) in table {
            let expected = expected.map(|(value, rest)| (value, rest.as_bytes()));
            assert_eq!(number(text.as_bytes(), low, high), expected, "{text}");
            if high < 100 {
                let mut field = 0;
                let rest = small(text.as_bytes(), low as u8, high as u8, &mut field);
                assert_eq!(rest.map(|rest| (u32::from(field), rest)), expected, "{text}");
            }
        }
    }

    #[test]
    fn fractions() {
        let table: &[(&str, Option<(u32, &str)>)] = &[
            ("5", Some((500_000_000, ""))),
            ("1234567", Some((123_456_700, ""))),
            ("12345678", Some((123_456_780, ""))),
            ("12345678Z", Some((123_456_780, "Z"))),
            ("12345:789", Some((123_450_000, ":789"))),
            ("12345\u{ff}789", Some((123_450_000, "\u{ff}789"))),
            ("25Z", Some((250_000_000, "Z"))),
            ("123456789", Some((123_456_789, ""))),
            ("000000001+", Some((1, "+"))),
            ("123456789123Z", Some((123_456_789, "Z"))),
            ("", None),
            ("Z", None),
        ];
        for &(text, expected) in table {
            assert_eq!(fraction(text.as_bytes()), expected.map(|(nanos, rest)| (nanos, rest.as_bytes())), "{text}");
        }
    }

    #[test]
    fn offsets() {
        let table: &[(&str, Option<(i32, &str)>)] = &[
            ("Z", Some((0, ""))),
            ("UTC x", Some((0, " x"))),
            ("UT", Some((0, ""))),
            ("GMT", Some((0, ""))),
            ("+02", Some((7200, ""))),
            ("+0230]", Some((9000, "]"))),
            ("-02:30", Some((-9000, ""))),
            ("+02:", Some((7200, ""))),
            ("EST", Some((-18_000, ""))),
            ("pdt", Some((-25_200, ""))),
            ("+2", None),
            ("+023", None),
            ("G", None),
            ("X", None),
            ("", None),
        ];
        for &(text, expected) in table {
            assert_eq!(offset(text.as_bytes()), expected.map(|(secs, rest)| (secs, rest.as_bytes())), "{text}");
        }
    }
}
