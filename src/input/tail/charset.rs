//! The encodings a file may be written in: their names, and where in their bytes lines end and characters begin.

use super::long::cut_at;
use crate::conf::FromConf;
use crate::util::suggest::nearest;

/// What a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// As the mark at its head says; UTF-8 without one.
    Auto,
    /// UTF-8, or anything whose bytes are to be delivered as they are.
    Plain,
    /// UTF-8; what is none is replaced.
    Utf8,
    /// UTF-16, low byte first.
    Utf16Le,
    /// UTF-16, high byte first.
    Utf16Be,
    /// Shift JIS as Windows has it.
    ShiftJis,
    /// Unified Hangul Code, which holds EUC-KR.
    Uhc,
    /// GBK.
    Gbk,
    /// GB 18030.
    Gb18030,
    /// Big5.
    Big5,
    /// EUC-JP.
    EucJp,
    /// A code page of one byte per character, by its number.
    Page(u16),
}

/// A value of Unicode.Encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unicode(pub Charset);

/// A value of Generic.Encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generic(pub Charset);

/// Each encoding with its names, the one to recommend first.
const UNICODE: &[(Charset, &[&str])] = &[
    (Charset::Auto, &["auto"]),
    (Charset::Utf16Le, &["UTF-16LE", "UTF16LE", "UTF-16-LE", "UTF16-LE"]),
    (Charset::Utf16Be, &["UTF-16BE", "UTF16BE", "UTF-16-BE", "UTF16-BE"]),
    (Charset::Utf8, &["UTF-8", "UTF8"]),
];
const GENERIC: &[(Charset, &[&str])] = &[
    (Charset::ShiftJis, &["ShiftJIS", "SJIS", "Shift_JIS", "Shift-JIS", "CP932", "Windows-31J"]),
    (Charset::Uhc, &["UHC", "CP949", "Windows-949", "EUC-KR", "EUCKR"]),
    (Charset::Gbk, &["GBK", "CP936", "Windows-936"]),
    (Charset::Gb18030, &["GB18030", "GB-18030"]),
    (Charset::Big5, &["Big5", "Big-5", "CP950", "Windows-950"]),
    (Charset::EucJp, &["EUC-JP", "EUCJP"]),
    (Charset::Page(866), &["Win866", "CP866", "IBM866", "Windows-866"]),
    (Charset::Page(874), &["Win874", "CP874", "Windows-874"]),
    (Charset::Page(1250), &["Win1250", "CP1250", "Windows-1250"]),
    (Charset::Page(1251), &["Win1251", "CP1251", "Windows-1251"]),
    (Charset::Page(1252), &["Win1252", "CP1252", "Windows-1252"]),
    (Charset::Page(1253), &["Win1253", "CP1253", "Windows-1253"]),
    (Charset::Page(1254), &["Win1254", "CP1254", "Windows-1254"]),
    (Charset::Page(1255), &["Win1255", "CP1255", "Windows-1255"]),
    (Charset::Page(1256), &["Win1256", "CP1256", "Windows-1256"]),
    (Charset::Page(1257), &["Win1257", "CP1257", "Windows-1257"]),
    (Charset::Page(1258), &["Win1258", "CP1258", "Windows-1258"]),
];

impl FromConf for Unicode {
    const KIND: &'static str = "one of: auto UTF-8 UTF-16LE UTF-16BE";
    const EXAMPLE: &'static str = "auto";
    fn from_conf(text: &str) -> Result<Self, String> {
        named(text, UNICODE, GENERIC, "Generic.Encoding").map(Self)
    }
}

impl FromConf for Generic {
    const KIND: &'static str = "one of: ShiftJIS UHC GBK GB18030 Big5 EUC-JP EUC-KR Win866 Win874 Win1250 … Win1258";
    const EXAMPLE: &'static str = "ShiftJIS";
    fn from_conf(text: &str) -> Result<Self, String> {
        named(text, GENERIC, UNICODE, "Unicode.Encoding").map(Self)
    }
}

type Names = [(Charset, &'static [&'static str])];

fn named(text: &str, own: &Names, others: &Names, their_key: &str) -> Result<Charset, String> {
    let find = |names: &Names| {
        names.iter().find(|(_, names)| names.iter().any(|n| n.eq_ignore_ascii_case(text))).map(|(charset, _)| *charset)
    };
    if let Some(charset) = find(own) {
        return Ok(charset);
    }
    if find(others).is_some() {
        return Err(format!("'{text}' is a value of {their_key}"));
    }
    let all = own.iter().flat_map(|(_, names)| names.iter().copied());
    Err(match nearest(text, all) {
        Some(name) => format!("the encoding '{text}' is not known; did you mean '{name}'?"),
        None => {
            let first: Vec<&str> = own.iter().filter_map(|(_, names)| names.first().copied()).collect();
            format!("the encoding '{text}' is not known; there are {}", first.join(", "))
        }
    })
}

impl Charset {
    /// The name to show.
    pub fn name(self) -> &'static str {
        let mut all = UNICODE.iter().chain(GENERIC);
        all.find(|(c, _)| *c == self).and_then(|(_, names)| names.first().copied()).unwrap_or("plain")
    }

    /// What a file is written in that begins with `head`, and the length of the mark there. `None` when more of the
    /// file is needed to tell; three bytes are enough.
    pub fn at_head(self, head: &[u8]) -> Option<(Self, usize)> {
        const MARKS: [(Charset, &[u8]); 3] = [
            (Charset::Utf8, &[0xef, 0xbb, 0xbf]),
            (Charset::Utf16Le, &[0xff, 0xfe]),
            (Charset::Utf16Be, &[0xfe, 0xff]),
        ];
        let of_this = |&(charset, _): &(Charset, &[u8])| self == Self::Auto || self == charset;
        for (charset, mark) in MARKS.into_iter().filter(of_this) {
            if head.starts_with(mark) {
                return Some((charset, mark.len()));
            }
            if mark.starts_with(head) {
                return None;
            }
        }
        Some((self.or_utf8(), 0))
    }

    /// The same, or UTF-8 for a file without a mark.
    pub fn or_utf8(self) -> Self {
        if self == Self::Auto { Self::Utf8 } else { self }
    }

    /// Bytes that go together everywhere in a file.
    pub fn unit(self) -> usize {
        if self.is_wide() { 2 } else { 1 }
    }

    fn is_wide(self) -> bool {
        matches!(self, Self::Utf16Le | Self::Utf16Be)
    }

    /// How many of `n` bytes from a line's start are whole units.
    pub fn whole(self, n: usize) -> usize {
        n - n % self.unit()
    }

    /// Where the first line of `text` ends; its line end is [`Self::unit`] bytes long.
    pub fn line_end(self, text: &[u8]) -> Option<usize> {
        match self {
            Self::Utf16Le => memchr::memchr_iter(b'\n', text).find(|&at| at % 2 == 0 && text.get(at + 1) == Some(&0)),
            Self::Utf16Be => memchr::memchr_iter(b'\n', text)
                .find(|&at| at % 2 == 1 && text.get(at - 1) == Some(&0))
                .map(|at| at - 1),
            _ => memchr::memchr(b'\n', text),
        }
    }

    /// Where what follows the last line of `text` begins. `text` begins with a whole unit.
    pub fn behind_last_line(self, text: &[u8]) -> Option<usize> {
        match self {
            Self::Utf16Le => memchr::memrchr_iter(b'\n', text)
                .find(|&at| at % 2 == 0 && text.get(at + 1) == Some(&0))
                .map(|at| at + 2),
            Self::Utf16Be => memchr::memrchr_iter(b'\n', text)
                .find(|&at| at % 2 == 1 && text.get(at - 1) == Some(&0))
                .map(|at| at + 1),
            _ => memchr::memrchr(b'\n', text).map(|at| at + 1),
        }
    }

    /// A line without the carriage return at its end.
    pub fn without_cr(self, line: &[u8]) -> &[u8] {
        let cr: &[u8] = match self {
            Self::Utf16Le => b"\r\0",
            Self::Utf16Be => b"\0\r",
            _ => b"\r",
        };
        line.strip_suffix(cr).filter(|rest| rest.len() % self.unit() == 0).unwrap_or(line)
    }

    /// Where to cut `text`, which is longer than `max` and begins with a character: not inside one.
    pub fn cut_at(self, text: &[u8], max: usize) -> usize {
        match self {
            Self::Auto | Self::Plain | Self::Utf8 => cut_at(text, max),
            Self::Page(_) => max,
            Self::Utf16Le | Self::Utf16Be => {
                let max = self.whole(max).max(2);
                let high = usize::from(self == Self::Utf16Le);
                let leads = text.get(max - 2 + high).is_some_and(|b| b & 0xfc == 0xd8);
                if leads && max > 2 { max - 2 } else { max }
            }
            _ => {
                let mut at = 0;
                while let Some(rest) = text.get(at..) {
                    let next = at + self.width(rest);
                    if next > max {
                        break;
                    }
                    at = next;
                }
                if at == 0 { max } else { at }
            }
        }
    }

    /// How many bytes the character at the start of `text` has, in an encoding of one to four.
    fn width(self, text: &[u8]) -> usize {
        let first = text.first().copied().unwrap_or(0);
        match (self, first) {
            (Self::ShiftJis, 0x81..=0x9f | 0xe0..=0xfc) => 2,
            (Self::EucJp, 0x8f) => 3,
            (Self::EucJp, 0x8e | 0xa1..=0xfe) => 2,
            (Self::Gb18030 | Self::Gbk, 0x81..=0xfe) if matches!(text.get(1), Some(b'0'..=b'9')) => 4,
            (Self::Gb18030 | Self::Gbk | Self::Uhc | Self::Big5, 0x81..=0xfe) => 2,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_case() {
        for (text, expected) in [
            ("AUTO", Charset::Auto),
            ("utf-8", Charset::Utf8),
            ("utf-16le", Charset::Utf16Le),
            ("UTF16BE", Charset::Utf16Be),
        ] {
            assert_eq!(Unicode::from_conf(text), Ok(Unicode(expected)), "{text}");
        }
        for (text, expected) in [
            ("sjis", Charset::ShiftJis),
            ("cp949", Charset::Uhc),
            ("windows-1252", Charset::Page(1252)),
            ("Win866", Charset::Page(866)),
            ("euc-jp", Charset::EucJp),
        ] {
            assert_eq!(Generic::from_conf(text), Ok(Generic(expected)), "{text}");
        }
    }

    #[test]
    fn other_names_are_refused_with_advice() {
        let why = |text| Generic::from_conf(text).unwrap_err();
        assert!(why("ShifJIS").contains("'ShiftJIS'"), "{}", why("ShifJIS"));
        assert!(why("Win1259").contains("did you mean 'Win125"), "{}", why("Win1259"));
        assert!(why("utf-16le").contains("Unicode.Encoding"), "{}", why("utf-16le"));
        assert!(why("klingonese").contains("Win1258"), "{}", why("klingonese"));
        assert!(Unicode::from_conf("utf-16").unwrap_err().contains("did you mean 'UTF-16"));
        assert!(Unicode::from_conf("SJIS").unwrap_err().contains("Generic.Encoding"));
    }

    #[test]
    fn marks_at_the_head() {
        let check = |charset: Charset, head: &[u8], expected| assert_eq!(charset.at_head(head), expected, "{head:x?}");
        check(Charset::Auto, b"\xff\xfea", Some((Charset::Utf16Le, 2)));
        check(Charset::Auto, b"\xfe\xff", Some((Charset::Utf16Be, 2)));
        check(Charset::Auto, b"\xef\xbb\xbf", Some((Charset::Utf8, 3)));
        check(Charset::Auto, b"\xef\xbb", None);
        check(Charset::Auto, b"", None);
        check(Charset::Auto, b"a", Some((Charset::Utf8, 0)));
        check(Charset::Utf16Le, b"\xff\xfe", Some((Charset::Utf16Le, 2)));
        check(Charset::Utf16Le, b"a\0", Some((Charset::Utf16Le, 0)));
        check(Charset::Utf16Be, b"\xff\xfe", Some((Charset::Utf16Be, 0)));
        check(Charset::Page(1252), b"\xef\xbb\xbf", Some((Charset::Page(1252), 0)));
    }

    #[test]
    fn line_ends_are_whole_units() {
        // U+0A41 and U+410A hold the byte, but are no line end; U+0A00 and U+000A side by side neither.
        let be = b"\x0a\x41\x41\x0a\x0a\x00\x00\x0a\x00\x0a\x00b";
        assert_eq!((Charset::Utf16Be.line_end(be), Charset::Utf16Be.behind_last_line(be)), (Some(6), Some(10)));
        let le = b"\x0a\x41\x41\x0a\x00\x0a\x0a\x00\x0a\x00b";
        assert_eq!((Charset::Utf16Le.line_end(le), Charset::Utf16Le.behind_last_line(le)), (Some(6), Some(10)));
        assert_eq!(Charset::Utf16Le.line_end(b"\x0a"), None);
        assert_eq!(Charset::Utf16Le.behind_last_line(b"\x0a\x41"), None);
    }

    #[test]
    fn carriage_returns() {
        assert_eq!(Charset::Utf16Le.without_cr(b"a\0\r\0"), b"a\0");
        assert_eq!(Charset::Utf16Be.without_cr(b"\0a\0\r"), b"\0a");
        assert_eq!(Charset::Utf16Be.without_cr(b"a\0\r"), b"a\0\r", "half a unit");
        assert_eq!(Charset::ShiftJis.without_cr(b"a\r\r"), b"a\r");
    }

    #[test]
    fn cuts_between_characters() {
        let check =
            |charset: Charset, text: &[u8], max, expected| assert_eq!(charset.cut_at(text, max), expected, "{text:x?}");
        check(Charset::ShiftJis, b"a\x82\xb1\x82\xf1", 4, 3);
        check(Charset::ShiftJis, b"\xb1\xb2\xb3\xb4", 3, 3);
        check(Charset::Gb18030, b"\x81\x30\x81\x30a", 3, 3);
        check(Charset::Gb18030, b"a\x81\x30\x81\x30a", 4, 1);
        check(Charset::EucJp, b"aa\x8f\xa2\xafb", 4, 2);
        check(Charset::Utf16Le, b"a\0\x3d\xd8\x00\xdea\0", 4, 2);
        check(Charset::Utf16Be, b"\0a\xd8\x3d\xde\x00\0a", 5, 2);
        check(Charset::Utf16Be, b"\0a\0b\0c", 5, 4);
        check(Charset::Utf16Be, b"\0a\0b", 1, 2);
        check(Charset::Utf8, "aé".as_bytes(), 2, 1);
    }
}
