//! `tcp`: records over a TCP connection, plain or with TLS.
//!
//! The protocol has no answers: a chunk counts as delivered when the peer's system has acknowledged all of it.

use super::events::Events;
use super::{Outcome, Output, OutputPlugin, Payload, one_way};
use crate::conf::PluginInfo;
use crate::conf::common::{NetOut, OutputCommon, TlsClient};
use crate::conf::formats::DateKey;
use crate::error::Error;
use crate::event::View;
use crate::fmt::date_format::DateFormat;
use crate::fmt::record::Container;
use crate::net::Upstream;
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;

crate::config! {
    /// Keys of tcp.
    pub struct TcpConf {
        /// `msgpack` sends events one behind the other.
        format: Container => "Format" = "msgpack",
        /// How the date is written in JSON.
        json_date_format: DateFormat => "Json_Date_Format" = "double",
        /// The key of the date in JSON; `false` writes none.
        json_date_key: DateKey => "Json_Date_Key" = "date",
        /// Send this field alone, each on a line of its own.
        raw_message_key: Option<String> => "Raw_Message_Key",
    }
}

/// The plugin.
pub static PLUGIN: OutputPlugin = OutputPlugin {
    info: PluginInfo {
        name: "tcp",
        doc: "Sends records over a TCP connection.",
        keys: TcpConf::KEYS,
        unserved: TcpConf::UNSERVED,
        extra: &[NetOut::TABLE, TlsClient::TABLE],
    },
    make: |cx| make(cx),
};

struct Tcp {
    events: Events,
    upstream: Upstream,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Output>> {
    let conf = TcpConf::load(cx.section, cx.diags);
    let common = OutputCommon::load(cx.section, cx.diags);
    let upstream = upstream(cx, common.as_ref(), 5170);
    let conf = conf?;
    let raw = conf.raw_message_key.as_deref();
    let events = Events::new(cx, conf.format, conf.json_date_format, &conf.json_date_key, raw)?;
    Some(Box::new(Tcp { events, upstream: upstream? }))
}

/// The destination that `Host`, `Port`, `net.*` and `tls.*` name; a host beginning with `/` is a Unix socket.
pub(super) fn upstream(cx: &mut MakeCx<'_>, common: Option<&OutputCommon>, port: u16) -> Option<Upstream> {
    let net = NetOut::load(cx.section, cx.diags);
    let tls = TlsClient::load(cx.section, cx.diags);
    let (common, net, tls) = (common?, net?, tls?);
    let tls = cx.client_tls(&tls)?;
    match Upstream::new(one_way::target(common, port), &net, tls) {
        Ok(upstream) => Some(upstream),
        Err(why) => one_way::source_address(cx, &why),
    }
}

impl Output for Tcp {
    fn format(&self, view: &View<'_>, out: &mut Payload) -> Result<(), Error> {
        self.events.write(view, &mut out.bytes);
        Ok(())
    }

    fn deliver<'a>(&'a self, payload: &'a mut Payload) -> LocalFuture<'a, Outcome> {
        Box::pin(one_way::stream(&self.upstream, &payload.bytes))
    }

    fn stop(&self) -> LocalFuture<'_, ()> {
        Box::pin(async { self.upstream.close() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Dir, batch, instance, made, payload, refused, retry, send};
    use super::*;
    use crate::rt::{run, sleep};
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixListener;
    use std::thread::{self, JoinHandle};
    use std::time::Duration;

    const LINES: [(i64, &str); 2] = [(1_700_000_000_000_000_005, r#"{"log":"hi \"x\"","n":1}"#), (1_000_000_000, "{}")];

    #[test]
    fn formats() {
        let check = |conf: &[(&str, &str)], expected: &[u8]| {
            let got = payload(&*instance(&PLUGIN, conf), &batch("t", &LINES)).bytes;
            assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(expected), "{conf:?}");
        };
        let one = br#"{"date":1700000000.0,"log":"hi \"x\"","n":1}"#;
        let two = br#"{"date":1.0}"#;
        check(&[("format", "json")], &[b"[", &one[..], b",", two, b"]"].concat());
        check(&[("format", "json_lines")], &[&one[..], b"\n", two, b"\n"].concat());
        check(&[("format", "json_stream")], &[&one[..], two].concat());
        let events = [
            &b"\x92\x92\xd7\x00\x65\x53\xf1\x00\x00\x00\x00\x05\x80\x82\xa3log\xa6hi \"x\"\xa1n\x01"[..],
            b"\x92\x92\xd7\x00\x00\x00\x00\x01\x00\x00\x00\x00\x80\x80",
        ];
        check(&[], &events.concat());
        check(&[("raw_message_key", "log"), ("format", "json")], b"hi \"x\"\n");
        check(&[("raw_message_key", "$n")], b"1\n");
    }

    #[test]
    fn what_is_refused() {
        let table = [
            (("format", "xml"), "'xml' is not one of: json json_lines json_stream msgpack"),
            (("net.source_address", "eth0"), "net.source_address: 'eth0' is not an IP address"),
            (("raw_message_key", "$a["), "Raw_Message_Key:"),
            (("port", "70000"), "not an integer"),
            (("net.keepalivee", "on"), "Did you mean 'net.keepalive'?"),
        ];
        for (pair, part) in table {
            let said = refused(&PLUGIN, &[pair]);
            assert!(said.contains(part), "{part:?} is not in {said:?}");
        }
        if cfg!(not(feature = "tls")) {
            assert!(refused(&PLUGIN, &[("tls", "on")]).contains("this build has no TLS"));
        }
        assert_eq!(made(&PLUGIN, &[("host", "::1"), ("net.max_worker_connections", "3")]).1, "");
    }

    /// An instance towards a peer that plays a script with each connection.
    fn peer<T: Send + 'static>(
        connections: usize,
        play: impl Fn(TcpStream) -> T + Send + 'static,
        conf: &[(&str, &str)],
    ) -> (Box<dyn Output>, JoinHandle<Vec<T>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let conf = [&[("host", "127.0.0.1"), ("port", port.as_str()), ("format", "json_lines")], conf].concat();
        let peer = thread::spawn(move || (0..connections).map(|_| play(listener.accept().unwrap().0)).collect());
        (instance(&PLUGIN, &conf), peer)
    }

    fn read_all(mut s: TcpStream) -> String {
        let mut text = String::new();
        s.read_to_string(&mut text).unwrap();
        text
    }

    fn line(n: usize) -> String {
        format!("{{\"date\":{n}.0,\"n\":{n}}}\n")
    }

    async fn send_line(output: &dyn Output, n: usize) -> Outcome {
        send(output, &batch("t", &[(n as i64 * 1_000_000_000, &format!("{{\"n\":{n}}}"))])).await
    }

    #[test]
    fn one_connection_serves_many_chunks() {
        let (output, peer) = peer(1, read_all, &[]);
        run(async {
            for n in 0..5 {
                assert!(matches!(send_line(&*output, n).await, Outcome::Done));
            }
            output.stop().await;
        })
        .unwrap();
        assert_eq!(peer.join().unwrap(), [(0..5).map(line).collect::<String>()]);
    }

    #[test]
    fn without_keepalive_each_chunk_has_its_connection() {
        for more in [("net.keepalive", "off"), ("net.keepalive_max_recycle", "1")] {
            let (output, peer) = peer(3, read_all, &[more]);
            run(async {
                for n in 0..3 {
                    assert!(matches!(send_line(&*output, n).await, Outcome::Done));
                }
            })
            .unwrap();
            assert_eq!(peer.join().unwrap(), [line(0), line(1), line(2)]);
        }
    }

    #[test]
    fn a_kept_connection_that_died_is_replaced_at_once() {
        let one_line = |mut s: TcpStream| {
            let mut buf = [0; 64];
            let n = s.read(&mut buf).unwrap();
            String::from_utf8_lossy(&buf[..n]).into_owned()
        };
        let (output, peer) = peer(3, one_line, &[]);
        run(async {
            for n in 0..3 {
                assert!(matches!(send_line(&*output, n).await, Outcome::Done), "{n}");
                sleep(Duration::from_millis(20)).await;
            }
        })
        .unwrap();
        assert_eq!(peer.join().unwrap(), [line(0), line(1), line(2)]);
    }

    #[test]
    fn a_slow_reader_gets_everything() {
        let slow = |mut s: TcpStream| {
            thread::sleep(Duration::from_millis(50));
            let (mut sum, mut buf) = (0, vec![0; 100_000]);
            while let Ok(n @ 1..) = s.read(&mut buf) {
                sum += n;
                thread::sleep(Duration::from_micros(200));
            }
            sum
        };
        let (output, peer) = peer(1, slow, &[("net.keepalive", "off"), ("net.io_timeout", "10")]);
        let text = format!("{{\"a\":\"{}\"}}", "x".repeat(1000));
        let records: Vec<_> = (0..5000).map(|_| (0, text.as_str())).collect();
        let b = batch("t", &records);
        let size = payload(&*output, &b).bytes.len();
        assert!(matches!(run(async { send(&*output, &b).await }).unwrap(), Outcome::Done));
        assert_eq!(peer.join().unwrap(), [size]);
    }

    #[test]
    fn peers_that_refuse_reset_or_hang_up_are_tried_again() {
        let (_held, port) = crate::net::testing::refusing();
        let free = port.to_string();
        let refused = instance(&PLUGIN, &[("port", &free)]);
        let why = retry(run(async { send_line(&*refused, 0).await }).unwrap());
        assert_eq!(why, format!("cannot connect to 127.0.0.1:{free}: connection refused"));

        let reset = |s: TcpStream| rustix::net::sockopt::set_socket_linger(&s, Some(Duration::ZERO)).unwrap();
        let (output, peer) = peer(1, reset, &[("net.keepalive", "off")]);
        let text = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
        let big = batch("t", &[(0, text.as_str())]);
        let why = retry(run(async { send(&*output, &big).await }).unwrap());
        // The reset may come before the connection is seen to be there.
        assert!(why.starts_with("cannot ") && (why.contains("reset by the peer") || why.contains("closed")), "{why}");
        peer.join().unwrap();
    }

    #[test]
    fn a_peer_that_takes_nothing_is_given_up_after_io_timeout() {
        let (output, peer) = peer(
            1,
            |s| {
                thread::sleep(Duration::from_millis(300));
                drop(s);
            },
            &[("net.io_timeout", "0.1")],
        );
        let text = format!("{{\"a\":\"{}\"}}", "x".repeat(16 << 20));
        let big = batch("t", &[(0, text.as_str())]);
        let why = retry(run(async { send(&*output, &big).await }).unwrap());
        assert!(why.ends_with("timed out"), "{why}");
        peer.join().unwrap();
    }

    #[test]
    fn unix_sockets() {
        let dir = Dir::new();
        let path = dir.path("s");
        let listener = UnixListener::bind(&path).unwrap();
        let peer = thread::spawn(move || {
            let mut text = String::new();
            listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
            text
        });
        let output = instance(&PLUGIN, &[("host", &path), ("format", "json_lines"), ("net.keepalive", "off")]);
        assert!(matches!(run(async { send_line(&*output, 7).await }).unwrap(), Outcome::Done));
        assert_eq!(peer.join().unwrap(), line(7));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn tls_with_the_right_name_and_the_wrong_one() {
        use crate::net::tls::tests::{Pki, echo};
        let pki = Pki::new();
        pki.issue("right", &["127.0.0.1"], |_| {});
        pki.issue("wrong", &["other.example"], |_| {});
        let ca = pki.path("ca.pem");
        run(async {
            for (name, more, works) in [
                ("right", ("tls.verify", "on"), true),
                ("wrong", ("tls.verify", "on"), false),
                ("wrong", ("tls.verify_hostname", "off"), true),
            ] {
                let (port, task) = echo(pki.server(name, &[]));
                let port = port.to_string();
                let conf =
                    [("port", port.as_str()), ("tls", "on"), ("tls.ca_file", &ca), ("raw_message_key", "a"), more];
                let output = instance(&PLUGIN, &conf);
                let outcome = send(&*output, &batch("t", &[(0, r#"{"a":"abc"}"#)])).await;
                if works {
                    assert!(matches!(outcome, Outcome::Done), "{outcome:?}");
                    assert_eq!(task.await.unwrap(), *b"abc\n");
                } else {
                    let why = retry(outcome);
                    assert!(why.contains("it is not made out to '127.0.0.1' but to other.example"), "{why}");
                    assert!(task.await.is_err());
                }
            }
        })
        .unwrap();
    }

    #[test]
    fn what_the_peer_says_is_not_minded() {
        let chatty = |mut s: TcpStream| {
            s.write_all(b"welcome\n").unwrap();
            read_all(s)
        };
        let (output, peer) = peer(1, chatty, &[("net.keepalive", "off")]);
        assert!(matches!(run(async { send_line(&*output, 1).await }).unwrap(), Outcome::Done));
        assert_eq!(peer.join().unwrap(), [line(1)]);
    }
}
