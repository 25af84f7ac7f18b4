//! Descriptors that wait: non-blocking operations retried when the reactor says so.

use super::reactor;
use std::future::poll_fn;
use std::io::{ErrorKind, Result};
use std::os::fd::AsFd;
use std::task::{Context, Poll};

const READ: usize = 0;
const WRITE: usize = 1;

/// A non-blocking descriptor registered with the reactor for as long as it lives.
#[derive(Debug)]
pub struct Source<T: AsFd> {
    io: Option<T>,
    key: usize,
}

impl<T: AsFd> Source<T> {
    /// Registers `io`, which must be in non-blocking mode.
    ///
    /// # Errors
    /// When the kernel cannot watch it (regular files) or too many descriptors are open.
    pub fn new(io: T) -> Result<Self> {
        let key = reactor::add(&io)?;
        Ok(Self { io: Some(io), key })
    }

    /// The descriptor's owner.
    pub fn get(&self) -> Option<&T> {
        self.io.as_ref()
    }

    /// Runs a read-like operation, again after each wait, until it does not answer `WouldBlock`.
    ///
    /// # Errors
    /// Whatever the operation answers.
    pub async fn read<R>(&self, op: impl FnMut(&T) -> Result<R>) -> Result<R> {
        self.retry(READ, op).await
    }

    /// Runs a write-like operation, again after each wait, until it does not answer `WouldBlock`.
    ///
    /// # Errors
    /// Whatever the operation answers.
    pub async fn write<R>(&self, op: impl FnMut(&T) -> Result<R>) -> Result<R> {
        self.retry(WRITE, op).await
    }

    async fn retry<R>(&self, direction: usize, mut op: impl FnMut(&T) -> Result<R>) -> Result<R> {
        poll_fn(|cx| self.poll(cx, direction, &mut op)).await
    }

    fn poll<R>(&self, cx: &mut Context<'_>, direction: usize, op: &mut impl FnMut(&T) -> Result<R>) -> Poll<Result<R>> {
        let Some(io) = &self.io else { return Poll::Ready(Err(ErrorKind::NotConnected.into())) };
        loop {
            let ready = reactor::with_slot(self.key, direction, |s| {
                if !s.ready {
                    s.waker = Some(cx.waker().clone());
                }
                s.ready
            });
            if ready != Some(true) {
                return Poll::Pending;
            }
            match op(io) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    reactor::with_slot(self.key, direction, |s| s.ready = false);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl<T: AsFd> Drop for Source<T> {
    fn drop(&mut self) {
        if let Some(io) = self.io.take() {
            reactor::remove(self.key, &io);
        }
    }
}
