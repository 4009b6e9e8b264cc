//! What the store says of itself, and how long that is believed.

#![allow(clippy::unwrap_used)]

mod place;

use std::collections::HashMap;

use mongodb::bson::{Document as BsonDocument, doc};
use nubo_core::{
    Error, Result,
    coordination::Epoch,
    recent::{Founding, Recent},
};
use place::{EPOCH, Place, id_of, notes, server, settings, there};
use serde_json::json;

const NEXT: Epoch = EPOCH.next(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_belongs_to_the_latest_epoch() {
    let place = Place::at(settings(server::shared()), notes()).await;
    place.tier.start().await.unwrap();
    let sight = place.tier.look().await.unwrap();
    assert_eq!((sight.epoch, sight.truth), (None, None));
    place.tier.trust(&place.tier.look().await.unwrap());
    assert_eq!(place.tier.epoch(), None);

    let same_number = Epoch {
        nonce: EPOCH.nonce + 1,
        ..EPOCH
    };
    for (epoch, truth, expected) in [
        (EPOCH, "a", true),
        // Somebody who has not heard the answer asks again.
        (EPOCH, "a", true),
        (EPOCH, "b", false),
        (same_number, "a", false),
        (NEXT, "b", true),
        (EPOCH, "a", false),
    ] {
        let truth = truth.into();
        let founding = Founding { epoch, truth };
        let found = place.tier.found(&founding).await.unwrap();
        assert_eq!(found, expected, "{founding:?}");
    }
    let sight = place.tier.look().await.unwrap();
    assert_eq!((sight.epoch, sight.truth), (Some(NEXT), Some("b".into())));
    // What it says of itself needs no indexes.
    let indexes = doc! { "listIndexes": "nubo_state" };
    let indexes = place.database.run_command(indexes).await.unwrap();
    let indexes = indexes.get_document("cursor").unwrap();
    assert_eq!(indexes.get_array("firstBatch").unwrap().len(), 1);
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_several_founders_wins() {
    let place = Place::at(settings(server::shared()), notes()).await;
    place.tier.start().await.unwrap();
    let foundings = (0..6).map(|nonce| Founding {
        epoch: Epoch { nonce, ..EPOCH },
        truth: "a".into(),
    });
    let foundings: Vec<_> = foundings.collect();
    let found = foundings.iter().map(|founding| place.tier.found(founding));
    let found = futures_util::future::join_all(found).await;
    let won = found.into_iter().map(Result::unwrap).zip(&foundings);
    let won: Vec<_> = won.filter(|(won, _)| *won).collect();
    assert_eq!(won.len(), 1);
    let sight = place.tier.look().await.unwrap();
    assert_eq!(sight.epoch, Some(won[0].1.epoch));
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marks_move_from_where_they_stand() {
    let place = Place::new(notes()).await;
    let [one, two] = [1, 2].map(id_of);
    for (process, from, expected) in [
        (one, 1, false),
        (one, 0, true),
        (one, 0, false),
        (one, 1, true),
        (one, 1, false),
        (one, 3, false),
        (two, 0, true),
        (one, 2, true),
    ] {
        let moved = place.tier.mark(EPOCH, process, from).await.unwrap();
        assert_eq!(moved, expected, "{process} from {from}");
    }
    let marks = HashMap::from([(one, 3), (two, 1)]);
    assert_eq!(place.tier.look().await.unwrap().marks, marks);

    // An earlier state comes back.
    let states = place.database.collection::<BsonDocument>("nubo_state");
    let marks = place.database.collection::<BsonDocument>("nubo_marks");
    let state = states.find_one(doc! {}).await.unwrap().unwrap();
    place.found(NEXT).await;
    assert_eq!(marks.count_documents(doc! {}).await.unwrap(), 0);
    assert!(!place.tier.mark(EPOCH, one, 0).await.unwrap());
    // What was written for an epoch that is over is not in anybody's way.
    assert!(place.tier.look().await.unwrap().marks.is_empty());
    assert!(place.tier.mark(NEXT, one, 0).await.unwrap());
    states.replace_one(doc! {}, state).await.unwrap();
    assert!(!place.tier.mark(NEXT, one, 1).await.unwrap());
    states.delete_many(doc! {}).await.unwrap();
    assert!(!place.tier.mark(NEXT, one, 2).await.unwrap());
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_connection_ends_what_was_believed() {
    let place = Place::new(notes()).await;
    let note = place.note(id_of(1), 1, json!({}));
    place.bring(&[there(&note)]).await;
    assert!(place.read(EPOCH).await.is_err());
    place.trust().await;
    assert_eq!(place.tier.epoch(), Some(EPOCH));
    assert_eq!(place.read(EPOCH).await.unwrap(), 1);
    uncertain(place.read(NEXT).await);
    uncertain(place.read(Epoch { nonce: 0, ..EPOCH }).await);

    // Those that ask together do so over several connections.
    let before = place.tier.look().await.unwrap();
    let pings = (0..8).map(|_| place.tier.ping());
    for pinged in futures_util::future::join_all(pings).await {
        pinged.unwrap();
    }
    assert_eq!(place.tier.epoch(), None);
    uncertain(place.read(EPOCH).await);
    place.tier.trust(&before);
    assert_eq!(place.tier.epoch(), None);
    place.trust().await;
    assert_eq!(place.read(EPOCH).await.unwrap(), 1);

    place.tier.distrust();
    assert_eq!(place.tier.epoch(), None);
    uncertain(place.read(EPOCH).await);
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_over_another_connection_does_not_count() {
    let place = Place::new(notes()).await;
    place.trust().await;
    // The first of them may come over the connection that was there.
    let reads = (0..8).map(|_| place.read(EPOCH));
    let reads = futures_util::future::join_all(reads).await;
    assert!(reads.iter().any(Result::is_err), "{reads:?}");
    assert_eq!(place.tier.epoch(), None);
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_another_one_is_seen_by_its_connections() {
    let mut first = server::Server::start();
    let place = Place::at(settings(&first.url()), notes()).await;
    place.tier.start().await.unwrap();
    place.found(EPOCH).await;
    let process = id_of(9);
    assert!(place.tier.mark(EPOCH, process, 0).await.unwrap());
    place.trust().await;
    // An earlier copy takes its place.
    first.stop();
    first.resume();
    for name in ["nubo_state", "nubo_marks"] {
        let documents = place.database.collection::<()>(name);
        documents.delete_many(doc! {}).await.unwrap();
    }
    // A broken connection may be met first.
    let read = place.read(EPOCH).await;
    assert!(matches!(read, Err(Error::Unavailable { .. })), "{read:?}");
    place.tier.ping().await.unwrap();
    assert_eq!(place.tier.epoch(), None);
    let sight = place.tier.look().await.unwrap();
    assert_eq!(sight.epoch, None);
    assert!(!place.tier.mark(EPOCH, process, 1).await.unwrap());
    place.end().await;
}

/// That an answer does not count.
fn uncertain(read: Result<usize>) {
    match read {
        Err(Error::Unavailable { code, .. }) => assert_eq!(code, "recent_unavailable"),
        other => panic!("{other:?}"),
    }
}

impl Place {
    /// How many documents an epoch has of one that may be there.
    async fn read(&self, epoch: Epoch) -> Result<usize> {
        let ids = [id_of(1)];
        let found = self.tier.documents(epoch, self.collection().id, &ids);
        Ok(found.await?.len())
    }
}
