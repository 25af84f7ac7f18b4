//! The program's own HTTP server: what it has done, and whether it is well.

use crate::lab::{Answer, HttpSink, Lab, Proc, free_port};
use crate::web::{Got, raw, send};
use serde_json::Value;

/// Starts the program with the server; its port.
fn start(lab: &Lab, service: &str, rest: &str) -> (Proc, u16) {
    let port = free_port();
    let mut run = lab.start(&format!(
        "[SERVICE]\n    Flush 0.05\n    Grace 1\n    HTTP_Server On\n    HTTP_Port {port}\n    scheduler.base 1\n    scheduler.cap 1\n{service}{rest}"
    ));
    run.wait_stderr(&format!("[http_server] listening on http://127.0.0.1:{port}"));
    (run, port)
}

fn get(port: u16, path: &str) -> Got {
    send(port, "GET", path, "", b"")
}

fn json(port: u16, path: &str) -> Value {
    let got = get(port, path);
    assert_eq!(got.status, 200, "{path}: {got:?}");
    assert!(got.head.contains("Content-Type: application/json"), "{}", got.head);
    serde_json::from_str(&got.body).unwrap_or_else(|e| panic!("{path}: {e}: {}", got.body))
}

const PIPELINE: &str = "[INPUT]\n    Name dummy\n    Samples 3\n    Rate 100\n[FILTER]\n    Name grep\n    Match *\n    Exclude none x\n[OUTPUT]\n    Name null\n    Match *\n";

#[test]
fn every_endpoint() {
    let lab = Lab::new("monitor");
    let (run, port) = start(&lab, "", PIPELINE);
    lab.wait("three records", || json(port, "/api/v1/metrics")["output"]["null.0"]["proc_records"] == 3);
    let metrics = json(port, "/api/v1/metrics");
    assert_eq!(metrics["input"]["dummy.0"]["records"], 3);
    assert_eq!(metrics["filter"]["grep.0"], serde_json::json!({"drop_records": 0, "add_records": 0}));
    for key in ["proc_bytes", "errors", "retries", "retries_failed", "dropped_records", "retried_records"] {
        assert!(metrics["output"]["null.0"][key].is_u64(), "{key}");
    }
    assert!(json(port, "/")["fluent-bit"]["version"].is_string());
    let uptime = json(port, "/api/v1/uptime");
    assert!(uptime["uptime_sec"].is_u64() && uptime["uptime_hr"].as_str().unwrap().contains("running:  0 day, 0 hour"));
    assert!(json(port, "/api/v1/plugins")["plugins"]["inputs"].as_array().unwrap().contains(&"http".into()));
    let storage = json(port, "/api/v1/storage");
    assert!(storage["storage_layer"]["chunks"]["fs_chunks_down"].is_u64(), "{storage}");
    assert_eq!(storage["input_chunks"]["dummy.0"]["status"]["overlimit"], false);
    assert_eq!(json(port, "/api/v2/reload")["hot_reload_count"], 0);
    assert_eq!(send(port, "POST", "/api/v2/reload", "", b"").body, "{\"reload\":\"not enabled\",\"status\":-1}");
    assert_eq!(send(port, "DELETE", "/api/v2/reload", "", b"").status, 405);
    assert_eq!(send(port, "POST", "/api/v1/metrics", "", b"x").status, 405);
    for path in ["/api/v1/health", "/api/v2/health", "/none", "/api/v1/trace/x"] {
        assert_eq!(get(port, path).status, 404, "{path}");
    }
    let v1 = get(port, "/api/v1/metrics/prometheus").body;
    let line = v1.lines().find(|l| l.starts_with("fluentbit_input_records_total{name=\"dummy.0\"} 3 ")).expect(&v1);
    assert_eq!(line.split(' ').nth(2).map(str::len), Some(13), "{line}");
    let names: Vec<&str> = v1
        .lines()
        .filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next())
        .filter(|n| n.ends_with("_total"))
        .collect();
    assert!(names.is_sorted() && names.contains(&"fluentbit_output_retries_failed_total"), "{names:?}");
    let v2 = get(port, "/api/v2/metrics/prometheus").body;
    for want in [
        "\nfluentbit_output_proc_records_total{name=\"null.0\"} 3\n",
        "# TYPE fluentbit_input_ingestion_paused gauge\n",
        "fluentbit_logger_logs_total{message_type=\"error\"} 0\n",
        "fluentbit_uptime{hostname=\"",
        "collector_output_down{name=\"null.0\"} 0\n",
    ] {
        assert!(v2.contains(want), "no {want}\n{v2}");
    }
    for line in v2.lines().filter(|l| !l.starts_with('#')) {
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    assert!(get(port, "/api/v2/metrics").body.contains("Z fluentbit_input_records_total{name=\"dummy.0\"} = 3\n"));
    // One connection for several, and a broken one.
    let two = "GET / HTTP/1.1\r\nHost: h\r\n\r\nHEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    assert_eq!(raw(port, two.as_bytes()).matches("HTTP/1.1 200 OK").count(), 2);
    assert!(raw(port, b"GET / HTTP/1.1\n\n").starts_with("HTTP/1.1 400 "));
    run.term().code(0);
}

#[test]
fn health_follows_the_outputs() {
    let lab = Lab::new("monitor-health");
    let server = HttpSink::new(|_, before| Answer::new(if before < 1 { 503 } else { 200 }, "no"));
    let output = format!(
        "[INPUT]\n    Name dummy\n    Samples 1\n[OUTPUT]\n    Name es\n    Match *\n    Host 127.0.0.1\n    Port {}\n    Retry_Limit no_retries\n",
        server.port()
    );
    let service = "    Health_Check On\n    HC_Errors_Count 5\n    HC_Retry_Failure_Count 0\n    HC_Period 3\n    storage.keep.rejected off\n";
    let (run, port) = start(&lab, service, &output);
    lab.wait("the failure", || get(port, "/api/v1/health").status == 500);
    assert_eq!(get(port, "/api/v1/health").body, "error\n");
    let told: Value = serde_json::from_str(&get(port, "/api/v2/health").body).unwrap();
    assert_eq!(
        (&told["status"], &told["retries_failed"], &told["period_limit"]),
        (&"error".into(), &1.into(), &3.into())
    );
    lab.wait("its end", || get(port, "/api/v1/health").body == "ok\n");
    assert_eq!(json(port, "/api/v2/health")["status"], "ok");
    run.term();
}

#[test]
fn a_taken_port_is_said_at_the_start() {
    let lab = Lab::new("monitor-port");
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let done = lab.run(&format!("[SERVICE]\n    HTTP_Server On\n    HTTP_Port {port}\n{PIPELINE}"));
    assert_ne!(done.status.code(), Some(0), "{}", done.report());
    done.says(&["HTTP_Server", "another program has this port"]);
}

/// The counters as records, and as Prometheus reads them.
#[test]
fn metrics_as_records() {
    let lab = Lab::new("monitor-records");
    let port = free_port();
    let run = lab.start(&format!(
        "[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name dummy\n    Tag d\n    Samples 3\n    Rate 100\n[INPUT]\n    Name fluentbit_metrics\n    Tag m\n    Scrape_Interval 0.1\n    Scrape_On_Start on\n\
         [OUTPUT]\n    Name prometheus_exporter\n    Match *\n    Port {port}\n    Add_Label cluster one\n[OUTPUT]\n    Name stdout\n    Match m\n    Format json_lines\n    Json_Date_Key false\n"
    ));
    lab.wait("the exporter", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let want = "\nfluentbit_input_records_total{name=\"dummy.0\",cluster=\"one\"} 3\n";
    lab.wait("the metric", || get(port, "/metrics").body.contains(want));
    let got = get(port, "/metrics");
    assert!(
        got.head.contains("text/plain; version=0.0.4") && got.body.contains("# TYPE fluentbit_uptime counter\n"),
        "{got:?}"
    );
    assert_eq!((get(port, "/").status, send(port, "POST", "/metrics", "", b"").status), (404, 405));
    let record = "{\"name\":\"fluentbit_input_records_total\",\"type\":\"counter\",\"help\":\"Records read\",\"labels\":{\"name\":\"dummy.0\"},\"value\":3}\n";
    lab.wait("the record", || run.stdout().contains(record));
    // What is no metric is counted, and kept with the reason.
    run.term().code(0).says(&["output prometheus_exporter.0: ", "3 rejected"]);
    assert!(lab.read("rejected.ndjson").contains("not a metric"));
}

/// What a scraper insists on: a family told once, as a whole, with help and type before its samples; names, labels and values in form; no
/// sample twice; counters called `_total`.
fn lint(text: &str) {
    let name = regex::Regex::new("^[a-zA-Z_:][a-zA-Z0-9_:]*$").unwrap();
    let label = r#"[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\[\\"n])*""#;
    let sample = regex::Regex::new(&format!(
        r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{{{label}(?:,{label})*\}})? ([0-9.eE+-]+)( [0-9]{{13}})?$"
    ));
    let (sample, mut families, mut samples) = (sample.unwrap(), Vec::new(), std::collections::HashSet::new());
    assert!(text.ends_with('\n'));
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let (family, help) = line.strip_prefix("# HELP ").unwrap_or_else(|| panic!("{line}")).split_once(' ').unwrap();
        assert!(name.is_match(family) && !help.is_empty() && !families.contains(&family), "{line}");
        families.push(family);
        let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {family} ")).unwrap();
        // Fluent Bit's name and type for one of them.
        assert_eq!(
            kind == "counter",
            family.ends_with("_total") || family == "fluentbit_uptime",
            "{family} is a {kind}"
        );
        let before = samples.len();
        while let Some(line) = lines.next_if(|l| !l.starts_with('#')) {
            let parts = sample.captures(line).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(&parts[1], family, "{line}");
            assert!(parts[3].parse::<f64>().is_ok_and(f64::is_finite), "{line}");
            let labels = parts.get(2).map_or("", |l| l.as_str());
            assert!(samples.insert((family, labels)), "{line}: twice");
        }
        assert!(samples.len() > before, "{family} has no samples");
    }
    assert!(families.len() > 10, "{families:?}");
}

#[test]
fn the_metrics_are_in_form() {
    let lab = Lab::new("monitor-form");
    let pipeline = PIPELINE.replace("Name dummy", "Name dummy\n    Alias a \"b\" \\ {c=\"d\"} ü");
    let (run, port) = start(&lab, &format!("    storage.path {}\n", lab.path("st").display()), &pipeline);
    for path in ["/api/v1/metrics/prometheus", "/api/v2/metrics/prometheus", "/metrics"] {
        let got = get(port, path);
        assert!(got.head.contains("Content-Type: text/plain; version=0.0.4"), "{}", got.head);
        assert!(got.body.contains(r#"{name="a \"b\" \\ {c=\"d\"} ü"}"#), "{}", got.body);
        lint(&got.body);
    }
    run.term().code(0);
}

/// As the kubelet asks: once a connection, with its own head. Whoever holds a connection and says nothing keeps nobody waiting.
#[test]
fn probes_are_answered_beside_silent_peers() {
    let lab = Lab::new("monitor-probe");
    let (run, port) = start(&lab, "    Health_Check On\n", PIPELINE);
    let silent: Vec<_> = (0..20).map(|_| std::net::TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    for (path, body) in [("/api/v1/uptime", "{\"uptime_sec\":"), ("/api/v1/health", "ok\n"), ("/", "{\"fluent-bit\":")]
    {
        let probe = format!(
            "GET {path} HTTP/1.1\r\nHost: 10.0.0.7:{port}\r\nUser-Agent: kube-probe/1.32\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        let answer = raw(port, probe.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.split("\r\n\r\n").nth(1).unwrap().starts_with(body), "{answer}");
    }
    drop(silent);
    run.term().code(0);
}
