//! Sockets under ureq: connections as the `net.*` keys ask for them, time limits that progress renews.

use crate::net::Prefer;
use crate::net::connect::{Options, first_blocking};
use crate::net::resolve::resolve_blocking;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
};

/// What an error of a look-up begins with.
pub(super) const NO_ADDRESS: &str = "failed to lookup address information";

/// Looks names up as all outputs do, in the cache of all.
#[derive(Debug)]
pub(super) struct Names(pub(super) Prefer);

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().ok_or(Error::HostNotFound)?;
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let found = resolve_blocking(host, port, self.0);
        let found = found.map_err(|why| Error::Io(io::Error::other(format!("{NO_ADDRESS}: {why}"))))?;
        let mut all = self.empty();
        found.into_iter().take(16).for_each(|addr| all.push(addr));
        Ok(all)
    }
}

/// Makes connections.
#[derive(Debug)]
pub(super) struct TcpConnector {
    pub(super) options: Options,
}

impl<In: Transport> Connector<In> for TcpConnector {
    type Out = Either<In, TcpTransport>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        if let Some(there) = chained {
            // A proxy made it.
            return Ok(Some(Either::A(there)));
        }
        let limit = details.timeout.not_zero().map(|limit| *limit);
        match first_blocking(&details.addrs, &self.options, limit) {
            Ok(stream) => {
                let config = details.config;
                let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
                Ok(Some(Either::B(TcpTransport { stream, buffers, limits: [None; 2] })))
            }
            Err(e) if e.kind() == ErrorKind::TimedOut => Err(Error::Timeout(details.timeout.reason)),
            Err(e) => Err(Error::Io(e)),
        }
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
