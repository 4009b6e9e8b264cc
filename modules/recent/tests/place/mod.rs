//! A recent tier in a database of its own.

#![allow(dead_code, clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use mongodb::{
    Client, Database,
    bson::{Document as BsonDocument, doc},
};
use nubo_core::{
    cache::Held,
    coordination::Epoch,
    declare::CollectionDeclaration,
    document::Document,
    field::Source,
    id::{Id, Revision},
    recent::{Found, Founding, Fresh, Recent, State},
    schema::{Catalog, Collection},
    time::Timestamp,
};
use nubo_recent::{MongoRecent, MongoSettings};
use serde_json::{Value as Json, json};

#[path = "../../../../tests/services/mongodb.rs"]
pub mod server;

/// The epoch that is read, unless a test says otherwise.
pub const EPOCH: Epoch = Epoch {
    number: 3,
    nonce: 77,
};

/// A tier, and the same database without it.
pub struct Place {
    pub tier: MongoRecent,
    pub catalog: Arc<Catalog>,
    pub database: Database,
    settings: MongoSettings,
}

/// How tests use a server.
pub fn settings(uri: &str) -> MongoSettings {
    let limit = Duration::from_secs(30);
    MongoSettings {
        uri: uri.into(),
        database: server::unused_name(),
        application_name: "nubo-test".into(),
        pool: (0, 10),
        idle_limit: limit,
        selection_limit: limit,
        connect_limit: limit,
        command_limit: limit,
        read_limit: limit,
    }
}

/// Notes, of which the recent tier keeps some.
pub fn notes() -> Json {
    json!([{
        "name": "notes",
        "fields": {
            "by": { "type": "uuid", "required": true, "immutable": true },
            "text": "text", "tags": "text[]", "meta": "json", "state": { "type": "int", "default": 0 },
        },
        "indexes": [["by", "-created_at"], { "fields": ["text"], "where": { "state": 0 } }],
        "tiers": { "recent": { "window": "30d" } },
    }])
}

pub fn catalog(declarations: Json) -> Arc<Catalog> {
    let declarations: Vec<CollectionDeclaration> = serde_json::from_value(declarations).unwrap();
    Arc::new(Catalog::compile(&declarations, &[]).unwrap())
}

impl Place {
    /// A new one on the server that tests share, which can be read.
    pub async fn new(declarations: Json) -> Self {
        let settings = settings(server::shared());
        let place = Self::at(settings, declarations).await;
        place.tier.start().await.unwrap();
        place.found(EPOCH).await;
        place
    }

    /// Has it belong to an epoch.
    pub async fn found(&self, epoch: Epoch) {
        let truth = "the truth".into();
        let founding = Founding { epoch, truth };
        assert!(self.tier.found(&founding).await.unwrap());
    }

    /// Looks at it, and goes by what is seen.
    pub async fn trust(&self) -> Epoch {
        // Looking may take a new connection, and the next look does not.
        for _ in 0..100 {
            let sight = self.tier.look().await.unwrap();
            self.tier.trust(&sight);
            if let Some(epoch) = self.tier.epoch() {
                return epoch;
            }
        }
        panic!("there is always another connection");
    }

    /// One that is not started yet.
    pub async fn at(settings: MongoSettings, declarations: Json) -> Self {
        let catalog = catalog(declarations);
        let client = Client::with_uri_str(&settings.uri).await.unwrap();
        Self {
            tier: MongoRecent::new(settings.clone(), catalog.clone()),
            database: client.database(&settings.database),
            catalog,
            settings,
        }
    }

    /// The same database, under other declarations.
    pub async fn again(&self, declarations: Json) -> Self {
        let place = Self::at(self.settings.clone(), declarations).await;
        place.tier.start().await.unwrap();
        place
    }

    /// Throws everything away.
    pub async fn end(self) {
        self.tier.stop().await;
        self.database.drop().await.unwrap();
    }

    pub fn collection(&self) -> &Collection {
        &self.catalog.collections()[0]
    }

    /// A note in a version.
    pub fn note(&self, id: Id, revision: i64, json: Json) -> Document {
        let collection = self.collection();
        let mut json = json;
        json["id"] = id.to_string().into();
        json["by"] = id_of(1).to_string().into();
        let mut document = collection.read_document(&json, Source::Json).unwrap();
        document.set_created_at(now());
        document.touch(now());
        document.set_revision(Revision::new(revision));
        document
    }

    /// What is there of a document.
    pub async fn find(&self, id: Id) -> Found {
        let epoch = self.trust().await;
        let ids = [id];
        let found = self.tier.documents(epoch, self.collection().id, &ids);
        found.await.unwrap().remove(0)
    }

    /// What is held of a document.
    pub async fn held(&self, id: Id) -> Option<Arc<Held>> {
        match self.find(id).await {
            Found::Held(held) => Some(held),
            Found::Gone(_) | Found::Missing => None,
        }
    }

    /// Brings versions, which must all be held.
    pub async fn bring(&self, versions: &[Fresh<'_>]) {
        self.bring_to(EPOCH, versions).await;
    }

    /// The same for an epoch.
    pub async fn bring_to(&self, epoch: Epoch, versions: &[Fresh<'_>]) {
        let refused = self
            .tier
            .bring(epoch, self.collection().id, versions, now());
        assert_eq!(refused.await.unwrap(), []);
    }

    /// A document as it stands in the database.
    pub async fn stored(&self, id: Id) -> Option<BsonDocument> {
        let documents = self.database.collection::<BsonDocument>("notes_recent");
        let id = mongodb::bson::Uuid::from_bytes(*id.uuid().as_bytes());
        documents.find_one(doc! { "_id": id }).await.unwrap()
    }

    /// The indexes that are there, as the server tells of them.
    pub async fn indexes(&self) -> Vec<BsonDocument> {
        let name = &self.collection().tiers.recent.as_ref().unwrap().collection;
        let answer = self.database.run_command(doc! { "listIndexes": name });
        let answer = answer.await.unwrap();
        let indexes = answer.get_document("cursor").unwrap();
        let indexes = indexes.get_array("firstBatch").unwrap().iter();
        indexes
            .map(|index| index.as_document().unwrap().clone())
            .collect()
    }
}

pub fn there(document: &Document) -> Fresh<'_> {
    Fresh::there(document).unwrap()
}

pub fn gone(document: &Document) -> Fresh<'_> {
    Fresh {
        state: State::Gone(Some(document)),
        ..there(document)
    }
}

pub fn id_of(number: u64) -> Id {
    format!("00000000-0000-7000-8000-{number:012x}")
        .parse()
        .unwrap()
}

/// What was used now is not thrown out while a test runs.
pub fn now() -> Timestamp {
    let millis = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    Timestamp::from_millis(millis as i64)
}
