//! `--docs`: docs/plugins.md, made from the tables of plugins, so that it cannot be stale.

use std::fmt::Write;

use super::help::{COMPATIBLE, facts};
use crate::conf::common::{NetIn, NetOut, TlsClient, TlsServer};
use crate::conf::{Catalog, KeyDef, Kind, PluginInfo, Service, StorageConf, Table, common};
use crate::parse::multiline::MultilineConf;
use crate::parse::{ParserConf, ParserSet};

/// The whole document.
pub fn markdown(catalog: &Catalog) -> String {
    let mut out = format!(
        "# Plugins and their properties\n\n\
         Printed by `collector --docs`. Keys may be written in any case. Sizes: `32k`, `1.5M`, `2GB` (of 1000). Times: `30s`, `10m`, `2h`,\n\
         `1d`; a bare number is seconds. *Not served yet* lists what Fluent Bit {COMPATIBLE} knows and this program does not: such a key is\n\
         accepted with a warning, such a plugin is an error that says so.\n\n\
         ## SERVICE\n\n"
    );
    keys(&mut out, Service::KEYS);
    keys(&mut out, StorageConf::KEYS);
    not_served(&mut out, Service::TABLE.unserved_names().chain(StorageConf::TABLE.unserved_names()).collect());
    out.push_str("## PARSER (in a file named by `Parsers_File`)\n\n");
    keys(&mut out, ParserConf::KEYS);
    not_served(&mut out, ParserConf::TABLE.unserved_names().collect());
    let set = ParserSet::default();
    let built_in: Vec<_> = set.names().map(|n| format!("`{n}`")).collect();
    let _ = writeln!(out, "Built in: {}.\n", built_in.join(", "));
    out.push_str("## MULTILINE_PARSER (in the same files)\n\n");
    keys(&mut out, MultilineConf::KEYS);
    let built_in: Vec<_> = set.multiline_names().map(|n| format!("`{n}`")).collect();
    let _ = writeln!(out, "Built in: {}.\n", built_in.join(", "));
    for kind in Kind::ALL {
        let _ = writeln!(out, "## {} plugins\n", title(kind.word()));
        let _ = writeln!(out, "### Properties of every {}\n", kind.word());
        keys(&mut out, common::table(kind).keys);
        not_served(&mut out, common::table(kind).unserved_names().collect());
        for info in catalog.of(kind) {
            plugin(&mut out, info);
        }
        let missing: Vec<_> = catalog.unserved(kind).collect();
        if !missing.is_empty() {
            let _ = writeln!(out, "### {} plugins not served yet\n\n{}\n", title(kind.word()), missing.join(", "));
        }
    }
    out.push_str("## Shared properties\n\n");
    for (name, table) in SHARED {
        let _ = writeln!(out, "### {name}\n");
        keys(&mut out, table.keys);
        not_served(&mut out, table.unserved_names().collect());
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// The shared tables and their headings.
const SHARED: [(&str, Table); 4] = [
    ("Outgoing connections", NetOut::TABLE),
    ("Incoming connections", NetIn::TABLE),
    ("TLS to a server", TlsClient::TABLE),
    ("TLS to clients", TlsServer::TABLE),
];

fn plugin(out: &mut String, info: &PluginInfo) {
    let _ = writeln!(out, "### {}\n\n{}\n", info.name, info.doc);
    keys(out, info.keys);
    let mut named = Vec::new();
    for table in info.extra {
        match SHARED.iter().find(|(_, shared)| shared.keys == table.keys) {
            Some((name, _)) => named.push(format!("[{name}](#{})", name.to_ascii_lowercase().replace(' ', "-"))),
            None => keys(out, table.keys),
        }
    }
    if !named.is_empty() {
        let _ = writeln!(out, "Also: {}.\n", named.join(", "));
    }
    not_served(out, Table { keys: &[], unserved: info.unserved }.unserved_names().collect());
}

fn keys(out: &mut String, keys: &[KeyDef]) {
    if keys.is_empty() {
        return;
    }
    out.push_str("| Key | Value | Meaning |\n|---|---|---|\n");
    for key in keys {
        let _ = writeln!(out, "| `{}` | {} | {} |", key.name, cell(&facts(key)), cell(key.doc.trim()));
    }
    out.push('\n');
}

/// Text inside a table: a bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn not_served(out: &mut String, names: Vec<&str>) {
    if !names.is_empty() {
        let names: Vec<_> = names.iter().map(|n| format!("`{n}`")).collect();
        let _ = writeln!(out, "*Not served yet:* {}\n", names.join(", "));
    }
}

fn title(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_ascii_uppercase() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_holds_every_table() {
        let text = markdown(&super::super::help::tests::catalog());
        for part in [
            "## SERVICE\n\n| Key | Value | Meaning |\n|---|---|---|\n| `Flush` | seconds, default 1 | ",
            "`Parsers_File`)\n\n| Key | Value | Meaning |\n|---|---|---|\n| `Name` | text, required |",
            "Built in: `apache`, ",
            "### grep\n\nKeeps or drops records.\n\n| Key",
            "| `Regex` | text, may be repeated | Keep records whose FIELD matches \\| PATTERN. |\n",
            "Also: [TLS to a server](#tls-to-a-server).\n\n*Not served yet:* `Speed`\n",
            "### Filter plugins not served yet\n\nalter_size, aws, ",
            "### TLS to a server\n\n| Key | Value | Meaning |\n|---|---|---|\n| `tls` |",
        ] {
            assert!(text.contains(part), "{part:?} not in {text}");
        }
        let missing = text.split("### Filter plugins not served yet").nth(1).and_then(|t| t.split("\n##").next());
        assert!(missing.is_some_and(|m| m.contains("modify") && !m.contains("grep")), "{missing:?}");
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"));
    }
}
