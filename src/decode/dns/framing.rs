//! Messages in a TCP stream: each behind its length in two bytes (RFC 1035 §4.2.2, RFC 7766).

use super::notes;
use super::probe;
use super::talk::Talk;
use super::wire::HEADER;
use crate::decode::{Cx, Dir, Next, Probe, Step};

/// Bytes that are searched for the next message after the framing was lost, before the direction is given up.
const SEARCH_MAX: u32 = 256 * 1024;

/// Bytes kept while searching: a length, a header, the longest question.
const SEARCH_KEEP: usize = 2 + HEADER + 259;

/// One direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Framing {
    /// At a message's length.
    #[default]
    Between,
    /// Inside a message.
    Inside(Option<Part>),
    /// Anywhere, after a gap; so many bytes were searched.
    Lost(u32),
}

/// What is known of a message that is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// Its id.
    pub id: u16,
    /// Whether it is a response.
    pub response: bool,
}

/// Reads one message, or asks for more bytes.
pub(super) fn stream(talk: &mut Talk, cx: &mut Cx<'_>, dir: Dir, buf: &[u8]) -> Step {
    if let Framing::Lost(searched) = *side(talk, dir) {
        return search(talk, cx, dir, buf, searched);
    }
    let Some((len, rest)) = buf.split_first_chunk::<2>() else { return Step::need(2) };
    let len = usize::from(u16::from_be_bytes(*len));
    if len < HEADER {
        let note = if len == 0 { notes::ZERO_LENGTH } else { notes::BAD_LENGTH };
        talk.unreadable(cx, dir, cx.since(), 2, note);
        *side(talk, dir) = Framing::Lost(0);
        return Step::used(2);
    }
    let Some(message) = rest.get(..len) else {
        let part =
            rest.first_chunk::<3>().map(|[a, b, c]| Part { id: u16::from_be_bytes([*a, *b]), response: c & 0x80 != 0 });
        *side(talk, dir) = Framing::Inside(part);
        return Step::need(2 + len);
    };
    *side(talk, dir) = Framing::Between;
    talk.message(cx, dir, cx.since(), message, 2 + len as u64);
    Step::used(2 + len)
}

fn side(talk: &mut Talk, dir: Dir) -> &mut Framing {
    let [forward, back] = &mut talk.framing;
    match dir {
        Dir::Forward => forward,
        Dir::Back => back,
    }
}

/// Looks for what is a message beyond doubt, and reads it.
fn search(talk: &mut Talk, cx: &mut Cx<'_>, dir: Dir, buf: &[u8], searched: u32) -> Step {
    let mut perhaps = buf.len();
    for at in 0..buf.len() {
        let Some(rest) = buf.get(at..) else { break };
        match probe::stream(rest) {
            Probe::Yes => {
                *side(talk, dir) = Framing::Between;
                let step = stream(talk, cx, dir, rest);
                return Step { used: at + step.used, next: step.next };
            }
            // So near the end that the question is not there yet.
            Probe::Maybe if rest.len() < SEARCH_KEEP => perhaps = perhaps.min(at),
            Probe::Maybe | Probe::No => {}
        }
    }
    let searched = searched.saturating_add(u32::try_from(perhaps).unwrap_or(u32::MAX));
    *side(talk, dir) = Framing::Lost(searched);
    if searched > SEARCH_MAX {
        return Step { used: buf.len(), next: Next::Ignore };
    }
    Step { used: perhaps, next: Next::More(buf.len() - perhaps + 1) }
}

/// Bytes were lost.
pub(super) fn gap(talk: &mut Talk, cx: &mut Cx<'_>, dir: Dir) {
    end(talk, cx, dir);
    *side(talk, dir) = Framing::Lost(0);
}

/// The direction ended: a message that was begun is cut.
pub(super) fn end(talk: &mut Talk, cx: &mut Cx<'_>, dir: Dir) {
    if let Framing::Inside(part) = std::mem::take(side(talk, dir)) {
        talk.cut(cx, dir, part);
    }
}
