//! The schema of a collection's filters, and of what each type of field can be asked.
//!
//! Conditions on plain fields are shared by all collections; those on fields with an enumeration
//! stand in place, because they accept its names. What may hold a filter or a condition again (`$or`,
//! `$not`) is any object here: schemas that contain themselves make tools that generate requests run
//! without end.

use nubo_core::field::{Direction, Field, FieldType, allow_null};
use serde_json::{Map, Value as Json, json};

use super::{Described, schema_ref};

/// The filter of a collection.
pub(super) fn of(described: &Described<'_>) -> Map<String, Json> {
    let name = described.names.schema("Filter");
    let inner = json!({ "type": "object", "description": "A filter like this one." });
    let several = json!({ "type": "array", "items": inner, "minItems": 1 });
    let mut properties = Map::new();
    let mut patterns = Map::new();
    for field in described.collection.fields() {
        if field.is_queryable() {
            describe(&field.name, field, &mut properties, &mut patterns);
        }
    }
    for operator in ["$and", "$or", "$nor"] {
        properties.insert(operator.into(), several.clone());
    }
    properties.insert("$not".into(), inner);
    let mut filter = json!({
        "type": "object",
        "description": "Which documents: a condition for each field, all of which must hold. \
                        `{}` matches everything. Dots go into objects and json.",
        "properties": properties,
        "additionalProperties": false,
    });
    if !patterns.is_empty() {
        filter["patternProperties"] = patterns.into();
    }
    Map::from_iter([(name, filter)])
}

/// A field and, with dotted names, what is inside.
fn describe(
    name: &str,
    field: &Field,
    properties: &mut Map<String, Json>,
    patterns: &mut Map<String, Json>,
) {
    match &field.kind {
        FieldType::Object(inside) => {
            for field in inside {
                describe(
                    &format!("{name}.{}", field.name),
                    field,
                    properties,
                    patterns,
                );
            }
        }
        FieldType::Json => {
            patterns.insert(
                format!(
                    r#"^{}(\.[^$."\\\u0000][^."\\\u0000]*)+$"#,
                    name.replace('.', r"\.")
                ),
                schema_ref("JsonCondition"),
            );
        }
        _ => {}
    }
    properties.insert(name.to_owned(), of_field(field));
}

fn of_field(field: &Field) -> Json {
    let shared = schema_ref(&name(&field.kind));
    let names: Vec<&str> = field
        .limits
        .choices
        .iter()
        .filter_map(|choice| choice.name.as_deref())
        .collect();
    if names.is_empty() {
        return shared;
    }
    let mut operand = field.json_schema(Direction::Change);
    if let FieldType::List(_) = field.kind {
        operand = operand["items"].take();
    }
    let mut values = operand["enum"].take();
    if let Some(values) = values.as_array_mut() {
        values.retain(|value| !value.is_null());
        for name in names {
            if !values.iter().any(|value| value == name) {
                values.push(name.into());
            }
        }
    }
    condition(&field.kind, &json!({ "enum": values }))
}

/// The name of the shared condition on a type.
fn name(kind: &FieldType) -> String {
    match kind {
        FieldType::List(item) => name(item).replace("Condition", "ListCondition"),
        FieldType::Text => "TextCondition".into(),
        FieldType::Int => "IntegerCondition".into(),
        FieldType::BigInt => "BigIntegerCondition".into(),
        FieldType::Float => "NumberCondition".into(),
        FieldType::Decimal => "DecimalCondition".into(),
        FieldType::Bool => "BooleanCondition".into(),
        FieldType::Uuid | FieldType::Ref(_) => "IdCondition".into(),
        FieldType::Timestamp => "TimestampCondition".into(),
        FieldType::Date => "DateCondition".into(),
        FieldType::Duration => "DurationCondition".into(),
        FieldType::Json => "JsonCondition".into(),
        FieldType::Object(_) | FieldType::Password => "PresenceCondition".into(),
        FieldType::Ip => "IpCondition".into(),
        FieldType::Email => "EmailCondition".into(),
        FieldType::Url => "UrlCondition".into(),
        FieldType::Bytes => "BytesCondition".into(),
    }
}

/// Every name that a shared condition can have.
pub(super) const CONDITIONS: [&str; 31] = [
    "TextCondition",
    "TextListCondition",
    "IntegerCondition",
    "IntegerListCondition",
    "BigIntegerCondition",
    "BigIntegerListCondition",
    "NumberCondition",
    "NumberListCondition",
    "DecimalCondition",
    "DecimalListCondition",
    "BooleanCondition",
    "BooleanListCondition",
    "IdCondition",
    "IdListCondition",
    "TimestampCondition",
    "TimestampListCondition",
    "DateCondition",
    "DateListCondition",
    "DurationCondition",
    "DurationListCondition",
    "JsonCondition",
    "JsonListCondition",
    "PresenceCondition",
    "IpCondition",
    "IpListCondition",
    "EmailCondition",
    "EmailListCondition",
    "UrlCondition",
    "UrlListCondition",
    "BytesCondition",
    "BytesListCondition",
];

/// The shared conditions on the types that occur.
pub(super) fn shared(described: &[Described<'_>]) -> Map<String, Json> {
    let mut schemas = Map::new();
    for collection in described {
        for field in collection
            .collection
            .fields()
            .iter()
            .filter(|f| f.is_queryable())
        {
            share(&field.kind, &mut schemas);
        }
    }
    schemas.sort_keys();
    schemas
}

fn share(kind: &FieldType, schemas: &mut Map<String, Json>) {
    let name = name(kind);
    match kind {
        FieldType::Object(fields) => fields.iter().for_each(|field| share(&field.kind, schemas)),
        FieldType::List(item) => share(item, schemas),
        _ => {}
    }
    if schemas.contains_key(&name) {
        return;
    }
    let schema = match kind {
        FieldType::Object(_) | FieldType::Password => presence(),
        kind => condition(kind, &operand(kind)),
    };
    schemas.insert(name, schema);
}

/// What a field of this type, or one item of it, is compared with.
fn operand(kind: &FieldType) -> Json {
    match kind {
        FieldType::List(item) => operand(item),
        FieldType::Json => json!({ "type": ["string", "number", "boolean"] }),
        kind => kind.json_schema(Direction::Change),
    }
}

/// A condition: a bare value, or operators.
fn condition(kind: &FieldType, operand: &Json) -> Json {
    let mut or_null = operand.clone();
    allow_null(&mut or_null);
    let list = json!({ "type": "array", "items": or_null });
    let item = match kind {
        FieldType::List(item) => &**item,
        kind => kind,
    };
    let is_list = matches!(kind, FieldType::List(_));
    let untyped = *item == FieldType::Json;
    let whole = match is_list && !untyped {
        true => json!({ "anyOf": [or_null, { "type": "array", "items": operand }] }),
        false => or_null.clone(),
    };
    let mut operators = Map::new();
    let mut add = |names: &[&str], schema: &Json| {
        for name in names {
            operators.insert((*name).to_owned(), schema.clone());
        }
    };
    add(&["$eq", "$ne"], &whole);
    if item.is_ordered() || untyped {
        add(&["$gt", "$gte", "$lt", "$lte"], operand);
    }
    add(&["$in", "$nin"], &list);
    add(&["$exists"], &json!({ "type": "boolean" }));
    if item.is_textual() || untyped {
        let text = FieldType::Text.json_schema(Direction::Change);
        add(
            &["$startsWith", "$contains", "$istartsWith", "$icontains"],
            &text,
        );
    }
    if is_list || untyped {
        add(&["$all"], &list);
        add(
            &["$size"],
            &json!({ "type": "integer", "minimum": 0, "maximum": i32::MAX }),
        );
        add(
            &["$elemMatch"],
            &json!({
                "type": "object",
                "description": match untyped {
                    true => "Operators for one item, or a filter whose paths start at it.",
                    false => "Operators, all for the same item.",
                },
            }),
        );
    }
    add(
        &["$not"],
        &json!({ "type": "object", "description": "Operators like these." }),
    );
    json!({ "anyOf": [
        whole,
        {
            "type": "object",
            "properties": operators,
            "minProperties": 1,
            "additionalProperties": false,
        },
    ] })
}

/// All that an object can be asked as a whole.
fn presence() -> Json {
    json!({ "anyOf": [
        { "type": "null" },
        {
            "type": "object",
            "properties": {
                "$eq": { "type": "null" },
                "$ne": { "type": "null" },
                "$exists": { "type": "boolean" },
            },
            "minProperties": 1,
            "additionalProperties": false,
        },
    ] })
}
