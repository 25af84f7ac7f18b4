//! How much of what was written to a socket its peer has not acknowledged (`SIOCOUTQ`, tcp(7) and unix(7)).

use rustix::io::Errno;
use std::os::fd::AsFd;

/// Bytes that a TCP peer's system has not acknowledged, or a Unix socket's reader has not read; `None` where the system
/// does not tell.
pub fn unsent(fd: impl AsFd) -> Option<usize> {
    outq(fd).ok().and_then(|n| usize::try_from(n).ok())
}

#[cfg(all(
    any(target_os = "linux", target_os = "android"),
    any(
        target_arch = "x86",
        target_arch = "x86_64",
        target_arch = "arm",
        target_arch = "aarch64",
        target_arch = "riscv32",
        target_arch = "riscv64",
        target_arch = "loongarch64",
        target_arch = "s390x"
    )
))]
#[allow(unsafe_code)]
fn outq(fd: impl AsFd) -> Result<i32, Errno> {
    use rustix::ioctl::{Getter, Opcode, ioctl};
    const SIOCOUTQ: Opcode = 0x5411;
    // SAFETY: on these systems the request number is SIOCOUTQ (asm-generic), which stores one int and has no other
    // effect; descriptors of another kind answer with an error.
    unsafe { ioctl(fd, Getter::<SIOCOUTQ, i32>::new()) }
}

#[cfg(not(all(
    any(target_os = "linux", target_os = "android"),
    any(
        target_arch = "x86",
        target_arch = "x86_64",
        target_arch = "arm",
        target_arch = "aarch64",
        target_arch = "riscv32",
        target_arch = "riscv64",
        target_arch = "loongarch64",
        target_arch = "s390x"
    )
)))]
fn outq(_fd: impl AsFd) -> Result<i32, Errno> {
    Err(Errno::NOSYS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_was_not_read_is_counted() {
        let (mut a, mut b) = UnixStream::pair().unwrap();
        assert_eq!(unsent(&a), Some(0));
        a.write_all(b"hello").unwrap();
        assert!(unsent(&a) > Some(0));
        b.read_exact(&mut [0; 5]).unwrap();
        assert_eq!(unsent(&a), Some(0));
        assert_eq!(unsent(std::fs::File::open("/dev/null").unwrap()), None);
    }
}
