//! TLS settings for ureq from the shared `tls.*` keys.

use crate::conf::common::TlsClient;
use crate::plugin::MakeCx;
use std::sync::Arc;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, TlsProvider, parse_pem};

/// Reads the certificates; files that cannot be read or hold none are errors of the configuration.
pub fn config(conf: &TlsClient, cx: &mut MakeCx<'_>) -> Option<TlsConfig> {
    let mut builder = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
    if !conf.tls {
        return Some(builder.build());
    }
    if conf.verify && !conf.verify_hostname {
        let what = "tls.verify_hostname off is not served by this output: the name is checked";
        cx.diags.warn(&cx.section.place, format!("{} {what}", cx.section.who()));
    }
    for (key, given) in [
        ("tls.vhost", conf.vhost.is_some()),
        ("tls.min_version", conf.min_version.is_some()),
        ("tls.max_version", conf.max_version.is_some()),
    ] {
        if given {
            let place = cx.section.get(key).map_or(&cx.section.place, |e| &e.place);
            cx.diags.warn(place, format!("{} {key} is not served by this output yet", cx.section.who()));
        }
    }
    let mut roots = Vec::new();
    let files = conf.ca_file.iter().cloned().chain(conf.ca_path.iter().flat_map(|dir| pem_files(dir)));
    for file in files {
        roots.extend(certificates(cx, "tls.ca_file", &file)?);
    }
    let roots = if roots.is_empty() { native(cx) } else { roots };
    builder = builder.root_certs(RootCerts::new_with_certs(&roots)).disable_verification(!conf.verify);
    if let (Some(crt), Some(key)) = (&conf.crt_file, &conf.key_file) {
        let chain = certificates(cx, "tls.crt_file", crt)?;
        let pem = read(cx, "tls.key_file", key)?;
        let Ok(key) = PrivateKey::from_pem(&pem) else {
            return cx.refuse("tls.key_file", format!("{key} holds no private key"), "Give an unencrypted PEM key.");
        };
        builder = builder.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
    }
    Some(builder.build())
}

/// The system's authorities.
fn native(cx: &mut MakeCx<'_>) -> Vec<Certificate<'static>> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let what = "the system has no certificate authorities: every server will be refused; give tls.ca_file";
        cx.diags.warn(&cx.section.place, format!("{} {what}", cx.section.who()));
    }
    found.certs.iter().map(|c| Certificate::from_der(c.as_ref()).to_owned()).collect()
}

fn certificates(cx: &mut MakeCx<'_>, key: &str, file: &str) -> Option<Vec<Certificate<'static>>> {
    let pem = read(cx, key, file)?;
    let found: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(c)) => Some(c),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return cx.refuse(key, format!("{file} holds no certificate"), "Give a file in PEM form.");
    }
    Some(found)
}

fn read(cx: &mut MakeCx<'_>, key: &str, file: &str) -> Option<Vec<u8>> {
    match std::fs::read(file) {
        Ok(bytes) => Some(bytes),
        Err(e) => cx.refuse(key, format!("cannot read {file}: {e}"), "Check the path and its permissions."),
    }
}

fn pem_files(dir: &str) -> Vec<String> {
    let mut files: Vec<String> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|e| e.ok()?.path().to_str().map(str::to_owned))
        .filter(|p| p.ends_with(".pem") || p.ends_with(".crt"))
        .collect();
    files.sort();
    files
}
