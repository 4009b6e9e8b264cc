//! Two storages that are asked the same things in one order must answer the same.
//!
//! Everything is drawn from a seed: documents, batches that overlap and are settled in any order,
//! readers who fill late, builders who build from anywhere. Tokens are numbers of each storage's own;
//! that two of them are the same, or not, must be so in both.
//!
//! So must the pending lists be, step by step.
//!
//! What a set has too much is each storage's own affair, so that of sets only how far they are complete
//! is compared.

mod claims;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use fastrand::Rng;
use nubo_core::{
    cache::{Lookup, Member, Members, SetName},
    id::Revision,
    observe::BatchId,
    position::Position,
};

use super::{World, gone, there};
use crate::storage::{Announced, DocumentKey, Place, Settled, Storage};
use claims::Lists;

/// How large things are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub documents: u128,
    pub sizes: i64,
    /// How many documents a batch has at most.
    pub batch: usize,
    /// Whether they stand in sets.
    pub sets: bool,
}

/// Few documents that meet one another again and again.
pub(crate) const NARROW: Scale = Scale {
    documents: 6,
    sizes: 4,
    batch: 3,
    sets: true,
};

/// Many documents, and batches that are more than one command.
pub(crate) const WIDE: Scale = Scale {
    documents: 20_000,
    sizes: 1_000_000,
    batch: 300,
    sets: false,
};

/// How many tokens of readers and builders are remembered.
const REMEMBERED: usize = 24;

pub(crate) struct Model<'a, A, B> {
    random: Rng,
    scale: Scale,
    one: &'a World<A>,
    other: &'a World<B>,
    revision: i64,
    batches: u64,
    /// What each batch does that is under way, and what it claims.
    pending: BTreeMap<BatchId, (Vec<Settled>, Vec<DocumentKey>)>,
    lists: Lists,
    fills: Vec<(DocumentKey, [u64; 2])>,
    builds: Vec<(SetName, [u64; 2])>,
    /// Which token of one storage is which of the other.
    tokens: [HashMap<u64, u64>; 2],
}

impl<'a, A: Storage, B: Storage> Model<'a, A, B> {
    pub fn new(seed: u64, scale: Scale, one: &'a World<A>, other: &'a World<B>) -> Self {
        Self {
            random: Rng::with_seed(seed),
            scale,
            one,
            other,
            revision: 1,
            batches: 0,
            pending: BTreeMap::new(),
            lists: Lists::default(),
            fills: Vec::new(),
            builds: Vec::new(),
            tokens: Default::default(),
        }
    }

    /// Does something drawn at random to both.
    pub async fn step(&mut self) {
        match self.random.u8(0..100) {
            0..10 => self.change_lists().await,
            10..25 => self.read().await,
            25..40 => self.fill().await,
            40..55 => self.announce().await,
            55..68 => self.settle().await,
            68..72 => self.abort().await,
            72..84 => self.scan().await,
            84..90 => self.begin().await,
            90..99 => self.build().await,
            _ => {
                self.one.storage.clear().await.unwrap();
                self.other.storage.clear().await.unwrap();
            }
        }
    }

    async fn read(&mut self) {
        let keys: Vec<DocumentKey> = (0..self.random.usize(1..4)).map(|_| self.key()).collect();
        let found = self.one.storage.read(&keys).await.unwrap();
        let also = self.other.storage.read(&keys).await.unwrap();
        for (key, pair) in keys.into_iter().zip(found.into_iter().zip(also)) {
            match pair {
                (Lookup::Held(a), Lookup::Held(b)) => assert_eq!(a, b),
                (Lookup::Busy, Lookup::Busy) => {}
                (Lookup::Missing(a), Lookup::Missing(b)) => {
                    let tokens = [a.number, b.number];
                    self.same(tokens);
                    self.fills.push((key, tokens));
                }
                other => panic!("{key:?} is {other:?}"),
            }
        }
        forget_some(&mut self.fills);
    }

    async fn fill(&mut self) {
        let Some((key, [a, b])) = self.random.choice(&self.fills).cloned() else {
            return;
        };
        let revision = self.random.i64(1..=self.revision);
        let held = self.one.held(key.id.uuid().as_u128(), revision);
        let fill = self
            .one
            .storage
            .fill(vec![(key, a, Arc::clone(&held))], None);
        let also = self.other.storage.fill(vec![(key, b, held)], None);
        assert_eq!(fill.await.unwrap(), also.await.unwrap());
    }

    async fn announce(&mut self) {
        self.batches += 1;
        let batch = BatchId(self.batches);
        let mut documents: BTreeMap<DocumentKey, Settled> = BTreeMap::new();
        for _ in 0..self.random.usize(1..=self.scale.batch) {
            let settled = self.change();
            documents.insert(settled.document, settled);
        }
        let announced = documents.values().map(|settled| Announced {
            document: settled.document,
            is_new: false,
            revision: settled.version.revision,
            places: settled.places.clone(),
            left: Some(settled.left.clone()),
        });
        let announced: Vec<Announced> = announced.collect();
        let claimed = self.claimed(documents.keys().copied());
        let worth = self.one.storage.announce(batch, &announced, &claimed).await;
        let also = self.other.storage.announce(batch, &announced, &claimed);
        assert_eq!(worth.unwrap(), also.await.unwrap());
        let settled = documents.into_values().collect();
        self.pending.insert(batch, (settled, claimed));
    }

    async fn settle(&mut self) {
        if let Some((batch, settled, claimed)) = self.take() {
            let also = settled.clone();
            self.one.storage.settle(batch, settled).await.unwrap();
            self.other.storage.settle(batch, also).await.unwrap();
            self.committed(batch, claimed);
        }
    }

    async fn abort(&mut self) {
        if let Some((batch, settled, claimed)) = self.take() {
            let announced = settled.into_iter().map(|settled| Announced {
                document: settled.document,
                is_new: false,
                revision: settled.version.revision,
                places: settled.places,
                left: Some(settled.left),
            });
            let announced: Vec<Announced> = announced.collect();
            let aborted = self.one.storage.abort(batch, &announced, &claimed).await;
            let also = self.other.storage.abort(batch, &announced, &claimed).await;
            aborted.and(also).unwrap();
        }
    }

    async fn scan(&mut self) {
        let mut sets = vec![self.set()];
        if self.random.bool() {
            sets.push(self.set());
        }
        sets.dedup();
        let after = self.random.bool().then(|| self.position());
        let scan = self.one.storage.scan(&sets, after.as_ref(), 10_000);
        let also = self.other.storage.scan(&sets, after.as_ref(), 10_000);
        assert_eq!(scan.await.unwrap().reach, also.await.unwrap().reach);
    }

    async fn begin(&mut self) {
        let set = self.set();
        let token = self.one.storage.begin(&set).await.unwrap();
        let also = self.other.storage.begin(&set).await.unwrap();
        match (token, also) {
            (Some(a), Some(b)) => {
                self.same([a, b]);
                self.builds.push((set, [a, b]));
            }
            (a, b) => assert_eq!(a, b),
        }
        // A token that is forgotten here is used up, since a set keeps no end of them.
        while self.builds.len() > REMEMBERED {
            self.build_with(0).await;
        }
    }

    async fn build(&mut self) {
        if !self.builds.is_empty() {
            let at = self.random.usize(..self.builds.len());
            self.build_with(at).await;
        }
    }

    async fn build_with(&mut self, at: usize) {
        let (set, [a, b]) = self.builds[at].clone();
        // Some come back twice.
        if self.random.u8(0..4) > 0 {
            self.builds.swap_remove(at);
        }
        let after = (self.random.u8(0..3) == 0).then(|| self.position());
        let many = self.random.usize(0..=self.scale.batch);
        let mut members: Vec<Member> = (0..many)
            .map(|_| Member {
                position: self.position(),
                revision: Revision::new(self.random.i64(1..=self.revision)),
            })
            .filter(|member| after.as_ref().is_none_or(|after| member.position > *after))
            .collect();
        members.sort_unstable_by(|a, b| a.position.cmp(&b.position));
        members.dedup_by(|a, b| a.position == b.position);
        let stretch = Members {
            after,
            members,
            to_the_end: self.random.bool(),
        };
        let built = self.one.storage.build(&set, a, stretch.clone());
        let also = self.other.storage.build(&set, b, stretch);
        assert_eq!(built.await.unwrap(), also.await.unwrap());
    }

    /// What a batch does to a document.
    fn change(&mut self) -> Settled {
        self.revision += 1;
        let revision = self.revision;
        let document = self.key();
        let number = document.id.uuid().as_u128();
        let is_gone = self.random.u8(0..4) == 0;
        let places: Vec<Place> = match is_gone || !self.scale.sets {
            true => Vec::new(),
            false => (0..self.random.usize(0..3))
                .map(|_| self.place(number))
                .collect(),
        };
        let mut left: Vec<Place> = (0..self.random.usize(0..3))
            .map(|_| self.place(number))
            .collect();
        left.retain(|place| !places.contains(place));
        Settled {
            document,
            is_new: false,
            version: if is_gone {
                gone(revision)
            } else {
                there(revision)
            },
            held: (!is_gone && self.random.bool()).then(|| self.one.held(number, revision)),
            lifetime: None,
            places: distinct(places),
            left: distinct(left),
            left_at: Revision::new(self.random.i64(1..=revision)),
        }
    }

    fn take(&mut self) -> Option<(BatchId, Vec<Settled>, Vec<DocumentKey>)> {
        let batches: Vec<BatchId> = self.pending.keys().copied().collect();
        let batch = *self.random.choice(&batches)?;
        let (settled, claimed) = self.pending.remove(&batch)?;
        Some((batch, settled, claimed))
    }

    /// Notes that two tokens are the same, which no others are.
    fn same(&mut self, [a, b]: [u64; 2]) {
        assert_eq!(*self.tokens[0].entry(a).or_insert(b), b);
        assert_eq!(*self.tokens[1].entry(b).or_insert(a), a);
    }

    fn key(&mut self) -> DocumentKey {
        let number = self.random.u128(0..self.scale.documents);
        self.one.key(number)
    }

    fn set(&mut self) -> SetName {
        let kind = self.random.choice(["a", "a", "b"]).unwrap_or("a");
        self.one.set_of(kind)
    }

    fn place(&mut self, number: u128) -> Place {
        let size = self.random.i64(0..self.scale.sizes);
        Place {
            set: self.set(),
            position: self.one.position(number, size),
        }
    }

    fn position(&mut self) -> Position {
        let number = self.random.u128(0..self.scale.documents);
        let size = self.random.i64(0..self.scale.sizes);
        self.one.position(number, size)
    }
}

fn distinct(places: Vec<Place>) -> Vec<Place> {
    let mut found = Vec::new();
    for place in places {
        if !found.contains(&place) {
            found.push(place);
        }
    }
    found
}

fn forget_some<T>(remembered: &mut Vec<T>) {
    let most = remembered.len().saturating_sub(REMEMBERED);
    remembered.drain(..most);
}
