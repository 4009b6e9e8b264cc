//! The effects of the collections that ship: what follows from a write is there with it.

use serde_json::{Value as Json, json};

use crate::{fresh_id, server::text, shipped};

/// A new account's id.
pub fn new_user() -> String {
    let name = fresh_id();
    shipped().create_id(
        "users",
        &json!({
            "username": name, "email": format!("{name}@example.org"), "password": "correct horse",
            "first_name": "Ada", "last_name": "L",
        }),
    )
}

/// A new post's id.
pub fn new_post(author: &str) -> String {
    shipped().create_id("posts", &json!({ "user_id": author, "content": "Hello" }))
}

/// A conversation between the first, who opened it, and the others.
pub fn new_conversation(members: &[&str]) -> String {
    let conversation = shipped().create_id("conversations", &json!({ "type": "group" }));
    for (number, user) in members.iter().enumerate() {
        let role = if number == 0 { "creator" } else { "member" };
        let member = json!({ "conversation_id": conversation, "user_id": user, "role": role });
        shipped().create("conversation_members", &member);
    }
    conversation
}

pub fn say(conversation: &str, sender: &str, words: &str) -> Json {
    let message = json!({ "conversation_id": conversation, "sender_id": sender, "content": words });
    shipped().create("messages", &message)
}

fn like(kind: &str, target: &str, user: &str) -> String {
    let like = json!({ "target_type": kind, "target_id": target, "user_id": user });
    shipped().create_id("likes", &like)
}

/// What an account was told: kinds with their payloads, latest first.
fn notifications(user: &str) -> Vec<(String, Json)> {
    let list = shipped().list(
        "notifications",
        &[("filter[user_id]", user), ("sort", "-_rev")],
    );
    let documents = list["data"].as_array().expect("documents");
    documents
        .iter()
        .map(|document| (text(&document["kind"]), document["payload"].clone()))
        .collect()
}

fn unread(conversation: &str, user: &str) -> Json {
    let filter = json!({ "conversation_id": conversation, "user_id": user }).to_string();
    shipped().list("conversation_members", &[("filter", &filter)])["data"][0]["unread_count"]
        .clone()
}

fn counter(collection: &str, id: &str, name: &str) -> Json {
    shipped().read(collection, id)[name].clone()
}

#[test]
fn an_account_has_its_settings_from_the_first_moment() {
    let user = new_user();
    let list = shipped().list("user_settings", &[("filter[user_id]", &user)]);
    let settings = &list["data"][0];
    assert_eq!(
        settings["privacy"],
        json!({ "posts": "public", "messages": "public", "profile": "public" })
    );
    assert_eq!(settings["notifications"]["like"], true);
    assert_eq!(settings["language"], "en");
    // Who cannot be created has no settings either.
    let before = shipped().count("user_settings", &json!({}));
    let taken = json!({
        "id": user, "username": fresh_id(), "email": "x@example.org", "password": "correct horse",
        "first_name": "A", "last_name": "B",
    });
    shipped()
        .post("/users", &taken)
        .problem_at(409, "duplicate", &["/id"]);
    let orphans = shipped().count("user_settings", &json!({ "user_id": user }));
    assert_eq!(orphans, 1);
    assert!(shipped().count("user_settings", &json!({})) >= before);
}

#[test]
fn names_are_compared_without_case_or_look_alikes() {
    let name = fresh_id();
    let user = |username: &str, email: &str| {
        shipped().post(
            "/users",
            &json!({
                "username": username, "email": email, "password": "correct horse",
                "first_name": "A", "last_name": "B",
            }),
        )
    };
    let mail = format!("{name}@example.org");
    let created = user(&format!("ﬁ{}", name.to_uppercase()), &mail).expect(201);
    assert_eq!(created["username"], format!("fi{name}"));
    user(&format!("FI{name}"), "other@example.org").problem_at(409, "duplicate", &["/username"]);
    user(&fresh_id(), &mail.to_uppercase()).problem_at(409, "duplicate", &["/email"]);
    let found = shipped().list("users", &[("filter[username]", &format!("Fi{name}"))]);
    assert_eq!(found["data"][0]["id"], created["id"]);
}

#[test]
fn comments_are_counted_up_and_down() {
    let (ada, bob) = (new_user(), new_user());
    let post = new_post(&ada);
    let comment = |user: &str| {
        shipped().create_id(
            "comments",
            &json!({ "post_id": post, "user_id": user, "content": "Hi" }),
        )
    };
    let (first, second) = (comment(&bob), comment(&ada));
    assert_eq!(counter("posts", &post, "comment_count"), 2);
    // Nobody is told of what they did themselves.
    assert_eq!(
        notifications(&ada),
        [(
            "comment".to_owned(),
            json!({ "actor_id": bob, "post_id": post, "comment_id": first })
        )]
    );
    shipped().delete(&format!("/comments/{first}")).expect(204);
    assert_eq!(counter("posts", &post, "comment_count"), 1);
    let rest = format!("/comments?filter[post_id]={post}");
    assert_eq!(shipped().delete(&rest).expect(200)["deleted"], 1);
    assert_eq!(counter("posts", &post, "comment_count"), 0);
    shipped()
        .get(&format!("/comments/{second}"))
        .problem(404, "not_found");
}

#[test]
fn likes_are_counted_up_and_down() {
    let (ada, bob) = (new_user(), new_user());
    let post = new_post(&ada);
    let comment = json!({ "post_id": post, "user_id": bob, "content": "Hi" });
    let comment = shipped().create_id("comments", &comment);
    let by_bob = like("post", &post, &bob);
    like("post", &post, &ada);
    let of_comment = like("comment", &comment, &ada);
    assert_eq!(counter("posts", &post, "like_count"), 2);
    assert_eq!(counter("comments", &comment, "like_count"), 1);
    let told = |kind: u8, target: &str, actor: &str| {
        let payload = json!({ "actor_id": actor, "target_type": kind, "target_id": target });
        ("like".to_owned(), payload)
    };
    assert_eq!(notifications(&ada)[0], told(0, &post, &bob));
    assert_eq!(notifications(&bob), [told(2, &comment, &ada)]);
    // Once each.
    shipped()
        .post(
            "/likes",
            &json!({ "target_type": 0, "target_id": post, "user_id": bob }),
        )
        .problem(409, "duplicate");
    assert_eq!(counter("posts", &post, "like_count"), 2);
    assert_eq!(notifications(&ada).len(), 2);
    shipped().delete(&format!("/likes/{by_bob}")).expect(204);
    assert_eq!(counter("posts", &post, "like_count"), 1);
    shipped()
        .delete(&format!("/likes/{of_comment}"))
        .expect(204);
    assert_eq!(counter("comments", &comment, "like_count"), 0);
    // A counter belongs to its effects, one by one, in a batch as well.
    let again = json!([
        { "collection": "likes", "create": { "target_type": 0, "target_id": post, "user_id": bob } },
        { "collection": "likes", "delete": { "filter": { "target_id": post } } },
    ]);
    shipped().post("/batch", &again).expect(200);
    assert_eq!(counter("posts", &post, "like_count"), 0);
}

#[test]
fn a_message_updates_the_conversation_and_everybody_in_it() {
    let (ada, bob, cat) = (new_user(), new_user(), new_user());
    let conversation = new_conversation(&[&ada, &bob, &cat]);
    let first = say(&conversation, &ada, "Hello");
    let second = say(&conversation, &bob, "Hi!");
    let overview = shipped().read("conversations", &conversation);
    assert_eq!(overview["last_message_id"], second["id"]);
    assert_eq!(overview["last_message_text"], "Hi!");
    assert_eq!(overview["last_message_time"], second["created_at"]);
    for (user, number) in [(&ada, 1), (&bob, 1), (&cat, 2)] {
        assert_eq!(unread(&conversation, user), number);
    }
    let told = |sender: &str, message: &Json| {
        let payload = json!({
            "actor_id": sender, "conversation_id": conversation, "message_id": message["id"],
        });
        ("message".to_owned(), payload)
    };
    assert_eq!(
        notifications(&cat),
        [told(&bob, &second), told(&ada, &first)]
    );
    assert_eq!(notifications(&ada), [told(&bob, &second)]);

    let path = format!("/messages/{}", text(&second["id"]));
    shipped()
        .patch(&path, &json!({ "content": "Good day" }))
        .expect(200);
    let overview = shipped().read("conversations", &conversation);
    assert_eq!(overview["last_message_text"], "Good day");
    // A change of an earlier one is not the latest word.
    let earlier = format!("/messages/{}", text(&first["id"]));
    shipped()
        .patch(&earlier, &json!({ "content": "Hullo" }))
        .expect(200);
    let overview = shipped().read("conversations", &conversation);
    assert_eq!(overview["last_message_text"], "Good day");
    shipped().delete(&path).expect(204);
    let overview = shipped().read("conversations", &conversation);
    assert_eq!(overview["last_message_id"], Json::Null);
    assert_eq!(overview["last_message_text"], Json::Null);
    assert_eq!(overview["last_message_time"], second["created_at"]);
}

#[test]
fn nothing_follows_from_what_was_refused() {
    let (ada, bob) = (new_user(), new_user());
    let conversation = new_conversation(&[&ada, &bob]);
    let before = shipped().read("conversations", &conversation);
    let long = "x".repeat(10_001);
    for message in [
        json!({ "conversation_id": conversation, "sender_id": ada, "content": long }),
        json!({ "conversation_id": conversation, "sender_id": fresh_id(), "content": "x" }),
    ] {
        assert_eq!(shipped().post("/messages", &message).status, 422);
    }
    let batch = json!([
        { "collection": "messages", "create": { "conversation_id": conversation, "sender_id": ada, "content": "x" } },
        { "collection": "messages", "delete": { "id": fresh_id() } },
    ]);
    shipped().post("/batch", &batch).problem(404, "not_found");
    assert_eq!(shipped().read("conversations", &conversation), before);
    assert_eq!(unread(&conversation, &bob), 0);
    assert_eq!(notifications(&bob), []);
}

#[test]
fn asking_for_friendship_and_accepting_it() {
    let (ada, bob) = (new_user(), new_user());
    let state = |id: &str, state: &str| {
        let path = format!("/relations/{id}");
        shipped()
            .patch(&path, &json!({ "state": state }))
            .expect(200)
    };
    let relate = |from: &str, to: &str, state: &str| {
        let relation = json!({ "primary_id": from, "secondary_id": to, "state": state });
        shipped().create_id("relations", &relation)
    };
    let asked = relate(&ada, &bob, "requested");
    assert_eq!(
        notifications(&bob),
        [("friend_request".to_owned(), json!({ "actor_id": ada }))]
    );
    relate(&bob, &ada, "friend");
    assert_eq!(
        shipped().read("relations", &asked)["state"],
        2,
        "who asked is a friend in return"
    );
    state(&asked, "blocked");
    let cat = new_user();
    relate(&cat, &ada, "following");
    assert_eq!(
        notifications(&ada),
        [("follow".to_owned(), json!({ "actor_id": cat }))]
    );
}
