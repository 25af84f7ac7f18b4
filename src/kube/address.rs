//! Where an API server is.

use super::Problem;
use crate::net::Target;

/// The name that every cluster gives its API server.
pub(super) const IN_CLUSTER: &str = "kubernetes.default.svc";
const HELP: &str = "Write for example: Kube_URL https://kubernetes.default.svc:443";

/// A server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// What stands before `/api`: empty, or a path without a slash at its end.
    pub(super) base: String,
}

impl Address {
    /// Reads `http(s)://host[:port][/path]`; the port is 443 or 80 where there is none.
    pub(super) fn parse(url: &str) -> Result<Self, Problem> {
        let problem = |why: String| Problem { key: "Kube_URL", why, help: HELP };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| problem(format!("'{url}' is no URL")))?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(problem(format!("'{scheme}' is neither http nor https"))),
        };
        let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if path.contains(['?', '#', ' ']) {
            return Err(problem(format!("'{url}' has more than a path behind the host")));
        }
        match Target::parse(host, if tls { 443 } else { 80 }) {
            Ok(Target::Tcp(host, port)) => Ok(Self { tls, host, port, base: path.trim_end_matches('/').to_owned() }),
            Ok(Target::Unix(_)) => Err(problem(format!("'{url}' is no URL"))),
            Err(why) => Err(problem(why)),
        }
    }

    /// Where to connect to.
    pub(super) fn target(&self) -> Target {
        Target::Tcp(self.host.clone(), self.port)
    }

    /// The field `Host`.
    pub(super) fn field(&self) -> String {
        let port = if self.tls { 443 } else { 80 };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == port { host } else { format!("{host}:{}", self.port) }
    }

    /// Where the environment of a pod says that this server is, when it is the cluster's own one
    /// (<https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>).
    pub(super) fn spare(&self, host: Option<String>, port: Option<String>) -> Option<Target> {
        let name = self.host.trim_end_matches('.');
        let of_cluster =
            name == "kubernetes.default" || name == IN_CLUSTER || name.starts_with("kubernetes.default.svc.");
        let host = host.filter(|h| of_cluster && !h.is_empty())?;
        let port = port.and_then(|p| p.parse().ok()).filter(|p| *p != 0)?;
        Some(Target::Tcp(host, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, host, port, base, field) in [
            ("https://kubernetes.default.svc:443", "kubernetes.default.svc", 443, "", "kubernetes.default.svc"),
            ("HTTPS://h", "h", 443, "", "h"),
            ("http://10.0.0.1:8001/", "10.0.0.1", 8001, "", "10.0.0.1:8001"),
            ("http://[::1]:80", "::1", 80, "", "[::1]"),
            ("https://r/k8s/clusters/c-1/", "r", 443, "/k8s/clusters/c-1", "r"),
        ] {
            let a = Address::parse(url).unwrap();
            assert_eq!(
                (a.host.as_str(), a.port, a.base.as_str(), a.field().as_str()),
                (host, port, base, field),
                "{url}"
            );
        }
        for url in ["", "kubernetes.default.svc", "ftp://h", "https://", "https://h:0", "https://u@h", "https://h/a?b"]
        {
            assert_eq!(Address::parse(url).unwrap_err().key, "Kube_URL", "{url}");
        }
    }

    #[test]
    fn the_environment_only_stands_in_for_the_clusters_own_name() {
        let env = || (Some("10.0.0.1".to_owned()), Some("6443".to_owned()));
        let spare = |url: &str| Address::parse(url).unwrap().spare(env().0, env().1);
        let want = Some(Target::Tcp("10.0.0.1".into(), 6443));
        assert_eq!(spare("https://kubernetes.default.svc:443"), want);
        assert_eq!(spare("https://kubernetes.default.svc.cluster.local"), want);
        assert_eq!(spare("https://api.example.com"), None);
        assert_eq!(Address::parse("https://kubernetes.default.svc").unwrap().spare(None, env().1), None);
    }
}
