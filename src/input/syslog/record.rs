//! From a message's bytes to a record.

use super::frames::{Piece, trailing};
use crate::event::{Batch, Key, Span};
use crate::input::InputCx;
use crate::input::datagrams::Take;
use crate::parse::syslog::SyslogParser;
use crate::parse::{Parsed, Parser, ParserDef};
use crate::time::Time;
use crate::time::zone::Zone;

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
    /// `parser`: what `Parser` names, else ours with the `zone` of times that name none; `raw` and `address` are the keys to put the whole message and the peer under.
    pub fn new(parser: Option<ParserDef>, zone: Zone, raw: Option<&str>, address: Option<&str>) -> Self {
        let parser = match parser {
            Some(def) => Choice::Named(def.make(), format!("the parser '{}' does not match", def.name())),
            None => Choice::Ours(SyslogParser::new(zone)),
        };
        let (raw, address) = (raw.map(Key::of), address.map(Key::of));
        Self { parser, log: Key::of("log"), reason: Key::of("parse_error"), raw, address, unparsed: 0 }
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

/// A datagram is a message.
impl Take for Records {
    fn want_address(&self) -> bool {
        self.address.is_some()
    }

    fn trim(&self, datagram: &[u8]) -> usize {
        datagram.len() - trailing(datagram)
    }

    fn take(&mut self, batch: &mut Batch, text: Span, address: Span, now: Time) {
        self.push(batch, text, Piece::Message, address, now);
    }

    fn report(&mut self, cx: &InputCx) {
        cx.count("not parsed", self.take_unparsed());
    }
}
