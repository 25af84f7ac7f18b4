//! The manifests fit together: selectors, volumes, probes, rights, the level of pod security, the image.

use super::{Workload, containers, find, folder, kind, list, name, objects, read, sets, value};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

fn memory(text: &Value) -> u64 {
    let text = text.as_str().unwrap();
    text.strip_suffix("Mi").and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{text}: not in Mi"))
}

fn cpu(text: &Value) -> u64 {
    let text = text.as_str().unwrap();
    text.strip_suffix('m').and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{text}: not in thousandths"))
}

/// Whether every label that is asked for is there.
fn selects(wanted: &Value, labels: &Value) -> bool {
    wanted.as_object().unwrap().iter().all(|(key, value)| labels[key] == *value)
}

#[test]
fn selectors_find_their_pods() {
    for (set, objects) in sets() {
        let pods: Vec<_> = objects.iter().map(|o| &o["spec"]["template"]["metadata"]["labels"]).collect();
        let mut seen = 0;
        for object in &objects {
            let labels = &object["spec"]["template"]["metadata"]["labels"];
            match kind(object) {
                "Deployment" | "DaemonSet" => {
                    let wanted = &object["spec"]["selector"]["matchLabels"];
                    assert!(selects(wanted, labels), "{set}: {wanted} does not select {labels}");
                    let others = pods.iter().filter(|p| p.is_object() && selects(wanted, p)).count();
                    assert_eq!(others, 1, "{set}: {} selects other pods too", name(object));
                    seen += 1;
                }
                "NetworkPolicy" => {
                    let wanted = &object["spec"]["podSelector"]["matchLabels"];
                    assert_eq!(
                        pods.iter().filter(|p| p.is_object() && selects(wanted, p)).count(),
                        1,
                        "{set}: {wanted}"
                    );
                    seen += 1;
                }
                _ => {}
            }
        }
        assert!(seen >= 2, "{set}");
    }
}

#[test]
fn mounts_have_volumes_and_volumes_have_mounts() {
    for (set, objects) in sets() {
        for workload in Workload::all(&objects) {
            let volumes: BTreeSet<_> = list(&workload.pod["volumes"]).map(|v| v["name"].as_str().unwrap()).collect();
            let mounts = containers(workload.pod).flat_map(|c| list(&c["volumeMounts"]));
            let mounted: BTreeSet<_> = mounts.map(|m| m["name"].as_str().unwrap()).collect();
            assert_eq!(volumes, mounted, "{set}: {}", name(workload.object));
        }
    }
}

/// Where a path of the configuration lies: its mount.
#[track_caller]
fn mount<'a>(workload: &'a Workload, path: &str) -> &'a Value {
    let fits = list(&workload.collector["volumeMounts"])
        .filter(|m| Path::new(path).starts_with(m["mountPath"].as_str().unwrap()));
    fits.max_by_key(|m| m["mountPath"].as_str().unwrap().len())
        .unwrap_or_else(|| panic!("nothing is mounted for {path}"))
}

#[test]
fn what_is_written_is_on_a_volume_and_what_is_read_is_mounted() {
    for (set, objects) in sets() {
        for workload in Workload::all(&objects) {
            assert_eq!(workload.collector["securityContext"]["readOnlyRootFilesystem"], true);
            let all: String = workload.files.values().map(String::as_str).collect();
            let mut seen = 0;
            for key in ["storage.path", "DB"] {
                for line in all.lines().filter(|l| l.trim().starts_with(&format!("{key} "))) {
                    let path = value(line, key).unwrap();
                    assert_ne!(mount(&workload, &path)["readOnly"], true, "{set}: {path}");
                    seen += 1;
                }
            }
            assert!(seen >= 1, "{set}: where is its state?");
            // A node's state outlives the pod, a pod's its containers.
            let state = &mount(&workload, "/var/lib/collector/storage")["name"];
            let volume = list(&workload.pod["volumes"]).find(|v| v["name"] == *state).unwrap();
            assert!(volume["hostPath"].is_object() == (set == "daemonset" || name(workload.object) == "collector"));
            if let Some(path) = value(&all, "Path") {
                mount(&workload, &path);
            }
        }
    }
}

#[test]
fn probes_ask_the_server_of_the_configuration() {
    for (set, objects) in sets() {
        for workload in Workload::all(&objects) {
            assert_eq!(workload.service("HTTP_Server").as_deref(), Some("On"), "{set}");
            assert_eq!(workload.service("HTTP_Listen").as_deref(), Some("0.0.0.0"), "{set}: the kubelet is elsewhere");
            let port: u16 = workload.service("HTTP_Port").unwrap().parse().unwrap();
            let [named] = workload.collector["ports"].as_array().unwrap().as_slice() else { panic!("{set}: one port") };
            assert_eq!(named["containerPort"], port, "{set}");
            let mut probes = vec![&workload.collector["livenessProbe"]];
            probes.extend(workload.collector.get("readinessProbe"));
            for probe in probes {
                let get = &probe["httpGet"];
                assert_eq!(get["port"], named["name"], "{set}");
                let path = get["path"].as_str().unwrap();
                assert!(["/api/v1/uptime", "/api/v1/health"].contains(&path), "{set}: {path}");
                assert!(path != "/api/v1/health" || workload.service("Health_Check").as_deref() == Some("On"), "{set}");
            }
            // A destination that is down must not restart the collector.
            assert_eq!(workload.collector["livenessProbe"]["httpGet"]["path"], "/api/v1/uptime", "{set}");
            let annotations = &workload.object["spec"]["template"]["metadata"]["annotations"];
            assert!(
                annotations.is_null()
                    || annotations["prometheus.io/port"].as_str() == workload.service("HTTP_Port").as_deref(),
                "{set}"
            );
            for policy in objects.iter().filter(|o| kind(o) == "NetworkPolicy") {
                assert_eq!(policy["spec"]["ingress"][0]["ports"][0]["port"], port, "{set}");
            }
        }
    }
}

#[test]
fn the_pod_has_more_time_than_grace() {
    for (set, objects) in sets() {
        for workload in Workload::all(&objects) {
            let grace: u64 = workload.service("Grace").unwrap().parse().unwrap();
            let pod = workload.pod["terminationGracePeriodSeconds"].as_u64().unwrap();
            // A sidecar is told to stop when the application has ended, which has its 30 seconds.
            let application = if set == "directory" || set == "pipe" { 30 } else { 0 };
            assert!(pod >= application + grace + 5, "{set}: {pod} s, {grace} of them Grace");
        }
    }
}

/// The rules of the level "restricted" that concern these pods.
fn restricted(pod: &Value) -> Result<(), String> {
    let kinds =
        ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];
    for volume in list(&pod["volumes"]) {
        let other = volume.as_object().unwrap().keys().find(|k| *k != "name" && !kinds.contains(&k.as_str()));
        if let Some(other) = other {
            return Err(format!("volume of kind {other}"));
        }
    }
    for key in ["hostNetwork", "hostPID", "hostIPC"] {
        if pod[key] == true {
            return Err(key.to_owned());
        }
    }
    let whole = &pod["securityContext"];
    for container in containers(pod) {
        let own = &container["securityContext"];
        let either = |key: &str| if own[key].is_null() { &whole[key] } else { &own[key] };
        let wrong = |what: &str| Err(format!("{}: {what}", container["name"]));
        if own["privileged"] == true || own["allowPrivilegeEscalation"] != false {
            return wrong("may gain privileges");
        }
        if own["capabilities"]["drop"] != json!(["ALL"]) || !own["capabilities"]["add"].is_null() {
            return wrong("keeps capabilities");
        }
        if *either("runAsNonRoot") != true || *either("runAsUser") == 0 {
            return wrong("may be root");
        }
        if either("seccompProfile")["type"] != "RuntimeDefault" {
            return wrong("no seccomp profile");
        }
        if list(&container["ports"]).any(|p| !p["hostPort"].is_null()) {
            return wrong("a port of the node");
        }
    }
    Ok(())
}

#[test]
fn pods_are_as_restricted_as_they_can_be() {
    for (set, objects) in sets() {
        for workload in Workload::all(&objects) {
            let found = restricted(workload.pod);
            if name(workload.object) == "collector" {
                // The nodes' collector reads the nodes' files: the one thing that it needs, and it says so.
                assert_eq!(found, Err("volume of kind hostPath".to_owned()), "{set}");
                let own = &workload.collector["securityContext"];
                assert_eq!((&own["privileged"], &own["allowPrivilegeEscalation"]), (&json!(false), &json!(false)));
                assert_eq!(own["capabilities"], json!({"drop": ["ALL"]}));
                for mount in list(&workload.collector["volumeMounts"]) {
                    assert_eq!(mount["readOnly"] == true, mount["name"] != "state", "{mount}");
                }
            } else {
                assert_eq!(found, Ok(()), "{set}: {}", name(workload.object));
            }
        }
    }
}

#[test]
fn limits_are_those_that_are_promised() {
    for (set, objects) in sets() {
        for workload in Workload::all(&objects) {
            let [requests, limits] = ["requests", "limits"].map(|k| &workload.collector["resources"][k]);
            assert_eq!((cpu(&requests["cpu"]), memory(&requests["memory"])), (25, 24), "{set}");
            assert!(cpu(&limits["cpu"]) >= 25 && memory(&limits["memory"]) >= 24, "{set}");
            if set == "directory" || set == "pipe" {
                assert_eq!(limits, requests, "{set}");
            }
        }
    }
}

/// Who may do what: reading pods and namespaces, reading events, nothing else.
#[test]
fn rights_are_the_least() {
    let all = [objects(&["daemonset", "events"]), objects(&["namespaced"])];
    let mut roles = 0;
    for objects in &all {
        for object in objects {
            match kind(object) {
                "ClusterRole" | "Role" => {
                    let [rule] = object["rules"].as_array().unwrap().as_slice() else { panic!("one rule") };
                    assert_eq!(rule["apiGroups"], json!([""]));
                    assert_eq!(rule["verbs"], json!(["get", "list", "watch"]));
                    let events = name(object).ends_with("-events");
                    assert_eq!(
                        rule["resources"],
                        if events { json!(["events"]) } else { json!(["namespaces", "pods"]) }
                    );
                    roles += 1;
                }
                "ClusterRoleBinding" | "RoleBinding" => {
                    let role = &object["roleRef"];
                    find(objects, role["kind"].as_str().unwrap(), role["name"].as_str().unwrap());
                    let [subject] = object["subjects"].as_array().unwrap().as_slice() else { panic!("one subject") };
                    let account = find(&all[0], "ServiceAccount", subject["name"].as_str().unwrap());
                    assert_eq!(account["metadata"]["namespace"], subject["namespace"]);
                }
                _ => {}
            }
        }
    }
    assert_eq!(roles, 3);
    // Who asks the API server has a token, who does not has none.
    for (set, objects) in sets() {
        for workload in Workload::all(&objects) {
            let asks = workload.files.values().any(|text| text.contains("kubernetes") && !text.contains("Nest_under"));
            assert_eq!(workload.pod["automountServiceAccountToken"], asks, "{set}");
            assert_eq!(workload.pod["serviceAccountName"].is_string(), asks, "{set}");
        }
    }
}

/// The image is the one that is built here, of this version, and finds the configuration where it is mounted.
#[test]
fn the_image_is_ours() {
    let ours = format!("collector:{}", env!("CARGO_PKG_VERSION"));
    for (set, objects) in sets() {
        for workload in Workload::all(&objects) {
            assert_eq!(workload.collector["image"], ours, "{set}");
            // The image's own command is taken.
            assert!(workload.collector["command"].is_null() && workload.collector["args"].is_null(), "{set}");
            assert!(workload.files.contains_key("fluent-bit.conf"), "{set}");
        }
    }
    let chart = &read(&folder().join("chart/Chart.yaml"))[0];
    assert_eq!((&chart["version"], &chart["appVersion"]), (&json!(env!("CARGO_PKG_VERSION")), &chart["version"]));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("cross/Containerfile");
    let Ok(text) = std::fs::read_to_string(file) else {
        crate::lab::skip("no cross/Containerfile to compare with");
        return;
    };
    let order = |word: &str| text.lines().rfind(|l| l.starts_with(word)).unwrap_or_default().to_owned();
    let command = order("ENTRYPOINT") + &order("CMD");
    assert!(command.contains("/fluent-bit/etc/fluent-bit.conf"), "{command}");
    assert!(text.contains("collector:"), "the image's name");
}

/// docs/kubernetes.md says what each file is for.
#[test]
fn every_file_is_told_of() {
    let text = std::fs::read_to_string(folder().join("../../docs/kubernetes.md")).unwrap();
    for dir in ["daemonset", "events", "sidecar", "namespaced"] {
        for entry in std::fs::read_dir(folder().join(dir)).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            assert!(text.contains(&format!("{dir}/{file}")), "{dir}/{file}");
        }
    }
}
