//! What belongs to an earlier epoch is not there; what belongs to a later one stays.

#![allow(clippy::unwrap_used)]

mod place;

use nubo_core::{
    coordination::Epoch,
    filter::Expr,
    id::Revision,
    query::{Query, Start},
    recent::{Found, Fresh, Recent, State},
    time::Timestamp,
    value::Value,
};
use place::{EPOCH, Place, gone, id_of, notes, there};
use serde_json::json;

const NEXT: Epoch = EPOCH.next(1);

/// A version that comes to an epoch.
type Coming<'a> = (Epoch, Fresh<'a>);

/// What is there in the end.
#[derive(Debug, PartialEq)]
struct Ending {
    gone: bool,
    revision: Revision,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_belongs_to_another_epoch_is_not_seen() {
    let place = Place::new(notes()).await;
    let old = place.note(id_of(1), 1, json!({ "text": "old" }));
    let end = place.note(id_of(2), 1, json!({}));
    place.bring(&[there(&old), gone(&end)]).await;
    let new = place.note(id_of(3), 1, json!({ "text": "new" }));
    place.bring_to(NEXT, &[there(&new)]).await;
    assert_eq!(place.listed().await, [revision(1, "old")]);
    assert_eq!(place.find(id_of(3)).await, Found::Missing);

    place.found(NEXT).await;
    assert_eq!(place.listed().await, [revision(1, "new")]);
    for id in [1, 2] {
        assert_eq!(place.find(id_of(id)).await, Found::Missing);
    }
    assert!(matches!(place.find(id_of(3)).await, Found::Held(_)));
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_epoch_is_newer_whatever_the_revision() {
    let place = Place::new(notes()).await;
    let id = id_of(7);
    let [low, middle, high] = [1, 5, 9].map(|n| place.note(id, n, json!({ "text": "x" })));
    let [there_in, gone_in] = [false, true].map(|gone| {
        move |number| Ending {
            gone,
            revision: Revision::new(number),
        }
    });
    // Each row: what comes, one after the other, and what is there of the next epoch in the end.
    let orders: [(&[Coming], Option<Ending>); 8] = [
        (
            &[(EPOCH, there(&high)), (NEXT, there(&low))],
            Some(there_in(1)),
        ),
        (
            &[(NEXT, there(&low)), (EPOCH, there(&high))],
            Some(there_in(1)),
        ),
        (
            &[(EPOCH, gone(&high)), (NEXT, there(&low))],
            Some(there_in(1)),
        ),
        (
            &[(NEXT, there(&low)), (EPOCH, gone(&high))],
            Some(there_in(1)),
        ),
        (
            &[(EPOCH, there(&high)), (NEXT, gone(&low))],
            Some(gone_in(1)),
        ),
        (
            &[(NEXT, gone(&low)), (EPOCH, there(&high))],
            Some(gone_in(1)),
        ),
        (
            &[
                (NEXT, there(&middle)),
                (EPOCH, there(&high)),
                (NEXT, there(&low)),
            ],
            Some(there_in(5)),
        ),
        (&[(EPOCH, there(&high))], None),
    ];
    place.found(NEXT).await;
    for (versions, expected) in orders {
        place.empty().await;
        for _ in 0..2 {
            for (epoch, version) in versions {
                place.bring_to(*epoch, std::slice::from_ref(version)).await;
            }
        }
        let ending = |gone, revision| Some(Ending { gone, revision });
        let found = match place.find(id).await {
            Found::Held(held) => ending(false, held.revision),
            Found::Gone(revision) => ending(true, revision),
            Found::Missing => None,
        };
        assert_eq!(found, expected, "{versions:?}");
    }
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_older_than_epochs_is_replaced_and_not_seen() {
    let place = Place::new(notes()).await;
    let note = place.note(id_of(1), 9, json!({}));
    place.bring(&[there(&note)]).await;
    let documents = place.database.collection::<()>("notes_recent");
    let without = mongodb::bson::doc! { "$unset": { "_epoch": "" } };
    let all = mongodb::bson::doc! {};
    documents.update_many(all, without).await.unwrap();
    assert_eq!(place.find(id_of(1)).await, Found::Missing);
    assert!(place.listed().await.is_empty());
    let note = place.note(id_of(1), 2, json!({}));
    place.bring(&[there(&note)]).await;
    assert_eq!(
        place.held(id_of(1)).await.unwrap().revision,
        Revision::new(2)
    );
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outdated_documents_are_cleaned_away() {
    let place = Place::new(notes()).await;
    let notes: Vec<_> = (0..2_500)
        .map(|n| place.note(id_of(n), 1, json!({})))
        .collect();
    let (old, new) = notes.split_at(2_100);
    let versions: Vec<Fresh> = old.iter().map(there).collect();
    place.bring(&versions).await;
    let mut versions: Vec<Fresh> = new.iter().map(there).collect();
    versions.push(Fresh {
        id: id_of(9_999),
        revision: Revision::new(1),
        state: State::Gone(None),
    });
    place.bring_to(NEXT, &versions).await;
    let collection = place.collection().id;
    let clean = async |used_before| {
        let cleaning = place.tier.clean(NEXT, collection, used_before).await;
        (cleaning.unwrap(), place.count().await)
    };
    assert_eq!(clean(None).await, (2_100, 401));
    assert_eq!(clean(None).await, (0, 401));
    let now = place::now().millis();
    let hour = 3_600_000;
    assert_eq!(
        clean(Some(Timestamp::from_millis(now - hour))).await,
        (0, 401)
    );
    // Some of them are used later.
    let used: Vec<_> = (2_100..2_110).map(id_of).collect();
    let later = Timestamp::from_millis(now + 2 * hour);
    place
        .tier
        .touch(NEXT, collection, &used, later)
        .await
        .unwrap();
    assert_eq!(
        clean(Some(Timestamp::from_millis(now + hour))).await,
        (391, 10)
    );
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_other_place_is_not_cleaned_away() {
    let mut declarations = notes();
    declarations[0]["tiers"]["truth"] = json!("none");
    let place = Place::new(declarations).await;
    let note = place.note(id_of(1), 1, json!({}));
    place.bring(&[there(&note)]).await;
    let later = Timestamp::from_millis(i64::MAX);
    let cleaning = place.tier.clean(NEXT, place.collection().id, Some(later));
    assert_eq!(cleaning.await.unwrap(), 0);
    assert_eq!(place.count().await, 1);
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_used_stays_longer() {
    let place = Place::new(notes()).await;
    let collection = place.collection().id;
    let [used, unused, ended, other] = [1, 2, 3, 4].map(|n| place.note(id_of(n), 1, json!({})));
    place
        .bring(&[there(&used), there(&unused), gone(&ended)])
        .await;
    place.bring_to(NEXT, &[there(&other)]).await;
    let before: Vec<_> = place.last_uses().await;
    let now = before.iter().max().unwrap() + 60_000;
    let mut ids: Vec<_> = (5..3_000).map(id_of).collect();
    ids.extend([1, 3, 4].map(id_of));
    for moment in [now, now - 30_000] {
        let moment = Timestamp::from_millis(moment);
        let touching = place.tier.touch(EPOCH, collection, &ids, moment);
        touching.await.unwrap();
    }
    // Nothing goes back, ends stay as they are, and so does what belongs to another epoch.
    let after = place.last_uses().await;
    assert_eq!(after, [now, before[1], before[2], before[3]]);
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_from_the_future_is_not_thrown_out_early() {
    let place = Place::new(notes()).await;
    let mut note = place.note(id_of(1), 1, json!({}));
    let later = Timestamp::from_millis(place::now().millis() + 86_400_000);
    note.set_created_at(later);
    place.bring(&[there(&note)]).await;
    assert_eq!(place.last_uses().await, [later.millis()]);
    place.end().await;
}

/// What a list shows of a note.
fn revision(number: i64, text: &str) -> (Revision, String) {
    (Revision::new(number), text.into())
}

impl Place {
    /// What a list of everything shows.
    async fn listed(&self) -> Vec<(Revision, String)> {
        let collection = self.collection();
        let query = Query {
            collection: collection.id,
            filter: Expr::always(),
            sort: collection.order.clone(),
            start: Start::First,
            limit: 100,
            fields: None,
        };
        let epoch = self.trust().await;
        let ever = Timestamp::from_millis(0);
        let listed = self.tier.list(epoch, &query, ever).await.unwrap();
        let shown = listed.iter().map(|held| {
            let json: serde_json::Value = serde_json::from_slice(&held.json).unwrap();
            (held.revision, json["text"].as_str().unwrap().to_owned())
        });
        shown.collect()
    }

    async fn empty(&self) {
        let documents = self.database.collection::<()>("notes_recent");
        let all = mongodb::bson::doc! {};
        documents.delete_many(all).await.unwrap();
    }

    async fn count(&self) -> u64 {
        let documents = self.database.collection::<()>("notes_recent");
        let all = mongodb::bson::doc! {};
        documents.count_documents(all).await.unwrap()
    }

    /// When the notes with the first numbers were of use, as far as there are any.
    async fn last_uses(&self) -> Vec<i64> {
        let mut uses = Vec::new();
        for number in 1.. {
            let Some(stored) = self.stored(id_of(number)).await else {
                break;
            };
            uses.push(stored.get_datetime("_last_use").unwrap().timestamp_millis());
        }
        uses
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_other_place_belongs_to_every_epoch() {
    let mut declarations = notes();
    declarations[0]["tiers"]["truth"] = "none".into();
    declarations[0]["fields"]["secret"] = json!({ "type": "text", "hidden": true });
    let place = Place::new(declarations).await;
    let note = |number: u64, revision, text: &str| {
        let mut note = place.note(id_of(number), revision, json!({ "text": text }));
        let (secret, _) = place.collection().field_named("secret").unwrap();
        note.set(secret, Value::Text("hush".into()));
        note
    };
    let [old, new] = [note(1, 1, "old"), note(1, 2, "new")];
    let [kept, ended] = [note(2, 5, "kept"), note(3, 3, "ended")];
    place
        .bring(&[there(&new), there(&kept), there(&ended)])
        .await;
    // What comes later is not newer for that.
    place.bring_to(NEXT, &[there(&old), gone(&ended)]).await;
    place.found(NEXT).await;
    let found = place.held(id_of(1)).await.unwrap();
    assert_eq!(found.revision, Revision::new(2));
    assert!(place.held(id_of(2)).await.is_some());
    assert_eq!(place.find(id_of(3)).await, Found::Gone(Revision::new(3)));

    let epoch = place.trust().await;
    let collection = place.collection();
    let query = Query::in_order_of_ids(collection, Expr::always());
    let whole = |since| {
        place
            .tier
            .find(epoch, &query, Timestamp::from_millis(since))
    };
    // With everything, also what is never sent.
    assert_eq!(whole(0).await.unwrap(), [new, kept]);
    // What has expired is not there, whenever it is thrown out.
    assert_eq!(whole(i64::from(u32::MAX) * 1000).await.unwrap(), []);
    // Nor is it cleaned away.
    let cleaned = place.tier.clean(epoch, collection.id, None).await.unwrap();
    assert_eq!(cleaned, 0);
    assert!(place.held(id_of(2)).await.is_some());
    place.end().await;
}
