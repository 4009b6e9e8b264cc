//! What is read of a collection that is in two places, while documents change and move between them.
//!
//! Between any two questions of a reader anything may happen that may happen. The model says which
//! versions were the latest ones while it read.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use nubo_core::{
    Result,
    access::View,
    alone::{Alone, Leaving, WaitingRoom},
    clock::Clock,
    coordination::Epoch,
    document::Document,
    filter::{Expr, Reader, Select},
    id::{Id, Revision},
    module::SetupError,
    observe::Observer,
    position::Position,
    query::{Query, Related, Start},
    schema::{Catalog, Collection, CollectionId},
    time::Timestamp,
    truth::{Body, Page, Truth},
    value::Value,
    write::{Outcome, Sequence, Transaction},
};
use serde_json::json;

use super::read::Composed;

const DOCUMENTS: u64 = 12;
const RUNS: u64 = 3000;

/// Numbers that look like chance and are the same every time (Steele and others, `SplitMix`).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (number ^ (number >> 31)) % end
    }
}

/// Both places, and what has been.
struct World {
    catalog: Arc<Catalog>,
    dice: Dice,
    now: i64,
    /// When the one who reads has begun.
    began: i64,
    truth: BTreeMap<Id, Document>,
    ends: HashMap<Id, i64>,
    /// What the tier has, and since when.
    tier: BTreeMap<Id, (Document, i64)>,
    /// What every document has been, and since when.
    history: BTreeMap<Id, Vec<(i64, Option<Document>)>>,
}

fn id(number: u64) -> Id {
    let text = format!("00000000-0000-7000-8000-{number:012x}");
    text.parse().unwrap()
}

impl World {
    fn new(seed: u64) -> Self {
        let declaration = json!([{ "name": "news", "fields": { "rank": "int!", "read": "bool!" },
            "tiers": { "recent": {}, "truth": "none" } }]);
        let declaration: Vec<_> = serde_json::from_value(declaration).unwrap();
        let mut world = Self {
            catalog: Arc::new(Catalog::compile(&declaration, &[]).unwrap()),
            dice: Dice(seed),
            now: 0,
            began: i64::MAX,
            truth: BTreeMap::new(),
            ends: HashMap::new(),
            tier: BTreeMap::new(),
            history: BTreeMap::new(),
        };
        for _ in 0..world.dice.below(120) {
            world.happen();
        }
        world.now += 1;
        world.began = world.now;
        world
    }

    fn collection(&self) -> &Collection {
        &self.catalog.collections()[0]
    }

    /// Some things happen between two questions.
    fn pass(&mut self) {
        for _ in 0..self.dice.below(6) {
            self.happen();
        }
        self.now += 1;
    }

    fn happen(&mut self) {
        self.now += 1;
        let id = id(self.dice.below(DOCUMENTS));
        match self.dice.below(5) {
            0 | 1 => self.write(id),
            2 => self.delete(id),
            3 => self.bring(id),
            _ => self.leave(id),
        }
    }

    /// Takes a document in that has left, as it is.
    fn recall(&mut self, id: Id) {
        let Some((document, _)) = self.tier.get(&id) else {
            return;
        };
        let has_ended = self
            .ends
            .get(&id)
            .is_some_and(|end| *end >= document.revision().number());
        if !self.truth.contains_key(&id) && !has_ended {
            self.truth.insert(id, document.clone());
        }
    }

    fn write(&mut self, id: Id) {
        self.recall(id);
        if self.truth.contains_key(&id) && self.dice.below(4) == 0 {
            // It was recalled, and nothing else.
            return;
        }
        let (rank, read) = (self.dice.below(5), self.dice.below(2) == 1);
        let json = json!({ "id": id.to_string(), "rank": rank, "read": read });
        let source = nubo_core::field::Source::Json;
        let mut document = self.collection().read_document(&json, source).unwrap();
        document.set_created_at(Timestamp::from_millis(1));
        document.touch(Timestamp::from_millis(1));
        document.set_revision(Revision::new(self.now));
        self.truth.insert(id, document.clone());
        self.note(id, Some(document));
    }

    fn delete(&mut self, id: Id) {
        self.recall(id);
        if self.truth.remove(&id).is_some() {
            self.ends.insert(id, self.now);
            self.note(id, None);
        }
    }

    fn note(&mut self, id: Id, document: Option<Document>) {
        self.history
            .entry(id)
            .or_default()
            .push((self.now, document));
    }

    /// The tier gets the latest version, or the end.
    fn bring(&mut self, id: Id) {
        if let Some(document) = self.truth.get(&id) {
            let known = self.tier.get(&id).map(|(known, _)| known.revision());
            if known < Some(document.revision()) {
                self.tier.insert(id, (document.clone(), self.now));
            }
        } else if let Some(end) = self.ends.get(&id)
            && self
                .tier
                .get(&id)
                .is_some_and(|(known, _)| known.revision().number() <= *end)
        {
            self.tier.remove(&id);
        }
    }

    /// The truth forgets what the tier has had since before anybody reads who reads now.
    fn leave(&mut self, id: Id) {
        let (Some(document), Some((known, since))) = (self.truth.get(&id), self.tier.get(&id))
        else {
            return;
        };
        if known.revision() == document.revision() && *since < self.began {
            self.truth.remove(&id);
        }
    }

    /// What a document was while somebody read.
    fn states(&self, id: Id) -> Vec<Option<&Document>> {
        let history = self.history.get(&id).map_or(&[][..], Vec::as_slice);
        let before = history.iter().rfind(|(at, _)| *at < self.began);
        let mut states = vec![before.and_then(|(_, document)| document.as_ref())];
        let during = history.iter().filter(|(at, _)| *at >= self.began);
        states.extend(during.map(|(_, document)| document.as_ref()));
        states
    }

    fn select<'a>(&self, all: impl Iterator<Item = &'a Document>, query: &Query) -> Vec<Document> {
        let fields = self.collection().fields();
        let all = all.filter(|document| query.filter.matches(*document, fields, &()));
        let mut found: Vec<Document> = all.cloned().collect();
        found.sort_by_key(|document| Position::of(&query.sort, document));
        if let Start::After(keys) = &query.start {
            let after = Position::of_values(&query.sort, keys);
            found.retain(|document| Position::of(&query.sort, document) > after);
        }
        found.truncate(query.limit as usize);
        found
    }
}

/// The two places as those ask them who read.
#[derive(Clone)]
struct Places(Arc<Mutex<World>>);

impl Places {
    /// Something happens, and then a question is answered.
    fn ask<T>(&self, answer: impl FnOnce(&World) -> T) -> T {
        let mut world = self.0.lock().unwrap();
        world.pass();
        answer(&world)
    }
}

#[async_trait]
impl Alone for Places {
    async fn find(&self, query: &Query) -> Result<Vec<Document>> {
        Ok(self.ask(|world| {
            let all = world.tier.values().map(|(document, _)| document);
            world.select(all, query)
        }))
    }
}

#[async_trait]
impl WaitingRoom for Places {
    async fn ends(&self, _: CollectionId, ids: &[Id]) -> Result<Vec<(Id, Revision)>> {
        Ok(self.ask(|world| {
            let ends = ids
                .iter()
                .filter_map(|id| Some((*id, *world.ends.get(id)?)));
            ends.map(|(id, end)| (id, Revision::new(end))).collect()
        }))
    }

    async fn waiting(&self, _: CollectionId, _: Option<Id>, _: u32) -> Result<Vec<(Id, Revision)>> {
        panic!("nobody who reads asks for this")
    }

    async fn long_ended(
        &self,
        _: CollectionId,
        _: Option<Id>,
        _: u32,
    ) -> Result<Vec<(Id, Revision)>> {
        panic!("nobody who reads asks for this")
    }

    async fn leave(&self, _: Epoch, _: &Leaving) -> Result<bool> {
        panic!("nobody who reads asks for this")
    }
}

#[async_trait]
impl Truth for Places {
    async fn start(&self, _: Vec<Arc<dyn Observer>>) -> Result<(), SetupError> {
        Ok(())
    }

    async fn stop(&self) {}

    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn transact(&self, _: Vec<Transaction>, _: Sequence) -> Vec<Result<Vec<Outcome>>> {
        panic!("nobody who reads asks for this")
    }

    fn waiting_room(&self) -> Option<&dyn WaitingRoom> {
        Some(self)
    }

    async fn get(&self, _: CollectionId, _: Id, _: &View) -> Result<Option<Body>> {
        panic!("the truth alone is not asked for this")
    }

    async fn page(&self, _: Query, _: &View) -> Result<Page> {
        panic!("the truth alone is not asked for this")
    }

    async fn find(&self, query: Query, _: &View) -> Result<Vec<Document>> {
        Ok(self.ask(|world| world.select(world.truth.values(), &query)))
    }

    async fn find_related(&self, _: Related, _: &View) -> Result<Vec<Document>> {
        panic!("the truth alone is not asked for this")
    }

    async fn count(&self, _: CollectionId, _: Expr, _: &View) -> Result<u64> {
        panic!("the truth alone is not asked for this")
    }

    async fn contains(&self, _: &Select, _: &Value) -> Result<bool> {
        panic!("the filter looks nothing up")
    }
}

/// A clock that somebody moves.
#[derive(Default)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn micros(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn ticks(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn composed(places: &Places, clock: Arc<dyn Clock>) -> Composed {
    Composed {
        catalog: Arc::clone(&places.0.lock().unwrap().catalog),
        truth: Arc::new(places.clone()),
        alone: Arc::new(places.clone()),
        clock,
        patience: Duration::from_secs(1),
    }
}

fn query(world: &World, filter: &serde_json::Value, sort: &str, limit: u32) -> Query {
    let collection = world.collection();
    Query {
        collection: collection.id,
        filter: Reader::of_client(&world.catalog, collection)
            .read(filter)
            .unwrap(),
        sort: collection.read_sort(sort).unwrap(),
        start: Start::First,
        limit,
        fields: None,
    }
}

#[tokio::test]
async fn a_document_is_what_it_was_at_some_moment() {
    for seed in 0..RUNS {
        let places = Places(Arc::new(Mutex::new(World::new(seed))));
        let composed = composed(&places, Arc::new(Hand::default()));
        let collection = places.0.lock().unwrap().collection().id;
        let id = id(seed % DOCUMENTS);
        let body = composed.get(collection, id, &View::all()).await.unwrap();
        let world = places.0.lock().unwrap();
        let states = world.states(id);
        let revision = |document: &Document| document.revision();
        let expected: Vec<_> = states.iter().map(|state| state.map(revision)).collect();
        let found = body.map(|body| body.revision);
        assert!(
            expected.contains(&found),
            "{seed}: {found:?} of {expected:?}"
        );
    }
}

#[tokio::test]
async fn a_list_has_what_was_in_it_and_nothing_else() {
    for seed in 0..RUNS {
        let world = World::new(seed);
        let filter = match seed % 3 {
            0 => json!({}),
            1 => json!({ "read": true }),
            _ => json!({ "rank": { "$gte": 2 } }),
        };
        let sort = ["rank", "-rank,read", "id"][(seed % 7 % 3) as usize];
        let limit = 1 + (seed % 14) as u32;
        let asked = query(&world, &filter, sort, limit);
        let places = Places(Arc::new(Mutex::new(world)));
        let composed = composed(&places, Arc::new(Hand::default()));
        let found = composed.find(asked.clone(), &View::all()).await.unwrap();

        let world = places.0.lock().unwrap();
        let fields = world.collection().fields();
        let is_in = |document: &Document| asked.filter.matches(document, fields, &());
        let listed: HashMap<Id, &Document> = found
            .iter()
            .map(|document| (document.id().unwrap(), document))
            .collect();
        assert_eq!(listed.len(), found.len(), "{seed}: one came twice");
        let places_of = found.iter().map(|one| Position::of(&asked.sort, one));
        assert!(places_of.is_sorted(), "{seed}: out of order");
        let end = found.last().filter(|_| found.len() == limit as usize);
        let end = end.map(|last| Position::of(&asked.sort, last));
        for number in 0..DOCUMENTS {
            let id = id(number);
            let states = world.states(id);
            match listed.get(&id) {
                Some(document) => {
                    assert!(is_in(document), "{seed}: {id} does not belong there");
                    let was = states.contains(&Some(*document));
                    assert!(was, "{seed}: {id} was never like that");
                }
                // It need not be there where it once was not, or behind the end.
                None => {
                    let is_always_in = states.iter().all(|state| {
                        state.is_some_and(|state| {
                            let place = Position::of(&asked.sort, state);
                            is_in(state) && end.as_ref().is_none_or(|end| place <= *end)
                        })
                    });
                    assert!(!is_always_in, "{seed}: {id} is missing");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_stays_is_counted() {
    for seed in 0..RUNS / 10 {
        let mut world = World::new(seed);
        // Nothing happens while it is counted, but that documents move.
        let filter = json!({ "read": true });
        let asked = query(&world, &filter, "id", 1);
        let expected = (0..DOCUMENTS).filter(|number| {
            let state = world.states(id(*number)).pop().flatten();
            state.is_some_and(|state| *state.value(2) == Value::Bool(true))
        });
        let expected = expected.count() as u64;
        for number in 0..DOCUMENTS {
            match world.dice.below(3) {
                0 => world.bring(id(number)),
                1 => world.leave(id(number)),
                _ => world.recall(id(number)),
            }
        }
        let collection = world.collection().id;
        let places = Places(Arc::new(Mutex::new(world)));
        let composed = composed(&places, Arc::new(Hand::default()));
        let still = |places: &Places| places.0.lock().unwrap().dice = Dice(0);
        still(&places);
        let count = composed.count(collection, asked.filter, &View::all()).await;
        let world = places.0.lock().unwrap();
        let has_changed = (0..DOCUMENTS).any(|number| world.states(id(number)).len() > 1);
        assert!(has_changed || count.unwrap() == expected, "{seed}");
    }
}

#[tokio::test]
async fn who_reads_for_too_long_is_refused() {
    /// Half a second passes whenever it is looked at.
    struct Slow(AtomicI64);
    impl Clock for Slow {
        fn micros(&self) -> i64 {
            self.ticks()
        }
        fn ticks(&self) -> i64 {
            self.0.fetch_add(1_500_000, Ordering::Relaxed)
        }
    }
    let places = Places(Arc::new(Mutex::new(World::new(5))));
    let composed = composed(&places, Arc::new(Slow(AtomicI64::new(0))));
    let asked = query(&places.0.lock().unwrap(), &json!({}), "id", 5);
    let refused = composed.find(asked, &View::all()).await.unwrap_err();
    assert_eq!(refused.code(), "too_slow");
}

#[tokio::test]
async fn what_cannot_be_counted_at_once_is_counted_bit_by_bit() {
    /// A good second passes between the first two looks.
    struct Slow(AtomicI64);
    impl Clock for Slow {
        fn micros(&self) -> i64 {
            self.ticks()
        }
        fn ticks(&self) -> i64 {
            self.0.fetch_add(1, Ordering::Relaxed).min(1) * 1_500_000
        }
    }
    let mut world = World::new(5);
    world.dice = Dice(0);
    let asked = query(&world, &json!({}), "id", 1);
    let collection = world.collection().id;
    let there = (0..DOCUMENTS).filter(|number| world.states(id(*number)).pop().flatten().is_some());
    let there = there.count() as u64;
    let places = Places(Arc::new(Mutex::new(world)));
    let composed = composed(&places, Arc::new(Slow(AtomicI64::new(0))));
    let count = composed.count(collection, asked.filter, &View::all()).await;
    assert_eq!(count.unwrap(), there);
}
