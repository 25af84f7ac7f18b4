//! The calls to a GPIO character device (`/dev/gpiochipN`), version 2: Documentation/userspace-api/gpio/chardev.rst of the
//! Linux kernel, since 5.10. The bytes are made and read elsewhere.

use rustix::io::Errno;
use rustix::ioctl::{Getter, Opcode, Updater, ioctl, opcode};
use std::io::Result;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

/// `struct gpiochip_info`.
pub type ChipInfo = [u8; 68];
/// `struct gpio_v2_line_info`.
pub type LineInfo = [u8; 256];
/// `struct gpio_v2_line_request`.
pub type LineRequest = [u8; 592];

const GROUP: u8 = 0xb4;
const GET_CHIPINFO: Opcode = opcode::read::<ChipInfo>(GROUP, 0x01);
const GET_LINEINFO: Opcode = opcode::read_write::<LineInfo>(GROUP, 0x05);
const GET_LINE: Opcode = opcode::read_write::<LineRequest>(GROUP, 0x07);

/// What a chip is called and how many lines it has (`GPIO_GET_CHIPINFO_IOCTL`).
///
/// # Errors
/// `ENOTTY` when it is no such chip.
#[allow(unsafe_code)]
pub fn chip_info(chip: impl AsFd) -> Result<ChipInfo> {
    // SAFETY: the request number holds the length that the kernel writes, and any bytes are sound; other devices answer with
    // an error.
    Ok(unsafe { ioctl(chip, Getter::<GET_CHIPINFO, ChipInfo>::new()) }?)
}

/// Completes what is known of a line (`GPIO_V2_GET_LINEINFO_IOCTL`).
///
/// # Errors
/// `EINVAL` when the chip has no such line.
#[allow(unsafe_code)]
pub fn line_info(chip: impl AsFd, info: &mut LineInfo) -> Result<()> {
    // SAFETY: as above.
    Ok(unsafe { ioctl(chip, Updater::<GET_LINEINFO, LineInfo>::new(info)) }?)
}

/// Asks for lines (`GPIO_V2_GET_LINE_IOCTL`): their events come from the descriptor, which does not block.
///
/// # Errors
/// `EBUSY` when one of them is in use, `EINVAL` and others.
#[allow(unsafe_code)]
pub fn request_lines(chip: impl AsFd, request: &mut LineRequest) -> Result<OwnedFd> {
    // SAFETY: as above.
    unsafe { ioctl(chip, Updater::<GET_LINE, LineRequest>::new(request)) }?;
    let Some(Ok(fd)) = request.get(588..).map(<[u8; 4]>::try_from) else { return Err(Errno::BADF.into()) };
    let fd = i32::from_ne_bytes(fd);
    if fd < 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: the kernel has just opened it for us, and nobody else knows it.
    let lines = unsafe { OwnedFd::from_raw_fd(fd) };
    rustix::io::ioctl_fionbio(&lines, true)?;
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "arm", target_arch = "riscv64"))]
    fn request_numbers_are_those_of_the_kernel() {
        assert_eq!((GET_CHIPINFO, GET_LINEINFO, GET_LINE), (0x8044_b401, 0xc100_b405, 0xc250_b407));
    }

    #[test]
    fn other_devices_refuse() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let errors =
            [chip_info(&null).err(), line_info(&null, &mut [0; 256]).err(), request_lines(&null, &mut [0; 592]).err()];
        for e in errors {
            assert_eq!(e.unwrap().raw_os_error(), Some(Errno::NOTTY.raw_os_error()));
        }
    }
}
