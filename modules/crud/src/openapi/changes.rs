//! The schemas of changes: a JSON merge patch, or operators.

use nubo_core::field::{Direction, Field, FieldType};
use serde_json::{Map, Value as Json, json};

use super::{Described, schema_ref};

/// The body of PATCH, and its two kinds.
pub(super) fn of(described: &Described<'_>) -> Map<String, Json> {
    let names = described.names;
    let one = &described.collection.singular;
    let update = json!({
        "description": format!("What to change of a {one}: fields, or operators; never both."),
        "anyOf": [
            schema_ref(&names.schema("Merge")),
            schema_ref(&names.schema("Operators")),
        ],
    });
    Map::from_iter([
        (names.schema("Update"), update),
        (names.schema("Merge"), described.documents().merge_patch()),
        (names.schema("Operators"), operators(described)),
    ])
}

/// A place in a document that a client may change.
struct Place<'a> {
    /// `privacy.posts`
    path: String,
    field: &'a Field,
    schema: Json,
}

impl Place<'_> {
    fn kind(&self) -> &FieldType {
        &self.field.kind
    }
}

fn operators(described: &Described<'_>) -> Json {
    let mut places = Vec::new();
    let documents = described.documents();
    for (index, field) in described.collection.declared_fields() {
        if field.is_accepted() && !field.immutable {
            let schema = documents.field(index, field, Direction::Change);
            collect(field.name.clone(), field, schema, &mut places);
        }
    }
    let any = |_: &Place<'_>| true;
    let numeric = |place: &Place<'_>| {
        place.kind().is_numeric() || matches!(place.kind(), FieldType::Duration)
    };
    let moment = |place: &Place<'_>| matches!(place.kind(), FieldType::Timestamp | FieldType::Date);
    let ordered = |place: &Place<'_>| place.kind().is_ordered();
    let list = |place: &Place<'_>| matches!(place.kind(), FieldType::List(_));
    let optional = |place: &Place<'_>| !place.field.required;
    let json_value = json!({});
    let number = json!({ "type": "number" });
    let flag = json!({ "const": true });

    let operators = [
        (
            "$set",
            "Gives fields a value.",
            group(&places, any, set, &json_value),
        ),
        (
            "$unset",
            "Takes the value of fields away.",
            group(&places, optional, |_| flag.clone(), &flag),
        ),
        (
            "$inc",
            "Adds; nothing counts as zero.",
            group(&places, numeric, amount, &number),
        ),
        (
            "$mul",
            "Multiplies; nothing counts as zero.",
            group(&places, |p| p.kind().is_numeric(), amount, &number),
        ),
        (
            "$min",
            "Replaces a value that is greater.",
            group(&places, ordered, bound, &number),
        ),
        (
            "$max",
            "Replaces a value that is smaller.",
            group(&places, ordered, bound, &number),
        ),
        (
            "$push",
            "Adds an item to a list, or several with `$each`.",
            group(&places, list, items, &json_value),
        ),
        (
            "$addToSet",
            "The same for items that are not there yet.",
            group(&places, list, items, &json_value),
        ),
        (
            "$pull",
            "Removes the items that are this value or pass this condition.",
            group(&places, list, condition, &json_value),
        ),
        (
            "$currentDate",
            "Gives fields the present.",
            group(&places, moment, |_| flag.clone(), &Json::Null),
        ),
    ];
    let properties: Map<String, Json> = operators
        .into_iter()
        .filter_map(|(name, description, group)| {
            let mut schema = group?;
            schema["description"] = description.into();
            Some((name.to_owned(), schema))
        })
        .collect();
    json!({
        "type": "object",
        "description": "Operators, executed in one step where the document is. Dots go into \
                        objects and json.",
        "properties": properties,
        "minProperties": 1,
        "additionalProperties": false,
    })
}

fn collect<'a>(path: String, field: &'a Field, schema: Json, places: &mut Vec<Place<'a>>) {
    if let FieldType::Object(inside) = &field.kind {
        for inner in inside {
            let schema = inner.json_schema(Direction::Change);
            collect(format!("{path}.{}", inner.name), inner, schema, places);
        }
    }
    places.push(Place {
        path,
        field,
        schema,
    });
}

/// What an operator says of the places that it is for; none where there is no such place. `inside`
/// is what it says of paths into json, null where it is not for those.
fn group(
    places: &[Place<'_>],
    wanted: impl Fn(&Place<'_>) -> bool,
    value: impl Fn(&Place<'_>) -> Json,
    inside: &Json,
) -> Option<Json> {
    let properties: Map<String, Json> = places
        .iter()
        .filter(|place| wanted(place))
        .map(|place| (place.path.clone(), value(place)))
        .collect();
    let patterns: Map<String, Json> = places
        .iter()
        .filter(|place| *place.kind() == FieldType::Json && !inside.is_null())
        .map(|place| {
            let pattern = format!(r"^{}(\.[^.\u0000]+)+$", place.path.replace('.', r"\."));
            (pattern, inside.clone())
        })
        .collect();
    if properties.is_empty() && patterns.is_empty() {
        return None;
    }
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !patterns.is_empty() {
        schema["patternProperties"] = patterns.into();
    }
    Some(schema)
}

fn set(place: &Place<'_>) -> Json {
    place.schema.clone()
}

/// The amount may lie outside the field's limits; the result is checked.
fn amount(place: &Place<'_>) -> Json {
    match place.kind() {
        FieldType::Int => FieldType::BigInt.json_schema(Direction::Change),
        kind => kind.json_schema(Direction::Change),
    }
}

fn bound(place: &Place<'_>) -> Json {
    let mut field = place.field.clone();
    field.required = true;
    field.json_schema(Direction::Change)
}

fn items(place: &Place<'_>) -> Json {
    let item = item(place);
    json!({ "anyOf": [
        item,
        {
            "type": "object",
            "properties": { "$each": { "type": "array", "items": item } },
            "required": ["$each"],
            "additionalProperties": false,
        },
    ] })
}

fn condition(place: &Place<'_>) -> Json {
    json!({ "anyOf": [item(place), { "type": "object", "minProperties": 1 }] })
}

fn item(place: &Place<'_>) -> Json {
    match place.schema.get("items") {
        Some(items) => items.clone(),
        None => json!({}),
    }
}
