//! A gate held against a document.

use std::sync::Arc;

use nubo_core::{
    document::Document,
    id::Id,
    schema::{Catalog, Collection},
    value::Value,
};

use super::{
    Audience, Fitting, Gate, Node,
    lookups::{Known, Lookups},
};

/// What must be fetched before it can be said who is in an audience.
#[derive(Debug, Default)]
pub(crate) struct Missing(pub Vec<(usize, Value)>);

/// What gates are held against.
struct Evaluation<'a> {
    catalog: &'a Catalog,
    lookups: &'a Lookups,
    missing: Missing,
}

impl Gate {
    /// For whom it is open with a document.
    ///
    /// # Errors
    /// What must be fetched before it can be said.
    pub fn audience(
        &self,
        document: &Document,
        collection: &Collection,
        catalog: &Catalog,
        lookups: &Lookups,
    ) -> Result<Audience, Missing> {
        let mut evaluation = Evaluation {
            catalog,
            lookups,
            missing: Missing::default(),
        };
        let audience = evaluation.gate(self, document, collection);
        match evaluation.missing.0.is_empty() {
            true => Ok(audience),
            false => Err(evaluation.missing),
        }
    }
}

impl Evaluation<'_> {
    /// For whom the gate is open, as far as it can be said with what was fetched.
    fn gate(&mut self, gate: &Gate, document: &Document, collection: &Collection) -> Audience {
        match gate {
            Gate::Everyone => Audience::Everyone,
            Gate::Nobody => Audience::Nobody,
            Gate::Authenticated => Audience::Authenticated,
            Gate::Role(role) => Audience::Role(role.clone()),
            Gate::Owner => match collection.owner.map(|field| document.value(field)) {
                Some(Value::Uuid(uuid)) => Audience::Account(Id::from_uuid(*uuid)),
                _ => Audience::Nobody,
            },
            Gate::Filter { needs, node } => match self.node(node, document, collection) {
                Audience::Nobody => Audience::Nobody,
                part if needs.is_empty() => part,
                part => Audience::Having(needs.clone(), Box::new(part)),
            },
            Gate::Any(gates) => Audience::any(
                gates
                    .iter()
                    .map(|gate| self.gate(gate, document, collection)),
            ),
        }
    }

    fn node(&mut self, node: &Node, document: &Document, collection: &Collection) -> Audience {
        let fields = collection.fields();
        match node {
            Node::All(parts) => {
                // What the document alone decides comes first, so that no look-up is made in vain.
                let (first, rest): (Vec<_>, Vec<_>) =
                    parts.iter().partition(|part| !part.looks_up());
                let first = self.all(&first, document, collection);
                match first {
                    Audience::Nobody => Audience::Nobody,
                    first => Audience::all([first, self.all(&rest, document, collection)]),
                }
            }
            Node::Any(parts) => Audience::any(
                parts
                    .iter()
                    .map(|part| self.node(part, document, collection)),
            ),
            Node::Not(part) => Audience::not(self.node(part, document, collection)),
            Node::Document(expr) => match expr.matches(document, fields, &()) {
                true => Audience::Everyone,
                false => Audience::Nobody,
            },
            Node::IsCaller(path) => {
                let values = path.values(document, fields);
                Audience::any(values.iter().filter_map(|value| match value {
                    Value::Uuid(uuid) => Some(Audience::Account(Id::from_uuid(*uuid))),
                    _ => None,
                }))
            }
            Node::Attributes(expr) => Audience::Fitting(Arc::new(Fitting {
                expr: expr.clone(),
                document: document.clone(),
                collection: collection.id,
            })),
            Node::Ask(expr) => Audience::Asking(Arc::new(Fitting {
                expr: expr.clone(),
                document: document.clone(),
                collection: collection.id,
            })),
            Node::Found { path, lookup, test } => {
                let values = path.values(document, fields);
                let mut parts = Vec::with_capacity(values.len());
                for value in values.into_iter().filter(|value| !value.is_null()) {
                    match self.lookups.known(*lookup, &value) {
                        Some(Known::Members(members)) if members.is_empty() => {}
                        Some(Known::Members(members)) => {
                            parts.push(Audience::Members(Arc::clone(members)));
                        }
                        Some(Known::Documents(found)) => {
                            let lookup = self.lookups.of(*lookup);
                            let inside = self.catalog.get(lookup.select.collection);
                            for document in found {
                                parts.push(self.node(&lookup.inner, document, inside));
                            }
                        }
                        Some(Known::TooMany) => {
                            return Audience::Asking(Arc::new(Fitting {
                                expr: test.clone(),
                                document: document.clone(),
                                collection: collection.id,
                            }));
                        }
                        None => self.missing.0.push((*lookup, value)),
                    }
                }
                Audience::any(parts)
            }
        }
    }

    fn all(&mut self, parts: &[&Node], document: &Document, collection: &Collection) -> Audience {
        Audience::all(
            parts
                .iter()
                .map(|part| self.node(part, document, collection)),
        )
    }
}

impl Node {
    fn looks_up(&self) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::looks_up),
            Self::Not(part) => part.looks_up(),
            Self::Found { .. } | Self::Ask(_) => true,
            _ => false,
        }
    }
}
