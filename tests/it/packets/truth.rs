//! What an independent decoder says of a capture: its tables, read from `truth/pcap/<category>/<file>.tsv`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A capture and the truth about it.
pub struct Capture {
    /// `dns/arkime-dns-mx.pcap`.
    pub name: String,
    pub path: PathBuf,
    pub truth: Truth,
    /// What Packetbeat makes of it, where somebody asked it.
    pub golden: Option<PathBuf>,
}

/// The tables of one capture.
#[derive(Default)]
pub struct Truth {
    meta: BTreeMap<String, String>,
    tables: BTreeMap<String, Table>,
    /// Rows before a table was cut.
    counts: BTreeMap<String, usize>,
}

/// Rows of one kind.
#[derive(Default)]
pub struct Table {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// One row; a field is asked for by its name.
pub struct Row<'a> {
    table: &'a Table,
    fields: &'a [String],
}

impl<'a> Row<'a> {
    /// The text of a field; empty where it is absent.
    pub fn text(&self, name: &str) -> &'a str {
        let at = self.table.names.iter().position(|n| n == name);
        at.and_then(|at| self.fields.get(at)).map_or("", String::as_str)
    }

    /// The values of a field that stands in the frame more than once.
    pub fn values(&self, name: &str) -> Vec<String> {
        split(self.text(name))
    }

    /// The number of a field, decimal or with `0x`.
    pub fn number(&self, name: &str) -> Option<u64> {
        number(self.values(name).first()?)
    }

    /// The frame, counted from 1.
    pub fn frame(&self) -> usize {
        self.text("frame").parse().unwrap()
    }
}

/// A number as the tables write it.
pub fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Cuts at `|`, which stands as `\|` inside a value.
fn split(text: &str) -> Vec<String> {
    let mut values = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '|' => values.push(String::new()),
            '\\' => values.last_mut().unwrap().push(chars.next().unwrap_or('\\')),
            c => values.last_mut().unwrap().push(c),
        }
    }
    if text.is_empty() { Vec::new() } else { values }
}

impl Truth {
    fn parse(text: &str) -> Self {
        let mut truth = Self::default();
        for line in text.lines() {
            let fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
            match fields[0].as_str() {
                "meta" => _ = truth.meta.insert(fields[1].clone(), fields[2..].join("\t")),
                "count" => _ = truth.counts.insert(fields[1].clone(), fields[2].parse().unwrap()),
                name if name.starts_with('#') => {
                    truth.tables.entry(name[1..].to_owned()).or_default().names = fields[1..].to_vec();
                }
                name => truth.tables.entry(name.to_owned()).or_default().rows.push(fields[1..].to_vec()),
            }
        }
        truth
    }

    /// A number of the capture's summary.
    pub fn meta(&self, key: &str) -> Option<u64> {
        self.meta.get(key)?.parse().ok()
    }

    /// The rows of a table.
    pub fn rows(&self, name: &str) -> impl Iterator<Item = Row<'_>> {
        let table = self.tables.get(name);
        table.into_iter().flat_map(|table| table.rows.iter().map(move |fields| Row { table, fields }))
    }

    /// The frames that a table speaks of.
    pub fn frames(&self, name: &str) -> BTreeSet<usize> {
        self.rows(name).map(|r| r.frame()).collect()
    }

    /// Whether not all rows of a table are there.
    pub fn is_cut(&self, name: &str) -> bool {
        let rows = self.tables.get(name).map_or(0, |t| t.rows.len());
        self.counts.get(name).is_some_and(|n| *n > rows)
    }
}

/// All captures with their truth, in the order of their names.
pub fn captures(data: &Path) -> Vec<Capture> {
    let mut found = Vec::new();
    let sub = |dir: &Path| {
        let mut all: Vec<PathBuf> = fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect();
        all.sort();
        all
    };
    for dir in sub(&data.join("pcap")) {
        for path in sub(&dir) {
            let name = path.strip_prefix(data.join("pcap")).unwrap().to_str().unwrap().to_owned();
            let beside = |ending: &str| data.join("truth/pcap").join(format!("{name}{ending}"));
            let Ok(text) = fs::read(beside(".tsv")) else { continue };
            let truth = Truth::parse(&String::from_utf8_lossy(&text));
            let golden = Some(beside(".packetbeat.ndjson")).filter(|p| p.exists());
            found.push(Capture { name, path, truth, golden });
        }
    }
    found
}

#[test]
fn tables_are_read() {
    let text = "meta\tpackets\t3\ncount\tdns\t2\n#dns\tframe\tstream\tdns.id\tname\ndns\t1\tudp/0\t0x0b8d\ta\\|b|c\n";
    let truth = Truth::parse(text);
    assert_eq!(truth.meta("packets"), Some(3));
    assert!(truth.is_cut("dns"));
    let row = truth.rows("dns").next().unwrap();
    assert_eq!((row.frame(), row.number("dns.id")), (1, Some(0x0b8d)));
    assert_eq!(row.values("name"), ["a|b", "c"]);
    assert_eq!(row.text("nothing"), "");
    assert_eq!(truth.rows("http").count(), 0);
}
