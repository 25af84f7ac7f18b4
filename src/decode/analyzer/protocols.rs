//! The configured protocols: which one listens to a flow.

use crate::conf::Section;
use crate::decode::{Conversation, Decoder, MakeProtocol, PROTOCOLS, Probe, Protocol, Transport};
use crate::error::Diags;
use std::fmt;
use std::time::Duration;

/// Bytes of a direction that must be enough to recognise a protocol.
const PROBE_MAX: usize = 512;

/// The protocols of one input.
#[derive(Default)]
pub struct Protocols {
    list: Vec<(&'static Protocol, Box<dyn Decoder>)>,
    /// Protocol by port; the first in the table wins.
    ports: Vec<(Transport, u16, u8)>,
    detect: bool,
}

/// Which protocol the first bytes belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// This one, by its number.
    Protocol(u8),
    /// More bytes are needed to tell.
    Wait,
    /// None.
    Nothing,
}

impl Protocols {
    /// None yet. With `detect` content decides on any port, else the port alone.
    pub fn none(detect: bool) -> Self {
        Self { detect, ..Self::default() }
    }

    /// Those among `names`, all without names, configured by the section of the input. What is wrong goes to the findings.
    pub fn make(
        names: Option<&[String]>,
        detect: bool,
        section: &Section,
        timeout: Duration,
        diags: &mut Diags,
    ) -> Option<Self> {
        let mut made = Self::none(detect);
        let mut whole = true;
        for protocol in PROTOCOLS {
            if names.is_some_and(|names| !names.iter().any(|n| n.eq_ignore_ascii_case(protocol.name))) {
                continue;
            }
            match (protocol.make)(&mut MakeProtocol { section, diags, timeout }) {
                Some(decoder) => made.add(protocol, decoder),
                None => whole = false,
            }
        }
        whole.then_some(made)
    }

    /// Adds a protocol behind the others.
    pub fn add(&mut self, protocol: &'static Protocol, decoder: Box<dyn Decoder>) {
        let number = self.list.len() as u8;
        for &over in protocol.over {
            for &port in decoder.ports() {
                if self.by_port(over, port).is_none() {
                    self.ports.push((over, port, number));
                }
            }
        }
        self.list.push((protocol, decoder));
    }

    /// Names and ports of all: for a capture filter.
    pub fn ports(&self) -> impl Iterator<Item = (&'static Protocol, &[u16])> {
        self.list.iter().map(|(protocol, decoder)| (*protocol, decoder.ports()))
    }

    /// Begins a conversation.
    pub fn open(&self, number: u8, over: Transport) -> Option<Box<dyn Conversation>> {
        self.list.get(usize::from(number)).map(|(_, decoder)| decoder.open(over))
    }

    /// The protocol of a flow between two ports in which `bytes` came first in a direction. `last` says that there will
    /// not be more.
    pub fn find(&self, over: Transport, ports: [u16; 2], bytes: &[u8], last: bool) -> Found {
        let hint = ports.iter().find_map(|&port| self.by_port(over, port));
        let last = last || bytes.len() >= PROBE_MAX;
        let mut wait = false;
        if let Some(number) = hint {
            match self.probe(number, over, bytes) {
                Probe::Yes => return Found::Protocol(number),
                Probe::Maybe => wait = true,
                Probe::No => {}
            }
        }
        if self.detect {
            for number in (0..self.list.len() as u8).filter(|n| Some(*n) != hint) {
                match self.probe(number, over, bytes) {
                    Probe::Yes => return Found::Protocol(number),
                    Probe::Maybe => wait = true,
                    Probe::No => {}
                }
            }
        }
        match hint {
            _ if wait && !last => Found::Wait,
            // Nothing else claims it: what is not understood is told by the protocol of the port.
            Some(number) => Found::Protocol(number),
            None => Found::Nothing,
        }
    }

    /// Whether bytes may be the first of a direction of this protocol.
    pub fn may_be(&self, number: u8, over: Transport, bytes: &[u8]) -> bool {
        self.probe(number, over, bytes) != Probe::No
    }

    /// The protocol of ICMP.
    pub fn over_icmp(&self) -> Option<u8> {
        self.list.iter().position(|(p, _)| p.over.contains(&Transport::Icmp)).map(|n| n as u8)
    }

    fn probe(&self, number: u8, over: Transport, bytes: &[u8]) -> Probe {
        match self.list.get(usize::from(number)) {
            Some((protocol, _)) if protocol.over.contains(&over) => (protocol.probe)(over, bytes),
            _ => Probe::No,
        }
    }

    fn by_port(&self, over: Transport, port: u16) -> Option<u8> {
        self.ports.iter().find(|(o, p, _)| (*o, *p) == (over, port)).map(|(.., number)| *number)
    }
}

impl fmt::Debug for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list.iter().map(|(p, _)| p.name)).finish()
    }
}
