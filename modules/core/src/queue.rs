//! Writes that are acknowledged before they are carried out: the queue of collections with
//! `write: behind`.
//!
//! A [`QueuedWrite`] is durable when it is appended. It is carried out later, in the order of the
//! queue, and leaves the queue in the same transaction of the truth: so it happens exactly once,
//! whenever a server dies. What is refused by then is set aside as a [`DeadLetter`].

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    caller::Caller,
    document::Document,
    error::Result,
    field::{DefaultValue, Field, FieldType},
    packed,
    schema::{Catalog, Collection, CollectionId},
    time::Timestamp,
    value::Value,
    write::{Operation, Transaction},
};

/// Version of the packed form. Another one is not understood.
const VERSION: i64 = 1;

/// The queue, which is kept by the truth.
///
/// Numbers are given when a write is appended. Whatever was acknowledged before another write was
/// asked for has the lower number.
#[async_trait]
pub trait WriteQueue: Send + Sync + 'static {
    /// Appends writes, all or none. `Ok` means that the truth has committed them with fsync.
    async fn append(&self, writes: Vec<QueuedWrite>) -> Result<()>;

    /// From where to where the queue reaches; none where nothing waits.
    async fn standing(&self) -> Result<Option<Standing>>;

    /// The writes that wait longest, in their order.
    async fn waiting(&self, most: u32) -> Result<Vec<Waiting>>;

    /// Carries writes out in this order, each for itself, and takes them off the queue, all in one
    /// transaction of the truth. Those that are not in the queue any more are passed over. An error
    /// leaves its write in the queue. While another instance carries out, everything is
    /// [`BUSY`].
    async fn carry_out(&self, writes: Vec<(Number, Transaction)>) -> Vec<Result<()>>;

    /// Moves writes from the queue to the dead letters. Those that are not in the queue any more are
    /// passed over.
    async fn set_aside(&self, refused: Vec<Refused>) -> Result<()>;

    /// The dead letters with numbers above one, oldest first.
    async fn dead_letters(&self, above: Number, most: u32) -> Result<Vec<DeadLetter>>;

    /// One dead letter.
    async fn dead_letter(&self, number: Number) -> Result<Option<DeadLetter>>;

    /// How many dead letters there are.
    async fn count_dead_letters(&self) -> Result<u64>;

    /// Appends dead letters to the queue again, oldest first; gives how many.
    async fn retry(&self, which: Which) -> Result<u64>;

    /// Forgets dead letters; gives how many.
    async fn forget(&self, which: Which) -> Result<u64>;
}

/// The code of the error that another instance carries out at the moment.
pub const BUSY: &str = "queue_busy";

/// A place in the queue, and what a dead letter is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(pub i64);

/// From where to where the queue reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub first: Number,
    pub last: Number,
    /// When the first one was appended.
    pub since: Timestamp,
}

impl Standing {
    /// How many writes wait, at most.
    pub const fn span(&self) -> u64 {
        (self.last.0 - self.first.0).unsigned_abs() + 1
    }
}

/// A write in the queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    pub number: Number,
    /// The write in its packed form.
    pub packed: Vec<u8>,
}

/// A write that cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub number: Number,
    /// Why, as the problem document that its sender would have got.
    pub problem: String,
}

/// A write that was refused after it had been acknowledged.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    pub number: Number,
    /// When it was acknowledged.
    pub queued_at: Timestamp,
    /// When it was refused.
    pub refused_at: Timestamp,
    /// Why, as a problem document.
    pub problem: String,
    /// The write in its packed form.
    pub packed: Vec<u8>,
}

/// Which dead letters are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    These(Vec<Number>),
    All,
}

/// New documents that were accepted together.
#[derive(Debug, Clone, PartialEq)]
pub struct QueuedWrite {
    /// When they were asked for.
    pub now: Timestamp,
    /// Each with its collection, its id and the revision it is going to have.
    pub documents: Vec<(CollectionId, Document)>,
}

/// Why a write from the queue cannot be read. The collections are others than when it was accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("it was queued by another version of the server")]
    Form,
    #[error("there is no collection `{0}` any more")]
    Collection(String),
    #[error("`{collection}` has no field `{field}` any more, or one of another type")]
    Field { collection: String, field: String },
}

impl QueuedWrite {
    /// What is carried out: creations on behalf of the server, for all rules have been held against
    /// them.
    pub fn into_transaction(self) -> Transaction {
        let creations = self.documents.into_iter();
        let creations = creations.map(|(collection, document)| Operation::Create {
            collection,
            document,
        });
        Transaction {
            operations: creations.collect(),
            permits: Vec::new(),
            caller: Caller::Server,
            now: self.now,
            new_ids: true,
        }
    }

    /// The write in a compact binary form, in which collections and fields go by their names.
    pub fn pack(&self, catalog: &Catalog) -> Vec<u8> {
        let documents = self.documents.iter().map(|(collection, document)| {
            let collection = catalog.get(*collection);
            let fields = collection.fields().iter().zip(document.values());
            // Absent and null are the same thing.
            let fields = fields
                .filter(|(_, value)| !value.is_null())
                .flat_map(|(field, value)| {
                    [text(&field.name), text(&shape(&field.kind)), value.clone()]
                });
            let mut packed = vec![text(&collection.name)];
            packed.extend(fields);
            Value::List(packed)
        });
        let mut whole = vec![Value::Int(VERSION), Value::Timestamp(self.now)];
        whole.extend(documents);
        let mut out = Vec::with_capacity(512);
        packed::write(&Value::List(whole), &mut out);
        out
    }

    /// Reads what [`QueuedWrite::pack`] has written, maybe with other collections. What has another
    /// name now is found by `renamed_from`.
    ///
    /// # Errors
    /// Where something has no place in the collections of now.
    pub fn unpack(mut bytes: &[u8], catalog: &Catalog) -> Result<Self, Unreadable> {
        let Some(Value::List(whole)) = packed::read(&mut bytes) else {
            return Err(Unreadable::Form);
        };
        let [Value::Int(VERSION), Value::Timestamp(now), documents @ ..] = &whole[..] else {
            return Err(Unreadable::Form);
        };
        let documents = documents.iter().map(|packed| {
            let Value::List(packed) = packed else {
                return Err(Unreadable::Form);
            };
            document(packed, catalog)
        });
        Ok(Self {
            now: *now,
            documents: documents.collect::<Result<_, _>>()?,
        })
    }
}

fn document(packed: &[Value], catalog: &Catalog) -> Result<(CollectionId, Document), Unreadable> {
    let [Value::Text(name), fields @ ..] = packed else {
        return Err(Unreadable::Form);
    };
    let former = |found: &&Arc<Collection>| found.renamed_from.as_ref() == Some(name);
    let collection = catalog.named(name);
    let collection = collection.or_else(|| catalog.collections().iter().find(former));
    let collection = collection.ok_or_else(|| Unreadable::Collection(name.clone()))?;
    let mut document = Document::empty(collection);
    let (triples, []) = fields.as_chunks::<3>() else {
        return Err(Unreadable::Form);
    };
    for [field, kind, value] in triples {
        let (Value::Text(field), Value::Text(kind)) = (field, kind) else {
            return Err(Unreadable::Form);
        };
        let former = |(_, found): &(usize, &Field)| found.renamed_from.as_ref() == Some(field);
        let found = collection.field_named(field);
        let found = found.or_else(|| collection.declared_fields().find(former));
        match found.filter(|(_, found)| shape(&found.kind) == *kind) {
            Some((index, _)) => document.set(index, value.clone()),
            None => {
                return Err(Unreadable::Field {
                    collection: collection.name.clone(),
                    field: field.clone(),
                });
            }
        }
    }
    // Fields that have come meanwhile. What was queued without a value has no default.
    for (index, field) in collection.declared_fields() {
        if let (Value::Null, Some(DefaultValue::Literal(value))) =
            (document.value(index), &field.default)
        {
            document.set(index, value.clone());
        }
    }
    Ok((collection.id, document))
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// What values of a type look like. Types with the same shape hold the same values.
fn shape(kind: &FieldType) -> String {
    match kind {
        FieldType::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|field| format!("{}:{}", field.name, shape(&field.kind)));
            format!("object({})", fields.collect::<Vec<_>>().join(","))
        }
        FieldType::List(item) => format!("{}[]", shape(item)),
        // Which collection it leads to is for the truth to check.
        FieldType::Ref(_) => "ref".into(),
        kind => kind.word(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn catalog(declarations: serde_json::Value) -> Catalog {
        let declarations: Vec<_> = serde_json::from_value(declarations).unwrap();
        Catalog::compile(&declarations, &[]).unwrap()
    }

    fn write(catalog: &Catalog) -> QueuedWrite {
        let visits = catalog.named("visits").unwrap();
        let mut document = Document::empty(visits);
        let id = "0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a11".parse().unwrap();
        document.set(Collection::ID, Value::Uuid(id));
        let (page, _) = visits.field_named("page").unwrap();
        document.set(page, Value::Text("/start".into()));
        let (place, _) = visits.field_named("place").unwrap();
        let inside = vec![Value::Float(-0.0), Value::Null];
        document.set(place, Value::Object(inside));
        document.set_revision(crate::id::Revision::new(7));
        QueuedWrite {
            now: Timestamp::from_millis(12),
            documents: vec![(visits.id, document)],
        }
    }

    fn visits() -> serde_json::Value {
        json!({ "name": "visits", "fields": {
            "page": "text",
            "note": "text",
            "place": { "type": "object", "fields": {
                "north": "float", "name": "text",
            } },
        } })
    }

    #[test]
    fn what_is_read_is_what_was_queued() {
        let catalog = catalog(json!([visits()]));
        let write = write(&catalog);
        let packed = write.pack(&catalog);
        assert_eq!(QueuedWrite::unpack(&packed, &catalog), Ok(write));
        let cut = QueuedWrite::unpack(&packed[..packed.len() - 1], &catalog);
        assert_eq!(cut, Err(Unreadable::Form));
    }

    #[test]
    fn names_may_change_while_a_write_waits_and_types_may_not() {
        let before = catalog(json!([visits()]));
        let packed = write(&before).pack(&before);
        let mut renamed = visits();
        renamed["name"] = "views".into();
        renamed["renamed_from"] = "visits".into();
        let fields = renamed["fields"].as_object_mut().unwrap();
        fields.remove("page");
        fields.insert(
            "path".into(),
            json!({ "type": "text", "renamed_from": "page" }),
        );
        let after = catalog(json!([renamed]));
        let read = QueuedWrite::unpack(&packed, &after).unwrap();
        let views = after.named("views").unwrap();
        let (path, _) = views.field_named("path").unwrap();
        let (collection, document) = &read.documents[0];
        assert_eq!(*collection, views.id);
        assert_eq!(*document.value(path), Value::Text("/start".into()));

        let mut other = visits();
        other["fields"]["place"]["fields"]["north"] = "text".into();
        let unreadable = QueuedWrite::unpack(&packed, &catalog(json!([other])));
        let field = |error| matches!(error, Unreadable::Field { field, .. } if field == "place");
        assert!(unreadable.is_err_and(field));

        let gone = catalog(json!([{ "name": "notes", "fields": { "text": "text" } }]));
        let unreadable = QueuedWrite::unpack(&packed, &gone);
        assert_eq!(unreadable, Err(Unreadable::Collection("visits".into())));
    }
}
