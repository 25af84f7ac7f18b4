//! Certificates made by rcgen, and what is known of them.

use super::*;
use rcgen::{CertificateParams, DnType, DnValue, KeyPair, SanType, SerialNumber, date_time_ymd};

fn params() -> CertificateParams {
    let mut p = CertificateParams::new(vec!["example.org".to_owned()]).unwrap();
    p.distinguished_name.push(DnType::CommonName, "example.org");
    p.distinguished_name.push(DnType::CountryName, "DE");
    p.distinguished_name.push(DnType::OrganizationName, DnValue::Utf8String("Grün, Söhne".to_owned()));
    p.serial_number = Some(SerialNumber::from(vec![0x12, 0x34, 0x56, 0x78, 0x9a]));
    p.not_before = date_time_ymd(2021, 2, 3);
    p.not_after = date_time_ymd(2051, 12, 31);
    let ip = |text: &str| SanType::IpAddress(text.parse().unwrap());
    p.subject_alt_names.push(ip("192.0.2.1"));
    p.subject_alt_names.push(ip("2001:db8::1"));
    p.subject_alt_names.push(SanType::Rfc822Name("a@example.org".try_into().unwrap()));
    p.subject_alt_names.push(SanType::URI("https://example.org/x".try_into().unwrap()));
    p
}

fn text(label: &Label) -> String {
    String::from_utf8(label.as_bytes().to_vec()).unwrap()
}

#[test]
fn what_a_certificate_says() {
    let der = params().self_signed(&KeyPair::generate().unwrap()).unwrap();
    let c = Certificate::parse(der.der()).unwrap();
    assert_eq!((c.version, c.serial.as_str()), (3, "78187493530"));
    assert_eq!(String::from_utf8(c.subject.to_text()).unwrap(), "CN=example.org,O=Grün\\, Söhne,C=DE");
    assert_eq!(c.issuer.to_text(), c.subject.to_text());
    assert_eq!(c.subject.part(name::Part::Country).as_deref(), Some(&b"DE"[..]));
    assert_eq!(c.subject.part(name::Part::Locality), None);
    assert_eq!(c.not_before.as_ref().map(time_text).as_deref(), Some("2021-02-03T00:00:00.000Z"));
    assert_eq!(c.not_after.as_ref().map(time_text).as_deref(), Some("2051-12-31T00:00:00.000Z"));
    assert_eq!((text(&c.key.algorithm).as_str(), c.key.bits), ("ECDSA", Some(256)));
    assert_eq!(text(&c.signature.algorithm), "ECDSA-SHA256");
    let names: Vec<_> = c.alternatives.iter().map(|n| String::from_utf8_lossy(n)).collect();
    assert_eq!(names, ["example.org", "a@example.org", "192.0.2.1", "2001:db8::1", "https://example.org/x"]);
}

#[test]
fn keys_of_other_kinds() {
    let of = |algorithm| {
        let der = params().self_signed(&KeyPair::generate_for(algorithm).unwrap()).unwrap();
        let c = Certificate::parse(der.der()).unwrap();
        (text(&c.key.algorithm), c.key.bits, text(&c.signature.algorithm))
    };
    assert_eq!(of(&rcgen::PKCS_ECDSA_P384_SHA384), ("ECDSA".to_owned(), Some(384), "ECDSA-SHA384".to_owned()));
    assert_eq!(of(&rcgen::PKCS_ED25519), ("Ed25519".to_owned(), Some(256), "Ed25519".to_owned()));
}

#[test]
fn times_of_all_forms() {
    let of = |tag, text: &str| {
        let bytes = [&[tag, text.len() as u8][..], text.as_bytes()].concat();
        Reader::new(&bytes).value().and_then(time).map(|t| time_text(&t))
    };
    let utc = |text| of(tag::UTC_TIME, text);
    assert_eq!(utc("491231235959Z").as_deref(), Some("2049-12-31T23:59:59.000Z"));
    assert_eq!(utc("500101000000Z").as_deref(), Some("1950-01-01T00:00:00.000Z"));
    assert_eq!(utc("9912312359Z").as_deref(), Some("1999-12-31T23:59:00.000Z"));
    assert_eq!(utc("200101000000+0130").as_deref(), Some("2019-12-31T22:30:00.000Z"));
    assert_eq!(utc("200101000000-0130").as_deref(), Some("2020-01-01T01:30:00.000Z"));
    let long = |text| of(tag::GENERALIZED_TIME, text);
    assert_eq!(long("99991231235959Z").as_deref(), Some("9999-12-31T23:59:59.000Z"));
    assert_eq!(long("20200101000000.123Z").as_deref(), Some("2020-01-01T00:00:00.000Z"));
    for bad in ["", "2001", "201301000000Z", "200132000000Z", "200101240000Z", "200101000000", "200101000000+1", "2x"] {
        assert_eq!(utc(bad), None, "{bad}");
    }
    assert_eq!(of(tag::INTEGER, "200101000000Z"), None);
}

#[test]
fn damage_is_harmless() {
    let der = params().self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
    let look = |bytes: &[u8]| {
        if let Some(c) = Certificate::parse(bytes) {
            let len = c.subject.to_text().len() + c.issuer.to_text().len();
            assert!(len <= 8 * bytes.len());
            assert!(c.alternatives.len() <= NAMES_MAX);
        }
    };
    for at in 0..der.len() {
        look(&der[..at]);
        for bit in 0..8 {
            let mut bent = der.clone();
            bent[at] ^= 1 << bit;
            look(&bent);
        }
    }
}

#[test]
fn a_chain_is_a_list_of_blocks() {
    let body = [&[0, 0, 9, 0, 0, 1, 7, 0, 0, 2, 8, 9][..]].concat();
    assert_eq!(chain(&body).collect::<Vec<_>>(), [&[7][..], &[8, 9]]);
    assert_eq!(chain(&body[..10]).collect::<Vec<_>>(), [&[7][..]]);
    assert_eq!(chain(&[]).count(), 0);
}
