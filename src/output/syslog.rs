//! `syslog`: records as syslog messages over UDP, TCP, TLS or a Unix socket.
//!
//! Syslog has no acknowledgements. Over TCP and TLS a chunk counts as delivered when the receiver's system has acknowledged all
//! its bytes, so that what a broken connection takes with it is sent again; what a receiver that is killed had taken but not
//! written is lost. Of datagrams nothing is known but that nobody listens.

use super::{Outcome, Output, OutputPlugin, Payload, datagrams, one_way};
use crate::conf::common::{NetOut, OutputCommon, TlsClient};
use crate::conf::{Many, PluginInfo, Size};
use crate::error::Error;
use crate::event::View;
use crate::event::access::Accessor;
use crate::fmt::syslog::{self, Protocol, Remarks, SyslogFormat, is_structured_data};
use crate::net::sender::MAX_SENT;
use crate::net::{Sender, Upstream};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use crate::util::ratelimit::RateLimit;
use std::cell::RefCell;
use std::time::Instant;

crate::conf_enum! {
    /// The transport.
    pub enum Mode {
        /// A datagram for each message.
        Udp = "udp",
        /// Messages one behind the other.
        Tcp = "tcp",
        /// The same with TLS.
        Tls = "tls",
    }
}

crate::conf_enum! {
    /// The standard that messages follow.
    pub enum Format {
        /// With structured data.
        Rfc5424 = "rfc5424",
        /// The older one.
        Rfc3164 = "rfc3164",
    }
}

crate::conf_enum! {
    /// How the end of a message is told over TCP and TLS (RFC 6587).
    pub enum Framing {
        /// A line feed follows.
        Newline = "newline",
        /// The length stands before it.
        OctetCounting = "octet_counting",
    }
}

crate::config! {
    /// Keys of syslog.
    pub struct SyslogConf {
        /// The transport. With a path for Host it is a Unix socket: datagrams for `udp`, a stream for `tcp`.
        mode: Mode => "Mode" = "udp",
        /// The standard that messages follow. Times are in UTC.
        format: Format => "Syslog_Format" = "rfc5424",
        /// How the end of a message is told over TCP and TLS. A line break within a message is written as `#012` where lines
        /// end messages.
        framing: Framing => "Syslog_Framing" = "newline",
        /// Bytes of the longest message, what is longer is cut; 0 is 1024 for rfc3164, 2048 for rfc5424.
        maxsize: Size => "Syslog_Maxsize" = "0",
        /// The field with the severity: 0 to 7, or a name such as `err`.
        severity_key: Option<String> => "Syslog_Severity_Key",
        /// The severity of records that have none.
        severity_preset: u32 => "Syslog_Severity_Preset" = "6",
        /// The field with the facility: 0 to 23, or a name such as `local0`.
        facility_key: Option<String> => "Syslog_Facility_Key",
        /// The facility of records that have none.
        facility_preset: u32 => "Syslog_Facility_Preset" = "1",
        /// The field with the host's name.
        hostname_key: Option<String> => "Syslog_Hostname_Key",
        /// The host's name for records that have none.
        hostname_preset: Option<String> => "Syslog_Hostname_Preset",
        /// The field with the program's name.
        appname_key: Option<String> => "Syslog_Appname_Key",
        /// The program's name for records that have none.
        appname_preset: Option<String> => "Syslog_Appname_Preset",
        /// The field with the process id.
        procid_key: Option<String> => "Syslog_Procid_Key",
        /// The process id for records that have none.
        procid_preset: Option<String> => "Syslog_Procid_Preset",
        /// The field with the kind of message (RFC 5424).
        msgid_key: Option<String> => "Syslog_Msgid_Key",
        /// The kind of message for records that have none.
        msgid_preset: Option<String> => "Syslog_Msgid_Preset",
        /// A field with a map that becomes an element of structured data of that name (RFC 5424); may be repeated.
        sd_key: Many<String> => "Syslog_Sd_Key",
        /// Structured data as it stands in messages, for records without any: `[id@1 name="value"]`.
        sd_preset: Option<String> => "Syslog_Sd_Preset",
        /// Names of structured data may be longer than the 32 characters of RFC 5424.
        allow_longer_sd_id: bool => "Allow_Longer_Sd_Id" = "off",
        /// The field with the text; without it messages are empty.
        message_key: Option<String> => "Syslog_Message_Key",
    }
}

/// The plugin.
pub static PLUGIN: OutputPlugin = OutputPlugin {
    info: PluginInfo {
        name: "syslog",
        doc: "Sends records as syslog messages (RFC 5424, RFC 3164) over UDP, TCP, TLS or a Unix socket. The protocol has no \
              acknowledgements: TCP tells what the receiver's system took, UDP nothing.",
        keys: SyslogConf::KEYS,
        unserved: SyslogConf::UNSERVED,
        extra: &[NetOut::TABLE, TlsClient::TABLE],
    },
    make: |cx| make(cx),
};

/// The port when none is given.
const PORT: u16 = 514;

struct Syslog {
    label: String,
    format: SyslogFormat,
    way: Way,
    said: RefCell<RateLimit>,
}

enum Way {
    Datagrams(Sender),
    Stream(Upstream),
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Output>> {
    let conf = SyslogConf::load(cx.section, cx.diags);
    let common = OutputCommon::load(cx.section, cx.diags);
    let net = NetOut::load(cx.section, cx.diags);
    let tls = TlsClient::load(cx.section, cx.diags);
    let (conf, common, net, mut tls) = (conf?, common?, net?, tls?);
    let is_udp = conf.mode == Mode::Udp;
    if is_udp && tls.tls {
        return cx.refuse("tls", "tls does not go with Mode udp", "Use Mode tls, or leave tls away.");
    }
    if is_udp && conf.framing == Framing::OctetCounting {
        let why = "Syslog_Framing octet_counting does not go with Mode udp: a datagram is a message";
        return cx.refuse("Syslog_Framing", why, "Use Mode tcp or tls, or leave Syslog_Framing away.");
    }
    tls.tls |= conf.mode == Mode::Tls;
    let format = format(cx, &conf)?;
    let target = one_way::target(&common, PORT);
    let way = if is_udp {
        Way::Datagrams(datagrams::sender(cx, target, &net)?)
    } else {
        let tls = cx.client_tls(&tls)?;
        match Upstream::new(target, &net, tls) {
            Ok(upstream) => Way::Stream(upstream),
            Err(why) => return one_way::source_address(cx, &why),
        }
    };
    Some(Box::new(Syslog { label: cx.label(), format, way, said: RefCell::default() }))
}

/// What the keys say of messages.
fn format(cx: &mut MakeCx<'_>, conf: &SyslogConf) -> Option<SyslogFormat> {
    let protocol = match conf.format {
        Format::Rfc5424 => Protocol::Rfc5424,
        Format::Rfc3164 => Protocol::Rfc3164,
    };
    let framing = match (conf.mode, conf.framing) {
        (Mode::Udp, _) => syslog::Framing::Datagram,
        (_, Framing::Newline) => syslog::Framing::Newline,
        (_, Framing::OctetCounting) => syslog::Framing::Octets,
    };
    let limit = if framing == syslog::Framing::Datagram { MAX_SENT } else { 64 << 20 };
    let max = match usize::try_from(conf.maxsize.0).unwrap_or(usize::MAX) {
        0 => protocol.default_size(),
        n => n.min(limit),
    };
    let severity = preset(cx, "Syslog_Severity_Preset", conf.severity_preset, 7)?;
    let facility = preset(cx, "Syslog_Facility_Preset", conf.facility_preset, 23)?;
    let sd_preset = conf.sd_preset.clone().unwrap_or_default().into_bytes();
    let is_wrong = !sd_preset.is_empty() && !is_structured_data(&sd_preset, conf.allow_longer_sd_id);
    if is_wrong && protocol == Protocol::Rfc5424 {
        let why = "Syslog_Sd_Preset is no structured data as RFC 5424 has it";
        return cx.refuse("Syslog_Sd_Preset", why, "Write it as [id@32473 name=\"value\"].");
    }
    let mut sd = Vec::new();
    for item in &conf.sd_key.0 {
        match Accessor::parse(&item.value) {
            Ok(path) => sd.push((path.dotted(), path)),
            Err(why) => return cx.refuse_at(&item.place, format!("Syslog_Sd_Key: {why}"), "Name a field."),
        }
    }
    if conf.message_key.is_none() {
        let why = format!("{} without Syslog_Message_Key messages have no text", cx.section.who());
        cx.diags.warn_help(&cx.section.place, why, "Name the field with the text, for example: Syslog_Message_Key log");
    }
    let mut source = |key: &str, path: &Option<String>, preset: &Option<String>| {
        let preset = preset.clone().unwrap_or_default().into_bytes();
        Some(syslog::Source { path: cx.path_if(key, path.as_deref())?, preset })
    };
    Some(SyslogFormat {
        protocol,
        framing,
        max,
        host: source("Syslog_Hostname_Key", &conf.hostname_key, &conf.hostname_preset)?,
        app: source("Syslog_Appname_Key", &conf.appname_key, &conf.appname_preset)?,
        pid: source("Syslog_Procid_Key", &conf.procid_key, &conf.procid_preset)?,
        msgid: source("Syslog_Msgid_Key", &conf.msgid_key, &conf.msgid_preset)?,
        severity: (cx.path_if("Syslog_Severity_Key", conf.severity_key.as_deref())?, severity),
        facility: (cx.path_if("Syslog_Facility_Key", conf.facility_key.as_deref())?, facility),
        sd,
        sd_preset,
        longer_ids: conf.allow_longer_sd_id,
        message: cx.path_if("Syslog_Message_Key", conf.message_key.as_deref())?,
    })
}

fn preset(cx: &mut MakeCx<'_>, key: &str, value: u32, max: u8) -> Option<u8> {
    match u8::try_from(value).ok().filter(|n| *n <= max) {
        Some(n) => Some(n),
        None => cx.refuse(key, format!("{key} is {value}"), &format!("Give a number from 0 to {max}.")),
    }
}

impl Syslog {
    fn say(&self, view: &View<'_>, remarks: &Remarks) {
        let max = self.format.max;
        let all = [
            (remarks.cut, format!("are longer than {max} bytes and were cut (Syslog_Maxsize)")),
            (remarks.severity, "have a severity that is none: the preset one is taken".into()),
            (remarks.facility, "have a facility that is none: the preset one is taken".into()),
            (remarks.empty, "have no text under Syslog_Message_Key".into()),
        ];
        for (n, what) in all.into_iter().filter(|(n, _)| *n > 0) {
            if let Some(held) = self.said.borrow_mut().allow(what.as_bytes(), Instant::now()) {
                let more =
                    if held > 0 { format!(" ({held} more of these lines were held back)") } else { String::new() };
                log::warn!("[{}] {n} record(s) of '{}' {what}{more}", self.label, view.tag());
            }
        }
    }
}

impl Output for Syslog {
    fn format(&self, view: &View<'_>, out: &mut Payload) -> Result<(), Error> {
        let mut remarks = Remarks::default();
        for record in view.records() {
            self.format.write(&record, &mut out.bytes, &mut remarks);
            if matches!(self.way, Way::Datagrams(_)) {
                let end = u32::try_from(out.bytes.len()).unwrap_or(u32::MAX);
                out.items.push((end, record.index() as u32));
            }
        }
        if self.format.message.is_none() {
            remarks.empty = 0;
        }
        if remarks != Remarks::default() {
            self.say(view, &remarks);
        }
        Ok(())
    }

    fn deliver<'a>(&'a self, payload: &'a mut Payload) -> LocalFuture<'a, Outcome> {
        Box::pin(async {
            match &self.way {
                Way::Datagrams(sender) => datagrams::send(sender, payload).await,
                Way::Stream(upstream) => one_way::stream(upstream, &payload.bytes).await,
            }
        })
    }

    fn stop(&self) -> LocalFuture<'_, ()> {
        Box::pin(async {
            match &self.way {
                Way::Datagrams(sender) => sender.close(),
                Way::Stream(upstream) => upstream.close(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{batch, instance, made, payload, refused, send};
    use super::*;
    use crate::rt::run;
    use std::io::Read;
    use std::net::{TcpListener, UdpSocket};

    const LINES: [(i64, &str); 2] = [(1_000_000_000, r#"{"m":"hi","s":3}"#), (1_000_000_000, r#"{"m":"two\nlines"}"#)];

    #[test]
    fn bytes() {
        let check = |conf: &[(&str, &str)], want: &str| {
            let conf = [&[("syslog_message_key", "m"), ("syslog_severity_key", "$s")], conf].concat();
            let got = payload(&*instance(&PLUGIN, &conf), &batch("t", &LINES)).bytes;
            assert_eq!(String::from_utf8_lossy(&got), want, "{conf:?}");
        };
        const AT: &str = "1970-01-01T00:00:01.000000Z";
        check(&[], &format!("<11>1 {AT} - - - - - \u{feff}hi<14>1 {AT} - - - - - \u{feff}two\nlines"));
        check(
            &[("mode", "tcp"), ("syslog_format", "rfc3164"), ("syslog_hostname_preset", "h")],
            "<11>Jan  1 00:00:01 h hi\n<14>Jan  1 00:00:01 h two#012lines\n",
        );
        check(
            &[("mode", "tcp"), ("syslog_format", "rfc3164"), ("syslog_framing", "octet_counting")],
            "22 <11>Jan  1 00:00:01 hi29 <14>Jan  1 00:00:01 two\nlines",
        );
        check(
            &[("mode", "tcp"), ("syslog_maxsize", "40"), ("syslog_facility_preset", "23")],
            &format!("<187>1 {AT} - - -\n<190>1 {AT} - - -\n"),
        );
    }

    #[test]
    fn what_is_refused() {
        let table = [
            (vec![("mode", "dtls")], "'dtls' is not one of: udp tcp tls"),
            (vec![("tls", "on")], "tls does not go with Mode udp"),
            (vec![("syslog_framing", "octet_counting")], "does not go with Mode udp"),
            (vec![("syslog_severity_preset", "8")], "Give a number from 0 to 7."),
            (vec![("syslog_facility_preset", "24")], "Syslog_Facility_Preset is 24"),
            (vec![("syslog_sd_preset", "[a")], "Syslog_Sd_Preset is no structured data"),
            (vec![("syslog_sd_key", "$a[")], "Syslog_Sd_Key: "),
            (vec![("syslog_hostname_key", "$a[")], "Syslog_Hostname_Key: "),
            (vec![("syslog_mesage_key", "x")], "Did you mean 'Syslog_Message_Key'?"),
            (vec![("net.source_address", "eth0")], "not an IP address"),
        ];
        for (conf, part) in table {
            let said = refused(&PLUGIN, &conf);
            assert!(said.contains(part), "{part:?} is not in {said:?}");
        }
        assert!(made(&PLUGIN, &[]).1.contains("without Syslog_Message_Key messages have no text"));
        let (output, said) =
            made(&PLUGIN, &[("syslog_message_key", "log"), ("syslog_sd_key", "a"), ("syslog_sd_key", "b")]);
        assert!(output.is_some() && said.is_empty(), "{said}");
    }

    #[test]
    fn over_udp_and_tcp() {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = peer.local_addr().unwrap().port().to_string();
        let conf = [("port", port.as_str()), ("syslog_message_key", "m"), ("syslog_format", "rfc3164")];
        let outcome = run(async { send(&*instance(&PLUGIN, &conf), &batch("t", &LINES)).await }).unwrap();
        assert!(matches!(outcome, Outcome::Done), "{outcome:?}");
        let mut buf = [0; 64];
        for want in ["<14>Jan  1 00:00:01 hi", "<14>Jan  1 00:00:01 two\nlines"] {
            let n = peer.recv(&mut buf).unwrap();
            assert_eq!(String::from_utf8_lossy(&buf[..n]), want);
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let conf = [("port", port.as_str()), ("mode", "tcp"), ("syslog_message_key", "m"), ("net.keepalive", "off")];
        let peer = std::thread::spawn(move || {
            let mut text = String::new();
            listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
            text
        });
        assert!(matches!(
            run(async { send(&*instance(&PLUGIN, &conf), &batch("t", &LINES)).await }).unwrap(),
            Outcome::Done
        ));
        assert!(peer.join().unwrap().ends_with("two#012lines\n"));
    }
}
