//! Syslog messages without a configured parser: RFC 5424, RFC 3164, and what vendors send instead.
//!
//! Fields are named as Fluent Bit's stock parsers name them: `pri`, `time`, `host`, `ident`, `pid`, `msgid`, `extradata`,
//! `message`. Ours: a field that a message does not have, or has as `-`, is left out; the BOM before a message is not part
//! of it; `seq`, `seq_device` and `task` hold what Cisco devices put before the time. Times that name no zone are in the
//! parser's, UTC by default.
//!
//! Taken beside the RFCs: no priority, no time, no host, no year, the year in four places, ISO times, seconds since the epoch,
//! counters and hosts before the time, Cisco's marks and zones, `Message forwarded from`. Structured data is checked only as
//! far as its end is found.

mod cursor;
mod message;
mod stamp;
#[cfg(test)]
mod tests;

use super::{Parsed, Parser};
use crate::event::{Batch, Key, Span};
use crate::time::Time;
use crate::time::zone::Zone;
use cursor::Part;
pub use message::Reason;

/// The parser; `reason` of the last miss is kept.
#[derive(Debug)]
pub struct SyslogParser {
    keys: Keys,
    zone: Zone,
    reason: Option<Reason>,
}

#[derive(Debug)]
struct Keys {
    pri: Key,
    time: Key,
    seq: [Key; 2],
    task: Key,
    host: Key,
    ident: Key,
    pid: Key,
    msgid: Key,
    extradata: Key,
    message: Key,
}

impl Default for SyslogParser {
    fn default() -> Self {
        Self::new(Zone::UTC)
    }
}

impl SyslogParser {
    /// `zone` is where times belong that name none.
    pub fn new(zone: Zone) -> Self {
        let keys = Keys {
            pri: Key::of("pri"),
            time: Key::of("time"),
            seq: [Key::of("seq"), Key::of("seq_device")],
            task: Key::of("task"),
            host: Key::of("host"),
            ident: Key::of("ident"),
            pid: Key::of("pid"),
            msgid: Key::of("msgid"),
            extradata: Key::of("extradata"),
            message: Key::of("message"),
        };
        Self { keys, zone, reason: None }
    }

    /// Why the last text was a miss.
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }
}

impl Parser for SyslogParser {
    fn parse(&mut self, batch: &mut Batch, text: Span, now: Time) -> Parsed {
        let m = match message::read(batch.arena().get(text), now, &self.zone) {
            Ok(m) => m,
            Err(reason) => {
                self.reason = Some(reason);
                return Parsed::Miss;
            }
        };
        let k = &self.keys;
        let mut push = |key: Key, part: Part| {
            if !part.is_empty() {
                batch.push_span(key, text.sub(part.from, part.to));
            }
        };
        push(k.pri, m.pri);
        push(k.time, m.stamp);
        push(k.seq[0], m.seq[0]);
        push(k.seq[1], m.seq[1]);
        push(k.task, m.task);
        push(k.host, m.host);
        push(k.ident, m.ident);
        push(k.pid, m.pid);
        push(k.msgid, m.msgid);
        push(k.extradata, m.extradata);
        push(k.message, m.message);
        Parsed::Hit(m.time)
    }
}
