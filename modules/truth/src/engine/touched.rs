//! What a database transaction has changed, kept until it is committed and then told to observers.

use std::sync::Arc;

use nubo_core::{
    Result,
    document::Document,
    id::Id,
    observe::{Fate, Touched},
    schema::CollectionId,
};
use tokio::task::{JoinError, JoinSet};

use super::{
    announce::{Announced, Announcer, Ticket},
    outbox::Outbox,
};
use crate::session::Ending;

/// How many batches of a lane are being settled at the same time.
const SETTLING: usize = 8;

/// The changes since the last commit, as far as somebody wants to hear of them.
pub(super) struct Changes {
    announcer: Arc<Announcer>,
    touched: Vec<Arc<Touched>>,
    /// What was announced of the batch and is not settled yet.
    announced: Option<Announced>,
    /// Batches that are being settled while the next ones are carried out.
    settling: JoinSet<()>,
    /// What is noted of a batch for the recent tier, where there is one.
    outbox: Option<Arc<Outbox>>,
}

/// What a batch has changed of which nobody knows whether it was committed.
pub(super) struct Doubtful {
    pub touched: Vec<Arc<Touched>>,
    pub announced: Option<Announced>,
}

impl Changes {
    pub fn new(announcer: Arc<Announcer>, outbox: Option<Arc<Outbox>>) -> Self {
        Self {
            announcer,
            outbox,
            touched: Vec::new(),
            announced: None,
            settling: JoinSet::new(),
        }
    }

    /// Notes a change, where anybody wants to hear of it.
    pub fn note(
        &mut self,
        collection: CollectionId,
        before: Option<&Document>,
        after: Option<&Document>,
    ) {
        if self.announcer.observes(collection) {
            self.touched.push(Arc::new(Touched {
                collection,
                before: before.cloned(),
                after: after.cloned(),
            }));
        }
    }

    /// Where [`Changes::forget_since`] goes back to.
    pub fn mark(&self) -> usize {
        self.touched.len()
    }

    /// Forgets what was taken back.
    pub fn forget_since(&mut self, mark: usize) {
        self.touched.truncate(mark);
    }

    /// Announces what is about to be committed. What comes of it must be said with
    /// [`Changes::settle`], also where this fails. Gives what belongs to the commit.
    pub async fn announce(&mut self) -> Result<Ending> {
        let announced = self.announced.insert(Announced::new());
        let terms = self.announcer.announce(&self.touched, announced).await?;
        let batch = announced.batch();
        let note = self.outbox.as_ref().and_then(|outbox| {
            let instance = terms.as_ref().map_or(Id::NIL, |terms| terms.instance);
            outbox.note(instance, batch, &self.touched)
        });
        Ok(Ending { terms, note })
    }

    /// Says what has become of what was announced.
    pub async fn settle(&mut self, fate: Fate) {
        if let Some(announced) = self.announced.take() {
            announced.settle(fate).await;
        }
    }

    /// The same, while the next batches are carried out: nobody waits for it. Where many are being
    /// settled already, whoever settles them is slow, and this waits for one to end.
    pub async fn settle_meanwhile(&mut self, fate: Fate) {
        let Some(announced) = self.announced.take() else {
            return;
        };
        while self.settling.len() >= SETTLING
            && let Some(settled) = self.settling.join_next().await
        {
            told(settled);
        }
        self.settling.spawn(announced.settle(fate));
    }

    /// Waits until everything is settled.
    pub async fn settled(&mut self) {
        while let Some(settled) = self.settling.join_next().await {
            told(settled);
        }
    }

    /// Tells all observers that somebody else has written.
    pub async fn overtaken(&self) {
        self.announcer.overtaken().await;
    }

    /// The place of the commit that is about to be made.
    pub fn ticket(&self) -> Ticket {
        self.announcer.ticket()
    }

    /// Takes what is committed now.
    pub fn take(&mut self) -> Vec<Arc<Touched>> {
        std::mem::take(&mut self.touched)
    }

    /// Takes what may have been committed, or not.
    pub fn take_doubtful(&mut self) -> Doubtful {
        Doubtful {
            touched: self.take(),
            announced: self.announced.take(),
        }
    }
}

fn told(settled: Result<(), JoinError>) {
    if let Err(error) = settled {
        tracing::error!(%error, "settling a batch has failed");
    }
}
