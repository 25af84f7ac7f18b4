//! Kubernetes: a scripted API server, and what asks it.

mod events;
#[allow(dead_code)]
pub mod server;
