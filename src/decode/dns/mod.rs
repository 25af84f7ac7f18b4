//! DNS: messages over UDP and TCP, multicast DNS and LLMNR, paired to transactions.
//!
//! RFC 1034, 1035, 2136, 2308, 5936, 6762, 6891, 7766 and those of the record types. A query waits for the response with
//! its id and question; queries that were sent twice are answered in their order. A zone's transfer over TCP is one
//! document: counts and bytes are those of all its messages, the answers those of the first. Multicast DNS and LLMNR are
//! a document for each message.
//!
//! A response without a query waits a tenth of a second for it, since captures of several queues are not in order.

mod code;
mod dig;
mod doc;
mod edns;
mod framing;
mod keys;
mod name;
mod notes;
mod pending;
mod probe;
mod rdata;
mod suffix;
mod talk;
#[cfg(test)]
mod tests;
mod wire;

use super::{Conversation, Decoder, MakeProtocol, Protocol, Transport};
use crate::conf::Ports;
use doc::Buffers;
use keys::Keys;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use talk::Talk;

/// The protocol.
pub static PROTOCOL: Protocol = Protocol {
    name: "dns",
    doc: "Questions and their answers over UDP and TCP, multicast DNS and LLMNR.",
    keys: DnsConf::TABLE,
    over: &[Transport::Udp, Transport::Tcp],
    probe: probe::probe,
    make: |cx| make(cx),
};

crate::config! {
    /// Keys of the `dns` protocol.
    pub struct DnsConf {
        /// Ports on which DNS is looked for first: DNS, multicast DNS, LLMNR.
        ports: Ports => "dns.ports" = "53, 5353, 5355",
        /// Writes the records of the authority section to `dns.authorities`.
        include_authorities: bool => "dns.include_authorities" = "off",
        /// Writes the records of the additional section to `dns.additionals`.
        include_additionals: bool => "dns.include_additionals" = "off",
        /// Writes the query as text to `request`.
        send_request: bool => "dns.send_request" = "off",
        /// Writes the response as text to `response`.
        send_response: bool => "dns.send_response" = "off",
        /// How long a query waits for its response. Default: `Transaction_Timeout`.
        transaction_timeout: Option<Duration> => "dns.transaction_timeout",
    }
}

fn make(cx: &mut MakeProtocol<'_>) -> Option<Box<dyn Decoder>> {
    let conf = DnsConf::load(cx.section, cx.diags)?;
    let settings = Settings {
        include_authorities: conf.include_authorities,
        include_additionals: conf.include_additionals,
        send_request: conf.send_request,
        send_response: conf.send_response,
        timeout: conf.transaction_timeout.unwrap_or(cx.timeout),
        keys: Keys::new(),
    };
    let shared = Shared { settings, buffers: RefCell::default(), pool: RefCell::default() };
    Some(Box::new(Dns { ports: conf.ports.0, shared: Rc::new(shared) }))
}

/// What the keys come to.
#[derive(Debug)]
struct Settings {
    include_authorities: bool,
    include_additionals: bool,
    send_request: bool,
    send_response: bool,
    timeout: Duration,
    keys: Keys,
}

/// What all conversations share.
#[derive(Debug)]
struct Shared {
    settings: Settings,
    buffers: RefCell<Buffers>,
    /// Buffers of queries that were answered, for the next ones.
    pool: RefCell<Vec<Vec<u8>>>,
}

/// Buffers that are kept for use again.
const POOL_MAX: usize = 64;
/// The largest of them, in bytes: a query with its options.
const POOLED_MAX: usize = 512;

impl Shared {
    /// An empty buffer.
    fn buffer(&self) -> Vec<u8> {
        self.pool.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a buffer that is not needed any more.
    fn give_back(&self, mut buffer: Vec<u8>) {
        let mut pool = self.pool.borrow_mut();
        if buffer.capacity() <= POOLED_MAX && pool.len() < POOL_MAX {
            buffer.clear();
            pool.push(buffer);
        }
    }
}

struct Dns {
    ports: Vec<u16>,
    shared: Rc<Shared>,
}

impl Decoder for Dns {
    fn ports(&self) -> &[u16] {
        &self.ports
    }

    fn open(&self, over: Transport) -> Box<dyn Conversation> {
        Box::new(Talk::new(self.shared.clone(), over))
    }
}

/// Bytes that are not what the format says. It carries nothing: hostile bytes make it cheap to cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bad;

impl From<nom::Err<()>> for Bad {
    fn from(_: nom::Err<()>) -> Self {
        Self
    }
}
