//! The program while it runs: signals, broken surroundings, what it costs when nothing happens.

use crate::lab::{Lab, Proc, TcpSink, has, is_native, refused_port, skip};
use rustix::process::Signal;
use std::fs;
use std::time::Duration;

/// A tail of in.log into an output.
fn tail(service: &str, output: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.05\n    scheduler.base 1\n    scheduler.cap 1\n{service}[INPUT]\n    Name tail\n    Tag t\n    Path *.log\n    \
         Read_from_Head on\n[OUTPUT]\n    Match *\n{output}"
    )
}

const JSON: &str = "    Name stdout\n    Format json_lines\n    Json_Date_Key false\n";

fn lines(n: usize) -> String {
    (0..n).map(|i| format!("line number {i} of a file\n")).collect()
}

/// Numbers in a line of /proc/PID/status.
fn status(proc: &Proc, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", proc.pid())).unwrap();
    let line = text.lines().find(|l| l.starts_with(field)).unwrap_or_else(|| panic!("no {field}"));
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_termination_delivers_what_was_read() {
    let lab = Lab::new("term");
    lab.write("in.log", lines(1000));
    // Nothing is flushed before the end.
    let mut run = lab.start(&tail("", JSON).replace("Flush 0.05", "Flush 600"));
    let mut asked = 0;
    run.wait_for("1000 records read", |p| {
        asked += 1;
        if asked % 20 == 1 {
            p.signal(Signal::CONT);
        }
        p.stderr().contains("read          : 1000\n")
    });
    assert_eq!(run.stdout(), "");
    let done = run.term().code(0).says(&[
        "[engine] caught signal (SIGTERM)",
        "service will shutdown in max 5 seconds",
        "output stdout.0: 1000 records",
        "service has stopped (0 pending tasks)",
    ]);
    assert_eq!(done.stdout.lines().count(), 1000, "{}", done.report());
}

#[test]
fn interrupts_and_quits_end_it_too() {
    let lab = Lab::new("signals");
    lab.write("in.log", "x\n");
    for (signal, name) in [(Signal::INT, "SIGINT"), (Signal::QUIT, "SIGQUIT")] {
        let mut run = lab.start(&tail("", JSON));
        run.wait_stdout("{\"log\":\"x\"}\n");
        run.signal(signal);
        run.wait().code(0).says(&[&format!("[engine] caught signal ({name})"), "service has stopped"]);
    }
}

#[test]
fn a_dump_shows_every_instance() {
    let lab = Lab::new("dump");
    lab.write("in.log", lines(3));
    let filter = "[FILTER]\n    Name grep\n    Match *\n    Exclude log 1\n";
    let mut run = lab.start(&(tail("", JSON) + filter));
    run.wait_stdout("line number 2");
    run.signal(Signal::CONT);
    for part in [
        "===== Input =====",
        "tail.0\n",
        "===== Filter =====",
        "grep.0: records 3, dropped 1",
        "===== Output =====",
        "stdout.0: records 2",
    ] {
        run.wait_stderr(part);
    }
    // A reload is not served: it says so and goes on.
    run.signal(Signal::HUP);
    run.wait_stderr("SIGHUP");
    lab.append("in.log", "still here\n");
    run.wait_stdout("still here");
    run.term().code(0);
}

#[test]
fn a_reader_of_stdout_that_leaves_is_said() {
    let lab = Lab::new("closed-stdout");
    lab.write("collector.conf", tail("", JSON));
    lab.write("in.log", "first\n");
    // Closed in children: those of parallel tests must not hold the reading end.
    let (mut reader, write) = std::io::pipe().unwrap();
    let mut run = lab.command(&["-c", "collector.conf"]).stdout(write).start();
    let mut first = [0; 15];
    std::io::Read::read_exact(&mut reader, &mut first).unwrap();
    drop(reader);
    lab.append("in.log", "second\n");
    run.wait_stderr("stdout is closed: its reader went away");
    run.term()
        .code(0)
        .says(&[
            "[engine] chunk '",
            "1 record(s) dropped: stdout is closed",
            "output stdout.0: 1 records",
            "0 rejected, 1 dropped",
        ])
        .silent_about(&["panicked"]);
}

#[test]
fn a_full_disk_is_said_and_waited_for() {
    let lab = Lab::new("full-disk");
    lab.write("in.log", "kept\n");
    let mut run = lab.start(&tail("", "    Name file\n    Path /dev\n    File full\n    Retry_Limit no_limits\n"));
    run.wait_stderr("output=file.0");
    run.wait_stderr("retry in");
    run.wait_stderr("full");
    run.term().code(0).says(&[
        "output file.0: 0 records",
        "1 record(s) in 1 chunk(s) were not delivered: the destination is down",
        "were in memory only",
    ]);
}

#[test]
fn a_refused_connection_is_said_and_tried_again() {
    let lab = Lab::new("refused");
    let (_held, port) = refused_port();
    lab.write("in.log", "kept\n");
    let run = lab.start(&tail(
        "",
        &format!(
            "    Name tcp\n    Host 127.0.0.1\n    Port {port}\n    Format json_lines\n    Retry_Limit no_limits\n"
        ),
    ));
    let mut run = run;
    run.wait_stderr("tcp.0 (out_id=0)");
    run.wait_stderr(&format!("127.0.0.1:{port}"));
    run.wait_stderr("refused");
    // The peer comes up: what was kept arrives.
    let sink = TcpSink::at(port);
    lab.wait("the record at the peer", || sink.text().contains("\"log\":\"kept\""));
    run.wait_stderr("succeeded at retry");
    run.term().code(0).says(&["output tcp.0: 1 records"]);
}

#[test]
fn a_retry_limit_gives_up_and_counts() {
    let lab = Lab::new("retry-limit");
    let (_held, port) = refused_port();
    lab.write("in.log", "given up\n");
    let mut run =
        lab.start(&tail("", &format!("    Name tcp\n    Host 127.0.0.1\n    Port {port}\n    Retry_Limit 1\n")));
    run.wait_stderr("cannot be retried");
    run.term()
        .code(0)
        .says(&["1 record(s) given up after 2 attempt(s) (Retry_Limit)", "1 retries failed, 1 rejected, 0 dropped"]);
}

#[test]
fn a_slow_peer_holds_the_reader_back_and_loses_nothing() {
    let lab = Lab::new("slow-peer");
    let sink = TcpSink::slow(32 * 1024, Duration::from_millis(2));
    let text = lines(40_000);
    lab.write("in.log", &text);
    let conf = tail(
        "",
        &format!(
            "    Name tcp\n    Host 127.0.0.1\n    Port {}\n    Format json_lines\n    Json_Date_Key false\n",
            sink.port()
        ),
    )
    .replace("    Tag t\n", "    Tag t\n    Mem_Buf_Limit 100k\n");
    let run = lab.start(&conf);
    let last = "line number 39999 of a file";
    lab.wait("the last line", || sink.text().contains(last));
    let done = run.term().code(0).says(&["paused (mem buf overlimit", "output tcp.0: 40000 records"]);
    let want: String = text.lines().map(|l| format!("{{\"log\":\"{l}\"}}\n")).collect();
    assert!(sink.text() == want, "{}", done.report());
}

#[test]
fn missing_files_are_waited_for() {
    let lab = Lab::new("missing");
    let mut run = lab.start(
        &tail("", JSON)
            .replace("*.log", "later/*.log")
            .replace("Read_from_Head", "Refresh_Interval 1\n    Read_from_Head"),
    );
    run.stays(Duration::from_millis(100));
    lab.write("later/new.log", "here at last\n");
    run.wait_stdout("here at last");
    run.term().code(0);
}

/// Root may read everything, so the program runs as nobody.
#[test]
fn an_unreadable_directory_is_said() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can run the program as somebody else");
    }
    if !is_native() {
        return;
    }
    let dir = std::env::temp_dir().join(format!("collector-unreadable-{}", std::process::id()));
    fs::create_dir_all(dir.join("secret")).unwrap();
    let bin = dir.join("collector");
    fs::copy(env!("CARGO_BIN_EXE_collector"), &bin).unwrap();
    fs::write(dir.join("secret/a.log"), "hidden\n").unwrap();
    fs::write(dir.join("plain.log"), "hidden too\n").unwrap();
    let mode = |path: &str, mode: u32| {
        fs::set_permissions(dir.join(path), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap()
    };
    mode("", 0o755);
    mode("secret", 0o700);
    mode("plain.log", 0o600);
    let lab = Lab::new("unreadable");
    let conf = tail("", JSON).replace("*.log", &format!("{0}/secret/*.log,{0}/*.log", dir.display()));
    fs::write(dir.join("c.conf"), conf).unwrap();
    let words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let path = dir.join("c.conf").display().to_string();
    let mut run = lab.command(&["-c", &path]).program(&bin).in_dir(&dir).through(&words).start();
    run.wait_stderr("plain.log");
    run.wait_stderr("secret");
    run.wait_stderr("ermission denied");
    run.term().code(0);
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn an_idle_program_is_one_thread_that_sleeps() {
    if !is_native() {
        return;
    }
    let lab = Lab::new("idle");
    lab.write("in.log", "one\n");
    let es = "[OUTPUT]\n    Name es\n    Match nothing\n    Host 127.0.0.1\n";
    let conf = tail("", JSON) + if cfg!(feature = "es") { es } else { "" };
    let mut run = lab.start(&conf);
    run.wait_stdout("one");
    // Whatever the start left to do is done when two looks agree.
    let mut seen = u64::MAX;
    run.wait_for("rest", |p| {
        std::thread::sleep(Duration::from_millis(300));
        let now = status(p, "voluntary_ctxt_switches");
        std::mem::replace(&mut seen, now) == now
    });
    let before = status(&run, "voluntary_ctxt_switches");
    run.stays(Duration::from_secs(3));
    let wakes = status(&run, "voluntary_ctxt_switches") - before;
    assert!(wakes <= 2, "{wakes} wake-ups in 3 s\n{}", run.show(None));
    assert_eq!(status(&run, "Threads"), 1, "{}", run.show(None));
    run.term().code(0);
}

#[test]
fn a_pipeline_on_the_command_line() {
    let lab = Lab::new("pipeline");
    let done = lab
        .command(&[
            "-f",
            "0.05",
            "-q",
            "-i",
            "stdin",
            "-t",
            "a.b",
            "-F",
            "modify",
            "-m",
            "a.*",
            "-p",
            "set=k v",
            "-o",
            "stdout",
            "-m",
            "*",
            "-p",
            "format=json_lines",
            "-p",
            "json_date_key=false",
        ])
        .stdin("{\"n\":1}")
        .start()
        .wait()
        .code(0);
    assert_eq!(done.stdout, "{\"n\":1,\"k\":\"v\"}\n", "{}", done.report());
    let mut run = lab.spawn(&[
        "-f",
        "0.05",
        "-i",
        "dummy",
        "-p",
        "samples=1",
        "-p",
        "flush_on_startup=on",
        "-o",
        "stdout",
        "-m",
        "*",
    ]);
    run.wait_stdout("[0] dummy.0: [[");
    run.wait_stdout("{\"message\"=>\"dummy\"}]\n");
    run.term().code(0);
}

/// An alias names the instance in the log; the tag stays that of the plugin.
#[test]
fn an_alias_is_no_tag() {
    let lab = Lab::new("alias");
    let args =
        ["-f", "0.05", "-i", "dummy", "-p", "alias=mine", "-p", "flush_on_startup=on", "-o", "stdout", "-m", "*"];
    let mut run = lab.spawn(&args);
    run.wait_stdout("[0] dummy.0: [[");
    run.term().code(0).says(&["[engine] input mine: "]);
}

#[test]
fn the_log_can_go_to_a_file() {
    let lab = Lab::new("log-file");
    let done = lab
        .command(&["-l", "c.log", "-v", "-i", "stdin", "-o", "null", "-m", "*"])
        .stdin("{}\n")
        .start()
        .wait()
        .code(0);
    assert!(lab.read("c.log").contains("[ info] [engine] service has stopped"), "{}", done.report());
    assert_eq!(done.stderr, "");
}

/// Records whose tag nobody takes are counted, and said at debug level.
#[test]
fn records_without_an_output_are_counted() {
    let lab = Lab::new("unrouted");
    let args = ["-v", "-i", "stdin", "-t", "lost", "-o", "null", "-m", "other.*"];
    lab.command(&args).stdin("{}{}").start().wait().code(0).says(&[
        "[router] 2 record(s) of tag 'lost' match no output and are dropped",
        "2 without an output",
        "output null.0: 0 records",
    ]);
}

/// The shipped configuration, as `make run` runs it.
#[test]
fn the_shipped_configuration_works_as_it_stands() {
    if !has!("filters") {
        return;
    }
    let lab = Lab::new("shipped");
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let sample = fs::read_to_string(root.join("conf/samples/access.log")).unwrap();
    lab.write("conf/samples/access.log", &sample);
    lab.write("fluent-bit.conf", fs::read(root.join("fluent-bit.conf")).unwrap());
    let mut run = lab.spawn(&["-c", "fluent-bit.conf"]);
    let wanted = sample.lines().filter(|l| !l.contains("/healthz")).count();
    run.wait_for("all records of the sample and a heartbeat", |p| {
        let out = p.stdout();
        out.matches("\"site\":\"shop\"").count() == wanted && out.contains("\"message\":\"still here\"")
    });
    run.term().code(0).silent_about(&["[error]", "warning:", "not served"]);
    assert_eq!(lab.read("data/access.jsonl").lines().count(), wanted);
}
