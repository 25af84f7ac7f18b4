//! What clients ask a cluster before they send documents, and what they set up there.

use crate::fmt::json_write::{JsonOpts, write_str};
use crate::net::web::{Response, reason};

/// What the cluster says of itself.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) version: String,
    /// The longest body, in bytes.
    pub(super) longest: u64,
}

/// An active basic licence, without which Beats do not start.
const LICENSE: &str = r#""license":{"status":"active","uid":"00000000-0000-0000-0000-000000000000","type":"basic","mode":"basic","issue_date_in_millis":0,"issued_to":"collector","issuer":"collector"}"#;

impl Cluster {
    /// The answer to a GET; an empty object for what nobody needs to know.
    pub(super) fn tell(&self, path: &str) -> Response {
        let mut host = Vec::new();
        write_str(self.host.as_bytes(), JsonOpts::default(), &mut host);
        let host = String::from_utf8_lossy(&host);
        let version = &self.version;
        let starts = |with: &str| path == with || path.strip_prefix(with).is_some_and(|rest| rest.starts_with('/'));
        let body = if path == "/" {
            format!(
                r#"{{"name":{host},"cluster_name":"collector","cluster_uuid":"collector","version":{{"number":"{version}","build_flavor":"default","minimum_wire_compatibility_version":"7.17.0","minimum_index_compatibility_version":"7.0.0"}},"tagline":"You Know, for Search"}}"#
            )
        } else if starts("/_nodes") {
            let inner = host.trim_matches('"');
            let (port, longest) = (self.port, self.longest);
            format!(
                r#"{{"_nodes":{{"total":1,"successful":1,"failed":0}},"cluster_name":"collector","nodes":{{"collector":{{"name":{host},"version":"{version}","http":{{"publish_address":"{inner}:{port}","max_content_length_in_bytes":{longest}}}}}}}}}"#
            )
        } else if starts("/_license") {
            format!("{{{LICENSE}}}")
        } else if starts("/_xpack") {
            format!(r#"{{"build":{{}},{LICENSE},"features":{{"ilm":{{"available":true,"enabled":true}}}}}}"#)
        } else if starts("/_cluster/health") {
            r#"{"cluster_name":"collector","status":"green","timed_out":false,"number_of_nodes":1,"number_of_data_nodes":1,"active_primary_shards":0,"active_shards":0,"relocating_shards":0,"initializing_shards":0,"unassigned_shards":0}"#.to_owned()
        } else {
            "{}".to_owned()
        };
        Response::json(200, body)
    }
}

/// Whether a path is one of those where clients put templates, policies and pipelines, or make an index: that is
/// acknowledged and has no effect. Documents, which would be lost so, are not meant.
pub(super) fn is_setup(path: &str) -> bool {
    const PLACES: [&str; 12] = [
        "_template",
        "_index_template",
        "_component_template",
        "_ilm",
        "_ingest",
        "_data_stream",
        "_alias",
        "_aliases",
        "_mapping",
        "_mappings",
        "_settings",
        "_cluster",
    ];
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let (Some(first), rest) = (parts.next(), parts.next()) else { return false };
    match rest {
        // PUT /INDEX
        None => PLACES.contains(&first) || !first.starts_with('_'),
        Some(second) => PLACES.contains(&first) || PLACES.contains(&second),
    }
}

/// An error in Elasticsearch's form.
pub(super) fn failure(status: u16, why: &str) -> Response {
    let kind = match status {
        401 => "security_exception",
        429 => "es_rejected_execution_exception",
        400..=499 => "illegal_argument_exception",
        _ => "exception",
    };
    let mut text = Vec::new();
    write_str(why.as_bytes(), JsonOpts::default(), &mut text);
    let text = String::from_utf8_lossy(&text);
    let body = format!(
        r#"{{"error":{{"root_cause":[{{"type":"{kind}","reason":{text}}}],"type":"{kind}","reason":{text}}},"status":{status}}}"#
    );
    debug_assert_ne!(reason(status), "Status");
    Response::json(status, body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_cluster_of_one() {
        let cluster = Cluster { host: "a\"b".into(), port: 9200, version: "7.10.2".into(), longest: 5 };
        let tell = |path| serde_json::from_slice::<Value>(cluster.tell(path).body()).unwrap();
        assert_eq!(tell("/")["version"]["number"], "7.10.2");
        assert_eq!(tell("/")["tagline"], "You Know, for Search");
        assert_eq!(tell("/_nodes/http")["nodes"]["collector"]["http"]["publish_address"], "a\"b:9200");
        assert_eq!(tell("/_license")["license"]["status"], "active");
        assert_eq!(tell("/_xpack")["license"]["type"], "basic");
        assert_eq!(tell("/_cluster/health/i")["status"], "green");
        assert_eq!(tell("/_nodesX"), serde_json::json!({}));
        let body: Value = serde_json::from_slice(failure(429, "a \"b\"").body()).unwrap();
        assert_eq!((&body["status"], &body["error"]["reason"]), (&429.into(), &"a \"b\"".into()));
    }

    #[test]
    fn documents_are_no_setup() {
        for path in
            ["/_template/x", "/_ilm/policy/p", "/logs", "/logs/_mapping", "/_ingest/pipeline/a", "/_data_stream/d"]
        {
            assert!(is_setup(path), "{path}");
        }
        for path in [
            "",
            "/",
            "/logs/_doc",
            "/logs/_doc/1",
            "/logs/_create/1",
            "/_search",
            "/logs/_search",
            "/_reindex",
            "/logs/doc/1",
        ] {
            assert!(!is_setup(path), "{path}");
        }
    }
}
