//! TLS over real sockets, with authorities and certificates made on the spot.

use super::*;
use crate::conf::Section;
use crate::conf::common::{NetOut, TlsClient, TlsServer};
use crate::error::Diags;
use crate::net::{Stream, Target, Upstream};
use crate::rt::{Source, Task, run, spawn};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A folder of PEM files: an authority and what it signed.
pub(crate) struct Pki {
    dir: PathBuf,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("collector-tls-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("authority {n}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(dir.join("ca.pem"), ca.pem()).unwrap();
        Self { dir, ca }
    }

    pub(crate) fn path(&self, file: &str) -> String {
        self.dir.join(file).display().to_string()
    }

    /// Writes `NAME.crt` and `NAME.key`, signed by the authority.
    pub(crate) fn issue(&self, name: &str, hosts: &[&str], change: impl FnOnce(&mut CertificateParams)) {
        let mut params = CertificateParams::new(hosts.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>()).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.ca).unwrap();
        std::fs::write(self.dir.join(format!("{name}.crt")), cert.pem()).unwrap();
        std::fs::write(self.dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    /// Settings of a server that shows `NAME.crt`.
    pub(crate) fn server(&self, name: &str, more: &[(&str, &str)]) -> ServerTls {
        let (crt, key) = (self.path(&format!("{name}.crt")), self.path(&format!("{name}.key")));
        let pairs = [&[("tls", "on"), ("tls.crt_file", &crt), ("tls.key_file", &key)], more].concat();
        let conf = TlsServer::load(&Section::of("INPUT", &pairs), &mut Diags::new()).unwrap();
        ServerTls::new(&conf).unwrap().unwrap()
    }
}

impl Drop for Pki {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn client(pairs: &[(&str, &str)]) -> Result<ClientTls, Problem> {
    let pairs = [&[("tls", "on")], pairs].concat();
    let conf = TlsClient::load(&Section::of("OUTPUT", &pairs), &mut Diags::new()).unwrap();
    Ok(ClientTls::new(&conf)?.unwrap())
}

/// A server for one connection that echoes four bytes; its task tells how that went.
pub(crate) fn echo(tls: ServerTls) -> (u16, Task<std::io::Result<[u8; 4]>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let listener = Source::new(listener).unwrap();
    let task = spawn(async move {
        let (socket, _) = listener.read(|l| l.accept()).await?;
        socket.set_nonblocking(true)?;
        let session = tls.session().unwrap();
        let mut s = Stream::new(Source::new(OwnedFd::from(socket))?, Some(session), Duration::from_secs(10));
        s.handshake().await?;
        let mut buf = [0; 4];
        let n = s.read(&mut buf).await?;
        s.write_all(buf.get(..n).unwrap_or_default()).await?;
        s.finish().await?;
        Ok(buf)
    });
    (port, task)
}

/// Connects to `host` at a server and exchanges four bytes; answers why that failed.
fn check(server: ServerTls, tls: ClientTls, host: &str) -> Result<(), String> {
    run(async {
        let (port, task) = echo(server);
        let net = NetOut::load(&Section::of("OUTPUT", &[("net.dns.prefer_ipv4", "on")]), &mut Diags::new()).unwrap();
        let up = Upstream::new(Target::Tcp(host.into(), port), &net, Some(tls)).unwrap();
        let mut conn = up.get().await?;
        conn.write_all(b"ping").await.map_err(|e| e.to_string())?;
        let mut buf = [0; 8];
        let n = conn.read(&mut buf).await.map_err(|e| e.to_string())?;
        assert_eq!(buf.get(..n), Some(&b"ping"[..]));
        assert_eq!(conn.read(&mut buf).await.map_err(|e| e.to_string())?, 0, "a goodbye");
        assert_eq!(task.await.unwrap(), *b"ping");
        Ok(())
    })
    .unwrap()
}

fn refused(server: ServerTls, tls: ClientTls, host: &str, want: &str) {
    let why = check(server, tls, host).unwrap_err();
    assert!(why.contains(want), "{want:?} is not in {why:?}");
}

#[test]
fn both_sides_talk_by_name_address_and_version() {
    let pki = Pki::new();
    pki.issue("server", &["localhost", "127.0.0.1"], |_| {});
    let ca = pki.path("ca.pem");
    for host in ["localhost", "127.0.0.1"] {
        check(pki.server("server", &[]), client(&[("tls.ca_file", &ca)]).unwrap(), host).unwrap();
    }
    let dir = pki.path("");
    check(pki.server("server", &[]), client(&[("tls.ca_path", &dir)]).unwrap(), "localhost").unwrap();
    for version in ["TLSv1.2", "TLSv1.3"] {
        let range = [("tls.min_version", version), ("tls.max_version", version)];
        let tls = client(&[&[("tls.ca_file", ca.as_str())][..], &range].concat()).unwrap();
        check(pki.server("server", &[]), tls, "localhost").unwrap();
    }
    let (old, new) = (client(&[("tls.ca_file", &ca), ("tls.max_version", "TLSv1.2")]), ("tls.min_version", "TLSv1.3"));
    refused(pki.server("server", &[new]), old.unwrap(), "localhost", "does not speak this TLS version");
}

#[test]
fn wrong_names_are_refused_by_default() {
    let pki = Pki::new();
    pki.issue("other", &["other.example"], |_| {});
    let ca = pki.path("ca.pem");
    let want = "it is not made out to 'localhost' but to other.example (tls.vhost";
    refused(pki.server("other", &[]), client(&[("tls.ca_file", &ca)]).unwrap(), "localhost", want);
    for more in [("tls.verify_hostname", "off"), ("tls.vhost", "other.example")] {
        check(pki.server("other", &[]), client(&[("tls.ca_file", &ca), more]).unwrap(), "localhost").unwrap();
    }
    pki.issue("nobody", &[], |_| {});
    let want = "it names no host (a common name alone does not count)";
    refused(pki.server("nobody", &[]), client(&[("tls.ca_file", &ca)]).unwrap(), "localhost", want);
}

#[test]
fn strangers_are_refused_unless_nothing_is_verified() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    stranger.issue("server", &["localhost"], |_| {});
    let ca = pki.path("ca.pem");
    let names_only = client(&[("tls.ca_file", &ca), ("tls.verify_hostname", "off")]).unwrap();
    refused(stranger.server("server", &[]), names_only, "localhost", "its issuer is not trusted (tls.ca_file");
    check(stranger.server("server", &[]), client(&[("tls.verify", "off")]).unwrap(), "localhost").unwrap();
}

#[test]
fn dates_are_told_with_the_clock() {
    let pki = Pki::new();
    pki.issue("old", &["localhost"], |p| p.not_after = date_time_ymd(2001, 2, 3));
    pki.issue("young", &["localhost"], |p| p.not_before = date_time_ymd(2400, 5, 6));
    let ca = pki.path("ca.pem");
    let tls = || client(&[("tls.ca_file", &ca)]).unwrap();
    refused(pki.server("old", &[]), tls(), "localhost", "it expired on 2001-02-03 00:00 UTC; the clock here says 20");
    refused(pki.server("young", &[]), tls(), "localhost", "it becomes valid on 2400-05-06 00:00 UTC, and the clock");
}

#[test]
fn a_self_signed_authority_can_be_trusted_as_it_is() {
    let pki = Pki::new();
    let selfmade = |name: &str, change: fn(&mut CertificateParams)| {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        std::fs::write(pki.path(&format!("{name}.crt")), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(pki.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
        pki.path(&format!("{name}.crt"))
    };
    let crt = selfmade("self", |_| {});
    check(pki.server("self", &[]), client(&[("tls.ca_file", &crt)]).unwrap(), "localhost").unwrap();
    let tls = client(&[("tls.ca_file", &crt)]).unwrap();
    refused(pki.server("self", &[]), tls, "127.0.0.1", "it is not made out to '127.0.0.1' but to localhost");
    let old = selfmade("old", |p| p.not_after = date_time_ymd(2001, 2, 3));
    refused(pki.server("old", &[]), client(&[("tls.ca_file", &old)]).unwrap(), "localhost", "it expired on");
    let ca = pki.path("ca.pem");
    let want = "put this very certificate into tls.ca_file";
    refused(pki.server("self", &[]), client(&[("tls.ca_file", &ca)]).unwrap(), "localhost", want);
}

#[test]
fn clients_show_certificates_where_asked() {
    let pki = Pki::new();
    pki.issue("server", &["localhost"], |_| {});
    pki.issue("client", &["some.client"], |_| {});
    let (ca, crt, key) = (pki.path("ca.pem"), pki.path("client.crt"), pki.path("client.key"));
    let wary = || pki.server("server", &[("tls.verify_client_cert", "on"), ("tls.ca_file", &ca)]);
    let known = client(&[("tls.ca_file", &ca), ("tls.crt_file", &crt), ("tls.key_file", &key)]).unwrap();
    check(wary(), known, "localhost").unwrap();
    let unknown = client(&[("tls.ca_file", &ca)]).unwrap();
    refused(wary(), unknown, "localhost", "it wants a certificate of ours (tls.crt_file, tls.key_file)");
}

#[test]
fn a_peer_without_tls_is_recognised() {
    let pki = Pki::new();
    let ca = pki.path("ca.pem");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = std::thread::spawn(move || {
        use std::io::Write;
        let (mut s, _) = listener.accept().unwrap();
        s.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        s
    });
    run(async {
        let net = NetOut::load(&Section::of("OUTPUT", &[]), &mut Diags::new()).unwrap();
        let tls = client(&[("tls.ca_file", &ca)]).unwrap();
        let up = Upstream::new(Target::Tcp("127.0.0.1".into(), port), &net, Some(tls)).unwrap();
        let why = up.get().await.unwrap_err();
        assert!(why.contains("the peer does not speak TLS on this port"), "{why}");
    })
    .unwrap();
    peer.join().unwrap();
}

#[test]
fn bad_files_name_the_key() {
    let pki = Pki::new();
    pki.issue("a", &["localhost"], |_| {});
    pki.issue("b", &["localhost"], |_| {});
    let (ca, a_crt, a_key, b_key) = (pki.path("ca.pem"), pki.path("a.crt"), pki.path("a.key"), pki.path("b.key"));
    let sealed = pki.path("sealed.key");
    std::fs::write(&sealed, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n")
        .unwrap();
    std::fs::create_dir(pki.path("empty")).unwrap();
    let empty = pki.path("empty");
    type Pairs<'a> = &'a [(&'a str, &'a str)];
    let table: [(Pairs<'_>, &str, &str); 9] = [
        (&[("tls.ca_file", "/nonexistent")], "tls.ca_file", "cannot read '/nonexistent'"),
        (&[("tls.ca_file", &a_key)], "tls.ca_file", "holds no certificate"),
        (&[("tls.ca_path", &empty)], "tls.ca_path", "holds a certificate"),
        (&[("tls.ca_file", &ca), ("tls.crt_file", &a_crt)], "tls.crt_file", "needs tls.key_file"),
        (&[("tls.ca_file", &ca), ("tls.key_file", &a_key)], "tls.key_file", "needs tls.crt_file"),
        (&[("tls.ca_file", &ca), ("tls.crt_file", &a_crt), ("tls.key_file", &a_crt)], "tls.key_file", "no private key"),
        (&[("tls.ca_file", &ca), ("tls.crt_file", &a_crt), ("tls.key_file", &b_key)], "tls.key_file", "cannot be used"),
        (&[("tls.ca_file", &ca), ("tls.crt_file", &a_crt), ("tls.key_file", &sealed)], "tls.key_file", "is encrypted"),
        (&[("tls.min_version", "TLSv1.3"), ("tls.max_version", "TLSv1.2")], "tls.max_version", "below tls.min_version"),
    ];
    for (pairs, key, part) in table {
        // Without an authority the system's are asked for first: this system may have none.
        let pairs = if pairs.len() == 2 && key == "tls.max_version" {
            [pairs, &[("tls.ca_file", ca.as_str())]].concat()
        } else {
            pairs.to_vec()
        };
        let problem = client(&pairs).unwrap_err();
        assert_eq!(problem.key, key);
        assert!(problem.why.contains(part), "{part:?} is not in {problem:?}");
    }
}

/// What both sides of a handshake agreed on, or why there was none.
fn handshake(server: &ServerTls, client: &ClientTls) -> Result<(Session, Session), String> {
    let (mut s, mut c) = (server.session()?, client.session("localhost")?);
    let (mut wire, mut turns) = (Vec::new(), 0);
    while s.is_handshaking() || c.is_handshaking() || s.wants_write() || c.wants_write() {
        for client_speaks in [true, false] {
            let (from, to) = if client_speaks { (&mut c, &mut s) } else { (&mut s, &mut c) };
            wire.clear();
            while from.wants_write() {
                from.write_tls(&mut wire).map_err(|e| e.to_string())?;
            }
            let mut rest = &wire[..];
            while !rest.is_empty() {
                to.read_tls(&mut rest).map_err(|e| e.to_string())?;
            }
        }
        turns += 1;
        assert!(turns < 20, "the handshake does not end");
    }
    Ok((s, c))
}

/// Lets a file look as if it had been written a while ago.
fn age(pki: &Pki, files: &[&str]) {
    for file in files {
        let then = std::time::SystemTime::now() - Duration::from_secs(60);
        std::fs::File::options().append(true).open(pki.path(file)).unwrap().set_modified(then).unwrap();
    }
}

#[test]
fn a_new_certificate_is_shown_and_a_broken_one_is_not() {
    let pki = Pki::new();
    pki.issue("server", &["localhost"], |_| {});
    let (server, ca) = (pki.server("server", &[]), pki.path("ca.pem"));
    let client = client(&[("tls.ca_file", &ca)]).unwrap();
    handshake(&server, &client).unwrap();
    pki.issue("server", &["elsewhere.example"], |_| {});
    // Nobody looks at files for each handshake, nor while they are being written.
    handshake(&server, &client).unwrap();
    server.look();
    handshake(&server, &client).unwrap();
    age(&pki, &["server.crt", "server.key"]);
    server.look();
    let why = handshake(&server, &client).unwrap_err();
    assert!(why.contains("not made out to 'localhost' but to elsewhere.example"), "{why}");
    for text in ["rubbish", ""] {
        std::fs::write(pki.path("server.key"), text).unwrap();
        age(&pki, &["server.key"]);
        server.look();
        assert!(handshake(&server, &client).unwrap_err().contains("elsewhere.example"), "the last good one stays");
    }
    pki.issue("server", &["localhost"], |_| {});
    age(&pki, &["server.crt", "server.key"]);
    server.look();
    handshake(&server, &client).unwrap();
    std::fs::remove_file(pki.path("server.crt")).unwrap();
    server.look();
    handshake(&server, &client).unwrap();
}

#[test]
fn authorities_and_client_certificates_are_read_again() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    pki.issue("server", &["localhost"], |_| {});
    stranger.issue("client", &["c"], |_| {});
    stranger.issue("server", &["localhost"], |_| {});
    for file in ["client.crt", "client.key"] {
        std::fs::copy(stranger.path(file), pki.path(file)).unwrap();
    }
    let (ca, crt, key) = (pki.path("ca.pem"), pki.path("client.crt"), pki.path("client.key"));
    let server = pki.server("server", &[("tls.ca_file", &ca), ("tls.verify_client_cert", "on")]);
    let client = client(&[("tls.ca_file", &ca), ("tls.crt_file", &crt), ("tls.key_file", &key)]).unwrap();
    let why = handshake(&server, &client).unwrap_err();
    assert!(why.contains("its issuer is not trusted"), "{why}");
    pki.issue("client", &["c"], |_| {});
    age(&pki, &["client.crt", "client.key", "ca.pem"]);
    client.look();
    handshake(&server, &client).unwrap();
    // From now on the other authority is trusted, and this server's own no more.
    std::fs::copy(stranger.path("ca.pem"), pki.path("ca.pem")).unwrap();
    age(&pki, &["ca.pem"]);
    client.look();
    assert!(handshake(&server, &client).is_err());
    handshake(&stranger.server("server", &[]), &client).unwrap();
}

#[test]
fn connections_are_resumed() {
    let pki = Pki::new();
    pki.issue("server", &["localhost"], |_| {});
    let ca = pki.path("ca.pem");
    for version in ["TLSv1.2", "TLSv1.3"] {
        let server = pki.server("server", &[("tls.debug", "2")]);
        let client = client(&[("tls.ca_file", &ca), ("tls.max_version", version), ("tls.debug", "2")]).unwrap();
        let first = handshake(&server, &client).unwrap();
        assert!(!first.0.told().contains("resumed"));
        let (s, c) = handshake(&server, &client).unwrap();
        let shown = format!("TLS {}", &version[4..]);
        for (side, words) in [(&s, ["resumed", "asked for 'localhost'"]), (&c, ["resumed", "1 certificate(s)"])] {
            let told = side.told();
            assert!(told.starts_with(&shown) && words.iter().all(|w| told.contains(w)), "{told}");
        }
    }
}

#[test]
fn protocols_are_agreed_on() {
    let pki = Pki::new();
    pki.issue("server", &["localhost"], |_| {});
    let ca = pki.path("ca.pem");
    let plain = client(&[("tls.ca_file", &ca)]).unwrap();
    let server = pki.server("server", &[]).with_alpn(&[b"h2", b"http/1.1"]);
    for (asked, want) in
        [(&[&b"http/1.1"[..]][..], Some(&b"http/1.1"[..])), (&[b"http/1.1", b"h2"], Some(b"h2")), (&[], None)]
    {
        let (s, c) = handshake(&server, &plain.with_alpn(asked)).unwrap();
        assert_eq!((s.alpn(), c.alpn()), (want, want));
    }
    let why = handshake(&server, &plain.with_alpn(&[b"smtp"])).unwrap_err();
    assert!(why.contains("no application protocol that both sides serve"), "{why}");
    // It outlives a change of files.
    pki.issue("server", &["localhost"], |_| {});
    age(&pki, &["server.crt", "server.key"]);
    server.look();
    assert_eq!(handshake(&server, &plain.with_alpn(&[b"h2"])).unwrap().0.alpn(), Some(&b"h2"[..]));
}

#[test]
fn suites_are_those_that_were_asked_for() {
    let pki = Pki::new();
    pki.issue("server", &["localhost"], |_| {});
    let ca = pki.path("ca.pem");
    let of = |list| client(&[("tls.ca_file", &ca), ("tls.ciphers", list), ("tls.max_version", "TLSv1.2")]).unwrap();
    let suite = "ECDHE-ECDSA-AES256-GCM-SHA384";
    let server = pki.server("server", &[("tls.ciphers", suite)]);
    assert!(handshake(&server, &of("HIGH")).unwrap().0.told().contains(suite));
    let why = handshake(&server, &of("CHACHA20")).unwrap_err();
    assert!(why.contains("no cipher suite that both sides serve (tls.ciphers here"), "{why}");
    assert_eq!(client(&[("tls.ciphers", "RC4")]).unwrap_err().key, "tls.ciphers");
}

#[test]
fn certificates_that_clients_need_not_show_are_checked_all_the_same() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    pki.issue("server", &["localhost"], |_| {});
    stranger.issue("client", &["c"], |_| {});
    let (ca, dir) = (pki.path("ca.pem"), pki.path(""));
    let (crt, key) = (stranger.path("client.crt"), stranger.path("client.key"));
    let known = |more: &[(&str, &str)]| client(&[&[("tls.ca_file", ca.as_str())], more].concat()).unwrap();
    let (bare, strange) = (known(&[]), known(&[("tls.crt_file", &crt), ("tls.key_file", &key)]));
    for trust in [("tls.ca_file", ca.as_str()), ("tls.ca_path", &dir)] {
        let server = pki.server("server", &[trust]);
        handshake(&server, &bare).unwrap();
        assert!(handshake(&server, &strange).unwrap_err().contains("its issuer is not trusted"));
        handshake(&pki.server("server", &[trust, ("tls.verify", "off")]), &strange).unwrap();
        let server = pki.server("server", &[trust, ("tls.verify_client_cert", "on")]);
        let why = handshake(&server, &bare).unwrap_err();
        assert!(why.contains("the client showed no certificate, and tls.verify_client_cert wants one"), "{why}");
    }
    handshake(&pki.server("server", &[]), &strange).unwrap();
}
