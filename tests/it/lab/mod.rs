//! `Lab`: a folder of its own for one test, in which the real program runs.

mod group;
mod http;
mod peer;
mod proc;
mod target;
mod wire;

pub use group::Group;
pub use http::{Answer, HttpSink, Request, write};
pub use peer::{Peer, TcpSink, free_port, refused_port};
pub use proc::{Command, Done, Proc};
pub use target::{Elf, is_native, is_offered, program, under_runner};
pub use wire::Wire;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a condition may take to come true. Far more than it needs: only a failing test waits so long.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// A folder that is removed when the test passes and kept (and named) when it fails.
pub struct Lab {
    dir: PathBuf,
    env: Vec<(String, String)>,
    runs: AtomicUsize,
}

impl Lab {
    /// A fresh folder; `name` is the test's, for whoever looks at the remains.
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let unique = format!("{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique);
        fs::create_dir_all(&dir).unwrap();
        Self { dir: dir.canonicalize().unwrap(), env: Vec::new(), runs: AtomicUsize::new(0) }
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A variable for the programs that are started from now on.
    pub fn env(&mut self, key: &str, value: &str) -> &mut Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Shows programs that are started from now on a wall clock that [`Lab::set_clock`] sets, beside the machine's monotonic
    /// one; `Err` says why that cannot be done here.
    pub fn fake_clock(&mut self) -> Result<(), &'static str> {
        if under_runner() || Elf::read(&program()).is_static {
            return Err("a program that takes no libraries, or an emulator, knows no clock but the machine's");
        }
        let places = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
        let library = places.iter().map(|p| format!("{p}/faketime/libfaketimeMT.so.1")).find(|p| Path::new(p).exists());
        let library = library.ok_or("no libfaketime: scripts/setup.sh test installs it")?;
        self.set_clock("+0");
        let file = self.path("clock").display().to_string();
        for (key, value) in [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ] {
            self.env(key, value);
        }
        Ok(())
    }

    /// Sets the clock of [`Lab::fake_clock`], by a number of seconds from the true time.
    pub fn set_clock(&self, shift: &str) {
        // A clock that is read meanwhile is not to see half of it.
        fs::rename(self.write("clock.next", shift), self.path("clock")).unwrap();
    }

    /// Writes a file, its folders included.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Appends to a file.
    pub fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let mut file = fs::File::options().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(bytes.as_ref()).unwrap();
    }

    /// A file as text; what is not UTF-8 is replaced. Empty when it is not there.
    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&self.bytes(name)).into_owned()
    }

    /// A file's bytes; empty when it is not there.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_default()
    }

    /// Writes `collector.conf` and starts the program on it.
    pub fn start(&self, conf: &str) -> Proc {
        self.write("collector.conf", conf);
        self.spawn(&["-c", "collector.conf"])
    }

    /// Writes `collector.conf` and runs the program on it to its end.
    pub fn run(&self, conf: &str) -> Done {
        self.start(conf).wait()
    }

    /// Runs the program with these arguments to its end.
    pub fn exec(&self, args: &[&str]) -> Done {
        self.spawn(args).wait()
    }

    /// Starts the program with these arguments.
    pub fn spawn(&self, args: &[&str]) -> Proc {
        self.command(args).start()
    }

    /// The program with these arguments, for tests that want other descriptors than files.
    pub fn command(&self, args: &[&str]) -> proc::Command {
        proc::Command::new(&self.dir, self.runs.fetch_add(1, Ordering::Relaxed), args, &self.env)
    }

    /// Waits until a condition holds.
    pub fn wait(&self, what: &str, condition: impl FnMut() -> bool) {
        if !until(condition) {
            panic!("gave up waiting for {what}\n{}", self.show());
        }
    }

    /// Every small file of the folder, for a failing test.
    pub fn show(&self) -> String {
        let mut text = String::new();
        let mut files: Vec<_> =
            fs::read_dir(&self.dir).into_iter().flatten().flatten().map(|e| e.path()).filter(|p| p.is_file()).collect();
        files.sort();
        for path in files {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let _ = writeln!(text, "---- {name}\n{}", clip(&self.read(&name)));
        }
        text
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the test's folder is kept: {}", self.dir.display());
        } else {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Polls a condition; `false` when it did not hold in time.
pub fn until(mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How far the first minutes of 1970 are from now, for [`Lab::set_clock`].
pub fn to_1970() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    format!("-{}", now - 600)
}

/// The start and the end of a long text.
fn clip(text: &str) -> String {
    const KEEP: usize = 4000;
    if text.len() <= 2 * KEEP {
        return text.to_owned();
    }
    let head: String = text.chars().take(KEEP).collect();
    let tail: String = text.chars().rev().take(KEEP).collect::<Vec<_>>().into_iter().rev().collect();
    format!("{head}\n[... {} bytes in all ...]\n{tail}", text.len())
}

/// Says that a test, or a part of it, was skipped, and which: its thread has its name. Past the test runner's capture: a
/// skipped test must not look like a passed one.
pub fn skip(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().filter(|name| *name != "main").map(|name| format!("{name}: ")).unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "skipped: {test}{why}");
}

/// Whether the program was built with a feature; else it is said that the test, or what follows of it, is skipped.
macro_rules! has {
    ($feature:literal) => {
        cfg!(feature = $feature) || $crate::lab::lacks($feature)
    };
}
pub(crate) use has;

/// Says that a feature is missing; `false`.
pub fn lacks(feature: &str) -> bool {
    skip(&format!("it needs the feature {feature}"));
    false
}

/// Where public sample data lies beside the project on some machines; `None`, said in a line, where it does not.
pub fn samples(what: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(what);
    if path.is_dir() {
        return path.canonicalize().ok();
    }
    skip(&format!("{what} is not beside the project"));
    None
}
