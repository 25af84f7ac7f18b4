//! Following a collection on a scripted server.

use super::*;
use crate::conf::Section;
use crate::error::Diags;
use crate::rt::{or, run, sleep, timeout};
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What is answered, and whether the connection stays open behind it.
type Step = (u16, String, bool);

/// Answers requests in this order, each on a connection of its own; the targets that were asked for.
fn server(steps: Vec<Step>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let keep = asked.clone();
    thread::spawn(move || {
        let mut open = Vec::new();
        for (status, body, stays) in steps {
            let (mut peer, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(peer.try_clone().unwrap()).lines().map_while(Result::ok);
            let line = lines.next().unwrap_or_default();
            keep.lock().unwrap().push(line.split(' ').nth(1).unwrap_or_default().to_owned());
            lines.by_ref().take_while(|l| !l.is_empty()).for_each(drop);
            let _ = write!(peer, "HTTP/1.1 {status} X\r\nConnection: close\r\n\r\n{body}");
            if stays {
                open.push(peer);
            }
        }
        // What was open stays so until the test is over.
        thread::sleep(Duration::from_secs(60));
    });
    (url, asked)
}

#[derive(Clone, Default)]
struct Seeing(Rc<RefCell<Vec<String>>>);

impl Seeing {
    fn say(&self, what: String) {
        self.0.borrow_mut().push(what);
    }
}

fn name(object: &[u8]) -> String {
    crate::fmt::json_span::find_text(object, &["metadata", "name"]).unwrap_or_default()
}

impl Seen for Seeing {
    fn begin(&self) {
        self.say("begin".into());
    }
    fn put(&self, object: &[u8]) {
        self.say(format!("put {}", name(object)));
    }
    fn gone(&self, object: &[u8]) {
        self.say(format!("gone {}", name(object)));
    }
    fn listed(&self) {
        self.say("listed".into());
    }
    fn failed(&self, why: &Fail) {
        self.say(format!("failed: {why}"));
    }
}

/// Follows pods on this server until `end` is seen; everything seen.
fn followed(url: &str, change: impl FnOnce(&mut Collection), end: &str) -> Vec<String> {
    let keys = [("Kube_URL", url), ("Kube_Token_File", "/none/token")];
    let conf = ApiConf::load(&Section::of("FILTER", &keys), &mut Diags::new()).unwrap();
    let api = Rc::new(Api::new(&conf).unwrap());
    let mut what = Collection::new("/api/v1/pods", "fieldSelector=spec.nodeName%3Dn1");
    change(&mut what);
    let seeing = Seeing::default();
    let all = seeing.0.clone();
    run(async move {
        let look = async {
            while !all.borrow().iter().any(|s| s.starts_with(end)) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let done = timeout(Duration::from_secs(50), or(follow(api, what, seeing), look)).await;
        assert!(done.is_some(), "{:?}", all.borrow());
        all.take()
    })
    .unwrap()
}

fn list(names: &[&str], version: &str, more: &str) -> String {
    let items: Vec<String> = names.iter().map(|n| format!("{{\"metadata\":{{\"name\":\"{n}\"}}}}")).collect();
    format!(
        "{{\"metadata\":{{\"resourceVersion\":\"{version}\",\"continue\":\"{more}\"}},\"items\":[{}]}}",
        items.join(",")
    )
}

fn event(kind: &str, name: &str, version: &str) -> String {
    format!(
        "{{\"type\":\"{kind}\",\"object\":{{\"metadata\":{{\"name\":\"{name}\",\"resourceVersion\":\"{version}\"}}}}}}\n"
    )
}

const GONE: &str = "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410}}\n";

#[test]
fn pages_versions_and_new_lists() {
    let watch = [event("ADDED", "c", "12"), event("DELETED", "a", "13"), event("BOOKMARK", "", "20")].concat();
    let (url, asked) = server(vec![
        (200, list(&["a"], "10", "next="), false),
        (200, list(&["b"], "10", ""), false),
        // The watch breaks off behind the bookmark, and the next one is told that the version is forgotten.
        (200, watch, false),
        (200, GONE.into(), false),
        // Now what is true; its second page comes too late, so all is asked for at once.
        (200, list(&["b"], "30", "p2"), false),
        (410, "{}".into(), false),
        (200, list(&["b", "c"], "31", ""), false),
        (200, event("MODIFIED", "end", "32"), true),
    ]);
    let seen = followed(&url, |w| (w.watch, w.exact) = (Duration::from_secs(100), true), "put end");
    let gone = "failed: the server has forgotten what was asked for (410)";
    let cut = "failed: the server ends each watch at once";
    let want = [
        "begin", "put a", "put b", "listed", "put c", "gone a", cut, "begin", "put b", gone, "begin", "put b", "put c",
        "listed", "put end",
    ];
    assert_eq!(seen, want);
    let select = "fieldSelector=spec.nodeName%3Dn1";
    let watch = |version: u32| {
        format!("/api/v1/pods?watch=1&allowWatchBookmarks=true&resourceVersion={version}&timeoutSeconds=100&{select}")
    };
    assert_eq!(
        *asked.lock().unwrap(),
        [
            format!("/api/v1/pods?limit=50&resourceVersion=0&{select}"),
            format!("/api/v1/pods?limit=50&continue=next%3D&{select}"),
            watch(10),
            watch(20),
            format!("/api/v1/pods?limit=50&{select}"),
            format!("/api/v1/pods?limit=50&continue=p2&{select}"),
            format!("/api/v1/pods?{select}"),
            watch(31),
        ]
    );
}

#[test]
fn a_server_that_forgets_at_once_is_not_asked_in_a_row() {
    let mut steps = Vec::new();
    for _ in 0..3 {
        steps.push((200, list(&[], "10", ""), false));
        steps.push((200, GONE.into(), false));
    }
    let (url, asked) = server(steps);
    let begun = std::time::Instant::now();
    let seen = followed(&url, |_| (), "failed");
    assert_eq!(
        seen,
        ["begin", "listed", "begin", "listed", "failed: the server has forgotten what was asked for (410)"]
    );
    assert_eq!(asked.lock().unwrap().len(), 4, "{:?}", begun.elapsed());
}

#[test]
fn what_is_no_list_and_pages_in_circles() {
    let (url, _) = server(vec![
        (200, "<html>".into(), false),
        (200, list(&["a"], "1", "x"), false),
        (200, list(&["a"], "1", "x"), false),
    ]);
    let seen = followed(&url, |w| w.cached = false, "failed: the pages of the list go round in circles");
    assert!(seen[1].contains("is no list of objects (does Kube_URL lead to an API server?)"), "{seen:?}");
}

#[test]
fn one_object() {
    let (url, asked) = server(vec![
        (200, "{\"a\":1}".into(), false),
        (200, "0123456789".into(), false),
        (404, "{}".into(), false),
        (401, "{\"message\":\"Unauthorized\"}".into(), false),
    ]);
    let keys = [("Kube_URL", format!("{url}/base/")), ("Kube_Token_File", "/none/token".into())];
    let keys: Vec<_> = keys.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let conf = ApiConf::load(&Section::of("FILTER", &keys), &mut Diags::new()).unwrap();
    let api = Api::new(&conf).unwrap();
    run(async {
        assert_eq!(api.get("/api/v1/namespaces/a", 9).await, Ok(b"{\"a\":1}".to_vec()));
        assert_eq!(api.get("/api/v1/namespaces/a", 9).await, Err(Fail::TooLarge));
        assert_eq!(api.get("/api/v1/namespaces/a", 9).await, Err(Fail::NotFound));
        let said = api.get("/api/v1/namespaces/a", 9).await.unwrap_err().to_string();
        assert!(
            said.contains("(401, Unauthorized); there is none: Kube_Token_File '/none/token' cannot be read"),
            "{said}"
        );
    })
    .unwrap();
    assert_eq!(asked.lock().unwrap()[0], "/base/api/v1/namespaces/a");
}
