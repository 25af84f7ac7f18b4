//! What outputs over HTTP share: where requests go and with which headers, compression, and the judging of answers.
//!
//! A payload is cut into one or more requests when it is formatted ([`cut`]): [`Payload::items`] says for each record where
//! its request ends. A server that finds a body too large (413) gets smaller ones from then on.

mod judge;
mod send;

use super::{Outcome, Payload};
use crate::conf::Many;
use crate::conf::common::{NetOut, OutputCommon, TlsClient};
use crate::conf::header::Header;
use crate::event::View;
use crate::fmt::codec::Codec;
use crate::net::HttpClient;
use crate::net::http::{Way, is_address};
use crate::plugin::MakeCx;
use crate::rt::{LocalFuture, Workers, now, sleep_until};
use crate::util::ratelimit::RateLimit;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
pub use judge::{quote, shorten};
use send::{Client, Sent};
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// The longest that a server is left alone because it asks for it (`Retry-After`).
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// The end of a record that cannot be sent: [`Ask::refusal`] says why.
const REFUSED: u32 = u32::MAX;

crate::conf_enum! {
    /// The method of requests.
    pub enum Method {
        /// POST
        Post = "POST",
        /// PUT
        Put = "PUT",
    }
}

crate::conf_enum! {
    /// How bodies are compressed.
    pub enum Compress {
        /// Not at all.
        Off = "off" | "none" | "false",
        /// gzip
        Gzip = "gzip",
        /// Snappy's block format.
        Snappy = "snappy",
        /// Zstandard
        Zstd = "zstd",
    }
}

impl Compress {
    /// The codec.
    pub fn codec(self) -> Option<Codec> {
        match self {
            Self::Off => None,
            Self::Gzip => Some(Codec::Gzip),
            Self::Snappy => Some(Codec::Snappy),
            Self::Zstd => Some(Codec::Zstd),
        }
    }
}

crate::conf_enum! {
    /// Whether bodies are compressed, where servers know one way only.
    pub enum Gzip {
        /// Not at all.
        Off = "off" | "none" | "false",
        /// gzip
        On = "gzip",
    }
}

impl Gzip {
    /// The codec.
    pub fn codec(self) -> Option<Codec> {
        (self == Self::On).then_some(Codec::Gzip)
    }
}

/// Finds in the answer of a success what it says of records that were left out.
pub type Remarks = fn(&[u8]) -> Option<String>;

/// What an output asks of its requests.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The port where none is given.
    pub port: u16,
    /// The path with its query; a `/` is put before it where it has none.
    pub uri: &'a str,
    /// The method.
    pub method: Method,
    /// What bodies are; empty where each request says so itself.
    pub content_type: &'static str,
    /// The value of the header `Authorization`.
    pub authorization: Option<String>,
    /// Headers of the configuration; they replace ours of the same name.
    pub headers: &'a Many<Header>,
    /// Whether several headers of one name are kept; the last one is otherwise.
    pub duplicates: bool,
    /// How bodies are compressed.
    pub codec: Option<Codec>,
    /// A proxy to go through.
    pub proxy: Option<&'a str>,
    /// Quote answers in the log.
    pub quote_answers: bool,
    /// Requests begin with headers of their own, as [`push_header`] writes them, and an empty line.
    pub has_heads: bool,
    /// How long an answer's head may take; zero is no limit.
    pub response_timeout: Duration,
    /// How long reading an answer may make no progress; zero leaves it to `net.io_timeout`.
    pub read_timeout: Duration,
    /// Why records that [`refuse`] was called for cannot be sent.
    pub refusal: &'static str,
    /// What a success has to say of records that were left out, for a line of the log.
    pub remarks: Option<Remarks>,
}

impl<'a> Ask<'a> {
    /// The usual requests: POST, no compression.
    pub fn new(port: u16, uri: &'a str, content_type: &'static str, headers: &'a Many<Header>) -> Self {
        Self {
            port,
            uri,
            method: Method::Post,
            content_type,
            authorization: None,
            headers,
            duplicates: true,
            codec: None,
            proxy: None,
            quote_answers: true,
            has_heads: false,
            response_timeout: Duration::ZERO,
            read_timeout: Duration::ZERO,
            refusal: "",
            remarks: None,
        }
    }
}

/// The requests of one output.
pub struct Requests {
    client: Client,
    workers: Workers,
    threads: usize,
    refusal: &'static str,
    /// Bodies longer than this, in bytes, are too large for the server.
    limit: Cell<usize>,
    /// When the server wants to be asked again.
    not_before: Cell<Option<Instant>>,
    remarked: RefCell<RateLimit>,
}

impl Requests {
    /// Checks `Host`, `Port`, `Workers`, `net.*` and `tls.*` of the section; what is wrong goes to `cx.diags`.
    pub fn make(cx: &mut MakeCx<'_>, ask: &Ask<'_>) -> Option<Self> {
        let common = OutputCommon::load(cx.section, cx.diags);
        let tls = TlsClient::load(cx.section, cx.diags);
        let (common, tls) = (common?, tls?);
        let threads = usize::from(common.workers.unwrap_or(2)).max(1);
        let host = common.host.as_deref().unwrap_or("127.0.0.1");
        let way = Way {
            host,
            tls: tls.tls,
            proxy: ask.proxy,
            response_timeout: ask.response_timeout,
            read_timeout: ask.read_timeout,
        };
        let http = client(cx, &way, &tls, threads)?;
        let slash = if ask.uri.starts_with('/') { "" } else { "/" };
        let url = format!("{}{slash}{}", origin(host, common.port.unwrap_or(ask.port), tls.tls), ask.uri);
        if !is_address(&url) {
            return cx.refuse("URI", format!("'{url}' is no address"), "Percent-encode what does not belong in one.");
        }
        let client = Client {
            http,
            method: ask.method,
            url: url.into(),
            headers: headers(ask).into(),
            codec: ask.codec,
            label: cx.label().into(),
            quote: ask.quote_answers,
            has_heads: ask.has_heads,
            remarks: ask.remarks,
        };
        Some(Self {
            client,
            workers: Workers::new(&format!("http/{}", cx.name), threads),
            threads,
            refusal: ask.refusal,
            limit: Cell::new(usize::MAX),
            not_before: Cell::new(None),
            remarked: RefCell::default(),
        })
    }

    /// The largest body that the server is known to take, in bytes: for [`cut`].
    pub fn limit(&self) -> usize {
        self.limit.get()
    }

    /// Deliveries that may run at once: one more than there are workers, so that the next body is ready.
    pub fn concurrency(&self) -> usize {
        self.threads + 1
    }

    /// Sends what [`cut`] and [`refuse`] left in a payload; `more` are headers beside the others.
    pub fn deliver<'a>(&'a self, payload: &'a mut Payload, more: Vec<(String, String)>) -> LocalFuture<'a, Outcome> {
        Box::pin(async move {
            if let Some(at) = self.not_before.get() {
                sleep_until(at).await;
            }
            let client = self.client.clone();
            let (bytes, items) = (std::mem::take(&mut payload.bytes), std::mem::take(&mut payload.items));
            let job = move || {
                let sent = client.send(&bytes, &items, &more);
                (bytes, items, sent)
            };
            let Some((bytes, items, sent)) = self.workers.run(job).await else {
                return Outcome::Retry("no worker thread could be started".into());
            };
            let outcome = self.learn(sent, &items);
            (payload.bytes, payload.items) = (bytes, items);
            outcome
        })
    }

    /// Takes to heart what the server asked for, and answers the outcome.
    fn learn(&self, mut sent: Sent, items: &[(u32, u32)]) -> Outcome {
        if let Some(wait) = sent.wait {
            self.not_before.set(now().checked_add(wait.min(LONGEST_WAIT)));
        } else if sent.heard {
            self.not_before.set(None);
        }
        if let Some(size) = sent.too_large.filter(|size| size / 2 < self.limit.get()) {
            self.limit.set(size / 2);
            log::warn!(
                "[{}] the server takes no body of {size} bytes (413): smaller ones from now on",
                self.client.label
            );
        }
        for remark in sent.remarks.drain(..) {
            if let Some(unsaid) = self.remarked.borrow_mut().allow(remark.as_bytes(), now()) {
                let more = if unsaid > 0 { format!(" ({unsaid} more answers like it)") } else { String::new() };
                log::warn!("[{}] {remark}{more}", self.client.label);
            }
        }
        let refused = items.iter().filter(|i| i.0 == REFUSED).map(|i| (i.1, self.refusal.into()));
        sent.refused.extend(refused);
        sent.outcome(items.len())
    }
}

/// Appends the records as requests that are as long as `limit` bytes at the most, where several records make one.
/// `write` appends the request of some records.
pub fn cut(view: &View<'_>, limit: usize, out: &mut Payload, write: &mut dyn FnMut(&View<'_>, &mut Vec<u8>)) {
    let start = out.bytes.len();
    write(view, &mut out.bytes);
    if out.bytes.len() - start > limit && view.len() > 1 {
        out.bytes.truncate(start);
        let all: Vec<u32> = view.records().map(|r| r.index() as u32).collect();
        let (front, back) = all.split_at(all.len() / 2);
        for half in [front, back] {
            cut(&View::only(view.batch(), Some(half)), limit, out, write);
        }
    } else {
        let end = out.bytes.len() as u32;
        out.items.extend(view.records().map(|r| (end, r.index() as u32)));
    }
}

/// Notes that a record cannot be sent, for the reason in [`Ask::refusal`].
pub fn refuse(record: usize, out: &mut Payload) {
    out.items.push((REFUSED, record as u32));
}

/// Appends a header of one request; the last one is followed by `\r\n`.
pub fn push_header(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    for part in [name, b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// `http://host:port`, with brackets around an IPv6 address.
pub fn origin(host: &str, port: u16, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
    format!("{scheme}://{host}:{port}")
}

/// The value of `Authorization` for a user and a password (RFC 7617), where there is a user.
pub fn basic(user: Option<&str>, passwd: Option<&str>) -> Option<String> {
    let pair = format!("{}:{}", user?, passwd.unwrap_or_default());
    Some(format!("Basic {}", BASE64_STANDARD.encode(pair)))
}

/// Percent-encodes all but unreserved characters (RFC 3986 §2.3).
pub fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

/// The client that `net.*`, `tls.*` and `proxy` ask for.
pub fn client(cx: &mut MakeCx<'_>, way: &Way<'_>, tls: &TlsClient, pool: usize) -> Option<HttpClient> {
    let net = NetOut::load(cx.section, cx.diags)?;
    let tls = cx.client_tls(tls)?;
    match HttpClient::on(way, &net, pool, tls) {
        Ok(http) => Some(http),
        Err(why) if why.contains("prox") => {
            let help = "Write for example: http://proxy.example:3128, or set net.proxy_env_ignore on.";
            cx.refuse("proxy", format!("proxy: {why}"), help)
        }
        Err(why) => {
            let key = "net.source_address";
            cx.refuse(key, format!("{key}: {why}"), "Give an address of this machine, for example 192.0.2.7.")
        }
    }
}

/// Ours, but for those that the configuration has, and the configuration's.
fn headers(ask: &Ask<'_>) -> Vec<(String, String)> {
    let mut given: Vec<(String, String)> = Vec::new();
    for header in ask.headers.values() {
        if !ask.duplicates {
            given.retain(|(name, _)| !name.eq_ignore_ascii_case(&header.name));
        }
        given.push((header.name.clone(), header.value.clone()));
    }
    let encoding = match ask.codec {
        Some(Codec::Gzip) => Some("gzip"),
        Some(Codec::Zstd) => Some("zstd"),
        Some(Codec::Snappy) => Some("snappy"),
        _ => None,
    };
    let ours = [
        Some(("Content-Type", ask.content_type)).filter(|t| !t.1.is_empty()),
        ask.authorization.as_deref().map(|value| ("Authorization", value)),
        encoding.map(|name| ("Content-Encoding", name)),
    ];
    let is_given = |ours: &str| given.iter().any(|(name, _)| name.eq_ignore_ascii_case(ours));
    let mut all: Vec<(String, String)> =
        ours.into_iter().flatten().filter(|(n, _)| !is_given(n)).map(|(n, v)| (n.into(), v.into())).collect();
    all.append(&mut given);
    all
}

#[cfg(all(test, feature = "http"))]
pub(super) mod testing;
#[cfg(all(test, feature = "http"))]
mod tests;
