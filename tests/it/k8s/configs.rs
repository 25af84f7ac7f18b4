//! The configurations of the manifests are accepted without a warning, and run; those of others too.

use super::{Workload, kind, list, name, objects, sets, yaml};
use crate::lab::{HttpSink, Lab, free_port, is_native, refused_port, samples, skip};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

/// Writes the files of a ConfigMap.
fn unpack(lab: &Lab, files: &BTreeMap<String, String>) {
    files.iter().for_each(|(file, text)| _ = lab.write(file, text));
}

/// The check of the configuration has nothing to say, but that this is no pod: only there is an account of the cluster.
fn accepts(lab: &Lab) {
    let done = lab.exec(&["-c", "fluent-bit.conf", "--dry-run"]).code(0);
    let said: Vec<_> = done.stderr.lines().filter(|l| !l.contains("/var/run/secrets/kubernetes.io/")).collect();
    assert!(said.is_empty(), "{said:?}\n{}", done.report());
}

/// An API server that is not there, in the place of the cluster's.
fn without_api(text: &str, prefix: &str, port: u16) -> String {
    let keys = format!("Kube_Tag_Prefix kube.\n    Kube_URL http://127.0.0.1:{port}\n    Kube_Meta_Wait_Down 1s");
    text.replace(prefix, &keys)
}

#[test]
fn every_configuration_is_accepted_without_a_warning() {
    for (set, objects) in sets() {
        let maps = objects.iter().filter(|o| kind(o) == "ConfigMap").count();
        let workloads = Workload::all(&objects);
        assert_eq!(maps, workloads.len(), "{set}: a configuration for each");
        for workload in workloads {
            let mut lab = Lab::new("k8s-dry-run");
            unpack(&lab, &workload.files);
            for variable in list(&workload.collector["env"]) {
                lab.env(variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap_or("of-the-pod"));
            }
            accepts(&lab);
            // Every variable is given, and every one that is given is used.
            let all: String = workload.files.values().map(String::as_str).collect();
            let given: Vec<_> = list(&workload.collector["env"]).map(|v| v["name"].as_str().unwrap()).collect();
            for used in all.split("${").skip(1).map(|rest| rest.split('}').next().unwrap()) {
                assert!(given.contains(&used), "{set}: {}: no variable {used}", name(workload.object));
            }
        }
    }
}

const ID: &str = "4c2f9d3c1f9e7a6b5d8c0e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d";

/// A container's file, as it is named on a node.
fn log_file(pod: &str, namespace: &str, container: &str) -> String {
    format!("log/containers/{pod}_{namespace}_{container}-{ID}.log")
}

/// The documents, by their line; those of a JSON line by its message.
fn documents(server: &HttpSink) -> BTreeMap<String, Value> {
    let documents = server.documents();
    let values = documents.iter().map(|text| serde_json::from_str::<Value>(text).unwrap());
    let line = |v: &Value| v["message"].as_str().or(v["log"].as_str()).unwrap_or_default().trim_end().to_owned();
    values.map(|v| (line(&v), v)).collect()
}

/// The nodes' collector on the files of a node: Docker's and a CRI runtime's, pieces of long lines, names with dots. There is no
/// API server: what the names of files tell must be there all the same.
#[test]
fn the_files_of_a_node() {
    let objects = objects(&["daemonset"]);
    let all = Workload::all(&objects);
    let mut lab = Lab::new("k8s-node");
    let server = HttpSink::stores_all();
    lab.env("NODE_NAME", "node-1").env("ELASTICSEARCH_HOST", "127.0.0.1");
    lab.env("ELASTICSEARCH_PORT", &server.port().to_string());
    let (_none, nobody) = refused_port();
    let logs = lab.path("log").display().to_string();
    let state = lab.path("state").display().to_string();
    for (file, text) in &all[0].files {
        let text = text.replace("/var/log/", &format!("{logs}/")).replace("/var/lib/collector", &state);
        let text = text.replace("HTTP_Port          2020", &format!("HTTP_Port {}", free_port()));
        let text = text.replace("Flush              1", "Flush 0.05");
        let text =
            text.replace("Generate_ID               On", "Generate_ID On\n    Include_Tag_Key On\n    Tag_Key tag");
        lab.write(file, without_api(&text, "Kube_Tag_Prefix      kube.", nobody));
    }
    fs::create_dir_all(lab.path("state")).unwrap();
    let docker =
        |text: &str| format!("{{\"log\":\"{text}\",\"stream\":\"stdout\",\"time\":\"2026-11-21T10:00:00.5Z\"}}\n");
    let cri = |mark: char, text: &str| format!("2026-11-21T10:00:00.123456789Z stderr {mark} {text}\n");
    lab.write(&log_file("web-0", "shop", "nginx"), docker("of docker\\n") + &docker("a long ") + &docker("line\\n"));
    lab.write(
        &log_file("kube-proxy-node.1", "kube-system", "kube-proxy"),
        cri('F', "of cri") + &cri('P', "in ") + &cri('F', "pieces"),
    );
    lab.write(&log_file("web-1", "shop", "app"), cri('F', r#"{"message":"json inside","level":"warn"}"#));
    lab.write(&log_file("collector-x7", "logging", "collector"), cri('F', "of the collector itself"));
    // As on a node: for root's eyes, and root has no capability that would let it see more.
    let mode = |file: &str, mode: u32| {
        fs::set_permissions(lab.path(file), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    let files =
        fs::read_dir(lab.path("log/containers")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    files.for_each(|file| mode(&format!("log/containers/{file}"), 0o600));
    mode("log/containers", 0o700);
    let root = rustix::process::geteuid().is_root() && is_native();
    let command = lab.command(&["-c", "fluent-bit.conf"]);
    let mut run = if root {
        let other = lab.write(&log_file("web-2", "shop", "app"), cri('F', "of another user"));
        mode(&log_file("web-2", "shop", "app"), 0o600);
        std::os::unix::fs::chown(other, Some(65532), Some(65532)).unwrap();
        command.through(&["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]).start()
    } else {
        skip("only root can be root without capabilities");
        command.start()
    };
    if root {
        run.wait_stderr("ermission denied");
    }
    lab.wait("the records", || documents(&server).len() >= 5);
    run.term().code(0);
    let got = documents(&server);
    let tag = |line: &str| got[line]["tag"].as_str().unwrap().to_owned();
    assert_eq!(tag("of docker"), format!("kube.shop.nginx.web-0.{ID}-"));
    assert_eq!(tag("of cri"), format!("kube.kube-system.kube-proxy.kube-proxy-node.1.{ID}-"));
    assert_eq!(got["in pieces"]["stream"], "stderr");
    assert!(got["of cri"]["@timestamp"].as_str().unwrap().starts_with("2026-11-21T10:00:00.123"), "{}", got["of cri"]);
    assert!(got.contains_key("a long line") && got.len() == 5, "{:?}", got.keys());
    let meta = |line: &str, key: &str| got[line]["kubernetes"][key].as_str().unwrap_or_default().to_owned();
    assert_eq!(meta("of cri", "pod_name"), "kube-proxy-node.1");
    assert_eq!(
        (meta("of docker", "container_name"), meta("of docker", "namespace_name")),
        ("nginx".into(), "shop".into())
    );
    assert_eq!(meta("of docker", "meta"), "unavailable");
    assert_eq!(got["json inside"]["level"], "warn", "Merge_Log");
}

/// The manifests of an EFK stack that stands already: nothing but the image's name is changed.
#[test]
fn only_the_image_is_changed() {
    let Some(dir) = samples("configs") else { return };
    let text = fs::read_to_string(dir.join("k8s-manifests.yaml")).unwrap();
    let text =
        text.replace("image: fluent/fluent-bit\n", concat!("image: collector:", env!("CARGO_PKG_VERSION"), "\n"));
    let objects = yaml::parse(&text).unwrap();
    let all = Workload::all(&objects);
    assert_eq!(all.iter().map(|w| name(w.object)).collect::<Vec<_>>(), ["fluent-bit"]);
    let lab = Lab::new("k8s-efk");
    let (server, logs) = (HttpSink::stores_all(), lab.path("log").display().to_string());
    let (_none, nobody) = refused_port();
    unpack(&lab, &all[0].files);
    accepts(&lab);
    // Here: other paths, and a server that has no name.
    let host = format!("Host            127.0.0.1\n    Port {}", server.port());
    for (file, text) in &all[0].files {
        let text = text.replace("/var/log/", &format!("{logs}/")).replace("Host            elasticsearch", &host);
        let text = text.replace("Flush         5", "Flush 0.05").replace("Log_Level     warn", "Log_Level info");
        lab.write(file, without_api(&text, "Kube_Tag_Prefix     kube.", nobody));
    }
    fs::create_dir_all(lab.path("log/containers")).unwrap();
    let mut run = lab.spawn(&["-c", "fluent-bit.conf"]);
    run.wait_stderr("no file matches");
    let line = r#"{"log":"1.2.3.4 - - [21/Nov/2026:10:00:00 +0000] \"GET / HTTP/1.1\" 200 5\n","stream":"stdout","time":"2026-11-21T10:00:00.5Z"}"#;
    lab.write(&log_file("web-0", "nginx-test", "nginx"), format!("{line}\n"));
    lab.write(&log_file("web-0", "other", "nginx"), format!("{line}\n"));
    lab.wait("the document", || !server.documents().is_empty());
    run.wait_stdout("GET / HTTP/1.1");
    let done = run.term().code(0).silent_about(&["[error] [input"]);
    let [document] = &server.documents()[..] else { panic!("{:?}", server.documents()) };
    let document: Value = serde_json::from_str(document).unwrap();
    assert_eq!(document["stream"], "stdout");
    assert!(document["log"].as_str().unwrap().starts_with("1.2.3.4 - - [21/Nov/2026"), "{document}");
    assert_eq!(document["kubernetes"]["namespace_name"], "nginx-test", "{document}");
    assert_eq!(done.stdout.lines().count(), 1, "{}", done.report());
    let head = server.requests()[0].text().lines().next().unwrap().to_owned();
    assert!(head.contains("\"_index\":\"test\"") && head.contains("\"_id\""), "{head}");
}
