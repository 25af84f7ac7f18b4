//! `--setup`: index templates into Elasticsearch or OpenSearch, dashboards into Kibana or OpenSearch Dashboards.
//!
//! The folder holds `templates/NAME.json`, each put as the composable index template NAME, and `*.ndjson`, each imported
//! as saved objects. Loading again replaces what was loaded before.

use super::args::Setup;
use crate::conf::Section;
use crate::conf::common::{NetOut, TlsClient};
use crate::error::Diags;
use crate::net::{ClientTls, HttpClient};
use crate::util::sort;
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// So much of an answer is looked at, in bytes.
const ANSWER_MAX: u64 = 1 << 20;
/// Separates the parts of the form that Kibana takes; no JSON line begins so.
const BOUNDARY: &str = "----collector-saved-objects";

/// Loads everything; answers what was done, a line each.
///
/// # Errors
/// With the first thing that failed, and why.
pub fn run(setup: &Setup) -> Result<String, String> {
    let folder = setup.folder.as_deref().unwrap_or(Path::new("."));
    let (templates, dashboards) = (named(&folder.join("templates"), "json"), named(folder, "ndjson"));
    if setup.elasticsearch.is_none() && setup.kibana.is_none() {
        return Err("--setup needs --elasticsearch URL, --kibana URL, or both".into());
    }
    if templates.is_empty() && dashboards.is_empty() {
        let folder = folder.display();
        return Err(format!("'{folder}' holds neither templates/*.json nor *.ndjson: is it the right folder?"));
    }
    let mut said = String::new();
    if let Some(url) = &setup.elasticsearch {
        let server = Server::new(url)?;
        for path in &templates {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let body = read(path)?;
            let answer = server.put(&format!("/_index_template/{name}"), &body)?;
            if answer["acknowledged"] != true {
                return Err(format!("{url} did not take the index template '{name}': {answer}"));
            }
            let _ = writeln!(said, "index template '{name}' loaded");
        }
    }
    if let Some(url) = &setup.kibana {
        let server = Server::new(url)?;
        for path in &dashboards {
            let answer = server.import(&path.file_name().unwrap_or_default().to_string_lossy(), &read(path)?)?;
            if answer["success"] != true {
                return Err(format!("{url} did not take all saved objects of '{}': {answer}", path.display()));
            }
            let _ = writeln!(said, "{} saved objects of '{}' loaded", answer["successCount"], path.display());
        }
    }
    Ok(said)
}

/// The files of a folder with this ending, by name.
fn named(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let mut found: Vec<PathBuf> = entries.filter(|p| p.extension().is_some_and(|e| e == ending)).collect();
    sort::ascending(&mut found);
    found
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|e| format!("'{}': {e}", path.display()))
}

/// A server's API.
struct Server {
    url: String,
    client: HttpClient,
    /// The value of `Authorization`.
    authorization: Option<String>,
}

impl Server {
    /// A server at `http://host:port/path` or `https://user:password@host`.
    fn new(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| format!("'{url}': write http://host:9200"))?;
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let encode = |user| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, user);
        let (mut diags, section) = (Diags::new(), Section::of("OUTPUT", &[("tls", "on")]));
        let tls = match scheme {
            "http" => None,
            "https" => TlsClient::load(&section, &mut diags)
                .map(|conf| ClientTls::new(&conf).map_err(|p| format!("{}: {}", p.key, p.why)))
                .transpose()?
                .flatten(),
            _ => return Err(format!("'{url}': neither http nor https")),
        };
        let net = NetOut::load(&section, &mut diags).ok_or_else(|| diags.to_string())?;
        let url = format!("{scheme}://{}", rest.trim_end_matches('/'));
        let client = HttpClient::new(&net, 1, tls)?;
        Ok(Self { url, client, authorization: user.map(|u| format!("Basic {}", encode(u))) })
    }

    fn headers<'a>(&'a self, kind: &'a str) -> Vec<(&'static str, &'a str)> {
        // Kibana and OpenSearch Dashboards refuse requests without these: they come from no page of theirs.
        let mut headers = vec![("Content-Type", kind), ("kbn-xsrf", "true"), ("osd-xsrf", "true")];
        headers.extend(self.authorization.as_deref().map(|a| ("Authorization", a)));
        headers
    }

    fn put(&self, path: &str, body: &[u8]) -> Result<Value, String> {
        let url = format!("{}{path}", self.url);
        let answer = self.client.put(&url, &self.headers("application/json"), body);
        self.json(answer)
    }

    /// The saved-objects import API: a form with one file.
    fn import(&self, name: &str, objects: &[u8]) -> Result<Value, String> {
        let url = format!("{}/api/saved_objects/_import?overwrite=true", self.url);
        let mut body = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/ndjson\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(objects);
        body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        let answer = self.client.post(&url, &self.headers(&kind), &body);
        self.json(answer)
    }

    /// The body of a good answer; of another one, what the server says.
    fn json(&self, answer: Result<crate::net::http::Answer, String>) -> Result<Value, String> {
        let answer = answer.map_err(|e| format!("{}: {e}", self.url))?;
        let status = answer.status;
        let mut body = Vec::new();
        answer.take(ANSWER_MAX).read_to_end(&mut body).map_err(|e| format!("{}: {e}", self.url))?;
        match serde_json::from_slice(&body) {
            Ok(value) if (200..300).contains(&status) => Ok(value),
            _ => {
                let body = String::from_utf8_lossy(&body);
                Err(format!("{} answered {status}: {}", self.url, body.chars().take(1000).collect::<String>()))
            }
        }
    }
}
