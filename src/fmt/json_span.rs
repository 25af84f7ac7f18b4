//! Parts of a JSON text as spans of it, without reading the rest.

use super::json_text;
use super::scan::string_stop;

/// The entries of an object in their order: the key as it is written between its quotes, and the text of the value. Ends at the
/// first thing that is not JSON; what is passed over is only looked at for where it ends.
pub fn entries(object: &[u8]) -> Entries<'_> {
    let at = blank(object, 0);
    let at = if object.get(at) == Some(&b'{') { at + 1 } else { object.len() };
    Entries { text: object, at, first: true }
}

/// The value at the end of a path of keys, as text.
pub fn find<'a>(object: &'a [u8], path: &[&str]) -> Option<&'a [u8]> {
    path.iter().try_fold(object, |object, key| {
        entries(object).find_map(|(name, value)| (name == key.as_bytes()).then_some(value))
    })
}

/// [`find`] for a string, decoded. `None` when it is something else.
pub fn find_text(object: &[u8], path: &[&str]) -> Option<String> {
    text(find(object, path)?)
}

/// What a string says; `None` when the value is something else.
pub fn text(value: &[u8]) -> Option<String> {
    let raw = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut out = Vec::new();
    json_text::decode(raw, &mut out);
    Some(String::from_utf8_lossy(&out).into_owned())
}

/// [`entries`].
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    text: &'a [u8],
    at: usize,
    first: bool,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.step();
        if found.is_none() {
            self.at = self.text.len();
        }
        found
    }
}

impl<'a> Entries<'a> {
    fn step(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let mut at = blank(self.text, self.at);
        if !std::mem::take(&mut self.first) {
            at = blank(self.text, after(self.text, at, b',')?);
        }
        let end = value_end(self.text, after(self.text, at, b'"').map(|_| at)?)?;
        let key = self.text.get(at + 1..end - 1)?;
        let colon = after(self.text, blank(self.text, end), b':')?;
        let from = blank(self.text, colon);
        self.at = value_end(self.text, from)?;
        Some((key, self.text.get(from..self.at)?))
    }
}

/// The elements of an array in their order, as text. Ends at the first thing that is not JSON.
pub fn elements(array: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = after(array, blank(array, 0), b'[');
    let mut first = true;
    std::iter::from_fn(move || {
        let mut from = blank(array, at?);
        if !std::mem::take(&mut first) {
            from = blank(array, after(array, from, b',')?);
        }
        at = value_end(array, from);
        array.get(from..at?)
    })
}

/// Behind this byte, when it stands at `at`.
fn after(text: &[u8], at: usize, byte: u8) -> Option<usize> {
    (text.get(at) == Some(&byte)).then_some(at + 1)
}

fn blank(text: &[u8], from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count()
}

/// Behind the value that begins at `from`.
fn value_end(text: &[u8], from: usize) -> Option<usize> {
    let (mut at, mut depth) = (from, 0usize);
    loop {
        match *text.get(at)? {
            b'"' => at = string_end(text, at + 1)?,
            b'{' | b'[' => (depth, at) = (depth + 1, at + 1),
            b'}' | b']' => (depth, at) = (depth.checked_sub(1)?, at + 1),
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth > 0 => at += 1,
            _ => {
                let rest = text.get(at..)?;
                let len =
                    rest.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.')).count();
                if len == 0 {
                    return None;
                }
                at += len;
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Behind the closing quote of a string whose text begins at `at`.
fn string_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let (stop, _) = string_stop::<true>(text, at);
        match *text.get(stop)? {
            b'"' => return Some(stop + 1),
            b'\\' => at = stop + 2,
            _ => at = stop + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_are_found_as_they_are_written() {
        let text = br#" { "a" : {"b": "x\"}\\", "c":[1, {"d":null}]} , "e":-1.5e3,"f":"\u00e4" }"#;
        let all: Vec<_> = entries(text).map(|(k, v)| (k.to_vec(), String::from_utf8_lossy(v).into_owned())).collect();
        assert_eq!(all.len(), 3);
        assert_eq!(all[1], (b"e".to_vec(), "-1.5e3".to_owned()));
        assert_eq!(find_text(text, &["a", "b"]).as_deref(), Some("x\"}\\"));
        assert_eq!(find_text(text, &["f"]).as_deref(), Some("ä"));
        let array = find(text, &["a", "c"]).unwrap();
        assert_eq!(elements(array).collect::<Vec<_>>(), [&b"1"[..], br#"{"d":null}"#]);
        assert_eq!((find(text, &["a", "x"]), find(text, &["e", "x"])), (None, None));
        assert_eq!((find_text(text, &["e"]), elements(b"[]").count(), elements(b"{}").count()), (None, 0, 0));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[\\[\\]{}\",:\\\\a1 ]{0,60}") {
            let bytes = text.as_bytes();
            let _ = entries(bytes).map(|(_, v)| entries(v).count() + elements(v).count()).sum::<usize>();
            let _ = elements(bytes).count();
        }
    }
}
