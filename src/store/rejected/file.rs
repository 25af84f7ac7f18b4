//! Appending to the file of rejected records. Every call blocks: for a worker thread.

use rustix::fs::{FlockOperation, OFlags, flock};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file's name where only its directory is configured.
pub const NAME: &str = "rejected.ndjson";

/// How often the file may be moved away while one append is about to begin.
const MOVES: usize = 100;

/// The file of rejected records. It is opened for each append, and so may be moved away or removed at any time.
#[derive(Debug, Clone)]
pub struct RejectedFile {
    path: PathBuf,
    limit: u64,
    sync: bool,
}

impl RejectedFile {
    /// At `path`; a directory, or a path that ends in `/`, gets a file of the usual name. `limit` is the file's largest
    /// size in bytes, 0 for none. With `sync` an append ends when the disk has the lines.
    pub fn new(path: &Path, limit: u64, sync: bool) -> Self {
        let is_dir = path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/");
        Self { path: if is_dir { path.join(NAME) } else { path.to_owned() }, limit, sync }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends whole lines, all or none; makes the file (for its owner alone) and its directory when they are missing.
    ///
    /// # Errors
    /// Whatever the system says; also when the file would grow past its limit.
    pub fn append(&self, lines: &[u8]) -> Result<()> {
        let (mut file, made) = self.locked()?;
        let before = file.metadata()?.len();
        if self.limit > 0 && before.saturating_add(lines.len() as u64) > self.limit {
            let what = format!("it would grow past storage.rejected.limit ({} bytes)", self.limit);
            return Err(Error::new(ErrorKind::FileTooLarge, what));
        }
        // A line that a crash cut off must not swallow the next one.
        let mut last = [b'\n'];
        let torn = before > 0 && file.read_exact_at(&mut last, before - 1).is_ok() && last != [b'\n'];
        let written = if torn { file.write_all(&[b"\n", lines].concat()) } else { file.write_all(lines) };
        if let Err(e) = written {
            // Half a line is of no use to anybody; when this fails too, the next append closes it.
            let _ = file.set_len(before);
            return Err(e);
        }
        if self.sync {
            file.sync_data()?;
            if let Some(dir) = self.path.parent().filter(|_| made) {
                File::open(if dir.as_os_str().is_empty() { Path::new(".") } else { dir })?.sync_all()?;
            }
        }
        Ok(())
    }

    /// The file, locked against other appends until it is closed, and whether it is new.
    fn locked(&self) -> Result<(File, bool)> {
        for _ in 0..MOVES {
            let (file, made) = self.open()?;
            if !file.metadata()?.is_file() {
                return Err(Error::new(ErrorKind::InvalidInput, "it is no ordinary file"));
            }
            // A file system without locks is no reason to give up.
            let _ = flock(&file, FlockOperation::LockExclusive);
            // Somebody may have moved it away meanwhile, to send it again, and not look for more in it.
            let id = |m: &std::fs::Metadata| (m.dev(), m.ino());
            if std::fs::metadata(&self.path).is_ok_and(|now| file.metadata().is_ok_and(|own| id(&own) == id(&now))) {
                return Ok((file, made));
            }
        }
        Err(Error::other("it is moved away again and again"))
    }

    /// The open file, and whether it is new.
    fn open(&self) -> Result<(File, bool)> {
        let mut options = OpenOptions::new();
        // Non-blocking: opening a pipe that nobody reads must fail, not wait.
        options.append(true).read(true).mode(0o600).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        match options.open(&self.path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            opened => return opened.map(|file| (file, false)),
        }
        options.create(true);
        match (options.open(&self.path), self.path.parent()) {
            (Err(e), Some(dir)) if e.kind() == ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
                options.open(&self.path)
            }
            (opened, _) => opened,
        }
        .map(|file| (file, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    /// A folder that goes when the test ends.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("collector-rejected-{name}-{}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }

        fn file(&self, name: &str, limit: u64) -> RejectedFile {
            RejectedFile::new(&self.0.join(name), limit, true)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_file_comes_and_goes() {
        let dir = Dir::new("grows");
        let file = dir.file("deep/down/r.ndjson", 0);
        file.append(b"one\n").unwrap();
        file.append(b"two\nthree\n").unwrap();
        assert_eq!(fs::read(file.path()).unwrap(), b"one\ntwo\nthree\n");
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
        fs::rename(file.path(), dir.0.join("moved")).unwrap();
        file.append(b"four\n").unwrap();
        assert_eq!(fs::read(file.path()).unwrap(), b"four\n");
    }

    #[test]
    fn a_directory_gets_the_usual_name() {
        let dir = Dir::new("name");
        for path in [dir.0.clone(), dir.0.join("new/")] {
            let file = RejectedFile::new(&path, 0, false);
            file.append(b"x\n").unwrap();
            assert_eq!(file.path(), path.join(NAME));
            assert_eq!(fs::read(path.join(NAME)).unwrap(), b"x\n");
        }
    }

    #[test]
    fn the_limit_is_kept() {
        let dir = Dir::new("limit");
        let file = dir.file("r", 10);
        file.append(b"12345\n").unwrap();
        let e = file.append(b"12345\n").unwrap_err();
        assert_eq!(e.to_string(), "it would grow past storage.rejected.limit (10 bytes)");
        file.append(b"123\n").unwrap();
        assert_eq!(fs::read(file.path()).unwrap(), b"12345\n123\n");
    }

    #[test]
    fn a_torn_line_is_closed() {
        let dir = Dir::new("torn");
        let file = dir.file("r", 0);
        fs::write(file.path(), "{\"half").unwrap();
        file.append(b"whole\n").unwrap();
        assert_eq!(fs::read(file.path()).unwrap(), b"{\"half\nwhole\n");
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let dir = Dir::new("pipe");
        let file = dir.file("pipe", 0);
        rustix::fs::mknodat(rustix::fs::CWD, file.path(), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(file.append(b"x\n").is_err());
        assert!(RejectedFile::new(Path::new("/dev/null"), 0, false).append(b"x\n").is_err());
        let below = RejectedFile::new(&dir.0.join("pipe/below"), 0, false);
        assert!(below.append(b"x\n").is_err());
    }
}
