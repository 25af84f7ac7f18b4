//! The words in times: months, days of the week, zone abbreviations.

/// English month names; the first three letters are the short form.
pub(crate) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// English day names from Sunday; the first three letters are the short form.
pub(crate) const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The month (1 to 12) at the start of `text`, full or short, in any case, with its length in bytes.
pub(super) fn month(text: &[u8]) -> Option<(u8, usize)> {
    let month = short_month(*text.first_chunk()?)?;
    Some((month, name_len(text, MONTHS.get(usize::from(month) - 1)?)))
}

/// The month (1 to 12) of a short name, in any case.
#[inline]
pub(super) fn short_month(name: [u8; 3]) -> Option<u8> {
    let folded = fold(&name);
    let (known, month) = MONTH_SLOTS[month_slot(folded)];
    (folded == known).then_some(month)
}

/// Short month names in a table in which each has a place of its own: one look finds a month.
const MONTH_SLOTS: [(u32, u8); 16] = {
    let mut slots = [(0, 0); 16];
    let mut n = 0;
    while n < 12 {
        let name = MONTHS[n].as_bytes();
        let folded = fold(&[name[0], name[1], name[2]]);
        assert!(slots[month_slot(folded)].1 == 0);
        slots[month_slot(folded)] = (folded, n as u8 + 1);
        n += 1;
    }
    slots
};

const fn month_slot(folded: u32) -> usize {
    // The smallest factor that keeps the twelve apart.
    (folded.wrapping_mul(0x67e4) >> 28) as usize
}

/// The length in bytes of the day of the week at the start of `text`, full or short, in any case.
pub(super) fn weekday(text: &[u8]) -> Option<usize> {
    let folded = fold(text.first_chunk()?);
    let name = DAYS.iter().find(|name| name.as_bytes().first_chunk().map(fold) == Some(folded))?;
    Some(name_len(text, name))
}

/// The zone abbreviation at the start of `text`, in any case: seconds east of UTC, and its length in bytes.
///
/// It ends where letters and digits end, so that `CE` is not taken from `CEST`.
pub(super) fn zone(text: &[u8]) -> Option<(i32, usize)> {
    let len = text.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
    let word = text.get(..len)?;
    if let [letter] = word {
        return Some((military(letter.to_ascii_uppercase())? * 3600, 1));
    }
    let &(_, quarters) = ZONES.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word))?;
    Some((quarters * 900, len))
}

/// Hours east of UTC of a one-letter zone; J is the observer's own time and has none.
fn military(letter: u8) -> Option<i32> {
    let n = i32::from(letter) - i32::from(b'A');
    Some(match letter {
        b'A'..=b'I' => n + 1,
        b'K'..=b'M' => n,
        b'N'..=b'Y' => 12 - n,
        b'Z' => 0,
        _ => return None,
    })
}

/// Three bytes in one number, letters in lower case. No other byte becomes a letter by this.
const fn fold(word: &[u8; 3]) -> u32 {
    u32::from_le_bytes([word[0], word[1], word[2], 0]) | 0x20_2020
}

/// Length of `name` when all of it stands there, else that of its short form.
#[inline]
fn name_len(text: &[u8], name: &str) -> usize {
    // Most often a separator follows the short form, and one look is enough.
    if !text.get(3).is_some_and(u8::is_ascii_alphabetic) {
        return 3;
    }
    match text.get(..name.len()) {
        Some(word) if word.eq_ignore_ascii_case(name.as_bytes()) => name.len(),
        _ => 3,
    }
}

/// Abbreviations and their quarters of an hour east of UTC. Where several places share one (CST, IST), the one that logs
/// mean most often is here.
const ZONES: &[(&str, i32)] = &[
    ("UTC", 0),
    ("GMT", 0),
    ("UT", 0),
    // North America
    ("EST", -20),
    ("EDT", -16),
    ("CST", -24),
    ("CDT", -20),
    ("MST", -28),
    ("MDT", -24),
    ("PST", -32),
    ("PDT", -28),
    ("AKST", -36),
    ("AKDT", -32),
    ("HST", -40),
    ("HADT", -36),
    ("AST", -16),
    ("ADT", -12),
    ("NST", -14),
    ("NDT", -10),
    // Europe
    ("WET", 0),
    ("WEST", 4),
    ("CET", 4),
    ("CEST", 8),
    ("EET", 8),
    ("EEST", 12),
    ("MSK", 12),
    // South America
    ("ART", -12),
    ("BRT", -12),
    ("BRST", -8),
    ("CLT", -16),
    ("CLST", -12),
    // Australia, New Zealand
    ("AEST", 40),
    ("AEDT", 44),
    ("ACST", 38),
    ("ACDT", 42),
    ("AWST", 32),
    ("NZST", 48),
    ("NZDT", 52),
    // Asia
    ("JST", 36),
    ("KST", 36),
    ("SGT", 32),
    ("IST", 22),
    ("GST", 16),
    ("ICT", 28),
    ("WIB", 28),
    ("WITA", 32),
    ("WIT", 36),
    ("MYT", 32),
    ("BDT", 24),
    ("NPT", 23),
    // Africa
    ("WAT", 4),
    ("CAT", 8),
    ("EAT", 12),
    ("SAST", 8),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_and_days() {
        for (n, name) in MONTHS.iter().enumerate() {
            let month_number = n as u8 + 1;
            assert_eq!(month(name.to_uppercase().as_bytes()), Some((month_number, name.len())));
            assert_eq!(month(name[..3].to_lowercase().as_bytes()), Some((month_number, 3)));
            assert_eq!(month(format!("{}x", &name[..3]).as_bytes()), Some((month_number, 3)));
        }
        for name in DAYS {
            assert_eq!(weekday(name.as_bytes()), Some(name.len()));
            assert_eq!(weekday(&name.as_bytes()[..3]), Some(3));
        }
        for bad in ["", "Ja", "Jxn", "\x0aan", "J\x01N", "\u{e9}an"] {
            assert_eq!(month(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(weekday(b"Xyz"), None);
    }

    #[test]
    fn zones() {
        let table: &[(&str, Option<(i32, usize)>)] = &[
            ("CEST", Some((7200, 4))),
            ("cet x", Some((3600, 3))),
            ("NPT", Some((20_700, 3))),
            ("NST", Some((-12_600, 3))),
            ("ACDT", Some((37_800, 4))),
            ("CESTX", None),
            ("Z", Some((0, 1))),
            ("A", Some((3600, 1))),
            ("I", Some((9 * 3600, 1))),
            ("J", None),
            ("K", Some((10 * 3600, 1))),
            ("m", Some((12 * 3600, 1))),
            ("N", Some((-3600, 1))),
            ("Y", Some((-12 * 3600, 1))),
            ("", None),
            ("+01", None),
        ];
        for &(text, expected) in table {
            assert_eq!(zone(text.as_bytes()), expected, "{text:?}");
        }
    }
}
