//! References that lead nowhere, and other reasons why the database refuses a row.

use nubo_core::{
    Error, Result, Violation, document::Document, field::FieldType, id::Id, schema::Collection,
    value::Value,
};

use super::Engine;
use crate::{
    fault::{self, Refusal},
    session::Session,
};

impl<S: Session> Engine<S> {
    /// Checks that every reference in a list leads somewhere: foreign keys do not reach into lists.
    /// A document may name itself.
    pub(super) async fn check_listed_references(
        &mut self,
        schema: &Collection,
        document: &Document,
        before: Option<&Document>,
    ) -> Result<()> {
        let mut violations = Vec::new();
        for (index, field) in schema.declared_fields() {
            let FieldType::List(item) = &field.kind else {
                continue;
            };
            let FieldType::Ref(reference) = &**item else {
                continue;
            };
            let value = document.value(index);
            if before.is_some_and(|before| before.value(index) == value) {
                continue;
            }
            let Value::List(items) = value else { continue };
            let listed = |item: &Value| match item {
                Value::Uuid(uuid) => Some(Id::from_uuid(*uuid)),
                _ => None,
            };
            let target = self.catalog.get(reference.collection).clone();
            let mut wanted: Vec<Id> = items.iter().filter_map(listed).collect();
            wanted.sort_unstable();
            wanted.dedup();
            if target.id == schema.id {
                wanted.retain(|id| Some(*id) != document.id());
            }
            if wanted.is_empty() {
                continue;
            }
            let found = self.session.existing(&target, &wanted).await?;
            wanted.retain(|id| !found.contains(id));
            let unknown = items.iter().enumerate().filter(|(_, item)| {
                listed(item).is_some_and(|id| wanted.binary_search(&id).is_ok())
            });
            violations.extend(unknown.map(|(position, _)| {
                Violation::unknown_reference(&format!("{}/{position}", field.name), &target.name)
            }));
        }
        if !violations.is_empty() {
            return Err(Error::Invalid(violations));
        }
        Ok(())
    }

    /// Turns a refused row into what its sender did wrong. The outer error is a failure to find
    /// out.
    pub(super) async fn explain(
        &mut self,
        refusal: Refusal,
        schema: &Collection,
        document: &Document,
    ) -> Result<Error> {
        match refusal {
            Refusal::Other(error) => Err(error),
            Refusal::Unfit(error) => Ok(error),
            Refusal::Duplicate(fields) => Ok(fault::duplicate(schema, &fields)),
            Refusal::Reference => {
                let mut violations = Vec::new();
                for (index, field) in schema.declared_fields() {
                    let (FieldType::Ref(reference), Value::Uuid(uuid)) =
                        (&field.kind, document.value(index))
                    else {
                        continue;
                    };
                    let target = self.catalog.get(reference.collection).clone();
                    let id = Id::from_uuid(*uuid);
                    let itself = target.id == schema.id && document.id() == Some(id);
                    if !itself && self.session.existing(&target, &[id]).await?.is_empty() {
                        violations.push(Violation::unknown_reference(&field.name, &target.name));
                    }
                }
                if !violations.is_empty() {
                    return Ok(Error::Invalid(violations));
                }
                Ok(Error::Conflict {
                    code: "referenced",
                    detail: format!("other documents refer to this one of {}", schema.name),
                    errors: Vec::new(),
                })
            }
        }
    }
}
