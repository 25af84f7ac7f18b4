//! What a tag, or the name of a container in the journal, says of where a record comes from.

use crate::conf::Section;
use crate::error::Diags;
use crate::event::{Batch, Key, Tag};
use crate::parse::{Parsed, Parser, ParserDef};
use crate::time::Time;

/// Files in /var/log/containers: `POD_NAMESPACE_CONTAINER-ID.log`.
const FILE: &str = r"(?<pod_name>[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*)_(?<namespace_name>[^_]+)_(?<container_name>.+)-(?<docker_id>[a-z0-9]{64})\.log$";
/// Files in /var/log/pods: `NAMESPACE_POD_UID/CONTAINER/N.log`, each slash a dot.
const IN_FOLDER: &str = r"(?:^|[./])(?<namespace_name>[^_./]+)_(?<pod_name>[^_]+)_(?<pod_id>[-0-9a-z]+)[./](?<container_name>[^_]+)[./][0-9]+\.log$";
/// Docker's names of containers: `k8s_CONTAINER.HASH_POD_NAMESPACE_UID_ATTEMPT`.
const JOURNAL: &str = r"^(?<name_prefix>[^_]+)_(?<container_name>[^\._]+)(?:\.(?<container_hash>[^_]+))?_(?<pod_name>[^_]+)_(?<namespace_name>[^_]+)_(?<pod_id>[^_]+)_[^_]+$";
/// Where the name of a file begins in a tag that was made of its path.
const FOLDER: &str = "var.log.containers.";

/// What is known before anybody was asked; empty is what is not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// The pod's name.
    pub pod: Box<str>,
    /// Its namespace.
    pub space: Box<str>,
    /// The container's name.
    pub container: Box<str>,
    /// The container's number.
    pub id: Box<str>,
    /// The hash in Docker's names.
    pub hash: Box<str>,
    /// The pod's uid.
    pub uid: Box<str>,
    /// `NAMESPACE/POD`.
    pub key: Box<str>,
}

/// Takes names apart.
pub struct NameReader {
    parsers: Vec<Box<dyn Parser>>,
    batch: Batch,
    /// The user's own parser is there.
    is_own: bool,
    keys: [(Key, Field); 8],
}

#[derive(Debug, Clone, Copy)]
enum Field {
    Pod,
    Space,
    Container,
    Id,
    Hash,
    Uid,
}

impl NameReader {
    /// Takes tags apart by the user's parser, or by the names that the kubelet gives files; with `journal` names of containers.
    pub fn new(own: Option<&ParserDef>, journal: bool) -> Self {
        let built_in = |pattern: &str| {
            let section = Section::of("PARSER", &[("Name", "names"), ("Format", "regex"), ("Regex", pattern)]);
            ParserDef::new(&section, &mut Diags::new()).map(|def| def.make())
        };
        let parsers = match own {
            Some(def) => vec![def.make()],
            None if journal => built_in(JOURNAL).into_iter().collect(),
            None => [FILE, IN_FOLDER].into_iter().filter_map(built_in).collect(),
        };
        let keys = [
            ("pod_name", Field::Pod),
            ("namespace_name", Field::Space),
            ("container_name", Field::Container),
            ("docker_id", Field::Id),
            ("container_id", Field::Id),
            ("container_hash", Field::Hash),
            ("pod_id", Field::Uid),
            ("pod_uid", Field::Uid),
        ];
        let keys = keys.map(|(name, field)| (Key::of(name), field));
        Self { parsers, batch: Batch::new(Tag::new("names")), is_own: own.is_some(), keys }
    }

    /// Takes a tag apart. A tag without the prefix is taken as it is, or from the folder on that the kubelet's names stand in.
    pub fn tag(&mut self, tag: &str, prefix: &str) -> Option<Names> {
        let rest = match tag.strip_prefix(prefix) {
            Some(rest) => rest,
            None if self.is_own => tag,
            None => tag.find(FOLDER).and_then(|at| tag.get(at + FOLDER.len()..)).unwrap_or(tag),
        };
        self.read(rest.as_bytes())
    }

    /// Takes a name apart. `None` when it has another form, or leaves namespace or pod open.
    pub fn read(&mut self, name: &[u8]) -> Option<Names> {
        let Self { parsers, batch, keys, .. } = self;
        batch.recycle(Tag::new("names"), 64 << 10);
        let text = batch.arena_mut().push(name);
        let mark = batch.begin();
        let hit = parsers.iter_mut().any(|p| p.parse(batch, text, Time(0)) != Parsed::Miss);
        if !hit {
            return None;
        }
        let mut names = Names::default();
        for (key, value) in batch.since(mark) {
            let (Some(&(_, field)), Some(text)) = (keys.iter().find(|(k, _)| *k == key), value.as_text()) else {
                continue;
            };
            let slot = match field {
                Field::Pod => &mut names.pod,
                Field::Space => &mut names.space,
                Field::Container => &mut names.container,
                Field::Id => &mut names.id,
                Field::Hash => &mut names.hash,
                Field::Uid => &mut names.uid,
            };
            if slot.is_empty() {
                *slot = String::from_utf8_lossy(&text.bytes()).into();
            }
        }
        if names.space.is_empty() || names.pod.is_empty() {
            return None;
        }
        names.key = format!("{}/{}", names.space, names.pod).into();
        Some(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::ParserSet;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn names(of: &str, own: Option<&str>, prefix: &str) -> Option<String> {
        let def = own.map(|regex| {
            let section = Section::of("PARSER", &[("Name", "own"), ("Format", "regex"), ("Regex", regex)]);
            ParserSet::new(vec![section], &mut Diags::new()).get("own").unwrap()
        });
        let found = NameReader::new(def.as_ref(), false).tag(of, prefix)?;
        assert_eq!(*found.key, *format!("{}/{}", found.space, found.pod));
        let id = if &*found.id == ID { "ID" } else { &found.id };
        Some(format!("{} {} {} {id} {}", found.space, found.pod, found.container, found.uid))
    }

    #[test]
    fn tags_made_of_paths() {
        const PREFIX: &str = "kube.var.log.containers.";
        let file = format!("web-0.a_shop_side-car-{ID}.log");
        let want = Some("shop web-0.a side-car ID ".to_owned());
        assert_eq!(names(&format!("{PREFIX}{file}"), None, PREFIX), want);
        assert_eq!(names(&format!("k8s.var.log.containers.{file}"), None, PREFIX), want, "another prefix");
        assert_eq!(names(&format!("{PREFIX}other.log"), None, PREFIX), None);
        assert_eq!(names(&format!("{PREFIX}web_shop_c-0123.log"), None, PREFIX), None);
        let folder = "kube.var.log.pods.shop_web-0_12ab-34.app.0.log";
        assert_eq!(names(folder, None, PREFIX).as_deref(), Some("shop web-0 app  12ab-34"));
    }

    #[test]
    fn parsers_of_ones_own() {
        let efk = r"^(?<namespace_name>[^_]+)\.(?<container_name>.+)\.(?<pod_name>[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)\.(?<docker_id>[a-z0-9]{64})-$";
        let tag = format!("kube.shop.app.web-0.{ID}-");
        assert_eq!(names(&tag, Some(efk), "kube.").as_deref(), Some("shop web-0 app ID "));
        let test =
            r"^(?<namespace_name>[^_]+)_(?<pod_name>[^_]+)_(?<pod_uid>[^.]+)\.(?<container_name>[^.]+)\.(?<n>\d+)$";
        assert_eq!(names("x.shop_web_u-1.app.0", Some(test), "x.").as_deref(), Some("shop web app  u-1"));
        assert_eq!(names("x.shop", Some("^(?<namespace_name>.*)$"), "x."), None, "no pod");
    }

    #[test]
    fn names_in_the_journal() {
        let mut reader = NameReader::new(None, true);
        let n = reader.read(b"k8s_app.12ab_web-0_shop_u-1_3").unwrap();
        assert_eq!((&*n.space, &*n.pod, &*n.container, &*n.hash, &*n.uid), ("shop", "web-0", "app", "12ab", "u-1"));
        assert_eq!(reader.read(b"k8s_app_web-0_shop_u-1_3").map(|n| n.hash), Some("".into()));
        assert_eq!(reader.read(b"registry"), None);
    }
}
