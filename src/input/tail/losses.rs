//! What cuts have cost: it is counted, and said as exactly as it can be known.

use super::cut::Cut;
use super::siblings::Sibling;
use super::state::State;
use std::path::Path;

/// What cuts have cost so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Losses {
    /// Cuts of which a copy was found: what was written between copying and cutting is unknown.
    copied: u64,
    /// Cuts of which none was found.
    bare: u64,
    /// Bytes that were seen and not read.
    bytes: u64,
}

impl State {
    /// A file was cut; `own` is the copy that was made before, and there are `others` of contents that were never seen.
    pub fn report_cut(&self, name: &Path, cut: &Cut, own: Option<&Sibling>, others: usize) {
        let (label, name, offset) = (self.cx.label(), name.display(), cut.offset);
        if others > 0 {
            log::info!("[{label}] '{name}' was copied and cut several times: reading {others} more copies whole");
        }
        let Some(copy) = own else {
            // Of an empty file nothing is missing.
            if cut.offset > 0 || cut.size > 0 {
                let lost = cut.size.saturating_sub(cut.offset);
                let losses = self.count(|l| (l.bytes, l.bare) = (l.bytes + lost, l.bare + 1));
                let lost = match lost {
                    0 => "what was written to it since the last look is lost, if anything was".into(),
                    n => format!("at least {n} bytes are lost"),
                };
                let why = format!(
                    "'{name}' was cut or written anew below offset {offset}, and no copy beside it holds what it held: \
                     {lost} ({} times so far)",
                    losses.bare
                );
                self.cx.lost(0, &why);
            }
            return;
        };
        let (at, size) = (copy.path.display(), copy.facts.size);
        let lost = cut.size.saturating_sub(size.max(cut.offset));
        let losses = self.count(|l| (l.bytes, l.copied) = (l.bytes + lost, l.copied + 1));
        let rest = match size.checked_sub(offset) {
            Some(rest) if rest > 0 => format!("reading {rest} bytes there from offset {offset} on"),
            _ => "all that stands there was read before".into(),
        };
        log::info!(
            "[{label}] '{name}' was copied to '{at}' and cut: {rest}. What was written between copying and cutting, if \
             anything was, cannot be known ({} times so far)",
            losses.copied
        );
        if lost > 0 {
            self.cx
                .lost(0, &format!("'{name}' was cut after it was copied to '{at}': {lost} bytes behind that are lost"));
        }
    }

    /// A copy was overwritten by the next one; `offset` bytes of the `size` it had were read.
    pub fn report_overwritten(&self, name: &Path, offset: u64, size: u64) {
        let lost = size.saturating_sub(offset);
        if lost > 0 {
            self.count(|l| l.bytes += lost);
            let name = name.display();
            let why =
                format!("'{name}' was overwritten by the next copy: {lost} bytes behind offset {offset} are lost");
            self.cx.lost(0, &why);
        }
    }

    /// What cuts have cost, at the end.
    pub fn report_losses(&self) {
        let Losses { copied, bare, bytes } = self.losses.get();
        if bare > 0 || bytes > 0 {
            log::warn!(
                "[{}] files were cut {bare} times without a copy, and {copied} times with one: at least {bytes} bytes are lost",
                self.cx.label()
            );
        }
    }

    fn count(&self, add: impl FnOnce(&mut Losses)) -> Losses {
        let mut losses = self.losses.get();
        add(&mut losses);
        self.losses.set(losses);
        losses
    }
}
