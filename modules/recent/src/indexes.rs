//! The indexes that collections need, and making them what is there.
//!
//! Those that are declared, with the id at their end, and one on the collection's order; the id ends
//! each, so that an index gives a list in its order. None is unique: what must be is the truth's
//! business, and of two documents that change places the second may well come first. Besides, one
//! that throws out what was not used for long.
//!
//! Our indexes have names that begin with `nubo_` and tell what they are on; those of others are left
//! alone.

use std::{collections::HashMap, time::Duration};

use futures_util::TryStreamExt;
use mongodb::{
    Collection as MongoCollection, IndexModel,
    bson::{Bson, Document, RawDocumentBuf, doc},
    options::IndexOptions,
};
use nubo_core::{
    field::FieldType,
    filter::{Expr, Test},
    schema::{Collection, Index, IndexColumn},
    value::Value,
};

use crate::{
    fault::{self, code},
    filter, sharding, stored,
};

const PREFIX: &str = "nubo_";
/// The name of the index by which MongoDB throws out what was not used for long.
const LAST_USE: &str = "nubo_last_use";
/// The name of the one by which it throws out what is not to live longer.
const EXPIRY: &str = "nubo_expiry";
/// How long after the window a document may stay at least, and what a deleted one has left behind.
const GRACE: Duration = Duration::from_secs(24 * 3600);

/// The longest time that MongoDB counts.
const LONGEST: Duration = Duration::from_secs(i32::MAX as u64);

/// An index as it should be or as it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    pub name: String,
    pub keys: Document,
    /// Only documents that match are in it.
    pub partial: Option<Document>,
    /// How long after the date in it a document is thrown out.
    pub expires: Option<Duration>,
}

impl Wanted {
    /// Whether it does what another one does.
    fn does(&self, other: &Self) -> bool {
        self.keys == other.keys && self.partial == other.partial && self.expires == other.expires
    }
}

/// What became of the indexes of a collection.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub made: Vec<String>,
    pub dropped: Vec<String>,
}

/// The indexes that a collection needs.
pub(crate) fn wanted(collection: &Collection, is_sharded: bool) -> Vec<Wanted> {
    let mut all = thrown_out_by(collection);
    if is_sharded {
        all.push(spread_by(collection));
    }
    let order = collection.order.iter();
    let order: Vec<_> = order.map(|key| (key.field, key.descending)).collect();
    all.extend(ordered(collection, &order, None));
    for index in &collection.indexes {
        all.extend(declared(collection, index));
    }
    let mut seen = Vec::new();
    all.retain(|index| {
        let is_new = !seen.contains(&index.name);
        seen.push(index.name.clone());
        is_new
    });
    all
}

/// Those by which MongoDB throws documents out.
fn thrown_out_by(collection: &Collection) -> Vec<Wanted> {
    let window = collection
        .tiers
        .recent
        .as_ref()
        .map_or(0, |recent| recent.window);
    let millis = |millis: i64| Duration::from_millis(u64::try_from(millis).unwrap_or_default());
    let last_use = |partial, expires| Wanted {
        name: LAST_USE.into(),
        keys: doc! { stored::LAST_USE: 1 },
        partial,
        expires: Some(LONGEST.min(expires)),
    };
    if collection.tiers.truth {
        return vec![last_use(None, millis(window) + GRACE)];
    }
    // What has no other place stays until it expires.
    let mut all = vec![last_use(Some(doc! { stored::GONE: true }), GRACE)];
    all.extend(collection.expires_after.map(|after| Wanted {
        name: EXPIRY.into(),
        keys: doc! { stored::name(collection, collection.created_at()): 1 },
        partial: None,
        expires: Some(LONGEST.min(millis(after))),
    }));
    all
}

/// The one on what a collection is spread by.
fn spread_by(collection: &Collection) -> Wanted {
    let field = collection
        .tiers
        .recent
        .as_ref()
        .and_then(|recent| recent.shard_key);
    field
        .and_then(|field| ordered(collection, &[(field, false)], None))
        .unwrap_or_else(|| Wanted {
            name: format!("{PREFIX}id_hashed"),
            keys: sharding::key(collection),
            partial: None,
            expires: None,
        })
}

/// A declared index; none where MongoDB has no use for it: filters on json are not answered by
/// indexes here, and an index takes one list at most.
fn declared(collection: &Collection, index: &Index) -> Option<Wanted> {
    let fields = collection.fields();
    let kind = |column: &IndexColumn| &fields[column.field].kind;
    let is_list = |column: &&IndexColumn| matches!(kind(column), FieldType::List(_));
    let is_json =
        |column: &IndexColumn| matches!(kind(column), FieldType::Json | FieldType::Object(_));
    if index.columns.iter().any(is_json) || index.columns.iter().filter(is_list).count() > 1 {
        return None;
    }
    let columns = index.columns.iter();
    let columns: Vec<_> = columns
        .map(|column| (column.field, column.descending))
        .collect();
    let partial = partial(&index.condition, collection);
    ordered(collection, &columns, partial)
}

/// An index on these fields, with the id at its end.
fn ordered(
    collection: &Collection,
    columns: &[(usize, bool)],
    partial: Option<Document>,
) -> Option<Wanted> {
    let mut keys = Document::new();
    let mut name = String::from(PREFIX);
    let last = columns.last()?.1;
    let with_id = columns.iter().copied().chain([(Collection::ID, last)]);
    for (field, descending) in with_id {
        let key = stored::name(collection, field);
        // Nothing that comes after the id can make a difference.
        if keys.contains_key(stored::ID) {
            break;
        }
        let direction = if descending { -1 } else { 1 };
        keys.insert(key, direction);
        name.push_str(&format!("{}_{direction}_", collection.fields()[field].name));
    }
    name.pop();
    // The one that is always there.
    if keys.len() == 1 && keys.contains_key(stored::ID) {
        return None;
    }
    if let Some(partial) = &partial {
        name.push_str(&format!("_where_{:08x}", fingerprint(&partial.to_string())));
    }
    Some(Wanted {
        name,
        keys,
        partial,
        expires: None,
    })
}

/// A condition as an index may have it: values that fields have, all at once. An index without it has
/// more in it and answers the same.
fn partial(condition: &Expr, collection: &Collection) -> Option<Document> {
    let parts = match condition {
        Expr::All(parts) if parts.is_empty() => return None,
        Expr::All(parts) => parts.as_slice(),
        part => std::slice::from_ref(part),
    };
    let is_simple = |part: &Expr| match part {
        Expr::Test { path, test } => {
            let is_value = matches!(
                test,
                Test::Equal(Value::Bool(_) | Value::Int(_) | Value::Text(_) | Value::Uuid(_))
            );
            let is_scalar = path.whole_field().is_some_and(|field| {
                let kind = &collection.fields()[field].kind;
                !matches!(kind, FieldType::Json | FieldType::List(_))
            });
            is_value && is_scalar
        }
        _ => false,
    };
    if !parts.iter().all(is_simple) {
        return None;
    }
    filter::document(condition, collection).ok()
}

/// FNV-1a with 32 bits (Fowler, Noll and Vo): a name is to stay what it is.
fn fingerprint(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// Makes the indexes of a collection what they should be.
pub(crate) async fn apply(
    place: &MongoCollection<RawDocumentBuf>,
    wanted: &[Wanted],
) -> Result<Changes, mongodb::error::Error> {
    let mut there = present(place).await?;
    let mut changes = Changes::default();
    let mut missing = Vec::new();
    for index in wanted {
        // Under another name it does as well, and MongoDB would refuse a second one.
        let same = there.values().find(|other| other.does(index));
        let name = same.map_or(&index.name, |other| &other.name).clone();
        match there.remove(&name) {
            Some(other) if other.does(index) => {}
            Some(_) => {
                drop_index(place, &name).await?;
                missing.push(index);
            }
            None => missing.push(index),
        }
    }
    for name in there.into_keys().filter(|name| name.starts_with(PREFIX)) {
        drop_index(place, &name).await?;
        changes.dropped.push(name);
    }
    if !missing.is_empty() {
        place
            .create_indexes(missing.iter().map(|index| model(index)))
            .await?;
        changes.made = missing.iter().map(|index| index.name.clone()).collect();
    }
    Ok(changes)
}

/// What is there, by name.
async fn present(
    place: &MongoCollection<RawDocumentBuf>,
) -> Result<HashMap<String, Wanted>, mongodb::error::Error> {
    let indexes = match place.list_indexes().await {
        Ok(cursor) => cursor.try_collect::<Vec<_>>().await?,
        // Nothing was ever put there.
        Err(error) if fault::code_of(&error) == Some(code::NAMESPACE_NOT_FOUND) => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut all = HashMap::new();
    for index in indexes {
        let options = index.options.unwrap_or_default();
        let Some(name) = options.name else { continue };
        if options.unique == Some(true) {
            tracing::warn!(
                index = name,
                collection = place.name(),
                "a unique index that is not ours may keep documents out of the recent tier"
            );
        }
        let found = Wanted {
            name: name.clone(),
            keys: index.keys.into_iter().map(as_direction).collect(),
            partial: options.partial_filter_expression,
            expires: options.expire_after,
        };
        all.insert(name, found);
    }
    Ok(all)
}

/// A direction is a number of any type.
fn as_direction((key, direction): (String, Bson)) -> (String, Bson) {
    let direction = match direction {
        Bson::Double(number) => Bson::Int32(if number < 0.0 { -1 } else { 1 }),
        Bson::Int64(number) => Bson::Int32(if number < 0 { -1 } else { 1 }),
        other => other,
    };
    (key, direction)
}

/// Another instance may have been quicker.
async fn drop_index(
    place: &MongoCollection<RawDocumentBuf>,
    name: &str,
) -> Result<(), mongodb::error::Error> {
    match place.drop_index(name).await {
        Err(error) if fault::code_of(&error) == Some(code::INDEX_NOT_FOUND) => Ok(()),
        dropped => dropped,
    }
}

fn model(index: &Wanted) -> IndexModel {
    let mut options = IndexOptions::default();
    options.name = Some(index.name.clone());
    options.partial_filter_expression = index.partial.clone();
    options.expire_after = index.expires;
    IndexModel::builder()
        .keys(index.keys.clone())
        .options(options)
        .build()
}
