//! Turning the key names of JSON objects into keys: predicted from the record before, else from a small cache.

use super::scan::word;
use crate::event::Key;

/// Names that one reader remembers; further ones are looked up in the process-wide table each time.
const MAX: usize = 256;
/// Buckets of the hash index, a power of two; names that fall together displace each other.
const BUCKETS: usize = 512;

/// A remembered name.
#[derive(Debug)]
struct Slot {
    /// The first eight bytes of `name"` and which of them count.
    head: u64,
    mask: u64,
    /// `name"`: a match takes the closing quote along.
    quoted: Box<[u8]>,
    key: Key,
    /// The slot that came next when this name was last seen.
    next: u16,
}

/// Keys that one reader has seen. Records of one source mostly have the same keys in the same order, so the key that
/// followed last time is compared first, without hashing.
#[derive(Debug)]
pub struct KeyCache {
    /// Slot 0 stands for the start of a record and matches nothing.
    slots: Vec<Slot>,
    index: Vec<u16>,
    last: u16,
}

impl Default for KeyCache {
    fn default() -> Self {
        let start = Slot { head: 1, mask: 0, quoted: Box::default(), key: Key::NONE, next: 0 };
        Self { slots: vec![start], index: Vec::new(), last: 0 }
    }
}

impl KeyCache {
    /// A record begins: its first key is predicted next.
    #[inline]
    pub fn restart(&mut self) {
        self.last = 0;
    }

    /// The predicted key, when `text` goes on at `at` with its name and a closing quote; and where to go on.
    #[inline]
    pub fn predict(&mut self, text: &[u8], at: usize) -> Option<(Key, usize)> {
        let next = self.slots.get(usize::from(self.last))?.next;
        let slot = self.slots.get(usize::from(next))?;
        if word(text, at) & slot.mask != slot.head {
            return None;
        }
        if slot.quoted.len() > 8 && !text.get(at..).is_some_and(|t| t.starts_with(&slot.quoted)) {
            return None;
        }
        self.last = next;
        Some((slot.key, at + slot.quoted.len()))
    }

    /// [`KeyCache::look_up`] for formats that give a name's length first: the predicted name is compared before hashing.
    #[inline]
    pub fn name(&mut self, name: &[u8]) -> Option<Key> {
        let next = self.slots.get(usize::from(self.last)).map_or(0, |s| s.next);
        match self.slots.get(usize::from(next)) {
            Some(slot) if slot.quoted.split_last().is_some_and(|(_, known)| known == name) => {
                self.last = next;
                Some(slot.key)
            }
            _ => self.look_up(name),
        }
    }

    /// The key of a name as it stands in the source, without escapes; `None` when it has to stay local to its batch.
    pub fn look_up(&mut self, name: &[u8]) -> Option<Key> {
        let bucket = hash(name) & (BUCKETS - 1);
        let found = self.index.get(bucket).copied().unwrap_or(0);
        let known = |s: &Slot| s.quoted.len() == name.len() + 1 && s.quoted.starts_with(name);
        let slot = match self.slots.get(usize::from(found)).filter(|s| known(s)) {
            Some(_) => found,
            None => self.remember(name, bucket)?,
        };
        if slot == 0 {
            return Key::intern(name);
        }
        if let Some(last) = self.slots.get_mut(usize::from(self.last)) {
            last.next = slot;
        }
        self.last = slot;
        self.slots.get(usize::from(slot)).map(|s| s.key)
    }

    /// Takes `name` into the cache and returns its slot, 0 when the cache is full.
    fn remember(&mut self, name: &[u8], bucket: usize) -> Option<u16> {
        let key = Key::intern(name)?;
        // A displaced name may still have its slot.
        let slot = match self.slots.iter().position(|s| s.key == key) {
            Some(old) => old,
            None if self.slots.len() > MAX => return Some(0),
            None => {
                let quoted: Box<[u8]> = [name, b"\""].concat().into();
                let mask = if quoted.len() < 8 { (1 << (8 * quoted.len())) - 1 } else { u64::MAX };
                self.slots.push(Slot { head: word(&quoted, 0), mask, quoted, key, next: 0 });
                self.slots.len() - 1
            }
        };
        self.index.resize(BUCKETS, 0);
        if let Some(entry) = self.index.get_mut(bucket) {
            *entry = slot as u16;
        }
        Some(slot as u16)
    }
}

fn hash(name: &[u8]) -> usize {
    let tail = word(name, name.len().saturating_sub(8));
    let mixed = (word(name, 0) ^ tail.rotate_left(29) ^ name.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 40) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cache: &mut KeyCache, name: &str) -> Key {
        let source = format!("{name}\":1}}");
        if let Some((key, at)) = cache.predict(source.as_bytes(), 0) {
            assert_eq!(at, name.len() + 1, "{name}");
            return key;
        }
        if name.len().is_multiple_of(2) {
            return cache.name(name.as_bytes()).unwrap();
        }
        cache.look_up(name.as_bytes()).unwrap()
    }

    #[test]
    fn every_order_of_names_gives_the_right_keys() {
        let names = ["log", "stream", "time", "lo", "log_level_long", "log_level_lone", "", "eight888", "seven77"];
        let mut cache = KeyCache::default();
        for round in 0..50 {
            cache.restart();
            for n in 0..names.len() {
                let name = names[(n * (round % 4 + 1) + round) % names.len()];
                assert_eq!(read(&mut cache, name), Key::of(name), "{name}");
            }
        }
    }

    #[test]
    fn the_second_record_is_predicted() {
        let mut cache = KeyCache::default();
        for _ in 0..2 {
            cache.restart();
            for name in ["log", "stream", "kubernetes"] {
                read(&mut cache, name);
            }
        }
        cache.restart();
        assert_eq!(cache.predict(b"log\":", 0), Some((Key::of("log"), 4)));
        assert_eq!(cache.predict(b"stream\"", 0), Some((Key::of("stream"), 7)));
        assert_eq!(cache.predict(b"kubernetes\" : ", 0), Some((Key::of("kubernetes"), 11)));
        cache.restart();
        assert_eq!(cache.predict(b"logs\"", 0), None);
        assert_eq!(cache.predict(b"log", 0), None, "the name alone is not enough");
    }

    #[test]
    fn more_names_than_fit_still_work() {
        let mut cache = KeyCache::default();
        for round in 0..3 {
            cache.restart();
            for n in 0..2 * MAX {
                let name = format!("cache-overflow-{n}");
                assert_eq!(read(&mut cache, &name), Key::of(&name), "{round} {name}");
            }
        }
        assert!(cache.slots.len() <= MAX + 1);
        assert_eq!(cache.look_up(&[b'x'; 300]), None, "long names stay local");
    }
}
