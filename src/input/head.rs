//! `head`: the first bytes or lines of a file at each interval.

use super::interval::{Ticker, period};
use super::{Input, InputCx, InputPlugin};
use crate::conf::{PluginInfo, Size};
use crate::error::Error;
use crate::event::Key;
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use std::fs::File;
use std::io::{self, Read};

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "head",
        doc: "Reads the first bytes or lines of a file at each interval, as for /proc files.",
        keys: HeadConf::KEYS,
        unserved: HeadConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `head`.
    pub struct HeadConf {
        /// The file to read.
        file: String => "File" required,
        /// The key that holds what was read.
        key: String => "Key" = "head",
        /// Bytes to read.
        buf_size: Size => "Buf_Size" = "256",
        /// Lines to read; 0 reads `Buf_Size` bytes.
        lines: usize => "Lines" = "0",
        /// One key per line: `line0`, `line1`, …
        split_line: bool => "Split_Line" = "off",
        /// Add the file's name under `path`.
        add_path: bool => "Add_Path" = "off",
        /// Seconds between reads.
        interval_sec: u64 => "Interval_Sec" = "1",
        /// Nanoseconds between reads, added to the seconds.
        interval_nsec: u64 => "Interval_NSec" = "0",
    }
}

/// The most that is read at once, in bytes.
const MAX_READ: u64 = 4 << 20;

struct Head {
    conf: HeadConf,
    line_keys: Vec<Key>,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = HeadConf::load(cx.section, cx.diags)?;
    if conf.lines > 1000 {
        return cx.refuse("Lines", "Lines is more than 1000", "Follow a whole file with the tail input.");
    }
    let line_keys = (0..if conf.split_line { conf.lines } else { 0 }).map(|n| Key::of(&format!("line{n}"))).collect();
    Some(Box::new(Head { conf, line_keys }))
}

impl Input for Head {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let mut ticker = Ticker::new(period(self.conf.interval_sec, self.conf.interval_nsec));
            while ticker.tick(&cx).await {
                match self.read() {
                    Ok(text) => self.emit(&cx, &text),
                    Err(e) => {
                        cx.lost(0, &format!("cannot read {}: {e}; trying again at the next interval", self.conf.file))
                    }
                }
                cx.commit(cx.tag(), None).await;
            }
            Ok(())
        })
    }
}

impl Head {
    fn read(&self) -> io::Result<Vec<u8>> {
        let limit = if self.conf.lines > 0 { MAX_READ } else { self.conf.buf_size.0.clamp(1, MAX_READ) };
        let mut text = Vec::new();
        File::open(&self.conf.file)?.take(limit).read_to_end(&mut text)?;
        if self.conf.lines > 0 {
            let end = memchr::memchr_iter(b'\n', &text).nth(self.conf.lines - 1);
            text.truncate(end.unwrap_or(text.len()));
        }
        Ok(text)
    }

    fn emit(&self, cx: &InputCx, text: &[u8]) {
        let mut b = cx.batch(cx.tag());
        let mark = b.begin();
        if self.line_keys.is_empty() {
            b.push_text(
                Key::of(&self.conf.key),
                text.strip_suffix(b"\n").filter(|_| self.conf.lines > 0).unwrap_or(text),
            );
        }
        for (key, line) in self.line_keys.iter().zip(text.split(|c| *c == b'\n')) {
            b.push_text(*key, line);
        }
        if self.conf.add_path {
            b.push_text(Key::of("path"), self.conf.file.as_bytes());
        }
        b.finish(mark, cx.now());
    }
}
