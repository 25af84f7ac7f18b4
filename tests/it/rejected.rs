//! Records that an output never takes: kept with the reason, and sent again.

use crate::lab::{Answer, Done, HttpSink, Lab, Proc, TcpSink, has, refused_port, skip};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A file through `tail` into `es`. Without a DB a second run reads the file once more.
fn conf(service: &str, port: u16, keys: &str) -> String {
    let db = if cfg!(feature = "sqlite") { "    DB pos.db\n" } else { "" };
    format!(
        "[SERVICE]\n    Flush 0.02\n    Grace 2\n    scheduler.base 1\n    scheduler.cap 1\n{service}\
         [INPUT]\n    Name tail\n    Path in.log\n    Tag kube.x\n    Read_from_Head On\n{db}\
         [OUTPUT]\n    Name es\n    Match *\n    Host 127.0.0.1\n    Port {port}\n    Generate_ID On\n{keys}"
    )
}

/// A search engine that refuses documents with `bad` in them, until it is mended.
struct Picky {
    server: HttpSink,
    mended: Arc<AtomicBool>,
}

impl Picky {
    fn new() -> Self {
        let mended = Arc::new(AtomicBool::new(false));
        let ok = mended.clone();
        let server = HttpSink::new(move |request, _| {
            let status = |d: &String| if d.contains("bad") && !ok.load(Ordering::Relaxed) { 400 } else { 201 };
            Answer::bulk(&request.documents().iter().map(status).collect::<Vec<_>>())
        });
        Self { server, mended }
    }

    fn mend(&self) {
        self.mended.store(true, Ordering::Relaxed);
    }

    /// The action lines of the requests with this text in their document.
    fn actions(&self, text: &str) -> Vec<String> {
        let pairs = self.server.requests().into_iter().flat_map(|r| {
            let lines: Vec<String> = r.text().lines().map(str::to_owned).collect();
            lines.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect::<Vec<_>>()
        });
        pairs.filter(|(_, document)| document.contains(text)).map(|(action, _)| action).collect()
    }
}

/// The lines of the file.
fn lines(lab: &Lab, name: &str) -> Vec<Value> {
    lab.read(name).lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

/// Runs the pipeline until the account in `text` can be said, then ends it.
fn run(lab: &Lab, conf: &str, text: &str) -> Done {
    let mut run = lab.start(conf);
    run.wait_stderr(text);
    run.term().code(0)
}

fn replay(lab: &Lab, file: &str) -> Done {
    start_replay(lab, file).wait()
}

fn start_replay(lab: &Lab, file: &str) -> Proc {
    lab.spawn(&["-c", "collector.conf", "--replay-rejected", file])
}

#[test]
fn a_refused_document_is_kept_with_all_that_belongs_to_it_and_sent_again() {
    let lab = Lab::new("rejected-kept");
    let picky = Picky::new();
    lab.write("in.log", b"good 1\nbad \xff line\ngood 2\n");
    let done = run(&lab, &conf("", picky.server.port(), ""), "rejected.ndjson'");
    let reason = "400 mapper_parsing_exception: failed to parse field [n] of type [long]";
    done.says(&[
        &format!("1 record(s) rejected: {reason}; kept in '{}'", lab.path("rejected.ndjson").display()),
        "output es.0: 2 records",
        "1 rejected, 0 dropped, 0 not delivered",
    ]);
    let [line] = &lines(&lab, "rejected.ndjson")[..] else { panic!("{}", lab.show()) };
    let expected = [
        ("output", "es.0"),
        ("input", "tail.0"),
        ("tag", "kube.x"),
        ("reason", reason),
        ("/record/log", "bad \u{e0ff} line"),
    ];
    for (key, value) in expected {
        let found = if key.starts_with('/') { line.pointer(key) } else { line.get(key) };
        assert_eq!(found.and_then(Value::as_str), Some(value), "{key}: {line}");
    }
    let meta = fs::metadata(lab.path("in.log")).unwrap();
    assert_eq!(line["attempts"], 1);
    assert_eq!((line["source"]["inode"].as_u64(), line["source"]["offset"].as_u64()), (Some(meta.ino()), Some(7)));
    assert_eq!(fs::metadata(lab.path("rejected.ndjson")).unwrap().mode() & 0o777, 0o600);
    // Refused again: exit code 2, and a fresh line in a fresh file.
    let first = lab.read("rejected.ndjson");
    let seen = format!("[replay] 0 delivered, 1 refused again (see {})", lab.path("rejected.ndjson").display());
    replay(&lab, "rejected.ndjson").code(2).says(&[&seen]);
    let again = lab.read("rejected.ndjson");
    assert_eq!(again.lines().count(), 1);
    assert_ne!(again, first);
    let rest = |text: &str| text.split_once("\"output\"").unwrap().1.to_owned();
    assert_eq!(rest(&again), rest(&first), "all but the time of the rejection");
    // The server is mended.
    picky.mend();
    replay(&lab, "rejected.ndjson").code(0).says(&["[replay] 1 delivered, 0 refused again"]).silent_about(&["[error]"]);
    assert!(!lab.path("rejected.ndjson").exists() && !lab.path("rejected.ndjson.replaying").exists());
    let actions = picky.actions("bad");
    assert_eq!(actions.len(), 3);
    assert!(actions.iter().all(|a| *a == actions[0] && a.contains("_id")), "the same document: {actions:?}");
    assert_eq!(picky.server.documents().len(), 5);
}

#[test]
fn what_runs_out_of_attempts_is_kept() {
    let lab = Lab::new("rejected-retries");
    let (_held, port) = refused_port();
    lab.write("in.log", "one\ntwo\n");
    let done = run(&lab, &conf("", port, "    Retry_Limit 1\n"), "rejected.ndjson'");
    done.says(&["2 record(s) given up after 2 attempt(s) (Retry_Limit)", "2 rejected, 0 dropped, 0 not delivered"]);
    let kept = lines(&lab, "rejected.ndjson");
    assert_eq!(kept.iter().map(|l| l["record"]["log"].as_str().unwrap()).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(kept[1]["attempts"], 2);
    let reason = kept[1]["reason"].as_str().unwrap();
    assert!(reason.starts_with("given up after 2 attempts (Retry_Limit): "), "{reason}");
    assert!(reason.contains("refused"), "{reason}");
}

#[test]
fn keeping_can_be_turned_off() {
    for key in ["storage.keep.rejected off", "storage.rejected.path off"] {
        let lab = Lab::new("rejected-off");
        let picky = Picky::new();
        lab.write("in.log", "bad\n");
        run(&lab, &conf(&format!("    {key}\n"), picky.server.port(), ""), "record(s) dropped: 400 mapper")
            .says(&["0 rejected, 1 dropped, 0 not delivered"]);
        assert!(!lab.path("rejected.ndjson").exists() && !lab.path("off").exists());
    }
}

#[test]
fn the_file_is_where_the_configuration_says() {
    let table = [
        ("    storage.path store\n", "store/rejected.ndjson"),
        ("    storage.path store\n    storage.rejected.path rejected/\n", "store/rejected/rejected.ndjson"),
        ("    storage.rejected.path deep/down/letters\n", "deep/down/letters"),
    ];
    for (service, path) in table {
        let lab = Lab::new("rejected-path");
        let picky = Picky::new();
        lab.write("in.log", "bad\n");
        let text = conf(service, picky.server.port(), "");
        run(&lab, &text, &format!("kept in '{}'", lab.path(path).display()));
        assert_eq!(lines(&lab, path).len(), 1);
        // A chunk folder does not mind it, and the pipeline may run while it is sent again.
        picky.mend();
        let mut main = lab.start(&text);
        lab.append("in.log", "good\n");
        main.wait_for("the next line", |_| picky.actions("good").len() == 1);
        replay(&lab, path).code(0).says(&["[replay] 1 delivered, 0 refused again"]);
        main.term().code(0).silent_about(&["[ warn] [storage]", "[error]"]);
    }
}

#[test]
fn what_cannot_be_kept_is_said_and_holds_nothing_up() {
    let table = [
        // The parent of the file is a file.
        ("    storage.rejected.path in.log/x\n", "(storage.rejected.path): Not a directory", 0, 2),
        ("    storage.rejected.path /dev/null\n", "(storage.rejected.path): it is no ordinary file", 0, 2),
        (
            "    storage.rejected.limit 600\n",
            "(storage.rejected.path): it would grow past storage.rejected.limit (600 bytes)",
            1,
            1,
        ),
    ];
    for (service, why, kept, dropped) in table {
        let lab = Lab::new("rejected-unwritable");
        let picky = Picky::new();
        lab.write("in.log", "bad 1\n");
        let mut run = lab.start(&conf(service, picky.server.port(), ""));
        run.wait_for("the first rejection", |_| picky.actions("bad 1").len() == 1);
        lab.append("in.log", "bad 2\ngood\n");
        run.wait_stderr(why);
        run.wait_for("the good line", |_| picky.actions("good").len() == 1);
        run.term().code(0).says(&[
            "record(s) dropped: 400 mapper_parsing_exception: failed to parse field [n] of type [long]; they cannot be kept in '",
            "output es.0: 1 records, ",
            &format!("{kept} rejected, {dropped} dropped, 0 not delivered"),
        ]);
    }
}

#[test]
fn a_full_disk_leaves_whole_lines_only() {
    let lab = Lab::new("rejected-full");
    let can = std::process::Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|s| s.success());
    if !can {
        return skip("mounts of one's own need more rights");
    }
    let picky = Picky::new();
    let big = "x".repeat(3000);
    lab.write("in.log", format!("bad 1\nbad 2 {big}\nbad 3 {big}\n"));
    fs::create_dir(lab.path("disk")).unwrap();
    lab.write(
        "collector.conf",
        conf("    storage.rejected.path disk/r\n", picky.server.port(), "")
            .replace("Read_from_Head On", "Read_from_Head On\n    Buffer_Chunk_Size 32k"),
    );
    // Room for one page: half of the lines would fit.
    let script = "mount -t tmpfs -o size=4k none disk && \"$@\"; cp disk/r rejected.ndjson";
    let mut run = lab.command(&["-c", "collector.conf"]).through(&["unshare", "-m", "sh", "-c", script, "sh"]).start();
    run.wait_stderr("No space left on device");
    // The shell waits for the program.
    let pid = child_of(run.pid());
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    run.wait().says(&["3 record(s) dropped", "0 rejected, 3 dropped"]);
    assert!(lab.read("rejected.ndjson").is_empty(), "{}", lab.show());
}

/// The only child of a process.
fn child_of(pid: u32) -> rustix::process::Pid {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    rustix::process::Pid::from_raw(text.split_whitespace().next().unwrap().parse().unwrap()).unwrap()
}

#[test]
fn an_interrupted_replay_goes_on_where_it_was() {
    let lab = Lab::new("rejected-interrupted");
    let picky = Picky::new();
    let (_held, port) = refused_port();
    let tcp = format!("[OUTPUT]\n    Name tcp\n    Match *\n    Host 127.0.0.1\n    Port {port}\n    Retry_Limit 1\n");
    lab.write("in.log", "bad 1\nbad 2\n");
    let mut first = lab.start(&(conf("", picky.server.port(), "") + &tcp));
    first.wait_for("both outputs' lines", |_| lab.read("rejected.ndjson").lines().count() == 4);
    first.term().code(0);
    lab.write("collector.conf", conf("", picky.server.port(), "") + &tcp.replace("Retry_Limit 1", "Retry_Limit False"));
    picky.mend();
    let mut second = start_replay(&lab, "rejected.ndjson");
    second.wait_for("the documents", |_| picky.actions("bad").len() == 4);
    second.wait_stderr("retry in");
    let path = lab.path("rejected.ndjson.replaying");
    second
        .term()
        .code(2)
        .says(&[
            "[replay] 2 delivered, 0 refused again",
            "2 line(s) are left in 'rejected.ndjson.replaying'; go on with --replay-rejected rejected.ndjson.replaying",
        ])
        .silent_about(&["others have lost them"]);
    let left = lines(&lab, "rejected.ndjson.replaying");
    assert_eq!(left.iter().map(|l| l["output"].as_str().unwrap()).collect::<Vec<_>>(), ["tcp.0", "tcp.0"]);
    // A new file is not mixed with it.
    lab.write("rejected.ndjson", "");
    replay(&lab, "rejected.ndjson").code(1).says(&["is left from an interrupted run"]);
    let sink = TcpSink::at(port);
    replay(&lab, "rejected.ndjson.replaying").code(0).says(&["[replay] 2 delivered, 0 refused again"]);
    lab.wait("the lines at the sink", || sink.text().contains("bad 1") && sink.text().contains("bad 2"));
    assert_eq!(picky.actions("bad").len(), 4, "nothing is sent twice");
    assert!(!path.exists());
}

#[test]
fn a_record_of_an_earlier_run_still_names_its_input() {
    if !has!("sqlite") {
        return;
    }
    let lab = Lab::new("rejected-backlog");
    let (_held, port) = refused_port();
    lab.write("in.log", "bad\n");
    let stored = |port| {
        conf("    storage.path store\n", port, "").replace("DB pos.db", "DB pos.db\n    storage.type filesystem")
    };
    run(&lab, &stored(port), "retry in").says(&["stay in 'store'"]);
    let picky = Picky::new();
    run(&lab, &stored(picky.server.port()), "kept in '").says(&["1 rejected, 0 dropped, 0 not delivered"]);
    let [line] = &lines(&lab, "store/rejected.ndjson")[..] else { panic!("{}", lab.show()) };
    assert_eq!((line["input"].as_str(), line["source"]["offset"].as_u64()), (Some("tail.0"), Some(0)));
    assert_eq!(line["source"]["inode"].as_u64(), Some(fs::metadata(lab.path("in.log")).unwrap().ino()));
}

#[test]
fn what_is_refused_again_and_not_kept_stays_in_its_file() {
    let lab = Lab::new("rejected-stays");
    let picky = Picky::new();
    lab.write("in.log", "bad\n");
    run(&lab, &conf("", picky.server.port(), ""), "rejected.ndjson'");
    let first = lab.read("rejected.ndjson");
    for key in ["storage.keep.rejected off", "storage.rejected.path in.log/x"] {
        lab.write("collector.conf", conf(&format!("    {key}\n"), picky.server.port(), ""));
        let file = if lab.path("rejected.ndjson").exists() { "rejected.ndjson" } else { "rejected.ndjson.replaying" };
        replay(&lab, file).code(2).says(&[
            "what this chunk has stays in the file that is sent",
            "[replay] 0 delivered, 1 refused again\n",
            "1 line(s) are left in 'rejected.ndjson.replaying'",
        ]);
        assert_eq!(lab.read("rejected.ndjson.replaying"), first);
    }
    // Nor does it come back to where it is read from.
    lab.write("collector.conf", conf("    storage.rejected.path rejected.ndjson.replaying\n", picky.server.port(), ""));
    replay(&lab, "rejected.ndjson.replaying")
        .code(1)
        .says(&["records that are refused again would go to this very file"]);
    assert_eq!(lab.read("rejected.ndjson.replaying"), first);
}

#[test]
fn two_processes_do_not_send_the_same_file() {
    let lab = Lab::new("rejected-twice");
    let (_held, port) = refused_port();
    lab.write("in.log", "one\n");
    run(&lab, &conf("", port, "    Retry_Limit no_retries\n"), "rejected.ndjson'");
    lab.write("collector.conf", conf("", port, ""));
    let mut first = start_replay(&lab, "rejected.ndjson");
    first.wait_stderr("retry in");
    replay(&lab, "rejected.ndjson.replaying").code(1).says(&["another process sends it just now"]);
    first.term().code(2);
    assert_eq!(lines(&lab, "rejected.ndjson.replaying").len(), 1);
}

#[test]
fn what_is_wrong_with_a_file_is_said_before_it_is_touched() {
    let lab = Lab::new("rejected-wrong");
    let server = HttpSink::stores_all();
    lab.write("collector.conf", conf("", server.port(), "    Alias main\n"));
    replay(&lab, "none.ndjson").code(1).says(&["--replay-rejected: cannot read 'none.ndjson': No such file"]);
    let line = |output: &str, log: &str| {
        format!(r#"{{"output":"{output}","tag":"t","time":"2026-01-01T00:00:00Z","record":{{"log":"{log}"}}}}"#) + "\n"
    };
    let text = line("main", "first") + &line("es.0", "x") + &line("es.0", "y");
    lab.write("r", &text);
    replay(&lab, "r").code(1).says(&[
        "r: 2 record(s) are for output 'es.0', which the configuration does not have",
        "It has: main. Name one with Alias, or change \"output\" in the file.",
    ]);
    assert_eq!(lab.read("r"), text);
    // Damaged lines stay; the others go.
    lab.write("r", line("main", "first") + "{\"output\"\n" + &line("main", "third"));
    lab.spawn(&["-c", "collector.conf", "--replay-rejected", "r", "--dry-run"])
        .wait()
        .code(0)
        .says(&["r:2: warning: the line cannot be read and stays in the file: not a JSON object"]);
    replay(&lab, "r").code(2).says(&[
        "r:2: ",
        "[replay] 2 delivered, 0 refused again",
        "1 line(s) are left in 'r.replaying'; go on with --replay-rejected r.replaying",
    ]);
    assert_eq!(lab.read("r.replaying"), "{\"output\"\n");
    let documents = server.documents();
    assert!(documents.len() == 2 && documents[0].contains("first") && documents[1].contains("third"), "{documents:?}");
}

#[test]
fn a_replay_runs_past_inputs_filters_and_routes() {
    let lab = Lab::new("rejected-past");
    let sink = TcpSink::new();
    let tcp = |name: &str, tag: &str| {
        format!(
            "[OUTPUT]\n    Name tcp\n    Alias {name}\n    Match {tag}\n    Host 127.0.0.1\n    Port {}\n    Format json_lines\n    json_date_key {name}\n",
            sink.port()
        )
    };
    let text =
        "[SERVICE]\n    Flush 0.02\n[INPUT]\n    Name dummy\n[FILTER]\n    Name grep\n    Match *\n    Exclude log .\n";
    lab.write("collector.conf", text.to_owned() + &tcp("one", "nothing") + &tcp("two", "*"));
    let big = "x".repeat(4000);
    let line = format!(
        r#"{{"output":"one","input":"tail.0","tag":"a.b","time":"2026-01-01T00:00:00.5Z","metadata":{{"m":1}},"record":{{"log":"{big}","n":18446744073709551615}}}}"#
    );
    // More than a replay may hold in memory.
    let count = 8000;
    lab.write("r", format!("{line}\n").repeat(count));
    replay(&lab, "r").code(0).says(&[&format!("[replay] {count} delivered, 0 refused again")]);
    lab.wait("the records", || sink.text().lines().count() == count);
    let expected = format!(
        r#"{{"one":1767225600.5,"__internal__":{{"log_metadata":{{"m":1}}}},"log":"{big}","n":18446744073709551615}}"#
    );
    assert!(sink.text().lines().all(|l| l == expected), "{}", sink.text().lines().next().unwrap());
    assert!(!lab.path("r").exists() && !lab.path("r.replaying").exists());
}

#[test]
fn a_kill_loses_no_rejection() {
    let lab = Lab::new("rejected-kill");
    let picky = Picky::new();
    let text = conf("", picky.server.port(), "");
    let each = 1500;
    for round in 0..5 {
        let lines = (0..each).map(|n| format!("bad {} {}\n", round * each + n, "x".repeat(500)));
        lab.append("in.log", lines.collect::<String>());
        let before = lab.bytes("rejected.ndjson").len();
        let mut run = lab.start(&text);
        // At another moment each time: as soon as something, or a little more, is in the file.
        run.wait_for("rejections", |_| lab.bytes("rejected.ndjson").len() > before + round * 50_000);
        run.kill();
    }
    let mut run = lab.start(&text);
    run.wait_for("all rejections", |_| {
        let text = lab.read("rejected.ndjson");
        let number = |line: &str| line.split("\"log\":\"bad ").nth(1)?.split(' ').next()?.parse::<usize>().ok();
        let kept: std::collections::BTreeSet<_> = text.lines().filter_map(number).collect();
        (0..5 * each).all(|n| kept.contains(&n))
    });
    run.term().code(0).silent_about(&["dropped:"]);
}
