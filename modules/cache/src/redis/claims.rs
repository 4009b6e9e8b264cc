//! The pending lists in Redis. All of them are in the first partition, where each batch has a record.

use nubo_core::{
    Result,
    coordination::Epoch,
    id::Id,
    observe::BatchId,
    recent::{Beginning, Claim, Condition},
    schema::CollectionId,
};
use redis::Value;

use super::{
    answers::{array, bytes, number},
    failure::unexpected,
    link::Command,
    packed,
    partitions::Partition,
    scripts::{Call, SCRIPTS, Script},
    spread::Questions,
    storage::{CHUNK, RedisStorage},
};
use crate::{claims::Claims, storage::DocumentKey};

/// Where the lists are, and the records from which is seen what is under way.
const LISTS: Partition = Partition::FIRST;
/// About how many ids one call is asked.
const MOST_IDS: usize = 1000;

impl RedisStorage {
    /// The claims of one of the instance's own batches.
    pub(super) fn claims_of(&self, batch: BatchId, claimed: &[DocumentKey]) -> Vec<Claim> {
        let claims = claimed.iter().map(|key| key.claim(self.instance, batch));
        claims.collect()
    }

    /// Has a call add claims. It names all lists, unless there are no claims.
    pub(super) fn add_all_lists(&self, call: &mut Call, claims: &[Claim]) {
        if claims.is_empty() {
            call.number(0);
            return;
        }
        let collections = self.listed();
        debug_assert!(
            claims
                .iter()
                .all(|own| collections.contains(&own.collection))
        );
        call.key(self.keys.lists());
        self.add_lists(call, &collections, claims);
    }

    /// Has a call take claims back. It names the lists that have any of them.
    pub(super) fn add_some_lists(&self, call: &mut Call, claims: &[Claim]) {
        let collections = claims.iter().map(|claim| claim.collection);
        let mut collections: Vec<CollectionId> = collections.collect();
        collections.sort_unstable();
        collections.dedup();
        self.add_lists(call, &collections, claims);
    }

    fn add_lists(&self, call: &mut Call, collections: &[CollectionId], claims: &[Claim]) {
        call.number(collections.len());
        for collection in collections {
            let own = claims.iter().filter(|own| own.collection == *collection);
            call.key(self.keys.pending(*collection));
            call.number(own.clone().count());
            for claim in own {
                call.argument(packed::claim(claim));
            }
        }
    }

    /// The collections that have a list.
    fn listed(&self) -> Vec<CollectionId> {
        let collections = self.shared.catalog.collections().iter();
        let listed = collections.filter(|collection| collection.tiers.recent.is_some());
        listed.map(|collection| collection.id).collect()
    }

    /// Forgets all lists, until they are begun again.
    pub(super) async fn close_lists(&self) -> Result<()> {
        let lists = self.listed().into_iter().map(|own| self.keys.pending(own));
        let keys: Vec<Vec<u8>> = std::iter::once(self.keys.lists()).chain(lists).collect();
        let mut command = redis::cmd("UNLINK");
        command.arg(&keys);
        let command = Command::new(command, self.keys.slot(LISTS), keys.len());
        self.run(vec![command]).await.map(drop)
    }

    /// A call of a script that is not for instances that are fenced.
    fn unless_fenced(&self, script: &'static Script) -> Call {
        let mut call = self.begun(script, LISTS);
        call.key(self.keys.fence(LISTS, self.instance));
        call
    }

    /// The same about the lists of an epoch of the recent tier.
    fn of_lists(&self, script: &'static Script, epoch: Epoch) -> Call {
        let mut call = self.unless_fenced(script);
        call.key(self.keys.lists()).argument(packed::epoch(epoch));
        call
    }

    /// A question about what is pending.
    fn pending_in(&self, script: &'static Script, epoch: Epoch, collection: CollectionId) -> Call {
        let mut call = self.begun(script, LISTS);
        call.key(self.keys.lists());
        call.key(self.keys.pending(collection));
        call.argument(packed::epoch(epoch));
        call
    }
}

impl Claims for RedisStorage {
    async fn pending(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        most: usize,
    ) -> Result<Option<Vec<Id>>> {
        let mut call = self.pending_in(&SCRIPTS.pending, epoch, collection);
        call.number(most);
        let ids = || unexpected("ids");
        match <[Value; 1]>::try_from(self.call(&[call]).await?) {
            Ok([Value::Nil]) => Ok(None),
            Ok([found]) => packed::read_ids(&bytes(found)?).ok_or_else(ids).map(Some),
            Err(_) => Err(ids()),
        }
    }

    async fn pending_among(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        ids: &[Id],
    ) -> Result<Option<Vec<bool>>> {
        if ids.is_empty() {
            let is_open = self.condition().await? == Condition::Open(epoch);
            return Ok(is_open.then(Vec::new));
        }
        let calls = ids.chunks(MOST_IDS).map(|ids| {
            let mut call = self.pending_in(&SCRIPTS.pending_among, epoch, collection);
            for id in ids {
                call.argument(&id.uuid().as_bytes()[..]);
            }
            call
        });
        let mut pending = Vec::with_capacity(ids.len());
        for answer in self.call(&calls.collect::<Vec<_>>()).await? {
            if answer == Value::Nil {
                return Ok(None);
            }
            pending.extend(bytes(answer)?.into_iter().map(|flag| flag == b'1'));
        }
        match pending.len() == ids.len() {
            true => Ok(Some(pending)),
            false => Err(unexpected("as many as it was asked for")),
        }
    }

    fn claimed_by(&self, _: BatchId) -> Id {
        self.instance
    }

    async fn arrived(&self, epoch: Epoch, claims: &[Claim]) -> Result<()> {
        let calls = claims.chunks(CHUNK).map(|claims| {
            let mut call = self.of_lists(&SCRIPTS.arrived, epoch);
            self.add_some_lists(&mut call, claims);
            call
        });
        self.call(&calls.collect::<Vec<_>>()).await.map(drop)
    }

    async fn claim(&self, epoch: Epoch, claims: &[Claim]) -> Result<()> {
        let calls = claims.chunks(CHUNK).map(|claims| {
            let mut call = self.unless_fenced(&SCRIPTS.claim);
            call.argument(packed::epoch(epoch));
            self.add_all_lists(&mut call, claims);
            call
        });
        self.call(&calls.collect::<Vec<_>>()).await.map(drop)
    }

    async fn condition(&self) -> Result<Condition> {
        let condition = || unexpected("what the pending lists are");
        let state = self.look(Questions::new([(LISTS, self.keys.lists())]));
        match <[Value; 1]>::try_from(state.await?) {
            Ok([Value::Nil]) => Ok(Condition::Closed),
            Ok([state]) => packed::read_lists(&bytes(state)?).ok_or_else(condition),
            Err(_) => Err(condition()),
        }
    }

    async fn begin_lists(&self, epoch: Epoch) -> Result<Option<Beginning>> {
        let mut call = self.unless_fenced(&SCRIPTS.begin_lists);
        call.key(self.keys.records(LISTS)).key(self.keys.lists());
        call.keys(self.listed().into_iter().map(|own| self.keys.pending(own)));
        call.argument(packed::epoch(epoch));
        let begun = || unexpected("the beginning of the pending lists");
        let Ok([answer]) = <[Value; 1]>::try_from(self.call(&[call]).await?) else {
            return Err(begun());
        };
        let Ok([nonce, names]) = <[Value; 2]>::try_from(array(answer)?) else {
            return Err(begun());
        };
        Ok(Some(Beginning {
            epoch,
            nonce: number(&nonce)?,
            under_way: packed::read_record_names(&bytes(names)?).ok_or_else(begun)?,
        }))
    }

    async fn is_under_way(&self, beginning: &Beginning) -> Result<bool> {
        let calls = beginning.under_way.chunks(MOST_IDS).map(|names| {
            let mut call = self.begun(&SCRIPTS.under_way, LISTS);
            call.key(self.keys.records(LISTS));
            for name in names {
                call.argument(&name[..]);
            }
            call
        });
        let answers = self.call(&calls.collect::<Vec<_>>()).await?;
        let found: Result<Vec<u64>> = answers.iter().map(number).collect();
        Ok(found?.contains(&1))
    }

    async fn open_lists(&self, beginning: &Beginning) -> Result<bool> {
        let mut call = self.of_lists(&SCRIPTS.open_lists, beginning.epoch);
        call.number(beginning.nonce);
        let answers = self.call(&[call]).await?;
        Ok(answers.first().map(number).transpose()? == Some(1))
    }
}
