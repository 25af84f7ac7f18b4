//! Bodies, and bytes between messages.

use super::super::chunked::{Chunked, Piece};
use super::super::head::{self, Looks};
use super::super::message::Kind;
use super::super::notes::Note;
use super::super::seek::{Found, Wanted, seek};
use super::{At, Http, Turn};
use crate::decode::{Cx, Dir, Next};

impl Http {
    pub(super) fn fixed(&mut self, cx: &mut Cx<'_>, dir: Dir, left: u64, buf: &[u8]) -> Turn {
        let n = usize::try_from(left).map_or(buf.len(), |left| left.min(buf.len()));
        self.take(cx, dir, buf.get(..n).unwrap_or_default(), n);
        if n as u64 == left {
            self.complete(cx, dir);
            return Turn::Ended(n);
        }
        self.side(dir).at = At::Fixed(left - n as u64);
        Turn::Used(n)
    }

    pub(super) fn chunks(&mut self, cx: &mut Cx<'_>, dir: Dir, mut state: Chunked, buf: &[u8]) -> Turn {
        let (used, piece) = state.read(buf);
        self.side(dir).at = At::Chunks(state);
        let data = if let Piece::Data(n) = piece { n } else { 0 };
        self.take(cx, dir, buf.get(used - data.min(used)..used).unwrap_or_default(), used);
        if let Some(m) = self.current(dir) {
            m.body_len = m.body_len.saturating_add(data as u64);
        }
        match piece {
            Piece::More | Piece::Data(_) => Turn::Used(used),
            Piece::End => {
                self.complete(cx, dir);
                Turn::Ended(used)
            }
            Piece::Bad => {
                self.note(dir, Note::BadChunk);
                self.side(dir).expect(At::Open);
                Turn::Used(used)
            }
        }
    }

    /// The rest of the connection is the body, unless another response follows to a request that waits.
    pub(super) fn until_close(&mut self, cx: &mut Cx<'_>, dir: Dir, buf: &[u8]) -> Turn {
        if head::looks(buf) == Looks::Response && self.queue.waiting() > 0 {
            self.complete(cx, dir);
            return Turn::Ended(0);
        }
        self.take(cx, dir, buf, buf.len());
        if let Some(m) = self.current(dir) {
            m.body_len = m.body_len.saturating_add(buf.len() as u64);
        }
        Turn::Used(buf.len())
    }

    /// Counts `used` bytes of a body and keeps its data.
    pub(super) fn take(&mut self, cx: &Cx<'_>, dir: Dir, data: &[u8], used: usize) {
        let max = self.shared.settings.max_body;
        if let Some(m) = self.current(dir) {
            m.size = m.size.saturating_add(used as u64);
            m.end = cx.time();
            m.keep(data, max);
        }
    }

    pub(super) fn search(&mut self, cx: &mut Cx<'_>, dir: Dir, open: bool, buf: &[u8]) -> Turn {
        let kind = self.kind(dir);
        let wanted = Wanted { requests: kind != Some(Kind::Response), responses: kind != Some(Kind::Request) };
        let found = seek(buf, wanted);
        let passed = match found {
            Found::At(n) | Found::Perhaps(n) => n,
            Found::No => buf.len(),
        };
        if open && passed > 0 {
            self.take(cx, dir, &[], passed);
        }
        match found {
            Found::At(0) if !open => {
                self.side(dir).expect(At::Head);
                Turn::Used(0)
            }
            Found::At(_) => {
                if open {
                    self.complete(cx, dir);
                }
                self.side(dir).expect(At::Head);
                Turn::Ended(passed)
            }
            Found::Perhaps(_) => Turn::Stop(passed, Next::More(buf.len() - passed + 1)),
            Found::No => Turn::Used(passed),
        }
    }

    pub(super) fn note(&mut self, dir: Dir, note: Note) {
        if let Some(m) = self.current(dir) {
            m.notes.add(note);
        }
    }

    /// Bytes were lost where a message could have begun.
    pub(super) fn lose_message(&mut self, cx: &mut Cx<'_>, dir: Dir) {
        let side = self.side(dir);
        side.expect(At::Seek);
        side.blind = true;
        match self.kind(dir) {
            Some(Kind::Request) => {
                self.request_lost = true;
                self.settle(cx);
            }
            Some(Kind::Response) => self.queue.lose_response(),
            None => {}
        }
    }

    /// A direction ends: so does the message it is in.
    pub(super) fn end(&mut self, cx: &mut Cx<'_>, dir: Dir) {
        let at = self.side(dir).at;
        match at {
            At::Head | At::Seek => return,
            At::Close | At::Open => {}
            At::Fixed(left) => {
                if let Some(m) = self.current(dir) {
                    m.body_len = m.body_len.saturating_sub(left);
                    m.notes.add(m.cut());
                }
            }
            At::Chunks(_) => {
                if let Some(m) = self.current(dir) {
                    m.notes.add(m.cut());
                }
            }
        }
        self.complete(cx, dir);
    }
}
