//! `[SERVICE]`: the settings of the program itself, and the names of all sections.

use std::time::Duration;

use super::check;
use super::common::{DnsMode, DnsResolver, LogLevel};
use super::env::Env;
use super::schema::Many;
use super::section::{Document, Section};
use super::storage::StorageConf;
use super::value::{FromConf, Size};
use crate::error::{Diags, Place};
use crate::util::duration;

/// The sections of a main file, and those that belong into other files.
pub const SECTIONS: [&str; 12] = [
    "SERVICE",
    "INPUT",
    "FILTER",
    "OUTPUT",
    "ENV",
    "PARSER",
    "MULTILINE_PARSER",
    "CUSTOM",
    "STREAM_TASK",
    "PLUGINS",
    "UPSTREAM",
    "NODE",
];

/// The time between two deliveries: more than nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flush(pub Duration);

impl FromConf for Flush {
    const KIND: &'static str = "seconds";
    const EXAMPLE: &'static str = "0.2";
    fn from_conf(text: &str) -> Result<Self, String> {
        let time = duration::parse_fraction(text)?;
        if time < Duration::from_millis(1) {
            return Err(format!("'{text}' is too short: at least 0.001"));
        }
        Ok(Self(time))
    }
}

crate::config! {
    /// Settings of the program.
    pub struct Service {
        /// Seconds between deliveries; fractions are allowed.
        flush: Flush => "Flush" = "1",
        /// Seconds that a shutdown may take to deliver what waits; 0 or less waits until all is delivered.
        grace: i64 => "Grace" = "5",
        /// Run in the background.
        daemon: bool => "Daemon" = "off",
        /// How much is logged; the environment variable FLB_LOG_LEVEL overrides it.
        log_level: LogLevel => "Log_Level" = "info",
        /// A file for the log instead of standard error.
        log_file: Option<String> => "Log_File",
        /// A file with [PARSER] sections, absolute or beside this file; may be repeated.
        parsers_file: Many<String> => "Parsers_File",
        /// Seconds: the shortest wait before a delivery is tried again.
        scheduler_base: u32 => "scheduler.base" = "5",
        /// Seconds: the longest wait before a delivery is tried again.
        scheduler_cap: u32 => "scheduler.cap" = "2000",
        /// Tell over HTTP how the pipeline is and what it has done: /api/v1/metrics, /api/v2/metrics/prometheus, /api/v1/health …
        http_server: bool => "HTTP_Server" = "off",
        /// The local address for that. Others than this machine need `0.0.0.0` here, which is Fluent Bit's default: nobody has to
        /// log in.
        http_listen: String => "HTTP_Listen" = "127.0.0.1",
        /// Its port.
        http_port: u16 => "HTTP_Port" = "2020",
        /// Serve /api/v1/health and /api/v2/health: status 500 when outputs failed more often than is allowed.
        health_check: bool => "Health_Check" = "off",
        /// Failed deliveries that are allowed within HC_Period.
        hc_errors_count: u64 => "HC_Errors_Count" = "5",
        /// Chunks given up after their last retry that are allowed within HC_Period.
        hc_retry_failure_count: u64 => "HC_Retry_Failure_Count" = "5",
        /// Seconds.
        hc_period: u64 => "HC_Period" = "60",
        /// Write characters beyond ASCII as \uXXXX in JSON.
        escape_unicode: bool => "json.escape_unicode" = "on",
        /// Write numbers that JSON lacks (NaN) as null.
        nan_to_null: bool => "json.convert_nan_to_null" = "off",
        /// The longest text of a record that is joined of several lines; the rest is another record.
        multiline_buffer_limit: Size => "multiline_buffer_limit" = "2M",
        /// `net.dns.mode` of outputs that do not say it themselves.
        dns_mode: Option<DnsMode> => "dns.mode",
        /// `net.dns.resolver` of outputs that do not say it themselves.
        dns_resolver: Option<DnsResolver> => "dns.resolver",
        /// `net.dns.prefer_ipv4` of outputs that say nothing of the kind themselves.
        dns_prefer_ipv4: bool => "dns.prefer_ipv4" = "off",
        /// `net.dns.prefer_ipv6` of outputs that say nothing of the kind themselves.
        dns_prefer_ipv6: bool => "dns.prefer_ipv6" = "off",
    }
    unserved [
        "Plugins_File", "Streams_File", "HC_Throughput*", "Coro_Stack_Size", "sp.convert_from_str_to_num=on",
        "Hot_Reload=off", "Hot_Reload.Ensure_Thread_Safety=on", "Hot_Reload.Timeout=0",
        "Enable_Chunk_Trace=off", "security.fips_mode=off", "windows.maxstdio", "flush.adaptive=off",
        "flush.adaptive.*"
    ]
}

/// Reads all `[SERVICE]` sections as one.
pub fn load(doc: &Document, env: &Env, diags: &mut Diags) -> Option<(Service, StorageConf)> {
    let place = doc.named("service").next().map_or_else(Place::command_line, |s| s.place.clone());
    let mut all = Section::new("SERVICE", place);
    all.entries = doc.named("service").flat_map(|s| s.entries.iter().cloned()).collect();
    check::keys(&all, &[Service::TABLE, StorageConf::TABLE], diags);
    let mut service = Service::load(&all, diags);
    let storage = StorageConf::load(&all, diags);
    if let (Some(service), Some(text)) = (&mut service, env.get("FLB_LOG_LEVEL")) {
        match LogLevel::from_conf(&text) {
            Ok(level) => service.log_level = level,
            Err(why) => diags.warn(&all.place, format!("environment variable FLB_LOG_LEVEL is ignored: {why}")),
        }
    }
    if let Some(s) = service.as_ref().filter(|s| s.scheduler_base == 0 || s.scheduler_cap < s.scheduler_base) {
        let key = if s.scheduler_base == 0 { "scheduler.base" } else { "scheduler.cap" };
        let place = all.get(key).map_or(&all.place, |e| &e.value_place);
        let what = format!("[service] scheduler.base {} and scheduler.cap {}", s.scheduler_base, s.scheduler_cap);
        diags.error_help(place, what, "base must be at least 1, and cap not below base");
    }
    service.zip(storage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::ini;

    fn check(text: &str, env: &[(&str, &str)]) -> (Option<Service>, String) {
        let mut diags = Diags::new();
        let doc = ini::parse("c.conf", text.as_bytes(), &mut diags);
        let service = load(&doc, &Env::of(env), &mut diags).map(|(service, _)| service);
        (service, diags.to_string())
    }

    #[test]
    fn defaults() {
        let (s, said) = check("", &[]);
        let s = s.unwrap();
        assert_eq!(said, "");
        assert_eq!((s.flush.0, s.grace, s.daemon, s.log_level), (Duration::from_secs(1), 5, false, LogLevel::Info));
        assert_eq!((s.scheduler_base, s.scheduler_cap, s.escape_unicode, s.nan_to_null), (5, 2000, true, false));
    }

    #[test]
    fn sections_add_up_and_the_environment_overrides_the_level() {
        let text = "[SERVICE]\n Flush 0.2\n Parsers_File a\n[service]\n Log_Level warn\n Parsers_File b\n";
        let (s, said) = check(text, &[("FLB_LOG_LEVEL", "debug")]);
        let s = s.unwrap();
        assert_eq!(said, "");
        assert_eq!((s.flush.0, s.log_level), (Duration::from_millis(200), LogLevel::Debug));
        assert_eq!(s.parsers_file.values().collect::<Vec<_>>(), ["a", "b"]);
        let (s, said) = check("[SERVICE]\n Log_Level warn\n", &[("FLB_LOG_LEVEL", "loud")]);
        assert_eq!(s.unwrap().log_level, LogLevel::Warn);
        assert!(said.contains("FLB_LOG_LEVEL is ignored"), "{said}");
    }

    #[test]
    fn unknown_and_unserved_keys() {
        let (_, said) = check("[SERVICE]\n Flsh 1\n Hot_Reload On\n HTTP_Server off\n flush.adaptive.low 3\n", &[]);
        assert!(said.contains("c.conf:2:2: [service] unknown configuration property 'Flsh'. Did you mean 'Flush'?"));
        assert!(said.contains("c.conf:3:2: warning: [service] property 'Hot_Reload' is not served yet"), "{said}");
        assert!(said.contains("'flush.adaptive.low' is not served yet"), "{said}");
        assert!(!said.contains("HTTP_Server' is"), "{said}");
    }

    #[test]
    fn impossible_values() {
        for text in ["Flush 0", "Flush -1", "Flush x", "scheduler.base 0", "scheduler.cap 2", "Daemon maybe", "Grace z"]
        {
            let (_, said) = check(&format!("[SERVICE]\n {text}\n"), &[]);
            assert!(said.starts_with("c.conf:2:"), "{text}: {said}");
            assert!(!said.contains("warning"), "{text}: {said}");
        }
    }
}
