//! HTTP/1.0 and 1.1 (RFC 9110, RFC 9112): a document for each request and its response.
//!
//! Requests and responses of a connection are matched in order. Bodies are passed over unless they are asked for. After bytes
//! that were not captured the next head is searched for, and what the loss does to the order is worked out ([`queue`]).
//!
//! `bytes` are what was captured of head and body, as transferred; `body.bytes` is what Content-Length or the chunks declare,
//! or what was seen until the connection ended. Interim responses (100 Continue) are passed over. `url.path` and `url.query` are
//! as they came, percent signs and all.
//!
//! Over UDP (UPnP's discovery) each datagram is a document of its own: its parts go to groups, and come from others.
//!
//! Limits: HTTP/2 is recognised by its preface and told in one document; its transactions are not decoded yet. HTTP/0.9 is
//! known in requests alone. A response to HEAD whose request was not captured is read as if it had a body. Bodies coded
//! with br or zstd are left out with a note.

mod body;
mod chunked;
pub mod conf;
mod conv;
mod doc;
mod frame;
mod head;
mod headers;
mod mask;
mod message;
mod notes;
mod probe;
mod queue;
mod seek;
#[cfg(test)]
mod tests;
mod url;

use super::{Conversation, Decoder, MakeProtocol, Protocol, Transport};
use conf::{HttpConf, Settings};
use message::Message;
use std::cell::RefCell;
use std::rc::Rc;

/// Its line in the table of protocols.
pub static PROTOCOL: Protocol = Protocol {
    name: "http",
    doc: "HTTP/1.0 and HTTP/1.1: one document per request and response.",
    keys: HttpConf::TABLE,
    over: &[Transport::Tcp, Transport::Udp],
    probe: probe::probe,
    make: |cx| make(cx),
};

fn make(cx: &mut MakeProtocol<'_>) -> Option<Box<dyn Decoder>> {
    let shared = Shared {
        settings: Settings::load(cx)?,
        keys: doc::Keys::new(),
        pool: RefCell::default(),
        scratch: RefCell::default(),
    };
    Some(Box::new(Configured(Rc::new(shared))))
}

struct Configured(Rc<Shared>);

impl Decoder for Configured {
    fn ports(&self) -> &[u16] {
        &self.0.settings.ports
    }

    fn open(&self, _over: Transport) -> Box<dyn Conversation> {
        Box::new(conv::Http::new(self.0.clone()))
    }
}

/// What the conversations of one input have in common.
#[derive(Debug)]
struct Shared {
    settings: Settings,
    keys: doc::Keys,
    /// Messages to use again. A connection holds one only while it waits.
    #[allow(clippy::vec_box)]
    pool: RefCell<Vec<Box<Message>>>,
    /// For text that is put together.
    scratch: RefCell<Vec<u8>>,
}

impl Shared {
    /// An empty message.
    fn message(&self) -> Box<Message> {
        self.pool.borrow_mut().pop().unwrap_or_else(|| Box::new(Message::new()))
    }

    /// Takes a message back.
    fn recycle(&self, mut message: Box<Message>) {
        /// As many as are in use at the same time, mostly.
        const POOL_MAX: usize = 64;
        let mut pool = self.pool.borrow_mut();
        if pool.len() < POOL_MAX {
            message.clear();
            pool.push(message);
        }
    }
}
