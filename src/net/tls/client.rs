//! TLS towards a server: the `tls.*` keys of an output.

use super::files::{Authorities, Identity, mismatch, named, of_system, system_roots, versions};
use super::renew::{Renewed, Settings};
use super::verify::Judge;
use super::words::words;
use super::{Problem, Session, pem, suites};
use crate::conf::common::{TlsClient, TlsVersion};
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, SignatureScheme};
use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;

/// TLS settings of a client, ready for connections. Connections are resumed where the server lets us. When the files
/// change, the next connections use what they hold then.
#[derive(Debug, Clone)]
pub struct ClientTls(Arc<Renewed<Client>>);

#[derive(Debug, Clone)]
struct Client {
    verify: bool,
    verify_hostname: bool,
    vhost: Option<String>,
    identity: Identity,
    trust: Authorities,
    versions: [Option<TlsVersion>; 2],
    provider: Arc<CryptoProvider>,
    debug: u8,
    alpn: Vec<Vec<u8>>,
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
        let (crt, key, passwd) = (conf.crt_file.clone(), conf.key_file.clone(), conf.key_passwd.clone());
        let settings = Client {
            verify: conf.verify,
            verify_hostname: conf.verify_hostname,
            vhost: conf.vhost.clone(),
            identity: Identity { crt, key, passwd },
            trust: Authorities { file: conf.ca_file.clone(), dir: conf.ca_path.clone() },
            versions: [conf.min_version, conf.max_version],
            provider: suites::provider(conf.ciphers.as_deref())?,
            debug: conf.debug.0,
            alpn: Vec::new(),
        };
        Ok(Some(Self(Arc::new(Renewed::new(settings)?))))
    }

    /// Asks servers for one of these protocols (RFC 7301), the one that is liked best first: `h2`, `http/1.1`.
    #[must_use]
    pub fn with_alpn(&self, protocols: &[&[u8]]) -> Self {
        let mut settings = self.0.settings.clone();
        settings.alpn = protocols.iter().map(|p| p.to_vec()).collect();
        let alpn = settings.alpn.clone();
        Self(Arc::new(self.0.adapted(settings, |config| config.alpn_protocols = alpn)))
    }

    /// Begins a connection to `host`, whose name (or `tls.vhost`) is asked for and checked.
    ///
    /// # Errors
    /// When that is neither a host name nor an address.
    pub fn session(&self, host: &str) -> Result<Session, String> {
        self.connection(host).map(|c| Session::new(c, self.0.settings.debug))
    }

    /// [`Self::session`] as the TLS library's own connection.
    ///
    /// # Errors
    /// When `host` is neither a host name nor an address.
    pub fn connection(&self, host: &str) -> Result<ClientConnection, String> {
        let name = self.0.settings.vhost.as_deref().unwrap_or(host);
        let name = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
        let name = name.strip_suffix('.').unwrap_or(name);
        let server = ServerName::try_from(name.to_owned()).map_err(|_| format!("'{name}' is not a host name"))?;
        ClientConnection::new(self.0.get(), server).map_err(|e| words(&e, false))
    }

    /// Whether `tls.debug` wants to hear of handshakes.
    pub fn is_talkative(&self) -> bool {
        self.0.settings.debug >= 2
    }

    /// Lets the next connection look at the files.
    #[cfg(test)]
    pub(super) fn look(&self) {
        self.0.look();
    }
}

impl Settings for Client {
    type Config = ClientConfig;

    fn build(&self) -> Result<ClientConfig, Problem> {
        let builder = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(versions(self.versions[0], self.versions[1])?)
            .map_err(|e| Problem::new("tls", words(&e, false), ""))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(self.judge()?));
        let mut config = match self.identity.read()? {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|e| mismatch(&e))?,
        };
        config.client_auth_cert_resolver = Arc::new(Asked(config.client_auth_cert_resolver));
        config.alpn_protocols.clone_from(&self.alpn);
        Ok(config)
    }

    fn name(&self) -> String {
        match named(&self.identity, &self.trust).0 {
            name if name.is_empty() => "the authorities of the system".into(),
            name => name,
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files = named(&self.identity, &self.trust).1;
        if self.verify && !self.trust.any() {
            files.extend(of_system());
        }
        files
    }
}

thread_local! {
    static ASKED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a server asked for our certificate since this thread was last asked that.
pub(super) fn was_asked() -> bool {
    ASKED.take()
}

/// Our certificate, and a note when a server asks for it.
#[derive(Debug)]
struct Asked(Arc<dyn ResolvesClientCert>);

impl ResolvesClientCert for Asked {
    fn resolve(&self, hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        ASKED.set(true);
        self.0.resolve(hints, schemes)
    }

    fn has_certs(&self) -> bool {
        // Nobody asks for what is not there: then the note would be missing.
        true
    }
}

impl Client {
    fn judge(&self) -> Result<Judge, Problem> {
        let mut judge = Judge::new(&self.provider);
        if !self.verify {
            return Ok(judge);
        }
        judge.check_name = self.verify_hostname;
        judge.trusted = self.trust.read()?;
        judge.roots = Some(match judge.trusted.is_empty() {
            true => system_roots()?,
            false => Arc::new(pem::anchors(&judge.trusted, "tls.ca_file")),
        });
        Ok(judge)
    }
}
