//! The content marker: a hash of the bytes before an offset, which tells a file from a later one with its inode.

/// How many bytes are hashed: a number nobody else uses, so that markers of other programs are known as not ours.
pub const SIZE: u64 = 61;

/// The marker of a file delivered up to `offset`: hash and size; `(0, 0)` when that is too short to say anything.
pub fn of(offset: u64, read_at: impl FnOnce(u64, &mut [u8]) -> usize) -> (u64, u64) {
    let mut bytes = [0; SIZE as usize];
    let Some(from) = offset.checked_sub(SIZE) else { return (0, 0) };
    if read_at(from, &mut bytes) < bytes.len() {
        return (0, 0);
    }
    // FNV-1a, kept to 63 bits: SQLite's integers have a sign.
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    (hash >> 1, SIZE)
}

/// Whether the file is still the one the marker was made of. Markers that are not ours are taken as they are.
pub fn holds(marker: u64, size: u64, offset: u64, read_at: impl FnOnce(u64, &mut [u8]) -> usize) -> bool {
    size != SIZE || of(offset, read_at) == (marker, size)
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
        let old: Vec<u8> = (0..200).collect();
        let mut new = old.clone();
        new[120] = 0;
        let (marker, size) = of(150, read(&old));
        assert_eq!(size, SIZE);
        assert!(holds(marker, size, 150, read(&old)));
        assert!(!holds(marker, size, 150, read(&new)));
        assert!(!holds(marker, size, 150, read(&old[..140])), "shorter than the offset");
    }

    #[test]
    fn what_cannot_be_checked_is_believed() {
        assert_eq!(of(60, read(&[1; 60])), (0, 0));
        assert!(holds(0, 0, 60, read(&[])));
        assert!(holds(77, 256, 1000, read(&[])), "a marker of another program");
    }
}
