//! Configuration: files → sections with places → typed, documented values.
//!
//! A plugin declares its keys once with [`config!`](crate::config) and publishes them in a `PluginInfo`; the loader,
//! the checks, `-i NAME -h` and the generated documents come from that one table.

pub mod check;
pub mod common;
pub mod env;
pub mod formats;
pub mod header;
pub mod include;
pub mod ini;
pub mod load;
pub mod plugin;
pub mod schema;
pub mod section;
pub mod service;
pub mod storage;
pub mod upstream;
pub mod value;

pub use env::Env;
pub use load::{Loaded, load};
pub(crate) use plugin::table;
pub use plugin::{Catalog, Kind, LeftOut, PluginInfo};
pub use schema::{Field, Item, KeyDef, Many, Table};
pub use section::{Document, Entry, Section};
pub use service::Service;
pub use storage::StorageConf;
pub use value::{BinarySize, CList, FromConf, Permissions, Ports, SList, Size};
