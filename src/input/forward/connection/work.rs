//! From what a connection has read to commits, in bounded pieces: whole messages, their events, what they ask for.

use super::{Connection, Shared};
use crate::event::Tag;
use crate::fmt::codec::{Codec, Unpack};
use crate::fmt::forward::{Entries, FrameError, Message};
use crate::input::serve::AckWhen;
use crate::input::{Ack, InputCx};
use std::ops::Range;

/// Bytes of events between two commits: about a chunk.
const PORTION: usize = 512 << 10;
/// A message whose events are being read.
pub(super) struct Current {
    /// Bytes of the message.
    len: usize,
    tag: Tag,
    entries: Source,
    /// Bytes of events that are done.
    at: usize,
    ack: Option<Ack>,
}

/// Where the events stand.
enum Source {
    /// In the message.
    Here(Range<usize>),
    /// In the buffer of what was unpacked.
    Unpacked,
    /// One record in the message, already read.
    None,
}

/// What comes after a piece of work.
pub(super) enum Step {
    /// There is more in the buffer.
    More,
    /// The buffer holds no whole message.
    Read,
}

impl Connection<'_> {
    /// A bounded piece of work on what was read, without waiting.
    pub(super) fn work(&mut self) -> Result<Step, String> {
        let (mut budget, mut hurry) = (PORTION, false);
        let step = loop {
            if self.current.is_none() {
                match self.begin() {
                    Ok(true) => {}
                    Ok(false) => break Ok(Step::Read),
                    Err(why) => break Err(why),
                }
            }
            let (used, done) = self.portion(budget);
            budget = budget.saturating_sub(used);
            if done && let Some(current) = self.current.take() {
                self.buffer.used(current.len);
                let mut unpacked = std::mem::take(&mut self.unpacked);
                unpacked.clear();
                if unpacked.capacity() <= 4 * PORTION {
                    self.shared.spare.replace(unpacked);
                }
                if current.ack.is_some() {
                    hurry = true;
                    self.dirty = None;
                    self.cx.commit_now(&current.tag, current.ack);
                }
            }
            if budget == 0 {
                break Ok(Step::More);
            }
        };
        self.commit();
        if hurry {
            self.cx.hurry();
        }
        step
    }

    pub(super) fn commit(&mut self) {
        if let Some(tag) = self.dirty.take() {
            let ack = self.current.as_ref().filter(|c| c.tag == tag).and_then(|c| c.ack.clone());
            self.cx.commit_now(&tag, ack);
        }
    }

    /// Begins with the next message; `false` when it is not whole.
    fn begin(&mut self) -> Result<bool, String> {
        loop {
            let max = self.shared.max;
            let len = match self.frame.next(self.buffer.unread(), max) {
                Ok(Some(len)) => len,
                Ok(None) => return Ok(false),
                Err(e @ FrameError::Broken) => return Err(e.to_string()),
                Err(e @ FrameError::TooLong) => {
                    return Err(format!("{e}: {max} bytes; raise Buffer_Max_Size, or lower the sender's chunks"));
                }
            };
            let message =
                Message::read(self.buffer.unread().get(..len).unwrap_or_default()).map_err(|e| e.to_string())?;
            match message {
                Some(message) => {
                    self.start(len, message)?;
                    return Ok(true);
                }
                None => self.buffer.used(len),
            }
        }
    }

    fn start(&mut self, len: usize, message: Message) -> Result<(), String> {
        let bytes = self.buffer.unread().get(..len).unwrap_or_default();
        let part = |range: &Range<usize>| bytes.get(range.clone()).unwrap_or_default();
        let tag = tag(&mut self.tag, part(&message.tag), self.shared, self.cx);
        let options = &message.options;
        let owed = &self.owed;
        let ack = options.chunk.as_ref().map(|chunk| owed.promise(part(chunk)));
        // Received is enough: it is due at once.
        let ack = ack.filter(|_| self.shared.ack == AckWhen::Delivered);
        if self.dirty.as_ref().is_some_and(|dirty| *dirty != tag) {
            self.commit();
        }
        let bytes = self.buffer.unread().get(..len).unwrap_or_default();
        let part = |range: &Range<usize>| bytes.get(range.clone()).unwrap_or_default();
        let mut wrong = None;
        let entries = match message.entries {
            _ if options.signal != 0 => {
                wrong = Some("metrics and traces are not served: send logs only".to_owned());
                Source::None
            }
            Entries::Many(range) => Source::Here(range),
            Entries::Packed(range) => {
                match codec(part(&range), options.compressed.as_ref().map(&part).unwrap_or_default()) {
                    Ok(None) => Source::Here(range),
                    Ok(Some(codec)) => {
                        self.unpacked = self.shared.spare.take();
                        match codec.unpack(part(&range), self.shared.max, &mut self.unpacked) {
                            Ok(()) => Source::Unpacked,
                            Err(e @ Unpack::TooLong) => {
                                let max = self.shared.max;
                                return Err(format!("packed events: {e} of {max} bytes; raise Buffer_Max_Size"));
                            }
                            Err(e) => {
                                wrong = Some(format!("packed events are left out: {e}"));
                                Source::None
                            }
                        }
                    }
                    Err(why) => {
                        wrong = Some(why);
                        Source::None
                    }
                }
            }
            Entries::One(time, range) => {
                let mut batch = self.cx.batch(&tag);
                let time = time.unwrap_or_else(|| self.cx.now());
                let meta = options.metadata.as_ref().map(&part);
                match self.shared.decoder.borrow_mut().one(&mut batch, time, part(&range), meta) {
                    Ok(()) => self.dirty = Some(tag.clone()),
                    Err(e) => wrong = Some(format!("a record is left out: {}", e.why)),
                }
                Source::None
            }
        };
        if let Some(why) = wrong {
            // What its sender counted, where it did.
            let records = options.size.unwrap_or(1).clamp(1, len as u64) as usize;
            self.cx.count("not events", records as u64);
            self.complain(records, &why);
        }
        self.current = Some(Current { len, tag, entries, at: 0, ack });
        Ok(())
    }

    /// Reads events of the current message; how many bytes it took, and whether that was all.
    fn portion(&mut self, budget: usize) -> (usize, bool) {
        let Some(current) = &mut self.current else { return (0, true) };
        let all = match &current.entries {
            // A single record is small; many of them are work, too.
            Source::None => return (current.len.min(budget), true),
            Source::Here(range) => self.buffer.unread().get(range.clone()).unwrap_or_default(),
            Source::Unpacked => &self.unpacked,
        };
        let rest = all.get(current.at..).unwrap_or_default();
        let (total, mut batch) = (all.len(), self.cx.batch(&current.tag));
        let part = self.shared.decoder.borrow_mut().events(&mut batch, rest, budget);
        drop(batch);
        current.at += part.used;
        let done = current.at >= total;
        self.dirty = Some(current.tag.clone());
        if part.markers > 0 {
            self.cx.count("group marks", part.markers as u64);
        }
        if let Some(why) = part.why {
            self.cx.count("not events", part.refused as u64);
            self.complain(part.refused, &format!("events are left out: {why}"));
        }
        (part.used.max(1), done)
    }
}

/// What a tag means here; the last one is remembered.
fn tag(last: &mut Option<(Vec<u8>, Tag)>, text: &[u8], shared: &Shared, cx: &InputCx) -> Tag {
    if shared.fixed_tag || text.is_empty() && shared.prefix.is_empty() {
        return cx.tag().clone();
    }
    match last {
        Some((known, tag)) if known == text => tag.clone(),
        _ => {
            let tag = Tag::new(&format!("{}{}", shared.prefix, String::from_utf8_lossy(text)));
            *last = Some((text.to_vec(), tag.clone()));
            tag
        }
    }
}

/// How events are packed. The first bytes decide where they are clear: no event begins so.
fn codec(packed: &[u8], word: &[u8]) -> Result<Option<Codec>, String> {
    if packed.starts_with(b"\x1f\x8b") {
        return Ok(Some(Codec::Gzip));
    }
    if packed.starts_with(b"\x28\xb5\x2f\xfd") {
        return Ok(Some(Codec::Zstd));
    }
    match word {
        b"" | b"text" => Ok(None),
        b"gzip" => Ok(Some(Codec::Gzip)),
        b"zstd" => Ok(Some(Codec::Zstd)),
        other => {
            Err(format!("events are left out: packed as '{}'; gzip and zstd are known", String::from_utf8_lossy(other)))
        }
    }
}
