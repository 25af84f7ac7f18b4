//! Sending a file of rejected records again: what it holds, taking it apart from new rejections, and what is left of it.
//! Every call blocks.

use super::reader::Reader;
use rustix::fs::{CWD, FlockOperation, RenameFlags, fcntl_lock, flock, renameat_with};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Error, ErrorKind, Result, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the name of a file gets while its records are sent again.
const REPLAYING: &str = ".replaying";
/// Pairs of outputs and inputs that one file may name, and damaged lines that are told one by one.
const MAX_PAIRS: usize = 1000;
const MAX_TOLD: usize = 20;

/// What a file holds.
#[derive(Debug, Default)]
pub struct Survey {
    /// Records by the names of their output and their input.
    pub records: BTreeMap<(String, String), u64>,
    /// The first lines that cannot be read, by number, and why.
    pub damaged: Vec<(u64, String)>,
    /// How many cannot be read in all.
    pub damaged_count: u64,
}

/// Reads a whole file and changes nothing.
///
/// # Errors
/// What the system says; and when it is no file of rejected records.
pub fn survey(path: &Path) -> Result<Survey> {
    let mut found = Survey::default();
    for line in Reader::new(BufReader::new(open(path)?)) {
        let line = line?;
        match line.record {
            None => {}
            Some(Ok(entry)) => *found.records.entry((entry.output, entry.input)).or_default() += 1,
            Some(Err(why)) => {
                found.damaged_count += 1;
                if found.damaged.len() < MAX_TOLD {
                    found.damaged.push((line.number, why));
                }
            }
        }
        if found.records.len() > MAX_PAIRS {
            return Err(other("it names more than 1000 outputs and inputs: is it a file of rejected records?"));
        }
    }
    Ok(found)
}

/// Opens an ordinary file to read it; nothing else is waited for.
fn open(path: &Path) -> Result<File> {
    // Looked at first: opening a pipe would wait for its writer.
    if !fs::metadata(path)?.is_file() {
        return Err(other("it is no ordinary file"));
    }
    File::open(path)
}

fn other(what: &str) -> Error {
    Error::other(what.to_owned())
}

/// The lines of a file that need not be sent again, by number from 1: one bit each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done(Vec<u64>);

impl Done {
    /// Notes a line.
    pub fn set(&mut self, line: u64) {
        let at = (line / 64) as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        if let Some(word) = self.0.get_mut(at) {
            *word |= 1 << (line % 64);
        }
    }

    /// Whether a line was noted.
    pub fn has(&self, line: u64) -> bool {
        self.0.get((line / 64) as usize).is_some_and(|word| word >> (line % 64) & 1 == 1)
    }
}

/// A file whose records are being sent again.
#[derive(Debug)]
pub struct Replaying {
    path: PathBuf,
    /// Locked: nobody else sends them. Shared, for closing any descriptor of the file would give the lock up.
    file: Arc<File>,
}

impl Replaying {
    /// Gives the file the name under which it is sent again, so that what is refused once more goes to a fresh one. A
    /// file that an interrupted run left has that name already.
    ///
    /// # Errors
    /// When another file is in the way, somebody sends this one, or whatever the system says.
    pub fn begin(from: &Path) -> Result<Self> {
        let path = Self::path_of(from);
        open(from)?;
        if path != from {
            rename(from, &path).map_err(|e| match e.kind() {
                ErrorKind::AlreadyExists => {
                    let path = path.display();
                    other(&format!(
                        "'{path}' is left from an interrupted run: send it first (--replay-rejected {path})"
                    ))
                }
                _ => e,
            })?;
        }
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        // A file system without locks is no reason to give up.
        if let Err(Errno::AGAIN | Errno::ACCESS) = fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            return Err(other("another process sends it just now"));
        }
        // Whoever appends to the file under its former name holds this lock meanwhile: wait for the last of them.
        if flock(&file, FlockOperation::LockExclusive).is_ok() {
            let _ = flock(&file, FlockOperation::Unlock);
        }
        Ok(Self { path, file: Arc::new(file) })
    }

    /// The name that a file gets.
    pub fn path_of(from: &Path) -> PathBuf {
        let mut name = from.as_os_str().to_owned();
        if !name.as_encoded_bytes().ends_with(REPLAYING.as_bytes()) {
            name.push(REPLAYING);
        }
        name.into()
    }

    /// Where it is now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its lines from the start.
    ///
    /// # Errors
    /// What the system says.
    pub fn lines(&self) -> Result<Reader<BufReader<Arc<File>>>> {
        self.bytes().map(Reader::new)
    }

    fn bytes(&self) -> Result<BufReader<Arc<File>>> {
        (&*self.file).rewind()?;
        Ok(BufReader::with_capacity(64 << 10, self.file.clone()))
    }

    /// Keeps the lines that are not done; removes the file when there is none. Answers how many are left.
    ///
    /// # Errors
    /// What the system says; the file is whole then.
    pub fn finish(self, done: &Done) -> Result<u64> {
        let mut new = self.path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        let left = self.copy_left(&new, done).inspect_err(|_| _ = fs::remove_file(&new))?;
        match left {
            Left { lines: 0, .. } => fs::remove_file(&self.path)?,
            Left { all: true, .. } => {}
            _ => fs::rename(&new, &self.path)?,
        }
        let _ = fs::remove_file(&new);
        Ok(left.lines)
    }

    fn copy_left(&self, new: &Path, done: &Done) -> Result<Left> {
        let mut from = self.bytes()?;
        let mut to = None;
        let mut left = Left { lines: 0, all: true };
        for number in 1.. {
            let keep = !done.has(number);
            let mut any = false;
            loop {
                let piece = from.fill_buf()?;
                let end = memchr::memchr(b'\n', piece).map(|n| n + 1);
                let part = piece.get(..end.unwrap_or(piece.len())).unwrap_or_default();
                let used = part.len();
                if keep && used > 0 {
                    let to = match &mut to {
                        Some(to) => to,
                        None => to.insert(BufWriter::new(create(new)?)),
                    };
                    to.write_all(part)?;
                }
                any |= used > 0;
                from.consume(used);
                if used == 0 || end.is_some() {
                    break;
                }
            }
            if !any {
                break;
            }
            left.lines += u64::from(keep);
            left.all &= keep;
        }
        if let Some(mut to) = to {
            to.flush()?;
            to.get_ref().sync_data()?;
        }
        Ok(left)
    }
}

struct Left {
    lines: u64,
    /// Not one is done.
    all: bool,
}

fn create(path: &Path) -> Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Renames, but over no other file.
fn rename(from: &Path, to: &Path) -> Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system knows the flag.
        Err(Errno::INVAL | Errno::NOSYS) if !to.exists() => fs::rename(from, to),
        Err(Errno::INVAL | Errno::NOSYS) => Err(ErrorKind::AlreadyExists.into()),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rejected::RejectedFile;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("collector-replay-{name}-{}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).unwrap();
            path
        }

        fn names(&self) -> Vec<String> {
            let mut names: Vec<_> =
                fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn done(lines: &[u64]) -> Done {
        let mut done = Done::default();
        lines.iter().for_each(|&n| done.set(n));
        done
    }

    #[test]
    fn a_survey_names_outputs_inputs_and_damage() {
        let dir = Dir::new("survey");
        let line = |output: &str, input: &str| {
            format!(
                r#"{{"output":"{output}","input":"{input}","tag":"t","time":"2026-01-01T00:00:00Z","record":{{}}}}"#
            )
        };
        let text = [line("b", "x"), "{".into(), String::new(), line("a", "x"), line("b", "x")].join("\n");
        let found = survey(&dir.write("r", &text)).unwrap();
        let records: Vec<_> = found.records.iter().map(|((o, i), n)| format!("{o} {i} {n}")).collect();
        assert_eq!(records, ["a x 1", "b x 2"]);
        assert_eq!(found.damaged_count, 1);
        assert_eq!(found.damaged, [(2, "not a JSON object: the text ends too early at byte 1".to_owned())]);
        let many: String = (0..=MAX_PAIRS).map(|n| line(&n.to_string(), "x") + "\n").collect();
        assert!(survey(&dir.write("many", &many)).unwrap_err().to_string().contains("more than 1000"));
        assert_eq!(survey(&dir.0.join("none")).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(survey(&dir.0).unwrap_err().to_string(), "it is no ordinary file");
    }

    #[test]
    fn what_is_left_stays_and_an_empty_file_goes() {
        let text = "one\ntwo\n\nfour\nfive";
        let table: &[(&[u64], Option<&str>)] = &[
            (&[], Some(text)),
            (&[1, 3], Some("two\nfour\nfive")),
            (&[2, 3, 5], Some("one\nfour\n")),
            (&[1, 2, 3, 4, 5], None),
        ];
        for (lines, rest) in table {
            let dir = Dir::new("left");
            let replaying = Replaying::begin(&dir.write("r", text)).unwrap();
            assert_eq!(replaying.path(), dir.0.join("r.replaying"));
            assert_eq!(replaying.lines().unwrap().count(), 5);
            let left = replaying.finish(&done(lines)).unwrap();
            assert_eq!(left, 5 - lines.len() as u64);
            match rest {
                Some(rest) => {
                    assert_eq!(dir.names(), ["r.replaying"]);
                    assert_eq!(fs::read_to_string(dir.0.join("r.replaying")).unwrap(), *rest);
                }
                None => assert!(dir.names().is_empty()),
            }
        }
    }

    #[test]
    fn an_interrupted_file_is_taken_up_and_not_overwritten() {
        let dir = Dir::new("taken");
        let (new, old) = (dir.write("r", "new\n"), dir.write("r.replaying", "old\n"));
        let e = Replaying::begin(&new).unwrap_err().to_string();
        assert!(e.contains("r.replaying' is left from an interrupted run: send it first (--replay-rejected"), "{e}");
        assert_eq!(fs::read_to_string(&new).unwrap(), "new\n");
        let replaying = Replaying::begin(&old).unwrap();
        assert_eq!(replaying.path(), old);
        assert_eq!(replaying.finish(&done(&[1])).unwrap(), 0);
        assert_eq!(dir.names(), ["r"]);
        assert!(Replaying::begin(&dir.0.join("none")).is_err());
    }

    #[test]
    fn rejections_meanwhile_go_to_a_fresh_file() {
        let dir = Dir::new("fresh");
        let path = dir.write("r", "old\n");
        let file = RejectedFile::new(&path, 0, false);
        let replaying = Replaying::begin(&path).unwrap();
        file.append(b"again\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "again\n");
        assert_eq!(fs::read_to_string(replaying.path()).unwrap(), "old\n");
    }

    #[test]
    fn an_append_under_way_is_waited_for() {
        // Each line must be found exactly once: in a file that was taken, or in the last one.
        let dir = Dir::new("race");
        let path = dir.0.join("r");
        let writer = {
            let file = RejectedFile::new(&path, 0, false);
            std::thread::spawn(move || {
                for n in 0..2000 {
                    file.append(format!("{n}\n").as_bytes()).unwrap();
                }
            })
        };
        let mut seen = String::new();
        while !writer.is_finished() {
            if let Ok(replaying) = Replaying::begin(&path) {
                seen += &fs::read_to_string(replaying.path()).unwrap();
                let all: Vec<u64> = (1..=2000).collect();
                replaying.finish(&done(&all)).unwrap();
            }
        }
        writer.join().unwrap();
        seen += &fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(seen.lines().count(), 2000);
        assert_eq!(seen.lines().enumerate().find(|(n, l)| n.to_string() != *l), None);
    }
}
