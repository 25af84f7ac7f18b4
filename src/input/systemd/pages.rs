//! Pieces of journal files in memory: an entry's fields stand close to it, and common ones are asked for again and again.

use crate::fmt::journal::ReadAt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of one piece.
const PIECE: usize = 32 << 10;
/// Pieces that are kept.
const MANY: usize = 48;

/// The pieces of all files, the last used ones.
#[derive(Debug, Default)]
pub(super) struct Pages {
    pieces: Vec<Piece>,
    clock: u64,
}

#[derive(Debug)]
struct Piece {
    file: u64,
    number: u64,
    used: u64,
    bytes: Vec<u8>,
}

/// One file, read through the pieces.
pub(super) struct Paged<'a> {
    pub(super) pages: &'a mut Pages,
    pub(super) file: &'a File,
    pub(super) key: u64,
}

/// One file, read as it is now.
pub(super) struct Direct<'a>(pub(super) &'a File);

impl ReadAt for Direct<'_> {
    fn read_at(&mut self, at: u64, room: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = room.get_mut(done..).filter(|r| !r.is_empty()) {
            match self.0.read_at(rest, at.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // An offset beyond what the system can count.
                Err(e) if e.kind() == io::ErrorKind::InvalidInput => break,
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }
}

impl Pages {
    /// Forgets what is known of a file: it has grown.
    pub(super) fn forget(&mut self, key: u64) {
        self.pieces.retain(|piece| piece.file != key);
    }

    /// The place of a piece, read when it is not there.
    fn piece(&mut self, file: &File, key: u64, number: u64) -> io::Result<&[u8]> {
        self.clock += 1;
        let known = self.pieces.iter().position(|p| p.file == key && p.number == number);
        let at = match known {
            Some(at) => at,
            None => {
                let oldest = self.pieces.iter().enumerate().min_by_key(|(_, p)| p.used).map(|(at, _)| at);
                let mut bytes = match oldest.filter(|_| self.pieces.len() >= MANY) {
                    Some(at) => self.pieces.swap_remove(at).bytes,
                    None => Vec::new(),
                };
                bytes.resize(PIECE, 0);
                let n = Direct(file).read_at(number.saturating_mul(PIECE as u64), &mut bytes)?;
                bytes.truncate(n);
                self.pieces.push(Piece { file: key, number, used: 0, bytes });
                self.pieces.len() - 1
            }
        };
        match self.pieces.get_mut(at) {
            Some(piece) => {
                piece.used = self.clock;
                Ok(&piece.bytes)
            }
            None => Ok(&[]),
        }
    }
}

impl ReadAt for Paged<'_> {
    fn read_at(&mut self, at: u64, room: &mut [u8]) -> io::Result<usize> {
        // What is long is read once.
        if room.len() >= PIECE {
            return Direct(self.file).read_at(at, room);
        }
        let mut done = 0;
        while done < room.len() {
            let here = at.saturating_add(done as u64);
            let piece = self.pages.piece(self.file, self.key, here / PIECE as u64)?;
            let rest = piece.get((here % PIECE as u64) as usize..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            let to = room.get_mut(done..).unwrap_or_default();
            let n = to.len().min(rest.len());
            to.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            done += n;
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn pieces_are_as_the_file() {
        let path = std::env::temp_dir().join(format!("collector-pages-{}", std::process::id()));
        let mut file = File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
        let bytes: Vec<u8> = (0..3 * PIECE + 100).map(|n| (n / 7) as u8).collect();
        file.write_all(&bytes).unwrap();
        let mut pages = Pages::default();
        for (at, len) in [(0, 10), (PIECE - 5, 10), (3 * PIECE + 95, 10), (9 * PIECE, 10), (5, 2 * PIECE)] {
            let mut room = vec![0; len];
            let n = Paged { pages: &mut pages, file: &file, key: 1 }.read_at(at as u64, &mut room).unwrap();
            assert_eq!(room[..n], bytes[at.min(bytes.len())..(at + len).min(bytes.len())], "{at}");
        }
        for n in 0..200 {
            Paged { pages: &mut pages, file: &file, key: n }.read_at(1, &mut [0; 4]).unwrap();
        }
        assert_eq!(pages.pieces.len(), MANY);
        let huge = Paged { pages: &mut pages, file: &file, key: 1 }.read_at(u64::MAX - 3, &mut [0; 8]);
        assert!(huge.is_ok_and(|n| n == 0) || cfg!(not(target_os = "linux")));
        pages.forget(199);
        assert_eq!(pages.pieces.len(), MANY - 1);
        std::fs::remove_file(path).unwrap();
    }
}
