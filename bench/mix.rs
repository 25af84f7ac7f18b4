//! The project's sample captures, one after the other and again, as one pcapng file.

use collector::fmt::capture::{CaptureReader, Packet};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// What is no traffic but damage, or made for other tests.
const LEFT_OUT: &[&str] = &["broken", "container", "timestamps"];
/// Between two files, in nanoseconds.
const PAUSE: i64 = 500_000_000;

/// Where the samples are: beside the project.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/pcap")
}

struct Writer<W> {
    out: W,
    /// The link type of each interface.
    links: Vec<u16>,
    clock: i64,
    packets: u64,
    bytes: u64,
}

impl<W: Write> Writer<W> {
    fn block(&mut self, kind: u32, body: &[u8]) -> io::Result<()> {
        let padding = body.len().wrapping_neg() % 4;
        let len = (12 + body.len() + padding) as u32;
        for part in [&kind.to_le_bytes(), &len.to_le_bytes(), body, &[0; 3][..padding], &len.to_le_bytes()] {
            self.out.write_all(part)?;
        }
        self.bytes += u64::from(len);
        Ok(())
    }

    fn packet(&mut self, packet: &Packet<'_>, shift: i64) -> io::Result<()> {
        let link = packet.link.0;
        let interface = match self.links.iter().position(|known| *known == link) {
            Some(n) => n,
            None => {
                // Its times are nanoseconds (if_tsresol).
                let link = u32::from(link).to_le_bytes();
                self.block(1, &[&link[..], &[0; 4], &[9, 0, 1, 0, 9, 0, 0, 0], &[0; 4]].concat())?;
                self.links.push(packet.link.0);
                self.links.len() - 1
            }
        };
        // A file whose clock goes back goes on at the latest time.
        self.clock = self.clock.max(packet.time.0.wrapping_add(shift));
        let time = self.clock.cast_unsigned();
        let mut body = Vec::with_capacity(20 + packet.data.len());
        for field in [interface as u32, (time >> 32) as u32, time as u32, packet.data.len() as u32, packet.wire_len] {
            body.extend(field.to_le_bytes());
        }
        body.extend_from_slice(packet.data);
        self.packets += 1;
        self.block(6, &body)
    }
}

/// Writes whole rounds until there are so many bytes. Returns packets and bytes.
pub fn mix<W: Write>(bytes: u64, out: W) -> io::Result<(u64, u64)> {
    let mut files = Vec::new();
    for category in fs::read_dir(folder())? {
        let path = category?.path();
        if path.file_name().is_none_or(|name| !LEFT_OUT.iter().any(|out| name == *out)) {
            files.extend(fs::read_dir(path)?.map(|file| file.map(|file| file.path())).collect::<Result<Vec<_>, _>>()?);
        }
    }
    files.sort();
    let contents = files.iter().map(fs::read).collect::<Result<Vec<_>, _>>()?;
    let mut writer = Writer { out, links: Vec::new(), clock: 1_740_000_000_000_000_000, packets: 0, bytes: 0 };
    // Section header, version 1.0, of unknown length.
    writer.block(0x0A0D_0D0A, &[&0x1A2B_3C4Du32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xFF; 8]].concat())?;
    while writer.bytes < bytes {
        for file in &contents {
            append(file, &mut writer)?;
        }
    }
    writer.out.flush()?;
    Ok((writer.packets, writer.bytes))
}

fn append<W: Write>(mut file: &[u8], writer: &mut Writer<W>) -> io::Result<()> {
    let (mut reader, mut shift, mut ended) = (CaptureReader::new(), None, false);
    // Damage ends a file.
    while let Ok(found) = reader.packet() {
        if let Some(packet) = found {
            let shift = *shift.get_or_insert(writer.clock + PAUSE - packet.time.0);
            writer.packet(&packet, shift)?;
        } else if ended {
            break;
        } else {
            let n = file.read(reader.space())?;
            reader.filled(n);
            ended = n == 0;
            if ended {
                reader.end();
            }
        }
    }
    Ok(())
}
