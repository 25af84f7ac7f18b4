//! What the keys of the output and the settings of librdkafka come to.

use super::conf::KafkaConf;
use super::partition::Partitioner;
use crate::conf::common::{NetOut, TlsClient};
use crate::conf::{FromConf, Item};
use crate::fmt::kafka::Compression;
use crate::fmt::kafka::scram::Hash;
use crate::net::{ClientTls, Target};
use crate::plugin::MakeCx;
use crate::util::suggest::nearest;
use std::time::Duration;

/// An attempt goes on by itself for at most so long.
const ATTEMPT: Duration = Duration::from_secs(10);

/// How it is proved who we are.
#[derive(Debug, Clone)]
pub struct Sasl {
    /// `None` is PLAIN.
    pub scram: Option<Hash>,
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

impl Sasl {
    /// The mechanism's name.
    pub fn mechanism(&self) -> &'static str {
        match self.scram {
            None => "PLAIN",
            Some(Hash::Sha256) => "SCRAM-SHA-256",
            Some(Hash::Sha512) => "SCRAM-SHA-512",
        }
    }
}

/// Everything but what a message is made of.
#[derive(Debug)]
pub struct Settings {
    /// `output:kafka:kafka.0`
    pub label: String,
    /// The brokers to begin with.
    pub bootstrap: Vec<Target>,
    /// -1 all replicas in sync, 1 the leader, 0 nobody.
    pub acks: i16,
    /// Whether brokers drop what they have already.
    pub idempotent: bool,
    /// How batches are packed.
    pub compression: Compression,
    /// How hard gzip tries.
    pub level: Option<u32>,
    /// The largest batch, and the largest message, in bytes before packing.
    pub max_bytes: usize,
    /// How long an attempt goes on by itself.
    pub attempt: Duration,
    /// How long a broker may wait for its replicas.
    pub request_timeout: Duration,
    /// How long an answer is waited for.
    pub answer_timeout: Duration,
    /// The first wait after a passing error.
    pub backoff: Duration,
    /// How old knowledge of the cluster may be.
    pub metadata_age: Duration,
    /// Which partition a message goes to.
    pub partitioner: Partitioner,
    /// Our name.
    pub client_id: String,
    /// Who we are.
    pub sasl: Option<Sasl>,
    /// How connections are made.
    pub net: NetOut,
    /// TLS, when wanted.
    pub tls: Option<ClientTls>,
}

/// Settings of librdkafka that concern its own queues and threads: nothing here depends on them.
const NO_EFFECT: &[&str] = &[
    "linger.ms",
    "queue.buffering.max.ms",
    "queue.buffering.max.messages",
    "queue.buffering.max.kbytes",
    "batch.num.messages",
    "queue.buffering.backpressure.threshold",
    "statistics.interval.ms",
    "message.send.max.retries",
    "retries",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "socket.nagle.disable",
    "log.connection.close",
    "log_level",
    "api.version.request",
    "api.version.request.timeout.ms",
    "api.version.fallback.ms",
    "broker.version.fallback",
    "debug",
    "sticky.partitioning.linger.ms",
    "delivery.report.only.error",
    "internal.termination.signal",
    "queuing.strategy",
    "reconnect.backoff.ms",
    "reconnect.backoff.max.ms",
    "retry.backoff.max.ms",
    "topic.metadata.refresh.fast.interval.ms",
    "topic.metadata.refresh.sparse",
    "topic.metadata.propagation.max.ms",
    "allow.auto.create.topics",
    "connections.max.idle.ms",
    "enable.gapless.guarantee",
    "socket.send.buffer.bytes",
    "socket.receive.buffer.bytes",
    "receive.message.max.bytes",
    "message.copy.max.bytes",
    "log.queue",
    "log.thread.name",
    "enable.random.seed",
    "metadata.recovery.strategy",
];

/// Settings that have a key of ours.
const OURS: &[(&str, &str)] = &[
    ("metadata.broker.list", "Brokers"),
    ("bootstrap.servers", "Brokers"),
    ("socket.keepalive.enable", "net.tcp_keepalive"),
    ("socket.connection.setup.timeout.ms", "net.connect_timeout"),
    ("broker.address.family", "net.dns.prefer_ipv4"),
    ("ssl.ca.pem", "tls.ca_file"),
    ("ssl.certificate.pem", "tls.crt_file"),
    ("ssl.key.pem", "tls.key_file"),
];

/// Names that are served, for suggestions.
const SERVED: &[&str] = &[
    "acks",
    "request.required.acks",
    "enable.idempotence",
    "compression.codec",
    "compression.type",
    "compression.level",
    "message.max.bytes",
    "batch.size",
    "request.timeout.ms",
    "socket.timeout.ms",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "retry.backoff.ms",
    "topic.metadata.refresh.interval.ms",
    "metadata.max.age.ms",
    "partitioner",
    "security.protocol",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "sasl.password",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "enable.ssl.certificate.verification",
    "ssl.endpoint.identification.algorithm",
    "client.id",
];

/// What is read of `rdkafka.*` before it is put together.
#[derive(Debug, Default)]
struct Raw {
    acks: Option<i16>,
    idempotent: Option<bool>,
    compression: Option<Compression>,
    level: Option<i64>,
    message_bytes: Option<usize>,
    batch_bytes: Option<usize>,
    request: Option<Duration>,
    answer: Option<Duration>,
    attempt: Option<Duration>,
    backoff: Option<Duration>,
    age: Option<Duration>,
    partitioner: Option<Partitioner>,
    /// SASL and TLS.
    protocol: Option<(bool, bool)>,
    mechanism: Option<Option<Hash>>,
    user: Option<String>,
    password: Option<String>,
    client_id: Option<String>,
    /// Entries as `tls.*` keys.
    tls: Vec<(&'static str, String)>,
}

/// Reads everything; what is wrong goes to `cx.diags`.
pub fn read(conf: &KafkaConf, cx: &mut MakeCx<'_>) -> Option<Settings> {
    let mut raw = Raw::default();
    let mut sound = true;
    for item in &conf.rdkafka.0 {
        let name = item.key.get("rdkafka.".len()..).unwrap_or_default().to_ascii_lowercase();
        if let Err((why, help)) = take(&mut raw, &name, item, cx) {
            cx.refuse_at::<()>(&item.place, format!("{}: {why}", item.key), &help);
            sound = false;
        }
    }
    let bootstrap = brokers(&conf.brokers.0, cx);
    let acks = raw.acks.unwrap_or(-1);
    if raw.idempotent == Some(true) && acks != -1 {
        let why =
            "rdkafka.enable.idempotence needs rdkafka.acks all: what one replica alone has may be lost and sent again";
        return cx.refuse("rdkafka.enable.idempotence", why, "Remove one of the two.");
    }
    let sasl = sasl(&raw, cx);
    let (net, tls) = (NetOut::load(cx.section, cx.diags), tls(&raw, cx));
    let (net, tls, sasl, bootstrap) = (net?, tls?, sasl?, bootstrap?);
    if !sound {
        return None;
    }
    if let Err(why) = crate::net::connect::Options::of(&net) {
        let key = "net.source_address";
        return cx.refuse(key, format!("{key}: {why}"), "Give an address of this machine, for example 192.0.2.7.");
    }
    let compression = raw.compression.unwrap_or(Compression::None);
    if raw.level.is_some_and(|l| l >= 0) && compression != Compression::Gzip {
        let what = format!("{} has one level here: rdkafka.compression.level has no effect", compression.name());
        cx.diags.warn(&cx.section.place, format!("{} {what}", cx.section.who()));
    }
    let request_timeout = raw.request.unwrap_or(Duration::from_secs(30));
    let max_bytes = raw.message_bytes.unwrap_or(1_000_000).min(raw.batch_bytes.unwrap_or(usize::MAX));
    Some(Settings {
        label: cx.label(),
        bootstrap,
        acks,
        idempotent: raw.idempotent.unwrap_or(acks == -1),
        compression,
        level: raw.level.and_then(|l| u32::try_from(l).ok()),
        max_bytes,
        attempt: raw.attempt.unwrap_or(ATTEMPT).min(ATTEMPT),
        request_timeout,
        answer_timeout: raw.answer.unwrap_or(Duration::from_secs(60)).max(request_timeout),
        backoff: raw.backoff.unwrap_or(Duration::from_millis(100)),
        metadata_age: raw.age.unwrap_or(Duration::from_secs(300)),
        partitioner: raw.partitioner.unwrap_or(Partitioner::Murmur2Random),
        client_id: conf.client_id.clone().or(raw.client_id).unwrap_or_else(|| "collector".into()),
        sasl,
        net,
        tls,
    })
}

type Wrong = (String, String);

/// Takes one setting.
fn take(raw: &mut Raw, name: &str, item: &Item<String>, cx: &mut MakeCx<'_>) -> Result<(), Wrong> {
    let value = item.value.as_str();
    let lower = value.to_ascii_lowercase();
    match name {
        "acks" | "request.required.acks" => {
            raw.acks = Some(one_of(&lower, &[("all", -1), ("-1", -1), ("1", 1), ("0", 0)])?);
        }
        "enable.idempotence" => raw.idempotent = Some(boolean(value)?),
        "compression.codec" | "compression.type" => {
            raw.compression = Some(one_of(&lower, &Compression::ALL.map(|c| (c.name(), c)))?);
        }
        "compression.level" => raw.level = Some(number(value, -1..=12)?),
        "message.max.bytes" => raw.message_bytes = Some(number(value, 1000..=1_000_000_000)? as usize),
        "batch.size" => raw.batch_bytes = Some(number(value, 1..=1_000_000_000)?.max(1000) as usize),
        "request.timeout.ms" => raw.request = Some(millis(value)?),
        "socket.timeout.ms" => raw.answer = Some(millis(value)?),
        "message.timeout.ms" | "delivery.timeout.ms" => {
            // 0 is for ever.
            raw.attempt = Some(millis(value)?).filter(|t| !t.is_zero());
        }
        "retry.backoff.ms" => raw.backoff = Some(millis(value)?),
        "topic.metadata.refresh.interval.ms" | "metadata.max.age.ms" => raw.age = Some(millis(value)?),
        "partitioner" => raw.partitioner = Some(one_of(&lower, Partitioner::NAMES)?),
        "security.protocol" => {
            let all = [
                ("plaintext", (false, false)),
                ("ssl", (false, true)),
                ("sasl_plaintext", (true, false)),
                ("sasl_ssl", (true, true)),
            ];
            raw.protocol = Some(one_of(&lower, &all)?);
        }
        "sasl.mechanism" | "sasl.mechanisms" => {
            let all = [("plain", None), ("scram-sha-256", Some(Hash::Sha256)), ("scram-sha-512", Some(Hash::Sha512))];
            raw.mechanism = Some(one_of(&lower, &all)?);
        }
        "sasl.username" => raw.user = Some(value.to_owned()),
        "sasl.password" => raw.password = Some(value.to_owned()),
        "client.id" => raw.client_id = Some(value.to_owned()),
        "ssl.ca.location" => raw.tls.push(("tls.ca_file", value.to_owned())),
        "ssl.certificate.location" => raw.tls.push(("tls.crt_file", value.to_owned())),
        "ssl.key.location" => raw.tls.push(("tls.key_file", value.to_owned())),
        "enable.ssl.certificate.verification" => {
            raw.tls.push(("tls.verify", if boolean(value)? { "on" } else { "off" }.to_owned()));
        }
        "ssl.endpoint.identification.algorithm" => {
            raw.tls.push(("tls.verify_hostname", one_of(&lower, &[("https", "on"), ("none", "off")])?.to_owned()));
        }
        _ if NO_EFFECT.contains(&name) => {
            log::debug!("{} {}: nothing here depends on it", cx.section.who(), item.key);
        }
        _ => return Err(unknown(name)),
    }
    Ok(())
}

fn unknown(name: &str) -> Wrong {
    if let Some((_, ours)) = OURS.iter().find(|(n, _)| *n == name) {
        return ("it is not served under this name".into(), format!("Use the key {ours} instead."));
    }
    let help = match nearest(name, SERVED.iter().chain(NO_EFFECT).copied()) {
        Some(near) => format!("Did you mean rdkafka.{near}?"),
        None => format!("Remove it. Served are: {}.", SERVED.join(", ")),
    };
    ("this setting is not served".into(), help)
}

fn one_of<T: Copy>(value: &str, all: &[(&str, T)]) -> Result<T, Wrong> {
    let names = || all.iter().map(|(n, _)| *n).collect::<Vec<_>>().join(", ");
    let found = all.iter().find(|(n, _)| *n == value);
    found.map(|(_, v)| *v).ok_or_else(|| (format!("'{value}' is not served"), format!("Use one of: {}.", names())))
}

fn boolean(value: &str) -> Result<bool, Wrong> {
    bool::from_conf(value).map_err(|why| (why, "Write true or false.".into()))
}

fn number(value: &str, range: std::ops::RangeInclusive<i64>) -> Result<i64, Wrong> {
    let (low, high) = (range.start(), range.end());
    let wrong =
        || (format!("'{value}' is not a number from {low} to {high}"), "Write digits without a unit.".to_owned());
    value.parse().ok().filter(|n| range.contains(n)).ok_or_else(wrong)
}

fn millis(value: &str) -> Result<Duration, Wrong> {
    number(value, 0..=86_400_000 * 30).map(|n| Duration::from_millis(n.unsigned_abs()))
}

fn brokers(names: &[String], cx: &mut MakeCx<'_>) -> Option<Vec<Target>> {
    let mut all = Vec::new();
    for name in names {
        // `PLAINTEXT://host:port` is librdkafka's way to write it in full.
        let bare = name.split_once("://").map_or(name.as_str(), |(_, rest)| rest);
        match Target::parse(bare, 9092) {
            Ok(target) => all.push(target),
            Err(_) => {
                let what = format!("Brokers: '{name}' is no broker's address");
                return cx.refuse(
                    "Brokers",
                    what,
                    "Write host:port, for example 192.0.2.7:9092; several separated by commas.",
                );
            }
        }
    }
    if all.is_empty() {
        return cx.refuse("Brokers", "Brokers: there is none", "Write host:port, for example 192.0.2.7:9092.");
    }
    Some(all)
}

fn sasl(raw: &Raw, cx: &mut MakeCx<'_>) -> Option<Option<Sasl>> {
    let wanted = raw.protocol.is_some_and(|(sasl, _)| sasl);
    let given = raw.mechanism.is_some() || raw.user.is_some() || raw.password.is_some();
    if !wanted {
        if given {
            let why = "rdkafka.sasl.*: nobody is told who we are without rdkafka.security.protocol";
            return cx.refuse(
                "rdkafka.sasl.username",
                why,
                "Add rdkafka.security.protocol sasl_ssl, or sasl_plaintext.",
            );
        }
        return Some(None);
    }
    let Some(scram) = raw.mechanism else {
        let why = "rdkafka.security.protocol with SASL needs rdkafka.sasl.mechanism";
        return cx.refuse(
            "rdkafka.security.protocol",
            why,
            "Add rdkafka.sasl.mechanism PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.",
        );
    };
    let (Some(user), Some(password)) = (raw.user.clone(), raw.password.clone()) else {
        let why = "rdkafka.sasl.mechanism needs rdkafka.sasl.username and rdkafka.sasl.password";
        return cx.refuse("rdkafka.sasl.mechanism", why, "Add both.");
    };
    Some(Some(Sasl { scram, user, password }))
}

/// TLS by `tls.*` keys, or by librdkafka's; ours win.
fn tls(raw: &Raw, cx: &mut MakeCx<'_>) -> Option<Option<ClientTls>> {
    let asked = TlsClient::load(cx.section, cx.diags)?.tls;
    match raw.protocol {
        Some((_, false)) if asked => {
            let why = "tls on and rdkafka.security.protocol without SSL contradict each other";
            return cx.refuse("rdkafka.security.protocol", why, "Use ssl or sasl_ssl, or set tls off.");
        }
        Some((_, true)) => {}
        _ if asked => {}
        _ => {
            if !raw.tls.is_empty() {
                let why = "rdkafka.ssl.*: there is no TLS without rdkafka.security.protocol ssl or sasl_ssl";
                return cx.refuse("rdkafka.ssl.ca.location", why, "Add it, or tls on.");
            }
            return Some(None);
        }
    }
    let mut section = cx.section.clone();
    for (key, value) in &raw.tls {
        if section.get(key).is_none() {
            section.push(key, value);
        }
    }
    if !asked {
        section.entries.retain(|e| !e.key.eq_ignore_ascii_case("tls"));
        section.push("tls", "on");
    }
    let conf = TlsClient::load(&section, cx.diags)?;
    cx.client_tls(&conf)
}
