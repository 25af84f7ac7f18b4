//! Packets: from captured frames to transactions. Pure: bytes and times come in as arguments.

pub mod layers;

#[cfg(test)]
#[allow(dead_code)]
pub mod test_frames;
