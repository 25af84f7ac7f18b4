//! The keys of `tls`.

use crate::conf::{CList, FromConf, Ports};
use std::time::Duration;

crate::config! {
    /// Options of tls.
    pub struct TlsConf {
        /// Ports on which TLS is looked for first. With `Detect` it is recognised on any port.
        ports: Ports => "tls.ports" = "443, 993, 995, 5223, 8443, 8883, 9243",
        /// Hashes of certificates: md5, sha1, sha256.
        fingerprints: Fingerprints => "tls.fingerprints" = "sha1",
        /// Show what certificates say: `tls.server.x509`, `tls.detailed.server_certificate` and the client's.
        send_certificates: bool => "tls.send_certificates" = "on",
        /// Show whole certificates in PEM: `tls.server.certificate_chain` and the client's.
        include_raw_certificates: bool => "tls.include_raw_certificates" = "off",
        /// Show what ECS has no names for, hellos and chains: `tls.detailed` and `tls.server.x509`.
        include_detailed_fields: bool => "tls.include_detailed_fields" = "on",
        /// Silence that ends a handshake. Default: `Transaction_Timeout`.
        transaction_timeout: Option<Duration> => "tls.transaction_timeout",
    }
}

/// Which hashes of certificates are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fingerprints {
    /// 128 bits.
    pub md5: bool,
    /// 160 bits.
    pub sha1: bool,
    /// 256 bits.
    pub sha256: bool,
}

impl FromConf for Fingerprints {
    const KIND: &'static str = "comma list";
    const EXAMPLE: &'static str = "sha1, sha256";
    fn from_conf(text: &str) -> Result<Self, String> {
        let mut set = Self::default();
        for word in CList::from_conf(text)?.0 {
            match word.to_ascii_lowercase().as_str() {
                "md5" => set.md5 = true,
                "sha1" | "sha-1" => set.sha1 = true,
                "sha256" | "sha-256" => set.sha256 = true,
                _ => return Err(format!("'{word}' is not a hash (md5, sha1, sha256)")),
            }
        }
        Ok(set)
    }
}
