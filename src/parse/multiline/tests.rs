//! Lines in, records out.

use super::*;
use crate::conf::ini;
use crate::error::Diags;
use crate::event::{Batch, Key, Source, Tag, Value};
use crate::parse::ParserSet;
use crate::time::Time;
use std::time::{Duration, Instant};

fn set(text: &str) -> (ParserSet, String) {
    let mut diags = Diags::new();
    let doc = ini::parse("m.conf", text.as_bytes(), &mut diags);
    (ParserSet::new(doc.sections, &mut diags), diags.to_string())
}

fn named(set: &ParserSet, names: &[&str]) -> Vec<MultilineDef> {
    let mut diags = Diags::new();
    let place = crate::error::Place::command_line();
    let one = |name: &&str| set.require_multiline(name, "test", &place, &mut diags).unwrap_or_else(|| panic!("{name}"));
    names.iter().map(one).collect()
}

/// A stream of lines, as a reader sees it.
struct Stream {
    joiner: Joiner<()>,
    open: Open<()>,
    batch: Batch,
    offset: u64,
    now: Instant,
}

impl Stream {
    fn new(defs: Vec<MultilineDef>, limit: usize) -> Self {
        let (joiner, open) = (Joiner::new(defs, limit), Open::default());
        Self { joiner, open, batch: Batch::new(Tag::new("t")), offset: 0, now: Instant::now() }
    }

    fn line(&mut self, text: &str) {
        let raw = Key::of("log");
        let (b, mut done) = (&mut self.batch, Vec::new());
        let span = b.arena_mut().push(text.as_bytes());
        let line = Line { time: Time(7), source: Source::default(), offset: self.offset, now: self.now };
        self.offset += text.len() as u64 + 1;
        let mark = b.begin();
        let placed = self.joiner.line(&mut self.open, b, span, &line, &mut done);
        if let Placed::Whole(time) = placed {
            assert!(done.is_empty(), "what comes before it would stand behind it");
            b.finish_at(mark, time.unwrap_or(line.time), line.offset);
        }
        for group in done {
            group.write(b, raw, Around::default());
            self.joiner.recycle(group);
        }
        if placed == Placed::Alone {
            let mark = b.begin();
            b.push_span(raw, span);
            b.finish_at(mark, line.time, line.offset);
        }
    }

    fn end(&mut self) -> Vec<String> {
        let mut done = Vec::new();
        self.joiner.close(&mut self.open, &mut done);
        for group in done {
            group.write(&mut self.batch, Key::of("log"), Around::default());
        }
        self.records()
    }

    fn records(&self) -> Vec<String> {
        let show = |v: Value<'_>| match v {
            Value::Str(t) => String::from_utf8_lossy(&t.bytes()).into_owned(),
            other => format!("{other:?}"),
        };
        let record = |r: crate::event::Record<'_>| {
            let field =
                |(k, v): (Key, Value<'_>)| format!("{}={}", String::from_utf8_lossy(self.batch.key_name(k)), show(v));
            let mut fields: Vec<String> = r.body().map(field).collect();
            fields.extend(r.meta().map(field));
            fields.join("|")
        };
        self.batch.records().map(record).collect()
    }
}

fn run(names: &[&str], lines: &[&str]) -> Vec<String> {
    let mut s = Stream::new(named(&ParserSet::default(), names), 2 << 20);
    lines.iter().for_each(|line| s.line(line));
    s.end()
}

fn own(section: &str, lines: &[&str]) -> Vec<String> {
    let (set, said) = set(&format!("[MULTILINE_PARSER]\n    name own\n{section}"));
    assert_eq!(said, "");
    let mut s = Stream::new(named(&set, &["own"]), 2 << 20);
    lines.iter().for_each(|line| s.line(line));
    s.end()
}

#[test]
fn pieces_of_a_container_runtime() {
    let got = run(
        &["docker", "cri"],
        &[
            "2024-05-01T10:00:00.1Z stdout P he",
            "2024-05-01T10:00:00.2Z stderr F other",
            "2024-05-01T10:00:00.3Z stdout F llo",
            "2024-05-01T10:00:00.4Z stdout F whole",
        ],
    );
    assert_eq!(
        got,
        [
            "time=2024-05-01T10:00:00.2Z|stream=stderr|_p=F|log=other",
            "time=2024-05-01T10:00:00.1Z|stream=stdout|_p=P|log=hello",
            "time=2024-05-01T10:00:00.4Z|stream=stdout|_p=F|log=whole",
        ]
    );
}

#[test]
fn pieces_of_json_files() {
    let got = run(
        &["docker", "cri"],
        &[
            r#"{"log":"he","stream":"stdout","time":"2024-05-01T10:00:00.1Z"}"#,
            r#"{"log":"err\n","stream":"stderr","time":"2024-05-01T10:00:00.2Z"}"#,
            r#"{"log":"llo \"x\"\n","stream":"stdout","time":"2024-05-01T10:00:00.3Z"}"#,
            r#"{"stream":"stdout","no":"text"}"#,
            "not json",
        ],
    );
    assert_eq!(
        got,
        [
            "log=err\n|stream=stderr|time=2024-05-01T10:00:00.2Z",
            "log=hello \"x\"\n|stream=stdout|time=2024-05-01T10:00:00.1Z",
            "stream=stdout|no=text",
            "log=not json",
        ]
    );
}

#[test]
fn rules_join_lines_and_leave_others_alone() {
    let rules = r#"    type regex
    rule "start_state" "/^\d{4} /" "cont"
    rule "cont" "/^\s+at/" "cont"
"#;
    let got = own(rules, &["before", "2024 a", "  at x", "  at y", "2025 b", "alone", "  at z", "2026 c"]);
    assert_eq!(
        got,
        ["log=before", "log=2024 a\n  at x\n  at y\n", "log=2025 b\n", "log=alone", "log=  at z", "log=2026 c\n"]
    );
}

#[test]
fn a_rule_that_leads_to_the_start_ends_its_record() {
    let rules = r#"    type regex
    rule "start_state" "/^BEGIN/" "in"
    rule "in" "/^END/" "start_state"
    rule "in" "/./" "in"
"#;
    let mut s = {
        let (set, _) = set(&format!("[MULTILINE_PARSER]\n    name own\n{rules}"));
        Stream::new(named(&set, &["own"]), 2 << 20)
    };
    ["BEGIN 1", "x", "END", "BEGIN 2"].iter().for_each(|l| s.line(l));
    assert_eq!(s.records(), ["log=BEGIN 1\nx\nEND\n"], "not held until the next line");
    assert_eq!(s.open.groups()[0].offset(), 14);
}

#[test]
fn ends_and_negated_ends() {
    let got = own("    type endswith\n    match_string ;\n", &["select a", "from b;", "commit;", "rest"]);
    assert_eq!(got, ["log=select a\nfrom b;", "log=commit;", "log=rest"]);
    let got = own("    type endswith\n    match_string \\\n    negate on\n", &["a \\", "b \\", "c", "d"]);
    assert_eq!(got, ["log=a \\\nb \\\nc", "log=d"]);
}

#[test]
fn rules_look_at_a_field_when_a_parser_makes_one() {
    let text = r#"[PARSER]
    Name level
    Format regex
    Regex ^(?<level>[A-Z]) (?<msg>.*)$
[MULTILINE_PARSER]
    name own
    type regex
    parser level
    key_content msg
    rule "start_state" "/^start/" "more"
    rule "more" "/^\+/" "more"
"#;
    let (set, said) = set(text);
    assert_eq!(said, "");
    let mut s = Stream::new(named(&set, &["own"]), 2 << 20);
    ["I start 1", "W + two", "E + three", "I start 2", "no field"].iter().for_each(|l| s.line(l));
    assert_eq!(s.end(), ["level=I|msg=start 1\n+ two\n+ three", "level=I|msg=start 2", "log=no field"]);
}

#[test]
fn the_older_way_adds_to_the_last_text() {
    let text = r#"[PARSER]
    Name first
    Format regex
    Regex ^(?<t>\d+) (?<log>.*)$
[PARSER]
    Name user
    Format regex
    Regex ^user=(?<user>\w+)$
"#;
    let (set, _) = set(text);
    let (first, user) = (set.get("first").unwrap(), set.get("user").unwrap());
    let def = MultilineDef::of_first_line(first, vec![user], Duration::from_secs(4));
    let mut s = Stream::new(vec![def], 2 << 20);
    ["early", "1 one", " more", "user=me", "2 two"].iter().for_each(|l| s.line(l));
    assert_eq!(s.end(), ["log=early", "t=1|log=one\n more|user=me", "t=2|log=two"]);
}

#[test]
fn what_waits_too_long_is_complete() {
    let mut s = Stream::new(named(&ParserSet::default(), &["java"]), 2 << 20);
    s.line("x.y.FooException: a");
    let mut done = Vec::new();
    let due = s.joiner.due(&s.open).unwrap();
    assert_eq!(due, s.now + Duration::from_secs(4));
    s.joiner.expire(&mut s.open, due - Duration::from_millis(1), &mut done);
    assert_eq!((done.len(), s.open.is_empty()), (0, false));
    s.joiner.expire(&mut s.open, due, &mut done);
    assert_eq!((done.len(), s.open.is_empty()), (1, true));
}

#[test]
fn long_records_are_cut_and_say_so() {
    let mut s = Stream::new(named(&ParserSet::default(), &["java"]), 64);
    s.line("x.y.FooException: a");
    (0..6).for_each(|n| s.line(&format!("\tat some.where.Far({n})")));
    let got = s.end();
    assert_eq!(got.len(), 3);
    let joined: String =
        got.iter().map(|r| r.trim_start_matches("log=").replace("|multiline_truncated=Bool(true)", "")).collect();
    let want: String = (0..6).map(|n| format!("\tat some.where.Far({n})\n")).collect();
    assert_eq!(joined, format!("x.y.FooException: a\n{want}"), "nothing is lost");
    assert_eq!(got.iter().filter(|r| r.contains("multiline_truncated")).count(), 2);
}

#[test]
fn streams_without_end_are_bounded() {
    let section = "    type equal\n    match_string F\n    parser json\n    key_content log\n    key_pattern p\n    key_group g\n";
    let lines: Vec<String> = (0..100).map(|n| format!(r#"{{"g":"{n}","p":"P","log":"x"}}"#)).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let (set, said) = set(&format!("[MULTILINE_PARSER]\n    name own\n{section}"));
    assert_eq!(said, "");
    let mut s = Stream::new(named(&set, &["own"]), 1 << 20);
    lines.iter().for_each(|line| s.line(line));
    assert_eq!(s.records().len(), 100 - 32);
    assert_eq!(s.end().len(), 100);
}

const JAVA: &[&str] = &[
    "Exception in thread \"main\" java.lang.RuntimeException: A",
    "\tat com.example.Main.run(Main.java:10)",
    "\t... 2 more",
    "Caused by: java.lang.IllegalStateException",
    "\tat com.example.Main.main(Main.java:5)",
    "\tSuppressed: java.io.IOException: x",
    "\t\tat a.b.C.d(E.java:1)",
];
const PYTHON: &[&str] = &[
    "Traceback (most recent call last):",
    "  File \"/a.py\", line 3, in <module>",
    "    main()",
    "    ~~~~^^",
    "  File \"/a.py\", line 2, in main",
    "    return 1 / 0",
    "ZeroDivisionError: division by zero",
];
const GO: &[&str] = &[
    "panic: runtime error: index out of range [recovered]",
    "\tpanic: again",
    "[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x1]",
    "",
    "goroutine 1 [running]:",
    "main.main()",
    "\t/tmp/main.go:9 +0x1d",
    "",
    "goroutine 5 [chan receive, 2 minutes]:",
    "net/http.(*conn).serve(0xc000, 0x1)",
    "\t/go/src/net/http/server.go:1 +0x1",
    "created by net/http.(*Server).Serve",
    "\t/go/src/net/http/server.go:2 +0x2",
    "exit status 2",
];
const RUBY: &[&str] = &[
    "ActionController::RoutingError (No route matches [GET] \"/x\"):",
    "",
    "  app/controllers/a.rb:3:in `index'",
    "  lib/b.rb:4:in `call'",
];

#[test]
fn each_language_is_one_record() {
    for (name, trace) in [("java", JAVA), ("python", PYTHON), ("go", GO), ("ruby", RUBY)] {
        for (before, after) in [("starting", "done"), (trace[0], trace[0])] {
            let mut lines = vec![before];
            lines.extend(trace);
            lines.push(after);
            let mut want = format!("log={}", trace.join("\n"));
            want.push('\n');
            let got = run(&[name], &lines);
            assert_eq!(got.len(), 3, "{name}: {got:#?}");
            assert_eq!(got[1], want, "{name}");
        }
    }
}

/// Texts of Docker's files bring their line ends along: there is no line behind the last one.
#[test]
#[cfg(feature = "patterns")]
fn line_ends_of_texts() {
    let text = r#"[MULTILINE_PARSER]
    name own
    type regex
    parser json
    key_content m
    rule "start_state" "/^\d{4} /" "cont"
    rule "cont" "/^(?!\d{4} )/" "cont"
[MULTILINE_PARSER]
    name blank
    type regex
    parser json
    key_content m
    rule "start_state" "/^a\n\z/" "cont"
    rule "cont" "/^$/" "cont"
"#;
    let (set, said) = set(text);
    assert_eq!(said, "");
    for (name, lines, want) in [
        ("own", ["2024 a\\n", " b\\n", "2025 c\\n"], vec!["m=2024 a\n b\n", "m=2025 c\n"]),
        ("blank", ["a\\n", "\\n", "b\\n"], vec!["m=a\n\n", "m=b\n"]),
    ] {
        let mut s = Stream::new(named(&set, &[name]), 2 << 20);
        lines.iter().for_each(|l| s.line(&format!(r#"{{"m":"{l}"}}"#)));
        let got = s.end();
        assert_eq!(got.len(), want.len(), "{name}: {got:?}");
        assert!(got.iter().zip(&want).all(|(g, w)| g == w || g.starts_with("log=")), "{name}: {got:?}");
    }
}

#[test]
fn several_languages_in_one_stream() {
    let mut lines = JAVA.to_vec();
    lines.extend(PYTHON);
    lines.push("plain");
    lines.extend(GO);
    let got = run(&["java", "python", "go"], &lines);
    assert_eq!(got.len(), 4, "{got:#?}");
    assert_eq!(got[2], "log=plain");
}

#[test]
fn wrong_definitions_are_said_with_their_place() {
    let table = [
        ("    type regex\n", "m.conf:3:10: [multiline_parser] no rule begins a record (start_state)"),
        (
            "    type regex\n    rule \"a\" \"/x/\"\n",
            "m.conf:4:10: [multiline_parser] rule: a rule has three parts in quotes",
        ),
        (
            "    type regex\n    rule \"start_state\" \"/(x/\" \"a\"\n",
            "m.conf:4:10: [multiline_parser] the rule's regex: ",
        ),
        ("    type endswith\n", "m.conf:3:10: [multiline_parser] type endswith needs a match_string"),
        ("    type regexp\n", "m.conf:3:10: [multiline_parser] type: 'regexp' is not one of: regex endswith equal"),
        ("    type equal\n    match_string x\n    parser nix\n", "parser 'nix' is not registered"),
        (
            "    type equal\n    match_strin x\n",
            "unknown configuration property 'match_strin'. Did you mean 'match_string'?",
        ),
        (
            "    type regex\n    rule \"start_state\" \"/x/\" \"nowhere\"\n",
            "warning: [multiline_parser] no rule is tried in the state",
        ),
    ];
    for (section, want) in table {
        let (_, said) = set(&format!("[MULTILINE_PARSER]\n    name own\n{section}"));
        assert!(said.contains(want), "{section}: {said}");
    }
    let (set, said) = set("[MULTILINE_PARSER]\n    name a\n    type equal\n    match_string x\n");
    assert_eq!(said, "");
    let mut diags = Diags::new();
    let place = crate::error::Place::command_line();
    assert!(set.require_multiline("jav", "[x]", &place, &mut diags).is_none());
    assert!(
        diags.to_string().contains("multiline parser 'jav' is not registered\n    Did you mean 'java'?"),
        "{diags}"
    );
    assert_eq!(set.multiline_names().collect::<Vec<_>>(), ["a", "docker", "cri", "java", "python", "go", "ruby"]);
}
