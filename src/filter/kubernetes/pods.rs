//! The pods that are known: those of the watch, those that were asked for, and for a while those that are gone.

use super::names::Names;
use super::pod::{Ident, Pod, Shape};
use super::tidy::Tidy;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Pods that nobody tells of (any more) and that are kept for the lines that are still read; with more the oldest go.
const KEEP: usize = 1024;
/// Pods of the watch that are kept: a node has some hundreds.
const MOST: usize = 32 * 1024;

/// Pods by name.
pub struct Pods {
    shape: Shape,
    by_name: FxHashMap<Box<str>, Vec<Entry>>,
    version: u64,
    /// The number of the list that is being read, or was read last.
    list: u32,
    watched: usize,
    /// What is kept only for a while, oldest first.
    kept: VecDeque<Ident>,
    tidy: Tidy,
}

struct Entry {
    uid: Box<str>,
    pod: Rc<Pod>,
    from: Source,
}

/// Who told of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The watch.
    Watch,
    /// An answer to a question at this time.
    Answer(Instant),
    /// A file.
    File,
    /// The watch, in the list of this number or since.
    List(u32),
    /// Somebody who told later that it is gone.
    Gone,
}

/// What is known of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The pod.
    Is(Rc<Pod>),
    /// A pod of this name, of which the container may be, as far as is known.
    Like(Rc<Pod>),
    /// Pods of this name, none of which had this container.
    Other,
    /// Nothing.
    Unknown,
}

impl Pods {
    /// None are known.
    pub fn new(shape: Shape) -> Self {
        let by_name = FxHashMap::default();
        let (kept, tidy) = (VecDeque::new(), Tidy::default());
        Self { shape, by_name, version: 0, list: 0, watched: 0, kept, tidy }
    }

    /// A number that is another one after every change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// A pod is there, or changed. `name` stands for what its JSON does not say. Answers false when it is no pod, or one too many.
    pub fn put(&mut self, json: &[u8], from: Source, name: Option<&str>) -> bool {
        let Some((mut ident, pod)) = Pod::read(json, self.shape, &mut self.tidy) else { return false };
        if let Some(name) = name {
            ident.key = name.into();
        }
        let from = if from == Source::Watch { Source::List(self.list) } else { from };
        let is_watched = matches!(from, Source::List(_));
        if is_watched && self.watched >= MOST {
            return false;
        }
        let all = self.by_name.entry(ident.key.clone()).or_default();
        match all.iter_mut().position(|e| e.uid == ident.uid) {
            Some(at) => {
                // It stays where it is: the last one is the newest.
                let Some(old) = all.get_mut(at) else { return false };
                let was_watched = matches!(old.from, Source::List(_));
                if was_watched && !is_watched {
                    return true;
                }
                self.watched = self.watched + usize::from(is_watched) - usize::from(was_watched);
                old.from = from;
                if old.pod != pod {
                    old.pod = pod;
                    self.version += 1;
                }
            }
            None => {
                all.push(Entry { uid: ident.uid.clone(), pod, from });
                self.watched += usize::from(is_watched);
                self.version += 1;
            }
        }
        if !is_watched {
            self.keep(ident);
        }
        true
    }

    /// A pod is gone; it is kept for a while.
    pub fn gone(&mut self, json: &[u8]) {
        if let Some((ident, _)) = Pod::read(json, Shape::default(), &mut self.tidy) {
            self.retire(&ident);
        }
    }

    fn retire(&mut self, ident: &Ident) {
        let all = self.by_name.get_mut(&ident.key);
        if let Some(entry) = all.and_then(|all| all.iter_mut().find(|e| e.uid == ident.uid))
            && entry.from != Source::Gone
        {
            self.watched -= usize::from(matches!(entry.from, Source::List(_)));
            entry.from = Source::Gone;
            self.keep(ident.clone());
        }
    }

    /// A list begins: what is not put before it is whole is gone.
    pub fn begin(&mut self) {
        self.list = self.list.wrapping_add(1);
    }

    /// The list is whole.
    pub fn listed(&mut self) {
        let list = self.list;
        let is_old = |e: &Entry| matches!(e.from, Source::List(n) if n != list);
        let old: Vec<Ident> = self
            .by_name
            .iter()
            .flat_map(|(key, all)| {
                all.iter().filter(|e| is_old(e)).map(|e| Ident { key: key.clone(), uid: e.uid.clone() })
            })
            .collect();
        old.iter().for_each(|ident| self.retire(ident));
        self.version += 1;
    }

    /// Remembers that a pod is kept for a while only; the oldest of these goes when there are many.
    fn keep(&mut self, ident: Ident) {
        if self.kept.back() != Some(&ident) {
            self.kept.push_back(ident);
        }
        while self.kept.len() > KEEP
            && let Some(old) = self.kept.pop_front()
        {
            // It may have come back, or stand here a second time.
            if self.kept.contains(&old) {
                continue;
            }
            if let Some(all) = self.by_name.get_mut(&old.key) {
                all.retain(|e| e.uid != old.uid || matches!(e.from, Source::List(_)));
                if all.is_empty() {
                    self.by_name.remove(&old.key);
                }
            }
        }
    }

    /// The pod that a name means: the one with its container or uid, else, where neither is said, the newest one.
    pub fn find(&self, names: &Names) -> Found {
        let Some(all) = self.by_name.get(&names.key) else { return Found::Unknown };
        let newest_first = || all.iter().rev();
        let by_uid = |e: &&Entry| e.uid == names.uid || e.pod.is_mirror_of(&names.uid);
        let found = if !names.id.is_empty() {
            // A copy in a file may not know of containers at all.
            newest_first().find(|e| e.pod.container_of_id(&names.id).is_some() || e.from == Source::File)
        } else if !names.uid.is_empty() {
            newest_first().find(by_uid)
        } else {
            all.last()
        };
        // The metadata of another pod is worse than none.
        let may_be = |e: &&Entry| names.id.is_empty() || e.pod.may_have_had(&names.container);
        match (found, newest_first().find(may_be)) {
            (Some(e), _) => Found::Is(e.pod.clone()),
            (None, Some(e)) => Found::Like(e.pod.clone()),
            (None, None) => Found::Other,
        }
    }

    /// Whether a name is one of the watch, which tells of its changes.
    pub fn is_watched(&self, key: &str) -> bool {
        self.by_name.get(key).is_some_and(|all| all.iter().any(|e| matches!(e.from, Source::List(_))))
    }

    /// Whether the answer that the newest pod of a name is known by is older than `ttl`.
    pub fn is_stale(&self, key: &str, ttl: Duration, now: Instant) -> bool {
        let newest = self.by_name.get(key).and_then(|all| all.last());
        newest.is_some_and(|e| matches!(e.from, Source::Answer(at) if now.saturating_duration_since(at) >= ttl))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(name: &str, uid: &str, ids: &[&str], label: &str) -> Vec<u8> {
        let all: Vec<_> = ids.iter().map(|id| format!(r#"{{"name":"c","containerID":"containerd://{id}"}}"#)).collect();
        let all = all.join(",");
        format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"s","uid":"{uid}","labels":{{"l":"{label}"}}}},"status":{{"containerStatuses":[{all}]}}}}"#
        )
        .into()
    }

    fn pods() -> Pods {
        Pods::new(Shape { labels: true, ..Shape::default() })
    }

    fn names(pod: &str, id: &str, uid: &str) -> Names {
        Names { key: format!("s/{pod}").into(), id: id.into(), uid: uid.into(), ..Names::default() }
    }

    /// `is 1`: the pod whose label is 1.
    fn found(pods: &Pods, pod: &str, id: &str, uid: &str) -> String {
        let label = |pod: &Pod| pod.entries().split("\"l\":\"").nth(1).unwrap().chars().next().unwrap();
        match pods.find(&names(pod, id, uid)) {
            Found::Is(pod) => format!("is {}", label(&pod)),
            Found::Like(pod) => format!("like {}", label(&pod)),
            Found::Other => "other".into(),
            Found::Unknown => "unknown".into(),
        }
    }

    #[test]
    fn pods_of_one_name_are_told_apart_by_their_containers() {
        let mut p = pods();
        assert_eq!(found(&p, "a", "1", ""), "unknown");
        assert!(p.put(&json("a", "u1", &["1"], "1"), Source::Watch, None));
        assert_eq!(
            [found(&p, "a", "1", ""), found(&p, "a", "2", ""), found(&p, "a", "", "")],
            ["is 1", "like 1", "is 1"]
        );
        p.gone(&json("a", "u1", &["1"], "1"));
        p.put(&json("a", "u2", &["2"], "2"), Source::Watch, None);
        assert_eq!(
            [found(&p, "a", "1", ""), found(&p, "a", "2", ""), found(&p, "a", "", "")],
            ["is 1", "is 2", "is 2"]
        );
        assert_eq!([found(&p, "a", "", "u1"), found(&p, "a", "", "u3")], ["is 1", "like 2"]);
    }

    #[test]
    fn a_pod_that_cannot_have_had_a_container_is_not_taken_for_its_own() {
        let of = |id: &str| Names { container: "c".into(), ..names("a", id, "") };
        let mut p = pods();
        p.put(&json("a", "u1", &[], "1"), Source::Answer(Instant::now()), None);
        assert!(matches!(p.find(&of("1")), Found::Like(_)), "its id is not told yet");
        p.put(&json("a", "u2", &["2"], "2"), Source::Watch, None);
        assert!(matches!(p.find(&of("1")), Found::Like(pod) if pod.entries().contains("\"l\":\"1\"")), "the older one");
        let mut p = pods();
        p.put(&json("a", "u2", &["2"], "2"), Source::Watch, None);
        assert_eq!(p.find(&of("1")), Found::Other);
        let restarted = |n: u32, last: &str| {
            let last = if last.is_empty() {
                String::new()
            } else {
                format!(r#""lastState":{{"terminated":{{"containerID":"x://{last}"}}}},"#)
            };
            let text = String::from_utf8(json("a", "u2", &["2"], "2")).unwrap();
            text.replace(r#"{"name":"c","#, &format!(r#"{{{last}"restartCount":{n},"name":"c","#)).into_bytes()
        };
        for (n, last, is_like) in [(0, "", false), (1, "", true), (1, "9", false), (2, "9", true)] {
            p.put(&restarted(n, last), Source::Watch, None);
            assert_eq!(matches!(p.find(&of("1")), Found::Like(_)), is_like, "{n} {last}");
        }
    }

    #[test]
    fn only_what_changes_records_is_a_change() {
        let mut p = pods();
        p.put(&json("a", "u1", &[], "1"), Source::Watch, None);
        let v = p.version();
        p.put(&json("a", "u1", &[], "1"), Source::Watch, None);
        assert_eq!(p.version(), v);
        p.put(&json("a", "u1", &["1"], "1"), Source::Watch, None);
        assert!(p.version() > v);
        assert!(!p.put(b"{}", Source::Watch, None));
    }

    #[test]
    fn what_a_new_list_lacks_is_gone_but_kept_for_a_while() {
        let mut p = pods();
        p.begin();
        for n in 0..3000 {
            p.put(&json(&format!("p{n}"), &format!("u{n}"), &["1"], "1"), Source::Watch, None);
        }
        p.listed();
        assert!(p.is_watched("s/p0"));
        p.begin();
        p.put(&json("p5", "u5", &["1"], "1"), Source::Watch, None);
        p.listed();
        assert!(p.is_watched("s/p5") && !p.is_watched("s/p0"));
        assert_eq!((p.watched, p.by_name.len(), p.kept.len()), (1, KEEP + 1, KEEP));
        assert_eq!(found(&p, "p5", "1", ""), "is 1");
    }

    #[test]
    fn answers_grow_old() {
        let (mut p, now) = (pods(), Instant::now());
        p.put(&json("a", "u1", &[], "1"), Source::Answer(now), None);
        let later = now + Duration::from_secs(60);
        assert!(
            p.is_stale("s/a", Duration::from_secs(60), later) && !p.is_stale("s/a", Duration::from_secs(61), later)
        );
        p.put(&json("a", "u1", &[], "1"), Source::Watch, None);
        p.put(&json("a", "u1", &[], "2"), Source::Answer(now), None);
        assert!(!p.is_stale("s/a", Duration::ZERO, later), "the watch knows better");
        assert_eq!(found(&p, "a", "", ""), "is 1");
    }
}
