//! Cheating by making a document belong to somebody else, or oneself be called a friend.

use serde_json::{Value as Json, json};

use crate::{
    people::{Person, fresh_id},
    ways,
};

/// A document of somebody, and the field that says whose it is.
fn belongings(owner: &Person) -> Vec<(&'static str, &'static str, String)> {
    let create = |collection: &str, document: Json| owner.create(collection, &document);
    let post = create("posts", json!({ "content": "Mine" }));
    let conversation = create("conversations", json!({ "type": "group" }));
    let opened = json!({ "conversation_id": conversation, "role": "creator" });
    let member = create("conversation_members", opened);
    let message = json!({ "conversation_id": conversation, "content": "Hello" });
    vec![
        ("posts", "user_id", post.clone()),
        (
            "comments",
            "user_id",
            create("comments", json!({ "post_id": post, "content": "x" })),
        ),
        ("media", "owner_id", create("media", json!({}))),
        ("messages", "sender_id", create("messages", message)),
        ("conversation_members", "user_id", member),
        (
            "relations",
            "primary_id",
            create(
                "relations",
                json!({ "secondary_id": Person::sign_up().id() }),
            ),
        ),
        ("user_settings", "user_id", owner.settings()),
    ]
}

#[test]
fn nobody_gives_a_document_away_or_takes_one() {
    let (owner, thief) = (Person::sign_up(), Person::sign_up());
    for (collection, field, id) in belongings(&owner) {
        let before = owner.read(collection, &id);
        let change = json!({ field: thief.id() });
        for tried in ways::change(&owner, collection, &id, &change) {
            assert_eq!(tried.status, 422, "{collection} by {}", tried.way);
        }
        for tried in ways::change(&thief, collection, &id, &change) {
            let nothing = tried.status == 200 && tried.touched() == Some(0);
            let refused = matches!(tried.status, 403 | 404);
            assert!(
                refused || nothing,
                "{collection} by {}: {}",
                tried.way,
                tried.status
            );
        }
        let unset = json!({ "$unset": { field: true } });
        for tried in ways::change(&owner, collection, &id, &unset) {
            assert_eq!(tried.status, 422, "{collection} by {}", tried.way);
        }
        assert_eq!(owner.read(collection, &id), before, "{collection}");
    }
}

#[test]
fn nobody_replaces_the_owner() {
    let (owner, thief) = (Person::sign_up(), Person::sign_up());
    let post = owner.create("posts", &json!({ "content": "Mine" }));
    let whole = json!({ "content": "Theirs", "user_id": thief.id() });
    for tried in ways::replace(&owner, "posts", &post, &whole) {
        assert_eq!(tried.status, 422, "{}", tried.way);
    }
    for tried in ways::replace(&thief, "posts", &post, &whole) {
        assert_eq!(tried.status, 403, "{}", tried.way);
    }
    assert_eq!(owner.read("posts", &post)["content"], "Mine");
}

#[test]
fn nobody_replaces_a_document_by_creating_it_again() {
    let (owner, thief) = (Person::sign_up(), Person::sign_up());
    let post = owner.create(
        "posts",
        &json!({ "content": "Mine", "visibility": "private" }),
    );
    for tried in ways::create(&thief, "posts", &json!({ "id": post, "content": "Theirs" })) {
        assert_eq!(tried.status, 409, "{}", tried.way);
    }
    for tried in ways::replace(&thief, "posts", &post, &json!({ "content": "Theirs" })) {
        assert_eq!(tried.status, 404, "{}", tried.way);
    }
    assert_eq!(owner.read("posts", &post)["content"], "Mine");
}

#[test]
fn nobody_deletes_what_belongs_to_another() {
    let (owner, thief) = (Person::sign_up(), Person::sign_up());
    for (collection, _, id) in belongings(&owner) {
        for tried in ways::delete(&thief, collection, &id) {
            let nothing = tried.status == 200 && tried.touched() == Some(0);
            let refused = matches!(tried.status, 403 | 404);
            assert!(
                refused || nothing,
                "{collection} by {}: {}",
                tried.way,
                tried.status
            );
        }
        owner.read(collection, &id);
    }
}

#[test]
fn nobody_befriends_themselves() {
    let (victim, cheat) = (Person::sign_up(), Person::sign_up());
    let post = victim.create(
        "posts",
        &json!({ "content": "For friends", "visibility": "friends" }),
    );
    let said = json!({ "primary_id": victim.id(), "secondary_id": cheat.id(), "state": "friend" });
    for tried in ways::create(&cheat, "relations", &said) {
        assert_eq!(tried.status, 403, "{}", tried.way);
    }
    // One's own statement turned round.
    let own = cheat.create(
        "relations",
        &json!({ "secondary_id": victim.id(), "state": "friend" }),
    );
    for change in [
        json!({ "primary_id": victim.id() }),
        json!({ "primary_id": victim.id(), "secondary_id": cheat.id() }),
        json!({ "secondary_id": cheat.id() }),
    ] {
        for tried in ways::change(&cheat, "relations", &own, &change) {
            assert_eq!(tried.status, 422, "{change} by {}", tried.way);
        }
    }
    // What the victim has said, as far as the other side may read it.
    victim.says("following", &cheat);
    let theirs = cheat.find("relations", &json!({ "primary_id": victim.id() }));
    let id = theirs[0]["id"].as_str().expect("an id");
    for tried in ways::change(&cheat, "relations", id, &json!({ "state": "friend" })) {
        let nothing = tried.status == 200 && tried.touched() == Some(0);
        assert!(
            tried.status == 403 || nothing,
            "{}: {}",
            tried.way,
            tried.status
        );
    }
    // A request is no answer to itself.
    cheat.update("relations", &own, &json!({ "state": "requested" }));
    cheat
        .get(&format!("/posts/{post}"))
        .problem(404, "not_found");
    victim.says("friend", &cheat);
    cheat.read("posts", &post);
    assert_eq!(
        cheat.read("relations", &own)["state"],
        2,
        "the request is granted"
    );
    // The same where the victim has said nothing yet.
    let shy = Person::sign_up();
    shy.says("requested", &cheat);
    cheat.says("friend", &shy);
    let theirs = cheat.find("relations", &json!({ "primary_id": shy.id() }));
    assert_eq!(theirs[0]["state"], 2, "the request is granted");
}

#[test]
fn a_block_ends_what_the_other_side_has_said() {
    let (victim, pest) = (Person::sign_up(), Person::sign_up());
    victim.says("friend", &pest);
    pest.says("friend", &victim);
    let own = pest.find("relations", &json!({ "primary_id": pest.id() }))[0]["id"].clone();
    let own = own.as_str().expect("an id");
    victim.says("blocked", &pest);
    assert_eq!(pest.read("relations", own)["state"], 0, "it is inactive");
    for state in ["friend", "following", "requested"] {
        for tried in ways::change(&pest, "relations", own, &json!({ "state": state })) {
            assert_eq!(tried.status, 403, "{state} by {}", tried.way);
        }
    }
    // Nor by deleting it and saying it anew.
    pest.delete(&format!("/relations/{own}")).expect(204);
    let again = json!({ "secondary_id": victim.id(), "state": "following" });
    for tried in ways::create(&pest, "relations", &again) {
        assert_eq!(tried.status, 403, "{}", tried.way);
    }
    pest.says("blocked", &victim);
}

#[test]
fn showing_an_upload_takes_owning_it() {
    let (owner, thief) = (Person::sign_up(), Person::sign_up());
    let picture = owner.create("media", &json!({ "mime": "image/png" }));
    let post = thief.create("posts", &json!({ "content": "x" }));
    for tried in ways::create(&thief, "posts", &json!({ "media_ids": [picture] })) {
        assert_eq!(tried.status, 403, "{}", tried.way);
    }
    let mine = thief.create("media", &json!({ "mime": "image/png" }));
    for change in [
        json!({ "media_ids": [mine, picture] }),
        json!({ "$push": { "media_ids": picture } }),
        json!({ "$addToSet": { "media_ids": picture } }),
    ] {
        for tried in ways::change(&thief, "posts", &post, &change) {
            assert_eq!(tried.status, 403, "{change} by {}", tried.way);
        }
    }
    let change = json!({ "profile_picture_id": picture });
    for tried in ways::change(&thief, "users", &thief.id(), &change) {
        assert_eq!(tried.status, 403, "{}", tried.way);
    }
    assert_eq!(thief.patch("/me", &change).status, 403);
    let application = crate::people::application(&[("profile_picture_id", json!(picture))]);
    assert_eq!(
        Person::anonymous().post("/signup", &application).status,
        403
    );
    thief
        .get(&format!("/media/{picture}"))
        .problem(404, "not_found");
    let unknown = json!({ "profile_picture_id": fresh_id() });
    for tried in ways::change(&thief, "users", &thief.id(), &unknown) {
        assert!(
            matches!(tried.status, 403 | 422),
            "{}: {}",
            tried.way,
            tried.status
        );
    }
}
