//! The only integration binary: the real program run as a child process, and the rules of the project.

mod alloc;
mod beats;
mod board_life;
mod boards;
#[cfg(all(feature = "es", feature = "tls"))]
mod bulk_api;
mod captures;
mod cli;
mod config;
#[cfg(feature = "es")]
mod es;
#[cfg(feature = "es")]
mod es_answers;
#[cfg(all(feature = "es", feature = "sqlite"))]
mod faults;
mod forward;
mod fuzz;
mod golden;
#[cfg(feature = "http")]
mod http_out;
#[cfg(feature = "tls")]
mod image;
#[cfg(feature = "tls")]
mod inbound;
#[cfg(feature = "systemd")]
mod journal;
#[cfg(all(feature = "es", feature = "tls"))]
mod k8s;
mod kafka;
mod kmsg;
#[cfg_attr(not(feature = "tls"), allow(dead_code))]
mod kube;
#[cfg_attr(not(all(feature = "http", feature = "es")), allow(dead_code, unused_imports))]
mod lab;
mod layers;
#[cfg(feature = "pcap")]
mod live;
mod logstash;
#[cfg(all(feature = "es", feature = "tls"))]
mod monitor;
mod mqtt;
mod multiline;
mod multiline_corpora;
mod multiline_keys;
mod net;
#[cfg(not(feature = "pcap"))]
mod no_pcap;
#[cfg(feature = "tls")]
mod outbound;
mod packets;
mod pcap_files;
#[cfg(feature = "es")]
mod real;
mod redis;
#[cfg(feature = "es")]
mod rejected;
mod running;
mod samples;
#[cfg(feature = "es")]
mod setup;
mod sockets;
mod storage;
mod syslog;
mod syslog_corpora;
mod syslog_hostile;
#[cfg(feature = "tls")]
mod syslog_real;
mod tail;
mod tidy;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod web;
