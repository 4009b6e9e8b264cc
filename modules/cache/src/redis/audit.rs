//! Holds what the cache has against the truth, document by document, and forgets what differs.
//!
//! Others write meanwhile. What differs is looked at again after the truth was asked: if the truth
//! had something else by then, whoever wrote it had announced it before, so that it is busy, newer or
//! gone now. What still stands there as it was is wrong.

use std::sync::Arc;

use nubo_core::{
    Result,
    access::View,
    cache::{Held, Lookup, Reach},
    coordination::{Epoch, Incarnation},
    document::Document,
    filter::Expr,
    id::Id,
    position::Position,
    query::{Query, Start},
    schema::{CacheTier, Catalog, Collection},
    truth::Truth,
    value::Value,
};
use uuid::Uuid;

use super::{Redis, Shared, keys::Found, storage::RedisStorage, upkeep::Walk};
use crate::{
    shelves::places_of,
    storage::{DocumentKey, Place},
};

/// How many documents of the truth are looked at together.
const STEP: u32 = 500;
/// How many entries of a set are looked through for one.
const NEIGHBOURS: usize = 300;

/// Something that the cache has otherwise than the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// A document is held that the truth does not have, or not like that.
    Document { collection: String, id: Id },
    /// A set misses a document that belongs there.
    Missing { collection: String, id: Id },
}

/// Compares one epoch with the truth.
pub struct Audit {
    shared: Arc<Shared>,
    storage: RedisStorage,
    truth: Arc<dyn Truth>,
    /// Whether what differs is forgotten.
    repairs: bool,
    /// How many documents were looked at.
    pub compared: usize,
    /// How many places in sets.
    pub places: usize,
    pub differences: Vec<Difference>,
}

impl Audit {
    /// Compares what Redis holds.
    pub fn new(
        redis: &Redis,
        epoch: Epoch,
        on: &Incarnation,
        truth: Arc<dyn Truth>,
        repairs: bool,
    ) -> Self {
        let nobody = Id::from_uuid(Uuid::nil());
        let shared = Arc::clone(&redis.shared);
        Self {
            storage: RedisStorage::new(Arc::clone(&shared), epoch, on.clone(), nobody),
            shared,
            truth,
            repairs,
            compared: 0,
            places: 0,
            differences: Vec::new(),
        }
    }

    /// Compares so many documents that are held, and the places in sets of so many documents of each
    /// collection, about.
    ///
    /// # Errors
    /// When Redis or the truth does not answer.
    pub async fn run(&mut self, most: usize) -> Result<()> {
        self.documents(most).await?;
        let catalog = Arc::clone(&self.shared.catalog);
        for collection in catalog.collections() {
            if let Some(cache) = &collection.tiers.cache {
                self.sets(collection, cache, most).await?;
            }
        }
        Ok(())
    }

    async fn documents(&mut self, most: usize) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let connection = shared.link.to(&self.storage.incarnation)?;
        for server in connection.servers() {
            let mut walk = Walk::through(server, self.storage.keys.pattern());
            while self.compared < most
                && let Some(keys) = walk.next(&shared, &connection).await?
            {
                let found = keys.iter().filter_map(|key| {
                    Found::parse(&shared.settings.prefix, key)?.document(&shared.catalog)
                });
                let mut documents: Vec<DocumentKey> = found.collect();
                documents.sort_unstable();
                for same in documents.chunk_by(|a, b| a.collection == b.collection) {
                    self.compare(same).await?;
                }
            }
        }
        Ok(())
    }

    /// Compares documents of one collection.
    async fn compare(&mut self, documents: &[DocumentKey]) -> Result<()> {
        let catalog: Arc<Catalog> = Arc::clone(&self.shared.catalog);
        let Some(first) = documents.first() else {
            return Ok(());
        };
        let collection = catalog.get(first.collection);
        let Some(cache) = &collection.tiers.cache else {
            return Ok(());
        };
        if collection.is_alone() && self.shared.settings.has_recent {
            // The truth does not keep them.
            return Ok(());
        }
        let held = self.storage.find(documents).await?;
        let ids: Vec<Id> = documents.iter().map(|document| document.id).collect();
        let query = Query::by_ids(collection, &ids);
        let there = self.truth.find(query, &View::all()).await?;
        for (document, held) in documents.iter().zip(held) {
            let Some(Lookup::Held(held)) = held else {
                continue;
            };
            self.compared += 1;
            let there = there.iter().find(|own| own.id() == Some(document.id));
            if is_same(&held, there, collection, cache) {
                continue;
            }
            let again = self.storage.find(&[*document]).await?;
            if matches!(&again[..], [Some(Lookup::Held(again))] if **again == *held) {
                self.differences.push(Difference::Document {
                    collection: collection.name.clone(),
                    id: document.id,
                });
                self.forget_document(*document).await?;
            }
        }
        Ok(())
    }

    async fn forget_document(&self, document: DocumentKey) -> Result<()> {
        if self.repairs {
            self.storage.drop_documents(&[document], false).await?;
        }
        Ok(())
    }

    /// Looks whether documents of a collection stand in the sets in which they belong.
    async fn sets(
        &mut self,
        collection: &Collection,
        cache: &CacheTier,
        most: usize,
    ) -> Result<()> {
        let mut query = Query {
            limit: STEP,
            ..Query::in_order_of_ids(collection, Expr::always())
        };
        let mut seen = 0;
        loop {
            let documents = self.truth.find(query.clone(), &View::all()).await?;
            let Some(last) = documents.last().and_then(Document::id) else {
                return Ok(());
            };
            for document in &documents {
                for place in places_of(Some(document), collection, cache) {
                    self.places += 1;
                    if self.misses(&place).await? {
                        self.look_again(document, &place, collection, cache).await?;
                    }
                }
            }
            seen += documents.len();
            if documents.len() < STEP as usize || seen >= most {
                return Ok(());
            }
            query.start = Start::After(vec![Value::Uuid(last.uuid())]);
        }
    }

    /// Whether a set says that it is complete down to a place, and has nothing there.
    async fn misses(&self, place: &Place) -> Result<bool> {
        let before = just_before(&place.position);
        let sets = std::slice::from_ref(&place.set);
        let stretch = self
            .storage
            .stretch(sets, before.as_ref(), NEIGHBOURS)
            .await?;
        let Some((_, scan)) = stretch else {
            return Ok(false);
        };
        let covers = match &scan.reach {
            Reach::Nowhere => false,
            Reach::To(end) => place.position <= *end,
            Reach::End => true,
        };
        Ok(covers && !scan.positions.contains(&place.position))
    }

    /// The same of a document that is there still, as it was.
    async fn look_again(
        &mut self,
        document: &Document,
        place: &Place,
        collection: &Collection,
        cache: &CacheTier,
    ) -> Result<()> {
        let Some(id) = document.id() else {
            return Ok(());
        };
        let query = Query::by_ids(collection, &[id]);
        let now = self.truth.find(query, &View::all()).await?;
        let stays = places_of(now.first(), collection, cache).contains(place);
        if stays && self.misses(place).await? {
            self.differences.push(Difference::Missing {
                collection: collection.name.clone(),
                id,
            });
            if self.repairs {
                self.storage
                    .drop_sets(std::slice::from_ref(&place.set))
                    .await?;
            }
        }
        Ok(())
    }
}

/// The position right before another of the same length; None where that is the first one. What begins
/// like a position and goes on counts as a part of it, so that a shorter one will not do.
pub(super) fn just_before(position: &Position) -> Option<Position> {
    let mut bytes = position.bytes().to_vec();
    for byte in bytes.iter_mut().rev() {
        let (less, borrows) = byte.overflowing_sub(1);
        *byte = less;
        if !borrows {
            return Some(Position::from_bytes(&bytes));
        }
    }
    None
}

fn is_same(
    held: &Held,
    there: Option<&Document>,
    collection: &Collection,
    cache: &CacheTier,
) -> bool {
    there.is_some_and(|document| Held::of(document, collection, cache) == *held)
}
