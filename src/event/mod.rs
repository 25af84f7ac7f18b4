//! Records: an arena of bytes and a tape of cells, read through borrowed values.
//!
//! A [`Batch`] holds the records of one tag. Text stays where `read(2)` put it; a field is a key and a span.
//! Filters edit the tape, never the bytes, so a record is decoded once and encoded once.

pub mod access;
pub mod arena;
pub mod batch;
pub mod cell;
pub mod draft;
// `Batch` in two parts: building and reading, and editing.
mod edit;
pub mod key;
pub mod literal;
// `Batch` again: where records come from.
mod position;
pub mod raw;
pub mod source;
pub mod tag;
pub mod template;
pub mod value;
pub mod view;

pub use access::Accessor;
pub use arena::{Arena, Span};
pub use batch::{Batch, Mark};
pub use cell::{Cell, Kind};
pub use draft::Draft;
pub use key::Key;
pub use literal::Literal;
pub use raw::Raw;
pub use source::{Position, Source};
pub use tag::Tag;
pub use template::Template;
pub use value::{Cells, Record, Text, Value};
pub use view::View;
