//! Rules of the project as ordinary tests: layers, no panics, small files, documents that are not stale.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A module may name those of its own row and of the rows above. `error` and `log` are everybody's.
const LAYERS: &[&[&str]] = &[
    &["util", "time"],
    // Bytes are written from records: `fmt` sees `event`, `event` sees the numbers and strings of `fmt`.
    &["fmt", "event", "conf"],
    &["rt"],
    &["net"],
    &["parse"],
    &["decode", "kube"],
    &["plugin"],
    &["input", "filter", "output"],
    &["store"],
    &["engine"],
    &["cli", "fuzz"],
];

/// Files that may be longer than 500 lines, and why.
const LONG: &[(&str, &str)] = &[("src/parse/cut/run.rs", "one loop: the matcher")];

const LIMIT: usize = 500;

/// Documented panics.
const PANICS: &[(&str, &str)] = &[("src/event/key.rs", "a configuration with 50,000 distinct names cannot be served")];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder with one of these endings, as paths from the root.
fn files(dir: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(dir)];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if endings.iter().any(|e| path.extension().is_some_and(|x| x == *e)) {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The modules that are declared behind `#[cfg(test)]`: their files, or their folders.
fn test_modules() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in files("src", &["rs"]) {
        let text = read(&path);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for at in (0..lines.len()).filter(|&at| lines[at] == "#[cfg(test)]" || lines[at].starts_with("#[cfg(all(test"))
        {
            let named = lines[at + 1..].iter().find_map(|l| l.strip_prefix("#[path = \"")?.strip_suffix("\"]"));
            let after = lines[at + 1..].iter().find(|l| !l.starts_with("#["));
            let Some(module) = after.and_then(|l| l.strip_suffix(';')?.rsplit_once("mod ").map(|(_, name)| name))
            else {
                continue;
            };
            let stem = path.file_stem().unwrap();
            let is_root = ["mod", "lib", "main"].iter().any(|s| stem == *s);
            let dir = if is_root { path.parent().unwrap().to_owned() } else { path.with_extension("") };
            found.push(dir.join(module));
            found.push(dir.join(module).with_extension("rs"));
            found.extend(named.map(|name| path.parent().unwrap().join(name)));
        }
    }
    found
}

/// The lines of a source file that are neither comments nor part of its tests, numbered from 1.
fn code(text: &str) -> Vec<(usize, &str)> {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|w| w[0] == "#[cfg(test)]" && w[1].contains("mod ") && w[1].ends_with('{'));
    let end = tests.unwrap_or(lines.len());
    let all = lines[..end].iter().enumerate().map(|(i, l)| (i + 1, *l));
    all.filter(|(_, l)| !l.trim_start().starts_with("//")).collect()
}

/// The program's source files without its tests.
fn sources() -> Vec<(PathBuf, String)> {
    let tests = test_modules();
    let is_test = |path: &Path| tests.iter().any(|t| path.starts_with(t));
    let paths = files("src", &["rs"]).into_iter().filter(|p| !is_test(p));
    let found: Vec<_> = paths.map(|p| (p.clone(), read(&p))).collect();
    assert!(found.len() > 50, "the sources were not found");
    found
}

#[track_caller]
fn none(found: Vec<String>, rule: &str) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

/// The names that follow `crate::` in a line, those of a group included.
fn named(line: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for rest in line.split("crate::").skip(1) {
        let words = match rest.strip_prefix('{') {
            Some(group) => group.split(',').collect(),
            None => vec![rest],
        };
        for word in words {
            let word = word.trim();
            let end = word.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(word.len());
            names.push(&word[..end]);
        }
    }
    names
}

#[test]
fn modules_name_only_those_to_their_left() {
    let rank = |m: &str| LAYERS.iter().position(|row| row.contains(&m));
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let module = path.iter().nth(1).unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        let Some(own) = rank(&module) else {
            if !["lib", "main", "error", "log"].contains(&module.as_str()) {
                wrong.push(format!("{}: module '{module}' has no layer", path.display()));
            }
            continue;
        };
        for (n, line) in code(&text) {
            for name in named(line) {
                if rank(name).is_some_and(|other| other > own) {
                    wrong.push(format!("{}:{n}: {module} names {name}", path.display()));
                }
            }
        }
    }
    none(wrong, "layers");
}

#[test]
fn the_layer_rule_sees_both_forms() {
    assert_eq!(named("use crate::engine::X;"), ["engine"]);
    assert_eq!(named("use crate::{filter, input, output};"), ["filter", "input", "output"]);
    assert_eq!(named("fn f(a: crate::fmt::A, b: crate::rt::B)"), ["fmt", "rt"]);
}

#[test]
fn nothing_outside_tests_panics() {
    let words = [".unwrap()", ".expect(\"", "panic!(", "todo!(", "unimplemented!(", "dbg!("];
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (n, line) in code(&text) {
            let allowed = PANICS.iter().any(|(file, _)| path == Path::new(file));
            if !allowed && words.iter().any(|w| line.contains(w)) {
                wrong.push(format!("{}:{n}: {}", path.display(), line.trim()));
            }
        }
    }
    none(wrong, "a failure must be a value, not a panic");
}

#[test]
fn only_rt_knows_the_executor() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if path.starts_with("src/rt") {
            continue;
        }
        for (n, line) in code(&text) {
            if ["smol::", "async_io", "async_executor", "polling::", "futures_lite", "thread::sleep"]
                .iter()
                .any(|w| line.contains(w))
            {
                wrong.push(format!("{}:{n}: {}", path.display(), line.trim()));
            }
        }
    }
    none(wrong, "rt alone knows the executor");
}

#[test]
fn files_hold_one_idea_each() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let (name, lines) = (path.to_str().unwrap(), text.lines().count());
        let allowed = LONG.iter().any(|(long, _)| *long == name);
        if lines > LIMIT && !allowed {
            wrong.push(format!("{name}: {lines} lines"));
        }
    }
    none(wrong, "past 500 lines a file likely holds two ideas");
}

#[test]
fn the_first_line_of_a_file_says_its_idea() {
    let mut wrong = Vec::new();
    for path in
        [files("src", &["rs"]), files("tests", &["rs"]), files("bench", &["rs"]), files("fuzz", &["rs"])].concat()
    {
        if !path.starts_with("fuzz/target") && !read(&path).starts_with("//! ") {
            wrong.push(path.display().to_string());
        }
    }
    none(wrong, "the first line of a file is `//! …`");
}

#[test]
fn every_plugin_and_key_is_documented() {
    let text = collector::cli::docs::markdown(&collector::cli::catalog());
    let empty = text.lines().filter(|l| l.starts_with('|') && l.trim_end().ends_with("|  |")).map(str::to_owned);
    none(empty.collect(), "keys without a doc comment");
}

/// `docs/plugins.md` is printed by the program. BLESS=1 writes it.
#[test]
#[cfg(feature = "default")]
fn the_list_of_plugins_is_fresh() {
    let (path, now) = (Path::new("docs/plugins.md"), collector::cli::docs::markdown(&collector::cli::catalog()));
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(root().join("docs")).unwrap();
        fs::write(root().join(path), &now).unwrap();
    }
    assert!(read(path) == now, "docs/plugins.md is stale: write it with `collector --docs > docs/plugins.md`");
}

#[test]
fn no_machine_s_paths_nor_registries_are_named() {
    // Put together here, so that this file does not hold them.
    let words = [
        ["/wor", "k/"],
        ["crates", ".io"],
        ["pypi", ".org"],
        ["maven", ".org"],
        ["maven.apache", ".org/"],
        ["debian", ".org"],
        ["npmjs", ".com"],
        ["golang", ".org"],
    ]
    .map(|w| w.concat());
    let kinds = ["rs", "toml", "md", "sh", "conf", "py", "xml", "yaml", "yml", "txt"];
    let mut wrong = Vec::new();
    for dir in ["src", "tests", "bench", "benches", "scripts", "docs", "fuzz", "conf", "cross", ".ci"] {
        for path in files(dir, &kinds).into_iter().filter(|p| !p.starts_with("fuzz/target")) {
            wrong.extend(mentions(&path, &words));
        }
    }
    for name in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "Makefile", "Cargo.toml", "deny.toml", "clippy.toml"] {
        wrong.extend(mentions(Path::new(name), &words));
    }
    none(wrong, "what belongs to one machine or to a registry");
}

fn mentions(path: &Path, words: &[String]) -> Vec<String> {
    let text = String::from_utf8_lossy(&fs::read(root().join(path)).unwrap_or_default()).into_owned();
    let lines = text.lines().enumerate().filter(|(_, l)| words.iter().any(|w| l.contains(w.as_str())));
    lines.map(|(n, l)| format!("{}:{}: {}", path.display(), n + 1, l.trim())).collect()
}

#[test]
fn doc_comments_are_neither_rare_nor_rank() {
    let (mut docs, mut all) = (0, 0);
    let mut per_file = BTreeMap::new();
    for (path, text) in sources() {
        let doc =
            text.lines().filter(|l| l.trim_start().starts_with("//!") || l.trim_start().starts_with("///")).count();
        docs += doc;
        all += text.lines().count();
        per_file.insert(path, doc);
    }
    let percent = docs * 100 / all;
    assert!((5..=20).contains(&percent), "{percent} % of the lines are doc comments");
    let bare: Vec<_> = per_file.iter().filter(|(_, n)| **n == 0).map(|(p, _)| p.display().to_string()).collect();
    none(bare, "files without any doc comment");
}
