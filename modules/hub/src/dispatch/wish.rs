//! What a subscription asks for.

use nubo_core::nearest;
use nubo_core::{
    Error, Result, Violation,
    bus::{Channel, Position},
    caller::Caller,
    filter::{Expr, Reader},
    id::Id,
    schema::{Catalog, Collection, CollectionId},
    time::Timestamp,
    with_hint,
};

use crate::{
    channels::Resolved,
    request::{Subscribe, wrong},
};

/// A checked subscription.
#[derive(Debug)]
pub(crate) struct Wish {
    pub channel: Channel,
    /// The collections that are heard on the channel.
    pub carries: Vec<CollectionId>,
    /// What the channel is named after: who may not read it may not be there.
    pub named_after: Vec<(CollectionId, Id)>,
    pub scope: Scope,
    pub since: Option<Position>,
    pub presence: bool,
}

/// What of a channel somebody wants to hear. Who wants the same shares one evaluation.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Scope {
    /// Nothing else than this collection.
    pub only: Option<CollectionId>,
    /// Nothing else than documents that match.
    pub filter: Option<Expr>,
    /// Nothing else of a document than these fields.
    pub fields: Option<Vec<usize>>,
}

impl Wish {
    /// # Errors
    /// 400 where filter or fields cannot be read, 403 where they name what cannot be asked for, 422
    /// where it is not clear which collection they are about.
    pub fn new(
        resolved: Resolved,
        subscribe: Subscribe,
        caller: &Caller,
        catalog: &Catalog,
        now: Timestamp,
    ) -> Result<Self> {
        let only = match &subscribe.collection {
            Some(name) => Some(carried(name, &resolved, catalog)?),
            None => None,
        };
        let mut scope = Scope {
            only,
            ..Scope::default()
        };
        if subscribe.filter.is_some() || subscribe.fields.is_some() {
            let one = match (only, &resolved.carries[..]) {
                (Some(only), _) => only,
                (None, [only]) => *only,
                _ => {
                    let message = "is needed, because the channel is of several collections";
                    return Err(wrong("/collection", "required", message));
                }
            };
            let collection = catalog.get(one);
            if let Some(filter) = &subscribe.filter {
                let filter = Reader::of_client(catalog, collection)
                    .read(filter)
                    .map_err(|error| error.nested("/filter"))?;
                check_named(&filter, collection, caller, now)?;
                scope.filter = (!filter.is_always()).then_some(filter);
            }
            if let Some(names) = &subscribe.fields {
                scope.fields = Some(fields(names, collection)?);
            }
            scope.only = Some(one);
        }
        Ok(Self {
            channel: resolved.channel,
            carries: resolved.carries,
            named_after: resolved.named_after,
            scope,
            since: subscribe.since,
            presence: subscribe.presence && caller.account_id().is_some(),
        })
    }
}

impl Scope {
    /// Whether somebody may still ask for this.
    pub fn may_be_asked(&self, caller: &Caller, catalog: &Catalog, now: Timestamp) -> bool {
        match (&self.filter, self.only) {
            (Some(filter), Some(only)) => {
                check_named(filter, catalog.get(only), caller, now).is_ok()
            }
            _ => true,
        }
    }
}

/// 403 where a filter names a field that is not always to be seen.
fn check_named(
    filter: &Expr,
    collection: &Collection,
    caller: &Caller,
    now: Timestamp,
) -> Result<()> {
    let mut named = Vec::new();
    filter.for_each_field(&mut |field| named.push(field));
    collection.view(caller, now).check_named(collection, named)
}

/// One of the collections of a channel, by its name.
fn carried(name: &str, resolved: &Resolved, catalog: &Catalog) -> Result<CollectionId> {
    let mut carried = resolved.carries.iter().map(|id| catalog.get(*id));
    match carried.clone().find(|collection| collection.name == name) {
        Some(collection) => Ok(collection.id),
        None => {
            let word = nearest(name, carried.by_ref().map(|c| c.name.as_str()));
            let message = with_hint(format!("`{name}` is not heard on this channel"), word);
            Err(wrong("/collection", "unknown_collection", message))
        }
    }
}

/// The fields with these names, in the collection's order, the id always among them.
fn fields(names: &[String], collection: &Collection) -> Result<Vec<usize>> {
    let mut fields = vec![Collection::ID];
    let mut violations = Vec::new();
    for (index, name) in names.iter().enumerate() {
        match collection.field_named(name) {
            Some((field, found)) if found.is_queryable() => fields.push(field),
            _ => violations.push(Violation::new(
                format!("/fields/{index}"),
                "unknown_field",
                collection.unknown_field(name),
            )),
        }
    }
    if !violations.is_empty() {
        return Err(Error::BadRequest {
            code: "invalid_fields",
            detail: "the fields cannot be read".into(),
            errors: violations,
        });
    }
    if collection.is_flux {
        // What is not stored has no id.
        fields.retain(|field| *field != Collection::ID);
    }
    fields.sort_unstable();
    fields.dedup();
    Ok(fields)
}
