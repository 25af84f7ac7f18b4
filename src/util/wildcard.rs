//! The `*` pattern that routes tags: any run of bytes, dots included; everything else is literal.

use memchr::memmem;

/// A compiled tag pattern, as `Match` has it. The whole text must match, case counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wildcard(Shape);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    /// Only stars.
    Any,
    /// No star at all.
    Exact(Box<[u8]>),
    /// Literals with a star between each two of them; head and tail may be empty, the others are not.
    Parts { head: Box<[u8]>, middle: Box<[Box<[u8]>]>, tail: Box<[u8]> },
}

impl Wildcard {
    /// Compiles `pattern`; every text is a valid pattern.
    pub fn new(pattern: impl AsRef<[u8]>) -> Self {
        let pattern = pattern.as_ref();
        let mut parts = pattern.split(|&b| b == b'*');
        let head: Box<[u8]> = parts.next().unwrap_or_default().into();
        let Some(tail) = parts.next_back() else {
            return Self(Shape::Exact(head));
        };
        let middle: Box<[Box<[u8]>]> = parts.filter(|part| !part.is_empty()).map(Into::into).collect();
        if head.is_empty() && middle.is_empty() && tail.is_empty() {
            return Self(Shape::Any);
        }
        Self(Shape::Parts { head, middle, tail: tail.into() })
    }

    /// Whether the whole of `text` matches.
    ///
    /// Taking each middle literal at its leftmost place is right because stars stand on both sides of it: what is
    /// left over is only ever longer. So no step is taken back, and the cost is about the length of the text.
    pub fn is_match(&self, text: &[u8]) -> bool {
        match &self.0 {
            Shape::Any => true,
            Shape::Exact(literal) => **literal == *text,
            Shape::Parts { head, middle, tail } => {
                let Some(mut rest) = text.strip_prefix(&**head).and_then(|t| t.strip_suffix(&**tail)) else {
                    return false;
                };
                for part in middle {
                    let Some(at) = memmem::find(rest, part) else {
                        return false;
                    };
                    rest = rest.get(at + part.len()..).unwrap_or_default();
                }
                true
            }
        }
    }

    /// Whether every text matches.
    pub fn is_any(&self) -> bool {
        self.0 == Shape::Any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn routing_table() {
        let table = [
            ("app.*", "app.log", true),
            ("app.*", "app.", true),
            ("app.*", "app", false),
            ("app*", "app.log", true),
            ("*log", "app.log", true),
            ("*log", "app.logx", false),
            ("a.*.c", "a.b.b.c", true),
            ("*ab", "abab", true),
            ("a*p*g", "app.log", true),
            ("*.*.*", "app.log", false),
            ("app.*", "App.log", false),
            ("*", "", true),
            ("*", "anything", true),
            ("***", "x", true),
            ("", "", true),
            ("", "x", false),
            ("ab*ba", "aba", false),
            ("ab*ba", "abba", true),
            ("a?c", "abc", false),
            ("a?c", "a?c", true),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(Wildcard::new(pattern).is_match(text.as_bytes()), expected, "{pattern} on {text}");
        }
        assert!(Wildcard::new("**").is_any());
        assert!(!Wildcard::new("*a").is_any());
    }

    #[test]
    fn hostile_pattern_stays_linear() {
        let pattern = "a*".repeat(500) + "b";
        let text = "a".repeat(20_000);
        assert!(!Wildcard::new(pattern).is_match(text.as_bytes()));
    }

    fn by_definition(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', rest @ ..] => (0..=text.len()).any(|i| by_definition(rest, &text[i..])),
            [b, rest @ ..] => text.first() == Some(b) && by_definition(rest, &text[1..]),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn equals_the_definition(pattern in "[ab*]{0,7}", text in "[ab]{0,9}") {
            prop_assert_eq!(
                Wildcard::new(&pattern).is_match(text.as_bytes()),
                by_definition(pattern.as_bytes(), text.as_bytes())
            );
        }
    }
}
