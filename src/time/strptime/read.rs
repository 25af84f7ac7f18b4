//! Reading a text by the steps of a format.

use super::compile::{FUSED, Op, is_blank};
use super::names;

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
pub(super) fn read(ops: &[Op], text: &[u8], fields: &mut Fields) -> End {
    let mut rest = text;
    let mut n = 0;
    while let Some(&op) = ops.get(n) {
        match step(op, rest, text.len(), fields) {
            Some(after) => {
                rest = after;
                // A shape that was read in one go stands for the steps after it.
                n += if is_fused(op) { FUSED + 1 } else { 1 };
            }
            None if is_fused(op) => n += 1,
            None => break,
        }
    }
    End { steps: n, bytes: text.len() - rest.len() }
}

const fn is_fused(op: Op) -> bool {
    matches!(op, Op::Clock | Op::DashDate | Op::SlashDate)
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
        Op::Second => small(rest, 0, 60, &mut fields.second),
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
        Op::Clock => clock(rest, fields),
        Op::DashDate => dash_date(rest, fields),
        Op::SlashDate => slash_date(rest, fields),
    }
}

/// The digits at the start of a fraction as nanoseconds. There must be one; beyond nine they are read and forgotten.
#[inline]
pub(super) fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    const PLACES: [u32; 10] = [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
    let mut nanos = 0u32;
    let mut len = 0;
    for &b in text.iter().take(9) {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        nanos = nanos * 10 + u32::from(digit);
        len += 1;
    }
    if len == 0 {
        return None;
    }
    let nanos = nanos * PLACES.get(len)?;
    if len == 9 {
        len += text.iter().skip(9).take_while(|b| b.is_ascii_digit()).count();
    }
    Some((nanos, text.get(len..)?))
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

fn epoch(text: &[u8]) -> Option<(i64, &[u8])> {
    let len = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, after) = text.split_at_checked(len)?;
    let secs = crate::util::bytes::parse_u64(digits)?;
    Some((i64::try_from(secs).ok()?, after))
}

/// `Z`, `UTC`, `UT`, `GMT`, `+hh`, `+hhmm`, `+hh:mm`, and the zones of North America that mail headers use.
#[inline]
fn offset(text: &[u8]) -> Option<(i32, &[u8])> {
    let negative = match text.first()? {
        b'+' => false,
        b'-' => true,
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

/// Reads eight bytes of digits and separators at once. `shape` has '0' where a digit belongs and the separator itself
/// elsewhere; byte n of the answer is the two-digit number that begins at byte n.
#[inline]
fn pairs(text: [u8; 8], shape: [u8; 8]) -> Option<[u8; 8]> {
    // Taking the shape away leaves 0 to 9 for digits and 0 for separators; adding 0x76 or 0x7f then sets the high bit
    // of any byte that is more.
    let limits = shape.map(|b| if b == b'0' { 0x76 } else { 0x7f });
    let value = u64::from_le_bytes(text) ^ u64::from_le_bytes(shape);
    if (value | value.wrapping_add(u64::from_le_bytes(limits))) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    Some((value * 10 + (value >> 8)).to_le_bytes())
}

#[inline]
fn clock<'a>(text: &'a [u8], fields: &mut Fields) -> Option<&'a [u8]> {
    let (clock, after) = text.split_first_chunk::<8>()?;
    let [hour, _, _, minute, _, _, second, _] = pairs(*clock, *b"00:00:00")?;
    fields.hour = hour;
    fields.minute = minute;
    fields.second = second;
    (hour <= 23 && minute <= 59 && second <= 60).then_some(after)
}

#[inline]
fn dash_date<'a>(text: &'a [u8], fields: &mut Fields) -> Option<&'a [u8]> {
    let (date, after) = text.split_first_chunk::<8>()?;
    let [century, _, of_century, _, _, month, _, _] = pairs(*date, *b"0000-00-")?;
    fields.year = i32::from(century) * 100 + i32::from(of_century);
    fields.month = month;
    if !(1..=12).contains(&month) {
        return None;
    }
    small(after, 1, 31, &mut fields.day)
}

#[inline]
fn slash_date<'a>(text: &'a [u8], fields: &mut Fields) -> Option<&'a [u8]> {
    let [d1 @ b'0'..=b'3', d2 @ b'0'..=b'9', b'/', after_day @ ..] = text else { return None };
    fields.day = (d1 - b'0') * 10 + (d2 - b'0');
    let (month, len) = names::month(after_day)?;
    fields.month = month;
    let [b'/', y1 @ b'0'..=b'9', y2 @ b'0'..=b'9', y3 @ b'0'..=b'9', y4 @ b'0'..=b'9', after @ ..] =
        after_day.get(len..)?
    else {
        return None;
    };
    let digits = [y1, y2, y3, y4];
    fields.year = digits.iter().fold(0, |year, digit| year * 10 + i32::from(**digit - b'0'));
    (1..=31).contains(&fields.day).then_some(after)
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

    #[test]
    fn pairs_take_digits_and_separators_only() {
        assert_eq!(pairs(*b"12:34:56", *b"00:00:00").map(|p| (p[0], p[3], p[6])), Some((12, 34, 56)));
        assert_eq!(pairs(*b"99:99:99", *b"00:00:00").map(|p| (p[0], p[3], p[6])), Some((99, 99, 99)));
        for at in 0..8 {
            for b in 0..=255u8 {
                let mut text = *b"00:00:00";
                text[at] = b;
                let fits = if at % 3 == 2 { b == b':' } else { b.is_ascii_digit() };
                assert_eq!(pairs(text, *b"00:00:00").is_some(), fits, "{at} {b:#x}");
            }
        }
    }
}
