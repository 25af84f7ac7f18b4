//! TLS towards clients: the `tls.*` keys of an input.

use super::client::{mismatch, own_certificate, versions};
use super::words::words;
use super::{Problem, Session, pem};
use crate::conf::common::TlsServer;
use rustls::crypto::ring;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::{ServerConfig, ServerConnection};
use std::sync::Arc;

/// TLS settings of a server, ready for connections.
#[derive(Debug, Clone)]
pub struct ServerTls(Arc<ServerConfig>);

impl ServerTls {
    /// `None` with `tls off`. Reads the certificate files.
    ///
    /// # Errors
    /// Names the key that cannot be honoured.
    pub fn new(conf: &TlsServer) -> Result<Option<Self>, Problem> {
        if !conf.tls {
            return Ok(None);
        }
        let Some((chain, key)) = own_certificate(conf.crt_file.as_deref(), conf.key_file.as_deref())? else {
            let why = "needs a certificate to show to clients";
            return Err(Problem::new("tls", why, "Set tls.crt_file and tls.key_file."));
        };
        let provider = Arc::new(ring::default_provider());
        let judge = if conf.verify_client_cert {
            let Some(file) = conf.ca_file.as_deref() else {
                let why = "needs the authorities whose clients are let in";
                return Err(Problem::new("tls.verify_client_cert", why, "Set tls.ca_file."));
            };
            let roots = pem::anchors(&pem::certificates("tls.ca_file", file)?, "tls.ca_file");
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .build()
                .map_err(|e| Problem::new("tls.ca_file", e.to_string(), "Give a file with usable authorities."))?
        } else {
            Arc::new(NoClientAuth)
        };
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions(conf.min_version, conf.max_version)?)
            .map_err(|e| Problem::new("tls", words(&e), ""))?
            .with_client_cert_verifier(judge)
            .with_single_cert(chain, key)
            .map_err(|e| mismatch(&e))?;
        Ok(Some(Self(Arc::new(config))))
    }

    /// Begins a connection that was accepted.
    ///
    /// # Errors
    /// When the settings do not work together; in words.
    pub fn session(&self) -> Result<Session, String> {
        ServerConnection::new(self.0.clone()).map(Session::new).map_err(|e| words(&e))
    }
}
