//! `udp`: JSON values or lines from datagrams.

use super::datagrams::{Receiver, set_buffer};
use super::values::{Format, Keys, Kilobytes, Values};
use super::{Input, InputCx, InputPlugin};
use crate::conf::common::NetIn;
use crate::conf::{PluginInfo, Size};
use crate::error::Error;
use crate::net::Datagrams;
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "udp",
        doc: "Takes JSON values, or lines, from UDP datagrams. What the kernel drops because its buffer is full is counted.",
        keys: UdpConf::KEYS,
        unserved: UdpConf::UNSERVED,
        extra: &[NetIn::TABLE],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `udp`.
    pub struct UdpConf {
        /// `json`: values one after the other; `none`: text that is cut at the separator. The end of a datagram ends a record,
        /// too.
        format: Format => "Format" = "json",
        /// What stands between records of format `none`; `\n`, `\t`, `\r` and `\0` are known.
        separator: String => "Separator" = "\\n",
        /// The parser for records of format `none`; what does not parse is kept under `log`.
        parser: Option<String> => "Parser",
        /// Has no effect: a datagram is read whole, whatever its length.
        chunk_size: Kilobytes => "Chunk_Size" = "32",
        /// The longest record; a longer one is cut into pieces. A bare number is kilobytes.
        buffer_size: Kilobytes => "Buffer_Size" = "1024",
        /// The kernel's buffer, in bytes: what comes in while the program is busy. Without privileges the system's
        /// `net.core.rmem_max` limits it.
        receive_buffer_size: Option<Size> => "Receive_Buffer_Size",
        /// Add the peer under this key, as `udp://192.0.2.1:5170`.
        source_address_key: Option<String> => "Source_Address_Key",
    }
    unserved ["Workers=1"]
}

/// The port when none is given.
const PORT: u16 = 5170;

struct Udp {
    net: NetIn,
    values: Values,
    buffer: Option<Size>,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = UdpConf::load(cx.section, cx.diags)?;
    let net = NetIn::load(cx.section, cx.diags)?;
    let keys = Keys {
        format: conf.format,
        separator: &conf.separator,
        parser: conf.parser.as_deref(),
        chunk_size: conf.chunk_size,
        buffer_size: conf.buffer_size,
        source_address_key: conf.source_address_key.as_deref(),
    };
    let values = Values::new(cx, &keys)?;
    Some(Box::new(Udp { net, values, buffer: conf.receive_buffer_size }))
}

impl Input for Udp {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let failed = |why: String| Error::Plugin(cx.label().to_owned(), why);
            let socket = Datagrams::bind(&self.net, PORT).map_err(failed)?;
            set_buffer(&cx, &socket, self.buffer);
            let port = self.net.port.unwrap_or(PORT);
            log::info!("[{}] listening on {}:{port}", cx.label(), self.net.listen);
            Receiver::new(socket, self.values.datagrams(), String::new()).run(&cx).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Kind;
    use crate::plugin::made;

    #[test]
    fn configurations() {
        let check = |conf: &[(&str, &str)], said: &str| {
            let (instance, diags) = made(Kind::Input, &PLUGIN.info, PLUGIN.make, conf);
            assert_eq!(instance.is_some(), said.is_empty(), "{diags}");
            assert!(diags.contains(said), "{diags}");
        };
        check(&[("Chunk_Size", "64"), ("Buffer_Size", "64"), ("Workers", "1")], "");
        check(&[("Format", "xml")], "'xml' is not one of: json none");
        check(&[("Parser", "json")], "a Parser needs Format none");
        check(&[("Format", "none"), ("Parser", "nope")], "nope");
        check(&[("tls", "on")], "tls");
    }
}
