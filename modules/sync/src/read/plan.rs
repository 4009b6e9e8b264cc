//! From a question to the sets that answer it, or to the reason why the truth must.
//!
//! A set answers a list that is in its collection's order and demands of the set's fields that they
//! have certain values. What else the list demands is held against every document that the set
//! yields, so it may only be about what is kept beside the document. The access rule counts as a
//! part of the question: where it demands a value itself, as `owner` does, that narrows the list too.

use nubo_core::{
    access::View,
    cache::SetName,
    field::FieldType,
    filter::{Expr, Test},
    id::Id,
    position,
    query::{Query, Start},
    schema::{CacheTier, Collection},
    value::Value,
};

/// How many sets one list is put together from, at most.
const MOST_SETS: usize = 16;
/// How many ids are looked up one by one, at most.
const MOST_IDS: usize = 200;

/// Where every document is that a list is about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plan {
    /// It is one of these.
    Ids(Vec<Id>),
    Sets(Sets),
}

/// Sets that have every document that a question is about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sets {
    /// Together they have it: any of these.
    pub sets: Vec<PlannedSet>,
    /// The fields by whose values they are kept.
    pub fields: Vec<usize>,
}

/// A set, and what its documents have in common.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlannedSet {
    pub name: SetName,
    /// The fields and their values.
    pub values: Vec<(usize, Value)>,
}

/// Plans a list.
pub(crate) fn plan(query: &Query, view: &View, collection: &Collection) -> Result<Plan, String> {
    let Some(cache) = &collection.tiers.cache else {
        return Err(format!("{} is not cached", collection.name));
    };
    if cache.sets.is_empty() {
        return Err(format!(
            "the order of {} has no binary form, in which documents could be kept",
            collection.name
        ));
    }
    if matches!(query.start, Start::Offset(_)) {
        return Err("pages by number are counted by the truth".into());
    }
    if query.sort != collection.order {
        return Err(format!(
            "sets are in the order of {}, which is another one",
            collection.name
        ));
    }
    if query.filter.has_sub_query() {
        return Err("the filter asks for other documents".into());
    }
    if let Some(field) = beyond(&query.filter, cache) {
        return Err(format!(
            "the filter asks for `{}`, which the cache does not know by itself",
            collection.fields()[field].name
        ));
    }
    let mut demands = Vec::new();
    demanded(&query.filter, &mut demands);
    if let Some(ids) = ids(&demands) {
        return Ok(Plan::Ids(ids));
    }
    demanded(&view.condition, &mut demands);
    let Some(sets) = best(collection, cache, &demands) else {
        return Err(format!("{} has no sets", collection.name));
    };
    if sets.fields.is_empty() {
        if !query.filter.is_always() {
            return Err("the filter demands a value of no field that has sets".into());
        }
        if looks_up(&view.condition) {
            return Err("who may see a document is found in others, and no set narrows it".into());
        }
    }
    Ok(Plan::Sets(sets))
}

/// The ids that a filter demands, where it does and they are not too many.
fn ids(demands: &[(usize, Vec<Value>)]) -> Option<Vec<Id>> {
    let (_, values) = demands.iter().find(|(field, _)| *field == Collection::ID)?;
    let ids = values.iter().map(|value| match value {
        Value::Uuid(id) => Some(Id::from_uuid(*id)),
        _ => None,
    });
    ids.collect::<Option<Vec<_>>>()
        .filter(|ids| ids.len() <= MOST_IDS)
}

/// The sets in which a sub-query's documents are, those with this value in its field.
pub(crate) fn plan_look_up(
    collection: &Collection,
    field: usize,
    value: &Value,
    condition: &Expr,
) -> Option<Sets> {
    let cache = collection.tiers.cache.as_ref()?;
    let mut demands = vec![(field, vec![value.clone()])];
    demanded(condition, &mut demands);
    best(collection, cache, &demands).filter(|sets| !sets.fields.is_empty())
}

/// What a condition demands of whole fields: one of some values.
fn demanded(condition: &Expr, demands: &mut Vec<(usize, Vec<Value>)>) {
    match condition {
        Expr::All(parts) => parts.iter().for_each(|part| demanded(part, demands)),
        Expr::Test { path, test } => {
            let values = match test {
                // A whole list is no item of one.
                Test::Equal(Value::List(_)) => return,
                Test::Equal(value) => vec![value.clone()],
                Test::In(values) => values.clone(),
                _ => return,
            };
            if let Some(field) = path.whole_field() {
                demands.push((field, values));
            }
        }
        Expr::Any(_) | Expr::Not(_) => {}
    }
}

/// The sets that narrow most: those by more fields first, then those by fields that tell documents
/// apart better.
fn best(
    collection: &Collection,
    cache: &CacheTier,
    demands: &[(usize, Vec<Value>)],
) -> Option<Sets> {
    let usable = cache.sets.iter().enumerate().filter_map(|(set, fields)| {
        let sets = sets_of(collection, set, fields, demands)?;
        let sharpness: u32 = fields.iter().map(|f| sharpness(collection, *f)).sum();
        Some((fields.len(), sharpness, sets, fields))
    });
    usable
        .max_by_key(|(fields, sharpness, sets, _)| (*fields, *sharpness, MOST_SETS - sets.len()))
        .map(|(_, _, sets, fields)| Sets {
            sets,
            fields: fields.clone(),
        })
}

/// The sets of one kind that have all documents that meet the demands.
fn sets_of(
    collection: &Collection,
    set: usize,
    fields: &[usize],
    demands: &[(usize, Vec<Value>)],
) -> Option<Vec<PlannedSet>> {
    let mut combinations: Vec<Vec<(usize, Value)>> = vec![Vec::new()];
    for field in fields {
        let (_, values) = demands.iter().find(|(demanded, _)| demanded == field)?;
        if combinations.len() * values.len() > MOST_SETS {
            return None;
        }
        let longer = combinations.iter().flat_map(|combination| {
            values.iter().map(|value| {
                let mut combination = combination.clone();
                combination.push((*field, value.clone()));
                combination
            })
        });
        combinations = longer.collect();
    }
    let named = combinations.into_iter().map(|values| {
        let only: Vec<&Value> = values.iter().map(|(_, value)| value).collect();
        let name = SetName::new(collection, set, &only)?;
        Some(PlannedSet { name, values })
    });
    let mut sets = named.collect::<Option<Vec<_>>>()?;
    sets.sort_by(|a, b| a.name.cmp(&b.name));
    sets.dedup_by(|a, b| a.name == b.name);
    Some(sets)
}

/// How well values of a field tell documents apart, by its type.
fn sharpness(collection: &Collection, field: usize) -> u32 {
    match position::item(&collection.fields()[field].kind) {
        FieldType::Uuid | FieldType::Ref(_) => 3,
        FieldType::Text | FieldType::Email | FieldType::Url => 2,
        FieldType::Bool => 0,
        _ => 1,
    }
}

/// A field that a filter asks about and that is not kept beside documents.
fn beyond(filter: &Expr, cache: &CacheTier) -> Option<usize> {
    let mut found = None;
    filter.for_each_field(&mut |field| {
        if !cache.excerpts.covers(field) {
            found = Some(field);
        }
    });
    found
}

/// Whether every document that passes is one that a sub-query has found: then most documents may not
/// pass, and nothing tells which do.
fn looks_up(condition: &Expr) -> bool {
    match condition {
        Expr::All(parts) => parts.iter().any(looks_up),
        Expr::Any(parts) => !parts.is_empty() && parts.iter().all(looks_up),
        Expr::Not(_) => false,
        Expr::Test { test, .. } => matches!(test, Test::InSelect(_)),
    }
}
