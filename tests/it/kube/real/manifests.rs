//! Every manifest that is shipped, put before a real API server: what it does not know, or a namespace does not admit, it refuses.

use super::cluster::{Cluster, Manifest, cluster};
use crate::lab::skip;
use serde_json::{Value, json};

/// The folders, and the level of pod security that a namespace of theirs may enforce.
const FOLDERS: &[(&str, &str)] =
    &[("daemonset", "privileged"), ("events", "restricted"), ("namespaced", "restricted"), ("sidecar", "restricted")];

#[test]
fn every_manifest_is_accepted() {
    check(false);
}

#[test]
#[ignore = "builds an API server: make kubernetes"]
fn every_manifest_is_accepted_by_the_api_that_is_built() {
    check(true);
}

fn check(build: bool) {
    if Manifest::files("daemonset").is_empty() {
        return skip("conf/k8s is not there");
    }
    let Some(cluster) = cluster(build) else { return };
    let mut all = 0;
    for &(folder, level) in FOLDERS {
        let namespace = format!("level-{level}");
        cluster.namespace(&namespace, &json!({"pod-security.kubernetes.io/enforce": level}));
        let files = Manifest::files(folder);
        assert!(!files.is_empty(), "{folder}");
        for object in files.iter().flat_map(|file| Manifest::all(file)) {
            // A dry run does not make what the next object needs; the namespace of the manifest would have its own level.
            let object = if object.kind == "Namespace" { object } else { object.moved(&namespace) };
            let (status, answer) = cluster.apply(&object, &namespace, "&dryRun=All");
            assert!((200..300).contains(&status), "{folder}: {} {}: {status} {answer}", object.kind, object.name);
            all += 1;
            if let Some(template) = answer["spec"]["template"].as_object() {
                pod(&cluster, &namespace, &object.name, template["spec"].clone());
            }
        }
    }
    println!("{all} objects of conf/k8s accepted, and the pods that they ask for");
    refused(&cluster);
}

/// A workload is admitted whatever its pods are: they are what a namespace's level is about.
fn pod(cluster: &Cluster, namespace: &str, name: &str, mut spec: Value) {
    // No account is made in a dry run, and what the server filled in for an account does not fit another one.
    for key in ["serviceAccountName", "serviceAccount"] {
        spec.as_object_mut().unwrap().remove(key);
    }
    let pod = json!({"metadata": {"name": format!("{name}-0")}, "spec": spec});
    let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict");
    let (status, answer) = cluster.api.ask("POST", &path, "application/json", &pod.to_string());
    assert!(status == 201, "a pod of {name} in {namespace}: {status} {answer}");
}

/// The server would have said so.
fn refused(cluster: &Cluster) {
    let broken = |text: &str| cluster.apply(&Manifest::read(text).unwrap(), "level-restricted", "&dryRun=All");
    let (status, answer) = broken("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\ndate:\n  a: b\n");
    assert!(status >= 400 && answer.to_string().contains("date"), "{status} {answer}");
    let pod = json!({"metadata": {"name": "x"}, "spec": {"containers": [{"name": "x", "image": "x"}]}});
    let path = "/api/v1/namespaces/level-restricted/pods?dryRun=All";
    let (status, answer) = cluster.api.ask("POST", path, "application/json", &pod.to_string());
    assert!(status == 403 && answer.to_string().contains("PodSecurity"), "{status} {answer}");
}
