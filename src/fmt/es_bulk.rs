//! The body of Elasticsearch's and OpenSearch's bulk requests: an action line and a document line per record.

use super::es_id;
use super::json_write::{JsonOpts, write_entries, write_inner, write_key, write_str, write_value};
use crate::event::access::Accessor;
use crate::event::{Cells, Key, Record, Value, View};
use crate::time::Time;
use crate::time::strftime::CachedFormatter;

/// The longest index prefix taken from a record, in bytes.
const PREFIX_MAX: usize = 128;

/// What a bulk item asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Store; an id that exists is refused.
    Create,
    /// Store; an id that exists is overwritten.
    Index,
    /// Change the document of this id.
    Update,
    /// Change the document of this id, or store it.
    Upsert,
}

/// Which index a record goes to.
#[derive(Debug)]
pub enum IndexName {
    /// One name, with strftime specifiers filled in with the time of sending (UTC).
    Plain(CachedFormatter),
    /// `<prefix><separator><date of the record>`.
    Logstash {
        /// The fixed prefix.
        prefix: String,
        /// Between prefix and date.
        separator: String,
        /// The date's format.
        date: CachedFormatter,
        /// A value of the record that replaces the prefix.
        prefix_key: Option<Accessor>,
    },
}

/// Where `_id` comes from.
#[derive(Debug)]
pub enum Id {
    /// The server makes one.
    Server,
    /// A hash of tag, position and content: the same for a record that is sent again.
    Position,
    /// A hash of the document: the same for documents that are the same.
    Content,
    /// A string value of the record.
    Key(Accessor),
}

/// How records become bulk items.
#[derive(Debug)]
pub struct Bulk {
    /// The kind of item.
    pub action: Action,
    /// The index.
    pub index: IndexName,
    /// `_type` in the action line, for servers before version 8.
    pub doc_type: Option<String>,
    /// The key of the timestamp.
    pub time_key: Key,
    /// Its format up to the second (UTC).
    pub time_format: CachedFormatter,
    /// Nine digits of fraction instead of three.
    pub nanos: bool,
    /// The key of the tag, when it is wanted.
    pub tag_key: Option<Key>,
    /// The id.
    pub id: Id,
    /// Dots in keys become underscores.
    pub replace_dots: bool,
    /// The time of sending decides index and timestamp.
    pub current_time: bool,
    /// How JSON is written.
    pub json: JsonOpts,
    scratch: Scratch,
}

/// Kept between records.
#[derive(Debug, Default)]
struct Scratch {
    /// The index name of the action line in `head`.
    index: Vec<u8>,
    next: Vec<u8>,
    /// The action line of that index up to where an id goes.
    head: Vec<u8>,
    time: Vec<u8>,
    time_of: Option<Time>,
    packed: Vec<u8>,
}

impl Bulk {
    /// The defaults of the `es` output, for this index.
    pub fn new(index: IndexName, time_key: Key, time_format: CachedFormatter) -> Self {
        Self {
            action: Action::Create,
            index,
            doc_type: Some("_doc".into()),
            time_key,
            time_format,
            nanos: false,
            tag_key: None,
            id: Id::Server,
            replace_dots: false,
            current_time: false,
            json: JsonOpts::default(),
            scratch: Scratch::default(),
        }
    }

    /// Appends an item per record; `items` learns where each ends and which record of the batch it is.
    pub fn write(&mut self, view: &View<'_>, now: Time, out: &mut Vec<u8>, items: &mut Vec<(u32, u32)>) {
        // A plain index is the same for all; a day's one is looked at for each record.
        self.scratch.head.clear();
        for record in view.records() {
            self.item(&record, now, out);
            items.push((out.len() as u32, record.index() as u32));
        }
    }

    fn item(&mut self, record: &Record<'_>, now: Time, out: &mut Vec<u8>) {
        let time = if self.current_time { now } else { record.time() };
        self.action_line(record, time, now);
        self.format_time(time);
        let body = record.body();
        // A record that brings the time key keeps its own value: the server refuses duplicate keys.
        let own_time = body.position(self.time_key).is_some();
        out.extend_from_slice(&self.scratch.head);
        match &self.id {
            Id::Server => {}
            Id::Position => {
                let hash = es_id::of_position(record, &mut self.scratch.packed);
                write_id(hash, out);
            }
            Id::Content => {
                let Scratch { time, packed, .. } = &mut self.scratch;
                let time = (!own_time).then_some((self.time_key, time.as_slice()));
                let tag = self.tag_key.filter(|k| body.position(*k).is_none());
                let tag = tag.map(|k| (k, record.batch().tag().as_bytes()));
                write_id(es_id::of_content(record, &[time, tag], packed), out);
            }
            Id::Key(accessor) => {
                if let Some(Value::Str(id)) = accessor.get(body) {
                    out.extend_from_slice(b",\"_id\":");
                    write_str(&id.bytes(), self.json, out);
                }
            }
        }
        out.extend_from_slice(b"}}\n");
        out.extend_from_slice(match self.action {
            Action::Create | Action::Index => b"",
            Action::Update => b"{\"doc\":".as_slice(),
            Action::Upsert => b"{\"doc_as_upsert\":true,\"doc\":",
        });
        self.document(record, own_time, out);
        out.extend_from_slice(if matches!(self.action, Action::Create | Action::Index) { b"\n" } else { b"}\n" });
    }

    /// Makes `scratch.head` the action line of this record's index.
    fn action_line(&mut self, record: &Record<'_>, time: Time, now: Time) {
        let s = &mut self.scratch;
        if matches!(self.index, IndexName::Plain(_)) && !s.head.is_empty() {
            return;
        }
        s.next.clear();
        match &mut self.index {
            IndexName::Plain(name) => name.write(now, &mut s.next),
            IndexName::Logstash { prefix, separator, date, prefix_key } => {
                let own = prefix_key.as_ref().and_then(|k| k.get(record.body())).and_then(|v| v.as_text());
                match own.map(|t| t.bytes()).filter(|t| is_safe_prefix(t)) {
                    Some(own) => s.next.extend_from_slice(&own),
                    None => s.next.extend_from_slice(prefix.as_bytes()),
                }
                s.next.extend_from_slice(separator.as_bytes());
                date.write(time, &mut s.next);
            }
        }
        if s.next == s.index && !s.head.is_empty() {
            return;
        }
        std::mem::swap(&mut s.next, &mut s.index);
        s.head.clear();
        s.head.extend_from_slice(match self.action {
            Action::Create => b"{\"create\":{\"_index\":".as_slice(),
            Action::Index => b"{\"index\":{\"_index\":",
            Action::Update | Action::Upsert => b"{\"update\":{\"_index\":",
        });
        write_str(&s.index, self.json, &mut s.head);
        if let Some(t) = &self.doc_type {
            s.head.extend_from_slice(b",\"_type\":");
            write_str(t.as_bytes(), self.json, &mut s.head);
        }
    }

    fn format_time(&mut self, time: Time) {
        let s = &mut self.scratch;
        if s.time_of == Some(time) {
            return;
        }
        s.time_of = Some(time);
        s.time.clear();
        self.time_format.write(time, &mut s.time);
        let nanos = time.subsec_nanos();
        s.time.push(b'.');
        let (digits, value) = if self.nanos { (9, nanos) } else { (3, nanos / 1_000_000) };
        for n in (0..digits).rev() {
            s.time.push(b'0' + (value / 10u32.pow(n) % 10) as u8);
        }
        s.time.push(b'Z');
    }

    /// The document: timestamp, tag, then the record.
    fn document(&self, record: &Record<'_>, own_time: bool, out: &mut Vec<u8>) {
        let body = record.body();
        out.push(b'{');
        let mut first = true;
        if !own_time {
            write_key(body, self.time_key, self.json, out);
            write_str(&self.scratch.time, self.json, out);
            first = false;
        }
        if let Some(key) = self.tag_key
            && body.position(key).is_none()
        {
            if !first {
                out.push(b',');
            }
            write_key(body, key, self.json, out);
            write_str(record.batch().tag().as_bytes(), self.json, out);
            first = false;
        }
        if self.replace_dots {
            self.entries(body, first, out);
        } else if !body.is_empty() {
            if !first {
                out.push(b',');
            }
            write_entries(body, self.json, out);
        }
        out.push(b'}');
    }

    /// Entries with dots in their keys replaced.
    fn entries(&self, cells: Cells<'_>, mut first: bool, out: &mut Vec<u8>) {
        for (key, value) in cells {
            if !first {
                out.push(b',');
            }
            first = false;
            self.key(cells, key, out);
            self.value(&value, out);
        }
    }

    fn key(&self, cells: Cells<'_>, key: Key, out: &mut Vec<u8>) {
        let name = cells.name(key);
        if !name.contains(&b'.') {
            return write_key(cells, key, self.json, out);
        }
        let name: Vec<u8> = name.iter().map(|&b| if b == b'.' { b'_' } else { b }).collect();
        out.push(b'"');
        write_inner(&name, self.json, out);
        out.extend_from_slice(b"\":");
    }

    fn value(&self, value: &Value<'_>, out: &mut Vec<u8>) {
        match value {
            Value::Map(cells) => {
                out.push(b'{');
                self.entries(*cells, true, out);
                out.push(b'}');
            }
            Value::Array(cells) => {
                out.push(b'[');
                for (n, (_, v)) in cells.enumerate() {
                    if n > 0 {
                        out.push(b',');
                    }
                    self.value(&v, out);
                }
                out.push(b']');
            }
            plain => write_value(plain, self.json, out),
        }
    }
}

fn write_id(hash: (u64, u64), out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"_id\":\"");
    es_id::write(hash, out);
    out.push(b'"');
}

/// Whether a value of a record may begin an index name.
fn is_safe_prefix(text: &[u8]) -> bool {
    let bad = |b: u8| b <= b' ' || b == 0x7f || b"\\/*?\"<>|,#:".contains(&b) || b.is_ascii_uppercase();
    !text.is_empty()
        && text.len() <= PREFIX_MAX
        && !matches!(text.first(), Some(b'-' | b'_' | b'+' | b'.'))
        && !text.iter().any(|&b| bad(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Batch, Tag};
    use crate::fmt::json_read::JsonReader;
    use crate::time::strftime::Formatter;
    use crate::time::zone::Zone;

    fn format(text: &str) -> CachedFormatter {
        CachedFormatter::new(Formatter::compile(text).unwrap(), Zone::UTC)
    }

    fn plain(index: &str) -> Bulk {
        Bulk::new(IndexName::Plain(format(index)), Key::of("@timestamp"), format("%Y-%m-%dT%H:%M:%S"))
    }

    /// 2023-11-14T22:13:20.123Z
    const T: Time = Time(1_700_000_000_123_456_789);

    fn check(mut bulk: Bulk, record: &str, expected: &str) {
        let mut batch = Batch::new(Tag::new("d.t"));
        let span = batch.arena_mut().push(record.as_bytes());
        let mark = batch.begin();
        JsonReader::default().object(&mut batch, span).unwrap();
        batch.finish(mark, T);
        let (mut out, mut items) = (Vec::new(), Vec::new());
        bulk.write(&View::all(&batch), Time(1_700_100_000_000_000_000), &mut out, &mut items);
        assert_eq!(String::from_utf8(out.clone()).unwrap(), expected);
        assert_eq!(items, [(out.len() as u32, 0)]);
    }

    #[test]
    fn the_default_body() {
        check(
            plain("fluent-bit"),
            r#"{"a.b":1}"#,
            concat!(
                r#"{"create":{"_index":"fluent-bit","_type":"_doc"}}"#,
                "\n",
                r#"{"@timestamp":"2023-11-14T22:13:20.123Z","a.b":1}"#,
                "\n"
            ),
        );
    }

    #[test]
    fn keys_of_the_document() {
        let mut bulk = plain("i-%Y.%m");
        bulk.doc_type = None;
        bulk.nanos = true;
        bulk.tag_key = Some(Key::of("flb-key"));
        bulk.replace_dots = true;
        check(
            bulk,
            r#"{"a.b":{"c.d":[{"e.f":"x.y"}]}}"#,
            concat!(
                r#"{"create":{"_index":"i-2023.11"}}"#,
                "\n",
                r#"{"@timestamp":"2023-11-14T22:13:20.123456789Z","flb-key":"d.t","a_b":{"c_d":[{"e_f":"x.y"}]}}"#,
                "\n"
            ),
        );
    }

    #[test]
    fn a_record_keeps_its_own_time_and_tag() {
        let mut bulk = plain("i");
        bulk.doc_type = None;
        bulk.tag_key = Some(Key::of("tag"));
        check(
            bulk,
            r#"{"@timestamp":"own","tag":"mine"}"#,
            "{\"create\":{\"_index\":\"i\"}}\n{\"@timestamp\":\"own\",\"tag\":\"mine\"}\n",
        );
    }

    #[test]
    fn indices_by_day_and_by_record() {
        let name = |key| IndexName::Logstash {
            prefix: "logstash".into(),
            separator: "-".into(),
            date: format("%Y.%m.%d"),
            prefix_key: Some(Accessor::parse(key).unwrap()),
        };
        for (key, record, index) in [
            ("$app", r#"{"app":"web"}"#, "web-2023.11.14"),
            ("$k['n']", r#"{"k":{"n":"x"}}"#, "x-2023.11.14"),
            ("$app", r#"{"app":"../Bad"}"#, "logstash-2023.11.14"),
            ("$app", r#"{"other":"web"}"#, "logstash-2023.11.14"),
        ] {
            let mut bulk = plain("x");
            (bulk.index, bulk.doc_type) = (name(key), None);
            let rest = record.strip_prefix('{').unwrap();
            let expected = format!(
                "{{\"create\":{{\"_index\":\"{index}\"}}}}\n{{\"@timestamp\":\"2023-11-14T22:13:20.123Z\",{rest}\n"
            );
            check(bulk, record, &expected);
        }
    }

    #[test]
    fn actions_and_ids() {
        let doc = r#"{"@timestamp":"2023-11-14T22:13:20.123Z","id":"7"}"#;
        for (action, head, body) in [
            (Action::Index, "index", doc.to_owned()),
            (Action::Update, "update", format!("{{\"doc\":{doc}}}")),
            (Action::Upsert, "update", format!("{{\"doc_as_upsert\":true,\"doc\":{doc}}}")),
        ] {
            let mut bulk = plain("i");
            (bulk.action, bulk.doc_type) = (action, None);
            bulk.id = Id::Key(Accessor::parse("$id").unwrap());
            let expected = format!("{{\"{head}\":{{\"_index\":\"i\",\"_id\":\"7\"}}}}\n{body}\n");
            check(bulk, r#"{"id":"7"}"#, &expected);
        }
    }

    /// The ids of two records of these times, which are the same but for that.
    fn ids(id: Id, times: [i64; 2]) -> [String; 2] {
        let mut bulk = plain("i");
        bulk.id = id;
        let mut batch = Batch::new(Tag::new("t"));
        for time in times {
            let span = batch.arena_mut().push(br#"{"log":"x"}"#);
            let mark = batch.begin();
            JsonReader::default().object(&mut batch, span).unwrap();
            batch.finish(mark, Time(time));
        }
        let mut out = Vec::new();
        bulk.write(&View::all(&batch), T, &mut out, &mut Vec::new());
        let text = String::from_utf8(out).unwrap();
        let mut ids = text.split("\"_id\":\"").skip(1).map(|t| t[..36].to_owned());
        [ids.next().unwrap(), ids.next().unwrap()]
    }

    #[test]
    fn equal_documents_are_one_by_content_and_two_by_position() {
        let [a, b] = ids(Id::Content, [T.0, T.0]);
        assert_eq!(a, b);
        let [a, b] = ids(Id::Content, [T.0, T.0 + 1_000_000]);
        assert_ne!(a, b);
        let [a, b] = ids(Id::Position, [T.0, T.0]);
        assert_ne!(a, b);
    }
}
