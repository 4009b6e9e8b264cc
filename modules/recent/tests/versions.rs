//! Of each document the newest version stays, in whatever order and however often versions come.

#![allow(clippy::unwrap_used)]

mod place;

use mongodb::bson::doc;
use nubo_core::{
    document::Document,
    id::Revision,
    recent::{Found, Fresh, Recent, State},
};
use place::{EPOCH, Place, gone, id_of, notes, there};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_version_stays() {
    let place = Place::new(notes()).await;
    let id = id_of(7);
    let [first, second, third] =
        [1, 2, 3].map(|n| place.note(id, n, json!({ "text": n.to_string() })));
    // Each row: what comes, one after the other, and which version is held in the end.
    let orders: [(&[Fresh], Option<i64>); 7] = [
        (&[there(&first), there(&second)], Some(2)),
        (&[there(&second), there(&first)], Some(2)),
        (&[there(&first), gone(&first)], None),
        (&[gone(&first), there(&first)], None),
        (&[gone(&first), there(&second)], Some(2)),
        (&[there(&third), gone(&second), there(&second)], Some(3)),
        (
            &[gone(&third), there(&second), there(&third), there(&first)],
            None,
        ),
    ];
    for (versions, expected) in orders {
        let notes = place.database.collection::<()>("notes_recent");
        notes.delete_many(doc! {}).await.unwrap();
        // Together and one by one, and once more.
        for version in versions {
            place.bring(std::slice::from_ref(version)).await;
        }
        place.bring(versions).await;
        let held = place.held(id).await;
        let revision = held.map(|held| held.revision);
        assert_eq!(revision, expected.map(Revision::new), "{versions:?}");
    }
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_document_is_told() {
    let place = Place::new(notes()).await;
    let note = place.note(id_of(1), 5, json!({}));
    // Whether or not it is known what it was.
    let unknown = Fresh {
        id: id_of(2),
        revision: Revision::new(9),
        state: State::Gone(None),
    };
    place.bring(&[gone(&note), unknown]).await;
    let epoch = place.trust().await;
    let ids = [3, 2, 1, 2].map(id_of);
    let found = place.tier.documents(epoch, place.collection().id, &ids);
    let ends = [5, 9].map(|revision| Found::Gone(Revision::new(revision)));
    assert_eq!(
        found.await.unwrap(),
        [
            Found::Missing,
            ends[1].clone(),
            ends[0].clone(),
            ends[1].clone()
        ]
    );
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_beside_each_other_lose_nothing() {
    let place = Place::new(notes()).await;
    // Every document is brought by everybody at once, most of them for the first time.
    let versions: Vec<Vec<Document>> = (1..=8)
        .map(|version| {
            let ids = (0..40).map(id_of);
            ids.map(|id| place.note(id, version, json!({ "state": version })))
                .collect()
        })
        .collect();
    let writers = versions.iter().enumerate().map(|(at, documents)| {
        let place = &place;
        async move {
            // Half of them the other way round.
            let mut fresh: Vec<Fresh> = documents.iter().map(there).collect();
            if at % 2 == 0 {
                fresh.reverse();
            }
            place.bring(&fresh).await;
        }
    });
    futures_util::future::join_all(writers).await;
    for id in (0..40).map(id_of) {
        assert_eq!(place.held(id).await.unwrap().revision, Revision::new(8));
    }
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_go_together_and_what_is_too_large_is_told() {
    let place = Place::new(notes()).await;
    let text = "x".repeat(9_000);
    let mut documents: Vec<Document> = (0..2_500)
        .map(|n| place.note(id_of(n), 1, json!({ "text": text })))
        .collect();
    let half = "y".repeat(9 << 20);
    documents.push(place.note(id_of(9_999), 1, json!({ "text": half, "meta": half })));
    let versions: Vec<Fresh> = documents.iter().map(there).collect();
    let refused = place
        .tier
        .bring(EPOCH, place.collection().id, &versions, place::now())
        .await
        .unwrap();
    assert_eq!(refused, [id_of(9_999)]);
    let notes = place.database.collection::<()>("notes_recent");
    assert_eq!(notes.count_documents(doc! {}).await.unwrap(), 2_500);
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_means_something_to_mongodb_is_stored_as_it_is() {
    let place = Place::new(notes()).await;
    let meta = json!({ "$set": { "a.b": "$text" }, "": [{ "$literal": null }], "$$ROOT": "$$NOW" });
    let note = place.note(
        id_of(1),
        5,
        json!({ "text": "$by", "tags": ["$$REMOVE"], "meta": meta }),
    );
    place.bring(&[there(&note)]).await;
    let held = place.held(id_of(1)).await.unwrap();
    let mut expected = Vec::new();
    note.write_json(place.collection(), &mut expected);
    assert_eq!(held.json, expected);
    place.end().await;
}
