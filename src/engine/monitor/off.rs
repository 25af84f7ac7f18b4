//! A build without the HTTP server of the engine: asking for it is an error, and the type has no values.

use super::core::Core;
use crate::conf::{Document, Service};
use crate::error::{Diags, Error};
use crate::fmt::prometheus::Family;
use crate::rt::Task;
use std::rc::Rc;

/// What the service asks for; never there in this build.
pub(super) enum Monitor {}

impl Monitor {
    /// `None`; with `HTTP_Server on` an error at its place.
    pub(super) fn of(service: &Service, doc: &Document, diags: &mut Diags) -> Option<Self> {
        if service.http_server {
            let help = "Build it with the feature `monitor`, or set HTTP_Server off.";
            let what = "[SERVICE] HTTP_Server: this build has no HTTP server";
            match doc.sections.iter().find_map(|s| s.get("http_server")) {
                Some(entry) => diags.error_help(&entry.value_place, what, help),
                None => diags.error_nowhere(format!("{what}\n    {help}")),
            }
        }
        None
    }

    /// Never called.
    pub(super) fn start(self, _: &Rc<Core>) -> Result<Task<()>, Error> {
        match self {}
    }
}

/// Nobody asks for them: what does is not in this build either.
pub(super) fn metrics(_: &Core) -> Vec<Family> {
    Vec::new()
}
