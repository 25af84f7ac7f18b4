//! `systemd`: the journal, read from its files without systemd's library.
//!
//! Files are followed as they grow and are rotated, and their entries merged in the order in which they were written. How far
//! each file is delivered is written to the DB, with a cursor as Fluent Bit keeps it.

#[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
mod book;
#[cfg(feature = "sqlite")]
mod db;
mod files;
mod follow;
mod merge;
mod pages;
mod record;

use super::{Input, InputCx, InputPlugin, Patience};
use crate::conf::{Many, PluginInfo};
use crate::error::Error;
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use std::path::PathBuf;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "systemd",
        doc: "Reads the journal of systemd. `*` in Tag becomes the name of the unit.",
        keys: SystemdConf::KEYS,
        unserved: SystemdConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::conf_enum! {
    /// How several filters go together.
    pub enum FilterType {
        /// All must match.
        And = "and",
        /// One must.
        Or = "or",
    }
}

crate::conf_enum! {
    /// SQLite's `synchronous`.
    pub enum DbSync {
        /// Leave writing to the system.
        Off = "off" | "0",
        /// Sync at checkpoints.
        Normal = "normal" | "1",
        /// Sync at each commit.
        Full = "full" | "2",
        /// As full, the directory too.
        Extra = "extra" | "3",
    }
}

crate::config! {
    /// Options of `systemd`.
    pub struct SystemdConf {
        /// A folder with journal files, or with folders of them that are named as machines are. Otherwise those of this machine
        /// in /var/log/journal and /run/log/journal.
        path: Option<String> => "Path",
        /// Fields of an entry that are taken; further ones are left out.
        max_fields: usize => "Max_Fields" = "8000",
        /// Entries that are read in one go.
        max_entries: usize => "Max_Entries" = "5000",
        /// Take only entries with this field: `_SYSTEMD_UNIT=ssh.service`.
        systemd_filter: Many<String> => "Systemd_Filter",
        /// How several filters go together.
        systemd_filter_type: FilterType => "Systemd_Filter_Type" = "or",
        /// Begin with new entries, when the DB does not say where.
        read_from_tail: bool => "Read_From_Tail" = "off",
        /// Names of fields in small letters.
        lowercase: bool => "Lowercase" = "off",
        /// Take the underscore from the beginning of names.
        strip_underscores: bool => "Strip_Underscores" = "off",
        /// The SQLite file that remembers how far the journal was delivered. An existing one of Fluent Bit is continued.
        db: Option<String> => "DB",
        /// How carefully SQLite writes: `off`, `normal`, `full` or `extra`.
        db_sync: DbSync => "DB.Sync" = "normal",
    }
    unserved ["Read_Since_Minutes_Ago=0"]
}

struct Systemd(SystemdConf);

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = SystemdConf::load(cx.section, cx.diags)?;
    for item in &conf.systemd_filter.0 {
        let name = item.value.split_once('=').map(|(name, _)| name);
        let letter = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        if !name.is_some_and(|n| !n.is_empty() && n.bytes().all(letter)) {
            let what = format!("Systemd_Filter '{}' is no FIELD=value", item.value);
            return cx.refuse_at(&item.place, what, "Write for example: Systemd_Filter _SYSTEMD_UNIT=ssh.service");
        }
    }
    if cfg!(not(feature = "sqlite")) && conf.db.is_some() {
        return cx.refuse("DB", "this build has no DB", "Build with the feature sqlite, or remove the key.");
    }
    if conf.max_entries == 0 || conf.max_fields == 0 {
        let what = "Max_Entries and Max_Fields must be 1 or more";
        return cx.refuse("Max_Entries", what, "Leave them out: 5000 and 8000 are taken.");
    }
    Some(Box::new(Systemd(conf)))
}

impl Input for Systemd {
    fn start(&mut self) -> Result<(), Error> {
        match &self.0.path {
            Some(path) if !PathBuf::from(path).is_dir() => {
                Err(Error::Config(format!("systemd: Path '{path}' is no folder that can be read")))
            }
            _ => Ok(()),
        }
    }

    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(follow::run(self.0, cx))
    }

    fn patience(&self) -> Patience {
        if self.0.db.is_some() { Patience::ReadsAgain } else { Patience::Waits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Kind;

    #[test]
    fn what_is_refused() {
        let made = |pairs: &[(&str, &str)]| crate::plugin::made(Kind::Input, &PLUGIN.info, PLUGIN.make, pairs);
        for (pair, part) in [
            (("systemd_filter", "ssh.service"), "is no FIELD=value"),
            (("systemd_filter", "unit=x"), "is no FIELD=value"),
            (("systemd_filter_type", "xor"), "'xor' is not one of: and or"),
            (("max_entries", "0"), "must be 1 or more"),
            (("db.sync", "maybe"), "is not one of"),
            (("lower_case", "on"), "Did you mean 'Lowercase'?"),
        ] {
            let (input, said) = made(&[pair]);
            assert!(input.is_none() && said.contains(part), "{part:?} is not in {said:?}");
        }
        let (input, said) = made(&[("systemd_filter", "_PID=1"), ("read_since_minutes_ago", "5")]);
        assert!(input.is_some() && said.contains("read_since_minutes_ago"), "{said}");
    }
}
