//! A real Elasticsearch at the end: the node is killed, the program is killed, each document is there once.

use super::storage::on_disk;
use super::trial::{Again, Conf, Trial};
use crate::lab::Proc;
use crate::real;
use rustix::process::Signal;
use std::time::Duration;

/// How long the last lines may take.
const LIMIT: Duration = Duration::from_secs(120);

/// The short form kills the program alone: the node is that of all tests.
pub fn search_engine(t: &mut Trial) {
    let lines = t.size(200_000, 10_000);
    let mut own = t.is_full().then(real::start).flatten();
    let port = match &own {
        Some(server) => server.port,
        None if t.is_full() => 0,
        None => real::server().map_or(0, |s| s.port),
    };
    if port == 0 {
        t.row.skipped = Some("no Elasticsearch could be started: scripts/setup.sh test installs what it needs".into());
        return;
    }
    let conf =
        Conf::es(port).input("DB t.db").output("Generate_ID On").output("Index faults").service("scheduler.cap 3");
    let conf = on_disk(conf);
    let mut writer = t.writer();
    let mut run = t.start(&conf);
    for part in 0..20 {
        for _ in 0..10 {
            writer.lines(lines / 200);
            std::thread::sleep(Duration::from_millis(10));
        }
        if part % 3 == 2 {
            writer.rename();
        }
        let kill = |t: &mut Trial, run: Proc| {
            t.end(run, Signal::KILL);
            t.start(&conf)
        };
        match (part, &mut own) {
            // The node, then the program while the node is away, then both at once.
            (4, Some(node)) => node.kill(),
            (6, _) => run = kill(t, run),
            (7, Some(node)) => node.start_again(),
            (10, _) => run = kill(t, run),
            (13, Some(node)) => {
                node.kill();
                run = kill(t, run);
                node.start_again();
            }
            (16, _) => run = kill(t, run),
            _ => {}
        }
    }
    let written = writer.written();
    let count = || real::get(port, "/faults/_count").and_then(|v| v["count"].as_u64()).unwrap_or(0);
    t.until(LIMIT, || {
        let _ = real::get(port, "/faults/_refresh");
        std::thread::sleep(Duration::from_millis(100));
        count() >= u64::from(written)
    });
    t.end(run, Signal::TERM);
    read_back(t, port);
    let _ = real::get(port, "/_refresh");
    let stored = count();
    t.note(format!("{stored} documents in the index"));
    t.bar(stored == u64::from(written), format!("{stored} documents for {written} lines"));
    // What came twice overwrote itself: the documents alone count.
    t.check(written, Again::Never);
    t.row.disorder = None;
}

/// Shows the tally every document of the index.
fn read_back(t: &Trial, port: u16) {
    let _ = real::get(port, "/faults/_refresh");
    let mut page = real::get(port, "/faults/_search?scroll=1m&size=10000&sort=_doc");
    while let Some(found) = page.take() {
        let hits = found["hits"]["hits"].as_array().cloned().unwrap_or_default();
        for hit in &hits {
            let (log, id) = (hit["_source"]["log"].as_str(), hit["_id"].as_str());
            t.tally.arrive(log.unwrap_or_default().as_bytes(), id.map(str::as_bytes));
        }
        if let (false, Some(scroll)) = (hits.is_empty(), found["_scroll_id"].as_str()) {
            page = real::get(port, &format!("/_search/scroll?scroll=1m&scroll_id={scroll}"));
        }
    }
}
