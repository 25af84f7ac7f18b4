//! Certificates and keys from PEM files.

use super::Problem;
use crate::util::sort;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::RootCertStore;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
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

/// The private key of a file; `passwd` opens an encrypted one.
pub(super) fn private_key(
    key: &'static str,
    path: &str,
    passwd: Option<&str>,
) -> Result<PrivateKeyDer<'static>, Problem> {
    let bytes = read(key, path)?;
    let contains = |text: &[u8]| memchr::memmem::find(&bytes, text).is_some();
    if contains(b"Proc-Type: 4,ENCRYPTED") {
        let help = "Convert it once: openssl pkey -in old.key -aes256 -out new.key";
        let why = format!("the key in '{path}' is encrypted in the way of old, which is not served");
        return Err(Problem::new(key, why, help));
    }
    if contains(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        return decrypted(key, path, &bytes, passwd);
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|e| {
        let why = match e {
            PemError::NoItemsFound => format!("'{path}' holds no private key"),
            e => format!("'{path}': {e}"),
        };
        Problem::new(key, why, HELP)
    })
}

/// An encrypted key (RFC 5958, RFC 8018: PBES2).
fn decrypted(
    key: &'static str,
    path: &str,
    pem: &[u8],
    passwd: Option<&str>,
) -> Result<PrivateKeyDer<'static>, Problem> {
    const PLAIN: &str = "Set tls.key_passwd, or decrypt it once: openssl pkey -in old.key -out new.key (and protect the \
                         file by its permissions).";
    const AGAIN: &str = "Convert it once: openssl pkcs8 -topk8 -v2 aes-256-cbc -in old.key -out new.key";
    let Some(passwd) = passwd else {
        return Err(Problem::new(key, format!("the key in '{path}' is encrypted"), PLAIN));
    };
    let text = String::from_utf8_lossy(pem);
    let body =
        text.split_once("-----BEGIN ENCRYPTED PRIVATE KEY-----").and_then(|(_, rest)| rest.split_once("-----END"));
    let body: String = body.map_or("", |(body, _)| body).split_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|e| Problem::new(key, format!("'{path}': {e}"), HELP))?;
    let sealed = EncryptedPrivateKeyInfoRef::try_from(&*der).map_err(|e| {
        Problem::new(key, format!("the key in '{path}' is encrypted in a way that is not served ({e})"), AGAIN)
    })?;
    match sealed.decrypt(passwd) {
        Ok(open) => Ok(PrivatePkcs8KeyDer::from(open.as_bytes().to_vec()).into()),
        Err(pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. })) => {
            Err(Problem::new(key, format!("the key in '{path}' is encrypted in a way that is not served"), AGAIN))
        }
        Err(_) => {
            let why = format!("does not open the key in '{path}'");
            Err(Problem::new("tls.key_passwd", why, "Give the password that the key was encrypted with."))
        }
    }
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
        sort::ascending(&mut files);
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

#[cfg(test)]
mod tests {
    use super::*;

    // Made with `openssl pkcs8 -topk8`; the password is `geheim`.
    /// Not encrypted.
    const PLAIN: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgLdpBSNUwz9JZ14yv
Oy9N/7dPc/BJG5rH5ydb5p3ysQ+hRANCAATaFbIWqhOUu1KkR4ZCbeEvl4PhNZIU
kXHCpwRwRZ0OTf7mRkxphieSQe0pAgAfo12ajsTCmGOElpO7HcerRZpN
-----END PRIVATE KEY-----
";
    /// `-v2 aes-256-cbc`.
    const AES: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgt2lDkha+E0AICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEECJTkc5Ys9eaZ7y9yF+82GQEgZCA
+Z8BlGU/BsNfCaigGVsgULaN846DdEPuKXdfybez/QU/g5A82vTaCfskXyQexwCi
0N8EH4QfBW97v7uSs6i4tBozVhpso8fQDmzns9D/mrRq/t4/1q+dfhCv6iU3WElN
h6m77gXTuEUyfVIXVcckZpBsYxfKhzRWEZilRXLSM49yrRI3Iace6jMwiVeV0oU=
-----END ENCRYPTED PRIVATE KEY-----
";
    /// `-scrypt`.
    const SCRYPT: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHkME8GCSqGSIb3DQEFDTBCMCEGCSsGAQQB2kcECzAUBAhBW66Q4s7yWwICQAAC
AQgCAQEwHQYJYIZIAWUDBAEqBBCf96VHPp47qULvCPwijJEMBIGQjV8Ko8Gn+bGx
1tk+PULaGlNCzKpq2c+1Afl6ZTIqqutmLspRhKtlPoOYkft2UojnctT25XhgIxT3
7xxfH8P4O6AJBmNxK3jPIkGWMNB2UhNfaNsXHGutISzbY4FxdURaawInNRygeUYo
Yla9YrrcAZOM40lq4U/+7HRmQ9kKJYDYSmj3gyDrlCeuq1F3TwDf
-----END ENCRYPTED PRIVATE KEY-----
";
    /// `-v2 des3`.
    const DES: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHjME4GCSqGSIb3DQEFDTBBMCkGCSqGSIb3DQEFDDAcBAh2iDzF/Y/IywICCAAw
DAYIKoZIhvcNAgkFADAUBggqhkiG9w0DBwQILVkYtUBN5PEEgZDnbpc62b8kO8Q7
iFpGVMNTvSn1YB6b/fOhx8kKU1/HDIwhVTDbStyLcSlauwkHbrv0BDUOf36TqDIG
cZrrPXTZJbqtTzxWl/7V274IgPx7KuMTb3TsD1syMjsFrLhq/ATztkOJLB4iWfUN
cmWncgRQh5gxyox3/Fgf8QW483BBNsvYE99SURbdV31QlQDvJSE=
-----END ENCRYPTED PRIVATE KEY-----
";

    /// Reads a key from a file with this text.
    fn key(text: &str, passwd: Option<&str>) -> Result<PrivateKeyDer<'static>, Problem> {
        let name = format!("collector-pem-{}-{:?}", std::process::id(), std::thread::current().id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        let key = private_key("tls.key_file", path.to_str().unwrap(), passwd);
        fs::remove_file(&path).unwrap();
        key
    }

    #[test]
    fn encrypted_keys_are_opened() {
        let plain = key(PLAIN, None).unwrap();
        for text in [AES, SCRYPT] {
            assert_eq!(key(text, Some("geheim")).unwrap().secret_der(), plain.secret_der());
        }
        assert_eq!(key(PLAIN, Some("unneeded")).unwrap().secret_der(), plain.secret_der());
    }

    #[test]
    fn what_cannot_be_opened_says_how_to_go_on() {
        let legacy = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAA==\n-----END EC PRIVATE KEY-----\n";
        let broken = AES.replace("MIHs", "MIIs");
        let table = [
            (AES, None, "tls.key_file", "is encrypted", "Set tls.key_passwd, or decrypt it once: openssl pkey -in"),
            (AES, Some("wrong"), "tls.key_passwd", "does not open the key in", "Give the password"),
            (DES, Some("geheim"), "tls.key_file", "is encrypted in a way that is not served", "openssl pkcs8 -topk8"),
            (&broken, Some("geheim"), "tls.key_file", "is encrypted in a way that is not served", "openssl pkcs8"),
            (legacy, Some("geheim"), "tls.key_file", "in the way of old", "openssl pkey -in old.key -aes256"),
        ];
        for (text, passwd, key_name, why, help) in table {
            let problem = key(text, passwd).unwrap_err();
            assert!(problem.key == key_name && problem.why.contains(why) && problem.help.contains(help), "{problem:?}");
            assert!(!problem.why.contains("geheim") && !problem.why.contains("wrong"));
        }
    }
}
