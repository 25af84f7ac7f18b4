//! Byte formats: how records, numbers and times become bytes, and back.

pub mod date_format;
pub mod json_keys;
pub mod json_read;
pub mod json_text;
pub mod json_write;
pub mod num;
pub mod scan;
