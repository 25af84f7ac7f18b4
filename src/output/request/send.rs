//! Requests on a worker thread, one after the other, and what their answers mean together.

use super::judge::{Verdict, judge};
use super::{Method, REFUSED, Remarks};
use crate::fmt::codec::Codec;
use crate::net::HttpClient;
use crate::net::http::Answer;
use crate::output::{Outcome, Why};
use crate::util::sort;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

/// How much of an answer is read to quote it, in bytes.
const PAGE: u64 = 4096;

/// Where and how requests are sent; cheap to clone for each job.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) http: HttpClient,
    pub(super) method: Method,
    pub(super) url: Arc<str>,
    pub(super) headers: Arc<[(String, String)]>,
    pub(super) codec: Option<Codec>,
    /// `output:http:http.0`, for log lines.
    pub(super) label: Arc<str>,
    /// Quote answers.
    pub(super) quote: bool,
    /// Requests begin with headers of their own.
    pub(super) has_heads: bool,
    /// What a success has to say of records that were left out.
    pub(super) remarks: Option<Remarks>,
}

/// What became of the requests of one delivery.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Records to send again.
    retry: Vec<u32>,
    why: Option<String>,
    /// Whether the server could not be reached, or takes nothing from anybody.
    down: bool,
    pub(super) refused: Vec<(u32, Why)>,
    /// How long the server wants to be left alone.
    pub(super) wait: Option<Duration>,
    /// Whether it answered at all.
    pub(super) heard: bool,
    /// The size of the smallest body that was too large, in bytes.
    pub(super) too_large: Option<usize>,
    pub(super) remarks: Vec<String>,
}

impl Sent {
    /// The outcome for so many records.
    pub(super) fn outcome(mut self, records: usize) -> Outcome {
        let why: Why = self.why.unwrap_or_default().into();
        if self.retry.is_empty() && self.refused.is_empty() {
            return Outcome::Done;
        }
        if self.retry.len() == records {
            return if self.down { Outcome::Down(why) } else { Outcome::Retry(why) };
        }
        let is_one = |reason: &Why| self.refused.iter().all(|r| r.1 == *reason);
        if self.refused.len() == records && self.refused.first().is_some_and(|r| is_one(&r.1)) {
            return Outcome::Drop(self.refused.swap_remove(0).1);
        }
        sort::ascending(&mut self.retry);
        sort::by_key(&mut self.refused, |r| r.0);
        Outcome::Part { retry: self.retry, why, refused: self.refused }
    }
}

impl Client {
    /// Sends the requests of a payload. After one that found the server out of reach, the rest waits.
    pub(super) fn send(&self, bytes: &[u8], items: &[(u32, u32)], more: &[(String, String)]) -> Sent {
        let mut sent = Sent::default();
        let mut from = 0;
        let mut packed = Vec::new();
        for part in items.chunk_by(|a, b| a.0 == b.0) {
            let end = part.first().map_or(0, |i| i.0);
            if end == REFUSED {
                continue;
            }
            let end = end as usize;
            let whole = bytes.get(from..end).unwrap_or_default();
            from = end;
            let records = part.iter().map(|i| i.1);
            if sent.down {
                sent.retry.extend(records);
                continue;
            }
            match self.request(whole, more, &mut packed, &mut sent) {
                Verdict::Done => {}
                Verdict::Down(why) => {
                    sent.down = true;
                    sent.retry.extend(records);
                    sent.why.get_or_insert(why);
                }
                Verdict::Retry(why) => {
                    sent.retry.extend(records);
                    sent.why.get_or_insert(why);
                }
                Verdict::Refused(why) => {
                    let why: Why = why.into();
                    sent.refused.extend(records.map(|r| (r, why.clone())));
                }
                Verdict::TooLarge if part.len() > 1 => {
                    sent.too_large = Some(sent.too_large.map_or(whole.len(), |size| size.min(whole.len())));
                    sent.retry.extend(records);
                    sent.why.get_or_insert_with(|| "the server takes no body of this size (413)".into());
                }
                Verdict::TooLarge => {
                    let why: Why =
                        format!("HTTP status 413: the server takes no record of {} bytes", whole.len()).into();
                    sent.refused.extend(records.map(|r| (r, why.clone())));
                }
            }
        }
        sent
    }

    /// One request; `packed` is scratch.
    fn request(&self, whole: &[u8], more: &[(String, String)], packed: &mut Vec<u8>, sent: &mut Sent) -> Verdict {
        let (head, body) = if self.has_heads { split(whole) } else { ("", whole) };
        let own = head.split("\r\n").filter_map(|line| line.split_once(": "));
        let fixed = self.headers.iter().chain(more).map(|(n, v)| (n.as_str(), v.as_str()));
        // What a request says itself replaces what all say.
        let is_own = |name: &str| own.clone().any(|(n, _)| n.eq_ignore_ascii_case(name));
        let headers: Vec<(&str, &str)> = fixed.filter(|(n, _)| !is_own(n)).chain(own.clone()).collect();
        let body = match self.codec {
            Some(codec) => {
                packed.clear();
                codec.pack(body, packed);
                packed.as_slice()
            }
            None => body,
        };
        let answer = match self.method {
            Method::Post => self.http.post(&self.url, &headers, body),
            Method::Put => self.http.put(&self.url, &headers, body),
        };
        match answer {
            Ok(answer) => self.judge(answer, sent),
            Err(why) => Verdict::Down(why),
        }
    }

    fn judge(&self, mut answer: Answer, sent: &mut Sent) -> Verdict {
        let status = answer.status;
        let is_good = (200..300).contains(&status);
        sent.heard = true;
        let shown = self.quote && log::log_enabled!(log::Level::Debug);
        let mut page = Vec::new();
        if !is_good || shown || self.remarks.is_some() {
            // The status says enough when its page breaks off.
            let _ = answer.by_ref().take(PAGE).read_to_end(&mut page);
        }
        if !is_good {
            sent.wait = sent.wait.max(answer.retry_after);
        }
        answer.finish();
        if is_good {
            sent.remarks.extend(self.remarks.and_then(|find| find(&page)));
            if shown {
                log::debug!("[{}] HTTP status {status}: {}", self.label, String::from_utf8_lossy(&page));
            }
        }
        judge(status, &page, self.quote)
    }
}

/// The lines of headers before the empty line, and the body behind it.
fn split(whole: &[u8]) -> (&str, &[u8]) {
    if let Some(body) = whole.strip_prefix(b"\r\n") {
        return ("", body);
    }
    let at = memchr::memmem::find(whole, b"\r\n\r\n").unwrap_or(whole.len());
    let head = std::str::from_utf8(whole.get(..at).unwrap_or_default()).unwrap_or_default();
    (head, whole.get(at + 4..).unwrap_or_default())
}
