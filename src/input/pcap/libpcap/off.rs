//! A build without libpcap: nothing can be captured or filtered.

use super::{Counts, Refusal, Terms, Turn};
use crate::fmt::capture::{LinkType, Packet};
use crate::input::pcap::interfaces::Interface;

const WHY: &str = "this build has no live capture and no packet filters: build it with the feature `pcap`";

/// A capture; there are none in this build.
#[derive(Debug)]
pub struct Handle(());

#[allow(missing_docs)]
impl Handle {
    pub fn open(_name: &str, _terms: &Terms) -> Result<Self, Refusal> {
        Err(Refusal::Other(WHY.into()))
    }

    pub fn link(&self) -> LinkType {
        LinkType::NULL
    }

    pub async fn read(&mut self, _each: impl FnMut(&Packet<'_>)) -> Result<Turn, String> {
        Err(WHY.into())
    }

    pub fn read_now(&mut self, _each: impl FnMut(&Packet<'_>)) -> Result<usize, String> {
        Err(WHY.into())
    }

    pub fn counts(&mut self) -> Result<Counts, String> {
        Err(WHY.into())
    }
}

/// Always an error.
pub fn interfaces() -> Result<Vec<Interface>, String> {
    Err(WHY.into())
}

/// Never known.
pub fn link_type(_name: &str) -> Option<LinkType> {
    None
}

/// A compiled filter; there are none in this build.
#[derive(Debug)]
pub enum Filter {}

#[allow(missing_docs)]
impl Filter {
    pub fn compile(_text: &str, _link: LinkType) -> Result<Self, String> {
        Err(WHY.into())
    }

    pub fn takes(&self, _frame: &[u8]) -> bool {
        match *self {}
    }
}
