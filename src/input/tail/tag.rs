//! The tag of each file: `*` stands for its path, `<name>` for a group of Tag_Regex.

use crate::event::Tag;
use crate::parse::regex::{Regex, Slots};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Makes the tag of a file from its path.
#[derive(Debug)]
pub struct TagMaker {
    template: Tag,
    regex: Option<Regex>,
}

impl TagMaker {
    /// Tags of this template. An error names the place of an angle bracket that is never closed.
    pub fn new(template: Tag, regex: Option<Regex>) -> Result<Self, String> {
        if regex.is_some() {
            let mut rest = &*template;
            while let Some((_, after)) = rest.split_once('<') {
                match after.split_once('>') {
                    Some((name, tail)) if !name.contains('<') => rest = tail,
                    _ => return Err(format!("'<' is not closed by '>' in the tag '{template}'")),
                }
            }
        }
        Ok(Self { template, regex })
    }

    /// The tag of the file at `path`; `None` when Tag_Regex does not match.
    pub fn tag(&self, path: &Path) -> Option<Tag> {
        let Some(regex) = &self.regex else {
            return Some(match self.template.split_once('*') {
                None => self.template.clone(),
                Some((before, after)) => Tag::new(&dotted(&format!("{before}{}{after}", path.to_string_lossy()))),
            });
        };
        let text = path.as_os_str().as_bytes();
        let mut slots = Slots::default();
        if !regex.captures(text, &mut slots) {
            return None;
        }
        let mut out = String::new();
        let mut rest = &*self.template;
        while let Some((before, after)) = rest.split_once('<') {
            let (name, tail) = after.split_once('>')?;
            let group = regex.names().iter().position(|n| n == name).and_then(|n| regex.named(&slots, n));
            let value = group.and_then(|(from, to)| text.get(from..to)).filter(|v| !v.is_empty()).unwrap_or(b"_");
            out.push_str(before);
            out.push_str(&String::from_utf8_lossy(value));
            rest = tail;
        }
        out.push_str(rest);
        Some(Tag::new(&out))
    }
}

/// Slashes, backslashes and colons become dots, runs of dots one; no dot stands at the ends.
fn dotted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '*' => {}
            '/' | '\\' | ':' if out.is_empty() => {}
            '/' | '\\' | ':' | '.' => {
                if !out.ends_with('.') {
                    out.push('.');
                }
            }
            other => out.push(other),
        }
    }
    if out.ends_with('.') {
        out.pop();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, regex: Option<&str>, path: &str, expected: Option<&str>) {
        let maker = TagMaker::new(Tag::new(template), regex.map(|r| Regex::new(r).unwrap())).unwrap();
        assert_eq!(maker.tag(Path::new(path)).as_deref(), expected, "{template} {path}");
    }

    #[test]
    fn a_star_stands_for_the_path() {
        check("app", None, "/var/log/a.log", Some("app"));
        check("x.*", None, "/var/log/rot/U.log", Some("x.var.log.rot.U.log"));
        check("*", None, "/var/log/a.log", Some("var.log.a.log"));
        check("*.end", None, "./a:b\\c", Some(".a.b.c.end"));
        check("kube.*", None, "/c/p..q_*.log", Some("kube.c.p.q_.log"));
        check("k.*.", None, "/a/", Some("k.a"));
    }

    #[test]
    fn names_stand_for_groups() {
        let regex = Some(r"(?<d>[^/]+)/(?<n>[A-Z]+)(?<none>x*)\.log$");
        check("k.<d>.<n>.<zz>", regex, "/tmp/rot/U.log", Some("k.rot.U._"));
        check("k.<none>-<n>-", regex, "/tmp/rot/U.log", Some("k._-U-"));
        check("k.<d>.*", regex, "/tmp/rot/U.log", Some("k.rot.*"));
        check("k", regex, "/tmp/rot/U.log", Some("k"));
        check("k.<d>", regex, "/tmp/rot/u.txt", None);
    }

    #[test]
    fn an_open_bracket_is_refused() {
        let regex = || Some(Regex::new("(?<a>x)").unwrap());
        assert!(TagMaker::new(Tag::new("k.<a"), regex()).unwrap_err().contains("k.<a"));
        assert!(TagMaker::new(Tag::new("k.<a<b>"), regex()).is_err());
        assert!(TagMaker::new(Tag::new("k.<a"), None).is_ok(), "without Tag_Regex it is plain text");
    }
}
