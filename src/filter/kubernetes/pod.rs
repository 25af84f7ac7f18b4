//! A pod as records need it: read from the JSON of the API, however large that is, into one small text.

use super::tidy::Tidy;
use crate::fmt::json_span::{elements, entries, find, find_text, text};
use std::rc::Rc;

/// What of a pod goes into records.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shape {
    /// Its labels.
    pub labels: bool,
    /// Its annotations.
    pub annotations: bool,
    /// Who made it.
    pub owners: bool,
}

/// What tells a pod from all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ident {
    /// `NAMESPACE/NAME`.
    pub key: Box<str>,
    /// Empty where the source does not say.
    pub uid: Box<str>,
}

/// A place in a pod's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Part {
    at: u32,
    len: u32,
}

/// A container, or an earlier run of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Container {
    name: Part,
    id: Part,
    hash: Part,
    image: Part,
    /// It had runs whose ids nobody tells of any more.
    has_unknown_runs: bool,
}

/// A container of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ContainerOf<'a> {
    /// Its name.
    pub name: &'a str,
    /// The runtime's number for it, without the runtime's name.
    pub id: &'a str,
    /// What its image is in truth: a name and a digest, or a digest.
    pub hash: &'a str,
    /// The name of its image.
    pub image: &'a str,
}

/// A pod.
#[derive(Debug, PartialEq, Eq)]
pub struct Pod {
    /// Entries of a JSON object without its braces; behind them names and ids of containers, and what annotations ask of us.
    text: Box<str>,
    entries: u32,
    /// The uid in the paths of a static pod's logs, which the API's copy of it has in an annotation.
    mirrored: Part,
    containers: Box<[Container]>,
    hints: Box<[(Part, Part)]>,
}

/// The annotations that are for us begin so.
const OURS: &[u8] = b"fluentbit.io/";
/// The uid that a static pod has on its node
/// (<https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-config-hash>).
const MIRROR: &[u8] = b"kubernetes.io/config.hash";

impl Pod {
    /// Reads the JSON of a pod. `None` when it is none.
    pub fn read(json: &[u8], shape: Shape, tidy: &mut Tidy) -> Option<(Ident, Rc<Self>)> {
        let mut made = Making::default();
        let (mut space, mut name, mut uid) = (String::new(), String::new(), String::new());
        let (mut labels, mut annotations, mut owners, mut id) = (None, None, None, None);
        let meta = find(json, &["metadata"])?;
        for (key, value) in entries(meta) {
            match key {
                b"name" => name = text(value)?,
                b"namespace" => space = text(value)?,
                b"uid" => (uid, id) = (text(value)?, Some(value)),
                b"labels" => labels = Some(value),
                b"annotations" => annotations = Some(value),
                b"ownerReferences" => owners = Some(value),
                _ => {}
            }
        }
        let some = |wanted: bool, value: Option<_>| value.filter(|v: &&[u8]| wanted && *v != b"null");
        made.entry("pod_id", id);
        made.entry("labels", some(shape.labels, labels));
        made.entry("annotations", some(shape.annotations, annotations));
        made.entry("ownerReferences", some(shape.owners, owners));
        made.entry("host", find(json, &["spec", "nodeName"]));
        let status = find(json, &["status"]).unwrap_or_default();
        made.entry("pod_ip", find(status, &["podIP"]));
        made.text = tidy.entries(made.text.strip_prefix(',').unwrap_or_default())?;
        if !made.text.is_empty() {
            made.text.insert(0, ',');
        }
        let shared = made.text.len() as u32;
        for (key, value) in entries(status) {
            if matches!(key, b"containerStatuses" | b"initContainerStatuses" | b"ephemeralContainerStatuses") {
                elements(value).for_each(|container| made.container(container));
            }
        }
        for (key, value) in annotations.into_iter().flat_map(entries) {
            if key == MIRROR {
                made.mirrored = made.part(&text(value)?);
            } else if let Some(what) = key.strip_prefix(OURS) {
                let hint = (made.part(&String::from_utf8_lossy(what)), made.part(&text(value).unwrap_or_default()));
                made.hints.push(hint);
            }
        }
        let Making { text, containers, hints, mirrored } = made;
        let (text, containers, hints) = (text.into(), containers.into(), hints.into());
        let pod = Self { text, entries: shared, mirrored, containers, hints };
        Some((Ident { key: format!("{space}/{name}").into(), uid: uid.into() }, Rc::new(pod)))
    }

    /// What all its containers have in common: entries of a JSON object, each with a comma before it.
    pub fn entries(&self) -> &str {
        self.text.get(..self.entries as usize).unwrap_or_default()
    }

    /// Whether its files may stand under this uid, too.
    pub fn is_mirror_of(&self, uid: &str) -> bool {
        !uid.is_empty() && self.get(self.mirrored) == uid
    }

    /// The container of this id; an earlier run of one, too.
    pub fn container_of_id(&self, id: &str) -> Option<ContainerOf<'_>> {
        self.containers.iter().find(|c| !id.is_empty() && self.get(c.id) == id).map(|c| self.container(c))
    }

    /// The container of this name, as it runs now.
    pub fn container_of_name(&self, name: &str) -> Option<ContainerOf<'_>> {
        self.containers.iter().find(|c| self.get(c.name) == name).map(|c| self.container(c))
    }

    /// Whether a container of this name may have had an id that is not known: it has none yet, or was restarted more than once.
    pub fn may_have_had(&self, name: &str) -> bool {
        let mut all = self.containers.iter().filter(|c| self.get(c.name) == name);
        all.all(|c| c.id.len == 0 || c.has_unknown_runs)
    }

    /// The annotations that are for us, without the domain: name and value, in written order.
    pub fn hints(&self) -> impl Iterator<Item = (&str, &str)> {
        self.hints.iter().map(|(name, value)| (self.get(*name), self.get(*value)))
    }

    fn container(&self, c: &Container) -> ContainerOf<'_> {
        ContainerOf { name: self.get(c.name), id: self.get(c.id), hash: self.get(c.hash), image: self.get(c.image) }
    }

    fn get(&self, part: Part) -> &str {
        let from = part.at as usize;
        self.text.get(from..from + part.len as usize).unwrap_or_default()
    }
}

/// A pod while it is read.
#[derive(Default)]
struct Making {
    text: String,
    containers: Vec<Container>,
    hints: Vec<(Part, Part)>,
    mirrored: Part,
}

impl Making {
    fn entry(&mut self, name: &str, value: Option<&[u8]>) {
        // What is no UTF-8 is no JSON.
        if let Some(value) = value.and_then(|v| std::str::from_utf8(v).ok()) {
            self.text.push_str(",\"");
            self.text.push_str(name);
            self.text.push_str("\":");
            self.text.push_str(value);
        }
    }

    fn part(&mut self, text: &str) -> Part {
        let at = self.text.len() as u32;
        self.text.push_str(text);
        Part { at, len: text.len() as u32 }
    }

    fn container(&mut self, json: &[u8]) {
        let (mut name, mut id, mut hash, mut image, mut last, mut restarts) = Default::default();
        for (key, value) in entries(json) {
            let said = || text(value).unwrap_or_default();
            match key {
                b"name" => name = said(),
                b"containerID" => id = said(),
                b"imageID" => hash = said(),
                b"image" => image = said(),
                b"restartCount" => {
                    restarts = std::str::from_utf8(value).ok().and_then(|n| n.parse().ok()).unwrap_or(0u64)
                }
                b"lastState" => last = find_text(value, &["terminated", "containerID"]),
                _ => {}
            }
        }
        let container = Container {
            name: self.part(&name),
            id: self.part(bare(&id)),
            hash: self.part(if hash.contains(':') { bare(&hash) } else { "" }),
            image: self.part(&image),
            has_unknown_runs: restarts > u64::from(last.is_some()),
        };
        self.containers.push(container);
        if let Some(last) = last {
            let id = self.part(bare(&last));
            self.containers.push(Container { id, ..container });
        }
    }
}

/// `containerd://0123…` without what stands before the slashes; `sha256:0123…` as it is.
fn bare(id: &str) -> &str {
    match id.split_once(':') {
        Some((_, rest)) if rest.starts_with('/') => rest.trim_start_matches('/'),
        _ => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: Shape = Shape { labels: true, annotations: true, owners: true };

    fn pod() -> &'static str {
        r#"{"kind":"Pod","metadata":{"name":"web-0","namespace":"shop","uid":"u-1","labels":{"app":"web"},
            "managedFields":[{"fieldsV1":{"f:metadata":{"f:labels":{}}}}],"annotations":{"a":"\"q\"","fluentbit.io/parser":"nginx",
            "kubernetes.io/config.hash":"h-1"},"ownerReferences":[{"kind":"StatefulSet","name":"web"}]},
            "spec":{"nodeName":"node-1","containers":[{"name":"no"}]},"status":{"podIP":"10.0.0.7","containerStatuses":[
            {"name":"web","image":"nginx:1","imageID":"docker-pullable://nginx@sha256:01","containerID":"containerd://c1",
             "lastState":{"terminated":{"containerID":"containerd://c0"}}}],"initContainerStatuses":[{"name":"set","imageID":"sha256:02"}]}}"#
    }

    #[test]
    fn what_records_need_is_read() {
        let (ident, pod) = Pod::read(pod().as_bytes(), ALL, &mut Tidy::default()).unwrap();
        assert_eq!((&*ident.key, &*ident.uid), ("shop/web-0", "u-1"));
        assert_eq!(
            pod.entries(),
            r#","pod_id":"u-1","labels":{"app":"web"},"annotations":{"a":"\"q\"","fluentbit.io/parser":"nginx","kubernetes.io/config.hash":"h-1"},"ownerReferences":[{"kind":"StatefulSet","name":"web"}],"host":"node-1","pod_ip":"10.0.0.7""#
        );
        let c = pod.container_of_id("c1").unwrap();
        assert_eq!((c.name, c.hash, c.image), ("web", "nginx@sha256:01", "nginx:1"));
        assert_eq!(pod.container_of_id("c0").map(|c| c.name), Some("web"));
        assert_eq!(pod.container_of_name("set").map(|c| (c.id, c.hash)), Some(("", "sha256:02")));
        assert_eq!((pod.container_of_id(""), pod.container_of_id("c2")), (None, None));
        assert_eq!(pod.hints().collect::<Vec<_>>(), [("parser", "nginx")]);
        assert!(pod.is_mirror_of("h-1") && !pod.is_mirror_of("") && !pod.is_mirror_of("u-1"));
    }

    #[test]
    fn what_nobody_asked_for_is_left_out() {
        let (_, pod) = Pod::read(pod().as_bytes(), Shape::default(), &mut Tidy::default()).unwrap();
        assert_eq!(pod.entries(), r#","pod_id":"u-1","host":"node-1","pod_ip":"10.0.0.7""#);
        assert_eq!(pod.hints().count(), 1);
        let (ident, pod) = Pod::read(br#"{"metadata":{"labels":null}}"#, ALL, &mut Tidy::default()).unwrap();
        assert_eq!((&*ident.key, pod.entries()), ("/", ""));
    }

    #[test]
    fn what_is_no_pod() {
        for text in ["", "[]", "{}", "{\"metadata\":", r#"{"metadata":{"name":5}}"#] {
            assert!(Pod::read(text.as_bytes(), ALL, &mut Tidy::default()).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(cut in 0usize..900, put in "[\\[\\]{}\",:\\\\0-9a-z ]{0,12}") {
            let text = pod();
            let cut = cut.min(text.len());
            let text = [&text.as_bytes()[..cut], put.as_bytes(), &text.as_bytes()[cut..]].concat();
            if let Some((_, pod)) = Pod::read(&text, ALL, &mut Tidy::default()) {
                prop_assert!(pod.entries().len() <= text.len() + 64 && pod.hints().count() <= 2);
                let _ = (pod.container_of_id("c1"), pod.container_of_name("set"));
            }
        }
    }

    #[test]
    fn a_huge_pod_is_small() {
        let spec =
            format!(r#"{{"nodeName":"n","containers":[{}]}}"#, vec![r#"{"image":"x:1","env":[]}"#; 5000].join(","));
        let json = format!(r#"{{"metadata":{{"name":"a","namespace":"b"}},"spec":{spec}}}"#);
        assert!(json.len() > 100_000);
        let (_, pod) = Pod::read(json.as_bytes(), ALL, &mut Tidy::default()).unwrap();
        assert_eq!(&*pod.text, r#","host":"n""#);
    }
}
