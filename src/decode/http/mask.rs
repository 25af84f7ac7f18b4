//! Hiding secrets: values of named parameters, passwords in URLs.

use memchr::{memchr, memchr3, memmem, memrchr};

/// What stands in place of a secret.
const HIDDEN: &[u8] = b"xxxxx";
/// Longest name that is compared, in bytes as written: no keyword is longer when its letters are percent-encoded.
const NAME_MAX: usize = 256;
/// How far behind a name its part of a multipart form may begin, in bytes: the part's other header lines.
const PART_HEAD_MAX: usize = 1024;

/// Appends `query` (`a=b&c=d`); the values of parameters that are among `keywords` (in lower case) are hidden.
pub(super) fn parameters(query: &[u8], keywords: &[Vec<u8>], out: &mut Vec<u8>) {
    if keywords.is_empty() {
        return out.extend_from_slice(query);
    }
    let mut rest = query;
    loop {
        let end = rest.iter().position(|b| matches!(b, b'&' | b';')).unwrap_or(rest.len());
        let pair = rest.get(..end).unwrap_or_default();
        match memchr(b'=', pair) {
            Some(at) if is_secret(pair.get(..at).unwrap_or_default(), keywords) => {
                out.extend_from_slice(pair.get(..=at).unwrap_or_default());
                out.extend_from_slice(HIDDEN);
            }
            _ => out.extend_from_slice(pair),
        }
        match rest.get(end) {
            Some(separator) => out.push(*separator),
            None => return,
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
}

/// Appends text of any kind: a head, a header's value, a body. Hidden are the values of `name=value`, `"name": value` (JSON),
/// `<name>value<` and parts `name` of multipart forms, and the passwords in `scheme://user:password@`.
pub(super) fn text(text: &[u8], keywords: &[Vec<u8>], out: &mut Vec<u8>) {
    if memchr(b'@', text).is_none() || memmem::find(text, b"://").is_none() {
        return named(text, keywords, out);
    }
    let mut without = Vec::with_capacity(text.len());
    passwords(text, &mut without);
    named(&without, keywords, out);
}

/// Hides what stands between `user:` and `@` in URLs.
fn passwords(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memmem::find(rest, b"://") {
        let (before, place) = rest.split_at_checked(at + 3).unwrap_or((rest, &[]));
        out.extend_from_slice(before);
        let ends = |b: &u8| matches!(b, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>') || b.is_ascii_whitespace();
        let end = place.iter().position(ends).unwrap_or(place.len());
        let (place, after) = place.split_at_checked(end).unwrap_or((place, &[]));
        let info = memrchr(b'@', place).and_then(|at| place.split_at_checked(at));
        match info.and_then(|(info, host)| Some((info.get(..=memchr(b':', info)?)?, host))) {
            Some((user, host)) => {
                out.extend_from_slice(user);
                out.extend_from_slice(HIDDEN);
                out.extend_from_slice(host);
            }
            None => out.extend_from_slice(place),
        }
        rest = after;
    }
    out.extend_from_slice(rest);
}

fn named(text: &[u8], keywords: &[Vec<u8>], out: &mut Vec<u8>) {
    if keywords.is_empty() {
        return out.extend_from_slice(text);
    }
    // Everything before `done` is in `out`; names are looked for from `at` on.
    let (mut done, mut at) = (0, 0);
    while let Some(found) = memchr3(b'=', b':', b'>', text.get(at..).unwrap_or_default()) {
        let sign = at + found;
        at = sign + 1;
        let (before, after) = (text.get(done..sign).unwrap_or_default(), text.get(sign + 1..).unwrap_or_default());
        let Some((skip, len)) = secret(before, text.get(sign).copied().unwrap_or(0), after, keywords) else { continue };
        let begin = sign + 1 + skip;
        out.extend_from_slice(text.get(done..begin).unwrap_or_default());
        if len > 0 {
            out.extend_from_slice(HIDDEN);
        }
        done = (begin + len).min(text.len());
        at = done;
    }
    out.extend_from_slice(text.get(done..).unwrap_or_default());
}

/// Where in `after` the secret stands that `before` and `sign` announce, and its length.
fn secret(before: &[u8], sign: u8, after: &[u8], keywords: &[Vec<u8>]) -> Option<(usize, usize)> {
    match sign {
        b'=' => {
            let name = last_word(before);
            if name.eq_ignore_ascii_case(b"name") {
                return multipart(after, keywords);
            }
            if !is_secret(name, keywords) {
                return None;
            }
            Some(match after.first() {
                Some(quote @ (b'"' | b'\'')) => (1, quoted(after.get(1..)?, *quote)),
                _ => (0, after.iter().position(|b| ends_value(*b)).unwrap_or(after.len())),
            })
        }
        b':' => {
            let name = before.trim_ascii_end().strip_suffix(b"\"")?;
            let name = name.get(memrchr(b'"', name)? + 1..)?;
            if !is_secret(name, keywords) {
                return None;
            }
            let skip = after.len() - after.trim_ascii_start().len();
            let value = after.get(skip..)?;
            Some(match value.first()? {
                b'"' => (skip + 1, quoted(value.get(1..)?, b'"')),
                b'{' | b'[' => (skip, nested(value)),
                _ => {
                    let ends = |b: &u8| matches!(b, b',' | b'}' | b']') || b.is_ascii_whitespace();
                    (skip, value.iter().position(ends).unwrap_or(value.len()))
                }
            })
        }
        _ => {
            let name = before.get(memrchr(b'<', before)? + 1..)?;
            let name = name.split(u8::is_ascii_whitespace).next()?;
            is_secret(name, keywords).then(|| (0, memchr(b'<', after).unwrap_or(after.len())))
        }
    }
}

/// Where an unquoted value of `name=value` ends.
fn ends_value(b: u8) -> bool {
    matches!(b, b'&' | b';' | b'"' | b'\'' | b'<' | b'>') || b.is_ascii_whitespace()
}

/// The name before a `=`.
fn last_word(before: &[u8]) -> &[u8] {
    let far = before.len().saturating_sub(NAME_MAX);
    let near = before.get(far..).unwrap_or_default();
    let begins = |b: &u8| ends_value(*b) || matches!(b, b'?' | b',' | b'(' | b'{');
    let at = near.iter().rposition(begins).map_or(0, |at| at + 1);
    near.get(at..).unwrap_or_default()
}

/// Bytes up to the closing quote; all when there is none.
fn quoted(text: &[u8], quote: u8) -> usize {
    let mut escaped = false;
    let close = text.iter().position(|b| {
        let is_end = *b == quote && !escaped;
        escaped = *b == b'\\' && !escaped;
        is_end
    });
    close.unwrap_or(text.len())
}

/// Bytes of a JSON array or object.
fn nested(text: &[u8]) -> usize {
    let (mut depth, mut at) = (0u32, 0);
    while let Some(b) = text.get(at) {
        at += 1;
        match b {
            b'{' | b'[' => depth = depth.saturating_add(1),
            b'}' | b']' if depth <= 1 => return at,
            b'}' | b']' => depth -= 1,
            b'"' => at += 1 + quoted(text.get(at..).unwrap_or_default(), b'"'),
            _ => {}
        }
    }
    text.len()
}

/// The content of the part of a form (RFC 7578) whose name follows.
fn multipart(after: &[u8], keywords: &[Vec<u8>]) -> Option<(usize, usize)> {
    let text = after.strip_prefix(b"\"")?;
    let close = quoted(text.get(..NAME_MAX.min(text.len()))?, b'"');
    if !is_secret(text.get(..close)?, keywords) {
        return None;
    }
    let rest = after.get(close + 1..)?;
    let head = memmem::find(rest.get(..PART_HEAD_MAX.min(rest.len()))?, b"\r\n\r\n")?;
    let begin = close + 1 + head + 4;
    let content = after.get(begin..)?;
    Some((begin, memmem::find(content, b"\r\n--").unwrap_or(content.len())))
}

/// Whether a name, in which bytes may be percent-encoded, is among the keywords.
pub(super) fn is_secret(name: &[u8], keywords: &[Vec<u8>]) -> bool {
    if name.is_empty() || name.len() > NAME_MAX {
        return false;
    }
    keywords.iter().any(|k| k.len() <= name.len() && decoded(name).eq(k.iter().copied()))
}

/// The bytes of a name, percent signs and `+` undone, in lower case.
fn decoded(name: &[u8]) -> impl Iterator<Item = u8> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let b = *name.get(at)?;
        at += 1;
        let hex = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16));
        Some(match (b, hex(name.get(at)), hex(name.get(at + 1))) {
            (b'%', Some(high), Some(low)) => {
                at += 2;
                u8::try_from(high << 4 | low).unwrap_or(b)
            }
            (b'+', ..) => b' ',
            _ => b,
        })
    })
    .map(|b| b.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keywords() -> Vec<Vec<u8>> {
        vec![b"pass".to_vec(), b"token".to_vec()]
    }

    fn query(q: &str) -> String {
        let mut out = Vec::new();
        parameters(q.as_bytes(), &keywords(), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn hidden(t: &str) -> String {
        let mut out = Vec::new();
        text(t.as_bytes(), &keywords(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn parameters_of_a_query() {
        assert_eq!(query("user=me&pass=secret&x"), "user=me&pass=xxxxx&x");
        assert_eq!(query("PASS=secret;token=;passes=1"), "PASS=xxxxx;token=xxxxx;passes=1");
        assert_eq!(query("p%61ss=a=b&&pass"), "p%61ss=xxxxx&&pass");
        assert_eq!(query(""), "");
    }

    #[test]
    fn secrets_in_texts() {
        for (from, to) in [
            ("GET /a?user=me&pass=secret HTTP/1.1\r\n", "GET /a?user=me&pass=xxxxx HTTP/1.1\r\n"),
            ("GET /a?p%61SS=secret HTTP/1.1\r\n", "GET /a?p%61SS=xxxxx HTTP/1.1\r\n"),
            ("Referer: http://x/?token=a,b", "Referer: http://x/?token=xxxxx"),
            ("Digest user=\"a\", pass=\"b c\", x=1", "Digest user=\"a\", pass=\"xxxxx\", x=1"),
            (r#"{"pass" : "a\"b", "n": 1, "token":12}"#, r#"{"pass" : "xxxxx", "n": 1, "token":xxxxx}"#),
            (r#"{"pass":{"a":["}"]},"b":1}"#, r#"{"pass":xxxxx,"b":1}"#),
            ("<user>a</user><Pass x='1'>b</Pass>", "<user>a</user><Pass x='1'>xxxxx</Pass>"),
            ("name=\"pass\"\r\nA: b\r\n\r\nse\r\ncret\r\n--x", "name=\"pass\"\r\nA: b\r\n\r\nxxxxx\r\n--x"),
            ("http://me:pw@h/?a=b", "http://me:xxxxx@h/?a=b"),
            ("http://me@h/ ftp://a:b@c", "http://me@h/ ftp://a:xxxxx@c"),
            ("bypass=1&pass", "bypass=1&pass"),
            ("pass=", "pass="),
            ("\"pass\":", "\"pass\":"),
        ] {
            assert_eq!(hidden(from), to);
        }
    }

    #[test]
    fn nothing_is_lost_of_other_text() {
        let text_ = "a=b&c: d > e = \"f\" name=\"x\" {\"g\": [1]}";
        assert_eq!(hidden(text_), text_);
    }
}
