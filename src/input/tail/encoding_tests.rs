//! The whole input on files in other encodings.

use super::testing::{Lab, TempDir, make, run};
use crate::rt::sleep;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

const HEAD: (&str, &str) = ("read_from_head", "on");
const AUTO: (&str, &str) = ("unicode.encoding", "auto");

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn each_file_by_its_own_mark_and_rotation() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", wide("\u{feff}é1\n"));
        dir.write("b.log", "é2\n");
        let lab = Lab::start(&dir, &[("path", "{}/*.log"), ("rotate_wait", "0.1"), ("tag", "t"), AUTO, HEAD]);
        lab.expect(&["t log=é1", "t log=é2"]).await;
        dir.append("a.log", wide("é3\n"));
        lab.expect_count(3).await;
        dir.append("a.log", wide("é4\nlast"));
        dir.rename("a.log", "a.log.1");
        dir.write("a.log", b"\xfe\xff\0n\0e\0w\0\n");
        lab.expect_count(6).await;
        let mut got = lab.stop().await;
        got.sort();
        assert_eq!(got, ["t log=last", "t log=new", "t log=é1", "t log=é2", "t log=é3", "t log=é4"]);
    });
}

#[test]
fn from_the_end_and_in_a_code_page() {
    run(async |dir: Rc<TempDir>| {
        dir.write("a.log", wide("\u{feff}old\nunfin"));
        dir.write("b.log", wide("\u{feff}old\nॊ"));
        let lab = Lab::start(&dir, &[("path", "{}/*.log"), ("tag", "t"), AUTO]);
        sleep(Duration::from_millis(30)).await;
        dir.append("a.log", wide("ished\n"));
        lab.expect(&["t log=unfinished"]).await;
        dir.append("b.log", wide("!\n"));
        lab.expect(&["t log=unfinished", "t log=ॊ!"]).await;
        lab.stop().await;
        dir.write("c.txt", b"\x93\xfa\x96{\r\n\n");
        let keys = [("path", "{}/c.txt"), ("tag", "t"), ("generic.encoding", "sjis"), ("skip_empty_lines", "on"), HEAD];
        let lab = Lab::start(&dir, &keys);
        lab.expect(&["t log=日本"]).await;
        lab.stop().await;
    });
}

#[test]
fn wrong_values_are_said() {
    let dir = TempDir::new();
    let said = |keys: &[(&str, &str)]| {
        let (input, said) = make(&dir, &[&[("path", "/x")], keys].concat());
        assert!(input.is_none());
        said
    };
    assert!(
        said(&[("generic.encoding", "Win1525")]).contains("did you mean"),
        "{}",
        said(&[("generic.encoding", "Win1525")])
    );
    assert!(said(&[AUTO, ("generic.encoding", "SJIS")]).contains("exclude each other"));
}

#[cfg(feature = "sqlite")]
#[test]
fn a_restart_goes_on_in_the_encoded_file() {
    run(async |dir: Rc<TempDir>| {
        let keys = [
            ("path", "{}/a.log"),
            ("tag", "t"),
            ("db", "{}/p.db"),
            ("offset_key", "o"),
            ("refresh_interval", "1"),
            AUTO,
            HEAD,
        ];
        dir.write("a.log", wide("\u{feff}é1\né2\nhal"));
        let lab = Lab::start(&dir, &keys);
        lab.expect(&["t o=2 log=é1", "t o=8 log=é2"]).await;
        lab.stop().await;
        dir.append("a.log", wide("f\né3\n"));
        let lab = Lab::start(&dir, &keys);
        lab.expect(&["t o=14 log=half", "t o=24 log=é3"]).await;
        lab.stop().await;
    });
}

fn sample(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/logs/encoding").join(name);
    if !path.exists() {
        println!("skipped: no {}", path.display());
    }
    path.exists().then_some(path)
}

#[test]
fn samples() {
    let generic = [
        ("big5", "Big5"),
        ("gbk", "GBK"),
        ("sjis", "ShiftJIS"),
        ("win1250", "Win1250"),
        ("win1252", "Windows-1252"),
        ("win1255", "CP1255"),
        ("win866", "Win866"),
        ("win874", "Win874"),
    ]
    .map(|(file, name)| (format!("fluent-bit-log-generic_enc_{file}.log"), ("generic.encoding", name)));
    let unicode = ["be_c", "be_j", "subdivision_flags", "subdivision_flags_be"]
        .map(|file| (format!("fluent-bit-log-unicode_{file}.log"), AUTO));
    for (file, key) in generic.into_iter().chain(unicode) {
        let Some(path) = sample(&file) else { return };
        let label = match key.1 {
            "auto" => "utf-8".to_owned(),
            "Big5" | "GBK" => key.1.to_owned(),
            "ShiftJIS" => "shift_jis".to_owned(),
            "Win866" => "ibm866".to_owned(),
            name => format!("windows-{}", name.trim_start_matches(|c: char| !c.is_ascii_digit())),
        };
        let encoding = encoding_rs::Encoding::for_label(label.as_bytes()).unwrap();
        // `decode` goes by the mark.
        let bytes = std::fs::read(&path).unwrap();
        let (text, _, errors) = encoding.decode(&bytes);
        let want: Vec<String> = text.lines().map(|l| format!("t log={l}")).collect();
        assert!(!errors && !want.is_empty(), "{file}");
        let path = path.to_str().unwrap().to_owned();
        run(async |dir: Rc<TempDir>| {
            let lab = Lab::start(&dir, &[("path", &path), ("tag", "t"), ("exit_on_eof", "on"), key, HEAD]);
            lab.until("exit", || lab.notes.code.get() == Some(0)).await;
            assert_eq!(lab.stop().await, want, "{file}");
        });
    }
}
