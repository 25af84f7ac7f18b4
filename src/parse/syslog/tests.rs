//! Messages as they are on the wire, and what becomes of them.

use super::*;
use crate::event::Tag;
use crate::fmt::json_write::{JsonOpts, write_map};
use crate::parse::ParserSet;
use proptest::prelude::*;

const NOW: Time = Time(1_700_000_000_000_000_000);

/// The record's time in milliseconds (`-`: none) and its fields, or `miss` and why.
fn parse(parser: &mut dyn Parser, text: &[u8]) -> Option<(Option<Time>, serde_json::Value)> {
    let mut batch = Batch::new(Tag::new("t"));
    let span = batch.arena_mut().push(text);
    let mark = batch.begin();
    let Parsed::Hit(time) = parser.parse(&mut batch, span, NOW) else {
        assert_eq!(batch.since(mark).count_entries(), 0, "a miss pushes nothing");
        return None;
    };
    batch.finish(mark, Time(0));
    let mut out = Vec::new();
    write_map(batch.body(0), JsonOpts::default(), &mut out);
    Some((time, serde_json::from_slice(&out).unwrap()))
}

fn ours(text: &str) -> String {
    let mut parser = SyslogParser::default();
    match parse(&mut parser, text.as_bytes()) {
        None => format!("miss: {}", parser.reason().unwrap().text()),
        Some((time, fields)) => {
            let fields: Vec<String> =
                fields.as_object().unwrap().iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap())).collect();
            format!("{} {}", time.map_or("-".to_owned(), |t| (t.0 / 1_000_000).to_string()), fields.join("|"))
        }
    }
}

/// What a message is to become; the fields in alphabetical order.
const TABLE: &[(&str, &str)] = &[
    // RFC 5424 section 6.5
    (
        "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed",
        "1065910455003 host=mymachine.example.com|ident=su|message='su root' failed|msgid=ID47|pri=34|time=2003-10-11T22:14:15.003Z",
    ),
    (
        r#"<165>1 2003-10-11T22:14:15.003Z h evntslog - ID47 [a@1 b="c ] \" d"][e@2] An event"#,
        r#"1065910455003 extradata=[a@1 b="c ] \" d"][e@2]|host=h|ident=evntslog|message=An event|msgid=ID47|pri=165|time=2003-10-11T22:14:15.003Z"#,
    ),
    ("<0>1 - - - - - -", "- pri=0"),
    ("<1>1 - - - - - X", "- message=X|pri=1"),
    ("<101>11 2003-09-31T22:14:15.003Z", "- pri=101|time=2003-09-31T22:14:15.003Z"),
    (
        "<14>1 2018-10-11T22:14:15Z h a 1 - [open x=\"y",
        "1539296055000 host=h|ident=a|message=[open x=\"y|pid=1|pri=14|time=2018-10-11T22:14:15Z",
    ),
    // RFC 3164 section 5.4
    (
        "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
        "1697062455000 host=mymachine|ident=su|message='su root' failed for lonvick on /dev/pts/8|pri=34|time=Oct 11 22:14:15",
    ),
    ("Use the BFG!", "miss: neither a priority nor a time at the beginning"),
    ("<13>Use the BFG!", "- message=Use the BFG!|pri=13"),
    (
        "<165>Aug 24 05:34:00 CST 1987 mymachine myproc[10]: %% It's time",
        "556803240000 host=mymachine|ident=myproc|message=%% It's time|pid=10|pri=165|time=Aug 24 05:34:00 CST 1987",
    ),
    // As programs write to /dev/log: no host.
    ("<13>Nov 14 22:13:20 root: hello", "1700000000000 ident=root|message=hello|pri=13|time=Nov 14 22:13:20"),
    (
        "<30>Nov 14 22:13:20 systemd[1]: hello",
        "1700000000000 ident=systemd|message=hello|pid=1|pri=30|time=Nov 14 22:13:20",
    ),
    ("<30>sshd[7]: bye", "- ident=sshd|message=bye|pid=7|pri=30"),
    // No priority; ISO time; forwarded.
    (
        "Nov 14 22:13:20 h CRON[1]: (root) CMD (x)",
        "1700000000000 host=h|ident=CRON|message=(root) CMD (x)|pid=1|time=Nov 14 22:13:20",
    ),
    (
        "<6>2023-11-14T22:13:20.5+00:00 h kernel: [ 1.0] up",
        "1700000000500 host=h|ident=kernel|message=[ 1.0] up|pri=6|time=2023-11-14T22:13:20.5+00:00",
    ),
    (
        "<6>Nov 14 22:13:20 Message forwarded from aix1: su: x",
        "1700000000000 host=aix1|ident=su|message=x|pri=6|time=Nov 14 22:13:20",
    ),
    ("<6>Nov 14 22:13:20 fe80::1 su: x", "1700000000000 host=fe80::1|ident=su|message=x|pri=6|time=Nov 14 22:13:20"),
    (
        "<6>Nov 14 22:13:20 h CEF:0|V|P|1|2|n|3|a=b",
        "1700000000000 host=h|message=CEF:0|V|P|1|2|n|3|a=b|pri=6|time=Nov 14 22:13:20",
    ),
    (
        "<6>Nov 14 22:13:20 h last message repeated 2 times",
        "1700000000000 host=h|message=last message repeated 2 times|pri=6|time=Nov 14 22:13:20",
    ),
    (
        "<6>Nov 14 22:13:20 --- last message ---",
        "1700000000000 message=--- last message ---|pri=6|time=Nov 14 22:13:20",
    ),
    ("<6>Nov 14 22:13:20 hello", "1700000000000 message=hello|pri=6|time=Nov 14 22:13:20"),
    (
        "<6>Nov 14 22:13:20 mac Google Chrome[9]: x",
        "1700000000000 host=mac|ident=Google Chrome|message=x|pid=9|pri=6|time=Nov 14 22:13:20",
    ),
    ("<34>", "- pri=34"),
    // Cisco
    (
        "<189>22191: sw1: 022546: .Nov 14 17:13:20.250 EST: %SYS-5-CONFIG_I: Configured",
        "1700000000250 host=sw1|ident=%SYS-5-CONFIG_I|message=Configured|pri=189|seq=22191|seq_device=022546|time=Nov 14 17:13:20.250 EST",
    ),
    (
        "<189>84: *Nov 14 22:13:20.1: %SYS-5-X: a",
        "1700000000100 ident=%SYS-5-X|message=a|pri=189|seq=84|time=Nov 14 22:13:20.1",
    ),
    (
        "<187>: 2023 Nov 14 22:13:20 UTC: %DAEMON-3-X: a",
        "1700000000000 ident=%DAEMON-3-X|message=a|pri=187|time=2023 Nov 14 22:13:20 UTC",
    ),
    (
        "<166>Nov 14 2023 22:13:20: %ASA-6-302013: Built",
        "1700000000000 ident=%ASA-6-302013|message=Built|pri=166|time=Nov 14 2023 22:13:20",
    ),
    (
        "<166>Nov 14 2023 22:13:20 fw : %ASA-6-1: Built",
        "1700000000000 host=fw|ident=%ASA-6-1|message=Built|pri=166|time=Nov 14 2023 22:13:20",
    ),
    (
        "<4>wlc: *spamApTask1: Nov 14 22:13:20.000: %CAPWAP-4-X: [PA]a",
        "1700000000000 host=wlc|ident=%CAPWAP-4-X|message=[PA]a|pri=4|task=*spamApTask1|time=Nov 14 22:13:20.000",
    ),
    ("<5>r1: 00:01:01: %SYS-5-X: a", "- host=r1|ident=%SYS-5-X|message=a|pri=5|time=00:01:01"),
    ("<5>12: %SYS-5-X: a", "- ident=%SYS-5-X|message=a|pri=5|seq=12"),
    ("<134>1 1700000000.25 mx1 flows src=1", "1700000000250 host=mx1|message=flows src=1|pri=134|time=1700000000.25"),
    // What is wrong is kept.
    ("<192>x", "miss: a priority above 191"),
    ("<999999999999>x", "miss: neither a priority nor a time at the beginning"),
    ("<-1>x", "miss: neither a priority nor a time at the beginning"),
    ("", "miss: neither a priority nor a time at the beginning"),
];

#[test]
fn messages() {
    for (text, want) in TABLE {
        assert_eq!(ours(text), *want, "{text}");
    }
}

/// What the stock parsers of the configuration take and write the same way is told the same.
#[test]
fn fields_are_those_of_the_stock_parsers() {
    let stock = ParserSet::default();
    let same = [
        ("syslog-rfc5424", "<34>1 2023-11-14T22:13:20.003Z h su 1 ID47 [a b=\"c\"] x y"),
        ("syslog-rfc3164", "<34>Oct 11 22:14:15 mymachine su[1]: 'su root' failed"),
        ("syslog-rfc3164-local", "<34>Oct 11 22:14:15 su[1]: 'su root' failed"),
    ];
    for (name, text) in same {
        let def = stock.get(name).unwrap();
        let theirs = parse(&mut *def.make(), text.as_bytes());
        assert!(theirs.is_some());
        assert_eq!(parse(&mut SyslogParser::default(), text.as_bytes()), theirs, "{name}");
    }
}

/// Every byte of the text but the marks of the header is in the record: nothing is dropped.
fn keeps_the_message(text: &[u8]) {
    let mut batch = Batch::new(Tag::new("t"));
    let span = batch.arena_mut().push(text);
    let mark = batch.begin();
    if SyslogParser::default().parse(&mut batch, span, NOW) == Parsed::Miss {
        return;
    }
    batch.finish(mark, NOW);
    let kept: usize = batch
        .body(0)
        .map(|(_, v)| match v {
            crate::event::Value::Str(t) => t.raw().len(),
            _ => panic!("text only"),
        })
        .sum();
    assert!(kept <= text.len());
    let letters = |t: &[u8]| t.iter().filter(|b| b.is_ascii_alphanumeric()).count();
    let told: usize =
        batch.body(0).map(|(_, v)| if let crate::event::Value::Str(t) = v { letters(t.raw()) } else { 0 }).sum();
    let version = text.iter().skip_while(|b| **b != b'>').skip(1).take_while(|b| b.is_ascii_digit()).count();
    let forwarded = if text.windows(23).any(|w| w == b"Message forwarded from ") { 20 } else { 0 };
    assert!(told + version + forwarded >= letters(text), "{}", String::from_utf8_lossy(text));
}

#[test]
fn flips_and_cuts_are_harmless() {
    for (text, _) in TABLE {
        let text = text.as_bytes();
        for at in 0..text.len() {
            keeps_the_message(&text[..at]);
            for bit in 0..8 {
                let mut flipped = text.to_vec();
                flipped[at] ^= 1 << bit;
                keeps_the_message(&flipped);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        keeps_the_message(&bytes);
        keeps_the_message(&[b"<34>1 2023-11-14T22:13:20Z ".as_slice(), &bytes].concat());
        keeps_the_message(&[b"<34>Oct 11 22:14:15 ".as_slice(), &bytes].concat());
    }
}
