//! The filter `kubernetes` in places that differ: a kubelet, the network of the node, tags of one's own, many pods.

use super::filter::{Node, full, of, pod, records, seen, want};
use super::server::Kube;
use crate::lab::is_native;
use serde_json::json;
use std::time::Duration;

#[cfg(feature = "tls")]
#[test]
fn the_kubelet_tells_of_its_pods() {
    let (node, kubelet) = (Node::new("kube-filter-kubelet"), Kube::tls());
    node.lab.write("ca.pem", kubelet.ca.as_deref().unwrap());
    kubelet.token(Some("t1"));
    // Its path is `/pods`, without a collection as the API server has them.
    kubelet.put("", pod("web", "1", "a"));
    kubelet.put("", pod("two", "2", "b"));
    node.log("web", "1", 0..100);
    let keys = format!(
        "    Use_Kubelet on\n    Kubelet_Host 127.0.0.1\n    Kubelet_Port {}\n    Kube_CA_File ca.pem\n    Kube_Meta_Wait 1\n",
        kubelet.port()
    );
    let mut run = node.start("https://127.0.0.1:1", &keys);
    assert_eq!(of(&mut run, 100, "web"), want("web", "a", 0..100));
    node.log("two", "2", 0..100);
    node.log("web", "1", 100..200);
    node.log("none", "3", 0..100);
    assert_eq!(of(&mut run, 400, "two"), want("two", "b", 0..100));
    assert_eq!(of(&mut run, 400, "none"), want("none", "-", 0..100));
    assert_eq!(kubelet.asked().len(), 2, "{:?}", kubelet.asked());
    run.term().code(0);
}

#[test]
fn in_the_network_of_the_node_its_name_is_that_of_the_host() {
    let (mut node, kube) = (Node::new("kube-filter-host"), Kube::plain());
    node.lab.env("NODE_NAME", "").env("HOSTNAME", "n1");
    node.lab.write("namespace", "logging\n");
    kube.put("pods", pod("web", "1", "a"));
    node.log("web", "1", 0..10);
    let mut run = node.start(&kube.url(), "");
    assert_eq!(of(&mut run, 10, "web"), want("web", "a", 0..10));
    node.lab.wait("a watch", || kube.watches() == 1);
    let targets: Vec<_> = kube.asked().into_iter().map(|(_, target)| target).collect();
    assert_eq!(targets[0], "/api/v1/namespaces/logging/pods/n1");
    assert!(targets[1].starts_with("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1&limit=1"), "{targets:?}");
    run.term().code(0);
}

#[test]
fn where_nobody_knows_the_node_each_pod_is_asked_for() {
    let (mut node, kube) = (Node::new("kube-filter-alone"), Kube::plain());
    node.lab.env("NODE_NAME", "");
    kube.put("pods", pod("web", "1", "old"));
    node.log("web", "1", 0..300);
    let mut run = node.start(&kube.url(), "    Kube_Meta_Wait 2\n");
    assert_eq!(of(&mut run, 300, "web"), want("web", "old", 0..300));
    // Nobody tells of a new one either: another container makes us ask again.
    kube.put("pods", pod("web", "2", "new"));
    std::thread::sleep(Duration::from_millis(1100));
    node.log("web", "2", 300..600);
    assert_eq!(of(&mut run, 600, "web")[300..], want("web", "new", 300..600));
    assert_eq!((kube.count("get"), kube.count("list"), kube.count("watch")), (2, 0, 0), "{:?}", kube.asked());
    run.term().code(0).says(&["each pod is asked for"]);
}

#[test]
fn tags_made_of_names_and_a_parser_for_them() {
    let (node, kube) = (Node::new("kube-filter-tags"), Kube::plain());
    node.lab.write(
        "parsers.conf",
        r"[PARSER]
    Name    kube-tag
    Format  regex
    Regex   ^(?<namespace_name>[^_]+)\.(?<container_name>.+)\.(?<pod_name>[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)\.(?<docker_id>[a-z0-9]{64})-$
",
    );
    kube.put("pods", pod("web-0", "1", "a"));
    node.log("web-0", "1", 0..10);
    let conf = format!(
        r"[SERVICE]
    Flush         0.05
    Parsers_File  parsers.conf
[INPUT]
    Name              tail
    Tag               kube.<namespace_name>.<container_name>.<pod_name>.<docker_id>-
    Tag_Regex         (?<pod_name>[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)_(?<namespace_name>[^_]+)_(?<container_name>.+)-(?<docker_id>[a-z0-9]{{64}})\.log$
    Path              var/log/containers/*.log
    Parser            docker
    Read_From_Head    on
    Refresh_Interval  10
[FILTER]
    Name                kubernetes
    Match               kube.*
    Kube_Tag_Prefix     kube.
    Regex_Parser        kube-tag
    Merge_Log           On
    K8S-Logging.Parser  On
    Kube_URL            {}
[OUTPUT]
    Name    stdout
    Format  json_lines
    Match   kube.shop.*
",
        kube.url()
    );
    let mut run = node.lab.start(&conf);
    assert_eq!(of(&mut run, 10, "web-0"), want("web-0", "a", 0..10));
    let first = &records(&run.stdout())[0];
    assert_eq!((&first["log"], &first["kubernetes"]["docker_id"]), (&json!("{\"n\":0}\n"), &json!(full("1"))));
    run.term().code(0);
}

/// Resident memory of a process, in KiB.
fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_thousand_pods_take_little_memory() {
    let (node, kube) = (Node::new("kube-filter-many"), Kube::plain());
    for n in 0..1000 {
        let mut one = pod(&format!("web-{n}"), &format!("{n:x}"), &format!("a{n}"));
        // What the API sends of an ordinary pod, none of which records need.
        one["metadata"]["managedFields"] = json!([{"fieldsV1": {"f:spec": {"f:containers": "x".repeat(3000)}}}]);
        one["spec"]["containers"] =
            json!([{"name": "app", "env": vec![json!({"name": "NAME", "value": "value"}); 60]}]);
        for label in 0..6 {
            one["metadata"]["labels"][format!("app.kubernetes.io/label-{label}")] =
                json!(format!("value of label {label}"));
        }
        kube.put("pods", one);
        node.log(&format!("web-{n}"), &format!("{n:x}"), 0..3);
    }
    let mut run = node.start(&kube.url(), "");
    run.wait_for("the records", |p| seen(&p.stdout()).len() == 3000);
    let all = seen(&run.stdout());
    assert!(all.iter().all(|s| s.starts_with("web-") && s.contains(" a")), "{all:?}");
    assert_eq!((kube.count("list"), kube.count("get")), (20, 0), "{:?}", kube.asked());
    let kib = resident(run.pid());
    println!("{kib} KiB are resident");
    // A debug build takes more.
    let most = if cfg!(debug_assertions) { 40 } else { 24 };
    assert!(!is_native() || kib < most * 1024, "{kib} KiB are resident");
    run.term().code(0);
}
