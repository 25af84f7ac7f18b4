//! Text of `/proc`: proc(5), and Documentation/filesystems/proc.rst and Documentation/admin-guide/iostats.rst of the Linux
//! kernel.
//!
//! Kernels, containers (lxcfs) and boards differ in which lines and columns there are, and so nothing here is an error but a
//! number that is needed and missing.

/// The words of a line.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty())
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|b| *b == b'\n')
}

fn number<T: std::str::FromStr>(word: &[u8]) -> Option<T> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// What a counter has grown by. With `anew` it began at zero meanwhile: a device was plugged in again, and what counts in larger
/// steps beside it (packets beside bytes) went back, too. Else one that went back has passed 2^32, which 32-bit kernels count
/// to, if that makes it less than half of the way round.
pub fn grown(before: u64, now: u64, anew: bool) -> u64 {
    const ROUND: u64 = 1 << 32;
    match now.checked_sub(before) {
        _ if anew => now,
        Some(more) => more,
        None if before < ROUND && now + (ROUND - before) < ROUND / 2 => now + (ROUND - before),
        None => now,
    }
}

/// The time that processors spent, in ticks (`USER_HZ`, a hundredth of a second).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ticks {
    /// In user mode, with that of processes with a niceness.
    pub user: u64,
    /// In the kernel, without interrupts.
    pub system: u64,
}

impl Ticks {
    /// Time since an earlier look; time that was corrected downwards is none.
    pub fn since(self, before: Self) -> Self {
        Self { user: self.user.saturating_sub(before.user), system: self.system.saturating_sub(before.system) }
    }
}

/// `/proc/stat`: all processors together (`None`), then each one that is on, by its number.
pub fn processors(stat: &[u8]) -> impl Iterator<Item = (Option<u32>, Ticks)> {
    // They stand first; thousands of interrupts follow.
    lines(stat).map_while(|line| line.strip_prefix(b"cpu")).filter_map(|rest| {
        let one = match rest.first()? {
            b' ' => None,
            _ => Some(number(words(rest).next()?)?),
        };
        let mut columns = words(rest).skip(usize::from(one.is_some())).map(number::<u64>);
        let mut column = || columns.next().flatten();
        let (user, nice, system) = (column()?, column()?, column()?);
        Some((one, Ticks { user: user.saturating_add(nice), system }))
    })
}

/// A process, of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process<'a> {
    /// The name that the kernel knows, at most 15 bytes.
    pub name: &'a [u8],
    /// `R`, `S`, `D`, `T`, `Z` (a zombie), `X` (dead) …
    pub state: u8,
    /// The time it used.
    pub ticks: Ticks,
    /// When it began, in ticks since the system did: with the number of the process this is unique.
    pub begun: u64,
}

impl<'a> Process<'a> {
    /// Reads it; `None` when it is no such text.
    pub fn read(stat: &'a [u8]) -> Option<Self> {
        // The name may hold brackets and blanks.
        let open = memchr::memchr(b'(', stat)?;
        let close = memchr::memrchr(b')', stat)?;
        let name = stat.get(open + 1..close)?;
        let mut rest = words(stat.get(close + 1..)?);
        let state = *rest.next()?.first()?;
        // Columns 14, 15 and 22 of the line, whose third is the state.
        let user = number(rest.nth(10)?)?;
        let system = number(rest.next()?)?;
        let begun = number(rest.nth(6)?)?;
        Some(Self { name, state, ticks: Ticks { user, system }, begun })
    }

    /// Whether it is more than what its parent has not asked for yet.
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// Memory in kilobytes of 1,024 bytes, of `/proc/meminfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// All that there is.
    pub total: u64,
    /// What nothing uses.
    pub free: u64,
    /// What programs could get, caches given up for them; before Linux 3.14 what is free.
    pub available: u64,
    /// Swap space.
    pub swap_total: u64,
    /// Swap space that nothing uses.
    pub swap_free: u64,
}

impl Memory {
    /// Reads it; `None` without a total.
    pub fn read(meminfo: &[u8]) -> Option<Self> {
        let (mut total, mut available) = (None, None);
        let mut all = Self::default();
        for line in lines(meminfo) {
            let mut line = words(line);
            let (Some(name), Some(value)) = (line.next(), line.next().and_then(number)) else { continue };
            match name {
                b"MemTotal:" => total = Some(value),
                b"MemFree:" => all.free = value,
                b"MemAvailable:" => available = Some(value),
                b"SwapTotal:" => all.swap_total = value,
                b"SwapFree:" => all.swap_free = value,
                _ => {}
            }
        }
        Some(Self { total: total?, available: available.unwrap_or(all.free), ..all })
    }
}

/// What was read from and written to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk<'a> {
    /// `mmcblk0`, `mmcblk0p1`.
    pub name: &'a [u8],
    /// What it has done.
    pub done: DiskWork,
}

/// What a device has done since it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskWork {
    /// Requests to read.
    pub reads: u64,
    /// What they read, in sectors of 512 bytes, whatever the device's are.
    pub read: u64,
    /// Requests to write.
    pub writes: u64,
    /// What they wrote, in the same sectors.
    pub written: u64,
}

/// `/proc/diskstats`.
pub fn disks(diskstats: &[u8]) -> impl Iterator<Item = Disk<'_>> {
    lines(diskstats).filter_map(|line| {
        let mut line = words(line);
        let name = line.nth(2)?;
        let (reads, read) = (number(line.next()?)?, number(line.nth(1)?)?);
        let (writes, written) = (number(line.nth(1)?)?, number(line.nth(1)?)?);
        Some(Disk { name, done: DiskWork { reads, read, writes, written } })
    })
}

/// Whether `part` names a partition of the disk `whole`: its number behind the name, and a `p` between where the name ends in
/// a digit.
pub fn is_partition(part: &[u8], whole: &[u8]) -> bool {
    let Some(rest) = part.strip_prefix(whole) else { return false };
    let digits = match whole.last() {
        Some(last) if last.is_ascii_digit() => rest.strip_prefix(b"p"),
        Some(_) => Some(rest),
        None => None,
    };
    digits.is_some_and(|d| !d.is_empty() && d.iter().all(u8::is_ascii_digit))
}

/// Whether a device keeps its data in memory or on other devices, so that what it does is counted there already.
pub fn is_virtual(name: &[u8]) -> bool {
    ["loop", "ram", "zram", "dm-", "md", "nbd", "bcache"]
        .iter()
        .any(|kind| name.strip_prefix(kind.as_bytes()).is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit)))
}

/// Counters of an interface: bytes, packets, errors, drop, fifo, frame, compressed, multicast as received; bytes, packets,
/// errors, drop, fifo, collisions, carrier, compressed as sent.
pub type Traffic = [u64; 16];

/// Where packets are counted, received and sent.
pub const PACKETS: [usize; 2] = [1, 9];

/// `/proc/net/dev`: interfaces by name.
pub fn interfaces(dev: &[u8]) -> impl Iterator<Item = (&[u8], Traffic)> {
    lines(dev).filter_map(|line| {
        // Old kernels leave no blank behind the colon; names may hold one (`eth0:1`).
        let (name, rest) = line.split_at(memchr::memrchr(b':', line)?);
        let mut traffic = [0; 16];
        let mut rest = words(rest.get(1..)?);
        for counter in &mut traffic {
            *counter = number(rest.next()?)?;
        }
        Some((name.trim_ascii(), traffic))
    })
}

/// Names of the sizes of `/proc/PID/status` that say something of memory, in its order but for two.
pub const SIZES: [&str; 11] =
    ["VmPeak", "VmSize", "VmLck", "VmHWM", "VmRSS", "VmData", "VmStk", "VmExe", "VmLib", "VmPTE", "VmSwap"];

/// The sizes of `/proc/PID/status` in kilobytes of 1,024 bytes, in the order of [`SIZES`]; 0 where there is none.
pub fn sizes(status: &[u8]) -> [u64; 11] {
    let mut all = [0; 11];
    for line in lines(status).filter(|l| l.starts_with(b"Vm")) {
        let mut line = words(line);
        let (Some(name), Some(value)) = (line.next(), line.next().and_then(number)) else { continue };
        let known = SIZES.iter().zip(&mut all).find(|(known, _)| name.strip_suffix(b":") == Some(known.as_bytes()));
        if let Some((_, size)) = known {
            *size = value;
        }
    }
    all
}

/// How busy the system is, of `/proc/loadavg`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Tasks that ran or waited to run, or for a disk: averages of 1, 5 and 15 minutes.
    pub averages: [f64; 3],
    /// Tasks (threads) that run or could.
    pub running: u64,
    /// Tasks that there are.
    pub tasks: u64,
}

impl Load {
    /// Reads it; `None` when it is no such text.
    pub fn read(loadavg: &[u8]) -> Option<Self> {
        let mut all = words(loadavg);
        let mut average = || number::<f64>(all.next()?).filter(|a| a.is_finite());
        let averages = [average()?, average()?, average()?];
        let tasks = all.next()?;
        let (running, tasks) = tasks.split_at(memchr::memchr(b'/', tasks)?);
        Some(Self { averages, running: number(running)?, tasks: number(tasks.get(1..)?)? })
    }
}

/// Seconds since the system began, of `/proc/uptime`.
pub fn uptime(text: &[u8]) -> Option<f64> {
    number::<f64>(words(text).next()?).filter(|s| s.is_finite())
}

/// A size as people write it, in Fluent Bit's way: `512 b`, `11.78M`.
pub fn human(bytes: u64) -> String {
    let mut unit = 0;
    let mut size = bytes as f64;
    while size >= 1024.0 && unit < 6 {
        size /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} b"),
        _ => format!("{:.2}{}", size as f32, ["b", "K", "M", "G", "T", "P", "E"].get(unit).unwrap_or(&"E")),
    }
}

#[cfg(test)]
mod tests;
