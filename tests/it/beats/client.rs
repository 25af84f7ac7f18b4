//! Lumberjack clients that do as they are told.

use crate::lab::Wire;
use collector::fmt::lumberjack::{ACK_LEN, Version, begin_json, end_json, pack, read_ack, set_seq, window};
use std::collections::BTreeSet;
use std::io::Read;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// How a window is packed.
#[derive(Clone, Copy)]
pub enum Packing {
    None,
    Zlib(u32),
}

/// A connection to the input.
pub struct Client {
    wire: Wire,
}

/// Event number `n`.
pub fn event(n: u32) -> Vec<u8> {
    format!(
        r#"{{"@timestamp":"2026-01-02T03:04:05.678Z","message":"line number={n}. of some length to look like one"}}"#
    )
    .into()
}

/// The numbers in what arrived.
pub fn numbers(text: &[u8]) -> BTreeSet<u32> {
    let text = String::from_utf8_lossy(text);
    text.split("number=").skip(1).filter_map(|t| t.split('.').next()?.parse().ok()).collect()
}

/// Window and frames.
pub fn frames(events: &[&[u8]], packing: Packing) -> Vec<u8> {
    let mut plain = Vec::new();
    for (text, seq) in events.iter().zip(1..) {
        let start = begin_json(&mut plain);
        plain.extend_from_slice(text);
        end_json(start, &mut plain);
        set_seq(&mut plain[start..], seq);
    }
    let mut out = window(events.len() as u32).to_vec();
    match packing {
        Packing::None => out.extend(plain),
        Packing::Zlib(level) => pack(&plain, level, &mut out),
    }
    out
}

impl Client {
    pub fn connect(port: u16) -> Self {
        Self::try_connect(port).unwrap()
    }

    pub fn try_connect(port: u16) -> Option<Self> {
        Some(Self { wire: Wire::connect(port)? })
    }

    /// As records show it.
    pub fn address(&self) -> String {
        format!("tcp://{}", self.stream.local_addr().unwrap())
    }

    pub fn window(&mut self, events: &[&[u8]], packing: Packing) {
        assert!(self.send(&frames(events, packing)));
    }

    /// A window of version 1 whose events count from `seq` on.
    pub fn window_v1(&mut self, seq: u32, events: &[&[(&str, &str)]]) {
        let mut out = b"1W".to_vec();
        out.extend((events.len() as u32).to_be_bytes());
        for (pairs, seq) in events.iter().zip(seq..) {
            out.extend(b"1D");
            out.extend(seq.to_be_bytes());
            out.extend((pairs.len() as u32).to_be_bytes());
            for text in pairs.iter().flat_map(|(k, v)| [k, v]) {
                out.extend((text.len() as u32).to_be_bytes());
                out.extend(text.as_bytes());
            }
        }
        assert!(self.send(&out));
    }

    /// Whether a window was sent and acknowledged.
    pub fn try_window(&mut self, events: &[Vec<u8>], packing: Packing) -> bool {
        let events: Vec<&[u8]> = events.iter().map(Vec::as_slice).collect();
        if !self.send(&frames(&events, packing)) {
            return false;
        }
        let mut frame = [0; ACK_LEN];
        while self.stream.read_exact(&mut frame).is_ok() {
            if read_ack(&frame) == Some(events.len() as u32) {
                return true;
            }
        }
        false
    }

    /// The next number that is acknowledged, 0 included.
    pub fn frame(&mut self) -> u32 {
        let mut frame = [0; ACK_LEN];
        self.stream.read_exact(&mut frame).unwrap();
        read_ack(&frame).unwrap()
    }

    /// The next acknowledgement.
    pub fn ack(&mut self) -> (Version, u32) {
        loop {
            let mut frame = [0; ACK_LEN];
            self.stream.read_exact(&mut frame).unwrap();
            let version = if frame[0] == b'1' { Version::V1 } else { Version::V2 };
            match read_ack(&frame) {
                Some(0) => {}
                Some(seq) => return (version, seq),
                None => panic!("{frame:?}"),
            }
        }
    }

    pub fn patience(&self, time: Duration) {
        self.stream.set_read_timeout(Some(time)).unwrap();
    }
}

impl Deref for Client {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.wire
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Wire {
        &mut self.wire
    }
}

/// A client over TLS.
#[cfg(feature = "tls")]
pub struct Tls(rustls::StreamOwned<rustls::ClientConnection, std::net::TcpStream>);

#[cfg(feature = "tls")]
impl Tls {
    /// Trusts `ca.pem` of the lab, and shows a certificate of it.
    pub fn connect(port: u16, lab: &crate::lab::Lab, own: Option<&str>) -> Self {
        use rustls::pki_types::pem::PemObject;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(lab.path("ca.pem")).unwrap()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots);
        let config = match own {
            Some(name) => {
                let cert = CertificateDer::from_pem_file(lab.path(&format!("{name}.crt"))).unwrap();
                let key = PrivateKeyDer::from_pem_file(lab.path(&format!("{name}.key"))).unwrap();
                config.with_client_auth_cert(vec![cert], key).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        let session = rustls::ClientConnection::new(config.into(), "localhost".try_into().unwrap()).unwrap();
        Self(rustls::StreamOwned::new(session, Client::connect(port).wire.stream))
    }

    pub fn send_window(&mut self, events: &[&[u8]]) {
        use std::io::Write;
        // One that is not let in hears of it when it writes or when it reads.
        let _ = self.0.write_all(&frames(events, Packing::Zlib(3))).and_then(|()| self.0.flush());
    }

    pub fn ack(&mut self) -> Option<u32> {
        let mut frame = [0; ACK_LEN];
        self.0.read_exact(&mut frame).ok()?;
        read_ack(&frame)
    }
}
