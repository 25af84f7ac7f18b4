//! MQTT clients, and brokers, that do as they are told.

use crate::lab::Wire;
use collector::fmt::mqtt::{Connect, Decoder, Packet, Publish, Reply, connect, publish, reply};
use std::io::Read;
use std::net::TcpStream;
use std::ops::{Deref, DerefMut};

/// A connection to the input.
pub struct Client {
    wire: Wire,
    decoder: Decoder,
}

/// How a client introduces itself when nothing else is asked for.
pub const USUAL: Connect<'static> =
    Connect { level: 4, clean: true, keep_alive: 0, client_id: "", will: None, user: None, password: None };

impl Client {
    /// A connection on which nothing was said.
    pub fn silent(port: u16) -> Option<Self> {
        Some(Self { wire: Wire::connect(port)?, decoder: decoder() })
    }

    /// Either side of this connection.
    pub fn over(stream: TcpStream) -> Self {
        Self { wire: Wire::over(stream), decoder: decoder() }
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
            match self.wire.stream.read(room) {
                Ok(n @ 1..) => self.decoder.filled(n),
                _ => return None,
            }
        }
    }
}

impl Deref for Client {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.wire
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Wire {
        &mut self.wire
    }
}

fn decoder() -> Decoder {
    Decoder::new(1 << 20)
}
