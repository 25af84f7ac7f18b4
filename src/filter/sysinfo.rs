//! `sysinfo`: appends facts about the machine to records.

use super::{Filter, FilterCx, FilterPlugin};
use crate::conf::PluginInfo;
use crate::event::{Batch, Draft, Key, Literal};
use crate::plugin::MakeCx;

/// The plugin.
pub static PLUGIN: FilterPlugin = FilterPlugin {
    info: PluginInfo {
        name: "sysinfo",
        doc: "Appends facts about the machine to records.",
        keys: SysinfoConf::KEYS,
        unserved: SysinfoConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `sysinfo`. A fact whose key is not named is not appended.
    pub struct SysinfoConf {
        /// The field for this program's version.
        fluentbit_version_key: Option<String> => "fluentbit_version_key",
        /// The field for the kind of the operating system, `linux`.
        os_name_key: Option<String> => "os_name_key",
        /// The field for the host's name.
        hostname_key: Option<String> => "hostname_key",
        /// The field for the version of the operating system, as `uname -v` shows it.
        os_version_key: Option<String> => "os_version_key",
        /// The field for the release of the kernel, as `uname -r` shows it.
        kernel_version_key: Option<String> => "kernel_version_key",
    }
}

#[derive(Debug)]
struct Sysinfo {
    fields: Vec<(Key, Literal)>,
    draft: Draft,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Filter>> {
    let conf = SysinfoConf::load(cx.section, cx.diags)?;
    let uname = rustix::system::uname();
    let facts = [
        (conf.fluentbit_version_key, env!("CARGO_PKG_VERSION").into()),
        (conf.os_name_key, std::env::consts::OS.into()),
        (conf.hostname_key, uname.nodename().to_string_lossy()),
        (conf.os_version_key, uname.version().to_string_lossy()),
        (conf.kernel_version_key, uname.release().to_string_lossy()),
    ];
    let fields: Vec<_> =
        facts.into_iter().filter_map(|(key, fact)| Some((Key::of(&key?), Literal::new(&fact)))).collect();
    if fields.is_empty() {
        cx.diags.warn(&cx.section.place, format!("{} no key is named: nothing is appended", cx.section.who()));
    }
    Some(Box::new(Sysinfo { fields, draft: Draft::default() }))
}

impl Filter for Sysinfo {
    fn apply(&mut self, batch: &mut Batch, _cx: &mut FilterCx) {
        self.fields.iter_mut().for_each(|(_, fact)| fact.restart());
        for i in batch.fresh() {
            self.draft.load(batch, i);
            for (key, fact) in &mut self.fields {
                self.draft.push(fact.cell(batch, *key));
            }
            self.draft.store(batch, i);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PLUGIN;
    use crate::filter::testing::{check, said};

    #[test]
    fn facts_are_appended_in_a_fixed_order() {
        let uname = rustix::system::uname();
        let expected = format!(
            r#"{{"a":1,"v":"{}","os":"linux","host":"{}","ov":"{}","kv":"{}"}}"#,
            env!("CARGO_PKG_VERSION"),
            uname.nodename().to_str().unwrap(),
            uname.version().to_str().unwrap(),
            uname.release().to_str().unwrap()
        );
        let conf = [
            ("kernel_version_key", "kv"),
            ("os_version_key", "ov"),
            ("hostname_key", "host"),
            ("os_name_key", "os"),
            ("fluentbit_version_key", "v"),
        ];
        check(&PLUGIN, &conf, &[r#"{"a":1}"#], &[&expected]);
        check(&PLUGIN, &[("os_name_key", "a")], &[r#"{"a":1}"#], &[r#"{"a":1,"a":"linux"}"#]);
        assert!(said(&PLUGIN, &[]).contains("no key is named"));
    }
}
