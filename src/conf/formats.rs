//! Words that several plugins have in common: `Format` and `Json_Date_Format` of outputs, `QoS` of MQTT.

use super::value::FromConf;
use crate::fmt::date_format::DateFormat;
use crate::fmt::record::{Container, date_key};

impl FromConf for DateFormat {
    const KIND: &'static str = "one of: double iso8601 epoch epoch_ms java_sql_timestamp";
    const EXAMPLE: &'static str = "iso8601";
    fn from_conf(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| format!("'{text}' is not {}", Self::KIND))
    }
}

impl FromConf for Container {
    const KIND: &'static str = "one of: json json_lines json_stream msgpack";
    const EXAMPLE: &'static str = "json_lines";
    fn from_conf(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| format!("'{text}' is not {}", Self::KIND))
    }
}

/// The key of the date in JSON; `false` writes none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateKey(pub Option<String>);

impl FromConf for DateKey {
    const KIND: &'static str = "text or false";
    const EXAMPLE: &'static str = "@timestamp";
    fn from_conf(text: &str) -> Result<Self, String> {
        Ok(Self(date_key(text).map(str::to_owned)))
    }
}

crate::conf_enum! {
    /// What is said about a message of MQTT that arrived.
    pub enum Qos {
        /// Nothing.
        AtMostOnce = "0",
        /// That it is taken over.
        AtLeastOnce = "1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_formats() {
        let words = |kind: &'static str| kind.strip_prefix("one of: ").unwrap().replace(' ', ", ");
        assert_eq!(words(DateFormat::KIND), DateFormat::NAMES);
        assert_eq!(words(Container::KIND), Container::NAMES);
        let why = Container::from_conf("xml").unwrap_err();
        assert_eq!(why, "'xml' is not one of: json json_lines json_stream msgpack");
        assert_eq!(DateKey::from_conf("Off").unwrap(), DateKey(None));
        assert_eq!(DateKey::from_conf("ts").unwrap(), DateKey(Some("ts".into())));
    }
}
