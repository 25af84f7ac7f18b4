//! The instructions of a lowered pattern.

use super::op::Look;
use super::scan::{Back, Scan};

/// A place in the program.
pub(super) type Pc = u16;

/// One instruction. `group` 0 stands for none; sets and classes are numbers of those the program keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inst {
    /// Up to eight bytes: the text's, with the bits outside `mask` cleared, are `word`.
    Lit {
        word: u64,
        mask: u64,
        len: u8,
    },
    /// One byte of a set.
    One {
        set: u16,
    },
    /// One character: ASCII of a set, or any beyond.
    Char {
        set: u16,
    },
    /// One character of a class.
    Wide {
        class: u16,
    },
    /// A run up to a byte, and that byte: the field of log lines.
    FieldOne {
        byte: u8,
        group: u16,
        min: u8,
    },
    /// A run up to a byte, then up to eight bytes.
    FieldLit {
        byte: u8,
        group: u16,
        min: u8,
        len: u8,
        word: u64,
    },
    /// A run that never needs to be cut short, then up to eight bytes.
    Field {
        scan: Scan,
        group: u16,
        min: u8,
        len: u8,
        word: u64,
    },
    /// A run that never needs to be cut short.
    Take {
        scan: Scan,
        group: u16,
        min: u8,
    },
    /// A run taken as long as possible, then shorter.
    Greedy {
        scan: Scan,
        group: u16,
        min: u8,
        rest: Rest,
    },
    /// A run taken as short as possible, then longer: `scan` stops where the rest may begin or the run must end,
    /// `set` is the run's.
    Lazy {
        scan: Scan,
        group: u16,
        min: u8,
        set: u16,
        rest: Rest,
    },
    /// A run of a counted number of bytes.
    Count {
        scan: Scan,
        group: u16,
        count: u16,
        rest: Option<Rest>,
    },
    /// A run of characters of a class, counted one by one.
    Chars {
        class: u16,
        group: u16,
        count: u16,
        rest: Option<Rest>,
    },
    /// Start or end of a group.
    Save {
        slot: u16,
    },
    /// The same where the group may have been set before: what it was comes back when what follows fails.
    SaveUndo {
        slot: u16,
    },
    /// Either of two ways, `a` first; each only where the text can begin it.
    Split {
        a: Pc,
        b: Pc,
        first: u16,
        clear: u16,
    },
    /// `hit` when this byte is next, else `miss`.
    Peek {
        byte: u8,
        hit: Pc,
        miss: Pc,
    },
    Jump {
        to: Pc,
    },
    Look(Look),
    Mark,
    Commit,
    Return,
    Unless {
        after: Pc,
        clear: u16,
    },
    Refuse,
    Back {
        chars: u16,
    },
    /// Before a choice: where the search is careful and met it here before, this fails at once.
    Note {
        choice: u16,
    },
    Match,
    Fail,
}

/// What comes behind a run that may have to be tried at several lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rest {
    /// The bytes it can begin with.
    pub(super) first: u16,
    /// Whether it can begin at the end of the text.
    pub(super) end: bool,
    /// Where in the run it can begin.
    pub(super) back: Back,
    /// Inside the run it can begin at the last byte only.
    pub(super) last: bool,
    /// The groups from this one on are unset when another length is tried.
    pub(super) clear: u16,
}

/// The two ways of a split: the bytes each can begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ways {
    pub(super) a: super::set::ByteSet,
    pub(super) b: super::set::ByteSet,
    pub(super) a_end: bool,
    pub(super) b_end: bool,
}

/// The least and the greatest length of a counted run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) min: usize,
    pub(super) max: usize,
}
