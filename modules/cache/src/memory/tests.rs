use std::sync::{Arc, atomic::AtomicI64};

use nubo_core::{
    cache::{Held, Lookup, Member, Members, Reach, SetName},
    clock::Clock,
    document::Document,
    id::{Id, Revision},
    observe::BatchId,
    position::Position,
    record::Version,
    schema::{Catalog, Collection},
    value::Value,
};
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::storage::Place;

struct At(AtomicI64);

impl Clock for At {
    fn micros(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct World {
    catalog: Catalog,
    clock: Arc<At>,
    memory: Memory,
}

const BATCH: BatchId = BatchId(1);
const OTHER: BatchId = BatchId(2);

impl World {
    fn new() -> Self {
        Self::with(usize::MAX)
    }

    /// One shard, so that what goes first is known.
    fn with(budget: usize) -> Self {
        let declarations = json!([{
            "name": "things",
            "fields": { "kind": "text", "size": "int", "words": "text" },
            "order": "size",
            "tiers": { "cache": { "sets": ["kind"] } },
        }]);
        let declarations: Vec<_> = serde_json::from_value(declarations).unwrap();
        let catalog = Catalog::compile(&declarations, &[]).unwrap();
        let clock = Arc::new(At(AtomicI64::new(0)));
        Self {
            memory: Memory::divided(1, &catalog, clock.clone(), budget),
            catalog,
            clock,
        }
    }

    fn things(&self) -> &Collection {
        self.catalog.named("things").unwrap()
    }

    fn key(&self, number: u128) -> DocumentKey {
        DocumentKey {
            collection: self.things().id,
            id: Id::from_uuid(Uuid::from_u128(number)),
        }
    }

    fn document(&self, number: u128, size: i64, revision: i64) -> Document {
        let mut document = Document::empty(self.things());
        document.set(Collection::ID, Value::Uuid(Uuid::from_u128(number)));
        document.set(1, Value::Text("a".into()));
        document.set(2, Value::Int(size));
        document.set_revision(Revision::new(revision));
        document
    }

    fn held(&self, number: u128, revision: i64) -> Arc<Held> {
        let things = self.things();
        let cache = things.tiers.cache.as_ref().unwrap();
        let document = self.document(number, 0, revision);
        Arc::new(Held::of(&document, things, cache))
    }

    fn set(&self) -> SetName {
        SetName::new(self.things(), 1, &[&Value::Text("a".into())]).unwrap()
    }

    fn position(&self, number: u128, size: i64) -> Position {
        Position::of(&self.things().order, &self.document(number, size, 0)).unwrap()
    }

    fn member(&self, number: u128, size: i64) -> Member {
        Member {
            position: self.position(number, size),
            revision: Revision::new(1),
        }
    }

    async fn read(&self, number: u128) -> Lookup {
        self.memory
            .read(&[self.key(number)])
            .await
            .unwrap()
            .remove(0)
    }

    /// The fill token that is left for a document that is missing.
    async fn miss(&self, number: u128) -> u64 {
        match self.read(number).await {
            Lookup::Missing(token) => token.number,
            other => panic!("{other:?}"),
        }
    }

    async fn fill(&self, number: u128, token: u64, revision: i64) -> bool {
        let fill = (self.key(number), token, self.held(number, revision));
        self.memory.fill(vec![fill], None).await.unwrap()[0]
    }

    /// The revision that is held.
    async fn revision(&self, number: u128) -> Option<i64> {
        match self.read(number).await {
            Lookup::Held(held) => Some(held.revision.number()),
            _ => None,
        }
    }

    async fn announce(&self, batch: BatchId, number: u128, sizes: &[i64]) -> bool {
        let announced = self.announced(number, sizes);
        self.memory.announce(batch, &[announced]).await.unwrap()[0]
    }

    fn announced(&self, number: u128, sizes: &[i64]) -> Announced {
        Announced {
            document: self.key(number),
            revision: Revision::new(10),
            places: self.places(number, sizes),
        }
    }

    fn places(&self, number: u128, sizes: &[i64]) -> Vec<Place> {
        let place = |size: &i64| Place {
            set: self.set(),
            position: self.position(number, *size),
        };
        sizes.iter().map(place).collect()
    }

    async fn settle(&self, batch: BatchId, settled: Settled) {
        self.memory.settle(batch, vec![settled]).await.unwrap();
    }

    fn settled(&self, number: u128, version: Version, places: &[i64], left: &[i64]) -> Settled {
        Settled {
            document: self.key(number),
            version,
            held: (!version.gone).then(|| self.held(number, version.revision.number())),
            lifetime: None,
            places: self.places(number, places),
            left: self.places(number, left),
            left_at: Revision::new(1),
        }
    }

    async fn build(&self, members: Vec<Member>, to_the_end: bool) {
        let token = self.memory.begin(&self.set()).await.unwrap().unwrap();
        let stretch = Members {
            after: None,
            members,
            to_the_end,
        };
        assert!(
            self.memory
                .build(&self.set(), token, stretch)
                .await
                .unwrap()
        );
    }

    async fn scan(&self, most: usize) -> (usize, Reach) {
        let scan = self.memory.scan(&[self.set()], None, most).await.unwrap();
        (scan.positions.len(), scan.reach)
    }
}

fn there(revision: i64) -> Version {
    Version::there(Revision::new(revision))
}

#[tokio::test]
async fn what_is_filled_is_held() {
    let world = World::new();
    let token = world.miss(1).await;
    assert_eq!(world.miss(1).await, token, "nothing has changed since");
    assert!(world.fill(1, token, 5).await);
    assert_eq!(world.revision(1).await, Some(5));
    assert!(!world.fill(1, token, 4).await, "a token counts once");
    assert_eq!(world.revision(1).await, Some(5));
}

#[tokio::test]
async fn an_announcement_makes_a_fill_worthless() {
    let world = World::new();
    let token = world.miss(1).await;
    world.announce(BATCH, 1, &[]).await;
    assert!(matches!(world.read(1).await, Lookup::Busy));
    assert!(!world.fill(1, token, 5).await);
    world
        .memory
        .abort(BATCH, &[world.announced(1, &[])])
        .await
        .unwrap();
    assert!(!world.fill(1, token, 5).await, "not afterwards either");
    assert_ne!(world.miss(1).await, token);
}

#[tokio::test]
async fn what_is_taken_back_changes_nothing() {
    let world = World::new();
    let token = world.miss(1).await;
    world.fill(1, token, 5).await;
    assert!(
        world.announce(BATCH, 1, &[]).await,
        "what is held is worth holding"
    );
    assert!(matches!(world.read(1).await, Lookup::Busy));
    world
        .memory
        .abort(BATCH, &[world.announced(1, &[])])
        .await
        .unwrap();
    assert_eq!(world.revision(1).await, Some(5));
}

#[tokio::test]
async fn the_newest_version_stays_whoever_settles_last() {
    let world = World::new();
    for end in [there(20), Version::gone(Revision::new(10))] {
        let token = world.miss(1).await;
        world.fill(1, token, 5).await;
        world.announce(BATCH, 1, &[]).await;
        world.announce(OTHER, 1, &[]).await;
        world.settle(OTHER, world.settled(1, end, &[], &[])).await;
        assert!(
            matches!(world.read(1).await, Lookup::Busy),
            "one is still to come"
        );
        world
            .settle(BATCH, world.settled(1, there(10), &[], &[]))
            .await;
        let expected = (!end.gone).then_some(20);
        assert_eq!(world.revision(1).await, expected);
        world.memory.clear().await.unwrap();
    }
    assert_eq!(world.memory.bytes(), 0);
}

#[tokio::test]
async fn a_set_misses_nothing_down_to_its_mark() {
    let world = World::new();
    assert_eq!(world.scan(9).await, (0, Reach::Nowhere));
    // Announced while it is being built, and committed after it was read.
    let token = world.memory.begin(&world.set()).await.unwrap().unwrap();
    world.announce(BATCH, 3, &[3]).await;
    let stretch = Members {
        after: None,
        members: vec![world.member(1, 1), world.member(5, 5)],
        to_the_end: false,
    };
    assert!(
        world
            .memory
            .build(&world.set(), token, stretch)
            .await
            .unwrap()
    );
    assert_eq!(world.scan(9).await, (3, Reach::To(world.position(5, 5))));
    assert_eq!(world.scan(2).await, (2, Reach::To(world.position(3, 3))));
    world
        .settle(BATCH, world.settled(3, there(10), &[3], &[]))
        .await;
    // It is built further from there on, and not from anywhere else.
    for (after, counts) in [(world.position(7, 7), false), (world.position(5, 5), true)] {
        let token = world.memory.begin(&world.set()).await.unwrap().unwrap();
        let stretch = Members {
            after: Some(after),
            members: vec![world.member(8, 8)],
            to_the_end: true,
        };
        assert_eq!(
            world
                .memory
                .build(&world.set(), token, stretch)
                .await
                .unwrap(),
            counts
        );
    }
    assert_eq!(world.scan(9).await, (4, Reach::End));
}

#[tokio::test]
async fn who_leaves_a_set_takes_no_later_entry_along() {
    let world = World::new();
    world.build(vec![world.member(1, 1)], true).await;
    // It moves from 1 to 2, and back; the first move is settled last.
    world.announce(BATCH, 1, &[2]).await;
    world.announce(OTHER, 1, &[1]).await;
    assert_eq!(world.scan(9).await.0, 2);
    world
        .settle(OTHER, world.settled(1, there(20), &[1], &[2]))
        .await;
    world
        .settle(BATCH, world.settled(1, there(10), &[2], &[1]))
        .await;
    let scan = world.memory.scan(&[world.set()], None, 9).await.unwrap();
    assert!(scan.positions.contains(&world.position(1, 1)));
}

#[tokio::test]
async fn sets_that_nobody_has_built_do_not_stay() {
    let world = World::new();
    assert!(!world.announce(BATCH, 1, &[1]).await, "nobody reads it");
    assert_eq!(world.memory.keys().1.len(), 1);
    world
        .settle(BATCH, world.settled(1, there(10), &[1], &[]))
        .await;
    assert_eq!(world.memory.keys().1.len(), 0);
}

#[tokio::test]
async fn a_set_that_grows_keeps_its_beginning() {
    let world = World::new();
    world.build(Vec::new(), true).await;
    for number in (1..=3000_u16).rev() {
        let size = i64::from(number);
        world.announce(BATCH, u128::from(number), &[size]).await;
        let settled = world.settled(u128::from(number), there(10), &[size], &[]);
        world.settle(BATCH, settled).await;
    }
    let (found, reach) = world.scan(5000).await;
    assert!((1000..=2048).contains(&found), "{found}");
    assert!(matches!(reach, Reach::To(_)));
    assert!(
        world.memory.begin(&world.set()).await.unwrap().is_none(),
        "it is full"
    );
}

#[tokio::test]
async fn several_sets_are_one() {
    let world = World::new();
    world
        .build(vec![world.member(1, 1), world.member(4, 4)], true)
        .await;
    let other = SetName::new(world.things(), 1, &[&Value::Null]).unwrap();
    let sets = [world.set(), other.clone()];
    let scan = world.memory.scan(&sets, None, 9).await.unwrap();
    assert_eq!(scan.reach, Reach::Nowhere, "one of them is not known");
    let token = world.memory.begin(&other).await.unwrap().unwrap();
    let stretch = Members {
        after: None,
        members: vec![world.member(1, 1), world.member(3, 3)],
        to_the_end: false,
    };
    world.memory.build(&other, token, stretch).await.unwrap();
    let scan = world.memory.scan(&sets, None, 9).await.unwrap();
    assert_eq!(scan.positions, [world.position(1, 1), world.position(3, 3)]);
    assert_eq!(
        scan.reach,
        Reach::To(world.position(3, 3)),
        "the rest of one is not known"
    );
}

#[tokio::test]
async fn the_least_recently_used_go_first_and_none_that_is_about_to_change() {
    let world = World::new();
    for number in 1..=10 {
        let token = world.miss(number).await;
        world.fill(number, token, 5).await;
    }
    let each = world.memory.bytes() / 10;
    world.read(1).await;
    world.announce(BATCH, 2, &[]).await;
    world.memory.set_budget(each * 5);
    assert!(world.memory.bytes() <= each * 5);
    let (kept, _) = world.memory.keys();
    for (number, stays) in [(1, true), (2, true), (3, false), (4, false), (10, true)] {
        assert_eq!(kept.contains(&world.key(number)), stays, "{number}");
    }
    world.memory.set_budget(0);
    assert_eq!(world.memory.keys().0, [world.key(2)]);
    let statistics = world.memory.statistics().collections[0].unwrap();
    assert_eq!((statistics.documents, statistics.evictions), (1, 9));
    assert_eq!(statistics.bytes, world.memory.bytes() as u64);
}

#[tokio::test]
async fn what_is_kept_beyond_its_time_is_missing() {
    let world = World::new();
    let token = world.miss(1).await;
    let fill = (world.key(1), token, world.held(1, 5));
    world.memory.fill(vec![fill], Some(1_000)).await.unwrap();
    world.clock.0.store(999_000, Ordering::Relaxed);
    assert_eq!(world.revision(1).await, Some(5));
    world.clock.0.store(1_000_000, Ordering::Relaxed);
    world.miss(1).await;
    assert_eq!(
        world.memory.statistics().collections[0].unwrap().documents,
        0
    );
}

#[tokio::test]
async fn what_is_said_to_be_taken_is_about_what_is_taken() {
    // What the allocator would say, without asking it: the sum of what was put there.
    let world = World::new();
    let mut payload = 0;
    for number in 1..=1000 {
        let token = world.miss(number).await;
        let held = world.held(number, 5);
        payload += held.json.len() + held.excerpt.size();
        world
            .memory
            .fill(vec![(world.key(number), token, held)], None)
            .await
            .unwrap();
    }
    let said = world.memory.bytes();
    assert!(said > payload, "{said} {payload}");
    assert!(said < payload + 1000 * 512, "{said} {payload}");
}
