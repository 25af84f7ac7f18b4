//! Path patterns: which files are to be read, and which directories can bring forth new ones.

use crate::util::glob::{Found, glob};
use crate::util::path_glob::PathGlob;
use crate::util::sort;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The Path and Exclude_Path lists, compiled.
#[derive(Debug)]
pub struct Patterns {
    include: Vec<Pattern>,
    exclude: Vec<PathGlob>,
}

#[derive(Debug)]
struct Pattern {
    text: PathBuf,
    parts: Vec<PathGlob>,
    absolute: bool,
}

impl Patterns {
    /// Compiles both lists.
    pub fn new(include: &[String], exclude: &[String]) -> Self {
        let include = include.iter().map(|text| Pattern {
            text: text.into(),
            parts: components(text.as_bytes()).map(PathGlob::new).collect(),
            absolute: text.starts_with('/'),
        });
        let exclude = exclude.iter().map(|text| PathGlob::new(text.as_bytes()));
        Self { include: include.collect(), exclude: exclude.collect() }
    }

    /// Every path that matches now and is not excluded, in byte order, without repeats.
    pub fn find(&self) -> Found {
        let mut all = Found::default();
        for pattern in &self.include {
            let found = glob(&pattern.text);
            all.paths.extend(found.paths);
            all.unreadable.extend(found.unreadable);
        }
        all.paths.retain(|path| !self.excludes(path));
        if self.include.len() > 1 {
            sort::ascending(&mut all.paths);
            all.paths.dedup();
        }
        all
    }

    /// Whether this very path would be found if it existed.
    pub fn matches(&self, path: &Path) -> bool {
        let absolute = path.is_absolute();
        let parts: Vec<&[u8]> = components(path.as_os_str().as_bytes()).collect();
        let hit = |p: &Pattern| {
            p.absolute == absolute
                && p.parts.len() == parts.len()
                && p.parts.iter().zip(&parts).all(|(glob, part)| part_matches(glob, part))
        };
        self.include.iter().any(hit) && !self.excludes(path)
    }

    /// Whether something at this path may hold files that match: a new directory on the way of a pattern.
    pub fn may_lead_on(&self, path: &Path) -> bool {
        let absolute = path.is_absolute();
        let parts: Vec<&[u8]> = components(path.as_os_str().as_bytes()).collect();
        self.include.iter().any(|p| {
            p.absolute == absolute
                && p.parts.len() > parts.len()
                && p.parts.iter().zip(&parts).all(|(glob, part)| part_matches(glob, part))
        })
    }

    /// The directories in which a file or a directory of interest may appear, as far as they exist; for a directory
    /// that does not exist yet, the nearest one above it that does.
    pub fn directories(&self) -> Vec<PathBuf> {
        let mut all = Vec::new();
        for pattern in &self.include {
            let first = pattern.parts.iter().position(|p| p.literal().is_none()).unwrap_or(pattern.parts.len());
            // The last part is the file itself; a pattern without wildcards has one directory.
            let first = first.min(pattern.parts.len().saturating_sub(1));
            for depth in first..pattern.parts.len() {
                let prefix = pattern.prefix(depth);
                let found = if prefix.as_os_str().is_empty() { vec![prefix] } else { glob(&prefix).paths };
                if found.is_empty() && depth == first {
                    let above = pattern.prefix(first);
                    all.extend(
                        above.ancestors().skip(1).find(|a| a.is_dir() || a.as_os_str().is_empty()).map(PathBuf::from),
                    );
                }
                all.extend(found);
            }
        }
        for dir in &mut all {
            if dir.as_os_str().is_empty() {
                dir.push(".");
            }
        }
        sort::ascending(&mut all);
        all.dedup();
        all
    }

    fn excludes(&self, path: &Path) -> bool {
        self.exclude.iter().any(|glob| glob.is_match(path.as_os_str().as_bytes()))
    }
}

impl Pattern {
    /// The pattern's first `parts` components.
    fn prefix(&self, parts: usize) -> PathBuf {
        let mut out = PathBuf::from(if self.absolute { "/" } else { "" });
        for part in components(self.text.as_os_str().as_bytes()).take(parts) {
            out.push(std::ffi::OsStr::from_bytes(part));
        }
        out
    }
}

/// The parts between slashes; a `.` part means nothing unless it is the only one.
fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".")
}

fn part_matches(glob: &PathGlob, part: &[u8]) -> bool {
    (!part.starts_with(b".") || glob.names_hidden()) && glob.is_match(part)
}

#[cfg(test)]
mod tests {
    use super::super::testing::TempDir;
    use super::*;

    fn patterns(include: &[&str], exclude: &[&str]) -> Patterns {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        Patterns::new(&own(include), &own(exclude))
    }

    #[test]
    fn matching_a_path_is_what_finding_it_would_be() {
        let table: &[(&str, &str, bool)] = &[
            ("/var/log/*.log", "/var/log/a.log", true),
            ("/var/log/*.log", "/var/log/.a.log", false),
            ("/var/log/*.log", "/var/log/x/a.log", false),
            ("/var/log/*.log", "/var/log/a.log.1", false),
            ("/var/log/a.log", "/var/log/a.log", true),
            ("/var//log/./a.log", "/var/log/a.log", true),
            ("log/*", "/log/a", false),
            ("log/*", "log/a", true),
            ("./log/*", "log/a", true),
        ];
        for &(pattern, path, expected) in table {
            assert_eq!(patterns(&[pattern], &[]).matches(Path::new(path)), expected, "{pattern} {path}");
        }
        let p = patterns(&["/v/*/*.log"], &["*.gz", "/v/x/*"]);
        assert!(p.matches(Path::new("/v/y/a.log")));
        assert!(!p.matches(Path::new("/v/x/a.log")));
        assert!(p.may_lead_on(Path::new("/v/y")) && p.may_lead_on(Path::new("/v")));
        assert!(!p.may_lead_on(Path::new("/w")) && !p.may_lead_on(Path::new("/v/y/a.log")));
    }

    #[test]
    fn finds_once_and_leaves_out_what_is_excluded() {
        let dir = TempDir::new();
        for file in ["a.log", "b.log", "b.log.gz", "c/d.log"] {
            dir.write(file, "");
        }
        let at = |p: &str| dir.path(p).to_str().unwrap().to_owned();
        let p = patterns(&[&at("*"), &at("a.log"), &at("c/*")], &["*.gz", &at("b.l*")]);
        assert_eq!(p.find().paths, [dir.path("a.log"), dir.path("c"), dir.path("c/d.log")]);
    }

    #[test]
    fn directories_to_watch() {
        let dir = TempDir::new();
        for file in ["x/1/a.log", "x/2/a.log", "y.log"] {
            dir.write(file, "");
        }
        let check = |pattern: &str, expected: &[&str]| {
            let expected: Vec<PathBuf> =
                expected.iter().map(|d| if d.is_empty() { dir.root().to_path_buf() } else { dir.path(d) }).collect();
            let at = dir.path(pattern);
            assert_eq!(patterns(&[at.to_str().unwrap()], &[]).directories(), expected, "{pattern}");
        };
        check("*.log", &[""]);
        check("y.log", &[""]);
        check("x/*/a.log", &["x", "x/1", "x/2"]);
        check("x/1/a.log", &["x/1"]);
        check("none/deep/a.log", &[""]);
        check("none/*/a.log", &[""]);
        assert_eq!(patterns(&["*.log"], &[]).directories(), [PathBuf::from(".")]);
    }
}
