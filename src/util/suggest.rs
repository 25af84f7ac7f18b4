//! "Did you mean": the known word nearest to one that was mistyped.

/// Words longer than this are not compared: no key is so long, and the cost grows with the square.
const MAX_LEN: usize = 64;

/// The candidate nearest to `word`, when one is near enough to be worth saying.
///
/// Counts letters added, left out, changed or swapped with a neighbour, ignoring case; up to a third of the word may be
/// wrong. Of two equally near candidates the first wins.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = folded(word)?;
    let limit = (word.len() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let Some(other) = folded(candidate) else { continue };
        if other.len().abs_diff(word.len()) > limit {
            continue;
        }
        let steps = distance(&word, &other);
        if steps <= limit && steps < word.len() && best.is_none_or(|(least, _)| steps < least) {
            best = Some((steps, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn folded(word: &str) -> Option<Vec<char>> {
    let letters: Vec<char> = word.chars().take(MAX_LEN + 1).map(|c| c.to_ascii_lowercase()).collect();
    (1..=MAX_LEN).contains(&letters.len()).then_some(letters)
}

/// Damerau-Levenshtein distance in its restricted form (no edit inside a swapped pair).
fn distance(a: &[char], b: &[char]) -> usize {
    // Rows of the usual table: `two` is two letters of `a` back, `one` the previous, `row` the one being filled.
    let mut two = [0usize; MAX_LEN + 1];
    let mut one: [usize; MAX_LEN + 1] = std::array::from_fn(|j| j);
    let mut row = one;
    for (i, &x) in a.iter().enumerate() {
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let mut least = (one[j + 1] + 1).min(row[j] + 1).min(one[j] + usize::from(x != y));
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                least = least.min(two[j - 1] + 1);
            }
            row[j + 1] = least;
        }
        two = one;
        one = row;
    }
    one[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[&str] =
        &["path", "exclude_path", "path_key", "tag", "tag_regex", "Refresh_Interval", "mem_buf_limit"];

    #[test]
    fn finds_the_intended_key() {
        let table = [
            ("pathh", Some("path")),
            ("paht", Some("path")),
            ("Tga", Some("tag")),
            ("refreshinterval", Some("Refresh_Interval")),
            ("mem_buf_limitt", Some("mem_buf_limit")),
            ("PATH_KEYS", Some("path_key")),
            ("xyz", None),
            ("", None),
            ("q", None),
        ];
        for (word, expected) in table {
            assert_eq!(nearest(word, KEYS.iter().copied()), expected, "{word:?}");
        }
        assert_eq!(nearest(&"p".repeat(1000), KEYS.iter().copied()), None);
        assert_eq!(nearest("b", ["a", "c"]), None);
    }

    #[test]
    fn distances() {
        let table = [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "", 3),
            ("ab", "ba", 1),
            ("kitten", "sitting", 3),
            ("ca", "abc", 3),
        ];
        for (a, b, expected) in table {
            let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            assert_eq!(distance(&a, &b), expected);
            assert_eq!(distance(&b, &a), expected);
        }
    }

    #[test]
    fn every_one_letter_slip_is_found() {
        let keys = ["http_user", "logstash_format", "retry_limit"];
        for key in keys {
            for at in 0..key.len() {
                let mut slip = key.to_string();
                slip.remove(at);
                assert_eq!(nearest(&slip, keys), Some(key), "{slip}");
                let mut slip = key.to_string();
                slip.insert(at, 'q');
                assert_eq!(nearest(&slip, keys), Some(key), "{slip}");
            }
        }
    }
}
