//! The mapping: how the columns of a foreign file become the fields of a collection.
//!
//! [`Mapping`] is what people write and what editors are told by its JSON Schema; [`Plan`] is what
//! is left when every name has been checked against the collection.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use nubo_core::{
    Violation,
    field::{Field, FieldType},
    nearest,
    schema::Collection,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::{convert::Conversion, key::Key, moment::Pattern};
use crate::config::{
    Place, Problem, problem,
    typed::{self, Typed},
};

/// How many different columns are remembered to find the one that was meant.
const MAX_COLUMNS: usize = 1000;

/// How the columns of a file become the fields of a collection.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mapping {
    /// The fields that tell rows apart. A document's id is made from them, so that the same row
    /// imported twice is the same document. Null counts as a value.
    key: Vec<String>,
    /// The fields and where their values come from. Columns that are not mentioned are left out.
    fields: BTreeMap<String, Origin>,
}

/// Where the values of a field come from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Origin {
    /// The column.
    Column(String),
    /// The column, and how its values are written there.
    Converted(Converted),
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Converted {
    /// The column; the field's own name if not said.
    from: Option<String>,
    /// What values are turned into first.
    #[serde(rename = "as")]
    to: Option<Cast>,
    /// How dates are written in the column, in the letters of strftime, for example `%b %d %Y` for
    /// `Jun 12 1998`.
    date: Option<String>,
    /// How points in time are written in the column, in the letters of strftime, for example
    /// `%d.%m.%Y %H:%M`. In UTC, unless `%z` says otherwise.
    timestamp: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Cast {
    /// Numbers and booleans become text.
    Text,
    /// Text that is a number becomes one; empty text becomes null.
    Number,
    /// `true`, `yes`, `1` and `false`, `no`, `0` become booleans; empty text becomes null.
    Bool,
}

/// How rows become documents, every name checked.
#[derive(Debug, Default)]
pub struct Plan {
    /// Without a mapping, keys are the names of fields.
    columns: Option<Columns>,
    pub key: Option<Key>,
}

#[derive(Debug)]
struct Columns {
    taken: Vec<Column>,
    /// Columns of the file, for suggestions.
    seen: BTreeSet<String>,
}

#[derive(Debug)]
struct Column {
    field: String,
    from: String,
    conversion: Conversion,
    /// Where the mapping names the column.
    place: Place,
    /// Whether any row had it.
    found: bool,
}

impl Plan {
    /// The plan that a mapping file describes.
    ///
    /// # Errors
    /// Everything that is wrong with the file.
    pub fn read(path: &Path, collection: &Collection) -> Result<Self, Vec<Problem>> {
        let mut file: Typed<Mapping> = typed::read(path)?;
        let key = read_key(&mut file, collection);
        let mut taken = Vec::new();
        let fields = std::mem::take(&mut file.value.fields);
        for (field, origin) in fields {
            taken.extend(column(&mut file, collection, field, origin));
        }
        file.finish()?;
        Ok(Self {
            columns: Some(Columns {
                taken,
                seen: BTreeSet::new(),
            }),
            key,
        })
    }

    /// What a row says, under the names of fields.
    ///
    /// # Errors
    /// The values that cannot be converted.
    pub fn fields_of(
        &mut self,
        row: Json,
        collection: &Collection,
    ) -> Result<Json, Vec<Violation>> {
        let mut row = match row {
            Json::Object(row) => row,
            // Whoever reads the document says what is wrong.
            other => return Ok(other),
        };
        let Some(columns) = &mut self.columns else {
            for given in given_by_the_server(collection) {
                row.shift_remove(given);
            }
            return Ok(Json::Object(row));
        };
        if columns.seen.len() < MAX_COLUMNS {
            let new = row.keys().filter(|name| !columns.seen.contains(*name));
            let new: Vec<_> = new.cloned().collect();
            columns.seen.extend(new);
        }
        let mut fields = Map::new();
        let mut violations = Vec::new();
        for column in &mut columns.taken {
            // Two fields may come from one column.
            let Some(value) = row.get(&column.from) else {
                continue;
            };
            column.found = true;
            match column.conversion.apply(value) {
                Ok(value) => {
                    fields.insert(column.field.clone(), value);
                }
                Err(message) => violations.push(Violation::new(
                    format!("/{}", column.field),
                    "unreadable",
                    message,
                )),
            }
        }
        if violations.is_empty() {
            Ok(Json::Object(fields))
        } else {
            Err(violations)
        }
    }

    /// The columns that no row had: more likely misspelt than empty throughout.
    pub fn unseen_columns(&self) -> Vec<Problem> {
        let Some(columns) = self
            .columns
            .as_ref()
            .filter(|columns| !columns.seen.is_empty())
        else {
            return Vec::new();
        };
        let unseen = columns.taken.iter().filter(|column| !column.found);
        let warning = |column: &Column| {
            let message = format!("no row has a column `{}`", column.from);
            let seen = columns.seen.iter().map(String::as_str);
            let nearest = nearest(&column.from, seen).map(str::to_owned);
            Problem::warning(column.place.clone(), message).suggesting(nearest)
        };
        let mut warnings = unseen.map(warning).collect();
        problem::sort(&mut warnings);
        warnings
    }
}

/// The names of what only the server can say; exports carry them.
fn given_by_the_server(collection: &Collection) -> [&str; 3] {
    let fields = collection.fields();
    [
        collection.created_at(),
        collection.updated_at(),
        collection.revision(),
    ]
    .map(|index| fields[index].name.as_str())
}

/// The names a mapping may have for its fields.
fn targets(collection: &Collection) -> impl Iterator<Item = &str> {
    let id = &collection.fields()[Collection::ID];
    let declared = collection.declared_fields().map(|(_, field)| field);
    std::iter::once(id)
        .chain(declared.filter(|field| field.is_accepted()))
        .map(|field| field.name.as_str())
}

fn read_key(file: &mut Typed<Mapping>, collection: &Collection) -> Option<Key> {
    let mut fields = Vec::new();
    for (index, name) in file.value.key.clone().iter().enumerate() {
        let keys = ["key", &index.to_string()];
        match Key::field(collection, name) {
            Ok(field) => fields.push(field),
            Err(message) => file.unknown_word(&keys, Some(name), message, targets(collection)),
        }
    }
    Key::new(fields)
}

/// One field of the mapping; none if it is wrong.
fn column(
    file: &mut Typed<Mapping>,
    collection: &Collection,
    name: String,
    origin: Origin,
) -> Option<Column> {
    let known = collection.field_named(&name).map(|(_, field)| field);
    let field = match known {
        Some(field) if targets(collection).any(|target| target == name) => field,
        Some(field) if field.system => {
            file.unknown_word(
                &["fields", &name],
                None,
                format!("`{name}` is given by the server"),
                [],
            );
            return None;
        }
        _ => {
            let message = format!("unknown field `{name}` in {}", collection.name);
            file.unknown_word(&["fields", &name], None, message, targets(collection));
            return None;
        }
    };
    let (from, converted, place) = match origin {
        Origin::Column(from) => (
            Some(from),
            Converted::default(),
            file.place(&["fields", &name]),
        ),
        Origin::Converted(mut converted) => {
            let place = file.place(&["fields", &name, "from"]);
            (converted.from.take(), converted, place)
        }
    };
    let conversion = conversion(file, field, converted)?;
    Some(Column {
        from: from.unwrap_or_else(|| name.clone()),
        field: name,
        conversion,
        place,
        found: false,
    })
}

fn conversion(
    file: &mut Typed<Mapping>,
    field: &Field,
    converted: Converted,
) -> Option<Conversion> {
    let name = field.name.as_str();
    let mut pattern = |option: &str, text: &str, meant: FieldType| {
        let keys = ["fields", name, option];
        let fits = [meant, FieldType::Text, FieldType::Json].contains(&field.kind);
        match Pattern::parse(text) {
            Ok(pattern) if fits => Some(pattern),
            Ok(_) => {
                let kind = field.kind.word();
                file.wrong_value(
                    &keys,
                    format!("`{name}` is of the type {kind}, which takes no {option}"),
                );
                None
            }
            Err(message) => {
                file.wrong_value(&keys, message);
                None
            }
        }
    };
    match (converted.to, converted.date, converted.timestamp) {
        (None, None, None) => Some(Conversion::None),
        (Some(Cast::Text), None, None) => Some(Conversion::Text),
        (Some(Cast::Number), None, None) => Some(Conversion::Number),
        (Some(Cast::Bool), None, None) => Some(Conversion::Bool),
        (None, Some(text), None) => pattern("date", &text, FieldType::Date).map(Conversion::Date),
        (None, None, Some(text)) => {
            pattern("timestamp", &text, FieldType::Timestamp).map(Conversion::Timestamp)
        }
        _ => {
            let message = "one of `as`, `date` and `timestamp` can be said of a column";
            file.wrong_value(&["fields", name], message);
            None
        }
    }
}

#[cfg(test)]
#[path = "mapping_test.rs"]
mod tests;
