//! `null`: takes records and throws them away.

use super::{Outcome, Output, OutputPlugin, Payload};
use crate::conf::PluginInfo;
use crate::conf::formats::DateKey;
use crate::error::Error;
use crate::event::View;
use crate::fmt::date_format::DateFormat;
use crate::fmt::record::{Container, RecordFormat};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;

crate::config! {
    /// Keys of null.
    pub struct NullConf {
        /// Write records in this format before they are thrown away, to measure what that costs.
        format: Option<Container> => "Format",
        /// How the date is written in JSON.
        json_date_format: DateFormat => "Json_Date_Format" = "double",
        /// The key of the date in JSON; `false` writes none.
        json_date_key: DateKey => "Json_Date_Key" = "date",
    }
}

/// The plugin.
pub static PLUGIN: OutputPlugin = OutputPlugin {
    info: PluginInfo {
        name: "null",
        doc: "Takes records and throws them away.",
        keys: NullConf::KEYS,
        unserved: NullConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

struct Null(Option<(Container, RecordFormat)>);

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Output>> {
    let conf = NullConf::load(cx.section, cx.diags)?;
    let record = RecordFormat::new(conf.json_date_key.0.as_deref(), conf.json_date_format, cx.json);
    Some(Box::new(Null(conf.format.map(|f| (f, record)))))
}

impl Output for Null {
    fn format(&self, view: &View<'_>, out: &mut Payload) -> Result<(), Error> {
        if let Some((container, record)) = &self.0 {
            record.write(*container, view, &mut out.bytes);
        }
        Ok(())
    }

    fn deliver<'a>(&'a self, _payload: &'a mut Payload) -> LocalFuture<'a, Outcome> {
        Box::pin(async { Outcome::Done })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{batch, instance, payload, refused, send};
    use super::*;
    use crate::rt::run;

    #[test]
    fn nothing_is_written_unless_asked_for() {
        let b = batch("t", &[(1_000_000_000, r#"{"a":1}"#)]);
        let plain = instance(&PLUGIN, &[]);
        assert!(payload(&*plain, &b).bytes.is_empty());
        let json = instance(&PLUGIN, &[("format", "json")]);
        assert_eq!(payload(&*json, &b).bytes, br#"[{"date":1.0,"a":1}]"#);
        assert!(matches!(run(async { send(&*json, &b).await }).unwrap(), Outcome::Done));
        assert!(refused(&PLUGIN, &[("format", "x")]).contains("'x' is not one of"));
    }
}
