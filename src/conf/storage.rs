//! The `storage.*` keys of `[SERVICE]`: where chunks wait, in memory or on a disk, and how much of them.

use super::value::Size;

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
    }
    unserved ["storage.keep.rejected=off", "storage.rejected.path", "storage.rejected.limit"]
}
