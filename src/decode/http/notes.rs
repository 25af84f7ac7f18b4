//! What is told of a transaction beside its fields: `error.message`.

/// One remark; its number is its bit in [`Notes`], and the order in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    PortMismatch,
    LostRequest,
    LostResponse,
    Garbage,
    HeadTooLong,
    TooManyHeaders,
    BadLength,
    ConflictingLengths,
    LengthAndChunks,
    UnknownEnd,
    BadChunk,
    RequestCut,
    ResponseCut,
    Reset,
    BodyTooLong,
    BodyDamaged,
    BodyUnsupported,
    TooManyWaiting,
    Http2,
    UnmatchedRequest,
    UnmatchedResponse,
}

impl Note {
    /// All, in the order of their numbers.
    const ALL: [Self; NOTES] = [
        Self::PortMismatch,
        Self::LostRequest,
        Self::LostResponse,
        Self::Garbage,
        Self::HeadTooLong,
        Self::TooManyHeaders,
        Self::BadLength,
        Self::ConflictingLengths,
        Self::LengthAndChunks,
        Self::UnknownEnd,
        Self::BadChunk,
        Self::RequestCut,
        Self::ResponseCut,
        Self::Reset,
        Self::BodyTooLong,
        Self::BodyDamaged,
        Self::BodyUnsupported,
        Self::TooManyWaiting,
        Self::Http2,
        Self::UnmatchedRequest,
        Self::UnmatchedResponse,
    ];

    /// Its words in a document.
    fn text(self) -> &'static str {
        match self {
            Self::PortMismatch => "Host header port number mismatch",
            Self::LostRequest => "Packet loss while capturing the request",
            Self::LostResponse => "Packet loss while capturing the response",
            Self::Garbage => "Bytes that are not HTTP stood before it",
            Self::HeadTooLong => "The head is longer than 64 KiB",
            Self::TooManyHeaders => "More than 256 header lines",
            Self::BadLength => "Content-Length is not a number",
            Self::ConflictingLengths => "Several Content-Length values that differ",
            Self::LengthAndChunks => "Both Content-Length and Transfer-Encoding",
            Self::UnknownEnd => "The end of the body cannot be told",
            Self::BadChunk => "The chunked body is damaged",
            Self::RequestCut => "The request was cut off",
            Self::ResponseCut => "The response was cut off",
            Self::Reset => "The connection was reset",
            Self::BodyTooLong => "The body was cut at http.max_message_size",
            Self::BodyDamaged => "The body's content coding is damaged",
            Self::BodyUnsupported => "The body was left out: its content coding is not supported",
            Self::TooManyWaiting => "Too many requests are waiting for responses",
            Self::Http2 => "HTTP/2 is recognised, but not decoded",
            Self::UnmatchedRequest => "Unmatched request",
            Self::UnmatchedResponse => "Unmatched response",
        }
    }
}

/// How many there are.
pub(super) const NOTES: usize = 21;

/// A set of notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Notes(u32);

impl Notes {
    /// Adds one.
    pub(super) fn add(&mut self, note: Note) {
        self.0 |= 1 << note as u32;
    }

    /// Adds all of another set.
    pub(super) fn join(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Writes their words to `out`; answers the part that was written.
    pub(super) fn texts(self, out: &mut [&'static str; NOTES]) -> usize {
        if self.0 == 0 {
            return 0;
        }
        let found = Note::ALL.into_iter().filter(|n| self.0 & (1 << *n as u32) != 0);
        out.iter_mut().zip(found).map(|(slot, note)| *slot = note.text()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_in_their_order() {
        for (i, note) in Note::ALL.into_iter().enumerate() {
            assert_eq!(note as usize, i);
        }
        let mut notes = Notes::default();
        let mut out = [""; NOTES];
        assert_eq!(notes.texts(&mut out), 0);
        notes.add(Note::UnmatchedRequest);
        notes.add(Note::LostRequest);
        notes.add(Note::LostRequest);
        let n = notes.texts(&mut out);
        assert_eq!(out[..n], ["Packet loss while capturing the request", "Unmatched request"]);
    }
}
