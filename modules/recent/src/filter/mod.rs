//! Filters as MongoDB's own. The meaning is that of `core::filter`.
//!
//! The two languages look alike and differ where it matters, so every test is written out as what
//! means the same:
//!
//! * What was declared (scalars, lists of them, objects on the way) becomes the language of `find`,
//!   which indexes answer. There, null is what has no value; comparisons keep to one kind of value;
//!   a list passes if an item does. All of that is as it is here.
//! * What stands in untyped json, and what `$elemMatch` asks of items, becomes an
//!   [expression](mod@expression): there a dotted path of `find` would go through lists and take
//!   `a.0` for a place in one, `$elemMatch` would pass over items that are no objects, and null in a
//!   list would count as none.
//!
//! Sub-queries cannot be asked here: their documents may be elsewhere.

mod expression;
#[cfg(test)]
mod tests;
mod text;

use mongodb::bson::{Bson, Document, doc};
use nubo_core::{
    field::{Field, FieldType},
    filter::{Comparison, Expr, Path, Root, Test},
    schema::Collection,
    value::Value,
};

use crate::stored;

/// Why MongoDB cannot be asked. The truth can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unanswerable {
    /// The filter asks for other documents.
    #[error("the filter looks other documents up")]
    SubQuery,
}

/// A filter on the documents of a collection.
pub(crate) fn document(expr: &Expr, collection: &Collection) -> Result<Document, Unanswerable> {
    let all = |parts: &[Expr]| -> Result<Vec<Document>, Unanswerable> {
        parts
            .iter()
            .map(|part| document(part, collection))
            .collect()
    };
    Ok(match expr {
        Expr::All(parts) if parts.is_empty() => doc! {},
        Expr::Any(parts) if parts.is_empty() => never(),
        Expr::All(parts) | Expr::Any(parts) if parts.len() == 1 => document(&parts[0], collection)?,
        Expr::All(parts) => doc! { "$and": all(parts)? },
        Expr::Any(parts) => doc! { "$or": all(parts)? },
        Expr::Not(part) => doc! { "$nor": [document(part, collection)?] },
        Expr::Test { path, test } => Place::of(path, collection).passes(test)?,
    })
}

/// What no document passes; MongoDB knows it for that and looks at none.
pub(crate) fn never() -> Document {
    doc! { stored::ID: { "$in": [] } }
}

/// What the field at this path is compared with, and how.
pub(crate) fn compare(name: &str, comparison: Comparison, value: &Value) -> Document {
    doc! { name: { symbol(comparison): stored::bson(value) } }
}

const fn symbol(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Less => "$lt",
        Comparison::LessOrEqual => "$lte",
        Comparison::Greater => "$gt",
        Comparison::GreaterOrEqual => "$gte",
    }
}

/// Where a path leads.
struct Place<'a> {
    /// The way through what was declared, with dots.
    name: String,
    /// What was declared there.
    kind: &'a FieldType,
    /// The way on from there, inside untyped json.
    keys: &'a [String],
}

impl<'a> Place<'a> {
    /// Paths that start at an item are met in expressions alone.
    fn of(path: &'a Path, collection: &'a Collection) -> Self {
        let index = match path.root {
            Root::Field(index) => index,
            Root::Item => Collection::ID,
        };
        let mut place = Self {
            name: stored::name(collection, index).to_owned(),
            kind: &collection.fields()[index].kind,
            keys: &path.segments,
        };
        while let (FieldType::Object(fields), Some((key, rest))) =
            (place.kind, place.keys.split_first())
        {
            let Some(field) = named(fields, key) else {
                break;
            };
            place.name.push('.');
            place.name.push_str(key);
            place.kind = &field.kind;
            place.keys = rest;
        }
        place
    }

    fn passes(&self, test: &Test) -> Result<Document, Unanswerable> {
        let name = &self.name;
        let is = |condition: Bson| doc! { name: condition };
        let of_items = matches!(test, Test::ElemMatch(_));
        if *self.kind == FieldType::Json || of_items {
            let value = expression::inside(format!("${name}").into(), self.keys);
            return Ok(doc! { "$expr": expression::test(value, test, 0)? });
        }
        let is_list = matches!(self.kind, FieldType::List(_));
        Ok(match test {
            Test::Equal(Value::Null) => is(Bson::Null),
            Test::Equal(value) => is(doc! { "$eq": stored::bson(value) }.into()),
            Test::In(values) => is(doc! { "$in": bsons(values) }.into()),
            Test::Exists => is(doc! { "$ne": Bson::Null }.into()),
            Test::Compare(comparison, value) => compare(name, *comparison, value),
            Test::Text(how, Value::Text(wanted)) => {
                is(doc! { "$regex": text::pattern(*how, wanted) }.into())
            }
            Test::Size(size) if is_list => match i32::try_from(*size) {
                Ok(size) => is(doc! { "$size": size }.into()),
                // No list has so many items.
                Err(_) => never(),
            },
            // Null is no item of a list.
            Test::HasAll(values) if is_list && is_asked(values) => {
                is(doc! { "$all": bsons(values) }.into())
            }
            Test::InSelect(_) => return Err(Unanswerable::SubQuery),
            Test::Text(..) | Test::Size(_) | Test::HasAll(_) | Test::ElemMatch(_) => never(),
        })
    }
}

/// Whether these can all be items of a list.
fn is_asked(values: &[Value]) -> bool {
    !values.is_empty() && !values.iter().any(Value::is_null)
}

fn bsons(values: &[Value]) -> Vec<Bson> {
    values.iter().map(stored::bson).collect()
}

fn named<'a>(fields: &'a [Field], name: &str) -> Option<&'a Field> {
    fields.iter().find(|field| field.name == name)
}
