//! Requests and responses around their bodies: kinds, versions, headers, and ApiVersions, which every connection begins with.

use super::wire::{Malformed, Reader, Writer};

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Records for partitions.
    Produce,
    /// Brokers, topics, and who leads their partitions.
    Metadata,
    /// Which SASL mechanism follows.
    SaslHandshake,
    /// Which requests the broker knows.
    ApiVersions,
    /// An id for an idempotent producer.
    InitProducerId,
    /// A message of the SASL mechanism.
    SaslAuthenticate,
}

impl Api {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Produce,
        Self::Metadata,
        Self::SaslHandshake,
        Self::ApiVersions,
        Self::InitProducerId,
        Self::SaslAuthenticate,
    ];

    /// Its number, the versions that are known here, and the first flexible one.
    const fn facts(self) -> (i16, i16, i16, i16) {
        match self {
            Self::Produce => (0, 3, 9, 9),
            Self::Metadata => (3, 4, 9, 9),
            Self::SaslHandshake => (17, 0, 1, i16::MAX),
            Self::ApiVersions => (18, 0, 3, 3),
            Self::InitProducerId => (22, 0, 4, 2),
            Self::SaslAuthenticate => (36, 0, 2, 2),
        }
    }

    /// Its number.
    pub const fn key(self) -> i16 {
        self.facts().0
    }

    /// Whether strings, arrays and headers of this version have the flexible form.
    pub const fn is_flexible(self, version: i16) -> bool {
        version >= self.facts().3
    }
}

/// The versions that both sides know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions([Option<i16>; Api::ALL.len()]);

impl Versions {
    /// The version to speak; `None` when the broker does not know the request, or no version of it that is known here.
    pub fn of(&self, api: Api) -> Option<i16> {
        self.0.get(api as usize).copied().flatten()
    }

    /// What an answer to ApiVersions offers. A broker older than the version that was asked for answers with version 0 and
    /// an error that is no obstacle.
    ///
    /// # Errors
    /// [`Malformed`] when it cannot be read.
    pub fn parse(body: &[u8], version: i16) -> Result<Self, Malformed> {
        let old = Reader::new(body, false).i16()? == super::error::UNSUPPORTED_VERSION;
        let version = if old { 0 } else { version };
        let mut r = Reader::new(body, Api::ApiVersions.is_flexible(version));
        r.i16()?;
        let mut versions = Self::default();
        for _ in 0..r.count(6)? {
            let (key, least, most) = (r.i16()?, r.i16()?, r.i16()?);
            r.tags()?;
            let Some(api) = Api::ALL.into_iter().find(|api| api.key() == key) else { continue };
            let (_, ours_least, ours_most, _) = api.facts();
            let common = most.min(ours_most);
            if let Some(slot) = versions.0.get_mut(api as usize) {
                *slot = (common >= least.max(ours_least)).then_some(common);
            }
        }
        Ok(versions)
    }
}

/// Writes the body of ApiVersions.
pub fn api_versions(w: &mut Writer<'_>, version: i16) {
    if version >= 3 {
        w.string("collector");
        w.string(env!("CARGO_PKG_VERSION"));
    }
    w.tags();
}

/// A whole request: its length, its header, and what `body` writes.
pub fn request(
    api: Api,
    version: i16,
    correlation: i32,
    client: &str,
    room: usize,
    body: impl FnOnce(&mut Writer<'_>),
) -> Vec<u8> {
    let mut out = Vec::with_capacity(room + 64 + client.len());
    out.extend_from_slice(&[0; 4]);
    // The client's name keeps the old form in every header.
    let mut head = Writer::new(&mut out, false);
    head.i16(api.key());
    head.i16(version);
    head.i32(correlation);
    head.string(client);
    let mut w = Writer::new(&mut out, api.is_flexible(version));
    w.tags();
    body(&mut w);
    let len = (out.len() - 4) as u32;
    if let Some(head) = out.first_chunk_mut() {
        *head = len.to_be_bytes();
    }
    out
}

/// The correlation id of a response (without its length) and a reader of its body.
///
/// # Errors
/// [`Malformed`] when there is no header.
pub fn response(bytes: &[u8], api: Api, version: i16) -> Result<(i32, Reader<'_>), Malformed> {
    let mut r = Reader::new(bytes, api.is_flexible(version));
    let correlation = r.i32()?;
    // An old broker must be able to answer ApiVersions: its header never became flexible.
    if api != Api::ApiVersions {
        r.tags()?;
    }
    Ok((correlation, r))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request() {
        let got = request(Api::ApiVersions, 3, 7, "c", 0, |w| api_versions(w, 3));
        let name = b"\x0acollector";
        assert!(got.starts_with(b"\0\0\0\x1d\0\x12\0\x03\0\0\0\x07\0\x01c\0\x0acollector\x06"), "{got:?}");
        assert_eq!(got.len(), 4 + 2 + 2 + 4 + 3 + 1 + name.len() + 6 + 1);
    }

    #[test]
    fn versions_meet_in_the_middle() {
        let v0 = |error: i16, apis: &[(i16, i16, i16)]| {
            let mut out = Vec::new();
            let mut w = Writer::new(&mut out, false);
            w.i16(error);
            w.count(apis.len());
            apis.iter().for_each(|(a, b, c)| [*a, *b, *c].into_iter().for_each(|v| w.i16(v)));
            out
        };
        // A broker of 0.11, which does not know version 3 of ApiVersions.
        let old = Versions::parse(&v0(35, &[(0, 0, 3), (3, 0, 4), (17, 0, 0), (18, 0, 1), (22, 0, 0), (99, 0, 1)]), 3)
            .unwrap();
        assert_eq!(Api::ALL.map(|a| old.of(a)), [Some(3), Some(4), Some(0), Some(1), Some(0), None]);
        // One of the far future.
        let new = Versions::parse(&v0(0, &[(0, 3, 13), (3, 10, 13)]), 0).unwrap();
        assert_eq!((new.of(Api::Produce), new.of(Api::Metadata)), (Some(9), None));
        assert!(Versions::parse(b"\0\0\0\0\0\x09\0", 0).is_err());
        let flexible = b"\0\0\x02\0\0\0\x03\0\x0b\0\0\0\0\0\0";
        assert_eq!(Versions::parse(flexible, 3).unwrap().of(Api::Produce), Some(9));
    }
}
