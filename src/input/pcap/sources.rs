//! Which files are read: paths and patterns of the configuration.

use super::conf::PcapConf;
use super::plan::{FILTER_HELP, certainly_wrong};
use crate::error::{Error, Place};
use crate::plugin::MakeCx;
use crate::util::glob::glob;
use crate::util::path_glob::PathGlob;
use rustix::fs::{Access, access};
use std::path::{Path, PathBuf};

/// The files to read, in order.
#[derive(Debug)]
pub struct Sources {
    /// `[input:pcap:pcap.0]`.
    who: String,
    named: Vec<(String, Place)>,
    files: Vec<File>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum File {
    /// The standard input.
    Stdin,
    /// A path.
    At(PathBuf),
}

impl Sources {
    /// Reads the keys. Whether the files exist is asked at the start: a configuration may be checked elsewhere.
    pub fn new(conf: &PcapConf, cx: &mut MakeCx<'_>) -> Option<Self> {
        let mut named: Vec<(String, Place)> = Vec::new();
        for item in &conf.file.0 {
            if item.value == "-" && named.iter().any(|(name, _)| name == "-") {
                return cx.refuse_at(&item.place, "File: the standard input is named twice", "It can be read once.");
            }
            named.push((item.value.clone(), item.place.clone()));
        }
        if let Some(why) = conf.bpf_filter.as_deref().and_then(certainly_wrong) {
            return cx.refuse("BPF_Filter", format!("BPF_Filter: {why}"), FILTER_HELP);
        }
        Some(Self { who: cx.section.who(), named, files: Vec::new() })
    }

    /// Finds the files: those of a pattern in the order of their names.
    ///
    /// # Errors
    /// When a file that is named without a pattern is missing or cannot be read, with its place in the configuration.
    pub fn start(&mut self) -> Result<(), Error> {
        for (name, place) in &self.named {
            let fail = |why: String| Err(Error::Config(format!("{place}: {} File '{name}': {why}", self.who)));
            let path = Path::new(name);
            if name == "-" {
                self.files.push(File::Stdin);
            } else if is_pattern(name) && !path.exists() {
                let found = glob(path);
                for (path, e) in &found.unreadable {
                    log::warn!("{} File '{name}': cannot look at '{}': {e}", self.who, path.display());
                }
                let before = self.files.len();
                self.files.extend(found.paths.into_iter().filter(|p| !p.is_dir()).map(File::At));
                if self.files.len() == before {
                    log::warn!("{} File '{name}': no file has such a name", self.who);
                }
            } else if path.is_dir() {
                return fail("this is a directory; write for example 'directory/*.pcap'".into());
            } else if let Err(e) = access(path, Access::READ_OK) {
                return fail(std::io::Error::from(e).to_string());
            } else {
                self.files.push(File::At(path.to_owned()));
            }
        }
        Ok(())
    }

    /// The files that [`Self::start`] found.
    pub fn into_files(self) -> Vec<File> {
        self.files
    }
}

/// Whether a path has a part that can stand for several names.
fn is_pattern(path: &str) -> bool {
    path.split('/').any(|part| PathGlob::new(part.as_bytes()).literal().is_none())
}
