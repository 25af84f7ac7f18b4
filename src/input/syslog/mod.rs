//! `syslog`: messages from UDP, TCP (with TLS) and Unix sockets.

mod frames;
mod record;
mod streams;

use super::datagrams::{Receiver, set_buffer};
use super::serve::Limits;
use super::{Input, InputCx, InputPlugin, Patience};
use crate::conf::common::{NetIn, TlsServer};
use crate::conf::{BinarySize, Permissions, PluginInfo, Size};
use crate::error::Error;
use crate::net::{Datagrams, Listener, ServerTls};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use crate::time::zone::Zone;
use frames::Format;
use record::Records;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "syslog",
        doc: "Takes syslog messages (RFC 5424, RFC 3164 and vendors' variants) from UDP, TCP and Unix sockets. Without a \
              Parser the fields are those of the stock parsers: pri, time, host, ident, pid, msgid, extradata, message; \
              ours are seq, seq_device and task of Cisco devices, and a field that a message lacks is left out. What is \
              no syslog message, or what the Parser does not take, is kept whole under log, with the reason under parse_error.",
        keys: SyslogConf::KEYS,
        unserved: SyslogConf::UNSERVED,
        extra: &[NetIn::TABLE, TlsServer::TABLE],
    },
    make: |cx| make(cx),
};

crate::conf_enum! {
    /// Where messages come from.
    pub enum Mode {
        /// A Unix datagram socket, as /dev/log is.
        UnixUdp = "unix_udp",
        /// A Unix stream socket.
        UnixTcp = "unix_tcp",
        /// UDP (RFC 5426).
        Udp = "udp",
        /// TCP (RFC 6587), TLS (RFC 5425) with `tls on`.
        Tcp = "tcp",
    }
}

crate::config! {
    /// Options of `syslog`.
    pub struct SyslogConf {
        /// Where messages come from.
        mode: Mode => "Mode" = "unix_udp",
        /// The Unix socket; what a killed program left there is replaced.
        path: Option<String> => "Path",
        /// Permissions of the Unix socket.
        unix_perm: Permissions => "Unix_Perm" = "0644",
        /// The parser for messages; without one a parser of syslog's own forms (Fluent Bit: must be given).
        parser: Option<String> => "Parser",
        /// How messages stand in a stream; `auto` sees it by the first bytes of each connection (Fluent Bit: newline).
        format: Format => "Format" = "auto",
        /// Bytes read from a connection at a time.
        buffer_chunk_size: BinarySize => "Buffer_Chunk_Size" = "32K",
        /// The longest message of a connection; a longer one is cut into pieces. As Buffer_Chunk_Size when not given. A
        /// datagram may have any length.
        buffer_max_size: Option<BinarySize> => "Buffer_Max_Size",
        /// The kernel's buffer for datagrams, in bytes: what comes in while the program is busy. Without privileges the system's
        /// `net.core.rmem_max` limits it.
        receive_buffer_size: Option<Size> => "Receive_Buffer_Size",
        /// Add the whole message under this key.
        raw_message_key: Option<String> => "Raw_Message_Key",
        /// Add the peer under this key, as `udp://192.0.2.1:514`.
        source_address_key: Option<String> => "Source_Address_Key",
        /// The zone of times that name none, such as Europe/Berlin, where no Parser is given; else UTC.
        time_zone: Option<String> => "Time_Zone",
        /// Their offset from UTC, such as +0200.
        time_offset: Option<String> => "Time_Offset",
        /// They are in the zone of the system.
        time_system_timezone: bool => "Time_System_Timezone" = "off",
    }
    unserved []
}

/// The port when none is given.
const PORT: u16 = 5140;

struct Syslog {
    conf: SyslogConf,
    net: NetIn,
    tls: Option<ServerTls>,
    path: String,
    records: Records,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = SyslogConf::load(cx.section, cx.diags)?;
    let net = NetIn::load(cx.section, cx.diags)?;
    let tls = TlsServer::load(cx.section, cx.diags)?;
    if tls.tls && conf.mode != Mode::Tcp {
        return cx.refuse("tls", "tls needs Mode tcp", "Add: Mode tcp");
    }
    let tls = cx.server_tls(&tls)?;
    let is_unix = matches!(conf.mode, Mode::UnixUdp | Mode::UnixTcp);
    let path = conf.path.clone().unwrap_or_default();
    if is_unix && path.is_empty() {
        return cx.refuse("Path", "a Unix socket needs a Path", "Add a Path, or Mode udp or tcp for the network.");
    }
    let parser = match &conf.parser {
        Some(name) => Some(cx.parser_def("Parser", name)?),
        None => None,
    };
    let zone = zone(cx, &conf)?;
    let records = Records::new(parser, zone, conf.raw_message_key.as_deref(), conf.source_address_key.as_deref());
    Some(Box::new(Syslog { conf, net, tls, path, records }))
}

/// Where times belong that name no zone.
fn zone(cx: &mut MakeCx<'_>, conf: &SyslogConf) -> Option<Zone> {
    let is_given = conf.time_zone.is_some() || conf.time_offset.is_some() || conf.time_system_timezone;
    let key = match (&conf.time_zone, &conf.time_offset) {
        (Some(_), _) => "Time_Zone",
        (_, Some(_)) => "Time_Offset",
        _ => "Time_System_Timezone",
    };
    if is_given && conf.parser.is_some() {
        return cx.refuse(key, format!("{key} does not go with a Parser"), "The parser has keys of these names.");
    }
    match Zone::from_keys(conf.time_offset.as_deref(), conf.time_system_timezone, conf.time_zone.as_deref()) {
        Ok(zone) => Some(zone),
        Err(why) => cx.refuse(key, why, "Give one of Time_Zone, Time_Offset and Time_System_Timezone."),
    }
}

impl Syslog {
    /// Where it listens, for people.
    fn place(&self) -> String {
        match self.conf.mode {
            Mode::UnixUdp | Mode::UnixTcp => self.path.clone(),
            Mode::Udp | Mode::Tcp => format!("{}:{}", self.net.listen, self.net.port.unwrap_or(PORT)),
        }
    }

    async fn datagrams(self, cx: &InputCx) -> Result<(), Error> {
        let failed = |why: String| Error::Plugin(cx.label().to_owned(), why);
        let socket = match self.conf.mode {
            Mode::Udp => Datagrams::bind(&self.net, PORT),
            _ => Datagrams::bind_unix(&self.path, self.conf.unix_perm.0),
        };
        let socket = socket.map_err(failed)?;
        set_buffer(cx, &socket, self.conf.receive_buffer_size);
        log::info!("[{}] listening on {}", cx.label(), self.place());
        Receiver::new(socket, self.records, format!("unix://{}", self.path)).run(cx).await
    }

    async fn streams(self, cx: &InputCx) -> Result<(), Error> {
        let failed = |why: String| Error::Plugin(cx.label().to_owned(), why);
        let place = self.place();
        let mut limits = Limits::of(&self.net);
        if self.net.max_connections == 0 {
            limits.connections = streams::CONNECTIONS;
        }
        let listener = match self.conf.mode {
            Mode::Tcp => Listener::bind(&self.net, PORT, self.tls),
            _ => {
                limits = limits.unix(&self.path);
                Listener::bind_unix(&self.path, self.conf.unix_perm.0, &self.net)
            }
        };
        let listener = listener.map_err(failed)?;
        let read = self.conf.buffer_chunk_size.0.clamp(1024, 1 << 20) as usize;
        let max = self.conf.buffer_max_size.unwrap_or(self.conf.buffer_chunk_size).0.clamp(1024, 64 << 20) as usize;
        log::info!("[{}] listening on {place}", cx.label());
        let shared = streams::Shared::new(self.records, self.conf.format, read, max);
        streams::run(cx, listener, limits, shared).await
    }
}

impl Input for Syslog {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            match self.conf.mode {
                Mode::Udp | Mode::UnixUdp => self.datagrams(&cx).await,
                Mode::Tcp | Mode::UnixTcp => self.streams(&cx).await,
            }
        })
    }

    fn patience(&self) -> Patience {
        if self.conf.mode == Mode::Udp { Patience::None } else { Patience::Waits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Kind;
    use crate::plugin::judged;

    fn check(conf: &[(&str, &str)], said: &str) {
        judged(Kind::Input, &PLUGIN.info, PLUGIN.make, conf, said);
    }

    #[test]
    fn configurations() {
        check(&[("Mode", "udp")], "");
        check(&[("Path", "/tmp/x"), ("Unix_Perm", "0666")], "");
        check(&[("Mode", "tcp"), ("Parser", "syslog-rfc5424"), ("Format", "octet_counting")], "");
        check(&[], "a Unix socket needs a Path");
        check(&[("Mode", "udp"), ("tls", "on")], "tls needs Mode tcp");
        check(&[("Path", "/tmp/x"), ("Unix_Perm", "0999")], "is not octal");
        check(&[("Mode", "tcp"), ("Parser", "nope")], "nope");
        check(&[("Mode", "sctp")], "sctp");
        check(&[("Mode", "udp"), ("Time_Offset", "+0200")], "");
        check(&[("Mode", "udp"), ("Time_Offset", "two")], "'two' is not a Time_Offset");
        check(&[("Mode", "udp"), ("Time_Zone", "Mars/Base")], "'Mars/Base' is not known");
        check(&[("Mode", "udp"), ("Parser", "json"), ("Time_Offset", "+02")], "Time_Offset does not go with a Parser");
    }
}
