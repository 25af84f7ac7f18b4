//! Configuration: files → sections with places → typed, documented values.
//!
//! A plugin declares its keys once with [`config!`](crate::config) and publishes them in a `PluginInfo`; the loader,
//! the checks, `-i NAME -h` and the generated documents come from that one table.

pub mod plugin;
pub mod schema;
pub mod section;
pub mod value;

pub use plugin::{Kind, PluginInfo};
pub use schema::{Field, Item, KeyDef, Many, Table};
pub use section::{Document, Entry, Section};
pub use value::{BinarySize, CList, FromConf, SList, Size};
