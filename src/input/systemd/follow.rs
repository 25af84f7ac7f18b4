//! Following the journal: turns of reading, and waiting for more.

use super::SystemdConf;
use super::book::{Book, Mark};
use super::files::find;
use super::merge::{Event, Merge, Resume};
use super::record::Records;
use crate::error::Error;
use crate::event::Tag;
use crate::input::InputCx;
use crate::input::tail::watch::{Watch, is_remote};
use crate::rt::{or, sleep, yield_now};
use std::rc::Rc;
use std::time::Duration;

/// Bytes of entries that are read in one go.
const TURN: usize = 512 << 10;
/// Events are gathered for so long.
const GATHER: Duration = Duration::from_millis(10);
/// How often folders are looked at although nothing was heard of them; also when there is none yet, and when files change
/// without notice.
const LOOK: Duration = Duration::from_secs(60);
const LOOK_OFTEN: Duration = Duration::from_secs(2);

/// What is kept of the way so far.
#[cfg(feature = "sqlite")]
type Store = super::db::Db;
#[cfg(not(feature = "sqlite"))]
type Store = ();

/// The whole life of the input.
pub(super) async fn run(conf: SystemdConf, cx: InputCx) -> Result<(), Error> {
    let (store, mut resume) = open(&conf, &cx).await?;
    resume.from_tail = conf.read_from_tail;
    let book = Rc::new(Book::default());
    let keeper = store.map(|store| {
        let (store, book) = (Rc::new(store), book.clone());
        let (kept, label) = (store.clone(), cx.label().to_owned());
        let task = crate::rt::spawn(async move { keep(&kept, &book, &label).await });
        (store, task)
    });
    let watch = match Watch::new() {
        Ok(watch) => Some(watch),
        Err(e) => {
            log::warn!("[{}] changes are looked for every {LOOK_OFTEN:?}: inotify: {e}", cx.label());
            None
        }
    };
    let mut follower = Follower {
        records: Records::new(&conf, cx.tag()),
        merge: Merge::new(resume),
        book: book.clone(),
        watch,
        folders: Vec::new(),
        looks_often: false,
        conf,
        cx: cx.clone(),
    };
    follower.scan();
    while !cx.is_stopping() {
        follower.merge.refresh();
        follower.read().await;
        if !follower.merge.is_unsettled() && !cx.is_stopping() {
            follower.wait().await;
        }
    }
    drop(follower);
    cx.drained().await;
    if let Some((store, task)) = keeper {
        drop(task);
        finish(&store, &book, cx.label()).await;
    }
    Ok(())
}

struct Follower {
    conf: SystemdConf,
    cx: InputCx,
    records: Records,
    merge: Merge,
    book: Rc<Book>,
    watch: Option<Watch>,
    /// The watches of folders.
    folders: Vec<i32>,
    /// Something cannot be watched, or is not there yet.
    looks_often: bool,
}

impl Follower {
    /// Looks which files there are.
    fn scan(&mut self) {
        let found = find(self.conf.path.as_deref());
        self.looks_often = self.watch.is_none() || found.folders.is_empty();
        self.folders.clear();
        for folder in &found.folders {
            match self.watch.as_ref().map(|w| w.add_dir(folder)) {
                Some(Ok(watch)) => self.folders.push(watch),
                _ => self.looks_often = true,
            }
        }
        let positions = self.merge.scan(&found);
        self.looks_often |= self.merge.has_empty;
        if !positions.is_empty() && self.conf.db.is_some() {
            // Also where nothing was delivered yet: with Read_From_Tail that is what comes next time, too.
            drop(self.book.enter(Mark { cursor: None, positions: positions.into_iter().collect() }));
        }
        for opened in &mut self.merge.files {
            if opened.watch.is_none()
                && let Some(watch) = &self.watch
            {
                opened.watch = watch.add_file(&opened.file, &opened.path).ok();
            }
            self.looks_often |= opened.watch.is_none() || is_remote(&opened.file);
        }
        self.tell();
    }

    /// Reads all there is.
    async fn read(&mut self) {
        while !self.cx.is_stopping() && self.turn() {
            yield_now().await;
            self.cx.wait_for_room().await;
        }
    }

    /// Reads some entries and commits their records; `false` when there was none.
    fn turn(&mut self) -> bool {
        let (mut entries, mut bytes, mut mark) = (0, 0, Mark::default());
        let mut touched: Vec<Tag> = Vec::new();
        while entries < self.conf.max_entries && bytes < TURN {
            let Some(n) = self.merge.next() else { break };
            let Merge { files, pages, .. } = &mut self.merge;
            let Some(opened) = files.get(n) else { break };
            if let Some(tag) = self.records.read(opened, pages) {
                self.records.write(opened, &mut self.cx.batch(&tag));
                if !touched.contains(&tag) {
                    touched.push(tag);
                }
            }
            bytes += self.records.len() + 256;
            if let Some(damage) = self.records.left_out {
                let path = opened.path.display();
                self.cx.lost(0, &format!("fields of an entry of {path} are left out: {damage}"));
            }
            entries += 1;
            if let Some((cursor, id)) = self.merge.pass(n) {
                mark.cursor = Some(cursor);
                mark.positions.insert(id, cursor.seqnum);
            }
        }
        self.tell();
        if entries == 0 {
            return false;
        }
        let ack = self.book.enter(mark);
        for tag in touched {
            self.cx.commit_now(&tag, Some(ack.clone()));
        }
        true
    }

    /// Says what happened to files.
    fn tell(&mut self) {
        for event in self.merge.events.drain(..) {
            match event {
                Event::Opened(path, entries) => {
                    log::info!("[{}] reading {}: {entries} entries", self.cx.label(), path.display());
                }
                Event::Refused(path, damage) => self.cx.lost(0, &format!("cannot read {}: {damage}", path.display())),
                Event::Lost(path, entries, damage) => {
                    self.cx.lost(entries, &format!("entries of {} are damaged: {damage}", path.display()));
                }
            }
        }
    }

    /// Waits until a file or a folder changes, or it is time to look.
    async fn wait(&mut self) {
        let pause = if self.looks_often { LOOK_OFTEN } else { LOOK };
        let events = async {
            match &self.watch {
                Some(watch) => watch.events().await.unwrap_or_default(),
                None => std::future::pending().await,
            }
        };
        let timer = async {
            or(sleep(pause), self.cx.stopping()).await;
            Vec::new()
        };
        let events = or(events, timer).await;
        if self.cx.is_stopping() {
            return;
        }
        // Without events it was time; -1 is a queue that ran over.
        let looks = events.is_empty() || events.iter().any(|e| e.watch < 0 || self.folders.contains(&e.watch));
        self.cx.sleep(GATHER).await;
        if looks {
            self.scan();
        }
    }
}

#[cfg(feature = "sqlite")]
async fn open(conf: &SystemdConf, cx: &InputCx) -> Result<(Option<Store>, Resume), Error> {
    let Some(path) = &conf.db else { return Ok((None, Resume::default())) };
    match super::db::Db::open(path, conf.db_sync, cx.name()).await {
        Ok((db, resume, damage)) => {
            if let Some(damage) = damage {
                log::error!("[{}] DB {path}: {damage}; the journal is read from its beginning", cx.label());
            }
            Ok((Some(db), resume))
        }
        Err(why) => Err(Error::Plugin(cx.label().to_owned(), format!("cannot use DB {path}: {why}"))),
    }
}

#[cfg(not(feature = "sqlite"))]
async fn open(_conf: &SystemdConf, _cx: &InputCx) -> Result<(Option<Store>, Resume), Error> {
    Ok((None, Resume::default()))
}

/// Writes down what is delivered, for ever.
#[cfg(feature = "sqlite")]
async fn keep(store: &Store, book: &Book, label: &str) {
    loop {
        while !book.is_dirty() {
            book.changed.wait().await;
        }
        write(store, book, label).await;
        sleep(Duration::from_millis(50)).await;
    }
}

#[cfg(not(feature = "sqlite"))]
async fn keep(_store: &Store, _book: &Book, _label: &str) {}

#[cfg(feature = "sqlite")]
async fn write(store: &Store, book: &Book, label: &str) {
    let Some(mark) = book.take() else { return };
    if let Err((mark, why)) = store.write(mark).await {
        log::warn!("[{label}] the position cannot be written to the DB: {why}; trying again");
        book.give_back(mark);
        sleep(Duration::from_secs(5)).await;
    }
}

/// The last words.
#[cfg(feature = "sqlite")]
async fn finish(store: &Store, book: &Book, label: &str) {
    if let Some(mark) = book.take()
        && let Err((_, why)) = store.write(mark).await
    {
        log::error!("[{label}] the last position cannot be written to the DB: {why}; some entries will be sent again");
    }
    store.close().await;
}

#[cfg(not(feature = "sqlite"))]
async fn finish(_store: &Store, _book: &Book, _label: &str) {}
