//! Real captures beside what independent programs say of them, through the whole path in one process.
//!
//! ```text
//! cargo test --test it packets -- --nocapture              all, with the summary
//! PACKETS=dns cargo test --test it packets …               one subject: dns http tls icmp flow golden
//! PACKETS=http,zeek-methods cargo test --test it packets … a subject in the captures with that in their names
//! BLESS=1 cargo test --test it packets                     writes the counts of differences; reasons are written by hand
//! ```
//!
//! With PACKETS set every differing row is printed, explained or not: `-` what the truth has and we have not, `+` what
//! only we have. `differences.tsv` explains those against tshark's tables, `golden.tsv` those against Packetbeat's documents.

mod changed;
mod dns_records;
mod flows;
mod golden;
mod known;
mod mutate;
mod rows;
mod run;
mod truth;

use crate::lab::samples;
use known::{Known, What};
use rows::SUBJECTS;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use truth::Capture;

/// Protocols whose differences are still being looked at: they count when PACKETS names them, and do not fail a run of all.
const UNDER_WORK: &[&str] = &[];

/// What the environment asks for.
struct Scope {
    subjects: Vec<String>,
    names: Vec<String>,
}

impl Scope {
    fn asked() -> Self {
        let words = std::env::var("PACKETS").unwrap_or_default();
        let words = words.split(',').map(str::trim).filter(|w| !w.is_empty()).map(str::to_owned);
        let all = ["flow", "golden"].into_iter().chain(SUBJECTS.iter().map(|s| s.name)).collect::<Vec<_>>();
        let (subjects, names) = words.partition(|w| all.contains(&w.as_str()));
        Self { subjects, names }
    }

    fn is_all(&self) -> bool {
        self.subjects.is_empty() && self.names.is_empty()
    }

    fn wants(&self, subject: &str) -> bool {
        let asked = self.subjects.iter().any(|s| s == subject);
        asked || (self.subjects.is_empty() && !(self.names.is_empty() && UNDER_WORK.contains(&subject)))
    }

    fn asks_for_golden(&self) -> bool {
        self.subjects.iter().any(|s| s == "golden")
    }

    fn takes(&self, capture: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|n| capture.contains(n.as_str()))
    }
}

/// Counts of one subject over all captures.
#[derive(Default)]
struct Score {
    truth: usize,
    missing: usize,
    more: usize,
}

/// What the comparison of all captures found.
#[derive(Default)]
struct Report {
    scores: BTreeMap<String, Score>,
    differences: BTreeMap<What, usize>,
    golden: BTreeMap<What, usize>,
    details: String,
}

impl Report {
    /// Compares two lists of texts as sets that count.
    fn compare(&mut self, capture: &str, subject: &str, truth: Vec<String>, ours: Vec<String>, whole: bool) {
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        let score = self.scores.entry(subject.to_owned()).or_default();
        score.truth += truth.len();
        truth.into_iter().for_each(|row| *counts.entry(row).or_default() += 1);
        ours.into_iter().for_each(|row| *counts.entry(row).or_default() -= 1);
        let (mut missing, mut more) = (0, 0);
        for (row, n) in counts.iter().filter(|(_, n)| **n != 0) {
            let times = n.unsigned_abs() as usize;
            if *n > 0 {
                missing += times;
                _ = writeln!(self.details, "{capture} {subject} - {times} × {row}");
            } else if whole {
                more += times;
                _ = writeln!(self.details, "{capture} {subject} + {times} × {row}");
            }
        }
        (score.missing, score.more) = (score.missing + missing, score.more + more);
        for (kind, n) in [("missing", missing), ("more", more)] {
            if n > 0 {
                self.differences.insert([capture, subject, kind].map(str::to_owned), n);
            }
        }
    }

    fn capture(&mut self, capture: &Capture, scope: &Scope) {
        let Capture { name, path, truth, golden } = capture;
        let (frames, _) = run::frames(path);
        let run = run::analyze(&frames, &[]);
        assert_eq!(run.stats.packets, frames.len() as u64);
        if scope.wants("flow") {
            let (all, wrong) = flows::compare(truth, &run.docs);
            let score = self.scores.entry("flow".to_owned()).or_default();
            (score.truth, score.missing) = (score.truth + all, score.missing + wrong.len());
            if !wrong.is_empty() {
                self.differences.insert([name, "flow", "missing"].map(str::to_owned), wrong.len());
            }
            wrong.iter().for_each(|line| _ = writeln!(self.details, "{name} flow {line}"));
        }
        for subject in SUBJECTS.iter().filter(|s| served(s.name) && scope.wants(s.name)) {
            let ours = run.of(subject.name).flat_map(subject.ours).collect();
            let whole = !subject.tables.iter().any(|t| truth.is_cut(t));
            self.compare(name, subject.name, (subject.truth)(truth), ours, whole);
        }
        if let Some(path) = golden {
            self.golden(name, golden::read(path, |d| d == "flow" || served(d)), &run.docs, scope);
        }
    }

    fn golden(&mut self, name: &str, mut documents: Vec<Value>, ours: &[Value], scope: &Scope) {
        documents.retain(|d| scope.asks_for_golden() || scope.wants(golden::dataset(d)));
        let (compared, missing) = golden::compare(&documents, ours);
        let score = self.scores.entry("golden".to_owned()).or_default();
        score.truth += documents.len();
        score.missing += missing.len() + compared.iter().filter(|(_, d)| !d.is_empty()).count();
        for document in missing {
            let dataset = document.split(' ').next().unwrap_or("");
            *self.golden.entry([name, dataset, "no such document"].map(str::to_owned)).or_default() += 1;
            _ = writeln!(self.details, "{name} golden - {document}");
        }
        for (document, differences) in compared {
            let dataset = document.split(' ').next().unwrap_or("");
            for d in differences {
                let what = ["*", dataset, &format!("{} {}", d.kind, d.field)].map(str::to_owned);
                *self.golden.entry(what).or_default() += 1;
                _ = writeln!(
                    self.details,
                    "{name} golden {document} {}: {} golden {} ours {}",
                    d.field, d.kind, d.golden, d.ours
                );
            }
        }
    }
}

/// Whether a protocol is decoded yet.
fn served(dataset: &str) -> bool {
    collector::decode::PROTOCOLS.iter().any(|p| p.name == dataset)
}

#[test]
fn captures_say_what_others_read_in_them() {
    let Some(data) = samples("data") else { return };
    let scope = Scope::asked();
    let captures: Vec<Capture> = truth::captures(&data).into_iter().filter(|c| scope.takes(&c.name)).collect();
    let mut report = Report::default();
    captures.iter().for_each(|c| report.capture(c, &scope));
    let mut summary = format!("{} captures\n", captures.len());
    for (subject, Score { truth, missing, more }) in &report.scores {
        let percent = 100.0 * (truth - missing) as f64 / (*truth).max(1) as f64;
        _ = writeln!(summary, "{subject:8} {truth:6} rows, {missing:4} missing, {more:4} more: {percent:.2} %");
    }
    println!("{}{summary}", if scope.is_all() { "" } else { &report.details });
    // Counts of Packetbeat's fields are over all captures: with some left out they say nothing.
    let in_scope =
        |what: &What| scope.takes(&what[0]) && scope.wants(&what[1]) && (what[1] == "flow" || served(&what[1]));
    let mut wrong = Known::read("differences.tsv").check(&report.differences, in_scope);
    if scope.names.is_empty() {
        let in_scope =
            |what: &What| (scope.asks_for_golden() || scope.wants(&what[1])) && (what[1] == "flow" || served(&what[1]));
        wrong.extend(Known::read("golden.tsv").check(&report.golden, in_scope));
    }
    assert!(wrong.is_empty(), "{summary}\n{}\nPACKETS=dns,name-of-a-capture prints the rows", wrong.join("\n"));
    for subject in SUBJECTS.iter().filter(|s| scope.is_all() && served(s.name) && scope.wants(s.name)) {
        let enough = |s: &Score| s.missing * 100 <= s.truth * (100 - subject.least);
        let (name, least) = (subject.name, subject.least);
        assert!(report.scores.get(name).is_some_and(enough), "{summary}\n{name}: less than {least} %");
    }
}
