//! What every storage must do, and the world in which each of them is asked to.
//!
//! [`test_behaviours!`] makes a test of each behaviour for one storage; [`model`] holds two storages
//! against one another.

mod behaviours;
mod claims;
pub(crate) mod model;

use std::sync::Arc;

use nubo_core::{
    cache::{Held, Lookup, Member, Members, Reach, SetName},
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

use crate::storage::{Announced, DocumentKey, Place, Settled, Storage};

pub(crate) use behaviours::*;
pub(crate) use claims::*;

pub(crate) const BATCH: BatchId = BatchId(1);
pub(crate) const OTHER: BatchId = BatchId(2);

/// Things, whose excerpts are read from what is sent, and notes, whose excerpts are not.
pub(crate) fn catalog() -> Catalog {
    let collection = |name: &str, kind: serde_json::Value| {
        json!({
            "name": name,
            "fields": { "kind": kind, "size": "int", "words": "text" },
            "order": "size",
            "tiers": { "cache": { "sets": ["kind"] }, "recent": {} },
        })
    };
    let declarations = json!([
        collection("things", json!("text")),
        collection("notes", json!({ "type": "text", "hidden": true })),
    ]);
    let declarations: Vec<_> = serde_json::from_value(declarations).unwrap();
    Catalog::compile(&declarations, &[]).unwrap()
}

/// A storage, and one collection in it.
pub(crate) struct World<S> {
    pub catalog: Arc<Catalog>,
    pub storage: S,
    /// The collection's name.
    pub name: &'static str,
}

impl<S: Storage> World<S> {
    pub fn new(catalog: Arc<Catalog>, storage: S) -> Self {
        Self {
            catalog,
            storage,
            name: "things",
        }
    }

    pub fn things(&self) -> &Collection {
        self.catalog.named(self.name).unwrap()
    }

    pub fn key(&self, number: u128) -> DocumentKey {
        DocumentKey {
            collection: self.things().id,
            id: Id::from_uuid(Uuid::from_u128(number)),
        }
    }

    pub fn document(&self, number: u128, size: i64, revision: i64) -> Document {
        let mut document = Document::empty(self.things());
        document.set(Collection::ID, Value::Uuid(Uuid::from_u128(number)));
        document.set(1, Value::Text("a".into()));
        document.set(2, Value::Int(size));
        document.set_revision(Revision::new(revision));
        document
    }

    pub fn held(&self, number: u128, revision: i64) -> Arc<Held> {
        let things = self.things();
        let cache = things.tiers.cache.as_ref().unwrap();
        let document = self.document(number, 0, revision);
        Arc::new(Held::of(&document, things, cache))
    }

    pub fn set(&self) -> SetName {
        self.set_of("a")
    }

    pub fn set_of(&self, kind: &str) -> SetName {
        SetName::new(self.things(), 1, &[&Value::Text(kind.into())]).unwrap()
    }

    pub fn position(&self, number: u128, size: i64) -> Position {
        Position::of(&self.things().order, &self.document(number, size, 0)).unwrap()
    }

    pub fn member(&self, number: u128, size: i64) -> Member {
        Member {
            position: self.position(number, size),
            revision: Revision::new(1),
        }
    }

    pub async fn read(&self, number: u128) -> Lookup {
        let found = self.storage.read(&[self.key(number)]).await;
        found.unwrap().remove(0)
    }

    /// The fill token that is left for a document that is missing.
    pub async fn miss(&self, number: u128) -> u64 {
        match self.read(number).await {
            Lookup::Missing(token) => token.number,
            other => panic!("{other:?}"),
        }
    }

    pub async fn fill(&self, number: u128, token: u64, revision: i64) -> bool {
        let fill = (self.key(number), token, self.held(number, revision));
        self.storage.fill(vec![fill], None).await.unwrap()[0]
    }

    /// Holds a document in this revision.
    pub async fn hold(&self, number: u128, revision: i64) {
        let token = self.miss(number).await;
        assert!(self.fill(number, token, revision).await);
    }

    /// The revision that is held.
    pub async fn revision(&self, number: u128) -> Option<i64> {
        match self.read(number).await {
            Lookup::Held(held) => Some(held.revision.number()),
            _ => None,
        }
    }

    pub async fn is_busy(&self, number: u128) -> bool {
        matches!(self.read(number).await, Lookup::Busy)
    }

    pub async fn announce(&self, batch: BatchId, number: u128, sizes: &[i64]) -> bool {
        let announced = self.announced(number, sizes);
        self.storage
            .announce(batch, &[announced], &[])
            .await
            .unwrap()[0]
    }

    pub fn announced(&self, number: u128, sizes: &[i64]) -> Announced {
        Announced {
            document: self.key(number),
            is_new: false,
            revision: Revision::new(10),
            places: self.places(number, sizes),
            left: Some(Vec::new()),
        }
    }

    pub fn places(&self, number: u128, sizes: &[i64]) -> Vec<Place> {
        let place = |size: &i64| Place {
            set: self.set(),
            position: self.position(number, *size),
        };
        sizes.iter().map(place).collect()
    }

    pub async fn abort(&self, batch: BatchId, number: u128, sizes: &[i64]) {
        let announced = self.announced(number, sizes);
        self.storage.abort(batch, &[announced], &[]).await.unwrap();
    }

    pub async fn settle(&self, batch: BatchId, settled: Settled) {
        self.storage.settle(batch, vec![settled]).await.unwrap();
    }

    pub fn settled(&self, number: u128, version: Version, places: &[i64], left: &[i64]) -> Settled {
        Settled {
            document: self.key(number),
            is_new: false,
            version,
            held: (!version.gone).then(|| self.held(number, version.revision.number())),
            lifetime: None,
            places: self.places(number, places),
            left: self.places(number, left),
            left_at: Revision::new(1),
        }
    }

    /// Builds a set from its beginning.
    pub async fn build(&self, members: Vec<Member>, to_the_end: bool) {
        assert!(self.build_from(None, members, to_the_end).await);
    }

    /// The same from a position on. Whether it counts.
    pub async fn build_from(
        &self,
        after: Option<Position>,
        members: Vec<Member>,
        to_the_end: bool,
    ) -> bool {
        let token = self.storage.begin(&self.set()).await.unwrap().unwrap();
        let stretch = Members {
            after,
            members,
            to_the_end,
        };
        let built = self.storage.build(&self.set(), token, stretch).await;
        built.unwrap()
    }

    pub async fn scan(&self, most: usize) -> (usize, Reach) {
        let scan = self.storage.scan(&[self.set()], None, most).await.unwrap();
        (scan.positions.len(), scan.reach)
    }
}

pub(crate) fn there(revision: i64) -> Version {
    Version::there(Revision::new(revision))
}

pub(crate) fn gone(revision: i64) -> Version {
    Version::gone(Revision::new(revision))
}

/// Hands all behaviours to a macro, behind what else it takes.
macro_rules! with_behaviours {
    ($macro:ident! $world:path) => {
        $crate::storage_tests::$macro! { $world:
            what_is_filled_is_held
            what_is_held_is_what_was_put_there
            an_announcement_makes_a_fill_worthless
            what_is_taken_back_changes_nothing
            the_newest_version_stays_whoever_settles_last
            an_older_version_does_not_come_back
            a_set_misses_nothing_down_to_its_mark
            a_stretch_begins_behind_a_position
            who_leaves_a_set_takes_no_later_entry_along
            sets_that_nobody_has_built_are_not_read
            a_set_that_grows_keeps_its_beginning
            what_is_about_to_be_committed_stays_in_a_long_set
            who_builds_a_set_while_it_is_cut_back_has_not_seen_all_of_it
            no_more_is_built_than_is_kept
            several_sets_are_one
            what_is_cleared_is_gone_but_for_tokens
            what_others_have_written_is_nowhere_held_and_missing_nowhere
            many_documents_are_read_and_changed_at_once
            what_is_announced_is_pending_until_it_has_arrived
            a_document_is_pending_until_all_of_its_claims_are_gone
            what_was_taken_back_is_not_pending
            what_is_claimed_later_is_pending_in_its_own_epoch_alone
            lists_that_are_too_long_are_closed
            a_document_that_too_many_claim_closes_the_lists
            lists_are_opened_as_they_were_begun_and_once
            who_begins_the_lists_knows_the_batches_that_are_under_way
            lists_stay_when_the_cache_is_cleared_and_are_closed_when_it_is_distrusted
        }
    };
}
pub(crate) use with_behaviours;

/// A test of each behaviour, in worlds that an async function makes together with whatever must stay
/// as long as they do.
macro_rules! test_behaviours {
    ($world:path) => {
        $crate::storage_tests::with_behaviours!(test_behaviours! $world);
    };
    ($world:path: $($behaviour:ident)*) => {$(
        #[tokio::test]
        async fn $behaviour() {
            let (world, _stays) = $world().await;
            $crate::storage_tests::$behaviour(&world).await;
        }
    )*};
}
pub(crate) use test_behaviours;

/// One behaviour after another, each in a world that an async closure makes.
macro_rules! show_behaviours {
    ($world:path) => {
        $crate::storage_tests::with_behaviours!(show_behaviours! $world)
    };
    ($world:path: $($behaviour:ident)*) => {$(
        $crate::storage_tests::$behaviour(&$world().await).await;
    )*};
}
pub(crate) use show_behaviours;
