//! MQTT 3.1.1 as pure bytes: packets of both sides are read from a stream, and written.
//!
//! Source: MQTT Version 3.1.1, OASIS Standard, 29 October 2014; sections are cited by its numbers. Clients of version 3.1, which
//! differ in the name of the protocol only, are understood, too.

mod decode;
mod packet;
#[cfg(test)]
mod tests;
mod write;

pub use decode::Decoder;
pub use packet::{Connect, Packet, Publish, Reply, Topics, Wrong};
pub use write::{DISCONNECT, PINGREQ, PINGRESP, connack, connect, publish, reply, suback, subscribe};

/// The port of brokers, and that of brokers with TLS.
pub const PORT: u16 = 1883;
/// The port with TLS.
pub const PORT_TLS: u16 = 8883;
/// The longest packet behind its fixed header, in bytes (2.2.3).
pub const MAX_REST: usize = 268_435_455;
/// The longest text, in bytes (1.5.3).
pub const MAX_TEXT: usize = 65_535;
/// A subscription that the server did not make (3.9.3).
pub const REFUSED: u8 = 0x80;

/// Whether a message can be published under this name (4.7.3): it has neither wildcards nor NUL.
pub fn is_topic(name: &str) -> bool {
    (1..=MAX_TEXT).contains(&name.len()) && !name.contains(['+', '#', '\0'])
}

/// Whether this selects topics (4.7.1): `+` stands for one level, `#` for all that follow.
pub fn is_filter(text: &str) -> bool {
    let mut levels = text.split('/').rev();
    let last = levels.next().unwrap_or_default();
    let plain = |level: &str| level == "+" || !level.contains(['+', '#']);
    (1..=MAX_TEXT).contains(&text.len()) && !text.contains('\0') && (last == "#" || plain(last)) && levels.all(plain)
}

/// Why a server lets nobody in, in words (3.2.2.3).
pub fn refusal(code: u8) -> &'static str {
    match code {
        1 => "it does not speak MQTT 3.1.1",
        2 => "it does not take this Client_ID",
        3 => "it is not available",
        4 => "User or Password is wrong",
        5 => "this User, or this Client_ID, may not connect",
        _ => "for a reason that MQTT 3.1.1 does not know",
    }
}
