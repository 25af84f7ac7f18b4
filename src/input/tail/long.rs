//! Lines longer than Buffer_Max_Size: what becomes of them, and where they are cut.

/// What is done with a line that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Long {
    /// Cut into records of the allowed size; nothing is lost.
    Pieces,
    /// Its head is kept, the rest dropped.
    Truncate,
    /// All of it is dropped.
    Skip,
}

/// Where to cut `text`, which is longer than `max`: not inside a UTF-8 character, unless there is no other place.
pub fn cut_at(text: &[u8], max: usize) -> usize {
    let continues = |at: usize| text.get(at).is_some_and(|b| b & 0xc0 == 0x80);
    (max.saturating_sub(3).max(1)..=max).rev().find(|&at| !continues(at)).unwrap_or(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_stay_whole() {
        let check = |text: &str, max, expected| assert_eq!(cut_at(text.as_bytes(), max), expected, "{text} {max}");
        check("abcdef", 3, 3);
        check("abéd", 3, 2);
        check("abéd", 4, 4);
        check("a😀b", 4, 1);
        check("a😀b", 5, 5);
        check("a😀b", 2, 1);
    }

    #[test]
    fn bytes_that_are_no_characters_are_cut_anywhere() {
        assert_eq!(cut_at(&[0x80; 10], 6), 6);
        assert_eq!(cut_at(&[0xff; 10], 6), 6);
        assert_eq!(cut_at("😀😀".as_bytes(), 2), 2, "smaller than a character");
    }
}
