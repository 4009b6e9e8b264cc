//! One document: a value for each field of its collection, in their order.

use std::convert::Infallible;

use crate::{
    id::{Id, Revision},
    schema::Collection,
    time::Timestamp,
    value::Value,
};

/// A document. Which field a value belongs to is its place; the first is the id, the last three
/// are `created_at`, `updated_at` and `_rev`.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    values: Vec<Value>,
}

impl Document {
    /// A document of these values, one per field of the collection.
    pub const fn from_values(values: Vec<Value>) -> Self {
        Self { values }
    }

    /// A document in which nothing has a value yet.
    pub fn empty(collection: &Collection) -> Self {
        Self::from_values(vec![Value::Null; collection.fields().len()])
    }

    /// How many bytes of memory it takes, about.
    pub fn size(&self) -> usize {
        self.values.iter().map(Value::size).sum()
    }

    /// The value of the field with this index.
    pub fn value(&self, field: usize) -> &Value {
        self.values.get(field).unwrap_or(&Value::Null)
    }

    /// All values.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Gives the field with this index a value.
    pub fn set(&mut self, field: usize, value: Value) {
        if let Some(slot) = self.values.get_mut(field) {
            *slot = value;
        }
    }

    /// The value of the field with this index, to be changed in place.
    pub fn value_mut(&mut self, field: usize) -> Option<&mut Value> {
        self.values.get_mut(field)
    }

    /// The id, once it has one.
    pub fn id(&self) -> Option<Id> {
        match self.value(Collection::ID) {
            Value::Uuid(uuid) => Some(Id::from_uuid(*uuid)),
            _ => None,
        }
    }

    /// The revision; zero before it is written.
    pub fn revision(&self) -> Revision {
        match self.values.last() {
            Some(Value::Int(number)) => Revision::new(*number),
            _ => Revision::new(0),
        }
    }

    /// Gives it the revision of the version that is being written.
    pub fn set_revision(&mut self, revision: Revision) {
        if let Some(last) = self.values.last_mut() {
            *last = Value::Int(revision.number());
        }
    }

    /// Gives a new document its first revision, unless it brings one along: so a write that was
    /// queued has the revision that it was promised.
    pub fn begin_revision(&mut self, revision: Revision) {
        if self.revision() == Revision::new(0) {
            self.set_revision(revision);
        }
    }

    /// Gives numbers the one form in which all tiers hold them.
    pub fn normalize(&mut self) {
        self.values.iter_mut().for_each(Value::normalize);
    }

    /// Notes when it was changed. Never goes back, even where the clock does.
    pub fn touch(&mut self, now: Timestamp) {
        let index = self.values.len().saturating_sub(2);
        let later = match self.value(index) {
            Value::Timestamp(before) => now.max(*before),
            _ => now,
        };
        self.set(index, Value::Timestamp(later));
    }

    /// Notes when it came into being.
    pub fn set_created_at(&mut self, now: Timestamp) {
        self.set(self.values.len().saturating_sub(3), Value::Timestamp(now));
    }

    /// Appends the document as it is sent: every field that may leave, in order.
    pub fn write_json(&self, collection: &Collection, out: &mut Vec<u8>) {
        self.write_fields(collection, collection.sent_fields(), out);
    }

    /// Appends the document with these fields only.
    pub fn write_fields(&self, collection: &Collection, fields: &[usize], out: &mut Vec<u8>) {
        write_fields(collection, fields, out, |index, out| {
            let field = &collection.fields()[index];
            field.write_json(self.value(index), out);
            Ok::<_, Infallible>(())
        })
        .unwrap_or_else(|never| match never {});
    }
}

/// Appends a document of these fields; `write` appends the value of each.
///
/// # Errors
/// The first one of `write`, and the document ends there.
pub fn write_fields<E>(
    collection: &Collection,
    fields: &[usize],
    out: &mut Vec<u8>,
    mut write: impl FnMut(usize, &mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    out.push(b'{');
    for (position, &index) in fields.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        // Names come from the schema and need no escaping.
        out.push(b'"');
        out.extend_from_slice(collection.fields()[index].name.as_bytes());
        out.extend_from_slice(b"\":");
        write(index, out)?;
    }
    out.push(b'}');
    Ok(())
}
