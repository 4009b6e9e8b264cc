//! Random filters of the complete language, in the JSON that clients send. All of them are legal.

use nubo_core::{
    field::{Field, FieldType},
    schema::Collection,
};
use serde_json::{Map, Value as Json, json};

use super::{
    choices::Choices,
    documents::{askable_key, json_scalar, text, value},
};

/// A filter on the documents of a collection.
pub fn filter(choices: &mut Choices<'_>, collection: &Collection) -> Json {
    // `_rev` comes last and depends on the clock; the others are all asked for.
    let fields: Vec<&Field> = collection.fields().iter().collect();
    filter_by(choices, &fields)
}

/// The same by some fields alone.
pub fn filter_by(choices: &mut Choices<'_>, fields: &[&Field]) -> Json {
    level(choices, 2, &mut |choices| {
        let field = *choices.pick(fields);
        let (path, kind) = path(choices, field);
        (path, condition(choices, &kind, 2))
    })
}

/// A sort order as clients write it.
pub fn sort(choices: &mut Choices<'_>, collection: &Collection) -> String {
    let ordered: Vec<&Field> = collection
        .fields()
        .iter()
        .filter(|field| field.kind.is_ordered() && field.is_queryable())
        .collect();
    sort_by(choices, &ordered)
}

/// The same by some fields alone.
pub fn sort_by(choices: &mut Choices<'_>, ordered: &[&Field]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for _ in 0..1 + choices.below(3) {
        let name = choices.pick(ordered).name.as_str();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let keys: Vec<String> = names
        .into_iter()
        .map(|name| match choices.once_in(2) {
            true => format!("-{name}"),
            false => name.to_owned(),
        })
        .collect();
    keys.join(",")
}

/// Entries of one level: conditions, and logic over deeper levels.
fn level(
    choices: &mut Choices<'_>,
    depth: usize,
    entry: &mut dyn FnMut(&mut Choices<'_>) -> (String, Json),
) -> Json {
    let mut entries = Map::new();
    for _ in 0..1 + choices.below(2) {
        match choices.below(if depth > 0 { 10 } else { 6 }) {
            0..=5 => {
                let (path, condition) = entry(choices);
                entries.insert(path, condition);
            }
            6 => {
                let inner = level(choices, depth - 1, entry);
                entries.insert("$not".into(), inner);
            }
            logic => {
                let key = ["$and", "$or", "$nor"][logic - 7];
                let parts: Vec<Json> = (0..1 + choices.below(3))
                    .map(|_| level(choices, depth - 1, entry))
                    .collect();
                entries.insert(key.into(), parts.into());
            }
        }
    }
    entries.into()
}

/// The way to a value in a field, and its type.
fn path(choices: &mut Choices<'_>, field: &Field) -> (String, FieldType) {
    let mut path = field.name.clone();
    let mut kind = &field.kind;
    while let FieldType::Object(fields) = kind {
        if choices.once_in(5) {
            break;
        }
        let inner = choices.pick(fields);
        path.push('.');
        path.push_str(&inner.name);
        kind = &inner.kind;
    }
    if *kind == FieldType::Json {
        for _ in 0..choices.below(3) {
            path.push('.');
            path.push_str(askable_key(choices));
        }
    }
    (path, kind.clone())
}

/// A bare value, or one or two operators.
fn condition(choices: &mut Choices<'_>, kind: &FieldType, depth: usize) -> Json {
    if choices.once_in(5) {
        return match kind {
            FieldType::Object(_) => Json::Null,
            _ => bare(choices, kind),
        };
    }
    operators(choices, kind, depth)
}

fn operators(choices: &mut Choices<'_>, kind: &FieldType, depth: usize) -> Json {
    let mut entries = Map::new();
    for _ in 0..1 + usize::from(choices.once_in(4)) {
        let (name, operand) = operator(choices, kind, depth);
        entries.insert(name.into(), operand);
    }
    entries.into()
}

fn bare(choices: &mut Choices<'_>, kind: &FieldType) -> Json {
    if choices.once_in(6) {
        return Json::Null;
    }
    match kind {
        FieldType::List(item) if **item != FieldType::Json && choices.once_in(3) => {
            value(choices, kind)
        }
        _ => one(choices, kind),
    }
}

/// One operand for values of this type.
fn one(choices: &mut Choices<'_>, kind: &FieldType) -> Json {
    match kind {
        FieldType::List(item) => one(choices, item),
        FieldType::Json => json_scalar(choices),
        kind => value(choices, kind),
    }
}

fn one_or_null(choices: &mut Choices<'_>, kind: &FieldType) -> Json {
    match choices.once_in(6) {
        true => Json::Null,
        false => one(choices, kind),
    }
}

fn one_present(choices: &mut Choices<'_>, kind: &FieldType) -> Json {
    match one(choices, kind) {
        Json::Null => json!(1),
        operand => operand,
    }
}

fn operator(choices: &mut Choices<'_>, kind: &FieldType, depth: usize) -> (&'static str, Json) {
    let item = match kind {
        FieldType::List(item) => item,
        kind => kind,
    };
    let is_object = matches!(kind, FieldType::Object(_));
    let mut names = vec!["$exists"];
    if depth > 0 {
        names.push("$not");
    }
    names.extend(["$eq", "$ne", "$in", "$nin"]);
    if item.is_ordered() || *item == FieldType::Json {
        names.extend(["$gt", "$gte", "$lt", "$lte"]);
    }
    if item.is_textual() || *item == FieldType::Json {
        names.extend(["$startsWith", "$contains", "$istartsWith", "$icontains"]);
    }
    if matches!(kind, FieldType::List(_) | FieldType::Json) {
        names.extend(["$all", "$size"]);
        if depth > 0 {
            names.extend(["$elemMatch", "$elemMatch"]);
        }
    }
    let name = *choices.pick(&names);
    let operand = match name {
        "$exists" => json!(choices.once_in(2)),
        "$not" => operators(choices, kind, depth - 1),
        "$eq" | "$ne" if is_object => Json::Null,
        "$eq" | "$ne" => bare(choices, kind),
        "$in" | "$nin" if is_object => choices.several(1, |_| Json::Null).into(),
        "$in" | "$nin" => choices
            .several(3, |choices| one_or_null(choices, kind))
            .into(),
        "$all" => choices
            .several(2, |choices| one_or_null(choices, kind))
            .into(),
        "$size" => json!(choices.below(4)),
        "$elemMatch" if *item == FieldType::Json && choices.once_in(2) => {
            level(choices, 1, &mut |choices| {
                let mut path = askable_key(choices).to_owned();
                if choices.once_in(4) {
                    path.push('.');
                    path.push_str(askable_key(choices));
                }
                (path, condition(choices, &FieldType::Json, depth - 1))
            })
        }
        "$elemMatch" => loop {
            let inner = operators(choices, item, depth - 1);
            // On json `$not` at the front would be one of whole filters.
            let first = inner.as_object().and_then(|inner| inner.keys().next());
            if first.is_some_and(|first| first != "$not") {
                break inner;
            }
        },
        "$gt" | "$gte" | "$lt" | "$lte" => one_present(choices, kind),
        _ => json!(text(choices)),
    };
    (name, operand)
}
