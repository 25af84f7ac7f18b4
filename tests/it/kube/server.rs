//! A scripted API server: lists in pages, watches with bookmarks, every failure on demand; what it was asked is counted.
//!
//! Collections are known by the last word of their path (`pods`, `events`, `namespaces`, `replicasets`); a `fieldSelector` on
//! `spec.nodeName`, `metadata.name` and `metadata.namespace` is honoured.

use crate::lab::Peer;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The server; it ends with its owner.
pub struct Kube {
    peer: Peer,
    shared: Arc<Shared>,
    /// The certificate of its authority, with TLS.
    pub ca: Option<String>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    version: u64,
    /// By collection, then by namespace and name.
    stored: BTreeMap<String, BTreeMap<(String, String), Value>>,
    /// What happened: version, collection, type, object.
    log: Vec<(u64, String, &'static str, Value)>,
    /// Versions below are forgotten.
    oldest: u64,
    /// Only this token is taken, when there is one.
    token: Option<String>,
    /// Verbs and collections that are refused.
    forbidden: Vec<(String, String)>,
    /// Answers to give instead: verb, how often, status, fields.
    scripted: Vec<(String, usize, u16, String)>,
    /// Watches that began before are cut.
    cut: u64,
    /// A pause before each answer.
    slow: Duration,
    /// Bytes of a list after which the connection is closed, once.
    break_after: Option<usize>,
    /// The most objects of a page, whatever the client asks for.
    page: usize,
    watches: usize,
    /// Each request: its verb and its target.
    asked: Vec<(String, String)>,
    ended: bool,
}

impl Kube {
    /// Over plain HTTP.
    pub fn plain() -> Self {
        let shared = Arc::new(Shared::default());
        lock(&shared).version = 100;
        let keep = shared.clone();
        let peer = Peer::new(move |tcp| serve(&keep, tcp.try_clone().unwrap(), tcp));
        Self { peer, shared, ca: None }
    }

    /// With a certificate for `localhost`, `127.0.0.1` and `kubernetes.default.svc`.
    #[cfg(feature = "tls")]
    pub fn tls() -> Self {
        Self::tls_for(&["localhost", "127.0.0.1", "kubernetes.default.svc"], |_| {})
    }

    /// With a certificate for these names, changed in some way: expired, not valid yet.
    #[cfg(feature = "tls")]
    pub fn tls_for(names: &[&str], change: impl FnOnce(&mut rcgen::CertificateParams)) -> Self {
        use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let cert = params.signed_by(&key, &ca).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap());
        let shared = Arc::new(Shared::default());
        lock(&shared).version = 100;
        let keep = shared.clone();
        let peer = Peer::new(move |tcp| {
            let look = tcp.try_clone().unwrap();
            serve(&keep, look, rustls::StreamOwned::new(rustls::ServerConnection::new(config.clone()).unwrap(), tcp));
        });
        Self { peer, shared, ca: Some(ca.pem()) }
    }

    /// What `Kube_URL` is to say.
    pub fn url(&self) -> String {
        match self.ca {
            Some(_) => format!("https://localhost:{}", self.port()),
            None => format!("http://127.0.0.1:{}", self.port()),
        }
    }

    /// The port of 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.peer.port()
    }

    /// Stores an object of a collection, new or changed, and tells the watches. Its version comes from here.
    pub fn put(&self, collection: &str, mut object: Value) {
        let mut state = lock(&self.shared);
        state.version += 1;
        let version = state.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let word = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
        let key = (word("namespace"), word("name"));
        let former = state.stored.entry(collection.into()).or_default().insert(key, object.clone());
        let kind = if former.is_some() { "MODIFIED" } else { "ADDED" };
        state.log.push((version, collection.into(), kind, object));
        self.shared.changed.notify_all();
    }

    /// Deletes an object and tells the watches.
    pub fn delete(&self, collection: &str, namespace: &str, name: &str) {
        let mut state = lock(&self.shared);
        let gone = state.stored.get_mut(collection).and_then(|all| all.remove(&(namespace.into(), name.into())));
        let mut object = gone.expect("it is stored");
        state.version += 1;
        let version = state.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        state.log.push((version, collection.into(), "DELETED", object));
        self.shared.changed.notify_all();
    }

    /// Deletes an object without a word, as one that went while nobody could watch.
    pub fn forget_object(&self, collection: &str, namespace: &str, name: &str) {
        let mut state = lock(&self.shared);
        state.version += 1;
        state.stored.get_mut(collection).and_then(|all| all.remove(&(namespace.into(), name.into())));
    }

    /// Tells the watches of a collection that the version moved on.
    pub fn bookmark(&self, collection: &str) {
        let mut state = lock(&self.shared);
        state.version += 1;
        let version = state.version;
        let object = json!({"kind": "X", "metadata": {"resourceVersion": version.to_string()}});
        state.log.push((version, collection.into(), "BOOKMARK", object));
        self.shared.changed.notify_all();
    }

    /// Sends the watches of a collection any event: `ERROR` with a status.
    pub fn tell(&self, collection: &str, kind: &'static str, object: Value) {
        let mut state = lock(&self.shared);
        state.version += 1;
        let version = state.version;
        state.log.push((version, collection.into(), kind, object));
        self.shared.changed.notify_all();
    }

    /// From now on only this token is taken; `None` takes everybody.
    pub fn token(&self, token: Option<&str>) {
        lock(&self.shared).token = token.map(str::to_owned);
    }

    /// Refuses a verb (`list`, `watch`, `get`) on a collection with 403.
    pub fn forbid(&self, verb: &str, collection: &str) {
        lock(&self.shared).forbidden.push((verb.into(), collection.into()));
    }

    /// Refuses nothing any more.
    pub fn allow_all(&self) {
        lock(&self.shared).forbidden.clear();
    }

    /// The next requests with this verb get this status; `fields` are written as they are (`Retry-After: 1\r\n`).
    pub fn answer(&self, verb: &str, times: usize, status: u16, fields: &str) {
        lock(&self.shared).scripted.push((verb.into(), times, status, fields.into()));
    }

    /// No more such answers.
    pub fn answer_well(&self) {
        lock(&self.shared).scripted.clear();
    }

    /// Versions until now are forgotten: watches from them get an ERROR event with 410.
    pub fn forget(&self) {
        let mut state = lock(&self.shared);
        state.version += 1;
        state.oldest = state.version;
        state.log.clear();
    }

    /// Breaks the open watches off.
    pub fn cut(&self) {
        lock(&self.shared).cut += 1;
        self.shared.changed.notify_all();
    }

    /// Waits so long before each answer.
    pub fn slow(&self, pause: Duration) {
        lock(&self.shared).slow = pause;
    }

    /// Breaks the next list off after so many bytes.
    pub fn break_list_after(&self, bytes: usize) {
        lock(&self.shared).break_after = Some(bytes);
    }

    /// No page has more objects than this.
    pub fn page(&self, most: usize) {
        lock(&self.shared).page = most;
    }

    /// Requests with this verb: `list` (a page is one), `watch`, `get`.
    pub fn count(&self, verb: &str) -> usize {
        lock(&self.shared).asked.iter().filter(|(v, _)| v == verb).count()
    }

    /// Every request so far: its verb and its target.
    pub fn asked(&self) -> Vec<(String, String)> {
        lock(&self.shared).asked.clone()
    }

    /// Watches that are open now.
    pub fn watches(&self) -> usize {
        lock(&self.shared).watches
    }
}

impl Drop for Kube {
    fn drop(&mut self) {
        lock(&self.shared).ended = true;
        self.shared.changed.notify_all();
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.state.lock().unwrap_or_else(|e| e.into_inner())
}

/// A request's target taken apart.
struct Asked {
    verb: &'static str,
    collection: String,
    namespace: Option<String>,
    name: Option<String>,
    query: BTreeMap<String, String>,
}

impl Asked {
    fn parse(target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query: BTreeMap<_, _> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| {
                let mut text = Vec::new();
                collector::util::percent::decode(value.as_bytes(), false, &mut text);
                (key.to_owned(), String::from_utf8(text).unwrap())
            })
            .collect();
        let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
        let from = parts.iter().position(|p| *p == "apis").map_or(2, |_| 3).min(parts.len());
        let (namespace, rest) = match parts[from..] {
            ["namespaces", space, _, ..] => (Some(space.to_owned()), &parts[from + 2..]),
            _ => (None, &parts[from..]),
        };
        let collection = rest.first().copied().unwrap_or_default().to_owned();
        let name = rest.get(1).map(|n| (*n).to_owned());
        let verb = match (&name, query.get("watch").map(String::as_str)) {
            (Some(_), _) => "get",
            (None, Some("1" | "true")) => "watch",
            (None, _) => "list",
        };
        Self { verb, collection, namespace, name, query }
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.query.get(key).and_then(|v| v.parse().ok())
    }

    /// Whether an object is asked for.
    fn wants(&self, object: &Value) -> bool {
        let meta = &object["metadata"];
        let is = |value: &Value, want: &str| value.as_str() == Some(want);
        if self.namespace.as_ref().is_some_and(|n| !is(&meta["namespace"], n)) {
            return false;
        }
        let selector = self.query.get("fieldSelector").map(String::as_str).unwrap_or_default();
        selector.split(',').filter_map(|s| s.split_once('=')).all(|(field, want)| match field {
            "spec.nodeName" => is(&object["spec"]["nodeName"], want),
            "metadata.name" => is(&meta["name"], want),
            "metadata.namespace" => is(&meta["namespace"], want),
            _ => false,
        })
    }
}

/// Serves one connection.
fn serve(shared: &Shared, look: TcpStream, stream: impl Read + Write) {
    let mut stream = BufReader::new(stream);
    while let Some((target, token)) = request(&mut stream) {
        let asked = Asked::parse(&target);
        let pause = {
            let mut state = lock(shared);
            state.asked.push((asked.verb.to_owned(), target));
            state.slow
        };
        std::thread::sleep(pause);
        let to = stream.get_mut();
        let goes_on = match refusal(shared, &asked, token) {
            Some((status, fields, text)) => answer(to, status, &fields, &text).is_ok(),
            None => match asked.verb {
                "get" => get(shared, &asked, to).is_ok(),
                "list" => list(shared, &asked, to).is_ok_and(|whole| whole),
                _ => {
                    lock(shared).watches += 1;
                    let _ = watch(shared, &asked, to, &look);
                    lock(shared).watches -= 1;
                    false
                }
            },
        };
        if !goes_on {
            return;
        }
    }
}

/// The target and the token of the next request; `None` when there is none.
fn request(stream: &mut impl BufRead) -> Option<(String, Option<String>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let target = lines.first()?.split(' ').nth(1)?.to_owned();
    let token = lines.iter().find_map(|l| l.strip_prefix("Authorization: Bearer ")).map(str::to_owned);
    assert!(lines.iter().any(|l| l.starts_with("Host: ")), "{lines:?}");
    Some((target, token))
}

/// Status, fields and body of an answer that says no.
fn refusal(shared: &Shared, asked: &Asked, token: Option<String>) -> Option<(u16, String, String)> {
    let mut state = lock(shared);
    if state.token.is_some() && state.token != token {
        return Some((401, String::new(), status(401, "Unauthorized", "Unauthorized")));
    }
    if let Some(n) = state.scripted.iter().position(|s| s.0 == asked.verb) {
        let (_, left, code, fields) = &mut state.scripted[n];
        let (code, fields) = (*code, fields.clone());
        *left -= 1;
        if *left == 0 {
            state.scripted.remove(n);
        }
        return Some((code, fields, status(code, "Scripted", "as the test asked for")));
    }
    if state.forbidden.iter().any(|(verb, what)| verb == asked.verb && *what == asked.collection) {
        let why = format!(
            "{} is forbidden: User \"system:serviceaccount:logging:collector\" cannot {} resource \"{}\" in API group \"\" at \
             the cluster scope",
            asked.collection, asked.verb, asked.collection
        );
        return Some((403, String::new(), status(403, "Forbidden", &why)));
    }
    None
}

fn status(code: u16, reason: &str, message: &str) -> String {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code})
        .to_string()
}

fn answer(to: &mut impl Write, status: u16, fields: &str, body: &str) -> Result<()> {
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{fields}Content-Length: {}\r\n\r\n",
        body.len()
    );
    to.write_all(head.as_bytes())?;
    to.write_all(body.as_bytes())?;
    to.flush()
}

fn get(shared: &Shared, asked: &Asked, to: &mut impl Write) -> Result<()> {
    let found = {
        let state = lock(shared);
        let key = (asked.namespace.clone().unwrap_or_default(), asked.name.clone().unwrap_or_default());
        state.stored.get(&asked.collection).and_then(|all| all.get(&key)).cloned()
    };
    match found {
        Some(object) => answer(to, 200, "", &object.to_string()),
        None => answer(to, 404, "", &status(404, "NotFound", "it is not there")),
    }
}

/// One page; false when it was broken off.
fn list(shared: &Shared, asked: &Asked, to: &mut impl Write) -> Result<bool> {
    let (text, cut) = {
        let mut state = lock(shared);
        // Where the page begins, and of which version the whole list is.
        let begin = asked.query.get("continue").map(|t| {
            let (at, version) = t.split_once('/').unwrap();
            (at.parse::<usize>().unwrap(), version.parse::<u64>().unwrap())
        });
        let (at, version) = begin.unwrap_or((0, state.version));
        if version < state.oldest {
            let text = status(410, "Expired", "The provided continue parameter is too old");
            drop(state);
            return answer(to, 410, "", &text).map(|()| true);
        }
        let all: Vec<Value> =
            state.stored.get(&asked.collection).into_iter().flat_map(BTreeMap::values).cloned().collect();
        let all: Vec<Value> = all.into_iter().filter(|o| asked.wants(o)).collect();
        let limit = asked.number("limit").filter(|n| *n > 0).map_or(usize::MAX, |n| n as usize);
        let limit = if state.page > 0 { limit.min(state.page) } else { limit };
        let items: Vec<_> = all.iter().skip(at).take(limit).cloned().collect();
        let mut meta = json!({"resourceVersion": version.to_string()});
        if at + items.len() < all.len() {
            meta["continue"] = json!(format!("{}/{version}", at + items.len()));
            meta["remainingItemCount"] = json!(all.len() - at - items.len());
        }
        let list = json!({"kind": "List", "apiVersion": "v1", "metadata": meta, "items": items});
        (list.to_string(), state.break_after.take())
    };
    if let Some(bytes) = cut {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
        to.write_all(head.as_bytes())?;
        to.write_all(&text.as_bytes()[..bytes.min(text.len())])?;
        to.flush()?;
        return Ok(false);
    }
    answer(to, 200, "", &text).map(|()| true)
}

fn watch(shared: &Shared, asked: &Asked, to: &mut impl Write, look: &TcpStream) -> Result<()> {
    to.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    to.flush()?;
    let mut version = asked.number("resourceVersion").unwrap_or(0);
    let end = Instant::now() + Duration::from_secs(asked.number("timeoutSeconds").unwrap_or(1800));
    let mut state = lock(shared);
    let begun = state.cut;
    loop {
        if state.cut != begun || state.ended {
            return Ok(());
        }
        let mut text = String::new();
        if version < state.oldest {
            let status: Value = serde_json::from_str(&status(410, "Expired", "too old resource version")).unwrap();
            text = format!("{}\n", json!({"type": "ERROR", "object": status}));
        }
        for (at, collection, kind, object) in &state.log {
            if *at <= version || *collection != asked.collection {
                continue;
            }
            let told = matches!(*kind, "BOOKMARK" | "ERROR") || asked.wants(object);
            if told {
                text.push_str(&format!("{}\n", json!({"type": kind, "object": object})));
            }
        }
        let is_old = version < state.oldest;
        version = version.max(state.version);
        if !text.is_empty() {
            drop(state);
            write!(to, "{:x}\r\n{text}\r\n", text.len())?;
            to.flush()?;
            if is_old {
                to.write_all(b"0\r\n\r\n")?;
                return to.flush();
            }
            state = lock(shared);
            continue;
        }
        if Instant::now() >= end {
            drop(state);
            to.write_all(b"0\r\n\r\n")?;
            return to.flush();
        }
        state = shared.changed.wait_timeout(state, Duration::from_millis(50)).unwrap_or_else(|e| e.into_inner()).0;
        // A client that left is no open watch.
        look.set_nonblocking(true)?;
        let left = match look.peek(&mut [0]) {
            Ok(bytes) => bytes == 0,
            Err(e) => e.kind() != ErrorKind::WouldBlock,
        };
        look.set_nonblocking(false)?;
        if left {
            return Ok(());
        }
    }
}
