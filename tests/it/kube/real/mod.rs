//! From the log files of a node to the search engine, with a real API server and etcd, a real Elasticsearch and, where it is
//! beside the project, the unmodified configuration of a cluster's users. `make kubernetes` builds the servers and runs
//! everything at full size; a plain `cargo test` runs the short forms once they are built.

mod api;
mod cluster;
mod faults;
mod kubelet;
mod manifests;
mod scale;
mod site;
mod users;

use cluster::Cluster;
use kubelet::Pod;
use serde_json::{Value, json};
use std::collections::HashMap;

/// A number that the environment may change: `KUBERNETES_PODS=20 make kubernetes`.
fn size(name: &str, usual: u64) -> u64 {
    std::env::var(format!("KUBERNETES_{name}")).ok().and_then(|v| v.parse().ok()).unwrap_or(usual)
}

/// What a pod of nginx has beside its name.
fn nginx() -> Value {
    json!({"labels": {"app": "web", "pod-template-hash": "5d59d67564"},
        "annotations": {"fluentbit.io/parser": "nginx", "example.com/owner": "team-a"}})
}

/// Asserts that a document says what the API knows of its pod; `late` when it was written after the pod's status.
#[track_caller]
fn assert_metadata(document: &Value, pod: &Pod, container: usize, late: bool) {
    let meta = &document["kubernetes"];
    let (object, container) = (&pod.object, &pod.containers[container]);
    let of = |key: &str| object["metadata"].get(key).cloned().unwrap_or(Value::Null);
    let mut want = vec![
        ("pod_name", Value::from(pod.name.as_str())),
        ("namespace_name", pod.namespace.as_str().into()),
        ("pod_id", of("uid")),
        ("labels", of("labels")),
        ("annotations", of("annotations")),
        ("host", object["spec"]["nodeName"].clone()),
        ("docker_id", container.id.as_str().into()),
        ("container_name", container.name.as_str().into()),
    ];
    if late {
        let all = object["status"]["containerStatuses"].as_array().unwrap();
        let status = all.iter().find(|s| s["name"] == container.name.as_str()).unwrap();
        want.push(("pod_ip", object["status"]["podIP"].clone()));
        want.push(("container_image", status["image"].clone()));
        want.push(("container_hash", status["imageID"].clone()));
    }
    for (key, want) in want {
        assert_eq!(meta[key], want, "{key} of {document}");
    }
}

/// The number of a line of `Pod::visit`, and its pod's unique id.
fn visited(document: &Value) -> Option<(&str, u64)> {
    let (uid, n) = document["path"].as_str()?.strip_prefix('/')?.split_once('/')?;
    Some((uid, n.parse().ok()?))
}

/// Lines of pods that came, by the pod's unique id: each must come once.
#[derive(Default)]
struct Seen(HashMap<String, Vec<bool>>);

impl Seen {
    /// Enters a line; `false` when it was there before.
    fn enter(&mut self, uid: &str, n: u64) -> bool {
        if !self.0.contains_key(uid) {
            self.0.insert(uid.to_owned(), Vec::new());
        }
        let lines = self.0.get_mut(uid).unwrap();
        let n = n as usize;
        if lines.len() <= n {
            lines.resize(n + 1, false);
        }
        !std::mem::replace(&mut lines[n], true)
    }

    /// How many of the first `lines` of a pod are missing.
    fn missing(&self, pod: &Pod, from: u64) -> usize {
        let lines = self.0.get(pod.uid());
        let here = |n: &u64| lines.is_some_and(|l| l.get(*n as usize).copied().unwrap_or(false));
        (from..pod.containers[0].lines).filter(|n| !here(n)).count()
    }
}

/// How often the API server was asked, by verb and kind of object.
fn told(cluster: &Cluster, before: usize) -> (usize, String) {
    let mut kinds: std::collections::BTreeMap<String, usize> = Default::default();
    let requests = cluster.requests(before);
    for (verb, uri, status) in &requests {
        let kind = uri.split('?').next().unwrap_or_default().rsplit('/').find(|w| matches!(*w, "pods" | "namespaces"));
        *kinds.entry(format!("{verb} {} {status}", kind.unwrap_or(uri))).or_default() += 1;
    }
    (requests.len(), format!("{kinds:?}"))
}
