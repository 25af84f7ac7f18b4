//! A connection to the program as a test's client holds it.

use super::PATIENCE;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

/// Clients of a protocol are this, and what they say.
pub struct Wire {
    pub stream: TcpStream,
    slowly: bool,
}

impl Wire {
    /// A connection to this port; `None` when it is not taken.
    pub fn connect(port: u16) -> Option<Self> {
        Some(Self::over(TcpStream::connect(("127.0.0.1", port)).ok()?))
    }

    /// Either side of this connection.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, slowly: false }
    }

    /// Whether all of it could be sent.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        if self.slowly {
            return bytes.iter().all(|b| self.stream.write_all(&[*b]).is_ok());
        }
        self.stream.write_all(bytes).is_ok()
    }

    /// From now on a byte at a time, or not.
    pub fn slowly(&mut self, slowly: bool) {
        self.slowly = slowly;
    }

    /// Whether nothing has come.
    pub fn is_silent(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let got = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        got.is_err_and(|e| e.kind() == ErrorKind::WouldBlock)
    }

    /// Whether the other side closes the connection, sooner or later.
    pub fn is_closed(&mut self) -> bool {
        let mut buf = [0; 64];
        loop {
            match self.stream.read(&mut buf) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(e) => return e.kind() == ErrorKind::ConnectionReset,
            }
        }
    }

    /// Says that nothing follows.
    pub fn shut(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }
}
