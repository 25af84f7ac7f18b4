//! Any bytes through any parser: nothing panics, spans stay inside, and a miss leaves the batch as it was.

use super::{NOW, def};
use crate::event::{Batch, Key, Tag, Value};
use crate::parse::{Parsed, Parser, ParserSet};
use proptest::prelude::*;
use std::cell::RefCell;

thread_local! {
    /// Compiled once; that they keep their caches from case to case is part of the test.
    static PARSERS: RefCell<Vec<Box<dyn Parser>>> = RefCell::new(parsers());
}

/// Touches every byte and key of a map.
fn walk(cells: crate::event::Cells<'_>) -> usize {
    cells
        .map(|(key, value)| {
            cells.name(key).len()
                + match value {
                    Value::Map(inner) | Value::Array(inner) => walk(inner),
                    Value::Str(text) => text.bytes().len(),
                    _ => 0,
                }
        })
        .sum()
}

/// All built-in parsers, and one of each format with everything switched on.
fn parsers() -> Vec<Box<dyn Parser>> {
    let set = ParserSet::default();
    let mut all: Vec<_> = set.names().map(|name| set.get(name).unwrap().make()).collect();
    let busy = [
        ("Time_Format", "%Y-%m-%dT%H:%M:%S.%L%z"),
        ("Types", "a:integer b:float c:bool d:hex"),
        ("Decode_Field", "json a"),
        ("Decode_Field_As", "escaped_utf8 a do_next"),
        ("Decode_Field_As", "mysql_quoted a try_next"),
        ("Decode_Field_As", "json b do_next"),
        ("Decode_Field_As", "escaped c"),
    ];
    for form in ["json", "ltsv", "logfmt"] {
        all.push(def(&[&[("Format", form)], &busy[..]].concat()).make());
        all.push(def(&[("Format", form), ("Logfmt_No_Bare_Keys", "on")]).make());
    }
    let regex = [("Format", "regex"), ("Regex", "(?<a>.*?)[ =:](?<b>.*)"), ("Skip_Empty_Values", "off")];
    all.push(def(&[&regex, &busy[..]].concat()).make());
    all
}

fn parse_all(line: &[u8]) {
    PARSERS.with_borrow_mut(|parsers| parsers.iter_mut().for_each(|p| parse(p.as_mut(), line)));
}

fn parse(parser: &mut dyn Parser, line: &[u8]) {
    let mut batch = Batch::new(Tag::new("t"));
    let mark = batch.begin();
    batch.push_text(Key::of("first"), b"kept");
    batch.finish(mark, NOW);
    let text = batch.arena_mut().push(line);
    let mark = batch.begin();
    let arena = batch.arena().as_slice().to_vec();
    match parser.parse(&mut batch, text, NOW) {
        Parsed::Hit(_) => {
            batch.finish(mark, NOW);
            walk(batch.record(1).body());
            assert!(batch.arena().as_slice().starts_with(&arena));
        }
        Parsed::Miss => {
            assert!(batch.since(mark).is_empty());
            assert_eq!(batch.arena().as_slice(), arena);
        }
    }
    assert_eq!(walk(batch.record(0).body()), "first".len() + "kept".len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_bytes(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..4)) {
        for line in lines {
            parse_all(&line);
        }
    }

    #[test]
    fn text_that_is_nearly_right(
        parts in prop::collection::vec(
            prop_oneof![
                r#"[abct]|time"#.boxed(),
                r#"[=: \t"\\{}\[\],<>.\-]"#.boxed(),
                r#"\\\\u[0-9a-f]{3,4}|\\\\[nxu'"]|\{"[ab]":"?[0-9]"?\}"#.boxed(),
                r#"[0-9]{1,4}|2024-05-01T10:00:00\.[0-9]{1,3}Z?|true|\PC"#.boxed(),
            ],
            0..24,
        ),
        shape in 0..4,
    ) {
        let text = parts.concat();
        let line = match shape {
            0 => text,
            1 => serde_json::json!({ "a": text, "time": "2024-05-01T10:00:00.5Z", "b": text }).to_string(),
            2 => format!("a:{text}\tb:{text}"),
            _ => format!("a=\"{text}\" b={text}"),
        };
        parse_all(line.as_bytes());
    }
}
