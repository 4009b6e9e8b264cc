//! What a batch tells Redis: its records with its claims, its announcement, and that nothing came of it.

use std::{
    collections::HashMap,
    sync::{MutexGuard, PoisonError},
};

use nubo_core::{Error, Result, observe::BatchId, recent::Claim};
use redis::{Cmd, Value};

use super::{
    answers::array,
    link::{unavailable, unexpected},
    packed::{self, Record},
    scripts::{Call, SCRIPTS},
    storage::{CHUNK, RedisStorage, calls_for_each},
};
use crate::storage::{Announced, DocumentKey, Settled};

/// The key of a set's entries, and one of them.
pub(super) type Entry = (Vec<u8>, Vec<u8>);

impl RedisStorage {
    /// Takes the tokens of a batch away, its records, its claims, and what its documents have entered.
    /// Where nobody knows whether it was committed, its documents are not held afterwards, and no claims
    /// are to be taken away.
    pub(super) async fn abort_all(
        &self,
        batch: BatchId,
        documents: impl Iterator<Item = (DocumentKey, Vec<Entry>)>,
        records: Vec<Vec<u8>>,
        claims: &[Claim],
        doubtful: bool,
    ) -> Result<()> {
        let begin = |records, claims| {
            let mut call = self.begun(&SCRIPTS.abort);
            self.add_records(&mut call, records);
            self.add_some_lists(&mut call, claims);
            call.argument(packed::batch(self.instance, batch));
            call.number(u8::from(doubtful));
            call
        };
        let next = || begin(Vec::new(), &[]);
        let mut calls = calls_for_each(next(), next, documents, |call, (document, entered)| {
            call.key(self.keys.document(document));
            call.number(entered.len());
            for (entries, entry) in entered {
                call.key(entries);
                call.argument(entry);
            }
        });
        calls.extend(claims.chunks(CHUNK).map(|claims| begin(Vec::new(), claims)));
        // What says what there is to do goes when it is done.
        calls.push(begin(records, &[]));
        self.call(&calls).await.map(drop)
    }

    /// What puts down what a batch announces, and claims what the recent tier is to have.
    pub(super) fn records(
        &self,
        batch: BatchId,
        documents: &[Announced],
        claims: &[Claim],
    ) -> Result<Vec<Cmd>> {
        let too_large = || Error::internal("a document that is too large for its record");
        let mut commands = Vec::new();
        let mut claims = claims.chunks(CHUNK);
        let mut documents = documents.chunks(CHUNK);
        loop {
            let (documents, claims) = match (documents.next(), claims.next()) {
                (None, None) => return Ok(commands),
                (documents, claims) => (documents.unwrap_or(&[]), claims.unwrap_or(&[])),
            };
            let mut record = Record::default();
            for announced in documents {
                record.add(announced).ok_or_else(too_large)?;
            }
            let mut call = self.begun(&SCRIPTS.record);
            call.key(self.keys.fence(self.instance));
            call.key(self.keys.records());
            let number = self.next_record(batch);
            call.argument(packed::record_name(self.instance, batch, number));
            call.argument(record.bytes().ok_or_else(too_large)?);
            self.add_all_lists(&mut call, claims);
            commands.push(call.command());
        }
    }

    /// What announces documents that have records.
    pub(super) fn announcements(
        &self,
        batch: BatchId,
        documents: &[(usize, &Announced)],
    ) -> Vec<Cmd> {
        if documents.is_empty() {
            return Vec::new();
        }
        let begin = || {
            let mut call = self.begun(&SCRIPTS.announce);
            call.key(self.keys.stamp());
            call.key(self.keys.fence(self.instance));
            call.argument(packed::batch(self.instance, batch));
            call
        };
        let calls = calls_for_each(begin(), begin, documents, |call, (_, announced)| {
            call.key(self.keys.document(announced.document));
            call.number(u8::from(announced.is_new));
            call.number(announced.places.len());
            call.argument(packed::revision(announced.revision));
            for place in &announced.places {
                call.keys(self.keys.set(&place.set));
                call.argument(place.position.bytes());
            }
            match &announced.left {
                Some(left) => {
                    call.number(left.len());
                    call.keys(left.iter().map(|place| self.keys.mark(&place.set)));
                }
                None => {
                    call.argument(Vec::new());
                }
            }
        });
        calls.iter().map(Call::command).collect()
    }

    /// What asks who reads the sets of new documents, or is about to.
    pub(super) fn heads(&self, new: &[(usize, &Announced)]) -> Vec<Cmd> {
        let commands = new.chunks(CHUNK).map(|new| {
            let mut command = redis::cmd("MGET");
            command.arg(self.keys.epoch());
            for place in new.iter().flat_map(|(_, announced)| &announced.places) {
                command.arg(self.keys.mark(&place.set));
                command.arg(self.keys.builders(&place.set));
            }
            command
        });
        commands.collect()
    }

    /// Those of the new documents that stand in sets of which somebody reads any.
    pub(super) fn read_among<'a>(
        &self,
        new: Vec<(usize, &'a Announced)>,
        heads: Vec<Value>,
    ) -> Result<Vec<(usize, &'a Announced)>> {
        let mut read = Vec::new();
        let mut heads = heads.into_iter();
        for new in new.chunks(CHUNK) {
            let heads = heads.next().map(array).transpose()?.unwrap_or_default();
            let mut heads = heads.into_iter().map(|head| head != Value::Nil);
            if heads.next() != Some(true) {
                return Err(unavailable("what Redis held is gone"));
            }
            for announced in new {
                let places = announced.1.places.len();
                let of_its_sets: Vec<bool> = heads.by_ref().take(2 * places).collect();
                if of_its_sets.len() != 2 * places {
                    return Err(unexpected("as many as it was asked for"));
                }
                if of_its_sets.contains(&true) {
                    read.push(*announced);
                }
            }
        }
        Ok(read)
    }

    /// The number of a batch's next record.
    fn next_record(&self, batch: BatchId) -> u32 {
        let mut written = self.written();
        let count = written.entry(batch).or_insert(0);
        *count += 1;
        *count - 1
    }

    /// The names of a batch's records, which is done with.
    pub(super) fn records_of(&self, batch: BatchId) -> Vec<Vec<u8>> {
        let count = self.written().remove(&batch).unwrap_or(0);
        let name = |number| packed::record_name(self.instance, batch, number);
        (0..count).map(name).collect()
    }

    pub(super) fn add_records(&self, call: &mut Call, records: Vec<Vec<u8>>) {
        call.key(self.keys.records());
        call.number(records.len());
        for record in records {
            call.argument(record);
        }
    }

    fn written(&self) -> MutexGuard<'_, HashMap<BatchId, u32>> {
        // Nothing panics while it holds the lock.
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a batch has left nothing of a document but what its records say: it was never there
/// before, and nobody reads the sets where it stands.
pub(super) fn is_nothing_to_settle(settled: &Settled) -> bool {
    settled.is_new && settled.held.is_none() && settled.left.is_empty()
}
