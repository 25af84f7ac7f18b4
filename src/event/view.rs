//! What an output is given: a batch, or those of its records that are still to be sent.

use super::{Batch, Record, Tag};

/// The records of a batch that an output is to send: all, or those named by a partial failure.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    batch: &'a Batch,
    only: Option<&'a [u32]>,
}

impl<'a> View<'a> {
    /// Every record.
    pub fn all(batch: &'a Batch) -> Self {
        Self { batch, only: None }
    }

    /// The records of these indices.
    pub fn only(batch: &'a Batch, only: Option<&'a [u32]>) -> Self {
        Self { batch, only }
    }

    /// The tag of every record.
    pub fn tag(&self) -> &'a Tag {
        self.batch.tag()
    }

    /// The batch.
    pub fn batch(&self) -> &'a Batch {
        self.batch
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.only.map_or(self.batch.len(), <[u32]>::len)
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The records, in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'a>> {
        let (batch, only) = (self.batch, self.only);
        (0..self.len()).map(move |n| {
            let index = only.map_or(n, |o| o.get(n).map_or(usize::MAX, |&i| i as usize));
            Record { batch, index }
        })
    }
}
