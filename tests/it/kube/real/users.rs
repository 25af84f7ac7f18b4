//! The configuration of a cluster's users, as it is: what it sends to the search engine.

use super::cluster::cluster;
use super::kubelet::{Pod, Runtime};
use super::site::Site;
use super::{Seen, assert_metadata, nginx, size, told, visited};
use crate::lab::samples;
use serde_json::json;
use std::collections::HashMap;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(180);

#[test]
fn a_node_of_docker() {
    node(Runtime::Docker, false, 12, 60);
}

#[test]
fn a_node_of_containerd() {
    node(Runtime::Cri, false, 12, 60);
}

#[test]
#[ignore = "builds an API server: make kubernetes"]
fn a_node_of_docker_at_full_size() {
    node(Runtime::Docker, true, size("PODS", 100), 3000);
}

#[test]
#[ignore = "builds an API server: make kubernetes"]
fn a_node_of_containerd_at_full_size() {
    node(Runtime::Cri, true, size("PODS", 100), 3000);
}

/// Pods of all kinds write `lines` lines each; their files are rotated meanwhile.
fn node(runtime: Runtime, build: bool, pods: u64, lines: u64) {
    let Some(efk) = samples("configs/efk") else { return };
    let Some(cluster) = cluster(build) else { return };
    let name = if runtime == Runtime::Docker { "node-docker" } else { "node-cri" };
    let Some(mut site) = Site::new(&cluster, name, runtime, "log-collector") else { return };
    site.configure(&efk);
    if runtime == Runtime::Cri {
        // The one line that names Docker.
        let input = site.lab.read("etc/input.conf");
        assert!(input.contains("Parser            docker"));
        site.lab.write("etc/input.conf", input.replace("Parser            docker", "multiline.parser  cri"));
    }
    // Each file is rotated some three times.
    site.node.max_size = lines * 100;
    let before = cluster.audit().len();
    // A file that is there at the start is read from its end: once something added is seen, the start is over.
    let mut first = site.node.run("nginx-test", "first", &nginx(), &["nginx=nginx:1.27"]);
    let mut run = site.start();
    run.wait_for("the first line", |p| {
        first.visit();
        first.containers[0].flush();
        std::thread::sleep(Duration::from_millis(50));
        p.stdout().contains(first.uid())
    });
    let mut visited_pods: Vec<Pod> = (0..pods)
        .map(|n| {
            // Pods that started before the collector know nothing of it, and the other way round.
            let mut metadata = nginx();
            metadata["labels"]["pod"] = format!("p{n}").into();
            site.node.run("nginx-test", &format!("web-{n}"), &metadata, &["nginx=nginx:1.27", "sidecar=busybox:1.36"])
        })
        .collect();
    let mut json_pod = site.node.run("nginx-test", "json", &json!({"labels": {"app": "json"}}), &["app=app:1"]);
    let mut bare = site.node.run("nginx-test", "bare", &json!({}), &["app=app:1"]);
    let mut elsewhere = site.node.run("shop", "web-0", &nginx(), &["nginx=nginx:1.27"]);
    for n in 0..lines {
        for pod in &mut visited_pods {
            pod.visit();
            if n % 10 == 0 {
                pod.containers[1].line(&format!("of the side of {} {n}", pod.name));
            }
        }
        json_pod.containers[0].line(&json!({"level": "info", "number": n, "message": "said \"so\""}).to_string());
        bare.containers[0].line(&format!("plain {n}"));
        elsewhere.visit();
    }
    visited_pods.iter_mut().flat_map(|p| &mut p.containers).for_each(|c| c.flush());
    [&mut json_pod, &mut bare, &mut elsewhere].into_iter().for_each(|p| p.containers[0].flush());

    // The first pod wrote before the start, too, and one of the plain pods an access line before its status.
    let started = run.stdout().lines().filter(|l| l.contains(first.uid())).count() as u64;
    let all: u64 = visited_pods
        .iter()
        .flat_map(|p| &p.containers)
        .chain(&json_pod.containers)
        .chain(&bare.containers)
        .map(|c| c.lines)
        .sum();
    site.wait_stored(&run, "test", all + 1, PATIENCE);
    // Whatever is too much has come by now, too.
    run.stays(Duration::from_millis(600));
    let done = run.term().code(0).silent_about(&["panicked", "rejected: "]);

    let (mut seen, mut others) = (Seen::default(), HashMap::<String, u64>::new());
    let by_uid: HashMap<&str, &Pod> =
        visited_pods.iter().chain([&first, &json_pod, &bare]).map(|p| (p.uid(), p)).collect();
    let mut sides = 0;
    site.each("test", "*", |document| {
        let uid = document["kubernetes"]["pod_id"].as_str().unwrap_or_else(|| panic!("no metadata: {document}"));
        let pod = by_uid.get(uid).unwrap_or_else(|| panic!("of another place: {document}"));
        let container =
            pod.containers.iter().position(|c| document["kubernetes"]["docker_id"] == c.id.as_str()).unwrap();
        assert_eq!(document["stream"], "stdout", "{document}");
        if let Some((told, n)) = visited(document) {
            assert_eq!(told, uid, "{document}");
            assert_metadata(document, pod, container, n > 0);
            assert!(seen.enter(uid, n), "twice: {document}");
            assert_eq!(document["method"], "GET", "{document}");
            assert_eq!(document["code"], "200", "{document}");
            assert_eq!(document["size"], (n * 7 % 100_000).to_string(), "{document}");
            assert!(document["agent"].as_str().unwrap().starts_with("Mozilla/5.0 "), "{document}");
            assert!(document["log"].as_str().unwrap().contains("GET /"), "{document}");
        } else {
            assert_metadata(document, pod, container, false);
            let log = document["log"].as_str().unwrap_or_else(|| panic!("no line: {document}"));
            if pod.name == "json" && log.contains("number") {
                assert_eq!(
                    (&document["level"], &document["message"]),
                    (&"info".into(), &"said \"so\"".into()),
                    "{document}"
                );
            }
            sides += u64::from(container == 1);
            *others.entry(format!("{uid} {log}")).or_default() += 1;
        }
    });
    assert!(others.values().all(|n| *n == 1), "{:?}", others.iter().find(|(_, n)| **n > 1));
    assert_eq!(sides, visited_pods.iter().map(|p| p.containers[1].lines).sum::<u64>());
    let missing: usize = visited_pods.iter().map(|p| seen.missing(p, 0)).sum();
    assert_eq!(missing, 0, "lines of nginx that are missing");
    let rotations: u32 = visited_pods.iter().map(|p| p.containers[0].rotations).sum();
    assert!(rotations as usize >= visited_pods.len(), "{rotations}");
    // Standard output has the same.
    let shown = done.stdout.lines().count() as u64;
    assert!(shown >= all + started, "{shown} on the screen, {all} and {started} written");
    let (requests, kinds) = told(&cluster, before);
    println!(
        "{name}: {pods} pods, {all} lines, {rotations} rotations, 0 lost, 0 twice, all with metadata; {requests} requests: {kinds}"
    );
    // Here lines may come sooner than the watch tells of their pod, which is then asked for, once.
    let most = if build { pods } else { 2 * pods };
    assert!(requests < most as usize, "{requests} requests: {kinds}");
}
