//! An answer whose body is read piece by piece.

use super::AskError;
use super::head::Head;
use crate::event::Arena;
use crate::net::upstream::Conn;
use crate::net::web::Body;
use std::io::{Error, ErrorKind};
use std::time::Duration;

/// Bytes read at once.
const STEP: usize = 16 << 10;
/// Interim answers (RFC 9110 §15.2) that may come before the real one.
const INTERIM: usize = 4;

/// An answer that has begun. Dropped before its end it closes its connection.
#[derive(Debug)]
pub struct Answer {
    /// Its status and fields.
    pub head: Head,
    conn: Option<Conn>,
    /// `None` for a body that the end of the connection ends.
    body: Option<Body>,
    /// What was read and not given out.
    rest: Vec<u8>,
    piece: Arena,
    done: bool,
}

impl Answer {
    pub(super) async fn begin(mut conn: Conn, patience: Duration) -> Result<Self, AskError> {
        let (mut text, mut interim) = (Vec::new(), 0);
        loop {
            match Head::parse(&text)? {
                Some((head, len)) if head.status < 200 => {
                    interim += 1;
                    if interim > INTERIM || head.status == 101 {
                        return Err(AskError::Malformed("it only has interim answers"));
                    }
                    text.drain(..len);
                }
                Some((head, len)) => {
                    text.drain(..len);
                    let body = head.framing.map(Body::new);
                    let mut answer =
                        Self { head, conn: Some(conn), body, rest: text, piece: Arena::default(), done: false };
                    answer.settle();
                    return Ok(answer);
                }
                None => {
                    if read(&mut conn, &mut text, patience).await? == 0 {
                        let why = "the server closed the connection before it answered";
                        return Err(AskError::Io(why.into()));
                    }
                }
            }
        }
    }

    /// The next piece of the body, up to some 16 KiB; `None` behind the last one. `patience` is how long the server may be silent.
    ///
    /// # Errors
    /// When the connection breaks or ends too early, the server is silent, or the chunks are malformed.
    pub async fn piece(&mut self, patience: Duration) -> Result<Option<&[u8]>, AskError> {
        self.piece.truncate(0);
        loop {
            if !self.rest.is_empty() && !self.done {
                let used = match &mut self.body {
                    Some(body) => body
                        .take(&self.rest, &mut self.piece, usize::MAX)
                        .map_err(|_| AskError::Malformed("the chunks of its body"))?,
                    None => {
                        self.piece.push(&self.rest);
                        self.rest.len()
                    }
                };
                self.rest.drain(..used);
                self.settle();
                if !self.piece.is_empty() {
                    return Ok(Some(self.piece.as_slice()));
                }
            }
            let Some(conn) = self.conn.as_mut().filter(|_| !self.done) else { return Ok(None) };
            match read(conn, &mut self.rest, patience).await {
                Ok(0) if self.body.is_none() => {
                    (self.done, self.conn) = (true, None);
                    return Ok(None);
                }
                Ok(0) => {
                    return Err(AskError::Io("the server closed the connection in the middle of its answer".into()));
                }
                Ok(_) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Gives the connection back once the body is read.
    fn settle(&mut self) {
        if self.body.as_ref().is_some_and(Body::is_done) && !self.done {
            self.done = true;
            let conn = self.conn.take();
            // Bytes behind the end were not asked for.
            if let Some(conn) = conn.filter(|_| self.head.keep_alive && self.rest.is_empty()) {
                conn.keep();
            }
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// As [`Self::piece`]; `Ok(None)` when it is longer than `most` bytes.
    pub async fn whole(mut self, most: usize, patience: Duration) -> Result<Option<Vec<u8>>, AskError> {
        let mut all = Vec::new();
        while let Some(piece) = self.piece(patience).await? {
            if all.len() + piece.len() > most {
                return Ok(None);
            }
            all.extend_from_slice(piece);
        }
        Ok(Some(all))
    }
}

/// Reads what there is behind `text`; 0 at the end.
async fn read(conn: &mut Conn, text: &mut Vec<u8>, patience: Duration) -> Result<usize, AskError> {
    // Made when there is something to read: a silent watch needs no buffer.
    let got = crate::rt::timeout(
        patience,
        conn.read_with(|from| {
            let mut buf = [0; STEP];
            let n = from.read(&mut buf)?;
            text.extend_from_slice(buf.get(..n).unwrap_or_default());
            Ok(n)
        }),
    );
    got.await.ok_or(AskError::Silent(patience))?.map_err(|e| AskError::Io(words(&e)))
}

/// What is wrong with the connection.
pub(super) fn words(e: &Error) -> String {
    match e.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "the server broke the connection".into(),
        ErrorKind::TimedOut => "the connection is dead: the server's machine does not answer any more".into(),
        _ => crate::net::connect::words(e),
    }
}
