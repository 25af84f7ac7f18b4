//! The system's own time zone. Reads the environment and the zone files; everything else in `time` is pure.

use super::zone::Zone;
use std::path::Path;

/// Where the system keeps its zone.
const LOCALTIME: &str = "/etc/localtime";

/// The zone that `TZ`, or else /etc/localtime, names; UTC when there is neither.
///
/// The whole table of offsets is read at once, so later questions cost a look into it and follow the changes of daylight
/// saving. A `TZ` that names no known zone is an error.
pub fn system_zone() -> Result<Zone, String> {
    match std::env::var("TZ").ok().filter(|tz| !tz.is_empty()) {
        Some(tz) => of_tz(&tz).ok_or_else(|| format!("the time zone in TZ ('{tz}') is not known")),
        None if !Path::new(LOCALTIME).exists() => Ok(Zone::UTC),
        None => {
            Zone::tzif(Path::new(LOCALTIME)).map_err(|e| format!("the time zone in {LOCALTIME} cannot be read: {e}"))
        }
    }
}

/// A value of `TZ`: a name, the path of a zone file, each perhaps behind a colon, or a POSIX rule (POSIX.1-2017 §8.3).
fn of_tz(tz: &str) -> Option<Zone> {
    let name = tz.strip_prefix(':').unwrap_or(tz);
    if name.starts_with('/') {
        return Zone::tzif(Path::new(name)).ok();
    }
    Zone::named(name).or_else(|_| Zone::posix(tz)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_has_a_sane_zone() {
        let zone = system_zone().unwrap();
        let offset = zone.offset_at(1_700_000_000);
        assert!(offset.abs() <= 15 * 3600, "{offset}");
    }

    #[test]
    fn values_of_tz() {
        for (tz, offset) in [("CET-1CEST,M3.5.0,M10.5.0/3", 3600), ("<+0330>-3:30", 12600), ("UTC0", 0)] {
            assert_eq!(of_tz(tz).map(|z| z.offset_at(1_700_000_000)), Some(offset), "{tz}");
        }
        for tz in ["Nowhere/City", "../../etc/passwd", ":/etc/passwd", ":"] {
            assert!(of_tz(tz).is_none(), "{tz}");
        }
        if Path::new("/usr/share/zoneinfo/Asia/Tokyo").exists() {
            for tz in ["Asia/Tokyo", ":Asia/Tokyo", "/usr/share/zoneinfo/Asia/Tokyo"] {
                assert_eq!(of_tz(tz).map(|z| z.offset_at(0)), Some(9 * 3600), "{tz}");
            }
        }
    }
}
