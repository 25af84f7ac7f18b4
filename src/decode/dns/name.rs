//! Domain names on the wire (RFC 1035 §3.1 and §4.1.4): walking over them, and their text.

use super::Bad;

/// The text of a name, without its trailing dot. 255 octets of which each may become `\ddd`.
pub(super) type NameText = heapless::Vec<u8, 1024>;

/// Octets of a name, lengths and the root's included (RFC 1035 §2.3.4).
const OCTETS_MAX: usize = 255;

/// Labels of a name one after the other, pointers followed.
///
/// A pointer must lead to before the run of labels that it ends. That is what the RFC means by "a prior occurrence", and
/// it makes loops impossible; beside it the octets are counted.
struct Labels<'m> {
    msg: &'m [u8],
    /// Where the next length octet stands.
    at: usize,
    /// Where the current run of labels began.
    run: usize,
    octets: usize,
    /// Where what follows the name stands, once it is known.
    next: Option<usize>,
}

impl<'m> Labels<'m> {
    fn new(msg: &'m [u8], at: usize) -> Self {
        Self { msg, at, run: at, octets: 0, next: None }
    }

    /// The next label; `None` is the root.
    #[inline]
    fn label(&mut self) -> Result<Option<&'m [u8]>, Bad> {
        loop {
            let len = *self.msg.get(self.at).ok_or(Bad)?;
            match len >> 6 {
                0 if len == 0 => {
                    self.next.get_or_insert(self.at + 1);
                    return Ok(None);
                }
                0 => {
                    let from = self.at + 1;
                    let label = self.msg.get(from..from + usize::from(len)).ok_or(Bad)?;
                    self.at = from + label.len();
                    self.octets += 1 + label.len();
                    return if self.octets < OCTETS_MAX { Ok(Some(label)) } else { Err(Bad) };
                }
                3 => {
                    let low = *self.msg.get(self.at + 1).ok_or(Bad)?;
                    let to = usize::from(len & 0x3f) << 8 | usize::from(low);
                    self.next.get_or_insert(self.at + 2);
                    // No name stands in the header.
                    if to >= self.run || to < super::wire::HEADER {
                        return Err(Bad);
                    }
                    (self.at, self.run) = (to, to);
                }
                // 01: extended labels, given up by RFC 6891 §5; 10 was never given out.
                _ => return Err(Bad),
            }
        }
    }
}

/// Checks the name at `at` and answers where what follows it stands.
#[inline]
pub(super) fn skip(msg: &[u8], at: usize) -> Result<usize, Bad> {
    let mut labels = Labels::new(msg, at);
    while labels.label()?.is_some() {}
    labels.next.ok_or(Bad)
}

/// Writes the name at `at` as text, the root as `.`, and answers where what follows it stands.
///
/// Letters stay as they are, those beyond ASCII too where they are UTF-8. A dot or backslash inside a label gets a
/// backslash, what cannot be printed becomes `\ddd` (RFC 1035 §5.1).
pub(super) fn text(msg: &[u8], at: usize, out: &mut NameText) -> Result<usize, Bad> {
    out.clear();
    let mut labels = Labels::new(msg, at);
    while let Some(label) = labels.label()? {
        if !out.is_empty() {
            out.push(b'.').map_err(|_| Bad)?;
        }
        if label.iter().all(|b| PLAIN[usize::from(*b)]) {
            out.extend_from_slice(label).map_err(|_| Bad)?;
        } else {
            escape(label, b".\\", |piece| out.extend_from_slice(piece).map_err(|_| Bad))?;
        }
    }
    if out.is_empty() {
        out.push(b'.').map_err(|_| Bad)?;
    }
    labels.next.ok_or(Bad)
}

/// Whether two names are the same but for the case of ASCII letters.
pub(super) fn same(a: &[u8], at_a: usize, b: &[u8], at_b: usize) -> bool {
    let (mut a, mut b) = (Labels::new(a, at_a), Labels::new(b, at_b));
    loop {
        match (a.label(), b.label()) {
            (Ok(Some(x)), Ok(Some(y))) if x.eq_ignore_ascii_case(y) => {}
            (Ok(None), Ok(None)) => return true,
            _ => return false,
        }
    }
}

/// Hands out `text` in pieces: each of `marked` behind a backslash, control characters and bytes that are not UTF-8 as
/// `\ddd`, all else as it is.
pub(super) fn escape<E>(text: &[u8], marked: &[u8], mut out: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    for chunk in text.utf8_chunks() {
        let valid = chunk.valid().as_bytes();
        let mut from = 0;
        for (at, byte) in valid.iter().enumerate() {
            let control = *byte < b' ' || *byte == 0x7f;
            if !control && !marked.contains(byte) {
                continue;
            }
            out(valid.get(from..at).unwrap_or_default())?;
            if control {
                out(&decimal(*byte))?
            } else {
                out(&[b'\\', *byte])?
            }
            from = at + 1;
        }
        out(valid.get(from..).unwrap_or_default())?;
        for byte in chunk.invalid() {
            out(&decimal(*byte))?;
        }
    }
    Ok(())
}

/// `\ddd`.
fn decimal(byte: u8) -> [u8; 4] {
    [b'\\', b'0' + byte / 100, b'0' + byte / 10 % 10, b'0' + byte % 10]
}

/// Bytes of labels that are their own text, whatever stands around them.
static PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        table[byte as usize] = byte != b'.' && byte != b'\\';
        byte += 1;
    }
    table[b' ' as usize] = true;
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn read(msg: &[u8], at: usize) -> Result<(String, usize), Bad> {
        let mut out = NameText::new();
        let next = text(msg, at, &mut out)?;
        assert_eq!(skip(msg, at), Ok(next));
        Ok((String::from_utf8(out.to_vec()).unwrap(), next))
    }

    /// Twelve bytes of header, then `rest`.
    fn msg(rest: &[u8]) -> Vec<u8> {
        [&[0; 12][..], rest].concat()
    }

    #[test]
    fn labels_pointers_and_the_root() {
        let m = msg(b"\x02ab\x03xyz\0\x01w\xc0\x0c\xc0\x0f!");
        assert_eq!(read(&m, 12), Ok(("ab.xyz".into(), 20)));
        assert_eq!(read(&m, 20), Ok(("w.ab.xyz".into(), 24)));
        assert_eq!(read(&m, 24), Ok(("xyz".into(), 26)));
        assert_eq!(read(&m, 19), Ok((".".into(), 20)));
    }

    #[test]
    fn pointers_lead_back() {
        for bad in [
            &b"\xc0\x0c"[..],         // to itself
            b"\x01a\xc0\x0c",         // to its own beginning
            b"\xc0\x0e\x01a\0",       // ahead
            b"\x01a\xc0\x0e\xc0\x0c", // to its own pointer
            b"\xc0\x00",              // into the header
            b"\xc0",
            b"\x03ab",
            b"\x01a",
            b"",
            b"\x41a\0",
            b"\x81a\0",
        ] {
            assert_eq!(read(&msg(bad), 12), Err(Bad), "{bad:?}");
        }
        assert_eq!(read(b"", 100), Err(Bad));
    }

    #[test]
    fn no_more_than_255_octets() {
        let mut m = msg(&[]);
        for _ in 0..127 {
            m.extend_from_slice(b"\x01a");
        }
        m.push(0);
        assert_eq!(read(&m, 12).unwrap().0.len(), 253);
        m.splice(12..12, *b"\x01a");
        assert_eq!(read(&m, 12), Err(Bad));
        // The longest text.
        let label = [&[63][..], &[1; 63]].concat();
        let long = [label.repeat(3), [&[61][..], &[1; 61], &[0]].concat()].concat();
        assert_eq!(read(&msg(&long), 12).unwrap().0.len(), 250 * 4 + 3);
    }

    #[test]
    fn what_is_escaped() {
        let m = msg(b"\x05a.b\\c\x03\x00\xff \x06\xe2\x80\x99s@\"\0");
        assert_eq!(read(&m, 12).unwrap().0, "a\\.b\\\\c.\\000\\255 .\u{2019}s@\"");
    }

    #[test]
    fn case_does_not_matter() {
        let (a, b) = (msg(b"\x02aB\x01c\0"), msg(b"\x01C\0\x02Ab\xc0\x0c"));
        assert!(same(&a, 12, &b, 15));
        assert!(!same(&a, 12, &b, 12));
        assert!(!same(&a, 12, &[], 0));
    }
}
