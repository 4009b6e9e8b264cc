//! Accounts as the server itself finds and changes them: for signing in, and for the command line.

use std::sync::Arc;

use nubo_core::{
    Error, Pointer, Result, Violation,
    caller::Caller,
    change::{Action, Change},
    clock::Clock,
    document::Document,
    field::{FieldType, Source},
    filter::Expr,
    id::{Id, Revision},
    passwords::Passwords,
    schema::Collection,
    store::Store,
    value::Value,
    write::{Guard, Operation, Outcome, Target},
};
use serde_json::{Map, Value as Json};

use crate::{
    lookup,
    model::{AccountModel, Model},
    passwords::Argon2Passwords,
    session,
};

/// Longest identifier that is looked for, in bytes. Longer ones belong to nobody.
const MAX_IDENTIFIER: usize = 1024;
/// Most sessions of one account that are listed.
const MAX_SESSIONS: u32 = 200;

/// The accounts, for whoever acts for the server: the command line, and this module's routes.
pub struct Accounts {
    pub(crate) model: Arc<Model>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) passwords: Arc<Argon2Passwords>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What a text may be as an identifier: a field and the text as that field keeps it.
pub(crate) struct Identifier {
    candidates: Vec<(usize, String)>,
}

impl Identifier {
    /// Every form of it, each once: who tries passwords on one tries them on all.
    pub fn forms(&self) -> Vec<&str> {
        let mut forms: Vec<&str> = self
            .candidates
            .iter()
            .map(|(_, text)| text.as_str())
            .collect();
        forms.sort_unstable();
        forms.dedup();
        forms
    }
}

impl AccountModel {
    /// Reads an identifier: as a value of any of the fields that people sign in with, or of `only`
    /// one of them.
    pub fn identifier(&self, text: &str, only: Option<usize>) -> Identifier {
        let mut fields: Vec<usize> = match only {
            Some(field) => vec![field],
            None => self.identifiers.clone(),
        };
        // What reads as an address is meant as one: nobody may sign up with another's address as
        // their name and stand in the way.
        fields.sort_by_key(|field| self.field(*field).kind != FieldType::Email);
        let json = Json::String(text.to_owned());
        let read = |index: usize| {
            let field = self.field(index);
            let (mut at, mut violations) = (Pointer::root(), Vec::new());
            match field.read_as(&field.kind, &json, Source::Json, &mut at, &mut violations) {
                Some(Value::Text(text)) => Some((index, text)),
                _ => None,
            }
        };
        let candidates = match text.len() > MAX_IDENTIFIER {
            true => Vec::new(),
            false => fields.into_iter().filter_map(read).collect(),
        };
        Identifier { candidates }
    }

    /// The values that people sign in with.
    pub fn identifiers_of<'a>(
        &'a self,
        document: &'a Document,
    ) -> impl Iterator<Item = &'a str> + 'a {
        let values = self.identifiers.iter().map(|index| document.value(*index));
        values.filter_map(|value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The hash of the account's password.
    pub fn hash_of<'a>(&self, document: &'a Document) -> Option<&'a str> {
        match document.value(self.password) {
            Value::Text(hash) => Some(hash),
            _ => None,
        }
    }
}

impl Accounts {
    /// The collection of the accounts.
    pub fn collection(&self) -> &Arc<Collection> {
        &self.model.accounts.collection
    }

    /// The collection of the sessions.
    pub fn sessions_collection(&self) -> &Arc<Collection> {
        &self.model.sessions.collection
    }

    /// Name of the field that takes the password.
    pub fn password_field(&self) -> &str {
        let accounts = &self.model.accounts;
        &accounts.field(accounts.password).name
    }

    /// The fields by which a list tells accounts apart: indexes in the collection.
    pub fn listed_fields(&self) -> Vec<usize> {
        let accounts = &self.model.accounts;
        let mut fields = vec![Collection::ID];
        fields.extend(&accounts.identifiers);
        fields.extend(accounts.roles);
        fields.extend(accounts.state.as_ref().map(|state| state.field));
        fields.push(accounts.collection.created_at());
        fields
    }

    /// Creates an account with these fields, whose values may all be text, and these roles.
    ///
    /// # Errors
    /// 422 where a field does not fit or the password is refused, 409 where an identifier is taken.
    pub async fn create(&self, fields: Map<String, Json>, roles: Vec<String>) -> Result<Document> {
        let accounts = &self.model.accounts;
        let mut document = accounts
            .collection
            .read_document(&fields.into(), Source::Plain)?;
        if let Value::Secret(password) = document.value(accounts.password) {
            self.check_password(password, self.password_field())?;
        }
        if !roles.is_empty() {
            document.set(self.roles_field()?, roles_value(roles));
        }
        let create = Operation::Create {
            collection: accounts.collection.id,
            document,
        };
        match self.write(vec![create], Vec::new()).await? {
            Outcome::Created(document) => Ok(document),
            _ => Err(Error::internal("the store did not create")),
        }
    }

    /// The account that signs in with this, or has this id.
    pub async fn find(&self, identifier: &str) -> Result<Option<Document>> {
        if let Ok(id) = identifier.parse() {
            let found = lookup::by_id(&*self.store, self.collection(), id).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        self.identified(&self.model.accounts.identifier(identifier, None))
            .await
    }

    /// So many accounts at most, the newest first.
    pub async fn list(&self, limit: u32) -> Result<Vec<Document>> {
        lookup::matching(&*self.store, self.collection(), Expr::always(), limit).await
    }

    /// Gives an account these roles in place of those that it has.
    ///
    /// # Errors
    /// 404 where there is no such account.
    pub async fn set_roles(&self, identifier: &str, roles: Vec<String>) -> Result<Document> {
        let id = self.existing(identifier).await?;
        let step = self
            .model
            .accounts
            .setting(self.roles_field()?, roles_value(roles));
        match self
            .write(
                vec![self.update(id, Change { steps: vec![step] })],
                Vec::new(),
            )
            .await?
        {
            Outcome::Updated(document) => Ok(document),
            _ => Err(Error::internal("the store did not update")),
        }
    }

    /// Gives an account another password and ends its sessions.
    ///
    /// # Errors
    /// 404 where there is no such account, 422 where the password is refused.
    pub async fn set_password(&self, identifier: &str, password: &str) -> Result<()> {
        let id = self.existing(identifier).await?;
        let password = self.read_password(password, self.password_field())?;
        let end = session::end_all(&self.model.sessions, id, None);
        self.write(vec![self.password_update(id, password, None)], vec![end])
            .await?;
        Ok(())
    }

    /// The live sessions of an account, the newest first.
    ///
    /// # Errors
    /// 404 where there is no such account.
    pub async fn sessions(&self, identifier: &str) -> Result<Vec<Document>> {
        let id = self.existing(identifier).await?;
        self.live_sessions(id).await
    }

    /// Ends one session of an account, or all; says how many.
    ///
    /// # Errors
    /// 404 where there is no such account.
    pub async fn revoke(&self, identifier: &str, session: Option<Id>) -> Result<u64> {
        let id = self.existing(identifier).await?;
        let end = match session {
            Some(session) => session::end_one(&self.model.sessions, id, session),
            None => session::end_all(&self.model.sessions, id, None),
        };
        self.ended(end).await
    }

    /// Carries out an end of sessions; says of how many.
    pub(crate) async fn ended(&self, end: Operation) -> Result<u64> {
        match self.write(vec![end], Vec::new()).await? {
            Outcome::Changed { modified, .. } => Ok(modified),
            _ => Err(Error::internal("the store did not update by filter")),
        }
    }

    /// The same by the account's id.
    pub(crate) async fn live_sessions(&self, account: Id) -> Result<Vec<Document>> {
        let filter = session::live(&self.model.sessions, account, self.clock.now());
        let sessions = &self.model.sessions.collection;
        lookup::matching(&*self.store, sessions, filter, MAX_SESSIONS).await
    }

    /// The account that an identifier stands for.
    pub(crate) async fn identified(&self, identifier: &Identifier) -> Result<Option<Document>> {
        let collection = self.collection();
        let candidates = &identifier.candidates;
        if candidates.is_empty() {
            return Ok(None);
        }
        let equal = |(field, text): &(usize, String)| {
            lookup::equal(collection, *field, Value::Text(text.clone()))
        };
        let filter = candidates.iter().map(equal).fold(Expr::never(), Expr::or);
        // Each field is unique.
        let limit = candidates.len() as u32;
        let mut found = lookup::matching(&*self.store, collection, filter, limit).await?;
        let best = candidates.iter().find_map(|(field, text)| {
            found
                .iter()
                .position(|document| match document.value(*field) {
                    Value::Text(value) => value == text,
                    _ => false,
                })
        });
        Ok(best.map(|at| found.swap_remove(at)))
    }

    /// The id of an account.
    ///
    /// # Errors
    /// 404 where there is none of that name.
    pub async fn existing(&self, identifier: &str) -> Result<Id> {
        let found = self.find(identifier).await?;
        found
            .and_then(|document| document.id())
            .ok_or_else(|| Error::NotFound {
                code: "not_found",
                detail: format!("there is no account `{identifier}`"),
            })
    }

    fn roles_field(&self) -> Result<usize> {
        self.model.accounts.roles.ok_or_else(|| {
            let collection = &self.model.accounts.collection.name;
            Error::bad_request(
                "no_roles",
                format!("accounts in `{collection}` have no roles"),
            )
        })
    }

    /// The change of one account.
    pub(crate) fn update(&self, id: Id, change: Change) -> Operation {
        Operation::Update {
            collection: self.collection().id,
            target: Target::One {
                id,
                guard: Guard::default(),
            },
            change,
        }
    }

    /// The change of a password, which the store puts the hash in place of. With a revision, only if
    /// the account is still at that one.
    pub(crate) fn password_update(
        &self,
        id: Id,
        password: String,
        at: Option<Revision>,
    ) -> Operation {
        let accounts = &self.model.accounts;
        let step = accounts.setting(accounts.password, Value::Secret(password));
        Operation::Update {
            collection: self.collection().id,
            target: Target::One {
                id,
                guard: Guard {
                    revisions: at.map(|revision| vec![revision]),
                },
            },
            change: Change { steps: vec![step] },
        }
    }

    /// The counting of a sign-in.
    pub(crate) fn sign_in_steps(&self, now: nubo_core::time::Timestamp) -> Change {
        let accounts = &self.model.accounts;
        let mut steps = Vec::new();
        if let Some(count) = accounts.login_count {
            let mut step = accounts.setting(count, Value::Int(1));
            step.action = Action::Increment(Value::Int(1));
            steps.push(step);
        }
        if let Some(last) = accounts.last_login {
            steps.push(accounts.setting(last, Value::Timestamp(now)));
        }
        Change { steps }
    }

    /// Executes as the server; the outcome of the first operation.
    pub(crate) async fn write(
        &self,
        operations: Vec<Operation>,
        own: Vec<Operation>,
    ) -> Result<Outcome> {
        let outcomes = self
            .store
            .write_with(&Caller::Server, operations, own)
            .await?;
        let first = outcomes.into_iter().next();
        first.ok_or_else(|| Error::internal("the store gave no outcome"))
    }

    /// A new password, as its field takes it: 422 at `/<place>` where it is refused.
    pub(crate) fn read_password(&self, password: &str, place: &str) -> Result<String> {
        let field = self.model.accounts.field(self.model.accounts.password);
        let mut violations = Vec::new();
        let json = Json::String(password.to_owned());
        Pointer::root().at(place, |at| {
            field.read(&json, Source::Json, at, &mut violations)
        });
        if !violations.is_empty() {
            return Err(Error::Invalid(violations));
        }
        self.check_password(password, place)?;
        Ok(password.to_owned())
    }

    fn check_password(&self, password: &str, place: &str) -> Result<()> {
        match self.passwords.refusal(password) {
            None => Ok(()),
            Some((code, message)) => Err(refused_password(place, code, message)),
        }
    }
}

/// 422 about a password.
pub(crate) fn refused_password(place: &str, code: &'static str, message: String) -> Error {
    Error::Invalid(vec![Violation::new(format!("/{place}"), code, message)])
}

fn roles_value(roles: Vec<String>) -> Value {
    Value::List(roles.into_iter().map(Value::Text).collect())
}
