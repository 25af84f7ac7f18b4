//! The whole input on compressed files.

use super::testing::{Lab, TempDir, run};
use crate::rt::sleep;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

const HEAD: (&str, &str) = ("read_from_head", "on");

fn gz(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(text.as_ref()).unwrap();
    out.finish().unwrap()
}

#[test]
fn a_file_is_read_whole_and_once() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.gz", [gz("1\n2\r\n"), gz("\nlast")].concat());
        dir.write("b.gz", "no gzip\n");
        dir.write("c.zst", "(\u{b5}/");
        let keys = [("path", "{}/*"), ("tag", "t"), ("offset_key", "o"), ("refresh_interval", "0.1"), HEAD];
        let lab = Lab::start(&dir, &keys);
        let want = ["t o=0 log=1", "t o=2 log=2", "t o=5 log=", "t o=6 log=last"];
        lab.expect(&want).await;
        dir.rename("a.gz", "d.gz");
        sleep(Duration::from_millis(250)).await;
        lab.expect(&want).await;
        lab.stop().await;
    });
}

#[test]
fn at_the_start_only_from_the_head_and_later_ones_always() {
    run(async |dir: Rc<TempDir>| {
        dir.write("old.gz", gz("old\n"));
        let lab = Lab::start(&dir, &[("path", "{}/*"), ("tag", "t")]);
        sleep(Duration::from_millis(50)).await;
        dir.write("new.gz", gz("new\n"));
        lab.expect(&["t log=new"]).await;
        lab.stop().await;
    });
}

#[test]
fn rotated_and_compressed_is_not_read_again() {
    run(async |dir: Rc<TempDir>| {
        dir.write("app.log", "1\n2\n");
        dir.write("app.log.1.gz", gz("0\n"));
        let lab = Lab::start(&dir, &[("path", "{}/app*"), ("tag", "t"), HEAD]);
        lab.expect_count(3).await;
        dir.rename("app.log.1.gz", "app.log.2.gz");
        dir.rename("app.log", "app.log.1");
        dir.write("app.log", "3\n");
        lab.expect_count(4).await;
        dir.write("app.log.1.gz", gz("1\n2\n"));
        std::fs::remove_file(dir.path("app.log.1")).unwrap();
        dir.write("other.app.gz", gz("x\n"));
        dir.write("app-other.gz", gz("4\n"));
        lab.expect_count(5).await;
        let mut got = lab.stop().await;
        got.sort();
        assert_eq!(got, ["t log=0", "t log=1", "t log=2", "t log=3", "t log=4"]);
    });
}

#[test]
fn large_text_in_bounded_steps_with_long_lines() {
    run(async |dir: Rc<TempDir>| {
        let text: String = (0..60_000).map(|n| format!("line {n}\n")).collect();
        dir.write("a.gz", gz(format!("{text}{}\nend\n", "x".repeat(1_000_000))));
        let keys = [("path", "{}/a.gz"), ("tag", "t"), ("skip_long_lines", "on"), ("exit_on_eof", "on"), HEAD];
        let lab = Lab::start(&dir, &keys);
        lab.until("exit", || lab.notes.code.get() == Some(0)).await;
        assert_eq!(lab.notes.lost.get(), 1);
        let want: Vec<String> = text.lines().chain(["end"]).map(|l| format!("t log={l}")).collect();
        assert!(lab.stop().await == want);
    });
}

#[test]
fn one_still_being_written_is_read_to_its_end() {
    run(async |dir: Rc<TempDir>| {
        let whole = gz((0..50_000u32).map(|n| format!("{}\n", n.wrapping_mul(2_654_435_761))).collect::<String>());
        dir.write("a.gz", &whole[..whole.len() / 2]);
        let lab = Lab::start(&dir, &[("path", "{}/a.gz"), ("tag", "t"), HEAD]);
        lab.until("half of it", || lab.notes.records.borrow().len() > 10_000).await;
        dir.append("a.gz", &whole[whole.len() / 2..]);
        lab.until("all of it", || lab.notes.records.borrow().len() >= 50_000).await;
        let got = lab.stop().await;
        assert!(got == (0..50_000u32).map(|n| format!("t log={}", n.wrapping_mul(2_654_435_761))).collect::<Vec<_>>());
    });
}

#[cfg(feature = "encodings")]
#[test]
fn compressed_text_in_another_encoding() {
    run(async |dir: Rc<TempDir>| {
        let text: Vec<u8> = "\u{feff}é\nਊ\nend".encode_utf16().flat_map(u16::to_be_bytes).collect();
        dir.write("a.gz", gz(text));
        let lab = Lab::start(&dir, &[("path", "{}/a.gz"), ("tag", "t"), ("unicode.encoding", "auto"), HEAD]);
        lab.expect(&["t log=é", "t log=ਊ", "t log=end"]).await;
        lab.stop().await;
    });
}

#[cfg(feature = "sqlite")]
#[test]
fn the_database_knows_what_is_delivered() {
    run(async |dir: Rc<TempDir>| {
        dir.write("app.log", "1\n");
        dir.write("old.gz", gz("a\nb\n"));
        let keys = [("path", "{}/*[gz]"), ("tag", "t"), ("db", "{}/p.db"), ("refresh_interval", "0.1"), HEAD];
        // Nothing is acknowledged: all of it again.
        let lab = Lab::start(&dir, &keys);
        lab.notes.hold.set(true);
        lab.expect_count(3).await;
        lab.stop().await;
        let lab = Lab::start(&dir, &keys);
        lab.expect_count(3).await;
        lab.stop().await;
        // Delivered, renamed meanwhile, and a rotated one beside it.
        dir.rename("old.gz", "older.gz");
        dir.rename("app.log", "x");
        dir.write("app.log.1.gz", gz("1\n"));
        dir.write("app.log", "2\n");
        let lab = Lab::start(&dir, &keys);
        lab.expect(&["t log=2"]).await;
        lab.stop().await;
    });
}
