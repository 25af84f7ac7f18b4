//! How a server's certificate is judged: by authority and name, by authority alone, or not at all.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// Judges servers. Signatures of the handshake are checked in any case.
#[derive(Debug)]
pub(super) struct Judge {
    /// Who may have signed the certificate; `None` accepts any.
    pub roots: Option<Arc<RootCertStore>>,
    /// Certificates trusted as they are: those of `tls.ca_file` and `tls.ca_path`. Self-signed server certificates are
    /// often marked as authorities, which no chain can end in.
    pub trusted: Vec<CertificateDer<'static>>,
    /// Whether the certificate must be made out to the name asked for.
    pub check_name: bool,
    /// What can be checked.
    pub algorithms: WebPkiSupportedAlgorithms,
}

impl Judge {
    /// The judge's algorithms are those of `provider`.
    pub(super) fn new(provider: &CryptoProvider) -> Self {
        let algorithms = provider.signature_verification_algorithms;
        Self { roots: None, trusted: Vec::new(), check_name: false, algorithms }
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        cert: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(roots) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        let parsed = ParsedCertificate::try_from(cert)?;
        let chain = verify_server_cert_signed_by_trust_anchor(&parsed, roots, between, now, self.algorithms.all);
        match chain {
            // What is no matter of dates is settled by the user having named this very certificate.
            Err(Error::InvalidCertificate(CertificateError::Other(_) | CertificateError::UnknownIssuer))
                if self.trusted.iter().any(|t| t == cert) => {}
            other => other?,
        }
        if self.check_name {
            verify_server_name(&parsed, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
