//! A database that is deleted, replaced or damaged: nothing is lost for that.

use super::testing::{Lab, TempDir, run};
use crate::rt::sleep;
use rusqlite::{Connection, OpenFlags};
use std::fs;
use std::rc::Rc;
use std::time::Duration;

const KEYS: [(&str, &str); 3] = [("path", "{}/*.log"), ("db", "{}/db/t.db"), ("rotate_wait", "0.05")];
const HEAD: (&str, &str) = ("read_from_head", "on");

/// Names and offsets, by name. While the database is being made there are none.
fn rows(dir: &TempDir) -> Vec<(String, i64)> {
    let file = |name: String| name.rsplit('/').next().unwrap().to_owned();
    let rows = || {
        let c = Connection::open_with_flags(dir.path("db/t.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut all = c.prepare("SELECT name, offset FROM in_tail_files ORDER BY name")?;
        all.query_map([], |r| Ok((file(r.get(0)?), r.get(1)?)))?.collect::<rusqlite::Result<Vec<_>>>()
    };
    rows().unwrap_or_default()
}

fn row(name: &str, offset: i64) -> (String, i64) {
    (name.into(), offset)
}

fn beside(dir: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path("db")).unwrap().flatten();
    let mut names: Vec<_> = entries.map(|e| e.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

async fn started(dir: &TempDir) -> Lab {
    fs::create_dir_all(dir.path("db")).unwrap();
    dir.write("a.log", "1\n");
    dir.write("b.log", "1\n22\n");
    let lab = Lab::start(dir, &[&KEYS[..], &[HEAD]].concat());
    lab.expect_count(3).await;
    lab
}

/// Writes something and waits for the rows.
async fn all_is_written(dir: &TempDir, lab: &Lab) {
    dir.append("a.log", "2\n");
    lab.expect_count(4).await;
    lab.until("a new database", || rows(dir) == [row("a.log", 4), row("b.log", 5)]).await;
}

#[test]
fn deleted_while_running() {
    run(async |dir: Rc<TempDir>| {
        let lab = started(&dir).await;
        fs::remove_dir_all(dir.path("db")).unwrap();
        dir.append("b.log", "");
        fs::create_dir(dir.path("db")).unwrap();
        all_is_written(&dir, &lab).await;
        lab.stop().await;
        assert_eq!(rows(&dir), [row("a.log", 4), row("b.log", 5)]);
        let lab = Lab::start(&dir, &KEYS);
        lab.expect_count(0).await;
        lab.stop().await;
    });
}

#[test]
fn deleted_without_what_is_beside_it() {
    run(async |dir: Rc<TempDir>| {
        let lab = started(&dir).await;
        sleep(Duration::from_millis(60)).await;
        assert!(dir.path("db/t.db-wal").exists());
        fs::remove_file(dir.path("db/t.db")).unwrap();
        all_is_written(&dir, &lab).await;
        lab.stop().await;
    });
}

#[test]
fn deleted_with_its_folder_which_comes_back_later() {
    run(async |dir: Rc<TempDir>| {
        let lab = started(&dir).await;
        fs::remove_dir_all(dir.path("db")).unwrap();
        dir.append("b.log", "3\n");
        lab.expect_count(4).await;
        sleep(Duration::from_millis(100)).await;
        fs::create_dir(dir.path("db")).unwrap();
        lab.until("a new database", || rows(&dir).len() == 2).await;
        lab.stop().await;
        assert_eq!(rows(&dir), [row("a.log", 2), row("b.log", 7)]);
    });
}

#[test]
fn deleted_when_nothing_happens_any_more() {
    run(async |dir: Rc<TempDir>| {
        let lab = started(&dir).await;
        sleep(Duration::from_millis(60)).await;
        fs::remove_dir_all(dir.path("db")).unwrap();
        fs::create_dir(dir.path("db")).unwrap();
        lab.stop().await;
        assert_eq!(rows(&dir), [row("a.log", 2), row("b.log", 5)], "it is looked after at the end");
        let lab = Lab::start(&dir, &[&KEYS[..], &[("refresh_interval", "0.1")]].concat());
        lab.expect_count(0).await;
        fs::remove_dir_all(dir.path("db")).unwrap();
        fs::create_dir(dir.path("db")).unwrap();
        lab.until("a new database", || rows(&dir).len() == 2).await;
        lab.stop().await;
    });
}

#[test]
fn replaced_by_another_one() {
    run(async |dir: Rc<TempDir>| {
        let lab = started(&dir).await;
        dir.write("db/new", "");
        dir.rename("db/new", "db/t.db");
        all_is_written(&dir, &lab).await;
        lab.stop().await;
    });
}

#[test]
fn deleted_while_two_inputs_use_it() {
    run(async |dir: Rc<TempDir>| {
        fs::create_dir(dir.path("db")).unwrap();
        let names = ["a", "b"];
        let labs = names.map(|n| {
            dir.write(&format!("{n}.log"), "1\n");
            let path = format!("{{}}/{n}.log");
            Lab::start(&dir, &[("path", &path), ("db", "{}/db/t.db"), HEAD])
        });
        for n in 0..4 {
            for (lab, name) in labs.iter().zip(names) {
                dir.append(&format!("{name}.log"), "2\n");
                lab.expect_count(n + 2).await;
            }
            if n % 2 == 0 {
                fs::remove_file(dir.path("db/t.db")).unwrap();
            }
        }
        for lab in labs {
            lab.stop().await;
        }
        assert_eq!(rows(&dir), [row("a.log", 10), row("b.log", 10)]);
    });
}

/// Files are read from their heads then, whatever is configured.
async fn damaged(dir: &TempDir, bytes: &[u8]) {
    fs::write(dir.path("db/t.db"), bytes).unwrap();
    let lab = Lab::start(dir, &KEYS);
    lab.expect_count(3).await;
    lab.stop().await;
    assert_eq!(rows(dir), [row("a.log", 2), row("b.log", 5)]);
    let names = beside(dir);
    let aside = names.iter().find(|n| n.starts_with("t.db.corrupt-")).unwrap_or_else(|| panic!("{names:?}"));
    assert_eq!(fs::read(dir.path(&format!("db/{aside}"))).unwrap(), bytes, "it is kept");
    fs::remove_file(dir.path(&format!("db/{aside}"))).unwrap();
    let lab = Lab::start(dir, &KEYS);
    lab.expect_count(0).await;
    lab.stop().await;
}

#[test]
fn damaged_before_the_start() {
    run(async |dir: Rc<TempDir>| {
        started(&dir).await.stop().await;
        let sound = fs::read(dir.path("db/t.db")).unwrap();
        damaged(&dir, &[0; 5000]).await;
        // Cut in the middle of a page; the root page of the table lost; the header's page size wrong.
        damaged(&dir, &sound[..sound.len() - 100]).await;
        let mut bytes = sound.clone();
        bytes[4096..4196].fill(0xff);
        damaged(&dir, &bytes).await;
        let mut bytes = sound.clone();
        bytes[16] ^= 0xff;
        damaged(&dir, &bytes).await;
        // The name of a column; the type of the key.
        for word in ["offset INTEGER", "INTEGER PRIMARY"] {
            let mut bytes = sound.clone();
            let at = bytes.windows(word.len()).position(|w| w == word.as_bytes()).unwrap();
            bytes[at] ^= 1;
            damaged(&dir, &bytes).await;
        }
    });
}

/// A path that somebody got wrong: the file is left where it is.
#[test]
fn what_never_was_a_database_ends_the_input() {
    run(async |dir: Rc<TempDir>| {
        let text = b"what is no database at all".repeat(100);
        dir.write("db/t.db", &text);
        let said = Lab::start(&dir, &KEYS).end().await.unwrap_err().to_string();
        assert!(said.contains("db/t.db") && said.contains("not a database"), "{said}");
        assert_eq!(fs::read(dir.path("db/t.db")).unwrap(), text);
    });
}

#[test]
fn an_empty_file_is_a_new_database() {
    run(async |dir: Rc<TempDir>| {
        dir.write("db/t.db", "");
        let lab = started(&dir).await;
        lab.stop().await;
        assert_eq!(beside(&dir), ["t.db"]);
    });
}

#[test]
fn what_is_set_aside_is_no_log() {
    run(async |dir: Rc<TempDir>| {
        dir.write("t.db", [0; 5000]);
        let keys = [("path", "{}/*"), ("db", "{}/t.db"), HEAD];
        for _ in 0..2 {
            let lab = Lab::start(&dir, &keys);
            lab.expect_count(0).await;
            lab.stop().await;
        }
    });
}

#[test]
fn a_folder_that_is_missing_ends_the_input() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "1\n");
        let lab = Lab::start(&dir, &KEYS);
        let said = lab.end().await.unwrap_err().to_string();
        assert!(said.contains("db/t.db") && said.contains("No such file or directory"), "{said}");
    });
}
