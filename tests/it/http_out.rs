//! Outputs over HTTP beside real servers: InfluxDB, nginx in front, OpenTelemetry's own protobuf code, a server that is killed.

use crate::lab::{Answer, Done, HttpSink, Lab, Proc, Request, free_port, skip, until, write};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn conf(output: &str, port: u16, keys: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.05\n    scheduler.base 1\n    scheduler.cap 1\n[INPUT]\n    Name stdin\n    Tag t.x\n\
         [OUTPUT]\n    Name {output}\n    Match *\n    Host 127.0.0.1\n    Port {port}\n{keys}"
    )
}

/// Sends events from standard input.
fn send(lab: &Lab, conf: &str, events: &str) -> Done {
    lab.write("collector.conf", conf);
    lab.command(&["-c", "collector.conf"]).stdin(events).start().wait().code(0)
}

/// The bodies and headers of one event in every output, as they leave the program.
#[test]
fn requests() {
    let event = r#"[1700000000.125, {"log":"hi \"x\"","n":1,"f":1.5}]"#;
    let check = |output: &str, keys: &str, path: &str, kind: &str, body: &str| {
        let server = HttpSink::new(|_, _| Answer::new(200, ""));
        send(&Lab::new("http-out"), &conf(output, server.port(), keys), event)
            .silent_about(&["[error]", "[ warn] [output"]);
        let requests = server.requests();
        let [request] = &requests[..] else { panic!("{} requests of {output}", requests.len()) };
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", path));
        assert_eq!((request.header("content-type"), request.text().as_str()), (Some(kind), body), "{output} {keys}");
    };
    let record = r#"{"date":1700000000.125,"log":"hi \"x\"","n":1,"f":1.5}"#;
    check("http", "", "/", "application/json", &format!("[{record}]"));
    check(
        "http",
        "    URI /a?b=c\n    Format json_lines\n    Compress gzip\n",
        "/a?b=c",
        "application/x-ndjson",
        &format!("{record}\n"),
    );
    check(
        "loki",
        "    Labels job=fb, $n\n",
        "/loki/api/v1/push",
        "application/json",
        r#"{"streams":[{"stream":{"job":"fb","n":"1"},"values":[["1700000000125000000","{\"log\":\"hi \\\"x\\\"\",\"f\":1.5}"]]}]}"#,
    );
    check(
        "influxdb",
        "    Tag_Keys n\n",
        "/write?db=fluentbit&precision=n",
        "text/plain; charset=utf-8",
        r#"t.x,_seq=0,n=1 log="hi \"x\"",f=1.500000 1700000000125000000"#,
    );
}

/// What a server refuses is said with its words, and kept.
#[test]
fn what_a_server_refuses() {
    let server = HttpSink::new(|_, before| Answer::new(if before == 0 { 503 } else { 400 }, "entry too far behind"));
    let lab = Lab::new("http-out-refused");
    send(&lab, &conf("loki", server.port(), ""), "{\"a\":1}{\"a\":2}").says(&[
        "HTTP status 503: entry too far behind",
        "HTTP status 400: entry too far behind",
        "2 rejected, 0 dropped",
    ]);
    assert_eq!(server.requests().len(), 2);
}

/// A proxy of the environment is gone through, unless it is to be ignored or the host is excepted.
#[test]
fn proxies_of_the_environment() {
    for (variables, keys, used) in [
        (&["HTTP_PROXY"][..], "", true),
        (&["HTTP_PROXY"], "    net.proxy_env_ignore on\n", false),
        (&["HTTP_PROXY", "NO_PROXY"], "", false),
    ] {
        let (proxy, server) = (HttpSink::new(|_, _| Answer::new(200, "")), HttpSink::new(|_, _| Answer::new(200, "")));
        let mut lab = Lab::new("http-out-proxy");
        for name in variables {
            let value =
                if *name == "NO_PROXY" { "127.0.0.1".into() } else { format!("http://127.0.0.1:{}", proxy.port()) };
            lab.env(name, &value);
        }
        send(&lab, &conf("http", server.port(), keys), "{\"a\":1}");
        let seen: Vec<_> = proxy.requests().iter().map(|r| r.method.clone()).collect();
        assert_eq!(seen, if used { vec!["CONNECT", "POST"] } else { vec![] }, "{variables:?} {keys}");
        assert_eq!(server.requests().len(), usize::from(!used));
    }
}

/// A program that ends with the test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(port: u16, path: &str) -> Option<Value> {
    let text = ureq::get(format!("http://127.0.0.1:{port}{path}")).call().ok()?.body_mut().read_to_string().ok()?;
    serde_json::from_str(&text).ok()
}

/// Starts InfluxDB 1.x with an empty database.
fn influx(lab: &Lab) -> Option<(Daemon, u16)> {
    let Some(program) = ["/usr/bin/influxd", "/usr/sbin/influxd"].into_iter().find(|p| Path::new(p).exists()) else {
        skip("InfluxDB is not installed (Debian's influxdb)");
        return None;
    };
    let (port, rpc) = (free_port(), free_port());
    let dir = lab.path("influx").display().to_string();
    lab.write(
        "influx.conf",
        format!(
            "reporting-disabled = true\nbind-address = \"127.0.0.1:{rpc}\"\n[meta]\n dir = \"{dir}/meta\"\n[data]\n dir = \"{dir}/data\"\n \
             wal-dir = \"{dir}/wal\"\n[http]\n bind-address = \"127.0.0.1:{port}\"\n log-enabled = false\n"
        ),
    );
    let child = Command::new(program)
        .args(["-config", lab.path("influx.conf").to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(fs::File::create(lab.path("influx.log")).unwrap())
        .spawn()
        .unwrap();
    let daemon = Daemon(child);
    let up = until(|| ureq::post(format!("http://127.0.0.1:{port}/query?q=CREATE+DATABASE+logs")).send_empty().is_ok());
    assert!(up, "{}", lab.show());
    Some((daemon, port))
}

/// The rows of a query: columns and values.
fn rows(port: u16, query: &str) -> Vec<serde_json::Map<String, Value>> {
    let query = query.replace(' ', "+").replace('"', "%22").replace('*', "%2A");
    let found = get(port, &format!("/query?db=logs&epoch=ns&q={query}")).unwrap_or_default();
    let series = &found["results"][0]["series"][0];
    let columns: Vec<_> = series["columns"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let values = series["values"].as_array().into_iter().flatten();
    values
        .map(|row| columns.iter().map(|c| (*c).to_owned()).zip(row.as_array().unwrap().iter().cloned()).collect())
        .collect()
}

#[test]
fn points_arrive_in_a_real_influxdb_as_they_are() {
    let lab = Lab::new("http-out-influx");
    let Some((_daemon, port)) = influx(&lab) else { return };
    let text = "a \"b\" \\ é 😀\nnext, = line\t";
    let (tag, key) = ("web 1,eu=x\\y", "odd key,=é");
    let record = json!({"log": text, "host": tag, key: "v", "n": -7, "f": 0.1, "small": 1.25e-9, "ok": true, "z": null, "m": {"k": ["q"]}, "time": 5});
    let events = format!("[1700000000.5, {record}][1700000000.5, {{\"n\":1}}][1700000001, {{\"n\":2}}]");
    let keys = "    Database logs\n    Tag_Keys host\n    Sequence_Tag off\n    Compress gzip\n";
    send(&lab, &conf("influxdb", port, keys), &events).says(&["output influxdb.0: 3 records"]);
    let rows = rows(port, "SELECT * FROM \"t.x\" ORDER BY time");
    assert_eq!(rows.len(), 3, "points of one time stay apart: {rows:?}");
    let first = &rows[0];
    for (name, value) in [
        ("time", json!(1_700_000_000_500_000_000_i64)),
        ("log", json!(text)),
        ("host", json!(tag)),
        (key, json!("v")),
        ("n", json!(-7)),
        ("f", json!(0.1)),
        ("small", json!(1.25e-9)),
        ("ok", json!(true)),
        ("m", json!("{\"k\":[\"q\"]}")),
        ("time_", json!(5)),
    ] {
        assert_eq!(first.get(name), Some(&value), "{name}: {first:?}");
    }
    assert_eq!(rows[1]["time"], json!(1_700_000_000_500_000_001_i64));
    // What the server refuses comes back in its words: the field n is a float by now.
    let done = send(&lab, &conf("influxdb", port, "    Database logs\n"), "[1700000002, {\"n\":\"text\"}]");
    done.says(&["HTTP status 400", "field type conflict", "1 rejected, 0 dropped"]);
    send(&lab, &conf("influxdb", port, "    Database none\n    Retry_Limit no_retries\n"), "{\"n\":1}")
        .says(&["database not found"]);
}

/// The Python package that reads OTLP, installed once for all runs.
fn otlp_reader() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("opentelemetry-proto");
    if !dir.join("opentelemetry").exists() {
        let args = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--target"];
        let pip = Command::new("python3").args(args).arg(&dir).arg("opentelemetry-proto").output();
        if !pip.is_ok_and(|out| out.status.success()) {
            skip("pip cannot install opentelemetry-proto");
            return None;
        }
    }
    Some(dir)
}

const READ_OTLP: &str = r"
import sys, json
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from google.protobuf.json_format import MessageToDict
request = ExportLogsServiceRequest()
request.ParseFromString(open(sys.argv[1], 'rb').read())
json.dump(MessageToDict(request), sys.stdout)
";

#[test]
fn opentelemetrys_own_code_reads_our_logs() {
    let Some(reader) = otlp_reader() else { return };
    let server = HttpSink::new(|_, _| Answer::new(200, ""));
    let lab = Lab::new("http-out-otel");
    let events = r#"[[1700000000.125, {"other":1,"otlp":{"severity_number":17,"severity_text":"ERROR","trace_id":"0102030405060708090a0b0c0d0e0f10","span_id":"0102030405060708","trace_flags":1,"observed_timestamp":1700000000200000000,"attributes":{"a":"b"}}}], {"log":"grün \"q\" 😀","n":-7,"f":1.5,"t":false,"z":null,"m":{"k":[1,"x",{}]}}]
        [1700000001, {"n":1,"list":["a"],"u":18446744073709551615}]"#;
    let keys = "    Logs_Body_Key $log\n    Logs_Body_Key_Attributes on\n    Batch_Size 100\n";
    send(&lab, &conf("opentelemetry", server.port(), keys), events).silent_about(&["not sent"]);
    let requests = server.requests();
    let [request] = &requests[..] else { panic!("{} requests", requests.len()) };
    assert_eq!((request.path.as_str(), request.header("content-type")), ("/v1/logs", Some("application/x-protobuf")));
    lab.write("request", &request.body);
    lab.write("read.py", READ_OTLP);
    let run = Command::new("python3")
        .args([lab.path("read.py"), lab.path("request")])
        .env("PYTHONPATH", &reader)
        .output()
        .unwrap();
    let read: Value = serde_json::from_slice(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run:?}"));
    let records = &read["resourceLogs"][0]["scopeLogs"][0]["logRecords"];
    let text = |s: &str| json!({"stringValue": s});
    let pair = |key: &str, value: Value| json!({"key": key, "value": value});
    let list = json!({"values": [{"intValue": "1"}, text("x"), {"kvlistValue": {}}]});
    let want = json!([
        {
            "timeUnixNano": "1700000000125000000", "observedTimeUnixNano": "1700000000200000000",
            "severityNumber": "SEVERITY_NUMBER_ERROR", "severityText": "ERROR", "body": text("grün \"q\" 😀"), "flags": 1,
            "traceId": "AQIDBAUGBwgJCgsMDQ4PEA==", "spanId": "AQIDBAUGBwg=",
            "attributes": [
                pair("other", json!({"intValue": "1"})), pair("n", json!({"intValue": "-7"})), pair("f", json!({"doubleValue": 1.5})),
                pair("t", json!({"boolValue": false})), pair("z", json!({})),
                pair("m", json!({"kvlistValue": {"values": [pair("k", json!({"arrayValue": list}))]}})), pair("a", text("b")),
            ],
        },
        {
            "timeUnixNano": "1700000001000000000",
            "body": {"kvlistValue": {"values": [
                pair("n", json!({"intValue": "1"})), pair("list", json!({"arrayValue": {"values": [text("a")]}})),
                pair("u", text("18446744073709551615")),
            ]}},
        },
    ]);
    assert_eq!(*records, want, "{records:#}");
    // Without them, what is left out is said.
    send(&lab, &conf("opentelemetry", server.port(), ""), r#"{"message":"x","n":1}"#)
        .says(&["set Logs_Body_Key_Attributes on"]);
}

/// nginx with TLS in front of a server, taking bodies up to a limit.
fn nginx(lab: &Lab, behind: u16) -> Option<(Daemon, u16)> {
    let program = "/usr/sbin/nginx";
    if !Path::new(program).exists() {
        skip("nginx is not installed");
        return None;
    }
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    lab.write("ca.pem", ca.pem());
    lab.write("cert.pem", cert.pem());
    lab.write("key.pem", key.serialize_pem());
    let (port, dir) = (free_port(), lab.path("").display().to_string());
    let conf = format!(
        "daemon off;\nmaster_process off;\nuser root;\npid {dir}/nginx.pid;\nerror_log {dir}/nginx.log;\nevents {{}}\nhttp {{\n access_log off;\n \
         client_body_temp_path {dir}/body;\n proxy_temp_path {dir}/proxy;\n fastcgi_temp_path {dir}/f;\n uwsgi_temp_path {dir}/u;\n \
         scgi_temp_path {dir}/s;\n server {{\n  listen 127.0.0.1:{port} ssl;\n  ssl_certificate {dir}/cert.pem;\n  ssl_certificate_key \
         {dir}/key.pem;\n  client_max_body_size 8k;\n  location / {{ proxy_pass http://127.0.0.1:{behind}; }}\n }}\n}}\n"
    );
    let conf = lab.write("nginx.conf", conf);
    let out = || fs::File::create(lab.path("nginx.out")).unwrap();
    let child = Command::new(program).arg("-c").arg(conf).stdout(out()).stderr(out()).spawn().unwrap();
    let daemon = Daemon(child);
    assert!(until(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()), "{}", lab.show());
    Some((daemon, port))
}

/// The numbers of the lines in all bodies.
fn numbers<'a>(bodies: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let lines = bodies.flat_map(str::lines).filter_map(|l| serde_json::from_str::<Value>(l).ok());
    let mut numbers: Vec<usize> = lines.filter_map(|v| Some(v["n"].as_u64()? as usize)).collect();
    numbers.sort_unstable();
    numbers
}

/// Its answer 413 makes requests smaller; what is longer than its limit alone is refused.
#[test]
fn through_nginx_with_tls_in_smaller_requests() {
    let server = HttpSink::new(|_, _| Answer::new(200, ""));
    let lab = Lab::new("http-out-nginx");
    let Some((_daemon, port)) = nginx(&lab, server.port()) else { return };
    let mut events: String = (0..500).fold(String::new(), |mut all, n| {
        writeln!(all, "{{\"n\":{n},\"fill\":\"{}\"}}", "x".repeat(100)).unwrap();
        all
    });
    writeln!(events, "{{\"n\":500,\"fill\":\"{}\"}}", "x".repeat(9000)).unwrap();
    let keys = "    Format json_lines\n    tls on\n    tls.ca_file ca.pem\n    net.dns.prefer_ipv4 on\n";
    let conf = conf("http", port, keys).replace("Host 127.0.0.1", "Host localhost");
    send(&lab, &conf, &events).says(&[
        "(413): smaller ones from now on",
        "the server takes no record of",
        "1 rejected, 0 dropped",
    ]);
    let requests: Vec<String> = server.requests().iter().map(Request::text).collect();
    assert_eq!(numbers(requests.iter().map(String::as_str)), (0..500).collect::<Vec<_>>());
    assert!(requests.iter().all(|r| r.len() <= 8192) && requests.len() < 40, "{}", requests.len());
}

/// Writes each body down, then answers.
const STORE: &str = r"
import sys, http.server
class Store(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        with open(sys.argv[2], 'ab') as out:
            out.write(body)
        self.send_response(204)
        self.end_headers()
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Store).serve_forever()
";

/// kill -9 of the server in the middle of a load, twice: every line arrives once or more.
#[test]
fn a_server_that_is_killed_under_load_loses_nothing() {
    const LINES: usize = 60_000;
    let lab = Lab::new("http-out-kill");
    let port = free_port();
    lab.write("store.py", STORE);
    let (script, store) = (lab.path("store.py"), lab.path("stored"));
    let start = || {
        let child = Command::new("python3").arg(&script).arg(port.to_string()).arg(&store).spawn().unwrap();
        let daemon = Daemon(child);
        assert!(until(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()));
        daemon
    };
    if Command::new("python3").arg("--version").output().is_err() {
        return skip("no python3");
    }
    let stored = || fs::metadata(&store).map_or(0, |m| m.len());
    let mut server = start();
    let text: String = (0..LINES).fold(String::new(), |mut all, n| {
        writeln!(all, "{{\"n\":{n},\"log\":\"{}\"}}", "y".repeat(60)).unwrap();
        all
    });
    lab.write("in.log", "");
    lab.write("parsers.conf", "[PARSER]\n    Name j\n    Format json\n");
    let input = "Name tail\n    Path in.log\n    Read_from_Head on\n    Parser j\n    DB t.db\n    Mem_Buf_Limit 1M";
    let conf = conf("http", port, "    Format json_lines\n").replace("Name stdin", input);
    let run: Proc = lab.start(&conf.replace("[SERVICE]\n", "[SERVICE]\n    Parsers_File parsers.conf\n"));
    // A fifth at a time, so that it is killed while lines come.
    let pieces: Vec<&str> = text.split_inclusive('\n').collect();
    for (n, piece) in pieces.chunks(LINES / 5).enumerate() {
        lab.append("in.log", piece.concat());
        if n == 1 || n == 3 {
            let before = stored();
            lab.wait("more at the server", || stored() > before);
            drop(server);
            std::thread::sleep(Duration::from_millis(300));
            server = start();
        }
    }
    let all = || numbers(fs::read_to_string(&store).unwrap_or_default().split('\0'));
    let mut got = Vec::new();
    lab.wait("every line at the server", || {
        got = all();
        got.dedup();
        got.len() == LINES
    });
    run.term().code(0);
    drop(server);
    assert_eq!(got, (0..LINES).collect::<Vec<_>>());
    let twice = all().len() - LINES;
    assert!(twice < LINES, "{twice} came twice");
}

/// A server that hangs up in the middle of requests and of answers.
#[test]
fn a_server_that_hangs_up_gets_everything_in_the_end() {
    let server = HttpSink::raw(|request, before, stream| match before % 4 {
        0 => false,
        1 => {
            let _ = std::io::Write::write_all(&mut &*stream, b"HTTP/1.1 20");
            false
        }
        2 => write(stream, &Answer::new(502, "bad gateway")).is_ok(),
        _ => write(stream, &Answer::new(200, request.path.clone())).is_ok(),
    });
    let lab = Lab::new("http-out-hangs-up");
    let events: String = (0..2000).fold(String::new(), |mut all, n| {
        writeln!(all, "{{\"n\":{n}}}").unwrap();
        all
    });
    send(&lab, &conf("http", server.port(), "    Format json_lines\n"), &events).says(&["output http.0: 2000 records"]);
    let good: Vec<String> =
        server.requests().iter().enumerate().filter(|(n, _)| n % 4 == 3).map(|(_, r)| r.text()).collect();
    assert_eq!(numbers(good.iter().map(String::as_str)), (0..2000).collect::<Vec<_>>());
}
