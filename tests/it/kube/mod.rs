//! Kubernetes: a scripted API server, and what asks it.

#[allow(dead_code)]
pub mod server;
