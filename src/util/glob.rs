//! Finding the files that a path pattern names. The one module here that does I/O: it reads directories.

use crate::util::sort;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::path_glob::PathGlob;

/// What a pattern names at this moment.
#[derive(Debug, Default)]
pub struct Found {
    /// Existing paths in byte order, without repeats; broken links are among them.
    pub paths: Vec<PathBuf>,
    /// Places that could not be looked at, mostly for want of permission. What stands under them is not in `paths`.
    pub unreadable: Vec<(PathBuf, io::Error)>,
}

/// Expands `pattern` as glob(3) does: stars stay inside one path component and do not match a leading dot.
///
/// A pattern without special characters names itself if it exists. A directory that is missing is no error: it may
/// come later. Relative patterns start at the working directory.
pub fn glob(pattern: &Path) -> Found {
    let text = pattern.as_os_str().as_bytes();
    let mut found = Found::default();
    let mut places = vec![PathBuf::from(if text.starts_with(b"/") { "/" } else { "" })];
    let components: Vec<&[u8]> = text.split(|&b| b == b'/').filter(|part| !part.is_empty()).collect();
    if text.is_empty() {
        return found;
    }
    // Whether all of `places` are known to exist; a literal component leaves that open.
    let mut sure = false;
    for (depth, component) in components.iter().enumerate() {
        let glob = PathGlob::new(component);
        if let Some(name) = glob.literal() {
            let name = OsString::from_vec(name);
            places.iter_mut().for_each(|place| place.push(&name));
            sure = false;
            continue;
        }
        let last = depth + 1 == components.len();
        let mut deeper = Vec::new();
        for place in &places {
            list(place, &glob, !last, &mut deeper, &mut found.unreadable);
        }
        places = deeper;
        sure = true;
    }
    if !sure {
        places.retain(|place| exists(place, &mut found.unreadable));
    }
    if text.ends_with(b"/") {
        places.retain(|place| place.is_dir());
    }
    sort::by(&mut places, |a, b| a.as_os_str().cmp(b.as_os_str()));
    places.dedup();
    found.paths = places;
    found
}

/// Adds the entries of `dir` that match; with `only_dirs` those that cannot hold anything are left out.
fn list(dir: &Path, glob: &PathGlob, only_dirs: bool, out: &mut Vec<PathBuf>, errors: &mut Vec<(PathBuf, io::Error)>) {
    let shown = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let mut failed = |error: io::Error| {
        if !is_absence(&error) {
            errors.push((shown.to_path_buf(), error));
        }
    };
    let entries = match std::fs::read_dir(shown) {
        Ok(entries) => entries,
        Err(error) => return failed(error),
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            // The rest of a directory that fails midway would fail for ever.
            Err(error) => return failed(error),
        };
        let name = entry.file_name();
        let bytes = name.as_bytes();
        if (bytes.starts_with(b".") && !glob.names_hidden()) || !glob.is_match(bytes) {
            continue;
        }
        if only_dirs && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        out.push(dir.join(&name));
    }
}

fn exists(place: &Path, errors: &mut Vec<(PathBuf, io::Error)>) -> bool {
    match std::fs::symlink_metadata(place) {
        Ok(_) => true,
        Err(error) => {
            if !is_absence(&error) {
                errors.push((place.to_path_buf(), error));
            }
            false
        }
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A directory of its own with the given files in it, removed at the end.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str, files: &[&str]) -> Self {
            let root = std::env::temp_dir().join(format!("glob-{}-{name}", std::process::id()));
            for file in files {
                let path = root.join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "").unwrap();
            }
            Self(root)
        }

        fn check(&self, pattern: &str, expected: &[&str]) {
            let found = glob(&self.0.join(pattern));
            let names: Vec<&str> =
                found.paths.iter().map(|path| path.strip_prefix(&self.0).unwrap().to_str().unwrap()).collect();
            assert_eq!(names, expected, "{pattern}");
            assert!(found.unreadable.is_empty(), "{pattern}: {:?}", found.unreadable);
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn expands_like_glob3() {
        let dir = Dir::new(
            "expand",
            &["b.log", "a.log", "a.txt", ".hidden.log", "d1/x.log", "d2/x.log", "d2/y.log", ".h/z.log"],
        );
        dir.check("*.log", &["a.log", "b.log"]);
        dir.check(".*.log", &[".hidden.log"]);
        dir.check("*/*.log", &["d1/x.log", "d2/x.log", "d2/y.log"]);
        dir.check("d[2-9]/?.log", &["d2/x.log", "d2/y.log"]);
        dir.check("*/x.log", &["d1/x.log", "d2/x.log"]);
        dir.check("d2/*", &["d2/x.log", "d2/y.log"]);
        dir.check("*/", &["d1", "d2"]);
        dir.check("a.log", &["a.log"]);
        dir.check("d1//x.log", &["d1/x.log"]);
        dir.check("none.log", &[]);
        dir.check("none/*.log", &[]);
        dir.check("a.log/*", &[]);
        dir.check("{a,b}.log", &[]);
        dir.check("[.]hidden.log", &[]);
    }

    #[test]
    fn broken_links_are_found() {
        let dir = Dir::new("links", &["d/f"]);
        std::os::unix::fs::symlink("nowhere", dir.0.join("l.log")).unwrap();
        std::os::unix::fs::symlink("d", dir.0.join("to_d")).unwrap();
        dir.check("*.log", &["l.log"]);
        dir.check("l.log", &["l.log"]);
        dir.check("to*/f", &["to_d/f"]);
    }

    #[test]
    fn relative_patterns_keep_their_form() {
        let found = glob(Path::new("Cargo.t*"));
        assert_eq!(found.paths, [PathBuf::from("Cargo.toml")]);
        assert_eq!(glob(Path::new("src/uti?/glob.rs")).paths, [PathBuf::from("src/util/glob.rs")]);
        assert!(glob(Path::new("")).paths.is_empty());
        assert_eq!(glob(Path::new("/")).paths, [PathBuf::from("/")]);
    }

    #[test]
    fn an_overlong_name_is_reported_not_fatal() {
        // Permissions do not bind root, so the refusal is provoked with a name that no file system takes.
        let long = format!("/{}/*", "x".repeat(300));
        let found = glob(Path::new(&long));
        assert!(found.paths.is_empty());
        assert_eq!(found.unreadable.len(), 1);
    }
}
