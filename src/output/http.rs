//! `http`: records as the body of a request.
//!
//! A chunk is one request, or several where the server finds one too large. With `Body_Key` each record is a request of its
//! own, with the body and the headers that it brings.

use super::request::{Ask, Compress, Method, Requests, basic, cut, push_header, refuse};
use super::{Outcome, Output, OutputPlugin, Payload};
use crate::conf::common::{NetOut, TlsClient};
use crate::conf::formats::DateKey;
use crate::conf::header::{Header, is_name, is_value};
use crate::conf::{Many, PluginInfo};
use crate::error::Error;
use crate::event::access::Accessor;
use crate::event::{Record, Value, View};
use crate::fmt::date_format::DateFormat;
use crate::fmt::gelf::{Gelf, GelfKeys};
use crate::fmt::record::{Container, RecordFormat};
use crate::plugin::MakeCx;
use crate::rt::{LocalFuture, now};
use crate::util::ratelimit::RateLimit;
use std::cell::{Cell, RefCell};
use std::time::Duration;

crate::conf_enum! {
    /// How records are written.
    pub enum Format {
        /// One array.
        Json = "json",
        /// One object a line.
        JsonLines = "json_lines",
        /// Objects one behind the other.
        JsonStream = "json_stream",
        /// Events one behind the other.
        Msgpack = "msgpack",
        /// One GELF message a line.
        Gelf = "gelf",
    }
}

crate::config! {
    /// Keys of http.
    pub struct HttpConf {
        /// The path of the address, with its query.
        uri: String => "URI" = "/",
        /// The method: POST or PUT.
        http_method: Method => "HTTP_Method" = "POST",
        /// How records are written: `json` is one array, `json_lines` one object a line, `json_stream` objects without anything
        /// between, `msgpack` events, `gelf` one message a line.
        format: Format => "Format" = "json",
        /// How the date is written in JSON.
        json_date_format: DateFormat => "Json_Date_Format" = "double",
        /// The key of the date in JSON; `false` writes none.
        json_date_key: DateKey => "Json_Date_Key" = "date",
        /// A header of requests: its name, a space, its value. It replaces ours of the same name.
        header: Many<Header> => "Header",
        /// Keep several headers of one name; the last one is sent otherwise.
        allow_duplicated_headers: bool => "Allow_Duplicated_Headers" = "on",
        /// A header for the tag.
        header_tag: Option<String> => "Header_Tag",
        /// The user of basic authentication.
        http_user: Option<String> => "HTTP_User",
        /// Its password.
        http_passwd: Option<String> => "HTTP_Passwd",
        /// Compress bodies.
        compress: Compress => "Compress" = "off",
        /// Go through this proxy (`http://user:password@host:port`, by CONNECT), whatever the environment says.
        proxy: Option<String> => "Proxy",
        /// Quote the server's answers in the log: those of failures, and at log level debug all.
        log_response_payload: bool => "Log_Response_Payload" = "on",
        /// How long the server may take until it begins to answer; 0 is for ever.
        response_timeout: Duration => "http.response_timeout" = "60s",
        /// How long an answer may stand still; 0 leaves it to `net.io_timeout`.
        read_idle_timeout: Duration => "http.read_idle_timeout" = "0s",
        /// With Format gelf: the key of the time; the record's own where it is missing.
        gelf_timestamp_key: Option<String> => "Gelf_Timestamp_Key",
        /// With Format gelf: the key of the host.
        gelf_host_key: Option<String> => "Gelf_Host_Key",
        /// With Format gelf: the key of the message, without which `-` is sent.
        gelf_short_message_key: Option<String> => "Gelf_Short_Message_Key",
        /// With Format gelf: the key of the long message.
        gelf_full_message_key: Option<String> => "Gelf_Full_Message_Key",
        /// With Format gelf: the key of the level, 0 to 7 or one of syslog's words.
        gelf_level_key: Option<String> => "Gelf_Level_Key",
        /// Each record is a request of its own whose body is the text under this key. Needs `Headers_Key`.
        body_key: Option<String> => "Body_Key",
        /// The key of a map with the headers of that request.
        headers_key: Option<String> => "Headers_Key",
    }
    unserved [
        "oauth2.enable=off", "oauth2.token_url", "oauth2.client_id", "oauth2.client_secret", "oauth2.user_agent", "oauth2.scope",
        "oauth2.audience", "oauth2.resource", "oauth2.auth_method=basic", "oauth2.jwt_key_file", "oauth2.jwt_cert_file",
        "oauth2.jwt_aud", "oauth2.jwt_header=kid", "oauth2.jwt_ttl_seconds=300", "oauth2.refresh_skew_seconds=60",
        "oauth2.timeout=0s", "oauth2.connect_timeout=0s", "AWS_Auth=off", "AWS_Service", "AWS_Region", "AWS_STS_Endpoint",
        "AWS_Role_ARN", "AWS_External_ID", "AWS_Profile"
    ]
}

/// The plugin.
pub static PLUGIN: OutputPlugin = OutputPlugin {
    info: PluginInfo {
        name: "http",
        doc: "Sends records as the body of HTTP requests.",
        keys: HttpConf::KEYS,
        unserved: HttpConf::UNSERVED,
        extra: &[NetOut::TABLE, TlsClient::TABLE],
    },
    make: |cx| make(cx),
};

struct Http {
    label: String,
    body: Body,
    header_tag: Option<String>,
    requests: Requests,
    said: RefCell<RateLimit>,
}

enum Body {
    Records(Container, RecordFormat),
    Gelf(Gelf),
    /// Where the body is, and its headers.
    Own(Accessor, Accessor),
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Output>> {
    let conf = HttpConf::load(cx.section, cx.diags)?;
    let body = body(&conf, cx);
    if let Some(name) = conf.header_tag.as_ref().filter(|name| !is_name(name.as_bytes())) {
        return cx.refuse(
            "Header_Tag",
            format!("Header_Tag: '{name}' is not the name of a header"),
            "For example: X-Tag",
        );
    }
    let content_type = match &body {
        Some(Body::Records(container, _)) => container.content_type(),
        Some(Body::Own(..)) => "",
        _ => Container::Json.content_type(),
    };
    let mut ask = Ask::new(80, &conf.uri, content_type, &conf.header);
    ask.method = conf.http_method;
    ask.authorization = basic(conf.http_user.as_deref(), conf.http_passwd.as_deref());
    ask.duplicates = conf.allow_duplicated_headers;
    ask.codec = conf.compress.codec();
    ask.proxy = conf.proxy.as_deref();
    ask.quote_answers = conf.log_response_payload;
    ask.has_heads = matches!(body, Some(Body::Own(..)));
    ask.response_timeout = conf.response_timeout;
    ask.read_timeout = conf.read_idle_timeout;
    ask.refusal = "it has no text under Body_Key, or no map of valid headers under Headers_Key";
    let requests = Requests::make(cx, &ask);
    Some(Box::new(Http {
        label: cx.label(),
        body: body?,
        header_tag: conf.header_tag,
        requests: requests?,
        said: RefCell::default(),
    }))
}

fn body(conf: &HttpConf, cx: &mut MakeCx<'_>) -> Option<Body> {
    let (body, headers) = match (&conf.body_key, &conf.headers_key) {
        (Some(body), Some(headers)) => (body, headers),
        (Some(_), None) => return cx.refuse("Body_Key", "Body_Key needs Headers_Key, too", "Name the map of headers."),
        (None, Some(_)) => {
            return cx.refuse("Headers_Key", "Headers_Key needs Body_Key, too", "Name the key of the body.");
        }
        (None, None) => {
            let record = RecordFormat::new(conf.json_date_key.0.as_deref(), conf.json_date_format, cx.json);
            return Some(match conf.format {
                Format::Json => Body::Records(Container::Json, record),
                Format::JsonLines => Body::Records(Container::JsonLines, record),
                Format::JsonStream => Body::Records(Container::JsonStream, record),
                Format::Msgpack => Body::Records(Container::Msgpack, record),
                Format::Gelf => Body::Gelf(gelf(conf, cx)),
            });
        }
    };
    let (body, headers) = (cx.path("Body_Key", body), cx.path("Headers_Key", headers));
    Some(Body::Own(body?, headers?))
}

fn gelf(conf: &HttpConf, cx: &MakeCx<'_>) -> Gelf {
    let keys = GelfKeys::new(
        conf.gelf_timestamp_key.as_deref(),
        conf.gelf_host_key.as_deref(),
        conf.gelf_short_message_key.as_deref(),
        conf.gelf_full_message_key.as_deref(),
        conf.gelf_level_key.as_deref(),
    );
    Gelf::new(keys, cx.json)
}

impl Output for Http {
    fn format(&self, view: &View<'_>, out: &mut Payload) -> Result<(), Error> {
        let limit = self.requests.limit();
        match &self.body {
            Body::Records(container, record) => {
                cut(view, limit, out, &mut |view, bytes| record.write(*container, view, bytes));
            }
            Body::Gelf(gelf) => {
                let missing = Cell::new(0);
                cut(view, limit, out, &mut |view, bytes| {
                    let mut lacks = 0;
                    for record in view.records() {
                        lacks += usize::from(!gelf.write(&record, bytes));
                        bytes.push(b'\n');
                    }
                    missing.set(missing.get().max(lacks));
                });
                self.say_missing(missing.get());
            }
            Body::Own(body, headers) => {
                for record in view.records() {
                    match own(&record, body, headers, &mut out.bytes) {
                        Some(()) => out.items.push((out.bytes.len() as u32, record.index() as u32)),
                        None => refuse(record.index(), out),
                    }
                }
            }
        }
        Ok(())
    }

    fn deliver<'a>(&'a self, payload: &'a mut Payload) -> LocalFuture<'a, Outcome> {
        let more = self.header_tag.iter().map(|name| (name.clone(), tag_value(&payload.tag))).collect();
        self.requests.deliver(payload, more)
    }

    fn concurrency(&self) -> usize {
        self.requests.concurrency()
    }
}

impl Http {
    fn say_missing(&self, records: usize) {
        if records > 0
            && let Some(unsaid) = self.said.borrow_mut().allow(b"message", now())
        {
            let more = if unsaid > 0 { format!(" ({unsaid} more chunks like it)") } else { String::new() };
            log::warn!(
                "[{}] {records} record(s) without a short_message, '-' is sent: set Gelf_Short_Message_Key{more}",
                self.label
            );
        }
    }
}

/// Appends the request that a record brings; nothing when it brings none.
fn own(record: &Record<'_>, body: &Accessor, headers: &Accessor, out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    let done = (|| {
        let Value::Map(map) = headers.get(record.body())? else { return None };
        for (key, value) in map {
            // What is no text is no header, as Fluent Bit has it.
            let Some(value) = value.as_text() else { continue };
            let (name, value) = (map.name(key), value.bytes());
            if !is_name(name) || !is_value(&value) || std::str::from_utf8(&value).is_err() {
                return None;
            }
            push_header(name, &value, out);
        }
        out.extend_from_slice(b"\r\n");
        match body.get(record.body())? {
            Value::Str(text) => text.decode(out),
            Value::Bin(bytes) => out.extend_from_slice(bytes),
            _ => return None,
        }
        Some(())
    })();
    if done.is_none() {
        out.truncate(start);
    }
    done
}

/// A tag as the value of a header: `?` stands for what one may not have.
fn tag_value(tag: &crate::event::Tag) -> String {
    String::from_utf8_lossy(tag.as_bytes()).replace(|c: char| c.is_control(), "?")
}

#[cfg(test)]
mod tests;
