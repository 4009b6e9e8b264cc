//! What deleting an account makes of its fields. The document stays, because others refer to it;
//! what it says about a person goes.
//!
//! Optional fields become null or get their default back. A required one gets the blank that its
//! limits allow, found at set-up: where there is none, somebody has to say that the field is kept.

use nubo_core::{
    Pointer,
    change::{Action, Change, Step},
    field::{DefaultValue, Field, FieldType},
    filter::Path,
    id::Id,
    module::SetupError,
    nearest,
    schema::Collection,
    value::Value,
    with_hint,
};
use serde_json::json;

use crate::{model::AccountModel, settings::AccountSettings};

/// What a field becomes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Blank {
    Value(Value),
    /// Another text for each account.
    Unique(Pattern),
    /// A password that nobody knows.
    Secret,
}

/// How an id is made part of a text. It is one that nobody can guess: otherwise somebody could take
/// the name that an account would get, and so keep it from being deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// `deleted-0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a11`
    Hyphens,
    /// `deleted_0190f5f68a6c7f2a9c3e2f1d8f0f7a11`
    Underscore,
    /// `0190f5f68a6c7f2a9c3e2f1d8f0f7a11`
    Digits,
    /// `deleted-0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a11@deleted.invalid`
    Email,
    /// `https://deleted.invalid/0190f5f6-8a6c-7f2a-9c3e-2f1d8f0f7a11`
    Url,
}

impl Pattern {
    fn text(self, id: Id) -> String {
        let uuid = id.uuid();
        let digits = uuid.as_simple();
        match self {
            Self::Hyphens => format!("deleted-{id}"),
            Self::Underscore => format!("deleted_{digits}"),
            Self::Digits => digits.to_string(),
            Self::Email => format!("deleted-{id}@deleted.invalid"),
            Self::Url => format!("https://deleted.invalid/{id}"),
        }
    }
}

impl Blank {
    fn value(&self, id: Id, secret: &str) -> Value {
        match self {
            Self::Value(value) => value.clone(),
            Self::Unique(pattern) => Value::Text(pattern.text(id)),
            Self::Secret => Value::Secret(secret.to_owned()),
        }
    }
}

/// What becomes of each field that does not stay as it is.
pub(crate) fn resolve(
    accounts: &AccountModel,
    settings: &AccountSettings,
) -> Result<Vec<(usize, Blank)>, SetupError> {
    let collection = &accounts.collection;
    let mut kept = vec![accounts.login_count, accounts.last_login];
    kept.push(accounts.state.as_ref().map(|state| state.field));
    let defaults = AccountSettings::default();
    for name in &settings.kept_on_deletion {
        match collection.field_named(name) {
            Some((index, _)) => kept.push(Some(index)),
            None if settings.kept_on_deletion == defaults.kept_on_deletion => {}
            None => return Err(unknown(collection, name)),
        }
    }
    let mut cleared = Vec::new();
    for (index, field) in collection.declared_fields() {
        // What cannot be changed is changed by nobody.
        if kept.contains(&Some(index)) || field.immutable {
            continue;
        }
        let blank = match index == accounts.password {
            true => Some(Blank::Secret),
            false => blank_of(field),
        };
        let blank = blank.ok_or_else(|| {
            SetupError::new(format!(
                "`{}.{}` is required and has no blank value for accounts that are deleted: make \
                 it optional, or list it in auth.accounts.kept_on_deletion",
                collection.name, field.name
            ))
        })?;
        cleared.push((index, blank));
    }
    Ok(cleared)
}

fn unknown(collection: &Collection, name: &str) -> SetupError {
    let names = collection.fields().iter().map(|field| field.name.as_str());
    let sentence = format!(
        "auth.accounts.kept_on_deletion: `{}` has no field `{name}`",
        collection.name
    );
    SetupError::new(with_hint(sentence, nearest(name, names)))
}

fn blank_of(field: &Field) -> Option<Blank> {
    if let Some(DefaultValue::Literal(value)) = &field.default
        && !field.unique
    {
        return Some(Blank::Value(value.clone()));
    }
    if !field.required {
        return Some(Blank::Value(Value::Null));
    }
    let sample = Id::from_uuid(Default::default());
    let candidates = candidates(field);
    candidates.into_iter().find(|blank| {
        let mut violations = Vec::new();
        let value = blank.value(sample, "");
        field.check(&value, &mut Pointer::root(), &mut violations);
        violations.is_empty()
    })
}

/// Blanks in the order in which they are tried.
fn candidates(field: &Field) -> Vec<Blank> {
    let unique = |patterns: &[Pattern]| patterns.iter().copied().map(Blank::Unique).collect();
    let value = |value| vec![Blank::Value(value)];
    match &field.kind {
        FieldType::Email => unique(&[Pattern::Email]),
        FieldType::Url => unique(&[Pattern::Url]),
        FieldType::Text if field.unique => {
            unique(&[Pattern::Hyphens, Pattern::Underscore, Pattern::Digits])
        }
        _ if field.unique => Vec::new(),
        FieldType::Text => ["", "deleted"]
            .map(|text| Blank::Value(Value::Text(text.into())))
            .into(),
        FieldType::Password => vec![Blank::Secret],
        FieldType::Int | FieldType::BigInt => value(Value::Int(0)),
        FieldType::Float => value(Value::Float(0.0)),
        FieldType::Decimal => value(Value::Decimal(Default::default())),
        FieldType::Bool => value(Value::Bool(false)),
        FieldType::Json => value(Value::Json(json!({}))),
        FieldType::List(_) => value(Value::List(Vec::new())),
        FieldType::Bytes => value(Value::Bytes(Vec::new())),
        FieldType::Object(fields) => {
            let blank = |field: &Field| match blank_of(field) {
                Some(Blank::Value(value)) => Some(value),
                _ => None,
            };
            let values: Option<Vec<Value>> = fields.iter().map(blank).collect();
            values
                .into_iter()
                .map(|v| Blank::Value(Value::Object(v)))
                .collect()
        }
        FieldType::Uuid
        | FieldType::Ref(_)
        | FieldType::Timestamp
        | FieldType::Date
        | FieldType::Duration
        | FieldType::Ip => Vec::new(),
    }
}

impl AccountModel {
    /// The change that deletes an account: its state, and everything that is said in it. `id` becomes
    /// part of its names, `secret` its password.
    pub fn clearing(&self, id: Id, secret: &str) -> Change {
        let cleared = self.cleared.iter();
        let mut steps: Vec<Step> = cleared
            .map(|(index, blank)| self.setting(*index, blank.value(id, secret)))
            .collect();
        if let Some(state) = &self.state
            && let Some(deleted) = &state.deleted
        {
            steps.push(self.setting(state.field, deleted.clone()));
        }
        Change { steps }
    }

    /// The step that gives a field of the account a value.
    pub fn setting(&self, index: usize, value: Value) -> Step {
        set(&self.collection, index, value)
    }
}

/// The step that gives a field a value.
pub(crate) fn set(collection: &Collection, index: usize, value: Value) -> Step {
    Step {
        path: Path::to_field(index, &collection.fields()[index]),
        action: match value {
            Value::Null => Action::Unset,
            value => Action::Set(value),
        },
        pointer: String::new(),
    }
}
