//! The writer's side of chunk files: appending with a bounded number of open files, removing, reading.

use super::chunk_file::SIZE_MAX;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How many files stay open.
pub const OPEN_MAX: usize = 32;
/// How many emptied files are kept for the next chunks: finding a new inode costs more than writing to it.
const SPARE_MAX: usize = 3;
/// How the names of emptied files begin.
pub const SPARE: &str = ".spare-";

/// The files that are written to; the ones written to last stay open. All calls block.
#[derive(Debug, Default)]
pub struct Files {
    /// The one used last stands last.
    open: Vec<(PathBuf, File)>,
    /// Emptied files, under hidden names.
    spare: Vec<(PathBuf, File)>,
}

impl Files {
    /// Appends `bytes` to a file of `expected_len` bytes, which is made, with its folder, when that is 0. With `sync` the
    /// bytes, and a new file's name, are on the disk when this returns.
    ///
    /// A longer file is cut to `expected_len` first: what stands there was torn, or never acknowledged.
    ///
    /// # Errors
    /// What the system says; then the file is as long as it was, or not there when it was to be made, if the system
    /// lets that be done.
    pub fn append(&mut self, path: &Path, expected_len: u64, bytes: &[u8], sync: bool) -> io::Result<()> {
        let file = match self.take(path) {
            Some(file) if expected_len > 0 => file,
            _ if expected_len == 0 => self.create(path)?,
            _ => reopen(path, expected_len)?,
        };
        self.write(path, file, expected_len, bytes, sync)
    }

    fn write(&mut self, path: &Path, file: File, at: u64, bytes: &[u8], sync: bool) -> io::Result<()> {
        let mut written = file.write_all_at(bytes, at);
        if sync {
            written = written.and_then(|()| file.sync_data());
            written = written.and_then(|()| if at == 0 { sync_names(path) } else { Ok(()) });
        }
        match written {
            Ok(()) => self.keep(path, file),
            // What could not be written or brought to the disk did not happen. The error that counts is the first.
            Err(_) if at == 0 => drop(fs::remove_file(path)),
            Err(_) => drop(file.set_len(at)),
        }
        written
    }

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says; that there is no such file is none.
    pub fn remove(&mut self, path: &Path) -> io::Result<()> {
        if let Some(file) = self.take(path)
            && self.spare.len() < SPARE_MAX
            && let Some(to) = self.spare_name(path)
            && fs::rename(path, &to).is_ok()
        {
            match file.set_len(0) {
                Ok(()) => self.spare.push((to, file)),
                Err(_) => return fs::remove_file(to),
            }
            return Ok(());
        }
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Closes a file that nothing will be appended to soon.
    pub fn close(&mut self, path: &Path) {
        self.take(path);
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// What the system says, or that it is larger than [`SIZE_MAX`].
    pub fn read(path: &Path) -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut bytes = Vec::new();
        if size <= SIZE_MAX {
            bytes.reserve_exact(size as usize + 1);
            (&file).take(SIZE_MAX + 1).read_to_end(&mut bytes)?;
        }
        if size.max(bytes.len() as u64) > SIZE_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {} MiB", SIZE_MAX >> 20)));
        }
        Ok(bytes)
    }

    /// Removes what is kept for later chunks.
    pub fn clear(&mut self) {
        for (path, _) in self.spare.drain(..) {
            // An empty file with a hidden name is in nobody's way.
            let _ = fs::remove_file(path);
        }
    }

    /// A free name beside `path`; one that a former run left there is replaced.
    fn spare_name(&self, path: &Path) -> Option<PathBuf> {
        (0..SPARE_MAX)
            .map(|n| path.with_file_name(format!("{SPARE}{n}")))
            .find(|name| self.spare.iter().all(|(used, _)| used != name))
    }

    fn create(&mut self, path: &Path) -> io::Result<File> {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        if let Some((from, file)) = self.spare.pop() {
            if renameat_with(CWD, &from, CWD, path, RenameFlags::NOREPLACE).is_ok() {
                return Ok(file);
            }
            let _ = fs::remove_file(from);
        }
        create(path)
    }

    fn take(&mut self, path: &Path) -> Option<File> {
        let at = self.open.iter().rposition(|(p, _)| p == path)?;
        Some(self.open.remove(at).1)
    }

    fn keep(&mut self, path: &Path, file: File) {
        if self.open.len() >= OPEN_MAX {
            self.open.remove(0);
        }
        self.open.push((path.to_owned(), file));
    }
}

/// Makes a file that only this user may read: logs hold what is nobody else's business.
fn create(path: &Path) -> io::Result<File> {
    let make = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match (make(), path.parent()) {
        (Err(e), Some(dir)) if e.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
            make()
        }
        (made, _) => made,
    }
}

fn reopen(path: &Path, expected_len: u64) -> io::Result<File> {
    let file = OpenOptions::new().write(true).open(path)?;
    let len = file.metadata()?.len();
    if len < expected_len {
        let why = format!("it has {len} bytes, {expected_len} were written: another program has shortened it");
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
    }
    if len > expected_len {
        file.set_len(expected_len)?;
    }
    Ok(file)
}

/// Brings the name of a new file to the disk, and that of its folder, which may be new too.
fn sync_names(path: &Path) -> io::Result<()> {
    let Some(dir) = path.parent() else { return Ok(()) };
    File::open(dir)?.sync_all()?;
    match dir.parent() {
        Some(above) if above != Path::new("") => File::open(above)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::Dir;

    #[test]
    fn files_are_made_and_grow() {
        let dir = Dir::new("grow");
        let path = dir.0.join("tail.0/1-2.3.flb");
        let mut files = Files::default();
        files.append(&path, 0, b"one", true).unwrap();
        files.append(&path, 3, b"two", false).unwrap();
        files.close(&path);
        files.append(&path, 6, b"three", true).unwrap();
        assert_eq!(Files::read(&path).unwrap(), b"onetwothree");
        // What was torn is overwritten, all of it.
        files.close(&path);
        files.append(&path, 3, b"2", false).unwrap();
        assert_eq!(Files::read(&path).unwrap(), b"one2");
        files.remove(&path).unwrap();
        files.remove(&path).unwrap();
        assert_eq!(Files::read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn emptied_files_are_used_again() {
        let dir = Dir::new("spare");
        let path = |n: usize| dir.0.join(format!("in/{n}"));
        let names = || fs::read_dir(dir.0.join("in")).unwrap().count();
        let mut files = Files::default();
        for n in 0..10 {
            files.append(&path(n), 0, b"long before", false).unwrap();
        }
        (0..9).for_each(|n| files.remove(&path(n)).unwrap());
        assert_eq!(names(), 1 + SPARE_MAX);
        files.append(&path(10), 0, b"short", true).unwrap();
        assert_eq!((Files::read(&path(10)).unwrap().as_slice(), names()), (&b"short"[..], 1 + SPARE_MAX));
        assert_eq!(files.append(&path(9), 0, b"x", false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        files.clear();
        assert_eq!(names(), 2);
    }

    #[test]
    fn wrong_lengths_are_refused() {
        let dir = Dir::new("wrong");
        let path = dir.0.join("f");
        let mut files = Files::default();
        assert!(files.append(&path, 5, b"x", false).is_err(), "nothing to append to");
        files.append(&path, 0, b"four", false).unwrap();
        assert_eq!(files.append(&path, 0, b"x", false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let short = files.append(&path, 9, b"x", false).unwrap_err();
        assert!(short.to_string().contains("it has 4 bytes, 9 were written"), "{short}");
        assert_eq!(Files::read(&path).unwrap(), b"four");
    }

    #[test]
    fn few_files_stay_open() {
        let dir = Dir::new("many");
        let path = |n: usize| dir.0.join(format!("in/{n}"));
        let mut files = Files::default();
        for n in 0..100 {
            files.append(&path(n), 0, b"a", false).unwrap();
        }
        assert_eq!(files.open.len(), OPEN_MAX);
        for n in 0..100 {
            files.append(&path(n), 1, b"b", false).unwrap();
            assert_eq!(Files::read(&path(n)).unwrap(), b"ab");
        }
        assert_eq!(files.open.len(), OPEN_MAX);
        assert_eq!(files.open.last().unwrap().0, path(99));
    }

    #[test]
    fn a_failed_append_leaves_no_half() {
        let dir = Dir::new("full");
        let path = dir.0.join("f");
        let mut files = Files::default();
        files.append(&path, 0, b"whole", false).unwrap();
        let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
        files.open[0].1 = full();
        let why = files.append(&path, 5, b"half", false).unwrap_err();
        assert_eq!(why.kind(), io::ErrorKind::StorageFull);
        assert!(files.open.is_empty(), "it is not used again");
        files.append(&path, 5, b", again", false).unwrap();
        assert_eq!(Files::read(&path).unwrap(), b"whole, again");
        let new = dir.0.join("g");
        fs::write(&new, b"half").unwrap();
        assert!(files.write(&new, full(), 0, b"half more", false).is_err());
        assert!(!new.exists());
    }

    #[test]
    fn only_the_owner_may_read() {
        use std::os::unix::fs::PermissionsExt;
        let dir = Dir::new("mode");
        let path = dir.0.join("in/f");
        Files::default().append(&path, 0, b"x", false).unwrap();
        let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path) & 0o77, mode(&dir.0.join("in")) & 0o77), (0, 0));
    }
}
