//! Open files: few at a time, and the right ones after somebody else rotated them.

use crate::rt::FdWriter;
use std::cell::RefCell;
use std::fs;
use std::io::{ErrorKind, Result};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Files held open at one time; the one unused for longest makes room.
const OPEN: usize = 64;

/// The files of one output.
#[derive(Debug, Default)]
pub(super) struct Handles(RefCell<Vec<Open>>);

#[derive(Debug)]
struct Open {
    path: PathBuf,
    device: u64,
    inode: u64,
    writer: Rc<FdWriter>,
}

impl Handles {
    /// The file at `path`, opened for appending; anew when the name no longer leads to the one that is open.
    pub(super) fn get(&self, path: &Path, mkdir: bool) -> Result<Rc<FdWriter>> {
        let mut open = self.0.borrow_mut();
        if let Some(at) = open.iter().position(|o| o.path == path) {
            let known = open.remove(at);
            if fs::metadata(path).is_ok_and(|m| (m.dev(), m.ino()) == (known.device, known.inode)) {
                let writer = known.writer.clone();
                open.push(known);
                return Ok(writer);
            }
        }
        if open.len() >= OPEN {
            open.remove(0);
        }
        let writer = Rc::new(match FdWriter::append(path) {
            Err(e) if e.kind() == ErrorKind::NotFound && mkdir => {
                if let Some(dir) = path.parent() {
                    fs::create_dir_all(dir)?;
                }
                FdWriter::append(path)?
            }
            opened => opened?,
        });
        let stat = rustix::fs::fstat(writer.fd())?;
        let (device, inode) = (stat.st_dev as _, stat.st_ino as _);
        open.push(Open { path: path.to_owned(), device, inode, writer: writer.clone() });
        Ok(writer)
    }

    /// Closes the file at `path`.
    pub(super) fn forget(&self, path: &Path) {
        self.0.borrow_mut().retain(|o| o.path != path);
    }

    /// Closes everything.
    pub(super) fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

/// How much is in the file; 0 for what is no regular file.
pub(super) fn size(file: &FdWriter) -> u64 {
    rustix::fs::fstat(file.fd()).map_or(0, |s| u64::try_from(s.st_size).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::Dir;
    use super::*;
    use crate::rt::run;

    fn write(handles: &Handles, path: &str, text: &str) {
        run(async {
            let file = handles.get(Path::new(path), false).unwrap();
            file.write_all(text.as_bytes(), &mut 0).await.unwrap();
        })
        .unwrap();
    }

    #[test]
    fn moved_and_removed_files_are_made_anew() {
        let (dir, handles) = (Dir::new(), Handles::default());
        let path = dir.path("a");
        write(&handles, &path, "1");
        write(&handles, &path, "2");
        fs::rename(&path, dir.path("b")).unwrap();
        write(&handles, &path, "3");
        assert_eq!((dir.read("b"), dir.read("a")), ("12".into(), "3".into()));
        fs::remove_file(&path).unwrap();
        write(&handles, &path, "4");
        assert_eq!(dir.read("a"), "4");
        fs::write(&path, "").unwrap();
        write(&handles, &path, "5");
        assert_eq!(dir.read("a"), "5", "truncated by another: appended at its new end");
    }

    #[test]
    fn few_files_are_open_at_one_time() {
        let (dir, handles) = (Dir::new(), Handles::default());
        for round in 0..2 {
            for n in 0..3 * OPEN {
                write(&handles, &dir.path(&n.to_string()), "x");
            }
            assert_eq!(handles.0.borrow().len(), OPEN, "{round}");
        }
        assert!((0..3 * OPEN).all(|n| dir.read(&n.to_string()) == "xx"));
    }

    #[test]
    fn directories_are_made_when_wanted() {
        let (dir, handles) = (Dir::new(), Handles::default());
        let path = dir.path("x/y/z");
        let path = Path::new(&path);
        assert_eq!(handles.get(path, false).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(size(&handles.get(path, true).unwrap()), 0);
    }
}
