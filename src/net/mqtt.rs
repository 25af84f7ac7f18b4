//! MQTT over a connection: packets in and out, and a client's way into a broker.

use super::connect;
use super::{Conn, Stream, Upstream};
use crate::fmt::mqtt::{Connect, DISCONNECT, Decoder, MAX_TEXT, PINGREQ, Packet, Wrong, connect as introduce, refusal};
use crate::rt::{now, or, timeout};
use std::io::{Error, ErrorKind};
use std::time::{Duration, Instant};

/// Bytes read at a time.
const READ: usize = 64 << 10;
/// How long the last word may take.
const GOODBYE: Duration = Duration::from_millis(200);

/// Who we are to a broker.
#[derive(Debug, Clone)]
pub struct Login {
    /// The client's name.
    pub client_id: String,
    /// The user, where the broker wants one.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// Whether the broker is to forget what it has for this client.
    pub clean: bool,
    /// How long the connection may be silent; zero is for ever.
    pub keep_alive: Duration,
}

impl Login {
    /// Whether MQTT can say it.
    ///
    /// # Errors
    /// The key that it cannot say, and why.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let texts = [("Client_ID", Some(&self.client_id)), ("User", self.user.as_ref())];
        for (key, text) in texts.into_iter().chain([("Password", self.password.as_ref())]) {
            match text {
                Some(text) if text.len() > MAX_TEXT => return Err((key, "is longer than MQTT allows")),
                Some(text) if text.contains('\0') => return Err((key, "has a NUL in it")),
                _ => {}
            }
        }
        match u16::try_from(self.keep_alive.as_secs()) {
            Ok(_) => Ok(()),
            Err(_) => Err(("Keep_Alive", "is longer than MQTT allows")),
        }
    }
}

/// A broker, and the way to it.
#[derive(Debug)]
pub struct Broker {
    upstream: Upstream,
    login: Login,
    /// How long an answer may take.
    pub patience: Duration,
    /// The longest payload that is taken whole, in bytes.
    payload: usize,
}

/// A stream, and the packets that come over it.
#[derive(Debug)]
pub struct Wire<S> {
    stream: S,
    decoder: Decoder,
}

/// A client's connection that was let in.
#[derive(Debug)]
pub struct Link {
    /// Packets in and out.
    pub wire: Wire<Conn>,
    /// The broker has the session of an earlier connection.
    pub has_session: bool,
    keep_alive: Duration,
    patience: Duration,
    /// When something was sent last.
    spoke: Instant,
    /// The number of the last message.
    id: u16,
}

impl Broker {
    /// Nothing is connected yet.
    pub fn new(upstream: Upstream, login: Login, patience: Duration, payload: usize) -> Self {
        Self { upstream, login, patience, payload }
    }

    /// `broker.example:1883`, for messages.
    pub fn name(&self) -> String {
        self.upstream.target().to_string()
    }

    /// Connects and introduces itself.
    ///
    /// # Errors
    /// In words: out of reach, no answer, not let in.
    pub async fn connect(&self) -> Result<Link, String> {
        let conn = self.upstream.fresh().await?;
        let Login { client_id, user, password, clean, keep_alive } = &self.login;
        let mut link = Link {
            wire: Wire::new(conn, self.payload),
            has_session: false,
            keep_alive: *keep_alive,
            patience: self.patience,
            spoke: now(),
            id: 0,
        };
        let mut hello = Vec::new();
        let whole = Connect {
            level: 4,
            clean: *clean,
            keep_alive: u16::try_from(keep_alive.as_secs()).unwrap_or(u16::MAX),
            client_id,
            will: None,
            user: user.as_deref(),
            password: password.as_deref().map(str::as_bytes),
        };
        introduce(&whole, &mut hello);
        let introduced = async {
            link.send(&hello).await?;
            link.wire
                .next(|packet| match packet {
                    Packet::ConnAck { session, code } => Ok((session, code)),
                    _ => Err("it answers CONNECT with something else".to_owned()),
                })
                .await?
        };
        let patience = self.patience;
        let done = timeout(patience, introduced).await.unwrap_or_else(|| Err(silent(patience)));
        match done {
            Ok((session, 0)) => link.has_session = session,
            Ok((_, code)) => return Err(format!("{} lets us not in: {}", self.name(), refusal(code))),
            // Who speaks no TLS, or nothing else, mostly just hangs up.
            Err(why) => return Err(format!("{}: {why} (is it an MQTT broker, and is tls as it asks?)", self.name())),
        }
        Ok(link)
    }
}

fn words(e: &Error) -> String {
    match e.kind() {
        ErrorKind::TimedOut => "no answer in time (Timeout, net.io_timeout)".into(),
        _ => connect::words(e),
    }
}

fn silent(patience: Duration) -> String {
    format!("no answer within {patience:?} (Timeout)")
}

impl<S: AsMut<Stream>> Wire<S> {
    /// Nothing was read yet; payloads are taken whole up to so many bytes.
    pub fn new(stream: S, payload: usize) -> Self {
        Self { stream, decoder: Decoder::new(payload) }
    }

    /// Memory that is held for what was read, in bytes.
    pub fn memory(&self) -> usize {
        self.decoder.memory()
    }

    /// Sends packets.
    ///
    /// # Errors
    /// In words; the connection is of no more use then.
    pub async fn send(&mut self, packets: &[u8]) -> Result<(), String> {
        self.stream.as_mut().write_all(packets).await.map_err(|e| words(&e))
    }

    /// The next packet that was read already, if any.
    ///
    /// # Errors
    /// What the peer did wrong.
    pub fn packet(&mut self) -> Result<Option<Packet<'_>>, Wrong> {
        self.decoder.next_packet()
    }

    /// Reads on; how many bytes, 0 at the end. May be given up: nothing is lost then.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn fill(&mut self) -> Result<usize, String> {
        let Self { stream, decoder } = self;
        let read = stream.as_mut().read_with(|from| {
            let got = from.read(decoder.room(READ));
            match &got {
                Ok(n) => decoder.filled(*n),
                Err(_) => decoder.rest(),
            }
            got
        });
        read.await.map_err(|e| words(&e))
    }

    /// What `look` makes of the next packet.
    ///
    /// # Errors
    /// When the connection ended, or the peer did something wrong.
    pub async fn next<T>(&mut self, look: impl FnOnce(Packet<'_>) -> T) -> Result<T, String> {
        loop {
            if let Some(packet) = self.packet().map_err(|wrong| wrong.to_string())? {
                return Ok(look(packet));
            }
            if self.fill().await? == 0 {
                return Err("it closed the connection".into());
            }
        }
    }

    /// Whether the peer has not closed it. What it said meanwhile is forgotten.
    pub async fn is_open(&mut self) -> bool {
        loop {
            match or(async { Some(self.fill().await) }, async { None }).await {
                None => return true,
                Some(Ok(0) | Err(_)) => return false,
                Some(Ok(_)) => while let Ok(Some(_)) = self.packet() {},
            }
        }
    }

    /// Ends our direction, and reads what the peer still says: closing with its words unread would take ours with it.
    pub async fn finish(&mut self) {
        timeout(GOODBYE, async {
            if self.stream.as_mut().finish().await.is_ok() {
                while matches!(self.fill().await, Ok(1..)) {
                    while let Ok(Some(_)) = self.packet() {}
                }
            }
        })
        .await;
    }
}

impl Link {
    /// Sends packets.
    ///
    /// # Errors
    /// In words; the connection is of no more use then.
    pub async fn send(&mut self, packets: &[u8]) -> Result<(), String> {
        self.spoke = now();
        self.wire.send(packets).await
    }

    /// Waits until the broker's system has what was sent.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn flushed(&self) -> Result<(), String> {
        self.wire.stream.acknowledged().await.map_err(|e| words(&e))
    }

    /// The number of the next message, from 1 on.
    pub fn next_id(&mut self) -> u16 {
        self.id = self.id.checked_add(1).unwrap_or(1);
        self.id
    }

    /// Whether it may be used once more (`net.keepalive`, `net.keepalive_max_recycle`).
    pub fn is_kept(&self) -> bool {
        self.wire.stream.is_kept()
    }

    /// It is used once more.
    pub fn reuse(&mut self) {
        self.wire.stream.reuse();
    }

    /// When [`Self::ping`] is to be called; `None` without keep-alive.
    pub fn due(&self) -> Option<Instant> {
        // A quarter of the time is for the way there.
        (!self.keep_alive.is_zero()).then(|| self.spoke + self.keep_alive * 3 / 4)
    }

    /// Asks whether the broker is there, and waits for its answer.
    ///
    /// # Errors
    /// When it is not.
    pub async fn ping(&mut self) -> Result<(), String> {
        self.send(&PINGREQ).await?;
        let patience = self.patience;
        timeout(patience, self.wire.next(|_| ())).await.unwrap_or_else(|| Err(silent(patience)))
    }

    /// Takes leave.
    pub async fn close(mut self) {
        if let Some(Ok(())) = timeout(GOODBYE, self.send(&DISCONNECT)).await {
            self.wire.finish().await;
        }
    }
}
