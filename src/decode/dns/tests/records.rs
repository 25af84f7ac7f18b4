//! The data of each type.

use super::build::{Built, name, query, reply};
use super::{decoder, exchange};
use crate::decode::talk::Talk;
use crate::decode::{Dir, Transport};
use serde_json::{Value, json};

/// What a record's data becomes, without what all records have.
fn data(rtype: u16, bytes: &[u8]) -> Value {
    let doc = exchange(&[], &query(1, "a.example"), &Built::new(1, 0x8180).ask("a.example", 1).answer(rtype, bytes));
    let mut answer = doc["dns"]["answers"][0].clone();
    for (key, value) in [("name", "a.example"), ("class", "IN"), ("ttl", "3600")] {
        assert_eq!(answer.as_object_mut().unwrap().remove(key), Some(json!(value)));
    }
    answer
}

fn cat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn addresses_and_names() {
    assert_eq!(data(1, &[192, 0, 2, 255]), json!({"type": "A", "data": "192.0.2.255"}));
    let ip = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(data(28, &ip), json!({"type": "AAAA", "data": "2001:db8::1"}));
    for (rtype, kind) in [(2, "NS"), (5, "CNAME"), (12, "PTR"), (39, "DNAME"), (7, "MB")] {
        assert_eq!(data(rtype, b"\x01b\xc0\x0e"), json!({"type": kind, "data": "b.example"}));
    }
    assert_eq!(data(2, b"\0"), json!({"type": "NS", "data": "."}));
}

#[test]
fn services() {
    assert_eq!(data(15, b"\0\x0a\x02mx\xc0\x0c"), json!({"type": "MX", "preference": 10, "data": "mx.a.example"}));
    assert_eq!(data(36, b"\0\x0a\x02mx\xc0\x0c"), json!({"type": "KX", "preference": 10, "data": "mx.a.example"}));
    let srv = cat(&[&[0, 1, 0, 2, 1, 0xbb], &name("host.example")]);
    let expected = json!({"type": "SRV", "priority": 1, "weight": 2, "port": 443, "data": "host.example"});
    assert_eq!(data(33, &srv), expected);
    let naptr = cat(&[b"\0\x64\0\x32\x01s\x07SIP+D2U\0", &name("_sip._udp.example")]);
    assert_eq!(
        data(35, &naptr),
        json!({"type": "NAPTR", "order": 100, "preference": 50, "flags": "s", "service": "SIP+D2U", "regexp": "",
               "data": "_sip._udp.example"})
    );
    let uri = b"\0\x0a\0\x01https://example/\"x\"";
    let expected = json!({"type": "URI", "priority": 10, "weight": 1, "data": "https://example/\\\"x\\\""});
    assert_eq!(data(256, uri), expected);
    assert_eq!(data(18, b"\0\x01\x01b\xc0\x0e"), json!({"type": "AFSDB", "data": "1 b.example"}));
    assert_eq!(data(17, b"\x01b\xc0\x0e\0"), json!({"type": "RP", "data": "b.example ."}));
    assert_eq!(data(26, b"\0\x05\x01b\0\x01c\0"), json!({"type": "PX", "data": "5 b c"}));
    assert_eq!(data(14, b"\x01b\0\x01c\0"), json!({"type": "MINFO", "data": "b c"}));
}

#[test]
fn start_of_authority() {
    let numbers: Vec<u8> = [3u32, 60, 600, 86400, u32::MAX].iter().flat_map(|n| n.to_be_bytes()).collect();
    assert_eq!(
        data(6, &cat(&[b"\x02ns\xc0\x0e\x04root\xc0\x0e", &numbers])),
        json!({"type": "SOA", "data": "ns.example", "rname": "root.example", "serial": 3, "refresh": 60, "retry": 600,
               "expire": 86400, "minimum": 4_294_967_295_u32})
    );
}

#[test]
fn texts() {
    assert_eq!(data(16, b"\x05hello\x05world"), json!({"type": "TXT", "data": "hello world"}));
    assert_eq!(
        data(16, "\x08a\"b\\\n\u{fc}\u{7f}".as_bytes()),
        json!({"type": "TXT", "data": "a\\\"b\\\\\\010\u{fc}\\127"})
    );
    assert_eq!(data(16, b"\x03\xffab"), json!({"type": "TXT", "data": "\\255ab"}));
    assert_eq!(data(99, b"\x06v=spf1"), json!({"type": "SPF", "data": "v=spf1"}));
    assert_eq!(data(13, b"\x03PC \x05Linux"), json!({"type": "HINFO", "data": "\"PC \" \"Linux\""}));
    assert_eq!(data(257, b"\0\x05issueca.example"), json!({"type": "CAA", "data": "0 issue \"ca.example\""}));
    assert_eq!(data(20, b"\x0315086"), json!({"type": "ISDN", "data": "\\# 6 033135303836"}), "a byte too many");
    assert_eq!(data(19, b"\x05311061700956"[..6].as_ref()), json!({"type": "X25", "data": "\"31106\""}));
}

#[test]
fn keys_and_signatures() {
    let ds = cat(&[&[0xb2, 0x12, 5, 2], &[0xab; 4]]);
    let expected =
        json!({"type": "DS", "key_tag": "45586", "algorithm": "RSASHA1", "digest_type": "SHA256", "data": "ABABABAB"});
    assert_eq!(data(43, &ds), expected);
    assert_eq!(data(59, &ds)["type"], "CDS");
    let expected =
        json!({"type": "DNSKEY", "flags": "257", "protocol": "3", "algorithm": "ED25519", "data": "AQIDBA=="});
    assert_eq!(data(48, &[1, 1, 3, 15, 1, 2, 3, 4]), expected);
    let times: Vec<u8> = [86400u32, 1_360_252_164, 1_358_434_164].iter().flat_map(|n| n.to_be_bytes()).collect();
    let rrsig = cat(&[&[0, 43, 7, 2], &times, &[0xa3, 0x3e], &name("org"), &[0, 1, 2]]);
    assert_eq!(
        data(46, &rrsig),
        json!({"type": "RRSIG", "type_covered": "DS", "algorithm": "RSASHA1-NSEC3-SHA1", "labels": "2",
               "original_ttl": "86400", "expiration": "20130207154924", "inception": "20130117144924",
               "key_tag": "41790", "signer_name": "org", "data": "AAEC"})
    );
    let types = b"\0\x06\x40\x01\x00\x08\x00\x03\x01\x01\x40";
    let expected = json!({"type": "NSEC", "data": "b.example", "type_bits": "A MX AAAA RRSIG NSEC CAA"});
    assert_eq!(data(47, &cat(&[b"\x01b\xc0\x0e", types])), expected);
    let nsec3 = cat(&[b"\x01\x01\0\x0a\x02\xaa\xbb\x05\0\x44\x32\x14\xc7", types]);
    assert_eq!(
        data(50, &nsec3),
        json!({"type": "NSEC3", "hash": "SHA1", "flags": "1", "iterations": "10", "salt": "AABB",
               "type_bits": "A MX AAAA RRSIG NSEC CAA", "data": "01234567"})
    );
    let expected = json!({"type": "NSEC3PARAM", "hash": "SHA1", "flags": "0", "iterations": "1", "data": "-"});
    assert_eq!(data(51, b"\x01\0\0\x01\0"), expected);
    assert_eq!(data(62, b"\0\0\0\x42\0\x03\0\x01\x60"), json!({"type": "CSYNC", "data": "66 3 A NS"}));
    assert_eq!(data(37, b"\0\x01\0\x02\x08\x01\x02"), json!({"type": "CERT", "data": "PKIX 2 RSASHA256 AQI="}));
    let expected = json!({"type": "IPSECKEY", "data": "10 1 2 192.0.2.38 AQID"});
    assert_eq!(data(45, b"\x0a\x01\x02\xc0\0\x02\x26\x01\x02\x03"), expected);
    assert_eq!(data(45, b"\x0a\0\0"), json!({"type": "IPSECKEY", "data": "10 0 0 ."}));
    assert_eq!(data(45, b"\x0a\x03\0\xc0\x0c\x01"), json!({"type": "IPSECKEY", "data": "10 3 0 a.example AQ=="}));
}

#[test]
fn messages_that_are_signed() {
    let tsig = cat(&[&name("hmac-sha256"), &[0, 0, 0x51, 0x13, 0xcd, 0xc4, 1, 0x2c, 0, 3, 1, 2, 3, 0, 7, 0, 16, 0, 0]]);
    assert_eq!(
        data(250, &tsig),
        json!({"type": "TSIG", "algorithm": "hmac-sha256", "error": "BADSIG", "fudge": "300", "original_id": "7",
               "time_signed": "20130207155236", "data": "AQID"})
    );
    let tkey = cat(&[&name("gss-tsig"), &[0, 0, 0, 1, 0, 0, 0, 2, 0, 3, 0, 0, 0, 1, 0xff, 0, 0]]);
    assert_eq!(
        data(249, &tkey),
        json!({"type": "TKEY", "algorithm": "gss-tsig", "error": "NOERROR", "expiration": "19700101000002",
               "inception": "19700101000001", "mode": "3", "data": "/w=="})
    );
}

#[test]
fn digests_and_blobs() {
    assert_eq!(data(44, &[4, 2, 0xab, 0xcd]), json!({"type": "SSHFP", "data": "4 2 ABCD"}));
    assert_eq!(data(52, &[3, 1, 1, 0xab]), json!({"type": "TLSA", "data": "3 1 1 AB"}));
    assert_eq!(data(53, &[3, 1, 1, 0xab]), json!({"type": "SMIMEA", "data": "3 1 1 AB"}));
    assert_eq!(data(63, &[0, 0, 0, 9, 1, 1, 0xab]), json!({"type": "ZONEMD", "data": "9 1 1 AB"}));
    assert_eq!(data(49, &[0, 1, 2]), json!({"type": "DHCID", "data": "AAEC"}));
    assert_eq!(data(61, &[0, 1]), json!({"type": "OPENPGPKEY", "data": "AAE="}));
    assert_eq!(data(108, &[0, 0, 0x5e, 0, 0x53, 0x2a]), json!({"type": "EUI48", "data": "00-00-5e-00-53-2a"}));
    assert_eq!(data(109, &[0; 8]), json!({"type": "EUI64", "data": "00-00-00-00-00-00-00-00"}));
}

#[test]
fn places_and_prefixes() {
    // The example of RFC 1876: Cambridge, 42 21 54 N 71 06 18 W -24m 30m.
    let loc = cat(&[
        &[0, 0x33, 0x16, 0x13],
        &(0x8000_0000_u32 + 152_514_000).to_be_bytes(),
        &(0x8000_0000_u32 - 255_978_000).to_be_bytes(),
        &9_997_600_u32.to_be_bytes(),
    ]);
    let expected = "42 21 54.000 N 71 6 18.000 W -24.00m 30.00m 10000.00m 10.00m";
    assert_eq!(data(29, &loc), json!({"type": "LOC", "data": expected}));
    assert_eq!(data(29, &[1; 16])["data"], format!("\\# 16 {}", "01".repeat(16)), "an unknown version");
    let apl = [0, 1, 21, 3, 192, 168, 32, 0, 1, 28, 0x84, 192, 168, 38, 1, 0, 2, 8, 1, 0xff];
    let expected = json!({"type": "APL", "data": "1:192.168.32.0/21 !1:192.168.38.1/28 2:ff00::/8"});
    assert_eq!(data(42, &apl), expected);
    assert_eq!(data(11, &[10, 0, 0, 1, 6, 0, 0, 0x40]), json!({"type": "WKS", "data": "10.0.0.1 6 17"}));
    assert_eq!(data(105, &[0, 10, 10, 1, 2, 0]), json!({"type": "L32", "preference": 10, "data": "10.1.2.0"}));
    let id = [0, 10, 0, 0x14, 0x4f, 0xff, 0xff, 0x20, 0xee, 0x64];
    assert_eq!(data(104, &id), json!({"type": "NID", "preference": 10, "data": "0014:4fff:ff20:ee64"}));
    assert_eq!(data(107, b"\0\x0a\xc0\x0c"), json!({"type": "LP", "preference": 10, "data": "a.example"}));
}

#[test]
fn service_bindings() {
    let https = cat(&[
        b"\0\x01\0",
        b"\0\0\0\x04\0\x01\0\x03",
        b"\0\x01\0\x06\x02h2\x02h3",
        b"\0\x02\0\0",
        b"\0\x03\0\x02\x01\xbb",
        b"\0\x04\0\x08\x01\x02\x03\x04\x05\x06\x07\x08",
        b"\0\x05\0\x02\x01\x02",
        b"\0\x06\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01",
        b"\0\x07\0\x02/q",
        b"\x02\x9a\0\x01x",
    ]);
    assert_eq!(
        data(65, &https),
        json!({"type": "HTTPS", "priority": 1, "data": ". mandatory=alpn,port alpn=h2,h3 no-default-alpn port=443 \
               ipv4hint=1.2.3.4,5.6.7.8 ech=AQI= ipv6hint=2001:db8::1 dohpath=/q key666=x"})
    );
    let alias = json!({"type": "SVCB", "priority": 0, "data": "b.example"});
    assert_eq!(data(64, b"\0\0\x01b\xc0\x0e"), alias);
    // An ALPN that is longer than the parameter.
    assert_eq!(
        data(65, b"\0\x01\0\0\x01\0\x03\x09h2")["data"],
        "\\# 10 000100000100030968 32".replace(' ', "").replace("\\#10", "\\# 10 ")
    );
}

#[test]
fn what_is_unknown_or_malformed_is_hexadecimal() {
    assert_eq!(data(65280, &[0xc0, 0x0c]), json!({"type": "65280", "data": "\\# 2 c00c"}));
    assert_eq!(data(10, b"x"), json!({"type": "NULL", "data": "\\# 1 78"}));
    assert_eq!(data(1, &[1, 2, 3]), json!({"type": "A", "data": "\\# 3 010203"}));
    assert_eq!(data(15, &[0, 1, 0xc0, 0xff]), json!({"type": "MX", "data": "\\# 4 0001c0ff"}));
    assert_eq!(data(16, &[9, 1]), json!({"type": "TXT", "data": "\\# 2 0901"}));
    assert_eq!(data(5, &[]), json!({"type": "CNAME"}), "an update has no data");
    // Windows of types that do not rise.
    assert_eq!(data(47, b"\0\x01\x01\x40\0\x01\x40")["data"], "\\# 7 00010140000140");
}

#[test]
fn every_type_survives_any_data() {
    let decoder = decoder(&[]);
    for rtype in (0..=270).chain([32768, 32769]) {
        let mut talk = Talk::new(&*decoder, Transport::Udp, 53);
        let mut sent = 0;
        for len in 1..40 {
            for fill in [0, 1, 0x40, 0xc0, 0xff] {
                let message = reply(1, "a.example").answer(rtype, &vec![fill; len]);
                talk.datagram(Dir::Forward, &query(1, "a.example").0);
                talk.datagram(Dir::Back, &message.0);
                sent += 1;
            }
        }
        let docs = talk.finish();
        assert_eq!(docs.len(), sent);
        for doc in docs {
            assert!(doc["dns"]["answers"][0]["data"].is_string(), "{doc}");
        }
    }
}
