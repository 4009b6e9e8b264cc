//! What the recent tier answers.

use std::{sync::Arc, time::Duration};

use nubo_core::{
    cache::Held,
    coordination::Epoch,
    document::Document,
    id::Id,
    query::{Query, Start},
    recent::{Found, Founding, Fresh, Recent, State},
    schema::{Catalog, Collection},
    time::Timestamp,
    value::Value,
};
use nubo_recent::{MongoRecent, MongoSettings};
use proptest::{prelude::*, test_runner::TestCaseResult};

use crate::{Question, world::choices::Choices, written};

#[path = "../../../tests/services/mongodb.rs"]
mod mongodb_server;

/// The epoch that is read. There is something of an earlier one besides.
const EPOCH: Epoch = Epoch {
    number: 2,
    nonce: 5,
};
const EARLIER: Epoch = Epoch {
    number: 1,
    nonce: 6,
};

/// A recent tier in a database of its own.
pub struct Mongo {
    tier: MongoRecent,
    database: String,
}

impl Mongo {
    pub async fn new(catalog: Arc<Catalog>) -> Self {
        let database = mongodb_server::unused_name();
        let minute = Duration::from_secs(60);
        let settings = MongoSettings {
            uri: mongodb_server::shared().into(),
            database: database.clone(),
            application_name: "nubo-test".into(),
            pool: (0, 4),
            idle_limit: minute,
            selection_limit: minute,
            connect_limit: minute,
            command_limit: minute,
            read_limit: minute,
        };
        let tier = MongoRecent::new(settings, catalog);
        tier.start().await.unwrap();
        let founding = Founding {
            epoch: EPOCH,
            truth: "the truth".into(),
        };
        assert!(tier.found(&founding).await.unwrap());
        Self { tier, database }
    }

    /// Throws everything away.
    pub async fn end(self) {
        self.tier.stop().await;
        let client = ::mongodb::Client::with_uri_str(mongodb_server::shared());
        let client = client.await.unwrap();
        client.database(&self.database).drop().await.unwrap();
        client.shutdown().await;
    }

    /// Makes sure that it can be read, whatever connections were made.
    async fn trust(&self) {
        while self.tier.epoch().is_none() {
            let sight = self.tier.look().await.unwrap();
            self.tier.trust(&sight);
        }
    }

    /// Brings documents, in any order and some of them twice, and what is no part of any answer: the
    /// ends of others, and what belongs to an earlier epoch.
    pub async fn fill(
        &self,
        choices: &mut Choices<'_>,
        collection: &Collection,
        documents: &[Document],
    ) -> TestCaseResult {
        let mut versions: Vec<Fresh> = documents.iter().map(there).collect();
        let mut deleted = documents.iter().take(2).cloned().collect::<Vec<_>>();
        for (number, document) in deleted.iter_mut().enumerate() {
            let id = uuid(0xdead_0000 + number as u128);
            document.set(Collection::ID, id);
        }
        for document in &deleted {
            versions.push(gone(document));
            versions.push(there(document));
        }
        for at in 1..versions.len() {
            versions.swap(at, choices.below(at + 1));
        }
        versions.extend(documents.iter().take(3).map(there));
        // What was used of late stays.
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
        let now = Timestamp::from_millis(now as i64);
        let mut outdated = documents.iter().take(2).cloned().collect::<Vec<_>>();
        for (number, document) in outdated.iter_mut().enumerate() {
            document.set(Collection::ID, uuid(0x01d_0000 + number as u128));
        }
        let outdated: Vec<Fresh> = outdated.iter().map(there).collect();
        for (epoch, versions) in [(EARLIER, &outdated), (EPOCH, &versions)] {
            let refused = self.tier.bring(epoch, collection.id, versions, now).await;
            prop_assert_eq!(refused.unwrap(), []);
        }
        self.trust().await;
        let ids: Vec<Id> = documents.iter().filter_map(Document::id).collect();
        let found = self.tier.documents(EPOCH, collection.id, &ids).await;
        for (found, document) in found.unwrap().into_iter().zip(documents) {
            let Found::Held(found) = found else {
                return Err(TestCaseError::fail(format!("{document:?} is lost")));
            };
            same(collection, &found, document, "by id")?;
        }
        let ends: Vec<Id> = deleted.iter().filter_map(Document::id).collect();
        let found = self.tier.documents(EPOCH, collection.id, &ends).await;
        for (found, document) in found.unwrap().into_iter().zip(&deleted) {
            prop_assert_eq!(found, Found::Gone(document.revision()));
        }
        Ok(())
    }

    pub async fn compare(
        &self,
        choices: &mut Choices<'_>,
        question: &Question<'_>,
    ) -> TestCaseResult {
        let whole = self
            .ask(question, &question.query, &question.expected)
            .await;
        whole?;
        let rest = question.expected.iter().copied().skip(question.offset);
        let rest: Vec<&Document> = rest.take(2).collect();
        self.ask(question, &question.skipping(), &rest).await?;
        let mut page = question.in_steps();
        for expected in question.expected.chunks(question.limit) {
            self.ask(question, &page, expected).await?;
            let last = expected.last().unwrap();
            let keys = page.sort.iter().map(|key| last.value(key.field).clone());
            page.start = Start::After(keys.collect());
        }
        self.ask(question, &page, &[]).await?;
        self.ask_of_late(choices, question).await
    }

    /// Asks for what was created since one of the documents was.
    async fn ask_of_late(
        &self,
        choices: &mut Choices<'_>,
        question: &Question<'_>,
    ) -> TestCaseResult {
        let Question {
            collection,
            expected,
            ..
        } = question;
        if expected.is_empty() {
            return Ok(());
        }
        let since = choices.pick(expected).value(collection.created_at());
        let &Value::Timestamp(since) = since else {
            return Err(TestCaseError::fail("a document has no time of creation"));
        };
        let of_late = |document: &&Document| match document.value(collection.created_at()) {
            Value::Timestamp(time) => *time >= since,
            _ => false,
        };
        let of_late: Vec<&Document> = expected.iter().copied().filter(of_late).collect();
        self.ask_since(question, &question.query, since, &of_late)
            .await
    }

    async fn ask(
        &self,
        question: &Question<'_>,
        query: &Query,
        expected: &[&Document],
    ) -> TestCaseResult {
        let ever = Timestamp::from_millis(i64::MIN);
        self.ask_since(question, query, ever, expected).await
    }

    async fn ask_since(
        &self,
        question: &Question<'_>,
        query: &Query,
        created_since: Timestamp,
        expected: &[&Document],
    ) -> TestCaseResult {
        let about = &question.about;
        self.trust().await;
        let found = self.tier.list(EPOCH, query, created_since).await;
        let found = found.map_err(|error| TestCaseError::fail(format!("{error:?}\n{about}")))?;
        let ids = |json: &[u8]| String::from_utf8_lossy(json).into_owned();
        prop_assert_eq!(
            found.iter().map(|held| ids(&held.json)).collect::<Vec<_>>(),
            expected
                .iter()
                .map(|document| ids(&written(document, question.collection)))
                .collect::<Vec<_>>(),
            "in MongoDB: {} {:?}",
            about,
            query.start
        );
        for (held, document) in found.iter().zip(expected) {
            same(question.collection, held, document, about)?;
        }
        Ok(())
    }
}

/// A document in all its parts.
fn same(collection: &Collection, found: &Held, document: &Document, about: &str) -> TestCaseResult {
    let json = String::from_utf8_lossy(&found.json).into_owned();
    let expected = String::from_utf8(written(document, collection)).unwrap();
    prop_assert_eq!(json, expected, "{}", about);
    let excerpts = &collection.tiers.recent.as_ref().unwrap().excerpts;
    prop_assert_eq!(&found.excerpt, &excerpts.of(document), "{}", about);
    prop_assert_eq!(found.revision, document.revision());
    Ok(())
}

fn there(document: &Document) -> Fresh<'_> {
    Fresh::there(document).unwrap()
}

fn gone(document: &Document) -> Fresh<'_> {
    Fresh {
        state: State::Gone(Some(document)),
        ..there(document)
    }
}

fn uuid(number: u128) -> Value {
    let text = format!("{number:032x}");
    let groups = [
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..],
    ];
    let id: Id = groups.join("-").parse().unwrap();
    Value::Uuid(id.uuid())
}
