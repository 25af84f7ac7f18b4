//! What holds for every filter: random records through random configurations.

use super::testing::{apply, batch, instance, json, lines};
use super::{FilterCx, FilterPlugin, PLUGINS};
use crate::time::Time;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

type Conf = &'static [(&'static str, &'static str)];

/// A configuration or more of each plugin.
const CONFS: &[(&str, Conf)] = &[
    ("expect", &[("action", "result_key"), ("key_exists", "$m['a']"), ("key_val_eq", "log a")]),
    ("grep", &[("Regex", "log a"), ("Exclude", "$m['log'] b")]),
    ("grep", &[("Logical_Op", "OR"), ("Exclude", "log a"), ("Exclude", "$m[0] .")]),
    ("kubernetes", &[]),
    ("modify", &[("Rename", "log a"), ("Hard_copy", "m log"), ("Set", "b x"), ("Remove_wildcard", "a")]),
    ("modify", &[("Condition", "A_key_matches ^a"), ("Move_to_start", "m"), ("Copy", "a c"), ("Hard_rename", "b log")]),
    ("modify", &[("Remove", "a"), ("Remove", "b"), ("Remove_regex", "o.$"), ("Move_to_end", "a"), ("Add", "a 1")]),
    ("multiline", &[("Multiline.Parser", "java, python"), ("Multiline.Key_Content", "a")]),
    ("multiline", &[("Mode", "partial_message"), ("Buffer", "off")]),
    (
        "nest",
        &[("Operation", "nest"), ("Wildcard", "a*"), ("Wildcard", "log"), ("Nest_under", "m"), ("Add_prefix", "p")],
    ),
    ("nest", &[("Operation", "lift"), ("Nested_under", "m"), ("Remove_prefix", "a")]),
    ("nest", &[("Operation", "lift"), ("Nested_under", "log"), ("Add_prefix", "log")]),
    ("parser", &[("Key_Name", "log"), ("Parser", "json"), ("Reserve_Data", "on")]),
    ("parser", &[("Key_Name", "$m['log']"), ("Parser", "logfmt"), ("Parser", "json"), ("Preserve_Key", "on")]),
    ("record_modifier", &[("Remove_key", "A*"), ("Record", "host h"), ("Uuid_key", "id")]),
    ("record_modifier", &[("Allowlist_key", "LOG"), ("Allowlist_key", "m")]),
    ("rewrite_tag", &[("Rule", r#"$log "a (.)" x.$1.$m no"#), ("Rule", "$a ^(.) $TAG[1].$1.$m['a'] yes")]),
    ("sysinfo", &[("hostname_key", "a")]),
    ("throttle", &[("Rate", "2"), ("Window", "1")]),
    ("type_converter", &[("str_key", "log n int"), ("int_key", "a s string"), ("float_key", "$m['a'] f int")]),
];

/// Those of plugins that this build has.
fn served() -> Vec<(&'static str, Conf)> {
    CONFS.iter().filter(|(name, _)| PLUGINS.iter().any(|p| p.info.name == *name)).copied().collect()
}

fn plugin(name: &str) -> &'static FilterPlugin {
    PLUGINS.iter().find(|p| p.info.name == name).unwrap()
}

/// JSON text of a value, without blanks.
fn value() -> impl Strategy<Value = String> {
    let text = select(vec![
        r#""a""#,
        r#""b \"q\" \n é\u0001""#,
        r#""""#,
        r#""{\"a\":1,\"log\":{\"x\":[]}}""#,
        r#""a=1 b=\"x y\" log""#,
        r#""12.5x""#,
    ]);
    let leaf = prop_oneof![
        text.prop_map(str::to_owned),
        any::<i64>().prop_map(|n| n.to_string()),
        select(vec!["null", "true", "1.5", "-2.0", "18446744073709551615"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|all| format!("[{}]", all.join(","))),
            vec((name(), inner), 0..4).prop_map(object),
        ]
    })
}

fn name() -> impl Strategy<Value = &'static str> {
    select(vec!["log", "a", "b", "m", "a b", "aé", "", "kubernetes"])
}

fn object(entries: Vec<(&'static str, String)>) -> String {
    let entries: Vec<_> = entries.into_iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
    format!("{{{}}}", entries.join(","))
}

fn records() -> impl Strategy<Value = Vec<String>> {
    vec(vec((name(), value()), 0..7).prop_map(object), 0..5)
}

#[test]
fn every_plugin_is_in_the_table_once_and_tried_here() {
    let names: Vec<_> = PLUGINS.iter().map(|p| p.info.name).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    for name in names {
        // That one would write into the tests' own output.
        assert!(name == "stdout" || CONFS.iter().any(|c| c.0 == name), "{name} has no configuration here");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn records_are_accounted_for_and_stay_well_formed(
        old in records(), new in records(), chain in vec(select(served()), 1..5),
    ) {
        let as_lines = |r: &[String]| r.iter().map(String::as_str).map(str::to_owned).collect::<Vec<_>>();
        let mut b = batch("k.t.u", &old.iter().map(String::as_str).collect::<Vec<_>>());
        let before: Vec<_> = b.records().map(|r| json(r.body())).collect();
        b.settle();
        super::testing::append(&mut b, &as_lines(&new).iter().map(String::as_str).collect::<Vec<_>>());
        let mut cx = FilterCx::new(Time(0));
        for (name, conf) in chain {
            let had = b.fresh().len();
            let mut filter = instance(plugin(name), conf);
            filter.apply(&mut b, &mut cx);
            let dropped = b.sweep();
            // What multiline joins or moves stands behind the others.
            prop_assert!(b.fresh().len() + dropped == had || name == "multiline");
            prop_assert!(b.fresh().len() <= had);
            let emitted: usize = cx.take_emitted().iter().map(|e| e.batch.len()).sum();
            prop_assert!(emitted == 0 || filter.emits().is_some());
            prop_assert!(emitted <= had);
            for line in lines(&b) {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{} made {}", name, line);
            }
        }
        prop_assert_eq!(cx.exit, None);
        prop_assert_eq!(b.records().take(before.len()).map(|r| json(r.body())).collect::<Vec<_>>(), before);
    }
}

/// A record as a plain list, to check the tape against.
type Plain = Vec<(String, String)>;

fn text(record: &Plain) -> String {
    let entries: Vec<_> = record.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
    format!("{{{}}}", entries.join(","))
}

/// `modify` by its definition.
fn modify(r: &mut Plain, rule: &str, key: &str, value: &str) {
    let has = |r: &Plain, k: &str| r.iter().filter(|e| e.0 == k).count();
    let split = |r: &mut Plain, pick: &dyn Fn(&str) -> bool| {
        let (chosen, others): (Plain, Plain) = r.drain(..).partition(|e| pick(&e.0));
        (chosen, others)
    };
    match rule {
        "Add" if has(r, key) > 0 => {}
        "Add" => r.push((key.into(), format!("\"{value}\""))),
        "Set" => {
            r.retain(|e| e.0 != key);
            r.push((key.into(), format!("\"{value}\"")));
        }
        "Remove" => r.retain(|e| e.0 != key),
        "Remove_wildcard" => r.retain(|e| !e.0.starts_with(key)),
        "Move_to_start" => {
            let (chosen, others) = split(r, &|k| k.starts_with(key));
            *r = [chosen, others].concat();
        }
        "Move_to_end" => {
            let (chosen, others) = split(r, &|k| k.starts_with(key));
            *r = [others, chosen].concat();
        }
        "Rename" | "Hard_rename" => {
            if has(r, key) == 0 || key == value || (rule == "Rename" && has(r, value) > 0) {
                return;
            }
            r.retain(|e| e.0 != value);
            r.iter_mut().filter(|e| e.0 == key).for_each(|e| e.0 = value.into());
        }
        _ => {
            let in_the_way = has(r, value);
            if key == value || has(r, key) != 1 || in_the_way > usize::from(rule == "Hard_copy") {
                return;
            }
            r.retain(|e| e.0 != value);
            let at = r.iter().position(|e| e.0 == key).unwrap();
            let copy = (value.to_owned(), r[at].1.clone());
            r.insert(at + 1, copy);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn modify_equals_its_definition(
        input in vec(vec((select(vec!["a", "ab", "b", "c"]), value()), 0..6), 1..4),
        rules in vec((
            select(vec![
                "Add", "Set", "Remove", "Remove_wildcard", "Move_to_start", "Move_to_end", "Rename", "Hard_rename",
                "Copy", "Hard_copy",
            ]),
            select(vec!["a", "ab", "b", "c"]),
            select(vec!["a", "ab", "b", "d"]),
        ), 1..6),
    ) {
        let values: Vec<String> = rules.iter().map(|(rule, key, value)| match *rule {
            "Remove" | "Remove_wildcard" | "Move_to_start" | "Move_to_end" => (*key).to_owned(),
            _ => format!("{key} {value}"),
        }).collect();
        let conf: Vec<_> = rules.iter().zip(&values).map(|(r, v)| (r.0, v.as_str())).collect();
        let read: Vec<String> = input.iter().map(|r| object(r.clone())).collect();
        let mut b = batch("t", &read.iter().map(String::as_str).collect::<Vec<_>>());
        // As the reader and the writer have it.
        let mut expected: Vec<Plain> = (0..b.len()).map(|i| {
            b.body(i).map(|(k, v)| {
                let mut out = Vec::new();
                crate::fmt::json_write::write_value(&v, Default::default(), &mut out);
                (String::from_utf8_lossy(b.key_name(k)).into_owned(), String::from_utf8(out).unwrap())
            }).collect()
        }).collect();
        for record in &mut expected {
            rules.iter().for_each(|(rule, key, value)| modify(record, rule, key, value));
        }
        apply(&mut *instance(plugin("modify"), &conf), &mut b, &mut FilterCx::new(Time(0)));
        prop_assert_eq!(lines(&b), expected.iter().map(text).collect::<Vec<_>>());
    }

    #[test]
    fn lift_undoes_nest(entries in vec((select(vec!["x_a", "x_b", "c", "d"]), value()), 0..6)) {
        let line = object(entries);
        let mut b = batch("t", &[&line]);
        let (moved, others): (Vec<_>, Vec<_>) =
            b.body(0).map(|(k, v)| (String::from_utf8_lossy(b.key_name(k)).into_owned(), format!("{v:?}")))
            .partition(|e| e.0.starts_with("x_"));
        let nest = [("Operation", "nest"), ("Wildcard", "x_*"), ("Nest_under", "n"), ("Remove_prefix", "x_")];
        let lift = [("Operation", "lift"), ("Nested_under", "n"), ("Add_prefix", "x_")];
        for conf in [nest.as_slice(), lift.as_slice()] {
            apply(&mut *instance(plugin("nest"), conf), &mut b, &mut FilterCx::new(Time(0)));
        }
        let names: Vec<_> =
            b.body(0).map(|(k, _)| String::from_utf8_lossy(b.key_name(k)).into_owned()).collect();
        let expected: Vec<_> = others.into_iter().chain(moved).map(|e| e.0).collect();
        prop_assert_eq!(names, expected);
    }
}
