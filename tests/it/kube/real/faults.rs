//! What goes wrong around the API server: it is down at the start, a token is revoked, a pod comes back under its name as another.

use super::cluster::{Cluster, cluster};
use super::kubelet::{Pod, Runtime};
use super::site::Site;
use super::{Seen, assert_metadata, nginx, size, told, visited};
use crate::lab::{Proc, samples, under_runner};
use serde_json::json;
use std::fs;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(180);

#[test]
fn the_api_fails_and_changes() {
    faults(false, Duration::from_secs(4), 5);
}

#[test]
#[ignore = "builds an API server: make kubernetes"]
fn the_api_fails_and_changes_at_full_size() {
    faults(true, Duration::from_secs(size("DOWN", 30)), 30);
}

/// Waits until the collector reads this pod's file.
fn open(run: &mut Proc, pod: &Pod) {
    let id = pod.containers[0].id.clone();
    run.wait_for("the file to be open", |p| {
        let all = fs::read_dir(format!("/proc/{}/fd", p.pid())).into_iter().flatten().flatten();
        all.filter_map(|e| fs::read_link(e.path()).ok()).any(|to| to.to_string_lossy().contains(&id))
    });
    // From where it reads is found out next: a while later under an emulator.
    if under_runner() {
        run.stays(Duration::from_secs(1));
    }
}

/// All lines of the pods are stored, once, with what is said of their pods.
fn check(site: &Site<'_>, run: &Proc, pods: &[Pod], from: u64) {
    let all: u64 = pods.iter().map(|p| p.containers[0].lines - from).sum();
    site.wait_stored(run, "test", all, PATIENCE);
    let mut seen = Seen::default();
    site.each("test", "*", |document| {
        let (uid, n) = visited(document).unwrap_or_else(|| panic!("no line of nginx: {document}"));
        let pod = pods.iter().find(|p| p.uid() == uid).unwrap_or_else(|| panic!("of another pod: {document}"));
        assert_metadata(document, pod, 0, false);
        assert!(seen.enter(uid, n), "twice: {document}");
    });
    for pod in pods {
        assert_eq!(seen.missing(pod, from), 0, "lines of {}\n{}", pod.name, run.show(None));
    }
}

fn faults(build: bool, down: Duration, rounds: u64) {
    let Some(efk) = samples("configs/efk") else { return };
    let Some(cluster) = cluster(build) else { return };
    let Some(mut site) = Site::new(&cluster, "node-faults", Runtime::Docker, "log-collector") else { return };
    site.configure(&efk);
    let secret = cluster.api.create("/api/v1/namespaces/logging/secrets", &json!({"metadata": {"generateName": "t-"}}));
    let first_token = site.token("Secret", &secret);
    site.mount_token(&first_token);

    // Files that are there at the start are read from their end: empty ones whole.
    site.node.early = 0;
    let mut pods: Vec<_> =
        (0..5).map(|n| site.node.run("nginx-test", &format!("down-{n}"), &nginx(), &["nginx=nginx:1"])).collect();
    let before = cluster.audit().len();
    cluster.kill();
    let mut run = site.start();
    for pod in &mut pods {
        open(&mut run, pod);
        (0..200).for_each(|_| pod.visit());
        pod.containers[0].flush();
    }
    run.stays(down);
    let early = site.stored("test");
    cluster.start_again();
    check(&site, &run, &pods, 0);
    println!(
        "API server down for {down:?} at the start: 1000 lines, all with metadata, {early} of them stored before it was back"
    );

    // The token is revoked once the file holds another one.
    site.mount_token(&site.token("Pod", &site.own));
    cluster.api.delete(&format!("/api/v1/namespaces/logging/secrets/{}", secret["metadata"]["name"].as_str().unwrap()));
    cluster.refuses(&first_token);
    // The watch that the old token opened ends.
    let rotated = cluster.audit().len();
    cluster.kill();
    cluster.start_again();
    site.node.early = 3;
    for n in 0..3 {
        let mut pod = site.node.run("nginx-test", &format!("token-{n}"), &nginx(), &["nginx=nginx:1"]);
        (0..100).for_each(|_| pod.visit());
        pod.containers[0].flush();
        pods.push(pod);
    }
    check(&site, &run, &pods, 0);
    let refused = cluster.requests(rotated).iter().filter(|r| r.2 == 401).count();
    println!("a token revoked, the next one in its place: all with metadata, {refused} requests with the old one");

    re_created(&cluster, &site, &mut run, pods, rounds);
    let (requests, kinds) = told(&cluster, before);
    println!("{requests} requests in all: {kinds}");
    run.term().code(0).silent_about(&["panicked", "rejected: "]);
}

/// A pod of a StatefulSet is made again and again under its name, with other labels each time.
fn re_created(cluster: &Cluster, site: &Site<'_>, run: &mut Proc, mut pods: Vec<Pod>, rounds: u64) {
    let before = cluster.audit().len();
    let mut last: Option<Pod> = None;
    for round in 0..rounds {
        let mut metadata = nginx();
        metadata["labels"]["version"] = format!("v{round}").into();
        if let Some(mut old) = last.take() {
            // Its last words.
            (0..10).for_each(|_| old.visit());
            old.containers[0].flush();
            let all: u64 = pods.iter().map(|p| p.containers[0].lines).sum::<u64>() + old.containers[0].lines;
            // Every other time its files go at once: a file that is open is read to its end all the same.
            match round % 2 {
                0 => site.wait_stored(run, "test", all, PATIENCE),
                _ => open(run, &old),
            }
            pods.push(site.node.remove(old));
        }
        let mut pod = site.node.run("nginx-test", "again-0", &metadata, &["nginx=nginx:1"]);
        (0..20).for_each(|_| pod.visit());
        pod.containers[0].flush();
        last = Some(pod);
    }
    pods.extend(last);
    check(site, run, &pods, 0);
    let (requests, kinds) = told(cluster, before);
    println!(
        "a pod made {rounds} times under one name: labels are its own from the first line on; {requests} requests: {kinds}"
    );
}
