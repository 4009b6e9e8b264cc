//! Effects: what a write causes elsewhere, in the same transaction.

use nubo_core::{
    Result,
    access::Permit,
    clock::new_id,
    declare::Trigger,
    document::Document,
    filter::{Expr, Operand},
    schema::{Circumstances, Collection, CollectionId, Effect, EffectAction},
};

use super::{Engine, execute::Cause, walk::Deed};
use crate::session::Session;

impl<S: Session> Engine<S> {
    /// Carries out the effects that a write on a document has.
    pub(super) async fn effects(
        &mut self,
        schema: &Collection,
        on: Trigger,
        document: &Document,
        cause: Cause,
    ) -> Result<()> {
        for effect in schema.effects.iter().filter(|effect| effect.on == on) {
            if !self.applies(effect, schema, document, cause) {
                continue;
            }
            let cause = cause.deeper()?;
            let Some((through, condition)) = &effect.for_each else {
                Box::pin(self.act(&effect.action, document, None, cause)).await?;
                continue;
            };
            let Some(filter) = self.bound(condition, document, None, cause) else {
                continue;
            };
            let mut after = None;
            loop {
                let stretch = self.stretch(*through, &filter, after).await?;
                let Some(last) = stretch.last() else { break };
                after = last.id();
                let read_at = self.written;
                for each in stretch {
                    let Some(each) = self.current(*through, &filter, each, read_at).await? else {
                        continue;
                    };
                    Box::pin(self.act(&effect.action, document, Some(&each), cause)).await?;
                }
            }
        }
        Ok(())
    }

    fn applies(
        &self,
        effect: &Effect,
        schema: &Collection,
        document: &Document,
        cause: Cause,
    ) -> bool {
        effect.when.is_always()
            || self
                .bound(&effect.when, document, None, cause)
                .is_some_and(|when| when.matches(document, schema.fields(), &()))
    }

    /// A condition with values for its variables; none where one has no value, since what refers
    /// to nothing concerns no document.
    fn bound(
        &self,
        condition: &Expr<Operand>,
        doc: &Document,
        each: Option<&Document>,
        cause: Cause,
    ) -> Option<Expr> {
        let new_id = || new_id(self.clock.as_ref(), self.random.as_ref());
        condition.bind(&Circumstances {
            doc,
            each,
            now: cause.now,
            new_id: &new_id,
        })
    }

    async fn act(
        &mut self,
        action: &EffectAction,
        doc: &Document,
        each: Option<&Document>,
        cause: Cause,
    ) -> Result<()> {
        match action {
            EffectAction::Create { collection, values } => {
                let document = self.derived(*collection, values, doc, each, cause)?;
                if values.iter().any(|(field, _)| *field == Collection::ID) {
                    let schema = self.catalog.get(*collection).clone();
                    self.recall(&schema, document.id().as_slice()).await?;
                }
                self.create(*collection, document, cause).await.map(drop)
            }
            EffectAction::Update {
                collection,
                condition,
                change,
            } => {
                let Some(filter) = self.bound(condition, doc, each, cause) else {
                    return Ok(());
                };
                let change = {
                    let new_id = || new_id(self.clock.as_ref(), self.random.as_ref());
                    change.bind(&Circumstances {
                        doc,
                        each,
                        now: cause.now,
                        new_id: &new_id,
                    })
                };
                self.walk(
                    *collection,
                    &filter,
                    Deed::Update(&change, &Permit::everything()),
                    cause,
                )
                .await
                .map(drop)
            }
            EffectAction::Delete {
                collection,
                condition,
            } => match self.bound(condition, doc, each, cause) {
                Some(filter) => self
                    .walk(*collection, &filter, Deed::Delete, cause)
                    .await
                    .map(drop),
                None => Ok(()),
            },
        }
    }

    /// The document that an effect creates, complete with defaults.
    fn derived(
        &self,
        collection: CollectionId,
        values: &[(usize, Operand)],
        doc: &Document,
        each: Option<&Document>,
        cause: Cause,
    ) -> Result<Document> {
        let schema = self.catalog.get(collection);
        let new_id = || new_id(self.clock.as_ref(), self.random.as_ref());
        let circumstances = Circumstances {
            doc,
            each,
            now: cause.now,
            new_id: &new_id,
        };
        let mut document = Document::empty(schema);
        for (field, operand) in values {
            let value = operand.value(&circumstances);
            document.set(*field, schema.fields()[*field].kind.adapt(value));
        }
        schema.complete(&mut document, cause.now, None, new_id)?;
        Ok(document)
    }
}
