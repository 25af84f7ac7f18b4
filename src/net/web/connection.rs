//! One connection of a server: requests are read from it and answered, one after the other.

use super::{Body, Head, Inlet, Refusal, Response, Share};
use crate::event::Arena;
use crate::net::Stream;
use crate::rt::{or, sleep_until};
use std::io;
use std::time::{Duration, Instant};

/// Bytes of a body read at a time, at first: what a peer has sent decides, not what it says it will.
const READ_FIRST: usize = 16 << 10;
/// Bytes of a body for which there is the time of one request.
const PACE: f64 = (128 << 10) as f64;
/// A rest of a body that is read and forgotten, in bytes; with a longer one the connection is closed.
const REST: u64 = 64 << 10;
/// How long a connection is kept after the last answer, until the peer has read that.
const LINGER: Duration = Duration::from_secs(2);

/// How long a peer may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a head, and for each 128 KiB of a body, and of an answer. Zero is for ever.
    pub request: Duration,
    /// Between requests. Zero is for ever.
    pub idle: Duration,
    /// Bytes of a body that are read at a time, at most.
    pub read: usize,
    /// A connection serves one request (`net.keepalive off`).
    pub once: bool,
}

/// Why a request could not be read.
#[derive(Debug)]
pub enum Failure {
    /// The connection broke.
    Io(io::Error),
    /// It is not served: [`Connection::refuse`] says so.
    Refused(Refusal),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

/// A connection that a client made.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    inlet: Inlet,
    limits: Limits,
    body: Body,
    head_only: bool,
    expects_continue: bool,
    keep_alive: bool,
    answer: Vec<u8>,
}

impl Connection {
    /// A connection whose TLS handshake is done.
    pub fn new(stream: Stream, limits: Limits) -> Self {
        Self {
            stream,
            inlet: Inlet::default(),
            limits,
            body: Body::new(super::Framing::Length(0)),
            head_only: false,
            expects_continue: false,
            keep_alive: true,
            answer: Vec::new(),
        }
    }

    /// Waits for the next request; `None` when the peer left between requests, or was silent for too long there.
    ///
    /// # Errors
    /// When the connection breaks, or what comes is no request that is served.
    pub async fn head(&mut self) -> Result<Option<Head>, Failure> {
        let mut begun = None;
        self.inlet.shrink();
        loop {
            if let Some(head) = self.inlet.head()? {
                self.body = Body::new(head.framing);
                self.head_only = head.method() == "HEAD";
                self.expects_continue = head.expects_continue;
                self.keep_alive = head.keep_alive && !self.limits.once;
                return Ok(Some(head));
            }
            if !self.inlet.is_empty() && begun.is_none() {
                begun = Some(Instant::now());
            }
            let deadline = match begun {
                Some(begun) => after(begun, self.limits.request),
                None => after(Instant::now(), self.limits.idle),
            };
            let read = self.stream.read(self.inlet.room(false));
            match until(deadline, read).await {
                None if begun.is_none() => return Ok(None),
                None => return Err(Refusal::new(408, "the request's head did not come in time").into()),
                Some(n) => match n? {
                    0 if self.inlet.is_empty() => return Ok(None),
                    0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                    n => self.inlet.filled(n),
                },
            }
        }
    }

    /// Reads the body of the request that [`Self::head`] gave, behind what `out` holds; that may then hold `limit` bytes.
    /// `share` accounts for its memory.
    ///
    /// # Errors
    /// When the connection breaks, or the body is malformed, too long or too slow.
    pub async fn body(&mut self, out: &mut Arena, limit: usize, share: &mut Share) -> Result<(), Failure> {
        if self.body.missing().is_some_and(|n| n > limit.saturating_sub(out.len()) as u64) {
            return Err(Refusal::new(413, "the body is longer than the limit").into());
        }
        if std::mem::take(&mut self.expects_continue) && !self.body.is_done() && self.inlet.is_empty() {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let (begin, mut received) = (Instant::now(), 0usize);
        while !self.inlet.body(&mut self.body, out, limit)? {
            let missing = self.body.missing().and_then(|n| usize::try_from(n).ok());
            let most = out.len().max(READ_FIRST).min(self.limits.read);
            let want = missing.map_or(READ_FIRST, |n| n.min(most));
            if !share.set((out.len() + want).max(out.capacity())) {
                return Err(Refusal::new(503, "the bodies of other requests take all memory there is for them").into());
            }
            let time = self.limits.request.mul_f64(1.0 + received as f64 / PACE);
            let deadline = after(begin, time);
            // What has a length goes where it belongs at once.
            let read = match missing {
                Some(_) => until(deadline, self.stream.read(out.spare(want))).await,
                None => until(deadline, self.stream.read(self.inlet.room(true))).await,
            };
            let Some(read) = read else {
                return Err(Refusal::new(408, "the request's body did not come in time").into());
            };
            let n = read?;
            match missing {
                _ if n == 0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Some(_) => {
                    out.advance(n);
                    self.body.skip(n);
                }
                None => self.inlet.filled(n),
            }
            received += n;
        }
        Ok(())
    }

    /// Answers the request, whether its body was read or not; `false` when no other can follow: then the connection is
    /// closed.
    ///
    /// # Errors
    /// When the connection breaks, or the peer does not take the answer.
    pub async fn respond(&mut self, response: &Response) -> io::Result<bool> {
        let rest_is_short = self.body.missing().is_some_and(|n| n <= REST) && !self.expects_continue;
        let close = !self.keep_alive || !(self.body.is_done() || rest_is_short);
        self.answer.clear();
        response.write(self.head_only, close, &mut self.answer);
        let time = self.limits.request.mul_f64(1.0 + self.answer.len() as f64 / PACE);
        let deadline = after(Instant::now(), time);
        let written = until(deadline, self.stream.write_all(&self.answer)).await;
        written.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))?;
        self.answer.shrink_to(READ_FIRST);
        if close {
            self.linger().await?;
        } else if !self.body.is_done() {
            return Ok(self.forget_body().await);
        }
        Ok(!close)
    }

    /// Says why a request is not served, and closes the connection: what follows on it cannot be trusted.
    pub async fn refuse(&mut self, refusal: Refusal) {
        self.keep_alive = false;
        // The peer may be gone.
        let _ = self.respond(&refusal.into()).await;
    }

    /// The connection ends with the next answer.
    pub fn close(&mut self) {
        self.keep_alive = false;
    }

    /// Reads past the rest of a body.
    async fn forget_body(&mut self) -> bool {
        let mut out = Arena::default();
        let deadline = after(Instant::now(), self.limits.request);
        loop {
            match self.inlet.body(&mut self.body, &mut out, REST as usize) {
                Ok(true) => return true,
                Ok(false) => {}
                Err(_) => return false,
            }
            match until(deadline, self.stream.read(self.inlet.room(true))).await {
                Some(Ok(n @ 1..)) => self.inlet.filled(n),
                _ => return false,
            }
        }
    }

    /// Ends our direction, then reads until the peer ends its own: closing a socket with unread bytes would take away the
    /// answer that is still on its way (RFC 9112 §9.6).
    async fn linger(&mut self) -> io::Result<()> {
        self.stream.finish().await?;
        let mut buf = [0; 4096];
        let deadline = after(Instant::now(), LINGER);
        while let Some(Ok(1..)) = until(deadline, self.stream.read(&mut buf)).await {}
        Ok(())
    }
}

/// `None` when the deadline comes first.
async fn until<T>(deadline: Instant, future: impl Future<Output = T>) -> Option<T> {
    or(async { Some(future.await) }, async {
        sleep_until(deadline).await;
        None
    })
    .await
}

/// That much after an instant; zero is for ever.
fn after(instant: Instant, time: Duration) -> Instant {
    const EVER: Duration = Duration::from_secs(3_155_760_000);
    instant.checked_add(if time.is_zero() { EVER } else { time }).unwrap_or(instant + EVER)
}

#[cfg(test)]
mod tests {
    use super::super::Held;
    use super::*;
    use crate::rt::{Source, run};
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::thread;

    const LIMITS: Limits =
        Limits { request: Duration::from_millis(60), idle: Duration::from_millis(60), read: 8192, once: false };

    /// Serves one connection as an echo until it ends; what the client got, and how it ended for the server.
    fn serve(client: impl FnOnce(UnixStream) -> String + Send + 'static) -> (String, String) {
        serve_within(LIMITS, client)
    }

    fn serve_within(limits: Limits, client: impl FnOnce(UnixStream) -> String + Send + 'static) -> (String, String) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let client = thread::spawn(move || client(theirs));
        let end = run(async {
            ours.set_nonblocking(true).unwrap();
            let stream = Stream::new(Source::new(ours.into()).unwrap(), None, Duration::ZERO);
            let mut connection = Connection::new(stream, limits);
            let mut share = Share::new(&Held::new(4000, 20));
            loop {
                let mut body = Arena::default();
                let read = async {
                    let Some(head) = connection.head().await? else { return Ok(None) };
                    if head.path() == "/unread" {
                        return Ok(Some("unread".to_owned()));
                    }
                    connection.body(&mut body, 100_000, &mut share).await?;
                    Ok::<_, Failure>(Some(format!("{} {}", head.method(), body.len())))
                };
                match read.await {
                    Ok(None) => return "left".to_owned(),
                    Ok(Some(text)) => match connection.respond(&Response::text(200, text)).await {
                        Ok(true) => {}
                        Ok(false) => return "closed".to_owned(),
                        Err(e) => return e.to_string(),
                    },
                    Err(Failure::Refused(refusal)) => {
                        connection.refuse(refusal).await;
                        return refusal.status.to_string();
                    }
                    Err(Failure::Io(e)) => return format!("{:?}", e.kind()),
                }
            }
        })
        .unwrap();
        (client.join().unwrap(), end)
    }

    fn send(bytes: Vec<u8>) -> impl FnOnce(UnixStream) -> String {
        move |mut s| {
            s.write_all(&bytes).unwrap();
            s.shutdown(std::net::Shutdown::Write).unwrap();
            all(s)
        }
    }

    fn all(mut s: UnixStream) -> String {
        let mut text = String::new();
        s.read_to_string(&mut text).unwrap();
        text
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

    #[test]
    fn requests_follow_each_other_until_the_peer_leaves() {
        let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000\r\n\r\n";
        let (got, end) = serve(send([post.as_bytes(), &[b'x'; 3000], GET.as_bytes()].concat()));
        assert!(got.contains("\r\n\r\nPOST 3000\nHTTP/1.1 200 OK") && got.ends_with("GET 0\n"), "{got}");
        assert_eq!(end, "left");
        let (got, end) = serve(send(format!("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n{GET}").into()));
        assert_eq!((got.matches("200 OK").count(), end.as_str()), (1, "closed"), "{got}");
        let once = Limits { once: true, ..LIMITS };
        let (got, end) = serve_within(once, send([GET, GET].concat().into()));
        assert_eq!((got.matches("200 OK").count(), end.as_str()), (1, "closed"), "{got}");
        assert!(got.contains("Connection: close"), "{got}");
        let (got, _) = serve(send(GET.replace("GET", "HEAD").into()));
        assert!(got.contains("Content-Length: 7\r\n") && got.ends_with("\r\n\r\n"), "{got}");
    }

    #[test]
    fn bodies_that_nobody_reads() {
        let post = |n: usize| format!("POST /unread HTTP/1.1\r\nHost: h\r\nContent-Length: {n}\r\n\r\n").into_bytes();
        let (got, end) = serve(send([post(9), b"123456789".to_vec(), GET.into()].concat()));
        assert!(got.contains("unread\nHTTP/1.1 200") && got.ends_with("GET 0\n"), "{got}");
        assert_eq!(end, "left");
        let (got, end) = serve(send([post(300_000), vec![b'x'; 300_000]].concat()));
        assert!(got.contains("Connection: close") && got.ends_with("unread\n"), "{got}");
        assert_eq!(end, "closed");
    }

    #[test]
    fn a_client_that_asks_before_it_sends() {
        let head =
            "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n";
        let (got, _) = serve(|mut s| {
            s.write_all(head.as_bytes()).unwrap();
            let mut first = [0; 25];
            s.read_exact(&mut first).unwrap();
            assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
            s.write_all(b"hi").unwrap();
            all(s)
        });
        assert!(got.starts_with("HTTP/1.1 200 OK") && got.ends_with("POST 2\n"), "{got}");
        // What is too long is not even asked for.
        let (got, end) = serve(send(head.replace("Length: 2", "Length: 200000").into()));
        assert!(got.starts_with("HTTP/1.1 413 "), "{got}");
        assert_eq!(end, "413");
    }

    #[test]
    fn slow_and_broken_peers() {
        let slow = |text: &'static str| {
            move |mut s: UnixStream| {
                s.write_all(text.as_bytes()).unwrap();
                all(s)
            }
        };
        assert_eq!(serve(slow("")).1, "left");
        assert_eq!(serve(slow("GET / HT")).1, "408");
        let (got, end) = serve(slow("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n123"));
        assert!(got.starts_with("HTTP/1.1 408 ") && got.contains("Connection: close"), "{got}");
        assert_eq!(end, "408");
        assert_eq!(serve(send(b"GET / HT".to_vec())).1, "UnexpectedEof");
        assert_eq!(
            serve(send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n123".to_vec())).1,
            "UnexpectedEof"
        );
        let (got, end) = serve(send(b"\x16\x03\x01\x02".to_vec()));
        assert!(got.starts_with("HTTP/1.1 400 "), "{got}");
        assert_eq!(end, "400");
        // More than the bodies of all may hold.
        let post = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 90000\r\n\r\n";
        assert_eq!(serve(send([&post[..], &[b'x'; 90_000]].concat())).1, "503");
    }
}
