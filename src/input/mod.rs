//! Inputs: where records come from. One file per plugin, one line in [`PLUGINS`].

pub mod beats;
pub mod cpu;
mod cx;
pub mod datagrams;
pub mod disk;
pub mod dummy;
pub mod elasticsearch;
pub mod exec;
pub mod fluentbit_metrics;
pub mod forward;
pub mod framer;
pub mod gauge;
pub mod gpio_events;
pub mod head;
pub mod health;
pub mod http;
pub mod in_order;
pub mod interval;
pub mod kmsg;
pub mod kubernetes_events;
pub mod mem;
pub mod mqtt;
pub mod netif;
pub mod owing;
pub mod pcap;
pub mod proc;
pub mod random;
pub mod reader;
pub mod serial;
pub mod serve;
pub mod stdin;
pub mod syslog;
#[cfg(feature = "systemd")]
pub mod systemd;
pub mod tail;
pub mod tcp;
pub mod thermal;
pub mod udp;
pub mod unix_socket;
pub mod uptime;
pub mod values;
pub mod web;

pub use cx::{Ack, Hold, InputCx, Intake};

use crate::conf::PluginInfo;
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

/// Every input, by name.
pub static PLUGINS: &[&InputPlugin] = &[
    &beats::PLUGIN,
    &cpu::PLUGIN,
    &disk::PLUGIN,
    &dummy::PLUGIN,
    &elasticsearch::PLUGIN,
    &exec::PLUGIN,
    &fluentbit_metrics::PLUGIN,
    &forward::PLUGIN,
    &gpio_events::PLUGIN,
    &head::PLUGIN,
    &health::PLUGIN,
    &http::PLUGIN,
    &kmsg::PLUGIN,
    &kubernetes_events::PLUGIN,
    &mem::PLUGIN,
    &netif::PLUGIN,
    &mqtt::PLUGIN,
    &pcap::PLUGIN,
    &proc::PLUGIN,
    &random::PLUGIN,
    &serial::PLUGIN,
    &stdin::PLUGIN,
    &syslog::PLUGIN,
    #[cfg(feature = "systemd")]
    &systemd::PLUGIN,
    &tail::PLUGIN,
    &tcp::PLUGIN,
    &thermal::PLUGIN,
    &udp::PLUGIN,
    &unix_socket::PLUGIN,
    &uptime::PLUGIN,
];
