//! The tasks of a running tail input: reading, watching, keeping time.

use super::charset::Charset;
use super::file::size_of;
use super::files::Slot;
use super::join::{Open, Which};
use super::lines::Yield;
use super::long::Long;
use super::read::{Reader, Turn};
use super::state::{Grave, State};
use crate::event::Tag;
use crate::input::Ack;
use crate::rt::{or, sleep, sleep_until, yield_now};
use rustix::fs::inotify::ReadFlags;
use std::time::{Duration, Instant};

/// File events are gathered this long: a program that writes line by line costs one look per this time, not per line.
const GATHER: Duration = Duration::from_millis(25);
/// A turn that took this many bytes was worth its while: the next events are taken at once, in bytes.
const BRISK: u64 = 16 * 1024;
/// How often busy files without a watch are looked at.
const BUSY: Duration = Duration::from_millis(250);
/// A file that is behind by more bytes than this is not caught up with at a shutdown.
const NEAR: u64 = 256 * 1024;
/// A file is busy when it grew in this time.
const BUSY_FOR: Duration = Duration::from_secs(10);

impl State {
    /// Reads queued files in turns, until the shutdown.
    pub async fn read_files(&self, reader: &mut Reader) {
        loop {
            self.cx.wait_for_room().await;
            if self.cx.is_stopping() {
                self.last_look(reader).await;
                self.complete_rest(reader);
                return;
            }
            if let Some((tag, ack)) = self.step_archive(reader) {
                self.cx.commit(&tag, ack).await;
            }
            if let Some((tag, ack)) = self.complete_due(reader) {
                self.cx.commit(&tag, ack).await;
            }
            let Some(slot) = self.files.borrow_mut().next() else {
                match [self.archive_due(), self.next_due()].into_iter().flatten().min() {
                    None => or(self.work.wait(), self.cx.stopping()).await,
                    Some(due) if due <= Instant::now() => yield_now().await,
                    Some(due) => or(or(self.work.wait(), self.cx.stopping()), sleep_until(due)).await,
                }
                continue;
            };
            if let Some((tag, ack)) = self.read_one(reader, slot) {
                self.cx.commit(&tag, ack).await;
            }
            yield_now().await;
        }
    }

    /// At a shutdown: what was written until now to files that are not far behind. The program that wrote it may have
    /// ended just before, and nobody may ever look again.
    async fn last_look(&self, reader: &mut Reader) {
        let near = |(slot, file): (Slot, &super::file::File)| {
            let stat = rustix::fs::fstat(file.fd.as_ref()?).ok()?;
            let behind = size_of(&stat).checked_sub(file.offset + file.unfinished)?;
            (1..=NEAR).contains(&behind).then_some(slot)
        };
        let slots: Vec<Slot> = self.files.borrow().iter().filter_map(near).collect();
        for slot in slots {
            if !self.cx.has_room() {
                return;
            }
            if let Some((tag, ack)) = self.read_one(reader, slot) {
                self.cx.commit(&tag, ack).await;
            }
        }
    }

    /// One turn of one file; what it committed, if it made records.
    fn read_one(&self, reader: &mut Reader, slot: Slot) -> Option<(Tag, Option<Ack>)> {
        self.unpark(slot);
        let mut files = self.files.borrow_mut();
        let file = files.get_mut(slot)?;
        if file.undecided {
            drop(files);
            self.judge(slot);
            return None;
        }
        if reader.lines.join.is_some() && file.before.is_some() {
            drop(files);
            if self.awaits_former(reader, slot) {
                return None;
            }
            files = self.files.borrow_mut();
        }
        let file = files.get_mut(slot)?;
        let before = file.resume_at();
        let tag = file.tag.clone();
        let result = reader.turn(file, || self.cx.batch(&tag), self.cx.now());
        let (name, end) = (file.name.clone(), file.resume_at());
        file.unreadable = result.is_err();
        let mut turn = match result {
            Ok(turn) => turn,
            Err(e) => {
                drop(files);
                self.say(Grave::Error, format_args!("cannot read on in '{}' at offset {end}: {e}", name.display()));
                self.has_arrived(slot);
                self.look(&name);
                return None;
            }
        };
        let unheard = file.replaced == 0;
        file.replaced += turn.made.replaced;
        let ledger = file.ledger.clone();
        let done = !turn.more;
        let over = done && file.last_call && file.away.is_some() && !turn.grew;
        let mut again = turn.more;
        if done && file.awaited {
            if file.last_call || file.unfinished == 0 {
                file.last_call = false;
            } else {
                file.last_call = true;
                again = true;
            }
        }
        let arrived = done && file.awaited && !again;
        if over || arrived && self.conf.exit_on_eof {
            turn.made.records += reader.complete(&mut file.open, &file.path, Which::All, || self.cx.batch(&tag));
        }
        let away = file.away.is_some();
        let is_copy = file.copy_of.is_some();
        let mut open = Open::default();
        if turn.cut.is_some() && (away || is_copy) {
            turn.made.records += reader.complete(&mut file.open, &file.path, Which::All, || self.cx.batch(&tag));
        } else if turn.cut.is_some() {
            open = std::mem::take(&mut file.open);
        }
        let end = file.resume_at();
        let mut unsettled = false;
        if let Some(copies) = &mut file.copies {
            unsettled = (turn.grew || end == 0) && copies.since.is_some();
            if turn.cut.is_none() && !unsettled {
                copies.let_go(self.conf.rotate_wait);
            }
        }
        if reader.lines.join.is_some() {
            Self::note_due(reader, &mut files, slot);
        }
        drop(files);
        if turn.cut.is_some() && is_copy {
            self.let_go_of_copy(slot);
            return (turn.made.records > 0).then_some((tag, None));
        }
        if turn.cut.is_some() && !away || unsettled {
            self.settle_copies(slot, turn.cut.as_ref());
        }
        if let Some(cut) = turn.cut.as_ref().filter(|_| !open.is_empty()) {
            turn.made.records += self.hand_to_copy(reader, slot, open, cut.offset);
        }

        let commit = (turn.made.records > 0).then(|| {
            (
                tag,
                ledger.as_ref().map(|l| {
                    if turn.cut.is_some() {
                        l.restart(0);
                    }
                    l.enter_with(end, reader.take_inherited())
                }),
            )
        });
        if commit.is_none()
            && let Some(ledger) = &ledger
        {
            if turn.cut.is_some() {
                ledger.restart(end);
            } else if end != before {
                ledger.pass(end);
            }
        }
        self.report(&name, &turn, reader);
        if unheard && turn.made.replaced > 0 {
            self.say_replaced(&name, turn.made.replaced);
        }
        if turn.bytes >= BRISK {
            self.brisk.notify();
        }
        if again {
            self.files.borrow_mut().queue(slot);
        } else if over {
            self.close(slot);
        } else if away {
            self.plan.notify();
        }
        if arrived {
            self.has_arrived(slot);
        }
        commit
    }

    /// Says what a turn met with.
    fn report(&self, name: &std::path::Path, turn: &Turn, reader: &Reader) {
        if let Some(cut) = &turn.cut {
            let (label, name) = (self.cx.label(), name.display());
            log::debug!(
                "[{label}] '{name}' was cut or written anew below offset {}: reading it from its head",
                cut.offset
            );
        }
        self.report_long(name, &turn.made, reader);
    }

    /// Says that there were lines over Buffer_Max_Size.
    pub fn report_long(&self, name: &std::path::Path, made: &Yield, reader: &Reader) {
        if made.long == 0 {
            return;
        }
        let (n, max, name) = (made.long, reader.lines.max, name.display());
        match reader.lines.long {
            Long::Skip => self.cx.lost(n, &format!("'{name}' has lines over Buffer_Max_Size ({max} bytes): skipped, as Skip_Long_Lines says")),
            Long::Truncate => self.say(Grave::Warn, format_args!("'{name}' has lines over Buffer_Max_Size ({max} bytes): cut there, as Truncate_Long_Lines says")),
            Long::Pieces => self.say(
                Grave::Warn,
                format_args!("'{name}' has lines over Buffer_Max_Size ({max} bytes): delivered in pieces. Raise Buffer_Max_Size to keep them whole"),
            ),
        }
    }

    /// Said once per file.
    pub fn say_replaced(&self, name: &std::path::Path, lines: u64) {
        let charset = match self.charset {
            None | Some(Charset::Auto) => "UTF-8 or UTF-16",
            Some(charset) => charset.name(),
        };
        self.say(
            Grave::Warn,
            format_args!(
                "'{}' has lines ({lines} so far) with bytes that are no {charset}: they became U+FFFD. \
                 Correct Unicode.Encoding or Generic.Encoding",
                name.display()
            ),
        );
    }

    /// A file awaited since the start is read to its end.
    fn has_arrived(&self, slot: Slot) {
        let mut files = self.files.borrow_mut();
        if let Some(file) = files.get_mut(slot)
            && std::mem::take(&mut file.awaited)
        {
            drop(files);
            self.awaited.set(self.awaited.get().saturating_sub(1));
            self.exit_when_done();
        }
    }

    /// Takes file events as they come, and queues the files.
    pub async fn watch_files(&self) {
        let Some(watch) = &self.file_watch else { return std::future::pending().await };
        loop {
            let events = match watch.events().await {
                Ok(events) => events,
                Err(e) => return self.watch_failed(&e).await,
            };
            for event in &events {
                if event.what.contains(ReadFlags::QUEUE_OVERFLOW) {
                    let all: Vec<Slot> = self.files.borrow().iter().map(|(slot, _)| slot).collect();
                    all.into_iter().for_each(|slot| self.queue(slot));
                    continue;
                }
                let Some(slot) = self.files.borrow().watched(event.watch) else { continue };
                if event.what.contains(ReadFlags::IGNORED) {
                    self.files.borrow_mut().set_watch(slot, None);
                    self.plan.notify();
                }
                self.queue(slot);
                if event.what.intersects(ReadFlags::MOVE_SELF | ReadFlags::ATTRIB | ReadFlags::IGNORED) {
                    let name = self.files.borrow().get(slot).filter(|f| f.away.is_none()).map(|f| f.name.clone());
                    if let Some(name) = name {
                        self.look(&name);
                    }
                }
            }
            or(sleep(GATHER), self.brisk.wait()).await;
        }
    }

    /// Takes directory events as they come.
    pub async fn watch_dirs(&self) {
        let Some(watch) = &self.dir_watch else { return std::future::pending().await };
        loop {
            match watch.events().await {
                Ok(events) => self.directories_changed(&events).await,
                Err(e) => return self.watch_failed(&e).await,
            }
        }
    }

    async fn watch_failed(&self, why: &std::io::Error) {
        self.say(
            Grave::Error,
            format_args!("inotify failed ({why}): changes are found every {:?}", self.conf.refresh_interval),
        );
        std::future::pending().await
    }

    /// Scans again and again, looks at files without a watch, closes what is over.
    pub async fn keep_time(&self) {
        let refresh = self.conf.refresh_interval.max(Duration::from_millis(100));
        let (mut scan_at, mut poll_at) = (Instant::now() + refresh, Instant::now() + BUSY);
        let mut quiet_at = Instant::now() + self.conf.progress_interval();
        let mut names_at = Instant::now() + self.conf.watcher_interval;
        loop {
            let now = Instant::now();
            if now >= scan_at {
                self.scan().await;
                scan_at = Instant::now() + refresh;
            }
            let mut next = scan_at;
            let (unwatched, busy) = self.unwatched(now);
            if unwatched {
                if now >= poll_at {
                    let (quiet, names) = (now >= quiet_at, now >= names_at);
                    self.poll(now, quiet, names);
                    poll_at = now + BUSY;
                    if quiet {
                        quiet_at = now + self.conf.progress_interval();
                    }
                    if names {
                        names_at = now + self.conf.watcher_interval;
                    }
                }
                next = next.min(if busy { poll_at } else { poll_at.max(quiet_at.min(names_at)) });
            }
            if let Some(at) = self.close_quiet(now) {
                next = next.min(at);
            }
            or(sleep_until(next), self.plan.wait()).await;
        }
    }

    /// Whether there are files without a watch, and whether one of them is busy.
    fn unwatched(&self, now: Instant) -> (bool, bool) {
        let files = self.files.borrow();
        let mut any = false;
        for (_, f) in files.iter().filter(|(_, f)| f.watch.is_none()) {
            any = true;
            if now.saturating_duration_since(f.grown) < BUSY_FOR {
                return (true, true);
            }
        }
        (any, false)
    }

    /// Looks at the files without a watch: the sizes of busy ones, of `quiet` ones too, and at the `names`.
    fn poll(&self, now: Instant, quiet: bool, names: bool) {
        let unwatched: Vec<(Slot, bool)> = {
            let files = self.files.borrow();
            let due = |f: &super::file::File| quiet || now.saturating_duration_since(f.grown) < BUSY_FOR;
            files.iter().filter(|(_, f)| f.watch.is_none()).map(|(s, f)| (s, !f.queued && due(f))).collect()
        };
        for (slot, due) in unwatched {
            let files = self.files.borrow();
            let Some(file) = files.get(slot) else { continue };
            let news = due && Self::has_news(file);
            let name = (names && file.away.is_none()).then(|| file.name.clone());
            drop(files);
            if news {
                self.queue(slot);
            }
            if let Some(name) = name {
                self.look(&name);
            }
        }
    }

    /// Files that are away get their last turn when they have not grown for Rotate_Wait; answers when the next is due.
    fn close_quiet(&self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        let mut due = Vec::new();
        {
            let mut files = self.files.borrow_mut();
            for slot in files.away().to_vec() {
                let Some(file) = files.get_mut(slot) else { continue };
                // Its turn comes; then this is asked again.
                if file.queued {
                    continue;
                }
                let at = file.grown.max(file.away.unwrap_or(now)) + self.conf.rotate_wait;
                if at <= now {
                    file.last_call = !Self::has_news(file);
                    due.push(slot);
                } else {
                    next = Some(next.map_or(at, |n| n.min(at)));
                }
            }
        }
        due.into_iter().for_each(|slot| self.queue(slot));
        next
    }
}
