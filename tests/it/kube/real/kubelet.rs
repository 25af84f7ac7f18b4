//! What a node does for its pods: the status that a kubelet writes to the API, the files that it and the runtime
//! (Docker's json-file, or one behind the CRI) leave below /var/log.

use super::api::Api;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Who writes the lines of containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// Docker's json-file, reached over two links.
    Docker,
    /// containerd and CRI-O: `TIME stdout F …`, rotated by the kubelet.
    Cri,
}

/// A node whose root folder is a folder of the lab.
pub struct Node<'a> {
    pub name: String,
    pub runtime: Runtime,
    /// A file is rotated beyond so many bytes.
    pub max_size: u64,
    /// The first container writes so many lines before the API knows its id.
    pub early: u64,
    root: PathBuf,
    api: &'a Api,
}

/// A pod of the node, as the API knows it.
pub struct Pod {
    pub name: String,
    pub namespace: String,
    /// The object with its status, as the API answered.
    pub object: Value,
    pub containers: Vec<Container>,
}

/// A container and its log.
pub struct Container {
    pub name: String,
    /// 64 hexadecimal digits.
    pub id: String,
    /// Lines so far.
    pub lines: u64,
    /// Bytes so far.
    pub bytes: u64,
    /// Times that its file was rotated.
    pub rotations: u32,
    runtime: Runtime,
    max_size: u64,
    /// The file that the runtime writes to.
    path: PathBuf,
    file: BufWriter<File>,
    size: u64,
    /// Names that rotation gave, newest first.
    old: Vec<PathBuf>,
}

impl<'a> Node<'a> {
    /// A node of this name below a folder, which stands for /.
    pub fn new(api: &'a Api, name: &str, root: PathBuf, runtime: Runtime) -> Self {
        for dir in ["var/log/containers", "var/log/pods", "var/lib/docker/containers"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        Self { name: name.into(), runtime, max_size: 10 << 20, early: 1, root, api }
    }

    /// A pod is created, bound to this node, and runs: containers `NAME=IMAGE`.
    pub fn run(&self, namespace: &str, name: &str, metadata: &Value, containers: &[&str]) -> Pod {
        let mut metadata = metadata.clone();
        metadata["name"] = name.into();
        let all: Vec<_> = containers.iter().map(|c| c.split_once('=').unwrap()).collect();
        // Most of a pod is of no interest to the collector.
        let env: Vec<_> =
            (0..30).map(|n| json!({"name": format!("VARIABLE_{n}"), "value": format!("some value {n}")})).collect();
        let spec: Vec<_> = all.iter().map(|(name, image)| json!({"name": name, "image": image, "env": env})).collect();
        let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
            "spec": {"nodeName": self.name, "containers": spec, "terminationGracePeriodSeconds": 0}});
        let made = self.api.create(&format!("/api/v1/namespaces/{namespace}/pods"), &object);
        let uid = made["metadata"]["uid"].as_str().unwrap().to_owned();
        let containers: Vec<_> = all.iter().map(|(c, _)| self.start(namespace, name, &uid, c)).collect();
        let mut pod = Pod { name: name.into(), namespace: namespace.into(), object: made, containers };
        (0..self.early).for_each(|_| pod.visit());
        pod.containers[0].flush();
        let status: Vec<_> = all
            .iter()
            .zip(&pod.containers)
            .map(|((name, image), container)| {
                let scheme = if self.runtime == Runtime::Docker { "docker" } else { "containerd" };
                json!({"name": name, "image": image, "ready": true, "started": true, "restartCount": 0,
                    "imageID": format!("{image}@sha256:{}", hash(image)), "containerID": format!("{scheme}://{}", container.id),
                    "state": {"running": {"startedAt": "2025-03-12T08:00:00Z"}}})
            })
            .collect();
        static NEXT: AtomicU64 = AtomicU64::new(2);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let ip = format!("10.1.{}.{}", n / 250, n % 250);
        let status = json!({"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "hostIP": "10.0.0.9",
            "containerStatuses": status}});
        pod.object = self.api.patch(&format!("/api/v1/namespaces/{namespace}/pods/{name}/status"), &status);
        pod
    }

    /// The links and the file of a container that starts.
    fn start(&self, namespace: &str, pod: &str, uid: &str, name: &str) -> Container {
        let id = hash(&format!("{uid}/{name}"));
        let dir = format!("var/log/pods/{namespace}_{pod}_{uid}/{name}");
        fs::create_dir_all(self.root.join(&dir)).unwrap();
        let log = format!("{dir}/0.log");
        let path = match self.runtime {
            Runtime::Cri => self.root.join(&log),
            Runtime::Docker => {
                let file = format!("var/lib/docker/containers/{id}/{id}-json.log");
                let path = self.root.join(&file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                symlink(format!("/{file}"), self.root.join(&log)).unwrap();
                path
            }
        };
        let file = BufWriter::new(append(&path));
        let link = self.root.join(format!("var/log/containers/{pod}_{namespace}_{name}-{id}.log"));
        symlink(format!("/{log}"), link).unwrap();
        let (runtime, max_size) = (self.runtime, self.max_size);
        Container {
            name: name.into(),
            id,
            lines: 0,
            bytes: 0,
            rotations: 0,
            runtime,
            max_size,
            path,
            file,
            size: 0,
            old: vec![],
        }
    }

    /// A pod is gone: from the API, and its files from the node.
    pub fn remove(&self, pod: Pod) -> Pod {
        self.api.delete(&format!("/api/v1/namespaces/{}/pods/{}", pod.namespace, pod.name));
        for container in &pod.containers {
            let link =
                format!("var/log/containers/{}_{}_{}-{}.log", pod.name, pod.namespace, container.name, container.id);
            fs::remove_file(self.root.join(link)).unwrap();
            let _ = fs::remove_dir_all(self.root.join("var/lib/docker/containers").join(&container.id));
        }
        let dir = format!("var/log/pods/{}_{}_{}", pod.namespace, pod.name, pod.uid());
        fs::remove_dir_all(self.root.join(dir)).unwrap();
        pod
    }
}

impl Pod {
    /// Its unique id.
    pub fn uid(&self) -> &str {
        self.object["metadata"]["uid"].as_str().unwrap()
    }

    /// A request of an access log, told by the pod's unique id and a number.
    pub fn visit(&mut self) {
        let path = format!("/{}/{}", self.uid(), self.containers[0].lines);
        self.containers[0].access(&path);
    }
}

impl Container {
    /// A line of nginx's log.
    pub fn access(&mut self, path: &str) {
        let n = self.lines;
        let line = format!(
            "10.2.{}.{} - - [12/Mar/2025:08:{:02}:{:02} +0000] \"GET {path} HTTP/1.1\" 200 {} \"-\" \"Mozilla/5.0 (X11; Linux x86_64) \
             AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36\" \"-\"",
            n / 250 % 250,
            n % 250,
            n / 60 % 60,
            n % 60,
            n * 7 % 100_000,
            80 + n % 50
        );
        self.line(&line);
    }

    /// A line on the container's standard output, without its end.
    pub fn line(&mut self, text: &str) {
        let time = format!(
            "2025-03-12T08:{:02}:{:02}.{:09}Z",
            self.lines / 60 % 60,
            self.lines % 60,
            self.lines % 1_000_000_000
        );
        let line = match self.runtime {
            Runtime::Docker => format!("{}\n", json!({"log": format!("{text}\n"), "stream": "stdout", "time": time})),
            Runtime::Cri => format!("{time} stdout F {text}\n"),
        };
        self.file.write_all(line.as_bytes()).unwrap();
        self.size += line.len() as u64;
        self.bytes += line.len() as u64;
        self.lines += 1;
        if self.size > self.max_size {
            self.rotate();
        }
    }

    /// What was written is in the file.
    pub fn flush(&mut self) {
        self.file.flush().unwrap();
    }

    /// Docker renames `X` to `X.1`, `X.1` to `X.2`, …; the kubelet gives the time for a name, and compresses all but the
    /// newest of the old files. Both keep five.
    pub fn rotate(&mut self) {
        self.flush();
        self.rotations += 1;
        match self.runtime {
            Runtime::Docker => {
                for n in (1..4).rev() {
                    let _ = fs::rename(with(&self.path, &format!(".{n}")), with(&self.path, &format!(".{}", n + 1)));
                }
                fs::rename(&self.path, with(&self.path, ".1")).unwrap();
            }
            Runtime::Cri => {
                let old = with(&self.path, &format!(".20250312-{:06}", self.rotations));
                if let Some(last) = self.old.first_mut().filter(|p| p.extension().is_none_or(|e| e != "gz")) {
                    let to = with(last, ".gz");
                    let half = with(last, ".tmp");
                    let mut gz = GzEncoder::new(File::create(&half).unwrap(), Compression::fast());
                    std::io::copy(&mut File::open(&*last).unwrap(), &mut gz).unwrap();
                    gz.finish().unwrap();
                    fs::rename(half, &to).unwrap();
                    fs::remove_file(&*last).unwrap();
                    *last = to;
                }
                fs::rename(&self.path, &old).unwrap();
                self.old.insert(0, old);
                for gone in self.old.drain(4.min(self.old.len())..) {
                    fs::remove_file(gone).unwrap();
                }
            }
        }
        self.file = BufWriter::new(append(&self.path));
        self.size = 0;
    }
}

fn append(path: &Path) -> File {
    File::options().append(true).create(true).open(path).unwrap()
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// 64 hexadecimal digits that follow from a text.
fn hash(text: &str) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    (0..4)
        .map(|n| {
            let mut hasher = DefaultHasher::new();
            (n, text).hash(&mut hasher);
            format!("{:016x}", hasher.finish())
        })
        .collect()
}
