//! Entries become records: their fields, and the unit's name in the tag.

use super::files::Opened;
use super::pages::{Paged, Pages};
use super::{FilterType, SystemdConf};
use crate::event::{Batch, Key, Kind, Source, Tag};
use crate::fmt::journal::Damage;
use crate::time::Time;
use memchr::memchr;
use std::collections::HashMap;

/// The most of one entry that is read, in bytes.
const MAX_ENTRY: usize = 16 << 20;
/// Units whose tags are kept.
const MAX_TAGS: usize = 4096;
/// What stands for the unit of an entry without one, as in Fluent Bit.
const UNKNOWN: &[u8] = b"unknown";

/// Makes records.
#[derive(Debug)]
pub(super) struct Records {
    filters: Vec<Vec<u8>>,
    all_must_match: bool,
    max_fields: usize,
    lowercase: bool,
    strip: bool,
    tag: Tag,
    is_dynamic: bool,
    tags: HashMap<Vec<u8>, Tag>,
    /// The fields of the entry at hand one behind the other; where each begins, its `=`, and where it ends.
    text: Vec<u8>,
    fields: Vec<(usize, usize, usize)>,
    name: Vec<u8>,
    keys: Vec<Key>,
    /// Why a field of the entry at hand was left out.
    pub(super) left_out: Option<Damage>,
}

impl Records {
    pub(super) fn new(conf: &SystemdConf, tag: &Tag) -> Self {
        Self {
            filters: conf.systemd_filter.values().map(|f| f.as_bytes().to_vec()).collect(),
            all_must_match: conf.systemd_filter_type == FilterType::And,
            max_fields: conf.max_fields,
            lowercase: conf.lowercase,
            strip: conf.strip_underscores,
            is_dynamic: tag.contains('*'),
            tag: tag.clone(),
            tags: HashMap::new(),
            text: Vec::new(),
            fields: Vec::new(),
            name: Vec::new(),
            keys: Vec::new(),
            left_out: None,
        }
    }

    /// Reads the fields of the entry in the head of a file. Answers the tag of its record; `None` when the filters do not want
    /// it.
    pub(super) fn read(&mut self, opened: &Opened, pages: &mut Pages) -> Option<Tag> {
        self.text.clear();
        self.fields.clear();
        self.left_out = None;
        self.text.shrink_to(MAX_ENTRY / 16);
        for at in &opened.head.items {
            if self.text.len() > MAX_ENTRY {
                self.left_out = Some(Damage::Long(self.text.len() as u64));
                break;
            }
            let begin = self.text.len();
            let mut source = Paged { pages, file: &opened.file, key: opened.key };
            if let Err(damage) = opened.journal.data(&mut source, *at, &mut self.text) {
                self.left_out = Some(damage);
                continue;
            }
            match memchr(b'=', self.text.get(begin..).unwrap_or_default()) {
                Some(equals) if equals > 0 => self.fields.push((begin, begin + equals, self.text.len())),
                _ => {
                    self.text.truncate(begin);
                    self.left_out = Some(Damage::Object(*at));
                }
            }
        }
        let has = |filter: &Vec<u8>| self.fields.iter().any(|f| self.text.get(f.0..f.2) == Some(filter));
        let is_wanted = match (self.filters.is_empty(), self.all_must_match) {
            (true, _) => true,
            (false, true) => self.filters.iter().all(has),
            (false, false) => self.filters.iter().any(has),
        };
        is_wanted.then(|| self.tag())
    }

    fn tag(&mut self) -> Tag {
        if !self.is_dynamic {
            return self.tag.clone();
        }
        let unit = self.fields.iter().find(|f| self.text.get(f.0..f.1) == Some(b"_SYSTEMD_UNIT"));
        let unit = unit.and_then(|f| self.text.get(f.1 + 1..f.2)).unwrap_or(UNKNOWN);
        if let Some(tag) = self.tags.get(unit) {
            return tag.clone();
        }
        let text = String::from_utf8_lossy(unit.get(..256).unwrap_or(unit));
        let tag = Tag::new(&self.tag.replacen('*', &text, 1));
        if self.tags.len() >= MAX_TAGS {
            self.tags.clear();
        }
        self.tags.insert(unit.to_vec(), tag.clone());
        tag
    }

    /// Writes the record of the entry that was read. A name that stands there several times has an array.
    pub(super) fn write(&mut self, opened: &Opened, batch: &mut Batch) {
        let mark = batch.begin();
        self.keys.clear();
        let fields = self.fields.get(..self.max_fields).unwrap_or(&self.fields);
        for (from, equals, _) in fields {
            let name = self.text.get(*from..*equals).unwrap_or_default();
            let name = if self.strip { name.strip_prefix(b"_").unwrap_or(name) } else { name };
            let key = if self.lowercase {
                self.name.clear();
                self.name.extend(name.iter().map(u8::to_ascii_lowercase));
                batch.key(&self.name)
            } else {
                batch.key(name)
            };
            self.keys.push(key);
        }
        let value = |field: &(usize, usize, usize)| self.text.get(field.1 + 1..field.2).unwrap_or_default();
        for (n, field) in fields.iter().enumerate() {
            let Some(&key) = self.keys.get(n) else { break };
            if self.keys.iter().take(n).any(|k| *k == key) {
                continue;
            }
            let more = || self.keys.iter().zip(fields).skip(n + 1).filter(|(k, _)| **k == key).map(|(_, f)| f);
            let count = more().count() as u32;
            if count == 0 {
                batch.push_text(key, value(field));
                continue;
            }
            let opened = batch.open(key, Kind::Array);
            batch.push_text(Key::NONE, value(field));
            more().for_each(|field| batch.push_text(Key::NONE, value(field)));
            batch.close(opened, count + 1);
        }
        let micros = i64::try_from(opened.head.realtime).unwrap_or(i64::MAX);
        // The place of an entry is the same when it is read again, also after its file was renamed.
        let print = opened.id().0.iter().fold(0u64, |sum, b| sum.rotate_left(5) ^ u64::from(*b));
        batch.set_source(Source { dev: opened.inode.0, ino: opened.inode.1, print, base: opened.next });
        batch.finish_at(mark, Time(micros.saturating_mul(1000)), opened.next);
    }

    /// The length of the entry that was read, in bytes.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }
}
