//! Messages, byte for byte.

use super::*;
use crate::event::{Batch, Tag};
use crate::fmt::json_read::JsonReader;
use proptest::prelude::*;

fn path(text: &str) -> Option<Accessor> {
    Some(Accessor::parse(text).unwrap())
}

fn format(protocol: Protocol, framing: Framing) -> SyslogFormat {
    let source = |key: &str| Source { path: path(key), preset: Vec::new() };
    SyslogFormat {
        protocol,
        framing,
        max: protocol.default_size(),
        severity: (path("sev"), 6),
        facility: (path("fac"), 1),
        host: source("h"),
        app: source("a"),
        pid: source("p"),
        msgid: source("i"),
        sd: vec![("x@1".into(), path("x@1").unwrap()), ("k.l".into(), path("$k['l']").unwrap())],
        sd_preset: Vec::new(),
        longer_ids: false,
        message: path("m"),
    }
}

fn message(f: &SyslogFormat, json: &str) -> (String, Remarks) {
    let mut b = Batch::new(Tag::new("t"));
    let text = b.arena_mut().push(json.as_bytes());
    let mark = b.begin();
    JsonReader::default().object(&mut b, text).unwrap();
    b.finish(mark, Time(1_065_910_455_003_001_002));
    let (mut out, mut remarks) = (b"before".to_vec(), Remarks::default());
    f.write(&b.record(0), &mut out, &mut remarks);
    (String::from_utf8_lossy(out.strip_prefix(b"before").unwrap()).into_owned(), remarks)
}

#[track_caller]
fn check(f: &SyslogFormat, json: &str, want: &str) {
    assert_eq!(message(f, json).0, want, "{json}");
}

#[test]
fn rfc5424() {
    let f = format(Protocol::Rfc5424, Framing::Datagram);
    const AT: &str = "2003-10-11T22:14:15.003001Z";
    check(&f, r#"{"m":"hi"}"#, &format!("<14>1 {AT} - - - - - \u{feff}hi"));
    check(&f, r#"{"m":null}"#, &format!("<14>1 {AT} - - - - -"));
    check(&f, r#"{"m":""}"#, &format!("<14>1 {AT} - - - - - \u{feff}"));
    check(
        &f,
        r#"{"h":"web1","a":"su","p":77,"i":"ID47","sev":"ERR","fac":4,"x@1":{"a":"q\"\\]","n":-1,"t":true,"f":1.5,"z":null,"o":{}},"m":"two\nlines"}"#,
        &format!(
            r#"<35>1 {AT} web1 su 77 ID47 [x@1 a="q\"\\\]" n="-1" t="true" f="1.500000"] {}two{}lines"#,
            '\u{feff}', '\n'
        ),
    );
    check(
        &f,
        r#"{"k":{"l":{"a b=":"é"}},"x@1":{},"h":"my höst","a":"","m":1}"#,
        &format!("<14>1 {AT} my_h__st - - - [x@1][k.l a_b_=\"é\"] \u{feff}1"),
    );
    let long = "n".repeat(60);
    let json = format!(r#"{{"a":"{long}","i":"{long}","{long}":{{"{long}":1}}}}"#);
    let mut f = SyslogFormat { sd: vec![(long.clone(), path(&long).unwrap())], ..f };
    check(&f, &json, &format!("<14>1 {AT} - {0} - {1} [{1} {1}=\"1\"]", &long[..48], &long[..32]));
    f.longer_ids = true;
    check(&f, &json, &format!("<14>1 {AT} - {0} - {1} [{long} {1}=\"1\"]", &long[..48], &long[..32]));
    f.sd_preset = b"[p@1 a=\"b\"]".to_vec();
    f.host.preset = b"preset".to_vec();
    check(&f, "{}", &format!("<14>1 {AT} preset - - - [p@1 a=\"b\"]"));
}

#[test]
fn rfc3164() {
    let f = format(Protocol::Rfc3164, Framing::Datagram);
    check(&f, r#"{"m":"hi"}"#, "<14>Oct 11 22:14:15 hi");
    check(&f, r#"{"h":"web1","a":"su","p":"7","m":"hi"}"#, "<14>Oct 11 22:14:15 web1 su[7]: hi");
    check(
        &f,
        r#"{"h":"a\nb","a":"Google Chrome","fac":"local7","sev":"0"}"#,
        "<184>Oct 11 22:14:15 a_b Google_Chrome: ",
    );
    check(&f, r#"{"p":"7","m":"no program, no number"}"#, "<14>Oct 11 22:14:15 no program, no number");
    let mut b = Batch::new(Tag::new("t"));
    let mark = b.begin();
    b.finish(mark, Time(1_000_000_000));
    let mut out = Vec::new();
    f.write(&b.record(0), &mut out, &mut Remarks::default());
    assert_eq!(out, b"<14>Jan  1 00:00:01 ");
}

#[test]
fn framings() {
    let lines = format(Protocol::Rfc3164, Framing::Newline);
    check(&lines, r#"{"m":"a\nb\u0000c\r"}"#, "<14>Oct 11 22:14:15 a#012b#000c\r\n");
    let counted = format(Protocol::Rfc3164, Framing::Octets);
    check(&counted, r#"{"m":"a\nb"}"#, "23 <14>Oct 11 22:14:15 a\nb");
    // Cut at the limit, but not within a character; what is counted is what is sent.
    let short = SyslogFormat { max: 23, ..counted };
    let (text, remarks) = message(&short, r#"{"m":"abé and more"}"#);
    assert_eq!((text.as_str(), remarks.cut), ("22 <14>Oct 11 22:14:15 ab", 1));
    let short = SyslogFormat { max: 24, ..short };
    assert_eq!(message(&short, r#"{"m":"abé"}"#), ("24 <14>Oct 11 22:14:15 abé".into(), Remarks::default()));
}

#[test]
fn levels() {
    let f = format(Protocol::Rfc3164, Framing::Datagram);
    let table = [
        (r#"{"sev":7,"fac":0,"m":1}"#, 7, Remarks::default()),
        (r#"{"sev":"warn","fac":"23","m":1}"#, 23 * 8 + 4, Remarks::default()),
        (r#"{"sev":"Critical","fac":"AUTHPRIV","m":1}"#, 82, Remarks::default()),
        (r#"{"sev":8,"m":1}"#, 14, Remarks { severity: 1, ..Remarks::default() }),
        (r#"{"sev":-1,"fac":24,"m":1}"#, 14, Remarks { severity: 1, facility: 1, ..Remarks::default() }),
        (r#"{"sev":"loud","fac":{}}"#, 14, Remarks { severity: 1, facility: 1, empty: 1, cut: 0 }),
    ];
    for (json, pri, want) in table {
        let (text, remarks) = message(&f, json);
        assert!(text.starts_with(&format!("<{pri}>")), "{json}: {text}");
        assert_eq!(remarks, want, "{json}");
    }
}

#[test]
fn structured_data_is_checked() {
    for text in ["-", "[a]", "[a@1 b=\"c\"]", r#"[a b="\"\]\\" c=""][d]"#] {
        assert!(is_structured_data(text.as_bytes(), false), "{text}");
    }
    let long = format!("[{}]", "a".repeat(33));
    assert!(is_structured_data(long.as_bytes(), true));
    for text in ["", "[", "[]", "[a", "[a b]", "[a b=c]", "[a b=\"c\"", "[a b=\"]\"]", "[a] [b]", "x[a]", &long] {
        assert!(!is_structured_data(text.as_bytes(), false), "{text}");
    }
}

proptest! {
    /// Our own parser reads what is written, and a line holds one message.
    #[test]
    fn one_message_is_one_line(text in "\\PC{0,60}", host in "\\PC{0,20}", n in any::<i64>()) {
        let json = serde_json::json!({"m": format!("{text}\n{text}"), "h": host, "a": text, "p": n, "x@1": {"k": text}});
        for protocol in [Protocol::Rfc3164, Protocol::Rfc5424] {
            let (line, _) = message(&format(protocol, Framing::Newline), &json.to_string());
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert!(line.ends_with('\n'));
            let (counted, _) = message(&format(protocol, Framing::Octets), &json.to_string());
            let (count, rest) = counted.split_once(' ').unwrap();
            prop_assert_eq!(count.parse(), Ok(rest.len()));
        }
    }
}
