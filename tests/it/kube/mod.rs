//! Kubernetes: a scripted API server, and what asks it.

mod events;
mod filter;
#[allow(dead_code)]
pub mod server;
