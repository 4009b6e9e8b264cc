//! Which fields other instances need of a document.
//!
//! A hub needs what it sends, what clients may filter by, what the names of channels are made of,
//! and what rules for reading look at, in their own collection or in another. Everything else stays
//! where it is, the hashes of passwords first of all.

use nubo_core::{
    document::Document,
    field::FieldType,
    filter::{Expr, Operand, Root, Test},
    schema::{Catalog, Collection, CollectionId, Rule},
};
use serde_json::{Map, Value as Json, value::RawValue};

use super::{Unreadable, document};

/// By the collections' places, the fields that are sent.
pub(super) struct Needed {
    fields: Vec<Vec<usize>>,
}

/// Marks the fields that are needed, by collection.
struct Marks {
    fields: Vec<Vec<bool>>,
}

impl Needed {
    pub fn of(catalog: &Catalog) -> Self {
        let all = || catalog.collections().iter().chain(catalog.flux());
        let mut marks = Marks {
            fields: all()
                .map(|collection| vec![false; collection.fields().len()])
                .collect(),
        };
        for collection in all() {
            marks.collection(collection);
        }
        let fields = all().zip(marks.fields).map(|(collection, marked)| {
            let fields = marked.into_iter().enumerate();
            let needed = fields.filter(|(field, needed)| {
                *needed && collection.fields()[*field].kind != FieldType::Password
            });
            needed.map(|(field, _)| field).collect()
        });
        Self {
            fields: fields.collect(),
        }
    }

    /// A document from what was sent of it.
    ///
    /// # Errors
    /// Where a value is not of its field's type.
    pub fn read(
        &self,
        collection: &Collection,
        sent: Map<String, Json>,
    ) -> Result<Document, Unreadable> {
        document::read(collection, &self.fields[collection.id.index()], sent)
    }

    /// A document with what is needed of it.
    ///
    /// # Errors
    /// Where a value is not written as JSON, which none is.
    pub fn write(
        &self,
        collection: &Collection,
        document: &Document,
    ) -> serde_json::Result<Box<RawValue>> {
        let fields = &self.fields[collection.id.index()];
        let mut out = Vec::with_capacity(256);
        document.write_fields(collection, fields, &mut out);
        serde_json::from_slice(&out)
    }
}

impl Marks {
    fn collection(&mut self, collection: &Collection) {
        for (index, field) in collection.fields().iter().enumerate() {
            if field.is_queryable() || field.system {
                self.mark(collection.id, index);
            }
        }
        if let Some(template) = &collection.realtime.channel {
            template
                .fields()
                .for_each(|field| self.mark(collection.id, field));
        }
        if let Some(owner) = collection.owner {
            self.mark(collection.id, owner);
        }
        let fields = collection.access.fields.iter();
        let rules = fields.filter_map(|rules| rules.readable_by.as_ref());
        for rule in collection.access.read.iter().chain(rules) {
            self.rule(collection.id, rule);
        }
    }

    fn mark(&mut self, collection: CollectionId, field: usize) {
        if let Some(mark) = self.fields[collection.index()].get_mut(field) {
            *mark = true;
        }
    }

    fn rule(&mut self, collection: CollectionId, rule: &Rule) {
        match rule {
            Rule::Filter(expr) => self.expr(collection, expr),
            Rule::Any(rules) => {
                for rule in rules {
                    self.rule(collection, rule);
                }
            }
            Rule::Public | Rule::Authenticated | Rule::Owner | Rule::Role(_) | Rule::Nobody => {}
        }
    }

    fn expr(&mut self, collection: CollectionId, expr: &Expr<Operand>) {
        match expr {
            Expr::All(parts) | Expr::Any(parts) => {
                for part in parts {
                    self.expr(collection, part);
                }
            }
            Expr::Not(part) => self.expr(collection, part),
            Expr::Test { path, test } => {
                if let Root::Field(field) = path.root {
                    self.mark(collection, field);
                }
                match test {
                    Test::InSelect(select) => {
                        self.mark(select.collection, select.field);
                        self.expr(select.collection, &select.condition);
                    }
                    Test::ElemMatch(inner) => self.expr(collection, inner),
                    _ => {}
                }
            }
        }
    }
}
