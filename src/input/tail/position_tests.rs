//! Every line has a position that is the same whenever it is read again.

use super::testing::{Lab, TempDir, run};
use crate::event::Position;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use std::{fs, iter};

const HEAD: (&str, &str) = ("read_from_head", "on");

/// What a fresh input without a memory reads, when that is `n` records.
async fn read(dir: &TempDir, n: usize) -> BTreeMap<String, Position> {
    let lab = Lab::start(dir, &[("path", "{}/a.log*"), HEAD]);
    lab.expect_count(n).await;
    let positions = lab.positions();
    lab.stop().await;
    positions
}

fn same(first: &BTreeMap<String, Position>, second: &BTreeMap<String, Position>) {
    let place = |p: &Position| (p.source.dev, p.source.ino, p.source.print, p.offset);
    for (text, position) in first {
        let Some(other) = second.get(text) else { continue };
        assert_eq!(place(position), place(other), "{text}");
    }
    let places: std::collections::BTreeSet<_> = second.values().map(place).collect();
    assert_eq!(places.len(), second.len(), "each line has a position of its own");
}

#[test]
fn a_file_that_grew_gives_the_same_positions() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", format!("{}\ntwo\n", "x".repeat(1000)));
        let first = read(&dir, 2).await;
        let inode = fs::metadata(dir.path("a.log")).unwrap().ino();
        assert!(first.values().all(|p| p.source.ino == inode && p.source.print != 0 && p.source.is_file()));
        assert_eq!(first["tail.0 log=two"].offset, 1001);
        dir.append("a.log", "three\n");
        same(&first, &read(&dir, 3).await);
        // A short first line; the file is renamed.
        dir.write("b", "1\n");
        dir.rename("b", "a.log");
        let first = read(&dir, 1).await;
        dir.append("a.log", "2\nun");
        let second = read(&dir, 2).await;
        same(&first, &second);
        dir.rename("a.log", "a.log.1");
        dir.append("a.log.1", "finished\n");
        same(&second, &read(&dir, 3).await);
    });
}

#[test]
fn each_line_at_a_time_or_all_at_once() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "");
        let lab = Lab::start(&dir, &[("path", "{}/a.log"), HEAD]);
        for n in 0..3 {
            for part in ["a ", "line ", &format!("{n}\n")] {
                dir.append("a.log", part);
                crate::rt::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
        lab.expect_count(3).await;
        let slowly = lab.positions();
        lab.stop().await;
        same(&slowly, &read(&dir, 3).await);
    });
}

#[test]
fn a_file_begun_anew_is_another_whatever_it_holds() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "tick\nold\n");
        let lab = Lab::start(&dir, &[("path", "{}/a.log"), HEAD]);
        lab.expect_count(2).await;
        fs::remove_file(dir.path("a.log")).unwrap();
        crate::rt::sleep(std::time::Duration::from_millis(50)).await;
        dir.write("a.log", "tick\nnew\n");
        lab.expect_count(4).await;
        let prints: Vec<u64> = lab.notes.positions.borrow().iter().map(|p| p.source.print).collect();
        lab.stop().await;
        assert!(prints[0] == prints[1] && prints[2] == prints[3] && prints[1] != prints[2], "{prints:?}");
    });
}

#[test]
fn what_is_written_anew_has_other_positions() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "old first\nline\n");
        let lab = Lab::start(&dir, &[("path", "{}/a.log"), HEAD]);
        lab.expect_count(2).await;
        dir.write("a.log", "new first\nthe line\n");
        lab.expect_count(4).await;
        let p = lab.positions();
        lab.stop().await;
        let print = |text: &str| p[&format!("tail.0 log={text}")].source.print;
        assert_eq!((print("old first"), print("new first")), (print("line"), print("the line")));
        assert_ne!(print("old first"), print("new first"));
        same(&p, &read(&dir, 2).await);
    });
}

#[test]
fn reading_on_in_a_copy_gives_positions_of_the_file_itself() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "the first line of it\n");
        let lab = Lab::start(&dir, &[("path", "{}/a.log"), HEAD]);
        lab.expect_count(1).await;
        dir.append("a.log", "second\n");
        fs::copy(dir.path("a.log"), dir.path("a.log.1")).unwrap();
        dir.write("a.log", "third\n");
        lab.expect_count(3).await;
        let p = lab.positions();
        lab.stop().await;
        let [first, second, third] = ["the first line of it", "second", "third"].map(|t| p[&format!("tail.0 log={t}")]);
        assert!(first.source.is_same(&second.source) && second.offset == 21);
        assert!(!first.source.is_same(&third.source) && first.source.ino == third.source.ino);
    });
}

#[test]
fn the_offset_of_a_database_leads_to_the_same_positions() {
    if cfg!(not(feature = "sqlite")) {
        return;
    }
    run(async |dir: Rc<TempDir>| {
        let text: String = (0..50).map(|n| format!("line {n}\n")).collect();
        dir.write("a.log", &text);
        let all = read(&dir, 50).await;
        let keys = [("path", "{}/a.log"), ("db", "{}/t.db"), HEAD];
        dir.write("a.log", &text[..100]);
        let lab = Lab::start(&dir, &keys);
        lab.expect_count(text[..100].matches('\n').count()).await;
        same(&all, &lab.positions());
        lab.stop().await;
        dir.append("a.log", &text[100..]);
        let lab = Lab::start(&dir, &keys);
        lab.expect_count(50 - text[..100].matches('\n').count()).await;
        let rest = lab.positions();
        same(&all, &rest);
        assert!(rest.keys().all(|text| all.contains_key(text)));
        lab.stop().await;
    });
}

#[test]
fn a_last_line_without_an_end_has_the_print_of_what_is_there() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "unfinished");
        let keys = [("path", "{}/a.log"), ("exit_on_eof", "on"), HEAD];
        let mut prints = Vec::new();
        for _ in 0..2 {
            let lab = Lab::start(&dir, &keys);
            lab.expect_count(1).await;
            prints.extend(lab.positions().into_values().map(|p| p.source.print));
            lab.stop().await;
        }
        assert_eq!(prints[0], prints[1]);
        assert_ne!(prints[0], 0);
        // Pieces of a line that is longer than allowed.
        dir.write("a.log", "x".repeat(40));
        let keys = [("path", "{}/a.log"), ("buffer_max_size", "8"), HEAD];
        let lab = Lab::start(&dir, &keys);
        lab.until("a piece", || !lab.notes.records.borrow().is_empty()).await;
        dir.append("a.log", iter::repeat_n('y', 400).collect::<String>() + "\n");
        lab.expect_count(440 / 8).await;
        let sources: Vec<_> = lab.notes.positions.borrow().iter().map(|p| p.source).collect();
        assert!(sources.windows(2).all(|w| w[0].is_same(&w[1])), "{sources:?}");
        lab.stop().await;
    });
}
