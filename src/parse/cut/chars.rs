//! Characters in text that may not be UTF-8: a byte that is no part of one counts as a character by itself.

/// The length of the character at `at`, at least 1.
#[inline]
pub(super) fn width(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let width = match rest.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => return 1,
    };
    match rest.get(1..width) {
        Some(tail) if tail.iter().all(|&b| is_inside(b)) => width,
        _ => 1,
    }
}

/// The character at `at` and its length.
pub(super) fn decode(text: &[u8], at: usize) -> Option<(char, usize)> {
    let width = width(text, at);
    let c = std::str::from_utf8(text.get(at..at + width)?).ok()?.chars().next()?;
    Some((c, width))
}

/// The start of the character that ends before `at`.
pub(super) fn before(text: &[u8], at: usize) -> Option<usize> {
    let mut start = at.checked_sub(1)?;
    while at - start < 4 && start > 0 && text.get(start).is_some_and(|&b| is_inside(b)) {
        start -= 1;
    }
    Some(if start + width(text, start) == at { start } else { at - 1 })
}

/// Whether a byte stands inside a character, not at its start.
#[inline(always)]
pub(super) fn is_inside(b: u8) -> bool {
    b & 0xc0 == 0x80
}

/// Whether `at` is between a word character and another character.
pub(super) fn is_word_boundary(text: &[u8], at: usize, ascii: bool) -> bool {
    let left = match at.checked_sub(1).and_then(|i| text.get(i)) {
        None => false,
        Some(&b) if b.is_ascii() || ascii => is_word_byte(b),
        Some(_) => before(text, at).is_some_and(|start| is_word_char(text, start)),
    };
    let right = match text.get(at) {
        None => false,
        Some(&b) if b.is_ascii() || ascii => is_word_byte(b),
        Some(_) => is_word_char(text, at),
    };
    left != right
}

fn is_word_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

fn is_word_char(text: &[u8], at: usize) -> bool {
    decode(text, at).is_some_and(|(c, _)| regex_syntax::try_is_word_character(c).unwrap_or(false))
}
