//! Which partition a message goes to.

use crate::fmt::kafka::murmur::murmur2;

/// The rule, by librdkafka's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partitioner {
    /// Any partition, whatever the key.
    Random,
    /// CRC-32 of the key; messages without one go to the first partition.
    Consistent,
    /// CRC-32 of the key; messages without one to any partition.
    ConsistentRandom,
    /// murmur2 of the key; messages without one go to one and the same partition.
    Murmur2,
    /// murmur2 of the key, as Java's clients; messages without one go to any partition.
    Murmur2Random,
}

impl Partitioner {
    /// Names in configurations.
    pub const NAMES: &[(&str, Self)] = &[
        ("murmur2_random", Self::Murmur2Random),
        ("murmur2", Self::Murmur2),
        ("consistent_random", Self::ConsistentRandom),
        ("consistent", Self::Consistent),
        ("random", Self::Random),
    ];

    /// The partition of `count` that a key asks for; `None`: any.
    pub fn of(self, key: Option<&[u8]>, count: usize) -> Option<usize> {
        let bytes = key.unwrap_or_default();
        let hash = match self {
            Self::Random => return None,
            Self::ConsistentRandom if bytes.is_empty() => return None,
            Self::Murmur2Random if key.is_none() => return None,
            Self::Consistent | Self::ConsistentRandom => crc32fast::hash(bytes),
            Self::Murmur2 | Self::Murmur2Random => murmur2(bytes) & 0x7fff_ffff,
        };
        Some(hash as usize % count.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_no_keys() {
        let all = |key: Option<&[u8]>| {
            Partitioner::NAMES.iter().map(|(_, p)| p.of(key, 10).map_or(-1, |n| n as i32)).collect::<Vec<_>>()
        };
        let java = (murmur2(b"foobar") & 0x7fff_ffff) % 10;
        // CRC-32 of "foobar" is 0x9EF61F95.
        let crc = 0x9EF6_1F95_u32 % 10;
        assert_eq!(all(Some(b"foobar")), [java as i32, java as i32, crc as i32, crc as i32, -1]);
        let empty = ((murmur2(b"") & 0x7fff_ffff) % 10) as i32;
        assert_eq!(all(Some(b"")), [empty, empty, -1, 0, -1]);
        assert_eq!(all(None), [-1, empty, -1, 0, -1]);
    }
}
