//! From a checked configuration to a pipeline.

use super::core::{Core, FilterState, Parts, Terms};
use super::delivery::{Limits, OutputState};
use super::intake::{InputState, Spec};
use super::monitor::Monitor;
use super::rejects::Rejects;
use super::replay::{Plan, Replay};
use super::route::{Routes, Rule};
use super::{Engine, Ready};
use crate::conf::common::{FilterCommon, InputCommon, OutputCommon, RetryLimit};
use crate::conf::service::Service;
use crate::conf::storage::StorageType;
use crate::conf::{Document, Kind, Size, StorageConf};
use crate::error::Diags;
use crate::event::Tag;
use crate::filter::{self, Filter};
use crate::fmt::json_write::JsonOpts;
use crate::input::{self, Input};
use crate::output::{self, Output};
use crate::parse::ParserSet;
use crate::parse::regex::Regex;
use crate::plugin::MakeCx;
use crate::util::backoff::Backoff;
use crate::util::wildcard::Wildcard;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// Memory that an input may hold when `Mem_Buf_Limit` does not say, in bytes: nothing is unbounded.
pub(super) const DEFAULT_LIMIT: usize = 8 << 20;
/// Memory that all records of a replay may hold, in bytes.
const REPLAY_MEMORY: u64 = 16 << 20;
/// The grace period of `Grace 0` and `Grace -1`.
pub(super) const FOREVER: Duration = Duration::from_secs(365 * 86400);

/// What building needs beside the document.
#[derive(Debug)]
pub struct Setting<'a> {
    /// `[SERVICE]`.
    pub service: &'a Service,
    /// Its keys about buffering.
    pub storage: &'a StorageConf,
    /// Every parser by name.
    pub parsers: &'a ParserSet,
    /// The folder of the main configuration file.
    pub dir: &'a Path,
    /// Rejected records to send again, past inputs and filters.
    pub replay: Option<&'a Plan>,
}

/// Makes every instance. Everything that is wrong goes to `diags`; `None` when anything is.
pub fn build(doc: &Document, setting: &Setting<'_>, diags: &mut Diags) -> Option<Engine> {
    let json = JsonOpts { escape_unicode: setting.service.escape_unicode, nan_to_null: setting.service.nan_to_null };
    let mut parts = Made::default();
    let count = |kind: Kind| doc.sections.iter().filter(|s| Kind::of_section(&s.name) == Some(kind)).count();
    let only_pair = count(Kind::Input) == 1 && count(Kind::Output) == 1;
    for section in &doc.sections {
        let Some(kind) = Kind::of_section(&section.name) else { continue };
        let Some(plugin) = section.value("name") else { continue };
        let name = section.label.splitn(3, ':').nth(2).unwrap_or(plugin);
        let multiline_limit = usize::try_from(setting.service.multiline_buffer_limit.0).unwrap_or(usize::MAX).max(1024);
        let (parsers, dir) = (setting.parsers, setting.dir);
        let mut cx = MakeCx { section, name, diags, parsers, json, dir, multiline_limit };
        match kind {
            Kind::Input | Kind::Filter if setting.replay.is_some() => {}
            Kind::Input => parts.input(plugin, &mut cx, setting.storage),
            Kind::Filter => parts.filter(plugin, &mut cx, setting.storage),
            Kind::Output => parts.output(plugin, &mut cx, only_pair),
        }
    }
    // A replay stands beside the pipeline itself, which has the port.
    let monitor = if setting.replay.is_none() { Monitor::of(setting.service, doc, diags) } else { None };
    let rejects = Rejects::new(setting.storage);
    if let Some(plan) = setting.replay {
        plan.check(&parts.outputs.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), rejects.path(), diags);
    }
    if diags.has_errors() {
        return None;
    }
    Some(parts.assemble(setting, rejects, monitor))
}

/// The instances as they are made.
#[derive(Default)]
struct Made {
    inputs: Vec<MadeInput>,
    filters: Vec<MadeFilter>,
    outputs: Vec<MadeOutput>,
}

struct MadeInput {
    label: String,
    tag: Tag,
    spec: Spec,
    input: Box<dyn Input>,
}

struct MadeFilter {
    name: String,
    rule: Rule,
    filter: Box<dyn Filter>,
}

struct MadeOutput {
    name: String,
    rule: Rule,
    limits: Limits,
    output: Box<dyn Output>,
}

impl Made {
    fn input(&mut self, plugin: &str, cx: &mut MakeCx<'_>, storage: &StorageConf) {
        let common = InputCommon::load(cx.section, cx.diags);
        let found = input::PLUGINS.iter().find(|p| p.info.name.eq_ignore_ascii_case(plugin));
        let made = found.and_then(|p| (p.make)(cx));
        if let (Some(common), Some(input)) = (common, made) {
            let tag = Tag::new(common.tag.as_deref().unwrap_or(cx.name));
            let limit = usize::try_from(common.mem_buf_limit.0).ok().filter(|n| *n > 0);
            let inherited = if storage.inherit { storage.storage_type } else { StorageType::Memory };
            let kind = common.storage_type.unwrap_or(inherited);
            if !require_path(cx, "storage.type", kind, storage) {
                return;
            }
            let spec = Spec {
                limit_is_default: limit.is_none(),
                storage: kind,
                pause_on_chunks: common.pause_on_chunks_overlimit,
                patience: input.patience(),
                ..Spec::new(cx.name, limit.unwrap_or(DEFAULT_LIMIT))
            };
            self.inputs.push(MadeInput { label: cx.label(), tag, spec, input });
        }
    }

    fn filter(&mut self, plugin: &str, cx: &mut MakeCx<'_>, storage: &StorageConf) {
        let common = FilterCommon::load(cx.section, cx.diags);
        let found = filter::PLUGINS.iter().find(|p| p.info.name.eq_ignore_ascii_case(plugin));
        let made = found.and_then(|p| (p.make)(cx));
        let Some(common) = common else { return };
        let rule = rule(cx, common.matches.as_deref(), common.match_regex.as_deref());
        if let (Some(rule), Some(filter)) = (rule, made)
            && filter.emits().is_none_or(|e| require_path(cx, "Emitter_Storage.type", e.storage, storage))
        {
            self.filters.push(MadeFilter { name: cx.name.to_owned(), rule, filter });
        }
    }

    fn output(&mut self, plugin: &str, cx: &mut MakeCx<'_>, only_pair: bool) {
        let common = OutputCommon::load(cx.section, cx.diags);
        let found = output::PLUGINS.iter().find(|p| p.info.name.eq_ignore_ascii_case(plugin));
        let made = found.and_then(|p| (p.make)(cx));
        let Some(common) = common else { return };
        let rule = rule(cx, common.matches.as_deref(), common.match_regex.as_deref());
        let (Some(mut rule), Some(output)) = (rule, made) else { return };
        if rule.is_empty() && only_pair {
            rule = Rule::any();
        }
        let retries = match common.retry_limit {
            RetryLimit::Times(n) => Some(n),
            RetryLimit::Unlimited => None,
        };
        let told = cx.section.value("net.connect_timeout_log_error").map(<bool as crate::conf::FromConf>::from_conf);
        let quiet = matches!(told, Some(Ok(false)));
        let limits = Limits { retries, disk: common.total_limit_size.0, eager: Duration::ZERO, quiet };
        self.outputs.push(MadeOutput { name: cx.name.to_owned(), rule, limits, output });
    }

    fn assemble(self, setting: &Setting<'_>, rejects: Rejects, monitor: Option<Monitor>) -> Engine {
        let (service, mut storage) = (setting.service, setting.storage.clone());
        if setting.replay.is_some() {
            // The pipeline itself may be running, with its chunk files.
            storage.path = None;
            storage.mem_limit = Size(REPLAY_MEMORY);
        }
        let unlimited = |n: u64| usize::try_from(n).ok().filter(|n| *n > 0).unwrap_or(usize::MAX);
        let backoff = Backoff { base_secs: service.scheduler_base.into(), cap_secs: service.scheduler_cap.into() };
        let terms = Terms {
            flush: service.flush.0,
            grace: u64::try_from(service.grace).ok().filter(|s| *s > 0).map_or(FOREVER, Duration::from_secs),
            flush_on_shutdown: storage.flush_on_shutdown,
            backoff,
            mem_limit: unlimited(storage.mem_limit.0),
            max_chunks_up: storage.max_chunks_up.max(1),
            show_storage: storage.metrics,
            rejects,
            is_replay: setting.replay.is_some(),
            seed: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64),
        };
        let (filter_rules, filters): (Vec<_>, Vec<_>) =
            self.filters.into_iter().map(|f| (f.rule, (f.name, f.filter))).unzip();
        let (output_rules, outputs): (Vec<_>, Vec<_>) =
            self.outputs.into_iter().map(|o| (o.rule, (o.name, o.limits, o.output))).unzip();
        let core = Rc::new(Core::new(terms, Routes::new(filter_rules, output_rules)));
        let mut parts = Parts::default();
        let mut ready = Vec::new();
        for MadeInput { label, tag, spec, input } in self.inputs {
            let state = Rc::new(InputState::new(&core, spec));
            parts.inputs.push(state.clone());
            ready.push(Ready { state, label, tag, input });
        }
        for (index, (name, filter)) in filters.into_iter().enumerate() {
            let state = FilterState::new(&core, &name, filter, |e| {
                let behind = e.resumes.then_some(index);
                let spec = Spec::new(&e.name, e.mem_buf_limit.max(1));
                Spec { is_emitter: true, storage: e.storage, behind, ..spec }
            });
            parts.filters.push(state);
        }
        for (index, (name, limits, output)) in outputs.into_iter().enumerate() {
            let limits = Limits { eager: Duration::from_secs(backoff.base_secs.saturating_add(1)), ..limits };
            parts.outputs.push(Rc::new(OutputState::new(&name, index, output, &limits)));
        }
        if storage.path.is_some() {
            let spec = Spec {
                storage: StorageType::Filesystem,
                is_backlog: true,
                ..Spec::new("storage_backlog.0", unlimited(storage.backlog_mem_limit.0))
            };
            parts.backlog = Some(Rc::new(InputState::new(&core, spec)));
        }
        let replay = setting.replay.map(|plan| Replay::new(plan, &core, &parts.outputs));
        if let Some(replay) = &replay {
            parts.inputs.extend(replay.inputs().cloned());
            ready.push(replay.ready(&core));
        }
        // Set once, here.
        let _ = core.parts.set(parts);
        Engine { core, inputs: ready, storage, monitor, replay }
    }
}

/// Chunk files need a folder.
fn require_path(cx: &mut MakeCx<'_>, key: &str, kind: StorageType, storage: &StorageConf) -> bool {
    let missing = kind == StorageType::Filesystem && storage.path.is_none();
    if missing {
        let what = format!("{key} filesystem needs a folder, but [SERVICE] has no storage.path");
        cx.refuse::<()>(key, what, "Add to [SERVICE], for example: storage.path /var/lib/collector");
    }
    !missing
}

/// Compiles `Match` and `Match_Regex`.
fn rule(cx: &mut MakeCx<'_>, pattern: Option<&str>, regex: Option<&str>) -> Option<Rule> {
    let regex = match regex.map(Regex::new).transpose() {
        Ok(r) => r,
        Err(e) => return cx.refuse("Match_Regex", format!("Match_Regex: {e}"), "Correct the regular expression."),
    };
    Some(Rule { pattern: pattern.map(Wildcard::new), regex })
}
