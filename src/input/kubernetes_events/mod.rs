//! `kubernetes_events`: the events of a cluster, listed and watched.
//!
//! An event is taken once per version: when the cluster counts it up, it comes again. What was delivered is written to the DB when
//! its record is acknowledged, so a restart neither repeats nor loses what the server still has.

#[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
mod book;
#[cfg(feature = "sqlite")]
mod db;
mod events;
mod run;

use super::tail::conf::{Journal, Sync};
use super::{Input, InputCx, InputPlugin, Patience};
use crate::conf::PluginInfo;
use crate::error::Error;
use crate::kube::{Api, ApiConf, Collection};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use std::time::Duration;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "kubernetes_events",
        doc: "Follows the events of a Kubernetes cluster: each becomes a record, and again each time the cluster counts it up.",
        keys: EventsConf::KEYS,
        unserved: EventsConf::UNSERVED,
        extra: &[ApiConf::TABLE],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `kubernetes_events`.
    pub struct EventsConf {
        /// Seconds between the end of a watch and the next one.
        interval_sec: u64 => "Interval_Sec" = "0",
        /// Nanoseconds, added to the seconds.
        interval_nsec: u64 => "Interval_NSec" = "500000000",
        /// How long one watch lasts.
        watch_timeout: Duration => "Kube_Watch_Timeout" = "10m",
        /// Events of a page of the list; 0 asks for all at once. Memory does not depend on it.
        request_limit: u32 => "Kube_Request_Limit" = "0",
        /// Events that last happened longer ago are left out, and forgotten in the DB. A cluster keeps them for an hour.
        retention_time: Duration => "Kube_Retention_Time" = "1h",
        /// The namespace; events of all when not given.
        namespace: Option<String> => "Kube_Namespace",
        /// The SQLite file that remembers which events were delivered. An existing one of Fluent Bit is continued.
        db: Option<String> => "DB",
        /// How carefully SQLite writes: `off`, `normal`, `full` or `extra`.
        db_sync: Sync => "DB.Sync" = "normal",
        /// Keep other programs out of the database.
        db_locking: bool => "DB.Locking" = "false",
        /// SQLite's journal: `delete`, `truncate`, `persist`, `memory`, `wal` or `off`.
        db_journal_mode: Journal => "DB.Journal_Mode" = "WAL",
    }
}

struct KubernetesEvents {
    conf: EventsConf,
    api: Api,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = EventsConf::load(cx.section, cx.diags);
    let api = ApiConf::load(cx.section, cx.diags);
    let (conf, api) = (conf?, api?);
    let sound = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
    };
    if let Some(name) = conf.namespace.as_ref().filter(|name| !sound(name)) {
        let what = format!("Kube_Namespace '{name}' is no name of a namespace");
        return cx.refuse("Kube_Namespace", what, "Write for example: Kube_Namespace kube-system");
    }
    if cfg!(not(feature = "sqlite")) && conf.db.is_some() {
        return cx.refuse("DB", "this build has no DB", "Build with the feature sqlite, or remove the key.");
    }
    let api = match Api::new(&api) {
        Ok(api) => api.labelled(&cx.label()),
        Err(p) => return cx.refuse(p.key, format!("{} {}", p.key, p.why), p.help),
    };
    for caution in api.cautions() {
        cx.diags.warn(&cx.section.place, format!("{} {caution}", cx.section.who()));
    }
    Some(Box::new(KubernetesEvents { conf, api }))
}

impl EventsConf {
    fn collection(&self) -> Collection {
        let path = match &self.namespace {
            None => "/api/v1/events".to_owned(),
            Some(name) => format!("/api/v1/namespaces/{name}/events"),
        };
        let mut what = Collection::new(path, "");
        what.page = self.request_limit;
        (what.watch, what.exact) = (self.watch_timeout, true);
        // From its memory a server may tell of events that were delivered and forgotten.
        what.cached = false;
        what.pause = Duration::from_secs(self.interval_sec).saturating_add(Duration::from_nanos(self.interval_nsec));
        what
    }
}

impl Input for KubernetesEvents {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(run::run(self.conf, self.api, cx))
    }

    fn patience(&self) -> Patience {
        if self.conf.db.is_some() { Patience::ReadsAgain } else { Patience::Waits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Kind;

    fn made(pairs: &[(&str, &str)]) -> (bool, String) {
        let (input, said) = crate::plugin::made(Kind::Input, &PLUGIN.info, PLUGIN.make, pairs);
        (input.is_some(), said)
    }

    #[test]
    fn what_is_refused_and_warned_about() {
        for (pair, part) in [
            (("kube_url", "kubernetes"), "Kube_URL 'kubernetes' is no URL"),
            (("kube_namespace", "a/b"), "is no name of a namespace"),
            (("kube_ca_file", "/dev/null"), "Kube_CA_File '/dev/null' holds no certificate"),
            (("db.sync", "maybe"), "is not one of"),
            (("kube_namespaces", "a"), "Did you mean 'Kube_Namespace'?"),
        ] {
            let (made, said) = made(&[pair]);
            assert!(!made && said.contains(part), "{part:?} is not in {said:?}");
        }
        // Outside of a cluster the files are missing: that is said, and the program starts.
        let missing = [("kube_ca_file", "/none/ca.crt"), ("kube_token_file", "/none/token")];
        let (made_, said) = made(&missing);
        assert!(made_ && said.contains("Kube_CA_File") && said.contains("/none/token"), "{said}");
        let (made_, said) = made(&[("kube_url", "http://127.0.0.1:8001")]);
        assert!(made_ && said.is_empty(), "{said}");
    }
}
