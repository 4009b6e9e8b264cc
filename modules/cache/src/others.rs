//! Documents that somebody else has written, who announces nothing: a person with SQL, say.
//!
//! The cache hears of them when they are committed, and has served what they were until then. From
//! now on it must not, and five things are done in this order:
//!
//! 1. They are **announced**, without saying where they will stand. A reader meets the token and
//!    asks the truth; what somebody has read of them before is not put there any more, because the
//!    fill token is gone.
//! 2. They are **read** from the truth. If that came first, a change in between by a batch that is
//!    settled before the announcement would be older than what is put down, and the document would
//!    miss from the set that it has entered.
//! 3. Sets that several enter are **forgotten**: they enter one by one, and who has seen all of them in
//!    the truth must not see a part of them here. Whoever builds such a set finds them there.
//! 4. Where they stand is **announced** as well, so that it is in the sets before anybody may think
//!    that the sets miss nothing. A set that somebody is building from what they read before the
//!    document came has it now; who begins later reads it there.
//! 5. They are **settled** at a version above all others, which drops what is held and has the slot
//!    refuse what batches bring that are still under way. Those may have been committed before, and
//!    the revision does not tell: who writes with SQL need not raise it.
//!
//! Where a document stood before is known where it was held; from there it goes. Where it was not, its
//! entries stay in their sets. What a set yields is held against the question again, so that they cost
//! only time: little where there is another version of the document, and a question to the truth for
//! each list where there is none. Once there may be [many](MOST_LEFT_BEHIND) of them, everything is
//! forgotten.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use nubo_core::{cache::SetName, document::Document, id::Revision, observe::BatchId};

use crate::storage::{Announced, DocumentKey, LAST, Place, Settled};

/// How many documents may have left entries behind.
const MOST_LEFT_BEHIND: usize = 10_000;
/// As how many of them one counts that does not exist any more.
const GONE: usize = 100;

/// What is known of documents that others have written.
#[derive(Default)]
pub(crate) struct Others {
    /// Those that are announced and not settled.
    doubted: Mutex<HashMap<BatchId, Vec<Doubted>>>,
    /// How many may have left entries behind since everything was forgotten.
    left_behind: AtomicUsize,
}

/// A document that others have written.
pub(crate) struct Doubted {
    pub document: DocumentKey,
    /// Where it stood, and its revision there; none where it was not held.
    pub before: Option<(Vec<Place>, Revision)>,
}

/// The same, and what it is now.
pub(crate) struct Resolved {
    doubted: Doubted,
    places: Vec<Place>,
    revision: Revision,
    is_gone: bool,
}

impl Others {
    /// Notes documents that are announced.
    pub fn doubt(&self, batch: BatchId, documents: Vec<Doubted>) {
        self.locked().insert(batch, documents);
    }

    /// Whether this is the number of documents that others have written.
    pub fn is_doubted(&self, batch: BatchId) -> bool {
        self.locked().contains_key(&batch)
    }

    /// The documents with a number, which are about to be settled.
    pub fn take(&self, batch: BatchId) -> Vec<Doubted> {
        self.locked().remove(&batch).unwrap_or_default()
    }

    /// Counts what documents may have left behind. Whether everything is to be forgotten.
    pub fn have_left_behind(&self, documents: &[Resolved]) -> bool {
        let unknown = documents.iter().filter(|of| of.doubted.before.is_none());
        let count = unknown.map(|of| if of.is_gone { GONE } else { 1 }).sum();
        self.left_behind.fetch_add(count, Ordering::Relaxed) + count > MOST_LEFT_BEHIND
    }

    /// Everything is about to be forgotten.
    pub fn forget_left_behind(&self) {
        self.left_behind.store(0, Ordering::Relaxed);
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<BatchId, Vec<Doubted>>> {
        // Nothing panics while it holds the lock and leaves the map half changed.
        self.doubted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Doubted {
    /// As it is announced at first.
    pub fn announced(&self) -> Announced {
        Announced {
            document: self.document,
            is_new: false,
            revision: LAST.revision,
            places: Vec::new(),
            left: self.before.as_ref().map(|(places, _)| places.clone()),
        }
    }

    /// The same when it is known what it is and where it stands.
    pub fn resolved(self, now: Option<&Document>, places: Vec<Place>) -> Resolved {
        Resolved {
            doubted: self,
            places,
            revision: now.map_or(LAST.revision, Document::revision),
            is_gone: now.is_none(),
        }
    }
}

/// The sets that several of these documents enter, or one of several sets that are read as one.
pub(crate) fn entered_by_several(documents: &[Resolved]) -> Vec<SetName> {
    let mut entering = 0;
    let mut sets = Vec::new();
    for document in documents {
        let before = sets.len();
        sets.extend(document.entered().map(|place| place.set.clone()));
        entering += usize::from(sets.len() > before);
    }
    if entering < 2 {
        return Vec::new();
    }
    sets.sort_unstable();
    sets.dedup();
    sets
}

impl Resolved {
    /// Where it stands and did not stand before, as far as is known.
    fn entered(&self) -> impl Iterator<Item = &Place> {
        let before = self.doubted.before.as_ref();
        let before = before.map_or(&[][..], |(places, _)| places);
        self.places.iter().filter(|place| !before.contains(place))
    }

    /// As it is announced once more.
    pub fn announced(&self) -> Announced {
        Announced {
            document: self.doubted.document,
            is_new: false,
            revision: self.revision,
            places: self.places.clone(),
            // That was announced before.
            left: Some(Vec::new()),
        }
    }

    /// As it is settled: nothing is held.
    pub fn settled(self) -> Settled {
        let before = self.doubted.before;
        let (mut left, left_at) = before.unwrap_or((Vec::new(), Revision::new(i64::MIN)));
        left.retain(|place| !self.places.contains(place));
        Settled {
            document: self.doubted.document,
            is_new: false,
            version: LAST,
            held: None,
            lifetime: None,
            places: self.places,
            left,
            left_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    };

    use nubo_core::{
        cache::{Cache, Held, Lookup, Member, Members, Reach},
        clock::Clock,
        document::Document,
        id::Id,
        observe::{BatchId, Fate, Foreign, Observer, Touched},
        schema::CollectionId,
    };

    use super::MOST_LEFT_BEHIND;
    use crate::{
        Memory, Shelves,
        storage_tests::{World, catalog},
    };

    const OWN: BatchId = BatchId(1);
    const THEIRS: BatchId = BatchId(2);

    struct At(AtomicI64);

    impl Clock for At {
        fn micros(&self) -> i64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    /// Shelves, and a world that makes what is put there.
    fn shelves() -> (Shelves<Memory>, World<Memory>) {
        let catalog = Arc::new(catalog());
        let clock = Arc::new(At(AtomicI64::new(0)));
        let memory = || Memory::new(&catalog, clock.clone(), usize::MAX);
        let shelves = Shelves::new(catalog.clone(), Arc::new(memory()));
        (shelves, World::new(catalog.clone(), memory()))
    }

    async fn lookup(shelves: &Shelves<Memory>, world: &World<Memory>) -> Lookup {
        let key = world.key(1);
        let found = shelves.documents(key.collection, &[key.id]).await;
        found.unwrap().remove(0)
    }

    /// Builds the set, in which nothing stands.
    async fn build(shelves: &Shelves<Memory>, world: &World<Memory>) {
        let token = shelves.begin(&world.set()).await.unwrap().unwrap();
        let members = Members {
            after: None,
            members: Vec::new(),
            to_the_end: true,
        };
        assert!(shelves.build(&world.set(), token, members).await.unwrap());
    }

    async fn hold(shelves: &Shelves<Memory>, world: &World<Memory>, document: &Document) {
        let Lookup::Missing(token) = lookup(shelves, world).await else {
            panic!("it is not missing");
        };
        let things = world.things();
        let cache = things.tiers.cache.as_ref().unwrap();
        let held = Arc::new(Held::of(document, things, cache));
        let filled = shelves.fill(things.id, vec![(token, held)]).await.unwrap();
        assert_eq!(filled, [true]);
    }

    fn foreign(world: &World<Memory>, now: Option<Document>) -> Foreign {
        let key = world.key(1);
        Foreign {
            collection: key.collection,
            id: key.id,
            now,
            transaction: 1,
        }
    }

    #[tokio::test]
    async fn a_document_that_others_moved_is_read_anew_and_listed_where_it_is() {
        let (shelves, world) = shelves();
        let before = world.document(1, 1, 5);
        hold(&shelves, &world, &before).await;
        // Somebody builds the set of what they have read before the document came.
        let token = shelves.begin(&world.set()).await.unwrap().unwrap();
        shelves
            .doubt(THEIRS, &[(world.things().id, world.key(1).id)])
            .await;
        assert!(matches!(lookup(&shelves, &world).await, Lookup::Busy));
        let now = world.document(1, 7, 5);
        shelves.resolve(THEIRS, &[foreign(&world, Some(now))]).await;
        let members = Members {
            after: None,
            members: vec![Member {
                position: world.position(2, 2),
                revision: before.revision(),
            }],
            to_the_end: true,
        };
        assert!(shelves.build(&world.set(), token, members).await.unwrap());
        assert!(matches!(lookup(&shelves, &world).await, Lookup::Missing(_)));
        let scan = shelves.scan(&[world.set()], None, 9).await.unwrap();
        assert_eq!(scan.positions, [world.position(2, 2), world.position(1, 7)]);
    }

    #[test]
    fn of_several_documents_a_set_has_all_or_none() {
        const COUNT: u16 = 300;
        let (shelves, world) = shelves();
        let runtime = || {
            tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap()
        };
        let documents = (0..COUNT).map(|number| (world.things().id, world.key(number.into()).id));
        let documents: Vec<_> = documents.collect();
        let now = |(at, (collection, id)): (usize, &(CollectionId, Id))| Foreign {
            collection: *collection,
            id: *id,
            now: Some(world.document(at as u128, i64::try_from(at).unwrap(), 5)),
            transaction: 1,
        };
        let now: Vec<Foreign> = documents.iter().enumerate().map(now).collect();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                runtime().block_on(async {
                    while !is_over.load(Ordering::Relaxed) {
                        let scan = shelves.scan(&[world.set()], None, 999).await.unwrap();
                        let found = scan.positions.len();
                        assert!(
                            found == 0 || found == usize::from(COUNT),
                            "{found} of {COUNT}"
                        );
                    }
                });
            });
            runtime().block_on(async {
                build(&shelves, &world).await;
                shelves.doubt(THEIRS, &documents).await;
                shelves.resolve(THEIRS, &now).await;
                is_over.store(true, Ordering::Relaxed);
                let scan = shelves.scan(&[world.set()], None, 999).await.unwrap();
                assert_eq!(scan.reach, Reach::Nowhere, "it is built anew");
            });
        });
    }

    #[tokio::test]
    async fn a_batch_that_is_settled_late_does_not_bring_back_what_others_overwrote() {
        for unreadable in [false, true] {
            let (shelves, world) = shelves();
            hold(&shelves, &world, &world.document(1, 1, 5)).await;
            let touched = Arc::new(Touched {
                collection: world.things().id,
                before: Some(world.document(1, 1, 5)),
                after: Some(world.document(1, 2, 6)),
            });
            shelves.announce(OWN, &[touched]).await.unwrap();
            shelves
                .doubt(THEIRS, &[(world.things().id, world.key(1).id)])
                .await;
            match unreadable {
                false => shelves.resolve(THEIRS, &[foreign(&world, None)]).await,
                true => shelves.settle(THEIRS, Fate::Aborted).await,
            }
            shelves.settle(OWN, Fate::Committed).await;
            assert!(matches!(lookup(&shelves, &world).await, Lookup::Missing(_)));
        }
    }

    #[tokio::test]
    async fn what_was_held_leaves_nothing_behind_and_the_rest_is_forgotten_some_time() {
        for is_held in [true, false] {
            let (shelves, world) = shelves();
            build(&shelves, &world).await;
            let mut longest = 0;
            for size in 0..=MOST_LEFT_BEHIND {
                let now = world.document(1, i64::try_from(size % 50).unwrap(), 5);
                let documents = [(world.things().id, world.key(1).id)];
                shelves.doubt(THEIRS, &documents).await;
                let now_there = foreign(&world, Some(now.clone()));
                shelves.resolve(THEIRS, &[now_there]).await;
                let scan = shelves.scan(&[world.set()], None, 99).await.unwrap();
                longest = longest.max(scan.positions.len());
                if is_held {
                    hold(&shelves, &world, &now).await;
                }
            }
            assert_eq!(longest, if is_held { 1 } else { 50 });
            let scan = shelves.scan(&[world.set()], None, 99).await.unwrap();
            assert_eq!(scan.positions.len(), usize::from(is_held));
        }
    }
}
