//! Which file records of a tag go to: no tag can lead out of the directory.

use crate::event::Tag;
use rustc_hash::FxHasher;
use std::hash::Hasher;
use std::path::PathBuf;

/// The longest file name made of a tag, in bytes: what file systems take (255) less room for what rotation appends.
const NAME: usize = 200;

/// `Path` and `File`.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub dir: Option<PathBuf>,
    pub file: Option<PathBuf>,
}

impl Target {
    /// The file for a tag.
    pub(super) fn path(&self, tag: &Tag) -> PathBuf {
        let name = self.file.clone().unwrap_or_else(|| file_name(tag).into());
        match &self.dir {
            Some(dir) => dir.join(name),
            None => name,
        }
    }
}

/// A tag as the name of a file: separators, control characters and `..` become `_`.
fn file_name(tag: &str) -> String {
    let mut name = String::with_capacity(tag.len());
    for c in tag.replace("..", "__").chars() {
        name.push(if c == '/' || c == '\\' || c.is_control() { '_' } else { c });
    }
    if name.is_empty() || name == "." {
        name = "_".into();
    }
    if name.len() > NAME {
        // Two long tags with the same beginning are still two files.
        let mut hasher = FxHasher::default();
        hasher.write(tag.as_bytes());
        let mut cut = NAME;
        while !name.is_char_boundary(cut) {
            cut -= 1;
        }
        name.truncate(cut);
        name.push_str(&format!("~{:08x}", hasher.finish() as u32));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tags_stay_in_the_directory() {
        let table = [
            ("app.log", "app.log"),
            ("../../etc/passwd", "______etc_passwd"),
            ("..", "__"),
            (".", "_"),
            ("", "_"),
            ("/abs", "_abs"),
            ("a\\b\0c\n", "a_b_c_"),
            ("a..b", "a__b"),
            ("...", "__."),
            ("é", "é"),
        ];
        let target = Target { dir: Some("/d".into()), file: None };
        for (tag, name) in table {
            let path = target.path(&Tag::new(tag));
            assert_eq!(path, PathBuf::from(format!("/d/{name}")), "{tag:?}");
            assert_eq!(path.parent(), Some("/d".as_ref()), "{tag:?}");
        }
    }

    #[test]
    fn long_tags_are_cut_and_stay_apart() {
        let (a, b) = (file_name(&("é".repeat(300) + "a")), file_name(&("é".repeat(300) + "b")));
        assert!(a.len() <= 210 && a.starts_with('é') && a != b, "{a} {b}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn no_tag_leads_out_of_the_directory(tag in "([./\\\\a\\PC\\x00-\\x1f]|\\.\\./){0,120}") {
            let name = file_name(&tag);
            prop_assert!(!name.is_empty() && name.len() <= 255 && name != "." && !name.contains(".."));
            prop_assert!(!name.contains(['/', '\\', '\0']) && !name.chars().any(char::is_control));
        }
    }

    #[test]
    fn keys_combine() {
        let path = |dir: Option<&str>, file: Option<&str>| {
            let target = Target { dir: dir.map(Into::into), file: file.map(Into::into) };
            target.path(&Tag::new("t.a")).display().to_string()
        };
        assert_eq!(path(None, None), "t.a");
        assert_eq!(path(Some("/d"), None), "/d/t.a");
        assert_eq!(path(None, Some("x/y.log")), "x/y.log");
        assert_eq!(path(Some("/d/"), Some("y.log")), "/d/y.log");
    }
}
