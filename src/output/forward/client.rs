//! One server: handshake, messages, acknowledgements.

use crate::fmt::forward::{
    Frame, Helo, MAX_ACK, MAX_HANDSHAKE, Ping, Pong, key_digest, password_digest, read_ack, same,
};
use crate::net::{Conn, Probe, Upstream, connect};
use crate::output::Payload;
use crate::rt::{self, timeout};
use std::time::Duration;

/// The length of an id, in bytes.
const ID: usize = 32;
/// Messages that are sent before their acknowledgements are waited for: neither side then fills the other's buffers.
const GROUP: usize = 256;

/// What proves to the server who we are.
#[derive(Debug, Clone)]
pub struct Secret {
    /// The shared key.
    pub key: String,
    /// Our name.
    pub hostname: String,
    /// A user's name, where the server asks for one.
    pub username: String,
    /// The user's password.
    pub password: String,
}

/// Why nothing is stored.
#[derive(Debug)]
pub enum Failure {
    /// The server is out of reach, or does not let us in.
    Down(String),
    /// It took the bytes, and did not acknowledge them as it should.
    NoAck(String),
}

/// A server and the way to it.
#[derive(Debug)]
pub struct Client {
    /// Connections to it.
    pub upstream: Upstream,
    /// The handshake, where one is wanted.
    pub secret: Option<Secret>,
    /// How long the handshake may take.
    pub patience: Duration,
    /// How long an acknowledgement may take.
    pub ack_timeout: Duration,
}

impl Client {
    /// Sends messages. The items of the payload say where the ids stand that are to be acknowledged, and where each message
    /// ends. A kept connection that turns out to be dead is replaced once.
    pub async fn send(&self, payload: &Payload) -> Result<(), Failure> {
        let conn = self.upstream.get().await.map_err(Failure::Down)?;
        if conn.is_reused() {
            match self.exchange(conn, payload).await {
                Err(Failure::Down(why)) => {
                    log::debug!("[net] {}: {why}; connecting anew", self.upstream.target());
                }
                done => return done.map_err(|f| self.named(f)),
            }
            let fresh = self.upstream.fresh().await.map_err(Failure::Down)?;
            return self.exchange(fresh, payload).await.map_err(|f| self.named(f));
        }
        self.exchange(conn, payload).await.map_err(|f| self.named(f))
    }

    fn named(&self, failure: Failure) -> Failure {
        let target = self.upstream.target();
        match failure {
            Failure::Down(why) => Failure::Down(format!("{target}: {why}")),
            Failure::NoAck(why) => Failure::NoAck(format!("{target}: {why}")),
        }
    }

    async fn exchange(&self, mut conn: Conn, payload: &Payload) -> Result<(), Failure> {
        if conn.is_reused() {
            if conn.probe() == Probe::Closed {
                return Err(down("the peer closed the connection"));
            }
        } else if let Some(secret) = &self.secret {
            let done = timeout(self.patience, greet(&mut conn, secret)).await;
            done.unwrap_or_else(|| {
                Err("the server did not complete the handshake in time; perhaps it expects no Shared_Key".to_owned())
            })
            .map_err(Failure::Down)?;
        }
        if payload.items.is_empty() {
            write(&mut conn, &payload.bytes).await?;
            conn.acknowledged().await.map_err(|e| Failure::Down(connect::words(&e)))?;
            return match conn.probe() {
                Probe::Quiet => {
                    conn.keep();
                    Ok(())
                }
                // Nobody answers in this protocol but who begins a handshake, and then our data was not taken.
                Probe::Data => Err(down("the server wants a handshake: set Shared_Key")),
                // Its system has everything: it takes one message a connection.
                Probe::Closed => Ok(()),
            };
        }
        let (mut at, mut answers) = (0, Answers::default());
        for group in payload.items.chunks(GROUP) {
            let end = group.last().map_or(at, |&(_, end)| end as usize);
            write(&mut conn, payload.bytes.get(at..end).unwrap_or_default()).await?;
            let ids = group.iter().filter_map(|&(id, _)| payload.bytes.get(id as usize..id as usize + ID));
            let waited = timeout(self.ack_timeout, answers.wait(&mut conn, ids.collect())).await;
            waited.unwrap_or_else(|| {
                Err(Failure::NoAck(format!("no acknowledgement within {:?} (Ack_Response_Timeout)", self.ack_timeout)))
            })?;
            at = end;
        }
        conn.keep();
        Ok(())
    }
}

fn down(why: &str) -> Failure {
    Failure::Down(why.to_owned())
}

async fn write(conn: &mut Conn, bytes: &[u8]) -> Result<(), Failure> {
    conn.write_all(bytes).await.map_err(|e| Failure::Down(connect::words(&e)))
}

/// What the server says, value by value.
#[derive(Default)]
struct Answers {
    bytes: Vec<u8>,
    frame: Frame,
}

impl Answers {
    /// Waits for the acknowledgements of all `ids`, in whatever order.
    async fn wait(&mut self, conn: &mut Conn, mut ids: Vec<&[u8]>) -> Result<(), Failure> {
        while !ids.is_empty() {
            let answer = self.next(conn, MAX_ACK).await.map_err(Failure::Down)?;
            match read_ack(&answer) {
                Some(id) => match ids.iter().position(|waited| *waited == id) {
                    Some(at) => drop(ids.swap_remove(at)),
                    None => {
                        let id = String::from_utf8_lossy(id).into_owned();
                        return Err(Failure::NoAck(format!("it acknowledged '{id}', which it was not sent")));
                    }
                },
                None if Helo::read(&answer).is_some() => {
                    return Err(down("the server wants a handshake: set Shared_Key"));
                }
                None => return Err(Failure::NoAck("it answered something that is no acknowledgement".to_owned())),
            }
        }
        Ok(())
    }

    /// The next value of at most `max` bytes.
    async fn next(&mut self, conn: &mut Conn, max: usize) -> Result<Vec<u8>, String> {
        let mut buf = [0; 1024];
        loop {
            match self.frame.next(&self.bytes, max) {
                Ok(Some(len)) => {
                    let rest = self.bytes.split_off(len);
                    return Ok(std::mem::replace(&mut self.bytes, rest));
                }
                Ok(None) => {}
                Err(_) => return Err("it does not speak the forward protocol".to_owned()),
            }
            let n = conn.read(&mut buf).await.map_err(|e| connect::words(&e))?;
            if n == 0 {
                return Err("the peer closed the connection without an answer".to_owned());
            }
            self.bytes.extend_from_slice(buf.get(..n).unwrap_or_default());
        }
    }
}

/// The client's side of the handshake.
async fn greet(conn: &mut Conn, secret: &Secret) -> Result<(), String> {
    let mut answers = Answers::default();
    let helo = answers.next(conn, MAX_HANDSHAKE).await?;
    let helo = Helo::read(&helo).ok_or("the server begins with something that is no HELO")?;
    let mut random = [0; 16];
    rt::random(&mut random).map_err(|e| connect::words(&e))?;
    let mut salt = Vec::new();
    crate::util::hex::push(&mut salt, &random);
    let hostname = secret.hostname.as_bytes();
    let digest = key_digest(&salt, hostname, helo.nonce, secret.key.as_bytes());
    let proof = password_digest(helo.auth, secret.username.as_bytes(), secret.password.as_bytes());
    // A server that asks for no user gets none.
    let (username, password): (&[u8], &[u8]) =
        if helo.auth.is_empty() { (b"", b"") } else { (secret.username.as_bytes(), &proof) };
    let mut out = Vec::new();
    Ping { hostname, salt: &salt, digest: &digest, username, password }.write(&mut out);
    conn.write_all(&out).await.map_err(|e| connect::words(&e))?;
    let pong = answers
        .next(conn, MAX_HANDSHAKE)
        .await
        .map_err(|why| format!("{why}; perhaps its Shared_Key is another one"))?;
    let pong = Pong::read(&pong).ok_or("the server answers something that is no PONG")?;
    if let Some(why) = pong.refused {
        return Err(format!("refused: {} (Shared_Key, Username, Password)", String::from_utf8_lossy(why)));
    }
    if !same(&key_digest(&salt, pong.hostname, helo.nonce, secret.key.as_bytes()), pong.digest) {
        return Err("the server does not know the Shared_Key".to_owned());
    }
    Ok(())
}
