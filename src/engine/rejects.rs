//! Records that an output will never take.

use super::core::Core;
use super::delivery::{Delivery, OutputState};
use super::queue::Entry;
use crate::output::Why;
use std::rc::Rc;

/// Which records of a delivery are refused, and why.
#[derive(Debug, Clone, Copy)]
pub(super) enum Refused<'a> {
    /// Every one that was still to be sent, for one reason.
    All(&'a Why),
    /// Those of these indices in the batch.
    Some(&'a [(u32, Why)]),
}

impl<'a> Refused<'a> {
    /// The first reason.
    pub(super) fn first(&self) -> Option<&'a Why> {
        match self {
            Self::All(why) => Some(why),
            Self::Some(list) => list.first().map(|(_, why)| why),
        }
    }
}

/// Puts refused records where they can be looked at and sent again; returns when they are there.
pub(super) async fn keep(_: &Rc<Core>, _: &OutputState, _: &Entry<Delivery>, _: Refused<'_>) {}
