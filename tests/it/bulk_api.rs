//! The elasticsearch input: our own es output ships to it, and a client of PyPI.

use crate::lab::{Lab, free_port, skip, until};
use crate::web::{send, start};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

const JSON: &str = "[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n    Json_Date_Key false\n";

#[test]
fn a_bulk_request_and_what_clients_ask_before() {
    let lab = Lab::new("bulk-requests");
    let (run, port) = start(&lab, "elasticsearch", "    Version 7.10.2\n    HTTP_User u\n    HTTP_Passwd p\n", JSON);
    let ask = |method: &str, path: &str, body: &[u8]| {
        let got = send(port, method, path, "Authorization: Basic dTpw\r\nContent-Type: application/x-ndjson\r\n", body);
        assert!(got.head.contains("X-Elastic-Product: Elasticsearch"), "{}", got.head);
        (got.status, serde_json::from_str::<Value>(&got.body).unwrap_or_default())
    };
    assert_eq!(ask("GET", "/", b"").1["version"]["number"], "7.10.2");
    assert_eq!(ask("GET", "/_license?human=false", b"").1["license"]["status"], "active");
    assert_eq!(ask("GET", "/_xpack", b"").1["features"]["ilm"]["available"], true);
    assert_eq!(ask("HEAD", "/_index_template/filebeat", b"").0, 200);
    assert_eq!(ask("PUT", "/_index_template/filebeat", b"{}"), (200, serde_json::json!({"acknowledged": true})));
    assert_eq!(ask("POST", "/logs/_doc", b"{}").0, 400);
    assert_eq!(send(port, "GET", "/", "", b"").status, 401);
    let body = b"{\"create\":{\"_index\":\"i\"}}\n{\"a\":1}\n{\"delete\":{\"_id\":\"x\"}}\n{\"index\":{}}\n{\"b\":}\n{\"index\":{}}\n{\"c\":3}\n";
    let (status, answer) = ask("POST", "/logs/_bulk", body);
    assert_eq!((status, &answer["errors"]), (200, &Value::Bool(true)));
    let statuses: Vec<u64> = answer["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i.as_object().unwrap().values().next().unwrap()["status"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses, [201, 404, 400, 201]);
    let (status, answer) = ask("POST", "/_bulk", b"nonsense\n");
    assert_eq!(status, 400);
    assert!(answer["error"]["reason"].as_str().unwrap().contains("line 1 of the bulk request"), "{answer}");
    let done = run.term().code(0).says(&["2 refused documents", "input elasticsearch.0: 2 records"]);
    done.prints(
        "{\"@meta\":{\"create\":{\"_index\":\"i\"}},\"a\":1}\n{\"@meta\":{\"index\":{\"_index\":\"logs\"}},\"c\":3}\n",
    );
}

/// Everything arrives, although the receiver is killed again and again.
#[test]
fn our_output_ships_to_a_receiver_that_is_killed() {
    const LINES: usize = 30_000;
    let lab = Lab::new("bulk-killed");
    let port = free_port();
    let out = lab.path("out");
    std::fs::create_dir_all(&out).unwrap();
    lab.write(
        "receiver.conf",
        format!(
            "[SERVICE]\n    Flush 0.02\n[INPUT]\n    Name elasticsearch\n    Listen 127.0.0.1\n    Port {port}\n[OUTPUT]\n    Name file\n    Match *\n    Path {}\n    File all\n    Format json_lines\n",
            out.display()
        ),
    );
    lab.write("in.log", (0..LINES / 2).map(|n| format!("{{\"n\":{n}}}\n")).collect::<String>());
    let sender = lab.start(&format!(
        "[SERVICE]\n    Flush 0.05\n    Grace 30\n    scheduler.base 1\n    scheduler.cap 1\n[INPUT]\n    Name tail\n    Path in.log\n    Read_from_Head on\n    Parser json\n    Mem_Buf_Limit 1M\n[OUTPUT]\n    Name es\n    Match *\n    Host 127.0.0.1\n    Port {port}\n"
    ));
    let count = || {
        let text = std::fs::read_to_string(out.join("all")).unwrap_or_default();
        let mut seen = vec![false; LINES];
        for line in text.lines().filter(|l| l.ends_with('}')) {
            let n = line.rsplit_once("\"n\":").and_then(|(_, n)| n.strip_suffix('}')?.parse::<usize>().ok());
            if let Some(place) = n.and_then(|n| seen.get_mut(n)) {
                *place = true;
            }
        }
        seen.iter().filter(|s| **s).count()
    };
    for round in 0..4 {
        let run = lab.spawn(&["-c", "receiver.conf"]);
        let end = Instant::now() + Duration::from_millis(1200);
        for part in 0..10 {
            let from = LINES / 2 + (round * 10 + part) * (LINES / 80);
            lab.append("in.log", (from..from + LINES / 80).map(|n| format!("{{\"n\":{n}}}\n")).collect::<String>());
            std::thread::sleep(Duration::from_millis(60));
        }
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        run.kill();
    }
    let run = lab.spawn(&["-c", "receiver.conf"]);
    assert!(until(|| count() == LINES), "{} of {LINES} arrived\n{}", count(), run.show(None));
    // The sender first: what arrived just before a kill, unanswered, it has to send again.
    sender.term().code(0).says(&["output es.0: 30000 records"]);
    run.term().code(0);
}

/// A Python with these packages, in an environment of its own.
fn python(packages: &[&str]) -> Option<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("python-bulk");
    let python = dir.join("bin/python");
    let done =
        |program: &str, args: &[&str]| Command::new(program).args(args).output().is_ok_and(|o| o.status.success());
    if !python.exists() && !done("python3", &["-m", "venv", dir.to_str()?]) {
        skip("python3 cannot make an environment (python3-venv)");
        return None;
    }
    let args = [&["-m", "pip", "install", "-q", "--disable-pip-version-check"], packages].concat();
    if !done(python.to_str()?, &args) {
        skip(&format!("pip cannot install {}", packages.join(" ")));
        return None;
    }
    Some(python)
}

#[test]
fn the_python_client() {
    const SCRIPT: &str = "import sys\nfrom elasticsearch import Elasticsearch, helpers\nes = Elasticsearch('http://127.0.0.1:' + sys.argv[1], http_compress=True)\nassert es.info()['version']['number'] == '8.0.0'\nassert es.cluster.health()['status'] == 'green'\nes.indices.put_index_template(name='t', index_patterns=['x-*'])\ndone, errors = helpers.bulk(es, ({'_index': 'x', '_op_type': 'create', '_source': {'n': n, 'text': 'caf\\u00e9'}} for n in range(5000)))\nassert (done, errors) == (5000, []), (done, errors)\nprint('all sent')\n";
    let Some(python) = python(&["elasticsearch==8.17.0"]) else { return };
    let lab = Lab::new("bulk-python");
    let (run, port) = start(&lab, "elasticsearch", "", "[OUTPUT]\n    Name null\n    Match *\n");
    let out = Command::new(python).args(["-c", SCRIPT, &port.to_string()]).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(text.contains("all sent"), "{text}\n{}", run.show(None));
    run.term().code(0).says(&["input elasticsearch.0: 5000 records", "output null.0: 5000 records"]);
}
