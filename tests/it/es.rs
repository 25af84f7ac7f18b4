//! The `es` and `opensearch` outputs against a scripted server: bytes of the request, and what each answer leads to.

use crate::lab::{Answer, HttpSink, Lab, Peer, Request, has, write};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Standard input into an output for search engines.
fn conf(port: u16, keys: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.05\n    scheduler.base 1\n    scheduler.cap 1\n[INPUT]\n    Name stdin\n    Tag t.x\n\
         [OUTPUT]\n    Name es\n    Match *\n    Host 127.0.0.1\n    Port {port}\n{keys}"
    )
}

/// Runs the events on standard input through the output; answers the requests that were made.
fn send(server: &HttpSink, keys: &str, events: &str) -> Vec<crate::lab::Request> {
    let lab = Lab::new("es");
    lab.write("collector.conf", conf(server.port(), keys));
    lab.command(&["-c", "collector.conf"])
        .stdin(events)
        .start()
        .wait()
        .code(0)
        .silent_about(&["[error]", "[ warn] [output"]);
    server.requests()
}

/// The body of the one request that an event makes.
#[track_caller]
fn check(keys: &str, event: &str, body: &str) {
    let server = HttpSink::stores_all();
    let requests = send(&server, keys, event);
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].text(), body, "{keys}");
}

const EVENT: &str = r#"[1700000000.125, {"a.b":1,"m":{"c.d":[{"e.f":2}]},"t":"x \"y\""}]"#;

#[test]
fn bodies() {
    let source = r#"{"@timestamp":"2023-11-14T22:13:20.125Z","a.b":1,"m":{"c.d":[{"e.f":2}]},"t":"x \"y\""}"#;
    check("", EVENT, &format!("{{\"create\":{{\"_index\":\"fluent-bit\",\"_type\":\"_doc\"}}}}\n{source}\n"));
    check("    Suppress_Type_Name On\n    Index my-%Y\n", EVENT, &{
        let year = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).year();
        format!("{{\"create\":{{\"_index\":\"my-{year}\"}}}}\n{source}\n")
    });
    check(
        "    Logstash_Format On\n    Type doc\n",
        EVENT,
        &format!("{{\"create\":{{\"_index\":\"logstash-2023.11.14\",\"_type\":\"doc\"}}}}\n{source}\n"),
    );
    check(
        "    Logstash_Format On\n    Logstash_Prefix web\n    Logstash_Prefix_Separator _\n    Logstash_DateFormat %Y.%m\n    Suppress_Type_Name On\n",
        EVENT,
        &format!("{{\"create\":{{\"_index\":\"web_2023.11\"}}}}\n{source}\n"),
    );
    check(
        "    Include_Tag_Key On\n    Time_Key ts\n    Time_Key_Nanos On\n    Replace_Dots On\n    Suppress_Type_Name On\n",
        EVENT,
        "{\"create\":{\"_index\":\"fluent-bit\"}}\n{\"ts\":\"2023-11-14T22:13:20.125000000Z\",\"flb-key\":\"t.x\",\"a_b\":1,\"m\":{\"c_d\":[{\"e_f\":2}]},\"t\":\"x \\\"y\\\"\"}\n",
    );
    check(
        "    Id_Key t\n    Write_Operation upsert\n    Suppress_Type_Name On\n",
        r#"[1, {"t":"id-7"}]"#,
        "{\"update\":{\"_index\":\"fluent-bit\",\"_id\":\"id-7\"}}\n{\"doc_as_upsert\":true,\"doc\":{\"@timestamp\":\"1970-01-01T00:00:01.000Z\",\"t\":\"id-7\"}}\n",
    );
    check(
        "    Id_Key t\n    Write_Operation index\n    Suppress_Type_Name On\n",
        r#"[1, {"t":"id-7"}]"#,
        "{\"index\":{\"_index\":\"fluent-bit\",\"_id\":\"id-7\"}}\n{\"@timestamp\":\"1970-01-01T00:00:01.000Z\",\"t\":\"id-7\"}\n",
    );
}

#[test]
fn requests() {
    let server = HttpSink::stores_all();
    let keys = "    Path /base\n    Pipeline geo\n    HTTP_User me\n    HTTP_Passwd secret\n    Compress gzip\n    Generate_ID On\n";
    let requests = send(&server, keys, &format!("{EVENT}{EVENT}[2, {{}}]"));
    let [request] = &requests[..] else { panic!("{} requests", requests.len()) };
    assert_eq!(request.method, "POST");
    assert!(request.path.starts_with("/base/_bulk?") && request.path.contains("pipeline=geo"), "{}", request.path);
    assert_eq!(request.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(request.header("content-encoding"), Some("gzip"));
    assert_eq!(request.header("authorization"), Some("Basic bWU6c2VjcmV0"));
    assert!(request.header("user-agent").is_some_and(|a| !a.is_empty()));
    assert!(request.header("host").is_some_and(|h| h.starts_with("127.0.0.1")));
    let ids = ids(request);
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| id.len() == 36 && id.matches('-').count() == 4), "{ids:?}");
    assert_eq!(requests[0].documents().len(), 3);
}

/// The id of each item.
fn ids(request: &Request) -> Vec<String> {
    let id = |line: &str| line.split("\"_id\":\"").nth(1).and_then(|t| t.split('"').next()).map(str::to_owned);
    request.text().lines().step_by(2).map(|l| id(l).unwrap_or_else(|| panic!("no id: {l}"))).collect()
}

#[test]
fn ids_by_position_and_by_content() {
    let server = HttpSink::stores_all();
    let keys = "    Include_Tag_Key On\n    Generate_ID";
    let by_content = ids(&send(&server, &format!("{keys} content\n"), &format!("{EVENT}{EVENT}[2, {{}}]"))[0]);
    assert_eq!(by_content[0], by_content[1]);
    assert_ne!(by_content[0], by_content[2]);
    let again = HttpSink::stores_all();
    assert_eq!(ids(&send(&again, &format!("{keys} Content\n"), EVENT)[0])[0], by_content[0], "in every run");
    // What comes from no file is another record in every run, and each record is one of its own.
    let mut all = Vec::new();
    for _ in 0..2 {
        let server = HttpSink::stores_all();
        all.extend(ids(&send(&server, &format!("{keys} On\n"), &format!("{EVENT}{EVENT}"))[0]));
    }
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), 4, "{all:?}");
}

/// Lines without a time of their own get another one whenever they are read.
#[test]
fn a_file_that_is_read_again_gives_the_same_ids() {
    let lab = Lab::new("es-ids");
    lab.write("in.log", "same\nsame\nother\n");
    let mut all = Vec::new();
    for _ in 0..2 {
        let server = HttpSink::stores_all();
        let conf = conf(server.port(), "    Generate_ID On\n    Time_Key_Nanos On\n");
        let run = lab.start(&conf.replace("Name stdin", "Name tail\n    Path in.log\n    Read_from_Head on"));
        lab.wait("three lines at the server", || server.documents().len() == 3);
        run.term().code(0);
        let requests = server.requests();
        all.push((ids(&requests[0]), requests[0].documents()));
    }
    assert_eq!(all[0].0, all[1].0);
    assert_ne!(all[0].1, all[1].1, "the times are those of reading");
    assert_eq!(all[0].0.iter().collect::<HashSet<_>>().len(), 3, "equal lines are two documents: {all:?}");
}

/// Killed after the server stored everything and before the program knew.
#[test]
fn a_kill_before_the_answer_sends_the_same_ids_again() {
    if !has!("sqlite") {
        return;
    }
    let lab = Lab::new("es-kill");
    lab.write("in.log", "same\nsame\nother\n");
    let server = HttpSink::raw(|request, before, stream| match before {
        // Held until the program is dead.
        0 => std::io::Read::read(&mut &*stream, &mut [0]).is_err(),
        _ => write(stream, &Answer::bulk(&vec![201; request.documents().len()])).is_ok(),
    });
    let conf = conf(server.port(), "    Generate_ID On\n")
        .replace("Name stdin", "Name tail\n    Path in.log\n    Read_from_Head on\n    DB t.db");
    let run = lab.start(&conf);
    lab.wait("the first request", || server.requests().len() == 1);
    run.kill();
    let run = lab.start(&conf);
    lab.wait("the second request", || server.requests().len() == 2);
    run.term().code(0).says(&["output es.0: 3 records"]);
    let requests = server.requests();
    assert_eq!(ids(&requests[0]), ids(&requests[1]));
    assert_eq!(ids(&requests[0]).iter().collect::<HashSet<_>>().len(), 3);
}

#[test]
fn the_key_of_an_api_is_sent() {
    let server = HttpSink::stores_all();
    let requests = send(&server, "    HTTP_API_Key abc==\n", "{}");
    assert_eq!(requests[0].header("authorization"), Some("ApiKey abc=="));
}

#[test]
fn connections_are_kept() {
    let lab = Lab::new("es-keepalive");
    let server = HttpSink::stores_all();
    lab.write("in.log", "");
    let conf = conf(server.port(), "    Workers 1\n")
        .replace("Name stdin", "Name tail\n    Path in.log\n    Read_from_Head on");
    let run = lab.start(&conf);
    for n in 0..5 {
        lab.append("in.log", format!("line {n}\n"));
        lab.wait("the line at the server", || server.documents().iter().any(|d| d.contains(&format!("line {n}"))));
    }
    run.term().code(0).says(&["output es.0: 5 records"]);
    assert_eq!(server.connections(), 1);
}

#[test]
fn only_failed_items_are_sent_again() {
    let lab = Lab::new("es-items");
    let server = HttpSink::new(|request, before| match before {
        0 => Answer::bulk(&[201, 429, 201, 400, 409, 503]),
        _ => Answer::bulk(&vec![201; request.documents().len()]),
    });
    let events: String = (0..6).map(|n| format!("[1, {{\"n\":{n}}}]")).collect();
    lab.write("collector.conf", conf(server.port(), ""));
    let done = lab.command(&["-c", "collector.conf"]).stdin(events).start().wait().code(0);
    let requests = server.requests();
    assert_eq!(requests.len(), 2, "{}", done.report());
    let numbers = |at: usize| -> Vec<String> {
        requests[at]
            .documents()
            .iter()
            .map(|d| d.split("\"n\":").nth(1).unwrap().trim_end_matches('}').to_owned())
            .collect()
    };
    assert_eq!(numbers(0), ["0", "1", "2", "3", "4", "5"]);
    assert_eq!(numbers(1), ["1", "5"]);
    done.says(&[
        // The refused one is named with the server's reason, the others with theirs.
        "1 record(s) rejected: 400 mapper_parsing_exception: failed to parse field [n] of type [long]",
        "429 es_rejected_execution_exception: queue is full",
        "succeeded at retry 1",
        "output es.0: 5 records",
        "1 rejected, 0 dropped",
    ]);
}

#[test]
fn a_server_that_is_down_gets_everything_once_it_is_up() {
    let lab = Lab::new("es-down");
    let server = HttpSink::new(|request, before| match before {
        0 => Answer::new(503, "{\"error\":\"no master\"}"),
        1 => Answer::new(200, "not json"),
        _ => Answer::bulk(&vec![201; request.documents().len()]),
    });
    lab.write("collector.conf", conf(server.port(), "    Retry_Limit no_limits\n"));
    lab.command(&["-c", "collector.conf"]).stdin("{\"a\":1}{\"a\":2}").start().wait().code(0).says(&[
        "HTTP status 503",
        "no master",
        "the answer is not JSON",
        "succeeded at retry 2",
        "output es.0: 2 records",
    ]);
    let bodies: Vec<_> = server.requests().iter().map(|r| r.text()).collect();
    assert_eq!(bodies.len(), 3);
    assert!(bodies[0] == bodies[1] && bodies[1] == bodies[2]);
}

#[test]
fn a_server_that_hangs_up_is_tried_again() {
    let lab = Lab::new("es-hangs-up");
    let peer = Peer::hangs_up();
    lab.write("collector.conf", conf(peer.port(), "    Retry_Limit 1\n"));
    lab.command(&["-c", "collector.conf"]).stdin("{}").start().wait().code(0).says(&[
        "es.0 (out_id=0)",
        "cannot be retried",
        "1 record(s) given up after 2 attempt(s)",
    ]);
    assert!(peer.connections() >= 2);
}

#[test]
fn a_refused_connection_says_what_to_check() {
    let lab = Lab::new("es-refused");
    let (_held, port) = crate::lab::refused_port();
    lab.write("collector.conf", conf(port, "    Retry_Limit no_retries\n"));
    lab.command(&["-c", "collector.conf"])
        .stdin("{}")
        .start()
        .wait()
        .code(0)
        .says(&["connection refused: is the server running", "es.0"]);
}

#[test]
fn a_body_that_is_too_large_is_cut() {
    let lab = Lab::new("es-too-large");
    let refused = AtomicUsize::new(0);
    let server = HttpSink::new(move |request, _| match request.documents().len() {
        n if n > 2 => {
            refused.fetch_add(1, Ordering::Relaxed);
            Answer::new(413, "")
        }
        n => Answer::bulk(&vec![201; n]),
    });
    lab.write("collector.conf", conf(server.port(), ""));
    let events: String = (0..5).map(|n| format!("{{\"n\":{n}}}")).collect();
    lab.command(&["-c", "collector.conf"]).stdin(events).start().wait().code(0).says(&["output es.0: 5 records"]);
    let stored: usize = server.requests().iter().map(|r| r.documents().len()).filter(|n| *n <= 2).sum();
    assert_eq!(stored, 5);
}

#[test]
fn opensearch_is_its_sibling() {
    let lab = Lab::new("opensearch");
    let server = HttpSink::stores_all();
    lab.write(
        "collector.conf",
        conf(server.port(), "    Suppress_Type_Name On\n").replace("Name es", "Name opensearch"),
    );
    lab.command(&["-c", "collector.conf"])
        .stdin("[1, {\"a\":1}]")
        .start()
        .wait()
        .code(0)
        .says(&["output opensearch.0: 1 records"]);
    assert_eq!(server.documents(), [r#"{"@timestamp":"1970-01-01T00:00:01.000Z","a":1}"#]);
}

#[test]
fn an_update_without_an_id_is_refused_at_the_start() {
    let lab = Lab::new("es-update");
    lab.write("collector.conf", conf(1, "    Write_Operation update\n"));
    lab.exec(&["-c", "collector.conf"]).code(1).says(&["collector.conf:13:21: ", "need an id"]);
}
