//! What the driver of a serial port counted: `TIOCGICOUNT` of ioctl_tty(2), `struct serial_icounter_struct` of the kernel's
//! `linux/serial.h`.

use rustix::ioctl::{Getter, Opcode, ioctl};
use std::io::Result;
use std::os::fd::AsFd;

/// The number on x86, ARM and RISC-V.
const TIOCGICOUNT: Opcode = 0x545d;

/// Bytes that went wrong since the driver began; counters go round at 2^32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Bytes whose stop bit or parity was wrong.
    pub garbled: u32,
    /// Bytes that neither the port nor the kernel's buffer had room for.
    pub lost: u32,
}

impl Counts {
    /// What came since an earlier look.
    pub fn since(self, before: Self) -> Self {
        let Self { garbled, lost } = self;
        Self { garbled: garbled.wrapping_sub(before.garbled), lost: lost.wrapping_sub(before.lost) }
    }

    /// Of the kernel's structure: cts, dsr, rng, dcd, rx, tx, frame, overrun, parity, brk, buf_overrun, and nine reserved.
    fn read(all: &[u32; 20]) -> Self {
        let [_, _, _, _, _, _, frame, overrun, parity, _, buffer, ..] = *all;
        Self { garbled: frame.wrapping_add(parity), lost: overrun.wrapping_add(buffer) }
    }
}

/// Asks the driver.
///
/// # Errors
/// `ENOTTY` when it does not count, as those of pseudo-terminals and of some adapters.
#[allow(unsafe_code)]
pub fn counts(port: impl AsFd) -> Result<Counts> {
    // SAFETY: the structure has twenty numbers of 32 bits, and any are sound; other devices answer with an error.
    let all = unsafe { ioctl(port, Getter::<TIOCGICOUNT, [u32; 20]>::new()) }?;
    Ok(Counts::read(&all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_numbers_stand() {
        let all = std::array::from_fn(|i| 1 << i);
        let counts = Counts::read(&all);
        assert_eq!(counts, Counts { garbled: 1 << 6 | 1 << 8, lost: 1 << 7 | 1 << 10 });
        let before = Counts { garbled: u32::MAX, lost: 0 };
        assert_eq!(counts.since(before).garbled, counts.garbled + 1);
    }

    #[test]
    fn other_devices_refuse() {
        assert!(counts(std::fs::File::open("/dev/null").unwrap()).is_err());
    }
}
