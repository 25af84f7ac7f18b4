//! A transaction as a document: the fields below `dns`, and what Packetbeat repeats beside them.

use super::code::{class, opcode, rcode, rtype, rtype_name};
use super::edns;
use super::keys::{Keys, Names};
use super::name::{self, NameText};
use super::rdata::{self, Field, Fields, Scratch, put};
use super::suffix;
use super::wire::{CLASS_TOP, Header, Message, Question, Record, Section};
use super::{Settings, dig};
use crate::decode::Doc;
use crate::event::Key;
use std::net::IpAddr;

/// Bytes of names and data that are written of one message, about. Compressed names let a message of 64 KiB unfold to a
/// hundred times its size; real ones of that size stay below this.
pub(super) const TEXT_MAX: usize = 256 * 1024;

/// Addresses of answers that are also written to `related.ip`; `dns.resolved_ip` has all.
pub(super) const RELATED_MAX: usize = 64;

/// What is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transaction<'a> {
    /// The query, where it was seen and is readable.
    pub request: Option<&'a Message<'a>>,
    /// The response.
    pub response: Option<&'a Message<'a>>,
    /// Of a zone's transfer: answers and messages in all.
    pub transfer: Option<(u64, u64)>,
    /// The top bit of classes has the meaning that multicast DNS gives it.
    pub multicast: bool,
}

/// Buffers for one document at a time.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    name: NameText,
    scratch: Scratch,
    /// The query's or the response's text.
    dig: Vec<u8>,
}

impl Buffers {
    /// Gives back what an unusually long message took.
    pub fn shrink(&mut self) {
        self.scratch.shrink();
        if self.dig.capacity() > 4096 {
            self.dig = Vec::new();
        }
    }
}

/// Writes all fields of a transaction.
pub(super) fn write(tx: &Transaction<'_>, settings: &Settings, buffers: &mut Buffers, doc: &mut Doc<'_>) {
    let k = &settings.keys.names;
    // The response repeats the query and says more.
    let Some(main) = tx.response.or(tx.request) else { return };
    let asked = [tx.request, tx.response].into_iter().flatten().find_map(|m| Some((m, m.question?)));
    let op = tx.request.unwrap_or(main).header.opcode();
    let text = buffers.scratch.text();
    opcode(op).write(text);
    doc.plain(k.method, text);
    let question = asked.and_then(|(msg, question)| {
        name::text(msg.data, question.name, &mut buffers.name).ok()?;
        let text = buffers.scratch.text();
        question_text(question, tx.multicast, &buffers.name, text);
        doc.text(k.query, text);
        doc.text(k.resource, &buffers.name);
        Some(question)
    });
    doc.map(k.dns, |d| {
        d.plain(k.kind, if tx.response.is_some() { b"answer" } else { b"query" });
        write_header(main, k, buffers, d);
        if let Some(question) = question {
            d.map(k.question, |q| write_question(question, tx.multicast, k, buffers, q));
        }
        write_more_questions(main, tx.multicast, k, buffers, d);
        if let Some(opt) = &main.opt {
            d.map(k.opt, |o| edns::write(main, opt, k, &mut buffers.scratch, o));
        }
        write_sections(main, tx, settings, buffers, d);
    });
    for (key, wanted, msg) in
        [(k.request, settings.send_request, tx.request), (k.response, settings.send_response, tx.response)]
    {
        if let Some(msg) = msg.filter(|_| wanted) {
            buffers.dig.clear();
            dig::write(msg, tx.multicast, &mut buffers.name, &mut buffers.scratch, &mut buffers.dig);
            doc.text(key, &buffers.dig);
        }
    }
    buffers.shrink();
}

/// Appends `class IN, type A, example.com`.
pub(super) fn question_text(question: Question, multicast: bool, name: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"class ");
    class(plain_class(question.class, multicast)).write(out);
    out.extend_from_slice(b", type ");
    rtype_name(question.rtype).write(out);
    out.extend_from_slice(b", ");
    out.extend_from_slice(name);
}

fn plain_class(class: u16, multicast: bool) -> u16 {
    if multicast { class & !CLASS_TOP } else { class }
}

fn write_header(msg: &Message<'_>, k: &Names, buffers: &mut Buffers, d: &mut Doc<'_>) {
    let header = msg.header;
    d.uint(k.id, header.id.into());
    let text = buffers.scratch.text();
    opcode(header.opcode()).write(text);
    d.plain(k.op_code, text);
    d.map(k.flags, |f| {
        f.bool(k.authoritative, header.has(Header::AA));
        f.bool(k.truncated_response, header.has(Header::TC));
        f.bool(k.recursion_desired, header.has(Header::RD));
        f.bool(k.recursion_available, header.has(Header::RA));
        f.bool(k.authentic_data, header.has(Header::AD));
        f.bool(k.checking_disabled, header.has(Header::CD));
    });
    let dnssec = msg.opt.as_ref().is_some_and(edns::wants_dnssec);
    d.list_unless_empty(k.header_flags, |l| {
        for (flag, name) in FLAGS {
            if header.has(flag) {
                l.plain(Key::NONE, name.as_bytes());
            }
        }
        if dnssec {
            l.plain(Key::NONE, b"DO");
        }
    });
    text.clear();
    rcode(msg.rcode()).write(text);
    d.plain(k.response_code, text);
}

/// Flags of the header in the order of their bits.
pub(super) const FLAGS: [(u16, &str); 6] = [
    (Header::AA, "AA"),
    (Header::TC, "TC"),
    (Header::RD, "RD"),
    (Header::RA, "RA"),
    (Header::AD, "AD"),
    (Header::CD, "CD"),
];

/// The question whose name stands in `buffers`.
fn write_question(question: Question, multicast: bool, k: &Names, buffers: &mut Buffers, q: &mut Doc<'_>) {
    let name = &buffers.name;
    write_asked(question, multicast, k, name, &mut buffers.scratch, q);
    let Some(parts) = suffix::split(name) else {
        // A public suffix by itself: of two labels the upper one is told.
        if let Some(dot) = memchr::memchr(b'.', name).filter(|dot| memchr::memrchr(b'.', name) == Some(*dot))
            && let Some(upper @ [_, ..]) = name.get(dot + 1..)
        {
            q.text(k.top_level_domain, upper);
            q.text(k.registered_domain, name);
        }
        return;
    };
    let registered = name.get(parts.registered..).unwrap_or_default();
    q.text(k.etld_plus_one, registered);
    q.text(k.registered_domain, registered);
    q.text(k.top_level_domain, name.get(parts.suffix..).unwrap_or_default());
    if let Some(subdomain) = parts.registered.checked_sub(1).and_then(|dot| name.get(..dot)) {
        q.text(k.subdomain, subdomain);
    }
}

fn write_asked(question: Question, multicast: bool, k: &Names, name: &[u8], scratch: &mut Scratch, q: &mut Doc<'_>) {
    q.text(k.name, name);
    let text = scratch.text();
    rtype_name(question.rtype).write(text);
    q.plain(k.kind, text);
    text.clear();
    class(plain_class(question.class, multicast)).write(text);
    q.plain(k.class, text);
    if multicast && question.class & CLASS_TOP != 0 {
        q.bool(k.unicast_response, true);
    }
}

/// Where there are several questions, as in multicast DNS, all of them.
fn write_more_questions(msg: &Message<'_>, multicast: bool, k: &Names, buffers: &mut Buffers, d: &mut Doc<'_>) {
    if msg.question_count() < 2 {
        return;
    }
    let mut left = TEXT_MAX;
    d.list(k.questions, |l| {
        for question in msg.questions() {
            if left == 0 || name::text(msg.data, question.name, &mut buffers.name).is_err() {
                break;
            }
            left = left.saturating_sub(buffers.name.len() + 16);
            l.map(Key::NONE, |q| write_asked(question, multicast, k, &buffers.name, &mut buffers.scratch, q));
        }
    });
}

fn write_sections(
    msg: &Message<'_>,
    tx: &Transaction<'_>,
    settings: &Settings,
    buffers: &mut Buffers,
    d: &mut Doc<'_>,
) {
    let k = &settings.keys.names;
    let answers = u64::from(msg.count(Section::Answers));
    let mut list = List { msg, multicast: tx.multicast, keys: &settings.keys, buffers, left: TEXT_MAX, left_out: 0 };
    d.uint(k.answers_count, tx.transfer.map_or(answers, |(answers, _)| answers));
    if let Some((_, messages)) = tx.transfer {
        d.uint(k.messages_count, messages);
    }
    list.write(Section::Answers, k.answers, d);
    d.list_unless_empty(k.resolved_ip, |l| {
        for ip in addresses(msg) {
            let text = list.buffers.scratch.text();
            put(text, format_args!("{ip}"));
            l.plain(Key::NONE, text);
        }
    });
    d.uint(k.authorities_count, msg.count(Section::Authorities).into());
    if settings.include_authorities {
        list.write(Section::Authorities, k.authorities, d);
    }
    let opt = u16::from(msg.opt.is_some());
    d.uint(k.additionals_count, msg.count(Section::Additionals).saturating_sub(opt).into());
    if settings.include_additionals {
        list.write(Section::Additionals, k.additionals, d);
    }
    if list.left_out > 0 {
        d.uint(k.records_left_out, list.left_out);
    }
}

/// The addresses among the answers.
pub(super) fn addresses(msg: &Message<'_>) -> impl Iterator<Item = IpAddr> {
    msg.records(Section::Answers).filter_map(|record| {
        let data = msg.data.get(record.data.clone())?;
        match record.rtype {
            rtype::A => <[u8; 4]>::try_from(data).ok().map(IpAddr::from),
            rtype::AAAA => <[u8; 16]>::try_from(data).ok().map(IpAddr::from),
            _ => None,
        }
    })
}

/// Writes records until the message's share is used up.
struct List<'a> {
    msg: &'a Message<'a>,
    multicast: bool,
    keys: &'a Keys,
    buffers: &'a mut Buffers,
    left: usize,
    left_out: u64,
}

impl List<'_> {
    fn write(&mut self, section: Section, key: Key, d: &mut Doc<'_>) {
        d.list_unless_empty(key, |l| {
            for record in self.msg.records(section) {
                if record.rtype == rtype::OPT && section == Section::Additionals {
                    continue;
                }
                if self.left == 0 {
                    self.left_out += 1;
                    continue;
                }
                l.map(Key::NONE, |m| self.record(&record, m));
            }
        });
    }

    fn record(&mut self, record: &Record, m: &mut Doc<'_>) {
        let k = &self.keys.names;
        let Buffers { name, scratch, .. } = &mut *self.buffers;
        if name::text(self.msg.data, record.name, name).is_ok() {
            m.text(k.name, name);
        }
        let text = scratch.text();
        rtype_name(record.rtype).write(text);
        m.plain(k.kind, text);
        text.clear();
        class(plain_class(record.class, self.multicast)).write(text);
        m.plain(k.class, text);
        m.plain(k.ttl, itoa::Buffer::new().format(record.ttl).as_bytes());
        if self.multicast && record.class & CLASS_TOP != 0 {
            m.bool(k.cache_flush, true);
        }
        // What surrounds a record in a document, about.
        self.left = self.left.saturating_sub(name.len() + 64);
        let mut out = Written { doc: m, keys: self.keys, bytes: 0 };
        rdata::write(self.msg.data, record, scratch, &mut out);
        self.left = self.left.saturating_sub(out.bytes);
    }
}

/// Fields of a record's data into the record's map.
struct Written<'a, 'd> {
    doc: &'a mut Doc<'d>,
    keys: &'a Keys,
    bytes: usize,
}

impl Fields for Written<'_, '_> {
    fn text(&mut self, field: Field, text: &[u8]) {
        self.bytes += text.len();
        self.doc.text(self.keys.field(field), text);
    }

    fn number(&mut self, field: Field, n: u32) {
        self.doc.uint(self.keys.field(field), n.into());
    }
}
