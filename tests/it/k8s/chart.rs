//! The Helm chart makes what the plain files hold. Skipped, with a line, where Helm is not; `make chart` builds one.

use super::{containers, files, find, folder, kind, list, name, objects, yaml};
use crate::lab::skip;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};

/// Helm: in `HELM`, on the path, or the one that `make chart` has built.
fn helm() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| folder().join("../../target"), PathBuf::from);
    let named = std::env::var_os("HELM").map(PathBuf::from);
    let all = named.into_iter().chain([PathBuf::from("helm"), target.join("real/helm")]);
    let found =
        all.into_iter().find(|path| Command::new(path).arg("version").output().is_ok_and(|o| o.status.success()));
    if found.is_none() {
        skip("no helm: `make chart` builds one");
    }
    found
}

fn run(args: &[&str], values: &[&str]) -> Option<Output> {
    let mut command = Command::new(helm()?);
    command.args(args);
    values.iter().for_each(|v| _ = command.args(["--set", v]));
    Some(command.output().unwrap())
}

/// What the chart makes with these values.
fn template(values: &[&str]) -> Option<Vec<Value>> {
    let chart = folder().join("chart").display().to_string();
    let args = ["template", "collector", &chart, "--namespace", "logging", "--kube-version", "1.29.0"];
    let done = run(&args, values)?;
    assert!(done.status.success(), "{values:?}: {}", String::from_utf8_lossy(&done.stderr));
    Some(yaml::parse(&String::from_utf8(done.stdout).unwrap()).unwrap())
}

/// By kind and name, without what a chart alone has: marks of who made it, and of which configuration.
fn plain(objects: Vec<Value>) -> BTreeMap<(String, String), Value> {
    let without = |map: &mut Value, keys: &[&str]| {
        let map: Option<&mut Map<_, _>> = map.as_object_mut();
        map.into_iter().for_each(|map| map.retain(|key, _| !keys.contains(&key.as_str())));
    };
    let strip = |mut object: Value| {
        let marks = ["helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/version"];
        without(&mut object["metadata"]["labels"], &marks);
        if object["spec"]["template"].is_object() {
            without(&mut object["spec"]["template"]["metadata"]["annotations"], &["checksum/config"]);
        }
        ((kind(&object).to_owned(), name(&object).to_owned()), object)
    };
    objects.into_iter().filter(|o| kind(o) != "Namespace").map(strip).collect()
}

#[test]
fn the_chart_makes_the_plain_files() {
    for (values, folders) in [(&[][..], &["daemonset"][..]), (&["events.enabled=true"], &["daemonset", "events"])] {
        let Some(made) = template(values) else { return };
        let (made, want) = (plain(made), plain(objects(folders)));
        assert_eq!(made.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>());
        for (key, want) in &want {
            assert_eq!(
                serde_json::to_string_pretty(&made[key]).unwrap(),
                serde_json::to_string_pretty(want).unwrap(),
                "{key:?}"
            );
        }
    }
}

#[test]
fn values_change_what_they_say() {
    let Some(made) = template(&["http.port=3030", "networkPolicy.enabled=false", "agent.paths.docker="]) else {
        return;
    };
    let pod = &find(&made, "DaemonSet", "collector")["spec"]["template"];
    let container = containers(&pod["spec"]).next().unwrap();
    assert_eq!(container["ports"][0]["containerPort"], 3030);
    assert_eq!(pod["metadata"]["annotations"]["prometheus.io/port"], "3030");
    assert!(files(find(&made, "ConfigMap", "collector"))["fluent-bit.conf"].contains("HTTP_Port          3030\n"));
    assert!(!made.iter().any(|o| kind(o) == "NetworkPolicy"));
    assert!(!list(&container["volumeMounts"]).any(|m| m["name"] == "docker"));
    let made = template(&["rbac.namespaces={shop,payments}"]).unwrap();
    let roles: Vec<_> = made.iter().filter(|o| kind(o) == "Role").map(|o| &o["metadata"]["namespace"]).collect();
    assert_eq!(roles, ["shop", "payments"]);
    assert!(!made.iter().any(|o| kind(o).starts_with("ClusterRole")));
    let made = template(&["agent.enabled=false", "events.enabled=true", "image.tag=v9", "nameOverride=logs"]).unwrap();
    assert!(!made.iter().any(|o| kind(o) == "DaemonSet"));
    let pod = &find(&made, "Deployment", "collector-logs-events")["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], "collector:v9");
    assert_eq!(pod["serviceAccountName"], "collector-logs-events");
    find(&made, "ServiceAccount", "collector-logs-events");
}

#[test]
fn the_chart_is_clean_and_refuses_what_it_does_not_know() {
    let chart = folder().join("chart").display().to_string();
    let Some(done) = run(&["lint", "--strict", &chart], &[]) else { return };
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() && said.contains("1 chart(s) linted, 0 chart(s) failed"), "{said}");
    assert!(!said.contains("[WARNING]") && !said.contains("[ERROR]"), "{said}");
    for (value, why) in [
        ("agent.enable=true", "'enable' not allowed"),
        ("http.port=0", "minimum: got 0"),
        ("image.pullPolicy=Sometimes", "must be one of"),
        ("agent.resources.limit.cpu=1", "'limit' not allowed"),
        ("agent.paths.logs=var/log", "does not match pattern"),
    ] {
        let done = run(&["template", "c", &chart, "--kube-version", "1.29.0"], &[value]).unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success() && said.contains(why), "{value}: {said}");
    }
}
