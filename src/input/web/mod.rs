//! What inputs that speak HTTP share: connections, logins, limits, answers once the records are safe.

mod auth;
mod conf;
mod server;
mod tags;

pub use auth::Auth;
pub use conf::{WebConf, WebIn};
pub use server::{Ask, Service, run};
pub use tags::{Tags, of_path};
