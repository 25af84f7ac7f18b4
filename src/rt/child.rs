//! Commands that the program runs, and, as the first process of a container, the orphans that the kernel gives it.

use super::{Source, sleep, spawn};
use rustix::process::{WaitOptions, wait};
use signal_hook::{consts::SIGCHLD, low_level::pipe};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{Read, Result};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStdout, Command, ExitStatus};
use std::time::Duration;

thread_local! {
    /// The children that are not waited for yet, with how they ended where [`adopt_orphans`] has seen it.
    static CHILDREN: RefCell<HashMap<i32, Option<ExitStatus>>> = RefCell::default();
}

/// A command that runs. One that is dropped goes on; nobody waits for it then.
#[derive(Debug)]
pub struct Child {
    inner: std::process::Child,
}

impl Child {
    /// Starts a command.
    ///
    /// # Errors
    /// Those of `fork` and `exec`.
    pub fn start(command: &mut Command) -> Result<Self> {
        let inner = command.spawn()?;
        let child = Self { inner };
        CHILDREN.with_borrow_mut(|all| all.insert(child.id(), None));
        Ok(child)
    }

    /// Its standard output, once, when that is a pipe.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.inner.stdout.take()
    }

    /// How it ended, as soon as it has.
    ///
    /// # Errors
    /// When the system knows nothing of it.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        // The end of a command follows the end of its output closely.
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends it with SIGKILL and waits for that.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> Result<()> {
        if self.ended()?.is_none() {
            self.inner.kill()?;
            self.inner.wait()?;
        }
        Ok(())
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        match CHILDREN.with_borrow(|all| all.get(&self.id()).copied().flatten()) {
            Some(status) => Ok(Some(status)),
            None => self.inner.try_wait(),
        }
    }

    /// Process ids fit the kernel's signed ones.
    fn id(&self) -> i32 {
        self.inner.id().cast_signed()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        CHILDREN.with_borrow_mut(|all| all.remove(&self.id()));
    }
}

/// When this is the first process of a container, the processes whose parents have gone become its children: waits for
/// them, lest they stay as zombies until the table of processes is full. Does nothing otherwise.
///
/// # Errors
/// When the system refuses a handler or a descriptor.
pub fn adopt_orphans() -> Result<()> {
    if std::process::id() != 1 {
        return Ok(());
    }
    let (read, write) = UnixStream::pair()?;
    read.set_nonblocking(true)?;
    write.set_nonblocking(true)?;
    pipe::register(SIGCHLD, write)?;
    let ends = Source::new(read)?;
    spawn(async move {
        let mut buf = [0; 64];
        loop {
            reap();
            if !matches!(ends.read(|mut s| s.read(&mut buf)).await, Ok(1..)) {
                return;
            }
        }
    })
    .detach();
    Ok(())
}

/// Takes every child that has ended; the statuses of our own commands are kept for them.
fn reap() {
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        CHILDREN.with_borrow_mut(|all| {
            if let Some(own) = all.get_mut(&pid.as_raw_nonzero().get()) {
                *own = Some(ExitStatus::from_raw(status.as_raw()));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt;
    use std::process::Stdio;

    fn sh(script: &str) -> Child {
        Child::start(Command::new("/bin/sh").args(["-c", script]).stdout(Stdio::piped())).unwrap()
    }

    #[test]
    fn a_child_tells_how_it_ended() {
        let code = rt::run(async { sh("exit 7").wait().await.unwrap().code() }).unwrap();
        assert_eq!(code, Some(7));
    }

    #[test]
    fn one_that_was_reaped_tells_it_too() {
        let mut child = sh("exit 7");
        // Other tests of this process have children that must not be reaped here.
        let status = child.inner.wait().unwrap();
        CHILDREN.with_borrow_mut(|all| all.insert(child.id(), Some(status)));
        assert_eq!(rt::run(async { child.wait().await.unwrap().code() }).unwrap(), Some(7));
        child.kill().unwrap();
    }

    #[test]
    fn killing_waits_for_the_end() {
        let mut child = sh("sleep 100");
        child.kill().unwrap();
        assert!(child.inner.try_wait().unwrap().is_some());
        drop(child);
        assert!(CHILDREN.with_borrow(HashMap::is_empty));
    }
}
