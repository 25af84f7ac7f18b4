//! The systemd input beside real journals: written by systemd-journal-remote, compared with what journalctl reads.
//! Skipped, with a line, where they are not installed.

use crate::lab::{Lab, Proc, skip};
use serde_json::{Map, Value};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const REMOTE: &str = "/lib/systemd/systemd-journal-remote";

fn installed() -> bool {
    let journalctl = Command::new("journalctl").arg("--version").output().is_ok_and(|o| o.status.success());
    if !journalctl || !Path::new(REMOTE).exists() {
        skip("journalctl or systemd-journal-remote is not here (scripts/setup.sh test installs them)");
        return false;
    }
    true
}

/// Fields of one entry.
type Fields = Vec<(String, Vec<u8>)>;

/// Entry `n` of a load: several units, long texts, names that repeat, bytes that are no text.
fn entry(n: u64) -> Fields {
    let mut fields = vec![
        ("_HOSTNAME".into(), b"host".to_vec()),
        ("PRIORITY".into(), (n % 8).to_string().into_bytes()),
        ("_PID".into(), (n * 7919 % 30_000).to_string().into_bytes()),
        ("MESSAGE".into(), format!("message {n} {}", "long text, ".repeat((n % 90) as usize)).into_bytes()),
        ("N".into(), n.to_string().into_bytes()),
    ];
    if !n.is_multiple_of(4) {
        fields.push(("_SYSTEMD_UNIT".into(), format!("unit{}.service", n % 4).into_bytes()));
    }
    if n.is_multiple_of(10) {
        fields.push(("MULTI".into(), b"a".to_vec()));
        fields.push(("MULTI".into(), format!("b{n}").into_bytes()));
    }
    if n % 50 == 7 {
        let bytes = (0..n % 5000).map(|i| ((i * n * 31) >> 3) as u8).collect();
        fields.push(("BINARY".into(), bytes));
        fields.push(("LINES".into(), b"one\ntwo \"quoted\"\n".to_vec()));
    }
    fields
}

/// In the export format, <https://systemd.io/JOURNAL_EXPORT_FORMATS/>.
fn export(entries: std::ops::Range<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    for n in entries {
        let boot = if n < 1500 { "11111111111111111111111111111111" } else { "22222222222222222222222222222222" };
        let head = format!(
            "__REALTIME_TIMESTAMP={}\n__MONOTONIC_TIMESTAMP={}\n_BOOT_ID={boot}\n",
            1_700_000_000_000_000 + n * 1111,
            1000 + n * 1111
        );
        out.extend_from_slice(head.as_bytes());
        for (name, value) in entry(n) {
            out.extend_from_slice(name.as_bytes());
            if std::str::from_utf8(&value).is_ok_and(|v| v.chars().all(|c| c >= ' ')) {
                out.push(b'=');
            } else {
                out.push(b'\n');
                out.extend_from_slice(&(value.len() as u64).to_le_bytes());
            }
            out.extend_from_slice(&value);
            out.push(b'\n');
        }
        out.push(b'\n');
    }
    out
}

/// Has entries appended to a journal file, which is made when it is not there.
fn write(lab: &Lab, file: &Path, entries: std::ops::Range<u64>, compact: bool, keyed: bool) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let text = lab.write("export", export(entries));
    let switch = |on: bool| if on { "1" } else { "0" };
    let done = Command::new(REMOTE)
        .args([Path::new("-o"), file, &text])
        .env("SYSTEMD_JOURNAL_COMPACT", switch(compact))
        .env("SYSTEMD_JOURNAL_KEYED_HASH", switch(keyed))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// What journalctl reads from a folder: each entry's fields, without those that are about the entry.
fn truth(folder: &Path, args: &[&str]) -> Vec<Map<String, Value>> {
    let out =
        Command::new("journalctl").arg("-D").arg(folder).args(["-o", "json", "--all"]).args(args).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().map(|l| strip(serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}")))).collect()
}

fn strip(mut entry: Map<String, Value>) -> Map<String, Value> {
    entry.retain(|name, _| !name.starts_with("__"));
    entry
}

/// The records on stdout.
fn records(text: &str) -> Vec<Map<String, Value>> {
    text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

fn conf(folder: &Path, keys: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.05\n    Grace 3\n[INPUT]\n    Name systemd\n    Path {}\n{keys}[OUTPUT]\n    Name stdout\n    Match *\n    \
         Format json_lines\n    Json_Date_Key false\n",
        folder.display()
    )
}

fn numbers(records: &[Map<String, Value>]) -> Vec<u64> {
    records.iter().map(|r| r["N"].as_str().unwrap().parse().unwrap()).collect()
}

fn wait_records(run: &mut Proc, n: usize) {
    run.wait_for("all records", |run| run.stdout().lines().count() >= n);
}

/// Files of every shape that this systemd writes, several MB together: every field of every entry, and the order.
#[test]
fn entries_are_what_journalctl_reads() {
    if !installed() {
        return;
    }
    let lab = Lab::new("journal-shapes");
    for (compact, keyed) in [(false, false), (true, true), (false, true)] {
        let folder = lab.path(&format!("journal-{compact}-{keyed}"));
        write(&lab, &folder.join("a.journal"), 0..3000, compact, keyed);
        let want = truth(&folder, &[]);
        assert_eq!(want.len(), 3000);
        let mut run = lab.start(&conf(&folder, ""));
        wait_records(&mut run, want.len());
        let got = records(&run.term().code(0).stdout);
        assert_eq!(got.len(), want.len());
        let mut binary = 0;
        for (got, want) in got.iter().zip(&want) {
            assert_eq!(got.len(), want.len(), "{got:?}\n{want:?}");
            for (name, value) in want {
                // Bytes that are no text stand as numbers there; here they cannot stand in JSON as they are.
                if name == "BINARY" {
                    binary += 1;
                    continue;
                }
                assert_eq!(&got[name], value, "{name}");
            }
        }
        assert!(binary > 50);
    }
}

#[test]
fn tags_filters_and_names() {
    if !installed() {
        return;
    }
    let lab = Lab::new("journal-tags");
    let folder = lab.path("journal");
    write(&lab, &folder.join("0123456789abcdef0123456789abcdef/a.journal"), 0..100, true, true);
    let keys = "    Tag host.*\n    Lowercase On\n    Strip_Underscores On\n    Max_Entries 7\n";
    let text = conf(&folder, keys).replace("Json_Date_Key false", "Json_Date_Key date\n    Json_Date_Format epoch_ms");
    let marks = ["unknown", "unit2.service"]
        .map(|unit| format!("[FILTER]\n    Name record_modifier\n    Match host.{unit}\n    Record tagged {unit}\n"));
    let mut run = lab.start(&text.replace("[OUTPUT]", &format!("{}[OUTPUT]", marks.concat())));
    wait_records(&mut run, 100);
    let got = records(&run.term().code(0).stdout);
    assert_eq!(got.len(), 100);
    for record in &got {
        let unit = record.get("systemd_unit").map_or("unknown", |unit| unit.as_str().unwrap());
        let tagged = record.get("tagged").map(|unit| unit.as_str().unwrap());
        assert_eq!(tagged, ["unknown", "unit2.service"].into_iter().find(|u| *u == unit), "{record:?}");
    }
    let first = got.iter().find(|r| r["n"] == "1").unwrap();
    let names: Vec<&str> = first.keys().map(String::as_str).collect();
    assert!(names.contains(&"boot_id") && names.contains(&"hostname") && names.len() == 8, "{names:?}");
    assert_eq!(first["date"], 1_700_000_000_001u64);
    let mut run = lab.start(&conf(&folder, "    Max_Fields 3\n"));
    wait_records(&mut run, 100);
    assert!(records(&run.term().code(0).stdout).iter().all(|record| record.len() == 3));

    let matching = |keys: &str, args: &[&str]| {
        let want = numbers(&truth(&folder, args));
        let mut run = lab.start(&conf(&folder, keys));
        wait_records(&mut run, want.len());
        assert_eq!(numbers(&records(&run.term().code(0).stdout)), want, "{keys}");
        assert!(!want.is_empty());
    };
    let both = "    Systemd_Filter _SYSTEMD_UNIT=unit2.service\n    Systemd_Filter PRIORITY=2\n";
    matching(both, &["_SYSTEMD_UNIT=unit2.service", "+", "PRIORITY=2"]);
    matching(&format!("{both}    Systemd_Filter_Type And\n"), &["_SYSTEMD_UNIT=unit2.service", "PRIORITY=2"]);
}

/// Growing files, several of them, renamed as journald does when it rotates; kills and restarts: the DB goes on where
/// delivery stood.
#[cfg(feature = "sqlite")]
#[test]
fn growing_and_rotated_files_are_followed() {
    if !installed() {
        return;
    }
    let lab = Lab::new("journal-follow");
    let folder = lab.path("journal");
    let live: PathBuf = folder.join("system.journal");
    write(&lab, &live, 0..200, true, true);
    let keys = "    DB j.db\n    Max_Entries 50\n";
    let mut run = lab.start(&conf(&folder, keys));
    wait_records(&mut run, 200);
    write(&lab, &live, 200..300, true, true);
    wait_records(&mut run, 300);
    // Rotated, and a new one in its place.
    fs::rename(&live, folder.join("system@1.journal")).unwrap();
    write(&lab, &live, 300..400, true, true);
    wait_records(&mut run, 400);
    write(&lab, &folder.join("user.journal"), 400..500, false, true);
    wait_records(&mut run, 500);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let mut seen = numbers(&records(&run.stdout()));
    run.kill();
    // While nobody reads: growth, and another rotation.
    write(&lab, &live, 500..600, true, true);
    fs::rename(&live, folder.join("system@2.journal")).unwrap();
    write(&lab, &live, 600..700, true, true);
    let mut run = lab.start(&conf(&folder, keys));
    run.wait_for("the rest", |run| run.stdout().contains("\"N\":\"699\""));
    fs::remove_file(folder.join("system@1.journal")).unwrap();
    write(&lab, &live, 700..800, true, true);
    run.wait_for("the end", |run| run.stdout().contains("\"N\":\"799\""));
    seen.extend(numbers(&records(&run.term().code(0).stdout)));
    assert_eq!(seen.len(), 800, "what is delivered is not read again");
    seen.sort_unstable();
    assert_eq!(seen, (0..800).collect::<Vec<_>>());
    // Fluent Bit's table, with a cursor that journalctl understands.
    let db = rusqlite::Connection::open(lab.path("j.db")).unwrap();
    let cursor: String = db.query_row("SELECT cursor FROM in_systemd_cursor", [], |row| row.get(0)).unwrap();
    let after = truth(&folder, &["--cursor", &cursor]);
    assert_eq!(numbers(&after).first(), Some(&799));
    drop(db);

    // A database with a cursor alone, as Fluent Bit leaves it.
    let at = truth_cursor(&folder, 650);
    fs::remove_file(lab.path("j.db")).unwrap();
    let db = rusqlite::Connection::open(lab.path("j.db")).unwrap();
    db.execute_batch(&format!(
        "CREATE TABLE in_systemd_cursor (cursor TEXT NOT NULL, updated INTEGER);
         INSERT INTO in_systemd_cursor VALUES ('{at}', 1);"
    ))
    .unwrap();
    drop(db);
    let mut run = lab.start(&conf(&folder, keys));
    run.wait_for("the end", |run| run.stdout().contains("\"N\":\"799\""));
    let got = numbers(&records(&run.term().code(0).stdout));
    assert!(got.contains(&651) && got.contains(&799) && !got.contains(&650) && !got.contains(&600), "{got:?}");
}

/// The cursor of entry `n`.
fn truth_cursor(folder: &Path, n: u64) -> String {
    let out = Command::new("journalctl")
        .arg("-D")
        .arg(folder)
        .args(["-o", "json", "--all", &format!("N={n}")])
        .output()
        .unwrap();
    let entry: Value = serde_json::from_slice(&out.stdout).unwrap();
    entry["__CURSOR"].as_str().unwrap().to_owned()
}

#[test]
fn new_entries_alone() {
    if !installed() {
        return;
    }
    let lab = Lab::new("journal-tail");
    let folder = lab.path("journal");
    let live = folder.join("system.journal");
    write(&lab, &live, 0..50, true, true);
    let mut run = lab.start(&conf(&folder, "    Read_From_Tail On\n"));
    run.wait_stderr("reading ");
    write(&lab, &live, 50..60, true, true);
    wait_records(&mut run, 10);
    assert_eq!(numbers(&records(&run.term().code(0).stdout)), (50..60).collect::<Vec<_>>());
}

/// A damaged file costs its damaged entries; the one beside it is read in full.
#[test]
fn damaged_files() {
    if !installed() {
        return;
    }
    let lab = Lab::new("journal-damage");
    let folder = lab.path("journal");
    write(&lab, &folder.join("good.journal"), 0..300, true, true);
    write(&lab, &folder.join("bad.journal"), 1000..1300, true, true);
    lab.write("journal/none.journal", vec![b'x'; 4096]);
    let bad = folder.join("bad.journal");
    let mut bytes = fs::read(&bad).unwrap();
    let used = bytes.iter().rposition(|b| *b != 0).unwrap();
    for at in (used / 2..used).step_by(997) {
        bytes[at] ^= 0xFF;
    }
    fs::write(&bad, bytes).unwrap();
    let mut run = lab.start(&conf(&folder, ""));
    run.wait_for("the good ones", |run| {
        run.stdout().contains("\"N\":\"299\"") && run.stderr().contains("none.journal")
    });
    run.wait_stderr("bad.journal");
    std::thread::sleep(std::time::Duration::from_millis(500));
    let done = run.term().code(0).says(&["it is no journal"]);
    let got = records(&done.stdout);
    let good = got.iter().filter_map(|r| r.get("N")?.as_str()?.parse::<u64>().ok()).filter(|n| *n < 300).count();
    assert_eq!(good, 300);
}
