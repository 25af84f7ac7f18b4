//! From a checked configuration to a pipeline.

use super::core::{Core, FilterState, Parts};
use super::delivery::OutputState;
use super::intake::InputState;
use super::route::{Routes, Rule};
use super::stats::FilterStats;
use super::{Engine, Ready};
use crate::conf::common::{FilterCommon, InputCommon, OutputCommon, RetryLimit};
use crate::conf::service::Service;
use crate::conf::{Document, Kind};
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
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// Memory that an input may hold when `Mem_Buf_Limit` does not say, in bytes: nothing is unbounded.
const DEFAULT_LIMIT: usize = 8 << 20;
/// The grace period of `Grace 0` and `Grace -1`.
pub(super) const FOREVER: Duration = Duration::from_secs(365 * 86400);

/// What building needs beside the document.
#[derive(Debug)]
pub struct Setting<'a> {
    /// `[SERVICE]`.
    pub service: &'a Service,
    /// Every parser by name.
    pub parsers: &'a ParserSet,
    /// The folder of the main configuration file.
    pub dir: &'a Path,
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
        let mut cx = MakeCx { section, name, diags, parsers: setting.parsers, json, dir: setting.dir };
        match kind {
            Kind::Input => parts.input(plugin, &mut cx),
            Kind::Filter => parts.filter(plugin, &mut cx),
            Kind::Output => parts.output(plugin, &mut cx, only_pair),
        }
    }
    if diags.has_errors() {
        return None;
    }
    Some(parts.assemble(setting.service))
}

/// The instances as they are made.
#[derive(Default)]
struct Made {
    inputs: Vec<MadeInput>,
    filters: Vec<MadeFilter>,
    outputs: Vec<MadeOutput>,
}

struct MadeInput {
    name: String,
    label: String,
    tag: Tag,
    limit: Option<usize>,
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
    retries: Option<u32>,
    output: Box<dyn Output>,
}

impl Made {
    fn input(&mut self, plugin: &str, cx: &mut MakeCx<'_>) {
        let common = InputCommon::load(cx.section, cx.diags);
        let found = input::PLUGINS.iter().find(|p| p.info.name.eq_ignore_ascii_case(plugin));
        let made = found.and_then(|p| (p.make)(cx));
        if let (Some(common), Some(input)) = (common, made) {
            let tag = Tag::new(common.tag.as_deref().unwrap_or(cx.name));
            let limit = usize::try_from(common.mem_buf_limit.0).ok().filter(|n| *n > 0);
            self.inputs.push(MadeInput { name: cx.name.to_owned(), label: cx.label(), tag, limit, input });
        }
    }

    fn filter(&mut self, plugin: &str, cx: &mut MakeCx<'_>) {
        let common = FilterCommon::load(cx.section, cx.diags);
        let found = filter::PLUGINS.iter().find(|p| p.info.name.eq_ignore_ascii_case(plugin));
        let made = found.and_then(|p| (p.make)(cx));
        let Some(common) = common else { return };
        let rule = rule(cx, common.matches.as_deref(), common.match_regex.as_deref());
        if let (Some(rule), Some(filter)) = (rule, made) {
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
        self.outputs.push(MadeOutput { name: cx.name.to_owned(), rule, retries, output });
    }

    fn assemble(self, service: &Service) -> Engine {
        let grace = u64::try_from(service.grace).ok().filter(|s| *s > 0).map_or(FOREVER, Duration::from_secs);
        let backoff = Backoff { base_secs: service.scheduler_base.into(), cap_secs: service.scheduler_cap.into() };
        let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64);
        let (filter_rules, filters): (Vec<_>, Vec<_>) =
            self.filters.into_iter().map(|f| (f.rule, (f.name, f.filter))).unzip();
        let (output_rules, outputs): (Vec<_>, Vec<_>) =
            self.outputs.into_iter().map(|o| (o.rule, (o.name, o.retries, o.output))).unzip();
        let core = Rc::new(Core::new(service.flush.0, grace, backoff, Routes::new(filter_rules, output_rules), seed));
        let mut parts = Parts::default();
        let mut ready = Vec::new();
        for MadeInput { name, label, tag, limit, input } in self.inputs {
            let state = InputState::new(&core, &name, limit.unwrap_or(DEFAULT_LIMIT), false);
            let state = Rc::new(if limit.is_none() { state.with_default_limit() } else { state });
            parts.inputs.push(state.clone());
            ready.push(Ready { state, label, tag, input });
        }
        for (name, filter) in filters {
            let emitter =
                filter.emits().map(|e| Rc::new(InputState::new(&core, &e.name, e.mem_buf_limit.max(1), true)));
            let filter = RefCell::new(filter);
            parts.filters.push(FilterState { name, filter, stats: FilterStats::default(), emitter });
        }
        for (index, (name, retries, output)) in outputs.into_iter().enumerate() {
            parts.outputs.push(Rc::new(OutputState::new(&name, index, output, retries)));
        }
        // Set once, here.
        let _ = core.parts.set(parts);
        Engine { core, inputs: ready }
    }
}

/// Compiles `Match` and `Match_Regex`.
fn rule(cx: &mut MakeCx<'_>, pattern: Option<&str>, regex: Option<&str>) -> Option<Rule> {
    let regex = match regex.map(Regex::new).transpose() {
        Ok(r) => r,
        Err(e) => return cx.refuse("Match_Regex", format!("Match_Regex: {e}"), "Correct the regular expression."),
    };
    Some(Rule { pattern: pattern.map(Wildcard::new), regex })
}
