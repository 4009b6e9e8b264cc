//! Random rules, things that they guard, and documents that they look up. There are few different
//! values, so that they meet.

use proptest::{prelude::*, sample::select};
use serde_json::{Value as Json, json};

/// How many documents there are at most that rules look up.
pub const STORED: usize = 5;
pub const PEOPLE: [&str; 3] = [
    "00000000-0000-7000-8000-00000000000a",
    "00000000-0000-7000-8000-00000000000b",
    "00000000-0000-7000-8000-00000000000c",
];
pub const ROOMS: [&str; 2] = [
    "00000000-0000-7000-8000-000000000001",
    "00000000-0000-7000-8000-000000000002",
];
pub const CITIES: [&str; 2] = ["Rome", "Oslo"];

fn person() -> impl Strategy<Value = Json> {
    select(&PEOPLE[..]).prop_map(Json::from)
}

fn room() -> impl Strategy<Value = Json> {
    select(&ROOMS[..]).prop_map(Json::from)
}

fn city() -> impl Strategy<Value = Json> {
    select(&CITIES[..]).prop_map(Json::from)
}

fn number() -> impl Strategy<Value = Json> {
    (0..4).prop_map(Json::from)
}

fn or_null(value: impl Strategy<Value = Json> + 'static) -> impl Strategy<Value = Json> {
    prop_oneof![1 => Just(Json::Null), 4 => value]
}

fn several(value: impl Strategy<Value = Json> + 'static) -> impl Strategy<Value = Json> {
    prop::collection::vec(value, 0..3).prop_map(Json::from)
}

/// A document that a rule guards.
pub fn thing() -> impl Strategy<Value = Json> {
    let values = (
        or_null(person()),
        or_null(several(person())),
        or_null(room()),
        or_null(number()),
        or_null(city()),
        or_null(several(city())),
        prop_oneof![
            Just(Json::Null),
            city().prop_map(|city| json!({ "city": city })),
            several(city()).prop_map(|cities| json!({ "city": cities })),
            person().prop_map(|person| json!({ "who": person })),
        ],
        or_null(number()),
    );
    values.prop_map(
        |(owner, people, room, number, city, cities, meta, weight)| {
            json!({ "owner_id": owner, "people": people, "room_id": room, "number": number,
            "city": city, "cities": cities, "meta": meta, "weight": weight })
        },
    )
}

/// A document that rules look up: of `members`, or with a `link` of `links`.
pub fn stored() -> impl Strategy<Value = Json> {
    let member = (
        or_null(room()),
        or_null(several(room())),
        or_null(person()),
        or_null(several(person())),
        or_null(number()),
        or_null(city()),
        or_null(number()),
    );
    let member = member.prop_map(|(room, rooms, user, people, level, city, weight)| {
        json!({ "room_id": room, "rooms": rooms, "user_id": user, "people": people,
            "level": level, "city": city, "weight": weight })
    });
    let link = (or_null(number()), or_null(person()));
    let link = link.prop_map(|(level, user)| json!({ "link": level, "user_id": user }));
    prop_oneof![3 => member, 1 => link]
}

/// Any rule.
pub fn rule() -> impl Strategy<Value = Json> {
    let one = prop_oneof![
        1 => select(&["public", "authenticated", "owner", "none", "role:editor"][..])
            .prop_map(Json::from),
        6 => filter(),
    ];
    // `public` and `none` stand alone.
    let listed = prop_oneof![
        select(&["owner", "role:editor", "role:admin"][..]).prop_map(Json::from),
        filter(),
        filter(),
    ];
    prop_oneof![
        3 => one,
        1 => prop::collection::vec(listed, 2..4).prop_map(Json::from),
    ]
}

fn filter() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![2 => test(), 3 => sub_query()];
    nested(leaf)
}

fn nested(leaf: impl Strategy<Value = Json> + 'static) -> impl Strategy<Value = Json> {
    leaf.prop_recursive(3, 12, 3, |inner| {
        let list = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            (select(&["$and", "$or", "$nor"][..]), list)
                .prop_map(|(word, parts)| json!({ word: parts })),
            inner.prop_map(|part| json!({ "$not": part })),
        ]
    })
}

/// A test of a thing, with and without the caller.
fn test() -> impl Strategy<Value = Json> {
    let fixed = prop_oneof![
        number().prop_map(|number| json!({ "number": { "$gte": number } })),
        or_null(number()).prop_map(|number| json!({ "number": number })),
        or_null(city()).prop_map(|city| json!({ "cities": { "$ne": city } })),
        Just(json!({ "people": { "$size": 1 } })),
    ];
    let of_caller = vec![
        json!({ "owner_id": "$auth.id" }),
        json!({ "owner_id": { "$ne": "$auth.id" } }),
        json!({ "owner_id": { "$in": ["$auth.id", PEOPLE[2]] } }),
        json!({ "owner_id": { "$nin": ["$auth.id", null] } }),
        json!({ "people": "$auth.id" }),
        json!({ "people": { "$ne": "$auth.id" } }),
        json!({ "people": { "$all": ["$auth.id", PEOPLE[1]] } }),
        json!({ "people": { "$elemMatch": { "$eq": "$auth.id" } } }),
        json!({ "city": "$auth.city" }),
        json!({ "cities": { "$nin": ["$auth.city"] } }),
        json!({ "number": { "$lte": "$auth.level" } }),
        json!({ "meta.city": "$auth.city" }),
        json!({ "meta.who": "$auth.id" }),
        json!({ "created_at": { "$lte": "$now" } }),
    ];
    prop_oneof![1 => fixed, 2 => select(of_caller)]
}

/// What is found elsewhere.
fn sub_query() -> impl Strategy<Value = Json> {
    let pairs = vec![
        ("room_id", "room_id"),
        ("room_id", "rooms"),
        ("owner_id", "user_id"),
        ("people", "user_id"),
        ("people", "people"),
        ("number", "level"),
        ("city", "city"),
        ("cities", "city"),
        // Whoever looks these up must be asked for one by one.
        ("weight", "weight"),
    ];
    let which = prop_oneof![
        3 => nested(condition()),
        3 => select(vec![json!({ "user_id": "$auth.id" }), json!({ "people": "$auth.id" })]),
        2 => (select(vec![json!({ "user_id": "$auth.id" })]), condition())
            .prop_map(|(caller, other)| json!({ "$and": [caller, other] })),
    ];
    (select(pairs), any::<bool>(), which).prop_map(|((field, selected), found, condition)| {
        let word = if found { "$in" } else { "$nin" };
        let query = json!({ "$select": format!("members.{selected}"), "$where": condition });
        json!({ field: { word: query } })
    })
}

/// Which members.
fn condition() -> impl Strategy<Value = Json> {
    let links = json!({ "$select": "links.link", "$where": { "user_id": "$auth.id" } });
    let all = vec![
        json!({ "user_id": "$auth.id" }),
        json!({ "user_id": { "$ne": "$auth.id" } }),
        json!({ "people": "$auth.id" }),
        json!({ "level": { "$gte": 2 } }),
        json!({ "level": null }),
        json!({ "level": { "$lte": "$auth.level" } }),
        json!({ "city": "$auth.city" }),
        json!({ "level": { "$in": links } }),
        json!({ "level": { "$nin": links } }),
    ];
    select(all)
}
