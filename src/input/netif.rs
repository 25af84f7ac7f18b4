//! `netif`: the traffic of a network interface.

use super::gauge::{Fault, Gauge, IntervalConf, ProcConf, TextFile, watch};
use super::{Input, InputCx, InputPlugin};
use crate::conf::PluginInfo;
use crate::error::Error;
use crate::event::{Batch, Cell, Key};
use crate::fmt::procfs::{PACKETS, Traffic, grown, interfaces};
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use crate::time::Time;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "netif",
        doc: "Traffic of a network interface since the interval before: eth0.rx.bytes, eth0.rx.packets, eth0.rx.errors and the \
              same of tx; with Verbose all that the kernel counts. While the interface is not there, there are no records.",
        keys: NetifConf::KEYS,
        unserved: NetifConf::UNSERVED,
        extra: &[IntervalConf::TABLE, ProcConf::TABLE],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `netif`.
    pub struct NetifConf {
        /// The interface, for example `eth0`.
        interface: String => "Interface" required,
        /// Also drop, fifo, frame, compressed, multicast, collisions and carrier.
        verbose: bool => "Verbose" = "off",
        /// Do not start when there is no such interface.
        test_at_init: bool => "Test_At_Init" = "off",
    }
}

/// What the kernel counts, in its order (one name is spelt as Fluent Bit does), and what is told without `Verbose`.
const COUNTERS: [(&str, bool); 16] = [
    ("rx.bytes", true),
    ("rx.packets", true),
    ("rx.errors", true),
    ("rx.drop", false),
    ("rx.fifo", false),
    ("rx.frame", false),
    ("rx.compressed", false),
    ("rx.multicast", false),
    ("tx.bytes", true),
    ("tx.packets", true),
    ("tx.errors", true),
    ("tx.drop", false),
    ("tx.fifo", false),
    ("tx.collisions", false),
    ("tx.carrier", false),
    ("tx.compressepd", false),
];

struct Netif {
    interval: IntervalConf,
    test: bool,
    gauge: NetGauge,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = NetifConf::load(cx.section, cx.diags)?;
    let interval = IntervalConf::load(cx.section, cx.diags)?;
    let proc = ProcConf::load(cx.section, cx.diags)?;
    Some(Box::new(Netif { interval, test: conf.test_at_init, gauge: NetGauge::new(&conf, &proc) }))
}

impl Input for Netif {
    fn start(&mut self) -> Result<(), Error> {
        if self.test {
            self.gauge.traffic().map_err(|why| Error::Config(format!("netif: {why} (Test_At_Init)")))?;
        }
        Ok(())
    }

    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        Box::pin(async move { watch(&cx, self.interval.period(), self.gauge).await })
    }
}

struct NetGauge {
    file: TextFile,
    interface: String,
    keys: [Option<Key>; 16],
    before: Option<Traffic>,
    grown: Option<Traffic>,
}

impl NetGauge {
    fn new(conf: &NetifConf, proc: &ProcConf) -> Self {
        let key =
            |(name, told): (&str, bool)| (told || conf.verbose).then(|| Key::of(&format!("{}.{name}", conf.interface)));
        Self {
            file: TextFile::new(proc.file("net/dev")),
            interface: conf.interface.clone(),
            keys: COUNTERS.map(key),
            before: None,
            grown: None,
        }
    }

    fn traffic(&mut self) -> Result<Traffic, String> {
        let found = interfaces(self.file.read()?).find(|(name, _)| *name == self.interface.as_bytes());
        found.map(|(_, traffic)| traffic).ok_or_else(|| format!("there is no interface '{}'", self.interface))
    }
}

impl Gauge for NetGauge {
    fn read(&mut self) -> Result<(), Fault> {
        // An interface that was away begins anew: nobody knows at what.
        let before = self.before.take();
        self.grown = None;
        let now = self.traffic()?;
        self.grown = before.map(|before| {
            let anew = PACKETS.iter().any(|&i| at(&now, i) < at(&before, i));
            std::array::from_fn(|i| grown(at(&before, i), at(&now, i), anew))
        });
        self.before = Some(now);
        Ok(())
    }

    fn write(&mut self, batch: &mut Batch, now: Time) {
        let Some(traffic) = self.grown else { return };
        let mark = batch.begin();
        for (key, n) in self.keys.iter().zip(traffic) {
            if let Some(key) = key {
                batch.push(Cell::uint(*key, n));
            }
        }
        batch.finish(mark, now);
    }
}

fn at(traffic: &Traffic, i: usize) -> u64 {
    traffic.get(i).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::gauge::testing::{Root, look};

    fn gauge(root: &Root, interface: &str, verbose: bool) -> NetGauge {
        let conf = NetifConf { interface: interface.into(), verbose, test_at_init: false };
        NetGauge::new(&conf, &root.conf())
    }

    fn dev(name: &str, n: u64) -> String {
        let counters = (0..16).map(|i| format!(" {}", n * (i + 1))).collect::<String>();
        format!("Inter-| Receive\n face |bytes\n    lo: 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\n{name}:{counters}\n")
    }

    #[test]
    fn an_interface_comes_and_goes() {
        let root = Root::new();
        let mut net = gauge(&root, "eth0", false);
        root.write("net/dev", dev("eth0", 10));
        assert_eq!(look(&mut net), "");
        root.write("net/dev", dev("eth0", 11));
        let one = r#"{"eth0.rx.bytes":1,"eth0.rx.packets":2,"eth0.rx.errors":3,"eth0.tx.bytes":9,"eth0.tx.packets":10,"eth0.tx.errors":11}"#;
        assert_eq!(look(&mut net), one);
        root.write("net/dev", dev("eth0.5", 500));
        assert_eq!(look(&mut net), "there is no interface 'eth0'");
        root.write("net/dev", dev("eth0", 70));
        assert_eq!(look(&mut net), "", "what went on before it is known");
        root.write("net/dev", dev("eth0", 71));
        assert_eq!(look(&mut net), one);
        // Pulled out and in again between two looks.
        root.write("net/dev", dev("eth0", 3_000_000_000));
        look(&mut net);
        root.write("net/dev", dev("eth0", 1));
        assert_eq!(look(&mut net), one);
    }

    #[test]
    fn a_counter_of_32_bits() {
        let root = Root::new();
        let mut net = gauge(&root, "eth0", false);
        root.write("net/dev", "eth0: 4294967290 9 0 0 0 0 0 0 7 7 0 0 0 0 0 0\n");
        look(&mut net);
        root.write("net/dev", "eth0: 94 10 0 0 0 0 0 0 7 7 0 0 0 0 0 0\n");
        let record = look(&mut net);
        assert!(record.starts_with(r#"{"eth0.rx.bytes":100,"eth0.rx.packets":1,"#), "{record}");
    }

    #[test]
    fn everything_that_is_counted() {
        let root = Root::new();
        let mut net = gauge(&root, "wlan0", true);
        root.write("net/dev", dev("wlan0", 0));
        look(&mut net);
        root.write("net/dev", dev("wlan0", 1));
        let all = look(&mut net);
        assert!(
            all.starts_with(r#"{"wlan0.rx.bytes":1,"wlan0.rx.packets":2,"wlan0.rx.errors":3,"wlan0.rx.drop":4,"#),
            "{all}"
        );
        assert!(all.ends_with(r#""wlan0.tx.collisions":14,"wlan0.tx.carrier":15,"wlan0.tx.compressepd":16}"#), "{all}");
    }
}
