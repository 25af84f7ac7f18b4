//! The words of a rule: a key and what follows it, or several that may stand in quotes.

/// Splits `KEY REST` at the first blank that is not inside the quotes of a record accessor.
pub(super) fn key_and_rest(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let mut quoted = false;
    let at = text.find(|c: char| {
        quoted ^= c == '\'' && text.starts_with('$');
        !quoted && (c == ' ' || c == '\t')
    })?;
    let (key, rest) = text.split_at(at);
    Some((key, rest.trim_start()))
}

/// Splits at blanks. A word may stand in `"…"` or `'…'`; inside, `\` before that quote or another `\` is left out.
///
/// # Errors
/// When a quote is not closed.
pub(super) fn quoted(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if first != '"' && first != '\'' {
            let (word, after) = rest.split_at(rest.find([' ', '\t']).unwrap_or(rest.len()));
            words.push(word.to_owned());
            rest = after.trim_start();
            continue;
        }
        let mut word = String::new();
        let mut chars = rest.char_indices().skip(1).peekable();
        let end = loop {
            match chars.next() {
                None => return Err(format!("a quote is not closed in '{text}'")),
                Some((at, c)) if c == first => break at + 1,
                Some((_, '\\')) if chars.peek().is_some_and(|&(_, c)| c == first || c == '\\') => {
                    word.extend(chars.next().map(|(_, c)| c));
                }
                Some((_, c)) => word.push(c),
            }
        };
        words.push(word);
        rest = rest.get(end..).unwrap_or_default().trim_start();
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_and_rest_of_a_rule() {
        for (text, expected) in [
            ("log ^a b$", Some(("log", "^a b$"))),
            ("  log   x ", Some(("log", "x"))),
            ("$a['b c'] x", Some(("$a['b c']", "x"))),
            ("it's x'y z", Some(("it's", "x'y z"))),
            ("log", None),
            ("", None),
        ] {
            assert_eq!(key_and_rest(text), expected, "{text}");
        }
    }

    #[test]
    fn quoted_words() {
        let table: &[(&str, &[&str])] = &[
            ("a  b\tc", &["a", "b", "c"]),
            (r#"a "b c" d"#, &["a", "b c", "d"]),
            (r#"'it is' "\d+\"x\\" y"#, &["it is", r#"\d+"x\"#, "y"]),
            (r#""" x"#, &["", "x"]),
            (r#"a"b c"#, &["a\"b", "c"]),
            ("  ", &[]),
        ];
        for (text, expected) in table {
            assert_eq!(quoted(text).unwrap(), *expected, "{text}");
        }
        assert!(quoted("a 'b").unwrap_err().contains("not closed"));
    }
}
