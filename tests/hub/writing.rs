//! Writes over the socket: the same as over REST.

use serde_json::{Value as Json, json};

use crate::{people::Person, shared};

#[test]
fn documents_are_created_changed_and_deleted() {
    let (ada, bob) = (Person::new(shared()), Person::new(shared()));
    let mut heard = bob.connect();
    heard.done(json!({ "op": "subscribe", "channel": "notes", "filter": { "user_id": ada.id } }));
    let mut socket = ada.connect();
    let created = socket.done(json!({
        "op": "create", "collection": "notes", "document": { "text": "over the socket" },
    }));
    let note = &created["document"];
    let id = note["id"].as_str().unwrap();
    assert_eq!(ada.gets(&format!("/notes/{id}")), *note);
    assert_eq!(heard.expect("created"), *note);
    let updated = socket.done(json!({
        "op": "update", "collection": "notes", "document_id": id,
        "change": { "$inc": { "number": 2 } }, "if_match": note["_rev"],
    }));
    assert_eq!(updated["document"]["number"], 2);
    assert_eq!(heard.expect("updated"), updated["document"]);
    socket.done(json!({ "op": "delete", "collection": "notes", "document_id": id }));
    assert_eq!(heard.expect("deleted"), json!({ "id": id }));
}

#[test]
fn refusals_are_those_of_the_routes() {
    let ada = Person::new(shared());
    let mut socket = ada.connect();
    let note = ada.creates("notes", json!({}));
    let id = note["id"].as_str().unwrap();
    let nowhere = "0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a11";
    let create = |collection: &str, document: Json| json!({ "op": "create", "collection": collection, "document": document });
    let update = |id: &str, change: Json| json!({ "op": "update", "collection": "notes", "document_id": id, "change": change });
    let mut guarded = update(id, json!({ "number": 1 }));
    guarded["if_match"] = json!([1, 2]);
    for (message, status, code) in [
        (create("nots", json!({})), 422, "invalid"),
        (create("typing", json!({})), 422, "invalid"),
        (create("notes", json!({ "txt": "" })), 422, "invalid"),
        (
            create("audit_logs", json!({ "action": "x" })),
            403,
            "forbidden",
        ),
        (create("notes", json!({ "id": id })), 409, "duplicate"),
        (update(nowhere, json!({ "number": 1 })), 404, "not_found"),
        (update(id, json!({ "number": "x" })), 422, "invalid"),
        (
            update(id, json!({ "$inc": { "number": 1 }, "text": "" })),
            400,
            "mixed_patch",
        ),
        (guarded, 412, "precondition_failed"),
        (
            json!({ "op": "delete", "collection": "notes", "document_id": nowhere }),
            404,
            "not_found",
        ),
    ] {
        assert_eq!(
            socket.refused(message.clone()),
            (status, code.into()),
            "{message}"
        );
    }
    let answer = socket.ask(create("notes", json!({ "number": "x", "txt": 1 })));
    let rest = ada.sends("POST", "/notes", &json!({ "number": "x", "txt": 1 }));
    assert_eq!(answer["error"], rest.json(), "word for word");
}

#[test]
fn messages_that_are_none_are_answered() {
    let ada = Person::new(shared());
    let mut socket = ada.connect();
    for (text, status, code) in [
        ("hello", 400, "not_a_message"),
        ("{", 400, "malformed_json"),
        ("{}", 422, "invalid"),
        (r#"{"op":"dance"}"#, 422, "invalid"),
    ] {
        socket.send_text(text);
        let error = &socket.event()["error"];
        assert_eq!(
            (&error["status"], &error["code"]),
            (&json!(status), &json!(code)),
            "{text}"
        );
    }
    // What succeeds without an id is not answered.
    socket.send_text(r#"{"op":"ping"}"#);
    socket.done(json!({ "op": "ping" }));
}
