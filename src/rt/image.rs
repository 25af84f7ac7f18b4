//! The program's own code in memory.

use rustix::mm::{Advice, madvise};
use std::fs;

/// Hands back the code that was run so far: much of it ran at the start alone, and with every page that is run come fifteen
/// neighbours. What goes on running comes again from the system's cache.
///
/// Not in debug builds: a debugger's breakpoints would be lost.
pub(super) fn hand_back() {
    if cfg!(debug_assertions) {
        return;
    }
    release();
}

/// Whether there was something to hand back.
#[allow(unsafe_code)]
fn release() -> bool {
    let (Ok(maps), Ok(program)) = (fs::read_to_string("/proc/self/maps"), fs::read_link("/proc/self/exe")) else {
        return false;
    };
    let Some(program) = program.to_str() else { return false };
    code(&maps, program).fold(false, |any, (start, end)| {
        // SAFETY: the pages are the program's file, mapped to be run and never written to (a static program's and one that is
        // independent of its position have no relocations in their code), so that what is read there is the same afterwards.
        let done = unsafe { madvise(std::ptr::with_exposed_provenance_mut(start), end - start, Advice::LinuxDontNeed) };
        any | done.is_ok()
    })
}

/// Where a program's code lies: the mappings of its file that can be run and not written to.
fn code<'a>(maps: &'a str, program: &'a str) -> impl Iterator<Item = (usize, usize)> + 'a {
    maps.lines().filter_map(move |line| {
        let mut words = line.splitn(6, ' ');
        let (start, end) = words.next()?.split_once('-')?;
        let is_code = words.next()? == "r-xp" && words.nth(3)?.trim_start() == program;
        let address = |digits| usize::from_str_radix(digits, 16).ok();
        Some((address(start)?, address(end)?)).filter(|(start, end)| is_code && start < end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_what_can_be_run_of_the_program() {
        let maps = "01000000-01091000 r--p 00000000 fe:00 42                         /opt/a b\n\
                    01091000-0124c000 r-xp 00090000 fe:00 42                         /opt/a b\n\
                    0124c000-0127a000 r--p 0024a000 fe:00 42                         /opt/a b\n\
                    0127a000-0127b000 rw-p 00277000 fe:00 42                         /opt/a b\n\
                    7f000000-7f001000 r-xp 00000000 fe:00 43                         /lib/libc.so\n\
                    7ffd0000-7ffd2000 r-xp 00000000 00:00 0                          [vdso]\n";
        assert_eq!(code(maps, "/opt/a b").collect::<Vec<_>>(), [(0x0109_1000, 0x0124_c000)]);
        assert_eq!(code("", "/opt/a").count() + code("x\n-\n1-0 r-xp 0 0 0 /p\n", "/p").count(), 0);
    }

    #[test]
    fn a_program_goes_on_without_its_code_in_memory() {
        assert!(release());
        assert!(release());
    }
}
