//! Kafka's protocol, as far as a producer needs it: pure bytes, no sockets.
//!
//! Source: the protocol guide of Apache Kafka and its message definitions. A version is chosen per connection from what the
//! broker offers ([`api::Versions`]); brokers from 0.11 on have record batches of version 2 and idempotent producers.
//! Later ("flexible") versions write lengths as varints and end each structure with tagged fields, which are skipped.

pub mod api;
pub mod compress;
pub mod error;
pub mod metadata;
pub mod murmur;
pub mod produce;
pub mod record;
pub mod sasl;
pub mod scram;
pub mod wire;

pub use api::{Api, Versions, request, response};
pub use compress::Compression;
pub use wire::{Malformed, Reader, Writer};
