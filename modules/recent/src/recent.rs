//! The recent tier of a server.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use mongodb::{Client, Collection as MongoCollection, Database, bson::doc};
use nubo_core::{
    Error, Result,
    cache::Held,
    coordination::Epoch,
    document::Document,
    id::Id,
    module::SetupError,
    query::Query,
    recent::{Found, Founding, Fresh, Recent, Sight},
    schema::{Catalog, Collection, CollectionId, RecentTier},
    time::Timestamp,
};
use tokio::sync::{OnceCell, Semaphore};

use crate::{
    connect::{self, CheckError, Server},
    fault, indexes, limit,
    query::Find,
    read::Reader,
    settings::MongoSettings,
    sharding, state,
    stored::{self, Stamp},
    trust::Trust,
    upkeep,
    write::{self, Refused},
};

/// So many of the connections that are kept open are for those who write and look.
const SPARE: u32 = 2;
/// So many read at the same time at least.
const FEWEST_READERS: u32 = 4;

/// Documents of late, in MongoDB.
pub struct MongoRecent {
    settings: MongoSettings,
    catalog: Arc<Catalog>,
    running: OnceLock<Running>,
    /// Set as soon as the collections are what they should be.
    prepared: OnceCell<()>,
    trust: Trust,
    /// Those who may read at the same time. They make do with the connections that are kept open: each new
    /// one has everybody wait until it is known where it leads.
    reading: Semaphore,
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
        let readers = settings.pool.0.saturating_sub(SPARE).max(FEWEST_READERS);
        Self {
            reading: Semaphore::new(readers as usize),
            settings,
            catalog,
            running: OnceLock::new(),
            prepared: OnceCell::new(),
            trust: Trust::default(),
        }
    }

    /// Connects, and makes the collections what they should be. Where nobody answers the tier starts
    /// all the same, and [looking](Recent::look) at it makes up for that as soon as somebody does.
    ///
    /// # Errors
    /// Where somebody must change something: the address, the account, the server's version.
    pub async fn start(&self) -> Result<(), SetupError> {
        let client = connect::client(&self.settings, self.trust.counter()).await?;
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
        let asking = async { ping.await.map(drop).map_err(fault::failure) };
        limit::in_time(self.settings.command_limit, asking).await
    }

    /// Makes the collections what they should be, with their indexes, unless that was done since the
    /// start.
    ///
    /// # Errors
    /// Where the server does not answer, or would not do.
    pub async fn prepare(&self) -> Result<()> {
        let preparing = self.prepared.get_or_try_init(|| self.make_collections());
        preparing.await.copied()
    }

    /// Whether the collections are what they should be.
    pub fn is_prepared(&self) -> bool {
        self.prepared.initialized()
    }

    async fn make_collections(&self) -> Result<()> {
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

    /// How long a command that writes may take.
    fn write_limit(&self) -> Duration {
        self.settings.command_limit.min(limit::WRITE)
    }

    /// What the tier keeps of a collection.
    fn tier<'a>(&self, collection: &'a Collection) -> Result<&'a RecentTier> {
        collection.tiers.recent.as_ref().ok_or_else(|| {
            Error::internal(format!("`{}` is not in the recent tier", collection.name))
        })
    }

    /// Where documents of a collection are.
    fn place<T: Send + Sync>(&self, collection: &Collection) -> Result<MongoCollection<T>> {
        let name = &self.tier(collection)?.collection;
        Ok(self.running()?.database.collection(name))
    }

    fn reader<'a>(&self, collection: &'a Collection) -> Result<Reader<'a>> {
        Ok(Reader {
            place: self.place(collection)?,
            collection,
            excerpts: &self.tier(collection)?.excerpts,
            limit: self.settings.read_limit,
        })
    }

    /// Reads what belongs to an epoch. It counts only if after the answer that can still be read.
    async fn read<T>(
        &self,
        epoch: Epoch,
        reading: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.trust.holds(epoch)?;
        let turn = async {
            // It is closed by nobody.
            let _turn = self.reading.acquire().await.map_err(Error::internal)?;
            reading.await
        };
        let answer = limit::in_time(self.settings.read_limit, turn).await?;
        self.trust.holds(epoch)?;
        Ok(answer)
    }
}

#[async_trait]
impl Recent for MongoRecent {
    fn epoch(&self) -> Option<Epoch> {
        self.trust.epoch()
    }

    /// Where MongoDB was away at the start, the collections are made first.
    async fn look(&self) -> Result<Sight> {
        self.prepare().await?;
        let connections = self.trust.connections();
        let limit = self.settings.read_limit;
        let running = self.running()?;
        let reading = async {
            let server = connect::run_of(&running.client).await?;
            let sight = state::read(&running.database, connections, limit).await?;
            Ok(Sight { server, ..sight })
        };
        limit::in_time(limit, reading).await
    }

    fn trust(&self, sight: &Sight) {
        self.trust.put(sight);
    }

    fn distrust(&self) {
        self.trust.withdraw();
    }

    /// The collections are made what they should be: this may be another server than the one that
    /// was prepared.
    async fn found(&self, founding: &Founding) -> Result<bool> {
        self.make_collections().await?;
        let limit = self.settings.read_limit;
        let finding = state::found(&self.running()?.database, founding, limit);
        limit::in_time(self.write_limit(), finding).await
    }

    async fn mark(&self, epoch: Epoch, process: Id, from: i64) -> Result<bool> {
        let limit = self.settings.read_limit;
        let marking = state::mark(&self.running()?.database, epoch, process, from, limit);
        limit::in_time(self.write_limit(), marking).await
    }

    async fn documents(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        ids: &[Id],
    ) -> Result<Vec<Found>> {
        let reader = self.reader(self.catalog.get(collection))?;
        let reading = reader.documents(stored::epoch(epoch), ids);
        self.read(epoch, reading).await
    }

    async fn list(
        &self,
        epoch: Epoch,
        query: &Query,
        created_since: Timestamp,
    ) -> Result<Vec<Arc<Held>>> {
        let collection = self.catalog.get(query.collection);
        let find = Find::new(stored::epoch(epoch), query, created_since, collection);
        let reader = self.reader(collection)?;
        let reading = reader.list(find.map_err(Error::internal)?, query.limit);
        self.read(epoch, reading).await
    }

    async fn find(
        &self,
        epoch: Epoch,
        query: &Query,
        created_since: Timestamp,
    ) -> Result<Vec<Document>> {
        let collection = self.catalog.get(query.collection);
        let find = Find::new(stored::epoch(epoch), query, created_since, collection);
        let reader = self.reader(collection)?;
        let reading = reader.whole(find.map_err(Error::internal)?, query.limit);
        self.read(epoch, reading).await
    }

    async fn bring(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        versions: &[Fresh<'_>],
        now: Timestamp,
    ) -> Result<Vec<Id>> {
        let collection = self.catalog.get(collection);
        let name = &self.tier(collection)?.collection;
        let database = &self.running()?.database;
        let stamp = Stamp {
            epoch: stored::epoch(epoch),
            last_use: now,
        };
        let limit = self.write_limit();
        let is_sharded = self.is_sharded()?;
        let writing = write::write(database, collection, is_sharded, versions, stamp, limit);
        let refused = writing.await?;
        for Refused { id, code } in &refused {
            tracing::warn!(collection = name, %id, code, "MongoDB cannot hold a document");
        }
        Ok(refused.into_iter().map(|refused| refused.id).collect())
    }

    async fn touch(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        ids: &[Id],
        now: Timestamp,
    ) -> Result<()> {
        let place = self.place(self.catalog.get(collection))?;
        let epoch = stored::epoch(epoch);
        upkeep::touch(&place, epoch, ids, now, self.write_limit()).await
    }

    /// What has no other place stays, whatever its epoch. Finding what is to go may take as long as a
    /// command may.
    async fn clean(
        &self,
        epoch: Epoch,
        collection: CollectionId,
        used_before: Option<Timestamp>,
    ) -> Result<u64> {
        let collection = self.catalog.get(collection);
        if !collection.tiers.truth {
            return Ok(0);
        }
        let place = self.place(collection)?;
        let epoch = stored::epoch(epoch);
        upkeep::clean(&place, epoch, used_before, self.settings.command_limit).await
    }
}
