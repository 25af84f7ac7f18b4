//! What every plugin is made with: its section, the parsers, the settings of the service.

use crate::conf::Section;
use crate::conf::common::{TlsClient, TlsServer};
#[cfg(test)]
use crate::conf::{Kind, PluginInfo, check};
use crate::error::{Diags, Place};
use crate::event::Accessor;
use crate::fmt::json_write::JsonOpts;
use crate::net::{ClientTls, ServerTls};
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
    /// The longest text of a record of several lines, in bytes (the service's `multiline_buffer_limit`).
    pub multiline_limit: usize,
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

    /// TLS towards a server as `conf` asks for it, `Some(None)` with `tls off`; what cannot be honoured is an error.
    pub fn client_tls(&mut self, conf: &TlsClient) -> Option<Option<ClientTls>> {
        match ClientTls::new(conf) {
            Ok(tls) => Some(tls),
            Err(p) => self.refuse(p.key, format!("{}: {}", p.key, p.why), p.help),
        }
    }

    /// The `tls.*` keys of an input, `Some(None)` with `tls off`; what cannot be honoured is an error.
    pub fn server_tls(&mut self, conf: &TlsServer) -> Option<Option<ServerTls>> {
        match ServerTls::new(conf) {
            Ok(tls) => Some(tls),
            Err(p) => self.refuse(p.key, format!("{} {}", p.key, p.why), p.help),
        }
    }

    /// The field that `text`, the value of `key`, leads to; what is no path is an error.
    pub fn path(&mut self, key: &str, text: &str) -> Option<Accessor> {
        match Accessor::parse(text) {
            Ok(path) => Some(path),
            Err(why) => self.refuse(key, format!("{key}: {why}"), "Write a key, or $key['sub'] for a nested one."),
        }
    }

    /// [`Self::path`] for a key that may be absent: then `Some(None)`.
    pub fn path_if(&mut self, key: &str, text: Option<&str>) -> Option<Option<Accessor>> {
        match text {
            None => Some(None),
            Some(text) => self.path(key, text).map(Some),
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

/// Makes an instance for the tests of a plugin, its keys checked as in the program; also what was found.
#[cfg(test)]
pub(crate) fn made<T>(
    kind: Kind,
    info: &PluginInfo,
    make: fn(&mut MakeCx<'_>) -> Option<T>,
    conf: &[(&str, &str)],
) -> (Option<T>, String) {
    let mut diags = Diags::new();
    let mut section = Section::of(kind.section(), conf);
    let name = format!("{}.0", info.name);
    section.label = format!("{}:{}:{name}", kind.word(), info.name);
    let known = check::plugin(kind, &section, info, &mut diags);
    let parsers = ParserSet::default();
    let mut cx = MakeCx {
        section: &section,
        name: &name,
        diags: &mut diags,
        parsers: &parsers,
        json: JsonOpts::default(),
        dir: Path::new("."),
        multiline_limit: 2 << 20,
    };
    let instance = if known { make(&mut cx) } else { None };
    assert_eq!(instance.is_none(), diags.has_errors(), "no instance, so there is an error: {diags}");
    (instance, diags.to_string())
}

/// Checks a configuration: nothing `said` means that it is accepted without a word, else what is said holds that and it is
/// refused.
#[cfg(test)]
pub(crate) fn judged<T>(
    kind: Kind,
    info: &PluginInfo,
    make: fn(&mut MakeCx<'_>) -> Option<T>,
    conf: &[(&str, &str)],
    said: &str,
) {
    let (instance, diags) = made(kind, info, make, conf);
    assert_eq!(instance.is_some(), said.is_empty(), "{diags}");
    assert!(diags.contains(said), "{diags}");
}
