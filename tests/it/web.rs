//! The http input beside clients of every kind.

use crate::lab::{Lab, Proc, free_port, is_native, skip};
use collector::fmt::codec::Codec;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

const JSON: &str = "[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n    Json_Date_Key false\n";

/// Starts an input with these keys; the port.
pub fn start(lab: &Lab, input: &str, keys: &str, output: &str) -> (Proc, u16) {
    let port = free_port();
    let mut run = lab.start(&format!(
        "[SERVICE]\n    Flush 0.05\n    Grace 2\n[INPUT]\n    Name {input}\n    Listen 127.0.0.1\n    Port {port}\n{keys}{output}"
    ));
    run.wait_stderr("listening on");
    (run, port)
}

/// An answer: its status, its head and its body.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Sends bytes and reads until the server closes the connection; all answers, one after the other, as they came.
pub fn raw(port: u16, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // A server that refuses may close before it has read everything.
    let _ = stream.write_all(bytes);
    let mut got = Vec::new();
    let _ = stream.read_to_end(&mut got);
    String::from_utf8_lossy(&got).into_owned()
}

/// One request on a connection of its own.
pub fn send(port: u16, method: &str, path: &str, fields: &str, body: &[u8]) -> Got {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{fields}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let text = raw(port, &[head.as_bytes(), body].concat());
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    Got { status, head: head.to_owned(), body: body.to_owned() }
}

fn post(port: u16, path: &str, kind: &str, body: impl AsRef<[u8]>) -> Got {
    send(port, "POST", path, &format!("Content-Type: {kind}\r\n"), body.as_ref())
}

fn json(port: u16, path: &str, body: impl AsRef<[u8]>) -> u16 {
    post(port, path, "application/json", body).status
}

/// The peak of a child's memory, in KiB.
fn peak(run: &Proc) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", run.pid())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn bodies_of_every_kind() {
    let lab = Lab::new("web-bodies");
    let keys = "    Success_Header X-One 1\n    Success_Header X-Two two words\n    Add_Remote_Addr on\n    Remote_Addr_Key from\n";
    let output = "[FILTER]\n    Name record_modifier\n    Match app.log\n    Record tag app.log\n[FILTER]\n    Name record_modifier\n    Match a_b\n    Record tag a_b\n";
    let (mut run, port) = start(&lab, "http", keys, &format!("{output}{JSON}"));
    let got = post(port, "/app.log", "application/json; charset=utf-8", "{\"a\":1}");
    assert_eq!((got.status, got.body.as_str()), (201, ""));
    assert!(got.head.contains("X-One: 1\r\n") && got.head.contains("X-Two: two words\r\n"), "{}", got.head);
    assert_eq!(json(port, "/a/b?x=y", "[{\"a\":2},{\"a\":3}]"), 201);
    assert_eq!(post(port, "/", "application/x-ndjson", "{\"a\":4}\n{\"a\":5}\n").status, 201);
    assert_eq!(post(port, "/", "application/msgpack", [0x81, 0xa1, b'a', 6]).status, 201);
    assert_eq!(post(port, "/", "application/x-www-form-urlencoded", "a=7&b=c+d%21").status, 201);
    for (n, codec) in [Codec::Gzip, Codec::Zlib, Codec::Zstd, Codec::Snappy].into_iter().enumerate() {
        let mut packed = Vec::new();
        codec.pack(format!("{{\"z\":{n}}}").as_bytes(), &mut packed);
        let name = ["gzip", "deflate", "zstd", "snappy"][n];
        let fields = format!("Content-Type: application/json\r\nContent-Encoding: {name}\r\n");
        assert_eq!(send(port, "POST", "/", &fields, &packed).status, 201, "{name}");
    }
    let fields = "Content-Type: application/json\r\nX-Forwarded-For: 192.0.2.7, 10.0.0.1\r\n";
    assert_eq!(send(port, "POST", "/", fields, b"{\"a\":8}").status, 201);
    for want in [
        "{\"a\":1,\"from\":\"127.0.0.1\",\"tag\":\"app.log\"}\n",
        "{\"a\":2,\"from\":\"127.0.0.1\",\"tag\":\"a_b\"}\n{\"a\":3,\"from\":\"127.0.0.1\",\"tag\":\"a_b\"}\n",
        "{\"a\":4,\"from\":\"127.0.0.1\"}\n{\"a\":5,\"from\":\"127.0.0.1\"}\n",
        "{\"a\":6,\"from\":\"127.0.0.1\"}\n",
        "{\"a\":\"7\",\"b\":\"c d!\",\"from\":\"127.0.0.1\"}\n",
        "{\"z\":3,\"from\":\"127.0.0.1\"}\n",
        "{\"a\":8,\"from\":\"192.0.2.7\"}\n",
    ] {
        // Answered, so delivered.
        assert!(run.stdout().contains(want), "no {want}\n{}", run.show(None));
    }
    // What is wrong is said, and nothing of it is taken.
    let got = post(port, "/", "application/json", "{\"never\":1}\n{\"never\":}");
    assert_eq!(
        (got.status, got.body.as_str()),
        (400, "invalid JSON: expected a value at byte 21 of the body, in line 2\n")
    );
    assert_eq!(post(port, "/", "text/plain", "never").status, 415);
    assert_eq!(send(port, "GET", "/", "", b"").status, 405);
    assert_eq!(send(port, "GET", "/health", "", b"").status, 405);
    assert_eq!(json(port, &format!("/{}", "x".repeat(300)), "{}"), 414);
    let packed = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
    assert_eq!(send(port, "POST", "/", packed, b"{}").status, 400);
    assert_eq!(send(port, "POST", "/", &packed.replace("gzip", "br"), b"{}").status, 415);
    run.wait_stderr("sent a request that is refused: invalid JSON");
    let done = run.term().code(0).says(&["input http.0: 12 records", "refused requests"]);
    assert!(!done.stdout.contains("never"), "{}", done.report());
}

#[test]
fn tags_of_records() {
    let lab = Lab::new("web-tags");
    let output = "[FILTER]\n    Name record_modifier\n    Match one\n    Record tag one\n";
    let (run, port) = start(&lab, "http", "    Tag_Key $k['t']\n    Tag none\n", &format!("{output}{JSON}"));
    let many: Vec<String> = (0..300).map(|n| format!("{{\"k\":{{\"t\":\"t{n}\"}}}}")).collect();
    assert_eq!(json(port, "/", "[{\"a\":1,\"k\":{\"t\":\"one\"}},{\"a\":2},{\"a\":3,\"k\":{\"t\":\"one\"}}]"), 201);
    assert_eq!(json(port, "/", many.join("\n")), 400);
    let done = run.term().code(0).says(&["name more than 256 tags"]);
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert!(lines.contains(&"{\"a\":2}") && lines.len() == 3, "{}", done.report());
    assert!(lines.iter().filter(|l| l.ends_with("\"tag\":\"one\"}")).count() == 2, "{}", done.report());
}

#[test]
fn logins() {
    let lab = Lab::new("web-logins");
    let keys = "    HTTP_User joe\n    HTTP_Passwd secret\n    Bearer_Token t0k3n\n    Enable_Health_Endpoint on\n    Successful_Response_Code 204\n";
    let (mut run, port) = start(&lab, "http", keys, JSON);
    let with =
        |fields: &str| send(port, "POST", "/", &format!("Content-Type: application/json\r\n{fields}"), b"{\"in\":1}");
    let refused = with("");
    assert_eq!(refused.status, 401);
    assert!(
        refused.head.contains("WWW-Authenticate: Basic realm=") && refused.head.contains("WWW-Authenticate: Bearer")
    );
    assert_eq!(with("Authorization: Basic am9lOndyb25n\r\n").status, 401);
    assert_eq!(with("Authorization: Basic am9lOnNlY3JldA==\r\n").status, 204);
    assert_eq!(with("Authorization: Bearer t0k3n\r\n").status, 204);
    assert_eq!(send(port, "GET", "/health", "", b"").body, "{\"status\":\"ok\"}");
    run.wait_stderr("has not logged in");
    run.term().code(0).says(&["input http.0: 2 records", "2 refused logins"]);
}

/// As Amazon Data Firehose posts.
#[test]
fn firehose() {
    let lab = Lab::new("web-firehose");
    let (run, port) = start(&lab, "http", "    Bearer_Token key\n    Successful_Response_Code 204\n", JSON);
    let fields = |key: &str| {
        format!(
            "Content-Type: application/json\r\nX-Amz-Firehose-Protocol-Version: 1.0\r\nX-Amz-Firehose-Request-Id: r-1\r\n\
             X-Amz-Firehose-Source-Arn: arn:aws:firehose:us-east-1:1:deliverystream/s\r\nX-Amz-Firehose-Access-Key: {key}\r\n"
        )
    };
    // {"a":1} and the text "line".
    let body =
        br#"{"requestId":"r-1","timestamp":1578090901599,"records":[{"data":"eyJhIjoxfQ=="},{"data":"bGluZQo="}]}"#;
    let got = send(port, "POST", "/fire", &fields("key"), body);
    assert_eq!(got.status, 200);
    assert!(got.body.starts_with("{\"requestId\":\"r-1\",\"timestamp\":"), "{}", got.body);
    assert!(got.head.contains("Content-Type: application/json"), "{}", got.head);
    assert_eq!(send(port, "POST", "/fire", &fields("no"), body).status, 401);
    let got = send(port, "POST", "/fire", &fields("key"), b"{\"requestId\":\"r-1\"}");
    assert_eq!(got.status, 400);
    assert!(
        got.body.contains("\"errorMessage\":\"not a request of Amazon Data Firehose: it has no records\""),
        "{}",
        got.body
    );
    run.term().code(0).prints("{\"a\":1}\n{\"log\":\"line\"}\n");
}

#[test]
fn one_connection_many_requests() {
    let lab = Lab::new("web-pipelined");
    let (run, port) = start(&lab, "http", "", JSON);
    let one = |n: usize| {
        format!(
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{{\"n\":{n}}}"
        )
    };
    let chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\n{\"n\r\n4;x=y\r\n\":3}\r\n0\r\nA: b\r\n\r\n";
    let all = format!("{}{}{}{chunked}", one(0), one(1), one(2));
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    for piece in all.as_bytes().chunks(11) {
        stream.write_all(piece).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut got = String::new();
    stream.read_to_string(&mut got).unwrap();
    assert_eq!(got.matches("HTTP/1.1 201 Created").count(), 4, "{got}");
    run.term().code(0).prints("{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
}

#[test]
fn curl() {
    if Command::new("curl").arg("--version").output().is_err() {
        return skip("curl is not here");
    }
    let lab = Lab::new("web-curl");
    let key = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let crt = lab.write("s.crt", key.cert.pem());
    let private = lab.write("s.key", key.signing_key.serialize_pem());
    let tls = format!("    tls on\n    tls.crt_file {}\n    tls.key_file {}\n", crt.display(), private.display());
    let (run, port) = start(&lab, "http", &format!("{tls}    HTTP_User u\n    HTTP_Passwd p\n"), JSON);
    let curl = |args: &[&str]| {
        let resolve = format!("localhost:{port}:127.0.0.1");
        let common = [
            "-sS",
            "--resolve",
            &resolve,
            "--cacert",
            crt.to_str().unwrap(),
            "-u",
            "u:p",
            "-w",
            "%{http_code} %{http_version}",
            "-o",
            "/dev/null",
        ];
        let url = format!("https://localhost:{port}/");
        let out = Command::new("curl").args(common).args(args).arg(&url).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
    };
    let content = ["-H", "Content-Type: application/json"];
    assert_eq!(curl(&[&content[..], &["-d", "{\"c\":1}"]].concat()), "201 1.1");
    // Longer than a megabyte: curl asks with Expect: 100-continue.
    let long = format!("{{\"c\":2,\"long\":\"{}\"}}", "x".repeat(1_500_000));
    lab.write("long.json", &long);
    let file = format!("@{}", lab.path("long.json").display());
    assert_eq!(curl(&[&content[..], &["--data-binary", &file]].concat()), "201 1.1");
    assert_eq!(
        curl(&[&content[..], &["-H", "Transfer-Encoding: chunked", "--data-binary", &file]].concat()),
        "201 1.1"
    );
    let plain = Command::new("curl").args(["-s", &format!("http://127.0.0.1:{port}/")]).output().unwrap();
    assert!(!plain.status.success());
    lab.write("huge.json", vec![b' '; 5 << 20]);
    let huge = format!("@{}", lab.path("huge.json").display());
    assert_eq!(curl(&[&content[..], &["--data-binary", &huge]].concat()), "413 1.1");
    run.term().code(0).says(&["input http.0: 3 records"]);
}

#[test]
fn python() {
    const SCRIPT: &str = "import http.client, json, sys\nc = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]))\nfor n in range(50):\n    c.request('POST', '/py', json.dumps([{'n': n}, {'text': 'caf\\u00e9'}]), {'Content-Type': 'application/json'})\n    r = c.getresponse()\n    assert (r.status, r.read()) == (201, b''), r.status\nc.request('POST', '/py', iter([b'{\"n\":', b'50}']), {'Content-Type': 'application/json'}, encode_chunked=True)\nassert c.getresponse().status == 201\n";
    let lab = Lab::new("web-python");
    let (run, port) = start(&lab, "http", "", JSON);
    match Command::new("python3").args(["-c", SCRIPT, &port.to_string()]).output() {
        Ok(out) => assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr)),
        Err(_) => return skip("python3 is not here"),
    }
    run.term().code(0).says(&["input http.0: 101 records, "]).shows(&["{\"n\":50}\n", "{\"text\":\"caf\\u00e9\"}\n"]);
}

/// What two servers could take for different requests ends the connection, and so does what never ends.
#[test]
fn hostile_requests() {
    let lab = Lab::new("web-hostile");
    let (mut run, port) = start(&lab, "http", "    Request_Timeout 1s\n    Buffer_Max_Size 1M\n", JSON);
    let smuggled =
        "POST /smuggled HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"x\":1}";
    let with =
        |fields: &str, rest: &str| format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n{rest}{smuggled}").into_bytes();
    let flood: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    for (status, request) in [
        (400, with("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
        (400, with("Content-Length: 2\r\nContent-Length: 4\r\n", "{}")),
        (400, with("Content-Length: 2, 2\r\n", "{}")),
        (400, with("Content-Length: +2\r\n", "{}")),
        (400, with("Content-Length : 2\r\n", "{}")),
        (400, with("Content-Length:\t2\r\n A: b\r\n", "{}")),
        (400, with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n")),
        (501, with("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n")),
        (501, with("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")),
        (400, with("Transfer-Encoding: chunked\r\n", "2\n{}\n0\n\n")),
        (400, with("Transfer-Encoding: chunked\r\n", "2 \r\n{}\r\n0\r\n\r\n")),
        (413, with("Transfer-Encoding: chunked\r\n", "FFFFFFFF\r\n")),
        (413, with("Content-Length: 99999999999\r\n", "")),
        (400, with("Content-Length: 99999999999999999999\r\n", "")),
        (431, with(&flood, "")),
        (431, with(&format!("A: {}\r\n", "x".repeat(20_000)), "")),
        (414, format!("GET /{} HTTP/1.1\r\n", "x".repeat(20_000)).into_bytes()),
        (400, b"POST / HTTP/1.1\nHost: h\n\n".to_vec()),
        (400, b"POST / HTTP/1.1\r\n\r\n".to_vec()),
        (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        (400, b"\x16\x03\x01\x02\x00\x01\x00\x01".to_vec()),
        (408, b"POST / HTTP/1.1\r\nHost: h\r\n".to_vec()),
        (408, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{".to_vec()),
    ] {
        let got = raw(port, &request);
        let shown = String::from_utf8_lossy(&request[..request.len().min(200)]).into_owned();
        assert!(got.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?} -> {got:?}");
        assert_eq!(got.matches("\r\n\r\n").count(), 1, "{shown:?} -> {got:?}");
    }
    // A bomb: 100 MB of blanks in 100 kB.
    let mut bomb = Vec::new();
    Codec::Gzip.pack(&vec![b' '; 100 << 20], &mut bomb);
    let fields = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
    assert_eq!(send(port, "POST", "/", fields, &bomb).status, 413);
    assert_eq!(json(port, "/", "[".repeat(100_000)), 400);
    assert_eq!(json(port, "/", "{\"served\":1}"), 201);
    run.wait_stdout("{\"served\":1}\n");
    run.wait_stderr("sent a request that is refused: Content-Length and Transfer-Encoding in one request");
    run.term().code(0).prints("{\"served\":1}\n");
}

/// Many peers that send a byte now and then, and many that say they will send much: others are served, memory is bounded.
#[test]
fn slow_and_greedy_peers() {
    let lab = Lab::new("web-slow");
    let keys = "    Request_Timeout 5s\n    net.max_connections 600\n    Ack received\n";
    let (run, port) = start(&lab, "http", keys, "[OUTPUT]\n    Name null\n    Match *\n");
    let connect = || TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut slow: Vec<TcpStream> = (0..200).map(|_| connect()).collect();
    let mut greedy: Vec<TcpStream> = (0..200).map(|_| connect()).collect();
    let before = peak(&run);
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 4000000\r\n\r\n";
    let piece = [b' '; 50_000];
    for s in &mut greedy {
        s.set_nonblocking(true).unwrap();
        let _ = s.write(head);
    }
    let (begin, mut longest) = (Instant::now(), Duration::ZERO);
    while begin.elapsed() < Duration::from_secs(4) {
        for s in &mut greedy {
            let _ = s.write(&piece);
        }
        for s in &mut slow {
            let _ = s.write_all(b"G");
        }
        let asked = Instant::now();
        assert_eq!(json(port, "/", "{\"served\":1}"), 201);
        longest = longest.max(asked.elapsed());
    }
    let grown = peak(&run) - before;
    println!("slow and greedy peers: {grown} KiB more, longest answer {longest:?}");
    assert!(!is_native() || grown < 100 << 10, "{grown} KiB more");
    assert!(longest < Duration::from_secs(3), "{longest:?}");
    drop((slow, greedy));
    run.term().code(0).says(&["refused requests"]);
}

/// Nobody is told that records are safe which are not.
#[test]
fn answers_wait_for_the_delivery() {
    let lab = Lab::new("web-ack");
    let (_held, dead) = crate::lab::refused_port();
    let output = format!("[OUTPUT]\n    Name tcp\n    Match *\n    Host 127.0.0.1\n    Port {dead}\n");
    let (run, port) = start(&lab, "http", "    Ack_Timeout 1s\n    Mem_Buf_Limit 300K\n", &output);
    let got = post(port, "/", "application/json", "{\"a\":1}");
    assert_eq!(got.status, 503);
    assert!(got.head.contains("Retry-After: 5"), "{}", got.head);
    // Over the memory limit nothing more is taken.
    let big = format!("{{\"big\":\"{}\"}}", "x".repeat(400_000));
    assert_eq!(json(port, "/", &big), 503);
    let asked = Instant::now();
    let got = post(port, "/", "application/json", "{\"a\":2}");
    assert_eq!(got.status, 503);
    assert!(got.head.contains("Retry-After: 1\r\n") && asked.elapsed() > Duration::from_secs(4), "{got:?}");
    run.term().says(&["is told to come back", "1 told to come back", "2 late deliveries"]);
    // As Fluent Bit does.
    let (run, port) = start(&lab, "http", "    Ack received\n", &output);
    assert_eq!(json(port, "/", "{\"a\":1}"), 201);
    run.term();
    // On the disk records are safe, too.
    let stored = format!("{output}    storage.total_limit_size 1G\n");
    let port = free_port();
    let mut run = lab.start(&format!(
        "[SERVICE]\n    Flush 0.05\n    Grace 1\n    storage.path chunks\n[INPUT]\n    Name http\n    Listen 127.0.0.1\n    Port {port}\n    storage.type filesystem\n{stored}"
    ));
    run.wait_stderr("listening on");
    assert_eq!(json(port, "/", "{\"kept\":1}"), 201);
    run.kill();
}

/// A client that sends until it is told 2xx loses nothing when the program is killed again and again.
#[test]
fn killed_in_the_middle_of_a_load() {
    let lab = Lab::new("web-killed");
    let port = free_port();
    let out = lab.path("out");
    let conf = format!(
        "[SERVICE]\n    Flush 0.02\n[INPUT]\n    Name http\n    Listen 127.0.0.1\n    Port {port}\n[OUTPUT]\n    Name file\n    Match *\n    Path {}\n    File all\n    Format json_lines\n",
        out.display()
    );
    std::fs::create_dir_all(&out).unwrap();
    const BATCHES: usize = 1500;
    const EACH: usize = 50;
    let client = std::thread::spawn(move || {
        let mut stream: Option<TcpStream> = None;
        for batch in 0..BATCHES {
            let body: String = (0..EACH).map(|n| format!("{{\"n\":{}}}\n", batch * EACH + n)).collect();
            let request = format!(
                "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            loop {
                let Some(s) = &mut stream else {
                    stream = TcpStream::connect(("127.0.0.1", port)).ok();
                    std::thread::sleep(Duration::from_millis(2));
                    continue;
                };
                s.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                let mut answer = [0; 512];
                let n = s.write_all(request.as_bytes()).and_then(|()| s.read(&mut answer)).unwrap_or(0);
                if answer[..n].starts_with(b"HTTP/1.1 201 ") {
                    break;
                }
                stream = None;
            }
        }
    });
    let mut kills = 0;
    while !client.is_finished() {
        let mut run = lab.start(&conf);
        run.wait_stderr("listening on");
        let begin = Instant::now();
        while !client.is_finished() && begin.elapsed() < Duration::from_millis(50) {
            std::thread::sleep(Duration::from_millis(10));
        }
        run.kill();
        kills += 1;
        assert!(kills < 400, "it does not come to an end");
    }
    client.join().unwrap();
    let text = std::fs::read_to_string(out.join("all")).unwrap();
    let mut seen = vec![0u32; BATCHES * EACH];
    for line in text.lines() {
        // A kill may cut the last line of a file.
        let Some((_, n)) = line.split_once("\"n\":") else { continue };
        if let Some(count) = n.strip_suffix('}').and_then(|n| n.parse::<usize>().ok()).and_then(|n| seen.get_mut(n)) {
            *count += 1;
        }
    }
    let lost = seen.iter().filter(|n| **n == 0).count();
    println!("{kills} kills, {} lines came again", seen.iter().filter(|n| **n > 1).count());
    assert!(kills > 2, "the client was done before the first kills");
    assert_eq!(lost, 0);
}
