//! Capture files of other people, read as tshark reads them.

use crate::lab::samples;
use collector::fmt::capture::{CaptureReader, LinkType};
use collector::time::Time;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Captures of which we tell something else than tshark, and why. Every difference of theirs is excused, and no other; one
/// without a difference does not belong here.
const DIFFERENT: &[(&str, &str)] = &[
    (
        "broken/sv-bug-6875-01-fuzz.pcap",
        "the second packet's header is noise: it ends there, tshark guesses another layout",
    ),
    ("broken/tcpdump-vtp_asan-3.pcap", "tshark refuses link type 182; to read the file one need not know it"),
    ("container/pcap-parser-test017-be.pcapng", "tshark counts custom blocks as packets"),
    ("container/pcap-parser-test017-le.pcapng", "tshark counts custom blocks as packets"),
    ("link_vlan/tcpdump-brcm-tag.pcap", "tshark refuses link type 281; to read the file one need not know it"),
];

/// What is told of a file, in the words of the truth.
#[derive(Default)]
struct Told {
    rows: BTreeMap<&'static str, String>,
    damage: Option<String>,
}

/// Reads a file as the input does.
fn read(path: &Path) -> Told {
    let file = fs::read(path).unwrap();
    let (mut reader, mut rest) = (CaptureReader::new(), &file[..]);
    let (mut packets, mut bytes, mut captured) = (0u64, 0u64, 0u64);
    let (mut times, mut links): (Vec<Time>, Vec<LinkType>) = (Vec::new(), Vec::new());
    let damage = loop {
        match reader.packet() {
            Ok(Some(packet)) => {
                packets += 1;
                bytes += u64::from(packet.wire_len);
                captured += packet.data.len() as u64;
                times.push(packet.time);
                if !links.contains(&packet.link) {
                    links.push(packet.link);
                }
            }
            Ok(None) if rest.is_empty() => break None,
            Ok(None) => {
                let space = reader.space();
                let n = space.len().min(rest.len()).min(4096);
                space[..n].copy_from_slice(&rest[..n]);
                reader.filled(n);
                rest = &rest[n..];
                if rest.is_empty() {
                    reader.end();
                }
            }
            Err(damage) => break Some(damage.to_string()),
        }
    };
    // The truth compares times as text.
    let shown = |t: Option<&Time>| t.map_or(String::new(), |t| format!("{}.{:09}", t.secs(), t.subsec_nanos()));
    let texts: Vec<String> = times.iter().map(|t| shown(Some(t))).collect();
    let rows = BTreeMap::from([
        ("packets", packets.to_string()),
        ("bytes", bytes.to_string()),
        ("captured_bytes", captured.to_string()),
        ("first_ts", shown(times.first())),
        ("last_ts", shown(times.last())),
        ("min_ts", texts.iter().min().cloned().unwrap_or_default()),
        ("max_ts", texts.iter().max().cloned().unwrap_or_default()),
        ("linktype", links.iter().map(|l| l.0.to_string()).collect::<Vec<_>>().join(",")),
    ]);
    Told { rows, damage }
}

/// The `meta` rows of a truth file.
pub(crate) type Truth = BTreeMap<String, String>;

fn truth(path: &Path) -> Truth {
    let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    let rows = text.lines().filter_map(|l| l.strip_prefix("meta\t")?.split_once('\t'));
    rows.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Every capture with its `meta` rows of truth; `None` where the data is not beside the project.
pub(crate) fn captures() -> Option<Vec<(String, PathBuf, Truth)>> {
    let (files, truths) = (samples("data/pcap")?, samples("data/truth/pcap")?);
    let mut found = Vec::new();
    for dir in fs::read_dir(files).unwrap().flatten() {
        for file in fs::read_dir(dir.path()).unwrap().flatten() {
            let (dir, name) = (dir.file_name().into_string().unwrap(), file.file_name().into_string().unwrap());
            let tsv = truths.join(&dir).join(format!("{name}.tsv"));
            if tsv.is_file() {
                found.push((format!("{dir}/{name}"), file.path(), truth(&tsv)));
            }
        }
    }
    found.sort();
    Some(found)
}

#[test]
fn captures_are_read_as_tshark_reads_them() {
    let Some(captures) = captures() else { return };
    assert!(captures.len() > 500, "{} captures", captures.len());
    let mut wrong = Vec::new();
    for (name, path, truth) in &captures {
        let (told, before) = (read(path), wrong.len());
        for (key, ours) in &told.rows {
            let theirs = truth.get(*key).map_or("", String::as_str);
            // The truth lists the interfaces described, of the patched pcap it knows none; we see those with packets.
            let agree = match *key {
                "linktype" => {
                    theirs == "-" || ours.split(',').all(|l| theirs.split(',').any(|t| t == l || l.is_empty()))
                }
                _ => ours == theirs,
            };
            if !agree {
                wrong.push(format!("{name} {key}: {ours:?} tshark {theirs:?}"));
            }
        }
        let complains = !truth["tshark_stderr"].is_empty();
        if told.damage.is_some() != complains {
            wrong.push(format!("{name} damage: {:?} tshark {:?}", told.damage, truth["tshark_stderr"]));
        }
        if DIFFERENT.iter().any(|(different, _)| different == name) {
            if wrong.len() == before {
                wrong.push(format!("{name} is as tshark has it"));
            } else {
                wrong.truncate(before);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
