//! Names of Unix sockets in the file system.

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};
use std::fmt;
use std::fs::{Permissions, metadata, remove_file, set_permissions, symlink_metadata};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;

/// The path of a bound socket: it is removed when this goes, unless another socket has taken it meanwhile.
#[derive(Debug)]
pub struct UnixPath {
    path: PathBuf,
    ino: u64,
}

impl UnixPath {
    /// Binds a socket of this type to `path` with these permissions. A socket that is there already is replaced, as one
    /// that a killed program left; anything else is left alone.
    ///
    /// # Errors
    /// In words: what the system answers, or that the path is taken.
    pub fn bind(path: &str, mode: u32, kind: SocketType) -> Result<(OwnedFd, Self), String> {
        let failed = |e: std::io::Error| format!("cannot listen on {path}: {e}");
        match symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => remove_file(path).map_err(failed)?,
            Ok(_) => return Err(format!("cannot listen on {path}: there is something that is not a socket")),
            Err(_) => {}
        }
        let addr = SocketAddrUnix::new(path).map_err(|e| failed(e.into()))?;
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = socket_with(AddressFamily::UNIX, kind, flags, None).map_err(|e| failed(e.into()))?;
        bind(&fd, &addr).map_err(|e| failed(e.into()))?;
        set_permissions(path, Permissions::from_mode(mode)).map_err(failed)?;
        let ino = metadata(path).map_err(failed)?.ino();
        Ok((fd, Self { path: path.into(), ino }))
    }
}

impl fmt::Display for UnixPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

impl Drop for UnixPath {
    fn drop(&mut self) {
        if metadata(&self.path).is_ok_and(|m| m.ino() == self.ino) {
            // Whoever removed it first did what we want.
            let _ = remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_replaced_and_files_are_not() {
        let dir = std::env::temp_dir().join(format!("collector-unix-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("s");
        let text = path.to_str().unwrap();
        let (_old, first) = UnixPath::bind(text, 0o600, SocketType::DGRAM).unwrap();
        let (_fd, second) = UnixPath::bind(text, 0o622, SocketType::STREAM).unwrap();
        assert_eq!(metadata(&path).unwrap().permissions().mode() & 0o777, 0o622);
        drop(first);
        drop(second);
        assert!(!path.exists());
        std::fs::write(&path, "x").unwrap();
        assert!(UnixPath::bind(text, 0o600, SocketType::DGRAM).unwrap_err().contains("not a socket"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
