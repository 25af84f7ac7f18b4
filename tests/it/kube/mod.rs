//! Kubernetes: a scripted API server and a real one, and what asks them.

mod events;
mod filter;
mod places;
#[cfg(feature = "es")]
mod real;
#[allow(dead_code)]
pub mod server;
