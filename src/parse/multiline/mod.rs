//! Lines that belong together become one record: stack traces, and lines that a container runtime has cut.
//!
//! A [`MultilineDef`] says which lines those are; a [`Joiner`] applies several of them, in the order given, to the lines of
//! many streams. What a stream has begun and not ended is an [`Open`], which belongs to the stream's reader: so
//! back-pressure reaches it, and the position that it remembers stays before what is not complete.

mod def;
mod group;
mod joiner;
mod rules;
#[cfg(test)]
mod tests;

pub use def::{MultilineConf, MultilineDef, STOCK};
pub use group::{Around, Group};
pub use joiner::{Joiner, Line, Open, Placed};
