//! Libraries of others that speak the protocol, as clients and as servers. What cannot be installed is skipped, with a line.

use super::{STDOUT, listen};
use crate::lab::{Lab, free_port, skip, until};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real")
}

/// Runs a step of an installation; `false`, said in a line, when it cannot be done.
fn step(what: &str, command: &mut Command) -> bool {
    let done = command.stdin(Stdio::null()).output();
    match done {
        Ok(out) if out.status.success() => true,
        Ok(out) => {
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            skip(&format!("{what}: {}", said.lines().last().unwrap_or_default()));
            false
        }
        Err(e) => {
            skip(&format!("{what}: {e}"));
            false
        }
    }
}

/// A folder for what is installed; it is kept for the next run.
fn installed(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// A Python that has the libraries.
fn python() -> Option<PathBuf> {
    let dir = installed("forward-python");
    let python = dir.join("bin/python");
    let works =
        || Command::new(&python).args(["-c", "import fluent, msgpack"]).output().is_ok_and(|o| o.status.success());
    if works() {
        return Some(python);
    }
    let made = step("a Python environment", Command::new("python3").args(["-m", "venv"]).arg(&dir))
        && step(
            "fluent-logger",
            Command::new(&python).args(["-m", "pip", "install", "-q", "fluent-logger==0.11.1", "msgpack"]),
        );
    made.then_some(python)
}

#[test]
fn python_sends_and_receives() {
    let Some(python) = python() else { return };
    let script = scripts().join("forward.py");
    let lab = Lab::new("forward-python");
    let port = free_port();
    let mut run = listen(&lab, port, "", STDOUT);
    let done = Command::new(&python).arg(&script).args(["send", &port.to_string()]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    run.wait_stdout("{\"n\":1,\"s\":\"\\u00e9\"}");
    run.wait_stdout("{\"n\":2,\"deep\":{\"list\":[1,null,true,1.5]}}");
    run.wait_stdout("{\"from\":\"userA\"}");
    run.term().code(0).says(&["input forward.0: 203 records", "2 acknowledged"]);

    for keys in [
        "    Require_Ack_Response on\n",
        "    Compress gzip\n    Require_Ack_Response on\n",
        "    Time_as_Integer on\n",
    ] {
        let file = lab.path("port");
        let _ = std::fs::remove_file(&file);
        let server = Command::new(&python).arg(&script).arg("serve").arg(&file).stdout(Stdio::piped()).spawn().unwrap();
        assert!(until(|| file.exists()));
        lab.write(
            "send.conf",
            format!(
                "[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name stdin\n    Tag a.b\n[OUTPUT]\n    Name forward\n    Match *\n    Host 127.0.0.1\n    \
                 Port {}\n    Workers 1\n{keys}",
                lab.read("port")
            ),
        );
        let lines: String = (0..1000)
            .map(|n| format!("[{n}.25,{{\"n\":{n},\"s\":\"\\u00e9\\n\",\"f\":-1.5,\"l\":[null,true]}}]\n"))
            .collect();
        lab.command(&["-c", "send.conf"]).stdin(lines).start().wait().code(0);
        let got = String::from_utf8(server.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(got.lines().count(), 1000, "{keys}");
        let time = if keys.contains("Integer") { "999" } else { "[999,250000000]" };
        let last = format!(r#"["a.b",{time},{{"n":999,"s":"\u00e9\n","f":-1.5,"l":[null,true]}}]"#);
        assert_eq!(got.lines().last(), Some(last.as_str()));
    }
}

#[test]
fn node_sends_and_receives() {
    let dir = installed("forward-node");
    let packages = ["fluent-logger@3.4.1", "@fluent-org/logger@1.0.10"];
    if !dir.join("node_modules/@fluent-org/logger").exists()
        && !step(
            "npm's loggers",
            Command::new("npm")
                .args(["install", "--silent", "--no-audit", "--no-fund"])
                .args(packages)
                .current_dir(&dir),
        )
    {
        return;
    }
    let node = || {
        let mut command = Command::new("node");
        command.arg(scripts().join("forward.js")).env("NODE_PATH", dir.join("node_modules"));
        command
    };
    let lab = Lab::new("forward-node");
    let port = free_port();
    let mut run = listen(&lab, port, "    Shared_Key secret\n", STDOUT);
    let done = node().args(["send", &port.to_string(), "secret"]).output().unwrap();
    assert!(done.status.success(), "{}\n{}", String::from_utf8_lossy(&done.stderr), run.stderr());
    run.wait_for("all events", |run| run.stdout().lines().count() == 140);
    assert_eq!(run.stdout().matches("{\"n\":19,\"text\":\"\\u00e9\"}").count(), 3);
    run.term().code(0);

    let mut server: Child =
        node().args(["serve", "secret"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(server.stdout.take().unwrap());
    let mut port = String::new();
    out.read_line(&mut port).unwrap();
    let got = Arc::new(Mutex::new(Vec::new()));
    let keep = got.clone();
    let reader =
        std::thread::spawn(move || out.lines().map_while(Result::ok).for_each(|l| keep.lock().unwrap().push(l)));
    for (n, keys) in ["", "    Compress gzip\n", "    Tag x.$n\n"].into_iter().enumerate() {
        lab.write(
            "send.conf",
            format!(
                "[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name stdin\n    Tag a.b\n[OUTPUT]\n    Name forward\n    Match *\n    Host 127.0.0.1\n    \
                 Port {}\n    Shared_Key secret\n    Require_Ack_Response on\n{keys}",
                port.trim()
            ),
        );
        let lines: String = (0..100).map(|i| format!("{{\"n\":{i}}}\n")).collect();
        lab.command(&["-c", "send.conf"]).stdin(lines).start().wait().code(0).says(&["output forward.0: 100 records"]);
        assert!(until(|| got.lock().unwrap().len() == 100 * (n + 1)), "{keys}: {}", got.lock().unwrap().len());
    }
    assert!(got.lock().unwrap().contains(&r#"["x.7",{"n":7}]"#.to_owned()));
    drop(server.stdin.take());
    server.wait().unwrap();
    reader.join().unwrap();
}

#[test]
fn go_sends() {
    let program = installed("forward-go").join("send");
    if !program.exists() {
        let source = installed("forward-go").join("source");
        std::fs::create_dir_all(&source).unwrap();
        for file in ["main.go", "go.mod"] {
            std::fs::copy(scripts().join("forward-go").join(file), source.join(file)).unwrap();
        }
        let go = || {
            let mut command = Command::new("go");
            command.current_dir(&source).env("GOFLAGS", "-mod=mod");
            command
        };
        if !step("fluent-logger-golang", go().arg("build").arg("-o").arg(&program).arg(".")) {
            return;
        }
    }
    let lab = Lab::new("forward-go");
    let port = free_port();
    let mut run = listen(&lab, port, "", STDOUT);
    let done = Command::new(&program).arg(port.to_string()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    run.wait_for("all events", |run| run.stdout().lines().count() == 40);
    run.term().code(0).says(&["40 acknowledged"]);
}
