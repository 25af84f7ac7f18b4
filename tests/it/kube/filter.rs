//! The filter `kubernetes` beside a scripted server: files of containers in, records with metadata out.

use super::server::Kube;
use crate::lab::{Lab, Proc, refused_port};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::Duration;

/// A folder of containers' logs, read by the program.
pub(super) struct Node {
    pub(super) lab: Lab,
}

impl Node {
    pub(super) fn new(name: &str) -> Self {
        let mut lab = Lab::new(name);
        lab.env("NODE_NAME", "n1");
        lab.write("token", "t1\n");
        std::fs::create_dir_all(lab.path("var/log/containers")).unwrap();
        Self { lab }
    }

    /// Appends numbered lines to the log of a container of namespace `shop`.
    pub(super) fn log(&self, pod: &str, id: &str, numbers: std::ops::Range<usize>) {
        let lines: String = numbers
            .map(|n| {
                json!({"log": format!("{{\"n\":{n}}}\n"), "stream": if n % 2 == 0 { "stdout" } else { "stderr" }})
                    .to_string()
                    + "\n"
            })
            .collect();
        self.lab.append(&format!("var/log/containers/{pod}_shop_app-{}.log", full(id)), lines);
    }

    pub(super) fn start(&self, url: &str, keys: &str) -> Proc {
        self.start_with("DB tail.db", url, keys)
    }

    /// `DB tail.db`, or nothing: a tail that does not remember.
    pub(super) fn start_with(&self, db: &str, url: &str, keys: &str) -> Proc {
        self.lab.start(&format!(
            "[SERVICE]\n    Flush 0.05\n    Grace 5\n[INPUT]\n    Name tail\n    Tag kube.*\n    Path var/log/containers/*.log\n    \
             Parser json\n    Read_From_Head on\n    Refresh_Interval 0.2\n    {db}\n[FILTER]\n    Name kubernetes\n    Match kube.*\n    \
             Kube_URL {url}\n    Kube_Token_File token\n    Kube_Namespace_File namespace\n    Merge_Log on\n    Keep_Log off\n{keys}\
             [OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n    Json_Date_Key false\n"
        ))
    }
}

/// A whole id.
pub(super) fn full(id: &str) -> String {
    format!("{id:0>64}")
}

pub(super) fn pod(name: &str, id: &str, label: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{label}"), "labels": {"app": label}, "annotations": {}},
        "spec": {"nodeName": "n1"},
        "status": {"podIP": "10.0.0.7", "containerStatuses": [
            {"name": "app", "image": "nginx:1", "imageID": "sha256:02", "containerID": format!("containerd://{}", full(id))}]},
    })
}

pub(super) fn records(text: &str) -> Vec<Value> {
    text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
}

/// `POD LABEL NUMBER` of each record, or `POD - NUMBER` for one that is marked.
pub(super) fn seen(text: &str) -> Vec<String> {
    let one = |r: &Value| {
        let k = &r["kubernetes"];
        let label = k["labels"]["app"].as_str().unwrap_or(if k["meta"] == "unavailable" { "-" } else { "?" });
        format!("{} {label} {}", k["pod_name"].as_str().unwrap_or("?"), r["n"])
    };
    records(text).iter().map(one).collect()
}

pub(super) fn want(pod: &str, label: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|n| format!("{pod} {label} {n}")).collect()
}

/// Waits for so many records in all, then answers those of one pod.
pub(super) fn of(run: &mut Proc, all: usize, pod: &str) -> Vec<String> {
    run.wait_for("the records", |p| seen(&p.stdout()).len() >= all);
    seen(&run.stdout()).into_iter().filter(|s| s.starts_with(&format!("{pod} "))).collect()
}

#[test]
fn the_nodes_pods_are_watched() {
    let (node, kube) = (Node::new("kube-filter-watch"), Kube::plain());
    kube.put("pods", pod("web", "1", "a"));
    let mut other = pod("elsewhere", "9", "z");
    other["spec"]["nodeName"] = json!("n2");
    kube.put("pods", other);
    node.log("web", "1", 0..100);
    let mut run = node.start(&kube.url(), "");
    assert_eq!(of(&mut run, 100, "web"), want("web", "a", 0..100));
    let first = &records(&run.stdout())[0]["kubernetes"];
    assert_eq!(
        (&first["pod_ip"], &first["host"], &first["container_image"]),
        (&json!("10.0.0.7"), &json!("n1"), &json!("nginx:1"))
    );
    assert_eq!(first["docker_id"], json!(full("1")));
    // Lines may come before anybody has heard of their pod.
    node.log("late", "2", 0..50);
    node.lab.wait("a question", || kube.count("get") > 0);
    kube.put("pods", pod("late", "2", "b"));
    assert_eq!(of(&mut run, 150, "late"), want("late", "b", 0..50));
    // A label that is changed holds from then on.
    kube.put("pods", pod("late", "2", "c"));
    node.lab.wait("the change", || {
        node.log("late", "2", 50..51);
        std::thread::sleep(Duration::from_millis(50));
        seen(&run.stdout()).iter().any(|s| s == "late c 50")
    });
    let done = run.term();
    let seen = seen(&done.stdout);
    assert!(seen.iter().all(|s| !s.contains(" - ") && !s.contains('?')), "{seen:?}");
    assert_eq!((kube.count("list"), kube.count("watch"), kube.count("get")), (1, 1, 1), "{:?}", kube.asked());
    assert!(kube.asked()[0].1.contains("fieldSelector=spec.nodeName%3Dn1"), "{:?}", kube.asked());
    done.code(0).says(&["enriched, 0 unavailable", ", 3 API requests"]);
}

#[test]
fn a_pod_that_the_watch_tells_of_in_time_is_not_asked_for() {
    let (node, kube) = (Node::new("kube-filter-soon"), Kube::plain());
    kube.put("pods", pod("web", "1", "a"));
    node.log("web", "1", 0..10);
    let mut run = node.start(&kube.url(), "");
    assert_eq!(of(&mut run, 10, "web"), want("web", "a", 0..10));
    for n in 0..20 {
        node.log(&format!("late-{n}"), &format!("2{n}"), 0..5);
    }
    // Its lines are held by now.
    std::thread::sleep(Duration::from_millis(300));
    for n in 0..20 {
        kube.put("pods", pod(&format!("late-{n}"), &format!("2{n}"), "b"));
    }
    assert_eq!(of(&mut run, 110, "late-7"), want("late-7", "b", 0..5));
    // The time that was given is over.
    run.stays(Duration::from_millis(1200));
    run.term().code(0).says(&["110 enriched, 0 unavailable"]);
    assert_eq!(kube.count("get"), 0, "{:?}", kube.asked());
}

#[test]
fn a_pod_made_anew_gets_its_own_labels_from_its_first_line() {
    let (node, kube) = (Node::new("kube-filter-anew"), Kube::plain());
    kube.put("pods", pod("db-0", "1", "old"));
    node.log("db-0", "1", 0..10);
    let mut run = node.start(&kube.url(), "");
    assert_eq!(of(&mut run, 10, "db-0"), want("db-0", "old", 0..10));
    node.log("db-0", "2", 100..110);
    std::thread::sleep(Duration::from_millis(300));
    kube.delete("pods", "shop", "db-0");
    kube.put("pods", pod("db-0", "2", "new"));
    assert_eq!(of(&mut run, 20, "db-0")[10..], want("db-0", "new", 100..110));
    node.log("db-0", "1", 10..15);
    node.log("db-0", "2", 110..115);
    run.wait_for("the rest", |p| seen(&p.stdout()).len() == 30);
    let got = seen(&run.term().code(0).stdout);
    assert!(
        want("db-0", "old", 10..15).iter().chain(&want("db-0", "new", 110..115)).all(|s| got.contains(s)),
        "{got:?}"
    );
}

#[test]
fn while_the_server_does_not_answer_records_wait() {
    let (node, kube) = (Node::new("kube-filter-down"), Kube::plain());
    kube.put("pods", pod("web", "1", "a"));
    kube.answer("list", 3, 500, "");
    node.log("web", "1", 0..2000);
    // The failures take longer than that.
    let mut run = node.start(&kube.url(), "    Kube_Meta_Wait 0.2\n    Emitter_Mem_Buf_Limit 64k\n");
    node.lab.wait("failures", || kube.count("list") >= 2);
    node.log("web", "1", 2000..4000);
    assert_eq!(of(&mut run, 4000, "web"), want("web", "a", 0..4000));
    run.term().code(0).says(&["0 unavailable"]);
}

#[test]
fn nobody_waits_for_ever() {
    let node = Node::new("kube-filter-never");
    node.log("web", "1", 0..100);
    let (_taken, port) = refused_port();
    let url = format!("http://127.0.0.1:{port}");
    let mut run = node.start(&url, "    Kube_Meta_Wait 0.1\n    Kube_Meta_Wait_Down 1\n");
    assert_eq!(of(&mut run, 100, "web"), want("web", "-", 0..100));
    node.log("web", "1", 100..200);
    assert_eq!(of(&mut run, 200, "web"), want("web", "-", 0..200), "in their order");
    run.term().code(0).says(&["200 unavailable", "cannot list /api/v1/pods"]);
}

#[test]
fn without_the_right_to_watch_each_pod_is_asked_for_once() {
    let (node, kube) = (Node::new("kube-filter-403"), Kube::plain());
    kube.forbid("list", "pods");
    let huge = "x".repeat(100_000);
    let mut web = pod("web", "1", "a");
    web["spec"]["containers"] = json!([{"name": "app", "args": [huge]}]);
    kube.put("pods", web);
    node.log("web", "1", 0..500);
    node.log("gone", "2", 0..500);
    let mut run = node.start(&kube.url(), "    Kube_Meta_Wait 0.5\n");
    assert_eq!(of(&mut run, 1000, "web"), want("web", "a", 0..500));
    for n in 0..20 {
        node.log("web", "1", 500 + n..501 + n);
        node.log("gone", "2", 500 + n..501 + n);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(of(&mut run, 1040, "gone"), want("gone", "-", 0..520));
    let gets: Vec<_> = kube.asked().into_iter().filter(|(verb, _)| verb == "get").map(|(_, target)| target).collect();
    assert_eq!(gets.len(), 2, "{gets:?}");
    run.term().code(0).says(&["verbs [\"list\"]", "resources [\"pods\"]", "520 enriched, 520 unavailable"]);
}

#[test]
fn a_role_in_ones_own_namespace_is_enough_for_it() {
    let (mut node, kube) = (Node::new("kube-filter-role"), Kube::plain());
    // Our own pod tells where we are.
    node.lab.env("NODE_NAME", "").env("HOSTNAME", "collector-x");
    node.lab.write("namespace", "shop");
    kube.put("pods", pod("collector-x", "7", "self"));
    kube.put("pods", pod("web", "1", "a"));
    kube.answer("list", 1, 403, "");
    node.log("web", "1", 0..10);
    let mut run = node.start(&kube.url(), "");
    assert_eq!(of(&mut run, 10, "web"), want("web", "a", 0..10));
    let targets = || kube.asked().into_iter().map(|(_, target)| target).collect::<Vec<_>>();
    let is_ours = |target: &String| target.starts_with("/api/v1/namespaces/shop/pods?watch=1");
    node.lab.wait("a watch of the namespace", || targets().iter().any(is_ours));
    assert!(targets()[0] == "/api/v1/namespaces/shop/pods/collector-x", "{:?}", targets());
    // The right to watch all pods of the node came back.
    let is_wide = |target: &String| target.starts_with("/api/v1/pods?watch=1");
    node.lab.wait("a watch of the node", || targets().iter().any(is_wide));
    run.term().code(0);
}

#[test]
fn it_goes_on_when_the_server_forgets_and_tokens_change() {
    let (node, kube) = (Node::new("kube-filter-410"), Kube::plain());
    kube.token(Some("t1"));
    kube.put("pods", pod("web", "1", "a"));
    node.log("web", "1", 0..10);
    let mut run = node.start(&kube.url(), "");
    assert_eq!(of(&mut run, 10, "web"), want("web", "a", 0..10));
    kube.put("pods", pod("two", "2", "b"));
    kube.forget();
    node.log("two", "2", 0..10);
    assert_eq!(of(&mut run, 20, "two"), want("two", "b", 0..10));
    node.lab.write("token", "t2\n");
    kube.token(Some("t2"));
    kube.cut();
    kube.put("pods", pod("three", "3", "c"));
    node.log("three", "3", 0..10);
    assert_eq!(of(&mut run, 30, "three"), want("three", "c", 0..10));
    run.term().code(0);
}

#[test]
fn annotations_choose_parsers_and_leave_streams_out() {
    let (node, kube) = (Node::new("kube-filter-hints"), Kube::plain());
    let mut web = pod("web", "1", "a");
    web["metadata"]["annotations"] = json!({"fluentbit.io/exclude_stderr-app": "true", "fluentbit.io/parser": "nope"});
    kube.put("pods", web);
    node.log("web", "1", 0..20);
    let mut run = node.start(&kube.url(), "    K8S-Logging.Parser on\n    K8S-Logging.Exclude on\n");
    let even: Vec<_> = (0..20).step_by(2).map(|n| format!("web a {n}")).collect();
    assert_eq!(of(&mut run, 10, "web"), even);
    let done = run.term().code(0);
    assert_eq!(done.stderr.matches("parser 'nope' is not registered").count(), 1, "{}", done.stderr);
    done.says(&["10 excluded", "pod shop/web"]);
}

#[test]
fn a_shutdown_loses_nothing_that_waits() {
    let (node, kube) = (Node::new("kube-filter-term"), Kube::plain());
    kube.answer("list", 100, 500, "");
    kube.put("pods", pod("web", "1", "a"));
    node.log("web", "1", 0..100);
    let waiting = |db: &str| {
        let asked = kube.count("list");
        let mut run = node.start_with(db, &kube.url(), "");
        node.lab.wait("failures", || kube.count("list") >= asked + 2);
        run.wait_stderr("cannot list");
        std::thread::sleep(Duration::from_millis(300));
        run.term().code(0)
    };
    assert_eq!(seen(&waiting("").stdout), want("web", "-", 0..100));
    // With a database they are read again.
    let done = waiting("DB tail.db");
    assert_eq!(seen(&done.stdout), [""; 0]);
    done.says(&[
        "100 record(s) wait for metadata: they are read again at the next start",
        "100 left for the next start",
    ]);
    kube.answer_well();
    let mut run = node.start(&kube.url(), "");
    assert_eq!(of(&mut run, 100, "web"), want("web", "a", 0..100));
    run.term().code(0);
}

#[test]
fn what_waits_is_read_again_after_a_kill() {
    let (node, kube) = (Node::new("kube-filter-kill"), Kube::plain());
    kube.answer("list", 2, 500, "");
    kube.put("pods", pod("web", "1", "a"));
    node.log("web", "1", 0..100);
    let run = node.start(&kube.url(), "");
    node.lab.wait("a failure", || kube.count("list") >= 1);
    run.signal(Signal::KILL);
    assert_eq!(seen(&run.kill().stdout), [""; 0]);
    let mut run = node.start(&kube.url(), "");
    assert_eq!(of(&mut run, 100, "web"), want("web", "a", 0..100));
    run.term().code(0);
}

#[test]
fn namespaces_are_asked_for_once() {
    let (node, kube) = (Node::new("kube-filter-spaces"), Kube::plain());
    kube.put("pods", pod("web", "1", "a"));
    kube.put("namespaces", json!({"metadata": {"name": "shop", "namespace": "", "labels": {"team": "t"}}}));
    node.log("web", "1", 0..50);
    node.log("two", "2", 0..50);
    kube.put("pods", pod("two", "2", "b"));
    let mut run = node.start(&kube.url(), "    Namespace_Labels on\n");
    run.wait_for("the records", |p| seen(&p.stdout()).len() == 100);
    let all = records(&run.stdout());
    assert!(
        all.iter().all(|r| r["kubernetes_namespace"] == json!({"name": "shop", "labels": {"team": "t"}})),
        "{}",
        all[0]
    );
    assert_eq!(kube.count("get"), 1, "{:?}", kube.asked());
    run.term().code(0);
}
