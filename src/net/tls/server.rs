//! TLS towards clients: the `tls.*` keys of an input.

use super::files::{Authorities, Identity, mismatch, named, versions};
use super::renew::{Renewed, Settings};
use super::words::words;
use super::{Problem, Session, pem, suites};
use crate::conf::common::{TlsServer, TlsVersion};
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::{ServerConfig, ServerConnection};
use std::path::PathBuf;
use std::sync::Arc;

/// TLS settings of a server, ready for connections. When the files change, the next handshakes use what they hold then.
#[derive(Debug, Clone)]
pub struct ServerTls(Arc<Renewed<Server>>);

#[derive(Debug, Clone)]
struct Server {
    identity: Identity,
    clients: Clients,
    trust: Authorities,
    versions: [Option<TlsVersion>; 2],
    provider: Arc<CryptoProvider>,
    debug: u8,
    alpn: Vec<Vec<u8>>,
}

/// What is asked of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clients {
    /// Nothing.
    Any,
    /// A certificate that is shown must be good.
    Checked,
    /// There must be one.
    Known,
}

impl ServerTls {
    /// `None` with `tls off`. Reads the certificate files.
    ///
    /// # Errors
    /// Names the key that cannot be honoured.
    pub fn new(conf: &TlsServer) -> Result<Option<Self>, Problem> {
        if !conf.tls {
            return Ok(None);
        }
        let (crt, key, passwd) = (conf.crt_file.clone(), conf.key_file.clone(), conf.key_passwd.clone());
        let trust = Authorities { file: conf.ca_file.clone(), dir: conf.ca_path.clone() };
        let clients = match (conf.verify_client_cert, conf.verify && trust.any()) {
            (true, _) => Clients::Known,
            (false, true) => Clients::Checked,
            (false, false) => Clients::Any,
        };
        if clients == Clients::Known && !trust.any() {
            let why = "needs the authorities whose clients are let in";
            return Err(Problem::new("tls.verify_client_cert", why, "Set tls.ca_file or tls.ca_path."));
        }
        let settings = Server {
            identity: Identity { crt, key, passwd },
            clients,
            trust,
            versions: [conf.min_version, conf.max_version],
            provider: suites::provider(conf.ciphers.as_deref())?,
            debug: conf.debug.0,
            alpn: Vec::new(),
        };
        Ok(Some(Self(Arc::new(Renewed::new(settings)?))))
    }

    /// Offers these protocols (RFC 7301), the one that is liked best first. A client that asks for others only is
    /// refused; one that asks for none is not.
    #[must_use]
    pub fn with_alpn(&self, protocols: &[&[u8]]) -> Self {
        let mut settings = self.0.settings.clone();
        settings.alpn = protocols.iter().map(|p| p.to_vec()).collect();
        let alpn = settings.alpn.clone();
        Self(Arc::new(self.0.adapted(settings, |config| config.alpn_protocols = alpn)))
    }

    /// Begins a connection that was accepted.
    ///
    /// # Errors
    /// When the settings do not work together; in words.
    pub fn session(&self) -> Result<Session, String> {
        let connection = ServerConnection::new(self.0.get()).map_err(|e| words(&e, true))?;
        Ok(Session::new(connection, self.0.settings.debug))
    }

    /// Lets the next handshake look at the files.
    #[cfg(test)]
    pub(super) fn look(&self) {
        self.0.look();
    }
}

impl Settings for Server {
    type Config = ServerConfig;

    fn build(&self) -> Result<ServerConfig, Problem> {
        let Some((chain, key)) = self.identity.read()? else {
            let why = "needs a certificate to show to clients";
            return Err(Problem::new("tls", why, "Set tls.crt_file and tls.key_file."));
        };
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(versions(self.versions[0], self.versions[1])?)
            .map_err(|e| Problem::new("tls", words(&e, true), ""))?
            .with_client_cert_verifier(self.judge()?)
            .with_single_cert(chain, key)
            .map_err(|e| mismatch(&e))?;
        config.alpn_protocols.clone_from(&self.alpn);
        Ok(config)
    }

    fn name(&self) -> String {
        named(&self.identity, &self.trust).0
    }

    fn files(&self) -> Vec<PathBuf> {
        named(&self.identity, &self.trust).1
    }
}

impl Server {
    fn judge(&self) -> Result<Arc<dyn ClientCertVerifier>, Problem> {
        if self.clients == Clients::Any {
            return Ok(Arc::new(NoClientAuth));
        }
        let roots = Arc::new(pem::anchors(&self.trust.read()?, "tls.ca_file"));
        let judge = WebPkiClientVerifier::builder_with_provider(roots, self.provider.clone());
        let judge = if self.clients == Clients::Checked { judge.allow_unauthenticated() } else { judge };
        judge.build().map_err(|e| Problem::new("tls.ca_file", e.to_string(), "Give a file with usable authorities."))
    }
}
