//! Certificates and keys from PEM files.

use super::Problem;
use rustls::RootCertStore;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::path::Path;

const HELP: &str = "Give the path of a PEM file (\"-----BEGIN ...\") that this user may read.";

/// All certificates of a file, at least one.
pub(super) fn certificates(key: &'static str, path: &str) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let bytes = read(key, path)?;
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match list {
        Ok(list) if !list.is_empty() => Ok(list),
        Ok(_) => Err(Problem::new(key, format!("'{path}' holds no certificate"), HELP)),
        Err(e) => Err(Problem::new(key, format!("'{path}': {e}"), HELP)),
    }
}

/// The private key of a file.
pub(super) fn private_key(key: &'static str, path: &str) -> Result<PrivateKeyDer<'static>, Problem> {
    let bytes = read(key, path)?;
    let contains = |text: &[u8]| memchr::memmem::find(&bytes, text).is_some();
    if contains(b"ENCRYPTED PRIVATE KEY") || contains(b"Proc-Type: 4,ENCRYPTED") {
        let help = "Decrypt it once: openssl pkey -in old.key -out new.key (and protect the file by its permissions).";
        return Err(Problem::new(key, format!("the key in '{path}' is encrypted, which is not served"), help));
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|e| {
        let why = match e {
            PemError::NoItemsFound => format!("'{path}' holds no private key"),
            e => format!("'{path}': {e}"),
        };
        Problem::new(key, why, HELP)
    })
}

/// The authorities of a file and of every file in a directory, which may hold other things as well.
pub(super) fn authorities(file: Option<&str>, dir: Option<&str>) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let mut all = Vec::new();
    if let Some(path) = file {
        all.extend(certificates("tls.ca_file", path)?);
    }
    if let Some(path) = dir {
        let help = "Give the path of a directory with PEM files.";
        let problem = |why: String| Problem::new("tls.ca_path", why, help);
        let mut files: Vec<_> = fs::read_dir(path)
            .map_err(|e| problem(format!("cannot read the directory '{path}': {e}")))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|p| p.is_file())
            .collect();
        files.sort();
        let before = all.len();
        for bytes in files.iter().filter_map(|p| fs::read(p).ok()) {
            all.extend(CertificateDer::pem_slice_iter(&bytes).filter_map(Result::ok));
        }
        if all.len() == before {
            return Err(problem(format!("no file in '{path}' holds a certificate")));
        }
    }
    Ok(all)
}

/// The authorities as trust anchors; those that cannot be used are said and left out.
pub(super) fn anchors(from: &[CertificateDer<'static>], name: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let (_, bad) = roots.add_parsable_certificates(from.iter().cloned());
    if bad > 0 {
        log::warn!("[tls] {bad} of {} certificates of {name} cannot be used and are left out", from.len());
    }
    roots
}

fn read(key: &'static str, path: &str) -> Result<Vec<u8>, Problem> {
    fs::read(Path::new(path)).map_err(|e| Problem::new(key, format!("cannot read '{path}': {e}"), HELP))
}
