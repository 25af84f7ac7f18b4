//! JSON of the API as it is to stand in records: read once in full, without blanks, its escapes in their shortest form.

use crate::event::{Batch, Span, Tag};
use crate::fmt::json_read::JsonReader;
use crate::fmt::json_write::{JsonOpts, write_map};

/// What the scratch batch keeps of its memory, in bytes.
const KEEP: usize = 64 << 10;

/// Reads and writes entries of objects. Until then only where they end was looked at.
pub struct Tidy {
    reader: JsonReader,
    batch: Batch,
}

impl Default for Tidy {
    fn default() -> Self {
        Self { reader: JsonReader::default(), batch: Batch::new(Tag::new("tidy")) }
    }
}

impl Tidy {
    /// The entries of an object, given and answered without its braces; `None` when they are none.
    pub fn entries(&mut self, entries: &str) -> Option<String> {
        self.batch.recycle(Tag::new("tidy"), KEEP);
        let arena = self.batch.arena_mut();
        let start = arena.push(b"{");
        arena.push(entries.as_bytes());
        let end = arena.push(b"}");
        let text = Span::between(start.at as usize, end.at as usize + 1);
        let mark = self.batch.begin();
        self.reader.object(&mut self.batch, text).ok()?;
        let mut out = Vec::with_capacity(entries.len() + 2);
        // What is ASCII in the end is for the output to say.
        let opts = JsonOpts { escape_unicode: false, ..JsonOpts::default() };
        write_map(self.batch.since(mark), opts, &mut out);
        let inner = out.strip_prefix(b"{")?.strip_suffix(b"}")?;
        Some(String::from_utf8_lossy(inner).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_long_escapes_go() {
        let mut t = Tidy::default();
        let mut check = |text: &str, want: Option<&str>| assert_eq!(t.entries(text).as_deref(), want, "{text}");
        check("", Some(""));
        check(
            r#" "a" : [ 1, {"b":null} ],  "c":"\u003ca\u003e \"\n\u00e4\/""#,
            Some(r#""a":[1,{"b":null}],"c":"<a> \"\nä/""#),
        );
        check(r#""a":1,"#, None);
        check(r#""a":1},{"b":2"#, None);
    }
}
