//! What an answer means for the records of its request.

/// How much of a server's reason is kept with a refused record, in bytes.
pub const REASON: usize = 1024;
/// How much of a page is quoted in a line of the log, in bytes.
pub const QUOTE: usize = 300;

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Stored.
    Done,
    /// The server or the way to it is at fault: nothing else would be stored now.
    Down(String),
    /// This may pass another time.
    Retry(String),
    /// These records will never be taken.
    Refused(String),
    /// Fewer records at a time may be taken.
    TooLarge,
}

/// Judges a status; `page` is the start of the answer's body, quoted unless the operator does not want it.
///
/// What holds for every request alike (credentials, the path) is no reason to refuse these records: they wait until it is
/// set right.
pub fn judge(status: u16, page: &[u8], quoted: bool) -> Verdict {
    let words = |most: usize| {
        let page = if quoted { quote(page.trim_ascii(), most) } else { String::new() };
        let colon = if page.is_empty() { "" } else { ": " };
        format!("HTTP status {status}{}{colon}{page}", hint(status))
    };
    match status {
        200..=299 => Verdict::Done,
        413 => Verdict::TooLarge,
        400..=499 if !is_about_the_way(status) => Verdict::Refused(words(REASON)),
        // Something in these records may be at fault, the others go on.
        500 => Verdict::Retry(words(QUOTE)),
        _ => Verdict::Down(words(QUOTE)),
    }
}

fn is_about_the_way(status: u16) -> bool {
    matches!(status, 401 | 403 | 404 | 405 | 407 | 408 | 429)
}

/// The remedy.
fn hint(status: u16) -> &'static str {
    match status {
        300..=399 => " (it sends us elsewhere: check Host, Port, URI and tls)",
        401 => " (check the user and the password or the token)",
        403 => " (these credentials may not write here)",
        404 => " (check URI)",
        405 => " (the server does not take this method: check URI)",
        407 => " (the proxy wants a user and a password)",
        429 => " (the server is busy)",
        _ => "",
    }
}

/// At most `most` bytes of a text; `…` stands for what is missing.
pub fn shorten(mut text: String, most: usize) -> String {
    if text.len() > most {
        let room = most.saturating_sub('…'.len_utf8());
        text.truncate((0..=room).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0));
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

/// The start of a page on one line, at most so many bytes.
pub fn quote(page: &[u8], most: usize) -> String {
    let start = page.get(..page.len().min(most)).unwrap_or_default();
    String::from_utf8_lossy(start).replace(|c: char| c.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        let kind = |status| match judge(status, b"", true) {
            Verdict::Done => "done",
            Verdict::Down(_) => "down",
            Verdict::Retry(_) => "retry",
            Verdict::Refused(_) => "refused",
            Verdict::TooLarge => "too large",
        };
        for (kinds, statuses) in [
            ("done", &[200, 201, 202, 204, 206][..]),
            ("down", &[301, 302, 307, 401, 403, 404, 405, 407, 408, 429, 502, 503, 504, 507, 599]),
            ("retry", &[500]),
            ("refused", &[400, 402, 406, 409, 410, 415, 422, 431]),
            ("too large", &[413]),
        ] {
            for &status in statuses {
                assert_eq!(kind(status), kinds, "{status}");
            }
        }
    }

    #[test]
    fn words_quote_the_server() {
        let refused = |page: &[u8], quoted| judge(400, page, quoted);
        assert_eq!(refused(b"no\nway \xff", true), Verdict::Refused("HTTP status 400: no way \u{fffd}".into()));
        assert_eq!(refused(b"no way", false), Verdict::Refused("HTTP status 400".into()));
        assert_eq!(refused(b" \n", true), Verdict::Refused("HTTP status 400".into()));
        let Verdict::Down(why) = judge(503, &[b'x'; 5000], true) else { panic!() };
        assert_eq!(why.len(), "HTTP status 503: ".len() + QUOTE);
        assert_eq!(shorten("aäb".into(), 4), "aäb");
        assert_eq!(shorten("aäbcdef".into(), 5), "a…");
    }
}
