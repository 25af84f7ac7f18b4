//! Questions for addresses and their answers (RFC 1035, RFC 3596), as much as a stub resolver needs. Pure bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The type of a question for IPv4 addresses.
pub const A: u16 = 1;
/// The type of a question for IPv6 addresses.
pub const AAAA: u16 = 28;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const INTERNET: u16 = 1;

/// Addresses that are taken from one answer.
const ADDRESSES: usize = 32;
/// Records of one answer that are looked at.
const RECORDS: usize = 256;
/// Aliases that are followed.
const ALIASES: usize = 16;

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The addresses, at least one, and for how many seconds they hold.
    Found(Vec<IpAddr>, u32),
    /// There is no such name (`true`), or it has no address of this kind; for how many seconds that holds, where the
    /// server says (RFC 2308).
    Missing(bool, Option<u32>),
    /// The answer did not fit: ask again over TCP.
    Cut,
    /// The server would or could not answer: the response code (RFC 1035 4.1.1).
    Failed(u8),
}

/// The question for `name`; `None` when that can be no name.
pub fn query(id: u16, name: &str, kind: u16) -> Option<Vec<u8>> {
    let name = wire(name)?;
    let mut out = Vec::with_capacity(16 + name.len());
    // Recursion desired; one question.
    for word in [id, 0x0100, 1, 0, 0, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(&name);
    for word in [kind, INTERNET] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    Some(out)
}

/// Reads the answer to [`query`]; `None` when this is no answer to that question.
pub fn reply(bytes: &[u8], id: u16, name: &str, kind: u16) -> Option<Reply> {
    let word = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let flags = word(2)?;
    if word(0)? != id || flags & 0x8000 == 0 || word(4)? != 1 {
        return None;
    }
    let wanted = wire(name)?;
    let (asked, at) = read_name(bytes, 12)?;
    if asked != wanted || word(at)? != kind || word(at + 2)? != INTERNET {
        return None;
    }
    let code = (flags & 0xf) as u8;
    if flags & 0x0200 != 0 {
        return Some(Reply::Cut);
    }
    if code != 0 && code != 3 {
        return Some(Reply::Failed(code));
    }
    let (answers, authorities) = (usize::from(word(6)?), usize::from(word(8)?));
    let (mut records, mut missing_for) = (Vec::new(), None);
    let mut at = at + 4;
    for n in 0..(answers + authorities).min(RECORDS) {
        // What is cut off in the middle counts as far as it goes.
        let Some(record) = Record::read(bytes, at) else { break };
        at = record.end;
        if n < answers {
            records.push(record);
        } else if record.kind == SOA {
            // The last field of an SOA says how long nothing holds, and no longer than the SOA itself.
            let minimum = record.data.last_chunk::<4>().map(|b| u32::from_be_bytes(*b));
            missing_for = minimum.map(|m| m.min(record.ttl));
        }
    }
    let (mut owner, mut ttl) = (wanted, u32::MAX);
    for _ in 0..ALIASES {
        let of_owner = || records.iter().filter(|r| r.class == INTERNET && r.name == owner);
        let found = of_owner().filter(|r| r.kind == kind);
        let found: Vec<_> = found.filter_map(|r| Some((address(r.data)?, r.ttl))).take(ADDRESSES).collect();
        if !found.is_empty() {
            let ttl = found.iter().map(|(_, ttl)| *ttl).min().unwrap_or_default().min(ttl);
            return Some(Reply::Found(found.into_iter().map(|(addr, _)| addr).collect(), ttl));
        }
        let Some(alias) = of_owner().find(|r| r.kind == CNAME) else { break };
        ttl = ttl.min(alias.ttl);
        let Some((next, _)) = read_name(bytes, alias.data_at) else { break };
        owner = next;
    }
    Some(Reply::Missing(code == 3, missing_for))
}

struct Record<'a> {
    name: Vec<u8>,
    kind: u16,
    class: u16,
    ttl: u32,
    data_at: usize,
    data: &'a [u8],
    end: usize,
}

impl<'a> Record<'a> {
    fn read(bytes: &'a [u8], at: usize) -> Option<Self> {
        let (name, at) = read_name(bytes, at)?;
        let head: &[u8; 10] = bytes.get(at..)?.first_chunk()?;
        let [k0, k1, c0, c1, t0, t1, t2, t3, l0, l1] = *head;
        let (data_at, len) = (at + 10, usize::from(u16::from_be_bytes([l0, l1])));
        // The highest bit makes a time negative: it counts as none (RFC 2181 8).
        let ttl = u32::from_be_bytes([t0, t1, t2, t3]);
        Some(Self {
            name,
            kind: u16::from_be_bytes([k0, k1]),
            class: u16::from_be_bytes([c0, c1]),
            ttl: if ttl > u32::MAX / 2 { 0 } else { ttl },
            data_at,
            data: bytes.get(data_at..data_at + len)?,
            end: data_at + len,
        })
    }
}

fn address(data: &[u8]) -> Option<IpAddr> {
    match data.len() {
        4 => Some(Ipv4Addr::from(*data.first_chunk::<4>()?).into()),
        16 => Some(Ipv6Addr::from(*data.first_chunk::<16>()?).into()),
        _ => None,
    }
}

/// A name as it stands in a message, in lower case: labels of 1 to 63 bytes, 255 bytes in all.
fn wire(name: &str) -> Option<Vec<u8>> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut out = Vec::with_capacity(name.len() + 2);
    for label in name.split('.') {
        let len = u8::try_from(label.len()).ok().filter(|n| (1..=63).contains(n))?;
        out.push(len);
        out.extend(label.bytes().map(|b| b.to_ascii_lowercase()));
    }
    out.push(0);
    (out.len() <= 255).then_some(out)
}

/// A name of a message in the form of [`wire`], and where what follows it begins. A pointer leads back only.
fn read_name(bytes: &[u8], at: usize) -> Option<(Vec<u8>, usize)> {
    let (mut name, mut at, mut lowest, mut after) = (Vec::new(), at, at, None);
    loop {
        let len = *bytes.get(at)?;
        match len {
            0 => {
                name.push(0);
                return Some((name, after.unwrap_or(at + 1)));
            }
            1..=63 => {
                let end = at + 1 + usize::from(len);
                name.push(len);
                name.extend(bytes.get(at + 1..end)?.iter().map(u8::to_ascii_lowercase));
                at = end;
            }
            0xc0.. => {
                let to = usize::from(len & 0x3f) << 8 | usize::from(*bytes.get(at + 1)?);
                after.get_or_insert(at + 2);
                if to >= lowest {
                    return None;
                }
                (at, lowest) = (to, to);
            }
            _ => return None,
        }
        if name.len() > 254 {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An answer to the question: flags, then records of answer and authority as (name, kind, ttl, data).
    fn answer(name: &str, kind: u16, flags: u16, records: &[(&str, u16, u32, &[u8])], authorities: u16) -> Vec<u8> {
        let mut out = query(7, name, kind).unwrap();
        out[2..4].copy_from_slice(&flags.to_be_bytes());
        out[6..8].copy_from_slice(&(records.len() as u16 - authorities).to_be_bytes());
        out[8..10].copy_from_slice(&authorities.to_be_bytes());
        for (name, kind, ttl, data) in records {
            out.extend(if *name == "@" { vec![0xc0, 12] } else { wire(name).unwrap() });
            for word in [*kind, INTERNET] {
                out.extend_from_slice(&word.to_be_bytes());
            }
            out.extend_from_slice(&ttl.to_be_bytes());
            out.extend_from_slice(&(data.len() as u16).to_be_bytes());
            out.extend_from_slice(data);
        }
        out
    }

    const OK: u16 = 0x8180;

    #[test]
    fn a_question_is_what_servers_expect() {
        let want = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\0\0\x1c\0\x01";
        assert_eq!(query(0x1234, "www.Example.", AAAA).unwrap(), want);
        for bad in ["", ".", "a..b", &"x".repeat(64), &"abc.".repeat(70)] {
            assert_eq!(query(1, bad, A), None, "{bad}");
        }
    }

    #[test]
    fn addresses_are_found_through_aliases() {
        let v4: IpAddr = [10, 0, 0, 1].into();
        let plain = answer("A.b", A, OK, &[("@", A, 60, &[10, 0, 0, 1]), ("@", A, 50, &[10, 0, 0, 1])], 0);
        assert_eq!(reply(&plain, 7, "a.B", A), Some(Reply::Found(vec![v4, v4], 50)));
        let alias = wire("c.d").unwrap();
        let chain =
            answer("a.b", A, OK, &[("c.D", A, 60, &[10, 0, 0, 1]), ("@", CNAME, 20, &alias), ("x", A, 1, &[1; 4])], 0);
        assert_eq!(reply(&chain, 7, "a.b", A), Some(Reply::Found(vec![v4], 20)));
        let own = wire("a.b").unwrap();
        let round = answer("a.b", A, OK, &[("@", CNAME, 20, &own)], 0);
        assert_eq!(reply(&round, 7, "a.b", A), Some(Reply::Missing(false, None)));
        let v6 = answer("a.b", AAAA, OK, &[("@", AAAA, 9, &[0; 16])], 0);
        assert_eq!(reply(&v6, 7, "a.b", AAAA), Some(Reply::Found(vec![IpAddr::from([0u16; 8])], 9)));
    }

    #[test]
    fn nothing_is_told_from_failure() {
        let soa = [&[0, 0][..], &[0; 16], &30u32.to_be_bytes()].concat();
        let none = answer("a.b", A, OK | 3, &[("b", SOA, 90, &soa)], 1);
        assert_eq!(reply(&none, 7, "a.b", A), Some(Reply::Missing(true, Some(30))));
        assert_eq!(reply(&answer("a.b", A, OK, &[], 0), 7, "a.b", A), Some(Reply::Missing(false, None)));
        assert_eq!(reply(&answer("a.b", A, OK | 2, &[], 0), 7, "a.b", A), Some(Reply::Failed(2)));
        assert_eq!(reply(&answer("a.b", A, OK | 0x200, &[], 0), 7, "a.b", A), Some(Reply::Cut));
    }

    #[test]
    fn answers_to_other_questions_are_none() {
        let good = answer("a.b", A, OK, &[("@", A, 60, &[10, 0, 0, 1])], 0);
        for (id, name, kind) in [(8, "a.b", A), (7, "a.c", A), (7, "a.b", AAAA)] {
            assert_eq!(reply(&good, id, name, kind), None);
        }
        assert_eq!(reply(&query(7, "a.b", A).unwrap(), 7, "a.b", A), None, "a question is no answer");
        // A pointer to itself, and one forward.
        for to in [12, 40] {
            let mut bad = answer("a.b", A, OK, &[("@", A, 60, &[10, 0, 0, 1])], 0);
            bad.splice(12..17, [0xc0, to]);
            assert_eq!(reply(&bad, 7, "a.b", A), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = reply(&bytes, u16::from_be_bytes([bytes.first().copied().unwrap_or(0), bytes.get(1).copied().unwrap_or(0)]), "a.b", A);
        }

        #[test]
        fn damaged_answers_are_survived(at in 0usize..80, to: u8, cut in 0usize..90) {
            let alias = wire("c.d").unwrap();
            let mut bytes = answer("a.b", A, OK, &[("@", CNAME, 20, &alias), ("c.d", A, 60, &[10, 0, 0, 1])], 0);
            if let Some(b) = bytes.get_mut(at) {
                *b = to;
            }
            bytes.truncate(cut);
            if let Some(Reply::Found(addrs, _)) = reply(&bytes, 7, "a.b", A) {
                prop_assert!(addrs.len() <= ADDRESSES);
            }
        }
    }
}
