//! The plugin on real files.

use super::super::testing::{Dir, batch, instance, made, payload, refused, retry, send};
use super::*;
use crate::event::Batch;
use crate::rt::run;

fn one(tag: &str) -> Batch {
    batch(tag, &[(1_700_000_000_971_739_438, r#"{"a":"x \"q\"","n":1}"#)])
}

fn sent(output: &dyn Output, b: &Batch) -> Outcome {
    run(async { send(output, b).await }).unwrap()
}

#[test]
fn each_format_by_its_name() {
    let check = |conf: &[(&str, &str)], expected: &str| {
        let output = instance(&PLUGIN, conf);
        assert_eq!(String::from_utf8(payload(&*output, &one("d.t")).bytes).unwrap(), expected, "{conf:?}");
    };
    check(&[], "d.t: [1700000000.971739438, {\"a\":\"x \\\"q\\\"\",\"n\":1}]\n");
    check(&[("format", "plain")], "{\"a\":\"x \\\"q\\\"\",\"n\":1}\n");
    check(&[("format", "json_lines")], "{\"date\":1700000000.97174,\"a\":\"x \\\"q\\\"\",\"n\":1}\n");
    check(
        &[("format", "json_lines"), ("json_date_key", "t"), ("json_date_format", "epoch")],
        "{\"t\":1700000000,\"a\":\"x \\\"q\\\"\",\"n\":1}\n",
    );
    check(&[("format", "csv")], "1700000000.971739438,\"x \"\"q\"\"\",1\n");
    check(&[("format", "csv"), ("delimiter", "tab")], "1700000000.971739438\t\"x \"\"q\"\"\"\t1\n");
    check(&[("format", "csv"), ("delimiter", "\\t")], "1700000000.971739438\t\"x \"\"q\"\"\"\t1\n");
    check(&[("format", "ltsv")], "\"time\":1700000000.971740\t\"a\":\"x \"q\"\"\t\"n\":1\n");
    check(
        &[("format", "ltsv"), ("delimiter", "comma"), ("label_delimiter", "=")],
        "\"time\"=1700000000.971740,\"a\"=\"x \"q\"\",\"n\"=1\n",
    );
    check(&[("format", "template")], "1700000000.971740 {message}\n");
    check(&[("format", "template"), ("template", "{a}|{n}")], "x \"q\"|1\n");
    assert!(payload(&*instance(&PLUGIN, &[("format", "msgpack")]), &one("t")).bytes.starts_with(b"\x92\x92\xd7\x00"));
}

#[test]
fn what_is_refused_and_what_is_warned_about() {
    let said = refused(&PLUGIN, &[("format", "xml")]);
    let words = "'xml' is not one of: out_file plain json_lines csv ltsv template msgpack";
    assert!(said.contains(words), "{said}");
    assert!(refused(&PLUGIN, &[("path", "/x/$TAG")]).contains("a record accessor ('$...') is not served here yet"));
    assert!(refused(&PLUGIN, &[("rotate", "on"), ("rotate_max_files", "0")]).contains("must be at least 1"));
    assert!(made(&PLUGIN, &[("delimiter", ";")]).1.contains("';' is taken as it stands"));
    assert!(made(&PLUGIN, &[("enable_strftime", "on")]).1.contains("'enable_strftime' is not served yet"));
    assert_eq!(made(&PLUGIN, &[("delimiter", "comma"), ("path", "/a$/5$"), ("enable_strftime", "off")]).1, "");
}

#[test]
fn files_by_tag_or_by_name_are_appended_to() {
    let dir = Dir::new();
    let path = dir.path("sub");
    let output = instance(&PLUGIN, &[("path", &path), ("format", "plain"), ("mkdir", "on")]);
    for tag in ["a.b", "../up", "a.b"] {
        assert!(matches!(sent(&*output, &one(tag)), Outcome::Done));
    }
    let line = "{\"a\":\"x \\\"q\\\"\",\"n\":1}\n";
    assert_eq!((dir.read("sub/a.b"), dir.read("sub/___up")), (line.repeat(2), line.to_owned()));
    let output = instance(&PLUGIN, &[("path", &path), ("file", "all"), ("format", "plain")]);
    assert!(["x", "y"].iter().all(|t| matches!(sent(&*output, &one(t)), Outcome::Done)));
    assert_eq!(dir.read("sub/all"), line.repeat(2));
}

#[test]
fn column_names_stand_first_in_each_file() {
    let dir = Dir::new();
    let path = dir.path("");
    let output = instance(&PLUGIN, &[("path", &path), ("format", "csv"), ("csv_column_names", "on")]);
    for tag in ["a", "b", "a"] {
        assert!(matches!(sent(&*output, &one(tag)), Outcome::Done));
    }
    let (header, line) = ("timestamp,\"a\",\"n\"\n", "1700000000.971739438,\"x \"\"q\"\"\",1\n");
    assert_eq!(dir.read("a"), format!("{header}{line}{line}"));
    assert_eq!(dir.read("b"), format!("{header}{line}"));
}

#[test]
fn failures_say_what_and_where() {
    let dir = Dir::new();
    let path = dir.path("none");
    let output = instance(&PLUGIN, &[("path", &path)]);
    output.start().unwrap();
    let why = retry(sent(&*output, &one("t")));
    assert_eq!(why, format!("cannot open '{path}/t': its directory does not exist (set Mkdir on)"));
    let output = instance(&PLUGIN, &[("path", "/dev"), ("file", "full")]);
    let why = retry(sent(&*output, &one("t")));
    assert!(why.starts_with("no room on the disk for '/dev/full'"), "{why}");
    let path = dir.path("");
    let output = instance(&PLUGIN, &[("path", &path), ("file", ".")]);
    assert!(retry(sent(&*output, &one("t"))).contains("cannot write to"), "a directory");
}

#[test]
fn the_same_chunk_goes_in_after_the_directory_came() {
    let dir = Dir::new();
    let path = dir.path("late");
    let output = instance(&PLUGIN, &[("path", &path), ("format", "plain")]);
    let b = one("t");
    let mut p = payload(&*output, &b);
    let outcome = run(async { output.deliver(&mut p).await }).unwrap();
    assert!(matches!(outcome, Outcome::Down(_)), "no tag has a file without the directory: {outcome:?}");
    std::fs::create_dir_all(dir.path("late/u")).unwrap();
    let outcome = sent(&*output, &one("u"));
    assert!(matches!(outcome, Outcome::Retry(_)), "only this tag's file is a directory: {outcome:?}");
    let outcome = run(async { output.deliver(&mut p).await }).unwrap();
    assert!(matches!(outcome, Outcome::Done));
    assert_eq!(dir.read("late/t").lines().count(), 1);
}

#[test]
fn files_rotate_before_they_grow_too_large() {
    let dir = Dir::new();
    let path = dir.path("");
    let conf = [
        ("path", path.as_str()),
        ("file", "r"),
        ("format", "csv"),
        ("csv_column_names", "on"),
        ("rotate", "on"),
        ("rotate_max_size", "150"),
        ("rotate_gzip", "off"),
    ];
    let output = instance(&PLUGIN, &conf);
    run(async {
        for _ in 0..7 {
            assert!(matches!(send(&*output, &one("t")).await, Outcome::Done));
        }
        output.stop().await;
    })
    .unwrap();
    let mut files: Vec<_> = std::fs::read_dir(&dir.0).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let texts: Vec<_> = files.iter().map(|p| std::fs::read_to_string(p).unwrap()).collect();
    assert!(texts.len() > 1 && texts.iter().all(|t| t.len() <= 150 && t.starts_with("timestamp,")), "{texts:?}");
    assert_eq!(texts.iter().map(|t| t.lines().count() - 1).sum::<usize>(), 7);
    assert!(files.iter().any(|p| p.ends_with("r")));
}
