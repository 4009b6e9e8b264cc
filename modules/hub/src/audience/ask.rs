//! The slow way: holding a filter against a document for one caller at a time, with the store
//! answering the sub-queries.

use std::{collections::HashSet, sync::Arc};

use nubo_core::{
    Result,
    caller::Caller,
    document::Document,
    filter::{Decision, DecisionStep, Expr, Path, Select, Test},
    schema::{Catalog, Collection},
    store::Store,
    time::Timestamp,
    value::Value,
};

use super::{Audience, Fitting};

/// Whether a document matches, sub-queries and all.
pub(crate) async fn decide(
    expr: &Expr,
    document: &Document,
    collection: &Collection,
    catalog: &Catalog,
    store: &dyn Store,
) -> Result<bool> {
    let mut decision = Decision::default();
    loop {
        match decision.step(expr, document, collection.fields()) {
            DecisionStep::Decided(matches) => return Ok(matches),
            DecisionStep::Ask(select, value) => {
                let found = contains(&select, &value, catalog, store).await?;
                decision.answer(*select, value, found);
            }
        }
    }
}

async fn contains(
    select: &Select,
    value: &Value,
    catalog: &Catalog,
    store: &dyn Store,
) -> Result<bool> {
    let fields = catalog.get(select.collection).fields();
    let path = Path::to_field(select.field, &fields[select.field]);
    let is_it = Expr::field(path, Test::Equal(value.clone()));
    let filter = is_it.and(select.condition.clone());
    let count = store
        .count(&Caller::Server, select.collection, filter)
        .await?;
    Ok(count > 0)
}

impl Audience {
    /// The same audience, as far as these callers go, with everything asked that must be.
    pub async fn ask(
        self,
        callers: &[Caller],
        now: Timestamp,
        catalog: &Catalog,
        store: &dyn Store,
    ) -> Result<Self> {
        if !self.asks() {
            return Ok(self);
        }
        let inside = |part: Self| Box::pin(part.ask(callers, now, catalog, store));
        Ok(match self {
            Self::All(parts) => {
                let mut asked = Vec::with_capacity(parts.len());
                for part in parts {
                    asked.push(inside(part).await?);
                }
                Self::all(asked)
            }
            Self::Any(parts) => {
                let mut asked = Vec::with_capacity(parts.len());
                for part in parts {
                    asked.push(inside(part).await?);
                }
                Self::any(asked)
            }
            Self::Not(part) => Self::not(inside(*part).await?),
            Self::Having(needs, part) => Self::Having(needs, Box::new(inside(*part).await?)),
            Self::Asking(fitting) => fitting.ask(callers, now, catalog, store).await?,
            other => other,
        })
    }

    /// Whether some part of it must be asked for each caller.
    pub fn asks(&self) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::asks),
            Self::Not(part) | Self::Having(_, part) => part.asks(),
            Self::Asking(_) => true,
            _ => false,
        }
    }
}

impl Fitting {
    async fn ask(
        &self,
        callers: &[Caller],
        now: Timestamp,
        catalog: &Catalog,
        store: &dyn Store,
    ) -> Result<Audience> {
        let collection = catalog.get(self.collection);
        let mut accounts = HashSet::new();
        let mut anonymous = false;
        for caller in callers {
            let Some(bound) = caller.bind(&self.expr, now) else {
                continue;
            };
            if decide(&bound, &self.document, collection, catalog, store).await? {
                match caller.account_id() {
                    Some(id) => {
                        accounts.insert(id);
                    }
                    None => anonymous = true,
                }
            }
        }
        Ok(Audience::Asked {
            accounts: Arc::new(accounts),
            anonymous,
        })
    }
}
