//! A node on which the collector runs as a DaemonSet would run it: its own mounts, host name, account and token.

use super::cluster::Cluster;
use super::kubelet::{Node, Runtime};
use crate::lab::{Lab, Peer, Proc};
use crate::real::{self, Server, own_address};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

/// What is mounted, in a namespace of its own, before the program starts.
const MOUNTS: &str = "echo \"$HOSTNAME\" >/proc/sys/kernel/hostname && mount --bind hosts /etc/hosts && \
    mount -t tmpfs none \"$(readlink -f /var/run)\" && mkdir -p /var/run/secrets/kubernetes.io/serviceaccount && \
    mount --bind serviceaccount /var/run/secrets/kubernetes.io/serviceaccount && mount --bind node/var/log /var/log && \
    mount -t tmpfs none /var/lib && mkdir -p /var/lib/docker /var/lib/collector && \
    mount --bind node/var/lib/docker /var/lib/docker && mount --bind node/var/lib/collector /var/lib/collector && \
    exec \"$0\" \"$@\"";

/// The node, its search engine and the configuration that the collector runs with.
pub struct Site<'a> {
    pub cluster: &'a Cluster,
    pub node: Node<'a>,
    pub lab: Lab,
    /// The collector's own pod.
    pub own: Value,
    account: &'static str,
    search: &'static Server,
    tokens: RefCell<u32>,
    _turn: MutexGuard<'static, ()>,
    _way: Peer,
}

impl<'a> Site<'a> {
    /// A node of this name, with a pod of this service account that is the collector; `None`, said in a line, without a search
    /// engine.
    pub fn new(cluster: &'a Cluster, name: &str, runtime: Runtime, account: &'static str) -> Option<Self> {
        let search = real::server()?;
        let turn = search.index_test();
        let lab = Lab::new(name);
        let address = own_address(2);
        lab.write(
            "hosts",
            format!("{} kubernetes.default.svc\n{address} elasticsearch\n127.0.0.1 localhost\n", cluster.address),
        );
        let node = Node::new(&cluster.api, name, lab.path("node"), runtime);
        fs::create_dir_all(lab.path("node/var/lib/collector")).unwrap();
        for space in ["nginx-test", "shop"] {
            cluster.namespace(space, &json!({"team": space}));
        }
        let pod = json!({"metadata": {"name": format!("fluent-bit-{name}"), "labels": {"app": "fluent-bit"}},
            "spec": {"nodeName": name, "serviceAccountName": account, "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "fluent-bit", "image": "fluent/fluent-bit"}]}});
        let own = cluster.api.create("/api/v1/namespaces/logging/pods", &pod);
        let (tokens, _way) = (RefCell::new(0), search.way(&address));
        let site = Self { cluster, node, lab, own, account, search, tokens, _turn: turn, _way };
        site.mount_token(&cluster.token(account, "Pod", &site.own));
        Some(site)
    }

    /// A token that dies with this object.
    pub fn token(&self, kind: &str, object: &Value) -> String {
        self.cluster.token(self.account, kind, object)
    }

    /// Puts a token where the collector finds it, as a kubelet does: all files change at once.
    pub fn mount_token(&self, token: &str) {
        let n = self.tokens.replace_with(|n| *n + 1);
        let dir = format!("serviceaccount/..{n}");
        self.lab.write(&format!("{dir}/token"), token);
        self.lab.write(&format!("{dir}/namespace"), "logging");
        self.lab.write(&format!("{dir}/ca.crt"), fs::read(self.cluster.home.join("ca.pem")).unwrap());
        for name in ["token", "namespace", "ca.crt"] {
            let _ = symlink(format!("..data/{name}"), self.lab.path(&format!("serviceaccount/{name}")));
        }
        symlink(format!("..{n}"), self.lab.path("serviceaccount/..new")).unwrap();
        fs::rename(self.lab.path("serviceaccount/..new"), self.lab.path("serviceaccount/..data")).unwrap();
    }

    /// Starts the collector on `etc/fluent-bit.conf`.
    pub fn start(&mut self) -> Proc {
        let name = self.own["metadata"]["name"].as_str().unwrap();
        self.lab.env("HOSTNAME", name);
        self.lab.env("KUBERNETES_SERVICE_HOST", &self.cluster.address).env("KUBERNETES_SERVICE_PORT", "443");
        let words = ["unshare", "-m", "-u", "sh", "-c", MOUNTS];
        self.lab.command(&["-c", "etc/fluent-bit.conf"]).through(&words).start()
    }

    /// Copies a configuration to `etc`.
    pub fn configure(&self, folder: &Path) {
        for file in fs::read_dir(folder).unwrap().flatten() {
            self.lab.write(&format!("etc/{}", file.file_name().display()), fs::read(file.path()).unwrap());
        }
    }

    /// Deletes an index.
    pub fn delete(&self, index: &str) {
        let _ = ureq::delete(format!("http://127.0.0.1:{}/{index}", self.search.port)).call();
    }

    /// Documents of an index, as of a second ago.
    pub fn stored(&self, index: &str) -> u64 {
        let count = real::get(self.search.port, &format!("/{index}/_count"));
        count.and_then(|v| v["count"].as_u64()).unwrap_or(0)
    }

    /// What is stored is seen.
    fn refresh(&self, index: &str) {
        let _ = real::get(self.search.port, &format!("/{index}/_refresh"));
    }

    /// Any path of the search engine.
    pub fn search(&self, path: &str) -> Value {
        real::get(self.search.port, path).unwrap_or_default()
    }

    /// Every document of an index, those `fields` (comma-separated, or `*`) of it.
    pub fn each(&self, index: &str, fields: &str, mut see: impl FnMut(&Value)) {
        self.refresh(index);
        let mut page =
            self.search(&format!("/{index}/_search?scroll=5m&size=3000&sort=_doc&_source_includes={fields}"));
        while let Some(hits) = page["hits"]["hits"].as_array().filter(|h| !h.is_empty()) {
            hits.iter().for_each(|hit| see(&hit["_source"]));
            let id = page["_scroll_id"].as_str().unwrap();
            page = self.search(&format!("/_search/scroll?scroll=5m&scroll_id={id}"));
        }
    }

    /// Waits until an index holds so many documents, for `limit` beyond the last one that came.
    pub fn wait_stored(&self, run: &Proc, index: &str, want: u64, limit: Duration) {
        let (mut last, mut since) = (0, Instant::now());
        loop {
            let now = self.stored(index);
            if now >= want {
                return;
            }
            if now != last {
                (last, since) = (now, Instant::now());
            }
            assert!(since.elapsed() < limit, "{now} of {want} documents arrived\n{}", run.show(None));
            std::thread::sleep(Duration::from_millis(250));
        }
    }
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        // Nothing of this node is left for the next test; a failing test may have lost the API server.
        let api = &self.cluster.api;
        let (_, pods) = api.ask("GET", &format!("/api/v1/pods?fieldSelector=spec.nodeName={}", self.node.name), "", "");
        for pod in pods["items"].as_array().into_iter().flatten() {
            let at = |key: &str| pod["metadata"][key].as_str().unwrap_or_default().to_owned();
            let path = format!("/api/v1/namespaces/{}/pods/{}", at("namespace"), at("name"));
            api.ask("DELETE", &path, "application/json", r#"{"gracePeriodSeconds":0}"#);
        }
    }
}
