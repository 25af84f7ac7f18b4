//! Both sidecars as they are shipped, without a cluster: the application's own command, the collector's own configuration.

use super::{Workload, containers, folder, list, read};
use crate::lab::{HttpSink, Lab, Proc, Request, under_runner};
use serde_json::Value;
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The pod in a folder: paths of its mounts become folders below, an order a second becomes a hundred.
struct Pod {
    lab: Lab,
    server: HttpSink,
    mounts: Vec<(String, String)>,
    command: String,
    application: Option<Child>,
}

impl Drop for Pod {
    fn drop(&mut self) {
        if let Some(mut application) = self.application.take() {
            let _ = application.kill();
            let _ = application.wait();
        }
    }
}

impl Pod {
    fn new(variant: &str) -> Self {
        let objects = read(&folder().join(format!("sidecar/{variant}.yaml")));
        let all = Workload::all(&objects);
        let [workload] = &all[..] else { panic!("one workload") };
        let mut lab = Lab::new(&format!("k8s-{variant}"));
        let mut mounts = Vec::new();
        for mount in containers(workload.pod).flat_map(|c| list(&c["volumeMounts"])) {
            let path = mount["mountPath"].as_str().unwrap().trim_end_matches('/').to_owned();
            let here = lab.path(mount["name"].as_str().unwrap());
            fs::create_dir_all(&here).unwrap();
            mounts.push((path, here.display().to_string()));
        }
        let server = HttpSink::stores_all();
        for variable in list(&workload.collector["env"]) {
            let port = server.port().to_string();
            let value = match variable["name"].as_str().unwrap() {
                "ELASTICSEARCH_HOST" => "127.0.0.1",
                "ELASTICSEARCH_PORT" => port.as_str(),
                "POD_NAME" => "shop-5d9c-x2x8z",
                "POD_NAMESPACE" => "shop",
                "NODE_NAME" => "node-1",
                other => panic!("{other}: what does it stand for?"),
            };
            lab.env(variable["name"].as_str().unwrap(), value);
        }
        let mut pod = Self { lab, server, mounts, command: String::new(), application: None };
        for (file, text) in &workload.files {
            // No port that another test may have.
            let text = pod.moved(text).replace("HTTP_Server        On", "HTTP_Server Off");
            pod.lab.write(&format!("config/{file}"), text.replace("Flush              1", "Flush 0.05"));
        }
        for container in containers(workload.pod).filter(|c| c["image"].as_str().unwrap().starts_with("busybox:")) {
            let words = list(&container["command"]).chain(list(&container["args"])).map(|w| w.as_str().unwrap());
            let words: Vec<String> = words.map(|w| pod.moved(w).replace("sleep 1\n", "sleep 0.01\n")).collect();
            assert_eq!(words[..2], ["sh", "-c"]);
            if container["name"] == "app" {
                assert!(words[2].contains("sleep 0.01\n"), "{}", words[2]);
                pod.command.clone_from(&words[2]);
            } else {
                assert!(Command::new("sh").args(&words[1..]).status().unwrap().success(), "{words:?}");
            }
        }
        pod
    }

    /// Paths of mounts as they are here.
    fn moved(&self, text: &str) -> String {
        self.mounts.iter().fold(text.to_owned(), |text, (path, here)| text.replace(path, here))
    }

    fn collector(&self) -> Proc {
        self.lab.spawn(&["-c", "config/fluent-bit.conf"])
    }

    fn start_application(&mut self) {
        let mut sh = Command::new("sh");
        sh.args(["-c", &self.command]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.application = Some(sh.spawn().unwrap());
    }

    /// SIGKILL: no last words.
    fn stop_application(&mut self) {
        let mut application = self.application.take().unwrap();
        assert!(application.try_wait().unwrap().is_none(), "the application has ended by itself");
        application.kill().unwrap();
        application.wait().unwrap();
    }

    /// The numbers that are stored, in the order of their first arrival: what comes again with the same id is not stored again.
    fn numbers(&self) -> Vec<u64> {
        let texts: Vec<String> = self.server.requests().iter().map(Request::text).collect();
        let lines: Vec<Value> =
            texts.iter().flat_map(|t| t.lines()).map(|l| serde_json::from_str(l).unwrap()).collect();
        let mut ids = HashSet::new();
        let stored = lines.chunks(2).filter(|pair| ids.insert(pair[0]["create"]["_id"].to_string()));
        stored.map(|pair| pair[1]["n"].as_u64().unwrap()).collect()
    }

    fn wait(&self, count: usize) {
        self.lab.wait(&format!("{count} records"), || self.numbers().len() >= count);
    }

    fn check_document(&self) {
        let first: Value = serde_json::from_str(&self.server.documents()[0]).unwrap();
        assert_eq!((&first["message"], &first["level"]), (&"order taken".into(), &"info".into()), "{first}");
        let kubernetes = serde_json::json!({
            "pod_name": "shop-5d9c-x2x8z", "namespace_name": "shop", "container_name": "app", "host": "node-1"
        });
        assert_eq!(first["kubernetes"], kubernetes);
        let head = self.server.requests()[0].text().lines().next().unwrap().to_owned();
        assert!(head.contains("\"_index\":\"shop-20") && head.contains("\"_id\":"), "{head}");
    }
}

/// All numbers once, from 1 to the last, in order.
#[track_caller]
fn complete(numbers: &[u64], last: u64) {
    let want: Vec<u64> = (1..=last).collect();
    assert!(numbers == want, "{} of {last}, the last ones: {:?}", numbers.len(), numbers.last_chunk::<5>());
}

#[test]
fn a_directory_that_both_mount() {
    let mut pod = Pod::new("directory");
    let run = pod.collector();
    pod.start_application();
    pod.wait(30);
    pod.check_document();
    // The container is restarted, gently and not, while the application goes on.
    run.term().code(0);
    let run = pod.collector();
    pod.wait(60);
    run.kill();
    let run = pod.collector();
    pod.wait(90);
    pod.stop_application();
    let log = fs::read_to_string(pod.lab.path("logs/app.log")).unwrap();
    run.term().code(0);
    // What was on its way when it was killed may come behind what followed.
    let mut numbers = pod.numbers();
    numbers.sort_unstable();
    complete(&numbers, log.lines().count() as u64);
}

#[test]
fn a_named_pipe_that_both_mount() {
    let mut pod = Pod::new("pipe");
    // As with every restart of the pod, whichever is first: the application waits for nobody.
    pod.start_application();
    let run = pod.collector();
    pod.wait(30);
    pod.check_document();
    run.term().code(0);
    let run = pod.collector();
    pod.wait(60);
    // The application is restarted: its end is not the end of the pipe. What it wrote last stands in it, and is read.
    pod.stop_application();
    run.term().code(0).silent_about(&["end of the standard input"]);
    let before = pod.numbers();
    complete(&before, before.len() as u64);
    // Killed without a warning: the application does not notice, and what follows arrives in order.
    let run = pod.collector();
    pod.start_application();
    pod.wait(before.len() + 20);
    run.kill();
    let run = pod.collector();
    let count = pod.numbers().len();
    pod.wait(count + 20);
    pod.stop_application();
    run.term().code(0);
    let after = &pod.numbers()[before.len()..];
    // Two workers send: where they are slow the second may overtake the first.
    assert!(under_runner() || after.is_sorted() && after[0] == 1, "{after:?}");
}

/// What is no pipe is refused: a file would be read without end, or made by whoever came first.
#[test]
fn a_pipe_that_is_none_is_said() {
    let lab = Lab::new("k8s-no-pipe");
    let conf = |path: &Path| {
        format!("[INPUT]\n    Name stdin\n    Path {}\n[OUTPUT]\n    Name null\n    Match *\n", path.display())
    };
    let file = lab.write("plain", "{}");
    let done = lab.run(&conf(&file));
    assert_ne!(done.status.code(), Some(0), "{}", done.report());
    done.says(&["plain", "it is not a named pipe", "mkfifo"]);
    let done = lab.run(&conf(&lab.path("missing")));
    assert_ne!(done.status.code(), Some(0), "{}", done.report());
    done.says(&["missing", "No such file"]);
}
