//! Targets of requests (RFC 9112 §3.2) and the hosts they name.

use std::net::IpAddr;

/// A target with what its request says elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Url<'a> {
    /// Empty in authority-form.
    pub(super) scheme: &'a [u8],
    pub(super) user: &'a [u8],
    /// Without brackets; may be empty.
    pub(super) host: &'a [u8],
    pub(super) port: Option<u16>,
    pub(super) path: &'a [u8],
    pub(super) query: Option<&'a [u8]>,
    /// Host and port come from the target, not from the Host header: the request goes to a proxy.
    pub(super) absolute: bool,
}

impl<'a> Url<'a> {
    /// Reads the target of a request with this `Host` header.
    pub(super) fn of(method: &[u8], target: &'a [u8], host: &'a [u8]) -> Self {
        if method == b"CONNECT" {
            let a = authority(target);
            return Self { host: a.host, port: a.port, user: a.user, absolute: true, ..Self::default() };
        }
        if let Some((scheme, rest)) = absolute(target) {
            let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
            let (place, rest) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            let a = authority(place);
            let (path, query) = split_query(rest);
            let path = if path.is_empty() { &b"/"[..] } else { path };
            return Self { scheme, user: a.user, host: a.host, port: a.port, path, query, absolute: true };
        }
        let a = authority(host);
        let (path, query) = split_query(target);
        Self { scheme: b"http", user: &[], host: a.host, port: a.port, path, query, absolute: false }
    }

    /// The port, when it is not the one that the scheme stands for. `server` is where the request was sent to.
    pub(super) fn odd_port(&self, server: u16) -> Option<u16> {
        let usual = if self.scheme == b"https" { 443 } else { 80 };
        let unnamed = if self.absolute { usual } else { server };
        Some(self.port.unwrap_or(unnamed)).filter(|p| *p != usual)
    }

    /// Letters behind the last dot of the path's last segment.
    pub(super) fn extension(&self) -> Option<&'a [u8]> {
        let name = self.path.rsplit(|b| *b == b'/').next()?;
        let dot = memchr::memrchr(b'.', name)?;
        name.get(dot + 1..).filter(|e| !e.is_empty())
    }

    /// `scheme://host:port/path`, without user and query; answers false, and writes nothing, without a host.
    pub(super) fn write_full(&self, server: u16, out: &mut Vec<u8>) -> bool {
        if self.host.is_empty() || self.scheme.is_empty() {
            return false;
        }
        out.extend_from_slice(self.scheme);
        out.extend_from_slice(b"://");
        if self.host.contains(&b':') {
            out.push(b'[');
            out.extend_from_slice(self.host);
            out.push(b']');
        } else {
            out.extend_from_slice(self.host);
        }
        if let Some(port) = self.odd_port(server) {
            out.push(b':');
            out.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
        }
        if !self.path.starts_with(b"/") {
            out.push(b'/');
        }
        out.extend_from_slice(self.path);
        true
    }
}

/// `user:password@host:port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Authority<'a> {
    pub(super) user: &'a [u8],
    /// Without brackets.
    pub(super) host: &'a [u8],
    pub(super) port: Option<u16>,
}

/// Reads an authority (RFC 3986 §3.2); an IPv6 address may lack its brackets where no port follows.
pub(super) fn authority(text: &[u8]) -> Authority<'_> {
    let text = text.trim_ascii();
    let (info, place) = match memchr::memrchr(b'@', text) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()),
        None => (&[][..], text),
    };
    let user = info.split(|b| *b == b':').next().unwrap_or_default();
    let (host, port) = match memchr::memrchr(b':', place) {
        Some(at) if !is_ip(place) => match port(place.get(at + 1..).unwrap_or_default()) {
            Some(port) => (place.get(..at).unwrap_or_default(), Some(port)),
            // An empty port is none (RFC 3986 §3.2.3).
            None if at + 1 == place.len() => (place.get(..at).unwrap_or_default(), None),
            None => (place, None),
        },
        _ => (place, None),
    };
    let bare = host.strip_prefix(b"[").and_then(|h| h.strip_suffix(b"]")).filter(|h| is_ip(h));
    Authority { user, host: bare.unwrap_or(host), port }
}

fn port(text: &[u8]) -> Option<u16> {
    if text.is_empty() || text.len() > 5 {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok().filter(|p| *p != 0)
}

/// The address that a host is.
pub(super) fn ip(host: &[u8]) -> Option<IpAddr> {
    // Names are told from addresses at their first byte, nearly always.
    let may = host.first().is_some_and(|b| b.is_ascii_hexdigit() || *b == b':') && host.len() <= 45;
    std::str::from_utf8(host).ok().filter(|_| may)?.parse().ok()
}

/// Whether a host is an address.
pub(super) fn is_ip(host: &[u8]) -> bool {
    ip(host).is_some()
}

/// `scheme://rest`.
fn absolute(target: &[u8]) -> Option<(&[u8], &[u8])> {
    if target.starts_with(b"/") {
        return None;
    }
    let at = target.iter().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')))?;
    let (scheme, rest) = target.split_at_checked(at)?;
    Some((scheme, rest.strip_prefix(b"://")?)).filter(|_| !scheme.is_empty())
}

fn split_query(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'?', target) {
        Some(at) => (target.get(..at).unwrap_or_default(), target.get(at + 1..)),
        None => (target, None),
    }
}

/// The host that an absolute URL names.
pub(super) fn host_of(url: &[u8]) -> Option<&[u8]> {
    let (_, rest) = absolute(url)?;
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    Some(authority(rest.get(..end)?).host).filter(|h| !h.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(method: &str, target: &str, host: &str, server: u16) -> String {
        let url = Url::of(method.as_bytes(), target.as_bytes(), host.as_bytes());
        let mut out = Vec::new();
        url.write_full(server, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn full_urls() {
        assert_eq!(full("GET", "/a?b=c", "x.org", 80), "http://x.org/a");
        assert_eq!(full("GET", "/a", "x.org:8080", 8080), "http://x.org:8080/a");
        assert_eq!(full("GET", "/a", "x.org", 8080), "http://x.org:8080/a");
        assert_eq!(full("GET", "/", "[fd00::42]:9200", 9200), "http://[fd00::42]:9200/");
        assert_eq!(full("GET", "/", "fd00::42", 80), "http://[fd00::42]/");
        assert_eq!(full("GET", "/", "", 80), "");
        assert_eq!(full("GET", "http://u:p@y.org:81?q", "x.org", 3128), "http://y.org:81/");
        assert_eq!(full("GET", "https://y.org/", "", 3128), "https://y.org/");
        assert_eq!(full("OPTIONS", "*", "x", 80), "http://x/*");
        assert_eq!(full("CONNECT", "x:443", "y", 3128), "");
    }

    #[test]
    fn pieces() {
        let url = Url::of(b"CONNECT", b"a.b:443", b"other");
        assert_eq!((url.host, url.port, url.path, url.absolute), (&b"a.b"[..], Some(443), &b""[..], true));
        let url = Url::of(b"GET", b"http://me:secret@y/p.tar.gz?", b"");
        assert_eq!((url.user, url.extension(), url.query), (&b"me"[..], Some(&b"gz"[..]), Some(&b""[..])));
        assert_eq!(Url::of(b"GET", b"/a.b/c", b"").extension(), None);
        assert_eq!(Url::of(b"GET", b"/a.", b"").extension(), None);
        assert_eq!(authority(b"x:"), Authority { host: b"x", ..Authority::default() });
        assert_eq!(authority(b"x:99999").host, b"x:99999");
        assert_eq!(host_of(b"http://me:pw@h.org:1/x"), Some(&b"h.org"[..]));
        assert_eq!(host_of(b"about:blank"), None);
        assert!(is_ip(b"1.2.3.4") && is_ip(b"::1") && !is_ip(b"1.2.3") && !is_ip(b"abc"));
    }
}
