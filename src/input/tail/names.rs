//! How rotation names files: `app.log` becomes `app.log.1`, `app.log-20240131` or `app-20240131.log`.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What stands between a name and its number.
const JOINTS: &[u8] = b".-_~";

/// Whether `name` is `live` with a number or a date.
pub fn is_numbered(name: &[u8], live: &[u8]) -> bool {
    if let Some(rest) = name.strip_prefix(live) {
        return is_number(rest);
    }
    let (stem, ending) = split(live);
    let rest = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(ending));
    !ending.is_empty() && rest.is_some_and(is_number)
}

/// Whether `name` may be a copy of `live` at all: its content has to say the rest.
pub fn is_alike(name: &[u8], live: &[u8]) -> bool {
    name != live && name.starts_with(split(live).0)
}

/// The names that `path` may be a numbered form of.
pub fn origins(path: &Path) -> Vec<PathBuf> {
    let Some(name) = path.file_name().map(OsStrExt::as_bytes) else { return Vec::new() };
    let (stem, ending) = split(name);
    let ways = [Some((name, &b""[..])), (!ending.is_empty()).then_some((stem, ending))];
    let mut found = Vec::new();
    for (text, ending) in ways.into_iter().flatten() {
        let joints = text.iter().enumerate().filter(|(at, b)| *at > 0 && JOINTS.contains(b));
        for (live, number) in joints.filter_map(|(at, _)| text.split_at_checked(at)) {
            if is_number(number) {
                found.push(path.with_file_name(OsString::from_vec([live, ending].concat())));
            }
        }
    }
    found
}

/// A joint, then digits and what stands between the parts of dates and times.
fn is_number(text: &[u8]) -> bool {
    text.split_first().is_some_and(|(joint, number)| {
        JOINTS.contains(joint)
            && number.iter().any(u8::is_ascii_digit)
            && number.iter().all(|b| b.is_ascii_digit() || b".-_:TZ+".contains(b))
    })
}

/// A name and its ending with the dot.
fn split(name: &[u8]) -> (&[u8], &[u8]) {
    let dot = name.iter().rposition(|&b| b == b'.').filter(|&at| at > 0);
    name.split_at(dot.unwrap_or(name.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_dates() {
        let check = |name: &str, live: &str, expected| {
            assert_eq!(is_numbered(name.as_bytes(), live.as_bytes()), expected, "{name} of {live}");
            let path = Path::new("/d").join(name);
            let found = origins(&path).contains(&Path::new("/d").join(live));
            assert_eq!(found, expected, "origins of {name}");
        };
        for name in [
            "a.log.1",
            "a.log.12",
            "a.log-20240131",
            "a.log.2024-01-31T10:00:00Z",
            "a-20240131.log",
            "a.1.log",
            "a_2.log",
        ] {
            check(name, "a.log", true);
        }
        for name in
            ["a.log", "a.log.bak", "a.log.", "a.log1", "a.log.1.gz", "a-errors.log", "ab.log.1", "a.log.pos", "a..log"]
        {
            check(name, "a.log", false);
        }
        check("syslog.1", "syslog", true);
        check("syslog.1.2", "syslog", true);
        check("a.1.log.2", "a.1.log", true);
    }

    #[test]
    fn alike() {
        assert!(is_alike(b"a.log.bak", b"a.log") && is_alike(b"a-old.log", b"a.log"));
        assert!(!is_alike(b"a.log", b"a.log") && !is_alike(b"b.log.1", b"a.log"));
    }
}
