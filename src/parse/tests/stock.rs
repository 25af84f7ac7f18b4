//! Every built-in parser with lines as its programs write them: fields, their order and the time.

use super::show;
use crate::conf::ini;
use crate::error::Diags;
use crate::parse::regex::Regex;
use crate::parse::{ParserDef, ParserSet, STOCK};

fn stock(name: &str) -> ParserDef {
    ParserSet::default().get(name).unwrap()
}

#[track_caller]
fn check(name: &str, table: &[(&str, &str)]) {
    let def = stock(name);
    for (line, expected) in table {
        assert_eq!(show(&def, line.as_bytes()), *expected, "{name}: {line}");
    }
}

#[test]
fn all_of_them_compile_and_are_listed() {
    let set = ParserSet::default();
    let names: Vec<_> = set.names().collect();
    assert_eq!(
        names,
        [
            "apache",
            "apache2",
            "apache_error",
            "nginx",
            "k8s-nginx-ingress",
            "json",
            "logfmt",
            "docker",
            "docker-daemon",
            "cri",
            "kube-custom",
            "syslog-rfc5424",
            "syslog-rfc3164-local",
            "syslog-rfc3164",
            "kmsg-netfilter-log",
            "mongodb",
            "envoy",
            "istio-envoy-proxy",
        ]
    );
    for name in names {
        set.get(name).unwrap();
    }
}

#[test]
fn their_patterns_need_no_slow_engine() {
    let doc = ini::parse("parsers.conf", STOCK.as_bytes(), &mut Diags::new());
    let patterns: Vec<_> = doc.sections.iter().filter_map(|s| s.value("Name").zip(s.value("Regex"))).collect();
    assert_eq!(patterns.len(), 15);
    for (name, pattern) in patterns {
        assert_eq!(Regex::new(pattern).unwrap().engine(), "cut", "{name}");
    }
}

#[test]
fn apache() {
    let table = [
        (
            r#"192.0.2.7 - alice [10/Oct/2023:13:55:36 -0700] "GET /a/b.png?x=1 HTTP/1.1" 200 2326"#,
            r#"1696971336.0 {"host":"192.0.2.7","user":"alice","method":"GET","path":"/a/b.png?x=1","code":"200","size":"2326"}"#,
        ),
        (
            r#"192.0.2.7 - - [10/Oct/2023:13:55:36 +0000] "POST /a b c HTTP/1.0" 404 - "https://example.org/" "curl/8.1""#,
            r#"1696946136.0 {"host":"192.0.2.7","user":"-","method":"POST","path":"/a b c","code":"404","size":"-","referer":"https://example.org/","agent":"curl/8.1"}"#,
        ),
        (
            r#"::1 - - [10/Oct/2023:13:55:36 +0000] "OPTIONS *" 200 -"#,
            r#"1696946136.0 {"host":"::1","user":"-","method":"OPTIONS","path":"*","code":"200","size":"-"}"#,
        ),
        (
            r#"::1 - - [10/Oct/2023:13:55:36 +0000] "-" 408 -"#,
            r#"1696946136.0 {"host":"::1","user":"-","method":"-","code":"408","size":"-"}"#,
        ),
        (r#"::1 - - [10/Oct/2023:13:55:36 +0000] "GET / HTTP/1.1" 200 5 trailing"#, "miss"),
        ("", "miss"),
    ];
    check("apache", &table);
}

#[test]
fn apache2() {
    let table = [
        (
            r#"192.0.2.7 - - [10/Oct/2023:13:55:36 +0200] "GET /q?\"x\" HTTP/1.1" 200 512 "-" "agent \"quoted\" 1.0""#,
            r#"1696938936.0 {"host":"192.0.2.7","user":"-","method":"GET","path":"/q?\\\"x\\\"","code":"200","size":"512","referer":"-","agent":"agent \\\"quoted\\\" 1.0"}"#,
        ),
        (
            r#"192.0.2.7 - - [10/Oct/2023:13:55:36 +0200] "HEAD / HTTP/1.1" 304 -"#,
            r#"1696938936.0 {"host":"192.0.2.7","user":"-","method":"HEAD","path":"/","code":"304","size":"-"}"#,
        ),
        (
            r#"192.0.2.7 - - [10/Oct/2023:13:55:36 +0200] "\x16\x03\x01" 400 226 "" """#,
            r#"1696938936.0 {"host":"192.0.2.7","user":"-","method":"\\x16\\x03\\x01","code":"400","size":"226"}"#,
        ),
        (r#"192.0.2.7 - - [10/Oct/2023:13:55:36 +0200] "GET /" 200 1"#, "miss"),
    ];
    check("apache2", &table);
}

#[test]
fn apache_error() {
    let table = [
        (
            "[Wed Oct 11 14:32:52.123456 2023] [core:error] [pid 35708:tid 4328636416] [client 192.0.2.9:51832] AH00037: link not allowed",
            r#"- {"time":"Oct 11 14:32:52.123456 2023","level":"core:error","pid":"35708:tid 4328636416","client":"192.0.2.9:51832","message":"AH00037: link not allowed"}"#,
        ),
        (
            "[Wed Oct 11 14:32:52 2023] [notice] caught SIGTERM, shutting down",
            r#"- {"time":"Oct 11 14:32:52 2023","level":"notice","message":"caught SIGTERM, shutting down"}"#,
        ),
    ];
    check("apache_error", &table);
}

#[test]
fn nginx() {
    let table = [
        (
            r#"203.0.113.5 - - [04/Mar/2024:09:21:07 +0100] "GET /img/logo.svg?v=3 HTTP/2.0" 200 4711 "https://example.com/start" "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/123.0""#,
            r#"1709540467.0 {"remote":"203.0.113.5","host":"-","user":"-","method":"GET","path":"/img/logo.svg?v=3","code":"200","size":"4711","referer":"https://example.com/start","agent":"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/123.0"}"#,
        ),
        (
            r#"203.0.113.5 - bob [04/Mar/2024:09:21:07 +0100] "GET / HTTP/1.1" 200 12 "-" "curl/8.5.0" "198.51.100.2, 10.0.0.1""#,
            r#"1709540467.0 {"remote":"203.0.113.5","host":"-","user":"bob","method":"GET","path":"/","code":"200","size":"12","referer":"-","agent":"curl/8.5.0"}"#,
        ),
        (
            r#"203.0.113.5 - - [04/Mar/2024:09:21:07 +0100] "GET /two  words HTTP/1.1" 404 0 "-" "-""#,
            r#"1709540467.0 {"remote":"203.0.113.5","host":"-","user":"-","method":"GET","path":"/two  words","code":"404","size":"0","referer":"-","agent":"-"}"#,
        ),
        (
            r#"203.0.113.5 - - [04/Mar/2024:09:21:07 +0100] "\x05\x01\x00" 400 157"#,
            r#"1709540467.0 {"remote":"203.0.113.5","host":"-","user":"-","method":"\\x05\\x01\\x00","code":"400","size":"157"}"#,
        ),
        (r#"2024/03/04 09:21:07 [error] 7#7: *1 open() failed"#, "miss"),
    ];
    check("nginx", &table);
}

#[test]
fn k8s_nginx_ingress() {
    let table = [
        (
            r#"10.1.0.4 - - [04/Mar/2024:09:21:07 +0000] "POST /cart HTTP/1.1" 201 59 "-" "okhttp/4.9" 189 0.004 [shop-cart-8080] [] 10.2.0.9:8080 59 0.004 201 0f4b1c5a68fa971ce4dfce685fdc01c8"#,
            r#"1709544067.0 {"host":"10.1.0.4","user":"-","method":"POST","path":"/cart","code":"201","size":"59","referer":"-","agent":"okhttp/4.9","request_length":"189","request_time":"0.004","proxy_upstream_name":"shop-cart-8080","upstream_addr":"10.2.0.9:8080","upstream_response_length":"59","upstream_response_time":"0.004","upstream_status":"201","reg_id":"0f4b1c5a68fa971ce4dfce685fdc01c8"}"#,
        ),
        (
            r#"10.1.0.4 - - [04/Mar/2024:09:21:07 +0000] "GET / HTTP/1.1" 200 5 "-" "-" 9 0.1 [a-b-80] [a-alt-80] 10.2.0.9:80 5 0.1 200 id more"#,
            r#"1709544067.0 {"host":"10.1.0.4","user":"-","method":"GET","path":"/","code":"200","size":"5","referer":"-","agent":"-","request_length":"9","request_time":"0.1","proxy_upstream_name":"a-b-80","proxy_alternative_upstream_name":"a-alt-80","upstream_addr":"10.2.0.9:80","upstream_response_length":"5","upstream_response_time":"0.1","upstream_status":"200","reg_id":"id"}"#,
        ),
    ];
    check("k8s-nginx-ingress", &table);
}

#[test]
fn structured() {
    check("json", &[(r#"{"time":"04/Mar/2024:09:21:07 +0000","a":{"b":1}}"#, r#"1709544067.0 {"a":{"b":1}}"#)]);
    check("logfmt", &[(r#"level=info msg="two words" ok"#, r#"- {"level":"info","msg":"two words","ok":true}"#)]);
}

#[test]
fn docker() {
    let table = [
        (
            r#"{"log":"GET \"/\" \u003c200\u003e\n","stream":"stdout","time":"2024-03-04T09:21:07.123456789Z"}"#,
            r#"1709544067.123456789 {"log":"GET \"/\" <200>\n","stream":"stdout","time":"2024-03-04T09:21:07.123456789Z"}"#,
        ),
        (
            r#"{"log":"x\n","stream":"stderr","attrs":{"tag":"web"},"time":"2024-03-04T09:21:07.5Z"}"#,
            r#"1709544067.5 {"log":"x\n","stream":"stderr","attrs":{"tag":"web"},"time":"2024-03-04T09:21:07.5Z"}"#,
        ),
        ("web-1  | plain text", "miss"),
    ];
    check("docker", &table);
    let table = [(
        r#"time="2024-03-04T09:21:07.765432100Z" level=warning msg="cannot find "x" in cache" container=4f"#,
        r#"1709544067.7654321 {"time":"2024-03-04T09:21:07.765432100Z","level":"warning","msg":"cannot find \"x\" in cache"}"#,
    )];
    check("docker-daemon", &table);
}

#[test]
fn cri() {
    let table = [
        (
            "2024-03-04T10:21:07.123456789+01:00 stdout F two  words ",
            r#"1709544067.123456789 {"time":"2024-03-04T10:21:07.123456789+01:00","stream":"stdout","logtag":"F","message":"two  words "}"#,
        ),
        (
            "2024-03-04T09:21:07.123456789Z stderr P part of a li",
            r#"1709544067.123456789 {"time":"2024-03-04T09:21:07.123456789Z","stream":"stderr","logtag":"P","message":"part of a li"}"#,
        ),
        (
            "2024-03-04T09:21:07.123456789Z stdout F ",
            r#"1709544067.123456789 {"time":"2024-03-04T09:21:07.123456789Z","stream":"stdout","logtag":"F"}"#,
        ),
        ("2024-03-04T09:21:07.123456789Z stdin F x", "miss"),
        ("2024-03-04T09:21:07.123456789Z stdout F", "miss"),
    ];
    check("cri", &table);
}

#[test]
fn kube_custom() {
    let id = "0123456789abcdef".repeat(4);
    let table = [
        (
            format!("web-5d4f-x9_shop_nginx-{id}.log"),
            format!(
                r#"- {{"pod_name":"web-5d4f-x9","namespace_name":"shop","container_name":"nginx","docker_id":"{id}"}}"#
            ),
        ),
        (
            format!("kube.web.0_shop_a-b-{id}.log"),
            format!(
                r#"- {{"tag":"kube","pod_name":"web.0","namespace_name":"shop","container_name":"a-b","docker_id":"{id}"}}"#
            ),
        ),
        ("web_shop_nginx-short.log".into(), "miss".into()),
    ];
    for (line, expected) in &table {
        check("kube-custom", &[(line, expected)]);
    }
}

#[test]
fn syslog_rfc5424() {
    let table = [
        (
            "<34>1 2023-10-11T22:14:15.003Z mymachine.example.com su - ID47 - 'su root' failed on /dev/pts/8",
            r#"1697062455.003 {"pri":"34","time":"2023-10-11T22:14:15.003Z","host":"mymachine.example.com","ident":"su","pid":"-","msgid":"ID47","extradata":"-","message":"'su root' failed on /dev/pts/8"}"#,
        ),
        (
            r#"<165>1 2023-10-11T22:14:15.003456+02:00 h app 123 ID [ex@32473 iut="3" s="a \"b\" [c\] d"][p@32473 c="high"] An event"#,
            r#"1697055255.003456 {"pri":"165","time":"2023-10-11T22:14:15.003456+02:00","host":"h","ident":"app","pid":"123","msgid":"ID","extradata":"[ex@32473 iut=\"3\" s=\"a \\\"b\\\" [c\\] d\"][p@32473 c=\"high\"]","message":"An event"}"#,
        ),
        (
            "<15>1 2023-10-11T22:14:15.5Z h app - 1 -  two spaces",
            r#"1697062455.5 {"pri":"15","time":"2023-10-11T22:14:15.5Z","host":"h","ident":"app","pid":"-","msgid":"1","extradata":"-","message":" two spaces"}"#,
        ),
        (
            r#"<15>1 2023-10-11T22:14:15.5Z h app p[1] - [x size="5" tall"] broken"#,
            r#"1697062455.5 {"pri":"15","time":"2023-10-11T22:14:15.5Z","host":"h","ident":"app","pid":"p[1]","msgid":"-","extradata":"[x size=\"5\" tall\"]","message":"broken"}"#,
        ),
        (
            "<15>1 2023-10-11T22:14:15.5Z h app - - -",
            r#"1697062455.5 {"pri":"15","time":"2023-10-11T22:14:15.5Z","host":"h","ident":"app","pid":"-","msgid":"-","extradata":"-"}"#,
        ),
        ("<15>2 2023-10-11T22:14:15.5Z h app - - - x", "miss"),
    ];
    check("syslog-rfc5424", &table);
}

#[test]
fn syslog_rfc3164() {
    // The tests' now is 1 May 2024: April is this year's, October last year's.
    let table = [
        (
            "<13>Apr  5 03:04:05 host1 sshd[4721]: Accepted publickey: ok",
            r#"1712286245.0 {"pri":"13","time":"Apr  5 03:04:05","host":"host1","ident":"sshd","pid":"4721","message":"Accepted publickey: ok"}"#,
        ),
        (
            "<0>Oct 11 22:14:15 10.1.1.1 kernel: [ 12.3] up",
            r#"1697062455.0 {"pri":"0","time":"Oct 11 22:14:15","host":"10.1.1.1","ident":"kernel","message":"[ 12.3] up"}"#,
        ),
        (
            "<14>Apr  5 03:04:05 host1 no colon here",
            r#"1712286245.0 {"pri":"14","time":"Apr  5 03:04:05","host":"host1","ident":"no","message":"colon here"}"#,
        ),
        ("Apr  5 03:04:05 host1 x: y", "miss"),
    ];
    check("syslog-rfc3164", &table);
    let table = [
        (
            "<86>Apr  5 03:04:05 sudo: pam_unix(sudo:session): opened",
            r#"1712286245.0 {"pri":"86","time":"Apr  5 03:04:05","ident":"sudo","message":"pam_unix(sudo:session): opened"}"#,
        ),
        (
            "<30>Apr 15 03:04:05 systemd[1]: Started x.",
            r#"1713150245.0 {"pri":"30","time":"Apr 15 03:04:05","ident":"systemd","pid":"1","message":"Started x."}"#,
        ),
    ];
    check("syslog-rfc3164-local", &table);
}

#[test]
fn kmsg_netfilter_log() {
    let table = [
        (
            "<4>1 2024-03-04T09:21:07.123456+00:00 fw kernel - - - [50028442.088484] DROP: IN=enp1s0 OUT= MAC=00:08:a2:0c:1f:12:00:c8:8b:e2:d6:87:08:00 SRC=198.51.100.7 DST=203.0.113.6 LEN=40 TOS=0x00 PREC=0x00 TTL=245 ID=37308 DF PROTO=TCP SPT=8080 DPT=8123 WINDOW=1024 RES=0x00 SYN URGP=0",
            r#"1709544067.123456 {"pri":"4","host":"fw","logprefix":"DROP:","in":"enp1s0","macsrc":"00:08:a2:0c:1f:12","macdst":"00:c8:8b:e2:d6:87","ethtype":"08:00","saddr":"198.51.100.7","daddr":"203.0.113.6","len":"40","tos":"0x00","prec":"0x00","ttl":"245","id":"37308","proto":"TCP","sport":"8080","dport":"8123","window":"1024","res":"0x00","flag":"SYN","urgp":"0"}"#,
        ),
        (
            "<4>1 2024-03-04T09:21:07.5Z fw kernel - - - [   12.5] [UFW BLOCK] IN= OUT=eth0 SRC=10.0.0.1 DST=10.0.0.2 LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID=0 PROTO=UDP SPT=53 DPT=5353 LEN=40",
            r#"1709544067.5 {"pri":"4","host":"fw","logprefix":"[UFW BLOCK]","out":"eth0","saddr":"10.0.0.1","daddr":"10.0.0.2","len":"60","tos":"0x00","prec":"0x00","ttl":"64","id":"0","proto":"UDP","sport":"53","dport":"5353","protolen":"40"}"#,
        ),
        (
            "<4>1 2024-03-04T09:21:07.5Z fw kernel - - - [1.5] IN=eth0 OUT= MAC= SRC=10.0.0.1 DST=10.0.0.2 LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID=0 DF PROTO=TCP SPT=1 DPT=2 WINDOW=3 RES=0x00 ACK PSH URGP=0",
            r#"1709544067.5 {"pri":"4","host":"fw","in":"eth0","saddr":"10.0.0.1","daddr":"10.0.0.2","len":"60","tos":"0x00","prec":"0x00","ttl":"64","id":"0","proto":"TCP","sport":"1","dport":"2","window":"3","res":"0x00","flag":"ACK PSH","urgp":"0"}"#,
        ),
    ];
    check("kmsg-netfilter-log", &table);
}

#[test]
fn mongodb() {
    let table = [
        (
            "2023-10-11T22:14:15.003+0000 I NETWORK  [thread1] connection accepted from 127.0.0.1:5 #1 (1 connection now open)",
            r#"1697062455.003 {"time":"2023-10-11T22:14:15.003+0000","severity":"I","component":"NETWORK","context":"thread1","message":"connection accepted from 127.0.0.1:5 #1 (1 connection now open)"}"#,
        ),
        (
            "2023-10-11T22:14:15.003+0000 D2 COMMAND  [conn7] command a.b command: find 133ms",
            r#"1697062455.003 {"time":"2023-10-11T22:14:15.003+0000","severity":"D2","component":"COMMAND","context":"conn7","message":"command a.b command: find","ms":"133"}"#,
        ),
    ];
    check("mongodb", &table);
}

#[test]
fn envoy() {
    let table = [(
        r#"[2024-03-04T09:21:07.310Z] "POST /api/v1/locations HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "nsq2http" "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "locations" "tcp://10.0.2.1:80""#,
        r#"1709544067.31 {"start_time":"2024-03-04T09:21:07.310Z","method":"POST","path":"/api/v1/locations","protocol":"HTTP/2","code":"204","response_flags":"-","bytes_received":"154","bytes_sent":"0","duration":"226","x_envoy_upstream_service_time":"100","x_forwarded_for":"10.0.35.28","user_agent":"nsq2http","request_id":"cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2","authority":"locations","upstream_host":"tcp://10.0.2.1:80"}"#,
    )];
    check("envoy", &table);
    let table = [
        (
            r#"[2024-03-04T09:21:07.310Z] "GET /details/0 HTTP/1.1" 200 - via_upstream - "-" 0 178 2 1 "-" "curl/7.64" "4b6bb6cd" "details:9080" "10.44.0.3:9080" inbound|9080|| 127.0.0.6:43871 10.44.0.3:9080 10.44.1.2:36178 outbound_.9080_._.details default"#,
            r#"1709544067.31 {"start_time":"2024-03-04T09:21:07.310Z","method":"GET","path":"/details/0","protocol":"HTTP/1.1","response_code":"200","response_flags":"-","response_code_details":"via_upstream","connection_termination_details":"-","upstream_transport_failure_reason":"\"-\"","bytes_received":"0","bytes_sent":"178","duration":"2","x_envoy_upstream_service_time":"1","x_forwarded_for":"-","user_agent":"curl/7.64","x_request_id":"4b6bb6cd","authority":"details:9080","upstream_host":"10.44.0.3:9080","upstream_cluster":"inbound|9080||","upstream_local_address":"127.0.0.6:43871","downstream_local_address":"10.44.0.3:9080","downstream_remote_address":"10.44.1.2:36178","requested_server_name":"outbound_.9080_._.details","route_name":"default"}"#,
        ),
        (
            r#"[2024-03-04T09:21:07.310Z] "- - -" 0 UF - - "TLS error: handshake failed" 0 0 5 - "-" "-" "-" "-" "10.44.0.3:9080" c 1.1.1.1:1 2.2.2.2:2 3.3.3.3:3 - -"#,
            r#"1709544067.31 {"start_time":"2024-03-04T09:21:07.310Z","method":"-","path":"-","protocol":"-","response_code":"0","response_flags":"UF","response_code_details":"-","connection_termination_details":"-","upstream_transport_failure_reason":"\"TLS error: handshake failed\"","bytes_received":"0","bytes_sent":"0","duration":"5","x_envoy_upstream_service_time":"-","x_forwarded_for":"-","user_agent":"-","x_request_id":"-","authority":"-","upstream_host":"10.44.0.3:9080","upstream_cluster":"c","upstream_local_address":"1.1.1.1:1","downstream_local_address":"2.2.2.2:2","downstream_remote_address":"3.3.3.3:3","requested_server_name":"-","route_name":"-"}"#,
        ),
    ];
    check("istio-envoy-proxy", &table);
}
