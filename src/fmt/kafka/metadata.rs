//! Metadata (versions 4 to 9): the brokers, and who leads the partitions of the topics that were asked for.

use super::wire::{Malformed, Reader, Writer};

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Id, host and port of each broker.
    pub brokers: Vec<(i32, String, u16)>,
    /// The topics.
    pub topics: Vec<Topic>,
}

/// A topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// An error code, 0 when it is there.
    pub error: i16,
    /// The leader of each partition in the order of their numbers, below zero when it has none.
    pub leaders: Vec<i32>,
}

/// Asks about topics, which are created where brokers do so by themselves.
pub fn write(topics: &[&str], w: &mut Writer<'_>, version: i16) {
    w.count(topics.len());
    for topic in topics {
        w.string(topic);
        w.tags();
    }
    w.i8(1);
    if version >= 8 {
        // No lists of rights.
        w.i8(0);
        w.i8(0);
    }
    w.tags();
}

/// Reads an answer.
///
/// # Errors
/// [`Malformed`] when it cannot be read.
pub fn read(mut r: Reader<'_>, version: i16) -> Result<Metadata, Malformed> {
    let mut all = Metadata::default();
    r.i32()?;
    for _ in 0..r.count(9)? {
        let (id, host, port) = (r.i32()?, r.string()?, r.i32()?);
        r.nullable_string()?;
        r.tags()?;
        all.brokers.push((id, host.to_owned(), u16::try_from(port).map_err(|_| Malformed)?));
    }
    r.nullable_string()?;
    r.i32()?;
    for _ in 0..r.count(6)? {
        let mut topic = Topic { error: r.i16()?, name: r.string()?.to_owned(), leaders: Vec::new() };
        r.i8()?;
        let partitions = r.count(18)?;
        topic.leaders.resize(partitions, -1);
        for _ in 0..partitions {
            partition(&mut r, version, &mut topic.leaders)?;
        }
        if version >= 8 {
            r.i32()?;
        }
        r.tags()?;
        all.topics.push(topic);
    }
    Ok(all)
}

fn partition(r: &mut Reader<'_>, version: i16, leaders: &mut [i32]) -> Result<(), Malformed> {
    r.i16()?;
    let (index, leader) = (r.i32()?, r.i32()?);
    if version >= 7 {
        r.i32()?;
    }
    // Replicas, those in sync, and those offline.
    for _ in 0..if version >= 5 { 3 } else { 2 } {
        let n = r.count(4)?;
        r.take(4 * n)?;
    }
    r.tags()?;
    // They come in any order.
    *usize::try_from(index).ok().and_then(|i| leaders.get_mut(i)).ok_or(Malformed)? = leader;
    Ok(())
}

/// Writes an answer as a broker does, for tests.
#[cfg(test)]
pub(crate) fn write_answer(m: &Metadata, w: &mut Writer<'_>, version: i16) {
    w.i32(0);
    w.count(m.brokers.len());
    for (id, host, port) in &m.brokers {
        w.i32(*id);
        w.string(host);
        w.i32((*port).into());
        w.nullable_string(None);
        w.tags();
    }
    w.nullable_string(Some("cluster"));
    w.i32(1);
    w.count(m.topics.len());
    for topic in &m.topics {
        w.i16(topic.error);
        w.string(&topic.name);
        w.i8(0);
        w.count(topic.leaders.len());
        for (n, leader) in topic.leaders.iter().enumerate().rev() {
            w.i16(if *leader < 0 { 5 } else { 0 });
            w.i32(n as i32);
            w.i32(*leader);
            if version >= 7 {
                w.i32(3);
            }
            for list in [&[1, 2][..], &[1], &[]].into_iter().take(if version >= 5 { 3 } else { 2 }) {
                w.count(list.len());
                list.iter().for_each(|id| w.i32(*id));
            }
            w.tags();
        }
        if version >= 8 {
            w.i32(0);
        }
        w.tags();
    }
    if version >= 8 {
        w.i32(0);
    }
    w.tags();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmt::kafka::Api;

    #[test]
    fn there_and_back_in_every_version() {
        let topic = |name: &str, error, leaders: &[i32]| Topic { name: name.into(), error, leaders: leaders.into() };
        let all = Metadata {
            brokers: vec![(1, "a.example".into(), 9092), (2, "::1".into(), 65535)],
            topics: vec![topic("logs", 0, &[1, -1, 2]), topic("none", 3, &[])],
        };
        for version in 4..=9 {
            let (mut out, flexible) = (Vec::new(), Api::Metadata.is_flexible(version));
            write_answer(&all, &mut Writer::new(&mut out, flexible), version);
            assert_eq!(read(Reader::new(&out, flexible), version).as_ref(), Ok(&all), "{version}");
            // Version 8 and later end with something that is not needed.
            let needed = out.len() - [0, 5][usize::from(version >= 8)];
            for cut in 0..needed - 1 {
                assert_eq!(read(Reader::new(&out[..cut], flexible), version), Err(Malformed), "{version} {cut}");
            }
        }
    }

    #[test]
    fn a_question() {
        let mut out = Vec::new();
        write(&["a", "bc"], &mut Writer::new(&mut out, false), 4);
        assert_eq!(out, b"\0\0\0\x02\0\x01a\0\x02bc\x01");
        out.clear();
        write(&["a"], &mut Writer::new(&mut out, true), 9);
        assert_eq!(out, b"\x02\x02a\0\x01\0\0\0");
    }
}
