//! From documents that are held to the bytes that this reader gets.

use std::sync::Arc;

use bytes::Bytes;
use nubo_core::{
    Result, cache::Held, document::Document, id::Id, record::Record, schema::Collection, sent,
    truth::Body, value::Value,
};

/// A document and what its reader does not see of it.
pub(super) struct Seen {
    pub held: Arc<Held>,
    /// Fields that are null.
    pub hidden: Vec<usize>,
}

impl Seen {
    /// The document's id.
    pub fn id(&self) -> Option<Id> {
        match self.held.excerpt.value(Collection::ID) {
            Value::Uuid(id) => Some(Id::from_uuid(*id)),
            _ => None,
        }
    }

    /// The document with all of its fields.
    pub fn body(&self, collection: &Collection) -> Body {
        Body {
            json: self.json(collection),
            revision: self.held.revision,
        }
    }

    fn json(&self, collection: &Collection) -> Bytes {
        if self.hidden.is_empty() {
            return self.held.json.clone();
        }
        let mut out = Vec::with_capacity(self.held.json.len());
        self.write(collection, None, &mut out);
        out.into()
    }

    /// Appends the document with these fields, or with all of them.
    pub fn write(&self, collection: &Collection, fields: Option<&[usize]>, out: &mut Vec<u8>) {
        if self.hidden.is_empty() && fields.is_none() {
            return out.extend_from_slice(&self.held.json);
        }
        let shown = |name: &str| {
            let (index, _) = collection.field_named(name)?;
            let wanted = fields.is_none_or(|fields| fields.contains(&index));
            wanted.then(|| !self.hidden.contains(&index))
        };
        sent::write_shaped(&self.held.json, shown, out);
    }

    /// The document as its reader sees it. What is never sent is null.
    pub fn document(&self, collection: &Collection) -> Result<Document> {
        let mut document = collection.read_sent(&self.held.json)?;
        for field in &self.hidden {
            document.set(*field, Value::Null);
        }
        Ok(document)
    }
}
