//! The TLS side of one connection: bytes in, bytes out, no socket.

use super::words::words;
use rustls::Connection;
use std::io::{Error, ErrorKind, Read, Result, Write};

/// A TLS connection, client's or server's.
#[derive(Debug)]
pub struct Session(Connection);

impl Session {
    pub(super) fn new(connection: impl Into<Connection>) -> Self {
        Self(connection.into())
    }

    /// Whether the handshake still goes on.
    pub fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    /// Whether there is something for [`Self::write_tls`] to send.
    pub fn wants_write(&self) -> bool {
        self.0.wants_write()
    }

    /// Sends protected bytes.
    ///
    /// # Errors
    /// What `to` answers.
    pub fn write_tls(&mut self, to: &mut dyn Write) -> Result<usize> {
        self.0.write_tls(to)
    }

    /// Takes protected bytes in and works on them; 0 at the end.
    ///
    /// # Errors
    /// What `from` answers, and `InvalidData` in words when TLS is broken or the peer is not trusted.
    pub fn read_tls(&mut self, from: &mut dyn Read) -> Result<usize> {
        let n = self.0.read_tls(from)?;
        self.0.process_new_packets().map_err(|e| Error::new(ErrorKind::InvalidData, words(&e)))?;
        Ok(n)
    }

    /// Takes plain bytes to protect, as many as the buffer has room for.
    ///
    /// # Errors
    /// None while the connection is open.
    pub fn write_plain(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.writer().write(bytes)
    }

    /// Gives plain bytes; 0 once the peer said goodbye.
    ///
    /// # Errors
    /// `WouldBlock` when there are none yet, `UnexpectedEof` when the peer left without saying goodbye.
    pub fn read_plain(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.0.reader().read(buf)
    }

    /// Says goodbye; [`Self::write_tls`] then sends it.
    pub fn close(&mut self) {
        self.0.send_close_notify();
    }
}
