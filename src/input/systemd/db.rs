//! The DB key: Fluent Bit's table with the cursor, and one of our own with the position in each file.

use super::DbSync;
use super::book::Mark;
use super::merge::Resume;
use crate::fmt::journal::{Cursor, Id};
use crate::input::tail::mend::{is_unsound, move_aside, was_database, why_not};
use crate::rt::Workers;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

const CREATE: &str = "CREATE TABLE IF NOT EXISTS in_systemd_cursor (cursor TEXT NOT NULL, updated INTEGER);
CREATE TABLE IF NOT EXISTS in_systemd_positions (file_id TEXT PRIMARY KEY, seqnum INTEGER NOT NULL);";
/// How long another program may hold the database.
const BUSY: Duration = Duration::from_secs(5);
/// Files that are remembered; those that were written last.
const MAX_FILES: i64 = 4096;

/// An open database; its calls run on a thread of their own.
pub(super) struct Db {
    workers: Workers,
    held: Arc<Mutex<Option<Connection>>>,
}

impl Db {
    /// Opens or makes the database, and reads where to go on. One that is damaged is moved aside; the second answer says so.
    pub(super) async fn open(path: &str, sync: DbSync, name: &str) -> Result<(Self, Resume, Option<String>), String> {
        let db = Self { workers: Workers::new(name, 1), held: Arc::default() };
        let (held, path) = (db.held.clone(), path.to_owned());
        let opened = db.workers.run(move || {
            let (connection, resume, damage) = match connect(&path, sync) {
                Ok((connection, resume)) => (connection, resume, None),
                Err(e) if is_unsound(&e) && was_database(&path) => {
                    let damage = move_aside(&path, e.to_string())?;
                    let (connection, resume) = connect(&path, sync).map_err(|e| e.to_string())?;
                    (connection, resume, Some(damage.to_string()))
                }
                Err(e) => return Err(why_not(&path, &e)),
            };
            *held.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
            Ok((resume, damage))
        });
        let (resume, damage) = opened.await.unwrap_or_else(|| Err("no thread could be started".into()))?;
        Ok((db, resume, damage))
    }

    /// Writes a place down; gives it back when that failed.
    pub(super) async fn write(&self, mark: Mark) -> Result<(), (Mark, String)> {
        let (held, copy) = (self.held.clone(), mark.clone());
        let written = self.workers.run(move || {
            let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
            match held.as_mut() {
                Some(connection) => write(connection, &copy).map_err(|e| e.to_string()),
                None => Err("it is closed".into()),
            }
        });
        written.await.unwrap_or_else(|| Err("no thread could be started".into())).map_err(|why| (mark, why))
    }

    /// Closes the database, which folds its write-ahead log into it.
    pub(super) async fn close(&self) {
        let held = self.held.clone();
        let close = move || drop(held.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.workers.run(close).await;
    }
}

fn connect(path: &str, sync: DbSync) -> rusqlite::Result<(Connection, Resume)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.execute_batch(CREATE)?;
    let sync = match sync {
        DbSync::Off => 0,
        DbSync::Normal => 1,
        DbSync::Full => 2,
        DbSync::Extra => 3,
    };
    connection.execute_batch(&format!("PRAGMA synchronous={sync}; PRAGMA journal_mode=WAL;"))?;
    let last = "SELECT cursor FROM in_systemd_cursor ORDER BY rowid DESC LIMIT 1";
    let cursor: Option<String> = connection.query_row(last, [], |row| row.get(0)).optional()?;
    let mut resume = Resume { cursor: cursor.as_deref().and_then(Cursor::parse), ..Resume::default() };
    let mut all = connection.prepare("SELECT file_id, seqnum FROM in_systemd_positions")?;
    let rows = all.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    for row in rows {
        let (id, seqnum) = row?;
        if let (Some(id), Ok(seqnum)) = (Id::parse(&id), u64::try_from(seqnum)) {
            resume.positions.insert(id, seqnum);
        }
    }
    drop(all);
    Ok((connection, resume))
}

fn write(connection: &mut Connection, mark: &Mark) -> rusqlite::Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let transaction = connection.transaction()?;
    if let Some(cursor) = &mark.cursor {
        transaction.execute("DELETE FROM in_systemd_cursor", [])?;
        let row = params![cursor.to_string(), i64::try_from(now).unwrap_or(i64::MAX)];
        transaction.execute("INSERT INTO in_systemd_cursor (cursor, updated) VALUES (?1, ?2)", row)?;
    }
    for (id, seqnum) in &mark.positions {
        let row = params![id.to_string(), i64::try_from(*seqnum).unwrap_or(i64::MAX)];
        transaction.execute("DELETE FROM in_systemd_positions WHERE file_id = ?1", [id.to_string()])?;
        transaction.execute("INSERT INTO in_systemd_positions (file_id, seqnum) VALUES (?1, ?2)", row)?;
    }
    transaction.execute(
        "DELETE FROM in_systemd_positions WHERE rowid <= (SELECT max(rowid) FROM in_systemd_positions) - ?1",
        [MAX_FILES],
    )?;
    transaction.commit()
}
