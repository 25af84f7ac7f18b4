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

/// A plugin or protocol that was left out of this build.
#[derive(Debug, Clone, Copy)]
pub struct LeftOut {
    /// Its name, in any case.
    pub name: &'static str,
    /// The cargo feature that it comes with.
    pub feature: &'static str,
}

impl LeftOut {
    /// Of an entry `&module::ITEM` of a table: it is called as its module, or where that holds several, as the item.
    pub const fn new(module: &'static str, item: &'static str, feature: &'static str) -> Self {
        let name = if matches!(item.as_bytes(), b"PLUGIN" | b"PROTOCOL") { module } else { item };
        Self { name, feature }
    }

    /// The remedy.
    pub fn help(&self) -> String {
        format!("Build it with the feature `{0}`: cargo build --release --features {0}", self.feature)
    }

    /// The one called `name` in a table.
    pub fn find(table: &'static [Self], name: &str) -> Option<&'static Self> {
        table.iter().find(|l| l.name.eq_ignore_ascii_case(name))
    }
}

/// A table of plugins, each a line `&module::PLUGIN,`; a line behind `#[cfg(feature = "…")]` is in `LEFT_OUT` where that
/// feature is off.
macro_rules! table {
    ($(#[$doc:meta])* $name:ident: $of:ty = $($(#[cfg(feature = $feature:tt)])? &$module:ident::$item:ident,)*) => {
        $(#[$doc])*
        pub static $name: &[&$of] = &[$($(#[cfg(feature = $feature)])? &$module::$item,)*];

        /// What was left out of this build.
        pub static LEFT_OUT: &[$crate::conf::LeftOut] = &[$($(
            #[cfg(not(feature = $feature))]
            $crate::conf::LeftOut::new(stringify!($module), stringify!($item), $feature),
        )?)*];
    };
}
pub(crate) use table;

/// All plugins of this build, and the names of those that Fluent Bit has.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Inputs in the order of their table.
    pub inputs: Vec<&'static PluginInfo>,
    /// Filters in the order of their table.
    pub filters: Vec<&'static PluginInfo>,
    /// Outputs in the order of their table.
    pub outputs: Vec<&'static PluginInfo>,
    /// What was left out of each kind, in the order of [`Kind::ALL`].
    pub left_out: [&'static [LeftOut]; 3],
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

    /// The plugin called `name`, when it was left out of this build.
    pub fn left_out(&self, kind: Kind, name: &str) -> Option<&'static LeftOut> {
        let [input, filter, output] = self.left_out;
        let table = match kind {
            Kind::Input => input,
            Kind::Filter => filter,
            Kind::Output => output,
        };
        LeftOut::find(table, name)
    }

    /// Plugins that Fluent Bit has and this program has not.
    pub fn unserved(&self, kind: Kind) -> impl Iterator<Item = &'static str> {
        known(kind)
            .iter()
            .copied()
            .filter(move |name| self.find(kind, name).is_none() && self.left_out(kind, name).is_none())
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
