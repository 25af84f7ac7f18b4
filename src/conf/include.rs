//! The files of a configuration: finding what `@INCLUDE` names, each file once, within bounds.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Diags, Place};
use crate::util::glob::glob;

/// More files than this in one configuration are refused.
const MAX_FILES: usize = 1000;

/// A file longer than this is not a configuration.
const MAX_BYTES: u64 = 64 << 20;

/// What has been read so far, and where relative names start.
#[derive(Debug)]
pub struct Files {
    /// The main file's directory; `None` when there are no files at all (built-in text): includes are refused then.
    root: Option<PathBuf>,
    /// Device and inode of each file read.
    seen: Vec<(u64, u64)>,
}

impl Files {
    /// For text that is not in a file.
    pub fn none() -> Self {
        Self { root: None, seen: Vec::new() }
    }

    /// For a main file: relative includes start at its real directory.
    pub fn of(main: &Path) -> Self {
        Self { root: Some(root_of(main)), seen: Vec::new() }
    }

    /// The directory where relative names start.
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// The files that an `@INCLUDE` names, sorted by name. What cannot be found is reported.
    pub fn find(&self, spec: &str, place: &Place, diags: &mut Diags) -> Vec<PathBuf> {
        let Some(root) = &self.root else {
            diags.error(place, "@INCLUDE needs a configuration file to start from");
            return Vec::new();
        };
        let blanks = if spec.trim() == spec { "" } else { ", and remove the blanks around the name" };
        if !spec.contains('*') {
            // As given first, then beside the main file.
            let (given, beside) = (PathBuf::from(spec), root.join(spec));
            if given.exists() {
                return vec![given];
            }
            if beside.exists() {
                return vec![beside];
            }
            let help = format!("Looked for '{}' and '{}'. Correct the path{blanks}", given.display(), beside.display());
            diags.error_help(place, format!("included file '{spec}' does not exist"), help);
            return Vec::new();
        }
        let found = glob(&root.join(spec));
        for (path, why) in &found.unreadable {
            diags.error(place, format!("cannot look into '{}' for '{spec}': {why}", path.display()));
        }
        let (dirs, files): (Vec<_>, Vec<_>) = found.paths.into_iter().partition(|p| p.is_dir());
        for dir in &dirs {
            diags.warn(place, format!("'{}' is a directory, nothing is read from it", dir.display()));
        }
        if files.is_empty() && found.unreadable.is_empty() {
            let help = format!("Looked for '{}'. Create a file or remove the line{blanks}", root.join(spec).display());
            diags.error_help(place, format!("no file matches '{spec}'"), help);
        }
        files
    }

    /// The content of a file. `from` is the include that named it. What is wrong is reported, and `None` comes back.
    pub fn read(&mut self, path: &Path, from: Option<&Place>, diags: &mut Diags) -> Option<Vec<u8>> {
        let here = Place { file: path.display().to_string().into(), line: 0, col: 0 };
        let place = from.unwrap_or(&here);
        let name = path.display();
        let (file, meta) = match File::open(path).and_then(|f| f.metadata().map(|m| (f, m))) {
            Ok(opened) => opened,
            Err(why) => {
                diags.error(place, format!("cannot read '{name}': {why}"));
                return None;
            }
        };
        if meta.is_dir() {
            diags.error_help(
                place,
                format!("'{name}' is a directory"),
                "Name a file, or write the files as DIR/*.conf",
            );
            return None;
        }
        let id = (meta.dev(), meta.ino());
        if self.seen.contains(&id) {
            diags.error_help(place, format!("file '{name}' is read twice"), "Include each file once");
            return None;
        }
        if self.seen.len() >= MAX_FILES {
            diags.error(place, format!("more than {MAX_FILES} files are included; '{name}' is not read"));
            return None;
        }
        self.seen.push(id);
        let mut bytes = Vec::new();
        match file.take(MAX_BYTES + 1).read_to_end(&mut bytes) {
            Ok(n) if n as u64 > MAX_BYTES => {
                diags.error(place, format!("file '{name}' is longer than {} MiB", MAX_BYTES >> 20));
                None
            }
            Ok(_) => Some(bytes),
            Err(why) => {
                diags.error(place, format!("cannot read '{name}': {why}"));
                None
            }
        }
    }
}

/// The real directory of a file. It keeps the form the user wrote where that is the same directory.
pub fn root_of(main: &Path) -> PathBuf {
    let written = match main.parent() {
        Some(dir) if dir.as_os_str().is_empty() => PathBuf::from("."),
        Some(dir) => dir.to_path_buf(),
        None => PathBuf::from("/"),
    };
    let real = fs::canonicalize(main).ok().and_then(|p| p.parent().map(Path::to_path_buf));
    match real {
        Some(real) if fs::canonicalize(&written).is_ok_and(|w| w != real) => real,
        _ if written == Path::new(".") => PathBuf::new(),
        _ => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::ini;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A directory that goes away with the test.
    struct Dir(PathBuf);

    impl Dir {
        fn new(files: &[(&str, &str)]) -> Self {
            static N: AtomicU32 = AtomicU32::new(0);
            let name = format!("collector-include-{}-{}", std::process::id(), N.fetch_add(1, Ordering::Relaxed));
            let dir = Self(std::env::temp_dir().join(name));
            for (name, text) in files {
                let path = dir.0.join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            dir
        }

        /// The tags in the order they were read, and what was said, with the directory's name cut away.
        fn read(&self, main: &str) -> (String, String) {
            let mut diags = Diags::new();
            let doc = ini::read(&self.0.join(main), &mut diags);
            let tags: Vec<_> = doc.sections.iter().filter_map(|s| s.value("tag")).collect();
            (tags.join(" "), diags.to_string().replace(&format!("{}/", self.0.display()), ""))
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    const SECTION: &str = "[I]\n  Tag ";

    #[test]
    fn relative_to_the_main_file_and_sorted() {
        let dir = Dir::new(&[
            ("etc/main.conf", "[I]\n  Tag m\n@INCLUDE a.conf\n@include d/*.conf\n[I]\n  Tag z\n"),
            ("etc/a.conf", &format!("{SECTION}a\n@INCLUDE deeper/b.conf\n")),
            ("etc/deeper/b.conf", &format!("{SECTION}b")),
            ("etc/d/2.conf", "[I]\n\tTag 2\n"),
            ("etc/d/10.conf", &format!("{SECTION}10\n")),
            ("etc/d/x.txt", "nonsense"),
            ("etc/d/sub.conf/y", ""),
        ]);
        let (tags, said) = dir.read("etc/main.conf");
        assert_eq!(tags, "m a b 10 2 z");
        assert_eq!(said, "etc/main.conf:4:10: warning: 'etc/d/sub.conf' is a directory, nothing is read from it\n");
    }

    #[test]
    fn keys_after_an_include_belong_to_the_section_before_it() {
        let dir = Dir::new(&[("m", "[I]\n  Tag a\n@INCLUDE x\n  Tag b\n"), ("x", "  Tag lost\n[I]\n    Tag c\n")]);
        let (tags, said) = dir.read("m");
        assert_eq!(tags, "b c");
        assert!(said.starts_with("x:1:3: key 'Tag' stands outside of any section"), "{said}");
    }

    #[test]
    fn a_linked_main_file_includes_beside_its_target() {
        let dir = Dir::new(&[("real/m", "@INCLUDE a\n"), ("real/a", &format!("{SECTION}a\n"))]);
        std::os::unix::fs::symlink("real/m", dir.0.join("m")).unwrap();
        assert_eq!(dir.read("m"), ("a".into(), String::new()));
    }

    #[test]
    fn what_cannot_be_included_is_said_where_it_is_written() {
        for (line, want) in [
            ("@INCLUDE no.conf", "m:1:10: included file 'no.conf' does not exist\n"),
            ("@INCLUDE a ", "m:1:10: included file 'a ' does not exist\n"),
            ("@INCLUDE no/*.conf", "m:1:10: no file matches 'no/*.conf'\n"),
            ("@INCLUDE .", "m:1:10: '.' is a directory\n"),
            ("@INCLUDE m", "m:1:10: file 'm' is read twice\n"),
            ("@INCLUDE b", "b:1:10: file 'm' is read twice\n"),
            ("@INCLUDE a\n@INCLUDE ./a", "m:2:10: file './a' is read twice\n"),
        ] {
            let dir = Dir::new(&[("m", line), ("a", "[I]\n  Tag a\n"), ("b", "@INCLUDE m\n")]);
            let (_, said) = dir.read("m");
            assert!(said.starts_with(want), "{line}: {said}");
        }
    }

    #[test]
    fn a_missing_main_file() {
        let dir = Dir::new(&[("m", "")]);
        let (_, said) = dir.read("n");
        assert!(said.starts_with("n: cannot read 'n': No such file"), "{said}");
    }

    #[test]
    fn at_most_a_thousand_files() {
        let dir = Dir::new(&[("m", "@INCLUDE d/*\n")]);
        fs::create_dir(dir.0.join("d")).unwrap();
        for i in 0..MAX_FILES {
            fs::write(dir.0.join(format!("d/{i:04}")), format!("[I]\n  Tag {i}")).unwrap();
        }
        let (tags, said) = dir.read("m");
        assert_eq!(tags.split(' ').count(), MAX_FILES - 1);
        assert!(said.starts_with("m:1:10: more than 1000 files are included; 'd/0999' is not read"), "{said}");
    }
}
