//! The static description every plugin publishes: its name, its keys and what of them is not served yet.

use super::schema::{KeyDef, Table};

/// The kinds of plugins a pipeline is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Makes records.
    Input,
    /// Edits or drops records.
    Filter,
    /// Delivers records.
    Output,
}

impl Kind {
    /// All kinds in the order of the pipeline.
    pub const ALL: [Self; 3] = [Self::Input, Self::Filter, Self::Output];

    /// The word in messages and labels: `input`, `filter`, `output`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Filter => "filter",
            Self::Output => "output",
        }
    }

    /// The name of its section: `INPUT`, `FILTER`, `OUTPUT`.
    pub fn section(self) -> &'static str {
        match self {
            Self::Input => "INPUT",
            Self::Filter => "FILTER",
            Self::Output => "OUTPUT",
        }
    }

    /// The kind a section declares, if it declares a plugin.
    pub fn of_section(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| name.eq_ignore_ascii_case(k.section()))
    }
}

/// What a plugin tells about itself; `-i NAME -h`, the checks and docs/plugins.md are made from it.
#[derive(Debug, Clone, Copy)]
pub struct PluginInfo {
    /// As users write it after `Name`.
    pub name: &'static str,
    /// One sentence: what it does.
    pub doc: &'static str,
    /// Its own keys: `XxxConf::KEYS`.
    pub keys: &'static [KeyDef],
    /// Keys that exist elsewhere but are not served here yet: `XxxConf::UNSERVED`.
    pub unserved: &'static [&'static str],
    /// Shared tables it takes beside those of its kind: `&[NetOut::TABLE, TlsClient::TABLE]`.
    pub extra: &'static [Table],
}
