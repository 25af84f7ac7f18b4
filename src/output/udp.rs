//! `udp`: each record in a datagram of its own, to a UDP port or a Unix datagram socket.

use super::events::Events;
use super::{Outcome, Output, OutputPlugin, Payload, datagrams, one_way};
use crate::conf::PluginInfo;
use crate::conf::common::{NetOut, OutputCommon};
use crate::conf::formats::DateKey;
use crate::error::Error;
use crate::event::View;
use crate::fmt::date_format::DateFormat;
use crate::fmt::record::Container;
use crate::net::Sender;
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;

crate::config! {
    /// Keys of udp.
    pub struct UdpConf {
        /// `msgpack` sends an event (Fluent Bit's documents say json_lines, it sends msgpack).
        format: Container => "Format" = "msgpack",
        /// How the date is written in JSON.
        json_date_format: DateFormat => "Json_Date_Format" = "double",
        /// The key of the date in JSON; `false` writes none.
        json_date_key: DateKey => "Json_Date_Key" = "date",
        /// Send this field alone, with a line feed.
        raw_message_key: Option<String> => "Raw_Message_Key",
    }
}

/// The plugin.
pub static PLUGIN: OutputPlugin = OutputPlugin {
    info: PluginInfo {
        name: "udp",
        doc: "Sends each record in a UDP datagram, or over a Unix datagram socket where Host is a path. Whether they arrive \
              is not known; a record longer than a datagram is refused.",
        keys: UdpConf::KEYS,
        unserved: UdpConf::UNSERVED,
        extra: &[NetOut::TABLE],
    },
    make: |cx| make(cx),
};

struct Udp {
    events: Events,
    sender: Sender,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Output>> {
    let conf = UdpConf::load(cx.section, cx.diags);
    let common = OutputCommon::load(cx.section, cx.diags);
    let net = NetOut::load(cx.section, cx.diags);
    let (conf, common, net) = (conf?, common?, net?);
    let raw = conf.raw_message_key.as_deref();
    let events = Events::new(cx, conf.format, conf.json_date_format, &conf.json_date_key, raw)?;
    let sender = datagrams::sender(cx, one_way::target(&common, 5170), &net)?;
    Some(Box::new(Udp { events, sender }))
}

impl Output for Udp {
    fn format(&self, view: &View<'_>, out: &mut Payload) -> Result<(), Error> {
        self.events.write_each(view, out);
        Ok(())
    }

    fn deliver<'a>(&'a self, payload: &'a mut Payload) -> LocalFuture<'a, Outcome> {
        Box::pin(datagrams::send(&self.sender, payload))
    }

    fn stop(&self) -> LocalFuture<'_, ()> {
        Box::pin(async { self.sender.close() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Dir, batch, instance, made, payload, refused, retry, send};
    use super::*;
    use crate::rt::run;
    use std::net::UdpSocket;
    use std::os::unix::net::UnixDatagram;

    const LINES: [(i64, &str); 2] = [(1_700_000_000_000_000_005, r#"{"log":"hi \"x\"","n":1}"#), (1_000_000_000, "{}")];

    #[test]
    fn each_record_is_a_datagram() {
        let check = |conf: &[(&str, &str)], want: &[&str]| {
            let got = payload(&*instance(&PLUGIN, conf), &batch("t", &LINES));
            let ends: Vec<usize> = got.items.iter().map(|(end, _)| *end as usize).collect();
            let begins = std::iter::once(0).chain(ends.iter().copied());
            let texts: Vec<_> = begins.zip(&ends).map(|(a, b)| String::from_utf8_lossy(&got.bytes[a..*b])).collect();
            assert_eq!(texts, want, "{conf:?}");
        };
        let one = r#"{"date":1700000000.0,"log":"hi \"x\"","n":1}"#;
        let two = r#"{"date":1.0}"#;
        check(&[("format", "json")], &[&format!("[{one}]\n"), &format!("[{two}]\n")]);
        check(&[("format", "json_lines")], &[&format!("{one}\n"), &format!("{two}\n")]);
        check(&[("format", "json_stream")], &[&format!("{one}\n"), &format!("{two}\n")]);
        check(&[("raw_message_key", "log")], &["hi \"x\"\n"]);
        let events = payload(&*instance(&PLUGIN, &[]), &batch("t", &LINES));
        assert_eq!(
            &events.bytes[events.items[0].0 as usize..],
            b"\x92\x92\xd7\x00\x00\x00\x00\x01\x00\x00\x00\x00\x80\x80"
        );
        assert_eq!(events.items[1].1, 1);
    }

    #[test]
    fn what_is_refused() {
        assert!(refused(&PLUGIN, &[("format", "xml")]).contains("'xml' is not one of"));
        assert!(refused(&PLUGIN, &[("raw_message_key", "$a[")]).contains("Raw_Message_Key:"));
        assert!(
            refused(&PLUGIN, &[("net.source_address", "x")]).contains("net.source_address: 'x' is not an IP address")
        );
        assert!(refused(&PLUGIN, &[("tls", "on")]).contains("tls"));
        assert_eq!(made(&PLUGIN, &[("host", "::1")]).1, "");
    }

    #[test]
    fn what_is_too_long_is_refused_and_the_rest_arrives() {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = peer.local_addr().unwrap().port().to_string();
        let output = instance(&PLUGIN, &[("port", &port), ("raw_message_key", "a")]);
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(70_000));
        let records = [(0, r#"{"a":"one"}"#), (0, long.as_str()), (0, r#"{"a":"two"}"#)];
        match run(async { send(&*output, &batch("t", &records)).await }).unwrap() {
            Outcome::Part { retry, refused, .. } => {
                assert!(retry.is_empty());
                assert_eq!(refused, [(1, "70001 bytes are too long for a datagram".into())]);
            }
            other => panic!("{other:?}"),
        }
        let mut buf = [0; 16];
        for want in ["one\n", "two\n"] {
            let n = peer.recv(&mut buf).unwrap();
            assert_eq!(&buf[..n], want.as_bytes());
        }
    }

    #[test]
    fn where_nobody_listens_records_wait() {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = peer.local_addr().unwrap().port();
        drop(peer);
        let output = instance(&PLUGIN, &[("port", &port.to_string())]);
        let why = retry(run(async { send(&*output, &batch("t", &LINES[..1])).await }).unwrap());
        assert_eq!(why, format!("cannot send to 127.0.0.1:{port}: nobody listens there"));
    }

    #[test]
    fn unix_sockets() {
        let dir = Dir::new();
        let path = dir.path("s");
        let peer = UnixDatagram::bind(&path).unwrap();
        let output = instance(&PLUGIN, &[("host", &path), ("raw_message_key", "n")]);
        assert!(matches!(run(async { send(&*output, &batch("t", &LINES)).await }).unwrap(), Outcome::Done));
        let mut buf = [0; 16];
        assert_eq!(peer.recv(&mut buf).unwrap(), 2);
        drop(peer);
        let outcome = run(async { send(&*output, &batch("t", &LINES)).await }).unwrap();
        assert!(retry(outcome).ends_with("nobody listens there"));
    }
}
