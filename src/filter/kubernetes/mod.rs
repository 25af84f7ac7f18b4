//! `kubernetes`: adds what the cluster knows of the pod that a record comes from.
//!
//! A tag names namespace, pod and container (`names`). What the API says of a pod is kept in a small text (`pod`, `pods`); what
//! records of one container get is made once (`map`) and placed once in a batch. The pods of this node are watched in the
//! background (`watch`); records of a container that is not known yet wait (`origin`), all of one tag in their order, and go on
//! behind this filter.

pub mod conf;
mod enrich;
mod journal;
mod known;
mod make;
mod map;
mod merge;
mod names;
mod node;
mod origin;
mod pod;
mod pods;
mod preload;
mod rules;
mod spaces;
#[cfg(test)]
mod tests;
mod tidy;
mod watch;

use super::{Emitter, Filter, FilterCx, FilterPlugin, Wake};
use crate::conf::PluginInfo;
use crate::event::{Batch, Tag};
use crate::kube::ApiConf;
use crate::rt::{self, LocalFuture};
use crate::time::strftime::CachedFormatter;
use crate::util::counters::OwnCounters;
use crate::util::ratelimit::{RateLimit, held_back};
use conf::KubernetesConf;
use enrich::{Enricher, Stand};
use journal::Journal;
use names::NameReader;
use origin::{Held, Origins};
use std::rc::Rc;
use std::time::Instant;
use watch::Background;

/// The plugin.
pub static PLUGIN: FilterPlugin = FilterPlugin {
    info: PluginInfo {
        name: "kubernetes",
        doc: "Adds what the cluster knows of the pod that a record comes from.",
        keys: KubernetesConf::KEYS,
        unserved: KubernetesConf::UNSERVED,
        extra: &[ApiConf::TABLE],
    },
    make: |cx| make::make(cx).map(|filter| Box::new(filter) as Box<dyn Filter>),
};

/// So much of what waited is given back at a time, in bytes: it takes more room with its metadata.
const AT_ONCE: usize = 1 << 20;

struct Kubernetes {
    label: String,
    origins: Origins,
    names: NameReader,
    prefix: String,
    enricher: Enricher,
    journal: Option<Journal>,
    /// `Dummy_Meta`
    dummy: Option<CachedFormatter>,
    emitter: Emitter,
    background: Option<Background>,
    /// Memory of the records that wait, in bytes.
    held: usize,
    /// There may be more to give back at once.
    has_more: bool,
    complaints: RateLimit,
}

impl Filter for Kubernetes {
    fn apply(&mut self, batch: &mut Batch, cx: &mut FilterCx) {
        if let Some(clock) = &mut self.dummy {
            return enrich::dummy(clock, batch, cx.now);
        }
        if self.journal.is_some() {
            return self.apply_journal(batch, cx);
        }
        let now = rt::now();
        let Self { origins, names, prefix, enricher, .. } = self;
        let tag = batch.tag().clone();
        let Some(origin) = origins.get(&tag, || names.tag(&tag, prefix)) else { return };
        // Nothing overtakes what waits.
        let stand = if origin.held.is_empty() { enricher.stand(origin, now, false) } else { Stand::Waits };
        match stand {
            Stand::Foreign => {
                let help = "Kube_Tag_Prefix and Regex_Parser say what a tag is made of";
                self.complain(|| format!("tag '{tag}' names no pod: {help}"), batch.fresh().len(), now);
            }
            Stand::Known => enricher.enrich(origin, batch, batch.fresh(), cx.now),
            Stand::Waits => {
                let begins = origin.held.is_empty();
                for i in batch.fresh() {
                    self.held += origin.hold(batch, i, cx.acks());
                    batch.drop_record(i);
                }
                enricher.count("held back", batch.fresh().len());
                if begins {
                    origin.since = Some(now);
                    self.wait(tag);
                }
            }
        }
    }

    fn emits(&self) -> Option<Emitter> {
        Some(self.emitter.clone())
    }

    fn held(&self) -> usize {
        self.held
    }

    fn due(&self) -> Option<Instant> {
        if self.has_more {
            return Some(rt::now());
        }
        let first = self.origins.waiting.front().and_then(|name| self.origins.known(name))?;
        first.since.map(|since| self.enricher.known().due(since))
    }

    fn release(&mut self, cx: &mut FilterCx, all: bool) {
        let now = rt::now();
        let Self { origins, enricher, held, .. } = self;
        let (mut given, mut left) = (0, 0);
        for name in std::mem::take(&mut origins.waiting) {
            let Some(origin) = origins.known_mut(&name) else { continue };
            let over = origin.since.is_none_or(|since| enricher.known().due(since) <= now);
            let mut stand = enricher.stand(origin, now, over);
            if all && stand == Stand::Waits {
                // At the next start they get what they wait for.
                let (records, memory) = origin.leave();
                (left, *held) = (left + records, held.saturating_sub(memory));
                if !origin.held.is_empty() {
                    stand = enricher.stand(origin, now, true);
                }
            }
            while stand != Stand::Waits
                && (all || given < AT_ONCE)
                && let Some(portion) = origin.held.pop_front()
            {
                let memory = portion.memory();
                let Held { mut batch, acks } = portion;
                (*held, given) = (held.saturating_sub(memory), given + memory);
                let fresh = batch.fresh();
                enricher.enrich(origin, &mut batch, fresh, cx.now);
                batch.sweep();
                cx.give_back(batch, acks);
            }
            if origin.held.is_empty() {
                origin.since = None;
            } else {
                origins.waiting.push_back(name);
            }
        }
        if left > 0 {
            enricher.count("left for the next start", left);
            log::warn!("[{}] {left} record(s) wait for metadata: they are read again at the next start", self.label);
        }
        self.has_more = given >= AT_ONCE && !all;
        enricher.known().set_waiting(!origins.waiting.is_empty());
    }

    fn background(&mut self, wake: Wake) -> Option<LocalFuture<'static, ()>> {
        self.enricher.known().set_wake(wake);
        self.background.take().map(Background::run)
    }

    fn counters(&self) -> Option<Rc<OwnCounters>> {
        Some(self.enricher.known().counters.clone())
    }
}

impl Kubernetes {
    /// Records of this origin wait from now on.
    fn wait(&mut self, name: Tag) {
        self.origins.waiting.push_back(name);
        self.enricher.known().set_waiting(true);
    }

    /// The same for records of the journal, each of which names its container.
    fn apply_journal(&mut self, batch: &mut Batch, cx: &mut FilterCx) {
        let now = rt::now();
        let (mut is_taken, mut foreign, mut waits) = (false, 0, Vec::new());
        let Self { origins, names, enricher, journal, held, .. } = self;
        let Some(journal) = journal else { return };
        for i in batch.fresh() {
            let Some(is_same) = journal.read(batch, i) else {
                is_taken = false;
                continue;
            };
            let Some(origin) = origins.get(journal.name(), || journal.names(names)) else { continue };
            let stand = if origin.held.is_empty() { enricher.stand(origin, now, false) } else { Stand::Waits };
            if stand == Stand::Known {
                if !(is_taken && is_same) {
                    enricher.take(origin, batch);
                }
                let kept = enricher.enrich_one(origin, batch, i, cx.now);
                enricher.count_enriched(origin, kept.into(), (!kept).into());
            } else if stand == Stand::Foreign {
                foreign += 1;
            } else {
                if origin.held.is_empty() {
                    origin.since = Some(now);
                    waits.push(Tag::new(journal.name()));
                }
                *held += origin.hold(batch, i, cx.acks());
                batch.drop_record(i);
                enricher.count("held back", 1);
            }
            is_taken = stand == Stand::Known;
        }
        waits.into_iter().for_each(|name| self.wait(name));
        if foreign > 0 {
            self.complain(|| "CONTAINER_NAME names no pod".into(), foreign, now);
        }
    }

    /// Says that records pass unchanged.
    fn complain(&mut self, what: impl FnOnce() -> String, records: usize, now: Instant) {
        self.enricher.count("of no pod", records);
        if let Some(held) = self.complaints.allow(b"", now) {
            log::warn!("[{}] {}; {records} record(s) pass unchanged{}", self.label, what(), held_back(held));
        }
    }
}
