//! The only integration binary: the real program run as a child process, and the rules of the project.

mod alloc;
#[cfg(all(feature = "beats", feature = "es", feature = "tls"))]
mod beats;
#[cfg(all(feature = "boards", feature = "sqlite", feature = "tls"))]
mod board_life;
#[cfg(all(feature = "boards", feature = "sqlite"))]
mod board_limits;
#[cfg(feature = "boards")]
mod boards;
#[cfg(all(feature = "forward", feature = "pcap", feature = "sqlite"))]
mod boot;
#[cfg(all(feature = "es", feature = "http", feature = "tls"))]
mod bulk_api;
mod captures;
mod cli;
mod config;
#[cfg(feature = "es")]
mod es;
#[cfg(feature = "es")]
mod es_answers;
#[cfg(all(feature = "es", feature = "forward", feature = "http", feature = "sqlite"))]
mod faults;
mod features;
#[cfg(all(feature = "forward", feature = "tls"))]
mod forward;
#[cfg(all(
    feature = "beats",
    feature = "forward",
    feature = "http",
    feature = "kafka",
    feature = "kubernetes",
    feature = "mqtt",
    feature = "packets",
    feature = "redis",
    feature = "systemd"
))]
mod fuzz;
mod golden;
#[cfg(all(feature = "http", feature = "tls"))]
mod http_out;
#[cfg(all(feature = "boards", feature = "es", feature = "network", feature = "tls"))]
mod image;
#[cfg(all(feature = "beats", feature = "forward", feature = "http", feature = "network", feature = "tls"))]
mod inbound;
#[cfg(all(feature = "filters", feature = "sqlite", feature = "systemd"))]
mod journal;
#[cfg(all(feature = "es", feature = "kubernetes", feature = "sqlite", feature = "tls"))]
mod k8s;
#[cfg(all(feature = "kafka", feature = "tls"))]
mod kafka;
#[cfg(feature = "boards")]
mod kmsg;
#[cfg(all(feature = "es", feature = "kubernetes", feature = "sqlite", feature = "tls"))]
mod kube;
// Not every build has all that it is for.
#[cfg_attr(not(feature = "default"), allow(dead_code, unused_imports))]
mod lab;
mod layers;
#[cfg(feature = "pcap")]
mod live;
#[cfg(all(feature = "beats", feature = "tls"))]
mod logstash;
#[cfg(all(feature = "es", feature = "monitor", feature = "network", feature = "tls"))]
mod monitor;
#[cfg(all(feature = "mqtt", feature = "tls"))]
mod mqtt;
#[cfg(all(feature = "filters", feature = "sqlite"))]
mod multiline;
#[cfg(feature = "filters")]
mod multiline_corpora;
#[cfg(feature = "filters")]
mod multiline_keys;
mod net;
#[cfg(not(feature = "pcap"))]
mod no_pcap;
#[cfg(all(feature = "filters", feature = "network", feature = "tls"))]
mod outbound;
#[cfg(all(
    feature = "boards",
    feature = "filters",
    feature = "pcap",
    feature = "sqlite",
    feature = "systemd",
    feature = "tls"
))]
mod packages;
#[cfg(feature = "packets")]
mod packets;
mod pcap_files;
#[cfg(feature = "es")]
mod real;
#[cfg(all(feature = "redis", feature = "tls"))]
mod redis;
#[cfg(feature = "es")]
mod rejected;
mod running;
mod samples;
#[cfg(feature = "es")]
mod setup;
#[cfg(feature = "network")]
mod sockets;
mod storage;
mod syslog;
mod syslog_corpora;
#[cfg(feature = "network")]
mod syslog_hostile;
#[cfg(all(feature = "network", feature = "tls"))]
mod syslog_real;
mod tail;
mod tidy;
#[cfg(all(feature = "network", feature = "tls"))]
mod tls;
#[cfg(all(feature = "filters", feature = "http", feature = "tls"))]
mod web;
