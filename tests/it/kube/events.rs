//! The input `kubernetes_events` beside a scripted server.

use super::server::Kube;
use crate::lab::{Lab, Proc};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

/// An event that last happened so many seconds ago.
fn event(name: &str, count: u64, ago: u64) -> Value {
    let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() - Duration::from_secs(ago);
    let mut text = Vec::new();
    collector::time::rfc3339::write(collector::time::Time(at.as_secs() as i64 * 1_000_000_000), &mut text);
    let text = String::from_utf8(text).unwrap();
    // As servers write it: whole seconds.
    let at = format!("{}Z", text.split('.').next().unwrap());
    json!({
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "creationTimestamp": at},
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-0"},
        "reason": "Pulled", "message": format!("Container image \"{name}\" already present"),
        "count": count, "type": "Normal", "firstTimestamp": at, "lastTimestamp": at, "eventTime": null,
    })
}

fn conf(kube: &Kube, keys: &str) -> String {
    let ca = if kube.ca.is_some() { "    Kube_CA_File ca.pem\n" } else { "" };
    format!(
        "[SERVICE]\n    Flush 0.05\n    Grace 2\n[INPUT]\n    Name kubernetes_events\n    Tag k8s\n    Kube_URL {}\n{ca}    \
         Kube_Token_File token\n    Interval_NSec 10000000\n{keys}[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n    Json_Date_Key false\n",
        kube.url()
    )
}

fn start(lab: &Lab, kube: &Kube, keys: &str) -> Proc {
    lab.write("token", "t1\n");
    if let Some(ca) = &kube.ca {
        lab.write("ca.pem", ca);
    }
    lab.start(&conf(kube, keys))
}

/// Name and count of each record so far.
fn got(text: &str) -> Vec<String> {
    let records = text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
    records.map(|r| format!("{} {}", r["metadata"]["name"].as_str().unwrap(), r["count"])).collect()
}

#[test]
fn events_are_listed_in_pages_and_watched() {
    let lab = Lab::new("kube-events");
    let kube = Kube::plain();
    let first = event("e0", 1, 60);
    kube.put("events", first.clone());
    for n in 1..5 {
        kube.put("events", event(&format!("e{n}"), 1, 60));
    }
    kube.put("events", event("old", 1, 7200));
    let mut run = start(&lab, &kube, "    Kube_Request_Limit 2\n");
    run.wait_for("the list", |p| got(&p.stdout()).len() == 5);
    lab.wait("a watch", || kube.watches() == 1);
    assert_eq!(kube.count("list"), 3, "{:?}", kube.asked());
    kube.put("events", event("new", 1, 0));
    kube.put("events", event("e1", 2, 0));
    kube.delete("events", "shop", "e0");
    kube.bookmark("events");
    run.wait_stdout("\"new\"");
    // Broken off: the next watch goes on from the bookmark.
    kube.cut();
    lab.wait("the next watch", || kube.count("watch") == 2 && kube.watches() == 1);
    kube.put("events", event("last", 1, 0));
    run.wait_stdout("\"last\"");
    let bookmark = kube.asked().iter().filter(|(verb, _)| verb == "watch").map(|(_, t)| t.clone()).collect::<Vec<_>>();
    assert!(bookmark[1].contains("resourceVersion=110&"), "{bookmark:?}");
    assert!(
        bookmark[0].contains("timeoutSeconds=600") && bookmark[0].contains("allowWatchBookmarks=true"),
        "{bookmark:?}"
    );
    let done = run.term().code(0);
    assert_eq!(got(&done.stdout), ["e0 1", "e1 1", "e2 1", "e3 1", "e4 1", "new 1", "e1 2", "last 1"]);
    // The record is the event.
    let mut record: Value = serde_json::from_str(done.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(record["metadata"].as_object_mut().unwrap().remove("resourceVersion"), Some(json!("101")));
    assert_eq!(record, first);
    assert_eq!(kube.count("list"), 3);
}

#[test]
#[cfg(feature = "sqlite")]
fn a_restart_repeats_nothing_and_loses_nothing() {
    let lab = Lab::new("kube-events-db");
    let kube = Kube::plain();
    kube.put("events", event("a", 1, 60));
    kube.put("events", event("b", 1, 60));
    let keys = "    DB events.db\n";
    let mut run = start(&lab, &kube, keys);
    run.wait_stdout("\"b\"");
    assert_eq!(got(&run.term().code(0).stdout), ["a 1", "b 1"]);
    let left = || lab.wait("the end of the watch", || kube.watches() == 0);
    left();
    // While it is away: one more, one counted up, one that went.
    kube.put("events", event("c", 1, 1));
    kube.put("events", event("a", 2, 1));
    kube.delete("events", "shop", "b");
    let mut run = start(&lab, &kube, keys);
    run.wait_for("the new ones", |p| got(&p.stdout()).len() == 2);
    lab.wait("a watch", || kube.watches() == 1);
    kube.put("events", event("d", 1, 0));
    run.wait_stdout("\"d\"");
    assert_eq!(got(&run.kill().stdout), ["a 2", "c 1", "d 1"]);
    left();
    // Killed: what was written to the DB by then is not repeated, the rest is; nothing is missing.
    let mut run = start(&lab, &kube, keys);
    lab.wait("a watch", || kube.watches() == 1);
    kube.put("events", event("e", 1, 0));
    run.wait_stdout("\"e\"");
    let names = got(&run.term().code(0).stdout);
    assert!(names.ends_with(&["e 1".to_owned()]) && !names.contains(&"b 1".to_owned()), "{names:?}");
    left();
    let run = start(&lab, &kube, keys);
    lab.wait("a watch", || kube.watches() == 1);
    assert_eq!(run.term().code(0).stdout, "", "all of it was delivered");
}

#[test]
#[cfg(feature = "sqlite")]
fn what_is_not_delivered_is_not_written_down() {
    let lab = Lab::new("kube-events-undelivered");
    let kube = Kube::plain();
    kube.put("events", event("a", 1, 10));
    lab.write("token", "t1\n");
    let dead = crate::lab::refused_port();
    let to = format!("[OUTPUT]\n    Name tcp\n    Match *\n    Host 127.0.0.1\n    Port {}\n", dead.1);
    let with = conf(&kube, "    DB events.db\n");
    let conf = format!("{}{to}", with.split("[OUTPUT]").next().unwrap());
    let run = lab.start(&conf);
    lab.wait("a watch", || kube.watches() == 1);
    run.term();
    let mut run = lab.start(&with);
    run.wait_stdout("\"a\"");
    assert_eq!(got(&run.term().code(0).stdout), ["a 1"]);
}

#[test]
fn failures_pass_and_are_said() {
    let lab = Lab::new("kube-events-failures");
    let kube = Kube::plain();
    kube.put("events", event("a", 1, 10));
    kube.answer("list", 1, 500, "");
    kube.answer("list", 1, 429, "Retry-After: 1\r\n");
    kube.break_list_after(150);
    let mut run = start(&lab, &kube, "");
    run.wait_stdout("\"a\"");
    run.wait_stderr("the API server answers again");
    lab.wait("a watch", || kube.watches() == 1);
    // The server has forgotten the version: listed anew, with what went on meanwhile.
    kube.forget();
    kube.put("events", event("b", 1, 0));
    kube.cut();
    run.wait_stdout("\"b\"");
    lab.wait("a watch", || kube.watches() == 1);
    kube.put("events", event("c", 1, 0));
    run.wait_stdout("\"c\"");
    let done = run.term().code(0);
    assert_eq!(got(&done.stdout), ["a 1", "b 1", "c 1"]);
    done.says(&[
        "the server answers 500, as the test asked for",
        "the server is busy (429",
        "in the middle of its answer",
    ]);
}

#[test]
fn a_refusal_names_the_rule_and_is_not_tried_often() {
    let lab = Lab::new("kube-events-forbidden");
    let kube = Kube::plain();
    kube.forbid("watch", "events");
    kube.put("events", event("a", 1, 10));
    let mut run = start(&lab, &kube, "");
    run.wait_stdout("\"a\"");
    run.wait_stderr("resources [\"events\"], verbs [\"watch\"] is missing");
    run.stays(Duration::from_millis(500));
    assert_eq!((kube.count("watch"), kube.count("list")), (1, 1), "{:?}", kube.asked());
    run.term().code(0).says(&["cannot watch resource \"events\"", "again in "]);
}

#[test]
fn a_new_token_is_read_at_once() {
    let lab = Lab::new("kube-events-token");
    let kube = Kube::plain();
    kube.token(Some("t1"));
    kube.put("events", event("a", 1, 10));
    let mut run = start(&lab, &kube, "");
    run.wait_stdout("\"a\"");
    lab.wait("a watch", || kube.watches() == 1);
    // The token changes as the kubelet does it: a new file under the old name.
    lab.write("token.new", "t2");
    std::fs::rename(lab.path("token.new"), lab.path("token")).unwrap();
    kube.token(Some("t2"));
    kube.put("events", event("b", 1, 0));
    kube.cut();
    run.wait_stdout("\"b\"");
    // No token at all, for a while.
    kube.token(Some("t3"));
    kube.cut();
    run.wait_stderr("does not take our token (401, Unauthorized)");
    lab.write("token", "t3");
    kube.put("events", event("c", 1, 0));
    run.wait_stdout("\"c\"");
    assert_eq!(got(&run.term().code(0).stdout), ["a 1", "b 1", "c 1"]);
}

#[test]
fn a_command_gives_the_token() {
    let lab = Lab::new("kube-events-command");
    let kube = Kube::plain();
    kube.token(Some("of-a-command"));
    kube.put("events", event("a", 1, 10));
    let mut run = start(&lab, &kube, "    Kube_Token_Command echo of-a-command\n");
    run.wait_stdout("\"a\"");
    run.term().code(0);
    let lab = Lab::new("kube-events-bad-command");
    let mut run = start(&lab, &kube, "    Kube_Token_Command exit 3\n");
    run.wait_stderr("Kube_Token_Command 'exit 3' failed (exit status: 3)");
    run.term().code(0);
}

#[test]
fn a_huge_event_is_passed_over() {
    let lab = Lab::new("kube-events-huge");
    let kube = Kube::plain();
    let mut huge = event("huge", 1, 0);
    huge["message"] = json!("x".repeat(9 << 20));
    kube.put("events", huge.clone());
    kube.put("events", event("a", 1, 0));
    let mut run = start(&lab, &kube, "");
    run.wait_stdout("\"a\"");
    lab.wait("a watch", || kube.watches() == 1);
    huge["count"] = json!(2);
    kube.put("events", huge);
    kube.put("events", event("b", 1, 0));
    run.wait_stdout("\"b\"");
    let done = run.term().code(0);
    assert_eq!(got(&done.stdout), ["a 1", "b 1"]);
    done.says(&["1 objects larger than 8 MiB are passed over"]);
}

#[test]
#[cfg(feature = "tls")]
fn certificates_are_checked_and_what_is_wrong_is_said() {
    let lab = Lab::new("kube-events-tls");
    let kube = Kube::tls();
    kube.put("events", event("a", 1, 10));
    let mut run = start(&lab, &kube, "    Kube_Namespace shop\n");
    run.wait_stdout("\"a\"");
    lab.wait("a watch", || kube.watches() == 1);
    kube.put("events", event("b", 1, 10));
    run.wait_stdout("\"b\"");
    run.term().code(0);
    assert!(kube.asked()[0].1.starts_with("/api/v1/namespaces/shop/events"), "{:?}", kube.asked());
    // The authority's file comes later.
    std::fs::remove_file(lab.path("ca.pem")).unwrap();
    let mut run = lab.start(&conf(&kube, ""));
    run.wait_stderr("Kube_CA_File");
    run.wait_stderr("cannot list /api/v1/events: Kube_CA_File");
    lab.write("ca.pem", kube.ca.as_ref().unwrap());
    run.wait_stdout("\"a\"");
    run.term().code(0).says(&["ca.pem", "again in"]);
    let other = Kube::tls_for(&["elsewhere.example"], |_| {});
    let old = Kube::tls_for(&["localhost"], |p| p.not_after = rcgen::date_time_ymd(2001, 2, 3));
    for (server, keys, want) in [
        (&other, "", "it is not made out to 'localhost' but to elsewhere.example (tls.vhost"),
        (&old, "", "it expired on 2001-02-03"),
    ] {
        let lab = Lab::new("kube-events-tls-wrong");
        let mut run = start(&lab, server, keys);
        run.wait_stderr(want);
        run.term().code(0);
    }
    let lab = Lab::new("kube-events-tls-vhost");
    other.put("events", event("a", 1, 10));
    let mut run = start(&lab, &other, "    tls.vhost elsewhere.example\n");
    run.wait_stdout("\"a\"");
    run.term().code(0);
    let lab = Lab::new("kube-events-tls-stranger");
    lab.write("token", "t1");
    lab.write("ca.pem", other.ca.as_ref().unwrap());
    let mut run = lab.start(&conf(&kube, ""));
    run.wait_stderr("of another authority of the same name than the one in Kube_CA_File");
    run.term().code(0);
}

#[test]
#[cfg(feature = "tls")]
fn a_pod_without_the_clusters_names_takes_the_address_of_its_environment() {
    let mut lab = Lab::new("kube-events-env");
    let kube = Kube::tls();
    kube.put("events", event("a", 1, 10));
    lab.env("KUBERNETES_SERVICE_HOST", "127.0.0.1").env("KUBERNETES_SERVICE_PORT", &kube.port().to_string());
    lab.write("token", "t1");
    lab.write("ca.pem", kube.ca.as_ref().unwrap());
    let conf = conf(&kube, "");
    let url = conf.lines().find(|l| l.contains("Kube_URL")).unwrap();
    let mut run = lab.start(&conf.replace(url, ""));
    run.wait_stdout("\"a\"");
    run.term().code(0);
}

#[test]
fn without_a_token_that_is_what_is_missing() {
    let lab = Lab::new("kube-events-anonymous");
    let kube = Kube::plain();
    kube.forbid("list", "events");
    let mut run = lab.start(&conf(&kube, ""));
    run.wait_stderr("access is refused (403, events is forbidden");
    run.wait_stderr("no token was sent, Kube_Token_File 'token' cannot be read: No such file or directory");
    kube.allow_all();
    run.term().code(0).silent_about(&["ClusterRole"]);
}

/// Slow is not dead, and what comes in pieces comes.
#[test]
fn a_slow_server_is_waited_for() {
    let lab = Lab::new("kube-events-slow");
    let kube = Kube::plain();
    kube.slow(Duration::from_millis(300));
    kube.page(2);
    for n in 0..5 {
        kube.put("events", event(&format!("e{n}"), 1, 60));
    }
    let mut run = start(&lab, &kube, "    Kube_Watch_Timeout 1\n");
    run.wait_for("the list", |p| got(&p.stdout()).len() == 5);
    // Watches end after a second, and follow each other without a new list.
    lab.wait("some watches", || kube.count("watch") >= 4);
    kube.put("events", event("late", 1, 0));
    run.wait_stdout("\"late\"");
    let done = run.term().code(0).silent_about(&["cannot"]);
    assert_eq!((got(&done.stdout).len(), kube.count("list")), (6, 3), "{}", done.report());
}
