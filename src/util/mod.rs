//! Small tools that belong to no layer: units, patterns, random numbers, byte scans.
//!
//! All of it is pure but [`glob`], which reads directories.

pub mod backoff;
pub mod bytes;
pub mod counters;
pub mod decimal;
pub mod duration;
pub mod glob;
pub mod hex;
pub mod lane;
pub mod murmur3;
pub mod path_glob;
pub mod percent;
pub mod ratelimit;
pub mod rng;
pub mod short;
pub mod size;
pub mod sort;
pub mod suggest;
pub mod unused;
pub mod wildcard;
