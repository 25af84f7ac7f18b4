//! What the keys, and those of an upstream file, come to.

use super::client::{Client, Secret};
use crate::conf::common::{NetOut, OutputCommon, TlsClient};
use crate::conf::{KeyDef, Many, SList, Section, Table, upstream};
use crate::event::Template;
use crate::fmt::codec::Codec;
use crate::fmt::forward::{Envelope, PORT};
use crate::net::{Balance, Target, Upstream};
use crate::plugin::MakeCx;
use std::time::Duration;

crate::conf_enum! {
    /// How events are packed.
    pub enum Compress {
        /// Not at all.
        Text = "text" | "none" | "off" | "false",
        /// CompressedPackedForward mode.
        Gzip = "gzip",
        /// The same with zstd, which Fluentd from 1.19 on and Fluent Bit from 4 on take.
        Zstd = "zstd",
    }
}

crate::config! {
    /// Keys of `forward`.
    pub struct ForwardConf {
        /// Times as whole seconds, for Fluentd before 0.14.
        time_as_integer: bool => "Time_as_Integer" = "off",
        /// Send the metadata of records that have some, in Fluent Bit's form of events.
        metadata: bool => "Retain_Metadata_In_Forward_Mode" = "on",
        /// Say how many records a message holds.
        send_options: bool => "Send_Options" = "off",
        /// Ask the server to acknowledge each message; without that a message is delivered when the server's system has it.
        require_ack_response: bool => "Require_Ack_Response" = "off",
        /// How long the server may take for an acknowledgement; then the message is sent again.
        ack_timeout: Duration => "Ack_Response_Timeout" = "190s",
        /// A tag instead of the records' own. With values of the record (`$key`) each is a message of its own.
        tag: Option<String> => "Tag",
        /// `gzip` or `zstd`.
        compress: Compress => "Compress" = "text",
        /// A further option of each message: `NAME VALUE`.
        add_option: Many<SList> => "Add_Option",
        /// A Unix socket instead of Host and Port.
        unix_path: Option<String> => "Unix_Path",
        /// A file that names several servers, used in turn; one that fails is left out for a while.
        upstream: Option<String> => "Upstream",
    }
    unserved ["Fluentd_Compat=off"]
}

crate::config! {
    /// Keys of the handshake; those of a node come before those of the output.
    pub struct SecretConf {
        /// A key that the server knows, too; needed where it begins with a handshake.
        shared_key: Option<String> => "Shared_Key",
        /// Go through the handshake with an empty key.
        empty_shared_key: Option<bool> => "Empty_Shared_Key",
        /// Our name in the handshake; localhost when not given.
        self_hostname: Option<String> => "Self_Hostname",
        /// A user that the server knows, where it asks for one.
        username: Option<String> => "Username",
        /// The user's password.
        password: Option<String> => "Password",
    }
}

/// Keys that shape the messages: a node may have them as long as all have the same.
const SHAPE: [&str; 6] =
    ["Time_as_Integer", "Retain_Metadata_In_Forward_Mode", "Send_Options", "Require_Ack_Response", "Tag", "Compress"];

const SHAPE_KEYS: [KeyDef; 6] = {
    let blank = KeyDef { name: "", kind: "text", default: None, many: false, required: false, doc: "" };
    let mut keys = [blank; 6];
    let mut i = 0;
    while i < keys.len() {
        keys[i].name = SHAPE[i];
        i += 1;
    }
    keys
};

/// What an instance is made of.
pub struct Made {
    pub envelope: Envelope,
    pub tag: Option<Template>,
    pub nodes: Balance<Client>,
    pub workers: usize,
}

/// Reads everything.
pub fn load(cx: &mut MakeCx<'_>) -> Option<Made> {
    let conf = ForwardConf::load(cx.section, cx.diags);
    let common = OutputCommon::load(cx.section, cx.diags);
    let (mut conf, common) = (conf?, common?);
    let mut nodes = None;
    if let Some(path) = &conf.upstream {
        let tables = [TlsClient::TABLE, SecretConf::TABLE, Table { keys: &SHAPE_KEYS, unserved: &[] }];
        let place = cx.section.get("Upstream").map_or(&cx.section.place, |e| &e.value_place);
        let found = upstream::read(path, place, cx.dir, &tables, cx.diags)?;
        let mut section = cx.section.clone();
        shape(cx, &mut section, &found)?;
        conf = ForwardConf::load(&section, cx.diags)?;
        nodes = Some(found);
    }
    let tag = match conf.tag.as_deref().map(Template::parse) {
        None => None,
        Some(Ok(tag)) => Some(tag),
        Some(Err(why)) => return cx.refuse("Tag", format!("Tag: {why}"), "For example: app.$TAG[1]"),
    };
    let pack = match conf.compress {
        Compress::Text => None,
        Compress::Gzip => Some((Codec::Gzip, "gzip")),
        Compress::Zstd => Some((Codec::Zstd, "zstd")),
    };
    if pack.is_some() && conf.time_as_integer {
        let help = "Servers that need whole seconds know no compression: remove one of them.";
        return cx.refuse("Compress", "Compress and Time_as_Integer exclude each other", help);
    }
    if pack.is_some() && tag.as_ref().is_some_and(Template::needs_record) {
        let help = "A message with one record is not packed: remove one of them.";
        return cx.refuse("Compress", "Compress and a Tag with values of the record exclude each other", help);
    }
    let mut extra = Vec::new();
    for item in conf.add_option.0 {
        match <[String; 2]>::try_from(item.value.0) {
            Ok([key, value]) => extra.push((key, value)),
            Err(_) => return cx.refuse_at(&item.place, "Add_Option is not 'NAME VALUE'", "For example: zone eu"),
        }
    }
    let envelope = Envelope {
        integer_time: conf.time_as_integer,
        metadata: conf.metadata,
        options: conf.send_options,
        ack: conf.require_ack_response,
        pack,
        extra,
    };
    let own = cx.section.clone();
    let mut clients = Vec::new();
    match (nodes, &conf.unix_path) {
        (Some(nodes), _) => {
            for node in nodes {
                let target = Target::Tcp(node.keys.host, node.keys.port);
                clients.push((node.keys.name, client(cx, target, &node.section, &own, conf.ack_timeout)?));
            }
        }
        (None, unix) => {
            let target = match (unix, common.host.as_deref().unwrap_or("127.0.0.1")) {
                (Some(path), _) => Target::Unix(path.clone()),
                (None, host) if host.starts_with('/') => Target::Unix(host.to_owned()),
                (None, host) => Target::Tcp(host.to_owned(), common.port.unwrap_or(PORT)),
            };
            clients.push((target.to_string(), client(cx, target, &own, &own, conf.ack_timeout)?));
        }
    }
    let workers = usize::from(common.workers.unwrap_or(2)).clamp(1, 16);
    Some(Made { envelope, tag, nodes: Balance::new(clients), workers })
}

/// Takes the keys that shape messages from the nodes, where they have them.
fn shape(cx: &mut MakeCx<'_>, section: &mut Section, nodes: &[upstream::Node]) -> Option<()> {
    for key in SHAPE {
        let values: Vec<_> = nodes.iter().map(|n| n.section.value(key)).collect();
        let Some(first) = nodes.iter().find_map(|n| n.section.get(key)) else { continue };
        if values.iter().any(|v| *v != Some(&first.value)) {
            let help = "Messages are made before a node is chosen: give all nodes the same, or give it to the output.";
            return cx.refuse_at(&first.place, format!("{key} is not the same for all nodes"), help);
        }
        section.entries.retain(|e| !e.key.eq_ignore_ascii_case(key));
        section.entries.push(first.clone());
    }
    Some(())
}

/// A server: what its node says comes before what the output says.
fn client(cx: &mut MakeCx<'_>, target: Target, node: &Section, own: &Section, ack_timeout: Duration) -> Option<Client> {
    let net = NetOut::load(own, cx.diags);
    // TLS is one thing: a node that speaks of it does not mix its keys with others.
    let is_own = node.entries.iter().any(|e| e.key.get(..3).is_some_and(|k| k.eq_ignore_ascii_case("tls")));
    let tls = TlsClient::load(if is_own { node } else { own }, cx.diags);
    let (first, second) = (SecretConf::load(node, cx.diags), SecretConf::load(own, cx.diags));
    let (net, tls, first, second) = (net?, tls?, first?, second?);
    let tls = cx.client_tls(&tls)?;
    let has_key = first.shared_key.is_some() || first.empty_shared_key.is_some();
    let (key, empty) = match has_key {
        true => (first.shared_key, first.empty_shared_key),
        false => (second.shared_key, second.empty_shared_key),
    };
    let key = match (key, empty.unwrap_or(false)) {
        (Some(_), true) => {
            let help = "Remove one of them.";
            return cx.refuse("Empty_Shared_Key", "Empty_Shared_Key and Shared_Key exclude each other", help);
        }
        (None, true) => Some(String::new()),
        (key, false) => key,
    };
    let hostname = first.self_hostname.or(second.self_hostname).unwrap_or_else(|| "localhost".to_owned());
    let username = first.username.or(second.username);
    let password = first.password.or(second.password);
    if key.is_none() && username.is_some() {
        return cx.refuse("Username", "a Username needs a Shared_Key", "Add Shared_Key, or Empty_Shared_Key on.");
    }
    let (username, password) = (username.unwrap_or_default(), password.unwrap_or_default());
    let patience = if net.connect_timeout.is_zero() { Duration::from_secs(60) } else { net.connect_timeout };
    match Upstream::new(target, &net, tls) {
        Ok(upstream) => {
            let secret = key.map(|key| Secret { key, hostname, username, password });
            Some(Client { upstream, secret, patience, ack_timeout })
        }
        Err(why) => {
            let key = "net.source_address";
            cx.refuse(key, format!("{key}: {why}"), "Give an address of this machine, for example 192.0.2.7.")
        }
    }
}
