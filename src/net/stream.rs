//! One connection: plain or TLS, read and written with a limit on standing still.

use super::tls::Session;
use crate::rt::{Source, sleep, timeout, unsent, yield_now};
use rustix::net::{RecvFlags, SendFlags, Shutdown};
use std::io::{self, ErrorKind, Result};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Other tasks get their turn after this many bytes.
const TURN: usize = 256 * 1024;
/// How soon an acknowledgement is asked for again, at first and at most: there is no event for it.
const ASK_FIRST: Duration = Duration::from_millis(1);
const ASK_MOST: Duration = Duration::from_millis(50);

/// How long a server may take to refuse our certificate, at least and at most.
const VERDICT: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// A connected stream socket, perhaps with TLS on it.
#[derive(Debug)]
pub struct Stream {
    pub(super) io: Source<OwnedFd>,
    tls: Option<Box<Session>>,
    io_timeout: Option<Duration>,
    /// The TLS peer said goodbye.
    ended: bool,
}

/// What a look at a connection found.
#[derive(Debug, PartialEq, Eq)]
pub enum Probe {
    /// Open and silent.
    Quiet,
    /// The peer sent something; it is gone now.
    Data,
    /// The peer closed it, or it broke.
    Closed,
}

impl Stream {
    /// A stream over a connected socket. `io_timeout` is how long it may make no progress; zero is for ever.
    pub fn new(io: Source<OwnedFd>, tls: Option<Session>, io_timeout: Duration) -> Self {
        Self { io, tls: tls.map(Box::new), io_timeout: (!io_timeout.is_zero()).then_some(io_timeout), ended: false }
    }

    /// Completes the TLS handshake; nothing to do on a plain connection.
    ///
    /// # Errors
    /// In words that say what is wrong with the peer's certificate.
    pub async fn handshake(&mut self) -> Result<()> {
        let begun = crate::rt::now();
        while self.tls.as_ref().is_some_and(|t| t.is_handshaking()) {
            self.flush_tls().await?;
            if self.tls.as_ref().is_some_and(|t| t.is_handshaking()) && self.fill_tls().await? == 0 {
                let why = "the peer closed the connection during the TLS handshake";
                return Err(io::Error::new(ErrorKind::UnexpectedEof, why));
            }
        }
        self.flush_tls().await?;
        if self.tls.as_ref().is_some_and(|t| t.awaits_verdict()) {
            // What is written now would be acknowledged by the peer's system, and lost with a refusal. Some servers
            // never say that they agree: two round trips are enough for a refusal.
            let patience = (2 * crate::rt::now().saturating_duration_since(begun)).clamp(VERDICT[0], VERDICT[1]);
            if let Some(0) = timeout(patience, self.fill_tls()).await.transpose()? {
                return Err(io::Error::new(
                    ErrorKind::UnexpectedEof,
                    "the peer closed the connection after the TLS handshake",
                ));
            }
        }
        Ok(())
    }

    /// What a handshake agreed on, in words, when `tls.debug` asks for that.
    pub fn told(&self) -> Option<String> {
        self.tls.as_ref().filter(|tls| tls.debug() >= 2).map(|tls| tls.told())
    }

    /// Whether `tls.debug` lets failed handshakes be logged.
    pub fn may_tell(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| tls.debug() > 0)
    }

    /// The application protocol that a handshake agreed on (RFC 7301).
    pub fn alpn(&self) -> Option<&[u8]> {
        self.tls.as_ref()?.alpn()
    }

    /// Reads what there is, at least one byte; 0 at the end.
    ///
    /// # Errors
    /// `TimedOut` after `io_timeout`, `UnexpectedEof` when a TLS peer left without saying so.
    pub async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let Some(limit) = self.io_timeout else { return self.read_once(buf).await };
        timeout(limit, self.read_once(buf)).await.unwrap_or_else(|| Err(ErrorKind::TimedOut.into()))
    }

    async fn read_once(&mut self, buf: &mut [u8]) -> Result<usize> {
        loop {
            let Some(tls) = &mut self.tls else {
                return self.io.read(|fd| receive(fd, buf)).await;
            };
            match tls.read_plain(buf) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                done => {
                    self.ended |= matches!(done, Ok(0));
                    return done;
                }
            }
            self.flush_tls().await?;
            self.fill_tls().await?;
            // A peer that sends much TLS and no data must not keep others waiting.
            yield_now().await;
        }
    }

    /// Reads straight to where `op` wants the bytes: it is given a reader that does not block, perhaps several times, and
    /// is to leave nothing behind when that answers `WouldBlock`.
    ///
    /// # Errors
    /// Those of [`Self::read`], and those of `op`.
    pub async fn read_with<R>(&mut self, op: impl FnMut(&mut dyn io::Read) -> Result<R>) -> Result<R> {
        let Some(limit) = self.io_timeout else { return self.read_once_with(op).await };
        timeout(limit, self.read_once_with(op)).await.unwrap_or_else(|| Err(ErrorKind::TimedOut.into()))
    }

    async fn read_once_with<R>(&mut self, mut op: impl FnMut(&mut dyn io::Read) -> Result<R>) -> Result<R> {
        loop {
            let Some(tls) = &mut self.tls else {
                return self.io.read(|fd| op(&mut Raw(fd))).await;
            };
            let mut plain = Plain(tls, false);
            let done = op(&mut plain);
            self.ended |= plain.1;
            match done {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
            self.flush_tls().await?;
            self.fill_tls().await?;
            yield_now().await;
        }
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// `TimedOut` when the peer takes nothing for `io_timeout`, and what the connection answers.
    pub async fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        let (mut rest, mut since) = (bytes, 0);
        while !rest.is_empty() {
            let n = match self.io_timeout {
                None => self.write_some(rest).await?,
                Some(limit) => {
                    timeout(limit, self.write_some(rest)).await.unwrap_or_else(|| Err(ErrorKind::TimedOut.into()))?
                }
            };
            rest = rest.get(n..).unwrap_or_default();
            since += n;
            if since >= TURN {
                since = 0;
                yield_now().await;
            }
        }
        Ok(())
    }

    async fn write_some(&mut self, bytes: &[u8]) -> Result<usize> {
        let n = match &mut self.tls {
            None => self.io.write(|fd| send(fd, bytes)).await?,
            Some(tls) => {
                let n = tls.write_plain(bytes)?;
                self.flush_tls().await?;
                n
            }
        };
        if n == 0 { Err(ErrorKind::WriteZero.into()) } else { Ok(n) }
    }

    /// Waits until the peer's system has acknowledged every byte written: what a broken connection takes with it is then
    /// known. On systems that do not tell it returns at once.
    ///
    /// # Errors
    /// When the peer resets the connection, and `TimedOut` when it acknowledges nothing for `io_timeout`.
    pub async fn acknowledged(&self) -> Result<()> {
        let (mut wait, mut last, mut since) = (ASK_FIRST, usize::MAX, Instant::now());
        loop {
            let Some(fd) = self.io.get() else { return Err(ErrorKind::NotConnected.into()) };
            let left = unsent(fd).unwrap_or(0);
            // Asked for after that: a reset also empties the queue.
            rustix::net::sockopt::socket_error(fd)??;
            if left == 0 {
                return Ok(());
            }
            if left < last {
                (last, since) = (left, Instant::now());
            }
            if self.io_timeout.is_some_and(|limit| since.elapsed() >= limit) {
                return Err(ErrorKind::TimedOut.into());
            }
            sleep(wait).await;
            wait = (wait * 2).min(ASK_MOST);
        }
    }

    /// Looks, without waiting, whether the connection is still open. What the peer sent is read and forgotten: for
    /// connections on which nothing is expected.
    pub fn probe(&mut self) -> Probe {
        let mut buf = [0; 1024];
        let Some(fd) = self.io.get() else { return Probe::Closed };
        let got = match &mut self.tls {
            None => receive(fd, &mut buf),
            Some(tls) => look(tls, fd, &mut buf),
        };
        match got {
            Ok(1..) => Probe::Data,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Probe::Quiet,
            Ok(0) | Err(_) => Probe::Closed,
        }
    }

    /// Says goodbye: TLS close_notify, then the end of our direction. The peer's direction stays open.
    ///
    /// # Errors
    /// When the connection is already broken.
    pub async fn finish(&mut self) -> Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.close();
            self.flush_tls().await?;
        }
        match self.io.get() {
            Some(fd) => Ok(rustix::net::shutdown(fd, Shutdown::Write)?),
            None => Ok(()),
        }
    }

    async fn flush_tls(&mut self) -> Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            self.io.write(|fd| tls.write_tls(&mut Raw(fd))).await?;
        }
        Ok(())
    }

    /// Takes in what the peer sent; 0 at the end. When that breaks TLS the peer is told why.
    async fn fill_tls(&mut self) -> Result<usize> {
        let Some(tls) = &mut self.tls else { return Ok(0) };
        let got = self.io.read(|fd| tls.read_tls(&mut Raw(fd))).await;
        if let (Err(_), Some(fd)) = (&got, self.io.get()) {
            // An alert is a few bytes: they fit into the send buffer, or nobody listens anyway.
            let _ = tls.write_tls(&mut Raw(fd));
        }
        got
    }
}

/// Takes in what a TLS peer sent, but not for ever.
fn look(tls: &mut Session, fd: &OwnedFd, buf: &mut [u8]) -> Result<usize> {
    for _ in 0..16 {
        if tls.read_tls(&mut Raw(fd))? == 0 {
            return Ok(0);
        }
        match tls.read_plain(buf) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
    Err(ErrorKind::WouldBlock.into())
}

fn receive(fd: &OwnedFd, buf: &mut [u8]) -> Result<usize> {
    let (n, _) = rustix::net::recv(fd, buf, RecvFlags::DONTWAIT)?;
    Ok(n)
}

fn send(fd: &OwnedFd, bytes: &[u8]) -> Result<usize> {
    Ok(rustix::net::send(fd, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
}

impl AsMut<Self> for Stream {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

impl Drop for Stream {
    /// A TLS peer that said goodbye hears ours (RFC 5246 7.2.1), where nobody said it before.
    fn drop(&mut self) {
        if let (Some(tls), Some(fd), true) = (&mut self.tls, self.io.get(), self.ended) {
            tls.close();
            let _ = tls.write_tls(&mut Raw(fd));
        }
    }
}

/// What a TLS session has decrypted, and whether it came to its end.
struct Plain<'a>(&'a mut Session, bool);

impl io::Read for Plain<'_> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let done = self.0.read_plain(buf);
        self.1 |= matches!(done, Ok(0)) && !buf.is_empty();
        done
    }
}

/// A socket as the TLS session wants to see it.
struct Raw<'a>(&'a OwnedFd);

impl io::Read for Raw<'_> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        receive(self.0, buf)
    }
}

impl io::Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        send(self.0, bytes)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::run;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::thread;

    fn stream(ours: UnixStream, io_timeout: Duration) -> Stream {
        ours.set_nonblocking(true).unwrap();
        Stream::new(Source::new(ours.into()).unwrap(), None, io_timeout)
    }

    #[test]
    fn a_slow_reader_gets_everything() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let sent: Vec<u8> = (0..2_000_000u32).map(|n| n as u8).collect();
        let want = sent.clone();
        let reader = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            let mut got = Vec::new();
            theirs.read_to_end(&mut got).unwrap();
            assert!(got == want);
            theirs.write_all(b"thanks").unwrap();
        });
        run(async {
            let mut s = stream(ours, Duration::from_secs(10));
            s.handshake().await.unwrap();
            s.write_all(&sent).await.unwrap();
            s.finish().await.unwrap();
            let mut buf = [0; 16];
            assert_eq!(s.read(&mut buf).await.unwrap(), 6);
            assert_eq!(s.read(&mut buf).await.unwrap(), 0);
        })
        .unwrap();
        reader.join().unwrap();
    }

    #[test]
    fn standing_still_has_a_limit() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        run(async {
            let mut s = stream(ours, Duration::from_millis(30));
            assert_eq!(s.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::TimedOut);
            assert_eq!(s.write_all(&vec![0; 4 << 20]).await.unwrap_err().kind(), ErrorKind::TimedOut);
        })
        .unwrap();
        drop(theirs);
    }

    #[test]
    fn acknowledgements_are_waited_for() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        run(async {
            let mut s = stream(ours, Duration::from_millis(100));
            s.acknowledged().await.unwrap();
            s.write_all(b"hello").await.unwrap();
            assert_eq!(s.acknowledged().await.unwrap_err().kind(), ErrorKind::TimedOut);
            let reader = thread::spawn(move || {
                thread::sleep(Duration::from_millis(10));
                theirs.read_exact(&mut [0; 5]).unwrap();
                theirs
            });
            s.acknowledged().await.unwrap();
            drop(reader.join().unwrap());
        })
        .unwrap();
    }

    #[test]
    fn probes_see_what_the_peer_did() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        run(async {
            let mut s = stream(ours, Duration::ZERO);
            assert_eq!(s.probe(), Probe::Quiet);
            theirs.write_all(b"unasked").unwrap();
            assert_eq!(s.probe(), Probe::Data);
            assert_eq!(s.probe(), Probe::Quiet);
            drop(theirs);
            assert_eq!(s.probe(), Probe::Closed);
            sleep(Duration::ZERO).await;
            assert_eq!(s.write_all(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        })
        .unwrap();
    }
}
