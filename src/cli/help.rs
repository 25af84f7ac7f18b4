//! Help as text and as JSON, made from the tables of flags and of plugins.

use std::fmt::Write;

use serde_json::{Value, json};

use super::args::Action;
use super::docs;
use super::flags::FLAGS;
use super::version;
use crate::conf::{Catalog, KeyDef, Kind, PluginInfo, Table, common};
use crate::input::pcap;
use crate::util::suggest::nearest;

/// The text that an action only prints; `None` for those that do more. The error is one line for the user.
pub fn text(action: &Action, catalog: &Catalog) -> Option<Result<String, String>> {
    Some(Ok(match action {
        Action::Run | Action::DryRun | Action::Setup => return None,
        Action::ListInterfaces => return Some(pcap::interfaces::report()),
        Action::Help => general(catalog),
        Action::HelpJson => as_json(catalog),
        Action::Docs => docs::markdown(catalog),
        Action::Version(details) => version::text(*details),
        Action::PluginHelp(kind, name) => match catalog.find(*kind, name) {
            Some(info) => plugin(*kind, info),
            None => return Some(Err(no_plugin(*kind, name, catalog))),
        },
    }))
}

fn no_plugin(kind: Kind, name: &str, catalog: &Catalog) -> String {
    let word = kind.word();
    if let Some(left_out) = catalog.left_out(kind, name) {
        return format!("{word} plugin '{name}' is not in this build. {}", left_out.help());
    }
    if catalog.is_unserved(kind, name) {
        return format!("{word} plugin '{name}' is known but not served yet");
    }
    match nearest(name, catalog.of(kind).iter().map(|i| i.name)) {
        Some(near) => format!("no {word} plugin is called '{name}'. Did you mean '{near}'?"),
        None => format!("no {word} plugin is called '{name}'; there are: {}", catalog.names(kind)),
    }
}

/// `-h`.
pub fn general(catalog: &Catalog) -> String {
    let mut out = String::from("Usage: collector [OPTION]...\n\nOptions\n");
    for flag in FLAGS.iter().filter(|f| f.served) {
        let short = flag.short.map_or("    ".to_owned(), |c| format!("-{c}, "));
        let value = flag.value.map_or(String::new(), |v| format!(" {v}"));
        line(&mut out, &format!("{short}--{}{value}", flag.long), flag.doc);
    }
    for kind in Kind::ALL {
        let (first, rest) = kind.word().split_at(1);
        let _ = writeln!(out, "\n{}{rest}s", first.to_ascii_uppercase());
        for info in catalog.of(kind) {
            line(&mut out, info.name, info.doc);
        }
    }
    out.push_str("\nOptions that are known but not served\n");
    for flag in FLAGS.iter().filter(|f| !f.served) {
        let short = flag.short.map_or("    ".to_owned(), |c| format!("-{c}, "));
        line(&mut out, &format!("{short}--{}", flag.long), flag.doc);
    }
    out.push_str("\nA plugin's properties: collector -i NAME -h (-F, -o)\n");
    out
}

/// One line in two columns.
fn line(out: &mut String, left: &str, right: &str) {
    let _ = writeln!(out, "  {left:<28} {right}");
}

/// `-i NAME -h`: a plugin's own properties, then those it shares.
pub fn plugin(kind: Kind, info: &PluginInfo) -> String {
    let mut out = format!("{} {} plugin: {}\n", info.name, kind.word(), info.doc);
    properties(&mut out, "Properties", info.keys);
    for table in info.extra {
        properties(&mut out, "Shared properties", table.keys);
    }
    properties(&mut out, &format!("Properties of every {}", kind.word()), common::table(kind).keys);
    let unserved: Vec<_> = tables(kind, info).iter().flat_map(Table::unserved_names).collect();
    if !unserved.is_empty() {
        let _ = writeln!(out, "\nKnown but not served yet\n  {}", unserved.join(", "));
    }
    out
}

fn properties(out: &mut String, title: &str, keys: &[KeyDef]) {
    if keys.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{title}");
    for key in keys {
        let _ = writeln!(out, "  {:<28} {}", key.name, key.doc.trim());
        let _ = writeln!(out, "  {:<28} > {}", "", facts(key));
    }
}

/// Kind, default and whether a key must be given or may be repeated, in words.
pub fn facts(key: &KeyDef) -> String {
    let mut facts = key.kind.to_owned();
    if let Some(default) = key.default {
        let _ = write!(facts, ", default {}", if default.is_empty() { "empty" } else { default });
    }
    if key.required {
        facts.push_str(", required");
    }
    if key.many {
        facts.push_str(", may be repeated");
    }
    facts
}

/// All tables of a plugin: its own, the shared ones it takes, that of its kind.
fn tables(kind: Kind, info: &PluginInfo) -> Vec<Table> {
    let mut all = vec![Table { keys: info.keys, unserved: info.unserved }];
    all.extend_from_slice(info.extra);
    all.push(common::table(kind));
    all
}

/// `-J`: everything as JSON, one object on one line.
pub fn as_json(catalog: &Catalog) -> String {
    let key = |k: &KeyDef| {
        json!({
            "name": k.name, "type": k.kind, "default": k.default, "required": k.required, "multiple": k.many,
            "description": k.doc.trim()
        })
    };
    let plugin = |kind: Kind, info: &PluginInfo| -> Value {
        let tables = tables(kind, info);
        // Where two roles of a plugin share a key, it stands here once.
        let mut seen = Vec::new();
        let mut is_new = |k: &&KeyDef| {
            let is_new = !seen.contains(&k.name);
            seen.push(k.name);
            is_new
        };
        json!({
            "name": info.name,
            "description": info.doc,
            "properties": tables.iter().flat_map(|t| t.keys).filter(&mut is_new).map(key).collect::<Vec<_>>(),
            "unserved": tables.iter().flat_map(Table::unserved_names).collect::<Vec<_>>(),
        })
    };
    let all = Kind::ALL.map(|kind| catalog.of(kind).iter().map(|i| plugin(kind, i)).collect::<Vec<_>>());
    let [inputs, filters, outputs] = all;
    json!({ "inputs": inputs, "filters": filters, "outputs": outputs }).to_string() + "\n"
}

/// The release of Fluent Bit whose behaviour is matched.
pub const COMPATIBLE: &str = "5.1.1";

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    crate::config! {
        /// For the tests.
        pub struct GrepConf {
            /// Keep records whose FIELD
            /// matches | PATTERN.
            regex: crate::conf::Many<String> => "Regex",
            /// How rules combine.
            op: String => "Logical_Op" = "legacy",
            path: String => "Path" required,
        }
        unserved ["Speed=fast"]
    }

    static GREP: PluginInfo = PluginInfo {
        name: "grep",
        doc: "Keeps or drops records.",
        keys: GrepConf::KEYS,
        unserved: GrepConf::UNSERVED,
        extra: &[common::TlsClient::TABLE],
    };

    pub(in crate::cli) fn catalog() -> Catalog {
        let conf = GrepConf::load(&crate::conf::Section::of("F", &[("path", "x")]), &mut crate::error::Diags::new());
        assert!(conf.is_some_and(|c| c.regex.is_empty() && c.op == "legacy" && c.path == "x"));
        assert_eq!(GrepConf::TABLE.keys, GREP.keys);
        Catalog { filters: vec![&GREP], ..Catalog::default() }
    }

    #[test]
    fn general_help_lists_flags_and_plugins() {
        let text = general(&catalog());
        for part in
            ["  -c, --config FILE            read this", "      --docs ", "Filters\n  grep    ", "--supervisor "]
        {
            assert!(text.contains(part), "{part:?} not in {text}");
        }
    }

    #[test]
    fn plugin_help_lists_own_and_shared_keys() {
        let text = plugin(Kind::Filter, &GREP);
        for part in [
            "grep filter plugin: Keeps or drops records.\n\nProperties\n",
            "  Regex                        Keep records whose FIELD matches | PATTERN.\n",
            "> text, may be repeated\n",
            "> text, default legacy\n",
            "> text, required\n",
            "Shared properties\n  tls ",
            "Properties of every filter\n  Match ",
            "Known but not served yet\n  Speed, tls.",
        ] {
            assert!(text.contains(part), "{part:?} not in {text}");
        }
    }

    #[test]
    fn json_help_is_json() {
        let value: Value = serde_json::from_str(&as_json(&catalog())).unwrap();
        let regex = &value["filters"][0]["properties"][0];
        assert_eq!((regex["name"].as_str(), regex["multiple"].as_bool()), (Some("Regex"), Some(true)));
        assert_eq!(value["filters"][0]["unserved"][0], "Speed");
    }

    #[test]
    fn help_for_a_plugin_that_is_not_there() {
        let help = |name: &str| text(&Action::PluginHelp(Kind::Filter, name.into()), &catalog()).unwrap();
        assert!(help("GREP").unwrap().starts_with("grep filter plugin"));
        assert_eq!(help("gerp").unwrap_err(), "no filter plugin is called 'gerp'. Did you mean 'grep'?");
        assert_eq!(help("lua").unwrap_err(), "filter plugin 'lua' is known but not served yet");
        assert_eq!(help("xyzzy").unwrap_err(), "no filter plugin is called 'xyzzy'; there are: grep");
        assert!(text(&Action::Run, &catalog()).is_none() && text(&Action::DryRun, &catalog()).is_none());
    }
}
