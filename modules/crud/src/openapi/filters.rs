//! The schema of a collection's filters, and of what each type of field can be asked.
//!
//! Conditions on plain fields are shared by all collections; those on fields with an enumeration
//! stand in place, because they accept its names.

use nubo_core::field::{Direction, Field, FieldType, allow_null};
use serde_json::{Map, Value as Json, json};

use super::{Described, schema_ref};

/// Most values of `$in`, `$nin` and `$all`.
const MAX_LIST: u32 = 1000;

/// The filter of a collection.
pub(super) fn of(described: &Described<'_>) -> Map<String, Json> {
    let name = described.names.schema("Filter");
    let itself = schema_ref(&name);
    let several = json!({ "type": "array", "items": itself, "minItems": 1 });
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
    properties.insert("$not".into(), itself);
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
    condition(&field.kind, &json!({ "enum": values }), &shared)
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
pub(super) const CONDITIONS: [&str; 32] = [
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
    "JsonItemFilter",
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
        FieldType::Json => {
            schemas
                .entry("JsonItemFilter")
                .or_insert_with(json_item_filter);
        }
        _ => {}
    }
    if schemas.contains_key(&name) {
        return;
    }
    let itself = schema_ref(&name);
    let schema = match kind {
        FieldType::Object(_) | FieldType::Password => presence(),
        kind => condition(kind, &operand(kind), &itself),
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

/// A condition: a bare value, or operators. `itself` is a condition that `$not` can negate.
fn condition(kind: &FieldType, operand: &Json, itself: &Json) -> Json {
    let mut or_null = operand.clone();
    allow_null(&mut or_null);
    let list = json!({ "type": "array", "items": or_null, "maxItems": MAX_LIST });
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
    let negated = |schema: &Json| {
        let mut schema = schema.clone();
        // Operators only, no bare value.
        schema["type"] = "object".into();
        schema
    };
    if is_list || untyped {
        add(&["$all"], &list);
        add(
            &["$size"],
            &json!({ "type": "integer", "minimum": 0, "maximum": i32::MAX }),
        );
        let inner = match untyped {
            true => json!({ "anyOf": [negated(itself), schema_ref("JsonItemFilter")] }),
            false => negated(&schema_ref(&name(item))),
        };
        add(&["$elemMatch"], &inner);
    }
    add(&["$not"], &negated(itself));
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

/// A filter on an object inside a list inside json, where any key may be.
fn json_item_filter() -> Json {
    json!({
        "type": "object",
        "description": "A filter on the items of a list in json; its paths start at the item.",
        "propertyNames": { "pattern": r#"^[^$."\\\u0000][^."\\\u0000]*(\.[^$."\\\u0000][^."\\\u0000]*)*$"# },
        "additionalProperties": schema_ref("JsonCondition"),
        "minProperties": 1,
    })
}
