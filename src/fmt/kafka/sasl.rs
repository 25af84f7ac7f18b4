//! SaslHandshake, SaslAuthenticate and InitProducerId: short requests.

use super::wire::{Malformed, Reader, Writer};

/// Names the mechanism that follows.
pub fn write_handshake(mechanism: &str, w: &mut Writer<'_>) {
    w.string(mechanism);
}

/// The error code and the mechanisms that the broker knows.
///
/// # Errors
/// [`Malformed`] when it cannot be read.
pub fn read_handshake(mut r: Reader<'_>) -> Result<(i16, Vec<String>), Malformed> {
    let error = r.i16()?;
    let names = (0..r.count(2)?).map(|_| r.string().map(str::to_owned)).collect::<Result<_, _>>()?;
    Ok((error, names))
}

/// A message of the mechanism.
pub fn write_authenticate(message: &[u8], w: &mut Writer<'_>) {
    w.bytes(message);
    w.tags();
}

/// An answer to a message of the mechanism.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// 0 when it goes on.
    pub error: i16,
    /// The broker's words for it.
    pub words: Option<String>,
    /// Its message of the mechanism.
    pub message: Vec<u8>,
    /// How long the connection may be used, in milliseconds; 0 is for ever.
    pub lifetime_ms: i64,
}

/// Reads an answer.
///
/// # Errors
/// [`Malformed`] when it cannot be read.
pub fn read_authenticate(mut r: Reader<'_>, version: i16) -> Result<Authenticated, Malformed> {
    let error = r.i16()?;
    let words = r.nullable_string()?.map(str::to_owned);
    let message = r.bytes()?.to_vec();
    let lifetime_ms = if version >= 1 { r.i64()? } else { 0 };
    Ok(Authenticated { error, words, message, lifetime_ms })
}

/// Asks for a new producer id, outside of transactions.
pub fn write_init_producer(w: &mut Writer<'_>, version: i16) {
    w.nullable_string(None);
    // The timeout of transactions, of which there are none.
    w.i32(i32::MAX);
    if version >= 3 {
        w.i64(-1);
        w.i16(-1);
    }
    w.tags();
}

/// An idempotent producer as brokers know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerId {
    /// Its number.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
}

/// The producer id, or an error code.
///
/// # Errors
/// [`Malformed`] when it cannot be read.
pub fn read_init_producer(mut r: Reader<'_>) -> Result<Result<ProducerId, i16>, Malformed> {
    r.i32()?;
    let error = r.i16()?;
    let producer = ProducerId { id: r.i64()?, epoch: r.i16()? };
    Ok(if error == 0 { Ok(producer) } else { Err(error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let r = |bytes| Reader::new(bytes, false);
        assert_eq!(read_handshake(r(b"\0\x21\0\0\0\x01\0\x05PLAIN")), Ok((33, vec!["PLAIN".into()])));
        let got = read_authenticate(r(b"\0\x3a\0\x02no\0\0\0\x01x\0\0\0\0\0\0\0\x09"), 1).unwrap();
        assert_eq!(got, Authenticated { error: 58, words: Some("no".into()), message: b"x".to_vec(), lifetime_ms: 9 });
        let id = b"\0\0\0\0\0\0\0\0\0\0\0\0\0\x07\0\x02";
        assert_eq!(read_init_producer(r(id)), Ok(Ok(ProducerId { id: 7, epoch: 2 })));
        assert_eq!(read_init_producer(r(&id[..15])), Err(Malformed));
    }
}
