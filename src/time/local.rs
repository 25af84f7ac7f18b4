//! The system's own time zone. Reads the environment and the zone files; everything else in `time` is pure.

use std::path::Path;

use jiff::tz::TimeZone;

use super::zone::Zone;

/// The zone that `TZ`, or else /etc/localtime, names; UTC when there is neither.
///
/// The whole table of offsets is read at once, so later questions cost a look into it and follow the changes of daylight
/// saving. A `TZ` that names no known zone is an error.
pub fn system_zone() -> Result<Zone, String> {
    let named = std::env::var_os("TZ").filter(|name| !name.is_empty());
    if named.is_none() && !Path::new("/etc/localtime").exists() {
        return Ok(Zone::UTC);
    }
    match TimeZone::try_system() {
        Ok(zone) => Ok(Zone::from_jiff(&zone)),
        Err(error) => Err(match named {
            Some(name) => format!("the time zone in TZ ('{}') is not known: {error}", name.display()),
            None => format!("the time zone in /etc/localtime cannot be read: {error}"),
        }),
    }
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
}
