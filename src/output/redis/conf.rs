//! The keys of the `redis` output, and the servers they name.

use super::server::Server;
use crate::conf::common::{NetOut, OutputCommon, TlsClient};
use crate::conf::formats::DateKey;
use crate::fmt::date_format::DateFormat;
use crate::fmt::resp;
use crate::net::{Target, Upstream};
use crate::plugin::MakeCx;
use std::time::Duration;

/// The port of Redis.
const PORT: u16 = 6379;

crate::conf_enum! {
    /// What a key of Redis holds.
    pub enum DataType {
        /// A list that consumers pop from: RPUSH or LPUSH.
        List = "list",
        /// A channel with subscribers: PUBLISH.
        Channel = "channel" | "pubsub",
        /// A stream: XADD.
        Stream = "stream",
    }
}

crate::conf_enum! {
    /// The end of a list.
    pub enum Push {
        /// Its tail: consumers take from the head (LPOP).
        Rpush = "rpush",
        /// Its head: consumers take from the tail (RPOP).
        Lpush = "lpush",
    }
}

crate::config! {
    /// Keys of redis.
    pub struct RedisConf {
        /// Several servers, separated by blanks or commas: `host`, `host:port`, `[address]:port`, or the path of a Unix socket.
        /// Instead of Host and Port.
        hosts: Option<String> => "Hosts",
        /// The user (Redis 6 and later).
        username: Option<String> => "Username",
        /// The password.
        password: Option<String> => "Password",
        /// The number of the database.
        db: u32 => "DB" = "0",
        /// The name of the list, channel or stream; with variables: `logs:$TAG[1]`, `$kubernetes['namespace_name']`.
        key: String => "Key" = "logstash",
        /// What the key names. A message to a channel is heard by those who listen at that moment, and kept by nobody.
        data_type: DataType => "Data_Type" = "list",
        /// The end of the list that grows.
        push: Push => "Push" = "rpush",
        /// The field of a stream's entries that holds the record.
        stream_field: String => "Stream_Field" = "message",
        /// Trim streams to about this many entries (MAXLEN ~); 0 trims nothing.
        max_length: u64 => "Max_Length" = "0",
        /// Records of one command to a list. It is stored whole or not at all.
        bulk_max_size: usize => "Bulk_Max_Size" = "256",
        /// Spread chunks over all Hosts; otherwise the first one that works gets everything.
        loadbalance: bool => "Loadbalance" = "on",
        /// How long a server may make no progress, where `net.io_timeout` does not say.
        timeout: Duration => "Timeout" = "10s",
        /// How the date is written.
        json_date_format: DateFormat => "Json_Date_Format" = "double",
        /// The key of the date; `false` writes none.
        json_date_key: DateKey => "Json_Date_Key" = "date",
        /// As Logstash writes events: the date is `@timestamp`, in ISO 8601.
        logstash_format: bool => "Logstash_Format" = "off",
        /// Add the tag.
        include_tag_key: bool => "Include_Tag_Key" = "off",
        /// Its key.
        tag_key: String => "Tag_Key" = "@tag",
        /// The same as `tls`.
        use_tls: bool => "UseTLS" = "off",
        /// The same as `tls.verify off`.
        tls_skip_verify: bool => "TLSSkipVerify" = "off",
    }
}

/// The servers, and how many deliveries they take at once.
pub(super) fn servers(conf: &RedisConf, cx: &mut MakeCx<'_>) -> Option<(Vec<Server>, usize)> {
    let common = OutputCommon::load(cx.section, cx.diags)?;
    let mut net = NetOut::load(cx.section, cx.diags)?;
    let mut tls = TlsClient::load(cx.section, cx.diags)?;
    if net.io_timeout.is_zero() {
        net.io_timeout = conf.timeout;
    }
    tls.tls |= conf.use_tls;
    tls.verify &= !conf.tls_skip_verify;
    let tls = cx.client_tls(&tls)?;
    if conf.username.is_some() && conf.password.is_none() {
        return cx.refuse("Username", "Username is given without Password", "Set Password, too.");
    }
    let port = common.port.unwrap_or(PORT);
    let mut targets = Vec::new();
    match &conf.hosts {
        Some(_) if common.host.is_some() => {
            return cx.refuse("Hosts", "both Host and Hosts are given", "Keep one of them.");
        }
        Some(hosts) => {
            for word in hosts.split([',', ' ', '\t']).filter(|w| !w.is_empty()) {
                match target(word, port) {
                    Some(target) => targets.push(target),
                    None => {
                        let help = "Write host, host:port or [address]:port, with blanks or commas between them.";
                        return cx.refuse("Hosts", format!("Hosts: '{word}' is no server"), help);
                    }
                }
            }
        }
        None => targets.extend(match common.host.as_deref().unwrap_or("127.0.0.1") {
            path if path.starts_with('/') => Some(Target::Unix(path.to_owned())),
            host => Some(Target::Tcp(host.to_owned(), port)),
        }),
    }
    if targets.is_empty() {
        return cx.refuse("Hosts", "Hosts names no server", "Write for example: Hosts 192.0.2.7:6379");
    }
    let (hello, greetings) = hello(conf);
    let mut servers = Vec::new();
    for target in targets {
        match Upstream::new(target, &net, tls.clone()) {
            Ok(upstream) => servers.push(Server::new(upstream, hello.clone(), greetings)),
            Err(why) => {
                let key = "net.source_address";
                let help = "Give an address of this machine, for example 192.0.2.7.";
                return cx.refuse(key, format!("{key}: {why}"), help);
            }
        }
    }
    // One at a time and server: what one tag wrote stays in order.
    let each = usize::from(common.workers.unwrap_or(1)).max(1);
    let at_once = if conf.loadbalance { each * servers.len() } else { each };
    Some((servers, at_once))
}

/// What is said on a new connection, and how many replies that has.
fn hello(conf: &RedisConf) -> (Vec<u8>, usize) {
    let (mut out, mut replies) = (Vec::new(), 0);
    if let Some(password) = &conf.password {
        match &conf.username {
            Some(user) => resp::command(&[b"AUTH", user.as_bytes(), password.as_bytes()], &mut out),
            None => resp::command(&[b"AUTH", password.as_bytes()], &mut out),
        }
        replies += 1;
    }
    if conf.db != 0 {
        resp::command(&[b"SELECT", conf.db.to_string().as_bytes()], &mut out);
        replies += 1;
    }
    (out, replies)
}

/// `host`, `host:port`, `[address]:port`, an address alone, or a path.
fn target(word: &str, port: u16) -> Option<Target> {
    if word.starts_with('/') {
        return Some(Target::Unix(word.to_owned()));
    }
    Target::parse(word, port).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let shown = |word| target(word, 6379).map(|t| t.to_string());
        for (word, want) in [
            ("a", Some("a:6379")),
            ("a:1", Some("a:1")),
            ("[::1]:2", Some("[::1]:2")),
            ("::1", Some("[::1]:6379")),
            ("[::1]", Some("[::1]:6379")),
            ("/run/redis.sock", Some("unix:/run/redis.sock")),
            ("a:x", None),
            ("a:0", None),
            (":1", None),
            ("[::1", None),
            ("redis://a", None),
        ] {
            assert_eq!(shown(word).as_deref(), want, "{word}");
        }
    }
}
