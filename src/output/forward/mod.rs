//! `forward`: records to Fluentd, Fluent Bit, or another of this program.

mod client;
pub mod conf;
#[cfg(test)]
mod tests;

use super::{Outcome, Output, OutputPlugin, Payload};
use crate::conf::PluginInfo;
use crate::conf::common::{NetOut, TlsClient};
use crate::error::Error;
use crate::event::{Record, Template, View};
use crate::plugin::MakeCx;
use crate::rt::{LocalFuture, now};
use crate::util::ratelimit::RateLimit;
use client::Failure;
use conf::{ForwardConf, Made, SecretConf};
use std::cell::RefCell;

/// The plugin.
pub static PLUGIN: OutputPlugin = OutputPlugin {
    info: PluginInfo {
        name: "forward",
        doc: "Sends records in the forward protocol, to Fluentd, Fluent Bit or another of this program: a chunk is one message of \
              mode Forward, or CompressedPackedForward with Compress. A record without metadata is sent as [time, record], \
              which every receiver takes.",
        keys: ForwardConf::KEYS,
        unserved: ForwardConf::UNSERVED,
        extra: &[SecretConf::TABLE, NetOut::TABLE, TlsClient::TABLE],
    },
    make: |cx| make(cx),
};

struct Forward {
    label: String,
    made: Made,
    /// Events before they are packed.
    scratch: RefCell<Vec<u8>>,
    said: RefCell<RateLimit>,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Output>> {
    let made = conf::load(cx)?;
    Some(Box::new(Forward { label: cx.label(), made, scratch: RefCell::default(), said: RefCell::default() }))
}

impl Forward {
    /// The tag that a message goes out with.
    fn tag(&self, template: &Template, record: Option<&Record<'_>>, own: &str, out: &mut Vec<u8>) {
        out.clear();
        if let Some(record) = record {
            template.render(record.body(), own, |_| None, out);
        }
        if out.is_empty() {
            out.extend_from_slice(own.as_bytes());
        }
    }
}

impl Output for Forward {
    fn format(&self, view: &View<'_>, out: &mut Payload) -> Result<(), Error> {
        let envelope = &self.made.envelope;
        let own = view.tag();
        let mut tag = Vec::new();
        let mut note = |id: Option<usize>, bytes: &[u8]| {
            out.items.extend(id.map(|id| (id as u32, bytes.len() as u32)));
        };
        match &self.made.tag {
            Some(template) if template.needs_record() => {
                for record in view.records() {
                    self.tag(template, Some(&record), own, &mut tag);
                    let id = envelope.write_one(&tag, &record, &mut out.bytes);
                    note(id, &out.bytes);
                }
            }
            template => {
                match template {
                    Some(template) => self.tag(template, view.records().next().as_ref(), own, &mut tag),
                    None => tag.extend_from_slice(own.as_bytes()),
                }
                let id = envelope.write_all(&tag, view, &mut self.scratch.borrow_mut(), &mut out.bytes);
                note(id, &out.bytes);
            }
        }
        Ok(())
    }

    fn deliver<'a>(&'a self, payload: &'a mut Payload) -> LocalFuture<'a, Outcome> {
        Box::pin(async {
            if payload.bytes.is_empty() {
                return Outcome::Done;
            }
            let nodes = &self.made.nodes;
            let (mut whys, mut is_down) = (Vec::new(), true);
            for i in nodes.turn(now()) {
                let Some((name, client)) = nodes.get(i) else { continue };
                let why = match client.send(payload).await {
                    Ok(()) => {
                        if nodes.works(i) && !nodes.is_single() {
                            log::info!("[{}] node '{name}' works again", self.label);
                        }
                        return Outcome::Done;
                    }
                    Err(Failure::Down(why)) => why,
                    Err(Failure::NoAck(why)) => {
                        is_down = false;
                        why
                    }
                };
                let wait = nodes.failed(i, now());
                if !nodes.is_single() && self.said.borrow_mut().allow(name.as_bytes(), now()).is_some() {
                    log::warn!("[{}] node '{name}' is left out for {wait:?}: {why}", self.label);
                }
                whys.push(why);
            }
            let why = whys.join("; ").into();
            if is_down { Outcome::Down(why) } else { Outcome::Retry(why) }
        })
    }

    fn concurrency(&self) -> usize {
        self.made.workers
    }

    fn stop(&self) -> LocalFuture<'_, ()> {
        Box::pin(async { self.made.nodes.all().for_each(|client| client.upstream.close()) })
    }
}
