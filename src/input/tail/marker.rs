//! The content marker: a hash of what stands before an offset, which tells a file from a later one with its inode.

use super::last::REACH;
use super::print;
use crate::util::murmur3::murmur3_x64_128;

/// What was hashed before the head was: so many bytes, by another function.
const FORMER: u64 = 61;
/// Added to the number of hashed bytes: sizes that nobody else uses, so that markers of other programs are known as not
/// ours.
const OWN: u64 = 2048;
/// A marker of fewer bytes may be that of many files.
const CERTAIN: u64 = FORMER;

/// The marker of a file delivered up to `offset`: the hash of its head and of up to [`REACH`] bytes before the offset, and
/// their number plus [`OWN`]. `(0, 0)` when there is nothing to say.
pub fn of(offset: u64, read_at: impl Fn(u64, &mut [u8]) -> usize) -> (u64, u64) {
    let mut bytes = [0; print::MOST + REACH];
    let upto = |n: usize| usize::try_from(offset).map_or(n, |o| o.min(n));
    let (head, end) = (upto(print::MOST), upto(REACH));
    let (Some((first, rest)), true) = (bytes.split_at_mut_checked(head), offset > 0) else { return (0, 0) };
    let Some(last) = rest.get_mut(..end) else { return (0, 0) };
    if read_at(0, first) < head || read_at(offset - end as u64, last) < end {
        return (0, 0);
    }
    let hash = murmur3_x64_128(bytes.get(..head + end).unwrap_or_default(), 0).0;
    // SQLite's integers have a sign.
    (hash >> 1, OWN + end as u64)
}

/// Whether a marker of this size is one that can be compared.
pub fn is_ours(size: u64) -> bool {
    hashed(size).is_some()
}

/// Whether two files with this marker hold the same text for sure.
pub fn is_certain(size: u64) -> bool {
    hashed(size).is_some_and(|n| n >= CERTAIN)
}

/// Whether the file is still the one the marker was made of. Markers that are not ours are taken as they are.
pub fn holds(marker: u64, size: u64, offset: u64, read_at: impl Fn(u64, &mut [u8]) -> usize) -> bool {
    match size {
        FORMER => former(offset, read_at) == Some(marker),
        _ => !is_ours(size) || of(offset, read_at) == (marker, size),
    }
}

fn hashed(size: u64) -> Option<u64> {
    match size {
        FORMER => Some(FORMER),
        _ => size.checked_sub(OWN).filter(|n| (1..=REACH as u64).contains(n)),
    }
}

/// FNV-1a, kept to 63 bits.
fn former(offset: u64, read_at: impl Fn(u64, &mut [u8]) -> usize) -> Option<u64> {
    let mut bytes = [0; FORMER as usize];
    if read_at(offset.checked_sub(FORMER)?, &mut bytes) < bytes.len() {
        return None;
    }
    let step = |h: u64, &b: &u8| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
    Some(bytes.iter().fold(0xcbf2_9ce4_8422_2325, step) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> impl Fn(u64, &mut [u8]) -> usize + '_ {
        move |at, buffer| {
            let rest = text.get(at as usize..).unwrap_or_default();
            let n = rest.len().min(buffer.len());
            buffer[..n].copy_from_slice(&rest[..n]);
            n
        }
    }

    #[test]
    fn tells_contents_apart() {
        let old: Vec<u8> = (0..5000u32).map(|n| (n * n) as u8).collect();
        for offset in [1, 2, 60, 61, 62, 255, 256, 1000, 1024, 1025, 4000] {
            let (marker, size) = of(offset, read(&old));
            assert_eq!(size, OWN + offset.min(1024));
            assert_eq!(is_certain(size), offset >= 61);
            assert!(is_ours(size) && holds(marker, size, offset, read(&old)));
            for changed in [0, offset - 1, offset.saturating_sub(1000)] {
                let mut new = old.clone();
                new[changed as usize] ^= 1;
                assert!(!holds(marker, size, offset, read(&new)), "{offset} {changed}");
            }
            assert!(!holds(marker, size, offset, read(&old[..offset as usize - 1])), "shorter than the offset");
        }
    }

    #[test]
    fn former_markers_are_compared() {
        let text: Vec<u8> = (0..200).collect();
        let marker = former(150, read(&text)).unwrap();
        assert_eq!(marker, 4_528_935_863_598_440_424, "as it was written before");
        assert!(holds(marker, 61, 150, read(&text)));
        assert!(!holds(marker, 61, 151, read(&text)) && !holds(marker, 61, 60, read(&text)));
    }

    #[test]
    fn what_cannot_be_checked_is_believed() {
        assert_eq!(of(0, read(&[1; 60])), (0, 0));
        assert_eq!(of(70, read(&[1; 60])), (0, 0));
        for size in [0, 40, 256, 1000, 2048, 2048 + 1025] {
            assert!(!is_ours(size) && holds(77, size, 1000, read(&[])), "{size}");
        }
    }
}
