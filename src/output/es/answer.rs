//! Reading a bulk answer item by item as it arrives: only the item at hand is in memory, and of that only what is judged.
//!
//! Source: the bulk API of Elasticsearch 7.10 and OpenSearch: `{"took":…,"errors":…,"items":[{"create":{"status":…}}…]}`.

use crate::fmt::json_stream::{JsonStream, StreamError};
use crate::output::request::{quote, shorten};
use std::io::{ErrorKind, Read};

/// The longest piece of an answer without an item in it, in bytes. A longer one counts as an answer that never ends.
const PIECE: u64 = 32 << 20;
/// How much of a server's reason is kept, in bytes.
pub const REASON: usize = 1024;
/// How much of an answer's start is kept for log lines, in bytes.
const HEAD: usize = 4096;
/// How much of a page is quoted in a line of the log, in bytes.
pub const QUOTE: usize = 300;

/// What a bulk answer says about one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Stored, or stored before.
    Done,
    /// Try it again: what stands against it may pass.
    Retry(String),
    /// It can never be stored; the server's reason.
    Refused(String),
}

/// What an answer was worth.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Items that were judged, one more than expected at most.
    pub items: usize,
    /// The server's word that all items are stored, those it does not list included.
    pub clean: bool,
    /// Why the answer could not be read to its end.
    pub problem: Option<String>,
    /// Whether the rest did not come in time.
    pub stalled: bool,
    /// How it began, for the log.
    pub head: Vec<u8>,
}

/// Reads the body of a 200 or 201, whose items go to `each` in order.
pub fn read(body: impl Read, expected: usize, mut each: impl FnMut(Verdict)) -> Told {
    let mut told = Told::default();
    let mut json = JsonStream::new(body, HEAD);
    let read = root(&mut json, &mut told, expected, &mut each);
    told.head = json.head().to_vec();
    told.stalled = matches!(&read, Err(StreamError::Io(e)) if e.kind() == ErrorKind::TimedOut);
    told.problem = match read {
        Ok(()) => None,
        Err(e @ StreamError::Expected(..)) => {
            Some(format!("the answer is not JSON ({e}): {}", quote(&told.head, QUOTE)))
        }
        Err(StreamError::Long) => Some(format!("the answer does not end: {}", quote(&told.head, QUOTE))),
        Err(StreamError::End) if told.head.is_empty() => Some("the answer is empty".into()),
        Err(e) => Some(format!("the answer broke off after {} of {expected} items: {e}", told.items)),
    };
    if told.problem.is_none() && !told.clean && told.items == 0 && expected > 0 {
        told.problem = Some(format!("the answer has no items, is this a bulk API? {}", quote(&told.head, QUOTE)));
    }
    told
}

fn root<R: Read>(
    json: &mut JsonStream<R>,
    told: &mut Told,
    expected: usize,
    each: &mut impl FnMut(Verdict),
) -> Result<(), StreamError> {
    json.allow(PIECE);
    json.take(b'{', "an object")?;
    let (mut first, mut name) = (true, Vec::new());
    while json.key(&mut first, &mut name)? {
        match name.as_slice() {
            b"errors" => {
                if json.bool()? == Some(false) {
                    told.clean = true;
                    return Ok(());
                }
            }
            b"items" if json.peek()? == b'[' => {
                json.take(b'[', "an array")?;
                let mut first = true;
                while json.element(&mut first)? {
                    if told.items < expected {
                        each(item(json)?);
                    }
                    told.items += 1;
                    if told.items > expected {
                        return Ok(());
                    }
                    json.allow(PIECE);
                }
                if told.items == expected {
                    return Ok(());
                }
            }
            _ => json.skip()?,
        }
    }
    Ok(())
}

/// The verdict of `{"create":{"status":429,"error":{…}}}`.
fn item<R: Read>(json: &mut JsonStream<R>) -> Result<Verdict, StreamError> {
    if json.peek()? != b'{' {
        json.skip()?;
        return Ok(Verdict::Retry("an item of the answer is no object".into()));
    }
    json.take(b'{', "an object")?;
    let mut verdict = None;
    let (mut first, mut action) = (true, Vec::new());
    while json.key(&mut first, &mut action)? {
        if verdict.is_none() && json.peek()? == b'{' {
            verdict = Some(result(json, action == b"create")?);
        } else {
            json.skip()?;
        }
    }
    Ok(verdict.unwrap_or_else(|| Verdict::Retry("an item of the answer is empty".into())))
}

fn result<R: Read>(json: &mut JsonStream<R>, is_create: bool) -> Result<Verdict, StreamError> {
    json.take(b'{', "an object")?;
    let (mut status, mut why) = (None, None);
    let (mut first, mut name) = (true, Vec::new());
    while json.key(&mut first, &mut name)? {
        match name.as_slice() {
            b"status" => status = json.int()?,
            b"error" => why = error(json)?,
            _ => json.skip()?,
        }
    }
    Ok(judge(status, is_create, why))
}

/// The first element is the error's type, the second its text with that of its cause.
type Why = (String, String);

fn judge(status: Option<i64>, is_create: bool, why: Option<Why>) -> Verdict {
    let Some(status) = status else { return Verdict::Retry("an item of the answer has no status".into()) };
    let passes = match status {
        200..=299 => return Verdict::Done,
        // The id exists: an earlier attempt stored it.
        409 if is_create => return Verdict::Done,
        // 401 and 403 are about the user or a block of the index, a full disk for instance.
        401 | 403 | 408 | 409 | 429 => true,
        // The cluster is full: no place for one more index.
        400 => why.as_ref().is_some_and(|(kind, text)| kind == "validation_exception" && text.contains("shards open")),
        _ => !(400..=499).contains(&status),
    };
    let reason = match why {
        Some((kind, text)) if kind.is_empty() => format!("{status} {text}"),
        Some((kind, text)) => format!("{status} {kind}: {text}"),
        None => format!("{status} no reason given"),
    };
    let reason = shorten(reason, REASON);
    if passes { Verdict::Retry(reason) } else { Verdict::Refused(reason) }
}

/// `reason; caused by type: reason` of an item's error, with its type.
fn error<R: Read>(json: &mut JsonStream<R>) -> Result<Option<Why>, StreamError> {
    if json.peek()? != b'{' {
        let text = text(json)?;
        return Ok((!text.is_empty()).then(|| (String::new(), text)));
    }
    json.take(b'{', "an object")?;
    let (mut kind, mut reason, mut cause) = (String::new(), String::new(), None);
    let (mut first, mut name) = (true, Vec::new());
    while json.key(&mut first, &mut name)? {
        match name.as_slice() {
            b"type" => kind = text(json)?,
            b"reason" => reason = text(json)?,
            b"caused_by" if json.peek()? == b'{' => cause = Some(cause_of(json)?),
            _ => json.skip()?,
        }
    }
    if let Some((kind, text)) = cause {
        reason.push_str(&format!("; caused by {kind}: {text}"));
    }
    Ok((!kind.is_empty() || !reason.is_empty()).then_some((kind, reason)))
}

/// Type and reason of what stands behind an error.
fn cause_of<R: Read>(json: &mut JsonStream<R>) -> Result<Why, StreamError> {
    json.take(b'{', "an object")?;
    let (mut kind, mut reason) = (String::new(), String::new());
    let (mut first, mut name) = (true, Vec::new());
    while json.key(&mut first, &mut name)? {
        match name.as_slice() {
            b"type" => kind = text(json)?,
            b"reason" => reason = text(json)?,
            _ => json.skip()?,
        }
    }
    Ok((kind, reason))
}

/// A string; what is none is skipped and empty.
fn text<R: Read>(json: &mut JsonStream<R>) -> Result<String, StreamError> {
    if json.peek()? != b'"' {
        return json.skip().map(|()| String::new());
    }
    let mut bytes = Vec::new();
    json.text(&mut bytes, REASON)?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn all(body: &[u8], expected: usize) -> (Vec<Verdict>, Told) {
        let mut verdicts = Vec::new();
        let told = read(body, expected, |v| verdicts.push(v));
        (verdicts, told)
    }

    fn problem(body: &[u8], expected: usize) -> String {
        all(body, expected).1.problem.unwrap_or_default()
    }

    #[test]
    fn a_clean_answer_needs_no_reading() {
        for body in [
            r#"{"took":3,"errors":false,"items":[{"create":{"status":201}}]}"#,
            "{\"errors\" : false, \"items\": []}",
            r#"{"errors":false"#,
        ] {
            let (verdicts, told) = all(body.as_bytes(), 1);
            assert!(verdicts.is_empty() && told.clean && told.problem.is_none(), "{body}");
        }
    }

    #[test]
    fn each_item_has_its_verdict() {
        let body = br#"{"took":1,"errors":true,"items":[
            {"create":{"status":201}},
            {"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"queue full"}}},
            {"create":{"error":{"type":"mapper_parsing_exception","reason":"failed to parse field [n]","caused_by":{"type":"number_format_exception","reason":"For input string: \"x\"","caused_by":{"type":"deeper"}}},"status":400}},
            {"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"exists"}}},
            {"update":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"changed"}}},
            {"index":{"status":503,"error":"unavailable"}},
            {"index":{"status":404,"x":[{"status":200}]}},
            {"create":{"status":403,"error":{"root_cause":[{"type":"x"}],"type":"cluster_block_exception","reason":"disk usage exceeded"}}},
            {"create":{"status":400,"error":{"type":"validation_exception","reason":"this cluster currently has [1000]/[1000] maximum shards open;"}}},
            {"create":{"status":400,"error":{"type":"validation_exception","reason":"no requests added;"}}},
            7, {}, {"create":{}}, {"create":{"status":"201"}}, {"create":{"status":0}},
            {"index":{"status":400,"error":{"type":7}}}]}"#;
        let (items, told) = all(body, 16);
        let retry = |why: &str| Verdict::Retry(why.into());
        let refused = |why: &str| Verdict::Refused(why.into());
        assert_eq!(
            items,
            [
                Verdict::Done,
                retry("429 es_rejected_execution_exception: queue full"),
                refused(
                    "400 mapper_parsing_exception: failed to parse field [n]; caused by number_format_exception: For input string: \"x\""
                ),
                Verdict::Done,
                retry("409 version_conflict_engine_exception: changed"),
                retry("503 unavailable"),
                refused("404 no reason given"),
                retry("403 cluster_block_exception: disk usage exceeded"),
                retry("400 validation_exception: this cluster currently has [1000]/[1000] maximum shards open;"),
                refused("400 validation_exception: no requests added;"),
                retry("an item of the answer is no object"),
                retry("an item of the answer is empty"),
                retry("an item of the answer has no status"),
                retry("an item of the answer has no status"),
                retry("0 no reason given"),
                refused("400 no reason given"),
            ]
        );
        assert_eq!((told.items, told.clean, told.problem), (16, false, None));
    }

    #[test]
    fn what_is_no_answer_is_said() {
        for (body, said) in [
            (&b""[..], "the answer is empty"),
            (b"<html>\n<b>", "the answer is not JSON (expected an object at byte 0): <html> <b>"),
            (b"[]", "the answer is not JSON (expected an object at byte 0): []"),
            (b"{\"took\":1}", "the answer has no items, is this a bulk API? {\"took\":1}"),
            (b"{\"items\":{}}", "the answer has no items"),
            (
                b"{\"items\":[nonsense?]}",
                "the answer is not JSON (expected ',' or the end of the container at byte 18)",
            ),
        ] {
            let got = problem(body, 2);
            assert!(got.starts_with(said), "{got}");
        }
    }

    const FOUR: &str = r#"{"took":9,"items":[{"create":{"status":201}},{"create":{"status":400,"error":{"type":"t","reason":"é"}}},{"create":{"status":429}},{"create":{"status":201}}],"errors":true}"#;

    #[test]
    fn an_answer_may_break_off_anywhere() {
        let whole = all(FOUR.as_bytes(), 4).0;
        let closed = FOUR.find(']').unwrap();
        for end in 0..FOUR.len() {
            let (verdicts, told) = all(&FOUR.as_bytes()[..end], 4);
            assert_eq!(verdicts, whole[..verdicts.len()], "{end}");
            assert_eq!(told.problem.is_none(), end > closed, "{end}");
            assert!(told.items == verdicts.len() && !told.clean);
        }
        assert_eq!(
            problem(&FOUR.as_bytes()[..60], 4),
            "the answer broke off after 1 of 4 items: the text ends too early"
        );
    }

    #[test]
    fn items_are_counted() {
        let (verdicts, told) = all(FOUR.as_bytes(), 3);
        assert_eq!((verdicts.len(), told.items, told.problem), (3, 4, None));
        let (verdicts, told) = all(FOUR.as_bytes(), 5);
        assert_eq!((verdicts.len(), told.items, told.problem), (4, 4, None));
        // The word that all is well may come last.
        let told = all(br#"{"items":[],"errors":false}"#, 5).1;
        assert!(told.clean && told.problem.is_none());
    }

    /// An item of any length is judged; so is what follows it.
    #[test]
    fn long_items_are_judged_too() {
        let long = "\\u00e9x".repeat(1 << 19);
        let body = format!(
            r#"{{"items":[{{"create":{{"junk":["{long}"],"status":400,"error":{{"reason":"{long}","type":"{long}"}}}}}},{{"create":{{"status":201}}}}]}}"#
        );
        let (verdicts, told) = all(body.as_bytes(), 2);
        let Verdict::Refused(why) = &verdicts[0] else { panic!("{:?}", verdicts[0]) };
        assert!(why.starts_with("400 éxéx") && why.len() <= REASON, "{}", why.len());
        assert_eq!((&verdicts[1], told.problem), (&Verdict::Done, None));
    }

    #[test]
    fn what_never_ends_is_given_up() {
        let endless = io::repeat(b'[');
        let told = read((&br#"{"items":[{"create":{"status":201}},"#[..]).chain(endless), 3, |_| {});
        let why = told.problem.unwrap();
        assert!(why.starts_with("the answer does not end: {\"items\"") && why.len() < 400, "{why}");
        assert_eq!(told.items, 1);
    }

    #[test]
    fn reasons_are_cut_between_characters() {
        assert_eq!(shorten("abc".into(), 3), "abc");
        assert_eq!(shorten("abcdef".into(), 5), "ab…");
        assert_eq!(shorten("ééé".into(), 5), "é…");
        assert_eq!(shorten("ééé".into(), 1), "…");
    }
}
