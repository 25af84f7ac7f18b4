//! The keys that all plugins of a kind share, and the shared tables of plugins that use the network.

use std::time::Duration;

use super::plugin::Kind;
use super::schema::Table;
use super::storage::StorageType;
use super::value::{FromConf, Size};

/// The keys every plugin of a kind takes.
pub fn table(kind: Kind) -> Table {
    match kind {
        Kind::Input => InputCommon::TABLE,
        Kind::Filter => FilterCommon::TABLE,
        Kind::Output => OutputCommon::TABLE,
    }
}

crate::conf_enum! {
    /// How much is logged.
    pub enum LogLevel {
        /// Nothing.
        Off = "off" | "false" | "none",
        /// Data was lost, or something cannot go on.
        Error = "error",
        /// Something went wrong and was recovered.
        Warn = "warn" | "warning",
        /// What an operator wants to know.
        Info = "info",
        /// What a developer wants to know.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

impl From<LogLevel> for log::LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Off => Self::Off,
            LogLevel::Error => Self::Error,
            LogLevel::Warn => Self::Warn,
            LogLevel::Info => Self::Info,
            LogLevel::Debug => Self::Debug,
            LogLevel::Trace => Self::Trace,
        }
    }
}

/// How often a chunk is tried again after its first failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryLimit {
    /// So many times; 0 is `no_retries`.
    Times(u32),
    /// For ever: nothing is given up.
    Unlimited,
}

impl FromConf for RetryLimit {
    const KIND: &'static str = "integer, no_limits or no_retries";
    const EXAMPLE: &'static str = "no_limits";
    fn from_conf(text: &str) -> Result<Self, String> {
        let is = |words: &[&str]| words.iter().any(|w| text.eq_ignore_ascii_case(w));
        Ok(match text.parse::<u32>() {
            Ok(n) if n > 0 => Self::Times(n),
            _ if is(&["no_limits", "false", "off"]) => Self::Unlimited,
            _ if is(&["no_retries"]) => Self::Times(0),
            _ => Self::Times(1),
        })
    }
    fn caution(&self, text: &str) -> Option<String> {
        let taken_as_one = *self == Self::Times(1) && text.parse() != Ok(1u32);
        taken_as_one.then(|| format!("'{text}' is no retry limit, 1 is taken (a number, no_limits or no_retries)"))
    }
}

crate::config! {
    /// Keys of every input.
    pub struct InputCommon {
        /// The tag of its records; the instance name (`tail.0`) when not given.
        tag: Option<String> => "Tag",
        /// A name for this instance in logs and metrics.
        alias: Option<String> => "Alias",
        /// Log level of this instance alone.
        log_level: Option<LogLevel> => "Log_Level",
        /// The input is paused while its records wait in more memory than this; 0 is no limit.
        mem_buf_limit: Size => "Mem_Buf_Limit" = "0",
        /// Where its records wait for their outputs: in memory, in files under `storage.path`, or in a ring in memory. A tail
        /// with a DB can read again: its chunks are written when they wait for a second or their destination is down.
        storage_type: Option<StorageType> => "storage.type",
        /// With `storage.type filesystem`: pause the input when `storage.max_chunks_up` chunks are in memory, instead of
        /// leaving further ones on the disk alone.
        pause_on_chunks_overlimit: bool => "storage.pause_on_chunks_overlimit" = "off",
    }
    unserved [
        "routable=on", "threaded=off",
        "thread.ring_buffer.capacity", "thread.ring_buffer.window", "rate_window", "rate_gate=off",
        "rate_gate.max_bytes=0", "rate_gate.max_records=0", "rate_gate.backpressure=on", "rate_gate.resume_ratio=0.80",
        "log_suppress_interval=0"
    ]
}

crate::config! {
    /// Keys of every filter.
    pub struct FilterCommon {
        /// Which tags it takes: `*` stands for any text.
        matches: Option<String> => "Match",
        /// Which tags it takes, as a regular expression anchored at the start.
        match_regex: Option<String> => "Match_Regex",
        /// A name for this instance in logs and metrics.
        alias: Option<String> => "Alias",
        /// Log level of this instance alone.
        log_level: Option<LogLevel> => "Log_Level",
    }
    unserved ["log_suppress_interval=0"]
}

crate::config! {
    /// Keys of every output.
    pub struct OutputCommon {
        /// Which tags it takes: `*` stands for any text.
        matches: Option<String> => "Match",
        /// Which tags it takes, as a regular expression anchored at the start.
        match_regex: Option<String> => "Match_Regex",
        /// A name for this instance in logs and metrics.
        alias: Option<String> => "Alias",
        /// Log level of this instance alone.
        log_level: Option<LogLevel> => "Log_Level",
        /// How often a chunk is tried again: a number, `no_limits` or `no_retries`. Nothing is given up unless it is
        /// asked for (Fluent Bit: 1, which loses data after some ten seconds).
        retry_limit: RetryLimit => "Retry_Limit" = "no_limits",
        /// Worker threads for blocking calls; those who need none ignore it.
        workers: Option<u16> => "Workers",
        /// The server, for outputs that have one.
        host: Option<String> => "Host",
        /// Its port.
        port: Option<u16> => "Port",
        /// Bytes that chunk files for this output may take on the disk; beyond it the oldest are dropped, counted and
        /// said. 0 is no limit.
        total_limit_size: Size => "storage.total_limit_size" = "0",
    }
    unserved ["log_suppress_interval=0"]
}

crate::conf_enum! {
    /// How name servers are asked.
    pub enum DnsMode {
        /// By datagrams, and over TCP where an answer does not fit.
        Udp = "UDP",
        /// Over TCP.
        Tcp = "TCP",
    }
}

crate::conf_enum! {
    /// Who looks names up.
    pub enum DnsResolver {
        /// The system's resolver.
        Legacy = "LEGACY",
        /// A resolver of our own: /etc/hosts, then the servers of /etc/resolv.conf.
        Async = "ASYNC",
    }
}

crate::config! {
    /// Connections that an output makes.
    pub struct NetOut {
        /// How long connecting may take, the TLS handshake included.
        connect_timeout: Duration => "net.connect_timeout" = "10s",
        /// How long a connection may make no progress. 0 is for ever; but for HTTP requests, which end after two minutes
        /// without any.
        io_timeout: Duration => "net.io_timeout" = "0s",
        /// Keep connections for the next request.
        keepalive: bool => "net.keepalive" = "on",
        /// How long an unused connection is kept.
        keepalive_idle_timeout: Duration => "net.keepalive_idle_timeout" = "30s",
        /// How many requests one connection may serve; 0 is no limit.
        keepalive_max_recycle: u32 => "net.keepalive_max_recycle" = "2000",
        /// Connections that may be open at once; 0 is no limit.
        max_worker_connections: usize => "net.max_worker_connections" = "0",
        /// The local address to connect from.
        source_address: Option<String> => "net.source_address",
        /// TCP keepalive probes.
        tcp_keepalive: bool => "net.tcp_keepalive" = "off",
        /// Idle time before the first probe.
        tcp_keepalive_time: Option<Duration> => "net.tcp_keepalive_time",
        /// Time between probes.
        tcp_keepalive_interval: Option<Duration> => "net.tcp_keepalive_interval",
        /// Unanswered probes that end the connection.
        tcp_keepalive_probes: Option<u32> => "net.tcp_keepalive_probes",
        /// Try IPv4 addresses first.
        prefer_ipv4: bool => "net.dns.prefer_ipv4" = "off",
        /// Try IPv6 addresses first.
        prefer_ipv6: bool => "net.dns.prefer_ipv6" = "off",
        /// The same as `net.dns.prefer_ipv6`.
        ipv6: bool => "ipv6" = "off",
        /// `LEGACY` asks the system's resolver, whose answers hold for 30 seconds here; `ASYNC` reads /etc/hosts and asks the
        /// servers of /etc/resolv.conf, whose answers hold as long as they say. When not given: `ASYNC` where
        /// /etc/nsswitch.conf knows no other sources of names.
        dns_resolver: Option<DnsResolver> => "net.dns.resolver",
        /// How `ASYNC` asks: `UDP` or `TCP`.
        dns_mode: Option<DnsMode> => "net.dns.mode",
        /// Log as a warning that a connection was not there in time; with `off` it is told at level debug.
        connect_timeout_log_error: bool => "net.connect_timeout_log_error" = "on",
        /// Leave the proxies of the environment alone (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`), which
        /// outputs over HTTP go through otherwise.
        proxy_env_ignore: bool => "net.proxy_env_ignore" = "off",
    }
}

crate::config! {
    /// Connections that an input accepts.
    pub struct NetIn {
        /// The local address; `::` takes IPv6 and IPv4.
        listen: String => "Listen" = "0.0.0.0",
        /// Take IPv6 as well where `Listen` says no address of its own.
        ipv6: bool => "ipv6" = "off",
        /// The local port; each plugin has its own default.
        port: Option<u16> => "Port",
        /// Connections that may wait to be accepted.
        backlog: u32 => "net.backlog" = "128",
        /// Let several processes share the port.
        share_port: bool => "net.share_port" = "off",
        /// How long a connection may stay silent; 0 is for ever.
        io_timeout: Duration => "net.io_timeout" = "0s",
        /// How long a TLS handshake may take; 0 is for ever.
        accept_timeout: Duration => "net.accept_timeout" = "10s",
        /// Log handshakes that were not completed in time; with `off` they are only counted.
        accept_timeout_log_error: bool => "net.accept_timeout_log_error" = "on",
        /// Serve several requests on one connection, where the protocol has requests (HTTP).
        keepalive: bool => "net.keepalive" = "on",
        /// Connections at one time; further ones wait to be accepted. 0 is the plugin's own limit: 1024, or 16384 for
        /// syslog.
        max_connections: usize => "net.max_connections" = "0",
    }
    unserved ["Host"]
}

/// A TLS version that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2
    V12,
    /// TLS 1.3
    V13,
}

impl FromConf for TlsVersion {
    const KIND: &'static str = "TLS version";
    const EXAMPLE: &'static str = "TLSv1.2";
    fn from_conf(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "tlsv1.3" => Ok(Self::V13),
            "tlsv1.2" | "tlsv1.1" | "tlsv1" | "sslv3" | "sslv2" => Ok(Self::V12),
            _ => Err(format!("'{text}' is not a TLS version (TLSv1.2 or TLSv1.3)")),
        }
    }
    fn caution(&self, text: &str) -> Option<String> {
        let old = *self == Self::V12 && !text.eq_ignore_ascii_case("tlsv1.2");
        old.then(|| format!("'{text}' is broken and not served, TLSv1.2 is taken"))
    }
}

/// How much is logged of TLS, 0 to 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsDebug(pub u8);

impl FromConf for TlsDebug {
    const KIND: &'static str = "0 to 4";
    const EXAMPLE: &'static str = "2";
    fn from_conf(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(level @ 0..=4) => Ok(Self(level)),
            _ => Err(format!("'{text}' is not a number from 0 (quiet) to 4")),
        }
    }
}

crate::config! {
    /// TLS towards a server.
    pub struct TlsClient {
        /// Use TLS.
        tls: bool => "tls" = "off",
        /// Check the server's certificate.
        verify: bool => "tls.verify" = "on",
        /// Check that the certificate is made out to the host's name (Fluent Bit: off).
        verify_hostname: bool => "tls.verify_hostname" = "on",
        /// The name to ask for and to check, when it is not the host's.
        vhost: Option<String> => "tls.vhost",
        /// A file with the authorities to trust; those of the system when not given.
        ca_file: Option<String> => "tls.ca_file",
        /// A directory with such files.
        ca_path: Option<String> => "tls.ca_path",
        /// Our own certificate.
        crt_file: Option<String> => "tls.crt_file",
        /// Its key.
        key_file: Option<String> => "tls.key_file",
        /// The oldest version to speak.
        min_version: Option<TlsVersion> => "tls.min_version",
        /// The newest version to speak.
        max_version: Option<TlsVersion> => "tls.max_version",
        /// The password of an encrypted key (PKCS#8).
        key_passwd: Option<String> => "tls.key_passwd",
        /// Cipher suites, in the words of OpenSSL; all that are served when not given.
        ciphers: Option<String> => "tls.ciphers",
        /// From 2 on the log tells of each handshake what was agreed on.
        debug: TlsDebug => "tls.debug" = "1",
    }
    unserved ["tls.windows.*"]
}

crate::config! {
    /// TLS towards clients.
    pub struct TlsServer {
        /// Use TLS.
        tls: bool => "tls" = "off",
        /// The certificate to show.
        crt_file: Option<String> => "tls.crt_file",
        /// Its key.
        key_file: Option<String> => "tls.key_file",
        /// Let only clients in that show a certificate of an authority in `tls.ca_file` or `tls.ca_path`.
        verify_client_cert: bool => "tls.verify_client_cert" = "off",
        /// Where authorities are given: check certificates that clients show, also when they need not show one.
        verify: bool => "tls.verify" = "on",
        /// A file with the authorities whose clients are let in.
        ca_file: Option<String> => "tls.ca_file",
        /// A directory with such files.
        ca_path: Option<String> => "tls.ca_path",
        /// The oldest version to speak.
        min_version: Option<TlsVersion> => "tls.min_version",
        /// The newest version to speak.
        max_version: Option<TlsVersion> => "tls.max_version",
        /// The password of an encrypted key (PKCS#8).
        key_passwd: Option<String> => "tls.key_passwd",
        /// Cipher suites, in the words of OpenSSL; all that are served when not given.
        ciphers: Option<String> => "tls.ciphers",
        /// 0 does not log failed handshakes (they are counted); from 2 on the log tells of each what was agreed on.
        debug: TlsDebug => "tls.debug" = "1",
    }
    unserved ["tls.vhost", "tls.windows.*"]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Section;
    use crate::error::Diags;

    #[test]
    fn every_default_is_valid() {
        let mut d = Diags::new();
        let s = Section::new("INPUT", crate::error::Place::command_line());
        let all = [
            InputCommon::load(&s, &mut d).is_some(),
            FilterCommon::load(&s, &mut d).is_some(),
            OutputCommon::load(&s, &mut d).is_some(),
            NetOut::load(&s, &mut d).is_some(),
            NetIn::load(&s, &mut d).is_some(),
            TlsClient::load(&s, &mut d).is_some(),
            TlsServer::load(&s, &mut d).is_some(),
        ];
        assert_eq!(all, [true; 7], "{d}");
        assert!(d.is_empty(), "{d}");
    }

    #[test]
    fn retry_limits() {
        let table = [
            ("3", RetryLimit::Times(3), false),
            ("1", RetryLimit::Times(1), false),
            ("no_limits", RetryLimit::Unlimited, false),
            ("False", RetryLimit::Unlimited, false),
            ("OFF", RetryLimit::Unlimited, false),
            ("no_retries", RetryLimit::Times(0), false),
            ("0", RetryLimit::Times(1), true),
            ("junk", RetryLimit::Times(1), true),
            ("-1", RetryLimit::Times(1), true),
        ];
        for (text, want, warned) in table {
            let got = RetryLimit::from_conf(text).unwrap();
            assert_eq!((got, got.caution(text).is_some()), (want, warned), "{text}");
        }
    }

    #[test]
    fn old_tls_versions_are_raised_aloud() {
        for (text, want, warned) in [("TLSv1.3", TlsVersion::V13, false), ("tlsv1", TlsVersion::V12, true)] {
            let got = TlsVersion::from_conf(text).unwrap();
            assert_eq!((got, got.caution(text).is_some()), (want, warned));
        }
        assert!(TlsVersion::from_conf("2").is_err());
    }
}
