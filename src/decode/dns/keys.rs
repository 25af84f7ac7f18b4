//! The names of the fields, interned once for a decoder.

use super::rdata::Field;
use crate::event::Key;
use crate::keys;

keys! {
    /// Names that stand in every document, or in many.
    pub(super) struct Names {
        method, query, resource, request, response, dns,
        id, op_code, flags, header_flags, response_code, kind = "type", question, questions, opt, resolved_ip,
        authoritative, recursion_desired, recursion_available, truncated_response, authentic_data, checking_disabled,
        name, class, ttl, etld_plus_one, registered_domain, top_level_domain, subdomain, unicast_response, cache_flush,
        answers, answers_count, authorities, authorities_count, additionals, additionals_count, records_left_out,
        messages_count,
        udp_size, version, ext_rcode, do_ = "do", options_count, nsid, subnet, cookie, expire, keepalive_ms, padding,
        chain, key_tags, dau, dhu, n3u, extended_errors, code, text, other_options,
    }
}

/// All names.
#[derive(Debug)]
pub(super) struct Keys {
    /// Those with a place of their own.
    pub names: Names,
    fields: [Key; Field::NAMES.len()],
}

impl Keys {
    /// Interns the names.
    pub fn new() -> Self {
        Self { names: Names::new(), fields: Field::NAMES.map(Key::of) }
    }

    /// The key of a field of a record's data.
    #[inline]
    pub fn field(&self, field: Field) -> Key {
        self.fields.get(field as usize).copied().unwrap_or(Key::NONE)
    }
}
