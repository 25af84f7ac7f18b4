//! What a database remembers over a restart.

use super::testing::{Lab, TempDir, run};
use crate::rt::sleep;
use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::rc::Rc;
use std::time::Duration;

const HEAD: (&str, &str) = ("read_from_head", "on");

const KEYS: [(&str, &str); 3] = [("path", "{}/a.log"), ("db", "{}/t.db"), HEAD];

fn rows(dir: &TempDir) -> Vec<(String, i64, i64)> {
    let c = Connection::open(dir.path("t.db")).unwrap();
    let mut all = c.prepare("SELECT name, offset, rotated FROM in_tail_files ORDER BY name").unwrap();
    let root = dir.root().to_str().unwrap().to_owned();
    let rows = all.query_map([], |r| Ok((r.get::<_, String>(0)?, r.get(1)?, r.get(2)?))).unwrap();
    rows.map(Result::unwrap).map(|(n, o, r)| (n.replace(&format!("{root}/"), ""), o, r)).collect()
}

fn row(name: &str, offset: i64, rotated: i64) -> (String, i64, i64) {
    (name.into(), offset, rotated)
}

#[test]
fn a_restart_goes_on_at_the_line() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "1\n2\nunfini");
        let lab = Lab::start(&dir, &KEYS);
        lab.expect(&["tail.0 log=1", "tail.0 log=2"]).await;
        lab.stop().await;
        assert_eq!(rows(&dir), [row("a.log", 4, 0)]);
        dir.append("a.log", "shed\n4\n");
        let lab = Lab::start(&dir, &KEYS);
        lab.expect(&["tail.0 log=unfinished", "tail.0 log=4"]).await;
        lab.stop().await;
        assert_eq!(rows(&dir), [row("a.log", 17, 0)]);
    });
}

#[test]
fn old_files_are_remembered_too() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "1\n");
        Lab::start(&dir, &KEYS).stop_after(1).await;
        dir.append("a.log", "2\n");
        let file = fs::File::options().append(true).open(dir.path("a.log")).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(86_400)).unwrap();
        let keys = [&KEYS[..], &[("ignore_older", "1h"), ("refresh_interval", "0.1")]].concat();
        let lab = Lab::start(&dir, &keys);
        lab.expect_count(0).await;
        dir.append("a.log", "3\n");
        lab.expect(&["tail.0 log=2", "tail.0 log=3"]).await;
        lab.stop().await;
        assert_eq!(rows(&dir), [row("a.log", 6, 0)]);
    });
}

#[test]
fn only_what_was_delivered_counts() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "1\n");
        let lab = Lab::start(&dir, &KEYS);
        lab.notes.hold.set(true);
        lab.expect_count(1).await;
        for n in 2..=4 {
            dir.append("a.log", format!("{n}\n"));
            lab.expect_count(n).await;
        }
        assert_eq!(lab.notes.held.borrow().len(), 4);
        // The third and the first arrive; the second does not.
        drop(lab.notes.held.borrow_mut().remove(2));
        drop(lab.notes.held.borrow_mut().remove(0));
        lab.stop().await;
        assert_eq!(rows(&dir), [row("a.log", 2, 0)]);
        let lab = Lab::start(&dir, &KEYS);
        lab.expect(&["tail.0 log=2", "tail.0 log=3", "tail.0 log=4"]).await;
        lab.stop().await;
    });
}

#[test]
fn a_file_rotated_behind_links_while_stopped_is_read_to_its_end() {
    run(async |dir: Rc<TempDir>| {
        for folder in ["data", "pods", "logs"] {
            fs::create_dir(dir.path(folder)).unwrap();
        }
        dir.write("data/id-json.log", "1\n");
        symlink(dir.path("data/id-json.log"), dir.path("pods/0.log")).unwrap();
        symlink("../pods/0.log", dir.path("logs/a.log")).unwrap();
        let keys = [("path", "{}/logs/*.log"), ("db", "{}/t.db"), HEAD];
        Lab::start(&dir, &keys).stop_after(1).await;
        dir.append("data/id-json.log", "2\n");
        dir.rename("data/id-json.log", "data/id-json.log.1");
        let lab = Lab::start(&dir, &keys);
        // The next file is not there yet.
        lab.expect(&["tail.0 log=2"]).await;
        dir.write("data/id-json.log", "3\n");
        lab.expect(&["tail.0 log=2", "tail.0 log=3"]).await;
        lab.stop().await;
    });
}

#[test]
fn a_file_rotated_while_stopped_is_read_to_its_end() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "1\n");
        Lab::start(&dir, &KEYS).stop_after(1).await;
        dir.append("a.log", "2\n");
        dir.rename("a.log", "a.log.1");
        dir.write("a.log", "3\n");
        let keys = [&KEYS[..], &[("rotate_wait", "0.05")]].concat();
        let lab = Lab::start(&dir, &keys);
        lab.expect_count(2).await;
        sleep(Duration::from_millis(100)).await;
        let mut got = lab.stop().await;
        got.sort();
        assert_eq!(got, ["tail.0 log=2", "tail.0 log=3"]);
        assert_eq!(rows(&dir), [row("a.log", 2, 0)], "the row of the rotated file went when it was closed");
        // One that a writer still has open grows after the restart.
        dir.rename("a.log", "a.log.0");
        let lab = Lab::start(&dir, &KEYS);
        sleep(Duration::from_millis(30)).await;
        dir.append("a.log.0", "late\n");
        lab.expect(&["tail.0 log=late"]).await;
        lab.stop().await;
        assert_eq!(rows(&dir), [row("a.log", 7, 1)], "it is found from the name it had");
        dir.rename("a.log.0", "a.log");
        fs::remove_file(dir.path("a.log.1")).unwrap();
        // The same with a pattern that both names match.
        let lab = Lab::start(&dir, &[("path", "{}/a.log*"), ("db", "{}/t.db")]);
        sleep(Duration::from_millis(30)).await;
        dir.rename("a.log", "a.log.2");
        dir.append("a.log.2", "4\n");
        dir.write("a.log", "5\n");
        lab.expect_count(2).await;
        lab.stop().await;
        assert_eq!(rows(&dir), [row("a.log", 2, 0), row("a.log.2", 9, 0)]);
    });
}

#[test]
fn rows_of_others_stay_and_those_of_deleted_files_go() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "1\n");
        dir.write("b.log", "1\n");
        Lab::start(&dir, &[("path", "{}/*.log"), ("db", "{}/t.db"), HEAD]).stop_after(2).await;
        fs::remove_file(dir.path("a.log")).unwrap();
        Lab::start(&dir, &[("path", "{}/c.log"), ("db", "{}/t.db"), HEAD]).stop_after(0).await;
        assert_eq!(rows(&dir), [row("a.log", 2, 0), row("b.log", 2, 0)]);
        Lab::start(&dir, &[("path", "{}/*.log"), ("db", "{}/t.db"), HEAD]).stop_after(0).await;
        assert_eq!(rows(&dir), [row("b.log", 2, 0)]);
        // Deleted while it is followed.
        let lab = Lab::start(&dir, &[("path", "{}/*.log"), ("db", "{}/t.db"), ("rotate_wait", "0"), HEAD]);
        sleep(Duration::from_millis(30)).await;
        fs::remove_file(dir.path("b.log")).unwrap();
        sleep(Duration::from_millis(60)).await;
        lab.stop().await;
        assert_eq!(rows(&dir), []);
    });
}

#[test]
fn two_inputs_share_a_database() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "1\n");
        dir.write("b.log", "1\n");
        for n in [1, 0] {
            let a = Lab::start(&dir, &KEYS);
            let b = Lab::start(&dir, &[("path", "{}/b.log"), ("db", "{}/t.db"), HEAD]);
            a.expect_count(n).await;
            b.expect_count(n).await;
            a.stop().await;
            b.stop().await;
            assert_eq!(rows(&dir), [row("a.log", 2, 0), row("b.log", 2, 0)]);
        }
    });
}

fn table(dir: &TempDir, columns: &str, values: &str) {
    let c = Connection::open(dir.path("t.db")).unwrap();
    c.execute_batch(&format!(
        "CREATE TABLE in_tail_files (id INTEGER PRIMARY KEY, name TEXT NOT NULL, offset INTEGER, inode INTEGER, \
         created INTEGER, rotated INTEGER DEFAULT 0{columns}); INSERT INTO in_tail_files VALUES ({values});"
    ))
    .unwrap();
}

#[test]
fn a_database_of_fluent_bit_is_continued() {
    let markers = ", offset_marker INTEGER DEFAULT 0, offset_marker_size INTEGER DEFAULT 0";
    for (columns, more) in [("", ""), (markers, ", 1234567890123, 256")] {
        run(async |dir: Rc<TempDir>| {
            dir.write("a.log", "1\n2\n");
            let (name, inode) = (dir.path("a.log"), fs::metadata(dir.path("a.log")).unwrap().ino());
            table(&dir, columns, &format!("7, '{}', 2, {inode}, 1700000000, 0{more}", name.display()));
            let lab = Lab::start(&dir, &KEYS);
            lab.expect(&["tail.0 log=2"]).await;
            lab.stop().await;
            assert_eq!(rows(&dir), [row("a.log", 4, 0)]);
        });
    }
}

#[test]
fn an_offset_behind_the_end_begins_anew() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "1\n2\n");
        let inode = fs::metadata(dir.path("a.log")).unwrap().ino();
        table(&dir, "", &format!("7, '{}', 99, {inode}, 1, 0", dir.path("a.log").display()));
        let lab = Lab::start(&dir, &KEYS[..2]);
        lab.expect(&["tail.0 log=1", "tail.0 log=2"]).await;
        lab.stop().await;
        assert_eq!(rows(&dir), [row("a.log", 4, 0)]);
    });
}

#[test]
fn other_content_in_the_same_inode_begins_anew() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", format!("{}\n", "x".repeat(100)));
        Lab::start(&dir, &KEYS).stop_after(1).await;
        let new = format!("{}\nend\n", "y".repeat(200));
        dir.write("a.log", &new);
        let lab = Lab::start(&dir, &KEYS);
        lab.expect_count(2).await;
        lab.stop().await;
    });
}

#[test]
fn the_name_may_have_to_be_the_same() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "1\n");
        Lab::start(&dir, &KEYS).stop_after(1).await;
        dir.rename("a.log", "b.log");
        let keys = [("path", "{}/b.log"), ("db", "{}/t.db"), HEAD];
        Lab::start(&dir, &keys).stop_after(0).await;
        assert_eq!(rows(&dir), [row("b.log", 2, 0)]);
        dir.rename("b.log", "c.log");
        let keys = [("path", "{}/c.log"), ("db", "{}/t.db"), ("db.compare_filename", "on"), HEAD];
        Lab::start(&dir, &keys).stop_after(1).await;
    });
}

#[test]
fn the_database_is_no_log() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "1\n");
        Lab::start(&dir, &[("path", "{}/*"), ("db", "{}/t.db"), HEAD]).stop_after(1).await;
        Lab::start(&dir, &[("path", "{}/*"), ("db", "{}/t.db"), HEAD]).stop_after(0).await;
    });
}

#[test]
fn truncation_is_remembered() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "1\n2\n3\n");
        let lab = Lab::start(&dir, &KEYS);
        lab.expect_count(3).await;
        dir.write("a.log", "4\n");
        lab.expect_count(4).await;
        lab.stop().await;
        assert_eq!(rows(&dir), [row("a.log", 2, 0)]);
    });
}

impl Lab {
    /// Waits for `n` records, then shuts down.
    async fn stop_after(self, n: usize) {
        self.expect_count(n).await;
        self.stop().await;
    }
}

#[test]
fn the_successor_of_a_known_file_is_read_from_its_head() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "1\n");
        let lab = Lab::start(&dir, &[("path", "{}/a.log"), ("db", "{}/t.db"), ("tag", "t"), HEAD]);
        lab.expect(&["t log=1"]).await;
        lab.stop().await;
        dir.rename("a.log", "b.log");
        dir.write("a.log", "2\n");
        dir.write("c.log", "3\n");
        let keys = [("path", "{}/a.log, {}/c.log"), ("db", "{}/t.db"), ("tag", "t")];
        let lab = Lab::start(&dir, &keys);
        lab.expect(&["t log=2"]).await;
        dir.append("c.log", "4\n");
        lab.expect(&["t log=2", "t log=4"]).await;
        lab.stop().await;
    });
}
