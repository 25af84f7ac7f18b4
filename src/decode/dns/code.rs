//! Names of DNS numbers, from IANA's registry "Domain Name System (DNS) Parameters".
//!
//! A number without a name is written as a number, a response code as `Unknown 12`.

/// Text of a number: its name or its digits.
#[derive(Debug, Clone, Copy)]
pub(super) enum Code {
    /// A registered name.
    Name(&'static str),
    /// No name.
    Number(u16),
    /// A response code without a name.
    Unknown(u16),
}

impl Code {
    /// Appends the text.
    pub fn write(self, out: &mut Vec<u8>) {
        let n = match self {
            Self::Name(name) => return out.extend_from_slice(name.as_bytes()),
            Self::Number(n) => n,
            Self::Unknown(n) => {
                out.extend_from_slice(b"Unknown ");
                n
            }
        };
        out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    }
}

/// An operation (RFC 6895 §2.2).
pub(super) fn opcode(n: u8) -> Code {
    match n {
        0 => Code::Name("QUERY"),
        1 => Code::Name("IQUERY"),
        2 => Code::Name("STATUS"),
        4 => Code::Name("NOTIFY"),
        5 => Code::Name("UPDATE"),
        6 => Code::Name("DSO"),
        _ => Code::Number(n.into()),
    }
}

/// A response code, the upper bits from EDNS included (RFC 6895 §2.3). 16 is that of EDNS; see [`tsig_error`].
pub(super) fn rcode(n: u16) -> Code {
    const NAMES: [&str; 12] = [
        "NOERROR",
        "FORMERR",
        "SERVFAIL",
        "NXDOMAIN",
        "NOTIMP",
        "REFUSED",
        "YXDOMAIN",
        "YXRRSET",
        "NXRRSET",
        "NOTAUTH",
        "NOTZONE",
        "DSOTYPENI",
    ];
    const EXTENDED: [&str; 8] =
        ["BADVERS", "BADKEY", "BADTIME", "BADMODE", "BADNAME", "BADALG", "BADTRUNC", "BADCOOKIE"];
    let name = match n {
        0..=11 => NAMES.get(usize::from(n)),
        16..=23 => EXTENDED.get(usize::from(n - 16)),
        _ => None,
    };
    name.map_or(Code::Unknown(n), |name| Code::Name(name))
}

/// The error of a TSIG or TKEY record: the same numbers, but for 16.
pub(super) fn tsig_error(n: u16) -> Code {
    if n == 16 { Code::Name("BADSIG") } else { rcode(n) }
}

/// A class.
pub(super) fn class(n: u16) -> Code {
    match n {
        1 => Code::Name("IN"),
        2 => Code::Name("CS"),
        3 => Code::Name("CH"),
        4 => Code::Name("HS"),
        254 => Code::Name("NONE"),
        255 => Code::Name("ANY"),
        _ => Code::Number(n),
    }
}

/// Makes constants of the types and the function that names them.
macro_rules! types {
    ($( $number:literal $name:literal $($constant:ident)? ),* $(,)?) => {
        /// Types that the decoder tells apart.
        pub(super) mod rtype {
            $( $( #[allow(missing_docs)] pub const $constant: u16 = $number; )? )*
        }

        /// A type of records or questions.
        pub(super) fn rtype_name(n: u16) -> Code {
            match n {
                $( $number => Code::Name($name), )*
                _ => Code::Number(n),
            }
        }
    };
}

types! {
    0 "None", 1 "A" A, 2 "NS" NS, 3 "MD" MD, 4 "MF" MF, 5 "CNAME" CNAME, 6 "SOA" SOA, 7 "MB" MB, 8 "MG" MG, 9 "MR" MR,
    10 "NULL", 11 "WKS" WKS, 12 "PTR" PTR, 13 "HINFO" HINFO, 14 "MINFO" MINFO, 15 "MX" MX, 16 "TXT" TXT, 17 "RP" RP,
    18 "AFSDB" AFSDB, 19 "X25" X25, 20 "ISDN" ISDN, 21 "RT" RT, 22 "NSAP", 23 "NSAP-PTR" NSAP_PTR, 24 "SIG" SIG,
    25 "KEY" KEY, 26 "PX" PX, 27 "GPOS" GPOS, 28 "AAAA" AAAA, 29 "LOC" LOC, 30 "NXT", 31 "EID", 32 "NIMLOC",
    33 "SRV" SRV, 34 "ATMA", 35 "NAPTR" NAPTR, 36 "KX" KX, 37 "CERT" CERT, 38 "A6", 39 "DNAME" DNAME, 40 "SINK",
    41 "OPT" OPT, 42 "APL" APL, 43 "DS" DS, 44 "SSHFP" SSHFP, 45 "IPSECKEY" IPSECKEY, 46 "RRSIG" RRSIG, 47 "NSEC" NSEC,
    48 "DNSKEY" DNSKEY, 49 "DHCID" DHCID, 50 "NSEC3" NSEC3, 51 "NSEC3PARAM" NSEC3PARAM, 52 "TLSA" TLSA,
    53 "SMIMEA" SMIMEA, 55 "HIP", 56 "NINFO" NINFO, 57 "RKEY" RKEY, 58 "TALINK" TALINK, 59 "CDS" CDS,
    60 "CDNSKEY" CDNSKEY, 61 "OPENPGPKEY" OPENPGPKEY, 62 "CSYNC" CSYNC, 63 "ZONEMD" ZONEMD, 64 "SVCB" SVCB,
    65 "HTTPS" HTTPS, 66 "DSYNC", 67 "HHIT", 68 "BRID", 99 "SPF" SPF, 100 "UINFO", 101 "UID", 102 "GID", 103 "UNSPEC",
    104 "NID" NID, 105 "L32" L32, 106 "L64" L64, 107 "LP" LP, 108 "EUI48" EUI48, 109 "EUI64" EUI64, 128 "NXNAME",
    249 "TKEY" TKEY, 250 "TSIG" TSIG, 251 "IXFR" IXFR, 252 "AXFR" AXFR, 253 "MAILB", 254 "MAILA", 255 "ANY",
    256 "URI" URI, 257 "CAA" CAA, 258 "AVC" AVC, 259 "DOA", 260 "AMTRELAY", 261 "RESINFO" RESINFO, 262 "WALLET" WALLET,
    263 "CLA", 264 "IPN", 32768 "TA" TA, 32769 "DLV" DLV, 65535 "Reserved",
}

/// An algorithm of DNSSEC keys and signatures.
pub(super) fn algorithm(n: u8) -> Code {
    Code::Name(match n {
        1 => "RSAMD5",
        2 => "DH",
        3 => "DSA",
        5 => "RSASHA1",
        6 => "DSA-NSEC3-SHA1",
        7 => "RSASHA1-NSEC3-SHA1",
        8 => "RSASHA256",
        10 => "RSASHA512",
        12 => "ECC-GOST",
        13 => "ECDSAP256SHA256",
        14 => "ECDSAP384SHA384",
        15 => "ED25519",
        16 => "ED448",
        17 => "SM2SM3",
        23 => "ECC-GOST12",
        252 => "INDIRECT",
        253 => "PRIVATEDNS",
        254 => "PRIVATEOID",
        _ => return Code::Number(n.into()),
    })
}

/// The digest of a DS record, or the hash of NSEC3.
pub(super) fn digest(n: u8) -> Code {
    Code::Name(match n {
        1 => "SHA1",
        2 => "SHA256",
        3 => "GOST94",
        4 => "SHA384",
        5 => "GOST12",
        6 => "SM3",
        _ => return Code::Number(n.into()),
    })
}

/// What a CERT record holds (RFC 4398 §2.1).
pub(super) fn certificate(n: u16) -> Code {
    Code::Name(match n {
        1 => "PKIX",
        2 => "SPKI",
        3 => "PGP",
        4 => "IPKIX",
        5 => "ISPKI",
        6 => "IPGP",
        7 => "ACPKIX",
        8 => "IACPKIX",
        253 => "URI",
        254 => "OID",
        _ => return Code::Number(n),
    })
}

/// A key of service parameters (RFC 9460 §14.3.2 and later); `None` is written `key123`.
pub(super) fn svc_param(n: u16) -> Option<&'static str> {
    const NAMES: [&str; 10] = [
        "mandatory",
        "alpn",
        "no-default-alpn",
        "port",
        "ipv4hint",
        "ech",
        "ipv6hint",
        "dohpath",
        "ohttp",
        "tls-supported-groups",
    ];
    NAMES.get(usize::from(n)).copied()
}

/// Why a response says little (RFC 8914 §5.2 and IANA's registry).
pub(super) fn extended_error(n: u16) -> Code {
    const NAMES: [&str; 30] = [
        "Other Error",
        "Unsupported DNSKEY Algorithm",
        "Unsupported DS Digest Type",
        "Stale Answer",
        "Forged Answer",
        "DNSSEC Indeterminate",
        "DNSSEC Bogus",
        "Signature Expired",
        "Signature Not Yet Valid",
        "DNSKEY Missing",
        "RRSIGs Missing",
        "No Zone Key Bit Set",
        "NSEC Missing",
        "Cached Error",
        "Not Ready",
        "Blocked",
        "Censored",
        "Filtered",
        "Prohibited",
        "Stale NXDOMAIN Answer",
        "Not Authoritative",
        "Not Supported",
        "No Reachable Authority",
        "Network Error",
        "Invalid Data",
        "Signature Expired before Valid",
        "Too Early",
        "Unsupported NSEC3 Iterations Value",
        "Unable to conform to policy",
        "Synthesized",
    ];
    NAMES.get(usize::from(n)).map_or(Code::Number(n), |name| Code::Name(name))
}
