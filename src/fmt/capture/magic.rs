//! What a file is, by its first bytes.

use super::bytes::Endian;
use super::damage::Fault;

/// First bytes that are looked at to name a file.
pub(super) const LOOK: usize = 16;

/// What the first four bytes promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Magic {
    Pcap(Endian, Variant),
    Pcapng,
    Gzip,
}

/// How a pcap file writes a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// Seconds and microseconds.
    Micros,
    /// Seconds and nanoseconds.
    Nanos,
    /// Alexey Kuznetzov's patched libpcap: microseconds, and eight bytes more in each record's header.
    Patched,
}

impl Magic {
    /// Looks at the first bytes; four are enough.
    pub(super) fn of(first: &[u8]) -> Option<Self> {
        let [a, b, c, d] = *first.first_chunk()?;
        let pcap = |be: [u8; 4], variant| match [a, b, c, d] {
            m if m == be => Some(Self::Pcap(Endian::Big, variant)),
            [d, c, b, a] if [a, b, c, d] == be => Some(Self::Pcap(Endian::Little, variant)),
            _ => None,
        };
        match [a, b, c, d] {
            [0x0a, 0x0d, 0x0d, 0x0a] => Some(Self::Pcapng),
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            _ => pcap([0xa1, 0xb2, 0xc3, 0xd4], Variant::Micros)
                .or_else(|| pcap([0xa1, 0xb2, 0x3c, 0x4d], Variant::Nanos))
                .or_else(|| pcap([0xa1, 0xb2, 0xcd, 0x34], Variant::Patched)),
        }
    }
}

/// What to say of a file that begins so.
pub(super) fn foreign(first: &[u8]) -> Fault {
    Fault::Foreign(name(first), first.iter().take(8).copied().collect())
}

/// What a file that is not served is called.
fn name(first: &[u8]) -> Option<&'static str> {
    const KNOWN: &[(&[u8], &str)] = &[
        (b"\x28\xb5\x2f\xfd", "zstd data"),
        (b"\x04\x22\x4d\x18", "lz4 data"),
        (b"\xfd7zXZ\0", "xz data"),
        (b"BZh", "bzip2 data"),
        (b"\x1f\x9d", "compress data"),
        (b"PK\x03\x04", "a zip archive"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"\x1f\x8b", "gzip data within gzip data"),
        (b"snoop\0\0\0", "a snoop capture"),
        (b"btsnoop\0", "a Bluetooth snoop capture"),
        (b"RTSS", "a Microsoft Network Monitor 1 capture"),
        (b"GMBU", "a Microsoft Network Monitor 2 capture"),
        (b"iptrace 1.0", "an AIX iptrace capture"),
        (b"iptrace 2.0", "an AIX iptrace capture"),
        (b"TRSNIFF data    ", "a Sniffer capture"),
        (b"XCP\0", "a NetXRay capture"),
        (b"VL\0\0", "a NetXRay capture"),
        (b"\x05VNF", "a Visual Networks capture"),
        (b"\x7fver\0", "an Omnipeek capture"),
        (b"#!rtpplay", "an RTP dump"),
        (b"\x7fELF", "a program"),
        (b"<?xml", "XML text"),
        (b"{", "JSON text"),
    ];
    KNOWN.iter().find(|(magic, _)| first.starts_with(magic)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_first_bytes() {
        let table: &[(&[u8], Option<Magic>)] = &[
            (b"\xa1\xb2\xc3\xd4", Some(Magic::Pcap(Endian::Big, Variant::Micros))),
            (b"\xd4\xc3\xb2\xa1", Some(Magic::Pcap(Endian::Little, Variant::Micros))),
            (b"\xa1\xb2\x3c\x4d", Some(Magic::Pcap(Endian::Big, Variant::Nanos))),
            (b"\x4d\x3c\xb2\xa1", Some(Magic::Pcap(Endian::Little, Variant::Nanos))),
            (b"\xa1\xb2\xcd\x34", Some(Magic::Pcap(Endian::Big, Variant::Patched))),
            (b"\x34\xcd\xb2\xa1", Some(Magic::Pcap(Endian::Little, Variant::Patched))),
            (b"\n\r\r\n", Some(Magic::Pcapng)),
            (b"\x1f\x8b\x08\0", Some(Magic::Gzip)),
            (b"\xb2\xa1\xd4\xc3", None),
            (b"\xd4\xc3\xb2", None),
        ];
        for (first, want) in table {
            assert_eq!(Magic::of(first), *want, "{first:x?}");
        }
    }
}
