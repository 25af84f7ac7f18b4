//! Why the API server did not answer as wished.

use crate::fmt::json_span;
use crate::net::ask::AskError;
use std::fmt;
use std::time::Duration;

/// Why there is no answer. Its text says what is missing and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fail {
    /// 404: it does not exist.
    NotFound,
    /// 403: we may not. The server's words, and which rule is missing.
    Forbidden(String),
    /// 401: the server does not take our token (or wants one). Its words.
    Unauthorized(String),
    /// 410: the version or page asked for is gone. Listing anew helps.
    Gone,
    /// 429, or a server error that names a time: ask again after that time.
    Busy(Option<Duration>, String),
    /// The server's name cannot be resolved.
    Unresolved(String),
    /// The answer, or an object in it, is larger than allowed.
    TooLarge,
    /// Anything else, in words.
    Other(String),
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("it does not exist (404)"),
            Self::Gone => f.write_str("the server has forgotten what was asked for (410)"),
            Self::TooLarge => f.write_str("the answer is larger than allowed"),
            Self::Forbidden(why) | Self::Unauthorized(why) => f.write_str(why),
            Self::Busy(_, why) | Self::Unresolved(why) | Self::Other(why) => f.write_str(why),
        }
    }
}

impl From<AskError> for Fail {
    fn from(e: AskError) -> Self {
        Self::Other(named(&e.to_string()))
    }
}

/// Words of the network with the keys that these plugins have.
pub(super) fn named(why: &str) -> String {
    why.replace("tls.ca_file", "Kube_CA_File")
        .replace("tls.ca_path", "Kube_CA_Path")
        .replace(" (net.connect_timeout)", "")
}

impl Fail {
    /// The meaning of an answer other than 200, whose body is a `Status` as a rule
    /// (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/>). `wait` is its `Retry-After`.
    pub fn of(status: u16, body: &[u8], target: &str, wait: Option<Duration>) -> Self {
        let said = words(body);
        match status {
            401 => Self::Unauthorized(format!("the server does not take our token (401{})", comma(&said))),
            403 => Self::Forbidden(format!("access is refused (403{}): {}", comma(&said), rule(target))),
            404 => Self::NotFound,
            410 => Self::Gone,
            429 => Self::Busy(wait, format!("the server is busy (429{})", comma(&said))),
            500.. if wait.is_some() => Self::Busy(wait, format!("the server is busy ({status}{})", comma(&said))),
            300..=399 => Self::Other(format!(
                "the server sends us elsewhere ({status}), which is not followed: correct Kube_URL"
            )),
            _ => Self::Other(format!("the server answers {status}{}", comma(&said))),
        }
    }
}

fn comma(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(", {said}") }
}

/// The message of a `Status`, or the start of the text.
pub(super) fn words(body: &[u8]) -> String {
    let text =
        json_span::find_text(body, &["message"]).unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(400).collect()
}

/// The rule that is missing, read from the path that was asked for.
fn rule(target: &str) -> String {
    let Some(Wanted { verb, group, resource, namespace }) = wanted(target) else {
        return "the service account needs a rule for this path".into();
    };
    let role = match namespace {
        Some(space) => format!("a Role in namespace {space}, or a ClusterRole,"),
        None => "a ClusterRole".into(),
    };
    format!(
        "{role} with apiGroups [\"{group}\"], resources [\"{resource}\"], verbs [\"{verb}\"] is missing, or not bound to our \
         service account"
    )
}

#[derive(Debug, PartialEq, Eq)]
struct Wanted<'a> {
    verb: &'static str,
    group: &'a str,
    resource: &'a str,
    namespace: Option<&'a str>,
}

/// `/api/v1/[namespaces/NS/]RESOURCE[/NAME]` and `/apis/GROUP/VERSION/…`.
fn wanted(target: &str) -> Option<Wanted<'_>> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut parts = path.split('/').filter(|p| !p.is_empty());
    let group = match parts.find(|p| matches!(*p, "api" | "apis"))? {
        "apis" => parts.next()?,
        _ => "",
    };
    let _version = parts.next()?;
    let rest: Vec<&str> = parts.collect();
    let (namespace, resource, name) = match *rest.as_slice() {
        ["namespaces", space, resource] => (Some(space), resource, None),
        ["namespaces", space, resource, name, ..] => (Some(space), resource, Some(name)),
        [resource] => (None, resource, None),
        [resource, name] => (None, resource, Some(name)),
        _ => return None,
    };
    let verb = match name {
        Some(_) => "get",
        None if query.split('&').any(|p| p == "watch=1") => "watch",
        None => "list",
    };
    Some(Wanted { verb, group, resource, namespace })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_rule_is_named() {
        let body =
            br#"{"kind":"Status","message":"pods is forbidden: User \"x\" cannot list resource \"pods\"","code":403}"#;
        let said = Fail::of(403, body, "/api/v1/pods?limit=50", None).to_string();
        assert!(
            said.contains("User \"x\" cannot list resource") && said.contains("ClusterRole with apiGroups [\"\"]"),
            "{said}"
        );
        assert!(said.contains("resources [\"pods\"], verbs [\"list\"]"), "{said}");
        let said = Fail::of(403, b"", "/x/api/v1/namespaces/a/events?a=b&watch=1", None).to_string();
        assert!(said.contains("a Role in namespace a") && said.contains("[\"events\"], verbs [\"watch\"]"), "{said}");
        let said = Fail::of(403, b"", "/apis/apps/v1/namespaces/a/replicasets/r", None).to_string();
        assert!(said.contains("apiGroups [\"apps\"], resources [\"replicasets\"], verbs [\"get\"]"), "{said}");
        let said = Fail::of(403, b"", "/api/v1/namespaces/a", None).to_string();
        assert!(said.contains("resources [\"namespaces\"], verbs [\"get\"]"), "{said}");
        assert!(Fail::of(403, b"", "/pods", None).to_string().contains("a rule for this path"));
    }

    #[test]
    fn statuses() {
        assert_eq!((Fail::of(404, b"", "/", None), Fail::of(410, b"", "/", None)), (Fail::NotFound, Fail::Gone));
        let wait = Some(Duration::from_secs(1));
        assert!(
            matches!(Fail::of(429, b"slow down\n", "/", wait), Fail::Busy(w, why) if w == wait && why.contains("slow down"))
        );
        assert!(matches!(Fail::of(503, b"", "/", wait), Fail::Busy(..)));
        assert_eq!(Fail::of(500, b"<html>\x07", "/", None), Fail::Other("the server answers 500, <html> ".into()));
        assert!(Fail::of(401, b"", "/", None).to_string().contains("our token (401)"));
    }
}
