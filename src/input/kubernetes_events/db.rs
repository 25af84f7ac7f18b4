//! The DB key: Fluent Bit's table of events. Each event has one row with its last delivered version.

use super::EventsConf;
use super::book::Version;
use crate::input::tail::conf::{Journal, Sync};
use crate::input::tail::mend::{is_unsound, move_aside, was_database, why_not};
use crate::rt::Workers;
use rusqlite::{Connection, OpenFlags, params};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

const CREATE: &str = "CREATE TABLE IF NOT EXISTS in_kubernetes_events (
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL, resourceVersion INTEGER NOT NULL, created INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS in_kubernetes_events_uid ON in_kubernetes_events (uid);";
/// How long another program may hold the database.
const BUSY: Duration = Duration::from_secs(5);
/// Larger values of `created` are nanoseconds: Fluent Bit wrote seconds before.
const NANOS: i64 = 1_000_000_000_000;

/// Delivered versions of events.
pub(super) type Found = Vec<(String, u64)>;

/// An open database; its calls run on a thread of their own.
pub(super) struct Db {
    workers: Workers,
    retention: Duration,
    held: Arc<Mutex<Option<Connection>>>,
}

#[derive(Debug, Clone)]
struct How {
    path: String,
    sync: Sync,
    journal: Journal,
    locking: bool,
    retention: Duration,
}

impl Db {
    /// Opens or makes the database, and reads what was delivered. One that is damaged is moved aside; the last answer says so.
    pub(super) async fn open(
        conf: &EventsConf,
        path: &str,
        name: &str,
    ) -> Result<(Self, Found, Option<String>), String> {
        let (sync, journal, locking) = (conf.db_sync, conf.db_journal_mode, conf.db_locking);
        let how = How { path: path.to_owned(), sync, journal, locking, retention: conf.retention_time };
        let db = Self { workers: Workers::new(name, 1), retention: conf.retention_time, held: Arc::default() };
        let held = db.held.clone();
        let opened = db.workers.run(move || {
            let (connection, found, damage) = match connect(&how) {
                Ok((connection, found)) => (connection, found, None),
                Err(e) if is_unsound(&e) && was_database(&how.path) => {
                    let damage = move_aside(&how.path, e.to_string())?;
                    let (connection, found) = connect(&how).map_err(|e| e.to_string())?;
                    (connection, found, Some(damage.to_string()))
                }
                Err(e) => return Err(why_not(&how.path, &e)),
            };
            *held.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
            Ok((found, damage))
        });
        let (found, damage) = opened.await.unwrap_or_else(|| Err("no thread could be started".into()))?;
        Ok((db, found, damage))
    }

    /// Writes versions down, and lets go of what is too old; gives them back when that failed.
    pub(super) async fn write(&self, versions: Vec<Version>) -> Result<(), (Vec<Version>, String)> {
        let rows: Vec<_> = versions.iter().map(|v| (v.uid.to_string(), v.version, v.time.0)).collect();
        let (held, retention) = (self.held.clone(), self.retention);
        let written = self.workers.run(move || {
            let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
            match held.as_mut() {
                Some(connection) => write(connection, &rows, retention).map_err(|e| e.to_string()),
                None => Err("it is closed".into()),
            }
        });
        written.await.unwrap_or_else(|| Err("no thread could be started".into())).map_err(|why| (versions, why))
    }

    /// Closes the database, which folds its write-ahead log into it.
    pub(super) async fn close(&self) {
        let held = self.held.clone();
        let close = move || drop(held.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.workers.run(close).await;
    }
}

fn connect(how: &How) -> rusqlite::Result<(Connection, Found)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&how.path, flags)?;
    connection.busy_timeout(BUSY)?;
    let sync = match how.sync {
        Sync::Off => 0,
        Sync::Normal => 1,
        Sync::Full => 2,
        Sync::Extra => 3,
    };
    let journal = match how.journal {
        Journal::Delete => "DELETE",
        Journal::Truncate => "TRUNCATE",
        Journal::Persist => "PERSIST",
        Journal::Memory => "MEMORY",
        Journal::Wal => "WAL",
        Journal::Off => "OFF",
    };
    if how.locking {
        connection.execute_batch("PRAGMA locking_mode=EXCLUSIVE;")?;
    }
    connection.execute_batch(CREATE)?;
    connection.execute_batch(&format!("PRAGMA synchronous={sync}; PRAGMA journal_mode={journal};"))?;
    write(&mut connection, &[], how.retention)?;
    let mut all = connection.prepare("SELECT uid, max(resourceVersion) FROM in_kubernetes_events GROUP BY uid")?;
    let rows = all.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    let found = rows.map(|row| row.map(|(uid, version)| (uid, u64::try_from(version).unwrap_or(0))));
    let found = found.collect::<rusqlite::Result<Found>>()?;
    drop(all);
    Ok((connection, found))
}

fn write(connection: &mut Connection, rows: &[(String, u64, i64)], retention: Duration) -> rusqlite::Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let oldest = now.saturating_sub(retention);
    let transaction = connection.transaction()?;
    {
        let mut update = transaction.prepare_cached(
            "UPDATE in_kubernetes_events SET resourceVersion = max(resourceVersion, ?2), created = ?3 WHERE uid = ?1",
        )?;
        let mut insert = transaction
            .prepare_cached("INSERT INTO in_kubernetes_events (uid, resourceVersion, created) VALUES (?1, ?2, ?3)")?;
        for (uid, version, created) in rows {
            let version = i64::try_from(*version).unwrap_or(i64::MAX);
            if update.execute(params![uid, version, created])? == 0 {
                insert.execute(params![uid, version, created])?;
            }
        }
        let mut clean = transaction
            .prepare_cached("DELETE FROM in_kubernetes_events WHERE created < ?1 OR (created > ?3 AND created < ?2)")?;
        let secs = i64::try_from(oldest.as_secs()).unwrap_or(i64::MAX);
        clean.execute(params![secs, secs.saturating_mul(1_000_000_000), NANOS])?;
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(connection: &Connection) -> Vec<(String, i64, i64)> {
        let mut all =
            connection.prepare("SELECT uid, resourceVersion, created FROM in_kubernetes_events ORDER BY id").unwrap();
        all.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn one_row_an_event_and_old_ones_go() {
        let mut c = Connection::open_in_memory().unwrap();
        c.execute_batch(CREATE).unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
        let hour = Duration::from_secs(3600);
        let at = |secs: i64| (now + secs) * 1_000_000_000;
        write(&mut c, &[("a".into(), 5, at(-10)), ("b".into(), 6, at(-4000))], hour).unwrap();
        assert_eq!(row(&c), [("a".to_owned(), 5, at(-10))]);
        write(&mut c, &[("a".into(), 9, at(0)), ("a".into(), 7, at(0))], hour).unwrap();
        assert_eq!(row(&c), [("a".to_owned(), 9, at(0))]);
        // What an older Fluent Bit wrote.
        c.execute_batch(&format!(
            "INSERT INTO in_kubernetes_events (uid, resourceVersion, created) VALUES ('c', 1, {}), ('d', 1, {})",
            now - 10,
            now - 4000
        ))
        .unwrap();
        write(&mut c, &[], hour).unwrap();
        assert_eq!(row(&c).iter().map(|r| r.0.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    }
}
