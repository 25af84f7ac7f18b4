//! A build without TLS: asking for it is an error, and the types have no values.

use super::Problem;
use crate::conf::common::{TlsClient, TlsServer};
use std::io::{Read, Result, Write};

const HELP: &str = "Build it with the feature `tls`, or set tls off.";

/// TLS settings of a client; there are none in this build.
#[derive(Debug, Clone)]
pub enum ClientTls {}

impl ClientTls {
    /// `None` with `tls off`.
    ///
    /// # Errors
    /// With `tls on`: this build has no TLS.
    pub fn new(conf: &TlsClient) -> std::result::Result<Option<Self>, Problem> {
        refuse(conf.tls)
    }

    /// Never called.
    #[must_use]
    pub fn with_alpn(&self, _protocols: &[&[u8]]) -> Self {
        match *self {}
    }

    /// Never called.
    pub fn session(&self, _host: &str) -> std::result::Result<Session, String> {
        match *self {}
    }
}

/// TLS settings of a server; there are none in this build.
#[derive(Debug, Clone)]
pub enum ServerTls {}

impl ServerTls {
    /// `None` with `tls off`.
    ///
    /// # Errors
    /// With `tls on`: this build has no TLS.
    pub fn new(conf: &TlsServer) -> std::result::Result<Option<Self>, Problem> {
        refuse(conf.tls)
    }

    /// Never called.
    #[must_use]
    pub fn with_alpn(&self, _protocols: &[&[u8]]) -> Self {
        match *self {}
    }

    /// Never called.
    pub fn session(&self) -> std::result::Result<Session, String> {
        match *self {}
    }
}

fn refuse<T>(tls: bool) -> std::result::Result<Option<T>, Problem> {
    if tls { Err(Problem::new("tls", "this build has no TLS", HELP)) } else { Ok(None) }
}

/// The TLS side of a connection; never there in this build.
#[derive(Debug)]
pub enum Session {}

#[allow(missing_docs)]
impl Session {
    pub fn debug(&self) -> u8 {
        match *self {}
    }

    pub fn told(&self) -> String {
        match *self {}
    }

    pub fn alpn(&self) -> Option<&[u8]> {
        match *self {}
    }

    pub fn is_handshaking(&self) -> bool {
        match *self {}
    }

    pub fn awaits_verdict(&self) -> bool {
        match *self {}
    }

    pub fn wants_write(&self) -> bool {
        match *self {}
    }

    pub fn write_tls(&mut self, _to: &mut dyn Write) -> Result<usize> {
        match *self {}
    }

    pub fn read_tls(&mut self, _from: &mut dyn Read) -> Result<usize> {
        match *self {}
    }

    pub fn write_plain(&mut self, _bytes: &[u8]) -> Result<usize> {
        match *self {}
    }

    pub fn read_plain(&mut self, _buf: &mut [u8]) -> Result<usize> {
        match *self {}
    }

    pub fn close(&mut self) {
        match *self {}
    }
}
