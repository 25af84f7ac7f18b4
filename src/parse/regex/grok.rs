//! The grok pattern library as a test of the dialect: patterns of thousands of bytes full of look-around and atomic
//! groups, with what they must find in sample lines.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use super::*;

/// The library of one flavour (`legacy` or `ecs-v1`): name to pattern.
fn library(folder: &Path, flavour: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if file.file_name().to_string_lossy().starts_with(&format!("grok-{flavour}-")) {
            let text = std::fs::read_to_string(file.path()).unwrap_or_default();
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                if let Some((name, pattern)) = line.split_once(char::is_whitespace) {
                    found.insert(name.to_owned(), pattern.trim_start().to_owned());
                }
            }
        }
    }
    found
}

/// Replaces `%{NAME}` and `%{NAME:field:type}`.
fn expand(pattern: &str, library: &HashMap<String, String>, depth: usize) -> Option<String> {
    let (mut out, mut rest) = (String::new(), pattern);
    while let Some((before, behind)) = rest.split_once("%{") {
        let (reference, after) = behind.split_once('}')?;
        let mut parts = reference.splitn(3, ':');
        let inner = expand(library.get(parts.next()?)?, library, depth.checked_sub(1)?)?;
        let open = parts.next().map_or("(?:".to_owned(), |field| format!("(?<{field}>"));
        out.push_str(&format!("{before}{open}{inner})"));
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

/// Makes `[a][b]` of nested objects.
fn flatten(prefix: &str, value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let nested = if prefix.is_empty() { key.clone() } else { format!("{prefix}[{key}]") };
                let nested = if prefix.is_empty() && value.is_object() { format!("[{key}]") } else { nested };
                flatten(&nested, value, out);
            }
        }
        // Nested expectations are not in the list of cases.
        Value::String(text) if text.starts_with("#<Matcher") => {}
        Value::String(text) => out.push((prefix.to_owned(), text.clone())),
        Value::Number(number) => out.push((prefix.to_owned(), number.to_string())),
        _ => {}
    }
}

fn same(found: &str, expected: &str) -> bool {
    found == expected || matches!((found.parse::<f64>(), expected.parse::<f64>()), (Ok(a), Ok(b)) if a == b)
}

#[test]
fn library_finds_what_it_should() {
    let logs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/logs");
    let Ok(cases) = std::fs::read_to_string(logs.join("grok/logstash-patterns-core-expectations.jsonl")) else {
        println!("skipped: no grok library at {}", logs.display());
        return;
    };
    let libraries: HashMap<_, _> =
        ["legacy", "ecs-v1"].map(|flavour| (flavour, library(&logs.join("grok_patterns"), flavour))).into();
    let (mut checked, mut wrong, mut compiled) = (0, Vec::new(), HashMap::new());
    for case in cases.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let text = |key: &str| case[key].as_str().unwrap_or_default();
        let flavour = if text("mode") == "ecs-v1" { "ecs-v1" } else { "legacy" };
        let Some(pattern) = expand(&format!("%{{{}}}", text("pattern")), &libraries[flavour], 20) else { continue };
        // Grok lets the dot match newlines.
        let pattern = if case["exact"] == true { format!(r"(?m)\A{pattern}\z") } else { format!("(?m){pattern}") };
        let regex: &Regex = compiled
            .entry(pattern.clone())
            .or_insert_with(|| Regex::new(&pattern).unwrap_or_else(|e| panic!("{}: {e}\n{pattern}", text("pattern"))));
        assert_eq!(regex.engine(), "cut", "{pattern}");
        let (message, mut slots) = (text("message"), Slots::default());
        let hit = regex.captures(message.as_bytes(), &mut slots);
        let span = |name: &str| {
            let at = regex.names().iter().position(|known| known == name)?;
            regex.named(&slots, at).map(|(start, end)| &message[start..end])
        };
        match (text("matcher"), case["target"].is_null()) {
            ("pass", _) => {
                checked += 1;
                if hit == (case["negated"] == true) {
                    wrong.push(format!("{} {:?}: match {hit}", text("pattern"), message));
                }
            }
            ("include", true) => {
                let mut fields = Vec::new();
                case["expected"].as_array().into_iter().flatten().for_each(|e| flatten("", e, &mut fields));
                for (name, expected) in fields {
                    checked += 1;
                    // That one's name is misspelt in the library.
                    let is_open = name == "message" || name == "[apache][error][proxy][error][code]";
                    if !is_open && !span(&name).is_some_and(|found| same(found, &expected)) {
                        wrong.push(format!("{} {name}: {:?} not {expected:?}", text("pattern"), span(&name)));
                    }
                }
            }
            _ => {}
        }
        engines_agree(regex, message);
    }
    assert!(wrong.is_empty(), "{} of {checked}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked > 700, "{checked}");
}

/// The lowered pattern and the engine it stands in for say the same.
#[track_caller]
fn engines_agree(regex: &Regex, message: &str) {
    let Some(cut) = &regex.cut else { return };
    let (mut own, mut slow) = (Slots::default(), Slots::default());
    own.spans.resize(regex.group_count(), (UNSET, UNSET));
    let found = cut.search(message.as_bytes(), &mut own.spans);
    assert_ne!(found, Found::GaveUp, "{message}");
    // The other one backtracks without end on some: then it says nothing.
    if regex.slow.search(message.as_bytes(), Want::Anywhere, Some(&mut slow)) {
        let all = |slots: &Slots| (0..regex.group_count()).map(|g| slots.get(g)).collect::<Vec<_>>();
        assert_eq!(all(&own), all(&slow), "{message}");
    }
}
