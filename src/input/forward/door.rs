//! Who is let in: the server's side of the handshake.

use crate::fmt::forward::{Helo, Ping, Pong, key_digest, password_digest, same};

/// The length of the random numbers, in bytes.
pub const NONCE: usize = 16;

/// The shared key, and the users where there are any.
#[derive(Debug)]
pub struct Door {
    /// What both sides know.
    pub key: Vec<u8>,
    /// The name of this side.
    pub hostname: String,
    /// Names and passwords; when there are none, nobody has to have one.
    pub users: Vec<(String, String)>,
}

/// Random numbers of one connection.
pub type Nonces = [[u8; NONCE]; 2];

impl Door {
    /// Appends the HELO.
    pub fn greet(&self, nonces: &Nonces, out: &mut Vec<u8>) {
        let [nonce, auth] = nonces;
        Helo { nonce, auth: if self.users.is_empty() { b"" } else { auth } }.write(out);
    }

    /// Appends the PONG to a client's PING.
    ///
    /// # Errors
    /// Why the client is not let in; the PONG then says so too.
    pub fn judge(&self, ping: &[u8], nonces: &Nonces, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let [nonce, auth] = nonces;
        let Some(ping) = Ping::read(ping) else {
            refuse("no PING", out);
            return Err("it began without the handshake of a Shared_Key");
        };
        if !same(&key_digest(ping.salt, ping.hostname, nonce, &self.key), ping.digest) {
            refuse("shared_key mismatch", out);
            return Err("its Shared_Key is another one");
        }
        // Every user is looked at, so that the time does not tell which names exist.
        let known = self.users.iter().fold(self.users.is_empty(), |known, (name, password)| {
            let right = same(&password_digest(auth, name.as_bytes(), password.as_bytes()), ping.password);
            known | (right & (name.as_bytes() == ping.username))
        });
        if !known {
            refuse("username/password mismatch", out);
            return Err("its user name and password are none of security.users");
        }
        let digest = key_digest(ping.salt, self.hostname.as_bytes(), nonce, &self.key);
        Pong { refused: None, hostname: self.hostname.as_bytes(), digest: &digest }.write(out);
        Ok(())
    }
}

fn refuse(why: &str, out: &mut Vec<u8>) {
    Pong { refused: Some(why.as_bytes()), hostname: b"", digest: b"" }.write(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_let_in() {
        let nonces = [*b"0123456789abcdef", *b"fedcba9876543210"];
        let ping = |key: &str, user: &str, password: &str| {
            let digest = key_digest(b"salt", b"client", &nonces[0], key.as_bytes());
            let proof = password_digest(&nonces[1], user.as_bytes(), password.as_bytes());
            let mut out = Vec::new();
            Ping { hostname: b"client", salt: b"salt", digest: &digest, username: user.as_bytes(), password: &proof }
                .write(&mut out);
            out
        };
        let mut door = Door { key: b"k".to_vec(), hostname: "server".into(), users: vec![] };
        let judge = |door: &Door, ping: &[u8]| {
            let mut out = Vec::new();
            let verdict = door.judge(ping, &nonces, &mut out);
            let pong = Pong::read(&out).unwrap();
            assert_eq!(pong.refused.is_some(), verdict.is_err());
            verdict.map(|()| assert!(same(&key_digest(b"salt", b"server", &nonces[0], b"k"), pong.digest)))
        };
        assert_eq!(judge(&door, &ping("k", "", "")), Ok(()));
        assert!(judge(&door, &ping("q", "", "")).unwrap_err().contains("Shared_Key"));
        assert!(judge(&door, b"\x92\xa1t\x90").unwrap_err().contains("without the handshake"));
        door.users = vec![("a".into(), "x".into()), ("b".into(), "y".into())];
        assert_eq!(judge(&door, &ping("k", "b", "y")), Ok(()));
        for (user, password) in [("a", "y"), ("", ""), ("c", "x")] {
            assert!(judge(&door, &ping("k", user, password)).unwrap_err().contains("security.users"));
        }
    }
}
