//! Lists: what is asked, in which order, and from where on.
//!
//! Each is of what was created since some moment. That is how a list knows down to where this tier
//! has everything, and it keeps what deleted documents have left behind out of lists: that has no
//! time of creation. And each is of one epoch, unless the documents have no other place; no index has
//! that in it, as nearly everything that is found belongs to it.

use mongodb::bson::{Bson, Document, doc};
use nubo_core::{
    filter::Comparison,
    query::{Query, Start},
    schema::{Collection, SortKey},
    time::Timestamp,
    value::Value,
};

use crate::{
    filter::{self, Unanswerable},
    stored,
};

/// A question as MongoDB is asked it.
#[derive(Debug, PartialEq)]
pub(crate) struct Find {
    pub filter: Document,
    pub sort: Document,
    pub skip: u64,
}

impl Find {
    pub fn new(
        epoch: i64,
        query: &Query,
        created_since: Timestamp,
        collection: &Collection,
    ) -> Result<Self, Unanswerable> {
        let created_at = stored::name(collection, collection.created_at());
        let since = Value::Timestamp(created_since);
        // What is asked comes first: it narrows most, and there are planners of indexes that go by that.
        let mut parts = vec![filter::document(&query.filter, collection)?];
        if let Start::After(values) = &query.start {
            parts.extend(after(&query.sort, values, collection));
        }
        parts.push(filter::compare(
            created_at,
            Comparison::GreaterOrEqual,
            &since,
        ));
        if !collection.is_alone() {
            parts.push(doc! { stored::EPOCH: epoch });
        }
        Ok(Self {
            filter: together(parts),
            sort: sort(&query.sort, collection),
            skip: match query.start {
                Start::Offset(count) => count,
                Start::First | Start::After(_) => 0,
            },
        })
    }
}

/// All of these at once. Each stands for itself as far as it can, which every planner of indexes
/// understands, and not inside `$and`.
fn together(parts: Vec<Document>) -> Document {
    let mut all = Document::new();
    let mut rest = Vec::new();
    add(parts, &mut all, &mut rest);
    if !rest.is_empty() {
        all.insert("$and", rest);
    }
    all
}

/// Adds conditions to what is demanded already, and those beside it that it has no place for.
fn add(parts: Vec<Document>, all: &mut Document, rest: &mut Vec<Document>) {
    for (key, value) in parts.into_iter().flatten() {
        match (&*key, value) {
            ("$and", Bson::Array(inner)) => {
                let inner = inner.into_iter().filter_map(|part| match part {
                    Bson::Document(part) => Some(part),
                    _ => None,
                });
                add(inner.collect(), all, rest);
            }
            (_, value) => match (all.get_mut(&key), value) {
                (None, value) => drop(all.insert(key, value)),
                (Some(Bson::Document(known)), Bson::Document(more))
                    if are_comparisons(known)
                        && are_comparisons(&more)
                        && more.keys().all(|operator| !known.contains_key(operator)) =>
                {
                    known.extend(more);
                }
                (Some(_), value) => rest.push(doc! { key: value }),
            },
        }
    }
}

/// Whether it is operators that a field must satisfy, each by itself.
fn are_comparisons(value: &Document) -> bool {
    value
        .keys()
        .all(|key| matches!(&**key, "$gt" | "$gte" | "$lt" | "$lte" | "$in" | "$ne"))
}

/// The order. MongoDB, too, puts what has no value first ascending and last descending.
fn sort(keys: &[SortKey], collection: &Collection) -> Document {
    keys.iter()
        .map(|key| {
            let name = stored::name(collection, key.field).to_owned();
            (name, Bson::Int32(if key.descending { -1 } else { 1 }))
        })
        .collect()
}

/// What stands behind the document with these values: behind it by the first key, or equal in that
/// one and behind it by the second, and so on.
fn after(keys: &[SortKey], values: &[Value], collection: &Collection) -> Vec<Document> {
    let mut parts = Vec::new();
    let mut alternatives = Vec::new();
    let mut equal: Vec<Document> = Vec::new();
    for (position, (key, value)) in keys.iter().zip(values).enumerate() {
        let name = stored::name(collection, key.field);
        let may_be_null = !collection.fields()[key.field].required;
        if let Some(behind) = behind(name, key.descending, value, may_be_null) {
            let mut together = equal.clone();
            together.push(behind);
            alternatives.push(doc! { "$and": together });
        }
        // The same once more for the first key alone, so that an index is entered at the place.
        if position == 0 && !value.is_null() && !may_be_null {
            let comparison = match key.descending {
                true => Comparison::LessOrEqual,
                false => Comparison::GreaterOrEqual,
            };
            parts.push(filter::compare(name, comparison, value));
        }
        equal.push(doc! { name: stored::bson(value) });
    }
    parts.push(match alternatives.is_empty() {
        true => filter::never(),
        false => doc! { "$or": alternatives },
    });
    parts
}

/// What stands behind a value by one key. None where nothing does.
fn behind(name: &str, descending: bool, value: &Value, may_be_null: bool) -> Option<Document> {
    match (descending, value.is_null()) {
        (false, true) => Some(doc! { name: { "$ne": Bson::Null } }),
        (false, false) => Some(filter::compare(name, Comparison::Greater, value)),
        (true, true) => None,
        (true, false) => {
            let less = filter::compare(name, Comparison::Less, value);
            Some(match may_be_null {
                true => doc! { "$or": [less, { name: Bson::Null }] },
                false => less,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::DateTime;
    use nubo_core::{declare::CollectionDeclaration, filter::Expr, schema::Catalog};
    use serde_json::json;

    use super::*;

    /// How MongoDB is asked for what comes after these values.
    fn asked(sort: &str, start: Start) -> Find {
        let declaration = json!({
            "name": "films", "fields": { "year": "int!", "title": "text" }, "tiers": { "recent": {} },
        });
        let declaration: CollectionDeclaration = serde_json::from_value(declaration).unwrap();
        let catalog = Catalog::compile(&[declaration], &[]).unwrap();
        let collection = catalog.named("films").unwrap();
        let query = Query {
            collection: collection.id,
            filter: Expr::always(),
            sort: collection.read_sort(sort).unwrap(),
            start,
            limit: 20,
            fields: None,
        };
        Find::new(4, &query, Timestamp::from_millis(5), collection).unwrap()
    }

    fn since() -> Document {
        doc! { "created_at": { "$gte": DateTime::from_millis(5) } }
    }

    /// What every list demands, and this.
    fn with(demanded: Document) -> Document {
        let mut all = since();
        all.extend(demanded);
        all.extend(doc! { "_epoch": 4_i64 });
        all
    }

    #[test]
    fn a_list_is_of_what_was_created_since_a_moment() {
        let find = asked("-year,title", Start::Offset(3));
        assert_eq!(find.filter, with(doc! {}));
        assert_eq!(find.sort, doc! { "year": -1, "title": 1, "_id": 1 });
        assert_eq!(find.skip, 3);
    }

    #[test]
    fn an_index_is_entered_at_the_place() {
        let values = vec![Value::Int(1967), Value::Int(7)];
        let find = asked("-year", Start::After(values));
        let place = doc! { "$or": [
            { "$and": [{ "year": { "$lt": 1967_i64 } }] },
            { "$and": [{ "year": 1967_i64 }, { "_id": { "$lt": 7_i64 } }] },
        ] };
        let mut entered = doc! { "year": { "$lte": 1967_i64 } };
        entered.extend(place);
        assert_eq!(find.filter, with(entered));
    }

    #[test]
    fn nulls_come_first_ascending_and_last_descending() {
        let after_null = asked("title", Start::After(vec![Value::Null, Value::Int(7)]));
        let place = doc! { "$or": [
            { "$and": [{ "title": { "$ne": null } }] },
            { "$and": [{ "title": null }, { "_id": { "$gt": 7_i64 } }] },
        ] };
        assert_eq!(after_null.filter, with(place));
        let after_null = asked("-title", Start::After(vec![Value::Null, Value::Int(7)]));
        let place = doc! { "$or": [
            { "$and": [{ "title": null }, { "_id": { "$lt": 7_i64 } }] },
        ] };
        assert_eq!(after_null.filter, with(place));
        let text = Value::Text("x".into());
        let after_text = asked("-title", Start::After(vec![text, Value::Int(7)]));
        let place = doc! { "$or": [
            { "$and": [{ "$or": [{ "title": { "$lt": "x" } }, { "title": null }] }] },
            { "$and": [{ "title": "x" }, { "_id": { "$lt": 7_i64 } }] },
        ] };
        assert_eq!(after_text.filter, with(place));
    }

    #[test]
    fn conditions_stand_for_themselves_where_they_can() {
        let parts = vec![
            doc! { "a": { "$gte": 1 } },
            doc! { "$and": [{ "b": 2 }, { "a": { "$lt": 5 } }] },
            doc! { "b": 3 },
            doc! { "$or": [{ "c": 1 }] },
            doc! { "$or": [{ "d": 1 }], "a": { "$gte": 2 } },
        ];
        let expected = doc! {
            "a": { "$gte": 1, "$lt": 5 }, "b": 2, "$or": [{ "c": 1 }],
            "$and": [{ "b": 3 }, { "$or": [{ "d": 1 }] }, { "a": { "$gte": 2 } }],
        };
        assert_eq!(together(parts), expected);
    }
}
