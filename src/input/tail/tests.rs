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
