//! Copies text that JSON takes as it is, and finds out on the way whether it is such text.

use crate::util::lane::{LANE, unclean};

/// Up to so many bytes a text is copied before it is known whether it has to be escaped.
pub(super) const SHORT: usize = 64;

/// For each byte whether it can stand in a JSON string as it is.
pub(super) const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut b = 0x20;
    while b < 0x80 {
        plain[b] = b != b'"' as usize && b != b'\\' as usize;
        b += 1;
    }
    plain
};

/// Copies `text` to the start of `to`, which is longer by a lane, up to the first byte that cannot stand in a JSON
/// string; how many bytes that are.
#[inline(always)]
pub(super) fn copy_clean(text: &[u8], to: &mut [u8]) -> usize {
    let mut at = 0;
    let (lanes, rest) = text.as_chunks::<LANE>();
    for (lane, place) in lanes.iter().zip(to.as_chunks_mut::<LANE>().0) {
        *place = *lane;
        let marks = unclean(lane);
        if marks != 0 {
            return at + marks.trailing_zeros() as usize;
        }
        at += LANE;
    }
    // What is less than a lane, filled up.
    let mut lane = [b' '; LANE];
    lane.iter_mut().zip(rest).for_each(|(to, b)| *to = *b);
    put(to, at, &lane);
    at + (unclean(&lane).trailing_zeros() as usize).min(rest.len())
}

/// Copies at most [`SHORT`] bytes of text to the start of `to`, which is longer by a lane; whether all of it can stand in
/// a JSON string.
#[inline(always)]
pub(super) fn copy_short(text: &[u8], to: &mut [u8]) -> bool {
    let end = text.len();
    let Some(to) = to.get_mut(..end + LANE) else { return false };
    // Lanes from both ends, which may overlap.
    if let Some([front, back]) = outer(text, 0) {
        let mut marks = unclean(front) | unclean(back);
        put(to, 0, front);
        put(to, end - LANE, back);
        if let Some([front, back]) = outer(text, LANE) {
            marks |= unclean(front) | unclean(back);
            put(to, LANE, front);
            put(to, end - 2 * LANE, back);
        }
        return marks == 0;
    }
    if let Some(clean) = copy_halves::<8>(text, to).or_else(|| copy_halves::<4>(text, to)) {
        return clean;
    }
    let (Some(&first), Some(&middle), Some(&last)) = (text.first(), text.get(end / 2), text.last()) else {
        return true;
    };
    if let Some([a, b, c, ..]) = to.first_chunk_mut::<4>() {
        (*a, *b, *c) = (first, middle, last);
    }
    PLAIN[usize::from(first)] & PLAIN[usize::from(middle)] & PLAIN[usize::from(last)]
}

/// [`copy_short`] by two halves that overlap; `None` when the text is shorter than one.
#[inline(always)]
fn copy_halves<const N: usize>(text: &[u8], to: &mut [u8]) -> Option<bool> {
    let (first, last) = (text.first_chunk::<N>()?, text.last_chunk::<N>()?);
    put(to, 0, first);
    put(to, text.len() - N, last);
    let mut lane = [b' '; LANE];
    put(&mut lane, 0, first);
    put(&mut lane, N, last);
    Some(unclean(&lane) == 0)
}

/// The lanes that begin and end `skip` bytes from the ends of `text`; `None` when those inside of them hold all of it.
#[inline(always)]
fn outer(text: &[u8], skip: usize) -> Option<[&[u8; LANE]; 2]> {
    if skip > 0 && text.len() <= 2 * skip {
        return None;
    }
    let back = text.get(..text.len().checked_sub(skip)?)?.last_chunk()?;
    Some([text.get(skip..)?.first_chunk()?, back])
}

/// Writes `bytes` to `to` from `at` on, where they fit.
#[inline(always)]
pub(super) fn put<const N: usize>(to: &mut [u8], at: usize, bytes: &[u8; N]) {
    if let Some(place) = to.get_mut(at..).and_then(|to| to.first_chunk_mut()) {
        *place = *bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_every_place() {
        for len in 0..=100 {
            for at in 0..=len {
                for b in *b"\"\\\n\x7f\x80 " {
                    let mut text: Vec<u8> = (0..len).map(|n| b'a' + (n % 26) as u8).collect();
                    if let Some(place) = text.get_mut(at) {
                        *place = b;
                    }
                    let clean = text.iter().position(|&b| !PLAIN[usize::from(b)]).unwrap_or(len);
                    let mut to = vec![b'.'; len + LANE];
                    assert_eq!(copy_clean(&text, &mut to), clean, "{b:#x} at {at} of {len}");
                    assert_eq!(to[..clean], text[..clean]);
                    to.fill(b'.');
                    if len <= SHORT {
                        assert_eq!(copy_short(&text, &mut to), clean == len, "{b:#x} at {at} of {len}");
                        assert_eq!(to[..len], text);
                    }
                }
            }
        }
    }
}
