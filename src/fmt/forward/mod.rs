//! The forward protocol, version 1 and what version 0 sent: messages, their options, acknowledgements and the handshake.
//! Pure: bytes in, records out, and back.
//!
//! A connection carries msgpack values, each a message in one of four modes: one event (`[tag, time, record, options]`), a
//! list of events (`[tag, [event…], options]`), and the same list as bytes, plain or packed. An event is `[time, record]`, or
//! Fluent Bit's `[[time, metadata], record]`.

mod decode;
mod frame;
mod message;
mod secure;
mod write;

pub use decode::{Decoder, Part};
pub use frame::{Frame, FrameError};
pub use message::{Entries, Message, NotMessage, Options, read_ack, write_ack};
pub use secure::{Digest, Helo, Ping, Pong, key_digest, password_digest, same};
pub use write::Envelope;

/// The port of the protocol.
pub const PORT: u16 = 24224;
/// The longest message of a handshake, in bytes: names and digests.
pub const MAX_HANDSHAKE: usize = 16 << 10;
/// The longest acknowledgement that is read, in bytes.
pub const MAX_ACK: usize = 4 << 10;
