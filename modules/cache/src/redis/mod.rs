//! The cache in Redis, which several instances share.
//!
//! [`Redis`] is the server as the instances agree on it: which incarnation answers, and which epochs
//! it holds. [`RedisStorage`] does in one epoch what [`crate::Memory`] does in this process, and
//! promises the same. What must not be seen half done is a [script](scripts), and every script and
//! every question looks in the same step whether the epoch is there. So a command that comes late,
//! or comes to a server that has lost its data, does nothing.
//!
//! Nothing here decides whether the cache may be used: that is for who holds the
//! [gate](nubo_core::coordination). A call that fails, or that takes longer than its time limit, may
//! still be carried out.
//!
//! [`RedisBuckets`] has nothing to do with the cache: it counts for all instances together.
//!
//! On a [cluster] an epoch is divided into [partitions], each of which promises this alone.
//!
//! Start with [keys], which says what is where, and `scripts/library.lua`. [reading] is what is asked,
//! [gather] and [rounds] how questions go together, [spread] how they are asked of several partitions,
//! and [copies] and [lists] what need not be sent again; [batches] is what is announced, [fates] what becomes of that, and
//! [claims] what is on its way to the recent tier.

mod address;
mod answers;
mod audit;
mod batches;
mod buckets;
mod budget;
mod claims;
mod cluster;
mod copies;
mod counts;
mod failure;
mod fates;
mod gather;
mod keys;
mod link;
mod lists;
mod packed;
mod partitions;
mod reading;
mod rounds;
mod scripts;
mod server;
mod spread;
mod storage;
#[cfg(test)]
mod tests;
mod upkeep;

use std::{sync::Arc, time::Duration};

use nubo_core::{
    Result,
    coordination::{Epoch, Incarnation},
    id::Id,
    schema::Catalog,
};

use uuid::Uuid;

pub use address::is_redis_address;
pub(crate) use address::servers;
pub use audit::{Audit, Difference};
pub use buckets::{BucketWatch, RedisBucketSettings, RedisBuckets};
pub use budget::RedisWatch;
pub(crate) use cluster::Map;
pub(crate) use partitions::slot;
pub use storage::RedisStorage;

use crate::storage::Remote;
use copies::Copying;
use counts::Counts;
use failure::unavailable;
use keys::Keys;
use link::{Command, Link, is_of_cluster};
use partitions::{ON_CLUSTERS, Partitions};

/// How the cache uses a Redis server. There is a password in it, so it has no text.
#[derive(Clone)]
pub struct RedisSettings {
    /// Where it is: `redis://` or, encrypted, `rediss://`, with account, password and database; of a
    /// cluster any server, or several, separated by commas.
    pub url: String,
    /// What the cache's keys begin with. Keys with another beginning are never touched.
    pub prefix: String,
    /// How long a command may take.
    pub limit: Duration,
    /// Bytes that the server holds at most, whatever it is that it holds; 0 is what it may hold by
    /// its own `maxmemory`, if that says anything.
    pub max_memory: u64,
    /// Bytes of that which stay free.
    pub margin: u64,
    /// Bytes that lists may take in this process, about.
    pub lists: usize,
    /// Bytes that documents may take in this process, about.
    pub documents: usize,
    /// Whether there is a recent tier, for which everybody keeps the pending lists.
    pub has_recent: bool,
}

/// A Redis server that holds the cache.
pub struct Redis {
    shared: Arc<Shared>,
}

/// What the server and those who use its epochs have together.
struct Shared {
    catalog: Arc<Catalog>,
    settings: RedisSettings,
    link: Link,
    counts: Counts,
    /// Into how many partitions an epoch is divided on a server of its own.
    divided: Partitions,
}

impl Shared {
    /// The names of an epoch's keys.
    fn keys(&self, epoch: Epoch, on: &Incarnation) -> Keys {
        let count = match is_of_cluster(on) {
            true => Partitions::new(ON_CLUSTERS),
            false => self.divided,
        };
        Keys::new(&self.settings.prefix, epoch, count)
    }
}

impl Redis {
    /// The server that the settings name. Nothing is asked of it yet.
    ///
    /// # Errors
    /// Where the URL is none of a Redis server.
    pub fn new(catalog: Arc<Catalog>, settings: RedisSettings) -> Result<Self> {
        let shared = Shared {
            link: Link::new(
                &settings.url,
                settings.limit,
                meaning(&catalog, settings.has_recent),
                (settings.documents > 0).then(|| Copying {
                    budget: settings.documents,
                    prefix: settings.prefix.clone(),
                    catalog: Arc::clone(&catalog),
                }),
            )?,
            counts: Counts::new(&catalog),
            catalog,
            settings,
            divided: Partitions::ONE,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The same with epochs that are divided on a server of its own, too.
    #[cfg(test)]
    fn divided(mut self, into: Partitions) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.divided = into;
        }
        self
    }
}

/// Which way of laying things out in Redis this is.
const LAYOUT: u32 = 4;

/// What tells those who write and read alike from others. The bytes that are held mean something only
/// to those with the same collections and the same version of this code; so a server is another
/// [`Incarnation`] to others, and they do not use it together.
fn meaning(catalog: &Catalog, has_recent: bool) -> Uuid {
    use std::fmt::Write;
    let mut text = format!("{} {LAYOUT}", env!("CARGO_PKG_VERSION"));
    for collection in catalog.collections() {
        let fields = collection.fields().iter();
        let fields: Vec<_> = fields.map(|field| (&field.name, &field.kind)).collect();
        // Writing into a string cannot fail.
        let written = write!(
            text,
            "\n{} {:?} {} {:?} {:?} {fields:?}",
            collection.name,
            collection.tiers.cache,
            has_recent && collection.tiers.recent.is_some(),
            collection.order,
            collection.sent_fields()
        );
        debug_assert!(written.is_ok());
    }
    Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes())
}

impl Remote for Redis {
    type Storage = RedisStorage;

    async fn reach(&self) -> Result<Incarnation> {
        let incarnation = self.shared.link.reach().await?;
        if is_of_cluster(&incarnation) && self.shared.settings.prefix.contains(['{', '}']) {
            return Err(unavailable(
                "the prefix of the keys must have no braces on a Redis cluster, which has its own \
                 use for them",
            ));
        }
        Ok(incarnation)
    }

    async fn prepare(&self, epoch: Epoch, on: &Incarnation) -> Result<()> {
        let link = &self.shared.link;
        let connection = link.to(on)?;
        let keys = self.shared.keys(epoch, on);
        let commands = keys.partitions().map(|partition| {
            let mut command = redis::cmd("SET");
            command.arg(keys.epoch(partition));
            command.arg(Keys::first_token(partition)).arg("NX");
            Command::new(command, keys.slot(partition), 1)
        });
        link.call(&connection, commands.collect()).await.map(drop)
    }

    fn at(&self, epoch: Epoch, on: &Incarnation, instance: Id) -> RedisStorage {
        RedisStorage::new(Arc::clone(&self.shared), epoch, on.clone(), instance)
    }

    async fn take_back(&self, epoch: Epoch, on: &Incarnation, instance: Id) -> Result<()> {
        self.at(epoch, on, instance).take_back().await
    }

    async fn sweep(&self, below: Epoch, on: &Incarnation) -> Result<()> {
        upkeep::sweep(&self.shared, below, on).await
    }
}
