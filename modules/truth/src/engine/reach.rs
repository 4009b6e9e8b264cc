//! What a transaction may touch, as far as that can be told before it is executed.

use std::collections::HashSet;

use nubo_core::{
    access::Permit,
    declare::Trigger,
    field::FieldType,
    filter::Expr,
    schema::{Catalog, Collection, Rule},
    write::{Operation, Target, Transaction},
};

use super::queue::{Place, Reach};

/// What is known of each collection, by its place in the catalog.
pub(super) struct Reaches {
    collections: Vec<Known>,
    /// Whether it matters: one lane alone keeps nothing from others.
    matters: bool,
}

#[derive(Clone, Copy, Default)]
struct Known {
    /// Creating a document does nothing else.
    plain_create: bool,
    /// Changing a document does nothing else.
    plain_update: bool,
}

impl Reaches {
    pub fn new(catalog: &Catalog, matters: bool) -> Self {
        let mut looked_up = HashSet::new();
        for collection in catalog.collections() {
            for rule in rules(collection) {
                rule.for_each_selected(&mut |collection| {
                    looked_up.insert(collection);
                });
            }
        }
        let collections = catalog.collections().iter().map(|collection| {
            let free = !looked_up.contains(&collection.id) && !has_listed_references(collection);
            Known {
                plain_create: free && !has_effects(collection, Trigger::Create),
                plain_update: free && !has_effects(collection, Trigger::Update),
            }
        });
        Self {
            collections: collections.collect(),
            matters,
        }
    }

    /// What these transactions may touch.
    pub fn of<'a>(&self, transactions: impl IntoIterator<Item = &'a Transaction>) -> Reach {
        if !self.matters {
            return Reach::Anything;
        }
        let mut documents = Vec::new();
        for transaction in transactions {
            if transaction.permits.iter().any(looks_elsewhere) {
                return Reach::Anything;
            }
            for operation in &transaction.operations {
                match self.document(operation) {
                    Some(document) => documents.push(document),
                    None => return Reach::Anything,
                }
            }
        }
        Reach::Documents(documents)
    }

    /// The one document that an operation touches; none where there may be others.
    fn document(&self, operation: &Operation) -> Option<Place> {
        let known = self.collections.get(operation.collection().index())?;
        match operation {
            Operation::Create {
                collection,
                document,
            } if known.plain_create => Some((*collection, document.id()?)),
            Operation::Update {
                collection,
                target: Target::One { id, .. },
                ..
            } if known.plain_update => Some((*collection, *id)),
            _ => None,
        }
    }
}

fn has_effects(collection: &Collection, on: Trigger) -> bool {
    collection.effects.iter().any(|effect| effect.on == on)
}

fn has_listed_references(collection: &Collection) -> bool {
    collection.fields().iter().any(
        |field| matches!(&field.kind, FieldType::List(item) if matches!(**item, FieldType::Ref(_))),
    )
}

/// Whether it depends on other documents.
fn looks_elsewhere(permit: &Permit) -> bool {
    let conditions = [&permit.visible, &permit.before, &permit.after];
    let fields = permit.fields.iter().map(|field| &field.condition);
    conditions
        .into_iter()
        .chain(fields)
        .any(Expr::has_sub_query)
}

/// All rules of a collection.
fn rules(collection: &Collection) -> impl Iterator<Item = &Rule> {
    let access = &collection.access;
    let actions = [&access.read, &access.create, &access.update, &access.delete];
    let fields = access
        .fields
        .iter()
        .flat_map(|rules| [&rules.readable_by, &rules.writable_by]);
    actions.into_iter().chain(fields).flatten()
}
