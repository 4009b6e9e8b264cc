//! What every route of one collection needs.

use std::sync::Arc;

use nubo_core::{
    Error, Result,
    access::{ADMIN, Action},
    caller::Caller,
    filter::{Expr, Path, Test},
    id::Id,
    schema::{Catalog, Collection},
    sessions,
    store::Store,
    value::Value,
    write::{Operation, Outcome},
};
use poem::Request;

use crate::settings::Settings;

/// A collection and what its routes work with.
pub(crate) struct Resource {
    pub collection: Arc<Collection>,
    pub catalog: Arc<Catalog>,
    pub store: Arc<dyn Store>,
    pub settings: Arc<Settings>,
}

impl Resource {
    /// Executes one operation.
    pub async fn write(&self, caller: &Caller, operation: Operation) -> Result<Outcome> {
        let outcomes = self.store.write(caller, vec![operation]).await?;
        let first = outcomes.into_iter().next();
        first.ok_or_else(|| Error::internal("the store gave no outcome"))
    }

    /// Whether the answer says why it comes from where it does: 403 where that is asked by somebody
    /// who is not to know.
    pub fn explains(&self, caller: &Caller, asked: bool) -> Result<bool> {
        match !asked || self.settings.explain || caller.has_role(ADMIN) {
            true => Ok(asked),
            false => Err(Error::forbidden(
                "`explain` is for admins, and for everybody where `crud.explain` is set",
            )),
        }
    }

    /// The condition that it is this document.
    pub fn with_id(&self, id: Id) -> Expr {
        let field = &self.collection.fields()[Collection::ID];
        Expr::field(
            Path::to_field(Collection::ID, field),
            Test::Equal(Value::Uuid(id.uuid())),
        )
    }
}

/// On whose behalf a request is made, once it is clear that the action is not for accounts only: 401 comes before anything
/// is said about the request.
pub(crate) fn admitted(resource: &Resource, request: &Request, action: Action) -> Result<Caller> {
    let caller = sessions::caller(request)?;
    resource.collection.admit(action, &caller)?;
    Ok(caller)
}

/// The id in the path.
pub(crate) fn id(request: &Request) -> Result<Id> {
    Collection::read_id(request.raw_path_param("id").unwrap_or_default())
}

/// An outcome that does not belong to its operation. Says nothing of what is in it, because the
/// words go to the log.
pub(crate) fn unexpected(outcome: &Outcome) -> Error {
    Error::internal(match outcome {
        Outcome::Created(_) => "the store created instead",
        Outcome::Accepted(_) => "the store accepted a new document instead",
        Outcome::Updated(_) => "the store updated one document instead",
        Outcome::Deleted => "the store deleted one document instead",
        Outcome::Changed { .. } => "the store updated by filter instead",
        Outcome::Removed(_) => "the store deleted by filter instead",
    })
}
