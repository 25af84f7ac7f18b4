//! Inputs: where records come from. One file per plugin, one line in [`PLUGINS`].

#[cfg(feature = "beats")]
pub mod beats;
#[cfg(feature = "boards")]
pub mod cpu;
mod cx;
pub mod datagrams;
#[cfg(feature = "boards")]
pub mod disk;
pub mod dummy;
#[cfg(feature = "http")]
pub mod elasticsearch;
#[cfg(feature = "tools")]
pub mod exec;
#[cfg(feature = "monitor")]
pub mod fluentbit_metrics;
#[cfg(feature = "forward")]
pub mod forward;
pub mod framer;
#[cfg(feature = "boards")]
pub mod gauge;
#[cfg(feature = "boards")]
pub mod gpio_events;
#[cfg(feature = "tools")]
pub mod head;
#[cfg(feature = "boards")]
pub mod health;
#[cfg(feature = "http")]
pub mod http;
pub mod in_order;
pub mod interval;
#[cfg(feature = "boards")]
pub mod kmsg;
#[cfg(feature = "kubernetes")]
pub mod kubernetes_events;
#[cfg(feature = "boards")]
pub mod mem;
#[cfg(feature = "mqtt")]
pub mod mqtt;
#[cfg(feature = "boards")]
pub mod netif;
#[cfg(any(feature = "beats", feature = "mqtt"))]
mod owing;
pub mod pcap;
#[cfg(feature = "boards")]
pub mod proc;
#[cfg(feature = "tools")]
pub mod random;
pub mod reader;
#[cfg(feature = "boards")]
pub mod serial;
pub mod serve;
pub mod stdin;
pub mod syslog;
#[cfg(feature = "systemd")]
pub mod systemd;
pub mod tail;
pub mod tcp;
#[cfg(feature = "boards")]
pub mod thermal;
#[cfg(feature = "network")]
pub mod udp;
#[cfg(feature = "network")]
pub mod unix_socket;
#[cfg(feature = "boards")]
pub mod uptime;
pub mod values;
#[cfg(feature = "http")]
pub mod web;

pub use cx::{Ack, Hold, InputCx, Intake};

use crate::conf::{PluginInfo, table};
use crate::error::Error;
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;

/// A source of records.
pub trait Input {
    /// Reads until [`InputCx::stopping`] or the end of the source. An error ends this input only; the engine says so.
    fn run(self: Box<Self>, cx: InputCx) -> LocalFuture<'static, Result<(), Error>>;

    /// Called once before any input runs. An error keeps the program from starting: for what can only be asked of the
    /// running system, and would make the whole configuration pointless.
    ///
    /// # Errors
    /// Worded for the operator, with the place in the configuration.
    fn start(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// What becomes of records that are not read, or not acknowledged. It decides what `storage.type filesystem` writes.
    fn patience(&self) -> Patience {
        Patience::None
    }
}

/// Whether a source can be asked to wait, or to give again what it gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Patience {
    /// What is not read may be lost: beyond the memory limit records go to the disk.
    None,
    /// What is not read stays at the source: the disk is filled only while a destination is down.
    Waits,
    /// And what is not acknowledged is read again at the next start: only what is not delivered soon is written.
    ReadsAgain,
}

/// An input plugin of the table.
pub struct InputPlugin {
    /// Name, keys and documentation.
    pub info: PluginInfo,
    /// Checks the section and makes an instance; what is wrong goes to `cx.diags`.
    pub make: fn(&mut MakeCx<'_>) -> Option<Box<dyn Input>>,
}

table! {
    /// Every input, by name.
    PLUGINS: InputPlugin =
    #[cfg(feature = "beats")]
    &beats::PLUGIN,
    #[cfg(feature = "boards")]
    &cpu::PLUGIN,
    #[cfg(feature = "boards")]
    &disk::PLUGIN,
    &dummy::PLUGIN,
    #[cfg(feature = "http")]
    &elasticsearch::PLUGIN,
    #[cfg(feature = "tools")]
    &exec::PLUGIN,
    #[cfg(feature = "monitor")]
    &fluentbit_metrics::PLUGIN,
    #[cfg(feature = "forward")]
    &forward::PLUGIN,
    #[cfg(feature = "boards")]
    &gpio_events::PLUGIN,
    #[cfg(feature = "tools")]
    &head::PLUGIN,
    #[cfg(feature = "boards")]
    &health::PLUGIN,
    #[cfg(feature = "http")]
    &http::PLUGIN,
    #[cfg(feature = "boards")]
    &kmsg::PLUGIN,
    #[cfg(feature = "kubernetes")]
    &kubernetes_events::PLUGIN,
    #[cfg(feature = "boards")]
    &mem::PLUGIN,
    #[cfg(feature = "boards")]
    &netif::PLUGIN,
    #[cfg(feature = "mqtt")]
    &mqtt::PLUGIN,
    &pcap::PLUGIN,
    #[cfg(feature = "boards")]
    &proc::PLUGIN,
    #[cfg(feature = "tools")]
    &random::PLUGIN,
    #[cfg(feature = "boards")]
    &serial::PLUGIN,
    &stdin::PLUGIN,
    &syslog::PLUGIN,
    #[cfg(feature = "systemd")]
    &systemd::PLUGIN,
    &tail::PLUGIN,
    &tcp::PLUGIN,
    #[cfg(feature = "boards")]
    &thermal::PLUGIN,
    #[cfg(feature = "network")]
    &udp::PLUGIN,
    #[cfg(feature = "network")]
    &unix_socket::PLUGIN,
    #[cfg(feature = "boards")]
    &uptime::PLUGIN,
}
