//! Time per line of captures: the lowered matcher beside the `regex` crate on the same patterns and lines.
//!
//! `cargo bench --profile quick --bench cut`; arguments after `--` pick patterns by name.

use std::hint::black_box;
use std::time::Instant;

use collector::parse::regex::{Regex, Slots};

const REQUEST: &str = r#"(?<method>\S+)(?: +(?<path>[^\"]*?)(?: +\S*)?)?"#;
const AGENT: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_1) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/32.0.1700.77 Safari/537.36";
const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Name, pattern, lines.
fn cases() -> Vec<(&'static str, String, Vec<String>)> {
    let web: Vec<String> = (0..64u64)
        .map(|i| {
            let host = format!("{}.{}.{}.{}", 10 + i * 3 % 200, i * 7 % 256, i % 256, i * 31 % 256);
            let paths = [
                "/",
                "/index.html",
                "/images/kibana-search.png",
                "/presentations/logstash-monitorama-2013/css/print.css",
            ];
            let referers = ["-", "http://semicomplete.com/presentations/", "https://www.example.org/a?b=c"];
            let path = paths[i as usize % 4];
            let referer = referers[i as usize % 3];
            let agent = &AGENT[..[AGENT.len(), 11, 70, 101, 90][i as usize % 5]];
            let (code, size) = ([200, 304, 404][i as usize % 3], i * i * 977 % 200_000);
            let time = format!("[17/May/2015:10:{:02}:{:02} +0000]", i % 60, i * 7 % 60);
            format!(r#"{host} - - {time} "GET {path} HTTP/1.1" {code} {size} "{referer}" "{agent}""#)
        })
        .collect();
    let many = |make: &dyn Fn(usize) -> String| (0..64).map(make).collect::<Vec<_>>();
    let words = "Invalidating dataplane cache after the peer went away and came back again with another address";
    vec![
        (
            "apache2",
            r#"^(?<host>[^ ]*) [^ ]* (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>\S+)(?: +(?<path>[^ ]*) +\S*)?" (?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>[^\"]*)" "(?<agent>.*)")?$"#.into(),
            web.clone(),
        ),
        (
            "apache",
            format!(
                r#"^(?<host>[^ ]*) [^ ]* (?<user>[^ ]*) \[(?<time>[^\]]*)\] "{REQUEST}" (?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>[^\"]*)" "(?<agent>[^\"]*)")?$"#
            ),
            web.clone(),
        ),
        (
            "nginx",
            format!(
                r#"^(?<remote>[^ ]*) (?<host>[^ ]*) (?<user>[^ ]*) \[(?<time>[^\]]*)\] "{REQUEST}" (?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>[^\"]*)" "(?<agent>[^\"]*)")?"#
            ),
            web.clone(),
        ),
        (
            "ingress",
            format!(
                r#"^(?<host>[^ ]*) - \[(?<real_ip>[^ ]*)\] - (?<user>[^ ]*) \[(?<time>[^\]]*)\] "{REQUEST}" (?<code>[^ ]*) (?<size>[^ ]*) "(?<referer>[^\"]*)" "(?<agent>[^\"]*)" (?<request_length>[^ ]*) (?<request_time>[^ ]*) \[(?<proxy_upstream_name>[^ ]*)\] (?<upstream_addr>[^ ]*) (?<upstream_response_length>[^ ]*) (?<upstream_response_time>[^ ]*) (?<upstream_status>[^ ]*) (?<last>[^$]*)"#
            ),
            many(&|i| {
                format!(
                    r#"10.0.{i}.1 - [10.0.{i}.1] - - [19/Sep/2022:09:10:11 +0000] "POST /api/v1/{i} HTTP/2.0" 201 12 "-" "curl/7.79.1" 312 0.00{i} [default-api-80] 10.1.2.{i}:8080 12 0.003 201 5b3f{i}"#
                )
            }),
        ),
        (
            "cri",
            r"^(?<time>[^ ]+) (?<stream>stdout|stderr) (?<logtag>[^ ]*) (?<message>.*)$".into(),
            many(&|i| {
                let stream = ["stdout", "stderr"][i % 2];
                format!("2017-09-12T22:32:21.2128{i:05}Z {stream} F {}", &words[..20 + i])
            }),
        ),
        (
            "rfc3164",
            r"/^\<(?<pri>[0-9]+)\>(?<time>[^ ]* {1,2}[^ ]* [^ ]*) (?<host>[^ ]*) (?<ident>[a-zA-Z0-9_\/\.\-]*)(?:\[(?<pid>[0-9]+)\])?(?:[^\:]*\:)? *(?<message>.*)$/".into(),
            many(&|i| format!("<{}>Oct {:2} 22:14:15 mymachine{i} sshd[{}]: {}", i + 1, i % 28, i * 991, &words[..20 + i])),
        ),
        (
            "rfc5424",
            r"^\<(?<pri>[0-9]{1,5})\>1 (?<time>[^ ]+) (?<host>[^ ]+) (?<ident>[^ ]+) (?<pid>[-0-9]+) (?<msgid>[^ ]+) (?<extradata>(\[(.*)\]|-)) (?<message>.+)$".into(),
            many(&|i| {
                let data = [r#"[ex@32473 iut="3" eventSource="Application"]"#, "-"][i % 2];
                format!("<{}>1 2018-10-11T22:14:15.{:03}Z mymach.it{i} e {i} ID{i} {data} {}", i + 1, i * 7, &words[..20 + i])
            }),
        ),
        (
            "k8s-tag",
            r"(?<pod_name>[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)_(?<namespace_name>[^_]+)_(?<container_name>.+)-(?<docker_id>[a-z0-9]{64})\.log$".into(),
            many(&|i| format!("coredns-5d78c9869d-abc{i:02}_kube-system_coredns-{ID}.log")),
        ),
        (
            "k8s-path",
            r"(?<pod_name>[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)_(?<namespace_name>[^_]+)_(?<container_name>.+)-(?<docker_id>[a-z0-9]{64})\.log$".into(),
            many(&|i| format!("/var/log/containers/coredns-5d78c9869d-abc{i:02}_kube-system_coredns-{ID}.log")),
        ),
        (
            "mongodb",
            r"^(?<time>[^ ]*)\s+(?<severity>\w)\s+(?<component>[^ ]+)\s+\[(?<context>[^\]]+)]\s+(?<message>.*?) *(?<ms>(\d+))?(:?ms)?$".into(),
            many(&|i| format!("2021-04-05T06:07:08.910+0000 I  COMMAND  [conn{i}] {} {i}ms", &words[..20 + i])),
        ),
        (
            "docker",
            r#"time="(?<time>[^ ]*)" level=(?<level>[^ ]*) msg="(?<msg>[^ ].*)""#.into(),
            many(&|i| format!(r#"dockerd[{i}]: time="2021-03-04T05:06:07.8Z" level=info msg="{}""#, &words[..20 + i])),
        ),
        ("no match", r"^(?<time>[^ ]+) (?<stream>stdout|stderr) (?<logtag>[^ ]*) (?<message>.*)$".into(), web.clone()),
    ]
}

/// Nanoseconds per line, the best of several rounds.
fn measure(lines: &[String], rounds: usize, mut each: impl FnMut(&[u8]) -> bool) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..rounds {
        let turns = 40;
        let begin = Instant::now();
        for _ in 0..turns {
            for line in lines {
                black_box(each(black_box(line.as_bytes())));
            }
        }
        best = best.min(begin.elapsed().as_nanos() as f64 / (turns * lines.len()) as f64);
    }
    best
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // Without `--bench` this runs as a test: does everything work?
    let rounds = if words.iter().any(|word| word == "--bench") { 25 } else { 1 };
    let wanted: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    println!("{:12} {:>6} {:>9} {:>9} {:>7}  engine", "pattern", "bytes", "regex ns", "ours ns", "ratio");
    for (name, pattern, lines) in cases() {
        if !wanted.is_empty() && !wanted.iter().any(|w| name.contains(w.as_str())) {
            continue;
        }
        let ours = Regex::new(&pattern).unwrap_or_else(|e| panic!("{name}: {e}"));
        // The same pattern as the `regex` crate wants it: its own meaning of `\<`, its own set of blanks.
        let plain = pattern.strip_prefix('/').and_then(|p| p.strip_suffix('/')).unwrap_or(&pattern);
        let plain = plain.replace(r"\<", "<").replace(r"\>", ">").replace(r"\S", r"[^\t-\r ]");
        let theirs =
            regex::bytes::RegexBuilder::new(&plain).multi_line(true).build().unwrap_or_else(|e| panic!("{name}: {e}"));
        let (mut slots, mut locations) = (Slots::default(), theirs.capture_locations());
        let fast = measure(&lines, rounds, |line| ours.captures(line, &mut slots));
        let slow = measure(&lines, rounds, |line| theirs.captures_read(&mut locations, line).is_some());
        let bytes = lines.iter().map(String::len).sum::<usize>() / lines.len();
        println!("{name:12} {bytes:6} {slow:9.0} {fast:9.1} {:7.1}  {}", slow / fast, ours.engine());
    }
}
