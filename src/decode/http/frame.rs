//! How the end of a body is found (RFC 9112 §6.3).

use super::head::Version;

/// How long the body of a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    Empty,
    /// So many bytes.
    Fixed(u64),
    /// Chunks (RFC 9112 §7.1).
    Chunked,
    /// It ends with the connection.
    Close,
    /// Nobody can tell: the next message is searched for.
    Unknown,
}

/// `Content-Length`, of all header lines together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Length {
    #[default]
    Absent,
    Is(u64),
    /// Several values that differ; the first one.
    Conflict(u64),
    /// Not a number.
    Bad,
}

impl Length {
    /// Adds the value of one more line, which may be a list of equal numbers.
    pub(super) fn add(self, value: &[u8]) -> Self {
        value.split(|b| *b == b',').fold(self, |sum, part| match (sum, number(part.trim_ascii())) {
            (Self::Bad, _) | (_, None) => Self::Bad,
            (Self::Absent, Some(n)) => Self::Is(n),
            (Self::Is(a) | Self::Conflict(a), Some(n)) if a != n => Self::Conflict(a),
            (same, Some(_)) => same,
        })
    }

    /// The number to write into a document.
    pub(super) fn value(self) -> Option<u64> {
        match self {
            Self::Is(n) | Self::Conflict(n) => Some(n),
            Self::Absent | Self::Bad => None,
        }
    }
}

/// A number of digits alone.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |n, b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    })
}

/// A content or transfer coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    /// zlib's format, or, as some servers understand it, its raw stream.
    Deflate,
    /// One that is not undone here: br, zstd, compress …
    Other,
}

/// Codings of one message, in the order in which they were applied. No sender uses more.
pub(super) const CODINGS_MAX: usize = 4;

/// The codings of a body; more than [`CODINGS_MAX`] count as one that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Codings {
    list: [Option<Coding>; CODINGS_MAX],
}

impl Codings {
    fn push(&mut self, coding: Coding) {
        match self.list.iter_mut().find(|c| c.is_none()) {
            Some(free) => *free = Some(coding),
            None => self.list = [Some(Coding::Other), None, None, None],
        }
    }

    /// Adds the value of a `Content-Encoding` line.
    pub(super) fn add(&mut self, value: &[u8]) {
        for word in words(value) {
            if let Some(coding) = coding(word) {
                self.push(coding);
            }
        }
    }

    /// The codings, the last one applied first: as they are undone.
    pub(super) fn undo(&self) -> impl Iterator<Item = Coding> {
        self.list.into_iter().rev().flatten()
    }

    /// Whether there is any.
    pub(super) fn any(&self) -> bool {
        self.list.iter().any(Option::is_some)
    }
}

/// The words of a list without their parameters.
fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(|w| w.split(|b| *b == b';').next().unwrap_or_default().trim_ascii())
}

/// `None` for a coding that changes nothing.
fn coding(word: &[u8]) -> Option<Coding> {
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    match () {
        () if word.is_empty() || is("identity") => None,
        () if is("gzip") || is("x-gzip") => Some(Coding::Gzip),
        () if is("deflate") => Some(Coding::Deflate),
        () => Some(Coding::Other),
    }
}

/// `Transfer-Encoding`, of all header lines together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Transfer {
    /// What was applied before the chunks.
    pub(super) codings: Codings,
    /// The last coding is `chunked`.
    pub(super) chunked: bool,
    /// `chunked` stood before another one, or twice.
    mixed: bool,
}

impl Transfer {
    /// Adds the value of one more line.
    pub(super) fn add(&mut self, value: &[u8]) {
        for word in words(value) {
            if word.eq_ignore_ascii_case(b"chunked") {
                self.mixed |= self.chunked;
                self.chunked = true;
            } else if let Some(coding) = coding(word) {
                self.mixed |= self.chunked;
                self.chunked = false;
                self.codings.push(coding);
            }
        }
    }
}

/// Framing of a request's body.
pub(super) fn of_request(version: Version, transfer: &Transfer, length: Length) -> Framing {
    if version < Version(1, 0) {
        return Framing::Empty;
    }
    match (transfer, length) {
        (t, _) if t.mixed => Framing::Unknown,
        (t, _) if t.chunked => Framing::Chunked,
        (t, _) if t.codings.any() => Framing::Unknown,
        (_, Length::Is(0) | Length::Absent) => Framing::Empty,
        (_, Length::Is(n) | Length::Conflict(n)) => Framing::Fixed(n),
        (_, Length::Bad) => Framing::Unknown,
    }
}

/// Framing of the body of a response with `status` to a request with `method`, which may be unknown.
pub(super) fn of_response(status: u16, method: &[u8], transfer: &Transfer, length: Length) -> Framing {
    let tunnel = method == b"CONNECT" && (200..300).contains(&status);
    if method == b"HEAD" || (100..200).contains(&status) || status == 204 || status == 304 || tunnel {
        return Framing::Empty;
    }
    match (transfer, length) {
        (t, _) if t.mixed => Framing::Close,
        (t, _) if t.chunked => Framing::Chunked,
        (t, _) if t.codings.any() => Framing::Close,
        (_, Length::Is(0)) => Framing::Empty,
        (_, Length::Is(n) | Length::Conflict(n)) => Framing::Fixed(n),
        (_, Length::Absent | Length::Bad) => Framing::Close,
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        (self.0, self.1).partial_cmp(&(other.0, other.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(values: &[&str]) -> Length {
        values.iter().fold(Length::Absent, |l, v| l.add(v.as_bytes()))
    }

    fn transfer(values: &[&str]) -> Transfer {
        let mut t = Transfer::default();
        values.iter().for_each(|v| t.add(v.as_bytes()));
        t
    }

    #[test]
    fn content_lengths() {
        assert_eq!(length(&[]), Length::Absent);
        assert_eq!(length(&["5"]), Length::Is(5));
        assert_eq!(length(&["5", "5, 5"]), Length::Is(5));
        assert_eq!(length(&["5", "6"]), Length::Conflict(5));
        assert_eq!(length(&["18446744073709551615"]), Length::Is(u64::MAX));
        for bad in ["", "-1", "+5", "0x5", "5 5", "5,", "18446744073709551616", "1e3"] {
            assert_eq!(length(&[bad]), Length::Bad, "{bad}");
            assert_eq!(length(&["7", bad]), Length::Bad, "{bad}");
        }
    }

    #[test]
    fn transfer_codings() {
        assert!(transfer(&["Chunked"]).chunked);
        let t = transfer(&["gzip", " , chunked;q=1"]);
        assert!(t.chunked && !t.mixed);
        assert_eq!(t.codings.undo().collect::<Vec<_>>(), [Coding::Gzip]);
        assert!(transfer(&["chunked, gzip"]).mixed && transfer(&["chunked", "chunked"]).mixed);
        assert!(!transfer(&["identity"]).codings.any());
        let mut many = Codings::default();
        many.add(b"gzip, deflate, x-gzip, br, gzip");
        assert_eq!(many.undo().collect::<Vec<_>>(), [Coding::Other]);
    }

    #[test]
    fn the_framing_of_requests() {
        let (none, chunked, v11) = (transfer(&[]), transfer(&["chunked"]), Version(1, 1));
        assert_eq!(of_request(v11, &none, Length::Absent), Framing::Empty);
        assert_eq!(of_request(v11, &none, Length::Is(3)), Framing::Fixed(3));
        assert_eq!(of_request(v11, &chunked, Length::Is(3)), Framing::Chunked);
        assert_eq!(of_request(v11, &transfer(&["gzip"]), Length::Absent), Framing::Unknown);
        assert_eq!(of_request(v11, &transfer(&["chunked, gzip"]), Length::Is(3)), Framing::Unknown);
        assert_eq!(of_request(v11, &none, Length::Bad), Framing::Unknown);
        assert_eq!(of_request(v11, &none, Length::Conflict(9)), Framing::Fixed(9));
        assert_eq!(of_request(Version(0, 9), &none, Length::Is(3)), Framing::Empty);
    }

    #[test]
    fn the_framing_of_responses() {
        let (none, chunked) = (transfer(&[]), transfer(&["chunked"]));
        for (status, method) in
            [(200, "HEAD"), (100, "GET"), (101, "GET"), (204, "GET"), (304, "GET"), (200, "CONNECT")]
        {
            assert_eq!(
                of_response(status, method.as_bytes(), &chunked, Length::Is(9)),
                Framing::Empty,
                "{status} {method}"
            );
        }
        assert_eq!(of_response(407, b"CONNECT", &none, Length::Is(9)), Framing::Fixed(9));
        assert_eq!(of_response(200, b"GET", &chunked, Length::Is(9)), Framing::Chunked);
        assert_eq!(of_response(200, b"GET", &transfer(&["gzip"]), Length::Is(9)), Framing::Close);
        assert_eq!(of_response(200, b"GET", &none, Length::Is(0)), Framing::Empty);
        assert_eq!(of_response(200, b"", &none, Length::Absent), Framing::Close);
        assert_eq!(of_response(200, b"GET", &none, Length::Bad), Framing::Close);
    }
}
