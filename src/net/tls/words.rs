//! TLS errors for the operator: what is wrong, and what to do.

use crate::time::civil::Civil;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, CommonState, Error, HandshakeKind, InvalidMessage, OtherError,
    PeerIncompatible, ProtocolVersion,
};

/// What both sides agreed on: `TLS 1.3 with TLS_AES_256_GCM_SHA384, resumed, h2`.
pub(in crate::net) fn told(connection: &CommonState, name: Option<&str>) -> String {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3".to_owned(),
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2".to_owned(),
        other => format!("{other:?}"),
    };
    let suite = connection.negotiated_cipher_suite().map(|s| super::suites::name(&s)).unwrap_or_default();
    let kind = if connection.handshake_kind() == Some(HandshakeKind::Resumed) { ", resumed" } else { "" };
    let certificates = connection.peer_certificates().map_or(0, <[_]>::len);
    let shown =
        if certificates > 0 { format!(", the peer showed {certificates} certificate(s)") } else { String::new() };
    let alpn = connection.alpn_protocol().map(|p| format!(", {}", p.escape_ascii())).unwrap_or_default();
    let name = name.map(|n| format!(", asked for '{n}'")).unwrap_or_default();
    format!("{version} with {suite}{kind}{name}{alpn}{shown}")
}

/// An error of the TLS library in words; `server` when it came about on our side of an input.
pub(super) fn words(error: &Error, server: bool) -> String {
    match error {
        Error::NoCertificatesPresented if server => {
            "the client showed no certificate, and tls.verify_client_cert wants one".into()
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) if server => {
            "the client does not speak TLS, which this port wants (set TLS on there, or tls off here)".into()
        }
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => {
            "there is no cipher suite that both sides serve (tls.ciphers here, or the kind of key of the certificate)".into()
        }
        Error::PeerIncompatible(
            PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NoSignatureSchemesInCommon
            | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon
            | PeerIncompatible::NamedGroupsExtensionRequired,
        ) => "there is no key exchange or signature that both sides serve (our certificate's kind of key, the peer's \
              curves)"
            .into(),
        Error::NoApplicationProtocol => "there is no application protocol that both sides serve (ALPN)".into(),
        Error::DecryptError => "what the peer sends cannot be decrypted".into(),
        Error::InvalidCertificate(why) => format!("the peer's certificate is refused: {}", certificate(why)),
        Error::NoCertificatesPresented => "the peer showed no certificate".into(),
        Error::AlertReceived(alert) => format!("the peer refused: {}", received(*alert)),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the peer does not speak TLS on this port (set tls off, or use its TLS port)".into()
        }
        Error::InvalidMessage(why) => format!("what the peer sends is not TLS that can be read ({why:?})"),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            // Only versions before 1.2 say nothing of signatures.
            | PeerIncompatible::SignatureAlgorithmsExtensionRequired,
        ) => "there is no TLS version that both sides speak (tls.min_version and tls.max_version here)".into(),
        other => format!("TLS: {other}"),
    }
}

/// An input or output error in words where it is one of the TLS library.
#[cfg(feature = "http-client")]
pub(in crate::net) fn tls_words(e: std::io::Error) -> std::io::Error {
    match e.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(inner) => std::io::Error::new(e.kind(), words(inner, false)),
        None => e,
    }
}

fn certificate(error: &CertificateError) -> String {
    use CertificateError as E;
    match error {
        E::UnknownIssuer => "its issuer is not trusted (tls.ca_file names the authorities to trust)".into(),
        E::NotValidForName => "it is made out to another name (tls.vhost says which name to expect)".into(),
        E::NotValidForNameContext { expected, presented } => name(expected, presented),
        E::Expired => "it has expired".into(),
        E::ExpiredContext { time, not_after } => {
            format!("it expired on {}; the clock here says {}", date(*not_after), date(*time))
        }
        E::NotValidYet => "it is not valid yet: check the clock of this machine".into(),
        E::NotValidYetContext { time, not_before } => format!(
            "it becomes valid on {}, and the clock here says {}: set the clock of this machine",
            date(*not_before),
            date(*time)
        ),
        E::Revoked => "it was revoked".into(),
        E::BadSignature => {
            "its signature is wrong, or of another authority of the same name than the one in tls.ca_file".into()
        }
        E::BadEncoding => "it cannot be read".into(),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => "it is not made for this side of a connection".into(),
        E::Other(OtherError(inner)) if inner.to_string().contains("CaUsedAsEndEntity") => {
            "it is an authority's own certificate, used as a server's (put this very certificate into tls.ca_file to \
             trust it)"
                .into()
        }
        other => other.to_string(),
    }
}

fn name(expected: &ServerName<'_>, presented: &[String]) -> String {
    let expected = expected.to_str();
    let shown = presented.iter().map(|p| plain(p)).collect::<Vec<_>>().join(", ");
    match shown.as_str() {
        "" => format!("it is not made out to '{expected}': it names no host (a common name alone does not count)"),
        names => format!("it is not made out to '{expected}' but to {names} (tls.vhost says which name to expect)"),
    }
}

/// `DnsName("a.b")` becomes `a.b`.
fn plain(presented: &str) -> &str {
    presented.split_once("(\"").and_then(|(_, rest)| rest.strip_suffix("\")")).unwrap_or(presented)
}

fn received(alert: AlertDescription) -> String {
    use AlertDescription as A;
    match alert {
        A::CertificateRequired => "it wants a certificate of ours (tls.crt_file, tls.key_file)".into(),
        A::UnknownCA | A::BadCertificate | A::CertificateUnknown | A::CertificateExpired | A::CertificateRevoked => {
            format!("it does not accept our certificate or authority ({alert:?})")
        }
        A::HandshakeFailure => "no common way to encrypt, or it wants a certificate of ours (HandshakeFailure)".into(),
        A::ProtocolVersion => "it does not speak this TLS version (tls.min_version and tls.max_version here)".into(),
        A::UnrecognisedName => "it knows no server of that name (tls.vhost)".into(),
        A::AccessDenied => "access denied".into(),
        other => format!("{other:?}"),
    }
}

fn date(time: UnixTime) -> String {
    let secs = i64::try_from(time.as_secs()).unwrap_or(i64::MAX / 4);
    let Civil { year, month, day, hour, minute, .. } = Civil::from_secs(secs);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_clock_is_named_where_dates_are_the_matter() {
        let at = |secs| UnixTime::since_unix_epoch(Duration::from_secs(secs));
        let early = CertificateError::NotValidYetContext { time: at(86_400), not_before: at(1_700_000_000) };
        assert_eq!(
            words(&Error::InvalidCertificate(early), false),
            "the peer's certificate is refused: it becomes valid on 2023-11-14 22:13 UTC, and the clock here says \
             1970-01-02 00:00 UTC: set the clock of this machine"
        );
        let late = CertificateError::ExpiredContext { time: at(1_700_000_000), not_after: at(0) };
        assert!(words(&Error::InvalidCertificate(late), false).contains("it expired on 1970-01-01 00:00 UTC"));
    }

    #[test]
    fn names_are_shown_plainly() {
        assert_eq!(plain("DnsName(\"a.b\")"), "a.b");
        assert_eq!(plain("other"), "other");
    }
}
