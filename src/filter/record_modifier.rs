//! `record_modifier`: appends fields to records and removes others.

use super::keys::KeyTest;
use super::{Filter, FilterCx, FilterPlugin};
use crate::conf::{Many, PluginInfo, SList};
use crate::event::{Batch, Cell, Draft, Key, Literal};
use crate::plugin::MakeCx;
use std::hash::{BuildHasher, RandomState};

/// The plugin.
pub static PLUGIN: FilterPlugin = FilterPlugin {
    info: PluginInfo {
        name: "record_modifier",
        doc: "Appends fields to records and removes others.",
        keys: RecordModifierConf::KEYS,
        unserved: RecordModifierConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `record_modifier`.
    pub struct RecordModifierConf {
        /// `KEY VALUE`: a field to append; a value with blanks stands in double quotes.
        record: Many<SList> => "Record",
        /// A field to remove, upper and lower case alike; a `*` at the end stands for any ending. A record without any
        /// field left is dropped.
        remove_key: Many<String> => "Remove_key",
        /// A field to keep, as with Remove_key; all others are removed.
        allowlist_key: Many<String> => "Allowlist_key",
        /// Another name of Allowlist_key.
        whitelist_key: Many<String> => "Whitelist_key",
        /// A field to append that holds a new random UUID for each record.
        uuid_key: Option<String> => "Uuid_key",
    }
}

#[derive(Debug)]
struct RecordModifier {
    /// The keys to remove.
    removed: Option<KeyTest>,
    /// The only keys to keep.
    kept: Option<KeyTest>,
    records: Vec<(Key, Literal)>,
    uuid: Option<(Key, Uuids)>,
    draft: Draft,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Filter>> {
    let conf = RecordModifierConf::load(cx.section, cx.diags)?;
    let mut records = Vec::new();
    for item in conf.record {
        match &*item.value.0 {
            [key, value] => records.push((Key::of(key), Literal::new(value))),
            words => cx.diags.warn_help(
                &item.place,
                format!(
                    "{} invalid record parameters, expects 'KEY VALUE': there are {} words in '{}'; it is not appended",
                    cx.section.who(),
                    words.len(),
                    words.join(" ")
                ),
                "A value with blanks stands in double quotes: Record key \"a value\"",
            ),
        }
    }
    let test = |lists: &[&Many<String>]| {
        let names: Vec<&str> = lists.iter().flat_map(|l| l.values()).map(String::as_str).collect();
        (!names.is_empty()).then(|| KeyTest::any_of(names, true))
    };
    let removed = test(&[&conf.remove_key]);
    let kept = test(&[&conf.allowlist_key, &conf.whitelist_key]);
    if removed.is_some() && kept.is_some() {
        return cx.refuse(
            "Remove_key",
            "remove_keys and allowlist_keys are exclusive with each other",
            "Name the fields to remove, or those to keep.",
        );
    }
    let uuid = conf.uuid_key.map(|key| (Key::of(&key), Uuids::default()));
    Some(Box::new(RecordModifier { removed, kept, records, uuid, draft: Draft::default() }))
}

impl Filter for RecordModifier {
    fn apply(&mut self, batch: &mut Batch, _cx: &mut FilterCx) {
        self.records.iter_mut().for_each(|(_, value)| value.restart());
        for i in batch.fresh() {
            let draft = &mut self.draft;
            draft.load(batch, i);
            let removed = match (&mut self.removed, &mut self.kept) {
                (Some(test), _) => draft.remove(|k| test.is(batch, k)),
                (None, Some(test)) => draft.remove(|k| !test.is(batch, k)),
                (None, None) => false,
            };
            for (key, value) in &mut self.records {
                draft.push(value.cell(batch, *key));
            }
            if let Some((key, uuids)) = &mut self.uuid {
                let span = batch.arena_mut().push(&uuids.next());
                draft.push(Cell::str(*key, span, crate::event::cell::CLEAN));
            }
            if removed && draft.cells().is_empty() {
                batch.drop_record(i);
            } else {
                draft.store(batch, i);
            }
        }
    }
}

/// Random UUIDs (RFC 9562, version 4): a keyed hash of a counter, the key from the system's random source.
#[derive(Debug, Default)]
struct Uuids {
    key: RandomState,
    made: u64,
}

impl Uuids {
    fn next(&mut self) -> [u8; 36] {
        self.made += 1;
        let half = |n: u8| u128::from(self.key.hash_one((self.made, n)));
        let bits = (half(0) << 64 | half(1)) & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
        let mut text = [b'-'; 36];
        let mut digits = (0..32).map(|n| b"0123456789abcdef"[(bits >> (124 - 4 * n) & 0xf) as usize]);
        for (at, place) in text.iter_mut().enumerate() {
            if !matches!(at, 8 | 13 | 18 | 23) {
                *place = digits.next().unwrap_or(b'0');
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::testing::{apply, batch, check, instance, json, refused, said};
    use crate::parse::regex::Regex;
    use crate::time::Time;

    type Row<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

    #[test]
    fn fields_come_and_go() {
        let r = r#"{"log":"x","Host":"h","hostname":1,"m":{"host":2}}"#;
        let table: &[Row<'_>] = &[
            (
                &[("Record", "host a"), ("Record", "b \"c d\"")],
                &[r#"{"log":"x","Host":"h","hostname":1,"m":{"host":2},"host":"a","b":"c d"}"#],
            ),
            (&[("Remove_key", "host")], &[r#"{"log":"x","hostname":1,"m":{"host":2}}"#]),
            (&[("Remove_key", "HOST*"), ("Remove_key", "log")], &[r#"{"m":{"host":2}}"#]),
            (&[("Remove_key", "zz")], &[r]),
            (&[("Allowlist_key", "LOG"), ("Whitelist_key", "m")], &[r#"{"log":"x","m":{"host":2}}"#]),
            (&[("Remove_key", "*")], &[]),
            (&[("Remove_key", "*"), ("Record", "a b")], &[r#"{"a":"b"}"#]),
            (&[("Remove_key", "log"), ("Record", "log y")], &[r#"{"Host":"h","hostname":1,"m":{"host":2},"log":"y"}"#]),
            (&[], &[r]),
        ];
        for (conf, expected) in table {
            check(&PLUGIN, conf, &[r], expected);
        }
        check(&PLUGIN, &[("Remove_key", "a")], &["{}", r#"{"a":1}"#], &["{}"]);
    }

    #[test]
    fn findings() {
        let said = said(&PLUGIN, &[("Record", "host a b"), ("Record", "x y")]);
        assert!(said.contains("invalid record parameters, expects 'KEY VALUE'"), "{said}");
        check(&PLUGIN, &[("Record", "host a b"), ("Record", "x y")], &["{}"], &[r#"{"x":"y"}"#]);
        let why = refused(&PLUGIN, &[("Remove_key", "a"), ("Allowlist_key", "b")]);
        assert!(why.contains("remove_keys and allowlist_keys are exclusive"), "{why}");
    }

    #[test]
    fn uuids_are_of_version_four_and_differ() {
        let form = Regex::new(r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$").unwrap();
        let mut uuids = Uuids::default();
        let all: std::collections::HashSet<_> = (0..1000).map(|_| uuids.next()).collect();
        assert_eq!(all.len(), 1000);
        assert!(all.iter().all(|u| form.is_match(u)), "{all:?}");
        assert_ne!(Uuids::default().next(), Uuids::default().next());
        let mut b = batch("t", &[r#"{"a":1}"#]);
        apply(&mut *instance(&PLUGIN, &[("Uuid_key", "id")]), &mut b, &mut FilterCx::new(Time(0)));
        assert!(json(b.body(0)).starts_with(r#"{"a":1,"id":""#));
    }
}
