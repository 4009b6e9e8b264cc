//! What holds an epoch, as an instance uses it.

use std::sync::Arc;

use nubo_cache::{
    Storage,
    storage::{Announced, DocumentKey, Settled},
};
use nubo_core::{
    Error, Result,
    cache::{Held, Lookup, Members, Scan, SetName, Statistics},
    coordination::{Epoch, Incarnation},
    id::Id,
    observe::BatchId,
    position::Position,
};

use super::{Command, Reply, SimRedis, link::Link};
use crate::{mutant::Mutant, storage::short};

/// What holds an epoch, as an instance uses it.
pub struct SimEpoch {
    pub(super) link: Arc<Link>,
    pub(super) epoch: Epoch,
    pub(super) on: Incarnation,
    pub(super) instance: Id,
}

impl SimEpoch {
    pub(super) async fn act(&self, what: &'static str, command: Command) -> Result<Reply> {
        let connection = self.link.connection(&self.on)?;
        let epoch = self.epoch;
        let act = move |server: &Arc<SimRedis>| server.act(epoch, command);
        self.link.call(connection, what, act).await
    }

    pub(super) fn note(&self, text: impl FnOnce() -> String) {
        self.link.server.scheduler.note(text);
    }
}

/// A bug of the simulation.
pub(super) fn wrong<T>(_: Reply) -> Result<T> {
    Err(Error::internal("an answer to another question"))
}

impl Storage for SimEpoch {
    async fn read(&self, documents: &[DocumentKey]) -> Result<Vec<Lookup>> {
        let mut found = Vec::with_capacity(documents.len());
        for key in documents {
            let ticket = self.link.ticket();
            match self.act("read", Command::Read(*key)).await? {
                Reply::Lookup(lookup) => {
                    if let Lookup::Held(held) = &lookup {
                        self.link.keep(self.epoch, *key, held, ticket);
                    }
                    self.note(|| format!("document {} is {lookup:?}", short(key.id)));
                    found.push(lookup);
                }
                other => return wrong(other),
            }
        }
        Ok(found)
    }

    async fn fill(
        &self,
        documents: Vec<(DocumentKey, u64, Arc<Held>)>,
        lifetime: Option<i64>,
    ) -> Result<Vec<bool>> {
        let mut counts = Vec::with_capacity(documents.len());
        for (key, token, held) in documents {
            let revision = held.revision;
            let command = Command::Fill(key, token, held, lifetime);
            match self.act("fill", command).await? {
                Reply::Yes(counted) => {
                    self.note(|| format!("fills {} with {revision}: {counted}", short(key.id)));
                    counts.push(counted);
                }
                other => return wrong(other),
            }
        }
        Ok(counts)
    }

    async fn announce(
        &self,
        batch: BatchId,
        documents: &[Announced],
        claimed: &[DocumentKey],
    ) -> Result<Vec<bool>> {
        if !claimed.is_empty() {
            let command = Command::ClaimFor(self.instance, batch, claimed.to_vec());
            self.act("claim", command).await?;
        }
        let mut wanted = Vec::with_capacity(documents.len());
        for announced in documents {
            let command = Command::Announce(self.instance, batch, announced.clone());
            match self.act("announce", command).await? {
                Reply::Yes(own) => wanted.push(own),
                other => return wrong(other),
            }
            let server = &self.link.server;
            if server.mutant == Some(Mutant::TokensExpire) {
                server.let_expire(self.epoch, batch, announced.document);
            }
            self.link.forget(Some(announced.document));
        }
        Ok(wanted)
    }

    async fn announce_late(
        &self,
        batch: BatchId,
        documents: &[Announced],
    ) -> Result<Option<Vec<bool>>> {
        if documents.iter().all(|announced| announced.is_new) {
            let places = documents.iter().flat_map(|announced| &announced.places);
            let sets = places.map(|place| place.set.clone()).collect();
            if let Reply::Yes(false) = self.act("looks at sets", Command::Heads(sets)).await? {
                return Ok(None);
            }
        }
        self.announce(batch, documents, &[]).await.map(Some)
    }

    fn at_hand(&self, document: DocumentKey) -> Option<Arc<Held>> {
        let held = self.link.at_hand(self.epoch, document)?;
        self.note(|| format!("{} is at hand: {}", short(document.id), held.revision));
        Some(held)
    }

    fn empty_hand(&self) {
        self.link.forget(None);
    }

    async fn settle(&self, batch: BatchId, documents: Vec<Settled>) -> Result<()> {
        if documents.is_empty() {
            let command = Command::SettleNone(self.instance, batch);
            return self.act("settle", command).await.map(drop);
        }
        for settled in documents {
            let command = Command::Settle(self.instance, batch, settled);
            self.act("settle", command).await?;
        }
        Ok(())
    }

    async fn abort(
        &self,
        batch: BatchId,
        documents: &[Announced],
        claimed: &[DocumentKey],
    ) -> Result<()> {
        for announced in documents {
            let command = Command::Abort(self.instance, batch, announced.clone());
            self.act("abort", command).await?;
        }
        if !claimed.is_empty() {
            let command = Command::Unclaim(self.instance, batch, claimed.to_vec());
            self.act("take claims back", command).await?;
        }
        Ok(())
    }

    async fn scan(&self, sets: &[SetName], after: Option<&Position>, most: usize) -> Result<Scan> {
        let command = Command::Scan(sets.to_vec(), after.cloned(), most);
        match self.act("scan", command).await? {
            Reply::Scan(scan) => Ok(scan),
            other => wrong(other),
        }
    }

    async fn begin(&self, set: &SetName) -> Result<Option<u64>> {
        match self.act("begin", Command::Begin(set.clone())).await? {
            Reply::Token(token) => Ok(token),
            other => wrong(other),
        }
    }

    async fn build(&self, set: &SetName, token: u64, members: Members) -> Result<bool> {
        let command = Command::Build(set.clone(), token, members);
        match self.act("build", command).await? {
            Reply::Yes(built) => Ok(built),
            other => wrong(other),
        }
    }

    async fn forget_sets(&self, sets: &[SetName]) -> Result<()> {
        for set in sets {
            let command = Command::Forget(set.clone());
            self.act("forget a set", command).await?;
        }
        Ok(())
    }

    async fn clear(&self) -> Result<()> {
        self.act("clear", Command::Clear).await.map(drop)
    }

    /// The whole epoch ends instead.
    async fn distrust(&self) -> Result<()> {
        self.clear().await
    }

    fn statistics(&self) -> Statistics {
        Statistics::default()
    }
}
