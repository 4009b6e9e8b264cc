//! What the settings' names stand for in the catalog: collections and indexes of fields, found once
//! at set-up, so that nothing is looked up by name while requests are answered.
//!
//! What the settings say by default may be missing, since people have collections of their own;
//! what somebody has written must be there.

use std::sync::Arc;

use nubo_core::{
    Pointer,
    field::{Field, FieldType, Source},
    module::SetupError,
    nearest,
    schema::{Catalog, Collection},
    value::Value,
    with_hint,
};
use serde_json::Value as Json;

use crate::{
    clearing::{self, Blank},
    mentions::{self, Unknown},
    settings::{AccountSettings, SessionFields, Settings},
};

/// The collections that the module works with.
pub(crate) struct Model {
    pub catalog: Arc<Catalog>,
    pub accounts: AccountModel,
    pub sessions: SessionModel,
    pub audit: Option<AuditModel>,
}

/// The collection of accounts and its fields, by index.
pub(crate) struct AccountModel {
    pub collection: Arc<Collection>,
    /// Never empty.
    pub identifiers: Vec<usize>,
    pub password: usize,
    pub roles: Option<usize>,
    pub state: Option<StateModel>,
    pub login_count: Option<usize>,
    pub last_login: Option<usize>,
    /// What rules mention as `$auth.<name>`.
    pub mentioned: Vec<(String, usize)>,
    /// What deletion makes of which field.
    pub cleared: Vec<(usize, Blank)>,
}

/// The field that says whether an account may be used.
pub(crate) struct StateModel {
    pub field: usize,
    /// The states that may not, and the code that tells the owner.
    pub refused: Vec<(Value, &'static str)>,
    /// One of them, unless there is none.
    pub deleted: Option<Value>,
}

/// The collection of sessions and its fields, by index.
pub(crate) struct SessionModel {
    pub collection: Arc<Collection>,
    pub account: usize,
    pub refresh_token_hash: usize,
    pub generation: usize,
    pub refreshed_at: usize,
    pub expires_at: usize,
    pub revoked: usize,
    pub device_info: Option<usize>,
    pub ip: Option<usize>,
}

/// The collection that security events go to.
pub(crate) struct AuditModel {
    pub collection: Arc<Collection>,
    pub action: usize,
    pub actor: Option<usize>,
    pub of_collection: Option<usize>,
    pub document: Option<usize>,
    pub ip: Option<usize>,
}

impl Model {
    /// Finds everything; none where the catalog has no accounts.
    pub fn resolve(
        settings: &Settings,
        catalog: &Arc<Catalog>,
    ) -> Result<Option<Self>, SetupError> {
        let defaults = Settings::default();
        let found = AccountModel::resolve(&settings.accounts, catalog);
        let accounts = match found {
            Ok(accounts) => accounts,
            Err(Missing(why)) if settings.accounts == defaults.accounts => {
                tracing::debug!("no sign-up and no login: {why}");
                return Ok(None);
            }
            Err(Missing(why)) => return Err(SetupError::new(why)),
        };
        let names = settings.sessions.fields();
        if settings.sessions == defaults.sessions && catalog.named(&names.collection).is_none() {
            let (accounts, sessions) = (&accounts.collection.name, &names.collection);
            tracing::warn!(
                "no sign-up and no login: there is no collection `{sessions}` for the sessions of \
                 `{accounts}`"
            );
            return Ok(None);
        }
        let mut accounts = accounts;
        accounts.mentioned = mentions::resolve(catalog, &accounts).map_err(|unknown| {
            let said = unknown.iter().map(|unknown| {
                let Unknown {
                    collection,
                    variable,
                    message,
                    suggestion,
                } = unknown;
                let sentence = format!("a rule of `{collection}` mentions `{variable}`: {message}");
                with_hint(sentence, suggestion.as_deref())
            });
            SetupError::new(said.collect::<Vec<_>>().join("; "))
        })?;
        accounts.cleared = clearing::resolve(&accounts, &settings.accounts)?;
        Ok(Some(Self {
            sessions: SessionModel::resolve(&names, catalog, &accounts.collection)?,
            audit: AuditModel::resolve(settings, &defaults, catalog)?,
            catalog: Arc::clone(catalog),
            accounts,
        }))
    }
}

/// The variables of rules that stand for nothing; none where there are no accounts that could tell.
pub(crate) fn unknown_variables(settings: &Settings, catalog: &Catalog) -> Vec<Unknown> {
    match AccountModel::resolve(&settings.accounts, catalog) {
        Ok(accounts) => mentions::resolve(catalog, &accounts)
            .err()
            .unwrap_or_default(),
        Err(Missing(_)) => Vec::new(),
    }
}

/// Why there are no accounts: an error, unless nobody has asked for them.
struct Missing(String);

impl From<SetupError> for Missing {
    fn from(error: SetupError) -> Self {
        Self(error.to_string())
    }
}

impl AccountModel {
    fn resolve(settings: &AccountSettings, catalog: &Catalog) -> Result<Self, Missing> {
        let defaults = AccountSettings::default();
        let collection = collection(catalog, "accounts.collection", &settings.collection)?;
        let fields = Fields {
            prefix: "accounts",
            collection: &collection,
        };
        let password = fields.find("password", &settings.password, PASSWORD)?;
        let mut identifiers = Vec::new();
        for name in &settings.identifiers {
            match fields.find("identifiers", name, IDENTIFIER) {
                Ok(field) => identifiers.push(field),
                Err(_) if settings.identifiers == defaults.identifiers => {}
                Err(error) => return Err(error.into()),
            }
        }
        if identifiers.is_empty() {
            return Err(Missing(format!(
                "auth.accounts.identifiers: `{}` needs a unique text that people sign in with",
                collection.name
            )));
        }
        let optional = |setting, name: &Option<String>, default: &Option<String>, kind| {
            fields.optional(setting, name, default, kind)
        };
        Ok(Self {
            identifiers,
            password,
            roles: optional("roles", &settings.roles, &defaults.roles, ROLES)?,
            state: StateModel::resolve(settings, &defaults, &fields)?,
            login_count: optional(
                "login_count",
                &settings.login_count,
                &defaults.login_count,
                COUNT,
            )?,
            last_login: optional(
                "last_login",
                &settings.last_login,
                &defaults.last_login,
                MOMENT,
            )?,
            mentioned: Vec::new(),
            cleared: Vec::new(),
            collection,
        })
    }

    /// The field at an index.
    pub fn field(&self, index: usize) -> &Field {
        &self.collection.fields()[index]
    }
}

impl StateModel {
    fn resolve(
        settings: &AccountSettings,
        defaults: &AccountSettings,
        fields: &Fields<'_>,
    ) -> Result<Option<Self>, SetupError> {
        let found = fields.optional("state", &settings.state, &defaults.state, STATE)?;
        let Some(field) = found else {
            return Ok(None);
        };
        let declared = &fields.collection.fields()[field];
        let mut refused: Vec<(Value, &'static str)> = Vec::new();
        for state in &settings.refused_states {
            match read_state(declared, state) {
                Some(value) => refused.push((value.clone(), state_code(declared, &value, state))),
                None if settings.refused_states == defaults.refused_states => {}
                None => return Err(fields.no_state("refused_states", declared, state)),
            }
        }
        let deleted = match &settings.deleted_state {
            None => None,
            Some(state) => match read_state(declared, state) {
                Some(value) => Some(value),
                None if settings.deleted_state == defaults.deleted_state => None,
                None => return Err(fields.no_state("deleted_state", declared, state)),
            },
        };
        if let (Some(value), Some(state)) = (&deleted, &settings.deleted_state)
            && !refused.iter().any(|(refused, _)| refused.same(value))
        {
            refused.push((value.clone(), state_code(declared, value, state)));
        }
        Ok(Some(Self {
            field,
            refused,
            deleted,
        }))
    }
}

fn read_state(field: &Field, state: &Json) -> Option<Value> {
    let value = field.read(state, Source::Json, &mut Pointer::root(), &mut Vec::new())?;
    (!value.is_null()).then_some(value)
}

/// `account_banned`. Made once for each state of the settings, and codes live as long as the
/// process.
fn state_code(field: &Field, value: &Value, written: &Json) -> &'static str {
    let choices = field.limits.choices.iter();
    let named = choices
        .filter(|choice| choice.value.same(value))
        .find_map(|choice| choice.name.clone());
    let name = named.unwrap_or_else(|| match written {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    });
    format!("account_{name}").leak()
}

impl SessionModel {
    fn resolve(
        names: &SessionFields,
        catalog: &Catalog,
        accounts: &Collection,
    ) -> Result<Self, SetupError> {
        let defaults = SessionFields::default();
        let collection = collection(catalog, "sessions.collection", &names.collection)?;
        let fields = Fields {
            prefix: "sessions",
            collection: &collection,
        };
        let account = fields.find("account", &names.account, REFERENCE)?;
        if let FieldType::Ref(target) = &collection.fields()[account].kind
            && target.collection != accounts.id
        {
            return Err(SetupError::new(format!(
                "auth.sessions.account: `{}.{}` must refer to `{}`",
                collection.name, names.account, accounts.name
            )));
        }
        let hash = fields.find("refresh_token_hash", &names.refresh_token_hash, TEXT)?;
        if !collection.fields()[hash].hidden {
            return Err(SetupError::new(format!(
                "auth.sessions.refresh_token_hash: `{}.{}` must be hidden",
                collection.name, names.refresh_token_hash
            )));
        }
        let optional = |setting, name: &Option<String>, default: &Option<String>, kind| {
            fields.optional(setting, name, default, kind)
        };
        Ok(Self {
            account,
            refresh_token_hash: hash,
            generation: fields.find("generation", &names.generation, COUNT)?,
            refreshed_at: fields.find("refreshed_at", &names.refreshed_at, MOMENT)?,
            expires_at: fields.find("expires_at", &names.expires_at, MOMENT)?,
            revoked: fields.find("revoked", &names.revoked, FLAG)?,
            device_info: optional(
                "device_info",
                &names.device_info,
                &defaults.device_info,
                JSON,
            )?,
            ip: optional("ip", &names.ip, &defaults.ip, ADDRESSES)?,
            collection,
        })
    }
}

impl AuditModel {
    fn resolve(
        settings: &Settings,
        defaults: &Settings,
        catalog: &Catalog,
    ) -> Result<Option<Self>, SetupError> {
        let Some(name) = &settings.audit else {
            return Ok(None);
        };
        if settings.audit == defaults.audit && catalog.named(name).is_none() {
            return Ok(None);
        }
        let collection = collection(catalog, "audit", name)?;
        let fields = Fields {
            prefix: "audit",
            collection: &collection,
        };
        let found = |name: &str, kind: Kind| {
            let found = collection.field_named(name);
            found
                .filter(|(_, field)| (kind.fits)(field))
                .map(|(index, _)| index)
        };
        Ok(Some(Self {
            action: fields.find("action", "action", TEXT)?,
            actor: found("actor_id", REFERENCE),
            of_collection: found("collection", TEXT),
            document: found("document_id", REFERENCE),
            ip: found("ip", ADDRESS),
            collection,
        }))
    }
}

fn collection(catalog: &Catalog, setting: &str, name: &str) -> Result<Arc<Collection>, SetupError> {
    catalog.named(name).cloned().ok_or_else(|| {
        let sentence = format!("auth.{setting}: there is no collection `{name}`");
        SetupError::new(with_hint(sentence, nearest(name, catalog.names())))
    })
}

/// What kind of field a setting asks for, and how that is said.
#[derive(Clone, Copy)]
struct Kind {
    fits: fn(&Field) -> bool,
    said: &'static str,
}

macro_rules! kinds {
    ($($name:ident: $said:literal, $fits:expr;)*) => {
        $(const $name: Kind = Kind { fits: $fits, said: $said };)*
    };
}

kinds! {
    PASSWORD: "a password", |field| field.kind == FieldType::Password;
    IDENTIFIER: "a unique text or email", |field| {
        field.unique && matches!(field.kind, FieldType::Text | FieldType::Email)
    };
    ROLES: "a list of text", |field| field.kind == FieldType::List(Box::new(FieldType::Text));
    STATE: "a number or a text", |field| {
        matches!(field.kind, FieldType::Int | FieldType::BigInt | FieldType::Text)
    };
    COUNT: "a whole number", |field| matches!(field.kind, FieldType::Int | FieldType::BigInt);
    MOMENT: "a timestamp", |field| field.kind == FieldType::Timestamp;
    FLAG: "a bool", |field| field.kind == FieldType::Bool;
    TEXT: "a text", |field| field.kind == FieldType::Text;
    JSON: "json", |field| field.kind == FieldType::Json;
    REFERENCE: "a ref or a uuid", |field| {
        matches!(field.kind, FieldType::Ref(_) | FieldType::Uuid)
    };
    ADDRESS: "an ip", |field| field.kind == FieldType::Ip;
    ADDRESSES: "a list of ip", |field| field.kind == FieldType::List(Box::new(FieldType::Ip));
}

/// The fields of a collection, looked up for one part of the settings.
struct Fields<'a> {
    prefix: &'a str,
    collection: &'a Collection,
}

impl Fields<'_> {
    fn find(&self, setting: &str, name: &str, kind: Kind) -> Result<usize, SetupError> {
        let place = format!("auth.{}.{setting}", self.prefix);
        let collection = &self.collection.name;
        match self.collection.field_named(name) {
            Some((index, field)) if (kind.fits)(field) => Ok(index),
            Some((_, field)) => Err(SetupError::new(format!(
                "{place}: `{collection}.{name}` is {}; it must be {}",
                field.kind.word(),
                kind.said
            ))),
            None => {
                let names = self.collection.fields().iter().map(|f| f.name.as_str());
                let sentence = format!("{place}: `{collection}` has no field `{name}`");
                Err(SetupError::new(with_hint(sentence, nearest(name, names))))
            }
        }
    }

    /// None where there is nothing and nobody has asked for it.
    fn optional(
        &self,
        setting: &str,
        name: &Option<String>,
        default: &Option<String>,
        kind: Kind,
    ) -> Result<Option<usize>, SetupError> {
        let Some(written) = name else {
            return Ok(None);
        };
        match self.find(setting, written, kind) {
            Ok(index) => Ok(Some(index)),
            Err(_) if name == default => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn no_state(&self, setting: &str, field: &Field, state: &Json) -> SetupError {
        let names = field
            .limits
            .choices
            .iter()
            .filter_map(|c| c.name.as_deref());
        let sentence = format!(
            "auth.{}.{setting}: {state} is no value of `{}.{}`",
            self.prefix, self.collection.name, field.name
        );
        let near = state.as_str().and_then(|state| nearest(state, names));
        SetupError::new(with_hint(sentence, near))
    }
}
