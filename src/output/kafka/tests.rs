//! Messages, configurations, and what becomes of deliveries, without brokers.

use super::job::{Batch, Fate, Job, Parked, Route, Rules, identity};
use super::message::{Message, messages};
use super::partition::Partitioner;
use super::producer::Numbers;
use super::*;
use crate::fmt::kafka::Compression;
use crate::fmt::kafka::sasl::ProducerId;
use crate::output::testing::{batch, instance, made, payload, refused};
use std::rc::Rc;

const HERE: (&str, &str) = ("brokers", "127.0.0.1:9");
const LINES: [(i64, &str); 3] = [
    (1_700_000_000_000_000_005, r#"{"log":"hi \"x\"","n":1,"t":"audit","k":{"id":"u\n7"}}"#),
    (1_000_000_000, "{}"),
    (2_000_000_000, r#"{"@timestamp":"own","t":"other"}"#),
];

/// Topic, key and value of each message.
fn check(conf: &[(&str, &str)], expected: &[(&str, Option<&str>, Option<&str>)]) {
    let conf = [&[HERE], conf].concat();
    let p = payload(&*instance(&PLUGIN, &conf), &batch("t", &LINES));
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    let got: Vec<_> = messages(&p.bytes, &p.items)
        .map(|m| (m.topic.unwrap_or_default().to_owned(), m.key.map(text), m.value.map(text)))
        .collect();
    let want: Vec<_> =
        expected.iter().map(|(t, k, v)| ((*t).to_owned(), k.map(str::to_owned), v.map(str::to_owned))).collect();
    assert_eq!(got, want, "{conf:?}");
}

#[test]
fn values() {
    let rest = r#""log":"hi \"x\"","n":1,"t":"audit","k":{"id":"u\n7"}}"#;
    let own = r#"{"@timestamp":"own","t":"other"}"#;
    let json = |time: &str, empty: &str| {
        let first = format!("{{\"@timestamp\":{time},{rest}");
        let second = format!("{{\"@timestamp\":{empty}}}");
        (first, second)
    };
    for (format, time, empty) in [
        ("double", "1700000000.0", "1.0"),
        ("iso8601", "\"2023-11-14T22:13:20.000000Z\"", "\"1970-01-01T00:00:01.000000Z\""),
        ("iso8601_ns", "\"2023-11-14T22:13:20.000000005Z\"", "\"1970-01-01T00:00:01.000000000Z\""),
    ] {
        let (first, second) = json(time, empty);
        check(
            &[("timestamp_format", format)],
            &[("", None, Some(&first)), ("", None, Some(&second)), ("", None, Some(own))],
        );
    }
    check(
        &[("format", "raw"), ("raw_log_key", "log"), ("message_key", "K")],
        &[("", Some("K"), Some("hi \"x\"")), ("", Some("K"), None), ("", Some("K"), None)],
    );
    let gelf =
        r#"{"version":"1.1", "_@timestamp":"own", "short_message":"other", "timestamp":2.000}"#.replace('@', "_");
    let conf = [HERE, ("format", "gelf"), ("gelf_short_message_key", "t")];
    let p = payload(&*instance(&PLUGIN, &conf), &batch("t", &LINES[2..]));
    let got = messages(&p.bytes, &p.items).next().and_then(|m| m.value).unwrap_or_default();
    assert_eq!(String::from_utf8_lossy(got), gelf);
    let conf = [HERE, ("format", "msgpack"), ("timestamp_key", "ts"), ("timestamp_format", "iso8601")];
    let p = payload(&*instance(&PLUGIN, &conf), &batch("t", &LINES[1..]));
    let first = messages(&p.bytes, &p.items).next().unwrap();
    assert_eq!(first.value, Some(&b"\x81\xa2ts\xbb1970-01-01T00:00:01.000000Z"[..]));
    let conf = [HERE, ("format", "msgpack")];
    let p = payload(&*instance(&PLUGIN, &conf), &batch("t", &LINES[1..]));
    let all: Vec<Message<'_>> = messages(&p.bytes, &p.items).collect();
    assert_eq!(all[0].value, Some(&b"\x81\xaa@timestamp\xcb\x3f\xf0\0\0\0\0\0\0"[..]));
    assert_eq!(all[1].value, Some(&b"\x82\xaa@timestamp\xa3own\xa1t\xa5other"[..]));
}

#[test]
fn topics_and_keys() {
    let raw = [("format", "raw"), ("raw_log_key", "$t")];
    let with = |more: &[(&'static str, &'static str)]| [&raw, more].concat();
    let values = [Some("audit"), None, Some("other")];
    let rows =
        |topics: [&'static str; 3], keys: [Option<&'static str>; 3]| [0, 1, 2].map(|n| (topics[n], keys[n], values[n]));
    check(&with(&[]), &rows(["", "", ""], [None; 3]));
    check(&with(&[("topics", "a, audit"), ("topic_key", "t")]), &rows(["audit", "", ""], [None; 3]));
    check(&with(&[("topics", "audit,a"), ("topic_key", "t")]), &rows(["", "", ""], [None; 3]));
    let dynamic = [("topics", "a"), ("topic_key", "$t"), ("dynamic_topic", "on")];
    check(&with(&dynamic), &rows(["audit", "", "other"], [None; 3]));
    // A line break cannot be in a topic's name.
    let bad = [("topics", "a"), ("topic_key", "$k['id']"), ("dynamic_topic", "on")];
    check(&with(&bad), &rows(["", "", ""], [None; 3]));
    let keys = [("message_key", "K"), ("message_key_field", "$k['id']")];
    check(&with(&keys), &rows(["", "", ""], [Some("u\n7"), Some("K"), Some("K")]));
    // A number is no key, as in Fluent Bit.
    check(&with(&[("message_key_field", "n")]), &rows(["", "", ""], [None; 3]));
}

#[test]
fn what_is_refused() {
    let table: &[(&[(&str, &str)], &str)] = &[
        (&[("brokers", "")], "the property 'Brokers' is required"),
        (&[("brokers", "a:b")], "'a:b' is no broker's address"),
        (&[("brokers", "a:0")], "no broker's address"),
        (&[HERE, ("topics", "a b")], "'a b' cannot be a topic's name"),
        (&[HERE, ("format", "avro")], "'avro' is not served: json, msgpack, gelf and raw are"),
        (&[HERE, ("format", "xml")], "'xml' is not one of: json msgpack gelf raw"),
        (&[HERE, ("format", "raw")], "Format raw needs Raw_Log_Key"),
        (&[HERE, ("timestamp_format", "epoch")], "'epoch' is not one of: double iso8601 iso8601_ns"),
        (&[HERE, ("topic_key", "$a[")], "Topic_Key:"),
        (&[HERE, ("rdkafka.acks", "2")], "rdkafka.acks: '2' is not served"),
        (&[HERE, ("rdkafka.acks", "1"), ("rdkafka.enable.idempotence", "true")], "needs rdkafka.acks all"),
        (&[HERE, ("rdkafka.compression.codec", "brotli")], "Use one of: none, gzip, snappy, lz4, zstd."),
        (&[HERE, ("rdkafka.compresion.codec", "gzip")], "Did you mean rdkafka.compression.codec?"),
        (&[HERE, ("rdkafka.bootstrap.servers", "a:1")], "Use the key Brokers instead."),
        (&[HERE, ("rdkafka.transactional.id", "x")], "rdkafka.transactional.id: this setting is not served"),
        (&[HERE, ("rdkafka.request.timeout.ms", "5s")], "'5s' is not a number from 0"),
        (&[HERE, ("rdkafka.security.protocol", "sasl_plaintext")], "needs rdkafka.sasl.mechanism"),
        (
            &[HERE, ("rdkafka.security.protocol", "sasl_plaintext"), ("rdkafka.sasl.mechanism", "PLAIN")],
            "needs rdkafka.sasl.username and rdkafka.sasl.password",
        ),
        (&[HERE, ("rdkafka.sasl.mechanism", "GSSAPI")], "Use one of: plain, scram-sha-256, scram-sha-512."),
        (&[HERE, ("rdkafka.sasl.username", "u")], "without rdkafka.security.protocol"),
        (&[HERE, ("rdkafka.ssl.ca.location", "/x")], "there is no TLS without"),
        (&[HERE, ("tls", "on"), ("rdkafka.security.protocol", "plaintext")], "contradict each other"),
        (&[HERE, ("net.source_address", "eth0")], "'eth0' is not an IP address"),
    ];
    for (conf, part) in table {
        let said = refused(&PLUGIN, conf);
        assert!(said.contains(part), "{part:?} is not in {said:?}");
    }
    let quiet: &[&[(&str, &str)]] = &[
        &[HERE, ("rdkafka.linger.ms", "5"), ("rdkafka.batch.size", "100"), ("queue_full_retries", "0")],
        &[("brokers", "a, b:1,[::1]:9092,PLAINTEXT://c:2"), ("rdkafka.partitioner", "consistent_random")],
        &[HERE, ("rdkafka.request.required.acks", "0"), ("schema_registry_framing", "cp1")],
    ];
    for conf in quiet {
        assert_eq!(made(&PLUGIN, conf).1, "", "{conf:?}");
    }
    let said = made(&PLUGIN, &[HERE, ("schema_id", "7"), ("rdkafka.compression.level", "3")]).1;
    assert!(said.contains("'schema_id' is not served yet") && said.contains("none has one level here"), "{said}");
}

fn rules(routes: &[Route], max_bytes: usize) -> Rules<'_> {
    Rules {
        routes,
        batch_bytes: max_bytes,
        message_bytes: max_bytes,
        partitioner: Partitioner::Murmur2Random,
        missing: "no value",
    }
}

fn route(topic: &str, partitions: usize) -> Route {
    Route { topic: topic.into(), partitions, any: partitions / 2, refused: None }
}

/// A payload of a hundred messages, every other one with a key.
fn hundred() -> Payload {
    let lines: Vec<(i64, String)> = (0..100)
        .map(|n| (n, format!("{{\"m\":\"{}\"{}}}", "x".repeat(50), if n % 2 == 0 { ",\"k\":\"a\"" } else { "" })))
        .collect();
    let lines: Vec<(i64, &str)> = lines.iter().map(|(t, l)| (*t, l.as_str())).collect();
    payload(&*instance(&PLUGIN, &[HERE, ("message_key_field", "k")]), &batch("t", &lines))
}

fn sizes(job: &Job) -> Vec<(i32, usize)> {
    job.batches.iter().map(|b| (b.partition, b.places.len())).collect()
}

#[test]
fn batches_by_partition_and_size() {
    let p = hundred();
    let mut job = Job::default();
    job.fill(&p.bytes, &p.items, &rules(&[route("t", 10)], 1_000_000));
    let key = Partitioner::Murmur2Random.of(Some(b"a"), 10).unwrap() as i32;
    assert_eq!(sizes(&job), [(key, 50), (5, 50)]);
    assert_eq!(job.next(), [0, 1]);
    let mut small = Job::default();
    small.fill(&p.bytes, &p.items, &rules(&[route("t", 10)], 2000));
    assert!(small.batches.len() > 4 && small.batches.iter().all(|b| b.records.len() <= 2000));
    assert_eq!((small.left().len(), small.next().len()), (100, 2));
    let mut none = Job::default();
    none.fill(&p.bytes, &p.items, &rules(&[route("t", 0)], 2000));
    assert_eq!((none.homeless.len(), none.left().len()), (100, 100));
    let mut large = Job::default();
    large.fill(&p.bytes, &p.items, &rules(&[route("t", 1)], 20));
    assert_eq!(large.refused.len(), 100);
    assert!(large.refused[0].1.contains("is larger than rdkafka.message.max.bytes (20)"), "{}", large.refused[0].1);
}

#[test]
fn splitting_keeps_every_message() {
    let p = hundred();
    for compression in Compression::ALL {
        let mut job = Job::default();
        job.fill(&p.bytes, &p.items, &rules(&[route("t", 1)], 1_000_000));
        job.batches[0].pack(compression, None);
        let halves = job.batches[0].split(2, None, |n| Some(usize::from(n >= 50)));
        let places: Vec<u32> = halves.iter().flat_map(|b| b.places.clone()).collect();
        assert_eq!((halves.len(), places), (2, (0..100).collect()));
        let odd = job.batches[0].split(1, None, |n| (n % 2 == 1).then_some(0));
        assert_eq!((odd.len(), odd[0].places.len(), odd[0].compression), (1, 50, compression));
        assert!(job.batches[0].split(1, None, |_| None).is_empty());
    }
}

#[test]
fn what_was_sent_keeps_its_numbers() {
    let p = hundred();
    let routes = [route("t", 10)];
    let mut job = Job::default();
    job.fill(&p.bytes, &p.items, &rules(&routes, 2000));
    job.batches.iter_mut().for_each(|b: &mut Batch| b.pack(Compression::None, None));
    let id = ProducerId { id: 1, epoch: 0 };
    let next = job.next();
    job.batches[next[0]].fate = Fate::Settled;
    job.batches[next[1]].fate = Fate::Unsure(id, 7);
    let sent = job.batches[next[1]].clone();
    let left = job.left();
    assert_eq!(left.len(), 100 - job.batches[next[0]].places.len());
    let parked = Parked::of(&mut job, &left, &p.bytes, &p.items).unwrap();
    // The messages come again: those that are left, in a payload of their own.
    let mut again = Payload::new(p.tag.clone());
    for place in &left {
        let end = |n: usize| p.items[n].0 as usize;
        let n = *place as usize;
        again.bytes.extend_from_slice(&p.bytes[if n == 0 { 0 } else { end(n - 1) }..end(n)]);
        again.items.push((again.bytes.len() as u32, p.items[n].1));
    }
    assert_eq!(identity(&again.bytes, &again.items, 0..left.len()), parked.identity);
    assert_eq!(parked.count, left.len());
    let mut job = Job { batches: parked.batches, ..Job::default() };
    assert_eq!((job.batches[0].records.clone(), job.batches[0].fate), (sent.records, Fate::Unsure(id, 7)));
    job.fill(&again.bytes, &again.items, &rules(&routes, 2000));
    let mut places: Vec<u32> = job.batches.iter().flat_map(|b| b.places.clone()).collect();
    places.sort_unstable();
    assert_eq!(places, (0..left.len() as u32).collect::<Vec<_>>());
    let mut new = Job::default();
    new.fill(&p.bytes, &p.items, &rules(&routes, 2000));
    let all = new.left();
    assert!(Parked::of(&mut new, &all, &p.bytes, &p.items).is_none(), "nothing was sent");
}

#[test]
fn numbers_begin_anew_after_the_highest() {
    assert_eq!(Numbers::after(5, 3), 8);
    assert_eq!(Numbers::after(i32::MAX - 1, 2), 0);
    assert_eq!(Numbers::after(i32::MAX, 3), 2);
    let topic: Rc<str> = "t".into();
    let mut n = Numbers { producer: Some(ProducerId { id: 1, epoch: 1 }), ..Numbers::default() };
    n.next.insert((topic, 0), 5);
    n.reset();
    assert!(n.producer.is_none() && n.next.is_empty());
}
