//! `elasticsearch`: a bulk API to which Beats, Logstash and collectors can ship as to a server.

mod bulk;
mod setup;

use super::web::{Ask, Service, Tags, WebConf, WebIn, run};
use super::{Input, InputCx, InputPlugin, Patience};
use crate::conf::PluginInfo;
use crate::conf::common::{NetIn, TlsServer};
use crate::error::Error;
use crate::event::Key;
use crate::fmt::json_read::JsonReader;
use crate::net::web::{Head, Response};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use bulk::Bulk;
use setup::Cluster;
use std::cell::RefCell;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "elasticsearch",
        doc: "Takes documents as Elasticsearch's bulk API does (POST /_bulk and /INDEX/_bulk: create and index; update and \
              delete are refused item by item), and answers what Beats, Logstash and clients ask for when they connect. What an \
              action line says stands under Meta_Key.",
        keys: EsConf::KEYS,
        unserved: EsConf::UNSERVED,
        extra: &[WebConf::TABLE, NetIn::TABLE, TlsServer::TABLE],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `elasticsearch`.
    pub struct EsConf {
        /// The tag is what stands under this key in each document (a name, or a path as `$a['b']`); documents without it have
        /// the Tag.
        tag_key: Option<String> => "Tag_Key",
        /// The key for the action line.
        meta_key: String => "Meta_Key" = "@meta",
        /// The host that clients are told which look for the nodes of the cluster.
        hostname: String => "Hostname" = "localhost",
        /// The version that clients are told.
        version: String => "Version" = "8.0.0",
    }
    unserved []
}

/// The port when none is given.
const PORT: u16 = 9200;

struct Elasticsearch {
    web: WebIn,
    shared: Shared,
}

/// What all connections use.
struct Shared {
    meta_key: Key,
    cluster: Cluster,
    reader: RefCell<JsonReader>,
    tags: Tags,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = EsConf::load(cx.section, cx.diags)?;
    let web = WebIn::load(cx)?;
    if conf.version.split('.').count() != 3 || conf.version.split('.').any(|part| part.parse::<u16>().is_err()) {
        return cx.refuse("Version", "Version is not written as 8.0.0", "Give the version that clients expect.");
    }
    let cluster = Cluster {
        host: conf.hostname,
        port: web.net.port.unwrap_or(PORT),
        version: conf.version,
        longest: web.conf.buffer_max_size.0,
    };
    let tags = Tags::load(cx, conf.tag_key.as_deref())?;
    let shared = Shared { meta_key: Key::of(&conf.meta_key), cluster, reader: RefCell::default(), tags };
    Some(Box::new(Elasticsearch { web, shared }))
}

impl Input for Elasticsearch {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move { run(&cx, self.web, PORT, self.shared).await })
    }

    fn patience(&self) -> Patience {
        self.web.conf.ack.patience()
    }
}

impl Service for Shared {
    fn at_once(&self, head: &Head) -> Option<Response> {
        match head.method() {
            "GET" | "HEAD" => Some(product(self.cluster.tell(head.path()))),
            "POST" | "PUT" | "DELETE" => None,
            _ => Some(self.refuse(head, 405, "GET, HEAD, POST, PUT and DELETE are served")),
        }
    }

    fn take(&self, cx: &InputCx, ask: &Ask<'_>) -> Result<Response, (u16, String)> {
        let path = ask.head.path().trim_end_matches('/');
        let (Some(rest), "POST" | "PUT") = (path.strip_suffix("/_bulk"), ask.head.method()) else {
            return match setup::is_setup(path) {
                true => Ok(product(Response::json(200, "{\"acknowledged\":true}"))),
                false => Err((400, format!("{} {path} is not served here: send to _bulk", ask.head.method()))),
            };
        };
        let index = rest.strip_prefix('/').unwrap_or(rest);
        let mut answer = Vec::new();
        self.tags.fill(cx, cx.tag(), ask.ack.as_ref(), |batch| {
            let mut reader = self.reader.borrow_mut();
            let mut bulk = Bulk::new(&mut reader, self.meta_key, index, cx.now());
            bulk.read(ask.body, batch).map_err(|why| (400, why))?;
            if bulk.refused > 0 {
                cx.count("refused documents", bulk.refused);
                cx.lost(
                    0,
                    "documents were refused that are no JSON objects, or updates and deletions: their clients are told",
                );
            }
            answer = bulk.answer();
            Ok::<_, (u16, String)>(())
        })?;
        Ok(product(Response::json(200, answer)))
    }

    fn refuse(&self, _head: &Head, status: u16, why: &str) -> Response {
        product(setup::failure(status, why))
    }

    fn busy(&self) -> u16 {
        429
    }
}

/// Clients since 7.14 talk to nobody who does not say this.
fn product(response: Response) -> Response {
    response.with("X-Elastic-Product", "Elasticsearch")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Kind;
    use crate::plugin::made;

    #[test]
    fn configurations() {
        let said = |key, value| made(Kind::Input, &PLUGIN.info, PLUGIN.make, &[(key, value)]).1;
        for (key, value) in [("tag_key", "$a['b']"), ("meta_key", "m"), ("hostname", "h"), ("version", "7.10.2")] {
            assert_eq!(said(key, value), "", "{key}");
        }
        assert!(said("Version", "8").contains("Version is not written as 8.0.0"));
        assert!(said("Meta", "x").contains("Meta_Key"));
    }
}
