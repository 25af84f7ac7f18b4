//! One broker and the connection to it: made when needed, introduced by ApiVersions and SASL, used by one request at a time.

use super::settings::{Sasl, Settings};
use crate::fmt::kafka::{Api, Malformed, Reader, Versions, Writer, api, error, request, response, sasl, scram};
use crate::net::{Conn, Probe, Target, Upstream, connect};
use crate::rt::{Notify, timeout};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

/// The longest answer, in bytes.
const MAX_ANSWER: usize = 16 << 20;
/// Read at a time.
const PIECE: usize = 64 << 10;

/// Why a request has no answer.
#[derive(Debug)]
pub enum Failure {
    /// The broker did not get it.
    Unsent(String),
    /// It may have got it.
    Unanswered(String),
}

impl Failure {
    /// In words.
    pub fn into_words(self) -> String {
        match self {
            Self::Unsent(why) | Self::Unanswered(why) => why,
        }
    }
}

/// A broker.
#[derive(Debug)]
pub struct Broker {
    upstream: Upstream,
    link: RefCell<Option<Link>>,
    turn: Turn,
}

#[derive(Debug)]
struct Link {
    conn: Conn,
    versions: Versions,
    correlation: i32,
    /// When the broker wants us to prove again who we are.
    until: Option<Instant>,
}

impl Broker {
    /// A broker at an address; nothing is connected yet.
    pub fn new(target: Target, settings: &Settings) -> Result<Self, String> {
        let upstream = Upstream::new(target, &settings.net, settings.tls.clone())?;
        Ok(Self { upstream, link: RefCell::default(), turn: Turn::default() })
    }

    /// Where it is.
    pub fn target(&self) -> &Target {
        self.upstream.target()
    }

    /// Whether a connection is kept.
    pub fn is_connected(&self) -> bool {
        self.link.borrow().is_some()
    }

    /// Closes the connection.
    pub fn close(&self) {
        self.link.take();
    }

    /// Sends a request, made for the version that is spoken, and returns that version and the answer; without one when
    /// `answered` is false, as soon as the broker's system has the request.
    pub async fn call(
        &self,
        settings: &Settings,
        kind: Api,
        answered: bool,
        make: impl FnOnce(i16, i32) -> Vec<u8>,
    ) -> Result<(i16, Vec<u8>), Failure> {
        let _mine = self.turn.take().await;
        let mut link = match self.take_link() {
            Some(link) => link,
            None => self.connect(settings).await.map_err(Failure::Unsent)?,
        };
        let Some(version) = link.versions.of(kind) else {
            let why = format!(
                "{} speaks no version of {kind:?} that is known here: brokers from 0.11 on are served",
                self.target()
            );
            return Err(Failure::Unsent(why));
        };
        let correlation = link.next();
        let bytes = make(version, correlation);
        let failed = |why: String| Failure::Unanswered(format!("{}: {why}", self.target()));
        let exchange = async {
            link.conn.write_all(&bytes).await.map_err(|e| connect::words(&e))?;
            if answered {
                return link.receive(kind, version, correlation).await;
            }
            link.conn.acknowledged().await.map_err(|e| connect::words(&e))?;
            Ok(Vec::new())
        };
        let limit = settings.answer_timeout;
        let answer = timeout(limit, exchange).await.unwrap_or_else(|| Err(format!("no answer within {limit:?}")));
        let answer = answer.map_err(failed)?;
        self.link.replace(Some(link));
        Ok((version, answer))
    }

    /// The kept connection, when it can still be used.
    fn take_link(&self) -> Option<Link> {
        let mut link = self.link.take()?;
        let fresh = link.until.is_none_or(|until| Instant::now() < until);
        (fresh && link.conn.probe() == Probe::Quiet).then_some(link)
    }

    async fn connect(&self, settings: &Settings) -> Result<Link, String> {
        let conn = self.upstream.fresh().await.map_err(|why| match &settings.tls {
            // What a port without TLS does with our first words.
            Some(_) if why.ends_with("closed the connection") => format!("{why} (does this port speak TLS?)"),
            _ => why,
        })?;
        let mut link = Link { conn, versions: Versions::default(), correlation: 0, until: None };
        let limit = settings.answer_timeout.min(Duration::from_secs(30));
        let introduced = timeout(limit, link.introduce(settings)).await;
        match introduced.unwrap_or_else(|| Err(format!("no answer within {limit:?}"))) {
            Ok(()) => Ok(link),
            Err(why) => Err(format!("cannot use {}: {why}", self.target())),
        }
    }
}

impl Link {
    fn next(&mut self) -> i32 {
        self.correlation = self.correlation.wrapping_add(1);
        self.correlation
    }

    async fn introduce(&mut self, settings: &Settings) -> Result<(), String> {
        let answer = self.ask(settings, Api::ApiVersions, 3, |w| api::api_versions(w, 3)).await.map_err(|why| {
            format!("{why} (is it a Kafka broker, and does this port want TLS or SASL? See rdkafka.security.protocol)")
        })?;
        let (_, r) = response(&answer, Api::ApiVersions, 3).map_err(malformed)?;
        self.versions = Versions::parse(r.rest(), 3).map_err(malformed)?;
        if self.versions.of(Api::ApiVersions).is_none() {
            // It told only that it does not know version 3.
            let answer = self.ask(settings, Api::ApiVersions, 0, |w| api::api_versions(w, 0)).await?;
            let (_, r) = response(&answer, Api::ApiVersions, 0).map_err(malformed)?;
            self.versions = Versions::parse(r.rest(), 0).map_err(malformed)?;
        }
        match &settings.sasl {
            Some(sasl) => self.authenticate(settings, sasl).await,
            None => Ok(()),
        }
    }

    async fn authenticate(&mut self, settings: &Settings, who: &Sasl) -> Result<(), String> {
        let version = self.versions.of(Api::SaslHandshake).ok_or("the broker has no SASL on this port")?;
        // Brokers before 1.0 want the mechanism's messages bare.
        let wrapped = self.versions.of(Api::SaslAuthenticate).filter(|_| version >= 1);
        let answer =
            self.ask(settings, Api::SaslHandshake, version, |w| sasl::write_handshake(who.mechanism(), w)).await?;
        let (_, r) = response(&answer, Api::SaslHandshake, version).map_err(malformed)?;
        let (error, known) = sasl::read_handshake(r).map_err(malformed)?;
        if error != 0 {
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(format!("it does not take {} (rdkafka.sasl.mechanism), but {known}", who.mechanism()));
        }
        let refused = |why: String| format!("{why} (check rdkafka.sasl.username, rdkafka.sasl.password)");
        let Some(hash) = who.scram else {
            let message = format!("\0{}\0{}", who.user, who.password);
            return self.token(settings, wrapped, message.as_bytes()).await.map(drop).map_err(refused);
        };
        let scram = scram::Scram::new(hash, &who.user, &who.password, &nonce());
        let first = self.token(settings, wrapped, scram.first().as_bytes()).await.map_err(refused)?;
        let done = scram.answer(&first)?;
        let last = self.token(settings, wrapped, done.message.as_bytes()).await.map_err(refused)?;
        done.verify(&last).map_err(refused)
    }

    /// Sends a message of the SASL mechanism and returns the answer.
    async fn token(&mut self, settings: &Settings, wrapped: Option<i16>, message: &[u8]) -> Result<Vec<u8>, String> {
        let Some(version) = wrapped else {
            let bytes = [&(message.len() as u32).to_be_bytes(), message].concat();
            self.conn.write_all(&bytes).await.map_err(|e| connect::words(&e))?;
            return self.frame().await;
        };
        let write = |w: &mut Writer<'_>| sasl::write_authenticate(message, w);
        let answer = self.ask(settings, Api::SaslAuthenticate, version, write).await?;
        let (_, r) = response(&answer, Api::SaslAuthenticate, version).map_err(malformed)?;
        let got = sasl::read_authenticate(r, version).map_err(malformed)?;
        if got.error != 0 {
            return Err(format!("{}: {}", error::name(got.error), got.words.unwrap_or_default()));
        }
        if let Ok(ms @ 1..) = u64::try_from(got.lifetime_ms) {
            // Before it is over, so that no request meets its end.
            self.until = Instant::now().checked_add(Duration::from_millis(ms / 10 * 9));
        }
        Ok(got.message)
    }

    async fn ask(
        &mut self,
        settings: &Settings,
        kind: Api,
        version: i16,
        body: impl FnOnce(&mut Writer<'_>),
    ) -> Result<Vec<u8>, String> {
        let correlation = self.next();
        let bytes = request(kind, version, correlation, &settings.client_id, 0, body);
        self.conn.write_all(&bytes).await.map_err(|e| connect::words(&e))?;
        self.receive(kind, version, correlation).await
    }

    /// The answer to a request.
    async fn receive(&mut self, kind: Api, version: i16, correlation: i32) -> Result<Vec<u8>, String> {
        let bytes = self.frame().await?;
        match response(&bytes, kind, version) {
            Ok((got, _)) if got == correlation => Ok(bytes),
            Ok(_) => Err("it answered another request".into()),
            Err(e) => Err(malformed(e)),
        }
    }

    async fn frame(&mut self) -> Result<Vec<u8>, String> {
        let mut head = [0; 4];
        self.fill(&mut head).await?;
        let len = usize::try_from(i32::from_be_bytes(head)).unwrap_or(usize::MAX);
        if len > MAX_ANSWER {
            return Err("it does not speak Kafka's protocol".into());
        }
        // Memory grows with what arrives, not with what is declared.
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let at = bytes.len();
            bytes.resize(len.min(at + PIECE), 0);
            self.fill(bytes.get_mut(at..).unwrap_or_default()).await?;
        }
        Ok(bytes)
    }

    async fn fill(&mut self, mut buf: &mut [u8]) -> Result<(), String> {
        while !buf.is_empty() {
            match self.conn.read(buf).await.map_err(|e| connect::words(&e))? {
                0 => return Err("it closed the connection".into()),
                n => buf = std::mem::take(&mut buf).get_mut(n..).unwrap_or_default(),
            }
        }
        Ok(())
    }
}

fn malformed(e: Malformed) -> String {
    format!("its answer cannot be read: {e}")
}

/// A number that nobody used before: the standard library's hash keys come from the system's random numbers.
fn nonce() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

/// The body of an answer that was received.
pub fn body(bytes: &[u8], kind: Api, version: i16) -> Result<Reader<'_>, Malformed> {
    response(bytes, kind, version).map(|(_, r)| r)
}

/// One at a time, in order of arrival.
#[derive(Debug, Default)]
pub struct Turn {
    next: Cell<u64>,
    line: RefCell<VecDeque<u64>>,
    moved: Notify,
}

/// A place in the line, given up when dropped.
#[derive(Debug)]
pub struct Place<'a>(&'a Turn, u64);

impl Turn {
    /// Lines up.
    pub fn line_up(&self) -> Place<'_> {
        let number = self.next.get();
        self.next.set(number + 1);
        self.line.borrow_mut().push_back(number);
        Place(self, number)
    }

    /// Lines up and waits.
    pub async fn take(&self) -> Place<'_> {
        let place = self.line_up();
        place.wait().await;
        place
    }
}

impl Place<'_> {
    /// Waits until all before it are gone.
    pub async fn wait(&self) {
        while self.0.line.borrow().front() != Some(&self.1) {
            self.0.moved.wait().await;
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.line.borrow_mut().retain(|n| *n != self.1);
        self.0.moved.notify();
    }
}
