//! TLS towards a server: certificates and names are checked, and what is wrong is said.

use crate::lab::{Lab, Peer, skip, to_1970};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use std::io::Read;
use std::sync::{Arc, Mutex};

/// A server whose certificate is made out to one name.
struct Server {
    peer: Peer,
    got: Arc<Mutex<Vec<u8>>>,
    /// The certificate of its authority.
    ca: String,
}

fn server(name: &str) -> Server {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap());
    let got = Arc::new(Mutex::new(Vec::new()));
    let keep = got.clone();
    let peer = Peer::new(move |tcp| {
        let session = rustls::ServerConnection::new(config.clone()).unwrap();
        let mut stream = rustls::StreamOwned::new(session, tcp);
        let mut buf = [0; 4096];
        while let Ok(n @ 1..) = stream.read(&mut buf) {
            keep.lock().unwrap().extend_from_slice(&buf[..n]);
        }
    });
    Server { peer, got, ca: ca.pem() }
}

fn conf(output: &str, host: &str, port: u16, keys: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name stdin\n[OUTPUT]\n    Name {output}\n    Match *\n    Host {host}\n    Port {port}\n    \
         tls on\n    net.dns.prefer_ipv4 on\n    Retry_Limit no_retries\n{keys}"
    )
}

/// Sends one record.
fn send(lab: &Lab, conf: &str) -> crate::lab::Done {
    lab.write("collector.conf", conf);
    lab.command(&["-c", "collector.conf"]).stdin("{\"a\":\"secret\"}").start().wait().code(0)
}

#[test]
fn a_trusted_server_of_the_right_name_gets_the_records() {
    let lab = Lab::new("tls-right");
    let server = server("localhost");
    lab.write("ca.pem", &server.ca);
    let keys = "    tls.ca_file ca.pem\n    Format json_lines\n    Json_Date_Key false\n";
    send(&lab, &conf("tcp", "localhost", server.peer.port(), keys)).says(&["output tcp.0: 1 records"]);
    let want = b"{\"a\":\"secret\"}\n";
    lab.wait("the record", || *server.got.lock().unwrap() == want);
}

/// A board without a battery: the certificate is of a later time, until the clock is set.
#[test]
fn a_clock_that_starts_in_1970_is_said_and_waited_for() {
    let mut lab = Lab::new("tls-1970");
    if let Err(why) = lab.fake_clock() {
        return skip(why);
    }
    let server = server("localhost");
    lab.write("ca.pem", &server.ca);
    let keys = "    tls.ca_file ca.pem\n    Format json_lines\n    Json_Date_Key false\n";
    let dummy = "Flush 0.05\n    scheduler.base 1\n    scheduler.cap 2\n[INPUT]\n    Name dummy\n    Samples 1\n    Flush_On_Startup on";
    let conf = conf("tcp", "localhost", server.peer.port(), keys)
        .replace("Flush 0.05\n[INPUT]\n    Name stdin", dummy)
        .replace("    Retry_Limit no_retries\n", "");
    lab.set_clock(&to_1970());
    let mut run = lab.start(&conf);
    run.wait_stderr("it becomes valid on 1975-01-01 00:00 UTC, and the clock here says 1970-01-01");
    run.wait_stderr("retry in");
    lab.set_clock("+0");
    run.wait_for("the record", |_| *server.got.lock().unwrap() == b"{\"message\":\"dummy\"}\n");
    run.term().code(0).says(&["output tcp.0: 1 records"]);
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    for output in ["tcp", "es", "http"] {
        let lab = Lab::new("tls-name");
        let server = server("elsewhere.example");
        lab.write("ca.pem", &server.ca);
        let conf = conf(output, "localhost", server.peer.port(), "    tls.ca_file ca.pem\n");
        let done = send(&lab, &conf).says(&["name", "1 rejected, 0 dropped"]);
        assert!(done.stderr.contains("elsewhere.example") || done.stderr.contains("another name"), "{}", done.report());
        assert!(server.got.lock().unwrap().is_empty(), "{output}: it was sent all the same");
    }
}

#[test]
fn an_unknown_authority_is_refused() {
    for output in ["tcp", "es", "http"] {
        let lab = Lab::new("tls-unknown");
        let server = server("localhost");
        send(&lab, &conf(output, "localhost", server.peer.port(), "")).says(&["tls.ca_file", "1 rejected, 0 dropped"]);
        assert!(server.got.lock().unwrap().is_empty(), "{output}: it was sent all the same");
    }
}

#[test]
fn what_is_not_checked_was_asked_for() {
    let lab = Lab::new("tls-off");
    let server = server("elsewhere.example");
    let keys = "    tls.verify off\n    Format json_lines\n";
    send(&lab, &conf("tcp", "localhost", server.peer.port(), keys)).says(&["output tcp.0: 1 records"]);
    lab.wait("the record", || !server.got.lock().unwrap().is_empty());
}

#[test]
fn a_file_that_is_no_certificate_is_said_at_the_start() {
    let lab = Lab::new("tls-file");
    lab.write("ca.pem", "nothing of the kind\n");
    for file in ["ca.pem", "none.pem"] {
        lab.write("collector.conf", conf("tcp", "localhost", 1, &format!("    tls.ca_file {file}\n")));
        lab.exec(&["-c", "collector.conf"]).code(1).says(&[file, "tcp.0"]);
    }
}
