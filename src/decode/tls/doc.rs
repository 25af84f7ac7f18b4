//! The document of a handshake, in Packetbeat's shape.

use super::extensions::{self, LIST_MAX, labels};
use super::hello::{ClientHello, Extensions, ServerHello};
use super::keys::Keys;
use super::names::{self, Version, is_grease};
use super::session::{Kept, Outcome, Party, Session};
use super::x509::name::{Name, Part};
use super::x509::{self, Certificate, time_text};
use super::{Settings, ja, sslv2};
use crate::decode::{Cx, Dir, Doc, Head};
use crate::event::Key;
use crate::util::hex;
use base64::Engine;
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;

/// Certificates of a chain that are shown. Real chains have two to five.
const CHAIN_MAX: usize = 32;

/// A handshake with its messages read.
struct Handshake<'a> {
    session: &'a Session,
    client: Option<ClientHello<'a>>,
    client_v2: Option<sslv2::ClientHello<'a>>,
    server: Option<ServerHello<'a>>,
    /// Of the client, of the server; those that could not be read are empty.
    certificates: [Vec<(&'a [u8], Option<Certificate<'a>>)>; 2],
    outcome: Outcome,
}

/// Writes it.
pub fn emit(cx: &mut Cx<'_>, settings: &Settings, session: &Session, outcome: Outcome) {
    let requester = session.client();
    let parties = [session.party(requester), session.party(requester.other())];
    let certificates = parties.map(|p| {
        let body = p.certificates.as_ref().map(|k| k.bytes.as_ref()).unwrap_or_default();
        x509::chain(body).take(CHAIN_MAX).map(|der| (der, Certificate::parse(der))).collect::<Vec<_>>()
    });
    let h = Handshake {
        session,
        client: session.client_hello.as_ref().and_then(|k| ClientHello::parse(&k.bytes)),
        client_v2: session.client_hello_v2.as_deref().and_then(sslv2::ClientHello::parse),
        server: session.server_hello.as_ref().and_then(|k| ServerHello::parse(&k.bytes)),
        certificates,
        outcome,
    };
    let notes = h.notes(requester);
    let notes: Vec<&str> = notes.iter().map(String::as_str).collect();
    let hosts: Vec<&[u8]> = h.client.iter().flat_map(|c| c.extensions.server_names()).collect();
    let established = outcome == Outcome::Established;
    let head = Head {
        start: Some(session.start),
        end: established.then(|| cx.time()),
        status: if established { "OK" } else { "Error" },
        notes: &notes,
        server_domain: hosts.first().copied(),
        hosts: &hosts,
        ..Head::new("tls", requester)
    };
    cx.emit(&head, |doc| doc.map(settings.keys.tls, |tls| h.write(tls, settings)));
}

impl Handshake<'_> {
    fn write(&self, tls: &mut Doc<'_>, settings: &Settings) {
        let k = &settings.keys;
        let established = self.outcome == Outcome::Established;
        let resumption = self.session.resumption();
        let version = self.version();
        if let Some(version) = version {
            let (protocol, number) = version.ecs();
            tls.plain(k.version, number.as_bytes());
            tls.plain(k.version_protocol, protocol.as_bytes());
        }
        tls.bool(k.established, established);
        tls.bool(k.resumed, resumption.is_some());
        match (&self.server, self.session.suite_v2) {
            (Some(server), _) => tls.plain(k.cipher, names::suite(server.suite).as_bytes()),
            (None, Some(suite)) => tls.plain(k.cipher, names::suite_v2(suite).as_bytes()),
            (None, None) => {}
        }
        if let Some(group) = self.session.group {
            tls.plain(k.curve, names::group(group).as_bytes());
        }
        if let Some(chosen) = self.server.and_then(|s| s.extensions.protocols().next()) {
            tls.text(k.next_protocol, chosen);
        }
        tls.map_unless_empty(k.client, |m| {
            self.write_client(m, k);
            self.write_certificate(m, settings, Side::Client);
        });
        tls.map_unless_empty(k.server, |m| {
            if let Some(server) = self.server.filter(|_| !is_cut(&self.session.server_hello)) {
                m.plain(k.ja3s, &ja::ja3s(&server));
            }
            self.write_certificate(m, settings, Side::Server);
        });
        if settings.detailed {
            tls.map(k.detailed, |d| {
                if let Some(version) = version {
                    d.plain(k.version, version.label().as_bytes());
                }
                self.write_detailed(d, settings, resumption);
            });
        }
    }

    /// The server's choice, or the client's wish where there is none.
    fn version(&self) -> Option<Version> {
        let wish = || self.client.map(|c| c.version).or(self.client_v2.map(|c| c.version));
        self.session.version.or_else(wish)
    }

    fn write_client(&self, m: &mut Doc<'_>, k: &Keys) {
        if let Some(hello) = &self.client {
            // Fingerprints of a part of a message, or of what cannot be read, would be wrong ones.
            if !is_cut(&self.session.client_hello) && !hello.extensions.is_broken {
                m.plain(k.ja3, &ja::ja3(hello));
                m.plain(k.ja4, &ja::ja4(hello));
            }
            if let Some(name) = hello.extensions.server_names().next() {
                m.text(k.server_name, name);
            }
            labels(m, k.supported_ciphers, hello.suites().filter(|c| !is_grease(*c)).map(names::suite));
        } else if let Some(hello) = &self.client_v2 {
            labels(m, k.supported_ciphers, hello.suites().map(names::suite_v2));
        }
    }

    /// What ECS has of the first certificate of a side.
    fn write_certificate(&self, m: &mut Doc<'_>, settings: &Settings, side: Side) {
        let k = &settings.keys;
        let chain = self.chain(side);
        if let Some((der, certificate)) = chain.first() {
            let wanted = settings.fingerprints;
            m.map_unless_empty(k.hash, |h| {
                for (key, wanted, hash) in [
                    (k.md5, wanted.md5, hash::<Md5> as fn(&[u8]) -> Vec<u8>),
                    (k.sha1, wanted.sha1, hash::<Sha1>),
                    (k.sha256, wanted.sha256, hash::<Sha256>),
                ] {
                    if wanted {
                        h.plain(key, &hash(der));
                    }
                }
            });
            if let Some(c) = certificate {
                for (key, name) in [(k.issuer, &c.issuer), (k.subject, &c.subject)] {
                    let text = name.to_text();
                    if !text.is_empty() {
                        m.text(key, &text);
                    }
                }
                write_validity(m, k, c);
                if settings.certificates && settings.detailed {
                    m.map(k.x509, |x| write_x509(x, k, c));
                }
            }
        }
        if settings.raw {
            m.list_unless_empty(k.certificate_chain, |l| {
                chain.iter().for_each(|(der, _)| l.text(Key::NONE, &pem(der)));
            });
        }
    }

    fn write_detailed(&self, d: &mut Doc<'_>, settings: &Settings, resumption: Option<&str>) {
        let k = &settings.keys;
        d.bool(k.client_certificate_requested, self.session.is_certificate_requested);
        if self.session.is_retried {
            d.bool(k.hello_retry_request, true);
        }
        if let Some(method) = resumption {
            d.plain(k.resumption_method, method.as_bytes());
        }
        if let Some(state) = self.session.ocsp {
            d.plain(k.ocsp_response, names::ocsp_status(state).as_bytes());
        }
        if let Some(hello) = &self.client {
            d.map(k.client_hello, |m| {
                let methods = hello.compression.iter().map(|c| names::compression(*c));
                labels(m, k.supported_compression_methods, methods);
                write_hello(m, k, hello.version, hello.session_id, hello.extensions);
            });
        } else if let Some(hello) = &self.client_v2 {
            d.map(k.client_hello, |m| write_hello(m, k, hello.version, hello.session_id, Extensions::default()));
        }
        if let Some(hello) = &self.server {
            d.map(k.server_hello, |m| {
                if let Some(method) = hello.compression {
                    m.plain(k.selected_compression_method, names::compression(method).as_bytes());
                }
                write_hello(m, k, hello.version, hello.session_id, hello.extensions);
            });
        }
        if settings.certificates {
            for (side, first, rest) in [
                (Side::Client, k.client_certificate, k.client_certificate_chain),
                (Side::Server, k.server_certificate, k.server_certificate_chain),
            ] {
                let mut chain = self.chain(side).iter();
                if let Some((_, Some(c))) = chain.next() {
                    d.map(first, |x| write_x509(x, k, c));
                }
                d.list_unless_empty(rest, |l| {
                    chain.filter_map(|(_, c)| c.as_ref()).for_each(|c| l.map(Key::NONE, |x| write_x509(x, k, c)));
                });
            }
        }
        self.write_alerts(d, k);
    }

    fn write_alerts(&self, d: &mut Doc<'_>, k: &Keys) {
        let requester = self.session.client();
        let sides = [("client", requester), ("server", requester.other())];
        let alerts = |name, dir| self.session.party(dir).alerts.iter().map(move |a| (name, *a));
        let all = || sides.iter().flat_map(|(name, dir)| alerts(*name, *dir));
        d.list_unless_empty(k.alerts, |l| {
            for (source, (level, code)) in all() {
                l.map(Key::NONE, |m| {
                    m.plain(k.severity, names::severity(level).as_bytes());
                    m.uint(k.code, code.into());
                    m.plain(k.kind, names::alert(code).as_bytes());
                    m.plain(k.source, source.as_bytes());
                });
            }
        });
        labels(d, k.alert_types, all().map(|(_, (_, code))| names::alert(code)));
    }

    fn chain(&self, side: Side) -> &[(&[u8], Option<Certificate<'_>>)] {
        let [client, server] = &self.certificates;
        if side == Side::Client { client } else { server }
    }

    /// What is unusual, and why a handshake failed.
    fn notes(&self, requester: Dir) -> Vec<String> {
        let mut notes = Vec::new();
        let session = self.session;
        let sides: [(&str, &str, &Party, Dir); 2] = [
            ("client", "request", session.party(requester), requester),
            ("server", "response", session.party(requester.other()), requester.other()),
        ];
        if self.client_v2.is_some() {
            notes.push("The ClientHello has the format of SSL 2.0".to_owned());
        }
        for (_, what, _, dir) in sides {
            if session.is_lossy(dir) {
                notes.push(format!("Packet loss while capturing the {what}"));
            }
        }
        for (who, _, party, _) in sides {
            if party.is_odd {
                notes.push(format!("A message of the {who} is malformed, cut or too long"));
            }
        }
        if self.certificates.iter().flatten().any(|(_, c)| c.is_none()) {
            notes.push("A certificate could not be read".to_owned());
        }
        let hellos = self.client.map(|c| c.extensions).into_iter().chain(self.server.map(|s| s.extensions));
        let suites = self.client.map_or(0, |c| c.suites().count());
        if suites > LIST_MAX || hellos.clone().any(extensions::is_too_long) {
            notes.push(format!("Of a list with more than {LIST_MAX} entries the rest is left out"));
        }
        if hellos.clone().any(|e| e.is_broken)
            && ![&session.client_hello, &session.server_hello].into_iter().any(is_cut)
        {
            notes.push("The extensions of a hello are malformed".to_owned());
        }
        for (who, _, party, _) in sides {
            notes.extend(party.alerts.iter().map(|(level, code)| {
                let text = |label: names::Label| String::from_utf8_lossy(label.as_bytes()).into_owned();
                format!("Alert of the {who}: {} ({})", text(names::alert(*code)), text(names::severity(*level)))
            }));
            if party.sealed_alert {
                notes.push(format!("Alert of the {who}, encrypted"));
            }
        }
        let reason = match self.outcome {
            Outcome::Established => return notes,
            Outcome::Foreign => {
                let who = if sides[0].2.is_foreign { "client" } else { "server" };
                notes.push(format!("What the {who} sent is not TLS"));
                return notes;
            }
            Outcome::Reset => "The connection was reset during the handshake",
            Outcome::Closed => "The connection was closed during the handshake",
            Outcome::TimedOut => "The handshake was not completed in time",
            Outcome::Unknown => "The end of the handshake was not seen",
        };
        for (who, _, party, _) in sides {
            if !party.is_seen {
                notes.push(format!("Nothing of the {who} was seen"));
            }
        }
        notes.push(reason.to_owned());
        notes
    }
}

/// Whose certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

fn is_cut(kept: &Option<Kept>) -> bool {
    kept.as_ref().is_some_and(|k| k.is_cut)
}

/// What both hellos have.
fn write_hello(m: &mut Doc<'_>, k: &Keys, version: Version, session_id: &[u8], extensions: Extensions<'_>) {
    m.plain(k.version, version.raw().as_bytes());
    if !session_id.is_empty() {
        let mut text = Vec::new();
        hex::push(&mut text, session_id);
        m.plain(k.session_id, &text);
    }
    extensions::write(m, k, extensions);
}

fn write_validity(m: &mut Doc<'_>, k: &Keys, c: &Certificate<'_>) {
    for (key, time) in [(k.not_before, &c.not_before), (k.not_after, &c.not_after)] {
        if let Some(time) = time {
            m.plain(key, time_text(time).as_bytes());
        }
    }
}

fn write_x509(m: &mut Doc<'_>, k: &Keys, c: &Certificate<'_>) {
    m.uint(k.version, c.version.into());
    m.uint(k.version_number, c.version.into());
    m.plain(k.serial_number, c.serial.as_bytes());
    m.map_unless_empty(k.issuer, |n| write_name(n, k, &c.issuer));
    m.map_unless_empty(k.subject, |n| write_name(n, k, &c.subject));
    write_validity(m, k, c);
    m.plain(k.public_key_algorithm, c.key.algorithm.as_bytes());
    if let Some(bits) = c.key.bits {
        m.uint(k.public_key_size, bits.into());
    }
    m.plain(k.signature_algorithm, c.signature.algorithm.as_bytes());
    m.list_unless_empty(k.alternative_names, |l| c.alternatives.iter().for_each(|name| l.text(Key::NONE, name)));
}

fn write_name(m: &mut Doc<'_>, k: &Keys, name: &Name<'_>) {
    for (part, key) in [
        (Part::Country, k.country),
        (Part::Organization, k.organization),
        (Part::OrganizationalUnit, k.organizational_unit),
        (Part::Locality, k.locality),
        (Part::Province, k.province),
        (Part::Province, k.state_or_province),
        (Part::PostalCode, k.postal_code),
        (Part::SerialNumber, k.serial_number),
        (Part::CommonName, k.common_name),
        (Part::Street, k.street_address),
    ] {
        if let Some(value) = name.part(part) {
            m.text(key, &value);
        }
    }
    let text = name.to_text();
    if !text.is_empty() {
        m.text(k.distinguished_name, &text);
    }
}

/// A hash in upper-case hexadecimal digits.
fn hash<H: Digest>(der: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    hex::push(&mut out, &H::digest(der));
    out.make_ascii_uppercase();
    out
}

/// RFC 7468: lines of 64 characters.
fn pem(der: &[u8]) -> Vec<u8> {
    let mut out = b"-----BEGIN CERTIFICATE-----\n".to_vec();
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    for line in text.as_bytes().chunks(64) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.extend_from_slice(b"-----END CERTIFICATE-----\n");
    out
}
