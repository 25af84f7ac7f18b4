//! What is wrong with a capture file, and where.

use std::fmt::{Display, Formatter, Result};

/// Where a file stopped making sense. What came before it is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The byte at which the damaged piece begins, from 0.
    pub offset: u64,
    /// [`Self::offset`] counts the bytes that came out of gzip, not those of the file.
    pub unpacked: bool,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// There is not a single byte.
    Empty,
    /// Another kind of file: its name, when it is known, and its first bytes.
    Foreign(Option<&'static str>, Vec<u8>),
    /// The version of the format is none that is known.
    Version(&'static str, u16, u16),
    /// The file ends inside something: how many bytes that needs, and how many are there.
    CutShort(&'static str, u64, u64),
    /// A packet is longer than any packet: its captured length.
    PacketTooLong(u32),
    /// A packet is longer than the block it stands in: its captured length, and the bytes that the block has for it.
    PacketBeyondBlock(u32, u32),
    /// A block cannot be so short or so long: its type and its length.
    BlockLength(u32, u32),
    /// The length at the end of a block is not the one at its start: both.
    Trailer(u32, u32),
    /// A packet of an interface that was not described: its number, and the count of those that were.
    Interface(u32, usize),
    /// More interfaces than any machine has.
    Interfaces(usize),
    /// A section whose byte order mark is none: the mark.
    ByteOrder([u8; 4]),
    /// The compressed data is damaged: what is wrong with it.
    Gzip(&'static str),
}

impl std::error::Error for Damage {}

impl Display for Damage {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.fault {
            // The place of these says nothing.
            Fault::Empty | Fault::Foreign(..) => {}
            _ => {
                let of = if self.unpacked { " of what gzip holds" } else { "" };
                write!(f, "at byte {}{of}: ", self.offset)?;
            }
        }
        self.fault.fmt(f)
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Empty => f.write_str("the file is empty"),
            Self::Foreign(Some(name), _) => {
                write!(f, "this is {name}, which is not served (pcap, pcapng and gzip are)")
            }
            Self::Foreign(None, first) => {
                f.write_str("this is no capture file: it begins with")?;
                first.iter().try_for_each(|b| write!(f, " {b:02x}"))
            }
            Self::Version(format, major, minor) => write!(f, "unknown version {major}.{minor} of {format}"),
            Self::CutShort(what, need, have) => {
                write!(f, "the file ends in the middle of {what}: {need} bytes expected, {have} there")
            }
            Self::PacketTooLong(len) => {
                write!(f, "a packet of {len} captured bytes, more than the {} there can be", super::MAX_PACKET)
            }
            Self::PacketBeyondBlock(len, room) => {
                write!(f, "a packet of {len} captured bytes in a block with room for {room}")
            }
            Self::BlockLength(kind, len) => write!(f, "a block of type {kind:#x} with a length of {len} bytes"),
            Self::Trailer(head, tail) => {
                write!(f, "a block of {head} bytes whose end says that it has {tail}")
            }
            Self::Interface(number, known) => {
                write!(f, "a packet of interface {number}, but only {known} were described")
            }
            Self::Interfaces(max) => write!(f, "more than {max} interfaces"),
            Self::ByteOrder(mark) => {
                f.write_str("a section without a byte order mark:")?;
                mark.iter().try_for_each(|b| write!(f, " {b:02x}"))
            }
            Self::Gzip(why) => write!(f, "damaged gzip data: {why}"),
        }
    }
}
