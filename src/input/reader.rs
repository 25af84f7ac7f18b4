//! Bytes of a descriptor, read without blocking the event thread.

use crate::rt::{Source, yield_now};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;

/// A file, a pipe or the like. It may be shared with other processes: its flags are left alone, so each read is preceded
/// by poll(2).
#[derive(Debug)]
pub enum Reader {
    /// What can be waited for.
    Watched(Source<OwnedFd>),
    /// Regular files, which cannot be watched and never wait long.
    Plain(OwnedFd),
}

impl Reader {
    /// A reader of this descriptor.
    pub fn new(fd: OwnedFd) -> Self {
        match rustix::io::dup(&fd).map_err(io::Error::from).and_then(Source::new) {
            Ok(source) => Self::Watched(source),
            Err(_) => Self::Plain(fd),
        }
    }

    /// Reads what is there into `buf`, waiting until there is something; 0 is the end.
    ///
    /// # Errors
    /// The system's.
    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(fd) => {
                yield_now().await;
                Ok(rustix::io::read(fd, buf)?)
            }
            Self::Watched(source) => {
                source
                    .read(|fd| match is_ready(fd)? {
                        true => Ok(rustix::io::read(fd, &mut *buf)?),
                        false => Err(ErrorKind::WouldBlock.into()),
                    })
                    .await
            }
        }
    }

    /// Reads what is there now; `None` when there is nothing.
    ///
    /// # Errors
    /// The system's.
    pub fn read_now(&self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        match self {
            Self::Plain(fd) => Ok(Some(rustix::io::read(fd, buf)?)),
            Self::Watched(source) => match source.get() {
                Some(fd) if is_ready(fd)? => Ok(Some(rustix::io::read(fd, buf)?)),
                _ => Ok(None),
            },
        }
    }
}

/// Whether a read returns at once.
fn is_ready(fd: &OwnedFd) -> io::Result<bool> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&now))? > 0)
}
