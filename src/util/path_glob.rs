//! Shell patterns for file names: `*`, `?`, `[a-z]`, `[!0-9]`, `[[:digit:]]` and `\` before a literal character.
//!
//! There are no braces and no `**`, as in glob(3). Names are bytes; valid UTF-8 in them counts by character.

/// A compiled shell pattern. It knows nothing of `/`: a star crosses it, as in fnmatch(3) without flags.
///
/// [`glob`](super::glob::glob) walks a path component by component, and so keeps stars inside one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathGlob {
    tokens: Box<[Token]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// `?`
    One,
    /// `*`
    Run,
    Set {
        negated: bool,
        ranges: Box<[(u32, u32)]>,
    },
}

impl PathGlob {
    /// Compiles `pattern`. Every text is a valid pattern: an unclosed `[` stands for itself.
    pub fn new(pattern: &[u8]) -> Self {
        let mut tokens = Vec::new();
        let mut rest = pattern;
        while let Some((&b, after)) = rest.split_first() {
            rest = after;
            tokens.push(match (b, after) {
                (b'*', _) if tokens.last() == Some(&Token::Run) => continue,
                (b'*', _) => Token::Run,
                (b'?', _) => Token::One,
                (b'[', _) => match parse_set(after) {
                    Some((set, after_set)) => {
                        rest = after_set;
                        set
                    }
                    None => Token::Byte(b),
                },
                (b'\\', [escaped, after_escaped @ ..]) => {
                    rest = after_escaped;
                    Token::Byte(*escaped)
                }
                _ => Token::Byte(b),
            });
        }
        Self { tokens: tokens.into() }
    }

    /// The one name that matches, when the pattern has neither star, question mark nor set.
    pub fn literal(&self) -> Option<Vec<u8>> {
        self.tokens.iter().map(|token| if let Token::Byte(b) = token { Some(*b) } else { None }).collect()
    }

    /// Whether a name that begins with a dot may match: only when the pattern spells the dot.
    pub fn names_hidden(&self) -> bool {
        self.tokens.first() == Some(&Token::Byte(b'.'))
    }

    /// Whether the whole of `text` matches.
    pub fn is_match(&self, text: &[u8]) -> bool {
        let mut tokens = &*self.tokens;
        let mut rest = text;
        // Where to go on when the literal part after the last star fails: one character further.
        let mut retry: Option<(&[Token], &[u8])> = None;
        loop {
            if let Some((Token::Run, after)) = tokens.split_first() {
                if after.is_empty() {
                    return true;
                }
                tokens = after;
                retry = Some((after, rest));
                continue;
            }
            let taken = match tokens.split_first() {
                None if rest.is_empty() => return true,
                None => None,
                Some((token, after)) => token.take(rest).map(|after_text| (after, after_text)),
            };
            if let Some(next) = taken {
                (tokens, rest) = next;
                continue;
            }
            let Some((again, from)) = retry else { return false };
            let Some((_, further)) = next_char(from) else { return false };
            (tokens, rest) = (again, further);
            retry = Some((again, further));
        }
    }
}

impl Token {
    /// What is left of `text` when its start matches this token, which is not a star.
    fn take<'a>(&self, text: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Self::Byte(own) => text.split_first().filter(|(b, _)| *b == own).map(|(_, after)| after),
            Self::One | Self::Run => next_char(text).map(|(_, after)| after),
            Self::Set { negated, ranges } => {
                let (c, after) = next_char(text)?;
                let inside = ranges.iter().any(|&(low, high)| (low..=high).contains(&c));
                (inside != *negated).then_some(after)
            }
        }
    }
}

/// The set whose text begins after `[`, with what follows it; `None` when it is never closed.
fn parse_set(mut rest: &[u8]) -> Option<(Token, &[u8])> {
    let negated = matches!(rest.first(), Some(b'!' | b'^'));
    if negated {
        rest = rest.get(1..)?;
    }
    let mut ranges = Vec::new();
    let mut first = true;
    loop {
        if let Some((class, after)) = parse_class(rest) {
            ranges.extend_from_slice(class);
            rest = after;
            first = false;
            continue;
        }
        let (mut low, after) = next_char(rest)?;
        rest = after;
        if low == u32::from(b']') && !first {
            return Some((Token::Set { negated, ranges: ranges.into() }, rest));
        }
        if low == u32::from(b'\\') {
            (low, rest) = next_char(rest)?;
        }
        first = false;
        let mut high = low;
        // A `-` that ends the set is itself.
        if let [b'-', ahead @ ..] = rest
            && !ahead.starts_with(b"]")
        {
            (high, rest) = next_char(ahead)?;
            if high == u32::from(b'\\') {
                (high, rest) = next_char(rest)?;
            }
        }
        ranges.push((low, high));
    }
}

/// A class such as `[:digit:]` at the start of `rest`.
fn parse_class(rest: &[u8]) -> Option<(Ranges, &[u8])> {
    CLASSES.iter().find_map(|&(name, ranges)| rest.strip_prefix(name).map(|after| (ranges, after)))
}

/// Inclusive ranges of characters.
type Ranges = &'static [(u32, u32)];

const CLASSES: &[(&[u8], Ranges)] = &[
    (b"[:alnum:]", &[(0x30, 0x39), (0x41, 0x5a), (0x61, 0x7a)]),
    (b"[:alpha:]", &[(0x41, 0x5a), (0x61, 0x7a)]),
    (b"[:digit:]", &[(0x30, 0x39)]),
    (b"[:lower:]", &[(0x61, 0x7a)]),
    (b"[:upper:]", &[(0x41, 0x5a)]),
    (b"[:xdigit:]", &[(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)]),
    (b"[:space:]", &[(0x09, 0x0d), (0x20, 0x20)]),
    (b"[:punct:]", &[(0x21, 0x2f), (0x3a, 0x40), (0x5b, 0x60), (0x7b, 0x7e)]),
];

/// A byte that is no part of valid UTF-8 counts as a character above all real ones.
const INVALID: u32 = 0x11_0000;

/// The first character of `text` and what follows it.
fn next_char(text: &[u8]) -> Option<(u32, &[u8])> {
    let (&first, after) = text.split_first()?;
    if first < 0x80 {
        return Some((u32::from(first), after));
    }
    for len in 2..=4 {
        if let Some((head, after)) = text.split_at_checked(len)
            && let Ok(valid) = std::str::from_utf8(head)
            && let Some(c) = valid.chars().next()
        {
            return Some((u32::from(c), after));
        }
    }
    Some((INVALID + u32::from(first), after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns() {
        let table: &[(&str, &str, bool)] = &[
            ("*.log", "a.log", true),
            ("*.log", "a.log.1", false),
            ("*.log", ".log", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("?", "é", true),
            ("??", "é", false),
            ("[a-c]x", "bx", true),
            ("[a-c]x", "dx", false),
            ("[!a-c]x", "dx", true),
            ("[^a-c]x", "ax", false),
            ("[]a]", "]", true),
            ("[!]a]", "]", false),
            ("[a-]", "-", true),
            ("[à-ý]", "é", true),
            ("[[:digit:]_]*", "7abc", true),
            ("[[:digit:]_]*", "_", true),
            ("[[:digit:]_]*", "a", false),
            ("[\\]]", "]", true),
            ("[a", "[a", true),
            ("[a", "a", false),
            ("[!", "[!", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("a\\", "a\\", true),
            ("{a,b}", "a", false),
            ("{a,b}", "{a,b}", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("/var/log/*.gz", "/var/log/deep/x.gz", true),
            ("**", "", true),
            ("", "", true),
            ("", "a", false),
        ];
        for &(pattern, text, expected) in table {
            assert_eq!(PathGlob::new(pattern.as_bytes()).is_match(text.as_bytes()), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn bytes_that_are_no_text() {
        assert!(PathGlob::new(b"a?b").is_match(b"a\xffb"));
        assert!(PathGlob::new(b"\xff*").is_match(b"\xffx"));
        assert!(!PathGlob::new(b"\xfe*").is_match(b"\xffx"));
        // Two bytes that only together are a character.
        assert!(PathGlob::new(b"\xc2\\\x80").is_match(b"\xc2\x80"));
        assert_eq!(PathGlob::new(b"a\\*\xff\xc3\xa9").literal().unwrap(), b"a*\xff\xc3\xa9");
        assert_eq!(PathGlob::new(b"a*").literal(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn never_panics(pattern: Vec<u8>, text: Vec<u8>) {
            let glob = PathGlob::new(&pattern);
            glob.is_match(&text);
            if let Some(name) = glob.literal() {
                prop_assert!(glob.is_match(&name));
            }
        }

        #[test]
        fn stars_equal_the_tag_wildcard(pattern in "[ab*]{0,7}", text in "[ab]{0,9}") {
            prop_assert_eq!(
                PathGlob::new(pattern.as_bytes()).is_match(text.as_bytes()),
                crate::util::wildcard::Wildcard::new(&pattern).is_match(text.as_bytes())
            );
        }
    }
}
