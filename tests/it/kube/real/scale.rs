//! Size: a hundred pods that write a gigabyte while the collector is killed, and a thousand pods on one node. With the
//! configuration that is shipped for a DaemonSet: it has a database and a place for chunks, without which a kill loses lines.

use super::cluster::{Manifest, cluster};
use super::kubelet::{Pod, Runtime};
use super::site::Site;
use super::{Seen, nginx, size, told, visited};
use crate::lab::{Proc, free_port, skip};
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};

/// How long nothing may arrive.
const PATIENCE: Duration = Duration::from_secs(180);
/// Bytes of a line, about.
const LINE: u64 = 330;

#[test]
fn killed_while_pods_write() {
    killed(false, 16, 3 << 16, 1 << 16);
}

#[test]
#[ignore = "builds an API server: make kubernetes"]
fn killed_while_a_hundred_pods_write_ten_megabytes_each() {
    let bytes = size("MB", 10) << 20;
    killed(true, size("PODS", 100), bytes, bytes * 2 / 5);
}

#[test]
#[ignore = "builds an API server: make kubernetes"]
fn a_thousand_pods_on_a_node() {
    thousand(true, size("PODS", 1000));
}

/// The files of the shipped ConfigMap, with a port of their own for the metrics.
fn shipped(site: &mut Site<'_>) {
    let all: Vec<_> = Manifest::files("daemonset").iter().flat_map(|f| Manifest::all(f)).collect();
    let map = all.iter().find(|m| m.kind == "ConfigMap").expect("a ConfigMap");
    let mut name = None;
    for line in map.text.lines().skip_while(|l| *l != "data:").skip(1) {
        if let Some(file) = line.strip_suffix(": |").map(str::trim) {
            name = Some(format!("etc/{file}"));
            site.lab.write(name.as_ref().unwrap(), "");
        } else if let Some(name) = &name {
            site.lab.append(name, format!("{}\n", line.strip_prefix("    ").unwrap_or(line)));
        }
    }
    let port = free_port();
    let main = site.lab.read("etc/fluent-bit.conf");
    assert!(main.contains(" 2020\n"), "{main}");
    site.lab
        .write("etc/fluent-bit.conf", main.replace(" 2020\n", &format!(" {port}\n")).replace("0.0.0.0", "127.0.0.1"));
    let node = site.node.name.clone();
    site.lab.env("NODE_NAME", &node).env("ELASTICSEARCH_HOST", "elasticsearch").env("ELASTICSEARCH_PORT", "9200");
    site.delete("kube-*");
}

/// The largest memory of the program so far, in KiB.
fn peak(run: &Proc) -> u64 {
    status(run, "VmHWM:")
}

fn status(run: &Proc, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", run.pid())).unwrap();
    status.lines().find_map(|l| l.strip_prefix(key)?.trim().strip_suffix(" kB")?.parse().ok()).unwrap()
}

fn killed(build: bool, pods: u64, bytes: u64, max_size: u64) {
    if Manifest::files("daemonset").is_empty() {
        return skip("conf/k8s is not there");
    }
    let Some(cluster) = cluster(build) else { return };
    let Some(mut site) = Site::new(&cluster, "node-kill", Runtime::Docker, "collector") else { return };
    shipped(&mut site);
    site.node.max_size = max_size;
    let (before, begin) = (cluster.audit().len(), Instant::now());
    let mut all: Vec<Pod> =
        (0..pods).map(|n| site.node.run("nginx-test", &format!("big-{n}"), &nginx(), &["nginx=nginx:1"])).collect();
    let mut run = site.start();
    let (mut written, mut stored, mut kills, mut memory) = (0, 0, 0, 0);
    let total = bytes * pods;
    // So many lines at most wait: a file that goes for ever was read, as on a node whose limits fit what its pods write.
    let ahead = (pods * max_size / LINE / 4).min(60_000);
    // Killed at each of these shares.
    let mut points = [0.2, 0.45, 0.5, 0.8].into_iter().peekable();
    while all.iter().any(|p| p.containers[0].bytes < bytes) {
        for pod in all.iter_mut().filter(|p| p.containers[0].bytes < bytes) {
            (0..100).for_each(|_| pod.visit());
            pod.containers[0].flush();
            written += 100;
        }
        let done = all.iter().map(|p| p.containers[0].bytes).sum::<u64>() as f64 / total as f64;
        if points.next_if(|p| done > *p).is_some() {
            memory = memory.max(peak(&run));
            run.kill();
            kills += 1;
            // What is written, and rotated, meanwhile is found again.
            for pod in &mut all {
                (0..20).for_each(|_| pod.visit());
                pod.containers[0].flush();
                if kills == 2 {
                    pod.containers[0].rotate();
                    (0..20).for_each(|_| pod.visit());
                    pod.containers[0].flush();
                }
            }
            run = site.start();
        }
        let mut since = Instant::now();
        while written > stored + ahead {
            let now = site.stored("kube-*");
            if now > stored {
                (stored, since) = (now, Instant::now());
            }
            assert!(since.elapsed() < PATIENCE, "{stored} of {written} came\n{}", run.show(None));
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    let lines: u64 = all.iter().map(|p| p.containers[0].lines).sum();
    site.wait_stored(&run, "kube-*", lines, PATIENCE);
    let took = begin.elapsed();
    run.stays(Duration::from_secs(2));
    memory = memory.max(peak(&run));
    let done = run.term().code(0).silent_about(&["panicked", "rejected: "]);

    let (mut seen, mut twice, mut plain) = (Seen::default(), 0, 0);
    let labels = &all[0].object["metadata"]["labels"];
    site.each(
        "kube-*",
        "path,kubernetes.pod_id,kubernetes.host,kubernetes.labels,kubernetes.container_hash",
        |document| {
            let (uid, n) = visited(document).unwrap_or_else(|| panic!("no line of nginx: {document}"));
            twice += u64::from(!seen.enter(uid, n));
            let meta = &document["kubernetes"];
            plain += u64::from(meta["pod_id"] != uid || meta["host"] != "node-kill" || meta["labels"] != *labels);
        },
    );
    let missing: usize = all.iter().map(|p| seen.missing(p, 0)).sum();
    let rotations: u32 = all.iter().map(|p| p.containers[0].rotations).sum();
    let (requests, kinds) = told(&cluster, before);
    let size = all.iter().map(|p| p.containers[0].bytes).sum::<u64>() >> 20;
    println!(
        "{pods} pods, {size} MiB, {lines} lines, {rotations} rotations, {kills} kills, {:.0} s: {missing} lost, {twice} twice, {plain} without \
         metadata; {requests} requests: {kinds}; at most {:.1} MiB",
        took.as_secs_f64(),
        memory as f64 / 1024.0
    );
    assert_eq!((missing, twice, plain), (0, 0, 0), "lost, twice, without metadata\n{}", done.report());
    // A list and a watch for each start.
    assert!(requests < pods as usize, "{requests} requests: {kinds}");
}

/// Metadata as pods of real life have it: a dozen labels and annotations, what the network has to say among them.
fn usual(n: u64) -> Value {
    let mut metadata = nginx();
    metadata["labels"]["app.kubernetes.io/name"] = format!("web-{}", n % 40).into();
    metadata["labels"]["app.kubernetes.io/part-of"] = "shop".into();
    metadata["labels"]["app.kubernetes.io/managed-by"] = "Helm".into();
    metadata["annotations"]["prometheus.io/scrape"] = "true".into();
    metadata["annotations"]["checksum/config"] =
        "7d865e959b2466918c9863afca942d0fb89d7c9ac0c99bafc3749504ded97730".into();
    let address = format!("10.1.{}.{}", n / 250, n % 250);
    metadata["annotations"]["k8s.v1.cni.cncf.io/network-status"] =
        format!("[{{\n    \"name\": \"cbr0\",\n    \"interface\": \"eth0\",\n    \"ips\": [\n        \"{address}\"\n    ],\n    \"default\": true,\n    \"dns\": {{}}\n}}]").into();
    metadata
}

fn thousand(build: bool, pods: u64) {
    if Manifest::files("daemonset").is_empty() {
        return skip("conf/k8s is not there");
    }
    let Some(cluster) = cluster(build) else { return };
    let Some(mut site) = Site::new(&cluster, "node-full", Runtime::Cri, "collector") else { return };
    shipped(&mut site);
    // A line of a thousand pods comes with a thousand sets of labels.
    let mut all: Vec<Pod> =
        (0..pods).map(|n| site.node.run("nginx-test", &format!("small-{n}"), &usual(n), &["nginx=nginx:1"])).collect();
    let before = cluster.audit().len();
    let mut run = site.start();
    for _ in 0..20 {
        for pod in &mut all {
            (0..10).for_each(|_| pod.visit());
            pod.containers[0].flush();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let lines: u64 = all.iter().map(|p| p.containers[0].lines).sum();
    site.wait_stored(&run, "kube-*", lines, PATIENCE);
    run.stays(Duration::from_secs(1));
    let (memory, now) = (peak(&run), status(&run, "VmRSS:"));
    let done = run.term().code(0).silent_about(&["panicked", "rejected: "]);
    let mut plain = 0;
    site.each("kube-*", "path,kubernetes.pod_id,kubernetes.labels", |document| {
        let uid = visited(document).map(|(uid, _)| uid.to_owned());
        plain += u64::from(document["kubernetes"]["pod_id"].as_str() != uid.as_deref());
    });
    let (requests, kinds) = told(&cluster, before);
    println!(
        "{pods} pods on a node, {lines} lines: {plain} without metadata; {requests} requests: {kinds}; {:.1} MiB, at most {:.1} MiB",
        now as f64 / 1024.0,
        memory as f64 / 1024.0
    );
    assert_eq!(plain, 0, "{}", done.report());
    assert!(requests < pods as usize, "{requests} requests: {kinds}");
    let is_release = std::env::var_os("COLLECTOR_BIN").is_some();
    assert!(!is_release || memory <= 24 << 10, "{memory} KiB");
}
