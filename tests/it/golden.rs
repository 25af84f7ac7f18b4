//! Golden folders: `tests/golden/<kind>/<plugin>/<case>/` holds a configuration, its input and what comes out, byte for byte.
//!
//! - `collector.conf` is run to its end, which must come by itself (Exit_On_Eof, a closed standard input, `samples`).
//! - `in.*` are copied beside it; `in.stdin` is its standard input.
//! - `out.stdout` is what it prints; `out.log` its log at warn level and above without the times; any other `out.NAME` a
//!   file that it writes. What is missing is not compared.
//!
//! `BLESS=1` rewrites the `out.*` files that exist; `touch` one to begin with.

use crate::lab::{Lab, skip};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Every folder below `tests/golden` that holds a configuration.
fn cases() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")];
    while let Some(dir) = open.pop() {
        if dir.join("collector.conf").is_file() {
            found.push(dir);
        } else {
            open.extend(fs::read_dir(&dir).unwrap().flatten().map(|e| e.path()).filter(|p| p.is_dir()));
        }
    }
    found.sort();
    found
}

/// `filter/grep/exclude`.
fn name(case: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    case.strip_prefix(root).unwrap().display().to_string()
}

/// Runs one case; what differs, in words.
fn differs(case: &Path) -> Option<String> {
    let lab = Lab::new(&name(case).replace('/', "-"));
    let files: Vec<_> = fs::read_dir(case).unwrap().flatten().map(|e| e.path()).collect();
    let named = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    for path in &files {
        if !named(path).starts_with("out.") {
            fs::copy(path, lab.path(&named(path))).unwrap();
        }
    }
    let input = lab.bytes("in.stdin");
    let done = lab.command(&["-c", "collector.conf"]).stdin(input).start().wait();
    if cfg!(not(feature = "default")) && done.stderr.contains("is not in this build") {
        skip(&format!("{} needs plugins that this build leaves out", name(case)));
        return None;
    }
    if !done.status.success() {
        return Some(format!("{}: it failed\n{}", name(case), done.report()));
    }
    let mut outs: Vec<_> = files.iter().filter(|p| named(p).starts_with("out.")).collect();
    outs.sort();
    if outs.is_empty() {
        return Some(format!("{}: no out.* to compare with", name(case)));
    }
    for out in outs {
        let got = match named(out).as_str() {
            "out.stdout" => fs::read(lab.path("stdout.0")).unwrap(),
            "out.log" => log(&done.stderr).into_bytes(),
            other => lab.bytes(other),
        };
        if std::env::var_os("BLESS").is_some() {
            fs::write(out, &got).unwrap();
        }
        let want = fs::read(out).unwrap();
        if got != want {
            let (want, got) = (String::from_utf8_lossy(&want), String::from_utf8_lossy(&got));
            return Some(format!("{}/{}\n{}\n{}", name(case), named(out), difference(&want, &got), done.report()));
        }
    }
    None
}

/// The lines of the log that an operator has to act on, without their times.
fn log(stderr: &str) -> String {
    let lines = stderr.lines().filter_map(|l| l.split_once("] ").map(|(_, text)| text));
    let grave = lines.filter(|l| l.starts_with("[ warn]") || l.starts_with("[error]"));
    grave.filter(|l| !l.contains("service will shutdown")).map(|l| format!("{l}\n")).collect()
}

/// The first line that differs.
fn difference(want: &str, got: &str) -> String {
    let at = want.lines().zip(got.lines()).take_while(|(w, g)| w == g).count();
    let line = |text: &str| text.lines().nth(at).map_or("(end)".into(), |l| format!("{l:?}"));
    format!("  line {}\n  expected {}\n  got      {}", at + 1, line(want), line(got))
}

#[test]
fn every_case_comes_out_as_it_should() {
    let cases = Arc::new(cases());
    assert!(!cases.is_empty());
    let (next, wrong) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (cases, next, wrong) = (cases.clone(), next.clone(), wrong.clone());
            std::thread::spawn(move || {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    wrong.lock().unwrap().extend(differs(case));
                }
            })
        })
        .collect();
    let died = threads.into_iter().filter_map(|t| t.join().err()).count();
    let wrong = wrong.lock().unwrap();
    assert!(died == 0 && wrong.is_empty(), "{} of {} cases differ\n\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
}

/// A plugin without a golden folder is a plugin whose output may change unnoticed.
#[test]
fn every_plugin_has_a_case() {
    let catalog = collector::cli::catalog();
    let kinds = [("input", &catalog.inputs), ("filter", &catalog.filters), ("output", &catalog.outputs)];
    let cases = cases();
    let mut missing = Vec::new();
    for (kind, plugins) in kinds {
        for plugin in plugins {
            let prefix = format!("{kind}/{}/", plugin.name);
            if !cases.iter().any(|c| name(c).starts_with(&prefix)) && !ELSEWHERE.contains(&(kind, plugin.name)) {
                missing.push(prefix);
            }
        }
    }
    assert!(missing.is_empty(), "no golden case for {missing:?}");
}

/// Plugins whose output cannot be told beforehand, or that need a peer: other tests run them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("input", "beats"),
    ("input", "cpu"),
    ("input", "disk"),
    ("input", "gpio_events"),
    ("input", "health"),
    ("input", "mem"),
    ("input", "netif"),
    ("input", "proc"),
    ("input", "serial"),
    ("input", "thermal"),
    ("input", "uptime"),
    ("input", "elasticsearch"),
    ("input", "fluentbit_metrics"),
    ("input", "http"),
    ("input", "kmsg"),
    ("input", "kubernetes_events"),
    ("input", "forward"),
    ("input", "mqtt"),
    ("input", "random"),
    ("input", "syslog"),
    ("input", "systemd"),
    ("input", "tcp"),
    ("output", "beats"),
    ("input", "udp"),
    ("input", "unix_socket"),
    ("output", "counter"),
    ("output", "es"),
    ("output", "gelf"),
    ("output", "http"),
    ("output", "influxdb"),
    ("output", "loki"),
    ("output", "kafka"),
    ("output", "logstash"),
    ("output", "lumberjack"),
    ("output", "mqtt"),
    ("output", "forward"),
    ("output", "opensearch"),
    ("output", "opentelemetry"),
    ("output", "prometheus_exporter"),
    ("output", "redis"),
    ("output", "syslog"),
    ("output", "tcp"),
    ("output", "udp"),
];
