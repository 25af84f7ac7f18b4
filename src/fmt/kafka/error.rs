//! The error codes of brokers that a producer meets: their names, and what to do about them.

/// The broker does not know this version of a request.
pub const UNSUPPORTED_VERSION: i16 = 35;
/// The topic or partition is not known (yet).
pub const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
/// The topic may not be written by this user.
pub const TOPIC_AUTHORIZATION_FAILED: i16 = 29;

/// What a producer does about an error of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The batch is stored.
    Stored,
    /// The batch is not stored: find the leader, then send it again.
    FindLeader,
    /// The batch is not stored: send it again later.
    Later,
    /// The batch may be stored: send it again later as it is.
    Unsure,
    /// The broker lost or mixed up the producer's numbers: go on as a new producer.
    NewProducer,
    /// The batch is larger than the broker takes.
    TooLarge,
    /// Something in the batch can never be stored.
    Refused,
    /// Nothing can be stored before somebody changes settings or rights.
    Settings,
}

/// Code, name, remedy.
const TABLE: &[(i16, &str, Remedy)] = &[
    (-1, "UNKNOWN_SERVER_ERROR", Remedy::Unsure),
    (0, "NONE", Remedy::Stored),
    (2, "CORRUPT_MESSAGE", Remedy::Later),
    (3, "UNKNOWN_TOPIC_OR_PARTITION", Remedy::FindLeader),
    (5, "LEADER_NOT_AVAILABLE", Remedy::FindLeader),
    (6, "NOT_LEADER_OR_FOLLOWER", Remedy::FindLeader),
    (7, "REQUEST_TIMED_OUT", Remedy::Unsure),
    (8, "BROKER_NOT_AVAILABLE", Remedy::FindLeader),
    (9, "REPLICA_NOT_AVAILABLE", Remedy::FindLeader),
    (10, "MESSAGE_TOO_LARGE", Remedy::TooLarge),
    (13, "NETWORK_EXCEPTION", Remedy::Unsure),
    (14, "COORDINATOR_LOAD_IN_PROGRESS", Remedy::Later),
    (15, "COORDINATOR_NOT_AVAILABLE", Remedy::Later),
    (16, "NOT_COORDINATOR", Remedy::Later),
    (17, "INVALID_TOPIC_EXCEPTION", Remedy::Refused),
    (18, "RECORD_LIST_TOO_LARGE", Remedy::TooLarge),
    (19, "NOT_ENOUGH_REPLICAS", Remedy::Later),
    (20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", Remedy::Unsure),
    (21, "INVALID_REQUIRED_ACKS", Remedy::Settings),
    (29, "TOPIC_AUTHORIZATION_FAILED", Remedy::Settings),
    (31, "CLUSTER_AUTHORIZATION_FAILED", Remedy::Settings),
    (32, "INVALID_TIMESTAMP", Remedy::Refused),
    (33, "UNSUPPORTED_SASL_MECHANISM", Remedy::Settings),
    (34, "ILLEGAL_SASL_STATE", Remedy::Settings),
    (35, "UNSUPPORTED_VERSION", Remedy::Settings),
    (42, "INVALID_REQUEST", Remedy::Settings),
    (43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", Remedy::Settings),
    (44, "POLICY_VIOLATION", Remedy::Refused),
    (45, "OUT_OF_ORDER_SEQUENCE_NUMBER", Remedy::NewProducer),
    (46, "DUPLICATE_SEQUENCE_NUMBER", Remedy::Stored),
    (47, "INVALID_PRODUCER_EPOCH", Remedy::NewProducer),
    (49, "INVALID_PRODUCER_ID_MAPPING", Remedy::NewProducer),
    (51, "CONCURRENT_TRANSACTIONS", Remedy::Later),
    (53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", Remedy::Settings),
    (55, "OPERATION_NOT_ATTEMPTED", Remedy::Later),
    (56, "KAFKA_STORAGE_ERROR", Remedy::FindLeader),
    (58, "SASL_AUTHENTICATION_FAILED", Remedy::Settings),
    (59, "UNKNOWN_PRODUCER_ID", Remedy::NewProducer),
    (72, "LISTENER_NOT_FOUND", Remedy::FindLeader),
    (74, "FENCED_LEADER_EPOCH", Remedy::FindLeader),
    (75, "UNKNOWN_LEADER_EPOCH", Remedy::FindLeader),
    (76, "UNSUPPORTED_COMPRESSION_TYPE", Remedy::Settings),
    (87, "INVALID_RECORD", Remedy::Refused),
    (89, "THROTTLING_QUOTA_EXCEEDED", Remedy::Later),
    (90, "PRODUCER_FENCED", Remedy::NewProducer),
    (100, "UNKNOWN_TOPIC_ID", Remedy::FindLeader),
];

fn entry(code: i16) -> Option<&'static (i16, &'static str, Remedy)> {
    TABLE.iter().find(|e| e.0 == code)
}

/// The name in Kafka's documentation.
pub fn name(code: i16) -> String {
    entry(code).map_or_else(|| format!("error {code}"), |e| e.1.to_owned())
}

/// What to do about it. Of an unknown error nothing is known: the batch may be stored.
pub fn remedy(code: i16) -> Remedy {
    entry(code).map_or(Remedy::Unsure, |e| e.2)
}
