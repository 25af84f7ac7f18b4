//! The keys of the `es` and `opensearch` outputs, and what follows from them.

use super::client::Client;
use crate::conf::Size;
use crate::conf::common::{OutputCommon, TlsClient};
use crate::event::Key;
use crate::fmt::es_bulk::{Action, Bulk, Id, IndexName};
use crate::net::http::Way;
use crate::output::request::{self, Gzip};
use crate::plugin::MakeCx;
use crate::time::strftime::{CachedFormatter, Formatter};
use crate::time::zone::Zone;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

crate::conf_enum! {
    /// `Write_Operation`.
    pub enum WriteOperation {
        /// Store; an id that exists is refused.
        Create = "create",
        /// Store or overwrite.
        Index = "index",
        /// Change what exists.
        Update = "update",
        /// Change or store.
        Upsert = "upsert",
    }
}

crate::conf_enum! {
    /// What ids are made of.
    pub enum GenerateId {
        /// The server makes them.
        Off = "off" | "false" | "no",
        /// Tag, position and content.
        On = "on" | "true" | "yes",
        /// The document, as Fluent Bit does.
        Content = "content",
    }
}

crate::config! {
    /// Options of `es` and `opensearch`.
    pub struct EsConf {
        /// The index; strftime specifiers are filled in with the time of sending, UTC.
        index: String => "Index" = "fluent-bit",
        /// `_type` in the action lines.
        doc_type: String => "Type" = "_doc",
        /// Send no `_type`: needed by Elasticsearch 8 and OpenSearch.
        suppress_type_name: bool => "Suppress_Type_Name" = "off",
        /// User of basic authentication.
        http_user: Option<String> => "HTTP_User",
        /// Its password.
        http_passwd: Option<String> => "HTTP_Passwd",
        /// An API key, sent as `Authorization: ApiKey …`.
        http_api_key: Option<String> => "HTTP_API_Key",
        /// The id of an Elastic Cloud deployment: gives host, port 443 and TLS.
        cloud_id: Option<String> => "Cloud_ID",
        /// `user:password` of the deployment.
        cloud_auth: Option<String> => "Cloud_Auth",
        /// Compress bodies.
        compress: Gzip => "Compress" = "off",
        /// Indices by day: `<prefix>-<date of the record>`.
        logstash_format: bool => "Logstash_Format" = "off",
        /// Their prefix.
        logstash_prefix: String => "Logstash_Prefix" = "logstash",
        /// Between prefix and date.
        logstash_prefix_separator: String => "Logstash_Prefix_Separator" = "-",
        /// A value of the record that replaces the prefix, where it makes a valid one.
        logstash_prefix_key: Option<String> => "Logstash_Prefix_Key",
        /// The date's format.
        logstash_dateformat: String => "Logstash_DateFormat" = "%Y.%m.%d",
        /// The key of the timestamp; a record that has it already keeps its own value.
        time_key: String => "Time_Key" = "@timestamp",
        /// Its format up to the second.
        time_key_format: String => "Time_Key_Format" = "%Y-%m-%dT%H:%M:%S",
        /// Nanoseconds instead of milliseconds.
        time_key_nanos: bool => "Time_Key_Nanos" = "off",
        /// Add the tag.
        include_tag_key: bool => "Include_Tag_Key" = "off",
        /// Its key.
        tag_key: String => "Tag_Key" = "flb-key",
        /// Accepted: answers of any length are read item by item as they arrive.
        buffer_size: Size => "Buffer_Size" = "512k",
        /// A prefix of the URL's path.
        path: Option<String> => "Path",
        /// The ingest pipeline.
        pipeline: Option<String> => "Pipeline",
        /// Make ids, so that what is sent twice is stored once in its index. `on`: of tag, content and where the record
        /// came from (the place in its file), so that equal lines stay two documents; only a file that is cut to nothing and
        /// filled with the very same lines, without so much as a time in them, gives the same ids again. `content`: of the document alone, as
        /// Fluent Bit does; equal documents become one.
        generate_id: GenerateId => "Generate_ID" = "off",
        /// The kind of bulk item; update and upsert need an id.
        write_operation: WriteOperation => "Write_Operation" = "create",
        /// The key whose value is the id.
        id_key: Option<String> => "Id_Key",
        /// Dots in keys become underscores.
        replace_dots: bool => "Replace_Dots" = "off",
        /// The time of sending decides index and timestamp.
        current_time_index: bool => "Current_Time_Index" = "off",
        /// Print every request's body on stdout.
        trace_output: bool => "Trace_Output" = "off",
        /// Log the start of answers with errors (4 KiB).
        trace_error: bool => "Trace_Error" = "off",
    }
    unserved [
        "Upstream", "AWS_Auth=off", "AWS_Region", "AWS_STS_Endpoint", "AWS_Role_ARN", "AWS_External_ID", "AWS_Service_Name=es",
        "AWS_Profile"
    ]
}

/// How records become bodies.
pub fn bulk(conf: &EsConf, cx: &mut MakeCx<'_>) -> Option<Bulk> {
    let time_format = format(cx, "Time_Key_Format", &conf.time_key_format)?;
    let index = if conf.logstash_format {
        let date = format(cx, "Logstash_DateFormat", &conf.logstash_dateformat)?;
        let prefix_key = cx.path_if("Logstash_Prefix_Key", conf.logstash_prefix_key.as_deref())?;
        let (prefix, separator) = (conf.logstash_prefix.clone(), conf.logstash_prefix_separator.clone());
        IndexName::Logstash { prefix, separator, date, prefix_key }
    } else {
        IndexName::Plain(format(cx, "Index", &conf.index)?)
    };
    let mut bulk = Bulk::new(index, Key::of(&conf.time_key), time_format);
    bulk.action = match conf.write_operation {
        WriteOperation::Create => Action::Create,
        WriteOperation::Index => Action::Index,
        WriteOperation::Update => Action::Update,
        WriteOperation::Upsert => Action::Upsert,
    };
    bulk.id = match cx.path_if("Id_Key", conf.id_key.as_deref())? {
        Some(key) => Id::Key(key),
        None => match conf.generate_id {
            GenerateId::Off => Id::Server,
            GenerateId::On => Id::Position,
            GenerateId::Content => Id::Content,
        },
    };
    if matches!(bulk.action, Action::Update | Action::Upsert) && matches!(bulk.id, Id::Server) {
        let what = "Write_Operation update and upsert need an id";
        return cx.refuse("Write_Operation", what, "Set Id_Key, or Generate_ID On.");
    }
    bulk.doc_type = (!conf.suppress_type_name).then(|| conf.doc_type.clone());
    bulk.nanos = conf.time_key_nanos;
    bulk.tag_key = conf.include_tag_key.then(|| Key::of(&conf.tag_key));
    bulk.replace_dots = conf.replace_dots;
    bulk.current_time = conf.current_time_index;
    bulk.json = cx.json;
    Some(bulk)
}

fn format(cx: &mut MakeCx<'_>, key: &str, text: &str) -> Option<CachedFormatter> {
    match Formatter::compile(text) {
        Ok(f) => Some(CachedFormatter::new(f, Zone::UTC)),
        Err(e) => cx.refuse(key, format!("{key} '{text}': {e}"), "Use the specifiers of strftime, such as %Y.%m.%d."),
    }
}

/// Where bodies go.
pub fn client(conf: &EsConf, cx: &mut MakeCx<'_>, workers: usize) -> Option<Client> {
    let common = OutputCommon::load(cx.section, cx.diags)?;
    let mut tls = TlsClient::load(cx.section, cx.diags)?;
    let mut host = common.host.unwrap_or_else(|| "127.0.0.1".into());
    let mut port = common.port.unwrap_or(9200);
    if let Some(id) = &conf.cloud_id {
        let Some((h, p)) = cloud_host(id) else {
            return cx.refuse(
                "Cloud_ID",
                "Cloud_ID is not of the form name:base64",
                "Copy it from the deployment's page.",
            );
        };
        (host, port, tls.tls) = (h, p, true);
    }
    let authorization = match (&conf.http_api_key, &conf.cloud_auth) {
        (Some(key), _) => Some(format!("ApiKey {key}")),
        (_, Some(auth)) => Some(format!("Basic {}", BASE64_STANDARD.encode(auth))),
        _ => request::basic(conf.http_user.as_deref(), conf.http_passwd.as_deref()),
    };
    let path = conf.path.as_deref().unwrap_or_default().trim_matches('/');
    let path = if path.is_empty() { String::new() } else { format!("/{path}") };
    // Only what is judged comes back: the answer to 10,000 documents stays small.
    let origin = request::origin(&host, port, tls.tls);
    let mut url = format!("{origin}{path}/_bulk?filter_path=errors,items.*.status,items.*.error");
    if let Some(p) = &conf.pipeline {
        url.push_str("&pipeline=");
        url.push_str(&request::percent_encoded(p));
    }
    let way = Way { host: &host, tls: tls.tls, ..Way::default() };
    let http = request::client(cx, &way, &tls, workers)?;
    Some(Client {
        http,
        url,
        authorization,
        gzip: conf.compress == Gzip::On,
        trace_error: conf.trace_error,
        label: cx.label(),
    })
}

/// Host and port of `name:base64(domain$id$id)`: the id of the search service in front of the domain.
fn cloud_host(cloud_id: &str) -> Option<(String, u16)> {
    let (_, encoded) = cloud_id.rsplit_once(':')?;
    let text = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let mut parts = text.split('$');
    let (domain, id) = (parts.next()?, parts.next()?);
    let (domain, port) = match domain.rsplit_once(':') {
        Some((d, p)) => (d, p.parse().ok()?),
        None => (domain, 443),
    };
    (!domain.is_empty() && !id.is_empty()).then(|| (format!("{id}.{domain}"), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cloud_ids() {
        let id = |text: &str| format!("prod:{}", BASE64_STANDARD.encode(text));
        assert_eq!(cloud_host(&id("eu.cloud.test$abc$def")), Some(("abc.eu.cloud.test".into(), 443)));
        assert_eq!(cloud_host(&id("eu.cloud.test:9243$abc")), Some(("abc.eu.cloud.test".into(), 9243)));
        for bad in ["prod", "prod:%%%", &id("eu.cloud.test"), &id("$x")] {
            assert_eq!(cloud_host(bad), None, "{bad}");
        }
    }
}
