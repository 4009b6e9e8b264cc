//! Questions to the store: lists, pages, counts.

use base64::Engine;
use serde_json::{Value as Json, json};

use crate::{
    document::Document,
    error::{Error, Result},
    field::Source,
    filter::{Expr, Path, Test},
    id::Id,
    schema::{Collection, CollectionId, SortKey},
    value::Value,
    violation::Pointer,
};

/// Which documents, in which order, from where on, how many, and what of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    pub collection: CollectionId,
    pub filter: Expr,
    /// A total order: it ends in `id`.
    pub sort: Vec<SortKey>,
    pub start: Start,
    /// At most this many documents.
    pub limit: u32,
    /// Indexes of the fields wanted; all that are sent where none is given. Numbers beyond those of
    /// the stored fields mean virtual ones.
    pub fields: Option<Vec<usize>>,
}

impl Query {
    /// The question for the documents with these ids, in the order of their ids.
    pub fn by_ids(collection: &Collection, ids: &[Id]) -> Self {
        let id = Path::to_field(Collection::ID, &collection.fields()[Collection::ID]);
        let values = ids.iter().map(|id| Value::Uuid(id.uuid())).collect();
        let filter = Expr::field(id, Test::In(values));
        Self {
            limit: u32::try_from(ids.len()).unwrap_or(u32::MAX),
            ..Self::in_order_of_ids(collection, filter)
        }
    }

    /// The question for all documents that match, in the order of their ids.
    pub fn in_order_of_ids(collection: &Collection, filter: Expr) -> Self {
        Self {
            collection: collection.id,
            filter,
            sort: vec![SortKey {
                field: Collection::ID,
                descending: false,
            }],
            start: Start::First,
            limit: u32::MAX,
            fields: None,
        }
    }
}

/// Where a list begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    /// At the first document.
    First,
    /// Behind the document with these values of the sort keys (keyset pagination).
    After(Vec<Value>),
    /// Behind this many documents.
    Offset(u64),
}

/// Documents that reference some others: the next level of an expansion.
#[derive(Debug, Clone, PartialEq)]
pub struct Related {
    pub collection: CollectionId,
    /// The field that holds the reference.
    pub field: usize,
    /// The values it may have.
    pub values: Vec<Value>,
    pub sort: Vec<SortKey>,
    /// At most this many documents for each value.
    pub limit_each: u32,
}

/// A position in a list, opaque to clients. It belongs to its collection, filter and order.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor;

impl Cursor {
    /// The text that continues a list behind a document.
    pub fn encode(query: &Query, collection: &Collection, last: &Document) -> String {
        let keys: Vec<Value> = query
            .sort
            .iter()
            .map(|key| last.value(key.field).clone())
            .collect();
        Self::encode_keys(query, collection, &keys)
    }

    /// The same from the values of the sort keys.
    pub fn encode_keys(query: &Query, collection: &Collection, keys: &[Value]) -> String {
        let keys: Vec<Json> = query
            .sort
            .iter()
            .zip(keys)
            .map(|(key, value)| crate::field::to_json(&collection.fields()[key.field].kind, value))
            .collect();
        let text = json!([Self::fingerprint(query, collection), keys]).to_string();
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
    }

    /// Where a list goes on. 400 where the text is broken or belongs to another list.
    pub fn decode(text: &str, query: &Query, collection: &Collection) -> Result<Start> {
        let broken = || Error::bad_request("invalid_cursor", "the cursor cannot be read");
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| broken())?;
        let (fingerprint, keys): (u64, Vec<Json>) =
            serde_json::from_slice(&bytes).map_err(|_| broken())?;
        if fingerprint != Self::fingerprint(query, collection) {
            return Err(Error::bad_request(
                "cursor_mismatch",
                "the cursor belongs to another filter or sort",
            ));
        }
        if keys.len() != query.sort.len() {
            return Err(broken());
        }
        let mut violations = Vec::new();
        let values: Option<Vec<Value>> = query
            .sort
            .iter()
            .zip(&keys)
            .map(|(key, json)| match json {
                Json::Null => Some(Value::Null),
                // Revisions and large integers come as they are sent.
                json => collection.fields()[key.field].kind.read(
                    json,
                    Source::Json,
                    &mut Pointer::root(),
                    &mut violations,
                ),
            })
            .collect();
        values.map(Start::After).ok_or_else(broken)
    }

    /// What tells one list from another: the collection, the filter, the order. The same on every
    /// instance and after a restart, whatever else was declared meanwhile.
    fn fingerprint(query: &Query, collection: &Collection) -> u64 {
        let fields = collection.fields();
        let mut text = format!("{}\n{}", collection.name, query.filter.spell(fields));
        for key in &query.sort {
            text.push(if key.descending { '-' } else { '+' });
            text.push_str(&fields[key.field].name);
        }
        // FNV-1a with 64 bits (Fowler, Noll and Vo); JSON numbers hold 53 of them exactly.
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        hash >> 11
    }
}
