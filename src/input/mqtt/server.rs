//! Clients that publish to us: introduced, and served until they go.

use super::flow::{Common, Flow, Rules};
use crate::fmt::mqtt::{Connect, PINGRESP, Packet, REFUSED, Reply, connack, refusal, reply, suback};
use crate::input::InputCx;
use crate::input::owing::End;
use crate::input::serve::Peer;
use crate::net::Stream;
use crate::net::mqtt::Wire;
use crate::rt::{Notify, now, or, timeout};
use crate::util::bytes::same;
use crate::util::ratelimit::RateLimit;
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a client may take to introduce itself, where `net.accept_timeout` does not say.
const INTRODUCTION: Duration = Duration::from_secs(10);

/// What all connections of a server use.
pub(super) struct Shared {
    common: Rc<Common>,
    /// Who is let in, with which password; everybody without.
    login: Option<(String, String)>,
    patience: Duration,
    /// The connections of clients that have names: a new one takes the place of the old (3.1.4).
    clients: RefCell<FxHashMap<Box<str>, Rc<Notify>>>,
    said: RefCell<RateLimit>,
}

impl Shared {
    /// Nobody is there yet. `patience` is how long an introduction may take; zero is ten seconds.
    pub(super) fn new(common: Rc<Common>, login: Option<(String, String)>, patience: Duration) -> Self {
        let patience = if patience.is_zero() { INTRODUCTION } else { patience };
        let (clients, said) = Default::default();
        Self { common, login, patience, clients, said }
    }

    /// Why a client is not let in, if it is not.
    fn refuses(&self, c: &Connect<'_>) -> Option<u8> {
        match &self.login {
            _ if !matches!(c.level, 3 | 4) => Some(1),
            // What is to be remembered needs a name (3.1.3.1).
            _ if c.client_id.is_empty() && !c.clean => Some(2),
            Some((user, password)) => {
                let given = same(c.user.unwrap_or_default().as_bytes(), user.as_bytes())
                    & same(c.password.unwrap_or_default(), password.as_bytes());
                (!given).then_some(4)
            }
            None => None,
        }
    }
}

/// A client that was let in.
struct Client {
    cx: InputCx,
    /// Half as long again as it promised never to be silent; `None` when it promised nothing.
    silence: Option<Duration>,
    heard: Instant,
}

/// The place of a client's name, given up when the connection ends.
struct Name<'a> {
    shared: &'a Shared,
    id: Box<str>,
    replaced: Rc<Notify>,
}

impl<'a> Name<'a> {
    fn take(shared: &'a Shared, id: &str) -> Self {
        let replaced = Rc::<Notify>::default();
        if !id.is_empty()
            && let Some(old) = shared.clients.borrow_mut().insert(id.into(), replaced.clone())
        {
            old.notify();
        }
        Self { shared, id: id.into(), replaced }
    }
}

impl Drop for Name<'_> {
    fn drop(&mut self) {
        let mut clients = self.shared.clients.borrow_mut();
        if clients.get(&self.id).is_some_and(|own| Rc::ptr_eq(own, &self.replaced)) {
            clients.remove(&self.id);
        }
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(cx: &InputCx, shared: &Shared, stream: Stream, peer: Peer) {
    if let Err(end) = run(cx, shared, stream).await {
        end.tell(cx, &peer, &shared.said);
    }
}

async fn run(cx: &InputCx, shared: &Shared, stream: Stream) -> Result<(), End> {
    let mut wire = Wire::new(stream, shared.common.longest);
    let introduced = timeout(shared.patience, introduce(cx, shared, &mut wire));
    let stop = async {
        cx.stopping().await;
        Some(Err(End::Quiet("the shutdown came first".into())))
    };
    let late = || Err(End::Quiet("it did not introduce itself in time (net.accept_timeout)".into()));
    let (client, name) = or(introduced, stop).await.unwrap_or_else(late)?;
    let mut flow = Flow::new(cx.clone(), shared.common.clone(), wire, client);
    let replaced = async {
        name.replaced.wait().await;
        Err(End::Quiet(format!("another connection has its name '{}'", name.id)))
    };
    or(replaced, flow.run()).await?;
    flow.wire.finish().await;
    Ok(())
}

/// Waits for CONNECT and answers it.
async fn introduce<'a>(cx: &InputCx, shared: &'a Shared, wire: &mut Wire<Stream>) -> Result<(Client, Name<'a>), End> {
    loop {
        match wire.packet()? {
            None => {
                if wire.fill().await? == 0 {
                    return Err(End::Quiet("it left without a word".into()));
                }
            }
            Some(Packet::Connect(c)) => {
                let mut out = Vec::new();
                if let Some(code) = shared.refuses(&c) {
                    let level = if code == 1 { format!(" (level {})", c.level) } else { String::new() };
                    connack(false, code, &mut out);
                    let _ = wire.send(&out).await;
                    wire.finish().await;
                    let why = match code {
                        4 => "its user and password are not those of User and Password".to_owned(),
                        _ => format!("refused: {}{level}", refusal(code)),
                    };
                    return Err(End::Refused("refused clients", why));
                }
                let silence = (c.keep_alive > 0).then(|| Duration::from_secs(c.keep_alive.into()) * 3 / 2);
                let name = Name::take(shared, c.client_id);
                // Nothing of an earlier connection is kept: whatever was not acknowledged is sent again.
                connack(false, 0, &mut out);
                wire.send(&out).await?;
                return Ok((Client { cx: cx.clone(), silence, heard: now() }, name));
            }
            Some(_) => return Err(End::Refused("protocol errors", "its first packet is not CONNECT".into())),
        }
    }
}

impl Rules for Client {
    fn control(&mut self, packet: Packet<'_>, out: &mut Vec<u8>) -> Result<(), End> {
        match packet {
            Packet::PingReq => out.extend_from_slice(&PINGRESP),
            Packet::Subscribe { id, topics } => {
                self.cx.count("refused subscriptions", 1);
                self.cx.lost(0, "a client wants to subscribe: this is no broker, it only takes messages");
                suback(id, &vec![REFUSED; topics.count()], out);
            }
            Packet::Unsubscribe { id, .. } => reply(Reply::UnsubAck, id, out),
            Packet::Disconnect => return Err(End::Quiet("it took its leave".into())),
            other => {
                let word = if matches!(other, Packet::Connect(_)) { "a second CONNECT" } else { "a server's packet" };
                return Err(End::Refused("protocol errors", word.to_owned() + " from a client"));
            }
        }
        Ok(())
    }

    fn ended(&self, _: Instant) -> Result<(), End> {
        Ok(())
    }

    fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    fn spoke(&mut self, _: Instant) {}

    fn due(&self) -> Option<Instant> {
        self.silence.map(|silence| self.heard + silence)
    }

    fn tick(&mut self, now: Instant, _: &mut Vec<u8>) -> Result<(), End> {
        match self.due().is_some_and(|due| due <= now) {
            true => {
                self.cx.count("silent clients", 1);
                Err(End::Quiet("it was silent for longer than its keep-alive allows".into()))
            }
            false => Ok(()),
        }
    }
}
