//! What ureq does not tell of its connections: that the server spoke before it hung up, that a kept one had died.

use std::fmt;
use std::io::{self, ErrorKind};
use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Watches every connection that the connectors before it make.
#[derive(Debug)]
pub(super) struct Watch {
    /// Requests that one connection may serve; 0 is no limit.
    pub(super) most: u32,
}

/// A kept connection died before the server said a word: it may have been closed before the request went out.
#[derive(Debug)]
struct Stale(io::Error);

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Stale {}

/// Whether a request failed for nothing but the age of its connection.
pub(super) fn is_stale(e: &io::Error) -> bool {
    e.get_ref().is_some_and(|inner| inner.is::<Stale>())
}

impl<In: Transport> Connector<In> for Watch {
    type Out = Watched<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        let most = if self.most == 0 { u32::MAX } else { self.most };
        Ok(chained.map(|inner| Watched { inner, most, requests: 0, heard: true, hung_up: None }))
    }
}

/// A connection and what it has been through.
#[derive(Debug)]
pub(super) struct Watched<T> {
    inner: T,
    most: u32,
    requests: u32,
    /// Whether the server said something since the last request began.
    heard: bool,
    /// The server hung up in the middle of the request. What it said before, that the body is too large perhaps, is
    /// still to be read.
    hung_up: Option<io::Error>,
}

fn is_hang_up(e: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(e.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}

impl<T: Transport> Transport for Watched<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.hung_up.is_some() {
            return Ok(());
        }
        if std::mem::take(&mut self.heard) {
            self.requests += 1;
        }
        match self.inner.transmit_output(amount, timeout) {
            Err(Error::Io(e)) if is_hang_up(&e) => {
                self.hung_up = Some(e);
                Ok(())
            }
            other => other,
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let why = match self.inner.await_input(timeout) {
            Ok(true) => {
                self.heard = true;
                return Ok(true);
            }
            Ok(false) if !self.heard => ErrorKind::UnexpectedEof.into(),
            Err(Error::Io(e)) if !self.heard && is_hang_up(&e) => e,
            other => return other,
        };
        let why = self.hung_up.take().unwrap_or(why);
        Err(Error::Io(if self.requests > 1 { io::Error::new(why.kind(), Stale(why)) } else { why }))
    }

    fn is_open(&mut self) -> bool {
        self.hung_up.is_none() && self.requests < self.most && self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
