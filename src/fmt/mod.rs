//! Byte formats: how records, numbers and times become bytes, and back.

pub mod capture;
pub mod codec;
pub mod date_format;
pub mod es_bulk;
pub mod es_id;
pub mod gelf;
pub mod json_exact;
pub mod json_frame;
pub mod json_keys;
pub mod json_read;
pub mod json_stream;
pub mod json_text;
pub mod json_write;
pub mod lumberjack;
pub mod kmsg;
pub mod msgpack_read;
pub mod msgpack_write;
pub mod num;
pub mod record;
pub mod resp;
pub mod scan;
pub mod text;
