//! Packets of files, one file after the other.

use super::conf::PcapConf;
use crate::error::Error;
use crate::input::InputCx;
use crate::plugin::MakeCx;
use crate::util::glob::glob;
use std::path::{Path, PathBuf};

/// The files to read, in order; a pattern is expanded when the input is made.
#[derive(Debug)]
pub struct Plan {
    files: Vec<File>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
enum File {
    Stdin,
    At(PathBuf),
}

impl Plan {
    /// Finds the files. One that is missing is an error where it is named, a pattern without a file is one, too.
    pub fn new(conf: &PcapConf, cx: &mut MakeCx<'_>) -> Option<Self> {
        let mut files = Vec::new();
        for item in &conf.file.0 {
            if item.value == "-" {
                if files.contains(&File::Stdin) {
                    return cx.refuse_at(&item.place, "the standard input is named twice", "It can be read once.");
                }
                files.push(File::Stdin);
                continue;
            }
            let found = glob(Path::new(&item.value));
            if found.paths.is_empty() {
                let why = match found.unreadable.first() {
                    Some((path, e)) => format!("File {}: cannot look at {}: {e}", item.value, path.display()),
                    None => format!("File {}: there is no such file", item.value),
                };
                return cx.refuse_at(&item.place, why, "Relative paths start at the working directory.");
            }
            files.extend(found.paths.into_iter().filter(|p| !p.is_dir()).map(File::At));
        }
        Some(Self { files })
    }
}

/// Reads all files.
pub async fn run(_conf: PcapConf, plan: Plan, cx: InputCx) -> Result<(), Error> {
    log::debug!("[{}] {} files", cx.label(), plan.files.len());
    cx.exit(0);
    Ok(())
}
