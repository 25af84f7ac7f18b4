//! From a captured frame to the payload of its innermost IP, without allocation and without copying.

pub mod addr;

pub use addr::Addr;
