//! Bulk requests on worker threads: gzip, authorization, answers judged item by item.

use super::answer::{QUOTE, REASON, Verdict, read};
use crate::net::HttpClient;
use crate::net::http::Answer;
use crate::output::request::{quote, shorten};
use crate::output::{Outcome, Why};
use crate::util::sort;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{Read, Write};

/// How much of an error page is read, in bytes.
const PAGE: u64 = 4096;
/// Memory for the reasons of the refused records of one body, in bytes. Once it is used, reasons are cut to [`SHORT`].
const REASONS: usize = 256 * 1024;
/// Bytes of a reason among very many.
const SHORT: usize = 48;

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
    /// Whether the server could not be reached, or takes nothing from anybody.
    down: bool,
    refused: Vec<(u32, Why)>,
    /// Memory that the reasons take.
    reasons: usize,
}

impl Left {
    /// All these items are to be sent again.
    fn retry(&mut self, items: &[(u32, u32)], why: &str) {
        self.retry.extend(items.iter().map(|i| i.1));
        self.why.get_or_insert_with(|| why.to_owned());
    }

    fn refuse(&mut self, record: u32, why: String) {
        let why = if self.reasons < REASONS { why } else { shorten(why, SHORT) };
        self.reasons += why.len();
        self.refused.push((record, why.into()));
    }
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
        if left.down {
            // The other half has just failed.
            return left.retry(items, "");
        }
        let mut answer = match self.post(bytes) {
            Ok(answer) => answer,
            Err(why) => {
                left.down = true;
                return left.retry(items, &why);
            }
        };
        let status = answer.status;
        if matches!(status, 200 | 201) {
            self.judge(&mut answer, items, left);
            return answer.finish();
        }
        let mut page = Vec::new();
        // The status says enough when its page breaks off.
        let _ = answer.by_ref().take(PAGE).read_to_end(&mut page);
        answer.finish();
        self.trace(&page);
        let why = |most| http_error(status, &page, most);
        match status {
            _ if is_about_items(status, &page) && items.len() > 1 => {
                let middle = from + (to - from) / 2;
                self.send_part(body, from, middle, left);
                self.send_part(body, middle, to, left);
            }
            413 => {
                let why = format!("413: the server takes no document of {} bytes", bytes.len());
                items.iter().for_each(|i| left.refuse(i.1, why.clone()));
            }
            _ if is_about_items(status, &page) => items.iter().for_each(|i| left.refuse(i.1, why(REASON))),
            // Something in this body may be at fault; all else is about the server or the way to it.
            400 | 422 | 500 if !is_type_refused(status, &page) => left.retry(items, &why(QUOTE)),
            _ => {
                left.down = true;
                left.retry(items, &why(QUOTE));
            }
        }
    }

    /// Takes an answer at its word where all of it came and it is about these items. Otherwise only what it says is stored
    /// is believed: all else is sent again.
    fn judge(&self, answer: &mut Answer, items: &[(u32, u32)], left: &mut Left) {
        let (retried, refused) = (left.retry.len(), left.refused.len());
        let mut judged = items.iter();
        let told = read(answer, items.len(), |verdict| {
            let Some(&(_, record)) = judged.next() else { return };
            match verdict {
                Verdict::Done => {}
                Verdict::Retry(why) => {
                    left.retry.push(record);
                    left.why.get_or_insert(why);
                }
                Verdict::Refused(why) => left.refuse(record, why),
            }
        });
        if left.retry.len() > retried || left.refused.len() > refused || told.problem.is_some() {
            self.trace(&told.head);
        }
        left.down |= told.stalled;
        let problem = match told.problem {
            None if told.clean || told.items == items.len() => return,
            None => format!("{} items in the answer for {} in the request", told.items, items.len()),
            Some(why) => why,
        };
        let again = left.refused.drain(refused..).map(|r| r.0).chain(judged.map(|i| i.1));
        left.retry.extend(again);
        if let Some(new) = left.retry.get_mut(retried..) {
            sort::ascending(new);
        }
        left.why.get_or_insert(problem);
    }

    fn trace(&self, answer: &[u8]) {
        if self.trace_error {
            log::error!("[{}] error: Output\n{}", self.label, String::from_utf8_lossy(answer));
        }
    }

    fn post(&self, bytes: &[u8]) -> Result<Answer, String> {
        let mut headers = vec![("Content-Type", "application/x-ndjson")];
        headers.extend(self.authorization.as_deref().map(|a| ("Authorization", a)));
        if !self.gzip {
            return self.http.post(&self.url, &headers, bytes);
        }
        let mut packed = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::default());
        let packed = packed.write_all(bytes).and_then(|()| packed.finish()).map_err(|e| format!("gzip: {e}"))?;
        headers.push(("Content-Encoding", "gzip"));
        self.http.post(&self.url, &headers, &packed)
    }
}

/// Whether a request was refused for the sake of some of its items: all of them are too large, or one has an id that
/// cannot be.
fn is_about_items(status: u16, page: &[u8]) -> bool {
    let says = |text: &str| memchr::memmem::find(page, text.as_bytes()).is_some();
    status == 413 || status == 400 && (says("Validation Failed") || says("must not be empty"))
}

/// A server of version 8 or later refuses every body with `_type` in it.
fn is_type_refused(status: u16, page: &[u8]) -> bool {
    status == 400 && memchr::memmem::find(page, b"[_type]").is_some()
}

/// An HTTP status in words that name the remedy, with at most so many bytes of its page.
fn http_error(status: u16, page: &[u8], most: usize) -> String {
    let hint = match status {
        300..=399 => " (it sends us elsewhere: check Host, Port, Path and tls)",
        401 => " (check HTTP_User and HTTP_Passwd, HTTP_API_Key or Cloud_Auth)",
        403 => " (this user may not write to the index)",
        404 => " (check Path)",
        400 if is_type_refused(status, page) => " (set Suppress_Type_Name On for this server)",
        429 => " (the server is busy)",
        _ => "",
    };
    format!("HTTP status {status}{hint}: {}", quote(page, most))
}

#[cfg(test)]
mod tests;
