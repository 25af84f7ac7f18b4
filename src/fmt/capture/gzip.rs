//! Gzip (RFC 1952) as it comes, piece by piece: several members, one after the other, and zeros behind the last.

use super::bytes::Endian;
use super::reader::CAREFUL;
use crc32fast::Hasher;
use flate2::{Decompress, FlushDecompress, Status};

/// What is wrong, and at which byte of the compressed file.
pub(super) struct Broken {
    pub(super) offset: u64,
    pub(super) why: &'static str,
}

/// The compressed bytes that are not used yet, and where we are among them.
pub(super) struct Gzip {
    input: Vec<u8>,
    start: usize,
    end: usize,
    /// The place of `input[start]` in the file.
    offset: u64,
    part: Part,
    inflate: Decompress,
    crc: Hasher,
    /// Bytes of this member that came out, modulo 2^32.
    size: u32,
    /// A member is behind us.
    begun: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Header,
    Body,
    Trailer,
}

/// What is known of a member's header.
enum Header {
    /// So many bytes.
    Whole(usize),
    Partial,
    Bad(&'static str),
}

impl Gzip {
    /// Goes on with the bytes from `start` to `end` of `input`, whose length is that of the reads to come.
    pub(super) fn new(input: Vec<u8>, start: usize, end: usize) -> Self {
        Self {
            input,
            start,
            end,
            offset: 0,
            part: Part::Header,
            inflate: Decompress::new(false),
            crc: Hasher::new(),
            size: 0,
            begun: false,
        }
    }

    /// Room for compressed bytes; never empty once [`Self::inflate`] answered 0.
    pub(super) fn space(&mut self) -> &mut [u8] {
        self.input.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let end = self.input.len().min(self.end.saturating_add(CAREFUL));
        self.input.get_mut(self.end..end).unwrap_or_default()
    }

    /// So many bytes were put into [`Self::space`].
    pub(super) fn filled(&mut self, n: usize) {
        self.end = self.end.saturating_add(n).min(self.input.len());
    }

    /// Fills `out`; says how many bytes it wrote. 0: all that is there is used up. `ended`: nothing more will come.
    pub(super) fn inflate(&mut self, out: &mut [u8], ended: bool) -> Result<usize, Broken> {
        let mut written = 0;
        loop {
            let input = self.input.get(self.start..self.end).unwrap_or_default();
            let all = input.len();
            let used = match self.part {
                // Padding, as tapes have it.
                Part::Header if self.begun && input.starts_with(&[0]) => input.iter().take_while(|b| **b == 0).count(),
                Part::Header => match header(input) {
                    Header::Whole(len) => {
                        self.part = Part::Body;
                        len
                    }
                    Header::Bad(why) if written == 0 => return self.broken(why),
                    Header::Bad(_) => return Ok(written),
                    Header::Partial if all == self.input.len() => return self.broken("a header without an end"),
                    Header::Partial => 0,
                },
                Part::Body => {
                    let room = out.get_mut(written..).unwrap_or_default();
                    if room.is_empty() {
                        return Ok(written);
                    }
                    let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
                    let status = self.inflate.decompress(input, room, FlushDecompress::None);
                    let used = (self.inflate.total_in() - before_in) as usize;
                    let made = (self.inflate.total_out() - before_out) as usize;
                    self.crc.update(room.get(..made).unwrap_or_default());
                    self.size = self.size.wrapping_add(made as u32);
                    written += made;
                    match status {
                        Ok(Status::StreamEnd) => self.part = Part::Trailer,
                        Ok(Status::Ok) => {}
                        Ok(Status::BufError) if used + made > 0 => {}
                        Ok(Status::BufError) => return self.short(written, ended),
                        Err(_) if written > 0 => return Ok(written),
                        Err(_) => return self.broken("it is no deflate data"),
                    }
                    if used + made == 0 && self.part == Part::Body {
                        return self.short(written, ended);
                    }
                    self.use_up(used);
                    continue;
                }
                Part::Trailer => match input.get(..8) {
                    None => 0,
                    Some(tail) => {
                        let (crc, size) = (Endian::Little.u32(tail, 0), Endian::Little.u32(tail, 4));
                        if (crc, size) != (self.crc.clone().finalize(), self.size) {
                            return if written > 0 { Ok(written) } else { self.broken("its check sum is wrong") };
                        }
                        self.inflate.reset(false);
                        self.crc.reset();
                        (self.size, self.begun, self.part) = (0, true, Part::Header);
                        8
                    }
                },
            };
            if used == 0 {
                return self.short(written, ended);
            }
            self.use_up(used);
        }
    }

    /// There is not enough input to go on.
    fn short(&self, written: usize, ended: bool) -> Result<usize, Broken> {
        let between = self.part == Part::Header && self.start == self.end;
        if ended && written == 0 && !between { self.broken("it ends too early") } else { Ok(written) }
    }

    fn broken(&self, why: &'static str) -> Result<usize, Broken> {
        Err(Broken { offset: self.offset, why })
    }

    fn use_up(&mut self, n: usize) {
        self.start = self.start.saturating_add(n).min(self.end);
        self.offset = self.offset.saturating_add(n as u64);
    }
}

/// Measures the header at the head of `bytes` (RFC 1952, section 2.3).
fn header(bytes: &[u8]) -> Header {
    const HEADER_CRC: u8 = 2;
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    const FIXED: usize = 10;
    if !bytes.is_empty() && !bytes.starts_with(&[0x1f]) || bytes.len() > 1 && !bytes.starts_with(&[0x1f, 0x8b]) {
        return Header::Bad("what follows is no gzip data");
    }
    let Some(&[_, _, method, flags, ..]) = bytes.get(..FIXED) else { return Header::Partial };
    if method != 8 || flags & 0xe0 != 0 {
        return Header::Bad("its header asks for what is not known");
    }
    let mut at = FIXED;
    if flags & EXTRA != 0 {
        if bytes.len() < at + 2 {
            return Header::Partial;
        }
        at += 2 + usize::from(Endian::Little.u16(bytes, at));
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            match bytes.get(at..).and_then(|rest| memchr::memchr(0, rest)) {
                Some(len) => at += len + 1,
                None => return Header::Partial,
            }
        }
    }
    if flags & HEADER_CRC != 0 {
        at += 2;
    }
    if at <= bytes.len() { Header::Whole(at) } else { Header::Partial }
}

impl std::fmt::Debug for Gzip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gzip").field("offset", &self.offset).field("part", &self.part).finish_non_exhaustive()
    }
}
