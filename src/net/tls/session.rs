//! The TLS side of one connection: bytes in, bytes out, no socket.

use super::client::was_asked;
use super::words::{told, words};
use rustls::{Connection, ProtocolVersion};
use std::io::{Error, ErrorKind, Read, Result, Write};

/// A TLS connection, client's or server's.
#[derive(Debug)]
pub struct Session {
    connection: Connection,
    debug: u8,
    /// The server asked for our certificate and said nothing since.
    judged: bool,
}

impl Session {
    pub(super) fn new(connection: impl Into<Connection>, debug: u8) -> Self {
        Self { connection: connection.into(), debug, judged: true }
    }

    /// `tls.debug`: 0 says nothing of failed handshakes of clients, from 2 on every handshake is told.
    pub fn debug(&self) -> u8 {
        self.debug
    }

    /// What both sides agreed on, in words, once the handshake is done.
    pub fn told(&self) -> String {
        let name = match &self.connection {
            Connection::Server(c) => c.server_name(),
            Connection::Client(_) => None,
        };
        told(&self.connection, name)
    }

    /// The protocol that both sides agreed on (RFC 7301), once the handshake is done.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    /// Whether the handshake still goes on.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the handshake is done for us while the server may still refuse our certificate, or that we have none: with
    /// TLS 1.3 it says so, or sends a ticket, after that (RFC 8446 4.4.2.4, 4.6.1).
    pub fn awaits_verdict(&self) -> bool {
        !self.judged && self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    /// Whether there is something for [`Self::write_tls`] to send.
    pub fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// Sends protected bytes.
    ///
    /// # Errors
    /// What `to` answers.
    pub fn write_tls(&mut self, to: &mut dyn Write) -> Result<usize> {
        self.connection.write_tls(to)
    }

    /// Takes protected bytes in and works on them; 0 at the end.
    ///
    /// # Errors
    /// What `from` answers, and `InvalidData` in words when TLS is broken or the peer is not trusted.
    pub fn read_tls(&mut self, from: &mut dyn Read) -> Result<usize> {
        let n = self.connection.read_tls(from)?;
        let server = matches!(self.connection, Connection::Server(_));
        was_asked();
        let done = self.connection.process_new_packets();
        done.map_err(|e| Error::new(ErrorKind::InvalidData, words(&e, server)))?;
        self.judged = !was_asked();
        Ok(n)
    }

    /// Takes plain bytes to protect, as many as the buffer has room for.
    ///
    /// # Errors
    /// None while the connection is open.
    pub fn write_plain(&mut self, bytes: &[u8]) -> Result<usize> {
        self.connection.writer().write(bytes)
    }

    /// Gives plain bytes; 0 once the peer said goodbye.
    ///
    /// # Errors
    /// `WouldBlock` when there are none yet, `UnexpectedEof` when the peer left without saying goodbye.
    pub fn read_plain(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.connection.reader().read(buf)
    }

    /// Says goodbye; [`Self::write_tls`] then sends it.
    pub fn close(&mut self) {
        self.connection.send_close_notify();
    }
}
