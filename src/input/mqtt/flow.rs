//! Messages of one connection: read while there is room, committed in pieces, acknowledged in order once they are safe.

use super::records::{Made, Records};
use crate::fmt::mqtt::{Packet, Publish, Reply, Wrong, reply};
use crate::input::in_order::InOrder;
use crate::input::owing::{self, ALIVE, End, Held, Next, Owes, Waits};
use crate::input::serve::AckWhen;
use crate::input::{Ack, InputCx};
use crate::net::Stream;
use crate::net::mqtt::Wire;
use crate::rt::{now, timeout};
use rustc_hash::FxHashSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Bytes of messages in a commit.
const PIECE: usize = 256 << 10;
/// How long answers may take to be sent.
const SPEAK: Duration = Duration::from_secs(30);

/// What all connections of an instance use.
#[derive(Debug)]
pub(super) struct Common {
    /// When messages are acknowledged.
    pub(super) ack: AckWhen,
    /// The key of payloads.
    pub(super) payload_key: Option<String>,
    /// The longest payload that is kept whole, in bytes.
    pub(super) longest: usize,
    held: Held,
}

impl Common {
    pub(super) fn new(ack: AckWhen, payload_key: Option<String>, longest: usize) -> Self {
        Self { ack, payload_key, longest, held: Held::new("refused long messages") }
    }
}

impl From<String> for End {
    fn from(why: String) -> Self {
        Self::Quiet(why)
    }
}

impl From<Wrong> for End {
    fn from(wrong: Wrong) -> Self {
        Self::Refused("protocol errors", wrong.to_string())
    }
}

/// What the two kinds of connections do differently.
pub(super) trait Rules {
    /// A packet that is no message; answers are appended.
    fn control(&mut self, packet: Packet<'_>, out: &mut Vec<u8>) -> Result<(), End>;
    /// The peer has said everything: whether it may still listen.
    fn ended(&self, now: Instant) -> Result<(), End>;
    /// The peer said something, or was not listened to.
    fn heard(&mut self, now: Instant);
    /// Something was said to it.
    fn spoke(&mut self, now: Instant);
    /// When [`Self::tick`] is to be called.
    fn due(&self) -> Option<Instant>;
    /// That time has come.
    fn tick(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<(), End>;
}

/// The messages of a connection.
pub(super) struct Flow<S, R> {
    cx: InputCx,
    common: Rc<Common>,
    pub(super) wire: Wire<S>,
    pub(super) rules: R,
    records: Records,
    /// Acknowledgements of each commit.
    owed: Rc<InOrder<Vec<u8>>>,
    /// Numbers of messages of QoS 2 that are to be released by their sender.
    ids: FxHashSet<u16>,
    /// What is to be said at once.
    out: Vec<u8>,
    /// Bytes that came since the last sign of life.
    came: usize,
    /// What [`Common::held`] counts for it.
    held: usize,
}

impl<S: AsMut<Stream>, R: Rules> Flow<S, R> {
    /// A connection that has introduced itself.
    pub(super) fn new(cx: InputCx, common: Rc<Common>, wire: Wire<S>, rules: R) -> Self {
        let records = Records::new(common.payload_key.as_deref());
        let (owed, ids, out) = Default::default();
        Self { cx, common, wire, rules, records, owed, ids, out, came: 0, held: 0 }
    }

    /// Serves it until the peer has said everything, or the shutdown, and all that can be acknowledged is.
    pub(super) async fn run(&mut self) -> Result<(), End> {
        owing::serve(self).await
    }

    /// Counts what is held of an unfinished packet, over all connections.
    fn account(&mut self) -> Result<(), End> {
        self.common.held.change(&mut self.held, self.wire.memory())
    }

    fn commit(&mut self, piece: Piece) {
        let Self { cx, common, owed, .. } = self;
        let asks = !piece.answers.is_empty();
        let waits = asks && piece.records > 0 && common.ack == AckWhen::Delivered;
        let id = asks.then(|| owed.add(piece.answers));
        if piece.records > 0 {
            let ack = id.filter(|_| waits).map(|id| {
                let owed = owed.clone();
                Ack::new(move || owed.safe(id))
            });
            cx.commit_now(cx.tag(), ack);
        }
        if let Some(id) = id.filter(|_| !waits) {
            owed.safe(id);
        }
        if waits {
            cx.hurry();
        }
        cx.count("not JSON", piece.texts);
        if piece.cut > 0 {
            cx.count("cut messages", piece.cut);
            cx.lost(0, "payloads longer than Buffer_Size were cut: raise it");
        }
    }
}

impl<S: AsMut<Stream>, R: Rules> Owes for Flow<S, R> {
    fn cx(&self) -> &InputCx {
        &self.cx
    }

    fn owed(&self) -> usize {
        self.owed.len()
    }

    /// [`PIECE`] bytes at most.
    fn take(&mut self) -> Result<bool, End> {
        let cx = self.cx.clone();
        let time = cx.now();
        let (mut piece, mut packets) = (Piece::default(), 0);
        let result = {
            let mut batch = cx.batch(cx.tag());
            loop {
                let packet = self.wire.packet();
                packets += usize::from(matches!(packet, Ok(Some(_))));
                match packet {
                    Ok(None) => break Ok(false),
                    Err(wrong) => break Err(wrong.into()),
                    Ok(Some(Packet::Publish(message))) => {
                        if piece.note(&message, &mut self.ids) {
                            piece.count(self.records.push(&mut batch, &message, time), message.payload.len());
                        }
                    }
                    Ok(Some(Packet::Reply(Reply::PubRel, id))) => {
                        self.ids.remove(&id);
                        reply(Reply::PubComp, id, &mut self.out);
                    }
                    Ok(Some(other)) => {
                        if let Err(end) = self.rules.control(other, &mut self.out) {
                            break Err(end);
                        }
                    }
                }
                if piece.bytes >= PIECE {
                    break Ok(true);
                }
            }
        };
        self.commit(piece);
        if packets > 0 || self.came >= ALIVE {
            self.came = 0;
            self.rules.heard(now());
        }
        self.account()?;
        result
    }

    async fn speak(&mut self) -> Result<(), End> {
        while let Some(answers) = self.owed.next_safe() {
            self.out.extend_from_slice(&answers);
        }
        if self.out.is_empty() {
            return Ok(());
        }
        self.rules.spoke(now());
        let said = timeout(SPEAK, self.wire.send(&self.out)).await;
        self.out.clear();
        said.unwrap_or_else(|| Err("it does not take its answers".into())).map_err(End::Quiet)
    }

    fn due(&mut self, reads: bool) -> Option<Instant> {
        if !reads {
            // It is not the peer who lets us wait.
            self.rules.heard(now());
        }
        self.rules.due()
    }

    async fn next(&mut self, waits: Waits) -> Result<Next, End> {
        let Self { cx, wire, owed, .. } = self;
        Ok(waits.next(cx, &owed.changed, wire.fill()).await?)
    }

    async fn tick(&mut self) -> Result<(), End> {
        self.rules.tick(now(), &mut self.out)
    }

    fn came(&mut self, bytes: usize) -> Result<(), End> {
        self.came += bytes;
        self.account()
    }

    fn ended(&mut self) -> Result<(), End> {
        self.rules.ended(now())
    }
}

impl<S, R> Drop for Flow<S, R> {
    fn drop(&mut self) {
        self.common.held.free(self.held);
    }
}

/// What is committed in one go.
#[derive(Debug, Default)]
struct Piece {
    answers: Vec<u8>,
    records: u64,
    bytes: usize,
    texts: u64,
    cut: u64,
}

impl Piece {
    /// Notes how a message is to be answered; whether it is a new one.
    fn note(&mut self, message: &Publish<'_>, ids: &mut FxHashSet<u16>) -> bool {
        match message.qos {
            0 => true,
            1 => {
                reply(Reply::PubAck, message.id, &mut self.answers);
                true
            }
            _ => {
                reply(Reply::PubRec, message.id, &mut self.answers);
                ids.insert(message.id)
            }
        }
    }

    fn count(&mut self, made: Made, payload: usize) {
        self.records += 1;
        // A record takes memory also when its payload is empty.
        self.bytes += payload + 64;
        self.texts += u64::from(made == Made::Text);
        self.cut += u64::from(made == Made::Cut);
    }
}
