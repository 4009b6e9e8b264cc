//! What a caller may do: the access rules of a collection held against who asks.
//!
//! Reads get a [`View`] that the tiers execute along with the question. Writes get a [`Permit`] that
//! the truth checks under its lock, because what a rule looks up must not change in between; what
//! needs no look-up is decided here, so that such a write keeps the fast way.

use nubo_core::{
    Error, Result, Violation,
    access::{Permit, View},
    caller::Caller,
    document::Document,
    filter::{Decision, DecisionStep, Expr},
    query::Query,
    schema::{Collection, CollectionId},
    time::Timestamp,
    value::Value,
    write::{Operation, Outcome, Target},
};

use crate::Tiers;

impl Tiers {
    /// What the caller sees of a collection; 401 where that is nothing for want of an account.
    pub(crate) fn view(&self, caller: &Caller, collection: CollectionId) -> Result<View> {
        self.catalog
            .get(collection)
            .view_for(caller, self.clock.now())
    }

    /// 403 where a question is about fields that the caller cannot always see.
    pub(crate) fn check_query(&self, view: &View, query: &Query) -> Result<()> {
        self.check_filter(view, query.collection, &query.filter)?;
        let sorted = query.sort.iter().map(|key| key.field);
        view.check_named(self.catalog.get(query.collection), sorted)
    }

    /// 403 where a filter names fields that the caller cannot always see.
    pub(crate) fn check_filter(
        &self,
        view: &View,
        collection: CollectionId,
        filter: &Expr,
    ) -> Result<()> {
        if view.masks.is_empty() {
            return Ok(());
        }
        let mut named = Vec::new();
        filter.for_each_field(&mut |field| named.push(field));
        view.check_named(self.catalog.get(collection), named)
    }

    /// What an operation must satisfy. One on many documents is narrowed to those that the caller
    /// may touch.
    pub(crate) fn permit(
        &self,
        caller: &Caller,
        now: Timestamp,
        operation: &mut Operation,
    ) -> Result<Permit> {
        if *caller == Caller::Server {
            return Ok(Permit::everything());
        }
        let collection = self.catalog.get(operation.collection()).clone();
        let mut permit = match operation {
            Operation::Create { document, .. } => {
                return collection.permit_create(caller, now, document);
            }
            _ if collection.append_only => return Err(append_only(&collection)),
            Operation::Update { change, .. } => {
                let changed: Vec<usize> = change.fields().collect();
                let mut permit =
                    collection.permit_update(caller, now, |field| changed.contains(&field))?;
                // What `$max` or `$pull` does tells what was there: who may not read the field may
                // only replace it.
                let view = collection.view(caller, now);
                for step in change.steps.iter().filter(|step| step.action.looks()) {
                    let field = step.path.field();
                    if let Some(mask) = field.and_then(|field| view.mask(field)) {
                        permit.before = permit.before.and(mask.shown.clone());
                    }
                }
                permit
            }
            Operation::Delete { .. } => collection.permit_delete(caller, now)?,
        };
        if let Operation::Update { target, .. } | Operation::Delete { target, .. } = operation
            && let Target::Matching(filter) = target
        {
            let view = collection.view(caller, now);
            self.check_filter(&view, collection.id, filter)?;
            let asked = std::mem::replace(filter, Expr::always());
            let visible = std::mem::replace(&mut permit.visible, Expr::always());
            let before = std::mem::replace(&mut permit.before, Expr::always());
            *filter = asked.and(visible).and(before);
        }
        Ok(permit)
    }

    /// Decides about a new document what can be decided without looking anything up.
    pub(crate) fn decide_create(
        &self,
        collection: CollectionId,
        document: &Document,
        permit: &mut Permit,
    ) -> Result<()> {
        let collection = self.catalog.get(collection);
        let fields = collection.fields();
        if !permit.after.has_sub_query() {
            if !permit.after.matches(document, fields, &()) {
                return Err(Error::forbidden(format!(
                    "the access rules of {} do not allow this",
                    collection.name
                )));
            }
            permit.after = Expr::always();
        }
        for field in &permit.fields {
            let decidable = !field.condition.has_sub_query();
            if decidable && !field.condition.matches(document, fields, &()) {
                return Err(Error::Forbidden {
                    code: "field_not_writable",
                    detail: format!(
                        "`{}` of {} cannot be given this value by this account",
                        fields[field.field].name, collection.name
                    ),
                });
            }
        }
        permit
            .fields
            .retain(|field| field.condition.has_sub_query());
        Ok(())
    }

    /// Takes out of what was written the fields that the caller may not read.
    pub(crate) async fn mask(
        &self,
        caller: &Caller,
        collections: &[CollectionId],
        outcomes: &mut [Outcome],
    ) -> Result<()> {
        if *caller == Caller::Server {
            return Ok(());
        }
        for (collection, outcome) in collections.iter().zip(outcomes) {
            let (Outcome::Created(document)
            | Outcome::Accepted(document)
            | Outcome::Updated(document)) = outcome
            else {
                continue;
            };
            let collection = self.catalog.get(*collection);
            if collection.access.fields.is_empty() {
                continue;
            }
            let view = collection.view(caller, self.clock.now());
            let mut hidden = Vec::new();
            for mask in &view.masks {
                if !self.decide(&mask.shown, document, collection).await? {
                    hidden.push(mask.field);
                }
            }
            for field in hidden {
                document.set(field, Value::Null);
            }
        }
        Ok(())
    }

    /// Whether a document matches, sub-queries and all.
    async fn decide(
        &self,
        expr: &Expr,
        document: &Document,
        collection: &Collection,
    ) -> Result<bool> {
        let mut decision = Decision::default();
        loop {
            match decision.step(expr, document, collection.fields()) {
                DecisionStep::Decided(matches) => return Ok(matches),
                DecisionStep::Ask(select, value) => {
                    let found = self.truth.contains(&select, &value).await?;
                    decision.answer(*select, value, found);
                }
            }
        }
    }

    /// 422 where a password must not be chosen. The server's own may be anything.
    pub(crate) fn check_password(&self, name: &str, value: &Value) -> Result<()> {
        let Value::Secret(password) = value else {
            return Ok(());
        };
        match self.passwords.refusal(password) {
            None => Ok(()),
            Some((code, message)) => Err(Error::Invalid(vec![Violation::new(
                format!("/{name}"),
                code,
                message,
            )])),
        }
    }
}

/// Documents of an append-only collection stay as they are; only the server itself may clean up.
fn append_only(collection: &Collection) -> Error {
    Error::Forbidden {
        code: "append_only",
        detail: format!(
            "documents of {} cannot be changed or deleted",
            collection.name
        ),
    }
}
