//! What is worth a word in the settings beyond their schema.

use std::sync::Arc;

use nubo_core::{
    module::{Remark, Subject},
    schema::{Catalog, Collection, Rule},
};
use serde_json::Value as Json;

use crate::{
    model::{self, Model},
    secret,
    settings::Settings,
};

/// Looks the settings over, together with the collections that they speak of.
pub(crate) fn examine(settings: &Json, catalog: &Catalog) -> Vec<Remark> {
    let remark = |pointer: &str, message: String, is_error| Remark {
        about: Subject::Setting(pointer.to_owned()),
        message,
        suggestion: None,
        is_error,
    };
    let settings: Settings = match serde_json::from_value(settings.clone()) {
        Ok(settings) => settings,
        Err(error) => return vec![remark("", error.to_string(), true)],
    };
    let mut remarks = Vec::new();
    if settings.dev_tokens {
        let message = "anybody gets a token for any account; switch it off where others can reach \
                       the server";
        remarks.push(remark("/dev_tokens", message.to_owned(), false));
    }
    if !settings.throttle.enabled {
        let message = "nothing stops anybody from guessing passwords; switch it on where others \
                       can reach the server";
        remarks.push(remark("/throttle/enabled", message.to_owned(), false));
    }
    remarks.extend(open_doors(&settings, catalog));
    remarks.extend(behind(&settings, catalog));
    if let Err(error) = secret::configured(&settings) {
        let message = error.to_string();
        let (setting, message) = message.split_once(": ").unwrap_or(("", &message));
        let pointer = match setting {
            "auth.previous_secrets" => "/previous_secrets",
            _ => "/jwt_secret",
        };
        remarks.push(remark(pointer, message.to_owned(), true));
    }
    let unknown = model::unknown_variables(&settings, catalog);
    if unknown.is_empty()
        && let Err(error) = Model::resolve(&settings, &Arc::new(catalog.clone()))
    {
        remarks.push(remark("/accounts", error.to_string(), true));
    }
    remarks.extend(unknown.into_iter().map(|unknown| Remark {
        about: Subject::Declaration {
            collection: unknown.collection,
            text: unknown.variable,
        },
        message: unknown.message,
        suggestion: unknown.suggestion,
        is_error: true,
    }));
    remarks
}

/// Whoever signs up or in must be known at once.
fn behind(settings: &Settings, catalog: &Catalog) -> Vec<Remark> {
    let Ok(Some(model)) = Model::resolve(settings, &Arc::new(catalog.clone())) else {
        return Vec::new();
    };
    let collections = [&model.accounts.collection, &model.sessions.collection];
    let behind = collections.into_iter().filter(|found| found.is_behind());
    let remarks = behind.map(|collection| Remark {
        about: Subject::Declaration {
            collection: collection.name.clone(),
            text: "behind".into(),
        },
        message: "accounts and sessions must be there when somebody signs up or in: `write: \
                  behind` is for other collections"
            .into(),
        suggestion: Some("through".into()),
        is_error: true,
    });
    remarks.collect()
}

/// Rules of the collections by which people would give themselves power, or take over others.
fn open_doors(settings: &Settings, catalog: &Catalog) -> Vec<Remark> {
    let Ok(Some(model)) = Model::resolve(settings, &Arc::new(catalog.clone())) else {
        // That is said elsewhere.
        return Vec::new();
    };
    let warning = |collection: &Collection, text: &str, message: String| Remark {
        about: Subject::Declaration {
            collection: collection.name.clone(),
            text: text.to_owned(),
        },
        message,
        suggestion: None,
        is_error: false,
    };
    let accounts = &model.accounts.collection;
    let sessions = &model.sessions.collection;
    let mut remarks = Vec::new();
    let state = model.accounts.state.as_ref().map(|state| state.field);
    for field in [model.accounts.roles, state].into_iter().flatten() {
        let name = &accounts.fields()[field].name;
        let guarded = accounts.access.fields.iter().any(|rules| {
            rules.field == field && rules.writable_by.as_ref().is_some_and(is_for_admins)
        });
        if !guarded {
            let message = format!(
                "whoever may create or change an account may set its own `{name}`; give the field \
                 `writable_by: role:admin`"
            );
            remarks.push(warning(accounts, name, message));
        }
    }
    if accounts
        .access
        .create
        .as_ref()
        .is_some_and(|rule| !is_guarded(rule))
    {
        let message = format!(
            "everybody may create documents in `{}` past POST /signup and its throttle",
            accounts.name
        );
        remarks.push(warning(accounts, "create", message));
    }
    let access = &sessions.access;
    for (action, rule) in [("create", &access.create), ("update", &access.update)] {
        if rule.as_ref().is_some_and(|rule| !is_for_admins(rule)) {
            let message = format!(
                "sessions are kept by the server; `{action}` is better left to nobody or admins"
            );
            remarks.push(warning(sessions, action, message));
        }
    }
    remarks
}

/// Whether a rule keeps people from what they may do to their own.
fn is_guarded(rule: &Rule) -> bool {
    match rule {
        Rule::Public | Rule::Authenticated => false,
        Rule::Any(rules) => rules.iter().all(is_guarded),
        Rule::Owner | Rule::Role(_) | Rule::Nobody | Rule::Filter(_) => true,
    }
}

fn is_for_admins(rule: &Rule) -> bool {
    match rule {
        Rule::Nobody | Rule::Role(_) => true,
        Rule::Any(rules) => rules.iter().all(is_for_admins),
        _ => false,
    }
}
