//! `forward`: events from Fluentd, Fluent Bit and the loggers that speak their protocol.

mod buffer;
mod connection;
mod door;
mod owed;

use super::serve::{AckWhen, Limits, serve};
use super::{Input, InputCx, InputPlugin, Patience};
use crate::conf::common::{NetIn, TlsServer};
use crate::conf::{Many, Permissions, PluginInfo, Size};
use crate::error::Error;
use crate::fmt::forward::PORT;
use crate::net::{Datagrams, Listener, ServerTls};
use crate::plugin::MakeCx;
use crate::rt::{LocalFuture, or, yield_now};
use connection::{Connection, Shared};
use door::Door;
use std::io::{ErrorKind, Result as IoResult};
use std::rc::Rc;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "forward",
        doc: "Takes events in the forward protocol (version 1, and 0) from Fluentd, Fluent Bit and the loggers that speak it. A \
              message with the option chunk is acknowledged when its records are safe. What is no event is counted, said and \
              left out. Metrics and traces are not served. Heartbeats over UDP are answered on the same port.",
        keys: ForwardConf::KEYS,
        unserved: ForwardConf::UNSERVED,
        extra: &[NetIn::TABLE, TlsServer::TABLE],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `forward`.
    pub struct ForwardConf {
        /// Put this before the tags of the peers. Without it a `Tag` replaces them.
        tag_prefix: Option<String> => "Tag_Prefix",
        /// Peers must know this key.
        shared_key: Option<String> => "Shared_Key",
        /// Peers go through the handshake with an empty key.
        empty_shared_key: bool => "Empty_Shared_Key" = "off",
        /// The name of this side in the handshake.
        self_hostname: String => "Self_Hostname" = "localhost",
        /// A user that is let in, and the password: `NAME PASSWORD`. Needs a key.
        users: Many<String> => "Security.Users",
        /// Listen on this Unix socket instead of a port; what a killed program left there is replaced.
        unix_path: Option<String> => "Unix_Path",
        /// Permissions of the Unix socket.
        unix_perm: Permissions => "Unix_Perm" = "0644",
        /// Bytes read at a time (Fluent Bit: 1024000).
        buffer_chunk_size: Size => "Buffer_Chunk_Size" = "256K",
        /// The longest message, packed and unpacked (Fluent Bit: 6144000, which is less than Fluentd sends).
        buffer_max_size: Size => "Buffer_Max_Size" = "16M",
        /// When a chunk is acknowledged: once its records are delivered (or in a chunk file), or, as Fluent Bit does, as
        /// soon as they are received.
        ack: AckWhen => "Ack" = "delivered",
    }
    unserved ["Workers=1"]
}

/// The longest message that can be asked for, in bytes.
const MAX: u64 = 256 << 20;

struct Forward {
    net: NetIn,
    tls: Option<ServerTls>,
    unix: Option<(String, u32)>,
    shared: Shared,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = ForwardConf::load(cx.section, cx.diags)?;
    let net = NetIn::load(cx.section, cx.diags)?;
    let tls = TlsServer::load(cx.section, cx.diags)?;
    if tls.tls && conf.unix_path.is_some() {
        return cx.refuse(
            "tls",
            "tls on a Unix socket is not served",
            "Remove it: only this machine's users reach it.",
        );
    }
    let tls = cx.server_tls(&tls)?;
    let door = door(cx, &conf)?;
    let max = conf.buffer_max_size.0.clamp(1024, MAX) as usize;
    let block = conf.buffer_chunk_size.0.clamp(4096, 4 << 20) as usize;
    let fixed_tag = conf.tag_prefix.is_none() && cx.section.get("tag").is_some();
    let shared = Shared::new(max, block, door, conf.tag_prefix.unwrap_or_default(), fixed_tag, conf.ack, &net);
    let unix = conf.unix_path.map(|path| (path, conf.unix_perm.0));
    Some(Box::new(Forward { net, tls, unix, shared }))
}

/// The handshake that peers have to go through, if any.
fn door(cx: &mut MakeCx<'_>, conf: &ForwardConf) -> Option<Option<Door>> {
    let key = match (&conf.shared_key, conf.empty_shared_key) {
        (Some(_), true) => {
            let help = "Remove one of them.";
            return cx.refuse("Empty_Shared_Key", "Empty_Shared_Key and Shared_Key exclude each other", help);
        }
        (Some(key), false) => Some(key.clone()),
        (None, true) => Some(String::new()),
        (None, false) => None,
    };
    let mut users = Vec::new();
    for user in &conf.users.0 {
        let mut words = user.value.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(name), Some(password), None) => users.push((name.to_owned(), password.to_owned())),
            _ => {
                return cx.refuse_at(&user.place, "Security.Users is not 'NAME PASSWORD'", "For example: alice s3cret");
            }
        }
    }
    let Some(key) = key else {
        return match users.is_empty() {
            true => Some(None),
            false => cx.refuse(
                "Security.Users",
                "Security.Users needs a Shared_Key",
                "Add Shared_Key, or Empty_Shared_Key on.",
            ),
        };
    };
    Some(Some(Door { key: key.into_bytes(), hostname: conf.self_hostname.clone(), users }))
}

impl Input for Forward {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let failed = |why: String| Error::Plugin(cx.label().to_owned(), why);
            let mut limits = Limits::of(&self.net);
            let (listener, place, beats) = match &self.unix {
                Some((path, mode)) => {
                    limits = limits.unix(path);
                    (Listener::bind_unix(path, *mode, &self.net), path.clone(), None)
                }
                None => {
                    let place = format!("{}:{}", self.net.listen, self.net.port.unwrap_or(PORT));
                    let listener = Listener::bind(&self.net, PORT, self.tls);
                    // The port's own failure is the one to tell of.
                    let beats =
                        if listener.is_ok() { Datagrams::bind(&self.net, PORT).map_err(Some) } else { Err(None) };
                    let beats = beats.map_err(|why| {
                        if let Some(why) = why {
                            log::warn!("[{}] heartbeats over UDP are not answered: {why}", cx.label());
                        }
                    });
                    (listener, place, beats.ok())
                }
            };
            let listener = listener.map_err(failed)?;
            log::info!("[{}] listening on {place}", cx.label());
            let shared = Rc::new(self.shared);
            let own = cx.clone();
            let each = move |stream, peer| {
                let (cx, shared) = (own.clone(), shared.clone());
                async move { Connection::new(&cx, &shared, peer).run(stream).await }
            };
            let served = or(serve(&cx, listener, limits, each), async {
                match beats {
                    Some(socket) => answer(socket).await,
                    None => std::future::pending().await,
                }
            });
            let left = served.await?;
            // Connections still wait for what they owe.
            cx.drained().await;
            left.closed().await;
            Ok(())
        })
    }

    fn patience(&self) -> Patience {
        // Only those that ask for acknowledgements send again.
        Patience::Waits
    }
}

/// Answers heartbeats: any datagram with a single zero byte, as Fluentd does.
async fn answer<T>(socket: Datagrams) -> T {
    let mut buf = [0; 1024];
    loop {
        let turn = socket.turn(|queue| {
            let (_, from) = queue.next_from(&mut buf)?;
            if let Some(from) = from {
                // A lost answer is a missed heartbeat, no more.
                let _ = queue.answer(&[0], from);
            }
            IoResult::Ok(())
        });
        if let Err(e) = turn.await
            && e.kind() != ErrorKind::ConnectionRefused
        {
            log::warn!("[net] a heartbeat could not be read: {e}");
        }
        yield_now().await;
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
        check(&[], "");
        check(&[("Shared_Key", "k"), ("Security.Users", "a b"), ("security.users", "c d"), ("Workers", "1")], "");
        check(&[("Empty_Shared_Key", "on"), ("Tag_Prefix", "x."), ("Ack", "received")], "");
        check(&[("Unix_Path", "/tmp/x"), ("Unix_Perm", "0600"), ("Buffer_Max_Size", "6144000")], "");
        check(&[("Security.Users", "a b")], "Security.Users needs a Shared_Key");
        check(&[("Shared_Key", "k"), ("Security.Users", "a")], "is not 'NAME PASSWORD'");
        check(&[("Shared_Key", "k"), ("Empty_Shared_Key", "on")], "exclude each other");
        check(&[("Unix_Path", "/tmp/x"), ("tls", "on")], "tls on a Unix socket");
        check(&[("Ack", "never")], "'never' is not one of: delivered received");
        check(&[("Unix_Perm", "0999")], "is not octal");
        check(&[("Share_Key", "k")], "Did you mean 'Shared_Key'?");
    }
}
