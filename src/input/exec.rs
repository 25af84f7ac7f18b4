//! `exec`: runs a command at each interval and makes a record of each line it prints.

use super::framer::{Framer, Framing};
use super::interval::{Ticker, period};
use super::{Input, InputCx, InputPlugin};
use crate::conf::{PluginInfo, Size};
use crate::error::Error;
use crate::event::Key;
use crate::parse::ParserDef;
use crate::plugin::MakeCx;
use crate::rt::{Child, LocalFuture, Source, or};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::process::{Command, ExitStatus, Stdio};

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "exec",
        doc: "Runs a command at each interval and makes a record of each line it prints.",
        keys: ExecConf::KEYS,
        unserved: ExecConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `exec`.
    pub struct ExecConf {
        /// The command; it runs in a shell.
        command: String => "Command" required,
        /// The parser for each line; without one the line goes under `exec`.
        parser: Option<String> => "Parser",
        /// Seconds between runs.
        interval_sec: u64 => "Interval_Sec" = "1",
        /// Nanoseconds between runs, added to the seconds.
        interval_nsec: u64 => "Interval_NSec" = "0",
        /// The longest line, in bytes; a longer one is cut into pieces.
        buf_size: Size => "Buf_Size" = "4096",
        /// Run once, at the start.
        oneshot: bool => "Oneshot" = "off",
        /// Run once, then stop the program.
        exit_after_oneshot: bool => "Exit_After_Oneshot" = "off",
        /// Stop the program with the command's exit code.
        propagate_exit_code: bool => "Propagate_Exit_Code" = "off",
    }
}

struct Exec {
    conf: ExecConf,
    parser: Option<ParserDef>,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = ExecConf::load(cx.section, cx.diags)?;
    let parser = match &conf.parser {
        Some(name) => Some(cx.parser_def("Parser", name)?),
        None => None,
    };
    Some(Box::new(Exec { conf, parser }))
}

impl Input for Exec {
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let conf = &self.conf;
            let once = conf.oneshot || conf.exit_after_oneshot;
            let mut ticker = Ticker::new(period(conf.interval_sec, conf.interval_nsec));
            while once || ticker.tick(&cx).await {
                let status = match self.once(&cx).await {
                    Ok(status) => status,
                    Err(e) => {
                        cx.lost(0, &format!("cannot run '{}': {e}", conf.command));
                        None
                    }
                };
                if conf.exit_after_oneshot {
                    let code = status.and_then(|s| s.code()).unwrap_or(0);
                    cx.exit(if conf.propagate_exit_code { code as u8 } else { 0 });
                }
                if once {
                    return Ok(());
                }
            }
            Ok(())
        })
    }
}

impl Exec {
    /// One run of the command; `None` when the shutdown cut it short.
    async fn once(&self, cx: &InputCx) -> io::Result<Option<ExitStatus>> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &self.conf.command]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = Child::start(&mut command)?;
        let Some(stdout) = child.stdout() else { return Ok(None) };
        let finished = or(
            async {
                self.read(cx, OwnedFd::from(stdout)).await?;
                child.wait().await.map(Some)
            },
            async {
                cx.stopping().await;
                Ok(None)
            },
        )
        .await?;
        if finished.is_none() {
            let _ = child.kill();
        }
        Ok(finished)
    }

    async fn read(&self, cx: &InputCx, stdout: OwnedFd) -> io::Result<()> {
        rustix::io::ioctl_fionbio(&stdout, true)?;
        let pipe = Source::new(std::fs::File::from(stdout))?;
        let parser = self.parser.as_ref().map(ParserDef::make);
        let framing = Framing::Lines { separator: b"\n".to_vec(), key: Key::of("exec"), parser };
        let mut framer = Framer::new(framing, self.conf.buf_size.0.clamp(16, 16 << 20) as usize);
        let mut buf = [0; 16 * 1024];
        loop {
            let n = pipe.read(|mut f| f.read(&mut buf)).await?;
            {
                let mut batch = cx.batch(cx.tag());
                let now = cx.now();
                match n {
                    0 => framer.finish(&mut batch, now),
                    n => framer.feed(buf.get(..n).unwrap_or_default(), &mut batch, now),
                };
            }
            cx.commit(cx.tag(), None).await;
            if n == 0 {
                return Ok(());
            }
        }
    }
}
