//! The server: a request is read whole, its records are committed at once, its answer waits until they are safe.

use super::WebIn;
use crate::error::Error;
use crate::event::Arena;
use crate::fmt::codec::{Codec, Unpack};
use crate::input::serve::{AckWhen, Limits as Accept, Peer, serve};
use crate::input::{Ack, InputCx};
use crate::net::web::{Connection, Failure, Head, Held, Limits, Response, Share};
use crate::net::{Listener, Stream};
use crate::rt::{Notify, or, sleep};
use crate::util::ratelimit::{RateLimit, held_back};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a connection may be silent between requests where `net.io_timeout` does not say.
const IDLE: Duration = Duration::from_secs(120);
/// Bytes that the unfinished bodies of all connections may hold together, beside one of the greatest length.
const HELD: usize = 32 << 20;
/// Bytes that a body may always hold, so that small requests are served while large ones take all the room; also what an
/// idle connection keeps.
const SMALL: usize = 64 << 10;
/// How long a request may wait for the memory limit before its client is told to come back.
const ROOM: Duration = Duration::from_secs(5);

/// What an input makes of requests.
pub trait Service {
    /// The answer to a request that needs no login: health checks.
    fn open(&self, _head: &Head) -> Option<Response> {
        None
    }

    /// The answer to a request whose body is of no interest.
    fn at_once(&self, _head: &Head) -> Option<Response> {
        None
    }

    /// Commits the records of a request ([`InputCx::commit_now`], with a clone of its ack), or says what is wrong with it; all or
    /// nothing. The answer is sent when the ack has fired.
    ///
    /// # Errors
    /// The status, and why, in words for the client.
    fn take(&self, cx: &InputCx, ask: &Ask<'_>) -> Result<Response, (u16, String)>;

    /// How the client is told that a request failed.
    fn refuse(&self, _head: &Head, status: u16, why: &str) -> Response {
        Response::text(status, why)
    }

    /// The status for a client that is to come back later.
    fn busy(&self) -> u16 {
        503
    }
}

/// A request that was read.
#[derive(Debug)]
pub struct Ask<'a> {
    /// Its head.
    pub head: &'a Head,
    /// Its body, unpacked.
    pub body: &'a [u8],
    /// Who sent it.
    pub peer: &'a Peer,
    /// For the records; `None` when nobody waits.
    pub ack: Option<Ack>,
}

struct Server<S> {
    service: S,
    auth: super::Auth,
    limits: Limits,
    max_body: usize,
    ack: AckWhen,
    ack_timeout: Duration,
    held: Rc<Held>,
    /// Answers that wait for their deliveries.
    owed: Cell<usize>,
    settled: Notify,
    said: RefCell<RateLimit>,
}

/// Listens, and serves connections until the shutdown and every answer that is owed is given.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn run<S: Service + 'static>(cx: &InputCx, web: WebIn, port: u16, service: S) -> Result<(), Error> {
    let WebIn { net, tls, auth, conf } = web;
    let failed = |why: String| Error::Plugin(cx.label().to_owned(), why);
    let scheme = if tls.is_some() { "https" } else { "http" };
    let listener = Listener::bind(&net, port, tls).map_err(failed)?;
    log::info!("[{}] listening on {scheme}://{}:{}", cx.label(), net.listen, net.port.unwrap_or(port));
    let max_body = conf.buffer_max_size.0 as usize;
    let server = Rc::new(Server {
        service,
        auth,
        limits: Limits {
            request: conf.request_timeout,
            idle: if net.io_timeout.is_zero() { IDLE } else { net.io_timeout },
            read: conf.buffer_chunk_size.0.clamp(4096, 1 << 20) as usize,
            once: !net.keepalive,
        },
        max_body,
        ack: conf.ack,
        ack_timeout: conf.ack_timeout,
        held: Held::new(max_body + HELD, SMALL),
        owed: Cell::new(0),
        settled: Notify::default(),
        said: RefCell::default(),
    });
    let (own, shared) = (cx.clone(), server.clone());
    let each = move |stream, peer| {
        let (cx, server) = (own.clone(), shared.clone());
        async move { server.connection(&cx, stream, peer).await }
    };
    serve(cx, listener, Accept::of(&net), each).await?;
    cx.drained().await;
    while server.owed.get() > 0 {
        server.settled.wait().await;
    }
    Ok(())
}

impl<S: Service> Server<S> {
    async fn connection(&self, cx: &InputCx, stream: Stream, peer: Peer) {
        let mut connection = Connection::new(stream, self.limits);
        let (mut body, mut share) = (Arena::default(), Share::new(&self.held));
        loop {
            let next = or(async { Some(connection.head().await) }, stop(cx)).await;
            let head = match next {
                Some(Ok(Some(head))) => head,
                Some(Ok(None)) | None => return,
                Some(Err(e)) => return self.broken(cx, &mut connection, &peer, e).await,
            };
            if !self.request(cx, &mut connection, &head, &mut body, &mut share, &peer).await {
                return;
            }
            self.let_go(&mut body, &mut share);
        }
    }

    /// Reads, commits and answers one request; whether another can follow.
    async fn request(
        &self,
        cx: &InputCx,
        connection: &mut Connection,
        head: &Head,
        body: &mut Arena,
        share: &mut Share,
        peer: &Peer,
    ) -> bool {
        if let Some(answer) = self.answer_without_body(cx, head, peer).await {
            return connection.respond(&answer).await.unwrap_or(false);
        }
        match or(async { Some(connection.body(body, self.max_body, share).await) }, stop(cx)).await {
            Some(Ok(())) => {}
            // Not answered: the client sends it again.
            None => return false,
            Some(Err(Failure::Refused(refusal))) => {
                self.count_refused(cx, peer, refusal.why);
                connection.close();
                let answer = self.service.refuse(head, refusal.status, refusal.why);
                return connection.respond(&answer).await.unwrap_or(false);
            }
            Some(Err(e)) => {
                self.broken(cx, connection, peer, e).await;
                return false;
            }
        }
        let _owed = Owed::new(self);
        let done = Rc::new(Done::default());
        let taken = self.take(cx, head, body, peer, &done);
        // The records have their own copy.
        self.let_go(body, share);
        let answer = match taken {
            Ok(answer) => {
                if self.ack == AckWhen::Delivered && !done.fired.get() {
                    cx.hurry();
                }
                if done.wait(cx, self.ack_timeout).await { answer } else { self.late(cx, head, peer) }
            }
            Err((status, why)) => {
                self.count_refused(cx, peer, &why);
                self.service.refuse(head, status, &why)
            }
        };
        if cx.is_stopping() {
            connection.close();
        }
        connection.respond(&answer).await.unwrap_or(false)
    }

    /// Health checks, failed logins, what has no body, and clients that are to come back later.
    async fn answer_without_body(&self, cx: &InputCx, head: &Head, peer: &Peer) -> Option<Response> {
        if let Some(answer) = self.service.open(head) {
            return Some(answer);
        }
        if !self.auth.allows(head) {
            cx.count("refused logins", 1);
            self.say(cx, peer, "has not logged in as HTTP_User, HTTP_Passwd or Bearer_Token ask for: 401");
            return Some(self.auth.challenge(self.service.refuse(head, 401, "a login is needed")));
        }
        if let Some(answer) = self.service.at_once(head) {
            return Some(answer);
        }
        if !cx.has_room() {
            or(cx.wait_for_room(), sleep(ROOM)).await;
        }
        if cx.is_stopping() || !cx.has_room() {
            cx.count("told to come back", 1);
            let why =
                "the records of earlier requests take all memory there is for them (Mem_Buf_Limit, storage.mem_limit)";
            self.say(cx, peer, &format!("is told to come back: {why}"));
            let answer = self.service.refuse(head, self.service.busy(), why);
            return Some(answer.with("Retry-After", "1"));
        }
        None
    }

    /// Unpacks the body and commits its records.
    fn take(
        &self,
        cx: &InputCx,
        head: &Head,
        body: &Arena,
        peer: &Peer,
        done: &Rc<Done>,
    ) -> Result<Response, (u16, String)> {
        let body = unpacked(head, body.as_slice(), self.max_body)?;
        let ack = match self.ack {
            AckWhen::Received => {
                done.fire();
                None
            }
            AckWhen::Delivered => {
                let done = done.clone();
                Some(Ack::new(move || done.fire()))
            }
        };
        self.service.take(cx, &Ask { head, body: &body, peer, ack })
    }

    fn late(&self, cx: &InputCx, head: &Head, peer: &Peer) -> Response {
        cx.count("late deliveries", 1);
        let why = "its records wait for their delivery; what it sends again may come twice (Ack_Timeout, storage.type filesystem)";
        self.say(cx, peer, &format!("is told to come back: {why}"));
        let why = "the records are not delivered yet";
        self.service.refuse(head, self.service.busy(), why).with("Retry-After", "5")
    }

    /// The connection ends for what came on it.
    async fn broken(&self, cx: &InputCx, connection: &mut Connection, peer: &Peer, why: Failure) {
        match why {
            Failure::Io(e) => log::debug!("[{}] connection of {peer}: {e}", cx.label()),
            Failure::Refused(refusal) => {
                self.count_refused(cx, peer, refusal.why);
                connection.refuse(refusal).await;
            }
        }
    }

    fn count_refused(&self, cx: &InputCx, peer: &Peer, why: &str) {
        cx.count("refused requests", 1);
        self.say(cx, peer, &format!("sent a request that is refused: {why}"));
    }

    /// A line about a peer, at most once per ten seconds and reason.
    fn say(&self, cx: &InputCx, peer: &Peer, what: &str) {
        if let Some(held) = self.said.borrow_mut().allow(what.as_bytes(), Instant::now()) {
            let more = held_back(held);
            log::warn!("[{}] {peer} {what}{more}", cx.label());
        }
    }

    fn let_go(&self, body: &mut Arena, share: &mut Share) {
        body.truncate(0);
        body.shrink(SMALL);
        share.set(body.capacity());
    }
}

async fn stop<T>(cx: &InputCx) -> Option<T> {
    cx.stopping().await;
    None
}

/// The body as it was before it was packed (RFC 9110 §8.4).
fn unpacked<'a>(head: &Head, body: &'a [u8], limit: usize) -> Result<Cow<'a, [u8]>, (u16, String)> {
    let unknown = || (415, "Content-Encoding is served as gzip, deflate, zstd, snappy or lz4".to_owned());
    let name = match head.field("content-encoding").map(<[u8]>::trim_ascii) {
        None | Some(b"" | b"identity") => return Ok(body.into()),
        Some(name) => std::str::from_utf8(name).map_err(|_| unknown())?,
    };
    if head.fields().filter(|(n, _)| n.eq_ignore_ascii_case("content-encoding")).count() > 1 {
        return Err((415, "Content-Encoding is repeated: one is served".into()));
    }
    let mut out = Vec::new();
    match Codec::named(name).ok_or_else(unknown)?.unpack(body, limit, &mut out) {
        Ok(()) => Ok(out.into()),
        Err(Unpack::TooLong) => Err((413, "unpacked the body is longer than Buffer_Max_Size".into())),
        Err(Unpack::Damaged(why)) => Err((400, format!("the body is not what Content-Encoding: {name} says: {why}"))),
    }
}

/// Whether the records of a request are safe.
#[derive(Default)]
struct Done {
    fired: Cell<bool>,
    notify: Notify,
}

impl Done {
    fn fire(&self) {
        self.fired.set(true);
        self.notify.notify();
    }

    /// Waits until then, for a limited time (zero is none), and not beyond the end.
    async fn wait(&self, cx: &InputCx, limit: Duration) -> bool {
        let fired = async {
            while !self.fired.get() {
                self.notify.wait().await;
            }
        };
        let end = or(cx.drained(), async {
            match limit {
                Duration::ZERO => std::future::pending().await,
                limit => sleep(limit).await,
            }
        });
        or(fired, end).await;
        self.fired.get()
    }
}

/// An answer that the shutdown waits for.
struct Owed<'a, S>(&'a Server<S>);

impl<'a, S> Owed<'a, S> {
    fn new(server: &'a Server<S>) -> Self {
        server.owed.set(server.owed.get() + 1);
        Self(server)
    }
}

impl<S> Drop for Owed<'_, S> {
    fn drop(&mut self) {
        self.0.owed.set(self.0.owed.get().saturating_sub(1));
        self.0.settled.notify();
    }
}
