//! The filter over records, with what the API would say put there by hand.

use super::pods::Source;
use super::{Kubernetes, PLUGIN, make};
use crate::conf::Kind;
use crate::filter::testing::{append, apply, batch, json, lines, refused, said};
use crate::filter::{Filter, FilterCx};
use crate::input::Ack;
use crate::rt;
use crate::time::Time;
use std::cell::Cell;
use std::rc::Rc;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The tag of a container of pod `web` in namespace `shop`.
fn tag(id: &str) -> String {
    format!("kube.var.log.containers.web_shop_app-{id}.log")
}

fn filter(conf: &[(&str, &str)]) -> Kubernetes {
    let (made, said) = crate::plugin::made(Kind::Filter, &PLUGIN.info, make::make, conf);
    made.unwrap_or_else(|| panic!("{conf:?} was refused: {said}"))
}

fn pod(annotations: &str, id: &str, label: &str) -> Vec<u8> {
    format!(
        r#"{{"metadata":{{"name":"web","namespace":"shop","uid":"u-{label}","labels":{{"app":"{label}"}},"annotations":{annotations}}},"spec":{{"nodeName":"n1"}},"status":{{"podIP":"10.0.0.7","containerStatuses":[{{"name":"app","image":"nginx:1","imageID":"sha256:02","containerID":"containerd://{id}"}}]}}}}"#
    )
    .into()
}

impl Kubernetes {
    fn put(&self, json: &[u8]) {
        assert!(self.enricher.known().pods.borrow_mut().put(json, Source::Watch, None));
    }
}

/// What comes out of these records of the container; the second time it must be the same.
fn out(filter: &mut Kubernetes, input: &[&str]) -> Vec<String> {
    let mut b = batch(&tag(ID), &[r#"{"old":1}"#]);
    b.settle();
    append(&mut b, input);
    apply(filter, &mut b, &mut FilterCx::new(Time(0)));
    let first = lines(&b);
    b.settle();
    append(&mut b, input);
    apply(filter, &mut b, &mut FilterCx::new(Time(0)));
    assert_eq!(lines(&b), first);
    assert_eq!(json(b.body(0)), r#"{"old":1}"#);
    first
}

/// The same with the metadata of the pod cut off.
fn merged(conf: &[(&str, &str)], annotations: &str, input: &[&str]) -> Vec<String> {
    let mut f = filter(&[conf, &[("Labels", "off"), ("Annotations", "off")]].concat());
    f.put(&pod(annotations, ID, "a"));
    let cut = |line: &String| {
        let at = line.find(r#""kubernetes":{"pod_name":"web""#).unwrap_or_else(|| panic!("{line}"));
        line[..at].trim_end_matches(',').to_owned() + "}"
    };
    out(&mut f, input).iter().map(cut).collect()
}

fn released(f: &mut Kubernetes, all: bool) -> Vec<String> {
    let mut cx = FilterCx::new(Time(0));
    f.release(&mut cx, all);
    cx.take_emitted().iter().flat_map(|e| e.batch.records().map(|r| json(r.body())).collect::<Vec<_>>()).collect()
}

#[test]
fn records_get_what_is_known_in_fluent_bits_order() {
    let mut f = filter(&[("Owner_References", "on")]);
    f.put(&pod(r#"{"n":"v"}"#, ID, "a"));
    let want = format!(
        r#"{{"log":"x","kubernetes":{{"pod_name":"web","namespace_name":"shop","pod_id":"u-a","labels":{{"app":"a"}},"annotations":{{"n":"v"}},"host":"n1","pod_ip":"10.0.0.7","container_name":"app","docker_id":"{ID}","container_hash":"sha256:02","container_image":"nginx:1"}}}}"#
    );
    let already = r#"{"kubernetes":{"x":1},"log":"x"}"#;
    assert_eq!(out(&mut f, &[r#"{"log":"x"}"#, already]), [want.clone(), want]);
    assert!(f.enricher.known().counters.to_string().contains("4 enriched"));
    assert_eq!((f.held(), f.due()), (0, None));
}

#[test]
fn what_the_tag_alone_says() {
    let mut f = filter(&[("Use_Tag_For_Meta", "on"), ("Set_Platform", "k8s")]);
    let want = format!(
        r#"{{"a":1,"kubernetes":{{"pod_name":"web","namespace_name":"shop","aws_entity_platform":"k8s","container_name":"app","docker_id":"{ID}"}}}}"#
    );
    assert_eq!(out(&mut f, &[r#"{"a":1}"#]), [want]);
    assert!(f.background(Rc::new(|| {})).is_none(), "nobody is asked");
    let mut b = batch("kube.other", &[r#"{"a":1}"#]);
    apply(&mut f, &mut b, &mut FilterCx::new(Time(0)));
    assert_eq!(lines(&b), [r#"{"a":1}"#]);
}

#[test]
fn dummy() {
    let mut f = filter(&[("Dummy_Meta", "on")]);
    let got = out(&mut f, &[r#"{"a":1}"#]);
    assert!(got[0].starts_with(r#"{"a":1,"kubernetes":{"dummy":"Thu Jan  1 "#), "{got:?}");
    assert!(got[0].ends_with(r#" 1970"}}"#), "{got:?}");
}

#[test]
fn merging() {
    let on = [("Merge_Log", "on")];
    let r = r#"{"log":"{\"level\":\"info\",\"n\":[1,{\"a\":null}],\"msg\":\"done\\n\"}\n","stream":"stdout"}"#;
    let fields = r#""level":"info","n":[1,{"a":null}],"msg":"done""#;
    let log = r#""log":"{\"level\":\"info\",\"n\":[1,{\"a\":null}],\"msg\":\"done\\n\"}\n""#;
    assert_eq!(merged(&on, "{}", &[r]), [format!(r#"{{{log},"stream":"stdout",{fields}}}"#)]);
    let drop = [on[0], ("Keep_Log", "off")];
    assert_eq!(merged(&drop, "{}", &[r]), [format!(r#"{{"stream":"stdout",{fields}}}"#)]);
    let under = [on[0], ("Merge_Log_Key", "app"), ("Keep_Log", "off"), ("Merge_Log_Trim", "off")];
    let untrimmed = fields.replace("done", r"done\n");
    assert_eq!(merged(&under, "{}", &[r]), [format!(r#"{{"stream":"stdout","app":{{{untrimmed}}}}}"#)]);
    // A field that is there already gives way, `log` included.
    let again = r#"{"log":"{\"log\":\"inner\",\"stream\":{\"x\":1},\"k\":1}","stream":"stdout","t":2}"#;
    assert_eq!(merged(&on, "{}", &[again]), [r#"{"t":2,"log":"inner","stream":{"x":1},"k":1}"#]);
    assert_eq!(
        merged(&[on[0], ("Merge_Log_Key", "t")], "{}", &[r#"{"log":"{\"a\":1}","t":2}"#]),
        [r#"{"log":"{\"a\":1}","t":{"a":1}}"#]
    );
    // A map is merged as it is.
    assert_eq!(merged(&drop, "{}", &[r#"{"log":{"a":"x\n","b":{}},"c":1}"#]), [r#"{"c":1,"a":"x\n","b":{}}"#]);
    for other in [
        r#"{"log":"plain"}"#,
        r#"{"log":"{\"a\":1} {\"b\":2}"}"#,
        r#"{"log":"[1]"}"#,
        r#"{"log":"{\"a\":"}"#,
        r#"{"log":5}"#,
        r#"{"message":"{\"a\":1}"}"#,
        r#"{"log":"{}"}"#,
    ] {
        assert_eq!(merged(&on, "{}", &[other]), [other]);
        assert_eq!(merged(&[on[0], ("Merge_Log_Key", "x")], "{}", &[other]), [other]);
    }
    let off = r#"{"log":"{\"a\":1}"}"#;
    assert_eq!(merged(&[], "{}", &[off]), [off]);
}

#[test]
fn parsers_of_the_filter_and_of_pods() {
    let line = r#"{"log":"a=1 b=two\n","stream":"stderr"}"#;
    let logfmt = [("Merge_Log", "on"), ("Merge_Parser", "logfmt"), ("Keep_Log", "off")];
    assert_eq!(merged(&logfmt, "{}", &[line]), [r#"{"stream":"stderr","a":"1","b":"two"}"#]);
    let conf = [("Merge_Log", "on"), ("K8S-Logging.Parser", "on"), ("Keep_Log", "off")];
    let asks = r#"{"fluentbit.io/parser_stderr-app":"logfmt"}"#;
    let out = line.replace("stderr", "stdout");
    assert_eq!(merged(&conf, asks, &[line, &out]), [r#"{"stream":"stderr","a":"1","b":"two"}"#, &out]);
    let json = r#"{"log":"{\"a\":1}"}"#;
    assert_eq!(merged(&conf, r#"{"fluentbit.io/parser":"nope"}"#, &[json]), [r#"{"a":1}"#], "as if it had not asked");
}

#[test]
fn the_time_of_a_merged_text_counts() {
    let mut f = filter(&[("Merge_Log", "on"), ("Merge_Parser", "cri")]);
    f.put(&pod("{}", ID, "a"));
    let mut b = batch(&tag(ID), &[r#"{"log":"2024-05-06T07:08:09.5Z stdout F x"}"#, r#"{"log":"x"}"#]);
    let before = b.record(1).time();
    apply(&mut f, &mut b, &mut FilterCx::new(Time(0)));
    assert_eq!((b.record(0).time(), b.record(1).time()), (Time(1_714_979_289_500_000_000), before));
}

#[test]
fn pods_may_be_left_out() {
    let mut f = filter(&[("K8S-Logging.Exclude", "on")]);
    f.put(&pod(r#"{"fluentbit.io/exclude_stderr":"true"}"#, ID, "a"));
    let got = out(&mut f, &[r#"{"stream":"stderr"}"#, r#"{"stream":"stdout"}"#, r#"{"a":1}"#]);
    assert_eq!(got.len(), 2);
    assert!(f.enricher.known().counters.to_string().contains("4 enriched") && got[0].contains("stdout"));
    assert!(f.enricher.known().counters.to_string().contains("2 excluded"));
    let mut off = filter(&[]);
    off.put(&pod(r#"{"fluentbit.io/exclude":"true"}"#, ID, "a"));
    assert_eq!(out(&mut off, &[r#"{"a":1}"#]).len(), 1);
}

#[test]
fn records_wait_with_their_acknowledgements_and_in_order() {
    let fired = Rc::new(Cell::new(0));
    let mut f = filter(&[]);
    let give = |f: &mut Kubernetes, n: usize| {
        let count = fired.clone();
        let mut cx = FilterCx::with_acks(Time(0), vec![Ack::new(move || count.set(count.get() + 1))]);
        let mut b = batch(&tag(ID), &[&format!(r#"{{"n":{n}}}"#), &format!(r#"{{"n":{n}.5}}"#)]);
        apply(f, &mut b, &mut cx);
        lines(&b).len()
    };
    assert_eq!([give(&mut f, 1), give(&mut f, 2)], [0, 0]);
    assert!(f.held() > 0 && f.due().is_some_and(|due| due > rt::now()) && fired.get() == 0);
    assert!(released(&mut f, false).is_empty());
    // What is known now does not let later records overtake those that wait.
    f.put(&pod("{}", ID, "a"));
    assert_eq!(give(&mut f, 3), 0);
    let mut cx = FilterCx::new(Time(0));
    f.release(&mut cx, false);
    let all = cx.take_emitted();
    assert_eq!((all.len(), all[0].acks.as_ref().unwrap().len(), fired.get()), (1, 3, 0));
    let got: Vec<_> = all[0].batch.records().map(|r| json(r.body())).collect();
    assert_eq!(got.len(), 6);
    assert!(
        got[0].starts_with(r#"{"n":1,"kubernetes":{"#) && got[5].starts_with(r#"{"n":3.5,"kubernetes""#),
        "{got:?}"
    );
    drop(all);
    assert_eq!((fired.get(), f.held(), f.due()), (3, 0, None));
    assert_eq!(give(&mut f, 4), 2);
}

#[test]
fn much_that_waited_comes_in_portions_and_in_order() {
    let mut f = filter(&[]);
    let line = |n: usize| format!(r#"{{"n":{n},"log":"{}"}}"#, "x".repeat(1000));
    for n in 0..3000 {
        apply(&mut f, &mut batch(&tag(ID), &[&line(n)]), &mut FilterCx::new(Time(0)));
    }
    f.put(&pod("{}", ID, "a"));
    let (before, mut got) = (f.held(), Vec::new());
    assert!(before > 3_000_000, "{before}");
    let first = released(&mut f, false);
    assert!(first.len() < 2000 && f.held() > before / 3 && f.due().is_some_and(|due| due <= rt::now()));
    got.extend(first);
    // What comes meanwhile comes behind.
    apply(&mut f, &mut batch(&tag(ID), &[&line(3000)]), &mut FilterCx::new(Time(0)));
    while f.held() > 0 {
        got.extend(released(&mut f, false));
    }
    let numbers: Vec<usize> = got.iter().map(|l| l[5..].split(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(numbers, (0..3001).collect::<Vec<_>>());
    assert_eq!(released(&mut f, false).len(), 0);
    assert_eq!(f.due(), None);
}

#[test]
fn what_waited_in_vain_is_marked() {
    let mut f = filter(&[("Kube_Meta_Wait", "0s"), ("Kube_Meta_Wait_Down", "0s")]);
    let mut b = batch(&tag(ID), &[r#"{"n":1}"#]);
    apply(&mut f, &mut b, &mut FilterCx::new(Time(0)));
    assert!(lines(&b).is_empty());
    let marked = format!(
        r#"{{"n":1,"kubernetes":{{"pod_name":"web","namespace_name":"shop","container_name":"app","docker_id":"{ID}","meta":"unavailable"}}}}"#
    );
    assert_eq!(released(&mut f, false), std::slice::from_ref(&marked));
    assert_eq!(out(&mut f, &[r#"{"n":1}"#]), [marked], "nobody waits again");
    assert!(f.enricher.known().counters.to_string().contains("3 unavailable"));
    f.put(&pod("{}", ID, "a"));
    assert!(out(&mut f, &[r#"{"n":1}"#])[0].contains(r#""app":"a""#), "it came after all");
}

#[test]
fn a_pod_made_anew_gets_its_own_labels() {
    let mut f = filter(&[]);
    f.put(&pod("{}", ID, "a"));
    assert!(out(&mut f, &["{}"])[0].contains(r#""app":"a""#));
    let newer = ID.replace('0', "9");
    let mut b = batch(&tag(&newer), &["{}"]);
    apply(&mut f, &mut b, &mut FilterCx::new(Time(0)));
    assert!(lines(&b).is_empty(), "the pod that is known has no such container");
    f.enricher.known().pods.borrow_mut().gone(&pod("{}", ID, "a"));
    f.put(&pod("{}", &newer, "b"));
    assert!(released(&mut f, false)[0].contains(r#""app":"b""#));
    assert!(out(&mut f, &["{}"])[0].contains(r#""app":"a""#), "lines of the old one that are still read");
}

#[test]
fn a_container_that_nobody_tells_of_is_one_of_the_pod_of_its_name() {
    let mut f = filter(&[("Kube_Meta_Wait", "0s"), ("Kube_Meta_Wait_Down", "0s")]);
    // Ids of its earlier runs are told by nobody.
    let often =
        String::from_utf8(pod("{}", "other", "a")).unwrap().replace(r#""imageID""#, r#""restartCount":2,"imageID""#);
    f.put(often.as_bytes());
    let mut b = batch(&tag(ID), &["{}"]);
    apply(&mut f, &mut b, &mut FilterCx::new(Time(0)));
    let got = released(&mut f, false);
    assert!(got[0].contains(r#""app":"a""#) && got[0].contains(ID), "{got:?}");
}

#[test]
fn a_container_of_another_pod_of_the_same_name_does_not_get_its_metadata() {
    let mut f = filter(&[("Kube_Meta_Wait", "0s"), ("Kube_Meta_Wait_Down", "0s")]);
    f.put(&pod("{}", "other", "a"));
    apply(&mut f, &mut batch(&tag(ID), &["{}"]), &mut FilterCx::new(Time(0)));
    let got = released(&mut f, false);
    assert!(got[0].contains(r#""meta":"unavailable""#) && !got[0].contains("app\":\"a"), "{got:?}");
}

#[test]
fn at_the_end_nothing_waits() {
    let mut f = filter(&[]);
    apply(&mut f, &mut batch(&tag(ID), &["{}"]), &mut FilterCx::new(Time(0)));
    assert_eq!(released(&mut f, true).len(), 1);
    assert_eq!(f.held(), 0);
}

#[test]
fn namespaces() {
    let mut f = filter(&[("Namespace_Labels", "on"), ("Namespace_Metadata_Only", "on")]);
    let mut b = batch(&tag(ID), &["{}"]);
    apply(&mut f, &mut b, &mut FilterCx::new(Time(0)));
    assert!(lines(&b).is_empty());
    let known = f.enricher.known().clone();
    assert_eq!(known.question(None).as_deref(), Some("shop/"));
    assert_eq!(known.question(None), None, "pods do not matter");
    let json = br#"{"metadata":{"labels":{"team":"t"},"annotations":{"x":"y"}}}"#;
    known.spaces.borrow_mut().put("shop", json, rt::now(), &mut known.tidy.borrow_mut());
    let want = r#"{"kubernetes_namespace":{"name":"shop","labels":{"team":"t"}}}"#;
    assert_eq!(released(&mut f, false), [want]);
    assert_eq!(out(&mut f, &["{}"]), [want]);
}

#[test]
fn the_journal() {
    let mut f = filter(&[("Use_Journal", "on")]);
    f.put(&pod("{}", ID, "a"));
    let name = r#""CONTAINER_NAME":"k8s_app.12ab_web_shop_u-a_0""#;
    let other = r#""CONTAINER_NAME":"k8s_app.12ab_other_shop_u-b_0""#;
    let records = [
        format!(r#"{{"n":1,{name},"CONTAINER_ID_FULL":"{ID}"}}"#),
        r#"{"n":2}"#.to_owned(),
        format!(r#"{{"n":3,{other}}}"#),
        format!(r#"{{"n":4,{name},"CONTAINER_ID_FULL":"{ID}"}}"#),
        r#"{"n":5,"CONTAINER_NAME":"registry"}"#.to_owned(),
    ];
    let mut b = batch("journal", &records.each_ref().map(String::as_str));
    apply(&mut f, &mut b, &mut FilterCx::new(Time(0)));
    let got = lines(&b);
    assert_eq!(got.len(), 4, "{got:?}");
    for n in [0, 2] {
        assert!(got[n].contains(r#""pod_id":"u-a""#) && got[n].contains(r#""container_hash":"12ab""#), "{got:?}");
    }
    assert_eq!((got[1].as_str(), got[3].contains("kubernetes")), (r#"{"n":2}"#, false));
    let late = released(&mut f, true);
    assert!(late.len() == 1 && late[0].starts_with(r#"{"n":3"#) && late[0].contains("unavailable"), "{late:?}");
}

#[test]
fn files_come_before_the_api() {
    let dir = std::env::temp_dir().join(format!("collector-meta-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("shop_web.meta"), r#"{"metadata":{"uid":"f","labels":{"app":"file"}}}"#).unwrap();
    std::fs::write(dir.join("shop.namespace_meta"), r#"{"metadata":{"labels":{"team":"t"}}}"#).unwrap();
    let dir_text = dir.display().to_string();
    let mut f = filter(&[("Kube_Meta_Preload_Cache_Dir", &dir_text), ("Namespace_Labels", "on")]);
    let got = out(&mut f, &["{}"]);
    std::fs::remove_dir_all(&dir).unwrap();
    let want = format!(
        r#"{{"kubernetes":{{"pod_name":"web","namespace_name":"shop","pod_id":"f","labels":{{"app":"file"}},"container_name":"app","docker_id":"{ID}"}},"kubernetes_namespace":{{"name":"shop","labels":{{"team":"t"}}}}}}"#
    );
    assert_eq!(got, [want]);
    assert!(!f.enricher.known().has_questions());
}

#[test]
fn configurations() {
    let all = PLUGIN.info.keys.len() + PLUGIN.info.unserved.len() + crate::kube::ApiConf::KEYS.len();
    assert_eq!(all, 53 + 6, "those of Fluent Bit, and ours");
    assert!(refused(&PLUGIN, &[("Kube_Tag_Prefixx", "x")]).contains("Did you mean 'Kube_Tag_Prefix'?"));
    assert!(refused(&PLUGIN, &[("Regex_Parser", "nope")]).contains("nope"));
    assert!(refused(&PLUGIN, &[("Kube_URL", "cluster")]).contains("Kube_URL"));
    assert_eq!(said(&PLUGIN, &[("Merge_Log", "off"), ("K8S-Logging.Exclude", "false")]), "");
    let idle = said(&PLUGIN, &[("K8S-Logging.Parser", "on"), ("Keep_Log", "off"), ("Namespace_Metadata_Only", "on")]);
    assert_eq!(idle.matches("has no effect without").count(), 3, "{idle}");
    assert!(said(&PLUGIN, &[("AWS_Use_Pod_Association", "on")]).contains("not served"));
}
