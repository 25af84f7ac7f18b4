//! What a Kafka broker may send.

use crate::fmt::kafka::{Api, Versions, metadata, produce, record, response, sasl, scram};

/// A response: the first byte says to which request, the second its version. Or, from 128 on, a record batch; what is read of
/// it stays within the limit, however it is packed.
pub fn kafka(data: &[u8]) {
    const LIMIT: usize = 1 << 20;
    let Some((&[kind, version], bytes)) = data.split_first_chunk() else { return };
    if kind >= 128 {
        let Ok(batch) = record::read_batch(bytes, LIMIT) else { return };
        assert!(batch.size <= bytes.len() && batch.records.len() <= LIMIT);
        assert!(batch.records().count() as i64 <= i64::from(batch.head.count).max(0));
        let taken: usize =
            batch.records().flatten().map(|r| r.key.map_or(0, <[u8]>::len) + r.value.map_or(0, <[u8]>::len)).sum();
        assert!(taken <= batch.records.len());
        return;
    }
    let Some(api) = Api::ALL.get(usize::from(kind) % Api::ALL.len()).copied() else { return };
    let version = i16::from(version % 10);
    let Ok((_, r)) = response(bytes, api, version) else { return };
    match api {
        Api::Produce => {
            let answers = produce::read(r, version).unwrap_or_default();
            assert!(answers.len() <= bytes.len());
        }
        Api::Metadata => {
            let all = metadata::read(r, version).unwrap_or_default();
            let partitions: usize = all.topics.iter().map(|t| t.leaders.len()).sum();
            assert!(partitions + all.brokers.len() <= bytes.len());
        }
        Api::SaslHandshake => _ = sasl::read_handshake(r),
        Api::ApiVersions => _ = Versions::parse(r.rest(), version),
        Api::InitProducerId => _ = sasl::read_init_producer(r),
        Api::SaslAuthenticate => {
            let Ok(got) = sasl::read_authenticate(r, version) else { return };
            // Few rounds: a server that asks for many costs time, and nothing else.
            let many = memchr::memmem::find(&got.message, b"i=").is_some_and(|at| {
                got.message.get(at + 2..).is_some_and(|n| n.iter().take_while(|b| b.is_ascii_digit()).count() > 2)
            });
            if !many {
                let _ = scram::Scram::new(scram::Hash::Sha256, "u", "p", "r").answer(&got.message);
            }
        }
    }
}
