//! One connection: windows in, acknowledgements out.

use super::events::{Events, Made, Options};
use super::ledger::Ledger;
use crate::event::{Batch, Tag};
use crate::fmt::lumberjack::{Decoder, Event, Frame, Limits, Version, Wrong};
use crate::input::owing::{self, ALIVE, End, Held, Next, Owes, Waits};
use crate::input::serve::{AckWhen, Peer};
use crate::input::{Ack, InputCx};
use crate::net::Stream;
use crate::rt::{now, timeout};
use crate::util::ratelimit::RateLimit;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Bytes read at a time.
const READ: usize = 64 << 10;
/// Bytes of events in a commit: what a packed frame unpacks to is not taken in one go.
const PIECE: usize = 256 << 10;
/// Events in a window that are believed; Beats send some 2,000.
const WINDOW: u32 = 1 << 20;
/// Pairs in an event of version 1.
const PAIRS: u32 = 10_000;
/// Bytes that a packed frame may unpack to. They are never held.
const UNPACKED: u64 = 4 << 30;
/// A peer that waits for its acknowledgement hears something this often. Beats give up after 30 s.
const KEEPALIVE: Duration = Duration::from_secs(3);
/// How long an acknowledgement may take to be sent.
const SPEAK: Duration = Duration::from_secs(30);
/// How long the peer's goodbye is waited for.
const GOODBYE: Duration = Duration::from_millis(200);
/// What all connections of an instance use.
pub struct Shared {
    /// When windows are acknowledged.
    pub ack: AckWhen,
    options: Options,
    limits: Limits,
    idle: Duration,
    held: Held,
    said: RefCell<RateLimit>,
}

impl Shared {
    /// Nothing is open yet. `event` is the longest event in bytes, `idle` how long a connection may be silent; zero is for ever.
    pub fn new(options: Options, event: usize, idle: Duration, ack: AckWhen) -> Self {
        let limits = Limits { window: WINDOW, event, pairs: PAIRS, unpacked: UNPACKED };
        let held = Held::new("refused long events");
        Self { ack, options, limits, idle, held, said: RefCell::default() }
    }
}

impl From<io::Error> for End {
    fn from(e: io::Error) -> Self {
        Self::Quiet(e.to_string())
    }
}

impl From<Wrong> for End {
    fn from(wrong: Wrong) -> Self {
        Self::Refused("protocol errors", wrong.to_string())
    }
}

/// What was committed in one go.
struct Piece {
    events: usize,
    /// Version and number of the last of them.
    version: Version,
    seq: u32,
    /// Its window ends with it.
    last: bool,
    /// The stream may hold more frames.
    more: bool,
    texts: u64,
    cut: u64,
}

/// A connection with its peer.
pub struct Connection {
    cx: InputCx,
    shared: Rc<Shared>,
    stream: Stream,
    peer: Peer,
    decoder: Decoder,
    events: Events,
    version: Version,
    ledger: Rc<Ledger>,
    /// Where records that choose their tags are made.
    scratch: Option<Batch>,
    /// What [`Shared::held`] counts for it.
    held: usize,
    /// Bytes that came since the last sign of life.
    came: usize,
    alive: Instant,
    spoke: Instant,
}

impl Connection {
    /// A connection that was just accepted.
    pub fn new(cx: InputCx, shared: Rc<Shared>, stream: Stream, peer: Peer) -> Self {
        let scratch = shared.options.has_tags().then(|| Batch::new(cx.tag().clone()));
        let decoder = Decoder::new(shared.limits);
        let (events, ledger, begin) = (Events::default(), Rc::default(), now());
        Self {
            cx,
            shared,
            stream,
            peer,
            decoder,
            events,
            version: Version::V2,
            ledger,
            scratch,
            held: 0,
            came: 0,
            alive: begin,
            spoke: begin,
        }
    }

    /// Serves it to its end.
    pub async fn serve(mut self) {
        match owing::serve(&mut self).await {
            Ok(()) => {
                // Closing with words of the peer unread would take our last ones with it.
                timeout(GOODBYE, async {
                    let mut rest = [0; 4096];
                    let _ = self.stream.finish().await;
                    while self.stream.read(&mut rest).await.is_ok_and(|n| n > 0) {}
                })
                .await;
            }
            Err(end) => end.tell(&self.cx, &self.peer, &self.shared.said),
        }
    }

    async fn say(&mut self, frames: &[u8]) -> Result<(), End> {
        self.spoke = now();
        match timeout(SPEAK, self.stream.write_all(frames)).await {
            Some(done) => Ok(done?),
            None => Err(End::Quiet("it does not take its acknowledgements".into())),
        }
    }

    /// Counts what is held of an unfinished event, over all connections.
    fn account(&mut self) -> Result<(), End> {
        self.shared.held.change(&mut self.held, self.decoder.memory())
    }

    fn fill(&mut self, batch: &mut Batch) -> (Piece, Option<End>) {
        let Self { cx, shared, decoder, events, peer, version, .. } = self;
        let time = cx.now();
        let mut piece = Piece { events: 0, version: *version, seq: 0, last: false, more: false, texts: 0, cut: 0 };
        let mut bytes = 0;
        loop {
            match decoder.next_frame() {
                Ok(None) => return (piece, None),
                Ok(Some(Frame::Window(v, _))) => {
                    *version = v;
                    // A window before it that was not complete ends here.
                    if piece.events > 0 {
                        break;
                    }
                }
                Ok(Some(Frame::Event { seq, event, last })) => {
                    bytes += match &event {
                        Event::Json(text) | Event::Cut(text) => text.len(),
                        Event::Pairs(pairs) => pairs.clone().map(|(k, v)| k.len() + v.len()).sum(),
                    };
                    match events.push(&shared.options, batch, event, peer.as_str(), time) {
                        Made::Whole => {}
                        Made::Text => piece.texts += 1,
                        Made::Cut => piece.cut += 1,
                    }
                    piece.events += 1;
                    (piece.version, piece.seq, piece.last) = (*version, seq, last);
                    if last || bytes >= PIECE {
                        break;
                    }
                }
                Err(wrong) => return (piece, Some(wrong.into())),
            }
        }
        piece.more = true;
        (piece, None)
    }

    fn commit(&mut self, piece: &Piece) {
        let Self { cx, shared, events, ledger, scratch, .. } = self;
        let id = ledger.add(piece.version, piece.seq, piece.last);
        let ack = (shared.ack == AckWhen::Delivered).then(|| {
            let ledger = ledger.clone();
            Ack::new(move || ledger.safe(id))
        });
        match scratch {
            None => cx.commit_now(cx.tag(), ack),
            Some(scratch) => {
                let mut tags: Vec<Tag> = Vec::new();
                for (record, tag) in scratch.records().zip(&events.tags) {
                    let tag = tag.as_ref().unwrap_or(cx.tag());
                    cx.batch(tag).push_record(&record);
                    if !tags.contains(tag) {
                        tags.push(tag.clone());
                    }
                }
                tags.iter().for_each(|tag| cx.commit_now(tag, ack.clone()));
                events.tags.clear();
                scratch.recycle(cx.tag().clone(), PIECE);
            }
        }
        if shared.ack == AckWhen::Received {
            ledger.safe(id);
        }
        cx.count("not parsed", piece.texts);
        if piece.cut > 0 {
            cx.count("cut events", piece.cut);
            cx.lost(0, "events longer than Buffer_Max_Size were cut: raise it");
        }
        if piece.last {
            cx.count("windows", 1);
            cx.hurry();
        }
    }
}

impl Owes for Connection {
    fn cx(&self) -> &InputCx {
        &self.cx
    }

    fn owed(&self) -> usize {
        self.ledger.len()
    }

    /// Up to the end of a window, or [`PIECE`] bytes.
    fn take(&mut self) -> Result<bool, End> {
        let cx = self.cx.clone();
        let (piece, wrong) = match self.scratch.take() {
            None => self.fill(&mut cx.batch(cx.tag())),
            Some(mut scratch) => {
                let filled = self.fill(&mut scratch);
                self.scratch = Some(scratch);
                filled
            }
        };
        if piece.events > 0 {
            self.commit(&piece);
        }
        if piece.events > 0 || self.came >= ALIVE {
            (self.alive, self.came) = (now(), 0);
        }
        self.account()?;
        match wrong {
            Some(end) => Err(end),
            None => Ok(piece.more),
        }
    }

    async fn speak(&mut self) -> Result<(), End> {
        let mut frames = Vec::new();
        loop {
            frames.clear();
            self.ledger.due(&mut frames);
            if frames.is_empty() {
                return Ok(());
            }
            self.say(&frames).await?;
        }
    }

    fn due(&mut self, reads: bool) -> Option<Instant> {
        let owes = self.ledger.len() > 0;
        if !reads || owes {
            // It is not the peer who lets us wait.
            self.alive = now();
        }
        let idle = self.shared.idle;
        match owes {
            true => Some(self.spoke + KEEPALIVE),
            false => (reads && !idle.is_zero()).then(|| self.alive + idle),
        }
    }

    async fn next(&mut self, waits: Waits) -> Result<Next, End> {
        let Self { cx, stream, decoder, ledger, .. } = self;
        let read = stream.read_with(|from| {
            let got = from.read(decoder.room(READ));
            match &got {
                Ok(n) => decoder.filled(*n),
                Err(_) => decoder.rest(),
            }
            got
        });
        Ok(waits.next(cx, &ledger.owed.changed, read).await?)
    }

    /// Says that work goes on, or ends what is idle.
    async fn tick(&mut self) -> Result<(), End> {
        if self.ledger.len() == 0 {
            let why = if self.decoder.is_between() { "idle" } else { "a window that does not go on" };
            self.cx.count("idle connections", 1);
            return Err(End::Quiet(format!("{why} for {:?} (Idle_Timeout)", self.shared.idle)));
        }
        self.spoke = now();
        match self.ledger.keepalive() {
            Some(frame) => self.say(&frame).await,
            None => Ok(()),
        }
    }

    fn came(&mut self, bytes: usize) -> Result<(), End> {
        self.came += bytes;
        self.account()
    }

    /// It may still listen.
    fn ended(&mut self) -> Result<(), End> {
        log::debug!("[{}] {} has said everything", self.cx.label(), self.peer);
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.held.free(self.held);
    }
}
