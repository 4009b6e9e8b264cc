//! Several instances that read, write and build at the same time, and die in the middle of it, held
//! against a truth that knows what was there when.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

use nubo_core::{
    cache::{Lookup, Member, Members, Reach, SetName},
    id::Revision,
    observe::BatchId,
    position::Position,
    record::Version,
};
use tokio::sync::Mutex;

use super::*;
use crate::{
    Storage,
    storage::{Announced, Place, Settled},
    storage_tests::{gone, there},
};

const DOCUMENTS: u128 = 5;
const SIZES: i64 = 3;
/// How many batches are committed.
const COMMITS: usize = 1500;

/// What is committed.
struct Truth {
    rows: RefCell<Vec<Row>>,
    /// Held by who is about to change a row, until it is committed or not.
    locks: Vec<Mutex<()>>,
    commits: Cell<usize>,
    revisions: Cell<i64>,
    /// What size each revision has.
    sizes: RefCell<HashMap<i64, i64>>,
    random: RefCell<fastrand::Rng>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Row {
    version: Version,
    /// Where it stands; none where it is gone.
    size: Option<i64>,
}

impl Truth {
    fn new(seed: u64) -> Self {
        let row = Row {
            version: gone(0),
            size: None,
        };
        Self {
            rows: RefCell::new((0..DOCUMENTS).map(|_| row).collect()),
            locks: (0..DOCUMENTS).map(|_| Mutex::default()).collect(),
            commits: Cell::new(0),
            revisions: Cell::new(1),
            sizes: RefCell::default(),
            random: RefCell::new(fastrand::Rng::with_seed(seed)),
        }
    }

    fn row(&self, number: u128) -> Row {
        self.rows.borrow()[number as usize]
    }

    fn draw(&self, below: u64) -> u64 {
        self.random.borrow_mut().u64(..below)
    }

    fn is_over(&self) -> bool {
        self.commits.get() >= COMMITS
    }

    /// Lets others go on, for a while or not.
    async fn pause(&self) {
        for _ in 0..self.draw(6) {
            tokio::task::yield_now().await;
        }
    }
}

/// The sets: that of even sizes, and that of odd ones.
fn sets(world: &World<RedisStorage>) -> [SetName; 2] {
    ["a", "b"].map(|kind| world.set_of(kind))
}

/// Where a document of this size stands.
fn place(world: &World<RedisStorage>, number: u128, size: i64) -> Place {
    let [even, odd] = sets(world);
    Place {
        set: if size % 2 == 0 { even } else { odd },
        position: world.position(number, size),
    }
}

/// Reads documents and puts them there.
async fn read(truth: &Truth, world: &World<RedisStorage>) {
    while !truth.is_over() {
        let number = u128::from(truth.draw(DOCUMENTS as u64));
        let before = truth.row(number);
        let found = world.read(number).await;
        judge_and_fill(truth, world, number, before, found).await;
        truth.pause().await;
    }
}

/// Judges what was found of a document that was so before, and puts it there where it is missing.
async fn judge_and_fill(
    truth: &Truth,
    world: &World<RedisStorage>,
    number: u128,
    before: Row,
    found: Lookup,
) {
    match found {
        Lookup::Held(held) => {
            let version = there(held.revision.number());
            assert!(version >= before.version, "{version:?} after {before:?}");
            assert!(version <= truth.row(number).version, "not committed");
        }
        Lookup::Busy | Lookup::Unknown => {}
        Lookup::Missing(token) => {
            truth.pause().await;
            let row = truth.row(number);
            truth.pause().await;
            if row.size.is_some() {
                world
                    .fill(number, token.number, row.version.revision.number())
                    .await;
            }
        }
    }
}

/// Scans one set or both, which must have whatever was there all the time.
async fn scan(truth: &Truth, world: &World<RedisStorage>) {
    while !truth.is_over() {
        let before = truth.rows.borrow().clone();
        let sets = match (truth.draw(3), sets(world)) {
            (0, [even, _]) => vec![even],
            (1, [_, odd]) => vec![odd],
            (_, both) => both.to_vec(),
        };
        let scan = world.storage.scan(&sets, None, 1000).await.unwrap();
        let after = truth.rows.borrow().clone();
        let is_covered = |position: &Position| match &scan.reach {
            Reach::Nowhere => false,
            Reach::To(end) => position <= end,
            Reach::End => true,
        };
        for (number, (before, after)) in (0..).zip(before.iter().zip(&after)) {
            let (true, Some(size)) = (before == after, before.size) else {
                continue;
            };
            let Place { set, position } = place(world, number, size);
            let is_there = scan.positions.contains(&position);
            assert!(
                is_there || !is_covered(&position) || !sets.contains(&set),
                "{number} is missing in {scan:?}"
            );
        }
        for (id, found) in scan.documents.into_iter().flatten() {
            let number = id.uuid().as_u128();
            let before = before[number as usize];
            if let Lookup::Held(held) = &found {
                // One that has left stands there for a while, and is not what is looked for.
                let size = truth.sizes.borrow()[&held.revision.number()];
                if !sets.contains(&place(world, number, size).set) {
                    continue;
                }
            }
            judge_and_fill(truth, world, number, before, found).await;
        }
        truth.pause().await;
    }
}

/// Builds the sets, as far as may be.
async fn build(truth: &Truth, world: &World<RedisStorage>) {
    while !truth.is_over() {
        let set = sets(world)[truth.draw(2) as usize].clone();
        let token = world.storage.begin(&set).await.unwrap().unwrap();
        truth.pause().await;
        let rows = truth.rows.borrow().clone();
        let members = (0..).zip(rows).filter_map(|(number, row)| {
            let place = place(world, number, row.size?);
            (place.set == set).then_some(Member {
                position: place.position,
                revision: row.version.revision,
            })
        });
        let mut members: Vec<Member> = members.collect();
        members.sort_unstable_by(|a, b| a.position.cmp(&b.position));
        let few = truth.draw(DOCUMENTS as u64) as usize;
        let to_the_end = few >= members.len();
        members.truncate(few);
        truth.pause().await;
        let stretch = Members {
            after: None,
            members,
            to_the_end,
        };
        world.storage.build(&set, token, stretch).await.unwrap();
        if truth.draw(10) == 0 {
            world.storage.clear().await.unwrap();
        }
        truth.pause().await;
    }
}

/// Writes, with one instance after another, each of which dies sooner or later.
async fn write(truth: &Truth, test: &Test, first: u128) {
    for number in (first..).step_by(10) {
        let storage = test.redis.at(EPOCH, &test.incarnation, instance(number));
        let world = World::new(Arc::new(catalog()), storage);
        let mut batch = 0;
        while !truth.is_over() {
            batch += 1;
            if write_once(truth, &world, BatchId(batch)).await.is_none() {
                break;
            }
        }
        // It commits nothing any more, and somebody takes over.
        truth.pause().await;
        let back = test
            .redis
            .take_back(EPOCH, &test.incarnation, instance(number));
        back.await.unwrap();
        if truth.is_over() {
            return;
        }
    }
}

/// Throws things out.
async fn evict(truth: &Truth, world: &World<RedisStorage>) {
    while !truth.is_over() {
        for _ in 0..truth.draw(20) {
            tokio::task::yield_now().await;
        }
        match truth.draw(8) {
            0 => world.storage.clear().await.unwrap(),
            1..4 => {
                let key = world.key(u128::from(truth.draw(DOCUMENTS as u64)));
                let keys = [key];
                let dropped = world.storage.drop_documents(&keys, false);
                dropped.await.unwrap();
            }
            _ => {
                let set = sets(world)[truth.draw(2) as usize].clone();
                world.storage.forget_sets(&[set]).await.unwrap();
            }
        }
    }
}

/// One batch. None where the instance has died on the way.
async fn write_once(truth: &Truth, world: &World<RedisStorage>, batch: BatchId) -> Option<()> {
    let number = u128::from(truth.draw(DOCUMENTS as u64));
    let settled = {
        let _lock = truth.locks[number as usize].lock().await;
        let before = truth.row(number);
        let revision = truth.revisions.get() + 1;
        truth.revisions.set(revision);
        let size = (truth.draw(4) > 0).then(|| truth.draw(SIZES as u64) as i64);
        let after = Row {
            version: match size {
                Some(_) => there(revision),
                None => gone(before.version.revision.number()),
            },
            size,
        };
        let places = |size: Option<i64>| -> Vec<Place> {
            let size = size.into_iter();
            size.map(|size| place(world, number, size)).collect()
        };
        // Sometimes nobody knows where it stood.
        let left = |size| (truth.draw(8) > 0).then(|| places(size));
        let announced = [Announced {
            document: world.key(number),
            is_new: before.size.is_none(),
            revision: Revision::new(revision),
            places: places(size),
            left: left(before.size.filter(|_| before.size != size)),
        }];
        let worth = world
            .storage
            .announce(batch, &announced, &[])
            .await
            .unwrap()[0];
        truth.pause().await;
        match truth.draw(40) {
            0 => return None,
            1..4 => {
                world.storage.abort(batch, &announced, &[]).await.unwrap();
                return Some(());
            }
            _ => {}
        }
        truth.rows.borrow_mut()[number as usize] = after;
        truth
            .sizes
            .borrow_mut()
            .extend(size.map(|size| (revision, size)));
        truth.commits.set(truth.commits.get() + 1);
        let [
            Announced {
                document,
                places: stands,
                ..
            },
        ] = announced;
        let mut left = places(before.size);
        left.retain(|place| !stands.contains(place));
        let held = (worth && size.is_some()).then(|| world.held(number, revision));
        Settled {
            document,
            is_new: before.size.is_none(),
            version: after.version,
            held,
            lifetime: None,
            places: stands,
            left,
            left_at: before.version.revision,
        }
    };
    truth.pause().await;
    if truth.draw(40) == 0 {
        return None;
    }
    world.storage.settle(batch, vec![settled]).await.unwrap();
    Some(())
}

#[tokio::test]
async fn nobody_sees_what_is_over_whoever_dies() {
    for (seed, count) in [(0, Partitions::ONE), (1, Partitions::ONE), (2, PARTITIONS)] {
        go_on_together(seed, Server::shared(), count).await;
    }
}

#[tokio::test]
async fn nor_does_anybody_on_a_cluster() {
    go_on_together(3, Server::cluster(), PARTITIONS).await;
}

async fn go_on_together(seed: u64, server: Server, count: Partitions) {
    let own = settings(&server);
    let one = Test::in_partitions(server, own, count).await;
    // Another process, with a connection of its own to the same epoch.
    let server = Server::known(&one.server);
    let settings = settings(&server);
    let other = Test::in_partitions(server, settings, count).await;
    let truth = Truth::new(seed);
    tokio::join!(
        write(&truth, &one, 10),
        write(&truth, &one, 11),
        write(&truth, &other, 12),
        read(&truth, &one.world),
        read(&truth, &other.world),
        read(&truth, &other.other),
        scan(&truth, &one.world),
        scan(&truth, &other.world),
        build(&truth, &one.other),
        build(&truth, &other.world),
        evict(&truth, &other.other),
    );
    // When all is settled or taken back, nothing is left but what is held.
    let numbers: Vec<u128> = (0..DOCUMENTS).collect();
    for number in numbers {
        match one.world.read(number).await {
            Lookup::Held(held) => {
                assert_eq!(there(held.revision.number()), truth.row(number).version);
            }
            Lookup::Missing(_) => {}
            other => panic!("{number} is still {other:?}"),
        }
    }
    let statistics = one.world.storage.statistics().collections[0].unwrap();
    assert!(
        statistics.hits > 0 && statistics.fills > 0,
        "{statistics:?}"
    );
    let statistics = one.other.storage.statistics().collections[0].unwrap();
    assert!(statistics.builds > 0, "{statistics:?}");
}
