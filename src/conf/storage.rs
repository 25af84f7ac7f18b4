//! The `storage.*` keys of `[SERVICE]`: where chunks wait, in memory or on a disk, and how much of them.

use super::value::{BinarySize, FromConf, Size};
use std::path::{Path, PathBuf};

crate::conf_enum! {
    /// Where the records of an input wait for their outputs.
    pub enum StorageType {
        /// In memory; over the limit the input is paused.
        Memory = "memory",
        /// In files under `storage.path`: a killed program loses none of them.
        Filesystem = "filesystem",
        /// In memory; over the limit the oldest are dropped.
        Memrb = "memrb",
    }
}

crate::conf_enum! {
    /// When chunk files are safe.
    pub enum StorageSync {
        /// When the system has them: a crash of the program loses nothing, a power cut may.
        Normal = "normal",
        /// When the disk has them.
        Full = "full",
    }
}

crate::config! {
    /// Keys of `[SERVICE]` about buffering.
    #[derive(Clone)]
    pub struct StorageConf {
        /// The folder of chunk files; needed by inputs with `storage.type filesystem`.
        path: Option<String> => "storage.path",
        /// `full` waits for the disk after each write: a power cut loses nothing either.
        sync: StorageSync => "storage.sync" = "normal",
        /// Accepted: chunk files always carry checksums.
        checksum: bool => "storage.checksum" = "off",
        /// Chunks with `storage.type filesystem` that may be in memory at a time; the others wait on the disk.
        max_chunks_up: usize => "storage.max_chunks_up" = "128",
        /// Memory that chunks of an earlier run may take while they are sent.
        backlog_mem_limit: Size => "storage.backlog.mem_limit" = "5M",
        /// At a shutdown use the whole grace period for chunks that are safe on the disk, even when their destination is down.
        flush_on_shutdown: bool => "storage.backlog.flush_on_shutdown" = "off",
        /// Memory that all inputs together may hold; beyond it all are paused; 0 is no limit beside theirs.
        mem_limit: Size => "storage.mem_limit" = "0",
        /// `storage.type` of the inputs that name none, with `storage.inherit on`.
        storage_type: StorageType => "storage.type" = "memory",
        /// Inputs that name no `storage.type` take that of `[SERVICE]`.
        inherit: bool => "storage.inherit" = "off",
        /// Show the storage layer in the state that SIGCONT writes.
        metrics: bool => "storage.metrics" = "on",
        /// Delete chunk files that are damaged, once what can be read of them is delivered; else they are moved to the
        /// folder `quarantine`.
        delete_irrecoverable_chunks: bool => "storage.delete_irrecoverable_chunks" = "off",
        /// Accepted: chunk files never hold unused room.
        trim_files: bool => "storage.trim_files" = "off",
        /// Keep records that an output will never take, with the reason, for `--replay-rejected`. Fluent Bit's default is
        /// off.
        keep_rejected: bool => "storage.keep.rejected" = "on",
        /// The file that keeps them, or a folder for it. Relative to `storage.path`, or without one to the working
        /// directory; `off` keeps none.
        rejected_path: String => "storage.rejected.path" = "rejected.ndjson",
        /// Bytes that this file may have; what would not fit is dropped, counted and said. 0 is no limit.
        rejected_limit: BinarySize => "storage.rejected.limit" = "1G",
    }
}

impl StorageConf {
    /// The file for rejected records, or its folder; `None` when they are not to be kept.
    pub fn rejected_file(&self) -> Option<PathBuf> {
        let kept = self.keep_rejected && bool::from_conf(&self.rejected_path) != Ok(false);
        let dir = self.path.as_deref().unwrap_or_default();
        kept.then(|| Path::new(dir).join(&self.rejected_path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Section;
    use crate::error::Diags;

    fn file(keys: &[(&str, &str)]) -> Option<String> {
        let conf = StorageConf::load(&Section::of("SERVICE", keys), &mut Diags::new()).unwrap();
        conf.rejected_file().map(|p| p.to_str().unwrap().to_owned())
    }

    #[test]
    fn where_rejected_records_go() {
        let (path, at) = (("storage.path", "/var/c"), "storage.rejected.path");
        let check = |keys: &[(&str, &str)], expected| assert_eq!(file(keys).as_deref(), expected, "{keys:?}");
        check(&[], Some("rejected.ndjson"));
        check(&[path], Some("/var/c/rejected.ndjson"));
        check(&[path, (at, "x/")], Some("/var/c/x/"));
        check(&[path, (at, "/x/y")], Some("/x/y"));
        check(&[(at, "x")], Some("x"));
        check(&[(at, "Off")], None);
        check(&[(at, "false")], None);
        check(&[("storage.keep.rejected", "off"), (at, "x")], None);
    }
}
