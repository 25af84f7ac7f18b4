//! From a section of the configuration to a filter.

use super::Kubernetes;
use super::conf::KubernetesConf;
use super::enrich::{Enricher, Wanted};
use super::journal::Journal;
use super::known::{Known, Patience};
use super::merge::Merge;
use super::names::NameReader;
use super::origin::Origins;
use super::pod::Shape;
use super::pods::Pods;
use super::preload::Preload;
use super::rules::Advice;
use super::spaces::Spaces;
use super::watch::Background;
use crate::event::Key;
use crate::filter::Emitter;
use crate::kube::{Api, ApiConf};
use crate::plugin::MakeCx;
use crate::time::local::system_zone;
use crate::time::strftime::{CachedFormatter, Formatter};
use crate::util::counters::OwnCounters;
use crate::util::ratelimit::RateLimit;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// How C writes a time for people.
const CTIME: &str = "%a %b %e %H:%M:%S %Y";
/// Reminders of the same thing come so seldom.
const REMIND: Duration = Duration::from_secs(600);

pub(super) fn make(cx: &mut MakeCx<'_>) -> Option<Kubernetes> {
    let conf = KubernetesConf::load(cx.section, cx.diags);
    let api_conf = ApiConf::load(cx.section, cx.diags);
    let (conf, api_conf) = (conf?, api_conf?);
    idle(&conf, cx);
    let own = match &conf.regex_parser {
        Some(name) => Some(cx.parser_def("Regex_Parser", name)?),
        None => None,
    };
    let merge = match conf.merge_log {
        true => {
            let parser = cx.parser("Merge_Parser")?;
            let under = conf.merge_log_key.as_deref().map(Key::of);
            Some(Merge::new(under, conf.merge_log_trim, conf.keep_log, parser))
        }
        false => None,
    };
    let dummy = match conf.dummy_meta {
        true => Some(clock(cx)?),
        false => None,
    };
    let counters = Rc::new(OwnCounters::default());
    let known = known(&conf, &counters);
    let is_local = conf.dummy_meta || conf.use_tag_for_meta;
    let background = if is_local { None } else { Some(background(&conf, &api_conf, &known, cx)?) };
    if !is_local {
        for what in ["enriched", "unavailable", "held back", "API requests"] {
            counters.add(what, 0);
        }
    }
    let set = conf.logging_parser.then(|| cx.parsers.clone());
    let advice = Advice::new(cx.label(), set, conf.logging_exclude);
    let wanted = Wanted {
        tag_only: conf.use_tag_for_meta,
        space_only: conf.namespace_metadata_only,
        platform: conf.set_platform.as_deref().map(Into::into),
        negative_ttl: conf.kube_meta_negative_cache_ttl.max(Duration::from_secs(1)),
        ttl: Some(conf.kube_meta_cache_ttl).filter(|ttl| !ttl.is_zero()),
    };
    let preload = conf.kube_meta_preload_cache_dir.as_deref().map(|dir| Preload::new(Path::new(dir)));
    let mem_buf_limit = usize::try_from(conf.emitter_mem_buf_limit.0).unwrap_or(usize::MAX);
    Some(Kubernetes {
        label: cx.label(),
        origins: Origins::default(),
        names: NameReader::new(own.as_ref(), conf.use_journal),
        prefix: conf.kube_tag_prefix,
        enricher: Enricher::new(known, wanted, preload, advice, merge),
        journal: conf.use_journal.then(Journal::default),
        dummy,
        emitter: Emitter {
            name: conf.emitter_name.unwrap_or_else(|| format!("emitter_for_{}", cx.name)),
            mem_buf_limit,
            storage: conf.emitter_storage_type,
            resumes: true,
            in_order: true,
        },
        background,
        held: 0,
        has_more: false,
        complaints: RateLimit::new(REMIND),
    })
}

/// Warns of keys that mean nothing beside the others.
fn idle(conf: &KubernetesConf, cx: &mut MakeCx<'_>) {
    let mut all = Vec::new();
    if !conf.merge_log {
        all.extend([
            ("Merge_Log_Key", conf.merge_log_key.is_some(), "Merge_Log on"),
            ("Merge_Parser", conf.merge_parser.is_some(), "Merge_Log on"),
            ("Keep_Log", !conf.keep_log, "Merge_Log on"),
            ("K8S-Logging.Parser", conf.logging_parser, "Merge_Log on"),
        ]);
    }
    let spaces = conf.namespace_labels || conf.namespace_annotations;
    all.push((
        "Namespace_Metadata_Only",
        conf.namespace_metadata_only && !spaces,
        "Namespace_Labels or Namespace_Annotations on",
    ));
    for (key, said, needs) in all {
        if said && let Some(entry) = cx.section.get(key) {
            cx.diags.warn(&entry.place, format!("{} {key} has no effect without {needs}", cx.section.who()));
        }
    }
}

fn clock(cx: &mut MakeCx<'_>) -> Option<CachedFormatter> {
    let made = system_zone().and_then(|zone| Ok(CachedFormatter::new(Formatter::compile(CTIME)?, zone)));
    match made {
        Ok(clock) => Some(clock),
        Err(why) => cx.refuse("Dummy_Meta", why, "Correct the system's time zone."),
    }
}

fn known(conf: &KubernetesConf, counters: &Rc<OwnCounters>) -> Rc<Known> {
    let shape = Shape { labels: conf.labels, annotations: conf.annotations, owners: conf.owner_references };
    let ttl = Some(conf.kube_meta_namespace_cache_ttl).filter(|ttl| !ttl.is_zero());
    let spaces = Spaces::new(conf.namespace_labels, conf.namespace_annotations, ttl);
    let patience = Patience { answers: conf.kube_meta_wait, silent: conf.kube_meta_wait_down };
    Known::new(Pods::new(shape), spaces, patience, counters.clone())
}

fn background(conf: &KubernetesConf, api_conf: &ApiConf, known: &Rc<Known>, cx: &mut MakeCx<'_>) -> Option<Background> {
    let made = Api::new(api_conf).and_then(|api| {
        let kubelet = match conf.use_kubelet {
            true => Some(Api::kubelet(api_conf, &conf.kubelet_host, conf.kubelet_port)?),
            false => None,
        };
        Ok((api, kubelet))
    });
    let (api, kubelet) = match made {
        Ok(made) => made,
        Err(p) => return cx.refuse(p.key, format!("{}: {}", p.key, p.why), p.help),
    };
    let label = cx.label();
    Some(Background {
        known: known.clone(),
        api: Rc::new(api.labelled(&label).counted(&known.counters)),
        kubelet: kubelet.map(|api| Rc::new(api.labelled(&label).counted(&known.counters))),
        namespace_file: conf.kube_namespace_file.clone().into(),
        is_lazy: conf.kube_meta_preload_cache_dir.is_some(),
        spaces_only: conf.namespace_metadata_only,
    })
}
