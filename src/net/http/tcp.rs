//! Sockets under ureq: connections as the `net.*` keys ask for them, time limits that progress renews.

use crate::net::Prefer;
use crate::net::connect::{Options, tcp_blocking};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
};

/// Makes connections.
#[derive(Debug)]
pub(super) struct TcpConnector {
    pub(super) options: Options,
    pub(super) prefer: Prefer,
}

impl<In: Transport> Connector<In> for TcpConnector {
    type Out = Either<In, TcpTransport>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        if let Some(there) = chained {
            // A proxy made it.
            return Ok(Some(Either::A(there)));
        }
        let mut addrs = details.addrs.to_vec();
        self.prefer.sort(&mut addrs);
        let end = details.timeout.not_zero().and_then(|limit| Instant::now().checked_add(*limit));
        let mut failed = Error::HostNotFound;
        for (n, &addr) in addrs.iter().enumerate() {
            // An even share of what is left: a dead address does not use up the time of a living one.
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let share = left.map(|left| left / (addrs.len() - n) as u32);
            match tcp_blocking(addr, &self.options, share) {
                Ok(stream) => {
                    let config = details.config;
                    let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
                    return Ok(Some(Either::B(TcpTransport { stream, buffers, limits: [None; 2] })));
                }
                Err(e) if e.kind() == ErrorKind::TimedOut => failed = Error::Timeout(details.timeout.reason),
                Err(e) => failed = Error::Io(e),
            }
        }
        Err(failed)
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct TcpTransport {
    stream: TcpStream,
    buffers: LazyBuffers,
    /// The time limits that are set on the socket, of reading and writing.
    limits: [Option<Duration>; 2],
}

type SetLimit = fn(&TcpStream, Option<Duration>) -> io::Result<()>;

impl TcpTransport {
    /// Sets a limit unless it is the socket's already.
    fn limit(&mut self, which: usize, set: SetLimit, timeout: NextTimeout) -> Result<(), Error> {
        let limit = timeout.not_zero().map(|limit| *limit);
        if timeout.after.is_zero() {
            return Err(Error::Timeout(timeout.reason));
        }
        if let Some(present) = self.limits.get_mut(which).filter(|present| **present != limit) {
            set(&self.stream, limit)?;
            *present = limit;
        }
        Ok(())
    }
}

/// What a socket says when its limit is over.
fn in_time<T>(result: io::Result<T>, timeout: NextTimeout) -> Result<T, Error> {
    result.map_err(|e| match e.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::Timeout(timeout.reason),
        _ => Error::Io(e),
    })
}

impl Transport for TcpTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        self.limit(1, TcpStream::set_write_timeout, timeout)?;
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        in_time(self.stream.write_all(output), timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        self.limit(0, TcpStream::set_read_timeout, timeout)?;
        let room = self.buffers.input_append_buf();
        let read = loop {
            match self.stream.read(room) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => break in_time(other, timeout)?,
            }
        };
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    /// Nothing may be there to read: neither the end nor a byte that would be taken for the next answer.
    fn is_open(&mut self) -> bool {
        let quiet = self.stream.set_nonblocking(true).is_ok()
            && self.stream.peek(&mut [0]).is_err_and(|e| e.kind() == ErrorKind::WouldBlock);
        quiet && self.stream.set_nonblocking(false).is_ok()
    }
}
