//! The handshake: the server says HELO, the client PING, the server PONG. Both prove that they know the shared key by a
//! SHA-512 digest over each other's random numbers; a user's password is proven in the same way.

use super::message::{NotMessage, each_key, text};
use crate::fmt::msgpack_read::{Head, head, skip};
use crate::fmt::msgpack_write::{write_array_head, write_bin, write_map_head, write_str};
use crate::util::hex;
use sha2::{Digest as _, Sha512};

/// A digest as it is sent: 128 digits.
pub type Digest = [u8; 128];

/// What the server begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helo<'a> {
    /// The server's random number.
    pub nonce: &'a [u8],
    /// The salt of passwords; empty when no user has to be named.
    pub auth: &'a [u8],
}

/// What the client answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping<'a> {
    /// The client's name.
    pub hostname: &'a [u8],
    /// The client's random number.
    pub salt: &'a [u8],
    /// That it knows the key.
    pub digest: &'a [u8],
    /// The user; empty when none is asked for.
    pub username: &'a [u8],
    /// That it knows the user's password.
    pub password: &'a [u8],
}

/// The server's verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pong<'a> {
    /// Why the client is not let in.
    pub refused: Option<&'a [u8]>,
    /// The server's name.
    pub hostname: &'a [u8],
    /// That it knows the key.
    pub digest: &'a [u8],
}

impl<'a> Helo<'a> {
    /// Appends the message.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_array_head(2, out);
        write_str(b"HELO", out);
        write_map_head(3, out);
        write_str(b"nonce", out);
        write_bin(self.nonce, out);
        write_str(b"auth", out);
        write_bin(self.auth, out);
        write_str(b"keepalive", out);
        out.push(0xc3);
    }

    /// Reads the message; `None` when it is another one.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let at = begin(bytes, 2, b"HELO")?;
        let (mut nonce, mut auth) = (None, None);
        let read = each_key(bytes, at, |key, at| {
            let value = || text(bytes, at).map(|found| found.and_then(|(value, _)| bytes.get(value)));
            match key {
                b"nonce" => nonce = value()?,
                b"auth" => auth = value()?,
                _ => {}
            }
            Ok::<(), NotMessage>(())
        });
        read.ok()?;
        Some(Self { nonce: nonce?, auth: auth.unwrap_or_default() })
    }
}

impl<'a> Ping<'a> {
    /// Appends the message.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_array_head(6, out);
        write_str(b"PING", out);
        for part in [self.hostname, self.salt, self.digest, self.username, self.password] {
            write_str(part, out);
        }
    }

    /// Reads the message; `None` when it is another one.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut at = begin(bytes, 6, b"PING")?;
        let mut part = || {
            let (found, next) = text(bytes, at).ok()??;
            at = next;
            bytes.get(found)
        };
        Some(Self { hostname: part()?, salt: part()?, digest: part()?, username: part()?, password: part()? })
    }
}

impl<'a> Pong<'a> {
    /// Appends the message.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_array_head(5, out);
        write_str(b"PONG", out);
        out.push(0xc2 + u8::from(self.refused.is_none()));
        for part in [self.refused.unwrap_or_default(), self.hostname, self.digest] {
            write_str(part, out);
        }
    }

    /// Reads the message; `None` when it is another one.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let at = begin(bytes, 5, b"PONG")?;
        let (Head::Bool(ok), mut at) = head(bytes, at).ok()?? else { return None };
        // A refusal may leave the rest out.
        let mut part = || {
            let found = text(bytes, at).ok().flatten();
            at = skip(bytes, at).ok().flatten().unwrap_or(bytes.len());
            found.and_then(|(found, _)| bytes.get(found)).unwrap_or_default()
        };
        let (reason, hostname, digest) = (part(), part(), part());
        Some(Self { refused: (!ok).then_some(reason), hostname, digest })
    }
}

/// The offset behind the name of a message, when it is an array of `count` that begins with it.
fn begin(bytes: &[u8], count: usize, name: &[u8]) -> Option<usize> {
    let (Head::Array(n), at) = head(bytes, 0).ok()?? else { return None };
    let (found, at) = text(bytes, at).ok()??;
    (n == count && bytes.get(found) == Some(name)).then_some(at)
}

/// That `hostname` knows the shared key, in the face of the server's `nonce` and the client's `salt`.
pub fn key_digest(salt: &[u8], hostname: &[u8], nonce: &[u8], key: &[u8]) -> Digest {
    digest(&[salt, hostname, nonce, key])
}

/// That a user knows the password, in the face of the server's `auth`.
pub fn password_digest(auth: &[u8], username: &[u8], password: &[u8]) -> Digest {
    digest(&[auth, username, password])
}

fn digest(parts: &[&[u8]]) -> Digest {
    let mut sum = Sha512::new();
    parts.iter().for_each(|part| sum.update(part));
    let mut out = [0; 128];
    for (pair, byte) in out.chunks_exact_mut(2).zip(sum.finalize()) {
        pair.copy_from_slice(&hex::digits(byte));
    }
    out
}

/// Whether a digest is the expected one, in a time that does not tell how much of it is right.
pub fn same(expected: &Digest, got: &[u8]) -> bool {
    got.len() == expected.len() && expected.iter().zip(got).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_messages() {
        let mut out = Vec::new();
        let helo = Helo { nonce: b"0123456789abcdef", auth: b"" };
        helo.write(&mut out);
        assert!(out.starts_with(b"\x92\xa4HELO\x83\xa5nonce\xc4\x100123456789abcdef\xa4auth\xc4\x00"));
        assert_eq!(Helo::read(&out), Some(helo));
        // As other servers write it: text instead of bytes, nothing about users.
        assert_eq!(Helo::read(b"\x92\xa4HELO\x81\xa5nonce\xa1n"), Some(Helo { nonce: b"n", auth: b"" }));
        let digest = key_digest(b"s", b"h", b"n", b"k");
        let ping = Ping { hostname: b"h", salt: b"s", digest: &digest, username: b"", password: b"" };
        out.clear();
        ping.write(&mut out);
        assert!(out.starts_with(b"\x96\xa4PING\xa1h\xa1s\xd9\x80"));
        assert_eq!(Ping::read(&out), Some(ping));
        for pong in [
            Pong { refused: None, hostname: b"h", digest: &digest },
            Pong { refused: Some(b"no"), hostname: b"", digest: b"" },
        ] {
            out.clear();
            pong.write(&mut out);
            assert_eq!(Pong::read(&out), Some(pong));
        }
        assert_eq!((Ping::read(b"\x92\xa4HELO\x80"), Helo::read(&out), Pong::read(b"\xa4PONG")), (None, None, None));
    }

    #[test]
    fn digests() {
        // sha512 of "abc", FIPS 180-4's example.
        let known = key_digest(b"a", b"", b"b", b"c");
        assert!(known.starts_with(b"ddaf35a193617abacc417349ae204131"));
        assert_eq!(password_digest(b"a", b"b", b"c"), known);
        assert!(same(&known, &known) && !same(&known, b"") && !same(&known, &known[1..]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(tail in proptest::collection::vec(any::<u8>(), 0..60), which in 0..4usize) {
            let heads: [&[u8]; 4] = [b"\x92\xa4HELO\x81", b"\x96\xa4PING", b"\x95\xa4PONG\xc2", b""];
            let bytes = [heads[which], &tail].concat();
            let _ = (Helo::read(&bytes), Ping::read(&bytes), Pong::read(&bytes));
        }
    }
}
