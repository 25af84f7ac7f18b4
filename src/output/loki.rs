//! `loki`: records as lines of Loki's streams.
//!
//! The records of a chunk are grouped by their labels, and by tenant with `Tenant_ID_Key`: each tenant gets a request of its own,
//! and only what failed is sent again.

use super::request::{Ask, Gzip, Requests, basic, cut, push_header, refuse};
use super::{Outcome, Output, OutputPlugin, Payload};
use crate::conf::common::{NetOut, TlsClient};
use crate::conf::header::{Header, is_value};
use crate::conf::{CList, Many, PluginInfo, Size};
use crate::error::Error;
use crate::event::access::Accessor;
use crate::event::{Batch, Cells, Tag, Value, View};
use crate::fmt::json_read::JsonReader;
use crate::fmt::loki::{Label, Line, Loki, Single};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use rustc_hash::FxHashMap;

crate::conf_enum! {
    /// How a record becomes a line.
    pub enum LineFormat {
        /// A JSON object.
        Json = "json",
        /// `key="value" …`
        KeyValue = "key_value",
    }
}

crate::conf_enum! {
    /// Lines of one field.
    pub enum DropSingleKey {
        /// As any other.
        Off = "off" | "false" | "no",
        /// The field's value.
        On = "on" | "true" | "yes",
        /// The same, text without quotes.
        Raw = "raw",
    }
}

crate::conf_enum! {
    /// What mixed success means.
    pub enum ErrorHandling {
        /// Only what failed is sent again.
        Success = "partial_success",
        /// The same here.
        Error = "partial_error",
    }
}

crate::config! {
    /// Keys of loki.
    pub struct LokiConf {
        /// The path of the push API.
        uri: String => "URI" = "/loki/api/v1/push",
        /// Labels of streams, separated by commas: `name=value`, `name=$key['sub']` or `$key`. Fields that are used leave the
        /// line. Without any label the stream is `job="fluent-bit"`.
        labels: CList => "Labels" = "",
        /// Keys whose values are labels, named after them: `$level, $kubernetes['pod_name']`.
        label_keys: CList => "Label_Keys" = "",
        /// A file with a JSON object that says which keys are labels: `{"kubernetes": {"pod_name": "pod"}}`.
        label_map_path: Option<String> => "Label_Map_Path",
        /// All labels of the pod become labels.
        auto_kubernetes_labels: bool => "Auto_Kubernetes_Labels" = "off",
        /// Structured metadata of lines, written as `Labels` are (Loki 3 and later).
        structured_metadata: CList => "Structured_Metadata" = "",
        /// Keys of maps whose entries are structured metadata: `$kubernetes`.
        structured_metadata_map_keys: CList => "Structured_Metadata_Map_Keys" = "",
        /// Keys that do not stand in lines.
        remove_keys: CList => "Remove_Keys" = "",
        /// When one field is left, its value alone is the line; `raw` writes text without quotes.
        drop_single_key: DropSingleKey => "Drop_Single_Key" = "off",
        /// `json`, or `key_value`: `key="value" …`
        line_format: LineFormat => "Line_Format" = "json",
        /// The tenant, sent as `X-Scope-OrgID`.
        tenant_id: Option<String> => "Tenant_ID",
        /// The key of a record's tenant; `Tenant_ID` is for those without.
        tenant_id_key: Option<String> => "Tenant_ID_Key",
        /// Accepted: when some tenants' requests fail, only those are sent again.
        tenant_id_key_error_handling: ErrorHandling => "Tenant_ID_Key_Error_Handling" = "partial_success",
        /// The user of basic authentication.
        http_user: Option<String> => "HTTP_User",
        /// Its password.
        http_passwd: Option<String> => "HTTP_Passwd",
        /// A token, sent as `Authorization: Bearer …`.
        bearer_token: Option<String> => "Bearer_Token",
        /// A header of requests: its name, a space, its value.
        header: Many<Header> => "Header",
        /// Compress bodies.
        compress: Gzip => "Compress" = "off",
        /// Accepted: of an answer only what is quoted in the log is kept.
        buffer_size: Size => "Buffer_Size" = "512KB",
    }
}

/// The plugin.
pub static PLUGIN: OutputPlugin = OutputPlugin {
    info: PluginInfo {
        name: "loki",
        doc: "Sends records to Loki's push API.",
        keys: LokiConf::KEYS,
        unserved: LokiConf::UNSERVED,
        extra: &[NetOut::TABLE, TlsClient::TABLE],
    },
    make: |cx| make(cx),
};

/// The header of the tenant.
const TENANT: &str = "X-Scope-OrgID";
/// The longest file of labels, in bytes.
const MAP_MAX: u64 = 1 << 20;

struct ToLoki {
    loki: Loki,
    tenant: Option<String>,
    tenant_key: Option<Accessor>,
    requests: Requests,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Output>> {
    let conf = LokiConf::load(cx.section, cx.diags)?;
    let loki = loki(&conf, cx);
    let tenant_key = match &conf.tenant_id_key {
        Some(key) => Some(cx.path("Tenant_ID_Key", key)?),
        None => None,
    };
    if conf.tenant_id.as_ref().is_some_and(|t| !is_value(t.as_bytes())) {
        return cx.refuse("Tenant_ID", "Tenant_ID has control characters", "Give the name of the tenant.");
    }
    let tenant = conf.tenant_id.filter(|t| !t.is_empty());
    let mut ask = Ask::new(3100, &conf.uri, "application/json", &conf.header);
    ask.authorization = basic(conf.http_user.as_deref(), conf.http_passwd.as_deref())
        .or_else(|| conf.bearer_token.map(|token| format!("Bearer {token}")));
    ask.codec = conf.compress.codec();
    ask.has_heads = tenant_key.is_some();
    ask.refusal = "its tenant has control characters";
    let requests = Requests::make(cx, &ask);
    Some(Box::new(ToLoki { loki: loki?, tenant, tenant_key, requests: requests? }))
}

/// How records become bodies; everything wrong is reported.
fn loki(conf: &LokiConf, cx: &mut MakeCx<'_>) -> Option<Loki> {
    let mut removed = Vec::new();
    let metadata = labels(cx, "Structured_Metadata", &conf.structured_metadata, &mut removed);
    let maps = conf.structured_metadata_map_keys.0.iter();
    let maps: Option<Vec<_>> =
        maps.map(|key| dollar(cx, "Structured_Metadata_Map_Keys", key)).collect::<Vec<_>>().into_iter().collect();
    removed.extend(maps.iter().flatten().cloned());
    let mut all = labels(cx, "Labels", &conf.labels, &mut removed);
    for key in &conf.label_keys.0 {
        let label = dollar(cx, "Label_Keys", key).and_then(|path| match Label::of_path(&path, None) {
            Ok(label) => Some((label, path)),
            Err(why) => cx.refuse("Label_Keys", format!("Label_Keys: {why}"), "Write for example: $level"),
        });
        all = all.zip(label).map(|(mut all, (label, path))| {
            all.push(label);
            removed.push(path);
            all
        });
    }
    if let Some(path) = &conf.label_map_path {
        let mapped = label_map(cx, path);
        all = all.zip(mapped).map(|(mut all, mapped)| {
            for (label, path) in mapped {
                all.push(label);
                removed.push(path);
            }
            all
        });
    }
    for key in &conf.remove_keys.0 {
        removed.push(cx.path("Remove_Keys", key)?);
    }
    let kubernetes = match conf.auto_kubernetes_labels {
        true => Some(cx.path("Auto_Kubernetes_Labels", "$kubernetes['labels']")?),
        false => None,
    };
    Some(Loki {
        labels: all?,
        kubernetes,
        metadata: metadata?,
        metadata_maps: maps?,
        removed,
        line: match conf.line_format {
            LineFormat::Json => Line::Json,
            LineFormat::KeyValue => Line::KeyValue,
        },
        single: match conf.drop_single_key {
            DropSingleKey::Off => Single::Kept,
            DropSingleKey::On => Single::Value,
            DropSingleKey::Raw => Single::Raw,
        },
        json: cx.json,
    })
}

/// The labels of a list; the fields they use go to `removed`.
fn labels(cx: &mut MakeCx<'_>, key: &str, list: &CList, removed: &mut Vec<Accessor>) -> Option<Vec<Label>> {
    let mut all = Some(Vec::new());
    for text in &list.0 {
        match Label::parse(text) {
            Ok((label, used)) => {
                removed.extend(used);
                all.iter_mut().for_each(|all| all.push(label.clone()));
            }
            Err(why) => {
                let help = "Write for example: job=collector, level=$level, $kubernetes['pod_name']";
                all = cx.refuse(key, format!("{key}: {why}"), help);
            }
        }
    }
    all
}

/// A path that begins with `$`.
fn dollar(cx: &mut MakeCx<'_>, key: &str, text: &str) -> Option<Accessor> {
    if !text.starts_with('$') {
        return cx.refuse(key, format!("{key}: '{text}' does not begin with '$'"), &format!("Write ${text}"));
    }
    cx.path(key, text)
}

/// The labels that a file asks for.
fn label_map(cx: &mut MakeCx<'_>, path: &str) -> Option<Vec<(Label, Accessor)>> {
    let file = std::path::Path::new(path);
    let file = if file.exists() { file.to_owned() } else { cx.dir.join(path) };
    let read = std::fs::metadata(&file).and_then(|meta| match meta.len() <= MAP_MAX {
        true => std::fs::read(&file),
        false => Err(std::io::Error::other("it is longer than 1 MiB")),
    });
    let key = "Label_Map_Path";
    let text = match read {
        Ok(text) => text,
        Err(e) => return cx.refuse(key, format!("{key}: {path}: {e}"), "Name a file that can be read."),
    };
    let mut batch = Batch::new(Tag::new(""));
    let text = batch.arena_mut().push(&text);
    let mark = batch.begin();
    let help = r#"Write for example: {"kubernetes": {"pod_name": "pod"}, "level": "level"}"#;
    if let Err(e) = JsonReader::default().object(&mut batch, text) {
        return cx.refuse(key, format!("{key}: {path} is no JSON object: {e}"), help);
    }
    let mut found = Vec::new();
    match mapped(batch.since(mark), &mut String::from("$"), &mut found) {
        Ok(()) => Some(found),
        Err(why) => cx.refuse(key, format!("{key}: {path}: {why}"), help),
    }
}

/// The labels of a map and those below it; `path` leads there.
fn mapped(map: Cells<'_>, path: &mut String, found: &mut Vec<(Label, Accessor)>) -> Result<(), String> {
    for (key, value) in map {
        let before = path.len();
        let name = String::from_utf8_lossy(map.name(key)).into_owned();
        if before == 1 {
            path.push_str(&name);
        } else {
            path.push_str(&format!("['{}']", name.replace('\'', "''")));
        }
        match value {
            Value::Map(inner) => mapped(inner, path, found)?,
            Value::Str(label) => {
                let accessor = Accessor::parse(path)?;
                let label = Label::of_path(&accessor, Some(&String::from_utf8_lossy(&label.bytes())))?;
                found.push((label, accessor));
            }
            _ => return Err(format!("the value of '{name}' is neither the name of a label nor a map")),
        }
        path.truncate(before);
    }
    Ok(())
}

impl Output for ToLoki {
    fn format(&self, view: &View<'_>, out: &mut Payload) -> Result<(), Error> {
        let limit = self.requests.limit();
        let Some(key) = &self.tenant_key else {
            cut(view, limit, out, &mut |view, bytes| self.loki.write(view, bytes));
            return Ok(());
        };
        let mut tenants: Vec<(Vec<u8>, Vec<u32>)> = Vec::new();
        let mut known: FxHashMap<Vec<u8>, usize> = FxHashMap::default();
        for record in view.records() {
            let tenant = match key.get(record.body()) {
                Some(Value::Str(text)) => text.bytes().into_owned(),
                _ => self.tenant.clone().unwrap_or_default().into_bytes(),
            };
            if !is_value(&tenant) || std::str::from_utf8(&tenant).is_err() {
                refuse(record.index(), out);
                continue;
            }
            let at = *known.entry(tenant).or_insert_with_key(|tenant| {
                tenants.push((tenant.clone(), Vec::new()));
                tenants.len() - 1
            });
            if let Some((_, records)) = tenants.get_mut(at) {
                records.push(record.index() as u32);
            }
        }
        for (tenant, records) in &tenants {
            cut(&View::only(view.batch(), Some(records)), limit, out, &mut |view, bytes| {
                if !tenant.is_empty() {
                    push_header(TENANT.as_bytes(), tenant, bytes);
                }
                bytes.extend_from_slice(b"\r\n");
                self.loki.write(view, bytes);
            });
        }
        Ok(())
    }

    fn deliver<'a>(&'a self, payload: &'a mut Payload) -> LocalFuture<'a, Outcome> {
        let tenant = self.tenant.iter().filter(|_| self.tenant_key.is_none());
        self.requests.deliver(payload, tenant.map(|t| (TENANT.to_owned(), t.clone())).collect())
    }

    fn concurrency(&self) -> usize {
        self.requests.concurrency()
    }
}

#[cfg(test)]
mod tests;
