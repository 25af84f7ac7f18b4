//! Flows: what belongs together, for how long, and what is told of it.

pub mod community;
pub mod key;
pub mod network;
pub mod report;
pub mod state;
pub mod table;
mod wheel;

pub use key::{FlowInfo, FlowKey};
pub use network::Networks;
pub use state::{App, Count, Ended, Flow, NEVER, Tcp, Waiting};
pub use table::Table;
pub use wheel::Wheel;
