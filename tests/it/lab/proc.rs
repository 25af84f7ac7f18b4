//! The program as a child process whose output goes to files of the lab.

use super::target::{program, runner, under_runner};
use super::{clip, until};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The program before it is started.
pub struct Command {
    inner: std::process::Command,
    shown: String,
    dir: PathBuf,
    stdout: PathBuf,
    stderr: PathBuf,
    input: Option<Vec<u8>>,
    stdout_given: bool,
}

impl Command {
    pub(super) fn new(dir: &Path, run: usize, args: &[&str], env: &[(String, String)]) -> Self {
        let mut words = runner();
        words.push(program().display().to_string());
        words.extend(args.iter().map(|&arg| arg.to_owned()));
        let mut inner = std::process::Command::new(&words[0]);
        inner.args(&words[1..]).current_dir(dir).env_clear().env("TZ", "UTC");
        inner.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        inner.envs(env.iter().map(|(k, v)| (k, v)));
        Self {
            inner,
            shown: words.join(" "),
            dir: dir.to_owned(),
            stdout: dir.join(format!("stdout.{run}")),
            stderr: dir.join(format!("stderr.{run}")),
            input: None,
            stdout_given: false,
        }
    }

    /// Another copy of the program.
    pub fn program(mut self, path: &Path) -> Self {
        let mut other = std::process::Command::new(path);
        other.args(self.inner.get_args()).current_dir(&self.dir).env_clear();
        other.envs(self.inner.get_envs().filter_map(|(k, v)| Some((k, v?))));
        self.shown = format!("({}) {}", path.display(), self.shown);
        self.inner = other;
        self
    }

    /// Another folder to run in.
    pub fn in_dir(mut self, dir: &Path) -> Self {
        self.inner.current_dir(dir);
        self
    }

    /// What the program reads on standard input; nothing (end of file at once) when not called.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Another place for standard output than a file.
    pub fn stdout(mut self, to: impl Into<Stdio>) -> Self {
        self.inner.stdout(to);
        self.stdout_given = true;
        self
    }

    /// Puts other words before the program: `unshare -m …`.
    pub fn through(mut self, words: &[&str]) -> Self {
        let mut outer = std::process::Command::new(words[0]);
        outer.args(&words[1..]).arg(self.inner.get_program()).args(self.inner.get_args());
        outer.current_dir(self.inner.get_current_dir().unwrap_or(&self.dir));
        outer.env_clear().envs(self.inner.get_envs().filter_map(|(k, v)| Some((k, v?))));
        self.shown = format!("{} {}", words.join(" "), self.shown);
        self.inner = outer;
        self
    }

    /// Starts it.
    pub fn start(mut self) -> Proc {
        if !self.stdout_given {
            self.inner.stdout(File::create(&self.stdout).unwrap());
        }
        self.inner.stderr(File::create(&self.stderr).unwrap());
        self.inner.stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = self.inner.spawn().unwrap_or_else(|e| panic!("{}: {e}", self.shown));
        if let Some(bytes) = self.input {
            let mut pipe = child.stdin.take().unwrap();
            // A program that ends early does not read everything.
            std::thread::spawn(move || _ = pipe.write_all(&bytes));
        }
        Proc { child, shown: self.shown, dir: self.dir, stdout: self.stdout, stderr: self.stderr }
    }
}

/// The program while it runs; it is killed when the test lets go of it.
pub struct Proc {
    child: Child,
    shown: String,
    dir: PathBuf,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Proc {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stdout).unwrap_or_default()).into_owned()
    }

    /// What it has logged so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap_or_default()).into_owned()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        if under_runner() && signal != Signal::KILL {
            self.listens();
        }
        let pid = Pid::from_raw(self.pid() as i32).unwrap();
        kill_process(pid, signal).unwrap_or_else(|e| panic!("{signal:?}: {e}\n{}", self.show(None)));
    }

    /// Waits until it catches signals: an emulated start takes so long that the first ones would simply end it. They come to
    /// it by way of a pair of sockets.
    fn listens(&self) {
        let sockets = || {
            let all = fs::read_dir(format!("/proc/{}/fd", self.pid())).into_iter().flatten().flatten();
            all.filter_map(|fd| fs::read_link(fd.path()).ok())
                .filter(|l| l.to_string_lossy().starts_with("socket:"))
                .count()
        };
        let end = Instant::now() + Duration::from_secs(10);
        while sockets() < 2 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(20));
    }

    /// Waits until standard output holds this text.
    pub fn wait_stdout(&mut self, text: &str) {
        self.wait_for(&format!("'{text}' on stdout"), |p| p.stdout().contains(text));
    }

    /// Waits until the log holds this text.
    pub fn wait_stderr(&mut self, text: &str) {
        self.wait_for(&format!("'{text}' on stderr"), |p| p.stderr().contains(text));
    }

    /// Waits until a condition holds, but not beyond the program's end.
    pub fn wait_for(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let mut held = false;
        let mut ended = None;
        until(|| {
            // Asked before the condition: what was printed last must still count.
            ended = self.child.try_wait().unwrap();
            held = condition(self);
            held || ended.is_some()
        });
        if !held {
            let why = if ended.is_some() { "the program ended before" } else { "gave up waiting for" };
            panic!("{why}: {what}\n{}", self.show(ended));
        }
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Done {
        let mut status = None;
        if !until(|| {
            status = self.child.try_wait().unwrap();
            status.is_some()
        }) {
            panic!("the program did not end\n{}", self.show(None));
        }
        self.done(status.unwrap())
    }

    /// SIGTERM, then its end.
    pub fn term(self) -> Done {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// SIGKILL.
    pub fn kill(mut self) -> Done {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        self.done(status)
    }

    /// Asserts that it keeps running for a while.
    pub fn stays(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the program ended by itself\n{}", self.show(Some(status)));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn done(&self, status: ExitStatus) -> Done {
        Done { status, stdout: self.stdout(), stderr: self.stderr(), shown: self.show(Some(status)) }
    }

    /// Command, configuration, status and output, for a failing test.
    pub fn show(&self, status: Option<ExitStatus>) -> String {
        let status = status.map_or("running".into(), |s| s.to_string());
        let conf = fs::read_to_string(self.dir.join("collector.conf")).unwrap_or_default();
        format!(
            "==== {}\n==== in {}\n==== collector.conf\n{}\n==== {status}\n==== stdout\n{}\n==== stderr\n{}",
            self.shown,
            self.dir.display(),
            clip(&conf),
            clip(&self.stdout()),
            clip(&self.stderr())
        )
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a run left behind.
pub struct Done {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Command, configuration, status and output, for a failing test.
    pub shown: String,
}

impl Done {
    /// Asserts the exit code.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "exit code\n{}", self.shown);
        self
    }

    /// Asserts that the log holds each of these texts.
    #[track_caller]
    pub fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "no '{part}' on stderr\n{}", self.shown);
        }
        self
    }

    /// Asserts that the log holds none of these texts.
    #[track_caller]
    pub fn silent_about(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(!self.stderr.contains(part), "'{part}' on stderr\n{}", self.shown);
        }
        self
    }

    /// Asserts what was printed.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert!(self.stdout == text, "expected on stdout:\n{text}\n{}", self.shown);
        self
    }

    /// Asserts that each of these was printed.
    #[track_caller]
    pub fn shows(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stdout.contains(part), "no '{part}' on stdout\n{}", self.shown);
        }
        self
    }

    /// Everything about the run, for an assertion of the test's own.
    pub fn report(&self) -> &str {
        &self.shown
    }
}
