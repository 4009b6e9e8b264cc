//! Cheating through `expand`: what comes along with a document is no less guarded than the rest.

use serde_json::{Value as Json, json};

use crate::people::{Person, application};

/// What came along with a document, as the document, a list and a query bring it.
#[track_caller]
fn expanded(person: &Person, collection: &str, id: &str, expand: &str) -> Json {
    let single = person
        .get(&format!("/{collection}/{id}?expand={expand}"))
        .expect(200);
    let filter = json!({ "id": id });
    let text = filter.to_string();
    let list = person
        .ask(collection, &[("filter", &text), ("expand", expand)])
        .expect(200);
    assert_eq!(list["data"], json!([single]), "the list says the same");
    let query = json!({ "filter": filter, "expand": expand });
    let asked = person
        .post(&format!("/{collection}/query"), &query)
        .expect(200);
    assert_eq!(asked["data"], json!([single]), "the query says the same");
    single["_expand"].clone()
}

#[test]
fn a_hidden_document_comes_along_as_null() {
    let (author, reader) = (Person::sign_up(), Person::sign_up());
    let post = author.create("posts", &json!({ "content": "x" }));
    assert_eq!(
        expanded(&reader, "posts", &post, "user_id")["user_id"]["id"],
        author.id()
    );
    author.prefers("profile", "private");
    assert_eq!(
        expanded(&reader, "posts", &post, "user_id"),
        json!({ "user_id": null })
    );
    assert_eq!(
        expanded(&author, "posts", &post, "user_id")["user_id"]["id"],
        author.id()
    );
}

#[test]
fn what_is_personal_stays_null_in_what_comes_along() {
    let (author, reader) = (Person::sign_up(), Person::sign_up());
    let post = author.create("posts", &json!({ "content": "x" }));
    let comment = author.create("comments", &json!({ "post_id": post, "content": "y" }));
    let brought = [
        expanded(&reader, "posts", &post, "user_id")["user_id"].clone(),
        expanded(&reader, "comments", &comment, "post_id.user_id")["post_id"]["_expand"]["user_id"].clone(),
        expanded(&reader, "posts", &post, "comments(post_id).user_id")["comments"]["data"][0]["_expand"]
            ["user_id"]
            .clone(),
    ];
    let application = application(&[]);
    for author in brought {
        assert_eq!(author["first_name"], application["first_name"]);
        for field in [
            "email",
            "phone",
            "birthdate",
            "roles",
            "login_count",
            "last_login",
        ] {
            assert_eq!(author.get(field), Some(&Json::Null), "{field}");
        }
        assert_eq!(author.get("password"), None);
    }
}

#[test]
fn documents_that_refer_here_come_along_if_they_may_be_read() {
    let (author, reader, friend) = (Person::sign_up(), Person::sign_up(), Person::sign_up());
    author.says("friend", &friend);
    let post = |visibility: &str| {
        author.create(
            "posts",
            &json!({ "content": visibility, "visibility": visibility }),
        )
    };
    let [public, friends, private] = ["public", "friends", "private"].map(post);
    let brought = |person: &Person| {
        let brought = expanded(person, "users", &author.id(), "posts(user_id)");
        let posts = brought["posts"]["data"].as_array().expect("a list").clone();
        let mut ids: Vec<Json> = posts.iter().map(|post| post["id"].clone()).collect();
        ids.sort_by_key(ToString::to_string);
        ids
    };
    let sorted = |ids: &[&String]| {
        let mut ids: Vec<Json> = ids.iter().map(|id| json!(id)).collect();
        ids.sort_by_key(ToString::to_string);
        ids
    };
    assert_eq!(brought(&reader), sorted(&[&public]));
    assert_eq!(brought(&friend), sorted(&[&public, &friends]));
    assert_eq!(brought(&author), sorted(&[&public, &friends, &private]));
    for reverse in [
        "sessions(user_id)",
        "user_settings(user_id)",
        "notifications(user_id)",
    ] {
        let name = reverse.split('(').next().expect("a name");
        let brought = expanded(&reader, "users", &author.id(), reverse);
        assert_eq!(brought[name]["data"], json!([]), "{reverse}");
        let own = expanded(&author, "users", &author.id(), "user_settings(user_id)");
        assert_eq!(
            own["user_settings"]["data"].as_array().map(Vec::len),
            Some(1)
        );
    }
    author.says("blocked", &reader);
    let blocks = expanded(&friend, "users", &reader.id(), "relations(secondary_id)");
    assert_eq!(blocks["relations"]["data"], json!([]));
    let blocks = expanded(&reader, "users", &reader.id(), "relations(secondary_id)");
    assert_eq!(
        blocks["relations"]["data"],
        json!([]),
        "nobody learns that they are blocked"
    );
}

#[test]
fn hidden_items_of_a_list_are_left_out() {
    let (author, reader) = (Person::sign_up(), Person::sign_up());
    let shown_first = author.create("media", &json!({ "mime": "image/png" }));
    let secret = json!({ "visibility": "private", "media_ids": [shown_first] });
    author.create("posts", &secret);
    let open = author.create("media", &json!({ "mime": "image/webp" }));
    let both = json!({ "media_ids": [shown_first, open] });
    let post = author.create("posts", &both);
    let ids = |person: &Person| -> Vec<Json> {
        let brought = expanded(person, "posts", &post, "media_ids");
        let items = brought["media_ids"].as_array().expect("a list").clone();
        items.iter().map(|item| item["id"].clone()).collect()
    };
    assert_eq!(ids(&reader), [json!(open)]);
    assert_eq!(ids(&author), [json!(shown_first), json!(open)]);
}

#[test]
fn a_way_through_a_hidden_document_leads_nowhere() {
    let (author, commenter, reader) = (Person::sign_up(), Person::sign_up(), Person::sign_up());
    let post = author.create("posts", &json!({ "content": "x" }));
    let comment = commenter.create("comments", &json!({ "post_id": post, "content": "y" }));
    author.update("posts", &post, &json!({ "visibility": "private" }));
    assert_eq!(
        expanded(&commenter, "comments", &comment, "post_id.user_id"),
        json!({ "post_id": null })
    );
    let found = expanded(
        &reader,
        "users",
        &author.id(),
        "posts(user_id).comments(post_id)",
    );
    assert_eq!(found["posts"]["data"], json!([]));
}

#[test]
fn a_field_that_is_not_for_everybody_is_no_way_to_anything() {
    let (owner, partner) = (Person::sign_up(), Person::sign_up());
    let draft = json!({ "partner_id": partner.id(), "open": true });
    let draft = owner.create("drafts", &draft);
    for reader in [&partner, &Person::anonymous()] {
        let forward = reader.get(&format!("/drafts/{draft}?expand=partner_id"));
        forward.problem(403, "unreadable_field");
        reader
            .ask("drafts", &[("expand", "partner_id")])
            .problem(403, "unreadable_field");
    }
    let reverse = partner.get(&format!(
        "/users/{}?expand=drafts(partner_id)",
        partner.id()
    ));
    reverse.problem(403, "unreadable_field");
    let filter = json!({ "partner_id": partner.id() }).to_string();
    partner
        .ask("drafts", &[("filter", &filter)])
        .problem(403, "unreadable_field");
    let shown = partner.read("drafts", &draft);
    assert_eq!(
        (&shown["partner_id"], &shown["secret"]),
        (&Json::Null, &Json::Null)
    );
}
