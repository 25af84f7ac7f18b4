//! `redis`: records as JSON to lists, channels or streams of Redis.
//!
//! Commands of a chunk go out in one go; each counts as delivered when its own reply says so. What was not answered, or
//! refused for a passing reason, is sent again, and nothing else.

pub mod conf;
mod judge;
mod server;

use super::{Outcome, Output, OutputPlugin, Payload, Why};
use crate::conf::PluginInfo;
use crate::conf::common::{NetOut, TlsClient};
use crate::error::Error;
use crate::event::View;
use crate::event::template::Template;
use crate::fmt::date_format::DateFormat;
use crate::fmt::json_write::write_str;
use crate::fmt::record::RecordFormat;
use crate::fmt::resp;
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use crate::util::ratelimit::RateLimit;
use crate::util::sort;
use conf::{DataType, Push, RedisConf};
use judge::Verdict;
use server::{Command, Server};
use std::cell::{Cell, RefCell};
use std::time::Instant;

/// The plugin.
pub static PLUGIN: OutputPlugin = OutputPlugin {
    info: PluginInfo {
        name: "redis",
        doc: "Pushes records to lists of Redis, publishes them on channels, or adds them to streams.",
        keys: RedisConf::KEYS,
        unserved: RedisConf::UNSERVED,
        extra: &[NetOut::TABLE, TlsClient::TABLE],
    },
    make: |cx| make(cx),
};

struct Redis {
    label: String,
    key: Template,
    data_type: DataType,
    /// The words before the key.
    verb: &'static [u8],
    stream_field: String,
    max_length: u64,
    bulk: usize,
    record: RecordFormat,
    /// `"@tag":`
    tag_key: Option<Vec<u8>>,
    servers: Vec<Server>,
    at_once: usize,
    is_spread: bool,
    turn: Cell<usize>,
    scratch: RefCell<Scratch>,
    said: RefCell<RateLimit>,
}

/// Buffers of formatting.
#[derive(Default)]
struct Scratch {
    value: Vec<u8>,
    /// The keys of the records one behind the other, and where each ends.
    keys: Vec<u8>,
    ends: Vec<usize>,
    tag: Vec<u8>,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Output>> {
    let conf = RedisConf::load(cx.section, cx.diags)?;
    let key = match Template::parse(&conf.key) {
        Ok(key) => key,
        Err(why) => return cx.refuse("Key", format!("Key: {why}"), "Write for example: logs:$TAG[1]"),
    };
    if key.literal().is_some_and(|text| !text.is_empty() && text.contains('\n')) {
        return cx.refuse("Key", "Key has more than one line", "Write for example: logstash");
    }
    let (servers, at_once) = conf::servers(&conf, cx)?;
    let (date_key, date_format) = match conf.logstash_format {
        true => (Some("@timestamp".to_owned()), DateFormat::Iso8601),
        false => (conf.json_date_key.0, conf.json_date_format),
    };
    let tag_key = conf.include_tag_key.then(|| {
        let mut quoted = Vec::new();
        write_str(conf.tag_key.as_bytes(), cx.json, &mut quoted);
        quoted.push(b':');
        quoted
    });
    let verb: &[u8] = match (conf.data_type, conf.push) {
        (DataType::List, Push::Rpush) => b"RPUSH",
        (DataType::List, Push::Lpush) => b"LPUSH",
        (DataType::Channel, _) => b"PUBLISH",
        (DataType::Stream, _) => b"XADD",
    };
    Some(Box::new(Redis {
        label: cx.label(),
        key,
        data_type: conf.data_type,
        verb,
        stream_field: conf.stream_field,
        max_length: conf.max_length,
        bulk: conf.bulk_max_size.max(1),
        record: RecordFormat::new(date_key.as_deref(), date_format, cx.json),
        tag_key,
        servers,
        at_once,
        is_spread: conf.loadbalance,
        turn: Cell::new(0),
        scratch: RefCell::default(),
        said: RefCell::default(),
    }))
}

impl Output for Redis {
    /// Commands one behind the other. Each record is an item that ends where its command does.
    fn format(&self, view: &View<'_>, out: &mut Payload) -> Result<(), Error> {
        let mut scratch = self.scratch.borrow_mut();
        let Scratch { value, keys, ends, tag } = &mut *scratch;
        keys.clear();
        ends.clear();
        tag.clear();
        if let Some(key) = &self.tag_key {
            tag.push(b',');
            tag.extend_from_slice(key);
            write_str(view.tag().as_bytes(), self.record.json(), tag);
        }
        let fixed = self.key.literal().map(str::as_bytes);
        if fixed.is_none() {
            for record in view.records() {
                self.key.render(record.body(), view.tag(), |_| None, keys);
                ends.push(keys.len());
            }
        }
        let key_of = |n: usize| {
            let from = n.checked_sub(1).map_or(0, |before| ends.get(before).copied().unwrap_or(0));
            fixed.unwrap_or_else(|| keys.get(from..ends.get(n).copied().unwrap_or(from)).unwrap_or_default())
        };
        let (mut left, mut begun) = (0, 0);
        for (n, record) in view.records().enumerate() {
            let key = key_of(n);
            if left == 0 {
                begun = out.items.len();
                left = self.together(n, view.len(), key_of);
                self.begin(key, left, &mut out.bytes);
            }
            value.clear();
            self.record.write_object(&record, value);
            if !tag.is_empty() {
                value.pop();
                value.extend_from_slice(tag.get(usize::from(value.len() == 1)..).unwrap_or_default());
                value.push(b'}');
            }
            resp::word(value, &mut out.bytes);
            left -= 1;
            let end = out.bytes.len() as u32;
            out.items.push((end, record.index() as u32));
            if left == 0 {
                out.items.iter_mut().skip(begun).for_each(|item| item.0 = end);
            }
        }
        Ok(())
    }

    fn deliver<'a>(&'a self, payload: &'a mut Payload) -> LocalFuture<'a, Outcome> {
        Box::pin(self.send(payload))
    }

    fn concurrency(&self) -> usize {
        self.at_once
    }

    fn stop(&self) -> LocalFuture<'_, ()> {
        Box::pin(async { self.servers.iter().for_each(Server::close) })
    }
}

impl Redis {
    /// How many records from the `n`-th on share a command.
    fn together<'k>(&self, n: usize, len: usize, key_of: impl Fn(usize) -> &'k [u8]) -> usize {
        if self.data_type != DataType::List {
            return 1;
        }
        let most = self.bulk.min(len - n);
        if self.key.literal().is_some() {
            return most;
        }
        let key = key_of(n);
        (1..most).find(|more| key_of(n + more) != key).unwrap_or(most)
    }

    /// The words of a command before its values.
    fn begin(&self, key: &[u8], values: usize, out: &mut Vec<u8>) {
        let trims = self.data_type == DataType::Stream && self.max_length > 0;
        let more = match self.data_type {
            DataType::Stream => 2 + 3 * usize::from(trims),
            _ => 0,
        };
        resp::begin(2 + more + values, out);
        resp::word(self.verb, out);
        resp::word(key, out);
        if trims {
            resp::word(b"MAXLEN", out);
            resp::word(b"~", out);
            resp::word(self.max_length.to_string().as_bytes(), out);
        }
        if self.data_type == DataType::Stream {
            resp::word(b"*", out);
            resp::word(self.stream_field.as_bytes(), out);
        }
    }

    async fn send(&self, payload: &Payload) -> Outcome {
        let commands = commands(payload);
        let is_fixed = self.key.literal().is_some();
        let mut open: Vec<&Command> = commands.iter().collect();
        let (mut refused, mut last, mut unheard) = (Vec::new(), None, 0);
        for server in self.order() {
            server.busy.set(server.busy.get() + 1);
            let told = server.send(&payload.bytes, &open, is_fixed).await;
            server.busy.set(server.busy.get().saturating_sub(1));
            let mut verdicts = told.verdicts.into_iter();
            let (mut down, mut again) = (told.broken, None);
            open.retain(|command| match verdicts.next() {
                None => true,
                Some(Verdict::Stored(heard)) => {
                    unheard += usize::from(self.data_type == DataType::Channel && heard == Some(0));
                    false
                }
                Some(Verdict::Refused(why)) => {
                    refused.extend(records(payload, command).map(|record| (record, why.clone())));
                    false
                }
                Some(Verdict::Down(why)) => {
                    down.get_or_insert(why);
                    true
                }
                Some(Verdict::Retry(why)) => {
                    again.get_or_insert(why);
                    true
                }
            });
            match down {
                Some(why) => {
                    server.failed(Instant::now());
                    last = Some((why, true));
                }
                None => {
                    server.works();
                    last = again.map(|why| (why, false));
                    break;
                }
            }
            if open.is_empty() {
                break;
            }
        }
        if unheard > 0 {
            self.say(&format!("{unheard} message(s) had no subscriber: nobody has them (Data_Type channel)"));
        }
        let (why, is_down) = last.unwrap_or_default();
        let is_untouched = open.len() == commands.len();
        match (open.is_empty() && refused.is_empty(), is_untouched) {
            (true, _) => Outcome::Done,
            (false, true) if is_down => Outcome::Down(why),
            (false, true) if !why.is_empty() => Outcome::Retry(why),
            _ => {
                let retry = open.iter().flat_map(|command| records(payload, command)).collect();
                Outcome::Part { retry, why, refused }
            }
        }
    }

    /// The servers in the order in which they are tried.
    fn order(&self) -> Vec<&Server> {
        let now = Instant::now();
        let turn = if self.is_spread { self.turn.replace(self.turn.get().wrapping_add(1)) } else { 0 };
        let mut order: Vec<_> = self.servers.iter().enumerate().collect();
        let len = order.len();
        let place = |n: usize| (n + len - turn % len) % len;
        let busy = |server: &Server| if self.is_spread { server.busy.get() } else { 0 };
        sort::by_key(&mut order, |(n, server)| (server.rests(now), busy(server), place(*n)));
        order.into_iter().map(|(_, server)| server).collect()
    }

    fn say(&self, text: &str) {
        if self.said.borrow_mut().allow(b"unheard", Instant::now()).is_some() {
            log::warn!("[{}] {text}", self.label);
        }
    }
}

/// The commands of a payload: items that end at one place share one.
fn commands(payload: &Payload) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    for (n, &(end, _)) in payload.items.iter().enumerate() {
        let to = end as usize;
        match commands.last_mut() {
            Some(last) if last.to == to => last.end = n + 1,
            last => {
                let from = last.map_or(0, |c| c.to);
                commands.push(Command { from, to, first: n, end: n + 1 });
            }
        }
    }
    commands
}

/// The records of a command.
fn records<'p>(payload: &'p Payload, command: &Command) -> impl Iterator<Item = u32> + use<'p> {
    payload.items.get(command.first..command.end).unwrap_or_default().iter().map(|item| item.1)
}

#[cfg(test)]
mod tests;
