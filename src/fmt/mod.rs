//! Byte formats: how records, numbers and times become bytes, and back.

pub mod date_format;
pub mod num;
