//! `http`: records from the bodies of requests: JSON, msgpack, forms, and what Amazon Data Firehose posts.

mod firehose;
mod payload;

#[cfg(test)]
mod tests;

use super::serve::Peer;
use super::web::{Ask, Service, Tags, WebConf, WebIn, of_path, run};
use super::{Input, InputCx, InputPlugin, Patience};
use crate::conf::common::{NetIn, TlsServer};
use crate::conf::{FromConf, Many, PluginInfo};
use crate::error::Error;
use crate::event::{Batch, Key};
use crate::net::web::{Head, Response};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use payload::{Form, Reader};
use std::cell::RefCell;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "http",
        doc: "Takes records from HTTP/1.1 requests: POST with an object, an array of objects or several of them after each \
              other (application/json, application/x-ndjson), msgpack maps or events (application/msgpack), or a form \
              (application/x-www-form-urlencoded); packed with gzip, deflate, zstd or snappy where Content-Encoding says so. \
              A request is taken whole or not at all. The tag is the path without its first slash, with an underscore for \
              what is no letter, digit, dot or underscore: /app.log is app.log, /a/b is a_b, / is the Tag. Requests of Amazon \
              Data Firehose (X-Amz-Firehose-Request-Id) become a record for each object in their data, or for each line under log.",
        keys: HttpConf::KEYS,
        unserved: HttpConf::UNSERVED,
        extra: &[WebConf::TABLE, NetIn::TABLE, TlsServer::TABLE],
    },
    make: |cx| make(cx),
};

/// The status of an answer that says: done.
#[derive(Debug, Clone, Copy)]
pub struct Success(u16);

impl FromConf for Success {
    const KIND: &'static str = "200, 201 or 204";
    const EXAMPLE: &'static str = "201";

    fn from_conf(text: &str) -> Result<Self, String> {
        let status = text.parse().map_err(|_| format!("'{text}' is not 200, 201 or 204"))?;
        Ok(Self(if matches!(status, 200 | 201 | 204) { status } else { 201 }))
    }

    fn caution(&self, text: &str) -> Option<String> {
        (self.0.to_string() != text).then(|| format!("'{text}' is not served (200, 201 or 204), 201 is taken"))
    }
}

crate::config! {
    /// Options of `http`.
    pub struct HttpConf {
        /// The tag is what stands under this key in each record (a name, or a path as `$a['b']`); records without it have
        /// the tag of their request.
        tag_key: Option<String> => "Tag_Key",
        /// The status of requests that were taken.
        successful_response_code: Success => "Successful_Response_Code" = "201",
        /// A field for answers to requests that were taken: its name and its value.
        success_header: Many<String> => "Success_Header",
        /// Add the client's address: the first one in X-Forwarded-For, which clients may make up, else that of the
        /// connection.
        add_remote_addr: bool => "Add_Remote_Addr" = "off",
        /// The key for it.
        remote_addr_key: String => "Remote_Addr_Key" = "REMOTE_ADDR",
        /// Answer GET /health, without a login.
        enable_health_endpoint: bool => "Enable_Health_Endpoint" = "off",
    }
    unserved []
}

/// The port when none is given.
const PORT: u16 = 9880;

struct Http {
    web: WebIn,
    shared: Shared,
}

/// What all connections use.
struct Shared {
    conf: HttpConf,
    fields: Vec<(String, String)>,
    address_key: Option<Key>,
    reader: RefCell<Reader>,
    tags: Tags,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = HttpConf::load(cx.section, cx.diags)?;
    let web = WebIn::load(cx)?;
    let mut fields = Vec::new();
    for item in &conf.success_header.0 {
        let (name, value) = item.value.split_once([' ', '\t']).unwrap_or((&item.value, ""));
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)) {
            let why = format!("'{name}' is not the name of a header field");
            return cx.refuse_at(&item.place, why, "Write for example: Success_Header X-Custom some value");
        }
        fields.push((name.to_owned(), value.trim().to_owned()));
    }
    let shared = Shared {
        fields,
        address_key: conf.add_remote_addr.then(|| Key::of(&conf.remote_addr_key)),
        reader: RefCell::default(),
        tags: Tags::load(cx, conf.tag_key.as_deref())?,
        conf,
    };
    Some(Box::new(Http { web, shared }))
}

impl Input for Http {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move { run(&cx, self.web, PORT, self.shared).await })
    }

    fn patience(&self) -> Patience {
        self.web.conf.ack.patience()
    }
}

impl Service for Shared {
    fn open(&self, head: &Head) -> Option<Response> {
        let asked = self.conf.enable_health_endpoint && matches!(head.method(), "GET" | "HEAD");
        (asked && head.path() == "/health").then(|| Response::json(200, "{\"status\":\"ok\"}"))
    }

    fn at_once(&self, head: &Head) -> Option<Response> {
        match head.method() {
            "POST" => None,
            _ => Some(Response::text(405, "records are sent with POST").with("Allow", "POST")),
        }
    }

    fn take(&self, cx: &InputCx, ask: &Ask<'_>) -> Result<Response, (u16, String)> {
        let tag = of_path(ask.head.path(), cx.tag()).ok_or((414, LONG_TAG.to_owned()))?;
        let request = firehose::Request::of(ask.head);
        let form = match &request {
            Some(_) => Form::Json,
            None => Form::of(ask.head.text("content-type")).ok_or((415, NO_FORM.to_owned()))?,
        };
        let address = self.address_key.map(|key| (key, remote(ask.head, ask.peer)));
        let now = cx.now();
        self.tags.fill(cx, &tag, ask.ack.as_ref(), |batch| {
            let first = batch.len();
            let mut reader = self.reader.borrow_mut();
            match &request {
                Some(request) => request.read(&mut reader, ask.body, batch, now)?,
                None => reader.read(form, ask.body, batch, now).map_err(|wrong| (400, wrong.tell(ask.body)))?,
            }
            if let Some((key, address)) = &address {
                add(batch, first, *key, address);
            }
            Ok(())
        })?;
        Ok(match &request {
            Some(request) => request.answer(200, None),
            None => {
                let answer = Response::new(self.conf.successful_response_code.0);
                self.fields.iter().fold(answer, |answer, (name, value)| answer.with(name.clone(), value.clone()))
            }
        })
    }

    fn refuse(&self, head: &Head, status: u16, why: &str) -> Response {
        match firehose::Request::of(head) {
            Some(request) => request.answer(status, Some(why)),
            None => Response::text(status, why),
        }
    }
}

const LONG_TAG: &str = "the path makes a tag of more than 256 bytes";
const NO_FORM: &str = "Content-Type is served as application/json, application/x-ndjson, application/msgpack or application/x-www-form-urlencoded";

/// Who sent a request, as the proxies before us say.
fn remote(head: &Head, peer: &Peer) -> String {
    let first = head.text("x-forwarded-for").and_then(|list| list.split(',').next()).map(str::trim);
    match (first, peer.ip()) {
        (Some(first), _) if !first.is_empty() => first.to_owned(),
        (_, Some(ip)) => ip.to_string(),
        _ => peer.to_string(),
    }
}

fn add(batch: &mut Batch, first: usize, key: Key, text: &str) {
    for i in first..batch.len() {
        let mark = batch.reopen(i);
        batch.push_text(key, text.as_bytes());
        batch.replace_body(i, mark);
    }
}
