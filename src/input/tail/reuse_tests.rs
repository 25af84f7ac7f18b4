//! Files that are deleted and made anew: the inode is often the same, the content is not.

use super::testing::{BUDGET, Lab, TempDir, run};
use crate::rt::sleep;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use std::time::Duration;

const HEAD: (&str, &str) = ("read_from_head", "on");

/// Replaces a file by a new one that has its inode; `false` where that is not to be had.
fn replace(dir: &TempDir, name: &str, text: &str) -> bool {
    let inode = |name: &str| fs::metadata(dir.path(name)).unwrap().ino();
    let old = inode(name);
    fs::remove_file(dir.path(name)).unwrap();
    for n in 0..200 {
        let new = format!("new-{n}");
        dir.write(&new, text);
        if inode(&new) == old {
            dir.rename(&new, name);
            return true;
        }
    }
    // Somebody has the inode still, or the file system does not give it again.
    dir.rename("new-199", name);
    false
}

/// Lines of one length with equal ends.
fn lines(mark: char, n: usize) -> String {
    (0..n).map(|n| format!("{mark}{n:04} {:x<100}\n", "")).collect()
}

/// What was there, and what is there after.
fn contents() -> Vec<(String, String)> {
    let short = |text: &str| text.to_owned();
    vec![
        (short("a\n"), short("b\n")),
        (short("a\n"), short("b\nc\nd\n")),
        (short("first\nsecond\n"), short("other\n")),
        (short("1\n2\n3\n"), short("4\n5\n6\n")),
        (lines('a', 20), lines('b', 5)),
        (lines('a', 20), lines('b', 20)),
        (lines('a', 20), lines('b', 40)),
        // Only the head differs, or only what stands long before the end.
        (short("one\n") + &lines('a', 40), short("two\n") + &lines('a', 40)),
    ]
}

#[cfg(feature = "sqlite")]
#[test]
fn while_stopped() {
    for (old, new) in contents() {
        run(async |dir: Rc<TempDir>| {
            dir.write("a.log", &old);
            let keys = [("path", "{}/a.log"), ("db", "{}/t.db"), HEAD];
            let lab = Lab::start(&dir, &keys);
            lab.expect_count(old.lines().count()).await;
            lab.stop().await;
            replace(&dir, "a.log", &new);
            let lab = Lab::start(&dir, &keys);
            lab.expect_count(new.lines().count()).await;
            lab.stop().await;
        });
    }
}

/// With the same content nobody can tell: the new file counts as the old one, and nothing comes twice.
#[cfg(feature = "sqlite")]
#[test]
fn an_equal_file_counts_as_the_same() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", lines('a', 20));
        let keys = [("path", "{}/a.log"), ("db", "{}/t.db"), HEAD];
        let lab = Lab::start(&dir, &keys);
        lab.expect_count(20).await;
        lab.stop().await;
        if replace(&dir, "a.log", &lines('a', 20)) {
            let lab = Lab::start(&dir, &keys);
            lab.expect_count(0).await;
            dir.append("a.log", "more\n");
            lab.expect_count(1).await;
            lab.stop().await;
        }
    });
}

/// While a file is open nobody else has its inode; one that is closed for want of descriptors is known by its content.
#[test]
fn while_running() {
    for (old, new) in contents() {
        run(async |dir: Rc<TempDir>| {
            BUDGET.set(Some(2));
            dir.write("a.log", &old);
            for n in 0..4 {
                dir.write(&format!("b{n}.log"), "b\n");
            }
            let lab = Lab::start(&dir, &[("path", "{}/*.log"), ("rotate_wait", "0"), HEAD]);
            lab.expect_count(4 + old.lines().count()).await;
            replace(&dir, "a.log", &new);
            lab.expect_count(4 + old.lines().count() + new.lines().count()).await;
            BUDGET.set(None);
            lab.stop().await;
        });
    }
}

/// A file that was left alone does not keep a later one with its inode from being read.
#[test]
fn of_a_file_that_was_not_read() {
    run(async |dir: Rc<TempDir>| {
        for name in ["a.log", "a.log.zst"] {
            dir.write(name, "x\n");
        }
        let inode = fs::metadata(dir.path("a.log.zst")).unwrap().ino();
        let lab = Lab::start(&dir, &[("path", "{}/*"), ("refresh_interval", "0.1"), HEAD]);
        lab.expect_count(1).await;
        // Files are dated by the system's ticks.
        sleep(Duration::from_millis(20)).await;
        fs::remove_file(dir.path("a.log.zst")).unwrap();
        let mut count = 1;
        for n in 0..200 {
            dir.write(&format!("n{n}.log"), "y\n");
            count += 1;
            if fs::metadata(dir.path(&format!("n{n}.log"))).unwrap().ino() == inode {
                break;
            }
        }
        lab.expect_count(count).await;
        lab.stop().await;
    });
}

/// One that was let go for its age is taken up where it stood, unless it is another one by then.
#[test]
fn of_a_file_that_was_let_go() {
    for (old, new) in contents() {
        run(async |dir: Rc<TempDir>| {
            dir.write("a.log", &old);
            let keys = [
                ("path", "{}/a.log"),
                ("ignore_older", "1h"),
                ("ignore_active_older_files", "on"),
                ("refresh_interval", "0.1"),
                HEAD,
            ];
            let lab = Lab::start(&dir, &keys);
            lab.expect_count(old.lines().count()).await;
            let file = fs::File::options().append(true).open(dir.path("a.log")).unwrap();
            file.set_modified(std::time::SystemTime::now() - Duration::from_secs(86_400)).unwrap();
            drop(file);
            sleep(Duration::from_millis(250)).await;
            replace(&dir, "a.log", &new);
            lab.expect_count(old.lines().count() + new.lines().count()).await;
            lab.stop().await;
        });
    }
}
