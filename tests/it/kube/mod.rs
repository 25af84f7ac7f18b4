//! Kubernetes: a scripted API server, and what asks it.

mod events;
mod filter;
mod places;
#[allow(dead_code)]
pub mod server;
