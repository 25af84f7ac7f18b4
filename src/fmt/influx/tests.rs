//! Points in line protocol.

use super::*;
use crate::event::{Batch, Tag};
use crate::fmt::json_read::JsonReader;
use crate::time::Time;
use proptest::prelude::*;

fn plain_format() -> Influx {
    let json = JsonOpts::default();
    Influx { sequence: None, auto_tags: false, tag_keys: Vec::new(), integers: false, json }
}

fn batch(tag: &str, records: &[(i64, &str)]) -> Batch {
    let mut b = Batch::new(Tag::new(tag));
    for (time, line) in records {
        let text = b.arena_mut().push(line.as_bytes());
        let mark = b.begin();
        JsonReader::default().object(&mut b, text).unwrap();
        b.finish(mark, Time(*time));
    }
    b
}

fn lines(format: &Influx, tag: &str, records: &[(i64, &str)]) -> String {
    let mut out = Vec::new();
    format.write(&View::all(&batch(tag, records)), &mut State::default(), &mut out);
    String::from_utf8(out).unwrap()
}

#[track_caller]
fn check(format: &Influx, record: &str, expected: &str) {
    assert_eq!(lines(format, "m", &[(5, record)]), expected, "{record}");
}

#[test]
fn fields_and_tags() {
    let fields = plain_format();
    check(
        &fields,
        r#"{"log":"a \"b\" \\ é\nc","n":-1,"t":true,"f":false}"#,
        "m log=\"a \\\"b\\\" \\\\ é\nc\",n=-1,t=TRUE,f=FALSE 5",
    );
    check(&fields, r#"{"a":1.5,"b":2.0,"c":1e-9,"d":0.1,"z":null}"#, "m a=1.500000,b=2.000000,c=1e-09,d=0.100000 5");
    check(
        &fields,
        r#"{"m":{"k":[1,"q"]},"e":"","":"x","time":1,"u":18446744073709551615}"#,
        r#"m m="{\"k\":[1,\"q\"]}",e="",_="x",time_=1,u=18446744073709551615 5"#,
    );
    let some = Influx { tag_keys: vec![Key::of("h"), Key::of("n"), Key::of("b")], integers: true, ..plain_format() };
    check(
        &some,
        r#"{"h":"a b,c=d\\","x":7,"n":3,"b":true,"y":18446744073709551615}"#,
        "m,h=a\\ b\\,c\\=d,n=3i,b=TRUE x=7i,y=18446744073709551615 5",
    );
    let auto = Influx { auto_tags: true, sequence: Some("_seq".into()), ..plain_format() };
    check(&auto, r#"{"s":"x\ny","e":"","b":"\\\\","n":1}"#, "m,_seq=0,s=x\\ny e=\"\",b=\"\\\\\\\\\",n=1 5");
    // A point needs a field.
    check(&auto, r#"{"s":"x","k, =":"y"}"#, "m,_seq=0 s=\"x\",k\\,\\ \\==\"y\" 5");
    assert_eq!(lines(&plain_format(), "a b,c=d", &[(1, r#"{"x":1}"#)]), "a\\ b\\,c=d x=1 1");
}

#[test]
fn times_stay_apart_and_points_are_numbered() {
    let one = r#"{"x":1}"#;
    let format = Influx { sequence: Some("s".into()), ..plain_format() };
    let records: Vec<_> = [10, 10, 10, 11, 12, 20].map(|t| (t, one)).into();
    let expected = "m,s=0 x=1 10\nm,s=1 x=1 11\nm,s=2 x=1 12\nm,s=3 x=1 11\nm,s=4 x=1 12\nm,s=5 x=1 20";
    assert_eq!(lines(&format, "m", &records), expected);
    let mut state = State { sequence: SEQUENCE_MAX, ..State::default() };
    assert_eq!([state.next(), state.next(), state.next()], [SEQUENCE_MAX, 1, 2]);
}

#[test]
fn what_is_no_point() {
    for (record, is) in [("{}", false), (r#"{"a":null}"#, false), (r#"{"a":null,"b":""}"#, true), (r#"{"a":[]}"#, true)]
    {
        assert_eq!(is_point(&batch("m", &[(0, record)]).record(0)), is, "{record}");
    }
}

proptest! {
    /// What a server reads: up to the first space outside of quotes, with `\` before a special character.
    #[test]
    fn tags_and_texts_arrive(tag in "[a-c ,=\\\\é]{1,6}", text in "[a-c ,=\\\\\"\né]{0,8}", key in "[a-c ,=\\\\]{1,4}") {
        let format = Influx { tag_keys: vec![Key::of("t")], ..plain_format() };
        let record = serde_json::json!({"t": tag, key.as_str(): text, "n": 1}).to_string();
        prop_assume!(key != "t" && key != "n");
        let line = lines(&format, "m", &[(9, &record)]);
        // Unescaped as the server does: `\` hides one of ` ,=` behind it, otherwise it is one itself.
        let mut parts = vec![String::new()];
        let (mut quoted, mut chars) = (false, line.chars().peekable());
        while let Some(c) = chars.next() {
            let last = parts.last_mut().unwrap();
            match (c, chars.peek()) {
                ('\\', Some('"' | '\\')) if quoted => last.push(chars.next().unwrap()),
                ('"', _) => quoted = !quoted,
                ('\\', Some(' ' | ',' | '=')) if !quoted => last.push(chars.next().unwrap()),
                (' ' | ',' | '=', _) if !quoted => parts.push(String::new()),
                _ => last.push(c),
            }
        }
        let bare = |s: &str| s.trim_end_matches('\\').to_owned();
        let key = if key.chars().all(|c| c == '\\') { "_".to_owned() } else { bare(&key) };
        let mut expected = vec!["m".to_owned()];
        let is_tag = tag.chars().any(|c| c != '\\');
        if is_tag {
            expected.extend(["t".to_owned(), bare(&tag)]);
        }
        let mut fields = serde_json::Map::new();
        fields.insert("n".into(), 1.into());
        let mut got = parts.clone();
        prop_assert_eq!(got.pop().unwrap(), "9");
        prop_assert_eq!(&got[..expected.len()], &expected[..]);
        // The order of fields is that of the map.
        let rest: Vec<_> = got[expected.len()..].chunks(2).map(|p| (p[0].clone(), p[1].clone())).collect();
        prop_assert!(rest.contains(&(key, text)), "{line}");
        prop_assert!(rest.contains(&("n".into(), "1".into())));
    }
}
