//! `conf/k8s`: what is shipped for Kubernetes fits together, starts, and does what it says.

mod chart;
mod configs;
mod rules;
mod sidecar;
mod yaml;

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder with the manifests.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/k8s")
}

/// The objects of all files of these folders, a name each: `daemonset`, `events` …
fn objects(folders: &[&str]) -> Vec<Value> {
    let mut files: Vec<_> = folders
        .iter()
        .flat_map(|name| fs::read_dir(folder().join(name)).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{folders:?}");
    files.iter().flat_map(|file| read(file)).collect()
}

/// The objects of a file.
fn read(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    yaml::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// What is shipped, in the sets that are applied together.
fn sets() -> Vec<(&'static str, Vec<Value>)> {
    let file = |name: &str| read(&folder().join(name));
    vec![
        ("daemonset", objects(&["daemonset"])),
        ("events", objects(&["daemonset", "events"])),
        ("directory", file("sidecar/directory.yaml")),
        ("pipe", file("sidecar/pipe.yaml")),
    ]
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_else(|| panic!("no name: {object}"))
}

fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_else(|| panic!("no kind: {object}"))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The object of this kind and name.
#[track_caller]
fn find<'a>(objects: &'a [Value], of: &str, called: &str) -> &'a Value {
    let found = objects.iter().find(|o| kind(o) == of && name(o) == called);
    found.unwrap_or_else(|| panic!("no {of} '{called}'"))
}

/// A workload with a container that runs the collector.
struct Workload<'a> {
    object: &'a Value,
    /// The pod's specification.
    pod: &'a Value,
    /// The container.
    collector: &'a Value,
    /// The files of its configuration.
    files: BTreeMap<String, String>,
}

impl<'a> Workload<'a> {
    /// All of them.
    fn all(objects: &'a [Value]) -> Vec<Self> {
        let pods = objects.iter().filter(|o| matches!(kind(o), "Deployment" | "DaemonSet"));
        pods.filter_map(|object| Self::of(object, objects)).collect()
    }

    fn of(object: &'a Value, objects: &'a [Value]) -> Option<Self> {
        let pod = &object["spec"]["template"]["spec"];
        let collector = containers(pod).find(|c| c["image"].as_str().unwrap().starts_with("collector:"))?;
        let mount = list(&collector["volumeMounts"]).find(|m| m["mountPath"] == "/fluent-bit/etc/")?;
        let volume = list(&pod["volumes"]).find(|v| v["name"] == mount["name"])?;
        let map = find(objects, "ConfigMap", volume["configMap"]["name"].as_str()?);
        Some(Self { object, pod, collector, files: files(map) })
    }

    /// A value of `[SERVICE]`.
    fn service(&self, key: &str) -> Option<String> {
        value(&self.files["fluent-bit.conf"], key)
    }
}

/// Init containers first.
fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    list(&pod["initContainers"]).chain(list(&pod["containers"]))
}

/// The files of a ConfigMap.
fn files(map: &Value) -> BTreeMap<String, String> {
    let data = map["data"].as_object().unwrap_or_else(|| panic!("no data: {map}"));
    data.iter().map(|(name, text)| (name.clone(), text.as_str().unwrap().to_owned())).collect()
}

/// The first value of a key in a configuration.
fn value(conf: &str, key: &str) -> Option<String> {
    conf.lines().find_map(|line| {
        let (word, rest) = line.trim().split_once(char::is_whitespace)?;
        word.eq_ignore_ascii_case(key).then(|| rest.trim().to_owned())
    })
}
