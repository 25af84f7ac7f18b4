//! Records of several lines, on real files.

use super::testing::{Lab, TempDir, make, run};
use crate::rt::sleep;
use std::fs;
use std::rc::Rc;
use std::time::Duration;

const HEAD: (&str, &str) = ("read_from_head", "on");
const QUICK: (&str, &str) = ("multiline.parser", "quick");
const PATIENT: (&str, &str) = ("multiline.parser", "patient");

#[test]
fn lines_are_joined_over_reads_and_what_waits_comes_in_time() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "1 a\n b\n");
        let lab = Lab::start(&dir, &[("path", "{}/a.log"), ("tag", "t"), PATIENT, HEAD]);
        sleep(Duration::from_millis(40)).await;
        dir.append("a.log", " c\n2 d\n");
        lab.expect(&["t log=1 a\n b\n c\n"]).await;
        lab.stop().await;
        let lab = Lab::start(&dir, &[("path", "{}/a.log"), ("tag", "t"), QUICK, HEAD]);
        lab.expect(&["t log=1 a\n b\n c\n", "t log=2 d\n"]).await;
        lab.stop().await;
    });
}

#[test]
fn without_a_database_nothing_is_left_behind_at_the_end() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "x\n1 a\n b\n");
        let lab = Lab::start(&dir, &[("path", "{}/a.log"), ("tag", "t"), PATIENT, HEAD]);
        lab.expect_count(1).await;
        assert_eq!(lab.stop().await, ["t log=x\n", "t log=1 a\n b\n"]);
    });
}

#[test]
fn path_and_offset_are_those_of_the_first_line() {
    run(async |dir: Rc<TempDir>| {
        let line = |t: u32, mark: &str, text: &str| format!("2024-01-01T00:00:0{t}Z stdout {mark} {text}\n");
        dir.write("a.log", line(1, "F", "one") + &line(2, "P", "tw") + &line(3, "F", "o") + "no\n");
        let keys =
            [("path", "{}/a.log"), ("path_key", "p"), ("offset_key", "o"), ("multiline.parser", "docker, cri"), HEAD];
        let lab = Lab::start(&dir, &keys);
        let path = dir.path("a.log").to_str().unwrap().to_owned();
        let record = |t: u32, mark: &str, text: &str, o: u32| {
            format!("tail.0 time=2024-01-01T00:00:0{t}Z stream=stdout _p={mark} log={text} p={path} o={o}")
        };
        let want = [record(1, "F", "one", 0), record(2, "P", "two", 34), format!("tail.0 p={path} o=99 log=no")];
        lab.expect(&want.each_ref().map(String::as_str)).await;
        assert_eq!(lab.positions().values().map(|p| p.offset).max(), Some(99));
        lab.stop().await;
    });
}

#[test]
fn the_older_keys() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "x\n1 a\n b\n2 c\n");
        let keys = [
            ("path", "{}/a.log"),
            ("tag", "t"),
            ("multiline", "on"),
            ("parser_firstline", "dated"),
            ("parser_1", "json"),
            ("multiline_flush", "0.1"),
            HEAD,
        ];
        let lab = Lab::start(&dir, &keys);
        lab.expect(&["t log=x", "t day=1 text=a\n b", "t day=2 text=c"]).await;
        dir.append("a.log", "3 d\n{\"k\":\"v\"}\n");
        lab.expect_count(4).await;
        assert_eq!(lab.stop().await[3], "t day=3 text=d k=v");
    });
}

#[test]
fn a_program_that_goes_on_in_the_next_file_is_understood() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "2024-01-01T00:00:01Z stdout P one\n2024-01-01T00:00:02Z stderr F x\n");
        let lab = Lab::start(&dir, &[("path", "{}/a.log"), ("tag", "t"), ("multiline.parser", "cri"), HEAD]);
        lab.expect_count(1).await;
        fs::rename(dir.path("a.log"), dir.path("a.log.1")).unwrap();
        dir.write("a.log", "2024-01-01T00:00:03Z stdout F two\n");
        lab.expect_count(2).await;
        let got = lab.stop().await;
        assert_eq!(got[1], "t time=2024-01-01T00:00:01Z stream=stdout _p=P log=onetwo");
    });
}

#[test]
fn a_file_that_is_cut_ends_its_records() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "x\n1 some first line that is long\n second line\n");
        let lab = Lab::start(&dir, &[("path", "{}/a.log"), ("tag", "t"), PATIENT, HEAD]);
        lab.expect_count(1).await;
        dir.write("a.log", " x\n2 y\n");
        lab.expect(&["t log=x\n", "t log=1 some first line that is long\n second line\n", "t log= x\n"]).await;
        lab.stop().await;
    });
}

#[test]
fn an_archive_ends_its_records() {
    use flate2::write::GzEncoder;
    use std::io::Write;
    run(async |dir: Rc<TempDir>| {
        let mut gz = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(b"1 a\n b\n2 c\n d\n").unwrap();
        fs::write(dir.path("x.log.gz"), gz.finish().unwrap()).unwrap();
        let lab = Lab::start(&dir, &[("path", "{}/*.gz"), ("tag", "t"), QUICK, HEAD]);
        lab.expect(&["t log=1 a\n b\n", "t log=2 c\n d\n"]).await;
        lab.stop().await;
    });
}

#[test]
fn a_program_that_ends_at_the_end_of_files_leaves_nothing() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", "1 a\n b");
        let keys =
            [("path", "{}/a.log"), ("tag", "t"), ("exit_on_eof", "on"), ("multiline.parser", "java, quick"), HEAD];
        let lab = Lab::start(&dir, &keys);
        lab.until("exit", || lab.notes.code.get() == Some(0)).await;
        assert_eq!(*lab.notes.records.borrow(), ["t log=1 a\n b\n"]);
        lab.stop().await;
    });
}

#[cfg(feature = "sqlite")]
mod remembered {
    use super::*;

    const KEYS: [(&str, &str); 4] = [("path", "{}/a.log"), ("db", "{}/t.db"), ("tag", "t"), HEAD];

    fn keys(parser: &'static str) -> Vec<(&'static str, &'static str)> {
        [&KEYS[..], &[("multiline.parser", parser)]].concat()
    }

    #[test]
    fn what_is_not_complete_is_read_again_whole() {
        run(async |dir: Rc<TempDir>| {
            dir.write("a.log", "1 a\n b\n2 c\n");
            let lab = Lab::start(&dir, &keys("patient"));
            lab.expect_count(1).await;
            assert_eq!(lab.stop().await, ["t log=1 a\n b\n"], "the second may go on");
            dir.append("a.log", " d\n3 e\n");
            let lab = Lab::start(&dir, &keys("patient"));
            lab.expect_count(2).await;
            assert_eq!(lab.stop().await, ["t log=2 c\n d\n", "t log=3 e\n"]);
            assert_eq!(Lab::start(&dir, &keys("patient")).stop().await, [""; 0], "all is delivered");
        });
    }

    /// The offsets that the database has, by name.
    fn rows(dir: &TempDir) -> Vec<(String, i64)> {
        let c = rusqlite::Connection::open(dir.path("t.db")).unwrap();
        let mut all = c.prepare("SELECT name, offset FROM in_tail_files ORDER BY name, offset").unwrap();
        let root = format!("{}/", dir.root().to_str().unwrap());
        let rows = all.query_map([], |r| Ok((r.get::<_, String>(0)?.replace(&root, ""), r.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn a_record_over_two_files_counts_in_both_when_it_is_delivered() {
        let at = |name: &str, offset| (name.to_owned(), offset);
        for (held, want) in [(true, [at("a.log", 0), at("a.log", 0)]), (false, [at("a.log", 34), at("a.log", 66)])] {
            run(async move |dir: Rc<TempDir>| {
                dir.write("a.log", "2024-01-01T00:00:01Z stdout P one\n2024-01-01T00:00:02Z stderr F x\n");
                let lab = Lab::start(&dir, &keys("cri"));
                lab.notes.hold.set(held);
                lab.expect_count(1).await;
                fs::rename(dir.path("a.log"), dir.path("b.log")).unwrap();
                dir.write("a.log", "2024-01-01T00:00:03Z stdout F two\n");
                lab.expect_count(2).await;
                let got = lab.stop().await;
                assert!(got[1].ends_with("log=onetwo"), "{got:?}");
                assert_eq!(rows(&dir), want);
            });
        }
    }
}

#[test]
fn wrong_keys_are_said() {
    let dir = TempDir::new();
    let table: [(&[(&str, &str)], &str); 6] = [
        (&[("multiline.parser", "jav")], "multiline parser 'jav' is not registered\n    Did you mean 'java'?"),
        (&[("multiline", "on")], "Multiline needs Parser_Firstline"),
        (&[("multiline", "on"), ("parser_firstline", "nix")], "parser 'nix' is not registered"),
        (
            &[("multiline", "on"), ("parser_firstline", "dated"), ("parser_x", "json")],
            "unknown configuration property 'parser_x'",
        ),
        (&[("multiline.parser", "cri"), ("docker_mode", "on")], "Multiline.Parser excludes Multiline and Docker_Mode"),
        (
            &[("multiline.parser", "cri"), ("parser", "json")],
            "warning: [input:tail:tail.0] Parser has no effect beside",
        ),
    ];
    for (keys, want) in table {
        let (_, said) = make(&dir, &[&[("path", "/x")][..], keys].concat());
        assert!(said.contains(want), "{keys:?}: {said}");
    }
}
