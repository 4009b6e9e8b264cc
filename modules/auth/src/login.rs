//! `POST /login`: a name and a password for tokens.
//!
//! Who does not know the password learns nothing: an account that does not exist takes as long as a
//! wrong password, and gets the same words.

use nubo_core::{
    Error, Result,
    document::Document,
    id::Id,
    passwords::Passwords,
    request::parameters::Parameters,
    value::Value,
    write::{Guard, Operation, Outcome, Target},
};
use poem::{Request, Response, http::StatusCode};
use serde_json::Value as Json;

use crate::{
    access_token::refused,
    accounts::Identifier,
    input::{self, Input},
    me,
    session::{self, Origin},
    shared::Shared,
    throttle::{Attempt, Subject},
};

/// How often the session is stored while others change the account.
const TRIES: usize = 10;

/// What somebody sends who signs in.
struct Asked {
    identifier: Identifier,
    password: String,
    device: Option<Json>,
}

pub(crate) async fn log_in(shared: &Shared, request: &mut Request) -> Result<Response> {
    Parameters::none(request.uri().query())?;
    let origin = Origin::of(request);
    let json = input::read(request, input::SMALL).await?;
    let asked = read(shared, json)?;
    shared.admit(Attempt::Password, &origin).await?;

    let document = proven(shared, &asked).await?;
    check_state(shared, &document)?;
    let id = document
        .id()
        .ok_or_else(|| Error::internal("an account without an id"))?;
    let (token, begin) = shared.begin_session(id, asked.device, &origin)?;
    let document = count(shared, id, document, &asked.password, begin).await?;
    let caller = shared.caller_of(id, &document, token.session);
    let user = shared.as_seen_by_owner(&caller, &document).await?;
    shared.tokens(StatusCode::OK, id, &token, &user)
}

fn read(shared: &Shared, json: Json) -> Result<Asked> {
    let accounts = &shared.model.accounts;
    let mut input = Input::of(json)?;
    let names: Vec<&str> = accounts
        .identifiers
        .iter()
        .map(|index| accounts.field(*index).name.as_str())
        .collect();
    // A field that is called like one of the keys has no key of its own.
    let keys = std::iter::once(("identifier", None)).chain(
        names
            .iter()
            .copied()
            .zip(accounts.identifiers.iter().copied().map(Some)),
    );
    let keys: Vec<(&str, Option<usize>)> = keys.collect();
    let given: Vec<(&str, Option<usize>)> = keys
        .iter()
        .copied()
        .filter(|(key, _)| input.has(key))
        .collect();
    let identifier = match given[..] {
        [(key, field)] => accounts.identifier(&input.text(key), field),
        [] => accounts.identifier(&input.text("identifier"), None),
        [_, (key, _), ..] => {
            input.refuse(
                key,
                "ambiguous",
                "there is more than one name to sign in with",
            );
            accounts.identifier("", None)
        }
    };
    let password = input.text("password");
    let device = input.device();
    let known: Vec<&str> = keys
        .iter()
        .map(|(key, _)| *key)
        .chain(["password", "device"])
        .collect();
    input.only(&known);
    input.finish()?;
    Ok(Asked {
        identifier,
        password,
        device,
    })
}

/// The account whose password it is: 401 without saying what was wrong.
async fn proven(shared: &Shared, asked: &Asked) -> Result<Document> {
    let subjects: Vec<Subject> = asked
        .identifier
        .forms()
        .into_iter()
        .map(Subject::account)
        .collect();
    shared.take_for_account(&subjects).await?;
    let found = shared.accounts.identified(&asked.identifier).await;
    let checked = match found {
        Ok(found) => checked(shared, found, &asked.password).await,
        Err(error) => Err(error),
    };
    match &checked {
        // Only what was wrong counts.
        Ok(None) => {}
        Ok(Some(_)) | Err(_) => shared.give_back_for_account(&subjects).await,
    }
    checked?.ok_or_else(invalid)
}

/// The account, if the password is its own and its owner has not deleted it.
async fn checked(
    shared: &Shared,
    found: Option<Document>,
    password: &str,
) -> Result<Option<Document>> {
    let accounts = &shared.model.accounts;
    let own = found
        .as_ref()
        .and_then(|document| accounts.hash_of(document));
    let hash = match own {
        Some(hash) => hash.to_owned(),
        None => shared.dummy.hash(&shared.passwords).await?,
    };
    let known = own.is_some();
    let right = shared.passwords.verify(password.to_owned(), hash).await?;
    Ok(found.filter(|document| known && right && !accounts.is_deleted(document)))
}

/// Stores the session and that somebody has signed in, in one transaction.
///
/// The account must still be at the revision whose password was checked: a password that was
/// replaced meanwhile lets nobody in, and a new hash of it must not replace the replacement.
async fn count(
    shared: &Shared,
    id: Id,
    mut document: Document,
    password: &str,
    begin: Operation,
) -> Result<Document> {
    let accounts = &shared.model.accounts;
    let sessions = &shared.model.sessions;
    let checked = accounts.hash_of(&document).map(str::to_owned);
    for _ in 0..TRIES {
        let now = shared.clock.now();
        let mut change = shared.accounts.sign_in_steps(now);
        if checked
            .as_deref()
            .is_some_and(|hash| shared.passwords.needs_rehash(hash))
        {
            let password = Value::Secret(password.to_owned());
            change
                .steps
                .push(accounts.setting(accounts.password, password));
        }
        let update = Operation::Update {
            collection: accounts.collection.id,
            target: Target::One {
                id,
                guard: Guard {
                    revisions: Some(vec![document.revision()]),
                },
            },
            change,
        };
        let forget = session::forget(sessions, id, shared.session_start(now));
        match shared
            .accounts
            .write(vec![update], vec![begin.clone(), forget])
            .await
        {
            Ok(Outcome::Updated(document)) => return Ok(document),
            Ok(_) => return Err(Error::internal("the store did not update")),
            Err(Error::PreconditionFailed { .. }) => {}
            Err(error) => return Err(error),
        }
        document = me::own(shared, id).await?;
        if accounts.hash_of(&document) != checked.as_deref() {
            return Err(invalid());
        }
        check_state(shared, &document)?;
    }
    Err(Error::unavailable(
        "busy",
        "the account is being changed too often at the same moment",
    ))
}

/// 403 where the account may not be used.
fn check_state(shared: &Shared, document: &Document) -> Result<()> {
    match shared.model.accounts.refusal(document) {
        None => Ok(()),
        Some(code) => Err(Error::Forbidden {
            code,
            detail: "this account may not be used at present".into(),
        }),
    }
}

fn invalid() -> Error {
    refused(
        "invalid_credentials",
        "there is no account with this name and password",
    )
}

impl Shared {
    /// Counts an attempt on an account under each of its names: 429 where there were too many.
    pub async fn take_for_account(&self, subjects: &[Subject]) -> Result<()> {
        for (index, subject) in subjects.iter().enumerate() {
            let taken = self.throttle.take(Attempt::AccountPassword, *subject);
            if let Err(error) = taken.await {
                self.give_back_for_account(&subjects[..index]).await;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Does not count the attempt after all.
    pub async fn give_back_for_account(&self, subjects: &[Subject]) {
        for subject in subjects {
            let attempt = Attempt::AccountPassword;
            self.throttle.give_back(attempt, *subject).await;
        }
    }
}
