//! SCRAM-SHA-256 and SCRAM-SHA-512, the client's side (RFC 5802, RFC 7677), without channel binding.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256, Sha512};

/// The most rounds of hashing that a server may ask for: half a second on a small board.
const MAX_ROUNDS: u32 = 500_000;

/// The hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SCRAM-SHA-256
    Sha256,
    /// SCRAM-SHA-512
    Sha512,
}

impl Hash {
    fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        fn run<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
            let mut d = D::new();
            parts.iter().for_each(|p| d.update(p));
            d.finalize().to_vec()
        }
        match self {
            Self::Sha256 => run::<Sha256>(parts),
            Self::Sha512 => run::<Sha512>(parts),
        }
    }

    /// HMAC (RFC 2104).
    fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let block = if self == Self::Sha256 { 64 } else { 128 };
        let mut key = if key.len() > block { self.digest(&[key]) } else { key.to_vec() };
        key.resize(block, 0);
        let [inner, outer] = [0x36, 0x5c].map(|pad| key.iter().map(|b| b ^ pad).collect::<Vec<u8>>());
        let inner = self.digest(&[&[&inner[..]], parts].concat());
        self.digest(&[&outer, &inner])
    }

    /// PBKDF2 with one block.
    fn salted(self, password: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
        let mut u = self.hmac(password, &[salt, &[0, 0, 0, 1]]);
        let mut all = u.clone();
        for _ in 1..rounds {
            u = self.hmac(password, &[&u]);
            all.iter_mut().zip(&u).for_each(|(a, b)| *a ^= b);
        }
        all
    }
}

/// An exchange that has begun.
#[derive(Debug, Clone)]
pub struct Scram {
    hash: Hash,
    password: String,
    nonce: String,
    first: String,
}

/// An exchange that waits for the server's proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Final {
    /// What to send.
    pub message: String,
    expected: String,
}

impl Scram {
    /// Begins an exchange; `nonce` must be a new one, of printable ASCII without a comma.
    pub fn new(hash: Hash, user: &str, password: &str, nonce: &str) -> Self {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Self { hash, password: password.to_owned(), nonce: nonce.to_owned(), first: format!("n={user},r={nonce}") }
    }

    /// The first message.
    pub fn first(&self) -> String {
        format!("n,,{}", self.first)
    }

    /// The second message, in answer to the server's first. Takes long: each of the rounds that the server asks for costs
    /// two hashes.
    ///
    /// # Errors
    /// Says what is wrong with the server's message.
    pub fn answer(&self, server: &[u8]) -> Result<Final, String> {
        let server = std::str::from_utf8(server).map_err(|_| "its SCRAM message is not text")?;
        let field = |name: &str| server.split(',').find_map(|f| f.strip_prefix(name)?.strip_prefix('='));
        let missing = |name| format!("its SCRAM message has no {name}");
        let nonce = field("r").filter(|n| n.starts_with(&self.nonce) && n.len() > self.nonce.len());
        let nonce = nonce.ok_or("its SCRAM message answers another one")?;
        let salt = BASE64_STANDARD.decode(field("s").ok_or_else(|| missing("salt"))?).map_err(|_| missing("salt"))?;
        let rounds: u32 = field("i").and_then(|i| i.parse().ok()).ok_or_else(|| missing("count of rounds"))?;
        if rounds == 0 || rounds > MAX_ROUNDS {
            return Err(format!("it asks for {rounds} rounds of SCRAM, at most {MAX_ROUNDS} are served"));
        }
        let hash = self.hash;
        let salted = hash.salted(self.password.as_bytes(), &salt, rounds);
        // "biws" is "n,," in Base64.
        let bare = format!("c=biws,r={nonce}");
        let all = format!("{},{server},{bare}", self.first);
        let client = hash.hmac(&salted, &[b"Client Key"]);
        let signature = hash.hmac(&hash.digest(&[&client]), &[all.as_bytes()]);
        let proof: Vec<u8> = client.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        let expected = hash.hmac(&hash.hmac(&salted, &[b"Server Key"]), &[all.as_bytes()]);
        let message = format!("{bare},p={}", BASE64_STANDARD.encode(proof));
        Ok(Final { message, expected: BASE64_STANDARD.encode(expected) })
    }
}

impl Final {
    /// Whether the server knows the password, too.
    ///
    /// # Errors
    /// When it does not, or says what went wrong.
    pub fn verify(&self, server: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(server);
        match (text.strip_prefix("e="), text.split(',').next().and_then(|f| f.strip_prefix("v="))) {
            (Some(why), _) => Err(format!("SCRAM: {why}")),
            (None, Some(v)) if v == self.expected => Ok(()),
            _ => Err("SCRAM: the broker could not prove that it knows the password".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677 §3.
    #[test]
    fn the_example_of_the_rfc() {
        let scram = Scram::new(Hash::Sha256, "user", "pencil", "rOprNGfwEbeRWgbNEkqO");
        assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let server = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let done = scram.answer(server.as_bytes()).unwrap();
        let want = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(done.message, want);
        assert_eq!(done.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
        assert!(done.verify(b"v=AAAA").unwrap_err().contains("could not prove"));
        assert_eq!(done.verify(b"e=invalid-proof").unwrap_err(), "SCRAM: invalid-proof");
    }

    #[test]
    fn hostile_servers() {
        let scram = Scram::new(Hash::Sha512, "a=b,c", "p", "abc");
        assert_eq!(scram.first(), "n,,n=a=3Db=2Cc,r=abc");
        for (server, why) in [
            ("r=abc,s=AA==,i=1", "answers another one"),
            ("r=xabc1,s=AA==,i=1", "answers another one"),
            ("r=abc1,i=1", "no salt"),
            ("r=abc1,s=%,i=1", "no salt"),
            ("r=abc1,s=AA==", "no count of rounds"),
            ("r=abc1,s=AA==,i=4000000000", "4000000000 rounds"),
            ("\u{1}", "answers another one"),
        ] {
            let got = scram.answer(server.as_bytes()).unwrap_err();
            assert!(got.contains(why), "{server}: {got}");
        }
        assert!(scram.answer(b"\xff").is_err());
    }
}
