//! `multiline`: records whose texts belong together become one.
//!
//! What is complete takes the place of the record that completed it, so that order is kept; what waited in vain goes on behind this
//! filter. The acknowledgement of a record that is held back is held back, too: a source reads it again after a kill.

use super::{Emitter, Filter, FilterCx, FilterPlugin};
use crate::conf::storage::StorageType;
use crate::conf::{CList, Many, PluginInfo, Size};
use crate::event::{Batch, Key, Tag};
use crate::input::Ack;
use crate::parse::multiline::{Around, Group, Joiner, MultilineDef, Open, Placed};
use crate::plugin::MakeCx;
use crate::rt;
use rustc_hash::FxHashMap;
use std::time::{Duration, Instant};

/// The plugin.
pub static PLUGIN: FilterPlugin = FilterPlugin {
    info: PluginInfo {
        name: "multiline",
        doc: "Joins records whose texts belong together, such as the lines of a stack trace.",
        keys: MultilineConf::KEYS,
        unserved: MultilineConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::conf_enum! {
    /// How records that belong together are known.
    pub enum Mode {
        /// By multiline parsers.
        Parser = "parser",
        /// By the fields of messages that Docker's log drivers cut.
        PartialMessage = "partial_message",
    }
}

crate::config! {
    /// Options of `multiline`.
    pub struct MultilineConf {
        /// `parser`: by multiline parsers; `partial_message`: by the fields `partial_message`, `partial_id` and `partial_last`
        /// that Docker's log drivers write, which are taken away.
        mode: Mode => "Mode" = "parser",
        /// Comma list of multiline parsers, tried in this order.
        parser: Many<CList> => "Multiline.Parser",
        /// The field whose texts are joined.
        key_content: String => "Multiline.Key_Content" = "log",
        /// Wait for records that come later. When off, only records that came together are joined.
        buffer: bool => "Buffer" = "on",
        /// How long a record waits for the next one, in milliseconds.
        flush_ms: u32 => "Flush_Ms" = "2000",
        /// The name of the hidden input that sends on what waited; `emitter_for_` and the name of the filter by default.
        emitter_name: Option<String> => "Emitter_Name",
        /// Memory of records that wait, before inputs are paused.
        emitter_mem_buf_limit: Size => "Emitter_Mem_Buf_Limit" = "10M",
        /// Where records that waited go on to wait for their outputs.
        emitter_storage_type: StorageType => "Emitter_Storage.type" = "memory",
    }
    unserved ["debug_flush=off"]
}

struct Multiline {
    joiner: Joiner<Vec<Ack>>,
    /// What each tag has begun and not ended.
    open: FxHashMap<Tag, Open<Vec<Ack>>>,
    key: Key,
    buffer: bool,
    emitter: Emitter,
    done: Vec<Group<Vec<Ack>>>,
    /// Memory of what is open, in bytes.
    held: usize,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Filter>> {
    let conf = MultilineConf::load(cx.section, cx.diags)?;
    let mut defs = Vec::new();
    for item in &conf.parser.0 {
        for name in &item.value.0 {
            defs.push(cx.parsers.require_multiline(name, &cx.section.who(), &item.place, cx.diags)?);
        }
    }
    match conf.mode {
        Mode::PartialMessage if !defs.is_empty() => {
            return cx.refuse("Mode", "Mode partial_message needs no Multiline.Parser", "Leave one of them out.");
        }
        Mode::PartialMessage => defs.push(MultilineDef::of_pieces()),
        Mode::Parser if defs.is_empty() => {
            return cx.refuse(
                "Multiline.Parser",
                "Multiline.Parser is missing",
                "Add for example: Multiline.Parser java",
            );
        }
        Mode::Parser => {}
    }
    let flush = Duration::from_millis(conf.flush_ms.max(1).into());
    let key = Key::of(&conf.key_content);
    let name = conf.emitter_name.unwrap_or_else(|| format!("emitter_for_{}", cx.name));
    let mem_buf_limit = usize::try_from(conf.emitter_mem_buf_limit.0).unwrap_or(usize::MAX);
    Some(Box::new(Multiline {
        joiner: Joiner::of_records(defs, cx.multiline_limit, key, flush),
        open: FxHashMap::default(),
        key,
        buffer: conf.buffer,
        emitter: Emitter { name, mem_buf_limit, storage: conf.emitter_storage_type, resumes: true, in_order: false },
        done: Vec::new(),
        held: 0,
    }))
}

impl Filter for Multiline {
    fn apply(&mut self, batch: &mut Batch, cx: &mut FilterCx) {
        let now = rt::now();
        let mut open = self.open.remove(batch.tag()).unwrap_or_default();
        // Order is kept: behind the first record that stands elsewhere now, all others move, too.
        let mut moved = false;
        for i in batch.fresh() {
            let placed = self.joiner.record(&mut open, batch, i, now, &mut self.done);
            let taken = placed == Placed::Taken;
            if taken {
                keep_acks(&mut open, &mut self.done, now, cx.acks());
            }
            moved |= taken || !self.done.is_empty();
            self.write_done(batch, cx);
            if taken {
                batch.drop_record(i);
            } else if moved {
                batch.move_to_end(i);
            }
        }
        if !self.buffer {
            self.joiner.close(&mut open, &mut self.done);
            self.write_done(batch, cx);
        }
        if !open.is_empty() {
            self.open.insert(batch.tag().clone(), open);
        }
        self.count();
    }

    fn emits(&self) -> Option<Emitter> {
        Some(self.emitter.clone())
    }

    fn held(&self) -> usize {
        self.held
    }

    fn due(&self) -> Option<Instant> {
        self.open.values().filter_map(|open| self.joiner.due(open)).min()
    }

    fn release(&mut self, cx: &mut FilterCx, all: bool) {
        let now = rt::now();
        for (tag, open) in &mut self.open {
            if all {
                self.joiner.close(open, &mut self.done);
            } else {
                self.joiner.expire(open, now, &mut self.done);
            }
            if self.done.is_empty() {
                continue;
            }
            let (mut batch, mut acks) = (Batch::new(tag.clone()), Vec::new());
            for mut group in self.done.drain(..) {
                group.write(&mut batch, self.key, Around::default());
                acks.append(&mut group.kept);
                self.joiner.recycle(group);
            }
            cx.give_back(batch, acks);
        }
        self.open.retain(|_, open| !open.is_empty());
        self.count();
    }
}

impl Multiline {
    /// Writes what is complete behind all other records.
    fn write_done(&mut self, batch: &mut Batch, cx: &mut FilterCx) {
        for mut group in self.done.drain(..) {
            group.write(batch, self.key, Around::default());
            cx.join(std::mem::take(&mut group.kept));
            self.joiner.recycle(group);
        }
    }

    fn count(&mut self) {
        self.held = self.open.values().flat_map(|open| open.groups()).map(Group::memory).sum();
    }
}

/// A record that something was added to just now is not delivered before these acknowledgements may fire.
fn keep_acks(open: &mut Open<Vec<Ack>>, done: &mut [Group<Vec<Ack>>], now: Instant, acks: &[Ack]) {
    let all = open.groups_mut().iter_mut().chain(done.iter_mut());
    for group in all.filter(|group| group.touched() == now) {
        for ack in acks {
            if !group.kept.iter().any(|kept| kept.is(ack)) {
                group.kept.push(ack.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::testing::{apply, batch, instance, json, lines, refused};
    use crate::time::Time;
    use std::cell::Cell;
    use std::rc::Rc;

    const JAVA: &[(&str, &str)] = &[("Multiline.Parser", "java, python"), ("Multiline.Key_Content", "log")];

    fn released(filter: &mut dyn Filter) -> Vec<String> {
        let mut cx = FilterCx::new(Time(0));
        filter.release(&mut cx, true);
        let all = cx.take_emitted();
        all.iter()
            .map(|e| &e.batch)
            .flat_map(|b| b.records().map(|r| format!("{} {}", b.tag(), json(r.body()))))
            .collect()
    }

    #[test]
    fn traces_are_joined_in_their_place() {
        let mut filter = instance(&PLUGIN, JAVA);
        let mut b = batch(
            "t",
            &[
                r#"{"n":1,"log":"start"}"#,
                r#"{"n":2,"log":"a.b.FooException: x","k":{"a":1}}"#,
                r#"{"n":3,"log":"\tat a.b"}"#,
                r#"{"n":4,"log":"done"}"#,
                r#"{"n":5}"#,
                r#"{"n":6,"log":"a.b.BarException: y"}"#,
            ],
        );
        apply(&mut *filter, &mut b, &mut FilterCx::new(Time(0)));
        let want = [
            r#"{"n":1,"log":"start"}"#,
            r#"{"n":2,"log":"a.b.FooException: x\n\tat a.b","k":{"a":1}}"#,
            r#"{"n":4,"log":"done"}"#,
            r#"{"n":5}"#,
        ];
        assert_eq!(lines(&b), want);
        assert!(filter.held() > 0 && filter.due().is_some());
        // It goes on in the next batch of the tag, but not in that of another.
        let mut other = batch("u", &[r#"{"n":7,"log":"\tat c.d"}"#]);
        apply(&mut *filter, &mut other, &mut FilterCx::new(Time(0)));
        assert_eq!(lines(&other).len(), 1);
        let mut b = batch("t", &[r#"{"n":8,"log":"\tat e.f"}"#]);
        apply(&mut *filter, &mut b, &mut FilterCx::new(Time(0)));
        assert_eq!(lines(&b).len(), 0);
        assert_eq!(released(&mut *filter), [r#"t {"n":6,"log":"a.b.BarException: y\n\tat e.f"}"#]);
        assert_eq!((filter.held(), filter.due()), (0, None));
    }

    #[test]
    fn without_a_buffer_nothing_is_held() {
        let mut filter = instance(&PLUGIN, &[JAVA, &[("Buffer", "off")]].concat());
        let mut b = batch("t", &[r#"{"log":"a.FooError: x"}"#, r#"{"log":"  at a"}"#]);
        apply(&mut *filter, &mut b, &mut FilterCx::new(Time(0)));
        assert_eq!(lines(&b), [r#"{"log":"a.FooError: x\n  at a"}"#]);
        assert_eq!(filter.held(), 0);
    }

    #[test]
    fn pieces_of_messages() {
        let mut filter = instance(&PLUGIN, &[("Mode", "partial_message")]);
        let piece = |id: &str, text: &str, last: &str| {
            format!(
                r#"{{"log":"{text}","c":"x","partial_message":"true","partial_id":"{id}","partial_ordinal":"1","partial_last":"{last}"}}"#
            )
        };
        let all = [
            piece("1", "he", "false"),
            piece("2", "a", "false"),
            r#"{"log":"whole"}"#.into(),
            piece("1", "llo", "true"),
            piece("2", "b", "true"),
            piece("3", "one", "true"),
        ];
        let mut b = batch("t", &all.each_ref().map(String::as_str));
        apply(&mut *filter, &mut b, &mut FilterCx::new(Time(0)));
        let want =
            [r#"{"log":"whole"}"#, r#"{"log":"hello","c":"x"}"#, r#"{"log":"ab","c":"x"}"#, r#"{"log":"one","c":"x"}"#];
        assert_eq!(lines(&b), want);
    }

    #[test]
    fn acknowledgements_wait_with_what_is_held() {
        let fired = Rc::new(Cell::new(0));
        let ack = || {
            let fired = fired.clone();
            Ack::new(move || fired.set(fired.get() + 1))
        };
        let mut filter = instance(&PLUGIN, JAVA);
        let mut cx = FilterCx::with_acks(Time(0), vec![ack()]);
        apply(&mut *filter, &mut batch("t", &[r#"{"log":"a.FooError: x"}"#]), &mut cx);
        drop(cx);
        assert_eq!(fired.get(), 0, "the record is held back");
        let mut cx = FilterCx::with_acks(Time(0), vec![ack()]);
        let mut b = batch("t", &[r#"{"log":"  at a"}"#, r#"{"log":"end"}"#]);
        apply(&mut *filter, &mut b, &mut cx);
        let joined = cx.take_joined();
        drop(cx);
        assert_eq!((b.len(), joined.len(), fired.get()), (2, 2, 0));
        drop(joined);
        assert_eq!(fired.get(), 2);
    }

    #[test]
    fn configurations() {
        assert!(refused(&PLUGIN, &[]).contains("Multiline.Parser is missing"));
        assert!(refused(&PLUGIN, &[("Multiline.Parser", "jva")]).contains("Did you mean 'java'?"));
        let both = [("Mode", "partial_message"), ("Multiline.Parser", "go")];
        assert!(refused(&PLUGIN, &both).contains("needs no Multiline.Parser"));
    }
}
