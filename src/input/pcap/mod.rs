//! `pcap`: captured packets, live or from files, as one record per transaction and flow.

mod conf;
mod drops;
mod files;
pub mod generated;
pub mod interfaces;
pub mod libpcap;
mod live;
mod pace;
mod plan;
mod sieve;
mod sources;
pub mod tags;
mod work;

pub use conf::{PcapConf, Period};

use super::{Input, InputCx, InputPlugin};
use crate::conf::{PluginInfo, Table};
use crate::decode::PROTOCOLS;
use crate::error::Error;
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;

/// The plugin.
pub static PLUGIN: InputPlugin = InputPlugin {
    info: PluginInfo {
        name: "pcap",
        doc: "Decodes packets of network interfaces or capture files: one record per transaction, and per flow. \
              `<protocol>` in `Tag` becomes the protocol's name (`flow` for flows).",
        keys: PcapConf::KEYS,
        unserved: PcapConf::UNSERVED,
        extra: &PROTOCOL_KEYS,
    },
    make: |cx| make(cx),
};

/// The keys of the protocols, in the order of their table.
static PROTOCOL_KEYS: [Table; PROTOCOLS.len()] = {
    let mut tables = [Table { keys: &[], unserved: &[] }; PROTOCOLS.len()];
    let mut n = 0;
    while n < tables.len() {
        tables[n] = PROTOCOLS[n].keys;
        n += 1;
    }
    tables
};

/// Where the packets come from.
enum Origin {
    Files(sources::Sources),
    Live(plan::Plan),
}

struct Pcap {
    conf: PcapConf,
    analysis: work::Analysis,
    origin: Origin,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = PcapConf::load(cx.section, cx.diags)?;
    let analysis = work::Analysis::new(&conf, cx)?;
    let generated = analysis.wanted(&conf).map(|wanted| generated::filter(&wanted, conf.tunnels));
    let origin = match (conf.interface.is_empty(), conf.file.is_empty()) {
        (true, false) => Origin::Files(sources::Sources::new(&conf, cx)?),
        (false, true) => Origin::Live(plan::Plan::new(&conf, generated, cx)?),
        (true, true) => {
            let help = "Add for example: File capture.pcap";
            return cx.refuse("Name", "neither Interface nor File says where packets come from", help);
        }
        (false, false) => {
            let help = "Make two [INPUT] sections: live packets and those of files have clocks of their own.";
            return cx.refuse("File", "both Interface and File are given", help);
        }
    };
    Some(Box::new(Pcap { conf, analysis, origin }))
}

impl Input for Pcap {
    fn start(&mut self) -> Result<(), Error> {
        match &mut self.origin {
            Origin::Files(sources) => sources.start(),
            Origin::Live(plan) => plan.start(),
        }
    }

    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        let Self { conf, analysis, origin } = *self;
        let work = work::Work::new(analysis, &cx);
        match origin {
            Origin::Files(sources) => Box::pin(files::run(conf, sources.into_files(), work, cx)),
            Origin::Live(plan) => Box::pin(async move {
                let (terms, interfaces) = plan.into_parts();
                live::run(interfaces, terms, work, cx).await;
                Ok(())
            }),
        }
    }
}
