//! Documents that belong to nobody, and people without an account: null is not null's owner.

use serde_json::{Value as Json, json};

use crate::{
    people::{Person, fresh_id},
    ways,
};

/// A document that nobody owns, made by nobody.
fn ownerless(collection: &str, document: &Json) -> String {
    let nobody = Person::anonymous();
    let answer = nobody.post(&format!("/{collection}"), document).expect(201);
    answer["id"].as_str().expect("an id").to_owned()
}

#[test]
fn what_belongs_to_nobody_is_not_the_anonymous_ones() {
    let shelf = fresh_id();
    let id = ownerless("diaries", &json!({ "shelf": shelf }));
    let nobody = Person::anonymous();
    nobody
        .get(&format!("/diaries/{id}"))
        .problem(401, "missing_token");
    nobody.get("/diaries").problem(401, "missing_token");
    for filter in [json!({ "shelf": shelf }), json!({ "owner_id": null })] {
        let text = filter.to_string();
        nobody
            .ask("diaries", &[("filter", &text)])
            .problem(401, "missing_token");
        let somebody = Person::sign_up();
        assert_eq!(somebody.find("diaries", &filter), Vec::<Json>::new());
    }
    for tried in ways::change(&nobody, "diaries", &id, &json!({ "shelf": "x" })) {
        assert_eq!(tried.status, 401, "{}", tried.way);
    }
    for tried in ways::delete(&nobody, "diaries", &id) {
        assert_eq!(tried.status, 401, "{}", tried.way);
    }
}

#[test]
fn what_belongs_to_nobody_is_not_everybodys() {
    let id = ownerless("drafts", &json!({ "open": true }));
    let closed = ownerless("drafts", &json!({}));
    let somebody = Person::sign_up();
    for (id, status) in [(&id, 403), (&closed, 404)] {
        for tried in ways::change(
            &somebody,
            "drafts",
            id,
            &json!({ "owner_id": somebody.id() }),
        ) {
            let nothing = tried.status == 200 && tried.touched() == Some(0);
            assert!(
                tried.status == status || nothing,
                "{}: {}",
                tried.way,
                tried.status
            );
        }
        for tried in ways::delete(&somebody, "drafts", id) {
            let nothing = tried.status == 200 && tried.touched() == Some(0);
            assert!(
                tried.status == status || nothing,
                "{}: {}",
                tried.way,
                tried.status
            );
        }
    }
    for reader in [&somebody, &Person::anonymous()] {
        assert_eq!(
            reader.read("drafts", &id)["secret"],
            Json::Null,
            "it is the owner's"
        );
        reader
            .get(&format!("/drafts/{closed}"))
            .problem(404, "not_found");
        let all = json!({ "id": { "$in": [id, closed] } });
        let found = reader.find("drafts", &all);
        assert_eq!(found.len(), 1);
        let hidden = json!({ "secret": 7 }).to_string();
        reader
            .ask("drafts", &[("filter", &hidden)])
            .problem(403, "unreadable_field");
    }
}

#[test]
fn nobody_gives_a_document_to_somebody_and_takes_it_back() {
    let owner = Person::sign_up();
    let own = owner.create("drafts", &json!({ "open": true }));
    // The rule holds before the change, but not after it.
    for new in [json!(null), json!(Person::sign_up().id())] {
        for tried in ways::change(&owner, "drafts", &own, &json!({ "owner_id": new })) {
            assert_eq!(tried.status, 403, "{new} by {}", tried.way);
        }
    }
    assert_eq!(owner.read("drafts", &own)["owner_id"], owner.id());
}
