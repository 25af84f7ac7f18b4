//! Why something of a journal file cannot be read.

use std::fmt;
use std::io::ErrorKind;

/// What is wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// It does not begin as a journal does.
    NotJournal,
    /// The header is too short.
    Header,
    /// It has features that are not known: these bits of the incompatible flags.
    Flags(u32),
    /// An offset leads out of the file.
    Outside(u64),
    /// At this offset stands no object of the kind that should be there.
    Object(u64),
    /// The chain of entry arrays turns back at this offset.
    Loop(u64),
    /// A field is longer than what is read, in bytes as it is stored.
    Long(u64),
    /// A field is packed with XZ, which is not served.
    Xz,
    /// A packed field cannot be unpacked.
    Packed(u64),
    /// The system's answer.
    Io(ErrorKind),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJournal => f.write_str("it is no journal"),
            Self::Header => f.write_str("its header is damaged"),
            Self::Flags(bits) => write!(f, "it has features of a newer systemd (flags {bits:#x})"),
            Self::Outside(at) => write!(f, "an offset leads out of the file ({at})"),
            Self::Object(at) => write!(f, "no such object at offset {at}"),
            Self::Loop(at) => write!(f, "its entry arrays turn back at offset {at}"),
            Self::Long(len) => write!(f, "a field of {len} bytes is too long"),
            Self::Xz => f.write_str("a field is packed with XZ, which is not served"),
            Self::Packed(at) => write!(f, "the field at offset {at} cannot be unpacked"),
            Self::Io(kind) => write!(f, "{kind}"),
        }
    }
}
