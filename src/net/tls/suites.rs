//! `tls.ciphers`: suites by the names and groups of OpenSSL's cipher lists, or by those of IANA.

use super::Problem;
use crate::util::sort;
use rustls::crypto::{CryptoProvider, ring};
use rustls::{CipherSuite, SupportedCipherSuite};
use std::sync::Arc;

/// OpenSSL's names of the suites of TLS 1.2. It calls those of TLS 1.3 as IANA does.
const NAMES: [(CipherSuite, &str); 6] = [
    (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256"),
    (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384"),
    (CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305"),
    (CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256"),
    (CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384"),
    (CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305"),
];

/// Words of OpenSSL for groups that all suites here belong to.
const ALL: [&str; 9] =
    ["ALL", "DEFAULT", "COMPLEMENTOFDEFAULT", "HIGH", "SECURE", "ECDHE", "EECDH", "KECDHE", "KEECDH"];

/// The cryptography to use: everything without `tls.ciphers`.
pub(super) fn provider(ciphers: Option<&str>) -> Result<Arc<CryptoProvider>, Problem> {
    let mut provider = ring::default_provider();
    if let Some(list) = ciphers {
        let (suites, unknown) = choose(list, &provider.cipher_suites);
        let names = || provider.cipher_suites.iter().map(name).collect::<Vec<_>>().join(":");
        if !unknown.is_empty() {
            let unknown = unknown.join(", ");
            if suites.is_empty() {
                let why = format!("names no cipher suite that is served ({unknown}); served are {}", names());
                return Err(Problem::new("tls.ciphers", why, "Leave it out: all of them are strong."));
            }
            log::warn!("[tls] tls.ciphers: not served and left out: {unknown}; served are {}", names());
        }
        if suites.is_empty() {
            let why = format!("leaves no cipher suite; served are {}", names());
            return Err(Problem::new("tls.ciphers", why, "Leave it out: all of them are strong."));
        }
        provider.cipher_suites = suites;
    }
    Ok(Arc::new(provider))
}

/// The suites that a list names, in its order, and its words that name none. Suites of TLS 1.3 stay unless the list
/// names some: OpenSSL's lists are about TLS 1.2.
fn choose<'a>(list: &'a str, served: &[SupportedCipherSuite]) -> (Vec<SupportedCipherSuite>, Vec<&'a str>) {
    let (mut chosen, mut unknown) = (Vec::<SupportedCipherSuite>::new(), Vec::new());
    for word in list.split([':', ',', ' ', ';']).filter(|w| !w.is_empty() && !w.starts_with('@')) {
        let (sign, what) = match word.strip_prefix(['!', '-']) {
            Some(rest) => ("-", rest),
            None => word.strip_prefix('+').map_or(("", word), |rest| ("+", rest)),
        };
        let named = |s: &SupportedCipherSuite| what.split('+').all(|part| fits(s, part));
        match sign {
            // What is not there need not be taken away.
            "-" => chosen.retain(|s| !named(s)),
            // To the end of the list.
            "+" => sort::by_key(&mut chosen, named),
            _ => {
                let before = served.iter().filter(|s| named(s));
                if before.clone().next().is_none() {
                    unknown.push(word);
                }
                let new: Vec<_> = before.filter(|s| !chosen.contains(s)).copied().collect();
                chosen.extend(new);
            }
        }
    }
    let is_13 = |s: &SupportedCipherSuite| s.tls13().is_some();
    if !chosen.is_empty() && !chosen.iter().any(is_13) {
        let mut all: Vec<_> = served.iter().filter(|s| is_13(s)).copied().collect();
        all.append(&mut chosen);
        chosen = all;
    }
    (chosen, unknown)
}

/// Whether a suite is the one of this name, or in the group of this name.
fn fits(suite: &SupportedCipherSuite, word: &str) -> bool {
    let is = |text: &str| text.eq_ignore_ascii_case(word);
    let name = name(suite);
    if is(&name) || is(&format!("{:?}", suite.suite())) {
        return true;
    }
    if suite.tls13().is_some() {
        return is("TLSv1.3");
    }
    let groups = [("AESGCM", "GCM"), ("AES", "AES"), ("aRSA", "RSA"), ("aECDSA", "ECDSA")];
    ALL.iter().any(|all| is(all))
        || is("TLSv1.2")
        || name.split('-').any(is)
        || groups.iter().any(|(group, part)| is(group) && name.split('-').any(|p| p.starts_with(part)))
}

/// A suite's name in OpenSSL.
pub(super) fn name(suite: &SupportedCipherSuite) -> String {
    let known = NAMES.iter().find(|(s, _)| *s == suite.suite());
    // The library writes TLS13_ where the registry has TLS_.
    known.map_or_else(|| format!("{:?}", suite.suite()).replace("TLS13_", "TLS_"), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names that a list chooses, those of TLS 1.3 shortened to `13`; then its unknown words.
    fn check(list: &str, want: &str, want_unknown: &str) {
        let (suites, unknown) = choose(list, &ring::default_provider().cipher_suites);
        let mut names: Vec<_> = suites.iter().map(name).collect();
        if names.iter().filter(|n| n.starts_with("TLS_")).count() == 3 {
            names.retain(|n| !n.starts_with("TLS_"));
            names.insert(0, "13".into());
        }
        assert_eq!((names.join(" "), unknown.join(" ")), (want.to_owned(), want_unknown.to_owned()), "{list}");
    }

    #[test]
    fn lists_of_openssl() {
        let rsa = "ECDHE-RSA-AES128-GCM-SHA256";
        check(rsa, &format!("13 {rsa}"), "");
        check("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", &format!("13 {rsa}"), "");
        check(&format!("{rsa}:DHE-RSA-AES128-SHA"), &format!("13 {rsa}"), "DHE-RSA-AES128-SHA");
        check("TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256", "");
        check("ECDHE+AESGCM+aRSA, !AES256", &format!("13 {rsa}"), "");
        let chacha = "ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-CHACHA20-POLY1305";
        check("CHACHA20:!aNULL:!MD5:@STRENGTH", &format!("13 {chacha}"), "");
        check("HIGH:!CHACHA20:!ECDSA:+AES256", &format!("13 {rsa} ECDHE-RSA-AES256-GCM-SHA384"), "");
        check("RC4-MD5", "", "RC4-MD5");
        check("HIGH:!HIGH", "", "");
    }

    #[test]
    fn what_leaves_nothing_is_refused() {
        for (list, part) in [
            ("RC4-MD5:NULL", "names no cipher suite that is served (RC4-MD5, NULL); served are TLS_"),
            ("", "leaves no"),
        ] {
            let problem = provider(Some(list)).unwrap_err();
            assert_eq!(problem.key, "tls.ciphers");
            assert!(problem.why.contains(part), "{problem:?}");
        }
        assert_eq!(provider(None).unwrap().cipher_suites.len(), 9);
    }
}
