//! The keys of `http`, and what they come to.

use super::message::Kind;
use crate::conf::{BinarySize, CList, FromConf, Ports};
use crate::decode::MakeProtocol;
use std::time::Duration;

crate::config! {
    /// Keys of the `http` protocol.
    pub struct HttpConf {
        /// Ports on which HTTP is looked for first.
        ports: Ports => "http.ports" = "80, 8080, 8000, 5000, 8002",
        /// Names of parameters whose values are written as `xxxxx`, without regard to case: in URLs, header values, forms, JSON
        /// and, with `http.send_request`, in the request as it came.
        hide_keywords: CList => "http.hide_keywords" = "",
        /// Headers whose values are written as `REDACTED`. When it is not given: `cookie, set-cookie`, unless
        /// `http.split_cookie` is on or `http.send_headers` names them.
        redact_headers: Option<CList> => "http.redact_headers",
        /// Writes the values of Authorization and Proxy-Authorization as `*`.
        redact_authorization: bool => "http.redact_authorization" = "on",
        /// Headers to write beside Content-Length and Content-Type: a list of names, or `on` for all.
        send_headers: SendHeaders => "http.send_headers" = "off",
        /// Writes all headers.
        send_all_headers: bool => "http.send_all_headers" = "off",
        /// Writes the headers Cookie and Set-Cookie as maps.
        split_cookie: bool => "http.split_cookie" = "off",
        /// The header that holds the address of the real client, for example X-Forwarded-For; its first address becomes
        /// `network.forwarded_ip`.
        real_ip_header: Option<String> => "http.real_ip_header",
        /// Content types whose bodies are written. A part of the type is enough: `json`.
        include_body_for: CList => "http.include_body_for" = "",
        /// The same, for requests alone.
        include_request_body_for: CList => "http.include_request_body_for" = "",
        /// The same, for responses alone.
        include_response_body_for: CList => "http.include_response_body_for" = "",
        /// Undoes the codings gzip and deflate of a body that is written.
        decode_body: bool => "http.decode_body" = "on",
        /// Bytes of a body that are kept, before and after decoding; the rest is left out, with a note.
        max_message_size: BinarySize => "http.max_message_size" = "10M",
        /// Writes the request as it came, secrets left out, to `request`; the body only where it is included.
        send_request: bool => "http.send_request" = "off",
        /// Writes the response as it came to `response`; the body only where it is included.
        send_response: bool => "http.send_response" = "off",
        /// How long a request waits for its response. Default: `Transaction_Timeout`.
        transaction_timeout: Option<Duration> => "http.transaction_timeout",
    }
}

/// Which headers are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendHeaders {
    /// Content-Length and Content-Type alone.
    None,
    /// Every one.
    All,
    /// These, in lower case.
    Some(Vec<Vec<u8>>),
}

impl FromConf for SendHeaders {
    const KIND: &'static str = "comma list";
    const EXAMPLE: &'static str = "X-Request-Id, Accept";
    fn from_conf(text: &str) -> Result<Self, String> {
        Ok(match bool::from_conf(text) {
            Ok(true) => Self::All,
            Ok(false) => Self::None,
            Err(_) => match lower(&CList::from_conf(text)?) {
                list if list.is_empty() => Self::None,
                list => Self::Some(list),
            },
        })
    }
}

/// What the keys come to.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) ports: Vec<u16>,
    pub(super) timeout: Duration,
    pub(super) headers: SendHeaders,
    pub(super) split_cookie: bool,
    pub(super) redact_authorization: bool,
    /// Lower case.
    pub(super) redact: Vec<Vec<u8>>,
    /// Lower case.
    pub(super) keywords: Vec<Vec<u8>>,
    pub(super) real_ip: Option<Vec<u8>>,
    bodies: [Vec<Vec<u8>>; 2],
    pub(super) decode_body: bool,
    pub(super) max_body: usize,
    pub(super) send_request: bool,
    pub(super) send_response: bool,
}

impl Settings {
    /// Reads the section of an input.
    pub(super) fn load(cx: &mut MakeProtocol<'_>) -> Option<Self> {
        let conf = HttpConf::load(cx.section, cx.diags)?;
        let headers = if conf.send_all_headers { SendHeaders::All } else { conf.send_headers };
        let redact = match &conf.redact_headers {
            Some(list) => lower(list),
            None if conf.split_cookie => Vec::new(),
            None => {
                let asked =
                    |name: &&[u8]| matches!(&headers, SendHeaders::Some(list) if list.iter().any(|n| n == name));
                [&b"cookie"[..], b"set-cookie"].into_iter().filter(|n| !asked(n)).map(<[u8]>::to_vec).collect()
            }
        };
        let [both, request, response] =
            [&conf.include_body_for, &conf.include_request_body_for, &conf.include_response_body_for].map(lower);
        Some(Self {
            ports: conf.ports.0,
            timeout: conf.transaction_timeout.unwrap_or(cx.timeout),
            headers,
            split_cookie: conf.split_cookie,
            redact_authorization: conf.redact_authorization,
            redact,
            keywords: lower(&conf.hide_keywords),
            real_ip: conf.real_ip_header.map(|h| h.trim().to_ascii_lowercase().into_bytes()).filter(|h| !h.is_empty()),
            bodies: [[both.clone(), request].concat(), [both, response].concat()],
            decode_body: conf.decode_body,
            max_body: usize::try_from(conf.max_message_size.0).unwrap_or(usize::MAX),
            send_request: conf.send_request,
            send_response: conf.send_response,
        })
    }

    /// Whether the body of a message of this content type goes into the document.
    pub(super) fn keeps_body(&self, kind: Kind, content_type: &[u8]) -> bool {
        let [request, response] = &self.bodies;
        let list = if kind == Kind::Request { request } else { response };
        let holds = |part: &Vec<u8>| content_type.windows(part.len()).any(|w| w.eq_ignore_ascii_case(part));
        list.iter().any(holds)
    }

    /// Whether the whole head is needed for the document.
    pub(super) fn keeps_head(&self, kind: Kind) -> bool {
        let raw = if kind == Kind::Request { self.send_request } else { self.send_response };
        raw || self.headers != SendHeaders::None
    }
}

fn lower(list: &CList) -> Vec<Vec<u8>> {
    list.0.iter().map(|w| w.to_ascii_lowercase().into_bytes()).collect()
}
