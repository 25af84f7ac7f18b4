//! A decoder to start from: ident (RFC 1413). See README.md beside this file.

mod parse;
#[cfg(test)]
mod tests;

use super::{Conversation, Cx, Decoder, Dir, Head, MakeProtocol, Next, Probe, Protocol, Step, Transport};
use crate::conf::CList;
use crate::time::Time;
use parse::LINE_MAX;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// The entry of the table.
pub static PROTOCOL: Protocol = Protocol {
    name: "ident",
    doc: "Which user of a machine owns a connection.",
    keys: IdentConf::TABLE,
    over: &[Transport::Tcp],
    probe: |_, data| probe(data),
    make: |cx| make(cx),
};

crate::config! {
    /// Options of ident; each name begins with that of the protocol.
    pub struct IdentConf {
        /// Comma list of the ports on which it is looked for first.
        ports: CList => "ident.ports" = "113",
        /// How long a question waits for its answer. Default: `Transaction_Timeout`.
        transaction_timeout: Option<Duration> => "ident.transaction_timeout",
    }
}

crate::keys! {
    /// The keys of its documents.
    struct Keys { ident, kind = "type", text = "response" }
}

/// Questions that wait in one connection. RFC 1413 §3 knows one at a time; pipelining clients send a few.
const PENDING_MAX: usize = 16;

const UNMATCHED_REQUEST: &str = "Unmatched request";
const UNMATCHED_RESPONSE: &str = "Unmatched response";

/// Whether a question begins here: two numbers and a comma are rare enough to be told from anything else only when the
/// line is whole.
fn probe(data: &[u8]) -> Probe {
    match parse::line(data) {
        Some((line, _)) if parse::question(line).is_some() => Probe::Yes,
        Some(_) => Probe::No,
        None if data.len() < LINE_MAX => Probe::Maybe,
        None => Probe::No,
    }
}

fn make(cx: &mut MakeProtocol<'_>) -> Option<Box<dyn Decoder>> {
    let conf = IdentConf::load(cx.section, cx.diags)?;
    let Ok(ports) = conf.ports.0.iter().map(|p| p.parse()).collect() else {
        return cx.refuse("ident.ports", "a port is a number from 0 to 65535", "Write for example: ident.ports 113");
    };
    let timeout = conf.transaction_timeout.unwrap_or(cx.timeout);
    Some(Box::new(Ident { ports, settings: Rc::new(Settings { timeout, keys: Keys::new() }) }))
}

struct Settings {
    timeout: Duration,
    keys: Keys,
}

struct Ident {
    ports: Vec<u16>,
    settings: Rc<Settings>,
}

impl Decoder for Ident {
    fn ports(&self) -> &[u16] {
        &self.ports
    }

    fn open(&self, _over: Transport) -> Box<dyn Conversation> {
        Box::new(Talk { settings: self.settings.clone(), pending: VecDeque::new() })
    }
}

/// A question that waits.
struct Question {
    from: Dir,
    time: Time,
    bytes: u64,
}

/// One connection.
struct Talk {
    settings: Rc<Settings>,
    pending: VecDeque<Question>,
}

impl Talk {
    fn question(&mut self, cx: &mut Cx<'_>, from: Dir, bytes: u64) {
        if self.pending.len() >= PENDING_MAX {
            self.give_up(cx);
        }
        self.pending.push_back(Question { from, time: cx.since(), bytes });
        self.wake(cx);
    }

    fn answer(&mut self, cx: &mut Cx<'_>, from: Dir, line: &[u8], bytes: u64) {
        let is_asked = self.pending.front().is_some_and(|q| q.from != from);
        let asked = if is_asked { self.pending.pop_front() } else { None };
        let (kind, text) = parse::answer(line).map_or((&b""[..], line), |(_, kind, text)| (kind, text));
        let head = Head {
            start: asked.as_ref().map(|q| q.time),
            end: Some(cx.time()),
            bytes: [asked.as_ref().map(|q| q.bytes), Some(bytes)],
            status: if asked.is_some() && kind == b"USERID" { "OK" } else { "Error" },
            notes: if asked.is_some() { &[] } else { &[UNMATCHED_RESPONSE] },
            ..Head::new("ident", from.other())
        };
        let k = self.settings.keys;
        cx.emit(&head, |doc| {
            doc.map(k.ident, |ident| {
                ident.text(k.kind, kind);
                ident.text(k.text, text);
            });
        });
    }

    /// Tells of the oldest question that nobody answered it.
    fn give_up(&mut self, cx: &mut Cx<'_>) {
        let Some(asked) = self.pending.pop_front() else { return };
        let head = Head {
            start: Some(asked.time),
            bytes: [Some(asked.bytes), None],
            status: "Error",
            notes: &[UNMATCHED_REQUEST],
            ..Head::new("ident", asked.from)
        };
        cx.emit(&head, |_| {});
    }

    fn deadline(&self) -> Option<Time> {
        self.pending.front().map(|q| q.time.after(self.settings.timeout))
    }

    fn wake(&self, cx: &mut Cx<'_>) {
        if let Some(at) = self.deadline() {
            cx.wake_at(at);
        }
    }
}

impl Conversation for Talk {
    fn stream(&mut self, cx: &mut Cx<'_>, dir: Dir, buf: &[u8]) -> Step {
        match parse::line(buf) {
            Some((line, used)) => {
                match parse::question(line) {
                    Some(_) => self.question(cx, dir, used as u64),
                    None => self.answer(cx, dir, line, used as u64),
                }
                Step::used(used)
            }
            None if buf.len() < LINE_MAX => Step::need(buf.len() + 1),
            // Not ident, whatever it is.
            None => Step { used: buf.len(), next: Next::Ignore },
        }
    }

    /// For protocols over UDP: one message in each.
    fn datagram(&mut self, _cx: &mut Cx<'_>, _dir: Dir, _data: &[u8]) {}

    /// What follows is the rest of a line: it becomes an answer that nobody can read, and the next line is whole again.
    fn gap(&mut self, _cx: &mut Cx<'_>, _dir: Dir, _lost: u64) {}

    fn close(&mut self, cx: &mut Cx<'_>, dir: Option<Dir>) {
        // A reset, or the end of who answers: nothing can come any more.
        if dir.is_none_or(|dir| self.pending.front().is_some_and(|q| q.from != dir)) {
            self.finish(cx);
        }
    }

    fn expire(&mut self, cx: &mut Cx<'_>) {
        while self.deadline().is_some_and(|at| at <= cx.time()) {
            self.give_up(cx);
        }
        self.wake(cx);
    }

    fn finish(&mut self, cx: &mut Cx<'_>) {
        while !self.pending.is_empty() {
            self.give_up(cx);
        }
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + self.pending.capacity() * size_of::<Question>()
    }
}
