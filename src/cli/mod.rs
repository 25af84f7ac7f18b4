//! The command line: flags, help, the generated documents.

pub mod args;
pub mod docs;
pub mod flags;
pub mod help;

pub use args::{Action, Args};

use crate::conf::Catalog;
use crate::{filter, input, output};

/// All plugins of this build.
pub fn catalog() -> Catalog {
    Catalog {
        inputs: input::PLUGINS.iter().map(|p| &p.info).collect(),
        filters: filter::PLUGINS.iter().map(|p| &p.info).collect(),
        outputs: output::PLUGINS.iter().map(|p| &p.info).collect(),
    }
}
