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
use crate::conf::PluginInfo;
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
        extra: &[],
    },
    make: |cx| make(cx),
};

/// Where the packets come from.
enum Origin {
    Files(sources::Sources),
    Live(plan::Plan),
}

struct Pcap {
    conf: PcapConf,
    origin: Origin,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Input>> {
    let conf = PcapConf::load(cx.section, cx.diags)?;
    let origin = match (conf.interface.is_empty(), conf.file.is_empty()) {
        (true, false) => Origin::Files(sources::Sources::new(&conf, cx)?),
        (false, true) => Origin::Live(plan::Plan::new(&conf, None, cx)?),
        (true, true) => {
            let help = "Add for example: File capture.pcap";
            return cx.refuse("Name", "neither Interface nor File says where packets come from", help);
        }
        (false, false) => {
            let help = "Make two [INPUT] sections: live packets and those of files have clocks of their own.";
            return cx.refuse("File", "both Interface and File are given", help);
        }
    };
    Some(Box::new(Pcap { conf, origin }))
}

impl Input for Pcap {
    fn start(&mut self) -> Result<(), Error> {
        match &mut self.origin {
            Origin::Files(sources) => sources.start(),
            Origin::Live(plan) => plan.start(),
        }
    }

    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>> {
        let Self { conf, origin } = *self;
        match origin {
            Origin::Files(sources) => Box::pin(files::run(conf, sources.into_files(), work::Work::new(&cx), cx)),
            Origin::Live(plan) => Box::pin(async move {
                let (terms, interfaces) = plan.into_parts();
                live::run(interfaces, terms, work::Work::new(&cx), cx).await;
                Ok(())
            }),
        }
    }
}
