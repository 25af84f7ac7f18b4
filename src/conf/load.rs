//! From a path to a checked configuration: the main file, the command line's sections, the parsers' files.

use std::path::{Path, PathBuf};

use super::check;
use super::env::Env;
use super::include::root_of;
use super::ini;
use super::plugin::{Catalog, Kind};
use super::schema::Item;
use super::section::{Document, Section};
use super::service::{self, SECTIONS, Service};
use super::storage::StorageConf;
use crate::error::{Diags, Place};
use crate::util::suggest::nearest;

/// A configuration with its variables expanded, its sections and keys checked and its instances named.
///
/// It may be incomplete when `diags` holds errors: good for finding further ones, not for running.
#[derive(Debug)]
pub struct Loaded {
    /// The settings of the program.
    pub service: Service,
    /// Its keys about buffering.
    pub storage: StorageConf,
    /// All sections of the pipeline in order: those of the command line, then those of the files.
    pub doc: Document,
    /// The `[PARSER]` sections of all parsers' files, labelled `parser:NAME`.
    pub parsers: Vec<Section>,
    /// The folder of the main file; the working directory (empty) without one.
    pub dir: PathBuf,
}

/// Reads a main file, if there is one, together with the sections given on the command line. Settings of the command
/// line win over those of the file.
pub fn load(
    main: Option<&Path>,
    given: Vec<Section>,
    catalog: &Catalog,
    mut env: Env,
    diags: &mut Diags,
) -> Option<Loaded> {
    let dir = main.map(root_of).unwrap_or_default();
    let mut doc = match main {
        Some(path) if is_yaml(path) => {
            yaml(path, &Place { file: path.display().to_string().into(), line: 0, col: 0 }, diags);
            Document::default()
        }
        Some(path) => ini::read(path, diags),
        None => Document::default(),
    };
    override_service(&mut doc, &given);
    doc.sections.splice(0..0, given);
    env.apply(&mut doc, diags);
    check::pipeline(&mut doc, catalog, diags);
    let (service, storage) = service::load(&doc, &env, diags)?;
    dns_defaults(&mut doc, catalog);
    let mut parsers = Vec::new();
    for file in &service.parsers_file.0 {
        parsers.extend(parsers_file(file, &dir, &env, diags));
    }
    Some(Loaded { service, storage, doc, parsers, dir })
}

/// Takes away the settings that the command line gives too. `Parsers_File` adds up.
fn override_service(doc: &mut Document, given: &[Section]) {
    let wins = |key: &str| {
        let key_given = |s: &Section| s.entries.iter().any(|e| e.key.eq_ignore_ascii_case(key));
        !key.eq_ignore_ascii_case("Parsers_File") && given.iter().any(|s| s.is("service") && key_given(s))
    };
    for s in doc.sections.iter_mut().filter(|s| s.is("service")) {
        s.entries.retain(|e| !wins(&e.key));
    }
}

/// Gives outputs the service's `dns.*` where they have no `net.dns.*` of their own.
fn dns_defaults(doc: &mut Document, catalog: &Catalog) {
    const PREFER: [&str; 3] = ["net.dns.prefer_ipv4", "net.dns.prefer_ipv6", "ipv6"];
    let keys = ["dns.mode", "dns.resolver", "dns.prefer_ipv4", "dns.prefer_ipv6"];
    let given = |key: &str| doc.named("service").filter_map(|s| s.value(key)).last().map(str::to_owned);
    let given: Vec<_> = keys.into_iter().filter_map(|key| Some((format!("net.{key}"), given(key)?))).collect();
    for s in doc.sections.iter_mut().filter(|s| s.is("output")) {
        let info = s.value("name").and_then(|name| catalog.find(Kind::Output, name));
        let has = |key: &str| info.is_some_and(|i| i.extra.iter().any(|t| t.keys.iter().any(|k| k.name == key)));
        let own_order = PREFER.iter().any(|key| s.get(key).is_some());
        for (key, value) in given.iter().filter(|(key, _)| has(key)) {
            if s.get(key).is_none() && !(own_order && PREFER.contains(&key.as_str())) {
                s.push(key, value);
            }
        }
    }
}

/// The parsers of one file: the path as it is, else beside the main file.
fn parsers_file(file: &Item<String>, dir: &Path, env: &Env, diags: &mut Diags) -> Vec<Section> {
    let (given, beside) = (PathBuf::from(&file.value), dir.join(&file.value));
    let Some(path) = [&given, &beside].into_iter().find(|p| p.exists()) else {
        let help = format!("Looked for '{}' and '{}'", given.display(), beside.display());
        diags.error_help(&file.place, format!("parsers file '{}' does not exist", file.value), help);
        return Vec::new();
    };
    if is_yaml(path) {
        yaml(path, &file.place, diags);
        return Vec::new();
    }
    let mut doc = ini::read(path, diags);
    env.clone().apply(&mut doc, diags);
    doc.sections.retain_mut(|s| is_parser(s, diags));
    doc.sections
}

/// Labels a section of a parsers' file. One that is none is reported.
fn is_parser(s: &mut Section, diags: &mut Diags) -> bool {
    if s.is("parser") {
        s.label = format!("parser:{}", s.value("name").unwrap_or("?"));
        return true;
    }
    if s.is("multiline_parser") {
        s.label = format!("multiline_parser:{}", s.value("name").unwrap_or("?"));
        return true;
    }
    let name = s.name.to_ascii_uppercase();
    let what = format!("section [{}] in a parsers file", s.name);
    if SECTIONS.contains(&name.as_str()) && !s.is("env") {
        diags.error_help(&s.place, what, "Move it to the main file");
    } else if !s.is("env") {
        let help = match nearest(s.name.trim(), ["PARSER", "MULTILINE_PARSER"]) {
            Some(near) => format!("Did you mean '[{near}]'?"),
            None => "Only [PARSER] and [MULTILINE_PARSER] belong there".to_owned(),
        };
        diags.error_help(&s.place, format!("unknown {what}"), help);
    }
    false
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("yaml") || e.eq_ignore_ascii_case("yml"))
}

fn yaml(path: &Path, place: &Place, diags: &mut Diags) {
    let what = format!("'{}': configurations in YAML are not served yet", path.display());
    diags.error_help(place, what, "Write it in the classic format, for example as fluent-bit.conf");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::PluginInfo;
    use std::fs;
    use std::sync::atomic::{AtomicU32, Ordering};

    static DUMMY: PluginInfo = PluginInfo { name: "dummy", doc: "", keys: &[], unserved: &[], extra: &[] };
    static NULL: PluginInfo = PluginInfo { name: "null", doc: "", keys: &[], unserved: &[], extra: &[] };

    /// Loads `main` among these files; what is said comes with the directory's name cut away.
    fn check(files: &[(&str, &str)], main: Option<&str>, given: Vec<Section>) -> (Option<Loaded>, String) {
        static N: AtomicU32 = AtomicU32::new(0);
        let name = format!("collector-load-{}-{}", std::process::id(), N.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(dir.join("sub")).unwrap();
        for (name, text) in files {
            fs::write(dir.join(name), text).unwrap();
        }
        let catalog = Catalog { inputs: vec![&DUMMY], outputs: vec![&NULL], ..Catalog::default() };
        let mut diags = Diags::new();
        let main = main.map(|m| dir.join(m));
        let loaded = load(main.as_deref(), given, &catalog, Env::of(&[("N", "null")]), &mut diags);
        fs::remove_dir_all(&dir).unwrap();
        (loaded, diags.to_string().replace(&format!("{}/", dir.display()), ""))
    }

    const PIPELINE: &str = "[INPUT]\n  Name dummy\n[OUTPUT]\n  Name ${N}\n";

    #[test]
    fn files_and_command_line_make_one_configuration() {
        let main = format!("[SERVICE]\n  Flush 9\n  Grace 2\n  Parsers_File p.conf\n{PIPELINE}");
        let parsers = "[PARSER]\n  Name a\n  Format ${N}\n[MULTILINE_PARSER]\n  name b\n";
        let given = vec![
            Section::of("SERVICE", &[("Flush", "0.5"), ("Parsers_File", "sub/q.conf")]),
            Section::of("INPUT", &[("Name", "dummy"), ("Tag", "t")]),
        ];
        let files = [("main.conf", main.as_str()), ("p.conf", parsers), ("sub/q.conf", "[PARSER]\n  Name c\n")];
        let (loaded, said) = check(&files, Some("main.conf"), given);
        let loaded = loaded.unwrap();
        assert_eq!(loaded.service.flush.0.as_millis(), 500);
        assert_eq!(loaded.service.grace, 2);
        let labels: Vec<_> = loaded.doc.sections.iter().map(|s| s.label.as_str()).collect();
        assert_eq!(labels, ["", "input:dummy:dummy.0", "", "input:dummy:dummy.1", "output:null:null.0"]);
        assert_eq!(loaded.doc.named(Kind::Input.section()).next().and_then(|s| s.value("tag")), Some("t"));
        let parsers: Vec<_> = loaded.parsers.iter().map(|s| (s.label.as_str(), s.value("format"))).collect();
        assert_eq!(parsers, [("parser:c", None), ("parser:a", Some("null")), ("multiline_parser:b", None)]);
        assert_eq!(
            said,
            "main.conf:7:1: warning: [output:null:null.0] no Match: no record ever reaches this output\n    \
             Add for example: Match *\n"
        );
    }

    #[test]
    fn the_command_line_alone() {
        let given = vec![Section::of("INPUT", &[("Name", "dummy")]), Section::of("OUTPUT", &[("Name", "null")])];
        let (loaded, said) = check(&[], None, given);
        assert_eq!((loaded.unwrap().dir, said.as_str()), (PathBuf::new(), ""));
    }

    #[test]
    fn yaml_is_refused_in_words() {
        let (_, said) = check(&[("c.yaml", "")], Some("c.yaml"), vec![]);
        assert!(said.starts_with("c.yaml: 'c.yaml': configurations in YAML are not served yet\n"), "{said}");
        let main = format!("[SERVICE]\n  Parsers_File p.YML\n{PIPELINE}");
        let (_, said) = check(&[("m", &main), ("p.YML", "")], Some("m"), vec![]);
        assert!(said.starts_with("m:2:16: 'p.YML': configurations in YAML are not served yet\n"), "{said}");
    }

    #[test]
    fn wrong_parsers_files() {
        for (text, want) in [
            (
                "[PARSERR]\n  Name a\n",
                "p:1:1: unknown section [PARSERR] in a parsers file\n    Did you mean '[PARSER]'?\n",
            ),
            ("[INPUT]\n  Name a\n", "p:1:1: section [INPUT] in a parsers file\n    Move it to the main file\n"),
            ("[X]\n  Name a\n", "p:1:1: unknown section [X] in a parsers file\n    Only [PARSER]"),
            ("[PARSER]\n  Name\ta\n", "p:2:3: undefined value"),
        ] {
            let main = format!("[SERVICE]\n  Parsers_File p\n{PIPELINE}");
            let (_, said) = check(&[("m", &main), ("p", text)], Some("m"), vec![]);
            assert!(said.contains(want), "{text}: {said}");
        }
        let (_, said) = check(&[("m", &format!("[SERVICE]\n  Parsers_File no\n{PIPELINE}"))], Some("m"), vec![]);
        assert!(said.starts_with("m:2:16: parsers file 'no' does not exist\n    Looked for 'no' and 'no'"), "{said}");
    }

    #[test]
    fn everything_wrong_is_found_at_once() {
        let main = "[SERVICE]\n  Flsh 1\n  Parsers_File p\n[INPUT]\n  Name dummy\n  Tga x\n[OUTPUT]\n  Name nul\n[X]\n  a\tb\n";
        let (_, said) = check(&[("m", main), ("p", "[PARSR]\n  Name x\n")], Some("m"), vec![]);
        for part in ["m:2:3: ", "m:6:3: ", "m:8:8: ", "m:9:1: ", "m:10:3: ", "p:1:1: ", "input plugins is failed"] {
            assert!(said.contains(part), "{part} not in {said}");
        }
    }

    #[test]
    fn outputs_take_the_dns_keys_of_the_service() {
        use crate::conf::common::NetOut;
        static TCP: PluginInfo = PluginInfo { name: "tcp", doc: "", keys: &[], unserved: &[], extra: &[NetOut::TABLE] };
        let text = "[SERVICE]\n dns.mode TCP\n dns.prefer_ipv4 on\n[INPUT]\n Name dummy\n[OUTPUT]\n Name tcp\n Match *\n\
                    [OUTPUT]\n Name tcp\n Match *\n net.dns.mode UDP\n net.dns.prefer_ipv6 on\n[OUTPUT]\n Name null\n Match *\n";
        let mut doc = ini::parse("c.conf", text.as_bytes(), &mut Diags::new());
        let catalog = Catalog { inputs: vec![&DUMMY], outputs: vec![&NULL, &TCP], ..Catalog::default() };
        dns_defaults(&mut doc, &catalog);
        let keys: Vec<Vec<_>> = doc
            .named("output")
            .map(|s| {
                s.entries
                    .iter()
                    .filter(|e| e.key.starts_with("net"))
                    .map(|e| format!("{} {}", e.key, e.value))
                    .collect()
            })
            .collect();
        let want: [&[&str]; 3] =
            [&["net.dns.mode TCP", "net.dns.prefer_ipv4 on"], &["net.dns.mode UDP", "net.dns.prefer_ipv6 on"], &[]];
        assert_eq!(keys, want);
    }
}
