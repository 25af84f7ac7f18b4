//! What a configuration may say: closed sets of sections, plugins and keys, with a suggestion for each slip.

use super::common;
use super::plugin::{Catalog, Kind, PluginInfo};
use super::schema::Table;
use super::section::{Document, Section, key_is};
use super::service::SECTIONS;
use super::value::FromConf;
use crate::error::Diags;
use crate::util::suggest::nearest;

/// Whether every key of a section is in the tables; unknown ones are errors, those not served yet are warnings.
pub fn keys(section: &Section, tables: &[Table], diags: &mut Diags) -> bool {
    let served = || tables.iter().flat_map(|t| t.keys).map(|k| k.name);
    let unserved = || tables.iter().flat_map(|t| t.unserved).map(|u| harmless(u));
    let who = section.who();
    let mut all_known = true;
    for entry in &section.entries {
        if served().any(|k| key_is(k, &entry.key)) {
            continue;
        }
        if let Some((_, silent_for)) = unserved().find(|(k, _)| key_is(k, &entry.key)) {
            if !silent_for.is_some_and(|v| same_value(v, &entry.value)) {
                diags.warn(&entry.place, format!("{who} property '{}' is not served yet: it has no effect", entry.key));
            }
            continue;
        }
        let allowed = format!("The following properties are allowed: {}.", served().collect::<Vec<_>>().join(", "));
        let what = format!("{who} unknown configuration property '{}'.", entry.key);
        let known = served().chain(unserved().map(|(k, _)| k)).map(|k| k.trim_end_matches('*'));
        match nearest(&entry.key, known) {
            // The list once per section is enough.
            Some(near) if all_known => {
                diags.error_help(&entry.place, format!("{what} Did you mean '{near}'?"), allowed);
            }
            Some(near) => diags.error(&entry.place, format!("{what} Did you mean '{near}'?")),
            None => diags.error(&entry.place, format!("{what} {allowed}")),
        }
        all_known = false;
    }
    all_known
}

/// A declared `name=value`: the value for which a key that is not served needs no word.
fn harmless(declared: &'static str) -> (&'static str, Option<&'static str>) {
    declared.split_once('=').map_or((declared, None), |(name, value)| (name, Some(value)))
}

fn same_value(a: &str, b: &str) -> bool {
    match (bool::from_conf(a), bool::from_conf(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a.eq_ignore_ascii_case(b),
    }
}

/// Whether every key of a plugin's section is one of its own or one that all of its kind take.
pub fn plugin(kind: Kind, section: &Section, info: &PluginInfo, diags: &mut Diags) -> bool {
    const NAME: Table = Table { keys: &[NAME_KEY], unserved: &[] };
    let mut tables = vec![Table { keys: info.keys, unserved: info.unserved }];
    tables.extend_from_slice(info.extra);
    tables.extend([common::table(kind), NAME]);
    keys(section, &tables, diags)
}

const NAME_KEY: super::KeyDef = super::KeyDef {
    name: "Name",
    kind: "text",
    default: None,
    many: false,
    required: true,
    doc: " Which plugin this is.",
};

/// Names the instances (`input:tail:tail.0`), then checks every section of a main configuration.
pub fn pipeline(doc: &mut Document, catalog: &Catalog, diags: &mut Diags) {
    let mut failed = Vec::new();
    number(doc);
    for s in &doc.sections {
        let Some(kind) = Kind::of_section(&s.name) else {
            other_section(s, diags);
            continue;
        };
        let Some(info) = find(kind, s, catalog, diags) else { continue };
        if !plugin(kind, s, info, diags) && !failed.contains(&kind) {
            failed.push(kind);
        }
    }
    for kind in failed {
        diags.error_nowhere(format!("[config] check properties for {} plugins is failed", kind.word()));
    }
}

/// Gives every plugin section its label: kind, plugin, and the alias or `<plugin>.<n>` with n from 0 for each plugin.
pub fn number(doc: &mut Document) {
    let mut seen: Vec<(Kind, String)> = Vec::new();
    for s in &mut doc.sections {
        let Some((kind, name)) = Kind::of_section(&s.name).zip(s.value("name").map(str::to_ascii_lowercase)) else {
            continue;
        };
        let this = (kind, name);
        let n = seen.iter().filter(|x| **x == this).count();
        let name = &this.1;
        let instance = s.value("alias").map_or_else(|| format!("{name}.{n}"), str::to_owned);
        s.label = format!("{}:{name}:{instance}", kind.word());
        seen.push(this);
    }
}

/// The plugin a section names; a missing, unknown or unserved one is an error.
fn find<'c>(kind: Kind, s: &Section, catalog: &'c Catalog, diags: &mut Diags) -> Option<&'c PluginInfo> {
    let Some(entry) = s.get("name") else {
        let slip = s.entries.iter().find(|e| nearest(&e.key, ["name"]).is_some());
        let help = match slip {
            Some(slip) => format!("Is '{}' on line {} meant to be 'Name'?", slip.key, slip.place.line),
            None => format!("Add for example: Name {}", catalog.of(kind).first().map_or("NAME", |i| i.name)),
        };
        diags.error_help(&s.place, format!("[config] section [{}] has no 'Name'", s.name), help);
        return None;
    };
    if let Some(info) = catalog.find(kind, &entry.value) {
        return Some(info);
    }
    let (name, word, place) = (&entry.value, kind.word(), &entry.value_place);
    if catalog.is_unserved(kind, name) {
        let help = format!("Remove the section; {word} plugins served are: {}", catalog.names(kind));
        diags.error_help(place, format!("[config] {word} plugin '{name}' is known but not served yet"), help);
        return None;
    }
    let what = format!("[config] section '{name}' tried to instance a plugin name that doesn't exist");
    let help = match nearest(name, catalog.of(kind).iter().map(|i| i.name)) {
        Some(near) => format!("Did you mean '{near}'?"),
        None => format!("The {word} plugins are: {}", catalog.names(kind)),
    };
    diags.error_help(place, what, help);
    None
}

/// Sections that declare no plugin.
fn other_section(s: &Section, diags: &mut Diags) {
    let name = s.name.to_ascii_uppercase();
    match name.as_str() {
        "SERVICE" | "ENV" => {}
        "PARSER" | "MULTILINE_PARSER" => diags.error_help(
            &s.place,
            format!("section [{name}] does not belong into the main file"),
            "Move it to a file of its own, and name that file in [SERVICE]: Parsers_File FILE",
        ),
        "CUSTOM" | "STREAM_TASK" | "PLUGINS" | "UPSTREAM" | "NODE" => {
            diags.warn(&s.place, format!("section [{name}] is not served yet: it has no effect"));
        }
        _ => {
            let what = format!("unknown section [{}]", s.name);
            match nearest(s.name.trim(), SECTIONS) {
                Some(near) => diags.error_help(&s.place, what, format!("Did you mean '[{near}]'?")),
                None => diags.error_help(&s.place, what, format!("Sections are: {}", SECTIONS.join(", "))),
            }
        }
    }
}
