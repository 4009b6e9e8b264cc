//! Who is there.

use std::{thread, time::Duration};

use serde_json::json;

use crate::{people::Person, shared};

#[test]
fn those_who_show_themselves_see_each_other_come_and_go() {
    let (ada, bob) = (Person::new(shared()), Person::new(shared()));
    let (room, _) = ada.room(&[&ada, &bob]);
    let channel = format!("room:{room}");
    let show = json!({ "op": "subscribe", "channel": channel, "presence": true });
    let mut hers = ada.connect();
    assert_eq!(hers.done(show.clone())["present"], json!([ada.id]));
    let mut silent = bob.listens(&channel);
    let mut his = bob.connect();
    let mut both = [ada.id.clone(), bob.id.clone()];
    both.sort();
    assert_eq!(his.done(show.clone())["present"], json!(both));
    let joined = hers.event();
    assert_eq!(joined["event"], "presence");
    assert_eq!(
        (&joined["account"], &joined["state"]),
        (&json!(bob.id), &json!("joined"))
    );
    // A second connection of his makes no difference, and neither does its end.
    let mut second = bob.connect();
    second.done(show);
    drop(second);
    let asked = silent.done(json!({ "op": "presence", "channel": channel }));
    assert_eq!(asked["present"], json!(both));
    drop(his);
    // The second may be gone before the first: one event all the same.
    let left = hers.event();
    assert_eq!(
        (&left["account"], &left["state"]),
        (&json!(bob.id), &json!("left"))
    );
    hers.done(json!({ "op": "unsubscribe", "channel": channel }));
    let asked = silent.done(json!({ "op": "presence", "channel": channel }));
    assert_eq!(asked["present"], json!([]));
    // Who does not show themselves is told nothing of it.
    ada.says(&room, "bye");
    silent.expect("created");
}

/// Asks again until the answer is what it should be: who hangs up is gone a moment later.
#[track_caller]
fn soon(mut is_so: impl FnMut() -> bool) {
    for _ in 0..200 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("it did not come to that");
}

#[test]
fn an_account_says_whether_it_is_connected() {
    let (ada, bob) = (Person::new(shared()), Person::new(shared()));
    let path = format!("/users/{}", bob.id);
    let connected = || ada.gets(&path)["connected"].clone();
    assert_eq!(connected(), json!(false));
    let one = bob.connect();
    let two = bob.connect();
    assert_eq!(connected(), json!(true));

    // In lists, where it is asked for, and where he comes along with something else.
    let list = |more: &str| {
        let path = format!("/users?filter=%7B%22id%22:%22{}%22%7D{more}", bob.id);
        ada.gets(&path)["data"][0].clone()
    };
    assert_eq!(list("")["connected"], json!(true));
    let chosen = list("&fields=username,connected");
    assert_eq!(
        chosen,
        json!({ "id": bob.id, "username": bob.name, "connected": true })
    );
    assert_eq!(list("&fields=username").get("connected"), None);
    let note = bob.creates("notes", json!({ "text": "here" }));
    let id = note["id"].as_str().unwrap();
    let read = ada.gets(&format!("/notes/{id}?expand=user_id"));
    assert_eq!(read["_expand"]["user_id"]["connected"], json!(true));
    assert_eq!(bob.gets("/me")["id"], json!(bob.id));

    drop(one);
    thread::sleep(Duration::from_millis(50));
    assert_eq!(connected(), json!(true), "there is another connection");
    drop(two);
    soon(|| connected() == json!(false));
}

#[test]
fn what_is_not_stored_is_never_taken_for_known() {
    let ada = Person::new(shared());
    let path = format!("/users/{}", ada.id);
    let bearer = format!("Bearer {}", ada.token);
    let ask = |tag: &str| {
        let request = ada.client.request("GET", &path);
        let request = request.header("authorization", &bearer);
        request.header("if-none-match", tag).send()
    };
    let tag = ask("\"0\"").header("etag").unwrap().to_owned();
    assert_eq!(ask(&tag).expect(200)["connected"], json!(false));
    // It can neither be written nor asked for by value.
    for (method, path, body) in [
        ("PATCH", path.clone(), json!({ "connected": true })),
        (
            "POST",
            "/users/query".into(),
            json!({ "filter": { "connected": true } }),
        ),
        (
            "POST",
            "/users/query".into(),
            json!({ "sort": "connected" }),
        ),
    ] {
        let answer = ada.sends(method, &path, &body);
        assert!(
            [400, 422].contains(&answer.status),
            "{method} {path}: {}",
            answer.status
        );
    }
}
