//! Whether an operation may happen. Decided where it happens, under the writer's lock: what a rule
//! looks up is what the operation finds, and nobody changes it in between.

use nubo_core::{
    Error, Result,
    access::Permit,
    document::Document,
    filter::{Decision, DecisionStep, Expr},
    schema::Collection,
};

use super::Engine;
use crate::session::Session;

impl<S: Session> Engine<S> {
    /// Whether a document matches, sub-queries and all.
    async fn decide(
        &mut self,
        expr: &Expr,
        document: &Document,
        schema: &Collection,
    ) -> Result<bool> {
        if expr.is_always() || expr.is_never() {
            return Ok(expr.is_always());
        }
        let catalog = self.catalog.clone();
        let mut decision = Decision::default();
        loop {
            match decision.step(expr, document, schema.fields()) {
                DecisionStep::Decided(matches) => return Ok(matches),
                DecisionStep::Ask(select, value) => {
                    let found = self.session.contains(&select, &value, &catalog).await?;
                    decision.answer(*select, value, found);
                }
            }
        }
    }

    /// 404 where a document is not there for who asks, 403 where it may not be touched.
    pub(super) async fn check_before(
        &mut self,
        permit: &Permit,
        document: &Document,
        schema: &Collection,
    ) -> Result<()> {
        if !self.decide(&permit.visible, document, schema).await? {
            return Err(Error::no_document(&schema.name));
        }
        if !self.decide(&permit.before, document, schema).await? {
            return Err(refused(schema));
        }
        Ok(())
    }

    /// 403 where a document must not become this. `before` is none where it is new.
    pub(super) async fn check_after(
        &mut self,
        permit: &Permit,
        before: Option<&Document>,
        after: &Document,
        schema: &Collection,
    ) -> Result<()> {
        if !self.decide(&permit.after, after, schema).await? {
            return Err(refused(schema));
        }
        for field in &permit.fields {
            let is_same = |before: &Document| before.value(field.field) == after.value(field.field);
            if !field.even_unchanged && before.is_some_and(is_same) {
                continue;
            }
            let was_allowed = match before {
                Some(before) => self.decide(&field.condition, before, schema).await?,
                None => true,
            };
            if !was_allowed || !self.decide(&field.condition, after, schema).await? {
                return Err(Error::Forbidden {
                    code: "field_not_writable",
                    detail: format!(
                        "`{}` of {} cannot be given this value by this account",
                        schema.fields()[field.field].name,
                        schema.name
                    ),
                });
            }
        }
        Ok(())
    }
}

fn refused(schema: &Collection) -> Error {
    Error::forbidden(format!(
        "the access rules of {} do not allow this",
        schema.name
    ))
}
