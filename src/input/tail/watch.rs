//! inotify: one instance for directories, whose events are acted on at once, and one for files, whose many events are
//! gathered a little.

use crate::rt::Source;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Events taken at a time, more or less.
const MANY: usize = 4096;

/// An inotify instance.
#[derive(Debug)]
pub struct Watch {
    source: Source<OwnedFd>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The watch it came from; -1 when the queue overflowed.
    pub watch: i32,
    /// What happened.
    pub what: ReadFlags,
    /// The same for both halves of a rename.
    pub cookie: u32,
    /// The name in the watched directory; empty for files.
    pub name: Box<OsStr>,
}

impl Watch {
    /// A new instance.
    ///
    /// # Errors
    /// When descriptors or instances (`fs.inotify.max_user_instances`) have run out.
    pub fn new() -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Self { source: Source::new(fd)? })
    }

    /// Watches a directory for names that come and go. A directory that is watched already keeps its number.
    ///
    /// # Errors
    /// `ENOSPC` when watches (`fs.inotify.max_user_watches`) have run out, else what is wrong with the path.
    pub fn add_dir(&self, path: &Path) -> io::Result<i32> {
        self.add(
            path,
            WatchFlags::CREATE
                | WatchFlags::MOVED_FROM
                | WatchFlags::MOVED_TO
                | WatchFlags::DELETE
                | WatchFlags::DELETE_SELF
                | WatchFlags::MOVE_SELF
                | WatchFlags::ONLYDIR,
        )
    }

    /// Watches an open file, whatever its name may be now.
    ///
    /// # Errors
    /// As for [`Watch::add_dir`].
    pub fn add_file(&self, file: &impl AsFd, path: &Path) -> io::Result<i32> {
        let flags = WatchFlags::MODIFY | WatchFlags::ATTRIB | WatchFlags::MOVE_SELF;
        let by_number = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
        match self.add(Path::new(&by_number), flags) {
            // Without /proc the name has to do.
            Err(e) if e.kind() == io::ErrorKind::NotFound => self.add(path, flags),
            done => done,
        }
    }

    /// Ends a watch.
    pub fn remove(&self, watch: i32) {
        if let Some(fd) = self.source.get() {
            // It may be gone already, with its file.
            let _ = inotify::remove_watch(fd, watch);
        }
    }

    /// Waits for events and takes those that are there.
    ///
    /// # Errors
    /// When the instance is broken.
    pub async fn events(&self) -> io::Result<Vec<Event>> {
        self.source
            .read(|fd| {
                let mut buffer = [const { MaybeUninit::uninit() }; 8192];
                let mut reader = inotify::Reader::new(fd, &mut buffer);
                let mut events = Vec::new();
                loop {
                    let event = match reader.next() {
                        Ok(event) => event,
                        // What is there was taken; an error comes again.
                        Err(_) if !events.is_empty() => return Ok(events),
                        Err(e) => return Err(e.into()),
                    };
                    events.push(Event {
                        watch: event.wd(),
                        what: event.events(),
                        cookie: event.cookie(),
                        name: OsStr::from_bytes(event.file_name().map_or(b"", |n| n.to_bytes())).into(),
                    });
                    if reader.is_buffer_empty() && events.len() >= MANY {
                        return Ok(events);
                    }
                }
            })
            .await
    }

    fn add(&self, path: &Path, flags: WatchFlags) -> io::Result<i32> {
        let fd = self.source.get().ok_or(io::ErrorKind::NotConnected)?;
        Ok(inotify::add_watch(fd, path, flags)?)
    }
}

/// Whether files of this open file's file system change without inotify noticing, since others write there.
pub fn is_remote(file: &impl AsFd) -> bool {
    // statfs(2): NFS, SMB, CIFS, SMB2, FUSE (sshfs, virtiofs …), 9P, Ceph, AFS, Lustre.
    const REMOTE: [u32; 9] =
        [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x6573_5546, 0x0102_1997, 0x00c3_6400, 0x5346_414f, 0x0bd0_0bd0];
    rustix::fs::fstatfs(file).is_ok_and(|s| REMOTE.contains(&(s.f_type as u32)))
}
