//! TLS towards a server: the `tls.*` keys of an output.

use super::verify::Judge;
use super::words::words;
use super::{Problem, Session, pem};
use crate::conf::common::{TlsClient, TlsVersion};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use std::sync::{Arc, OnceLock};

/// TLS settings of a client, ready for connections.
#[derive(Debug, Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    vhost: Option<String>,
}

impl ClientTls {
    /// `None` with `tls off`. Reads the certificate files.
    ///
    /// # Errors
    /// Names the key that cannot be honoured.
    pub fn new(conf: &TlsClient) -> Result<Option<Self>, Problem> {
        if !conf.tls {
            return Ok(None);
        }
        let provider = Arc::new(ring::default_provider());
        let judge = Arc::new(judge(conf, &provider)?);
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions(conf.min_version, conf.max_version)?)
            .map_err(|e| Problem::new("tls", words(&e), ""))?
            .dangerous()
            .with_custom_certificate_verifier(judge);
        let config = match own_certificate(conf.crt_file.as_deref(), conf.key_file.as_deref())? {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|e| mismatch(&e))?,
        };
        Ok(Some(Self { config: Arc::new(config), vhost: conf.vhost.clone() }))
    }

    /// Begins a connection to `host`, whose name (or `tls.vhost`) is asked for and checked.
    ///
    /// # Errors
    /// When that is neither a host name nor an address.
    pub fn session(&self, host: &str) -> Result<Session, String> {
        self.connection(host).map(Session::new)
    }

    /// [`Self::session`] as the TLS library's own connection.
    ///
    /// # Errors
    /// When `host` is neither a host name nor an address.
    pub fn connection(&self, host: &str) -> Result<ClientConnection, String> {
        let name = self.vhost.as_deref().unwrap_or(host);
        let name = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
        let name = name.strip_suffix('.').unwrap_or(name);
        let server = ServerName::try_from(name.to_owned()).map_err(|_| format!("'{name}' is not a host name"))?;
        ClientConnection::new(self.config.clone(), server).map_err(|e| words(&e))
    }
}

fn judge(conf: &TlsClient, provider: &CryptoProvider) -> Result<Judge, Problem> {
    let mut judge = Judge::new(provider);
    if !conf.verify {
        return Ok(judge);
    }
    judge.check_name = conf.verify_hostname;
    judge.trusted = pem::authorities(conf.ca_file.as_deref(), conf.ca_path.as_deref())?;
    judge.roots = Some(match judge.trusted.is_empty() {
        true => system_roots()?,
        false => Arc::new(pem::anchors(&judge.trusted, "tls.ca_file")),
    });
    Ok(judge)
}

/// The authorities that the system trusts, read once.
fn system_roots() -> Result<Arc<RootCertStore>, Problem> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        for e in &found.errors {
            log::debug!("[tls] certificates of the system: {e}");
        }
        Arc::new(pem::anchors(&found.certs, "the system"))
    });
    if roots.is_empty() {
        let help = "Set tls.ca_file, or install the package ca-certificates.";
        return Err(Problem::new("tls.verify", "this system has no trusted authorities to check servers with", help));
    }
    Ok(roots.clone())
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

type Identity = (Vec<CertificateDer<'static>>, rustls::pki_types::PrivateKeyDer<'static>);

/// Our own certificate and key: both or none.
pub(super) fn own_certificate(crt: Option<&str>, key: Option<&str>) -> Result<Option<Identity>, Problem> {
    match (crt, key) {
        (None, None) => Ok(None),
        (Some(crt), Some(key)) => {
            Ok(Some((pem::certificates("tls.crt_file", crt)?, pem::private_key("tls.key_file", key)?)))
        }
        (Some(_), None) => Err(Problem::new("tls.crt_file", "needs tls.key_file beside it", "Add tls.key_file.")),
        (None, Some(_)) => Err(Problem::new("tls.key_file", "needs tls.crt_file beside it", "Add tls.crt_file.")),
    }
}

/// A certificate and a key that do not go together.
pub(super) fn mismatch(error: &rustls::Error) -> Problem {
    let help = "tls.crt_file and tls.key_file must belong together.";
    Problem::new("tls.key_file", format!("the key cannot be used with the certificate: {error}"), help)
}
