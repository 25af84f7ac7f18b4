//! Packets: from captured frames to transactions. Pure: bytes and times come in as arguments.

pub mod analyzer;
mod common;
mod cx;
pub mod dns;
pub mod doc;
pub mod flow;
pub mod http;
pub mod icmp;
pub mod layers;
mod proto;
pub mod side;
#[cfg(test)]
#[allow(dead_code)]
pub mod talk;
pub mod tcp;
// For who adds a protocol: compiled and tested, but in no table.
#[cfg(test)]
#[path = "_template/mod.rs"]
mod template;
#[cfg(test)]
#[allow(dead_code)]
pub mod test_frames;
#[cfg(feature = "packets")]
pub mod tls;

use crate::conf::table;

pub use analyzer::Analyzer;
pub use cx::{Cx, Head, Out, Sink};
pub use doc::Doc;
pub use proto::{Conversation, Decoder, Dir, MakeProtocol, Next, Probe, Protocol, Step, Transport};

table! {
    /// Every protocol, in the order in which content is looked at.
    PROTOCOLS: Protocol =
    &icmp::PROTOCOL,
    &http::PROTOCOL,
    #[cfg(feature = "packets")]
    &tls::PROTOCOL,
    &dns::PROTOCOL,
}
