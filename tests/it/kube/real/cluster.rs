//! A real API server over etcd: one for all tests, which take turns.

use super::api::Api;
use crate::lab::{samples, skip, until};
use crate::real::own_address;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// What a token is tried with.
const PROBE: &str = "/api/v1/namespaces/nginx-test/pods?limit=1";

/// The servers; they end when their standard input closes, at the latest with the test program.
pub struct Cluster {
    /// Where the API listens, at port 443.
    pub address: String,
    /// With an administrator's token.
    pub api: Api,
    /// `ca.pem` is the authority of its certificate.
    pub home: PathBuf,
    script: Mutex<(Child, BufReader<ChildStdout>)>,
}

/// The one of all tests, for one test at a time; `None`, said in a line, where it cannot be had. `build` makes its programs when
/// they are not there.
pub fn cluster(build: bool) -> Option<MutexGuard<'static, Cluster>> {
    static CLUSTER: OnceLock<Option<Mutex<Cluster>>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| start(build).map(Mutex::new)).as_ref()?;
    let cluster = cluster.lock().unwrap_or_else(PoisonError::into_inner);
    // A test that failed may have left it dead.
    if cluster.api.ask("GET", "/readyz", "", "").0 == 0 {
        cluster.start_again();
    }
    Some(cluster)
}

// It ends with this program: nobody is there to wait for it.
#[expect(clippy::zombie_processes)]
fn start(build: bool) -> Option<Cluster> {
    if !rustix::process::geteuid().is_root() {
        skip("Kubernetes: its port 443 and its mounts need root");
        return None;
    }
    let address = own_address(1);
    let port = etcd_port();
    let home = std::env::temp_dir().join(format!("collector-kubernetes-{}", std::process::id()));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/kubernetes.sh");
    let mut command = Command::new(script);
    command.arg(&home).args([&address, &port.to_string()]).args(build.then_some("build"));
    let mut script = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(script.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    if let Some(why) = line.strip_prefix("skipped: ") {
        skip(why.trim_end());
        return None;
    }
    assert_eq!(line, "READY\n");
    let token = fs::read_to_string(home.join("admin")).unwrap();
    let api = Api::new(&address, &home.join("ca.pem"), token.trim());
    let cluster = Cluster { address, api, home, script: Mutex::new((script, said)) };
    cluster.namespace("logging", &json!({}));
    let wanted = ["ServiceAccount", "ClusterRole", "ClusterRoleBinding"];
    for object in manifests().iter().filter(|m| wanted.contains(&m.kind.as_str())) {
        let (status, answer) = cluster.apply(object, "logging", "");
        assert!(status == 200 || status == 201, "{status} {answer}\n{}", object.text);
    }
    Some(cluster)
}

/// Two free ports, one after the other.
fn etcd_port() -> u16 {
    loop {
        let port = crate::lab::free_port();
        if std::net::TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

/// What runs the collector on the nodes: the project's own manifests, and those of a cluster's users where they are beside the
/// project.
fn manifests() -> Vec<Manifest> {
    let mut files = Manifest::files("daemonset");
    files.extend(samples("configs").map(|dir| dir.join("k8s-manifests.yaml")));
    files.iter().flat_map(|file| Manifest::all(file)).collect()
}

impl Cluster {
    /// kill -9 of the API server.
    pub fn kill(&self) {
        self.order("kill", "DEAD");
    }

    /// Starts it again on the same data.
    pub fn start_again(&self) {
        self.order("start", "READY");
    }

    fn order(&self, word: &str, answer: &str) {
        let (script, said) = &mut *self.script.lock().unwrap();
        writeln!(script.stdin.as_mut().unwrap(), "{word}").unwrap();
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), answer);
    }

    /// Makes a namespace, unless it is there, with the service account that a controller would give it.
    pub fn namespace(&self, name: &str, labels: &Value) {
        let path = format!("/api/v1/namespaces/{name}");
        if self.api.ask("GET", &path, "", "").0 == 404 {
            self.api.create("/api/v1/namespaces", &json!({"metadata": {"name": name, "labels": labels}}));
        }
        let path = format!("{path}/serviceaccounts");
        if self.api.ask("GET", &format!("{path}/default"), "", "").0 == 404 {
            self.api.create(&path, &json!({"metadata": {"name": "default"}}));
        }
    }

    /// A token of a service account of the namespace logging, which dies with this object (`Pod`, `Secret`).
    pub fn token(&self, account: &str, kind: &str, object: &Value) -> String {
        let bound = json!({"kind": kind, "apiVersion": "v1", "name": object["metadata"]["name"], "uid": object["metadata"]["uid"]});
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3607, "boundObjectRef": bound}});
        let path = format!("/api/v1/namespaces/logging/serviceaccounts/{account}/token");
        self.api.create(&path, &request)["status"]["token"].as_str().unwrap().to_owned()
    }

    /// Sends a manifest as `kubectl apply --server-side` does; `query` is added (`&dryRun=All`).
    pub fn apply(&self, object: &Manifest, namespace: &str, query: &str) -> (u16, Value) {
        let namespace = object.namespace.as_deref().unwrap_or(namespace);
        let path = object.path(namespace);
        let path = format!("{path}?fieldManager=test&force=true&fieldValidation=Strict{query}");
        self.api.ask("PATCH", &path, "application/apply-patch+yaml", &object.text)
    }

    /// What service accounts have asked for so far.
    pub fn audit(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.home.join("audit.log")).unwrap_or_default();
        // The last line may be half written.
        text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
    }

    /// Requests, each once, that came after the first `before` entries of the audit log: verb, address and status.
    pub fn requests(&self, before: usize) -> Vec<(String, String, u64)> {
        let mut known = std::collections::HashSet::new();
        let mut found = Vec::new();
        for entry in self.audit().into_iter().skip(before) {
            // That is us: `refuses`.
            let is_probe = entry["requestURI"] == PROBE;
            if !is_probe && known.insert(entry["auditID"].as_str().unwrap_or_default().to_owned()) {
                let word = |v: &Value| v.as_str().unwrap_or_default().to_owned();
                let status = entry["responseStatus"]["code"].as_u64().unwrap_or(0);
                found.push((word(&entry["verb"]), word(&entry["requestURI"]), status));
            }
        }
        found
    }

    /// Waits until the API refuses a token.
    pub fn refuses(&self, token: &str) {
        let api = self.api.with(token);
        let is_refused = || {
            std::thread::sleep(Duration::from_millis(200));
            api.ask("GET", PROBE, "", "").0 == 401
        };
        assert!(until(is_refused), "the old token is still taken");
    }
}

/// A manifest in YAML's block style.
pub struct Manifest {
    pub text: String,
    pub version: String,
    pub kind: String,
    pub name: String,
    pub namespace: Option<String>,
}

impl Manifest {
    /// The files of a folder of `conf/k8s`.
    pub fn files(folder: &str) -> Vec<PathBuf> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/k8s").join(folder);
        let mut files: Vec<_> = fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect();
        files.sort();
        files
    }

    /// The objects of a file.
    pub fn all(file: &Path) -> Vec<Self> {
        fs::read_to_string(file).unwrap().split("\n---\n").filter_map(Self::read).collect()
    }

    /// `None` for a document without an object.
    pub fn read(text: &str) -> Option<Self> {
        let top = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(": ")).map(clean);
        let meta = || {
            text.lines().skip_while(|l| l.trim_end() != "metadata:").skip(1).take_while(|l| l.starts_with([' ', '#']))
        };
        let of =
            |key: &str| meta().find_map(|l| l.strip_prefix("  ")?.strip_prefix(key)?.strip_prefix(": ")).map(clean);
        let (version, kind) = (top("apiVersion")?, top("kind")?);
        Some(Self { text: text.into(), version, kind, name: of("name")?, namespace: of("namespace") })
    }

    /// The same object in another namespace, if it lives in one.
    pub fn moved(mut self, namespace: &str) -> Self {
        if let Some(old) = self.namespace.replace(namespace.into()) {
            self.text = self.text.replace(&format!("\n  namespace: {old}\n"), &format!("\n  namespace: {namespace}\n"));
        }
        self
    }

    /// Its address in the API.
    fn path(&self, namespace: &str) -> String {
        let group = if self.version == "v1" { "/api/v1".into() } else { format!("/apis/{}", self.version) };
        let lower = self.kind.to_lowercase();
        let plural = match lower.as_str() {
            "networkpolicy" => "networkpolicies".into(),
            "ingress" => "ingresses".into(),
            _ => format!("{lower}s"),
        };
        let wide = ["Namespace", "ClusterRole", "ClusterRoleBinding", "PriorityClass"].contains(&self.kind.as_str());
        match wide {
            true => format!("{group}/{plural}/{}", self.name),
            false => format!("{group}/namespaces/{namespace}/{plural}/{}", self.name),
        }
    }
}

/// A plain scalar without a comment and quotes.
fn clean(text: &str) -> String {
    let text = text.split(" #").next().unwrap_or_default();
    text.trim().trim_matches(['"', '\'']).to_owned()
}
