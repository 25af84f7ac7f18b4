//! The tail input: follows text files, one record per line.
//!
//! A file is known by device and inode, whatever it is called; its lines are read straight into the arena of its tag's
//! batch. Between reads a file holds no buffer: an unfinished line is read again from its offset. With a database the
//! offset that is remembered moves when the outputs have taken the lines, never before.

mod archive;
#[cfg(test)]
mod archive_tests;
mod begin;
mod charset;
pub(super) mod conf;
mod copy;
#[cfg(test)]
mod copy_tests;
mod cut;
#[cfg(feature = "sqlite")]
mod db;
#[cfg(all(test, feature = "sqlite"))]
mod db_tests;
mod decode;
mod dirs;
mod discover;
#[cfg(all(test, feature = "encodings"))]
mod encoding_tests;
mod facts;
mod file;
mod files;
mod follow;
mod join;
#[cfg(test)]
mod join_tests;
mod joined;
#[cfg(feature = "sqlite")]
mod keep;
mod last;
#[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
mod ledger;
mod lines;
mod long;
mod losses;
#[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
mod marker;
#[cfg(feature = "sqlite")]
pub(super) mod mend;
mod names;
mod open;
mod patterns;
#[cfg(test)]
mod position_tests;
mod print;
mod read;
#[cfg(all(test, feature = "sqlite"))]
mod remembered_tests;
mod resume;
#[cfg(test)]
mod reuse_tests;
#[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
mod rows;
mod siblings;
mod state;
mod tag;
#[cfg(test)]
#[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
mod testing;
#[cfg(test)]
mod tests;
mod transcode;
mod waiting;
pub(super) mod watch;

pub use conf::TailConf;

use self::charset::Charset;
use self::join::Join;
use self::ledger::Book;
use self::lines::Lines;
use self::long::Long;
use self::patterns::Patterns;
use self::read::Reader;
use self::rows::{Row, Rows};
use self::state::{Grave, Scan, State};
use self::tag::TagMaker;
use self::watch::Watch;
use super::{Input, InputCx, InputPlugin, Patience};
use crate::conf::PluginInfo;
use crate::error::Error;
use crate::event::{Key, Tag};
use crate::parse::regex::Regex;
use crate::plugin::MakeCx;
use crate::rt::{self, LocalFuture};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "tail",
        doc: "Follows text files: each line becomes a record.",
        keys: TailConf::KEYS,
        unserved: TailConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

/// Lines longer than this are cut whatever Buffer_Max_Size says, in bytes: a batch's spans have 32 bits.
const LONGEST: usize = 256 << 20;
/// The largest single read, in bytes.
const LARGEST_READ: usize = 8 << 20;
/// Open files are kept to this many eighths of the limit: connections and the database need some too.
const EIGHTHS: usize = 6;

/// A tail input that is not running yet.
struct Tail {
    conf: TailConf,
    patterns: Patterns,
    tags: TagMaker,
    reader: Reader,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = TailConf::load(cx.section, cx.diags)?;
    if conf.path.0.is_empty() {
        return cx.refuse("Path", "the property 'Path' is empty", "Write for example: Path /var/log/*.log");
    }
    let mut ok = true;
    let parser = match (&conf.parser, cx.section.get("Parser")) {
        (Some(name), Some(entry)) => {
            let def = cx.parsers.require(name, &cx.section.who(), &entry.value_place, cx.diags);
            ok &= def.is_some();
            def.map(|def| def.make())
        }
        _ => None,
    };
    let regex = conf.tag_regex.as_deref().and_then(|pattern| match Regex::new(pattern) {
        Ok(regex) => Some(regex),
        Err(e) => {
            ok = false;
            cx.refuse("Tag_Regex", format_args!("Tag_Regex: {e}"), "Correct the pattern")
        }
    });
    let tag = Tag::new(cx.section.value("Tag").unwrap_or(cx.name));
    let tags = match TagMaker::new(tag, regex) {
        Ok(tags) => Some(tags),
        Err(why) => cx.refuse("Tag", why, "Write for example: Tag kube.<namespace_name>.<pod_name>"),
    };
    if cfg!(not(feature = "sqlite")) && conf.db.is_some() {
        return cx.refuse(
            "DB",
            "this build has no SQLite: DB cannot be served",
            "Leave DB out, or build with --features sqlite",
        );
    }
    if conf.unicode_encoding.is_some() && conf.generic_encoding.is_some() {
        return cx.refuse(
            "Generic.Encoding",
            "Unicode.Encoding and Generic.Encoding exclude each other",
            "Keep the one that files are written in",
        );
    }
    if cfg!(not(feature = "encodings")) && charset(&conf).is_some() {
        return cx.refuse(
            if conf.unicode_encoding.is_some() { "Unicode.Encoding" } else { "Generic.Encoding" },
            "this build knows no encodings: Unicode.Encoding and Generic.Encoding cannot be served",
            "Leave the key out, or build with --features encodings",
        );
    }
    let join = Join::of_conf(&conf, cx)?;
    let tags = tags.filter(|_| ok)?;
    let reader = reader(&conf, parser, join);
    Some(Box::new(Tail { patterns: Patterns::new(&conf.path.0, &conf.exclude_path.0), tags, reader, conf }))
}

/// What reads the files of this configuration.
fn reader(conf: &TailConf, parser: Option<Box<dyn crate::parse::Parser>>, join: Option<Join>) -> Reader {
    let size = |n: u64, most: usize| usize::try_from(n).unwrap_or(most).clamp(1, most);
    let lines = Lines {
        key: Key::of(&conf.key),
        path_key: conf.path_key.as_deref().map(Key::of),
        offset_key: conf.offset_key.as_deref().map(Key::of),
        parser,
        max: size(conf.buffer_max_size.0, LONGEST),
        long: match (conf.skip_long_lines, conf.truncate_long_lines) {
            (_, true) => Long::Truncate,
            (true, false) => Long::Skip,
            (false, false) => Long::Pieces,
        },
        skip_empty: conf.skip_empty_lines,
        join,
    };
    Reader {
        lines,
        chunk: size(conf.buffer_chunk_size.0, LARGEST_READ),
        static_batch: size(conf.static_batch_size.0, usize::MAX),
        event_batch: size(conf.event_batch_size.0, usize::MAX),
        charset: charset(conf),
        buffer: Vec::new(),
    }
}

/// What files are written in, when their text is to be decoded.
fn charset(conf: &TailConf) -> Option<Charset> {
    conf.unicode_encoding.map(|u| u.0).or(conf.generic_encoding.map(|g| g.0))
}

impl Input for Tail {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(run(*self, cx))
    }

    fn patience(&self) -> Patience {
        if self.conf.db.is_some() { Patience::ReadsAgain } else { Patience::Waits }
    }
}

async fn run(tail: Tail, cx: InputCx) -> Result<(), Error> {
    let Tail { conf, patterns, tags, mut reader } = tail;
    let remembered = written_last(&conf);
    let (store, rows, from_head) = open_store(&conf, &cx).await?;
    let inotify = conf.inotify_watcher;
    let state = Rc::new(State {
        patterns,
        tags,
        charset: charset(&conf),
        archives: Default::default(),
        files: RefCell::default(),
        aside: RefCell::default(),
        rows: RefCell::new(Rows::new(rows)),
        book: store.is_some().then(|| Rc::new(Book::default())),
        file_watch: None,
        dir_watch: None,
        dirs: RefCell::default(),
        work: rt::Notify::default(),
        plan: rt::Notify::default(),
        brisk: rt::Notify::default(),
        scanned: rt::Notify::default(),
        from_head,
        started: Cell::new(false),
        awaited: Cell::new(0),
        watches_full: Cell::new(false),
        round: Cell::new(0),
        scan: Cell::new(Scan::Idle),
        budget: budget(),
        parking: Cell::new(false),
        remembered,
        clock: Default::default(),
        losses: Default::default(),
        said: RefCell::default(),
        conf,
        cx,
    });
    let state = if inotify { with_watches(state) } else { state };
    state.scan().await;
    let stale = state.settle_rows();
    state.started.set(true);
    state.report_archives();
    state.exit_when_done();
    let mut tasks = vec![
        rt::spawn({
            let state = state.clone();
            async move { state.watch_dirs().await }
        }),
        rt::spawn({
            let state = state.clone();
            async move { state.watch_files().await }
        }),
        rt::spawn({
            let state = state.clone();
            async move { state.keep_time().await }
        }),
    ];
    let keeper = keep(&state, store, stale);
    state.read_files(&mut reader).await;
    tasks.clear();
    if let Some(keeper) = keeper {
        keeper.await;
    }
    state.report_losses();
    Ok(())
}

/// Adds inotify, as far as the system has it.
fn with_watches(state: Rc<State>) -> Rc<State> {
    let make = || match Watch::new() {
        Ok(watch) => Some(watch),
        Err(e) => {
            state.say(
                Grave::Warn,
                format_args!(
                    "inotify is not to be had ({e}): files are looked at regularly instead. \
                     Perhaps more instances are needed: sysctl fs.inotify.max_user_instances"
                ),
            );
            None
        }
    };
    let (files, dirs) = (make(), make());
    match Rc::try_unwrap(state) {
        Ok(state) => Rc::new(State { file_watch: files, dir_watch: dirs, ..state }),
        Err(state) => state,
    }
}

/// How many files may be open at a time.
fn budget() -> usize {
    #[cfg(test)]
    if let Some(n) = testing::BUDGET.get() {
        return n;
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX / 8, |n| usize::try_from(n).unwrap_or(usize::MAX / 8));
    (limit / 8).saturating_mul(EIGHTHS).max(8)
}

/// When the database was written last.
fn written_last(conf: &TailConf) -> facts::Stamp {
    let parts = conf.db.iter().flat_map(|db| [db.clone(), format!("{db}-wal")]);
    let times = parts.filter_map(|part| Some(facts::Facts::at(part.as_ref()).ok()?.written));
    times.max().unwrap_or_else(facts::now)
}

#[cfg(feature = "sqlite")]
type Store = db::Db;
#[cfg(not(feature = "sqlite"))]
type Store = ();

/// Opens the database, if one is configured. With its rows comes whether it was damaged.
#[cfg(feature = "sqlite")]
async fn open_store(conf: &TailConf, cx: &InputCx) -> Result<(Option<Store>, Vec<Row>, bool), Error> {
    let Some(path) = &conf.db else { return Ok((None, Vec::new(), false)) };
    match db::Db::open(path, conf, cx.name()).await {
        Ok((db, found)) => {
            if let Some(damage) = &found.damage {
                log::error!(
                    "[{}] the database '{path}' begins anew: {damage}. All files are read from their heads: \
                     lines come again, but none is lost",
                    cx.label()
                );
            }
            Ok((Some(db), found.rows, found.damage.is_some()))
        }
        Err(why) => Err(Error::Plugin(
            cx.label().to_owned(),
            format!(
                "cannot use the database '{path}': {why}. Nothing is read, lest lines be sent twice. \
                 Correct DB, or move the file away to begin without what it remembers"
            ),
        )),
    }
}

#[cfg(not(feature = "sqlite"))]
async fn open_store(_: &TailConf, _: &InputCx) -> Result<(Option<Store>, Vec<Row>, bool), Error> {
    Ok((None, Vec::new(), false))
}

/// Starts the task that writes down what was delivered.
#[cfg(feature = "sqlite")]
fn keep(state: &Rc<State>, store: Option<Store>, stale: Vec<i64>) -> Option<rt::Task<()>> {
    let (state, db) = (state.clone(), store?);
    Some(rt::spawn(async move { state.keep_book(&db, stale).await }))
}

#[cfg(not(feature = "sqlite"))]
fn keep(_: &Rc<State>, _: Option<Store>, _: Vec<i64>) -> Option<rt::Task<()>> {
    None
}
