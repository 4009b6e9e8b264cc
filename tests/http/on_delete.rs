//! What becomes of documents that refer to one that is deleted, in the collections that ship.

use serde_json::{Value as Json, json};

use crate::{
    effects::{new_conversation, new_post, new_user, say},
    library,
    server::text,
    shipped,
};

fn count(collection: &str, field: &str, id: &str) -> u64 {
    shipped().count(collection, &json!({ field: id }))
}

#[test]
fn a_post_takes_its_comments_and_all_likes_along() {
    let (ada, bob) = (new_user(), new_user());
    let (post, other) = (new_post(&ada), new_post(&ada));
    let comment = |post: &str| {
        shipped().create_id(
            "comments",
            &json!({ "post_id": post, "user_id": bob, "content": "Hi" }),
        )
    };
    let (lost, kept) = (comment(&post), comment(&other));
    for (kind, target) in [("post", &post), ("comment", &lost), ("comment", &kept)] {
        let like = json!({ "target_type": kind, "target_id": target, "user_id": bob });
        shipped().create("likes", &like);
    }
    shipped().delete(&format!("/posts/{post}")).expect(204);
    shipped()
        .get(&format!("/comments/{lost}"))
        .problem(404, "not_found");
    assert_eq!(count("comments", "post_id", &post), 0);
    assert_eq!(count("likes", "target_id", &post), 0);
    assert_eq!(count("likes", "target_id", &lost), 0);
    assert_eq!(count("likes", "target_id", &kept), 1);
    assert_eq!(shipped().read("comments", &kept)["like_count"], 1);
    assert_eq!(shipped().read("posts", &other)["comment_count"], 1);
}

#[test]
fn who_is_still_referred_to_stays() {
    let ada = new_user();
    let post = new_post(&ada);
    let refused = shipped().delete(&format!("/users/{ada}"));
    let problem = refused.problem(409, "referenced");
    let words = text(&problem["detail"]);
    assert!(
        words.contains("posts") && words.contains("user_id"),
        "{words}"
    );
    // Nothing of what would have gone along is gone.
    assert_eq!(count("user_settings", "user_id", &ada), 1);
    let many = format!("/users?filter[id]={ada}");
    shipped().delete(&many).problem(409, "referenced");
    shipped().delete(&format!("/posts/{post}")).expect(204);
    shipped().delete(&format!("/users/{ada}")).expect(204);
    assert_eq!(count("user_settings", "user_id", &ada), 0);
    shipped()
        .get(&format!("/users/{ada}"))
        .problem(404, "not_found");
}

#[test]
fn an_account_takes_what_is_its_own_along() {
    let (ada, bob) = (new_user(), new_user());
    let post = new_post(&ada);
    shipped().create(
        "likes",
        &json!({ "target_type": "post", "target_id": post, "user_id": bob }),
    );
    shipped().create(
        "relations",
        &json!({ "primary_id": bob, "secondary_id": ada }),
    );
    shipped().create(
        "relations",
        &json!({ "primary_id": ada, "secondary_id": bob }),
    );
    let conversation = new_conversation(&[&ada, &bob]);
    say(&conversation, &ada, "Hi");
    assert_eq!(count("notifications", "user_id", &bob), 2);
    shipped().delete(&format!("/users/{bob}")).expect(204);
    for (collection, field) in [
        ("likes", "user_id"),
        ("notifications", "user_id"),
        ("user_settings", "user_id"),
        ("conversation_members", "user_id"),
        ("relations", "primary_id"),
        ("relations", "secondary_id"),
    ] {
        assert_eq!(count(collection, field, &bob), 0, "{collection}");
    }
    // What followed from those is undone with them.
    assert_eq!(shipped().read("posts", &post)["like_count"], 0);
    assert_eq!(
        count("conversation_members", "conversation_id", &conversation),
        1
    );
}

#[test]
fn a_conversation_takes_its_messages_along() {
    let (ada, bob) = (new_user(), new_user());
    let conversation = new_conversation(&[&ada, &bob]);
    let message = text(&say(&conversation, &ada, "Hi")["id"]);
    shipped().create(
        "likes",
        &json!({ "target_type": "message", "target_id": message, "user_id": bob }),
    );
    shipped()
        .delete(&format!("/conversations/{conversation}"))
        .expect(204);
    assert_eq!(count("messages", "conversation_id", &conversation), 0);
    assert_eq!(
        count("conversation_members", "conversation_id", &conversation),
        0
    );
    assert_eq!(count("likes", "target_id", &message), 0);
}

#[test]
fn references_are_let_go_of_where_that_is_said() {
    let create = |collection, document| library().create_id(collection, &document);
    let mentor = create("authors", json!({ "name": "mentor" }));
    let author = create("authors", json!({ "name": "author", "mentor_id": mentor }));
    let book = create(
        "books",
        json!({ "title": "x", "editor_ids": [mentor, author, mentor] }),
    );
    let before = library().read("books", &book);
    library().delete(&format!("/authors/{mentor}")).expect(204);
    assert_eq!(library().read("authors", &author)["mentor_id"], Json::Null);
    let after = library().read("books", &book);
    assert_eq!(after["editor_ids"], json!([author]));
    assert!(after["_rev"].as_i64() > before["_rev"].as_i64());
}

#[test]
fn who_refers_to_themselves_can_go() {
    let author = library().create_id("authors", &json!({ "name": "own mentor" }));
    let path = format!("/authors/{author}");
    library()
        .patch(&path, &json!({ "mentor_id": author }))
        .expect(200);
    library().delete(&path).expect(204);
}

#[test]
fn both_ends_can_go_in_one_batch() {
    let author = library().create_id("authors", &json!({ "name": "x" }));
    let book = library().create_id("books", &json!({ "title": "x", "author_id": author }));
    library()
        .delete(&format!("/authors/{author}"))
        .problem(409, "referenced");
    let batch = json!([
        { "collection": "books", "delete": { "id": book } },
        { "collection": "authors", "delete": { "id": author } },
    ]);
    library().post("/batch", &batch).expect(200);
    library()
        .get(&format!("/authors/{author}"))
        .problem(404, "not_found");
}
