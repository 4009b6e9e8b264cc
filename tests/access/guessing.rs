//! Cheating by asking: what cannot be read is guessed bit by bit from what a filter finds, from how
//! a list is sorted, or from how many documents a change touches.

use serde_json::{Value as Json, json};

use crate::{
    people::{Person, fresh_id, stage},
    ways,
};

/// Every way to ask a collection for what matches.
fn ask(person: &Person, collection: &str, filter: &Json) -> Vec<(&'static str, u16, Json)> {
    let text = filter.to_string();
    let query = [("filter", &*text)];
    let at = |rest: &str| format!("/{collection}{rest}");
    let change = json!({ "created_at": "2001-01-01T00:00:00Z" });
    let harmless = match collection {
        "users" => json!({ "bio": "changed" }),
        "posts" => json!({ "content": "changed" }),
        _ => change,
    };
    let operations = |operation: Json| json!([operation]);
    let page = [("filter", &*text), ("page", "1")];
    let answers = [
        ("list", person.request("GET", &at("")).query(&query)),
        ("page", person.request("GET", &at("")).query(&page)),
        ("count", person.request("GET", &at("/count")).query(&query)),
        (
            "query",
            person
                .request("POST", &at("/query"))
                .json(&json!({ "filter": filter })),
        ),
        (
            "PATCH by filter",
            person
                .request("PATCH", &at(""))
                .query(&query)
                .json(&harmless),
        ),
        (
            "DELETE by filter",
            person.request("DELETE", &at("")).query(&query),
        ),
        (
            "bulk update",
            person.request("POST", &at("/bulk")).json(&operations(
                json!({ "update": { "filter": filter, "change": harmless } }),
            )),
        ),
        (
            "bulk delete",
            person
                .request("POST", &at("/bulk"))
                .json(&operations(json!({ "delete": { "filter": filter } }))),
        ),
        (
            "batch",
            person.request("POST", "/batch").json(&operations(json!({
                "collection": collection, "update": { "filter": filter, "change": harmless },
            }))),
        ),
    ];
    answers
        .into_iter()
        .map(|(way, request)| {
            let answer = request.send();
            let body: Json = serde_json::from_slice(&answer.body).unwrap_or_default();
            // In bulk every operation has its own answer.
            match body["results"][0]["status"].as_u64() {
                Some(status) => {
                    let status = u16::try_from(status).expect("a status");
                    let result = &body["results"][0];
                    let problem = result.get("error").unwrap_or(result);
                    (way, status, problem.clone())
                }
                None => (way, answer.status, body),
            }
        })
        .collect()
}

#[test]
fn a_field_that_is_not_for_everybody_cannot_be_asked_for() {
    let (victim, cheat) = (Person::sign_up(), Person::sign_up());
    let email = format!("{}@example.org", victim.name);
    for filter in [
        json!({ "email": email }),
        json!({ "email": { "$startsWith": "person" } }),
        json!({ "email": { "$gte": "a@example.org" } }),
        json!({ "email": { "$ne": "x@example.org" } }),
        json!({ "phone": { "$exists": true } }),
        json!({ "birthdate": { "$lt": "2000-01-01" } }),
        json!({ "roles": "admin" }),
        json!({ "roles": { "$size": 1 } }),
        json!({ "id": victim.id(), "email": email }),
        json!({ "$or": [{ "id": cheat.id() }, { "email": email }] }),
        json!({ "$nor": [{ "email": email }] }),
        json!({ "$not": { "email": email } }),
        json!({ "email": { "$not": { "$eq": email } } }),
        // Not even about oneself: what is asked for must not depend on whose document it is.
        json!({ "id": cheat.id(), "email": { "$exists": true } }),
    ] {
        for (way, status, answer) in ask(&cheat, "users", &filter) {
            assert_eq!(
                (status, &answer["code"]),
                (403, &json!("unreadable_field")),
                "{filter} by {way}"
            );
        }
    }
    // Moderators read every profile and nobody's address.
    let filter = json!({ "email": email }).to_string();
    let asked = stage().moderator.ask("users", &[("filter", &filter)]);
    asked.problem(403, "unreadable_field");
    assert_eq!(
        stage()
            .admin
            .find("users", &json!({ "email": email }))
            .len(),
        1
    );
    assert_ne!(cheat.read("users", &cheat.id())["bio"], "changed");
}

#[test]
fn the_order_of_a_list_tells_nothing_either() {
    let cheat = Person::sign_up();
    for sort in [
        "email",
        "-birthdate",
        "username,phone",
        "login_count",
        "-last_login",
    ] {
        cheat
            .ask("users", &[("sort", sort)])
            .problem(403, "unreadable_field");
        cheat
            .post("/users/query", &json!({ "sort": sort }))
            .problem(403, "unreadable_field");
        let list = stage()
            .admin
            .ask("users", &[("sort", sort), ("limit", "1")])
            .expect(200);
        // A cursor holds the place in the order.
        if let Some(cursor) = list["next_cursor"].as_str() {
            let query = [("sort", sort), ("cursor", cursor)];
            cheat.ask("users", &query).problem(403, "unreadable_field");
        }
    }
}

#[test]
fn naming_a_field_shows_it_to_nobody_new() {
    let (victim, cheat) = (Person::sign_up(), Person::sign_up());
    let filter = json!({ "id": victim.id() }).to_string();
    let query = [
        ("filter", &*filter),
        ("fields", "username,email,birthdate,roles"),
    ];
    let list = cheat.ask("users", &query).expect(200);
    let expected = json!({
        "id": victim.id(), "username": victim.name, "email": null, "birthdate": null, "roles": null,
    });
    assert_eq!(list["data"], json!([expected]));
    let path = format!(
        "/users/{}?fields=username,email,birthdate,roles",
        victim.id()
    );
    assert_eq!(cheat.get(&path).expect(200), expected);
    let shown = victim.get(&path).expect(200);
    assert_eq!(shown["email"], format!("{}@example.org", victim.name));
}

#[test]
fn hidden_fields_are_unknown_to_everybody() {
    let person = Person::sign_up();
    for asker in [&person, &stage().moderator, &stage().admin] {
        for (collection, field) in [
            ("sessions", "refresh_token_hash"),
            ("sessions", "generation"),
            ("users", "password"),
            ("users", "password_hash"),
        ] {
            let filter = json!({ field: { "$gte": "0" } });
            for (way, status, _) in ask(asker, collection, &filter) {
                assert!(
                    matches!(status, 400 | 422),
                    "{collection}.{field} by {way}: {status}"
                );
            }
            assert_eq!(
                asker.ask(collection, &[("sort", field)]).status,
                400,
                "{field}"
            );
            assert_eq!(
                asker.ask(collection, &[("fields", field)]).status,
                400,
                "{field}"
            );
        }
        for session in asker.find("sessions", &json!({ "user_id": asker.id() })) {
            for field in ["refresh_token_hash", "generation"] {
                assert_eq!(session.get(field), None, "{session}");
            }
        }
        let own = asker.read("users", &asker.id());
        assert_eq!(
            (own.get("password"), own.get("password_hash")),
            (None, None)
        );
    }
}

#[test]
fn hidden_documents_match_no_filter() {
    let (owner, cheat) = (Person::sign_up(), Person::sign_up());
    let word = fresh_id();
    let post = json!({ "content": format!("the word is {word}"), "visibility": "private" });
    let hidden = owner.create("posts", &post);
    for filter in [
        json!({ "content": { "$contains": word } }),
        json!({ "id": hidden, "content": { "$startsWith": "the w" } }),
        json!({ "user_id": owner.id(), "visibility": "private" }),
        json!({ "$or": [{ "id": hidden }, { "content": word }] }),
        json!({ "user_id": owner.id(), "$nor": [{ "content": "x" }] }),
        json!({ "user_id": owner.id(), "content": { "$ne": "x" } }),
    ] {
        for (way, status, answer) in ask(&cheat, "posts", &filter) {
            assert_eq!(status, 200, "{filter} by {way}: {answer}");
            let numbers = ["count", "total", "matched", "modified", "deleted"];
            for number in numbers.iter().filter_map(|name| answer.get(name)) {
                assert_eq!(number, 0, "{filter} by {way}: {answer}");
            }
            if let Some(data) = answer.get("data") {
                assert_eq!(data, &json!([]), "{filter} by {way}");
            }
        }
    }
    assert_eq!(owner.read("posts", &hidden)["content"], post["content"]);
}

#[test]
fn a_filter_touches_only_what_may_be_changed() {
    let (owner, other) = (Person::sign_up(), Person::sign_up());
    let word = fresh_id();
    let post = json!({ "content": "before", "location": word });
    let (own, theirs) = (other.create("posts", &post), owner.create("posts", &post));
    let filter = json!({ "location": word }).to_string();
    let changed = other
        .request("PATCH", "/posts")
        .query(&[("filter", &filter)])
        .json(&json!({ "content": "after" }))
        .send()
        .expect(200);
    assert_eq!(changed, json!({ "matched": 1, "modified": 1 }));
    assert_eq!(owner.read("posts", &own)["content"], "after");
    assert_eq!(owner.read("posts", &theirs)["content"], "before");
    let deleted = other
        .request("DELETE", "/posts")
        .query(&[("filter", &filter)])
        .send();
    assert_eq!(deleted.expect(200), json!({ "deleted": 1 }));
    owner.read("posts", &theirs);
}

#[test]
fn the_last_words_of_a_conversation_cannot_be_asked_for() {
    let person = Person::sign_up();
    let filter = json!({ "last_message_text": { "$startsWith": "a" } }).to_string();
    person
        .ask("conversations", &[("filter", &filter)])
        .problem(403, "unreadable_field");
    person
        .ask("conversations", &[("sort", "last_message_text")])
        .problem(403, "unreadable_field");
}

#[test]
fn a_hidden_value_is_not_confirmed_by_writing_it() {
    let (ada, bob) = (Person::sign_up(), Person::sign_up());
    let conversation = ada.create("conversations", &json!({ "type": "group" }));
    let opened = json!({ "conversation_id": conversation, "role": "creator" });
    ada.create("conversation_members", &opened);
    let membership = json!({ "conversation_id": conversation, "user_id": bob.id() });
    let bobs = ada.create("conversation_members", &membership);
    for _ in 0..3 {
        let message = json!({ "conversation_id": conversation, "content": "Hello" });
        ada.create("messages", &message);
    }
    assert_eq!(bob.read("conversation_members", &bobs)["unread_count"], 3);
    for guess in 0..5 {
        for tried in ways::change(
            &ada,
            "conversation_members",
            &bobs,
            &json!({ "unread_count": guess }),
        ) {
            let nothing = tried.status == 200 && tried.touched() == Some(0);
            assert!(
                tried.status == 403 || nothing,
                "{guess} by {}: {}",
                tried.way,
                tried.status
            );
        }
    }
}

#[test]
fn a_member_who_spoils_a_counter_silences_nobody() {
    let (ada, bob) = (Person::sign_up(), Person::sign_up());
    let conversation = ada.create("conversations", &json!({ "type": "group" }));
    let opened = json!({ "conversation_id": conversation, "role": "creator" });
    ada.create("conversation_members", &opened);
    let membership = json!({ "conversation_id": conversation, "user_id": bob.id() });
    let bobs = ada.create("conversation_members", &membership);
    bob.update(
        "conversation_members",
        &bobs,
        &json!({ "unread_count": i32::MAX }),
    );
    let message = json!({ "conversation_id": conversation, "content": "Hello" });
    ada.create("messages", &message);
    let left = bob.read("conversation_members", &bobs);
    assert_eq!(
        left["unread_count"],
        i32::MAX,
        "it stays where its type ends"
    );
}
