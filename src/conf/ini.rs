//! The classic format: `[SECTION]` headers, indented `KEY VALUE` lines, `@INCLUDE` and `@SET` in the first column.
//!
//! Every mistake of every file is reported; reading goes on at the next line.

use std::path::Path;
use std::sync::Arc;

use super::include::Files;
use super::section::{Document, Entry, Section};
use crate::error::{Diags, Place};
use crate::util::suggest::nearest;

/// Reads a main file and everything it includes.
pub fn read(path: &Path, diags: &mut Diags) -> Document {
    let mut files = Files::of(path);
    let mut doc = Document::default();
    if let Some(bytes) = files.read(path, None, diags) {
        Reader::new(&path.display().to_string(), &mut doc, &mut files, diags).text(&bytes);
    }
    empty_sections(&doc, diags);
    doc
}

/// Reads text that is in no file (built-in parsers, tests); it cannot include anything.
pub fn parse(name: &str, text: &[u8], diags: &mut Diags) -> Document {
    let mut doc = Document::default();
    Reader::new(name, &mut doc, &mut Files::none(), diags).text(text);
    empty_sections(&doc, diags);
    doc
}

fn empty_sections(doc: &Document, diags: &mut Diags) {
    for s in doc.sections.iter().filter(|s| s.entries.is_empty()) {
        diags.warn(&s.place, format!("section [{}] has no keys", s.name));
    }
}

/// Where the next entry goes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Target {
    /// No section has begun in this file.
    None,
    /// This section of the document.
    Section(usize),
    /// Nowhere: the header was wrong and has been reported.
    Skip,
}

/// The state of one file.
struct Reader<'a> {
    file: Arc<str>,
    line: u32,
    /// The blanks of the first indented line; every later one must begin with exactly these.
    indent: Option<(String, u32)>,
    target: Target,
    doc: &'a mut Document,
    files: &'a mut Files,
    diags: &'a mut Diags,
}

impl<'a> Reader<'a> {
    fn new(name: &str, doc: &'a mut Document, files: &'a mut Files, diags: &'a mut Diags) -> Self {
        Self { file: name.into(), line: 0, indent: None, target: Target::None, doc, files, diags }
    }

    fn text(&mut self, text: &[u8]) {
        let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
        for line in text.split(|&b| b == b'\n') {
            self.line = self.line.saturating_add(1);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            // Comments may be in any encoding.
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            match std::str::from_utf8(line) {
                Ok(line) => self.line(line),
                Err(_) => {
                    let line = String::from_utf8_lossy(line);
                    if !line.trim_start().starts_with('#') {
                        let place = self.place(&line, line.find(char::REPLACEMENT_CHARACTER).unwrap_or(0));
                        self.diags.warn_help(
                            &place,
                            "bytes that are not UTF-8 are replaced by U+FFFD",
                            "Save the file as UTF-8",
                        );
                    }
                    self.line(&line);
                }
            }
        }
    }

    fn line(&mut self, line: &str) {
        if let Some(nul) = line.find('\0') {
            let place = self.place(line, nul);
            self.diags.error_help(&place, "NUL byte in the configuration", "Remove it; is this a text file?");
        } else if let Some(rest) = after_word(line, "@include ") {
            self.include(line, rest);
        } else if line.starts_with('@') && line.len() > 3 {
            self.meta(line);
        } else if line.starts_with('[') {
            self.header(line);
        } else {
            self.entry(line);
        }
    }

    /// The place of a byte offset in the current line.
    fn place(&self, line: &str, at: usize) -> Place {
        let col = line.char_indices().take_while(|(i, _)| *i < at).count() + 1;
        Place::new(&self.file, self.line, u32::try_from(col).unwrap_or(u32::MAX))
    }

    fn include(&mut self, line: &str, spec: &str) {
        let place = self.place(line, line.len() - spec.len());
        for path in self.files.find(spec, &place, self.diags) {
            if let Some(bytes) = self.files.read(&path, Some(&place), self.diags) {
                let name = path.display().to_string();
                Reader::new(&name, self.doc, self.files, self.diags).text(&bytes);
            }
        }
    }

    fn meta(&mut self, line: &str) {
        let place = self.place(line, 0);
        let Some(rest) = after_word(line, "@set ") else {
            let word = line.split([' ', '\t']).next().unwrap_or(line);
            let known = ["@INCLUDE", "@SET"];
            let help = match nearest(word, known) {
                Some(known) if known.eq_ignore_ascii_case(word) => {
                    format!("Write one space after {known}, then its value")
                }
                Some(known) => format!("Did you mean '{known}'?"),
                None => "Known are @INCLUDE PATH and @SET NAME=VALUE".to_owned(),
            };
            self.diags.error_help(&place, format!("unknown command '{word}'"), help);
            return;
        };
        match rest.trim().split_once('=') {
            Some(("", _)) => {
                self.diags.error_help(&place, "@SET without a name", "Write @SET NAME=VALUE");
            }
            Some((name, value)) => {
                if name.ends_with([' ', '\t']) || value.starts_with([' ', '\t']) {
                    let help = "Write @SET NAME=VALUE";
                    self.diags.warn_help(&place, "blanks around '=' become part of the name and of the value", help);
                }
                self.doc.sets.push((name.to_owned(), value.to_owned(), place));
            }
            None => self.diags.error_help(&place, "@SET without '='", "Write @SET NAME=VALUE"),
        }
    }

    fn header(&mut self, line: &str) {
        let place = self.place(line, 0);
        let Some(end) = line.find(']').filter(|&end| end > 1) else {
            self.diags.error_help(&place, "bad header definition", "Write a section header as [NAME]");
            self.target = Target::Skip;
            return;
        };
        let (name, after) = (&line[1..end], line[end + 1..].trim());
        if !after.is_empty() && !after.starts_with('#') {
            let place = self.place(line, end + 1);
            self.diags.warn(&place, format!("text after the header is ignored: '{after}'"));
        }
        self.begin(name, place);
    }

    fn begin(&mut self, name: &str, place: Place) {
        self.doc.sections.push(Section::new(name, place));
        self.target = Target::Section(self.doc.sections.len() - 1);
    }

    fn entry(&mut self, line: &str) {
        let body = line.trim_start_matches([' ', '\t']);
        if body.is_empty() {
            return;
        }
        let at = line.len() - body.len();
        self.check_indent(line, at);
        if body.starts_with('#') {
            return;
        }
        let place = self.place(line, at);
        if body.starts_with('[') {
            self.group(body, place);
        } else if after_word(body, "@include ").is_some() || after_word(body, "@set ").is_some() {
            let word = body.split(' ').next().unwrap_or(body);
            let help = "Write it in the first column, outside of any section";
            self.diags.error_help(&place, format!("{word} inside a section is read as a key"), help);
        } else {
            self.key_value(line, body, at, place);
        }
    }

    /// Reports a line whose blanks are not those of the file's first indented line; `at` is where the text begins.
    fn check_indent(&mut self, line: &str, at: usize) {
        let blanks = &line[..at];
        let Some((base, first)) = &self.indent else {
            if at == 0 {
                let word = line.split([' ', '\t']).next().unwrap_or(line);
                let help = "Put blanks before every key of a section, the same ones in the whole file";
                self.diags.error_help(&self.place(line, 0), format!("key '{word}' is not indented"), help);
            } else {
                self.indent = Some((blanks.to_owned(), self.line));
            }
            return;
        };
        let help = format!("The indentation of this file is {}, set by line {first}", in_words(base));
        let msg = match blanks.strip_prefix(base.as_str()) {
            // Twice the indentation is read like one: the body of a group.
            Some(extra) if extra.is_empty() || extra.len() == base.len() => return,
            Some(_) => "extra indentation level found",
            None if base.starts_with(blanks) => "indentation level is too low",
            None => "inconsistent use of tab and space",
        };
        self.diags.error_help(&self.place(line, at), msg, help);
    }

    /// An indented `[NAME]`: nothing here takes groups, so it is most likely a header that should not be indented.
    fn group(&mut self, body: &str, place: Place) {
        let name = body[1..].split(']').next().unwrap_or_default().to_owned();
        let help = "A section header begins in the first column: remove the blanks before it";
        self.diags.error_help(&place, format!("group '[{name}]' inside a section is not used by anything"), help);
        match super::service::SECTIONS.iter().any(|s| s.eq_ignore_ascii_case(name.trim())) {
            true => self.begin(&name, place),
            false => self.target = Target::Skip,
        }
    }

    fn key_value(&mut self, line: &str, body: &str, at: usize, place: Place) {
        let (key, rest) = body.split_once(' ').unwrap_or((body, ""));
        let value = rest.trim();
        if let Some(tab) = key.find('\t') {
            let help = format!("A tab stands after '{}': separate key and value by a space", &key[..tab]);
            self.undefined_value(&place, help);
            return;
        }
        if key.len() == body.len() {
            self.undefined_value(&place, format!("Write a value after '{key}', or remove the line"));
            return;
        }
        if value.is_empty() {
            let help = format!("Write a value after '{key}', or remove the line");
            self.diags.error_help(&place, format!("key '{key}' has an empty value"), help);
            return;
        }
        let value_at = at + key.len() + 1 + (rest.len() - rest.trim_start().len());
        let value_place = self.place(line, value_at);
        if let Some(hash) = comment(key, value) {
            self.diags.warn_help(
                &self.place(line, value_at + hash),
                format!("the text from '#' on is part of the value of '{key}': a comment needs a line of its own"),
                "Move the comment above the key, if it is one",
            );
        }
        match self.target {
            Target::Section(i) => {
                if let Some(s) = self.doc.sections.get_mut(i) {
                    s.entries.push(Entry { key: key.to_owned(), value: value.to_owned(), place, value_place });
                }
            }
            Target::None => {
                let help = "Begin a section before it, for example [INPUT]";
                self.diags.error_help(&place, format!("key '{key}' stands outside of any section"), help);
                self.target = Target::Skip;
            }
            Target::Skip => {}
        }
    }

    fn undefined_value(&mut self, place: &Place, help: String) {
        self.diags.error_help(place, "undefined value - check config is in valid classic format", help);
    }
}

/// What follows `word` (ASCII, in any case) at the start of a line, if anything does.
fn after_word<'l>(line: &'l str, word: &str) -> Option<&'l str> {
    let (head, rest) = line.split_at_checked(word.len())?;
    (head.eq_ignore_ascii_case(word) && !rest.is_empty()).then_some(rest)
}

/// Where something that looks like an end-of-line comment begins. Keys whose values may well hold a `#` are let be.
fn comment(key: &str, value: &str) -> Option<usize> {
    const FREE_TEXT: [&str; 8] = ["exclude", "rule", "dummy", "command", "code", "template", "condition", "format"];
    let lower = key.to_ascii_lowercase();
    if lower.contains("regex") || FREE_TEXT.contains(&lower.as_str()) {
        return None;
    }
    value.match_indices('#').map(|(at, _)| at).find(|&at| value[..at].ends_with([' ', '\t']))
}

/// `4 spaces`, `1 tab`, or both.
fn in_words(blanks: &str) -> String {
    let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let tabs = blanks.matches('\t').count();
    match (blanks.len() - tabs, tabs) {
        (spaces, 0) => plural(spaces, "space"),
        (0, tabs) => plural(tabs, "tab"),
        (spaces, tabs) => format!("{} and {}", plural(spaces, "space"), plural(tabs, "tab")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads `text` and compares `SECTION KEY=VALUE…` lines, then what is said, one line each without the help.
    fn check(text: &str, sections: &[&str], said: &[&str]) {
        let mut diags = Diags::new();
        let doc = parse("f", text.as_bytes(), &mut diags);
        let shown = doc.sections.iter().map(|s| {
            let entries = s.entries.iter().map(|e| format!(" {}={}", e.key, e.value));
            format!("{}{}", s.name, entries.collect::<String>())
        });
        assert_eq!(shown.collect::<Vec<_>>(), sections, "{text:?}\n{diags}");
        let got: Vec<_> =
            diags.to_string().lines().filter(|l| !l.starts_with("    ")).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(got, said, "{text:?}");
    }

    #[test]
    fn well_formed() {
        check("", &[], &[]);
        check(
            "[INPUT]\n    Name tail\n    Path /x\n[OUTPUT]\n    Name null\n",
            &["INPUT Name=tail Path=/x", "OUTPUT Name=null"],
            &[],
        );
        // CRLF, no newline at the end, comments, empty lines, a mark at the front.
        check("\u{feff}# c\r\n\r\n[INPUT]\r\n  # c\r\n#c\r\n   \r\n  Name tail", &["INPUT Name=tail"], &[]);
        // Values are trimmed and otherwise taken as they are.
        check("[I]\n  Tag   a.b  \n  K \"q t\" \\n ]\n", &["I Tag=a.b K=\"q t\" \\n ]"], &[]);
        check("[I]\n  K \tv\t\n", &["I K=v"], &[]);
        check("[I]\n\tTag a\n\tKey b\n", &["I Tag=a Key=b"], &[]);
        // What follows the header is ignored, aloud unless it is a comment.
        check("[I] # note\n  K v\n", &["I K=v"], &[]);
        check("[I] K v\n  K v\n", &["I K=v"], &["f:1:4: warning: text after the header is ignored: 'K v'"]);
        // Repeated keys and sections are all kept.
        check("[I]\n a 1\n a 2\n[i]\n a 3\n", &["I a=1 a=2", "i a=3"], &[]);
    }

    #[test]
    fn places_are_lines_and_characters() {
        let mut diags = Diags::new();
        let doc = parse("f", "[INPUT]\n  Täg   ü v\n".as_bytes(), &mut diags);
        let e = &doc.sections[0].entries[0];
        assert_eq!((doc.sections[0].place.to_string(), e.place.to_string()), ("f:1:1".into(), "f:2:3".into()));
        assert_eq!(e.value_place.to_string(), "f:2:9");
    }

    #[test]
    fn indentation() {
        // Twice the indentation is read like one.
        check("[I]\n  a 1\n    b 2\n", &["I a=1 b=2"], &[]);
        check("[I]\n    a 1\n[J]\n  b 2\n", &["I a=1", "J b=2"], &["f:4:3: indentation level is too low"]);
        check("[I]\n    a 1\nb 2\n", &["I a=1 b=2"], &["f:3:1: indentation level is too low"]);
        check("[I]\n  a 1\n   b 2\n", &["I a=1 b=2"], &["f:3:4: extra indentation level found"]);
        check("[I]\n    a 1\n\tb 2\n", &["I a=1 b=2"], &["f:3:2: inconsistent use of tab and space"]);
        check("[I]\n    a 1\n  \tb 2\n", &["I a=1 b=2"], &["f:3:4: inconsistent use of tab and space"]);
        // A comment obeys the rule, except in the first column; lines of blanks do not matter.
        check("[I]\n    a 1\n   # c\n", &["I a=1"], &["f:3:4: indentation level is too low"]);
        check("[I]\n   # c\n   a 1\n  \n", &["I a=1"], &[]);
        check("[I]\na 1\n  b 2\n", &["I a=1 b=2"], &["f:2:1: key 'a' is not indented"]);
    }

    #[test]
    fn broken_lines() {
        check("[INPUT\n  a 1\n[J]\n  a 1\n", &["J a=1"], &["f:1:1: bad header definition"]);
        check("[]\n  a 1\n", &[], &["f:1:1: bad header definition"]);
        let undefined = "undefined value - check config is in valid classic format";
        check("[I]\n  a\t1\n  b 1\n", &["I b=1"], &[&format!("f:2:3: {undefined}")]);
        check("[I]\n  a\t1 2\n  b 1\n", &["I b=1"], &[&format!("f:2:3: {undefined}")]);
        check("[I]\n  a\n  b 1\n", &["I b=1"], &[&format!("f:2:3: {undefined}")]);
        check("[I]\n  a  \n  b 1\n", &["I b=1"], &["f:2:3: key 'a' has an empty value"]);
        check("  a 1\n  b 1\n[I]\n  c 1\n", &["I c=1"], &["f:1:3: key 'a' stands outside of any section"]);
        check("[I]\n  a 1\0\n  b 1\n", &["I b=1"], &["f:2:6: NUL byte in the configuration"]);
        check("[I]\n[J]\n  a 1\n", &["I", "J a=1"], &["f:1:1: warning: section [I] has no keys"]);
        check("[I]\n  @INCLUDE x\n  a 1\n", &["I a=1"], &["f:2:3: @INCLUDE inside a section is read as a key"]);
    }

    #[test]
    fn groups() {
        let said = "f:3:3: group '[processors]' inside a section is not used by anything";
        check("[I]\n  a 1\n  [processors]\n    b 1\n[J]\n  a 1\n", &["I a=1", "J a=1"], &[said]);
        // An indented header is most likely a slip: what follows belongs to it.
        let said = "f:3:3: group '[OUTPUT]' inside a section is not used by anything";
        check("[I]\n  a 1\n  [OUTPUT]\n  b 1\n", &["I a=1", "OUTPUT b=1"], &[said]);
    }

    #[test]
    fn commands() {
        let sets = |text: &str| {
            let mut diags = Diags::new();
            let doc = parse("f", text.as_bytes(), &mut diags);
            let sets: Vec<_> = doc.sets.iter().map(|(n, v, _)| format!("{n}={v}")).collect();
            (sets.join(";"), diags.to_string())
        };
        assert_eq!(sets("@SET A=1\n@set b=x=y \n@SET C=\n"), ("A=1;b=x=y;C=".into(), String::new()));
        let (got, said) = sets("@SET a = b\n");
        assert_eq!(got, "a = b");
        assert!(said.starts_with("f:1:1: warning: blanks around '='"), "{said}");
        for (text, want) in [
            ("@SET A\n", "f:1:1: @SET without '='"),
            ("@SET =1\n", "f:1:1: @SET without a name"),
            ("@INCLUED x\n", "f:1:1: unknown command '@INCLUED'\n    Did you mean '@INCLUDE'?"),
            ("@INCLUDE\tx\n", "f:1:1: unknown command '@INCLUDE'\n    Write one space after @INCLUDE"),
            ("@include x\n", "f:1:10: @INCLUDE needs a configuration file"),
            ("@x\n", "f:1:1: key '@x' is not indented"),
        ] {
            let (_, said) = sets(text);
            assert!(said.starts_with(want), "{text:?}: {said}");
        }
    }

    #[test]
    fn a_comment_behind_a_value_is_kept_and_warned_about() {
        let said =
            "f:2:11: warning: the text from '#' on is part of the value of 'Tag': a comment needs a line of its own";
        check("[I]\n  Tag abc # x\n", &["I Tag=abc # x"], &[said]);
        check("[I]\n  Tag a#b\n  Regex log a # b\n", &["I Tag=a#b Regex=log a # b"], &[]);
    }

    #[test]
    fn all_mistakes_of_a_file_are_said_with_their_remedies() {
        let mut diags = Diags::new();
        parse("f", b"[INPUT\n[I]\n  a\n  b \n c 1\nd 1\n@NO x\n", &mut diags);
        assert_eq!(diags.errors(), 6, "{diags}");
        assert!(diags.sorted().iter().all(|d| d.help.is_some()), "{diags}");
    }

    #[test]
    fn other_encodings() {
        let mut diags = Diags::new();
        let doc = parse("f", b"# caf\xe9\n[I]\n  # \xff\n  a caf\xe9\n", &mut diags);
        assert_eq!(doc.sections[0].value("a"), Some("caf\u{fffd}"));
        assert!(!diags.has_errors());
        assert!(diags.to_string().starts_with("f:4:8: warning: bytes that are not UTF-8"), "{diags}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn no_bytes_make_it_panic(parts in proptest::collection::vec(
            prop_oneof![
                Just(b"[INPUT]".to_vec()), Just(b"\n".to_vec()), Just(b"\r\n  ".to_vec()), Just(b"\n\t".to_vec()),
                Just(b"key value".to_vec()), Just(b"@SET a=b".to_vec()), Just(b"@INCLUDE *".to_vec()), Just(b" # ".to_vec()),
                Just("é".as_bytes().to_vec()), proptest::collection::vec(any::<u8>(), 0..12)
            ], 0..40)
        ) {
            let text = parts.concat();
            let mut diags = Diags::new();
            let doc = parse("f", &text, &mut diags);
            let lines = text.split(|&b| b == b'\n').count();
            prop_assert!(doc.sections.iter().flat_map(|s| &s.entries).count() <= lines);
            prop_assert!(doc.sections.iter().flat_map(|s| &s.entries).all(|e| !e.key.is_empty() && !e.value.is_empty()));
            let _ = diags.to_string();
        }
    }
}
