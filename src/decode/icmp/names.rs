//! What the types and codes of ICMP are called, and what kind of message each type is.
//!
//! The numbers are IANA's ("ICMP Parameters", "ICMPv6 Parameters"). The names are those that Packetbeat writes where it
//! has one, and made in the same style where it has none.

/// Which ICMP: they share header and ideas, not numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// RFC 792.
    V4,
    /// RFC 4443.
    V6,
}

impl Version {
    /// 4 or 6.
    pub fn number(self) -> u64 {
        match self {
            Self::V4 => 4,
            Self::V6 => 6,
        }
    }
}

/// Exchanges of a request and its reply. What joins the two lies behind the first four bytes of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// RFC 792, 4443: identifier, sequence number.
    Echo,
    /// RFC 792: identifier, sequence number.
    Timestamp,
    /// RFC 792: identifier, sequence number.
    Info,
    /// RFC 950: identifier, sequence number.
    AddressMask,
    /// RFC 8335: identifier, a sequence number of one byte.
    ExtendedEcho,
    /// RFC 4620: a nonce of eight bytes.
    NodeInformation,
    /// RFC 6275: identifier.
    HomeAgent,
    /// RFC 6275: identifier.
    MobilePrefix,
}

/// What a message does in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Asks, and expects an answer of the same family.
    Request(Family),
    /// Answers.
    Reply(Family),
    /// Says what became of another packet, which it quotes from byte 8 on.
    Error,
    /// Another way is better (RFC 792, 4861): not an error, but it quotes a packet as well.
    Redirect,
    /// Everything else: announcements, group membership, routing.
    Notice,
}

/// A type: number, name, role, and the names of its codes from 0 on.
#[derive(Debug)]
struct Row(u8, &'static str, Role, &'static [&'static str]);

const fn notice(number: u8, name: &'static str) -> Row {
    Row(number, name, Role::Notice, &[])
}

const fn request(number: u8, name: &'static str, family: Family) -> Row {
    Row(number, name, Role::Request(family), &[])
}

const fn reply(number: u8, name: &'static str, family: Family) -> Row {
    Row(number, name, Role::Reply(family), &[])
}

/// RFC 8335 §3.
const EXTENDED_ECHO: &[&str] =
    &["NoError", "MalformedQuery", "NoSuchInterface", "NoSuchTableEntry", "MultipleInterfaces"];

const V4: &[Row] = &[
    reply(0, "EchoReply", Family::Echo),
    Row(
        3,
        "DestinationUnreachable",
        Role::Error,
        &[
            "Net",
            "Host",
            "Protocol",
            "Port",
            "FragmentationNeeded",
            "SourceRoutingFailed",
            "NetUnknown",
            "HostUnknown",
            "SourceIsolated",
            "NetAdminProhibited",
            "HostAdminProhibited",
            "NetTOS",
            "HostTOS",
            "CommAdminProhibited",
            "HostPrecedence",
            "PrecedenceCutoff",
        ],
    ),
    Row(4, "SourceQuench", Role::Error, &[]),
    Row(5, "Redirect", Role::Redirect, &["Net", "Host", "TOS+Net", "TOS+Host"]),
    notice(6, "AlternateHostAddress"),
    request(8, "EchoRequest", Family::Echo),
    notice(9, "RouterAdvertisement"),
    notice(10, "RouterSolicitation"),
    Row(11, "TimeExceeded", Role::Error, &["TTLExceeded", "FragmentReassemblyTimeExceeded"]),
    Row(12, "ParameterProblem", Role::Error, &["PointerIndicatesError", "MissingOption", "BadLength"]),
    request(13, "TimestampRequest", Family::Timestamp),
    reply(14, "TimestampReply", Family::Timestamp),
    request(15, "InfoRequest", Family::Info),
    reply(16, "InfoReply", Family::Info),
    request(17, "AddressMaskRequest", Family::AddressMask),
    reply(18, "AddressMaskReply", Family::AddressMask),
    notice(30, "Traceroute"),
    Row(31, "DatagramConversionError", Role::Error, &[]),
    notice(32, "MobileHostRedirect"),
    notice(33, "IPv6WhereAreYou"),
    notice(34, "IPv6IAmHere"),
    notice(35, "MobileRegistrationRequest"),
    notice(36, "MobileRegistrationReply"),
    notice(37, "DomainNameRequest"),
    notice(38, "DomainNameReply"),
    notice(39, "SKIP"),
    Row(40, "SecurityFailures", Role::Error, &[]),
    notice(41, "ExperimentalMobility"),
    request(42, "ExtendedEchoRequest", Family::ExtendedEcho),
    Row(43, "ExtendedEchoReply", Role::Reply(Family::ExtendedEcho), EXTENDED_ECHO),
];

const V6: &[Row] = &[
    Row(
        1,
        "DestinationUnreachable",
        Role::Error,
        &[
            "NoRouteToDst",
            "AdminProhibited",
            "BeyondScopeOfSrc",
            "AddressUnreachable",
            "PortUnreachable",
            "SrcAddressFailedPolicy",
            "RejectRouteToDst",
            "SourceRoutingError",
            "HeadersTooLong",
        ],
    ),
    Row(2, "PacketTooBig", Role::Error, &[]),
    Row(3, "TimeExceeded", Role::Error, &["HopLimitExceeded", "FragmentReassemblyTimeExceeded"]),
    Row(
        4,
        "ParameterProblem",
        Role::Error,
        &[
            "ErroneousHeaderField",
            "UnrecognizedNextHeader",
            "UnrecognizedIPv6Option",
            "IncompleteHeaderChain",
            "UpperLayerHeader",
            "UnrecognizedNextHeaderByNode",
            "ExtensionHeaderTooBig",
            "ExtensionHeaderChainTooLong",
            "TooManyExtensionHeaders",
            "TooManyOptions",
            "OptionTooBig",
        ],
    ),
    request(128, "EchoRequest", Family::Echo),
    reply(129, "EchoReply", Family::Echo),
    notice(130, "MulticastListenerQuery"),
    notice(131, "MulticastListenerReport"),
    notice(132, "MulticastListenerDone"),
    notice(133, "RouterSolicitation"),
    notice(134, "RouterAdvertisement"),
    notice(135, "NeighborSolicitation"),
    notice(136, "NeighborAdvertisement"),
    Row(137, "Redirect", Role::Redirect, &[]),
    notice(138, "RouterRenumbering"),
    request(139, "NodeInformationQuery", Family::NodeInformation),
    reply(140, "NodeInformationResponse", Family::NodeInformation),
    notice(141, "InverseNeighborSolicitation"),
    notice(142, "InverseNeighborAdvertisement"),
    notice(143, "MulticastListenerReportV2"),
    request(144, "HomeAgentAddressRequest", Family::HomeAgent),
    reply(145, "HomeAgentAddressReply", Family::HomeAgent),
    request(146, "MobilePrefixSolicitation", Family::MobilePrefix),
    reply(147, "MobilePrefixAdvertisement", Family::MobilePrefix),
    notice(148, "CertificationPathSolicitation"),
    notice(149, "CertificationPathAdvertisement"),
    notice(150, "ExperimentalMobility"),
    notice(151, "MulticastRouterAdvertisement"),
    notice(152, "MulticastRouterSolicitation"),
    notice(153, "MulticastRouterTermination"),
    notice(154, "FastMobility"),
    notice(155, "RPLControl"),
    notice(156, "LocatorUpdate"),
    notice(157, "DuplicateAddressRequest"),
    notice(158, "DuplicateAddressConfirmation"),
    notice(159, "MPLControl"),
    request(160, "ExtendedEchoRequest", Family::ExtendedEcho),
    Row(161, "ExtendedEchoReply", Role::Reply(Family::ExtendedEcho), EXTENDED_ECHO),
];

fn row(version: Version, kind: u8) -> Option<&'static Row> {
    let rows = match version {
        Version::V4 => V4,
        Version::V6 => V6,
    };
    rows.binary_search_by_key(&kind, |r| r.0).ok().and_then(|i| rows.get(i))
}

/// The role of a type. Unknown types below 128 of ICMPv6 are errors (RFC 4443 §2.1); what they quote is unknown.
pub fn role(version: Version, kind: u8) -> Role {
    match row(version, kind) {
        Some(row) => row.2,
        None if version == Version::V6 && kind < 128 => Role::Error,
        None => Role::Notice,
    }
}

/// The longest message: a test builds them all.
pub const MESSAGE_MAX: usize = 64;

/// Puts together `DestinationUnreachable(Port)`, `EchoRequest(0)`, or `200(7)` for what has no name.
pub fn message(version: Version, kind: u8, code: u8) -> heapless::String<MESSAGE_MAX> {
    let mut number = itoa::Buffer::new();
    let row = row(version, kind);
    let mut out = heapless::String::new();
    // Fits, see above.
    _ = out.push_str(row.map_or_else(|| number.format(kind), |r| r.1));
    _ = out.push('(');
    let named = row.and_then(|r| r.3.get(usize::from(code)));
    _ = out.push_str(named.copied().unwrap_or_else(|| number.format(code)));
    _ = out.push(')');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(version: Version, kind: u8, code: u8) -> String {
        message(version, kind, code).as_str().to_owned()
    }

    #[test]
    fn every_message_fits() {
        for (version, kind, code) in [Version::V4, Version::V6]
            .into_iter()
            .flat_map(|v| (0..=255).flat_map(move |kind| (0..=255).map(move |code| (v, kind, code))))
        {
            assert!(named(version, kind, code).ends_with(')'), "{kind} {code}");
        }
    }

    #[test]
    fn tables_are_sorted_so_that_the_search_finds_all() {
        for (version, rows) in [(Version::V4, V4), (Version::V6, V6)] {
            assert!(rows.is_sorted_by(|a, b| a.0 < b.0));
            for r in rows {
                assert_eq!(row(version, r.0).map(|found| found.1), Some(r.1));
            }
        }
    }

    #[test]
    fn every_reply_has_its_request() {
        for rows in [V4, V6] {
            let asks = |f: Family| rows.iter().filter(|r| r.2 == Role::Request(f)).count();
            for row in rows {
                if let Role::Reply(family) = row.2 {
                    assert_eq!(asks(family), 1, "{}", row.1);
                }
            }
        }
    }

    #[test]
    fn messages_name_type_and_code() {
        assert_eq!(named(Version::V4, 8, 0), "EchoRequest(0)");
        assert_eq!(named(Version::V4, 8, 9), "EchoRequest(9)");
        assert_eq!(named(Version::V4, 3, 3), "DestinationUnreachable(Port)");
        assert_eq!(named(Version::V4, 3, 99), "DestinationUnreachable(99)");
        assert_eq!(named(Version::V6, 1, 4), "DestinationUnreachable(PortUnreachable)");
        assert_eq!(named(Version::V6, 129, 0), "EchoReply(0)");
        assert_eq!(named(Version::V6, 200, 7), "200(7)");
        assert_eq!(named(Version::V4, 1, 0), "1(0)");
    }

    #[test]
    fn unknown_types_of_version_6_are_errors_below_128() {
        assert_eq!(role(Version::V6, 100), Role::Error);
        assert_eq!(role(Version::V6, 200), Role::Notice);
        assert_eq!(role(Version::V4, 1), Role::Notice);
    }
}
