//! Windows to a host, and its acknowledgements.

use super::hosts::{Host, Hosts};
use crate::fmt::lumberjack::{ACK_LEN, JSON_HEAD, pack, read_ack, set_seq, window};
use crate::net::{Conn, connect};
use crate::output::{Outcome, Payload};
use crate::rt::{Workers, now, timeout};
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

/// Frames of up to so many bytes are packed at once; more of them on a worker.
const AT_ONCE: usize = 16 << 10;

/// How windows are sent.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Events in a window.
    pub bulk: usize,
    /// Windows on the way on one connection.
    pub pipelining: usize,
    /// zlib's level; 0 packs nothing.
    pub level: u32,
    /// How long the server may be silent.
    pub timeout: Duration,
    /// Begin with small windows.
    pub slow_start: bool,
}

/// Sends events and waits until they are acknowledged.
pub struct Client {
    hosts: Hosts,
    settings: Settings,
    packers: Workers,
    label: String,
}

/// The events of a delivery.
struct Events<'a> {
    bytes: &'a mut Vec<u8>,
    /// Where each ends, and its record.
    items: &'a [(u32, u32)],
    /// How many of them are acknowledged.
    done: usize,
}

impl Events<'_> {
    fn end(&self, n: usize) -> usize {
        n.checked_sub(1).and_then(|n| self.items.get(n)).map_or(0, |item| item.0 as usize)
    }

    /// Numbers the events `from..to` from 1 on, and answers their frames.
    fn number(&mut self, from: usize, to: usize) -> &[u8] {
        let mut at = self.end(from);
        let begin = at;
        for (n, seq) in (from..to).zip(1..) {
            let end = self.end(n + 1);
            set_seq(self.bytes.get_mut(at..end).unwrap_or_default(), seq);
            at = end;
        }
        self.bytes.get(begin..at).unwrap_or_default()
    }
}

/// A window on the way.
struct Flight {
    events: usize,
    /// How many of them are acknowledged.
    done: usize,
}

impl Client {
    /// Nothing is connected yet.
    pub fn new(hosts: Hosts, settings: Settings, label: String) -> Self {
        Self { hosts, settings, packers: Workers::new("logstash", 2), label }
    }

    /// Sends the events of `payload`; those that one host did not acknowledge go to the next.
    pub async fn deliver(&self, payload: &mut Payload) -> Outcome {
        let mut events = Events { bytes: &mut payload.bytes, items: &payload.items, done: 0 };
        let mut whys = Vec::new();
        for i in self.hosts.order(now()) {
            let Some(host) = self.hosts.get(i) else { continue };
            match self.send(host, &mut events).await {
                Ok(()) => {
                    self.hosts.good(i);
                    return Outcome::Done;
                }
                Err(why) => {
                    self.hosts.bad(i, now());
                    host.size.borrow_mut().bad();
                    log::debug!("[{}] {why}", self.label);
                    whys.push(why);
                }
            }
        }
        let why = whys.join("; ").into();
        match events.items.get(events.done..) {
            Some(rest) if events.done > 0 => {
                Outcome::Part { retry: rest.iter().map(|item| item.1).collect(), why, refused: Vec::new() }
            }
            _ => Outcome::Down(why),
        }
    }

    /// Closes the connections that are kept.
    pub fn close(&self) {
        self.hosts.close();
    }

    async fn send(&self, host: &Host, events: &mut Events<'_>) -> Result<(), String> {
        let before = events.done;
        let mut conn = host.upstream.get().await?;
        let mut sent = self.exchange(host, &mut conn, events).await;
        if let Err(why) = &sent
            && conn.is_reused()
            && events.done == before
        {
            // The server had closed it meanwhile.
            log::debug!("[{}] {}: {why}; connecting anew", self.label, host.upstream.target());
            conn = host.upstream.fresh().await?;
            sent = self.exchange(host, &mut conn, events).await;
        }
        match sent {
            Ok(()) => {
                conn.keep();
                Ok(())
            }
            Err(why) => Err(format!("{}: {why}", host.upstream.target())),
        }
    }

    /// Sends windows and reads acknowledgements until there is nothing more of either.
    async fn exchange(&self, host: &Host, conn: &mut Conn, events: &mut Events<'_>) -> Result<(), String> {
        let total = events.items.len();
        let mut next = events.done;
        let mut flying: VecDeque<Flight> = VecDeque::new();
        loop {
            while next < total && flying.len() < self.settings.pipelining {
                let size = host.size.borrow().get().clamp(1, total - next);
                self.window(conn, events, next, next + size).await?;
                flying.push_back(Flight { events: size, done: 0 });
                next += size;
            }
            let Some(first) = flying.front_mut() else { return Ok(()) };
            let seq = self.acknowledgement(conn).await? as usize;
            if seq > first.events {
                return Err(format!("it acknowledged event {seq} of a window of {}", first.events));
            }
            // 0 says that it is at work; what was acknowledged stays so.
            events.done += seq.saturating_sub(first.done);
            first.done = first.done.max(seq);
            if first.done == first.events {
                host.size.borrow_mut().good(first.events);
                flying.pop_front();
            }
        }
    }

    async fn window(&self, conn: &mut Conn, events: &mut Events<'_>, from: usize, to: usize) -> Result<(), String> {
        let mut head = window((to - from) as u32).to_vec();
        let frames = events.number(from, to);
        debug_assert!(frames.len() >= (to - from) * JSON_HEAD);
        let level = self.settings.level;
        if level == 0 {
            self.write(conn, &head).await?;
            return self.write(conn, frames).await;
        }
        if frames.len() <= AT_ONCE {
            pack(frames, level, &mut head);
        } else {
            let frames = frames.to_vec();
            let packed = self.packers.run(move || {
                pack(&frames, level, &mut head);
                head
            });
            head = packed.await.ok_or("there is no thread to pack a window")?;
        }
        self.write(conn, &head).await
    }

    async fn write(&self, conn: &mut Conn, bytes: &[u8]) -> Result<(), String> {
        // A slow line is no silence: each piece has its own time.
        for piece in bytes.chunks(64 << 10) {
            match timeout(self.settings.timeout, conn.write_all(piece)).await {
                Some(Ok(())) => {}
                Some(Err(e)) => return Err(connect::words(&e)),
                None => return Err(self.silent("took nothing")),
            }
        }
        Ok(())
    }

    async fn acknowledgement(&self, conn: &mut Conn) -> Result<u32, String> {
        let mut frame = [0; ACK_LEN];
        let read = async {
            let mut got = 0;
            while got < ACK_LEN {
                match conn.read(frame.get_mut(got..).unwrap_or_default()).await? {
                    0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                    n => got += n,
                }
            }
            Ok(())
        };
        match timeout(self.settings.timeout, read).await {
            None => Err(self.silent("acknowledged nothing")),
            Some(Err(e)) if e.kind() == io::ErrorKind::UnexpectedEof => {
                Err("it closed the connection before it acknowledged".into())
            }
            Some(Err(e)) => Err(connect::words(&e)),
            Some(Ok(())) => read_ack(&frame).ok_or_else(|| "it answers in another protocol".into()),
        }
    }

    fn silent(&self, what: &str) -> String {
        format!("it {what} for {:?} (Timeout)", self.settings.timeout)
    }
}
