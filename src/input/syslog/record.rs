//! From a message's bytes to a record.

use super::frames::Piece;
use crate::event::{Batch, Key, Span};
use crate::parse::syslog::SyslogParser;
use crate::parse::{Parsed, Parser, ParserDef};
use crate::time::Time;

/// Why a piece is not parsed.
const REST: &str = "the rest of a message longer than Buffer_Max_Size";

/// Makes the records of an instance.
pub struct Records {
    parser: Choice,
    log: Key,
    reason: Key,
    raw: Option<Key>,
    address: Option<Key>,
    /// Messages that were kept as they are since this was last asked.
    unparsed: u64,
}

enum Choice {
    Ours(SyslogParser),
    Named(Box<dyn Parser>, String),
}

impl Records {
    /// `parser`: what `Parser` names; `raw` and `address` are the keys to put the whole message and the peer under.
    pub fn new(parser: Option<ParserDef>, raw: Option<&str>, address: Option<&str>) -> Self {
        let parser = match parser {
            Some(def) => Choice::Named(def.make(), format!("the parser '{}' does not match", def.name())),
            None => Choice::Ours(SyslogParser::default()),
        };
        let (raw, address) = (raw.map(Key::of), address.map(Key::of));
        Self { parser, log: Key::of("log"), reason: Key::of("parse_error"), raw, address, unparsed: 0 }
    }

    /// Whether records name their peer.
    pub fn want_address(&self) -> bool {
        self.address.is_some()
    }

    /// How many messages were not parsed since the last time.
    pub fn take_unparsed(&mut self) -> u64 {
        std::mem::take(&mut self.unparsed)
    }

    /// Makes a record of the message that stands at `text` in the arena; `address` is the peer's text there.
    pub fn push(&mut self, batch: &mut Batch, text: Span, piece: Piece, address: Span, now: Time) {
        let mark = batch.begin();
        let parsed = match &mut self.parser {
            _ if piece == Piece::Rest => Err(REST),
            Choice::Ours(parser) => match parser.parse(batch, text, now) {
                Parsed::Hit(time) => Ok(time),
                Parsed::Miss => Err(parser.reason().map_or("", |r| r.text())),
            },
            Choice::Named(parser, why) => match parser.parse(batch, text, now) {
                Parsed::Hit(time) => Ok(time),
                Parsed::Miss => Err(why.as_str()),
            },
        };
        let time = match parsed {
            Ok(time) => time,
            Err(why) => {
                self.unparsed += 1;
                batch.push_span(self.log, text);
                batch.push_text(self.reason, why.as_bytes());
                None
            }
        };
        if let Some(key) = self.raw {
            batch.push_span(key, text);
        }
        if let Some(key) = self.address {
            batch.push_span(key, address);
        }
        batch.finish(mark, time.unwrap_or(now));
    }
}
