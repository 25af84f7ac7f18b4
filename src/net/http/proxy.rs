//! Which proxy a client goes through: the one it is given, or the environment's.

use ureq::Proxy;

/// Where a client goes, and how patient it is on that way.
#[derive(Debug, Clone, Copy, Default)]
pub struct Way<'a> {
    /// The server's host: for `NO_PROXY`.
    pub host: &'a str,
    /// Whether the server is spoken to with TLS: for `HTTPS_PROXY`.
    pub tls: bool,
    /// The proxy to go through, whatever the environment says: `http://user:password@host:port`.
    pub proxy: Option<&'a str>,
    /// How long an answer's head may take; zero is no limit of its own.
    pub response_timeout: std::time::Duration,
    /// How long reading may make no progress; zero leaves it to `net.io_timeout`.
    pub read_timeout: std::time::Duration,
}

/// The proxy of a way; `env` looks up the environment, or is silent where that is to be ignored.
///
/// `HTTPS_PROXY` is for servers with TLS, and `HTTP_PROXY` for them, too, where that is missing: it is the one variable
/// that Fluent Bit knows. `ALL_PROXY` comes last. Names in lower case mean the same.
///
/// # Errors
/// When the address is none.
pub(super) fn choose(way: &Way<'_>, env: impl Fn(&str) -> Option<String>) -> Result<Option<Proxy>, String> {
    if let Some(given) = way.proxy {
        return parse(given, given).map(Some);
    }
    let both = |name: &str| env(name).or_else(|| env(&name.to_ascii_lowercase())).filter(|v| !v.trim().is_empty());
    if both("NO_PROXY").is_some_and(|list| is_excepted(way.host, &list)) {
        return Ok(None);
    }
    let names: &[&str] =
        if way.tls { &["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"] } else { &["HTTP_PROXY", "ALL_PROXY"] };
    match names.iter().find_map(|name| Some((name, both(name)?))) {
        Some((name, address)) => parse(address.trim(), &format!("{name} in the environment")).map(Some),
        None => Ok(None),
    }
}

fn parse(address: &str, shown: &str) -> Result<Proxy, String> {
    let proxy = Proxy::new(address).map_err(|_| format!("{shown} is not the address of a proxy"))?;
    match proxy.protocol() {
        ureq::ProxyProtocol::Http => Ok(proxy),
        _ => Err(format!("{shown}: only http:// proxies are served, not {:?}", proxy.protocol())),
    }
}

/// Whether a host stands in a `NO_PROXY` list: by name, below a domain that stands there with or without a dot, or `*`.
fn is_excepted(host: &str, list: &str) -> bool {
    let host = host.trim_matches(|c| c == '[' || c == ']').to_ascii_lowercase();
    list.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.trim_matches(|c| c == '[' || c == ']').to_ascii_lowercase();
        let domain = entry.trim_start_matches('*').trim_start_matches('.');
        entry == "*"
            || host == entry
            || (!domain.is_empty() && host.strip_suffix(domain).is_some_and(|front| front.ends_with('.')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(host: &str, tls: bool, proxy: Option<&str>, env: &[(&str, &str)]) -> Result<Option<u16>, String> {
        let look = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        choose(&Way { host, tls, proxy, ..Way::default() }, look).map(|p| p.map(|p| p.port()))
    }

    #[test]
    fn the_environment_and_its_exceptions() {
        let env =
            [("HTTP_PROXY", "http://p:1"), ("https_proxy", "http://p:2"), ("no_proxy", "a.test, .b.test,*.c.test ::1")];
        for (host, tls, port) in [
            ("x.test", false, Some(1)),
            ("x.test", true, Some(2)),
            ("A.test", true, None),
            ("sub.a.test", true, None),
            ("aa.test", false, Some(1)),
            ("b.test", false, Some(1)),
            ("x.b.test", false, None),
            ("x.c.test", false, None),
            ("[::1]", false, None),
        ] {
            assert_eq!(chosen(host, tls, None, &env), Ok(port), "{host}");
        }
        assert_eq!(chosen("x", true, None, &[("HTTP_PROXY", "p:3"), ("HTTPS_PROXY", " ")]), Ok(Some(3)));
        assert_eq!(
            chosen("x", false, None, &[("ALL_PROXY", "http://p:4"), ("HTTPS_PROXY", "http://p:2")]),
            Ok(Some(4))
        );
        assert_eq!(chosen("x", false, None, &[("HTTP_PROXY", "p:3"), ("NO_PROXY", "*")]), Ok(None));
        assert_eq!(chosen("x", false, Some("http://given:5"), &[("NO_PROXY", "*")]), Ok(Some(5)));
    }

    #[test]
    fn what_is_no_proxy() {
        let why = chosen("x", false, Some("http://"), &[]).unwrap_err();
        assert!(why.contains("not the address of a proxy"), "{why}");
        let why = chosen("x", true, None, &[("HTTPS_PROXY", "https://p")]).unwrap_err();
        assert!(why.starts_with("HTTPS_PROXY in the environment: only http://"), "{why}");
    }
}
