//! `udp`: JSON values or lines from datagrams.

use super::datagrams::{Receiver, set_buffer};
use super::values::{Values, ValuesConf};
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
        extra: &[ValuesConf::TABLE, NetIn::TABLE],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `udp`.
    pub struct UdpConf {
        /// The kernel's buffer, in bytes: what comes in while the program is busy. Without privileges the system's
        /// `net.core.rmem_max` limits it.
        receive_buffer_size: Option<Size> => "Receive_Buffer_Size",
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
    let values = Values::load(cx)?;
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
    use crate::plugin::judged;

    #[test]
    fn configurations() {
        let check = |conf: &[(&str, &str)], said: &str| judged(Kind::Input, &PLUGIN.info, PLUGIN.make, conf, said);
        check(&[("Chunk_Size", "64"), ("Buffer_Size", "64"), ("Workers", "1")], "");
        check(&[("Format", "xml")], "'xml' is not one of: json none");
        check(&[("Parser", "json")], "a Parser needs Format none");
        check(&[("Format", "none"), ("Parser", "nope")], "nope");
        check(&[("tls", "on")], "tls");
    }
}
