//! The output `loki` against scripted servers.

use super::*;
use crate::output::request::testing::server;
use crate::output::testing::{Dir, batch, instance, payload, refused, send};
use crate::rt::run;

const LINES: [(i64, &str); 3] = [
    (1, r#"{"log":"a","t":"one","l":"x"}"#),
    (2, r#"{"log":"b","t":"two","l":"y"}"#),
    (3, r#"{"log":"c","t":"one","l":"x"}"#),
];

#[test]
fn bodies_and_headers() {
    let (port, got) = server(vec![(204, "", "")]);
    let keys = [
        ("port", port.as_str()),
        ("workers", "1"),
        ("labels", "job=fb, $l"),
        ("remove_keys", "t"),
        ("drop_single_key", "raw"),
        ("tenant_id", "fake"),
        ("bearer_token", "abc"),
        ("header", "X-A b"),
    ];
    let output = instance(&PLUGIN, &keys);
    assert!(matches!(run(async { send(&*output, &batch("t", &LINES)).await }).unwrap(), Outcome::Done));
    let got = got.join().unwrap().remove(0);
    assert_eq!(got.head[0], "POST /loki/api/v1/push HTTP/1.1");
    assert_eq!((got.all("content-type"), got.all("x-a")), (vec!["application/json"], vec!["b"]));
    assert_eq!((got.all("x-scope-orgid"), got.all("authorization")), (vec!["fake"], vec!["Bearer abc"]));
    let expected = r#"{"streams":[{"stream":{"job":"fb","l":"x"},"values":[["1","a"],["3","c"]]},{"stream":{"job":"fb","l":"y"},"values":[["2","b"]]}]}"#;
    assert_eq!(got.text(), expected);
}

#[test]
fn a_request_for_each_tenant_and_only_what_failed_again() {
    let (port, got) = server(vec![(204, "", ""), (500, "", "ingester"), (204, "", "")]);
    let keys = [
        ("port", port.as_str()),
        ("workers", "1"),
        ("tenant_id_key", "t"),
        ("tenant_id", "rest"),
        ("label_keys", "$t"),
    ];
    let output = instance(&PLUGIN, &keys);
    let more = [&LINES[..], &[(4, "{}"), (5, r#"{"t":"bad\n"}"#)]].concat();
    match run(async { send(&*output, &batch("t", &more)).await }).unwrap() {
        Outcome::Part { retry, why, refused } => {
            assert_eq!((retry, why), (vec![1], "HTTP status 500: ingester".into()));
            assert_eq!(refused, [(4, "its tenant has control characters".into())]);
        }
        other => panic!("{other:?}"),
    }
    let got = got.join().unwrap();
    let tenants: Vec<_> = got.iter().map(|g| g.all("x-scope-orgid")).collect();
    assert_eq!(tenants, [["one"], ["two"], ["rest"]]);
    assert!(got[0].text().starts_with(r#"{"streams":[{"stream":{"t":"one"},"values":[["1","#), "{}", got[0].text());
}

#[test]
fn a_file_of_labels() {
    let dir = Dir::new();
    let path = dir.path("map.json");
    std::fs::write(&path, r#"{"kubernetes":{"pod_name":"pod","labels":{"it's":"x-y"}},"l":"level"}"#).unwrap();
    let output = instance(&PLUGIN, &[("label_map_path", &path), ("line_format", "key_value")]);
    let line = r#"{"kubernetes":{"pod_name":"p","labels":{"it's":"q"}},"l":"z","log":"m"}"#;
    let p = payload(&*output, &batch("t", &[(1, line)]));
    let expected = r#"{"streams":[{"stream":{"pod":"p","x_y":"q","level":"z"},"values":[["1","kubernetes=\"map[labels:\"map[]\"]\" log=\"m\""]]}]}"#;
    assert_eq!(String::from_utf8(p.bytes).unwrap(), expected);
    std::fs::write(&path, r#"{"a":[1]}"#).unwrap();
    assert!(refused(&PLUGIN, &[("label_map_path", &path)]).contains("the value of 'a' is neither"));
    std::fs::write(&path, "[1]").unwrap();
    assert!(refused(&PLUGIN, &[("label_map_path", &path)]).contains("is no JSON object"));
    assert!(refused(&PLUGIN, &[("label_map_path", &dir.path("none"))]).contains("Label_Map_Path: "));
}

#[test]
fn what_is_refused() {
    for (pair, part) in [
        (("labels", "job"), "Labels: 'job' is neither name=value nor $key"),
        (("labels", "a-b=c"), "Labels: 'a-b' is not the name of a label"),
        (("label_keys", "level"), "Label_Keys: 'level' does not begin with '$'"),
        (("structured_metadata", "x"), "Structured_Metadata: 'x' is neither"),
        (("structured_metadata_map_keys", "x"), "Structured_Metadata_Map_Keys: 'x' does not begin with '$'"),
        (("remove_keys", "$a.b"), "Remove_Keys: '.b' does not belong"),
        (("tenant_id_key", "$"), "Tenant_ID_Key: '$' is no record accessor"),
        (("line_format", "xml"), "'xml' is not one of: json key_value"),
        (("drop_single_key", "x"), "'x' is not one of: off on raw"),
        (("compress", "zstd"), "'zstd' is not one of: off gzip"),
        (("tenant_id_key_error_handling", "x"), "is not one of: partial_success partial_error"),
        (("http_userr", "x"), "Did you mean 'HTTP_User'?"),
    ] {
        let said = refused(&PLUGIN, &[pair]);
        assert!(said.contains(part), "{part:?} is not in {said:?}");
    }
}
