//! `es` and `opensearch`: the bulk API, judged item by item.
//!
//! Only items that failed for a passing reason are sent again; items that the server can never store are counted and
//! reported with its reason.

mod answer;
mod client;
pub mod conf;

use super::{Outcome, Output, OutputPlugin, Payload};
use crate::conf::PluginInfo;
use crate::conf::common::{NetOut, OutputCommon, TlsClient};
use crate::error::Error;
use crate::event::View;
use crate::fmt::es_bulk::Bulk;
use crate::plugin::MakeCx;
use crate::rt::{LocalFuture, Workers};
use crate::time::Time;
use client::{Body, Client};
use conf::EsConf;
use std::cell::RefCell;
use std::io::Write;
use std::time::SystemTime;

/// The plugin for Elasticsearch.
pub static ES: OutputPlugin = OutputPlugin {
    info: PluginInfo {
        name: "es",
        doc: "Sends records to Elasticsearch's bulk API.",
        keys: EsConf::KEYS,
        unserved: EsConf::UNSERVED,
        extra: &[NetOut::TABLE, TlsClient::TABLE],
    },
    make: |cx| make(cx),
};

/// The plugin for OpenSearch.
pub static OPENSEARCH: OutputPlugin = OutputPlugin {
    info: PluginInfo {
        name: "opensearch",
        doc: "Sends records to OpenSearch's bulk API.",
        keys: EsConf::KEYS,
        unserved: EsConf::UNSERVED,
        extra: &[NetOut::TABLE, TlsClient::TABLE],
    },
    make: |cx| make(cx),
};

struct Es {
    bulk: RefCell<Bulk>,
    client: Client,
    workers: Workers,
    threads: usize,
    trace_output: bool,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Output>> {
    let conf = EsConf::load(cx.section, cx.diags)?;
    let common = OutputCommon::load(cx.section, cx.diags)?;
    let threads = usize::from(common.workers.unwrap_or(2)).max(1);
    let bulk = conf::bulk(&conf, cx);
    let client = conf::client(&conf, cx, threads)?;
    Some(Box::new(Es {
        bulk: RefCell::new(bulk?),
        client,
        workers: Workers::new(&format!("es/{}", cx.name), threads),
        threads,
        trace_output: conf.trace_output,
    }))
}

impl Output for Es {
    fn format(&self, view: &View<'_>, out: &mut Payload) -> Result<(), Error> {
        let now = Time::from_system(SystemTime::now());
        self.bulk.borrow_mut().write(view, now, &mut out.bytes, &mut out.items);
        Ok(())
    }

    fn deliver<'a>(&'a self, payload: &'a mut Payload) -> LocalFuture<'a, Outcome> {
        Box::pin(async move {
            if self.trace_output {
                // For a developer's eyes; a closed stdout is no reason to fail.
                let _ = std::io::stdout().write_all(&payload.bytes);
            }
            let client = self.client.clone();
            let (bytes, items) = (std::mem::take(&mut payload.bytes), std::mem::take(&mut payload.items));
            let job = move || {
                let outcome = client.send(Body { bytes: &bytes, items: &items });
                (bytes, items, outcome)
            };
            match self.workers.run(job).await {
                Some((bytes, items, outcome)) => {
                    (payload.bytes, payload.items) = (bytes, items);
                    outcome
                }
                None => Outcome::Retry("no worker thread could be started".into()),
            }
        })
    }

    /// One more than there are workers: the next body is ready when one of them is free (without it 15 % dearer,
    /// for the event thread and the workers wait for each other).
    fn concurrency(&self) -> usize {
        self.threads + 1
    }
}
