//! Keys and signatures of certificates: their algorithms by name (as Go and Packetbeat have them), their sizes.

use super::der::{Reader, bit_length, tag};
use super::registered;
use crate::decode::tls::names::Label;

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// `RSA`, `ECDSA`, `Ed25519`, or an object identifier.
    pub algorithm: Label,
    /// Bits of the modulus, of the field of the curve.
    pub bits: Option<u32>,
}

/// How something was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureInfo {
    /// `SHA256-RSA`, or an object identifier.
    pub algorithm: Label,
}

impl KeyInfo {
    /// Reads a SubjectPublicKeyInfo.
    pub fn parse(mut info: Reader<'_>) -> Self {
        let (oid, parameters) = algorithm(info.sequence());
        // A byte that counts unused bits stands in front: none in keys.
        let key = info.expect(tag::BIT_STRING).and_then(|bits| bits.body.get(1..)).unwrap_or_default();
        let name = find(KEYS, oid);
        let bits = match name {
            Some("RSA" | "RSASSA-PSS") => number_bits(Reader::new(key).sequence()),
            Some("DSA") => number_bits(parameters.and_then(|mut p| p.sequence())),
            Some("ECDSA") => {
                let curve = parameters.and_then(|mut p| p.expect(tag::OID)).map(|v| v.body);
                curve.and_then(|c| CURVES.iter().find(|(oid, _)| *oid == c)).map(|(_, bits)| *bits)
            }
            Some("Ed25519") => Some(256),
            Some("Ed448") => Some(456),
            _ => None,
        };
        Self { algorithm: registered(name, oid), bits }
    }
}

impl SignatureInfo {
    /// Reads the AlgorithmIdentifier of a signature.
    pub fn parse(identifier: Option<Reader<'_>>) -> Self {
        let (oid, parameters) = algorithm(identifier);
        let mut name = find(SIGNATURES, oid);
        if name == Some("RSAPSS") {
            // RFC 4055: the hash stands in the parameters, SHA-1 when it does not.
            let hash = parameters.and_then(|mut p| p.sequence()).and_then(|mut p| p.expect(0xa0));
            name = Some(match hash.map(|h| algorithm(h.inner().sequence()).0) {
                Some([0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1]) => "SHA256-RSAPSS",
                Some([0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2]) => "SHA384-RSAPSS",
                Some([0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3]) => "SHA512-RSAPSS",
                Some(_) => "RSAPSS",
                None => "SHA1-RSAPSS",
            });
        }
        Self { algorithm: registered(name, oid) }
    }
}

/// The identifier and what stands behind it.
fn algorithm(identifier: Option<Reader<'_>>) -> (&[u8], Option<Reader<'_>>) {
    let Some(mut identifier) = identifier else { return (&[], None) };
    let oid = identifier.expect(tag::OID).map(|v| v.body).unwrap_or_default();
    (oid, Some(identifier))
}

/// The length of the first number of a list: the modulus.
fn number_bits(list: Option<Reader<'_>>) -> Option<u32> {
    Some(bit_length(list?.expect(tag::INTEGER)?.body))
}

fn find(table: &[(&[u8], &'static str)], oid: &[u8]) -> Option<&'static str> {
    table.iter().find(|(o, _)| *o == oid).map(|(_, name)| *name)
}

#[rustfmt::skip]
static KEYS: &[(&[u8], &str)] = &[
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1], "RSA"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1], "ECDSA"),
    (&[0x2b, 0x65, 0x70], "Ed25519"),
    (&[0x2b, 0x65, 0x71], "Ed448"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1], "DSA"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10], "RSASSA-PSS"),
];

#[rustfmt::skip]
static CURVES: &[(&[u8], u32)] = &[
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], 256), // P-256
    (&[0x2b, 0x81, 4, 0, 0x22], 384), // P-384
    (&[0x2b, 0x81, 4, 0, 0x23], 521), // P-521
    (&[0x2b, 0x81, 4, 0, 0x21], 224), // P-224
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 1], 192), // P-192
    (&[0x2b, 0x81, 4, 0, 0x0a], 256), // secp256k1
    (&[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 7], 256), // brainpoolP256r1
    (&[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 11], 384), // brainpoolP384r1
    (&[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 13], 512), // brainpoolP512r1
    (&[0x2a, 0x81, 0x1c, 0xcf, 0x55, 1, 0x82, 0x2d], 256), // SM2
];

#[rustfmt::skip]
static SIGNATURES: &[(&[u8], &str)] = &[
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11], "SHA256-RSA"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12], "SHA384-RSA"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13], "SHA512-RSA"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 14], "SHA224-RSA"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10], "RSAPSS"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5], "SHA1-RSA"),
    (&[0x2b, 0x0e, 3, 2, 0x1d], "SHA1-RSA"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4], "MD5-RSA"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 2], "MD2-RSA"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2], "ECDSA-SHA256"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3], "ECDSA-SHA384"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4], "ECDSA-SHA512"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 1], "ECDSA-SHA224"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1], "ECDSA-SHA1"),
    (&[0x2b, 0x65, 0x70], "Ed25519"),
    (&[0x2b, 0x65, 0x71], "Ed448"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 3], "DSA-SHA1"),
    (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 2], "DSA-SHA256"),
];
