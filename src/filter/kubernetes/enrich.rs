//! What records of an origin get, and the work on each of them.

use super::known::Known;
use super::map::{Made, Map, Placer, container};
use super::merge::Merge;
use super::names::Names;
use super::origin::Origin;
use super::pod::Pod;
use super::pods::Found;
use super::preload::Preload;
use super::rules::{Advice, Rules};
use super::spaces::Spaces;
use crate::event::{Batch, Key, Kind};
use crate::time::Time;
use crate::time::strftime::CachedFormatter;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A pod that nobody watches is asked for again after this time when a container of it is not known.
const AGAIN: Duration = Duration::from_secs(1);

/// Whether the metadata of an origin is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// Its name says nothing.
    Foreign,
    /// There is a map.
    Known,
    /// Not yet.
    Waits,
}

/// What is wanted.
pub struct Wanted {
    /// `Use_Tag_For_Meta`
    pub tag_only: bool,
    /// `Namespace_Metadata_Only`
    pub space_only: bool,
    /// `Set_Platform`
    pub platform: Option<Box<str>>,
    /// `Kube_Meta_Negative_Cache_TTL`
    pub negative_ttl: Duration,
    /// `Kube_Meta_Cache_TTL`; answers are never old when `None`.
    pub ttl: Option<Duration>,
}

/// Enriches records.
pub struct Enricher {
    known: Rc<Known>,
    wanted: Wanted,
    preload: Option<Preload>,
    advice: Advice,
    merge: Option<Merge>,
    placer: Placer,
    stream: Key,
}

impl Enricher {
    /// Nothing is known yet.
    pub fn new(
        known: Rc<Known>,
        wanted: Wanted,
        preload: Option<Preload>,
        advice: Advice,
        merge: Option<Merge>,
    ) -> Self {
        let (placer, stream) = (Placer::default(), Key::of("stream"));
        Self { known, wanted, preload, advice, merge, placer, stream }
    }

    /// What is known.
    pub fn known(&self) -> &Rc<Known> {
        &self.known
    }

    /// Counts records.
    pub fn count(&self, what: &'static str, records: usize) {
        self.known.counters.add(what, records as u64);
    }

    /// Whether the metadata of an origin is known; asks for it where it is not. `over`: nobody waits any longer.
    pub fn stand(&mut self, origin: &mut Origin, now: Instant, over: bool) -> Stand {
        let Some(names) = &origin.names else { return Stand::Foreign };
        let version = self.known.version();
        let is_fresh = origin.version == version && origin.again.is_none_or(|at| now < at);
        if is_fresh && origin.map.is_some() {
            return Stand::Known;
        }
        if !origin.is_preloaded {
            origin.is_preloaded = true;
            if let Some(preload) = &self.preload {
                preload.pod(names, &self.known);
            }
        }
        let (pod, is_sure) = match self.wanted.tag_only || self.wanted.space_only {
            true => (None, true),
            false => self.pod(names, now),
        };
        let (space, is_told) = self.space(&names.space, now);
        if !(is_sure && is_told) {
            if origin.map.is_some() {
                // It has waited once.
                (origin.version, origin.again) = (version, Some(now + self.wanted.negative_ttl));
                return Stand::Known;
            }
            if !over {
                return Stand::Waits;
            }
            self.known.in_vain();
        }
        let again = if is_sure && is_told { self.wanted.ttl } else { Some(self.wanted.negative_ttl) };
        (origin.version, origin.again) = (self.known.version(), again.map(|ttl| now + ttl));
        if let (Some(map), Some(pod)) = (&origin.map, &pod)
            && map.is_of(pod)
        {
            return Stand::Known;
        }
        let map = self.map(names, pod.as_ref(), space.as_deref());
        if origin.map.as_ref() != Some(&map) {
            (origin.map, origin.placed) = (Some(map), None);
        }
        Stand::Known
    }

    /// The pod that names mean, and whether it is the one.
    fn pod(&self, names: &Names, now: Instant) -> (Option<Rc<Pod>>, bool) {
        match self.known.find(names) {
            Found::Is(pod) => {
                if let Some(ttl) = self.wanted.ttl
                    && self.known.pods.borrow().is_stale(&names.key, ttl, now)
                {
                    self.known.want(&names.key, now, ttl);
                }
                (Some(pod), true)
            }
            found @ (Found::Like(_) | Found::Other) => {
                // The watch will tell.
                if !self.known.pods.borrow().is_watched(&names.key) {
                    self.known.want(&names.key, now, AGAIN);
                }
                match found {
                    Found::Like(pod) => (Some(pod), false),
                    _ => (None, false),
                }
            }
            Found::Unknown => {
                self.known.want(&names.key, now, self.wanted.negative_ttl);
                (None, false)
            }
        }
    }

    /// The map of a namespace where it is wanted, and whether it is known.
    fn space(&self, name: &str, now: Instant) -> (Option<Rc<str>>, bool) {
        if !self.known.spaces.borrow().is_wanted() {
            return (None, true);
        }
        let known = self.known.spaces.borrow().find(name, now);
        let ask = |again| self.known.want(&format!("{name}/"), now, again);
        match known {
            Some((text, is_old)) => {
                if is_old {
                    ask(AGAIN * 60);
                }
                (Some(text), true)
            }
            None if self.preload.as_ref().is_some_and(|p| p.space(name, &self.known, now)) => {
                (self.known.spaces.borrow().find(name, now).map(|(text, _)| text), true)
            }
            None => {
                ask(self.wanted.negative_ttl);
                (Some(Spaces::bare(name)), false)
            }
        }
    }

    fn map(&mut self, names: &Names, pod: Option<&Rc<Pod>>, space: Option<&str>) -> Map {
        let rules = pod.map_or_else(Rules::default, |pod| {
            let name = container(pod, names).map_or(&*names.container, |c| c.name);
            self.advice.rules(pod, name, &names.key)
        });
        let Wanted { tag_only, space_only, .. } = self.wanted;
        let is_unavailable = pod.is_none() && !tag_only && !space_only;
        let platform = self.wanted.platform.as_deref();
        Map::new(&Made { names, pod, space, space_only, platform, is_unavailable }, rules)
    }

    /// Works on records of an origin that is known.
    pub fn enrich(&mut self, origin: &mut Origin, batch: &mut Batch, records: Range<usize>, now: Time) {
        self.take(origin, batch);
        let all = records.len();
        let kept = records.filter(|&i| self.enrich_one(origin, batch, i, now)).count();
        self.count_enriched(origin, kept, all - kept);
    }

    /// Counts records of an origin that were enriched, and those that its pod does not want.
    pub fn count_enriched(&self, origin: &Origin, kept: usize, excluded: usize) {
        let is_unavailable = origin.map.as_ref().is_some_and(|map| map.is_unavailable);
        self.count(if is_unavailable { "unavailable" } else { "enriched" }, kept);
        if excluded > 0 {
            self.count("excluded", excluded);
        }
    }

    /// Takes up the map of an origin for records of a batch.
    pub fn take(&mut self, origin: &mut Origin, batch: &mut Batch) {
        if let Some(map) = &origin.map {
            self.placer.take(map, &mut origin.placed, batch);
        }
    }

    /// Works on one record, after [`Self::take`]. Answers false when its pod has it dropped.
    #[inline]
    pub fn enrich_one(&mut self, origin: &Origin, batch: &mut Batch, i: usize, now: Time) -> bool {
        let Some(map) = &origin.map else { return true };
        let mut own = None;
        if !map.rules.is_empty() {
            let body = batch.body(i);
            let stream = body.position(self.stream).and_then(|at| body.text_at(at)).map(|text| text.raw());
            if map.rules.excludes(stream) {
                batch.drop_record(i);
                return false;
            }
            own = map.rules.parser(stream);
        }
        let mark = batch.reopen(i);
        let from = batch.parts_mut().1.len() - batch.since(mark).run().len();
        if let Some(merge) = &mut self.merge {
            let own = own.and_then(|n| self.advice.parser(n));
            if let Some(time) = merge.apply(batch, from, own, now) {
                batch.set_time(i, time);
            }
        }
        self.placer.add(batch, from);
        batch.replace_body(i, mark);
        true
    }
}

/// `Dummy_Meta`: adds the present time.
pub fn dummy(clock: &mut CachedFormatter, batch: &mut Batch, now: Time) {
    let mut text = Vec::new();
    clock.write(now, &mut text);
    let (outer, inner) = (Key::of("kubernetes"), Key::of("dummy"));
    for i in batch.fresh() {
        let mark = batch.reopen(i);
        let map = batch.open(outer, Kind::Map);
        batch.push_text(inner, &text);
        batch.close(map, 1);
        batch.replace_body(i, mark);
    }
}
