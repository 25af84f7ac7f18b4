//! The parsers that come with Fluent Bit, and patterns of users: each with a line and what it must find there.

use super::*;

/// Name, pattern, line, fields (those that took part).
type Case = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

const POD: &str = "coredns-5d78c9869d-abcde_kube-system_coredns-\
                   0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.log";

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("apache",
     r#"^(?<host>[^ ]*) [^ ]* (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>\S+)(?: +(?<path>[^\"]*?)(?: +\S*)?)?" (?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>[^\"]*)" "(?<agent>[^\"]*)")?$"#,
     r#"83.149.9.216 - - [17/May/2015:10:05:43 +0000] "GET /images/kibana-dashboard3.png HTTP/1.1" 200 171717 "http://semicomplete.com/" "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_1)""#,
     &[("host", "83.149.9.216"), ("user", "-"), ("time", "17/May/2015:10:05:43 +0000"), ("method", "GET"),
       ("path", "/images/kibana-dashboard3.png"), ("code", "200"), ("size", "171717"), ("referer", "http://semicomplete.com/"),
       ("agent", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_1)")]),
    ("apache2",
     r#"^(?<host>[^ ]*) [^ ]* (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>\S+)(?: +(?<path>[^ ]*) +\S*)?" (?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>[^\"]*)" "(?<agent>.*)")?$"#,
     r#"192.168.2.20 - frank [28/Jul/2006:10:27:10 -0300] "GET /cgi-bin/try/ HTTP/1.0" 200 3395 "-" "a "quoted" agent""#,
     &[("host", "192.168.2.20"), ("user", "frank"), ("time", "28/Jul/2006:10:27:10 -0300"), ("method", "GET"),
       ("path", "/cgi-bin/try/"), ("code", "200"), ("size", "3395"), ("referer", "-"), ("agent", "a \"quoted\" agent")]),
    ("apache_error",
     r#"^\[[^ ]* (?<time>[^\]]*)\] \[(?<level>[^\]]*)\](?: \[pid (?<pid>[^\]]*)\])?( \[client (?<client>[^\]]*)\])? (?<message>.*)$"#,
     "[Mon Dec 26 16:22:00 2016] [error] [client 192.168.33.1] File does not exist: /var/www/favicon.ico",
     &[("time", "Dec 26 16:22:00 2016"), ("level", "error"), ("client", "192.168.33.1"),
       ("message", "File does not exist: /var/www/favicon.ico")]),
    ("nginx",
     r#"^(?<remote>[^ ]*) (?<host>[^ ]*) (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>\S+)(?: +(?<path>[^\"]*?)(?: +\S*)?)?" (?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>[^\"]*)" "(?<agent>[^\"]*)")?$"#,
     r#"1.2.3.4 - - [29/Jul/2023:10:26:06 -0700] "GET /a path/with blanks HTTP/1.1" 400 157 "-" "-""#,
     &[("remote", "1.2.3.4"), ("host", "-"), ("user", "-"), ("time", "29/Jul/2023:10:26:06 -0700"), ("method", "GET"),
       ("path", "/a path/with blanks"), ("code", "400"), ("size", "157"), ("referer", "-"), ("agent", "-")]),
    ("nginx without its end",
     r#"^(?<remote>[^ ]*) (?<host>[^ ]*) (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>\S+)(?: +(?<path>[^\"]*?)(?: +\S*)?)?" (?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>[^\"]*)" "(?<agent>[^\"]*)")?"#,
     r#"1.2.3.4 - bob [29/Jul/2023:10:26:06 -0700] "Gh0st\xAD\x00" 400 157 "-" "-""#,
     &[("remote", "1.2.3.4"), ("host", "-"), ("user", "bob"), ("time", "29/Jul/2023:10:26:06 -0700"),
       ("method", r"Gh0st\xAD\x00"), ("code", "400"), ("size", "157"), ("referer", "-"), ("agent", "-")]),
    ("k8s-nginx-ingress",
     r#"^(?<host>[^ ]*) - \[(?<real_ip>[^ ]*)\] - (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>\S+)(?: +(?<path>[^\"]*?)(?: +\S*)?)?" (?<code>[^ ]*) (?<size>[^ ]*) "(?<referer>[^\"]*)" "(?<agent>[^\"]*)" (?<request_length>[^ ]*) (?<request_time>[^ ]*) \[(?<proxy_upstream_name>[^ ]*)\] (?<upstream_addr>[^ ]*) (?<upstream_response_length>[^ ]*) (?<upstream_response_time>[^ ]*) (?<upstream_status>[^ ]*) (?<last>[^$]*)"#,
     r#"10.0.0.1 - [10.0.0.1] - - [19/Sep/2022:09:10:11 +0000] "POST /api/v1 HTTP/2.0" 201 12 "-" "curl/7.79.1" 312 0.004 [default-api-80] 10.1.2.3:8080 12 0.003 201 5b3f"#,
     &[("host", "10.0.0.1"), ("real_ip", "10.0.0.1"), ("user", "-"), ("time", "19/Sep/2022:09:10:11 +0000"), ("method", "POST"),
       ("path", "/api/v1"), ("code", "201"), ("size", "12"), ("referer", "-"), ("agent", "curl/7.79.1"), ("request_length", "312"),
       ("request_time", "0.004"), ("proxy_upstream_name", "default-api-80"), ("upstream_addr", "10.1.2.3:8080"),
       ("upstream_response_length", "12"), ("upstream_response_time", "0.003"), ("upstream_status", "201"), ("last", "5b3f")]),
    ("docker-daemon",
     r#"time="(?<time>[^ ]*)" level=(?<level>[^ ]*) msg="(?<msg>[^ ].*)""#,
     r#"dockerd: time="2021-03-04T05:06:07.8Z" level=info msg="API listen on \"/run/docker.sock\"""#,
     &[("time", "2021-03-04T05:06:07.8Z"), ("level", "info"), ("msg", r#"API listen on \"/run/docker.sock\""#)]),
    ("syslog-rfc5424",
     r#"^\<(?<pri>[0-9]{1,5})\>1 (?<time>[^ ]+) (?<host>[^ ]+) (?<ident>[^ ]+) (?<pid>[-0-9]+) (?<msgid>[^ ]+) (?<extradata>(\[(.*)\]|-)) (?<message>.+)$"#,
     r#"<165>1 2018-10-11T22:14:15.003Z mymach.it e 42 1 [ex@32473 iut="3"][b c="d]"] An [odd] entry"#,
     &[("pri", "165"), ("time", "2018-10-11T22:14:15.003Z"), ("host", "mymach.it"), ("ident", "e"), ("pid", "42"),
       ("msgid", "1"), ("extradata", r#"[ex@32473 iut="3"][b c="d]"] An [odd]"#), ("message", "entry")]),
    ("syslog-rfc3164-local",
     r#"^\<(?<pri>[0-9]+)\>(?<time>[^ ]* {1,2}[^ ]* [^ ]*) (?<ident>[a-zA-Z0-9_\/\.\-]*)(?:\[(?<pid>[0-9]+)\])?(?:[^\:]*\:)? *(?<message>.*)$"#,
     "<13>Feb  5 17:32:18 sshd[99]: Use the BFG!",
     &[("pri", "13"), ("time", "Feb  5 17:32:18"), ("ident", "sshd"), ("pid", "99"), ("message", "Use the BFG!")]),
    ("syslog-rfc3164",
     r#"/^\<(?<pri>[0-9]+)\>(?<time>[^ ]* {1,2}[^ ]* [^ ]*) (?<host>[^ ]*) (?<ident>[a-zA-Z0-9_\/\.\-]*)(?:\[(?<pid>[0-9]+)\])?(?:[^\:]*\:)? *(?<message>.*)$/"#,
     "<34>Oct 11 22:14:15 mymachine su: 'su root' failed: lonvick on /dev/pts/8",
     &[("pri", "34"), ("time", "Oct 11 22:14:15"), ("host", "mymachine"), ("ident", "su"),
       ("message", "'su root' failed: lonvick on /dev/pts/8")]),
    ("mongodb",
     r#"^(?<time>[^ ]*)\s+(?<severity>\w)\s+(?<component>[^ ]+)\s+\[(?<context>[^\]]+)]\s+(?<message>.*?) *(?<ms>(\d+))?(:?ms)?$"#,
     "2021-04-05T06:07:08.910+0000 I  COMMAND  [conn12] command admin.$cmd command: ping protocol:op_msg 104ms",
     &[("time", "2021-04-05T06:07:08.910+0000"), ("severity", "I"), ("component", "COMMAND"), ("context", "conn12"),
       ("message", "command admin.$cmd command: ping protocol:op_msg"), ("ms", "104")]),
    ("envoy",
     r#"^\[(?<start_time>[^\]]*)\] "(?<method>\S+)(?: +(?<path>[^\"]*?)(?: +\S*)?)? (?<protocol>\S+)" (?<code>[^ ]*) (?<response_flags>[^ ]*) (?<bytes_received>[^ ]*) (?<bytes_sent>[^ ]*) (?<duration>[^ ]*) (?<x_envoy_upstream_service_time>[^ ]*) "(?<x_forwarded_for>[^ ]*)" "(?<user_agent>[^\"]*)" "(?<request_id>[^\"]*)" "(?<authority>[^ ]*)" "(?<upstream_host>[^ ]*)""#,
     r#"[2016-04-15T20:17:00.310Z] "POST /api/v1/locations HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "nsq2http" "cc21d9b0-cf5c-432b-8c7e" "locations" "tcp://10.0.2.1:80""#,
     &[("start_time", "2016-04-15T20:17:00.310Z"), ("method", "POST"), ("path", "/api/v1/locations"), ("protocol", "HTTP/2"),
       ("code", "204"), ("response_flags", "-"), ("bytes_received", "154"), ("bytes_sent", "0"), ("duration", "226"),
       ("x_envoy_upstream_service_time", "100"), ("x_forwarded_for", "10.0.35.28"), ("user_agent", "nsq2http"),
       ("request_id", "cc21d9b0-cf5c-432b-8c7e"), ("authority", "locations"), ("upstream_host", "tcp://10.0.2.1:80")]),
    ("istio-envoy-proxy",
     r#"^\[(?<start_time>[^\]]*)\] "(?<method>\S+)(?: +(?<path>[^\"]*?)(?: +\S*)?)? (?<protocol>\S+)" (?<response_code>[^ ]*) (?<response_flags>[^ ]*) (?<response_code_details>[^ ]*) (?<connection_termination_details>[^ ]*) (?<upstream_transport_failure_reason>[^ ]*) (?<bytes_received>[^ ]*) (?<bytes_sent>[^ ]*) (?<duration>[^ ]*) (?<x_envoy_upstream_service_time>[^ ]*) "(?<x_forwarded_for>[^ ]*)" "(?<user_agent>[^\"]*)" "(?<x_request_id>[^\"]*)" (?<authority>[^ ]*)" "(?<upstream_host>[^ ]*)" (?<upstream_cluster>[^ ]*) (?<upstream_local_address>[^ ]*) (?<downstream_local_address>[^ ]*) (?<downstream_remote_address>[^ ]*) (?<requested_server_name>[^ ]*) (?<route_name>[^  ]*)"#,
     r#"[2021-05-06T07:08:09.100Z] "GET /status/418 HTTP/1.1" 418 - via_upstream - "-" 0 135 4 4 "-" "curl/7.73.0" "84961386-6d84-929d" "httpbin:8000" "127.0.0.1:80" inbound|8000|| 127.0.0.1:41854 10.44.1.27:80 10.44.1.23:37652 outbound_.8000 default"#,
     &[("start_time", "2021-05-06T07:08:09.100Z"), ("method", "GET"), ("path", "/status/418"), ("protocol", "HTTP/1.1"),
       ("response_code", "418"), ("response_flags", "-"), ("response_code_details", "via_upstream"),
       ("connection_termination_details", "-"), ("upstream_transport_failure_reason", "\"-\""), ("bytes_received", "0"),
       ("bytes_sent", "135"), ("duration", "4"), ("x_envoy_upstream_service_time", "4"), ("x_forwarded_for", "-"),
       ("user_agent", "curl/7.73.0"), ("x_request_id", "84961386-6d84-929d"), ("authority", "\"httpbin:8000"),
       ("upstream_host", "127.0.0.1:80"), ("upstream_cluster", "inbound|8000||"), ("upstream_local_address", "127.0.0.1:41854"),
       ("downstream_local_address", "10.44.1.27:80"), ("downstream_remote_address", "10.44.1.23:37652"),
       ("requested_server_name", "outbound_.8000"), ("route_name", "default")]),
    ("cri",
     r#"^(?<time>[^ ]+) (?<stream>stdout|stderr) (?<logtag>[^ ]*) (?<message>.*)$"#,
     "2017-09-12T22:32:21.212861448Z stdout F 2017-09-12 22:32:21.212 [INFO][88] table.go 710: Invalidating",
     &[("time", "2017-09-12T22:32:21.212861448Z"), ("stream", "stdout"), ("logtag", "F"),
       ("message", "2017-09-12 22:32:21.212 [INFO][88] table.go 710: Invalidating")]),
    ("kube-custom",
     r#"(?<tag>[^.]+)?\.?(?<pod_name>[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)_(?<namespace_name>[^_]+)_(?<container_name>.+)-(?<docker_id>[a-z0-9]{64})\.log$"#,
     "kube.web-0.a_prod_api-gate-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.log",
     &[("tag", "kube"), ("pod_name", "web-0.a"), ("namespace_name", "prod"), ("container_name", "api-gate"),
       ("docker_id", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")]),
    ("kmsg-netfilter-log",
     r#"^\<(?<pri>[0-9]{1,5})\>1 (?<time>[^ ]+) (?<host>[^ ]+) kernel - - - \[[0-9\.]*\] (?<logprefix>[^ ]*)\s?IN=(?<in>[^ ]*) OUT=(?<out>[^ ]*) MAC=(?<macsrc>[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}):(?<macdst>[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}):(?<ethtype>[0-9a-f]{2}:[0-9a-f]{2}) SRC=(?<saddr>[^ ]*) DST=(?<daddr>[^ ]*) LEN=(?<len>[^ ]*) TOS=(?<tos>[^ ]*) PREC=(?<prec>[^ ]*) TTL=(?<ttl>[^ ]*) ID=(?<id>[^ ]*) (D*F*)\s*PROTO=(?<proto>[^ ]*)\s?((SPT=)?(?<sport>[0-9]*))\s?((DPT=)?(?<dport>[0-9]*))\s?((LEN=)?(?<protolen>[0-9]*))\s?((WINDOW=)?(?<window>[0-9]*))\s?((RES=)?(?<res>0?x?[0-9]*))\s?(?<flag>[^ ]*)\s?((URGP=)?(?<urgp>[0-9]*))"#,
     "<4>1 2021-07-08T09:10:11.12+00:00 gate kernel - - - [ 12.5] x",
     &[]),
    ("kmsg-netfilter-log",
     r#"^\<(?<pri>[0-9]{1,5})\>1 (?<time>[^ ]+) (?<host>[^ ]+) kernel - - - \[[0-9\.]*\] (?<logprefix>[^ ]*)\s?IN=(?<in>[^ ]*) OUT=(?<out>[^ ]*) MAC=(?<macsrc>[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}):(?<macdst>[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}):(?<ethtype>[0-9a-f]{2}:[0-9a-f]{2}) SRC=(?<saddr>[^ ]*) DST=(?<daddr>[^ ]*) LEN=(?<len>[^ ]*) TOS=(?<tos>[^ ]*) PREC=(?<prec>[^ ]*) TTL=(?<ttl>[^ ]*) ID=(?<id>[^ ]*) (D*F*)\s*PROTO=(?<proto>[^ ]*)\s?((SPT=)?(?<sport>[0-9]*))\s?((DPT=)?(?<dport>[0-9]*))\s?((LEN=)?(?<protolen>[0-9]*))\s?((WINDOW=)?(?<window>[0-9]*))\s?((RES=)?(?<res>0?x?[0-9]*))\s?(?<flag>[^ ]*)\s?((URGP=)?(?<urgp>[0-9]*))"#,
     "<4>1 2021-07-08T09:10:11.12+00:00 gate kernel - - - [1012.5] DROP IN=eth0 OUT= MAC=00:50:56:00:00:01:00:50:56:00:00:02:08:00 SRC=10.0.0.9 DST=10.0.0.1 LEN=60 TOS=0x00 PREC=0x00 TTL=63 ID=4321 DF PROTO=TCP SPT=41234 DPT=22 WINDOW=64240 RES=0x00 SYN URGP=0",
     &[("pri", "4"), ("time", "2021-07-08T09:10:11.12+00:00"), ("host", "gate"), ("logprefix", "DROP"), ("in", "eth0"), ("out", ""),
       ("macsrc", "00:50:56:00:00:01"), ("macdst", "00:50:56:00:00:02"), ("ethtype", "08:00"), ("saddr", "10.0.0.9"),
       ("daddr", "10.0.0.1"), ("len", "60"), ("tos", "0x00"), ("prec", "0x00"), ("ttl", "63"), ("id", "4321"), ("proto", "TCP"),
       ("sport", "41234"), ("dport", "22"), ("protolen", ""), ("window", "64240"), ("res", "0x00"), ("flag", "SYN"),
       ("urgp", "0")]),
    ("multiline cri",
     r#"^(?<time>.+?) (?<stream>stdout|stderr) (?<_p>F|P) (?<log>.*)$"#,
     "2017-09-12T22:32:21.212861448Z stderr P an unfinished ",
     &[("time", "2017-09-12T22:32:21.212861448Z"), ("stream", "stderr"), ("_p", "P"), ("log", "an unfinished ")]),
    ("Tag_Regex with its backslashes doubled",
     r#"(?<pod_name>[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)_(?<namespace_name>[^_]+)_(?<container_name>.+)-(?<docker_id>[a-z0-9]{64})\.log$"#,
     POD,
     &[("pod_name", "coredns-5d78c9869d-abcde"), ("namespace_name", "kube-system"), ("container_name", "coredns"),
       ("docker_id", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")]),
    ("kube-tag",
     r#"^(?<namespace_name>[^_]+)\.(?<container_name>.+)\.(?<pod_name>[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)\.(?<docker_id>[a-z0-9]{64})-$"#,
     "kube-system.coredns.coredns-5d78c9869d-abcde.0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef-",
     &[("namespace_name", "kube-system"), ("container_name", "coredns"), ("pod_name", "coredns-5d78c9869d-abcde"),
       ("docker_id", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")]),
];

#[test]
fn stock_parsers_find_their_fields() {
    for (name, pattern, line, expected) in CASES {
        let regex = Regex::new(pattern).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(regex.engine(), "cut", "{name}");
        let mut slots = Slots::default();
        assert_eq!(regex.captures(line.as_bytes(), &mut slots), !expected.is_empty(), "{name}");
        if !expected.is_empty() {
            let found: Vec<_> = (0..regex.names().len())
                .filter_map(|n| {
                    regex.named(&slots, n).map(|(start, end)| (regex.names()[n].as_str(), &line[start..end]))
                })
                .collect();
            assert_eq!(&found, expected, "{name}");
        }
        let whole = regex.is_match(line.as_bytes());
        assert_eq!(whole, !expected.is_empty(), "{name}");
    }
}

/// Whether lowering and the slow engine say the same; false when the lowered pattern gave up.
pub(super) fn engines_agree(regex: &Regex, text: &[u8]) -> bool {
    let (mut cut, mut slow) = (Slots::default(), Slots::default());
    cut.spans.resize(regex.group_count(), (UNSET, UNSET));
    let program = regex.cut.as_ref().unwrap();
    let mut careful = cut.clone();
    let found = program.search(text, &mut cut.spans);
    if found == Found::GaveUp {
        return false;
    }
    let expected = regex.slow.search(text, Want::Anywhere, Some(&mut slow));
    let shown = String::from_utf8_lossy(text);
    assert_eq!(matches!(found, Found::Hit(..)), expected, "{regex:?} on {shown:?}");
    let again = if regex.slow.is_fancy() { program.search_carefully(text, &mut careful.spans) } else { Found::GaveUp };
    assert!(again == found || again == Found::GaveUp, "{regex:?} on {shown:?}, with care: {again:?}");
    if expected && again == found {
        assert_eq!(cut.spans, careful.spans, "{regex:?} on {shown:?}, with care");
    }
    if expected {
        let all = |slots: &Slots| (0..regex.group_count()).map(|g| slots.get(g)).collect::<Vec<_>>();
        assert_eq!(all(&cut), all(&slow), "{regex:?} on {shown:?}");
    }
    true
}

#[test]
fn lowered_stock_parsers_match_as_regex_does() {
    let regexes: Vec<Regex> = CASES.iter().map(|case| Regex::new(case.1).unwrap()).collect();
    let mut seed = 1u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below.max(1)
    };
    let (mut answered, mut asked) = (0, 0);
    for round in 0..150 {
        for (regex, case) in regexes.iter().zip(CASES) {
            // A line, cut and joined with others, with characters that matter to the patterns put in.
            let mut text = case.2.to_owned();
            for _ in 0..round % 5 {
                let other = CASES[random(CASES.len())].2;
                let (at, from) = (floor(&text, random(text.len() + 1)), floor(other, random(other.len() + 1)));
                match random(4) {
                    0 => text
                        .insert_str(at, ["\"", " ", "[", "]", "é", "\n", ":", "<1>", "  ", "\" \"", "-"][random(11)]),
                    1 => text.truncate(at),
                    2 => text.insert_str(at, &other[from..floor(other, from + random(20))]),
                    _ => drop(text.drain(at..floor(&text, at + 1 + random(9)).max(at))),
                }
            }
            asked += 1;
            answered += usize::from(engines_agree(regex, text.as_bytes()));
        }
    }
    assert!(answered * 100 > asked * 96, "{answered} of {asked} answered");
}

/// The last boundary of a character at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

#[test]
fn sample_logs_match_as_regex_does() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/logs");
    let Ok(folders) = std::fs::read_dir(&folder) else {
        println!("skipped: no sample logs at {}", folder.display());
        return;
    };
    let regexes: Vec<Regex> = CASES.iter().map(|case| Regex::new(case.1).unwrap()).collect();
    let (mut lines, mut gave_up) = (0, 0);
    for folder in folders.flatten() {
        for file in std::fs::read_dir(folder.path()).into_iter().flatten().flatten() {
            let Ok(bytes) = std::fs::read(file.path()) else { continue };
            for line in bytes.split(|&b| b == b'\n').take(4).filter(|line| line.len() < 600) {
                for regex in regexes.iter().filter(|_| std::str::from_utf8(line).is_ok()) {
                    lines += 1;
                    gave_up += usize::from(!engines_agree(regex, line));
                }
            }
        }
    }
    assert!(gave_up * 20 <= lines, "{gave_up} of {lines}");
}

#[test]
fn bytes_that_are_no_utf8_lose_no_line() {
    for name in ["apache", "apache2", "apache_error", "nginx", "docker-daemon", "syslog-rfc3164", "mongodb", "cri"] {
        let (_, pattern, line, expected) = CASES.iter().find(|case| case.0 == name).unwrap();
        let regex = Regex::new(pattern).unwrap();
        let mut slots = Slots::default();
        for bad in [&b"\xff"[..], b"\xc3", b"\x80\x80", b"\xf0\x9f\x98", b"\xed\xa0\x80"] {
            // In the middle of the last field, and at its end.
            let field = line.rfind(expected.last().unwrap().1).unwrap() + expected.last().unwrap().1.len();
            for at in [field - 1, field] {
                let text = [&line.as_bytes()[..at], bad, &line.as_bytes()[at..]].concat();
                assert!(regex.captures(&text, &mut slots), "{name}: {text:?}");
                let mut fields = (0..regex.names().len()).filter_map(|n| regex.named(&slots, n));
                let holds_it = |(start, end): (usize, usize)| text[start..end].windows(bad.len()).any(|w| w == bad);
                assert!(fields.any(holds_it), "{name}: {text:?}");
            }
        }
    }
}

#[test]
fn random_bytes_and_patterns_do_no_harm() {
    let mut seed = 99u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    let marks = b"()[]{}*+?|\\^$.<>=!:-,&#/ aAbdpPwsSuxkgKZz01359imnrR'~\n\xc3\xa9\xff";
    let mut slots = Slots::default();
    let mut usable = 0;
    for _ in 0..6_000 {
        let pattern: Vec<u8> = (0..random() % 16).map(|_| marks[random() % marks.len()]).collect();
        let text: Vec<u8> = (0..random() % 60).map(|_| marks[random() % marks.len()]).collect();
        if let Ok(regex) = Regex::new(&String::from_utf8_lossy(&pattern)) {
            usable += 1;
            if regex.captures(&text, &mut slots) {
                assert!(slots.get(0).is_some_and(|(start, end)| start <= end && end <= text.len()));
            }
            regex.is_match(&text);
            regex.match_at_start(&text);
        }
    }
    assert!(usable > 500, "{usable}");
    let regexes: Vec<Regex> = CASES.iter().map(|case| Regex::new(case.1).unwrap()).collect();
    for i in 0..400 {
        let text: Vec<u8> = (0..random() % 300).map(|_| (random() >> 5) as u8).collect();
        regexes[i % regexes.len()].captures(&text, &mut slots);
    }
}

#[test]
#[cfg(feature = "patterns")]
fn hostile_texts_take_bounded_time() {
    let text = "a".repeat(1 << 16);
    for pattern in ["^(a+)+$", "^(?:a+)+b", "(a|a)*b", r"^(a+)+\1b", "(?<!b)(?:a|a)*c", "(?=(a+)+b)", "(?>(?:a|aa)+)+b"]
    {
        let regex = Regex::new(pattern).unwrap();
        let begin = std::time::Instant::now();
        regex.captures(text.as_bytes(), &mut Slots::default());
        // Generous: this build is not optimised and the machine may be busy.
        assert!(begin.elapsed().as_millis() < 3_000, "{pattern}: {:?}", begin.elapsed());
    }
}
