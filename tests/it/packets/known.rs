//! Differences that somebody looked at and explained: tab-separated tables beside the tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Where and what: `dns/a.pcap`, `dns`, `missing`.
pub type What = [String; 3];

/// A table of explained differences: capture, subject, kind, count, reason. `BLESS=1` writes counts; a new line gets the
/// reason `?`, which fails until somebody writes a better one.
pub struct Known {
    path: PathBuf,
    head: String,
    lines: BTreeMap<What, (usize, String)>,
}

impl Known {
    /// Reads a table.
    pub fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/packets").join(name);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let mut lines = BTreeMap::new();
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            let fields: Vec<&str> = line.splitn(5, '\t').collect();
            let [capture, subject, kind, count, reason] = fields[..] else { panic!("{name}: {line}") };
            let what = [capture, subject, kind].map(str::to_owned);
            let old = lines.insert(what, (count.parse().unwrap(), reason.to_owned()));
            assert!(old.is_none(), "{name}: twice: {line}");
        }
        let head = text.lines().filter(|l| l.starts_with('#')).map(|l| format!("{l}\n")).collect();
        Self { path, head, lines }
    }

    /// Compares what was found with what is explained. `looked_at` says which lines were in the scope of this run.
    /// Returns what is wrong.
    pub fn check(&mut self, found: &BTreeMap<What, usize>, looked_at: impl Fn(&What) -> bool) -> Vec<String> {
        if std::env::var_os("BLESS").is_some() {
            self.bless(found, &looked_at);
        }
        let mut wrong = Vec::new();
        for (what, n) in found {
            match self.lines.get(what) {
                None => wrong.push(format!("{}: {n} differences are not explained", what.join("\t"))),
                Some((known, _)) if known != n => {
                    wrong.push(format!("{}: {n} differences, {known} are explained", what.join("\t")));
                }
                Some((_, reason)) if reason.len() < 5 => {
                    wrong.push(format!("{}: the reason is missing", what.join("\t")));
                }
                Some(_) => {}
            }
        }
        let gone = self.lines.keys().filter(|what| looked_at(what) && !found.contains_key(*what));
        wrong.extend(gone.map(|what| format!("{}: occurs no more, take it out of the table", what.join("\t"))));
        wrong
    }

    fn bless(&mut self, found: &BTreeMap<What, usize>, looked_at: impl Fn(&What) -> bool) {
        self.lines.retain(|what, _| !looked_at(what) || found.contains_key(what));
        for (what, n) in found {
            self.lines.entry(what.clone()).or_insert_with(|| (0, "?".to_owned())).0 = *n;
        }
        let mut text = self.head.clone();
        for (what, (n, reason)) in &self.lines {
            text += &format!("{}\t{n}\t{reason}\n", what.join("\t"));
        }
        fs::write(&self.path, text).unwrap();
    }
}
