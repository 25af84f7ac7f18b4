//! The API of Kubernetes: its server asked, and its objects followed
//! (<https://kubernetes.io/docs/reference/using-api/api-concepts/>).
//!
//! [`Api`] knows how to reach a server (or a kubelet) and who we are; [`Api::get`] asks for one thing, [`follow`] lists a
//! [`Collection`] and then watches it for ever, telling a [`Seen`]. Nothing blocks, nothing is larger in memory than one object,
//! and a silent watch wakes nobody up.

mod address;
mod api;
mod conf;
mod fail;
mod follow;
mod list;
mod token;
mod watch;

pub use api::Api;
pub use conf::ApiConf;
pub use fail::Fail;
pub use follow::{Collection, Seen, follow};
pub use list::ListSplit;
pub use watch::{WatchEvent, WatchSplit};

/// A key that cannot be honoured: for `MakeCx::refuse`.
pub use crate::net::tls::Problem;

/// The largest object that is handed out, in bytes; a larger one is passed over, and that is said.
pub const MAX_OBJECT: usize = 8 << 20;

#[cfg(test)]
mod tests;
