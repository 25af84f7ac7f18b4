//! Encoded text into records: lines are found in the encoded bytes, and each is decoded straight into the arena.

use super::charset::Charset;
use super::file::Place;
use super::lines::{HOLE, Lines, Origin, Yield};
use super::long::Long;
use crate::event::{Arena, Batch, Cell, Source, Span};
use crate::time::Time;

/// A stretch of a file's bytes.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// The bytes; they begin with a whole character.
    pub bytes: &'a [u8],
    /// There are no more of them now.
    pub all: bool,
    /// There will never be more.
    pub last: bool,
    /// The file's path, for Path_Key.
    pub path: &'a [u8],
    /// When they were read.
    pub now: Time,
    /// The file; its base is the offset of the first byte.
    pub source: Source,
}

/// Where a stretch of text stands in its file; it moves on as lines are taken.
#[derive(Debug, Clone, Copy)]
pub struct Stand {
    /// What the text is written in; not [`Charset::Auto`].
    pub charset: Charset,
    /// Offset of the first byte, in the encoded file.
    pub offset: u64,
    /// What that byte is part of.
    pub place: Place,
}

/// The most bytes that a line with its line end has, before it counts as too long.
pub fn longest(max: usize) -> usize {
    max.saturating_add(4)
}

impl Lines {
    /// Makes records of the lines in `text`; `stand` then is where the next one begins. Buffer_Max_Size counts encoded
    /// bytes.
    pub fn take_encoded(&mut self, batch: &mut Batch, text: &Text<'_>, stand: &mut Stand) -> Yield {
        let mut out = Yield::default();
        let origin = Origin { offset: stand.offset, path: text.path, now: text.now, source: text.source };
        self.set_source(batch, origin.source);
        let path = self.path_cell(batch, &origin);
        let (begin, charset) = (stand.offset, stand.charset);
        loop {
            let at = usize::try_from(stand.offset - begin).unwrap_or(usize::MAX);
            let rest = text.bytes.get(at..).unwrap_or_default();
            if rest.is_empty() {
                return out;
            }
            let hole = hole(rest, stand);
            if hole > 0 {
                let to_the_end = hole == charset.whole(rest.len());
                if to_the_end && text.all && !text.last {
                    // Room that may still be written to.
                    return out;
                }
                stand.offset += if text.last && to_the_end { rest.len() } else { hole } as u64;
                stand.place = if to_the_end { Place::Hole } else { Place::Start };
                continue;
            }
            let end = charset.line_end(rest);
            if let Place::Dropping(_) = stand.place {
                stand.offset += match end {
                    Some(end) => end + charset.unit(),
                    None if text.last => rest.len(),
                    None => charset.whole(rest.len()),
                } as u64;
                if end.is_some() || text.last {
                    stand.place = Place::Start;
                    continue;
                }
                return out;
            }
            let (line, passed) = match end {
                Some(end) => (rest.get(..end).unwrap_or_default(), end + charset.unit()),
                None if rest.len() >= longest(self.max) => {
                    self.long_head(batch, rest, stand, path, text.now, &mut out);
                    continue;
                }
                None if text.last => (rest, rest.len()),
                None => return out,
            };
            self.encoded_line(batch, charset.without_cr(line), stand, path, text.now, &mut out);
            stand.offset += passed as u64;
            stand.place = Place::Start;
        }
    }

    /// The beginning of a line that is too long and whose end is not there yet.
    fn long_head(
        &mut self,
        batch: &mut Batch,
        rest: &[u8],
        stand: &mut Stand,
        path: Option<Cell>,
        now: Time,
        out: &mut Yield,
    ) {
        let cut = stand.charset.cut_at(rest, self.max);
        if self.long != Long::Skip {
            self.encoded(batch, rest.get(..cut).unwrap_or_default(), (stand.charset, stand.offset), path, now, out);
        }
        // A line counts once, however many pieces it gives.
        out.long += u64::from(stand.place != Place::Piece);
        if self.long == Long::Pieces {
            stand.place = Place::Piece;
            stand.offset += cut as u64;
        } else {
            stand.place = Place::Dropping(stand.offset);
            stand.offset += stand.charset.whole(rest.len()) as u64;
        }
    }

    /// A whole line, without its line end.
    fn encoded_line(
        &mut self,
        batch: &mut Batch,
        line: &[u8],
        stand: &Stand,
        path: Option<Cell>,
        now: Time,
        out: &mut Yield,
    ) {
        let (mut rest, mut at) = (line, (stand.charset, stand.offset));
        if rest.len() > self.max {
            out.long += u64::from(stand.place != Place::Piece);
            if self.long == Long::Skip {
                return;
            }
            while rest.len() > self.max {
                let (head, tail) = rest.split_at(stand.charset.cut_at(rest, self.max).min(rest.len()));
                self.encoded(batch, head, at, path, now, out);
                if self.long == Long::Truncate {
                    return;
                }
                rest = tail;
                at.1 += head.len() as u64;
            }
        }
        if !rest.is_empty() || !self.skip_empty {
            self.encoded(batch, rest, at, path, now, out);
        }
    }

    fn encoded(
        &mut self,
        batch: &mut Batch,
        text: &[u8],
        (charset, offset): (Charset, u64),
        path: Option<Cell>,
        now: Time,
        out: &mut Yield,
    ) {
        let (span, replaced) = decode(charset, text, batch.arena_mut());
        out.replaced += u64::from(replaced);
        self.record(batch, span, offset, path, now, out);
    }
}

/// The length of the run of NULs at the start of a line, when no program wrote them.
fn hole(rest: &[u8], stand: &Stand) -> usize {
    if rest.first() != Some(&0) || matches!(stand.place, Place::Dropping(_) | Place::Piece) {
        return 0;
    }
    let nuls = stand.charset.whole(rest.iter().position(|&b| b != 0).unwrap_or(rest.len()));
    let at_start = stand.offset == 0 && nuls > 3;
    if at_start || stand.place == Place::Hole || nuls >= HOLE { nuls } else { 0 }
}

/// Appends `text` in UTF-8; whether something in it was no text and was replaced by U+FFFD.
#[cfg(feature = "encodings")]
fn decode(charset: Charset, text: &[u8], arena: &mut Arena) -> (Span, bool) {
    let Some(encoding) = encoding(charset) else { return (arena.push(text), false) };
    let at = arena.len();
    let mut replaced = false;
    let mut rest = text;
    let mut decoder = encoding.new_decoder_without_bom_handling();
    loop {
        let room = decoder.max_utf8_buffer_length(rest.len()).unwrap_or(rest.len()).max(16);
        let (result, read, written, errors) = decoder.decode_to_utf8(rest, arena.spare(room), true);
        arena.advance(written);
        replaced |= errors;
        rest = rest.get(read..).unwrap_or_default();
        if result == encoding_rs::CoderResult::InputEmpty {
            return (Span::between(at, arena.len()), replaced);
        }
    }
}

#[cfg(not(feature = "encodings"))]
fn decode(_: Charset, text: &[u8], arena: &mut Arena) -> (Span, bool) {
    (arena.push(text), false)
}

#[cfg(feature = "encodings")]
fn encoding(charset: Charset) -> Option<&'static encoding_rs::Encoding> {
    Some(match charset {
        Charset::Plain => return None,
        Charset::Auto | Charset::Utf8 => encoding_rs::UTF_8,
        Charset::Utf16Le => encoding_rs::UTF_16LE,
        Charset::Utf16Be => encoding_rs::UTF_16BE,
        Charset::ShiftJis => encoding_rs::SHIFT_JIS,
        Charset::Uhc => encoding_rs::EUC_KR,
        Charset::Gbk => encoding_rs::GBK,
        Charset::Gb18030 => encoding_rs::GB18030,
        Charset::Big5 => encoding_rs::BIG5,
        Charset::EucJp => encoding_rs::EUC_JP,
        Charset::Page(866) => encoding_rs::IBM866,
        Charset::Page(874) => encoding_rs::WINDOWS_874,
        Charset::Page(1250) => encoding_rs::WINDOWS_1250,
        Charset::Page(1251) => encoding_rs::WINDOWS_1251,
        Charset::Page(1253) => encoding_rs::WINDOWS_1253,
        Charset::Page(1254) => encoding_rs::WINDOWS_1254,
        Charset::Page(1255) => encoding_rs::WINDOWS_1255,
        Charset::Page(1256) => encoding_rs::WINDOWS_1256,
        Charset::Page(1257) => encoding_rs::WINDOWS_1257,
        Charset::Page(1258) => encoding_rs::WINDOWS_1258,
        Charset::Page(_) => encoding_rs::WINDOWS_1252,
    })
}
