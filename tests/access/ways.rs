//! The same request by every route that takes it.

use serde_json::{Value as Json, json};

use crate::people::Person;

/// What came of one way.
pub struct Tried {
    pub way: &'static str,
    pub status: u16,
    pub body: Json,
}

impl Tried {
    /// How many documents a request by filter touched; none of one by id.
    pub fn touched(&self) -> Option<u64> {
        self.body["matched"]
            .as_u64()
            .or(self.body["deleted"].as_u64())
    }
}

pub fn create(person: &Person, collection: &str, document: &Json) -> Vec<Tried> {
    let single = ("POST", "POST", String::new(), document);
    all(person, collection, single, &[("create", document.clone())])
}

/// Changes a document by its id and by a filter that finds it.
pub fn change(person: &Person, collection: &str, id: &str, change: &Json) -> Vec<Tried> {
    let operations = [
        ("update", json!({ "id": id, "change": change })),
        (
            "update",
            json!({ "filter": { "id": id }, "change": change }),
        ),
    ];
    let single = ("PATCH", "PATCH", format!("/{id}"), change);
    let mut tried = all(person, collection, single, &operations);
    let fields = change
        .as_object()
        .into_iter()
        .flat_map(|fields| fields.keys());
    if fields.clone().all(|field| !field.starts_with('$')) {
        let set = json!({ "$set": change });
        let single = ("PATCH with $set", "PATCH", format!("/{id}"), &set);
        tried.extend(all(person, collection, single, &[]));
    }
    let many = format!("?filter[id]={id}");
    tried.extend(all(
        person,
        collection,
        ("PATCH by filter", "PATCH", many, change),
        &[],
    ));
    tried
}

pub fn replace(person: &Person, collection: &str, id: &str, document: &Json) -> Vec<Tried> {
    let operation = json!({ "id": id, "document": document });
    let single = ("PUT", "PUT", format!("/{id}"), document);
    all(person, collection, single, &[("replace", operation)])
}

pub fn delete(person: &Person, collection: &str, id: &str) -> Vec<Tried> {
    let operations = [
        ("delete", json!({ "id": id })),
        ("delete", json!({ "filter": { "id": id } })),
    ];
    let nothing = Json::Null;
    let single = ("DELETE", "DELETE", format!("/{id}"), &nothing);
    let mut tried = all(person, collection, single, &operations);
    let many = format!("?filter[id]={id}");
    tried.extend(all(
        person,
        collection,
        ("DELETE by filter", "DELETE", many, &nothing),
        &[],
    ));
    tried
}

/// One request to the collection, and operations in `/c/bulk` and `/batch`.
fn all(
    person: &Person,
    collection: &str,
    (way, method, rest, body): (&'static str, &str, String, &Json),
    operations: &[(&str, Json)],
) -> Vec<Tried> {
    let request = person.request(method, &format!("/{collection}{rest}"));
    let request = if body.is_null() {
        request
    } else {
        request.json(body)
    };
    let answer = request.send();
    let status = answer.status;
    let body = serde_json::from_slice(&answer.body).unwrap_or_default();
    let mut tried = vec![Tried { way, status, body }];
    for (verb, operation) in operations {
        let bulk = person.post(
            &format!("/{collection}/bulk"),
            &json!([{ *verb: operation }]),
        );
        let result = match bulk.status {
            200 => bulk.json()["results"][0].clone(),
            status => json!({ "status": status }),
        };
        let status = result["status"]
            .as_u64()
            .and_then(|status| u16::try_from(status).ok());
        tried.push(Tried {
            way: "bulk",
            status: status.expect("a status"),
            body: result,
        });
        let item = json!({ "collection": collection, *verb: operation });
        let batch = person.post("/batch", &json!([item]));
        let body: Json = serde_json::from_slice(&batch.body).unwrap_or_default();
        let (status, body) = match batch.status {
            200 => {
                let result = body["results"][0].clone();
                let status = result["status"]
                    .as_u64()
                    .and_then(|s| u16::try_from(s).ok());
                (status.expect("a status"), result)
            }
            status => (status, body),
        };
        tried.push(Tried {
            way: "batch",
            status,
            body,
        });
    }
    tried
}
