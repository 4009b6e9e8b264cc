//! Cheating by sending several operations at once.

use serde_json::{Value as Json, json};

use crate::people::{Person, fresh_id, stage};

fn statuses(answer: &Json) -> Vec<u64> {
    let results = answer["results"].as_array().expect("results");
    results
        .iter()
        .filter_map(|result| result["status"].as_u64())
        .collect()
}

#[test]
fn in_bulk_every_operation_is_judged_by_itself() {
    let (owner, other) = (Person::sign_up(), Person::sign_up());
    let post = |visibility: &str| owner.create("posts", &json!({ "visibility": visibility }));
    let (public, private) = (post("public"), post("private"));
    let own = other.create("posts", &json!({ "content": "x" }));
    let change = json!({ "content": "y" });
    let operations = json!([
        { "create": { "content": "mine" } },
        { "create": { "content": "theirs", "user_id": owner.id() } },
        { "update": { "id": own, "change": change } },
        { "update": { "id": public, "change": change } },
        { "update": { "id": private, "change": change } },
        { "replace": { "id": public, "document": change } },
        { "update": { "filter": { "user_id": owner.id() }, "change": change } },
        { "delete": { "id": public } },
        { "delete": { "id": private } },
        { "delete": { "filter": { "user_id": owner.id() } } },
        { "delete": { "id": own } },
    ]);
    let answer = other.post("/posts/bulk", &operations).expect(200);
    let expected = [201, 403, 200, 403, 404, 403, 200, 403, 404, 200, 204];
    assert_eq!(statuses(&answer), expected);
    assert_eq!(answer["results"][6]["matched"], 0);
    assert_eq!(answer["results"][9]["deleted"], 0);
    for id in [public, private] {
        assert_eq!(owner.read("posts", &id)["content"], Json::Null);
    }
}

#[test]
fn a_batch_is_refused_as_a_whole() {
    let (owner, other) = (Person::sign_up(), Person::sign_up());
    let theirs = owner.create("posts", &json!({ "visibility": "private" }));
    let mine = fresh_id();
    for (second, status) in [
        (
            json!({ "collection": "posts", "create": { "user_id": owner.id() } }),
            403,
        ),
        (
            json!({ "collection": "posts", "delete": { "id": theirs } }),
            404,
        ),
        (
            json!({ "collection": "users", "update": { "id": other.id(), "change": { "roles": ["admin"] } } }),
            403,
        ),
    ] {
        let first = json!({ "collection": "posts", "create": { "id": mine, "content": "x" } });
        other.post("/batch", &json!([first, second])).expect(status);
        other
            .get(&format!("/posts/{mine}"))
            .problem(404, "not_found");
    }
    let nobody = Person::anonymous();
    let write = json!([{ "collection": "posts", "create": { "content": "x" } }]);
    nobody.post("/batch", &write).problem(401, "missing_token");
}

#[test]
fn operations_ahead_give_no_more_than_they_would_alone() {
    let (victim, pest) = (Person::sign_up(), Person::sign_up());
    victim.says("blocked", &pest);
    let post = victim.create("posts", &json!({ "content": "x" }));
    let block = victim.find("relations", &json!({ "primary_id": victim.id() }))[0]["id"].clone();
    let comment =
        json!({ "collection": "comments", "create": { "post_id": post, "content": "y" } });
    for first in [
        json!({ "collection": "relations", "delete": { "id": block } }),
        json!({ "collection": "relations", "update": { "id": block, "change": { "state": "friend" } } }),
    ] {
        pest.post("/batch", &json!([first, comment])).expect(404);
    }
    for first in [
        json!({ "collection": "relations", "delete": { "filter": { "primary_id": victim.id() } } }),
        json!({ "collection": "relations", "update": {
            "filter": { "primary_id": victim.id() }, "change": { "state": "friend" },
        } }),
    ] {
        pest.post("/batch", &json!([first, comment])).expect(403);
    }
    // A conversation of one's own gives nothing over the one who is dragged into it.
    let conversation = fresh_id();
    let drag = |kind: &str| {
        json!([
            { "collection": "conversations", "create": { "id": conversation, "type": kind } },
            { "collection": "conversation_members", "create": { "conversation_id": conversation, "role": "creator" } },
            { "collection": "conversation_members", "create": { "conversation_id": conversation, "user_id": victim.id() } },
            { "collection": "messages", "create": { "conversation_id": conversation, "content": "Gotcha" } },
        ])
    };
    for kind in ["direct", "group", "community", "announcement"] {
        pest.post("/batch", &drag(kind)).expect(403);
    }
    assert_eq!(
        victim.find("conversations", &json!({ "id": conversation })),
        Vec::<Json>::new()
    );
}

#[test]
fn a_conversation_is_opened_in_one_request() {
    let (creator, friend, late) = (Person::sign_up(), Person::sign_up(), Person::sign_up());
    let conversation = fresh_id();
    let opening = json!([
        { "collection": "conversations", "create": { "id": conversation, "type": "community" } },
        { "collection": "conversation_members", "create": { "conversation_id": conversation, "role": "creator" } },
        { "collection": "conversation_members", "create": { "conversation_id": conversation, "user_id": friend.id() } },
        { "collection": "messages", "create": { "conversation_id": conversation, "content": "Hello" } },
    ]);
    creator.post("/batch", &opening).expect(200);
    assert_eq!(
        friend
            .find("messages", &json!({ "conversation_id": conversation }))
            .len(),
        1
    );
    let seize = json!({ "conversation_id": conversation, "role": "creator" });
    late.post("/conversation_members", &seize)
        .problem(403, "forbidden");
}

#[test]
fn a_filter_whose_change_is_refused_changes_nothing() {
    let person = Person::sign_up();
    let shelf = fresh_id();
    let drafts = ["a", "b"].map(|_| person.create("drafts", &json!({ "shelf": shelf })));
    let filter = json!({ "shelf": shelf }).to_string();
    let refused = person
        .request("PATCH", "/drafts")
        .query(&[("filter", &filter)])
        .json(&json!({ "owner_id": stage().admin.id(), "shelf": "elsewhere" }))
        .send();
    refused.problem(403, "forbidden");
    for draft in drafts {
        assert_eq!(person.read("drafts", &draft)["shelf"], shelf);
    }
}
