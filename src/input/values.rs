//! JSON values, or text with separators, from sockets: what tcp, udp and unix_socket have in common.

use super::InputCx;
use super::datagrams::Take;
use super::framer::{Framer, Framing};
use super::serve::{Peer, drain};
use crate::conf::{FromConf, Size};
use crate::event::{Batch, Key, Span};
use crate::net::Stream;
use crate::parse::ParserDef;
use crate::plugin::MakeCx;
use crate::rt::or;
use crate::time::Time;

crate::conf_enum! {
    /// What comes in.
    pub enum Format {
        /// Values one after the other.
        Json = "json",
        /// Text with separators.
        None = "none",
    }
}

/// Kilobytes (of 1,024 bytes) when it is a bare number, else a size.
#[derive(Debug, Clone, Copy)]
pub struct Kilobytes(pub u64);

impl FromConf for Kilobytes {
    const KIND: &'static str = "kilobytes";
    const EXAMPLE: &'static str = "32";

    fn from_conf(text: &str) -> Result<Self, String> {
        match text.parse::<u32>() {
            Ok(n) => Ok(Self(u64::from(n) * 1024)),
            Err(_) => Size::from_conf(text).map(|s| Self(s.0)),
        }
    }
}

/// What the keys of an instance ask for.
pub struct Values {
    lines: Option<(Vec<u8>, Option<ParserDef>)>,
    read: usize,
    max: usize,
    address_key: Option<Key>,
}

crate::config! {
    /// The keys that inputs of values share.
    pub struct ValuesConf {
        /// `json`: values one after the other; `none`: text that is cut at the separator. The end of a datagram ends a record, too.
        format: Format => "Format" = "json",
        /// What stands between records of format `none`; `\n`, `\t`, `\r` and `\0` are known.
        separator: String => "Separator" = "\\n",
        /// The parser for records of format `none`; what does not parse is kept under `log`.
        parser: Option<String> => "Parser",
        /// Bytes read from a connection at a time; a bare number is kilobytes. A datagram is read whole, whatever its length.
        chunk_size: Kilobytes => "Chunk_Size" = "32",
        /// The longest record; a longer one is cut into pieces. A bare number is kilobytes.
        buffer_size: Kilobytes => "Buffer_Size" = "1024",
        /// Add the peer under this key, as `tcp://192.0.2.1:5170`, `udp://192.0.2.1:5170`, or `unix://` and the path.
        source_address_key: Option<String> => "Source_Address_Key",
    }
}

impl Values {
    /// Reads and checks the keys.
    pub fn load(cx: &mut MakeCx<'_>) -> Option<Self> {
        let keys = ValuesConf::load(cx.section, cx.diags)?;
        let lines = if keys.format == Format::None {
            let separator = unescape(&keys.separator);
            if separator.is_empty() {
                return cx.refuse("Separator", "Separator is empty", "Leave it out for lines.");
            }
            let parser = match &keys.parser {
                Some(name) => Some(cx.parser_def("Parser", name)?),
                None => None,
            };
            Some((separator, parser))
        } else {
            if keys.parser.is_some() {
                return cx.refuse("Parser", "a Parser needs Format none", "Add: Format none");
            }
            None
        };
        Some(Self {
            lines,
            read: keys.chunk_size.0.clamp(1024, 1 << 20) as usize,
            max: keys.buffer_size.0.clamp(1024, 64 << 20) as usize,
            address_key: keys.source_address_key.as_deref().map(Key::of),
        })
    }

    fn framer(&self) -> Framer {
        let key = Key::of("log");
        let framing = match &self.lines {
            Some((separator, parser)) => {
                Framing::Lines { separator: separator.clone(), key, parser: parser.as_ref().map(ParserDef::make) }
            }
            None => Framing::Json { key },
        };
        Framer::new(framing, self.max)
    }

    /// Reads one connection to its end; at the shutdown what has come in already: its sender takes it for delivered.
    pub async fn connection(&self, cx: &InputCx, mut stream: Stream, peer: Peer) {
        let mut connection = Connection { values: self, framer: self.framer(), buffer: vec![0; self.read], cx, peer };
        let ended = async {
            connection.serve(&mut stream).await;
            true
        };
        let stopped = async {
            cx.stopping().await;
            false
        };
        if !or(ended, stopped).await {
            drain(cx, async |left| connection.read(&mut stream, left).await).await;
        }
        // The end of the stream, or ours: what is left is a record.
        connection.take(0);
        cx.commit_now(cx.tag(), None);
    }

    /// What makes records of datagrams.
    pub fn datagrams(&self) -> ValuesOfDatagrams {
        ValuesOfDatagrams { framer: self.framer(), address_key: self.address_key, cut: 0 }
    }
}

/// Each datagram is a stream of its own.
pub struct ValuesOfDatagrams {
    framer: Framer,
    address_key: Option<Key>,
    cut: u64,
}

impl Take for ValuesOfDatagrams {
    fn want_address(&self) -> bool {
        self.address_key.is_some()
    }

    fn take(&mut self, batch: &mut Batch, text: Span, address: Span, now: Time) {
        let first = batch.len();
        self.cut += self.framer.whole(text, batch, now).cut as u64;
        if let Some(key) = self.address_key {
            add_address(batch, first, key, address);
        }
    }

    fn report(&mut self, cx: &InputCx) {
        if std::mem::take(&mut self.cut) > 0 {
            cx.lost(0, "a record longer than Buffer_Size was cut into pieces");
        }
    }
}

/// A connection while it is read.
struct Connection<'a> {
    values: &'a Values,
    framer: Framer,
    buffer: Vec<u8>,
    cx: &'a InputCx,
    peer: Peer,
}

impl Connection<'_> {
    async fn serve(&mut self, stream: &mut Stream) {
        while self.read(stream, usize::MAX).await > 0 {
            self.cx.commit(self.cx.tag(), None).await;
        }
    }

    /// Reads once, at most `most` bytes; 0 is the end.
    async fn read(&mut self, stream: &mut Stream, most: usize) -> usize {
        let room = self.buffer.len().min(most);
        let n = match stream.read(self.buffer.get_mut(..room).unwrap_or_default()).await {
            Ok(n) => n,
            Err(e) => {
                log::debug!("[{}] connection of {}: {e}; what it had sent is kept", self.cx.label(), self.peer);
                0
            }
        };
        if n > 0 {
            self.take(n);
        }
        n
    }

    /// Makes records of the first `n` bytes that were read; of none: of what is left at the end.
    fn take(&mut self, n: usize) {
        let Self { values, framer, buffer, cx, peer } = self;
        let mut batch = cx.batch(cx.tag());
        let first = batch.len();
        let now = cx.now();
        let framed = match n {
            0 => framer.finish(&mut batch, now),
            n => framer.feed(buffer.get(..n).unwrap_or_default(), &mut batch, now),
        };
        if framed.cut > 0 {
            cx.lost(0, "a record longer than Buffer_Size was cut into pieces");
        }
        if let Some(key) = values.address_key {
            let address = batch.arena_mut().push(peer.as_str().as_bytes());
            add_address(&mut batch, first, key, address);
        }
    }
}

/// The separator's escapes as bytes.
pub fn unescape(text: &str) -> Vec<u8> {
    text.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r").replace("\\0", "\0").into_bytes()
}

fn add_address(batch: &mut Batch, first: usize, key: Key, address: Span) {
    for i in first..batch.len() {
        let mark = batch.reopen(i);
        batch.push_span(key, address);
        batch.replace_body(i, mark);
    }
}
