//! The recent tier of a server.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, OnceLock},
};

use mongodb::{
    Client, Collection as MongoCollection, Database,
    bson::{Bson, RawDocumentBuf, doc},
};
use nubo_core::{
    Error, Result,
    cache::Held,
    id::Id,
    module::SetupError,
    record::{Excerpts, Version},
    schema::{Catalog, Collection, CollectionId},
    time::Timestamp,
    value::Value,
};

use crate::{
    connect::{self, CheckError, Server},
    fault, indexes,
    query::{Find, Question},
    settings::MongoSettings,
    sharding,
    stored::{self, Row},
    write::{self, Fresh, Refused},
};

/// How many documents come with one answer.
const AT_ONCE: u32 = 10_000;

/// Documents of late, in MongoDB.
pub struct MongoRecent {
    settings: MongoSettings,
    catalog: Arc<Catalog>,
    running: OnceLock<Running>,
}

/// What exists between start and stop.
struct Running {
    client: Client,
    database: Database,
    /// What the server is, as soon as it has said so.
    server: OnceLock<Server>,
}

impl MongoRecent {
    /// A tier that is not connected yet.
    pub fn new(settings: MongoSettings, catalog: Arc<Catalog>) -> Self {
        Self {
            settings,
            catalog,
            running: OnceLock::new(),
        }
    }

    /// Connects, and makes the collections what they should be. Where nobody answers the tier starts
    /// all the same, and is not to be used before [`MongoRecent::prepare`] has succeeded.
    ///
    /// # Errors
    /// Where somebody must change something: the address, the account, the server's version.
    pub async fn start(&self) -> Result<(), SetupError> {
        let client = connect::client(&self.settings).await?;
        let running = Running {
            database: client.database(&self.settings.database),
            client,
            server: OnceLock::new(),
        };
        if self.running.set(running).is_err() {
            return Err(SetupError::new("the recent tier is started twice"));
        }
        match self.greet().await {
            Ok(()) => {}
            Err(CheckError::Refused(error)) => return Err(error),
            Err(CheckError::Away(error)) => {
                tracing::warn!(%error, "MongoDB does not answer: the recent tier is not used");
                return Ok(());
            }
        }
        self.prepare().await.map_err(|error| {
            SetupError::caused(
                "the collections of the recent tier cannot be prepared",
                error,
            )
        })
    }

    /// Closes the connections.
    pub async fn stop(&self) {
        if let Some(running) = self.running.get() {
            let closing = running.client.clone().shutdown();
            if tokio::time::timeout(self.settings.connect_limit, closing)
                .await
                .is_err()
            {
                tracing::debug!("the connections to MongoDB did not close in time");
            }
        }
    }

    /// Whether it answers: an error says why not.
    pub async fn ping(&self) -> Result<()> {
        let ping = self.running()?.database.run_command(doc! { "ping": 1 });
        self.in_time(async { ping.await.map(drop).map_err(fault::failure) })
            .await
    }

    /// Makes the collections what they should be, with their indexes.
    pub async fn prepare(&self) -> Result<()> {
        self.greet().await.map_err(|error| match error {
            CheckError::Refused(error) => Error::internal(error),
            CheckError::Away(error) => error,
        })?;
        for collection in self.catalog.collections() {
            let Some(tier) = &collection.tiers.recent else {
                continue;
            };
            let is_sharded = self.is_sharded()?;
            let wanted = indexes::wanted(collection, is_sharded);
            // Building an index takes as long as it takes.
            let changes = indexes::apply(&self.place(collection)?, &wanted).await;
            let changes = changes.map_err(fault::failure)?;
            for index in &changes.made {
                tracing::info!(
                    collection = tier.collection,
                    index,
                    "made an index in MongoDB"
                );
            }
            for index in &changes.dropped {
                tracing::info!(
                    collection = tier.collection,
                    index,
                    "dropped an index in MongoDB"
                );
            }
            if is_sharded {
                let client = &self.running()?.client;
                let spreading = sharding::apply(client, &self.settings.database, collection);
                spreading.await.map_err(fault::failure)?;
            }
        }
        Ok(())
    }
}

impl MongoRecent {
    /// Documents by their ids, each in its place, with those of their values that are asked about.
    /// One that is not here may be elsewhere.
    pub async fn documents(
        &self,
        collection: CollectionId,
        ids: &[Id],
        excerpts: &Excerpts,
    ) -> Result<Vec<Option<Held>>> {
        let collection = self.catalog.get(collection);
        let asked = ids.iter().map(|id| stored::bson(&Value::Uuid(id.uuid())));
        let filter = doc! { stored::ID: { "$in": asked.collect::<Vec<Bson>>() } };
        let mut newest: HashMap<Id, (Version, Option<Held>)> = HashMap::with_capacity(ids.len());
        let reading = async {
            let mut cursor = self
                .place(collection)?
                .find(filter)
                .max_time(self.settings.command_limit)
                .await
                .map_err(fault::failure)?;
            while cursor.advance().await.map_err(fault::failure)? {
                let row = Row::read(cursor.current(), collection).map_err(Error::internal)?;
                let (version, held) = seen(&row, excerpts)?;
                // On a cluster the end of a document may lie elsewhere than its next life.
                let id = Id::from_uuid(row.id().map_err(Error::internal)?);
                if newest.get(&id).is_none_or(|(other, _)| *other < version) {
                    newest.insert(id, (version, held));
                }
            }
            Ok(())
        };
        self.in_time(reading).await?;
        let found = ids
            .iter()
            .map(|id| newest.get(id).and_then(|(_, held)| held.clone()));
        Ok(found.collect())
    }

    /// A list, in its order, with those values of each document that are asked about.
    ///
    /// # Errors
    /// Where MongoDB does not answer, and where the filter looks other documents up
    /// ([`has_sub_query`](nubo_core::filter::Expr::has_sub_query)), which cannot be asked here.
    pub async fn list(&self, question: &Question<'_>, excerpts: &Excerpts) -> Result<Vec<Held>> {
        let collection = self.catalog.get(question.query.collection);
        let find = Find::new(question, collection).map_err(Error::internal)?;
        let limit = question.query.limit;
        if limit == 0 {
            // To MongoDB that would mean all.
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        let reading = async {
            let mut cursor = self
                .place(collection)?
                .find(find.filter)
                .sort(find.sort)
                .skip(find.skip)
                .limit(limit.into())
                // All at once: a list is one question and one answer.
                .batch_size(limit.min(AT_ONCE))
                .max_time(self.settings.command_limit)
                .await
                .map_err(fault::failure)?;
            while cursor.advance().await.map_err(fault::failure)? {
                let row = Row::read(cursor.current(), collection).map_err(Error::internal)?;
                found.push(row.held(excerpts).map_err(Error::internal)?);
            }
            Ok(())
        };
        self.in_time(reading).await?;
        Ok(found)
    }

    /// Brings versions of documents, of which the newest stay. Returns those that MongoDB cannot
    /// hold.
    ///
    /// # Errors
    /// Where it is not known which of them have arrived. They may be brought again.
    pub async fn bring(
        &self,
        collection: CollectionId,
        versions: &[Fresh<'_>],
        now: Timestamp,
    ) -> Result<Vec<Refused>> {
        let collection = self.catalog.get(collection);
        let database = &self.running()?.database;
        let is_sharded = self.is_sharded()?;
        let writing = write::write(database, collection, is_sharded, versions, now);
        self.in_time(writing).await
    }

    /// Learns what the server is, once.
    async fn greet(&self) -> Result<(), CheckError> {
        let running = self.running().map_err(CheckError::Away)?;
        if running.server.get().is_none() {
            let server = connect::check(&running.client, self.settings.command_limit).await?;
            running.server.get_or_init(|| server);
        }
        Ok(())
    }

    fn running(&self) -> Result<&Running> {
        self.running
            .get()
            .ok_or_else(|| Error::unavailable("not_started", "the server is starting"))
    }

    fn is_sharded(&self) -> Result<bool> {
        let server = self.running()?.server.get();
        server
            .map(|server| server.is_sharded)
            .ok_or_else(|| Error::unavailable("recent_unavailable", "MongoDB has not answered yet"))
    }

    /// Where documents of a collection are.
    fn place(&self, collection: &Collection) -> Result<MongoCollection<RawDocumentBuf>> {
        let tier = collection.tiers.recent.as_ref().ok_or_else(|| {
            Error::internal(format!("`{}` is not in the recent tier", collection.name))
        })?;
        Ok(self.running()?.database.collection(&tier.collection))
    }

    /// Waits for the server as long as a command may take.
    async fn in_time<T>(&self, asking: impl Future<Output = Result<T>>) -> Result<T> {
        match tokio::time::timeout(self.settings.command_limit, asking).await {
            Ok(answered) => answered,
            Err(_) => Err(fault::too_slow()),
        }
    }
}

/// The version that a row is, and the document where it is one.
fn seen(row: &Row<'_>, excerpts: &Excerpts) -> Result<(Version, Option<Held>)> {
    let revision = row.revision().map_err(Error::internal)?;
    Ok(match row.gone {
        true => (Version::gone(revision), None),
        false => {
            let held = row.held(excerpts).map_err(Error::internal)?;
            (Version::there(revision), Some(held))
        }
    })
}
