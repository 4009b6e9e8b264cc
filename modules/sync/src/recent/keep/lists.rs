//! Having the pending lists kept and complete.
//!
//! Lists that are begun have every batch that is announced from then on. When every batch is over that
//! was under way before, what was committed without being in them has a note, and when those notes are
//! worked off the lists are complete. That may take many steps, and goes on where the last one stopped.

use nubo_core::{
    Result,
    coordination::Epoch,
    outbox::{Outbox, Place},
    recent::{Beginning, Condition},
    time::Timestamp,
};

use super::{Ends, Keeping, PAGES, Progress};

/// How long somebody may take who has begun the lists, in microseconds.
const PATIENCE: i64 = 10_000_000;
/// While more documents than this wait to be brought the lists are not begun: they would grow too long
/// at once.
const CROWD: usize = 4000;

/// Lists that this process has begun, on their way to be complete.
pub(super) struct Opening {
    pub beginning: Beginning,
    /// What is noted until this moment is to be brought. None while batches are under way that may not
    /// be in the lists.
    until: Option<Timestamp>,
    /// How far that has come.
    after: Option<Place>,
    /// Whether notes were passed over whose documents are on their way: those are to have arrived.
    has_passed_over: bool,
}

/// What there is of the lists after a step.
pub(super) struct Lists {
    pub are_open: bool,
    /// Whether there is more to do at once.
    pub has_more: bool,
}

const CLOSED: Lists = Lists {
    are_open: false,
    has_more: false,
};

impl Opening {
    pub const fn new(beginning: Beginning) -> Self {
        Self {
            beginning,
            until: None,
            after: None,
            has_passed_over: false,
        }
    }
}

impl Keeping {
    /// Has the lists be kept and complete.
    pub(super) async fn open_lists(&mut self, outbox: &dyn Outbox, epoch: Epoch) -> Result<Lists> {
        let is_own = |opening: &Opening| opening.beginning.epoch == epoch;
        self.opening = self.opening.take().filter(is_own);
        match self.store.lists.condition().await? {
            Condition::Open(of) if of == epoch => {
                (self.opening, self.waits_since) = (None, None);
                return Ok(Lists {
                    are_open: true,
                    has_more: false,
                });
            }
            Condition::Away => {
                self.opening = None;
                return Ok(CLOSED);
            }
            Condition::Begun(of) if of == epoch && self.opening.is_none() => {
                // Somebody else has, and may be about to open them.
                let now = self.store.clock.ticks();
                let since = *self.waits_since.get_or_insert(now);
                if now - since < PATIENCE {
                    return Ok(CLOSED);
                }
                self.waits_since = None;
            }
            Condition::Begun(of) if of == epoch => {}
            Condition::Begun(_) | Condition::Closed | Condition::Open(_) => self.opening = None,
        }
        let Some(mut opening) = self.opening.take() else {
            if self.store.arriving().waiting() <= CROWD {
                // Batches that are under way have time until the next step.
                self.opening = self.store.lists.begin(epoch).await?.map(Opening::new);
            }
            return Ok(CLOSED);
        };
        let went = self.go_on(outbox, epoch, &mut opening).await;
        if !matches!(went, Ok(Went::ToTheEnd)) {
            self.opening = Some(opening);
            let has_more = matches!(went?, Went::On);
            return Ok(Lists { has_more, ..CLOSED });
        }
        let are_open = self.store.lists.open(&opening.beginning).await?;
        if are_open {
            tracing::info!(%epoch, "the recent tier is up to date");
        }
        Ok(Lists {
            are_open,
            has_more: false,
        })
    }

    /// Brings some of what was noted before the lists were complete.
    async fn go_on(
        &mut self,
        outbox: &dyn Outbox,
        epoch: Epoch,
        opening: &mut Opening,
    ) -> Result<Went> {
        let lists = &self.store.lists;
        let until = match opening.until {
            Some(until) => until,
            None if self.waits_for_batches() && lists.is_under_way(&opening.beginning).await? => {
                return Ok(Went::Nowhere);
            }
            None => {
                // Everything that was committed before the lists were begun can be seen by now.
                let standing = outbox.standing().await?;
                if standing.epoch != epoch || !standing.is_sound {
                    return Ok(Went::Nowhere);
                }
                self.refused.clear();
                self.early.clear();
                *opening.until.insert(standing.now)
            }
        };
        let mut after = opening.after.take();
        let brought = self
            .bring_noted(outbox, epoch, until, &mut after, PAGES, Ends::Stay)
            .await;
        opening.after = after;
        let Progress {
            is_done,
            has_passed_over,
        } = brought?;
        opening.has_passed_over |= has_passed_over;
        if !is_done {
            return Ok(Went::On);
        }
        opening.after = None;
        match std::mem::take(&mut opening.has_passed_over) {
            true => Ok(Went::On),
            false => Ok(Went::ToTheEnd),
        }
    }

    /// Always, but for a deliberate mistake.
    #[cfg_attr(not(feature = "flaws"), allow(clippy::unused_self))]
    fn waits_for_batches(&self) -> bool {
        #[cfg(feature = "flaws")]
        if self.store.is(crate::Flaw::ListsOpenedEarly) {
            return false;
        }
        true
    }
}

/// How far a step has come.
enum Went {
    /// It is to be tried another time.
    Nowhere,
    /// There is more to do at once.
    On,
    /// Everything that was noted has been brought.
    ToTheEnd,
}
