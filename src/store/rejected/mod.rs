//! The file of rejected records: what could not be delivered, one JSON object a line, to be looked at and sent again.

mod file;
mod line;
mod reader;
mod replay;

pub use file::RejectedFile;
pub use line::{Entry, Note, read_line, write_line};
pub use reader::{Line, Reader};
pub use replay::{Done, Replaying, Survey, survey};
