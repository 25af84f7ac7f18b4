//! The reader: takes bytes as they come, hands out packets that lie in its buffer.

use super::damage::{Damage, Fault};
use super::gzip::Gzip;
use super::magic::{self, LOOK, Magic};
use super::pcap::Pcap;
use super::pcapng::Pcapng;
use super::{Found, Packet, Step};

/// Bytes that one read may bring. Also the least that the buffer holds; a packet or block that is longer makes it grow
/// to its own length, [`super::MAX_BLOCK`] at most.
const READ: usize = 256 * 1024;

/// Bytes that a read brings while it is not known whether they are compressed, and those of compressed ones: a little may
/// become very much.
pub(super) const CAREFUL: usize = 32 * 1024;

/// Reads one capture file: pcap or pcapng, each of them perhaps within gzip.
///
/// The caller moves the bytes: while [`Self::packet`] answers `None`, it reads into [`Self::space`] and says so with
/// [`Self::filled`], or with [`Self::end`] at the end. Memory is bounded, and no packet is copied but those that lie
/// across two reads.
#[derive(Debug)]
pub struct CaptureReader {
    buf: Vec<u8>,
    /// The bytes not used yet are those from `start` to `end`.
    start: usize,
    end: usize,
    /// The place of `buf[start]` in the capture.
    offset: u64,
    /// The bytes to throw away before going on, and how many they were at first.
    skip: u64,
    skipped: u64,
    format: Format,
    packed: Option<Box<Gzip>>,
    ended: bool,
    failed: Option<Box<Damage>>,
}

#[derive(Debug)]
enum Format {
    Unknown,
    Pcap(Pcap),
    Pcapng(Box<Pcapng>),
}

impl Default for CaptureReader {
    fn default() -> Self {
        Self::new()
    }
}

impl CaptureReader {
    /// A reader at the start of a file.
    pub fn new() -> Self {
        Self {
            buf: vec![0; READ],
            start: 0,
            end: 0,
            offset: 0,
            skip: 0,
            skipped: 0,
            format: Format::Unknown,
            packed: None,
            ended: false,
            failed: None,
        }
    }

    /// Where the next bytes of the file go. Never empty after [`Self::packet`] answered `None`.
    pub fn space(&mut self) -> &mut [u8] {
        if self.packed.is_none() {
            self.compact();
        }
        match (&mut self.packed, &self.format) {
            (Some(gzip), _) => gzip.space(),
            (None, Format::Unknown) => self.buf.get_mut(self.end..CAREFUL).unwrap_or_default(),
            (None, _) => self.buf.get_mut(self.end..).unwrap_or_default(),
        }
    }

    /// So many bytes were put at the head of [`Self::space`].
    pub fn filled(&mut self, n: usize) {
        match &mut self.packed {
            Some(gzip) => gzip.filled(n),
            None => self.end = self.end.saturating_add(n).min(self.buf.len()),
        }
    }

    /// The file has no more bytes.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next packet. `None`: more bytes are needed; after [`Self::end`]: that was the last one.
    ///
    /// # Errors
    /// When the file is damaged, or no capture file at all: once that was said there are no more packets, and it is
    /// said again by each call.
    #[inline]
    pub fn packet(&mut self) -> Result<Option<Packet<'_>>, Damage> {
        loop {
            let step = if self.skip > 0 { self.skip() } else { self.step() };
            match step {
                Step::Packet(Found { time, link, wire_len, start, len, used }) => {
                    let from = self.start + start;
                    self.advance(used);
                    let data = self.buf.get(from..from + len).unwrap_or_default();
                    return Ok(Some(Packet { time, link, wire_len, data }));
                }
                Step::Skip(n) => (self.skip, self.skipped) = (n, n),
                Step::Need(n, what) => {
                    if !self.more(n)? {
                        return self.stop(n, what);
                    }
                }
                Step::Fail(fault) => return Err(self.fail(fault)),
            }
        }
    }

    /// Packets that were dropped while capturing, as far as the file tells (pcapng's statistics).
    pub fn drops(&self) -> u64 {
        match &self.format {
            Format::Pcapng(ng) => ng.drops(),
            _ => 0,
        }
    }

    #[inline]
    fn step(&mut self) -> Step {
        let bytes = self.buf.get(self.start..self.end).unwrap_or_default();
        match &mut self.format {
            _ if self.failed.is_some() => Step::Need(usize::MAX, ""),
            Format::Pcap(pcap) => pcap.step(bytes),
            Format::Pcapng(ng) => ng.step(bytes),
            Format::Unknown => self.detect(),
        }
    }

    /// Throws away what is to be thrown away and there.
    fn skip(&mut self) -> Step {
        let n = self.skip.min((self.end - self.start) as u64);
        self.advance(n as usize);
        self.skip -= n;
        if self.skip > 0 { Step::Need(1, "a block") } else { self.step() }
    }

    /// Learns the format from the first bytes.
    fn detect(&mut self) -> Step {
        let bytes = self.buf.get(self.start..self.end).unwrap_or_default();
        match Magic::of(bytes) {
            Some(Magic::Pcap(endian, variant)) => self.format = Format::Pcap(Pcap::new(endian, variant)),
            Some(Magic::Pcapng) => self.format = Format::Pcapng(Box::new(Pcapng::new())),
            Some(Magic::Gzip) if self.packed.is_none() => {
                let input = std::mem::replace(&mut self.buf, vec![0; READ]);
                self.packed = Some(Box::new(Gzip::new(input, self.start, self.end)));
                (self.start, self.end) = (0, 0);
            }
            _ if bytes.len() < LOOK => return Step::Need(LOOK, "the file header"),
            _ => return Step::Fail(magic::foreign(bytes)),
        }
        Step::Skip(0)
    }

    /// Makes room for `n` bytes in a row, and gets what gzip has; whether there are new bytes.
    #[cold]
    fn more(&mut self, n: usize) -> Result<bool, Damage> {
        if let Some(damage) = &self.failed {
            return Err((**damage).clone());
        }
        if n > self.buf.len() {
            self.buf.resize(n, 0);
        }
        if self.packed.is_some() {
            self.compact();
        }
        let Some(gzip) = &mut self.packed else { return Ok(false) };
        match gzip.inflate(self.buf.get_mut(self.end..).unwrap_or_default(), self.ended) {
            Ok(made) => {
                self.end += made;
                Ok(made > 0)
            }
            Err(broken) => {
                let fault = Fault::Gzip(broken.why);
                let damage = Damage { offset: broken.offset, unpacked: false, fault };
                self.failed = Some(Box::new(damage.clone()));
                Err(damage)
            }
        }
    }

    /// Nothing more can be said for now, or for good.
    #[cold]
    fn stop(&mut self, need: usize, what: &'static str) -> Result<Option<Packet<'_>>, Damage> {
        let there = (self.end - self.start) as u64;
        if !self.ended {
            return Ok(None);
        }
        if self.skip > 0 {
            let fault = Fault::CutShort(what, self.skipped, self.skipped - self.skip);
            return Err(self.fail(fault));
        }
        let fault = match &self.format {
            Format::Unknown if there == 0 => Fault::Empty,
            Format::Unknown => magic::foreign(self.buf.get(self.start..self.end).unwrap_or_default()),
            Format::Pcapng(ng) if there == 0 && !ng.is_inside() => return Ok(None),
            Format::Pcap(_) if there == 0 => return Ok(None),
            _ => Fault::CutShort(what, need as u64, there),
        };
        Err(self.fail(fault))
    }

    #[cold]
    fn fail(&mut self, fault: Fault) -> Damage {
        // What was skipped belongs to what is damaged.
        let offset = self.offset.saturating_sub(if self.skip > 0 { self.skipped - self.skip } else { 0 });
        let damage = Damage { offset, unpacked: self.packed.is_some(), fault };
        self.failed = Some(Box::new(damage.clone()));
        damage
    }

    fn compact(&mut self) {
        self.buf.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
    }

    #[inline]
    fn advance(&mut self, n: usize) {
        self.start += n;
        self.offset += n as u64;
    }
}
