//! The keys of the `kafka` output.

use super::message::{Format, TimeFormat};
use crate::conf::{CList, Many};

crate::config! {
    /// Options of `kafka`.
    pub struct KafkaConf {
        /// Brokers to begin with, `host:port` separated by commas; the others are learned from them. One connection
        /// to each that is needed stays open, whatever `net.keepalive` says.
        brokers: CList => "Brokers" required,
        /// Topics, separated by commas. The first one is for records that name no other; the others for records whose
        /// `topic_key` names them.
        topics: CList => "Topics" = "fluent-bit",
        /// A field that names the topic of its record, where that is one of `topics`.
        topic_key: Option<String> => "Topic_Key",
        /// Take every name in `topic_key` that can be a topic's, listed or not.
        dynamic_topic: bool => "Dynamic_Topic" = "off",
        /// What a message is made of: the record as JSON, msgpack or GELF, or the field `raw_log_key` alone.
        format: Format => "Format" = "json",
        /// The field that is sent with `format raw`; records without it are refused.
        raw_log_key: Option<String> => "Raw_Log_Key",
        /// With `format gelf`: the key that is `timestamp`.
        gelf_timestamp_key: Option<String> => "Gelf_Timestamp_Key",
        /// The key that is `host`.
        gelf_host_key: Option<String> => "Gelf_Host_Key",
        /// The key that is `short_message`.
        gelf_short_message_key: Option<String> => "Gelf_Short_Message_Key",
        /// The key that is `full_message`.
        gelf_full_message_key: Option<String> => "Gelf_Full_Message_Key",
        /// The key that is `level`.
        gelf_level_key: Option<String> => "Gelf_Level_Key",
        /// The key of every message.
        message_key: Option<String> => "Message_Key",
        /// A field with the key of its message; `message_key` is taken where it is missing or no text.
        message_key_field: Option<String> => "Message_Key_Field",
        /// Where the record's time stands in JSON and msgpack; a record that has this key already keeps its own value.
        timestamp_key: String => "Timestamp_Key" = "@timestamp",
        /// How it is written.
        timestamp_format: TimeFormat => "Timestamp_Format" = "double",
        /// The name that brokers have for this client in logs and quotas.
        client_id: Option<String> => "Client_Id",
        /// Accepted: here is no queue of messages that could be full. What cannot be sent waits as a chunk.
        queue_full_retries: i64 => "Queue_Full_Retries" = "10",
        /// Settings by their librdkafka names. Served: `acks`, `request.required.acks` (all), `enable.idempotence` (on unless `acks` is 0
        /// or 1), `compression.codec` or `compression.type` (none, gzip, snappy, lz4, zstd), `compression.level` (gzip),
        /// `message.max.bytes`, `batch.size` (1000000 bytes of one batch), `request.timeout.ms` (30000, the
        /// broker's), `socket.timeout.ms` (60000, ours), `message.timeout.ms` or `delivery.timeout.ms` (an
        /// attempt goes on by itself for so long, 10 s at most; then `Retry_Limit` decides), `retry.backoff.ms` (100),
        /// `topic.metadata.refresh.interval.ms` or `metadata.max.age.ms` (300000), `partitioner` (murmur2_random as
        /// Java's clients, murmur2, consistent_random as Fluent Bit's default, consistent, random), `security.protocol` (plaintext, ssl,
        /// sasl_plaintext, sasl_ssl), `sasl.mechanism` (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512), `sasl.username`,
        /// `sasl.password`, `ssl.ca.location`, `ssl.certificate.location`, `ssl.key.location`, `enable.ssl.certificate.verification`,
        /// `ssl.endpoint.identification.algorithm` (https, none), `client.id`. Settings of librdkafka's own queues, such as `linger.ms`, are
        /// accepted: a chunk is sent at once, as few batches. Messages without a key go to one partition, chunk by chunk another one.
        rdkafka: Many<String> => "rdkafka.*",
    }
    unserved [
        "group_id", "otlp_logs_partition_by_resource=off", "schema_str", "schema_id", "schema_registry_url", "schema.registry.url",
        "schema_registry_subject", "schema.registry.subject", "schema_registry_version=latest", "schema.registry.version=latest",
        "schema_registry_http_user", "schema.registry.http.user", "schema_registry_http_passwd",
        "schema.registry.http.password", "schema_registry_bearer_token", "schema.registry.bearer.token",
        "schema_registry_framing=cp1", "serializer.framing", "aws_msk_iam_cluster_arn", "aws_msk_iam=off"
    ]
}
