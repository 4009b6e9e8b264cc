//! What clients ask for beside listening: writes, messages without storage, a sign of life.
//!
//! Writes take the way of the REST routes: read against the schema, held against the rules, committed
//! by the store. There is no other way in.

use nubo_core::{
    Error, Result,
    access::Action,
    bus::{Event, What},
    caller::Caller,
    change::read_patch,
    clock,
    document::Document,
    field::Source,
    id::{Id, Revision},
    kind_of, nearest,
    schema::Collection,
    time::Timestamp,
    with_hint,
    write::{Guard, Operation, Outcome, Target},
};
use serde_json::Value as Json;

use crate::{
    audience::decide,
    channels,
    connection::Connection,
    hub::Hub,
    request::{Publish, wrong},
};

impl Hub {
    /// A stored collection by its name.
    pub fn stored(&self, name: &str) -> Result<&Collection> {
        match self.catalog.named(name) {
            Some(collection) => Ok(collection),
            None => {
                let known = nearest(name, self.catalog.names());
                let message = with_hint(format!("unknown collection `{name}`"), known);
                Err(wrong("/collection", "unknown_collection", message))
            }
        }
    }

    pub async fn create(
        &self,
        caller: &Caller,
        collection: &Collection,
        document: &Json,
    ) -> Result<Document> {
        collection.admit(Action::Create, caller)?;
        let operation = Operation::Create {
            collection: collection.id,
            document: collection.read_document(document, Source::Json)?,
        };
        match self.write(caller, operation).await? {
            Outcome::Created(document) | Outcome::Accepted(document) => Ok(document),
            _ => Err(Error::internal("the store did something else than create")),
        }
    }

    pub async fn update(
        &self,
        caller: &Caller,
        collection: &Collection,
        (id, revisions): (Id, Option<Vec<Revision>>),
        change: &Json,
    ) -> Result<Document> {
        collection.admit(Action::Update, caller)?;
        let operation = Operation::Update {
            collection: collection.id,
            target: Target::One {
                id,
                guard: Guard { revisions },
            },
            change: read_patch(&self.catalog, collection, change)?,
        };
        match self.write(caller, operation).await? {
            Outcome::Updated(document) => Ok(document),
            _ => Err(Error::internal("the store did something else than update")),
        }
    }

    pub async fn delete(
        &self,
        caller: &Caller,
        collection: &Collection,
        (id, revisions): (Id, Option<Vec<Revision>>),
    ) -> Result<()> {
        collection.admit(Action::Delete, caller)?;
        let operation = Operation::Delete {
            collection: collection.id,
            target: Target::One {
                id,
                guard: Guard { revisions },
            },
        };
        self.write(caller, operation).await.map(drop)
    }

    async fn write(&self, caller: &Caller, operation: Operation) -> Result<Outcome> {
        let outcomes = self.store.write(caller, vec![operation]).await?;
        let first = outcomes.into_iter().next();
        first.ok_or_else(|| Error::internal("the store gave no outcome"))
    }

    /// Tells those who listen something that is not stored.
    pub async fn publish(&self, connection: &Connection, publish: Publish) -> Result<()> {
        let caller = connection.caller();
        let event = match (&publish.collection, &publish.channel) {
            (Some(name), None) => self.message(&caller, name, &publish).await?,
            (None, Some(channel)) => self.told(connection, &caller, channel, &publish)?,
            _ => {
                let message = "must have either `collection` or `channel`";
                return Err(wrong("", "required", message));
            }
        };
        self.bus.publish(vec![event]);
        Ok(())
    }

    /// A message of a collection without storage, which must be as a new document would have to be.
    async fn message(&self, caller: &Caller, name: &str, publish: &Publish) -> Result<Event> {
        let Some(collection) = self.catalog.flux_named(name) else {
            let flux = self.catalog.flux().iter().map(|c| c.name.as_str());
            let message = format!("there is no collection `{name}` with `kind: flux`");
            let message = with_hint(message, nearest(name, flux));
            return Err(wrong("/collection", "unknown_collection", message));
        };
        collection.admit(Action::Create, caller)?;
        let mut document = collection.read_document(&publish.document, Source::Json)?;
        let now = self.clock.now();
        let permit = collection.permit_create(caller, now, &document)?;
        let new_id = || clock::new_id(&*self.clock, &*self.random);
        collection.complete(&mut document, now, caller.account_id(), new_id)?;
        let conditions = permit.fields.iter().map(|field| &field.condition);
        for condition in std::iter::once(&permit.after).chain(conditions) {
            if !decide(
                condition,
                &document,
                collection,
                &self.catalog,
                &*self.store,
            )
            .await?
            {
                let detail = format!("the access rules of {name} do not allow this");
                return Err(Error::forbidden(detail));
            }
        }
        Ok(Event {
            channels: collection.channels(None, Some(&document)),
            what: What::Published {
                collection: collection.id,
                document,
                until: later(
                    now,
                    publish.expires_in.unwrap_or(collection.realtime.lifetime),
                ),
            },
        })
    }

    /// What a device of an account tells the others.
    fn told(
        &self,
        connection: &Connection,
        caller: &Caller,
        channel: &str,
        publish: &Publish,
    ) -> Result<Event> {
        let resolved = channels::resolve(channel, caller, &self.catalog)?;
        let account = caller
            .account_id()
            .filter(|_| channels::is_of_account(&resolved.channel));
        let Some(account) = account else {
            let message = "publish to the channel of one's own account, or name a `collection`";
            return Err(wrong("/channel", "not_publishable", message));
        };
        if !publish.document.is_object() {
            let message = format!("must be an object, not {}", kind_of(&publish.document));
            return Err(wrong("/document", "wrong_type", message));
        }
        Ok(Event {
            channels: vec![resolved.channel],
            what: What::Told {
                account,
                json: publish.document.to_string().into(),
                until: later(self.clock.now(), publish.expires_in.unwrap_or(1000)),
                from: connection.id,
            },
        })
    }
}

fn later(now: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_millis(now.millis() + millis)
}
