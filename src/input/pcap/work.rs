//! What is done with packets: the analysis, and its documents as records of the tags of their protocols.

use crate::fmt::capture::Packet;
use crate::input::InputCx;
use crate::time::Time;

/// The analysis of one input.
#[derive(Debug)]
pub struct Work {
    cx: InputCx,
}

impl Work {
    /// Nothing was seen yet.
    pub fn new(cx: &InputCx) -> Self {
        Self { cx: cx.clone() }
    }

    /// Takes a packet in.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        log::trace!("[{}] {} bytes", self.cx.label(), packet.wire_len);
    }

    /// No packet before `now` will come.
    pub fn tick(&mut self, _now: Time) {}

    /// Whether something waits for time to pass.
    pub fn waits(&self) -> bool {
        false
    }

    /// Hands on what was written since the last time.
    pub fn commit(&mut self) {}

    /// Nothing more will come: what waits is written.
    pub fn finish(&mut self) {}
}
