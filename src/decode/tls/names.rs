//! Names of the numbers in handshakes: IANA's registries "TLS Parameters" and "TLS ExtensionType Values", as Packetbeat
//! spells them where it has them.

use std::fmt::Write;

/// A registered name, or the number as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Label {
    /// From a registry.
    Name(&'static str),
    /// `(unknown:0x1234)` and the like.
    Number(heapless::String<40>),
    /// An object identifier.
    Text(String),
}

impl Label {
    /// Its text: printable ASCII without quotes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Name(name) => name.as_bytes(),
            Self::Number(text) => text.as_bytes(),
            Self::Text(text) => text.as_bytes(),
        }
    }

    fn number(args: std::fmt::Arguments<'_>) -> Self {
        let mut text = heapless::String::new();
        // All that is written here is shorter than the bound.
        let _ = text.write_fmt(args);
        Self::Number(text)
    }

    /// An object identifier; one that is damaged is shown as `(unknown)`.
    pub fn oid(text: Option<String>) -> Self {
        text.map_or(Self::Name("(unknown)"), Self::Text)
    }

    fn wide(name: Option<&'static str>, code: u16) -> Self {
        name.map_or_else(|| Self::number(format_args!("(unknown:0x{code:04x})")), Self::Name)
    }

    fn narrow(name: Option<&'static str>, code: u8) -> Self {
        name.map_or_else(|| Self::number(format_args!("(unknown:0x{code:02x})")), Self::Name)
    }
}

/// A protocol version as in hellos and record headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16);

impl Version {
    /// SSL 2.0; no part of the records of later versions.
    pub const SSL2: Self = Self(0x0002);
    /// RFC 5246.
    pub const TLS12: Self = Self(0x0303);
    /// RFC 8446.
    pub const TLS13: Self = Self(0x0304);

    /// The number of a draft of TLS 1.3 (`0x7f00 | number`).
    pub fn draft(self) -> Option<u8> {
        let [major, minor] = self.0.to_be_bytes();
        (major == 0x7f).then_some(minor)
    }

    /// Whether the handshake is TLS 1.3's.
    pub fn is_13(self) -> bool {
        self == Self::TLS13 || self.draft().is_some()
    }

    /// `TLS 1.2`, `SSL 3.0`, `TLS 1.3 (draft 18)`, `(raw 9.9)`.
    pub fn label(self) -> Label {
        let [major, minor] = self.0.to_be_bytes();
        match (major, minor) {
            (0, 2) => Label::Name("SSL 2.0"),
            (3, 0) => Label::Name("SSL 3.0"),
            (3, 1) => Label::Name("TLS 1.0"),
            (3, 2) => Label::Name("TLS 1.1"),
            (3, 3) => Label::Name("TLS 1.2"),
            (3, 4) => Label::Name("TLS 1.3"),
            (3, _) => Label::number(format_args!("TLS 1.{}", minor - 1)),
            (0x7f, _) => Label::number(format_args!("TLS 1.3 (draft {minor})")),
            _ => Label::number(format_args!("(raw {major}.{minor})")),
        }
    }

    /// `tls.version_protocol` and `tls.version`: `tls` and `1.2`.
    pub fn ecs(self) -> (&'static str, Label) {
        let [major, minor] = self.0.to_be_bytes();
        match (major, minor) {
            (0, 2) => ("ssl", Label::Name("2.0")),
            (3, 0) => ("ssl", Label::Name("3.0")),
            (3, _) => ("tls", Label::number(format_args!("1.{}", minor - 1))),
            (0x7f, _) => ("tls", Label::Name("1.3")),
            _ => ("unknown", Label::number(format_args!("{major}.{minor}"))),
        }
    }

    /// As it stands in a hello: `3.3`.
    pub fn raw(self) -> Label {
        let [major, minor] = self.0.to_be_bytes();
        Label::number(format_args!("{major}.{minor}"))
    }
}

/// Values that clients mix in to keep servers tolerant (RFC 8701): `0x0a0a`, `0x1a1a` … `0xfafa`.
pub fn is_grease(code: u16) -> bool {
    let [high, low] = code.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

fn find<T: Copy + Ord>(table: &[(T, &'static str)], code: T) -> Option<&'static str> {
    table.binary_search_by_key(&code, |(c, _)| *c).ok().and_then(|at| table.get(at)).map(|(_, name)| *name)
}

/// A cipher suite.
pub fn suite(code: u16) -> Label {
    Label::wide(super::suites::name(code), code)
}

/// A cipher kind of SSL 2.0, 24 bits; those of later versions begin with a zero byte.
pub fn suite_v2(code: u32) -> Label {
    match u16::try_from(code) {
        Ok(code) => suite(code),
        Err(_) => {
            find(SUITES_V2, code).map_or_else(|| Label::number(format_args!("(unknown:0x{code:06x})")), Label::Name)
        }
    }
}

/// A named group: an elliptic curve, a finite field, a key encapsulation.
pub fn group(code: u16) -> Label {
    Label::wide(find(GROUPS, code), code)
}

/// A signature scheme.
pub fn scheme(code: u16) -> Label {
    Label::wide(find(SCHEMES, code), code)
}

/// A compression method.
pub fn compression(code: u8) -> Label {
    Label::narrow(find(&[(0, "NULL"), (1, "DEFLATE"), (64, "LZS")], code), code)
}

/// How points of a curve are written (RFC 8422).
pub fn point_format(code: u8) -> Label {
    const FORMATS: &[(u8, &str)] =
        &[(0, "uncompressed"), (1, "ansiX962_compressed_prime"), (2, "ansiX962_compressed_char2")];
    Label::narrow(find(FORMATS, code), code)
}

/// A certificate type (RFC 6091, RFC 7250).
pub fn certificate_type(code: u8) -> Label {
    find(&[(0, "X.509"), (1, "OpenPGP"), (2, "RawPubKey")], code)
        .map_or_else(|| Label::number(format_args!("(unknown:{code})")), Label::Name)
}

/// The length that `max_fragment_length` asks for (RFC 6066).
pub fn fragment_length(code: u8) -> Label {
    match code {
        1..=4 => Label::number(format_args!("2^{}", code + 8)),
        _ => Label::number(format_args!("(unknown:{code})")),
    }
}

/// The state of an OCSP answer (RFC 6960, 4.2.1).
pub fn ocsp_status(code: u8) -> Label {
    const STATES: &[(u8, &str)] = &[
        (0, "successful"),
        (1, "malformedRequest"),
        (2, "internalError"),
        (3, "tryLater"),
        (5, "sigRequired"),
        (6, "unauthorized"),
    ];
    find(STATES, code).map_or_else(|| Label::number(format_args!("{code}")), Label::Name)
}

/// What an alert says.
pub fn alert(code: u8) -> Label {
    Label::narrow(find(ALERTS, code), code)
}

/// `warning` or `fatal`.
pub fn severity(code: u8) -> Label {
    Label::narrow(find(&[(1, "warning"), (2, "fatal")], code), code)
}

/// `(4 bytes)`: what is told of an extension whose content says nothing to a reader.
pub fn bytes(n: usize) -> Label {
    Label::number(format_args!("({n} bytes)"))
}

/// What is told of an extension that should be empty.
pub fn not_empty(n: usize) -> Label {
    Label::number(format_args!("(expected empty: found {n} bytes)"))
}

/// A plain number.
pub fn number(n: u16) -> Label {
    Label::number(format_args!("{n}"))
}

#[rustfmt::skip]
static SUITES_V2: &[(u32, &str)] = &[
    (0x01_0080, "SSL2_RC4_128_WITH_MD5"), (0x02_0080, "SSL2_RC4_128_EXPORT40_WITH_MD5"),
    (0x03_0080, "SSL2_RC2_128_CBC_WITH_MD5"), (0x04_0080, "SSL2_RC2_128_CBC_EXPORT40_WITH_MD5"),
    (0x05_0080, "SSL2_IDEA_128_CBC_WITH_MD5"), (0x06_0040, "SSL2_DES_64_CBC_WITH_MD5"),
    (0x07_00c0, "SSL2_DES_192_EDE3_CBC_WITH_MD5"), (0x08_0080, "SSL2_RC4_64_WITH_MD5"),
];

#[rustfmt::skip]
static GROUPS: &[(u16, &str)] = &[
    (1, "sect163k1"), (2, "sect163r1"), (3, "sect163r2"), (4, "sect193r1"), (5, "sect193r2"), (6, "sect233k1"),
    (7, "sect233r1"), (8, "sect239k1"), (9, "sect283k1"), (10, "sect283r1"), (11, "sect409k1"), (12, "sect409r1"),
    (13, "sect571k1"), (14, "sect571r1"), (15, "secp160k1"), (16, "secp160r1"), (17, "secp160r2"), (18, "secp192k1"),
    (19, "secp192r1"), (20, "secp224k1"), (21, "secp224r1"), (22, "secp256k1"), (23, "secp256r1"), (24, "secp384r1"),
    (25, "secp521r1"), (26, "brainpoolP256r1"), (27, "brainpoolP384r1"), (28, "brainpoolP512r1"), (29, "x25519"),
    (30, "x448"), (31, "brainpoolP256r1tls13"), (32, "brainpoolP384r1tls13"), (33, "brainpoolP512r1tls13"),
    (34, "GC256A"), (35, "GC256B"), (36, "GC256C"), (37, "GC256D"), (38, "GC512A"), (39, "GC512B"), (40, "GC512C"),
    (41, "curveSM2"), (256, "ffdhe2048"), (257, "ffdhe3072"), (258, "ffdhe4096"), (259, "ffdhe6144"),
    (260, "ffdhe8192"), (512, "MLKEM512"), (513, "MLKEM768"), (514, "MLKEM1024"), (4587, "SecP256r1MLKEM768"),
    (4588, "X25519MLKEM768"), (4589, "SecP384r1MLKEM1024"), (25497, "X25519Kyber768Draft00"),
    (25498, "SecP256r1Kyber768Draft00"), (65281, "arbitrary_explicit_prime_curves"),
    (65282, "arbitrary_explicit_char2_curves"),
];

#[rustfmt::skip]
static SCHEMES: &[(u16, &str)] = &[
    (0x0201, "rsa_pkcs1_sha1"), (0x0203, "ecdsa_sha1"), (0x0401, "rsa_pkcs1_sha256"),
    (0x0403, "ecdsa_secp256r1_sha256"), (0x0501, "rsa_pkcs1_sha384"), (0x0503, "ecdsa_secp384r1_sha384"),
    (0x0601, "rsa_pkcs1_sha512"), (0x0603, "ecdsa_secp521r1_sha512"), (0x0708, "sm2sig_sm3"),
    (0x0709, "gostr34102012_256a"), (0x070a, "gostr34102012_256b"), (0x070b, "gostr34102012_256c"),
    (0x070c, "gostr34102012_256d"), (0x070d, "gostr34102012_512a"), (0x070e, "gostr34102012_512b"),
    (0x070f, "gostr34102012_512c"), (0x0804, "rsa_pss_sha256"), (0x0805, "rsa_pss_sha384"),
    (0x0806, "rsa_pss_sha512"), (0x0807, "ed25519"), (0x0808, "ed448"), (0x0809, "rsa_pss_pss_sha256"),
    (0x080a, "rsa_pss_pss_sha384"), (0x080b, "rsa_pss_pss_sha512"), (0x081a, "ecdsa_brainpoolP256r1tls13_sha256"),
    (0x081b, "ecdsa_brainpoolP384r1tls13_sha384"), (0x081c, "ecdsa_brainpoolP512r1tls13_sha512"),
    (0x0904, "mldsa44"), (0x0905, "mldsa65"), (0x0906, "mldsa87"),
];

#[rustfmt::skip]
static ALERTS: &[(u8, &str)] = &[
    (0, "close_notify"), (10, "unexpected_message"), (20, "bad_record_mac"), (21, "decryption_failed"),
    (22, "record_overflow"), (30, "decompression_failure"), (40, "handshake_failure"), (41, "no_certificate_RESERVED"),
    (42, "bad_certificate"), (43, "unsupported_certificate"), (44, "certificate_revoked"), (45, "certificate_expired"),
    (46, "certificate_unknown"), (47, "illegal_parameter"), (48, "unknown_ca"), (49, "access_denied"),
    (50, "decode_error"), (51, "decrypt_error"), (52, "too_many_cids_requested"), (60, "export_restriction_RESERVED"),
    (70, "protocol_version"), (71, "insufficient_security"), (80, "internal_error"), (86, "inappropriate_fallback"),
    (90, "user_canceled"), (100, "no_renegotiation"), (109, "missing_extension"), (110, "unsupported_extension"),
    (111, "certificate_unobtainable"), (112, "unrecognized_name"), (113, "bad_certificate_status_response"),
    (114, "bad_certificate_hash_value"), (115, "unknown_psk_identity"), (116, "certificate_required"),
    (117, "general_error"), (120, "no_application_protocol"), (121, "ech_required"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn text(label: Label) -> String {
        String::from_utf8(label.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn tables_are_sorted() {
        assert!(SUITES_V2.is_sorted_by(|a, b| a.0 < b.0));
        assert!(GROUPS.is_sorted_by(|a, b| a.0 < b.0));
        assert!(SCHEMES.is_sorted_by(|a, b| a.0 < b.0));
        assert!(ALERTS.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn versions_have_three_spellings() {
        let all = |v| {
            let (protocol, version) = Version(v).ecs();
            format!("{} / {protocol} {} / {}", text(Version(v).label()), text(version), text(Version(v).raw()))
        };
        assert_eq!(all(0x0303), "TLS 1.2 / tls 1.2 / 3.3");
        assert_eq!(all(0x0300), "SSL 3.0 / ssl 3.0 / 3.0");
        assert_eq!(all(0x0002), "SSL 2.0 / ssl 2.0 / 0.2");
        assert_eq!(all(0x7f12), "TLS 1.3 (draft 18) / tls 1.3 / 127.18");
        assert_eq!(all(0x03ff), "TLS 1.254 / tls 1.254 / 3.255");
        assert_eq!(all(0xffff), "(raw 255.255) / unknown 255.255 / 255.255");
    }

    #[test]
    fn grease_is_sixteen_values() {
        assert_eq!((0..=u16::MAX).filter(|&c| is_grease(c)).count(), 16);
        assert!(is_grease(0x0a0a) && is_grease(0xfafa) && !is_grease(0x0a1a) && !is_grease(0x0b0b));
    }

    #[test]
    fn what_has_no_name_is_a_number() {
        assert_eq!(text(suite(0xff85)), "(unknown:0xff85)");
        assert_eq!(text(scheme(0x0602)), "(unknown:0x0602)");
        assert_eq!(text(group(29)), "x25519");
        assert_eq!(text(alert(200)), "(unknown:0xc8)");
        assert_eq!(text(suite_v2(0x07_00c0)), "SSL2_DES_192_EDE3_CBC_WITH_MD5");
        assert_eq!(text(suite_v2(0x2f)), "TLS_RSA_WITH_AES_128_CBC_SHA");
        assert_eq!(text(fragment_length(2)), "2^10");
    }
}
