//! `POST /me/password`: another password for the one that was. All other sessions end.

use nubo_core::{
    Error, Result,
    id::{Id, Revision},
    passwords::Passwords,
    request::parameters::Parameters,
};
use poem::{Request, Response};

use crate::{
    accounts::refused_password,
    input::{self, Input},
    me, respond,
    session::{self, Origin},
    shared::{Present, Shared},
    signup::SAME_AS_NAME,
    throttle::{Attempt, Subject},
};

/// How often a change is tried that others come in the way of.
const TRIES: usize = 5;

pub(crate) async fn change(shared: &Shared, request: &mut Request) -> Result<Response> {
    let present = Shared::present(request)?;
    Parameters::none(request.uri().query())?;
    let origin = Origin::of(request);
    let mut input = Input::of(input::read(request, input::SMALL).await?)?;
    let current = input.text("current_password");
    let new = input.text("new_password");
    input.only(&["current_password", "new_password"]);
    input.finish()?;
    // Said before anything is counted, because whoever chooses badly has not guessed.
    let new = shared.accounts.read_password(&new, "new_password")?;
    shared.admit(Attempt::Password, &origin).await?;

    let subject = [Subject::of_account(present.account)];
    shared.take_for_account(&subject).await?;
    let changed = replace(shared, &present, &current, &new).await;
    match &changed {
        // Only what was wrong counts.
        Err(Error::Forbidden { .. }) => {}
        Ok(()) | Err(_) => shared.give_back_for_account(&subject).await,
    }
    changed?;
    Ok(respond::nothing())
}

/// Checks the current password and writes the new one over it, and over no other: somebody else may
/// have changed it in between, perhaps to get rid of whoever asks.
async fn replace(shared: &Shared, present: &Present, current: &str, new: &str) -> Result<()> {
    for _ in 0..TRIES {
        let revision = check(shared, present.account, current, new).await?;
        let update =
            shared
                .accounts
                .password_update(present.account, new.to_owned(), Some(revision));
        let end = session::end_all(&shared.model.sessions, present.account, present.session);
        match shared.accounts.write(vec![update], vec![end]).await {
            // A sign-in that was counted is a change too.
            Err(Error::PreconditionFailed { .. }) => {}
            written => return written.map(drop),
        }
    }
    Err(Error::unavailable(
        "account_busy",
        "the account is changing all the time; try again",
    ))
}

/// The revision of the account that has this password: 403 where it is another.
async fn check(shared: &Shared, account: Id, current: &str, new: &str) -> Result<Revision> {
    let accounts = &shared.model.accounts;
    let document = me::own(shared, account).await?;
    let wrong = || Error::Forbidden {
        code: "wrong_password",
        detail: "this is not the current password".into(),
    };
    let hash = accounts.hash_of(&document).ok_or_else(wrong)?.to_owned();
    if !shared.passwords.verify(current.to_owned(), hash).await? {
        return Err(wrong());
    }
    match accounts.is_identifier(&document, new) {
        true => Err(refused_password(
            "new_password",
            "too_common",
            SAME_AS_NAME.into(),
        )),
        false => Ok(document.revision()),
    }
}
