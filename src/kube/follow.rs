//! Following a collection: listed, then watched for ever.

use super::api::PATIENCE;
use super::list::End;
use super::{Api, Fail, ListSplit, WatchEvent, WatchSplit};
use crate::rt::{LocalFuture, now, sleep, yield_now};
use crate::util::percent;
use crate::util::rng::Rng;
use std::rc::Rc;
use std::time::Duration;

/// What is listed and watched.
#[derive(Debug, Clone)]
pub struct Collection {
    /// `/api/v1/pods`.
    pub path: String,
    /// Selectors as they stand in a URL: `fieldSelector=spec.nodeName%3Dn1`; may be empty.
    pub query: String,
    /// Objects that are asked for at once; 0 leaves it to the server.
    pub page: u32,
    /// How long one watch may last; a new one follows at once.
    pub watch: Duration,
    /// Whether each watch is to last so long; otherwise between half of it and all of it, so that the nodes of a cluster do not
    /// come back together.
    pub exact: bool,
    /// Let the server answer the first list from its memory, which spares its database: what it tells may be some seconds
    /// old, and the watch brings the rest.
    pub cached: bool,
    /// The pause before a watch that follows another.
    pub pause: Duration,
}

impl Collection {
    /// A collection in pages of 50, watched for five to ten minutes at a time.
    pub fn new(path: impl Into<String>, query: impl Into<String>) -> Self {
        let (watch, pause) = (Duration::from_secs(600), Duration::ZERO);
        Self { path: path.into(), query: query.into(), page: 50, watch, exact: false, cached: true, pause }
    }
}

/// Told what the server says. `object` is the JSON text of one object; those of a list have neither `kind` nor `apiVersion`.
pub trait Seen {
    /// A list begins, for the first time or anew: what is not put before [`Self::listed`] is gone. It may begin again before
    /// it ended.
    fn begin(&self);
    /// An object is there, or changed.
    fn put(&self, object: &[u8]);
    /// An object is gone; this is what it was.
    fn gone(&self, object: &[u8]);
    /// The list is whole.
    fn listed(&self);
    /// The server cannot be asked; it is asked again, and the log says all of this.
    fn failed(&self, why: &Fail);
    /// So many objects are larger than [`MAX_OBJECT`](super::MAX_OBJECT) and were passed over; the log says so.
    fn skipped(&self, _objects: u64) {}
    /// Waited for before more is read.
    fn room(&self) -> LocalFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Lists, then watches, for ever: pages, versions, bookmarks, new connections with growing waits, a new list when the server has
/// forgotten our version. A refusal says which rule is missing, and is tried again seldom. Drop it to end it.
pub async fn follow(api: Rc<Api>, what: Collection, seen: impl Seen) {
    let mut run = Run { api: &api, what: &what, seen: &seen, pace: Pace::new(&api), failing: None, gone: 0 };
    let mut how = if what.cached { How::Cached } else { How::Pages };
    loop {
        let mut version = loop {
            match run.list(how).await {
                Ok(version) => break version,
                Err(Fail::Gone) if how == How::Pages => how = How::Whole,
                Err(Fail::Gone) => how = How::Pages,
                Err(why) => {
                    run.wait("list", &why).await;
                    continue;
                }
            }
            run.wait("list", &Fail::Gone).await;
        };
        if run.failing == Some("list") {
            run.fine();
        }
        run.watch_on(&mut version).await;
        // Whoever forgot our version may have an old memory.
        how = How::Pages;
    }
}

/// How a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// From the server's memory.
    Cached,
    /// What is true now, in pages.
    Pages,
    /// What is true now, at once: pages take longer than the server remembers.
    Whole,
}

struct Run<'a, S> {
    api: &'a Api,
    what: &'a Collection,
    seen: &'a S,
    pace: Pace,
    /// Something failed and was told.
    failing: Option<&'static str>,
    /// Versions in a row that the server had forgotten at once.
    gone: u32,
}

impl<S: Seen> Run<'_, S> {
    /// Tells all that is there; the version to watch from.
    async fn list(&mut self, how: How) -> Result<String, Fail> {
        self.seen.begin();
        let (mut more, mut skipped): (Option<String>, _) = (None, 0);
        loop {
            let mut query = Vec::new();
            if self.what.page > 0 && how != How::Whole {
                query.push(format!("limit={}", self.what.page));
            }
            match &more {
                Some(token) => query.push(format!("continue={}", percent::encode(token))),
                None if how == How::Cached => query.push("resourceVersion=0".into()),
                None => {}
            }
            let mut answer = self.api.open(&self.target(query), PATIENCE).await?;
            let mut list = ListSplit::default();
            while let Some(piece) = answer.piece(PATIENCE).await? {
                list.feed(piece, |object| self.seen.put(object))?;
                yield_now().await;
                self.seen.room().await;
            }
            skipped += list.skipped;
            match list.end()? {
                End { more: Some(token), .. } if more.as_ref() == Some(&token) => {
                    return Err(Fail::Other("the pages of the list go round in circles".into()));
                }
                End { more: Some(token), .. } => more = Some(token),
                End { version, more: None } => {
                    self.passed_over(skipped);
                    self.seen.listed();
                    return Ok(version);
                }
            }
        }
    }

    fn passed_over(&self, objects: u64) {
        if objects > 0 {
            log::warn!(
                "[{}] {}: {objects} objects larger than 8 MiB are passed over",
                self.api.label(),
                self.what.path
            );
            self.seen.skipped(objects);
        }
    }

    /// Watches again and again, until only a new list helps.
    async fn watch_on(&mut self, version: &mut String) {
        let mut fails = 0;
        while !version.is_empty() {
            let begun = now();
            match self.watch(version).await {
                Ok(()) if now().saturating_duration_since(begun) >= Duration::from_secs(1) => {
                    fails = 0;
                    self.fine();
                    sleep(self.what.pause).await;
                }
                Ok(()) => {
                    fails += 1;
                    self.wait("watch", &Fail::Other("the server ends each watch at once".into())).await;
                }
                Err(Fail::Gone) => {
                    self.gone += 1;
                    match self.gone {
                        // That happens; a new list is the remedy.
                        1 => log::debug!("[{}] {}: version {version} is forgotten", self.api.label(), self.what.path),
                        _ => self.wait("watch", &Fail::Gone).await,
                    }
                    return;
                }
                Err(why) => {
                    fails += 1;
                    self.wait("watch", &why).await;
                }
            }
            if fails >= RELIST {
                return;
            }
        }
    }

    /// Watches once; returns when the server ends it.
    async fn watch(&mut self, version: &mut String) -> Result<(), Fail> {
        let secs = self.what.watch.as_secs().max(1);
        let secs = if self.what.exact { secs } else { self.pace.rng.between(secs.div_ceil(2), secs) };
        let query = vec![
            "watch=1".into(),
            "allowWatchBookmarks=true".into(),
            format!("resourceVersion={}", percent::encode(version)),
            format!("timeoutSeconds={secs}"),
        ];
        let mut answer = self.api.open(&self.target(query), PATIENCE).await?;
        let silence = Duration::from_secs(secs) + LATE;
        let mut split = WatchSplit::default();
        loop {
            let piece = answer.piece(silence).await;
            let Some(piece) = piece? else { return Ok(()) };
            let (mut failed, mut skipped, mut told) = (None, 0, false);
            split.feed(piece, |event| match event {
                WatchEvent::Put(object) => (told, ()) = (true, self.seen.put(object)),
                WatchEvent::Gone(object) => (told, ()) = (true, self.seen.gone(object)),
                WatchEvent::Bookmark => told = true,
                WatchEvent::TooLong => skipped += 1,
                WatchEvent::Failed(why) => failed = failed.take().or(Some(why)),
            });
            if let Some(newer) = &split.version {
                version.clone_from(newer);
            }
            self.passed_over(skipped);
            if told {
                self.fine();
            }
            if let Some(why) = failed {
                return Err(why);
            }
            yield_now().await;
            self.seen.room().await;
        }
    }

    fn target(&self, mut query: Vec<String>) -> String {
        if !self.what.query.is_empty() {
            query.push(self.what.query.clone());
        }
        match query.is_empty() {
            true => self.what.path.clone(),
            false => format!("{}?{}", self.what.path, query.join("&")),
        }
    }

    /// It works.
    fn fine(&mut self) {
        (self.pace.fails, self.gone) = (0, 0);
        if self.failing.take().is_some() {
            log::info!("[{}] {}: the API server answers again", self.api.label(), self.what.path);
        }
    }

    /// Tells of a failure, then waits.
    async fn wait(&mut self, doing: &'static str, why: &Fail) {
        self.seen.failed(why);
        let wait = self.pace.next(why);
        let (label, path, secs) = (self.api.label(), &self.what.path, wait.as_secs_f64());
        let usual = match why {
            Fail::Unresolved(_) => self.pace.fails <= self.api.dns_retries,
            // Watches break now and then, and lists take their place.
            Fail::Gone => true,
            Fail::Forbidden(_) | Fail::Unauthorized(_) | Fail::NotFound => false,
            _ => self.pace.fails == 1 && doing == "watch",
        };
        match usual {
            true => log::info!("[{label}] cannot {doing} {path}: {why}; again in {secs:.1} s"),
            false => log::warn!("[{label}] cannot {doing} {path}: {why}; again in {secs:.1} s"),
        }
        self.failing = Some(doing);
        sleep(wait).await;
    }
}

/// The server ends a watch by itself; when it is so much too late the connection is dead.
const LATE: Duration = Duration::from_secs(30);
/// Watches that fail in a row before the collection is listed anew.
const RELIST: u32 = 5;

/// How long to wait after failures.
struct Pace {
    rng: Rng,
    fails: u32,
    dns_wait: Duration,
}

impl Pace {
    fn new(api: &Api) -> Self {
        let mut seed = [0; 8];
        // Without random numbers all nodes wait equally long, which is no harm.
        let _ = crate::rt::random(&mut seed);
        Self::with(u64::from_le_bytes(seed), api.dns_wait)
    }

    fn with(seed: u64, dns_wait: Duration) -> Self {
        Self { rng: Rng::new(seed), fails: 0, dns_wait }
    }

    /// One more failure; how long to wait now: from half a second on, doubled each time, spread by half.
    fn next(&mut self, why: &Fail) -> Duration {
        self.fails = self.fails.saturating_add(1);
        let millis = 1000u64 << (self.fails - 1).min(10);
        let (least, most) = match why {
            // Rules are changed by people.
            Fail::Forbidden(_) | Fail::NotFound => (30_000, 300_000),
            Fail::Busy(Some(wait), _) => (wait.as_millis().min(120_000) as u64, 120_000),
            Fail::Unresolved(_) => (0, (self.dns_wait.as_millis() as u64).clamp(1000, 3_600_000)),
            _ => (0, 30_000),
        };
        let millis = millis.max(2 * least).min(most.max(2 * least));
        Duration::from_millis(self.rng.between(millis / 2, millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shortest and the longest of the nth waits, in milliseconds.
    fn waits(n: u32, why: &Fail) -> (u128, u128) {
        let all: Vec<u128> = (0..200)
            .map(|seed| {
                let mut pace = Pace::with(seed, Duration::from_secs(4));
                (1..n).for_each(|_| _ = pace.next(why));
                pace.next(why).as_millis()
            })
            .collect();
        (*all.iter().min().unwrap(), *all.iter().max().unwrap())
    }

    #[test]
    fn waits_grow_to_a_limit_and_fit_what_is_wrong() {
        let broken = Fail::Other("x".into());
        for (why, n, least, most) in [
            (&broken, 1, 500, 1000),
            (&broken, 2, 1000, 2000),
            (&broken, 5, 8000, 16_000),
            (&broken, 50, 15_000, 30_000),
            (&Fail::Forbidden("x".into()), 1, 30_000, 60_000),
            (&Fail::Forbidden("x".into()), 50, 150_000, 300_000),
            (&Fail::Busy(Some(Duration::from_secs(7)), "x".into()), 1, 7000, 14_000),
            (&Fail::Busy(Some(Duration::from_secs(86_400)), "x".into()), 1, 120_000, 240_000),
            (&Fail::Busy(None, "x".into()), 1, 500, 1000),
            (&Fail::Unresolved("x".into()), 50, 2000, 4000),
        ] {
            let (low, high) = waits(n, why);
            assert!((least..=most).contains(&low) && (least..=most).contains(&high), "{why:?} {n}: {low} to {high}");
            assert!(high - low > (most - least) / 2, "{why:?}: they are spread");
        }
    }
}
