//! Which lists the cache may answer, from which sets.

use nubo_core::{
    access::View,
    caller::{Account, Caller},
    filter::Reader,
    query::{Query, Start},
    schema::{Catalog, Collection},
    time::Timestamp,
    value::Value,
};
use serde_json::{Value as Json, json};

use super::plan::{Plan, plan};

const ME: &str = "0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a11";

fn catalog(read: &Json) -> Catalog {
    let declarations = json!([
        { "name": "members", "fields": { "room": "uuid!", "person": "uuid!" },
          "access": { "read": "public" }, "tiers": { "cache": { "sets": [] } } },
        { "name": "notes", "owner": "author",
          "fields": { "room": "uuid", "author": "uuid", "state": "int", "tags": "text[]", "words": "text" },
          "access": { "read": read },
          "tiers": { "cache": { "sets": ["room", "author", "state", "tags"] } } },
        { "name": "others", "fields": { "words": "text" }, "access": { "read": read_all() } },
    ]);
    let declarations: Vec<_> = serde_json::from_value(declarations).unwrap();
    Catalog::compile(&declarations, &[]).unwrap()
}

fn read_all() -> Json {
    json!("public")
}

fn query(catalog: &Catalog, collection: &Collection, filter: &Json) -> Query {
    let filter = Reader::of_client(catalog, collection).read(filter);
    Query {
        collection: collection.id,
        filter: filter.unwrap(),
        sort: collection.order.clone(),
        start: Start::First,
        limit: 20,
        fields: None,
    }
}

fn view(collection: &Collection) -> View {
    let caller = Caller::account(Account::new(ME.parse().unwrap(), Vec::new()));
    collection.view(&caller, Timestamp::from_millis(0))
}

/// The fields by which sets are taken and how many, or `ids` and how many, or why not.
fn planned(read: &Json, filter: &Json) -> Result<(String, usize), String> {
    let catalog = catalog(read);
    let notes = catalog.named("notes").unwrap();
    let query = query(&catalog, notes, filter);
    let name = |field: &usize| notes.fields()[*field].name.clone();
    match plan(&query, &view(notes), notes)? {
        Plan::Ids(ids) => Ok(("ids".into(), ids.len())),
        Plan::Sets(sets) => {
            let names: Vec<String> = sets.fields.iter().map(name).collect();
            Ok((names.join("+"), sets.sets.len()))
        }
    }
}

fn open(filter: Json) -> Result<(String, usize), String> {
    planned(&read_all(), &filter)
}

fn sets(names: &str, count: usize) -> Result<(String, usize), String> {
    Ok((names.to_owned(), count))
}

#[test]
fn equality_on_the_fields_of_a_set_is_answered_from_it() {
    assert_eq!(open(json!({})), sets("", 1));
    assert_eq!(open(json!({ "room": ME })), sets("room", 1));
    assert_eq!(open(json!({ "room": null })), sets("room", 1));
    assert_eq!(open(json!({ "tags": "a" })), sets("tags", 1));
    assert_eq!(
        open(json!({ "state": { "$in": [1, 2, 2, 3] } })),
        sets("state", 3)
    );
    assert_eq!(open(json!({ "state": { "$in": [] } })), sets("state", 0));
    assert_eq!(open(json!({ "id": { "$in": [ME, ME] } })), sets("ids", 2));
    // What tells documents apart better is taken; the rest is held against them.
    assert_eq!(open(json!({ "state": 1, "room": ME })), sets("room", 1));
    let and_more = json!({ "$and": [{ "state": { "$gt": 0 } }, { "tags": "a" }] });
    assert_eq!(open(and_more), sets("tags", 1));
}

#[test]
fn anything_else_is_for_the_truth() {
    let many: Vec<u32> = (0..17).collect();
    for (filter, why) in [
        (json!({ "words": "x" }), "`words`"),
        (
            json!({ "room": ME, "words": { "$contains": "x" } }),
            "`words`",
        ),
        (
            json!({ "state": { "$gt": 1 } }),
            "demands a value of no field",
        ),
        (
            json!({ "$or": [{ "state": 1 }, { "room": ME }] }),
            "demands a value of no field",
        ),
        (
            json!({ "state": { "$in": many } }),
            "demands a value of no field",
        ),
        (json!({ "tags": ["a", "b"] }), "demands a value of no field"),
        (
            json!({ "room": { "$ne": ME } }),
            "demands a value of no field",
        ),
    ] {
        let refused = open(filter.clone()).unwrap_err();
        assert!(refused.contains(why), "{filter}: {refused}");
    }
}

#[test]
fn the_order_and_the_place_must_be_those_of_the_set() {
    let catalog = catalog(&read_all());
    let notes = catalog.named("notes").unwrap();
    let of = |change: fn(&mut Query, &Collection)| {
        let mut query = query(&catalog, notes, &json!({}));
        change(&mut query, notes);
        plan(&query, &View::all(), notes).map(drop)
    };
    assert_eq!(of(|_, _| {}), Ok(()));
    assert_eq!(
        of(|query, _| query.start = Start::After(vec![Value::Null, Value::Null])),
        Ok(())
    );
    assert!(of(|query, _| query.start = Start::Offset(0)).is_err());
    assert!(of(|query, notes| query.sort = notes.read_sort("created_at").unwrap()).is_err());

    // Decimals have no binary form that compares as they do.
    let priced = json!([{ "name": "priced", "order": "price", "fields": { "price": "decimal" },
        "tiers": { "cache": {} } }]);
    let priced: Vec<_> = serde_json::from_value(priced).unwrap();
    let priced = Catalog::compile(&priced, &[]).unwrap();
    let collection = priced.named("priced").unwrap();
    for filter in [json!({}), json!({ "id": ME })] {
        let query = super::tests::query(&priced, collection, &filter);
        let refused = plan(&query, &View::all(), collection).unwrap_err();
        assert!(refused.contains("no binary form"), "{refused}");
    }

    let others = catalog.named("others").unwrap();
    let query = query(&catalog, others, &json!({}));
    let refused = plan(&query, &View::all(), others).unwrap_err();
    assert_eq!(refused, "others is not cached");
}

#[test]
fn what_the_rule_demands_narrows_the_list() {
    assert_eq!(planned(&json!("owner"), &json!({})), sets("author", 1));
    assert_eq!(
        planned(&json!("owner"), &json!({ "state": 1 })),
        sets("author", 1)
    );
    let membership = json!({ "room": { "$in": {
        "$select": "members.room", "$where": { "person": "$auth.id" } } } });
    assert_eq!(
        planned(&membership, &json!({ "room": ME })),
        sets("room", 1)
    );
    // Most of all notes may be hidden from this reader, and nothing tells which.
    let refused = planned(&membership, &json!({})).unwrap_err();
    assert!(refused.contains("no set narrows it"), "{refused}");
    let or_else = json!([{ "state": 0 }, membership]);
    assert_eq!(planned(&or_else, &json!({})), sets("", 1));
}

#[test]
fn sub_queries_have_sets_of_their_own() {
    let membership = json!({ "room": { "$in": {
        "$select": "members.room", "$where": { "person": "$auth.id" } } } });
    let catalog = catalog(&membership);
    let members = catalog.named("members").unwrap();
    let cache = members.tiers.cache.as_ref().unwrap();
    assert_eq!(cache.sets, [vec![], vec![1, 2]]);
    assert!(cache.excerpts.covers(1) && cache.excerpts.covers(2));
}
