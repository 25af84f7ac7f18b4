//! The files that the `tls.*` keys of both sides name.

use super::{Problem, pem};
use crate::conf::common::TlsVersion;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, SupportedProtocolVersion};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::renew::{Stamp, stamps};

/// Our own certificate and its key.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) crt: Option<String>,
    pub(super) key: Option<String>,
    pub(super) passwd: Option<String>,
}

/// A chain and its key.
pub(super) type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Identity {
    /// Both or none.
    pub(super) fn read(&self) -> Result<Option<Pair>, Problem> {
        match (self.crt.as_deref(), self.key.as_deref()) {
            (None, None) => Ok(None),
            (Some(crt), Some(key)) => {
                let chain = pem::certificates("tls.crt_file", crt)?;
                Ok(Some((chain, pem::private_key("tls.key_file", key, self.passwd.as_deref())?)))
            }
            (Some(_), None) => Err(Problem::new("tls.crt_file", "needs tls.key_file beside it", "Add tls.key_file.")),
            (None, Some(_)) => Err(Problem::new("tls.key_file", "needs tls.crt_file beside it", "Add tls.crt_file.")),
        }
    }
}

/// Who is trusted.
#[derive(Debug, Clone)]
pub(super) struct Authorities {
    pub(super) file: Option<String>,
    pub(super) dir: Option<String>,
}

impl Authorities {
    /// Those of both keys; none when neither is given.
    pub(super) fn read(&self) -> Result<Vec<CertificateDer<'static>>, Problem> {
        pem::authorities(self.file.as_deref(), self.dir.as_deref())
    }

    pub(super) fn any(&self) -> bool {
        self.file.is_some() || self.dir.is_some()
    }
}

/// The files by their keys, for operators, and as paths.
pub(super) fn named(identity: &Identity, trust: &Authorities) -> (String, Vec<PathBuf>) {
    let given = [
        ("tls.crt_file", &identity.crt),
        ("tls.key_file", &identity.key),
        ("tls.ca_file", &trust.file),
        ("tls.ca_path", &trust.dir),
    ];
    let given: Vec<_> = given.into_iter().filter_map(|(key, path)| Some((key, path.as_deref()?))).collect();
    let name = given.iter().map(|(key, path)| format!("{key} {path}")).collect::<Vec<_>>().join(", ");
    (name, given.iter().map(|(_, path)| PathBuf::from(path)).collect())
}

/// Where systems keep the authorities that they trust.
const SYSTEM: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// The files by which a change of the system's authorities is seen.
pub(super) fn of_system() -> Vec<PathBuf> {
    match (std::env::var_os("SSL_CERT_FILE"), std::env::var_os("SSL_CERT_DIR")) {
        (None, None) => SYSTEM.iter().map(PathBuf::from).collect(),
        (file, dir) => file.into_iter().map(PathBuf::from).chain(dir.iter().flat_map(std::env::split_paths)).collect(),
    }
}

/// The authorities that the system trusts: read once for all outputs, and again when they change.
pub(super) fn system_roots() -> Result<Arc<RootCertStore>, Problem> {
    type Known = (Vec<Stamp>, Arc<RootCertStore>);
    static ROOTS: Mutex<Option<Known>> = Mutex::new(None);
    let mut known = ROOTS.lock().unwrap_or_else(|e| e.into_inner());
    let now = stamps(&of_system());
    let roots = match &*known {
        Some((seen, roots)) if *seen == now => roots.clone(),
        _ => {
            let found = rustls_native_certs::load_native_certs();
            for e in &found.errors {
                log::debug!("[tls] certificates of the system: {e}");
            }
            let roots = Arc::new(pem::anchors(&found.certs, "the system"));
            *known = Some((now, roots.clone()));
            roots
        }
    };
    if roots.is_empty() {
        let help = "Set tls.ca_file, or install the package ca-certificates.";
        return Err(Problem::new("tls.verify", "this system has no trusted authorities to check servers with", help));
    }
    Ok(roots)
}

/// The protocol versions between two keys.
pub(super) fn versions(
    min: Option<TlsVersion>,
    max: Option<TlsVersion>,
) -> Result<&'static [&'static SupportedProtocolVersion], Problem> {
    static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    match (min.unwrap_or(TlsVersion::V12), max.unwrap_or(TlsVersion::V13)) {
        (TlsVersion::V12, TlsVersion::V13) => Ok(&BOTH),
        (TlsVersion::V13, TlsVersion::V13) => Ok(&BOTH[..1]),
        (TlsVersion::V12, TlsVersion::V12) => Ok(&BOTH[1..]),
        (TlsVersion::V13, TlsVersion::V12) => {
            Err(Problem::new("tls.max_version", "is below tls.min_version", "Give versions in order."))
        }
    }
}

/// A certificate and a key that do not go together.
pub(super) fn mismatch(error: &rustls::Error) -> Problem {
    let help = "tls.crt_file and tls.key_file must belong together.";
    Problem::new("tls.key_file", format!("the key cannot be used with the certificate: {error}"), help)
}
