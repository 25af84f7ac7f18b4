//! Rotation by copying and cutting: what stands in a copy or in the file itself comes, once.

use super::testing::{Lab, TempDir, run};
use crate::rt::sleep;
use std::fs;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

const LIVE: [(&str, &str); 3] = [("path", "{}/a.log"), ("rotate_wait", "0"), HEAD];
const HEAD: (&str, &str) = ("read_from_head", "on");

fn lines(numbers: Range<usize>) -> String {
    numbers.map(|n| format!("line {n:05} of some length\n")).collect()
}

fn copy(dir: &TempDir, to: &str) {
    fs::copy(dir.path("a.log"), dir.path(to)).unwrap();
}

fn cut(dir: &TempDir) {
    fs::File::options().write(true).open(dir.path("a.log")).unwrap().set_len(0).unwrap();
}

/// Times of files are as exact as the system's ticks.
async fn tick() {
    sleep(Duration::from_millis(20)).await;
}

/// Writes, copies and cuts; the reader cannot look in between.
fn generation(dir: &TempDir, numbers: Range<usize>, to: &str) {
    dir.append("a.log", lines(numbers));
    copy(dir, to);
    cut(dir);
}

/// Waits for these lines, each of which has to come once.
async fn expect(lab: &Lab, numbers: Range<usize>) {
    lab.expect_count(numbers.len()).await;
    let mut got = lab.notes.records.borrow().clone();
    got.sort();
    let want: Vec<_> = lines(numbers).lines().map(|l| format!("tail.0 log={l}")).collect();
    assert_eq!(got, want);
}

/// Generations that come and go between two looks; names of copies are made of the number of the rotation.
fn burst(path: &'static str, name: fn(usize) -> String, shift: bool) {
    run(async |dir: Rc<TempDir>| {
        dir.write(&name(900), "an old one\n");
        dir.write("a.log", lines(0..1));
        tick().await;
        let lab = Lab::start(&dir, &[&[("path", path)], &LIVE[1..]].concat());
        // A pattern may lead to the old one too.
        lab.until("a line", || lab.notes.records.borrow().iter().any(|r| r.contains("00000"))).await;
        sleep(Duration::from_millis(30)).await;
        lab.notes.records.borrow_mut().retain(|r| !r.contains("an old one"));
        let mut from = 1;
        for round in 0..4 {
            // What was read so far is part of the first, all of the second, nothing of the third.
            let part = [7, 0, 40, 3][round];
            dir.append("a.log", lines(from..from + part));
            if round != 2 {
                expect(&lab, 0..from + part).await;
            }
            from += part;
            for n in 0..6 {
                let more = if n == 0 && round == 1 { 0 } else { 10 + n };
                if shift {
                    for old in (1..round * 6 + n + 1).rev() {
                        dir.rename(&name(old), &name(old + 1));
                    }
                }
                generation(&dir, from..from + more, &name(if shift { 1 } else { round * 6 + n + 1 }));
                from += more;
            }
            dir.append("a.log", lines(from..from + 5));
            from += 5;
            expect(&lab, 0..from).await;
        }
        lab.stop().await;
    });
}

#[test]
fn generations_between_two_looks_under_ever_new_names() {
    burst("{}/a.log", |n| format!("a.log.{n}"), false);
    burst("{}/a.log", |n| format!("a-{}.log", 20_240_000 + n), false);
}

#[test]
fn generations_between_two_looks_under_names_that_move_on() {
    burst("{}/a.log", |n| format!("a.log.{n}"), true);
}

#[test]
fn generations_between_two_looks_whose_copies_match_too() {
    burst("{}/a.log*", |n| format!("a.log.{n}"), false);
    burst("{}/a.log*", |n| format!("a.log.{n}"), true);
    burst("{}/*.log", |n| format!("a-{}.log", 20_240_000 + n), false);
}

#[test]
fn a_new_file_named_like_a_copy_may_be_none() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "the same head\none\n");
        let lab = Lab::start(&dir, &[("path", "{}/*.log"), HEAD]);
        lab.expect_count(2).await;
        dir.append("a-2.log", "the same head\n");
        sleep(Duration::from_millis(60)).await;
        dir.append("a-2.log", "two\n");
        lab.expect_count(4).await;
        dir.append("a-3.log", "another\n");
        lab.expect_count(5).await;
        dir.append("a-2.log", "three\n");
        lab.expect_count(6).await;
        lab.stop().await;
    });
}

#[test]
fn generations_that_begin_alike() {
    run(async |dir: Rc<TempDir>| {
        let text = |n: usize| "#Version: 1.0\n#Fields: date time\n".to_owned() + &lines(n * 10..n * 10 + 10 - n % 4);
        dir.write("a.log", text(0));
        let lab = Lab::start(&dir, &LIVE);
        lab.expect_count(12).await;
        let mut count = 12;
        for n in 1..12 {
            copy(&dir, &format!("a.log.{n}"));
            cut(&dir);
            dir.append("a.log", text(n));
            count += 2 + 10 - n % 4;
            if n % 5 == 0 {
                lab.expect_count(count).await;
                tick().await;
            }
        }
        lab.expect_count(count).await;
        lab.stop().await;
    });
}

#[test]
fn copies_of_what_was_read_are_not_read() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", lines(0..10));
        let lab = Lab::start(&dir, &LIVE);
        expect(&lab, 0..10).await;
        // One that no cut follows, of a part and of all; then the cut.
        copy(&dir, "a.log.1");
        tick().await;
        dir.append("a.log", lines(10..20));
        copy(&dir, "a.log.2");
        tick().await;
        expect(&lab, 0..20).await;
        copy(&dir, "a.log.bak");
        generation(&dir, 20..20, "a.log.3");
        dir.append("a.log", lines(20..23));
        expect(&lab, 0..23).await;
        // Cut without a copy: nothing is read again.
        cut(&dir);
        dir.append("a.log", lines(23..24));
        expect(&lab, 0..24).await;
        lab.stop().await;
    });
}

#[test]
fn what_nobody_can_know_is_said() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", lines(0..10));
        let lab = Lab::start(&dir, &LIVE);
        expect(&lab, 0..10).await;
        // One name for all copies: those between are gone, the last one is not known as a copy yet.
        for n in 1..4 {
            generation(&dir, n * 10..n * 10 + 10, "a.log.1");
        }
        lab.until("a complaint", || !lab.notes.complaints.borrow().is_empty()).await;
        let said = lab.notes.complaints.borrow().concat();
        assert!(said.contains("a.log' was cut") && said.contains("no copy") && said.contains("(1 times"), "{said}");
        lab.notes.complaints.borrow_mut().clear();
        // A cut without a copy, of something that was seen but not read.
        dir.append("a.log", lines(0..3) + "half a line");
        lab.until("the lines", || lab.notes.records.borrow().iter().filter(|r| r.contains("00002")).count() == 2).await;
        sleep(Duration::from_millis(50)).await;
        cut(&dir);
        lab.until("another one", || !lab.notes.complaints.borrow().is_empty()).await;
        let said = lab.notes.complaints.borrow().concat();
        assert!(said.contains("at least 11 bytes") && said.contains("(2 times"), "{said}");
        lab.stop().await;
    });
}

#[test]
fn one_name_for_all_copies() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log.1", "an old one\n");
        dir.write("a.log", lines(0..10));
        let lab = Lab::start(&dir, &LIVE);
        expect(&lab, 0..10).await;
        for n in 1..10 {
            // Overwritten in place, again and again, each time before the next look.
            generation(&dir, n * 10..n * 10 + 10, "a.log.1");
            expect(&lab, 0..n * 10 + 10).await;
        }
        lab.stop().await;
    });
}

#[test]
fn copies_deleted_before_their_turn() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", lines(0..10));
        let lab = Lab::start(&dir, &LIVE);
        expect(&lab, 0..10).await;
        lab.notes.room.set(false);
        for n in 1..30 {
            generation(&dir, n * 10..n * 10 + 10, &format!("a.log.{n}"));
            sleep(Duration::from_millis(5)).await;
            if n > 3 {
                fs::remove_file(dir.path(&format!("a.log.{}", n - 3))).unwrap();
            }
        }
        lab.resume();
        expect(&lab, 0..300).await;
        lab.stop().await;
    });
}

#[test]
fn a_link_to_the_file() {
    run(async |dir: Rc<TempDir>| {
        dir.write("d/x", "");
        dir.write("a.log", lines(0..10));
        std::os::unix::fs::symlink(dir.path("a.log"), dir.path("d/link.log")).unwrap();
        let lab = Lab::start(&dir, &[("path", "{}/d/*.log"), HEAD]);
        expect(&lab, 0..10).await;
        lab.notes.room.set(false);
        for n in 1..4 {
            generation(&dir, n * 10..n * 10 + 10, &format!("a.log.{n}"));
            sleep(Duration::from_millis(5)).await;
        }
        fs::remove_file(dir.path("a.log.1")).unwrap();
        lab.resume();
        expect(&lab, 0..40).await;
        lab.stop().await;
    });
}

#[cfg(feature = "sqlite")]
mod remembered {
    use super::*;

    const KEYS: [(&str, &str); 4] = [("path", "{}/a.log"), ("rotate_wait", "0"), HEAD, ("db", "{}/t.db")];

    #[test]
    fn cut_while_stopped() {
        for at in [0, 1, 10] {
            run(async |dir: Rc<TempDir>| {
                dir.write("a.log", "");
                dir.write("a.log.0", "an old one\n");
                tick().await;
                dir.append("a.log", lines(0..at));
                let lab = Lab::start(&dir, &KEYS);
                expect(&lab, 0..at).await;
                lab.stop().await;
                tick().await;
                for n in 0..4 {
                    generation(&dir, at + n * 10..at + n * 10 + 10, &format!("a.log.{}", n + 1));
                }
                dir.append("a.log", lines(at + 40..at + 45));
                let lab = Lab::start(&dir, &KEYS);
                lab.expect_count(45).await;
                sleep(Duration::from_millis(50)).await;
                let mut got = lab.stop().await;
                got.sort();
                let want: Vec<_> = lines(at..at + 45).lines().map(|l| format!("tail.0 log={l}")).collect();
                assert_eq!(got, want, "{at}");
                // Nothing of it comes again.
                let lab = Lab::start(&dir, &KEYS);
                lab.expect_count(0).await;
                lab.stop().await;
            });
        }
    }

    #[test]
    fn what_was_not_delivered_before_a_cut_comes_again_at_the_same_positions() {
        run(async |dir: Rc<TempDir>| {
            dir.write("a.log", lines(0..10));
            let lab = Lab::start(&dir, &KEYS);
            lab.notes.hold.set(true);
            expect(&lab, 0..10).await;
            dir.append("a.log", lines(10..20));
            expect(&lab, 0..20).await;
            // The first ten are delivered; the rest is on its way when the file is cut.
            drop(lab.notes.held.borrow_mut().remove(0));
            generation(&dir, 20..30, "a.log.1");
            generation(&dir, 30..40, "a.log.2");
            dir.append("a.log", lines(40..50));
            expect(&lab, 0..50).await;
            let first = lab.positions();
            sleep(Duration::from_millis(150)).await;
            lab.stop().await;
            let lab = Lab::start(&dir, &KEYS);
            lab.expect_count(40).await;
            let second = lab.positions();
            lab.stop().await;
            for (text, position) in &second {
                let before = first[text];
                assert!(before.source.is_same(&position.source) && before.offset == position.offset, "{text}");
            }
            assert!(!second.contains_key("tail.0 log=line 00009 of some length"));
        });
    }
}
