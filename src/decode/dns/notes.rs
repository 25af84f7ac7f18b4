//! What `error.message` says. The words are Packetbeat's where it has such a note, so that searches go on working.

pub(super) const NO_RESPONSE: &str = "No response to this query was received";
pub(super) const NO_QUERY: &str = "Response: received without an associated Query";
pub(super) const TWIN: &str = "Another query with the same DNS ID from this client was received so this query was closed \
                               without receiving a response";
pub(super) const CROWDED: &str = "Too many queries of this client wait for a response so this query was closed";
pub(super) const BAD_QUERY: &str = "Message's data could not be decoded as DNS";
pub(super) const BAD_RESPONSE: &str = "Response: Message's data could not be decoded as DNS";
pub(super) const LARGE_QUERY: &str = "Non-EDNS packet has size greater than 512";
pub(super) const LARGE_RESPONSE: &str = "Response: Non-EDNS packet has size greater than 512";
pub(super) const NO_EDNS: &str = "Responder does not support EDNS";
pub(super) const UNEXPECTED_EDNS: &str = "Unexpected EDNS answer";
pub(super) const CUT_QUERY: &str = "Message's data is incomplete";
pub(super) const CUT_RESPONSE: &str = "Response: Message's data is incomplete";
pub(super) const CUT_TRANSFER: &str = "Response: The zone's transfer is incomplete";
pub(super) const ZERO_LENGTH: &str = "Message's length was set to zero";
pub(super) const BAD_LENGTH: &str = "Unexpected message data length";
