//! `thermal`: temperatures of the board.

use super::gauge::{Fault, Gauge, IntervalConf, watch_apart};
use super::{Input, InputCx, InputPlugin};
use crate::conf::PluginInfo;
use crate::error::Error;
use crate::event::{Batch, Cell, Key};
use crate::parse::regex::Regex;
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use crate::time::Time;
use crate::util::sort;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "thermal",
        doc: "Temperatures of the thermal zones (processor, board, modem …) at each interval, a record each: name \
              (thermal_zone0), type (cpu-thermal), temp (degrees Celsius).",
        keys: ThermalConf::KEYS,
        unserved: ThermalConf::UNSERVED,
        extra: &[IntervalConf::TABLE],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `thermal`.
    pub struct ThermalConf {
        /// Only zones whose name it fits.
        name_regex: Option<String> => "Name_Regex",
        /// Only zones whose type it fits.
        type_regex: Option<String> => "Type_Regex",
        /// Where sysfs(5) is mounted.
        path: String => "path.sysfs" = "/sys",
    }
}

struct Thermal {
    interval: IntervalConf,
    gauge: Zones,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = ThermalConf::load(cx.section, cx.diags)?;
    let interval = IntervalConf::load(cx.section, cx.diags)?;
    let mut regex = |key: &str, text: &Option<String>| match text.as_deref().map(Regex::new) {
        None => Some(None),
        Some(Ok(regex)) => Some(Some(regex)),
        Some(Err(e)) => cx.refuse(key, format!("{key}: {e}"), "Patterns are in Ruby's dialect."),
    };
    let name = regex("Name_Regex", &conf.name_regex)?;
    let kind = regex("Type_Regex", &conf.type_regex)?;
    let dir = Path::new(&conf.path).join("class/thermal");
    Some(Box::new(Thermal { interval, gauge: Zones { dir, name, kind, found: Vec::new() } }))
}

impl Input for Thermal {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        // Some sensors are asked over a slow bus while their file is read.
        Box::pin(async move { watch_apart(&cx, self.interval.period(), self.gauge).await })
    }
}

struct Zone {
    number: u32,
    name: String,
    kind: String,
    /// Thousandths of a degree.
    temperature: i64,
}

struct Zones {
    dir: PathBuf,
    name: Option<Regex>,
    kind: Option<Regex>,
    found: Vec<Zone>,
}

impl Gauge for Zones {
    fn read(&mut self) -> Result<(), Fault> {
        self.found.clear();
        let unread = |what: &Path, e: io::Error| format!("cannot read {}: {e}", what.display());
        let entries = fs::read_dir(&self.dir).map_err(|e| unread(&self.dir, e))?;
        let mut silent = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(number) = name.strip_prefix("thermal_zone").and_then(|n| n.parse().ok()) else { continue };
            if self.name.as_ref().is_some_and(|r| !r.is_match(name.as_bytes())) {
                continue;
            }
            let file = |what: &str| {
                fs::read_to_string(entry.path().join(what)).map_err(|e| unread(&entry.path().join(what), e))
            };
            let kind = file("type").map(|text| text.trim_end().to_owned());
            if let (Ok(kind), Some(regex)) = (&kind, &self.kind)
                && !regex.is_match(kind.as_bytes())
            {
                continue;
            }
            let temperature =
                file("temp").and_then(|t| t.trim().parse::<i64>().map_err(|_| format!("{name} tells no temperature")));
            match kind.and_then(|kind| Ok((kind, temperature?))) {
                Ok((kind, temperature)) => self.found.push(Zone { number, name, kind, temperature }),
                Err(why) => silent.push(why),
            }
        }
        sort::by_key(&mut self.found, |zone| zone.number);
        sort::ascending(&mut silent);
        match (silent.is_empty(), self.found.is_empty()) {
            (true, true) => {
                Err(format!("there is no thermal zone in {}, or none that fits", self.dir.display()).into())
            }
            (true, false) => Ok(()),
            (false, _) => Err(Fault::partly(silent.join("; "))),
        }
    }

    fn write(&mut self, batch: &mut Batch, now: Time) {
        for zone in &self.found {
            let mark = batch.begin();
            batch.push_text(Key::of("name"), zone.name.as_bytes());
            batch.push_text(Key::of("type"), zone.kind.as_bytes());
            batch.push(Cell::float(Key::of("temp"), zone.temperature as f64 / 1000.0));
            batch.finish(mark, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Kind;
    use crate::input::gauge::testing::{Root, look};
    use crate::plugin::judged;

    fn zones(root: &Root, name: Option<&str>, kind: Option<&str>) -> Zones {
        let regex = |text: Option<&str>| text.map(|t| Regex::new(t).unwrap());
        Zones { dir: root.path().join("class/thermal"), name: regex(name), kind: regex(kind), found: Vec::new() }
    }

    #[test]
    fn zones_of_a_board() {
        let root = Root::new();
        assert!(look(&mut zones(&root, None, None)).starts_with("cannot read "));
        root.write("class/thermal/cooling_device0/type", "pwm-fan\n");
        assert!(look(&mut zones(&root, None, None)).starts_with("there is no thermal zone in "));
        for (zone, kind, temp) in [(0, "cpu-thermal", "48312"), (10, "gpu-thermal", "-1500"), (2, "ddr", "50000")] {
            root.write(&format!("class/thermal/thermal_zone{zone}/type"), format!("{kind}\n"));
            root.write(&format!("class/thermal/thermal_zone{zone}/temp"), format!("{temp}\n"));
        }
        let cpu = r#"{"name":"thermal_zone0","type":"cpu-thermal","temp":48.312}"#;
        let ddr = r#"{"name":"thermal_zone2","type":"ddr","temp":50.0}"#;
        let gpu = r#"{"name":"thermal_zone10","type":"gpu-thermal","temp":-1.5}"#;
        assert_eq!(look(&mut zones(&root, None, None)), format!("{cpu}{ddr}{gpu}"));
        assert_eq!(look(&mut zones(&root, Some("zone(0|2)$"), None)), format!("{cpu}{ddr}"));
        assert_eq!(look(&mut zones(&root, None, Some("-thermal$"))), format!("{cpu}{gpu}"));
        assert!(look(&mut zones(&root, Some("x"), None)).ends_with("or none that fits"));
        // The modem is off; the others go on.
        root.write("class/thermal/thermal_zone2/temp", "\n");
        assert_eq!(look(&mut zones(&root, None, None)), format!("{cpu}{gpu}thermal_zone2 tells no temperature"));
    }

    #[test]
    fn what_is_refused() {
        let said = |conf: &[(&str, &str)], said| judged(Kind::Input, &PLUGIN.info, PLUGIN.make, conf, said);
        said(&[("name_regex", "^thermal_zone0$")], "");
        said(&[("type_regex", "(")], "Type_Regex: ");
    }
}
