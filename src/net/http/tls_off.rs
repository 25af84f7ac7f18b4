//! A build without TLS: connections stay as they are. Settings with TLS are refused before a client is made.

use crate::net::ClientTls;
use ureq::Error;
use ureq::unversioned::transport::{ConnectionDetails, Connector, Transport};

/// Lets every connection through.
#[derive(Debug)]
pub(super) struct TlsConnector(pub(super) Option<ClientTls>);

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = In;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<In>, Error> {
        match self.0 {
            None => Ok(chained),
            Some(ref tls) => match *tls {},
        }
    }
}
