//! The file of rejected records: what could not be delivered, one JSON object a line, to be looked at and sent again.

mod file;
mod line;

pub use file::RejectedFile;
pub use line::{Damaged, Entry, Note, Reader, write_line};
