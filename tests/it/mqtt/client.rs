//! MQTT clients, and brokers, that do as they are told.

use crate::lab::PATIENCE;
use collector::fmt::mqtt::{Connect, Decoder, Packet, Publish, Reply, connect, publish, reply};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

/// A connection to the input.
pub struct Client {
    stream: TcpStream,
    decoder: Decoder,
    slowly: bool,
}

/// How a client introduces itself when nothing else is asked for.
pub const USUAL: Connect<'static> =
    Connect { level: 4, clean: true, keep_alive: 0, client_id: "", will: None, user: None, password: None };

impl Client {
    /// A connection on which nothing was said.
    pub fn silent(port: u16) -> Option<Self> {
        Some(Self::over(TcpStream::connect(("127.0.0.1", port)).ok()?))
    }

    /// Either side of this connection.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, decoder: Decoder::new(1 << 20), slowly: false }
    }

    /// One that was let in.
    pub fn connect(port: u16) -> Self {
        Self::introduced(port, &USUAL).unwrap()
    }

    /// One that introduced itself so; `None` when it was not let in.
    pub fn introduced(port: u16, how: &Connect<'_>) -> Option<Self> {
        let mut client = Self::silent(port)?;
        client.introduce(how);
        (client.answer()? == "ConnAck { session: false, code: 0 }").then_some(client)
    }

    pub fn introduce(&mut self, how: &Connect<'_>) {
        let mut out = Vec::new();
        connect(how, &mut out);
        self.send(&out);
    }

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

    /// Publishes with this quality of service, as number `id`.
    pub fn publish(&mut self, qos: u8, id: u16, topic: &str, payload: &[u8]) -> bool {
        let id = if qos == 0 { 0 } else { id };
        let mut out = Vec::new();
        assert!(publish(&Publish { topic, payload, qos, id, ..Publish::default() }, &mut out));
        self.send(&out)
    }

    pub fn reply(&mut self, what: Reply, id: u16) {
        let mut out = Vec::new();
        reply(what, id, &mut out);
        self.send(&out);
    }

    /// The next packet, shown; `None` when there is none any more.
    pub fn answer(&mut self) -> Option<String> {
        loop {
            if let Some(packet) = self.decoder.next_packet().unwrap() {
                return Some(match packet {
                    Packet::Reply(what, id) => format!("{what:?} {id}"),
                    other => format!("{other:?}"),
                });
            }
            let room = self.decoder.room(4096);
            match self.stream.read(room) {
                Ok(n @ 1..) => self.decoder.filled(n),
                _ => return None,
            }
        }
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
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
    }
}
