//! The format of messages (RFC 1035 §4): header, questions, and the frame of records.
//!
//! [`Message::parse`] walks a message once, checks every frame and every owner's name, and keeps offsets alone. What
//! stands in the records is read when it is written ([`super::rdata`]).

use super::code::rtype;
use super::{Bad, name};
use nom::IResult;
use nom::number::complete::{be_u16, be_u32};
use std::ops::Range;

/// A nom parser's result; errors say nothing, since hostile bytes make them cheap to cause.
pub(super) type Parsed<'m, T> = IResult<&'m [u8], T, ()>;

/// Bytes of a message's header.
pub(super) const HEADER: usize = 12;

/// The top bit of a class in multicast DNS: "answer to me alone" in a question, "forget the old ones" in a record
/// (RFC 6762 §18.12 and §18.13).
pub(super) const CLASS_TOP: u16 = 0x8000;

/// The first twelve bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Chosen by the client, copied into the response.
    pub id: u16,
    /// QR, opcode, flags, response code.
    pub flags: u16,
    /// Questions, answers, authorities, additionals, as declared.
    pub counts: [u16; 4],
}

impl Header {
    /// Authoritative answer.
    pub const AA: u16 = 0x0400;
    /// Truncated.
    pub const TC: u16 = 0x0200;
    /// Recursion desired.
    pub const RD: u16 = 0x0100;
    /// Recursion available.
    pub const RA: u16 = 0x0080;
    /// Authentic data (RFC 4035).
    pub const AD: u16 = 0x0020;
    /// Checking disabled (RFC 4035).
    pub const CD: u16 = 0x0010;

    /// Reads it; `None` when there are fewer than twelve bytes.
    pub fn parse(msg: &[u8]) -> Option<Self> {
        fn header(i: &[u8]) -> Parsed<'_, Header> {
            let (i, id) = be_u16(i)?;
            let (i, flags) = be_u16(i)?;
            let (i, questions) = be_u16(i)?;
            let (i, answers) = be_u16(i)?;
            let (i, authorities) = be_u16(i)?;
            let (i, additionals) = be_u16(i)?;
            Ok((i, Header { id, flags, counts: [questions, answers, authorities, additionals] }))
        }
        header(msg).ok().map(|(_, header)| header)
    }

    /// Whether it is a response.
    pub fn is_response(self) -> bool {
        self.flags & 0x8000 != 0
    }

    /// The operation.
    pub fn opcode(self) -> u8 {
        (self.flags >> 11 & 15) as u8
    }

    /// The lower four bits of the response code.
    pub fn rcode(self) -> u16 {
        self.flags & 15
    }

    /// Whether all bits of `flag` are set.
    pub fn has(self, flag: u16) -> bool {
        self.flags & flag == flag
    }
}

/// An entry of the question section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Question {
    /// Where its name stands.
    pub name: usize,
    /// What is asked for.
    pub rtype: u16,
    /// The class, as on the wire.
    pub class: u16,
}

impl Question {
    fn parse(msg: &[u8], at: usize) -> Result<(Self, usize), Bad> {
        let after = name::skip(msg, at)?;
        let fixed = msg.get(after..).ok_or(Bad)?;
        let (rest, (rtype, class)) = two(fixed).map_err(|_| Bad)?;
        Ok((Self { name: at, rtype, class }, msg.len() - rest.len()))
    }
}

/// A resource record's frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Where its owner's name stands.
    pub name: usize,
    /// What its data is.
    pub rtype: u16,
    /// The class as on the wire; of OPT the sender's UDP payload size.
    pub class: u16,
    /// Seconds; of OPT the extended response code, the version and flags.
    pub ttl: u32,
    /// Where its data stands.
    pub data: Range<usize>,
}

impl Record {
    /// Reads the record at `at`; answers where the next one stands.
    pub fn parse(msg: &[u8], at: usize) -> Result<(Self, usize), Bad> {
        let after = name::skip(msg, at)?;
        let fixed = msg.get(after..).ok_or(Bad)?;
        let (rest, ((rtype, class), ttl, len)) = frame(fixed).map_err(|_| Bad)?;
        let from = msg.len() - rest.len();
        let data = from..from + usize::from(len);
        if data.end > msg.len() {
            return Err(Bad);
        }
        let next = data.end;
        Ok((Self { name: at, rtype, class, ttl, data }, next))
    }
}

#[inline]
fn two(i: &[u8]) -> Parsed<'_, (u16, u16)> {
    let (i, a) = be_u16(i)?;
    let (i, b) = be_u16(i)?;
    Ok((i, (a, b)))
}

fn frame(i: &[u8]) -> Parsed<'_, ((u16, u16), u32, u16)> {
    let (i, type_and_class) = two(i)?;
    let (i, ttl) = be_u32(i)?;
    let (i, len) = be_u16(i)?;
    Ok((i, (type_and_class, ttl, len)))
}

/// The three sections that hold records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// Answers; of an UPDATE its prerequisites.
    Answers,
    /// Authorities; of an UPDATE what is changed.
    Authorities,
    /// What helps.
    Additionals,
}

/// Entries that stand one after the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Run {
    at: usize,
    count: u16,
}

/// A message that was walked over.
#[derive(Debug, Clone)]
pub(super) struct Message<'m> {
    /// All its bytes, and what follows it in the same datagram.
    pub data: &'m [u8],
    /// The header.
    pub header: Header,
    /// The first question.
    pub question: Option<Question>,
    /// The OPT record (RFC 6891).
    pub opt: Option<Record>,
    /// Whether everything was there that the header declares, and nothing was malformed.
    pub whole: bool,
    /// Where the message ended, or broke.
    pub end: usize,
    /// Type and data of the first answer and of the last, which frame a zone's transfer.
    pub edges: Option<[(u16, usize, usize); 2]>,
    questions: Run,
    records: [Run; 3],
}

impl<'m> Message<'m> {
    /// Walks over the message; `None` when not even a header is there. What follows a fault is left out.
    pub fn parse(data: &'m [u8]) -> Option<Self> {
        let header = Header::parse(data)?;
        let mut message = Self {
            data,
            header,
            question: None,
            opt: None,
            whole: true,
            end: HEADER,
            edges: None,
            questions: Run::default(),
            records: [Run::default(); 3],
        };
        message.whole = message.walk().is_ok();
        Some(message)
    }

    fn walk(&mut self) -> Result<(), Bad> {
        let [questions, sections @ ..] = self.header.counts;
        self.questions.at = self.end;
        for _ in 0..questions {
            let (question, next) = Question::parse(self.data, self.end)?;
            self.question.get_or_insert(question);
            self.questions.count += 1;
            self.end = next;
        }
        for (section, declared) in sections.into_iter().enumerate() {
            let mut run = Run { at: self.end, count: 0 };
            let all = self.walk_records(section, declared, &mut run.count);
            if let Some(kept) = self.records.get_mut(section) {
                *kept = run;
            }
            all?;
        }
        Ok(())
    }

    fn walk_records(&mut self, section: usize, declared: u16, count: &mut u16) -> Result<(), Bad> {
        for _ in 0..declared {
            let (record, next) = Record::parse(self.data, self.end)?;
            *count += 1;
            self.end = next;
            match section {
                0 => {
                    let edge = (record.rtype, record.data.start, record.data.end);
                    self.edges = Some([self.edges.map_or(edge, |[first, _]| first), edge]);
                }
                2 if record.rtype == rtype::OPT && self.opt.is_none() => self.opt = Some(record),
                _ => {}
            }
        }
        Ok(())
    }

    /// The questions.
    pub fn questions(&self) -> impl Iterator<Item = Question> + use<'_, 'm> {
        let mut at = self.questions.at;
        (0..self.questions.count).map_while(move |_| {
            let (question, next) = Question::parse(self.data, at).ok()?;
            at = next;
            Some(question)
        })
    }

    /// The number of questions read.
    pub fn question_count(&self) -> u16 {
        self.questions.count
    }

    /// The number of records read of a section, the OPT record included.
    pub fn count(&self, section: Section) -> u16 {
        self.run(section).count
    }

    /// The records of a section, OPT included.
    pub fn records(&self, section: Section) -> impl Iterator<Item = Record> + use<'_, 'm> {
        let run = self.run(section);
        let mut at = run.at;
        (0..run.count).map_while(move |_| {
            let (record, next) = Record::parse(self.data, at).ok()?;
            at = next;
            Some(record)
        })
    }

    fn run(&self, section: Section) -> Run {
        self.records.get(section as usize).copied().unwrap_or_default()
    }

    /// The response code, with the upper bits that EDNS adds (RFC 6891 §6.1.3).
    pub fn rcode(&self) -> u16 {
        let upper = self.opt.as_ref().map_or(0, |opt| (opt.ttl >> 24) as u16);
        upper << 4 | self.header.rcode()
    }

    /// Whether the first questions of both are the same.
    pub fn same_question(&self, other: &Message<'_>) -> bool {
        match (self.question, other.question) {
            (Some(a), Some(b)) => {
                a.rtype == b.rtype && a.class == b.class && name::same(self.data, a.name, other.data, b.name)
            }
            _ => false,
        }
    }
}
