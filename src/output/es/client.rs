//! Bulk requests on worker threads: gzip, authorization, answers judged item by item.

use super::answer::{Answer, Verdict, read};
use crate::net::HttpClient;
use crate::net::http::Answer as HttpAnswer;
use crate::output::{Outcome, Why};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// The longest answer that is read, in bytes; a longer one counts as unreadable and the request is tried again.
const ANSWER_MAX: u64 = 64 << 20;
/// How much of an error page is quoted, in bytes.
const QUOTE: usize = 300;

/// Where and how bulk requests are sent; cheap to clone for each job.
#[derive(Debug, Clone)]
pub struct Client {
    /// The pool of connections.
    pub http: HttpClient,
    /// `http://host:port/path/_bulk?…`
    pub url: String,
    /// The value of the `Authorization` header.
    pub authorization: Option<String>,
    /// Compress bodies.
    pub gzip: bool,
    /// Log answers with errors.
    pub trace_error: bool,
    /// `output:es:es.0`, for log lines.
    pub label: String,
}

/// A bulk body with the end of each item and the record it is.
#[derive(Debug, Clone, Copy)]
pub struct Body<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Where each item ends, and its record in the batch.
    pub items: &'a [(u32, u32)],
}

impl<'a> Body<'a> {
    /// The items `from..to` as a body of their own.
    fn part(&self, from: usize, to: usize) -> (&'a [u8], &'a [(u32, u32)]) {
        let at = |n: usize| n.checked_sub(1).and_then(|n| self.items.get(n)).map_or(0, |i| i.0 as usize);
        (self.bytes.get(at(from)..at(to)).unwrap_or_default(), self.items.get(from..to).unwrap_or_default())
    }
}

/// What is left of a body after its answers.
#[derive(Debug, Default)]
struct Left {
    retry: Vec<u32>,
    why: Option<String>,
    /// Whether the server could not be reached, or is overloaded.
    down: bool,
    refused: Vec<(u32, Why)>,
}

impl Client {
    /// Sends a body. It is cut in halves as often as the server finds it too large.
    pub fn send(&self, body: Body<'_>) -> Outcome {
        let mut left = Left::default();
        self.send_part(body, 0, body.items.len(), &mut left);
        let why = left.why.unwrap_or_default().into();
        if left.retry.is_empty() && left.refused.is_empty() {
            Outcome::Done
        } else if left.retry.len() < body.items.len() {
            Outcome::Part { retry: left.retry, why, refused: left.refused }
        } else if left.down {
            Outcome::Down(why)
        } else {
            Outcome::Retry(why)
        }
    }

    fn send_part(&self, body: Body<'_>, from: usize, to: usize, left: &mut Left) {
        let (bytes, items) = body.part(from, to);
        let records = || items.iter().map(|i| i.1);
        let fail = |left: &mut Left, why: String| {
            left.retry.extend(records());
            left.why.get_or_insert(why);
        };
        let HttpAnswer { status, body: answer } = match self.post(bytes) {
            Ok(a) => a,
            Err(why) => {
                left.down = true;
                return fail(left, why);
            }
        };
        if self.trace_error && (status >= 300 || memchr::memmem::find(&answer, b"\"errors\":true").is_some()) {
            log::error!("[{}] error: Output\n{}", self.label, String::from_utf8_lossy(&answer));
        }
        match status {
            200 | 201 => {}
            413 if items.len() > 1 => {
                let middle = from + (to - from) / 2;
                self.send_part(body, from, middle, left);
                return self.send_part(body, middle, to, left);
            }
            413 => {
                let why = format!("413: the server takes no document of {} bytes", bytes.len());
                left.refused.extend(records().map(|r| (r, why.clone().into())));
                return;
            }
            401 | 403 | 404 | 408 | 429 | 502..=504 => {
                left.down = true;
                return fail(left, http_error(status, &answer));
            }
            _ => return fail(left, http_error(status, &answer)),
        }
        match read(&answer) {
            Answer::AllDone => {}
            Answer::Unreadable(why) => fail(left, why),
            Answer::Items(verdicts) if verdicts.len() != items.len() => {
                fail(left, format!("{} items in the answer for {} in the request", verdicts.len(), items.len()));
            }
            Answer::Items(verdicts) => {
                for (verdict, &(_, record)) in verdicts.into_iter().zip(items) {
                    match verdict {
                        Verdict::Done => {}
                        Verdict::Retry(why) => {
                            left.retry.push(record);
                            left.why.get_or_insert(why);
                        }
                        Verdict::Refused(why) => left.refused.push((record, why.into())),
                    }
                }
            }
        }
    }

    fn post(&self, bytes: &[u8]) -> Result<HttpAnswer, String> {
        let mut headers = vec![("Content-Type", "application/x-ndjson")];
        headers.extend(self.authorization.as_deref().map(|a| ("Authorization", a)));
        if !self.gzip {
            return self.http.post(&self.url, &headers, bytes, ANSWER_MAX);
        }
        let mut packed = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::default());
        let packed = packed.write_all(bytes).and_then(|()| packed.finish()).map_err(|e| format!("gzip: {e}"))?;
        headers.push(("Content-Encoding", "gzip"));
        self.http.post(&self.url, &headers, &packed, ANSWER_MAX)
    }
}

/// An HTTP status in words that name the remedy.
fn http_error(status: u16, body: &[u8]) -> String {
    let quote = String::from_utf8_lossy(&body[..body.len().min(QUOTE)]).replace(['\n', '\r'], " ");
    let hint = match status {
        401 => " (check HTTP_User and HTTP_Passwd, HTTP_API_Key or Cloud_Auth)",
        403 => " (this user may not write to the index)",
        404 => " (check Path)",
        400 if quote.contains("_type") => " (set Suppress_Type_Name On for this server)",
        429 => " (the server is busy)",
        _ => "",
    };
    format!("HTTP status {status}{hint}: {quote}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Section;
    use crate::conf::common::NetOut;
    use crate::error::Diags;
    use std::io::{BufRead, BufReader, Read};
    use std::net::TcpListener;
    use std::thread;

    /// Answers requests from a script on one connection after the other; gives the bodies back.
    fn server(script: Vec<(u16, &'static str)>) -> (String, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/_bulk", listener.local_addr().unwrap());
        let serve = move || {
            let mut bodies = Vec::new();
            let mut script = script.into_iter();
            while bodies.len() < script.len() + bodies.len() {
                let mut stream = BufReader::new(listener.accept().unwrap().0);
                'connection: loop {
                    let mut length = 0;
                    loop {
                        let mut line = String::new();
                        if stream.read_line(&mut line).unwrap() == 0 {
                            break 'connection;
                        }
                        if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                            length = n.trim().parse().unwrap();
                        }
                        if line == "\r\n" {
                            break;
                        }
                    }
                    let mut body = vec![0; length];
                    stream.read_exact(&mut body).unwrap();
                    bodies.push(String::from_utf8(body).unwrap());
                    let (status, answer) = script.next().unwrap();
                    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", answer.len());
                    stream.get_mut().write_all((head + answer).as_bytes()).unwrap();
                    if script.len() == 0 {
                        break 'connection;
                    }
                }
            }
            bodies
        };
        (url, thread::spawn(serve))
    }

    fn http() -> HttpClient {
        let net = NetOut::load(&Section::of("OUTPUT", &[]), &mut Diags::new()).unwrap();
        HttpClient::new(&net, 1, None)
    }

    fn check(script: Vec<(u16, &'static str)>, expected: &str, bodies: &[&str]) {
        let (url, handle) = server(script);
        let client = Client {
            http: http(),
            url,
            authorization: None,
            gzip: false,
            trace_error: false,
            label: "output:es:es.0".into(),
        };
        let body = Body { bytes: b"a\nb\nc\nd\n", items: &[(2, 10), (4, 11), (6, 12), (8, 13)] };
        let outcome = format!("{:?}", client.send(body));
        drop(client);
        assert!(outcome.starts_with(expected), "{outcome}");
        assert_eq!(handle.join().unwrap(), bodies);
    }

    const ALL: &str = "a\nb\nc\nd\n";

    #[test]
    fn items_are_judged_one_by_one() {
        let answer = r#"{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":429,"error":{"type":"t","reason":"busy"}}},{"create":{"status":400,"error":{"type":"m","reason":"bad"}}},{"create":{"status":409}}]}"#;
        check(
            vec![(200, answer)],
            r#"Part { retry: [11], why: "429 t: busy", refused: [(12, "400 m: bad")] }"#,
            &[ALL],
        );
        check(vec![(200, r#"{"errors":false,"items":[]}"#)], "Done", &[ALL]);
    }

    #[test]
    fn a_failed_request_is_tried_again_whole() {
        check(vec![(503, "later")], r#"Down("HTTP status 503: later")"#, &[ALL]);
        check(vec![(401, "who?")], r#"Down("HTTP status 401 (check HTTP_User"#, &[ALL]);
        check(vec![(200, "<html>")], "Retry(\"the answer is not JSON", &[ALL]);
        check(vec![(200, r#"{"errors":true,"items":[]}"#)], "Retry(\"0 items in the answer for 4", &[ALL]);
    }

    #[test]
    fn what_is_too_large_is_cut_in_halves() {
        let ok = r#"{"errors":false}"#;
        let script = vec![(413, ""), (200, ok), (413, ""), (413, ""), (200, ok)];
        let parts = [ALL, "a\nb\n", "c\nd\n", "c\n", "d\n"];
        check(
            script,
            r#"Part { retry: [], why: "", refused: [(12, "413: the server takes no document of 2 bytes")] }"#,
            &parts,
        );
    }

    #[test]
    fn a_refused_connection_says_what_to_check() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/_bulk", listener.local_addr().unwrap());
        drop(listener);
        let client =
            Client { http: http(), url, authorization: None, gzip: false, trace_error: false, label: String::new() };
        let outcome = format!("{:?}", client.send(Body { bytes: b"a\n", items: &[(2, 0)] }));
        assert!(outcome.contains("connection refused"), "{outcome}");
    }

    #[test]
    fn parts_of_a_body() {
        let body = Body { bytes: b"aabbbc", items: &[(2, 7), (5, 8), (6, 9)] };
        assert_eq!(body.part(0, 3), (&b"aabbbc"[..], &[(2, 7), (5, 8), (6, 9)][..]));
        assert_eq!(body.part(1, 2), (&b"bbb"[..], &[(5, 8)][..]));
        assert_eq!(body.part(2, 3), (&b"c"[..], &[(6, 9)][..]));
    }
}
