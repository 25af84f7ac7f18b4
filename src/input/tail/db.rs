//! The DB key: Fluent Bit's own SQLite table, read at the start and written behind the deliveries, on a worker thread.

use super::conf::{Journal, Sync, TailConf};
use super::rows::Row;
use crate::rt::Workers;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

const CREATE: &str = "CREATE TABLE IF NOT EXISTS in_tail_files (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, offset INTEGER, inode INTEGER, created INTEGER,
  rotated INTEGER DEFAULT 0, offset_marker INTEGER DEFAULT 0, offset_marker_size INTEGER DEFAULT 0);";
/// Columns that older tables lack.
const LATER: [&str; 3] = ["rotated", "offset_marker", "offset_marker_size"];
/// What is added to the name of a damaged database.
pub const ASIDE: &str = ".damaged";
/// How long another program may hold the database.
const BUSY: Duration = Duration::from_secs(5);

/// An open database; its calls run on a thread of their own.
pub struct Db {
    workers: Workers,
    connection: Arc<Mutex<Option<Connection>>>,
}

/// What a database remembers.
#[derive(Debug)]
pub struct Opened {
    /// All rows.
    pub rows: Vec<Row>,
    /// Why the former database was put aside.
    pub damage: Option<String>,
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
    /// Opens or makes the database at `path` and reads all rows. A damaged one is put aside.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn open(path: &str, conf: &TailConf, name: &str) -> Result<(Self, Opened), String> {
        let db = Self { workers: Workers::new(name, 1), connection: Arc::default() };
        let (path, sync, journal, locking) = (path.to_owned(), conf.db_sync, conf.db_journal_mode, conf.db_locking);
        let slot = db.connection.clone();
        let opened = db.workers.run(move || {
            let open = || {
                let connection = connect(&path, sync, journal, locking)?;
                let rows = read(&connection)?;
                Ok::<_, rusqlite::Error>((connection, rows))
            };
            let (opened, damage) = match open() {
                Err(e) if is_damage(&e) && was_database(&path) => {
                    put_aside(&path).map_err(|why| format!("{e}; it cannot be put aside: {why}"))?;
                    (open(), Some(e.to_string()))
                }
                opened => (opened, None),
            };
            let (connection, rows) = opened.map_err(|e| e.to_string())?;
            *lock(&slot) = Some(connection);
            Ok::<_, String>(Opened { rows, damage })
        });
        match opened.await {
            Some(opened) => Ok((db, opened?)),
            None => Err("no thread could be started".into()),
        }
    }

    /// Makes all changes or none; answers the row of each.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn write(&self, changes: Vec<Change>) -> Result<Vec<i64>, String> {
        let slot = self.connection.clone();
        let written = self.workers.run(move || match &mut *lock(&slot) {
            Some(connection) => write(connection, &changes).map_err(|e| e.to_string()),
            None => Err("the database is closed".into()),
        });
        written.await.unwrap_or_else(|| Err("no thread could be started".into()))
    }

    /// Closes the database, which folds its write-ahead log into it.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn close(&self) -> Result<(), String> {
        let slot = self.connection.clone();
        let closed = self.workers.run(move || lock(&slot).take().map(Connection::close));
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

fn connect(path: &str, sync: Sync, journal: Journal, locking: bool) -> rusqlite::Result<Connection> {
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
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(rusqlite::Error::SqliteFailure(code, Some(found)));
    }
    Ok(connection)
}

/// Whether an error speaks of the file's content. Our own statements are right: one that fails meets a table that is not
/// what it was.
fn is_damage(e: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, SqlInputError};
    match e {
        FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | SqlInputError { .. } => {
            true
        }
        _ => matches!(
            e.sqlite_error_code(),
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt | ErrorCode::Unknown)
        ),
    }
}

/// Whether a file is, or was, a database: most of its first bytes say so, or they are gone, as after a power cut. Another
/// file must not be put aside, whoever named it.
fn was_database(path: &str) -> bool {
    const MAGIC: &[u8; 16] = b"SQLite format 3\0";
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut head));
    let same = head.iter().zip(MAGIC).filter(|(a, b)| a == b).count();
    read.is_ok() && (head.iter().all(|b| *b == 0) || same + 4 >= head.len())
}

/// Moves a database and its write-ahead log out of the way; one that was put aside before is replaced.
fn put_aside(path: &str) -> std::io::Result<()> {
    std::fs::rename(path, format!("{path}{ASIDE}"))?;
    for part in ["-wal", "-shm", "-journal"] {
        match std::fs::rename(format!("{path}{part}"), format!("{path}{ASIDE}{part}")) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
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
    use crate::conf::Section;
    use crate::error::Diags;

    fn row(id: i64, name: &str, offset: u64, inode: u64) -> Row {
        Row { id, name: name.into(), offset, inode, marker: 5, marker_size: 61 }
    }

    fn open(dir: &TempDir) -> Connection {
        connect(dir.path("t.db").to_str().unwrap(), Sync::Normal, Journal::Wal, false).unwrap()
    }

    #[test]
    fn the_table_is_fluent_bits() {
        let dir = TempDir::new();
        let c = open(&dir);
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
        let mut c = open(&dir);
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
        assert_eq!(read(&open(&dir)).unwrap(), [want]);
    }

    /// Opens it as tail does; whether it was put aside.
    fn opens(dir: &TempDir) -> Result<bool, String> {
        let path = dir.path("t.db").to_str().unwrap().to_owned();
        let conf = TailConf::load(&Section::of("INPUT", &[("Path", "x")]), &mut Diags::new()).unwrap();
        let opened = crate::rt::run(async move { Db::open(&path, &conf, "t").await }).unwrap();
        opened.map(|(_, opened)| opened.damage.is_some())
    }

    #[test]
    fn a_damaged_database_is_put_aside_and_nothing_else_is() {
        let dir = TempDir::new();
        let mut c = open(&dir);
        let many: Vec<Change> = (1..200).map(|n| Change::Put(row(0, &"/name".repeat(9), n, n), false)).collect();
        write(&mut c, &many).unwrap();
        c.close().unwrap();
        let whole = std::fs::read(dir.path("t.db")).unwrap();
        assert_eq!(opens(&dir), Ok(false));
        let cut = whole[..whole.len() / 2].to_vec();
        let (mut zeros, mut flipped, mut table) = (whole.clone(), whole.clone(), whole.clone());
        zeros.fill(0);
        flipped[3] ^= 1;
        let column = table.windows(6).position(|w| w == b"offset").unwrap();
        table[column] = b'0';
        for damaged in [cut, zeros, flipped, table] {
            dir.write("t.db", &damaged);
            assert_eq!(opens(&dir), Ok(true));
            assert_eq!(std::fs::read(dir.path("t.db.damaged")).unwrap(), damaged);
            assert_eq!(opens(&dir), Ok(false));
        }
        // A path that somebody got wrong.
        let text = "this is a text file, and a long enough one to be looked at as a database header at all";
        dir.write("t.db", text);
        let said = opens(&dir).unwrap_err();
        assert!(said.contains("not a database"), "{said}");
        assert_eq!(std::fs::read(dir.path("t.db")).unwrap(), text.as_bytes());
    }
}
