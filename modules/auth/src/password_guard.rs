//! Keeps passwords from being changed like any other field.
//!
//! Whoever holds an access token for a moment must not be able to lock the owner out, so that a
//! change goes by [`password_change`](crate::password_change), which asks for the current password
//! and ends the other sessions.

use std::sync::Arc;

use async_trait::async_trait;
use nubo_core::{
    Error, Result,
    caller::Caller,
    hook::Hook,
    schema::Catalog,
    write::{Operation, Transaction},
};

use crate::model::Model;

/// Refuses changes of an account's password that do not come from the server itself.
pub(crate) struct PasswordGuard(pub Arc<Model>);

#[async_trait]
impl Hook for PasswordGuard {
    async fn before_write(&self, transaction: &mut Transaction, _: &Catalog) -> Result<()> {
        if transaction.caller == Caller::Server {
            return Ok(());
        }
        let accounts = &self.0.accounts;
        let changes_password = |operation: &Operation| match operation {
            Operation::Update {
                collection, change, ..
            } => {
                *collection == accounts.collection.id
                    && change.fields().any(|field| field == accounts.password)
            }
            Operation::Create { .. } | Operation::Delete { .. } => false,
        };
        match transaction.operations.iter().any(changes_password) {
            true => Err(Error::Forbidden {
                code: "password_change",
                detail: "a password is changed by POST /me/password".into(),
            }),
            false => Ok(()),
        }
    }
}
