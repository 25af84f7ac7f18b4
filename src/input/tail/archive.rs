//! Compressed files: each `.gz` that is new to this input is read once, from head to end, one after the other.
//!
//! Such a file is no stream that grows. The database remembers it as delivered (with its size as the offset) or not at
//! all: one that was interrupted is read again from its head.

use super::begin::Aside;
use super::begin::is_compressed;
use super::charset::Charset;
use super::decode::{Stand, Text};
use super::file::{FileId, Place, size_of};
use super::join::{Open, Which};
use super::ledger::Ledger;
use super::read::{Reader, STEP};
use super::state::{Grave, State};
use crate::event::{Source, Tag};
use crate::input::Ack;
use flate2::read::MultiGzDecoder;
use rustix::fs::Stat;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

/// A file written this short a time ago may not be complete.
const SETTLED: Duration = Duration::from_secs(1);
/// One that ends too early is taken as damaged when it was not written for this long.
const GIVEN_UP: Duration = Duration::from_secs(5);

/// The compressed files of one input.
#[derive(Debug, Default)]
pub struct Archives {
    /// Those to be read, the one being read first.
    queue: RefCell<VecDeque<Archive>>,
    /// Not read, as they hold what was read before it was compressed.
    rotated: Cell<u64>,
    /// Not read, as they were present at the start.
    old: Cell<u64>,
}

/// One file to be read.
#[derive(Debug)]
struct Archive {
    id: FileId,
    path: Rc<Path>,
    tag: Tag,
    ledger: Option<Rc<Ledger>>,
    awaited: bool,
    /// Not to be read before.
    due: Instant,
    /// Where in the text the next line begins.
    stand: Stand,
    /// The fingerprint of the text.
    print: u64,
    /// Lines with bytes that are no text were met with, and that was said.
    replaced: bool,
    /// The encoding is known.
    begun: bool,
    /// Records of several lines that are begun and not ended.
    open: Open,
    reading: Option<Box<Reading>>,
}

/// An open file and what was decompressed but not taken.
#[derive(Debug)]
struct Reading {
    decoder: MultiGzDecoder<File>,
    text: Vec<u8>,
    /// Bytes of text that were taken before the file was opened anew.
    skip: u64,
    size: u64,
}

/// How a step ended.
enum End {
    /// There is more.
    More,
    /// All is read.
    Done,
    /// The file ends too early: perhaps it is still being written.
    Short(io::Error),
}

impl State {
    /// A file named like a gzip file is new: reads it, or decides not to for good.
    pub fn meet_archive(&self, path: &Path, id: FileId, stat: &Stat, too_old: bool) {
        let (size, label, shown) = (size_of(stat), self.cx.label(), path.display());
        let set_aside = |ledger| self.set_aside(path, id, Aside { ledger, ..self.refused() });
        set_aside(None);
        let row = self.rows.borrow_mut().claim(id, path, self.conf.db_compare_filename);
        let own = row.as_ref().filter(|row| is_gzip(row.path()));
        let interrupted = own.is_some_and(|row| row.offset == 0);
        if own.is_some_and(|row| row.offset == size && size > 0) {
            let path: Rc<Path> = path.into();
            let ledger = self.ledger(id, &path, row.map(|row| row.id), size);
            return set_aside(ledger);
        }
        if too_old && !interrupted {
            return log::debug!("[{label}] '{shown}' is older than Ignore_Older: not read");
        }
        if !interrupted && let Some(plain) = self.plain_of(path) {
            let n = self.archives.rotated.get() + 1;
            self.archives.rotated.set(n);
            return log::info!(
                "[{label}] '{shown}' was rotated from '{}', which was read before it was compressed: not read again ({n} such files)",
                plain.display()
            );
        }
        let wanted = match self.started.get() {
            true => self.conf.read_newly_discovered_files_from_head,
            false => self.conf.read_from_head,
        };
        if !wanted && !interrupted {
            self.archives.old.set(self.archives.old.get() + 1);
            return log::debug!("[{label}] '{shown}' is compressed and not new: not read");
        }
        let Some(tag) = self.tag_of(path, id) else { return };
        let awaited = self.conf.exit_on_eof && !self.started.get();
        if awaited {
            self.awaited.set(self.awaited.get() + 1);
        }
        let path: Rc<Path> = path.into();
        let stand = Stand { charset: self.charset.unwrap_or(Charset::Plain), offset: 0, place: Place::Start };
        self.archives.queue.borrow_mut().push_back(Archive {
            id,
            tag,
            ledger: self.ledger(id, &path, row.map(|row| row.id), 0),
            path,
            awaited,
            due: if self.started.get() { Instant::now() + SETTLED } else { Instant::now() },
            stand,
            print: 0,
            replaced: false,
            begun: false,
            open: Open::default(),
            reading: None,
        });
        self.work.notify();
    }

    /// A compressed file that waits to be read has another name now.
    pub fn archive_renamed(&self, id: FileId, path: &Path) {
        if let Some(archive) = self.archives.queue.borrow_mut().iter_mut().find(|a| a.id == id)
            && *archive.path != *path
        {
            archive.path = path.into();
            if let Some(ledger) = &archive.ledger {
                ledger.rename(&archive.path, false);
            }
        }
    }

    /// Says how many compressed files were left alone at the start.
    pub fn report_archives(&self) {
        let n = self.archives.old.get();
        if n > 0 {
            log::info!(
                "[{}] {n} compressed files that were present at the start are not read: Read_from_Head is off",
                self.cx.label()
            );
        }
    }

    /// When the next compressed file is due.
    pub fn archive_due(&self) -> Option<Instant> {
        self.archives.queue.borrow().iter().map(|a| a.due).min()
    }

    /// One bounded step of the compressed file whose turn it is; what it committed, if it made records.
    pub fn step_archive(&self, reader: &mut Reader) -> Option<(Tag, Option<Ack>)> {
        let mut archive = {
            let (mut queue, now) = (self.archives.queue.borrow_mut(), Instant::now());
            let at = queue.iter().position(|a| a.due <= now)?;
            queue.remove(at)?
        };
        if archive.reading.is_none() && !self.open_archive(&mut archive) {
            return None;
        }
        let mut batch = self.cx.batch(&archive.tag);
        let base = batch.arena().len();
        let now = self.cx.now();
        let Some(reading) = &mut archive.reading else { return None };
        let end = reading.fill();
        let all = !matches!(end, End::More);
        // A damaged file's last line is no line; it may yet be completed.
        let last = matches!(end, End::Done) || matches!(end, End::Short(_)) && given_up(&reading.decoder);
        let path = archive.path.clone();
        let mut from = 0;
        if !archive.begun
            && let Some((charset, mark)) = self.head_of(&reading.text, last)
        {
            archive.begun = true;
            archive.print = super::print::Print::of(&reading.text, reader.lines.max).line;
            archive.stand.charset = charset;
            archive.stand.offset = mark as u64;
            from = mark;
        }
        let before = archive.stand.offset;
        let mut made = super::lines::Yield::default();
        if archive.begun {
            let bytes = reading.text.get(from..).unwrap_or_default();
            let source = Source { dev: archive.id.dev, ino: archive.id.ino, print: archive.print, base: before };
            let text = Text { bytes, all, last, path: path.as_os_str().as_bytes(), now, source };
            reader.swap(&mut archive.open);
            made = reader.lines.take_encoded(&mut batch, &text, &mut archive.stand);
            reader.swap(&mut archive.open);
        }
        if last {
            made.records += reader.complete(&mut archive.open, &path, Which::All, || &mut *batch);
        }
        let taken = from + usize::try_from(archive.stand.offset - before).unwrap_or(usize::MAX);
        reading.text.drain(..taken.min(reading.text.len()));
        if made.records == 0 {
            batch.arena_mut().truncate(base);
        }
        drop(batch);
        self.report_long(&path, &made, reader);
        if made.replaced > 0 && !std::mem::replace(&mut archive.replaced, true) {
            self.say_replaced(&path, made.replaced);
        }
        let commit =
            (made.records > 0).then(|| (archive.tag.clone(), archive.ledger.as_ref().map(|ledger| ledger.enter(0))));
        match end {
            End::More => self.archives.queue.borrow_mut().push_front(archive),
            End::Short(why) if last => {
                self.say(
                    Grave::Warn,
                    format_args!(
                        "'{}' is damaged: {why}. What could be read of it was delivered ({} bytes of text)",
                        path.display(),
                        archive.stand.offset
                    ),
                );
                self.archive_read(archive);
            }
            End::Short(_) => {
                // From its head again, without the lines that were delivered.
                archive.reading = None;
                archive.due = Instant::now() + SETTLED;
                self.archives.queue.borrow_mut().push_back(archive);
            }
            End::Done => self.archive_read(archive),
        }
        commit
    }

    /// Opens the file; `false` when it went back to the queue or is not read.
    fn open_archive(&self, archive: &mut Archive) -> bool {
        let opened = self.open_as(&archive.path, archive.id).or_else(|| {
            let at = moved_to(&archive.path, archive.id)?;
            self.open_as(&at, archive.id)
        });
        let Some(fd) = opened else {
            let path = archive.path.display();
            self.cx.lost(0, &format!("'{path}' is gone or cannot be opened: what was not read of it is not delivered"));
            self.archive_left(archive);
            return false;
        };
        let size = rustix::fs::fstat(&fd).map_or(0, |stat| size_of(&stat));
        let mut magic = [0; 2];
        let known = rustix::io::pread(&fd, &mut magic, 0).is_ok_and(|n| n == 2);
        if known && magic != [0x1f, 0x8b] {
            self.say(
                Grave::Warn,
                format_args!(
                    "'{}' is named like a gzip file but is none: not read. Leave it out with Exclude_Path, or rename it",
                    archive.path.display()
                ),
            );
            self.archive_left(archive);
            return false;
        }
        archive.reading = Some(Box::new(Reading {
            decoder: MultiGzDecoder::new(fd.into()),
            text: Vec::new(),
            skip: archive.stand.offset,
            size,
        }));
        true
    }

    /// What the text is written in, and the length of the mark at its head; `None` while that cannot be told.
    fn head_of(&self, text: &[u8], last: bool) -> Option<(Charset, usize)> {
        match self.charset {
            None => Some((Charset::Plain, 0)),
            Some(charset) => charset.at_head(text).or(last.then_some((charset.or_utf8(), 0))),
        }
    }

    /// All of a file is read; the database is to know when it is delivered.
    fn archive_read(&self, archive: Archive) {
        let size = archive.reading.as_ref().map_or(0, |reading| reading.size);
        log::info!(
            "[{}] '{}' is read: {size} bytes compressed, {} of text",
            self.cx.label(),
            archive.path.display(),
            archive.stand.offset
        );
        if let Some(ledger) = &archive.ledger {
            ledger.pass(size);
        }
        let ledger = archive.ledger.clone();
        self.set_aside(&archive.path, archive.id, Aside { ledger, ..self.refused() });
        self.archive_awaited(&archive);
    }

    /// A file is not read after all.
    fn archive_left(&self, archive: &Archive) {
        if let Some(ledger) = &archive.ledger {
            ledger.finish();
        }
        self.archive_awaited(archive);
    }

    fn archive_awaited(&self, archive: &Archive) {
        if archive.awaited {
            self.awaited.set(self.awaited.get().saturating_sub(1));
            self.exit_when_done();
        }
    }

    /// The file that a compressed one was rotated from, if that is one which was followed: in this run, or at the start
    /// by what the database knows.
    fn plain_of(&self, archive: &Path) -> Option<PathBuf> {
        let started = self.started.get();
        let files = self.files.borrow();
        let was_read = |f: &super::file::File| started || f.ledger.as_ref().is_some_and(|l| l.row().is_some());
        let found = files.iter().map(|(_, f)| f).filter(|f| was_read(f)).find_map(|f| {
            [&f.name, &f.path].into_iter().find(|name| is_rotated(archive, name)).map(|name| name.to_path_buf())
        });
        found.or_else(|| self.rows.borrow().names().find(|name| is_rotated(archive, name)).map(Path::to_path_buf))
    }
}

impl Reading {
    /// Decompresses up to [`STEP`] bytes more.
    fn fill(&mut self) -> End {
        let len = self.text.len();
        self.text.resize(len + STEP, 0);
        let mut got = 0;
        let end = loop {
            let Some(room) = self.text.get_mut(len + got..).filter(|room| !room.is_empty()) else { break End::More };
            match self.decoder.read(room) {
                Ok(0) => break self.at_end(),
                Ok(n) => got += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => break End::Short(e),
            }
        };
        self.text.truncate(len + got);
        // Nothing is kept while text is skipped.
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(self.text.len());
        self.text.drain(..skipped);
        self.skip -= skipped as u64;
        end
    }

    /// The text ends here, unless the file has grown meanwhile.
    fn at_end(&self) -> End {
        match rustix::fs::fstat(self.decoder.get_ref()) {
            Ok(stat) if size_of(&stat) == self.size && self.size > 0 => End::Done,
            _ => End::Short(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Whether a file was not written for so long that it will not be completed.
fn given_up(decoder: &MultiGzDecoder<File>) -> bool {
    let written = decoder.get_ref().metadata().and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    SystemTime::now().duration_since(written).is_ok_and(|age| age >= GIVEN_UP)
}

/// Whether a file is named like a gzip file.
pub fn is_gzip(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b".gz")
}

/// Where a compressed file went.
fn moved_to(path: &Path, id: FileId) -> Option<PathBuf> {
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut entries = std::fs::read_dir(dir).ok()?.flatten();
    entries.find(|e| e.ino() == id.ino && is_compressed(Path::new(&e.file_name()))).map(|e| dir.join(e.file_name()))
}

/// Whether the name of `archive` is one that rotation gives to what was `plain`: `app.log` became `app.log.1.gz`,
/// `app.log-20240131.gz` or `app-20240131.log.gz`.
fn is_rotated(archive: &Path, plain: &Path) -> bool {
    let (Some(name), Some(plain_name)) = (archive.file_name(), plain.file_name()) else { return false };
    let Some(name) = name.as_bytes().strip_suffix(b".gz") else { return false };
    if archive.parent() != plain.parent() || is_gzip(plain) {
        return false;
    }
    if let Some(rest) = name.strip_prefix(plain_name.as_bytes()) {
        return rest.first().is_none_or(|b| b".-_~".contains(b));
    }
    let stem = plain.file_stem().unwrap_or_default().as_bytes();
    let dotted = plain_name.as_bytes().get(stem.len()..).unwrap_or_default();
    let date = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(dotted));
    date.is_some_and(|date| !date.is_empty() && date.iter().all(|b| b.is_ascii_digit() || b".-_:TZ".contains(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rotated_files() {
        let check = |archive: &str, plain: &str, expected| {
            assert_eq!(is_rotated(Path::new(archive), Path::new(plain)), expected, "{archive} {plain}");
        };
        for archive in ["app.log.gz", "app.log.1.gz", "app.log-20240131.gz", "app-20240131.log.gz", "app.1.log.gz"] {
            check(&format!("/v/{archive}"), "/v/app.log", true);
            check(&format!("/w/{archive}"), "/v/app.log", false);
        }
        check("app.gz", "a", false);
        check("app-errors.log.gz", "app.log", false);
        check("app.log.1", "app.log", false);
        check("app.log.1.gz.gz", "app.log.1.gz", false);
        check("app.log.1.gz", "app.log.1", true);
    }
}
