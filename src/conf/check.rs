//! What a configuration may say: closed sets of sections, plugins and keys, with a suggestion for each slip.

use std::collections::HashMap;

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
    let port = section.get("port").filter(|e| kind == Kind::Output && e.value.parse() == Ok(0u16));
    if let Some(entry) = port {
        let what = format!("{} {}: nothing can be reached at port 0", section.who(), entry.key);
        diags.error_help(
            &entry.value_place,
            what,
            "Give a number from 1 to 65535, or leave it out for the usual port.",
        );
    }
    keys(section, &tables, diags) && port.is_none()
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
    routes(doc, diags);
    for kind in failed {
        diags.error_nowhere(format!("[config] check properties for {} plugins is failed", kind.word()));
    }
}

/// Gives every plugin section its label: kind, plugin, and the alias or `<plugin>.<n>` with n from 0 for each plugin. An
/// input without a tag gets `<plugin>.<n>` for one, whatever its alias.
pub fn number(doc: &mut Document) {
    let mut seen: HashMap<(Kind, String), usize> = HashMap::new();
    for s in &mut doc.sections {
        let Some((kind, name)) = Kind::of_section(&s.name).zip(s.value("name").map(str::to_ascii_lowercase)) else {
            continue;
        };
        let n = seen.entry((kind, name.clone())).or_default();
        let numbered = format!("{name}.{n}");
        let instance = s.value("alias").map_or_else(|| numbered.clone(), str::to_owned);
        if kind == Kind::Input && s.get("tag").is_none() && s.get("alias").is_some() {
            s.push("Tag", &numbered);
        }
        s.label = format!("{}:{name}:{instance}", kind.word());
        *n += 1;
    }
}

/// Warns about parts of a pipeline that no record can reach.
fn routes(doc: &Document, diags: &mut Diags) {
    let count = |kind: Kind| doc.named(kind.section()).count();
    // One input and one output need no Match.
    let obvious = (count(Kind::Input), count(Kind::Output)) == (1, 1);
    for s in &doc.sections {
        let Some(kind @ (Kind::Filter | Kind::Output)) = Kind::of_section(&s.name) else { continue };
        let has_match = s.get("match").or(s.get("match_regex")).is_some();
        if !(has_match || obvious && kind == Kind::Output || s.label.is_empty()) {
            let what = format!("{} no Match: no record ever reaches this {}", s.who(), kind.word());
            diags.warn_help(&s.place, what, "Add for example: Match *");
        }
    }
    for (kind, so) in [(Kind::Input, "there is nothing to read"), (Kind::Output, "all records are dropped")] {
        if count(kind) == 0 {
            diags.warn_nowhere(format!("[config] no [{}] section: {so}", kind.section()));
        }
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
    if let Some(left_out) = catalog.left_out(kind, name) {
        diags.error_help(place, format!("[config] {word} plugin '{name}' is not in this build"), left_out.help());
        return None;
    }
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

#[cfg(test)]
mod tests {
    // The struct of the test's plugin is checked, never loaded.
    #![allow(dead_code)]

    use super::*;
    use crate::conf::{KeyDef, ini};
    use proptest::prelude::*;

    crate::config! {
        /// For the tests.
        pub struct TailConf {
            path: crate::conf::CList => "Path" required,
            refresh_interval: u32 => "Refresh_Interval" = "60",
            parser: crate::conf::Many<String> => "Parser_*",
        }
        unserved ["Multiline=off", "Docker_Mode", "generic.*"]
    }

    const fn info(name: &'static str, keys: &'static [KeyDef]) -> PluginInfo {
        PluginInfo { name, doc: "", keys, unserved: TailConf::UNSERVED, extra: &[common::TlsClient::TABLE] }
    }
    static TAIL: PluginInfo = info("tail", TailConf::KEYS);
    static GREP: PluginInfo = info("grep", &[]);
    static STDOUT: PluginInfo = info("stdout", &[]);

    fn catalog() -> Catalog {
        Catalog { inputs: vec![&TAIL], filters: vec![&GREP], outputs: vec![&STDOUT], ..Catalog::default() }
    }

    fn said(text: &str) -> (Document, Diags) {
        let mut diags = Diags::new();
        let mut doc = ini::parse("fluent-bit.conf", text.as_bytes(), &mut diags);
        pipeline(&mut doc, &catalog(), &mut diags);
        (doc, diags)
    }

    /// The lines said about an input (with the rest of the pipeline in order) must be these.
    fn check(entries: &str, expected: &[&str]) {
        let (_, diags) = said(&format!("[INPUT]\n{entries}[OUTPUT]\n    Name stdout\n"));
        assert_eq!(diags.to_string().lines().collect::<Vec<_>>(), expected, "{entries}");
    }

    const FAILED: &str = "[config] check properties for input plugins is failed";

    #[test]
    fn known_keys_in_any_case() {
        check("    nAmE Tail\n    PATH x\n    parser_1 a\n    tls.VERIFY on\n    mem_buf_limit 1M\n", &[]);
    }

    #[test]
    fn a_slip_is_answered_with_the_key_that_was_meant() {
        let (_, diags) = said("[INPUT]\n    Name tail\n    pathh x\n    Tga y\n");
        let text = diags.to_string();
        let first =
            "fluent-bit.conf:3:5: [input:tail:tail.0] unknown configuration property 'pathh'. Did you mean 'Path'?\n";
        assert!(text.starts_with(&format!("{first}    The following properties are allowed: Path, ")), "{text}");
        assert!(text.contains(
            "fluent-bit.conf:4:5: [input:tail:tail.0] unknown configuration property 'Tga'. Did you mean 'Tag'?\n"
        ));
        assert!(text.contains(&format!("\n{FAILED}\n")), "{text}");
        assert_eq!(text.matches("properties are allowed").count(), 1);
        assert_eq!(diags.errors(), 3);
    }

    #[test]
    fn without_a_likely_key_the_allowed_ones_are_listed() {
        let (_, diags) = said("[INPUT]\n    Name tail\n    qwertz x\n");
        let want = "unknown configuration property 'qwertz'. The following properties are allowed: Path, Refresh_Interval, Parser_*, tls, ";
        assert!(diags.to_string().contains(want), "{diags}");
        assert!(!diags.to_string().contains("threaded") && diags.to_string().contains("Mem_Buf_Limit"), "{diags}");
    }

    #[test]
    fn keys_not_served_yet_are_named_unless_they_ask_for_nothing() {
        check(
            "    Name tail\n    Multiline on\n    docker_mode off\n    generic.encoding x\n    threaded on\n",
            &[
                "fluent-bit.conf:3:5: warning: [input:tail:tail.0] property 'Multiline' is not served yet: it has no effect",
                "fluent-bit.conf:4:5: warning: [input:tail:tail.0] property 'docker_mode' is not served yet: it has no effect",
                "fluent-bit.conf:5:5: warning: [input:tail:tail.0] property 'generic.encoding' is not served yet: it has no effect",
                "fluent-bit.conf:6:5: warning: [input:tail:tail.0] property 'threaded' is not served yet: it has no effect",
            ],
        );
        check("    Name tail\n    Multiline No\n    storage.type MEMORY\n    threaded off\n", &[]);
    }

    #[test]
    fn plugins() {
        let at = "fluent-bit.conf:2:10: [config]";
        check(
            "    Name taill\n",
            &[
                &format!("{at} section 'taill' tried to instance a plugin name that doesn't exist"),
                "    Did you mean 'tail'?",
            ],
        );
        check(
            "    Name kafka\n",
            &[
                &format!("{at} input plugin 'kafka' is known but not served yet"),
                "    Remove the section; input plugins served are: tail",
            ],
        );
        check(
            "    Nmae tail\n",
            &[
                "fluent-bit.conf:1:1: [config] section [INPUT] has no 'Name'",
                "    Is 'Nmae' on line 2 meant to be 'Name'?",
            ],
        );
        check(
            "    Path x\n",
            &["fluent-bit.conf:1:1: [config] section [INPUT] has no 'Name'", "    Add for example: Name tail"],
        );
    }

    #[test]
    fn sections() {
        for (section, want) in [
            ("[INPUTT]", "unknown section [INPUTT]\n    Did you mean '[INPUT]'?"),
            ("[ input]", "unknown section [ input]\n    Did you mean '[INPUT]'?"),
            ("[WHATEVER]", "unknown section [WHATEVER]\n    Sections are: SERVICE, INPUT"),
            ("[PARSER]", "section [PARSER] does not belong into the main file\n    Move it"),
            ("[multiline_parser]", "section [MULTILINE_PARSER] does not belong into the main file\n    Move it"),
            ("[CUSTOM]", "warning: section [CUSTOM] is not served yet"),
            ("[STREAM_TASK]", "warning: section [STREAM_TASK] is not served yet"),
        ] {
            let (_, diags) = said(&format!("{section}\n  a b\n[INPUT]\n  Name tail\n[OUTPUT]\n  Name stdout\n"));
            assert!(diags.to_string().starts_with(&format!("fluent-bit.conf:1:1: {want}")), "{section}: {diags}");
        }
    }

    #[test]
    fn instances_are_numbered_per_plugin() {
        let text = "[INPUT]\n Name tail\n[INPUT]\n Name TAIL\n[INPUT]\n Name x\n[OUTPUT]\n Name tail\n[INPUT]\n Name tail\n Alias a:b\n";
        let (doc, _) = said(text);
        let labels: Vec<_> = doc.sections.iter().map(|s| s.label.as_str()).collect();
        assert_eq!(
            labels,
            ["input:tail:tail.0", "input:tail:tail.1", "input:x:x.0", "output:tail:tail.0", "input:tail:a:b"]
        );
        assert_eq!(doc.sections[1].instance(), "tail.1");
        assert_eq!(doc.sections[4].instance(), "a:b");
        // An alias names the instance, not its records.
        let tags: Vec<_> = doc.sections.iter().map(|s| s.value("tag")).collect();
        assert_eq!(tags, [None, None, None, None, Some("tail.2")]);
    }

    #[test]
    fn what_no_record_reaches_is_warned_about() {
        let one = "[INPUT]\n Name tail\n[OUTPUT]\n Name stdout\n";
        assert_eq!(said(one).1.to_string(), "");
        let (_, diags) = said(&format!("{one}[OUTPUT]\n Name stdout\n Match *\n[FILTER]\n Name grep\n"));
        let text = diags.to_string();
        assert!(text.contains("3:1: warning: [output:stdout:stdout.0] no Match"), "{text}");
        assert!(text.contains("8:1: warning: [filter:grep:grep.0] no Match") && !text.contains("stdout.1"), "{text}");
        let (_, diags) = said("");
        assert!(diags.to_string().contains("no [INPUT] section: there is nothing to read"), "{diags}");
        assert!(!diags.has_errors());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        /// One letter changed, left out, added or swapped in any key of a plugin: always found, and never taken.
        #[test]
        fn every_slip_in_a_key_is_found(key in 0usize..64, at in 0usize..64, how in 0u8..4, letter in b'a'..=b'z') {
            let tables = [TailConf::KEYS, common::InputCommon::KEYS, common::TlsClient::KEYS];
            let names: Vec<&str> = tables.concat().iter().map(|k| k.name).filter(|n| !n.ends_with('*')).collect();
            let name = names[key % names.len()];
            let mut slip = name.as_bytes().to_vec();
            let at = at % slip.len();
            match how {
                0 => slip[at] = letter,
                1 => { slip.remove(at); }
                2 => slip.insert(at, letter),
                _ => slip.swap(at, (at + 1) % name.len()),
            }
            let slip = String::from_utf8(slip).unwrap();
            prop_assume!(!slip.is_empty());
            let taken = names.iter().chain(&["name", "multiline", "docker_mode"]).any(|n| n.eq_ignore_ascii_case(&slip));
            prop_assume!(!taken && !slip.to_ascii_lowercase().starts_with("parser_"));
            let (_, diags) = said(&format!("[INPUT]\n    Name tail\n    {slip} 1\n"));
            let text = diags.to_string();
            prop_assert!(text.contains(&format!("3:5: [input:tail:tail.0] unknown configuration property '{slip}'")), "{}", text);
            prop_assert!(text.contains(FAILED), "{}", text);
            // A swap at the ends of a long key may be two slips; three letters leave no room for a guess.
            if name.len() > 3 && how < 3 {
                prop_assert!(text.contains("Did you mean '"), "{}", text);
            }
        }
    }
}
