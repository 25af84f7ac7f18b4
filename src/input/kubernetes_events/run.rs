//! The life of the input: what was delivered before, following, the last words.

use super::EventsConf;
use super::book::Book;
use super::events::Events;
use crate::error::Error;
use crate::input::InputCx;
use crate::kube::{Api, follow};
use crate::rt::or;
use std::rc::Rc;

/// Follows the events until the shutdown.
pub(super) async fn run(conf: EventsConf, api: Api, cx: InputCx) -> Result<(), Error> {
    let (book, keeper) = open(&conf, &cx).await?;
    let events = Events::new(&cx, &book, conf.retention_time);
    or(follow(Rc::new(api), conf.collection(), events), cx.stopping()).await;
    cx.drained().await;
    keeper.finish().await;
    Ok(())
}

#[cfg(feature = "sqlite")]
use keeper::open;

#[cfg(not(feature = "sqlite"))]
struct Keeper;

#[cfg(not(feature = "sqlite"))]
impl Keeper {
    async fn finish(self) {}
}

#[cfg(not(feature = "sqlite"))]
async fn open(_conf: &EventsConf, _cx: &InputCx) -> Result<(Rc<Book>, Keeper), Error> {
    Ok((Rc::default(), Keeper))
}

#[cfg(feature = "sqlite")]
mod keeper {
    use super::super::db::Db;
    use super::{Book, Error, EventsConf, InputCx, Rc};
    use crate::rt::{Task, sleep};
    use std::time::Duration;

    /// Writes down what is delivered.
    pub(super) struct Keeper(Option<Kept>);

    struct Kept {
        db: Rc<Db>,
        book: Rc<Book>,
        label: String,
        task: Task<()>,
    }

    /// Opens the DB, when there is to be one, and reads what was delivered.
    pub(super) async fn open(conf: &EventsConf, cx: &InputCx) -> Result<(Rc<Book>, Keeper), Error> {
        let book = Rc::new(Book::new(conf.db.is_some()));
        let Some(path) = &conf.db else { return Ok((book, Keeper(None))) };
        let opened = Db::open(conf, path, cx.name()).await;
        let (db, found, damage) =
            opened.map_err(|why| Error::Plugin(cx.label().to_owned(), format!("cannot use DB {path}: {why}")))?;
        if let Some(damage) = damage {
            log::error!("[{}] DB {path}: {damage}; events that the server still has are read again", cx.label());
        }
        for (uid, version) in found {
            book.learn(&uid, version);
        }
        let (db, label) = (Rc::new(db), cx.label().to_owned());
        let (kept, copy, name) = (db.clone(), book.clone(), label.clone());
        let task = crate::rt::spawn(async move { keep(&kept, &copy, &name).await });
        Ok((book.clone(), Keeper(Some(Kept { db, book, label, task }))))
    }

    async fn keep(db: &Db, book: &Book, label: &str) {
        loop {
            while !book.is_dirty() {
                book.changed.wait().await;
            }
            let versions = book.take();
            if let Err((versions, why)) = db.write(versions).await {
                log::warn!("[{label}] what was delivered cannot be written to the DB: {why}; trying again");
                book.give_back(versions);
                sleep(Duration::from_secs(5)).await;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    impl Keeper {
        /// The last words.
        pub(super) async fn finish(self) {
            let Some(Kept { db, book, label, task }) = self.0 else { return };
            drop(task);
            let versions = book.take();
            if !versions.is_empty()
                && let Err((_, why)) = db.write(versions).await
            {
                log::error!(
                    "[{label}] what was delivered cannot be written to the DB: {why}; some events will come again"
                );
            }
            db.close().await;
        }
    }
}
