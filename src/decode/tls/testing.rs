//! Messages and records built by hand, for the tests.

use super::PROTOCOL;
use crate::conf::Section;
use crate::decode::{Decoder, MakeProtocol};
use crate::error::Diags;
use std::time::Duration;

/// `tls` with these keys and a timeout of 10 s.
pub fn decoder(pairs: &[(&str, &str)]) -> Box<dyn Decoder> {
    let (section, mut diags) = (Section::of("INPUT", pairs), Diags::new());
    let made =
        (PROTOCOL.make)(&mut MakeProtocol { section: &section, diags: &mut diags, timeout: Duration::from_secs(10) });
    made.unwrap_or_else(|| panic!("{diags}"))
}

/// With its length before it in one, two or three bytes.
pub fn block<const SIZE: usize>(body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32).to_be_bytes();
    [&len[4 - SIZE..], body].concat()
}

/// A list of 16-bit numbers.
pub fn numbers(list: &[u16]) -> Vec<u8> {
    list.iter().flat_map(|n| n.to_be_bytes()).collect()
}

/// An extension.
pub fn extension(code: u16, content: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes()[..], &block::<2>(content)].concat()
}

/// A server name.
pub fn sni(name: &str) -> Vec<u8> {
    extension(0, &block::<2>(&[&[0][..], &block::<2>(name.as_bytes())].concat()))
}

/// Application protocols.
pub fn alpn(names: &[&str]) -> Vec<u8> {
    extension(16, &block::<2>(&names.iter().flat_map(|n| block::<1>(n.as_bytes())).collect::<Vec<_>>()))
}

/// The body of a ClientHello.
pub fn client_hello(version: u16, session: &[u8], suites: &[u16], extensions: &[Vec<u8>]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    body.extend([7; 32]);
    body.extend(block::<1>(session));
    body.extend(block::<2>(&numbers(suites)));
    body.extend([1, 0]);
    body.extend(block::<2>(&extensions.concat()));
    body
}

/// The body of a ServerHello.
pub fn server_hello(version: u16, session: &[u8], suite: u16, extensions: &[Vec<u8>]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    body.extend([8; 32]);
    body.extend(block::<1>(session));
    body.extend(suite.to_be_bytes());
    body.push(0);
    body.extend(block::<2>(&extensions.concat()));
    body
}

/// A handshake message.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &block::<3>(body)].concat()
}

/// A record.
pub fn record(content: u8, fragment: &[u8]) -> Vec<u8> {
    [&[content, 3, 3][..], &block::<2>(fragment)].concat()
}

/// A record with one handshake message.
pub fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    record(22, &message(kind, body))
}

/// The body of a Certificate message.
pub fn certificates(all: &[&[u8]]) -> Vec<u8> {
    block::<3>(&all.iter().flat_map(|c| block::<3>(c)).collect::<Vec<_>>())
}

/// A certificate for `example.org`, self-signed.
pub fn certificate() -> Vec<u8> {
    let mut p = rcgen::CertificateParams::new(vec!["example.org".to_owned(), "www.example.org".to_owned()]).unwrap();
    p.distinguished_name.push(rcgen::DnType::CommonName, "example.org");
    p.serial_number = Some(rcgen::SerialNumber::from(vec![1, 0]));
    p.not_before = rcgen::date_time_ymd(2021, 2, 3);
    p.not_after = rcgen::date_time_ymd(2031, 2, 3);
    let der = p.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    der.der().to_vec()
}
