//! The DB key: Fluent Bit's own SQLite table, read at the start and written behind the deliveries, on a worker thread.

use super::conf::{Journal, Sync, TailConf};
use super::file::FileId;
use super::mend::{Damage, check, clear_remains, id_at, is_damage, is_unsound, move_aside, was_database, why_not};
use super::rows::Row;
use crate::rt::Workers;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, params};
use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

const CREATE: &str = "CREATE TABLE IF NOT EXISTS in_tail_files (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, offset INTEGER, inode INTEGER, created INTEGER,
  rotated INTEGER DEFAULT 0, offset_marker INTEGER DEFAULT 0, offset_marker_size INTEGER DEFAULT 0);";
/// Columns that older tables lack.
const LATER: [&str; 3] = ["rotated", "offset_marker", "offset_marker_size"];
/// How long another program may hold the database.
const BUSY: Duration = Duration::from_secs(5);

/// Inputs may share a database: what one of them makes is neither to be cleared away nor locked by the next.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// An open database; its calls run on a thread of their own.
pub struct Db {
    workers: Workers,
    how: How,
    held: Arc<Mutex<Held>>,
    /// The file, as it was when it was opened.
    id: Cell<Option<FileId>>,
}

/// Which file, and how it is used.
#[derive(Debug, Clone)]
pub struct How {
    /// Its path.
    pub path: String,
    sync: Sync,
    journal: Journal,
    locking: bool,
}

/// What the thread has.
#[derive(Debug, Default)]
struct Held {
    connection: Option<Connection>,
    id: Option<FileId>,
    closed: bool,
}

/// What a database held when it was opened.
#[derive(Debug)]
pub struct Found {
    /// All rows.
    pub rows: Vec<Row>,
    /// It was damaged and is another one now.
    pub damage: Option<Damage>,
}

/// Why nothing was written.
#[derive(Debug)]
pub enum Failure {
    /// It is to be tried again.
    Again(String),
    /// The database was made anew: nothing that it held is there any more.
    Anew(String),
}

/// One change to the table.
#[derive(Debug, Clone)]
pub enum Change {
    /// Writes a file's state; without an id, or when the row has vanished, a new row.
    Put(Row, bool),
    /// Deletes a row.
    Delete(i64),
}

impl Db {
    /// Opens or makes the database at `path` and reads all rows. One that is damaged is moved aside.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn open(path: &str, conf: &TailConf, name: &str) -> Result<(Self, Found), String> {
        let (sync, journal, locking) = (conf.db_sync, conf.db_journal_mode, conf.db_locking);
        let how = How { path: path.to_owned(), sync, journal, locking };
        let db = Self { workers: Workers::new(name, 1), how, held: Arc::default(), id: Cell::new(None) };
        let (held, how) = (db.held.clone(), db.how.clone());
        let opened = db.workers.run(move || {
            let _gate = lock(&ONE_AT_A_TIME);
            let mut held = lock(&held);
            let found = match open(&how) {
                Ok((connection, rows)) => {
                    held.connection = Some(connection);
                    Found { rows, damage: None }
                }
                Err(e) if is_unsound(&e) && was_database(&how.path) => {
                    let damage = move_aside(&how.path, e.to_string())?;
                    held.connection = Some(connect(&how).map_err(|e| e.to_string())?);
                    Found { rows: Vec::new(), damage: Some(damage) }
                }
                Err(e) => return Err(why_not(&how.path, &e)),
            };
            held.id = id_at(&how.path);
            Ok((found, held.id))
        });
        let (found, id) = opened.await.unwrap_or_else(|| Err("no thread could be started".into()))?;
        db.id.set(id);
        Ok((db, found))
    }

    /// Whether the file is still the one that was opened.
    pub fn is_there(&self) -> bool {
        self.id.get().is_some() && id_at(&self.how.path) == self.id.get()
    }

    /// Makes all changes or none; answers the row of each.
    ///
    /// # Errors
    /// What SQLite says. When the file was deleted or damaged there is a new one by then.
    pub async fn write(&self, changes: Vec<Change>) -> Result<Vec<i64>, Failure> {
        let (held, how) = (self.held.clone(), self.how.clone());
        let written = self.workers.run(move || {
            let held = &mut *lock(&held);
            (held.write(&how, &changes), held.id)
        });
        let Some((written, id)) = written.await else {
            return Err(Failure::Again("no thread could be started".into()));
        };
        self.id.set(id);
        written
    }

    /// Closes the database, which folds its write-ahead log into it.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn close(&self) -> Result<(), String> {
        let held = self.held.clone();
        let closed = self.workers.run(move || {
            let mut held = lock(&held);
            held.closed = true;
            held.connection.take().map(Connection::close)
        });
        match closed.await {
            Some(Some(Err((_, e)))) => Err(e.to_string()),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").finish_non_exhaustive()
    }
}

impl Held {
    fn write(&mut self, how: &How, changes: &[Change]) -> Result<Vec<i64>, Failure> {
        if self.closed {
            return Err(Failure::Again("the database is closed".into()));
        }
        if self.id.is_none() || id_at(&how.path) != self.id {
            // What is written to a file without a name is gone with this program.
            return Err(self.make_anew(how, "it was deleted or replaced while it was in use".into()));
        }
        match self.connection.as_mut().map(|connection| write(connection, changes)) {
            Some(Ok(rows)) => Ok(rows),
            Some(Err(e)) if is_damage(&e) => {
                self.connection = None;
                match move_aside(&how.path, e.to_string()) {
                    Ok(damage) => Err(self.make_anew(how, damage.to_string())),
                    Err(why) => Err(Failure::Again(why)),
                }
            }
            Some(Err(e)) => Err(Failure::Again(e.to_string())),
            None => Err(self.make_anew(how, "it could not be opened before".into())),
        }
    }

    /// Opens the file anew, which makes it when it is not there.
    fn make_anew(&mut self, how: &How, why: String) -> Failure {
        let _gate = lock(&ONE_AT_A_TIME);
        (self.connection, self.id) = (None, None);
        if id_at(&how.path).is_none() {
            clear_remains(&how.path);
        }
        match connect(how) {
            Ok(connection) => {
                (self.connection, self.id) = (Some(connection), id_at(&how.path));
                Failure::Anew(why)
            }
            Err(e) => Failure::Again(format!("{why}, and {e}")),
        }
    }
}

/// Connects, looks whether all is sound, and reads the rows.
fn open(how: &How) -> rusqlite::Result<(Connection, Vec<Row>)> {
    let connection = connect(how)?;
    check(&connection)?;
    let rows = read(&connection)?;
    Ok((connection, rows))
}

fn connect(how: &How) -> rusqlite::Result<Connection> {
    let &How { ref path, sync, journal, locking } = how;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    let sync = match sync {
        Sync::Off => 0,
        Sync::Normal => 1,
        Sync::Full => 2,
        Sync::Extra => 3,
    };
    let journal = match journal {
        Journal::Delete => "DELETE",
        Journal::Truncate => "TRUNCATE",
        Journal::Persist => "PERSIST",
        Journal::Memory => "MEMORY",
        Journal::Wal => "WAL",
        Journal::Off => "OFF",
    };
    if locking {
        connection.execute_batch("PRAGMA locking_mode=EXCLUSIVE;")?;
    }
    // The first statement that reads the file: it also says when that is no database.
    connection.execute_batch(CREATE)?;
    connection.execute_batch(&format!("PRAGMA synchronous={sync}; PRAGMA journal_mode={journal};"))?;
    for column in LATER {
        let there: i64 = connection.query_row(
            "SELECT count(*) FROM pragma_table_info('in_tail_files') WHERE name = ?1",
            [column],
            |row| row.get(0),
        )?;
        if there == 0 {
            connection.execute_batch(&format!("ALTER TABLE in_tail_files ADD COLUMN {column} INTEGER DEFAULT 0;"))?;
        }
    }
    Ok(connection)
}

fn read(connection: &Connection) -> rusqlite::Result<Vec<Row>> {
    let mut all =
        connection.prepare("SELECT id, name, offset, inode, offset_marker, offset_marker_size FROM in_tail_files")?;
    let number = |row: &rusqlite::Row<'_>, at| -> rusqlite::Result<u64> {
        Ok(row.get::<_, Option<i64>>(at)?.map_or(0, |n| u64::try_from(n).unwrap_or(0)))
    };
    let rows = all.query_map([], |row| {
        Ok(Row {
            id: row.get(0)?,
            name: row.get_ref(1)?.as_bytes().unwrap_or_default().to_vec(),
            offset: number(row, 2)?,
            inode: number(row, 3)?,
            marker: number(row, 4)?,
            marker_size: number(row, 5)?,
        })
    })?;
    rows.collect()
}

fn write(connection: &mut Connection, changes: &[Change]) -> rusqlite::Result<Vec<i64>> {
    let transaction = connection.transaction()?;
    let mut ids = Vec::with_capacity(changes.len());
    {
        let mut update = transaction.prepare_cached(
            "UPDATE in_tail_files SET name=?2, offset=?3, rotated=?4, offset_marker=?5, offset_marker_size=?6 WHERE id=?1",
        )?;
        let mut insert = transaction.prepare_cached(
            "INSERT INTO in_tail_files (name, offset, inode, created, rotated, offset_marker, offset_marker_size)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        let mut delete = transaction.prepare_cached("DELETE FROM in_tail_files WHERE id=?1")?;
        let created = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
        for change in changes {
            match change {
                Change::Delete(id) => {
                    delete.execute([id])?;
                    ids.push(*id);
                }
                Change::Put(row, rotated) => {
                    // Names are bytes; the table's text need not be UTF-8.
                    let name = ToSqlOutput::Borrowed(ValueRef::Text(&row.name));
                    let (offset, inode, marker) = (row.offset as i64, row.inode as i64, row.marker as i64);
                    let size = row.marker_size as i64;
                    let hit = match row.id {
                        0 => 0,
                        id => update.execute(params![id, name, offset, rotated, marker, size])?,
                    };
                    ids.push(match hit {
                        0 => insert.insert(params![name, offset, inode, created, rotated, marker, size])?,
                        _ => row.id,
                    });
                }
            }
        }
    }
    transaction.commit()?;
    Ok(ids)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

#[cfg(test)]
mod tests {
    use super::super::testing::TempDir;
    use super::*;

    fn row(id: i64, name: &str, offset: u64, inode: u64) -> Row {
        Row { id, name: name.into(), offset, inode, marker: 5, marker_size: 61 }
    }

    fn made(dir: &TempDir) -> Connection {
        connect(&how(dir)).unwrap()
    }

    fn how(dir: &TempDir) -> How {
        let path = dir.path("t.db").to_str().unwrap().to_owned();
        How { path, sync: Sync::Normal, journal: Journal::Wal, locking: false }
    }

    #[test]
    fn the_table_is_fluent_bits() {
        let dir = TempDir::new();
        let c = made(&dir);
        let columns: Vec<String> = c
            .prepare("SELECT name || ' ' || type FROM pragma_table_info('in_tail_files')")
            .unwrap()
            .query_map([], |r| r.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(
            columns,
            [
                "id INTEGER",
                "name TEXT",
                "offset INTEGER",
                "inode INTEGER",
                "created INTEGER",
                "rotated INTEGER",
                "offset_marker INTEGER",
                "offset_marker_size INTEGER"
            ]
        );
    }

    #[test]
    fn rows_are_written_found_again_and_deleted() {
        let dir = TempDir::new();
        let mut c = made(&dir);
        let ids =
            write(&mut c, &[Change::Put(row(0, "/a", 10, 7), false), Change::Put(row(0, "/b\u{fffd}", 20, 8), false)]);
        let ids = ids.unwrap();
        let mut changed = row(ids[0], "/a.1", 15, 7);
        changed.marker_size = 0;
        write(&mut c, &[Change::Put(changed.clone(), true), Change::Delete(ids[1])]).unwrap();
        assert_eq!(read(&c).unwrap(), [changed.clone()]);
        // Somebody deleted the row meanwhile.
        c.execute_batch("DELETE FROM in_tail_files").unwrap();
        let ids = write(&mut c, &[Change::Put(changed, true)]).unwrap();
        assert_eq!(read(&c).unwrap()[0].id, ids[0]);
    }

    #[test]
    fn an_older_table_is_continued() {
        let dir = TempDir::new();
        let c = Connection::open(dir.path("t.db")).unwrap();
        c.execute_batch(
            "CREATE TABLE in_tail_files (id INTEGER PRIMARY KEY, name TEXT NOT NULL, offset INTEGER, inode INTEGER,
               created INTEGER, rotated INTEGER DEFAULT 0);
             INSERT INTO in_tail_files (name, offset, inode, created) VALUES ('/x', 99, 5, 1);",
        )
        .unwrap();
        drop(c);
        let want = Row { id: 1, name: b"/x".into(), offset: 99, inode: 5, marker: 0, marker_size: 0 };
        assert_eq!(read(&made(&dir)).unwrap(), [want]);
    }

    #[test]
    fn what_is_no_database_is_refused() {
        let dir = TempDir::new();
        dir.write("t.db", "this is a text file, and a long enough one to be looked at as a database header at all");
        let said = connect(&how(&dir)).unwrap_err();
        assert!(is_damage(&said) && said.to_string().contains("not a database"), "{said}");
    }
}
