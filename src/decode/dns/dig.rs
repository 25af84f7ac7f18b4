//! A message as one line of text, for `request` and `response`:
//! `ID 7; QR response; OPCODE QUERY; FLAGS rd ra; RCODE NOERROR; QUESTION class IN, type A, a.example; ANSWER 192.0.2.1`.
//!
//! The parts of Packetbeat's text; of a record the fields with their names, its data last.

use super::code::{opcode, rcode, rtype};
use super::doc::{FLAGS, TEXT_MAX, question_text};
use super::edns::wants_dnssec;
use super::name::{self, NameText};
use super::rdata::{self, Field, Fields, Scratch, put};
use super::wire::{Message, Record, Section};

/// Appends the text.
pub(super) fn write(msg: &Message<'_>, multicast: bool, name: &mut NameText, scratch: &mut Scratch, out: &mut Vec<u8>) {
    let header = msg.header;
    let kind = if header.is_response() { "response" } else { "query" };
    put(out, format_args!("ID {}; QR {kind}; OPCODE ", header.id));
    opcode(header.opcode()).write(out);
    out.extend_from_slice(b"; FLAGS");
    for (_, flag) in FLAGS.iter().filter(|(bit, _)| header.has(*bit)) {
        out.push(b' ');
        out.extend(flag.bytes().map(|b| b.to_ascii_lowercase()));
    }
    out.extend_from_slice(b"; RCODE ");
    rcode(msg.rcode()).write(out);
    for (at, question) in msg.questions().enumerate() {
        if out.len() > TEXT_MAX || name::text(msg.data, question.name, name).is_err() {
            break;
        }
        out.extend_from_slice(if at == 0 { b"; QUESTION " } else { b"; " });
        question_text(question, multicast, name, out);
    }
    for (section, title) in
        [(Section::Answers, "ANSWER"), (Section::Authorities, "AUTHORITY"), (Section::Additionals, "ADDITIONAL")]
    {
        let mut left_out = 0;
        for (at, record) in msg.records(section).enumerate() {
            if out.len() > TEXT_MAX {
                left_out += 1;
                continue;
            }
            if at == 0 {
                put(out, format_args!("; {title} "));
            } else {
                out.extend_from_slice(b"; ");
            }
            write_record(msg, &record, scratch, out);
        }
        if left_out > 0 {
            put(out, format_args!("; {left_out} records left out"));
        }
    }
}

fn write_record(msg: &Message<'_>, record: &Record, scratch: &mut Scratch, out: &mut Vec<u8>) {
    if record.rtype == rtype::OPT {
        let version = record.ttl >> 16 & 0xff;
        let dnssec = if wants_dnssec(record) { ", do" } else { "" };
        return put(out, format_args!("OPT udp_size {}, version {version}{dnssec}", record.class));
    }
    rdata::write(msg.data, record, scratch, &mut Line(out));
}

/// `field value, field value, data`.
struct Line<'a>(&'a mut Vec<u8>);

impl Fields for Line<'_> {
    fn text(&mut self, field: Field, text: &[u8]) {
        if field == Field::Data {
            return self.0.extend_from_slice(text);
        }
        self.0.extend_from_slice(field.name().as_bytes());
        self.0.push(b' ');
        self.0.extend_from_slice(text);
        self.0.extend_from_slice(b", ");
    }

    fn number(&mut self, field: Field, n: u32) {
        self.text(field, itoa::Buffer::new().format(n).as_bytes());
    }
}
