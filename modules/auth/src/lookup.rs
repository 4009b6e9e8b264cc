//! Looking documents up as the server itself does, with what never leaves it.

use nubo_core::{
    Result,
    caller::Caller,
    document::Document,
    filter::{Expr, Path, Test},
    id::Id,
    query::{Query, Start},
    schema::{Collection, SortKey},
    store::Store,
    truth::Page,
    value::Value,
};

/// The condition that a field has this value.
pub(crate) fn equal(collection: &Collection, field: usize, value: Value) -> Expr {
    let path = Path::to_field(field, &collection.fields()[field]);
    Expr::field(path, Test::Equal(value))
}

/// The condition that it is this document.
pub(crate) fn with_id(collection: &Collection, id: Id) -> Expr {
    equal(collection, Collection::ID, Value::Uuid(id.uuid()))
}

/// The documents that match, newest first, so many at most.
pub(crate) async fn matching(
    store: &dyn Store,
    collection: &Collection,
    filter: Expr,
    limit: u32,
) -> Result<Vec<Document>> {
    let query = newest(collection, filter, limit);
    store.find(&Caller::Server, query).await
}

fn newest(collection: &Collection, filter: Expr, limit: u32) -> Query {
    Query {
        collection: collection.id,
        filter,
        // Ids of version 7 sort by creation.
        sort: vec![SortKey {
            field: Collection::ID,
            descending: true,
        }],
        start: Start::First,
        limit,
        fields: None,
    }
}

/// The document with this id.
pub(crate) async fn by_id(
    store: &dyn Store,
    collection: &Collection,
    id: Id,
) -> Result<Option<Document>> {
    let mut found = matching(store, collection, with_id(collection, id), 1).await?;
    Ok(found.pop())
}

/// These fields of the document with this id, as they are sent to who asks.
pub(crate) async fn page(
    store: &dyn Store,
    caller: &Caller,
    collection: &Collection,
    id: Id,
    fields: &[usize],
) -> Result<Page> {
    let mut query = newest(collection, with_id(collection, id), 1);
    query.fields = Some(fields.to_vec());
    Ok(store.list(caller, query, &[]).await?.content)
}

/// The document with this id, of which these fields are wanted and the others may be null. Where they
/// are all sent to clients it comes from whichever tier is right and closest.
pub(crate) async fn fields(
    store: &dyn Store,
    collection: &Collection,
    id: Id,
    fields: &[usize],
) -> Result<Option<Document>> {
    let sent = collection.sent_fields();
    if !fields.iter().all(|field| sent.contains(field)) {
        return by_id(store, collection, id).await;
    }
    let is_wanted = |field: &usize| *field == Collection::ID || fields.contains(field);
    let wanted: Vec<usize> = sent.iter().copied().filter(is_wanted).collect();
    let page = page(store, &Caller::Server, collection, id, &wanted).await?;
    match page.count {
        0 => Ok(None),
        _ => collection.read_sent(&page.documents).map(Some),
    }
}
