//! The command line: flags, help, the generated documents.

pub mod args;
pub mod daemon;
pub mod docs;
pub mod flags;
pub mod help;
pub mod run;
#[cfg(feature = "es")]
pub mod setup;
pub mod version;

pub use args::{Action, Args};
pub use run::run;

use crate::conf::Catalog;
use crate::{filter, input, output};

/// What a configuration test prints when nothing is wrong; scripts look for it.
pub const TEST_OK: &str = "configuration test is successful";

/// All plugins of this build.
pub fn catalog() -> Catalog {
    Catalog {
        inputs: input::PLUGINS.iter().map(|p| &p.info).collect(),
        filters: filter::PLUGINS.iter().map(|p| &p.info).collect(),
        outputs: output::PLUGINS.iter().map(|p| &p.info).collect(),
        left_out: [input::LEFT_OUT, filter::LEFT_OUT, output::LEFT_OUT],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::{Kind, Section, Table, check, common};
    use crate::error::Diags;

    /// The tables a plugin's section is checked against.
    fn tables(kind: Kind, info: &crate::conf::PluginInfo) -> Vec<Table> {
        let mut tables = vec![Table { keys: info.keys, unserved: info.unserved }];
        tables.extend_from_slice(info.extra);
        tables.push(common::table(kind));
        tables
    }

    #[test]
    fn one_wrong_letter_in_any_key_of_any_plugin_is_found() {
        let catalog = catalog();
        for (kind, info) in Kind::ALL.into_iter().flat_map(|k| catalog.of(k).iter().map(move |i| (k, *i))) {
            let tables = tables(kind, info);
            let known = |name: &str| {
                let served = tables.iter().flat_map(|t| t.keys).map(|k| k.name);
                let all = served.chain(tables.iter().flat_map(Table::unserved_names)).chain(["name"]);
                all.into_iter().any(|k| crate::conf::section::key_is(k, name))
            };
            for key in info.keys.iter().map(|k| k.name.trim_end_matches('*')) {
                for at in (0..key.len()).filter(|&at| key.is_char_boundary(at) && key.is_char_boundary(at + 1)) {
                    let slip = format!("{}q{}", &key[..at], &key[at + 1..]);
                    if known(&slip) {
                        continue;
                    }
                    let mut diags = Diags::new();
                    let section = Section::of(kind.section(), &[("Name", info.name), (&slip, "1")]);
                    assert!(!check::plugin(kind, &section, info, &mut diags), "{}: {slip}", info.name);
                    assert!(diags.to_string().contains(&format!("unknown configuration property '{slip}'")), "{diags}");
                }
            }
        }
    }

    #[test]
    fn the_tables_are_documented_and_free_of_repeats() {
        let catalog = catalog();
        for (kind, info) in Kind::ALL.into_iter().flat_map(|k| catalog.of(k).iter().map(move |i| (k, *i))) {
            assert!(!info.doc.is_empty(), "{} has no doc", info.name);
            let mut seen: Vec<(String, usize)> = Vec::new();
            for (n, table) in tables(kind, info).iter().enumerate() {
                // A plugin that is a server or a client, as it is told, has the keys of both.
                let is_shared = |n: usize| (1..=info.extra.len()).contains(&n);
                for key in table.keys {
                    assert!(!key.doc.trim().is_empty(), "{}: {} has no doc", info.name, key.name);
                    let name = key.name.to_ascii_lowercase();
                    let repeats =
                        |(other, at): &(String, usize)| *other == name && !(*at != n && is_shared(*at) && is_shared(n));
                    assert!(!seen.iter().any(repeats), "{}: {name} is declared twice", info.name);
                    seen.push((name, n));
                }
            }
        }
    }
}
