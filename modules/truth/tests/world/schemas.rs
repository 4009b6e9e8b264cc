//! Random schemas.

use serde_json::{Map, Value as Json, json};

use super::choices::Choices;

const SCALARS: [&str; 15] = [
    "text",
    "int",
    "bigint",
    "float",
    "decimal",
    "bool",
    "uuid",
    "timestamp",
    "date",
    "duration",
    "json",
    "ip",
    "email",
    "url",
    "bytes",
];

/// Names that mean something to the database.
const AWKWARD: [&str; 9] = [
    "value", "key", "type", "path", "json", "fullkey", "select", "rowid", "j1",
];

/// Two collections: `things` with random fields, and `targets` for its references.
pub fn declarations(choices: &mut Choices<'_>) -> Json {
    let mut fields = Map::new();
    for index in 0..3 + choices.below(6) {
        let name = match choices.once_in(3) {
            true => (*choices.pick(&AWKWARD)).to_owned(),
            false => format!("f{index}"),
        };
        fields.insert(name, field(choices, 2, true));
    }
    json!([
        { "name": "things", "fields": fields },
        { "name": "targets", "fields": { "name": "text" } },
    ])
}

fn field(choices: &mut Choices<'_>, depth: usize, outside: bool) -> Json {
    let mut field = Map::new();
    match choices.below(20) {
        0..=1 if depth > 0 => {
            field.insert("type".into(), "object".into());
            let inner: Map<String, Json> = (0..1 + choices.below(3))
                .map(|index| (format!("i{index}"), self::field(choices, depth - 1, false)))
                .collect();
            field.insert("fields".into(), inner.into());
        }
        2..=3 => {
            field.insert("type".into(), "json".into());
        }
        4 if outside => {
            let kind = if choices.once_in(2) { "ref[]" } else { "ref" };
            field.insert("type".into(), kind.into());
            field.insert("to".into(), "targets".into());
        }
        5..=10 => {
            let item = choices.pick(&SCALARS);
            field.insert("type".into(), format!("{item}[]").into());
        }
        _ => {
            field.insert("type".into(), (*choices.pick(&SCALARS)).into());
        }
    }
    if choices.once_in(4) {
        field.insert("required".into(), true.into());
    }
    field.into()
}
