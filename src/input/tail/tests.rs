//! The behaviours of the whole input, on real files.

use super::testing::{Lab, TempDir, make, run};
use crate::rt::sleep;
use std::fs;
use std::os::unix::fs::symlink;
use std::rc::Rc;
use std::time::Duration;

const HEAD: (&str, &str) = ("read_from_head", "on");

#[test]
fn files_of_the_start_are_read_from_their_end_and_later_ones_from_their_head() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "old\n");
        dir.write("b.log", "old\nunfini");
        let lab = Lab::start(&dir, &[("path", "{}/*.log"), ("tag", "t")]);
        sleep(Duration::from_millis(30)).await;
        dir.append("a.log", "new\n");
        lab.expect(&["t log=new"]).await;
        dir.append("b.log", "shed\n");
        lab.expect(&["t log=new", "t log=unfinished"]).await;
        dir.write("c.log", "later\n");
        lab.expect(&["t log=new", "t log=unfinished", "t log=later"]).await;
        lab.stop().await;
    });
}

#[test]
fn reading_from_the_head_and_leaving_out() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "1\n2\r\n\n");
        dir.write("b.log.gz", "binary\n");
        dir.write("skip.log", "no\n");
        dir.write("d.log/x", "not a file\n");
        let keys = [("path", "{}/*.log*"), ("exclude_path", "*/skip*"), ("tag", "x.*"), ("key", "m"), HEAD];
        let lab = Lab::start(&dir, &keys);
        let tag = format!("x{}.a.log", dir.root().to_str().unwrap().replace('/', "."));
        lab.expect(&[&format!("{tag} m=1"), &format!("{tag} m=2"), &format!("{tag} m=")]).await;
        lab.stop().await;
    });
}

#[test]
fn path_and_offset_keys_with_a_parser() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "{\"a\":1}\nplain\n");
        let keys = [("path", "{}/a.log"), ("path_key", "p"), ("offset_key", "o"), ("parser", "json"), HEAD];
        let lab = Lab::start(&dir, &keys);
        let path = dir.path("a.log");
        let path = path.to_str().unwrap();
        lab.expect(&[&format!("tail.0 a=1 p={path} o=0"), &format!("tail.0 p={path} o=8 log=plain")]).await;
        lab.stop().await;
    });
}

#[test]
fn tags_from_the_path() {
    run(async |dir: Rc<TempDir>| {
        dir.write("web_prod.log", "1\n");
        dir.write("other.log", "2\n");
        let keys = [
            ("path", "{}/*.log"),
            ("tag", "k.<ns>.<app>.<none>"),
            ("tag_regex", r"(?<app>[a-z]+)_(?<ns>[a-z]+)\.log$"),
            HEAD,
        ];
        let lab = Lab::start(&dir, &keys);
        lab.expect(&["k.prod.web._ log=1"]).await;
        lab.stop().await;
    });
}

fn rotation(keys: &'static [(&'static str, &'static str)]) {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "1\n");
        let lab = Lab::start(&dir, &[keys, &[("path", "{}/a.log"), ("rotate_wait", "0.2"), HEAD]].concat());
        lab.expect(&["tail.0 log=1"]).await;
        // Renamed: the rest of the old file and all of the new one.
        dir.append("a.log", "2\n");
        dir.rename("a.log", "a.log.1");
        dir.append("a.log.1", "3\n");
        dir.write("a.log", "4\n");
        dir.append("a.log.1", "5\n");
        let want = |n: u32| (1..=n).map(|n| format!("tail.0 log={n}")).collect::<Vec<_>>();
        lab.expect_count(5).await;
        let mut got = lab.notes.records.borrow().clone();
        got.sort();
        assert_eq!(got, want(5));
        // Cut to nothing and written on.
        dir.write("a.log", "");
        sleep(Duration::from_millis(300)).await;
        dir.append("a.log", "6\n");
        lab.expect_count(6).await;
        // Deleted while a line is unfinished: it is the last one.
        dir.append("a.log", "7");
        fs::remove_file(dir.path("a.log")).unwrap();
        lab.expect_count(7).await;
        dir.write("a.log", "8\n");
        lab.expect_count(8).await;
        let mut got = lab.stop().await;
        got.sort();
        assert_eq!(got, want(8));
    });
}

#[test]
fn rotation_seen_by_inotify() {
    rotation(&[]);
}

#[test]
fn rotation_seen_by_looking() {
    rotation(&[("inotify_watcher", "off"), ("refresh_interval", "0.1"), ("watcher_interval", "0.1")]);
}

#[test]
fn a_renamed_file_that_still_matches_is_followed_under_its_new_name() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "1\n");
        let lab = Lab::start(&dir, &[("path", "{}/a.log*"), ("rotate_wait", "0"), HEAD]);
        lab.expect(&["tail.0 log=1"]).await;
        dir.rename("a.log", "a.log.1");
        dir.write("a.log", "2\n");
        lab.expect(&["tail.0 log=1", "tail.0 log=2"]).await;
        sleep(Duration::from_millis(50)).await;
        dir.append("a.log.1", "3\n");
        lab.expect(&["tail.0 log=1", "tail.0 log=2", "tail.0 log=3"]).await;
        lab.stop().await;
    });
}

#[test]
fn files_made_and_renamed_between_two_looks_are_found() {
    run(async |dir: Rc<TempDir>| {
        let lab = Lab::start(&dir, &[("path", "{}/a.log"), HEAD]);
        sleep(Duration::from_millis(20)).await;
        // No chance to look in between: this thread does it all.
        for n in 0..20 {
            for old in (1..n).rev() {
                dir.rename(&format!("a.log.{old}"), &format!("a.log.{}", old + 1));
            }
            if n > 0 {
                dir.rename("a.log", "a.log.1");
            }
            dir.write("a.log", format!("{n}\n"));
        }
        lab.expect_count(20).await;
        let mut got: Vec<u32> = lab.stop().await.iter().map(|r| r["tail.0 log=".len()..].parse().unwrap()).collect();
        got.sort_unstable();
        assert_eq!(got, (0..20).collect::<Vec<_>>());
    });
}

#[test]
fn a_rotated_file_is_read_to_its_end_however_long_that_takes() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "0\n");
        let lab = Lab::start(&dir, &[("path", "{}/a.log"), ("rotate_wait", "0"), HEAD]);
        lab.expect_count(1).await;
        lab.notes.room.set(false);
        dir.append("a.log", "a line of some length\n".repeat(20_000));
        dir.rename("a.log", "b");
        dir.write("a.log", "2\n");
        fs::remove_file(dir.path("b")).unwrap();
        sleep(Duration::from_millis(50)).await;
        // Reading stopped; the next generation comes and goes meanwhile.
        dir.rename("a.log", "b");
        dir.write("a.log", "3\n");
        sleep(Duration::from_millis(30)).await;
        fs::remove_file(dir.path("b")).unwrap();
        lab.resume();
        lab.expect_count(20_003).await;
        lab.stop().await;
    });
}

#[test]
fn links_are_followed_to_where_they_lead() {
    run(async |dir: Rc<TempDir>| {
        dir.write("pods/0.log", "1\n");
        dir.write("logs/x", "");
        symlink(dir.path("pods/0.log"), dir.path("logs/c.log")).unwrap();
        let lab = Lab::start(&dir, &[("path", "{}/logs/*.log"), ("path_key", "p"), HEAD]);
        let link = dir.path("logs/c.log");
        let record = |n: u32| format!("tail.0 p={} log={n}", link.display());
        lab.expect(&[&record(1)]).await;
        // Rotation behind the link.
        dir.rename("pods/0.log", "pods/0.log.1");
        dir.write("pods/0.log", "2\n");
        lab.expect(&[&record(1), &record(2)]).await;
        // The link is made to lead elsewhere.
        dir.write("pods/1.log", "3\n");
        symlink(dir.path("pods/1.log"), dir.path("logs/new")).unwrap();
        dir.rename("logs/new", "logs/c.log");
        lab.expect(&[&record(1), &record(2), &record(3)]).await;
        lab.stop().await;
    });
}

#[test]
fn new_directories_on_the_way_of_a_pattern() {
    run(async |dir: Rc<TempDir>| {
        let lab = Lab::start(&dir, &[("path", "{}/a/*/*.log"), HEAD]);
        sleep(Duration::from_millis(10)).await;
        fs::create_dir_all(dir.path("a")).unwrap();
        sleep(Duration::from_millis(10)).await;
        dir.write("a/x/f.log", "1\n");
        lab.expect(&["tail.0 log=1"]).await;
        dir.write("a/x/g.log", "2\n");
        lab.expect(&["tail.0 log=1", "tail.0 log=2"]).await;
        lab.stop().await;
    });
}

#[test]
fn old_files_wait_until_they_are_written_again() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "old\n");
        dir.write("b.log", "fresh\n");
        let day_ago = std::time::SystemTime::now() - Duration::from_secs(86_400);
        fs::File::options().write(true).open(dir.path("a.log")).unwrap().set_modified(day_ago).unwrap();
        let keys = [("path", "{}/*.log"), ("ignore_older", "1h"), ("refresh_interval", "0.1"), HEAD];
        let lab = Lab::start(&dir, &keys);
        lab.expect(&["tail.0 log=fresh"]).await;
        dir.append("a.log", "new\n");
        lab.expect(&["tail.0 log=fresh", "tail.0 log=old", "tail.0 log=new"]).await;
        lab.stop().await;
        // Read from the end: what was there when it was too old stays out.
        fs::File::options().write(true).open(dir.path("a.log")).unwrap().set_modified(day_ago).unwrap();
        let lab = Lab::start(&dir, &keys[..3]);
        sleep(Duration::from_millis(20)).await;
        dir.append("a.log", "newer\n");
        lab.expect(&["tail.0 log=newer"]).await;
        lab.stop().await;
    });
}

#[test]
fn a_file_that_grew_old_is_let_go_and_taken_up_again() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "1\n");
        let keys = [
            ("path", "{}/*.log"),
            ("ignore_older", "1h"),
            ("ignore_active_older_files", "on"),
            ("refresh_interval", "0.1"),
            HEAD,
        ];
        let lab = Lab::start(&dir, &keys);
        lab.expect(&["tail.0 log=1"]).await;
        let file = fs::File::options().append(true).open(dir.path("a.log")).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(86_400)).unwrap();
        sleep(Duration::from_millis(250)).await;
        dir.append("a.log", "2\n");
        lab.expect(&["tail.0 log=1", "tail.0 log=2"]).await;
        lab.stop().await;
    });
}

#[test]
fn exit_on_eof_takes_the_unfinished_line_too() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "1\n2");
        dir.write("b.log", "");
        let lab = Lab::start(&dir, &[("path", "{}/*.log"), ("exit_on_eof", "on"), HEAD]);
        lab.expect(&["tail.0 log=1", "tail.0 log=2"]).await;
        assert_eq!(lab.notes.code.get(), Some(0));
        lab.stop().await;
        let lab = Lab::start(&dir, &[("path", "{}/none"), ("exit_on_eof", "on")]);
        lab.until("exit without files", || lab.notes.code.get() == Some(0)).await;
        lab.stop().await;
    });
}

#[test]
fn skipped_lines_are_counted() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", format!("1\n{}\n2\n", "x".repeat(40_000)));
        let lab = Lab::start(&dir, &[("path", "{}/*.log"), ("skip_long_lines", "on"), HEAD]);
        lab.expect(&["tail.0 log=1", "tail.0 log=2"]).await;
        assert_eq!(lab.notes.lost.get(), 1);
        lab.stop().await;
    });
}

#[test]
fn busy_files_take_turns() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "a line of some length, and then some more\n".repeat(20_000));
        dir.write("b.log", "b\n");
        let lab = Lab::start(&dir, &[("path", "{}/*.log"), HEAD]);
        lab.expect_count(20_001).await;
        let at = lab.notes.records.borrow().iter().position(|r| r == "tail.0 log=b").unwrap();
        assert!(at < 10_000, "the quiet file had to wait for {at} lines");
        lab.stop().await;
    });
}

#[test]
fn without_room_nothing_is_read() {
    run(async |dir: Rc<TempDir>| {
        let lab = Lab::start(&dir, &[("path", "{}/*.log"), HEAD]);
        lab.notes.room.set(false);
        dir.write("a.log", "1\n");
        sleep(Duration::from_millis(60)).await;
        assert!(lab.notes.records.borrow().is_empty());
        lab.resume();
        lab.expect(&["tail.0 log=1"]).await;
        lab.stop().await;
    });
}

#[test]
fn wrong_keys_are_all_said() {
    let dir = TempDir::new();
    let said = make(&dir, &[("path", "x"), ("parser", "jsn"), ("tag_regex", "(?<a>x"), ("tag", "k.<a>")]);
    assert!(said.0.is_none());
    assert!(said.1.contains("'jsn'") && said.1.contains("json") && said.1.contains("Tag_Regex"), "{}", said.1);
    let said = make(&dir, &[("path", "x"), ("tag_regex", "(?<a>x)"), ("tag", "k.<a")]);
    assert!(said.0.is_none() && said.1.contains("'<'"), "{}", said.1);
    assert!(make(&dir, &[("path", " , ")]).0.is_none());
    assert!(make(&dir, &[]).1.contains("'Path' is required"));
}

#[cfg(feature = "sqlite")]
mod remembered {
    use super::*;
    use rusqlite::Connection;
    use std::os::unix::fs::MetadataExt;

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
            lab.expect(&["tail.0 log=3"]).await;
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
}

#[test]
fn more_files_than_descriptors() {
    run(async |dir: Rc<TempDir>| {
        super::testing::BUDGET.set(Some(8));
        for n in 0..100 {
            dir.write(&format!("{n:03}.log"), format!("{n}\n"));
        }
        let lab = Lab::start(&dir, &[("path", "{}/*.log"), ("rotate_wait", "0"), HEAD]);
        lab.expect_count(100).await;
        let own = |d: &TempDir| {
            let links = fs::read_dir("/proc/self/fd").unwrap().flatten().filter_map(|e| fs::read_link(e.path()).ok());
            links.filter(|l| l.starts_with(d.root())).count()
        };
        assert!(own(&dir) <= 40, "{} files are open", own(&dir));
        for n in 0..100 {
            dir.append(&format!("{n:03}.log"), "more\n");
        }
        lab.expect_count(200).await;
        // One that is closed is written and rotated away.
        dir.append("000.log", "last\n");
        dir.rename("000.log", "000.log.1");
        dir.write("000.log", "new\n");
        lab.expect_count(202).await;
        super::testing::BUDGET.set(None);
        lab.stop().await;
    });
}

#[test]
fn what_a_copy_holds_more_is_read_from_it() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "the first line of it\n");
        // An older one, which was a file of its own.
        dir.write("a.log.2", "the first line of another one\nand more\n");
        // Times of files are as exact as the system's ticks.
        sleep(Duration::from_millis(20)).await;
        let lab = Lab::start(&dir, &[("path", "{}/a.log"), ("rotate_wait", "0"), HEAD]);
        lab.expect_count(1).await;
        dir.write("b.log", "the first line of it\nno\n");
        // Written, copied and cut between two looks.
        dir.append("a.log", "second\n");
        fs::copy(dir.path("a.log"), dir.path("a.log.1")).unwrap();
        dir.write("a.log", "third\n");
        lab.expect_count(3).await;
        let mut got = lab.stop().await;
        got.sort();
        assert_eq!(got, ["tail.0 log=second", "tail.0 log=the first line of it", "tail.0 log=third"]);
    });
}
