//! logfmt: `key=value key="quoted value" bare`.

use super::decode_field::DecodeFields;
use super::fields::Fields;
use super::types::Type;
use super::unescape::{decode_in_arena, escaped_utf8};
use super::{Parsed, Parser};
use crate::event::{Batch, Cell, Span};
use crate::time::Time;
use std::ops::Range;

/// Parses logfmt. A key or an unquoted value is any run of bytes above space without `=` and `"`; what stands between
/// pairs is passed over. A bare key and `key=` are `true`, `key=""` is empty; backslashes mean something in quotes
/// only. The text ends at a newline.
#[derive(Debug)]
pub struct Logfmt {
    pub(super) fields: Fields,
    pub(super) decoders: Option<DecodeFields>,
    /// A bare key makes the whole text a miss.
    pub(super) no_bare_keys: bool,
}

impl Parser for Logfmt {
    fn parse(&mut self, batch: &mut Batch, text: Span, now: Time) -> Parsed {
        let mark = batch.begin();
        let arena_end = batch.arena().len();
        let mut time = None;
        let mut at = 0;
        while let Some(pair) = next_pair(batch.arena().get(text), at) {
            at = pair.next;
            let empty = pair.value.is_empty();
            if empty && !pair.equals && self.no_bare_keys {
                batch.abandon(mark);
                batch.arena_mut().truncate(arena_end);
                return Parsed::Miss;
            }
            let key = batch.key_at(text.sub(pair.key.start, pair.key.end));
            if empty && !pair.quoted {
                batch.push(Cell::bool(key, true));
                continue;
            }
            let mut value = text.sub(pair.value.start, pair.value.end);
            if self.fields.is_time(key) && !empty && !self.fields.read_time(batch.arena().get(value), now, &mut time) {
                continue;
            }
            let kind = self.fields.type_of(key);
            if pair.escapes && kind == Type::Text {
                value = decode_in_arena(batch, value, escaped_utf8);
            }
            let cell = self.fields.cell(key, kind, batch.arena().get(value), value, now);
            batch.push(cell);
        }
        if batch.since(mark).is_empty() {
            batch.arena_mut().truncate(arena_end);
            return Parsed::Miss;
        }
        if let Some(decoders) = &mut self.decoders {
            decoders.apply(batch, mark);
        }
        Parsed::Hit(time)
    }
}

struct Pair {
    key: Range<usize>,
    value: Range<usize>,
    /// There was a `=`.
    equals: bool,
    quoted: bool,
    /// There is a backslash between the quotes.
    escapes: bool,
    /// Where to look for the next pair.
    next: usize,
}

fn next_pair(text: &[u8], at: usize) -> Option<Pair> {
    let rest = text.get(at..)?;
    // Behind a value the line may end; before the first key a newline is as good as a blank.
    if at > 0 && (rest.starts_with(b"\n") || rest.starts_with(b"\r")) {
        return None;
    }
    let start = at + rest.iter().take_while(|&&b| !is_ident(b)).count();
    let key = start..ident_end(text, start);
    if key.is_empty() {
        return None;
    }
    let mut pair = Pair { next: key.end, value: key.end..key.end, key, equals: false, quoted: false, escapes: false };
    if text.get(pair.next) != Some(&b'=') {
        return Some(pair);
    }
    pair.equals = true;
    let start = pair.next + 1;
    if text.get(start) == Some(&b'"') {
        pair.quoted = true;
        let (end, escapes) = quote_end(text, start + 1);
        pair.escapes = escapes;
        pair.value = start + 1..end;
        pair.next = (end + 1).min(text.len());
    } else {
        pair.value = start..ident_end(text, start);
        pair.next = pair.value.end;
    }
    Some(pair)
}

/// Where the closing quote stands (or the text ends), and whether there is a backslash before it.
fn quote_end(text: &[u8], start: usize) -> (usize, bool) {
    let mut at = start;
    let mut escapes = false;
    while let Some(found) = text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if text.get(at) == Some(&b'"') {
            return (at, escapes);
        }
        escapes = true;
        at += 2;
    }
    (text.len(), escapes)
}

fn ident_end(text: &[u8], start: usize) -> usize {
    start + text.get(start..).unwrap_or_default().iter().take_while(|&&b| is_ident(b)).count()
}

#[inline]
fn is_ident(b: u8) -> bool {
    b > b' ' && b != b'=' && b != b'"'
}

#[cfg(test)]
mod tests {
    use crate::parse::tests::check;

    const CONF: &[(&str, &str)] = &[("Format", "logfmt"), ("Time_Format", "%s.%L")];

    #[test]
    fn pairs() {
        check(CONF, r#"a=1 b="x y\"z" c d= e="""#, r#"- {"a":"1","b":"x y\"z","c":true,"d":true,"e":""}"#);
        check(CONF, r"path=C:\new\table", r#"- {"path":"C:\\new\\table"}"#);
        check(CONF, r#"m="a\nb\u00e9\\" n=1"#, "- {\"m\":\"a\\nb\u{e9}\\\\\",\"n\":\"1\"}");
        check(CONF, r#"a="open \" end"#, r#"- {"a":"open \" end"}"#);
        check(CONF, "a=\"open \\", r#"- {"a":"open \\"}"#);
        check(CONF, "a==b", r#"- {"a":true,"b":true}"#);
        check(CONF, r#"a="1"b=2 "c"=3"#, r#"- {"a":"1","b":"2","c":true,"3":true}"#);
        check(CONF, " \n a=é\tb=2\r\nc=3", "- {\"a\":\"é\",\"b\":\"2\"}");
    }

    #[test]
    fn misses() {
        for text in ["", " = \"", "\n"] {
            check(CONF, text, "miss");
        }
        let conf = [CONF, &[("Logfmt_No_Bare_Keys", "on")]].concat();
        check(&conf, r#"m="\"" bare"#, "miss");
        check(&conf, "plain text", "miss");
        check(&conf, "a= b=1", r#"- {"a":true,"b":"1"}"#);
    }

    #[test]
    fn time_and_types() {
        check(CONF, "time=1700000000.25 a=1", r#"1700000000.25 {"a":"1"}"#);
        check(CONF, "time=x a=1", r#"- {"a":"1"}"#);
        check(CONF, "time a=1", r#"- {"time":true,"a":"1"}"#);
        let conf = [CONF, &[("Types", "n:integer f:float h:hex ok:bool bare:integer")]].concat();
        check(
            &conf,
            r#"n="12\n" f=1.5 h=0xff ok=true bare m="\t""#,
            r#"- {"n":12,"f":1.5,"h":255,"ok":true,"bare":true,"m":"\t"}"#,
        );
    }
}
