//! The slot of one document.

use std::sync::Arc;

use nubo_core::{cache::Held, observe::BatchId, record::Version};
use smallvec::SmallVec;

use crate::storage::LAST;

/// What is known of one document.
///
/// There are millions of these, so what few have is kept apart.
#[derive(Debug, Default)]
pub(super) struct DocumentSlot {
    held: Option<Arc<Held>>,
    /// When what is held is old, in milliseconds since 1970.
    until: Option<i64>,
    /// When it was last used, in the shard's count.
    pub(super) used: u64,
    under_way: Option<Box<UnderWay>>,
}

/// What is being read or written of a document.
#[derive(Debug, Default)]
struct UnderWay {
    /// The newest version that was settled while there were tokens. An older batch that is settled
    /// later must not bring its version back, even where this one is the document's end.
    settled: Option<Version>,
    /// The batches that are about to change it.
    tokens: SmallVec<[BatchId; 2]>,
    /// Somebody has asked the truth after this was left, and nothing was announced since.
    fill: Option<u64>,
}

/// What a reader finds.
pub(super) enum Content {
    Held(Arc<Held>),
    Missing,
    Busy,
}

impl DocumentSlot {
    /// What is there at a moment.
    pub fn content(&mut self, now: impl FnOnce() -> i64) -> Content {
        if self.is_pinned() {
            return Content::Busy;
        }
        if self.until.is_some_and(|until| until <= now()) {
            self.held = None;
            self.until = None;
        }
        match &self.held {
            Some(held) => Content::Held(Arc::clone(held)),
            None => Content::Missing,
        }
    }

    /// Leaves a fill token, or takes the one that is there: nothing has changed since.
    pub fn leave(&mut self, next: impl FnOnce() -> u64) -> u64 {
        debug_assert!(!self.is_pinned());
        *self.under_way().fill.get_or_insert_with(next)
    }

    /// Holds what was read under a fill token, if that is still there.
    pub fn fill(&mut self, token: u64, held: Arc<Held>, until: Option<i64>) -> bool {
        let own = self.under_way.as_ref().and_then(|under_way| under_way.fill);
        let counts = own == Some(token);
        if counts {
            self.under_way().fill = None;
            self.hold(held, until);
            self.tidy();
        }
        counts
    }

    /// Notes that a batch is about to change it. Whether it is held.
    pub fn announce(&mut self, batch: BatchId) -> bool {
        let under_way = self.under_way();
        under_way.fill = None;
        if !under_way.tokens.contains(&batch) {
            under_way.tokens.push(batch);
        }
        self.is_held()
    }

    /// Notes what a batch has made of it.
    pub fn settle(
        &mut self,
        batch: BatchId,
        version: Version,
        held: Option<Arc<Held>>,
        until: Option<i64>,
    ) {
        let own = self.held.as_ref().map(|held| Version::there(held.revision));
        let known = own.max(self.under_way().settled);
        if known.is_none_or(|known| known < version) {
            self.held = None;
            self.under_way().settled = Some(version);
            if let Some(held) = held {
                self.hold(held, until);
            }
        }
        self.release(batch);
    }

    /// Takes the token of a batch away. What is held stays: nothing has changed.
    pub fn release(&mut self, batch: BatchId) {
        let under_way = self.under_way();
        under_way.fill = None;
        under_way.tokens.retain(|token| *token != batch);
        if under_way.tokens.is_empty() {
            // Every batch that was announced before is settled; later ones have later versions.
            under_way.settled = None;
        }
        self.tidy();
    }

    /// Forgets what is held, and what is being read.
    pub fn forget(&mut self) {
        self.held = None;
        if let Some(under_way) = &mut self.under_way {
            under_way.fill = None;
        }
        self.tidy();
    }

    /// Forgets what is held, what is being read, and what the batches under way are about to bring:
    /// they may have been committed before somebody else has written.
    pub fn distrust(&mut self) {
        if self.is_pinned() {
            self.under_way().settled = Some(LAST);
        }
        self.forget();
    }

    /// Whether some batch is about to change it: it must stay.
    pub fn is_pinned(&self) -> bool {
        let tokens = self.under_way.as_ref().map(|under_way| &under_way.tokens);
        tokens.is_some_and(|tokens| !tokens.is_empty())
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.held.is_none() && self.under_way.is_none()
    }

    /// Whether a document is held.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// How many bytes it takes beyond its own size.
    pub fn heap(&self) -> usize {
        let held = self.held.as_ref().map_or(0, |held| {
            // The counts of the Arc, and what Bytes keeps beside its bytes.
            size_of::<Held>() + 16 + 32 + held.json.len() + held.excerpt.size()
        });
        let under_way = self.under_way.as_ref().map_or(0, |under_way| {
            let tokens = match under_way.tokens.spilled() {
                true => under_way.tokens.capacity() * size_of::<BatchId>(),
                false => 0,
            };
            size_of::<UnderWay>() + tokens
        });
        held + under_way
    }

    fn hold(&mut self, held: Arc<Held>, until: Option<i64>) {
        self.held = Some(held);
        self.until = until;
    }

    fn under_way(&mut self) -> &mut UnderWay {
        self.under_way.get_or_insert_default()
    }

    /// Where nothing is under way, nothing is kept of that.
    fn tidy(&mut self) {
        let nothing =
            |under_way: &mut Box<UnderWay>| under_way.fill.is_none() && under_way.tokens.is_empty();
        self.under_way.take_if(nothing);
    }
}
