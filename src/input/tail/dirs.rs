//! Directories under watch: names that come, go and move lead to looks at the files concerned.

use super::file::FileId;
use super::names::origins;
use super::rows::target;
use super::state::{Grave, State};
use super::watch::Event;
use rustc_hash::FxHashMap;
use rustix::fs::inotify::ReadFlags;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Renames, and files followed through several of them, remembered at most.
const ORPHANS: usize = 1024;
/// Batches of events for which a rotated file is looked for where it went.
const LOOKS: u32 = 8;

/// What the watched directories are to the input.
#[derive(Debug, Default)]
pub struct Dirs {
    watched: FxHashMap<i32, Dir>,
    /// First halves of renames of files of interest: cookie, and the matching name they once had.
    leaving: FxHashMap<u32, Rc<Path>>,
    /// Where files went that left a matching name, perhaps before they were seen. With several renames on their way one
    /// may be taken for another, so that each is looked for more than once.
    orphans: Vec<Orphan>,
}

#[derive(Debug, Default)]
struct Dir {
    /// Its names, as patterns spell them.
    paths: Vec<Rc<Path>>,
    /// Its real path, when links lead into it.
    real: Option<PathBuf>,
    /// Names in it that links with matching names lead to.
    targets: FxHashMap<OsString, Vec<Rc<Path>>>,
}

#[derive(Debug)]
struct Orphan {
    at: PathBuf,
    live: Rc<Path>,
    /// The file that was found there, which is followed.
    id: Option<FileId>,
    /// Batches of events since it went there.
    looks: u32,
}

/// What a batch of events asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Names to look at, oldest event first.
    pub looks: Vec<PathBuf>,
    /// New files that may be copies, and those of which they may be.
    pub beside: Vec<(PathBuf, PathBuf)>,
    /// Everything has to be looked at.
    pub rescan: bool,
}

impl Dir {
    /// The names of files of which one at `path` may be a copy.
    fn copied(&self, path: &Path) -> impl Iterator<Item = PathBuf> {
        origins(path).into_iter().flat_map(|live| {
            let links = live.file_name().and_then(|name| self.targets.get(name)).cloned().unwrap_or_default();
            let links: Vec<PathBuf> = links.iter().map(|link| link.to_path_buf()).collect();
            links.into_iter().chain([live])
        })
    }
}

impl Dirs {
    /// Takes note of a watched directory.
    fn add(&mut self, watch: i32, path: &Path) {
        let dir = self.watched.entry(watch).or_default();
        if !dir.paths.iter().any(|p| **p == *path) {
            dir.paths.push(path.into());
        }
    }

    /// Takes note that `link` leads to `name` in a watched directory.
    fn add_target(&mut self, watch: i32, real: &Path, name: OsString, link: &Rc<Path>) {
        let dir = self.watched.entry(watch).or_default();
        dir.real.get_or_insert_with(|| real.into());
        let links = dir.targets.entry(name).or_default();
        if !links.contains(link) {
            links.push(link.clone());
        }
    }

    /// A file, `name` as far as is known, is read to its end: it is not to be taken for a new one where it went.
    pub fn settled(&mut self, name: &Path, id: FileId) {
        self.orphans.retain(|o| o.at != name && o.id != Some(id));
    }

    /// Sorts a batch of events into what is to be done.
    fn sort(&mut self, events: &[Event], state: &State) -> Asked {
        let mut asked = Asked::default();
        for event in events {
            if event.what.contains(ReadFlags::QUEUE_OVERFLOW) {
                asked.rescan = true;
                continue;
            }
            let Some(dir) = self.watched.get(&event.watch) else { continue };
            if event.what.contains(ReadFlags::IGNORED) {
                self.watched.remove(&event.watch);
                continue;
            }
            if event.name.is_empty() {
                // The directory itself was moved or deleted.
                asked.rescan = true;
                continue;
            }
            let paths: Vec<PathBuf> = dir.paths.iter().map(|p| join(p, &event.name)).collect();
            let links = dir.targets.get(&*event.name).cloned().unwrap_or_default();
            let mut live = links.first().cloned();
            asked.looks.extend(links.iter().map(|l| l.to_path_buf()));
            for path in &paths {
                if event.what.contains(ReadFlags::ISDIR) {
                    asked.rescan |= state.patterns.may_lead_on(path);
                } else if state.patterns.matches(path) {
                    live.get_or_insert_with(|| path.as_path().into());
                    asked.looks.push(path.clone());
                } else if state.patterns.may_lead_on(path) {
                    // A link to a directory.
                    asked.rescan = true;
                }
            }
            let real = dir.real.as_ref().map(|dir| join(dir, &event.name));
            if let Some(path) = paths.into_iter().next().or(real) {
                if live.is_none() && event.what.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
                    asked.beside.extend(dir.copied(&path).map(|live| (path.clone(), live)));
                }
                self.follow_rename(event, path, live);
            }
        }
        let mut seen = rustc_hash::FxHashSet::default();
        asked.looks.retain(|path| seen.insert(path.clone()));
        asked
    }

    /// Keeps track of files that leave a matching name.
    fn follow_rename(&mut self, event: &Event, path: PathBuf, live: Option<Rc<Path>>) {
        if event.what.contains(ReadFlags::MOVED_FROM) {
            let orphan = self.orphans.iter().position(|o| o.at == path);
            let from = orphan.map(|at| self.orphans.swap_remove(at).live).or(live);
            if let Some(from) = from
                && self.leaving.len() < ORPHANS
            {
                self.leaving.insert(event.cookie, from);
            }
        } else if event.what.contains(ReadFlags::MOVED_TO)
            && let Some(from) = self.leaving.remove(&event.cookie)
            && live.is_none()
            && self.orphans.len() < ORPHANS
        {
            self.orphans.push(Orphan { at: path, live: from, id: None, looks: 0 });
        }
    }
}

impl State {
    /// Watches the directories in which files may appear.
    pub fn watch_directories(&self) {
        let Some(inotify) = &self.dir_watch else { return };
        for path in self.patterns.directories() {
            match inotify.add_dir(&path) {
                Ok(watch) => self.dirs.borrow_mut().add(watch, &path),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
                    let path = path.display();
                    self.say(
                        Grave::Warn,
                        format_args!(
                            "cannot watch '{path}': {e}. New files there are found every {:?}",
                            self.conf.refresh_interval
                        ),
                    );
                }
                Err(e) => self.no_watch(&e),
            }
        }
    }

    /// Watches the directory that a link leads into: there the file is replaced when it is rotated.
    pub fn watch_target(&self, link: &Rc<Path>) {
        let Some(inotify) = &self.dir_watch else { return };
        if !std::fs::symlink_metadata(link).is_ok_and(|m| m.is_symlink()) {
            return;
        }
        // The next file may not be there yet.
        let Some(target) = link.canonicalize().ok().or_else(|| target(link)) else { return };
        let (Some(dir), Some(name)) = (target.parent(), target.file_name()) else { return };
        match inotify.add_dir(dir) {
            Ok(watch) => self.dirs.borrow_mut().add_target(watch, dir, name.to_owned(), link),
            Err(e) => self.no_watch(&e),
        }
    }

    /// Acts on events of watched directories.
    pub async fn directories_changed(&self, events: &[Event]) {
        let asked = self.dirs.borrow_mut().sort(events, self);
        for (path, live) in &asked.beside {
            self.hold(path, live);
        }
        // The older files first, so that lines keep their order.
        let mut orphans = std::mem::take(&mut self.dirs.borrow_mut().orphans);
        for orphan in &mut orphans {
            orphan.id = self.adopt_rotated(&orphan.at, &orphan.live).or(orphan.id);
            orphan.looks += 1;
        }
        let found: Vec<_> = orphans.iter().filter_map(|o| Some((o.id?, o.at.clone()))).collect();
        orphans.retain(|o| o.looks < LOOKS);
        self.dirs.borrow_mut().orphans = orphans;
        for path in &asked.looks {
            self.look(path);
        }
        // Those that were still under their old names until then.
        for (id, at) in found {
            self.went(id, &at);
        }
        if asked.rescan {
            self.scan().await;
        }
    }
}

/// A name in a directory, spelled as the patterns spell it.
fn join(dir: &Path, name: &std::ffi::OsStr) -> PathBuf {
    if dir == Path::new(".") { PathBuf::from(name) } else { dir.join(name) }
}
