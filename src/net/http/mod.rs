//! HTTP requests on worker threads: ureq's connections and keep-alive, our TLS.

mod proxy;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls_off.rs"]
mod tls;
mod watch;

use super::connect::{Options, words};
use super::{ClientTls, Prefer};
use crate::conf::common::NetOut;
use crate::time::Time;
use crate::time::strptime::TimeFormat;
use crate::time::zone::Zone;
use crate::util::bytes::parse_u64;
use flate2::read::MultiGzDecoder;
pub use proxy::Way;
use std::io::{self, ErrorKind, Read};
use std::time::{Duration, SystemTime};
use tcp::{NO_ADDRESS, Names, TcpConnector};
use tls::TlsConnector;
use ureq::typestate::WithBody;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector};
use ureq::{Agent, BodyReader, Error, RequestBuilder, Timeout};
use watch::{Watch, is_stale};

/// How long a request may make no progress when `net.io_timeout` is 0: a server that never answers must not hold a
/// worker for ever. Search engines themselves wait up to a minute for a shard before they answer.
const PATIENCE: Duration = Duration::from_secs(120);
/// So much of an unread rest is read to keep the connection, in bytes; with more than that a new one is cheaper.
const DRAIN: u64 = 1 << 20;

/// A client with a pool of connections; cheap to clone for each job.
#[derive(Debug, Clone)]
pub struct HttpClient {
    agent: Agent,
    patience: Duration,
}

/// What a server said. Reading gives the body, decompressed.
pub struct Answer {
    /// The status, such as 200.
    pub status: u16,
    /// When the server wants to be asked again (`Retry-After`, RFC 9110 §10.2.3), where it says so.
    pub retry_after: Option<Duration>,
    body: Body,
    patience: Duration,
}

enum Body {
    Plain(BodyReader<'static>),
    /// Nobody asked for it, but a server may.
    Gzip(Box<MultiGzDecoder<BodyReader<'static>>>),
}

impl HttpClient {
    /// A client that keeps up to `pool` connections, as `net.*` allows.
    ///
    /// # Errors
    /// When `net.source_address` is no address.
    pub fn new(net: &NetOut, pool: usize, tls: Option<ClientTls>) -> Result<Self, String> {
        Self::on(&Way::default(), net, pool, tls)
    }

    /// A client for one server.
    ///
    /// # Errors
    /// When `net.source_address` is no address, or a proxy's address is none.
    pub fn on(way: &Way<'_>, net: &NetOut, pool: usize, tls: Option<ClientTls>) -> Result<Self, String> {
        let (pool, idle) = if net.keepalive { (pool, net.keepalive_idle_timeout) } else { (0, Duration::ZERO) };
        let set = |time: Duration| (!time.is_zero()).then_some(time);
        let patience = set(net.io_timeout).unwrap_or(PATIENCE);
        let ignored = net.proxy_env_ignore;
        let proxy = proxy::choose(way, |name| if ignored { None } else { std::env::var(name).ok() })?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("collector/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(set(net.connect_timeout))
            // What makes progress is never cut, however long it takes.
            .timeout_per_read(Some(set(way.read_timeout).unwrap_or(patience)))
            .timeout_recv_response(set(way.response_timeout))
            .proxy(proxy)
            .timeout_per_write(Some(patience))
            // Answers are short, bodies are long.
            .input_buffer_size(16 * 1024)
            .max_idle_connections(pool)
            .max_idle_connections_per_host(pool)
            .max_idle_age(idle)
            .build();
        let connector =
            ().chain(ConnectProxyConnector::default())
                .chain(TcpConnector { options: Options::of(net)? })
                .chain(TlsConnector(tls))
                .chain(Watch { most: net.keepalive_max_recycle });
        Ok(Self { agent: Agent::with_parts(config, connector, Names(Prefer::of(net))), patience })
    }

    /// Posts a body. Blocks, and so does reading the answer: for worker threads.
    ///
    /// # Errors
    /// In words that name the remedy.
    pub fn post(&self, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, String> {
        self.send(|| self.agent.post(url), url, headers, body)
    }

    /// Puts a body, as [`Self::post`] posts one.
    ///
    /// # Errors
    /// In words that name the remedy.
    pub fn put(&self, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, String> {
        self.send(|| self.agent.put(url), url, headers, body)
    }

    fn send(
        &self,
        begin: impl Fn() -> RequestBuilder<WithBody>,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, String> {
        let send = || {
            let mut request = begin();
            for (name, value) in headers {
                request = request.header(*name, value.as_bytes());
            }
            request.send(body)
        };
        let mut response = send();
        if matches!(&response, Err(Error::Io(e)) if is_stale(e)) {
            log::debug!("[net] a kept connection had died, connecting anew: {url}");
            response = send();
        }
        let response = response.map_err(|e| explain(&e, self.patience))?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after").and_then(|v| wait(v.as_bytes()));
        let is_gzip = response.headers().get("content-encoding").is_some_and(|v| v == "gzip");
        let reader = response.into_body().into_reader();
        let body = if is_gzip { Body::Gzip(Box::new(MultiGzDecoder::new(reader))) } else { Body::Plain(reader) };
        Ok(Answer { status, retry_after, body, patience: self.patience })
    }
}

impl Answer {
    /// Lets go of the answer; when little of it is left unread, its connection serves the next request.
    pub fn finish(self) {
        let mut reader = match self.body {
            Body::Plain(reader) => reader,
            Body::Gzip(reader) => reader.into_inner(),
        };
        // What is wrong now is the business of the next request.
        let _ = io::copy(&mut reader.by_ref().take(DRAIN), &mut io::sink());
    }
}

impl Read for Answer {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.body {
            Body::Plain(reader) => reader.read(buf),
            Body::Gzip(reader) => reader.read(buf),
        };
        read.map_err(|e| {
            let e = Error::from(e);
            let kind = match &e {
                Error::Io(e) => e.kind(),
                Error::Timeout(_) => ErrorKind::TimedOut,
                _ => ErrorKind::Other,
            };
            io::Error::new(kind, explain(&e, self.patience))
        })
    }
}

/// Whether a request can go to `url`.
pub fn is_address(url: &str) -> bool {
    url.parse::<ureq::http::Uri>().is_ok()
}

/// The value of `Retry-After`: seconds, or a date from now on.
fn wait(value: &[u8]) -> Option<Duration> {
    let value = value.trim_ascii();
    if let Some(seconds) = parse_u64(value) {
        return Some(Duration::from_secs(seconds));
    }
    let format = TimeFormat::compile("%a, %d %b %Y %H:%M:%S GMT", Zone::UTC).ok()?;
    let now = Time::from_system(SystemTime::now());
    let nanos = format.parse(value, now).ok()?.0.checked_sub(now.0)?;
    Some(Duration::from_nanos(nanos.try_into().unwrap_or(0)))
}

/// A failed request in words that name the remedy.
fn explain(e: &Error, patience: Duration) -> String {
    match e {
        Error::Io(io) if io.kind() == ErrorKind::ConnectionRefused => {
            "connection refused: is the server running, are Host and Port right?".into()
        }
        Error::Io(io) if io.kind() == ErrorKind::UnexpectedEof => "the server closed the connection".into(),
        // There is no kind for a name that does not resolve.
        Error::Io(io) if io.to_string().starts_with(NO_ADDRESS) => {
            format!("the host name cannot be resolved: check Host and the DNS ({io})")
        }
        Error::Io(io) => words(io),
        Error::HostNotFound => "the host name is not known: check Host and the DNS".into(),
        Error::Timeout(Timeout::PerRead) => format!("the server said nothing for {patience:?} (net.io_timeout)"),
        Error::Timeout(Timeout::PerWrite) => format!("the server took nothing for {patience:?} (net.io_timeout)"),
        Error::Timeout(Timeout::Connect) => "no connection in time (net.connect_timeout)".into(),
        Error::Timeout(Timeout::RecvResponse) => "no answer in time (http.response_timeout)".into(),
        Error::ConnectProxyFailed(why) => format!("the proxy makes no connection to the server: {why}"),
        Error::Timeout(t) => format!("timed out ({t})"),
        Error::Protocol(e) => format!("this is no HTTP: {e}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
