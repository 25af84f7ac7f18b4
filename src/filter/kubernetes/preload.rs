//! `Kube_Meta_Preload_Cache_Dir`: metadata in files, as the API would give it.

use super::known::Known;
use super::names::Names;
use super::pods::Source;
use crate::fmt::json_span::{elements, find};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// A folder of files: `NAMESPACE_POD.meta` or `NAMESPACE-POD.meta` with a pod or a list of pods, `NAMESPACE.namespace_meta`.
pub struct Preload {
    dir: PathBuf,
}

impl Preload {
    /// The files in this folder.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Reads what there is about a pod; answers whether there was something. Called once for each pod.
    pub fn pod(&self, names: &Names, known: &Known) -> bool {
        let (space, pod) = (&names.space, &names.pod);
        let found = self.read(&format!("{space}_{pod}.meta")).or_else(|| self.read(&format!("{space}-{pod}.meta")));
        let Some(text) = found else { return false };
        let mut pods = known.pods.borrow_mut();
        match find(&text, &["items"]) {
            // Other pods are among them.
            Some(items) => elements(items).filter(|item| pods.put(item, Source::File, None)).count() > 0,
            None => pods.put(&text, Source::File, Some(&names.key)),
        }
    }

    /// The same for a namespace.
    pub fn space(&self, name: &str, known: &Known, now: Instant) -> bool {
        let Some(text) = self.read(&format!("{name}.namespace_meta")) else { return false };
        known.spaces.borrow_mut().put(name, &text, now, &mut known.tidy.borrow_mut())
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        // A tag names the pod: it must not lead out of the folder.
        if name.contains('/') {
            return None;
        }
        let mut text = Vec::new();
        File::open(self.dir.join(name)).ok()?.take(LARGEST).read_to_end(&mut text).ok()?;
        Some(text)
    }
}
