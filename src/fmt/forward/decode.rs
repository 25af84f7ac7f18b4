//! From the bytes of events to records of a batch, in portions.

use crate::event::Batch;
use crate::fmt::msgpack_read::{Head, MsgpackError, MsgpackReader, head, skip};
use crate::time::Time;

/// Values that an event longer than a portion may hold: each takes a cell.
const MAX_VALUES: usize = 1 << 20;
/// Fluent Bit marks groups of records by events at these times, in seconds: -1 and -2 as unsigned numbers. They hold no record.
const MARKERS: std::ops::RangeInclusive<i64> = u32::MAX as i64 - 1..=u32::MAX as i64;

/// Reads events; connections may share one.
#[derive(Debug, Default)]
pub struct Decoder {
    reader: MsgpackReader,
}

/// What became of a portion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Part {
    /// Bytes that are done with.
    pub used: usize,
    /// Events that were no such thing, and are left out; a damaged rest counts as one.
    pub refused: usize,
    /// The first reason.
    pub why: Option<&'static str>,
    /// Marks of groups.
    pub markers: usize,
}

impl Decoder {
    /// Appends events that `entries` begin with, from about `budget` bytes, at least one. With empty `entries` nothing happens,
    /// otherwise `used` is not 0.
    pub fn events(&mut self, batch: &mut Batch, entries: &[u8], budget: usize) -> Part {
        let mut part = Part::default();
        let mut take = entries.len().min(budget.max(1));
        while part.used == 0 && take > 0 {
            let start = batch.arena().len();
            let mut is_whole = take == entries.len();
            if take > budget {
                // Longer than a portion: this one event alone.
                match longest(entries) {
                    Ok(end) => (take, is_whole) = (end, end == entries.len()),
                    Err(why) => {
                        part.refuse(why);
                        part.used = skip(entries, 0).ok().flatten().unwrap_or(entries.len());
                        return part;
                    }
                }
            }
            let all = batch.arena_mut().push(entries.get(..take).unwrap_or_default());
            while part.used < take {
                let rest = all.sub(part.used, take);
                match self.reader.next_event(batch, rest) {
                    Ok(Some(n)) => {
                        part.used += n;
                        let last = batch.len() - 1;
                        if MARKERS.contains(&batch.record(last).time().secs()) {
                            batch.drop_record(last);
                            part.markers += 1;
                        }
                    }
                    Ok(None) if is_whole => {
                        part.refuse("the bytes end within an event");
                        part.used = take;
                    }
                    Ok(None) => break,
                    Err(e) => match skip(batch.arena().get(rest), 0) {
                        Ok(Some(n)) => {
                            part.refuse(e.why);
                            part.used += n;
                        }
                        Ok(None) if !is_whole => break,
                        _ => {
                            part.refuse(e.why);
                            part.used = entries.len();
                        }
                    },
                }
            }
            if part.used == 0 {
                batch.arena_mut().truncate(start);
                take = entries.len();
            }
        }
        part
    }

    /// Appends one record: a map, and perhaps one of metadata.
    ///
    /// # Errors
    /// When the record is no map; then nothing is appended.
    pub fn one(
        &mut self,
        batch: &mut Batch,
        time: Time,
        record: &[u8],
        meta: Option<&[u8]>,
    ) -> Result<(), MsgpackError> {
        let wrong = |why| MsgpackError { at: 0, why };
        if !matches!(head(record, 0)?, Some((Head::Map(_), _))) {
            return Err(wrong("not a map"));
        }
        if !has_few_values(record) {
            return Err(wrong("a record of more than a million values"));
        }
        let mark = batch.begin();
        let mut at = 0;
        if let Some(meta) = meta {
            let span = batch.arena_mut().push(meta);
            // Metadata that cannot be read is no reason to lose the record.
            if let Ok(Some(_)) = self.reader.next_value(batch, span) {
                at = batch.width(mark, 0);
            }
        }
        let span = batch.arena_mut().push(record);
        match self.reader.next_value(batch, span) {
            Ok(Some(_)) => {}
            other => {
                batch.abandon(mark);
                return Err(other.err().unwrap_or(wrong("the bytes end within a record")));
            }
        }
        if batch.finish_map(mark, at, time) && at > 1 {
            batch.meta_map(batch.len() - 1, mark, 0);
        }
        Ok(())
    }
}

impl Part {
    fn refuse(&mut self, why: &'static str) {
        self.refused += 1;
        self.why.get_or_insert(why);
    }
}

/// The length of the event that `entries` begin with.
fn longest(entries: &[u8]) -> Result<usize, &'static str> {
    let end = skip(entries, 0).map_err(|e| e.why)?.ok_or("the bytes end within an event")?;
    let event = entries.get(..end).unwrap_or_default();
    if has_few_values(event) { Ok(end) } else { Err("an event of more than a million values") }
}

/// Whether a whole value holds no more values than one may.
fn has_few_values(value: &[u8]) -> bool {
    // Each takes a byte or more.
    if value.len() <= MAX_VALUES {
        return true;
    }
    let (mut at, mut seen) = (0, 0);
    while let Ok(Some((head, next))) = head(value, at) {
        at = match head {
            Head::Str(n) | Head::Bin(n) | Head::Ext(_, n) => next.saturating_add(n),
            _ => next,
        };
        seen += 1;
        if seen > MAX_VALUES {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Tag;
    use crate::fmt::json_write::{JsonOpts, write_map};
    use proptest::prelude::*;

    fn shown(batch: &Batch) -> Vec<String> {
        let show = |cells| {
            let mut out = Vec::new();
            write_map(cells, JsonOpts::default(), &mut out);
            String::from_utf8(out).unwrap()
        };
        batch.records().map(|r| format!("{} {} {}", r.time().0, show(r.meta()), show(r.body()))).collect()
    }

    /// Reads everything in portions of `budget`.
    fn all(entries: &[u8], budget: usize) -> (Vec<String>, usize) {
        let (mut decoder, mut batch) = (Decoder::default(), Batch::new(Tag::new("t")));
        let (mut at, mut refused) = (0, 0);
        while at < entries.len() {
            let part = decoder.events(&mut batch, &entries[at..], budget);
            assert!(part.used > 0 && part.used <= entries.len() - at, "{part:?}");
            at += part.used;
            refused += part.refused;
        }
        batch.settle();
        (shown(&batch), refused)
    }

    #[test]
    fn events_in_portions_of_any_size() {
        let entries = [
            &b"\x92\x01\x81\xa1a\xa1x"[..],
            b"\x92\x92\xd7\x00\x00\x00\x00\x02\x00\x00\x00\x05\x81\xa1m\x01\x81\xa1a\xa1y",
            // Not an event, then the mark of a group.
            b"\x93\x01\x02\x03",
            b"\x92\x92\xd7\x00\xff\xff\xff\xff\x00\x00\x00\x00\x80\x80",
            b"\x92\x03\x81\xa1b\x90",
        ]
        .concat();
        let expected = [r#"1000000000 {} {"a":"x"}"#, r#"2000000005 {"m":1} {"a":"y"}"#, r#"3000000000 {} {"b":[]}"#];
        for budget in 1..entries.len() + 2 {
            let (got, refused) = all(&entries, budget);
            assert_eq!((got.as_slice(), refused), (&expected.map(str::to_owned)[..], 1), "{budget}");
        }
    }

    #[test]
    fn damage_costs_what_follows_it() {
        for budget in [1, 4, 100] {
            assert_eq!(all(b"\x92\x01\x80\xc1\x92\x01\x80", budget).1, 1, "{budget}");
            let (got, refused) = all(b"\x92\x01\x80\x92\x02\x81\xa1a", budget);
            assert_eq!((got.len(), refused), (1, 1), "{budget}");
        }
    }

    #[test]
    fn too_many_values() {
        let mut event = b"\x92\x01\x81\xa1a\xdd".to_vec();
        event.extend((MAX_VALUES as u32 + 10).to_be_bytes());
        event.resize(event.len() + MAX_VALUES + 10, 0xc0);
        event.extend(b"\x92\x02\x80");
        let (got, refused) = all(&event, 1 << 16);
        assert_eq!((got.len(), refused), (1, 1));
        let record = &event[2..event.len() - 3];
        let mut batch = Batch::new(Tag::new("t"));
        assert!(Decoder::default().one(&mut batch, Time(0), record, None).is_err());
    }

    #[test]
    fn single_records() {
        let (mut decoder, mut batch) = (Decoder::default(), Batch::new(Tag::new("t")));
        decoder.one(&mut batch, Time(7), b"\x81\xa1a\x01", None).unwrap();
        decoder.one(&mut batch, Time(8), b"\x81\xa1a\x02", Some(b"\x81\xa1m\x03")).unwrap();
        decoder.one(&mut batch, Time(9), b"\x80", Some(b"\x80")).unwrap();
        assert_eq!(shown(&batch), [r#"7 {} {"a":1}"#, r#"8 {"m":3} {"a":2}"#, "9 {} {}"]);
        assert!(decoder.one(&mut batch, Time(7), b"\x90", None).is_err());
        assert!(decoder.one(&mut batch, Time(7), b"\x81\xa1", None).is_err());
        assert_eq!(batch.len(), 3);
    }

    proptest! {
        #[test]
        fn any_bytes_come_to_an_end(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x92), Just(0x80), Just(0x01)], 0..300),
            budget in 1..400usize
        ) {
            all(&bytes, budget);
        }
    }
}
