//! What every plugin is made with: its section, the parsers, the settings of the service.

use crate::conf::Section;
use crate::error::{Diags, Place};
use crate::fmt::json_write::JsonOpts;
use crate::parse::{Parser, ParserDef, ParserSet};
use std::path::Path;

/// Handed to a plugin's `make`. What is wrong goes to `diags`; `make` then answers `None`.
#[derive(Debug)]
pub struct MakeCx<'a> {
    /// The instance's section; its `label` is `input:tail:tail.0`.
    pub section: &'a Section,
    /// The instance's name: the alias, else `tail.0`.
    pub name: &'a str,
    /// Where findings go.
    pub diags: &'a mut Diags,
    /// Every parser by name.
    pub parsers: &'a ParserSet,
    /// How JSON is written (the service's `json.*` keys).
    pub json: JsonOpts,
    /// The folder of the main configuration file.
    pub dir: &'a Path,
}

impl MakeCx<'_> {
    /// `input:tail:tail.0`, for log lines.
    pub fn label(&self) -> String {
        self.section.label.clone()
    }

    /// The parser called `name`, which stands at `key`; an unknown one is an error.
    pub fn parser_def(&mut self, key: &str, name: &str) -> Option<ParserDef> {
        let place = self.section.get(key).map_or(&self.section.place, |e| &e.value_place);
        self.parsers.require(name, &self.section.who(), place, self.diags)
    }

    /// The parser that `key` names: `Some(None)` when the key is absent.
    pub fn parser(&mut self, key: &str) -> Option<Option<Box<dyn Parser>>> {
        match self.section.value(key) {
            None => Some(None),
            Some(name) => self.parser_def(key, name).map(|def| Some(def.make())),
        }
    }

    /// Reports an error at `key`'s value, or at the section when the key is absent; answers `None` for `return`.
    pub fn refuse<T>(&mut self, key: &str, msg: impl std::fmt::Display, help: &str) -> Option<T> {
        let place = self.section.get(key).map_or(&self.section.place, |e| &e.value_place);
        self.refuse_at(place, msg, help)
    }

    /// Reports an error at a place: for the values of a key that is repeated.
    pub fn refuse_at<T>(&mut self, place: &Place, msg: impl std::fmt::Display, help: &str) -> Option<T> {
        self.diags.error_help(place, format!("{} {msg}", self.section.who()), help);
        None
    }
}
