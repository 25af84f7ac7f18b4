//! The program that is tested: the one just built, or what `COLLECTOR_BIN` names, behind the words of `COLLECTOR_RUNNER`.

use super::skip;
use std::fs;
use std::path::{Path, PathBuf};

/// Its file.
pub fn program() -> PathBuf {
    std::env::var_os("COLLECTOR_BIN").map_or_else(|| env!("CARGO_BIN_EXE_collector").into(), PathBuf::from)
}

/// Words that stand before it: an emulator and its options.
pub fn runner() -> Vec<String> {
    let words = std::env::var("COLLECTOR_RUNNER").unwrap_or_default();
    words.split_whitespace().map(str::to_owned).collect()
}

/// Whether an emulator runs it. What /proc tells of such a process is the emulator's, and it takes its time.
pub fn under_runner() -> bool {
    !runner().is_empty()
}

/// Whether the program runs by itself; else it is said that what is measured here would be the emulator.
pub fn is_native() -> bool {
    if under_runner() {
        skip("memory, threads, pace and names of an emulated process are the emulator's");
    }
    !under_runner()
}

/// Whether the emulator offers this to the program; it does not, and that is said, under any that is known here.
pub fn is_offered(what: &str) -> bool {
    if under_runner() {
        skip(&format!("the emulator does not offer {what}"));
    }
    !under_runner()
}

/// What the head of a program for Linux says.
#[derive(Debug, PartialEq, Eq)]
pub struct Elf {
    /// It needs no loader, and so takes no libraries.
    pub is_static: bool,
    /// The bits of an address.
    pub bits: u32,
    /// What it is for, as `elf.h` numbers it.
    pub machine: u64,
    /// The least alignment of a part that is loaded: pages may be as large.
    pub align: u64,
}

impl Elf {
    /// Reads the head of a program for a little-endian machine.
    pub fn read(path: &Path) -> Self {
        const LOAD: u64 = 1;
        const INTERPRETER: u64 = 3;
        let file = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(&file[..4], b"\x7fELF", "{}", path.display());
        let wide = file[4] == 2;
        let number = |at: usize, size: usize| file[at..at + size].iter().rev().fold(0, |n, b| n << 8 | u64::from(*b));
        let (table, size, count) = if wide {
            (number(32, 8), number(54, 2), number(56, 2))
        } else {
            (number(28, 4), number(42, 2), number(44, 2))
        };
        let parts: Vec<(u64, u64)> = (0..count)
            .map(|i| (table + i * size) as usize)
            .map(|at| (number(at, 4), if wide { number(at + 48, 8) } else { number(at + 28, 4) }))
            .collect();
        Self {
            is_static: parts.iter().all(|(kind, _)| *kind != INTERPRETER),
            bits: if wide { 64 } else { 32 },
            machine: number(18, 2),
            align: parts.iter().filter(|(kind, _)| *kind == LOAD).map(|(_, align)| *align).min().unwrap(),
        }
    }
}
