//! Flows: what belongs together, for how long, and what is told of it.

pub mod community;
pub mod key;
pub mod network;

pub use key::{FlowInfo, FlowKey};
pub use network::Networks;
