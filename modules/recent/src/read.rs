//! Documents by their ids, and lists.

use std::{collections::HashMap, sync::Arc, time::Duration};

use mongodb::{
    Collection as MongoCollection,
    bson::{Bson, RawDocumentBuf, doc},
};
use nubo_core::{
    Error, Result,
    cache::Held,
    document::Document,
    id::Id,
    recent::Found,
    record::{Excerpts, Version},
    schema::Collection,
    value::Value,
};

use crate::{
    fault,
    query::Find,
    stored::{self, NotStored, Row},
};

/// How many documents come with one answer.
const AT_ONCE: u32 = 10_000;

/// Where documents are, and how they are read.
pub(crate) struct Reader<'a> {
    pub place: MongoCollection<RawDocumentBuf>,
    pub collection: &'a Collection,
    pub excerpts: &'a Excerpts,
    /// How long MongoDB may work on an answer.
    pub limit: Duration,
}

impl Reader<'_> {
    /// Documents of an epoch by their ids, each in its place. What has no other place belongs to every
    /// epoch.
    pub async fn documents(&self, epoch: i64, ids: &[Id]) -> Result<Vec<Found>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let asked = ids.iter().map(|id| stored::bson(&Value::Uuid(id.uuid())));
        let filter = doc! { stored::ID: { "$in": asked.collect::<Vec<Bson>>() } };
        let mut newest: HashMap<Id, (Version, Found)> = HashMap::with_capacity(ids.len());
        let at_once = u32::try_from(ids.len()).unwrap_or(AT_ONCE);
        let mut cursor = self
            .place
            .find(filter)
            .batch_size(at_once.min(AT_ONCE))
            .max_time(self.limit)
            .await
            .map_err(fault::failure)?;
        while cursor.advance().await.map_err(fault::failure)? {
            let row = Row::read(cursor.current(), self.collection).map_err(Error::internal)?;
            if row.epoch != Some(epoch) && !self.collection.is_alone() {
                continue;
            }
            let (version, found) = self.seen(&row)?;
            // On a cluster the end of a document may lie elsewhere than its next life.
            let id = Id::from_uuid(row.id().map_err(Error::internal)?);
            if newest.get(&id).is_none_or(|(other, _)| *other < version) {
                newest.insert(id, (version, found));
            }
        }
        let found = ids.iter().map(|id| match newest.get(id) {
            Some((_, found)) => found.clone(),
            None => Found::Missing,
        });
        Ok(found.collect())
    }

    /// A list, in its order, of so many documents at most.
    pub async fn list(&self, find: Find, limit: u32) -> Result<Vec<Arc<Held>>> {
        let held = |row: &Row<'_>| row.held(self.excerpts).map(Arc::new);
        self.read_list(find, limit, held).await
    }

    /// The same with everything that documents have.
    pub async fn whole(&self, find: Find, limit: u32) -> Result<Vec<Document>> {
        self.read_list(find, limit, |row| row.whole()).await
    }

    async fn read_list<T>(
        &self,
        find: Find,
        limit: u32,
        read: impl Fn(&Row<'_>) -> Result<T, NotStored>,
    ) -> Result<Vec<T>> {
        // To MongoDB that would mean all.
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        let mut cursor = self
            .place
            .find(find.filter)
            .sort(find.sort)
            .skip(find.skip)
            .limit(limit.into())
            // All at once: a list is one question and one answer.
            .batch_size(limit.min(AT_ONCE))
            .max_time(self.limit)
            .await
            .map_err(fault::failure)?;
        while cursor.advance().await.map_err(fault::failure)? {
            let row = Row::read(cursor.current(), self.collection).map_err(Error::internal)?;
            found.push(read(&row).map_err(Error::internal)?);
        }
        Ok(found)
    }

    /// The version that a row is, and what is there in it.
    fn seen(&self, row: &Row<'_>) -> Result<(Version, Found)> {
        let revision = row.revision().map_err(Error::internal)?;
        Ok(match row.gone {
            true => (Version::gone(revision), Found::Gone(revision)),
            false => {
                let held = row.held(self.excerpts).map_err(Error::internal)?;
                (Version::there(revision), Found::Held(Arc::new(held)))
            }
        })
    }
}
