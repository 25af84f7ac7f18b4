//! Files that outlive the process: their formats, and the calls on them that may block and so run on a worker.

pub mod rejected;
