//! `truth: none`: whether everything that is said of a collection holds where the truth has only a
//! part of its documents. What nobody sees as a whole cannot be unique, nor be what others refer to or
//! look up.

use crate::{
    declare::CollectionDeclaration,
    field::{Field, FieldType},
    filter::{Expr, Operand},
    mistake::Mistake,
    schema::{Catalog, Collection, CollectionId, Effect, EffectAction, Rule},
};

use super::{Report, each, unique};

/// Why nothing can be unique.
const NOT_UNIQUE: &str = "with `truth: none` nobody sees all documents at once, so that nothing can be \
                       unique among them";

/// Says what needs a truth that has every document.
pub(super) fn check(
    declarations: &[CollectionDeclaration],
    excused: &[String],
    catalog: &Catalog,
    mistakes: &mut Vec<Mistake>,
) {
    let mut position = 0;
    each(declarations, excused, mistakes, |declaration, report| {
        let collection = &catalog.collections[position];
        position += 1;
        if collection.is_flux {
            return;
        }
        if collection.is_alone() {
            unique::refuse(declaration, NOT_UNIQUE, report);
            cached(collection, report);
        }
        references(collection, catalog, report);
        rules(collection, catalog, report);
        effects(declaration, collection, catalog, report);
    });
}

/// What expires in the recent tier goes without a word.
fn cached(collection: &Collection, report: &mut Report<'_>) {
    if collection.tiers.cache.is_some() && collection.expires_after.is_some() {
        report.inside("tiers", |report| {
            report.inside("cache", |report| {
                report.value(
                    "with `truth: none` and `expires_after` nobody hears when a document expires, \
                     so that the cache would go on showing it",
                    None,
                );
            });
        });
    }
}

fn references(collection: &Collection, catalog: &Catalog, report: &mut Report<'_>) {
    report.inside("fields", |report| {
        for (_, field) in collection.declared_fields() {
            let Some(target) = referred(field) else {
                continue;
            };
            let target = catalog.get(target);
            if target.is_alone() {
                let message = format!(
                    "`{}` has `truth: none`, so that nothing guards what refers to it; a field of \
                     type uuid may have the id",
                    target.name
                );
                report.inside(&field.name, |report| report.value(message, None));
            }
        }
    });
}

/// The collection that a field refers to, by itself or in its list.
fn referred(field: &Field) -> Option<CollectionId> {
    let kind = match &field.kind {
        FieldType::List(item) => &**item,
        kind => kind,
    };
    match kind {
        FieldType::Ref(reference) => Some(reference.collection),
        _ => None,
    }
}

fn rules(collection: &Collection, catalog: &Catalog, report: &mut Report<'_>) {
    let access = &collection.access;
    let looked_into = |rule: &Option<Rule>| {
        let mut found = None;
        if let Some(rule) = rule {
            rule.for_each_selected(&mut |id| found = found.or(alone(catalog, id)));
        }
        found
    };
    report.inside("access", |report| {
        for (action, rule) in [
            ("read", &access.read),
            ("create", &access.create),
            ("update", &access.update),
            ("delete", &access.delete),
        ] {
            if let Some(name) = looked_into(rule) {
                report.inside(action, |report| report.value(looked_up(name), None));
            }
        }
    });
    report.inside("fields", |report| {
        for rules in &access.fields {
            for (what, rule) in [
                ("readable_by", &rules.readable_by),
                ("writable_by", &rules.writable_by),
            ] {
                if let Some(name) = looked_into(rule) {
                    report.inside(&collection.fields[rules.field].name, |report| {
                        report.inside(what, |report| report.value(looked_up(name), None));
                    });
                }
            }
        }
    });
}

fn effects(
    declaration: &CollectionDeclaration,
    collection: &Collection,
    catalog: &Catalog,
    report: &mut Report<'_>,
) {
    // Some are missing where they have mistakes of their own.
    if collection.effects.len() != declaration.effects.len() {
        return;
    }
    report.inside("effects", |report| {
        for (at, effect) in collection.effects.iter().enumerate() {
            let mut found = None;
            for condition in conditions(effect) {
                condition.for_each_selected(&mut |id| found = found.or(alone(catalog, id)));
            }
            if let Some(name) = found {
                report.inside(at, |report| report.value(looked_up(name), None));
            }
        }
    });
}

/// The conditions of an effect.
fn conditions(effect: &Effect) -> Vec<&Expr<Operand>> {
    let mut all = vec![&effect.when];
    all.extend(effect.for_each.iter().map(|(_, condition)| condition));
    match &effect.action {
        EffectAction::Create { .. } => {}
        EffectAction::Update { condition, .. } | EffectAction::Delete { condition, .. } => {
            all.push(condition);
        }
    }
    all
}

/// What a collection is called, if the truth has only a part of it.
fn alone(catalog: &Catalog, id: CollectionId) -> Option<&str> {
    let collection = catalog.get(id);
    collection.is_alone().then_some(collection.name.as_str())
}

fn looked_up(name: &str) -> String {
    format!("`{name}` has `truth: none`, so that `$select` does not find all of its documents")
}
