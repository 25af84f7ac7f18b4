//! The `/pattern/imx` form of a pattern.

/// A pattern without its delimiters, and what its flags said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Delimited<'a> {
    pub(super) pattern: &'a str,
    /// Byte offset of `pattern` in what the user wrote.
    pub(super) offset: usize,
    /// `i`: letters match in either case.
    pub(super) ignore_case: bool,
    /// `m`: the dot matches a newline too.
    pub(super) dot_all: bool,
    /// `x`: blanks and `#` comments mean nothing.
    pub(super) extended: bool,
}

/// Takes `/…/` with flags `i`, `m`, `x` (and `o`, which says nothing) off. Text with any other flag, or without
/// a second slash, is a pattern as it stands.
pub(super) fn strip(text: &str) -> Delimited<'_> {
    let whole = Delimited { pattern: text, ..Delimited::default() };
    let Some(body) = text.strip_prefix('/') else { return whole };
    let Some((pattern, flags)) = body.rsplit_once('/') else { return whole };
    let mut found = Delimited { pattern, offset: 1, ..Delimited::default() };
    for flag in flags.chars() {
        match flag {
            'i' => found.ignore_case = true,
            'm' => found.dot_all = true,
            'x' => found.extended = true,
            'o' => {}
            _ => return whole,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, pattern: &str, flags: &str) {
        let found = strip(text);
        let mut seen = String::new();
        for (on, flag) in [(found.ignore_case, 'i'), (found.dot_all, 'm'), (found.extended, 'x')] {
            if on {
                seen.push(flag);
            }
        }
        assert_eq!((found.pattern, seen.as_str()), (pattern, flags), "{text}");
        assert_eq!(&text[found.offset..found.offset + pattern.len()], pattern, "{text}");
    }

    #[test]
    fn slashes_and_flags() {
        check("a/b", "a/b", "");
        check("/a/b/", "a/b", "");
        check("/a/i", "a", "i");
        check("/a/xmio", "a", "imx");
        check("/a/o", "a", "");
        check("/a/g", "/a/g", "");
        check("/a", "/a", "");
        check("/", "/", "");
        check("//", "", "");
        check("", "", "");
    }
}
