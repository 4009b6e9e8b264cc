//! Somebody else writes to the SQLite file while it is open: whoever keeps something hears of it.

#![allow(clippy::unwrap_used)]

mod world;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use nubo_core::{observe::Observer, schema::CollectionId};
use serde_json::json;
use sqlx::{ConnectOptions, Executor, sqlite::SqliteConnectOptions};
use tokio::{sync::Notify, time::timeout};
use world::{Driver, Home, World};

/// Longer than it may take to notice.
const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough to notice what there is to notice, several times over.
const SEVERAL_LOOKS: Duration = Duration::from_millis(1500);

#[derive(Default)]
struct Ear(Notify);

#[async_trait]
impl Observer for Ear {
    fn observes(&self, _: CollectionId) -> bool {
        true
    }

    async fn overtaken(&self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn what_others_write_is_noticed_and_what_is_ones_own_is_not() {
    let declarations = json!([{ "name": "notes", "fields": { "text": "text!" } }]);
    let world = World::closed(declarations, Driver::Sqlite.home());
    let Home::File(folder) = &world.home else {
        panic!("SQLite has a file");
    };
    let file = World::file(folder);
    let ear = Arc::new(Ear::default());
    world.truth.start(vec![ear.clone()]).await.unwrap();
    let id = world.given("notes", json!({ "text": "mine" })).await;
    world
        .update("notes", id, json!({ "text": "mine as well" }))
        .await
        .unwrap();
    let heard = timeout(SEVERAL_LOOKS, ear.0.notified()).await;
    assert!(heard.is_err(), "nobody else has written");

    let options = SqliteConnectOptions::new().filename(file);
    let mut other = options.connect().await.unwrap();
    other
        .execute("UPDATE notes SET text = 'by hand'")
        .await
        .unwrap();
    timeout(PATIENCE, ear.0.notified()).await.unwrap();
    // Writes go on, and are told apart from those of others as before.
    world
        .update("notes", id, json!({ "text": "mine again" }))
        .await
        .unwrap();
    let heard = timeout(SEVERAL_LOOKS, ear.0.notified()).await;
    assert!(heard.is_err(), "nobody else has written again");
    world.truth.stop().await;
}
