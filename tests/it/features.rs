//! Cargo features: the names in the sources exist, docs/features.md lists them, builds without a part say so.

use crate::lab::{Lab, skip};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Parts that features share, of no use alone.
const SHARED: [&str; 3] = ["codecs", "http-client", "web"];

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The features of Cargo.toml, with the comment before each.
fn features() -> BTreeMap<String, String> {
    let text = read("Cargo.toml");
    let section = text.split("[features]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let (mut all, mut comment) = (BTreeMap::new(), String::new());
    for line in section.lines() {
        if let Some(words) = line.strip_prefix('#') {
            comment.push_str(words);
        } else if let Some((name, _)) = line.split_once(" = [") {
            all.insert(name.to_owned(), comment.clone());
            if !SHARED.contains(&name) {
                comment.clear();
            }
        }
    }
    assert!(all.len() > 20, "{all:?}");
    all
}

/// The rows of docs/features.md.
fn rows() -> BTreeMap<String, String> {
    let text = read("docs/features.md");
    let rows = text.lines().filter_map(|l| l.strip_prefix("| `")?.split_once("` | "));
    rows.map(|(name, adds)| (name.to_owned(), adds.to_owned())).collect()
}

/// The names in `feature = "…"`, but for those of the processor.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.match_indices("feature = \"").filter(|(at, _)| !text[..*at].ends_with("target_"));
    starts.filter_map(|(at, words)| text[at + words.len()..].split('"').next())
}

fn sources(dir: &str) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(dir)]);
    while let Some(dir) = open.pop() {
        for path in fs::read_dir(dir).unwrap().flatten().map(|e| e.path()) {
            match path.extension() {
                _ if path.is_dir() => open.push(path),
                Some(x) if x == "rs" => found.push(path),
                _ => {}
            }
        }
    }
    found
}

#[test]
fn every_feature_that_is_named_exists_and_is_explained() {
    let (features, rows) = (features(), rows());
    for path in [sources("src"), sources("tests/it"), sources("benches")].concat() {
        let text = fs::read_to_string(&path).unwrap();
        let attributes = text.lines().filter(|l| !l.trim_start().starts_with("//") && !l.contains("\\\""));
        for name in attributes.flat_map(|l| named(l).collect::<Vec<_>>()) {
            assert!(features.contains_key(name), "{}: there is no feature '{name}' in Cargo.toml", path.display());
        }
    }
    for (name, comment) in features.iter().filter(|(name, _)| *name != "default") {
        assert!(!comment.trim().is_empty(), "{name} has no comment in Cargo.toml");
        assert!(rows.contains_key(name) || SHARED.contains(&&name[..]), "docs/features.md does not list {name}");
    }
    for name in rows.keys() {
        assert!(features.contains_key(name), "docs/features.md lists {name}, which Cargo.toml does not have");
    }
}

/// A line of a table of plugins that has a feature is named in that feature's row, and one without among what is always
/// there.
#[test]
fn every_plugin_is_listed_with_its_feature() {
    let (rows, text) = (rows(), read("docs/features.md"));
    let always = text.split("Always there:").nth(1).unwrap().split("\n\n").next().unwrap();
    for kind in ["input", "filter", "output"] {
        let text = read(format!("src/{kind}/mod.rs"));
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let mut count = 0;
        for (n, line) in lines.iter().enumerate() {
            let Some((module, item)) = line.strip_prefix('&').and_then(|l| l.strip_suffix(',')?.split_once("::"))
            else {
                continue;
            };
            count += 1;
            let name = if item == "PLUGIN" { module.to_owned() } else { item.to_lowercase() };
            let feature = named(lines[n - 1]).next();
            let listed = feature.map_or(always, |f| rows[f].as_str());
            assert!(listed.contains(&format!("`{name}`")), "docs/features.md: {kind} {name} is not with {feature:?}");
        }
        assert!(count >= 10, "{kind}: {count} plugins");
    }
}

/// A build that lacks a plugin refuses it by its feature's name; a whole build takes it.
#[test]
fn what_was_left_out_is_refused_by_the_name_of_its_feature() {
    let lab = Lab::new("features-left-out");
    for (kind, name, on, feature) in [
        ("INPUT", "beats", cfg!(feature = "beats"), "beats"),
        ("FILTER", "Throttle", cfg!(feature = "filters"), "filters"),
        ("OUTPUT", "opensearch", cfg!(feature = "es"), "es"),
    ] {
        lab.write("c.conf", format!("[INPUT]\n    Name stdin\n[{kind}]\n    Name {name}\n[OUTPUT]\n    Name null\n"));
        let done = lab.exec(&["-c", "c.conf", "--dry-run"]);
        match on {
            true => _ = done.code(0),
            false => {
                let what = format!("{} plugin '{name}' is not in this build", kind.to_lowercase());
                done.code(1).says(&["c.conf:4:10: ", &what, &format!("--features {feature}")]);
            }
        }
    }
    if cfg!(not(feature = "packets")) {
        let conf = "[INPUT]\n    Name pcap\n    File x.pcap\n    Protocols tls\n[OUTPUT]\n    Name null\n";
        lab.run(conf).code(1).says(&["'tls' is not in this build", "--features packets"]);
    }
    if cfg!(not(feature = "monitor")) {
        let conf = "[SERVICE]\n    HTTP_Server on\n[INPUT]\n    Name stdin\n[OUTPUT]\n    Name null\n";
        lab.run(conf).code(1).says(&["collector.conf:2:17: ", "HTTP_Server", "feature `monitor`"]);
    }
}

/// The modules and tests that this build leaves out.
#[test]
fn what_is_skipped_is_said() {
    let mut modules = 0;
    for path in sources("tests/it") {
        let text = fs::read_to_string(&path).unwrap();
        for (at, start) in text.match_indices("\n#[cfg(") {
            let Some((condition, rest)) = text[at + start.len()..].split_once(")]\n") else { continue };
            let Some(item) = rest.lines().find(|l| !l.starts_with("#[")) else { continue };
            let mut missing: Vec<&str> = named(condition).collect();
            missing.retain(|f| !collector::cli::version::FEATURES.split(' ').any(|on| on == *f));
            let is_test = text[..at].ends_with("\n#[test]") || rest.starts_with("#[test]");
            let Some(item) = item.split_once("mod ").or(item.split_once("fn ").filter(|_| is_test)) else { continue };
            modules += usize::from(path.ends_with("it/main.rs"));
            if !missing.is_empty() && !condition.starts_with("not(") {
                let place = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it")).unwrap();
                let (place, item) = (place.display(), item.1.trim_end_matches([';', '(', ')', ' ', '{']));
                let word = if missing.len() == 1 { "feature" } else { "features" };
                skip(&format!("{item} of {place} needs the {word} {}", missing.join(", ")));
            }
        }
    }
    assert!(modules > 30, "{modules}");
}
