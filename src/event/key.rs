//! Keys of maps, interned once per process like the symbols of a compiler.
//!
//! A key is a number; its name and its ready-made JSON form `"name":` are looked up without hashing. The table only
//! grows and is bounded: once [`DYNAMIC_MAX`] names came out of data, further ones stay in their batch's arena
//! (a *local* key), so that hostile input with ever-new keys cannot grow the process.

use crate::util::short::Short;
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{LazyLock, Mutex};

/// Names that data may add to the table; names from configuration always fit.
pub const DYNAMIC_MAX: usize = 12 * 1024;
/// Longer names stay local, in bytes.
pub const NAME_MAX: usize = 256;
const TABLE_MAX: usize = 64 * 1024;
const LOCAL: u32 = 1 << 31;

/// The name of a field: an index into the process-wide table, or a place in the batch's arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u32);

struct Info {
    name: &'static [u8],
    /// `"name":` with escapes, or empty when the name is not printable ASCII (its form depends on the output's settings).
    json: &'static [u8],
    /// `"name":"`, as it stands before a text; none for names that are long or have no `json`.
    ready: Option<Short>,
}

/// By number; null where no key has it yet.
static TABLE: [AtomicPtr<Info>; TABLE_MAX] = [const { AtomicPtr::new(ptr::null_mut()) }; TABLE_MAX];

static NAMES: LazyLock<Mutex<FxHashMap<&'static [u8], Key>>> = LazyLock::new(Mutex::default);

thread_local! {
    static CACHE: RefCell<FxHashMap<&'static [u8], Key>> = RefCell::new(FxHashMap::default());
}

impl Key {
    /// The key of array elements; its name is empty.
    pub const NONE: Self = Self(u32::MAX);

    /// The key of a name that stands in the configuration or the program.
    ///
    /// # Panics
    /// When the configuration holds more than 50,000 distinct names.
    pub fn of(name: &str) -> Self {
        match Self::insert(name.as_bytes(), TABLE_MAX) {
            Some(key) => key,
            None => panic!("more than {TABLE_MAX} distinct keys in the configuration"),
        }
    }

    /// The key of a name that came with data; `None` when the name has to stay local.
    pub fn intern(name: &[u8]) -> Option<Self> {
        if name.len() > NAME_MAX { None } else { Self::insert(name, DYNAMIC_MAX) }
    }

    /// A local key: its name is length-prefixed (4 bytes, little endian) at `at` in the batch's arena.
    pub(crate) fn local(at: u32) -> Self {
        Self(LOCAL | (at & !LOCAL))
    }

    /// The arena offset of a local key.
    #[inline]
    pub(super) fn local_at(self) -> Option<u32> {
        (self.0 & LOCAL != 0 && self != Self::NONE).then_some(self.0 & !LOCAL)
    }

    /// A number of its own, small for interned keys: for tables about keys.
    #[inline]
    pub fn number(self) -> u32 {
        self.0
    }

    /// Whether the name stands in one batch only, so that nothing may be remembered about this key beyond that batch.
    pub fn is_local(self) -> bool {
        self.local_at().is_some()
    }

    /// The name of an interned key; empty for local keys and [`Key::NONE`].
    #[inline]
    pub fn name(self) -> &'static [u8] {
        self.info().map_or(b"", |i| i.name)
    }

    /// `"name":`, ready to copy; `None` when it has to be written with escapes.
    #[inline]
    pub fn json(self) -> Option<&'static [u8]> {
        self.info().map(|i| i.json).filter(|j| !j.is_empty())
    }

    /// `"name":"`, to be copied as a whole; `None` when the name is long or has to be written with escapes.
    #[inline]
    pub fn ready(self) -> Option<&'static Short> {
        self.info()?.ready.as_ref()
    }

    #[inline]
    #[allow(unsafe_code)]
    fn info(self) -> Option<&'static Info> {
        let info = TABLE.get(self.0 as usize)?.load(Ordering::Acquire);
        // SAFETY: it is null or was leaked by `insert`, which stores it whole; nobody changes it after that.
        unsafe { info.as_ref() }
    }

    fn insert(name: &[u8], max: usize) -> Option<Self> {
        CACHE.with_borrow_mut(|cache| {
            if let Some(&key) = cache.get(name) {
                return Some(key);
            }
            let mut names = NAMES.lock().unwrap_or_else(|e| e.into_inner());
            let (name, key) = match names.get_key_value(name) {
                Some((&name, &key)) => (name, key),
                None if names.len() < max => {
                    // Names live as long as the process: the table is bounded, so this is not a leak that grows.
                    let name: &'static [u8] = Box::leak(name.to_vec().into_boxed_slice());
                    let json: &'static [u8] = Box::leak(json_form(name).into_boxed_slice());
                    let ready = if json.is_empty() { None } else { Short::new(&[json, b"\""].concat()) };
                    let key = Self(names.len() as u32);
                    if let Some(place) = TABLE.get(names.len()) {
                        place.store(Box::leak(Box::new(Info { name, json, ready })), Ordering::Release);
                    }
                    names.insert(name, key);
                    (name, key)
                }
                None => return None,
            };
            cache.insert(name, key);
            Some(key)
        })
    }
}

/// `"name":` for names of printable ASCII, else nothing.
fn json_form(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if name.iter().all(|b| (0x20..0x7f).contains(b)) {
        out.push(b'"');
        for &b in name {
            if b == b'"' || b == b'\\' {
                out.push(b'\\');
            }
            out.push(b);
        }
        out.extend_from_slice(b"\":");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_have_equal_keys() {
        let a = Key::of("host");
        assert_eq!(Key::intern(b"host"), Some(a));
        assert_ne!(Key::of("hosts"), a);
        assert_eq!(a.name(), b"host");
        assert_eq!(a.json(), Some(&b"\"host\":"[..]));
        assert_eq!(a.ready().map(|r| r.filled().split_at(r.len()).0), Some(&b"\"host\":\""[..]));
        assert!(Key::of("twenty-seven bytes together").ready().is_some());
        assert!(Key::of("twenty-eight bytes together.").ready().is_none() && Key::of("é").ready().is_none());
        assert_eq!(Key::of("a\"b").json(), Some(&b"\"a\\\"b\":"[..]));
        assert_eq!(Key::of("é").json(), None);
        assert_eq!(Key::NONE.name(), b"");
    }

    #[test]
    fn keys_are_the_same_in_every_thread() {
        let a = Key::of("from-main");
        let b = std::thread::spawn(|| Key::of("from-main")).join().unwrap();
        assert_eq!(a, b);
    }

    #[test]
    fn long_names_stay_local() {
        assert_eq!(Key::intern(&[b'x'; NAME_MAX + 1]), None);
        assert_eq!(Key::local(77).local_at(), Some(77));
        assert_eq!(Key::NONE.local_at(), None);
        assert_eq!(Key::of("host").local_at(), None);
        assert!(Key::local(77).is_local() && !Key::of("host").is_local() && !Key::NONE.is_local());
    }
}
