//! TLS under HTTP.

use crate::conf::Section;
use crate::conf::common::{NetOut, TlsClient};
use crate::error::Diags;
use crate::net::http::tests::said;
use crate::net::tls::Session;
use crate::net::tls::tests::Pki;
use crate::net::{ClientTls, HttpClient, ServerTls};
use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Answers each connection's requests with 200 and their body.
fn server(tls: ServerTls) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let mut session = tls.session().unwrap();
            let mut socket = socket;
            // A refused handshake ends the connection only.
            let _ = answer(&mut session, &mut socket);
        }
    });
    port
}

fn answer(session: &mut Session, socket: &mut TcpStream) -> io::Result<()> {
    let mut text = Vec::new();
    let mut said = false;
    loop {
        while session.wants_write() {
            session.write_tls(socket)?;
        }
        let mut buf = [0; 4096];
        match session.read_plain(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(n) => text.extend_from_slice(&buf[..n]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                if session.read_tls(socket)? == 0 {
                    return Ok(());
                }
            }
            Err(e) => return Err(e),
        }
        if !said && text.ends_with(b"{\"a\":1}\n") {
            session.write_plain(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
            said = true;
        }
    }
}

fn post(port: u16, host: &str, pairs: &[(&str, &str)]) -> Result<(u16, String), String> {
    let section = Section::of("OUTPUT", &[&[("tls", "on")], pairs].concat());
    let mut diags = Diags::new();
    let net = NetOut::load(&section, &mut diags).unwrap();
    let tls = ClientTls::new(&TlsClient::load(&section, &mut diags).unwrap()).unwrap();
    said(HttpClient::new(&net, 1, tls).unwrap().post(&format!("https://{host}:{port}/_bulk"), &[], b"{\"a\":1}\n"))
}

#[test]
fn tls_keys_mean_the_same_here() {
    let pki = Pki::new();
    pki.issue("server", &["localhost"], |_| {});
    let port = server(pki.server("server", &[]));
    let ca = pki.path("ca.pem");
    assert_eq!(post(port, "localhost", &[("tls.ca_file", &ca)]), Ok((200, "ok".into())));
    let wrong = post(port, "127.0.0.1", &[("tls.ca_file", &ca)]).unwrap_err();
    assert!(wrong.contains("127.0.0.1") && wrong.contains("certificate"), "{wrong}");
    for pairs in [
        &[("tls.ca_file", ca.as_str()), ("tls.verify_hostname", "off")][..],
        &[("tls.ca_file", ca.as_str()), ("tls.vhost", "localhost")],
        &[("tls.verify", "off"), ("tls.max_version", "TLSv1.2")],
    ] {
        assert_eq!(post(port, "127.0.0.1", pairs).map(|a| a.0), Ok(200), "{pairs:?}");
    }
    let stranger = Pki::new();
    stranger.issue("other", &["localhost"], |_| {});
    let wrong = post(port, "localhost", &[("tls.ca_file", &stranger.path("ca.pem"))]).unwrap_err();
    assert!(wrong.contains("issuer"), "{wrong}");
}
