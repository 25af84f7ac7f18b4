//! The static description every plugin publishes: its name, its keys and what of them is not served yet.

use super::schema::{KeyDef, Table};

/// The kinds of plugins a pipeline is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Makes records.
    Input,
    /// Edits or drops records.
    Filter,
    /// Delivers records.
    Output,
}

impl Kind {
    /// All kinds in the order of the pipeline.
    pub const ALL: [Self; 3] = [Self::Input, Self::Filter, Self::Output];

    /// The word in messages and labels: `input`, `filter`, `output`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Filter => "filter",
            Self::Output => "output",
        }
    }

    /// The name of its section: `INPUT`, `FILTER`, `OUTPUT`.
    pub fn section(self) -> &'static str {
        match self {
            Self::Input => "INPUT",
            Self::Filter => "FILTER",
            Self::Output => "OUTPUT",
        }
    }

    /// The kind a section declares, if it declares a plugin.
    pub fn of_section(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| name.eq_ignore_ascii_case(k.section()))
    }
}

/// What a plugin tells about itself; `-i NAME -h`, the checks and docs/plugins.md are made from it.
#[derive(Debug, Clone, Copy)]
pub struct PluginInfo {
    /// As users write it after `Name`.
    pub name: &'static str,
    /// One sentence: what it does.
    pub doc: &'static str,
    /// Its own keys: `XxxConf::KEYS`.
    pub keys: &'static [KeyDef],
    /// Keys that exist elsewhere but are not served here yet: `XxxConf::UNSERVED`.
    pub unserved: &'static [&'static str],
    /// Shared tables it takes beside those of its kind: `&[NetOut::TABLE, TlsClient::TABLE]`.
    pub extra: &'static [Table],
}

/// All plugins of this build, and the names of those that Fluent Bit has.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Inputs in the order of their table.
    pub inputs: Vec<&'static PluginInfo>,
    /// Filters in the order of their table.
    pub filters: Vec<&'static PluginInfo>,
    /// Outputs in the order of their table.
    pub outputs: Vec<&'static PluginInfo>,
}

impl Catalog {
    /// The plugins of a kind.
    pub fn of(&self, kind: Kind) -> &[&'static PluginInfo] {
        match kind {
            Kind::Input => &self.inputs,
            Kind::Filter => &self.filters,
            Kind::Output => &self.outputs,
        }
    }

    /// The plugin called `name`, without regard to case.
    pub fn find(&self, kind: Kind, name: &str) -> Option<&'static PluginInfo> {
        self.of(kind).iter().copied().find(|i| i.name.eq_ignore_ascii_case(name))
    }

    /// The names of a kind's plugins, for messages.
    pub fn names(&self, kind: Kind) -> String {
        self.of(kind).iter().map(|i| i.name).collect::<Vec<_>>().join(", ")
    }

    /// Plugins that Fluent Bit has and this build has not.
    pub fn unserved(&self, kind: Kind) -> impl Iterator<Item = &'static str> {
        known(kind).iter().copied().filter(move |name| self.find(kind, name).is_none())
    }

    /// Whether `name` is such a plugin.
    pub fn is_unserved(&self, kind: Kind, name: &str) -> bool {
        self.unserved(kind).any(|n| n.eq_ignore_ascii_case(name))
    }
}

/// The names of Fluent Bit's plugins.
fn known(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Input => KNOWN_INPUTS,
        Kind::Filter => KNOWN_FILTERS,
        Kind::Output => KNOWN_OUTPUTS,
    }
}

#[rustfmt::skip]
const KNOWN_INPUTS: &[&str] = &[
    "blob", "collectd", "cpu", "disk", "docker", "docker_events", "dummy", "ebpf", "elasticsearch", "event_type", "exec",
    "exec_wasi", "fluentbit_logs", "fluentbit_metrics", "forward", "gpu_metrics", "head", "health", "http", "kafka", "kmsg",
    "kubernetes_events", "mem", "mqtt", "netif", "nginx_metrics", "node_exporter_metrics", "opentelemetry",
    "podman_metrics", "proc", "process_exporter_metrics", "prometheus_remote_write", "prometheus_scrape",
    "prometheus_textfile", "random", "serial", "splunk", "statsd", "stdin", "syslog", "systemd", "tail", "tcp", "thermal",
    "udp", "unix_socket", "windows_exporter_metrics", "winevtlog", "winlog", "winstat",
];

#[rustfmt::skip]
const KNOWN_FILTERS: &[&str] = &[
    "alter_size", "aws", "checklist", "ecs", "expect", "geoip2", "grep", "kubernetes", "log_to_metrics", "lua", "modify",
    "multiline", "nest", "nightfall", "parser", "record_modifier", "rewrite_tag", "stdout", "sysinfo", "tensorflow",
    "throttle", "throttle_size", "type_converter", "wasm",
];

#[rustfmt::skip]
const KNOWN_OUTPUTS: &[&str] = &[
    "azure", "azure_blob", "azure_kusto", "azure_logs_ingestion", "bigquery", "chronicle", "cloudwatch_logs", "counter",
    "datadog", "es", "exit", "file", "flowcounter", "forward", "gelf", "http", "influxdb", "kafka", "kafka-rest",
    "kinesis_firehose", "kinesis_streams", "logdna", "loki", "nats", "nrlogs", "null", "opensearch", "opentelemetry",
    "oracle_log_analytics", "pgsql", "plot", "prometheus_exporter", "prometheus_remote_write", "retry", "s3", "skywalking",
    "slack", "splunk", "stackdriver", "stdout", "syslog", "tcp", "td", "udp", "vivo_exporter", "websocket",
];
