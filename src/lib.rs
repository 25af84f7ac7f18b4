//! An embedded log and packet collector: INPUT → PARSER → FILTER → (buffer) → OUTPUT, one event thread.
//!
//! Layers; a module names only those to its left (`tests/it/tidy.rs` checks it):
//!
//! ```text
//! util, time → fmt → event, conf → rt → net → parse → decode, kube → plugin → input, filter, output → store → engine → cli
//! ```
//!
//! `rt` alone knows the executor, `net` alone knows sockets and TLS, `fmt` alone knows byte formats.
//! `decode`, `parse`, `fmt`, `time` and `util` are pure: no I/O, no clock.

#![deny(unsafe_code)]

pub mod cli;
pub mod conf;
pub mod decode;
pub mod engine;
pub mod error;
pub mod event;
pub mod filter;
pub mod fmt;
// It reads what all of these read.
#[cfg(all(
    feature = "beats",
    feature = "forward",
    feature = "http",
    feature = "kafka",
    feature = "kubernetes",
    feature = "mqtt",
    feature = "redis",
    feature = "systemd"
))]
#[doc(hidden)]
pub mod fuzz;
pub mod input;
#[cfg(feature = "kubernetes")]
pub mod kube;
pub mod log;
pub mod net;
pub mod output;
pub mod parse;
pub mod plugin;
pub mod rt;
pub mod store;
pub mod time;
pub mod util;
