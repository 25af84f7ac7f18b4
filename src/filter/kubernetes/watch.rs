//! The background of the filter: the pods of this node are watched, others are asked for one by one.

use super::known::Known;
use super::node::{Place, selector};
use super::pods::Source;
use crate::kube::{Api, Collection, Fail, Seen, follow};
use crate::rt::{self, LocalFuture, Notify, now};
use crate::util::percent;
use crate::util::ratelimit::{RateLimit, held_back};
use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// The largest pod that is read, in bytes.
const LARGEST: usize = 8 << 20;
/// Questions that are asked at a time.
const AT_ONCE: usize = 4;
/// The first wait after a failure, and the longest.
const WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// What was refused is tried again: a server that starts refuses for a moment what it allows later, and rights may be given meanwhile.
const REFUSED: Duration = Duration::from_secs(2);
/// Lines may come before the watch tells of their pod: it is given this time before the pod is asked for.
const SOON: Duration = Duration::from_secs(1);
/// The kubelet tells of all its pods at once: it is not asked more often.
const KUBELET_REST: Duration = Duration::from_secs(1);
/// The same complaint is made so seldom.
const REMIND: Duration = Duration::from_secs(600);

/// What the background works with.
pub struct Background {
    pub(super) known: Rc<Known>,
    pub(super) api: Rc<Api>,
    pub(super) kubelet: Option<Rc<Api>>,
    /// `Kube_Namespace_File`
    pub(super) namespace_file: PathBuf,
    /// Nobody is asked before it is necessary: there are files.
    pub(super) is_lazy: bool,
    /// `Namespace_Metadata_Only`: pods do not matter.
    pub(super) spaces_only: bool,
}

/// Background work that is under way.
struct Work {
    known: Rc<Known>,
    api: Rc<Api>,
    /// The list of what is watched is whole, or will not come: what is not known is asked for.
    is_open: Cell<bool>,
    opened: Notify,
    /// What the names (`NAMESPACE/POD`) of those begin with of whom a watch that is under way will tell.
    told_of: RefCell<Option<Rc<str>>>,
    complaints: RefCell<RateLimit>,
}

impl Background {
    /// Runs for ever.
    pub fn run(self) -> LocalFuture<'static, ()> {
        Box::pin(async move {
            while self.is_lazy && !self.known.has_questions() {
                self.known.asked.wait().await;
            }
            self.api.cautions().iter().for_each(|what| log::warn!("[{}] {what}", self.api.label()));
            let work = Rc::new(Work {
                known: self.known.clone(),
                api: self.api.clone(),
                is_open: Cell::new(false),
                opened: Notify::default(),
                told_of: RefCell::default(),
                complaints: RefCell::new(RateLimit::new(REMIND)),
            });
            let mut tasks: Vec<_> =
                (0..AT_ONCE).map(|_| rt::spawn(work.clone().answer(self.kubelet.is_some()))).collect();
            match self.kubelet {
                Some(kubelet) => tasks.push(rt::spawn(work.clone().ask_kubelet(kubelet))),
                None if self.spaces_only => work.open(),
                None => work.watch(&Place::read(&self.namespace_file)).await,
            }
            std::future::pending::<()>().await;
            drop(tasks);
        })
    }
}

impl Work {
    fn open(&self) {
        self.is_open.set(true);
        self.opened.notify();
    }

    /// Watches the pods of this node, or as much of them as we may.
    async fn watch(self: Rc<Self>, place: &Place) {
        let label = self.api.label().to_owned();
        let Some(node) = self.node(place).await else {
            log::info!(
                "[{label}] it is not known on which node this is (NODE_NAME is not set, our own pod not found): each pod is asked for"
            );
            return self.open();
        };
        log::info!("[{label}] watching the pods of node {node}");
        let (mut wait, mut is_said) = (REFUSED, false);
        loop {
            if self.clone().watch_one(Collection::new("/api/v1/pods", selector(&node))).await {
                wait = REFUSED;
            }
            let Some(space) = &place.space else {
                self.open();
                rt::sleep(wait).await;
                wait = (wait * 2).min(REMIND);
                continue;
            };
            if !std::mem::replace(&mut is_said, true) {
                log::info!(
                    "[{label}] watching the pods of namespace {space} on node {node}; others are asked for one by one"
                );
            }
            let path = format!("/api/v1/namespaces/{}/pods", percent::encode(space));
            let watcher = Watcher::new(self.clone(), &format!("{space}/"));
            rt::or(follow(self.api.clone(), Collection::new(path, selector(&node)), watcher), rt::sleep(wait)).await;
            wait = (wait * 2).min(REMIND);
        }
    }

    /// Watches these pods until that is refused; answers whether it worked before.
    async fn watch_one(self: Rc<Self>, what: Collection) -> bool {
        let watcher = Watcher::new(self.clone(), "");
        let (refused, is_listed) = (watcher.refused.clone(), watcher.is_listed.clone());
        rt::or(follow(self.api.clone(), what, watcher), refused.wait()).await;
        is_listed.get()
    }

    /// The node that we are on; asks for our own pod until there is an answer. `None` when nobody can tell.
    async fn node(&self, place: &Place) -> Option<String> {
        if place.node.is_some() {
            return place.node.clone();
        }
        let (mut wait, mut again) = (WAIT, REFUSED);
        loop {
            match place.ask(&self.api).await {
                Ok(node) => {
                    self.known.it_answers(now());
                    return node;
                }
                Err(why) if is_answer(&why) => {
                    self.complain("our own pod", &why);
                    self.known.it_answers(now());
                    self.open();
                    rt::sleep(again).await;
                    again = (again * 2).min(REMIND);
                }
                Err(why) => self.pause("our own pod", &why, &mut wait).await,
            }
        }
    }

    /// Nobody answered: says so, and waits.
    async fn pause(&self, what: &str, why: &Fail, wait: &mut Duration) {
        self.known.it_is_silent();
        self.complain(what, why);
        rt::or(rt::sleep(*wait), self.known.answering.wait()).await;
        *wait = (*wait * 2).min(LONGEST_WAIT);
    }

    fn complain(&self, what: &str, why: &Fail) {
        let why = why.to_string();
        if let Some(held) = self.complaints.borrow_mut().allow(why.as_bytes(), now()) {
            log::warn!("[{}] cannot ask for {what}: {why}{}", self.api.label(), held_back(held));
        }
    }

    /// Asks for one pod or namespace after the other; with `by_kubelet` for namespaces alone.
    async fn answer(self: Rc<Self>, by_kubelet: bool) {
        let mut wait = WAIT;
        loop {
            if !by_kubelet && !self.is_open.get() {
                self.opened.wait().await;
                continue;
            }
            let Some(key) = self.known.question(by_kubelet.then_some(true)) else {
                self.known.asked.wait().await;
                continue;
            };
            self.give_time(&key).await;
            match self.ask(&key).await {
                Ok(()) => wait = WAIT,
                Err(why) if is_answer(&why) => {
                    self.known.it_answers(now());
                    if why != Fail::NotFound {
                        self.complain(&key, &why);
                    }
                }
                Err(why) => {
                    let what = key.to_string();
                    self.known.put_back(key);
                    self.pause(&what, &why, &mut wait).await;
                }
            }
        }
    }

    /// Lets a watch tell of a pod before it is asked for.
    async fn give_time(&self, key: &str) {
        let is_told_of = self.told_of.borrow().as_deref().is_some_and(|prefix| key.starts_with(prefix));
        if is_told_of && let Some(at) = self.known.asked_at(key) {
            rt::sleep_until(at + SOON).await;
        }
    }

    async fn ask(&self, key: &str) -> Result<(), Fail> {
        let (space, pod) = key.split_once('/').unwrap_or((key, ""));
        let path = format!("/api/v1/namespaces/{}", percent::encode(space));
        if pod.is_empty() {
            let body = self.get(&path).await?;
            self.known.spaces.borrow_mut().put(space, &body, now(), &mut self.known.tidy.borrow_mut());
        } else if !self.known.pods.borrow().is_watched(key) {
            let body = self.get(&format!("{path}/pods/{}", percent::encode(pod))).await?;
            self.known.pods.borrow_mut().put(&body, Source::Answer(now()), Some(key));
        }
        self.known.it_answers(now());
        self.known.wake();
        Ok(())
    }

    async fn get(&self, path: &str) -> Result<Vec<u8>, Fail> {
        self.api.get(path, LARGEST).await
    }

    /// Has the kubelet tell of all its pods when one is asked for.
    async fn ask_kubelet(self: Rc<Self>, kubelet: Rc<Api>) {
        let mut wait = WAIT;
        loop {
            let Some(key) = self.known.question(Some(false)) else {
                self.known.asked.wait().await;
                continue;
            };
            let put = |json: &[u8]| {
                self.known.pods.borrow_mut().put(json, Source::Answer(now()), None);
            };
            match kubelet.list("/pods", put).await {
                Ok(()) => {
                    // One answer for all.
                    while self.known.question(Some(false)).is_some() {}
                    wait = WAIT;
                    self.known.it_answers(now());
                    self.known.wake();
                    rt::sleep(KUBELET_REST).await;
                }
                Err(why) if is_answer(&why) => {
                    self.complain("the kubelet's pods", &why);
                    self.known.it_answers(now());
                    rt::sleep(KUBELET_REST).await;
                }
                Err(why) => {
                    self.known.put_back(key);
                    self.pause("the kubelet's pods", &why, &mut wait).await;
                }
            }
        }
    }
}

/// Whether asking again would bring the same answer.
fn is_answer(why: &Fail) -> bool {
    matches!(why, Fail::NotFound | Fail::Forbidden(_) | Fail::TooLarge)
}

/// Told of the pods that are watched.
struct Watcher {
    work: Rc<Work>,
    /// What the names of those begin with of whom it is told.
    prefix: Rc<str>,
    is_listed: Rc<Cell<bool>>,
    /// We may not watch.
    refused: Rc<Notify>,
}

impl Watcher {
    fn new(work: Rc<Work>, prefix: &str) -> Self {
        Self { work, prefix: prefix.into(), is_listed: Rc::default(), refused: Rc::default() }
    }

    fn it_answers(&self) {
        self.work.known.it_answers(now());
        if self.is_listed.get() {
            self.work.told_of.replace(Some(self.prefix.clone()));
        }
    }
}

/// It ends: another one takes its place, or none.
impl Drop for Watcher {
    fn drop(&mut self) {
        self.work.told_of.take();
    }
}

impl Seen for Watcher {
    fn begin(&self) {
        self.work.known.pods.borrow_mut().begin();
    }

    fn put(&self, object: &[u8]) {
        self.work.known.pods.borrow_mut().put(object, Source::Watch, None);
        if self.is_listed.get() {
            self.it_answers();
        }
        self.work.known.wake();
    }

    fn gone(&self, object: &[u8]) {
        self.work.known.pods.borrow_mut().gone(object);
        self.it_answers();
    }

    fn listed(&self) {
        self.is_listed.set(true);
        self.work.known.pods.borrow_mut().listed();
        self.it_answers();
        self.work.open();
        self.work.known.wake();
    }

    fn failed(&self, why: &Fail) {
        self.work.told_of.take();
        match why {
            Fail::Forbidden(_) | Fail::NotFound => {
                self.it_answers();
                self.work.open();
                self.refused.notify();
            }
            // A list takes its place, or what is there is too large: it is there.
            Fail::Gone | Fail::TooLarge => {}
            _ => self.work.known.it_is_silent(),
        }
    }
}
