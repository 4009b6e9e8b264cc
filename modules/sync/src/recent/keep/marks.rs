//! Marks: how far this process has come, in the tier and in the truth.

use std::collections::HashMap;

use nubo_core::{
    Result,
    coordination::Epoch,
    id::Id,
    outbox::{Outbox, Standing},
    recent::Sight,
};

use super::Keeping;

impl Keeping {
    /// Learns how far this process has come, where that is not certain.
    pub(super) async fn learn_mark(
        &mut self,
        outbox: &dyn Outbox,
        standing: &Standing,
        sight: &Sight,
    ) -> Result<()> {
        let epoch = standing.epoch;
        if self.is_sure && self.mark.0 == epoch {
            return Ok(());
        }
        let of = |marks: &HashMap<Id, i64>| marks.get(&self.store.process).copied().unwrap_or(0);
        let (tier, truth) = (of(&sight.marks), of(&standing.marks));
        if tier > truth {
            // It was moved in the tier alone.
            outbox.arrived(epoch, &[], self.store.process, tier).await?;
        }
        self.mark = (epoch, tier);
        self.is_sure = true;
        Ok(())
    }

    /// Removes the notes of what has arrived.
    pub(super) async fn trim(&mut self, outbox: &dyn Outbox, epoch: Epoch) -> Result<()> {
        let notes = self.store.arriving().take_arrived();
        if notes.is_empty() {
            return Ok(());
        }
        let (process, mark) = (self.store.process, self.mark.1);
        self.is_sure = false;
        let moved = self.store.recent.mark(epoch, process, mark).await;
        // Over another connection it may be another tier, or one that has lost what has arrived.
        let is_same = self.store.recent.epoch() == Some(epoch);
        let removed = match moved {
            Ok(true) if !is_same => {
                // The next look tells; if so what has arrived is forgotten.
                self.store.arriving().put_back_arrived(notes);
                return Ok(());
            }
            Ok(true) => outbox.arrived(epoch, &notes, process, mark + 1).await,
            other => other,
        };
        match removed {
            Ok(true) => {
                self.mark.1 = mark + 1;
                self.is_sure = true;
                Ok(())
            }
            // It is another epoch, or one of the two was set back: the next look tells.
            Ok(false) => {
                self.store.recent.distrust();
                Ok(())
            }
            Err(error) => {
                self.store.arriving().put_back_arrived(notes);
                Err(error)
            }
        }
    }
}
