//! Times of the usual shapes, read eight bytes at a time.

use super::compile::Usual;
use super::names;
use super::read::Fields;

/// Reads a time of this shape at the start of `text` and returns what follows. Where a number is not of full width or is
/// out of range, this is not the shape, and the steps that it stands for have to see for themselves.
#[inline]
pub(super) fn try_usual<'a>(usual: Usual, text: &'a [u8], fields: &mut Fields) -> Option<&'a [u8]> {
    let len = match usual {
        Usual::Clock => {
            set_clock(text, 0, fields)?;
            return text.get(8..);
        }
        Usual::Web => {
            let text = text.first_chunk::<20>()?;
            let [century, _, of_century, ..] = YEAR_HOUR.pairs(text, 7)?;
            fields.day = two_digits(text[0], text[1])?;
            fields.month = names::short_month([text[3], text[4], text[5]])?;
            fields.year = i32::from(century) * 100 + i32::from(of_century);
            set_clock(text, 12, fields)?;
            if (text[2], text[6]) != (b'/', b'/') {
                return None;
            }
            text.len()
        }
        Usual::Iso(between) => {
            let text = text.first_chunk::<19>()?;
            let [century, _, of_century, _, _, month, ..] = DATE.pairs(text, 0)?;
            fields.day = two_digits(text[8], text[9])?;
            fields.month = month;
            fields.year = i32::from(century) * 100 + i32::from(of_century);
            set_clock(text, 11, fields)?;
            if text[10] != between || !(1..=12).contains(&month) {
                return None;
            }
            text.len()
        }
        Usual::Syslog => {
            let text = text.first_chunk::<15>()?;
            fields.day = two_digits(if text[4] == b' ' { b'0' } else { text[4] }, text[5])?;
            fields.month = names::short_month([text[0], text[1], text[2]])?;
            set_clock(text, 7, fields)?;
            if (text[3], text[6]) != (b' ', b' ') {
                return None;
            }
            text.len()
        }
    };
    if (1..=31).contains(&fields.day) { text.get(len..) } else { None }
}

#[inline]
fn set_clock(text: &[u8], at: usize, fields: &mut Fields) -> Option<()> {
    let [hour, _, _, minute, _, _, second, _] = CLOCK.pairs(text, at)?;
    fields.hour = hour;
    fields.minute = minute;
    fields.second = second;
    (hour <= 23 && minute <= 59 && second <= 60).then_some(())
}

#[inline]
fn two_digits(a: u8, b: u8) -> Option<u8> {
    let (a, b) = (a.wrapping_sub(b'0'), b.wrapping_sub(b'0'));
    (a <= 9 && b <= 9).then(|| a * 10 + b)
}

const CLOCK: Shape = Shape::new(b"00:00:00");
const DATE: Shape = Shape::new(b"0000-00-");
const YEAR_HOUR: Shape = Shape::new(b"0000:00:");

/// A row of eight digits and separators that is read at once.
struct Shape {
    text: u64,
    limits: u64,
}

impl Shape {
    /// `text` has '0' where a digit belongs, and the separator itself elsewhere.
    const fn new(text: &[u8; 8]) -> Self {
        let mut limits = [0x7f; 8];
        let mut n = 0;
        while n < 8 {
            if text[n] == b'0' {
                limits[n] = 0x76;
            }
            n += 1;
        }
        Self { text: u64::from_le_bytes(*text), limits: u64::from_le_bytes(limits) }
    }

    /// When `text` has this shape from `at` on: byte n of the answer is the two-digit number that begins at byte n.
    #[inline]
    fn pairs(&self, text: &[u8], at: usize) -> Option<[u8; 8]> {
        let text = *text.get(at..)?.first_chunk()?;
        // Taking the shape away leaves 0 to 9 for digits and 0 for separators; adding the limit (0x76 or 0x7f) then
        // sets the high bit of any byte that is more.
        let value = u64::from_le_bytes(text) ^ self.text;
        if (value | value.wrapping_add(self.limits)) & 0x8080_8080_8080_8080 != 0 {
            return None;
        }
        Some((value * 10 + (value >> 8)).to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        let table = [
            (Usual::Web, "10/Oct/2000:13:55:36 -0700", Some((2000, 10, 10, 13, 55, 36))),
            (Usual::Web, "10/oct/2000:13:55:60", Some((2000, 10, 10, 13, 55, 60))),
            (Usual::Web, "1/Oct/2000:13:55:36 -0700", None),
            (Usual::Web, "10/Okt/2000:13:55:36", None),
            (Usual::Web, "10-Oct/2000:13:55:36", None),
            (Usual::Web, "10/Oct-2000:13:55:36", None),
            (Usual::Web, "10/Oct/2000 13:55:36", None),
            (Usual::Web, "32/Oct/2000:13:55:36", None),
            (Usual::Web, "10/Oct/2000:24:55:36", None),
            (Usual::Web, "10/Oct/2000:13:55:3", None),
            (Usual::Iso(b'T'), "2023-11-14T22:13:20.5", Some((2023, 11, 14, 22, 13, 20))),
            (Usual::Iso(b' '), "2023-11-14 22:13:20", Some((2023, 11, 14, 22, 13, 20))),
            (Usual::Iso(b'T'), "2023-11-14 22:13:20", None),
            (Usual::Iso(b'T'), "2023-13-14T22:13:20", None),
            (Usual::Iso(b'T'), "2023-00-14T22:13:20", None),
            (Usual::Iso(b'T'), "2023-11-00T22:13:20", None),
            (Usual::Iso(b'T'), "2023-11-14T22:60:20", None),
            (Usual::Iso(b'T'), "2023-11-14T22:13:61", None),
            (Usual::Syslog, "Oct 11 22:14:15 host", Some((0, 10, 11, 22, 14, 15))),
            (Usual::Syslog, "Oct  1 22:14:15", Some((0, 10, 1, 22, 14, 15))),
            (Usual::Syslog, "Oct 1 22:14:15 x", None),
            (Usual::Syslog, "Oct  0 22:14:15", None),
            (Usual::Syslog, "Oct\t11 22:14:15", None),
            (Usual::Clock, "22:14:15", Some((0, 0, 0, 22, 14, 15))),
            (Usual::Clock, "2:14:15.", None),
            (Usual::Clock, "", None),
        ];
        for (usual, text, expected) in table {
            let mut fields = Fields::default();
            let read = try_usual(usual, text.as_bytes(), &mut fields).map(|_| {
                let Fields { year, month, day, hour, minute, second, .. } = fields;
                (year, month, day, hour, minute, second)
            });
            assert_eq!(read, expected, "{usual:?} {text:?}");
        }
    }

    #[test]
    fn pairs_take_digits_and_separators_only() {
        assert_eq!(CLOCK.pairs(b"12:34:56", 0).map(|p| (p[0], p[3], p[6])), Some((12, 34, 56)));
        assert_eq!(CLOCK.pairs(b"99:99:99", 0).map(|p| (p[0], p[3], p[6])), Some((99, 99, 99)));
        for at in 0..8 {
            for b in 0..=255u8 {
                let mut text = *b"00:00:00";
                text[at] = b;
                let fits = if at % 3 == 2 { b == b':' } else { b.is_ascii_digit() };
                assert_eq!(CLOCK.pairs(&text, 0).is_some(), fits, "{at} {b:#x}");
            }
        }
    }
}
