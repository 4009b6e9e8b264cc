//! Many clients at once: nothing is lost, nothing is counted twice.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use serde_json::{Value as Json, json};

use crate::{
    effects::{new_conversation, new_user, say},
    fresh_id, library, shipped,
};

const CLIENTS: usize = 64;
const ROUNDS: usize = 50;

#[test]
fn every_increment_counts() {
    let account = library().create_id("accounts", &json!({}));
    let path = format!("/accounts/{account}");
    let start = Barrier::new(CLIENTS);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                start.wait();
                let mut last = 0;
                for _ in 0..ROUNDS {
                    let answer = library().patch(&path, &json!({ "$inc": { "visits": 1 } }));
                    let visits = answer.expect(200)["visits"].as_u64().expect("a number");
                    assert!(
                        visits > last,
                        "an answer shows the document as this write left it"
                    );
                    last = visits;
                }
            });
        }
    });
    let visits = library().read("accounts", &account)["visits"].clone();
    assert_eq!(visits, CLIENTS * ROUNDS);
}

#[test]
fn of_two_who_demand_the_same_revision_one_wins() {
    let id = library().create_id("accounts", &json!({}));
    let path = format!("/accounts/{id}");
    for round in 0..20 {
        let tag = library()
            .get(&path)
            .header("etag")
            .expect("a tag")
            .to_owned();
        let start = Barrier::new(4);
        let statuses: Vec<u16> = thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|number| {
                    let (start, tag, path) = (&start, &tag, &path);
                    scope.spawn(move || {
                        let change = json!({ "holder": format!("{round}/{number}") });
                        let request = library().request("PATCH", path).header("if-match", tag);
                        let request = request.json(&change);
                        start.wait();
                        request.send().status
                    })
                })
                .collect();
            writers
                .into_iter()
                .map(|writer| writer.join().expect("a status"))
                .collect()
        });
        let won = statuses.iter().filter(|status| **status == 200).count();
        let lost = statuses.iter().filter(|status| **status == 412).count();
        assert_eq!((won, lost), (1, 3), "{statuses:?}");
    }
}

#[test]
fn money_is_moved_or_stays_where_it_is() {
    let account = |balance: u64| library().create_id("accounts", &json!({ "balance": balance }));
    let accounts = [account(100), account(100), account(100)];
    let (moved, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let transfer = |from: &str, to: &str, amount: i64| {
        let step = |id: &str, amount: i64| {
            let change = json!({ "$inc": { "balance": amount } });
            json!({ "collection": "accounts", "update": { "id": id, "change": change } })
        };
        // What is given is given first: the other order must do no harm either.
        let mut steps = vec![step(to, amount), step(from, -amount)];
        if amount % 2 == 0 {
            steps.reverse();
        }
        let answer = library().post("/batch", &json!(steps));
        match answer.status {
            200 => moved.fetch_add(1, Ordering::Relaxed),
            _ => {
                let problem = answer.problem(422, "invalid");
                assert_eq!(problem["errors"][0]["code"], "too_small", "{problem}");
                refused.fetch_add(1, Ordering::Relaxed)
            }
        };
    };
    thread::scope(|scope| {
        for client in 0..12 {
            let (accounts, transfer) = (&accounts, &transfer);
            scope.spawn(move || {
                for round in 0..20 {
                    let from = (client + round) % 3;
                    let to = (from + 1 + round % 2) % 3;
                    transfer(
                        &accounts[from],
                        &accounts[to],
                        1 + (client * 7 + round * 13) as i64 % 90,
                    );
                }
            });
        }
        // Whoever looks meanwhile in one statement sees no money come or go.
        for _ in 0..30 {
            let filter = json!({ "id": { "$in": accounts } });
            let question = json!({ "filter": filter, "consistent": true });
            let list = library().post("/accounts/query", &question).expect(200);
            let balances: Vec<i64> = balances(&list);
            assert_eq!(balances.iter().sum::<i64>(), 300, "{balances:?}");
            assert!(balances.iter().all(|balance| *balance >= 0), "{balances:?}");
        }
    });
    let list = library().list(
        "accounts",
        &[("filter", &json!({ "id": { "$in": accounts } }).to_string())],
    );
    assert_eq!(balances(&list).iter().sum::<i64>(), 300);
    let (moved, refused) = (moved.into_inner(), refused.into_inner());
    assert!(moved > 0 && refused > 0, "{moved} moved, {refused} refused");
}

fn balances(list: &Json) -> Vec<i64> {
    let accounts = list["data"].as_array().expect("accounts");
    accounts
        .iter()
        .filter_map(|account| account["balance"].as_i64())
        .collect()
}

#[test]
fn one_value_is_given_to_one_of_many() {
    let isbn = format!("{}-000", std::process::id());
    let start = Barrier::new(16);
    let statuses: Vec<u16> = thread::scope(|scope| {
        let writers: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    library()
                        .post("/books", &json!({ "title": "x", "isbn": isbn }))
                        .status
                })
            })
            .collect();
        writers
            .into_iter()
            .map(|writer| writer.join().expect("a status"))
            .collect()
    });
    assert_eq!(
        statuses.iter().filter(|status| **status == 201).count(),
        1,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|status| **status == 409).count(),
        15,
        "{statuses:?}"
    );
    assert_eq!(library().count("books", &json!({ "isbn": isbn })), 1);
}

#[test]
fn counters_of_effects_are_exact() {
    let (ada, bob) = (new_user(), new_user());
    let conversation = new_conversation(&[&ada, &bob]);
    let last = thread::scope(|scope| {
        let writers: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let said: Vec<Json> = (0..10)
                        .map(|n| say(&conversation, &ada, &format!("{n}")))
                        .collect();
                    said[9].clone()
                })
            })
            .collect();
        let messages = writers
            .into_iter()
            .map(|writer| writer.join().expect("a message"));
        messages
            .map(|message| message["id"].clone())
            .collect::<Vec<_>>()
    });
    let members = [
        ("filter[conversation_id]", &*conversation),
        ("filter[user_id]", &*bob),
    ];
    let members = shipped().list("conversation_members", &members);
    assert_eq!(members["data"][0]["unread_count"], 160);
    assert_eq!(
        shipped().count("notifications", &json!({ "user_id": bob })),
        160
    );
    let overview = shipped().read("conversations", &conversation);
    assert!(last.contains(&overview["last_message_id"]), "{overview}");
}

#[test]
fn whoever_reads_sees_what_was_acknowledged() {
    let id = fresh_id();
    library().create("accounts", &json!({ "id": id }));
    let path = format!("/accounts/{id}");
    let (acknowledged, done) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..200 {
                let answer = library()
                    .patch(&path, &json!({ "$inc": { "visits": 1 } }))
                    .expect(200);
                let visits = answer["visits"].as_u64().expect("a number");
                acknowledged.store(visits, Ordering::SeqCst);
            }
            done.store(1, Ordering::SeqCst);
        });
        for _ in 0..3 {
            scope.spawn(|| {
                let mut seen = 0;
                while done.load(Ordering::SeqCst) == 0 {
                    let at_least = acknowledged.load(Ordering::SeqCst).max(seen);
                    let list = library().list("accounts", &[("filter[id]", &id)]);
                    let listed = list["data"][0]["visits"].as_u64().expect("a number");
                    assert!(listed >= at_least, "{listed} after {at_least}");
                    seen = library().read("accounts", &id)["visits"]
                        .as_u64()
                        .expect("a number");
                    assert!(seen >= listed, "{seen} after {listed}");
                }
            });
        }
    });
}
