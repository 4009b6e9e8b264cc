//! What has a value for each field of a collection: a whole document, or the few values of one that
//! are asked about often.

use std::sync::Arc;

use crate::{document::Document, id::Revision, value::Value};

/// Has a value for each field.
pub trait Record {
    /// The value of the field with this index.
    fn value(&self, field: usize) -> &Value;
}

impl Record for Document {
    fn value(&self, field: usize) -> &Value {
        Document::value(self, field)
    }
}

impl<R: Record> Record for &R {
    fn value(&self, field: usize) -> &Value {
        (**self).value(field)
    }
}

/// Some values of a document. The others are null here, whatever they are in the document, so ask
/// [`Excerpts::covers`] before something is held against it.
#[derive(Debug, Clone, PartialEq)]
pub struct Excerpt {
    places: Arc<[u8]>,
    values: Box<[Value]>,
}

impl Record for Excerpt {
    fn value(&self, field: usize) -> &Value {
        let place = self.places.get(field).copied().unwrap_or(NOWHERE);
        self.values.get(usize::from(place)).unwrap_or(&Value::Null)
    }
}

impl Excerpt {
    /// How many bytes of memory it takes, about; what all excerpts of a collection share not counted.
    pub fn size(&self) -> usize {
        self.values.iter().map(Value::size).sum()
    }

    /// Its values, in the order of [`Excerpts::fields`].
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Gives a field another value, where it has any here. For those who try out what would follow.
    pub fn set(&mut self, field: usize, value: Value) {
        let place = self.places.get(field).copied().unwrap_or(NOWHERE);
        if let Some(slot) = self.values.get_mut(usize::from(place)) {
            *slot = value;
        }
    }
}

/// The place of a field that is not in an excerpt. No excerpt has so many fields.
const NOWHERE: u8 = u8::MAX;

/// Which fields the excerpts of a collection have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpts {
    fields: Vec<usize>,
    places: Arc<[u8]>,
}

impl Excerpts {
    /// Excerpts with these fields, of documents with so many. A field beyond what an excerpt can
    /// hold is left out.
    pub fn new(mut fields: Vec<usize>, of: usize) -> Self {
        fields.sort_unstable();
        fields.dedup();
        fields.truncate(usize::from(NOWHERE));
        let mut places = vec![NOWHERE; of];
        for (place, field) in (0..NOWHERE).zip(&fields) {
            if let Some(slot) = places.get_mut(*field) {
                *slot = place;
            }
        }
        Self {
            fields,
            places: places.into(),
        }
    }

    /// The fields, by their index.
    pub fn fields(&self) -> &[usize] {
        &self.fields
    }

    /// Whether an excerpt has this field.
    pub fn covers(&self, field: usize) -> bool {
        self.places.get(field).is_some_and(|at| *at != NOWHERE)
    }

    /// The excerpt of a document.
    pub fn of(&self, document: &Document) -> Excerpt {
        let values = self.fields.iter().map(|field| document.value(*field));
        self.from_values(values.cloned().collect())
    }

    /// The excerpt with these values, in the order of [`Excerpts::fields`].
    pub fn from_values(&self, values: Vec<Value>) -> Excerpt {
        debug_assert_eq!(values.len(), self.fields.len());
        Excerpt {
            places: Arc::clone(&self.places),
            values: values.into(),
        }
    }
}

/// Which state of a document is meant: its revision and, after that one, its end. Orders the states
/// of one document even where the revision of its end is not known, because what comes after an end
/// has a revision above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    pub revision: Revision,
    /// Whether it was deleted in this revision.
    pub gone: bool,
}

impl Version {
    /// A document that is there.
    pub const fn there(revision: Revision) -> Self {
        Self {
            revision,
            gone: false,
        }
    }

    /// The end of a document.
    pub const fn gone(last: Revision) -> Self {
        Self {
            revision: last,
            gone: true,
        }
    }

    /// What a document is, after a change that began with another one.
    pub fn after(before: Option<&Document>, after: Option<&Document>) -> Option<Self> {
        match (before, after) {
            (_, Some(document)) => Some(Self::there(document.revision())),
            (Some(document), None) => Some(Self::gone(document.revision())),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_has_the_values_of_its_fields() {
        let document = Document::from_values((0..5).map(Value::Int).collect());
        let excerpts = Excerpts::new(vec![3, 1, 3], 5);
        assert_eq!(excerpts.fields(), [1, 3]);
        let excerpt = excerpts.of(&document);
        let values: Vec<&Value> = (0..6).map(|field| excerpt.value(field)).collect();
        let null = &Value::Null;
        assert_eq!(
            values,
            [null, &Value::Int(1), null, &Value::Int(3), null, null]
        );
        assert!(excerpts.covers(3) && !excerpts.covers(2) && !excerpts.covers(9));
    }

    #[test]
    fn the_end_of_a_document_stands_between_its_revisions() {
        let there = |n| Version::there(Revision::new(n));
        let gone = Version::gone(Revision::new(5));
        assert!(there(5) < gone && gone < there(6));
    }
}
