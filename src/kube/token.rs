//! Our token: from a file that the kubelet renews, or from a command.

use super::ApiConf;
use crate::rt::{Notify, Source, sleep, timeout};
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The longest token, in bytes.
const MAX: u64 = 64 << 10;
/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the token comes from, and what is known of it.
#[derive(Debug)]
pub(super) struct Token {
    from: From,
    ttl: Duration,
    known: RefCell<Option<Known>>,
    /// A command is running.
    running: Cell<bool>,
    ran: Notify,
}

#[derive(Debug)]
enum From {
    File(String),
    Command(String),
}

#[derive(Debug, Clone)]
struct Known {
    text: Rc<str>,
    read: Instant,
    stamp: Option<Stamp>,
}

/// Size, change time and inode of a file.
type Stamp = (u64, i64, i64, u64);

impl Token {
    pub(super) fn new(conf: &ApiConf) -> Self {
        let from = match &conf.kube_token_command {
            Some(command) => From::Command(command.clone()),
            None => From::File(conf.kube_token_file.clone()),
        };
        let (known, running, ran) = (RefCell::default(), Cell::new(false), Notify::default());
        Self { from, ttl: conf.kube_token_ttl, known, running, ran }
    }

    /// What is wrong with it already now, in words.
    pub(super) fn caution(&self) -> Option<String> {
        let From::File(path) = &self.from else { return None };
        read_file(path).err()
    }

    /// The token. `Err` says why there is none; a token that was read before stays good while no newer one can be read.
    pub(super) async fn get(&self) -> Result<Rc<str>, String> {
        if let Some(known) = self.known.borrow().as_ref().filter(|k| self.is_fresh(k)) {
            return Ok(known.text.clone());
        }
        self.renew().await
    }

    /// Reads the token again, because the server does not take `refused`; `None` when that is still the one.
    pub(super) async fn other_than(&self, refused: Option<&str>) -> Option<Rc<str>> {
        let now = match self.known.borrow().as_ref().map(|k| k.text.clone()) {
            // Somebody else renewed it meanwhile.
            Some(text) if Some(&*text) != refused => Some(text),
            _ => None,
        };
        match now {
            Some(text) => Some(text),
            None => self.renew().await.ok().filter(|text| Some(&**text) != refused),
        }
    }

    fn is_fresh(&self, known: &Known) -> bool {
        let unchanged = match &self.from {
            From::File(path) => known.stamp.is_some() && known.stamp == stamp(path),
            From::Command(_) => true,
        };
        unchanged && crate::rt::now().saturating_duration_since(known.read) < self.ttl
    }

    async fn renew(&self) -> Result<Rc<str>, String> {
        let read = match &self.from {
            From::File(path) => {
                let stamp = stamp(path);
                read_file(path).map(|text| (text, stamp))
            }
            From::Command(command) => self.run(command).await.map(|text| (text, None)),
        };
        let former = self.known.borrow().as_ref().map(|k| k.text.clone());
        match (read, former) {
            (Ok((text, stamp)), _) => {
                let text: Rc<str> = text.into();
                *self.known.borrow_mut() = Some(Known { text: text.clone(), read: crate::rt::now(), stamp });
                Ok(text)
            }
            (Err(why), Some(text)) => {
                log::debug!("[kube] the former token is used: {why}");
                Ok(text)
            }
            (Err(why), None) => Err(why),
        }
    }

    /// The command's output; who comes while it runs waits for that run.
    async fn run(&self, command: &str) -> Result<String, String> {
        if self.running.get() {
            self.ran.wait().await;
            let known = self.known.borrow().as_ref().map(|k| k.text.to_string());
            return known.ok_or_else(|| "Kube_Token_Command failed".into());
        }
        self.running.set(true);
        let _done = Done(self);
        let said = timeout(PATIENCE, output(command)).await;
        let text = match said {
            Some(Ok(text)) => token(&text),
            Some(Err(why)) => Err(why),
            None => Err(format!("has not ended after {} s", PATIENCE.as_secs())),
        };
        text.map_err(|why| format!("Kube_Token_Command '{command}' {why}"))
    }
}

/// Ends a run, however its future ends.
struct Done<'a>(&'a Token);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.running.set(false);
        self.0.ran.notify();
    }
}

fn stamp(path: &str) -> Option<Stamp> {
    let m = std::fs::metadata(path).ok()?;
    Some((m.len(), m.mtime(), m.mtime_nsec(), m.ino()))
}

fn read_file(path: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|f| f.take(MAX + 1).read_to_end(&mut bytes));
    let text = match read {
        Ok(_) => token(&bytes),
        Err(e) => Err(format!("cannot be read: {}", crate::net::connect::words(&e))),
    };
    text.map_err(|why| {
        format!("Kube_Token_File '{path}' {why} (in a pod it is there unless automountServiceAccountToken is false)")
    })
}

/// A token as it may stand in a field (RFC 6750 2.1), without the white space around it.
fn token(bytes: &[u8]) -> Result<String, String> {
    let text = bytes.trim_ascii();
    match text {
        [] => Err("holds nothing".into()),
        _ if bytes.len() as u64 > MAX => Err("holds more than 64 KiB".into()),
        _ if !text.iter().all(u8::is_ascii_graphic) => Err("holds more than one word: that is no token".into()),
        _ => Ok(String::from_utf8_lossy(text).into_owned()),
    }
}

/// A child that does not outlive whoever waits for it.
struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a command prints, when it ends well.
async fn output(command: &str) -> Result<Vec<u8>, String> {
    let cannot = |e: io::Error| format!("cannot be run: {}", crate::net::connect::words(&e));
    let child = Command::new("/bin/sh").args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = Kept(child.map_err(cannot)?);
    let Some(stdout) = child.0.stdout.take() else { return Err("has no output".into()) };
    let stdout = OwnedFd::from(stdout);
    rustix::io::ioctl_fionbio(&stdout, true).map_err(|e| cannot(e.into()))?;
    let pipe = Source::new(File::from(stdout)).map_err(cannot)?;
    let (mut all, mut buf) = (Vec::new(), [0; 4096]);
    loop {
        let n = pipe.read(|mut f| f.read(&mut buf)).await.map_err(cannot)?;
        if n == 0 || all.len() as u64 > MAX {
            break;
        }
        all.extend_from_slice(buf.get(..n).unwrap_or_default());
    }
    loop {
        match child.0.try_wait().map_err(cannot)? {
            Some(status) if status.success() => return Ok(all),
            Some(status) => return Err(format!("failed ({status})")),
            // The end of a process follows the end of its output closely.
            None => sleep(Duration::from_millis(5)).await,
        }
    }
}
