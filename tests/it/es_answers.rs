//! Answers to bulk requests that are too long, half, late or no answers at all: nothing is lost, nothing that is known to be
//! stored is sent again, memory stays bounded.

use crate::lab::{Answer, HttpSink, Lab, Proc, Request, is_native, until, write};
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

/// Five records on standard input, sent to a server that does `bad` with the first request and then stores everything.
/// Answers the numbers of the records in the second request.
fn second(keys: &str, says: &[&str], bad: impl Fn(&TcpStream) + Send + Sync + 'static) -> Vec<usize> {
    let lab = Lab::new("es-answers");
    let server = HttpSink::raw(move |request, before, stream| match before {
        0 => {
            bad(stream);
            false
        }
        _ => write(stream, &Answer::bulk(&vec![201; request.documents().len()])).is_ok(),
    });
    lab.write("collector.conf", conf(server.port(), "stdin", keys));
    let events: String = (0..5).map(|n| format!("[1, {{\"n\":{n}}}]")).collect();
    let done = lab.command(&["-c", "collector.conf"]).stdin(events).start().wait().code(0);
    done.says(says).says(&["retry in", "succeeded at retry 1", "output es.0: 5 records"]).silent_about(&["panicked"]);
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(numbers(&requests[0]), [0, 1, 2, 3, 4]);
    numbers(&requests[1])
}

fn conf(port: u16, input: &str, keys: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.05\n    scheduler.base 1\n    scheduler.cap 1\n[INPUT]\n    Name {input}\n    Tag t\n\
         [OUTPUT]\n    Name es\n    Match *\n    Host 127.0.0.1\n    Port {port}\n{keys}"
    )
}

/// The `n` of every document of a request.
fn numbers(request: &Request) -> Vec<usize> {
    let number = |d: &String| d.split("\"n\":").nth(1)?.split(['}', ',']).next()?.parse().ok();
    request.documents().iter().map(|d| number(d).unwrap_or_else(|| panic!("{d}"))).collect()
}

fn say(mut stream: &TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
}

const ALL: [usize; 5] = [0, 1, 2, 3, 4];
const TWO_STORED: &str = r#"{"took":1,"errors":true,"items":[{"create":{"status":201}},{"create":{"status":400,"error":{"type":"t","reason":"bad"}}},{"create":{"status":409}},{"create":{"sta"#;

#[test]
fn cut_in_the_middle() {
    // The refused one is judged anew by an answer that arrives whole.
    let says = ["the answer broke off after 3 of 5 items: the server closed the connection"];
    let again = second("", &says, |stream| {
        say(stream, &format!("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{TWO_STORED}"))
    });
    assert_eq!(again, [1, 3, 4]);
}

#[test]
fn cut_in_the_middle_of_a_chunk() {
    let says = ["the answer broke off after 3 of 5 items"];
    let chunks = TWO_STORED.as_bytes().chunks(7).map(|c| format!("7\r\n{}\r\n", String::from_utf8_lossy(c)));
    let mut chunks: Vec<_> = chunks.collect();
    chunks.pop();
    let text = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}7\r\na", chunks.concat());
    assert_eq!(second("", &says, move |stream| say(stream, &text)), [1, 3, 4]);
}

#[test]
fn stalled_in_the_middle() {
    let says = ["the answer broke off after 3 of 5 items: the server said nothing for 200ms (net.io_timeout)"];
    let again = second("    net.io_timeout 0.2\n", &says, |stream| {
        say(stream, &format!("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{TWO_STORED}"));
        wait_for_the_end(stream);
    });
    assert_eq!(again, [1, 3, 4]);
}

/// Until the program gives the connection up.
fn wait_for_the_end(mut stream: &TcpStream) {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let read = std::io::Read::read(&mut stream, &mut [0]);
    assert!(matches!(read, Ok(0)), "the connection was held: {read:?}");
}

#[test]
fn never_answered() {
    let says = ["the server said nothing for 200ms (net.io_timeout)"];
    assert_eq!(second("    net.io_timeout 0.2\n", &says, wait_for_the_end), ALL);
}

#[test]
fn half_a_header() {
    let half = "HTTP/1.1 200 OK\r\nContent-Le";
    assert_eq!(second("", &["the server closed the connection"], |stream| say(stream, half)), ALL);
    let says = ["the server said nothing for 200ms (net.io_timeout)"];
    let stall = |stream: &TcpStream| {
        say(stream, half);
        wait_for_the_end(stream);
    };
    assert_eq!(second("    net.io_timeout 0.2\n", &says, stall), ALL);
}

#[test]
fn no_answer_of_a_bulk_api() {
    let page = "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n<html>\nplease log in\n";
    let says = ["the answer is not JSON (expected an object at byte 0): <html> please log in"];
    assert_eq!(second("", &says, |stream| say(stream, page)), ALL);
}

#[test]
fn without_an_end() {
    let again = second("", &["the answer does not end: {\"items\":[{\"create\":{\"status\":201}}"], |mut stream| {
        say(stream, "HTTP/1.1 200 OK\r\n\r\n{\"items\":[{\"create\":{\"status\":201}}");
        let blanks = [b' '; 64 * 1024];
        while stream.write_all(&blanks).is_ok() {}
    });
    assert_eq!(again, [1, 2, 3, 4]);
}

#[test]
fn reset_in_the_middle_of_the_request() {
    let lab = Lab::new("es-reset");
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen = count.clone();
    let peer = crate::lab::Peer::new(move |stream| {
        let before = seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if before == 0 {
            // Closed with the request unread: a reset.
            std::io::Read::read(&mut &stream, &mut [0; 100]).unwrap();
            return;
        }
        let mut got = Vec::new();
        let mut buf = [0; 1 << 16];
        while !got.ends_with(b"end\"}\n") {
            let n = std::io::Read::read(&mut &stream, &mut buf).unwrap();
            assert!(n > 0, "the request broke off");
            got.extend_from_slice(&buf[..n]);
        }
        write(&stream, &Answer::new(200, "{\"errors\":false}")).unwrap();
        // The program closes it.
        let _ = std::io::Read::read(&mut &stream, &mut buf);
    });
    lab.write("collector.conf", conf(peer.port(), "stdin", ""));
    let events = format!("[1, {{\"a\":\"{}end\"}}]", "x".repeat(400_000));
    let done = lab.command(&["-c", "collector.conf"]).stdin(events).start().wait().code(0);
    done.says(&["retry in", "succeeded at retry 1", "output es.0: 1 records"]);
    assert_eq!(count.load(std::sync::atomic::Ordering::Relaxed), 2);
}

/// A line of `/proc/PID/status`, in KiB.
fn kib(run: &Proc, line: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", run.pid())).unwrap();
    let found = status.lines().find_map(|l| l.strip_prefix(line));
    found.unwrap_or_else(|| panic!("{line}: {status}")).trim_end_matches(" kB").trim().parse().unwrap()
}

/// 20 MB about 3,000 items, a third each stored, refused (every one for a reason of its own) and busy.
#[test]
fn twenty_megabytes_are_judged_in_little_memory() {
    if !is_native() {
        return;
    }
    const MANY: usize = 3000;
    let text = "y".repeat(6_500);
    let item = |n: usize| match n % 3 {
        0 => format!(r#"{{"create":{{"_shards":"{text}","status":201}}}}"#),
        1 => format!(r#"{{"create":{{"status":400,"error":{{"type":"no {n}","reason":"{text}"}}}}}}"#),
        _ => format!(r#"{{"create":{{"status":429,"error":{{"type":"busy","reason":"{text}"}}}}}}"#),
    };
    let items: Vec<_> = (0..MANY).map(item).collect();
    let long = format!(r#"{{"took":1,"errors":true,"items":[{}]}}"#, items.join(","));
    assert!(long.len() > 19_000_000 && long.len() < 21_000_000, "{}", long.len());
    let go = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let open = go.clone();
    let server = HttpSink::new(move |request, before| match before {
        // The same body twice, so that only the answer makes the difference.
        0 => Answer::bulk(&vec![429; request.documents().len()]),
        1 => {
            until(|| open.load(std::sync::atomic::Ordering::Relaxed));
            Answer::new(200, long.as_str())
        }
        _ => Answer::bulk(&vec![201; request.documents().len()]),
    });
    let lab = Lab::new("es-long");
    let lines: String = (0..MANY).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    lab.write("in.log", lines);
    let input = "tail\n    Path in.log\n    Read_from_Head on\n    Parser json";
    let mut run = lab.start(&conf(server.port(), input, "    Workers 1\n"));
    run.wait_for("the second request", |_| server.requests().len() == 2);
    std::fs::write(format!("/proc/{}/clear_refs", run.pid()), "5").unwrap();
    let before = kib(&run, "VmRSS:");
    go.store(true, std::sync::atomic::Ordering::Relaxed);
    run.wait_stderr("record(s) rejected");
    let peak = kib(&run, "VmHWM:");
    run.wait_for("the third request", |_| server.requests().len() == 3);
    println!("a 20 MB answer: {before} KiB before, {peak} KiB at most");
    assert!(peak < before + 4096, "{before} KiB, then {peak} KiB");
    let done = run.term().code(0);
    done.says(&["1000 record(s) rejected: 400 no 1: yyyy", "output es.0: 2000 records"]);
    let requests = server.requests();
    assert_eq!(requests.iter().map(|r| r.documents().len()).collect::<Vec<_>>(), [MANY, MANY, MANY / 3]);
    assert!(numbers(&requests[2]).iter().all(|n| n % 3 == 2));
}
