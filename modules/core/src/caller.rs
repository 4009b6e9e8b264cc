//! On whose behalf something is done.

use crate::id::Id;

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Caller {
    /// Nobody who said their name.
    #[default]
    Anonymous,
    /// Somebody with an account.
    Account(Account),
    /// The server itself: imports, retention, modules. No rule stops it.
    Server,
}

/// An account, as far as rules need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: Id,
    pub roles: Vec<String>,
}

impl Caller {
    /// The account's id, where there is one.
    pub const fn account_id(&self) -> Option<Id> {
        match self {
            Self::Account(account) => Some(account.id),
            Self::Anonymous | Self::Server => None,
        }
    }
}
