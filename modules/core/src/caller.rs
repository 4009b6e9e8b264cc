//! On whose behalf something is done.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    filter::{Bindings, Expr, Operand, Variable},
    id::Id,
    time::Timestamp,
    value::Value,
};

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Caller {
    /// Nobody who said their name.
    #[default]
    Anonymous,
    /// Somebody with an account.
    Account(Arc<Account>),
    /// The server itself: imports, retention, modules. No rule stops it.
    Server,
}

/// An account, as far as rules need it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Account {
    /// None only in [`Account::default`], which is nobody.
    id: Option<Id>,
    roles: Vec<String>,
    /// The sign-in it speaks through.
    session: Option<Id>,
    /// What rules may mention as `$auth.<field>` beside the id and the roles.
    fields: BTreeMap<String, Value>,
}

impl Account {
    /// An account with these roles.
    pub fn new(id: Id, roles: Vec<String>) -> Self {
        Self {
            id: Some(id),
            roles,
            ..Self::default()
        }
    }

    /// The same account, speaking through a session.
    #[must_use]
    pub fn through(mut self, session: Id) -> Self {
        self.session = Some(session);
        self
    }

    /// The same account with the fields that rules mention.
    #[must_use]
    pub fn with_fields(mut self, fields: BTreeMap<String, Value>) -> Self {
        self.fields = fields;
        self
    }

    /// The sign-in it speaks through, where it has signed in.
    pub const fn session(&self) -> Option<Id> {
        self.session
    }

    /// Whether rules cannot tell it from another, whichever sign-ins they speak through.
    pub fn looks_like(&self, other: &Self) -> bool {
        self.id == other.id && self.roles == other.roles && self.fields == other.fields
    }

    /// Its roles.
    pub fn roles(&self) -> &[String] {
        &self.roles
    }
}

impl Caller {
    /// Somebody with an account.
    pub fn account(account: Account) -> Self {
        Self::Account(Arc::new(account))
    }

    /// Whether rules cannot tell the two apart.
    pub fn looks_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Account(one), Self::Account(other)) => one.looks_like(other),
            _ => self == other,
        }
    }

    /// The account's id, where there is one.
    pub fn account_id(&self) -> Option<Id> {
        match self {
            Self::Account(account) => account.id,
            Self::Anonymous | Self::Server => None,
        }
    }

    /// The sign-in it speaks through, where it has signed in.
    pub fn session(&self) -> Option<Id> {
        match self {
            Self::Account(account) => account.session,
            Self::Anonymous | Self::Server => None,
        }
    }

    /// Whether it is an account with this role.
    pub fn has_role(&self, role: &str) -> bool {
        match self {
            Self::Account(account) => account.roles.iter().any(|own| own == role),
            Self::Anonymous | Self::Server => false,
        }
    }
}

impl Caller {
    /// What `$auth.<name>` stands for; null where it has no value.
    pub fn auth(&self, name: &str) -> Value {
        let Self::Account(account) = self else {
            return Value::Null;
        };
        match name {
            "id" => account.id.map_or(Value::Null, |id| Value::Uuid(id.uuid())),
            "roles" => Value::List(account.roles.iter().cloned().map(Value::Text).collect()),
            name => account.fields.get(name).cloned().unwrap_or(Value::Null),
        }
    }

    /// A rule's filter as it holds for this caller. None where it mentions what the caller has not:
    /// it is false then, under negation too.
    pub fn bind(&self, expr: &Expr<Operand>, now: Timestamp) -> Option<Expr> {
        expr.bind(&Bound { caller: self, now })
    }
}

/// What the variables of a rule stand for.
pub(crate) struct Bound<'a> {
    pub caller: &'a Caller,
    pub now: Timestamp,
}

impl Bindings for Bound<'_> {
    fn value_of(&self, variable: &Variable) -> Value {
        match variable {
            Variable::Now => Value::Timestamp(self.now),
            Variable::Auth(name) => self.caller.auth(name),
            _ => Value::Null,
        }
    }
}
