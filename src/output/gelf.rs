//! `gelf`: records as GELF messages to Graylog and its kin, over UDP, TCP or TLS.
//!
//! Over UDP a message is packed with gzip and, where it is longer than `Packet_Size`, cut into chunks; over a connection messages
//! end with a NUL and are not packed, for receivers expect it so. Source: the GELF specification 1.1, "GELF via UDP" and "GELF via
//! TCP".

use super::{Outcome, Output, OutputPlugin, Payload, datagrams, one_way};
use crate::conf::PluginInfo;
use crate::conf::common::{NetOut, OutputCommon, TlsClient};
use crate::error::Error;
use crate::event::{Key, View};
use crate::fmt::codec::Codec;
use crate::fmt::gelf::{Gelf, GelfKeys};
use crate::fmt::json_write::write_str;
use crate::net::{Sender, Upstream};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use crate::util::rng::Rng;
use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};

/// The port of GELF inputs.
const PORT: u16 = 12_201;
/// What a chunk begins with: two bytes, then eight of the message's id, its number, and how many there are.
const MAGIC: [u8; 2] = [0x1e, 0x0f];
const CHUNK_HEAD: usize = 12;
/// Chunks of one message.
const MAX_CHUNKS: usize = 128;
/// The most that one datagram carries of a message, in bytes.
const MAX_CHUNK: usize = 65_507 - CHUNK_HEAD;
/// How every message begins.
const BEGIN: &[u8] = b"{\"version\":\"1.1\"";

crate::conf_enum! {
    /// How messages travel.
    pub enum Mode {
        /// Datagrams.
        Udp = "udp",
        /// A connection.
        Tcp = "tcp",
        /// A connection with TLS.
        Tls = "tls",
    }
}

crate::config! {
    /// Keys of gelf.
    pub struct GelfConf {
        /// How messages travel.
        mode: Mode => "Mode" = "udp",
        /// The field for the tag.
        gelf_tag_key: Option<String> => "Gelf_Tag_Key",
        /// The key that is the short message; without it the message is `-`.
        gelf_short_message_key: Option<String> => "Gelf_Short_Message_Key",
        /// The key that is the time; otherwise the time of the record is taken.
        gelf_timestamp_key: Option<String> => "Gelf_Timestamp_Key",
        /// The key that is the host. Where a record has none this machine's name is sent, for receivers refuse a message without.
        gelf_host_key: Option<String> => "Gelf_Host_Key",
        /// The key that is the full message.
        gelf_full_message_key: Option<String> => "Gelf_Full_Message_Key",
        /// The key that is the level: 0 to 7, or a word of syslog's.
        gelf_level_key: Option<String> => "Gelf_Level_Key",
        /// Bytes of a message in one datagram. A message that would need more than 128 such chunks gets larger ones.
        packet_size: usize => "Packet_Size" = "1420",
        /// Pack messages with gzip (UDP).
        compress: bool => "Compress" = "on",
    }
}

/// The plugin.
pub static PLUGIN: OutputPlugin = OutputPlugin {
    info: PluginInfo {
        name: "gelf",
        doc: "Sends records to Graylog as GELF messages. Whether datagrams arrive is not known.",
        keys: GelfConf::KEYS,
        unserved: GelfConf::UNSERVED,
        extra: &[NetOut::TABLE, TlsClient::TABLE],
    },
    make: |cx| make(cx),
};

struct GelfOut {
    gelf: Gelf,
    host_key: Key,
    /// `, "host":"…"`
    host: Vec<u8>,
    way: Way,
    scratch: RefCell<(Vec<u8>, Vec<u8>)>,
}

enum Way {
    Datagrams { sender: Sender, size: usize, packs: bool, ids: RefCell<Rng> },
    Connection(Upstream),
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Output>> {
    let conf = GelfConf::load(cx.section, cx.diags);
    let common = OutputCommon::load(cx.section, cx.diags);
    let net = NetOut::load(cx.section, cx.diags);
    let tls = TlsClient::load(cx.section, cx.diags);
    let (conf, common, net, mut tls) = (conf?, common?, net?, tls?);
    let key = |name: &'static str, given: &Option<String>| given.clone().unwrap_or_else(|| name.to_owned());
    let host_key = key("host", &conf.gelf_host_key);
    let keys = GelfKeys::new(
        conf.gelf_timestamp_key.as_deref(),
        Some(&host_key),
        conf.gelf_short_message_key.as_deref(),
        conf.gelf_full_message_key.as_deref(),
        conf.gelf_level_key.as_deref(),
    );
    let target = one_way::target(&common, PORT);
    let way = match conf.mode {
        Mode::Udp if tls.tls => {
            return cx.refuse("tls", "there is no TLS over datagrams", "Set Mode tls.");
        }
        Mode::Udp => {
            if conf.packet_size == 0 {
                return cx.refuse("Packet_Size", "Packet_Size is 0", "Leave it out: 1420 fits every Ethernet.");
            }
            let sender = datagrams::sender(cx, target, &net)?;
            // The system's hash keys are random: a seed without a further source.
            let ids = RefCell::new(Rng::new(RandomState::new().hash_one(cx.name)));
            Way::Datagrams { sender, size: conf.packet_size.min(MAX_CHUNK), packs: conf.compress, ids }
        }
        mode => {
            tls.tls |= mode == Mode::Tls;
            let tls = cx.client_tls(&tls)?;
            match Upstream::new(target, &net, tls) {
                Ok(upstream) => Way::Connection(upstream),
                Err(why) => return one_way::source_address(cx, &why),
            }
        }
    };
    let mut host = b", \"host\":".to_vec();
    write_str(rustix::system::uname().nodename().to_bytes(), cx.json, &mut host);
    Some(Box::new(GelfOut {
        gelf: Gelf::new(keys, cx.json).with_tag(conf.gelf_tag_key.as_deref()),
        host_key: Key::of(host_key.strip_prefix('$').unwrap_or(&host_key)),
        host,
        way,
        scratch: RefCell::default(),
    }))
}

impl Output for GelfOut {
    /// Messages one behind the other; each datagram is an item.
    fn format(&self, view: &View<'_>, out: &mut Payload) -> Result<(), Error> {
        let (text, packed) = &mut *self.scratch.borrow_mut();
        for record in view.records() {
            text.clear();
            self.gelf.write(&record, text);
            if record.body().position(self.host_key).is_none() && text.starts_with(BEGIN) {
                text.splice(BEGIN.len()..BEGIN.len(), self.host.iter().copied());
            }
            match &self.way {
                Way::Connection(_) => {
                    out.bytes.extend_from_slice(text);
                    out.bytes.push(0);
                }
                Way::Datagrams { size, packs, ids, .. } => {
                    let message = if *packs {
                        packed.clear();
                        Codec::Gzip.pack(text, packed);
                        &*packed
                    } else {
                        &*text
                    };
                    datagrams(message, *size, &mut ids.borrow_mut(), record.index() as u32, out);
                }
            }
        }
        Ok(())
    }

    fn deliver<'a>(&'a self, payload: &'a mut Payload) -> LocalFuture<'a, Outcome> {
        Box::pin(async {
            match &self.way {
                Way::Connection(upstream) => one_way::stream(upstream, &payload.bytes).await,
                Way::Datagrams { sender, .. } => match datagrams::send(sender, payload).await {
                    // A record of several chunks stands there several times.
                    Outcome::Part { mut retry, why, mut refused } => {
                        retry.dedup();
                        refused.dedup_by_key(|(record, _)| *record);
                        Outcome::Part { retry, why, refused }
                    }
                    other => other,
                },
            }
        })
    }

    fn stop(&self) -> LocalFuture<'_, ()> {
        Box::pin(async {
            match &self.way {
                Way::Connection(upstream) => upstream.close(),
                Way::Datagrams { sender, .. } => sender.close(),
            }
        })
    }
}

/// Appends a message, as one datagram or as chunks.
fn datagrams(message: &[u8], size: usize, ids: &mut Rng, record: u32, out: &mut Payload) {
    let size = size.max(message.len().div_ceil(MAX_CHUNKS));
    // What does not even fit into the largest chunks goes out whole: the system refuses it, and so the record is refused.
    if message.len() <= size || size > MAX_CHUNK {
        out.bytes.extend_from_slice(message);
        out.items.push((out.bytes.len() as u32, record));
        return;
    }
    let (id, count) = (ids.next_u64().to_be_bytes(), message.len().div_ceil(size) as u8);
    for (number, piece) in (0u8..).zip(message.chunks(size)) {
        out.bytes.extend_from_slice(&MAGIC);
        out.bytes.extend_from_slice(&id);
        out.bytes.extend_from_slice(&[number, count]);
        out.bytes.extend_from_slice(piece);
        out.items.push((out.bytes.len() as u32, record));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{batch, instance, made, payload, refused, send};
    use super::*;
    use crate::rt::run;
    use std::collections::BTreeMap;
    use std::io::Read;
    use std::net::{TcpListener, UdpSocket};
    use std::time::Duration;

    const LINES: [(i64, &str); 2] = [
        (1_700_000_000_125_000_000, r#"{"short_message":"hi","host":"h","level":4,"k":{"a":"b"}}"#),
        (0, r#"{"m":1}"#),
    ];

    fn name() -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }

    /// What a receiver makes of datagrams: messages in the order in which they are complete.
    fn assemble(datagrams: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut open: BTreeMap<Vec<u8>, BTreeMap<u8, Vec<u8>>> = BTreeMap::new();
        let mut whole = Vec::new();
        for d in datagrams {
            let message = if d.starts_with(&MAGIC) {
                assert!(d[10] < d[11] && usize::from(d[11]) <= MAX_CHUNKS && d.len() > CHUNK_HEAD);
                let chunks = open.entry(d[2..10].to_vec()).or_default();
                assert!(chunks.insert(d[10], d[CHUNK_HEAD..].to_vec()).is_none());
                if chunks.len() < usize::from(d[11]) {
                    continue;
                }
                open.remove(&d[2..10]).unwrap().into_values().flatten().collect()
            } else {
                d.clone()
            };
            let mut text = Vec::new();
            match message.starts_with(&[0x1f, 0x8b]) {
                true => Codec::Gzip.unpack(&message, 64 << 20, &mut text).unwrap(),
                false => text = message,
            }
            whole.push(text);
        }
        assert!(open.is_empty());
        whole
    }

    fn items(p: &Payload) -> Vec<Vec<u8>> {
        let mut from = 0;
        p.items
            .iter()
            .map(|(end, _)| p.bytes[std::mem::replace(&mut from, *end as usize)..*end as usize].to_vec())
            .collect()
    }

    #[test]
    fn messages() {
        let p = payload(&*instance(&PLUGIN, &[("compress", "off"), ("gelf_tag_key", "tag")]), &batch("t.x", &LINES));
        let texts: Vec<serde_json::Value> = items(&p).iter().map(|d| serde_json::from_slice(d).unwrap()).collect();
        let want = serde_json::json!({"version":"1.1","short_message":"hi","host":"h","level":4,"_k_a":"b","_tag":"t.x","timestamp":1_700_000_000.125});
        assert_eq!(texts[0], want);
        assert_eq!(
            (&texts[1]["host"], &texts[1]["short_message"], &texts[1]["_m"]),
            (&name().into(), &"-".into(), &1.into())
        );
        let tcp = payload(&*instance(&PLUGIN, &[("mode", "tcp")]), &batch("t", &LINES)).bytes;
        let parts: Vec<&[u8]> = tcp.split(|b| *b == 0).collect();
        assert_eq!((parts.len(), parts[2]), (3, &b""[..]));
        assert!(parts[0].starts_with(BEGIN));
    }

    #[test]
    fn chunks_are_put_together_again() {
        let mut rng = Rng::new(1);
        for (len, size) in [(1, 10), (10, 10), (11, 10), (1280, 10), (1281, 10), (200_000, 1420), (8_000_000, 1420)] {
            let message: Vec<u8> = (0..len).map(|n| b'a' + (n % 23) as u8).collect();
            let mut p = Payload::new(crate::event::Tag::new("t"));
            datagrams(&message, size, &mut rng, 3, &mut p);
            assert_eq!(assemble(&items(&p)), [message], "{len}");
            assert!(p.items.iter().all(|(_, record)| *record == 3) && p.items.len() <= MAX_CHUNKS);
        }
    }

    #[test]
    fn over_udp() {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let port = peer.local_addr().unwrap().port().to_string();
        let mut rng = Rng::new(7);
        let noise: String = (0..30_000).map(|_| char::from(b'A' + (rng.next_u64() % 26) as u8)).collect();
        let long = format!("{{\"short_message\":\"{noise}\"}}");
        let lines = [LINES[0], (0, long.as_str())];
        for packs in ["on", "off"] {
            let output = instance(&PLUGIN, &[("port", &port), ("compress", packs)]);
            let b = batch("t", &lines);
            let count = payload(&*output, &b).items.len();
            assert!(matches!(run(async { send(&*output, &b).await }).unwrap(), Outcome::Done));
            let mut room = [0; 2000];
            let next = |_| {
                let n = peer.recv(&mut room).unwrap();
                room[..n].to_vec()
            };
            let got: Vec<Vec<u8>> = (0..count).map(next).collect();
            assert!(got.iter().all(|d| d.len() <= 1420 + CHUNK_HEAD) && got.len() > 2);
            let texts = assemble(&got);
            assert_eq!(texts.len(), 2);
            let second: serde_json::Value = serde_json::from_slice(&texts[1]).unwrap();
            assert!(second["short_message"].as_str().unwrap().len() > 29_000);
        }
    }

    #[test]
    fn over_tcp() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let peer = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            listener.accept().unwrap().0.read_to_end(&mut bytes).unwrap();
            bytes
        });
        let output = instance(&PLUGIN, &[("port", &port), ("mode", "tcp")]);
        let b = batch("t", &LINES);
        let want = payload(&*output, &b).bytes;
        run(async {
            assert!(matches!(send(&*output, &b).await, Outcome::Done));
            output.stop().await;
        })
        .unwrap();
        assert_eq!(peer.join().unwrap(), want);
    }

    #[test]
    fn what_is_refused() {
        for (pairs, part) in [
            (&[("mode", "http")][..], "'http' is not one of: udp tcp tls"),
            (&[("packet_size", "0")], "Packet_Size is 0"),
            (&[("tls", "on")], "there is no TLS over datagrams"),
            (&[("gelf_hostkey", "x")], "Did you mean 'Gelf_Host_Key'?"),
            (&[("net.source_address", "x"), ("mode", "tcp")], "net.source_address"),
        ] {
            let said = refused(&PLUGIN, pairs);
            assert!(said.contains(part), "{part:?} is not in {said:?}");
        }
        #[cfg(feature = "tls")]
        assert_eq!(made(&PLUGIN, &[("mode", "tls"), ("host", "::1")]).1, "");
        assert!(made(&PLUGIN, &[]).0.is_some());
    }
}
