//! Pages as they are sent, whatever the database gives.

use bytes::Bytes;
use nubo_core::{
    Error, Pointer, Result,
    document::Document,
    field::Source,
    query::Query,
    schema::Collection,
    truth::{Body, Page},
    value::Value,
};

/// A page without documents.
pub(crate) fn empty() -> Page {
    Page {
        documents: Bytes::new(),
        count: 0,
        next: None,
    }
}

/// One document as it is sent.
pub(crate) fn body(document: &Document, collection: &Collection) -> Body {
    let mut json = Vec::with_capacity(512);
    document.write_json(collection, &mut json);
    Body {
        json: json.into(),
        revision: document.revision(),
    }
}

/// A page of documents, one more than the limit where the list goes on.
pub(crate) fn of_documents(
    mut documents: Vec<Document>,
    query: &Query,
    collection: &Collection,
) -> Page {
    let more = documents.len() > query.limit as usize;
    documents.truncate(query.limit as usize);
    let fields = query.fields.as_deref().unwrap_or(collection.sent_fields());
    let mut json = Vec::with_capacity(documents.len() * 256);
    for (index, document) in documents.iter().enumerate() {
        if index > 0 {
            json.extend_from_slice(b",\n");
        }
        document.write_fields(collection, fields, &mut json);
    }
    let keys = |last: &Document| {
        let keys = query.sort.iter();
        keys.map(|key| last.value(key.field).clone()).collect()
    };
    Page {
        documents: json.into(),
        count: documents.len() as u32,
        next: documents.last().filter(|_| more).map(keys),
    }
}

/// A page of documents that the database has joined with `,\n`, one more than the limit where the
/// list goes on.
pub(crate) fn of_json(
    documents: Bytes,
    found: i64,
    query: &Query,
    collection: &Collection,
) -> Result<Page> {
    if found <= i64::from(query.limit) {
        return Ok(Page {
            documents,
            count: found as u32,
            next: None,
        });
    }
    // The document beyond the limit tells that the list goes on, and is cut off.
    let end = last_break(&documents).unwrap_or(documents.len());
    let documents = documents.slice(..end);
    let last = last_break(&documents).map_or(0, |at| at + 2);
    Ok(Page {
        next: Some(sort_keys(&documents[last..], query, collection)?),
        documents,
        count: query.limit,
    })
}

/// Where the last `,\n` between two documents stands.
fn last_break(documents: &[u8]) -> Option<usize> {
    documents
        .iter()
        .rposition(|byte| *byte == b'\n')
        .and_then(|at| at.checked_sub(1))
}

/// The values of the sort keys in a document as it is sent.
fn sort_keys(json: &[u8], query: &Query, collection: &Collection) -> Result<Vec<Value>> {
    let document: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(json).map_err(Error::internal)?;
    query
        .sort
        .iter()
        .map(|key| {
            let field = &collection.fields()[key.field];
            match document.get(&field.name) {
                None | Some(serde_json::Value::Null) => Ok(Value::Null),
                Some(json) => {
                    let mut violations = Vec::new();
                    let mut at = Pointer::root();
                    field
                        .kind
                        .read(json, Source::Json, &mut at, &mut violations)
                        .ok_or_else(|| Error::internal(format!("sort key {violations:?}")))
                }
            }
        })
        .collect()
}
