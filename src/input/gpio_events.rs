//! `gpio_events`: edges on the lines of a GPIO chip (buttons, doors, meters that pulse).

use super::gauge::{AGAIN, Trouble};
use super::{Input, InputCx, InputPlugin};
use crate::conf::{CList, PluginInfo};
use crate::error::Error;
use crate::event::{Batch, Cell, Key};
use crate::fmt::gpio::{self, EVENT, Event, MAX_LINES, Request, flag};
use crate::plugin::MakeCx;
use crate::rt::{LocalFuture, Source, gpio as chip, or};
use crate::time::Time;
use crate::util::sort;
use rustix::fs::{Mode, OFlags};
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "gpio_events",
        doc: "Edges on lines of a GPIO chip (Linux 5.10 or later), a record each at the time that the kernel saw it: chip, line, \
              name (where the line has one), edge (rising, falling). Fluent Bit has no such input.",
        keys: GpioConf::KEYS,
        unserved: GpioConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::conf_enum! {
    /// Which edges.
    pub enum Edge {
        /// Both.
        Both = "both",
        /// A line that becomes active.
        Rising = "rising",
        /// A line that becomes inactive.
        Falling = "falling",
    }
}

crate::conf_enum! {
    /// What holds a line that nothing drives.
    pub enum Bias {
        /// As it was.
        AsIs = "as_is",
        /// A pull-up.
        PullUp = "pull_up",
        /// A pull-down.
        PullDown = "pull_down",
        /// Nothing.
        Disabled = "disabled",
    }
}

crate::config! {
    /// Options of `gpio_events`.
    pub struct GpioConf {
        /// The chip: a device (`gpiochip0`, /dev/gpiochip0) or a label (`pinctrl-bcm2711`), which stays the same when chips
        /// are numbered otherwise.
        chip: String => "Chip" = "gpiochip0",
        /// The lines, separated by commas: numbers on the chip, or names (`GPIO17`). At most 64.
        lines: CList => "Lines" required,
        /// Which edges are told: `both`, `rising` or `falling`.
        edge: Edge => "Edge" = "both",
        /// A low level is the active one: rising then means that the level falls.
        active_low: bool => "Active_Low" = "off",
        /// What holds lines that nothing drives, as open buttons: `as_is`, `pull_up`, `pull_down` or `disabled`.
        bias: Bias => "Bias" = "as_is",
        /// A level must last so long before it counts, in seconds, for example 0.005 for a button.
        debounce: Option<Duration> => "Debounce",
    }
}

/// Events that the kernel keeps until they are read.
const BUFFER: u32 = 256;
/// Events that are read at once.
const READ: usize = 64;

struct Gpio {
    conf: GpioConf,
    open: Option<Lines>,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = GpioConf::load(cx.section, cx.diags)?;
    if conf.lines.0.is_empty() || conf.lines.0.len() > MAX_LINES {
        return cx.refuse("Lines", "Lines names none, or more than 64", "Give for example: Lines 17, 27");
    }
    if conf.debounce.is_some_and(|d| d.as_micros() == 0 || u32::try_from(d.as_micros()).is_err()) {
        return cx.refuse("Debounce", "Debounce is 0 or more than 71 minutes", "Give seconds, for example 0.005.");
    }
    Some(Box::new(Gpio { conf, open: None }))
}

impl Input for Gpio {
    fn start(&mut self) -> Result<(), Error> {
        self.open = Some(Lines::open(&self.conf).map_err(|why| Error::Config(format!("gpio_events: {why}")))?);
        Ok(())
    }

    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let mut trouble = Trouble::default();
            let mut open = self.open.map_or_else(|| Lines::open(&self.conf), Ok);
            loop {
                let ended = match open {
                    Ok(mut lines) => {
                        trouble.judge(&cx, Ok(()));
                        lines.read(&cx).await
                    }
                    Err(why) => Err(why),
                };
                let Err(why) = ended else { return Ok(()) };
                trouble.judge(&cx, Err(format!("{why}; it is tried again every two seconds").into()));
                if !cx.sleep(AGAIN).await {
                    return Ok(());
                }
                open = Lines::open(&self.conf);
            }
        })
    }
}

/// The lines of an instance.
struct Lines {
    fd: Option<OwnedFd>,
    chip: String,
    /// Numbers and names.
    names: Vec<(u32, String)>,
    /// The number of the next event.
    next: Option<u32>,
}

impl Lines {
    fn open(conf: &GpioConf) -> Result<Self, String> {
        let (chip_name, fd, count) = find_chip(&conf.chip)?;
        let mut names = Vec::new();
        for wanted in &conf.lines.0 {
            let line = find_line(&fd, wanted, count).map_err(|why| format!("{chip_name}: {why}"))?;
            if names.iter().any(|(n, _)| *n == line.0) {
                return Err(format!("line {} stands twice in Lines", line.0));
            }
            names.push(line);
        }
        let numbers: Vec<u32> = names.iter().map(|(n, _)| *n).collect();
        let debounce = conf.debounce.and_then(|d| u32::try_from(d.as_micros()).ok());
        let request = Request { lines: &numbers, consumer: "collector", flags: flags(conf), debounce, buffer: BUFFER };
        let lines = chip::request_lines(&fd, &mut request.bytes()).map_err(|e| {
            let help = match e.kind() {
                io::ErrorKind::ResourceBusy => " (one of them is in use; gpioinfo tells by whom)",
                io::ErrorKind::InvalidInput => " (Linux 5.10 or later; not every chip has edges, pulls or debouncing)",
                _ => "",
            };
            format!("{chip_name} does not give the lines {numbers:?}: {e}{help}")
        })?;
        Ok(Self { fd: Some(lines), chip: chip_name, names, next: None })
    }

    /// Reads until the chip goes, which is an error, or until the shutdown.
    async fn read(&mut self, cx: &InputCx) -> Result<(), String> {
        let Some(fd) = self.fd.take() else { return Ok(()) };
        let source = Source::new(fd).map_err(|e| format!("cannot watch the lines of {}: {e}", self.chip))?;
        let mut buffer = [0; READ * EVENT];
        loop {
            let read = or(async { Some(source.read(|fd| Ok(rustix::io::read(fd, &mut buffer[..])?)).await) }, async {
                cx.stopping().await;
                None
            });
            let Some(read) = read.await else { break };
            match read {
                Ok(n @ 1..) => self.take(buffer.get(..n), cx),
                Ok(0) => return Err(format!("the chip {} is gone", self.chip)),
                Err(e) => return Err(format!("the chip {} is gone: {e}", self.chip)),
            }
            cx.commit(cx.tag(), None).await;
        }
        // What the kernel holds by the shutdown.
        let Some(fd) = source.get() else { return Ok(()) };
        for _ in 0..BUFFER as usize / READ {
            match rustix::io::read(fd, &mut buffer[..]) {
                Ok(n @ 1..) => self.take(buffer.get(..n), cx),
                _ => break,
            }
        }
        cx.commit_now(cx.tag(), None);
        Ok(())
    }

    fn take(&mut self, bytes: Option<&[u8]>, cx: &InputCx) {
        let lost = self.write(bytes.unwrap_or_default(), since_epoch(cx.now()), &mut cx.batch(cx.tag()));
        if lost > 0 {
            cx.lost(lost, "the kernel's buffer of edges ran over before it was read (Debounce makes them fewer)");
        }
    }

    /// Makes records of what was read; answers how many edges were lost before.
    fn write(&mut self, bytes: &[u8], epoch: Time, batch: &mut Batch) -> u64 {
        let mut lost = 0;
        for event in gpio::events(bytes) {
            let Event { nanos, rising, line, number } = event;
            let expected = self.next.replace(number.wrapping_add(1)).unwrap_or(1);
            lost += u64::from(number.wrapping_sub(expected));
            let mark = batch.begin();
            batch.push_text(Key::of("chip"), self.chip.as_bytes());
            batch.push(Cell::uint(Key::of("line"), u64::from(line)));
            if let Some((_, name)) = self.names.iter().find(|(n, name)| *n == line && !name.is_empty()) {
                batch.push_text(Key::of("name"), name.as_bytes());
            }
            batch.push_text(Key::of("edge"), if rising { b"rising" } else { b"falling" });
            batch.finish(mark, epoch.after(Duration::from_nanos(nanos)));
        }
        lost
    }
}

fn flags(conf: &GpioConf) -> u64 {
    let edge = match conf.edge {
        Edge::Both => flag::EDGE_RISING | flag::EDGE_FALLING,
        Edge::Rising => flag::EDGE_RISING,
        Edge::Falling => flag::EDGE_FALLING,
    };
    let bias = match conf.bias {
        Bias::AsIs => 0,
        Bias::PullUp => flag::BIAS_PULL_UP,
        Bias::PullDown => flag::BIAS_PULL_DOWN,
        Bias::Disabled => flag::BIAS_DISABLED,
    };
    flag::INPUT | edge | bias | if conf.active_low { flag::ACTIVE_LOW } else { 0 }
}

/// The chip's device name, itself, and how many lines it has.
fn find_chip(wanted: &str) -> Result<(String, OwnedFd, u32), String> {
    let path = if wanted.starts_with('/') { PathBuf::from(wanted) } else { PathBuf::from("/dev").join(wanted) };
    let open = |path: &PathBuf| {
        rustix::fs::open(path.as_path(), OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map_err(io::Error::from)
    };
    let name = |path: &PathBuf| path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    match open(&path) {
        Ok(fd) => {
            let info = chip::chip_info(&fd).map_err(|_| format!("{} is no GPIO chip", path.display()))?;
            return Ok((name(&path), fd, gpio::chip(&info).1));
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            return Err(format!(
                "cannot open {}: {e} (is the user in the group of the device, often gpio?)",
                path.display()
            ));
        }
        Err(e) => return Err(format!("cannot open {}: {e}", path.display())),
    }
    let devices = fs::read_dir("/dev").into_iter().flatten().flatten().map(|e| e.path());
    let mut chips: Vec<_> = devices.filter(|p| name(p).starts_with("gpiochip")).collect();
    sort::ascending(&mut chips);
    let mut labels = Vec::new();
    for path in chips {
        let Ok(fd) = open(&path) else { continue };
        let Ok(info) = chip::chip_info(&fd) else { continue };
        let (label, count) = gpio::chip(&info);
        if label == wanted {
            return Ok((name(&path), fd, count));
        }
        labels.push(format!("{} ({label})", name(&path)));
    }
    let there = if labels.is_empty() { "none that can be opened".into() } else { labels.join(", ") };
    Err(format!("there is no GPIO chip '{wanted}'; there is {there}"))
}

/// A line's number and name.
fn find_line(chip: &OwnedFd, wanted: &str, count: u32) -> Result<(u32, String), String> {
    let name = |line: u32| {
        let mut info = gpio::line_question(line);
        chip::line_info(chip, &mut info)
            .map(|()| gpio::line(&info).0)
            .map_err(|e| format!("cannot look at line {line}: {e}"))
    };
    if let Ok(line) = wanted.parse::<u32>() {
        if line >= count {
            return Err(format!("there is no line {line}: it has {count}, counted from 0"));
        }
        return Ok((line, name(line)?));
    }
    for line in 0..count {
        if name(line)? == wanted {
            return Ok((line, wanted.to_owned()));
        }
    }
    Err(format!("no line is called '{wanted}' (gpioinfo lists them)"))
}

/// When the monotonic clock stood at zero.
fn since_epoch(now: Time) -> Time {
    let up = clock_gettime(ClockId::Monotonic);
    now.before(Duration::new(u64::try_from(up.tv_sec).unwrap_or(0), u32::try_from(up.tv_nsec).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Kind;
    use crate::event::Tag;
    use crate::fmt::json_write::{JsonOpts, write_map};
    use crate::plugin::judged;

    fn event(nanos: u64, id: u32, line: u32, number: u32) -> Vec<u8> {
        let mut bytes = nanos.to_ne_bytes().to_vec();
        [id, line, number, 1, 0, 0, 0, 0, 0, 0].iter().for_each(|n| bytes.extend(n.to_ne_bytes()));
        bytes
    }

    #[test]
    fn edges_and_losses() {
        let names = vec![(17, "GPIO17".to_owned()), (27, String::new())];
        let mut lines = Lines { fd: None, chip: "gpiochip0".into(), names, next: None };
        let mut batch = Batch::new(Tag::new("t"));
        let bytes = [event(5, 1, 17, 1), event(9, 2, 27, 2)].concat();
        assert_eq!(lines.write(&bytes, Time(1_000_000_000), &mut batch), 0);
        assert_eq!(lines.write(&event(11, 2, 17, 40), Time(1_000_000_000), &mut batch), 37);
        let mut out = Vec::new();
        batch.records().for_each(|r| write_map(r.body(), JsonOpts::default(), &mut out));
        let want = r#"{"chip":"gpiochip0","line":17,"name":"GPIO17","edge":"rising"}{"chip":"gpiochip0","line":27,"edge":"falling"}{"chip":"gpiochip0","line":17,"name":"GPIO17","edge":"falling"}"#;
        assert_eq!(String::from_utf8_lossy(&out), want);
        assert_eq!(batch.record(1).time(), Time(1_000_000_009));
        let mut late = Lines { fd: None, chip: "c".into(), names: Vec::new(), next: None };
        assert_eq!(late.write(&event(5, 1, 17, 9), Time(1), &mut batch), 8, "before the first reading");
    }

    #[test]
    fn chips_that_are_none() {
        assert_eq!(find_chip("/dev/null").unwrap_err(), "/dev/null is no GPIO chip");
        assert!(find_chip("no-such-chip").unwrap_err().starts_with("there is no GPIO chip 'no-such-chip'; there is "));
    }

    #[test]
    fn keys() {
        let said = |conf: &[(&str, &str)], said| judged(Kind::Input, &PLUGIN.info, PLUGIN.make, conf, said);
        said(&[("lines", "17, GPIO27"), ("edge", "rising"), ("bias", "pull_up"), ("debounce", "0.005")], "");
        said(&[], "'Lines' is required");
        said(&[("lines", ",")], "Lines names none");
        said(&[("lines", "1"), ("debounce", "0")], "Debounce is 0");
        said(&[("lines", "1"), ("edge", "up")], "'up' is not one of: both rising falling");
        let mut conf = GpioConf {
            chip: "c".into(),
            lines: CList(vec!["1".into()]),
            edge: Edge::Falling,
            active_low: true,
            bias: Bias::PullDown,
            debounce: None,
        };
        assert_eq!(flags(&conf), flag::INPUT | flag::EDGE_FALLING | flag::ACTIVE_LOW | flag::BIAS_PULL_DOWN);
        (conf.edge, conf.bias, conf.active_low) = (Edge::Both, Bias::AsIs, false);
        assert_eq!(flags(&conf), flag::INPUT | flag::EDGE_RISING | flag::EDGE_FALLING);
    }
}
