//! `opentelemetry`: records as OTLP logs over HTTP, in protobuf.

use super::request::{Ask, Compress, Requests, basic, cut};
use super::{Outcome, Output, OutputPlugin, Payload};
use crate::conf::common::{NetOut, TlsClient};
use crate::conf::header::Header;
use crate::conf::{Many, PluginInfo};
use crate::error::Error;
use crate::event::{Key, View};
use crate::fmt::otlp::{OtlpLogs, Place, left_out};
use crate::plugin::MakeCx;
use crate::rt::{LocalFuture, now};
use crate::util::ratelimit::RateLimit;
use std::cell::{Cell, RefCell};
use std::time::Duration;

crate::config! {
    /// Keys of opentelemetry.
    pub struct OtelConf {
        /// The path for logs.
        logs_uri: String => "Logs_URI" = "/v1/logs",
        /// The most log records of one request.
        batch_size: u32 => "Batch_Size" = "1000",
        /// A field that is the body of its log record; may be repeated, the first that a record has is taken (`$log` and
        /// `$message` when none is given). All of a record is its body where it has none.
        logs_body_key: Many<String> => "Logs_Body_Key",
        /// The other fields of such a record become attributes. Off, as in Fluent Bit, they are left out, and that is said.
        logs_body_key_attributes: bool => "Logs_Body_Key_Attributes" = "off",
        /// The key of the metadata under which an input keeps the fields of a log record.
        logs_metadata_key: String => "Logs_Metadata_Key" = "otlp",
        /// Where the metadata has the time at which the event was observed, in nanoseconds.
        logs_observed_timestamp_metadata_key: String => "Logs_Observed_Timestamp_Metadata_Key" = "$ObservedTimestamp",
        /// Where the metadata has the time, in nanoseconds; that of the record otherwise.
        logs_timestamp_metadata_key: String => "Logs_Timestamp_Metadata_Key" = "$Timestamp",
        /// Where the metadata has the severity's name.
        logs_severity_text_metadata_key: String => "Logs_Severity_Text_Metadata_Key" = "$SeverityText",
        /// Where the metadata has the severity, 1 to 24.
        logs_severity_number_metadata_key: String => "Logs_Severity_Number_Metadata_Key" = "$SeverityNumber",
        /// Where the metadata has the flags of the trace.
        logs_trace_flags_metadata_key: String => "Logs_Trace_Flags_Metadata_Key" = "$TraceFlags",
        /// Where the metadata has the span's id: 8 bytes, or 16 hex digits.
        logs_span_id_metadata_key: String => "Logs_Span_ID_Metadata_Key" = "$SpanId",
        /// Where the metadata has the trace's id: 16 bytes, or 32 hex digits.
        logs_trace_id_metadata_key: String => "Logs_Trace_ID_Metadata_Key" = "$TraceId",
        /// Where the metadata has a map of attributes.
        logs_attributes_metadata_key: String => "Logs_Attributes_Metadata_Key" = "$Attributes",
        /// Where the record has the span's id.
        logs_span_id_message_key: String => "Logs_Span_ID_Message_Key" = "$SpanId",
        /// Where the record has the trace's id.
        logs_trace_id_message_key: String => "Logs_Trace_ID_Message_Key" = "$TraceId",
        /// Where the record has the severity's name.
        logs_severity_text_message_key: String => "Logs_Severity_Text_Message_Key" = "$SeverityText",
        /// Where the record has the severity, 1 to 24.
        logs_severity_number_message_key: String => "Logs_Severity_Number_Message_Key" = "$SeverityNumber",
        /// A header of requests: its name, a space, its value.
        header: Many<Header> => "Header",
        /// The user of basic authentication.
        http_user: Option<String> => "HTTP_User",
        /// Its password.
        http_passwd: Option<String> => "HTTP_Passwd",
        /// Compress bodies: gzip or zstd.
        compress: Compress => "Compress" = "off",
        /// Go through this proxy (`http://user:password@host:port`, by CONNECT), whatever the environment says.
        proxy: Option<String> => "Proxy",
        /// Quote the server's answers in the log.
        log_response_payload: bool => "Log_Response_Payload" = "on",
    }
    unserved [
        "Add_Label", "HTTP2=off", "GRPC=off", "AWS_Auth=off", "AWS_Service=logs", "AWS_Region", "AWS_STS_Endpoint", "AWS_Role_ARN",
        "AWS_External_ID", "AWS_Profile", "Metrics_URI=/v1/metrics", "Traces_URI=/v1/traces",
        "Profiles_URI=/v1development/profiles",
        "GRPC_Metrics_URI=/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        "GRPC_Logs_URI=/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        "GRPC_Traces_URI=/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        "GRPC_Profiles_URI=/opentelemetry.proto.collector.profiles.v1experimental.ProfilesService/Export",
        "Logs_Max_Resources=0", "Logs_Max_Scopes=0", "Logs_Instrumentation_Scope_Metadata_Key=InstrumentationScope",
        "Logs_Resource_Metadata_Key=Resource"
    ]
}

/// The plugin.
pub static PLUGIN: OutputPlugin = OutputPlugin {
    info: PluginInfo {
        name: "opentelemetry",
        doc: "Sends records as logs over OTLP/HTTP (protobuf).",
        keys: OtelConf::KEYS,
        unserved: OtelConf::UNSERVED,
        extra: &[NetOut::TABLE, TlsClient::TABLE],
    },
    make: |cx| make(cx),
};

struct Otel {
    label: String,
    logs: OtlpLogs,
    batch_size: usize,
    requests: Requests,
    said: RefCell<RateLimit>,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Output>> {
    let conf = OtelConf::load(cx.section, cx.diags)?;
    let logs = logs(&conf, cx);
    if conf.batch_size == 0 {
        return cx.refuse(
            "Batch_Size",
            "Batch_Size: a request needs a log record",
            "Write for example: Batch_Size 1000",
        );
    }
    if conf.compress == Compress::Snappy {
        return cx.refuse("Compress", "Compress: OTLP knows gzip and zstd alone", "Write for example: Compress gzip");
    }
    let mut ask = Ask::new(80, &conf.logs_uri, "application/x-protobuf", &conf.header);
    ask.authorization = basic(conf.http_user.as_deref(), conf.http_passwd.as_deref());
    ask.codec = conf.compress.codec();
    ask.proxy = conf.proxy.as_deref();
    ask.quote_answers = conf.log_response_payload;
    ask.remarks = Some(|answer| {
        let (records, why) = left_out(answer)?;
        let colon = if why.is_empty() { "" } else { ": " };
        Some(format!("the server took a request but for {records} record(s){colon}{why}"))
    });
    let requests = Requests::make(cx, &ask);
    Some(Box::new(Otel {
        label: cx.label(),
        logs: logs?,
        batch_size: conf.batch_size as usize,
        requests: requests?,
        // Once is enough: it is about the configuration.
        said: RefCell::new(RateLimit::new(Duration::from_secs(3600))),
    }))
}

/// How records become log records; everything wrong is reported.
fn logs(conf: &OtelConf, cx: &mut MakeCx<'_>) -> Option<OtlpLogs> {
    let mut wrong = false;
    let mut path = |key: &str, text: &str| {
        let path = cx.path(key, text);
        wrong |= path.is_none();
        path
    };
    let given: Vec<&str> = conf.logs_body_key.values().map(String::as_str).collect();
    let body_keys = if given.is_empty() { &["$log", "$message"][..] } else { &given };
    let body_keys = body_keys.iter().filter_map(|text| path("Logs_Body_Key", text)).collect();
    let mut place = |name: &str, metadata: (&str, &str), body: Option<(&str, &str)>| Place {
        name: Key::of(name),
        metadata: path(metadata.0, metadata.1),
        body: body.and_then(|(key, text)| path(key, text)),
    };
    let c = conf;
    let logs = OtlpLogs {
        body_keys,
        rest_is_attributes: c.logs_body_key_attributes,
        metadata_key: Key::of(&c.logs_metadata_key),
        timestamp: place("timestamp", ("Logs_Timestamp_Metadata_Key", &c.logs_timestamp_metadata_key), None),
        observed: place(
            "observed_timestamp",
            ("Logs_Observed_Timestamp_Metadata_Key", &c.logs_observed_timestamp_metadata_key),
            None,
        ),
        severity_text: place(
            "severity_text",
            ("Logs_Severity_Text_Metadata_Key", &c.logs_severity_text_metadata_key),
            Some(("Logs_Severity_Text_Message_Key", &c.logs_severity_text_message_key)),
        ),
        severity_number: place(
            "severity_number",
            ("Logs_Severity_Number_Metadata_Key", &c.logs_severity_number_metadata_key),
            Some(("Logs_Severity_Number_Message_Key", &c.logs_severity_number_message_key)),
        ),
        trace_flags: place("trace_flags", ("Logs_Trace_Flags_Metadata_Key", &c.logs_trace_flags_metadata_key), None),
        trace_id: place(
            "trace_id",
            ("Logs_Trace_ID_Metadata_Key", &c.logs_trace_id_metadata_key),
            Some(("Logs_Trace_ID_Message_Key", &c.logs_trace_id_message_key)),
        ),
        span_id: place(
            "span_id",
            ("Logs_Span_ID_Metadata_Key", &c.logs_span_id_metadata_key),
            Some(("Logs_Span_ID_Message_Key", &c.logs_span_id_message_key)),
        ),
        attributes: place("attributes", ("Logs_Attributes_Metadata_Key", &c.logs_attributes_metadata_key), None),
    };
    (!wrong).then_some(logs)
}

impl Output for Otel {
    fn format(&self, view: &View<'_>, out: &mut Payload) -> Result<(), Error> {
        let limit = self.requests.limit();
        let left = Cell::new(0);
        let mut write = |view: &View<'_>, bytes: &mut Vec<u8>| left.set(left.get() + self.logs.write(view, bytes));
        if view.len() <= self.batch_size {
            cut(view, limit, out, &mut write);
        } else {
            let all: Vec<u32> = view.records().map(|r| r.index() as u32).collect();
            for records in all.chunks(self.batch_size) {
                cut(&View::only(view.batch(), Some(records)), limit, out, &mut write);
            }
        }
        if left.get() > 0 && self.said.borrow_mut().allow(b"left", now()).is_some() {
            log::warn!(
                "[{}] records have fields beside their body (Logs_Body_Key), which are not sent: set Logs_Body_Key_Attributes on \
                 to send them as attributes",
                self.label
            );
        }
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
