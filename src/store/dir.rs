//! The folder of chunk files: `<storage.path>/<input>/<pid>-<seconds>.<nanoseconds>.flb`, as Fluent Bit lays it out.

use super::files::SPARE;
use crate::util::sort;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::cmp::Ordering;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where damaged files go, below `storage.path`.
pub const QUARANTINE: &str = "quarantine";
/// What names of files with rejected records begin with.
const REJECTED: &str = "rejected";
const LOCK: &str = ".lock";

/// A chunk file that was found. There may be many: what they share is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    folder: Arc<Path>,
    name: Box<str>,
    /// The input that its folder is named after.
    pub input: Arc<str>,
    /// Its length in bytes.
    pub size: u64,
    /// When it was made, in nanoseconds since 1970, as its name has it.
    pub order: u64,
}

impl Found {
    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&*self.name)
    }

    /// Its name without the folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn cmp(&self, other: &Self) -> Ordering {
        let key = |f: &Self| (f.order, f.input.clone(), f.name.clone());
        self.order.cmp(&other.order).then_with(|| key(self).cmp(&key(other)))
    }
}

/// The file for a chunk of an input.
pub fn chunk_path(root: &Path, input: &str, name: &str) -> PathBuf {
    root.join(folder_name(input)).join(name)
}

/// The name for a chunk that was begun by this process, at a number of nanoseconds since 1970 that no other has.
pub fn chunk_name(created: u64) -> String {
    format!("{}-{}.{:09}.flb", std::process::id(), created / 1_000_000_000, created % 1_000_000_000)
}

/// The time in the name of a chunk file, in nanoseconds since 1970; `None` when it is no such name.
fn order(name: &str) -> Option<u64> {
    let digits = |s: &str, max| (1..=max).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
    let (pid, time) = name.strip_suffix(".flb")?.split_once('-')?;
    let (secs, nanos) = time.split_once('.')?;
    // Fluent Bit pads small numbers with blanks.
    let nanos = nanos.trim_start_matches(' ');
    if !digits(pid, 10) || !digits(secs, 19) || !digits(nanos, 9) {
        return None;
    }
    secs.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos.parse().ok()?)
}

/// The folder of an input: its name, but for what a file's name cannot hold and what has another meaning here.
fn folder_name(input: &str) -> String {
    let reserved = [QUARANTINE, "%"].contains(&input) || input.starts_with(REJECTED) || input.starts_with('.');
    let mut name = String::with_capacity(input.len());
    for (i, c) in input.char_indices() {
        // What looks escaped.
        let escaped = c == '%' && input.as_bytes().get(i + 1..i + 3).is_some_and(|s| hex(s).is_some());
        if matches!(c, '/' | '\0') || escaped || (i == 0 && reserved) {
            name.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            name.push(c);
        }
    }
    if name.is_empty() { "%".to_owned() } else { name }
}

/// The input that a chunk file belongs to.
pub fn input_of(path: &Path) -> String {
    path.parent().and_then(Path::file_name).map_or_else(String::new, |folder| input_name(&folder.to_string_lossy()))
}

/// The input whose folder has this name.
fn input_name(folder: &str) -> String {
    let bytes = folder.as_bytes();
    let (mut name, mut i) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&b) = bytes.get(i) {
        match bytes.get(i + 1..i + 3).filter(|_| b == b'%').and_then(hex) {
            Some(escaped) => {
                name.push(escaped);
                i += 3;
            }
            None => {
                name.push(b);
                i += 1;
            }
        }
    }
    if folder == "%" { String::new() } else { String::from_utf8(name).unwrap_or_else(|_| folder.to_owned()) }
}

fn hex(two: &[u8]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    match two {
        &[high, low] => Some((digit(high)? << 4 | digit(low)?) as u8),
        _ => None,
    }
}

/// Finds the chunk files of all inputs, the oldest first, and says what stands there that is none. Nothing is touched but
/// the emptied files that a killed program kept for later chunks: they go.
pub fn scan(root: &Path) -> (Vec<Found>, Vec<String>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return (found, problems),
        Err(e) => return (found, vec![format!("cannot list '{}': {e}", root.display())]),
    };
    let mut stray = Strays::default();
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) => {
                problems.push(format!("cannot list '{}': {e}", root.display()));
                break;
            }
        };
        let name = entry.file_name();
        let shown = name.to_string_lossy();
        let ours = shown.starts_with('.') || shown == QUARANTINE || shown.starts_with(REJECTED);
        match entry.file_type() {
            _ if ours => {}
            Ok(kind) if kind.is_dir() => scan_folder(&entry.path(), &shown, &mut found, &mut problems),
            _ if order(&shown).is_some() => stray.add(&shown),
            _ => {}
        }
    }
    problems.extend(stray.said(root, "a chunk file belongs into the folder of its input"));
    sort::by(&mut found, Found::cmp);
    (found, problems)
}

fn scan_folder(path: &Path, name: &str, found: &mut Vec<Found>, problems: &mut Vec<String>) {
    let (folder, input): (Arc<Path>, Arc<str>) = (path.into(), input_name(name).into());
    let mut cannot = |e: io::Error| problems.push(format!("cannot list '{}': {e}", path.display()));
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) => return cannot(e),
    };
    let mut stray = Strays::default();
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) => return cannot(e),
        };
        let name = entry.file_name();
        let order = name.to_str().and_then(order);
        match (name.to_str(), order, entry.metadata()) {
            (Some(name), Some(order), Ok(meta)) if meta.is_file() => {
                let (folder, input) = (folder.clone(), input.clone());
                found.push(Found { folder, name: name.into(), input, size: meta.len(), order });
            }
            (Some(name), ..) if name.starts_with(SPARE) => _ = fs::remove_file(entry.path()),
            (Some(name), ..) if name.starts_with('.') => {}
            // Removed meanwhile.
            (_, _, Err(e)) if e.kind() == io::ErrorKind::NotFound => {}
            _ => stray.add(&name.to_string_lossy()),
        }
    }
    problems.extend(stray.said(path, "chunk files are named PID-SECONDS.NANOSECONDS.flb"));
}

/// Names that do not fit: how many, and one of them.
#[derive(Default)]
struct Strays {
    count: usize,
    one: Option<String>,
}

impl Strays {
    fn add(&mut self, name: &str) {
        self.count += 1;
        self.one.get_or_insert_with(|| name.to_owned());
    }

    fn said(self, path: &Path, rule: &str) -> Option<String> {
        let more = self.count.checked_sub(1)?;
        let and = if more > 0 { format!(" and {more} more") } else { String::new() };
        Some(format!("'{}'{and} stay as they are: {rule}", path.join(self.one?).display()))
    }
}

/// Moves a file to the folder of damaged ones, where it replaces none, and returns its new place.
///
/// # Errors
/// What the system says.
pub fn quarantine(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let to = root.join(QUARANTINE);
    make(&to)?;
    let part = |p: Option<&std::ffi::OsStr>| p.unwrap_or_default().to_string_lossy().into_owned();
    let name = format!("{}-{}", part(path.parent().and_then(Path::file_name)), part(path.file_name()));
    for n in 0.. {
        let free = to.join(if n == 0 { name.clone() } else { format!("{name}.{n}") });
        // Nobody else moves files here while this process has the lock.
        if fs::symlink_metadata(&free).is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
            fs::rename(path, &free)?;
            return Ok(free);
        }
        if n > 10_000 {
            break;
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("'{}' is full of files of this name", to.display())))
}

fn make(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// As long as this lives, no other process has the folder.
#[derive(Debug)]
#[must_use]
pub struct LockGuard {
    _file: File,
}

/// Takes the folder for this process alone; it is made, for this user alone, when it is missing.
///
/// # Errors
/// Why not, and what to do about it.
pub fn lock(root: &Path) -> Result<LockGuard, String> {
    let shown = root.display();
    let fix = "storage.path must name a folder that this user may write to";
    make(root).map_err(|e| format!("cannot make the folder '{shown}': {e}; {fix}"))?;
    let path = root.join(LOCK);
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = options.map_err(|e| format!("cannot open '{}': {e}; {fix}", path.display()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            let _ = (&file).take(20).read_to_string(&mut pid);
            let who = match pid.trim() {
                "" => "another process".to_owned(),
                pid => format!("process {pid}"),
            };
            return Err(format!(
                "'{shown}' is in use by {who}: stop that one, or give this one a storage.path of its own"
            ));
        }
        Err(e) => return Err(format!("cannot lock '{}': {e}; {fix}, on a file system with locks", path.display())),
    }
    let pid = format!("{}\n", std::process::id());
    let written = file.set_len(0).and_then(|()| file.write_all_at(pid.as_bytes(), 0));
    match written {
        // On a full disk the lock holds all the same.
        Err(e) if e.kind() != io::ErrorKind::StorageFull => {
            Err(format!("cannot write '{}': {e}; {fix}", path.display()))
        }
        _ => Ok(LockGuard { _file: file }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::Dir;
    use proptest::prelude::*;

    fn put(root: &Path, path: &str, bytes: &[u8]) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn files_are_found_oldest_first() {
        let dir = Dir::new("scan");
        let root = &dir.0;
        assert_eq!(scan(root), (vec![], vec![]), "no folder, no files");
        put(root, "tail.1/7-100.000000002.flb", b"abc");
        put(root, "tail.0/9-100.   3.flb", b"");
        put(root, "tail.0/12-99.999999999.flb", b"x");
        put(root, "a%2Fb/9-100.000000002.flb", b"x");
        put(root, "quarantine/tail.0-1-2.3.flb", b"");
        put(root, "rejected/1-2.3.flb", b"");
        put(root, "rejected.ndjson", b"");
        put(root, "tail.db", b"");
        put(root, ".lock", b"1\n");
        put(root, "tail.0/.spare-1", b"");
        put(root, "tail.0/.other", b"");
        let (found, problems) = scan(root);
        assert_eq!(problems, [""; 0]);
        assert_eq!(["tail.0/.spare-1", "tail.0/.other"].map(|f| root.join(f).exists()), [false, true]);
        let short: Vec<_> = found.iter().map(|f| (&*f.input, f.name(), f.size, f.order)).collect();
        assert_eq!(
            short,
            [
                ("tail.0", "12-99.999999999.flb", 1, 99_999_999_999),
                ("a/b", "9-100.000000002.flb", 1, 100_000_000_002),
                ("tail.1", "7-100.000000002.flb", 3, 100_000_000_002),
                ("tail.0", "9-100.   3.flb", 0, 100_000_000_003),
            ]
        );
        assert_eq!(found[1].path(), root.join("a%2Fb/9-100.000000002.flb"));
        assert_eq!(chunk_path(root, "a/b", "9-100.000000002.flb"), found[1].path());
    }

    #[test]
    fn names_that_do_not_fit_are_said() {
        let dir = Dir::new("strays");
        let root = &dir.0;
        put(root, "1-2.3.flb", b"");
        put(root, "tail.0/notes.txt", b"");
        put(root, "tail.0/more.flb", b"");
        put(root, "tail.0/1-2.3.flb/inside", b"");
        put(root, "tail.0/5-6.7.flb", b"");
        std::os::unix::fs::symlink("5-6.7.flb", root.join("tail.0/5-6.8.flb")).unwrap();
        let (found, problems) = scan(root);
        assert_eq!(found.len(), 1);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems.iter().any(|p| p.contains("/1-2.3.flb' stay as they are: a chunk file belongs into")));
        assert!(problems.iter().any(|p| p.contains("/tail.0/") && p.contains("' and 3 more stay")), "{problems:?}");
        fs::write(root.join("file"), b"").unwrap();
        assert!(scan(&root.join("file")).1[0].starts_with("cannot list"));
    }

    #[test]
    fn names() {
        assert_eq!(order("1-1700000000.000000001.flb"), Some(1_700_000_000_000_000_001));
        assert_eq!(order(&chunk_name(1_700_000_000_000_000_001)), Some(1_700_000_000_000_000_001));
        for bad in ["1-2.3", "1-2.flb", "-2.3.flb", "1-.3.flb", "1-2..flb", "a-2.3.flb", "1-2.3.4.flb", "1--2.3.flb"] {
            assert_eq!(order(bad), None, "{bad}");
        }
        assert_eq!(order("1-9999999999999999999.1.flb"), None);
        assert_eq!(order("1-2.1234567890.flb"), None);
        for (input, folder) in [
            ("tail.0", "tail.0"),
            ("my input", "my input"),
            ("a/b\0c", "a%2Fb%00c"),
            ("..", "%2E."),
            (".lock", "%2Elock"),
            ("quarantine", "%71uarantine"),
            ("rejected.es", "%72ejected.es"),
            ("100%", "100%"),
            ("%41", "%2541"),
            ("", "%"),
            ("%", "%25"),
        ] {
            assert_eq!(folder_name(input), folder);
            assert_eq!(input_name(folder), input);
        }
        assert_eq!(input_name("%ff"), "%ff");
    }

    proptest! {
        #[test]
        fn every_input_has_a_folder_of_its_own(input in "[a%./\0é2F]{0,6}|quarantine|rejected.?") {
            let folder = folder_name(&input);
            prop_assert_eq!(input_name(&folder), input);
            prop_assert!(!folder.contains(['/', '\0']) && !folder.starts_with('.') && !folder.is_empty());
            prop_assert!(folder != QUARANTINE && !folder.starts_with(REJECTED));
        }
    }

    #[test]
    fn damaged_files_are_set_aside() {
        let dir = Dir::new("quarantine");
        for n in 0..3 {
            put(&dir.0, "tail.0/1-2.3.flb", format!("{n}").as_bytes());
            let to = quarantine(&dir.0, &dir.0.join("tail.0/1-2.3.flb")).unwrap();
            let name = ["tail.0-1-2.3.flb", "tail.0-1-2.3.flb.1", "tail.0-1-2.3.flb.2"][n];
            assert_eq!(to, dir.0.join("quarantine").join(name));
            assert_eq!(fs::read_to_string(&to).unwrap(), n.to_string());
        }
        assert!(!dir.0.join("tail.0/1-2.3.flb").exists());
        assert_eq!(scan(&dir.0), (vec![], vec![]));
    }

    #[test]
    fn one_process_has_the_folder() {
        use std::os::unix::fs::PermissionsExt;
        let dir = Dir::new("lock");
        let root = dir.0.join("deep");
        let guard = lock(&root).unwrap();
        assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
        let own = std::process::id();
        assert_eq!(fs::read_to_string(root.join(".lock")).unwrap(), format!("{own}\n"));
        let why = lock(&root).unwrap_err();
        assert!(why.contains(&format!("is in use by process {own}: stop that one, or give")), "{why}");
        drop(guard);
        fs::write(root.join(".lock"), b"12345678\n").unwrap();
        drop(lock(&root).unwrap());
        assert_eq!(fs::read_to_string(root.join(".lock")).unwrap(), format!("{own}\n"));
        let why = lock(&root.join(".lock")).unwrap_err();
        assert!(why.starts_with("cannot make the folder") && why.contains("storage.path must name"), "{why}");
    }

    #[test]
    fn many_files_take_little() {
        let dir = Dir::new("many-found");
        let folder = dir.0.join("tail.0");
        fs::create_dir_all(&folder).unwrap();
        for n in 0..2000u64 {
            fs::write(folder.join(format!("4242-{}.123456789.flb", 1_700_000_000 - n)), b"").unwrap();
        }
        let (found, _) = scan(&dir.0);
        assert_eq!(found.len(), 2000);
        assert!(found.is_sorted_by_key(|f| f.order));
        // A name on the heap besides.
        assert!(size_of::<Found>() <= 64);
        assert!(found.windows(2).all(|w| Arc::ptr_eq(&w[0].input, &w[1].input)));
    }
}
