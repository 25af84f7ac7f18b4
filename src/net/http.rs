//! HTTP requests on worker threads: ureq's connections and keep-alive, our TLS.
//!
//! ureq brings no TLS of its own here: [`TlsConnector`] puts the sessions of [`ClientTls`] on its sockets, so that the
//! `tls.*` keys mean the same for every output.

use super::ClientTls;
use super::tls::tls_words;
use crate::conf::common::NetOut;
use rustls::{ClientConnection, StreamOwned};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, TcpConnector,
    Transport, TransportAdapter,
};
use ureq::{Agent, Error};

/// A server that never answers must not hold a worker for ever.
const PATIENCE: Duration = Duration::from_secs(120);

/// A client with a pool of connections; cheap to clone for each job.
#[derive(Debug, Clone)]
pub struct HttpClient(Agent);

/// What a server said.
#[derive(Debug)]
pub struct Answer {
    /// The status, such as 200.
    pub status: u16,
    /// The body, at most as long as was asked for.
    pub body: Vec<u8>,
}

impl HttpClient {
    /// A client that keeps up to `pool` connections, as `net.*` allows.
    pub fn new(net: &NetOut, pool: usize, tls: Option<ClientTls>) -> Self {
        let (pool, idle) = if net.keepalive { (pool, net.keepalive_idle_timeout) } else { (0, Duration::ZERO) };
        let answer = if net.io_timeout.is_zero() { PATIENCE } else { net.io_timeout };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("collector/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(net.connect_timeout))
            // A slow line may take long for a body; a server that has it all is held to the time that was asked for.
            .timeout_send_body(Some(PATIENCE))
            .timeout_recv_response(Some(answer))
            .timeout_recv_body(Some(PATIENCE))
            // Answers are short, bodies are long.
            .input_buffer_size(16 * 1024)
            .max_idle_connections(pool)
            .max_idle_connections_per_host(pool)
            .max_idle_age(idle)
            .build();
        let connector =
            ().chain(ConnectProxyConnector::default()).chain(TcpConnector::default()).chain(TlsConnector(tls));
        Self(Agent::with_parts(config, connector, DefaultResolver::default()))
    }

    /// Posts a body and reads the answer, at most `limit` bytes of it. Blocks: for worker threads.
    ///
    /// # Errors
    /// In words that name the remedy.
    pub fn post(&self, url: &str, headers: &[(&str, &str)], body: &[u8], limit: u64) -> Result<Answer, String> {
        let mut request = self.0.post(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send(body).map_err(|e| explain(&e))?;
        let status = response.status().as_u16();
        let mut answer = Vec::new();
        let mut reader = response.into_body().into_reader().take(limit);
        reader.read_to_end(&mut answer).map_err(|e| format!("the answer broke off: {e}"))?;
        Ok(Answer { status, body: answer })
    }
}

/// A failed request in words that name the remedy.
fn explain(e: &Error) -> String {
    match e {
        Error::Io(io) if io.kind() == ErrorKind::ConnectionRefused => {
            "connection refused: is the server running, are Host and Port right?".into()
        }
        Error::Io(io) => io.to_string(),
        Error::HostNotFound => "the host name is not known: check Host and the DNS".into(),
        Error::Timeout(t) => format!("timed out ({t})"),
        other => other.to_string(),
    }
}

/// Puts TLS on connections of `https` addresses.
#[derive(Debug)]
struct TlsConnector(Option<ClientTls>);

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else { return Ok(None) };
        let Some(tls) = self.0.as_ref().filter(|_| details.needs_tls() && !transport.is_tls()) else {
            return Ok(Some(Either::A(transport)));
        };
        let host = details.uri.host().unwrap_or_default();
        let mut connection = tls.connection(host).map_err(|e| Error::Io(io::Error::other(e)))?;
        let mut socket = TransportAdapter::new(Box::new(transport) as Box<dyn Transport>, details.current_time.clone());
        socket.set_timeout(details.timeout);
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).map_err(|e| Error::Io(tls_words(e)))?;
        }
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(TlsTransport { buffers, stream: StreamOwned::new(connection, socket) })))
    }
}

/// A connection with TLS on it.
struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.get_mut().set_timeout(timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write_all(output).and_then(|()| self.stream.flush()).map_err(|e| Error::Io(tls_words(e)))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.get_mut().set_timeout(timeout);
        let room = self.buffers.input_append_buf();
        let n = self.stream.read(room).map_err(|e| Error::Io(tls_words(e)))?;
        self.buffers.input_appended(n);
        Ok(n > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsTransport").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Section;
    use crate::conf::common::TlsClient;
    use crate::error::Diags;
    use crate::net::ServerTls;
    use crate::net::tls::tests::Pki;
    use std::net::TcpListener;
    use std::thread;

    /// Answers each connection's requests with 200 and their body.
    fn server(tls: ServerTls) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let mut session = tls.session().unwrap();
                let mut socket = socket;
                // A refused handshake ends the connection only.
                let _ = answer(&mut session, &mut socket);
            }
        });
        port
    }

    fn answer(session: &mut crate::net::tls::Session, socket: &mut std::net::TcpStream) -> io::Result<()> {
        let mut text = Vec::new();
        let mut said = false;
        loop {
            while session.wants_write() {
                session.write_tls(socket)?;
            }
            let mut buf = [0; 4096];
            match session.read_plain(&mut buf) {
                Ok(0) => return Ok(()),
                Ok(n) => text.extend_from_slice(&buf[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    if session.read_tls(socket)? == 0 {
                        return Ok(());
                    }
                }
                Err(e) => return Err(e),
            }
            if !said && text.ends_with(b"{\"a\":1}\n") {
                session.write_plain(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
                said = true;
            }
        }
    }

    fn post(port: u16, host: &str, pairs: &[(&str, &str)]) -> Result<Answer, String> {
        let section = Section::of("OUTPUT", &[&[("tls", "on")], pairs].concat());
        let mut diags = Diags::new();
        let net = NetOut::load(&section, &mut diags).unwrap();
        let tls = ClientTls::new(&TlsClient::load(&section, &mut diags).unwrap()).unwrap();
        HttpClient::new(&net, 1, tls).post(&format!("https://{host}:{port}/_bulk"), &[], b"{\"a\":1}\n", 100)
    }

    #[test]
    fn a_silent_server_is_given_up() {
        // Connections wait in the backlog: nobody ever answers.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut net = NetOut::load(&Section::of("OUTPUT", &[]), &mut Diags::new()).unwrap();
        net.io_timeout = Duration::from_millis(50);
        let url = format!("http://{}/_bulk", listener.local_addr().unwrap());
        let why = HttpClient::new(&net, 1, None).post(&url, &[], b"{}\n", 100).unwrap_err();
        assert!(why.contains("timed out"), "{why}");
    }

    #[test]
    fn tls_keys_mean_the_same_here() {
        let pki = Pki::new();
        pki.issue("server", &["localhost"], |_| {});
        let port = server(pki.server("server", &[]));
        let ca = pki.path("ca.pem");
        let ok = post(port, "localhost", &[("tls.ca_file", &ca)]).unwrap();
        assert_eq!((ok.status, ok.body), (200, b"ok".to_vec()));
        let wrong = post(port, "127.0.0.1", &[("tls.ca_file", &ca)]).unwrap_err();
        assert!(wrong.contains("127.0.0.1") && wrong.contains("certificate"), "{wrong}");
        for pairs in [
            &[("tls.ca_file", ca.as_str()), ("tls.verify_hostname", "off")][..],
            &[("tls.ca_file", ca.as_str()), ("tls.vhost", "localhost")],
            &[("tls.verify", "off"), ("tls.max_version", "TLSv1.2")],
        ] {
            assert_eq!(post(port, "127.0.0.1", pairs).map(|a| a.status), Ok(200), "{pairs:?}");
        }
        let stranger = Pki::new();
        stranger.issue("other", &["localhost"], |_| {});
        let wrong = post(port, "localhost", &[("tls.ca_file", &stranger.path("ca.pem"))]).unwrap_err();
        assert!(wrong.contains("issuer"), "{wrong}");
    }
}
