//! A database that is damaged or gone: how that is known, and what becomes of the remains.

use super::facts::Facts;
use super::file::FileId;
use super::rows::{ASIDE, BESIDE};
use rusqlite::{Connection, Error, ErrorCode};
use rustix::fs::Access;
use rustix::io::Errno;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

/// What every version of the table has: name and type of the column, and whether it is the key.
const COLUMNS: [(&str, &str, i64); 5] = [
    ("id", "INTEGER", 1),
    ("name", "TEXT", 0),
    ("offset", "INTEGER", 0),
    ("inode", "INTEGER", 0),
    ("created", "INTEGER", 0),
];

/// A damaged database was moved away.
#[derive(Debug)]
pub struct Damage {
    why: String,
    /// Where it is now.
    pub aside: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it is damaged ({}) and was moved to '{}'", self.why, self.aside)
    }
}

/// Whether an error means that the file is no sound database, whatever is tried.
pub fn is_damage(e: &Error) -> bool {
    match e {
        Error::SqliteFailure(e, _) => matches!(e.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase),
        Error::InvalidColumnType(..) | Error::FromSqlConversionFailure(..) | Error::IntegralValueOutOfRange(..) => true,
        _ => false,
    }
}

/// The same of an error at the start. Our own statements are right: one that fails meets a table that is not what it was.
pub fn is_unsound(e: &Error) -> bool {
    is_damage(e) || matches!(e, Error::SqlInputError { .. }) || e.sqlite_error_code() == Some(ErrorCode::Unknown)
}

/// Why a database cannot be used: what is wrong with its place, else what SQLite says.
pub fn why_not(path: &str, e: &Error) -> String {
    let file = Path::new(path);
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for (place, wanted) in [(folder, Access::WRITE_OK | Access::EXEC_OK), (file, Access::READ_OK | Access::WRITE_OK)] {
        match rustix::fs::access(place, wanted) {
            Ok(()) => {}
            Err(Errno::NOENT) if place == file => {}
            Err(why) => {
                let why = std::io::Error::from(why);
                let help = "DB must name a file in a folder that this user may write to";
                return format!("'{}': {why}; {help}", place.display());
            }
        }
    }
    e.to_string()
}

/// Whether a file is, or was, a database: most of its first bytes say so, or they are gone, as after a power cut. Another
/// file must not be moved, whoever named it.
pub fn was_database(path: &str) -> bool {
    const MAGIC: &[u8; 16] = b"SQLite format 3\0";
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut head));
    let same = head.iter().zip(MAGIC).filter(|(a, b)| a == b).count();
    read.is_ok() && (head.iter().all(|b| *b == 0) || same + 4 >= head.len())
}

/// Looks through the structure of a database.
///
/// # Errors
/// What is wrong with it.
pub fn check(connection: &Connection) -> rusqlite::Result<()> {
    let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if said != "ok" {
        return Err(damage(said.replace('\n', " ")));
    }
    for (column, kind, key) in COLUMNS {
        let has: i64 = connection.query_row(
            "SELECT count(*) FROM pragma_table_info('in_tail_files') WHERE name = ?1 AND type = ?2 AND pk = ?3",
            rusqlite::params![column, kind, key],
            |row| row.get(0),
        )?;
        if has == 0 {
            return Err(damage(format!("the table in_tail_files has no column '{column}' of type {kind}")));
        }
    }
    Ok(())
}

fn damage(why: String) -> Error {
    Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT), Some(why))
}

/// Moves a damaged database aside, and what belongs to it.
///
/// # Errors
/// Why that is not possible.
pub fn move_aside(path: &str, why: String) -> Result<Damage, String> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let names = (0..100u64).map(|n| format!("{path}{ASIDE}{}", now + n));
    let free = names.into_iter().find(|name| !Path::new(name).exists());
    let aside = free.ok_or("too many damaged databases stand beside it")?;
    std::fs::rename(path, &aside).map_err(|e| format!("{why}; it cannot be moved to '{aside}': {e}"))?;
    for end in BESIDE {
        // Most often there is none.
        let _ = std::fs::rename(format!("{path}{end}"), format!("{aside}{end}"));
    }
    Ok(Damage { why, aside })
}

/// Removes what a deleted database has left: it does not belong to the next one.
pub fn clear_remains(path: &str) {
    for end in BESIDE {
        let _ = std::fs::remove_file(format!("{path}{end}"));
    }
}

/// The file at a path.
pub fn id_at(path: &str) -> Option<FileId> {
    Facts::at(path.as_ref()).ok().map(|f| f.id)
}
