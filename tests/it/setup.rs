//! `--setup`: what it sends, what it says, and whether a real search engine takes it.

use crate::lab::{Answer, HttpSink, Lab, has, samples};
use crate::real;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the project.
fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/kibana")
}

fn saved_objects() -> Vec<Value> {
    let text = fs::read_to_string(shipped().join("packets.ndjson")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

#[test]
fn templates_and_dashboards_are_sent_to_their_servers() {
    let server = HttpSink::new(|request, _| match request.path.as_str() {
        "/_index_template/packets" => Answer::new(200, r#"{"acknowledged":true}"#),
        "/kibana/api/saved_objects/_import?overwrite=true" => Answer::new(200, r#"{"success":true,"successCount":12}"#),
        other => Answer::new(404, other),
    });
    let (lab, folder, port) = (Lab::new("setup"), shipped(), server.port());
    let es = format!("http://elastic:s3cret@127.0.0.1:{port}/");
    let kibana = format!("http://127.0.0.1:{port}/kibana");
    let args = ["--setup", folder.to_str().unwrap(), "--elasticsearch", &es, "--kibana", &kibana];
    lab.exec(&args).code(0).shows(&["index template 'packets' loaded", "12 saved objects of"]);
    let [template, objects] = &server.requests()[..] else { panic!("{:?}", server.requests().len()) };
    assert_eq!(template.header("authorization"), Some("Basic ZWxhc3RpYzpzM2NyZXQ="));
    assert_eq!(template.text(), fs::read_to_string(folder.join("templates/packets.json")).unwrap());
    assert_eq!(objects.header("kbn-xsrf"), Some("true"));
    let text = objects.text();
    assert!(objects.header("content-type").is_some_and(|v| v.starts_with("multipart/form-data; boundary=")));
    assert!(text.contains(&fs::read_to_string(folder.join("packets.ndjson")).unwrap()), "{text}");
}

#[test]
fn what_a_server_refuses_is_said() {
    let server = HttpSink::new(|request, _| match request.path.as_str() {
        "/_index_template/packets" => Answer::new(400, r#"{"error":"no such analyzer"}"#),
        _ => Answer::new(200, r#"{"success":false,"errors":[{"id":"packets","error":{"type":"unknown"}}]}"#),
    });
    let (lab, folder, url) = (Lab::new("setup-refused"), shipped(), format!("http://127.0.0.1:{}", server.port()));
    let folder = folder.to_str().unwrap();
    lab.exec(&["--setup", folder, "--elasticsearch", &url])
        .code(1)
        .says(&["answered 400: {\"error\":\"no such analyzer\"}"]);
    lab.exec(&["--setup", folder, "--kibana", &url]).code(1).says(&["did not take all saved objects", "unknown"]);
    lab.exec(&["--setup", folder]).code(1).says(&["--setup needs --elasticsearch URL, --kibana URL, or both"]);
    lab.exec(&["--setup", ".", "--kibana", &url]).code(1).says(&["holds neither templates/*.json nor *.ndjson"]);
    let nobody = ["--setup", folder, "--elasticsearch", "ftp://x"];
    lab.exec(&nobody).code(1).says(&["'ftp://x': neither http nor https"]);
}

#[test]
fn the_saved_objects_refer_to_each_other() {
    let objects = saved_objects();
    let ids: BTreeSet<_> = objects.iter().map(|o| (o["type"].as_str().unwrap(), o["id"].as_str().unwrap())).collect();
    assert_eq!(ids.len(), objects.len());
    for object in &objects {
        for reference in object["references"].as_array().unwrap() {
            let to = (reference["type"].as_str().unwrap(), reference["id"].as_str().unwrap());
            assert!(ids.contains(&to), "{} refers to {to:?}", object["id"]);
        }
        for text in ["visState", "panelsJSON", "optionsJSON", "uiStateJSON"] {
            if let Some(text) = object["attributes"][text].as_str() {
                serde_json::from_str::<Value>(text).unwrap_or_else(|e| panic!("{e}: {text}"));
            }
        }
    }
    let dashboard = objects.iter().find(|o| o["type"] == "dashboard").unwrap();
    let shown = dashboard["references"].as_array().unwrap().len();
    assert_eq!(shown, objects.iter().filter(|o| o["type"] == "visualization").count());
}

/// The fields by which the visualisations sort and count.
fn fields() -> BTreeSet<String> {
    let states = saved_objects().into_iter().filter_map(|o| o["attributes"]["visState"].as_str().map(str::to_owned));
    let states = states.map(|s| serde_json::from_str::<Value>(&s).unwrap());
    let aggs = states.flat_map(|s| s["aggs"].as_array().unwrap().clone());
    aggs.filter_map(|a| a["params"]["field"].as_str().map(str::to_owned)).collect()
}

/// The template, then captures through the program into the search engine: every field of the dashboard can be counted.
#[test]
fn the_template_fits_what_is_decoded() {
    if !has!("packets") {
        return;
    }
    let (Some(server), Some(captures)) = (real::server(), samples("data/pcap")) else { return };
    let (lab, folder, url) = (Lab::new("setup-real"), shipped(), format!("http://127.0.0.1:{}", server.port));
    lab.exec(&["--setup", folder.to_str().unwrap(), "--elasticsearch", &url]).code(0).shows(&["'packets' loaded"]);
    let files: String = ["dns", "http", "icmp", "tls"]
        .map(|kind| format!("    File {}\n", captures.join(kind).join("beats-*.pcap").display()))
        .concat();
    let conf = format!(
        "[SERVICE]\n    Flush 0.2\n    Grace 20\n[INPUT]\n    Name pcap\n    Tag packet.<protocol>\n{files}\
         [OUTPUT]\n    Name es\n    Match packet.*\n    Host 127.0.0.1\n    Port {}\n    Logstash_Format On\n\
         \x20   Logstash_Prefix packets\n    Suppress_Type_Name On\n",
        server.port
    );
    lab.run(&conf).code(0).says(&["0 rejected, 0 dropped"]);
    let _ = real::get(server.port, "/packets-*/_refresh");
    let caps = real::get(server.port, &format!("/packets-*/_field_caps?fields={}", join(fields()))).unwrap();
    for field in fields() {
        let kinds = caps["fields"][&field].as_object().unwrap_or_else(|| panic!("{field} is in no document"));
        assert!(kinds.values().all(|k| k["aggregatable"] == true), "{field}: {kinds:?}");
    }
    let kind = |field: &str| caps_of(server.port, field);
    for (field, want) in
        [("source.ip", "ip"), ("event.start", "date"), ("event.duration", "long"), ("query", "keyword")]
    {
        assert_eq!(kind(field), want, "{field}");
    }
}

fn join(fields: BTreeSet<String>) -> String {
    fields.into_iter().collect::<Vec<_>>().join(",")
}

fn caps_of(port: u16, field: &str) -> String {
    let caps = real::get(port, &format!("/packets-*/_field_caps?fields={field}")).unwrap();
    caps["fields"][field].as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(",")
}
