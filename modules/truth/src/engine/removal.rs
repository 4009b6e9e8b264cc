//! The end of a document and what that means for those that refer to it: children first, then
//! those that only let go, then the document itself.

use nubo_core::{
    Error, Result, Violation,
    change::{Action, Change, Step},
    declare::{OnDelete, Trigger},
    document::Document,
    filter::{Expr, Path, Root, Test},
    schema::{Collection, CollectionId, Reverse},
    value::Value,
};

use super::{Engine, execute::Cause};
use crate::{fault::Refusal, sql::write};

impl Engine {
    /// Deletes a document, its consequences and effects. Says whether it was still there.
    pub(super) async fn delete(
        &mut self,
        collection: CollectionId,
        document: Document,
        cause: Cause,
    ) -> Result<bool> {
        let schema = self.catalog.get(collection).clone();
        let Some(id) = document.id() else {
            return Ok(false);
        };
        let deeper = match schema.referenced_by.is_empty() {
            true => cause,
            false => cause.deeper()?,
        };
        for reverse in &schema.referenced_by {
            match reverse.on_delete {
                OnDelete::Cascade => {
                    let filter = self.referring(reverse, &document);
                    Box::pin(self.delete_all(reverse.collection, &filter, deeper)).await?;
                }
                OnDelete::SetNull => {
                    let filter = self.referring(reverse, &document);
                    let change = self.letting_go(reverse, &document);
                    Box::pin(self.update_all(reverse.collection, &filter, &change, deeper)).await?;
                }
                OnDelete::Restrict => {}
            }
        }
        for reverse in &schema.referenced_by {
            if reverse.on_delete == OnDelete::Restrict {
                self.refuse_if_referred(&schema, reverse, &document).await?;
            }
        }
        // A cascade may have come round to this very document, or changed it.
        let Some(document) = self.session.load(&schema, id).await? else {
            return Ok(false);
        };
        self.tombstones = true;
        for statement in [
            write::delete(&schema, id),
            write::bury(&schema, &document, cause.micros),
        ] {
            match self.session.execute(statement).await {
                Ok(()) => {}
                Err(Refusal::Other(error)) => return Err(error),
                Err(refusal) => return Err(self.explain(refusal, &schema, &document).await?),
            }
        }
        self.effects(&schema, Trigger::Delete, &document, cause)
            .await?;
        Ok(true)
    }

    /// The documents that refer to this one through a field.
    fn referring(&self, reverse: &Reverse, document: &Document) -> Expr {
        let field = &self.catalog.get(reverse.collection).fields()[reverse.field];
        Expr::Test {
            path: Path::to_field(reverse.field, field),
            test: Test::Equal(document.value(Collection::ID).clone()),
        }
    }

    /// What makes them let go: null, or a list without the id.
    fn letting_go(&self, reverse: &Reverse, document: &Document) -> Change {
        let field = &self.catalog.get(reverse.collection).fields()[reverse.field];
        let path = Path::to_field(reverse.field, field);
        let action = match (&field.kind, reverse.list) {
            (nubo_core::field::FieldType::List(item), true) => Action::Pull(Expr::Test {
                path: Path {
                    root: Root::Item,
                    segments: Vec::new(),
                    leaf: (**item).clone(),
                },
                test: Test::Equal(document.value(Collection::ID).clone()),
            }),
            _ => Action::Set(Value::Null),
        };
        Change {
            steps: vec![Step {
                path,
                action,
                pointer: format!("/{}", field.name),
            }],
        }
    }

    async fn refuse_if_referred(
        &mut self,
        schema: &Collection,
        reverse: &Reverse,
        document: &Document,
    ) -> Result<()> {
        let catalog = self.catalog.clone();
        let other = catalog.get(reverse.collection);
        let filter = self.referring(reverse, document);
        let found = self.session.walk(other, &catalog, &filter, None, 2).await?;
        // It may refer to itself, and takes that along.
        let others = found
            .iter()
            .any(|found| reverse.collection != schema.id || found.id() != document.id());
        if !others {
            return Ok(());
        }
        let field = &other.fields()[reverse.field].name;
        Err(Error::Conflict {
            code: "referenced",
            detail: format!(
                "documents in {} still refer to this one of {} by `{field}`",
                other.name, schema.name
            ),
            errors: vec![Violation::new(
                "",
                "referenced",
                format!("is referred to by {}.{field}", other.name),
            )],
        })
    }
}
