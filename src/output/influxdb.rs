//! `influxdb`: records as points of an InfluxDB database (version 1) or bucket (version 2).

use super::request::{Ask, Gzip, Requests, basic, cut, percent_encoded, refuse};
use super::{Outcome, Output, OutputPlugin, Payload};
use crate::conf::common::{NetOut, TlsClient};
use crate::conf::header::Header;
use crate::conf::{Many, PluginInfo, SList};
use crate::error::Error;
use crate::event::{Key, View};
use crate::fmt::influx::{Influx, State, is_point};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use std::cell::Cell;

crate::config! {
    /// Keys of influxdb.
    pub struct InfluxConf {
        /// The database, of version 1.
        database: String => "Database" = "fluentbit",
        /// The bucket: version 2 is spoken.
        bucket: Option<String> => "Bucket",
        /// Its organization.
        org: String => "Org" = "fluent",
        /// The path to write to, with its query, instead of the one that database or bucket ask for.
        uri: Option<String> => "URI",
        /// The tag that numbers points, so that those of one time stay apart (`_seq`); `off` writes none.
        sequence_tag: String => "Sequence_Tag" = "_seq",
        /// Keys whose values are tags, separated by blanks.
        tag_keys: SList => "Tag_Keys" = "",
        /// Every text is a tag.
        auto_tags: bool => "Auto_Tags" = "off",
        /// Integers are such for the server, too; they are floats otherwise.
        add_integer_suffix: bool => "Add_Integer_Suffix" = "off",
        /// The user of basic authentication.
        http_user: Option<String> => "HTTP_User",
        /// Its password.
        http_passwd: Option<String> => "HTTP_Passwd",
        /// A token, sent as `Authorization: Token …`.
        http_token: Option<String> => "HTTP_Token",
        /// A header of requests: its name, a space, its value.
        http_header: Many<Header> => "HTTP_Header",
        /// Compress bodies.
        compress: Gzip => "Compress" = "off",
    }
}

/// The plugin.
pub static PLUGIN: OutputPlugin = OutputPlugin {
    info: PluginInfo {
        name: "influxdb",
        doc: "Sends records to InfluxDB as points.",
        keys: InfluxConf::KEYS,
        unserved: InfluxConf::UNSERVED,
        extra: &[NetOut::TABLE, TlsClient::TABLE],
    },
    make: |cx| make(cx),
};

struct ToInflux {
    influx: Influx,
    state: Cell<State>,
    requests: Requests,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Output>> {
    let conf = InfluxConf::load(cx.section, cx.diags)?;
    let uri = match (&conf.uri, &conf.bucket) {
        (Some(uri), _) if !uri.starts_with('/') => {
            return cx.refuse("URI", format!("URI: '{uri}' does not begin with '/'"), &format!("Write /{uri}"));
        }
        (Some(uri), _) => uri.clone(),
        (None, Some(bucket)) => {
            let (org, bucket) = (percent_encoded(&conf.org), percent_encoded(bucket));
            format!("/api/v2/write?org={org}&bucket={bucket}&precision=ns")
        }
        (None, None) => format!("/write?db={}&precision=n", percent_encoded(&conf.database)),
    };
    let mut ask = Ask::new(8086, &uri, "text/plain; charset=utf-8", &conf.http_header);
    ask.authorization = match conf.http_token {
        Some(token) => Some(format!("Token {token}")),
        None => basic(conf.http_user.as_deref(), conf.http_passwd.as_deref()),
    };
    ask.codec = conf.compress.codec();
    ask.refusal = "a point needs a field, and it has none";
    let requests = Requests::make(cx, &ask)?;
    let no_sequence = ["off", "false", "no"].iter().any(|word| conf.sequence_tag.eq_ignore_ascii_case(word));
    let influx = Influx {
        sequence: (!no_sequence).then(|| conf.sequence_tag.into()),
        auto_tags: conf.auto_tags,
        tag_keys: conf.tag_keys.0.iter().map(|key| Key::of(key)).collect(),
        integers: conf.add_integer_suffix,
        json: cx.json,
    };
    Some(Box::new(ToInflux { influx, state: Cell::default(), requests }))
}

impl Output for ToInflux {
    fn format(&self, view: &View<'_>, out: &mut Payload) -> Result<(), Error> {
        let is_all = view.records().all(|record| is_point(&record));
        let mut points = Vec::new();
        for record in view.records().filter(|_| !is_all) {
            match is_point(&record) {
                true => points.push(record.index() as u32),
                false => refuse(record.index(), out),
            }
        }
        if !is_all && points.is_empty() {
            return Ok(());
        }
        let view = if is_all { *view } else { View::only(view.batch(), Some(&points)) };
        let mut state = self.state.get();
        cut(&view, self.requests.limit(), out, &mut |view, bytes| self.influx.write(view, &mut state, bytes));
        self.state.set(state);
        Ok(())
    }

    fn deliver<'a>(&'a self, payload: &'a mut Payload) -> LocalFuture<'a, Outcome> {
        self.requests.deliver(payload, Vec::new())
    }

    fn concurrency(&self) -> usize {
        self.requests.concurrency()
    }
}

#[cfg(test)]
mod tests;
