//! Servers that are away, refuse, or come back; indexes that follow the declarations.

#![allow(clippy::unwrap_used)]

mod place;

use std::time::Duration;

use mongodb::{IndexModel, bson::doc};
use nubo_core::{Error, recent::Recent};
use place::{EPOCH, Place, id_of, notes, server, settings, there};
use serde_json::{Value as Json, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_keeps_nothing_from_starting() {
    let mut server = server::Server::start();
    let mut settings = settings(&server.url());
    settings.selection_limit = Duration::from_millis(500);
    let place = Place::at(settings, notes()).await;
    // One that has only just begun to listen may not end.
    let ping = doc! { "ping": 1 };
    place.database.run_command(ping).await.unwrap();
    server.stop();
    place.tier.start().await.unwrap();
    let note = place.note(id_of(1), 1, json!({}));
    let versions = [there(&note)];
    let asked = place
        .tier
        .bring(EPOCH, place.collection().id, &versions, place::now())
        .await;
    assert!(matches!(asked, Err(Error::Unavailable { .. })), "{asked:?}");
    let pinged = place.tier.ping().await;
    assert!(
        matches!(pinged, Err(Error::Unavailable { .. })),
        "{pinged:?}"
    );
    let looked = place.tier.look().await;
    assert!(
        matches!(looked, Err(Error::Unavailable { .. })),
        "{looked:?}"
    );
    assert!(!place.tier.is_prepared());
    // It comes, and is used like any other as soon as somebody looks.
    server.resume();
    assert_eq!(place.tier.look().await.unwrap().epoch, None);
    assert!(place.tier.is_prepared());
    assert_eq!(place.indexes().await.len(), 5);
    place.found(EPOCH).await;
    place.bring(&versions).await;
    assert!(place.held(id_of(1)).await.is_some());
    // It goes and comes again, with what it had.
    server.stop();
    assert!(place.tier.ping().await.is_err());
    server.resume();
    place.tier.ping().await.unwrap();
    assert_eq!(place.tier.epoch(), None);
    assert!(place.held(id_of(1)).await.is_some());
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_cannot_be_read_is_not_repeated() {
    for uri in [
        "mongodb://me:hunter2@",
        "mongo://me:hunter2@host",
        "me:hunter2",
    ] {
        let tier = nubo_recent::MongoRecent::new(settings(uri), place::catalog(notes()));
        let error = tier.start().await.unwrap_err();
        let told = format!("{error:?} {error}");
        assert!(told.contains("mongodb://user:password@host"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn indexes_follow_the_declarations() {
    let place = Place::new(notes()).await;
    let names = [
        "_id_",
        "nubo_by_1_created_at_-1_id_-1",
        "nubo_created_at_-1_id_-1",
    ];
    let more = ["nubo_last_use", "nubo_text_1_id_1_where_"];
    assert_names(&place, &[&names[..], &more[..]].concat()).await;
    let thirty_one_days = 31 * 24 * 3600;
    assert_eq!(place.expiry().await, Some(thirty_one_days));
    let first = place.indexes().await;
    assert!(first.iter().all(|index| !index.contains_key("unique")));

    // Starting once more changes nothing.
    let place = place.again(notes()).await;
    assert_eq!(place.indexes().await, first);

    // Somebody else's index stays.
    let theirs = IndexModel::builder().keys(doc! { "tags": 1 }).build();
    let documents = place.database.collection::<Json>("notes_recent");
    documents.create_index(theirs).await.unwrap();
    let mut declarations = notes();
    declarations[0]["indexes"] = json!([["text"], { "fields": ["tags"], "using": "gin" }]);
    declarations[0]["tiers"]["recent"]["window"] = json!("7d");
    let place = place.again(declarations).await;
    let eight_days = 8 * 24 * 3600;
    assert_eq!(place.expiry().await, Some(eight_days));
    let names = ["_id_", "nubo_created_at_-1_id_-1", "nubo_last_use"];
    let more = ["nubo_tags_1_id_1", "nubo_text_1_id_1", "tags_1"];
    assert_names(&place, &[&names[..], &more[..]].concat()).await;
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_is_there_under_another_name_will_do() {
    let place = Place::at(settings(server::shared()), notes()).await;
    let keys = doc! { "created_at": -1, "_id": -1 };
    let theirs = IndexModel::builder().keys(keys).build();
    let documents = place.database.collection::<Json>("notes_recent");
    documents.create_index(theirs).await.unwrap();
    place.tier.start().await.unwrap();
    let names = [
        "_id_",
        "created_at_-1__id_-1",
        "nubo_by_1_created_at_-1_id_-1",
    ];
    let more = ["nubo_last_use", "nubo_text_1_id_1_where_"];
    assert_names(&place, &[&names[..], &more[..]].concat()).await;
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_other_place_stays_until_it_expires() {
    let mut declarations = notes();
    declarations[0]["indexes"] = json!([]);
    declarations[0]["tiers"]["truth"] = json!("none");
    declarations[0]["expires_after"] = json!("7d");
    let place = Place::new(declarations).await;
    let indexes = place.indexes().await;
    let named = |name: &str| {
        let found = indexes
            .iter()
            .find(|index| index.get_str("name").unwrap() == name);
        found.unwrap().clone()
    };
    let ends = named("nubo_last_use");
    assert_eq!(
        ends.get_document("partialFilterExpression").unwrap(),
        &doc! { "_gone": true }
    );
    assert_eq!(
        named("nubo_expiry").get_document("key").unwrap(),
        &doc! { "created_at": 1 }
    );
    place.end().await;
}

/// Names of indexes, each as far as it is given.
async fn assert_names(place: &Place, expected: &[&str]) {
    let mut names: Vec<String> = Vec::new();
    for index in place.indexes().await {
        names.push(index.get_str("name").unwrap().to_owned());
    }
    names.sort();
    assert_eq!(names.len(), expected.len(), "{names:?}");
    for (name, expected) in names.iter().zip(expected) {
        assert!(name.starts_with(expected), "{names:?}");
    }
}

impl Place {
    /// After how many seconds documents are thrown out that nobody uses.
    async fn expiry(&self) -> Option<i64> {
        let indexes = self.indexes().await;
        let index = indexes
            .iter()
            .find(|index| index.get_str("name").unwrap() == "nubo_last_use")?;
        let seconds = index.get("expireAfterSeconds")?;
        seconds.as_i64().or_else(|| seconds.as_i32().map(i64::from))
    }
}
