//! `${NAME}` and `${NAME:-default}` in values: `@SET` and `[ENV]` first, then HOSTNAME, then the process environment.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;

use super::section::Document;
use crate::error::{Diags, Place};

/// A file named by a variable may be as long as this.
const MAX_FILE: u64 = 1 << 20;

/// What variables stand for.
#[derive(Debug, Clone, Default)]
pub struct Env {
    set: HashMap<String, String>,
    /// Whether the host name and the environment of the process are asked too.
    process: bool,
}

impl Env {
    /// The environment of this process.
    pub fn of_process() -> Self {
        Self { set: HashMap::new(), process: true }
    }

    /// Only these variables: the same result on every machine.
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        Self { set: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(), process: false }
    }

    /// Sets a variable. A value `file:///path` stands for the content of that file less one newline at its end.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let value = match value.strip_prefix("file://") {
            Some(path) if path.starts_with('/') => content(path)?,
            _ => value.to_owned(),
        };
        self.set.insert(name.to_owned(), value);
        Ok(())
    }

    /// The value of a variable; an empty one counts as unset. Names are case-sensitive.
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        if let Some(value) = self.set.get(name).filter(|v| !v.is_empty()) {
            return Some(value.into());
        }
        if !self.process || name.is_empty() || name.contains(['=', '\0']) {
            return None;
        }
        let value = std::env::var_os(name).map(|v| v.to_string_lossy().into_owned()).filter(|v| !v.is_empty());
        value.or_else(|| (name == "HOSTNAME").then(host_name)).map(Cow::Owned)
    }

    /// Replaces the variables of a text. One that is not set becomes empty, with a warning.
    pub fn expand<'t>(&self, text: &'t str, place: &Place, diags: &mut Diags) -> Cow<'t, str> {
        if !text.contains("${") {
            return text.into();
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((inside, tail)) = after.split_once('}') else { break };
            out.push_str(before);
            rest = tail;
            let (name, default) = match inside.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inside, None),
            };
            match (self.get(name), default) {
                (Some(value), _) => out.push_str(&value),
                (None, Some(default)) => out.push_str(default),
                (None, None) => diags.warn_help(
                    place,
                    format!("[env] variable ${{{name}}} is used but not set"),
                    format!("Set it, or give a default: ${{{name}:-value}}"),
                ),
            }
        }
        out.push_str(rest);
        out.into()
    }

    /// Takes the variables that a document sets, then expands all of its values in place.
    pub fn apply(&mut self, doc: &mut Document, diags: &mut Diags) {
        let mut sets: Vec<(&str, &str, &Place)> = doc.sets.iter().map(|(n, v, p)| (&**n, &**v, p)).collect();
        for entry in doc.sections.iter().filter(|s| s.is("env")).flat_map(|s| &s.entries) {
            sets.push((&entry.key, &entry.value, &entry.place));
        }
        for (name, value, place) in sets {
            if let Err(why) = self.set(name, value) {
                diags.error(place, format!("variable {name}: {why}"));
            }
        }
        self.expand_all(doc, diags);
    }

    /// Expands all values of a document in place. A value that becomes empty counts as absent from then on.
    pub fn expand_all(&self, doc: &mut Document, diags: &mut Diags) {
        for section in doc.sections.iter_mut().filter(|s| !s.is("env")) {
            for entry in &mut section.entries {
                if let Cow::Owned(value) = self.expand(&entry.value, &entry.value_place, diags) {
                    entry.value = value;
                }
            }
        }
    }
}

/// The name the system gives itself.
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn content(path: &str) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|e| format!("cannot read '{path}': {e}"))?;
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(|e| format!("cannot read '{path}': {e}"))?;
    if text.len() as u64 > MAX_FILE {
        return Err(format!("'{path}' is longer than {} KiB", MAX_FILE >> 10));
    }
    if text.ends_with('\n') {
        text.pop();
    }
    if text.is_empty() { Err(format!("'{path}' is empty")) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::ini;

    fn check(text: &str, expected: &str, warnings: usize) {
        let env = Env::of(&[("A", "1"), ("long_name", "x y"), ("EMPTY", "")]);
        let mut diags = Diags::new();
        assert_eq!(env.expand(text, &Place::command_line(), &mut diags), expected, "{text}");
        assert_eq!(diags.sorted().len(), warnings, "{text}: {diags}");
        assert!(!diags.has_errors());
    }

    #[test]
    fn expansion() {
        check("plain $A {A} $", "plain $A {A} $", 0);
        check("${A}", "1", 0);
        check("<${A}-${long_name}>", "<1-x y>", 0);
        check("${a}", "", 1);
        check("${EMPTY}", "", 1);
        check("${EMPTY:-d}${NO:-}${A:-z}", "d1", 0);
        check("${NO:-a:-b}", "a:-b", 0);
        check("${NO:-${A}}", "${A}", 0);
        check("open ${A", "open ${A", 0);
        check("${A} ${open", "1 ${open", 0);
        check("${}", "", 1);
        check("$${A}}", "$1}", 0);
    }

    #[test]
    fn the_warning_names_variable_and_place() {
        let mut diags = Diags::new();
        let mut doc = ini::parse("c.conf", b"[INPUT]\n  Tag  x${NOPE}\n", &mut diags);
        Env::of(&[]).apply(&mut doc, &mut diags);
        let said = diags.to_string();
        assert!(said.starts_with("c.conf:2:8: warning: [env] variable ${NOPE} is used but not set\n"), "{said}");
        assert_eq!(doc.sections[0].value("tag"), Some("x"));
    }

    #[test]
    fn set_and_env_sections_come_first_wherever_they_stand() {
        let mut diags = Diags::new();
        let text = b"[INPUT]\n  Tag ${T}.${PATH}\n  Alias ${NO:-}\n@SET T=a=b\n[ENV]\n  PATH here\n";
        let mut doc = ini::parse("c.conf", text, &mut diags);
        let mut env = Env::of_process();
        env.apply(&mut doc, &mut diags);
        assert_eq!(doc.sections[0].value("tag"), Some("a=b.here"));
        assert_eq!(doc.sections[0].value("alias"), None, "an empty value counts as absent");
        assert_eq!(diags.to_string(), "");
    }

    #[test]
    fn the_process_is_asked_last() {
        let env = Env::of_process();
        assert!(env.get("PATH").is_some(), "tests run with a PATH");
        assert!(env.get("HOSTNAME").is_some_and(|h| !h.is_empty()));
        assert_eq!(env.get("NO_SUCH_VARIABLE_ANYWHERE"), None);
        assert_eq!(env.get("A=B"), None);
    }

    #[test]
    fn file_values() {
        let dir = std::env::temp_dir().join(format!("collector-env-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (good, empty) = (dir.join("good"), dir.join("empty"));
        std::fs::write(&good, "secret\n\n").unwrap();
        std::fs::write(&empty, "\n").unwrap();
        let mut env = Env::of(&[]);
        env.set("G", &format!("file://{}", good.display())).unwrap();
        assert_eq!(env.get("G").as_deref(), Some("secret\n"));
        for path in [&empty, &dir.join("missing")] {
            assert!(env.set("E", &format!("file://{}", path.display())).is_err());
        }
        env.set("R", "file://relative").unwrap();
        assert_eq!(env.get("R").as_deref(), Some("file://relative"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
