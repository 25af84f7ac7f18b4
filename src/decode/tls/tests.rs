//! Handshakes built by hand, and what is told of them.

use super::testing::*;
use super::*;
use crate::decode::talk::Talk as Line;
use proptest::prelude::*;
use serde_json::{Value, json};

const UP: Dir = Dir::Forward;
const DOWN: Dir = Dir::Back;

/// Bytes and their direction, in order.
type Script = Vec<(Dir, Vec<u8>)>;

fn line(pairs: &[(&str, &str)]) -> Line {
    Line::new(&*decoder(pairs), Transport::Tcp, 443)
}

fn play(script: &Script) -> Vec<Value> {
    play_with(&[], script)
}

fn play_with(pairs: &[(&str, &str)], script: &Script) -> Vec<Value> {
    let mut line = line(pairs);
    for (dir, bytes) in script {
        line.send(*dir, bytes);
        line.wait(1);
    }
    line.finish()
}

fn offer() -> Vec<u8> {
    let extensions = [
        sni("www.example.org"),
        extension(10, &block::<2>(&numbers(&[0x2a2a, 29, 23]))),
        extension(11, &[1, 0]),
        extension(13, &block::<2>(&numbers(&[0x0403, 0x0602]))),
        alpn(&["h2", "http/1.1"]),
        extension(35, &[]),
        extension(43, &block::<1>(&numbers(&[0x1a1a, 0x0304, 0x0303]))),
        extension(5, &[1, 0, 0, 0, 0]),
        extension(23, &[]),
        extension(0xff01, &[0]),
        extension(0x8a8a, &[]),
    ];
    client_hello(0x0303, &[5; 32], &[0x3a3a, 0xc02f, 0x1301, 0xff85], &extensions)
}

/// A whole handshake of TLS 1.2.
fn tls12() -> Script {
    let choice = server_hello(0x0303, &[6; 32], 0xc02f, &[alpn(&["h2"]), extension(35, &[]), extension(0xff01, &[0])]);
    let flight = [
        message(2, &choice),
        message(11, &certificates(&[&certificate(), &certificate()])),
        message(22, &[1, 0, 0, 5, 0x30, 3, 0x0a, 1, 0]),
        message(12, &[3, 0, 29, 32, 1, 2, 3]),
        message(13, &[1, 1, 0, 0, 0]),
        message(14, &[]),
    ];
    let up = [handshake(16, &[32, 1, 2]), record(20, &[1]), record(22, &[9; 40])].concat();
    let down = [handshake(4, &[1; 50]), record(20, &[1]), record(22, &[9; 40])].concat();
    vec![
        (UP, handshake(1, &offer())),
        (DOWN, record(22, &flight.concat())),
        (UP, up),
        (DOWN, down),
        (UP, record(23, &[1; 100])),
    ]
}

/// A whole handshake of TLS 1.3.
fn tls13() -> Script {
    let choice = server_hello(
        0x0303,
        &[5; 32],
        0x1301,
        &[extension(51, &numbers(&[29, 2, 1])), extension(43, &numbers(&[0x0304]))],
    );
    vec![
        (UP, handshake(1, &offer())),
        (DOWN, [handshake(2, &choice), record(20, &[1]), record(23, &[1; 900]), record(23, &[1; 53])].concat()),
        (UP, [record(20, &[1]), record(23, &[1; 53])].concat()),
        (UP, record(23, &[1; 100])),
    ]
}

#[test]
fn a_handshake_of_tls_1_2() {
    let docs = play(&tls12());
    assert_eq!(docs.len(), 1);
    let doc = &docs[0];
    assert_eq!((&doc["status"], &doc["type"]), (&json!("OK"), &json!("tls")));
    assert_eq!(doc["event"]["duration"], 3_000_000);
    assert_eq!(doc["destination"]["domain"], "www.example.org");
    assert_eq!(doc["server"]["domain"], "www.example.org");
    assert_eq!(doc["related"]["hosts"], json!(["www.example.org"]));
    assert_eq!(doc.get("error"), None);
    let tls = &doc["tls"];
    assert_eq!((&tls["version"], &tls["version_protocol"]), (&json!("1.2"), &json!("tls")));
    assert_eq!((&tls["established"], &tls["resumed"]), (&json!(true), &json!(false)));
    assert_eq!(tls["cipher"], "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
    assert_eq!((&tls["curve"], &tls["next_protocol"]), (&json!("x25519"), &json!("h2")));
    let suites = ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256", "(unknown:0xff85)"];
    assert_eq!(tls["client"]["supported_ciphers"], json!(suites));
    assert_eq!(tls["client"]["server_name"], "www.example.org");
    let server = &tls["server"];
    assert_eq!(server["subject"], "CN=example.org");
    assert_eq!(server["not_after"], "2031-02-03T00:00:00.000Z");
    assert_eq!(server["hash"]["sha1"].as_str().map(str::len), Some(40));
    assert_eq!((server["hash"].get("md5"), server.get("certificate_chain")), (None, None));
    let x509 = json!({
        "version": 3, "version_number": 3, "serial_number": "256",
        "issuer": {"common_name": "example.org", "distinguished_name": "CN=example.org"},
        "subject": {"common_name": "example.org", "distinguished_name": "CN=example.org"},
        "not_before": "2021-02-03T00:00:00.000Z", "not_after": "2031-02-03T00:00:00.000Z",
        "public_key_algorithm": "ECDSA", "public_key_size": 256, "signature_algorithm": "ECDSA-SHA256",
        "alternative_names": ["example.org", "www.example.org"],
    });
    assert_eq!(server["x509"], x509);
    let detailed = &tls["detailed"];
    assert_eq!(detailed["server_certificate"], x509);
    assert_eq!(detailed["server_certificate_chain"].as_array().map(Vec::len), Some(1));
    assert_eq!(detailed["version"], "TLS 1.2");
    assert_eq!(detailed["client_certificate_requested"], true);
    assert_eq!(detailed["ocsp_response"], "successful");
    let hello = json!({
        "version": "3.3", "session_id": "05".repeat(32), "supported_compression_methods": ["NULL"],
        "extensions": {
            "server_name_indication": ["www.example.org"],
            "supported_groups": ["x25519", "secp256r1"],
            "ec_points_formats": ["uncompressed"],
            "signature_algorithms": ["ecdsa_secp256r1_sha256", "(unknown:0x0602)"],
            "application_layer_protocol_negotiation": ["h2", "http/1.1"],
            "session_ticket": "",
            "supported_versions": ["TLS 1.3", "TLS 1.2"],
            "_unparsed_": ["status_request", "23", "renegotiation_info"],
        },
    });
    assert_eq!(detailed["client_hello"], hello);
    let hello = json!({
        "version": "3.3", "session_id": "06".repeat(32), "selected_compression_method": "NULL",
        "extensions": {
            "application_layer_protocol_negotiation": ["h2"], "session_ticket": "", "_unparsed_": ["renegotiation_info"],
        },
    });
    assert_eq!(detailed["server_hello"], hello);
}

#[test]
fn a_handshake_of_tls_1_3() {
    let docs = play(&tls13());
    assert_eq!(docs.len(), 1);
    let (doc, tls) = (&docs[0], &docs[0]["tls"]);
    assert_eq!((&doc["status"], &doc["event"]["duration"]), (&json!("OK"), &json!(2_000_000)));
    assert_eq!((&tls["version"], &tls["detailed"]["version"]), (&json!("1.3"), &json!("TLS 1.3")));
    // The session id is only repeated for old boxes on the way.
    assert_eq!((&tls["established"], &tls["resumed"]), (&json!(true), &json!(false)));
    assert_eq!(tls["curve"], "x25519");
    assert_eq!(tls["detailed"]["server_hello"]["extensions"]["supported_versions"], "TLS 1.3");
    assert_eq!(tls["detailed"]["server_hello"]["extensions"]["_unparsed_"], json!(["51"]));
}

#[test]
fn a_client_that_rejects_an_encrypted_certificate() {
    let mut script = tls13();
    // An alert is shorter than any Finished.
    script.truncate(2);
    script.push((UP, record(23, &[1; 19])));
    let mut line = line(&[]);
    script.iter().for_each(|(dir, bytes)| line.send(*dir, bytes));
    line.close(None);
    let docs = line.finish();
    assert_eq!((docs.len(), &docs[0]["status"], &docs[0]["tls"]["established"]), (1, &json!("Error"), &json!(false)));
    let notes = json!(["Alert of the client, encrypted", "The connection was reset during the handshake"]);
    assert_eq!(docs[0]["error"]["message"], notes);
    assert_eq!(docs[0]["event"].get("end"), None);
}

#[test]
fn sessions_taken_up_again() {
    let hello = |id: &[u8], extensions: &[Vec<u8>]| handshake(1, &client_hello(0x0303, id, &[0xc02f], extensions));
    let answer = |id: &[u8], extensions: &[Vec<u8>]| {
        [handshake(2, &server_hello(0x0303, id, 0xc02f, extensions)), record(20, &[1]), record(22, &[9; 40])].concat()
    };
    let end = || (UP, [record(20, &[1]), record(22, &[9; 40])].concat());
    let method = |script: Script| {
        let docs = play(&script);
        (docs[0]["tls"]["resumed"].clone(), docs[0]["tls"]["detailed"]["resumption_method"].clone())
    };
    let ticket = |n: usize| [extension(35, &vec![1; n])];
    let id = vec![(UP, hello(&[5; 32], &ticket(0))), (DOWN, answer(&[5; 32], &[])), end()];
    assert_eq!(method(id), (json!(true), json!("id")));
    let other = vec![(UP, hello(&[5; 32], &ticket(9))), (DOWN, answer(&[6; 32], &[])), end()];
    assert_eq!(method(other), (json!(false), Value::Null));
    let ticket = vec![(UP, hello(&[5; 32], &ticket(9))), (DOWN, answer(&[5; 32], &ticket(0))), end()];
    assert_eq!(method(ticket), (json!(true), json!("ticket")));
    let mut psk = tls13();
    let chosen = [extension(43, &numbers(&[0x0304])), extension(41, &[0, 0])];
    psk[1].1 = [handshake(2, &server_hello(0x0303, &[5; 32], 0x1301, &chosen)), record(23, &[1; 90])].concat();
    assert_eq!(method(psk), (json!(true), json!("psk")));
}

#[test]
fn a_server_that_wants_another_hello() {
    let mut retry = server_hello(0x0303, &[], 0x1301, &[extension(43, &numbers(&[0x0304])), extension(51, &[0, 23])]);
    retry[2..34].copy_from_slice(&[
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2,
        0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
    ]);
    let mut script = tls13();
    let again = [record(20, &[1]), handshake(1, &client_hello(0x0303, &[], &[0x1301], &[]))].concat();
    script.splice(1..1, [(DOWN, [handshake(2, &retry), record(20, &[1])].concat()), (UP, again)]);
    let docs = play(&script);
    let tls = &docs[0]["tls"];
    assert_eq!((docs.len(), &tls["established"]), (1, &json!(true)));
    assert_eq!(tls["detailed"]["hello_retry_request"], true);
    // The first hello is the client's print, the second answer the server's choice.
    assert_eq!(tls["client"]["server_name"], "www.example.org");
    assert_eq!(tls["curve"], "x25519");
}

#[test]
fn why_a_handshake_failed() {
    let hello = || handshake(1, &offer());
    let told = |docs: Vec<Value>| {
        assert_eq!(docs.len(), 1, "{docs:?}");
        assert_eq!((&docs[0]["status"], &docs[0]["tls"]["established"]), (&json!("Error"), &json!(false)));
        docs[0]["error"]["message"].clone()
    };
    let mut l = line(&[]);
    l.send(UP, &hello());
    l.wait(9_000);
    l.wait(1_000);
    assert_eq!(l.docs.0.len(), 1, "after the timeout");
    assert_eq!(told(l.finish()), json!(["Nothing of the server was seen", "The handshake was not completed in time"]));

    let mut l = line(&[]);
    l.send(UP, &hello());
    l.send(DOWN, &record(21, &[2, 40]));
    l.close(Some(DOWN));
    assert!(l.docs.0.is_empty());
    l.close(Some(UP));
    let docs = l.finish();
    let alert = json!([{"severity": "fatal", "code": 40, "type": "handshake_failure", "source": "server"}]);
    assert_eq!(docs[0]["tls"]["detailed"]["alerts"], alert);
    assert_eq!(docs[0]["tls"]["detailed"]["alert_types"], json!(["handshake_failure"]));
    let closed = "The connection was closed during the handshake";
    assert_eq!(told(docs), json!(["Alert of the server: handshake_failure (fatal)", closed]));

    let docs = play(&vec![(UP, hello()), (DOWN, b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())]);
    assert_eq!(told(docs), json!("What the server sent is not TLS"));

    let docs = play(&vec![(UP, hello())]);
    assert_eq!(told(docs), json!(["Nothing of the server was seen", "The end of the handshake was not seen"]));
}

#[test]
fn what_is_no_handshake_makes_no_document() {
    for first in [
        record(23, &[7; 300]),
        record(20, &[1]),
        record(22, &[0xee; 40]),
        record(21, &[0xee; 26]),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0; 50],
        vec![0x80; 50],
        vec![22],
    ] {
        let docs = play(&vec![(DOWN, first.clone()), (UP, record(23, &[7; 30]))]);
        assert!(docs.is_empty(), "{first:02x?}: {docs:?}");
    }
}

#[test]
fn one_side_alone_is_enough() {
    let only = |dir| play(&tls12().into_iter().filter(|(d, _)| *d == dir).collect());
    let up = only(UP);
    // Data of the client after its own part: the server's was not captured.
    assert_eq!((up.len(), &up[0]["tls"]["established"], &up[0]["client"]["port"]), (1, &json!(true), &json!(40000)));
    let down = only(DOWN);
    assert_eq!((down.len(), &down[0]["tls"]["established"]), (1, &json!(false)));
    assert_eq!(down[0]["client"]["port"], 40000);
    assert_eq!(down[0]["tls"]["cipher"], "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
    let notes = json!(["Nothing of the client was seen", "The end of the handshake was not seen"]);
    assert_eq!(down[0]["error"]["message"], notes);
}

#[test]
fn settings_choose_what_is_shown() {
    let tls = |pairs: &[(&str, &str)]| play_with(pairs, &tls12())[0]["tls"].clone();
    let all = tls(&[("tls.fingerprints", "md5, SHA-1,sha256"), ("tls.include_raw_certificates", "on")]);
    let len = |name: &str| all["server"]["hash"][name].as_str().map(str::len);
    assert_eq!([len("md5"), len("sha1"), len("sha256")], [Some(32), Some(40), Some(64)]);
    let chain = all["server"]["certificate_chain"].as_array().unwrap();
    let pem = chain[0].as_str().unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\nMII") && pem.ends_with("\n-----END CERTIFICATE-----\n"));
    assert_eq!(chain.len(), 2);
    let few = tls(&[("tls.send_certificates", "off")]);
    assert_eq!((few["server"].get("x509"), few["detailed"].get("server_certificate")), (None, None));
    assert_eq!(few["server"]["subject"], "CN=example.org");
    let ecs = tls(&[("tls.include_detailed_fields", "off")]);
    assert_eq!((ecs.get("detailed"), ecs["server"].get("x509")), (None, None));
    assert_eq!(decoder(&[("tls.ports", "1, 2")]).ports(), [1, 2]);
}

#[test]
fn losses_are_bridged_where_lengths_are_known() {
    let mut l = line(&[]);
    let script = tls12();
    l.send(UP, &script[0].1);
    // Within the second certificate.
    let flight = &script[1].1;
    l.send(DOWN, &flight[..600]);
    l.lose(DOWN, 100);
    l.send(DOWN, &flight[700..]);
    script[2..].iter().for_each(|(dir, bytes)| l.send(*dir, bytes));
    let docs = l.finish();
    let tls = &docs[0]["tls"];
    assert_eq!((docs.len(), &docs[0]["status"], &tls["established"]), (1, &json!("OK"), &json!(true)));
    assert_eq!(tls["server"]["subject"], "CN=example.org");
    assert_eq!(tls["curve"], "x25519", "of a message behind the gap");
    let notes = &docs[0]["error"]["message"];
    assert_eq!(notes[0], "Packet loss while capturing the response", "{notes}");

    // A hole that is larger than the record: the way is found again at the next one.
    let mut l = line(&[]);
    l.send(UP, &script[0].1);
    l.send(DOWN, &flight[..200]);
    l.lose(DOWN, 5000);
    l.send(UP, &script[2].1);
    l.send(DOWN, &script[3].1);
    let docs = l.finish();
    assert_eq!((docs.len(), &docs[0]["tls"]["established"]), (1, &json!(true)));
}

#[test]
fn a_hello_that_was_cut_has_no_fingerprints() {
    let hello = handshake(1, &offer());
    let mut l = line(&[]);
    l.send(UP, &hello[..150]);
    l.lose(UP, hello.len() as u64 - 150);
    let docs = l.finish();
    let client = &docs[0]["tls"]["client"];
    assert_eq!((docs.len(), client.get("ja3"), client.get("ja4")), (1, None, None));
    assert_eq!(client["server_name"], "www.example.org");
}

#[test]
fn ssl_2_0() {
    let hello = |version: [u8; 2]| {
        let mut m = vec![1, version[0], version[1], 0, 9, 0, 0, 0, 16, 7, 0, 0xc0, 0, 0, 0x2f, 1, 0, 0x80];
        m.extend([9; 16]);
        [&[0x80, m.len() as u8][..], &m].concat()
    };
    // Only the format is old.
    let mut script = tls12();
    script[0].1 = hello([3, 1]);
    let docs = play(&script);
    let tls = &docs[0]["tls"];
    assert_eq!((docs.len(), &tls["established"], &tls["version"]), (1, &json!(true), &json!("1.2")));
    let suites = ["SSL2_DES_192_EDE3_CBC_WITH_MD5", "TLS_RSA_WITH_AES_128_CBC_SHA", "SSL2_RC4_128_WITH_MD5"];
    assert_eq!(tls["client"]["supported_ciphers"], json!(suites));
    assert_eq!(tls["client"].get("ja3"), None);
    assert_eq!(docs[0]["error"]["message"], "The ClientHello has the format of SSL 2.0");
    // The real thing.
    let long = |m: &[u8]| [&[0x80 | (m.len() >> 8) as u8, m.len() as u8][..], m].concat();
    let der = certificate();
    let len = (der.len() as u16).to_be_bytes();
    let answer = [&[4, 0, 1, 0, 2, len[0], len[1], 0, 3, 0, 16][..], &der, &[1, 0, 0x80], &[4; 16]].concat();
    let script = vec![
        (UP, hello([0, 2])),
        (DOWN, long(&answer)),
        (UP, [long(&[2, 1, 0, 0x80, 0, 0, 0, 16, 0, 0]), long(&[9; 33])].concat()),
        (DOWN, long(&[9; 33])),
    ];
    let docs = play(&script);
    let tls = &docs[0]["tls"];
    assert_eq!((docs.len(), &tls["established"], &tls["version"]), (1, &json!(true), &json!("2.0")));
    assert_eq!((&tls["version_protocol"], &tls["cipher"]), (&json!("ssl"), &json!("SSL2_RC4_128_WITH_MD5")));
    assert_eq!(tls["server"]["subject"], "CN=example.org");
}

#[test]
fn probes() {
    let probe = |bytes: &[u8]| probe(Transport::Tcp, bytes);
    let hello = handshake(1, &offer());
    for cut in 0..10 {
        assert_eq!(probe(&hello[..cut]), Probe::Maybe, "{cut}");
    }
    assert_eq!(probe(&hello[..10]), Probe::Yes);
    assert_eq!(probe(&handshake(2, &server_hello(0x0303, &[], 1, &[]))), Probe::Yes);
    assert_eq!(probe(&record(21, &[2, 40])), Probe::Yes);
    for other in
        [&b"GET / HT"[..], b"\x16\x03\x01\x02\x00\x09", b"\x16\x02", b"SSH-2.0-x", &record(23, &[1; 9]), &[0; 20]]
    {
        assert_eq!(probe(other), Probe::No, "{other:02x?}");
    }
}

#[test]
fn memory_is_bounded_and_given_back() {
    // A message that says it has 16 MiB.
    let mut l = line(&[]);
    l.send(UP, &handshake(1, &offer()));
    l.send(DOWN, &handshake(2, &server_hello(0x0303, &[], 0xc02f, &[])));
    l.send(DOWN, &record(22, &[11, 0xff, 0xff, 0xff]));
    let mut peak = 0;
    for _ in 0..2000 {
        l.send(DOWN, &record(22, &[7; 16_000]));
        peak = peak.max(l.memory());
    }
    assert!((200 << 10..340 << 10).contains(&peak), "{peak}");
    l.wait(20_000);
    let small = l.memory();
    assert!(small < 256, "{small}");
    assert!(line(&[]).memory() < 256);
}

/// All bytes of a script's directions, cut into pieces; a direction changes only where it did.
fn cut(script: &Script, sizes: &[usize]) -> Script {
    let mut sizes = sizes.iter().cycle();
    let mut out = Vec::new();
    for (dir, bytes) in script {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (head, tail) = rest.split_at(sizes.next().copied().unwrap_or(1).clamp(1, rest.len()));
            out.push((*dir, head.to_vec()));
            rest = tail;
        }
    }
    out
}

/// The same messages, in records of other sizes.
fn in_records(script: &Script, size: usize) -> Script {
    let split = |bytes: &[u8]| {
        let (mut rest, mut out) = (bytes, Vec::new());
        while let [22, _, _, a, b, tail @ ..] = rest {
            let (fragment, after) = tail.split_at(usize::from(u16::from_be_bytes([*a, *b])));
            out.extend(fragment.chunks(size).flat_map(|piece| record(22, piece)));
            rest = after;
        }
        [out, rest.to_vec()].concat()
    };
    script.iter().map(|(dir, bytes)| (*dir, split(bytes))).collect()
}

fn without_times(mut docs: Vec<Value>) -> Vec<Value> {
    for doc in &mut docs {
        let event = doc["event"].as_object_mut().unwrap();
        ["start", "end", "duration"].iter().for_each(|k| drop(event.remove(*k)));
    }
    docs
}

#[test]
fn records_of_a_few_bytes() {
    for script in [tls12(), tls13()] {
        let expected = without_times(play(&script));
        for size in 1..8 {
            assert_eq!(without_times(play(&cut(&in_records(&script, size), &[1]))), expected, "{size}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn segments_and_records_do_not_matter(
        sizes in proptest::collection::vec(1_usize..1500, 1..20), record in 1_usize..600, new in any::<bool>(),
    ) {
        let script = if new { tls13() } else { tls12() };
        let expected = without_times(play(&script));
        prop_assert_eq!(&without_times(play(&cut(&script, &sizes))), &expected);
        prop_assert_eq!(&without_times(play(&cut(&in_records(&script, record), &sizes))), &expected);
    }

    #[test]
    fn noise_is_harmless(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        head in proptest::sample::select(vec![0_usize, 3, 5, 9, 11, 44, 200]),
        lost in 0_u64..700,
    ) {
        let hello = handshake(1, &offer());
        let mut l = line(&[]);
        l.send(UP, &[&hello[..head.min(hello.len())], &bytes].concat());
        l.send(DOWN, &bytes);
        l.lose(UP, lost);
        l.send(UP, &hello);
        l.send(UP, &bytes);
        prop_assert!(l.memory() < 16 << 10);
        prop_assert!(l.finish().len() <= 1);
    }
}

#[test]
fn one_byte_at_a_time() {
    for script in [tls12(), tls13()] {
        assert_eq!(without_times(play(&cut(&script, &[1]))), without_times(play(&script)));
    }
}

#[test]
fn bit_flips_truncations_and_holes_are_harmless() {
    for script in [tls12(), tls13()] {
        for part in 0..script.len() {
            for at in 0..script[part].1.len() {
                let mut bent = script.clone();
                bent[part].1[at] ^= 1 << (at % 8);
                assert!(play(&bent).len() <= 1);
                bent[part].1.truncate(at);
                assert!(play(&bent).len() <= 1);
                let mut l = line(&[]);
                for (i, (dir, bytes)) in script.iter().enumerate() {
                    if i == part {
                        l.send(*dir, &bytes[..at]);
                        l.lose(*dir, 1 + at as u64 % 97);
                        l.send(*dir, bytes.get(at + 1 + at % 97..).unwrap_or_default());
                    } else {
                        l.send(*dir, bytes);
                    }
                }
                assert!(l.memory() < 64 << 10);
                assert!(l.finish().len() <= 1);
            }
        }
    }
}
